//! The built binary on a difficult file system: lost events, reached limits, roots that come and go, wrong times,
//! unreadable files, and very many files.
//!
//! Long because every test sets up its own file system.
#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use owui_watch::plugin::Kind;
use serde_json::{Value, json};

use crate::support::command::{Project, Watch, filter, is_whole, of};
use crate::support::fake_server::FakeServer;

const A: &str = "plugins/a.py";

/// A project with these plugins, all on the server in their first version.
fn deployed(server: &FakeServer, files: &[&str]) -> Project {
    let project = Project::on(server);
    for file in files {
        project.put(file, filter("1"));
    }
    assert_eq!(project.run(&["--once"]).code, Some(0));
    project
}

fn watched(server: &FakeServer, files: &[&str]) -> (Project, Watch) {
    let project = deployed(server, files);
    let watch = project.watch();
    (project, watch)
}

fn text(server: &FakeServer, id: &str) -> String {
    server.row(Kind::Function, id).unwrap().content
}

fn troubles(notices: &[Value]) -> Vec<&Value> {
    notices.iter().filter(|notice| notice["event"] == "trouble").collect()
}

fn count(watch: &Watch, event: &str) -> usize {
    watch.said().iter().filter(|said| **said == event).count()
}

/// Waits for notices of this kind about all these plugins, in any order.
#[track_caller]
fn wait_for_all(watch: &mut Watch, event: &str, mut ids: Vec<String>) {
    while !ids.is_empty() {
        let notice = watch.wait(event, None).pop().unwrap();
        ids.retain(|id| notice["id"] != id.as_str());
    }
}

/// Runs git with an author set.
fn git(project: &Project, arguments: &[&str]) {
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"];
    project.sh("git", &[&who[..], arguments].concat());
}

// ---- lost events ----------------------------------------------------------------------------------------------------

/// The size of the kernel's event queue.
fn queue() -> usize {
    fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap()
}

#[test]
fn an_overflow_of_the_kernels_queue_causes_a_rescan() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server, &[A, "plugins/deep/b.py"]);
    watch.signal("STOP");
    // Two files in turn, since the kernel merges equal events; each write causes at least three.
    for n in 0..=queue() / 3 {
        fs::write(project.path(["plugins/noise", "plugins/sound"][n % 2]), "x").unwrap();
    }
    // The events of these are lost.
    project.write(A, &filter("2"));
    project.write("plugins/deep/b.py", &filter("2"));
    project.write("plugins/new/c.py", &filter("1"));
    watch.signal("CONT");
    // In any order.
    let mut awaited = vec![("updated", "a"), ("updated", "b"), ("created", "c")];
    while !awaited.is_empty() {
        let notice = watch.wait_any(&["updated", "created"]);
        awaited.retain(|(event, id)| notice["event"] != *event || notice["id"] != *id);
    }
    // New folders are watched by now.
    project.write("plugins/new/c.py", &filter("2"));
    watch.wait("updated", Some("c"));
}

#[test]
fn changes_during_sleep_are_deployed_afterwards() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server, &[A, "plugins/b.py"]);
    watch.signal("STOP");
    project.write(A, &filter("2"));
    project.write(A, &filter("3"));
    fs::remove_file(project.path("plugins/b.py")).unwrap();
    project.write("plugins/new/c.py", &filter("4"));
    watch.signal("CONT");
    watch.wait("created", Some("c"));
    watch.wait("removed", Some("b"));
    assert!(watch.stop().success());
    assert_eq!(text(&server, "a"), filter("3"));
    // A version that was never seen is not sent.
    let sent = server.requests().into_iter().filter(|request| request.method == "POST" && request.body["id"] == "a");
    assert_eq!(sent.count(), 2);
}

/// Setting a watch needs notify's thread, which must not be blocked by earlier events.
#[test]
fn hundreds_of_folders_under_two_roots_are_watched() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.write("watch.toml", "root = [\"plugins\", \"tools\"]\n");
    for n in 0..300 {
        fs::create_dir_all(project.path(&format!("plugins/{n}/deep"))).unwrap();
        fs::create_dir_all(project.path(&format!("tools/{n}"))).unwrap();
    }
    let mut watch = project.watch();
    // Everything is watched again while events arrive.
    watch.signal("STOP");
    for n in 0..300 {
        project.write(&format!("plugins/{n}/deep/noise"), "x");
    }
    watch.signal("HUP");
    watch.signal("CONT");
    watch.wait("summary", None);
    project.write("plugins/299/deep/a.py", &filter("1"));
    project.write("tools/299/b.py", &filter("1"));
    wait_for_all(&mut watch, "created", ["a", "b"].map(str::to_owned).to_vec());
}

// ---- limits ---------------------------------------------------------------------------------------------------------

/// Starts a watch with its own limit, if the system permits.
fn limited(project: &Project, sysctl: &str, value: usize) -> Option<Watch> {
    let script = "echo $0 > /proc/sys/user/$1 && shift && exec \"$@\"";
    let value = value.to_string();
    let program = ["unshare", "-Ur", "sh", "-c", script, &value, sysctl];
    let mut probe = Command::new(program[0]);
    probe.args(&program[1..]).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success()).then(|| project.watch_by(&program))
}

#[track_caller]
fn check_limit(notices: &[Value], words: &str, hint: &str) {
    let troubles = troubles(notices);
    let [trouble] = &troubles[..] else { panic!("told once, and not {troubles:#?}") };
    let message = trouble["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
    assert!(message.contains("polling every second instead"), "{message}");
    assert!(trouble["hint"].as_str().unwrap().contains(hint), "{trouble}");
}

#[test]
fn folders_beyond_the_limit_of_watches_are_polled() {
    let server = FakeServer::start();
    let files: Vec<_> = (0..8).map(|n| format!("plugins/{n}/p{n}.py")).collect();
    let project = deployed(&server, &files.iter().map(String::as_str).collect::<Vec<_>>());
    // The project (twice, also for its settings), the requests, the root, and three of the eight.
    let Some(mut watch) = limited(&project, "max_inotify_watches", 7) else { return };
    let notices = watch.wait("summary", None);
    check_limit(
        &notices,
        "no file events of `plugins/3`: the system's limit of inotify watches is reached (user.max_inotify_watches is 7)",
        "sudo sysctl user.max_inotify_watches=524288",
    );
    for file in &files {
        project.write(file, &filter("2"));
    }
    project.write("plugins/7/new/n.py", &filter("1"));
    fs::remove_file(project.path("plugins/6/p6.py")).unwrap();
    fs::remove_dir_all(project.path("plugins/5")).unwrap();
    let mut waiting: Vec<_> = [0, 1, 2, 3, 4, 7].map(|n| ("updated", format!("p{n}"))).to_vec();
    waiting.extend([("created", "n"), ("removed", "p6"), ("removed", "p5")].map(|(event, id)| (event, id.to_owned())));
    while !waiting.is_empty() {
        let notice = next(&mut watch);
        waiting.retain(|(event, id)| notice["event"] != *event || notice["id"] != id.as_str());
    }
    assert!(watch.stop().success());
    assert_eq!(count(&watch, "trouble"), 1, "{:?}", watch.said());
}

/// The next outcome.
fn next(watch: &mut Watch) -> Value {
    watch.wait_any(&["updated", "created", "removed"])
}

#[test]
fn new_folders_beyond_the_limit_are_polled() {
    let server = FakeServer::start();
    let project = deployed(&server, &[A]);
    let Some(mut watch) = limited(&project, "max_inotify_watches", 5) else { return };
    assert_eq!(troubles(&watch.wait("summary", None)), Vec::<&Value>::new());
    project.write("plugins/one/b.py", &filter("1"));
    watch.wait("created", Some("b"));
    project.write("plugins/two/c.py", &filter("1"));
    let notices = watch.wait("created", Some("c"));
    check_limit(&notices, "no file events of `plugins/two`", "sudo sysctl");
    project.write("plugins/two/deep/d.py", &filter("1"));
    watch.wait("created", Some("d"));
    for (file, id) in [("plugins/two/c.py", "c"), ("plugins/two/deep/d.py", "d"), ("plugins/one/b.py", "b")] {
        project.write(file, &filter("2"));
        watch.wait("updated", Some(id));
    }
    assert!(watch.stop().success());
    assert_eq!(count(&watch, "trouble"), 1, "{:?}", watch.said());
}

/// With a limit of zero everything is polled, even the root.
#[track_caller]
fn check_without_events(sysctl: &str, words: &str, hint: &str) {
    let server = FakeServer::start();
    let project = deployed(&server, &[A]);
    let Some(mut watch) = limited(&project, sysctl, 0) else { return };
    check_limit(&watch.wait("summary", None), words, hint);
    project.write(A, &filter("2"));
    project.write("plugins/new/b.py", &filter("1"));
    watch.wait("created", Some("b"));
    fs::rename(project.path("plugins"), project.path("away")).unwrap();
    watch.wait("root_missing", None);
    fs::rename(project.path("away"), project.path("plugins")).unwrap();
    watch.wait("summary", None);
    assert!(watch.stop().success());
    assert_eq!(text(&server, "a"), filter("2"));
}

#[test]
fn where_no_instance_is_left_everything_is_polled() {
    check_without_events(
        "max_inotify_instances",
        "no file events: the system's limit of inotify instances is reached (user.max_inotify_instances is 0)",
        "sudo sysctl user.max_inotify_instances=1024",
    );
}

#[test]
fn where_no_watch_is_left_everything_is_polled() {
    check_without_events(
        "max_inotify_watches",
        "no file events of `plugins`: the system's limit of inotify watches",
        "sudo sysctl user.max_inotify_watches=524288",
    );
}

// ---- roots ----------------------------------------------------------------------------------------------------------

#[test]
fn a_recreated_root_is_watched_again() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server, &[A, "plugins/deep/b.py"]);
    for version in ["2", "3"] {
        fs::remove_dir_all(project.path("plugins")).unwrap();
        watch.wait("root_missing", None);
        project.write(A, &filter(version));
        project.write("plugins/deep/b.py", &filter(version));
        wait_for_all(&mut watch, "updated", ["a", "b"].map(str::to_owned).to_vec());
    }
    assert!(watch.stop().success());
    assert_eq!((text(&server, "a"), text(&server, "b")), (filter("3"), filter("3")));
    assert_eq!(count(&watch, "removed"), 0, "{:?}", watch.said());
}

/// The parent reports a returning root, unless it is gone too.
#[test]
fn a_root_lost_with_its_parents_is_watched_again() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.write("watch.toml", "root = \"project/deep/plugins\"\n");
    let file = "project/deep/plugins/a.py";
    project.put(file, filter("1"));
    let mut watch = project.watch();
    fs::rename(project.path("project"), project.path("away")).unwrap();
    // No event reports it.
    project.write("away/deep/plugins/a.py", &filter("ghost"));
    watch.wait("root_missing", None);
    project.write(file, &filter("2"));
    watch.wait("updated", Some("a"));
    project.write(file, &filter("3"));
    watch.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("3"));
}

/// A missing root is waited for, and reported once.
#[track_caller]
fn check_late_root(root: &str) {
    let server = FakeServer::start();
    let project = Project::on(&server);
    fs::remove_dir(project.path("plugins")).unwrap();
    project.write("watch.toml", &format!("root = \"{root}\"\n"));
    // `--once` does not wait.
    let once = project.run(&["--once"]);
    assert_eq!(once.code, Some(2));
    assert!(once.stderr.contains("there is no such folder"), "{}", once.stderr);

    let mut watch = project.watch();
    watch.signal("HUP");
    watch.wait("summary", None);
    let file = format!("{root}/deep/a.py");
    // Atomically: an empty root would be reported.
    project.put("aside/deep/a.py", filter("1"));
    fs::create_dir_all(project.path(root).parent().unwrap()).unwrap();
    fs::rename(project.path("aside"), project.path(root)).unwrap();
    watch.wait("created", Some("a"));
    project.write(&file, &filter("2"));
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert_eq!((count(&watch, "root_missing"), count(&watch, "nothing_found")), (1, 0), "{:?}", watch.said());
}

#[test]
fn a_root_missing_at_the_start_is_waited_for() {
    check_late_root("plugins");
}

#[test]
fn a_root_may_appear_with_its_parents() {
    check_late_root("not/yet/plugins");
}

// ---- links ----------------------------------------------------------------------------------------------------------

/// No event reports it: the changed file is in an unwatched folder.
#[test]
fn a_change_behind_a_link_is_seen() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/.gitignore", "store\n");
    project.put("plugins/store/a.py", filter("1"));
    symlink("store/a.py", project.path(A)).unwrap();
    let mut watch = project.watch();
    assert_eq!(text(&server, "a"), filter("1"));
    project.write("plugins/store/a.py", &filter("2"));
    watch.wait("updated", Some("a"));
    // A later link is followed too.
    project.put("plugins/store/b.py", filter("1"));
    symlink("store/b.py", project.path("plugins/b.py")).unwrap();
    watch.wait("created", Some("b"));
    project.write("plugins/store/b.py", &filter("2"));
    watch.wait("updated", Some("b"));
}

/// A `ConfigMap` mount of Kubernetes: each file is a link through a folder link, which is switched.
#[test]
fn a_folder_link_above_a_file_may_change() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let change_over = |version: &str| {
        project.put(&format!("plugins/..{version}/a.py"), filter(version));
        symlink(format!("..{version}"), project.path("plugins/..data_tmp")).unwrap();
        fs::rename(project.path("plugins/..data_tmp"), project.path("plugins/..data")).unwrap();
    };
    change_over("1");
    symlink("..data/a.py", project.path(A)).unwrap();
    let mut watch = project.watch();
    assert_eq!(text(&server, "a"), filter("1"));
    change_over("2");
    watch.wait("updated", Some("a"));
    fs::remove_dir_all(project.path("plugins/..1")).unwrap();
    change_over("3");
    watch.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("3"));
}

// ---- very many ------------------------------------------------------------------------------------------------------

const MANY: usize = 1000;

fn many() -> impl Iterator<Item = (String, String)> {
    (0..MANY).map(|n| (format!("p{n}"), format!("plugins/{}/p{n}.py", n % 50)))
}

/// The first texts are already on the server, so only the watch is measured.
fn many_deployed(server: &FakeServer) -> Project {
    let project = Project::on(server);
    project.put("watch.toml", "concurrency = 32\n");
    for (_, file) in many() {
        project.put(&file, filter("1"));
    }
    assert_eq!(project.run(&["--once"]).code, Some(0));
    project
}

#[test]
fn a_thousand_files_in_one_folder_need_one_walk() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server, &[A]);
    let before = busy(&watch);
    fs::create_dir(project.path("prepared")).unwrap();
    for n in 0..MANY {
        fs::write(project.path(&format!("prepared/f{n}.py")), "x = 1\n").unwrap();
    }
    // One by one like git, but faster than they can be handled singly.
    watch.signal("STOP");
    for n in 0..MANY {
        fs::rename(project.path(&format!("prepared/f{n}.py")), project.path(&format!("plugins/f{n}.py"))).unwrap();
    }
    project.write("plugins/z.py", &filter("1"));
    watch.signal("CONT");
    watch.wait("created", Some("z"));
    let took = busy(&watch).saturating_sub(before);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
#[ignore = "two thousand deploys take a debug build and the fake server ten seconds"]
fn a_checkout_that_changes_a_thousand_plugins_deploys_each_once() {
    let server = FakeServer::start();
    let project = many_deployed(&server);
    git(&project, &["init", "-q", "-b", "one"]);
    git(&project, &["add", "plugins"]);
    git(&project, &["commit", "-qm", "one"]);
    git(&project, &["checkout", "-qb", "two"]);
    for (_, file) in many() {
        project.write(&file, &filter("2"));
    }
    git(&project, &["commit", "-qam", "two"]);
    git(&project, &["checkout", "-q", "one"]);
    let mut watch = project.watch();
    let before = server.requests().len();
    git(&project, &["checkout", "-q", "two"]);
    wait_for_all(&mut watch, "updated", many().map(|(id, _)| id).collect());
    assert!(watch.stop().success());
    for (id, _) in many() {
        assert_eq!(text(&server, &id), filter("2"));
    }
    let sent = server.requests().split_off(before).into_iter().filter(|request| request.method == "POST").count();
    assert_eq!(sent, MANY);
}

/// The CPU time of a watch, which does not depend on the machine's load.
fn busy(watch: &Watch) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", watch.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    // In hundredths of a second, whatever the kernel counts in.
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// A new file must not cost a check of all others.
#[test]
#[ignore = "writing ten thousand files takes a busy disk ten seconds"]
fn ten_thousand_files_stay_fast() {
    const FILES: usize = 10_000;
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server, &[A]);
    fs::create_dir(project.path("plugins/flat")).unwrap();
    let before = busy(&watch);
    for n in 0..FILES {
        fs::write(project.path(&format!("plugins/flat/f{n}.py")), "x = 1\n").unwrap();
    }
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    project.write("plugins/flat/b.py", &filter("1"));
    watch.wait("created", Some("b"));
    let took = busy(&watch).saturating_sub(before);
    // Three seconds in a debug build; minutes with a quadratic algorithm.
    assert!(took < Duration::from_secs(20), "{took:?}");
    watch.signal("HUP");
    watch.wait("summary", None);
}

// ---- git ------------------------------------------------------------------------------------------------------------

#[test]
fn a_rebase_ends_with_the_text_of_its_head() {
    let server = FakeServer::start();
    let project = deployed(&server, &[A]);
    git(&project, &["init", "-q", "-b", "main"]);
    git(&project, &["add", "plugins"]);
    git(&project, &["commit", "-qm", "base"]);
    git(&project, &["checkout", "-qb", "topic"]);
    for version in ["2", "3", "4"] {
        project.write(A, &filter(version));
        project.write(&format!("plugins/n{version}.py"), &filter(version));
        git(&project, &["add", "plugins"]);
        git(&project, &["commit", "-qm", version]);
    }
    git(&project, &["checkout", "-q", "main"]);
    project.write("plugins/b.py", &filter("1"));
    git(&project, &["add", "plugins"]);
    git(&project, &["commit", "-qm", "b"]);
    git(&project, &["checkout", "-q", "topic"]);
    let mut watch = project.watch();
    git(&project, &["rebase", "-q", "main"]);
    watch.wait("created", Some("b"));
    // Everything pending comes before a save after the rebase.
    for id in ["a", "n2", "n3", "n4"] {
        project.write(&format!("plugins/{id}.py"), &filter(&format!("after {id}")));
        watch.wait("updated", Some(id));
    }
    git(&project, &["checkout", "-q", "."]);
    wait_for_all(&mut watch, "updated", ["a", "n2", "n3", "n4"].map(str::to_owned).to_vec());
    for (id, version) in [("a", "4"), ("b", "1"), ("n2", "2"), ("n3", "3"), ("n4", "4")] {
        assert_eq!(text(&server, id), filter(version), "{id}");
    }
    for request in server.requests().iter().filter(|request| request.method == "POST") {
        assert!(request.body["content"].as_str().is_none_or(is_whole), "{request:?}");
    }
}

// ---- clocks ---------------------------------------------------------------------------------------------------------

/// Files with a time of tomorrow or 1970: a wrong clock, or another machine's.
#[test]
fn files_from_the_future_and_from_1970_are_deployed() {
    for settings in ["", "poll = \"100ms\"\ndebounce = \"50ms\"\n"] {
        let server = FakeServer::start();
        let project = deployed(&server, &[A, "plugins/b.py"]);
        project.put("watch.toml", settings);
        let mut watch = project.watch();
        for (version, time) in [
            ("2", SystemTime::now() + Duration::from_hours(24)),
            ("3", UNIX_EPOCH),
            ("4", SystemTime::now() + Duration::from_secs(2)),
            ("5", SystemTime::now() - Duration::from_hours(24)),
        ] {
            let (next, file) = (project.path("next"), project.path(A));
            fs::write(&next, filter(version)).unwrap();
            File::options().write(true).open(&next).unwrap().set_modified(time).unwrap();
            fs::rename(&next, &file).unwrap();
            watch.wait("updated", Some("a"));
            assert_eq!(text(&server, "a"), filter(version));
        }
        // A start finds such files too.
        drop(watch);
        for (file, time) in [(A, UNIX_EPOCH), ("plugins/b.py", SystemTime::now() + Duration::from_hours(24))] {
            project.put(file, filter("6"));
            File::options().write(true).open(project.path(file)).unwrap().set_modified(time).unwrap();
        }
        let mut watch = project.watch_with(&[]);
        wait_for_all(&mut watch, "updated", ["a", "b"].map(str::to_owned).to_vec());
    }
}

/// On a file system with whole seconds, two saves within a second have the same stat.
#[test]
fn a_second_save_within_one_second_is_seen() {
    for settings in ["", "poll = \"100ms\"\ndebounce = \"50ms\"\n"] {
        let server = FakeServer::start();
        let project = deployed(&server, &[A]);
        project.put("watch.toml", settings);
        let mut watch = project.watch();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        for version in ["2", "3", "4"] {
            fs::write(project.path(A), filter(version)).unwrap();
            let file = File::options().write(true).open(project.path(A)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(now)).unwrap();
            drop(file);
            watch.wait("updated", Some("a"));
            assert_eq!(text(&server, "a"), filter(version));
        }
    }
}

// ---- without events -------------------------------------------------------------------------------------------------

/// Like a network drive.
#[test]
fn polling_survives_what_events_survive() {
    let server = FakeServer::start();
    let project = deployed(&server, &[A, "plugins/deep/b.py"]);
    project.put("watch.toml", "poll = \"100ms\"\ndebounce = \"50ms\"\n");
    let mut watch = project.watch();
    // A tree is moved in, a folder within the root, a file out.
    project.put("prepared/in/c.py", filter("1"));
    fs::rename(project.path("prepared"), project.path("plugins/moved")).unwrap();
    watch.wait("created", Some("c"));
    fs::rename(project.path("plugins/moved"), project.path("plugins/again")).unwrap();
    project.write("plugins/again/in/c.py", &filter("2"));
    watch.wait("updated", Some("c"));
    fs::rename(project.path("plugins/deep/b.py"), project.path("b.py")).unwrap();
    watch.wait("removed", Some("b"));
    // The root goes, and comes back.
    fs::rename(project.path("plugins"), project.path("away")).unwrap();
    watch.wait("root_missing", None);
    project.write("away/a.py", &filter("2"));
    fs::rename(project.path("away"), project.path("plugins")).unwrap();
    watch.wait("updated", Some("a"));
    // What is ignored.
    project.write("plugins/.gitignore", "drafts\n");
    watch.wait("summary", None);
    project.write("plugins/drafts/d.py", &filter("1"));
    project.write(A, &filter("3"));
    watch.wait("updated", Some("a"));
    assert!(server.row(Kind::Function, "d").is_none());
}

#[test]
fn polling_does_not_send_half_a_file() {
    let server = FakeServer::start();
    let project = deployed(&server, &[A]);
    project.put("watch.toml", "poll = \"100ms\"\ndebounce = \"100ms\"\n");
    let mut watch = project.watch();
    let text = filter("2");
    // The drive's clock is ahead of ours: its files are never old.
    for end in (0..text.len()).step_by(8).chain([text.len()]) {
        fs::write(project.path(A), &text[..end]).unwrap();
        let file = File::options().write(true).open(project.path(A)).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_mins(1)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    for request in server.requests().iter().filter(|request| request.method == "POST") {
        assert!(request.body["content"].as_str().is_none_or(is_whole), "{request:?}");
    }
}

// ---- names and rights -----------------------------------------------------------------------------------------------

#[test]
fn editors_temporary_files_are_ignored() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server, &[A]);
    let before = server.lines().len();
    // A lock link of Emacs is dangling.
    symlink("user@host.1234:1700000000", project.path("plugins/.#a.py")).unwrap();
    for name in
        ["a.py~", "#a.py#", "4913", ".a.py.swp", ".a.py.swx", "a.py___jb_tmp___", "a.py___jb_old___", "a.py.bak"]
    {
        project.write(&format!("plugins/{name}"), &filter("draft"));
    }
    fs::remove_file(project.path("plugins/.#a.py")).unwrap();
    project.write("plugins/z.py", &filter("1"));
    watch.wait("created", Some("z"));
    assert!(watch.stop().success());
    assert_eq!(watch.said_of("a"), ["unchanged"]);
    assert!(server.lines()[before..].iter().all(|line| !line.contains("/id/a")), "{:?}", &server.lines()[before..]);
    assert_eq!(count(&watch, "flawed") + count(&watch, "held"), 0, "{:?}", watch.said());
}

/// Starts a watch without root's permissions, even if the tests run as root.
fn without_privileges(project: &Project) -> Watch {
    let probe = project.path("probe");
    fs::write(&probe, "").unwrap();
    fs::set_permissions(&probe, Permissions::from_mode(0o000)).unwrap();
    match File::open(&probe) {
        Ok(_) => project.watch_by(&["setpriv", "--bounding-set=-dac_override,-dac_read_search"]),
        Err(_) => project.watch_with(&[]),
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_unreadable_file_is_reported_and_read_once_readable() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    project.put("plugins/closed.py", filter("1"));
    project.put("plugins/folder/deep/b.py", filter("1"));
    let (file, folder) = (project.path("plugins/closed.py"), project.path("plugins/folder"));
    set_mode(&file, 0o000);
    set_mode(&folder, 0o000);
    let mut watch = without_privileges(&project);
    let notices = watch.wait("summary", None);
    let closed = |path: &str| notices.iter().any(|notice| notice["event"] == "flawed" && notice["path"] == path);
    assert!(closed("plugins/closed.py") && closed("plugins/folder"), "{notices:#?}");
    // The folder's content is unknown.
    let reasons: Vec<_> = notices.iter().filter(|it| it["event"] == "flawed").map(|it| &it["reason"]).collect();
    assert_eq!(reasons, ["unreadable", "unreadable_folder"]);
    let summary = of(&notices, "summary");
    assert_eq!((&summary["skipped"], &summary["unread"]), (&json!(1), &json!(1)));
    assert_eq!(text(&server, "a"), filter("1"));
    assert_eq!(troubles(&notices), Vec::<&Value>::new());

    set_mode(&file, 0o644);
    watch.wait("created", Some("closed"));
    set_mode(&folder, 0o755);
    watch.wait("created", Some("b"));
    project.write("plugins/folder/deep/b.py", &filter("2"));
    watch.wait("updated", Some("b"));
    // A file that arrives unreadable.
    project.put("prepared/c.py", filter("1"));
    set_mode(&project.path("prepared"), 0o000);
    fs::rename(project.path("prepared"), project.path("plugins/late")).unwrap();
    let notices = watch.wait("flawed", None);
    assert_eq!(notices.last().unwrap()["path"], json!("plugins/late"));
    set_mode(&project.path("plugins/late"), 0o755);
    watch.wait("created", Some("c"));
    assert!(watch.stop().success());
}

#[test]
fn a_name_that_is_not_unicode_works() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server, &[A]);
    let path = |name: &[u8]| project.path("plugins").join(OsStr::from_bytes(name));
    // Some file systems allow only Unicode names.
    if fs::write(path(b"caf\xe9.py"), filter("1")).is_err() {
        return;
    }
    watch.wait("created", Some("caf_"));
    fs::write(path(b"caf\xe9.py"), filter("2")).unwrap();
    watch.wait("updated", Some("caf_"));
    fs::create_dir(path(b"\xff")).unwrap();
    fs::write(path(b"\xff").join("b.py"), filter("1")).unwrap();
    watch.wait("created", Some("b"));
    fs::remove_file(path(b"caf\xe9.py")).unwrap();
    watch.wait("removed", Some("caf_"));
    assert_eq!(text(&server, "caf_"), filter("2"));
}
