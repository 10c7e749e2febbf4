//! `on`, `off` and `global`: the switches of functions.

use super::*;

fn switches(server: &FakeServer, id: &str) -> (bool, bool) {
    let row = server.row(Kind::Function, id).unwrap();
    (row.is_active, row.is_global)
}

fn toggles(server: &FakeServer) -> usize {
    server.lines().iter().filter(|line| line.contains("/toggle")).count()
}

#[test]
fn a_function_is_switched_on_and_off_and_made_global() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = Project::on(&server);
        project.put(A, filter("1"));
        check(&project.run(&["--once"]), 0);
        for (arguments, says, expected) in [
            (&["on", "a"][..], "`plugins/a.py` is on now, and no model uses it\n", (true, false)),
            (&["on", A], "`plugins/a.py` is already on, and no model uses it\n", (true, false)),
            (&["global", "on", "a"], "`plugins/a.py` is global now\n", (true, true)),
            (&["off", "a"], "`plugins/a.py` is off now\n", (false, true)),
            (&["global", "on", "function:a"], "`plugins/a.py` is already global, but off\n", (false, true)),
            (&["global", "off", "a"], "`plugins/a.py` is no longer global\n", (false, false)),
        ] {
            let ran = project.run(arguments);
            check(&ran, 0);
            assert_eq!((ran.stdout.as_str(), switches(&server, "a")), (says, expected), "{arguments:?}");
        }
        assert_eq!(toggles(&server), 4, "what is as wanted is not flipped");
        server.attach(None, &["a"], &[]);
        let told = notices(&project, &["on", "a"], 0);
        let said = of(&told, "switched");
        assert_eq!(
            (&said["switch"], &said["active"], &said["was_so_before"]),
            (&json!("active"), &json!(true), &json!(false))
        );
        assert_eq!(said["unused"], Value::Null);
    }
}

#[test]
fn several_functions_at_once_with_and_without_a_file() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.seed(Kind::Function, "theirs", &filter("1"));
    let ran = project.run(&["off", "theirs", "a", "a"]);
    check(&ran, 0);
    assert_eq!(ran.stdout, "function theirs is off now\n`plugins/a.py` is off now\n");
    assert_eq!((switches(&server, "a").0, switches(&server, "theirs").0), (false, false));
}

#[test]
fn a_tool_has_no_switch() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("plugins/clock.py", tool("1"));
    check(&project.run(&["--once"]), 0);
    for arguments in [&["off", "clock", "a"][..], &["global", "on", "clock"]] {
        let ran = project.run(arguments);
        check(&ran, 1);
        assert!(
            ran.stderr.starts_with("error: `plugins/clock.py` has no switch: a model or a user picks a tool"),
            "{}",
            ran.stderr
        );
    }
    assert!(!switches(&server, "a").0, "the function beside it was switched");
    // A function and a tool have this id: only the function has a switch.
    project.put("plugins/tools/a.py", tool("1"));
    check(&project.run(&["--once"]), 0);
    check(&project.run(&["on", "a"]), 0);
    assert!(switches(&server, "a").0);
}

#[test]
fn what_is_not_on_the_server_cannot_be_switched() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("plugins/fresh.py", filter("1"));
    let ran = project.run(&["on", "fresh"]);
    check(&ran, 1);
    assert!(ran.stderr.starts_with("error: `plugins/fresh.py` is not on the server\nhint: "), "{}", ran.stderr);
    let ran = project.run(&["on", "freshh"]);
    check(&ran, 2);
    assert!(ran.stderr.ends_with("hint: did you mean `fresh`?\n"), "{}", ran.stderr);
    let told = notices(&project, &["off", "fresh"], 1);
    assert_eq!(of(&told, "not_switched")["level"], "error");
}

#[test]
fn a_lost_answer_is_looked_up_and_not_repeated_blindly() {
    for fault in [Fault::ResetAfter, Fault::ResetBefore] {
        let server = FakeServer::of(Version::V0_9_6);
        let project = deployed_twice(&server);
        server.fail_next_of("toggle", 1, fault);
        check(&project.run(&["off", "a"]), 0);
        assert!(!switches(&server, "a").0, "{fault:?}");
        let expected = if fault == Fault::ResetAfter { 1 } else { 2 };
        assert_eq!(toggles(&server), expected, "{fault:?}");
    }
}

#[test]
fn a_watch_hears_of_a_switch() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let mut watch = project.watch_with(&[]);
    watch.wait("summary", None);
    for (arguments, switch, active) in [
        (&["off", "a"][..], "active", false),
        (&["global", "on", "a"], "global", false),
        (&["on", "a"], "active", true),
    ] {
        check(&project.run(arguments), 0);
        let told = watch.wait("switched", Some("a")).pop().unwrap();
        assert_eq!((&told["switch"], &told["active"]), (&json!(switch), &json!(active)), "{arguments:?}");
    }
    // One that starts later sees it by itself.
    check(&project.run(&["off", "a"]), 0);
    watch.stop();
    let mut watch = project.watch_with(&[]);
    assert_eq!(watch.wait("unchanged", Some("a")).pop().unwrap()["active"], json!(false));
}
