//! The built binary when the server is away, busy or denies access, and when it must stop.

#![cfg(unix)]

use owui_watch::plugin::Kind;
use serde_json::json;

use crate::support::command::{Project, Watch, filter};
use crate::support::fake_server::{FakeServer, Fault};

const A: &str = "plugins/a.py";

/// A project with one plugin that is not on the server yet.
fn project(server: &FakeServer) -> Project {
    let project = Project::on(server);
    project.put(A, filter("1"));
    project
}

/// A watched project with `a` deployed by an earlier run.
fn watched(server: &FakeServer) -> (Project, Watch) {
    let project = project(server);
    assert_eq!(project.run(&["--once"]).code, Some(0));
    let watch = project.watch();
    (project, watch)
}

fn text(server: &FakeServer) -> String {
    server.row(Kind::Function, "a").unwrap().content
}

fn count(watch: &Watch, event: &str) -> usize {
    watch.said().iter().filter(|said| **said == event).count()
}

/// The sent versions, in order.
fn sent(server: &FakeServer) -> Vec<String> {
    let writes = server.requests().into_iter().filter(|request| request.method == "POST");
    writes.map(|request| request.body["content"].as_str().unwrap().to_owned()).collect()
}

// ---- away -----------------------------------------------------------------------------------------------------------

#[test]
fn a_server_that_starts_late_is_waited_for() {
    let mut server = FakeServer::start();
    let project = project(&server);
    server.go_down();
    let mut run = project.watch_with(&["--once"]);
    let unreachable = run.wait("unreachable", None).pop().unwrap();
    assert_eq!((&unreachable["cause"], &unreachable["waiting"]), (&json!("connection refused"), &json!(1)));
    server.come_up();
    run.wait("back", None);
    let summary = run.wait("summary", None).pop().unwrap();
    assert_eq!(summary["created"], 1);
    assert_eq!(run.ended().code(), Some(0));
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = FakeServer::start();
    let project = project(&server);
    server.fail_next(2, Fault::Status(503));
    let mut run = project.watch_with(&["--once"]);
    assert_eq!(run.ended().code(), Some(0));
    let told: Vec<_> = run.said().into_iter().filter(|event| *event != "held").collect();
    assert_eq!(
        told,
        ["unreachable", "still_unreachable", "connected", "pass", "sending", "back", "created", "summary"]
    );
}

/// An interrupted pass is resumed, and each plugin counts once.
#[test]
fn a_pass_goes_on_where_it_was_interrupted() {
    let server = FakeServer::start();
    let project = project(&server);
    project.put("watch.toml", "concurrency = 1\n");
    project.put("plugins/b.py", filter("1"));
    server.fail_next_of("/create", 1, Fault::Status(503));
    let mut run = project.watch_with(&["--once"]);
    let summary = run.wait("summary", None).pop().unwrap();
    assert_eq!((&summary["created"], &summary["unchanged"], &summary["failed"]), (&json!(2), &json!(0), &json!(0)));
    assert_eq!(run.ended().code(), Some(0));
    // The failed one is sent once more.
    assert_eq!(sent(&server).len(), 3);
}

#[test]
fn retry_after_is_obeyed() {
    let server = FakeServer::start();
    let project = project(&server);
    server.fail_next(1, Fault::StatusWithRetryAfter(429, 1));
    let mut run = project.watch_with(&["--once"]);
    let unreachable = run.wait("unreachable", None).pop().unwrap();
    assert_eq!(unreachable["next_ms"], 1000.0);
    let back = run.wait("back", None).pop().unwrap();
    assert!(back["away_ms"].as_f64().unwrap() >= 1000.0, "{back}");
    assert_eq!(run.ended().code(), Some(0));

    // A patience below the server's `Retry-After` ends at once.
    server.fail_next(1, Fault::StatusWithRetryAfter(503, 3600));
    let mut run = project.watch_with(&["--once"]);
    run.wait("gave_up", None);
    assert_eq!(run.ended().code(), Some(3));
}

/// A lost answer is neither success nor failure: the server's text is read.
#[test]
fn a_lost_answer_is_checked() {
    for fault in [Fault::ResetAfter, Fault::ResetBefore] {
        let server = FakeServer::start();
        let project = project(&server);
        server.fail_next_of("/create", 1, fault);
        let mut run = project.watch_with(&["--once"]);
        let summary = run.wait("summary", None).pop().unwrap();
        assert_eq!((&summary["created"], &summary["unchanged"]), (&json!(1), &json!(0)), "{fault:?}");
        assert_eq!(run.ended().code(), Some(0));

        project.put(A, filter("2"));
        server.fail_next_of("/update", 1, fault);
        let mut run = project.watch_with(&["--once"]);
        let summary = run.wait("summary", None).pop().unwrap();
        assert_eq!((&summary["updated"], &summary["unchanged"]), (&json!(1), &json!(0)), "{fault:?}");
        assert_eq!(run.ended().code(), Some(0));
        assert_eq!(text(&server), filter("2"));
        // A completed deploy is not repeated.
        let times = if fault == Fault::ResetAfter { 1 } else { 2 };
        assert_eq!(sent(&server).len(), 2 * times, "{fault:?}");
    }
}

#[test]
fn saves_during_an_outage_become_one_deploy() {
    let mut server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    server.go_down();
    for version in ["2", "3", "4"] {
        project.write(A, &filter(version));
        watch.wait("waiting", Some("a"));
    }
    server.come_up();
    watch.wait("back", None);
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert_eq!(sent(&server), [filter("1"), filter("4")]);
    assert_eq!(text(&server), filter("4"));
    assert_eq!((count(&watch, "unreachable"), count(&watch, "back")), (1, 1), "{:?}", watch.said());
}

#[test]
fn a_bad_key_is_reported_once() {
    let server = FakeServer::start();
    let project = project(&server);
    server.set_key("sk-another");
    let mut watch = project.watch_with(&[]);
    watch.wait("not_allowed", None);
    let asked = server.lines();
    for version in ["2", "3"] {
        project.write(A, &filter(version));
        watch.wait("waiting", Some("a"));
    }
    assert_eq!(server.lines(), asked);
    assert!(watch.stop().success());
    assert_eq!(count(&watch, "not_allowed"), 1);
}

/// Like `systemctl reload`.
#[test]
fn a_hangup_compares_everything_again() {
    let server = FakeServer::start();
    let (_project, mut watch) = watched(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    watch.signal("HUP");
    let updated = watch.wait("updated", Some("a")).pop().unwrap();
    assert!(updated["backup"].is_string());
    let summary = watch.wait("summary", None).pop().unwrap();
    assert_eq!(summary["updated"], 1);
    assert_eq!(text(&server), filter("1"));
    assert!(watch.stop().success());
}

/// Only the named plugin is watched.
#[test]
fn a_watch_can_be_limited_to_one_plugin() {
    let server = FakeServer::start();
    let project = project(&server);
    project.put("plugins/b.py", filter("1"));
    let mut watch = project.watch_with(&["a"]);
    let ready = watch.wait("ready", None).pop().unwrap();
    assert_eq!(ready["plugins"], 1);
    watch.wait("summary", None);
    project.write("plugins/b.py", &filter("2"));
    project.write("plugins/b.py", "class Filter(");
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert!(server.row(Kind::Function, "b").is_none());
    assert_eq!(count(&watch, "flawed"), 0);
}

// ---- the end --------------------------------------------------------------------------------------------------------

/// A watch with an unanswered update of `a` in flight.
fn in_flight(server: &FakeServer) -> (Project, Watch) {
    let (project, mut watch) = watched(server);
    server.hold("/update");
    project.write(A, &filter("2"));
    watch.wait("sending", Some("a"));
    server.wait_for("/update", 1);
    (project, watch)
}

#[test]
fn the_first_signal_finishes_what_is_in_flight() {
    let server = FakeServer::start();
    let (_project, mut watch) = in_flight(&server);
    watch.signal("TERM");
    let stopping = watch.wait("stopping", None).pop().unwrap();
    assert_eq!(stopping["in_flight"], 1);
    server.release();
    watch.wait("updated", Some("a"));
    watch.wait("stopped", None);
    assert_eq!(watch.ended().code(), Some(0));
    assert_eq!(text(&server), filter("2"));
    assert_eq!(watch.stderr(), "");
}

/// Finished deploys are recorded: the next start has nothing to do.
#[test]
fn the_last_finished_deploy_is_remembered() {
    let server = FakeServer::start();
    let (project, mut watch) = in_flight(&server);
    watch.signal("INT");
    watch.wait("stopping", None);
    server.release();
    assert_eq!(watch.ended().code(), Some(0));
    project.put(A, filter("3"));
    let updated = project.run(&["--once", "--json"]).notices().into_iter().find(|notice| notice["event"] == "updated");
    assert_eq!(updated.unwrap().get("backup"), None, "it knows its own text");
}

#[test]
fn a_save_after_the_signal_waits_for_the_next_start() {
    let server = FakeServer::start();
    let (project, mut watch) = in_flight(&server);
    watch.signal("TERM");
    watch.wait("stopping", None);
    project.write("plugins/b.py", &filter("1"));
    server.release();
    watch.wait("stopped", None);
    assert_eq!(watch.ended().code(), Some(0));
    assert!(server.row(Kind::Function, "b").is_none());
}

#[test]
fn the_second_signal_ends_it_at_once() {
    for (first, second, code) in [("TERM", "TERM", 143), ("INT", "INT", 130), ("INT", "TERM", 143)] {
        let server = FakeServer::start();
        let (_project, mut watch) = in_flight(&server);
        watch.signal(first);
        watch.wait("stopping", None);
        watch.signal(second);
        assert_eq!(watch.ended().code(), Some(code));
        assert_eq!(count(&watch, "updated") + count(&watch, "stopped"), 0);
        server.release();
    }
}

#[test]
fn a_stop_does_not_wait_for_an_unreachable_server() {
    let mut server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    server.go_down();
    project.write(A, &filter("2"));
    watch.wait("waiting", Some("a"));
    watch.signal("TERM");
    let stopped = watch.wait("stopped", None).pop().unwrap();
    assert_eq!(stopped["waiting"], 1);
    assert_eq!(watch.ended().code(), Some(0));
}
