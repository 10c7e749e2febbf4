//! Outages: a server that is away, fails, is not Open WebUI for a while, or comes back without its data.

use std::num::NonZeroUsize;
use std::time::Duration;

use expect_test::expect;
use owui_watch::engine::Policy;
use owui_watch::engine::ledger::Ledger;

use super::{after, check, check_with, force, log_of, play, policy};

#[test]
fn retries_back_off_and_send_only_the_newest_text() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 unreachable
         100ms write a v3
         200ms write a v4
         511ms wake
         512ms #2 unreachable
         1512ms wake
         1513ms #3 unreachable 20
         2000ms wake
         21513ms wake
         21514ms #4 connected
         21515ms #5 rows a=v1
         21516ms #6 row a v1
         21517ms #7 row a v4",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 unreachable
                  unreachable cause="connection refused" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
            100ms write a v3
            200ms write a v4
                  a waiting reason=Away
            511ms wake
                  #2 connect
            512ms #2 unreachable
                  still_unreachable attempt=2 cause="connection refused" next_ms=1000
            1512ms wake
                  #3 connect
            1513ms #3 unreachable 20
                  still_unreachable attempt=3 cause="too many requests" next_ms=20000
            2000ms wake
            21513ms wake
                  #4 connect
            21514ms #4 connected
                  #5 overview of functions
            21515ms #5 rows a=v1
                  a sending why=edited
                  #6 get a
            21516ms #6 row a v1
                  #7 update a v4
            21517ms #7 row a v4
                  back away_ms=21506 waiting=1
                  archive v4
                  a updated active=true from_version=v1 ms=2
                  save
        "#]],
    );
}

#[test]
fn an_outage_ends_only_with_a_deploy() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 unreachable
         512ms wake: a=v1
         515ms #3 row a v1
         516ms #4 unreachable
         1516ms wake: a=v1
         1519ms #5 row a v1
         1520ms #6 unreachable
         3520ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 unreachable
                  unreachable cause="connection refused" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
            512ms wake: a=v1
                  a sending why=retry
                  #3 get a
            515ms #3 row a v1
                  #4 update a v2
            516ms #4 unreachable
                  still_unreachable attempt=2 cause="connection refused" next_ms=1000
                  a waiting reason=Away
                  save
            1516ms wake: a=v1
                  a sending why=retry
                  #5 get a
            1519ms #5 row a v1
                  #6 update a v2
            1520ms #6 unreachable
                  still_unreachable attempt=3 cause="connection refused" next_ms=2000
                  a waiting reason=Away
                  save
            3520ms wake
                  #7 connect
        "#]],
    );
}

#[test]
fn a_server_that_lost_its_data_gets_every_plugin_again() {
    check(
        "0ms given a=v1 b=v1
         10ms given away a v2
         511ms wake: nothing
         514ms #1 absent
         515ms #2 absent",
        &expect![[r#"
            511ms wake: nothing
                  a sending why=retry
                  #1 get a
                  b sending why=missing_on_server
                  #2 get b
            514ms #1 absent
                  #3 create a v2
            515ms #2 absent
                  #4 create b v1
        "#]],
    );
}

/// The probe then fails.
#[test]
fn a_save_during_the_probe_of_an_outage_waits() {
    check(
        "0ms given a=v1
         10ms given away a v2
         2000ms wake
         2001ms write a v3
         2002ms #1 unreachable
         4000ms wake
         4001ms write a v4
         4002ms #2 connected
         4003ms #3 rows a=v1",
        &expect![[r#"
            2000ms wake
                  #1 connect
            2001ms write a v3
                  a waiting reason=Away
            2002ms #1 unreachable
                  still_unreachable attempt=2 cause="connection refused" next_ms=1000
            4000ms wake
                  #2 connect
            4001ms write a v4
                  a waiting reason=Away
            4002ms #2 connected
                  #3 overview of functions
            4003ms #3 rows a=v1
                  a sending why=edited
                  #4 get a
        "#]],
    );
}

#[test]
fn retry_after_is_obeyed_for_half_a_minute_at_most() {
    let script = format!("0ms edit a v1\n0ms rescan\n0ms #1 unreachable {}", u64::MAX);
    let run = play(policy(), Ledger::default(), &script);
    assert_eq!(run.driver.next_wake(), Some(Duration::from_secs(30)));
}

#[test]
fn a_save_ends_a_long_pause() {
    let mut run = play(
        policy(),
        Ledger::default(),
        "0ms given a=v1 b=v1 c=v1
         5000ms write a v2
         5001ms #1 unreachable 300
         5100ms write b v2",
    );
    // Saves in a row cause one try a second.
    assert_eq!(run.driver.next_wake(), Some(Duration::from_millis(6001)));
    run.go_on("6001ms wake\n6002ms #1 unreachable 300");
    assert_eq!(run.driver.next_wake(), Some(Duration::from_millis(36_002)));
    run.go_on("20000ms write c v1");
    assert_eq!(run.driver.next_wake(), Some(Duration::from_millis(36_002)), "nothing new was saved");
    run.go_on("20001ms write c v2\n20002ms wake");
    assert!(after(run.log(), "20002ms").contains("connect"), "{}", run.log());
}

#[test]
fn a_hang_up_ends_every_pause() {
    let mut run = play(
        policy(),
        Ledger::default(),
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 unreachable 300",
    );
    run.go_on("5002ms hang up");
    assert!(run.log().contains("connect"), "{}", run.log());
}

#[test]
fn the_last_text_sent_is_retried_last() {
    check_with(
        Policy { concurrency: NonZeroUsize::MIN, ..policy() },
        Ledger::default(),
        "0ms given a=v1 b=v1
         10ms edit b v2
         10ms given away a v2
         600ms write b v2
         700ms wake: a=v1 b=v1",
        &expect![[r#"
            600ms write b v2
                  b waiting reason=Away
            700ms wake: a=v1 b=v1
                  b sending why=edited
                  #1 get b
        "#]],
    );
}

#[test]
fn an_answer_that_is_not_open_webui_is_retried() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5010ms #1 foreign
         5600ms wake
         5610ms #2 foreign
         7000ms wake: a=v1
         7030ms #3 row a v1
         7040ms #4 row a v2",
        &expect![[r#"
            5000ms write a v2
                  a sending why=edited
                  #1 get a
            5010ms #1 foreign
                  not_open_webui status=200 words="a web page"
                  a waiting reason=Away
                  save
            5600ms wake
                  #2 connect
            5610ms #2 foreign
                  still_unreachable attempt=2 cause="a web page" next_ms=1000
            7000ms wake: a=v1
                  a sending why=retry
                  #3 get a
            7030ms #3 row a v1
                  #4 update a v2
            7040ms #4 row a v2
                  back away_ms=2030 waiting=1
                  archive v2
                  a updated active=true from_version=v1 ms=38
                  save
        "#]],
    );
    check_with(
        Policy { once: Some(Duration::from_secs(30)), ..policy() },
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         10ms #1 foreign",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            10ms #1 foreign
                  not_open_webui status=200 words="a web page"
                  exit NoServer
        "#]],
    );
}

/// A server with a full disk, for example, answers probes and fails at deploys: one outage, not one per probe.
#[test]
fn a_server_that_fails_only_at_deploys_is_reported_once() {
    check(
        "0ms given new a=v1
         4ms #1 unreachable
         504ms wake: nothing
         507ms #2 absent
         508ms #3 unreachable
         1508ms wake: nothing
         1511ms #4 absent
         1512ms #5 unreachable
         2000ms write a v2
         3512ms wake: nothing
         3515ms #6 absent
         3516ms #7 created a",
        &expect![[r#"
            4ms #1 unreachable
                  unreachable cause="connection refused" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
            504ms wake: nothing
                  a sending why=retry
                  #2 get a
            507ms #2 absent
                  #3 create a v1
            508ms #3 unreachable
                  still_unreachable attempt=2 cause="connection refused" next_ms=1000
                  a waiting reason=Away
                  save
            1508ms wake: nothing
                  a sending why=retry
                  #4 get a
            1511ms #4 absent
                  #5 create a v1
            1512ms #5 unreachable
                  still_unreachable attempt=3 cause="connection refused" next_ms=2000
                  a waiting reason=Away
                  save
            2000ms write a v2
            3512ms wake: nothing
                  a waiting reason=Away
                  a sending why=edited
                  #6 get a
            3515ms #6 absent
                  #7 create a v2
            3516ms #7 created a
                  back away_ms=3512 waiting=1
                  archive v2
                  a created ms=2
                  summary created=1 ms=3516
                  save
        "#]],
    );
}

#[test]
fn a_forced_text_that_got_no_answer_twice_is_refused() {
    check_with(
        force(),
        Ledger::default(),
        "0ms given new a=v1 b=v1
         4ms #2 unreachable
         5ms #1 crashed
         6ms #3 unreachable
         510ms wake: nothing
         513ms #4 absent
         514ms #5 crashed
         515ms #6 unreachable
         2000ms wake: nothing",
        &expect![[r#"
            4ms #2 unreachable
                  unreachable cause="connection refused" next_ms=500 waiting=2
                  b waiting reason=Away
                  save
            5ms #1 crashed
                  #3 get a
            6ms #3 unreachable
                  a waiting reason=Away
                  save
            510ms wake: nothing
                  a sending why=forced
                  #4 get a
            513ms #4 absent
                  #5 create a v1
            514ms #5 crashed
                  #6 get a
            515ms #6 unreachable
                  still_unreachable attempt=2 cause="Internal Server Error, and then connection refused" next_ms=1000
                  a refused ms=3 unanswered="Internal Server Error, and then connection refused"
                  save
            2000ms wake: nothing
                  a refused_before unanswered="Internal Server Error, and then connection refused"
                  b sending why=forced
                  #7 get b
        "#]],
    );
}

/// The server was restored from an old backup, and the first save notices it.
#[test]
fn a_plugin_missing_on_the_server_causes_a_probe() {
    let log = log_of(
        "0ms given a=v1 b=v1 c=v1
         5000ms write b v2
         5001ms #1 absent
         5002ms #2 created b
         9000ms write a v1",
    );
    assert!(after(&log, "5002ms").contains("connect"), "a is missing on the server:\n{log}");
}

#[test]
fn a_rescan_does_not_cut_retry_after_short() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 unreachable 300
         6000ms rescan",
    );
    assert!(!after(&log, "6000ms").contains("connect"), "it asked to be left alone:\n{log}");
}
