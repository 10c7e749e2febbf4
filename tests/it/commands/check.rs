//! The built binary's `check`, which needs no server and no settings.

use std::fs;

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::support::command::{Project, Ran, check};
use crate::support::fake_server::FakeServer;

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

#[test]
fn check_reads_any_folder() {
    prints(
        &folder().run(&["check"]),
        1,
        &expect![[r#"
        deep/er/wrong.py:5:42: warning: the server never gives `pipe` a `__model__`: it is always `None` [argument-always-default]
          |
        5 |     async def pipe(self, body, __user__, __model__=None):
          |                                          ^^^^^^^^^

        deep/er/wrong.py:6:16: error: `Users.get_user_by_id` is a coroutine since 0.9, and nobody awaits it: `.email` of it fails [missing-await]
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
        deep/er/wrong.py:5:42: warning: the server never gives `pipe` a `__model__`: it is always `None` [argument-always-default]
        deep/er/wrong.py:6:16: error: `Users.get_user_by_id` is a coroutine since 0.9, and nobody awaits it: `.email` of it fails [missing-await]
        1 error and 1 warning in 1 of 2 plugins, for Open WebUI 0.12.4
    "#]],
    );
    prints(
        &project.run(&["check", "--format", "github"]),
        1,
        &expect![[r#"
        ::warning file=deep/er/wrong.py,line=5,col=42,endColumn=51,title=argument-always-default::the server never gives `pipe` a `__model__`: it is always `None`
        ::error file=deep/er/wrong.py,line=6,col=16,endColumn=36,title=missing-await::`Users.get_user_by_id` is a coroutine since 0.9, and nobody awaits it: `.email` of it fails%0Ahint: write `await Users.get_user_by_id(…)`
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
fn folders_elsewhere_can_be_named() {
    let (here, there) = (Project::new(), folder());
    let path = there.path("deep").display().to_string();
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
    assert!(ran.stderr.contains("`watch.toml:2:1`: `ignore` in `[check]` must be a list of rules"), "{}", ran.stderr);
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
    assert!(watch.stop().success());
    assert_eq!(watch.said_of("wrong").iter().filter(|event| *event == "warning").count(), 2);
}

#[test]
fn mends_are_shown_first_and_written_on_demand() {
    let project = folder();
    let windows = WRONG.replace('\n', "\r\n");
    project.put("deep/er/wrong.py", &windows);
    let ran = project.run(&["check", "--fix"]);
    check(&ran, 1);
    assert!(ran.stdout.contains("\n+        user = await Users.get_user_by_id("), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 mend in 1 file not written; `--yes` writes them\n"), "{}", ran.stdout);
    assert_eq!(project.read("deep/er/wrong.py"), windows);
    let ran = project.run(&["check", "--fix", "--yes"]);
    check(&ran, 0);
    assert!(ran.stdout.contains("1 mend in 1 file written\n"), "{}", ran.stdout);
    assert_eq!(project.read("deep/er/wrong.py"), windows.replace("Users.get_user_by_id", "await Users.get_user_by_id"));
    check(&project.run(&["check", "--yes"]), 2);
    check(&project.run(&["check", "--fix", "--format", "json"]), 2);
}
