//! Words on the command line that name no plugin, file or folder.

use std::ffi::OsStr;

use owui_watch::paths::canonical;

use super::*;

#[track_caller]
fn refused(project: &Project, arguments: &[&str], message: &str, hint: &str) {
    let ran = project.run(arguments);
    check(&ran, 2);
    assert_eq!((&*ran.stdout, &*ran.stderr), ("", &*format!("error: {message}\nhint: {hint}\n")), "{arguments:?}");
}

#[test]
fn a_mistyped_command_does_nothing() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/shout.py", filter("1"));
    project.put("plugins/clock.py", tool("1"));
    let nothing = |word: &str| format!("`{word}` is not the id or path of a plugin here");
    let list = "name a plugin by its id or path; `owui-watch --help` lists the commands";
    for (arguments, word, hint) in [
        (&["roolback", "shout"][..], "roolback", "did you mean `owui-watch rollback`?"),
        (&["histroy", "shout"], "histroy", "did you mean `owui-watch history`?"),
        (&["statsu"], "statsu", "did you mean `owui-watch status`?"),
        (&["watch"], "watch", "did you mean `owui-watch`?"),
        (&["wait"], "wait", "did you mean `owui-watch --wait`?"),
        (&["version"], "version", "did you mean `owui-watch --version`?"),
        (&["--once", "shuot"], "shuot", "did you mean `shout`?"),
        (&["shout", "clokc"], "clokc", "did you mean `clock`?"),
        (&["plugins/shuot.py"], "plugins/shuot.py", "did you mean `plugins/shout.py`?"),
        (&["Shout"], "Shout", "did you mean `shout`?"),
        (&["--dry-run", "xyz"], "xyz", list),
        (&["xyz/"], "xyz/", list),
    ] {
        refused(&project, arguments, &nothing(word), hint);
    }
    refused(
        &project,
        &["shout", "rollback"],
        "`rollback` is a command, and no plugin here has this id",
        "a command comes first: `owui-watch rollback`",
    );
    let told = notices(&project, &["roolback", "shout"], 2);
    assert_eq!(
        (told.len(), &told[0]["event"], &told[0]["hint"]),
        (1, &json!("error"), &json!("did you mean `owui-watch rollback`?"))
    );
    assert_eq!(server.lines(), Vec::<String>::new(), "nothing is asked, and nothing sent");
    assert!(!project.path(".owui-watch").exists(), "nothing is kept");
    // A name after a command may exist only on the server.
    for command in ["diff", "pull"] {
        let message = "there is no plugin `shuot` here or on the server";
        refused(&project, &[command, "shuot"], message, "did you mean `shout`?");
    }
}

#[test]
fn help_is_a_command() {
    let project = Project::new();
    let help = project.run(&["help"]);
    check(&help, 0);
    assert_eq!(help.stdout, project.run(&["--help"]).stdout);
    let of_pull = project.run(&["help", "pull"]);
    check(&of_pull, 0);
    assert_eq!(of_pull.stdout, project.run(&["pull", "--help"]).stdout);
    let unknown = project.run(&["help", "shout"]);
    check(&unknown, 2);
    assert!(unknown.stderr.contains("unrecognized subcommand 'shout'"), "{}", unknown.stderr);
}

/// A watch accepts existing files, even if they cannot be deployed yet.
#[test]
fn a_file_without_a_plugin_can_be_watched() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/empty.py", "");
    project.put("plugins/broken.py", "class Filter(:\n");
    project.put("plugins/mine.py", "class Filter(:\n");
    project.put("plugins/helper.py", "X = 1\n");
    project.put("plugins/deep/readme.txt", "");
    project.put("watch.toml", "[plugins.\"plugins/mine.py\"]\nid = \"renamed\"\n");
    let absolute = canonical(&project.path("plugins/empty.py")).unwrap();
    for word in [
        "plugins/empty.py",
        "./plugins/empty.py",
        absolute.to_str().unwrap(),
        "plugins/helper.py",
        "plugins/deep",
        "plugins",
        ".",
    ] {
        let mut watch = project.watch_with(&[word]);
        watch.wait("ready", None);
        watch.kill();
    }
    let ran = project.run(&["--once", "broken"]);
    check(&ran, 1);
    assert!(ran.stderr.contains("plugins/broken.py:1:14: error: invalid Python"), "{}", ran.stderr);
    // A fixed file is deployed, even if it was named by its id.
    for (id, file) in [("empty", "empty"), ("broken", "broken"), ("renamed", "mine")] {
        let mut watch = project.watch_with(&[id]);
        watch.wait("ready", None);
        project.write(&format!("plugins/{file}.py"), &filter("1"));
        watch.wait("created", Some(id));
        watch.kill();
    }
}

#[test]
fn an_excluded_file_cannot_be_watched() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for path in ["plugins/tests/a.py", "plugins/notes.txt", "elsewhere/b.py", "plugins/ignored.py"] {
        project.put(path, filter("1"));
    }
    project.put("plugins/.gitignore", "ignored.py\n");
    let hint = "name a plugin file or a folder below a root; `exclude` and .gitignore must not leave it out";
    for path in [
        "plugins/tests/a.py",
        "plugins/tests",
        "plugins/notes.txt",
        "elsewhere/b.py",
        "elsewhere",
        "plugins/ignored.py",
    ] {
        refused(&project, &[path], &format!("`{path}` is not watched"), hint);
    }
    refused(
        &project,
        &["--root", "gone", "--root", "plugins", "later"],
        "cannot look for `later`: there is no folder `gone`",
        "create it, or set `root` in watch.toml (or --root) to the folder with the plugins",
    );
    let nothing = "`stats` is not the id or path of a plugin here";
    refused(&project, &["--root", "gone", "stats"], nothing, "did you mean `owui-watch status`?");
}

#[test]
fn paths_are_relative_to_the_current_folder() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("plugins/deep/a.py", filter("1"));
    for (folder, word, code) in [
        ("plugins/deep", "a.py", 0),
        ("plugins/deep", "./b.py", 2),
        ("plugins", "deep/", 0),
        ("plugins", "plugins/deep", 2),
    ] {
        let root = canonical(&project.path("plugins")).unwrap();
        let arguments = [OsStr::new("--root"), root.as_os_str(), OsStr::new("--once"), OsStr::new(word)];
        let output = project.command(&arguments).current_dir(project.path(folder)).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{folder}: {word}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
