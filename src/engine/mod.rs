//! Every decision. Pure: [`Engine::handle`] takes one event and the time, and answers what is to be done. No IO, no clock,
//! no randomness, no async, no logging in here, so that tests and simulations can drive it through any schedule.
//!
//! The shape of it: [`files`] is what the disk holds, [`ledger`] what we believe the server holds, and everything else
//! follows from the two. What waits while the server is away is therefore not a list that could go stale: when the
//! server is back, [`plan`] compares the two again.

pub mod exchange;
pub mod files;
mod healing;
pub mod ledger;
pub mod notice;
pub mod plan;
pub mod queue;
pub mod recovery;
pub mod refusal;
mod removal;
pub mod status;
pub mod twin;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::plugin::id::PluginId;
use crate::plugin::{Digest, Flaw, Key, Kind, Parsed, Plugin, Problem};
use exchange::{Adopt, Backup, Call, Exchange, Failure, Known, Left, Outcome, Reply, Spared, Step, Terms};
use files::{Claim, File, Files, Loaded, Trace};
use ledger::{Deployed, Last, Ledger, Memory, Rollback, UnderWay};
use notice::{About, Notice, Sparing, Tally, What};
use plan::{Decision, Remote, Why};
use queue::{Queue, backoff};
use recovery::Recovery;
use removal::{Mode, Removal};
use twin::{Identity, Twin, Twins};

/// The versions of Open WebUI that the tests deploy to.
pub const TESTED: [&str; 4] = ["0.6.43", "0.9.6", "0.11.4", "0.12.4"];

/// How long an empty, vanished or changing file is given to become whole before it is believed.
const HOLD: Duration = Duration::from_millis(300);
/// How soon such a file is read again.
const REREAD: Duration = Duration::from_millis(40);
/// How long `--once` waits for a file that somebody keeps writing.
const ONCE_HOLD: Duration = Duration::from_secs(10);
/// A plugin deployed less than this ago is hot: a formatter may still be at work on the save.
const HOT: Duration = Duration::from_secs(1);
/// How long a hot plugin's file must be quiet before it is read.
const HOT_QUIET: Duration = Duration::from_millis(150);
/// The longest that a server is left alone at its own wish: a nonsensical one must not stop the deploys for ever.
const LONGEST_WISH: Duration = Duration::from_mins(10);
/// How the words begin of a text that nobody answers to.
const NO_ANSWER: &str = "the server gave no answer to it";
/// What a plugin waits for.
const AWAY: &str = "the server is away";
/// The same.
const SHUT: &str = "the server does not let us in";
/// The same.
const BROKEN: &str =
    "a file here that is broken may be the same plugin; nothing is done on the server before it is mended";
/// How soon a server that does not let us in is asked again.
const SHUT_OUT: Duration = Duration::from_mins(1);
/// How long a deploy takes before the user is told that it is still on its way.
const SLOW: Duration = Duration::from_secs(3);
/// An editing session is over when nothing was saved for this long.
const SESSION: Duration = Duration::from_hours(1);
/// How long a stop waits for what is in flight.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The time, and one draw of luck, as the daemon hands them in.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Since the daemon started; never goes back.
    pub at: Duration,
    /// What the calendar says, for the ledger.
    pub wall: Timestamp,
    /// A random number from 0 to 1, for jitter.
    pub chance: f64,
}

/// What can happen to the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Look at everything again: start-up, events were lost, the configuration changed.
    Rescan,
    /// The answer to [`Effect::Scan`].
    Scanned(Scan),
    /// Something was written here, and is ready to be read.
    Ready(Vec<Arc<Path>>),
    /// Somebody has been writing these for a while; they are not ready.
    BeingWritten(Vec<Arc<Path>>),
    /// The answer to [`Effect::Read`].
    Loaded(Arc<Path>, Loaded),
    /// The answer to [`Effect::Call`].
    Replied(Ticket, Reply),
    /// The answer to [`Effect::Keep`]: where the copy lies, or why there is none.
    Kept(Ticket, Result<PathBuf, String>),
    /// The answer to [`Effect::Note`]: it is on disk, or why it is not.
    Noted(Ticket, Result<(), String>),
    /// The answer to [`Effect::Look`].
    Looked(Arc<Path>, Trace),
    /// Somebody has rolled plugins back beside us, or such a rollback has ended: this is what holds now.
    RolledBack(BTreeMap<Key, Rollback>),
    /// The time of [`Engine::next_wake`] has come.
    Wake,
    /// Finish what is in flight, and end: the user does not wait for ever.
    Stop,
    /// Finish what is in flight, however long that takes, and end: another engine goes on.
    Replace,
}

/// Everything that a walk of the roots found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    /// The files.
    pub files: Vec<(Arc<Path>, Loaded)>,
    /// Roots that are not there.
    pub missing: Vec<PathBuf>,
}

/// What the daemon is to do.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Effect {
    /// Walk the roots and read every file.
    Scan,
    /// Read one file, whose writer is done.
    Read(Arc<Path>),
    /// Read one file again that was not complete, and of which nobody has said that it is now.
    Reread(Arc<Path>),
    /// Make one request.
    Call(Ticket, Call),
    /// Put a copy of somebody else's text on disk, before the call that replaces it.
    Keep(Ticket, Backup),
    /// Put on disk, before the update leaves, what is known of it.
    Note(Ticket, Key, UnderWay),
    /// Such a note has served.
    Unnote(Key),
    /// Keep a copy of a text of ours that the server holds, for going back to it later.
    Archive(Backup),
    /// A rollback is over: the file has changed and is deployed.
    EndRollback(Key),
    /// See what is left of a file that was seen to go.
    Look(Arc<Path>),
    /// Write this plugin's record in [`Engine::ledger`] to disk.
    Save(Key),
    /// Tell the user.
    Tell(Notice),
    /// End with this code.
    Exit(Code),
}

/// The exit codes, as the README lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// All is well.
    Fine = 0,
    /// Something was not deployed.
    NotDeployed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The server could not be reached, or did not let us in.
    NoServer = 3,
}

/// Which call an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// How the engine is to behave.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What is watched, for messages.
    pub roots: Vec<PathBuf>,
    /// Where the plugins go, for messages.
    pub server: String,
    /// Whether somebody said where that is, or it is the default.
    pub configured: bool,
    /// Where the key was found, for messages; `None` without one.
    pub key: Option<String>,
    /// How many conversations may be in flight at once.
    pub concurrency: NonZeroUsize,
    /// `Some` for `--once`: how long to go on trying while the server is away.
    pub once: Option<Duration>,
    /// For each conversation; `force` holds for the first pass.
    pub terms: Terms,
    /// What becomes on the server of a plugin whose file is gone.
    pub on_delete: OnDelete,
    /// How long the file must have stayed gone before.
    pub gone_after: Duration,
    /// How many of the versions that one editing session makes are to stay in the server's history; `None` for all.
    pub keep_versions: Option<NonZeroUsize>,
    /// The files that watch.toml has settings for.
    pub named: Vec<PathBuf>,
    /// Paths and ids that the work is limited to; empty for no limit.
    pub only: Vec<String>,
}

/// What becomes on the server of a plugin whose file is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDelete {
    /// Nothing.
    #[default]
    Keep,
    /// A function is switched off.
    Deactivate,
    /// It is deleted, with a copy on disk.
    Delete,
}

impl Policy {
    fn selects(&self, path: &Path, id: Option<&str>) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| names(name, path, id))
    }

    fn watches(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root) || root.as_os_str() == ".")
    }

    fn selects_plugin(&self, plugin: &Plugin) -> bool {
        self.selects(&plugin.path, Some(plugin.key.id.as_str()))
    }
}

/// Whether an argument on the command line means this file: its id, its path, or a folder above it.
fn names(argument: &str, path: &Path, id: Option<&str>) -> bool {
    id == Some(argument) || path.starts_with(argument.strip_prefix("./").unwrap_or(argument))
}

/// The whole state. See the module's documentation.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    ledger: Ledger,
    rollbacks: BTreeMap<Key, Rollback>,
    /// Updates of which nobody knows how they ended, or not yet.
    under_way: BTreeMap<Key, UnderWay>,
    files: Files,
    server: Server,
    /// What the server said that it is, when it was last looked at.
    version: Option<String>,
    absence: Option<Absence>,
    queue: Queue<Job, Flight>,
    /// Versions being pruned.
    errands: BTreeMap<Ticket, (Key, String)>,
    /// The versions that this editing session has made, oldest first.
    sessions: BTreeMap<Key, Session>,
    /// Plugins whose files are gone, where that may mean something on the server.
    leaving: BTreeMap<Key, Leaving>,
    /// Texts to which no answer came the last time that they were sent.
    unanswered: BTreeMap<Key, Digest>,
    /// New plugins that the user was asked about, and the plugins on the server that they may be.
    asked: BTreeMap<Key, Key>,
    /// What the server was seen to hold of plugins whose text is being read for the plan that follows from that.
    unread: BTreeMap<Key, Remote>,
    /// Paths that are being read, or will be read again.
    pending: BTreeMap<Arc<Path>, Pending>,
    /// Ids that several files seem to claim: which of the claims have been looked at again.
    doubted: BTreeMap<Key, BTreeSet<Arc<Path>>>,
    /// Conflicts that the user knows of.
    conflicts: BTreeMap<Key, Vec<Arc<Path>>>,
    /// When each plugin was last sent.
    sent: BTreeMap<Key, Duration>,
    tickets: BTreeMap<Ticket, Key>,
    n_tickets: u64,
    scanning: bool,
    pass: Option<Pass>,
    first_pass: bool,
    /// The roots that are not there, as the user was told.
    missing: Vec<PathBuf>,
    /// Whether the user was told what of the plugins asked for is not there.
    absent_told: bool,
    /// Why the server does not let us in, as the user was told.
    shut_for: Option<What>,
    /// How a single pass ends that cannot go on.
    exit: Option<Code>,
    /// Nothing is begun any more.
    ending: Option<Ending>,
    effects: Vec<Effect>,
}

/// What becomes of what is in flight when the engine ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// It is given up then.
    Stop { by: Duration },
    /// It is finished. To the one that goes on it would be unknown: an older text might arrive after a newer one, and what
    /// the server switches off would stay so. When the user is to be told that this takes long; `None` when that was done.
    Replace { slow_at: Option<Duration> },
}

/// What we know of the server.
#[derive(Debug)]
enum Server {
    /// Being looked at.
    Looking(Look),
    /// It lets us in.
    Open,
    /// Away, and looked at again then. `asked`: it was its own wish to be left alone so long.
    Away { until: Duration, asked: bool },
    /// It was not looked at yet, or does not let us in: looked at again then, for somebody may see to that on the server.
    Shut { until: Option<Duration> },
}

/// How long the server has been away, over several looks. A server that answers a look but no deploy is not back.
#[derive(Clone, Copy, Debug)]
struct Absence {
    since: Duration,
    attempts: u32,
}

/// A look at the server: who is there, and what it holds.
#[derive(Debug)]
struct Look {
    connecting: Option<Ticket>,
    version: Option<String>,
    /// `None` until the tables were asked for.
    overviews: Option<BTreeMap<Ticket, Kind>>,
    holds: Holdings,
}

/// What the overviews show.
#[derive(Debug, Default)]
struct Holdings {
    /// Of these there is an overview: of each that there was a file of when they were asked for.
    kinds: BTreeSet<Kind>,
    rows: BTreeMap<Key, Seen>,
    /// Plugins of which a conversation has ended since the overviews were asked for: these may be from before.
    ended: BTreeSet<Key>,
}

impl Holdings {
    /// What they say of one plugin. One that is listed without its text might as well not be: it is looked at.
    fn of(&self, key: &Key) -> Remote {
        self.rows.get(key).and_then(|seen| seen.digest).map_or(Remote::NotListed, Remote::Holds)
    }

    /// There was an overview of its kind, and it was not in there.
    fn lacks(&self, key: &Key) -> bool {
        self.kinds.contains(&key.kind) && !self.rows.contains_key(key) && !self.ended.contains(key)
    }
}

/// What an overview shows of one plugin.
#[derive(Debug)]
struct Seen {
    /// Of its text, where the server shows that.
    digest: Option<Digest>,
    identity: Identity,
}

/// What is asked for.
#[derive(Debug)]
struct Job {
    task: Task,
    /// When the save was seen, or the pass began.
    since: Duration,
    in_pass: bool,
}

#[derive(Debug)]
enum Task {
    Deploy { plugin: Arc<Plugin>, why: Why },
    Recover,
    Remove { plugin: Arc<Plugin>, mode: Mode, deployed: Digest },
}

impl Job {
    /// The deploy that it is, if it is one.
    fn deploy(&self) -> Option<(&Arc<Plugin>, Why)> {
        match &self.task {
            Task::Deploy { plugin, why } => Some((plugin, *why)),
            Task::Recover | Task::Remove { .. } => None,
        }
    }
}

/// A conversation with the server.
#[derive(Debug)]
enum Talk {
    Deploy(Exchange),
    Recover(Recovery),
    Remove(Arc<Plugin>, Removal),
}

impl Talk {
    /// The plugin that is being deployed.
    fn deploys(&self) -> Option<&Arc<Plugin>> {
        match self {
            Talk::Deploy(exchange) => Some(exchange.plugin()),
            Talk::Recover(_) | Talk::Remove(..) => None,
        }
    }

    fn looks_for_twins(&self) -> bool {
        match self {
            Talk::Deploy(exchange) => exchange.looks_for_twins(),
            Talk::Recover(_) | Talk::Remove(..) => false,
        }
    }

    fn reply(&mut self, reply: Reply) -> Step {
        match self {
            Talk::Deploy(exchange) => exchange.reply(reply),
            Talk::Recover(recovery) => recovery.reply(reply),
            Talk::Remove(_, removal) => removal.reply(reply),
        }
    }

    /// Takes the answer to [`Step::Keep`]. `None` where nothing was to be kept.
    fn kept(&mut self, kept: Result<PathBuf, String>) -> Option<Step> {
        match self {
            Talk::Deploy(exchange) => Some(exchange.kept(kept)),
            Talk::Remove(_, removal) => Some(removal.kept(kept)),
            Talk::Recover(_) => None,
        }
    }

    /// Takes the answer to [`Step::Note`]. `None` where nothing was to be noted.
    fn noted(&mut self, noted: Result<(), String>) -> Option<Step> {
        match self {
            Talk::Deploy(exchange) => Some(exchange.noted(noted)),
            Talk::Recover(_) | Talk::Remove(..) => None,
        }
    }
}

/// What a run has in mind that is in no file: plugins whose files are gone, the versions of an editing session, texts that
/// no answer came to, since when the server is away.
#[derive(Debug)]
pub struct Unfinished {
    leaving: BTreeMap<Key, Leaving>,
    sessions: BTreeMap<Key, Session>,
    unanswered: BTreeMap<Key, Digest>,
    absence: Option<Absence>,
}

impl Unfinished {
    /// There is another way to the server. Whether it is there, the user hears as at the first time.
    #[must_use]
    pub fn with_another_way(self) -> Self {
        Self { absence: None, ..self }
    }
}

/// What one editing session has left in the server's history of a plugin.
#[derive(Debug)]
struct Session {
    versions: VecDeque<String>,
    /// When the last one was made.
    last: Duration,
}

/// A plugin whose file is gone.
#[derive(Debug)]
struct Leaving {
    plugin: Arc<Plugin>,
    /// When that is believed; `None` while it is being acted on.
    due: Option<Duration>,
    /// Whether the user knows that it takes longer, and why.
    told: bool,
}

/// A conversation that is in flight.
#[derive(Debug)]
struct Flight {
    talk: Talk,
    since: Duration,
    in_pass: bool,
    /// A rollback has come in between.
    rolled_back: bool,
    /// When the user is to be told that it is still on its way; `None` when that was done.
    slow_at: Option<Duration>,
}

/// A path that is being read, or will be.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// When its change was first seen.
    since: Duration,
    /// When to read it; `None` while it is being read.
    due: Option<Duration>,
    /// Why it is read again, if it is.
    held: Held,
}

/// Why a path that was read is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// It was not read yet.
    No,
    /// It was empty, or changed while it was read.
    Incomplete,
    /// It was not there.
    Missing,
}

/// A pass over everything.
#[derive(Debug)]
struct Pass {
    since: Duration,
    planned: bool,
    /// What the server held when the pass was planned, for plugins whose files were not complete then.
    holds: Holdings,
    /// What came of each plugin. A pass that is interrupted looks at a plugin again, which counts once.
    results: BTreeMap<Key, Came>,
}

/// What came of a plugin in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Created,
    Updated,
    Unchanged,
    Refused,
    Held,
    Failed,
}

impl Engine {
    /// An engine that knows what an earlier run wrote down.
    #[must_use]
    pub fn new(policy: Policy, memory: Memory) -> Self {
        let Memory { mut ledger, rollbacks, under_way } = memory;
        for (key, under_way) in &under_way {
            under_way.ours.iter().for_each(|digest| ledger.sending(key, *digest));
        }
        Self {
            queue: Queue::new(policy.concurrency),
            policy,
            ledger,
            rollbacks,
            under_way,
            files: Files::default(),
            server: Server::Shut { until: None },
            shut_for: None,
            exit: None,
            version: None,
            absence: None,
            errands: BTreeMap::new(),
            sessions: BTreeMap::new(),
            leaving: BTreeMap::new(),
            asked: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            unread: BTreeMap::new(),
            pending: BTreeMap::new(),
            doubted: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            sent: BTreeMap::new(),
            tickets: BTreeMap::new(),
            n_tickets: 0,
            scanning: false,
            pass: None,
            missing: Vec::new(),
            first_pass: true,
            absent_told: false,
            ending: None,
            effects: Vec::new(),
        }
    }

    /// What we believe the server holds, for [`Effect::Save`].
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What another engine for the same server is to go on with. The conversations must be over.
    #[must_use]
    pub fn hand_over(self) -> Unfinished {
        let Self { leaving, sessions, unanswered, absence, .. } = self;
        Unfinished { leaving, sessions, unanswered, absence }
    }

    /// Goes on with what an engine for the same server had in mind, by the same clock.
    pub fn take_over(&mut self, unfinished: Unfinished) {
        let Unfinished { leaving, sessions, unanswered, absence } = unfinished;
        (self.leaving, self.sessions, self.unanswered, self.absence) = (leaving, sessions, unanswered, absence);
        self.leaving.retain(|_, leaving| self.policy.watches(&leaving.plugin.path));
        for leaving in self.leaving.values_mut() {
            // What was being acted on is looked at again.
            leaving.due.get_or_insert_default();
        }
    }

    /// Whether the first pass, which `force` holds for, is still to be made or under way.
    #[must_use]
    pub fn in_first_pass(&self) -> bool {
        self.first_pass
    }

    /// When the engine wants [`Event::Wake`], if it waits for a time at all.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let server = match &self.server {
            Server::Away { until, .. } if self.ending.is_none() => Some(*until),
            Server::Shut { until } if self.ending.is_none() => *until,
            Server::Away { .. } | Server::Shut { .. } | Server::Looking(_) | Server::Open => None,
        };
        let rereads = self.pending.values().filter_map(|pending| pending.due);
        let slow = self.queue.all_flying().filter_map(|(_, flight)| flight.slow_at);
        let open = matches!(self.server, Server::Open) && self.ending.is_none();
        let leaving = self.leaving.values().filter_map(|leaving| leaving.due.filter(|_| open));
        let ending = self.ending.and_then(|ending| match ending {
            Ending::Stop { by } => Some(by),
            Ending::Replace { slow_at } => slow_at,
        });
        rereads.chain(slow).chain(leaving).chain(server).chain(ending).min()
    }

    /// Takes what happened, and answers what is to be done, in this order.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        match event {
            Event::Rescan => self.on_rescan(now),
            Event::Scanned(scan) => self.on_scanned(scan, now),
            Event::Ready(paths) => paths.into_iter().for_each(|path| self.on_ready(path, now)),
            Event::BeingWritten(paths) => paths.iter().for_each(|path| {
                self.tell(Notice { about: About::file(path), what: What::BeingWritten });
            }),
            Event::Loaded(path, loaded) => self.on_loaded(path, loaded, now),
            Event::Replied(ticket, reply) => self.on_replied(ticket, reply, now),
            Event::Kept(ticket, kept) => self.on_written(ticket, |talk| talk.kept(kept), now),
            Event::Noted(ticket, noted) => self.on_written(ticket, |talk| talk.noted(noted), now),
            Event::Looked(path, trace) => self.on_looked(&path, trace, now),
            Event::RolledBack(rollbacks) => self.on_rolled_back(rollbacks),
            Event::Wake => self.on_wake(now),
            Event::Stop => self.on_stop(now),
            Event::Replace => self.on_replace(now),
        }
        self.tell_absent();
        self.pump(now);
        self.finish(now);
        std::mem::take(&mut self.effects)
    }

    // ---- what the disk says -----------------------------------------------------------------------------------------

    fn on_rescan(&mut self, now: Now) {
        // One that is begun anew does not do again what was forced.
        let results = self.pass.take().map(|pass| pass.results).unwrap_or_default();
        self.pass = Some(Pass { since: now.at, planned: false, holds: Holdings::default(), results });
        self.scanning = true;
        self.effects.push(Effect::Scan);
        let left_alone = matches!(self.server, Server::Away { until, asked: true } if now.at < until);
        if !left_alone && !matches!(self.server, Server::Looking(_)) {
            self.look();
        }
    }

    fn on_scanned(&mut self, scan: Scan, now: Now) {
        for root in scan.missing.iter().filter(|root| !self.missing.contains(*root)).cloned().collect::<Vec<_>>() {
            self.tell(Notice::general(What::RootMissing { root }));
        }
        self.missing.clone_from(&scan.missing);
        let found: BTreeSet<_> = scan.files.iter().map(|(path, _)| Arc::clone(path)).collect();
        let vanished: Vec<_> = (self.files.iter())
            .map(|(path, _)| path)
            .filter(|path| !found.contains(*path) && !self.is_out_of_reach(path))
            .cloned()
            .collect();
        for (path, loaded) in scan.files {
            self.on_loaded(path, loaded, now);
        }
        self.scanning = false;
        self.doubted.clear();
        let keys: Vec<_> = self.files.keys().cloned().collect();
        for key in keys {
            if let Claim::Contested(paths) = self.files.claim(&key) {
                self.conflict(&key, paths);
            }
        }
        // What waits for its turn may be no plugin any more, or in a folder that is not there.
        let unclaimed =
            |plugin: &Plugin| self.files.claim(&plugin.key) == Claim::None || self.is_out_of_reach(&plugin.path);
        let over: Vec<_> = (self.queue.all_waiting().filter_map(Job::deploy))
            .filter(|(plugin, _)| unclaimed(plugin))
            .map(|(plugin, _)| plugin.key.clone())
            .collect();
        for key in over {
            self.queue.cancel(&key);
        }
        // A file that a walk did not find is believed to be gone only when its own path says so.
        for path in vanished {
            self.on_ready(path, now);
        }
        if self.first_pass && self.policy.once.is_none() {
            // A file that was written a moment ago is read in a moment, and is likely to be one.
            let found = self.files.plugins().filter(|plugin| self.policy.selects_plugin(plugin)).count();
            let plugins = found + self.pending.len();
            let (roots, server) = (self.policy.roots.clone(), self.policy.server.clone());
            self.tell(Notice::general(What::Ready { roots, plugins, server }));
        }
        self.advance_look(now);
    }

    /// Says once what was looked for and is not there, as soon as every file that there is was read.
    fn tell_absent(&mut self) {
        if self.absent_told || self.scanning || self.pass.is_none() || !self.pending.is_empty() {
            return;
        }
        // What is in a root that is waited for is not known yet.
        if self.policy.once.is_none() && !self.missing.is_empty() {
            return;
        }
        self.absent_told = true;
        let mut unknown = Vec::new();
        for name in &self.policy.only {
            let is_meant = |(path, file): &(&Arc<Path>, &File)| {
                names(name, path, file.plugin().map(|plugin| plugin.key.id.as_str()))
            };
            let mut meant = self.files.iter().filter(is_meant).map(|(_, file)| file).peekable();
            if meant.peek().is_none() {
                unknown.push(format!("no plugin has the id or path `{name}`"));
            } else if meant.all(|file| matches!(file, File::Other)) {
                unknown.push(format!(
                    "there is no plugin in `{name}`: it defines no Pipe, Filter, Action, Event or Tools of its own"
                ));
            }
        }
        let gone: Vec<_> = (self.policy.named.iter())
            .filter(|path| self.policy.watches(path))
            .filter(|path| self.files.get(path).is_none())
            .cloned()
            .collect();
        for path in gone {
            self.tell(Notice::general(What::Trouble {
                message: format!("watch.toml has settings for `{}`, which is not there", path.display()),
                hint: Some(
                    "if the file has another name now, its settings need it too: an id set there is lost".to_owned(),
                ),
            }));
        }
        // A script that finds nothing to deploy looks in the wrong place.
        let nothing = self.policy.only.is_empty() && self.files.plugins().next().is_none() && self.n_skipped() == 0;
        let usage = self.policy.once.is_some() && (nothing || !unknown.is_empty());
        for message in unknown {
            let hint = "an id is what the server calls it; a path starts where you are, and must not be left out by \
                        `exclude` or .gitignore";
            self.tell(Notice::general(What::Trouble { message, hint: Some(hint.to_owned()) }));
        }
        if nothing {
            self.tell(Notice::general(What::NothingFound { roots: self.policy.roots.clone() }));
        }
        if usage {
            self.exit.get_or_insert(Code::Usage);
        }
    }

    /// A path may have changed: read it, at once unless a formatter may still be at work on it.
    fn on_ready(&mut self, path: Arc<Path>, now: Now) {
        let Pending { since, held, .. } =
            self.pending.get(&path).copied().unwrap_or(Pending { since: now.at, due: None, held: Held::No });
        let key = self.files.get(&path).and_then(File::plugin).map(|plugin| &plugin.key);
        let hot = key.and_then(|key| self.sent.get(key)).is_some_and(|sent| now.at < *sent + HOT);
        if hot {
            let due = (now.at + HOT_QUIET).min(since + HOT);
            self.pending.insert(path, Pending { since, due: Some(due), held });
        } else {
            self.read(path, since, held);
        }
    }

    fn read(&mut self, path: Arc<Path>, since: Duration, held: Held) {
        self.pending.insert(Arc::clone(&path), Pending { since, due: None, held });
        self.effects.push(Effect::Read(path));
    }

    fn reread(&mut self, path: Arc<Path>, pending: Pending) {
        self.pending.insert(Arc::clone(&path), Pending { due: None, ..pending });
        self.effects.push(Effect::Reread(path));
    }

    fn on_loaded(&mut self, path: Arc<Path>, loaded: Loaded, now: Now) {
        let pending = self.pending.remove(&path);
        let since = pending.map_or(now.at, |pending| pending.since);
        let waited_enough = now.at >= since + HOLD;
        let loaded = match loaded {
            // A watch can wait; a pass has to end.
            Loaded::Unsettled if self.policy.once.is_some() && now.at >= since + ONCE_HOLD => {
                let problem = Problem::Unreadable("it is being written all the time".to_owned());
                Loaded::Parsed(Parsed::Flawed(Flaw { digest: None, problem, span: None, meant: true }))
            }
            loaded => loaded,
        };
        let hold = match &loaded {
            Loaded::Unsettled => true,
            Loaded::Missing => !waited_enough && self.files.get(&path).is_some(),
            Loaded::Parsed(Parsed::Flawed(flaw)) => flaw.problem == Problem::Empty && !waited_enough,
            Loaded::Parsed(_) | Loaded::SameFile(_) => false,
        };
        if hold {
            let told = pending.is_some_and(|pending| pending.held != Held::No);
            self.hold(&path, &loaded, since, told, now);
        } else {
            self.accept(path, loaded, since, pending.is_some(), now);
        }
    }

    /// Half a save is no save: the file is read again soon. A claim of a file that is not there does not count meanwhile.
    fn hold(&mut self, path: &Arc<Path>, loaded: &Loaded, since: Duration, told: bool, now: Now) {
        if !told {
            self.tell(Notice { about: About::file(path), what: What::Held });
        }
        let missing = *loaded == Loaded::Missing;
        let held = if missing { Held::Missing } else { Held::Incomplete };
        self.pending.insert(Arc::clone(path), Pending { since, due: Some(now.at + REREAD), held });
        if let (true, Some(key)) = (missing, self.doubts_of(path)) {
            self.consider(&key, since, now);
        }
    }

    /// The contested id that a path stands in the way of.
    fn doubts_of(&self, path: &Path) -> Option<Key> {
        let key = &self.files.get(path)?.plugin()?.key;
        self.doubted.contains_key(key).then(|| key.clone())
    }

    /// Believes what was read, and decides what follows from it.
    fn accept(&mut self, path: Arc<Path>, loaded: Loaded, since: Duration, saved: bool, now: Now) {
        let before = match &loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => {
                self.files.put(Arc::clone(&path), File::Plugin(Arc::new(plugin.clone())))
            }
            Loaded::Parsed(Parsed::Flawed(flaw)) => {
                let was = self.files.get(&path).and_then(File::known).cloned();
                self.files.put(Arc::clone(&path), File::Flawed { flaw: flaw.clone(), was })
            }
            Loaded::Parsed(Parsed::NotAPlugin | Parsed::Disabled) | Loaded::SameFile(_) => {
                self.files.put(Arc::clone(&path), File::Other)
            }
            Loaded::Missing | Loaded::Unsettled => self.files.remove(&path),
        };
        let was = before.as_ref().and_then(File::plugin).cloned();
        self.take_leave(&path, &loaded, before.as_ref(), now);
        self.tell_loaded(&path, &loaded, before.as_ref(), saved);
        let is = match loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => Some(plugin.key),
            _ => None,
        };
        if let Some(was) = was
            && is.as_ref() != Some(&was.key)
            && self.is_open_question(&was.key)
        {
            self.consider(&was.key, since, now);
        }
        if let Some(key) = is {
            if let Some(checked) = self.doubted.get_mut(&key) {
                checked.insert(path);
            } else {
                self.doubted.insert(key.clone(), BTreeSet::from([path]));
            }
            self.consider(&key, since, now);
        }
    }

    /// Whether one claim less makes a difference to what is done about an id.
    fn is_open_question(&self, key: &Key) -> bool {
        self.files.claim(key) == Claim::None || self.conflicts.contains_key(key) || self.doubted.contains_key(key)
    }

    /// What reading a file has to say for itself. What a save shows is always told, what a scan shows only when it is new.
    fn tell_loaded(&mut self, path: &Arc<Path>, loaded: &Loaded, before: Option<&File>, saved: bool) {
        let was = before.and_then(File::plugin);
        let about = About::file(path);
        match loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => {
                if !self.policy.selects_plugin(plugin) {
                    return;
                }
                if let Some(was) = was
                    && was.key != plugin.key
                {
                    self.tell(Notice::of(plugin, What::IdChanged { from: was.key.clone() }));
                }
                if was.is_none_or(|was| was.digest != plugin.digest) {
                    for warning in &plugin.warnings {
                        self.tell(Notice::of(plugin, What::Surprising(warning.clone())));
                    }
                }
            }
            Loaded::Parsed(Parsed::Flawed(flaw)) => {
                let known = matches!(before, Some(File::Flawed { flaw: before, .. }) if before == flaw);
                let was = before.and_then(File::known);
                if self.policy.selects(path, was.map(|was| was.key.id.as_str())) && (saved || !known) {
                    let about = was.map_or(about, |was| About { version: None, digest: None, ..(&**was).into() });
                    self.tell(Notice { about, what: What::Flawed(flaw.clone()) });
                }
            }
            Loaded::Parsed(Parsed::Disabled) => self.tell(Notice { about, what: What::Disabled }),
            Loaded::SameFile(original) => {
                self.tell(Notice { about, what: What::SameFile { original: original.clone() } });
            }
            Loaded::Parsed(Parsed::NotAPlugin) | Loaded::Missing | Loaded::Unsettled => {}
        }
        let gone = matches!(loaded, Loaded::Missing | Loaded::Parsed(Parsed::NotAPlugin | Parsed::Disabled));
        if let (true, Some(was)) = (gone, before.and_then(File::known))
            && self.files.claim(&was.key) == Claim::None
            && self.policy.selects_plugin(was)
        {
            let next = self.leaving.contains_key(&was.key).then_some((self.policy.on_delete, self.policy.gone_after));
            let on_server = self.ledger.get(&was.key).is_some_and(|record| record.deployed.is_some());
            let file_there = *loaded != Loaded::Missing;
            self.tell(Notice::of(was, What::Removed { file_there, on_server, next }));
        }
    }

    /// A file went. Where the user wants the server to follow, that is believed after a while; and only for what we put
    /// there ourselves.
    fn take_leave(&mut self, path: &Path, loaded: &Loaded, before: Option<&File>, now: Now) {
        // It was there again, if only for a moment: the while begins anew.
        let again = |leaving: &&mut Leaving| before.is_none() && *leaving.plugin.path == *path && leaving.due.is_some();
        if let Some(leaving) = self.leaving.values_mut().find(again) {
            leaving.due = Some(now.at + self.policy.gone_after);
        }
        let Some(was) = before.and_then(File::known).filter(|_| *loaded == Loaded::Missing) else { return };
        let wanted = match self.policy.on_delete {
            OnDelete::Keep => false,
            OnDelete::Deactivate => was.key.kind == Kind::Function,
            OnDelete::Delete => true,
        };
        let watching = self.policy.once.is_none() && !self.policy.terms.dry_run;
        let unclaimed = self.files.claim(&was.key) == Claim::None;
        if wanted && watching && unclaimed && self.policy.selects_plugin(was) && self.put_there(&was.key).is_some() {
            let due = Some(now.at + self.policy.gone_after);
            self.leaving.insert(was.key.clone(), Leaving { plugin: Arc::clone(was), due, told: false });
        }
    }

    /// The text that we have put on the server ourselves.
    fn put_there(&self, key: &Key) -> Option<Digest> {
        let deployed = self.ledger.get(key)?.deployed.as_ref()?;
        deployed.by_us.then_some(deployed.digest)
    }

    /// The file has stayed gone, or not. What took more with it than a file was no wish to take one plugin away.
    fn on_looked(&mut self, path: &Path, trace: Trace, now: Now) {
        // One file may have had several ids, and gone with each.
        let is_meant = |(key, leaving): &(&Key, &Leaving)| {
            let is_idle = self.queue.waiting(key).is_none() && self.queue.flying(key).is_none();
            *leaving.plugin.path == *path && leaving.due.is_none() && is_idle
        };
        let keys: Vec<_> = self.leaving.iter().filter(is_meant).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.follow(key, path, trace, now);
        }
    }

    fn follow(&mut self, key: Key, path: &Path, trace: Trace, now: Now) {
        if self.files.claim(&key) != Claim::None {
            // Another file has taken its place.
            self.leaving.remove(&key);
            return;
        }
        let many = self.leaving.len() > self.files.plugins().count();
        match trace {
            Trace::File => drop(self.leaving.remove(&key)),
            Trace::Nothing => self.spare(&key, Sparing::Folder),
            Trace::Folder if many => {
                let all: Vec<_> = self.leaving.keys().cloned().collect();
                for key in &all {
                    self.spare(key, Sparing::Many);
                }
            }
            Trace::Folder if !self.has_plugins_beside(path) => self.spare(&key, Sparing::Emptied),
            Trace::Folder if self.asked.values().any(|other| *other == key) => self.spare(&key, Sparing::Renamed),
            // Read again, it may turn out to be the same plugin.
            Trace::Folder if self.files.iter().any(|(_, file)| file.is_broken()) => {
                if let Some(leaving) = self.leaving.get_mut(&key) {
                    leaving.due = Some(now.at + self.policy.gone_after);
                    let waiting = Notice::of(&leaving.plugin, What::Waiting { reason: BROKEN, again: false });
                    if !std::mem::replace(&mut leaving.told, true) {
                        self.tell(waiting);
                    }
                }
            }
            Trace::Folder => {
                let mode = match self.policy.on_delete {
                    OnDelete::Keep => return drop(self.leaving.remove(&key)),
                    OnDelete::Deactivate => Mode::Deactivate,
                    OnDelete::Delete => Mode::Delete,
                };
                let deployed = self.put_there(&key);
                let Some((leaving, deployed)) = self.leaving.get(&key).zip(deployed) else { return };
                let task = Task::Remove { plugin: Arc::clone(&leaving.plugin), mode, deployed };
                self.queue.request(key, Job { task, since: now.at, in_pass: false });
            }
        }
    }

    /// Whether a file's folder still has plugins, at whatever depth. Where it has none, a share may have been unmounted.
    fn has_plugins_beside(&self, path: &Path) -> bool {
        let Some(folder) = path.parent() else { return false };
        let mut beside = self.files.iter().filter(|(other, _)| other.starts_with(folder));
        beside.any(|(other, file)| (file.plugin().is_some() || file.is_broken()) && !self.is_missing(other))
    }

    fn spare(&mut self, key: &Key, why: Sparing) {
        if let Some(leaving) = self.leaving.remove(key) {
            self.tell(Notice::of(&leaving.plugin, What::Spared { why }));
        }
    }

    /// What is in flight now was begun before the rollback, and does not end it.
    fn on_rolled_back(&mut self, rollbacks: BTreeMap<Key, Rollback>) {
        for (key, rollback) in &rollbacks {
            let known = self.rollbacks.get(key) == Some(rollback);
            if let Some(flight) = self.queue.flying_mut(key).filter(|_| !known) {
                flight.rolled_back = true;
            }
        }
        self.rollbacks = rollbacks;
    }

    // ---- what is to be done about a plugin --------------------------------------------------------------------------

    /// Decides about one id after something about its files changed.
    fn consider(&mut self, key: &Key, since: Duration, now: Now) {
        // Everything is planned at once when the walk is done and the server has said what it holds.
        if self.scanning {
            return;
        }
        match self.present_claim(key) {
            Claim::None => {
                self.doubted.remove(key);
                self.conflicts.remove(key);
                self.cancel(key);
            }
            Claim::Sole(plugin) => {
                self.doubted.remove(key);
                self.conflicts.remove(key);
                self.leaving.remove(key);
                let remote = self.remote(key);
                self.plan(&plugin, remote, since, now);
            }
            Claim::Contested(paths) => self.doubt(key, paths, since),
        }
    }

    /// What the server was seen to hold, for a plugin that the pass under way has not come to yet.
    fn remote(&mut self, key: &Key) -> Remote {
        if let Some(remote) = self.unread.remove(key) {
            return remote;
        }
        let planned = self.queue.waiting(key).is_some() || self.queue.flying(key).is_some();
        // What was seen before an absence is old.
        let known = matches!(self.server, Server::Open) && !planned;
        match self.pass.as_ref().filter(|pass| known && pass.planned && !pass.results.contains_key(key)) {
            Some(pass) => pass.holds.of(key),
            None => Remote::NotAsked,
        }
    }

    /// Takes back a deploy, or a removal, that has not begun. What a crash has left behind is made good all the same.
    fn cancel(&mut self, key: &Key) {
        if self.queue.waiting(key).is_some_and(|job| !matches!(job.task, Task::Recover)) {
            self.queue.cancel(key);
        }
    }

    /// Who claims an id, apart from files that were not there a moment ago.
    fn present_claim(&self, key: &Key) -> Claim {
        let Claim::Contested(paths) = self.files.claim(key) else { return self.files.claim(key) };
        let present: Vec<_> = paths.into_iter().filter(|path| !self.is_missing(path)).collect();
        match present.as_slice() {
            [path] => {
                let plugin = self.files.get(path).and_then(File::plugin);
                plugin.map_or(Claim::None, |plugin| Claim::Sole(Arc::clone(plugin)))
            }
            _ => Claim::Contested(present),
        }
    }

    /// Whether a file was not there a moment ago, which is not believed yet.
    fn is_missing(&self, path: &Arc<Path>) -> bool {
        self.pending.get(path).is_some_and(|pending| pending.held == Held::Missing)
    }

    /// Two files claim one id. After a rename that is only so until the old path is looked at, so look first.
    fn doubt(&mut self, key: &Key, paths: Vec<Arc<Path>>, since: Duration) {
        let checked = self.doubted.get(key).cloned().unwrap_or_default();
        let unchecked: Vec<_> = paths.iter().filter(|path| !checked.contains(*path)).cloned().collect();
        if unchecked.is_empty() {
            // Somebody has just saved one of them, and is told even if that is no news.
            self.doubted.remove(key);
            self.conflicts.remove(key);
            self.conflict(key, paths);
            return;
        }
        for path in unchecked {
            if !self.pending.contains_key(&path) {
                // Nobody has said that its writer is done.
                self.reread(path, Pending { since, due: None, held: Held::No });
            }
        }
    }

    fn conflict(&mut self, key: &Key, paths: Vec<Arc<Path>>) {
        self.cancel(key);
        self.leaving.remove(key);
        let selected = paths.iter().any(|path| self.policy.selects(path, Some(key.id.as_str())));
        if !selected {
            return;
        }
        if self.conflicts.get(key) != Some(&paths) {
            self.conflicts.insert(key.clone(), paths.clone());
            let entry = self.files.get(&paths[0]).and_then(File::plugin).map(|plugin| plugin.entry);
            let about = About { key: Some(key.clone()), entry, ..About::default() };
            self.tell(Notice { about, what: What::Conflict { paths } });
        }
    }

    /// The plan for one plugin whose id nobody else claims.
    fn plan(&mut self, plugin: &Arc<Plugin>, remote: Remote, since: Duration, now: Now) {
        if !self.policy.selects_plugin(plugin) {
            return;
        }
        let key = &plugin.key;
        self.tell_switched_off(plugin);
        let in_pass = remote != Remote::NotAsked;
        let unchanged = What::Unchanged { in_pass };
        if let Some(flying) = self.queue.flying(key).and_then(|flight| flight.talk.deploys()) {
            if flying.digest == plugin.digest {
                self.cancel(key);
                self.tell(Notice::of(plugin, unchanged));
            } else {
                self.request(plugin, Why::Edited, since, in_pass);
            }
            return;
        }
        let reason = match &self.server {
            Server::Open => None,
            // After an absence, only an answer tells that it is over.
            Server::Away { .. } => Some(AWAY),
            Server::Looking(_) if self.shut_for.is_some() => Some(SHUT),
            Server::Looking(_) if self.absence.is_some() => Some(AWAY),
            // What it holds is about to be known, and then everything is planned.
            Server::Looking(_) => return,
            Server::Shut { .. } => Some(SHUT),
        };
        if !in_pass {
            self.doubt_refusal(plugin, now);
        }
        // Once: a text that ends the server must not do so whenever the pass is taken up again.
        let came = self.pass.as_ref().is_some_and(|pass| pass.results.contains_key(key));
        let forced = in_pass && self.first_pass && self.policy.terms.force && !came;
        // What waits because of what the server was seen to hold is not done with by what the ledger believes.
        let waits = self.queue.waiting(key).and_then(Job::deploy).map(|(_, why)| why);
        let seen = waits.filter(|why| !in_pass && why.outlasts_the_ledger());
        let decision = match (self.decide(plugin, remote, forced), seen) {
            (Decision::Unchanged | Decision::Deploy(_), Some(why)) => Decision::Deploy(why),
            (decision, _) => decision,
        };
        let needs_text = match &decision {
            Decision::Deploy(_) => reason.is_none(),
            Decision::RefusedBefore(_) => true,
            Decision::Unchanged => in_pass && !self.is_noted(plugin),
            Decision::RolledBack => false,
        };
        if needs_text && !plugin.has_text() {
            // It is planned again with what is read.
            self.unread.insert(key.clone(), remote);
            if !self.pending.contains_key(&plugin.path) {
                self.reread(Arc::clone(&plugin.path), Pending { since, due: None, held: Held::No });
            }
            return;
        }
        match decision {
            Decision::Deploy(why) => match reason {
                None => self.request(plugin, why, since, in_pass),
                Some(reason) => self.tell(Notice::of(plugin, What::Waiting { reason, again: false })),
            },
            Decision::Unchanged => {
                self.cancel(key);
                if in_pass {
                    self.note_held(plugin, now);
                }
                self.files.drop_text(plugin);
                self.tell(Notice::of(plugin, unchanged));
            }
            Decision::RolledBack => {
                self.cancel(key);
                self.files.drop_text(plugin);
                self.tell(Notice::of(plugin, What::RolledBack));
            }
            Decision::RefusedBefore(words) => {
                self.cancel(key);
                // When the server comes back from an absence, it is no news.
                if !in_pass || self.pass.is_some() {
                    let span = refusal::place(&words, &plugin.text);
                    self.tell(Notice::of(plugin, What::RefusedBefore { words, span }));
                }
            }
        }
    }

    /// It was saved again as it is. Where the server's words are not about a line of it, the cause may have been elsewhere,
    /// and the user may have seen to that. A formatter that saves after the editor is no user.
    fn doubt_refusal(&mut self, plugin: &Plugin, now: Now) {
        let (key, digest) = (&plugin.key, plugin.digest);
        let fresh = self.sent.get(key).is_some_and(|sent| now.at < *sent + HOT);
        let Some(Last::Refused { digest: refused, words }) = self.ledger.get(key).map(|record| &record.last) else {
            return;
        };
        if *refused == digest && !fresh && !refusal::names_a_line(words) {
            self.note_ended(plugin, Last::Failed { digest });
        }
    }

    /// Its file is back, and we have switched it off meanwhile. What the user wants now, and what others have done to
    /// the switch since, is not known.
    fn tell_switched_off(&mut self, plugin: &Plugin) {
        if self.ledger.get(&plugin.key).is_none_or(|record| !record.switched_off) {
            return;
        }
        self.tell(Notice::of(plugin, What::LeftOff));
        if !self.policy.terms.dry_run {
            self.ledger.switched_off(&plugin.key, false);
            self.effects.push(Effect::Save(plugin.key.clone()));
        }
    }

    fn request(&mut self, plugin: &Arc<Plugin>, why: Why, since: Duration, in_pass: bool) {
        let job = Job { task: Task::Deploy { plugin: Arc::clone(plugin), why }, since, in_pass };
        let replaced = self.queue.request(plugin.key.clone(), job);
        if let Some((older, _)) = replaced.as_ref().and_then(Job::deploy)
            && older.digest != plugin.digest
        {
            self.tell(Notice::of(older, What::Superseded));
        }
    }

    fn decide(&self, plugin: &Plugin, remote: Remote, forced: bool) -> Decision {
        let key = &plugin.key;
        plan::decide(self.ledger.get(key), self.rollbacks.get(key), remote, plugin.digest, forced)
    }

    /// Whether another text was put back in place of the one that the file holds.
    fn is_rolled_back(&self, plugin: &Plugin) -> bool {
        self.rollbacks.get(&plugin.key).is_some_and(|rollback| rollback.local == Some(plugin.digest))
    }

    /// Starts what may start.
    fn pump(&mut self, now: Now) {
        if self.ending.is_some() || self.exit.is_some() || !matches!(self.server, Server::Open) {
            return;
        }
        while let Some((key, job)) = self.next_job() {
            let Job { task, since, in_pass } = job;
            // What a deploy that was cut short has left behind comes first.
            let (talk, step) = match (self.under_way.get(&key), task) {
                (Some(under_way), task) => {
                    let (recovery, step) = Recovery::start(key.clone(), under_way.clone());
                    if !matches!(task, Task::Recover) {
                        self.queue.request(key.clone(), Job { task, since, in_pass });
                    }
                    (Talk::Recover(recovery), step)
                }
                (None, Task::Recover) => continue,
                (None, Task::Remove { plugin, mode, deployed }) => {
                    let (removal, step) = Removal::start(key.clone(), mode, deployed);
                    (Talk::Remove(plugin, removal), step)
                }
                // It was asked for before the rollback.
                (None, Task::Deploy { plugin, why }) if why != Why::Forced && self.is_rolled_back(&plugin) => {
                    self.tell(Notice::of(&plugin, What::RolledBack));
                    continue;
                }
                (None, Task::Deploy { plugin, why }) => {
                    self.tell(Notice::of(&plugin, What::Sending { why }));
                    let terms = Terms { force: why == Why::Forced, ..self.policy.terms };
                    let known = self.known(&plugin, in_pass);
                    self.sent.insert(key.clone(), now.at);
                    let (exchange, step) = Exchange::start(plugin, known, terms);
                    (Talk::Deploy(exchange), step)
                }
            };
            // In a pass, waiting for one's turn is no part of how long a deploy took.
            let since = if in_pass { now.at } else { since };
            let slow_at = Some(now.at + SLOW);
            self.queue.start(key.clone(), Flight { talk, since, in_pass, rolled_back: false, slow_at });
            self.step(key, step, now);
        }
    }

    /// What may have taken the server's answer away is sent alone, so that no other text is blamed for what it does.
    fn next_job(&mut self) -> Option<(Key, Job)> {
        let is_suspect = |key: &Key, plugin: Option<&Arc<Plugin>>| {
            plugin.is_some_and(|plugin| self.unanswered.get(key) == Some(&plugin.digest))
        };
        if self.queue.all_flying().any(|(key, flight)| is_suspect(key, flight.talk.deploys())) {
            return None;
        }
        let alone = self.queue.n_flying() == 0;
        self.queue.next_job(|key, job| alone || !is_suspect(key, job.deploy().map(|(plugin, _)| plugin)))
    }

    /// What a conversation is to know.
    fn known(&self, plugin: &Plugin, in_pass: bool) -> Known {
        let key = &plugin.key;
        let record = self.ledger.get(key);
        let deployed = record.and_then(|record| record.deployed.as_ref()).map(|deployed| deployed.digest);
        let sent = record.map(|record| record.sent.as_slice()).unwrap_or_default();
        let rolled_back = self.rollbacks.get(key).map(|rollback| rollback.server);
        let lacking = self.pass.as_ref().map(|pass| &pass.holds).filter(|holds| in_pass && holds.lacks(key));
        Known {
            ours: deployed.into_iter().chain(sent.iter().copied()).chain(rolled_back).collect(),
            unarchived: sent.iter().copied().filter(|sent| Some(*sent) != deployed).collect(),
            twins: match (self.policy.terms.adopt, lacking) {
                (Adopt::Never, _) => Twins::Ignored,
                _ if !Identity::of(plugin).tells() => Twins::Ignored,
                (Adopt::Ask, Some(holds)) => Twins::Known(self.twin(plugin, holds)),
                // No list is at hand; or it is listed and then not there, so that the list is old.
                (Adopt::Ask, None) => Twins::Unknown(BTreeSet::new()),
            },
            explains_updates: self.version.as_deref().is_some_and(explains_updates),
            unlisted: record.is_none() && lacking.is_some(),
        }
    }

    /// The ids that files here have, or had before they were broken. A file that was not there a moment ago may have
    /// another name now.
    fn spoken_for(&self) -> impl Iterator<Item = &Key> {
        let files = self.files.iter().filter(|(path, _)| !self.is_missing(path));
        files.filter_map(|(_, file)| file.known()).map(|plugin| &plugin.key)
    }

    /// The same plugin under another id, as an overview shows it.
    fn twin(&self, plugin: &Plugin, holds: &Holdings) -> Option<Twin> {
        let kind = plugin.key.kind;
        let others = holds.rows.iter().filter(|(key, _)| key.kind == kind).map(|(key, seen)| (&key.id, &seen.identity));
        let spoken_for = |id: &PluginId| self.spoken_for().any(|key| key.kind == kind && key.id == *id);
        twin::find(&Identity::of(plugin), &plugin.key.id, others, spoken_for)
    }

    fn step(&mut self, key: Key, step: Step, now: Now) {
        match step {
            Step::Call(call) => {
                self.note_sending(&key, &call);
                let ticket = self.ticket_of(key);
                self.effects.push(Effect::Call(ticket, call));
            }
            Step::Keep(backup) => {
                let ticket = self.ticket_of(key);
                self.effects.push(Effect::Keep(ticket, backup));
            }
            Step::Note(under_way) => {
                self.under_way.insert(key.clone(), under_way.clone());
                let ticket = self.ticket_of(key.clone());
                self.effects.push(Effect::Note(ticket, key, under_way));
            }
            Step::Archive(backup, next) => {
                self.effects.push(Effect::Archive(backup));
                self.step(key, *next, now);
            }
            Step::Done(outcome) => self.on_outcome(&key, outcome, now),
        }
    }

    /// A text that leaves may be on the server from then on, whether its answer comes or not: it is not to be taken for
    /// somebody else's.
    fn note_sending(&mut self, key: &Key, call: &Call) {
        // Whether its answer comes or not, the user is to know of it when the file is back.
        let removes = |flight: &Flight| matches!(flight.talk, Talk::Remove(..));
        if matches!(call, Call::Toggle(_)) && self.queue.flying(key).is_some_and(removes) {
            self.ledger.switched_off(key, true);
            self.effects.push(Effect::Save(key.clone()));
        }
        let (Call::Create(_, form) | Call::Update(_, form)) = call else { return };
        if form.file.is_none() {
            return;
        }
        self.ledger.sending(key, Digest::of_text(&form.content));
    }

    /// A ticket by which the answer finds its way to a plugin's conversation.
    fn ticket_of(&mut self, key: Key) -> Ticket {
        let ticket = self.ticket();
        self.tickets.insert(ticket, key);
        ticket
    }

    fn ticket(&mut self) -> Ticket {
        self.n_tickets += 1;
        Ticket(self.n_tickets)
    }

    // ---- what the server says ---------------------------------------------------------------------------------------

    fn on_replied(&mut self, ticket: Ticket, reply: Reply, now: Now) {
        if let Some(key) = self.tickets.remove(&ticket) {
            let others = self.queue.flying(&key).filter(|flight| flight.talk.looks_for_twins()).map(|_| {
                let others = self.spoken_for().filter(|other| other.kind == key.kind && **other != key);
                others.map(|key| key.id.clone()).collect()
            });
            if let Some(flight) = self.queue.flying_mut(&key) {
                if let (Talk::Deploy(exchange), Some(others)) = (&mut flight.talk, others) {
                    exchange.spoken_for(others);
                }
                let step = flight.talk.reply(reply);
                self.step(key, step, now);
            }
            return;
        }
        if let Some((key, version)) = self.errands.remove(&ticket) {
            match reply {
                Reply::Deleted => self.tell(Notice { about: self.about(&key), what: What::Pruned }),
                // It is gone, or cannot be pruned.
                Reply::Absent | Reply::Refused { .. } => {}
                // It is surplus still when the next one is.
                _ => {
                    if let Some(session) = self.sessions.get_mut(&key) {
                        session.versions.push_front(version);
                    }
                }
            }
            return;
        }
        let Server::Looking(look) = &mut self.server else { return };
        if look.connecting == Some(ticket) {
            look.connecting = None;
        } else if let Some(kind) = look.overviews.as_mut().and_then(|overviews| overviews.remove(&ticket)) {
            if let Reply::Rows(rows) = reply {
                let holds = rows.iter().filter_map(|row| {
                    let id = PluginId::new(&row.id)?;
                    let digest = row.digest.or_else(|| row.content.as_deref().map(Digest::of_text));
                    Some((Key { kind, id }, Seen { digest, identity: Identity::of_row(row) }))
                });
                look.holds.rows.extend(holds);
                look.holds.kinds.insert(kind);
                return self.advance_look(now);
            }
            // That is others' doing. A plugin that is not listed is looked at by itself.
            if let Reply::TooLong { .. } = reply {
                return self.advance_look(now);
            }
        } else {
            return;
        }
        if let Reply::Connected { version } = reply {
            look.version = Some(version);
            return self.advance_look(now);
        }
        match reply.into_failure() {
            Failure::Unreachable { cause, retry_after } => self.lose(cause, retry_after, now),
            Failure::NotAllowed { status, words } => self.shut_out(status, words, now),
            Failure::NotOurs { words } => self.shut_out(401, words, now),
            Failure::Foreign { status, words } => self.miss(status, words, now),
            // The last ones are no reply's meaning.
            Failure::Odd { words: cause }
            | Failure::Stumbled { cause }
            | Failure::Unanswered { cause }
            | Failure::TakesNone { words: cause }
            | Failure::KeepFailed { words: cause } => self.lose(cause, None, now),
            Failure::StoredOther => {}
        }
    }

    /// Something that a conversation waited for is on disk, or cannot be.
    fn on_written(&mut self, ticket: Ticket, written: impl FnOnce(&mut Talk) -> Option<Step>, now: Now) {
        let Some(key) = self.tickets.remove(&ticket) else { return };
        if let Some(step) = self.queue.flying_mut(&key).and_then(|flight| written(&mut flight.talk)) {
            self.step(key, step, now);
        }
    }

    /// Begins a look at the server.
    fn look(&mut self) {
        self.unread.clear();
        let ticket = self.ticket();
        self.server = Server::Looking(Look {
            connecting: Some(ticket),
            version: None,
            overviews: None,
            holds: Holdings::default(),
        });
        self.effects.push(Effect::Call(ticket, Call::Connect));
    }

    /// Goes on with the look: the tables that matter are known when the walk is done.
    fn advance_look(&mut self, now: Now) {
        let Server::Looking(look) = &self.server else { return };
        if self.scanning || look.version.is_none() {
            return;
        }
        match &look.overviews {
            None => {
                let kinds = self.files.kinds();
                let overviews: BTreeMap<_, _> = kinds.into_iter().map(|kind| (self.ticket(), kind)).collect();
                let calls = overviews.iter().map(|(ticket, kind)| Effect::Call(*ticket, Call::Overview(*kind)));
                self.effects.extend(calls);
                let nothing_to_ask = overviews.is_empty();
                if let Server::Looking(look) = &mut self.server {
                    look.overviews = Some(overviews);
                    look.holds.ended.clear();
                }
                if nothing_to_ask {
                    self.open(now);
                }
            }
            Some(overviews) if overviews.is_empty() => self.open(now),
            Some(_) => {}
        }
    }

    /// The server is there and lets us in: plan everything against what it holds.
    fn open(&mut self, now: Now) {
        let Server::Looking(mut look) = std::mem::replace(&mut self.server, Server::Open) else { return };
        self.shut_for = None;
        let Holdings { rows, ended, .. } = &mut look.holds;
        rows.retain(|key, _| !ended.contains(key));
        if let Some(version) = look.version.filter(|version| self.version.as_ref() != Some(version)) {
            let server = self.policy.server.clone();
            self.tell(Notice::general(What::Connected { server, version: version.clone() }));
            if !TESTED.contains(&version.as_str()) {
                self.tell(Notice::general(What::Untested { version: version.clone() }));
            }
            if self.version.replace(version).is_some() {
                // What this version makes of them is another question.
                self.ledger.doubt_refusals().into_iter().for_each(|key| self.effects.push(Effect::Save(key)));
            }
        }
        for key in self.under_way.keys().cloned().collect::<Vec<_>>() {
            if self.queue.flying(&key).is_none() {
                self.queue.request(key, Job { task: Task::Recover, since: now.at, in_pass: false });
            }
        }
        let since = self.pass.as_ref().map_or(now.at, |pass| pass.since);
        let unread = self.pending.len();
        let mut keys: Vec<_> = self.files.keys().cloned().collect();
        // What was tried last comes last: one plugin that the server cannot cope with must not keep the others from it.
        keys.sort_by_key(|key| self.sent.get(key).copied());
        self.conflicts.retain(|key, _| matches!(self.files.claim(key), Claim::Contested(_)));
        for key in keys {
            match self.files.claim(&key) {
                Claim::Sole(plugin) if self.is_out_of_reach(&plugin.path) => {}
                Claim::Sole(plugin) => {
                    let remote = look.holds.of(&key);
                    self.plan(&plugin, remote, since, now);
                }
                Claim::Contested(paths) => self.conflict(&key, paths),
                Claim::None => {}
            }
        }
        self.doubted.clear();
        self.note_missing(&look.holds);
        self.plan_pass(look.holds, self.pending.len().saturating_sub(unread));
        if self.queue.n_waiting() == 0 && self.pending.is_empty() {
            self.returned(now);
        }
    }

    /// Whether a path is in a root that is not there: what is known of it holds again when the root is back.
    fn is_out_of_reach(&self, path: &Path) -> bool {
        self.missing.iter().any(|root| path.starts_with(root))
    }

    /// What the server does not hold any more and nothing is planned about, say because two files claim its id, is not to
    /// be taken for deployed when that changes.
    fn note_missing(&mut self, holds: &Holdings) {
        let kinds = self.files.kinds();
        let unplanned = |key: &Key| kinds.contains(&key.kind) && !matches!(self.files.claim(key), Claim::Sole(_));
        let missing: Vec<_> = (self.ledger.held())
            .filter(|(key, digest)| unplanned(key) && holds.of(key) != Remote::Holds(*digest))
            .map(|(key, digest)| (key.clone(), digest))
            .collect();
        for (key, digest) in missing {
            self.ledger.ended(&key, Last::Failed { digest });
        }
    }

    /// The server has shown that it is there again.
    fn returned(&mut self, now: Now) {
        if let (Some(absence), Server::Open) = (self.absence, &self.server) {
            self.absence = None;
            let (away, waiting) = (now.at.saturating_sub(absence.since), self.n_undeployed());
            self.tell(Notice::general(What::Back { away, waiting }));
        }
    }

    /// `unread`: so many are planned when their text is there.
    fn plan_pass(&mut self, holds: Holdings, unread: usize) {
        let todo = self.queue.n_waiting() + unread;
        let Some(pass) = &mut self.pass else { return };
        pass.holds = holds;
        let first_time = !std::mem::replace(&mut pass.planned, true);
        if first_time && todo > 0 {
            self.tell(Notice::general(What::Pass { todo }));
        }
    }

    fn tally(&self, pass: &Pass) -> Tally {
        let count = |came| pass.results.values().filter(|result| **result == came).count();
        Tally {
            created: count(Came::Created),
            updated: count(Came::Updated),
            unchanged: count(Came::Unchanged),
            refused: count(Came::Refused),
            held: count(Came::Held),
            failed: count(Came::Failed),
            skipped: self.n_skipped(),
        }
    }

    /// How many files cannot be deployed as they stand.
    fn n_skipped(&self) -> usize {
        let skipped = |path: &Path, file: &File| match file {
            File::Flawed { was, .. } => {
                file.is_broken() && self.policy.selects(path, was.as_ref().map(|was| was.key.id.as_str()))
            }
            File::Plugin(plugin) => {
                self.policy.selects_plugin(plugin) && matches!(self.files.claim(&plugin.key), Claim::Contested(_))
            }
            File::Other => false,
        };
        self.files.iter().filter(|(path, file)| !self.is_out_of_reach(path) && skipped(path, file)).count()
    }

    /// How many plugins the server does not hold as they stand in their files.
    fn n_undeployed(&self) -> usize {
        let deployed = |plugin: &Plugin| !matches!(self.decide(plugin, Remote::NotAsked, false), Decision::Deploy(_));
        let sole = |key| match self.files.claim(key) {
            Claim::Sole(plugin) => Some(plugin),
            Claim::None | Claim::Contested(_) => None,
        };
        let plugins = self.files.keys().filter_map(sole);
        let in_reach = plugins.filter(|plugin| !self.is_out_of_reach(&plugin.path));
        in_reach.filter(|plugin| self.policy.selects_plugin(plugin) && !deployed(plugin)).count()
    }

    /// The server is away. What waits is not kept as a list: it is planned anew when the server is back.
    fn lose(&mut self, cause: String, retry_after: Option<Duration>, now: Now) {
        let Some((attempt, next)) = self.leave(retry_after, now) else { return };
        let (server, configured) = (self.policy.server.clone(), self.policy.configured);
        let since = self.absence.map_or(now.at, |absence| absence.since);
        if let Some(patience) = self.policy.once
            && now.at + next > since + patience
        {
            let after = now.at.saturating_sub(since);
            self.tell(Notice::general(What::GaveUp { after, cause, server, configured }));
            self.exit.get_or_insert(Code::NoServer);
        } else if attempt == 1 {
            let waiting = self.n_undeployed();
            self.tell(Notice::general(What::Unreachable { cause, server, next, waiting, configured }));
        } else {
            self.tell(Notice::general(What::StillUnreachable { cause, attempt, next }));
        }
    }

    fn shut_out(&mut self, status: u16, words: String, now: Now) {
        let key = self.policy.key.clone();
        self.shut(What::NotAllowed { status, words, key }, now);
    }

    /// Something else answers. That may be the wrong address, which is said at once; or a proxy whose server is being
    /// started, so a watch looks again.
    fn miss(&mut self, status: u16, words: String, now: Now) {
        let foreign = What::Foreign { server: self.policy.server.clone(), status, words: words.clone() };
        if self.policy.once.is_some() {
            self.shut(foreign, now);
        } else if let Some((attempt, next)) = self.leave(None, now) {
            let still = What::StillUnreachable { cause: words, attempt, next };
            self.tell(Notice::general(if attempt == 1 { foreign } else { still }));
        }
    }

    /// Leaves the server alone for a while. Answers how many looks have failed by now, and when the next one is.
    fn leave(&mut self, retry_after: Option<Duration>, now: Now) -> Option<(u32, Duration)> {
        if matches!(self.server, Server::Away { .. } | Server::Shut { .. }) {
            return None;
        }
        let absence = self.absence.get_or_insert(Absence { since: now.at, attempts: 0 });
        absence.attempts += 1;
        let attempt = absence.attempts;
        let next = backoff(attempt, now.chance).max(retry_after.unwrap_or_default().min(LONGEST_WISH));
        self.queue.clear();
        self.server = Server::Away { until: now.at + next, asked: retry_after.is_some() };
        Some((attempt, next))
    }

    /// The server does not let us in: said once, and nothing is sent any more.
    fn shut(&mut self, what: What, now: Now) {
        if matches!(self.server, Server::Shut { .. }) {
            return;
        }
        self.server = Server::Shut { until: self.policy.once.is_none().then_some(now.at + SHUT_OUT) };
        self.absence.get_or_insert(Absence { since: now.at, attempts: 0 });
        self.queue.clear();
        if self.policy.once.is_some() {
            self.exit.get_or_insert(Code::NoServer);
        }
        if self.shut_for.as_ref() != Some(&what) {
            self.shut_for = Some(what.clone());
            self.tell(Notice::general(what));
        }
    }

    fn on_outcome(&mut self, key: &Key, outcome: Outcome, now: Now) {
        let Some(flight) = self.queue.finish(key) else { return };
        if let Server::Looking(look) = &mut self.server {
            look.holds.ended.insert(key.clone());
        }
        let unsettled = outcome.unsettled().map(str::to_owned);
        let away = matches!(
            outcome,
            Outcome::Failed(Failure::Unreachable { .. } | Failure::Unanswered { .. } | Failure::Stumbled { .. })
        );
        if unsettled.is_none() && !away {
            self.returned(now);
        }
        // A recovery that failed is no reason to forget what it was to make good; unless the plugin is out of our reach.
        let unresolved = matches!(flight.talk, Talk::Recover(_))
            && matches!(&outcome, Outcome::Failed(failure) if !matches!(failure, Failure::NotOurs { .. }));
        if outcome.is_certain() && !unresolved && self.under_way.remove(key).is_some() {
            if matches!(flight.talk, Talk::Recover(_)) {
                // Whose text that was, the ledger says from now on.
                self.effects.push(Effect::Save(key.clone()));
            }
            self.effects.push(Effect::Unnote(key.clone()));
        }
        let took = now.at.saturating_sub(flight.since);
        let newer = if flight.rolled_back { self.rollbacks.remove_entry(key) } else { None };
        let landed = matches!(outcome, Outcome::Created { .. } | Outcome::Updated { .. });
        let landed = flight.talk.deploys().filter(|_| landed).cloned();
        match flight.talk {
            Talk::Deploy(exchange) => self.on_deployed(exchange.plugin(), outcome, flight.in_pass, took, now),
            Talk::Recover(_) => self.on_recovered(key, outcome, took, now),
            Talk::Remove(plugin, _) => self.on_removed(&plugin, outcome, took, now),
        }
        self.rollbacks.extend(newer);
        if let Some(plugin) = landed {
            self.overtake(&plugin);
        }
        // What is off is not left to the next look, whenever that is.
        if let Some(cause) = unsettled {
            self.lose(cause, None, now);
        }
    }

    /// What was under way has reached the server. A rollback that still holds was done in the meantime, and is undone by
    /// that. One that is not done yet will be, after it. What waits meanwhile is held back all the same.
    fn overtake(&mut self, plugin: &Plugin) {
        let Some(Rollback { local: Some(local), server, done: true }) = self.rollbacks.get(&plugin.key).copied() else {
            return;
        };
        if local == plugin.digest {
            self.end_rollback(&plugin.key);
        }
        if server != plugin.digest {
            self.tell(Notice::of(plugin, What::RollbackUndone { put_back: server }));
        }
    }

    fn on_deployed(&mut self, plugin: &Arc<Plugin>, outcome: Outcome, in_pass: bool, took: Duration, now: Now) {
        let outcome = self.answered(plugin, outcome, now);
        match &outcome {
            Outcome::Created { .. } => {
                self.asked.remove(&plugin.key);
                let had_it = self.ledger.get(&plugin.key).is_some_and(|record| record.deployed.is_some());
                if had_it && !in_pass && matches!(self.server, Server::Open) {
                    // It has lost this one, and perhaps others.
                    self.look();
                }
                self.note_deployed(plugin, now);
            }
            Outcome::Updated { .. } => self.note_deployed(plugin, now),
            Outcome::Unchanged => self.note_held(plugin, now),
            Outcome::Twin(twin) => {
                let other = Key { kind: plugin.key.kind, id: twin.id.clone() };
                self.asked.insert(plugin.key.clone(), other);
            }
            Outcome::Refused { words, .. } => {
                self.note_ended(plugin, Last::Refused { digest: plugin.digest, words: words.clone() });
            }
            Outcome::Failed(_) => self.note_ended(plugin, Last::Failed { digest: plugin.digest }),
            _ => {}
        }
        if let Outcome::Failed(failure) = outcome {
            let what = self.on_failure(failure, took, now);
            self.tell(Notice::of(plugin, what));
            return;
        }
        if matches!(outcome, Outcome::Created { .. } | Outcome::Updated { .. } | Outcome::Unchanged) {
            self.files.drop_text(plugin);
        }
        let version = if let Outcome::Updated { version, .. } = &outcome { version.clone() } else { None };
        for what in What::came_of(outcome, plugin, in_pass, took) {
            self.tell(Notice::of(plugin, what));
        }
        self.prune(&plugin.key, version, now);
    }

    /// A text that took the server's answer away twice may take the server away a third time: that counts as a refusal.
    fn answered(&mut self, plugin: &Plugin, outcome: Outcome, now: Now) -> Outcome {
        let Outcome::Failed(Failure::Unanswered { cause }) = outcome else { return outcome };
        let before = self.unanswered.insert(plugin.key.clone(), plugin.digest);
        if before == Some(plugin.digest) {
            self.lose(cause.clone(), None, now);
            return Outcome::Refused { words: format!("{NO_ANSWER}, twice: {cause}"), left: Left::AsItWas };
        }
        Outcome::Failed(Failure::Unanswered { cause })
    }

    fn on_recovered(&mut self, key: &Key, outcome: Outcome, took: Duration, now: Now) {
        let about = self.about(key);
        match outcome {
            // What is left to be made good is not tried again at once.
            Outcome::Failed(Failure::Odd { words }) => self.lose(words, None, now),
            Outcome::Failed(failure) => {
                let what = self.on_failure(failure, took, now);
                self.tell(Notice { about, what });
            }
            Outcome::Recovered { left: Left::Unsettled { .. } } => {}
            Outcome::Recovered { left } => self.tell(Notice { about, what: What::came_of_recovery(left) }),
            _ => {}
        }
    }

    fn on_removed(&mut self, plugin: &Arc<Plugin>, outcome: Outcome, took: Duration, now: Now) {
        let key = &plugin.key;
        let what = match outcome {
            Outcome::Deactivated => What::Deactivated,
            Outcome::Deleted { kept } => {
                self.ledger.forget(key);
                self.effects.push(Effect::Save(key.clone()));
                What::Deleted { kept }
            }
            Outcome::Spared(spared) => {
                let why = match spared {
                    Spared::Edited => Sparing::Edited,
                    Spared::Gone => Sparing::Gone,
                    Spared::Off => Sparing::Off,
                };
                What::Spared { why }
            }
            // It is tried again when the server is back.
            Outcome::Failed(Failure::Unreachable { cause, retry_after }) => {
                if let Some(leaving) = self.leaving.get_mut(key) {
                    leaving.due = Some(now.at);
                }
                self.lose(cause, retry_after, now);
                self.waiting_again()
            }
            Outcome::Failed(failure) => self.on_failure(failure, took, now),
            _ => return,
        };
        if !matches!(what, What::Waiting { .. }) {
            self.leaving.remove(key);
        }
        self.tell(Notice::of(plugin, what));
        // The file may have come back meanwhile, and what it asks for was decided by a ledger that is not true any more.
        if let Claim::Sole(plugin) = self.files.claim(key) {
            self.plan(&plugin, Remote::NotAsked, now.at, now);
        }
    }

    fn about(&self, key: &Key) -> About {
        match self.files.claim(key) {
            Claim::Sole(plugin) => About::from(&*plugin),
            Claim::None | Claim::Contested(_) => About { key: Some(key.clone()), ..About::default() },
        }
    }

    /// Of the versions that one editing session makes, only so many are to stay in the server's history.
    fn prune(&mut self, key: &Key, version: Option<String>, now: Now) {
        let Some((version, most)) = version.zip(self.policy.keep_versions) else { return };
        let fresh = || Session { versions: VecDeque::new(), last: now.at };
        let session = self.sessions.entry(key.clone()).or_insert_with(fresh);
        if now.at > session.last + SESSION {
            session.versions.clear();
        }
        session.last = now.at;
        // Going back to an earlier text may make it current again under its old name.
        session.versions.retain(|known| *known != version);
        session.versions.push_back(version);
        let surplus = session.versions.len().saturating_sub(most.get());
        let surplus: Vec<_> = session.versions.drain(..surplus).collect();
        for version in surplus {
            let ticket = self.ticket();
            self.errands.insert(ticket, (key.clone(), version.clone()));
            self.effects.push(Effect::Call(ticket, Call::Prune(key.clone(), version)));
        }
    }

    /// What failed because the server is away waits, which is told once.
    fn waiting_again(&self) -> What {
        What::Waiting { reason: AWAY, again: self.absence.as_ref().is_some_and(|absence| absence.attempts > 1) }
    }

    fn on_failure(&mut self, failure: Failure, took: Duration, now: Now) -> What {
        match failure {
            Failure::Unreachable { cause, retry_after } => {
                self.lose(cause, retry_after, now);
                self.waiting_again()
            }
            Failure::Unanswered { cause } | Failure::Stumbled { cause } => {
                self.lose(cause, None, now);
                self.waiting_again()
            }
            Failure::NotAllowed { status, words } => {
                self.shut_out(status, words, now);
                What::Waiting { reason: SHUT, again: false }
            }
            Failure::Foreign { status, words } => {
                self.miss(status, words, now);
                self.waiting_again()
            }
            failure @ (Failure::NotOurs { .. }
            | Failure::StoredOther
            | Failure::TakesNone { .. }
            | Failure::KeepFailed { .. }
            | Failure::Odd { .. }) => What::Failed { failure, took },
        }
    }

    /// The server has taken a text from us.
    fn note_deployed(&mut self, plugin: &Plugin, now: Now) {
        if self.policy.terms.dry_run {
            return;
        }
        self.end_rollback(&plugin.key);
        self.note(plugin, true, now);
        self.archive(plugin);
    }

    /// The server holds a text of ours already.
    fn note_held(&mut self, plugin: &Plugin, now: Now) {
        self.end_rollback(&plugin.key);
        if !self.is_noted(plugin) && !self.policy.terms.dry_run {
            // What was sent and got no answer was taken after all.
            let was_sent = self.ledger.get(&plugin.key).is_some_and(|record| record.sent.contains(&plugin.digest));
            self.note(plugin, was_sent || self.put_there(&plugin.key) == Some(plugin.digest), now);
            // From here on it counts as ours, and is replaced without a further copy.
            self.archive(plugin);
        }
    }

    /// Whether we know already that the server holds it.
    fn is_noted(&self, plugin: &Plugin) -> bool {
        let known = self.ledger.get(&plugin.key).filter(|record| record.last == Last::Deployed);
        let deployed = known.and_then(|record| record.deployed.as_ref());
        deployed.is_some_and(|deployed| deployed.digest == plugin.digest)
    }

    fn archive(&mut self, plugin: &Plugin) {
        let (key, digest) = (plugin.key.clone(), plugin.digest);
        self.effects.push(Effect::Archive(Backup { key, text: plugin.text.to_string(), digest }));
    }

    fn note(&mut self, plugin: &Plugin, by_us: bool, now: Now) {
        self.unanswered.remove(&plugin.key);
        let version = plugin.frontmatter.version().map(str::to_owned);
        self.ledger.deployed(&plugin.key, Deployed { digest: plugin.digest, version, at: now.wall, by_us });
        self.effects.push(Effect::Save(plugin.key.clone()));
    }

    /// The server holds the file's text again.
    fn end_rollback(&mut self, key: &Key) {
        if !self.policy.terms.dry_run && self.rollbacks.remove(key).is_some() {
            self.effects.push(Effect::EndRollback(key.clone()));
        }
    }

    fn note_ended(&mut self, plugin: &Plugin, last: Last) {
        if !self.policy.terms.dry_run {
            self.ledger.ended(&plugin.key, last);
            self.effects.push(Effect::Save(plugin.key.clone()));
        }
    }

    // ---- time, and the end ------------------------------------------------------------------------------------------

    fn on_wake(&mut self, now: Now) {
        let due: Vec<_> = (self.pending.iter())
            .filter(|(_, pending)| pending.due.is_some_and(|due| due <= now.at))
            .map(|(path, pending)| (Arc::clone(path), *pending))
            .collect();
        for (path, pending) in due {
            // Its writer was done, but may have begun again since.
            self.reread(path, pending);
        }
        if matches!(self.server, Server::Open) && self.ending.is_none() {
            for leaving in self.leaving.values_mut().filter(|leaving| leaving.due.is_some_and(|due| due <= now.at)) {
                leaving.due = None;
                self.effects.push(Effect::Look(Arc::clone(&leaving.plugin.path)));
            }
        }
        let mut slow = Vec::new();
        for flight in self.queue.all_flying_mut() {
            if flight.slow_at.is_some_and(|at| at <= now.at) {
                flight.slow_at = None;
                slow.extend(
                    flight.talk.deploys().map(|plugin| (Arc::clone(plugin), now.at.saturating_sub(flight.since))),
                );
            }
        }
        for (plugin, so_far) in slow {
            let installs = plugin.frontmatter.requirements().map(str::to_owned);
            self.tell(Notice::of(&plugin, What::Slow { so_far, installs }));
        }
        if let Some(Ending::Replace { slow_at }) = &mut self.ending
            && slow_at.take_if(|at| *at <= now.at).is_some()
        {
            let ids = self.queue.all_flying().map(|(key, _)| key.id.to_string()).collect();
            self.tell(Notice::general(What::SettingsWait { ids }));
        }
        if let Server::Away { until, .. } | Server::Shut { until: Some(until) } = self.server
            && until <= now.at
            && self.ending.is_none()
        {
            self.look();
        }
    }

    fn on_stop(&mut self, now: Now) {
        if !matches!(self.ending, Some(Ending::Stop { .. })) {
            self.ending = Some(Ending::Stop { by: now.at + STOP_PATIENCE });
            self.tell(Notice::general(What::Stopping { in_flight: self.queue.n_flying() }));
        }
    }

    /// To the user, who is told of the new settings, nothing ends.
    fn on_replace(&mut self, now: Now) {
        self.ending.get_or_insert(Ending::Replace { slow_at: Some(now.at + SLOW) });
    }

    /// Ends a pass that has nothing left to do, and the program when it is to end.
    fn finish(&mut self, now: Now) {
        if let Some(Ending::Replace { .. }) = self.ending {
            if self.queue.n_flying() == 0 {
                self.effects.push(Effect::Exit(Code::Fine));
            }
            return;
        }
        if let Some(Ending::Stop { by }) = self.ending {
            if self.queue.n_flying() == 0 || by <= now.at {
                let waiting = self.n_undeployed();
                self.tell(Notice::general(What::Stopped { waiting }));
                let cut_short = self.policy.once.is_some() && waiting > 0;
                let code = if cut_short { Code::NotDeployed } else { Code::Fine };
                self.effects.push(Effect::Exit(code));
            }
            return;
        }
        if let Some(code) = self.exit {
            // What is in flight may have something to be made good.
            if self.queue.n_flying() == 0 {
                self.effects.push(Effect::Exit(code));
            }
            return;
        }
        let idle = self.queue.n_flying() == 0
            && self.queue.n_waiting() == 0
            && self.errands.is_empty()
            && self.pending.is_empty()
            && !self.scanning
            && matches!(self.server, Server::Open);
        if !idle || !self.pass.as_ref().is_some_and(|pass| pass.planned) {
            return;
        }
        let Some(pass) = self.pass.take() else { return };
        self.first_pass = false;
        let (tally, dry_run) = (self.tally(&pass), self.policy.terms.dry_run);
        self.tell(Notice::general(What::Summary { tally, took: now.at.saturating_sub(pass.since), dry_run }));
        if self.policy.once.is_some() {
            let code = if tally.not_deployed() > 0 { Code::NotDeployed } else { Code::Fine };
            self.effects.push(Effect::Exit(code));
        }
    }

    fn tell(&mut self, notice: Notice) {
        if let (Some(pass), Some(key)) = (&mut self.pass, &notice.about.key) {
            let came = match &notice.what {
                What::Created { .. } | What::WouldCreate => Some(Came::Created),
                What::Updated { .. } | What::WouldUpdate { .. } => Some(Came::Updated),
                // What was deployed a moment ago is found unchanged when the pass is taken up again.
                What::Unchanged { in_pass: true } => match pass.results.get(key) {
                    Some(Came::Created | Came::Updated) => None,
                    Some(Came::Unchanged | Came::Refused | Came::Held | Came::Failed) | None => Some(Came::Unchanged),
                },
                What::Refused { .. } | What::RefusedBefore { .. } => Some(Came::Refused),
                What::RemoteEdit { .. } | What::Twin { .. } | What::RolledBack => Some(Came::Held),
                What::Failed { .. } | What::WentOff { .. } => Some(Came::Failed),
                _ => None,
            };
            if let Some(came) = came {
                pass.results.insert(key.clone(), came);
            }
        }
        self.effects.push(Effect::Tell(notice));
    }
}

/// Whether a server of this version says why it refuses an update. Of a create none since 0.10 says it.
fn explains_updates(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(0), Some(12))
}
