//! What a service manager hears from the built binary, and what the binary does with a service manager.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::command::{Project, filter};
use crate::support::fake_server::FakeServer;

const A: &str = "plugins/a.py";
const DEADLINE: Duration = Duration::from_secs(30);

/// The manager's end of `NOTIFY_SOCKET`.
struct Notified {
    socket: UnixDatagram,
    heard: Vec<String>,
}

/// A project whose watch is a service.
fn supervised(server: &FakeServer) -> (Project, Notified) {
    let project = Project::on(server);
    let socket = project.path("notify");
    let manager = Notified::at(&socket);
    (project.with("NOTIFY_SOCKET", socket.to_str().unwrap()), manager)
}

impl Notified {
    fn at(path: &Path) -> Self {
        Self { socket: UnixDatagram::bind(path).unwrap(), heard: Vec::new() }
    }

    fn abstract_at(name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).unwrap();
        Self { socket: UnixDatagram::bind_addr(&address).unwrap(), heard: Vec::new() }
    }

    /// Waits for a message that contains this, and hands out all the messages up to it.
    #[track_caller]
    fn wait(&mut self, wanted: &str) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        let mut messages = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).unwrap();
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("waiting for {wanted}: {error}\nheard before: {:#?}\nsince: {messages:#?}", self.heard)
            });
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            let found = message.contains(wanted);
            self.heard.push(message.clone());
            messages.push(message);
            if found {
                return messages;
            }
        }
    }
}

#[test]
fn a_manager_hears_how_things_stand() {
    let mut server = FakeServer::start();
    let (project, mut manager) = supervised(&server);
    project.put(A, filter("1"));
    let mut watch = project.watch_with(&[]);

    assert_eq!(manager.wait("READY=1"), ["READY=1"], "nothing comes before it");
    manager.wait("; last: 1 plugin compared (");
    // From READY on no save is missed.
    project.write(A, &filter("2"));
    let status = manager.wait("; last: a updated (").pop().unwrap();
    assert!(status.starts_with(&format!("STATUS=watching `plugins` for {}; ", server.url())), "{status}");
    assert_eq!(status.lines().count(), 1, "{status}");

    watch.signal("HUP");
    let begun = manager.wait("RELOADING=1").pop().unwrap();
    let usec: u64 = begun.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(usec > 0);
    assert_eq!(manager.wait("READY=1"), ["READY=1"]);
    manager.wait("; last: 1 plugin compared (");

    server.go_down();
    project.write(A, &filter("3"));
    let status = manager.wait(" is away since ").pop().unwrap();
    assert!(status.starts_with(&format!("STATUS={} is away since ", server.url())), "{status}");
    server.come_up();
    manager.wait("; last: a updated (");

    assert!(watch.stop().success());
    manager.wait("STOPPING=1");
    assert!(manager.heard.iter().all(|message| !message.contains("WATCHDOG")), "{:#?}", manager.heard);
}

#[test]
fn a_watchdog_hears_from_an_idle_loop() {
    let server = FakeServer::start();
    let name = format!("owui-watch-test-{}", std::process::id());
    let mut manager = Notified::abstract_at(&name);
    let project = Project::on(&server).with("NOTIFY_SOCKET", &format!("@{name}")).with("WATCHDOG_USEC", "200000");
    let mut watch = project.watch_with(&[]);
    manager.wait("READY=1");
    for _ in 0..3 {
        manager.wait("WATCHDOG=1");
    }
    assert!(watch.stop().success());
    manager.wait("STOPPING=1");
}

#[test]
fn a_server_that_does_not_let_us_in_is_seen_from_outside() {
    let server = FakeServer::start();
    server.set_key("sk-another");
    let (project, mut manager) = supervised(&server);
    project.put(A, filter("1"));
    let _watch = project.watch_with(&[]);
    // It is ready all the same: it runs, and looks again when it is told to.
    manager.wait("READY=1");
    manager.wait("STATUS=the server does not let us in with the key from `OPENWEBUI_API_KEY`: ");
}

/// A manager that is gone, or never was, is no reason to stop.
#[test]
fn nobody_needs_to_listen() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let nobody = project.path("nobody");
    let project = project.with("NOTIFY_SOCKET", nobody.to_str().unwrap());
    project.put(A, filter("1"));
    let mut watch = project.watch();
    assert!(watch.stop().success());
    assert_eq!(watch.stderr(), "");
}

#[test]
fn what_we_start_is_not_the_service() {
    let server = FakeServer::start();
    let (project, mut manager) = supervised(&server);
    let (seen, git) = (project.path("seen"), project.path("bin/git"));
    project.write("bin/git", &format!("#!/bin/sh\n/usr/bin/env >> '{}'\nexit 1\n", seen.display()));
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(project.path(".git")).unwrap();
    let project = project
        .with("PATH", git.parent().unwrap().to_str().unwrap())
        .with("WATCHDOG_USEC", "10000000")
        .with("WATCHDOG_PID", "1")
        .with("CREDENTIALS_DIRECTORY", "/nowhere");
    project.put(A, filter("1"));
    let _watch = project.watch();
    manager.wait("READY=1");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("GIT_OPTIONAL_LOCKS=0"), "{seen}");
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"] {
        assert!(!seen.contains(name), "{name} in {seen}");
    }
}
