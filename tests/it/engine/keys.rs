//! A server that denies access, and unclear answers that may mean the same.

use expect_test::expect;

use super::{after, check, log_of};

#[test]
fn a_bad_key_stops_sending_and_is_reported_once() {
    check(
        "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 unclear
         10ms write a v2
         2000ms write b v2",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan
                  #1 connect
                  ready plugins=2 roots=["plugins"]
            1ms #1 connected
                  #2 overview of functions
            2ms #2 unclear
                  not_allowed status=401 words="401 Unauthorized"
            10ms write a v2
                  a waiting reason=Denied
            2000ms write b v2
                  b waiting reason=Denied
        "#]],
    );
}

#[test]
fn a_revoked_key_stops_sending() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 unclear
         12ms #2 unclear
         2000ms write a v3
         3000ms rescan: a=v1
         3003ms #3 row a v1
         3004ms #4 row a v3",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 unclear
                  #2 overview of functions
            12ms #2 unclear
                  not_allowed status=401 words="401 Unauthorized"
                  a waiting reason=Denied
                  save
            2000ms write a v3
                  a waiting reason=Denied
            3000ms rescan: a=v1
                  pass todo=1
                  a sending why=edited
                  #3 get a
            3003ms #3 row a v1
                  #4 update a v3
            3004ms #4 row a v3
                  access_granted waiting=1
                  archive v3
                  a updated active=true from_version=v1 ms=2
                  summary ms=4 updated=1
                  save
        "#]],
    );
}

#[test]
fn an_unclear_answer_to_a_good_key_means_absent() {
    check(
        "0ms given b=v1
         10ms write a v1
         11ms #1 unclear
         12ms #2 rows b=v1
         13ms #3 created a",
        &expect![[r#"
            10ms write a v1
                  a sending why=new
                  #1 get a
            11ms #1 unclear
                  #2 overview of functions
            12ms #2 rows b=v1
                  #3 create a v1
            13ms #3 created a
                  archive v1
                  a created ms=3
                  save
        "#]],
    );
}

#[test]
fn a_save_after_a_denial_tries_again() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 not-allowed
         5002ms #2 not-allowed
         9000ms write a v3
         999000ms wake
         999001ms write a v4",
    );
    assert!(after(&log, "9000ms").contains("connect"), "never asked again:\n{log}");
}

/// The user last heard of an outage, not of the denial.
#[test]
fn an_outage_after_a_denial_ends_with_back() {
    let log = log_of(
        "0ms given a=v1
         10ms write a v2
         11ms #1 not-allowed
         12ms #2 not-allowed
         70000ms wake
         70001ms #3 unreachable
         80000ms wake: a=v2",
    );
    assert!(log.contains("back away_ms=") && !log.contains("access_granted"), "{log}");
}
