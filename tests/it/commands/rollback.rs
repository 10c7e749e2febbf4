//! `rollback`: restores an earlier text on the server, also beside a daemon.

use super::*;

#[test]
fn rollback_restores_only_the_previous_text() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        let a = key(Kind::Function, "a");
        let ran = project.run(&["rollback", "a", "--yes"]);
        check(&ran, 0);
        assert_eq!((text(&server, "a"), project.read(A)), (filter("1"), filter("2")), "{version:?}");
        assert!(server.row(Kind::Function, "a").unwrap().is_active);
        // The difference, the result, and what happens to the file.
        let mut lines = ran.stdout.lines();
        assert_eq!(lines.next(), Some("--- a/a.py\t(server)"));
        let header = lines.next().unwrap();
        let id = format!(" ({})", &short(&filter("1"))[..8]);
        assert!(header.starts_with("+++ b/a.py\tversion 1 from 2") && header.ends_with(&id), "{header}");
        assert!(ran.stdout.contains("\n-version: 2\n+version: 1\n"), "{}", ran.stdout);
        assert!(ran.stdout.contains(" ✓ filter  a             2 → 1  "), "{}", ran.stdout);
        assert!(ran.stdout.ends_with("`plugins/a.py` is not deployed again until it changes\n"), "{}", ran.stdout);
        assert_eq!(ran.stderr, "hint: `owui-watch pull a` writes the server's text to it\n");
        // The record that a daemon reads.
        let (local, server_digest) = (Digest::of_text(&filter("2")), Digest::of_text(&filter("1")));
        assert_eq!(
            rollback_of(&project, &server, &a),
            Some(Rollback { local: Some(local), server: server_digest, done: true })
        );
        assert!(state(&project, &server).intents().is_empty());
        assert!(project.read(".owui-watch/logs/function-a.log").lines().last().unwrap().contains(" updated "));
        let told = notices(&project, &["history", "a"], 0);
        assert_eq!(
            (&told[0]["version"], &told[0]["what"], &told[0]["current"]),
            (&json!("1"), &json!("rolled_back"), &json!(true))
        );
        assert!(!project.path(".owui-watch/backups").exists(), "what was replaced is ours, and there is a copy of it");

        // A second rollback restores the file's text, which may then be deployed.
        check(&project.run(&["rollback", "a", "--yes"]), 0);
        assert_eq!(text(&server, "a"), filter("2"));
        assert_eq!(rollback_of(&project, &server, &a), None);
    }
}

#[test]
fn rollback_needs_consent() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let n_writes = writes(&server).len();
    let ran = project.run(&["rollback", "a"]);
    check(&ran, 2);
    assert!(ran.stdout.contains("+version: 1"), "{}", ran.stdout);
    assert_eq!(ran.stderr, format!("error: nothing was restored: {CANNOT_ASK}\nhint: add --yes to do it\n"));
    assert_eq!(writes(&server).len(), n_writes);
    assert_eq!(rollback_of(&project, &server, &key(Kind::Function, "a")), None);
    // With --quiet only the result is printed.
    let ran = project.run(&["rollback", "a", "--yes", "--quiet"]);
    check(&ran, 0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
}

#[test]
fn rollback_accepts_the_names_that_history_prints() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    // The same version twice, and a text that only the server has.
    let again = filter("1").replace("pass", "pass  # again");
    server.edit_row(Kind::Function, "a", |row| row.content.clone_from(&again));
    server.edit_row(Kind::Function, "a", |row| row.content = filter("3"));
    let told = notices(&project, &["history", "a"], 0);
    let again_id = told.iter().find(|entry| entry["digest"] == Digest::of_text(&again).to_string()).unwrap();
    let again_id = again_id["server_version_id"].as_str().unwrap().to_owned();
    let put_back = |wanted: &str, expected: &str| {
        check(&project.run(&["rollback", "a", wanted, "--yes"]), 0);
        assert_eq!(text(&server, "a"), expected, "{wanted}");
    };
    put_back("2", &filter("2"));
    put_back(&short(&filter("1")), &filter("1"));
    put_back(&again_id, &again);
    put_back(&short(&filter("3")).to_uppercase(), &filter("3"));

    let ran = project.run(&["rollback", "a", "1", "--yes"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: `1` may be one of 2 texts: "), "{}", ran.stderr);
    for candidate in [short(&again), short(&filter("1"))] {
        assert!(ran.stderr.contains(&candidate[..8]), "{}", ran.stderr);
    }
    let ran = project.run(&["rollback", "a", "no-such", "--yes"]);
    check(&ran, 2);
    assert_eq!(
        ran.stderr,
        "error: no version `no-such` of function a is known\nhint: `owui-watch history a` lists the known texts\n"
    );
    assert_eq!(text(&server, "a"), filter("3"));
}

#[test]
fn rollback_finds_versions_whose_text_was_not_read() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    server.seed(Kind::Tool, "t", &tool("0"));
    for version in 1..=30 {
        server.edit_row(Kind::Tool, "t", |row| row.content = tool(&version.to_string()));
    }
    let told = notices(&project, &["history", "t"], 0);
    let oldest = told.last().unwrap()["server_version_id"].as_str().unwrap().to_owned();
    check(&project.run(&["rollback", "t", &oldest, "--yes"]), 0);
    assert_eq!(server.row(Kind::Tool, "t").unwrap().content, tool("0"));
}

#[test]
fn rollback_to_the_current_text_sends_nothing() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let n_writes = writes(&server).len();
    let ran = project.run(&["rollback", "a", "2", "--yes"]);
    check(&ran, 0);
    assert_eq!(ran.stdout, "the server already has this text of function a\n");
    assert_eq!(writes(&server).len(), n_writes);

    let project = Project::on(&server);
    server.seed(Kind::Tool, "new", &tool("1"));
    let ran = project.run(&["rollback", "new", "--yes"]);
    check(&ran, 2);
    assert!(ran.stderr.starts_with("error: no other text of tool new is known\nhint: "), "{}", ran.stderr);
}

#[test]
fn rollback_copies_other_peoples_text_first() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
        let told = notices(&project, &["rollback", "a", "--yes"], 0);
        let updated = of(&told, "updated");
        assert_eq!(updated["version"], "2");
        assert_eq!(project.read(updated["backup"].as_str().unwrap()), filter("theirs"));
        assert_eq!(of(&told, "difference")["version"], "2");
        // A rollback returns to it.
        check(&project.run(&["rollback", "a", "theirs", "--yes"]), 0);
        assert_eq!(text(&server, "a"), filter("theirs"));
    }
}

#[test]
fn rollback_copies_our_uncopied_text_first() {
    let server = FakeServer::of(Version::V0_9_6);
    let project = deployed_twice(&server);
    let deployed = project.path(&copies("deployed", &server.url(), "function/a"));
    for name in names(&deployed).into_iter().filter(|name| name.contains(&short(&filter("2")))) {
        fs::remove_file(deployed.join(name)).unwrap();
    }
    let told = notices(&project, &["rollback", "a", "1", "--yes"], 0);
    assert_eq!(project.read(of(&told, "updated")["backup"].as_str().unwrap()), filter("2"));
    check(&project.run(&["rollback", "a", "2", "--yes"]), 0);
    assert_eq!(text(&server, "a"), filter("2"));
}

#[test]
fn a_refused_rollback_changes_nothing() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        let a = key(Kind::Function, "a");
        archive(&project, &server, &a, REFUSED, "20260103T030405Z");
        let before = server.row(Kind::Function, "a").unwrap();
        let told = notices(&project, &["rollback", "a", &short(REFUSED), "--yes"], 1);
        let refused = of(&told, "refused");
        assert_eq!((&refused["words"], &refused["line"]), (&json!("No module named 'no_such_thing'"), &json!(1)));
        assert!(refused["path"].as_str().unwrap().starts_with(".owui-watch/deployed/"), "{refused}");
        let after = server.row(Kind::Function, "a").unwrap();
        assert_eq!((after.content, after.is_active), (before.content, true), "{version:?}");
        assert_eq!(rollback_of(&project, &server, &a), None);
        assert!(state(&project, &server).intents().is_empty());
        assert_eq!(told.iter().any(|notice| notice["event"] == "restored"), version == Version::V0_9_6);

        // The earlier rollback still applies.
        check(&project.run(&["rollback", "a", "1", "--yes"]), 0);
        let held = rollback_of(&project, &server, &a);
        assert!(held.is_some());
        check(&project.run(&["rollback", "a", &short(REFUSED), "--yes"]), 1);
        assert_eq!(rollback_of(&project, &server, &a), held);
    }
}

/// The program was killed between a refusal and its repair, so the function is off.
fn interrupted() -> (FakeServer, Project, Key, UpdateIntent) {
    let server = FakeServer::of(Version::V0_9_6);
    let project = deployed_twice(&server);
    let a = key(Kind::Function, "a");
    server.edit_row(Kind::Function, "a", |row| row.is_active = false);
    let replaced = Some(Digest::of_text(&filter("2")));
    let under_way = UpdateIntent { ours: vec![Digest::of_text(REFUSED)], replaced, was_active: true };
    state(&project, &server).save_intent(&a, &under_way).unwrap();
    (server, project, a, under_way)
}

#[test]
fn rollback_first_repairs_an_interrupted_deploy() {
    let (server, project, ..) = interrupted();
    let told = notices(&project, &["rollback", "a", "1", "--yes"], 0);
    assert_eq!(of(&told, "restored")["id"], "a");
    let after = server.row(Kind::Function, "a").unwrap();
    assert_eq!((after.content, after.is_active), (filter("1"), true));
    assert!(state(&project, &server).intents().is_empty());
}

#[test]
fn without_that_repair_nothing_is_rolled_back() {
    let (server, project, a, under_way) = interrupted();
    server.fail_next_of("toggle", 9, Fault::Status(503));
    let ran = project.run(&["rollback", "a", "1", "--yes"]);
    check(&ran, 1);
    let cause = "what an interrupted deploy left behind cannot be repaired: 503 Service Unavailable";
    assert_eq!(ran.stderr, format!("error: nothing was restored: {cause}\nhint: solve this first, then try again\n"));
    assert_eq!(text(&server, "a"), filter("2"));
    assert_eq!(state(&project, &server).intents().get(&a), Some(&under_way));
    assert_eq!(rollback_of(&project, &server, &a), None);
}

#[test]
fn a_broken_text_is_not_restored() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let n_writes = writes(&server).len();
    let broken = "class Filter:\n    def inlet(self, body:\n";
    archive(&project, &server, &key(Kind::Function, "a"), broken, "20260103T030405Z");
    let ran = project.run(&["rollback", "a", &short(broken), "--yes"]);
    check(&ran, 1);
    assert!(
        ran.stderr.starts_with("error: this text of function a cannot be restored: invalid Python"),
        "{}",
        ran.stderr
    );
    assert_eq!(writes(&server).len(), n_writes);
}

#[test]
fn a_plugin_deleted_on_the_server_can_be_restored() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.delete_row(Kind::Function, "a");
    fs::remove_file(project.path(A)).unwrap();
    let told = notices(&project, &["rollback", "a", "--yes"], 0);
    let created = of(&told, "created");
    assert_eq!((&created["version"], &created["again"]), (&json!("2"), &json!(true)));
    assert!(of(&told, "difference")["diff"].as_str().unwrap().starts_with("--- /dev/null\n"));
    assert_eq!(text(&server, "a"), filter("2"));
    let note = rollback_of(&project, &server, &key(Kind::Function, "a")).unwrap();
    assert_eq!((note.local, note.server), (None, Digest::of_text(&filter("2"))));
}

#[test]
fn a_lost_answer_to_a_rollback_is_checked() {
    for version in VERSIONS {
        let server = FakeServer::of(version);
        let project = deployed_twice(&server);
        server.fail_next_of("/update", 1, Fault::ResetAfter);
        let told = notices(&project, &["rollback", "a", "--yes"], 0);
        of(&told, "updated");
        server.fail_next_of("/update", 1, Fault::ResetBefore);
        let told = notices(&project, &["rollback", "a", "2", "--yes"], 3);
        assert_eq!(of(&told, "failed")["reason"], "unanswered");
        assert_eq!(text(&server, "a"), filter("1"), "{version:?}");
    }
}

#[test]
fn the_commands_run_beside_a_daemon() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let _watch = project.watch();
    check(&project.run(&["history", "a"]), 0);
    check(&project.run(&["diff"]), 0);
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    assert_eq!(text(&server, "a"), filter("1"));
    check(&project.run(&["diff"]), 1);
}

#[test]
fn after_a_rollback_the_daemon_waits_for_a_change() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let mut watch = project.watch();
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    watch.wait("rolled_back", Some("a"));
    watch.forget();
    // Saved unchanged.
    project.write(A, &filter("2"));
    watch.wait("rolled_back", Some("a"));
    assert_eq!(text(&server, "a"), filter("1"));
    project.write(A, &filter("3"));
    watch.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("3"));
    assert_eq!(rollback_of(&project, &server, &key(Kind::Function, "a")), None);

    // The same for a daemon started later.
    check(&project.run(&["rollback", "a", "2", "--yes"]), 0);
    drop(watch);
    let mut watch = project.watch_with(&[]);
    watch.wait("rolled_back", Some("a"));
    watch.wait("summary", None);
    assert_eq!(text(&server, "a"), filter("2"));
}

#[test]
fn the_watch_tells_a_rollback_there_and_back() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    let mut watch = project.watch();
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    watch.wait("rolled_back", Some("a"));
    watch.forget();
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    let told = watch.wait("unchanged", Some("a"));
    assert_eq!(of(&told, "unchanged")["good_again"], true);
}

/// Otherwise the daemon would take the restored text for someone else's.
#[test]
fn a_rollback_notices_saves_during_the_question() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.hold("/api/version");
    std::thread::scope(|scope| {
        let n_before = server.lines().iter().filter(|line| line.contains("/api/version")).count();
        let rollback = scope.spawn(|| project.run(&["rollback", "a", &short(&filter("2")), "--yes"]));
        // By then it has read the files.
        server.wait_for("/api/version", n_before + 1);
        project.write(A, &filter("3"));
        server.edit_row(Kind::Function, "a", |row| row.content = filter("3"));
        server.release();
        check(&rollback.join().unwrap(), 0);
    });
    assert_eq!(text(&server, "a"), filter("2"));
    let noted = rollback_of(&project, &server, &key(Kind::Function, "a")).unwrap();
    let digest = |version| Digest::of_text(&filter(version));
    assert_eq!((noted.local, noted.server, noted.done), (Some(digest("3")), digest("2"), true));
}

/// A deploy takes minutes, and the user rolls back meanwhile.
#[test]
fn a_slow_deploy_undoes_a_rollback_and_says_so() {
    let server = FakeServer::of(Version::V0_12_4);
    let project = deployed_twice(&server);
    let mut watch = project.watch();
    deploying(&server, &project);
    check(&project.run(&["rollback", "a", "1", "--yes"]), 0);
    assert_eq!(text(&server, "a"), filter("1"));
    server.release();
    let told = watch.wait("rollback_undone", Some("a"));
    assert_eq!(text(&server, "a"), filter("3"));
    let wanted = short(&filter("1"));
    let hint = &of(&told, "rollback_undone")["hint"];
    assert!(hint.as_str().unwrap().contains(&format!("`owui-watch rollback a {wanted}`")), "{hint}");
    let a = key(Kind::Function, "a");
    assert_eq!(rollback_of(&project, &server, &a), None);
    // The hint works.
    check(&project.run(&["rollback", "a", &wanted, "--yes"]), 0);
    project.write(A, &filter("3"));
    watch.wait("rolled_back", Some("a"));
    assert_eq!(text(&server, "a"), filter("1"));
}

/// Where the server may switch off functions that it refuses, an intent is saved first.
#[test]
fn no_rollback_during_a_daemons_deploy_of_the_plugin() {
    let server = FakeServer::of(Version::V0_9_6);
    let project = deployed_twice(&server);
    let (mut watch, a) = (project.watch(), key(Kind::Function, "a"));
    deploying(&server, &project);
    let (under_way, n_writes) = (state(&project, &server).intents(), writes(&server).len());
    let ran = project.run(&["rollback", "a", "1", "--yes"]);
    check(&ran, 1);
    let why = format!(
        "error: nothing was restored: another owui-watch (pid {}) is deploying function a just now\n\
         hint: try again in a moment\n",
        watch.pid()
    );
    assert_eq!(ran.stderr, why);
    assert_eq!((state(&project, &server).intents(), writes(&server).len()), (under_way, n_writes));
    assert_eq!(rollback_of(&project, &server, &a), None);
    server.release();
    watch.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("3"));
}

/// Saves a third text, whose deploy hangs until the server is released.
fn deploying(server: &FakeServer, project: &Project) {
    let before = server.lines().iter().filter(|line| line.contains("/update")).count();
    server.fail_next_of("/update", 1, Fault::Delay);
    project.write(A, &filter("3"));
    server.wait_for("/update", before + 1);
}

#[test]
fn a_daemon_treats_a_pulled_file_as_unchanged() {
    let server = FakeServer::start();
    let project = deployed_twice(&server);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    let n_writes = writes(&server).len();
    let mut watch = project.watch();
    // The first pass deployed the file; the pull gets a later edit.
    server.edit_row(Kind::Function, "a", |row| row.content = filter("later"));
    check(&project.run(&["pull", "a"]), 0);
    let told = watch.wait("unchanged", Some("a"));
    assert_eq!(told.last().unwrap()["version"], "later");
    assert_eq!(writes(&server).len(), n_writes + 1);
}

#[test]
fn each_server_has_its_own_copies() {
    let (staging, production) = (FakeServer::of(Version::V0_9_6), FakeServer::of(Version::V0_9_6));
    let project = deployed_twice(&production);
    for version in ["3-staging", "4-staging"] {
        project.put(A, filter(version));
        check(&project.run(&["--once", "--url", &staging.url()]), 0);
        staging.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    }
    let versions = |server: &FakeServer| {
        let told = notices(&project, &["history", "a", "--url", &server.url()], 0);
        told.iter().map(|entry| entry["version"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(versions(&production), ["2", "1"]);
    assert_eq!(versions(&staging), ["theirs", "4-staging", "theirs", "3-staging"]);
    check(&project.run(&["rollback", "a", "theirs", "--yes"]), 2);
    check(&project.run(&["rollback", "a", "--yes"]), 0);
    assert_eq!(text(&production, "a"), filter("1"));
}

#[test]
fn an_ambiguous_version_names_a_few_candidates() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    let same_version = |n: u32| filter("1.0").replace("pass", &format!("n = {n}"));
    for n in 0..12 {
        project.put(A, same_version(n));
        check(&project.run(&["--once"]), 0);
    }
    let ran = project.run(&["rollback", "a", "1.0", "--yes"]);
    check(&ran, 2);
    let [first, second, third] = [11, 10, 9].map(|n| short(&same_version(n))[..8].to_owned());
    assert_eq!(
        ran.stderr,
        format!(
            "error: `1.0` may be one of 12 texts, such as {first}, {second} and {third}\n\
             hint: name one by its digest, as `owui-watch history --all a` lists them with their times\n"
        )
    );
}
