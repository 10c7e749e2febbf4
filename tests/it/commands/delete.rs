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
    assert_eq!(
        ran.stderr,
        "error: nothing was deleted: cannot ask, standard input is not a terminal\nhint: add --yes to do it\n"
    );
    assert!(server.row(Kind::Function, "stray").is_some());
}
