//! Somebody else's text on the server: backed up before it is replaced, held, or overwritten.

use std::time::Duration;

use expect_test::expect;
use owui_watch::engine::Policy;
use owui_watch::engine::deploy::{DeployPolicy, OnRemoteEdit};
use owui_watch::engine::ledger::Ledger;

use super::{after, check, check_with, hold, log_of, policy};

#[test]
fn somebody_elses_text_is_backed_up_before_it_is_replaced() {
    check(
        "0ms edit a v2
         0ms rescan: a=theirs
         3ms #1 row a theirs
         4ms #2 saved
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
                  #2 back up theirs
            4ms #2 saved
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
fn without_a_backup_nothing_is_replaced() {
    check(
        "0ms edit a v2
         0ms given start a=theirs
         3ms #1 row a theirs
         4ms #2 not-saved",
        &expect![[r#"
            3ms #1 row a theirs
                  #2 back up theirs
            4ms #2 not-saved
                  a failed ms=2 reason=backup_failed
                  summary failed=1 ms=4
                  save
        "#]],
    );
}

/// It is reported once per save.
#[test]
fn a_deploy_stopped_by_a_full_disk_is_retried() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a theirs
         12ms #2 not-saved
         512ms wake
         513ms #3 row a theirs
         514ms #4 not-saved
         1514ms wake
         1515ms #5 row a theirs
         1516ms #6 not-saved
         3000ms write a v3
         3001ms #7 row a theirs
         3002ms #8 not-saved
         8000ms wake
         8001ms #9 row a theirs
         8002ms #10 saved
         8003ms #11 row a v3
         99000ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a theirs
                  #2 back up theirs
            12ms #2 not-saved
                  a failed ms=2 reason=backup_failed
                  save
            512ms wake
                  a sending why=retry
                  #3 get a
            513ms #3 row a theirs
                  #4 back up theirs
            514ms #4 not-saved
                  save
            1514ms wake
                  a sending why=retry
                  #5 get a
            1515ms #5 row a theirs
                  #6 back up theirs
            1516ms #6 not-saved
                  save
            3000ms write a v3
                  a sending why=edited
                  #7 get a
            3001ms #7 row a theirs
                  #8 back up theirs
            3002ms #8 not-saved
                  a failed ms=2 reason=backup_failed
                  save
            8000ms wake
                  a sending why=retry
                  #9 get a
            8001ms #9 row a theirs
                  #10 back up theirs
            8002ms #10 saved
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
fn a_retry_deploys_the_current_file() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a theirs
         12ms #2 not-saved
         20ms edit a broken
         512ms wake
         9999ms wake
         10000ms write a v2
         10001ms #3 row a theirs
         10002ms #4 not-saved",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a theirs
                  #2 back up theirs
            12ms #2 not-saved
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
                  #4 back up theirs
            10002ms #4 not-saved
                  a failed ms=2 reason=backup_failed
                  save
        "#]],
    );
}

#[test]
fn a_plugin_created_meanwhile_is_updated() {
    check(
        "0ms given new a=v1
         4ms #1 taken
         5ms #2 row a theirs
         6ms #3 saved
         7ms #4 row a v1",
        &expect![[r#"
            4ms #1 taken
                  #2 get a
            5ms #2 row a theirs
                  #3 back up theirs
            6ms #3 saved
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
fn hold_leaves_a_remote_edit_to_the_user() {
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
         4022ms #4 saved
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
                  b unchanged active=true
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
                  #4 save intent: b is off
            4022ms #4 saved
                  #5 update b v2
            4023ms #5 row b v2
                  archive v2
                  b updated active=true from_version=v1 ms=3
                  save
                  clear intent of b
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
fn force_replaces_a_held_edit_after_a_backup() {
    let deploy = DeployPolicy { force: true, ..hold().deploy };
    check_with(
        Policy { deploy, once: Some(Duration::ZERO), ..policy() },
        Ledger::default(),
        "0ms edit a v1
         0ms rescan: a=v9
         3ms #1 row a v9
         4ms #2 saved
         5ms #3 saved
         6ms #4 row a v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan: a=v9
                  connected server_version=0.12.4
                  pass todo=1
                  a sending why=forced
                  #1 get a
            3ms #1 row a v9
                  #2 back up v9
            4ms #2 saved
                  #3 save intent: a is off
            5ms #3 saved
                  #4 update a v1
            6ms #4 row a v1
                  archive v1
                  a updated active=true backup=the/copy.py from_version=v9 ms=4
                  summary ms=6 updated=1
                  save
                  clear intent of a
                  exit Fine
        "#]],
    );
}

#[test]
fn overwrite_replaces_a_remote_edit_without_a_backup() {
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
fn a_simultaneous_remote_edit_is_replaced_after_a_backup() {
    let log = log_of(
        "0ms given a=v1
         5000ms given sent a v2
         5002ms #1 row a v9
         5003ms #2 row a v9
         900000ms wake",
    );
    assert!(
        after(&log, "5003ms").contains("connect") || after(&log, "5003ms").contains("back up v9"),
        "never tried again:\n{log}"
    );
}
