//! The built binary during a longer outage: the server's load, the user's notices, and the final state.

#![cfg(unix)]

use owui_watch::plugin::Kind;
use serde_json::Value;

use crate::support::command::{Project, Watch, filter};
use crate::support::fake_server::{FakeServer, Fault, KEY};

const A: &str = "plugins/a.py";
const ALWAYS: usize = usize::MAX;

/// The maximum pauses in milliseconds before the first probes of an unreachable server.
const PAUSES: [f64; 3] = [500.0, 1000.0, 2000.0];

/// A watched project with `a` and `b` deployed by an earlier run.
fn watched(server: &FakeServer) -> (Project, Watch) {
    let project = Project::on(server);
    for path in [A, "plugins/b.py"] {
        project.put(path, filter("1"));
    }
    assert_eq!(project.run(&["--once"]).code, Some(0));
    let watch = project.watch();
    (project, watch)
}

fn text(server: &FakeServer, id: &str) -> String {
    server.row(Kind::Function, id).unwrap().content
}

fn count(watch: &Watch, event: &str) -> usize {
    watch.said().iter().filter(|said| **said == event).count()
}

/// The texts that arrived, in order, accepted or not.
fn sent(server: &FakeServer) -> Vec<String> {
    let writes = server.requests().into_iter().filter(|request| request.method == "POST");
    writes.map(|request| request.body["content"].as_str().unwrap().to_owned()).collect()
}

/// Saves `a` several times; each save is reported as waiting.
fn save_meanwhile(project: &Project, watch: &mut Watch, versions: &[&str]) {
    for version in versions {
        project.write(A, &filter(version));
        watch.wait("waiting", Some("a"));
    }
}

/// Waits for the probe after the last pause. The pauses grow, and have jitter.
#[track_caller]
fn assert_pauses_grow(first: &Value, watch: &mut Watch) {
    let mut notices = vec![first.clone()];
    // One may have been printed before it was waited for.
    let attempt = |notice: &Value| notice["attempt"].as_u64().map_or(1, |attempt| usize::try_from(attempt).unwrap());
    while attempt(notices.last().unwrap()) < PAUSES.len() {
        notices.push(watch.wait("still_unreachable", None).pop().unwrap());
    }
    for notice in &notices {
        let Some(most) = PAUSES.get(attempt(notice) - 1).copied() else { continue };
        if let Some(pause) = notice["next_ms"].as_f64() {
            assert!((0.75 * most..=most).contains(&pause), "{notice:#}");
        }
    }
    let pauses: Vec<_> = notices.iter().filter_map(|notice| notice["next_ms"].as_f64()).collect();
    assert!(pauses.iter().any(|pause| !PAUSES.contains(pause)), "no jitter in {pauses:?}");
}

/// While all answers are `fault`, `gone` is reported once, only probes reach the server, and afterwards it gets the
/// newest text once.
fn check_answers_from_a_proxy(fault: Fault, gone: &str) {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    let before = server.lines().len();
    server.fail_next(ALWAYS, fault);
    project.write(A, &filter("2"));
    let gone_at = watch.wait(gone, None).pop().unwrap();
    save_meanwhile(&project, &mut watch, &["3", "4"]);
    assert_pauses_grow(&gone_at, &mut watch);
    project.write(A, &filter("5"));
    watch.wait("waiting", Some("a"));
    let asked = server.lines().split_off(before);
    // The read of the plugin saved first, and a probe after each completed pause.
    assert!(asked.len() <= PAUSES.len() + 1, "{fault:?}: {asked:#?}");
    server.recover();
    watch.wait("back", None);
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    let expected = [filter("1"), filter("1"), filter("5")];
    assert_eq!(sent(&server), expected, "{fault:?}");
    assert_eq!((text(&server, "a"), text(&server, "b")), (filter("5"), filter("1")), "{fault:?}");
    assert_eq!((count(&watch, gone), count(&watch, "back")), (1, 1), "{fault:?}: {:?}", watch.said());
}

#[test]
fn retries_of_a_503_slow_down_and_then_send_once() {
    check_answers_from_a_proxy(Fault::Status(503), "unreachable");
}

#[test]
fn a_web_page_in_the_servers_place_is_waited_out() {
    check_answers_from_a_proxy(Fault::Html, "not_open_webui");
}

#[test]
fn a_redirect_elsewhere_is_waited_out_and_not_followed() {
    check_answers_from_a_proxy(Fault::Redirect("https://elsewhere.example/login"), "not_open_webui");
}

#[test]
fn broken_connections_count_as_an_outage() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    let before = server.lines().len();
    server.fail_next(ALWAYS, Fault::ResetBefore);
    project.write(A, &filter("2"));
    let gone = watch.wait("unreachable", None).pop().unwrap();
    assert_pauses_grow(&gone, &mut watch);
    // An interrupted read is repeated once.
    assert!(server.lines().len() - before <= 2 * (PAUSES.len() + 1), "{:#?}", server.lines());
    server.recover();
    watch.wait("back", None);
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert_eq!(sent(&server), [filter("1"), filter("1"), filter("2")]);
    assert_eq!((count(&watch, "unreachable"), count(&watch, "back")), (1, 1));
}

#[test]
fn a_server_down_at_the_start_gets_everything_later() {
    let mut server = FakeServer::start();
    let project = Project::on(&server);
    for path in [A, "plugins/b.py"] {
        project.put(path, filter("1"));
    }
    server.go_down();
    let mut watch = project.watch_with(&[]);
    let gone = watch.wait("unreachable", None).pop().unwrap();
    save_meanwhile(&project, &mut watch, &["2", "3"]);
    assert_pauses_grow(&gone, &mut watch);
    server.come_up();
    watch.wait("back", None);
    watch.wait("summary", None);
    assert!(watch.stop().success());
    assert_eq!((text(&server, "a"), text(&server, "b")), (filter("3"), filter("1")));
    assert_eq!(sent(&server).len(), 2);
    assert_eq!((count(&watch, "unreachable"), count(&watch, "back")), (1, 1));
}

#[test]
fn a_restart_during_an_update_gets_the_newest_text() {
    let mut server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    server.hold("/update");
    project.write(A, &filter("2"));
    server.wait_for("/update", 1);
    server.go_down();
    watch.wait("unreachable", None);
    project.write(A, &filter("3"));
    watch.wait("waiting", Some("a"));
    server.release();
    server.come_up();
    watch.wait("back", None);
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    // The one in the middle went down with the server.
    assert_eq!(sent(&server), [filter("1"), filter("1"), filter("2"), filter("3")]);
    assert_eq!(text(&server, "a"), filter("3"));
    assert_eq!((count(&watch, "unreachable"), count(&watch, "back")), (1, 1));
}

/// Restored from an old backup or set up anew: the ledger is not trusted.
#[test]
fn a_server_that_lost_its_data_gets_everything() {
    let mut server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    server.go_down();
    project.write(A, &filter("2"));
    watch.wait("unreachable", None);
    server.delete_row(Kind::Function, "a");
    server.delete_row(Kind::Function, "b");
    server.come_up();
    let mut told = watch.wait("back", None);
    for id in ["a", "b"] {
        if !told.iter().any(|notice| notice["event"] == "created" && notice["id"] == id) {
            told.extend(watch.wait("created", Some(id)));
        }
    }
    assert!(watch.stop().success());
    assert_eq!((text(&server, "a"), text(&server, "b")), (filter("2"), filter("1")));
    assert_eq!(sent(&server).len(), 4);
}

#[test]
fn a_slow_server_gets_the_newest_text_next() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    server.hold("/update");
    project.write(A, &filter("2"));
    server.wait_for("/update", 1);
    for version in ["3", "4"] {
        project.write(A, &filter(version));
    }
    watch.wait("slow", Some("a"));
    server.release();
    watch.wait("updated", Some("a"));
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert_eq!(sent(&server)[2..], [filter("2"), filter("4")]);
    assert_eq!((count(&watch, "slow"), count(&watch, "unreachable")), (1, 0));
}

/// `lock` denies us access, which is reported once and not retried; after `open` and a hangup the newest text is sent.
fn check_shut_out(lock: impl FnOnce(&FakeServer), open: impl FnOnce(&FakeServer), words: &str) {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    lock(&server);
    project.write(A, &filter("2"));
    let told = watch.wait("not_allowed", None).pop().unwrap();
    assert!(told["words"].as_str().unwrap().starts_with(words), "{told}");
    let asked = server.lines().len();
    save_meanwhile(&project, &mut watch, &["3", "4"]);
    assert_eq!(server.lines().len(), asked, "it is left alone");
    open(&server);
    watch.signal("HUP");
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert_eq!(sent(&server), [filter("1"), filter("1"), filter("4")]);
    assert_eq!(text(&server, "a"), filter("4"));
    assert_eq!(count(&watch, "not_allowed"), 1, "{:?}", watch.said());
}

#[test]
fn a_revoked_key_is_reported_once() {
    check_shut_out(|server| server.set_key("sk-another"), |server| server.set_key(KEY), "Your session has expired");
}

#[test]
fn a_lowered_role_is_reported_once() {
    check_shut_out(|server| server.demote(true), |server| server.demote(false), "You do not have permission");
}
