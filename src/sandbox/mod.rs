//! A real Open WebUI on loopback: a development server for users without one, and a server for our own tests.
//!
//! It is installed once into the cache folder (`install`, with the help of `python`), then started (`server`) on a data
//! folder (`data`). `launcher.py` runs in the server's process. A development server also has a `model`, and `pane.py`
//! in its process tells `pane` what plugins do, and a trial what was seen in it. `running` tells other commands of it.
//! Dropping a value ends the processes behind it.
#![expect(clippy::disallowed_methods, reason = "installs and runs another program, before or beside the daemon's loop")]

mod data;
mod install;
mod model;
mod pane;
mod process;
mod python;
mod running;
mod server;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy as _;
use secrecy::SecretString;

use crate::error::Error;
use data::Data;
use model::Model;
use pane::Listener;
use python::Environment;
use server::{Launch, Server};

pub use model::MODEL;
pub use pane::Pane;
pub use running::{Announcement, Running};

/// The default version: the newest that owui-watch is tested with.
pub const OPEN_WEBUI: &str = "0.12.4";

/// Where a development server listens if it can: the browser's tab is still right after the next start.
pub const PORT: u16 = 8470;

/// Which port the server listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// One that is free.
    Any,
    /// This one, or the next one that is free.
    From(u16),
    /// This one.
    Exactly(u16),
}

/// What kind of sandbox to start. It cannot be printed: the environment may hold keys.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
pub struct Options {
    /// The version of Open WebUI.
    pub openwebui: String,
    /// Whether to keep the data folder when the sandbox ends or fails to start.
    pub keep: bool,
    /// Whether the server requires a login; then its admin gets an API key.
    pub login: bool,
    /// The port that it listens on.
    pub port: Port,
    /// The data folder, which is made if it is missing and stays; `None` for a temporary one.
    pub data: Option<PathBuf>,
    /// Whether the server installs what plugins require, into its data folder.
    pub requirements: bool,
    /// Whether it is a development server: it has a model, and new filters and actions work in every chat.
    pub dev: bool,
    /// The receiver of what plugins do.
    pub pane: Option<Pane>,
    /// Where versions are installed, see [`default_cache`].
    pub cache: PathBuf,
    /// The environment of owui-watch. Programs are found by its `PATH`; the installer gets all of it, the server very
    /// little.
    pub environment: Vec<(OsString, OsString)>,
    /// More settings for the server. They override the sandbox's own.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// The sandbox with default options.
    #[must_use]
    pub fn new(cache: PathBuf, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Options {
        Options {
            openwebui: OPEN_WEBUI.to_owned(),
            keep: false,
            login: false,
            port: Port::Any,
            data: None,
            requirements: false,
            dev: false,
            pane: None,
            cache,
            environment: environment.into_iter().collect(),
            settings: Vec::new(),
        }
    }
}

/// The folder that versions of Open WebUI are installed into: `owui-watch` in the user's cache folder.
pub fn default_cache() -> Result<PathBuf, Error> {
    let strategy = etcetera::choose_base_strategy().map_err(|e| {
        Error::new("cannot find the user's cache folder").because(e).hinted("set `HOME` or `XDG_CACHE_HOME`")
    })?;
    Ok(strategy.cache_dir().join("owui-watch"))
}

/// The current step of the start. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Looking for a Python 3.11 or 3.12 and for uv.
    FindingPython,
    /// Another owui-watch is installing into the same cache folder.
    WaitingForAnother,
    /// Installing uv into the cache folder.
    InstallingUv,
    /// The server gets pip, to install what plugins require.
    InstallingPip,
    /// No Python fits; uv downloads one.
    FetchingPython,
    /// Creating the virtual environment.
    MakingVenv {
        /// The version of Python, for example `3.12.1`.
        python: String,
    },
    /// The installer printed a line.
    Installing {
        /// The package.
        what: String,
        /// The line.
        line: String,
    },
    /// The server process was started.
    Starting {
        /// The port that it will listen on.
        port: u16,
    },
    /// It does not answer yet. Reported once a second.
    Waiting {
        /// How long it has been starting.
        elapsed: Duration,
    },
    /// It answers, and the admin is signed in.
    Ready {
        /// Its address.
        url: String,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::FindingPython => f.write_str("looking for Python 3.11 or 3.12 and for uv"),
            Progress::WaitingForAnother => f.write_str("waiting for another owui-watch that is installing"),
            Progress::InstallingPip => f.write_str("installing pip into the cache folder"),
            Progress::InstallingUv => f.write_str("installing uv into the cache folder"),
            Progress::FetchingPython => f.write_str("no Python 3.11 or 3.12 here: uv downloads one"),
            Progress::MakingVenv { python } => write!(f, "making a virtual environment with Python {python}"),
            Progress::Installing { what, line } => write!(f, "installing {what}: {line}"),
            Progress::Starting { port } => write!(f, "starting Open WebUI on port {port}"),
            Progress::Waiting { elapsed } => write!(f, "waiting for Open WebUI to answer ({} s)", elapsed.as_secs()),
            Progress::Ready { url } => write!(f, "Open WebUI answers at {url}"),
        }
    }
}

/// The receiver of the progress. A trait object, so that each step is compiled once.
type Tell<'a> = &'a mut dyn FnMut(Progress);

/// The admin of a sandbox, with all credentials.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The e-mail address to sign in with.
    pub email: String,
    /// The password to sign in with.
    pub password: SecretString,
    /// A session's token, valid for four weeks.
    pub token: SecretString,
    /// An API key, if the server requires a login.
    pub api_key: Option<SecretString>,
}

/// A running Open WebUI. Dropping it kills the server and removes its data folder. So does the end of this process.
#[must_use = "the server ends with this value"]
pub struct Sandbox {
    // The order matters: fields are dropped from the top, and the server must end before its folder is removed.
    server: Server,
    _model: Option<Model>,
    _pane: Option<Listener>,
    data: Data,
    log: PathBuf,
    keep: bool,
    admin: Admin,
}

impl Sandbox {
    /// Installs what is missing, starts a server and waits until it answers. Dropping the future stops and cleans up.
    pub async fn start(options: &Options, mut tell: impl FnMut(Progress)) -> Result<Sandbox, Error> {
        let tell: Tell<'_> = &mut tell;
        let environment = Environment(&options.environment);
        let python = install::ensure(&options.openwebui, &options.cache, &environment, tell).await?;
        let pip = if options.requirements {
            Some(install::ensure_pip(&options.openwebui, &options.cache, &python, &environment, tell).await?)
        } else {
            None
        };
        let port = server::choose(options.port)?;
        let data = match &options.data {
            Some(folder) => Data::named(folder)?,
            None => Data::temporary(options.keep)?,
        };
        let keep = options.keep || options.data.is_some();
        let cannot = |e| Error::new("cannot start the sandbox's model").because(e);
        let model = if options.dev { Some(Model::start(port.saturating_add(1)).await.map_err(cannot)?) } else { None };
        let pane = match options.pane.clone() {
            Some(pane) => Some(Listener::start(pane).await?),
            None => None,
        };
        let log = data.path().join("server.log");
        let mut settings = Vec::new();
        settings.extend(data.secret()?.map(|secret| ("WEBUI_SECRET_KEY".to_owned(), secret)));
        settings.extend(options.settings.iter().cloned());
        let launch = Launch {
            python: &python,
            data: data.path(),
            log: &log,
            keep,
            login: options.login,
            port,
            is_port_fixed: matches!(options.port, Port::Exactly(_)),
            model: model.as_ref().map(|model| model.url.as_str()),
            pane: pane.as_ref(),
            pip: pip.as_deref(),
            environment: &options.environment,
            settings: &settings,
        };
        let server = Server::launch(&launch, tell).await?;
        let admin = server.admin(options.login).await?;
        if let (Some(model), Some(_)) = (&model, &options.data) {
            server.connect(&model.url, &admin).await?;
        }
        tell(Progress::Ready { url: server.url.clone() });
        Ok(Sandbox { server, _model: model, _pane: pane, data, log, keep, admin })
    }

    /// Its address, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// Its admin, who may deploy.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The folder with its database and its log.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// The file with the server's output.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until the server exits by itself, for example because of a plugin, and returns the reason. Safe to cancel.
    pub async fn ended(&mut self) -> Error {
        loop {
            if let Some(error) = self.server.ended() {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends the server and removes its data folder; returns the folder if it stays.
    pub fn stop(self) -> Result<Option<PathBuf>, Error> {
        let Sandbox { server, data, keep, .. } = self;
        drop(server);
        data.close(keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_one_line() {
        let line = "Resolved 226 packages in 1.2s".to_owned();
        let cases = [
            (Progress::FindingPython, "looking for Python 3.11 or 3.12 and for uv"),
            (Progress::WaitingForAnother, "waiting for another owui-watch that is installing"),
            (Progress::InstallingPip, "installing pip into the cache folder"),
            (Progress::InstallingUv, "installing uv into the cache folder"),
            (Progress::FetchingPython, "no Python 3.11 or 3.12 here: uv downloads one"),
            (Progress::MakingVenv { python: "3.12.1".to_owned() }, "making a virtual environment with Python 3.12.1"),
            (Progress::Installing { what: "uv".to_owned(), line }, "installing uv: Resolved 226 packages in 1.2s"),
            (Progress::Starting { port: 4321 }, "starting Open WebUI on port 4321"),
            (Progress::Waiting { elapsed: Duration::from_millis(12_300) }, "waiting for Open WebUI to answer (12 s)"),
            (
                Progress::Ready { url: "http://127.0.0.1:4321".to_owned() },
                "Open WebUI answers at http://127.0.0.1:4321",
            ),
        ];
        for (step, expected) in cases {
            assert_eq!(step.to_string(), expected);
        }
    }
}
