//! A file that is gone, and what becomes of its plugin on the server.

use std::time::Duration;

use expect_test::{Expect, expect};
use owui_watch::engine::ledger::Ledger;
use owui_watch::engine::{OnDelete, Policy};

use super::{after, check_with, play, policy};

/// Three plugins that we have deployed, and what is done about a deleted file.
fn leaving(on_delete: OnDelete, script: &str, expected: &Expect) {
    let deployed = "0ms edit a v1
         0ms edit b v1
         0ms edit c v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 created a
         4ms #4 created b
         7ms #5 created c";
    let mut run = play(Policy { on_delete, ..policy() }, Ledger::default(), deployed);
    run.go_on(script);
    expected.assert_eq(&run.log);
}

#[test]
fn a_file_that_stays_gone_takes_its_plugin_along_where_the_user_wants_that() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         10000ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v1
         32352ms #2 kept
         32353ms #3 deleted
         32354ms #4 absent
         33000ms write a v1
         33001ms #5 absent
         33002ms #6 created a",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            10000ms wake
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 row a v1
                  #2 keep v1
            32352ms #2 kept
                  #3 delete a
            32353ms #3 deleted
                  #4 get a
            32354ms #4 absent
                  save
                  a deleted: deleted on the server, since its file is gone; a copy is in the/copy.py
            33000ms write a v1
                  a sending: on its way (new)
                  #5 get a
            33001ms #5 absent
                  #6 create a v1
            33002ms #6 created a
                  save
                  archive v1
                  a created: created, switched off
        "#]],
    );
}

#[test]
fn a_file_that_comes_back_changes_nothing() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         9000ms write a v1
         40000ms wake",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            9000ms write a v1
                  a unchanged: unchanged
            40000ms wake
        "#]],
    );
}

#[test]
fn what_was_changed_on_the_server_is_not_taken_away() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v9",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 row a v9
                  a spared: the server keeps it: it was changed there
        "#]],
    );
}

#[test]
fn a_copy_that_cannot_be_kept_means_that_nothing_is_deleted() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v1
         32352ms #2 not-kept",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 row a v1
                  #2 keep v1
            32352ms #2 not-kept
                  a failed: what must be on disk before anything is sent could not be written: disk full
        "#]],
    );
}

#[test]
fn a_folder_that_goes_takes_nothing_along() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a all-gone",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a all-gone
                  a spared: the server keeps it: its whole folder is gone, not the file alone
        "#]],
    );
}

/// What is unmounted leaves its folder behind, and Python leaves `__pycache__`.
#[test]
fn a_folder_that_is_left_without_plugins_takes_nothing_along() {
    leaving(
        OnDelete::Delete,
        "1000ms write x/d as d v1
         1001ms #1 absent
         1002ms #2 created d
         2000ms delete x/d
         2350ms wake
         32350ms wake
         32350ms looked x/d gone",
        &expect![[r#"
            1000ms write x/d as d v1
                  d sending: on its way (new)
                  #1 get d
            1001ms #1 absent
                  #2 create d v1
            1002ms #2 created d
                  save
                  archive v1
                  d created: created, switched off
            2000ms delete x/d
                  held: not complete yet; read again soon
            2350ms wake
                  d removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/x/d.py
            32350ms looked x/d gone
                  d spared: the server keeps it: no other plugin is left in its folder, which may be a share that is not there
        "#]],
    );
}

#[test]
fn when_more_files_go_than_are_left_nothing_is_taken_away() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2000ms delete b
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32350ms looked b gone",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2000ms delete b
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
                  b removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
                  look for plugins/b.py
            32350ms looked a gone
                  a spared: the server keeps it: more files have gone than are left
                  b spared: the server keeps it: more files have gone than are left
            32350ms looked b gone
        "#]],
    );
}

#[test]
fn a_function_is_switched_off_where_the_user_wants_that() {
    leaving(
        OnDelete::Deactivate,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v1
         32352ms #2 row a v1 off
         40000ms write a v1
         41000ms write a v1",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; switched off on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 row a v1
                  save
                  #2 toggle a
            32352ms #2 row a v1 off
                  a deactivated: switched off on the server, since its file is gone
            40000ms write a v1
                  a left_off: its file is back; the function was switched off while it was gone, and is not switched on by itself
                  save
                  a unchanged: unchanged
            41000ms write a v1
                  a unchanged: unchanged
        "#]],
    );
}

#[test]
fn a_function_of_which_nobody_knows_whether_it_was_switched_off_is_mentioned_when_its_file_is_back() {
    leaving(
        OnDelete::Deactivate,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v1
         32352ms #2 lost
         32353ms #3 unreachable
         40000ms write a v2",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; switched off on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 row a v1
                  save
                  #2 toggle a
            32352ms #2 lost
                  #3 get a
            32353ms #3 unreachable
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms)
                  a waiting: waiting: the server is away
            40000ms write a v2
                  a left_off: its file is back; the function was switched off while it was gone, and is not switched on by itself
                  save
                  a waiting: waiting: the server is away
        "#]],
    );
}

#[test]
fn a_removal_waits_for_a_server_that_is_away() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 unreachable
         32851ms wake
         32852ms #2 connected
         32853ms #3 rows a=v1 b=v1 c=v1
         32853ms wake
         32853ms looked a gone
         32854ms #4 row a v1
         32855ms #5 kept
         32856ms #6 lost
         32857ms #7 absent",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 unreachable
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms)
                  a waiting: waiting: the server is away
            32851ms wake
                  #2 connect
            32852ms #2 connected
                  #3 overview of functions
            32853ms #3 rows a=v1 b=v1 c=v1
                  b unchanged: unchanged
                  c unchanged: unchanged
                  back: the server is back after 502 ms
            32853ms wake
                  look for plugins/a.py
            32853ms looked a gone
                  #4 get a
            32854ms #4 row a v1
                  #5 keep v1
            32855ms #5 kept
                  #6 delete a
            32856ms #6 lost
                  #7 get a
            32857ms #7 absent
                  save
                  a deleted: deleted on the server, since its file is gone; a copy is in the/copy.py
        "#]],
    );
}

#[test]
fn what_we_did_not_put_there_is_not_taken_away() {
    check_with(
        Policy { on_delete: OnDelete::Delete, ..policy() },
        Ledger::default(),
        "0ms given a=v1 b=v1
         2000ms delete a
         2350ms wake
         40000ms wake",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; the server keeps it
            40000ms wake
        "#]],
    );
}

#[test]
fn nothing_is_taken_away_where_nobody_asked_for_it() {
    leaving(
        OnDelete::Keep,
        "2000ms delete a
         2350ms wake
         40000ms wake
         40000ms looked a gone",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; the server keeps it
            40000ms wake
            40000ms looked a gone
        "#]],
    );
}

/// A single pass sees the disk for a moment only, which tells nobody's wishes.
#[test]
fn a_pass_takes_nothing_away() {
    let deployed = "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         5ms #3 created a";
    check_with(
        Policy { on_delete: OnDelete::Delete, once: Some(Duration::from_mins(1)), ..policy() },
        play(policy(), Ledger::default(), deployed).engine.ledger().clone(),
        "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v1
         3ms delete a
         400ms wake
         40000ms wake
         40000ms looked a gone",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.12.4
                  a unchanged: unchanged
                  pass: 1 plugin to compare with the server
                  b sending: on its way (new)
                  #3 create b v1
            3ms delete a
                  held: not complete yet; read again soon
            400ms wake
                  a removed: removed here; the server keeps it
            40000ms wake
                  b slow: still on its way after 40 s
            40000ms looked a gone
        "#]],
    );
}

#[test]
fn a_plugin_that_a_renamed_file_may_be_is_not_taken_away() {
    let mut run = play(
        Policy { on_delete: OnDelete::Delete, ..policy() },
        Ledger::default(),
        "0ms edit a v1~Shout
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows b=v1
         4ms #3 created a",
    );
    run.go_on(
        "2000ms delete a
         2000ms write c v1~Shout
         2350ms wake
         2351ms #1 absent
         2352ms #2 rows a=v1~Shout b=v1
         32350ms wake
         32350ms looked a gone",
    );
    expect![[r#"
        2000ms delete a
              held: not complete yet; read again soon
        2000ms write c v1~Shout
              c sending: on its way (new)
              #1 get c
        2350ms wake
              a removed: removed here; deleted on the server in 30 s unless it comes back
        2351ms #1 absent
              #2 overview of functions
        2352ms #2 rows a=v1~Shout b=v1
              c twin: not created: the server has a plugin with the same title and author under the id `a`
        32350ms wake
              look for plugins/a.py
        32350ms looked a gone
              a spared: the server keeps it: a new file here may be the same plugin
    "#]]
    .assert_eq(&run.log);
}

/// Which plugin a broken file is cannot be known: it may be the missing one under a new name.
#[test]
fn what_a_broken_file_may_be_is_not_taken_away() {
    leaving(
        OnDelete::Delete,
        "5000ms delete a
         5000ms write d broken
         5301ms wake
         35301ms wake
         35302ms looked a gone
         65302ms wake
         65303ms looked a gone
         70000ms write d as a v2
         70001ms #1 row a v1
         70002ms #2 row a v2
         95303ms wake",
        &expect![[r#"
            5000ms delete a
                  held: not complete yet; read again soon
            5000ms write d broken
                  flawed: invalid Python: expected an expression or a ')'
            5301ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            35301ms wake
                  look for plugins/a.py
            35302ms looked a gone
                  a waiting: waiting: a file here that is broken may be the same plugin; nothing is done on the server before it is mended
            65302ms wake
                  look for plugins/a.py
            65303ms looked a gone
            70000ms write d as a v2
                  a sending: on its way (edited)
                  #1 get a
            70001ms #1 row a v1
                  #2 update a v2
            70002ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
            95303ms wake
        "#]],
    );
    leaving(
        OnDelete::Delete,
        "5000ms delete a
         5000ms write b broken
         5301ms wake
         35301ms wake
         35302ms looked a gone
         40000ms write b v2
         40001ms #1 row b v1
         40002ms #2 row b v2
         65302ms wake
         65303ms looked a gone",
        &expect![[r#"
            5000ms delete a
                  held: not complete yet; read again soon
            5000ms write b broken
                  b flawed: invalid Python: expected an expression or a ')'
            5301ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            35301ms wake
                  look for plugins/a.py
            35302ms looked a gone
                  a waiting: waiting: a file here that is broken may be the same plugin; nothing is done on the server before it is mended
            40000ms write b v2
                  b sending: on its way (edited)
                  #1 get b
            40001ms #1 row b v1
                  #2 update b v2
            40002ms #2 row b v2
                  save
                  archive v2
                  b updated: updated
            65302ms wake
                  look for plugins/a.py
            65303ms looked a gone
                  #3 get a
        "#]],
    );
}

#[test]
fn what_another_file_has_taken_over_is_not_taken_away() {
    leaving(
        OnDelete::Delete,
        "5000ms delete a
         5301ms wake
         6000ms edit d as a v1
         6000ms rescan
         6001ms #1 connected
         6002ms #2 rows a=v1 b=v1 c=v1
         35301ms wake
         35302ms looked a gone",
        &expect![[r#"
            5000ms delete a
                  held: not complete yet; read again soon
            5301ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            6000ms edit d as a v1
            6000ms rescan
                  #1 connect
            6001ms #1 connected
                  #2 overview of functions
            6002ms #2 rows a=v1 b=v1 c=v1
                  a unchanged: unchanged
                  b unchanged: unchanged
                  c unchanged: unchanged
                  summary: 3 plugins in 2 ms: 3 unchanged
            35301ms wake
                  look for plugins/a.py
            35302ms looked a gone
        "#]],
    );
}

/// A plugin was deleted since its file was gone; the file comes back while an overview from before that is on its way.
#[test]
fn an_overview_older_than_a_removal_is_not_believed() {
    let deployed = "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 created a
         4ms #4 created b";
    let mut run = play(Policy { on_delete: OnDelete::Delete, ..policy() }, Ledger::default(), deployed);
    run.go_on(
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v1
         32352ms #2 kept
         32353ms rescan
         32354ms #4 connected
         32355ms #3 deleted
         32356ms #6 absent
         32357ms write a v1
         32400ms #5 rows a=v1 b=v1",
    );
    let log = run.log;
    assert!(after(&log, "32400ms").contains("a sending"), "the server does not have it, and nothing is sent:\n{log}");
}
