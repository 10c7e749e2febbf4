//! Somebody else's text on the server: kept before it is replaced, held, or overwritten.

use std::time::Duration;

use expect_test::expect;
use owui_watch::engine::Policy;
use owui_watch::engine::deploy::{DeployPolicy, OnRemoteEdit};
use owui_watch::engine::ledger::Ledger;

use super::{after, check, check_with, hold, log_of, policy};

#[test]
fn a_text_that_is_not_ours_is_kept_before_it_is_replaced() {
    check(
        "0ms edit a v2
         0ms rescan: a=theirs
         3ms #1 row a theirs
         4ms #2 kept
         5ms #3 row a v2",
        &expect![[r#"
            0ms edit a v2
            0ms rescan: a=theirs
                  ready plugins=1 roots=["plugins"]
                  connected server_version=0.12.4
                  pass todo=1
                  a sending why=new
                  #1 get a
            3ms #1 row a theirs
                  #2 keep theirs
            4ms #2 kept
                  #3 update a v2
            5ms #3 row a v2
                  archive v2
                  a updated active=true backup=the/copy.py from_version=theirs ms=3
                  summary ms=5 updated=1
                  save
        "#]],
    );
}

#[test]
fn what_cannot_be_kept_is_not_replaced() {
    check(
        "0ms edit a v2
         0ms given start a=theirs
         3ms #1 row a theirs
         4ms #2 not-kept",
        &expect![[r#"
            3ms #1 row a theirs
                  #2 keep theirs
            4ms #2 not-kept
                  a failed ms=2 reason=backup_failed
                  summary failed=1 ms=4
                  save
        "#]],
    );
}

/// It is told once; a save is told again.
#[test]
fn a_deploy_that_a_full_disk_stopped_is_retried() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a theirs
         12ms #2 not-kept
         512ms wake
         513ms #3 row a theirs
         514ms #4 not-kept
         1514ms wake
         1515ms #5 row a theirs
         1516ms #6 not-kept
         3000ms write a v3
         3001ms #7 row a theirs
         3002ms #8 not-kept
         8000ms wake
         8001ms #9 row a theirs
         8002ms #10 kept
         8003ms #11 row a v3
         99000ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a theirs
                  #2 keep theirs
            12ms #2 not-kept
                  a failed ms=2 reason=backup_failed
                  save
            512ms wake
                  a sending why=retry
                  #3 get a
            513ms #3 row a theirs
                  #4 keep theirs
            514ms #4 not-kept
                  save
            1514ms wake
                  a sending why=retry
                  #5 get a
            1515ms #5 row a theirs
                  #6 keep theirs
            1516ms #6 not-kept
                  save
            3000ms write a v3
                  a sending why=edited
                  #7 get a
            3001ms #7 row a theirs
                  #8 keep theirs
            3002ms #8 not-kept
                  a failed ms=2 reason=backup_failed
                  save
            8000ms wake
                  a sending why=retry
                  #9 get a
            8001ms #9 row a theirs
                  #10 keep theirs
            8002ms #10 kept
                  #11 update a v3
            8003ms #11 row a v3
                  archive v3
                  a updated active=true backup=the/copy.py from_version=theirs ms=3
                  save
            99000ms wake
        "#]],
    );
}

#[test]
fn a_retry_deploys_what_the_file_holds_by_then() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a theirs
         12ms #2 not-kept
         20ms edit a broken
         512ms wake
         9999ms wake
         10000ms write a v2
         10001ms #3 row a theirs
         10002ms #4 not-kept",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a theirs
                  #2 keep theirs
            12ms #2 not-kept
                  a failed ms=2 reason=backup_failed
                  save
            20ms edit a broken
            512ms wake
                  a flawed column=14 line=1 reason=syntax
            9999ms wake
            10000ms write a v2
                  a sending why=retry
                  #3 get a
            10001ms #3 row a theirs
                  #4 keep theirs
            10002ms #4 not-kept
                  a failed ms=2 reason=backup_failed
                  save
        "#]],
    );
}

#[test]
fn a_row_that_appears_meanwhile_is_updated() {
    check(
        "0ms given new a=v1
         4ms #1 taken
         5ms #2 row a theirs
         6ms #3 kept
         7ms #4 row a v1",
        &expect![[r#"
            4ms #1 taken
                  #2 get a
            5ms #2 row a theirs
                  #3 keep theirs
            6ms #3 kept
                  #4 update a v1
            7ms #4 row a v1
                  archive v1
                  a updated active=true backup=the/copy.py from_version=theirs ms=5
                  summary ms=7 updated=1
                  save
        "#]],
    );
}

#[test]
fn a_remote_edit_is_held_where_the_user_wants_to_decide() {
    check_with(
        hold(),
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v1
         0ms rescan: a=v9 b=v1
         3ms #1 row a v9
         2010ms write a v2
         2011ms #2 row a v9
         4020ms write b v2
         4021ms #3 row b v1
         4022ms #4 noted
         4023ms #5 row b v2
         6030ms write a v9
         6031ms #6 row a v9",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan: a=v9 b=v1
                  ready plugins=2 roots=["plugins"]
                  connected server_version=0.12.4
                  archive v1, found
                  b unchanged
                  pass todo=1
                  a sending why=new
                  #1 get a
                  save
            3ms #1 row a v9
                  a remote_edit server_plugin_version=v9
                  summary held=1 ms=3 unchanged=1
            2010ms write a v2
                  a sending why=new
                  #2 get a
            2011ms #2 row a v9
                  a remote_edit server_plugin_version=v9
            4020ms write b v2
                  b sending why=edited
                  #3 get b
            4021ms #3 row b v1
                  #4 note that b is off
            4022ms #4 noted
                  #5 update b v2
            4023ms #5 row b v2
                  archive v2
                  b updated active=true from_version=v1 ms=3
                  save
                  unnote b
            6030ms write a v9
                  a sending why=new
                  #6 get a
            6031ms #6 row a v9
                  archive v9, found
                  a unchanged active=true
                  save
        "#]],
    );
}

#[test]
fn force_ends_a_hold_and_keeps_a_copy() {
    let deploy = DeployPolicy { force: true, ..hold().deploy };
    check_with(
        Policy { deploy, once: Some(Duration::ZERO), ..policy() },
        Ledger::default(),
        "0ms edit a v1
         0ms rescan: a=v9
         3ms #1 row a v9
         4ms #2 kept
         5ms #3 noted
         6ms #4 row a v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan: a=v9
                  connected server_version=0.12.4
                  pass todo=1
                  a sending why=forced
                  #1 get a
            3ms #1 row a v9
                  #2 keep v9
            4ms #2 kept
                  #3 note that a is off
            5ms #3 noted
                  #4 update a v1
            6ms #4 row a v1
                  archive v1
                  a updated active=true backup=the/copy.py from_version=v9 ms=4
                  summary ms=6 updated=1
                  save
                  unnote a
                  exit Fine
        "#]],
    );
}

#[test]
fn a_remote_edit_is_overwritten_where_the_user_wants_that() {
    let deploy = DeployPolicy { on_remote_edit: OnRemoteEdit::Overwrite, ..policy().deploy };
    check_with(
        Policy { deploy, ..policy() },
        Ledger::default(),
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v9
         12ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v9
                  #2 update a v2
            12ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v9 ms=2
                  save
        "#]],
    );
}

#[test]
fn what_somebody_else_wrote_at_the_same_moment_is_replaced_as_soon_as_it_is_kept() {
    let log = log_of(
        "0ms given a=v1
         5000ms given sent a v2
         5002ms #1 row a v9
         5003ms #2 row a v9
         900000ms wake",
    );
    assert!(
        after(&log, "5003ms").contains("connect") || after(&log, "5003ms").contains("keep v9"),
        "never tried again:\n{log}"
    );
}
