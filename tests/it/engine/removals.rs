//! Files that are gone, and what happens to their plugins on the server.
//!
//! Long because every test is a whole script of events and effects.

use std::time::Duration;

use expect_test::{Expect, expect};
use owui_watch::engine::ledger::Ledger;
use owui_watch::engine::{OnDelete, Policy};

use super::{after, check_with, log_of_with, play, policy};

/// Plays a script after three plugins were deployed.
#[track_caller]
fn check_removal(on_delete: OnDelete, script: &str, expected: &Expect) {
    let script = format!("0ms given created a=v1 b=v1 c=v1\n{script}");
    check_with(Policy { on_delete, ..policy() }, Ledger::default(), &script, expected);
}

#[test]
fn on_delete_removes_a_plugin_whose_file_stays_gone() {
    check_removal(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         10000ms wake
         32350ms wake
         32351ms #1 row a v1
         32352ms #2 saved
         32353ms #3 deleted
         32354ms #4 absent
         33000ms write a v1
         33001ms #5 absent
         33002ms #6 created a",
        &expect![[r#"
            2000ms delete a
                  held path=plugins/a.py
            2350ms wake
                  a removed
            10000ms wake
            32350ms wake
                  look for plugins/a.py
                  #1 get a
            32351ms #1 row a v1
                  #2 back up v1
            32352ms #2 saved
                  #3 delete a
            32353ms #3 deleted
                  #4 get a
            32354ms #4 absent
                  a deleted backup=the/copy.py
                  save
            33000ms write a v1
                  a sending why=new
                  #5 get a
            33001ms #5 absent
                  #6 create a v1
            33002ms #6 created a
                  archive v1
                  a created ms=2
                  save
        "#]],
    );
}

#[test]
fn a_file_that_comes_back_is_compared_and_not_removed() {
    check_removal(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         9000ms write a v1
         9001ms #1 absent
         40000ms wake",
        &expect![[r#"
            2000ms delete a
                  held path=plugins/a.py
            2350ms wake
                  a removed
            9000ms write a v1
                  a sending why=retry
                  #1 get a
            9001ms #1 absent
                  #2 create a v1
            40000ms wake
                  a slow so_far_ms=31000
        "#]],
    );
}

#[test]
fn a_plugin_edited_on_the_server_is_not_removed() {
    check_removal(
        OnDelete::Delete,
        "2000ms given gone a
         32351ms #1 row a v9",
        &expect![[r#"
            32351ms #1 row a v9
                  a spared reason=edited_on_server
        "#]],
    );
}

#[test]
fn without_a_backup_nothing_is_removed() {
    check_removal(
        OnDelete::Delete,
        "2000ms given gone a
         32351ms #1 row a v1
         32352ms #2 not-saved",
        &expect![[r#"
            32351ms #1 row a v1
                  #2 back up v1
            32352ms #2 not-saved
                  a not_removed reason=backup_failed
        "#]],
    );
}

#[test]
fn a_missing_folder_removes_nothing() {
    check_removal(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         3000ms root gone
         32350ms wake",
        &expect![[r#"
            2000ms delete a
                  held path=plugins/a.py
            2350ms wake
                  a removed
            3000ms root gone
            32350ms wake
                  look for plugins/a.py
                  a spared reason=folder_gone
        "#]],
    );
}

/// An unmounted share leaves an empty folder behind, and Python leaves `__pycache__`.
#[test]
fn a_folder_without_plugins_removes_nothing() {
    check_removal(
        OnDelete::Delete,
        "1000ms write x/d as d v1
         1001ms #1 absent
         1002ms #2 created d
         2000ms delete x/d
         2350ms wake
         32350ms wake",
        &expect![[r#"
            1000ms write x/d as d v1
                  d sending path=plugins/x/d.py why=new
                  #1 get d
            1001ms #1 absent
                  #2 create d v1
            1002ms #2 created d
                  archive v1
                  d created ms=2 path=plugins/x/d.py
                  save
            2000ms delete x/d
                  held path=plugins/x/d.py
            2350ms wake
                  d removed path=plugins/x/d.py
            32350ms wake
                  look for plugins/x/d.py
                  d spared path=plugins/x/d.py reason=folder_emptied
        "#]],
    );
}

/// It may have answered too early, or without having done anything.
#[test]
fn a_deletion_that_the_server_has_not_made_is_tried_again() {
    check_removal(
        OnDelete::Delete,
        "2000ms given gone a
         32351ms #1 row a v1
         32352ms #2 saved
         32353ms #3 deleted
         32354ms #4 row a v1
         62354ms wake
         62355ms #5 row a v1
         62356ms #6 saved
         62357ms #7 lost
         62358ms #8 row a v1",
        &expect![[r#"
            32351ms #1 row a v1
                  #2 back up v1
            32352ms #2 saved
                  #3 delete a
            32353ms #3 deleted
                  #4 get a
            32354ms #4 row a v1
                  a not_removed reason=stumbled
            62354ms wake
                  look for plugins/a.py
                  #5 get a
            62355ms #5 row a v1
                  #6 back up v1
            62356ms #6 saved
                  #7 delete a
            62357ms #7 lost
                  #8 get a
            62358ms #8 row a v1
                  a not_removed reason=stumbled
        "#]],
    );
}

#[test]
fn when_most_files_vanish_nothing_is_removed() {
    check_removal(
        OnDelete::Delete,
        "2000ms delete a
         2000ms delete b
         2350ms wake
         32350ms wake",
        &expect![[r#"
            2000ms delete a
                  held path=plugins/a.py
            2000ms delete b
                  held path=plugins/b.py
            2350ms wake
                  a removed
                  b removed
            32350ms wake
                  look for plugins/a.py
                  look for plugins/b.py
                  a spared reason=many_gone
                  b spared reason=many_gone
        "#]],
    );
}

#[test]
fn on_delete_can_switch_a_function_off() {
    check_removal(
        OnDelete::Deactivate,
        "2000ms given gone a
         32351ms #1 row a v1
         32352ms #2 row a v1 off
         40000ms write a v1
         41000ms write a v1",
        &expect![[r#"
            32351ms #1 row a v1
                  #2 toggle a
                  save
            32352ms #2 row a v1 off
                  a deactivated
            40000ms write a v1
                  a left_off
                  a sending why=retry
                  #3 get a
                  save
            41000ms write a v1
        "#]],
    );
}

#[test]
fn a_function_left_off_is_reported_when_its_file_returns() {
    check_removal(
        OnDelete::Deactivate,
        "2000ms given gone a
         32351ms #1 row a v1
         32352ms #2 lost
         32353ms #3 unreachable
         40000ms write a v2",
        &expect![[r#"
            32351ms #1 row a v1
                  #2 toggle a
                  save
            32352ms #2 lost
                  #3 get a
            32353ms #3 unreachable
                  unreachable cause="connection refused" next_ms=500
                  a waiting reason=Away
            40000ms write a v2
                  a left_off
                  a waiting reason=Away
                  save
        "#]],
    );
}

#[test]
fn a_removal_waits_for_the_end_of_an_outage() {
    check_removal(
        OnDelete::Delete,
        "2000ms given gone a
         32351ms #1 unreachable
         32851ms wake: a=v1 b=v1 c=v1
         32853ms wake
         32854ms #2 row a v1
         32855ms #3 saved
         32856ms #4 lost
         32857ms #5 absent",
        &expect![[r#"
            32351ms #1 unreachable
                  unreachable cause="connection refused" next_ms=500
                  a waiting reason=Away
            32851ms wake: a=v1 b=v1 c=v1
                  b unchanged active=true
                  c unchanged active=true
                  back away_ms=502
            32853ms wake
                  look for plugins/a.py
                  #2 get a
            32854ms #2 row a v1
                  #3 back up v1
            32855ms #3 saved
                  #4 delete a
            32856ms #4 lost
                  #5 get a
            32857ms #5 absent
                  a deleted backup=the/copy.py
                  save
        "#]],
    );
}

#[test]
fn a_plugin_deployed_by_others_is_not_removed() {
    check_with(
        Policy { on_delete: OnDelete::Delete, ..policy() },
        Ledger::default(),
        "0ms given a=v1 b=v1
         2000ms delete a
         2350ms wake
         40000ms wake",
        &expect![[r#"
            2000ms delete a
                  held path=plugins/a.py
            2350ms wake
                  a removed
            40000ms wake
        "#]],
    );
}

#[test]
fn by_default_nothing_is_removed() {
    check_removal(
        OnDelete::Keep,
        "2000ms delete a
         2350ms wake
         40000ms wake",
        &expect![[r#"
            2000ms delete a
                  held path=plugins/a.py
            2350ms wake
                  a removed
            40000ms wake
        "#]],
    );
}

/// A single pass cannot see that a file stays gone.
#[test]
fn a_single_pass_removes_nothing() {
    check_with(
        Policy { on_delete: OnDelete::Delete, once: Some(Duration::from_mins(1)), ..policy() },
        play(policy(), Ledger::default(), "0ms given created a=v1").ledger().clone(),
        "0ms edit a v1
         0ms edit b v1
         0ms rescan: a=v1
         3ms delete a
         400ms wake
         40000ms wake",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan: a=v1
                  connected server_version=0.12.4
                  a unchanged active=true
                  pass todo=1
                  b sending why=new
                  #1 create b v1
            3ms delete a
                  held path=plugins/a.py
            400ms wake
                  a removed
            40000ms wake
                  b slow so_far_ms=39998
        "#]],
    );
}

#[test]
fn a_plugin_whose_file_may_be_renamed_is_not_removed() {
    check_with(
        Policy { on_delete: OnDelete::Delete, ..policy() },
        Ledger::default(),
        "0ms edit a v1~Shout
         0ms edit b v1
         0ms given start b=v1
         4ms given deployed a
         2000ms delete a
         2000ms write c v1~Shout
         2350ms wake
         2351ms #1 absent
         2352ms #2 rows a=v1~Shout b=v1
         32350ms wake",
        &expect![[r#"
            2000ms delete a
                  held path=plugins/a.py
            2000ms write c v1~Shout
                  c sending why=new
                  #1 get c
            2350ms wake
                  a removed
            2351ms #1 absent
                  #2 overview of functions
            2352ms #2 rows a=v1~Shout b=v1
                  c twin other_id=a
            32350ms wake
                  look for plugins/a.py
                  a spared reason=maybe_renamed
        "#]],
    );
}

/// Its valves would be lost.
#[test]
fn a_plugin_whose_file_was_renamed_is_not_removed() {
    check_removal(
        OnDelete::Delete,
        "5000ms write a nameless
         5001ms #1 row a v1
         5002ms #2 row a nameless
         6000ms write d nameless
         6001ms #3 absent
         6002ms #4 created d
         6003ms delete a
         6400ms wake
         60000ms wake",
        &expect![[r#"
            5000ms write a nameless
                  a sending why=edited
                  #1 get a
            5001ms #1 row a v1
                  #2 update a ?
            5002ms #2 row a nameless
                  archive ?
                  a updated active=true from_version=v1 ms=2
                  save
            6000ms write d nameless
                  d sending why=new
                  #3 get d
            6001ms #3 absent
                  #4 create d ?
            6002ms #4 created d
                  archive ?
                  d created ms=2
                  save
            6003ms delete a
                  held path=plugins/a.py
            6400ms wake
                  d id_changed from_id=a
            60000ms wake
        "#]],
    );
}

/// The new file comes a while after the old one went.
#[test]
fn a_late_new_name_ends_the_removal() {
    check_removal(
        OnDelete::Delete,
        "5000ms write a nameless
         5001ms #1 row a v1
         5002ms #2 row a nameless
         6000ms delete a
         6400ms wake
         9000ms write d nameless
         9001ms #3 absent
         9002ms #4 created d
         60000ms wake",
        &expect![[r#"
            5000ms write a nameless
                  a sending why=edited
                  #1 get a
            5001ms #1 row a v1
                  #2 update a ?
            5002ms #2 row a nameless
                  archive ?
                  a updated active=true from_version=v1 ms=2
                  save
            6000ms delete a
                  held path=plugins/a.py
            6400ms wake
                  a removed
            9000ms write d nameless
                  d sending why=new
                  #3 get d
            9001ms #3 absent
                  #4 create d ?
            9002ms #4 created d
                  archive ?
                  d created ms=2
                  d id_changed from_id=a
                  save
            60000ms wake
        "#]],
    );
}

/// It is not created yet when the old one is to go.
#[test]
fn a_new_name_that_is_being_created_ends_the_removal() {
    check_removal(
        OnDelete::Delete,
        "5000ms write a nameless
         5001ms #1 row a v1
         5002ms #2 row a nameless
         6000ms delete a
         6400ms wake
         36300ms write d nameless
         36400ms wake",
        &expect![[r#"
            5000ms write a nameless
                  a sending why=edited
                  #1 get a
            5001ms #1 row a v1
                  #2 update a ?
            5002ms #2 row a nameless
                  archive ?
                  a updated active=true from_version=v1 ms=2
                  save
            6000ms delete a
                  held path=plugins/a.py
            6400ms wake
                  a removed
            36300ms write d nameless
                  d sending why=new
                  #3 get d
            36400ms wake
                  look for plugins/a.py
                  d id_changed from_id=a
        "#]],
    );
}

/// A broken file may be the missing plugin under a new name.
#[test]
fn a_broken_file_postpones_removals() {
    check_removal(
        OnDelete::Delete,
        "5000ms delete a
         5000ms write d broken
         5301ms wake
         35301ms wake
         65302ms wake
         70000ms write d as a v2
         70001ms #1 row a v1
         70002ms #2 row a v2
         95303ms wake",
        &expect![[r#"
            5000ms delete a
                  held path=plugins/a.py
            5000ms write d broken
                  flawed column=14 line=1 path=plugins/d.py reason=syntax
            5301ms wake
                  a removed
            35301ms wake
                  look for plugins/a.py
                  a waiting reason=BrokenFile
            65302ms wake
                  look for plugins/a.py
            70000ms write d as a v2
                  a sending path=plugins/d.py why=edited
                  #1 get a
            70001ms #1 row a v1
                  #2 update a v2
            70002ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2 path=plugins/d.py
                  save
            95303ms wake
        "#]],
    );
    check_removal(
        OnDelete::Delete,
        "5000ms delete a
         5000ms write b broken
         5301ms wake
         35301ms wake
         40000ms write b v2
         40001ms #1 row b v1
         40002ms #2 row b v2
         65302ms wake",
        &expect![[r#"
            5000ms delete a
                  held path=plugins/a.py
            5000ms write b broken
                  b flawed column=14 line=1 reason=syntax
            5301ms wake
                  a removed
            35301ms wake
                  look for plugins/a.py
                  a waiting reason=BrokenFile
            40000ms write b v2
                  b sending why=edited
                  #1 get b
            40001ms #1 row b v1
                  #2 update b v2
            40002ms #2 row b v2
                  archive v2
                  b updated active=true from_version=v1 ms=2
                  save
            65302ms wake
                  look for plugins/a.py
                  #3 get a
        "#]],
    );
}

#[test]
fn a_plugin_taken_over_by_another_file_is_not_removed() {
    check_removal(
        OnDelete::Delete,
        "5000ms delete a
         5301ms wake
         6000ms edit d as a v1
         6000ms rescan: a=v1 b=v1 c=v1
         35301ms wake",
        &expect![[r#"
            5000ms delete a
                  held path=plugins/a.py
            5301ms wake
                  a removed
            6000ms edit d as a v1
            6000ms rescan: a=v1 b=v1 c=v1
                  archive v1
                  a unchanged active=true path=plugins/d.py
                  b unchanged active=true
                  c unchanged active=true
                  summary ms=2 unchanged=3
                  save
            35301ms wake
        "#]],
    );
}

/// The file comes back after the removal, while an overview from before it is in flight.
#[test]
fn an_overview_older_than_a_removal_is_not_believed() {
    let log = log_of_with(
        Policy { on_delete: OnDelete::Delete, ..policy() },
        Ledger::default(),
        "0ms given created a=v1 b=v1
         2000ms given gone a
         32351ms #1 row a v1
         32352ms #2 saved
         32353ms rescan
         32354ms #4 connected
         32355ms #3 deleted
         32356ms #6 absent
         32357ms write a v1
         32400ms #5 rows a=v1 b=v1",
    );
    assert!(after(&log, "32400ms").contains("a sending"), "the server does not have it, and nothing is sent:\n{log}");
}

/// They may keep it.
#[test]
fn nothing_is_removed_while_the_settings_change() {
    check_removal(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32351ms settings change
         32352ms #1 row a v1
         32353ms wake
         32450ms settings stay",
        &expect![[r#"
            2000ms delete a
                  held path=plugins/a.py
            2350ms wake
                  a removed
            32350ms wake
                  look for plugins/a.py
                  #1 get a
            32351ms settings change
            32352ms #1 row a v1
            32353ms wake
                  look for plugins/a.py
            32450ms settings stay
                  #2 get a
        "#]],
    );
}

#[test]
fn nothing_is_removed_while_files_are_being_written() {
    check_removal(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         32349ms changing b
         32350ms wake
         32400ms write b v1
         33350ms wake",
        &expect![[r#"
            2000ms delete a
                  held path=plugins/a.py
            2350ms wake
                  a removed
            32349ms changing b
            32350ms wake
            32400ms write b v1
                  b unchanged
            33350ms wake
                  look for plugins/a.py
                  #1 get a
        "#]],
    );
}

/// Until it was read whole, the other file may have been the plugin.
#[test]
fn a_file_that_was_incomplete_restarts_the_wait() {
    check_removal(
        OnDelete::Delete,
        "2000ms given gone a
         32351ms write d unsettled
         32400ms write d other
         32401ms #1 row a v1
         62399ms wake
         62400ms wake
         62401ms #2 row a v1",
        &expect![[r#"
            32351ms write d unsettled
                  held path=plugins/d.py
            32400ms write d other
            32401ms #1 row a v1
            62399ms wake
            62400ms wake
                  look for plugins/a.py
                  #2 get a
            62401ms #2 row a v1
                  #3 back up v1
        "#]],
    );
}

#[test]
fn a_broken_file_that_comes_back_cancels_the_removal() {
    check_removal(
        OnDelete::Delete,
        "2000ms given gone a
         32351ms write a broken
         32352ms #1 row a v1
         32352ms wake",
        &expect![[r#"
            32351ms write a broken
                  flawed column=14 line=1 path=plugins/a.py reason=syntax
            32352ms #1 row a v1
            32352ms wake
                  look for plugins/a.py
        "#]],
    );
}

/// A web page may come from a proxy whose server is starting.
#[test]
fn a_removal_waits_while_a_proxy_answers() {
    check_removal(
        OnDelete::Delete,
        "2000ms given gone a
         32351ms #1 foreign
         32851ms wake: a=v1 b=v1 c=v1
         32854ms wake",
        &expect![[r#"
            32351ms #1 foreign
                  not_open_webui status=200 words="a web page"
                  a waiting reason=Away
            32851ms wake: a=v1 b=v1 c=v1
                  b unchanged active=true
                  c unchanged active=true
                  back away_ms=502
            32854ms wake
                  look for plugins/a.py
                  #2 get a
        "#]],
    );
}
