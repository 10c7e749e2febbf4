//! `--once` with arguments, and with servers that cannot be used.

use super::*;

// ---- arguments ------------------------------------------------------------------------------------------------------

#[test]
fn arguments_limit_the_plugins() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for name in ["a", "b", "c", "deep/d", "deep/e"] {
        project.put(&format!("plugins/{name}.py"), filter("1"));
    }
    project.put("plugins/deep/broken.py", BROKEN);
    let absolute = owui_watch::paths::canonical(&project.path("plugins/c.py")).unwrap();
    let cases: [(&[&str], &[&str]); 5] = [
        (&["a"], &["a"]),
        (&["plugins/b.py"], &["b"]),
        (&[absolute.to_str().unwrap()], &["c"]),
        (&["./plugins/deep/d.py", "e"], &["d", "e"]),
        (&["a", "./plugins/b.py"], &["a", "b"]),
    ];
    for (arguments, expected) in cases {
        let notices = notices(&project, &[&["--once", "--force"], arguments].concat(), 0);
        let mut sent: Vec<_> =
            notices.iter().filter(|notice| notice["event"] == "sending").map(|it| &it["id"]).collect();
        sent.sort_by_key(|id| id.as_str());
        assert_eq!(sent, expected, "{arguments:?}");
    }
    // A folder means all files in it, even invalid ones.
    let notices = notices(&project, &["--once", "plugins/deep/"], 1);
    assert_eq!((&of(&notices, "summary")["unchanged"], &of(&notices, "summary")["skipped"]), (&json!(2), &json!(1)));
}

#[test]
fn typed_paths_start_in_the_current_folder() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for name in ["a", "deep/b", "deep/er/c"] {
        project.put(&format!("plugins/{name}.py"), filter("1"));
    }
    let absolute = owui_watch::paths::canonical(&project.path("plugins")).unwrap();
    let absolute = absolute.to_str().unwrap();
    // A name that is both an id and a folder means the id.
    project.put("plugins/deep/a/d.py", filter("1"));
    let everything: &[&str] = &["a", "b", "c", "d"];
    let cases: [(&str, &[&str], &[&str]); 12] = [
        ("", &["."], everything),
        ("", &["./plugins/"], everything),
        ("plugins", &["--root", ".", "."], everything),
        ("plugins/deep", &["--root", "..", ".."], everything),
        ("plugins/deep", &["--root", "..", "."], &["b", "c", "d"]),
        ("plugins/deep", &["--root", "..", "b.py"], &["b"]),
        ("plugins/deep", &["--root", "..", "./er/", "../a.py"], &["a", "c"]),
        ("plugins/deep", &["--root", "..", "a"], &["a"]),
        ("plugins/deep", &["--root", absolute, "er/c.py"], &["c"]),
        ("plugins", &["--root", ".", "deep/b.py"], &["b"]),
        ("plugins", &["--root", ".", &format!("{absolute}/deep/b.py")], &["b"]),
        ("plugins", &["--root", absolute, &format!("{absolute}/deep/b.py")], &["b"]),
    ];
    for (folder, arguments, expected) in cases {
        let arguments = [&["--once", "--force", "--json"], arguments].concat();
        let output = project.command(&arguments).current_dir(project.path(folder)).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let notices: Vec<serde_json::Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut sent: Vec<_> =
            notices.iter().filter(|notice| notice["event"] == "sending").map(|it| &it["id"]).collect();
        sent.sort_by_key(|id| id.as_str());
        assert_eq!(sent, expected, "{folder}: {arguments:?}: {stdout}");
    }
}

#[test]
fn an_unknown_name_is_a_usage_error() {
    let server = FakeServer::start();
    let project = deployed(&server);
    for name in ["nope", "plugins/nope.py"] {
        let ran = project.run(&["--once", name, "a"]);
        check(&ran, 2);
        let message = format!("error: `{name}` is not the id or path of a plugin here\n");
        assert!(ran.stderr.starts_with(&message), "{}", ran.stderr);
    }
    assert_eq!(writes(&server).len(), 1, "nothing is deployed by half a command");
    // A script's unset variable.
    check(&project.run(&["--once", "--force", ""]), 2);
    assert_eq!(writes(&server).len(), 1);
}

#[test]
fn usage_and_configuration_errors_exit_with_2() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let ran = project.run(&["--onse"]);
    check(&ran, 2);
    assert!(ran.stderr.contains("--onse") && ran.stdout.is_empty(), "{}", ran.stderr);
    let ran = project.run(&["--once", "--root", "nowhere"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains("nowhere"), "{}", ran.stderr);
    project.write("watch.toml", "debounse = \"1s\"\n");
    let ran = project.run(&["--once"]);
    check(&ran, 2);
    assert!(ran.stderr.contains("`debounse`") && ran.stderr.contains("hint: "), "{}", ran.stderr);
    assert_eq!((ran.stdout.as_str(), server.lines()), ("", Vec::new()));
}

#[test]
fn a_second_run_for_the_same_server_is_refused() {
    let server = FakeServer::start();
    let project = deployed(&server);
    let watch = project.watch();
    let ran = project.run(&["--once"]);
    check(&ran, 2);
    assert!(ran.stderr.contains(&format!("another owui-watch (pid {})", watch.pid())), "{}", ran.stderr);
    // A dry run is still possible, and so is a deploy to another server.
    check(&project.run(&["--dry-run"]), 0);
    let other = FakeServer::start();
    check(&project.run(&["--once", "--url", &other.url()]), 0);
    drop(watch);
    check(&project.run(&["--once"]), 0);
}

#[cfg(unix)]
#[test]
fn a_second_run_waits_with_wait() {
    let server = FakeServer::start();
    let project = deployed(&server);
    let mut first = project.watch();
    let mut second = project.watch_with(&["--once", "--wait"]);
    let mut third = project.watch_with(&["--wait"]);
    for other in [&mut second, &mut third] {
        let notices = other.wait("in_line", None);
        assert_eq!((notices.len(), &notices[0]["pid"]), (1, &json!(first.pid())));
    }
    third.signal("INT");
    assert_eq!(third.ended().code(), Some(1));
    let asked = server.lines();
    first.stop();
    second.wait("summary", None);
    assert_eq!(second.ended().code(), Some(0));
    assert!(server.lines().len() > asked.len());
    assert_eq!(second.said().iter().filter(|said| **said == "in_line").count(), 1);
    // It does not wait for a run that deploys nothing, or elsewhere.
    let other = FakeServer::start();
    let _first = project.watch();
    check(&project.run(&["--dry-run", "--wait"]), 0);
    check(&project.run(&["--once", "--wait", "--url", &other.url()]), 0);
}

#[test]
fn plain_http_is_warned_about_once() {
    let server = FakeServer::start();
    let project = deployed(&server);
    // A label that is too long fails without asking a resolver.
    let far = format!("{}.example", "x".repeat(64));
    project.put("watch.toml", "once_patience = \"0s\"\n");
    let said = |url: &str| {
        let ran = project.run(&["--once", "--json", "--url", url]);
        ran.notices().into_iter().filter(|notice| notice["event"] == "insecure").collect::<Vec<_>>()
    };
    let [notice] = &said(&format!("http://{far}"))[..] else { panic!() };
    assert_eq!((&notice["server"], &notice["proxy"]), (&json!(format!("http://{far}")), &Value::Null));
    assert_eq!(said(&format!("https://{far}")), [Value::Null; 0]);
    assert_eq!(said(&server.url()), [Value::Null; 0]);
}

/// The fake server takes requests as a proxy does, and answers them itself.
#[test]
fn the_proxy_is_named_without_its_password() {
    let server = FakeServer::start();
    let proxy = server.url();
    let with_password = proxy.replace("http://", "http://me:s3cret@");
    let project = |url: &str, proxy: &str| {
        let project = Project::new().with("OPENWEBUI_URL", url).with("OPENWEBUI_API_KEY", KEY);
        project.put("watch.toml", "once_patience = \"0s\"\n");
        project.put(A, filter("1"));
        project.with("HTTP_PROXY", proxy).with("ALL_PROXY", proxy)
    };
    // The host is near, but the proxy may not be.
    let near = project("http://chat.lan", &with_password);
    let ran = near.run(&["--once", "--json"]);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("s3cret"));
    let told = ran.notices();
    assert_eq!((&of(&told, "proxy")["proxy"], &of(&told, "proxy")["level"]), (&json!(proxy), &json!("detail")));
    let insecure = of(&told, "insecure");
    assert_eq!((&insecure["server"], &insecure["proxy"]), (&json!("http://chat.lan"), &json!(proxy)));
    check(&ran, 0);
    assert_eq!(text(&server, "a"), filter("1"));
    let said = near.run(&["diff", "--verbose"]).stdout;
    assert!(said.starts_with(&format!("http://chat.lan is reached through the proxy {proxy}\n")), "{said}");
    // The error may come from the proxy.
    let dead = "http://me:s3cret@127.0.0.1:1";
    let told = notices(&project("http://chat.lan", dead), &["--once"], 3);
    assert_eq!(of(&told, "gave_up")["cause"], "connection refused, through the proxy http://127.0.0.1:1");
    let ran = project("https://chat.example", &with_password).run(&["diff"]);
    assert!(ran.stderr.contains(&format!(", through the proxy {proxy}\n")), "{}", ran.stderr);
    assert!(!ran.stderr.contains("s3cret") && ran.code == Some(3), "{}", ran.stderr);
    // Servers on this machine are reached directly.
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "127.1"] {
        let told = notices(&project(&proxy.replace("127.0.0.1", host), dead), &["--once"], 0);
        assert!(told.iter().all(|notice| notice["event"] != "proxy" && notice["event"] != "insecure"), "{host}");
    }
}

// ---- the server -----------------------------------------------------------------------------------------------------

#[test]
fn a_bad_key_exits_with_3() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    server.set_key("sk-another");
    let notices = notices(&project, &["--once"], 3);
    let told = of(&notices, "not_allowed");
    assert_eq!((&told["status"], &told["level"]), (&json!(401), &json!("error")));
    assert!(told["words"].as_str().unwrap().starts_with("Your session has expired"));
    assert_eq!(writes(&server), Vec::<String>::new());
}

#[test]
fn a_missing_key_exits_with_3_and_a_remedy() {
    let server = FakeServer::start();
    let project = Project::new().with("OPENWEBUI_URL", &server.url());
    project.put(A, filter("1"));
    let ran = project.run(&["--once"]);
    check(&ran, 3);
    assert_eq!(outline(&ran.stdout), "✗\n");
    assert!(ran.stderr.starts_with("hint: ") && ran.stderr.contains("OPENWEBUI_API_KEY"), "{}", ran.stderr);
}

#[test]
fn a_server_without_login_needs_no_key() {
    let server = FakeServer::start();
    server.open_the_door();
    let project = Project::new().with("OPENWEBUI_URL", &server.url());
    project.put(A, filter("1"));
    assert_eq!(of(&notices(&project, &["--once"], 0), "created")["id"], "a");
}

#[test]
fn an_unreachable_server_exits_with_3_after_the_patience() {
    let mut server = FakeServer::start();
    let project = Project::on(&server);
    project.write("watch.toml", "once_patience = \"1s\"\n");
    project.put(A, filter("1"));
    server.go_down();
    let notices = notices(&project, &["--once"], 3);
    of(&notices, "unreachable");
    let gave_up = of(&notices, "gave_up");
    assert_eq!((&gave_up["cause"], &gave_up["server"]), (&json!("connection refused"), &json!(server.url())));
    assert_eq!(notices.last(), Some(gave_up));
}

#[test]
fn another_program_at_the_address_exits_with_3() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    server.fail_next(1, Fault::Html);
    let told = notices(&project, &["--once"], 3);
    assert_eq!(of(&told, "not_open_webui")["server"], server.url());
    assert_eq!(server.lines(), ["GET /api/version"]);

    server.fail_next_of("/export", 1, Fault::Html);
    of(&notices(&project, &["--once"], 3), "not_open_webui");
    assert_eq!(writes(&server), Vec::<String>::new());
}
