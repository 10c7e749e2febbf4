//! The built binary's `check`, which needs no server and no settings.

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use owui_watch::paths::slashed;
use regex::Regex;
use serde_json::Value;

use crate::support::command::{Project, Ran, check, notices, of, text};
use crate::support::fake_server::{FakeServer, Version};

const WRONG: &str = r#"from open_webui.models.users import Users


class Pipe:
    async def pipe(self, body, __user__, __model__=None):
        user = Users.get_user_by_id(__user__["id"])
        return user.email
"#;
const RIGHT: &str = "class Filter:\n    def inlet(self, body):\n        return body\n";

/// A folder without settings.
fn folder() -> Project {
    let project = Project::new();
    fs::remove_dir(project.path("plugins")).unwrap();
    project.put("deep/er/wrong.py", WRONG);
    project.put("right.py", RIGHT);
    project.put("helper.py", "def help(): pass\n");
    project
}

#[track_caller]
fn prints(ran: &Ran, code: i32, expected: &Expect) {
    check(ran, code);
    expected.assert_eq(&ran.stdout);
    assert_eq!(ran.stderr, "");
}

/// The file was renamed, and lost the id that is set there.
#[test]
fn settings_for_a_file_that_is_gone_are_a_warning() {
    let project = folder();
    project.put("watch.toml", "root = '.'\n[plugins.\"gone.py\"]\nid = 'x'\n[plugins.\"right.py\"]\nid = 'y'\n");
    let ran = project.run(&["check"]);
    let warnings: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings, ["warning: watch.toml has settings for `gone.py`, which is not there"]);
    assert_eq!(project.run(&["check", "right.py"]).stderr, "");
}

#[test]
fn check_reads_any_folder() {
    prints(
        &folder().run(&["check"]),
        1,
        &expect![[r#"
        deep/er/wrong.py:5:42: warning: the server never passes `__model__` to `pipe`: it is always `None` [argument-always-default]
          |
        5 |     async def pipe(self, body, __user__, __model__=None):
          |                                          ^^^^^^^^^

        deep/er/wrong.py:6:16: error: `Users.get_user_by_id` has been a coroutine since 0.9, but is not awaited: `.email` fails on a coroutine [missing-await]
          |
        6 |         user = Users.get_user_by_id(__user__["id"])
          |                ^^^^^^^^^^^^^^^^^^^^
        hint: write `await Users.get_user_by_id(…)`

        1 error and 1 warning in 1 of 2 plugins, for Open WebUI 0.12.4
    "#]],
    );
}

#[test]
fn each_form_of_output_has_each_diagnostic() {
    let project = folder();
    prints(
        &project.run(&["check", "--format", "concise"]),
        1,
        &expect![[r#"
        deep/er/wrong.py:5:42: warning: the server never passes `__model__` to `pipe`: it is always `None` [argument-always-default]
        deep/er/wrong.py:6:16: error: `Users.get_user_by_id` has been a coroutine since 0.9, but is not awaited: `.email` fails on a coroutine [missing-await]
        1 error and 1 warning in 1 of 2 plugins, for Open WebUI 0.12.4
    "#]],
    );
    prints(
        &project.run(&["check", "--format", "github"]),
        1,
        &expect![[r#"
        ::warning file=deep/er/wrong.py,line=5,col=42,endColumn=51,title=argument-always-default::the server never passes `__model__` to `pipe`: it is always `None`
        ::error file=deep/er/wrong.py,line=6,col=16,endColumn=36,title=missing-await::`Users.get_user_by_id` has been a coroutine since 0.9, but is not awaited: `.email` fails on a coroutine%0Ahint: write `await Users.get_user_by_id(…)`
    "#]],
    );
    let ran = project.run(&["check", "--json"]);
    check(&ran, 1);
    let events: Vec<_> = ran.notices().iter().map(|object| object["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(events, ["diagnostic", "diagnostic", "checked"]);

    let ran = project.run(&["check", "--format", "sarif"]);
    check(&ran, 1);
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    let run = &log["runs"][0];
    let (rules, results) = (&run["tool"]["driver"]["rules"], run["results"].as_array().unwrap());
    assert_eq!(results.len(), 2);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "deep/er/wrong.py");
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 5);
    }
}

#[test]
fn the_exit_code_follows_the_worst() {
    let project = folder();
    for (arguments, code) in [
        (&["check", "right.py"][..], 0),
        (&["check", "right"], 0),
        (&["check", "deep"], 1),
        (&["check", "./deep/er/wrong.py"], 1),
        (&["check", "wrong", "--server-version", "0.8.12"], 0),
        (&["check", "wrong", "--server-version", "0.8.12", "--strict"], 1),
        (&["check", "nothing"], 2),
        (&["check", "--server-version", "0.5.20"], 2),
        (&["check", "--server-version", "latest"], 2),
        (&["check", "--explain", "missing-await"], 0),
        (&["check", "--explain", "all"], 0),
        (&["check", "--explain", "mising-await"], 2),
        (&["check", "--explain", "relative-import"], 0),
        (&["check", "--explain", "relative_import"], 2),
        (&["check", "--once"], 2),
        (&["check", "--format", "html"], 2),
    ] {
        let ran = project.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
    }
    let ran = project.run(&["check", "--explain", "mising-await"]);
    assert!(ran.stderr.ends_with("hint: did you mean `missing-await`?\n"), "{}", ran.stderr);
}

#[test]
fn the_text_folds_what_repeats_and_other_formats_do_not() {
    let project = Project::new();
    let calls = "        time.sleep(1)\n".repeat(6);
    project.put("slow.py", format!("import time\nclass Pipe:\n    def pipe(self, body):\n{calls}        return 1\n"));
    let ran = project.run(&["check"]);
    assert_eq!(ran.stdout.matches("[blocking-call]").count(), 3, "{}", ran.stdout);
    assert!(ran.stdout.contains("\nand 3 more like it at lines 7, 8, 9\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("6 warnings in 1 of 1 plugin,"), "{}", ran.stdout);
    for format in ["concise", "json", "github"] {
        let ran = project.run(&["check", "--format", format]);
        assert_eq!(ran.stdout.matches("blocking-call").count(), 6, "{}", ran.stdout);
    }
}

#[test]
fn a_folder_without_plugins_is_a_warning_or_when_named_an_error() {
    let project = folder();
    project.put("none/helper.py", "def help(): pass\n");
    fs::create_dir(project.path("empty")).unwrap();
    let there = project.path("empty").display().to_string();
    for (arguments, code, expected) in [
        (&["check", "none"][..], 2, "error: there is no plugin in `none`\n"),
        (&["check", "empty"], 2, "error: there is no plugin in `empty`\n"),
        (&["check", "right.py", "./none/"], 2, "error: there is no plugin in `./none/`\n"),
        (&["check", &there], 2, "error: there is no plugin in `"),
        (&["check", "nothing/here"], 2, "error: no plugin here is called `nothing/here`\n"),
        (&["check", "helper.py"], 0, "warning: no plugin in `helper.py`\n"),
        (&["check", "helper.py", "right.py"], 0, ""),
        (&["check", "--root", "none"], 0, "warning: no plugins in `none`\nhint: a plugin is a Python file"),
        (&["check", "--root", "none", "--format", "sarif"], 0, "warning: no plugins in `none`\n"),
    ] {
        let ran = project.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.starts_with(expected), "{arguments:?}\n{}", ran.stderr);
        assert!(!ran.stdout.contains("0 plugins"), "{arguments:?}\n{}", ran.stdout);
    }
    project.put("watch.toml", "root = 'deep'\n");
    let ran = project.run(&["check", "none"]);
    let expected =
        "error: there is no plugin in `none`\nhint: the settings name `deep`: use `--root` for another folder\n";
    assert_eq!((ran.code, &*ran.stderr), (Some(2), expected));
}

#[test]
fn folders_elsewhere_can_be_named() {
    let (here, there) = (Project::new(), folder());
    let path = slashed(&there.path("deep"));
    let ran = here.run(&["check", &path, "--format", "concise"]);
    check(&ran, 1);
    assert!(ran.stdout.starts_with(&format!("{path}/er/wrong.py:5:")), "{}", ran.stdout);
    let file = there.path("right.py").display().to_string();
    check(&here.run(&["check", &file]), 0);
}

#[test]
fn settings_choose_the_rules_and_the_roots() {
    let project = folder();
    project.put("plugins/a.py", WRONG);
    let rules = |watch_toml: &str| {
        project.put("watch.toml", watch_toml);
        let ran = project.run(&["check", "--json"]);
        let notices = ran.notices();
        let rules = notices.iter().filter_map(|object| object["rule"].as_str().map(str::to_owned));
        rules.collect::<Vec<_>>()
    };
    assert_eq!(rules(""), ["argument-always-default", "missing-await"]);
    assert_eq!(rules("check.select = ['missing-await']"), ["missing-await"]);
    assert_eq!(rules("[check]\nignore = ['missing-await']"), ["argument-always-default"]);
    assert_eq!(rules("[plugins.'plugins/a.py'.check]\nignore = ['missing-await']"), ["argument-always-default"]);
    assert_eq!(rules("root = '.'").len(), 4);
    project.put("watch.toml", "[check]\nignore = ['mising-await']");
    let ran = project.run(&["check"]);
    check(&ran, 2);
    assert!(ran.stderr.contains("`ignore` in `[check]` names `mising-await`, which is no rule"), "{}", ran.stderr);
    // Nothing is sent anywhere: neither a key nor consent is needed.
    project.put("watch.toml", "url = 'https://elsewhere.example'\napi_key_file = 'missing'");
    check(&project.run(&["check", "--quiet"]), 1);
}

#[test]
fn a_file_that_cannot_be_deployed_is_an_error() {
    let project = Project::new();
    project.put("plugins/a.py", "class Pipe(:\n");
    let ran = project.run(&["check", "--format", "concise"]);
    check(&ran, 1);
    assert!(ran.stdout.starts_with("plugins/a.py:1:12: error: invalid Python: "), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("1 error in 1 of 1 plugin, for Open WebUI 0.12.4\n"), "{}", ran.stdout);
}

#[test]
fn a_watch_checks_each_saved_text_once() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.write("plugins/wrong.py", RIGHT);
    let mut watch = project.watch();
    project.write("plugins/wrong.py", WRONG);
    watch.wait("updated", Some("wrong"));
    let first = watch.wait_any(&["warning"]);
    assert_eq!((first["reason"].as_str(), first["level"].as_str()), (Some("argument-always-default"), Some("warning")));
    let second = watch.wait_any(&["warning"]);
    assert_eq!((second["reason"].as_str(), second["level"].as_str()), (Some("missing-await"), Some("error")));
    assert_eq!((second["line"].as_u64(), second["column"].as_u64()), (Some(6), Some(16)));
    // The same text again, and then one without mistakes.
    project.write("plugins/wrong.py", WRONG);
    watch.wait("unchanged", Some("wrong"));
    project.write("plugins/wrong.py", RIGHT);
    watch.wait("updated", Some("wrong"));
    watch.stop();
    assert_eq!(watch.said_of("wrong").iter().filter(|event| *event == "warning").count(), 2);
}

#[test]
fn fixes_are_shown_first_and_written_on_demand() {
    let project = folder();
    let windows = WRONG.replace('\n', "\r\n");
    project.put("deep/er/wrong.py", &windows);
    let ran = project.run(&["check", "--fix"]);
    check(&ran, 1);
    assert!(ran.stdout.contains("\n+        user = await Users.get_user_by_id("), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 fix for 1 file; `--yes` writes it\n"), "{}", ran.stdout);
    assert_eq!(project.read("deep/er/wrong.py"), windows);
    let ran = project.run(&["check", "--fix", "--yes"]);
    check(&ran, 0);
    assert!(ran.stdout.contains("1 fix written to 1 file\n"), "{}", ran.stdout);
    assert_eq!(project.read("deep/er/wrong.py"), windows.replace("Users.get_user_by_id", "await Users.get_user_by_id"));
    check(&project.run(&["check", "--yes"]), 2);
    check(&project.run(&["check", "--fix", "--format", "json"]), 2);
}

/// GitHub and code scanning want paths from the top of the repository.
#[test]
fn annotations_have_paths_from_the_top_of_the_repository() {
    let project = Project::new();
    project.sh("git", &["init", "-q"]);
    project.put("sub/plugins/wrong.py", WRONG);
    project.put("sub/watch.toml", "");
    let run = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.current_dir(project.path("sub")).env("GITHUB_ACTIONS", "true").env("CI", "true");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let annotations = run(&["check", "--format", "github"]);
    let lines: Vec<_> = annotations.lines().collect();
    assert!(lines[0].starts_with("::warning file=sub/plugins/wrong.py,line=5,col=42,"), "{annotations}");
    assert!(lines[1].starts_with("::error file=sub/plugins/wrong.py,line=6,col=16,"), "{annotations}");
    let log: Value = serde_json::from_str(&run(&["check", "--format", "sarif"])).unwrap();
    let place = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "sub/plugins/wrong.py");
    // Editors start where the user is.
    assert!(run(&["check", "--format", "concise"]).starts_with("plugins/wrong.py:5:42: "));
}

/// The expression of the problem matcher in the documentation.
fn problem_matcher() -> Regex {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(top.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let texts = docs.chain([top.join("README.md")]).filter_map(|path| fs::read_to_string(path).ok());
    let line = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let expression =
        line.filter_map(|line| Some(line.trim().strip_prefix("\"regexp\": ")?.trim_end_matches(',').to_owned()));
    Regex::new(&serde_json::from_str::<String>(&expression.last().unwrap()).unwrap()).unwrap()
}

#[test]
fn the_problem_matcher_finds_each_error_and_warning() {
    let matcher = problem_matcher();
    let project = folder();
    for format in ["concise", "text"] {
        let ran = project.run(&["check", "--format", format]);
        let found: Vec<_> = ran
            .stdout
            .lines()
            .filter_map(|line| matcher.captures(line))
            .map(|found| found.extract::<5>().1.map(str::to_owned))
            .collect();
        let [warning, error] = found.as_slice() else { panic!("{format}: {found:?}") };
        assert_eq!(warning[..4], ["deep/er/wrong.py", "5", "42", "warning"], "{format}");
        assert_eq!(error[..4], ["deep/er/wrong.py", "6", "16", "error"], "{format}");
        assert!(error[4].ends_with("`.email` fails on a coroutine [missing-await]"), "{format}");
    }
}

/// A watch keeps the version of its server, so that `check` needs no network to know it.
#[test]
fn check_is_for_the_version_that_the_server_had() {
    let server = FakeServer::of(Version::V0_6_43);
    let project = Project::on(&server);
    project.put("plugins/wrong.py", WRONG);
    let summary = |project: &Project| project.run(&["check"]).stdout.lines().last().unwrap().to_owned();
    assert!(summary(&project).ends_with(", for Open WebUI 0.12.4"));
    check(&project.run(&["--once"]), 0);
    let before = server.requests().len();
    assert_eq!(summary(&project), "1 warning in 1 of 1 plugin, for Open WebUI 0.6.43");
    assert_eq!(server.requests().len(), before);
    let ran = project.run(&["check", "--server-version", "0.9"]);
    assert!(ran.stdout.ends_with(", for Open WebUI 0.9\n"), "{}", ran.stdout);
    let elsewhere = project.with("OPENWEBUI_URL", "http://127.0.0.1:9");
    assert!(summary(&elsewhere).ends_with(", for Open WebUI 0.12.4"));
}

/// `check.block` in a run of the program.
#[test]
fn errors_hold_a_deploy_back_on_demand() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.write("watch.toml", "[check]\nblock = true\n");
    project.write("plugins/wrong.py", RIGHT);
    let mut watch = project.watch();
    project.write("plugins/wrong.py", WRONG);
    let blocked = watch.wait("blocked", Some("wrong")).pop().unwrap();
    assert_eq!((&blocked["reason"], &blocked["line"]), (&"missing-await".into(), &6.into()));
    assert_eq!(text(&server, "wrong"), RIGHT);
    let told = notices(&project, &["status"], 1);
    assert_eq!((&told[0]["state"], &told[0]["reason"]), (&"held".into(), &"blocked".into()));
    // The user insists, twice, and then mends it.
    for _ in 0..2 {
        let told = notices(&project, &["deploy", "wrong"], 0);
        of(&told, "updated");
        watch.wait("updated", Some("wrong"));
        assert!(
            told.iter().any(|notice| notice["reason"] == "missing-await" && notice["level"] == "error"),
            "{told:?}"
        );
    }
    assert_eq!(text(&server, "wrong"), WRONG);
    project.write("plugins/wrong.py", &WRONG.replace("= Users", "= await Users"));
    watch.wait("updated", Some("wrong"));
    watch.stop();
    project.write("plugins/wrong.py", WRONG);
    check(&project.run(&["--once"]), 1);
    assert_ne!(text(&server, "wrong"), WRONG);
    check(&project.run(&["--once", "--force"]), 0);
    assert_eq!(text(&server, "wrong"), WRONG);
}

#[test]
fn files_with_one_id_are_told_of_each_other() {
    let project = Project::new();
    let header = "\"\"\"\nid: same\n\"\"\"\n";
    project.put("plugins/a.py", format!("{header}{RIGHT}"));
    project.put("plugins/b.py", format!("{header}{RIGHT}"));
    project.put("watch.toml", "");
    // All files of a project count, whichever is named.
    prints(
        &project.run(&["check", "plugins/a.py", "--format", "concise"]),
        1,
        &expect![[r#"
            plugins/a.py:2:5: error: the id `same` is also used by `plugins/b.py`: none of them is deployed [id-twice]
            1 error in 1 of 1 plugin, for Open WebUI 0.12.4
        "#]],
    );
    for format in ["text", "concise", "json", "github", "sarif"] {
        let ran = project.run(&["check", "--format", format]);
        check(&ran, 1);
        for path in ["plugins/a.py", "plugins/b.py"] {
            assert!(ran.stdout.matches(path).count() >= 2, "{format} {path}\n{}", ran.stdout);
        }
    }
    project.put("watch.toml", "exclude = [\"b.py\"]\n");
    check(&project.run(&["check", "--strict"]), 0);
    // Nobody says that these belong together: they may be copies, or projects of their own.
    fs::remove_file(project.path("watch.toml")).unwrap();
    let warned = project.run(&["check", "--format", "concise"]);
    check(&warned, 0);
    assert_eq!(warned.stdout.matches(": warning: the id `same` is also used by").count(), 2, "{}", warned.stdout);
    check(&project.run(&["check", "plugins/a.py", "--strict"]), 0);
    project.put("one/watch.toml", "");
    fs::rename(project.path("plugins/b.py"), project.path("one/b.py")).unwrap();
    check(&project.run(&["check", "--strict"]), 0);
}

/// The verdict of each command on an empty file.
#[test]
fn an_empty_file_is_broken_where_the_settings_name_it() {
    let server = FakeServer::start();
    let project = super::deployed_twice(&server);
    let verdicts = |project: &Project, code: i32| {
        let ran = [&["check", "--format", "concise"][..], &["--once"], &["status"]].map(|line| project.run(line));
        for ran in &ran {
            check(ran, code);
        }
        let [checked, pass, status] = ran;
        (checked.stdout, pass.stderr, status.stdout)
    };
    project.put("plugins/never.py", "");
    let (checked, pass, status) = verdicts(&project, 0);
    assert!(!checked.contains("never") && !status.contains("never"), "{checked}{status}");
    assert!(pass.starts_with("plugins/never.py:1:1: warning: the file is empty\n"), "{pass}");
    project.put("watch.toml", "[plugins.\"plugins/never.py\"]\nid = \"never\"\n");
    let (checked, pass, status) = verdicts(&project, 1);
    assert!(checked.starts_with("plugins/never.py:1:1: error: the file is empty [empty]\n"), "{checked}");
    assert!(pass.starts_with("plugins/never.py:1:1: error: the file is empty\n"), "{pass}");
    assert!(status.contains("never") && status.contains("the file is empty"), "{status}");
}
