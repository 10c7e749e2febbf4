//! Files that are empty, half written, broken, renamed, gone, or share an id.
//!
//! Long because every test is a whole script of events and effects.

use expect_test::expect;
use owui_watch::engine::ledger::Ledger;

use super::{check, check_with, log_of, once};

#[test]
fn empty_and_missing_files_are_held_for_a_moment() {
    check(
        "0ms given a=v1
         10ms write a empty
         50ms edit a v2
         50ms wake
         51ms #1 row a v1
         52ms #2 row a v2
         5000ms delete a
         5040ms edit a v3
         5040ms wake
         5041ms #3 row a v2
         5042ms #4 row a v3
         9000ms write a empty
         9040ms wake
         9300ms wake
         12000ms delete a
         12040ms wake
         12300ms wake",
        &expect![[r#"
            10ms write a empty
                  held path=plugins/a.py
            50ms edit a v2
            50ms wake
                  a sending why=edited
                  #1 get a
            51ms #1 row a v1
                  #2 update a v2
            52ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=42
                  save
            5000ms delete a
                  held path=plugins/a.py
            5040ms edit a v3
            5040ms wake
                  a sending why=edited
                  #3 get a
            5041ms #3 row a v2
                  #4 update a v3
            5042ms #4 row a v3
                  archive v3
                  a updated active=true from_version=v2 ms=42
                  save
            9000ms write a empty
                  held path=plugins/a.py
            9040ms wake
            9300ms wake
                  a flawed reason=empty
            12000ms delete a
                  held path=plugins/a.py
            12040ms wake
            12300ms wake
                  a removed
        "#]],
    );
}

#[test]
fn no_file_is_read_while_new_folders_are_walked() {
    check(
        "0ms given a=v1
         10ms edit b v1
         10ms walking
         1020ms write a v2
         1020ms wake
         15000ms wake
         20000ms wake
         20500ms walked b
         20550ms wake
         20600ms wake",
        &expect![[r#"
            10ms edit b v1
            10ms walking
            1020ms write a v2
            1020ms wake
            15000ms wake
                  scan_slow so_far_ms=14990
            20000ms wake
            20500ms walked b
                  a sending why=edited
                  #1 get a
            20550ms wake
            20600ms wake
                  b sending why=new
                  #2 get b
        "#]],
    );
}

#[test]
fn an_unsettled_file_is_read_again_until_it_is_complete() {
    check(
        "0ms given a=v1
         10ms write a unsettled
         50ms wake
         5000ms wake
         5040ms edit a v2
         5040ms wake",
        &expect![[r#"
            10ms write a unsettled
                  held path=plugins/a.py
            50ms wake
            5000ms wake
            5040ms edit a v2
            5040ms wake
                  a sending why=edited
                  #1 get a
        "#]],
    );
}

#[test]
fn a_broken_file_is_reported_and_never_sent() {
    check(
        "0ms given a=v1
         10ms write a broken
         2000ms write a broken
         3000ms rescan
         3001ms #1 connected
         4000ms write a v1",
        &expect![[r#"
            10ms write a broken
                  a flawed column=14 line=1 reason=syntax
            2000ms write a broken
                  a flawed column=14 line=1 reason=syntax
            3000ms rescan
                  #1 connect
            3001ms #1 connected
                  summary ms=1 skipped=1
            4000ms write a v1
                  a unchanged good_again=true
        "#]],
    );
}

#[test]
fn each_error_is_reported_but_the_file_counts_once() {
    check(
        "0ms given a=v1
         10ms write a harmful
         3000ms rescan
         3001ms #1 connected",
        &expect![[r#"
            10ms write a harmful
                  a flawed column=1 line=1 reason=relative_import
                  a warning column=6 line=2 reason=broken_import
                  a flawed column=1 line=3 reason=exits
            3000ms rescan
                  #1 connect
            3001ms #1 connected
                  summary ms=1 skipped=1
        "#]],
    );
}

#[test]
fn files_that_share_an_id_are_reported_and_not_sent() {
    check(
        "0ms edit a v1
         0ms edit b as a v2
         0ms rescan: a=v1
         10ms write b as a v3
         20ms delete b
         320ms wake
         330ms write c as a v4
         340ms write c v1",
        &expect![[r#"
            0ms edit a v1
            0ms edit b as a v2
            0ms rescan: a=v1
                  a conflict paths=["plugins/a.py","plugins/b.py"]
                  ready plugins=2 roots=["plugins"]
                  connected server_version=0.12.4
                  summary ms=2 skipped=2
            10ms write b as a v3
                  a conflict paths=["plugins/a.py","plugins/b.py"]
            20ms delete b
                  held path=plugins/b.py
            320ms wake
                  a sending why=new
                  #1 get a
            330ms write c as a v4
                  a conflict paths=["plugins/a.py","plugins/c.py"]
            340ms write c v1
        "#]],
    );
}

#[test]
fn a_rename_that_keeps_the_id_is_no_conflict() {
    check(
        "0ms edit a as x v1
         0ms given start x=v0
         3ms given deployed x
         5000ms remove a
         5000ms write b as x v1
         5001ms delete a
         5041ms wake
         5301ms wake",
        &expect![[r#"
            5000ms remove a
            5000ms write b as x v1
                  held path=plugins/a.py
                  x unchanged path=plugins/b.py
            5001ms delete a
            5041ms wake
            5301ms wake
        "#]],
    );
}

#[test]
fn a_rename_that_changes_the_id_is_reported() {
    check(
        "0ms given a=v1
         5000ms write a as b v1
         5001ms #1 absent
         5002ms #2 created b",
        &expect![[r#"
            5000ms write a as b v1
                  b id_changed from_id=a path=plugins/a.py
                  b sending path=plugins/a.py why=new
                  #1 get b
            5001ms #1 absent
                  #2 create b v1
            5002ms #2 created b
                  archive v1
                  b created ms=2 path=plugins/a.py
                  save
        "#]],
    );
}

#[test]
fn a_file_missing_from_a_scan_is_read_again() {
    check(
        "0ms given a=v1
         10ms remove a
         10ms rescan
         11ms #1 connected
         350ms wake",
        &expect![[r#"
            10ms remove a
            10ms rescan
                  #1 connect
                  held path=plugins/a.py
            11ms #1 connected
                  #2 overview of functions
            350ms wake
                  a removed
        "#]],
    );
}

/// A network folder may not answer. Nothing is read meanwhile, so the user must know.
#[test]
fn a_scan_that_takes_long_is_told() {
    check(
        "0ms disk hangs
         0ms rescan
         1ms #1 connected
         5000ms write a v1
         10000ms wake
         20000ms wake
         30000ms disk answers
         30000ms wake
         30001ms #2 rows",
        &expect![[r#"
            0ms disk hangs
            0ms rescan
                  #1 connect
            1ms #1 connected
            5000ms write a v1
            10000ms wake
                  scan_slow so_far_ms=10000
            20000ms wake
            30000ms disk answers
                  ready plugins=1 roots=["plugins"]
                  #2 overview of functions
            30000ms wake
            30001ms #2 rows
                  connected server_version=0.12.4
                  pass todo=1
                  a sending why=new
                  #3 create a v1
        "#]],
    );
}

#[test]
fn a_conflict_that_returns_is_reported_again() {
    check(
        "0ms given a=v1
         5000ms edit b as a v2
         5000ms rescan: a=v1
         6000ms edit b v2
         6000ms rescan: a=v1 b=v2
         7000ms edit b as a v2
         7000ms rescan: a=v1 b=v2",
        &expect![[r#"
            5000ms edit b as a v2
            5000ms rescan: a=v1
                  a conflict paths=["plugins/a.py","plugins/b.py"]
                  summary ms=2 skipped=2
            6000ms edit b v2
            6000ms rescan: a=v1 b=v2
                  a unchanged active=true good_again=true
                  archive v2, found
                  b unchanged active=true good_again=true
                  summary ms=2 unchanged=2
                  save
            7000ms edit b as a v2
            7000ms rescan: a=v1 b=v2
                  a id_changed from_id=b path=plugins/b.py
                  a conflict paths=["plugins/a.py","plugins/b.py"]
                  summary ms=2 skipped=2
        "#]],
    );
}

/// Whether its files still exist is unknown.
#[test]
fn files_of_a_missing_root_are_left_alone() {
    check(
        "0ms given a=v1 b=v1
         5ms write c broken
         10ms root gone
         10ms rescan: a=v9 b=v1
         20ms root back
         20ms rescan: a=v9 b=v1",
        &expect![[r#"
            5ms write c broken
                  flawed column=14 line=1 path=plugins/c.py reason=syntax
            10ms root gone
            10ms rescan: a=v9 b=v1
                  root_missing root=plugins
                  summary ms=2
            20ms root back
            20ms rescan: a=v9 b=v1
                  root_back root=plugins
                  b unchanged active=true
                  pass todo=1
                  a sending why=changed_on_server
                  #1 get a
        "#]],
    );
}

#[test]
fn a_file_is_not_read_while_it_is_being_written() {
    check(
        "0ms given a=v1
         5000ms given deployed a v2
         5100ms write a v3
         5200ms edit a half
         5250ms wake
         5260ms write a v4
         5410ms wake",
        &expect![[r#"
            5100ms write a v3
            5200ms edit a half
            5250ms wake
                  held path=plugins/a.py
            5260ms write a v4
                  a sending why=edited
                  #1 get a
            5410ms wake
        "#]],
    );
    // The same goes for the other file of a conflict.
    check(
        "0ms given a=v1
         5000ms edit a half
         5001ms write b as a v2
         5100ms write a v3",
        &expect![[r#"
            5000ms edit a half
            5001ms write b as a v2
                  held path=plugins/a.py
            5100ms write a v3
                  a conflict paths=["plugins/a.py","plugins/b.py"]
        "#]],
    );
}

#[test]
fn the_end_of_a_conflict_deploys_what_the_server_lost() {
    check(
        "0ms given a=v1
         10ms edit b as a v2
         10ms rescan: nothing
         5000ms write b broken
         5300ms wake
         5301ms #1 absent",
        &expect![[r#"
            10ms edit b as a v2
            10ms rescan: nothing
                  a conflict paths=["plugins/a.py","plugins/b.py"]
                  summary ms=2 skipped=2
            5000ms write b broken
                  held path=plugins/b.py
            5300ms wake
                  a flawed column=14 line=1 path=plugins/b.py reason=syntax
                  a sending why=retry
                  #1 get a
            5301ms #1 absent
                  #2 create a v1
        "#]],
    );
}

/// The user saw an error: the next `unchanged` says that it is over, and no later one does.
#[test]
fn a_repaired_file_is_reported_as_good_again_once() {
    check(
        "0ms given a=v1 b=v1
         10ms write a broken
         20ms write a v1
         2000ms write a v1
         3000ms write b unreadable
         3010ms write b v1",
        &expect![[r#"
            10ms write a broken
                  a flawed column=14 line=1 reason=syntax
            20ms write a v1
                  a unchanged good_again=true
            2000ms write a v1
                  a unchanged
            3000ms write b unreadable
                  b flawed reason=unreadable
            3010ms write b v1
                  b unchanged good_again=true
        "#]],
    );
}

/// It was never deployed from here.
#[test]
fn a_new_file_repaired_to_the_servers_text_is_good() {
    check(
        "0ms given b=v1
         10ms write a broken
         20ms write a v1
         21ms #1 row a v1",
        &expect![[r#"
            10ms write a broken
                  flawed column=14 line=1 path=plugins/a.py reason=syntax
            20ms write a v1
                  a sending why=new
                  #1 get a
            21ms #1 row a v1
                  archive v1, found
                  a unchanged active=true good_again=true
                  save
        "#]],
    );
}

#[test]
fn the_next_pass_notices_a_repaired_file() {
    check(
        "0ms given a=v1 b=v1
         10ms write a broken
         20ms edit a v1
         30ms rescan: a=v1 b=v1",
        &expect![[r#"
            10ms write a broken
                  a flawed column=14 line=1 reason=syntax
            20ms edit a v1
            30ms rescan: a=v1 b=v1
                  a unchanged active=true good_again=true
                  b unchanged active=true
                  summary ms=2 unchanged=2
        "#]],
    );
}

#[test]
fn a_resolved_conflict_is_good_again() {
    check(
        "0ms given a=v1
         10ms write b as a v2
         1000ms delete b
         1300ms wake
         1600ms wake",
        &expect![[r#"
            10ms write b as a v2
                  a conflict paths=["plugins/a.py","plugins/b.py"]
            1000ms delete b
                  held path=plugins/b.py
            1300ms wake
                  a unchanged good_again=true
            1600ms wake
        "#]],
    );
}

/// The file that is left is being written at that moment.
#[test]
fn the_end_of_a_conflict_sends_no_outdated_text() {
    check(
        "0ms given a=v1
         10ms write b as a v2
         1000ms edit b unsettled
         1000ms write a other
         1040ms wake
         1100ms write b as a v3",
        &expect![[r#"
            10ms write b as a v2
                  a conflict paths=["plugins/a.py","plugins/b.py"]
            1000ms edit b unsettled
            1000ms write a other
                  held path=plugins/b.py
            1040ms wake
            1100ms write b as a v3
                  a sending path=plugins/b.py why=edited
                  #1 get a
        "#]],
    );
}

/// The server refused a text, and the author restores the old one.
#[test]
fn a_reverted_refusal_is_good_again() {
    let log = log_of(
        "0ms given a=v1
         10ms given refused a v2
         2000ms write a v1
         2001ms #1 row a v1",
    );
    assert!(log.ends_with("a unchanged active=true good_again=true\n      save\n"), "{log}");
}

/// How many plugins it has is unknown.
#[test]
fn an_unreadable_folder_is_counted_apart() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a v1
         0ms edit b broken
         0ms edit closed folder
         0ms rescan: a=v1",
        &expect![[r#"
            0ms edit a v1
            0ms edit b broken
            0ms edit closed folder
            0ms rescan: a=v1
                  flawed column=14 line=1 path=plugins/b.py reason=syntax
                  flawed path=plugins/closed.py reason=unreadable_folder
                  connected server_version=0.12.4
                  archive v1, found
                  a unchanged active=true
                  summary ms=2 skipped=1 unchanged=1 unread=1
                  save
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn an_unreadable_folder_is_not_an_empty_one() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit closed folder
         0ms rescan
         1ms #1 connected",
        &expect![[r#"
            0ms edit closed folder
            0ms rescan
                  #1 connect
                  flawed path=plugins/closed.py reason=unreadable_folder
            1ms #1 connected
                  connected server_version=0.12.4
                  summary ms=1 unread=1
                  exit NotDeployed
        "#]],
    );
}

/// Somebody may have deleted the plugin on the server meanwhile.
#[test]
fn a_file_that_is_back_is_compared_with_the_server() {
    check(
        "0ms given a=v1
         10ms delete a
         500ms wake
         5000ms write a v1
         5001ms #1 absent",
        &expect![[r#"
            10ms delete a
                  held path=plugins/a.py
            500ms wake
                  a removed
            5000ms write a v1
                  a sending why=retry
                  #1 get a
            5001ms #1 absent
                  #2 create a v1
        "#]],
    );
}
