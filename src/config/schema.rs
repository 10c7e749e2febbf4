//! The keys, one row each: name, type, reader, what a value must be, default, flag and a line of documentation. These
//! rows define the types, the variables and the error messages. Tests check `watch.toml`, the docs and `--help`
//! against them.
//!
//! Long because the keys of all tables, and what reads their values, stand together.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::{Map, Value, ValueKind};
use jiff::SignedDuration;

use super::{Pattern, command_line};
use crate::check::{self, Choice};
use crate::engine::OnDelete;
use crate::engine::deploy::{Adopt, OnRemoteEdit};
use crate::engine::files::Links;
use crate::plugin::Kind;
use crate::printable;

/// The prefix of the keys' variables.
pub(super) const PREFIX: &str = "OWUI_WATCH_";
/// Where Open WebUI listens by default.
pub const DEFAULT_URL: &str = "http://localhost:8080";

/// One key, without its type.
#[derive(Debug)]
pub struct KeyRow {
    /// Its name in `watch.toml`.
    pub name: &'static str,
    /// The form of a value, as errors name it. Each word and bound in quotes is a valid value.
    pub must_be: &'static str,
    /// Its default, as TOML; empty if it has none.
    pub default: &'static str,
    /// The form of its values.
    pub form: Form,
    /// The keys of the table that it is, if it is one table.
    pub inner: &'static [Self],
    /// Other variables that set it, by priority.
    pub also: &'static [&'static str],
    /// The flag that sets it.
    pub flag: Option<&'static str>,
    doc: &'static str,
    fits: fn(&Value) -> bool,
}

/// The form of a key's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One value.
    Plain,
    /// `true` or `false`; in a variable also `yes`, `on`, `1` and their opposites.
    Switch,
    /// Texts, separated by commas in a variable.
    List,
    /// A path, relative to the folder of its file. In a project's own file it must stay inside the project.
    Path,
    /// Several such paths.
    Paths,
    /// Tables. No variable can hold them.
    Tables,
}

impl Form {
    pub(super) fn is_path(self) -> bool {
        matches!(self, Form::Path | Form::Paths)
    }

    pub(super) fn is_list(self) -> bool {
        matches!(self, Form::List | Form::Paths)
    }
}

impl KeyRow {
    const PLAIN: Self = Self {
        name: "",
        must_be: "",
        default: "",
        form: Form::Plain,
        inner: &[],
        also: &[],
        flag: None,
        doc: "",
        fits: |_| false,
    };

    /// The row of a key of `watch.toml`.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        find(KEYS, name)
    }

    /// Its purpose: the beginning of its comment in the reference `watch.toml`.
    #[must_use]
    pub fn doc(&self) -> &'static str {
        self.doc.trim()
    }

    /// Its own variable.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        (self.form != Form::Tables).then(|| format!("{PREFIX}{}", self.name.to_uppercase()))
    }

    /// Whether a value is valid.
    #[must_use]
    pub fn fits(&self, value: &Value) -> bool {
        (self.fits)(value)
    }
}

/// The row with this name.
pub(super) fn find(keys: &'static [KeyRow], name: &str) -> Option<&'static KeyRow> {
    keys.iter().find(|key| key.name == name)
}

/// A value is not valid for its key.
struct Misfit;

type Read<T> = Result<T, Misfit>;

impl From<::config::ConfigError> for Misfit {
    fn from(_: ::config::ConfigError) -> Self {
        Self
    }
}

/// A key's name in `watch.toml`: that of its field, unless that would be a word of Rust.
macro_rules! key_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

/// Defines a type and its rows. `read` converts a value, or refuses it.
macro_rules! keys {
    (
        $(#[doc = $type_doc:literal])+ $settings:ident, $(#[doc = $rows_doc:literal])+ $rows:ident:
        $($(#[doc = $doc:literal])+ $name:ident $(= $key:literal)?: $type:ty {
            read: $read:expr, $($field:ident: $value:expr),+ $(,)?
        })+
    ) => {
        $(#[doc = $type_doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $settings {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        $(#[doc = $rows_doc])+
        pub const $rows: &[KeyRow] = &[$(KeyRow {
            name: key_name!($name $($key)?),
            doc: concat!($($doc),+),
            fits: |value| {
                let read: fn(Value) -> Read<$type> = $read;
                read(value.clone()).is_ok()
            },
            $($field: $value,)+
            ..KeyRow::PLAIN
        }),+];

        impl $settings {
            /// Reads all keys. The error is the name of an invalid one.
            pub(super) fn read(values: &Map<String, Value>) -> Result<Self, &'static str> {
                let value = |name: &str| values.get(name).cloned().unwrap_or(Value::from(ValueKind::Nil));
                Ok(Self {
                    $($name: {
                        let read: fn(Value) -> Read<$type> = $read;
                        read(value(key_name!($name $($key)?))).map_err(|_| key_name!($name $($key)?))?
                    },)+
                })
            }

            /// The keys whose values differ.
            #[must_use]
            pub fn changes(&self, other: &Self) -> Vec<&'static str> {
                let mut changes = Vec::new();
                $(if self.$name != other.$name {
                    changes.push(key_name!($name $($key)?));
                })+
                changes
            }
        }
    };
}

keys! {
    /// The value of each key of `watch.toml`, with paths relative to the current folder. Each value is valid alone;
    /// `Config` checks them together.
    Settings,
    /// The keys of `watch.toml`.
    KEYS:

    /// The folder with the plugins, or a list of folders.
    root: Vec<PathBuf> {
        read: paths,
        must_be: "a folder, or a list of folders",
        default: r#""plugins""#,
        form: Form::Paths,
        flag: Some("--root"),
    }
    /// What to leave alone below the roots, as in a `.gitignore`.
    exclude: Vec<String> {
        read: texts,
        must_be: "a list of globs",
        default: r#"[
            "tests/", "backups/", "archived/", "build/", "dist/", "node_modules/", "venv/", "__pycache__/", "*.backup.py"
        ]"#,
        form: Form::List,
    }
    /// Where links to plugin files may lead.
    follow_links: Links {
        read: links,
        must_be: r#""inside" or "anywhere""#,
        default: r#""inside""#,
    }
    /// The server.
    url: String {
        read: text,
        must_be: r#"a URL such as "http://localhost:8080""#,
        default: r#""http://localhost:8080""#,
        also: &["OPENWEBUI_URL", "OPENWEBUI_BASE_URL"],
        flag: Some("--url"),
    }
    /// A file that holds the API key and nothing else.
    api_key_file: Option<PathBuf> {
        read: |value| optional(value, path),
        must_be: "the path of a file",
        form: Form::Path,
    }
    /// A file with certificates (PEM) to trust besides the system's.
    ca_file: Option<PathBuf> {
        read: |value| optional(value, path),
        must_be: "the path of a file",
        form: Form::Path,
    }
    /// The folder for deploy records, backups and logs.
    state: PathBuf {
        read: path,
        must_be: "the path of a folder",
        default: r#"".owui-watch""#,
        form: Form::Path,
    }
    /// Whether to switch on new functions.
    activate_new: bool {
        read: switch,
        must_be: "true or false",
        default: "false",
        form: Form::Switch,
    }
    /// What to do when the server has a text that was not deployed from here.
    on_remote_edit: OnRemoteEdit {
        read: on_remote_edit,
        must_be: r#""backup", "hold" or "overwrite""#,
        default: r#""backup""#,
    }
    /// What to do on the server when the file of a deployed plugin is deleted while owui-watch is watching.
    on_delete: OnDelete {
        read: on_delete,
        must_be: r#""keep", "deactivate" or "delete""#,
        default: r#""keep""#,
    }
    /// How long a file must be gone before `on_delete` takes effect.
    gone_after: Duration {
        read: |value| span(value, SECOND..=DAY),
        must_be: r#"a duration such as "30s", from "1s" to "24h""#,
        default: r#""30s""#,
    }
    /// What to do if the server has a plugin with the same title and author, or `openwebui_id`, under another id.
    adopt: Adopt {
        read: adopt,
        must_be: r#""ask" or "never""#,
        default: r#""ask""#,
    }
    /// How many versions of each editing session to keep in the server's history (Open WebUI 0.12 and later).
    keep_versions: Option<NonZeroUsize> {
        read: |value| unless(value, "all", |value| count(value, 1000)),
        must_be: r#""all", or a whole number from 1 to 1000"#,
        default: r#""all""#,
    }
    /// How many plugins to deploy at once.
    concurrency: NonZeroUsize {
        read: |value| count(value, 32),
        must_be: "a whole number from 1 to 32",
        default: "4",
    }
    /// How long to wait before reading a changed file, where the system does not report that its writer is done.
    debounce: Duration {
        read: |value| span(value, MILLISECOND..=MINUTE),
        must_be: r#"a duration such as "100ms", from "1ms" to "1m""#,
        default: r#""100ms""#,
    }
    /// How often to look for changes instead of using the system's file events.
    poll: Option<Duration> {
        read: |value| unless(value, "off", |value| span(value, 100 * MILLISECOND..=60 * MINUTE)),
        must_be: r#""off", or a duration such as "2s", from "100ms" to "1h""#,
        default: r#""off""#,
    }
    /// A command that prints the server's log as it grows. The watch runs it, and shows what it says about plugins.
    log_command: Option<Vec<String>> {
        read: |value| optional(value, command).map(Option::flatten),
        must_be: r#"a command such as "docker logs -f --tail 0 open-webui", or a list of its words, without control or invisible characters"#,
    }
    /// How long the server may take to answer.
    timeout: Duration {
        read: |value| span(value, SECOND..=DAY),
        must_be: r#"a duration such as "5m", from "1s" to "24h""#,
        default: r#""5m""#,
    }
    /// How long `--once` keeps trying while the server cannot be reached.
    once_patience: Duration {
        read: |value| span(value, Duration::ZERO..=DAY),
        must_be: r#"a duration such as "30s", from "0s" to "24h""#,
        default: r#""30s""#,
    }
    /// Which rules `owui-watch check` uses, and whether their errors hold a deploy back.
    check: CheckSettings {
        read: checks,
        must_be: "a table with `select`, `ignore` or `block`",
        default: "{ select = [], ignore = [], block = false }",
        form: Form::Tables,
        inner: CHECK_KEYS,
    }
    /// Settings of single files.
    plugins: BTreeMap<PathBuf, PluginSettings> {
        read: tables,
        must_be: r#"made of tables such as [plugins."plugins/shout.py"]"#,
        default: "{}",
        form: Form::Tables,
    }
}

keys! {
    /// The value of each key of `[check]`, or of one table `[plugins."path".check]`.
    CheckSettings,
    /// The keys of `[check]` and of `[plugins."path".check]`. They have no variable.
    CHECK_KEYS:

    /// The rules to use; an empty list means all.
    select: Option<Vec<String>> {
        read: |value| optional(value, rules),
        must_be: "a list of rules, as `owui-watch check --explain all` names them",
        default: "[]",
    }
    /// The rules to leave out.
    ignore: Option<Vec<String>> {
        read: |value| optional(value, rules),
        must_be: "a list of rules, as `owui-watch check --explain all` names them",
        default: "[]",
    }
    /// Whether an error that is certain to break a plugin holds back its deploy.
    block: Option<bool> {
        read: |value| optional(value, switch),
        must_be: "true or false",
        default: "false",
    }
}

keys! {
    /// The value of each key of one table `[plugins."path"]`.
    PluginSettings,
    /// The keys of `[plugins."path"]`. They have neither a variable nor a default.
    PLUGIN_KEYS:

    /// The id on the server.
    id: Option<String> {
        read: |value| optional(value, text),
        must_be: "a text",
    }
    /// Its kind, for a file with a function class and `Tools`.
    kind: Option<Kind> {
        read: |value| optional(value, kind),
        must_be: r#""function" or "tool""#,
    }
    /// `false` leaves the file alone.
    enabled: Option<bool> {
        read: |value| optional(value, switch),
        must_be: "true or false",
    }
    /// `adopt` for this file alone.
    adopt: Option<Adopt> {
        read: |value| optional(value, adopt),
        must_be: r#""ask" or "never""#,
    }
    /// `[check]` for this file alone: its `ignore` is added to the general one, and its other keys replace the general
    /// ones.
    check: Option<CheckSettings> {
        read: |value| optional(value, checks),
        must_be: "a table with `select`, `ignore` or `block`",
        form: Form::Tables,
        inner: CHECK_KEYS,
    }
    /// How to try the plugin.
    trial = "try": Option<TrySettings> {
        read: |value| optional(value, trial),
        must_be: "a table with a `message` or a `tool`",
        form: Form::Tables,
        inner: TRY_KEYS,
    }
}

keys! {
    /// The value of each key of one table `[plugins."path".try]`.
    TrySettings,
    /// The keys of `[plugins."path".try]`.
    TRY_KEYS:

    /// The message to send.
    message: Option<String> {
        read: |value| optional(value, text),
        must_be: "a text",
    }
    /// A regular expression that the answer must match.
    expect: Option<Pattern> {
        read: |value| optional(value, pattern),
        must_be: r#"a regular expression such as "^HELLO""#,
    }
    /// The function of a tool to call.
    tool: Option<String> {
        read: |value| optional(value, name),
        must_be: "a name",
    }
    /// The arguments of that function.
    args: Option<serde_json::Map<String, serde_json::Value>> {
        read: |value| optional(value, object),
        must_be: "a table such as { day = 1 }",
    }
    /// The model that takes part; for a pipe, one of its own.
    model: Option<String> {
        read: |value| optional(value, name),
        must_be: "a name",
    }
    /// How long to wait for each answer.
    within: Option<Duration> {
        read: |value| optional(value, |value| span(value, SECOND..=60 * MINUTE)),
        must_be: r#"a duration such as "30s", from "1s" to "1h""#,
    }
}

impl CheckSettings {
    /// What holds with this table, where without it `all` holds.
    pub(super) fn over(&self, all: &Choice) -> Choice {
        let Self { select, ignore, block } = self.clone();
        Choice {
            select: select.unwrap_or_else(|| all.select.clone()),
            ignore: [&*all.ignore, &*ignore.unwrap_or_default()].concat(),
            block: block.unwrap_or(all.block),
        }
    }
}

impl TrySettings {
    /// Why the keys do not go together.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        match self {
            Self { message: None, tool: None, .. } => Some("has neither a `message` nor a `tool`"),
            Self { tool: None, args: Some(_), .. } => Some("has `args`, and no `tool`"),
            _ => None,
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

fn text(value: Value) -> Read<String> {
    Ok(value.into_string()?)
}

fn texts(value: Value) -> Read<Vec<String>> {
    value.into_array()?.into_iter().map(text).collect()
}

/// The words of a command. `None` for an empty one.
fn command(value: Value) -> Read<Option<Vec<String>>> {
    let words = match value.kind {
        ValueKind::String(line) => command_line::split(&line).ok_or(Misfit)?,
        _ => texts(value)?,
    };
    match words.first() {
        None => Ok(None),
        Some(program) if program.is_empty() || !words.iter().all(|word| printable::is_plain(word)) => Err(Misfit),
        Some(_) => Ok(Some(words)),
    }
}

fn rules(value: Value) -> Read<Vec<String>> {
    let rules = texts(value)?;
    if rules.iter().all(|id| check::rule(id).is_some()) { Ok(rules) } else { Err(Misfit) }
}

/// The first word of a list that is no rule of `check`, and the hint.
pub(super) fn no_rule(value: &Value) -> Option<(String, String)> {
    let ValueKind::Array(words) = &value.kind else { return None };
    let word = words.iter().find_map(|word| match &word.kind {
        ValueKind::String(word) if check::rule(word).is_none() => Some(word),
        _ => None,
    })?;
    Some((word.clone(), check::instead_of(word)))
}

fn path(value: Value) -> Read<PathBuf> {
    text(value).map(PathBuf::from)
}

fn paths(value: Value) -> Read<Vec<PathBuf>> {
    let paths = if matches!(value.kind, ValueKind::String(_)) { vec![value] } else { value.into_array()? };
    paths.into_iter().map(path).collect()
}

/// `None` where the key is not set.
fn optional<T>(value: Value, read: impl FnOnce(Value) -> Read<T>) -> Read<Option<T>> {
    if value.kind == ValueKind::Nil { Ok(None) } else { read(value).map(Some) }
}

/// `None` where the value is this word.
fn unless<T>(value: Value, none: &str, read: impl FnOnce(Value) -> Read<T>) -> Read<Option<T>> {
    if value.kind == ValueKind::from(none) { Ok(None) } else { read(value).map(Some) }
}

/// `true` or `false`. A text is a mistake.
fn switch(value: Value) -> Read<bool> {
    if matches!(value.kind, ValueKind::Boolean(_)) { Ok(value.into_bool()?) } else { Err(Misfit) }
}

fn word<T: Copy>(value: Value, words: &[(&str, T)]) -> Read<T> {
    let written = text(value)?;
    words.iter().find(|(word, _)| *word == written).map(|(_, meaning)| *meaning).ok_or(Misfit)
}

fn links(value: Value) -> Read<Links> {
    word(value, &[("inside", Links::Inside), ("anywhere", Links::Anywhere)])
}

fn on_remote_edit(value: Value) -> Read<OnRemoteEdit> {
    let words =
        [("backup", OnRemoteEdit::Backup), ("hold", OnRemoteEdit::Hold), ("overwrite", OnRemoteEdit::Overwrite)];
    word(value, &words)
}

fn on_delete(value: Value) -> Read<OnDelete> {
    word(value, &[("keep", OnDelete::Keep), ("deactivate", OnDelete::Deactivate), ("delete", OnDelete::Delete)])
}

fn kind(value: Value) -> Read<Kind> {
    word(value, &Kind::ALL.map(|kind| (kind.word(), kind)))
}

fn adopt(value: Value) -> Read<Adopt> {
    word(value, &[("ask", Adopt::Ask), ("never", Adopt::Never)])
}

/// A number from 1.
fn count(value: Value, most: usize) -> Read<NonZeroUsize> {
    text(value)?.parse().ok().filter(|count: &NonZeroUsize| count.get() <= most).ok_or(Misfit)
}

/// A duration as people write it: `100ms`, `2s`, `1m 30s`.
fn span(value: Value, range: RangeInclusive<Duration>) -> Read<Duration> {
    let span = text(value)?.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    span.filter(|span| range.contains(span)).ok_or(Misfit)
}

/// A text that is not empty.
fn name(value: Value) -> Read<String> {
    text(value).ok().filter(|name| !name.trim().is_empty()).ok_or(Misfit)
}

fn pattern(value: Value) -> Read<Pattern> {
    Pattern::new(&text(value)?).map_err(|_| Misfit)
}

fn checks(value: Value) -> Read<CheckSettings> {
    CheckSettings::read(&value.into_table()?).map_err(|_| Misfit)
}

fn trial(value: Value) -> Read<TrySettings> {
    TrySettings::read(&value.into_table()?).map_err(|_| Misfit)
}

fn object(value: Value) -> Read<serde_json::Map<String, serde_json::Value>> {
    Ok(value.try_deserialize()?)
}

fn tables(value: Value) -> Read<BTreeMap<PathBuf, PluginSettings>> {
    let table = |value: Value| PluginSettings::read(&value.into_table()?).map_err(|_| Misfit);
    value.into_table()?.into_iter().map(|(path, value)| Ok((path.into(), table(value)?))).collect()
}

/// The remedy for an unknown key: the likely one, or all keys.
pub(super) fn suggestion(written: &str, value: &Value, keys: &[KeyRow]) -> String {
    if matches!(value.kind, ValueKind::Table(_)) && Path::new(written).extension().is_some() {
        return format!("settings for one file go under [plugins.\"{written}\"]");
    }
    let all = || keys.iter().map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ");
    nearest(written, keys)
        .map_or_else(|| format!("the keys are {}", all()), |key| format!("did you mean `{}`?", key.name))
}

/// The key with the most similar name.
pub(super) fn nearest<'a>(written: &str, keys: impl IntoIterator<Item = &'a KeyRow>) -> Option<&'a KeyRow> {
    let plain = written.to_lowercase().replace('-', "_");
    let likeness = keys.into_iter().map(|key| (strsim::jaro_winkler(&plain, key.name), key));
    likeness.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, key)| key)
}

/// A value as errors show it.
pub(super) fn described(value: &Value) -> String {
    match &value.kind {
        ValueKind::Nil => "nothing".to_owned(),
        ValueKind::String(text) if super::secret::looks_secret(text) => "what looks like a key".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a text in double quotes.
    fn quoted(text: &str) -> impl Iterator<Item = &str> {
        text.split('"').skip(1).step_by(2)
    }

    fn rows() -> impl Iterator<Item = &'static KeyRow> {
        KEYS.iter().chain(CHECK_KEYS).chain(PLUGIN_KEYS).chain(TRY_KEYS)
    }

    fn fits(key: &KeyRow, value: impl Into<ValueKind>) -> bool {
        key.fits(&Value::new(None, value))
    }

    #[test]
    fn every_value_named_in_an_error_is_valid() {
        for key in rows().filter(|key| key.form == Form::Plain) {
            for word in quoted(key.must_be) {
                assert!(fits(key, word), "{} {word}", key.name);
            }
        }
    }

    #[test]
    fn a_key_with_words_refuses_other_words() {
        let only_words =
            |key: &&KeyRow| key.must_be.split('"').step_by(2).all(|rest| matches!(rest, "" | ", " | " or "));
        let keys: Vec<_> = rows().filter(only_words).collect();
        assert_eq!(keys.len(), 6, "{keys:?}");
        for key in keys {
            for word in quoted(key.must_be) {
                assert!(!fits(key, word.to_uppercase()) && !fits(key, format!("{word} ")), "{} {word}", key.name);
            }
            assert!(!fits(key, "") && !fits(key, true), "{}", key.name);
        }
    }

    #[test]
    fn a_range_named_in_an_error_is_the_range() {
        let mut n = 0;
        for key in rows() {
            let Some((_, range)) = key.must_be.split_once(" from ") else { continue };
            let (least, most) = range.split_once(" to ").unwrap();
            n += 1;
            let Some(least) = quoted(least).next() else {
                let (least, most): (i64, i64) = (least.parse().unwrap(), most.parse().unwrap());
                for (number, expected) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
                    assert_eq!(
                        (fits(key, number), fits(key, number.to_string())),
                        (expected, expected),
                        "{}",
                        key.name
                    );
                }
                continue;
            };
            for (bound, beyond) in [(least, -1), (quoted(most).next().unwrap(), 1)] {
                let beyond = bound.parse::<SignedDuration>().unwrap() + SignedDuration::from_nanos(beyond);
                assert!(fits(key, bound) && !fits(key, format!("{beyond:#}")), "{} {beyond:#}", key.name);
            }
        }
        assert_eq!(n, 8);
    }

    #[test]
    fn every_default_is_valid() {
        use ::config::{FileFormat, Format as _};

        for key in rows().filter(|key| !key.default.is_empty()) {
            let values = FileFormat::Toml.parse(None, &format!("{} = {}", key.name, key.default)).unwrap();
            assert!(key.fits(&values[key.name]), "{}", key.name);
        }
        assert_eq!(quoted(KeyRow::find("url").unwrap().default).next(), Some(DEFAULT_URL));
    }
}
