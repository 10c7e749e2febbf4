//! `history`: a plugin's texts, from our copies and from the server's versions.

use super::*;

#[test]
fn history_lists_what_was_deployed_and_replaced() {
    let server = FakeServer::of(Version::V0_9_6);
    let project = Project::on(&server);
    server.seed(Kind::Function, "a", &filter("2"));
    let (folder, a) = (state(&project, &server), key(Kind::Function, "a"));
    archive(&project, &server, &a, &filter("1"), "20260102T030405Z");
    let theirs = filter("0.1-theirs");
    let backup = Backup { key: a.clone(), digest: Digest::of_text(&theirs), text: theirs };
    folder.save_backup(&backup, "20260103T030405Z".parse().unwrap()).unwrap();
    archive(&project, &server, &a, &filter("2"), "20260103T030405Z");
    archive(&project, &server, &key(Kind::Function, "b"), &filter("9"), "20260103T030405Z");
    let ran = project.run(&["history", "a"]);
    check(&ran, 0);
    expect![[r#"
        * 2026-01-03  deployed  2           ceacdf17  +1 −1
          2026-01-03  replaced  0.1-theirs  ecfe95f7  +1 −1
          2026-01-02  deployed  1           338558fb
    "#]]
    .assert_eq(&ran.stdout);
    assert_eq!(ran.stderr, "");

    // The current text may be unknown to us.
    server.edit_row(Kind::Function, "a", |row| row.content = filter("3"));
    let told = notices(&project, &["history", "a"], 0);
    let brief: Vec<_> = told.iter().map(|entry| json!([entry["what"], entry["version"], entry["current"]])).collect();
    assert_eq!(
        brief,
        [
            json!(["on_the_server", "3", true]),
            json!(["deployed", "2", false]),
            json!(["replaced", "0.1-theirs", false]),
            json!(["deployed", "1", false]),
        ]
    );
    let oldest = told.last().unwrap();
    assert_eq!(oldest["at"], "2026-01-02T03:04:05Z");
    assert_eq!(oldest["digest"], Digest::of_text(&filter("1")).to_string());
    let copy = oldest["copy"].as_str().unwrap();
    assert_eq!(project.read(copy), filter("1"));
    assert_eq!(writes(&server), Vec::<String>::new());
}

#[test]
fn history_merges_our_copies_and_the_servers_versions() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    let told = notices(&project, &["history", "a"], 0);
    let what: Vec<_> = told.iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["deployed", "deployed", "on_the_server"], "{told:#?}");
    let versions: Vec<_> = told.iter().map(|entry| entry["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["2", "1", "theirs"]);
    for (entry, message) in told.iter().zip([json!("owui-watch: 2"), json!("owui-watch: 1"), Value::Null]) {
        assert_eq!((&entry["commit_message"], &entry["author"]), (&message, &json!("Admin")), "{entry}");
        assert!(entry["server_version_id"].is_string());
    }
    let current: Vec<_> = told.iter().map(|entry| entry["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [false, false, true]);
    let ran = project.run(&["history", A]);
    check(&ran, 0);
    assert!(ran.stdout.contains(&format!("  {}  +1 −1  (Admin)\n", &short(&filter("2"))[..8])), "{}", ran.stdout);
}

#[test]
fn history_reads_few_texts_of_many_versions() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    server.seed(Kind::Tool, "t", &tool("0"));
    for version in 1..=30 {
        server.edit_row(Kind::Tool, "t", |row| row.content = tool(&version.to_string()));
    }
    let told = notices(&project, &["history", "t"], 0);
    assert_eq!(told.len(), 31);
    let with_digest: Vec<_> = told.iter().filter_map(|entry| entry["version"].as_str()).collect();
    assert_eq!(with_digest.len(), 20);
    assert_eq!((with_digest[0], with_digest[19]), ("30", "11"));
    let texts = server.lines().into_iter().filter(|line| line.contains("/history/")).count();
    assert_eq!(texts, 19, "the current text is known");
}

#[test]
fn history_without_the_server_lists_our_copies() {
    let mut server = FakeServer::start();
    let project = deployed_twice(&server);
    server.go_down();
    let ran = project.run(&["history", "a"]);
    check(&ran, 3);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(&server.url()), "{}", ran.stderr);
    // A plugin that is unknown here may be on the server.
    let ran = project.run(&["history", "b"]);
    check(&ran, 3);
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(&server.url()), "{}", ran.stderr);
}

#[test]
fn a_plugin_is_named_by_path_or_id_or_kind() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    server.seed(Kind::Function, "clock", &filter("f"));
    server.seed(Kind::Tool, "clock", &tool("t"));
    server.seed(Kind::Tool, "only", &tool("only"));
    let ran = project.run(&["history", "clock"]);
    check(&ran, 2);
    assert_eq!(
        ran.stderr,
        "error: `clock` is both a function and a tool\nhint: write `function:clock` or `tool:clock`\n"
    );
    for (name, version) in [("function:clock", "f"), ("tool:clock", "t"), ("only", "only")] {
        assert_eq!(notices(&project, &["history", name], 0)[0]["version"], version);
    }
    // A file decides which one is meant.
    project.put("plugins/clock.py", tool("t"));
    assert_eq!(notices(&project, &["history", "clock"], 0)[0]["version"], "t");
    assert_eq!(notices(&project, &["history", "plugins/clock.py"], 0)[0]["version"], "t");

    let refused = |arguments: &[&str], words: &str| {
        let ran = project.run(arguments);
        check(&ran, 2);
        assert!(ran.stderr.starts_with(&format!("error: {words}")), "{arguments:?} {}", ran.stderr);
    };
    refused(&["history", "gone"], "there is no plugin `gone` here or on the server\nhint: ");
    refused(&["rollback", "plugins/gone.py"], "there is no plugin `plugins/gone.py`");
    project.put("plugins/more/one.py", filter("1"));
    project.put("plugins/more/two.py", filter("1"));
    let ran = project.run(&["history", "plugins/more"]);
    check(&ran, 0);
    assert_eq!(ran.stdout, "function one\nfunction two\n");
    refused(&["rollback", "plugins/more"], "`plugins/more` does not name a single plugin\nhint: ");
    refused(&["rollback", "."], "`.` does not name a single plugin\nhint: ");
    project.put("plugins/other/one.py", filter("1"));
    refused(&["diff", "one"], "`plugins/more/one.py` and `plugins/other/one.py` claim the id `one`\nhint: ");
    let ran = project.run(&["history", "plugins/other/one.py"]);
    check(&ran, 0);
    assert_eq!(ran.stderr, "function one has no history yet\n");
}

/// Someone else's text stays on the server while it refuses ours.
#[test]
fn history_shows_no_replacement_after_a_refused_deploy() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
        for n in 1..=3 {
            project.put(A, format!("{REFUSED}# {n}\n"));
            check(&project.run(&["--once"]), 1);
        }
        let what = |wanted: &[&str]| {
            let told = notices(&project, &["history", "a"], 0);
            let told: Vec<_> = told
                .iter()
                .map(|entry| {
                    let current = if entry["current"] == true { "*" } else { "" };
                    format!("{} {}{current}", entry["what"].as_str().unwrap(), entry["version"].as_str().unwrap())
                })
                .collect();
            assert_eq!(told, wanted, "{version:?}");
        };
        what(&["on_the_server theirs*", "deployed 2", "deployed 1"]);
        project.put(A, filter("3"));
        check(&project.run(&["--once"]), 0);
        what(&["deployed 3*", "replaced theirs", "deployed 2", "deployed 1"]);
        // An earlier text may be deployed again.
        server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
        check(&project.run(&["--once"]), 0);
        what(&["deployed 3*", "replaced theirs", "deployed 3", "replaced theirs", "deployed 2", "deployed 1"]);
    }
}

#[test]
fn many_deploys_are_one_line_each() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for version in 1..=23 {
        project.put(A, filter(&version.to_string()));
        check(&project.run(&["--once"]), 0);
    }
    let told = notices(&project, &["history", "a"], 0);
    let versions: Vec<_> = told.iter().map(|entry| entry["version"].as_str().unwrap_or("none").to_owned()).collect();
    assert_eq!(versions, (1..=23).rev().map(|version: u32| version.to_string()).collect::<Vec<_>>());
    assert!(told.iter().all(|entry| entry["what"] == "deployed"), "{told:#?}");
    let texts = server.lines().into_iter().filter(|line| line.contains("/history/")).count();
    assert_eq!(texts, 19);
}

/// A pulled text counts as ours, so a copy is kept.
#[test]
fn a_pulled_over_text_can_be_restored() {
    let server = FakeServer::of(Version::V0_9_6);
    let project = deployed_twice(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    check(&project.run(&["pull", "a"]), 0);
    project.put(A, filter("2"));
    check(&project.run(&["--once"]), 0);
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    assert_eq!(text(&server, "a"), filter("theirs"));
}
