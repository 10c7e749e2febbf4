//! The output of `--once`: for people, for programs, and never with a key.

use super::*;

/// A pass with one of each outcome. One deploy at a time, so that the order is fixed.
fn typical(server: &FakeServer) -> Project {
    let project = Project::on(server);
    project.write("watch.toml", "concurrency = 1\n");
    server.seed(Kind::Function, "refused", &filter("1"));
    server.seed(Kind::Function, "updated", &filter("1"));
    server.seed(Kind::Function, "unchanged", &filter("1"));
    project.put("plugins/filters/created.py", filter("1"));
    project.put("plugins/filters/updated.py", filter("1"));
    check(&project.run(&["--once", "updated"]), 0);
    project.put(
        "plugins/filters/refused.py",
        "\"\"\"\nversion: 2\n\"\"\"\n\nimport no_such_thing\n\n\nclass Filter:\n    pass\n",
    );
    project.put("plugins/filters/updated.py", filter("2"));
    project.put("plugins/filters/unchanged.py", filter("1"));
    project.put("plugins/broken.py", BROKEN);
    project.put("plugins/surprise.py", "from configparser import ConfigParser\n\n\nclass Tools:\n    pass\n");
    project.put("plugins/tools/clock.py", tool("0.1"));
    project
}

#[test]
fn output_for_people() {
    let server = FakeServer::start();
    let project = typical(&server);
    let ran = project.run(&["--once"]);
    check(&ran, 1);
    expect![[r#"
        ✗ plugins/broken.py
        ! tool surprise
        ·
        ✓ filter created
        ✗ filter refused
        ✓ filter updated
        ! filter updated
        ✓ tool clock
        ✗ tool surprise
        !
    "#]]
    .assert_eq(&outline(&ran.stdout));
    expect![[r#"
        plugins/broken.py:2:14: error
          |
        2 |     def inlet(self, body:
          |              ^
        plugins/surprise.py:1:6: warning
          |
        1 | from configparser import ConfigParser
          |      ^^^^^^^^^^^^
        hint
        hint
        hint
        plugins/filters/refused.py:5:1: error
          |
        5 | import no_such_thing
          | ^^^^^^^^^^^^^^^^^^^^
        note
        hint
        hint
        hint
        plugins/surprise.py:1:1: error
          |
        1 | from configparser import ConfigParser
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        hint
    "#]]
    .assert_eq(&outline(&ran.stderr));
}

#[test]
fn output_with_verbose_and_quiet() {
    let server = FakeServer::start();
    let project = typical(&server);
    let quiet = project.run(&["--dry-run", "--quiet"]);
    check(&quiet, 1);
    expect![[r#"
        ✗ plugins/broken.py
        ! tool surprise
    "#]]
    .assert_eq(&outline(&quiet.stdout));
    let verbose = project.run(&["--dry-run", "-v"]);
    check(&verbose, 1);
    expect![[r#"
        ✗ plugins/broken.py
        ! tool surprise
        ·
        = filter unchanged
        ·
        · filter created
        → filter created
        · filter refused
        → filter refused
        · filter updated
        → filter updated
        · tool clock
        → tool clock
        · tool surprise
        → tool surprise
        !
    "#]]
    .assert_eq(&outline(&verbose.stdout));
    assert_eq!(verbose.stderr, project.run(&["--dry-run"]).stderr);
}

#[test]
fn output_for_programs() {
    let server = FakeServer::start();
    let project = typical(&server);
    let notices = notices(&project, &["--once"], 1);
    for notice in &notices {
        let time: jiff::Timestamp = notice["time"].as_str().unwrap().parse().unwrap();
        assert!(time.as_second() > 0, "{notice}");
        let level = notice["level"].as_str().unwrap();
        assert!(["detail", "info", "warning", "error"].contains(&level), "{notice}");
        let message = notice["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains('\n') && notice["event"].is_string(), "{notice}");
    }
    let events: Vec<_> = notices.iter().map(|notice| notice["event"].as_str().unwrap()).collect();
    for event in ["connected", "pass", "sending", "created", "updated", "unchanged", "refused", "flawed", "warning"] {
        assert!(events.contains(&event), "no `{event}` in {events:?}");
    }
    assert_eq!(events.last(), Some(&"summary"));
    let flawed = of(&notices, "flawed");
    assert!(flawed["line"].is_u64() && flawed["column"].is_u64() && flawed["path"] == "plugins/broken.py", "{flawed}");
}

#[test]
fn colours_can_be_switched_off() {
    let server = FakeServer::start();
    let project = typical(&server);
    let escaped = |ran: Ran| ran.stdout.contains('\u{1b}') || ran.stderr.contains('\u{1b}');
    assert!(!escaped(project.run(&["--dry-run", "-vvv"])), "a pipe");
    assert!(!escaped(project.run(&["--onse"])), "a pipe, and a mistake");
    let project = project.with("CLICOLOR_FORCE", "1");
    assert!(escaped(project.run(&["--dry-run"])), "the test would see them");
    let project = project.with("NO_COLOR", "1");
    assert!(!escaped(project.run(&["--dry-run", "-vvv"])), "NO_COLOR");
    assert!(!escaped(project.run(&["--once", "--json"])), "--json");
}

#[test]
fn the_key_is_never_printed() {
    let server = FakeServer::start();
    let project = typical(&server);
    let mut said = String::new();
    let mut run = |arguments: &[&str]| {
        let ran = project.run(arguments);
        said += &(ran.stdout + &ran.stderr);
    };
    run(&["--dry-run", "-vvv"]);
    run(&["--once", "-vvv"]);
    run(&["--once", "-vvv", "--json", "--force"]);
    run(&["--once", "-vvv", "nope"]);
    server.fail_next(1, Fault::Html);
    run(&["--once", "-vvv"]);
    server.fail_next_of("/export", 1, Fault::ResetBefore);
    run(&["--once", "-vvv"]);
    server.set_key("sk-another");
    run(&["--once", "-vvv"]);
    assert!(said.contains("not_allowed") || said.contains("denied access"), "{said}");
    for text in texts_in(&project.path(".")).chain([said]) {
        assert!(!text.contains(KEY.trim_start_matches("sk-")), "{text}");
    }
}

#[test]
fn other_peoples_large_plugins_do_not_block_ours() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let large = format!("{}\n# {}\n", filter("1"), "x".repeat(14 << 20));
    for n in 0..5 {
        server.seed(Kind::Function, &format!("large_{n}"), &large);
    }
    project.put(A, filter("1"));
    check(&project.run(&["--once"]), 0);
    assert_eq!(server.row(Kind::Function, "a").unwrap().content, filter("1"));
    // The files are compared, and the rest is reported.
    let ran = project.run(&["diff"]);
    check(&ran, 0);
    let warning = "warning: the server's functions are too large to list; only those with a file here are compared\n";
    assert!(ran.stderr.starts_with(warning), "{}", ran.stderr);
}

/// A secret in the wrong place is refused without being repeated.
#[test]
fn a_secret_in_the_wrong_place_is_not_printed() {
    let project = Project::new();
    project.put(A, filter("1"));
    let cases = [
        ("OPENWEBUI_URL", "http://admin:Tr0ub4dor@localhost:1"),
        ("OPENWEBUI_API_KEY", "sk-Tr0ub4dor\u{7}"),
        ("OPENWEBUI_API_KEY", "sk-Tr0ub4dor and a comment"),
    ];
    for (name, value) in cases {
        for arguments in [&["--once", "-vvv"][..], &["--once", "--json"]] {
            let ran = project.command(arguments).env("OPENWEBUI_URL", "http://localhost:1").env(name, value).output();
            let ran = ran.unwrap();
            let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
            assert_eq!(ran.status.code(), Some(2), "{name}: {said}");
            assert!(said.contains("error: ") || said.contains("\"event\":\"error\""), "{said}");
            assert!(!said.contains("Tr0ub4dor"), "{said}");
        }
    }
    assert!(!project.path(".owui-watch").exists());
}
