//! Deploys that the user asks a running watch for.

use expect_test::expect;
use owui_watch::engine::ledger::Ledger;

use super::{check, check_with, hold};

#[test]
fn a_refused_text_is_sent_again_on_request() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 refused invalid syntax (<string>, line 4)
         2000ms deploy a
         2001ms #3 row a v1
         2002ms #4 row a v2
         9000ms write a v2",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 refused invalid syntax (<string>, line 4)
                  a refused column=1 line=4 ms=2 old_version=running words="invalid syntax (<string>, line 4)"
                  save
            2000ms deploy a
                  a sending why=forced
                  #3 get a
            2001ms #3 row a v1
                  #4 update a v2
            2002ms #4 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  save
            9000ms write a v2
                  a unchanged
        "#]],
    );
}

#[test]
fn a_held_text_is_sent_on_request_after_a_copy() {
    check_with(
        hold(),
        Ledger::default(),
        "0ms edit a v1
         0ms rescan: a=v9
         3ms #1 row a v9
         2000ms deploy a
         2001ms #2 row a v9
         2002ms #3 saved
         2003ms #4 saved
         2004ms #5 row a v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan: a=v9
                  ready plugins=1 roots=["plugins"]
                  connected server_version=0.12.4
                  pass todo=1
                  a sending why=new
                  #1 get a
            3ms #1 row a v9
                  a remote_edit server_plugin_version=v9
                  summary held=1 ms=3
            2000ms deploy a
                  a sending why=forced
                  #2 get a
            2001ms #2 row a v9
                  #3 back up v9
            2002ms #3 saved
                  #4 save intent: a is off
            2003ms #4 saved
                  #5 update a v1
            2004ms #5 row a v1
                  archive v1
                  a updated active=true backup=the/copy.py from_version=v9 ms=4
                  save
                  clear intent of a
        "#]],
    );
}

#[test]
fn an_unchanged_and_a_rolled_back_text_are_sent_on_request() {
    check(
        "0ms given a=v2
         10ms deploy a
         11ms #1 row a v2
         12ms #2 row a v2
         20ms rolled-back a v2 v1
         30ms deploy a
         31ms #3 row a v1
         32ms #4 row a v2",
        &expect![[r#"
            10ms deploy a
                  a sending why=forced
                  #1 get a
            11ms #1 row a v2
                  #2 update a v2
            12ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v2 ms=2
                  save
            20ms rolled-back a v2 v1
            30ms deploy a
                  a rolled_back
                  a sending why=forced
                  #3 get a
            31ms #3 row a v1
                  #4 update a v2
            32ms #4 row a v2
                  end the rollback of a
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  save
        "#]],
    );
}

/// It is still due when the server is back.
#[test]
fn a_request_waits_for_the_server() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 unreachable
         100ms deploy a
         511ms wake
         512ms #2 connected
         513ms #3 rows a=v1
         514ms #4 row a v1
         515ms #5 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 unreachable
                  unreachable cause="connection refused" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
            100ms deploy a
                  a waiting reason=Away
            511ms wake
                  #2 connect
            512ms #2 connected
                  #3 overview of functions
            513ms #3 rows a=v1
                  a sending why=forced
                  #4 get a
            514ms #4 row a v1
                  #5 update a v2
            515ms #5 row a v2
                  back away_ms=504 waiting=1
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  save
        "#]],
    );
}

#[test]
fn a_request_follows_a_text_in_flight() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms deploy a
         12ms #1 row a v1
         13ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms deploy a
                  a unchanged
            12ms #1 row a v1
                  #2 update a v2
            13ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=3
                  save
        "#]],
    );
}
