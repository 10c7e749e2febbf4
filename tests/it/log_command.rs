//! The built binary with a `log_command`: what the log says of plugins is shown, and the command runs as long as the watch.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::command::{Project, Watch, check, filter, notices, of, text};
use crate::support::fake_server::{FakeServer, KEY};
use crate::support::sentences::trusts;

/// The beginning of a script that waits for its cue, so that the plugins are deployed before.
const WAITS: &str = "echo $$ >> pids\nwhile [ ! -e cue ]; do sleep 0.02; done\n";
const RECORD: &str =
    "2026-11-22 00:36:02.914 | WARNING  | function_a_44667402781f407690453220cfaec88f:inlet:9 - careful";

/// A project of the user's, with a script as the command.
fn project(server: &FakeServer, script: &str) -> Project {
    let project = Project::on(server).with("OWUI_WATCH_LOG_COMMAND", "/bin/sh log.sh");
    project.put("log.sh", script);
    project.put("plugins/a.py", filter("1"));
    project
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(20));
    }
}

/// The process ids in a file.
fn pids(project: &Project, file: &str) -> Vec<String> {
    let path = project.path(file);
    if path.exists() { project.read(file).lines().map(str::to_owned).collect() } else { Vec::new() }
}

fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn trouble(watch: &mut Watch) -> String {
    watch.wait("trouble", None).pop().unwrap()["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_log_is_shown_with_the_files_own_lines() {
    let server = FakeServer::start();
    let script = format!("env > seen\n{WAITS}cat recorded.log\nexec sleep 1000\n");
    let project = project(&server, &script).with("NOTIFY_SOCKET", "");
    project.put("recorded.log", include_str!("server_log/0.12.4.log"));
    project.put("plugins/noisy_pipe.py", include_str!("server_log/noisy_pipe.py"));
    project.put("plugins/noisy_filter.py", include_str!("server_log/noisy_filter.py"));
    let mut watch = project.watch();
    project.put("cue", "");

    let printed = watch.wait("printed", Some("noisy_pipe")).pop().unwrap();
    assert_eq!(
        [&printed["text"], &printed["log_level"], &printed["line"], &printed["level"], &printed["path"]],
        [&json!("answering hello"), &json!("info"), &json!(26), &json!("info"), &json!("plugins/noisy_pipe.py")]
    );
    let raised = watch.wait("raised", Some("noisy_pipe")).pop().unwrap();
    assert_eq!(raised["hook"], "pipe");
    assert_eq!(raised["trace"], json!(["plugins/noisy_pipe.py:16:5", "plugins/noisy_pipe.py:33:17"]));
    assert_eq!((&raised["path"], &raised["line"]), (&json!("plugins/noisy_pipe.py"), &json!(16)));
    let outlet = watch.wait("raised", Some("noisy_filter")).pop().unwrap();
    assert_eq!(outlet["error"], "ValueError: outlet broke");

    let environment = project.read("seen");
    assert!(!environment.contains(KEY) && !environment.contains("OPENWEBUI_API_KEY"), "{environment}");
    assert!(watch.stop().success());
    // The tool is not in this project, and the action's log line is not either.
    assert!(!watch.said_of("noisy_tool").iter().any(|said| said == "printed"));
    let told = watch.all_said();
    assert!(!told.contains("noisy_action"), "{told}");
    let log = project.read(".owui-watch/logs/function-noisy_pipe.log");
    assert!(log.contains("printed version=1.0.0") && log.contains("raised version=1.0.0"), "{log}");
}

/// A text that was edited since the deploy is not quoted.
#[test]
fn a_text_that_the_server_does_not_have_is_not_quoted() {
    let server = FakeServer::start();
    let project = project(&server, &format!("{WAITS}cat recorded.log\nexec sleep 1000\n"));
    project.put("recorded.log", include_str!("server_log/0.12.4.log"));
    project.put("plugins/noisy_pipe.py", include_str!("server_log/noisy_pipe.py"));
    let mut watch = project.watch();
    project.write("plugins/noisy_pipe.py", &format!("import (\n{}", include_str!("server_log/noisy_pipe.py")));
    watch.wait("flawed", None);
    project.put("cue", "");
    let raised = watch.wait("raised", None).pop().unwrap();
    assert_eq!((&raised["id"], &raised["line"]), (&json!("noisy_pipe"), &json!(33)));
    assert!(watch.stop().success());
}

/// The command and its children end, even if they ignore signals.
#[test]
fn the_command_ends_with_the_watch() {
    let server = FakeServer::start();
    let script = "trap '' TERM INT HUP\necho $$ >> pids\nsleep 1000 &\necho $! >> pids\nwhile true; do sleep 1; done\n";
    let project = project(&server, script);
    let mut watch = project.watch();
    wait_for("it starts", || pids(&project, "pids").len() == 2);
    assert!(watch.stop().success());
    wait_for("both end", || !pids(&project, "pids").iter().any(|pid| lives(pid)));
    assert_eq!(watch.stderr(), "");
}

#[test]
fn the_end_of_the_command_is_told_once() {
    let server = FakeServer::start();
    let script =
        "sleep 1000 &\necho $! >> children\necho $$ >> pids\necho line\necho '\x1b[31mno such container' >&2\nexit 3\n";
    let project = project(&server, script);
    let mut watch = project.watch_with(&[]);
    assert_eq!(trouble(&mut watch), "`log_command` ended with exit code 3: no such container; next start in 1 s");
    wait_for("it is started again", || pids(&project, "pids").len() == 3);
    assert!(!lives(&pids(&project, "children")[0]), "what it has started keeps the pipe open no longer");
    assert!(watch.stop().success());
    // It has ended twice by then.
    assert!(!watch.has_said("trouble", 2));
}

#[test]
fn a_command_that_cannot_be_started_is_told() {
    let server = FakeServer::start();
    let project = Project::on(&server).with("OWUI_WATCH_LOG_COMMAND", "./no-such-program -f");
    let mut watch = project.watch_with(&[]);
    let message = trouble(&mut watch);
    assert!(message.starts_with("`log_command` cannot be started: `./no-such-program`: "), "{message}");
    assert!(message.ends_with("; next start in 1 s"), "{message}");
    project.write("plugins/a.py", &filter("1"));
    watch.wait("created", Some("a"));
    assert!(watch.stop().success());
}

#[test]
fn the_command_runs_where_its_author_means() {
    let server = FakeServer::start();
    let script = "#!/bin/sh\npwd > where\nexec sleep 1000\n";
    let project = || {
        let project = Project::on(&server);
        for folder in ["", "here/"] {
            project.put(&format!("{folder}log.sh"), script);
        }
        project.put("here/plugins/a.py", filter("1"));
        project
    };
    let runs = |project: &Project, file: &str| {
        let mut watch = project.watch_with(&["--config", "here/watch.toml"]);
        wait_for("it starts", || !pids(project, file).is_empty());
        assert!(watch.stop().success());
    };
    // The user's own: in their home, where no clone has put a program.
    let users = project().with("OWUI_WATCH_LOG_COMMAND", "/bin/sh ./log.sh");
    users.put("here/watch.toml", "");
    runs(&users, "where");
    assert!(!users.path("here/where").exists());
    let project = project();
    project.put("here/watch.toml", "log_command = \"/bin/sh ./log.sh\"\n");
    check(&project.run(&["trust", "--yes", "--config", "here/watch.toml"]), 0);
    runs(&project, "here/where");
    assert!(!project.path("where").exists());
}

/// A save is deployed while the flood lasts, and what is left out is counted.
#[test]
fn a_flood_holds_up_no_deploy() {
    let server = FakeServer::start();
    let script = format!(
        "{WAITS}while [ ! -e enough ]; do yes '{RECORD}' | head -n 1000; done\n\
         echo; yes | head -c 30000000\necho\nexec sleep 1000\n"
    );
    let project = project(&server, &script);
    let mut watch = project.watch();
    project.put("cue", "");
    watch.wait("printed", Some("a"));
    project.write("plugins/a.py", &filter("2"));
    watch.wait("updated", Some("a"));
    project.put("enough", "");
    assert_eq!(text(&server, "a"), filter("2"));
    // It is told after each second without a flood, which a busy machine has in the middle.
    let mut count = 0;
    while count < 100_000 {
        let message = trouble(&mut watch);
        let lines = message.strip_suffix(" lines of the server's log were left out: too many at once");
        count += lines.unwrap_or_else(|| panic!("{message}")).parse::<usize>().unwrap();
    }
    assert!(watch.stop().success());
}

#[test]
fn a_reload_replaces_the_command() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let settings = |word: &str| project.write(".config/owui-watch/watch.toml", &format!("log_command = \"{word}\"\n"));
    project.put("log.sh", "echo $$ >> $1\nexec sleep 1000\n");
    project.put("plugins/a.py", filter("1"));
    settings("/bin/sh log.sh one");
    let mut watch = project.watch();
    wait_for("it starts", || !pids(&project, "one").is_empty());
    settings("/bin/sh log.sh two");
    assert_eq!(watch.wait("reloaded", None).pop().unwrap()["changed"], json!(["log_command"]));
    wait_for("the other starts", || !pids(&project, "two").is_empty());
    wait_for("the first ends", || !lives(&pids(&project, "one")[0]));
    // Another setting leaves it running.
    project.write("watch.toml", "concurrency = 2\n");
    assert_eq!(watch.wait("reloaded", None).pop().unwrap()["changed"], json!(["concurrency"]));
    watch.wait("summary", None);
    assert!(pids(&project, "two").len() == 1 && lives(&pids(&project, "two")[0]));
    settings("");
    watch.wait("reloaded", None);
    wait_for("the second ends", || !lives(&pids(&project, "two")[0]));
    assert!(watch.stop().success());
}

/// A cloned folder must not name commands.
#[test]
fn a_folders_command_is_run_only_with_consent() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let settings = |word: &str| project.write("watch.toml", &format!("log_command = \"/bin/sh log.sh {word}\"\n"));
    project.put("log.sh", "echo $$ >> $1\nexec sleep 1000\n");
    project.put("plugins/a.py", filter("1"));
    settings("one");
    let refused = project.run(&[]);
    check(&refused, 2);
    let sentence =
        "cannot run `/bin/sh log.sh one`: `watch.toml:1:1` names that command, and you have not agreed to it";
    assert_eq!(
        refused.stderr,
        format!(
            "error: {sentence}\nhint: {} in it\nhint: or set OWUI_WATCH_LOG_COMMAND in the environment\n",
            trusts(" --yes")
        )
    );
    // What does not run it needs no consent, and does not run it.
    for arguments in [&["--once"][..], &["--once", "--dry-run"], &["diff"], &["status"], &["deploy", "a"]] {
        check(&project.run(arguments), 0);
    }
    assert_eq!(pids(&project, "one"), [""; 0]);

    let trusted: Value = of(&notices(&project, &["trust", "--yes"], 0), "trusted").clone();
    let message = "allowed from now on: run `/bin/sh log.sh one` in this folder during each watch, for the server's log; it \
                   can run files of this folder, also after they change";
    assert_eq!(trusted["message"], message);
    let mut watch = project.watch();
    wait_for("it starts", || !pids(&project, "one").is_empty());
    settings("two");
    let message = trouble(&mut watch);
    assert!(message.contains(": cannot run `/bin/sh log.sh two`: "), "{message}");
    assert!(lives(&pids(&project, "one")[0]) && pids(&project, "two").is_empty());
    assert!(watch.stop().success());
}
