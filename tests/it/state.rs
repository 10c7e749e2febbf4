//! The state folder under attack and accidents: planted files, git, a second writer.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use owui_watch::disk::{Folder, State};
use owui_watch::engine::ledger::{Deployed, Ledger, UpdateIntent};
use owui_watch::plugin::id::PluginId;
use owui_watch::plugin::{Digest, Key, Kind};

use crate::git::git;
use crate::support::command::{Project, check, filter, notices, of, text};
use crate::support::fake_server::{FakeServer, Version};
use crate::support::sentences::STATE_ERROR;

const A: &str = "plugins/a.py";

fn key() -> Key {
    Key { kind: Kind::Function, id: PluginId::new("a").unwrap() }
}

/// Copies a state folder as an archive would bring it.
fn plant(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn planted_links_are_not_followed() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let outside = tempfile::tempdir().unwrap();
    let bashrc = outside.path().join("bashrc");
    fs::write(&bashrc, "as it was").unwrap();
    let folder = outside.path().join("folder");
    fs::create_dir(&folder).unwrap();
    project.put(A, filter("1; code"));
    project.write(".owui-watch/logs/x", "");
    symlink(&bashrc, project.path(".owui-watch/logs/function-a.log")).unwrap();
    for name in ["backups", "deployed", "rollbacks", "under-way"] {
        symlink(&folder, project.path(".owui-watch").join(name)).unwrap();
    }
    let told = notices(&project, &["--once"], 0);
    let trouble = of(&told, "trouble");
    assert_eq!(
        trouble["message"],
        "the state in `.owui-watch` was not written in this folder, or was written by an earlier version; it is kept in \
         `.owui-watch/unusable/1`"
    );
    assert_eq!(trouble["hint"], "history and rollbacks start anew; a text that was rolled back here is deployed again");
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    check(&project.run(&["--once", "--force"]), 0);
    assert_eq!(fs::read_to_string(&bashrc).unwrap(), "as it was");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert!(project.read(".owui-watch/logs/function-a.log").contains("updated"));

    // Planted later, below a folder that is ours.
    fs::remove_file(project.path(".owui-watch/logs/function-a.log")).unwrap();
    symlink(&bashrc, project.path(".owui-watch/logs/function-a.log")).unwrap();
    project.put(A, filter("2"));
    let told = notices(&project, &["--once"], 0);
    assert!(of(&told, "trouble")["message"].as_str().unwrap().ends_with("function-a.log`: not a regular file"));
    assert_eq!((text(&server, "a"), fs::read_to_string(&bashrc).unwrap()), (filter("2"), "as it was".to_owned()));
}

#[test]
fn a_linked_state_folder_is_refused_before_anything_is_sent() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    fs::create_dir(project.path("elsewhere")).unwrap();
    symlink("elsewhere", project.path(".owui-watch")).unwrap();
    let ran = project.run(&["--once"]);
    check(&ran, 2);
    assert_eq!(
        ran.stderr,
        format!(
            "error: {STATE_ERROR} `.owui-watch`: `.owui-watch` is a link\n\
             hint: remove the link, or set `OWUI_WATCH_STATE` in the environment to the folder that it leads to\n"
        )
    );
    assert!(server.lines().is_empty() && fs::read_dir(project.path("elsewhere")).unwrap().count() == 0);
}

#[test]
fn a_folder_with_other_files_is_left_as_it_is() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    project.write("var/logs/app.log", "theirs");
    project.write(".git/logs/HEAD", "theirs");
    fs::set_permissions(project.path("var"), fs::Permissions::from_mode(0o777)).unwrap();
    for (state, why) in [
        ("var", "it holds files that owui-watch did not write"),
        (".git", "git keeps its own files there"),
        (".git/state", "git keeps its own files there"),
    ] {
        project.write("watch.toml", &format!("state = \"{state}\"\n"));
        let ran = project.run(&["--once"]);
        check(&ran, 2);
        let hint = "set `state` to a new or empty folder";
        assert_eq!(ran.stderr, format!("error: {STATE_ERROR} `{state}`: {why}\nhint: {hint}\n"));
        let stderr = project.run(&["history", "a"]).stderr;
        let has_state = state != ".git/state";
        assert_eq!(stderr.contains(&format!("the state in `{state}` is not used: {why}")), has_state, "{stderr}");
    }
    let names = |folder: &str| -> Vec<_> {
        fs::read_dir(project.path(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!((names("var"), names(".git")), (vec!["logs".into()], vec!["logs".into()]));
    assert_eq!(project.path("var").metadata().unwrap().permissions().mode() & 0o777, 0o777);
}

#[test]
fn a_command_warns_of_unused_state() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    check(&project.run(&["--once"]), 0);
    for command in [&["history", "a"][..], &["pull", "a"], &["rollback", "a", "--yes"]] {
        assert!(!project.run(command).stderr.contains("is not used"));
    }
    fs::remove_file(project.path(".owui-watch/identity")).unwrap();
    for command in [&["history", "a"][..], &["pull", "a"], &["rollback", "a", "--yes"]] {
        let told = "warning: the state in `.owui-watch` is not used: it was not written in this folder";
        let stderr = project.run(command).stderr;
        assert!(stderr.starts_with(told), "{command:?}: {stderr}");
    }
}

#[test]
fn a_folder_in_place_of_a_state_file_is_named() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    fs::create_dir_all(project.path(".owui-watch/.gitignore")).unwrap();
    let ran = project.run(&["--once"]);
    check(&ran, 2);
    assert_eq!(
        ran.stderr,
        format!(
            "error: {STATE_ERROR} `.owui-watch`: `.owui-watch/.gitignore` is not a regular file\n\
             hint: remove `.owui-watch/.gitignore`\n"
        )
    );
}

/// An admin has switched it off since.
#[test]
fn planted_state_switches_nothing_on_and_deletes_nothing() {
    let server = FakeServer::of(Version::V0_11_4);
    let (theirs, ours) = (tempfile::tempdir().unwrap(), Project::on(&server));
    ours.put(A, filter("1"));
    ours.put("plugins/b.py", filter("1"));
    check(&ours.run(&["--once"]), 0);
    fs::remove_dir_all(ours.path(".owui-watch")).unwrap();
    fs::remove_file(ours.path(A)).unwrap();
    server.edit_row(Kind::Function, "a", |row| row.is_active = false);
    ours.put("watch.toml", "on_delete = \"delete\"\ngone_after = \"1s\"\n");
    let digest = Digest::of_text(&text(&server, "a"));

    let state = State::open(theirs.path().join("state"), &server.url()).unwrap();
    let mut ledger = Ledger::default();
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    ledger.deployed(&key(), Deployed { digest, version: None, at, by_us: true });
    state.save(&ledger.to_json()).unwrap();
    let intent = UpdateIntent { ours: Vec::new(), replaced: Some(digest), was_active: true };
    state.save_intent(&key(), &intent).unwrap();
    drop(state);
    plant(&theirs.path().join("state"), &ours.path(".owui-watch"));

    let told = notices(&ours, &["--once"], 0);
    assert!(of(&told, "trouble")["message"].as_str().unwrap().contains("was not written in this folder"), "{told:#?}");
    assert!(!server.row(Kind::Function, "a").unwrap().is_active);
    let folder = Folder::new(ours.path(".owui-watch"), &server.url());
    assert!(folder.intents().is_empty() && folder.peek().get(&key()).is_none());

    // Only the intent, as a pull of a commit brings it.
    let note = "under-way/".to_owned() + &server.url().replace("http://127.0.0.1:", "localhost-") + "/function-a.json";
    fs::create_dir_all(ours.path(".owui-watch").join(&note).parent().unwrap()).unwrap();
    fs::copy(theirs.path().join("state").join(&note), ours.path(".owui-watch").join(&note)).unwrap();
    check(&ours.run(&["--once"]), 0);
    assert!(!server.row(Kind::Function, "a").unwrap().is_active);
}

#[test]
fn a_state_folder_in_git_is_refused() {
    let server = FakeServer::start();
    let project = Project::on(&server).with("PATH", &std::env::var("PATH").unwrap());
    project.put(A, filter("1"));
    check(&project.run(&["--once"]), 0);
    git(&project.path("."), "init --quiet");
    check(&project.run(&["--once"]), 0);
    git(&project.path("."), "add --force .owui-watch/identity");
    let n_requests = server.lines().len();
    for command in [&["--once"][..], &["history", "a"], &["rollback", "a", "--yes"]] {
        let ran = project.run(command);
        check(&ran, 2);
        assert_eq!(
            ran.stderr,
            format!(
                "error: {STATE_ERROR} `.owui-watch`: git tracks it\n\
                 hint: to untrack it, run `git rm -r --cached .owui-watch`\n"
            )
        );
    }
    assert_eq!(server.lines().len(), n_requests);
    git(&project.path("."), "rm -r --cached --quiet .owui-watch");
    check(&project.run(&["--once"]), 0);
}

#[test]
fn two_names_of_a_server_share_a_lock() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    let mut watch = project.watch();
    let other = server.url().replace("127.0.0.1", "localhost");
    let ran = project.run(&["--once", "--url", &other]);
    check(&ran, 2);
    assert!(ran.stderr.contains("deploys from here to this server already"), "{}", ran.stderr);
    assert!(watch.stop().success());
    assert_eq!(of(&notices(&project, &["--once", "--url", &other], 0), "unchanged")["id"], "a");
}

#[test]
fn a_watch_whose_lock_was_deleted_takes_it_again() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    let mut watch = project.watch();
    // Atomically, so that nothing is written there meanwhile.
    fs::rename(project.path(".owui-watch"), project.path("gone")).unwrap();
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    let ran = project.run(&["--once"]);
    check(&ran, 2);
    assert!(ran.stderr.contains(&format!("(pid {})", watch.pid())), "{}", ran.stderr);
    assert!(watch.stop().success());
    assert_eq!(of(&notices(&project, &["--once"], 0), "unchanged")["id"], "a");
}

#[test]
fn a_watch_ends_if_another_took_its_lock() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    let mut watch = project.watch();
    let lock = fs::read_dir(project.path(".owui-watch")).unwrap().map(|entry| entry.unwrap().path());
    let lock = lock.into_iter().find(|path| path.extension().is_some_and(|end| end == "lock")).unwrap();
    // In one step: between a deletion and a second lock the watch could take its own again.
    let others = project.path("others.lock");
    let other = fs::File::create(&others).unwrap();
    other.lock().unwrap();
    fs::rename(others, lock).unwrap();
    project.write(A, &filter("2"));
    let trouble = watch.wait("trouble", None).pop().unwrap();
    assert!(trouble["message"].as_str().unwrap().starts_with("this owui-watch ends, since its lock was deleted: "));
    assert_eq!(watch.ended().code(), Some(1));
    assert_eq!(text(&server, "a"), filter("1"));
}

/// The key is in its memory.
#[cfg(target_os = "linux")]
#[test]
fn a_crash_dumps_no_core() {
    use std::os::unix::process::ExitStatusExt as _;

    let dumps = |program: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -c unlimited; exec {program}")]).current_dir(folder.path());
        let status = shell.status().unwrap();
        status.core_dumped()
    };
    if !dumps("sh -c 'kill -ABRT $$'") {
        crate::support::command::said_outright("skipped: this system dumps no core");
        return;
    }
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    let mut watch = project.watch_by(&["sh", "-c", "ulimit -c unlimited; exec \"$@\"", "sh"]);
    watch.wait("ready", None);
    watch.signal("ABRT");
    let status = watch.ended();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}
