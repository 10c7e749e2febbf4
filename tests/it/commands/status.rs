//! `status`: how each plugin is.

use super::*;

const ACTION: &str =
    "\"\"\"\ntitle: An action\n\"\"\"\n\n\nclass Action:\n    async def action(self, body):\n        pass\n";
const PIPE: &str = "class Pipe:\n    def pipe(self, body):\n        return 'x'\n";

fn switch_on(server: &FakeServer, id: &str) {
    server.edit_row(Kind::Function, id, |row| row.is_active = true);
}

/// The state of each plugin by its id, as programs read it.
#[track_caller]
fn states(project: &Project, arguments: &[&str], code: i32) -> Vec<(String, String)> {
    let told = notices(project, &[&["status"], arguments].concat(), code);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let states = told.iter().filter(|notice| notice["event"] == "status");
    states.map(|notice| (text(&notice["id"]), text(&notice["state"]))).collect()
}

/// Without them a command would reach another server, or other files.
#[test]
fn commands_in_hints_repeat_the_flags() {
    let server = FakeServer::start();
    let project = Project::new().with("OPENWEBUI_API_KEY", crate::support::fake_server::KEY);
    project.put("others/a.py", filter("1"));
    let flags = format!("--url {} --root others", server.url());
    let hint = format!("`owui-watch on {flags} a` switches it on");
    for command in ["--once", "status a", "deploy a"] {
        let words: Vec<_> = command.split(' ').chain(flags.split(' ')).collect();
        let ran = project.run(&words);
        assert!((ran.stdout.clone() + &ran.stderr).contains(&hint), "{command}: {} {}", ran.stdout, ran.stderr);
        let told = project.run(&[&words[..], &["--json"]].concat()).stdout;
        assert!(command == "--once" || told.contains(&hint), "{command}: {told}");
    }
}

#[track_caller]
fn check_states(project: &Project, arguments: &[&str], code: i32, expected: &[(&str, &str)]) {
    let told = states(project, arguments, code);
    let told: Vec<_> = told.iter().map(|(id, state)| (id.as_str(), state.as_str())).collect();
    assert_eq!(told, expected);
}

fn one_of_each() -> (FakeServer, Project) {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for (id, text) in [
        ("used_action", ACTION.to_owned()),
        ("differs", filter("1")),
        ("everywhere", filter("1")),
        ("off", filter("1")),
        ("quote", PIPE.to_owned()),
        ("unused", filter("1")),
        ("was_fine", filter("1")),
        ("clock", tool("1")),
    ] {
        project.put(&format!("plugins/{id}.py"), text);
    }
    check(&project.run(&["--once"]), 0);
    for id in ["used_action", "differs", "everywhere", "quote", "unused", "was_fine"] {
        switch_on(&server, id);
    }
    server.edit_row(Kind::Function, "everywhere", |row| row.is_global = true);
    server.attach(None, &["differs"], &["used_action"]);
    server.attach(Some("another"), &["was_fine"], &[]);
    server.seed(Kind::Function, "theirs", &filter("9"));
    server.seed(Kind::Tool, "theirs_too", &tool("9"));
    project.put("plugins/refused.py", REFUSED);
    project.put("plugins/broken.py", "\"\"\"\nversion: 3\n\"\"\"\n\n\nclass Filter:\n    def inlet(self\n");
    check(&project.run(&["--once"]), 1);
    project.put("plugins/differs.py", filter("2"));
    project.put("plugins/was_fine.py", "class Filter(:\n    pass\n");
    project.put("plugins/fresh.py", tool("1"));
    project.put("plugins/twice_a.py", filter("1").replace("title", "id: twice\ntitle"));
    project.put("plugins/twice_b.py", filter("2").replace("title", "id: twice\ntitle"));
    (server, project)
}

#[test]
fn each_plugin_has_its_line() {
    let (_server, project) = one_of_each();
    let ran = project.run(&["status"]);
    check(&ran, 1);
    expect![[r#"
        ✗ function  broken          broken              plugins/broken.py:7:14: invalid Python: `(` was never closed
        ✗ filter    differs      2  differs             plugins/differs.py: the server has version 1
        ✓ filter    everywhere   1  ok                  plugins/everywhere.py
        · filter    off          1  off                 plugins/off.py
        ✓ pipe      quote           ok                  plugins/quote.py
        ✗ filter    refused         refused             plugins/refused.py:1:1: No module named 'no_such_thing'
        ✗ filter    twice           claimed twice       `plugins/twice_a.py` and `plugins/twice_b.py` claim this id
        ! filter    unused       1  used by no model    plugins/unused.py
        ✓ action    used_action     ok                  plugins/used_action.py
        ✗ filter    was_fine        broken              plugins/was_fine.py:1:14: invalid Python: expected an expression or a ')'
        ✓ tool      clock        1  ok                  plugins/clock.py
        ✗ tool      fresh        1  not on the server   plugins/fresh.py
        · filter    theirs       9  only on the server
        · tool      theirs_too   9  only on the server
        14 plugins: 4 ok, 1 off, 1 used by no model, 1 differs, 1 not on the server, 1 refused, 2 broken, 1 claimed twice, 2 only on the server
    "#]]
    .assert_eq(&ran.stdout);
    expect![[r#"
        hint: `owui-watch on off` switches it on
        hint: `owui-watch global on unused` has all models use it
        hint: attach it to a model under Workspace > Models
        hint: `owui-watch diff differs` shows the difference
        hint: `owui-watch deploy differs` deploys the file
        hint: `owui-watch deploy fresh` deploys it
        hint: `owui-watch deploy refused` sends it again as it is
    "#]]
    .assert_eq(&ran.stderr);
}

#[test]
fn programs_read_the_facts() {
    let (_server, project) = one_of_each();
    let told = notices(&project, &["status"], 1);
    let about = |id: &str| told.iter().find(|notice| notice["id"] == id).unwrap_or_else(|| panic!("{id}: {told:#?}"));
    let broken = about("was_fine");
    assert_eq!((&broken["state"], &broken["line"], &broken["column"]), (&json!("broken"), &json!(1), &json!(14)));
    assert_eq!((&broken["active"], &broken["level"]), (&json!(true), &json!("error")), "the server has the old text");
    let unused = about("unused");
    assert_eq!(
        (&unused["state"], &unused["unused"], &unused["global"]),
        (&json!("unused"), &json!(true), &json!(false))
    );
    assert_eq!(unused["hint"].as_str().unwrap().lines().count(), 2);
    let differs = about("differs");
    assert_eq!((&differs["server_plugin_version"], &differs["version"]), (&json!("1"), &json!("2")));
    assert_eq!(about("refused")["words"], "No module named 'no_such_thing'");
    let counts = of(&told, "status_counts");
    for (state, n) in [("ok", 4), ("off", 1), ("unused", 1), ("broken", 2), ("conflict", 1), ("only_on_server", 2)] {
        assert_eq!(counts[state], n, "{state}: {counts}");
    }
    assert_eq!(told.last(), Some(counts));
}

#[test]
fn status_asks_for_lists_and_changes_nothing() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = Project::on(&server);
        for n in 0..30 {
            project.put(&format!("plugins/p{n}.py"), filter("1"));
        }
        check(&project.run(&["--once"]), 0);
        switch_on(&server, "p7");
        let before = server.lines().len();
        // Beside a watch, too, which holds the lock.
        let mut watch = project.watch();
        let files = names(&project.path(".owui-watch"));
        let watched = server.lines().len();
        check(&project.run(&["status"]), 0);
        let asked = server.lines().split_off(watched);
        assert!(asked.len() <= 6 && asked.iter().all(|line| line.starts_with("GET ")), "{asked:#?}");
        assert!(!asked.iter().any(|line| line.contains("/id/")), "{asked:#?}");
        watch.kill();
        assert!(server.lines().len() > before);
        assert_eq!(names(&project.path(".owui-watch")), files);
    }
}

#[test]
fn without_a_run_before_there_is_no_state_folder_after() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    check_states(&project, &[], 1, &[("a", "not_on_server")]);
    assert!(!project.path(".owui-watch").exists());
    assert_eq!(writes(&server), Vec::<String>::new());
}

#[test]
fn some_plugins_can_be_named() {
    let (_server, project) = one_of_each();
    check_states(&project, &["off"], 0, &[("off", "off")]);
    check_states(&project, &["plugins/off.py", "tool:clock"], 0, &[("off", "off"), ("clock", "ok")]);
    check_states(&project, &["theirs"], 0, &[("theirs", "only_on_server")]);
    check_states(&project, &["plugins/broken.py"], 1, &[("broken", "broken")]);
    let ran = project.run(&["status", "offf", "off"]);
    check(&ran, 2);
    let expected = "error: there is no plugin `offf` here or on the server\nhint: did you mean `off`?\n";
    assert_eq!(ran.stderr, expected);
    let quiet = project.run(&["status", "--quiet"]);
    check(&quiet, 1);
    assert!(quiet.stdout.lines().all(|line| line.starts_with(['✗', '!'])), "{}", quiet.stdout);
}

#[test]
fn what_waits_for_the_user_is_held() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.attach(None, &["a"], &[]);
    check_states(&project, &[], 0, &[("a", "ok")]);
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    let told = notices(&project, &["status"], 1);
    assert_eq!((&told[0]["state"], &told[0]["reason"]), (&json!("held"), &json!("rolled_back")));
    // Somebody else's text.
    project.put(A, filter("3"));
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    check_states(&project, &[], 1, &[("a", "differs")]);
    project.put("watch.toml", "on_remote_edit = 'hold'\n");
    let told = notices(&project, &["status"], 1);
    assert_eq!((&told[0]["state"], &told[0]["reason"]), (&json!("held"), &json!("edited_on_server")));
    // It may be there under another id.
    let signed = |version: &str| filter(version).replace("title: A filter", "title: Mine\nauthor: me");
    server.seed(Kind::Function, "old_id", &signed("1"));
    project.put("plugins/new_id.py", signed("2"));
    let told = notices(&project, &["status", "new_id"], 1);
    assert_eq!((&told[0]["reason"], &told[0]["other_id"]), (&json!("twin"), &json!("old_id")));
    project.put("watch.toml", "adopt = 'never'\n");
    check_states(&project, &["new_id"], 1, &[("new_id", "not_on_server")]);
}

#[test]
fn without_the_server_the_files_are_shown_all_the_same() {
    let (mut server, project) = one_of_each();
    server.go_down();
    let ran = project.run(&["status"]);
    check(&ran, 3);
    assert!(ran.stdout.contains("plugins/was_fine.py:1:14: "), "{}", ran.stdout);
    assert!(ran.stdout.contains(" unknown "), "{}", ran.stdout);
    assert!(ran.stderr.contains(&server.url()), "{}", ran.stderr);
    check(&project.run(&["status", "theirs"]), 3);
}

/// With `ENABLE_PLUGINS=false` the lists are empty, although the plugins are there.
#[test]
fn an_empty_list_proves_nothing() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.attach(None, &["a"], &[]);
    server.fail_next_of("export", 2, Fault::Says(200, "[]"));
    check_states(&project, &[], 0, &[("a", "ok")]);
}

#[test]
fn a_key_that_may_not_see_models_claims_nothing_about_them() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    check_states(&project, &[], 0, &[("a", "unused")]);
    server.fail_next_of("models", 9, Fault::Says(401, r#"{"detail": "401 Unauthorized"}"#));
    check_states(&project, &[], 0, &[("a", "ok")]);
}

#[test]
fn a_missing_root_is_wrong_and_hides_what_only_the_server_has() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    fs::remove_dir_all(project.path("plugins")).unwrap();
    let ran = project.run(&["status"]);
    check(&ran, 1);
    assert_eq!(ran.stdout, "no plugins\n");
    assert!(ran.stderr.starts_with("error: there is no folder `plugins`"), "{}", ran.stderr);
}
