//! A call whose answer never came: it is read back, neither believed nor repeated blindly.

use std::collections::BTreeMap;

use expect_test::expect;
use owui_watch::engine::ledger::{Ledger, Memory, UnderWay};
use owui_watch::plugin::Digest;

use super::{after, check, check_with, hold, key, log_of, log_of_with, old_server, play, source};

/// Its answer never came, and nobody has seen it there before the next one takes its place.
#[test]
fn a_text_that_was_live_unseen_is_archived_before_it_is_replaced() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms #2 lost
         5003ms #3 unreachable
         5100ms write a v3
         5600ms wake
         5601ms #4 connected
         5602ms #5 rows a=v2
         5603ms #6 row a v2
         5604ms #7 row a v3",
        &expect![[r#"
            5000ms write a v2
                  a sending: comparing with the server (edited)
                  #1 get a
            5001ms #1 row a v1
                  #2 update a v2
            5002ms #2 lost
                  #3 get a
            5003ms #3 unreachable
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            5100ms write a v3
            5600ms wake
                  a waiting: waiting: the server is away
                  #4 connect
            5601ms #4 connected
                  #5 overview of functions
            5602ms #5 rows a=v2
                  a sending: comparing with the server (edited)
                  #6 get a
            5603ms #6 row a v2
                  archive v2
                  #7 update a v3
            5604ms #7 row a v3
                  back: the server is back after 601 ms, 1 plugin to deploy
                  save
                  archive v3
                  a updated: updated
        "#]],
    );
}

#[test]
fn an_update_without_an_answer_is_read_back() {
    check(
        "0ms given a=v2
         10ms write a v3
         11ms #1 row a v2
         12ms #2 lost
         13ms #3 row a v3
         2000ms write a v4
         2001ms #4 row a v3
         2002ms #5 lost
         2003ms #6 row a v3
         2503ms wake
         2504ms #7 connected
         2505ms #8 rows a=v3
         2506ms #9 row a v3
         2507ms #10 row a v4",
        &expect![[r#"
            10ms write a v3
                  a sending: comparing with the server (edited)
                  #1 get a
            11ms #1 row a v2
                  #2 update a v3
            12ms #2 lost
                  #3 get a
            13ms #3 row a v3
                  save
                  archive v3
                  a updated: updated
            2000ms write a v4
                  a sending: comparing with the server (edited)
                  #4 get a
            2001ms #4 row a v3
                  #5 update a v4
            2002ms #5 lost
                  #6 get a
            2003ms #6 row a v3
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            2503ms wake
                  #7 connect
            2504ms #7 connected
                  #8 overview of functions
            2505ms #8 rows a=v3
                  a sending: comparing with the server (retry)
                  #9 get a
            2506ms #9 row a v3
                  #10 update a v4
            2507ms #10 row a v4
                  back: the server is back after 504 ms, 1 plugin to deploy
                  save
                  archive v4
                  a updated: updated
        "#]],
    );
}

#[test]
fn a_create_without_an_answer_is_never_repeated_blindly() {
    check(
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 lost
         5ms #4 row a v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: comparing with the server (new)
                  #3 create a v1
            4ms #3 lost
                  #4 get a
            5ms #4 row a v1
                  save
                  archive v1
                  a created: created and switched on
                  summary: 1 plugin in 5 ms: 1 created
        "#]],
    );
}

#[test]
fn what_we_have_sent_is_ours_whether_an_answer_came_or_not() {
    check_with(
        hold(),
        Ledger::default(),
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 noted
         13ms #3 lost
         14ms #4 unreachable
         20ms write a v3
         514ms wake
         515ms #5 connected
         516ms #6 rows a=v2
         517ms #7 row a v2
         518ms #8 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending: comparing with the server (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 note that a is off
            12ms #2 noted
                  #3 update a v2
            13ms #3 lost
                  #4 get a
            14ms #4 unreachable
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            20ms write a v3
            514ms wake
                  a waiting: waiting: the server is away
                  #5 connect
            515ms #5 connected
                  #6 overview of functions
            516ms #6 rows a=v2
                  #7 get a
            517ms #7 row a v2
                  back: the server is back after 503 ms, 1 plugin to deploy
                  save
                  unnote a
                  a recovered: an earlier deploy was interrupted; the server runs the text that it stores
                  a sending: comparing with the server (edited)
                  #8 get a
            518ms #8 row a v2
                  archive v2
                  #9 note that a is off
        "#]],
    );
}

/// It was sent, and then the program was killed, before it had written down that it was.
#[test]
fn what_was_on_its_way_when_the_program_ended_is_ours() {
    let sent = Digest::of_text(&source("a", "v2"));
    let under_way = BTreeMap::from([(key("a"), UnderWay { ours: vec![sent], replaced: None, was_active: true })]);
    let memory = Memory { under_way, ..old_server().into() };
    let run = play(
        hold(),
        memory,
        "0ms edit a v3
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v2
         3ms #3 row a v2
         4ms #4 row a v2",
    );
    expect![[r#"
        0ms edit a v3
        0ms rescan
              ready: watching `plugins` (1 plugin) for http://server
              #1 connect
        1ms #1 connected
              #2 overview of functions
        2ms #2 rows a=v2
              connected: http://server is Open WebUI 0.12.4
              pass: 1 plugin to compare with the server
              #3 get a
        3ms #3 row a v2
              save
              unnote a
              a recovered: an earlier deploy was interrupted; the server runs the text that it stores
              a sending: comparing with the server (edited)
              #4 get a
        4ms #4 row a v2
              archive v2
              #5 note that a is off
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn a_text_that_takes_the_server_s_answer_away_twice_is_not_sent_a_third_time() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 lost
         13ms #3 unreachable
         600ms wake
         601ms #4 connected
         602ms #5 rows a=v1
         603ms #6 row a v1
         604ms #7 lost
         605ms #8 unreachable
         1700ms wake
         1701ms #9 connected
         1702ms #10 rows a=v1
         5000ms write a v3
         5001ms #11 row a v1",
        &expect![[r#"
            10ms write a v2
                  a sending: comparing with the server (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 lost
                  #3 get a
            13ms #3 unreachable
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            600ms wake
                  #4 connect
            601ms #4 connected
                  #5 overview of functions
            602ms #5 rows a=v1
                  a sending: comparing with the server (retry)
                  #6 get a
            603ms #6 row a v1
                  #7 update a v2
            604ms #7 lost
                  #8 get a
            605ms #8 unreachable
                  still_unreachable: still unreachable: no answer (try 2, next in 1.0 s)
                  save
                  a refused: refused by the server: the server gave no answer to it, twice: no answer
            1700ms wake
                  #9 connect
            1701ms #9 connected
                  #10 overview of functions
            1702ms #10 rows a=v1
                  back: the server is back after 1.7 s
            5000ms write a v3
                  a sending: comparing with the server (edited)
                  #11 get a
            5001ms #11 row a v1
                  #12 update a v3
        "#]],
    );
}

#[test]
fn what_was_seen_before_an_absence_is_not_believed_during_it() {
    let log = log_of_with(
        hold(),
        Ledger::default(),
        "0ms given a=v1
         5000ms edit a v2
         5000ms rescan
         5001ms #1 connected
         5002ms #2 rows a=v1
         5003ms #3 row a v1
         5004ms #4 noted
         5004ms #5 lost
         5005ms #6 unreachable
         5006ms write a v1
         5156ms wake
         5600ms wake
         5601ms #7 connected
         5602ms #8 rows a=v2
         5603ms #9 row a v2
         5604ms #10 row a v2",
    );
    assert!(
        !log.contains("remote_edit") && !after(&log, "5156ms wake").contains("a unchanged"),
        "our own v2 is taken for somebody else's:\n{log}"
    );
}

#[test]
fn two_connections_that_broke_are_no_refusal() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms #2 lost
         5003ms #3 row a v1
         5503ms wake
         5504ms #4 connected
         5505ms #5 rows a=v1
         5506ms #6 row a v1
         5507ms #7 lost
         5508ms #8 row a v1
         6508ms wake
         6509ms #9 connected
         6510ms #10 rows a=v1
         9000ms write a v2",
    );
    assert!(after(&log, "6510ms").contains("a sending"), "never sent again:\n{log}");
}

/// It was there, so it was answered after all; that somebody has removed it since is another matter.
#[test]
fn what_was_seen_to_be_there_is_sent_as_often_as_any_other_text() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 lost
         13ms #3 unreachable
         600ms wake
         601ms #4 connected
         602ms #5 rows a=v2
         5000ms rescan
         5001ms #6 connected
         5002ms #7 rows
         5003ms #8 absent
         5004ms #9 lost
         5005ms #10 absent",
        &expect![[r#"
            10ms write a v2
                  a sending: comparing with the server (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 lost
                  #3 get a
            13ms #3 unreachable
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            600ms wake
                  #4 connect
            601ms #4 connected
                  #5 overview of functions
            602ms #5 rows a=v2
                  save
                  archive v2
                  a unchanged: unchanged
                  back: the server is back after 589 ms
            5000ms rescan
                  #6 connect
            5001ms #6 connected
                  #7 overview of functions
            5002ms #7 rows
                  pass: 1 plugin to compare with the server
                  a sending: comparing with the server (missing on server)
                  #8 get a
            5003ms #8 absent
                  #9 create a v2
            5004ms #9 lost
                  #10 get a
            5005ms #10 absent
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
        "#]],
    );
}
