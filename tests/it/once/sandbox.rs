//! `--once` while a sandbox of the project runs. The sandbox has its own watch and state; a file in the cache names them.
#![cfg(unix)]

use expect_test::expect;
use owui_watch::sandbox::Running;

use super::A;
use crate::support::command::{Project, Watch, check, filter};
use crate::support::fake_server::FakeServer;

#[test]
fn a_pass_without_a_server_is_for_the_running_sandbox() {
    let server = FakeServer::start();
    server.open_the_door();
    let project = Project::new();
    project.put(A, filter("1"));
    let state = project.path("sandbox");
    let mut command = project.command(&["--json"]);
    let mut watch = Watch::start(command.env("OPENWEBUI_URL", server.url()).env("OWUI_WATCH_STATE", &state));
    watch.wait("summary", None);
    let running = Running { project: project.path("").canonicalize().unwrap(), url: server.url(), state };
    let told = running.announce(&project.path(".cache/owui-watch")).unwrap();
    let here = format!("on the sandbox at {}\n", server.url());

    // A copy of the reference file names no server, though it says what the default is.
    for settings in ["", include_str!("../../../watch.toml")] {
        project.put("watch.toml", settings);
        let ran = project.run(&["--once", "--dry-run"]);
        check(&ran, 0);
        assert!(ran.stderr.starts_with(&here), "{}", ran.stderr);
        assert!(ran.stdout.contains(" 1 unchanged;"), "{}", ran.stdout);
    }
    for arguments in [&["--once"][..], &["--once", "--url", &server.url()]] {
        let ran = project.run(arguments);
        check(&ran, 2);
        let says = ran.stderr.strip_prefix(&here).unwrap_or(&ran.stderr);
        expect![[r#"
            error: the sandbox at URL deploys each save already
            hint: `owui-watch --once --dry-run` compares everything with it
            hint: `owui-watch deploy ID` sends a plugin again
        "#]]
        .assert_eq(&says.replace(&server.url(), "URL"));
    }
    drop(told);
}
