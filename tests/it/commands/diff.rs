//! `diff`: the files against the server.

use super::*;

/// `git apply` and `patch` refuse `..`.
#[test]
fn from_below_a_patch_names_files_from_where_it_can_be_applied() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("watch.toml", "");
    project.put(A, filter("3"));
    project.put("plugins/below/b.py", filter("1"));
    for (folder, path) in [("plugins", "a.py"), ("plugins/below", "plugins/a.py")] {
        let mut command = project.command(&["diff", "a"]);
        // The home folder is no project.
        command.current_dir(project.path(folder)).env("HOME", project.path("home"));
        let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(printed.starts_with(&format!("--- a/{path}\t(server)\n+++ b/{path}\n")), "{folder}: {printed}");
    }
    // One folder is enough for all files.
    project.put("plugins/below/c.py", filter("1"));
    check(&project.run(&["--once"]), 0);
    project.put("plugins/below/c.py", filter("2"));
    project.put(A, filter("4"));
    let mut command = project.command(&["diff", "a", "c"]);
    command.current_dir(project.path("plugins/below")).env("HOME", project.path("home"));
    let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(printed.contains("+++ b/plugins/a.py\n") && printed.contains("+++ b/plugins/below/c.py\n"), "{printed}");
}

#[test]
fn diff_shows_what_a_deploy_would_change() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put(A, filter("3"));
    let found = fs::read_dir(project.path(".")).unwrap().count();
    for arguments in [&["diff"][..], &["diff", "a"], &["diff", A], &["diff", "--quiet"]] {
        let ran = project.run(arguments);
        check(&ran, 1);
        let expected = [
            "--- a/plugins/a.py\t(server)",
            "+++ b/plugins/a.py",
            "@@ -1,6 +1,6 @@",
            " \"\"\"",
            " title: A filter",
            "-version: 2",
            "+version: 3",
            " \"\"\"",
            " ",
            " ",
        ];
        assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected);
        assert_eq!(ran.stderr, "");
    }
    assert_eq!(fs::read_dir(project.path(".")).unwrap().count(), found);
    let told = notices(&project, &["diff"], 1);
    let difference = of(&told, "difference");
    assert_eq!((&difference["id"], &difference["path"]), (&json!("a"), &json!(A)));
    assert!(difference["diff"].as_str().unwrap().contains("\n-version: 2\n+version: 3\n"));

    project.put(A, filter("2"));
    let ran = project.run(&["diff"]);
    check(&ran, 0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "no difference (1 plugin)\n"));
    assert_eq!(of(&notices(&project, &["diff"], 0), "same")["id"], "a");
}

#[test]
fn diff_compares_the_file_with_an_earlier_text() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put(A, filter("3"));
    for earlier in ["1", &short(&filter("1"))[..8]] {
        let ran = project.run(&["diff", "a", earlier]);
        check(&ran, 1);
        assert!(ran.stdout.starts_with("--- a/plugins/a.py\tversion 1 from 2"), "{}", ran.stdout);
        assert!(ran.stdout.contains("\n-version: 1\n+version: 3\n"), "{}", ran.stdout);
    }
    project.put(A, filter("1"));
    let ran = project.run(&["diff", "a", "1"]);
    check(&ran, 0);
    assert_eq!(ran.stdout, "");
    let ran = project.run(&["diff", "a", "b"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: no version `b` of function a is known\n"), "{}", ran.stderr);
    // Without a file, with the server's text.
    fs::remove_file(project.path(A)).unwrap();
    let ran = project.run(&["diff", "a", "1"]);
    check(&ran, 1);
    assert!(ran.stdout.contains("\n-version: 1\n+version: 2\n"), "{}", ran.stdout);
}

#[test]
fn diff_counts_lines_with_stat() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put(A, filter("3") + "# one\n# two\n");
    for arguments in [&["diff", "--stat"][..], &["diff", "--stat", "a", "2"]] {
        let ran = project.run(arguments);
        check(&ran, 1);
        assert_eq!(ran.stdout, "`plugins/a.py` +3 −1\n");
    }
    let told = notices(&project, &["diff", "--stat"], 1);
    let difference = of(&told, "difference");
    assert_eq!((&difference["added"], &difference["removed"]), (&json!(3), &json!(1)));
    assert_eq!(difference["diff"], Value::Null);
}

#[test]
fn diff_ignores_line_ends_and_the_servers_rewriting() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let text = format!("from utils import misc\n{}", filter("1"));
    project.put(A, format!("\u{feff}{}", text.replace('\n', "\r\n")));
    check(&project.run(&["--once"]), 0);
    check(&project.run(&["diff"]), 0);
    // With a real difference neither line is printed.
    server.edit_row(Kind::Function, "a", |row| row.content = row.content.replace("pass", "...").replace('\n', "\r\n"));
    let ran = project.run(&["diff"]);
    check(&ran, 1);
    assert!(ran.stdout.contains("\n-    ...\n+    pass\n"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("open_webui") && !ran.stdout.contains('\r'), "{}", ran.stdout);
}

#[test]
fn diff_names_plugins_without_a_counterpart() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("plugins/new.py", tool("1"));
    project.put("plugins/latin.py", b"class Filter:\n    name = 'caf\xe9'\n");
    let ran = project.run(&["diff"]);
    check(&ran, 1);
    assert_eq!(ran.stdout, "");
    assert_eq!(
        ran.stderr,
        "error: cannot compare `plugins/latin.py`: not UTF-8 text\n`plugins/new.py` is not on the server\n"
    );
    check(&project.run(&["diff", "plugins/latin.py"]), 1);
    server.seed(Kind::Function, "theirs", &filter("1"));
    let ran = project.run(&["diff", "theirs"]);
    check(&ran, 1);
    assert_eq!(ran.stderr, "function theirs has no file here\nhint: `owui-watch pull theirs` writes one\n");
}

/// The remedies in the hint of a held deploy work without stopping the watch.
#[test]
fn a_held_plugin_can_be_pulled_beside_a_daemon() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/a.py", filter("1"));
    project.put("watch.toml", "on_remote_edit = \"hold\"\n");
    let mut watch = project.watch();
    let hold = |watch: &mut Watch, theirs: &str, ours: &str| {
        server.edit_row(Kind::Function, "a", |row| row.content = filter(theirs));
        project.write("plugins/a.py", &filter(ours));
        let held = watch.wait("remote_edit", Some("a")).pop().unwrap();
        let hint = held["hint"].as_str().unwrap();
        assert!(hint.contains("`owui-watch pull a`") && hint.contains("`owui-watch deploy a`"), "{hint}");
    };
    // Saving again does not help.
    hold(&mut watch, "theirs", "2");
    project.write("plugins/a.py", &filter("2"));
    watch.wait("remote_edit", Some("a"));
    // The pulled text is known, and the copy can be saved and deployed.
    let told = notices(&project, &["pull", "a"], 0);
    let ours = project.read(of(&told, "pulled")["backup"].as_str().unwrap());
    watch.wait("unchanged", Some("a"));
    project.write("plugins/a.py", &ours);
    watch.wait("updated", Some("a"));
    assert_eq!(server.row(Kind::Function, "a").unwrap().content, filter("2"));

    hold(&mut watch, "theirs again", "3");
    project.write("watch.toml", "on_remote_edit = \"backup\"\n");
    let updated = watch.wait("updated", Some("a")).pop().unwrap();
    assert_eq!(project.read(updated["backup"].as_str().unwrap()), filter("theirs again"));
    assert_eq!(server.row(Kind::Function, "a").unwrap().content, filter("3"));
}

#[test]
fn a_broken_file_can_be_compared_and_pulled() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let broken = filter("2").replace("class Filter:", "class Filter");
    project.put(A, &broken);
    let ran = project.run(&["diff", "a"]);
    check(&ran, 1);
    assert!(ran.stdout.contains("\n-class Filter:\n+class Filter\n"), "{}", ran.stdout);
    check(&project.run(&["pull"]), 0);
    assert_eq!(project.read(A), filter("2"));
}

#[test]
fn many_plugins_cost_few_requests() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for n in 0..10 {
        server.seed(Kind::Function, &format!("f{n}"), &filter("1"));
        project.put(&format!("plugins/f{n}.py"), filter("1"));
    }
    let before = server.lines().len();
    check(&project.run(&["diff"]), 0);
    assert_eq!(
        server.lines().split_off(before),
        ["GET /api/version", "GET /api/v1/functions/export", "GET /api/v1/tools/export"]
    );
}

#[test]
fn differences_are_coloured_only_on_a_terminal() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put(A, filter("3"));
    let plain = project.run(&["diff"]).stdout;
    let project = project.with("CLICOLOR_FORCE", "1");
    let coloured = project.run(&["diff"]).stdout;
    assert!(coloured.contains("\u{1b}[32m+version: 3\u{1b}[0m\n"), "{coloured:?}");
    let project = project.with("NO_COLOR", "1").with("CLICOLOR_FORCE", "0");
    assert_eq!(project.run(&["diff"]).stdout, plain);
    assert!(!plain.contains('\u{1b}'));
}

#[test]
fn diff_lists_plugins_that_only_the_server_has() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    project.put("plugins/off.py", tool("1"));
    project.write("watch.toml", "[plugins.\"plugins/off.py\"]\nenabled = false\n");
    server.seed(Kind::Tool, "off", &tool("1"));
    server.seed(Kind::Function, "theirs", &filter("1"));
    server.seed(Kind::Tool, "a", &tool("1"));
    let ran = project.run(&["diff"]);
    check(&ran, 0);
    assert_eq!(
        ran.stderr,
        "2 plugins of the server have no file here: function theirs and tool a\n\
         hint: `owui-watch pull ID` writes one, `owui-watch pull --all` writes all of them\n\
         no difference (1 plugin)\n"
    );
    let told = notices(&project, &["diff"], 0);
    let without: Vec<_> = told.iter().filter(|notice| notice["event"] == "no_file").collect();
    assert_eq!(without.iter().map(|notice| &notice["id"]).collect::<Vec<_>>(), ["theirs", "a"]);
    for n in 0..20 {
        server.seed(Kind::Tool, &format!("t{n:02}"), &tool("1"));
    }
    let ran = project.run(&["diff"]);
    assert!(
        ran.stderr.starts_with(
            "22 plugins of the server have no file here: function theirs, tool a, tool t00, tool t01, tool t02 and \
             17 more (--verbose names them)\n"
        ),
        "{}",
        ran.stderr
    );
    // A named plugin says nothing about the others.
    assert!(!project.run(&["diff", "a"]).stderr.contains("theirs"));
}
