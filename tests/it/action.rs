//! The action for plugin repositories, `action.yml`: its script, run as a build server runs it, against the fake server.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use expect_test::{Expect, expect};
use owui_watch::plugin::Kind;

use crate::support::command::{Project, REFUSED, filter, text, writes};
use crate::support::fake_server::{FakeServer, KEY};

const ACTION: &str = include_str!("../../action.yml");

/// A repository of plugins, as it is checked out.
fn repository() -> Project {
    let project = Project::new();
    project.put("plugins/shout.py", filter("2"));
    project.put("plugins/whisper.py", filter("1"));
    project
}

/// Runs a step of the action. Returns what it printed, and the summary.
fn step(project: &Project, step: &str, variables: &[(&str, &str)]) -> (Output, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/action");
    let line = ["bash", script.to_str().unwrap(), step];
    let mut command = project.by(&line[..1], &line[1..]);
    let file = |name: &str| project.path(name);
    command.envs([("GITHUB_STEP_SUMMARY", file("summary.md")), ("GITHUB_OUTPUT", file("output"))]);
    command.env("RUNNER_TEMP", project.path("")).env("ACTION_PROGRAM", env!("CARGO_BIN_EXE_owui-watch"));
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let summary = fs::read_to_string(file("summary.md")).unwrap_or_default();
    fs::remove_file(file("summary.md")).ok();
    (output, summary)
}

fn has_python() -> bool {
    let is_there = Command::new("python3").arg("--version").output().is_ok();
    if !is_there {
        crate::support::command::said_outright("skipped: there is no Python");
    }
    is_there
}

/// The log without the lines that pause commands, and the commands that GitHub's runner finds in it.
fn read_as_the_runner(output: &Output) -> (String, Vec<String>) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(stderr, "", "the runner reads it beside stdout");
    let (mut shown, mut commands, mut token) = (String::new(), Vec::new(), None);
    for line in String::from_utf8(output.stdout.clone()).unwrap().split_inclusive(['\n', '\r']) {
        let start = line.trim();
        if let Some(resume) = &token {
            if start == format!("::{resume}::") {
                token = None;
            } else {
                shown += line;
            }
        } else if let Some(word) = start.strip_prefix("::stop-commands::") {
            assert_eq!(word.len(), 64);
            token = Some(word.to_owned());
        } else {
            shown += line;
            if start.starts_with("::") || line.contains("##[") {
                commands.push(start.to_owned());
            }
        }
    }
    assert_eq!(token, None, "later steps have commands again");
    (shown, commands)
}

#[track_caller]
fn check((output, summary): &(Output, String), code: i32, expected: &Expect) {
    let (stdout, _) = read_as_the_runner(output);
    assert_eq!(output.status.code(), Some(code), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!format!("{stdout}{summary}").contains(KEY));
    expected.assert_eq(&format!("{stdout}---\n{summary}"));
}

#[test]
fn a_check_annotates_the_files_and_sums_up() {
    if !has_python() {
        return;
    }
    let project = repository();
    project.put("plugins/broken.py", "class Pipe:\n    def pipe(self\n");
    project.put("plugins/name.py", "class Filter:\n    def inlet(self, body):\n        return bodi\n");
    // A name that would end the command, or begin markup.
    project.put("plugins/x,::y|@me.py", "class Filter:\n    def inlet(self):\n        return <b>\n");
    let ran = step(&project, "run", &[("ACTION_RUN", "check")]);
    check(
        &ran,
        1,
        &expect![[r#"
            ::error file=plugins/broken.py,line=2,col=13,endColumn=14,title=syntax::invalid Python: `(` was never closed
            ::error file=plugins/name.py,line=3,col=16,endColumn=20,title=undefined-name::`bodi` is not defined: a `NameError` when `inlet` gets here%0Ahint: import or define it, or correct the name
            ::error file=plugins/x%2C%3A%3Ay|@me.py,line=3,col=16,endColumn=17,title=syntax::invalid Python: expected a statement
            ---
            ### owui-watch: Check

            5 plugins: 3 errors, 0 warnings.

            | | plugin | file | |
            | --- | --- | --- | --- |
            | ❌ |  | plugins/broken.py&#58;2 | invalid Python&#58; &#96;&#40;&#96; was never closed |
            | ❌ |  | plugins/name.py&#58;3 | &#96;bodi&#96; is not defined&#58; a &#96;NameError&#96; when &#96;inlet&#96; gets here |
            | ❌ |  | plugins/x&#44;&#58;&#58;y&#124;&#64;me.py&#58;3 | invalid Python&#58; expected a statement |
        "#]],
    );
    fs::remove_file(project.path("plugins/broken.py")).unwrap();
    fs::remove_file(project.path("plugins/x,::y|@me.py")).unwrap();
    fs::remove_file(project.path("plugins/name.py")).unwrap();
    check(
        &step(&project, "run", &[("ACTION_RUN", "check"), ("ACTION_STRICT", "true")]),
        0,
        &expect![[r#"
        ---
        ### owui-watch: Check

        2 plugins: 0 errors, 0 warnings.
    "#]],
    );
}

#[test]
fn a_dry_run_changes_nothing_and_a_deploy_deploys() {
    if !has_python() {
        return;
    }
    let server = FakeServer::start();
    server.seed(Kind::Function, "shout", &filter("1"));
    let project = repository();
    let url = server.url();
    let at = |run| [("ACTION_RUN", run), ("OPENWEBUI_URL", &*url), ("OPENWEBUI_API_KEY", KEY)];
    let before = writes(&server);
    let (ran, summary) = step(&project, "run", &at("dry-run"));
    let stdout = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success() && stdout.contains("\n plugins/whisper.py: would be created\n"), "{stdout}");
    assert!(!format!("{stdout}{summary}").contains(KEY));
    // Without the line with the time.
    let rows: Vec<_> = summary.lines().filter(|line| !line.starts_with("2 plugins in ")).collect();
    expect![[r#"
        ### owui-watch: What a deploy would do


        | | plugin | file | |
        | --- | --- | --- | --- |
        | ✏️ | filter shout 2 | plugins/shout.py | would be updated&#59; a copy would be kept of the server&#39;s text&#44; which was not deployed from here |
        | 🆕 | filter whisper 1 | plugins/whisper.py | would be created |"#]]
    .assert_eq(&rows.join("\n"));
    assert_eq!(writes(&server), before);
    let (ran, summary) = step(&project, "run", &at("deploy"));
    let stdout = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success() && stdout.contains("\n plugins/whisper.py: created"), "{stdout}");
    assert!(summary.contains("\n| 🆕 | filter whisper 1 | plugins/whisper.py | created"), "{summary}");
    assert_eq!((text(&server, "shout"), text(&server, "whisper")), (filter("2"), filter("1")));
    let output = project.read("output");
    let file = output.lines().last().unwrap().strip_prefix("summary=").unwrap();
    assert!(fs::read_to_string(file).unwrap().starts_with("### owui-watch: Deploy\n"));

    project.put("plugins/shout.py", REFUSED);
    let (ran, summary) = step(&project, "run", &at("deploy"));
    assert_eq!(ran.status.code(), Some(1));
    let stdout = String::from_utf8(ran.stdout).unwrap();
    assert!(stdout.contains("::error file=plugins/shout.py"), "{stdout}");
    assert!(summary.contains("| ❌ | filter shout | plugins/shout.py"), "{summary}");
}

#[test]
fn names_and_settings_of_others_become_no_commands() {
    if !has_python() {
        return;
    }
    let server = FakeServer::start();
    let url = server.url();
    let project = repository();
    project.put("plugins/::warning file=README.md::forged.py", REFUSED);
    project.put("plugins/##[warning]forged.py", "class Pipe:\n    def pipe(self\n");
    for run in ["check", "dry-run", "deploy"] {
        let at = [("ACTION_RUN", run), ("OPENWEBUI_URL", &*url), ("OPENWEBUI_API_KEY", KEY)];
        let (_, commands) = read_as_the_runner(&step(&project, "run", &at).0);
        assert!(commands.iter().all(|it| it.starts_with("::error file=plugins/")), "{run}: {commands:?}");
        assert!(!commands.is_empty(), "{run}");
    }
    project.put("watch.toml", "\"##[error]x\" = 1\n\"::error::x\" = 1\n");
    for run in ["check", "deploy"] {
        let (shown, commands) = read_as_the_runner(&step(&project, "run", &[("ACTION_RUN", run)]).0);
        assert!(shown.contains("##[error]x"), "{run}: {shown}");
        // Within our annotation it is text: the runner takes a line for one command.
        assert!(
            commands.iter().all(|it| it.starts_with("::error::cannot use `watch.toml:")),
            "{run}: {shown}{commands:?}"
        );
    }
}

#[test]
fn a_wrong_word_for_what_to_run_is_named() {
    if !has_python() {
        return;
    }
    let (ran, _) = step(&repository(), "run", &[("ACTION_RUN", "destroy")]);
    let stderr = String::from_utf8(ran.stderr).unwrap();
    assert!(!ran.status.success() && stderr.contains("write `check`, `dry-run` or `deploy`"), "{stderr}");
}

#[test]
fn the_cache_is_for_these_sources() {
    if !has_python() {
        return;
    }
    let project = repository();
    assert!(step(&project, "key", &[]).0.status.success());
    let output = project.read("output");
    let key = output.lines().find_map(|line| line.strip_prefix("key=")).unwrap();
    let (image, sources) = key.split_once('-').unwrap();
    assert!(image == "any" && sources.len() == 64 && output.contains("folder="), "{output}");
    assert!(step(&project, "key", &[("ImageOS", "ubuntu24")]).0.status.success());
    assert!(project.read("output").contains(&format!("key=ubuntu24-{sources}\n")));
}

/// An input inside of a command would be a part of it.
#[test]
fn inputs_reach_the_scripts_as_variables_alone() {
    let commands: Vec<_> = ACTION.lines().filter(|line| line.trim_start().starts_with("run: ")).collect();
    assert_eq!(commands.len(), 3);
    assert!(commands.iter().all(|line| !line.contains("${{")), "{commands:?}");
}

#[test]
fn a_summary_fits_into_a_comment() {
    if !has_python() {
        return;
    }
    let project = Project::new();
    let path = |n| format!("plugins/a-plugin-with-a-rather-long-name-({n}).py");
    let n_files = 600;
    for n in 0..n_files {
        project.put(&path(n), "class Filter:\n    def inlet(self, body):\n        return {bodi: body}\n");
    }
    let (output, summary) = step(&project, "run", &[("ACTION_RUN", "check")]);
    assert!(summary.len() < 65_000, "{}", summary.len());
    let shown = summary.matches("| ❌ |").count();
    assert!(summary.ends_with(&format!("\n… and {} more: see the log\n", n_files - shown)), "{shown}");
    let (log, _) = read_as_the_runner(&output);
    assert_eq!(log.matches("::error ").count(), n_files);
}

#[test]
fn a_runner_with_a_code_page_is_told_every_sign() {
    if !has_python() {
        return;
    }
    let project = Project::new();
    project.put("plugins/arrow.py", "class Filter:\n    def inlet(self, body):\n        return arrows[\"→\"]\n");
    let (output, summary) = step(&project, "run", &[("ACTION_RUN", "check"), ("PYTHONIOENCODING", "cp1252")]);
    assert!(summary.contains("arrows"), "{summary}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
}
