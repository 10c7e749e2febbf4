//! Texts that are certain to break the plugin, where `check.block` holds them back.

use expect_test::expect;
use owui_watch::check::{Choice, Choices};
use owui_watch::engine::Policy;
use owui_watch::engine::ledger::Ledger;

use super::{check, check_with};
use crate::support::policy::policy;

fn blocking() -> Policy {
    Policy { checks: Choices { all: Choice { block: true, ..Choice::default() }, ..Choices::default() }, ..policy() }
}

#[test]
fn a_text_with_errors_is_held_back_until_it_is_good_or_wanted() {
    check_with(
        blocking(),
        Ledger::default(),
        "0ms given a=v1
         10ms write a mistaken
         2000ms write a v2
         2001ms #1 row a v1
         2002ms #2 row a v2
         4000ms write a mistaken
         6000ms deploy a
         6001ms #3 row a v2
         6002ms #4 row a mistaken
         8000ms write a mistaken
         9000ms stop",
        &expect![[r#"
            10ms write a mistaken
                  a blocked column=16 line=8 reason=undefined-name
            2000ms write a v2
                  a sending why=edited
                  #1 get a
            2001ms #1 row a v1
                  #2 update a v2
            2002ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  save
            4000ms write a mistaken
                  a blocked column=16 line=8 reason=undefined-name
            6000ms deploy a
                  a sending why=forced
                  #3 get a
            6001ms #3 row a v2
                  #4 update a mistaken
            6002ms #4 row a mistaken
                  archive mistaken
                  a updated active=true from_version=v2 ms=2
                  save
            8000ms write a mistaken
                  a unchanged
            9000ms stop
                  stopping
                  stopped
                  exit Fine
        "#]],
    );
}

#[test]
fn a_text_with_errors_is_not_good_again() {
    check_with(
        blocking(),
        Ledger::default(),
        "0ms given a=mistaken
         10ms write a unawaited
         2000ms write a mistaken",
        &expect![[r#"
            10ms write a unawaited
                  a blocked column=16 line=8 reason=missing-await
            2000ms write a mistaken
                  a unchanged
        "#]],
    );
}

#[test]
fn without_the_setting_a_text_with_errors_is_sent() {
    check(
        "0ms given a=v1
         10ms write a mistaken",
        &expect![[r#"
            10ms write a mistaken
                  a sending why=edited
                  #1 get a
        "#]],
    );
}

/// The coroutine of this text is one since 0.9.
#[test]
fn the_servers_version_decides_what_is_an_error() {
    check_with(
        blocking(),
        Ledger::default(),
        "0ms edit a unawaited
         0ms rescan: 0.8.12 b=v1
         10ms #1 created a",
        &expect![[r#"
            0ms edit a unawaited
            0ms rescan: 0.8.12 b=v1
                  ready plugins=1 roots=["plugins"]
                  connected server_version=0.8.12
                  untested server_version=0.8.12
                  pass todo=1
                  a sending why=new
                  #1 create a unawaited
            10ms #1 created a
                  archive unawaited
                  a created ms=8
                  summary created=1 ms=10
                  save
        "#]],
    );
    check_with(
        blocking(),
        Ledger::default(),
        "0ms edit a unawaited
         0ms rescan: 0.9.6 b=v1
         10ms stop",
        &expect![[r#"
            0ms edit a unawaited
            0ms rescan: 0.9.6 b=v1
                  ready plugins=1 roots=["plugins"]
                  connected server_version=0.9.6
                  a blocked column=16 line=8 reason=missing-await
                  summary held=1 ms=2
            10ms stop
                  stopping
                  stopped held=1
                  exit Fine
        "#]],
    );
}

#[test]
fn a_file_may_be_exempt() {
    let mut policy = blocking();
    policy.checks.files.insert("plugins/a.py".into(), Choice::default());
    check_with(
        policy,
        Ledger::default(),
        "0ms given a=v1 b=v1
         10ms write a mistaken
         11ms write b mistaken",
        &expect![[r#"
            10ms write a mistaken
                  a sending why=edited
                  #1 get a
            11ms write b mistaken
                  b blocked column=16 line=8 reason=undefined-name
        "#]],
    );
}

#[test]
fn a_text_with_errors_waits_for_no_deploy_in_flight() {
    check_with(
        blocking(),
        Ledger::default(),
        "0ms given a=v1
         1000ms given sent a v2
         2000ms write a mistaken
         2001ms #1 row a v2
         2002ms stop",
        &expect![[r#"
            2000ms write a mistaken
                  a blocked column=16 line=8 reason=undefined-name
            2001ms #1 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=1001
                  save
            2002ms stop
                  stopping
                  stopped held=1
                  exit Fine
        "#]],
    );
}

#[test]
fn away_is_told_before_errors_are() {
    check_with(
        blocking(),
        Ledger::default(),
        "0ms given a=v1
         1000ms given away a v2
         2000ms write a mistaken
         2001ms wake: a=v1
         5000ms rescan: a=v1",
        &expect![[r#"
            2000ms write a mistaken
                  a waiting reason=Away
            2001ms wake: a=v1
                  a blocked column=16 line=8 reason=undefined-name
                  back away_ms=1002
            5000ms rescan: a=v1
                  a blocked column=16 line=8 reason=undefined-name
                  summary held=1 ms=2
        "#]],
    );
}
