//! What owui-watch is told: `watch.toml`, `.env`, the environment and the flags become one checked [`Config`].
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment and writes the user's answers"
)]

mod dotenv;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs, io};

use ::config::{FileFormat, Format as _, Map, Source, Value, ValueKind};
use ignore::gitignore::GitignoreBuilder;
use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use url::{Host, Url};

use crate::cli::{Args, Command};
use crate::engine::OnDelete;
use crate::engine::deploy::{Adopt, OnRemoteEdit};
use crate::engine::files::Links;
use crate::paths::{tidy, without_dots};
use crate::plugin::{Digest, FileSettings, Kind};
use crate::regular_file::{self, ONE_MIB, Rejection};
use dotenv::DotEnv;
use trust::Project;
pub use trust::Request;

/// Where Open WebUI listens if nobody tells it otherwise.
pub const DEFAULT_URL: &str = "http://localhost:8080";
/// Where a key is from that systemd handed over, as messages name it.
pub const CREDENTIAL: &str = "the credential `openwebui_api_key`";

/// The settings in use: complete, checked, every path as the user would type it.
///
/// A key is taken from the last of these that has it:
///
/// 1. the defaults, which `watch.toml` at the top of this repository spells out
/// 2. `owui-watch/watch.toml` in the XDG configuration folder
/// 3. `watch.toml` in the current folder, or what `--config` names
/// 4. `.env` beside that file
/// 5. the environment
/// 6. the flags
///
/// In 4 and 5 a key of `watch.toml` is spelled `OWUI_WATCH_<KEY>`, with commas between the parts of a list. The server
/// is also read from `OPENWEBUI_URL` or `OPENWEBUI_BASE_URL`, and in `.env` from `url`.
/// An empty variable counts as not set.
///
/// The API key comes from the first of: `OPENWEBUI_API_KEY` in the environment; `OPENWEBUI_API_KEY` or `api_key` in
/// `.env`; the file that `api_key_file` names; the systemd credential `openwebui_api_key`. Nowhere else.
///
/// Paths in a file are relative to the folder of that file, paths in variables and flags to the current folder.
///
/// 3 and 4 are the project's own files, and somebody else may have written them. Without the user's consent ([`Request`])
/// they send no key from outside the project to an address of theirs, and their paths lead nowhere outside the project.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of `watch.toml`, as given: empty for the current one.
    pub project: PathBuf,
    /// The folders with plugins: they exist, and none is inside another.
    pub roots: Vec<PathBuf>,
    /// The folders that links may lead the roots to, where not the user has set them; none for anywhere.
    pub root_bounds: Vec<PathBuf>,
    /// Gitignore-style globs of what is left alone below the roots.
    pub exclude: Vec<String>,
    /// Where links below the roots may lead.
    pub links: Links,
    /// The server, without a slash or `/api` at its end.
    pub url: String,
    /// Where the server was set.
    pub url_origin: Origin,
    /// The API key or login token. A server without authentication needs none.
    pub key: Option<SecretString>,
    /// Where the key was found.
    pub key_origin: Option<Origin>,
    /// Certificates that are trusted beside the system's.
    pub ca_file: Option<CaFile>,
    /// The folder for ledger, backups and logs.
    pub state: PathBuf,
    /// Whether to switch on a function that was created.
    pub activate_new: bool,
    /// What to do about a text on the server that somebody else put there.
    pub on_remote_edit: OnRemoteEdit,
    /// What becomes on the server of a plugin whose file is gone.
    pub on_delete: OnDelete,
    /// How long a deleted file must have stayed gone before that means something on the server.
    pub gone_after: Duration,
    /// What to do about a new plugin that seems to be on the server under another id.
    pub adopt: Adopt,
    /// How many of the versions that one editing session makes are to stay in the server's history.
    pub keep_versions: Option<NonZeroUsize>,
    /// How many plugins may be on their way at once.
    pub concurrency: NonZeroUsize,
    /// How long a file must have been left alone where the system does not say that its writer is done.
    pub debounce: Duration,
    /// How often to look for changes, where the system's file events are not to be used.
    pub poll: Option<Duration>,
    /// How long the server may take to answer one request.
    pub timeout: Duration,
    /// How long one pass keeps trying to reach the server.
    pub once_patience: Duration,
    /// What is said of single files, by path.
    pub files: BTreeMap<PathBuf, FileSettings>,
    /// `adopt` for single files, by path.
    pub adopt_files: BTreeMap<PathBuf, Adopt>,
    /// The files that hold an API key, except credentials.
    pub key_files: Vec<PathBuf>,
    /// Oddities that stop nothing.
    pub warnings: Vec<Warning>,
}

/// An oddity in the settings that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// One sentence.
    pub message: String,
    /// The remedy.
    pub hint: String,
}

impl Config {
    /// A path from the current folder on, as the files below the roots are spelled: empty, if all roots are in it, and
    /// nothing, if it is not below one.
    #[must_use]
    pub fn spelled(&self, path: &Path, cwd: &Path) -> Option<PathBuf> {
        let full = without_dots(&cwd.join(path));
        let around = self.roots.iter().all(|root| without_dots(&cwd.join(root)).starts_with(&full));
        if around { Some(PathBuf::new()) } else { spelled(path, &self.roots, cwd) }
    }

    /// Whether others can read what is said to the server: plain HTTP, and not to this machine or a network at home.
    #[must_use]
    pub fn is_overheard(&self) -> bool {
        Url::parse(&self.url).is_ok_and(|url| url.scheme() == "http" && !url.host().is_some_and(|host| is_near(&host)))
    }

    /// The keys of `watch.toml` whose values are others than here, and `api_key` for the key that has none there.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<&'static str> {
        // Taken apart, so that a setting that is added is not forgotten.
        let Self {
            project: _,
            roots,
            root_bounds,
            exclude,
            links,
            url,
            url_origin: _,
            key,
            key_origin,
            ca_file,
            state,
            activate_new,
            on_remote_edit,
            on_delete,
            gone_after,
            adopt,
            keep_versions,
            concurrency,
            debounce,
            poll,
            timeout,
            once_patience,
            files,
            adopt_files,
            key_files: _,
            warnings: _,
        } = self;
        let same_key = match (key, &other.key) {
            (Some(key), Some(other)) => key.expose_secret() == other.expose_secret(),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let changes = [
            ("root", *roots != other.roots || *root_bounds != other.root_bounds),
            ("exclude", *exclude != other.exclude),
            ("follow_links", *links != other.links),
            ("url", *url != other.url),
            ("api_key", !same_key || *key_origin != other.key_origin),
            ("ca_file", *ca_file != other.ca_file),
            ("state", *state != other.state),
            ("activate_new", *activate_new != other.activate_new),
            ("on_remote_edit", *on_remote_edit != other.on_remote_edit),
            ("on_delete", *on_delete != other.on_delete),
            ("gone_after", *gone_after != other.gone_after),
            ("adopt", *adopt != other.adopt),
            ("keep_versions", *keep_versions != other.keep_versions),
            ("concurrency", *concurrency != other.concurrency),
            ("debounce", *debounce != other.debounce),
            ("poll", *poll != other.poll),
            ("timeout", *timeout != other.timeout),
            ("once_patience", *once_patience != other.once_patience),
            ("plugins", *files != other.files || *adopt_files != other.adopt_files),
        ];
        changes.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }
}

/// Certificates in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFile {
    /// The file.
    pub path: PathBuf,
    /// What is in it, as PEM.
    pub pem: String,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file, variable or flag, as messages name it.
    Set(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("the default"),
            Origin::Set(place) => f.write_str(place),
        }
    }
}

/// What is outside of the program and matters to its settings.
#[derive(Clone, Default)]
pub struct World {
    /// The environment. It holds the API key, which is why a `World` cannot be printed.
    pub env: BTreeMap<String, String>,
    /// The current folder.
    pub cwd: PathBuf,
    /// The user's configuration folder.
    pub config_home: Option<PathBuf>,
    /// The user's home, for paths that begin with `~/`.
    pub home: Option<PathBuf>,
    /// What the user agreed to in this run, and what is not kept yet.
    pub agreed: Vec<Request>,
}

impl World {
    /// The world that this process lives in.
    #[must_use]
    pub fn real() -> Self {
        use etcetera::base_strategy::{BaseStrategy as _, Xdg};

        let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
        Self {
            env: env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            // Where the current folder is gone, relative paths fail one by one, each with its own name.
            cwd: env::current_dir().unwrap_or_default(),
            config_home: Xdg::new().ok().map(|xdg| xdg.config_dir()),
            home: etcetera::home_dir().ok(),
            agreed: Vec::new(),
        }
    }

    /// The world of a service of this user, which sees nothing of this shell. Its credentials are the files beside the
    /// user's `watch.toml`.
    #[must_use]
    pub fn of_service(&self) -> Self {
        let folder = self.config_home.as_ref().map(|home| home.join("owui-watch").display().to_string());
        let env = folder.into_iter().map(|folder| ("CREDENTIALS_DIRECTORY".to_owned(), folder)).collect();
        Self { env, ..self.clone() }
    }

    /// The value of a variable, unless it is empty.
    fn variable(&self, name: &str) -> Option<&str> {
        self.env.get(name).and_then(|value| filled(value))
    }

    /// A path as written in a file in `base`, so that it can be used from the current folder.
    fn resolve(&self, base: &Path, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => tidy(&home.join(rest)),
            (Some(_), None) | (None, _) => tidy(&base.join(path)),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    message: String,
    hint: Option<String>,
    request: Option<Box<Request>>,
}

impl ConfigError {
    fn new(message: impl Into<String>) -> Self {
        Self::verbatim(masked(&message.into()))
    }

    /// An error whose message holds no key.
    fn verbatim(message: String) -> Self {
        Self { message, hint: None, request: None }
    }

    /// Says that what stands in `place` cannot be used.
    fn at(place: &str, problem: impl fmt::Display) -> Self {
        Self::new(format!("cannot use {place}: {problem}"))
    }

    fn hinted(self, hint: impl Into<String>) -> Self {
        self.with_hint(Some(hint.into()))
    }

    fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint: hint.map(|hint| masked(&hint)), ..self }
    }

    fn asking(self, request: Request) -> Self {
        Self { request: Some(Box::new(request)), ..self }
    }

    /// The user's consent, where only that is missing.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.request.as_deref()
    }

    /// The error as a script needs it: no remedy in it asks the user.
    #[must_use]
    pub fn unattended(self) -> Self {
        let hint = self.request.as_ref().map(|request| request.unattended_hint().to_owned()).or(self.hint);
        Self { hint, ..self }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for crate::error::Error {
    fn from(error: ConfigError) -> Self {
        Self::new(error.message).hinted_if(error.hint)
    }
}

/// The settings, or why there are none; and the files that have a say in them.
pub struct Reading {
    /// The settings.
    pub config: Result<Config, ConfigError>,
    /// What they were read from.
    pub sources: Sources,
}

/// The files that settings were looked for in, whether they are there or not, and what was in them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources(BTreeMap<PathBuf, Result<Digest, io::ErrorKind>>);

impl Sources {
    /// The files, as messages name them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Which of these files hold something else in a later reading, as far as that has looked at them.
    #[must_use]
    pub fn changed(&self, later: &Self) -> Vec<PathBuf> {
        let other = |(path, content): &(&PathBuf, _)| later.0.get(*path).is_some_and(|later| later != *content);
        self.0.iter().filter(other).map(|(path, _)| path.clone()).collect()
    }

    /// Whether a later reading found a file gone or empty that was not: so it looks in the middle of a save.
    #[must_use]
    pub fn lost(&self, later: &Self) -> bool {
        let empty = Digest::of(b"");
        let holds = |content: &Result<Digest, _>| content.as_ref().is_ok_and(|digest| *digest != empty);
        self.0.iter().any(|(path, content)| holds(content) && later.0.get(path).is_some_and(|later| !holds(later)))
    }

    /// Takes over what a later reading found; a reading that failed has not looked at every file.
    pub fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// Reads a text that need not exist.
    fn read(&mut self, path: &Path, world: &World) -> Result<Option<String>, ConfigError> {
        let Some(bytes) = self.bytes(path, world)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|_| cannot_read(path, &io::ErrorKind::InvalidData.into()))?;
        // Editors on Windows put a byte order mark first.
        Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
    }

    /// Reads a regular file that need not exist.
    fn bytes(&mut self, path: &Path, world: &World) -> Result<Option<Vec<u8>>, ConfigError> {
        let full = world.cwd.join(path);
        let bytes = regular_file::read(&full, ONE_MIB);
        let content = bytes.as_ref().map(|bytes| Digest::of(bytes)).map_err(io::Error::kind);
        self.0.insert(path.to_owned(), content);
        match bytes {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(_) if full.is_dir() => Err(cannot_read(path, &io::ErrorKind::IsADirectory.into())),
            Err(error) => Err(cannot_read(path, &error)),
        }
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> ConfigError {
    ConfigError::new(format!("cannot read {}: {}", ticked(path), why(error)))
}

/// Puts the settings together and checks them.
pub fn load(args: &Args, world: &World) -> Result<Config, ConfigError> {
    read(args, world).config
}

/// The same, for who wants to know when that would give something else.
#[must_use]
pub fn read(args: &Args, world: &World) -> Reading {
    let mut sources = Sources::default();
    Reading { config: settings(args, world, &mut sources), sources }
}

fn settings(args: &Args, world: &World, sources: &mut Sources) -> Result<Config, ConfigError> {
    let (path, wanted) = match &args.config {
        Some(path) => (path.as_path(), true),
        None => (Path::new("watch.toml"), false),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let project = Project::read(folder, args.config.as_deref(), world, sources)?;
    let dotenv = DotEnv::read(&folder.join(".env"), &project, world, sources)?;

    let user_path = world.config_home.as_ref().map(|home| home.join("owui-watch").join("watch.toml"));
    // Where the home is not the user's, as in a container, no settings of theirs are in it.
    let user_path = user_path.filter(|path| {
        let found = fs::metadata(world.cwd.join(path)).map_err(|error| error.kind());
        !matches!(found, Err(io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory))
    });
    let (user, user_places) = match &user_path {
        Some(path) => file(path, false, world, sources)?,
        None => (Layer(Map::new()), Places::default()),
    };
    let (own, own_places) = file(path, wanted, world, sources)?;
    let (from_dotenv, environment, flags) = (dotenv.layer(folder, world)?, environment(world)?, flags(args));
    // The user's own file may also be given with `--config`. A link to it elsewhere changes what its paths mean.
    let is_users = user_path.is_some_and(|user| {
        let home = user.parent().unwrap_or(Path::new(""));
        trust::is_same(world, home, folder) && trust::is_same(world, &user, path)
    });
    let own_keys = own.0.keys().filter(|_| !is_users).chain(from_dotenv.0.keys());
    let above = |key: &&String| environment.0.contains_key(*key) || flags.0.contains_key(*key);
    let from_project = own_keys.filter(|key| !above(key)).cloned().collect();

    // Where the environment or a flag has one, the project's does not count.
    let users_url = match user.0.get("url").map(|url| &url.kind) {
        Some(ValueKind::String(url)) => server(url).unwrap_or_else(|_| url.clone()),
        Some(_) | None => DEFAULT_URL.to_owned(),
    };

    let layers = [defaults(folder), user, own, from_dotenv, environment, flags];
    let mut builder = ::config::Config::builder();
    for layer in layers {
        builder = builder.add_source(layer);
    }
    let merged = builder
        .build()
        .and_then(|merged| merged.cache.into_table())
        .map_err(|error| ConfigError::new(error.to_string()))?;
    let merged = Merged { values: merged, from_project, users_url, places: [user_places, own_places] };
    merged.config(folder, &project, &dotenv, args, world, sources)
}

/// `watch.toml` as written. Every key may be left out there, since the lowest layer has them all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    root: Vec<PathBuf>,
    exclude: Vec<String>,
    follow_links: LinksWord,
    url: String,
    api_key_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    state: PathBuf,
    activate_new: bool,
    on_remote_edit: OnRemoteEditWord,
    on_delete: OnDeleteWord,
    gone_after: Span,
    adopt: AdoptWord,
    keep_versions: Versions,
    concurrency: Count,
    debounce: Span,
    poll: Pace,
    timeout: Span,
    once_patience: Span,
    plugins: BTreeMap<PathBuf, FileTable>,
}

/// `[plugins."path"]` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    id: Option<String>,
    kind: Option<KindWord>,
    enabled: Option<bool>,
    adopt: Option<AdoptWord>,
}

/// The keys of `watch.toml`, and what each must be.
const KEYS: [(&str, &str); 19] = [
    ("root", "a folder, or a list of folders"),
    ("exclude", "a list of globs"),
    ("follow_links", "\"inside\" or \"anywhere\""),
    ("url", "a URL such as \"http://localhost:8080\""),
    ("api_key_file", "the path of a file"),
    ("ca_file", "the path of a file"),
    ("state", "the path of a folder"),
    ("activate_new", "true or false"),
    ("on_remote_edit", "\"backup\", \"hold\" or \"overwrite\""),
    ("on_delete", "\"keep\", \"deactivate\" or \"delete\""),
    ("gone_after", "a duration such as \"30s\", from \"1s\" to \"24h\""),
    ("adopt", "\"ask\" or \"never\""),
    ("keep_versions", "\"all\", or a whole number from 1 to 1000"),
    ("concurrency", "a whole number from 1 to 32"),
    ("debounce", "a duration such as \"100ms\", from \"1ms\" to \"1m\""),
    ("poll", "\"off\", or a duration such as \"2s\", from \"100ms\" to \"1h\""),
    ("timeout", "a duration such as \"5m\", from \"1s\" to \"24h\""),
    ("once_patience", "a duration such as \"30s\", from \"0s\" to \"24h\""),
    ("plugins", "made of tables such as [plugins.\"plugins/shout.py\"]"),
];

/// The keys whose values are paths, or lists of them.
const PATHS: [&str; 4] = ["root", "api_key_file", "ca_file", "state"];

/// The keys of `[plugins."path"]`, and what each must be.
const FILE_KEYS: [(&str, &str); 4] = [
    ("id", "a text"),
    ("kind", "\"function\" or \"tool\""),
    ("enabled", "true or false"),
    ("adopt", "\"ask\" or \"never\""),
];

const PREFIX: &str = "OWUI_WATCH_";
const KEY_ELSEWHERE: &str = "put OPENWEBUI_API_KEY=… into `.env` beside it, or name a file with `api_key_file`";

/// One source of settings: known keys, paths resolved, each value with the name of the place where it stands.
#[derive(Clone, Debug)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// The lowest layer: every key has a value here.
fn defaults(project: &Path) -> Layer {
    let exclude =
        ["tests/", "backups/", "archived/", "build/", "dist/", "node_modules/", "venv/", "__pycache__/", "*.backup.py"];
    let here = |path: &str| tidy(&project.join(path)).to_string_lossy().into_owned();
    Layer(Map::from_iter([
        ("root".to_owned(), Value::from(vec![here("plugins")])),
        ("exclude".to_owned(), Value::from(exclude.to_vec())),
        ("follow_links".to_owned(), Value::from("inside")),
        ("url".to_owned(), Value::from(DEFAULT_URL)),
        ("api_key_file".to_owned(), Value::from(ValueKind::Nil)),
        ("ca_file".to_owned(), Value::from(ValueKind::Nil)),
        ("state".to_owned(), Value::from(here(".owui-watch"))),
        ("activate_new".to_owned(), Value::from(false)),
        ("on_remote_edit".to_owned(), Value::from("backup")),
        ("on_delete".to_owned(), Value::from("keep")),
        ("gone_after".to_owned(), Value::from("30s")),
        ("adopt".to_owned(), Value::from("ask")),
        ("keep_versions".to_owned(), Value::from("all")),
        ("concurrency".to_owned(), Value::from(4)),
        ("debounce".to_owned(), Value::from("100ms")),
        ("poll".to_owned(), Value::from("off")),
        ("timeout".to_owned(), Value::from("5m")),
        ("once_patience".to_owned(), Value::from("30s")),
        ("plugins".to_owned(), Value::from(Map::<String, Value>::new())),
    ]))
}

/// Where the keys of a `watch.toml` stand.
#[derive(Default)]
struct Places {
    path: PathBuf,
    /// Line and column of each key, by the keys on the way to it.
    positions: BTreeMap<Vec<String>, (usize, usize)>,
}

impl Places {
    fn of(path: &Path, text: &str) -> Self {
        let mut places = Self { path: path.to_owned(), positions: BTreeMap::new() };
        if let Ok(table) = DeTable::parse(text) {
            places.add(table.get_ref(), text, &[]);
        }
        places
    }

    fn add(&mut self, table: &DeTable<'_>, text: &str, above: &[String]) {
        for (key, value) in table {
            let before = text.get(..key.span().start).unwrap_or_default();
            let line_start = before.rfind('\n').map_or(0, |end| end + 1);
            let position = (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1);
            let keys = [above, &[key.get_ref().to_string()]].concat();
            if let DeValue::Table(table) = value.get_ref() {
                self.add(table, text, &keys);
            }
            self.positions.insert(keys, position);
        }
    }

    /// The file, as errors name it.
    fn file(&self) -> String {
        ticked(&self.path)
    }

    /// The position of a key, as errors name it; without one, the file.
    fn at(&self, keys: &[&str]) -> String {
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        match self.positions.get(&keys) {
            Some((line, column)) => format!("`{}:{line}:{column}`", self.path.display()),
            None => self.file(),
        }
    }
}

/// Reads a `watch.toml`.
fn file(path: &Path, wanted: bool, world: &World, sources: &mut Sources) -> Result<(Layer, Places), ConfigError> {
    let Some(text) = sources.read(path, world)? else {
        return if wanted {
            Err(ConfigError::new(format!("cannot read {}: no such file", ticked(path))))
        } else {
            Ok((Layer(Map::new()), Places::default()))
        };
    };
    let name = ticked(path);
    let mut keys =
        FileFormat::Toml.parse(Some(&name), &text).map_err(|error| syntax(path, &text, &error.to_string()))?;
    let places = Places::of(path, &text);
    // In order, so that the same file gets the same answer.
    for (key, value) in BTreeMap::from_iter(&keys) {
        let place = places.at(&[key]);
        refuse_secret(&place, key)?;
        if !KEYS.iter().any(|(known, _)| known == key) {
            let problem = format!("unknown key `{key}`");
            return Err(ConfigError::at(&place, problem).hinted(suggestion(key, value, &KEYS)));
        }
    }
    let base = path.parent().unwrap_or(Path::new(""));
    for key in PATHS {
        if let Some(value) = keys.get_mut(key) {
            resolve(value, base, world);
        }
    }
    if let Some(root) = keys.get_mut("root")
        && matches!(root.kind, ValueKind::String(_))
    {
        *root = Value::new(Some(&name), vec![root.clone()]);
    }
    if let Some(Value { kind: ValueKind::Table(tables), .. }) = keys.get_mut("plugins") {
        *tables = file_tables(std::mem::take(tables), &places, base, world)?;
    }
    Ok((Layer(keys), places))
}

/// Makes the paths in a value usable from the current folder. A value of another type is left to be refused later.
fn resolve(value: &mut Value, base: &Path, world: &World) {
    if let ValueKind::String(path) = &mut value.kind {
        *path = world.resolve(base, path).to_string_lossy().into_owned();
    } else if let ValueKind::Array(paths) = &mut value.kind {
        for path in paths {
            resolve(path, base, world);
        }
    }
}

/// Checks the `[plugins."path"]` tables of one file, and resolves their paths.
fn file_tables(
    tables: Map<String, Value>,
    places: &Places,
    base: &Path,
    world: &World,
) -> Result<Map<String, Value>, ConfigError> {
    let mut resolved = Map::new();
    for (written, value) in BTreeMap::from_iter(tables) {
        let header = format!("`[plugins.\"{written}\"]`");
        let place = places.at(&["plugins", &written]);
        let ValueKind::Table(keys) = &value.kind else {
            let problem = format!("{header} must be a table, not {}", described(&value));
            let hint =
                format!("the folder with the plugins is `root`, and `[plugins.\"{written}.py\"]` is about a file");
            return Err(ConfigError::at(&place, problem).hinted(hint));
        };
        for (key, value) in BTreeMap::from_iter(keys) {
            let place = places.at(&["plugins", &written, key]);
            let Some((_, expected)) = FILE_KEYS.iter().find(|(known, _)| known == key) else {
                // `[plugins.shout.py]` without quotes is a table `py` in a table `shout`.
                let hint = if matches!(value.kind, ValueKind::Table(_)) {
                    format!("put the path in quotes: [plugins.\"{written}.{key}\"]")
                } else {
                    suggestion(key, value, &FILE_KEYS)
                };
                return Err(ConfigError::at(&place, format!("unknown key `{key}` in {header}")).hinted(hint));
            };
            let alone = Value::from(Map::from_iter([(key.clone(), value.clone())]));
            if alone.try_deserialize::<FileTable>().is_err() {
                let problem = format!("`{key}` in {header} must be {expected}, not {}", described(value));
                return Err(ConfigError::at(&place, problem));
            }
        }
        let path = world.resolve(base, &written);
        if world.cwd.join(&path).is_dir() {
            let problem = format!("{header} is about a folder");
            let hint = "leave a folder out with `exclude`, or name its files one by one";
            return Err(ConfigError::at(&place, problem).hinted(hint));
        }
        if resolved.insert(path.to_string_lossy().into_owned(), value).is_some() {
            return Err(ConfigError::at(&place, format!("more than one table is about {}", ticked(&path))));
        }
    }
    Ok(resolved)
}

/// Names the key that was meant, or lists what there is.
fn suggestion(written: &str, value: &Value, keys: &[(&str, &str)]) -> String {
    if matches!(value.kind, ValueKind::Table(_)) && Path::new(written).extension().is_some() {
        return format!("settings of one file stand under [plugins.\"{written}\"]");
    }
    nearest(written, keys).map_or_else(
        || format!("the keys are {}", keys.iter().map(|(key, _)| format!("`{key}`")).collect::<Vec<_>>().join(", ")),
        |key| format!("did you mean `{key}`?"),
    )
}

/// The key that is written most like this.
fn nearest<'a>(written: &str, keys: &[(&'a str, &str)]) -> Option<&'a str> {
    let plain = written.to_lowercase().replace('-', "_");
    let likeness = keys.iter().map(|(key, _)| (strsim::jaro_winkler(&plain, key), *key));
    likeness.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, key)| key)
}

/// Refuses an API key in a file that is likely to be kept in git.
fn refuse_secret(place: &str, key: &str) -> Result<(), ConfigError> {
    if names_secret(key) {
        Err(ConfigError::at(place, format!("`{key}` does not belong in a file that is easily shared"))
            .hinted(KEY_ELSEWHERE))
    } else {
        Ok(())
    }
}

/// Whether somebody would keep a secret under this name.
fn names_secret(key: &str) -> bool {
    let plain: String = key.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.strip_prefix("openwebui").or(plain.strip_prefix("owui")).unwrap_or(&plain);
    ["apikey", "key", "token", "apitoken", "jwt", "bearer", "secret", "password"].contains(&plain)
}

/// Shows where the TOML cannot be read, unless that would show a secret.
fn syntax(path: &Path, text: &str, report: &str) -> ConfigError {
    // The parser says it in lines: place, rule, source, caret, message.
    let position = report.strip_prefix("TOML parse error at line ").and_then(|rest| {
        let (line, rest) = rest.split_once(", column ")?;
        let column = rest.lines().next()?;
        Some((line.parse::<usize>().ok()?, column.parse::<usize>().ok()?))
    });
    let Some((line, column)) = position else {
        return ConfigError::at(&ticked(path), "it is not TOML");
    };
    let message = report.lines().skip(4).collect::<Vec<_>>().join(", ");
    let place = format!("`{}:{line}:{column}`", path.display());
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    if text.lines().any(holds_secret) {
        return ConfigError::at(&place, "it is not TOML (the line is not shown, since it may hold a key)")
            .hinted(KEY_ELSEWHERE);
    }
    let rule = " ".repeat(line.to_string().len());
    let caret = " ".repeat(column.saturating_sub(1));
    ConfigError::at(&place, format!("{message}\n{rule} |\n{line} | {source}\n{rule} | {caret}^"))
}

/// Whether a line may hold a secret: by the name at its head, or by its look.
fn holds_secret(line: &str) -> bool {
    let head = line.split(['=', ':']).next().unwrap_or_default();
    names_secret(head) || line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(looks_secret)
}

/// Whether a word begins as the server's API keys and login tokens do.
fn looks_secret(word: &str) -> bool {
    word.starts_with("sk-") || word.starts_with("eyJ")
}

/// The environment, as a layer.
fn environment(world: &World) -> Result<Layer, ConfigError> {
    variables(&world.env, &["OPENWEBUI_URL", "OPENWEBUI_BASE_URL"], Path::new(""), "", world)
}

/// Takes what is ours from variables: `OWUI_WATCH_<KEY>`, and the first of `servers` that is there.
fn variables(
    all: &BTreeMap<String, String>,
    servers: &[&str],
    base: &Path,
    whence: &str,
    world: &World,
) -> Result<Layer, ConfigError> {
    let mut keys = Map::new();
    if let Some((name, url)) = servers.iter().find_map(|name| Some((name, all.get(*name).and_then(|v| filled(v))?))) {
        keys.insert("url".to_owned(), Value::new(Some(&format!("`{name}`{whence}")), url));
    }
    for (name, value) in all {
        let (Some(key), Some(value)) = (name.strip_prefix(PREFIX), filled(value)) else { continue };
        let key = key.to_lowercase();
        let place = format!("`{name}`{whence}");
        if names_secret(&key) {
            return Err(ConfigError::at(&place, "there is no such variable")
                .hinted("the variable for the API key is OPENWEBUI_API_KEY"));
        }
        // Tables do not fit into a variable.
        if key == "plugins" || !KEYS.iter().any(|(known, _)| *known == key) {
            let near = nearest(&key, &KEYS).filter(|near| *near != "plugins");
            return Err(ConfigError::at(&place, "there is no such variable")
                .with_hint(near.map(|near| format!("did you mean `{PREFIX}{}`?", near.to_uppercase()))));
        }
        let mut value = if matches!(key.as_str(), "root" | "exclude") {
            Value::new(Some(&place), value.split(',').filter_map(filled).map(str::to_owned).collect::<Vec<_>>())
        } else {
            Value::new(Some(&place), value)
        };
        if PATHS.contains(&key.as_str()) {
            resolve(&mut value, base, world);
        }
        keys.insert(key, value);
    }
    Ok(Layer(keys))
}

fn filled(value: &str) -> Option<&str> {
    Some(value.trim()).filter(|value| !value.is_empty())
}

/// The flags that are also keys.
fn flags(args: &Args) -> Layer {
    let mut keys = Map::new();
    if let Some(url) = &args.url {
        keys.insert("url".to_owned(), Value::new(Some(&"`--url`".to_owned()), url.as_str()));
    }
    if !args.root.is_empty() {
        let roots: Vec<_> = args.root.iter().map(|root| tidy(root).to_string_lossy().into_owned()).collect();
        keys.insert("root".to_owned(), Value::new(Some(&"`--root`".to_owned()), roots));
    }
    Layer(keys)
}

/// All layers in one.
struct Merged {
    values: Map<String, Value>,
    /// The keys whose values the project's own files set.
    from_project: BTreeSet<String>,
    /// The server in the user's file, else the default.
    users_url: String,
    /// From the user's file and the project's.
    places: [Places; 2],
}

/// An API key, and where it is from.
struct FoundKey {
    key: SecretString,
    origin: Origin,
    /// The file that holds it, unless that is a credential.
    file: Option<PathBuf>,
    /// Whether it is the user's own, and not the project's.
    is_users: bool,
}

impl Merged {
    fn config(
        &self,
        folder: &Path,
        project: &Project<'_>,
        dotenv: &DotEnv,
        args: &Args,
        world: &World,
        sources: &mut Sources,
    ) -> Result<Config, ConfigError> {
        let written: Written =
            Value::from(self.values.clone()).try_deserialize().map_err(|error| self.mistyped(&error))?;
        let root_bounds = self.stay_inside(&written, folder, project)?;
        // Only a watch has the time to wait for a folder, and a command says itself what it misses.
        let waits = match &args.command {
            None => !args.one_pass(),
            Some(Command::Trust { .. }) => true,
            Some(command) => command.is_rollback(),
        };
        let roots = self.roots(&written.root, waits, world)?;
        let found = self.api_key(written.api_key_file.as_deref(), project, dotenv, world, sources)?;
        let adopt_files = written.plugins.iter().filter_map(|(path, table)| {
            let path = spelled(path, &roots, &world.cwd).unwrap_or_else(|| tidy(path));
            Some((path, table.adopt.as_ref()?.0))
        });
        let adopt_files = adopt_files.collect();
        let files = self.files(written.plugins, &roots, folder, world)?;
        let exclude = self.exclude(written.exclude, &roots, world)?;
        let url = server(&written.url).map_err(|(problem, hint)| self.at("url", problem).with_hint(hint))?;
        let ca_file = written.ca_file.map(|path| self.ca_file(path, world, sources)).transpose()?;
        self.check_destination(&url, ca_file.as_ref(), found.as_ref(), project, args)?;
        let key_files: BTreeSet<_> =
            dotenv.key_file().into_iter().chain(found.as_ref().and_then(|found| found.file.clone())).collect();
        let (key, key_origin) = found.map(|found| (found.key, found.origin)).unzip();
        let mut warnings = dotenv.lookalikes();
        // The environment has other programs' variables too.
        let is_set = |variable: &str| match variable.strip_prefix(PREFIX) {
            Some(key) => self.origin(&key.to_lowercase()).is_some(),
            None if variable == "OPENWEBUI_API_KEY" => key.is_some(),
            None => self.origin("url").is_some(),
        };
        let named = |name: &str| format!("`{name}` in the environment");
        warnings.extend(dotenv::lookalikes(&world.env, is_set, named));
        warnings.extend(key_files.iter().filter_map(|file| readable_by_others(file, world, user())));
        Ok(Config {
            project: folder.to_owned(),
            files,
            adopt_files,
            roots,
            root_bounds,
            exclude,
            links: written.follow_links.0,
            url,
            url_origin: self.origin("url").map_or(Origin::Default, |place| Origin::Set(place.to_owned())),
            key,
            key_origin,
            ca_file,
            key_files: key_files.into_iter().collect(),
            warnings,
            state: written.state,
            activate_new: written.activate_new,
            on_remote_edit: written.on_remote_edit.0,
            on_delete: written.on_delete.0,
            gone_after: self.within("gone_after", written.gone_after.0, Duration::from_secs(1), DAY)?,
            adopt: written.adopt.0,
            keep_versions: match written.keep_versions.0 {
                Some(count) if count.get() > 1000 => return Err(self.misfit("keep_versions")),
                count => count,
            },
            concurrency: Some(written.concurrency.0)
                .filter(|count| count.get() <= 32)
                .ok_or_else(|| self.misfit("concurrency"))?,
            debounce: self.within("debounce", written.debounce.0, Duration::from_millis(1), MINUTE)?,
            poll: match written.poll.0 {
                None => None,
                Some(pace) => Some(self.within("poll", pace, Duration::from_millis(100), 60 * MINUTE)?),
            },
            timeout: self.within("timeout", written.timeout.0, Duration::from_secs(1), DAY)?,
            once_patience: self.within("once_patience", written.once_patience.0, Duration::ZERO, DAY)?,
        })
    }

    /// Makes sure that nothing in the project's own files leads outside the project, unless the user agreed. Answers the
    /// bounds of the roots.
    fn stay_inside(
        &self,
        written: &Written,
        folder: &Path,
        project: &Project<'_>,
    ) -> Result<Vec<PathBuf>, ConfigError> {
        let mut root_bounds = Vec::new();
        // Its default is a name in the project, and that may be a link.
        if self.from_project.contains("root") || self.origin("root").is_none() {
            root_bounds.push(folder.to_owned());
            for root in &written.root {
                if self.origin("root").is_some() {
                    project.check_path("root", "`root`", &self.place_of("root"), root)?;
                } else {
                    project.check_link("root", root)?;
                }
                root_bounds.extend(project.outside(root));
            }
        }
        let paths = [
            ("api_key_file", written.api_key_file.as_ref()),
            ("ca_file", written.ca_file.as_ref()),
            ("state", Some(&written.state)),
        ];
        for (key, path) in paths {
            if let Some(path) = path.filter(|_| self.from_project.contains(key)) {
                project.check_path(key, &format!("`{key}`"), &self.place_of(key), path)?;
            }
        }
        if self.from_project.contains("follow_links") && written.follow_links.0 == Links::Anywhere {
            let question = "follow links to files outside the folder".to_owned();
            project.check("follow_links", "follow_links anywhere".to_owned(), question, || {
                self.at("follow_links", "links to anywhere may lead outside the folder")
            })?;
        }
        Ok(root_bounds)
    }

    /// Makes sure that the user's key goes only where the user wants it.
    fn check_destination(
        &self,
        url: &str,
        ca_file: Option<&CaFile>,
        found: Option<&FoundKey>,
        project: &Project<'_>,
        args: &Args,
    ) -> Result<(), ConfigError> {
        let origin = match (found, &args.command) {
            // The sandbox is a server of its own, without a key.
            (_, Some(Command::Sandbox { .. })) => return Ok(()),
            (Some(found), _) if found.is_users => format!("your API key from {}", found.origin),
            // A service may have one that is not to be seen from here.
            (None, Some(Command::Trust { .. })) => "your API key".to_owned(),
            (Some(_) | None, _) => return Ok(()),
        };
        let (origin, shown) = (masked(&origin), with_host(url));
        if self.from_project.contains("url") && url != self.users_url {
            let place = masked(&self.place_of("url"));
            project.check("url", format!("url {url}"), format!("send {origin} to {shown}"), || {
                ConfigError::verbatim(format!(
                    "cannot send {origin} to {shown}: {place} sets that address, and you have not agreed to it"
                ))
            })?;
        }
        // Whoever has a certificate that is trusted can pretend to be any server.
        if let Some(CaFile { path, pem }) = ca_file.filter(|_| self.from_project.contains("ca_file"))
            && url.starts_with("https:")
        {
            let (place, path) = (masked(&self.place_of("ca_file")), masked(&ticked(path)));
            let question = format!("send {origin} to whoever has a certificate from {path}");
            project.check("ca_file", format!("ca_file {}", Digest::of(pem.as_bytes())), question, || {
                ConfigError::verbatim(format!(
                    "cannot send {origin} to {shown}: {place} trusts the certificates in {path}, and you have not agreed \
                     to them"
                ))
            })?;
        }
        Ok(())
    }

    /// The place where a key was set, if it was.
    fn origin(&self, key: &str) -> Option<&str> {
        place(self.values.get(key)?)
    }

    /// The place where a key was set, with the line where that is known.
    fn place_of(&self, key: &str) -> String {
        self.place_in(self.origin(key).unwrap_or("the settings"), &[key])
    }

    /// The line of a key, if it was set in a file.
    fn place_in(&self, origin: &str, keys: &[&str]) -> String {
        let file = self.places.iter().find(|places| places.file() == origin);
        file.map_or_else(|| origin.to_owned(), |file| file.at(keys))
    }

    fn at(&self, key: &str, problem: impl fmt::Display) -> ConfigError {
        ConfigError::at(&self.place_of(key), problem)
    }

    /// Says what a key must be, and what it is.
    fn misfit(&self, key: &str) -> ConfigError {
        let expected = KEYS.iter().find(|(known, _)| *known == key).map_or("something else", |(_, expected)| expected);
        let value = self.values.get(key).map_or_else(|| "missing".to_owned(), described);
        let hint = (key == "plugins").then(|| "the folder with the plugins is `root`".to_owned());
        self.at(key, format!("`{key}` must be {expected}, not {value}")).with_hint(hint)
    }

    /// Finds the key in what the config crate says of a type, to say it in our words.
    fn mistyped(&self, error: &::config::ConfigError) -> ConfigError {
        let (::config::ConfigError::Type { key: Some(path), .. } | ::config::ConfigError::At { key: Some(path), .. }) =
            error
        else {
            return ConfigError::new(format!("cannot use the settings: {error}"));
        };
        self.misfit(path.split(['.', '[']).next().unwrap_or(path))
    }

    fn within(&self, key: &str, span: Duration, least: Duration, most: Duration) -> Result<Duration, ConfigError> {
        if (least..=most).contains(&span) { Ok(span) } else { Err(self.misfit(key)) }
    }

    /// Checks that the roots are folders, and that no file is under two of them. If somebody waits for them, they need not
    /// be there yet.
    fn roots(&self, written: &[PathBuf], waits: bool, world: &World) -> Result<Vec<PathBuf>, ConfigError> {
        let mut roots: Vec<(PathBuf, PathBuf)> = Vec::new();
        for root in written {
            let cannot = |cause: &str| ConfigError::new(format!("cannot watch {}: {cause}", ticked(root)));
            let real = match fs::canonicalize(world.cwd.join(root)) {
                Ok(real) => real,
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(&why(&error))),
                // A key that stands in the place of a folder is not waited for, nor told.
                Err(_) if waits && root.to_str().is_none_or(|root| masked(root) == root) => {
                    without_dots(&world.cwd.join(root))
                }
                Err(_) => {
                    return Err(cannot("there is no such folder")
                        .hinted("create it, or set `root` in watch.toml (or --root) to the folder with the plugins"));
                }
            };
            if real.exists() && !real.is_dir() {
                return Err(cannot("it is not a folder").hinted(format!(
                    "`root` is the folder around it; to limit a run to this plugin: owui-watch {}",
                    root.display()
                )));
            }
            if let Some((other, _)) =
                roots.iter().find(|(_, other)| real.starts_with(other) || other.starts_with(&real))
            {
                if *other == *root {
                    continue;
                }
                return Err(self
                    .at("root", format!("{} and {} hold the same files", ticked(other), ticked(root)))
                    .hinted("a root covers the folders below it: name only the outer one"));
            }
            roots.push((root.clone(), real));
        }
        if roots.is_empty() {
            return Err(self.at("root", "`root` names no folder"));
        }
        Ok(roots.into_iter().map(|(root, _)| root).collect())
    }

    /// Finds the API key; the order is [`Config`]'s.
    fn api_key(
        &self,
        file: Option<&Path>,
        project: &Project<'_>,
        dotenv: &DotEnv,
        world: &World,
        sources: &mut Sources,
    ) -> Result<Option<FoundKey>, ConfigError> {
        let found = |text: &str, place: String, file: Option<PathBuf>, is_users| {
            let key = text.trim();
            check_key(key, &place)?;
            Ok(Some(FoundKey { key: SecretString::from(key), origin: Origin::Set(place), file, is_users }))
        };
        if let Some(key) = world.variable("OPENWEBUI_API_KEY") {
            return found(key, "`OPENWEBUI_API_KEY`".to_owned(), None, true);
        }
        if let Some((name, key)) = dotenv.key() {
            return found(key, format!("`{name}`{}", dotenv.whence()), dotenv.key_file(), dotenv.is_outside);
        }
        if let Some(path) = file {
            if path.file_name().is_some_and(|name| looks_secret(&name.to_string_lossy())) {
                return Err(ConfigError::new("cannot read the API key: `api_key_file` seems to be the key itself")
                    .hinted("put the key into a file of its own, and name that file"));
            }
            let is_dotenv = |path: &Path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
                name == ".env" || name.starts_with(".env.")
            };
            if self.from_project.contains("api_key_file") && (is_dotenv(path) || is_dotenv(&project.destination(path)))
            {
                return Err(self
                    .at("api_key_file", format!("{} may hold other programs' keys", ticked(path)))
                    .hinted("put the key alone into a file with another name"));
            }
            let key = sources.read(path, world)?.ok_or_else(|| {
                ConfigError::new(format!(
                    "cannot read the API key: `api_key_file` is {}, and there is no such file",
                    ticked(path)
                ))
            })?;
            let is_users = !self.from_project.contains("api_key_file") || project.outside(path).is_some();
            return found(&key, ticked(path), Some(path.to_owned()), is_users);
        }
        if let Some(folder) = world.variable("CREDENTIALS_DIRECTORY")
            && let Some(key) = sources.read(&Path::new(folder).join("openwebui_api_key"), world)?
        {
            return found(&key, CREDENTIAL.to_owned(), None, true);
        }
        Ok(None)
    }

    /// Reads certificates, as far as can be told without taking them apart.
    fn ca_file(&self, path: PathBuf, world: &World, sources: &mut Sources) -> Result<CaFile, ConfigError> {
        let cannot = |cause: &str| self.at("ca_file", format!("`ca_file` is {}, and {cause}", ticked(&path)));
        let bytes = sources.bytes(&path, world)?.ok_or_else(|| cannot("there is no such file"))?;
        if bytes.is_empty() {
            return Err(cannot("that is empty"));
        }
        match String::from_utf8(bytes) {
            Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Ok(CaFile { path, pem }),
            Ok(pem) if pem.contains("PRIVATE KEY-----") => {
                Err(cannot("that is a private key").hinted("name the file with the certificate, which is no secret"))
            }
            Ok(_) | Err(_) => Err(cannot("there is no certificate in it that begins with -----BEGIN CERTIFICATE-----")
                .hinted("`openssl x509 -inform der -in FILE -out FILE.pem` makes such a one of a .cer or .der file")),
        }
    }

    /// Checks that each glob can match something.
    fn exclude(&self, globs: Vec<String>, roots: &[PathBuf], world: &World) -> Result<Vec<String>, ConfigError> {
        for (n, glob) in globs.iter().enumerate() {
            GitignoreBuilder::new("").add_line(None, glob).map_err(|error| {
                let cause = if let ignore::Error::Glob { err, .. } = &error { err.clone() } else { error.to_string() };
                self.at("exclude", format!("`{glob}` is not a glob: {cause}"))
            })?;
            if let Some(cause) = never_matches(glob, n == 0) {
                return Err(self.at("exclude", format!("`{glob}` never matches: {cause}")));
            }
            if let Some(meant) =
                from_above_the_root(glob, roots, world).filter(|_| self.from_project.contains("exclude"))
            {
                return Err(self
                    .at("exclude", format!("`{glob}` never matches: a path in it starts at the root"))
                    .hinted(format!("did you mean `{meant}`?")));
            }
        }
        Ok(globs)
    }

    /// Spells the paths of `[plugins."path"]` as the files below the roots will be spelled.
    fn files(
        &self,
        tables: BTreeMap<PathBuf, FileTable>,
        roots: &[PathBuf],
        project: &Path,
        world: &World,
    ) -> Result<BTreeMap<PathBuf, FileSettings>, ConfigError> {
        let mut files = BTreeMap::new();
        for (path, FileTable { id, kind, enabled, adopt: _ }) in tables {
            let spelled = spelled(&path, roots, &world.cwd);
            if spelled.is_none() {
                self.refuse_from_root(&path, roots, project, world)?;
            }
            // With --root, tables about files elsewhere are no mistake.
            let path = spelled.unwrap_or_else(|| tidy(&path));
            files.insert(path, FileSettings { id, kind: kind.map(|word| word.0), enabled });
        }
        Ok(files)
    }

    /// Refuses a path that was written as if it started at a root: it would be about no file.
    fn refuse_from_root(
        &self,
        path: &Path,
        roots: &[PathBuf],
        project: &Path,
        world: &World,
    ) -> Result<(), ConfigError> {
        let written = path.strip_prefix(project).unwrap_or(path);
        let meant = roots.iter().map(|root| root.join(written)).find(|meant| world.cwd.join(meant).is_file());
        let Some(meant) = meant else { return Ok(()) };
        let table = match self.values.get("plugins").map(|plugins| &plugins.kind) {
            Some(ValueKind::Table(tables)) => tables.get(&*path.to_string_lossy()),
            _ => None,
        };
        let problem = format!("`[plugins.\"{}\"]` is about a file that is not below a root", written.display());
        let meant = meant.strip_prefix(project).unwrap_or(&meant).display();
        let origin = table.and_then(place).unwrap_or("the settings");
        let keys = ["plugins", &*written.to_string_lossy()];
        Err(ConfigError::at(&self.place_in(origin, &keys), problem)
            .hinted(format!("a path starts at the folder of watch.toml: [plugins.\"{meant}\"]")))
    }
}

/// Why a glob can match nothing, whatever the files are.
fn never_matches(glob: &str, is_first: bool) -> Option<&'static str> {
    let bare = glob.strip_prefix('!').unwrap_or(glob).trim_end();
    let path = bare.strip_prefix('/').unwrap_or(bare);
    let path = path.strip_suffix('/').unwrap_or(path);
    if glob.starts_with('#') {
        Some("`#` begins a comment; write `\\#`")
    } else if path.is_empty() {
        Some("it names nothing")
    } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("it has an empty part, `.` or `..` between the slashes")
    } else if is_first && glob.starts_with('!') {
        Some("`!` takes back an earlier pattern, and there is none")
    } else {
        None
    }
}

/// The glob that was meant by one that is written as if it started above the roots, as `plugins/old/` is.
fn from_above_the_root(glob: &str, roots: &[PathBuf], world: &World) -> Option<String> {
    let path = Path::new(glob.strip_prefix('/').unwrap_or(glob));
    let first = path.iter().next()?;
    // There may be such a folder in a root.
    if roots.iter().any(|root| world.cwd.join(root).join(first).exists()) {
        return None;
    }
    let full = |root: &PathBuf| without_dots(&world.cwd.join(root));
    let starts = roots.iter().flat_map(|root| [root.clone(), full(root).iter().skip(1).collect()]);
    let rests = starts.into_iter().filter_map(|start| path.strip_prefix(start).ok().map(Path::to_owned));
    let rest = rests.filter(|rest| !rest.as_os_str().is_empty()).min_by_key(|rest| rest.as_os_str().len())?;
    let slash = if glob.ends_with('/') { "/" } else { "" };
    Some(format!("/{}{slash}", rest.display()))
}

/// The place where a value was set.
fn place(value: &Value) -> Option<&str> {
    // Tables are laid over each other key by key: then only the parts know their place.
    value
        .origin()
        .or_else(|| if let ValueKind::Table(keys) = &value.kind { keys.values().find_map(place) } else { None })
}

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// Checks a server's URL, and makes of it what paths can be appended to.
fn server(text: &str) -> Result<String, (String, Option<String>)> {
    let text = text.trim();
    if looks_secret(text) {
        return Err(("`url` seems to be an API key".to_owned(), None));
    }
    if !text.contains("://") {
        let scheme = if text.contains('.') && !text.contains(':') { "https" } else { "http" };
        let meant = server(&format!("{scheme}://{text}")).ok().filter(|_| !text.starts_with('/'));
        return Err((
            "`url` must begin with http:// or https://".to_owned(),
            meant.map(|meant| format!("did you mean `{meant}`?")),
        ));
    }
    let url = Url::parse(text).map_err(|error| (format!("`url` is not a URL: {error}"), None))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err((format!("`url` must begin with http:// or https://, not {}://", url.scheme()), None));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err((
            "`url` must not hold a name or a password".to_owned(),
            Some("owui-watch gets in with an API key or a login token: OPENWEBUI_API_KEY, say in `.env`".to_owned()),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(("`url` must end before the `?` or `#`".to_owned(), None));
    }
    // People copy it from the API's documentation.
    let bare = url.as_str().trim_end_matches('/');
    let bare = bare.strip_suffix("/api/v1").or(bare.strip_suffix("/api")).unwrap_or(bare);
    Ok(bare.trim_end_matches('/').to_owned())
}

/// Whether a host is this machine, or one that only a private network can have.
fn is_near(host: &Host<&str>) -> bool {
    let v4 = |it: Ipv4Addr| it.is_loopback() || it.is_private() || it.is_link_local() || it.is_unspecified();
    match host {
        Host::Ipv4(address) => v4(*address),
        Host::Ipv6(address) => {
            let own = address.is_loopback() || address.is_unspecified();
            own || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some_and(v4)
        }
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            // A name of one part is from a private network's own list, say a container's.
            let home = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];
            !name.contains('.') || home.iter().any(|end| name.ends_with(end))
        }
    }
}

/// A warning about a file with a key that other users can read. Only its owner can change that: a secret that is mounted
/// into a container is somebody else's.
#[cfg(unix)]
fn readable_by_others(file: &Path, world: &World, user: u32) -> Option<Warning> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = fs::metadata(world.cwd.join(file)).ok()?;
    (metadata.mode() & 0o044 != 0 && metadata.uid() == user).then(|| Warning {
        message: format!("other users can read {}, which holds an API key", ticked(file)),
        hint: format!("chmod 600 {}", file.display()),
    })
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path, _: &World, _: u32) -> Option<Warning> {
    None
}

/// The user that runs us.
#[cfg(unix)]
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn user() -> u32 {
    0
}

/// Refuses what cannot be sent in a header, without showing it.
fn check_key(key: &str, place: &str) -> Result<(), ConfigError> {
    let problem = if key.is_empty() {
        "it is empty"
    } else if key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "it has a blank, a line end or a control character inside"
    } else if !key.is_ascii() {
        "it has a character that is not ASCII inside"
    } else if !key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '~')) {
        // It may be another program's secret: `NAME=value`, a URL with a password.
        return Err(ConfigError::new(format!("{place} does not hold an API key or token")));
    } else {
        return Ok(());
    };
    let bearer = key.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("bearer "));
    let hint = bearer.then(|| "leave out the word `Bearer`".to_owned());
    Err(ConfigError::new(format!("cannot use the API key from {place}: {problem}")).with_hint(hint))
}

/// A count of at least one.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Count(NonZeroUsize);

impl TryFrom<String> for Count {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// A duration as people write it: `100ms`, `2s`, `1m 30s`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Span(Duration);

impl TryFrom<String> for Span {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Duration::try_from(text.parse::<SignedDuration>()?).map(Self)
    }
}

/// A duration, or `off`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Pace(Option<Duration>);

impl TryFrom<String> for Pace {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "off" { Ok(Self(None)) } else { Span::try_from(text).map(|span| Self(Some(span.0))) }
    }
}

/// The word for a [`Kind`].
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct KindWord(Kind);

impl TryFrom<String> for KindWord {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Kind::from_word(&text).map(Self).ok_or(text)
    }
}

/// A setting that is one of a few words.
macro_rules! word {
    ($name:ident, $type:ty, $($word:literal => $value:expr),+) => {
        #[derive(Deserialize)]
        #[serde(try_from = "String")]
        struct $name($type);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                match text.as_str() {
                    $($word => Ok(Self($value)),)+
                    _ => Err(text),
                }
            }
        }
    };
}

word!(OnRemoteEditWord, OnRemoteEdit,
    "backup" => OnRemoteEdit::Backup, "hold" => OnRemoteEdit::Hold, "overwrite" => OnRemoteEdit::Overwrite);
word!(OnDeleteWord, OnDelete,
    "keep" => OnDelete::Keep, "deactivate" => OnDelete::Deactivate, "delete" => OnDelete::Delete);
word!(AdoptWord, Adopt, "ask" => Adopt::Ask, "never" => Adopt::Never);

word!(LinksWord, Links, "inside" => Links::Inside, "anywhere" => Links::Anywhere);

/// How many versions to keep, or `all`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Versions(Option<NonZeroUsize>);

impl TryFrom<String> for Versions {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "all" { Ok(Self(None)) } else { text.parse().map(|count| Self(Some(count))) }
    }
}

/// A text without the keys and tokens in it: people put them in the place of a path, or of a flag's value.
fn masked(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let words = text.split_inclusive(|c| !is_part(c));
    words
        .map(|word| {
            let bare = word.trim_end_matches(|c| !is_part(c));
            // Ours have 35 characters, tokens more. Shorter words are names.
            if looks_secret(bare) && bare.len() >= 30 { word.replace(bare, "[key]") } else { word.to_owned() }
        })
        .collect()
}

/// A URL without keys, but with its whole host: that is what the user agrees to. Parsing has spelled the host in ASCII.
fn with_host(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    format!("{}{}", &url[..end], masked(&url[end..]))
}

/// A path below a root as the files that are found there are spelled.
fn spelled(path: &Path, roots: &[PathBuf], cwd: &Path) -> Option<PathBuf> {
    let full = without_dots(&cwd.join(path));
    let below =
        |root: &PathBuf| full.strip_prefix(without_dots(&cwd.join(root))).ok().map(|rest| tidy(&root.join(rest)));
    roots.iter().find_map(below)
}

fn ticked(path: &Path) -> String {
    format!("`{}`", path.display())
}

/// A value as an error shows it.
fn described(value: &Value) -> String {
    match &value.kind {
        ValueKind::Nil => "nothing".to_owned(),
        ValueKind::String(text) if looks_secret(text) => "what looks like a key".to_owned(),
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(_) => "a list".to_owned(),
        ValueKind::Table(_) => "a table".to_owned(),
        ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_) => value.to_string(),
    }
}

/// The system's reason, in a message's words.
fn why(error: &io::Error) -> String {
    if let Some(rejection) = Rejection::of(error) {
        return format!("it is {rejection}");
    }
    let known = [
        (io::ErrorKind::PermissionDenied, "permission denied"),
        (io::ErrorKind::IsADirectory, "it is a folder"),
        (io::ErrorKind::InvalidData, "it is not UTF-8 text"),
    ];
    known
        .iter()
        .find(|(kind, _)| *kind == error.kind())
        .map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_its_owner_is_told_to_protect_a_key_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
        let warned = |user| readable_by_others(file.path(), &World::default(), user).is_some();
        assert!(warned(user()));
        assert!(!warned(user() + 1));
    }

    #[test]
    fn every_key_says_what_it_must_be() {
        fn fields<T: for<'de> Deserialize<'de>>() -> String {
            let unknown = Value::from(Map::from_iter([("?".to_owned(), Value::from(1))]));
            unknown.try_deserialize::<T>().map(drop).unwrap_err().to_string()
        }
        fn listed(keys: &[(&str, &str)]) -> String {
            keys.iter().map(|(key, _)| format!("`{key}`")).collect::<Vec<_>>().join(", ")
        }
        assert_eq!(fields::<Written>(), format!("unknown field `?`, expected one of {}", listed(&KEYS)));
        assert_eq!(fields::<FileTable>(), format!("unknown field `?`, expected one of {}", listed(&FILE_KEYS)));
    }
}
