//! Passes over all plugins: the first one, how far overviews are trusted, and `--once` with its options.

use std::time::Duration;

use expect_test::expect;
use owui_watch::engine::deploy::DeployPolicy;
use owui_watch::engine::ledger::Ledger;
use owui_watch::engine::{OnDelete, Policy};

use super::{after, check, check_with, force, key, log_of, log_of_with, once, play, policy};

#[test]
fn a_first_pass_creates_only_what_is_missing() {
    check(
        "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows b=v1 theirs=v9
         4ms #3 created a",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan
                  #1 connect
                  ready plugins=2 roots=["plugins"]
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows b=v1 theirs=v9
                  connected server_version=0.12.4
                  archive v1, found
                  b unchanged active=true
                  pass todo=1
                  a sending why=new
                  #3 create a v1
                  save
            4ms #3 created a
                  archive v1
                  a created ms=2
                  summary created=1 ms=4 unchanged=1
                  save
        "#]],
    );
}

/// Other users' plugins can make the list too long.
#[test]
fn without_an_overview_each_plugin_is_read() {
    check(
        "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 too-long
         3ms #3 row a v1
         3ms #4 absent
         4ms #5 created b",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan
                  #1 connect
                  ready plugins=2 roots=["plugins"]
            1ms #1 connected
                  #2 overview of functions
            2ms #2 too-long
                  connected server_version=0.12.4
                  pass todo=2
                  a sending why=new
                  #3 get a
                  b sending why=new
                  #4 get b
            3ms #3 row a v1
                  archive v1, found
                  a unchanged active=true
                  save
            3ms #4 absent
                  #5 create b v1
            4ms #5 created b
                  archive v1
                  b created ms=2
                  summary created=1 ms=4 unchanged=1
                  save
        "#]],
    );
}

/// There was no file of its kind when the overviews were requested.
#[test]
fn a_kind_without_an_overview_is_read_before_a_create() {
    check(
        "0ms edit a half
         0ms rescan
         1ms #1 connected
         300ms wake
         301ms write a v1
         302ms #2 row a v1",
        &expect![[r#"
            0ms edit a half
            0ms rescan
                  #1 connect
                  held path=plugins/a.py
                  ready plugins=1 roots=["plugins"]
            1ms #1 connected
            300ms wake
                  connected server_version=0.12.4
            301ms write a v1
                  a sending why=new
                  #2 get a
            302ms #2 row a v1
                  archive v1, found
                  a unchanged active=true
                  summary ms=302 unchanged=1
                  save
        "#]],
    );
}

#[test]
fn a_single_pass_ends_with_a_summary_and_a_code() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a v1
         0ms edit b broken
         0ms edit c v1
         0ms rescan: a=v1
         4ms #1 refused
         5ms #2 absent",
        &expect![[r#"
            0ms edit a v1
            0ms edit b broken
            0ms edit c v1
            0ms rescan: a=v1
                  flawed column=14 line=1 path=plugins/b.py reason=syntax
                  connected server_version=0.12.4
                  archive v1, found
                  a unchanged active=true
                  pass todo=1
                  c sending why=new
                  #1 create c v1
                  save
            4ms #1 refused
                  #2 get c
            5ms #2 absent
                  c refused ms=3 words=
                  summary ms=5 refused=1 skipped=1 unchanged=1
                  save
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn a_single_pass_gives_up_after_a_while() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 unreachable
         501ms wake
         502ms #2 unreachable
         1502ms wake
         1503ms #3 unreachable
         2001ms wake
         2002ms #4 unreachable",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            1ms #1 unreachable
                  unreachable cause="connection refused" next_ms=500 waiting=1
            501ms wake
                  #2 connect
            502ms #2 unreachable
                  still_unreachable attempt=2 cause="connection refused" next_ms=1000
            1502ms wake
                  #3 connect
            1503ms #3 unreachable
                  still_unreachable attempt=3 cause="connection refused" next_ms=498
            2001ms wake
                  #4 connect
            2002ms #4 unreachable
                  gave_up cause="connection refused"
                  exit NoServer
        "#]],
    );
}

/// Its answer took a moment, so the pause that it asks for ends a moment after the patience.
#[test]
fn a_single_pass_obeys_a_server_until_its_patience_ends() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 unreachable 1
         1001ms wake
         1004ms #2 unreachable 1
         2004ms wake
         2005ms #3 unreachable 1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            1ms #1 unreachable 1
                  unreachable cause="too many requests" next_ms=1000 waiting=1
            1001ms wake
                  #2 connect
            1004ms #2 unreachable 1
                  still_unreachable attempt=2 cause="too many requests" next_ms=1000
            2004ms wake
                  #3 connect
            2005ms #3 unreachable 1
                  gave_up cause="too many requests"
                  exit NoServer
        "#]],
    );
}

#[test]
fn a_single_pass_that_is_denied_access_exits_with_3() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 not-allowed",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 not-allowed
                  not_allowed status=401 words="401 Unauthorized"
                  exit NoServer
        "#]],
    );
}

#[test]
fn a_single_pass_without_plugins_is_a_usage_error() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a other\n0ms rescan",
        &expect![[r#"
            0ms edit a other
            0ms rescan
                  #1 connect
                  nothing_found roots=["plugins"]
                  exit Usage
        "#]],
    );
}

#[test]
fn a_dry_run_reads_and_changes_nothing() {
    let deploy = DeployPolicy { dry_run: true, ..policy().deploy };
    check_with(
        Policy { deploy, ..once() },
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v2
         0ms edit c v1
         0ms rescan: b=v1 c=v1
         3ms #1 absent
         4ms #2 row b v1",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v2
            0ms edit c v1
            0ms rescan: b=v1 c=v1
                  connected server_version=0.12.4
                  c unchanged active=true
                  pass todo=2
                  a sending why=new
                  #1 get a
                  b sending why=new
                  #2 get b
            3ms #1 absent
                  a would_create
            4ms #2 row b v1
                  b would_update foreign=true from_version=v1
                  summary created=1 dry_run=true ms=4 unchanged=1 updated=1
                  exit Fine
        "#]],
    );
}

#[test]
fn force_sends_an_unchanged_text() {
    check_with(
        Policy { once: once().once, ..force() },
        Ledger::default(),
        "0ms edit a v1
         0ms rescan: a=v1
         3ms #1 row a v1
         4ms #2 row a v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan: a=v1
                  connected server_version=0.12.4
                  pass todo=1
                  a sending why=forced
                  #1 get a
            3ms #1 row a v1
                  #2 update a v1
            4ms #2 row a v1
                  archive v1
                  a updated active=true from_version=v1 ms=2
                  summary ms=4 updated=1
                  save
                  exit Fine
        "#]],
    );
}

#[test]
fn activate_new_switches_a_created_function_on() {
    let deploy = DeployPolicy { activate_new: true, ..policy().deploy };
    check_with(
        Policy { deploy, ..once() },
        Ledger::default(),
        "0ms given new a=v1
         2ms #1 absent
         3ms #2 saved
         4ms #3 created a
         5ms #4 row a v1",
        &expect![[r#"
            2ms #1 absent
                  #2 save intent: a is on
            3ms #2 saved
                  #3 create a v1
            4ms #3 created a
                  #4 toggle a
            5ms #4 row a v1
                  archive v1
                  a created active=true ms=3
                  summary created=1 ms=5
                  save
                  clear intent of a
                  exit Fine
        "#]],
    );
}

/// A server whose plugins are disabled lists no function: this one exists, and an admin has switched it off.
#[test]
fn activate_new_leaves_a_function_alone_that_was_not_listed() {
    let deploy = DeployPolicy { activate_new: true, ..policy().deploy };
    check_with(
        Policy { deploy, ..once() },
        Ledger::default(),
        "0ms given new a=v1
         2ms #1 row a v1 off",
        &expect![[r#"
            2ms #1 row a v1 off
                  archive v1, found
                  a unchanged
                  summary ms=2 unchanged=1
                  save
                  exit Fine
        "#]],
    );
}

#[test]
fn names_limit_the_work_and_unknown_ones_are_errors() {
    let policy = Policy { only: vec!["b".to_owned(), "plugins/c.py".to_owned()], ..once() };
    check_with(
        policy,
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v1
         0ms edit c v1
         0ms rescan: b=v1 c=v1",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms edit c v1
            0ms rescan: b=v1 c=v1
                  connected server_version=0.12.4
                  archive v1, found
                  b unchanged active=true
                  archive v1, found
                  c unchanged active=true
                  summary ms=2 unchanged=2
                  save
                  exit Fine
        "#]],
    );
    let policy = Policy { only: vec!["nobody".to_owned()], ..once() };
    check_with(
        policy,
        Ledger::default(),
        "0ms edit a v1\n0ms rescan",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
                  trouble
                  exit Usage
        "#]],
    );
}

#[test]
fn a_single_pass_gives_up_on_an_unsettled_file() {
    check_with(
        Policy { once: Some(Duration::ZERO), ..policy() },
        Ledger::default(),
        "0ms edit a unsettled
         0ms rescan
         1ms #1 connected
         9999ms wake
         10040ms wake",
        &expect![[r#"
            0ms edit a unsettled
            0ms rescan
                  #1 connect
                  held path=plugins/a.py
            1ms #1 connected
            9999ms wake
            10040ms wake
                  flawed path=plugins/a.py reason=unreadable
                  connected server_version=0.12.4
                  summary ms=10040 skipped=1
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn an_untested_server_version_is_reported_once() {
    check(
        "0ms edit a v1
         0ms rescan: 0.13.0 a=v1
         10ms rescan: 0.13.0 a=v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan: 0.13.0 a=v1
                  ready plugins=1 roots=["plugins"]
                  connected server_version=0.13.0
                  untested server_version=0.13.0
                  archive v1, found
                  a unchanged active=true
                  summary ms=2 unchanged=1
                  save
            10ms rescan: 0.13.0 a=v1
                  a unchanged active=true
                  summary ms=2 unchanged=1
        "#]],
    );
}

/// The server read the overview before it stored v2, and its answer arrives after that of the update.
#[test]
fn an_overview_older_than_a_deploy_is_not_believed() {
    let log = log_of(
        "0ms given a=v1
         5000ms given sent a v2
         5002ms edit a v1
         5002ms rescan
         5003ms #2 connected
         5004ms #1 row a v2
         5200ms #3 rows a=v1
         9000ms write a v1",
    );
    assert!(after(&log, "#3 rows a=v1").contains("a sending"), "the server holds v2, and nothing is sent:\n{log}");
}

#[test]
fn an_overview_older_than_a_deploy_hides_no_save() {
    let log = log_of(
        "0ms given a=v1
         5000ms given sent a v2
         5002ms rescan
         5003ms #2 connected
         5004ms #1 row a v2
         5010ms write a v1
         5160ms wake
         5200ms #3 rows a=v1",
    );
    assert!(after(&log, "#3 rows a=v1").contains("a sending"), "the server holds v2, and nothing is sent:\n{log}");
}

/// A web page as an answer ends a single pass, while another plugin, just switched off by the server, needs a repair.
#[test]
fn a_single_pass_does_not_end_before_a_repair() {
    let log = log_of_with(
        once(),
        Ledger::default(),
        "0ms edit a v2
         0ms edit b v2
         0ms rescan: 0.9.6 a=v1 b=v1
         3ms #1 row a v1 old
         4ms #3 saved
         5ms #4 saved
         6ms #5 refused no
         7ms #2 foreign",
    );
    assert!(!log.contains("exit"), "the program ends while a is switched off:\n{log}");
}

#[test]
fn a_restarted_pass_does_not_force_twice() {
    let log = log_of_with(
        force(),
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v1
         0ms edit c v1
         0ms rescan: a=v1 b=v1 c=v1
         3ms #1 row a v1
         4ms #3 row a v1
         5ms rescan: a=v1 b=v1 c=v1",
    );
    assert!(!after(&log, "5ms rescan").contains("pass todo=1"), "a is forced twice:\n{log}");
}

/// A server with plugins disabled lists none and refuses creates. A plugin found there is not ours: it is not switched on,
/// nor removed later.
#[test]
fn a_plugin_hidden_from_lists_stays_somebody_elses() {
    let activates = DeployPolicy { activate_new: true, ..policy().deploy };
    for answer in ["taken", "refused hidden"] {
        let run = play(
            Policy { deploy: activates, on_delete: OnDelete::Delete, ..policy() },
            Ledger::default(),
            &format!(
                "0ms edit a v1
                 0ms edit b v1
                 0ms rescan: b=v1
                 3ms #1 saved
                 4ms #2 {answer}
                 5ms #3 row a v1 off"
            ),
        );
        assert!(run.log().contains("a unchanged"), "{answer}:\n{}", run.log());
        let ours = run.ledger().get(&key("a")).unwrap().deployed.as_ref().unwrap().by_us;
        assert!(!ours, "{answer}");
    }
}

#[test]
fn a_single_pass_waits_for_files_that_may_conflict() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a unsettled
         0ms edit b unsettled
         0ms rescan
         1ms #1 connected
         30ms edit a as x v1
         30ms edit b as x v1
         40ms wake
         41ms #2 rows",
        &expect![[r#"
            0ms edit a unsettled
            0ms edit b unsettled
            0ms rescan
                  #1 connect
                  held path=plugins/a.py
                  held path=plugins/b.py
            1ms #1 connected
            30ms edit a as x v1
            30ms edit b as x v1
            40ms wake
                  x conflict paths=["plugins/a.py","plugins/b.py"]
                  #2 overview of functions
            41ms #2 rows
                  connected server_version=0.12.4
                  summary ms=41 skipped=2
                  exit NotDeployed
        "#]],
    );
}
