//! The built binary when its output is read slowly, not at all, or no longer. No reader delays a deploy.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use owui_watch::plugin::Kind;
use serde_json::Value;

use crate::support::command::{Project, filter};
use crate::support::fake_server::FakeServer;

/// Enough to fill a pipe: each plugin is worth two notices of some 300 bytes.
const PLUGINS: usize = 200;
const PIPE: usize = 64 * 1024;
const DEADLINE: Duration = Duration::from_secs(30);

/// A watch whose first pass prints more than its unread pipe can hold.
fn unread(server: &FakeServer) -> (Project, Child) {
    let project = Project::on(server);
    for n in 0..PLUGINS {
        project.put(&format!("plugins/p{n}.py"), filter("1"));
    }
    let child = project.command(&["--json"]).spawn().unwrap();
    for n in 0..PLUGINS {
        until(|| server.row(Kind::Function, &format!("p{n}")).is_some());
    }
    (project, child)
}

fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Saves a plugin, and waits for its deploy.
fn save(project: &Project, server: &FakeServer, id: &str, text: &str) {
    project.write(&format!("plugins/{id}.py"), text);
    until(|| server.row(Kind::Function, id).is_some_and(|row| row.content == text));
}

fn terminate(child: &Child) {
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
}

/// Waits for the exit without reading the output.
fn ended(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_unread_pipe_delays_no_deploy() {
    let server = FakeServer::start();
    let (project, mut child) = unread(&server);
    save(&project, &server, "p0", &filter("2"));
    save(&project, &server, "new", &filter("1"));
    // A late reader misses nothing.
    terminate(&child);
    let mut all = String::new();
    child.stdout.take().unwrap().read_to_string(&mut all).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(all.len() > PIPE, "{}", all.len());
    let said: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let times = |event: &str| said.iter().filter(|notice| notice["event"] == event).count();
    assert_eq!((times("created"), times("updated"), times("stopped")), (PLUGINS + 1, 1, 1));
}

#[test]
fn an_unread_pipe_does_not_keep_a_watch_running() {
    let server = FakeServer::start();
    let (_project, mut child) = unread(&server);
    terminate(&child);
    assert!(ended(&mut child).success());
}

#[test]
fn a_pass_waits_for_a_slow_reader() {
    let server = FakeServer::start();
    let (project, mut watch) = unread(&server);
    terminate(&watch);
    ended(&mut watch);
    server.forget();
    let mut child = project.command(&["--json", "--once", "--force"]).spawn().unwrap();
    server.wait_for("update", PLUGINS);
    // Longer than a stopping watch waits.
    std::thread::sleep(Duration::from_millis(1500));
    let mut all = String::new();
    child.stdout.take().unwrap().read_to_string(&mut all).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(all.len() > PIPE && all.lines().last().unwrap().contains("\"summary\""), "{all}");
}

#[test]
fn a_closed_pipe_ends_the_watch() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let mut child = project.command(&["--json"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heard = String::new();
    while !heard.contains("\"summary\"") {
        writeln!(heard, "{}", lines.next().unwrap().unwrap()).unwrap();
    }
    drop(lines);
    // It notices at the next output.
    project.write("plugins/a.py", &filter("1"));
    assert!(ended(&mut child).success());
    assert!(server.row(Kind::Function, "a").is_some(), "what was in flight is finished");
}
