//! Saves, from the read to the server: the newest text wins, one is in flight, and nothing is sent twice.

use std::num::NonZeroUsize;

use expect_test::expect;
use owui_watch::engine::Policy;
use owui_watch::engine::ledger::Ledger;

use super::{check, check_with, log_of, policy};

/// They may name another server.
#[test]
fn no_save_is_sent_while_the_settings_change() {
    check(
        "0ms given a=v1
         10ms settings change
         20ms write a v2
         40ms wake
         110ms settings stay",
        &expect![[r#"
            10ms settings change
            20ms write a v2
                  a waiting reason=Settings
            40ms wake
            110ms settings stay
                  a sending why=edited
                  #1 get a
        "#]],
    );
}

/// In a checkout there and back, it is for the settings in between.
#[test]
fn a_text_read_while_the_settings_change_is_read_again() {
    check(
        "0ms given a=v1
         10ms settings change
         20ms write a v2
         30ms edit a v3
         40ms settings stay
         41ms #1 row a v1
         50ms write a v3",
        &expect![[r#"
            10ms settings change
            20ms write a v2
                  a waiting reason=Settings
            30ms edit a v3
            40ms settings stay
                  a sending why=edited
                  #1 get a
            41ms #1 row a v1
                  #2 update a v3
            50ms write a v3
        "#]],
    );
}

#[test]
fn a_save_that_has_only_read_waits_for_the_settings() {
    check(
        "0ms given a=v1
         10ms write a v2
         20ms settings change
         30ms #1 row a v1
         40ms edit a v3
         50ms settings stay
         51ms #2 row a v1
         52ms #3 row a v3",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            20ms settings change
            30ms #1 row a v1
                  a waiting reason=Settings
            40ms edit a v3
            50ms settings stay
                  a sending why=edited
                  #2 get a
            51ms #2 row a v1
                  #3 update a v3
            52ms #3 row a v3
                  archive v3
                  a updated active=true from_version=v1 ms=2
                  save
        "#]],
    );
}

#[test]
fn a_save_that_is_on_its_way_ends_while_the_settings_change() {
    check(
        "0ms given a=v1
         10ms write a v2
         15ms #1 row a v1
         20ms settings change
         30ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            15ms #1 row a v1
                  #2 update a v2
            20ms settings change
            30ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=20
                  save
        "#]],
    );
}

#[test]
fn a_stop_leaves_what_the_settings_hold_up() {
    check(
        "0ms given a=v1
         10ms write a v2
         20ms settings change
         25ms stop
         30ms #1 row a v1",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            20ms settings change
            25ms stop
                  stopping in_flight=1
            30ms #1 row a v1
                  stopped waiting=1
                  exit Fine
        "#]],
    );
}

#[test]
fn a_save_is_read_compared_and_sent() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms #2 row a v2",
        &expect![[r#"
            5000ms write a v2
                  a sending why=edited
                  #1 get a
            5001ms #1 row a v1
                  #2 update a v2
            5002ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  save
        "#]],
    );
}

#[test]
fn an_unchanged_save_sends_nothing() {
    check(
        "0ms given a=v1
         10ms write a v1",
        &expect![[r#"
            10ms write a v1
                  a unchanged
        "#]],
    );
}

#[test]
fn the_newest_save_wins_and_one_is_in_flight() {
    check(
        "0ms given a=v1
         10ms write a v2
         2000ms write a v3
         2010ms write a v4
         2020ms #1 row a v1
         2030ms #2 row a v2
         2040ms #3 row a v2
         2050ms #4 row a v4",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            2000ms write a v3
                  a waiting reason=Turn
            2010ms write a v4
                  a superseded
                  a waiting reason=Turn
            2020ms #1 row a v1
                  #2 update a v2
            2030ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2020
                  a sending why=edited
                  #3 get a
                  save
            2040ms #3 row a v2
                  #4 update a v4
            2050ms #4 row a v4
                  archive v4
                  a updated active=true from_version=v2 ms=40
                  save
        "#]],
    );
}

#[test]
fn saves_during_a_deploy_end_with_the_files_text() {
    check(
        "0ms given a=v1
         10ms write a v2
         2000ms write a v1
         2001ms write a v2
         2002ms #1 row a v1
         2003ms write a v1
         2004ms #2 row a v2
         2005ms #3 row a v2
         2006ms #4 row a v1",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            2000ms write a v1
                  a waiting reason=Turn
            2001ms write a v2
            2002ms #1 row a v1
                  #2 update a v2
            2003ms write a v1
                  a waiting reason=Turn
            2004ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=1994
                  a sending why=edited
                  #3 get a
                  save
            2005ms #3 row a v2
                  #4 update a v1
            2006ms #4 row a v1
                  archive v1
                  a updated active=true from_version=v2 ms=3
                  save
        "#]],
    );
}

#[test]
fn a_formatter_after_a_save_makes_one_version() {
    check(
        "0ms given a=v1
         10ms given deployed a v2
         300ms write a v3
         350ms write a v4
         450ms wake
         500ms wake",
        &expect![[r#"
            300ms write a v3
            350ms write a v4
                  a sending why=edited
                  #1 get a
            450ms wake
            500ms wake
        "#]],
    );
}

#[test]
fn a_slow_deploy_is_reported_once() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         2000ms wake
         3010ms wake
         9000ms wake
         60000ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            2000ms wake
            3010ms wake
                  a slow so_far_ms=3000
            9000ms wake
            60000ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=59990
                  save
        "#]],
    );
}

#[test]
fn an_unchanged_save_keeps_a_waiting_deploy() {
    check_with(
        Policy { concurrency: NonZeroUsize::MIN, ..policy() },
        Ledger::default(),
        "0ms given a=v1 b=v1
         5000ms rescan: nothing
         5030ms write b v1
         5040ms write b v2
         5050ms write b v1
         5060ms #1 absent
         5070ms #2 created a
         5090ms #3 absent",
        &expect![[r#"
            5000ms rescan: nothing
                  pass todo=2
                  a sending why=missing_on_server
                  #1 get a
            5030ms write b v1
                  b waiting reason=Turn
            5040ms write b v2
                  b superseded
                  b waiting reason=Turn
            5050ms write b v1
                  b superseded
                  b waiting reason=Turn
            5060ms #1 absent
                  #2 create a v1
            5070ms #2 created a
                  archive v1
                  a created again=true ms=68
                  b sending why=missing_on_server
                  #3 get b
                  save
            5090ms #3 absent
                  #4 create b v1
        "#]],
    );
}

/// Somebody copies a folder, and then edits a file.
#[test]
fn the_newest_save_goes_first() {
    check_with(
        Policy { concurrency: NonZeroUsize::MIN, ..policy() },
        Ledger::default(),
        "0ms given a=v1 b=v1 c=v1 d=v1
         5000ms write a v2
         5000ms write b v2
         5000ms write c v2
         5100ms write d v2
         5101ms #1 row a v1
         5102ms #2 row a v2
         5103ms #3 row d v1
         5104ms #4 row d v2",
        &expect![[r#"
            5000ms write a v2
                  a sending why=edited
                  #1 get a
            5000ms write b v2
                  b waiting reason=Turn
            5000ms write c v2
                  c waiting reason=Turn
            5100ms write d v2
                  d waiting reason=Turn
            5101ms #1 row a v1
                  #2 update a v2
            5102ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=102
                  d sending why=edited
                  #3 get d
                  save
            5103ms #3 row d v1
                  #4 update d v2
            5104ms #4 row d v2
                  archive v2
                  d updated active=true from_version=v1 ms=4
                  b sending why=edited
                  #5 get b
                  save
        "#]],
    );
}

#[test]
fn a_waiting_plugin_that_breaks_is_not_deployed() {
    check(
        "0ms given a=v1 b=v1 c=v1
         5000ms write a v2
         5000ms write b v2
         5000ms write c v2
         5001ms edit c broken
         5001ms rescan
         5002ms #1 row a v1
         5002ms #2 row b v1
         5003ms #3 connected
         5004ms #6 rows a=v1 b=v1 c=v1
         5005ms #4 row a v2
         5006ms #5 row b v2",
        &expect![[r#"
            5000ms write a v2
                  a sending why=edited
                  #1 get a
            5000ms write b v2
                  b sending why=edited
                  #2 get b
            5000ms write c v2
                  c waiting reason=Turn
            5001ms edit c broken
            5001ms rescan
                  #3 connect
                  c flawed column=14 line=1 reason=syntax
            5002ms #1 row a v1
                  #4 update a v2
            5002ms #2 row b v1
                  #5 update b v2
            5003ms #3 connected
                  #6 overview of functions
            5004ms #6 rows a=v1 b=v1 c=v1
            5005ms #4 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=5
                  save
            5006ms #5 row b v2
                  archive v2
                  b updated active=true from_version=v1 ms=6
                  summary ms=5 skipped=1 updated=2
                  save
        "#]],
    );
}

/// An editor may move the file aside and write a new one: this is one save, and its formatter has yet to run.
#[test]
fn changes_within_a_moment_are_one_save() {
    check(
        "0ms given a=v1
         5000ms given deployed a v2
         5300ms delete a
         5304ms write a v3
         5340ms write a v4
         5341ms #1 row a v2",
        &expect![[r#"
            5300ms delete a
            5304ms write a v3
            5340ms write a v4
                  a sending why=edited
                  #1 get a
            5341ms #1 row a v2
                  #2 update a v4
        "#]],
    );
}

/// Saving a function that is off has no effect, and its author should know why.
#[test]
fn a_save_of_an_inactive_function_says_so() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 off
         12ms #2 row a v2 off
         5000ms saving a
         5001ms #3 row a v2 off
         5002ms write a v2",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1 off
                  #2 update a v2
            12ms #2 row a v2 off
                  archive v2
                  a updated from_version=v1 ms=2
                  save
            5000ms saving a
                  #3 get a
            5001ms #3 row a v2 off
            5002ms write a v2
                  a unchanged
        "#]],
    );
}

/// Somebody switched it on during the deploy.
#[test]
fn a_function_switched_on_meanwhile_is_not_reported_as_off() {
    let log = log_of(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 off
         12ms #2 row a v2",
    );
    assert!(log.ends_with("a updated active=true from_version=v1 ms=2\n      save\n"), "{log}");
}
