//! The built binary with `--once`, `--dry-run`, `--force` and arguments, against the fake server.

use std::fs;
use std::path::Path;

use expect_test::expect;
use owui_watch::disk::State;
use owui_watch::plugin::Kind;
use serde_json::{Value, json};

use crate::support::command::{Project, REFUSED, Ran, check, copies, filter, names, notices, of, text, tool, writes};
use crate::support::fake_server::{FakeServer, Fault, KEY};

const A: &str = "plugins/a.py";

const BROKEN: &str = "class Filter:\n    def inlet(self, body:\n        return body\n";

/// A project with `a` on the server in its first version.
fn deployed(server: &FakeServer) -> Project {
    let project = Project::on(server);
    project.put(A, filter("1"));
    check(&project.run(&["--once"]), 0);
    project
}

// ---- what is deployed -----------------------------------------------------------------------------------------------

#[test]
fn a_new_plugin_is_created_switched_off() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    let notices = notices(&project, &["--once"], 0);
    let created = of(&notices, "created");
    assert_eq!((&created["id"], &created["active"], &created["path"]), (&json!("a"), &json!(false), &json!(A)));
    assert_eq!(of(&notices, "summary")["created"], 1);
    let row = server.row(Kind::Function, "a").unwrap();
    assert_eq!((row.content, row.name.as_str(), row.is_active), (filter("1"), "A filter", false));
    assert_eq!(server.lines(), ["GET /api/version", "GET /api/v1/functions/export", "POST /api/v1/functions/create",]);
}

#[test]
fn a_new_plugin_is_switched_on_where_that_is_wanted() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.write("watch.toml", "activate_new = true\n");
    project.put(A, filter("1"));
    project.put("plugins/t.py", tool("1"));
    let notices = notices(&project, &["--once"], 0);
    for (id, active) in [("a", json!(true)), ("t", Value::Null)] {
        let created = notices.iter().find(|notice| notice["event"] == "created" && notice["id"] == id).unwrap();
        assert_eq!(created["active"], active, "a tool has no switch");
    }
    assert!(server.row(Kind::Function, "a").unwrap().is_active);

    // That is for new ones: what an admin switches off stays off.
    server.edit_row(Kind::Function, "a", |row| row.is_active = false);
    project.put(A, filter("2"));
    check(&project.run(&["--once"]), 0);
    let row = server.row(Kind::Function, "a").unwrap();
    assert_eq!((row.content, row.is_active), (filter("2"), false));
}

#[test]
fn what_is_unchanged_costs_three_requests_however_much_it_is() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for n in 0..15 {
        project.put(&format!("plugins/f{n}.py"), filter("1"));
        project.put(&format!("plugins/t{n}.py"), tool("1"));
    }
    check(&project.run(&["--once"]), 0);
    let before = server.lines().len();
    let notices = notices(&project, &["--once"], 0);
    assert_eq!(of(&notices, "summary")["unchanged"], 30);
    let mut lines = server.lines().split_off(before);
    lines.sort();
    assert_eq!(lines, ["GET /api/v1/functions/export", "GET /api/v1/tools/export", "GET /api/version"]);

    for n in 0..15 {
        fs::remove_file(project.path(&format!("plugins/t{n}.py"))).unwrap();
    }
    let before = server.lines().len();
    check(&project.run(&["--once"]), 0);
    assert_eq!(server.lines().split_off(before), ["GET /api/version", "GET /api/v1/functions/export"]);
}

/// Files that were written a moment ago are waited for, and are part of the pass like the others.
#[test]
fn what_was_written_a_moment_ago_counts() {
    let server = FakeServer::start();
    let project = deployed(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    project.write(A, &filter("1"));
    project.write("plugins/broken.py", BROKEN);
    project.write("plugins/one.py", &format!("\"\"\"\nid: same\n\"\"\"\n{}", filter("1")));
    project.write("plugins/two.py", &format!("\"\"\"\nid: same\n\"\"\"\n{}", filter("1")));
    let notices = notices(&project, &["--once"], 1);
    of(&notices, "flawed");
    of(&notices, "conflict");
    assert_eq!(of(&notices, "updated")["id"], "a", "what the server holds is known, and is not what the file holds");
    let summary = of(&notices, "summary");
    assert_eq!((&summary["updated"], &summary["skipped"]), (&json!(1), &json!(3)));
    assert_eq!(text(&server, "a"), filter("1"));
}

#[test]
fn force_sends_what_was_written_a_moment_ago_too() {
    let server = FakeServer::start();
    let project = deployed(&server);
    project.write(A, &filter("1"));
    let notices = notices(&project, &["--once", "--force"], 0);
    assert_eq!(of(&notices, "sending")["why"], "forced");
    of(&notices, "updated");
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let server = FakeServer::start();
    server.seed(Kind::Function, "b", &filter("1"));
    let project = Project::on(&server);
    project.put(A, filter("1"));
    project.put("plugins/b.py", filter("2"));
    let found = names(&project.path("."));
    let told = notices(&project, &["--dry-run"], 0);
    assert_eq!(of(&told, "would_create")["id"], "a");
    assert_eq!(of(&told, "would_update")["from_version"], "1");
    let summary = of(&told, "summary");
    assert_eq!((&summary["dry_run"], &summary["created"], &summary["updated"]), (&json!(true), &json!(1), &json!(1)));
    assert_eq!(writes(&server), Vec::<String>::new());
    assert_eq!(names(&project.path(".")), found, "no state");

    project.put("plugins/broken.py", BROKEN);
    notices(&project, &["--once", "--dry-run"], 1);
    assert_eq!(names(&project.path(".")), found);
}

#[test]
fn a_dry_run_leaves_the_state_of_an_earlier_run_as_it_was() {
    let server = FakeServer::start();
    let project = deployed(&server);
    let state = project.path(".owui-watch");
    let ledger = names(&state).into_iter().find(is_ledger).unwrap();
    let read = || (project.read(&format!(".owui-watch/{ledger}")), project.read(".owui-watch/logs/function-a.log"));
    let before = read();
    project.put(A, filter("2"));
    check(&project.run(&["--dry-run"]), 0);
    assert_eq!(read(), before);
    assert_eq!(text(&server, "a"), filter("1"));
}

#[test]
fn the_files_bytes_are_made_into_text_that_the_server_takes() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let windows = format!("\u{feff}{}", filter("1").replace('\n', "\r\n"));
    project.put(A, &windows);
    check(&project.run(&["--once"]), 0);
    assert_eq!(text(&server, "a"), filter("1"));
    assert_eq!(of(&notices(&project, &["--once"], 0), "summary")["unchanged"], 1);
    assert_eq!(fs::read(project.path(A)).unwrap(), windows.as_bytes(), "the file is not ours to change");
}

/// The server stores another text than it is sent, and that is not an edit.
#[test]
fn the_servers_rewriting_is_no_change() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, format!("from utils import misc\n{}", filter("1")));
    check(&project.run(&["--once"]), 0);
    assert!(text(&server, "a").starts_with("from open_webui.utils import misc\n"));
    let n_writes = writes(&server).len();
    assert_eq!(of(&notices(&project, &["--once"], 0), "unchanged")["id"], "a");
    // Nor is it without the ledger.
    fs::remove_dir_all(project.path(".owui-watch")).unwrap();
    assert_eq!(of(&notices(&project, &["--once"], 0), "unchanged")["id"], "a");
    assert_eq!(writes(&server).len(), n_writes);
}

#[test]
fn an_id_may_be_in_any_script() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/größe_日本.py", filter("1"));
    assert_eq!(of(&notices(&project, &["--once"], 0), "created")["id"], "größe_日本");
    project.put("plugins/größe_日本.py", filter("2"));
    assert_eq!(of(&notices(&project, &["--once"], 0), "updated")["id"], "größe_日本");
    assert_eq!(text(&server, "größe_日本"), filter("2"));
    assert!(project.read(".owui-watch/logs/function-größe_日本.log").contains(" updated "));
}

#[test]
fn single_files_have_settings() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.write(
        "watch.toml",
        "[plugins.\"plugins/a.py\"]\nid = \"renamed\"\n\
         [plugins.\"plugins/both.py\"]\nkind = \"tool\"\n\
         [plugins.\"plugins/off.py\"]\nenabled = false\n",
    );
    project.put(A, filter("1"));
    project.put("plugins/both.py", format!("{}\n{}", filter("1"), tool("1")));
    project.put("plugins/off.py", filter("1"));
    let notices = notices(&project, &["--once"], 0);
    assert_eq!(of(&notices, "disabled")["path"], "plugins/off.py");
    assert_eq!(of(&notices, "summary")["created"], 2);
    assert!(server.row(Kind::Function, "renamed").is_some() && server.row(Kind::Tool, "both").is_some());
    assert!(server.row(Kind::Function, "off").is_none() && server.row(Kind::Function, "a").is_none());
}

#[test]
fn there_may_be_several_roots() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.write("watch.toml", "root = [\"one\", \"two/deep\"]\n");
    project.put("one/a.py", filter("1"));
    project.put("two/deep/b.py", filter("1"));
    project.put("two/c.py", filter("1"));
    project.put("plugins/d.py", filter("1"));
    let told = notices(&project, &["--once"], 0);
    assert_eq!(of(&told, "summary")["created"], 2);
    assert!(server.row(Kind::Function, "a").is_some() && server.row(Kind::Function, "b").is_some());

    // A flag replaces the list.
    let told = notices(&project, &["--once", "--root", "plugins"], 0);
    assert_eq!(of(&told, "created")["id"], "d");
}

// ---- what is not ----------------------------------------------------------------------------------------------------

#[test]
fn refused_code_is_remembered_and_the_running_plugin_stays() {
    let server = FakeServer::start();
    server.seed(Kind::Function, "a", &filter("1"));
    let project = Project::on(&server);
    project.put(A, REFUSED);
    let told = notices(&project, &["--once"], 1);
    let refused = of(&told, "refused");
    assert_eq!((&refused["words"], &refused["id"]), (&json!("No module named 'no_such_thing'"), &json!("a")));
    assert_eq!(of(&told, "summary")["refused"], 1);
    let row = server.row(Kind::Function, "a").unwrap();
    assert_eq!((row.content, row.is_active), (filter("1"), true));

    let n_writes = writes(&server).len();
    let told = notices(&project, &["--once"], 1);
    assert_eq!(of(&told, "refused_before")["words"], "No module named 'no_such_thing'");
    assert_eq!(of(&told, "summary")["refused"], 1);
    assert_eq!(writes(&server).len(), n_writes, "the same text is not sent again");

    of(&notices(&project, &["--once", "--force"], 1), "refused");
    assert_eq!(writes(&server).len(), n_writes + 1, "unless it is forced");

    project.put(A, filter("2"));
    assert_eq!(of(&notices(&project, &["--once"], 0), "updated")["from_version"], "1");
}

/// Each file that cannot be deployed, and the word for it; nothing of it reaches the server.
#[test]
fn what_cannot_be_deployed_is_not_sent() {
    let cases: [(&[u8], &str); 5] = [
        (BROKEN.as_bytes(), "syntax"),
        (b"from . import helper\n\n\nclass Filter:\n    pass\n", "relative_import"),
        (b"# \xe9\nclass Filter:\n    pass\n", "not_utf8"),
        (b"class Filter:\n    pass\n\n\nclass Tools:\n    pass\n", "both_kinds"),
        (b"import sys\n\nsys.exit()\n\n\nclass Filter:\n    pass\n", "exits"),
    ];
    for (bytes, reason) in cases {
        let server = FakeServer::start();
        let project = Project::on(&server);
        project.put(A, bytes);
        let notices = notices(&project, &["--once"], 1);
        let flawed = of(&notices, "flawed");
        assert_eq!(
            (&flawed["reason"], &flawed["path"], &flawed["level"]),
            (&json!(reason), &json!(A), &json!("error"))
        );
        assert_eq!(of(&notices, "summary")["skipped"], 1, "{reason}");
        assert_eq!(writes(&server), Vec::<String>::new(), "{reason}");
    }
}

#[test]
fn a_plugin_for_another_program_is_a_warning() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    project.put("plugins/other.py", "\"\"\"\ntitle: Other\n\"\"\"\n\n\nclass Pipeline:\n    pass\n");
    let told = notices(&project, &["--once"], 0);
    let flawed = of(&told, "flawed");
    assert_eq!((&flawed["reason"], &flawed["level"]), (&json!("pipeline"), &json!("warning")));
    let summary = of(&told, "summary");
    assert_eq!((&summary["created"], &summary["skipped"]), (&json!(1), &json!(0)));
    // One that is named in the settings is meant to be deployed.
    project.write("watch.toml", "[plugins.\"plugins/other.py\"]\nid = \"other\"\n");
    let told = notices(&project, &["--once"], 1);
    assert_eq!(of(&told, "flawed")["level"], "error");
    assert_eq!(of(&told, "summary")["skipped"], 1);
    assert_eq!(server.row(Kind::Function, "other").map(|row| row.content), None);
}

#[test]
fn a_helper_with_a_common_name_is_left_alone() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    project.put("plugins/events.py", "class Event:\n    pass\n");
    project.put("plugins/actions.py", "class Action:\n    def __call__(self): return (\n");
    let told = notices(&project, &["--once"], 0);
    assert_eq!(of(&told, "summary")["created"], 1);
    assert_eq!(of(&told, "flawed")["path"], "plugins/actions.py");
    assert!(server.row(Kind::Function, "events").is_none());
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_root_is_deployed_only_where_that_is_wanted() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    project.put("elsewhere/linked.py", filter("1"));
    std::os::unix::fs::symlink("../elsewhere/linked.py", project.path("plugins/linked.py")).unwrap();
    let told = notices(&project, &["--once"], 1);
    let flawed = of(&told, "flawed");
    assert_eq!(flawed["reason"], "link_outside");
    assert!(flawed["hint"].as_str().unwrap().contains("`follow_links = \"anywhere\"`"), "{flawed}");
    assert!(server.row(Kind::Function, "linked").is_none());
    project.write("watch.toml", "follow_links = 'anywhere'\n");
    check(&project.run(&["--once"]), 2);
    check(&project.run(&["trust", "--yes"]), 0);
    assert_eq!(of(&notices(&project, &["--once"], 0), "created")["id"], "linked");
    assert_eq!(text(&server, "linked"), filter("1"));
}

#[test]
fn of_two_files_with_one_id_neither_is_deployed() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/one/same.py", filter("1"));
    project.put("plugins/two/same.py", filter("2"));
    project.put(A, filter("1"));
    let notices = notices(&project, &["--once"], 1);
    let conflict = of(&notices, "conflict");
    assert_eq!(conflict["paths"], json!(["plugins/one/same.py", "plugins/two/same.py"]));
    assert_eq!(conflict["id"], "same");
    let summary = of(&notices, "summary");
    assert_eq!((&summary["skipped"], &summary["created"]), (&json!(2), &json!(1)));
    assert!(server.row(Kind::Function, "same").is_none());
}

#[test]
fn a_folder_without_plugins_is_a_mistake() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/helper.py", "def help():\n    pass\n");
    let notices = notices(&project, &["--once"], 2);
    assert_eq!(of(&notices, "nothing_found")["level"], "warning");
}

// ---- what stays -----------------------------------------------------------------------------------------------------

#[test]
fn what_an_admin_set_stays_as_it_is() {
    let server = FakeServer::start();
    let project = deployed(&server);
    project.put("plugins/t.py", tool("1"));
    check(&project.run(&["--once"]), 0);
    let grants = json!([{ "principal_type": "group", "principal_id": "g", "permission": "read" }]);
    server.edit_row(Kind::Function, "a", |row| {
        row.name = "Renamed".to_owned();
        row.meta.insert("icon_url".to_owned(), json!("data:,x"));
        row.meta.insert("description".to_owned(), json!("Described by an admin"));
        (row.is_active, row.is_global) = (true, true);
    });
    server.edit_row(Kind::Tool, "t", |row| {
        row.name = "Renamed too".to_owned();
        row.access_grants = grants.clone();
    });
    project.put(A, filter("2"));
    project.put("plugins/t.py", tool("2"));
    assert_eq!(of(&notices(&project, &["--once"], 0), "summary")["updated"], 2);

    let row = server.row(Kind::Function, "a").unwrap();
    assert_eq!((row.content, row.name.as_str()), (filter("2"), "Renamed"));
    assert_eq!((&row.meta["icon_url"], &row.meta["description"]), (&json!("data:,x"), &json!("Described by an admin")));
    assert_eq!((row.is_active, row.is_global), (true, true));
    let row = server.row(Kind::Tool, "t").unwrap();
    assert_eq!((row.content, row.name.as_str(), row.access_grants), (tool("2"), "Renamed too", grants));
    // None of it is sent, so that none of it can be changed.
    for request in server.requests().iter().filter(|request| request.line().ends_with("/update")) {
        assert!(request.body.get("access_grants").is_none() && request.body.get("is_active").is_none(), "{request:?}");
    }
}

#[test]
fn an_edit_on_the_server_is_on_disk_before_it_is_replaced() {
    let server = FakeServer::start();
    let project = deployed(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    project.put(A, filter("2"));
    server.hold("/update");
    let mut run = project.watch_with(&["--once"]);
    server.wait_for("/update", 1);
    let folder = copies("backups", &server.url(), "function/a");
    let kept = names(&project.path(&folder));
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::read_to_string(project.path(&folder).join(&kept[0])).unwrap(), filter("theirs"));
    server.release();
    let updated = run.wait("updated", Some("a")).pop().unwrap();
    assert_eq!(updated["backup"], format!("{folder}/{}", kept[0]));
    assert_eq!(run.ended().code(), Some(0));
    assert_eq!(text(&server, "a"), filter("2"));

    // What we deployed ourselves is no loss, and no copy of it is kept.
    project.put(A, filter("3"));
    assert_eq!(of(&notices(&project, &["--once"], 0), "updated")["backup"], Value::Null);
    assert_eq!(names(&project.path(&folder)), kept);
}

#[test]
fn an_edit_on_the_server_alone_is_found_and_replaced() {
    let server = FakeServer::start();
    let project = deployed(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    let notices = notices(&project, &["--once"], 0);
    assert_eq!(of(&notices, "sending")["why"], "changed_on_server");
    assert!(of(&notices, "updated")["backup"].is_string());
    assert_eq!(text(&server, "a"), filter("1"));
}

#[test]
fn a_lost_or_damaged_ledger_costs_nothing() {
    let server = FakeServer::start();
    let project = deployed(&server);
    let name = names(&project.path(".owui-watch")).into_iter().find(is_ledger).unwrap();
    let ledger = format!(".owui-watch/{name}");
    let n_writes = writes(&server).len();
    fs::remove_file(project.path(&ledger)).unwrap();
    assert_eq!(of(&notices(&project, &["--once"], 0), "unchanged")["id"], "a");
    for damaged in ["", "{\"format\": 1, \"func", "null", "{\"format\": 12345}"] {
        project.write(&ledger, damaged);
        let notices = notices(&project, &["--once"], 0);
        assert!(of(&notices, "trouble")["message"].as_str().unwrap().contains(&name), "{notices:#?}");
        assert_eq!(of(&notices, "unchanged")["id"], "a");
    }
    assert_eq!(writes(&server).len(), n_writes);
    // Without it nobody knows whose text is on the server: a copy is kept.
    fs::remove_file(project.path(&ledger)).unwrap();
    project.put(A, filter("2"));
    assert!(of(&notices(&project, &["--once"], 0), "updated")["backup"].is_string());
    assert_eq!(text(&server, "a"), filter("2"));
}

#[test]
fn the_state_folder_tells_each_plugins_story_and_stays_out_of_git() {
    let server = FakeServer::start();
    let project = deployed(&server);
    project.put(A, filter("2"));
    check(&project.run(&["--once"]), 0);
    project.put(A, REFUSED);
    check(&project.run(&["--once"]), 1);
    assert_eq!(project.read(".owui-watch/.gitignore"), "*\n");
    let log = project.read(".owui-watch/logs/function-a.log");
    let words: Vec<_> = log.lines().map(|line| line.split([' ', ':']).nth(3).unwrap()).collect();
    assert_eq!(words, ["sending", "created", "sending", "updated", "sending", "refused"], "{log}");
    let updated = log.lines().nth(3).unwrap();
    assert!(updated.contains(" version=1→2 digest=") && updated.contains("ms: "), "{updated}");
    assert!(log.lines().last().unwrap().ends_with(": No module named 'no_such_thing'"), "{log}");
}

/// Where we cannot keep a copy, nothing is replaced that somebody may miss.
#[test]
fn without_a_copy_nothing_is_replaced() {
    let server = FakeServer::start();
    let project = deployed(&server);
    project.write(".owui-watch/backups", "not a folder");
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    project.put(A, filter("2"));
    let told = notices(&project, &["--once"], 1);
    assert_eq!(of(&told, "failed")["reason"], "backup_failed");
    assert_eq!(of(&told, "summary")["failed"], 1);
    assert_eq!(text(&server, "a"), filter("theirs"));

    // It is tried again as soon as there is a chance.
    fs::remove_file(project.path(".owui-watch/backups")).unwrap();
    assert!(of(&notices(&project, &["--once"], 0), "updated")["backup"].is_string());
}

#[test]
fn logs_that_cannot_be_written_are_told_once_and_hold_nothing_up() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    // Else it would be set aside, since it was not written here.
    drop(State::open(project.path(".owui-watch"), &server.url()).unwrap());
    project.write(".owui-watch/logs", "not a folder");
    project.put(A, filter("1"));
    project.put("plugins/b.py", filter("1"));
    let notices = notices(&project, &["--once"], 0);
    assert!(of(&notices, "trouble")["message"].as_str().unwrap().starts_with("plugin logs cannot be written: "));
    assert_eq!(of(&notices, "summary")["created"], 2);
}

#[test]
fn a_state_folder_that_cannot_be_is_a_mistake() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    project.write(".owui-watch", "not a folder");
    let ran = project.run(&["--once"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: cannot keep state in `.owui-watch`: "), "{}", ran.stderr);
    assert_eq!(server.lines(), Vec::<String>::new());
}

// ---- arguments ------------------------------------------------------------------------------------------------------

#[test]
fn arguments_say_which_plugins() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for name in ["a", "b", "c", "deep/d", "deep/e"] {
        project.put(&format!("plugins/{name}.py"), filter("1"));
    }
    project.put("plugins/deep/broken.py", BROKEN);
    let absolute = project.path("plugins/c.py").canonicalize().unwrap();
    let cases: [(&[&str], &[&str]); 5] = [
        (&["a"], &["a"]),
        (&["plugins/b.py"], &["b"]),
        (&[absolute.to_str().unwrap()], &["c"]),
        (&["./plugins/deep/d.py", "e"], &["d", "e"]),
        (&["a", "./plugins/b.py"], &["a", "b"]),
    ];
    for (arguments, expected) in cases {
        let notices = notices(&project, &[&["--once", "--force"], arguments].concat(), 0);
        let mut sent: Vec<_> =
            notices.iter().filter(|notice| notice["event"] == "sending").map(|it| &it["id"]).collect();
        sent.sort_by_key(|id| id.as_str());
        assert_eq!(sent, expected, "{arguments:?}");
    }
    // A folder means all in it, also what cannot be deployed.
    let notices = notices(&project, &["--once", "plugins/deep/"], 1);
    assert_eq!((&of(&notices, "summary")["unchanged"], &of(&notices, "summary")["skipped"]), (&json!(2), &json!(1)));
}

#[test]
fn a_path_starts_in_the_current_folder_wherever_the_roots_are() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for name in ["a", "deep/b", "deep/er/c"] {
        project.put(&format!("plugins/{name}.py"), filter("1"));
    }
    let absolute = project.path("plugins").canonicalize().unwrap();
    let absolute = absolute.to_str().unwrap();
    // A name that is an id and that of a folder here is the id.
    project.put("plugins/deep/a/d.py", filter("1"));
    let everything: &[&str] = &["a", "b", "c", "d"];
    let cases: [(&str, &[&str], &[&str]); 12] = [
        ("", &["."], everything),
        ("", &["./plugins/"], everything),
        ("plugins", &["--root", ".", "."], everything),
        ("plugins/deep", &["--root", "..", ".."], everything),
        ("plugins/deep", &["--root", "..", "."], &["b", "c", "d"]),
        ("plugins/deep", &["--root", "..", "b.py"], &["b"]),
        ("plugins/deep", &["--root", "..", "./er/", "../a.py"], &["a", "c"]),
        ("plugins/deep", &["--root", "..", "a"], &["a"]),
        ("plugins/deep", &["--root", absolute, "er/c.py"], &["c"]),
        ("plugins", &["--root", ".", "deep/b.py"], &["b"]),
        ("plugins", &["--root", ".", &format!("{absolute}/deep/b.py")], &["b"]),
        ("plugins", &["--root", absolute, &format!("{absolute}/deep/b.py")], &["b"]),
    ];
    for (folder, arguments, expected) in cases {
        let arguments = [&["--once", "--force", "--json"], arguments].concat();
        let output = project.command(&arguments).current_dir(project.path(folder)).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let notices: Vec<serde_json::Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut sent: Vec<_> =
            notices.iter().filter(|notice| notice["event"] == "sending").map(|it| &it["id"]).collect();
        sent.sort_by_key(|id| id.as_str());
        assert_eq!(sent, expected, "{folder}: {arguments:?}: {stdout}");
    }
}

#[test]
fn a_name_that_nothing_has_is_a_mistake() {
    let server = FakeServer::start();
    let project = deployed(&server);
    for name in ["nope", "plugins/nope.py"] {
        let ran = project.run(&["--once", name, "a"]);
        check(&ran, 2);
        let message = format!("error: `{name}` is no command, and no plugin here has this id or path\n");
        assert!(ran.stderr.starts_with(&message), "{}", ran.stderr);
    }
    assert_eq!(writes(&server).len(), 1, "nothing is deployed by half a command");
    // A script's unset variable.
    check(&project.run(&["--once", "--force", ""]), 2);
    assert_eq!(writes(&server).len(), 1);
}

#[test]
fn mistakes_in_usage_and_configuration_end_with_2() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let ran = project.run(&["--onse"]);
    check(&ran, 2);
    assert!(ran.stderr.contains("--onse") && ran.stdout.is_empty(), "{}", ran.stderr);
    let ran = project.run(&["--once", "--root", "nowhere"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains("nowhere"), "{}", ran.stderr);
    project.write("watch.toml", "debounse = \"1s\"\n");
    let ran = project.run(&["--once"]);
    check(&ran, 2);
    assert!(ran.stderr.contains("`debounse`") && ran.stderr.contains("hint: "), "{}", ran.stderr);
    assert_eq!((ran.stdout.as_str(), server.lines()), ("", Vec::new()));
}

#[test]
fn a_second_one_for_the_same_server_is_refused() {
    let server = FakeServer::start();
    let project = deployed(&server);
    let watch = project.watch();
    let ran = project.run(&["--once"]);
    check(&ran, 2);
    assert!(ran.stderr.contains(&format!("another owui-watch (pid {})", watch.pid())), "{}", ran.stderr);
    // It may look all the same, and deploy to another server.
    check(&project.run(&["--dry-run"]), 0);
    let other = FakeServer::start();
    check(&project.run(&["--once", "--url", &other.url()]), 0);
    drop(watch);
    check(&project.run(&["--once"]), 0);
}

#[cfg(unix)]
#[test]
fn a_second_one_waits_for_the_first_if_told_to() {
    let server = FakeServer::start();
    let project = deployed(&server);
    let mut first = project.watch();
    let mut second = project.watch_with(&["--once", "--wait"]);
    let mut third = project.watch_with(&["--wait"]);
    for other in [&mut second, &mut third] {
        let notices = other.wait("in_line", None);
        assert_eq!((notices.len(), &notices[0]["pid"]), (1, &json!(first.pid())));
    }
    third.signal("INT");
    assert_eq!(third.ended().code(), Some(1));
    let asked = server.lines();
    first.stop();
    second.wait("summary", None);
    assert_eq!(second.ended().code(), Some(0));
    assert!(server.lines().len() > asked.len());
    assert_eq!(second.said().iter().filter(|said| **said == "in_line").count(), 1);
    // Nobody is waited for who does not deploy, or deploys elsewhere.
    let other = FakeServer::start();
    let _first = project.watch();
    check(&project.run(&["--dry-run", "--wait"]), 0);
    check(&project.run(&["--once", "--wait", "--url", &other.url()]), 0);
}

#[test]
fn who_may_be_overheard_is_told_once() {
    let server = FakeServer::start();
    let project = deployed(&server);
    // No resolver is asked for a label that is too long for one.
    let far = format!("{}.example", "x".repeat(64));
    project.put("watch.toml", "once_patience = \"0s\"\n");
    let said = |url: &str| {
        let ran = project.run(&["--once", "--json", "--url", url]);
        ran.notices().into_iter().filter(|notice| notice["event"] == "insecure").collect::<Vec<_>>()
    };
    let [notice] = &said(&format!("http://{far}"))[..] else { panic!() };
    assert_eq!((&notice["server"], &notice["proxy"]), (&json!(format!("http://{far}")), &Value::Null));
    assert_eq!(said(&format!("https://{far}")), [Value::Null; 0]);
    assert_eq!(said(&server.url()), [Value::Null; 0]);
}

/// The fake server takes requests as a proxy does, and answers them itself.
#[test]
fn the_proxy_in_between_is_named_without_its_password() {
    let server = FakeServer::start();
    let proxy = server.url();
    let with_password = proxy.replace("http://", "http://me:s3cret@");
    let project = |url: &str, proxy: &str| {
        let project = Project::new().with("OPENWEBUI_URL", url).with("OPENWEBUI_API_KEY", KEY);
        project.put("watch.toml", "once_patience = \"0s\"\n");
        project.put(A, filter("1"));
        project.with("HTTP_PROXY", proxy).with("ALL_PROXY", proxy)
    };
    // A host at home is near, but the proxy need not be.
    let near = project("http://chat.lan", &with_password);
    let ran = near.run(&["--once", "--json"]);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("s3cret"));
    let told = ran.notices();
    assert_eq!((&of(&told, "proxy")["proxy"], &of(&told, "proxy")["level"]), (&json!(proxy), &json!("detail")));
    let insecure = of(&told, "insecure");
    assert_eq!((&insecure["server"], &insecure["proxy"]), (&json!("http://chat.lan"), &json!(proxy)));
    check(&ran, 0);
    assert_eq!(text(&server, "a"), filter("1"));
    let said = near.run(&["diff", "--verbose"]).stdout;
    assert!(said.starts_with(&format!("http://chat.lan is reached through the proxy {proxy}\n")), "{said}");
    // What goes wrong may be the proxy's doing.
    let dead = "http://me:s3cret@127.0.0.1:1";
    let told = notices(&project("http://chat.lan", dead), &["--once"], 3);
    assert_eq!(of(&told, "gave_up")["cause"], "connection refused, through the proxy http://127.0.0.1:1");
    let ran = project("https://chat.example", &with_password).run(&["diff"]);
    assert!(ran.stderr.contains(&format!(", through the proxy {proxy}\n")), "{}", ran.stderr);
    assert!(!ran.stderr.contains("s3cret") && ran.code == Some(3), "{}", ran.stderr);
    // What is on this machine is reached without one.
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "127.1"] {
        let told = notices(&project(&proxy.replace("127.0.0.1", host), dead), &["--once"], 0);
        assert!(told.iter().all(|notice| notice["event"] != "proxy" && notice["event"] != "insecure"), "{host}");
    }
}

// ---- the server -----------------------------------------------------------------------------------------------------

#[test]
fn a_bad_key_ends_with_3() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    server.set_key("sk-another");
    let notices = notices(&project, &["--once"], 3);
    let told = of(&notices, "not_allowed");
    assert_eq!((&told["status"], &told["level"]), (&json!(401), &json!("error")));
    assert!(told["words"].as_str().unwrap().starts_with("Your session has expired"));
    assert_eq!(writes(&server), Vec::<String>::new());
}

#[test]
fn a_missing_key_ends_with_3_and_says_where_to_get_one() {
    let server = FakeServer::start();
    let project = Project::new().with("OPENWEBUI_URL", &server.url());
    project.put(A, filter("1"));
    let ran = project.run(&["--once"]);
    check(&ran, 3);
    assert_eq!(outline(&ran.stdout), "✗\n");
    assert!(ran.stderr.starts_with("hint: ") && ran.stderr.contains("OPENWEBUI_API_KEY"), "{}", ran.stderr);
}

#[test]
fn a_server_without_login_needs_no_key() {
    let server = FakeServer::start();
    server.open_the_door();
    let project = Project::new().with("OPENWEBUI_URL", &server.url());
    project.put(A, filter("1"));
    assert_eq!(of(&notices(&project, &["--once"], 0), "created")["id"], "a");
}

#[test]
fn nobody_there_ends_with_3_when_the_patience_is_over() {
    let mut server = FakeServer::start();
    let project = Project::on(&server);
    project.write("watch.toml", "once_patience = \"1s\"\n");
    project.put(A, filter("1"));
    server.go_down();
    let notices = notices(&project, &["--once"], 3);
    of(&notices, "unreachable");
    let gave_up = of(&notices, "gave_up");
    assert_eq!((&gave_up["cause"], &gave_up["server"]), (&json!("connection refused"), &json!(server.url())));
    assert_eq!(notices.last(), Some(gave_up));
}

#[test]
fn something_else_at_the_address_ends_with_3() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    server.fail_next(1, Fault::Html);
    let told = notices(&project, &["--once"], 3);
    assert_eq!(of(&told, "not_open_webui")["server"], server.url());
    assert_eq!(server.lines(), ["GET /api/version"]);

    server.fail_next_of("/export", 1, Fault::Html);
    of(&notices(&project, &["--once"], 3), "not_open_webui");
    assert_eq!(writes(&server), Vec::<String>::new());
}

// ---- what is printed ------------------------------------------------------------------------------------------------

/// What people are shown, without the words: of a status line the sign and what it is about, of what explains it the
/// place or the label. The words are those of [`Notice`](owui_watch::notice::Notice), and tested there.
fn outline(text: &str) -> String {
    text.lines().fold(String::new(), |whole, line| whole + &outline_of_line(line) + "\n")
}

fn outline_of_line(line: &str) -> String {
    let is_clock = |word: &str| word.bytes().filter(|byte| *byte == b':').count() == 2 && word.len() == 8;
    if let Some((_, rest)) = line.split_once(' ').filter(|(word, _)| is_clock(word)) {
        let columns: Vec<_> = rest.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        return match columns[..] {
            [_] => rest.chars().take(1).collect(),
            [path, ..] if path.contains('/') => path.to_owned(),
            [kind, id, ..] => format!("{kind} {id}"),
            [] => String::new(),
        };
    }
    let labels = ["hint", "note"].into_iter().find(|label| line.starts_with(&format!("{label}: ")));
    let is_place = line.starts_with("plugins/");
    let place = || line.split(": ").take(2).collect::<Vec<_>>().join(": ");
    labels.map_or_else(|| if is_place { place() } else { line.to_owned() }, str::to_owned)
}

/// A pass in which one of everything happens. One at a time, so that the order is always the same.
fn typical(server: &FakeServer) -> Project {
    let project = Project::on(server);
    project.write("watch.toml", "concurrency = 1\n");
    server.seed(Kind::Function, "refused", &filter("1"));
    server.seed(Kind::Function, "updated", &filter("1"));
    server.seed(Kind::Function, "unchanged", &filter("1"));
    project.put("plugins/filters/created.py", filter("1"));
    project.put("plugins/filters/updated.py", filter("1"));
    check(&project.run(&["--once", "updated"]), 0);
    project.put(
        "plugins/filters/refused.py",
        "\"\"\"\nversion: 2\n\"\"\"\n\nimport no_such_thing\n\n\nclass Filter:\n    pass\n",
    );
    project.put("plugins/filters/updated.py", filter("2"));
    project.put("plugins/filters/unchanged.py", filter("1"));
    project.put("plugins/broken.py", BROKEN);
    project.put("plugins/surprise.py", "from configparser import ConfigParser\n\n\nclass Tools:\n    pass\n");
    project.put("plugins/tools/clock.py", tool("0.1"));
    project
}

#[test]
fn people_read_this() {
    let server = FakeServer::start();
    let project = typical(&server);
    let ran = project.run(&["--once"]);
    check(&ran, 1);
    expect![[r#"
        ✗ plugins/broken.py
        ! tool surprise
        ·
        ✓ filter created
        ✗ filter refused
        ✓ filter updated
        ✓ tool clock
        ✗ tool surprise
        !
    "#]]
    .assert_eq(&outline(&ran.stdout));
    expect![[r#"
        plugins/broken.py:3:9: error
          |
        3 |         return body
          |         ^^^^^^
        plugins/surprise.py:1:6: warning
          |
        1 | from configparser import ConfigParser
          |      ^^^^^^^^^^^^
        hint
        hint
        hint
        plugins/filters/refused.py:5:1: error
          |
        5 | import no_such_thing
          | ^^^^^^^^^^^^^^^^^^^^
        note
        hint
        plugins/surprise.py:1:1: error
          |
        1 | from configparser import ConfigParser
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        hint
    "#]]
    .assert_eq(&outline(&ran.stderr));
}

#[test]
fn people_who_ask_for_more_or_less_read_that() {
    let server = FakeServer::start();
    let project = typical(&server);
    let quiet = project.run(&["--dry-run", "--quiet"]);
    check(&quiet, 1);
    expect![[r#"
        ✗ plugins/broken.py
        ! tool surprise
    "#]]
    .assert_eq(&outline(&quiet.stdout));
    let verbose = project.run(&["--dry-run", "-v"]);
    check(&verbose, 1);
    expect![[r#"
        ✗ plugins/broken.py
        ! tool surprise
        ·
        = filter unchanged
        ·
        · filter created
        → filter created
        · filter refused
        → filter refused
        · filter updated
        → filter updated
        · tool clock
        → tool clock
        · tool surprise
        → tool surprise
        !
    "#]]
    .assert_eq(&outline(&verbose.stdout));
    assert_eq!(verbose.stderr, project.run(&["--dry-run"]).stderr);
}

#[test]
fn programs_read_this() {
    let server = FakeServer::start();
    let project = typical(&server);
    let notices = notices(&project, &["--once"], 1);
    for notice in &notices {
        let time: jiff::Timestamp = notice["time"].as_str().unwrap().parse().unwrap();
        assert!(time.as_second() > 0, "{notice}");
        let level = notice["level"].as_str().unwrap();
        assert!(["detail", "info", "warning", "error"].contains(&level), "{notice}");
        let message = notice["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains('\n') && notice["event"].is_string(), "{notice}");
    }
    let events: Vec<_> = notices.iter().map(|notice| notice["event"].as_str().unwrap()).collect();
    for event in ["connected", "pass", "sending", "created", "updated", "unchanged", "refused", "flawed", "warning"] {
        assert!(events.contains(&event), "no `{event}` in {events:?}");
    }
    assert_eq!(events.last(), Some(&"summary"));
    let flawed = of(&notices, "flawed");
    assert!(flawed["line"].is_u64() && flawed["column"].is_u64() && flawed["path"] == "plugins/broken.py", "{flawed}");
}

#[test]
fn colours_are_for_those_who_want_them() {
    let server = FakeServer::start();
    let project = typical(&server);
    let escaped = |ran: Ran| ran.stdout.contains('\u{1b}') || ran.stderr.contains('\u{1b}');
    assert!(!escaped(project.run(&["--dry-run", "-vvv"])), "a pipe");
    assert!(!escaped(project.run(&["--onse"])), "a pipe, and a mistake");
    let project = project.with("CLICOLOR_FORCE", "1");
    assert!(escaped(project.run(&["--dry-run"])), "the test would see them");
    let project = project.with("NO_COLOR", "1");
    assert!(!escaped(project.run(&["--dry-run", "-vvv"])), "NO_COLOR");
    assert!(!escaped(project.run(&["--once", "--json"])), "--json");
}

#[test]
fn the_key_is_nowhere() {
    let server = FakeServer::start();
    let project = typical(&server);
    let mut said = String::new();
    let mut run = |arguments: &[&str]| {
        let ran = project.run(arguments);
        said += &(ran.stdout + &ran.stderr);
    };
    run(&["--dry-run", "-vvv"]);
    run(&["--once", "-vvv"]);
    run(&["--once", "-vvv", "--json", "--force"]);
    run(&["--once", "-vvv", "nope"]);
    server.fail_next(1, Fault::Html);
    run(&["--once", "-vvv"]);
    server.fail_next_of("/export", 1, Fault::ResetBefore);
    run(&["--once", "-vvv"]);
    server.set_key("sk-another");
    run(&["--once", "-vvv"]);
    assert!(said.contains("not_allowed") || said.contains("denied access"), "{said}");
    for text in texts_in(&project.path(".")).chain([said]) {
        assert!(!text.contains(KEY.trim_start_matches("sk-")), "{text}");
    }
}

#[test]
fn other_peoples_large_plugins_do_not_keep_ours_from_the_server() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let large = format!("{}\n# {}\n", filter("1"), "x".repeat(14 << 20));
    for n in 0..5 {
        server.seed(Kind::Function, &format!("large_{n}"), &large);
    }
    project.put(A, filter("1"));
    check(&project.run(&["--once"]), 0);
    assert_eq!(server.row(Kind::Function, "a").unwrap().content, filter("1"));
    // What is compared, is; and what cannot be is said.
    let ran = project.run(&["diff"]);
    check(&ran, 0);
    assert_eq!(
        ran.stderr,
        "warning: the server's functions are too large to be listed; those here are compared\n\
                no difference (1 plugin)\n"
    );
}

/// A secret in the wrong place is refused without being repeated.
#[test]
fn a_secret_in_the_wrong_place_is_not_printed() {
    let project = Project::new();
    project.put(A, filter("1"));
    let cases = [
        ("OPENWEBUI_URL", "http://admin:Tr0ub4dor@localhost:1"),
        ("OPENWEBUI_API_KEY", "sk-Tr0ub4dor\u{7}"),
        ("OPENWEBUI_API_KEY", "sk-Tr0ub4dor and a comment"),
    ];
    for (name, value) in cases {
        for arguments in [&["--once", "-vvv"][..], &["--once", "--json"]] {
            let ran = project.command(arguments).env("OPENWEBUI_URL", "http://localhost:1").env(name, value).output();
            let ran = ran.unwrap();
            let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
            assert_eq!(ran.status.code(), Some(2), "{name}: {said}");
            assert!(said.contains("error: ") || said.contains("\"event\":\"error\""), "{said}");
            assert!(!said.contains("Tr0ub4dor"), "{said}");
        }
    }
    assert!(!project.path(".owui-watch").exists());
}

/// Whether a name in the state folder is that of the ledger.
fn is_ledger(name: &String) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "json")
}

/// Every file below a folder, as text.
fn texts_in(folder: &Path) -> impl Iterator<Item = String> {
    let (mut folders, mut texts) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for name in names(&folder) {
            let path = folder.join(name);
            if path.is_dir() {
                folders.push(path);
            } else {
                texts.push(String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
            }
        }
    }
    assert!(texts.len() > 10, "the state folder is among them");
    texts.into_iter()
}
