//! The end of an engine: a stop, or another one that goes on in its place.

use expect_test::expect;

use super::check;

#[test]
fn a_stop_finishes_what_is_in_flight() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms stop
         12ms #1 row a v1
         13ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending: comparing with the server (edited)
                  #1 get a
            11ms stop
                  stopping: stopping; 1 plugin on the way first (once more stops at once)
            12ms #1 row a v1
                  #2 update a v2
            13ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
                  stopped: stopped
                  exit Fine
        "#]],
    );
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms stop
         10011ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending: comparing with the server (edited)
                  #1 get a
            11ms stop
                  stopping: stopping; 1 plugin on the way first (once more stops at once)
            10011ms wake
                  a slow: still on its way after 10 s
                  stopped: stopped; 1 plugin not deployed, which the next start comes back to
                  exit Fine
        "#]],
    );
}

/// It could arrive after a newer text, if another engine went on without knowing of it.
#[test]
fn what_is_in_flight_is_finished_before_another_engine_goes_on() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms replace
         3010ms wake
         3011ms wake
         3500ms write a v3
         600000ms wake
         600001ms #1 row a v1
         600002ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending: comparing with the server (edited)
                  #1 get a
            11ms replace
            3010ms wake
                  a slow: still on its way after 3.0 s
            3011ms wake
                  settings_wait: the new settings, and every save, wait for what is still on its way: `a`
            3500ms write a v3
            600000ms wake
            600001ms #1 row a v1
                  #2 update a v2
            600002ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
                  exit Fine
        "#]],
    );
}

#[test]
fn a_stop_is_not_put_off_by_what_another_engine_would_wait_for() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms replace
         12ms stop
         13ms replace
         10012ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending: comparing with the server (edited)
                  #1 get a
            11ms replace
            12ms stop
                  stopping: stopping; 1 plugin on the way first (once more stops at once)
            13ms replace
            10012ms wake
                  a slow: still on its way after 10 s
                  stopped: stopped; 1 plugin not deployed, which the next start comes back to
                  exit Fine
        "#]],
    );
}

#[test]
fn a_save_that_waits_for_its_formatter_is_not_forgotten_in_silence() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms #2 row a v2
         5300ms write a v3
         5320ms stop",
        &expect![[r#"
            5000ms write a v2
                  a sending: comparing with the server (edited)
                  #1 get a
            5001ms #1 row a v1
                  #2 update a v2
            5002ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
            5300ms write a v3
            5320ms stop
                  stopping: stopping
                  stopped: stopped; 1 plugin not deployed, which the next start comes back to
                  exit Fine
        "#]],
    );
}
