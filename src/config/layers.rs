//! The layers of settings: defaults, the user's file, the project's file, `.env`, the environment and the flags. The
//! last layer that sets a key wins, and each value keeps its origin.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use ::config::{FileFormat, Format as _, Map, Source, Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::dotenv::DotEnv;
use super::paths::ticked;
use super::schema::{
    CHECK_KEYS, DEFAULT_URL, Form, KEYS, KeyRow, PLUGIN_KEYS, PREFIX, TrySettings, described, find, nearest, no_rule,
    suggestion,
};
use super::secret::{KEY_ELSEWHERE, holds_secret, names_secret, refuse_secret};
use super::sources::filled;
use super::{ConfigError, Pattern, Sources, World, trust, url};
use crate::cli::Args;
use crate::paths::{slashed, tidy};

/// One source of settings, with resolved paths and the origin of each value.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}

impl Layer {
    /// Resolves its paths relative to the current folder.
    fn resolved(mut self, base: &Path, world: &World) -> Self {
        for key in KEYS.iter().filter(|key| key.form.is_path()) {
            if let Some(value) = self.0.get_mut(key.name) {
                resolve(value, base, world);
            }
        }
        self
    }
}

/// Resolves a path in a value. Values of another type are refused later.
fn resolve(value: &mut Value, base: &Path, world: &World) {
    if let ValueKind::String(path) = &mut value.kind {
        *path = world.resolve(base, path).to_string_lossy().into_owned();
    } else if let ValueKind::Array(paths) = &mut value.kind {
        for path in paths {
            resolve(path, base, world);
        }
    }
}

/// All layers, merged.
pub(super) struct Merged {
    pub(super) values: Map<String, Value>,
    /// The keys that the project's own files set.
    pub(super) from_project: BTreeSet<String>,
    /// The server in the user's file, else the default.
    pub(super) users_url: String,
    /// From the user's file and the project's.
    positions: [Positions; 2],
}

impl Merged {
    /// Reads all layers. `path` is the project's file, which must exist if `wanted`.
    pub(super) fn read(
        path: &Path,
        wanted: bool,
        dotenv: &DotEnv,
        args: &Args,
        world: &World,
        sources: &mut Sources,
    ) -> Result<Self, ConfigError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let user_path = world.config_home.as_ref().map(|home| home.join("owui-watch").join("watch.toml"));
        // In a container the home may belong to someone else: ignore the settings in it.
        let user_path = user_path.filter(|path| {
            let found = fs::metadata(world.cwd.join(path)).map_err(|error| error.kind());
            !matches!(found, Err(io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory))
        });
        let (user, user_positions) = match &user_path {
            Some(path) => file(path, false, world, sources)?,
            None => (Layer::default(), Positions::default()),
        };
        let (own, own_positions) = file(path, wanted, world, sources)?;
        let (from_dotenv, environment, flags) = (from_dotenv(dotenv, folder, world)?, environment(world)?, flags(args));
        // `--config` may name the user's own file. A link elsewhere would change the meaning of its paths.
        let is_users = user_path.is_some_and(|user| {
            let home = user.parent().unwrap_or(Path::new(""));
            trust::is_same(world, home, folder) && trust::is_same(world, &user, path)
        });
        let own_keys = own.0.keys().filter(|_| !is_users).chain(from_dotenv.0.keys());
        let above = |key: &&String| environment.0.contains_key(*key) || flags.0.contains_key(*key);
        let from_project = own_keys.filter(|key| !above(key)).cloned().collect();
        let users_url = match user.0.get("url").map(|url| &url.kind) {
            Some(ValueKind::String(text)) => url::plain(text).unwrap_or_else(|_| text.clone()),
            Some(_) | None => DEFAULT_URL.to_owned(),
        };

        let mut builder = ::config::Config::builder();
        for layer in [defaults(folder, world)?, user, own, from_dotenv, environment, flags] {
            builder = builder.add_source(layer);
        }
        let values = builder.build().and_then(|merged| merged.cache.into_table());
        let values = values.map_err(|error| ConfigError::new(error.to_string()))?;
        Ok(Self { values, from_project, users_url, positions: [user_positions, own_positions] })
    }

    /// The place where a key was set, if it was.
    pub(super) fn origin(&self, key: &str) -> Option<&str> {
        origin(self.values.get(key)?)
    }

    /// The place where a key was set, with line and column where it is a file.
    pub(super) fn place_of(&self, key: &str) -> String {
        self.place_in(self.origin(key).unwrap_or("the settings"), &[key])
    }

    /// The place of a file's table. Its path is `written` in the settings, and resolves to `path`.
    pub(super) fn place_of_table(&self, path: &Path, written: &Path) -> String {
        let table = match self.values.get("plugins").map(|plugins| &plugins.kind) {
            Some(ValueKind::Table(tables)) => tables.get(&*path.to_string_lossy()),
            _ => None,
        };
        self.place_in(table.and_then(origin).unwrap_or("the settings"), &["plugins", &*written.to_string_lossy()])
    }

    fn place_in(&self, origin: &str, keys: &[&str]) -> String {
        let file = self.positions.iter().find(|positions| positions.file() == origin);
        file.map_or_else(|| origin.to_owned(), |file| file.at(keys))
    }

    /// Rejects the value of a key.
    pub(super) fn at(&self, key: &str, problem: impl fmt::Display) -> ConfigError {
        ConfigError::at(&self.place_of(key), problem)
    }

    /// The error for a value of the wrong form.
    pub(super) fn misfit(&self, key: &str) -> ConfigError {
        let expected = KeyRow::find(key).map_or("something else", |key| key.must_be);
        let value = self.values.get(key).map_or_else(|| "missing".to_owned(), described);
        let hint = (key == "plugins").then(|| "the folder with the plugins is `root`".to_owned());
        self.at(key, format!("`{key}` must be {expected}, not {value}")).with_hint(hint)
    }
}

/// The place where a value was set.
fn origin(value: &Value) -> Option<&str> {
    // Tables merge key by key, so only their parts know their origin.
    value
        .origin()
        .or_else(|| if let ValueKind::Table(keys) = &value.kind { keys.values().find_map(origin) } else { None })
}

/// The lowest layer.
fn defaults(project: &Path, world: &World) -> Result<Layer, ConfigError> {
    let rows = KEYS.iter().filter(|key| !key.default.is_empty());
    let text: String = rows.flat_map(|key| [key.name, " = ", key.default, "\n"]).collect();
    let values = FileFormat::Toml.parse(None, &text).map_err(|error| ConfigError::new(error.to_string()))?;
    Ok(Layer(values).resolved(project, world))
}

/// The positions of the keys in a `watch.toml`.
#[derive(Default)]
struct Positions {
    path: PathBuf,
    /// Line and column of each key, by its full path of keys.
    positions: BTreeMap<Vec<String>, (usize, usize)>,
}

impl Positions {
    fn of(path: &Path, text: &str) -> Self {
        let mut positions = Self { path: path.to_owned(), positions: BTreeMap::new() };
        if let Ok(table) = DeTable::parse(text) {
            positions.add(table.get_ref(), text, &[]);
        }
        positions
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

    /// The position of a key, as errors name it; without a position, the file.
    fn at(&self, keys: &[&str]) -> String {
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        match self.positions.get(&keys) {
            Some((line, column)) => format!("`{}:{line}:{column}`", slashed(&self.path)),
            None => self.file(),
        }
    }
}

/// Reads a `watch.toml`.
fn file(path: &Path, wanted: bool, world: &World, sources: &mut Sources) -> Result<(Layer, Positions), ConfigError> {
    let name = ticked(path);
    let text = match sources.read(path, world)? {
        Some(text) => text,
        None if wanted => return Err(ConfigError::new(format!("cannot read {name}: no such file"))),
        None => return Ok((Layer::default(), Positions::default())),
    };
    let mut values =
        FileFormat::Toml.parse(Some(&name), &text).map_err(|error| syntax(path, &text, &error.to_string()))?;
    let positions = Positions::of(path, &text);
    // Sorted, so that the same file gives the same error.
    for (key, value) in BTreeMap::from_iter(&values) {
        let place = positions.at(&[key]);
        refuse_secret(&place, key)?;
        if KeyRow::find(key).is_none() {
            let problem = format!("unknown key `{key}`");
            return Err(ConfigError::at(&place, problem).hinted(suggestion(key, value, KEYS)));
        }
    }
    if let Some(Value { kind: ValueKind::Table(table), .. }) = values.get("check") {
        check_table(table, CHECK_KEYS, "`[check]`", &["check"], &positions)?;
    }
    let base = path.parent().unwrap_or(Path::new(""));
    if let Some(Value { kind: ValueKind::Table(tables), .. }) = values.get_mut("plugins") {
        *tables = plugin_tables(std::mem::take(tables), &positions, base, world)?;
    }
    Ok((Layer(values).resolved(base, world), positions))
}

/// Checks the `[plugins."path"]` tables of one file, and resolves their paths.
fn plugin_tables(
    tables: Map<String, Value>,
    positions: &Positions,
    base: &Path,
    world: &World,
) -> Result<Map<String, Value>, ConfigError> {
    let mut resolved = Map::new();
    for (written, value) in BTreeMap::from_iter(tables) {
        let header = format!("`[plugins.\"{written}\"]`");
        let place = positions.at(&["plugins", &written]);
        let ValueKind::Table(values) = &value.kind else {
            let problem = format!("{header} must be a table, not {}", described(&value));
            let hint =
                format!("the folder with the plugins is `root`, and `[plugins.\"{written}.py\"]` is about a file");
            return Err(ConfigError::at(&place, problem).hinted(hint));
        };
        check_table(values, PLUGIN_KEYS, &header, &["plugins", &written], positions)?;
        let path = world.resolve(base, &written);
        if world.cwd.join(&path).is_dir() {
            let problem = format!("{header} is about a folder");
            let hint = "leave a folder out with `exclude`, or name its files one by one";
            return Err(ConfigError::at(&place, problem).hinted(hint));
        }
        if resolved.insert(path.to_string_lossy().into_owned(), value).is_some() {
            return Err(ConfigError::at(&place, format!("more than one table is for {}", ticked(&path))));
        }
    }
    Ok(resolved)
}

/// Checks the keys of a table that is at this path of keys, and of the tables in it.
fn check_table(
    values: &Map<String, Value>,
    rows: &'static [KeyRow],
    header: &str,
    at: &[&str],
    positions: &Positions,
) -> Result<(), ConfigError> {
    for (key, value) in BTreeMap::from_iter(values) {
        let at = [at, &[key]].concat();
        let place = positions.at(&at);
        let refuse = |problem: String| Err(ConfigError::at(&place, problem));
        let Some(row) = find(rows, key) else {
            // `[plugins.shout.py]` without quotes is a table `py` in a table `shout`.
            let hint = match (&value.kind, at.as_slice()) {
                (ValueKind::Table(_), [_, written, key]) if Path::new(written).extension().is_none() => {
                    format!("put the path in quotes: [plugins.\"{written}.{key}\"]")
                }
                _ => suggestion(key, value, rows),
            };
            return Err(ConfigError::at(&place, format!("unknown key `{key}` in {header}")).hinted(hint));
        };
        if let (Form::Tables, ValueKind::Table(inner)) = (row.form, &value.kind) {
            let header = format!("{}.{key}]`", header.trim_end_matches("]`"));
            check_table(inner, row.inner, &header, &at, positions)?;
            let trial = (row.name == "try").then(|| TrySettings::read(inner).ok()).flatten();
            if let Some(why) = trial.and_then(|table| table.contradiction()) {
                return refuse(format!("{header} {why}"));
            }
        }
        if row.name == "expect"
            && let Some(Err(why)) = value.clone().into_string().ok().map(|text| Pattern::new(&text))
        {
            return refuse(format!("`{key}` in {header} is not a regular expression: {why}"));
        }
        if let (true, Some((word, near))) = (matches!(row.name, "select" | "ignore"), no_rule(value)) {
            let unknown = ConfigError::at(&place, format!("`{key}` in {header} names `{word}`, which is no rule"));
            return Err(unknown.hinted(near));
        }
        if !row.fits(value) {
            return refuse(format!("`{key}` in {header} must be {}, not {}", row.must_be, described(value)));
        }
    }
    Ok(())
}

/// The error for invalid TOML, with the line unless that may hold a secret.
fn syntax(path: &Path, text: &str, report: &str) -> ConfigError {
    // The parser reports in lines: place, rule, source, caret, message.
    let position = report.strip_prefix("TOML parse error at line ").and_then(|rest| {
        let (line, rest) = rest.split_once(", column ")?;
        let column = rest.lines().next()?;
        Some((line.parse::<usize>().ok()?, column.parse::<usize>().ok()?))
    });
    let Some((line, column)) = position else {
        return ConfigError::at(&ticked(path), "it is not TOML");
    };
    let message = report.lines().skip(4).collect::<Vec<_>>().join(", ");
    let place = format!("`{}:{line}:{column}`", slashed(&path));
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    if text.lines().any(holds_secret) {
        return ConfigError::at(&place, "it is not TOML (the line is not shown, since it may hold a key)")
            .hinted(KEY_ELSEWHERE);
    }
    let rule = " ".repeat(line.to_string().len());
    let caret = " ".repeat(column.saturating_sub(1));
    ConfigError::at(&place, format!("{message}\n{rule} |\n{line} | {source}\n{rule} | {caret}^"))
}

fn environment(world: &World) -> Result<Layer, ConfigError> {
    variables(&world.env, None, Path::new(""), "", world)
}

/// Reads settings from variables: `OWUI_WATCH_<KEY>`, else the key's other variables, else `plain_url` for the server.
/// `whence` names their source in messages.
fn variables(
    all: &BTreeMap<String, String>,
    plain_url: Option<&str>,
    base: &Path,
    whence: &str,
    world: &World,
) -> Result<Layer, ConfigError> {
    let mut values = Map::new();
    for key in KEYS {
        let plain = plain_url.filter(|_| key.name == "url");
        let set = |name: &str| Some((name.to_owned(), all.get(name).and_then(|value| filled(value))?));
        if let Some((name, value)) = key.also.iter().copied().chain(plain).find_map(set) {
            values.insert(key.name.to_owned(), Value::new(Some(&format!("`{name}`{whence}")), value));
        }
    }
    for (name, value) in all {
        let (Some(written), Some(value)) = (name.strip_prefix(PREFIX), filled(value)) else { continue };
        let written = written.to_lowercase();
        let place = format!("`{name}`{whence}");
        let unknown = || ConfigError::at(&place, "there is no such variable");
        if names_secret(&written) {
            return Err(unknown().hinted("the variable for the API key is OPENWEBUI_API_KEY"));
        }
        let Some(key) = KeyRow::find(&written).filter(|key| key.variable().is_some()) else {
            let near = nearest(&written, KEYS).and_then(KeyRow::variable);
            return Err(unknown().with_hint(near.map(|near| format!("did you mean `{near}`?"))));
        };
        let parts = || value.split(',').filter_map(filled).map(str::to_owned).collect::<Vec<_>>();
        let text = || Value::new(Some(&place), value);
        let value = match key.form {
            form if form.is_list() => Value::new(Some(&place), parts()),
            // Another text is refused with the others.
            Form::Switch => text().into_bool().map_or_else(|_| text(), |is_on| Value::new(Some(&place), is_on)),
            _ => text(),
        };
        values.insert(written, value);
    }
    Ok(Layer(values).resolved(base, world))
}

fn from_dotenv(dotenv: &DotEnv, folder: &Path, world: &World) -> Result<Layer, ConfigError> {
    variables(&dotenv.variables, Some(DotEnv::URL), folder, &dotenv.whence(), world)
}

/// The flags that are also keys.
fn flags(args: &Args) -> Layer {
    let mut values = Map::new();
    if let Some(url) = &args.url {
        values.insert("url".to_owned(), Value::new(Some(&"`--url`".to_owned()), url.as_str()));
    }
    if !args.root.is_empty() {
        let roots: Vec<_> = args.root.iter().map(|root| tidy(root).to_string_lossy().into_owned()).collect();
        values.insert("root".to_owned(), Value::new(Some(&"`--root`".to_owned()), roots));
    }
    Layer(values)
}
