//! The built binary's `service`, with fake systemd tools that record their calls.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use expect_test::expect;
use owui_watch::systemd::unit::{self, Service};

use crate::support::command::{Project, Ran, check, filter, said_outright, text};
use crate::support::fake_server::{FakeServer, KEY};

/// The output of `systemctl show` for a running service.
const RUNNING: &str = "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nSubState=running\n\
                       StateChangeTimestamp=Sat 2026-11-21 02:36:04 UTC\nStatusText=watching `plugins`\nNRestarts=0\n";

/// A project that is also the user's home, with fake systemd tools and a key in `.env`.
struct Scene {
    project: Project,
}

impl Scene {
    fn new() -> Self {
        let scene = Self::bare();
        scene.project.write(".env", "OPENWEBUI_API_KEY=sk-1\n");
        scene
    }

    fn bare() -> Self {
        let project = Project::new();
        let at = |name| project.path(name).display().to_string();
        let (calls, version, state, fails) = (at("calls"), at("version"), at("state"), at("fails"));
        let script = format!(
            "#!/bin/sh\n\
             echo \"${{0##*/}} $*\" >> '{calls}'\n\
             if [ -e '{fails}' ]; then case \"$*\" in *\"$(/bin/cat '{fails}')\"*) echo 'No such luck.' >&2; exit 1; esac; fi\n\
             case \"${{0##*/}} $*\" in\n\
             *--property=Version*) /bin/cat '{version}' ;;\n\
             *--property=Linger*) echo no ;;\n\
             *' show '*) /bin/cat '{state}' ;;\n\
             journalctl*) echo 'a line of the log' ;;\n\
             esac\n"
        );
        for tool in ["systemctl", "loginctl", "journalctl"] {
            let path = format!("bin/{tool}");
            project.write(&path, &script);
            fs::set_permissions(project.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
        }
        project.write("version", "252.38-1~deb12u1\n");
        project.write("state", RUNNING);
        let path = project.path("bin");
        Self { project: project.with("PATH", path.to_str().unwrap()) }
    }

    fn with(self, name: &str, value: &str) -> Self {
        Self { project: self.project.with(name, value) }
    }

    fn folder(&self) -> PathBuf {
        self.project.path("").canonicalize().unwrap()
    }

    fn name(&self) -> String {
        unit::name(&self.folder())
    }

    fn file(&self) -> PathBuf {
        self.project.path(".config/systemd/user").join(self.name())
    }

    fn text(&self) -> Option<String> {
        fs::read_to_string(self.file()).ok()
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Ran {
        let ran = self.project.run(&[&["service"], arguments].concat());
        assert_eq!(ran.code, Some(code), "\nstdout: {}\nstderr: {}", ran.stdout, ran.stderr);
        ran
    }

    /// The tools' calls since the last time, without their common arguments.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.project.path("calls")).unwrap_or_default();
        fs::remove_file(self.project.path("calls")).ok();
        let plain = calls.replace(&self.name(), "UNIT").replace("--user --no-pager --no-ask-password ", "");
        plain.lines().map(str::to_owned).collect()
    }

    /// A text without the parts that differ from run to run, and without what many commands end with.
    fn plain(&self, text: &str) -> String {
        let plain = text.replace(&self.name(), "UNIT").replace(&*self.folder().to_string_lossy(), "HOME");
        plain.replace("its log: journalctl --user -u UNIT -f", "LOG")
    }
}

/// The values of a name in a unit.
fn said<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

#[test]
fn install_writes_and_starts_the_unit() {
    let scene = Scene::new();
    let ran = scene.run(&["install"], 0);
    expect![[r#"
        wrote `HOME/.config/systemd/user/UNIT`
        UNIT runs, now and after each login
        LOG
    "#]]
    .assert_eq(&scene.plain(&ran.stdout));
    expect![[r#"
        it ends when you log out
        hint: `loginctl enable-linger` keeps your services running while you are not logged in
    "#]]
    .assert_eq(&scene.plain(&ran.stderr));
    let user = Command::new("id").arg("-u").output().unwrap();
    assert_eq!(
        scene.calls(),
        [
            "systemctl show --property=Version --value",
            "systemctl daemon-reload",
            "systemctl enable --now UNIT",
            &format!("loginctl show-user --property=Linger --value {}", String::from_utf8_lossy(&user.stdout).trim()),
        ]
    );
    let program = Path::new(env!("CARGO_BIN_EXE_owui-watch")).canonicalize().unwrap();
    let folder = scene.folder();
    let service = Service { folder: &folder, program: &program, arguments: &[], credential: false };
    assert_eq!(scene.text(), Some(unit::text(&service).unwrap()));
}

#[test]
fn installing_again_updates_the_unit() {
    let scene = Scene::new();
    scene.run(&["install"], 0);
    let first = scene.text();
    scene.calls();

    let ran = scene.run(&["install"], 0);
    assert!(ran.stdout.starts_with("nothing has changed in `"), "{}", ran.stdout);
    assert_eq!(scene.text(), first);
    assert_eq!(scene.calls()[1..3], ["systemctl daemon-reload", "systemctl enable --now UNIT"]);

    // Changes apply now, not at the next login.
    scene.run(&["install", "--url", "http://localhost:3000", "--root", "./plugins", "--try"], 0);
    let program = Path::new(env!("CARGO_BIN_EXE_owui-watch")).canonicalize().unwrap();
    let root = scene.folder().join("plugins");
    assert_eq!(
        said(&scene.text().unwrap(), "ExecStart"),
        [format!("{} --root {} --url http://localhost:3000 --try", program.display(), root.display())]
    );
    assert_eq!(
        scene.calls()[1..4],
        ["systemctl daemon-reload", "systemctl try-restart UNIT", "systemctl enable --now UNIT"]
    );
}

#[test]
fn a_project_is_the_folder_of_its_settings() {
    let scene = Scene::bare();
    scene.project.write("there/my.toml", "");
    scene.project.write("there/.env", "OPENWEBUI_API_KEY=sk-1\n");
    fs::create_dir(scene.project.path("there/plugins")).unwrap();
    scene.run(&["install", "--config", "there/my.toml"], 0);
    let folder = scene.folder().join("there");
    let unit = scene.project.path(".config/systemd/user").join(unit::name(&folder));
    let text = fs::read_to_string(unit).unwrap();
    assert_eq!(said(&text, "WorkingDirectory"), [folder.to_str().unwrap()]);
    assert!(said(&text, "ExecStart")[0].ends_with(&format!(" --config {}/my.toml", folder.display())), "{text}");
}

#[test]
fn the_key_may_be_a_credential() {
    let scene = Scene::bare();
    scene.project.write(".config/owui-watch/openwebui_api_key", "sk-1");
    scene.run(&["install"], 0);
    let credential = "openwebui_api_key:%E/owui-watch/openwebui_api_key";
    assert_eq!(said(&scene.text().unwrap(), "LoadCredential"), [credential]);
    // Another source comes first. Then a missing file must not prevent the start.
    scene.project.write(".env", "OPENWEBUI_API_KEY=sk-2\n");
    scene.run(&["install"], 0);
    assert!(said(&scene.text().unwrap(), "LoadCredential").is_empty());
}

/// Nobody can ask a service whether it may send the key to the address in `watch.toml`.
#[test]
fn installing_trusts_the_settings() {
    let server = FakeServer::start();
    let scene = Scene::bare();
    scene.project.write(".config/owui-watch/openwebui_api_key", KEY);
    scene.project.write("watch.toml", &format!("url = \"{}\"\nstate = \"/tmp/../var/tmp\"\n", server.url()));
    // A refused installation trusts nothing.
    let scene = scene.with("OWUI_WATCH_STATE", "kept");
    scene.run(&["install"], 2);
    assert!(!scene.project.path(".config/owui-watch/trusted").exists());
    let scene = scene.with("OWUI_WATCH_STATE", "");
    let ran = scene.run(&["install"], 0);
    expect![[r#"
        allowed from now on: let `state` lead outside the folder, to `/var/tmp`
        allowed from now on: send your API key from the credential `openwebui_api_key` to URL
        wrote `HOME/.config/systemd/user/UNIT`
        UNIT runs, now and after each login
        LOG
    "#]]
    .assert_eq(&scene.plain(&ran.stdout).replace(&server.url(), "URL"));

    // As the service will be run.
    scene.project.write("watch.toml", &format!("url = \"{}\"\n", server.url()));
    scene.project.put("plugins/a.py", filter("1"));
    let credentials = scene.project.path(".config/owui-watch").display().to_string();
    let scene = scene.with("CREDENTIALS_DIRECTORY", &credentials);
    check(&scene.project.run(&["--once"]), 0);
    assert_eq!(text(&server, "a"), filter("1"));
}

#[test]
fn settings_known_only_to_this_shell_are_refused() {
    let says = |scene: &Scene| {
        let ran = scene.run(&["install"], 2);
        assert_eq!((scene.text(), ran.stdout.as_str()), (None, ""));
        assert_eq!(scene.calls(), ["systemctl show --property=Version --value"]);
        scene.plain(&ran.stderr)
    };
    expect![[r#"
        error: cannot install the service: the API key comes from `OPENWEBUI_API_KEY` of this shell, which a service does not see
        hint: write OPENWEBUI_API_KEY=… into `.env`, or the key alone into a file that `api_key_file` in watch.toml names, or into `HOME/.config/owui-watch/openwebui_api_key`
    "#]]
    .assert_eq(&says(&Scene::bare().with("OPENWEBUI_API_KEY", "sk-1")));
    expect![[r#"
        error: cannot install the service: the API key comes from `OPENWEBUI_API_KEY` of this shell, which a service does not see
        hint: the service would use the key from `OPENWEBUI_API_KEY` in `.env`: unset the variable, or correct the key there
    "#]]
    .assert_eq(&says(&Scene::new().with("OPENWEBUI_API_KEY", "sk-2")));
    expect![[r#"
        error: cannot install the service: the server comes from `OPENWEBUI_URL` of this shell, which a service does not see
        hint: add --url http://h:1, or write `url` into watch.toml or `.env`
    "#]]
    .assert_eq(&says(&Scene::new().with("OPENWEBUI_URL", "http://h:1")));
    expect![[r#"
        error: cannot install the service: settings come from `OWUI_WATCH_ON_REMOTE_EDIT` of this shell, which a service does not see
        hint: write them into watch.toml or `.env`, or unset them
    "#]]
    .assert_eq(&says(&Scene::new().with("OWUI_WATCH_ON_REMOTE_EDIT", "hold")));
    let scene = Scene::new().with("OWUI_WATCH_ROOT", "elsewhere");
    fs::rename(scene.project.path("plugins"), scene.project.path("elsewhere")).unwrap();
    expect![[r#"
        error: cannot install the service: settings come from variables of this shell, which a service does not see
        hint: without them: cannot watch `plugins`: there is no such folder
    "#]]
    .assert_eq(&says(&scene));
}

#[test]
fn redundant_variables_are_fine() {
    let scene = Scene::new()
        .with("OPENWEBUI_API_KEY", "sk-1")
        .with("OPENWEBUI_URL", "http://localhost:8080/")
        .with("OWUI_WATCH_POLL", "off");
    scene.run(&["install"], 0);
}

#[test]
fn an_edited_unit_is_left_alone() {
    let scene = Scene::new();
    scene.run(&["install"], 0);
    let (ours, edited) = (scene.text().unwrap(), scene.text().unwrap().replace("WatchdogSec=2min", "WatchdogSec=1min"));
    fs::write(scene.file(), &edited).unwrap();
    scene.calls();

    let ran = scene.run(&["install"], 1);
    assert!(ran.stdout.contains("\n-WatchdogSec=1min\n+WatchdogSec=2min\n"), "{}", ran.stdout);
    expect![[r#"
        error: `HOME/.config/systemd/user/UNIT` was edited and is left alone
        hint: `--yes` replaces it; changes in a drop-in are safe: systemctl --user edit UNIT
    "#]]
    .assert_eq(&scene.plain(&ran.stderr));
    scene.run(&["uninstall"], 1);
    assert_eq!(scene.text(), Some(edited.clone()));
    assert_eq!(scene.calls(), ["systemctl show --property=Version --value"; 2]);

    scene.run(&["install", "--yes"], 0);
    assert_eq!(scene.text(), Some(ours));
    fs::write(scene.file(), &edited).unwrap();
    scene.run(&["uninstall", "--yes"], 0);
    assert_eq!(scene.text(), None);
}

#[test]
fn hardening_can_be_added_and_removed() {
    let scene = Scene::new();
    let drop_in = unit::drop_in(&scene.file());
    let ran = scene.run(&["install", "--hardened"], 0);
    expect![[r#"
        wrote `HOME/.config/systemd/user/UNIT`
        wrote `HOME/.config/systemd/user/UNIT.d/10-hardened.conf`
        UNIT runs, now and after each login
        LOG
    "#]]
    .assert_eq(&scene.plain(&ran.stdout));
    let text = fs::read_to_string(&drop_in).unwrap();
    assert!(unit::is_ours(&text), "{text}");
    assert_eq!(said(&text, "ReadWritePaths"), [scene.folder().to_str().unwrap()]);
    scene.calls();

    // Without the flag the hardening is gone.
    let ran = scene.run(&["install"], 0);
    assert!(scene.plain(&ran.stdout).contains("\nremoved `HOME/.config/systemd/user/UNIT.d/10-hardened.conf`\n"));
    assert!(!drop_in.parent().unwrap().exists());
    assert_eq!(
        scene.calls()[1..4],
        ["systemctl daemon-reload", "systemctl try-restart UNIT", "systemctl enable --now UNIT"]
    );

    scene.run(&["install", "--hardened"], 0);
    fs::write(&drop_in, text.replace("PrivateDevices=yes", "PrivateDevices=no")).unwrap();
    for refused in [&["install", "--hardened"][..], &["install"], &["uninstall"]] {
        let ran = scene.run(refused, 1);
        assert!(ran.stderr.contains("10-hardened.conf` was edited and is left alone\n"), "{}", ran.stderr);
        assert!(drop_in.exists() && scene.text().is_some());
    }
    scene.run(&["install", "--hardened", "--yes"], 0);
    assert_eq!(fs::read_to_string(&drop_in).unwrap(), text);
    scene.run(&["uninstall"], 0);
    assert!(!drop_in.exists() && scene.text().is_none());
}

#[test]
fn a_hardened_service_may_write_to_its_state_elsewhere() {
    let scene = Scene::new();
    let state = scene.folder().join("elsewhere");
    fs::create_dir_all(scene.project.path("there/plugins")).unwrap();
    scene.project.write("there/watch.toml", "state = \"../elsewhere\"\n");
    scene.project.write("there/.env", "OPENWEBUI_API_KEY=sk-1\n");
    let install = ["install", "--hardened", "--config", "there/watch.toml"];
    let ran = scene.run(&install, 2);
    assert!(ran.stderr.contains("cannot install the service: its state folder `"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\nhint: create it first: mkdir -m 700 -p '"), "{}", ran.stderr);
    fs::create_dir(&state).unwrap();
    scene.run(&install, 0);
    let folder = scene.folder().join("there");
    let file = scene.project.path(".config/systemd/user").join(unit::name(&folder));
    let text = fs::read_to_string(unit::drop_in(&file)).unwrap();
    assert_eq!(said(&text, "ReadWritePaths"), [format!("{} {}", folder.display(), state.display())]);
}

#[test]
fn a_hardened_service_that_fails_says_what_else_to_try() {
    let scene = Scene::new();
    scene.project.write("fails", "enable --now");
    let ran = scene.run(&["install", "--hardened"], 1);
    expect![[r#"
        error: the service does not start: `systemctl --user enable --now UNIT` failed: No such luck.
        hint: install it without `--hardened` if user namespaces are forbidden here
    "#]]
    .assert_eq(&scene.plain(&ran.stderr));
}

#[test]
fn uninstall_stops_and_removes_the_unit() {
    let scene = Scene::new();
    scene.run(&["install"], 0);
    scene.calls();
    // It can be uninstalled with invalid settings.
    scene.project.write("watch.toml", "no such key");
    let ran = scene.run(&["uninstall"], 0);
    expect![[r#"
        stopped the service and removed `HOME/.config/systemd/user/UNIT`
    "#]]
    .assert_eq(&scene.plain(&ran.stdout));
    assert_eq!(scene.text(), None);
    assert_eq!(scene.calls()[1..], ["systemctl disable --now UNIT", "systemctl daemon-reload"]);

    let ran = scene.run(&["uninstall"], 0);
    assert_eq!(scene.plain(&ran.stdout), "there is no service for `HOME`\n");
    assert_eq!(scene.calls().len(), 1);
}

#[test]
fn status_shows_state_and_log() {
    let scene = Scene::new();
    let ran = scene.run(&["status"], 0);
    expect![[r#"
        UNIT: active (running) since Sat 2026-11-21 02:36:04 UTC, enabled
        watching `plugins`
          a line of the log
        LOG
    "#]]
    .assert_eq(&scene.plain(&ran.stdout));
    assert_eq!(scene.calls()[2..], ["journalctl --user --quiet --no-pager --output=cat --unit=UNIT --lines=8"],);

    scene
        .project
        .write("state", &RUNNING.replace("=active", "=failed").replace("=running", "=failed").replace("=0", "=3"));
    let ran = scene.run(&["status"], 1);
    expect![[r#"
        UNIT: failed (failed) since Sat 2026-11-21 02:36:04 UTC, enabled, restarts: 3
          a line of the log
        LOG
    "#]]
    .assert_eq(&scene.plain(&ran.stdout));

    scene.project.write("state", "LoadState=not-found\nActiveState=inactive\nSubState=dead\n");
    let ran = scene.run(&["status"], 1);
    assert_eq!(scene.plain(&ran.stdout), "there is no service for `HOME`\n");
    assert_eq!(ran.stderr, "hint: `owui-watch service install` installs one\n");
}

#[test]
fn service_events_are_json_too() {
    let scene = Scene::new();
    let events = |ran: &Ran| -> Vec<_> {
        ran.notices().iter().map(|notice| notice["event"].as_str().unwrap().to_owned()).collect()
    };
    let ran = scene.run(&["install", "--json"], 0);
    assert_eq!(events(&ran), ["unit_written", "service_started", "service_log", "no_linger"]);
    assert!(ran.notices().iter().all(|notice| notice["unit"] == scene.name()));
    let ran = scene.run(&["status", "--json"], 0);
    let [status, log] = &ran.notices()[..] else { panic!("{}", ran.stdout) };
    assert_eq!(
        (&status["event"], &status["state"], &status["enabled"], &status["status"]),
        (&"service_status".into(), &"active".into(), &"enabled".into(), &"watching `plugins`".into())
    );
    assert_eq!(status["log"], serde_json::json!(["a line of the log"]));
    assert_eq!(log["command"], format!("journalctl --user -u {} -f", scene.name()));
    assert_eq!(events(&scene.run(&["uninstall", "--json"], 0)), ["unit_removed"]);
}

#[test]
fn a_missing_manager_is_an_error() {
    let scene = Scene::new();
    scene.project.write("fails", "--property=Version");
    let no_session = if Path::new("/run/systemd/system").exists() {
        expect![[r#"
            error: there is no systemd session for your user
            hint: log in as that user directly: `su` and `sudo` start no session
        "#]]
    } else {
        expect![[r#"
            error: there is no systemd session: systemd did not start this system, which may be a container
            hint: start `owui-watch` itself, for example as the command of the container
        "#]]
    };
    for action in ["install", "uninstall", "status"] {
        no_session.assert_eq(&scene.run(&[action], 2).stderr);
    }
    assert_eq!(scene.text(), None);

    // A manager that fails.
    scene.project.write("run/systemd/private", "");
    let runtime = scene.project.path("run");
    let scene = scene.with("XDG_RUNTIME_DIR", runtime.to_str().unwrap());
    expect![[r#"
        error: the service manager of your user does not answer: No such luck.
        hint: log in again, or look at the manager: systemctl --user status
    "#]]
    .assert_eq(&scene.run(&["status"], 2).stderr);

    let nowhere = Project::new().with("PATH", "/nowhere");
    let ran = nowhere.run(&["service", "install"]);
    assert_eq!(ran.code, Some(2));
    expect![[r#"
        error: there is no systemd here
        hint: start `owui-watch` in your plugins' folder with this system's autostart
    "#]]
    .assert_eq(&ran.stderr);

    let old = Scene::new();
    old.project.write("version", "246\n");
    let ran = old.run(&["install"], 2);
    assert_eq!(ran.stderr, "error: cannot install the service: this is systemd 246; the service needs 247 or later\n");
    old.run(&["status"], 0);
}

#[test]
fn a_service_that_does_not_start_is_an_error() {
    let scene = Scene::new();
    scene.project.write("fails", "enable --now");
    let ran = scene.run(&["install"], 1);
    expect![[r#"
        error: the service does not start: `systemctl --user enable --now UNIT` failed: No such luck.
        hint: its log says why: journalctl --user -u UNIT -n 20
    "#]]
    .assert_eq(&scene.plain(&ran.stderr));
}

/// Asks systemd-analyze about a unit, as its user's manager would read it. `None` where it cannot be asked.
fn analyze(arguments: &[&str], unit: &Path, home: &Path) -> Option<Output> {
    let mut command = Command::new("systemd-analyze");
    command.args(["--user", "--no-pager"]).args(arguments).arg(unit).env_remove("XDG_CONFIG_HOME");
    command.env("HOME", home).env("XDG_RUNTIME_DIR", home);
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            said_outright("skipped: systemd-analyze is not installed (.ci/run installs it)");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The shipped unit with the program that it names, generated ones, and one that is hardened.
#[test]
fn systemd_accepts_the_units_and_rates_them_safe() {
    let scene = Scene::bare();
    let home = scene.folder();
    scene.project.write(".cargo/bin/owui-watch", "#!/bin/sh\n");
    let program = scene.project.path(".cargo/bin/owui-watch");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(scene.project.path("50% $HOME/plugins")).unwrap();
    scene.project.write("50% $HOME/watch.toml", "");
    scene.project.write(".config/owui-watch/openwebui_api_key", "sk-1");
    let generated = |arguments: &[&str], folder: &str| {
        scene.run(&[&["install"], arguments].concat(), 0);
        let folder = home.join(folder).canonicalize().unwrap();
        scene.project.path(".config/systemd/user").join(unit::name(&folder))
    };
    let units = [
        Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/owui-watch.service"),
        generated(&["--url", "http://h:1", "--root", "plugins"], ""),
        generated(&["--config", "50% $HOME/watch.toml"], "50% $HOME"),
    ];
    // As systemd reads a unit with its drop-in.
    let whole = scene.project.path("hardened.service");
    let text = fs::read_to_string(&units[0]).unwrap() + include_str!("../../systemd/hardened.conf");
    fs::write(&whole, text).unwrap();
    // From 0 to 100. The rest is the network, and what a user's manager cannot restrict.
    let units = units.iter().map(|unit| (unit, "65")).chain([(&whole, "20")]);
    for (unit, most) in units {
        let Some(verify) = analyze(&["verify"], unit, &home) else { return };
        // It prints warnings, but exits with 0.
        assert_eq!(String::from_utf8_lossy(&verify.stderr), "", "{}", unit.display());
        assert!(verify.status.success());

        let threshold = format!("--threshold={most}");
        let Some(security) = analyze(&["security", "--offline=yes", &threshold], unit, &home) else { return };
        let words = String::from_utf8_lossy(&security.stderr);
        if words.contains("offline") {
            said_outright("skipped: this systemd-analyze cannot judge a unit that is not loaded (before 250)");
            return;
        }
        assert!(security.status.success(), "{words}\n{}", String::from_utf8_lossy(&security.stdout));
    }
}
