//! `delete`: plugins of the server that have no file here.

use super::*;

#[test]
fn delete_removes_a_stray_and_keeps_a_copy() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = Project::on(&server);
        server.seed(Kind::Function, "stray", &filter("1"));
        server.seed(Kind::Tool, "other", &tool("1"));
        let told = notices(&project, &["delete", "stray", "tool:other", "--yes"], 0);
        for (notice, text) in told.iter().zip([filter("1"), tool("1")]) {
            assert_eq!(notice["event"], "deleted");
            assert_eq!(project.read(notice["backup"].as_str().unwrap()), text);
        }
        assert_eq!(server.row(Kind::Function, "stray").map(|row| row.content), None);
        assert_eq!(server.row(Kind::Tool, "other").map(|row| row.content), None);
    }
}

#[test]
fn delete_leaves_what_has_a_file_here() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.seed(Kind::Function, "stray", &filter("1"));
    project.put("plugins/broken.py", "class Filter(:");
    server.seed(Kind::Function, "broken", &filter("1"));
    for id in ["a", A, "broken"] {
        let ran = project.run(&["delete", "stray", id, "--yes"]);
        check(&ran, 2);
        assert!(
            ran.stderr.contains("has a file here: the watch would create it again\nhint: delete "),
            "{}",
            ran.stderr
        );
    }
    let ran = project.run(&["delete", "gone", "--yes"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: there is no plugin `gone` here or on the server"), "{}", ran.stderr);
    for id in ["a", "broken", "stray"] {
        assert!(server.row(Kind::Function, id).is_some(), "{id}");
    }
}

#[test]
fn delete_asks_first() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    server.seed(Kind::Function, "stray", &filter("1"));
    let ran = project.run(&["delete", "stray"]);
    check(&ran, 2);
    assert_eq!(ran.stderr, format!("error: nothing was deleted: {CANNOT_ASK}\nhint: add --yes to do it\n"));
    assert!(server.row(Kind::Function, "stray").is_some());
}

/// An unmounted share, for example.
#[test]
fn delete_does_nothing_while_a_root_is_missing() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("watch.toml", "root = [\"plugins\", \"share\"]\n");
    project.put("plugins/other.py", filter("1"));
    server.seed(Kind::Function, "stray", &filter("1"));
    let ran = project.run(&["delete", "stray", "--yes"]);
    check(&ran, 2);
    assert!(
        ran.stderr.starts_with("error: there is no folder `share`, which may hold the plugin's file\n"),
        "{}",
        ran.stderr
    );
    let ran = project.run(&["delete", "stray", "--yes", "--root", "plugins"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: unexpected argument '--root' found\n"), "{}", ran.stderr);
    let ran = project.run(&["--root", "plugins", "delete", "stray", "--yes"]);
    check(&ran, 2);
    let refusal = "error: '--root' cannot be used with 'delete', which needs to see every root\n";
    assert!(ran.stderr.starts_with(refusal), "{}", ran.stderr);
    assert!(server.row(Kind::Function, "stray").is_some());
}

/// The row is asked for again once its copy is on disk.
#[test]
fn delete_leaves_a_text_that_has_just_changed() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    server.seed(Kind::Function, "stray", &filter("1"));
    let path = "/functions/id/stray";
    server.hold(path);
    let ran = std::thread::scope(|scope| {
        let ran = scope.spawn(|| project.run(&["delete", "function:stray", "--yes"]));
        server.wait_for(path, 1);
        server.edit_row(Kind::Function, "stray", |row| row.content = filter("2"));
        server.release();
        ran.join().unwrap()
    });
    // Whichever text it read first, the one that it deletes is kept.
    if server.row(Kind::Function, "stray").is_none() {
        check(&ran, 0);
        assert!(ran.stdout.contains("a copy is in"), "{}", ran.stdout);
    }
}

#[test]
fn a_watch_hears_that_a_plugin_was_deleted() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("plugins/b.py", filter("1"));
    let mut watch = project.watch_with(&[]);
    watch.wait("summary", None);
    std::fs::remove_file(project.path(A)).unwrap();
    watch.wait("removed", Some("a"));
    check(&project.run(&["delete", "a", "--yes"]), 0);
    let told = watch.wait("deleted", Some("a")).pop().unwrap();
    assert_eq!(project.read(told["backup"].as_str().unwrap()), filter("2"));
    project.write(A, &filter("2"));
    watch.wait("created", Some("a"));
    assert_eq!(text(&server, "a"), filter("2"));
}
