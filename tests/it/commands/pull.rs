//! `pull`: writes the server's text to the file.

use super::*;

#[test]
fn pull_writes_differing_files_and_keeps_copies() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        project.put("plugins/same.py", tool("1"));
        check(&project.run(&["--once"]), 0);
        project.put("plugins/new.py", tool("1"));
        server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
        let modified = || project.path("plugins/same.py").metadata().unwrap().modified().unwrap();
        let (same, n_writes) = (modified(), writes(&server).len());
        let told = notices(&project, &["pull"], 0);
        let pulled = of(&told, "pulled");
        assert_eq!((&pulled["from_version"], &pulled["version"]), (&json!("2"), &json!("theirs")));
        assert_eq!(project.read(A), filter("theirs"));
        assert_eq!(project.read(pulled["backup"].as_str().unwrap()), filter("2"));
        assert_eq!(of(&told, "not_on_server")["id"], "new");
        assert_eq!(modified(), same);
        assert_eq!(project.read("plugins/new.py"), tool("1"));
        assert_eq!(writes(&server).len(), n_writes, "nothing changes on the server");

        // A run finds it unchanged.
        let told = notices(&project, &["--once"], 0);
        assert_eq!(told.iter().filter(|notice| notice["event"] == "updated").count(), 0, "{told:#?}");
        let ran = project.run(&["pull"]);
        check(&ran, 0);
        assert_eq!(ran.stderr, "nothing to pull: no file differs from the server\n");
        // The copy is part of the history, but not the default of a rollback.
        let told = notices(&project, &["history", "a"], 0);
        of(&told.iter().filter(|entry| entry["what"] == "local_file").cloned().collect::<Vec<_>>(), "history");
    }
}

#[test]
fn pull_undoes_only_the_servers_rewriting() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let mine = format!("from utils import misc\nfrom open_webui.config import x\n{}", filter("1"));
    project.put(A, format!("\u{feff}{}", mine.replace('\n', "\r\n")));
    check(&project.run(&["--once"]), 0);
    server.edit_row(Kind::Function, "a", |row| {
        row.content = format!("{}from open_webui.main import app\n", row.content);
    });
    let ran = project.run(&["pull", "a"]);
    check(&ran, 0);
    assert!(
        ran.stdout.starts_with(&format!(
            "pulled plugins/a.py; a copy of the old text is in {}/",
            copies("backups", &server.url(), "function/a")
        )),
        "{}",
        ran.stdout
    );
    let expected = format!("\u{feff}{}", format!("{mine}from open_webui.main import app\n").replace('\n', "\r\n"));
    assert_eq!(project.read(A), expected);
    check(&project.run(&["diff"]), 0);
}

#[test]
fn a_plugin_without_a_file_gets_one() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let theirs = tool("1").replace("\"\"\"\n\n\n", "\"\"\"\nfrom open_webui.utils import misc\r\n\n");
    server.seed(Kind::Tool, "theirs", &theirs);
    let told = notices(&project, &["pull", "theirs"], 0);
    assert_eq!(of(&told, "pulled")["path"], "plugins/theirs.py");
    assert_eq!(project.read("plugins/theirs.py"), theirs.replace('\r', ""));
    assert_eq!(of(&notices(&project, &["--once"], 0), "summary")["unchanged"], 1);

    // An existing file is not touched.
    server.seed(Kind::Tool, "taken", &tool("1"));
    project.put("plugins/taken.py", "print('something else')\n");
    let ran = project.run(&["pull", "taken"]);
    check(&ran, 1);
    assert_eq!(ran.stderr, "error: `plugins/taken.py` already exists and is not this plugin\n");
    assert_eq!(project.read("plugins/taken.py"), "print('something else')\n");

    // No file is created that would be another plugin.
    server.seed(Kind::Tool, "old_name", &tool("1").replace("title", "id: new_name\ntitle"));
    let ran = project.run(&["pull", "old_name"]);
    check(&ran, 1);
    assert_eq!(
        ran.stderr,
        "error: `plugins/old_name.py` was not written: with the server's text it would have the id `new_name`\n\
         hint: write `id = \"old_name\"` under `[plugins.\"plugins/old_name.py\"]` in watch.toml\n"
    );
    assert!(!project.path("plugins/old_name.py").exists());
    check(&project.run(&["pull", "gone"]), 2);

    // A file that a run would not find is warned about.
    project.put("plugins/.gitignore", "hidden.py\n");
    server.seed(Kind::Tool, "hidden", &tool("1"));
    let ran = project.run(&["pull", "hidden"]);
    check(&ran, 0);
    assert!(ran.stderr.starts_with("warning: a watch would not deploy `plugins/hidden.py`\nhint: "), "{}", ran.stderr);
}

#[test]
fn pull_lists_plugins_without_files_and_writes_them_with_all() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for n in 1..=13 {
        server.seed(Kind::Tool, &format!("t{n:02}"), &tool(&n.to_string()));
    }
    let alone = "13 plugins of the server have no file here: tool t01, tool t02, tool t03, tool t04, tool t05 and 8 more \
                 (--verbose names them)\n";
    let ran = project.run(&["pull"]);
    check(&ran, 0);
    let hint = "hint: `owui-watch pull ID` writes one, `owui-watch pull --all` writes all of them\n";
    assert_eq!(ran.stderr, format!("{alone}{hint}nothing to pull: no file differs from the server\n"));

    // Nobody can answer.
    let ran = project.run(&["pull", "--all"]);
    check(&ran, 2);
    let refused = format!("error: nothing was written: {CANNOT_ASK}\nhint: add --yes to do it\n");
    assert_eq!(ran.stderr, format!("{alone}{refused}"));
    assert_eq!(names(&project.path("plugins")), Vec::<String>::new());

    // One unknown name stops the whole command.
    check(&project.run(&["pull", "t01", "t02", "nope"]), 2);
    assert_eq!(names(&project.path("plugins")), Vec::<String>::new());
    let told = notices(&project, &["pull", "t01", "t02", "t01"], 0);
    assert_eq!(told.iter().map(|notice| &notice["path"]).collect::<Vec<_>>(), ["plugins/t01.py", "plugins/t02.py"]);

    // A file that cannot be compared is still the file of a plugin.
    project.put("plugins/mine.py", "");
    project.put("plugins/t12.py", "class Tools(:\n");
    project.put("watch.toml", "[plugins.\"plugins/mine.py\"]\nid = \"t13\"\n");
    let told = notices(&project, &["pull", "--all", "--yes"], 0);
    let new = |notice: &&Value| notice["event"] == "pulled" && notice.get("backup").is_none();
    assert_eq!(told.iter().filter(new).count(), 9, "{told:#?}");
    assert_eq!(names(&project.path("plugins")).len(), 13);
    project.put("plugins/mine.py", tool("13"));
    let ran = project.run(&["pull", "--all"]);
    check(&ran, 0);
    assert_eq!(ran.stderr, "nothing to pull: no file differs from the server\n");
    assert_eq!(of(&notices(&project, &["--once"], 0), "summary")["unchanged"], 13);
}

#[test]
fn history_does_not_call_a_pulled_text_deployed() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        // Found by a pull.
        server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
        check(&project.run(&["pull", "a"]), 0);
        // Found by the first comparison.
        server.seed(Kind::Function, "b", &filter("1"));
        project.put("plugins/b.py", filter("1"));
        check(&project.run(&["--once"]), 0);
        for (id, version) in [("a", "theirs"), ("b", "1")] {
            let told = notices(&project, &["history", id], 0);
            let current: Vec<_> = told.iter().filter(|entry| entry["current"] == true).collect();
            assert_eq!(current.len(), 1, "{told:#?}");
            assert_eq!((&current[0]["what"], &current[0]["version"]), (&json!("on_the_server"), &json!(version)));
            assert_eq!(told.iter().filter(|entry| entry["version"] == version).count(), 1, "{told:#?}");
            assert!(current[0]["copy"].is_string(), "it can be put back");
            assert_eq!(current[0]["server_version_id"].is_string(), server.version() == Version::V0_12_4, "{told:#?}");
        }
    }
}

#[test]
fn a_named_pull_without_a_difference_says_so() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let ran = project.run(&["pull", "a"]);
    check(&ran, 0);
    assert_eq!(ran.stdout, "`plugins/a.py` equals the text on the server\n");
    assert!(!project.path(".owui-watch/backups").exists());
    project.put("plugins/new.py", filter("1"));
    let ran = project.run(&["pull", "new"]);
    check(&ran, 1);
    assert_eq!(ran.stderr, "error: `plugins/new.py` is not on the server\n");
}

#[test]
fn a_pull_ends_a_rollback() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    check(&project.run(&["pull", "a"]), 0);
    assert_eq!(project.read(A), filter("1"));
    let note = rollback_of(&project, &server, &key(Kind::Function, "a")).unwrap();
    assert_eq!(note.local, None, "nothing is held back any more");
}

#[test]
fn a_pulled_text_counts_as_ours() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("watch.toml", "on_remote_edit = \"hold\"\n");
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    check(&project.run(&["--once"]), 1);
    check(&project.run(&["pull", "a"]), 0);
    project.put(A, filter("3"));
    check(&project.run(&["--once"]), 0);
    assert_eq!(text(&server, "a"), filter("3"));
}

#[test]
fn pull_overwrites_nothing_without_a_copy() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    project.put(".owui-watch/backups", "a file in the way");
    let ran = project.run(&["pull", "a"]);
    check(&ran, 1);
    let folder = copies("backups", &server.url(), "function/a");
    assert!(ran.stderr.starts_with(&format!("error: writing `{folder}/")), "{}", ran.stderr);
    assert_eq!(project.read(A), filter("2"));
}

#[cfg(unix)]
#[test]
fn pull_follows_links_and_keeps_permissions() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let server = FakeServer::start();
    let project = Project::on(&server);
    // The target is not found itself, so the link is the plugin.
    project.put("plugins/.versions/a-2.py", filter("2"));
    symlink(".versions/a-2.py", project.path(A)).unwrap();
    let target = project.path("plugins/.versions/a-2.py");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    server.seed(Kind::Function, "a", &filter("theirs"));
    check(&project.run(&["pull", "a"]), 0);
    assert!(project.path(A).is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), filter("theirs"));
    assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o640);

    // A link that leads out of the roots is not followed.
    project.put("elsewhere.py", filter("mine"));
    symlink("../elsewhere.py", project.path("plugins/out.py")).unwrap();
    server.seed(Kind::Function, "out", &filter("theirs"));
    let ran = project.run(&["pull", "plugins/out.py"]);
    check(&ran, 1);
    assert_eq!(project.read("elsewhere.py"), filter("mine"));
}

#[test]
fn pull_skips_files_with_the_same_id() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let other = "plugins/other/a.py";
    project.put(other, filter("other"));
    project.put("plugins/t.py", tool("1"));
    server.seed(Kind::Tool, "t", &tool("2"));
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    let ran = project.run(&["pull"]);
    check(&ran, 1);
    assert_eq!((project.read(A), project.read(other)), (filter("2"), filter("other")));
    assert_eq!(project.read("plugins/t.py"), tool("2"), "the rest is pulled");
    assert_eq!(
        ran.stderr,
        "error: `plugins/a.py` was not written: `plugins/other/a.py` claims the id `a` as well\n\
         hint: name the one that you mean, as in `owui-watch pull plugins/a.py`, or exclude the other\n\
         error: `plugins/other/a.py` was not written: `plugins/a.py` claims the id `a` as well\n\
         hint: name the one that you mean, as in `owui-watch pull plugins/other/a.py`, or exclude the other\n"
    );
    let told = notices(&project, &["pull", "plugins/other"], 1);
    assert_eq!(of(&told, "not_pulled")["path"], other);
    assert_eq!(project.read(other), filter("other"), "a folder names no file");

    check(&project.run(&["pull", other]), 0);
    assert_eq!((project.read(A), project.read(other)), (filter("2"), filter("theirs")));
}

#[test]
fn rollback_works_without_the_plugin_folder() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    fs::remove_dir_all(project.path("plugins")).unwrap();
    assert_eq!(notices(&project, &["history", "a"], 0).len(), 2);
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    assert_eq!(text(&server, "a"), filter("1"));

    let ran = project.run(&["pull", "a"]);
    check(&ran, 1);
    assert_eq!(
        ran.stderr,
        "error: there is no folder `plugins` to write `a.py` into\n\
         hint: create it, or set `root` in watch.toml (or --root) to the folder with the plugins\n"
    );
    for command in ["pull", "diff"] {
        let ran = project.run(&[command]);
        check(&ran, 1);
        assert!(ran.stderr.starts_with("error: there is no folder `plugins`\nhint: "), "{}", ran.stderr);
    }
    assert!(!project.path("plugins").exists(), "whether it is a folder that is missing or a word that is wrong");
    fs::create_dir(project.path("plugins")).unwrap();
    check(&project.run(&["pull", "a"]), 0);
    assert_eq!(project.read(A), filter("1"));
}

#[test]
fn a_pull_beside_a_watch_is_one_save() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let mut watch = project.watch();
    for version in ["theirs", "theirs again"] {
        server.edit_row(Kind::Function, "a", |row| row.content = filter(version));
        check(&project.run(&["pull", "a"]), 0);
        watch.wait("unchanged", Some("a"));
    }
    // What comes after a later save of another file would have come by then.
    project.write("plugins/b.py", &filter("1"));
    watch.wait("created", Some("b"));
    project.write("plugins/b.py", &filter("2"));
    watch.wait("updated", Some("b"));
    watch.stop();
    assert_eq!(watch.said_of("a"), ["unchanged", "sending", "unchanged", "sending", "unchanged"]);
}
