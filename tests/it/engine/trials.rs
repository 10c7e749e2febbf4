//! Trials after deploys.

use std::time::Duration;

use expect_test::{Expect, expect};
use owui_watch::engine::ledger::Ledger;
use owui_watch::engine::{Policy, TrialOutcome, TrialPolicy};
use owui_watch::notice::{TrialFailure, TrialResult, Tried, Untried};

use super::{check_with, path};
use crate::support::policy::policy;

/// The answer to a trial, in the words of a script.
pub(crate) fn outcome(words: &[&str]) -> TrialOutcome {
    let tried = |result| {
        let (asked, model, took) = ("hello".to_owned(), "m".to_owned(), Duration::ZERO);
        TrialOutcome::Tried(Box::new(Tried { asked, model, models: 1, took, result, is_shown: false }))
    };
    match words {
        ["works"] => tried(TrialResult::Works { answer: Some("HELLO".to_owned()), diff: None }),
        ["fails"] => tried(TrialResult::Fails(TrialFailure::new("nope"))),
        ["off"] => TrialOutcome::Not(Untried::Off),
        ["unable"] => TrialOutcome::Not(Untried::Impossible { why: "no model".to_owned(), remedy: None }),
        ["away"] => TrialOutcome::Not(Untried::NoServer { why: "timeout".to_owned() }),
        words => panic!("{words:?}"),
    }
}

/// These plugins have a table.
fn with_tables(ids: &[&str]) -> Policy {
    let tables = ids.iter().map(|id| (path(id).to_path_buf(), String::new())).collect();
    Policy { trials: Some(TrialPolicy { tables, plain: false }), ..policy() }
}

fn once(ids: &[&str]) -> Policy {
    Policy { once: Some(Duration::from_secs(30)), ..with_tables(ids) }
}

#[track_caller]
fn check(script: &str, expected: &Expect) {
    check_with(with_tables(&["a", "b", "c"]), Ledger::default(), script, expected);
}

#[test]
fn a_deployed_plugin_is_tried() {
    check(
        "0ms given a=v1 d=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 row a v2
         20ms #3 works
         30ms write d v2
         31ms #4 row d v1
         32ms #5 row d v2
         4000ms write a v2",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  a trying
                  #3 try a v2
                  save
            20ms #3 works
                  a works answer=HELLO model=m
            30ms write d v2
                  d sending why=edited
                  #4 get d
            31ms #4 row d v1
                  #5 update d v2
            32ms #5 row d v2
                  archive v2
                  d updated active=true from_version=v1 ms=2
                  save
            4000ms write a v2
                  a unchanged
        "#]],
    );
}

#[test]
fn a_newer_save_ends_the_trial() {
    check(
        "0ms given a=v1
         10ms given deployed a v2
         2000ms write a v3
         2001ms #2 row a v2
         2002ms #3 row a v3
         2010ms #4 works",
        &expect![[r#"
            2000ms write a v3
                  a sending why=edited
                  #2 get a
                  end #1
            2001ms #2 row a v2
                  #3 update a v3
            2002ms #3 row a v3
                  archive v3
                  a updated active=true from_version=v2 ms=2
                  a trying
                  #4 try a v3
                  save
            2010ms #4 works
                  a works answer=HELLO model=m
        "#]],
    );
}

#[test]
fn a_broken_file_ends_the_trial_until_it_is_mended() {
    check(
        "0ms given a=v1
         10ms given deployed a v2
         2000ms write a broken
         4000ms write a v2
         4010ms #2 works",
        &expect![[r#"
            2000ms write a broken
                  a flawed column=14 line=1 reason=syntax
                  end #1
            4000ms write a v2
                  a unchanged good_again=true
                  a trying
                  #2 try a v2
            4010ms #2 works
                  a works answer=HELLO model=m
        "#]],
    );
}

#[test]
fn a_text_that_fails_is_tried_again_unchanged() {
    check(
        "0ms given a=v1
         10ms given deployed a v2
         20ms #1 fails
         2000ms write a v2
         2010ms #2 works
         4000ms write a v2",
        &expect![[r#"
            20ms #1 fails
                  a fails model=m words=nope
            2000ms write a v2
                  a unchanged
                  a trying
                  #2 try a v2
            2010ms #2 works
                  a works answer=HELLO model=m
            4000ms write a v2
                  a unchanged
        "#]],
    );
}

#[test]
fn trials_wait_for_deploys_and_for_each_other() {
    check(
        "0ms given a=v1 b=v1 c=v1
         10ms write a v2
         10ms write b v2
         10ms write c v2
         11ms #1 row a v1
         12ms #2 row b v1
         13ms #3 row a v2
         14ms #5 row c v1
         15ms #4 row b v2
         16ms #6 row c v2
         20ms #8 works
         21ms #7 works
         22ms #9 works",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            10ms write b v2
                  b sending why=edited
                  #2 get b
            10ms write c v2
                  c waiting reason=Turn
            11ms #1 row a v1
                  #3 update a v2
            12ms #2 row b v1
                  #4 update b v2
            13ms #3 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=3
                  c sending why=edited
                  #5 get c
                  save
            14ms #5 row c v1
                  #6 update c v2
            15ms #4 row b v2
                  archive v2
                  b updated active=true from_version=v1 ms=5
                  save
            16ms #6 row c v2
                  archive v2
                  c updated active=true from_version=v1 ms=6
                  a trying
                  #7 try a v2
                  b trying
                  #8 try b v2
                  save
            20ms #8 works
                  b works answer=HELLO model=m
                  c trying
                  #9 try c v2
            21ms #7 works
                  a works answer=HELLO model=m
            22ms #9 works
                  c works answer=HELLO model=m
        "#]],
    );
}

#[test]
fn a_function_that_is_off_is_told_once() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 off
         12ms #2 row a v2 off
         2000ms write a v3
         2001ms #3 row a v2 off
         2002ms #4 row a v3 off
         4000ms write a v4
         4001ms #5 row a v3
         4002ms #6 row a v4
         4010ms #7 off",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1 off
                  #2 update a v2
            12ms #2 row a v2 off
                  archive v2
                  a updated from_version=v1 ms=2
                  a not_tried reason=off
                  save
            2000ms write a v3
                  a sending why=edited
                  #3 get a
            2001ms #3 row a v2 off
                  #4 update a v3
            2002ms #4 row a v3 off
                  archive v3
                  a updated from_version=v2 ms=2
                  save
            4000ms write a v4
                  a sending why=edited
                  #5 get a
            4001ms #5 row a v3
                  #6 update a v4
            4002ms #6 row a v4
                  archive v4
                  a updated active=true from_version=v3 ms=2
                  #7 try a v4
                  save
            4010ms #7 off
        "#]],
    );
}

#[test]
fn what_cannot_be_tried_is_told() {
    check(
        "0ms given a=v1
         10ms given deployed a v2
         20ms #1 unable
         2000ms write a v2
         2010ms #2 away",
        &expect![[r#"
            20ms #1 unable
                  a not_tried reason=impossible
            2000ms write a v2
                  a unchanged
                  a trying
                  #2 try a v2
            2010ms #2 away
                  a not_tried reason=no_server
        "#]],
    );
}

#[test]
fn new_settings_try_again_what_failed() {
    check(
        "0ms given a=v1
         10ms given deployed a v2
         20ms #1 fails
         2000ms rescan: a=v2
         2010ms #2 works",
        &expect![[r#"
            20ms #1 fails
                  a fails model=m words=nope
            2000ms rescan: a=v2
                  a unchanged active=true
                  a trying
                  #2 try a v2
                  summary ms=2 unchanged=1
            2010ms #2 works
                  a works answer=HELLO model=m
        "#]],
    );
}

#[test]
fn without_a_table_a_plain_message_is_enough() {
    check_with(
        Policy { trials: Some(TrialPolicy { plain: true, ..TrialPolicy::default() }), ..policy() },
        Ledger::default(),
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 row a v2
         20ms #3 works",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  a trying
                  #3 try a v2
                  save
            20ms #3 works
                  a works answer=HELLO model=m
        "#]],
    );
}

#[test]
fn a_single_pass_waits_for_trials_and_fails_with_them() {
    check_with(
        once(&["a", "b"]),
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v1
         0ms edit d v1
         0ms rescan: a=v1 b=v1
         3ms #1 created d
         10ms #2 fails
         20ms #3 works",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms edit d v1
            0ms rescan: a=v1 b=v1
                  connected server_version=0.12.4
                  archive v1, found
                  a unchanged active=true
                  archive v1, found
                  b unchanged active=true
                  pass todo=1
                  d sending why=new
                  #1 create d v1
                  save
            3ms #1 created d
                  archive v1
                  d created ms=1
                  a trying
                  #2 try a v1
                  b trying
                  #3 try b v1
                  summary created=1 ms=3 unchanged=2
                  save
            10ms #2 fails
                  a fails model=m words=nope
            20ms #3 works
                  b works answer=HELLO model=m
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn a_single_pass_is_fine_if_all_works_or_is_off() {
    check_with(
        once(&["a", "b"]),
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v1
         0ms rescan: a=v1 b=v1
         10ms #1 off
         20ms #2 works",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan: a=v1 b=v1
                  connected server_version=0.12.4
                  archive v1, found
                  a unchanged active=true
                  archive v1, found
                  b unchanged active=true
                  a trying
                  #1 try a v1
                  b trying
                  #2 try b v1
                  summary ms=2 unchanged=2
                  save
            10ms #1 off
                  a not_tried reason=off
            20ms #2 works
                  b works answer=HELLO model=m
                  exit Fine
        "#]],
    );
}

#[test]
fn a_stopped_pass_does_not_wait_for_trials() {
    check_with(
        once(&["a"]),
        Ledger::default(),
        "0ms edit a v1
         0ms rescan: a=v1
         10ms stop",
        &expect![[r#"
            0ms edit a v1
            0ms rescan: a=v1
                  connected server_version=0.12.4
                  archive v1, found
                  a unchanged active=true
                  a trying
                  #1 try a v1
                  summary ms=2 unchanged=1
                  save
            10ms stop
                  stopping
                  stopped
                  exit NotDeployed
        "#]],
    );
}
