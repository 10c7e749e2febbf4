//! A text at which the server fails: it is sent again, alone and after growing pauses, before it counts as refused.

use expect_test::expect;
use owui_watch::engine::exchange::Terms;
use owui_watch::engine::ledger::Ledger;

use super::{check, check_with, once, play, policy};

#[test]
fn a_500_is_tried_again_three_times_before_it_counts_as_refused() {
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
         60000ms rescan
         60001ms #13 connected
         60002ms #14 rows a=v1",
        &expect![[r#""#]],
    );
}

#[test]
fn a_text_the_server_failed_at_once_is_deployed_by_the_next_try() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 crashed
         13ms #3 row a v1
         1013ms wake
         1014ms #4 row a v1
         1015ms #5 row a v2",
        &expect![[r#""#]],
    );
}

#[test]
fn the_count_starts_anew_when_the_file_is_saved_again() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 crashed
         13ms #3 row a v1
         1013ms wake
         1014ms #4 row a v1
         1015ms #5 crashed
         1016ms #6 row a v1
         3000ms write a v2
         3001ms #7 row a v1
         3002ms #8 crashed
         3003ms #9 row a v1",
        &expect![[r#""#]],
    );
}

#[test]
fn the_count_starts_anew_when_the_server_was_away() {
    check(
        "0ms given a=v1 b=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 crashed
         13ms #3 row a v1
         1013ms wake
         1014ms #4 row a v1
         1015ms #5 crashed
         1016ms #6 row a v1
         1100ms write b v2
         1101ms #7 unreachable
         2000ms wake
         2001ms #8 connected
         2002ms #9 rows a=v1 b=v1
         2003ms #10 row b v1
         2004ms #11 row b v2
         2005ms #12 row a v1
         2006ms #13 crashed
         2007ms #14 row a v1",
        &expect![[r#""#]],
    );
}

#[test]
fn a_server_that_goes_away_twice_after_it_failed_at_a_text_is_spared_it() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 crashed
         13ms #3 unreachable
         2000ms wake
         2001ms #4 connected
         2002ms #5 rows a=v1
         2003ms #6 row a v1
         2004ms #7 crashed
         2005ms #8 row a v1
         3005ms wake
         3006ms #9 unreachable
         9000ms wake
         9001ms #10 connected
         9002ms #11 rows a=v1",
        &expect![[r#""#]],
    );
}

#[test]
fn what_the_server_failed_at_is_sent_alone() {
    check(
        "0ms given a=v1 b=v1 c=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 crashed
         13ms #3 row a v1
         1000ms write b v2
         1001ms #4 row b v1
         1013ms wake
         1014ms #5 row b v2
         1015ms write c v2
         1016ms #6 row a v1
         1017ms #7 row a v2",
        &expect![[r#""#]],
    );
}

#[test]
fn a_single_pass_waits_for_the_last_try() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         3ms #3 crashed
         4ms #4 absent
         1004ms wake
         1005ms #5 absent
         1006ms #6 row a v1",
        &expect![[r#""#]],
    );
}

#[test]
fn a_start_tries_again_what_was_given_up() {
    let run = play(
        policy(),
        Ledger::default(),
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 crashed
         13ms #3 row a v1
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
         13022ms #12 row a v1",
    );
    assert!(run.log.ends_with("a refused: refused by the server: Internal Server Error\n"), "{}", run.log);
    check_with(
        policy(),
        run.engine.ledger().clone(),
        "0ms edit a v2
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v1
         3ms #3 row a v1",
        &expect![[r#""#]],
    );
}

#[test]
fn a_new_function_is_switched_on_when_the_server_is_back() {
    let terms = Terms { activate_new: true, ..policy().terms };
    check_with(
        owui_watch::engine::Policy { terms, ..policy() },
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         3ms #3 noted
         4ms #4 created a
         5ms #5 unreachable
         1000ms wake
         1001ms #6 connected
         1002ms #7 rows a=v1
         1003ms #8 row a v1 off
         1004ms #9 row a v1",
        &expect![[r#""#]],
    );
}

#[test]
fn a_new_function_is_switched_on_where_the_answer_to_its_create_was_lost() {
    let terms = Terms { activate_new: true, ..policy().terms };
    check_with(
        owui_watch::engine::Policy { terms, ..policy() },
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         3ms #3 noted
         4ms #4 lost
         5ms #5 unreachable
         1000ms wake
         1001ms #6 connected
         1002ms #7 rows a=v1
         1003ms #8 row a v1 off
         1004ms #9 row a v1",
        &expect![[r#""#]],
    );
}
