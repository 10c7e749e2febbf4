//! The sandbox: first with shell scripts as installer and server, then (ignored) with real ones.
#![cfg(unix)]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use owui_watch::error::Error;
use owui_watch::sandbox::{Options, Progress, Sandbox, default_cache};
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;

/// A machine with only the test's programs.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Machine {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("bin")).unwrap();
        Machine { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a script through another process. If this one wrote it, children of parallel tests could inherit the open
    /// file, and the kernel refuses to run a program that is open for writing.
    fn script(&self, name: &str, body: &str) {
        let mut writer = Command::new("/bin/sh");
        writer.args(["-c", r#"cat >"$1" && chmod 755 "$1""#, "sh"]).arg(self.path(name)).stdin(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        let text = format!("#!/bin/sh\nroot='{}'\n{body}\n", self.root.path().display());
        writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
    }

    fn python(&self, name: &str, version: &str) {
        self.script(&format!("bin/{name}"), &format!("echo \"python cpython {version} $0\""));
    }

    /// A fake uv whose environments have `server` as Open WebUI, and whose `pip install` runs `installing`.
    fn uv(&self, installing: &str, server: &str) {
        let asked = r#"if [ "$2" = -c ]; then echo "python cpython 3 12 1 $0"; exit; fi"#;
        self.script("venv-python", &format!("{asked}\n{server}"));
        let uv = r#"
            echo "$*" >>"$root/uv-calls"
            case "$1" in
            --version) echo "uv 0.0.0 (fake)" ;;
            python) exit 2 ;;
            venv)
                for last; do :; done
                /bin/mkdir -p "$last/bin"
                /bin/cp "$root/venv-python" "$last/bin/python"
                ;;
            pip)
                echo "Resolved 226 packages in 1ms" >&2
                "#;
        self.script("bin/uv", &format!("{uv}{installing}\n;;\nesac"));
    }

    fn uv_calls(&self, of: &str) -> usize {
        let calls = fs::read_to_string(self.path("uv-calls")).unwrap_or_default();
        calls.lines().filter(|line| line.starts_with(of)).count()
    }

    fn options(&self) -> Options {
        let environment = [("PATH", self.path("bin")), ("HOME", self.path("home"))];
        let environment = environment.map(|(name, value)| (OsString::from(name), value.into_os_string()));
        Options::new(self.path("cache"), environment)
    }

    async fn fails(&self) -> (Error, Vec<Progress>) {
        let mut told = Vec::new();
        let end = Sandbox::start(&self.options(), |step| told.push(step)).await;
        (end.err().expect("there is no server to start"), told)
    }

    /// Starts, and cancels as soon as `when` is reported.
    async fn gives_up(&self, when: impl Fn(&Progress) -> bool) {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let options = self.options();
        let start = Sandbox::start(&options, |step| sender.send(step).unwrap());
        let seen = async { while !when(&receiver.recv().await.unwrap()) {} };
        tokio::select! {
            end = start => panic!("it came to an end: {:?}", end.err()),
            () = seen => (),
        }
    }

    /// The files that an installation left.
    fn installed(&self) -> Vec<String> {
        let folder = self.path("cache/open-webui/0.12.4").read_dir().unwrap();
        folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Waits for the end of a process whose id a script wrote.
    async fn is_gone(&self, noted: &str) {
        let id = fs::read_to_string(self.path(noted)).unwrap();
        within(Duration::from_secs(10), "the process is gone", || {
            let ps = Command::new("ps").args(["-o", "stat=", "-p", id.trim()]).output().unwrap();
            let state = String::from_utf8_lossy(&ps.stdout).into_owned();
            // Without a reaper, dead orphans stay in the process list.
            state.trim().is_empty() || state.starts_with('Z')
        })
        .await;
    }
}

async fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + limit;
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const DIES: &str = r#"echo "first line"; echo "data in $PWD" >&2; exit 3"#;

#[tokio::test]
async fn a_missing_python_and_uv_is_reported_with_remedies() {
    let machine = Machine::new();
    let (error, _) = machine.fails().await;
    assert_eq!(error.to_string(), "cannot set up an Open WebUI: neither Python 3.11 or 3.12 nor uv was found");
    assert!(error.hint().unwrap().contains("uv"), "{:?}", error.hint());
}

#[tokio::test]
async fn an_invalid_version_is_refused_at_once() {
    let machine = Machine::new();
    let options = Options { openwebui: "latest".to_owned(), ..machine.options() };
    let error = Sandbox::start(&options, |_| ()).await.err().unwrap();
    assert_eq!(error.to_string(), "`latest` is not a version of Open WebUI");
    assert!(!machine.path("cache").exists());
}

#[tokio::test]
async fn a_python_without_venv_names_the_missing_package() {
    let machine = Machine::new();
    let venv = "echo 'The virtual environment was not created because ensurepip is not available.'; exit 1";
    machine.script(
        "bin/python3",
        &format!(
            r#"case "$*" in *"import sys"*) echo "python cpython 3 13 5 $0" ;; *"-m venv"*) {venv} ;; *) exit 1 ;; esac"#
        ),
    );
    let (error, told) = machine.fails().await;
    assert!(
        error.to_string().starts_with("cannot make a virtual environment with Python 3.13.5\n  | The virtual"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("python3.13-venv"), "{:?}", error.hint());
    assert!(told.contains(&Progress::InstallingUv));
}

#[tokio::test]
async fn uv_fetches_a_python_if_none_fits() {
    let machine = Machine::new();
    machine.python("python3", "3 13 5");
    machine.script("bin/python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127");
    machine.uv("exit 0", DIES);
    let (_, told) = machine.fails().await;
    assert!(told.contains(&Progress::FetchingPython), "{told:?}");
    assert_eq!(machine.uv_calls("venv --no-project --allow-existing --python 3.12 "), 1);
}

#[tokio::test]
async fn a_failed_python_download_names_alternatives() {
    let machine = Machine::new();
    machine.script("bin/uv", "[ $1 = --version ] && echo 'uv 0.0.0' && exit; echo 'error: dns error' >&2; exit 2");
    let (error, _) = machine.fails().await;
    let text = "cannot download Python 3.12: uv ended with exit status: 2\n  | error: dns error";
    assert_eq!(error.to_string(), text);
    assert!(error.hint().unwrap().contains("install Python itself"), "{:?}", error.hint());
}

#[tokio::test]
async fn the_servers_settings_are_its_own() {
    let machine = Machine::new();
    machine.python("python3.12", "3 12 1");
    machine.uv("exit 0", r#"echo "$DATABASE_URL,$WEBUI_AUTH,$MORE,$HOME"; [ "$DATA_DIR" = "$PWD" ] && exit 7"#);
    let mut options = machine.options();
    options.environment.push(("DATABASE_URL".into(), "postgresql://of-the-real-one".into()));
    options.settings.push(("MORE".to_owned(), "more".to_owned()));
    let error = Sandbox::start(&options, |_| ()).await.err().unwrap();
    let expected = format!("Open WebUI exited: exit status: 7\n  | ,false,more,{}", machine.path("home").display());
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn keep_keeps_the_log_of_a_failed_start() {
    let machine = Machine::new();
    machine.python("python3.12", "3 12 1");
    machine.uv("exit 0", DIES);
    let options = Options { keep: true, ..machine.options() };
    let error = Sandbox::start(&options, |_| ()).await.err().unwrap();
    let hint = error.hint().unwrap();
    let log = Path::new(hint.split('`').nth(1).unwrap());
    assert!(fs::read_to_string(log).unwrap().starts_with("first line\n"), "{hint}");
    fs::remove_dir_all(log.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_failed_installation_quotes_the_installer_and_cleans_up() {
    let machine = Machine::new();
    machine.python("python3.12", "3 12 1");
    machine.uv("echo 'error: Failed to fetch' >&2; echo '  Caused by: dns error' >&2; exit 2", DIES);
    let (error, told) = machine.fails().await;
    let text = error.to_string();
    assert!(text.starts_with("cannot install Open WebUI 0.12.4: uv ended with exit status: 2\n"), "{text}");
    assert!(text.ends_with("\n  | error: Failed to fetch\n  |   Caused by: dns error"), "{text}");
    assert!(error.hint().unwrap().contains("network"), "{:?}", error.hint());
    assert!(told.contains(&Progress::MakingVenv { python: "3.12.1".to_owned() }));
    assert_eq!(machine.installed(), [""; 0]);
}

#[tokio::test]
async fn a_dead_server_is_quoted_and_its_data_removed() {
    let machine = Machine::new();
    machine.python("python3.11", "3 11 2");
    machine.uv("exit 0", DIES);
    let (error, told) = machine.fails().await;
    let text = error.to_string();
    assert!(text.starts_with("Open WebUI exited: exit status: 3\n  | first line\n  | data in "), "{text}");
    let data = Path::new(text.rsplit(" in ").next().unwrap());
    assert!(data.is_absolute() && !data.exists(), "{}", data.display());
    let line = "Resolved 226 packages in 1ms".to_owned();
    assert!(told.contains(&Progress::Installing { what: "Open WebUI 0.12.4".to_owned(), line }), "{told:?}");

    let (_, told) = machine.fails().await;
    assert_eq!(machine.uv_calls("pip install"), 1, "the second start finds it installed");
    let is_repeated = matches!(told[..], [Progress::Starting { .. }, Progress::Starting { .. }]);
    assert!(is_repeated, "a start that failed is repeated once: {told:?}");
}

#[tokio::test]
async fn a_taken_port_is_changed_once() {
    let machine = Machine::new();
    machine.python("python3.12", "3 12 1");
    machine.uv("exit 0", "echo '[Errno 98] error while attempting to bind on address: address already in use'; exit 1");
    let (error, told) = machine.fails().await;
    assert!(error.to_string().contains("address already in use"), "{error}");
    assert_eq!(told.iter().filter(|step| matches!(step, Progress::Starting { .. })).count(), 2);
}

#[tokio::test]
async fn concurrent_starts_install_once() {
    let machine = Machine::new();
    machine.python("python3.12", "3 12 1");
    machine.uv("/bin/sleep 0.3", DIES);
    let ((one, mut told), (two, told_too)) = tokio::join!(machine.fails(), machine.fails());
    assert!(one.to_string().starts_with("Open WebUI exited"), "{one}");
    assert!(two.to_string().starts_with("Open WebUI exited"), "{two}");
    assert_eq!(machine.uv_calls("pip install"), 1);
    told.extend(told_too);
    assert!(told.contains(&Progress::WaitingForAnother));
}

#[tokio::test]
async fn a_cancelled_installation_leaves_nothing() {
    let machine = Machine::new();
    machine.python("python3.12", "3 12 1");
    machine.uv(r#"/bin/sleep 1000 & echo $! >"$root/child"; echo $$ >"$root/uv-id"; echo waiting >&2; wait"#, DIES);
    machine.gives_up(|step| matches!(step, Progress::Installing { line, .. } if line == "waiting")).await;
    machine.is_gone("uv-id").await;
    machine.is_gone("child").await;
    assert_eq!(machine.installed(), [""; 0]);

    machine.uv("exit 0", DIES);
    machine.fails().await;
    assert!(machine.installed().contains(&"complete".to_owned()));
}

#[tokio::test]
async fn a_cancelled_start_leaves_no_process() {
    let machine = Machine::new();
    machine.python("python3.12", "3 12 1");
    let root = machine.root.path().display();
    machine.uv(
        "exit 0",
        &format!("/bin/sleep 1000 & echo $! >'{root}/child'; echo $$ >'{root}/server'; pwd >'{root}/data'; wait"),
    );
    machine.gives_up(|step| matches!(step, Progress::Waiting { .. })).await;
    machine.is_gone("server").await;
    machine.is_gone("child").await;
    let data = fs::read_to_string(machine.path("data")).unwrap();
    assert!(!Path::new(data.trim()).exists(), "{data}");
}

#[tokio::test]
async fn an_installation_without_its_python_is_replaced() {
    let machine = Machine::new();
    machine.python("python3.12", "3 12 1");
    machine.uv("exit 0", DIES);
    machine.fails().await;
    let venv = machine.installed().into_iter().find(|name| name.starts_with("venv-")).unwrap();
    fs::remove_file(machine.path("cache/open-webui/0.12.4").join(&venv).join("bin/python")).unwrap();
    machine.fails().await;
    assert_eq!(machine.uv_calls("pip install"), 2);
    assert!(!machine.installed().contains(&venv));
}

fn real() -> Options {
    Options::new(default_cache().unwrap(), std::env::vars_os())
}

fn loopback() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn get(sandbox: &Sandbox, path: &str, token: &str) -> (u16, Value) {
    let request = loopback().get(format!("{}{path}", sandbox.url())).bearer_auth(token);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

/// The command lines on this machine that name a folder.
fn processes_with(folder: &Path) -> usize {
    let ps = Command::new("ps").args(["-A", "-ww", "-o", "args="]).output().unwrap();
    String::from_utf8_lossy(&ps.stdout).lines().filter(|line| line.contains(folder.to_str().unwrap())).count()
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn real_without_login() {
    let mut told = Vec::new();
    let sandbox = Sandbox::start(&real(), |step| told.push(step.to_string())).await.unwrap();
    let admin = sandbox.admin();
    assert!(admin.api_key.is_none());
    assert_eq!(told.last(), Some(&format!("Open WebUI answers at {}", sandbox.url())));
    let (status, version) = get(&sandbox, "/api/version", "").await;
    assert_eq!((status, version["version"].as_str()), (200, Some("0.12.4")));
    let (status, functions) = get(&sandbox, "/api/v1/functions/", admin.token.expose_secret()).await;
    assert_eq!((status, functions), (200, Value::Array(Vec::new())));
    let (data, url) = (sandbox.data().to_owned(), sandbox.url().to_owned());
    assert!(sandbox.log().is_file());
    assert_ne!(processes_with(&data), 0);
    assert_eq!(sandbox.stop().unwrap(), None);
    assert!(!data.exists());
    assert_eq!(processes_with(&data), 0);
    assert!(loopback().get(url).send().await.is_err());
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn real_with_login_and_keep() {
    let options = Options { login: true, keep: true, ..real() };
    let sandbox = Sandbox::start(&options, |_| ()).await.unwrap();
    let admin = sandbox.admin().clone();
    let url = sandbox.url().to_owned();
    for credential in [&admin.token, admin.api_key.as_ref().unwrap()] {
        assert_eq!(get(&sandbox, "/api/v1/functions/", credential.expose_secret()).await.0, 200);
    }
    assert_eq!(get(&sandbox, "/api/v1/functions/", "sk-of-somebody-else").await.0, 401);
    for (password, expected) in [(admin.password.expose_secret(), 200), ("wrong", 400)] {
        let body = serde_json::json!({ "email": admin.email, "password": password });
        let answer = loopback().post(format!("{url}/api/v1/auths/signin")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), expected);
    }
    let data = sandbox.stop().unwrap().expect("it was to be kept");
    assert!(data.join("webui.db").is_file() && data.join("server.log").is_file());
    assert!(loopback().get(url).send().await.is_err());
    fs::remove_dir_all(data).unwrap();
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn real_end_is_noticed() {
    let mut sandbox = Sandbox::start(&real(), |_| ()).await.unwrap();
    let ps = Command::new("ps").args(["-A", "-ww", "-o", "pid=,args="]).output().unwrap();
    let lines = String::from_utf8_lossy(&ps.stdout).into_owned();
    let line = lines.lines().find(|line| line.contains(sandbox.data().to_str().unwrap())).unwrap();
    let id = line.split_whitespace().next().unwrap();
    assert!(Command::new("kill").args(["-KILL", id]).status().unwrap().success());
    let error = tokio::time::timeout(Duration::from_secs(10), sandbox.ended()).await.unwrap();
    assert!(error.to_string().starts_with("Open WebUI exited: signal: 9"), "{error}");
}

const HOLD: &str = "OWUI_WATCH_TEST_HOLD";

/// Not a test: the process that the next test kills.
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn real_hold() {
    if std::env::var_os(HOLD).is_none() {
        return;
    }
    let mut sandbox = Sandbox::start(&real(), |_| ()).await.unwrap();
    println!("\nholds {} {}", sandbox.url(), sandbox.data().display());
    panic!("{}", sandbox.ended().await);
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn real_server_ends_when_its_starter_is_killed() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "sandbox::real_hold", "--nocapture"]);
    let mut starter = command.env(HOLD, "1").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(starter.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("holds ")).unwrap();
    let mut words = line.split(' ').skip(1);
    let (url, data) = (words.next().unwrap(), PathBuf::from(words.next().unwrap()));
    assert!(loopback().get(url).send().await.is_ok());
    starter.kill().unwrap();
    starter.wait().unwrap();
    within(Duration::from_secs(10), "the server is gone", || processes_with(&data) == 0).await;
    assert!(!data.exists());
    assert!(loopback().get(url).send().await.is_err());
}
