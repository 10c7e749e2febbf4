//! A text that the server refuses: when it is sent again, and how the reason is found.

use expect_test::expect;
use owui_watch::engine::ledger::Ledger;

use super::{after, check, check_with, log_of, once, play, policy};

#[test]
fn a_refused_text_is_not_sent_again_until_it_changes() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 refused invalid syntax (<string>, line 4)
         2000ms write a v2
         4000ms write a v1
         4001ms #3 row a v1",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 refused invalid syntax (<string>, line 4)
                  a refused column=1 line=4 ms=2 old_version=running words="invalid syntax (<string>, line 4)"
                  save
            2000ms write a v2
                  a refused_before column=1 line=4 on_server=true words="invalid syntax (<string>, line 4)"
            4000ms write a v1
                  a sending why=edited
                  #3 get a
            4001ms #3 row a v1
                  archive v1, found
                  a unchanged active=true good_again=true
                  save
        "#]],
    );
}

#[test]
fn a_refused_create_is_read_back() {
    check(
        "0ms given new a=v1
         4ms #1 refused [ERROR: Error creating function]
         5ms #2 absent",
        &expect![[r#"
            4ms #1 refused [ERROR: Error creating function]
                  #2 get a
            5ms #2 absent
                  #3 create a ?
        "#]],
    );
}

#[test]
fn the_next_start_remembers_a_refusal() {
    let first = play(
        policy(),
        Ledger::default(),
        "0ms edit a v1
         0ms given start a=v0
         3ms given refused a",
    );
    let ledger = Ledger::from_json(&first.ledger().to_json()).unwrap();
    assert_eq!(&ledger, first.ledger());
    check_with(
        once(),
        ledger,
        "0ms edit a v1
         0ms rescan: a=v0",
        &expect![[r#"
            0ms edit a v1
            0ms rescan: a=v0
                  connected server_version=0.12.4
                  a refused_before on_server=true words=boom
                  summary ms=2 refused=1
                  exit NotDeployed
        "#]],
    );
}

/// The server's network may have been down.
#[test]
fn a_failed_installation_is_retried_at_the_next_save() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 refused Command '['python', '-m', 'pip', 'install', 'x']' returned non-zero exit status 1.
         100ms rescan: a=v1
         2000ms write a v2
         2001ms #3 row a v1
         2002ms #4 refused No module named 'x'
         4000ms write a v2",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 refused Command '['python', '-m', 'pip', 'install', 'x']' returned non-zero exit status 1.
                  a refused ms=2 old_version=running words="Command '['python', '-m', 'pip', 'install', 'x']' returned non-zero exit status 1."
                  save
            100ms rescan: a=v1
                  a refused_before on_server=true words="Command '['python', '-m', 'pip', 'install', 'x']' returned non-zero exit status 1."
                  summary ms=2 refused=1
            2000ms write a v2
                  a sending why=retry
                  #3 get a
                  save
            2001ms #3 row a v1
                  #4 update a v2
            2002ms #4 refused No module named 'x'
                  a refused ms=2 old_version=running words="No module named 'x'"
                  save
            4000ms write a v2
                  a sending why=retry
                  #5 get a
                  save
        "#]],
    );
}

#[test]
fn a_hidden_reason_is_found_with_a_stub() {
    check(
        "0ms given new a=v1
         4ms #1 refused [ERROR: Error creating function]
         5ms #2 absent
         6ms #3 created a
         7ms #4 row a stub
         8ms #5 refused No module named 'x'
         9ms #6 row a stub
         10ms #7 deleted",
        &expect![[r#"
            4ms #1 refused [ERROR: Error creating function]
                  #2 get a
            5ms #2 absent
                  #3 create a ?
            6ms #3 created a
                  #4 get a
            7ms #4 row a stub
                  #5 update a v1
            8ms #5 refused No module named 'x'
                  #6 get a
            9ms #6 row a stub
                  #7 delete a
            10ms #7 deleted
                  a refused ms=8 words="No module named 'x'"
                  summary ms=10 refused=1
                  save
        "#]],
    );
}

#[test]
fn the_stub_is_removed_after_an_outage() {
    check(
        "0ms given new a=v1
         4ms given refused a: [ERROR: Error creating function]
         6ms #1 created a
         7ms #2 row a stub
         8ms #3 refused No module named 'x'
         9ms #4 row a stub
         10ms #5 unreachable
         510ms wake: a=stub
         513ms #6 row a stub
         514ms #7 refused No module named 'x'
         515ms #8 row a stub
         516ms #9 deleted",
        &expect![[r#"
            6ms #1 created a
                  #2 get a
            7ms #2 row a stub
                  #3 update a v1
            8ms #3 refused No module named 'x'
                  #4 get a
            9ms #4 row a stub
                  #5 delete a
            10ms #5 unreachable
                  unreachable cause="connection refused" next_ms=500 waiting=1
                  a waiting reason=Away
                  save
            510ms wake: a=stub
                  a sending why=retry
                  #6 get a
            513ms #6 row a stub
                  #7 update a v1
            514ms #7 refused No module named 'x'
                  #8 get a
            515ms #8 row a stub
                  #9 delete a
            516ms #9 deleted
                  back away_ms=506 waiting=1
                  a refused ms=4 words="No module named 'x'"
                  summary ms=516 refused=1
                  save
        "#]],
    );
}

#[test]
fn a_refusal_by_a_busy_0_11_database_is_retried() {
    let log = log_of(
        "0ms given 0.11.4 a=v1
         5000ms given sent a v2
         5002ms #1 refused [ERROR: Error updating function]
         5003ms #2 row a v1 old
         5004ms #3 row a v1 old
         9000ms write a v2
         9100ms rescan: 0.11.4 a=v1",
    );
    assert!(after(&log, "9000ms").contains("a sending"), "never tried again:\n{log}");
}

#[test]
fn another_server_version_retries_refusals() {
    let log = log_of(
        "0ms given new 0.9.6 a=v1
         4ms #1 refused No Function class found in the module
         5ms #2 absent
         6000ms rescan: 0.12.4",
    );
    assert!(after(&log, "6000ms").contains("a sending"), "never tried again:\n{log}");
}

#[test]
fn a_refusal_says_which_version_stays() {
    let refused = |script: &str| {
        let log = log_of(script);
        let refused = log.lines().find(|line| line.contains("a refused ")).expect(&log);
        refused.split(' ').find_map(|word| word.strip_prefix("old_version=")).unwrap_or_default().to_owned()
    };
    // On, off, and switched off by the server.
    for (before, healing, said) in [
        ("v1", "", "running"),
        ("v1 off", "", "off"),
        (
            "v1 old",
            "13ms #4 row a v1 old off
             14ms #5 row a v1 old off
             15ms #6 row a v1 old",
            "running",
        ),
        // The repair fails, which has a notice of its own.
        ("v1 old", "13ms #4 row a v1 old off\n14ms #5 row a v1 old off\n15ms #6 refused no", ""),
    ] {
        let old = before.contains("old");
        let (noted, refusal) =
            if old { ("11ms #2 saved", "12ms #3 refused boom") } else { ("", "12ms #2 refused boom") };
        let script = format!("0ms given a=v1\n10ms write a v2\n11ms #1 row a {before}\n{noted}\n{refusal}\n{healing}");
        assert_eq!(refused(&script), said, "{script}");
    }
    // There was none.
    let created = "0ms given b=v1
                   10ms write a v1
                   11ms #1 absent
                   12ms #2 refused boom
                   13ms #3 absent";
    assert_eq!(refused(created), "");
    // Unknown: the server may have gone down.
    let down = "0ms given a=v1
                10ms write a v2
                11ms #1 row a v1 old
                11ms #2 saved
                12ms #3 refused boom
                13ms #4 unreachable";
    assert_eq!(refused(down), "");
}

/// In a pass the overview tells, after a save the ledger does.
#[test]
fn a_repeated_refusal_says_whether_an_old_version_stays() {
    let log = log_of(
        "0ms given new a=v1
         4ms given refused a: bad (<string>, line 4)
         2000ms write a v1
         3000ms rescan: a=v0",
    );
    let said: Vec<_> = log.lines().filter_map(|line| Some(line.split_once("a refused_before ")?.1)).collect();
    assert_eq!(
        said,
        [
            "column=1 line=4 words=\"bad (<string>, line 4)\"",
            "column=1 line=4 on_server=true words=\"bad (<string>, line 4)\"",
        ]
    );
}
