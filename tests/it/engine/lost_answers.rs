//! Requests whose answer is lost: their effect is read back, and they are not repeated blindly.

use std::collections::BTreeMap;

use expect_test::expect;
use owui_watch::engine::ledger::{Ledger, SavedState, UpdateIntent};
use owui_watch::plugin::Digest;

use super::{after, check, check_with, hold, key, log_of, log_of_with, old_server, play, source};

/// The answer was lost, and nobody saw the text on the server before the next one replaces it.
#[test]
fn an_unconfirmed_text_is_archived_before_it_is_replaced() {
    check(
        "0ms given a=v1
         5000ms given lost a v2
         5100ms write a v3
         5600ms wake: a=v2
         5603ms #1 row a v2
         5604ms #2 row a v3",
        &expect![[r#"
            5100ms write a v3
            5600ms wake: a=v2
                  a waiting reason=Away
                  a sending why=edited
                  #1 get a
            5603ms #1 row a v2
                  archive v2
                  #2 update a v3
            5604ms #2 row a v3
                  back away_ms=601 waiting=1
                  archive v3
                  a updated active=true from_version=v2 ms=2
                  save
        "#]],
    );
}

#[test]
fn an_update_without_an_answer_is_read_back() {
    check(
        "0ms given a=v2
         10ms write a v3
         11ms #1 row a v2
         12ms #2 lost
         13ms #3 row a v3
         2000ms write a v4
         2001ms #4 row a v3
         2002ms #5 lost
         2003ms #6 row a v3
         2503ms wake: a=v3
         2506ms #7 row a v3
         2507ms #8 row a v4",
        &expect![[r#"
            10ms write a v3
                  a sending why=edited
                  #1 get a
            11ms #1 row a v2
                  #2 update a v3
            12ms #2 lost
                  #3 get a
            13ms #3 row a v3
                  archive v3
                  a updated active=true from_version=v2 ms=3
                  save
            2000ms write a v4
                  a sending why=edited
                  #4 get a
            2001ms #4 row a v3
                  #5 update a v4
            2002ms #5 lost
                  #6 get a
            2003ms #6 row a v3
                  unreachable cause="no answer" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
            2503ms wake: a=v3
                  a sending why=retry
                  #7 get a
            2506ms #7 row a v3
                  #8 update a v4
            2507ms #8 row a v4
                  back away_ms=504 waiting=1
                  archive v4
                  a updated active=true from_version=v3 ms=2
                  save
        "#]],
    );
}

#[test]
fn a_create_without_an_answer_is_read_back() {
    check(
        "0ms given new a=v1
         4ms #1 lost
         5ms #2 row a v1",
        &expect![[r#"
            4ms #1 lost
                  #2 get a
            5ms #2 row a v1
                  archive v1
                  a created active=true ms=3
                  summary created=1 ms=5
                  save
        "#]],
    );
}

#[test]
fn a_text_sent_without_an_answer_counts_as_ours() {
    check_with(
        hold(),
        Ledger::default(),
        "0ms given a=v1
         10ms given lost a v2
         20ms write a v3
         514ms wake: a=v2
         517ms #1 row a v2
         518ms #2 row a v2",
        &expect![[r#"
            20ms write a v3
            514ms wake: a=v2
                  a waiting reason=Away
                  #1 get a
            517ms #1 row a v2
                  back away_ms=503 waiting=1
                  a recovered
                  a sending why=edited
                  #2 get a
                  save
                  clear intent of a
            518ms #2 row a v2
                  archive v2
                  #3 save intent: a is off
        "#]],
    );
}

/// The program was killed after it sent the text, before it recorded that.
#[test]
fn a_text_sent_before_a_crash_counts_as_ours() {
    let sent = Digest::of_text(&source("a", "v2"));
    let intents = BTreeMap::from([(key("a"), UpdateIntent { ours: vec![sent], replaced: None, was_active: true })]);
    let memory = SavedState { intents, ..old_server().into() };
    let run = play(
        hold(),
        memory,
        "0ms edit a v3
         0ms rescan: a=v2
         3ms #1 row a v2
         4ms #2 row a v2",
    );
    expect![[r#"
        0ms edit a v3
        0ms rescan: a=v2
              ready plugins=1 roots=["plugins"]
              connected server_version=0.12.4
              pass todo=1
              #1 get a
        3ms #1 row a v2
              a recovered
              a sending why=edited
              #2 get a
              save
              clear intent of a
        4ms #2 row a v2
              archive v2
              #3 save intent: a is off
    "#]]
    .assert_eq(run.log());
}

#[test]
fn a_text_that_got_no_answer_twice_is_refused() {
    check(
        "0ms given a=v1
         10ms given lost a v2
         600ms wake: a=v1
         603ms #1 row a v1
         604ms #2 lost
         605ms #3 unreachable
         1700ms wake: a=v1
         5000ms write a v3
         5001ms #4 row a v1",
        &expect![[r#"
            600ms wake: a=v1
                  a sending why=retry
                  #1 get a
            603ms #1 row a v1
                  #2 update a v2
            604ms #2 lost
                  #3 get a
            605ms #3 unreachable
                  still_unreachable attempt=2 cause="no answer" next_ms=1000
                  a refused ms=3 unanswered="no answer"
                  save
            1700ms wake: a=v1
                  back away_ms=1689
            5000ms write a v3
                  a sending why=edited
                  #4 get a
            5001ms #4 row a v1
                  #5 update a v3
        "#]],
    );
}

#[test]
fn earlier_overviews_are_not_believed_during_an_outage() {
    let log = log_of_with(
        hold(),
        Ledger::default(),
        "0ms given a=v1
         5000ms edit a v2
         5000ms given start a=v1
         5003ms given lost a
         5006ms write a v1
         5156ms wake
         5600ms wake: a=v2
         5603ms #1 row a v2
         5604ms #2 row a v2",
    );
    assert!(
        !log.contains("remote_edit") && !after(&log, "5156ms wake").contains("a unchanged"),
        "our own v2 is taken for a remote edit:\n{log}"
    );
}

#[test]
fn two_broken_connections_are_no_refusal() {
    let log = log_of(
        "0ms given a=v1
         5000ms given sent a v2
         5002ms #1 lost
         5003ms #2 row a v1
         5503ms wake: a=v1
         5506ms #3 row a v1
         5507ms #4 lost
         5508ms #5 row a v1
         6508ms wake: a=v1
         9000ms write a v2",
    );
    assert!(after(&log, "6508ms").contains("a sending"), "never sent again:\n{log}");
}

/// The server took it after all. Somebody removed it later.
#[test]
fn a_text_seen_on_the_server_may_be_sent_again() {
    check(
        "0ms given a=v1
         10ms given lost a v2
         600ms wake: a=v2
         5000ms rescan: nothing
         5003ms #1 absent
         5004ms #2 lost
         5005ms #3 absent",
        &expect![[r#"
            600ms wake: a=v2
                  archive v2
                  a unchanged active=true
                  back away_ms=589
                  save
            5000ms rescan: nothing
                  pass todo=1
                  a sending why=missing_on_server
                  #1 get a
            5003ms #1 absent
                  #2 create a v2
            5004ms #2 lost
                  #3 get a
            5005ms #3 absent
                  unreachable cause="no answer" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
        "#]],
    );
}

#[test]
fn a_function_switched_off_by_a_lost_update_is_repaired() {
    check(
        "0ms given 0.11.4 a=v1
         5000ms given sent a v2
         5002ms #1 lost
         5003ms #2 row a v1 old off
         5004ms #3 row a v1 old off
         5005ms #4 row a v1 old
         6005ms wake
         6006ms #5 row a v1 old
         6006ms #6 saved
         6007ms #7 row a v2 old",
        &expect![[r#"
            5002ms #1 lost
                  #2 get a
            5003ms #2 row a v1 old off
                  #3 update a v1
            5004ms #3 row a v1 old off
                  #4 toggle a
            5005ms #4 row a v1 old
                  a retrying next_ms=1000 words="no answer"
                  a restored
                  save
                  clear intent of a
            6005ms wake
                  a sending why=retry
                  #5 get a
            6006ms #5 row a v1 old
                  #6 save intent: a is on
            6006ms #6 saved
                  #7 update a v2
            6007ms #7 row a v2 old
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn a_text_refused_without_answers_still_counts_as_ours() {
    check_with(
        hold(),
        Ledger::default(),
        "0ms given a=v1
         5000ms given sent a v2
         5002ms #1 lost
         5003ms #2 lost
         5600ms wake: a=v1
         5603ms #3 row a v1
         5604ms #4 row a v1
         5605ms #5 saved
         5606ms #6 lost
         5607ms #7 lost
         5700ms write a v3
         6200ms wake: a=v2
         6203ms #8 row a v2
         6204ms #9 row a v2
         6205ms #10 saved
         6206ms #11 row a v3",
        &expect![[r#"
            5002ms #1 lost
                  #2 get a
            5003ms #2 lost
                  unreachable cause="no answer" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
            5600ms wake: a=v1
                  #3 get a
            5603ms #3 row a v1
                  back away_ms=600 waiting=1
                  a recovered
                  a sending why=retry
                  #4 get a
                  save
                  clear intent of a
            5604ms #4 row a v1
                  #5 save intent: a is off
            5605ms #5 saved
                  #6 update a v2
            5606ms #6 lost
                  #7 get a
            5607ms #7 lost
                  unreachable cause="no answer" next_ms=500 waiting=1
                  a refused ms=4 unanswered="no answer"
                  save
            5700ms write a v3
            6200ms wake: a=v2
                  a waiting reason=Away
                  #8 get a
            6203ms #8 row a v2
                  back away_ms=596 waiting=1
                  a recovered
                  a sending why=edited
                  #9 get a
                  save
                  clear intent of a
            6204ms #9 row a v2
                  archive v2
                  #10 save intent: a is off
            6205ms #10 saved
                  #11 update a v3
            6206ms #11 row a v3
                  archive v3
                  a updated active=true from_version=v2 ms=3
                  save
                  clear intent of a
        "#]],
    );
}
