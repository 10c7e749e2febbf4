//! Texts that `rollback` and `pull` put back, and the deploys in flight meanwhile or later.

use expect_test::expect;

use super::check;

/// Somebody pasted the file's text back in the browser: the rollback is over, and nothing is sent.
#[test]
fn a_rollback_ends_when_the_files_text_is_back() {
    check(
        "0ms given a=v2
         10ms rolled-back a v2 v1
         11ms write a v2
         20ms rescan: a=v2",
        &expect![[r#"
            10ms rolled-back a v2 v1
            11ms write a v2
                  a rolled_back
                  a rolled_back
            20ms rescan: a=v2
                  end the rollback of a
                  a unchanged active=true good_again=true
                  summary ms=2 unchanged=1
        "#]],
    );
}

#[test]
fn a_changed_file_ends_a_rollback() {
    check(
        "0ms given a=v2
         10ms rolled-back a v2 v1
         11ms write a v2
         20ms rescan: a=v1
         30ms write a v3
         31ms #1 row a v1
         32ms #2 row a v3
         5000ms write a v2
         5001ms #3 row a v3
         5002ms #4 row a v2",
        &expect![[r#"
            10ms rolled-back a v2 v1
            11ms write a v2
                  a rolled_back
                  a rolled_back
            20ms rescan: a=v1
                  a rolled_back
                  summary held=1 ms=2
            30ms write a v3
                  a sending why=edited
                  #1 get a
            31ms #1 row a v1
                  #2 update a v3
            32ms #2 row a v3
                  end the rollback of a
                  archive v3
                  a updated active=true from_version=v1 ms=2
                  save
            5000ms write a v2
                  a sending why=edited
                  #3 get a
            5001ms #3 row a v3
                  #4 update a v2
            5002ms #4 row a v2
                  archive v2
                  a updated active=true from_version=v3 ms=2
                  save
        "#]],
    );
}

#[test]
fn a_deploy_that_ends_after_a_rollback_undoes_it() {
    check(
        "0ms given a=v1
         5000ms given sent a v2
         6000ms rolling-back a v2 v0
         6100ms rolled-back a v2 v0
         7000ms #1 row a v2
         8000ms write a v2",
        &expect![[r#"
            6000ms rolling-back a v2 v0
            6100ms rolled-back a v2 v0
            7000ms #1 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2000
                  end the rollback of a
                  a rollback_undone put_back=54a657c3f84eec4ea2474fcdc041b435100c31d32ccc1ec2827eaf0be7a849f0
                  save
            8000ms write a v2
                  a unchanged
        "#]],
    );
}

/// The rollback is still in progress, and replaces the deployed text.
#[test]
fn a_deploy_that_ends_before_a_rollback_keeps_it() {
    check(
        "0ms given a=v1
         5000ms given sent a v2
         6000ms rolling-back a v2 v0
         6100ms #1 row a v2
         7000ms rolled-back a v2 v0
         8000ms write a v2",
        &expect![[r#"
            6000ms rolling-back a v2 v0
            6100ms #1 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=1100
                  save
            7000ms rolled-back a v2 v0
            8000ms write a v2
                  a rolled_back
                  a rolled_back
        "#]],
    );
}

/// A pull changes nothing on the server.
#[test]
fn a_deploy_that_ends_after_a_pull_undoes_nothing() {
    check(
        "0ms given a=v1
         5000ms given sent a v2
         6000ms pulled a v1
         7000ms #1 row a v2",
        &expect![[r#"
            6000ms pulled a v1
            7000ms #1 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2000
                  save
        "#]],
    );
}

#[test]
fn a_rolled_back_plugin_loses_its_turn() {
    check(
        "0ms given a=v1
         5000ms write a v2
         7000ms write a v3
         7001ms rolled-back a v3 v0
         7002ms #1 row a v1
         7003ms #2 row a v2
         9000ms write a v4",
        &expect![[r#"
            5000ms write a v2
                  a sending why=edited
                  #1 get a
            7000ms write a v3
                  a waiting reason=Turn
            7001ms rolled-back a v3 v0
            7002ms #1 row a v1
                  #2 update a v2
            7003ms #2 row a v2
                  archive v2
                  a updated active=true from_version=v1 ms=2003
                  a rollback_undone put_back=54a657c3f84eec4ea2474fcdc041b435100c31d32ccc1ec2827eaf0be7a849f0
                  a rolled_back
                  save
            9000ms write a v4
                  a sending why=edited
                  #3 get a
        "#]],
    );
}

/// A second rollback put the file's own text back, and ended the first one.
#[test]
fn a_rollback_to_the_files_text_ends_it() {
    check(
        "0ms given a=v2
         10ms rolled-back a v2 v1
         11ms write a v2
         20ms no-rollback a
         21ms wake
         22ms #1 row a v2
         3000ms write a v2",
        &expect![[r#"
            10ms rolled-back a v2 v1
            11ms write a v2
                  a rolled_back
                  a rolled_back
            20ms no-rollback a
            21ms wake
                  a sending why=retry
                  #1 get a
            22ms #1 row a v2
                  archive v2, found
                  a unchanged active=true good_again=true
                  save
            3000ms write a v2
                  a unchanged
        "#]],
    );
}

/// Its note takes the place of the earlier one before it is gone.
#[test]
fn a_rollback_there_and_back_ends_both() {
    check(
        "0ms given a=v2
         10ms rolled-back a v2 v1
         11ms write a v2
         20ms rolling-back a v2 v2
         21ms wake
         30ms no-rollback a
         31ms wake
         32ms #1 row a v2",
        &expect![[r#"
            10ms rolled-back a v2 v1
            11ms write a v2
                  a rolled_back
                  a rolled_back
            20ms rolling-back a v2 v2
            21ms wake
            30ms no-rollback a
            31ms wake
                  a sending why=retry
                  #1 get a
            32ms #1 row a v2
                  archive v2, found
                  a unchanged active=true good_again=true
                  save
        "#]],
    );
}

/// A note that is lost does not mean that the server holds the file's text.
#[test]
fn a_lost_note_of_a_rollback_is_not_good_news() {
    check(
        "0ms given a=v2
         10ms rolled-back a v2 v1
         11ms write a v2
         20ms no-rollback a
         21ms wake
         22ms #1 row a v1",
        &expect![[r#"
            10ms rolled-back a v2 v1
            11ms write a v2
                  a rolled_back
                  a rolled_back
            20ms no-rollback a
            21ms wake
                  a sending why=retry
                  #1 get a
            22ms #1 row a v1
                  #2 back up v1
        "#]],
    );
}

/// Meanwhile a pass found the text that the rollback had put back.
#[test]
fn an_ended_rollback_is_compared_where_the_ledger_knows_no_better() {
    check(
        "0ms given a=v2
         10ms rolled-back a v2 v1
         20ms rescan: a=v1
         30ms no-rollback a
         31ms wake
         32ms #1 row a v2",
        &expect![[r#"
            10ms rolled-back a v2 v1
            20ms rescan: a=v1
                  a rolled_back
                  a rolled_back
                  summary held=1 ms=2
            30ms no-rollback a
            31ms wake
                  a sending why=retry
                  #1 get a
            32ms #1 row a v2
                  archive v2, found
                  a unchanged active=true good_again=true
                  save
        "#]],
    );
}

/// Nothing was put back.
#[test]
fn a_rollback_that_failed_ends_silently() {
    check(
        "0ms given a=v2
         10ms rolling-back a v2 v1
         11ms wake
         20ms no-rollback a
         21ms wake",
        &expect![[r#"
            10ms rolling-back a v2 v1
            11ms wake
            20ms no-rollback a
            21ms wake
        "#]],
    );
}
