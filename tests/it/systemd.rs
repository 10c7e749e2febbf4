//! The built binary's messages to a service manager, and its life under one.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use owui_watch::plugin::Kind;
use owui_watch::systemd::unit;

use crate::support::command::{Project, filter, said_outright};
use crate::support::fake_server::{FakeServer, KEY};
use crate::support::status::{AWAY, RELOADED, compared, updated};

const A: &str = "plugins/a.py";
/// How long to wait. Ends broken tests; does not time working ones.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often to poll.
const POLL: Duration = Duration::from_millis(20);

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

    /// Whether the next message, if one comes soon, contains this.
    fn try_wait(&self, wanted: &str) -> bool {
        self.socket.set_read_timeout(Some(POLL)).unwrap();
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).unwrap_or(0);
        String::from_utf8_lossy(&buffer[..length]).contains(wanted)
    }

    /// Waits for a message that contains this, and returns all messages up to it.
    #[track_caller]
    fn wait(&mut self, wanted: &str) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        let mut messages = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).unwrap();
            let mut buffer = [0; 4096];
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                // By a signal for another test's process.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    panic!("waiting for {wanted}: {error}\nheard before: {:#?}\nsince: {messages:#?}", self.heard)
                }
            };
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
fn the_manager_gets_the_status() {
    let mut server = FakeServer::start();
    let (project, mut manager) = supervised(&server);
    project.put(A, filter("1"));
    let mut watch = project.watch_with(&[]);

    assert_eq!(manager.wait("READY=1"), ["READY=1"], "nothing comes before it");
    manager.wait(&compared(1));
    // From READY on no save is missed.
    project.write(A, &filter("2"));
    let status = manager.wait(&updated("a")).pop().unwrap();
    assert!(status.starts_with(&format!("STATUS=watching `plugins` for {}; ", server.url())), "{status}");
    assert_eq!(status.lines().count(), 1, "{status}");

    watch.signal("HUP");
    let begun = manager.wait("RELOADING=1").pop().unwrap();
    let usec: u64 = begun.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(usec > 0);
    assert_eq!(manager.wait("READY=1"), ["READY=1"]);
    manager.wait(&compared(1));

    server.go_down();
    project.write(A, &filter("3"));
    let status = manager.wait(AWAY).pop().unwrap();
    assert!(status.starts_with(&format!("STATUS={}{AWAY}", server.url())), "{status}");
    server.come_up();
    manager.wait(&updated("a"));

    assert!(watch.stop().success());
    manager.wait("STOPPING=1");
    assert!(manager.heard.iter().all(|message| !message.contains("WATCHDOG")), "{:#?}", manager.heard);
}

/// A waiting start is not killed as too slow.
#[test]
fn the_manager_hears_that_a_start_is_waiting() {
    let server = FakeServer::start();
    let (project, mut manager) = supervised(&server);
    project.put(A, filter("1"));
    let mut first = project.watch_with(&[]);
    manager.wait("READY=1");
    let mut second = project.watch_with(&["--wait"]);
    manager.wait("STATUS=waiting for the other owui-watch");
    for _ in 0..2 {
        manager.wait("EXTEND_TIMEOUT_USEC=");
    }
    assert!(first.stop().success());
    manager.wait("READY=1");
    assert!(second.stop().success());
}

/// New settings are a reload, which ends when they are in use; the new loop pings the watchdog too.
#[test]
fn the_manager_hears_of_a_reload() {
    let server = FakeServer::start();
    let (project, mut manager) = supervised(&server);
    let project = project.with("WATCHDOG_USEC", "200000");
    project.put(A, filter("1"));
    let mut watch = project.watch_with(&[]);
    manager.wait(&compared(1));

    server.hold("/update");
    project.write(A, &filter("2"));
    server.wait_for("/update", 1);
    project.write("watch.toml", "concurrency = 2\n");
    manager.wait("RELOADING=1");
    // Deploys in flight are finished first.
    assert!(manager.wait("WATCHDOG=1").iter().all(|message| message != "READY=1"));
    server.release();
    assert!(manager.wait(RELOADED).pop().unwrap().contains("concurrency"));
    manager.wait("READY=1");
    manager.wait(&compared(1));
    manager.wait("WATCHDOG=1");
    assert!(manager.heard.iter().all(|message| message != "STOPPING=1"), "{:#?}", manager.heard);

    assert!(watch.stop().success());
    manager.wait("STOPPING=1");
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
fn the_status_shows_denied_access() {
    let server = FakeServer::start();
    server.set_key("sk-another");
    let (project, mut manager) = supervised(&server);
    project.put(A, filter("1"));
    let _watch = project.watch_with(&[]);
    // It is ready nevertheless: it runs, and checks again on request.
    manager.wait("READY=1");
    manager.wait("STATUS=the server denied access with the key from `OPENWEBUI_API_KEY`: ");
}

/// It runs on if the manager is gone or never existed.
#[test]
fn it_runs_without_a_listening_manager() {
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
fn child_processes_do_not_get_the_managers_variables() {
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

/// A test's own service manager, with the project as its user's home.
struct UserManager {
    process: Child,
    path: String,
    runtime: PathBuf,
}

/// Imitates a system booted by systemd. `$1` is the control group for the manager and its services, `$2` the manager.
const AS_ROOT: &str = r#"
# Credentials are mounted by a child, and seen by others where mounts are shared, as they are on a machine.
mount --make-rshared / && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system || exit
# What systemd puts in the place of what a sandboxed service may not see.
mkdir -p /run/systemd/inaccessible/dir && cd /run/systemd/inaccessible && touch reg && mknod chr c 0 0 && cd / || exit
for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -e "$tree/cgroup.procs" ] && mkdir "$tree/$1" && echo $$ > "$tree/$1/cgroup.procs"
done 2>/dev/null
exec "$2" --user --unit=basic.target
"#;

impl UserManager {
    /// `None`, with the reason printed, if none can run.
    fn start(project: &Project) -> Option<Self> {
        let skip = |why: &str| {
            said_outright(&format!("skipped: no service manager for the test: {why}"));
            None
        };
        let systemd =
            ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"].into_iter().find(|at| Path::new(at).exists());
        let Some(systemd) = systemd else { return skip("systemd is not installed (.ci/run installs it)") };
        let runtime = project.path("run");
        fs::create_dir(&runtime).unwrap();
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
        let manager = Notified::at(&runtime.join("ready"));

        let user = Command::new("id").arg("-u").output().unwrap();
        let user = String::from_utf8(user.stdout).unwrap().trim().to_owned();
        let mut command = if Path::new("/run/systemd/system").exists() {
            // A control group delegated by the user's manager.
            let mut command = Command::new("systemd-run");
            command.args(["--user", "--scope", "--quiet", "--property=Delegate=yes", "env"]);
            command.arg(format!("XDG_RUNTIME_DIR={}", runtime.display())).args([systemd, "--user"]);
            command.arg("--unit=basic.target");
            let real = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{user}").into());
            command.env("XDG_RUNTIME_DIR", real);
            command
        } else if user == "0" {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", AS_ROOT, "sh"]);
            command.args([&Self::group(), systemd]).env("XDG_RUNTIME_DIR", &runtime);
            command
        } else {
            return skip("systemd does not run the system, and only root could make it look so");
        };
        let said = File::create(runtime.join("said")).unwrap();
        command.env("HOME", project.path("")).env("NOTIFY_SOCKET", runtime.join("ready"));
        command.env("SYSTEMD_LOG_TARGET", "console").env_remove("DBUS_SESSION_BUS_ADDRESS");
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) => return skip(&format!("`{}`: {error}", command.get_program().display())),
        };
        let path = std::env::var("PATH").unwrap_or_default();
        let mut this = Self { process, path, runtime };
        loop {
            if manager.try_wait("READY=1") {
                return Some(this);
            }
            if this.process.try_wait().unwrap().is_some() {
                let said = fs::read_to_string(this.runtime.join("said")).unwrap();
                return skip(&format!("it does not start: {}", said.trim()));
            }
        }
    }

    fn group() -> String {
        format!("owui-watch-test-{}", std::process::id())
    }

    /// Runs owui-watch or a systemd tool as the manager's user.
    fn run(&self, command: &mut Command) -> Output {
        command.env("XDG_RUNTIME_DIR", &self.runtime).env("PATH", &self.path).output().unwrap()
    }

    #[track_caller]
    fn systemctl(&self, project: &Project, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new("systemctl");
        command.arg("--user").args(arguments).env("HOME", project.path("")).env_remove("XDG_CONFIG_HOME");
        let output = self.run(command.env_remove("DBUS_SESSION_BUS_ADDRESS"));
        (output.status.success(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }
}

impl Drop for UserManager {
    fn drop(&mut self) {
        // It ends its services, and then itself.
        if matches!(self.process.try_wait(), Ok(None)) {
            Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().ok();
        }
        let deadline = Instant::now() + DEADLINE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        self.process.kill().ok();
        self.process.wait().ok();
        let trees = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for tree in trees.chain([PathBuf::from("/sys/fs/cgroup")]) {
            remove_folders(&tree.join(Self::group()));
        }
    }
}

/// The pseudo files of a control group vanish with its folder.
fn remove_folders(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_folders(&entry.path());
        }
    }
    fs::remove_dir(folder).ok();
}

/// Polls until the answer is yes.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool, state: impl Fn() -> String) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waiting for {what}\n{}", state());
        std::thread::sleep(POLL);
    }
}

/// The whole life of a service, in a folder with a difficult name.
#[test]
#[ignore = "starts a service manager"]
fn a_service_starts_reloads_and_survives_a_kill() {
    const FOLDER: &str = "50% of $HOME's \"plugins\"";
    let server = FakeServer::start();
    let project = Project::new();
    let Some(manager) = UserManager::start(&project) else { return };

    let a = format!("{FOLDER}/plugins/a.py");
    project.put(&a, filter("1"));
    project.write(&format!("{FOLDER}/watch.toml"), "");
    project.write(".config/owui-watch/openwebui_api_key", KEY);
    let folder = project.path(FOLDER).canonicalize().unwrap();
    let unit = unit::name(&folder);
    // A user's drop-in, which also shortens the test.
    project
        .write(&format!(".config/systemd/user/{unit}.d/quick.conf"), "[Service]\nRestartSec=100ms\nWatchdogSec=5s\n");
    let owui_watch = |arguments: &[&str]| {
        let mut command = project.command(&[&["service"], arguments].concat());
        let output = manager.run(command.current_dir(&folder));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout) + &text(output.stderr))
    };
    let show = |name: &str| manager.systemctl(&project, &["show", &unit, "--value", "--property", name]).1;
    let state = || {
        let said = fs::read_to_string(manager.runtime.join("said")).unwrap_or_default();
        format!("{}\n{said}", manager.systemctl(&project, &["status", "--full", &unit]).1)
    };
    let text = || server.row(Kind::Function, "a").map(|row| row.content);

    let (code, said) = owui_watch(&["install", "--url", &server.url()]);
    assert_eq!(code, Some(0), "{said}\n{}", state());
    // `start` has waited for it to be ready.
    assert_eq!((show("ActiveState"), show("SubState")), ("active".to_owned(), "running".to_owned()), "{}", state());
    assert_eq!(show("UnitFileState"), "enabled");
    until("the first deploy", || text() == Some(filter("1")), state);
    project.write(&a, &filter("2"));
    until("a save to be deployed", || text() == Some(filter("2")), state);
    until("the status", || show("StatusText").contains(&updated("a")), state);
    let (code, said) = owui_watch(&["status"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("active (running)") && said.contains(&updated("a")), "{said}");

    assert_eq!((show("MemoryMax"), show("TasksMax")), ((2_u64 << 30).to_string(), "512".to_owned()));

    let (code, said) = owui_watch(&["install", "--hardened", "--url", &server.url()]);
    assert_eq!(code, Some(0), "{said}\n{}", state());
    let of_service = Path::new("/proc").join(show("MainPID"));
    let namespace = |process: &Path| fs::read_link(process.join("ns/user")).unwrap();
    assert_ne!(namespace(&of_service), namespace(Path::new("/proc/self")), "PrivateUsers= did nothing");
    let mounts = fs::read_to_string(of_service.join("mountinfo")).unwrap();
    let read_only = |at: &str| mounts.lines().rfind(|line| line.contains(&format!(" {at} "))).unwrap().contains(" ro,");
    assert!(read_only("/") && !read_only(&folder.to_str().unwrap().replace(' ', "\\040")), "{mounts}");
    let mut security = Command::new("systemd-analyze");
    security.args(["--user", "--no-pager", "security", "--threshold=20", &unit]).env_remove("DBUS_SESSION_BUS_ADDRESS");
    let security = manager.run(&mut security);
    let (said, why) = (String::from_utf8_lossy(&security.stdout), String::from_utf8_lossy(&security.stderr));
    assert!(security.status.success(), "{said}{why}");
    // It deploys, and records it.
    project.write(&a, &filter("hardened"));
    until("a save to be deployed by a hardened service", || text() == Some(filter("hardened")), state);
    until("the status", || show("StatusText").contains(&updated("a")), state);
    let log = fs::read_to_string(folder.join(".owui-watch/logs/function-a.log")).unwrap();
    assert_eq!(log.matches(" updated version=").count(), 2, "{log}");
    let (code, said) = owui_watch(&["install", "--url", &server.url()]);
    assert_eq!(code, Some(0), "{said}\n{}", state());

    let (first, asked) = (show("MainPID"), server.requests().len());
    assert!(manager.systemctl(&project, &["reload", &unit]).0, "{}", state());
    until("a comparison", || server.requests().len() > asked, state);
    until("the end of the reload", || show("ActiveState") == "active", state);
    assert_eq!(show("MainPID"), first);

    assert!(manager.systemctl(&project, &["kill", "--signal=KILL", &unit]).0);
    until("another process", || !["0", &first].contains(&&*show("MainPID")) && show("SubState") == "running", state);
    assert_eq!((show("NRestarts"), show("Result")), ("1".to_owned(), "success".to_owned()));
    project.write(&a, &filter("3"));
    until("a save to be deployed by the other", || text() == Some(filter("3")), state);

    // A stopped process does not ping the watchdog.
    let second = show("MainPID");
    assert!(manager.systemctl(&project, &["kill", "--signal=STOP", &unit]).0);
    until("a third process", || !["0", &second].contains(&&*show("MainPID")) && show("SubState") == "running", state);
    assert_eq!(show("NRestarts"), "2");
    project.write(&a, &filter("4"));
    until("a save to be deployed by the third", || text() == Some(filter("4")), state);

    // An error that a restart cannot fix is not retried.
    project.write(&format!("{FOLDER}/watch.toml"), "no such key");
    assert!(!manager.systemctl(&project, &["restart", &unit]).0, "{}", state());
    assert_eq!(
        (show("ActiveState"), show("SubState"), show("ExecMainStatus")),
        ("failed".to_owned(), "failed".to_owned(), "2".to_owned())
    );
    let (code, said) = owui_watch(&["status"]);
    assert_eq!(code, Some(1), "{said}");

    let (code, said) = owui_watch(&["uninstall"]);
    assert_eq!(code, Some(0), "{said}\n{}", state());
    assert!(!project.path(&format!(".config/systemd/user/{unit}")).exists());
    let (code, said) = owui_watch(&["status"]);
    assert_eq!(code, Some(1), "{said}");
}
