//! Plugins that the server already has under another id.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use expect_test::expect;
use owui_watch::engine::Policy;
use owui_watch::engine::deploy::{Adopt, DeployPolicy};
use owui_watch::engine::ledger::Ledger;

use super::{check, check_with, log_of_with, policy};

/// An account that may not list other users' plugins cannot know of duplicates either.
#[test]
fn without_a_list_no_duplicate_is_looked_for() {
    check(
        "0ms given a=v1~Shout
         5000ms write b v1~Shout
         5001ms #1 absent
         5002ms #2 too-long",
        &expect![[r#"
            5000ms write b v1~Shout
                  b sending why=new
                  #1 get b
            5001ms #1 absent
                  #2 overview of functions
            5002ms #2 too-long
                  #3 create b v1
        "#]],
    );
}

#[test]
fn a_duplicate_is_not_created() {
    check_with(
        Policy { once: Some(Duration::ZERO), ..policy() },
        Ledger::default(),
        "0ms edit a v1~Shout
         0ms edit b v1~Whisper
         0ms edit c v1~Whisper
         0ms rescan: old=v0~Shout c=v1~Whisper
         4ms #1 created b",
        &expect![[r#"
            0ms edit a v1~Shout
            0ms edit b v1~Whisper
            0ms edit c v1~Whisper
            0ms rescan: old=v0~Shout c=v1~Whisper
                  connected server_version=0.12.4
                  archive v1, found
                  c unchanged active=true
                  pass todo=2
                  a sending why=new
                  a twin other_id=old
                  b sending why=new
                  #1 create b v1
                  save
            4ms #1 created b
                  archive v1
                  b created ms=2
                  summary created=1 held=1 ms=4 unchanged=1
                  save
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn a_save_of_a_new_plugin_looks_for_duplicates() {
    check(
        "0ms given b=v1~Whisper
         10ms write a v1~Shout
         11ms #1 absent
         12ms #2 rows old=v0~Shout
         20ms write c v1~Whisper
         21ms #3 absent
         22ms #4 rows b=v1~Whisper
         23ms #5 created c
         30ms write d v1~Hum
         31ms #6 absent
         32ms #7 not-allowed
         33ms #8 created d",
        &expect![[r#"
            10ms write a v1~Shout
                  a sending why=new
                  #1 get a
            11ms #1 absent
                  #2 overview of functions
            12ms #2 rows old=v0~Shout
                  a twin other_id=old
            20ms write c v1~Whisper
                  c sending why=new
                  #3 get c
            21ms #3 absent
                  #4 overview of functions
            22ms #4 rows b=v1~Whisper
                  #5 create c v1
            23ms #5 created c
                  archive v1
                  c created ms=3
                  save
            30ms write d v1~Hum
                  d sending why=new
                  #6 get d
            31ms #6 absent
                  #7 overview of functions
            32ms #7 not-allowed
                  #8 create d v1
            33ms #8 created d
                  archive v1
                  d created ms=3
                  save
        "#]],
    );
}

#[test]
fn adopt_can_be_set_for_a_single_file() {
    let never = DeployPolicy { adopt: Adopt::Never, ..policy().deploy };
    for (deploy, of_b, created, kept) in [(policy().deploy, Adopt::Never, "b", "a"), (never, Adopt::Ask, "a", "b")] {
        let adopt_files = BTreeMap::from([(PathBuf::from("plugins/b.py"), of_b)]);
        let log = log_of_with(
            Policy { deploy, adopt_files, once: Some(Duration::ZERO), ..policy() },
            Ledger::default(),
            &format!(
                "0ms edit a v1~Shout
                 0ms edit b v1~Shout
                 0ms rescan: old=v0~Shout
                 4ms #1 created {created}"
            ),
        );
        assert!(log.contains(&format!("{kept} twin ")), "{log}");
        assert!(log.contains(&format!("#1 create {created} v1")) && log.contains("summary created=1 held=1"), "{log}");
    }
}

#[test]
fn adopt_never_ignores_duplicates() {
    let deploy = DeployPolicy { adopt: Adopt::Never, ..policy().deploy };
    check_with(
        Policy { deploy, ..policy() },
        Ledger::default(),
        "0ms edit a v1~Shout
         0ms rescan: old=v0~Shout
         4ms #1 created a",
        &expect![[r#"
            0ms edit a v1~Shout
            0ms rescan: old=v0~Shout
                  ready plugins=1 roots=["plugins"]
                  connected server_version=0.12.4
                  pass todo=1
                  a sending why=new
                  #1 create a v1
            4ms #1 created a
                  archive v1
                  a created ms=2
                  summary created=1 ms=4
                  save
        "#]],
    );
}

/// As after `git mv a.py b.py`.
#[test]
fn a_renamed_plugin_is_told_its_old_id() {
    check(
        "0ms given created a=nameless
         5000ms delete a
         5600ms wake
         6000ms write b nameless
         6001ms #1 absent
         6002ms #2 created b",
        &expect![[r#"
            5000ms delete a
                  held path=plugins/a.py
            5600ms wake
                  a removed
            6000ms write b nameless
                  b sending why=new
                  #1 get b
            6001ms #1 absent
                  #2 create b ?
            6002ms #2 created b
                  archive ?
                  b created ms=2
                  b id_changed from_id=a
                  save
        "#]],
    );
}

/// A new file is the new name of one plugin only, even if two had its text.
#[test]
fn a_new_file_replaces_one_plugin_and_not_two() {
    check(
        "0ms given created a=nameless c=nameless
         5000ms write b nameless
         5001ms #1 absent
         5002ms #2 created b
         5011ms delete a
         5012ms delete c
         5600ms wake",
        &expect![[r#"
            5000ms write b nameless
                  b sending why=new
                  #1 get b
            5001ms #1 absent
                  #2 create b ?
            5002ms #2 created b
                  archive ?
                  b created ms=2
                  save
            5011ms delete a
                  held path=plugins/a.py
            5012ms delete c
                  held path=plugins/c.py
            5600ms wake
                  b id_changed from_id=a
                  c removed
        "#]],
    );
}

/// The new file is found before the old one counts as gone.
#[test]
fn a_rename_is_told_when_the_old_file_is_gone() {
    check(
        "0ms given created a=nameless
         5000ms write b nameless
         5001ms #1 absent
         5002ms #2 created b
         5011ms delete a
         5600ms wake",
        &expect![[r#"
            5000ms write b nameless
                  b sending why=new
                  #1 get b
            5001ms #1 absent
                  #2 create b ?
            5002ms #2 created b
                  archive ?
                  b created ms=2
                  save
            5011ms delete a
                  held path=plugins/a.py
            5600ms wake
                  b id_changed from_id=a
        "#]],
    );
}

/// The new file is still on its way when the old one counts as gone.
#[test]
fn a_rename_is_told_once() {
    check(
        "0ms given created a=nameless
         5000ms remove a
         5000ms write b nameless
         5001ms delete a
         5600ms wake
         6001ms #1 absent
         6002ms #2 created b",
        &expect![[r#"
            5000ms remove a
            5000ms write b nameless
                  b sending why=new
                  #1 get b
            5001ms delete a
                  held path=plugins/a.py
            5600ms wake
                  b id_changed from_id=a
            6001ms #1 absent
                  #2 create b ?
            6002ms #2 created b
                  archive ?
                  b created ms=1002
                  save
        "#]],
    );
}

#[test]
fn a_rename_and_its_way_back_are_both_told() {
    check(
        "0ms given created a=nameless
         1000ms write b nameless
         1001ms #1 absent
         1002ms #2 created b
         1003ms delete a
         1600ms wake
         3000ms write a nameless
         3001ms #3 row a nameless
         3002ms delete b
         3600ms wake
         5000ms write b nameless
         5001ms #4 row b nameless
         5002ms delete a
         5600ms wake",
        &expect![[r#"
            1000ms write b nameless
                  b sending why=new
                  #1 get b
            1001ms #1 absent
                  #2 create b ?
            1002ms #2 created b
                  archive ?
                  b created ms=2
                  save
            1003ms delete a
                  held path=plugins/a.py
            1600ms wake
                  b id_changed from_id=a
            3000ms write a nameless
                  a sending why=retry
                  #3 get a
            3001ms #3 row a nameless
                  archive ?
                  a unchanged active=true
                  save
            3002ms delete b
                  held path=plugins/b.py
            3600ms wake
                  b removed
            5000ms write b nameless
                  b sending why=retry
                  #4 get b
            5001ms #4 row b nameless
                  archive ?
                  b unchanged active=true
                  save
            5002ms delete a
                  held path=plugins/a.py
            5600ms wake
                  b id_changed from_id=a
        "#]],
    );
}
