//! The built binary with `--once`, `--dry-run`, `--force` and arguments, against the fake server.

mod arguments;
mod from_below;
mod printed;
mod sandbox;

use std::fs;
use std::path::Path;

use expect_test::expect;
use owui_watch::disk::State;
use owui_watch::plugin::Kind;
use serde_json::{Value, json};

use crate::support::command::{Project, REFUSED, Ran, check, copies, filter, names, notices, of, text, tool, writes};
use crate::support::fake_server::{FakeServer, Fault, KEY};
use crate::support::sentences::STATE_ERROR;

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
fn activate_new_switches_a_new_plugin_on() {
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

    // Only for new functions: one that an admin switched off stays off.
    server.edit_row(Kind::Function, "a", |row| row.is_active = false);
    project.put(A, filter("2"));
    check(&project.run(&["--once"]), 0);
    let row = server.row(Kind::Function, "a").unwrap();
    assert_eq!((row.content, row.is_active), (filter("2"), false));
}

#[test]
fn any_number_of_unchanged_plugins_costs_three_requests() {
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

/// A pass waits for files that were just written, and includes them.
#[test]
fn a_file_written_just_before_a_pass_counts() {
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
fn force_sends_a_file_written_just_before() {
    let server = FakeServer::start();
    let project = deployed(&server);
    project.write(A, &filter("1"));
    let notices = notices(&project, &["--once", "--force"], 0);
    assert_eq!(of(&notices, "sending")["why"], "forced");
    of(&notices, "updated");
}

#[test]
fn a_dry_run_only_shows_what_it_would_do() {
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
fn a_dry_run_leaves_earlier_state_unchanged() {
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
fn file_bytes_become_text_that_the_server_accepts() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let windows = format!("\u{feff}{}", filter("1").replace('\n', "\r\n"));
    project.put(A, &windows);
    check(&project.run(&["--once"]), 0);
    assert_eq!(text(&server, "a"), filter("1"));
    assert_eq!(of(&notices(&project, &["--once"], 0), "summary")["unchanged"], 1);
    assert_eq!(fs::read(project.path(A)).unwrap(), windows.as_bytes(), "the file is not ours to change");
}

/// The server rewrites the sent text, which is not an edit.
#[test]
fn the_servers_rewriting_is_not_an_edit() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, format!("from utils import misc\n{}", filter("1")));
    check(&project.run(&["--once"]), 0);
    assert!(text(&server, "a").starts_with("from open_webui.utils import misc\n"));
    let n_writes = writes(&server).len();
    assert_eq!(of(&notices(&project, &["--once"], 0), "unchanged")["id"], "a");
    // Not even without the ledger.
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
fn single_files_can_have_settings() {
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
fn a_refusal_is_remembered_and_the_running_plugin_stays() {
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

/// Invalid files, each with its word; none reaches the server.
#[test]
fn invalid_plugins_are_not_sent() {
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
    // A file named in the settings is meant to be deployed.
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
fn links_out_of_the_root_need_follow_links() {
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
fn two_files_with_one_id_are_not_deployed() {
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
fn a_folder_without_plugins_is_an_error() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/helper.py", "def help():\n    pass\n");
    let notices = notices(&project, &["--once"], 2);
    assert_eq!(of(&notices, "nothing_found")["level"], "warning");
}

// ---- what stays -----------------------------------------------------------------------------------------------------

#[test]
fn an_admins_settings_stay() {
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
    // These fields are never sent, so they cannot change.
    for request in server.requests().iter().filter(|request| request.line().ends_with("/update")) {
        assert!(request.body.get("access_grants").is_none() && request.body.get("is_active").is_none(), "{request:?}");
    }
}

#[test]
fn a_server_edit_is_copied_before_it_is_replaced() {
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

    // A text that we deployed needs no backup.
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
    // Without the ledger the text may be someone else's: a copy is kept.
    fs::remove_file(project.path(&ledger)).unwrap();
    project.put(A, filter("2"));
    assert!(of(&notices(&project, &["--once"], 0), "updated")["backup"].is_string());
    assert_eq!(text(&server, "a"), filter("2"));
}

#[test]
fn the_state_folder_has_logs_and_stays_out_of_git() {
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

/// Without a copy, someone else's text is not replaced.
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

    // The next run retries.
    fs::remove_file(project.path(".owui-watch/backups")).unwrap();
    assert!(of(&notices(&project, &["--once"], 0), "updated")["backup"].is_string());
}

#[test]
fn unwritable_logs_are_reported_once_and_delay_nothing() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    // Otherwise it would be set aside as foreign state.
    drop(State::open(project.path(".owui-watch"), &server.url()).unwrap());
    project.write(".owui-watch/logs", "not a folder");
    project.put(A, filter("1"));
    project.put("plugins/b.py", filter("1"));
    let notices = notices(&project, &["--once"], 0);
    assert!(of(&notices, "trouble")["message"].as_str().unwrap().starts_with("plugin logs cannot be written: "));
    assert_eq!(of(&notices, "summary")["created"], 2);
}

#[test]
fn an_impossible_state_folder_is_an_error() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    project.write(".owui-watch", "not a folder");
    let ran = project.run(&["--once"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with(&format!("error: {STATE_ERROR} `.owui-watch`: ")), "{}", ran.stderr);
    assert_eq!(server.lines(), Vec::<String>::new());
}

/// The output for people without the words: sign and subject of each status line, place or label of each explanation.
/// The words are tested with [`Notice`](owui_watch::notice::Notice).
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

/// Whether a file in the state folder is the ledger.
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
