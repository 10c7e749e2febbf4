//! Repairs of what a refused deploy or a crash switched off, or left running, on an old server.
//!
//! Long: every test is a whole script of events and effects.

use std::collections::BTreeMap;

use expect_test::expect;
use owui_watch::engine::ledger::{SavedState, UpdateIntent};
use owui_watch::plugin::{Digest, Key};

use super::{check, check_with, force, key, log_of, old_server, play, policy, source};

fn intents(sent: &str, replaced: &str) -> BTreeMap<Key, UpdateIntent> {
    let digest = |version| Digest::of_text(&source("a", version));
    let (sent, replaced) = (digest(sent), digest(replaced));
    BTreeMap::from([(key("a"), UpdateIntent { ours: vec![sent], replaced: Some(replaced), was_active: true })])
}

#[test]
fn an_intent_is_saved_before_an_old_server_is_updated() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 old
         12ms #2 saved
         13ms #3 refused boom
         14ms #4 row a v1 old off
         15ms #5 row a v1 old off
         16ms #6 row a v1 old",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1 old
                  #2 save intent: a is on
            12ms #2 saved
                  #3 update a v2
            13ms #3 refused boom
                  #4 get a
            14ms #4 row a v1 old off
                  #5 update a v1
            15ms #5 row a v1 old off
                  #6 toggle a
            16ms #6 row a v1 old
                  a refused ms=6 old_version=running words=boom
                  a restored
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn without_an_intent_nothing_is_sent() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 old
         12ms #2 not-saved",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1 old
                  #2 save intent: a is on
            12ms #2 not-saved
                  a failed ms=2 reason=backup_failed
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn a_function_left_off_by_a_crash_is_switched_on() {
    check_with(
        policy(),
        SavedState { ledger: old_server(), intents: intents("v2", "v1"), ..SavedState::default() },
        "0ms edit a v2
         0ms rescan: 0.11.4 a=v1
         3ms #1 row a v1 old off
         4ms #2 row a v1 old off
         5ms #3 row a v1 old
         6ms #4 row a v1 old",
        &expect![[r#"
            0ms edit a v2
            0ms rescan: 0.11.4 a=v1
                  ready plugins=1 roots=["plugins"]
                  connected server_version=0.11.4
                  pass todo=1
                  #1 get a
            3ms #1 row a v1 old off
                  #2 update a v1
            4ms #2 row a v1 old off
                  #3 toggle a
            5ms #3 row a v1 old
                  a restored
                  a sending why=edited
                  #4 get a
                  save
                  clear intent of a
            6ms #4 row a v1 old
                  #5 save intent: a is on
        "#]],
    );
}

#[test]
fn a_crash_is_repaired_without_the_file() {
    check_with(
        policy(),
        SavedState { ledger: old_server(), intents: intents("v2", "v1"), ..SavedState::default() },
        "0ms rescan
         1ms #1 connected 0.11.4
         2ms #2 row a v1 old off
         3ms #3 row a v1 old off
         4ms #4 row a v1 old",
        &expect![[r#"
            0ms rescan
                  #1 connect
                  ready roots=["plugins"]
                  nothing_found roots=["plugins"]
            1ms #1 connected 0.11.4
                  connected server_version=0.11.4
                  #2 get a
            2ms #2 row a v1 old off
                  #3 update a v1
            3ms #3 row a v1 old off
                  #4 toggle a
            4ms #4 row a v1 old
                  a restored
                  summary ms=4
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn a_plugin_edited_since_the_crash_is_left_alone() {
    check_with(
        policy(),
        SavedState { ledger: old_server(), intents: intents("v2", "v1"), ..SavedState::default() },
        "0ms rescan
         1ms #1 connected 0.11.4
         2ms #2 row a v9 old off",
        &expect![[r#"
            0ms rescan
                  #1 connect
                  ready roots=["plugins"]
                  nothing_found roots=["plugins"]
            1ms #1 connected 0.11.4
                  connected server_version=0.11.4
                  #2 get a
            2ms #2 row a v9 old off
                  a recovered
                  summary ms=2
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn an_update_lost_in_an_outage_is_repaired_first() {
    check(
        "0ms given 0.11.4 a=v1
         10ms given lost a v2
         600ms wake: 0.11.4 a=v1
         603ms #1 row a v1 old off
         604ms #2 row a v1 old off
         605ms #3 row a v1 old
         606ms #4 row a v1 old
         607ms #5 saved
         608ms #6 row a v2 old",
        &expect![[r#"
            600ms wake: 0.11.4 a=v1
                  #1 get a
            603ms #1 row a v1 old off
                  #2 update a v1
            604ms #2 row a v1 old off
                  #3 toggle a
            605ms #3 row a v1 old
                  back away_ms=591 waiting=1
                  a restored
                  a sending why=retry
                  #4 get a
                  save
                  clear intent of a
            606ms #4 row a v1 old
                  #5 save intent: a is on
            607ms #5 saved
                  #6 update a v2
            608ms #6 row a v2 old
                  archive v2
                  a updated active=true from_version=v1 ms=3
                  save
                  clear intent of a
        "#]],
    );
}

/// No server version changes the switch when it accepts a text, so somebody else did.
#[test]
fn a_function_switched_off_during_an_update_stays_off() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 row a v2 off",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 row a v2 off
                  archive v2
                  a updated from_version=v1 ms=2
                  save
        "#]],
    );
    let versioned_and_lost = "0ms given a=v1
         10ms given sent a v2
         12ms #1 lost
         13ms #2 row a v1 off";
    check(
        versioned_and_lost,
        &expect![[r#"
            12ms #1 lost
                  #2 get a
            13ms #2 row a v1 off
                  unreachable cause="no answer" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
        "#]],
    );
}

/// A refused connection changes nothing on the server. A leftover intent would later undo what an admin does.
#[test]
fn an_update_that_certainly_failed_clears_its_intent() {
    check_with(
        policy(),
        old_server(),
        "0ms edit a v2
         0ms given start 0.9.6 a=v1
         3ms given sent a
         5ms #1 unreachable",
        &expect![[r#"
            5ms #1 unreachable
                  unreachable cause="connection refused" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
                  clear intent of a
        "#]],
    );
}

/// The server runs the text but could not store it: the old text is loaded again after the outage.
#[test]
fn a_text_run_but_not_stored_is_repaired() {
    check_with(
        policy(),
        old_server(),
        "0ms edit a v2
         0ms given start 0.9.6 a=v1
         3ms given sent a
         5ms #1 stumbled
         505ms wake: 0.9.6 a=v1
         508ms #2 row a v1 old
         509ms #3 row a v1 old
         510ms #4 row a v1 old",
        &expect![[r#"
            5ms #1 stumbled
                  unreachable cause="the server's database is locked" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
            505ms wake: 0.9.6 a=v1
                  #2 get a
            508ms #2 row a v1 old
                  #3 update a v1
            509ms #3 row a v1 old
                  back away_ms=504 waiting=1
                  a recovered
                  a sending why=retry
                  #4 get a
                  save
                  clear intent of a
            510ms #4 row a v1 old
                  #5 save intent: a is on
        "#]],
    );
}

/// For example because a module that it needs is gone.
#[test]
fn a_forced_text_that_the_server_holds_can_be_refused() {
    check_with(
        force(),
        old_server(),
        "0ms edit a v1
         0ms given start 0.9.6 a=v1
         3ms given sent a
         5ms #1 refused No module named 'x'
         6ms #2 row a v1 old off
         7ms #3 refused No module named 'x'
         8ms #4 row a v1 old off
         9ms #5 row a v1 old",
        &expect![[r#"
            5ms #1 refused No module named 'x'
                  #2 get a
            6ms #2 row a v1 old off
                  #3 update a v1
            7ms #3 refused No module named 'x'
                  #4 get a
            8ms #4 row a v1 old off
                  #5 toggle a
            9ms #5 row a v1 old
                  a refused ms=7 old_version=running words="No module named 'x'"
                  a restored
                  summary ms=9 refused=1
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn a_failed_repair_is_retried_after_an_outage() {
    check_with(
        policy(),
        old_server(),
        "0ms edit a v2
         0ms given start 0.9.6 a=v1
         3ms given refused a
         8ms #1 unreachable
         508ms wake: 0.9.6 a=v1
         511ms #2 row a v1 old off
         512ms #3 row a v1 old off
         513ms #4 row a v1 old",
        &expect![[r#"
            8ms #1 unreachable
                  a refused ms=6 words=boom
                  a went_off cause="connection refused"
                  unreachable cause="connection refused" next_ms=500
                  save
            508ms wake: 0.9.6 a=v1
                  a refused_before on_server=true words=boom
                  #2 get a
            511ms #2 row a v1 old off
                  #3 update a v1
            512ms #3 row a v1 old off
                  #4 toggle a
            513ms #4 row a v1 old
                  back away_ms=505
                  a restored
                  summary ms=513 refused=1
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn a_denied_repair_is_retried_at_the_next_pass() {
    check_with(
        policy(),
        old_server(),
        "0ms edit a v2
         0ms given start 0.9.6 a=v1
         3ms given refused a
         8ms #1 not-allowed
         5000ms rescan: 0.9.6 a=v1
         5003ms #2 row a v1 old off
         5004ms #3 row a v1 old off
         5005ms #4 row a v1 old",
        &expect![[r#"
            8ms #1 not-allowed
                  a refused ms=6 words=boom
                  a went_off cause="401 Unauthorized"
                  unreachable cause="401 Unauthorized" next_ms=500
                  save
            5000ms rescan: 0.9.6 a=v1
                  ready plugins=1 roots=["plugins"]
                  a refused_before on_server=true words=boom
                  #2 get a
            5003ms #2 row a v1 old off
                  #3 update a v1
            5004ms #3 row a v1 old off
                  #4 toggle a
            5005ms #4 row a v1 old
                  back away_ms=4997
                  a restored
                  summary ms=5 refused=1
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn a_lost_toggle_is_repeated() {
    check(
        "0ms given 0.9.6 a=v1
         10ms given refused a v2
         16ms #1 lost
         17ms #2 row a v1 old off
         18ms #3 row a v1 old",
        &expect![[r#"
            16ms #1 lost
                  #2 get a
            17ms #2 row a v1 old off
                  #3 toggle a
            18ms #3 row a v1 old
                  a refused ms=8 old_version=running words=boom
                  a restored
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn toggles_that_stay_lost_count_as_an_outage() {
    check(
        "0ms given 0.9.6 a=v1
         10ms given refused a v2
         16ms #1 lost
         17ms #2 row a v1 old off
         18ms #3 lost
         19ms #4 row a v1 old off
         20ms #5 lost
         21ms #6 row a v1 old off
         22ms #7 lost
         23ms #8 row a v1 old off
         523ms wake",
        &expect![[r#"
            16ms #1 lost
                  #2 get a
            17ms #2 row a v1 old off
                  #3 toggle a
            18ms #3 lost
                  #4 get a
            19ms #4 row a v1 old off
                  #5 toggle a
            20ms #5 lost
                  #6 get a
            21ms #6 row a v1 old off
                  #7 toggle a
            22ms #7 lost
                  #8 get a
            23ms #8 row a v1 old off
                  a refused ms=13 words=boom
                  a went_off cause="no answer came"
                  unreachable cause="no answer came" next_ms=500
                  save
            523ms wake
                  #9 connect
        "#]],
    );
}

#[test]
fn a_repair_does_not_resend_a_refused_text() {
    let memory = SavedState { intents: intents("v2", "v1"), ..old_server().into() };
    let mut run = play(
        policy(),
        memory,
        "0ms edit a v2
         0ms rescan: 0.9.6 a=v1
         3ms #1 row a v1 old
         4ms #2 row a v1 old
         5ms #3 row a v1 old
         6ms #4 saved
         7ms #5 refused boom
         8ms #6 row a v1 old off
         9ms #7 row a v1 old off
         10ms #8 not-allowed",
    );
    run.go_on(
        "5000ms rescan: 0.9.6 a=v1
         6000ms rescan: 0.9.6 a=v1
         6003ms #1 row a v1 old off
         6004ms #2 row a v1 old off
         6005ms #3 row a v1 old",
    );
    expect![[r#"
        5000ms rescan: 0.9.6 a=v1
              ready plugins=1 roots=["plugins"]
              a refused_before on_server=true words=boom
              #1 get a
        6000ms rescan: 0.9.6 a=v1
              ready plugins=1 roots=["plugins"]
              a refused_before on_server=true words=boom
              back away_ms=5992
        6003ms #1 row a v1 old off
              #2 update a v1
        6004ms #2 row a v1 old off
              #3 toggle a
        6005ms #3 row a v1 old
              a restored
              summary ms=5 refused=1
              save
              clear intent of a
    "#]]
    .assert_eq(run.log());
}

/// While the update is in flight, somebody else, for example a rollback, replaces the text. The refusal still switches the
/// function off.
#[test]
fn a_refusal_that_switched_another_text_off_is_noticed() {
    let log = log_of(
        "0ms given 0.9.6 a=v1
         5000ms given sent a v2
         5002ms #1 refused no
         5003ms #2 row a v0 old off
         5004ms #3 row a v0 old off",
    );
    assert!(log.contains("#3 update a v0"), "which text runs is unknown, and v0 is not loaded again:\n{log}");
    assert!(log.contains("toggle a") || log.contains("went_off"), "it is off, and nobody knows:\n{log}");
}
