//! The end of an engine: a stop, or a replacement with other settings.

use expect_test::expect;
use owui_watch::engine::ledger::Ledger;

use super::{check, check_with, hold, once};

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
                  a sending why=edited
                  #1 get a
            11ms stop
                  stopping in_flight=1
            12ms #1 row a v1
                  #2 update a v2
            13ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=3
                  stopped
                  save
                  exit Fine
        "#]],
    );
}

#[test]
fn a_stop_gives_up_after_ten_seconds() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms stop
         10011ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms stop
                  stopping in_flight=1
            10011ms wake
                  a slow so_far_ms=10001
                  stopped waiting=1
                  exit Fine
        "#]],
    );
}

/// Otherwise an older text could arrive after a newer one of the next engine.
#[test]
fn a_replacement_waits_for_deploys_in_flight() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms replace
         3010ms wake
         3012ms wake
         3500ms write a v3
         600000ms wake
         600002ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms replace
            3010ms wake
                  a slow so_far_ms=3000
            3012ms wake
                  settings_wait ids=["a"]
            3500ms write a v3
            600000ms wake
            600002ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=599992
                  save
                  exit Fine
        "#]],
    );
}

/// The next engine may have another server.
#[test]
fn a_replacement_waits_for_nothing_that_has_only_read() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms replace",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms replace
                  exit Fine
        "#]],
    );
}

#[test]
fn a_stop_overrides_a_replacement() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         11ms replace
         12ms stop
         13ms replace
         10012ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            11ms replace
            12ms stop
                  stopping in_flight=1
            13ms replace
            10012ms wake
                  a slow so_far_ms=10002
                  stopped waiting=1
                  exit Fine
        "#]],
    );
}

#[test]
fn a_stop_counts_a_save_that_waits_for_its_formatter() {
    check(
        "0ms given a=v1
         5000ms given deployed a v2
         5300ms write a v3
         5320ms stop",
        &expect![[r#"
            5300ms write a v3
            5320ms stop
                  stopping
                  stopped waiting=1
                  exit Fine
        "#]],
    );
}

#[test]
fn a_stop_counts_what_is_not_deployed_and_why() {
    check_with(
        hold(),
        Ledger::default(),
        "0ms given a=v1 b=v1 c=v1 d=v1 e=v1
         10ms write a broken
         20ms given refused b v2
         30ms write c v2
         31ms #1 row c v9
         40ms edit closed folder
         50ms write d v2
         60ms stop
         61ms #2 unreachable",
        &expect![[r#"
            30ms write c v2
                  c sending why=edited
                  #1 get c
            31ms #1 row c v9
                  c remote_edit server_plugin_version=v9
            40ms edit closed folder
            50ms write d v2
                  d sending why=edited
                  #2 get d
            60ms stop
                  stopping in_flight=1
            61ms #2 unreachable
                  unreachable cause="connection refused" next_ms=500 waiting=2
                  d waiting reason=Away
                  stopped held=1 refused=1 skipped=1 waiting=1
                  save
                  exit Fine
        "#]],
    );
}

#[test]
fn a_stopped_single_pass_with_a_refusal_exits_with_1() {
    check_with(
        once(),
        Ledger::default(),
        "0ms given new a=v1 b=v1
         3ms #1 refused no
         4ms #3 absent
         5ms stop
         6ms #2 row b v1",
        &expect![[r#"
            3ms #1 refused no
                  #3 get a
            4ms #3 absent
                  a refused ms=2 words=no
                  save
            5ms stop
                  stopping in_flight=1
            6ms #2 row b v1
                  archive v1
                  b created active=true ms=4
                  stopped refused=1
                  save
                  exit NotDeployed
        "#]],
    );
}
