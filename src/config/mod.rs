//! The settings: merges `watch.toml`, `.env`, the environment and the flags into one checked [`Config`]. `schema` has a
//! row for each key; `layers` reads and merges the sources; the rest checks the result.
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "the tests write settings"))]

mod check;
mod command_line;
mod dotenv;
mod error;
mod key;
mod layers;
mod paths;
mod pattern;
mod project;
mod schema;
mod secret;
mod sources;
mod trust;
mod url;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::check::{Choice, Choices};
use crate::cli::{Args, Command};
use crate::engine::deploy::Adopt;
use crate::paths::without_dots;
use crate::plugin::FileSettings;
use dotenv::DotEnv;
pub use error::ConfigError;
use key::FoundKey;
use layers::Merged;
use paths::spelled;
pub use pattern::Pattern;
pub use schema::{
    CHECK_KEYS, CheckSettings, DEFAULT_URL, Form, KEYS, KeyRow, PLUGIN_KEYS, PluginSettings, Settings, TRY_KEYS,
    TrySettings,
};
pub use sources::{Sources, World};
use trust::Project;
pub use trust::Request;

/// The name of systemd's credential in messages.
pub const CREDENTIAL: &str = "the credential `openwebui_api_key`";

/// The settings in use: complete, checked, every path as the user would type it.
///
/// The last of these that sets a key wins:
///
/// 1. the defaults, which `watch.toml` at the top of this repository spells out
/// 2. `owui-watch/watch.toml` in the XDG configuration folder
/// 3. `watch.toml` in the current folder, or what `--config` names
/// 4. `.env` beside that file
/// 5. the environment
/// 6. the flags
///
/// In 4 and 5 a key of `watch.toml` is spelled `OWUI_WATCH_<KEY>`, with commas between the parts of a list. The server
/// is also read from `OPENWEBUI_URL` or `OPENWEBUI_BASE_URL`, and in `.env` from `url`. An empty variable counts as
/// unset.
///
/// The API key comes from the first of: `OPENWEBUI_API_KEY` in the environment; `OPENWEBUI_API_KEY` or `api_key` in
/// `.env`; the file that `api_key_file` names; the systemd credential `openwebui_api_key`. Nowhere else.
///
/// Paths in a file are relative to the folder of that file, paths in variables and flags to the current folder.
///
/// 3 and 4 are the project's own files, which somebody else may have written. Without the user's consent ([`Request`])
/// they cannot send a key from outside the project to their own address, and their paths must stay inside the project.
#[derive(Clone, Debug)]
pub struct Config {
    /// The value of each key. `url` has no trailing slash or `/api`. `roots`, `certificates`, `files`, `adopt_files`,
    /// `trials` and `checks` are derived from `root`, `ca_file`, `plugins` and `check`.
    pub settings: Settings,
    /// The folder of `watch.toml`, as given: empty for the current one.
    pub project: PathBuf,
    /// The folder that `log_command` runs in: the project's if the project's own files name the command, else the
    /// user's home. Empty for the current folder, or without a command.
    pub log_folder: PathBuf,
    /// The folders with plugins. They do not overlap.
    pub roots: Vec<PathBuf>,
    /// The folders that the roots must stay in, even through links. Empty if the user set the roots: no limit.
    pub root_bounds: Vec<PathBuf>,
    /// The file, variable or flag that set the server, as messages name it; `None` for the default.
    pub url_origin: Option<String>,
    /// The API key or login token. A server without authentication needs none.
    pub key: Option<SecretString>,
    /// Where the key was found, as messages name it.
    pub key_origin: Option<String>,
    /// Certificates to trust besides the system's.
    pub certificates: Option<CaFile>,
    /// Settings of single files, by path.
    pub files: BTreeMap<PathBuf, FileSettings>,
    /// `adopt` for single files, by path.
    pub adopt_files: BTreeMap<PathBuf, Adopt>,
    /// How to try single plugins, by path.
    pub trials: BTreeMap<PathBuf, TrySettings>,
    /// The rules of `check` for all files and for single ones.
    pub checks: Choices,
    /// The files that hold an API key, except credentials.
    pub key_files: Vec<PathBuf>,
    /// Warnings.
    pub warnings: Vec<Warning>,
}

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

/// A warning about the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// One sentence.
    pub message: String,
    /// The remedy.
    pub hint: String,
}

/// Certificates in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFile {
    /// The file.
    pub path: PathBuf,
    /// Its content, as PEM.
    pub pem: String,
}

impl Config {
    /// Whether the user has set the server's address.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.url_origin.is_some()
    }

    /// What to do with this file's plugin if the server seems to have it under another id.
    #[must_use]
    pub fn adopt_of(&self, file: &Path) -> Adopt {
        self.adopt_files.get(file).copied().unwrap_or(self.adopt)
    }

    /// A path relative to the current folder, as the walk spells it. Empty if it contains all roots; `None` if it is
    /// not below a root.
    #[must_use]
    pub fn spelled(&self, path: &Path, cwd: &Path) -> Option<PathBuf> {
        let full = without_dots(&cwd.join(path));
        let around = self.roots.iter().all(|root| without_dots(&cwd.join(root)).starts_with(&full));
        if around { Some(PathBuf::new()) } else { spelled(path, &self.roots, cwd) }
    }

    /// Whether others can read what is sent to the server: plain HTTP that leaves this machine and private networks.
    #[must_use]
    pub fn is_overheard(&self) -> bool {
        url::is_overheard(&self.url)
    }

    /// The warnings about files with an API key that others can read.
    pub fn exposed_keys(&self, world: &World) -> impl Iterator<Item = (&Path, Warning)> {
        self.key_files.iter().filter_map(|file| Some((&**file, key::readable_by_others(file, world)?)))
    }

    /// Whether the server is reached at the same address, and as patiently and safely.
    #[must_use]
    pub fn reaches_server_like(&self, other: &Self) -> bool {
        let way = |config: &Self| (config.url.clone(), config.certificates.clone(), config.timeout);
        way(self) == way(other)
    }

    /// Whether the server's log is read in the same way.
    #[must_use]
    pub fn reads_log_like(&self, other: &Self) -> bool {
        (&self.log_command, &self.log_folder) == (&other.log_command, &other.log_folder)
    }

    /// The names of the settings that differ, as in `watch.toml`, and `api_key`.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<&'static str> {
        let changes = self.settings.changes(&other.settings);
        // A value may stay the same while the file behind it changes.
        let has_changed = |key: &'static str| match key {
            "root" => self.roots != other.roots || self.root_bounds != other.root_bounds,
            "api_key_file" => {
                let exposed = |config: &Self| config.key.as_ref().map(|key| key.expose_secret().to_owned());
                exposed(self) != exposed(other) || self.key_origin != other.key_origin
            }
            "log_command" => !self.reads_log_like(other),
            "ca_file" => self.certificates != other.certificates,
            "plugins" => {
                let files = |config: &Self| {
                    let (files, adopt, checks) = (&config.files, &config.adopt_files, &config.checks.files);
                    (files.clone(), adopt.clone(), checks.clone())
                };
                files(self) != files(other) || self.trials != other.trials
            }
            key => changes.contains(&key),
        };
        let keys = KEYS.iter().map(|key| key.name).filter(|key| has_changed(key));
        keys.map(|key| if key == "api_key_file" { "api_key" } else { key }).collect()
    }
}

/// The settings or an error, and the files that they depend on.
pub struct Reading {
    /// The settings.
    pub config: Result<Config, ConfigError>,
    /// What they were read from.
    pub sources: Sources,
}

/// Reads and checks the settings.
pub fn load(args: &Args, world: &World) -> Result<Config, ConfigError> {
    read(args, world).config
}

/// Like [`load`], and also returns the files that they depend on.
#[must_use]
pub fn read(args: &Args, world: &World) -> Reading {
    let mut sources = Sources::default();
    Reading { config: config(args, world, &mut sources), sources }
}

fn config(args: &Args, world: &World, sources: &mut Sources) -> Result<Config, ConfigError> {
    let (path, wanted) = match &args.config {
        Some(path) => (path.as_path(), true),
        None => (&*world.project.join("watch.toml"), false),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let project = Project::read(folder, args.config.as_deref(), world, sources)?;
    let dotenv = DotEnv::read(&folder.join(".env"), &project, world, sources)?;
    let merged = Merged::read(path, wanted, &dotenv, args, world, sources)?;

    let mut settings = Settings::read(&merged.values).map_err(|key| merged.misfit(key))?;
    let root_bounds = merged.stay_inside(&settings, folder, &project)?;
    let log_declined = merged.check_log_command(&settings, &project, args)?;
    if log_declined {
        settings.log_command = None;
    }
    // A watch waits for a missing folder, and most commands go by what the server has. The others report it.
    let waits = match &args.command {
        None => !args.one_pass(),
        Some(
            Command::Deploy { .. }
            | Command::Try { .. }
            | Command::Check { .. }
            | Command::Service { .. }
            | Command::Sandbox { .. },
        ) => false,
        Some(_) => true,
    };
    let roots = merged.roots(&settings.root, waits, world)?;
    // Without a server, no key is sent anywhere.
    let is_offline = matches!(args.command, Some(Command::Check { .. }));
    let found = if is_offline {
        None
    } else {
        FoundKey::find(settings.api_key_file.as_deref(), &merged, &project, &dotenv, world, sources)?
    };
    let plugins = merged.plugins(&settings.plugins, &roots, folder, world)?;
    merged.exclude(&settings.exclude, &roots, world)?;
    settings.url = url::plain(&settings.url).map_err(|(problem, hint)| merged.at("url", problem).with_hint(hint))?;
    let ca_file = settings.ca_file.as_ref().filter(|_| !is_offline);
    let certificates = ca_file.map(|path| merged.certificates(path, world, sources)).transpose()?;
    merged.check_destination(&settings.url, certificates.as_ref(), found.as_ref(), &project, args)?;

    let key_files: BTreeSet<_> =
        dotenv.key_file().into_iter().chain(found.as_ref().and_then(|found| found.file.clone())).collect();
    let (key, key_origin) = found.map(|found| (found.key, found.origin)).unzip();
    let mut warnings = dotenv.lookalikes();
    warnings.extend(log_declined.then(|| Warning {
        message: "`log_command` does not run, since you have not agreed to it".to_owned(),
        hint: "`owui-watch trust` asks about it".to_owned(),
    }));
    // The environment also has variables of other programs.
    let is_set = |variable: &str| match variable.strip_prefix(schema::PREFIX) {
        Some(key) => merged.origin(&key.to_lowercase()).is_some(),
        None if variable == "OPENWEBUI_API_KEY" => key.is_some(),
        None => merged.origin("url").is_some(),
    };
    warnings.extend(dotenv::lookalikes(&world.env, is_set, |name| format!("`{name}` in the environment")));
    warnings.extend(key_files.iter().filter_map(|file| key::readable_by_others(file, world)));
    let adopt_files = plugins.iter().filter_map(|(path, table)| Some((path.clone(), table.adopt?))).collect();
    let trials = plugins.iter().filter_map(|(path, table)| Some((path.clone(), table.trial.clone()?))).collect();
    let all = settings.check.over(&Choice::default());
    let own = |(path, table): (&PathBuf, &PluginSettings)| Some((path.clone(), table.check.as_ref()?.over(&all)));
    let checks = Choices { files: plugins.iter().filter_map(own).collect(), all: all.clone() };
    let of_file = |(path, table): (_, PluginSettings)| {
        let PluginSettings { id, kind, enabled, adopt: _, check: _, trial: _ } = table;
        (path, FileSettings { id, kind, enabled })
    };
    // The reference watch.toml and .env.example say what the default is. A folder with copies of them names no server.
    let is_default = settings.url == DEFAULT_URL && merged.from_project.contains("url");
    let url_origin = merged.origin("url").filter(|_| !is_default).map(str::to_owned);
    Ok(Config {
        project: folder.to_owned(),
        log_folder: if settings.log_command.is_some() { merged.log_folder(folder, world) } else { PathBuf::new() },
        roots,
        root_bounds,
        url_origin,
        key,
        key_origin,
        certificates,
        files: plugins.into_iter().map(of_file).collect(),
        adopt_files,
        trials,
        checks,
        key_files: key_files.into_iter().collect(),
        warnings,
        settings,
    })
}
