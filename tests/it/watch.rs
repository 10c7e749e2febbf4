//! The built binary in a real folder, with saves as editors and programs make them, against the fake server.
#![cfg(target_os = "linux")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use owui_watch::plugin::Kind;

use crate::support::command::{Project, Watch, filter, is_whole, writes};
use crate::support::fake_server::FakeServer;

const A: &str = "plugins/a.py";

/// A watched project with the first version of `a` deployed by an earlier run.
fn watched(server: &FakeServer) -> (Project, Watch) {
    let project = Project::on(server);
    project.write(A, &filter("1"));
    project.write("plugins/sentinel.py", &filter("1"));
    assert_eq!(project.run(&["--once"]).code, Some(0));
    let watch = project.watch();
    (project, watch)
}

/// The text on the server.
fn text(server: &FakeServer, id: &str) -> String {
    server.row(Kind::Function, id).unwrap().content
}

/// Checks that every text that reached the server was complete.
#[track_caller]
fn assert_only_whole(server: &FakeServer, id: &str) {
    for request in server.requests().iter().filter(|request| request.body["id"] == id) {
        let content = request.body["content"].as_str().unwrap();
        assert!(is_whole(content), "half a file was sent: {content:?}");
    }
}

/// Checks that these texts of `a` reached the server, each by a deploy of its own.
///
/// The events of one save may come apart. What a second reading of it adds is `held` or `unchanged`.
#[track_caller]
fn assert_deployed(server: &FakeServer, watch: &Watch, texts: &[String]) {
    let requests = server.requests();
    let sent = requests.iter().filter(|request| request.body["id"] == "a").map(|request| &request.body["content"]);
    assert_eq!(sent.collect::<Vec<_>>(), texts.iter().collect::<Vec<_>>());
    let said = watch.said_of("a").into_iter().filter(|event| event != "held" && event != "unchanged");
    // An earlier run deployed the first.
    assert_eq!(said.collect::<Vec<_>>(), ["sending", "updated"].repeat(texts.len() - 1));
}

/// Any style of saving causes one deploy with the final text.
#[track_caller]
fn check_save(save: impl FnOnce(&Project, &str)) {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    save(&project, &filter("2"));
    watch.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("2"));
    // All signs about `a` come before those about a later save of another file.
    project.write("plugins/sentinel.py", &filter("2"));
    watch.wait("updated", Some("sentinel"));
    assert!(watch.stop().success());
    assert_deployed(&server, &watch, &[filter("1"), filter("2")]);
}

#[test]
fn saved_in_place() {
    check_save(|project, text| project.write(A, text));
}

#[test]
fn saved_by_a_temporary_file_beside_it() {
    check_save(|project, text| {
        project.write("plugins/.a.py.tmp", text);
        fs::rename(project.path("plugins/.a.py.tmp"), project.path(A)).unwrap();
    });
}

#[test]
fn saved_by_a_temporary_file_from_elsewhere() {
    check_save(|project, text| {
        project.write("elsewhere/a", text);
        fs::rename(project.path("elsewhere/a"), project.path(A)).unwrap();
    });
}

#[test]
fn saved_as_neovim_does() {
    check_save(|project, text| {
        project.write("plugins/4913", "");
        fs::remove_file(project.path("plugins/4913")).unwrap();
        fs::rename(project.path(A), project.path("plugins/a.py~")).unwrap();
        project.write(A, text);
        fs::remove_file(project.path("plugins/a.py~")).unwrap();
    });
}

#[test]
fn saved_by_vim() {
    if !installed("vim") {
        return;
    }
    check_save(|project, _| {
        project.sh("vim", &["-Nu", "NONE", "-es", "-c", "%s/version: 1/version: 2/", "-c", "wq", A]);
    });
    check_save(|project, _| {
        let options = ["-c", "set backup backupcopy=no backupskip= writebackup"];
        let edit = ["-c", "%s/version: 1/version: 2/", "-c", "wq", A];
        project.sh("vim", &[&["-Nu", "NONE", "-es"], &options[..], &edit].concat());
    });
}

#[test]
fn saved_as_jetbrains_does() {
    check_save(|project, text| {
        project.write("plugins/a.py___jb_tmp___", text);
        fs::rename(project.path(A), project.path("plugins/a.py___jb_old___")).unwrap();
        fs::rename(project.path("plugins/a.py___jb_tmp___"), project.path(A)).unwrap();
        fs::remove_file(project.path("plugins/a.py___jb_old___")).unwrap();
    });
}

#[test]
fn saved_by_sed() {
    check_save(|project, _| project.sh("sed", &["-i", "s/version: 1/version: 2/", A]));
}

#[test]
fn saved_by_git_checkout() {
    let server = FakeServer::start();
    let (project, watch) = watched(&server);
    drop(watch);
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"];
        project.sh("git", &[&who[..], arguments].concat());
    };
    git(&["init", "-q", "-b", "one"]);
    git(&["add", "plugins"]);
    git(&["commit", "-qm", "one"]);
    git(&["checkout", "-qb", "two"]);
    project.write(A, &filter("2"));
    project.write("plugins/new/b.py", &filter("1"));
    git(&["add", "plugins"]);
    git(&["commit", "-qm", "two"]);
    git(&["checkout", "-q", "one"]);

    let mut watch = project.watch();
    git(&["checkout", "-q", "two"]);
    watch.wait_for_all(&[("updated", "a"), ("created", "b")]);
    assert_eq!(text(&server, "a"), filter("2"));
    git(&["checkout", "-q", "one"]);
    watch.wait_for_all(&[("updated", "a"), ("removed", "b")]);
    watch.stop();
    assert_deployed(&server, &watch, &[filter("1"), filter("2"), filter("1")]);
    assert!(server.row(Kind::Function, "b").is_some(), "the server keeps what is removed here");
}

/// Not every machine has every editor.
fn installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(program).is_file())
}

#[test]
fn a_save_without_a_change_sends_nothing() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    let before = writes(&server);
    project.write(A, &filter("1"));
    let notices = watch.wait("unchanged", Some("a"));
    assert_eq!(notices.len(), 1, "{notices:#?}");
    watch.stop();
    assert_eq!(writes(&server), before);
}

#[test]
fn an_unchanged_save_replaces_an_edit_on_the_server() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("9"));
    project.write(A, &filter("1"));
    watch.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("1"));
    watch.stop();
}

/// Our own reads are file events too, but one save is evaluated once.
#[test]
fn no_feedback_from_our_own_reads() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    for version in 2..12 {
        project.write("plugins/sentinel.py", &filter(&version.to_string()));
        watch.wait("updated", Some("sentinel"));
        project.write(A, &filter("1"));
        watch.wait("unchanged", Some("a"));
    }
    watch.stop();
    let evaluations =
        |id| watch.said_of(id).iter().filter(|event| *event == "sending" || *event == "unchanged").count();
    // One more for the first pass.
    assert_eq!((evaluations("a"), evaluations("sentinel")), (11, 11));
}

/// A slow writer. The pauses are the test's subject, not a wait.
fn slowly(file: &mut File, text: &str, pieces: usize, pause: Duration) {
    let size = text.len().div_ceil(pieces);
    for piece in text.as_bytes().chunks(size) {
        file.write_all(piece).unwrap();
        file.flush().unwrap();
        std::thread::sleep(pause);
    }
}

const PAUSE: Duration = Duration::from_millis(30);

#[test]
fn no_half_file_is_sent_when_truncated_and_rewritten() {
    check_save(|project, text| {
        let mut file = OpenOptions::new().write(true).truncate(true).open(project.path(A)).unwrap();
        slowly(&mut file, text, 2, PAUSE);
    });
}

#[test]
fn no_half_file_is_sent_when_new_and_in_pieces() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    let mut file = File::create(project.path("plugins/b.py")).unwrap();
    slowly(&mut file, &filter("1"), 5, PAUSE);
    drop(file);
    watch.wait("created", Some("b"));
    watch.stop();
    assert_eq!(watch.said_of("b"), ["sending", "created"]);
    assert_only_whole(&server, "b");
}

#[test]
fn no_half_file_is_sent_when_truncated_closed_then_written() {
    check_save(|project, text| {
        drop(File::create(project.path(A)).unwrap());
        std::thread::sleep(PAUSE);
        fs::write(project.path(A), text).unwrap();
    });
}

#[test]
fn no_half_file_is_sent_from_a_new_folder() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    fs::create_dir_all(project.path("plugins/new/deep")).unwrap();
    let mut file = File::create(project.path("plugins/new/deep/b.py")).unwrap();
    slowly(&mut file, &filter("1"), 8, PAUSE);
    drop(file);
    watch.wait("created", Some("b"));
    watch.stop();
    assert_only_whole(&server, "b");
    assert_eq!(text(&server, "b"), filter("1"));
}

#[test]
fn no_half_file_is_sent_by_a_rescan() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    let (half, rest) =
        filter("2").split_once("END").map(|(half, rest)| (half.to_owned(), format!("END{rest}"))).unwrap();
    let mut file = File::create(project.path(A)).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    project.write("plugins/.gitignore", "nothing\n");
    std::thread::sleep(10 * PAUSE);
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    watch.wait("updated", Some("a"));
    watch.stop();
    assert_only_whole(&server, "a");
    assert_eq!(text(&server, "a"), filter("2"));
}

#[test]
fn a_file_that_stays_open_is_reported_and_waited_for() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    let mut file = File::create(project.path("plugins/b.py")).unwrap();
    // Forty writes in more than two seconds: never quiet for the debounce.
    slowly(&mut file, &filter("1"), 40, Duration::from_millis(60));
    watch.wait("being_written", None);
    drop(file);
    watch.wait("created", Some("b"));
    watch.stop();
    assert_only_whole(&server, "b");
}

/// The event about a folder comes after its files were written.
#[test]
fn files_in_new_folders_are_always_found() {
    const TIMES: usize = 50;
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    fs::create_dir(project.path("prepared")).unwrap();
    for n in 0..TIMES {
        project.write(&format!("plugins/made{n}/b/c/made{n}.py"), &filter("1"));
        project.write(&format!("prepared/moved{n}/b/moved{n}.py"), &filter("1"));
        fs::rename(project.path(&format!("prepared/moved{n}")), project.path(&format!("plugins/moved{n}"))).unwrap();
        let copied = project.path(&format!("plugins/copied{n}"));
        fs::create_dir(&copied).unwrap();
        fs::copy(project.path(A), copied.join(format!("copied{n}.py"))).unwrap();
    }
    let mut missing: Vec<_> =
        (0..TIMES).flat_map(|n| ["made", "moved", "copied"].map(|style| format!("{style}{n}"))).collect();
    while !missing.is_empty() {
        let created = watch.wait("created", None).pop().unwrap();
        missing.retain(|id| created["id"] != id.as_str());
    }
    // Later saves in such a folder are seen too.
    project.write("plugins/made7/b/c/made7.py", &filter("2"));
    watch.wait("updated", Some("made7"));
}

#[test]
fn renamed_moved_in_and_removed_files() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    fs::rename(project.path(A), project.path("plugins/b.py")).unwrap();
    watch.wait("created", Some("b"));
    let told = watch.wait("id_changed", Some("b")).pop().unwrap();
    let keeps =
        "to keep the old one with its settings, write `id = \"a\"` under `[plugins.\"plugins/b.py\"]` in watch.toml";
    assert_eq!(told["hint"], format!("{keeps}\n`owui-watch delete a` deletes the one that has no file here"));

    project.write("elsewhere/c.py", &filter("1"));
    fs::rename(project.path("elsewhere/c.py"), project.path("plugins/c.py")).unwrap();
    watch.wait("created", Some("c"));

    // When a folder is gone, all its plugins are.
    project.write("plugins/folder/d.py", &filter("1"));
    watch.wait("created", Some("d"));
    fs::rename(project.path("plugins/folder"), project.path("elsewhere/folder")).unwrap();
    watch.wait("removed", Some("d"));
    // Changes there are ignored.
    project.write("elsewhere/folder/d.py", &filter("2"));
    fs::remove_file(project.path("plugins/c.py")).unwrap();
    watch.wait("removed", Some("c"));
    assert_eq!(text(&server, "d"), filter("1"));
    for id in ["a", "b", "c", "d"] {
        assert!(server.row(Kind::Function, id).is_some(), "the server keeps {id}");
    }
}

#[test]
fn a_moved_folder_is_watched_in_its_new_place() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    project.write("plugins/old/b/b.py", &filter("1"));
    watch.wait("created", Some("b"));
    fs::rename(project.path("plugins/old"), project.path("plugins/new")).unwrap();
    watch.wait("unchanged", Some("b"));
    project.write("plugins/new/b/b.py", &filter("2"));
    watch.wait("updated", Some("b"));
}

#[test]
fn a_root_that_was_replaced_is_watched_again() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    fs::rename(project.path("plugins"), project.path("away")).unwrap();
    watch.wait("root_missing", None);
    project.write("away/a.py", &filter("ghost"));
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    project.write(A, &filter("3"));
    watch.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("3"));
}

#[test]
fn ignored_files_are_left_alone_until_the_rules_change() {
    let server = FakeServer::start();
    let (project, mut watch) = watched(&server);
    project.write("plugins/.gitignore", "drafts/\n");
    watch.wait("summary", None);
    project.write("plugins/drafts/draft.py", &filter("1"));
    project.write("plugins/tests/test_it.py", &filter("1"));
    project.write("plugins/.hidden/h.py", &filter("1"));
    project.write("plugins/.#a.py", &filter("1"));
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    assert_eq!(server.row(Kind::Function, "draft"), None);
    project.write("plugins/.gitignore", "");
    watch.wait("created", Some("draft"));
    watch.stop();
    assert!(watch.said_of("test_it").is_empty() && watch.said_of("h").is_empty());
}

#[test]
fn a_save_waits_until_git_is_done() {
    let server = FakeServer::start();
    let (project, watch) = watched(&server);
    drop(watch);
    fs::create_dir(project.path(".git")).unwrap();
    let mut watch = project.watch();
    project.write(".git/index.lock", "");
    project.write(A, &filter("half a checkout"));
    std::thread::sleep(Duration::from_millis(300));
    project.write(A, &filter("2"));
    fs::remove_file(project.path(".git/index.lock")).unwrap();
    watch.wait("updated", Some("a"));
    watch.stop();
    assert_eq!(watch.said_of("a"), ["unchanged", "sending", "updated"]);
}

/// `notify-debouncer-full` without kernel events: here with polling, as on network drives.
#[test]
fn polling_finds_saves_new_files_and_removals() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.write("watch.toml", "poll = \"100ms\"\ndebounce = \"50ms\"\n");
    project.write(A, &filter("1"));
    let mut watch = project.watch();
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    project.write("plugins/new/deep/b.py", &filter("1"));
    watch.wait("created", Some("b"));
    project.write("plugins/new/deep/b.py", &filter("2"));
    watch.wait("updated", Some("b"));
    fs::remove_file(project.path(A)).unwrap();
    watch.wait("removed", Some("a"));
    assert_only_whole(&server, "a");
}

#[test]
fn a_root_may_be_the_current_folder() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.write("watch.toml", "root = \".\"\n");
    project.write("a.py", &filter("1"));
    let mut watch = project.watch();
    project.write("a.py", &filter("2"));
    let notices = watch.wait("updated", Some("a"));
    assert_eq!(notices.last().unwrap()["path"], "a.py");
    project.write("new/b.py", &filter("1"));
    let notices = watch.wait("created", Some("b"));
    assert_eq!(Path::new(notices.last().unwrap()["path"].as_str().unwrap()), Path::new("new/b.py"));
}
