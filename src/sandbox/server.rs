//! Starts Open WebUI on loopback, waits until it answers, and gets a token from it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::data::random;
use super::model::MODEL;
use super::pane::Listener;
use super::python::same_variable;
use super::{Admin, Port, Progress, Tell, process};
use crate::error::Error;
use crate::paths::slashed;
use crate::printable;
use crate::process_group;
use crate::regular_file;

const LAUNCHER: &str = include_str!("launcher.py");
const PANE: &str = include_str!("pane.py");

/// A first start on a slow disk, which compiles every module, can take more than a minute.
const STARTING: Duration = Duration::from_mins(3);
/// A start whose log stays silent this long after an exception has hung: on a busy machine, Open WebUI (seen with
/// 0.11.4 and 0.12.4) may lose the connection to its database, and hang.
const SILENT: Duration = Duration::from_secs(30);
const LOOKING: Duration = Duration::from_millis(100);
const ANSWERING: Duration = Duration::from_secs(20);
const DYING: Duration = Duration::from_secs(5);

/// By this key the connection to our model is known among those that a user has added.
const MODEL_KEY: &str = "owui-watch";
/// The folder that pip installs into.
const REQUIREMENTS: &str = "requirements";
/// How many ports are tried for a free one.
pub(super) const PORTS: u16 = 50;

/// The variables that the server inherits. No others: `DATABASE_URL` or `REDIS_URL` of a real installation would let it
/// change real data.
const INHERITED: [&str; 31] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TMP",
    "TEMP",
    // Plugins call external services.
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    // Without these no program starts on Windows.
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
];

/// How to start the server.
pub(super) struct Launch<'a> {
    pub(super) python: &'a Path,
    pub(super) data: &'a Path,
    pub(super) log: &'a Path,
    pub(super) keep: bool,
    pub(super) login: bool,
    pub(super) port: u16,
    /// Whether no other port will do.
    pub(super) is_port_fixed: bool,
    /// The address of the model of a development server.
    pub(super) model: Option<&'a str>,
    /// The receiver of what plugins do.
    pub(super) pane: Option<&'a Listener>,
    /// The folder with pip, where the server installs what plugins require.
    pub(super) pip: Option<&'a Path>,
    pub(super) environment: &'a [(OsString, OsString)],
    pub(super) settings: &'a [(String, String)],
}

impl Launch<'_> {
    /// The settings that make it a sandbox, for all versions of Open WebUI.
    fn settings(&self, port: u16, mark: &str) -> Vec<(&'static str, OsString)> {
        let text = |value: &str| OsString::from(value);
        let mut settings = vec![
            ("DATA_DIR", self.data.into()),
            // The server rewrites this folder when it starts. Inside the installation, servers that start together
            // would collide, and its files may be hard links into the installer's cache.
            ("STATIC_DIR", self.data.join("static").into()),
            ("DEPLOYMENT_ID", text(mark)),
            // By default any page in the user's browser could use a server without a password.
            ("CORS_ALLOW_ORIGIN", format!("http://127.0.0.1:{port};http://localhost:{port}").into()),
            ("RAG_EMBEDDING_ENGINE", text("openai")),
            ("ENABLE_API_KEYS", text("true")),
            // The name before 0.6.37, and the permission that even admins needed then.
            ("ENABLE_API_KEY", text("true")),
            ("USER_PERMISSIONS_FEATURES_API_KEYS", text("true")),
            ("WEBUI_AUTH", text(if self.login { "true" } else { "false" })),
        ];
        settings.extend(["HF_HUB_OFFLINE", "DO_NOT_TRACK", "SCARF_NO_ANALYTICS"].map(|on| (on, text("true"))));
        settings.extend(
            ["ENABLE_OLLAMA_API", "ANONYMIZED_TELEMETRY", "ENABLE_VERSION_UPDATE_CHECK"]
                .map(|off| (off, text("false"))),
        );
        settings.push(("ENABLE_OPENAI_API", text(if self.model.is_some() { "true" } else { "false" })));
        if let Some(model) = self.model {
            settings.extend([
                ("OPENAI_API_BASE_URL", text(model)),
                ("OPENAI_API_KEY", text(MODEL_KEY)),
                ("DEFAULT_MODELS", text(MODEL)),
                // Else the first tool that the model is offered is the server's own.
                ("DEFAULT_MODEL_METADATA", text(r#"{"capabilities": {"builtin_tools": false}}"#)),
            ]);
        }
        settings.push(("OFFLINE_MODE", text(if self.pip.is_some() { "false" } else { "true" })));
        if let Some(pip) = self.pip {
            settings.extend([
                // The launcher ignores it; the server's `python -m pip` does not.
                ("PYTHONPATH", pip.into()),
                // Beside the chats, and not in the installation, which other sandboxes use.
                ("PIP_TARGET", self.data.join(REQUIREMENTS).into()),
                ("PIP_DISABLE_PIP_VERSION_CHECK", text("true")),
            ]);
        }
        settings
    }

    /// What the launcher reads before it starts the server.
    fn instructions(&self) -> String {
        let pane = self.pane.map(|pane| {
            json!({
                "source": PANE,
                "port": pane.port,
                "token": pane.token.expose_secret(),
                "calls": pane.calls,
                "log": pane.log,
            })
        });
        let instructions = json!({
            "dev": self.model.is_some(),
            "installs": self.pip.is_some(),
            "requirements": self.data.join(REQUIREMENTS),
            "pane": pane,
        });
        instructions.to_string() + "\n"
    }

    fn start(&self, port: u16, mark: &str) -> io::Result<Server> {
        let log = regular_file::open_no_follow(self.log, OpenOptions::new().write(true).create(true).truncate(true))?;
        let mut command = Command::new(self.python);
        // Isolated from the user's Python settings and files in the folder. UTF-8, because Windows cannot write the
        // server's banner to a file otherwise.
        command.args(["-I", "-u", "-X", "utf8", "-c", LAUNCHER]);
        command.arg(port.to_string()).arg(if self.keep { OsStr::new("") } else { self.data.as_os_str() });
        // Such as the address of a package index.
        let is_pips = |key: &OsStr| self.pip.is_some() && key.to_str().is_some_and(|key| key.starts_with("PIP_"));
        let is_inherited = |key: &OsStr| INHERITED.iter().any(|name| same_variable(key, name)) || is_pips(key);
        let inherited = self.environment.iter().filter(|(key, _)| is_inherited(key));
        command.env_clear().envs(inherited.map(|(key, value)| (key, value)));
        command.envs(self.settings(port, mark)).envs(self.settings.iter().map(|(key, value)| (key, value)));
        command.current_dir(self.data).stdin(Stdio::piped()).stderr(log.try_clone()?).stdout(log);
        process_group::own_group(&mut command);
        let mut child = command.spawn()?;
        let mut lifeline = child.stdin.take();
        if let Some(lifeline) = &mut lifeline {
            // A child that has ended already says why in its log.
            lifeline.write_all(self.instructions().as_bytes()).and_then(|()| lifeline.flush()).ok();
        }
        let url = format!("http://127.0.0.1:{port}");
        Ok(Server { child, _lifeline: lifeline, url, port, log: self.log.to_owned(), keep: self.keep, hangs: false })
    }
}

/// A server process. Dropping it kills the process and its children, and waits for their end.
pub(super) struct Server {
    child: Child,
    /// The server exits when this closes, also if owui-watch is killed.
    _lifeline: Option<ChildStdin>,
    pub(super) url: String,
    pub(super) port: u16,
    log: PathBuf,
    keep: bool,
    /// Whether its start hangs.
    hangs: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a wait the id may belong to another process; `try_wait` remembers that.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        process_group::kill_group(self.child.id());
        self.child.kill().ok();
        let step = Duration::from_millis(5);
        for _ in 0..DYING.as_millis() / step.as_millis() {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(step);
        }
    }
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(super) async fn launch(launch: &Launch<'_>, tell: Tell<'_>) -> Result<Server, Error> {
        let client = client()?;
        let mut again = !launch.is_port_fixed;
        let mut had_failed = false;
        let mut port = launch.port;
        loop {
            let cannot = |e: io::Error| Error::new("cannot start Open WebUI").because(e);
            tell(Progress::Starting { port });
            let mark = random()?;
            let mut server = launch.start(port, &mark).map_err(cannot)?;
            match server.ready(&client, &mark, tell).await {
                Ok(()) => return Ok(server),
                // Another program may take the port before the server does, but hardly twice in a row.
                Err(_) if again && port_taken(&server.said()) => {
                    again = false;
                    port = free_port().map_err(cannot)?;
                }
                // A second start works where the first failed only because the machine was busy.
                Err(_) if !had_failed && server.has_failed_to_start() => had_failed = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether Open WebUI ended because its own start failed, or hangs in it.
    fn has_failed_to_start(&mut self) -> bool {
        /// With which uvicorn ends then.
        const STARTUP_FAILURE: i32 = 3;
        self.hangs || matches!(self.child.try_wait(), Ok(Some(status)) if status.code() == Some(STARTUP_FAILURE))
    }

    async fn ready(&mut self, client: &Client, mark: &str, tell: Tell<'_>) -> Result<(), Error> {
        let started = Instant::now();
        let (mut told, mut written, mut last_words) = (0, 0, started);
        loop {
            if let Some(error) = self.ended() {
                return Err(error);
            }
            if self.answers(client, mark).await {
                return Ok(());
            }
            let elapsed = started.elapsed();
            let length = fs::metadata(&self.log).map_or(written, |log| log.len());
            if length != std::mem::replace(&mut written, length) {
                last_words = Instant::now();
            }
            self.hangs = last_words.elapsed() > SILENT && has_lost_its_database(&self.said());
            if self.hangs || elapsed > STARTING {
                return Err(Error::new(format!("Open WebUI did not answer within {} s", elapsed.as_secs()))
                    .quoting(&self.said())
                    .hinted(self.more()));
            }
            if elapsed.as_secs() > told {
                told = elapsed.as_secs();
                tell(Progress::Waiting { elapsed });
            }
            tokio::time::sleep(LOOKING).await;
        }
    }

    /// Whether our server answers. Newer versions repeat the mark; older ones are trusted.
    async fn answers(&self, client: &Client, mark: &str) -> bool {
        let Ok(response) = client.get(format!("{}/api/version", self.url)).send().await else { return false };
        let Ok(value) = response.json::<Value>().await else { return false };
        let ours = value.get("deployment_id").is_none_or(|id| id == mark);
        ours && value.get("version").is_some()
    }

    /// The error, if the server has exited.
    pub(super) fn ended(&mut self) -> Option<Error> {
        let end = match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status.to_string(),
            Err(e) => e.to_string(),
        };
        Some(Error::new("Open WebUI exited").because(end).quoting(&self.said()).hinted(self.more()))
    }

    /// Where to read more than the quoted lines.
    fn more(&self) -> String {
        if self.keep {
            format!("its full log is `{}`", slashed(&self.log))
        } else {
            "the lines above are the end of the server's log; `--keep` keeps the whole log".to_owned()
        }
    }

    /// The last lines of its log.
    fn said(&self) -> String {
        log_tail(&self.log).unwrap_or_else(|e| format!("(its log cannot be read: {e})"))
    }

    /// Signs the admin in or up.
    pub(super) async fn admin(&self, login: bool) -> Result<Admin, Error> {
        let client = client()?;
        if !login {
            // A server without login creates and returns this admin for any credentials.
            let (email, password) = ("admin@localhost", "admin");
            let body = json!({ "email": email, "password": password });
            let token = self.ask_for("token", &client, "/api/v1/auths/signin", None, &body).await?;
            return Ok(Admin { email: email.to_owned(), password: password.into(), token, api_key: None });
        }
        let (email, password) = ("admin@example.com", random()?);
        let body = json!({ "name": "Admin", "email": email, "password": password });
        let token = self.ask_for("token", &client, "/api/v1/auths/signup", None, &body).await?;
        let api_key = self.ask_for("api_key", &client, "/api/v1/auths/api_key", Some(&token), &json!({})).await?;
        Ok(Admin { email: email.to_owned(), password: password.into(), token, api_key: Some(api_key) })
    }

    /// Has the connection to our model lead to this address: in a folder that was kept it may be an earlier start's.
    pub(super) async fn connect(&self, model: &str, admin: &Admin) -> Result<(), Error> {
        let client = client()?;
        let cannot = |e: reqwest::Error| {
            Error::new("cannot connect the sandbox's model")
                .because(format!("{:#}", anyhow::Error::new(e.without_url())))
        };
        let token = admin.token.expose_secret();
        let get = client.get(format!("{}/openai/config", self.url)).bearer_auth(token);
        let mut config: Value = get.send().await.map_err(cannot)?.json().await.map_err(cannot)?;
        let keys = config.get("OPENAI_API_KEYS").and_then(Value::as_array).cloned().unwrap_or_default();
        let Some(urls) = config.get_mut("OPENAI_API_BASE_URLS").and_then(Value::as_array_mut) else { return Ok(()) };
        let ours = urls.iter_mut().zip(keys).filter(|(_, key)| key == MODEL_KEY).map(|(url, _)| url);
        let stale: Vec<_> = ours.filter(|url| **url != model).collect();
        if stale.is_empty() {
            return Ok(());
        }
        for url in stale {
            *url = json!(model);
        }
        let post = client.post(format!("{}/openai/config/update", self.url)).bearer_auth(token).json(&config);
        post.send().await.and_then(reqwest::Response::error_for_status).map_err(cannot)?;
        Ok(())
    }

    /// Requests a secret: one field of the answer.
    async fn ask_for(
        &self,
        field: &str,
        client: &Client,
        path: &str,
        token: Option<&SecretString>,
        body: &Value,
    ) -> Result<SecretString, Error> {
        let cannot = |cause: String| {
            Error::new(format!("cannot set up the admin: POST {path}")).because(cause).quoting(&self.said())
        };
        let mut request = client.post(format!("{}{path}", self.url)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        let response =
            request.send().await.map_err(|e| cannot(format!("{:#}", anyhow::Error::new(e.without_url()))))?;
        let status = response.status();
        let answer: Value = response.json().await.unwrap_or_default();
        let text = |field: &str| answer.get(field).and_then(Value::as_str);
        if status.is_success() {
            return text(field).map(SecretString::from).ok_or_else(|| cannot(format!("the answer has no `{field}`")));
        }
        // Only the server's message: the whole answer may repeat the password.
        Err(cannot(format!("{status} {}", text("detail").unwrap_or_default()).trim_end().to_owned()))
    }
}

/// A client for loopback, without the user's proxy.
fn client() -> Result<Client, Error> {
    // Fails only if a provider is already installed, which is fine.
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::builder()
        .no_proxy()
        .timeout(ANSWERING)
        .build()
        .map_err(|e| Error::new("cannot make an HTTP client").because(e))
}

fn free_port() -> io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().map(|address| address.port())
}

/// The port to start on.
pub(super) fn choose(port: Port) -> Result<u16, Error> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let cannot = |e: io::Error| Error::new("cannot start Open WebUI").because(e);
    match port {
        Port::Any => free_port().map_err(cannot),
        Port::From(port) => match (port..port.saturating_add(PORTS)).find(|port| is_free(*port)) {
            Some(port) => Ok(port),
            None => free_port().map_err(cannot),
        },
        Port::Exactly(port) => match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => Ok(port),
            Err(error) => Err(Error::new(format!("cannot listen on port {port}"))
                .because(error)
                .hinted("name another one with `--port`, or leave the flag out")),
        },
    }
}

/// Whether the end of the log has the exception of a lost connection to the database.
fn has_lost_its_database(said: &str) -> bool {
    ["CancelledError", "no active connection"].iter().any(|error| said.contains(error))
}

/// Whether the server's output says that the port is in use.
fn port_taken(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("address already in use") || said.contains("only one usage of each socket address")
}

fn log_tail(path: &Path) -> io::Result<String> {
    const ENOUGH: u64 = 32 * 1024;
    let mut file = File::open(path)?;
    let length = fs::metadata(path)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(ENOUGH)))?;
    let mut bytes = Vec::new();
    file.take(ENOUGH).read_to_end(&mut bytes)?;
    Ok(process::tail(&printable::text(&String::from_utf8_lossy(&bytes)), process::QUOTED_LINES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(login: bool) -> Launch<'static> {
        let (python, data, log) = (Path::new("python"), Path::new("data"), Path::new("log"));
        Launch {
            python,
            data,
            log,
            keep: false,
            login,
            port: 4321,
            is_port_fixed: false,
            model: None,
            pane: None,
            pip: None,
            environment: &[],
            settings: &[],
        }
    }

    #[test]
    fn a_start_that_hangs_is_known_by_the_exception() {
        let frame = "  | > File \"/venv/sqlalchemy/pool/base.py\", line 373, in _close_connection";
        assert!(has_lost_its_database(&format!("{frame}\n  | asyncio.exceptions.CancelledError")));
        assert!(!has_lost_its_database("INFO: Waiting for application startup.\nalembic: running upgrade 3c1f"));
    }

    #[test]
    fn a_taken_port_is_recognised_by_the_systems_words() {
        let cases = [
            (
                "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8080): address already in use",
                true,
            ),
            ("[Errno 48] … [errno 48] Address already in use", true),
            (
                "[Errno 10048] … only one usage of each socket address (protocol/network address/port) is normally permitted",
                true,
            ),
            ("ModuleNotFoundError: No module named 'open_webui'", false),
            ("", false),
        ];
        for (said, expected) in cases {
            assert_eq!(port_taken(said), expected, "{said}");
        }
    }

    #[test]
    fn nothing_that_names_another_installation_is_inherited() {
        for name in
            ["DATABASE_URL", "REDIS_URL", "DATA_DIR", "WEBUI_SECRET_KEY", "OPENAI_API_KEY", "PORT", "PYTHONPATH"]
        {
            assert!(!INHERITED.contains(&name), "{name}");
        }
    }

    #[test]
    fn other_web_pages_may_not_use_the_server() {
        let settings = launch(false).settings(4321, "mark");
        let value = |name: &str| settings.iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.to_str());
        assert_eq!(value("CORS_ALLOW_ORIGIN"), Some("http://127.0.0.1:4321;http://localhost:4321"));
        assert_eq!(value("WEBUI_AUTH"), Some("false"));
    }

    #[test]
    fn a_port_that_is_taken_is_passed_over_or_an_error() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(choose(Port::From(port)).unwrap() > port);
        let error = choose(Port::Exactly(port)).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen on port {port}: ")), "{error}");
        drop(taken);
        assert_eq!(choose(Port::Exactly(port)), Ok(port));
    }
}
