//! Deploys that the user asks a running watch for, and what other commands tell it.

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
            12ms #1 row a v1
                  #2 update a v2
            13ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=3
                  save
        "#]],
    );
}

/// Its file comes back: the server must have it again.
#[test]
fn a_plugin_that_was_deleted_by_a_command_is_new() {
    check(
        "0ms given a=v1
         5000ms delete a
         5600ms wake
         6000ms deleted a
         7000ms write a v1
         7001ms #1 absent
         7002ms #2 created a",
        &expect![[r#"
            5000ms delete a
                  held path=plugins/a.py
            5600ms wake
                  a removed
            6000ms deleted a
                  save
            7000ms write a v1
                  a sending why=new
                  #1 get a
            7001ms #1 absent
                  #2 create a v1
            7002ms #2 created a
                  archive v1
                  a created ms=2
                  save
        "#]],
    );
}

/// The watch has sent a newer text before it hears of the deletion: that text stays ours.
#[test]
fn a_plugin_that_was_created_again_is_not_forgotten() {
    check(
        "0ms given a=v1
         5000ms delete a
         5600ms wake
         6000ms deleted a earlier
         7000ms write a v2
         7001ms #1 row a v1",
        &expect![[r#"
            5000ms delete a
                  held path=plugins/a.py
            5600ms wake
                  a removed
            6000ms deleted a earlier
                  save
            7000ms write a v2
                  a sending why=edited
                  #1 get a
            7001ms #1 row a v1
                  #2 update a v2
        "#]],
    );
}

/// It is not said of a new file that the server keeps the old plugin too.
#[test]
fn a_deleted_plugin_is_no_former_one() {
    check(
        "0ms given created a=nameless
         5000ms given gone a
         40000ms deleted a
         41000ms write b nameless
         41001ms #1 absent
         41002ms #2 created b",
        &expect![[r#"
            40000ms deleted a
                  save
            41000ms write b nameless
                  b sending why=new
                  #1 get b
            41001ms #1 absent
                  #2 create b ?
            41002ms #2 created b
                  archive ?
                  b created ms=2
                  save
        "#]],
    );
}

#[test]
fn a_duplicate_is_created_once_the_other_is_deleted() {
    check(
        "0ms edit b v1~Shout
         0ms rescan: a=v1~Shout
         10ms deleted a
         11ms #1 absent
         12ms #2 rows b=v9",
        &expect![[r#"
            0ms edit b v1~Shout
            0ms rescan: a=v1~Shout
                  ready plugins=1 roots=["plugins"]
                  connected server_version=0.12.4
                  pass todo=1
                  b sending why=new
                  b twin other_id=a
                  summary held=1 ms=2
            10ms deleted a
                  b sending why=new
                  #1 get b
                  save
            11ms #1 absent
                  #2 overview of functions
            12ms #2 rows b=v9
                  #3 create b v1
        "#]],
    );
}

#[test]
fn a_deleted_plugin_with_a_file_is_created_again() {
    check(
        "0ms given a=v1
         10ms deleted a
         11ms #1 absent
         12ms #2 created a",
        &expect![[r#"
            10ms deleted a
                  a sending why=retry
                  #1 get a
                  save
            11ms #1 absent
                  #2 create a v1
            12ms #2 created a
                  #3 connect
                  archive v1
                  a created again=true ms=2
                  save
        "#]],
    );
}
