//! `doctor`: each line that can be wrong, and its remedy.

use std::collections::BTreeMap;
use std::fs;

use expect_test::expect;
use owui_watch::paths::{canonical, slashed};
use owui_watch::plugin::Kind;
use serde_json::Value;

use crate::support::command::{Project, check, filter, names, notices, tool, writes};
use crate::support::fake_server::{FakeServer, Fault, KEY};
use crate::support::sentences::STATE_ERROR;
use crate::support::tls::{self, Certified, TlsFront};

/// A project with a plugin and a key in a private `.env`.
fn project(url: &str) -> Project {
    let project = Project::new();
    project.write(".env", &format!("OPENWEBUI_URL={url}\nOPENWEBUI_API_KEY={KEY}\n"));
    project.put("plugins/a.py", filter("1"));
    project
}

/// What `doctor` finds, by area: the verdict, the message and the hint in one line each.
#[track_caller]
fn found(project: &Project, code: i32) -> BTreeMap<String, String> {
    let notices = notices(project, &["doctor"], code);
    let word = |notice: &Value, name: &str| notice[name].as_str().unwrap_or_default().to_owned();
    let (diagnosis, examined) = notices.split_last().unwrap();
    let wrong = examined.iter().filter(|it| ["risk", "wrong"].contains(&&*word(it, "verdict"))).count();
    assert_eq!((&word(diagnosis, "event")[..], diagnosis["problems"].as_u64()), ("diagnosis", Some(wrong as u64)));
    assert_eq!(code != 0, wrong > 0);
    let line = |it: &Value| {
        let hint = word(it, "hint");
        let hint = if hint.is_empty() { hint } else { format!(" | {}", hint.replace('\n', " | ")) };
        format!("{}: {}{hint}", word(it, "verdict"), word(it, "message"))
    };
    examined.iter().map(|it| (word(it, "what"), line(it))).collect()
}

#[test]
fn a_healthy_project_has_a_line_for_everything() {
    let server = FakeServer::start();
    let project = project(&server.url());
    server.seed(Kind::Tool, "clock", &tool("1"));
    let ran = project.run(&["doctor"]);
    check(&ran, 0);
    assert_eq!(ran.stderr, "");
    let folder = slashed(&canonical(&project.path("")).unwrap());
    let shown = ran.stdout.replace(&server.url(), "URL").replace(&folder, "FOLDER");
    let (before, after) = shown.split_once(" answers in ").unwrap();
    let shown = format!("{before} answers in N{}", &after[after.find(" ms").unwrap()..]);
    // Windows does not tell who can read a file.
    let unknown = "· key files    `.env`: git ignores it; this system does not tell who can read it\n";
    let known = "✓ key files    `.env`: only you can read it; git ignores it\n";
    let shown = if cfg!(windows) { shown.replace(unknown, known) } else { shown };
    expect![[r#"
        ✓ settings     read for `FOLDER`
        ✓ server       URL answers in N ms
        ✓ certificate  none: plain HTTP, within this machine or a private network
        ✓ key          the server accepts the one from `OPENWEBUI_API_KEY` in `.env`
        ✓ account      an admin: may deploy functions and tools
        ✓ version      Open WebUI 0.12.4, which is tested
        ✓ plugins      on; the server has 0 functions and 1 tool
        ✓ clock        matches the server's
        ✓ key files    `.env`: only you can read it; git ignores it
        ✓ roots        1 plugin in `plugins`
        ✓ file events  1 folder can be watched
        ✓ state        `.owui-watch` can be written to
        ✓ watch        no other owui-watch deploys from here to this server
        nothing is wrong
    "#]]
    .assert_eq(&shown);
    assert_eq!(writes(&server), Vec::<String>::new());
    assert_eq!(names(&project.path("")), [".env", "plugins"], "nothing is left behind");
    assert_eq!(project.run(&["doctor", "--quiet"]).stdout, "");
}

#[test]
fn settings_that_cannot_be_read_are_the_only_finding() {
    let project = project("http://127.0.0.1:9");
    project.put("watch.toml", "debonce = \"1s\"\n");
    let found = found(&project, 1);
    assert_eq!(found.len(), 1);
    assert!(found["settings"].starts_with("wrong: ") && found["settings"].contains("debonce"), "{found:#?}");
}

#[test]
fn a_command_that_was_not_agreed_to_hides_no_other_finding() {
    let server = FakeServer::start();
    let project = project(&server.url());
    project.put("watch.toml", "log_command = \"docker logs -f open-webui\"\n");
    let found = found(&project, 1);
    assert!(found["settings"].starts_with("risk: `log_command` does not run, since you have not agreed"), "{found:#?}");
    assert!(found["server"].starts_with("fine: ") && found["state"].starts_with("fine: "), "{found:#?}");
}

#[test]
fn a_lookalike_of_a_setting_is_a_risk() {
    let server = FakeServer::start();
    server.open_the_door();
    let project = Project::new().with("OPENWEBUI_URL", &server.url()).with("OPENWEBUI_APIKEY", "x");
    let lines = found(&project, 1);
    assert!(lines["settings"].starts_with("risk: ") && lines["settings"].contains("OPENWEBUI_API_KEY"), "{lines:#?}");
}

#[test]
fn a_server_that_is_away_is_named_with_the_remedy() {
    let mut server = FakeServer::start();
    let project = project(&server.url());
    server.go_down();
    let found = found(&project, 1);
    assert!(found["server"].contains(&format!(" {}: connection refused | ", server.url())), "{found:#?}");
    assert!(found["server"].contains("address"), "{found:#?}");
    assert!(found["key"].starts_with("note: not checked") && found["roots"].starts_with("fine: "), "{found:#?}");
}

#[test]
fn another_program_at_the_address_is_not_open_webui() {
    let server = FakeServer::start();
    let project = project(&server.url());
    server.fail_next_of("api/version", 1, Fault::Html);
    let found = found(&project, 1);
    assert!(found["server"].starts_with("wrong: ") && found["server"].contains("without /api"), "{found:#?}");
}

#[test]
fn an_untrusted_certificate_has_its_own_line() {
    let server = FakeServer::start();
    let certified = Certified::new(tls::Kind::Signed);
    let front = TlsFront::of(&server, &certified);
    let project = project(&front.url());
    let lines = found(&project, 1);
    assert!(lines["server"].starts_with("fine: "), "{lines:#?}");
    assert!(lines["certificate"].starts_with("wrong: ") && lines["certificate"].contains("ca_file"), "{lines:#?}");
    project.put("ca.pem", certified.authority_pem());
    project.put("watch.toml", "ca_file = \"ca.pem\"\n");
    assert_eq!(found(&project, 0)["certificate"], "fine: trusted, by this system or by `ca.pem`");
}

#[test]
fn a_missing_or_wrong_key_is_named() {
    let server = FakeServer::start();
    let without = Project::new().with("OPENWEBUI_URL", &server.url());
    let lines = found(&without, 1);
    assert!(lines["key"].starts_with("wrong: ") && lines["key"].contains("put an API key into .env"), "{lines:#?}");
    let wrong = Project::on(&server).with("OPENWEBUI_API_KEY", "sk-wrong");
    let lines = found(&wrong, 1);
    let start = "wrong: the server denied access with the key from `OPENWEBUI_API_KEY`: ";
    assert!(lines["key"].starts_with(start) && lines["key"].contains("put an admin's API key"), "{lines:#?}");
    assert!(!format!("{lines:?}").contains("sk-wrong"));
    server.open_the_door();
    assert_eq!(found(&without, 0)["key"], "fine: none, and the server asks for none");
}

#[cfg(unix)]
#[test]
fn functions_need_the_key_of_an_admin() {
    let server = FakeServer::start();
    let project = project(&server.url());
    server.demote(true);
    // Like a user who may export tools.
    let tools = || server.fail_next_of("tools/", 2, Fault::Says(200, "[]"));
    tools();
    let lines = found(&project, 1);
    assert_eq!(
        lines["account"],
        "wrong: not an admin: cannot deploy functions, but this project has 1 function | use an admin's API key"
    );
    fs::rename(project.path("plugins/a.py"), project.path("a.txt")).unwrap();
    project.put("plugins/clock.py", tool("1"));
    tools();
    let lines = found(&project, 0);
    assert_eq!(lines["account"], "note: not an admin: cannot deploy functions; this project has none");
}

#[test]
fn an_untested_version_is_worth_a_note() {
    let server = FakeServer::start();
    server.claim_to_be("9.0.0");
    let lines = found(&project(&server.url()), 0);
    assert!(lines["version"].starts_with("note: ") && lines["version"].contains("9.0.0"), "{lines:#?}");
}

/// The server tells a session; to an API key its lists are empty.
#[test]
fn plugins_that_are_off_on_the_server_are_noticed() {
    let server = FakeServer::start();
    let project = project(&server.url());
    server.seed(Kind::Function, "a", &filter("1"));
    assert_eq!(found(&project, 0)["plugins"], "fine: on; the server has 1 function and 0 tools");
    server.fail_next_of("functions/export", 1, Fault::Says(200, "[]"));
    let lines = found(&project, 1);
    assert!(lines["plugins"].starts_with("wrong: ") && lines["plugins"].contains("ENABLE_PLUGINS"), "{lines:#?}");
    let off = r#"{ "features": { "auth": true, "enable_plugins": true, "enable_tools": false } }"#;
    server.fail_next_of("api/config", 1, Fault::Says(200, off));
    let lines = found(&project, 1);
    assert!(lines["plugins"].contains("ENABLE_TOOLS=true"), "{lines:#?}");
    server.seed(Kind::Tool, "clock", &tool("1"));
    server.fail_next_of("tools/list", 1, Fault::Says(200, "[]"));
    let lines = found(&project, 1);
    assert!(lines["plugins"].starts_with("risk: tools seem to be off"), "{lines:#?}");
}

#[test]
fn a_clock_that_is_years_off_is_noticed() {
    let server = FakeServer::start();
    let project = project(&server.url());
    server.fail_next_of("api/config", 1, Fault::Dated("Wed, 21 Oct 2015 07:28:00 GMT"));
    let lines = found(&project, 1);
    assert!(lines["clock"].starts_with("risk: ") && lines["clock"].contains("ahead of the server"), "{lines:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_key_file_that_others_read_or_git_takes_is_a_risk() {
    use std::os::unix::fs::PermissionsExt as _;

    let server = FakeServer::start();
    let project = project(&server.url());
    project.sh("git", &["init", "-q"]);
    assert!(found(&project, 1)["key_files"].starts_with("risk: git does not ignore `.env`"));
    project.put(".gitignore", ".env\n");
    assert_eq!(found(&project, 0)["key_files"], "fine: `.env`: only you can read it; git ignores it");
    project.sh("git", &["add", "-f", ".env"]);
    assert!(found(&project, 1)["key_files"].contains("git rm --cached .env"));
    project.sh("git", &["rm", "-q", "--cached", ".env"]);
    fs::set_permissions(project.path(".env"), fs::Permissions::from_mode(0o644)).unwrap();
    let lines = found(&project, 1);
    assert!(lines["key_files"].ends_with(" | chmod 600 .env") && lines["settings"].starts_with("fine: "), "{lines:#?}");
}

#[test]
fn a_missing_root_is_wrong() {
    let server = FakeServer::start();
    let project = project(&server.url());
    fs::remove_dir_all(project.path("plugins")).unwrap();
    let lines = found(&project, 1);
    assert!(lines["roots"].starts_with("wrong: there is no folder `plugins` | create it"), "{lines:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn too_few_inotify_instances_are_noticed() {
    use std::process::Command;

    let server = FakeServer::start();
    let project = project(&server.url());
    let limit = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    let by = ["unshare", "-Ur", "sh", "-c", limit];
    let is_allowed =
        Command::new(by[0]).args(&by[1..]).arg("true").output().is_ok_and(|output| output.status.success());
    if !is_allowed {
        crate::support::command::said_outright("skipped: no user namespaces here");
        return;
    }
    let output = project.by(&by, &[env!("CARGO_BIN_EXE_owui-watch"), "doctor"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let line = stdout.lines().skip_while(|line| !line.starts_with("! file events")).collect::<Vec<_>>();
    assert!(line[0].contains("inotify instances") && line[1].contains("hint: raise it with `sudo sysctl "), "{stdout}");
    project.put("watch.toml", "poll = \"2s\"\n");
    let output = project.by(&by, &[env!("CARGO_BIN_EXE_owui-watch"), "doctor"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_state_folder_that_cannot_be_used_is_wrong() {
    let server = FakeServer::start();
    let project = project(&server.url());
    project.put(".owui-watch", "a file");
    let lines = found(&project, 1);
    assert!(lines["state"].starts_with(&format!("wrong: {STATE_ERROR} `.owui-watch`: ")), "{lines:#?}");
    assert!(lines["state"].ends_with(" | remove `.owui-watch`"), "{lines:#?}");
    assert_eq!(project.read(".owui-watch"), "a file");
}

#[cfg(target_os = "linux")]
#[test]
fn state_in_git_is_wrong() {
    let server = FakeServer::start();
    let project = project(&server.url());
    project.put(".gitignore", ".env\n");
    project.put(".owui-watch/ledger.json", "{}");
    project.sh("git", &["init", "-q"]);
    project.sh("git", &["add", "-f", ".owui-watch"]);
    let lines = found(&project, 1);
    assert!(
        lines["state"].contains("git tracks it | to untrack it, run `git rm -r --cached .owui-watch`"),
        "{lines:#?}"
    );
}

#[test]
fn a_running_watch_is_named_and_not_disturbed() {
    let server = FakeServer::start();
    let project = project(&server.url());
    let watch = project.watch();
    let lines = found(&project, 0);
    assert!(lines["watch"].starts_with("note: another owui-watch"), "{lines:#?}");
    assert!(cfg!(windows) || lines["watch"].contains(&watch.pid().to_string()), "{lines:#?}");
}
