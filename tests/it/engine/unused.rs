//! Filters and actions that are on, but that no model uses.

use expect_test::expect;

use super::check;

#[test]
fn a_function_that_no_model_uses_is_told_once() {
    check(
        "0ms given a=v1 b=v1
         10ms write a v2
         11ms #1 row a v1 not-global
         12ms #2 row a v2 not-global
         20ms write b v2
         21ms #4 row b v1 not-global
         22ms #5 row b v2 not-global
         30ms #3 attached b
         5000ms write a v3
         5001ms #6 row a v2 not-global
         5002ms #7 row a v3 not-global",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1 not-global
                  #2 update a v2
            12ms #2 row a v2 not-global
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  #3 attached
                  save
            20ms write b v2
                  b sending why=edited
                  #4 get b
            21ms #4 row b v1 not-global
                  #5 update b v2
            22ms #5 row b v2 not-global
                  archive v2
                  b updated active=true from_version=v1 ms=2
                  save
            30ms #3 attached b
                  a unused
            5000ms write a v3
                  a sending why=edited
                  #6 get a
            5001ms #6 row a v2 not-global
                  #7 update a v3
            5002ms #7 row a v3 not-global
                  archive v3
                  a updated active=true from_version=v2 ms=2
                  save
        "#]],
    );
}

/// Somebody made it global, and then not global again.
#[test]
fn a_switched_function_is_asked_for_again() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 not-global
         12ms #2 row a v2 not-global
         13ms #3 attached a
         5000ms write a v3
         5001ms #4 row a v2
         5002ms #5 row a v3
         10000ms write a v4
         10001ms #6 row a v3 not-global
         10002ms #7 row a v4 not-global
         10003ms #8 attached",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1 not-global
                  #2 update a v2
            12ms #2 row a v2 not-global
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  #3 attached
                  save
            13ms #3 attached a
            5000ms write a v3
                  a sending why=edited
                  #4 get a
            5001ms #4 row a v2
                  #5 update a v3
            5002ms #5 row a v3
                  archive v3
                  a updated active=true from_version=v2 ms=2
                  save
            10000ms write a v4
                  a sending why=edited
                  #6 get a
            10001ms #6 row a v3 not-global
                  #7 update a v4
            10002ms #7 row a v4 not-global
                  archive v4
                  a updated active=true from_version=v3 ms=2
                  #8 attached
                  save
            10003ms #8 attached
                  a unused
        "#]],
    );
}

#[test]
fn without_an_answer_nothing_is_told() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 not-global
         12ms #2 row a v2 not-global
         13ms #3 unreachable
         5000ms write a v3
         5001ms #4 row a v2 not-global
         5002ms #5 row a v3 not-global",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1 not-global
                  #2 update a v2
            12ms #2 row a v2 not-global
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  #3 attached
                  save
            13ms #3 unreachable
            5000ms write a v3
                  a sending why=edited
                  #4 get a
            5001ms #4 row a v2 not-global
                  #5 update a v3
            5002ms #5 row a v3 not-global
                  archive v3
                  a updated active=true from_version=v2 ms=2
                  #6 attached
                  save
        "#]],
    );
}
