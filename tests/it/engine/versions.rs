//! The versions of a plugin that the server keeps: older ones of an editing session are pruned.

use std::num::NonZeroUsize;

use expect_test::expect;
use owui_watch::engine::Policy;
use owui_watch::engine::ledger::Ledger;

use super::{after, check_with, log_of_with, policy};

#[test]
fn only_the_newest_versions_of_a_session_stay() {
    check_with(
        Policy { keep_versions: NonZeroUsize::new(2), ..policy() },
        Ledger::default(),
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 as first
         12ms #2 row a v2 as second
         5000ms write a v3
         5001ms #3 row a v2 as second
         5002ms #4 row a v3 as third
         10000ms write a v4
         10001ms #5 row a v3 as third
         10002ms #6 row a v4 as fourth
         10003ms #7 deleted
         4000000ms write a v5
         4000001ms #8 row a v4 as fourth
         4000002ms #9 row a v5 as fifth",
        &expect![[r#"
            10ms write a v2
                  a sending why=edited
                  #1 get a
            11ms #1 row a v1 as first
                  #2 update a v2
            12ms #2 row a v2 as second
                  archive v2
                  a updated active=true from_version=v1 ms=2
                  save
            5000ms write a v3
                  a sending why=edited
                  #3 get a
            5001ms #3 row a v2 as second
                  #4 update a v3
            5002ms #4 row a v3 as third
                  archive v3
                  a updated active=true from_version=v2 ms=2
                  save
            10000ms write a v4
                  a sending why=edited
                  #5 get a
            10001ms #5 row a v3 as third
                  #6 update a v4
            10002ms #6 row a v4 as fourth
                  archive v4
                  a updated active=true from_version=v3 ms=2
                  #7 prune second of a
                  save
            10003ms #7 deleted
                  a pruned
            4000000ms write a v5
                  a sending why=edited
                  #8 get a
            4000001ms #8 row a v4 as fourth
                  #9 update a v5
            4000002ms #9 row a v5 as fifth
                  archive v5
                  a updated active=true from_version=v4 ms=2
                  save
        "#]],
    );
}

#[test]
fn a_version_that_could_not_be_pruned_is_pruned_later() {
    let log = log_of_with(
        Policy { keep_versions: NonZeroUsize::new(1), ..policy() },
        Ledger::default(),
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1 as one
         5002ms #2 row a v2 as two
         8000ms write a v3
         8001ms #3 row a v2 as two
         8002ms #4 row a v3 as three
         8003ms #5 unreachable
         11000ms write a v4
         11001ms #6 row a v3 as three
         11002ms #7 row a v4 as four
         11003ms #8 deleted",
    );
    assert!(after(&log, "11002ms").contains("prune two"), "the version stays for ever:\n{log}");
}
