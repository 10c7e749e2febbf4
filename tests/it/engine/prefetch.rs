//! What the server holds of a plugin is asked at the first sign of a save, and used by the deploy that follows.

use std::num::NonZeroUsize;

use expect_test::expect;
use owui_watch::engine::Policy;
use owui_watch::engine::ledger::Ledger;

use super::{check, check_with, policy};

#[test]
fn what_the_server_holds_is_asked_while_the_file_is_being_saved() {
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
fn an_answer_that_is_there_already_is_used() {
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
fn an_answer_that_has_lain_about_is_asked_for_again() {
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
                  #3 keep v9
        "#]],
    );
}

#[test]
fn an_answer_is_good_for_one_conversation() {
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
fn a_save_without_a_change_is_compared_with_what_the_server_holds() {
    check(
        "0ms given a=v1
         5000ms saving a
         5001ms write a v1
         5002ms #1 row a v1
         9000ms saving a
         9001ms #2 row a v9
         9002ms write a v1
         9003ms #3 kept
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
                  #3 keep v9
            9003ms #3 kept
                  #4 update a v1
            9004ms #4 row a v1
                  archive v1
                  a updated active=true backup=the/copy.py from_version=v9 ms=2
                  save
        "#]],
    );
}

#[test]
fn a_save_without_a_change_beside_a_deploy_is_known_from_the_ledger() {
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
fn nothing_is_asked_of_what_is_not_known_or_beside_a_deploy() {
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
fn one_question_is_asked_ahead() {
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
fn who_asks_ahead_counts_like_a_conversation() {
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
            5002ms #1 row a v1
                  b sending why=edited
                  #2 get b
            5003ms #2 row b v1
                  #3 update b v2
        "#]],
    );
}

#[test]
fn a_server_that_does_not_answer_is_found_out_once() {
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
fn a_server_that_fails_is_not_asked_ahead_again() {
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
fn the_first_save_after_a_deploy_waits_and_is_not_asked_about_ahead() {
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
