//! Shows how each plugin is: its file compared with the server, and what the server uses it for. Reads the disk and the
//! server's lists, and changes nothing. It takes no lock, so it may run beside a watch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::rename;
use super::server::Server;
use super::table::{Cells, aligned};
use super::target::{broken, no_folder, plugins, unknown, with_kind};
use super::{CommandContext, failed};
use crate::config::Config;
use crate::disk::{ScanCache, Trust};
use crate::engine::Code;
use crate::engine::deploy::{Adopt, Attached, ListedRow, OnRemoteEdit};
use crate::engine::duplicate::{Duplicate, Identity, MatchedBy};
use crate::engine::files::Loaded;
use crate::engine::ledger::{Record, Rollback};
use crate::engine::plan::{self, Checked, Decision, Remote, Situation};
use crate::engine::refusal;
use crate::error::Error;
use crate::notice::{Level, Notice, PluginState, PluginStatus, Report, StatusCounts, Subject, Task, Use};
use crate::output::Screen;
use crate::plugin::id::PluginId;
use crate::plugin::{Diagnostic, Digest, Entry, Invalid, Key, Kind, Parsed, Plugin, Severity};
use crate::printable;
use crate::server_version::ServerVersion;

/// How many plugins that no list shows are asked for by their ids.
const MOST_ASKED: usize = 20;

/// A file that is a plugin, or is meant as one.
struct Local {
    path: Arc<Path>,
    /// Its id; `None` if the file is too broken to tell.
    key: Option<Key>,
    what: What,
}

enum What {
    Plugin(Arc<Plugin>),
    Broken(Invalid),
    /// It is being written.
    Unsettled,
}

/// The files under the roots.
#[derive(Default)]
struct Here {
    files: Vec<Local>,
    /// Links to plugins that are found by their own path.
    links: BTreeMap<Arc<Path>, PathBuf>,
    /// Plugins that are here but not deployed: disabled, or no longer readable as plugins.
    others: BTreeSet<Key>,
    missing: Vec<PathBuf>,
}

/// What the server tells of one plugin.
enum There {
    Row(ListedRow),
    Nothing,
    Unknown(String),
}

/// What the server tells.
#[derive(Default)]
struct Listing {
    rows: BTreeMap<Key, ListedRow>,
    /// The kinds whose list is known.
    kinds: BTreeSet<Kind>,
    /// The functions that models use, if they matter and are known.
    attached: Option<Attached>,
    /// The plugins that no list shows and that were asked for by their ids.
    asked: BTreeMap<Key, There>,
}

/// A line of the table.
type Line = (Subject, PluginStatus);

/// Prints the status of each plugin, or of those that the words name.
///
/// # Errors
///
/// A word names no plugin, or the server cannot be reached or denies access.
pub async fn status(context: CommandContext, words: &[String]) -> Result<Code, Error> {
    let here = Here::read(&context.config)?;
    let spelled: Vec<_> = words.iter().map(|word| context.spelled(word)).collect();
    let selects = Selection { words: &spelled, links: &here.links };
    let (listing, refusal) = match read(&context, &here, &selects).await {
        Ok(listing) => (listing, None),
        Err(refusal) => (Listing::default(), Some(refusal)),
    };
    let lines = lines(&context, &here, &listing, &selects, refusal.is_some());
    for word in spelled.iter().filter(|word| !word.is_empty()) {
        let one = Selection { words: std::slice::from_ref(word), links: &here.links };
        if !lines.iter().any(|(about, _)| one.includes(about.key.as_ref(), about.path.as_deref())) {
            let keys = here.files.iter().filter_map(|local| local.key.as_ref()).chain(listing.rows.keys());
            let paths = here.files.iter().map(|local| &*local.path);
            // Only the server knows whether there is such a plugin.
            return Err(refusal.unwrap_or_else(|| unknown(word, keys.map(|key| &key.id), paths)));
        }
    }
    let screen = &context.screen;
    for folder in &here.missing {
        let error = no_folder(folder, "");
        screen.aside(&failed(Subject::file(&Arc::from(&**folder)), Task::Compare, &error));
    }
    print(screen, &lines);
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let is_wrong = !here.missing.is_empty() || lines.iter().any(|(_, status)| status.is_wrong());
    Ok(if is_wrong { Code::NotDeployed } else { Code::Fine })
}

fn print(screen: &Screen, lines: &[Line]) {
    let table: Vec<_> = lines.iter().map(cells).collect();
    for (((about, status), cells), row) in lines.iter().zip(&table).zip(aligned(&table, Screen::columns())) {
        let notice = Notice::report(about.clone(), Report::Status(status.clone()));
        // With `--quiet` only what is wrong.
        if screen.least <= Level::Info || notice.level() >= screen.least {
            screen.signed_row(&notice, status.sign(), &row);
            // A narrow terminal cuts the last column.
            if let Some(detail) = cells.last().filter(|detail| status.has_reason() && !row.ends_with(*detail)) {
                screen.below_row(&notice, detail);
            }
        }
    }
    let counts = StatusCounts::of(lines.to_vec());
    screen.say(&Notice::report(Subject::default(), Report::StatusCounts(counts)));
}

fn cells((about, status): &Line) -> Cells<6> {
    let kind = about.key.as_ref().map_or("", |key| key.kind.word());
    let cells = [
        status.sign().to_owned(),
        about.entry.map_or(kind, Entry::word).to_owned(),
        about.key.as_ref().map_or_else(|| "-".to_owned(), |key| key.id.to_string()),
        about.version.clone().unwrap_or_default(),
        status.label(),
        status.detail(about.path.as_deref()),
    ];
    cells.map(|cell| printable::line(&cell).into_owned())
}

/// The words of the command line.
struct Selection<'a> {
    words: &'a [String],
    links: &'a BTreeMap<Arc<Path>, PathBuf>,
}

impl Selection<'_> {
    /// Whether everything is meant.
    fn is_everything(&self) -> bool {
        self.words.is_empty() || self.words.iter().any(String::is_empty)
    }

    fn includes(&self, key: Option<&Key>, path: Option<&Path>) -> bool {
        self.is_everything() || self.words.iter().any(|word| self.names(word, key, path))
    }

    fn names(&self, word: &str, key: Option<&Key>, path: Option<&Path>) -> bool {
        let folder = Path::new(word);
        let folder = self.links.get(folder).map_or(folder, PathBuf::as_path);
        let is_named = |key: &Key| key.id.as_str() == word || with_kind(word).is_some_and(|named| named == *key);
        key.is_some_and(is_named) || path.is_some_and(|path| path.starts_with(folder))
    }
}

impl Here {
    fn read(config: &Config) -> Result<Self, Error> {
        let mut plugins = plugins(config)?;
        let scan = plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut |_| ());
        let mut here = Self { missing: scan.missing, ..Self::default() };
        for (path, loaded) in scan.files {
            let guess = || broken(&path, config.files.get(&*path)).map(|local| local.key);
            let (key, what) = match loaded {
                Loaded::Parsed(Parsed::Plugin(plugin)) => (Some(plugin.key.clone()), What::Plugin(plugin)),
                Loaded::Parsed(Parsed::Invalid(invalid)) if invalid.meant => (guess(), What::Broken(invalid)),
                Loaded::Unsettled => (guess(), What::Unsettled),
                Loaded::SameFile(original) => {
                    here.links.insert(path, original);
                    continue;
                }
                Loaded::Parsed(Parsed::Disabled | Parsed::Invalid(_)) => {
                    here.others.extend(guess());
                    continue;
                }
                Loaded::Parsed(Parsed::NotAPlugin) | Loaded::Missing => continue,
            };
            here.files.push(Local { path, key, what });
        }
        Ok(here)
    }

    /// The plugins that can be deployed.
    fn plugins(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.files.iter().filter_map(|local| match &local.what {
            What::Plugin(plugin) => Some(plugin),
            What::Broken(_) | What::Unsettled => None,
        })
    }

    /// The files that claim an id.
    fn claimants(&self, key: &Key) -> Vec<Arc<Path>> {
        self.plugins().filter(|plugin| plugin.key == *key).map(|plugin| Arc::clone(&plugin.path)).collect()
    }

    fn has(&self, key: &Key) -> bool {
        self.others.contains(key) || self.files.iter().any(|local| local.key.as_ref() == Some(key))
    }
}

/// Reads the server's lists, and asks for the few plugins that they do not show.
async fn read(context: &CommandContext, here: &Here, selects: &Selection<'_>) -> Result<Listing, Error> {
    let server = Server::connect(context).await?;
    let mut listing = Listing::default();
    let selected = |key: &Key, path: &Path| selects.includes(Some(key), Some(path));
    let local: BTreeMap<_, _> = (here.files.iter())
        .filter_map(|local| Some((local.key.clone()?, &local.path)))
        .filter(|(key, path)| selected(key, path))
        .collect();
    let mut denied = None;
    for kind in Kind::ALL {
        let is_needed = local.keys().any(|key| key.kind == kind);
        match server.rows(kind).await {
            Ok(Some(rows)) => listing.take_in(kind, rows),
            Ok(None) => context.screen.aside(&Notice::report(Subject::default(), Report::TooLarge(kind))),
            // An account may have access to one table only.
            Err(why) if is_needed => return Err(why),
            Err(why) => denied = Some(why),
        }
    }
    if let (Some(why), true) = (denied, listing.kinds.is_empty()) {
        return Err(why);
    }
    let unlisted = local.keys().filter(|key| listing.digest(key).is_none()).cloned().collect::<Vec<_>>();
    for key in unlisted.into_iter().take(MOST_ASKED) {
        let there = match server.row(&key).await {
            Ok(Some(row)) => There::Row(row.listed(key.id.clone())),
            Ok(None) => There::Nothing,
            Err(why) => There::Unknown(why.to_string()),
        };
        listing.asked.insert(key, there);
    }
    let rows = listing.rows.values().chain(listing.asked.values().filter_map(There::row));
    if rows.into_iter().any(|row| Attached::default().is_unused(&row.id, row.entry, row.switches)) {
        listing.attached = server.attached().await?;
    }
    Ok(listing)
}

impl There {
    fn row(&self) -> Option<&ListedRow> {
        if let There::Row(row) = self { Some(row) } else { None }
    }
}

impl Listing {
    fn take_in(&mut self, kind: Kind, rows: Vec<ListedRow>) {
        self.kinds.insert(kind);
        self.rows.extend(rows.into_iter().map(|row| (Key { kind, id: row.id.clone() }, row)));
    }

    fn row(&self, key: &Key) -> Option<&ListedRow> {
        self.asked.get(key).and_then(There::row).or_else(|| self.rows.get(key))
    }

    fn digest(&self, key: &Key) -> Option<Digest> {
        self.row(key)?.digest
    }

    /// Whether a plugin that no list shows was found by its id: then the lists say little.
    fn is_incomplete(&self, kind: Kind) -> bool {
        let found =
            |(key, there): (&Key, &There)| key.kind == kind && there.row().is_some() && !self.rows.contains_key(key);
        self.asked.iter().any(found)
    }

    /// Why it is unknown whether the server has a plugin, if it is.
    fn doubt(&self, key: &Key) -> Option<String> {
        match self.asked.get(key) {
            Some(There::Unknown(why)) => Some(why.clone()),
            Some(There::Row(row)) if row.digest.is_none() => {
                Some("the server does not show its text to this key".to_owned())
            }
            Some(There::Row(_) | There::Nothing) => None,
            None if self.rows.contains_key(key) => {
                self.digest(key).is_none().then(|| "the server's list does not show its text".to_owned())
            }
            None if !self.kinds.contains(&key.kind) || self.is_incomplete(key.kind) => {
                Some("the server's list does not show this plugin; `owui-watch status ID` asks for it alone".to_owned())
            }
            None => None,
        }
    }

    fn usage(&self, row: Option<&ListedRow>) -> Use {
        let Some(ListedRow { id, entry, switches, .. }) = row else { return Use::default() };
        let is_unused = |attached: &Attached| attached.is_unused(id, *entry, *switches);
        Use::of(*switches, self.attached.as_ref().is_some_and(is_unused))
    }
}

/// The lines of the table: the files here, then what only the server has.
fn lines(
    context: &CommandContext,
    here: &Here,
    listing: &Listing,
    selects: &Selection<'_>,
    is_away: bool,
) -> Vec<Line> {
    let (ledger, rollbacks) = (context.folder.peek(), context.folder.rollbacks());
    let version = ServerVersion::of_server(context.folder.version().as_deref());
    let errors = |plugin: &Plugin| {
        let checks = &context.config.checks;
        if checks.block(&plugin.path) { checks.errors(plugin, version) } else { Vec::new() }
    };
    let mut lines = Vec::new();
    let mut told = BTreeSet::new();
    for local in &here.files {
        if !selects.includes(local.key.as_ref(), Some(&local.path)) {
            continue;
        }
        let row = local.key.as_ref().and_then(|key| listing.row(key));
        let (path, entry) = (Some(Arc::clone(&local.path)), row.and_then(|row| row.entry));
        let about = Subject { path, entry, key: local.key.clone(), ..Subject::default() };
        let usage = listing.usage(row);
        let (about, state) = match &local.what {
            What::Broken(invalid) => (about, broken_state(invalid)),
            What::Unsettled => (about, PluginState::Unknown { why: "being written".to_owned() }),
            What::Plugin(plugin) => {
                let about = Subject::from(&**plugin);
                let paths = here.claimants(&plugin.key);
                if paths.len() > 1 {
                    if !told.insert(plugin.key.clone()) {
                        continue;
                    }
                    (Subject { version: None, digest: None, ..about }, PluginState::Conflict { paths })
                } else if is_away {
                    (about, PluginState::Unknown { why: "the server could not be asked".to_owned() })
                } else if let Some(why) = listing.doubt(&plugin.key) {
                    (about, PluginState::Unknown { why })
                } else {
                    let facts = Facts {
                        record: ledger.get(&plugin.key),
                        rollback: rollbacks.get(&plugin.key).copied(),
                        row,
                        errors: errors(plugin),
                        holds: context.config.on_remote_edit == OnRemoteEdit::Hold,
                        duplicate: duplicate_of(&context.config, here, listing, plugin),
                    };
                    (about, state(plugin, facts))
                }
            }
        };
        lines.push((about.in_project(&context.config.project), PluginStatus { state, usage }));
    }
    // A missing folder hides its plugins: they may have files.
    if here.missing.is_empty() {
        let alone = listing.rows.iter().filter(|(key, _)| !here.has(key) && selects.includes(Some(key), None));
        lines.extend(alone.map(|(key, row)| {
            let about = Subject { entry: row.entry, version: row.version.clone(), ..Subject::from(key) };
            (about, PluginStatus { state: PluginState::OnlyOnServer, usage: listing.usage(Some(row)) })
        }));
    }
    let is_alone = |status: &PluginStatus| status.state == PluginState::OnlyOnServer;
    lines.sort_by_cached_key(|(about, status)| (is_alone(status), about.key.is_none(), about.key.clone()));
    lines
}

fn broken_state(invalid: &Invalid) -> PluginState {
    let first = invalid.diagnostics.iter().find(|diagnostic| diagnostic.severity() == Severity::Error);
    let message = first.map_or_else(|| invalid.message(), Diagnostic::message);
    PluginState::Broken { message, span: first.and_then(|diagnostic| diagnostic.span.clone()) }
}

/// The plugin on the server that a new one seems to be, unless the settings say that it is another.
fn duplicate_of(config: &Config, here: &Here, listing: &Listing, plugin: &Plugin) -> Option<Duplicate> {
    if config.adopt_of(&plugin.path) == Adopt::Never {
        return None;
    }
    let kind = plugin.key.kind;
    let rows = listing.rows.iter().filter(|(key, _)| key.kind == kind).map(|(_, row)| row);
    let is_here = |id: &PluginId| here.has(&Key { kind, id: id.clone() });
    // A missing folder hides its plugins.
    let text = here.missing.is_empty().then_some(plugin.digest);
    rename::duplicate_of(&Identity::of(plugin), &plugin.key.id, text, rows, is_here)
}

/// What decides about a plugin that can be deployed.
struct Facts<'a> {
    record: Option<&'a Record>,
    rollback: Option<Rollback>,
    row: Option<&'a ListedRow>,
    /// The errors that hold it back.
    errors: Vec<Diagnostic>,
    /// Whether somebody else's text on the server is left alone.
    holds: bool,
    duplicate: Option<Duplicate>,
}

/// What a pass would do about a plugin, as a state.
fn state(plugin: &Plugin, facts: Facts<'_>) -> PluginState {
    let Facts { record, rollback, row, errors, holds, duplicate } = facts;
    let theirs = row.and_then(|row| row.digest);
    let remote = theirs.map_or(Remote::NotListed, Remote::Holds);
    let checked = if errors.is_empty() { Checked::Fine } else { Checked::HasErrors };
    let situation = Situation { rollback, checked, ..Situation::new(record, remote, plugin.digest, plugin.entry) };
    match plan::decide(&situation) {
        Decision::Unchanged => PluginState::Same,
        Decision::RolledBack => PluginState::RolledBack,
        Decision::Blocked => {
            let (message, span) = errors.first().map(|error| (error.message(), error.span.clone())).unwrap_or_default();
            PluginState::Blocked { message, span }
        }
        Decision::RefusedBefore { refusal, .. } => {
            PluginState::Refused { span: refusal::place(&refusal.words, &plugin.text), refusal }
        }
        Decision::Deploy(_)
        | Decision::Wait(_)
        | Decision::AwaitProbe
        | Decision::ReadText
        | Decision::Check
        | Decision::InFlight => {
            let Some((row, theirs)) = row.zip(theirs) else {
                return match duplicate {
                    Some(Duplicate { matched_by: MatchedBy::Text, .. }) | None => {
                        PluginState::NotOnServer { renamed_from: duplicate }
                    }
                    Some(duplicate) => PluginState::Duplicate(duplicate),
                };
            };
            let rolled_back = rollback.map(|rollback| rollback.server);
            let is_ours = record.into_iter().flat_map(Record::ours).chain(rolled_back).any(|ours| ours == theirs);
            if holds && !is_ours {
                PluginState::EditedThere
            } else {
                let ours = plugin.frontmatter.version().map(str::to_owned);
                PluginState::Differs { theirs: row.version.clone(), ours }
            }
        }
    }
}
