//! `deploy`: by way of the running watch, or in a pass of its own.

use super::*;

fn updates(server: &FakeServer) -> usize {
    server.lines().iter().filter(|line| line.ends_with("/update")).count()
}

/// A watch that leaves somebody else's text alone.
fn holding() -> (FakeServer, Project, Watch) {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("watch.toml", "on_remote_edit = 'hold'\n");
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    let mut watch = project.watch_with(&[]);
    watch.wait("remote_edit", Some("a"));
    watch.wait("summary", None);
    (server, project, watch)
}

#[test]
fn without_a_watch_it_is_a_pass() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let before = updates(&server);
    let told = notices(&project, &["deploy", "a"], 0);
    of(&told, "updated");
    of(&told, "summary");
    assert_eq!(updates(&server), before + 1, "also what is unchanged");
    project.put(A, REFUSED);
    check(&project.run(&["--once"]), 1);
    let told = notices(&project, &["deploy", A], 1);
    of(&told, "refused");
    check(&project.run(&["deploy", "nothing_like_it"]), 2);
    check(&project.run(&["deploy"]), 2);
}

#[test]
fn a_running_watch_deploys_what_it_holds() {
    let (server, project, mut watch) = holding();
    let ran = project.run(&["deploy", "a"]);
    check(&ran, 0);
    assert_eq!(text(&server, "a"), filter("2"));
    let [updated, unused] = ran.stdout.lines().collect::<Vec<_>>()[..] else { panic!("{}", ran.stdout) };
    assert!(updated.contains(" ✓ filter  a ") && updated.contains("  updated  "), "{updated}");
    assert!(unused.contains(" ! filter  a ") && unused.ends_with("  on, but used by no model"), "{unused}");
    assert!(ran.stderr.contains("a copy is in .owui-watch/backups/"), "{}", ran.stderr);
    watch.wait("updated", Some("a"));
    // Another time, and as programs read it.
    let told = notices(&project, &["deploy", A, "a"], 0);
    assert_eq!(of(&told, "updated")["id"], "a");
    // Nothing is left, and the next save is no different from others.
    let left = |folder: &str| names(&project.path(folder)).len();
    let server_folder = names(&project.path(".owui-watch/requests")).pop().unwrap();
    assert_eq!(names(&project.path(&format!(".owui-watch/requests/{server_folder}"))), ["bell"]);
    assert_eq!(left(&format!(".owui-watch/answers/{server_folder}")), 0);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs again"));
    project.write(A, &filter("3"));
    watch.wait("remote_edit", Some("a"));
}

/// The watch spells files from its own folder.
#[test]
fn a_running_watch_deploys_what_a_command_names_from_a_folder_below() {
    let (server, project, _watch) = holding();
    let mut command = project.command(&["deploy", "a"]);
    // The home folder is no project.
    command.current_dir(project.path("plugins")).env("HOME", project.path("home"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&server, "a"), filter("2"));
    // Another way to name the same root.
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    let state = project.path(".owui-watch");
    let mut command = project.command(&["deploy", "--root", ".", "a"]);
    command.current_dir(project.path("plugins")).env("OWUI_WATCH_STATE", state);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&server, "a"), filter("2"));
}

#[test]
fn a_deploy_of_several_ends_with_their_number() {
    let (server, project, mut watch) = holding();
    project.put("plugins/b.py", REFUSED);
    watch.wait("refused", Some("b"));
    project.put("plugins/c.py", filter("1"));
    watch.wait("created", Some("c"));
    let ran = project.run(&["deploy", "plugins"]);
    check(&ran, 1);
    let last = ran.stdout.lines().last().unwrap_or_default();
    assert!(last.contains(" 3 plugins in ") && last.ends_with(": 2 updated, 1 refused"), "{last}");
    assert_eq!(text(&server, "a"), filter("2"));
}

/// The settings may name the server of another project's sandbox, whose watch does not deploy what is here.
#[test]
fn the_sandbox_of_another_project_is_a_server_like_any_other() {
    let (server, theirs, _watch) = holding();
    let project = Project::on(&server);
    project.put("plugins/b.py", filter("1"));
    let running = json!({"project": theirs.path(""), "url": server.url(), "state": theirs.path(".owui-watch")});
    project.put(".cache/owui-watch/running/a.json", running.to_string());
    check(&project.run(&["deploy", "b"]), 0);
    assert_eq!(text(&server, "b"), filter("1"));
    assert!(project.path(".owui-watch").is_dir());
}

#[test]
fn what_was_refused_or_rolled_back_is_sent_again() {
    let server = FakeServer::of(Version::V0_9_6);
    let project = deployed_twice(&server);
    let mut watch = project.watch();
    project.write(A, REFUSED);
    watch.wait("refused", Some("a"));
    let before = updates(&server);
    let ran = project.run(&["deploy", "a"]);
    check(&ran, 1);
    assert!(ran.stdout.contains("✗ filter  a "), "{}", ran.stdout);
    assert!(ran.stderr.starts_with("plugins/a.py:1:1: error: No module named 'no_such_thing'\n"), "{}", ran.stderr);
    assert!(updates(&server) > before);
    project.write(A, &filter("3"));
    watch.wait("updated", Some("a"));
    check(&project.run(&["rollback", "a", "2", "--yes"]), 0);
    assert_eq!(text(&server, "a"), filter("2"));
    check(&project.run(&["deploy", "a"]), 0);
    assert_eq!(text(&server, "a"), filter("3"));
    assert_eq!(rollback_of(&project, &server, &key(Kind::Function, "a")), None);
    check(&project.run(&["deploy", "a", "--quiet"]), 0);
}

#[test]
fn a_file_with_an_error_is_told_again() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let mut watch = project.watch();
    project.write(A, "class Filter(:\n    pass\n");
    watch.wait("flawed", Some("a"));
    let ran = project.run(&["deploy", "a"]);
    check(&ran, 1);
    assert!(ran.stderr.starts_with("plugins/a.py:1:14: error: "), "{}", ran.stderr);
    assert_eq!(text(&server, "a"), filter("2"));
    project.write(A, &filter("3"));
    watch.wait("updated", Some("a"));
}

#[test]
fn while_the_server_is_away_the_deploy_waits() {
    let (mut server, project, mut watch) = holding();
    server.go_down();
    project.write(A, &filter("3"));
    watch.wait("waiting", Some("a"));
    let ran = project.run(&["deploy", "a"]);
    check(&ran, 3);
    assert!(ran.stdout.contains("waiting: the server is away"), "{}", ran.stdout);
    server.come_up();
    watch.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("3"), "it is not held any more: the user asked for it");
}

#[test]
fn a_watch_of_other_plugins_says_so() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("plugins/b.py", filter("1"));
    let mut watch = project.watch_with(&["b"]);
    watch.wait("summary", None);
    let ran = project.run(&["deploy", "a"]);
    check(&ran, 1);
    assert!(ran.stdout.contains("the running watch does not deploy it"), "{}", ran.stdout);
    check(&project.run(&["deploy", "b"]), 0);
    let ran = project.run(&["deploy", "c"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: there is no plugin `c` here"), "{}", ran.stderr);
}

/// A commit that somebody pulls may bring it.
#[test]
fn a_planted_request_does_nothing() {
    let (server, project, mut watch) = holding();
    let folder = format!(".owui-watch/requests/{}", names(&project.path(".owui-watch/requests"))[0]);
    let request = json!({"state": "0", "plugins": [{"kind": "function", "id": "a", "path": A}]});
    project.write(&format!("{folder}/{}.json", "0".repeat(32)), &request.to_string());
    project.write(&format!("{folder}/bell"), "");
    project.write("plugins/b.py", &filter("1"));
    watch.wait("created", Some("b"));
    assert_eq!(text(&server, "a"), filter("theirs"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/dev/zero", project.path(&format!("{folder}/{}.json", "1".repeat(32)))).unwrap();
        check(&project.run(&["deploy", "b"]), 0);
    }
    assert_eq!(names(&project.path(&folder)), ["bell"]);
}

#[test]
fn a_renamed_file_is_not_created_unasked() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    std::fs::rename(project.path(A), project.path("plugins/new.py")).unwrap();
    let refusal = expect![[r#"
        warning: not created: the server has a plugin with the same text under the id `a`
        hint: if it is the same plugin, write `id = "a"` under `[plugins."plugins/new.py"]` in watch.toml
        hint: if it is another one, `owui-watch deploy --yes new` creates it (with --once: add --yes)
        error: nothing was deployed: CANNOT_ASK
        hint: add --yes to do it
    "#]];
    let ran = project.run(&["deploy", "new"]);
    check(&ran, 2);
    refusal.assert_eq(&ran.stderr.replace(CANNOT_ASK, "CANNOT_ASK"));
    let told = notices(&project, &["status"], 1);
    let new = told.iter().find(|notice| notice["id"] == "new").unwrap();
    assert_eq!((new["state"].as_str(), new["other_id"].as_str()), (Some("not_on_server"), Some("a")));

    let ran = project.run(&["deploy", "new", "--yes"]);
    check(&ran, 0);
    assert_eq!(text(&server, "new"), filter("2"));
}

/// A plugin was deployed, and then its file was renamed. Title and author in its header tell that it is the same one.
fn renamed() -> (FakeServer, Project) {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let text = format!("\"\"\"\ntitle: Shout\nauthor: Ann\n\"\"\"\n{}", filter("1"));
    project.put(A, &text);
    check(&project.run(&["--once"]), 0);
    std::fs::rename(project.path(A), project.path("plugins/new.py")).unwrap();
    (server, project)
}

#[test]
fn a_running_watch_creates_no_renamed_file_unasked() {
    let (server, project) = renamed();
    let mut watch = project.watch();
    assert!(watch.has_said("twin", 1));
    let ran = project.run(&["deploy", "new"]);
    check(&ran, 2);
    assert!(ran.stderr.contains("the same title and author under the id `a`"), "{}", ran.stderr);
    assert!(server.row(Kind::Function, "new").is_none());
    check(&project.run(&["deploy", "--yes", "new"]), 0);
    watch.wait("created", Some("new"));
}

#[test]
fn where_nothing_was_compared_no_renamed_plugin_is_created() {
    let (server, project) = renamed();
    let fail = || server.fail_next_of("api/version", 1, Fault::Status(503));
    // Without a watch, the pass finds what could not be seen before.
    fail();
    let ran = project.run(&["deploy", "new"]);
    check(&ran, 1);
    assert!(ran.stderr.contains("owui-watch deploy --yes new"), "{}", ran.stderr);
    let mut watch = project.watch();
    assert!(watch.has_said("twin", 1));
    fail();
    let ran = project.run(&["deploy", "new"]);
    assert!(ran.code == Some(3) && ran.stderr.contains("503"), "{}", ran.stderr);
    assert!(server.row(Kind::Function, "new").is_none());
}
