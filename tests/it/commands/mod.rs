//! The built binary's `status`, `on`, `off`, `global`, `history`, `rollback`, `diff` and `pull`, against the fake server.

mod check;
mod delete;
mod deploy;
mod diff;
mod doctor;
mod history;
mod pull;
mod rollback;
mod status;
mod switch;
mod trial;
mod words;

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
use crate::support::sentences::CANNOT_ASK;

const A: &str = "plugins/a.py";
/// One that keeps versions; one that does not, and switches off functions that it refuses.
const VERSIONS: [Version; 2] = [Version::V0_12_4, Version::V0_9_6];

fn key(kind: Kind, id: &str) -> Key {
    Key { kind, id: PluginId::new(id).unwrap() }
}

fn state(project: &Project, server: &FakeServer) -> Folder {
    Folder::new(project.path(".owui-watch"), &server.url())
}

/// Leaves state as a run does that deployed this text.
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

// ---- all of them ----------------------------------------------------------------------------------------------------

#[test]
fn a_server_that_denies_access_gives_a_reason() {
    let mut server = FakeServer::start();
    let project = deployed_twice(&server);
    let commands =
        [&["diff"][..], &["pull"], &["rollback", "a", "--yes"], &["history", "a"], &["status"], &["on", "a"]];
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
fn the_server_flag_works_before_and_after_the_command() {
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
fn commands_work_on_a_server_without_login() {
    let server = FakeServer::start();
    server.open_the_door();
    let project = Project::new().with("OPENWEBUI_URL", &server.url());
    project.put(A, filter("1"));
    check(&project.run(&["--once"]), 0);
    check(&project.run(&["diff"]), 0);
    check(&project.run(&["history", "a"]), 0);
}

#[test]
fn json_output_has_json_errors() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    for (arguments, code, message) in [
        (&["history", "gone"][..], 2, "there is no plugin `gone` here or on the server"),
        (&["diff", "gone"], 2, "there is no plugin `gone` here or on the server"),
        (&["rollback", "a", "9", "--yes"], 2, "no version `9` of function a is known"),
        (&["rollback", "a"], 2, &format!("nothing was restored: {CANNOT_ASK}")),
        (&["--once", "--root", "gone"], 2, "cannot watch `gone`: there is no such folder"),
    ] {
        let told = notices(&project, arguments, code);
        let error = of(&told, "error");
        assert_eq!((&error["message"], &error["level"]), (&json!(message), &json!("error")), "{arguments:?}");
        assert!(error["hint"].is_string() && error["time"].is_string(), "{error}");
    }
    let wrong = deployed_twice(&server).with("OPENWEBUI_API_KEY", "sk-wrong");
    let told = notices(&wrong, &["pull"], 3);
    assert!(of(&told, "error")["message"].as_str().unwrap().contains("`OPENWEBUI_API_KEY`"), "{told:?}");
}

// ---- what others say ------------------------------------------------------------------------------------------------

/// A hostile text with everything that a terminal could interpret.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{9b}2J\u{0}\u{1b}[2Jfree\u{202e}\u{61c}\u{200b} wifi\u{2028}";

#[track_caller]
fn steers_nothing(ran: &Ran) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("free") && said.contains("wifi"), "{said:?}");
    let is_obeyed = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{61c}\u{200b}\u{2028}".contains(c);
    assert!(!said.chars().any(is_obeyed), "{said:?}");
}

#[test]
fn answers_cannot_control_the_terminal() {
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
fn server_texts_cannot_control_the_terminal() {
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
fn names_cannot_control_the_terminal() {
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

    // A refusal leaves the plugin as it was. The pull has kept a copy.
    project.put(A, REFUSED);
    check(&project.run(&["pull", "a"]), 0);
    // This file did not show how the import was spelled here.
    assert_eq!(project.read(A), stored(&text("1")));
    project.put(A, text("1"));
    let told = notices(&project, &["rollback", "a", &short(REFUSED), "--yes"], 1);
    assert_eq!(of(&told, "refused")["words"], "No module named 'no_such_thing'");
    assert_eq!(content().await, (stored(&text("1")), Some(true)));

    // An admin's edit in the browser is kept, and a pull writes it here.
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

/// What the switches do, and what the status says of it, on a server of this version.
#[cfg(unix)]
async fn status_and_switches(version: Version) {
    use crate::support::{Login, Server, real_server};
    use secrecy::ExposeSecret as _;

    let sandbox = real_server(version, Login::Asked).await;
    let server = Server::real(&sandbox);
    let secret = server.key.as_ref().unwrap().expose_secret();
    let project = Project::new().with("OPENWEBUI_URL", &server.url).with("OPENWEBUI_API_KEY", secret);
    let state = |id: &str, code| {
        let told = notices(&project, &["status", id], code);
        of(&told, "status")["state"].as_str().unwrap().to_owned()
    };
    project.put(A, filter("1"));
    project.put("plugins/clock.py", tool("1"));
    assert_eq!(state("a", 1), "not_on_server");
    check(&project.run(&["--once"]), 0);
    assert_eq!((state("a", 0), state("clock", 0)), ("off".to_owned(), "ok".to_owned()));
    check(&project.run(&["on", "a"]), 0);
    check(&project.run(&["on", "a"]), 0);
    assert_eq!(state("a", 0), "unused");
    check(&project.run(&["global", "on", "a"]), 0);
    assert_eq!(state("a", 0), "ok");
    check(&project.run(&["global", "off", "a"]), 0);
    assert_eq!(state("a", 0), "unused");
    for (id, base) in [("of-a-provider", Value::Null), ("of-ours", json!("another"))] {
        let meta = json!({"filterIds": ["a"]});
        let model = json!({"id": id, "base_model_id": base, "name": id, "meta": meta, "params": {}});
        assert_eq!(server.post("/api/v1/models/create", &model).await.0, 200);
        assert_eq!(state("a", 0), "ok", "{id}");
        // Old servers look in the address, others in the body.
        let gone = server.post(&format!("/api/v1/models/model/delete?id={id}"), &json!({"id": id})).await;
        assert_eq!(gone.0, 200, "{gone:?}");
        assert_eq!(state("a", 0), "unused", "{id}");
    }
    project.put(A, filter("2"));
    assert_eq!(state("a", 1), "differs");
    check(&project.run(&["off", "a"]), 0);
    check(&project.run(&["on", "clock"]), 1);
    let mut watch = project.watch();
    check(&project.run(&["deploy", "a"]), 0);
    watch.wait("updated", Some("a"));
    watch.stop();
    check(&project.run(&["deploy", "a"]), 0);
    assert_eq!(state("a", 0), "off");
    fs::remove_file(project.path(A)).unwrap();
    assert_eq!(state("a", 0), "only_on_server");
    let told = notices(&project, &["status"], 0);
    let counts = of(&told, "status_counts");
    assert_eq!([&counts["plugins"], &counts["ok"], &counts["only_on_server"]], [2, 1, 1]);
    sandbox.stop();
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn status_and_switches_on_0_6_43() {
    status_and_switches(Version::V0_6_43).await;
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn status_and_switches_on_0_9_6() {
    status_and_switches(Version::V0_9_6).await;
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn status_and_switches_on_0_11_4() {
    status_and_switches(Version::V0_11_4).await;
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn status_and_switches_on_0_12_4() {
    status_and_switches(Version::V0_12_4).await;
}
