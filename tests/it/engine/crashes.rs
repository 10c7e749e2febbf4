//! Texts at which the server fails: retried alone, after growing pauses, before they count as refused.
//!
//! Long because every test is a whole script of events and effects.

use expect_test::expect;
use owui_watch::engine::Policy;
use owui_watch::engine::deploy::{DeployPolicy, OnRemoteEdit};
use owui_watch::engine::ledger::Ledger;

use super::{check, check_with, old_server, once, play, policy};

fn activate(policy: Policy) -> Policy {
    Policy { deploy: DeployPolicy { activate_new: true, ..policy.deploy }, ..policy }
}

#[test]
fn a_500_counts_as_refused_after_three_retries() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 crashed
         13ms #3 row a v1
         1012ms wake
         1013ms wake
         1014ms #4 row a v1
         1015ms #5 crashed
         1016ms #6 row a v1
         4016ms wake
         4017ms #7 row a v1
         4018ms #8 crashed
         4019ms #9 row a v1
         13019ms wake
         13020ms #10 row a v1
         13021ms #11 crashed
         13022ms #12 row a v1
         60000ms rescan: a=v1",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 crashed
                  #3 get a
            13ms #3 row a v1
                  a retrying next_ms=1000 words="Internal Server Error"
                  save
            1012ms wake
            1013ms wake
                  a sending why=retry
                  #4 get a
            1014ms #4 row a v1
                  #5 update a v2
            1015ms #5 crashed
                  #6 get a
            1016ms #6 row a v1
                  a retrying next_ms=3000 words="Internal Server Error"
                  save
            4016ms wake
                  a sending why=retry
                  #7 get a
            4017ms #7 row a v1
                  #8 update a v2
            4018ms #8 crashed
                  #9 get a
            4019ms #9 row a v1
                  a retrying next_ms=9000 words="Internal Server Error"
                  save
            13019ms wake
                  a sending why=retry
                  #10 get a
            13020ms #10 row a v1
                  #11 update a v2
            13021ms #11 crashed
                  #12 get a
            13022ms #12 row a v1
                  a refused ms=3 old_version=running words="Internal Server Error"
                  save
            60000ms rescan: a=v1
                  a refused_before on_server=true words="Internal Server Error"
                  summary ms=2 refused=1
        "#]],
    );
}

#[test]
fn a_retry_after_a_500_can_succeed() {
    check(
        "0ms given a=v1
         10ms given crashed a v2
         1013ms wake
         1014ms #1 row a v1
         1015ms #2 row a v2",
        &expect![[r#"
            1013ms wake
                  a sending why=retry
                  #1 get a
            1014ms #1 row a v1
                  #2 update a v2
            1015ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  save
        "#]],
    );
}

#[test]
fn saving_the_file_restarts_the_count_of_retries() {
    check(
        "0ms given a=v1
         10ms given crashed a v2
         1013ms wake
         1014ms given crashed a
         3000ms write a v2
         3001ms #1 row a v1
         3002ms #2 crashed
         3003ms #3 row a v1",
        &expect![[r#"
            3000ms write a v2
                  a sending why=retry
                  #1 get a
            3001ms #1 row a v1
                  #2 update a v2
            3002ms #2 crashed
                  #3 get a
            3003ms #3 row a v1
                  a retrying next_ms=1000 words="Internal Server Error"
                  save
        "#]],
    );
}

#[test]
fn an_outage_restarts_the_count_of_retries() {
    check(
        "0ms given a=v1 b=v1
         10ms given crashed a v2
         1013ms wake
         1014ms given crashed a
         1100ms write b v2
         1101ms #1 unreachable
         2000ms wake: a=v1 b=v1
         2003ms #2 row b v2
         2004ms #3 row a v1
         2005ms #4 crashed
         2006ms #5 row a v1",
        &expect![[r#"
            1100ms write b v2
                  b sending why=edited
                  #1 get b
            1101ms #1 unreachable
                  unreachable cause="connection refused" next_ms=500 waiting=2
                  b waiting reason=Away
                  save
            2000ms wake: a=v1 b=v1
                  b sending why=retry
                  #2 get b
            2003ms #2 row b v2
                  back away_ms=902 waiting=2
                  archive v2, found
                  b unchanged active=true
                  a sending why=retry
                  #3 get a
                  save
            2004ms #3 row a v1
                  #4 update a v2
            2005ms #4 crashed
                  #5 get a
            2006ms #5 row a v1
                  a retrying next_ms=1000 words="Internal Server Error"
                  save
        "#]],
    );
}

#[test]
fn two_outages_after_a_500_count_as_a_refusal() {
    check(
        "0ms given a=v1
         10ms given sent a v2
         12ms #1 crashed
         13ms #2 unreachable
         2000ms wake: a=v1
         2003ms #3 row a v1
         2004ms #4 crashed
         2005ms #5 row a v1
         3005ms wake
         3006ms #6 unreachable
         9000ms wake: a=v1",
        &expect![[r#"
            12ms #1 crashed
                  #2 get a
            13ms #2 unreachable
                  unreachable cause="Internal Server Error, and then connection refused" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
            2000ms wake: a=v1
                  a sending why=retry
                  #3 get a
            2003ms #3 row a v1
                  #4 update a v2
            2004ms #4 crashed
                  #5 get a
            2005ms #5 row a v1
                  back away_ms=1992 waiting=1
                  a retrying next_ms=1000 words="Internal Server Error"
                  save
            3005ms wake
                  a sending why=retry
                  #6 get a
            3006ms #6 unreachable
                  a refused unanswered="Internal Server Error"
                  unreachable cause="connection refused" next_ms=500
                  save
            9000ms wake: a=v1
                  back away_ms=5996
        "#]],
    );
}

#[test]
fn a_retry_after_a_500_is_sent_alone() {
    check(
        "0ms given a=v1 b=v1 c=v1
         10ms given crashed a v2
         1000ms write b v2
         1001ms #1 row b v1
         1013ms wake
         1014ms #2 row b v2
         1015ms write c v2
         1016ms #3 row a v1
         1017ms #4 row a v2",
        &expect![[r#"
            1000ms write b v2
                  b sending why=edited
                  #1 get b
            1001ms #1 row b v1
                  #2 update b v2
            1013ms wake
                  a waiting reason=Turn
            1014ms #2 row b v2
                  archive v2
                  b updated active=true from_version=v1 ms=14
                  a sending why=retry
                  #3 get a
                  save
            1015ms write c v2
                  c waiting reason=Turn
            1016ms #3 row a v1
                  #4 update a v2
            1017ms #4 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=4
                  c sending why=edited
                  #5 get c
                  save
        "#]],
    );
}

#[test]
fn a_single_pass_waits_for_the_last_retry() {
    check_with(
        once(),
        Ledger::default(),
        "0ms given new a=v1
         3ms given crashed a
         1004ms wake
         1005ms #1 absent
         1006ms #2 row a v1",
        &expect![[r#"
            1004ms wake
                  a sending why=retry
                  #1 get a
            1005ms #1 absent
                  #2 create a v1
            1006ms #2 row a v1
                  archive v1
                  a created active=true ms=2
                  summary created=1 ms=1006
                  save
                  exit Fine
        "#]],
    );
}

/// The create arrived, though the server failed at its answer.
#[test]
fn a_single_pass_counts_what_its_retry_finds_there() {
    check_with(
        once(),
        Ledger::default(),
        "0ms given new a=v1
         3ms given crashed a
         1004ms wake
         1005ms #1 row a v1",
        &expect![[r#"
            1004ms wake
                  a sending why=retry
                  #1 get a
            1005ms #1 row a v1
                  archive v1
                  a unchanged active=true good_again=true
                  summary ms=1005 unchanged=1
                  save
                  exit Fine
        "#]],
    );
}

#[test]
fn a_new_start_retries_a_text_that_was_given_up() {
    let run = play(
        policy(),
        Ledger::default(),
        "0ms given a=v1
         10ms given crashed a v2
         1013ms wake
         1014ms given crashed a
         4016ms wake
         4017ms given crashed a
         13019ms wake
         13020ms #1 row a v1
         13021ms #2 crashed
         13022ms #3 row a v1",
    );
    assert!(run.log().contains("a refused "), "{}", run.log());
    check_with(
        policy(),
        run.ledger().clone(),
        "0ms edit a v2
         0ms rescan: a=v1
         3ms #1 row a v1",
        &expect![[r#"
            0ms edit a v2
            0ms rescan: a=v1
                  ready plugins=1 roots=["plugins"]
                  connected server_version=0.12.4
                  pass todo=1
                  a sending why=retry
                  #1 get a
            3ms #1 row a v1
                  #2 update a v2
        "#]],
    );
}

#[test]
fn a_new_function_is_switched_on_after_an_outage() {
    check_with(
        activate(policy()),
        Ledger::default(),
        "0ms given new a=v1
         3ms given deployed a
         5ms #1 unreachable
         505ms wake
         506ms #2 unreachable
         1100ms wake: a=v1
         1103ms #3 row a v1 off
         1104ms #4 row a v1",
        &expect![[r#"
            5ms #1 unreachable
                  archive v1
                  a created ms=3
                  a not_switched_on cause="connection refused"
                  summary failed=1 ms=5
                  save
            505ms wake
                  #2 get a
            506ms #2 unreachable
                  unreachable cause="connection refused" next_ms=500
                  a waiting reason=Away
            1100ms wake: a=v1
                  a unchanged active=true
                  #3 get a
            1103ms #3 row a v1 off
                  #4 toggle a
            1104ms #4 row a v1
                  back away_ms=598
                  a switched_on
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn a_new_function_is_switched_on_after_a_lost_create() {
    check_with(
        activate(policy()),
        Ledger::default(),
        "0ms given new a=v1
         3ms given lost a
         1000ms wake: a=v1
         1003ms #1 row a v1 off
         1004ms #2 row a v1",
        &expect![[r#"
            1000ms wake: a=v1
                  archive v1
                  a unchanged active=true
                  #1 get a
                  save
            1003ms #1 row a v1 off
                  #2 toggle a
            1004ms #2 row a v1
                  back away_ms=998
                  a switched_on
                  summary created=1 ms=1004
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn a_failing_switch_does_not_block_other_plugins() {
    check_with(
        activate(policy()),
        Ledger::default(),
        "0ms given new a=v1
         3ms given deployed a
         5ms #1 crashed
         100ms write b v1
         505ms wake
         506ms #3 row a v1 off
         507ms #4 crashed",
        &expect![[r#"
            5ms #1 crashed
                  archive v1
                  a created ms=3
                  a not_switched_on cause="the server fails: Internal Server Error"
                  summary failed=1 ms=5
                  save
            100ms write b v1
                  b sending why=new
                  #2 get b
            505ms wake
                  #3 get a
            506ms #3 row a v1 off
                  #4 toggle a
            507ms #4 crashed
        "#]],
    );
}

/// Each save begins with the repair, which must not be repeated without a pause.
#[test]
fn a_save_does_not_hurry_a_switch_that_fails() {
    check_with(
        activate(policy()),
        Ledger::default(),
        "0ms given new a=v1
         3ms given deployed a
         5ms given off a
         1200ms write a v2
         1201ms #1 row a v1 off
         1202ms #2 crashed
         3202ms wake
         3203ms #3 row a v1 off
         3204ms #4 row a v1
         3205ms #5 row a v1
         3206ms #6 row a v2",
        &expect![[r#"
            1200ms write a v2
                  #1 get a
                  a waiting reason=Turn
            1201ms #1 row a v1 off
                  #2 toggle a
            1202ms #2 crashed
            3202ms wake
                  #3 get a
            3203ms #3 row a v1 off
                  #4 toggle a
            3204ms #4 row a v1
                  a switched_on
                  a sending why=edited
                  #5 get a
                  save
                  clear intent of a
            3205ms #5 row a v1
                  #6 update a v2
            3206ms #6 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2006
                  save
        "#]],
    );
}

#[test]
fn a_single_pass_that_cannot_switch_on_deploys_no_newer_text() {
    check_with(
        activate(once()),
        Ledger::default(),
        "0ms given new a=v1
         3ms given deployed a
         5ms given off a
         1200ms write a v2
         1201ms #1 row a v1 off
         1202ms #2 crashed
         3202ms wake
         3203ms #3 row a v1 off
         3204ms #4 crashed",
        &expect![[r#"
            1200ms write a v2
                  #1 get a
                  a waiting reason=Turn
            1201ms #1 row a v1 off
                  #2 toggle a
            1202ms #2 crashed
            3202ms wake
                  #3 get a
            3203ms #3 row a v1 off
                  #4 toggle a
            3204ms #4 crashed
                  summary failed=1 ms=3204
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn a_single_pass_that_cannot_switch_on_exits_with_1() {
    check_with(
        activate(once()),
        Ledger::default(),
        "0ms given new a=v1
         3ms given deployed a
         5ms #1 crashed
         505ms wake
         506ms #2 row a v1 off
         507ms #3 crashed
         1507ms wake
         1508ms #4 row a v1 off
         1509ms #5 crashed
         3509ms wake
         3510ms #6 row a v1 off
         3511ms #7 crashed",
        &expect![[r#"
            5ms #1 crashed
                  archive v1
                  a created ms=3
                  a not_switched_on cause="the server fails: Internal Server Error"
                  save
            505ms wake
                  #2 get a
            506ms #2 row a v1 off
                  #3 toggle a
            507ms #3 crashed
            1507ms wake
                  #4 get a
            1508ms #4 row a v1 off
                  #5 toggle a
            1509ms #5 crashed
            3509ms wake
                  #6 get a
            3510ms #6 row a v1 off
                  #7 toggle a
            3511ms #7 crashed
                  summary failed=1 ms=3511
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn a_new_function_is_switched_on_after_a_proxys_answer() {
    check_with(
        activate(policy()),
        Ledger::default(),
        "0ms given new a=v1
         3ms given sent a
         4ms #1 foreign
         600ms wake: a=v1
         603ms #2 row a v1 off
         604ms #3 row a v1",
        &expect![[r#"
            4ms #1 foreign
                  not_open_webui status=200 words="a web page"
                  a waiting reason=Away
                  save
            600ms wake: a=v1
                  archive v1
                  a unchanged active=true
                  #2 get a
                  save
            603ms #2 row a v1 off
                  #3 toggle a
            604ms #3 row a v1
                  back away_ms=600
                  a switched_on
                  summary created=1 ms=604
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn a_busy_server_is_not_blamed_on_a_text() {
    check(
        "0ms given a=v1
         10ms given crashed a v2
         1013ms wake
         1014ms #1 unreachable 2
         3100ms wake: a=v1
         3103ms #2 row a v1
         3104ms #3 crashed
         3105ms #4 row a v1
         4200ms wake
         4201ms #5 unreachable 2
         9000ms wake: a=v1",
        &expect![[r#"
            1013ms wake
                  a sending why=retry
                  #1 get a
            1014ms #1 unreachable 2
                  unreachable cause="too many requests" next_ms=2000 waiting=1
                  a waiting reason=Away
                  save
            3100ms wake: a=v1
                  a sending why=retry
                  #2 get a
            3103ms #2 row a v1
                  #3 update a v2
            3104ms #3 crashed
                  #4 get a
            3105ms #4 row a v1
                  back away_ms=2091 waiting=1
                  a retrying next_ms=1000 words="Internal Server Error"
                  save
            4200ms wake
                  a sending why=retry
                  #5 get a
            4201ms #5 unreachable 2
                  unreachable cause="too many requests" next_ms=2000 waiting=1
                  a waiting reason=Away
                  save
            9000ms wake: a=v1
                  a sending why=retry
                  #6 get a
        "#]],
    );
}

#[test]
fn the_retry_of_a_forced_deploy_is_forced() {
    let deploy = DeployPolicy { force: true, on_remote_edit: OnRemoteEdit::Hold, ..policy().deploy };
    check_with(
        Policy { deploy, ..once() },
        old_server(),
        "0ms edit a v2
         0ms given start a=v9
         3ms given crashed a
         1007ms wake
         1008ms #1 row a v9",
        &expect![[r#"
            1007ms wake
                  a sending why=forced
                  #1 get a
            1008ms #1 row a v9
                  #2 back up v9
        "#]],
    );
}

#[test]
fn good_again_waits_for_the_servers_answer() {
    check(
        "0ms given a=v1
         10ms write a broken
         2000ms write a v2
         2001ms #1 row a v1
         2500ms write a v2
         2700ms wake
         2800ms #2 refused no",
        &expect![[r#"
            10ms write a broken
                  a flawed column=14 line=1 reason=syntax
            2000ms write a v2
                  a sending why=edited
                  #1 get a
            2001ms #1 row a v1
                  #2 update a v2
            2500ms write a v2
            2700ms wake
            2800ms #2 refused no
                  a refused ms=800 old_version=running words=no
                  save
        "#]],
    );
}
