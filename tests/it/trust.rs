//! The built binary in someone else's folder: where the user's key goes, and when the user is asked.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use owui_watch::paths::{canonical, slashed};
use owui_watch::plugin::Kind;
use serde_json::{Value, json};

use crate::support::command::{Project, Watch, check, filter, names, notices, of, said_outright, text};
use crate::support::fake_server::{FakeServer, KEY};
use crate::support::sentences::{LEADS_OUT, trusts};

const A: &str = "plugins/a.py";

/// The user's key, and a folder that names a server.
fn cloned(server: &FakeServer) -> Project {
    let project = Project::new().with("OPENWEBUI_API_KEY", KEY);
    project.put("watch.toml", format!("url = \"{}\"\n", server.url()));
    project.put(A, filter("1"));
    project
}

/// The error for that.
fn refusal(server: &FakeServer) -> String {
    format!(
        "error: cannot send your API key from `OPENWEBUI_API_KEY` to {}: `watch.toml:1:1` sets that address, and you \
         have not agreed to it\n",
        server.url()
    )
}

/// The error with the hint for scripts.
fn refusal_unattended(server: &FakeServer) -> String {
    let hint = trusts(" --yes");
    format!("{}hint: {hint} in it\nhint: or set OPENWEBUI_URL in the environment\n", refusal(server))
}

#[test]
fn no_command_sends_the_users_key_to_a_folders_address() {
    let server = FakeServer::start();
    let project = cloned(&server);
    for arguments in [
        &[][..],
        &["--once"],
        &["--once", "--dry-run"],
        &["--force", A],
        &["history", "a"],
        &["diff"],
        &["pull"],
        &["rollback", "a", "--yes"],
    ] {
        let ran = project.run(arguments);
        check(&ran, 2);
        assert_eq!((ran.stderr, ran.stdout), (refusal_unattended(&server), String::new()), "{arguments:?}");
    }
    assert_eq!(server.lines(), [""; 0], "nobody has heard of us");
    assert_eq!(names(&project.path("")), ["plugins", "watch.toml"]);

    // If the user sets both, there is no question.
    let url = server.url();
    assert_eq!(project.run(&["--once", "--url", &url]).code, Some(0));
}

#[test]
fn trust_is_given_once_and_can_be_taken_back() {
    let server = FakeServer::start();
    let project = cloned(&server);
    let ran = project.run(&["trust"]);
    check(&ran, 2);
    assert_eq!(ran.stderr, refusal_unattended(&server));
    let told = notices(&project, &["trust", "--yes"], 0);
    let trusted = of(&told, "trusted");
    let allowed = format!(": send your API key from `OPENWEBUI_API_KEY` to {}", server.url());
    assert!(trusted["message"].as_str().unwrap().ends_with(&allowed), "{trusted}");
    assert_eq!(trusted["folder"], json!(slashed(&canonical(&project.path("")).unwrap())));
    of(&notices(&project, &["trust", "--yes"], 0), "nothing_to_trust");
    assert_eq!(server.lines(), [""; 0], "trust is about settings alone");
    assert_eq!(project.run(&["--once"]).code, Some(0));
    assert_eq!(text(&server, "a"), filter("1"));

    // Another address needs another consent.
    let other = FakeServer::start();
    project.put("watch.toml", format!("url = \"{}\"\n", other.url()));
    assert_eq!(project.run(&["--once"]).stderr, refusal_unattended(&other));
    project.put("watch.toml", format!("url = \"{}\"\n", server.url()));
    fs::remove_dir_all(project.path(".config/owui-watch/trusted")).unwrap();
    assert_eq!(project.run(&["--once"]).stderr, refusal_unattended(&server));
}

/// A running watch cannot ask. What is saved meanwhile may be for the other server, as after a `git checkout`.
#[test]
fn a_watch_deploys_nothing_for_another_server_until_the_user_agrees() {
    let (mine, theirs) = (FakeServer::start(), FakeServer::start());
    let project = cloned(&mine);
    assert_eq!(project.run(&["trust", "--yes"]).code, Some(0));
    let mut watch = project.watch();
    project.write("watch.toml", &format!("url = \"{}\"\n", theirs.url()));
    let trouble = watch.wait("trouble", None).pop().unwrap();
    let message = trouble["message"].as_str().unwrap();
    let why = refusal(&theirs);
    assert!(message.ends_with(why.strip_prefix("error: ").unwrap().trim_end()), "{message}: {why}");
    assert_eq!(trouble["hint"], trusts("") + " in it");
    project.write(A, &filter("2"));
    assert_eq!(watch.wait("waiting", Some("a")).pop().unwrap()["reason"], "the settings are changing");

    assert_eq!(project.run(&["trust", "--yes"]).code, Some(0));
    assert_eq!(watch.wait("reloaded", None).pop().unwrap()["changed"], json!(["url"]));
    watch.wait("created", Some("a"));
    assert_eq!((text(&theirs, "a"), text(&mine, "a")), (filter("2"), filter("1")));

    // Or until the settings are what they were.
    let third = FakeServer::start();
    project.write("watch.toml", &format!("url = \"{}\"\n", third.url()));
    watch.wait("trouble", None);
    project.write(A, &filter("3"));
    watch.wait("waiting", Some("a"));
    project.write("watch.toml", &format!("url = \"{}\"\n", theirs.url()));
    watch.wait("updated", Some("a"));
    assert_eq!((text(&theirs, "a"), third.lines()), (filter("3"), vec![]));
    assert!(watch.stop().success());
}

/// It would send other projects' plugins. The others go where they went before.
#[test]
fn a_watch_keeps_its_root_until_the_user_agrees() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("here/plugins/a.py", filter("1"));
    project.put("here/watch.toml", "");
    project.put("other/b.py", filter("1"));
    let mut watch = project.watch_with(&["--config", "here/watch.toml"]);
    watch.wait("summary", None);
    project.write("here/watch.toml", "root = \"../other\"\n");
    let trouble = watch.wait("trouble", None).pop().unwrap();
    assert!(trouble["message"].as_str().unwrap().contains("`root` leads outside the folder"), "{trouble}");
    project.write("here/plugins/a.py", &filter("2"));
    watch.wait("updated", Some("a"));
    assert!(server.row(Kind::Function, "b").is_none());
    assert!(watch.stop().success());
}

/// A git pull may replace the plugin folder by a link.
#[test]
fn a_watch_follows_no_root_that_becomes_a_link_outside() {
    let server = FakeServer::start();
    for settings in ["", "poll = \"100ms\"\n"] {
        let project = Project::on(&server);
        project.put("here/watch.toml", settings);
        project.put("here/plugins/a.py", filter("1"));
        project.put("other/a.py", filter("evil"));
        project.put("other/b.py", filter("evil"));
        let mut watch = project.watch_with(&["--config", "here/watch.toml", "--force"]);
        watch.wait("summary", None);
        let flip = |away: &str, root: &str| {
            fs::rename(project.path("here/plugins"), project.path(away)).unwrap();
            fs::rename(project.path(root), project.path("here/plugins")).unwrap();
        };
        std::os::unix::fs::symlink("../other", project.path("here/link")).unwrap();
        flip("here/away", "here/link");
        project.write("other/a.py", &filter("worse"));
        let trouble = watch.wait("trouble", None).pop().unwrap();
        let message = trouble["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("`here/plugins` now leads {LEADS_OUT} `")), "{message}");
        flip("here/link", "here/away");
        project.write("here/plugins/a.py", &filter("2"));
        watch.wait("updated", Some("a"));
        assert!(watch.stop().success());
        assert_eq!((text(&server, "a"), server.row(Kind::Function, "b")), (filter("2"), None));
        let bodies = format!("{:?}", server.requests());
        assert!(!bodies.contains("evil") && !bodies.contains("worse"), "{bodies}");
    }
}

/// No file in place of the settings can stop a watch, or keep it from exiting.
#[test]
fn a_watch_goes_on_without_a_file_of_settings() {
    let goes_on = |path: &str, make: &[&str]| {
        let server = FakeServer::start();
        let project = Project::new();
        project.put("watch.toml", format!("url = \"{}\"\n", server.url()));
        project.put(".env", format!("OPENWEBUI_API_KEY={KEY}\n"));
        project.put(A, filter("1"));
        let mut watch = project.watch();
        fs::remove_file(project.path(path)).unwrap();
        project.sh(make[0], &make[1..]);
        let trouble = watch.wait("trouble", None).pop().unwrap();
        let message = trouble["message"].as_str().unwrap();
        assert!(message.contains(&format!(": cannot read `{path}`: it is ")), "{make:?}: {message}");
        project.write(A, &filter("2"));
        watch.wait("updated", Some("a"));
        assert_eq!(text(&server, "a"), filter("2"));
        assert!(watch.stop().success());
    };
    // Each waits for a transient state.
    std::thread::scope(|scope| {
        for (path, make) in [
            ("watch.toml", &["mkfifo", "watch.toml"][..]),
            (".env", &["mkfifo", ".env"]),
            ("watch.toml", &["mkdir", "watch.toml"]),
            ("watch.toml", &["ln", "-s", "/dev/zero", "watch.toml"]),
            ("watch.toml", &["truncate", "--size=2M", "watch.toml"]),
        ] {
            scope.spawn(move || goes_on(path, make));
        }
    });
}

// ---- where somebody can answer --------------------------------------------------------------------------------------

/// Runs a command line in a terminal, and types this.
fn in_a_terminal(project: &Project, arguments: &str, typed: &str) -> Option<(Option<i32>, String)> {
    use std::io::Write as _;
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_owui-watch"));
    let words = ["--quiet", "--return", "--command", &line, "/dev/null"];
    let mut command = Command::new("script");
    command.args(words).current_dir(project.path("")).env("HOME", project.path("")).env("OPENWEBUI_API_KEY", KEY);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        said_outright("skipped: there is no `script` to make a terminal");
        return None;
    };
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((output.status.code(), String::from_utf8_lossy(&output.stdout).replace('\r', "")))
}

#[test]
fn in_a_terminal_the_user_is_asked_once() {
    let server = FakeServer::start();
    let project = cloned(&server);
    let question = format!("want to send your API key from `OPENWEBUI_API_KEY` to {}. Allow that", server.url());
    let Some((code, said)) = in_a_terminal(&project, "--once", "n\n") else { return };
    assert!(said.contains(&question) && said.contains("you have not agreed to it"), "{said}");
    assert_eq!((code, server.lines()), (Some(2), vec![]));
    let Some((code, said)) = in_a_terminal(&project, "--once", "y\n") else { return };
    assert!(said.contains(&question), "{said}");
    assert_eq!((code, text(&server, "a")), (Some(0), filter("1")));
    let Some((code, said)) = in_a_terminal(&project, "diff", "") else { return };
    assert!(!said.contains("Allow that"), "{said}");
    assert_eq!(code, Some(0));
}

/// A part of what the user agrees to must not disappear.
#[test]
fn a_question_shows_characters_that_steer_a_terminal() {
    let server = FakeServer::start();
    let project = cloned(&server);
    project.put("watch.toml", "root = \"/tmp/a\\u001b]0;/etc\\u0007\"\n");
    let Some((_, said)) = in_a_terminal(&project, "--once", "n\n") else { return };
    assert!(said.contains(&format!("{LEADS_OUT} `/tmp/a␛]0;/etc␇`. Allow that")), "{said}");
}

// ---- keys that git may get ------------------------------------------------------------------------------------------

fn troubles(notices: &[Value]) -> Vec<(&str, &str)> {
    let troubles = notices.iter().filter(|notice| notice["event"] == "trouble");
    troubles.map(|notice| (notice["message"].as_str().unwrap(), notice["hint"].as_str().unwrap())).collect()
}

#[test]
fn a_key_that_git_may_track_is_warned_about() {
    let server = FakeServer::start();
    let path = std::env::var("PATH").unwrap();
    let project = Project::new().with("OPENWEBUI_URL", &server.url()).with("PATH", &path);
    project.put(A, filter("1"));
    project.put(".env", format!("OPENWEBUI_API_KEY={KEY}\n"));
    let said = |arguments: &[&str]| notices(&project, arguments, 0);
    assert_eq!(troubles(&said(&["--once"])), [], "there is no repository");

    project.sh("git", &["init", "--quiet"]);
    let not_ignored = ("git does not ignore `.env`, which holds an API key", "add .env to .gitignore");
    assert_eq!(troubles(&said(&["--once"])), [not_ignored]);
    project.put(".gitignore", ".env\n");
    assert_eq!(troubles(&said(&["--once"])), []);
    project.sh("git", &["add", "--force", ".env"]);
    let tracked = (
        "git tracks `.env`, which holds an API key",
        "git rm --cached .env, and add it to .gitignore; then replace the key on the server",
    );
    assert_eq!(troubles(&said(&["--once"])), [tracked]);

    // A watch reports it once, whatever else changes.
    let mut watch: Watch = project.watch_with(&[]);
    let told = watch.wait("trouble", None).pop().unwrap();
    assert_eq!(told["message"], tracked.0);
    project.write("watch.toml", "concurrency = 2\n");
    watch.wait("reloaded", None);
    watch.wait("ready", None);
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert_eq!(watch.said().iter().filter(|said| **said == "trouble").count(), 1);
    assert!(Path::new(&project.path(".env")).exists());
}
