//! Prefetch: the first sign of a save asks what the server holds, and the deploy that follows uses the answer.

use std::num::NonZeroUsize;

use expect_test::expect;
use owui_watch::engine::Policy;
use owui_watch::engine::ledger::Ledger;

use super::{check, check_with, policy};

#[test]
fn a_save_in_progress_asks_what_the_server_holds() {
    check(
        "0ms given a=v1
         5000ms saving a
         5001ms saving a
         5002ms write a v2
         5003ms #1 row a v1
         5004ms #2 row a v2",
        &expect![[r#"
            5000ms saving a
                  #1 get a
            5001ms saving a
            5002ms write a v2
                  a sending why=edited
            5003ms #1 row a v1
                  #2 update a v2
            5004ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  save
        "#]],
    );
}

#[test]
fn an_answer_that_has_arrived_is_used() {
    check(
        "0ms given a=v1
         5000ms saving a
         5002ms #1 row a v1
         5052ms write a v2
         5053ms #2 row a v2",
        &expect![[r#"
            5000ms saving a
                  #1 get a
            5002ms #1 row a v1
            5052ms write a v2
                  a sending why=edited
                  #2 update a v2
            5053ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=1
                  save
        "#]],
    );
}

#[test]
fn an_old_answer_is_asked_for_again() {
    check(
        "0ms given a=v1
         5000ms saving a
         5002ms #1 row a v1
         5053ms write a v2
         5054ms #2 row a v9",
        &expect![[r#"
            5000ms saving a
                  #1 get a
            5002ms #1 row a v1
            5053ms write a v2
                  a sending why=edited
                  #2 get a
            5054ms #2 row a v9
                  #3 back up v9
        "#]],
    );
}

#[test]
fn an_answer_serves_one_deploy() {
    check(
        "0ms given a=v1
         5000ms saving a
         5001ms #1 row a v1
         5002ms write a v2
         5003ms #2 row a v2
         5004ms write a v3
         5154ms wake",
        &expect![[r#"
            5000ms saving a
                  #1 get a
            5001ms #1 row a v1
            5002ms write a v2
                  a sending why=edited
                  #2 update a v2
            5003ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=1
                  save
            5004ms write a v3
            5154ms wake
                  a sending why=edited
                  #3 get a
        "#]],
    );
}

#[test]
fn an_unchanged_save_is_compared_with_the_server() {
    check(
        "0ms given a=v1
         5000ms saving a
         5001ms write a v1
         5002ms #1 row a v1
         9000ms saving a
         9001ms #2 row a v9
         9002ms write a v1
         9003ms #3 saved
         9004ms #4 row a v1",
        &expect![[r#"
            5000ms saving a
                  #1 get a
            5001ms write a v1
            5002ms #1 row a v1
                  a unchanged active=true
            9000ms saving a
                  #2 get a
            9001ms #2 row a v9
            9002ms write a v1
                  #3 back up v9
            9003ms #3 saved
                  #4 update a v1
            9004ms #4 row a v1
                  archive v1
                  a updated active=true backup=the/copy.py from_version=v9 ms=2
                  save
        "#]],
    );
}

#[test]
fn an_unchanged_save_during_a_deploy_consults_the_ledger() {
    check(
        "0ms given a=v1 b=v1
         5000ms write b v2
         5001ms saving a
         5002ms write a v1",
        &expect![[r#"
            5000ms write b v2
                  b sending why=edited
                  #1 get b
            5001ms saving a
            5002ms write a v1
                  a unchanged
        "#]],
    );
}

#[test]
fn no_prefetch_for_unknown_files_or_during_a_deploy() {
    check(
        "0ms given a=v1
         5000ms saving b
         5001ms write b v1
         5002ms #1 absent
         5003ms saving a
         5004ms #2 created b",
        &expect![[r#"
            5000ms saving b
            5001ms write b v1
                  b sending why=new
                  #1 get b
            5002ms #1 absent
                  #2 create b v1
            5003ms saving a
            5004ms #2 created b
                  archive v1
                  b created ms=3
                  save
        "#]],
    );
}

#[test]
fn one_prefetch_runs_at_a_time() {
    check(
        "0ms given a=v1 b=v1
         5000ms saving a
         5001ms saving b
         5002ms #1 row a v1
         5003ms saving b
         5053ms saving b",
        &expect![[r#"
            5000ms saving a
                  #1 get a
            5001ms saving b
            5002ms #1 row a v1
            5003ms saving b
            5053ms saving b
                  #2 get b
        "#]],
    );
}

#[test]
fn a_prefetch_counts_towards_concurrency() {
    check_with(
        Policy { concurrency: NonZeroUsize::MIN, ..policy() },
        Ledger::default(),
        "0ms given a=v1 b=v1
         5000ms saving a
         5001ms write b v2
         5002ms #1 row a v1
         5003ms #2 row b v1",
        &expect![[r#"
            5000ms saving a
                  #1 get a
            5001ms write b v2
                  b waiting reason=Turn
            5002ms #1 row a v1
                  b sending why=edited
                  #2 get b
            5003ms #2 row b v1
                  #3 update b v2
        "#]],
    );
}

#[test]
fn a_failed_prefetch_is_reported_by_the_deploy() {
    check(
        "0ms given a=v1
         5000ms saving a
         5001ms #1 unreachable
         5002ms write a v2",
        &expect![[r#"
            5000ms saving a
                  #1 get a
            5001ms #1 unreachable
            5002ms write a v2
                  a sending why=edited
                  unreachable cause="connection refused" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
        "#]],
    );
}

#[test]
fn a_failed_prefetch_is_not_repeated() {
    check(
        "0ms given a=v1
         5000ms saving a
         5001ms #1 unreachable 30
         5100ms saving a
         5200ms saving a
         5201ms write a v2",
        &expect![[r#"
            5000ms saving a
                  #1 get a
            5001ms #1 unreachable 30
            5100ms saving a
            5200ms saving a
            5201ms write a v2
                  a sending why=edited
                  #2 get a
        "#]],
    );
}

#[test]
fn no_prefetch_for_the_first_save_after_a_deploy() {
    check(
        "0ms given a=v1
         5000ms given deployed a v2
         5300ms saving a
         5301ms write a v3
         5340ms saving a
         5341ms write a v4
         5342ms #1 row a v2",
        &expect![[r#"
            5300ms saving a
            5301ms write a v3
            5340ms saving a
                  #1 get a
            5341ms write a v4
                  a sending why=edited
            5342ms #1 row a v2
                  #2 update a v4
        "#]],
    );
}
