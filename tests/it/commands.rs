//! The built binary's `history`, `rollback`, `diff` and `pull`, against the fake server.

use std::fs;

use expect_test::expect;
use owui_watch::disk::Folder;
use owui_watch::engine::deploy::Backup;
use owui_watch::engine::ledger::{Rollback, UpdateIntent};
use owui_watch::plugin::{Digest, Key, Kind, id::PluginId};
use serde_json::{Value, json};

use crate::support::command::{
    Project, REFUSED, Ran, Watch, check, copies, filter, names, notices, of, text, tool, writes,
};
use crate::support::fake_server::{FakeServer, Fault, Version};

const A: &str = "plugins/a.py";
/// One that keeps versions, and one that does not and switches off what it refuses.
const VERSIONS: [Version; 2] = [Version::V0_12_4, Version::V0_9_6];

fn key(kind: Kind, id: &str) -> Key {
    Key { kind, id: PluginId::new(id).unwrap() }
}

fn state(project: &Project, server: &FakeServer) -> Folder {
    Folder::new(project.path(".owui-watch"), &server.url())
}

/// As a run leaves it that has deployed this text.
fn archive(project: &Project, server: &FakeServer, key: &Key, text: &str, at: &str) {
    let backup = Backup { key: key.clone(), digest: Digest::of_text(text), text: text.to_owned() };
    state(project, server).archive(&backup, at.parse().unwrap()).unwrap();
}

/// Versions 1 and 2 of `a` were deployed one after the other, and it is switched on.
fn deployed_twice(server: &FakeServer) -> Project {
    let project = Project::on(server);
    for version in ["1", "2"] {
        project.put(A, filter(version));
        check(&project.run(&["--once"]), 0);
    }
    server.edit_row(Kind::Function, "a", |row| row.is_active = true);
    project
}

fn short(text: &str) -> String {
    Digest::of_text(text).short()
}

fn rollback_of(project: &Project, server: &FakeServer, key: &Key) -> Option<Rollback> {
    state(project, server).rollbacks().get(key).copied()
}

// ---- history --------------------------------------------------------------------------------------------------------

#[test]
fn history_lists_what_was_deployed_and_replaced() {
    let server = FakeServer::of(Version::V0_9_6);
    let project = Project::on(&server);
    server.seed(Kind::Function, "a", &filter("2"));
    let (folder, a) = (state(&project, &server), key(Kind::Function, "a"));
    archive(&project, &server, &a, &filter("1"), "20260102T030405Z");
    let theirs = filter("0.1-theirs");
    let backup = Backup { key: a.clone(), digest: Digest::of_text(&theirs), text: theirs };
    folder.save_backup(&backup, "20260103T030405Z".parse().unwrap()).unwrap();
    archive(&project, &server, &a, &filter("2"), "20260103T030405Z");
    archive(&project, &server, &key(Kind::Function, "b"), &filter("9"), "20260103T030405Z");
    let ran = project.run(&["history", "a"]);
    check(&ran, 0);
    expect![[r#"
        * 2026-01-03 03:04:05  deployed  2           ceacdf17
          2026-01-03 03:04:05  replaced  0.1-theirs  ecfe95f7
          2026-01-02 03:04:05  deployed  1           338558fb
    "#]]
    .assert_eq(&ran.stdout);
    assert_eq!(ran.stderr, "");

    // What the server holds now may be nothing that we know of.
    server.edit_row(Kind::Function, "a", |row| row.content = filter("3"));
    let told = notices(&project, &["history", "a"], 0);
    let brief: Vec<_> = told.iter().map(|entry| json!([entry["what"], entry["version"], entry["current"]])).collect();
    assert_eq!(
        brief,
        [
            json!(["on_the_server", "3", true]),
            json!(["deployed", "2", false]),
            json!(["replaced", "0.1-theirs", false]),
            json!(["deployed", "1", false]),
        ]
    );
    let oldest = told.last().unwrap();
    assert_eq!(oldest["at"], "2026-01-02T03:04:05Z");
    assert_eq!(oldest["digest"], Digest::of_text(&filter("1")).to_string());
    let copy = oldest["copy"].as_str().unwrap();
    assert_eq!(project.read(copy), filter("1"));
    assert_eq!(writes(&server), Vec::<String>::new());
}

#[test]
fn history_and_the_servers_own_are_one_list() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    let told = notices(&project, &["history", "a"], 0);
    let what: Vec<_> = told.iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["deployed", "deployed", "on_the_server"], "{told:#?}");
    let versions: Vec<_> = told.iter().map(|entry| entry["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["2", "1", "theirs"]);
    for (entry, message) in told.iter().zip([json!("owui-watch: 2"), json!("owui-watch: 1"), Value::Null]) {
        assert_eq!((&entry["commit_message"], &entry["author"]), (&message, &json!("Admin")), "{entry}");
        assert!(entry["server_version_id"].is_string());
    }
    let current: Vec<_> = told.iter().map(|entry| entry["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [false, false, true]);
    let ran = project.run(&["history", A]);
    check(&ran, 0);
    assert!(ran.stdout.contains(&format!("  {}  (Admin)\n", &short(&filter("2"))[..8])), "{}", ran.stdout);
}

#[test]
fn history_asks_for_few_texts_however_many_versions_there_are() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    server.seed(Kind::Tool, "t", &tool("0"));
    for version in 1..=30 {
        server.edit_row(Kind::Tool, "t", |row| row.content = tool(&version.to_string()));
    }
    let told = notices(&project, &["history", "t"], 0);
    assert_eq!(told.len(), 31);
    let with_digest: Vec<_> = told.iter().filter_map(|entry| entry["version"].as_str()).collect();
    assert_eq!(with_digest.len(), 20);
    assert_eq!((with_digest[0], with_digest[19]), ("30", "11"));
    let texts = server.lines().into_iter().filter(|line| line.contains("/history/")).count();
    assert_eq!(texts, 19, "the current text is known");
}

#[test]
fn history_without_the_server_is_that_of_our_copies() {
    let mut server = FakeServer::start();
    let project = deployed_twice(&server);
    server.go_down();
    let ran = project.run(&["history", "a"]);
    check(&ran, 3);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(ran.stderr.starts_with("error: cannot reach http://127.0.0.1"), "{}", ran.stderr);
    // What nobody here knows of may be on the server.
    let ran = project.run(&["history", "b"]);
    check(&ran, 3);
    assert!(ran.stderr.starts_with("error: cannot reach"), "{}", ran.stderr);
}

#[test]
fn a_plugin_is_named_by_path_or_id_or_kind() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    server.seed(Kind::Function, "clock", &filter("f"));
    server.seed(Kind::Tool, "clock", &tool("t"));
    server.seed(Kind::Tool, "only", &tool("only"));
    let ran = project.run(&["history", "clock"]);
    check(&ran, 2);
    assert_eq!(
        ran.stderr,
        "error: `clock` is both a function and a tool\nhint: say `function:clock` or `tool:clock`\n"
    );
    for (name, version) in [("function:clock", "f"), ("tool:clock", "t"), ("only", "only")] {
        assert_eq!(notices(&project, &["history", name], 0)[0]["version"], version);
    }
    // A file says which is meant.
    project.put("plugins/clock.py", tool("t"));
    assert_eq!(notices(&project, &["history", "clock"], 0)[0]["version"], "t");
    assert_eq!(notices(&project, &["history", "plugins/clock.py"], 0)[0]["version"], "t");

    let refused = |arguments: &[&str], words: &str| {
        let ran = project.run(arguments);
        check(&ran, 2);
        assert!(ran.stderr.starts_with(&format!("error: {words}")), "{arguments:?} {}", ran.stderr);
    };
    refused(&["history", "gone"], "there is no plugin `gone`, neither here nor on the server\nhint: ");
    refused(&["rollback", "plugins/gone.py"], "there is no plugin `plugins/gone.py`");
    project.put("plugins/more/one.py", filter("1"));
    project.put("plugins/more/two.py", filter("1"));
    refused(&["history", "plugins/more"], "`plugins/more` is not one plugin\nhint: ");
    refused(&["rollback", "."], "`.` is not one plugin\nhint: ");
    project.put("plugins/other/one.py", filter("1"));
    refused(&["diff", "one"], "`plugins/more/one.py` and `plugins/other/one.py` claim the id `one`\nhint: ");
    let ran = project.run(&["history", "plugins/other/one.py"]);
    check(&ran, 0);
    assert_eq!(ran.stderr, "nothing is known of function one yet\n");
}

/// The server holds what somebody else has put there, as long as it refuses what is to take its place.
#[test]
fn what_a_refused_deploy_did_not_replace_is_not_replaced() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
        for n in 1..=3 {
            project.put(A, format!("{REFUSED}# {n}\n"));
            check(&project.run(&["--once"]), 1);
        }
        let what = |wanted: &[&str]| {
            let told = notices(&project, &["history", "a"], 0);
            let told: Vec<_> = told
                .iter()
                .map(|entry| {
                    let current = if entry["current"] == true { "*" } else { "" };
                    format!("{} {}{current}", entry["what"].as_str().unwrap(), entry["version"].as_str().unwrap())
                })
                .collect();
            assert_eq!(told, wanted, "{version:?}");
        };
        what(&["on_the_server theirs*", "deployed 2", "deployed 1"]);
        project.put(A, filter("3"));
        check(&project.run(&["--once"]), 0);
        what(&["deployed 3*", "replaced theirs", "deployed 2", "deployed 1"]);
        // What was deployed before may be so again.
        server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
        check(&project.run(&["--once"]), 0);
        what(&["deployed 3*", "replaced theirs", "deployed 3", "replaced theirs", "deployed 2", "deployed 1"]);
    }
}

#[test]
fn many_deploys_are_one_line_each() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for version in 1..=23 {
        project.put(A, filter(&version.to_string()));
        check(&project.run(&["--once"]), 0);
    }
    let told = notices(&project, &["history", "a"], 0);
    let versions: Vec<_> = told.iter().map(|entry| entry["version"].as_str().unwrap_or("none").to_owned()).collect();
    assert_eq!(versions, (1..=23).rev().map(|version: u32| version.to_string()).collect::<Vec<_>>());
    assert!(told.iter().all(|entry| entry["what"] == "deployed"), "{told:#?}");
    let texts = server.lines().into_iter().filter(|line| line.contains("/history/")).count();
    assert_eq!(texts, 19);
}

/// What was taken over from the server counts as ours from then on, so it is kept as ours is.
#[test]
fn what_was_pulled_can_be_put_back() {
    let server = FakeServer::of(Version::V0_9_6);
    let project = deployed_twice(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    check(&project.run(&["pull", "a"]), 0);
    project.put(A, filter("2"));
    check(&project.run(&["--once"]), 0);
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    assert_eq!(text(&server, "a"), filter("theirs"));
}

// ---- rollback -------------------------------------------------------------------------------------------------------

#[test]
fn rollback_puts_the_text_before_back_and_changes_nothing_else() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        let a = key(Kind::Function, "a");
        let ran = project.run(&["rollback", "a", "--yes"]);
        check(&ran, 0);
        assert_eq!((text(&server, "a"), project.read(A)), (filter("1"), filter("2")), "{version:?}");
        assert!(server.row(Kind::Function, "a").unwrap().is_active);
        // The difference, what came of it, and what will come of the file.
        let mut lines = ran.stdout.lines();
        assert_eq!(lines.next(), Some("--- a/a.py\t(server)"));
        assert!(
            lines.next().unwrap().starts_with(&format!("+++ b/a.py\t(1, {}", short(&filter("1")))),
            "{}",
            ran.stdout
        );
        assert!(ran.stdout.contains("\n-version: 2\n+version: 1\n"), "{}", ran.stdout);
        assert!(ran.stdout.contains(" ✓ filter  a             2 → 1  "), "{}", ran.stdout);
        assert!(ran.stdout.ends_with("`plugins/a.py` is not deployed again until it changes\n"), "{}", ran.stdout);
        assert_eq!(ran.stderr, "hint: `owui-watch pull a` writes the server's text to it\n");
        // What a daemon reads.
        let (local, server_digest) = (Digest::of_text(&filter("2")), Digest::of_text(&filter("1")));
        assert_eq!(
            rollback_of(&project, &server, &a),
            Some(Rollback { local: Some(local), server: server_digest, done: true })
        );
        assert!(state(&project, &server).intents().is_empty());
        assert!(project.read(".owui-watch/logs/function-a.log").lines().last().unwrap().contains(" updated "));
        let told = notices(&project, &["history", "a"], 0);
        assert_eq!(
            (&told[0]["version"], &told[0]["what"], &told[0]["current"]),
            (&json!("1"), &json!("deployed"), &json!(true))
        );
        assert!(!project.path(".owui-watch/backups").exists(), "what was replaced is ours, and there is a copy of it");

        // Once more is forward again: to what the file has, which may then be deployed.
        check(&project.run(&["rollback", "a", "--yes"]), 0);
        assert_eq!(text(&server, "a"), filter("2"));
        assert_eq!(rollback_of(&project, &server, &a), None);
    }
}

#[test]
fn rollback_does_nothing_without_a_yes() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let n_writes = writes(&server).len();
    let ran = project.run(&["rollback", "a"]);
    check(&ran, 2);
    assert!(ran.stdout.contains("+version: 1"), "{}", ran.stdout);
    assert_eq!(
        ran.stderr,
        "error: nothing was put back: cannot ask, standard input is not a terminal\nhint: add --yes to do it\n"
    );
    assert_eq!(writes(&server).len(), n_writes);
    assert_eq!(rollback_of(&project, &server, &key(Kind::Function, "a")), None);
    // Where it is wanted and nothing else, nothing else is said.
    let ran = project.run(&["rollback", "a", "--yes", "--quiet"]);
    check(&ran, 0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
}

#[test]
fn rollback_takes_what_history_prints() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    // The same version twice, and a text that only the server has.
    let again = filter("1").replace("pass", "pass  # again");
    server.edit_row(Kind::Function, "a", |row| row.content.clone_from(&again));
    server.edit_row(Kind::Function, "a", |row| row.content = filter("3"));
    let told = notices(&project, &["history", "a"], 0);
    let again_id = told.iter().find(|entry| entry["digest"] == Digest::of_text(&again).to_string()).unwrap();
    let again_id = again_id["server_version_id"].as_str().unwrap().to_owned();
    let put_back = |wanted: &str, expected: &str| {
        check(&project.run(&["rollback", "a", wanted, "--yes"]), 0);
        assert_eq!(text(&server, "a"), expected, "{wanted}");
    };
    put_back("2", &filter("2"));
    put_back(&short(&filter("1")), &filter("1"));
    put_back(&again_id, &again);
    put_back(&short(&filter("3")).to_uppercase(), &filter("3"));

    let ran = project.run(&["rollback", "a", "1", "--yes"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: `1` may be one of 2 texts: "), "{}", ran.stderr);
    for candidate in [short(&again), short(&filter("1"))] {
        assert!(ran.stderr.contains(&candidate[..8]), "{}", ran.stderr);
    }
    let ran = project.run(&["rollback", "a", "no-such", "--yes"]);
    check(&ran, 2);
    assert_eq!(
        ran.stderr,
        "error: no version `no-such` of function a is known\nhint: `owui-watch history a` lists what there is\n"
    );
    assert_eq!(text(&server, "a"), filter("3"));
}

#[test]
fn rollback_finds_a_version_whose_text_was_not_asked_for() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    server.seed(Kind::Tool, "t", &tool("0"));
    for version in 1..=30 {
        server.edit_row(Kind::Tool, "t", |row| row.content = tool(&version.to_string()));
    }
    let told = notices(&project, &["history", "t"], 0);
    let oldest = told.last().unwrap()["server_version_id"].as_str().unwrap().to_owned();
    check(&project.run(&["rollback", "t", &oldest, "--yes"]), 0);
    assert_eq!(server.row(Kind::Tool, "t").unwrap().content, tool("0"));
}

#[test]
fn rollback_to_what_is_there_sends_nothing() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let n_writes = writes(&server).len();
    let ran = project.run(&["rollback", "a", "2", "--yes"]);
    check(&ran, 0);
    assert_eq!(ran.stdout, "the server holds this text of function a already\n");
    assert_eq!(writes(&server).len(), n_writes);

    let project = Project::on(&server);
    server.seed(Kind::Tool, "new", &tool("1"));
    let ran = project.run(&["rollback", "new", "--yes"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: no other text of tool new is known\nhint: "), "{}", ran.stderr);
}

#[test]
fn rollback_keeps_a_copy_of_what_is_not_ours() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
        let told = notices(&project, &["rollback", "a", "--yes"], 0);
        let updated = of(&told, "updated");
        assert_eq!(updated["version"], "2");
        assert_eq!(project.read(updated["backup"].as_str().unwrap()), filter("theirs"));
        assert_eq!(of(&told, "difference")["version"], "2");
        // Which is the way back.
        check(&project.run(&["rollback", "a", "theirs", "--yes"]), 0);
        assert_eq!(text(&server, "a"), filter("theirs"));
    }
}

#[test]
fn a_text_of_ours_from_before_there_were_copies_gets_one() {
    let server = FakeServer::of(Version::V0_9_6);
    let project = deployed_twice(&server);
    let deployed = project.path(&copies("deployed", &server.url(), "function/a"));
    for name in names(&deployed).into_iter().filter(|name| name.contains(&short(&filter("2")))) {
        fs::remove_file(deployed.join(name)).unwrap();
    }
    let told = notices(&project, &["rollback", "a", "1", "--yes"], 0);
    assert!(of(&told, "updated")["backup"].is_null(), "it is ours");
    check(&project.run(&["rollback", "a", "2", "--yes"]), 0);
    assert_eq!(text(&server, "a"), filter("2"));
}

#[test]
fn a_rollback_that_is_refused_leaves_everything_as_it_was() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        let a = key(Kind::Function, "a");
        archive(&project, &server, &a, REFUSED, "20260103T030405Z");
        let before = server.row(Kind::Function, "a").unwrap();
        let told = notices(&project, &["rollback", "a", &short(REFUSED), "--yes"], 1);
        let refused = of(&told, "refused");
        assert_eq!((&refused["words"], &refused["line"]), (&json!("No module named 'no_such_thing'"), &json!(1)));
        assert!(refused["path"].as_str().unwrap().starts_with(".owui-watch/deployed/"), "{refused}");
        let after = server.row(Kind::Function, "a").unwrap();
        assert_eq!((after.content, after.is_active), (before.content, true), "{version:?}");
        assert_eq!(rollback_of(&project, &server, &a), None);
        assert!(state(&project, &server).intents().is_empty());
        assert_eq!(told.iter().any(|notice| notice["event"] == "restored"), version == Version::V0_9_6);

        // What held before, holds.
        check(&project.run(&["rollback", "a", "1", "--yes"]), 0);
        let held = rollback_of(&project, &server, &a);
        assert!(held.is_some());
        check(&project.run(&["rollback", "a", &short(REFUSED), "--yes"]), 1);
        assert_eq!(rollback_of(&project, &server, &a), held);
    }
}

/// Between a refusal and its healing the program was killed, and the function is off.
#[test]
fn a_rollback_first_makes_good_what_a_crash_has_left_behind() {
    let server = FakeServer::of(Version::V0_9_6);
    let project = deployed_twice(&server);
    let (a, now) = (key(Kind::Function, "a"), filter("2"));
    server.edit_row(Kind::Function, "a", |row| row.is_active = false);
    let under_way =
        UpdateIntent { ours: vec![Digest::of_text(REFUSED)], replaced: Some(Digest::of_text(&now)), was_active: true };
    state(&project, &server).save_intent(&a, &under_way).unwrap();
    let told = notices(&project, &["rollback", "a", "1", "--yes"], 0);
    assert_eq!(of(&told, "restored")["id"], "a");
    let after = server.row(Kind::Function, "a").unwrap();
    assert_eq!((after.content, after.is_active), (filter("1"), true));
    assert!(state(&project, &server).intents().is_empty());
}

#[test]
fn what_cannot_work_is_not_put_back() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let n_writes = writes(&server).len();
    let broken = "class Filter:\n    def inlet(self, body:\n";
    archive(&project, &server, &key(Kind::Function, "a"), broken, "20260103T030405Z");
    let ran = project.run(&["rollback", "a", &short(broken), "--yes"]);
    check(&ran, 1);
    assert!(
        ran.stderr.starts_with("error: this text of function a cannot be put back: invalid Python"),
        "{}",
        ran.stderr
    );
    assert_eq!(writes(&server).len(), n_writes);
}

#[test]
fn what_was_deleted_on_the_server_can_be_put_back() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.delete_row(Kind::Function, "a");
    fs::remove_file(project.path(A)).unwrap();
    let told = notices(&project, &["rollback", "a", "--yes"], 0);
    assert_eq!(of(&told, "created")["version"], "2");
    assert!(of(&told, "difference")["diff"].as_str().unwrap().starts_with("--- /dev/null\n"));
    assert_eq!(text(&server, "a"), filter("2"));
    let note = rollback_of(&project, &server, &key(Kind::Function, "a")).unwrap();
    assert_eq!((note.local, note.server), (None, Digest::of_text(&filter("2"))));
}

#[test]
fn a_rollback_whose_answer_is_lost_is_looked_at_again() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        server.fail_next_of("/update", 1, Fault::ResetAfter);
        let told = notices(&project, &["rollback", "a", "--yes"], 0);
        of(&told, "updated");
        server.fail_next_of("/update", 1, Fault::ResetBefore);
        let told = notices(&project, &["rollback", "a", "2", "--yes"], 3);
        assert_eq!(of(&told, "failed")["reason"], "unanswered");
        assert_eq!(text(&server, "a"), filter("1"), "{version:?}");
    }
}

#[test]
fn the_commands_run_beside_a_daemon() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let _watch = project.watch();
    check(&project.run(&["history", "a"]), 0);
    check(&project.run(&["diff"]), 0);
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    assert_eq!(text(&server, "a"), filter("1"));
    check(&project.run(&["diff"]), 1);
}

#[test]
fn after_a_rollback_a_daemon_waits_for_a_change() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let mut watch = project.watch();
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    // Saved as it was.
    project.write(A, &filter("2"));
    watch.wait("rolled_back", Some("a"));
    assert_eq!(text(&server, "a"), filter("1"));
    project.write(A, &filter("3"));
    watch.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("3"));
    assert_eq!(rollback_of(&project, &server, &key(Kind::Function, "a")), None);

    // The same for one that is started later.
    check(&project.run(&["rollback", "a", "2", "--yes"]), 0);
    drop(watch);
    let mut watch = project.watch_with(&[]);
    watch.wait("rolled_back", Some("a"));
    watch.wait("summary", None);
    assert_eq!(text(&server, "a"), filter("2"));
}

/// Else the daemon would take for somebody else's what stands on the server after that.
#[test]
fn a_rollback_knows_what_was_saved_since_it_began() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.hold("/api/version");
    std::thread::scope(|scope| {
        let n_before = server.lines().iter().filter(|line| line.contains("/api/version")).count();
        let rollback = scope.spawn(|| project.run(&["rollback", "a", &short(&filter("2")), "--yes"]));
        // It has read the files by then.
        server.wait_for("/api/version", n_before + 1);
        project.write(A, &filter("3"));
        server.edit_row(Kind::Function, "a", |row| row.content = filter("3"));
        server.release();
        check(&rollback.join().unwrap(), 0);
    });
    assert_eq!(text(&server, "a"), filter("2"));
    let noted = rollback_of(&project, &server, &key(Kind::Function, "a")).unwrap();
    let digest = |version| Digest::of_text(&filter(version));
    assert_eq!((noted.local, noted.server, noted.done), (Some(digest("3")), digest("2"), true));
}

/// A deploy takes minutes, and the user wants an earlier text back meanwhile.
#[test]
fn a_rollback_beside_a_slow_deploy_is_undone_by_it_and_the_user_is_told() {
    let server = FakeServer::of(Version::V0_12_4);
    let project = deployed_twice(&server);
    let mut watch = project.watch();
    deploying(&server, &project);
    check(&project.run(&["rollback", "a", "1", "--yes"]), 0);
    assert_eq!(text(&server, "a"), filter("1"));
    server.release();
    let told = watch.wait("rollback_undone", Some("a"));
    assert_eq!(text(&server, "a"), filter("3"));
    let wanted = short(&filter("1"));
    let hint = &of(&told, "rollback_undone")["hint"];
    assert!(hint.as_str().unwrap().contains(&format!("`owui-watch rollback a {wanted}`")), "{hint}");
    let a = key(Kind::Function, "a");
    assert_eq!(rollback_of(&project, &server, &a), None);
    // As it says.
    check(&project.run(&["rollback", "a", &wanted, "--yes"]), 0);
    project.write(A, &filter("3"));
    watch.wait("rolled_back", Some("a"));
    assert_eq!(text(&server, "a"), filter("1"));
}

/// Where the server may switch off what it refuses, it is on disk that something is under way.
#[test]
fn what_a_daemon_is_known_to_deploy_is_not_rolled_back_meanwhile() {
    let server = FakeServer::of(Version::V0_9_6);
    let project = deployed_twice(&server);
    let (mut watch, a) = (project.watch(), key(Kind::Function, "a"));
    deploying(&server, &project);
    let (under_way, n_writes) = (state(&project, &server).intents(), writes(&server).len());
    let ran = project.run(&["rollback", "a", "1", "--yes"]);
    check(&ran, 1);
    let why = format!(
        "error: nothing was put back: another owui-watch (pid {}) is deploying function a just now\n\
         hint: try again in a moment\n",
        watch.pid()
    );
    assert_eq!(ran.stderr, why);
    assert_eq!((state(&project, &server).intents(), writes(&server).len()), (under_way, n_writes));
    assert_eq!(rollback_of(&project, &server, &a), None);
    server.release();
    watch.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("3"));
}

/// Saves a third text, which is on its way until the server is released.
fn deploying(server: &FakeServer, project: &Project) {
    let before = server.lines().iter().filter(|line| line.contains("/update")).count();
    server.fail_next_of("/update", 1, Fault::Delay);
    project.write(A, &filter("3"));
    server.wait_for("/update", before + 1);
}

#[test]
fn a_pulled_file_is_unchanged_to_a_daemon() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    let n_writes = writes(&server).len();
    let mut watch = project.watch();
    // The first pass has deployed the file; an edit after it is what is pulled.
    server.edit_row(Kind::Function, "a", |row| row.content = filter("later"));
    check(&project.run(&["pull", "a"]), 0);
    let told = watch.wait("unchanged", Some("a"));
    assert_eq!(told.last().unwrap()["version"], "later");
    assert_eq!(writes(&server).len(), n_writes + 1);
}

#[test]
fn copies_are_those_of_one_server() {
    let (staging, production) = (FakeServer::of(Version::V0_9_6), FakeServer::of(Version::V0_9_6));
    let project = deployed_twice(&production);
    for version in ["3-staging", "4-staging"] {
        project.put(A, filter(version));
        check(&project.run(&["--once", "--url", &staging.url()]), 0);
        staging.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    }
    let versions = |server: &FakeServer| {
        let told = notices(&project, &["history", "a", "--url", &server.url()], 0);
        told.iter().map(|entry| entry["version"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(versions(&production), ["2", "1"]);
    assert_eq!(versions(&staging), ["theirs", "4-staging", "theirs", "3-staging"]);
    check(&project.run(&["rollback", "a", "theirs", "--yes"]), 2);
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    assert_eq!(text(&production, "a"), filter("1"));
}

#[test]
fn of_many_texts_that_may_be_meant_a_few_are_named() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let same_version = |n: u32| filter("1.0").replace("pass", &format!("n = {n}"));
    for n in 0..12 {
        project.put(A, same_version(n));
        check(&project.run(&["--once"]), 0);
    }
    let ran = project.run(&["rollback", "a", "1.0", "--yes"]);
    check(&ran, 2);
    let [first, second, third] = [11, 10, 9].map(|n| short(&same_version(n))[..8].to_owned());
    assert_eq!(
        ran.stderr,
        format!(
            "error: `1.0` may be one of 12 texts, such as {first}, {second} and {third}\n\
             hint: name one by its digest, as `owui-watch history a` lists them with their times\n"
        )
    );
}

// ---- diff -----------------------------------------------------------------------------------------------------------

#[test]
fn diff_shows_what_a_deploy_would_change() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put(A, filter("3"));
    let found = fs::read_dir(project.path(".")).unwrap().count();
    for arguments in [&["diff"][..], &["diff", "a"], &["diff", A], &["diff", "--quiet"]] {
        let ran = project.run(arguments);
        check(&ran, 1);
        let expected = [
            "--- a/plugins/a.py\t(server)",
            "+++ b/plugins/a.py",
            "@@ -1,6 +1,6 @@",
            " \"\"\"",
            " title: A filter",
            "-version: 2",
            "+version: 3",
            " \"\"\"",
            " ",
            " ",
        ];
        assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected);
        assert_eq!(ran.stderr, "");
    }
    assert_eq!(fs::read_dir(project.path(".")).unwrap().count(), found);
    let told = notices(&project, &["diff"], 1);
    let difference = of(&told, "difference");
    assert_eq!((&difference["id"], &difference["path"]), (&json!("a"), &json!(A)));
    assert!(difference["diff"].as_str().unwrap().contains("\n-version: 2\n+version: 3\n"));

    project.put(A, filter("2"));
    let ran = project.run(&["diff"]);
    check(&ran, 0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "no difference (1 plugin)\n"));
    assert_eq!(of(&notices(&project, &["diff"], 0), "same")["id"], "a");
}

#[test]
fn line_ends_and_the_servers_rewriting_are_no_difference() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let text = format!("from utils import misc\n{}", filter("1"));
    project.put(A, format!("\u{feff}{}", text.replace('\n', "\r\n")));
    check(&project.run(&["--once"]), 0);
    check(&project.run(&["diff"]), 0);
    // Beside a real one neither is shown.
    server.edit_row(Kind::Function, "a", |row| row.content = row.content.replace("pass", "...").replace('\n', "\r\n"));
    let ran = project.run(&["diff"]);
    check(&ran, 1);
    assert!(ran.stdout.contains("\n-    ...\n+    pass\n"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("open_webui") && !ran.stdout.contains('\r'), "{}", ran.stdout);
}

#[test]
fn diff_says_what_has_nothing_to_be_compared_with() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("plugins/new.py", tool("1"));
    project.put("plugins/latin.py", b"class Filter:\n    name = 'caf\xe9'\n");
    let ran = project.run(&["diff"]);
    check(&ran, 1);
    assert_eq!(ran.stdout, "");
    assert_eq!(
        ran.stderr,
        "error: cannot compare `plugins/latin.py`: not UTF-8 text\n`plugins/new.py` is not on the server\n"
    );
    check(&project.run(&["diff", "plugins/latin.py"]), 1);
    server.seed(Kind::Function, "theirs", &filter("1"));
    let ran = project.run(&["diff", "theirs"]);
    check(&ran, 1);
    assert_eq!(ran.stderr, "function theirs has no file here\nhint: `owui-watch pull theirs` writes one\n");
}

/// The ways on that the hint of a held deploy names, with nobody ended for them.
#[test]
fn what_is_held_is_gone_on_with_beside_a_daemon() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/a.py", filter("1"));
    project.put("watch.toml", "on_remote_edit = \"hold\"\n");
    let mut watch = project.watch();
    let hold = |watch: &mut Watch, theirs: &str, ours: &str| {
        server.edit_row(Kind::Function, "a", |row| row.content = filter(theirs));
        project.write("plugins/a.py", &filter(ours));
        let held = watch.wait("remote_edit", Some("a")).pop().unwrap();
        let hint = held["hint"].as_str().unwrap();
        assert!(hint.contains("`owui-watch pull a`") && hint.contains("on_remote_edit = \"backup\""), "{hint}");
    };
    // Saving it again changes nothing.
    hold(&mut watch, "theirs", "2");
    project.write("plugins/a.py", &filter("2"));
    watch.wait("remote_edit", Some("a"));
    // What is pulled is known, and what is saved after it deployed: it was kept.
    let told = notices(&project, &["pull", "a"], 0);
    let ours = project.read(of(&told, "pulled")["backup"].as_str().unwrap());
    watch.wait("unchanged", Some("a"));
    project.write("plugins/a.py", &ours);
    watch.wait("updated", Some("a"));
    assert_eq!(server.row(Kind::Function, "a").unwrap().content, filter("2"));

    hold(&mut watch, "theirs again", "3");
    project.write("watch.toml", "on_remote_edit = \"backup\"\n");
    let updated = watch.wait("updated", Some("a")).pop().unwrap();
    assert_eq!(project.read(updated["backup"].as_str().unwrap()), filter("theirs again"));
    assert_eq!(server.row(Kind::Function, "a").unwrap().content, filter("3"));
}

#[test]
fn a_file_that_is_broken_can_be_compared_and_pulled() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let broken = filter("2").replace("class Filter:", "class Filter");
    project.put(A, &broken);
    let ran = project.run(&["diff", "a"]);
    check(&ran, 1);
    assert!(ran.stdout.contains("\n-class Filter:\n+class Filter\n"), "{}", ran.stdout);
    check(&project.run(&["pull"]), 0);
    assert_eq!(project.read(A), filter("2"));
}

#[test]
fn many_plugins_cost_few_requests() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for n in 0..10 {
        server.seed(Kind::Function, &format!("f{n}"), &filter("1"));
        project.put(&format!("plugins/f{n}.py"), filter("1"));
    }
    let before = server.lines().len();
    check(&project.run(&["diff"]), 0);
    assert_eq!(
        server.lines().split_off(before),
        ["GET /api/version", "GET /api/v1/functions/export", "GET /api/v1/tools/export"]
    );
}

#[test]
fn a_difference_is_coloured_for_people_only() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put(A, filter("3"));
    let plain = project.run(&["diff"]).stdout;
    let project = project.with("CLICOLOR_FORCE", "1");
    let coloured = project.run(&["diff"]).stdout;
    assert!(coloured.contains("\u{1b}[32m+version: 3\u{1b}[0m\n"), "{coloured:?}");
    let project = project.with("NO_COLOR", "1").with("CLICOLOR_FORCE", "0");
    assert_eq!(project.run(&["diff"]).stdout, plain);
    assert!(!plain.contains('\u{1b}'));
}

#[test]
fn diff_tells_of_what_is_on_the_server_alone() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("plugins/off.py", tool("1"));
    project.write("watch.toml", "[plugins.\"plugins/off.py\"]\nenabled = false\n");
    server.seed(Kind::Tool, "off", &tool("1"));
    server.seed(Kind::Function, "theirs", &filter("1"));
    server.seed(Kind::Tool, "a", &tool("1"));
    let ran = project.run(&["diff"]);
    check(&ran, 0);
    assert_eq!(
        ran.stderr,
        "2 plugins of the server have no file here: function theirs and tool a\n\
         hint: `owui-watch pull ID` writes one, `owui-watch pull --all` writes all of them\n\
         no difference (1 plugin)\n"
    );
    let told = notices(&project, &["diff"], 0);
    let without: Vec<_> = told.iter().filter(|notice| notice["event"] == "no_file").collect();
    assert_eq!(without.iter().map(|notice| &notice["id"]).collect::<Vec<_>>(), ["theirs", "a"]);
    for n in 0..20 {
        server.seed(Kind::Tool, &format!("t{n:02}"), &tool("1"));
    }
    let ran = project.run(&["diff"]);
    assert!(
        ran.stderr.starts_with(
            "22 plugins of the server have no file here: function theirs, tool a, tool t00, tool t01, tool t02 and \
             17 more (--verbose names them)\n"
        ),
        "{}",
        ran.stderr
    );
    // What one is asked about is not the rest.
    assert_eq!(project.run(&["diff", "a"]).stderr, "no difference (1 plugin)\n");
}

// ---- pull -----------------------------------------------------------------------------------------------------------

#[test]
fn pull_writes_what_differs_and_keeps_what_was_there() {
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

        // To a run it is what the server holds.
        let told = notices(&project, &["--once"], 0);
        assert_eq!(told.iter().filter(|notice| notice["event"] == "updated").count(), 0, "{told:#?}");
        let ran = project.run(&["pull"]);
        check(&ran, 0);
        assert_eq!(ran.stderr, "nothing to pull: no file differs from the server\n");
        // The copy is part of the history, and not what a rollback goes back to by itself.
        let told = notices(&project, &["history", "a"], 0);
        of(&told.iter().filter(|entry| entry["what"] == "local_file").cloned().collect::<Vec<_>>(), "history");
    }
}

#[test]
fn a_pull_undoes_the_servers_rewriting_and_nothing_else() {
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
            "pulled plugins/a.py; what was in it is in {}/",
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

    // What is there under that name is not touched.
    server.seed(Kind::Tool, "taken", &tool("1"));
    project.put("plugins/taken.py", "print('something else')\n");
    let ran = project.run(&["pull", "taken"]);
    check(&ran, 1);
    assert_eq!(ran.stderr, "error: `plugins/taken.py` is there already, and is not this plugin\n");
    assert_eq!(project.read("plugins/taken.py"), "print('something else')\n");

    // Nor is a file made that would be another plugin.
    server.seed(Kind::Tool, "old_name", &tool("1").replace("title", "id: new_name\ntitle"));
    let ran = project.run(&["pull", "old_name"]);
    check(&ran, 1);
    assert_eq!(
        ran.stderr,
        "error: `plugins/old_name.py` was not written: with the server's text it would have the id `new_name`\n\
         hint: give the file its id in watch.toml: [plugins.\"plugins/old_name.py\"] with id = \"old_name\"\n"
    );
    assert!(!project.path("plugins/old_name.py").exists());
    check(&project.run(&["pull", "gone"]), 2);

    // One that a run would not find is told of.
    project.put("plugins/.gitignore", "hidden.py\n");
    server.seed(Kind::Tool, "hidden", &tool("1"));
    let ran = project.run(&["pull", "hidden"]);
    check(&ran, 0);
    assert!(
        ran.stderr.starts_with("warning: `plugins/hidden.py` is no plugin that a run would deploy\nhint: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn pull_tells_of_what_has_no_file_and_writes_it_when_told_to() {
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

    // Nobody is there to say yes.
    let ran = project.run(&["pull", "--all"]);
    check(&ran, 2);
    let refused =
        "error: nothing was written: cannot ask, standard input is not a terminal\nhint: add --yes to do it\n";
    assert_eq!(ran.stderr, format!("{alone}{refused}"));
    assert_eq!(names(&project.path("plugins")), Vec::<String>::new());

    // Of several, one that there is not spoils all.
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
fn what_was_not_deployed_from_here_is_not_called_so() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        // By a pull.
        server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
        check(&project.run(&["pull", "a"]), 0);
        // By a first look.
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
fn a_pull_that_was_asked_for_and_is_not_needed_says_so() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let ran = project.run(&["pull", "a"]);
    check(&ran, 0);
    assert_eq!(ran.stdout, "`plugins/a.py` is as the server holds it\n");
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
fn what_was_pulled_is_nobody_elses_when_the_file_changes() {
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
fn nothing_is_overwritten_that_cannot_be_kept() {
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
fn a_pull_goes_through_a_link_and_keeps_permissions() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let server = FakeServer::start();
    let project = Project::on(&server);
    // Not found there by itself, so that the link is the plugin.
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
fn what_two_files_claim_is_pulled_into_neither() {
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
fn without_the_folder_there_is_still_a_way_back() {
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
        assert_eq!(
            ran.stderr,
            "error: there is no folder `plugins`\n\
             hint: create it, or set `root` in watch.toml (or --root) to the folder with the plugins\n"
        );
    }
    assert!(!project.path("plugins").exists(), "whether it is a folder that is missing or a word that is wrong");
    fs::create_dir(project.path("plugins")).unwrap();
    check(&project.run(&["pull", "a"]), 0);
    assert_eq!(project.read(A), filter("1"));
}

// ---- all of them ----------------------------------------------------------------------------------------------------

#[test]
fn without_a_server_that_lets_us_in_there_is_a_reason() {
    let mut server = FakeServer::start();
    let project = deployed_twice(&server);
    let commands = [&["diff"][..], &["pull"], &["rollback", "a", "--yes"], &["history", "a"]];
    let wrong = deployed_twice(&server).with("OPENWEBUI_API_KEY", "sk-wrong");
    for arguments in commands {
        let ran = wrong.run(arguments);
        check(&ran, 3);
        let start = "error: the server denied access with the key from `OPENWEBUI_API_KEY`: ";
        assert!(ran.stderr.starts_with(start) && ran.stderr.contains("\nhint: "), "{arguments:?} {}", ran.stderr);
    }
    server.go_down();
    for arguments in commands {
        let ran = project.run(arguments);
        check(&ran, 3);
        assert!(
            ran.stderr.starts_with(&format!("error: cannot reach {}: ", server.url())),
            "{arguments:?} {}",
            ran.stderr
        );
    }
}

#[test]
fn the_server_can_be_said_on_either_side_of_the_command() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let elsewhere = Project::new().with("OPENWEBUI_API_KEY", crate::support::fake_server::KEY);
    elsewhere.put("own/a.py", filter("3"));
    for arguments in
        [["--url", &server.url(), "--root", "own", "diff"], ["diff", "--root", "own", "--url", &server.url()]]
    {
        check(&elsewhere.run(&arguments), 1);
    }
    drop(project);
}

#[test]
fn without_a_login_there_is_a_session() {
    let server = FakeServer::start();
    server.open_the_door();
    let project = Project::new().with("OPENWEBUI_URL", &server.url());
    project.put(A, filter("1"));
    check(&project.run(&["--once"]), 0);
    check(&project.run(&["diff"]), 0);
    check(&project.run(&["history", "a"]), 0);
}

#[test]
fn an_error_is_json_where_json_is_wanted() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    for (arguments, code, message) in [
        (&["history", "gone"][..], 2, "there is no plugin `gone`, neither here nor on the server"),
        (&["diff", "gone"], 2, "there is no plugin `gone`, neither here nor on the server"),
        (&["rollback", "a", "9", "--yes"], 2, "no version `9` of function a is known"),
        (&["rollback", "a"], 2, "nothing was put back: cannot ask, standard input is not a terminal"),
        (&["--once", "--root", "gone"], 2, "cannot watch `gone`: there is no such folder"),
    ] {
        let told = notices(&project, arguments, code);
        let error = of(&told, "error");
        assert_eq!((&error["message"], &error["level"]), (&json!(message), &json!("error")), "{arguments:?}");
        assert!(error["hint"].is_string() && error["time"].is_string(), "{error}");
    }
    let wrong = deployed_twice(&server).with("OPENWEBUI_API_KEY", "sk-wrong");
    let told = notices(&wrong, &["pull"], 3);
    assert!(of(&told, "error")["message"].as_str().unwrap().starts_with("the server denied access"), "{told:?}");
}

// ---- words that name nothing ----------------------------------------------------------------------------------------

#[track_caller]
fn refused(project: &Project, arguments: &[&str], message: &str, hint: &str) {
    let ran = project.run(arguments);
    check(&ran, 2);
    assert_eq!((&*ran.stdout, &*ran.stderr), ("", &*format!("error: {message}\nhint: {hint}\n")), "{arguments:?}");
}

#[test]
fn a_mistyped_command_does_nothing() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/shout.py", filter("1"));
    project.put("plugins/clock.py", tool("1"));
    let nothing = |word: &str| format!("`{word}` is no command, and no plugin here has this id or path");
    let list = "name a plugin by its id or path; `owui-watch --help` lists the commands";
    for (arguments, word, hint) in [
        (&["roolback", "shout"][..], "roolback", "did you mean `owui-watch rollback`?"),
        (&["histroy", "shout"], "histroy", "did you mean `owui-watch history`?"),
        (&["status"], "status", "did you mean `owui-watch service status`?"),
        (&["watch"], "watch", "did you mean `owui-watch`?"),
        (&["wait"], "wait", "did you mean `owui-watch --wait`?"),
        (&["version"], "version", "did you mean `owui-watch --version`?"),
        (&["--once", "shuot"], "shuot", "did you mean `shout`?"),
        (&["shout", "clokc"], "clokc", "did you mean `clock`?"),
        (&["plugins/shuot.py"], "plugins/shuot.py", "did you mean `plugins/shout.py`?"),
        (&["Shout"], "Shout", "did you mean `shout`?"),
        (&["--dry-run", "xyz"], "xyz", list),
        (&["xyz/"], "xyz/", list),
    ] {
        refused(&project, arguments, &nothing(word), hint);
    }
    refused(
        &project,
        &["shout", "rollback"],
        "`rollback` is a command, and no plugin here has this id",
        "a command comes first: `owui-watch rollback`",
    );
    let told = notices(&project, &["roolback", "shout"], 2);
    assert_eq!(
        (told.len(), &told[0]["event"], &told[0]["hint"]),
        (1, &json!("error"), &json!("did you mean `owui-watch rollback`?"))
    );
    assert_eq!(server.lines(), Vec::<String>::new(), "nothing is asked, and nothing sent");
    assert!(!project.path(".owui-watch").exists(), "nothing is kept");
    // What is named after a command may be on the server alone.
    for command in ["diff", "pull"] {
        let message = "there is no plugin `shuot`, neither here nor on the server";
        refused(&project, &[command, "shuot"], message, "did you mean `shout`?");
    }
}

#[test]
fn help_is_a_command() {
    let project = Project::new();
    let help = project.run(&["help"]);
    check(&help, 0);
    assert_eq!(help.stdout, project.run(&["--help"]).stdout);
    let of_pull = project.run(&["help", "pull"]);
    check(&of_pull, 0);
    assert_eq!(of_pull.stdout, project.run(&["pull", "--help"]).stdout);
    let unknown = project.run(&["help", "shout"]);
    check(&unknown, 2);
    assert!(unknown.stderr.contains("unrecognized subcommand 'shout'"), "{}", unknown.stderr);
}

/// A watch is about what is there, whether it can be deployed yet or not.
#[test]
fn a_file_that_is_no_plugin_yet_can_be_watched() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/empty.py", "");
    project.put("plugins/broken.py", "class Filter(:\n");
    project.put("plugins/mine.py", "class Filter(:\n");
    project.put("plugins/helper.py", "X = 1\n");
    project.put("plugins/deep/readme.txt", "");
    project.put("watch.toml", "[plugins.\"plugins/mine.py\"]\nid = \"renamed\"\n");
    let absolute = project.path("plugins/empty.py").canonicalize().unwrap();
    for word in [
        "plugins/empty.py",
        "./plugins/empty.py",
        absolute.to_str().unwrap(),
        "plugins/helper.py",
        "plugins/deep",
        "plugins",
        ".",
    ] {
        let mut watch = project.watch_with(&[word]);
        watch.wait("ready", None);
        watch.kill();
    }
    let ran = project.run(&["--once", "broken"]);
    check(&ran, 1);
    assert!(ran.stderr.contains("plugins/broken.py:1:14: error: invalid Python"), "{}", ran.stderr);
    // What is mended is deployed, also when it was named by its id.
    for (id, file) in [("empty", "empty"), ("broken", "broken"), ("renamed", "mine")] {
        let mut watch = project.watch_with(&[id]);
        watch.wait("ready", None);
        project.write(&format!("plugins/{file}.py"), &filter("1"));
        watch.wait("created", Some(id));
        watch.kill();
    }
}

#[test]
fn what_is_left_out_cannot_be_watched() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for path in ["plugins/tests/a.py", "plugins/notes.txt", "elsewhere/b.py", "plugins/ignored.py"] {
        project.put(path, filter("1"));
    }
    project.put("plugins/.gitignore", "ignored.py\n");
    let hint = "name a plugin file, or a folder, in a root that neither `exclude` nor .gitignore leaves out";
    for path in [
        "plugins/tests/a.py",
        "plugins/tests",
        "plugins/notes.txt",
        "elsewhere/b.py",
        "elsewhere",
        "plugins/ignored.py",
    ] {
        refused(&project, &[path], &format!("`{path}` is not watched"), hint);
    }
    refused(
        &project,
        &["--root", "gone", "--root", "plugins", "later"],
        "cannot look for `later`: there is no folder `gone`",
        "create it, or set `root` in watch.toml (or --root) to the folder with the plugins",
    );
}

#[test]
fn a_path_is_one_from_where_the_user_stands() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/deep/a.py", filter("1"));
    for (folder, word, code) in [
        ("plugins/deep", "a.py", 0),
        ("plugins/deep", "./b.py", 2),
        ("plugins", "deep/", 0),
        ("plugins", "plugins/deep", 2),
    ] {
        let arguments =
            ["--root", &project.path("plugins").canonicalize().unwrap().display().to_string(), "--once", word]
                .map(str::to_owned);
        let output = project.command(&arguments).current_dir(project.path(folder)).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{folder}: {word}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

// ---- what others say ------------------------------------------------------------------------------------------------

/// The title of a captive portal, or any other text, with all that a terminal could obey.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{9b}2J\u{0}\u{1b}[2Jfree\u{202e}\u{61c}\u{200b} wifi\u{2028}";

#[track_caller]
fn steers_nothing(ran: &Ran) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("free") && said.contains("wifi"), "{said:?}");
    let is_obeyed = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{61c}\u{200b}\u{2028}".contains(c);
    assert!(!said.chars().any(is_obeyed), "{said:?}");
}

#[test]
fn no_answer_steers_the_terminal() {
    let portal = format!("<html><head><title>{HOSTILE}</title></head></html>").leak();
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let commands =
        [&["diff"][..], &["diff", "a"], &["history", "a"], &["pull"], &["rollback", "a", "--yes"], &["--once"]];
    for arguments in commands {
        for format in [&[][..], &["-vv"], &["--json"]] {
            server.fail_next_of("GET /api", 9, Fault::Says(200, portal));
            let ran = project.run(&[arguments, format].concat());
            server.recover();
            check(&ran, 3);
            steers_nothing(&ran);
        }
    }
}

#[test]
fn no_text_on_the_server_steers_the_terminal() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let refused = json!({ "detail": HOSTILE }).to_string().leak();
    server.fail_next_of("POST /api/v1/functions/id/a/update", 2, Fault::Says(400, refused));
    for format in [&[][..], &["--json"]] {
        let ran = project.run(&[&["rollback", "a", "--yes", "--quiet"], format].concat());
        check(&ran, 1);
        steers_nothing(&ran);
    }
    let log = project.read(".owui-watch/logs/function-a.log");
    assert!(log.contains("free") && !log.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{log:?}");

    server.edit_row(Kind::Function, "a", |row| row.content = filter(HOSTILE));
    for arguments in [&["history", "a"][..], &["history", "a", "--json"], &["diff", "--json"]] {
        steers_nothing(&project.run(arguments));
    }
    let ran = project.run(&["pull", "a"]);
    check(&ran, 0);
    steers_nothing(&ran);
    assert_eq!(project.read(A), filter(HOSTILE), "the text itself is what it is");
}

#[test]
#[cfg(unix)]
fn no_name_steers_the_terminal() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let name = "plugins/free\u{1b}[2J\u{202e}\u{9b}2J\nwifi.py";
    project.put(name, "class Filter(:\n    pass\n");
    for arguments in [
        &["--once"][..],
        &["--once", "-vv"],
        &["--once", "--json"],
        &["diff"],
        &["pull", name],
        &["pull\u{1b}[2J free wifi"],
    ] {
        steers_nothing(&project.run(arguments));
    }
    let version = project.run(&["--version", "\u{1b}]0;x\u{7}"]);
    let expected = format!("owui-watch {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.stdout, version.stderr), (Some(0), expected, String::new()));
    steers_nothing(&project.run(&["--no-such-flag\u{1b}]0;x\u{7}\u{9b}2Jfree\u{202e}wifi"]));
}

// ---- on a real server -----------------------------------------------------------------------------------------------

#[cfg(unix)]
async fn there_and_back(version: Version) {
    use crate::support::{Login, Server, real_server};
    use owui_watch::engine::deploy::{Call, Reply};
    use secrecy::ExposeSecret as _;

    let sandbox = real_server(version, Login::Asked).await;
    let server = Server::real(&sandbox);
    let secret = server.key.as_ref().unwrap().expose_secret();
    let project = Project::new().with("OPENWEBUI_URL", &server.url).with("OPENWEBUI_API_KEY", secret);
    let a = key(Kind::Function, "a");
    let text = |version: &str| format!("{}from utils import misc\n", filter(version).replace("pass", "toggle = True"));
    let content = async || match server.client().call(Call::Get(a.clone())).await {
        Reply::Row(row) => (row.content.unwrap(), row.is_active),
        reply => panic!("{reply:?}"),
    };
    let stored = |text: &str| text.replace("from utils", "from open_webui.utils");
    for version in ["1", "2"] {
        project.put(A, text(version));
        check(&project.run(&["--once"]), 0);
    }
    assert_eq!(server.post("/api/v1/functions/id/a/toggle", &Value::Null).await.0, 200);

    let told = notices(&project, &["history", "a"], 0);
    let versions: Vec<_> = told.iter().map(|entry| entry["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["2", "1"], "{told:#?}");
    assert_eq!(told[0]["current"], true);
    assert_eq!(told.iter().all(|entry| entry["server_version_id"].is_string()), version == Version::V0_12_4);
    check(&project.run(&["diff"]), 0);

    let told = notices(&project, &["rollback", "a", "--yes"], 0);
    of(&told, "updated");
    assert_eq!(content().await, (stored(&text("1")), Some(true)));
    let ran = project.run(&["diff", "a"]);
    check(&ran, 1);
    assert!(
        ran.stdout.contains("\n-version: 1\n+version: 2\n") && !ran.stdout.contains("open_webui"),
        "{}",
        ran.stdout
    );
    assert_eq!(notices(&project, &["history", "a"], 0)[0]["version"], "1");

    check(&project.run(&["pull", "a"]), 0);
    assert_eq!(project.read(A), text("1"));
    check(&project.run(&["diff"]), 0);

    // What the server refuses leaves it as it was. A pull has kept it.
    project.put(A, REFUSED);
    check(&project.run(&["pull", "a"]), 0);
    // How the import was spelled here, this file did not say.
    assert_eq!(project.read(A), stored(&text("1")));
    project.put(A, text("1"));
    let told = notices(&project, &["rollback", "a", &short(REFUSED), "--yes"], 1);
    assert_eq!(of(&told, "refused")["words"], "No module named 'no_such_thing'");
    assert_eq!(content().await, (stored(&text("1")), Some(true)));

    // What an admin does in the browser is kept, and comes here with a pull.
    let row = server.get("/api/v1/functions/id/a").await.1;
    let theirs = json!({"id": "a", "name": row["name"], "content": text("theirs"), "meta": row["meta"]});
    assert_eq!(server.post("/api/v1/functions/id/a/update", &theirs).await.0, 200);
    let told = notices(&project, &["rollback", "a", "2", "--yes"], 0);
    assert_eq!(project.read(of(&told, "updated")["backup"].as_str().unwrap()), stored(&text("theirs")));
    assert_eq!(content().await.0, stored(&text("2")));
    check(&project.run(&["rollback", "a", "theirs", "--yes"]), 0);
    check(&project.run(&["pull"]), 0);
    assert_eq!(project.read(A), text("theirs"), "the import is spelled as it was here");
    sandbox.stop();
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn there_and_back_on_a_real_server() {
    there_and_back(Version::V0_12_4).await;
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn there_and_back_on_an_older_one() {
    there_and_back(Version::V0_9_6).await;
}
