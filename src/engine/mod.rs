//! Every decision. Pure: [`Engine::handle`] takes one event and the time, and answers what is to be done. No IO, no clock,
//! no randomness, no async, no logging in here, so that tests and simulations can drive it through any schedule.
//!
//! The shape of it: [`files`] is what the disk holds, [`ledger`] what we believe the server holds, and everything else
//! follows from the two. What waits while the server is away is therefore not a list that could go stale: when the
//! server is back, [`plan`] compares the two again.
//!
//! In here is the road that an event takes, from a file that is ready to a conversation that is in flight. What is known of
//! the server is in `server`, what the end of a conversation leads to in `ended`, files that are gone in `leaving`.

mod crashes;
pub mod deploy;
pub mod duplicate;
pub mod files;
mod lane;
mod leaving;
pub mod ledger;
pub mod outcome;
pub mod plan;
mod prefetch;
mod queue;
pub mod refusal;
mod removal;
pub mod repair;
mod retry;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::notice::{Notice, NoticeKind, PassSummary, Subject, WaitReason};
use crate::plugin::id::PluginId;
use crate::plugin::{Digest, Flaw, Key, Parsed, Plugin, Problem};
use deploy::{Adopt, Backup, Call, Deploy, DeployContext, DeployPolicy, Failure, Reply, Step};
use duplicate::{Duplicate, Duplicates, Identity};
use files::{File, FilePresence, Files, Loaded, Owner};
use lane::{Conversation, Ended, InFlight, Job, Lane, Lanes, Task};
use ledger::{LastAttempt, Ledger, Refusal, Rollback, SavedState, UpdateIntent};
use plan::{Decision, Remote, Why};
use prefetch::{Ahead, Asked};
use removal::Removal;
use repair::Recovery;
use retry::Cause;
use server::{Outage, Seen, Server, ServerListing};

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
/// How long a hot plugin's file is given to be written once more before it is read.
const HOT_QUIET: Duration = Duration::from_millis(150);
/// What happens to a file within this time is one save: an editor may move it aside, write it anew, and see to it that it
/// is on the disk. No formatter is as quick.
const ONE_SAVE: Duration = Duration::from_millis(20);
/// How long a deploy takes before the user is told that it is still on its way.
const SLOW: Duration = Duration::from_secs(3);
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
    /// Try a server that is away now, however long its pause: the user asks for it.
    TryNow,
    /// The answer to [`Effect::Scan`].
    Scanned(Scan),
    /// Somebody has begun to save this file, as far as one can see. More may follow, or nothing.
    Saving(Arc<Path>),
    /// Something was written here, and is ready to be read. The time is when its writer was done: git may have held it
    /// back since.
    Ready(Vec<(Arc<Path>, Duration)>),
    /// Somebody has been writing these for a while; they are not ready.
    BeingWritten(Vec<Arc<Path>>),
    /// The answer to [`Effect::Read`].
    Loaded(Arc<Path>, Loaded),
    /// The answer to [`Effect::Call`].
    Replied(Ticket, Reply),
    /// The answer to [`Effect::SaveBackup`]: where the copy lies, or why there is none.
    BackupSaved(Ticket, Result<PathBuf, String>),
    /// The answer to [`Effect::SaveIntent`]: it is on disk, or why it is not.
    IntentSaved(Ticket, Result<(), String>),
    /// The answer to [`Effect::CheckPresence`].
    PresenceChecked(Arc<Path>, FilePresence),
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
    SaveBackup(Ticket, Backup),
    /// Put on disk, before the update leaves, what is known of it.
    SaveIntent(Ticket, Key, UpdateIntent),
    /// Such a note has served.
    ClearIntent(Key),
    /// Keep a copy of a text of ours that the server holds, for going back to it later.
    Archive(Backup),
    /// Keep a copy of this text too, which the server held without a deploy of ours.
    ArchiveFound(Backup),
    /// A rollback is over: the file has changed and is deployed.
    EndRollback(Key),
    /// See what is left of a file that was seen to go.
    CheckPresence(Arc<Path>),
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
    pub terms: DeployPolicy,
    /// What becomes on the server of a plugin whose file is gone.
    pub on_delete: OnDelete,
    /// How long the file must have stayed gone before.
    pub gone_after: Duration,
    /// How many of the versions that one editing session makes are to stay in the server's history; `None` for all.
    pub keep_versions: Option<NonZeroUsize>,
    /// The files that watch.toml has settings for.
    pub named: Vec<PathBuf>,
    /// What to do about single new plugins that seem to be on the server under another id, instead of what `terms` says.
    pub adopt_files: BTreeMap<PathBuf, Adopt>,
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
    lanes: Lanes,
    files: Files,
    server: Server,
    /// What the server said that it is, when it was last looked at.
    version: Option<String>,
    absence: Option<Outage>,
    /// What was asked before there was anything to deploy.
    ahead: Option<Ahead>,
    /// Versions being pruned.
    errands: BTreeMap<Ticket, (Key, String)>,
    /// Files whose last notice was an error.
    complaints: BTreeMap<Arc<Path>, Complaint>,
    /// Paths that are being read, or will be read again.
    pending: BTreeMap<Arc<Path>, Pending>,
    /// Ids that several files seem to claim: which of the claims have been looked at again.
    doubted: BTreeMap<Key, BTreeSet<Arc<Path>>>,
    /// Conflicts that the user knows of.
    conflicts: BTreeMap<Key, Vec<Arc<Path>>>,
    tickets: BTreeMap<Ticket, Key>,
    n_tickets: u64,
    scanning: bool,
    pass: Option<Pass>,
    first_pass: bool,
    /// The roots that are not there, as the user was told.
    missing: Vec<PathBuf>,
    /// Whether the plugins that were asked for are there.
    asked_for: AskedFor,
    /// Why the server does not let us in, as the user was told.
    shut_for: Option<NoticeKind>,
    /// How a single pass ends that cannot go on.
    exit: Option<Code>,
    /// Nothing is begun any more.
    ending: Option<Ending>,
    effects: Vec<Effect>,
}

/// Whether the plugins that were asked for are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedFor {
    /// Not every file has been read.
    Unknown,
    /// The user was told what is not there, if anything.
    Told,
    /// A single pass cannot do what it was asked for.
    Absent,
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

/// What a run has in mind that is in no file: plugins whose files are gone, the versions of an editing session, texts that
/// no answer came to, since when the server is away.
#[derive(Debug)]
pub struct Handover {
    lanes: BTreeMap<Key, Lane>,
    complaints: BTreeMap<Arc<Path>, Complaint>,
    absence: Option<Outage>,
}

impl Handover {
    /// There is another way to the server. Whether it is there, the user hears as at the first time.
    #[must_use]
    pub fn with_another_way(self) -> Self {
        Self { absence: None, ..self }
    }
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
    /// When it was saved; `None` if it was found by a scan.
    saved: Option<Duration>,
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
    holds: ServerListing,
    /// What came of each plugin. A pass that is interrupted looks at a plugin again, which counts once.
    results: BTreeMap<Key, PassResult>,
}

/// What an error of a file was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complaint {
    /// The file, or the server's answer to it.
    Error,
    /// The user is to decide.
    Held,
}

/// What came of a plugin in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassResult {
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
    pub fn new(policy: Policy, memory: SavedState) -> Self {
        let SavedState { mut ledger, rollbacks, under_way } = memory;
        let mut lanes = Lanes::new(policy.concurrency);
        for (key, intent) in under_way {
            intent.ours.iter().for_each(|digest| ledger.sending(&key, *digest));
            lanes.of(&key).intent = Some(intent);
        }
        for (key, rollback) in rollbacks {
            lanes.of(&key).rollback = Some(rollback);
        }
        Self {
            policy,
            ledger,
            lanes,
            files: Files::default(),
            server: Server::Shut { until: None },
            shut_for: None,
            exit: None,
            version: None,
            absence: None,
            ahead: None,
            errands: BTreeMap::new(),
            complaints: BTreeMap::new(),
            pending: BTreeMap::new(),
            doubted: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            tickets: BTreeMap::new(),
            n_tickets: 0,
            scanning: false,
            pass: None,
            missing: Vec::new(),
            first_pass: true,
            asked_for: AskedFor::Unknown,
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
    pub fn hand_over(self) -> Handover {
        let Self { lanes, complaints, absence, .. } = self;
        Handover { lanes: lanes.hand_over(), complaints, absence }
    }

    /// Goes on with what an engine for the same server had in mind, by the same clock.
    pub fn take_over(&mut self, unfinished: Handover) {
        let Handover { lanes, complaints, absence } = unfinished;
        (self.complaints, self.absence) = (complaints, absence);
        self.lanes.take_over(lanes);
        for lane in self.lanes.values_mut() {
            lane.removal.take_if(|removal| !self.policy.watches(&removal.plugin.path));
            if let Some(removal) = &mut lane.removal {
                // What was being acted on is looked at again.
                removal.due.get_or_insert_default();
            }
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
        let slow = self.lanes.all_in_flight().filter_map(|(_, _, flight)| flight.slow_at);
        let open = matches!(self.server, Server::Open) && self.ending.is_none();
        let removals = self.lanes.with(|lane| lane.removal.as_ref()?.due.filter(|_| open)).map(|(_, due)| due);
        let retry = self.next_retry().filter(|_| open);
        let ending = self.ending.and_then(|ending| match ending {
            Ending::Stop { by } => Some(by),
            Ending::Replace { slow_at } => slow_at,
        });
        rereads.chain(slow).chain(removals).chain(retry).chain(server).chain(ending).min()
    }

    /// Takes what happened, and answers what is to be done, in this order.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        match event {
            Event::Rescan => self.on_rescan(now),
            Event::TryNow => self.try_now(now),
            Event::Scanned(scan) => self.on_scanned(scan, now),
            Event::Saving(path) => self.on_saving(&path, now),
            Event::Ready(paths) => paths.into_iter().for_each(|(path, saved)| self.on_ready(path, saved, now)),
            Event::BeingWritten(paths) => paths.iter().for_each(|path| {
                self.tell(Notice { about: Subject::file(path), what: NoticeKind::BeingWritten });
            }),
            Event::Loaded(path, loaded) => self.on_loaded(path, loaded, now),
            Event::Replied(ticket, reply) => self.on_replied(ticket, reply, now),
            Event::BackupSaved(ticket, saved) => self.on_written(ticket, |it| it.backup_saved(saved), now),
            Event::IntentSaved(ticket, saved) => self.on_written(ticket, |it| it.intent_saved(saved), now),
            Event::PresenceChecked(path, trace) => self.on_looked(&path, trace, now),
            Event::RolledBack(rollbacks) => self.on_rolled_back(rollbacks),
            Event::Wake => self.on_wake(now),
            Event::Stop => self.on_stop(now),
            Event::Replace => self.on_replace(now),
        }
        self.tell_absent();
        self.pump(now);
        self.finish(now);
        self.lanes.drop_empty();
        std::mem::take(&mut self.effects)
    }

    // ---- what the disk says -----------------------------------------------------------------------------------------

    fn on_rescan(&mut self, now: Now) {
        // One that is begun anew does not do again what was forced.
        let results = self.pass.take().map(|pass| pass.results).unwrap_or_default();
        self.pass = Some(Pass { since: now.at, planned: false, holds: ServerListing::default(), results });
        self.scanning = true;
        self.effects.push(Effect::Scan);
        let left_alone = matches!(self.server, Server::Away { until, asked: true, .. } if now.at < until);
        if !left_alone && !matches!(self.server, Server::Looking(_)) {
            self.look();
        }
    }

    fn on_scanned(&mut self, scan: Scan, now: Now) {
        for root in scan.missing.iter().filter(|root| !self.missing.contains(*root)).cloned().collect::<Vec<_>>() {
            self.tell(Notice::general(NoticeKind::RootMissing { root }));
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
            if let Owner::Conflict(paths) = self.files.owner(&key) {
                self.conflict(&key, paths);
            }
        }
        // A file that a walk did not find is believed to be gone only when its own path says so.
        for path in vanished {
            self.on_ready(path, now.at, now);
        }
        if self.first_pass && self.policy.once.is_none() {
            // A file that was written a moment ago is read in a moment, and is likely to be one.
            let found = self.files.plugins().filter(|plugin| self.policy.selects_plugin(plugin)).count();
            let plugins = found + self.pending.len();
            let (roots, server) = (self.policy.roots.clone(), self.policy.server.clone());
            self.tell(Notice::general(NoticeKind::Ready { roots, plugins, server }));
        }
        self.advance_look(now);
    }

    /// Says once what was looked for and is not there, as soon as every file that there is was read.
    fn tell_absent(&mut self) {
        if self.asked_for != AskedFor::Unknown || self.scanning || self.pass.is_none() || !self.pending.is_empty() {
            return;
        }
        // What is in a root that is waited for is not known yet.
        if self.policy.once.is_none() && !self.missing.is_empty() {
            return;
        }
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
            self.tell(Notice::general(NoticeKind::Trouble {
                message: format!("watch.toml has settings for `{}`, which is not there", path.display()),
                hint: Some(
                    "if the file has another name now, its settings need it too: an id set there is lost".to_owned(),
                ),
            }));
        }
        // A script that finds nothing to deploy looks in the wrong place.
        let none_found = self.files.plugins().next().is_none() && self.n_skipped() + self.n_unreadable_folders() == 0;
        let nothing = self.policy.only.is_empty() && none_found;
        let usage = self.policy.once.is_some() && (nothing || !unknown.is_empty());
        for message in unknown {
            let hint = "an id is what the server calls it; a path starts where you are, and must not be left out by \
                        `exclude` or .gitignore";
            self.tell(Notice::general(NoticeKind::Trouble { message, hint: Some(hint.to_owned()) }));
        }
        if nothing {
            self.tell(Notice::general(NoticeKind::NothingFound { roots: self.policy.roots.clone() }));
        }
        if usage && self.lanes.with(|lane| lane.intent.as_ref()).next().is_none() {
            self.exit.get_or_insert(Code::Usage);
        }
        // What a deploy that was cut short has left behind is made good before.
        self.asked_for = if usage { AskedFor::Absent } else { AskedFor::Told };
    }

    /// A path may have changed: read it, at once unless a formatter may still be about to write it once more. When that has
    /// come there is nothing more to wait for, also where it was no formatter but a program that saves all the time. Its
    /// saves are sent as often as the server takes them.
    fn on_ready(&mut self, path: Arc<Path>, saved: Duration, now: Now) {
        let before = self.pending.get(&path).copied();
        let fresh = Pending { since: now.at, due: None, held: Held::No, saved: Some(saved) };
        let pending = Pending { saved: Some(saved), ..before.unwrap_or(fresh) };
        let key = self.files.get(&path).and_then(File::plugin).map(|plugin| &plugin.key);
        let hot = key.is_some_and(|key| self.is_hot(key, now.at));
        let same_save = |pending: Pending| pending.held == Held::No && now.at < pending.since + ONE_SAVE;
        match before.filter(|pending| pending.due.is_some()) {
            None if hot && before.is_none() => {
                self.pending.insert(path, Pending { due: Some(now.at + HOT_QUIET), ..pending });
            }
            Some(waiting) if hot && same_save(waiting) => drop(self.pending.insert(path, pending)),
            _ => self.read(path, pending),
        }
    }

    /// Whether a formatter may still be at work on what was deployed last.
    fn is_hot(&self, key: &Key, saved: Duration) -> bool {
        self.lanes.get(key).and_then(|lane| lane.sent).is_some_and(|sent| saved < sent + HOT)
    }

    fn read(&mut self, path: Arc<Path>, pending: Pending) {
        self.pending.insert(Arc::clone(&path), Pending { due: None, ..pending });
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
            self.hold(&path, &loaded, pending, now);
        } else {
            self.accept(path, &loaded, since, pending.and_then(|pending| pending.saved), now);
            self.advance_look(now);
        }
    }

    /// Half a save is no save: the file is read again soon. A claim of a file that is not there does not count meanwhile.
    fn hold(&mut self, path: &Arc<Path>, loaded: &Loaded, pending: Option<Pending>, now: Now) {
        let since = pending.map_or(now.at, |pending| pending.since);
        let saved = pending.and_then(|pending| pending.saved);
        if pending.is_none_or(|pending| pending.held == Held::No) {
            self.tell(Notice { about: Subject::file(path), what: NoticeKind::Held });
        }
        let missing = *loaded == Loaded::Missing;
        let held = if missing { Held::Missing } else { Held::Incomplete };
        self.pending.insert(Arc::clone(path), Pending { since, due: Some(now.at + REREAD), held, saved });
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
    fn accept(&mut self, path: Arc<Path>, loaded: &Loaded, since: Duration, saved: Option<Duration>, now: Now) {
        let before = match loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => {
                self.files.put(Arc::clone(&path), File::Plugin(Arc::clone(plugin)))
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
        self.on_file_gone(&path, loaded, before.as_ref(), now);
        self.tell_loaded(&path, loaded, before.as_ref(), saved.is_some());
        let is = match loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => Some(plugin.key.clone()),
            _ => None,
        };
        if let (Loaded::Parsed(Parsed::Plugin(plugin)), Some(saved)) = (loaded, saved) {
            self.reconsider_refusal(plugin, saved);
            if matches!(self.decide(plugin, Remote::NotAsked, false), Decision::Deploy(_)) {
                self.try_soon();
            }
        }
        if let Some(was) = was
            && is.as_ref() != Some(&was.key)
            && self.is_open_question(&was.key)
        {
            self.consider(&was.key, since, now);
        }
        if let Some(key) = is {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.removal = None;
            }
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
        self.files.owner(key) == Owner::None || self.conflicts.contains_key(key) || self.doubted.contains_key(key)
    }

    /// What reading a file has to say for itself. What a save shows is always told, what a scan shows only when it is new.
    fn tell_loaded(&mut self, path: &Arc<Path>, loaded: &Loaded, before: Option<&File>, saved: bool) {
        let was = before.and_then(File::plugin);
        let about = Subject::file(path);
        match loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => {
                if !self.policy.selects_plugin(plugin) {
                    return;
                }
                if let Some(was) = was
                    && was.key != plugin.key
                    && self.ledger.get(&was.key).is_some_and(|record| record.deployed.is_some())
                    && self.files.owner(&was.key) == Owner::None
                {
                    self.tell(Notice::of(plugin, NoticeKind::IdChanged { from: was.key.clone() }));
                }
                if was.is_none_or(|was| was.digest != plugin.digest) {
                    for warning in &plugin.warnings {
                        self.tell(Notice::of(plugin, NoticeKind::Surprising(warning.clone())));
                    }
                }
            }
            Loaded::Parsed(Parsed::Flawed(flaw)) => {
                let known = matches!(before, Some(File::Flawed { flaw: before, .. }) if before == flaw);
                let was = before.and_then(File::known);
                if self.policy.selects(path, was.map(|was| was.key.id.as_str())) && (saved || !known) {
                    let about = was.map_or(about, |was| Subject { version: None, digest: None, ..(&**was).into() });
                    self.complaints.insert(Arc::clone(path), Complaint::Error);
                    self.tell(Notice { about, what: NoticeKind::Flawed(flaw.clone()) });
                }
            }
            Loaded::Parsed(Parsed::Disabled) => self.tell(Notice { about, what: NoticeKind::Disabled }),
            Loaded::SameFile(original) => {
                self.tell(Notice { about, what: NoticeKind::SameFile { original: original.clone() } });
            }
            Loaded::Parsed(Parsed::NotAPlugin) | Loaded::Missing | Loaded::Unsettled => {}
        }
        let gone = matches!(loaded, Loaded::Missing | Loaded::Parsed(Parsed::NotAPlugin | Parsed::Disabled));
        if let (true, Some(was)) = (gone, before.and_then(File::known))
            && self.files.owner(&was.key) == Owner::None
            && self.policy.selects_plugin(was)
        {
            let leaves = self.lanes.get(&was.key).is_some_and(|lane| lane.removal.is_some());
            let next = leaves.then_some((self.policy.on_delete, self.policy.gone_after));
            let on_server = self.ledger.get(&was.key).is_some_and(|record| record.deployed.is_some());
            let file_there = *loaded != Loaded::Missing;
            self.tell(Notice::of(was, NoticeKind::Removed { file_there, on_server, next }));
        }
    }

    /// What is in flight now was begun before the rollback, and does not end it.
    fn on_rolled_back(&mut self, rollbacks: BTreeMap<Key, Rollback>) {
        let mut before: BTreeMap<_, _> =
            self.lanes.iter_mut().filter_map(|(key, lane)| Some((key.clone(), lane.rollback.take()?))).collect();
        for (key, rollback) in rollbacks {
            self.lanes.of(&key).rollback = Some(rollback);
            let known = before.remove(&key) == Some(rollback);
            if let Some(flight) = self.lanes.in_flight_mut(&key).filter(|_| !known) {
                flight.rolled_back = true;
            }
        }
    }

    // ---- what is to be done about a plugin --------------------------------------------------------------------------

    /// Decides about one id after something about its files changed.
    fn consider(&mut self, key: &Key, since: Duration, now: Now) {
        // Everything is planned at once when the walk is done and the server has said what it holds.
        if self.scanning {
            return;
        }
        match self.present_owner(key) {
            Owner::None => {
                self.doubted.remove(key);
                self.conflicts.remove(key);
                self.cancel(key);
            }
            Owner::One(plugin) => {
                self.doubted.remove(key);
                self.conflicts.remove(key);
                if !self.is_plannable(&plugin) {
                    return;
                }
                let remote = self.remote(key);
                self.plan(&plugin, remote, since, now);
            }
            Owner::Conflict(paths) => self.doubt(key, paths, since),
        }
    }

    /// What the server was seen to hold, for a plugin that the pass under way has not come to yet.
    fn remote(&mut self, key: &Key) -> Remote {
        if let Some(remote) = self.lanes.get_mut(key).and_then(|lane| lane.unread.take()) {
            return remote;
        }
        let planned = !self.lanes.is_idle(key);
        // What was seen before an absence is old.
        let known = matches!(self.server, Server::Open) && !planned;
        match self.pass.as_ref().filter(|pass| known && pass.planned && !pass.results.contains_key(key)) {
            Some(pass) => pass.holds.of(key),
            None => Remote::NotAsked,
        }
    }

    /// Takes back a deploy, or a removal, that has not begun. What a crash has left behind is made good all the same.
    fn cancel(&mut self, key: &Key) {
        if self.lanes.waiting(key).is_some_and(|job| !matches!(job.task, Task::Recover)) {
            self.lanes.cancel(key);
        }
    }

    /// Who claims an id, apart from files that were not there a moment ago.
    fn present_owner(&self, key: &Key) -> Owner {
        let Owner::Conflict(paths) = self.files.owner(key) else { return self.files.owner(key) };
        let present: Vec<_> = paths.into_iter().filter(|path| !self.is_missing(path)).collect();
        match present.as_slice() {
            [path] => {
                let plugin = self.files.get(path).and_then(File::plugin);
                plugin.map_or(Owner::None, |plugin| Owner::One(Arc::clone(plugin)))
            }
            _ => Owner::Conflict(present),
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
                self.reread(path, Pending { since, due: None, held: Held::No, saved: None });
            }
        }
    }

    fn conflict(&mut self, key: &Key, paths: Vec<Arc<Path>>) {
        self.cancel(key);
        let selected = paths.iter().any(|path| self.policy.selects(path, Some(key.id.as_str())));
        if !selected {
            return;
        }
        if self.conflicts.get(key) != Some(&paths) {
            self.conflicts.insert(key.clone(), paths.clone());
            let entry = self.files.get(&paths[0]).and_then(File::plugin).map(|plugin| plugin.entry);
            let about = Subject { key: Some(key.clone()), entry, ..Subject::default() };
            self.complaints.extend(paths.iter().map(|path| (Arc::clone(path), Complaint::Error)));
            self.tell(Notice { about, what: NoticeKind::Conflict { paths } });
        }
    }

    /// What is known of a file that is about to be read may be old: it is planned when it was read. What is known of a
    /// root that is not there holds again when it is back.
    fn is_plannable(&self, plugin: &Plugin) -> bool {
        self.policy.selects_plugin(plugin)
            && !self.is_out_of_reach(&plugin.path)
            && !self.pending.contains_key(&plugin.path)
    }

    /// The plan for one plugin whose id nobody else claims.
    fn plan(&mut self, plugin: &Arc<Plugin>, remote: Remote, since: Duration, now: Now) {
        if !self.is_plannable(plugin) {
            return;
        }
        let key = &plugin.key;
        let remote = match remote {
            Remote::Holds(digest) if deploy::is_of_stub(digest, plugin.entry) => Remote::Stub,
            remote => remote,
        };
        self.tell_switched_off(plugin);
        let in_pass = remote != Remote::NotAsked;
        if let Some(flying) = self.lanes.in_flight(key).and_then(|flight| flight.conversation.deploys()) {
            if flying.digest == plugin.digest {
                self.cancel(key);
                self.tell_unchanged(plugin, in_pass, None);
            } else {
                self.request(plugin, Why::Edited, since, in_pass);
            }
            return;
        }
        let reason = match &self.server {
            Server::Open => None,
            // After an absence, only an answer tells that it is over.
            Server::Away { .. } => Some(WaitReason::Away),
            Server::Looking(_) if self.shut_for.is_some() => Some(WaitReason::Denied),
            Server::Looking(_) if self.absence.is_some() => Some(WaitReason::Away),
            // What it holds is about to be known, and then everything is planned.
            Server::Looking(_) => return,
            Server::Shut { .. } => Some(WaitReason::Denied),
        };
        // Once: a text that ends the server must not do so whenever the pass is taken up again.
        let came = self.pass.as_ref().is_some_and(|pass| pass.results.contains_key(key));
        let forced = in_pass && self.first_pass && self.policy.terms.force && !came;
        // What waits because of what the server was seen to hold is not done with by what the ledger believes.
        let waits = self.lanes.waiting(key).and_then(Job::deploy).map(|(_, why)| why);
        let seen = waits.filter(|why| !in_pass && why.overrides_ledger());
        let decision = match (self.decide(plugin, remote, forced), seen) {
            (Decision::Unchanged | Decision::Deploy(_), Some(why)) => Decision::Deploy(why),
            // What the ledger believes is not told to whoever saves when it is about to be known.
            (Decision::Unchanged, None) if !in_pass && reason.is_none() && self.is_asked_ahead(key) => {
                Decision::Deploy(Why::SavedAgain)
            }
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
            self.lanes.of(key).unread = Some(remote);
            if !self.pending.contains_key(&plugin.path) {
                let pending = Pending { since, due: None, held: Held::No, saved: None };
                self.reread(Arc::clone(&plugin.path), pending);
            }
            return;
        }
        match decision {
            Decision::Deploy(why) => match reason {
                None => self.request(plugin, why, since, in_pass),
                Some(reason) => {
                    self.tell(Notice::of(plugin, NoticeKind::Waiting { reason, again: false }));
                }
            },
            Decision::Unchanged => {
                self.cancel(key);
                self.lanes.of(key).end_retry(Cause::DiskFull);
                if in_pass {
                    self.note_held(plugin, now);
                }
                self.files.drop_text(plugin);
                self.tell_unchanged(plugin, in_pass, None);
            }
            Decision::RolledBack => {
                self.cancel(key);
                self.files.drop_text(plugin);
                self.tell_rolled_back(plugin);
            }
            Decision::RefusedBefore(Refusal { words, .. }) => {
                self.cancel(key);
                // When the server comes back from an absence, it is no news.
                if !in_pass || self.pass.is_some() {
                    let span = refusal::place(&words, &plugin.text);
                    let on_server = match remote {
                        Remote::Holds(_) => true,
                        Remote::NotListed | Remote::Stub => false,
                        Remote::NotAsked => self.ledger.get(key).is_some_and(|record| record.deployed.is_some()),
                    };
                    self.complaints.insert(Arc::clone(&plugin.path), Complaint::Error);
                    self.note_result(key, PassResult::Refused);
                    self.tell(Notice::of(plugin, NoticeKind::RefusedBefore { words, span, on_server }));
                }
            }
        }
    }

    /// It was saved again as it is. Where the server's words are not about a line of it, the cause may have been elsewhere,
    /// and the user may have seen to that. A formatter that saves after the editor is no user.
    fn reconsider_refusal(&mut self, plugin: &Plugin, saved: Duration) {
        let (key, digest) = (&plugin.key, plugin.digest);
        if self.is_hot(key, saved) {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(key)
            && let Some(crash) = &mut lane.crash
        {
            crash.start_anew();
            lane.end_retry(Cause::Crash);
        }
        let Some(LastAttempt::Refused { digest: refused, refusal }) = self.ledger.get(key).map(|record| &record.last)
        else {
            return;
        };
        if *refused == digest && !refusal::names_a_line(&refusal.words) {
            self.note_ended(key, LastAttempt::Failed { digest });
        }
    }

    /// Its file is back, and we have switched it off meanwhile. What the user wants now, and what others have done to
    /// the switch since, is not known.
    fn tell_switched_off(&mut self, plugin: &Plugin) {
        if self.ledger.get(&plugin.key).is_none_or(|record| !record.switched_off) {
            return;
        }
        self.tell(Notice::of(plugin, NoticeKind::LeftOff));
        if !self.policy.terms.dry_run {
            self.ledger.switched_off(&plugin.key, false);
            self.effects.push(Effect::Save(plugin.key.clone()));
        }
    }

    fn request(&mut self, plugin: &Arc<Plugin>, why: Why, since: Duration, in_pass: bool) {
        let job = Job { task: Task::Deploy { plugin: Arc::clone(plugin), why }, since, in_pass };
        let replaced = self.lanes.request(plugin.key.clone(), job);
        if let Some((older, _)) = replaced.as_ref().and_then(Job::deploy)
            && older.digest != plugin.digest
        {
            self.tell(Notice::of(older, NoticeKind::Superseded));
        }
    }

    fn decide(&self, plugin: &Plugin, remote: Remote, forced: bool) -> Decision {
        let key = &plugin.key;
        let given_up = self.given_up(plugin);
        plan::decide(self.ledger.get(key), self.rollback(key).as_ref(), given_up, remote, plugin.digest, forced)
    }

    /// The rollback of a plugin, if it is rolled back.
    fn rollback(&self, key: &Key) -> Option<Rollback> {
        self.lanes.get(key)?.rollback
    }

    /// Whether another text was put back in place of the one that the file holds.
    fn is_rolled_back(&self, plugin: &Plugin) -> bool {
        self.rollback(&plugin.key).is_some_and(|rollback| rollback.local == Some(plugin.digest))
    }

    /// Starts what may start.
    fn pump(&mut self, now: Now) {
        if self.ending.is_some() || self.exit.is_some() || !matches!(self.server, Server::Open) {
            return;
        }
        self.cancel_outdated();
        while let Some((key, job)) = self.next_job() {
            let Job { task, since, in_pass } = job;
            // What a deploy that was cut short has left behind comes first.
            let (conversation, step) = match (self.lanes.of(&key).intent.clone(), task) {
                (Some(intent), task) => {
                    let (recovery, step) = Recovery::start(key.clone(), intent);
                    if !matches!(task, Task::Recover) {
                        self.lanes.request(key.clone(), Job { task, since, in_pass });
                    }
                    (Conversation::Recover(recovery), step.map_done(Ended::Recover))
                }
                (None, Task::Recover) => continue,
                (None, Task::Remove { plugin, mode, deployed }) => {
                    let (removal, step) = Removal::start(key.clone(), mode, deployed);
                    (Conversation::Remove(plugin, removal), step.map_done(Ended::Remove))
                }
                // It was asked for before the rollback.
                (None, Task::Deploy { plugin, why }) if why != Why::Forced && self.is_rolled_back(&plugin) => {
                    self.tell_rolled_back(&plugin);
                    continue;
                }
                (None, Task::Deploy { plugin, why }) => {
                    // What was saved as it is goes nowhere, as far as we know.
                    if why != Why::SavedAgain {
                        self.tell(Notice::of(&plugin, NoticeKind::Sending { why }));
                    }
                    let adopt = self.adopt(&plugin.path);
                    let terms = DeployPolicy { force: why == Why::Forced, adopt, ..self.policy.terms };
                    let known = self.known(&plugin, why, in_pass);
                    let lane = self.lanes.of(&key);
                    lane.end_retry(Cause::Crash);
                    lane.sent = Some(now.at);
                    let (exchange, step) = Deploy::start(plugin, known, terms);
                    (Conversation::Deploy(exchange), step.map_done(Ended::Deploy))
                }
            };
            // In a pass, waiting for one's turn is no part of how long a deploy took.
            let since = if in_pass { now.at } else { since };
            let slow_at = Some(now.at + SLOW);
            self.lanes.start(key.clone(), InFlight { conversation, since, in_pass, rolled_back: false, slow_at });
            match self.asked_ahead(&key, &step, now) {
                Some(Asked::Answered(reply)) => self.converse(key, reply, now),
                Some(Asked::UpdateIntent(ticket)) => {
                    self.tickets.insert(ticket, key);
                }
                None => self.step(key, step, now),
            }
        }
    }

    /// Takes back what waits to be deployed and is in its file no more, or in a root that is not there. It is planned again
    /// when the file, or the root, is back.
    fn cancel_outdated(&mut self) {
        let is_current = |plugin: &Plugin| {
            let held = self.files.get(&plugin.path).and_then(File::plugin);
            held.is_some_and(|held| held.key == plugin.key && held.digest == plugin.digest)
                && !self.is_out_of_reach(&plugin.path)
        };
        let waiting = self.lanes.all_waiting().filter_map(Job::deploy).map(|(plugin, _)| plugin);
        let outdated: Vec<_> = waiting.filter(|plugin| !is_current(plugin)).map(|plugin| plugin.key.clone()).collect();
        for key in &outdated {
            self.lanes.cancel(key);
        }
    }

    /// What may have taken the server's answer away, or made it fail, is sent alone, so that no other text is blamed for
    /// what it does, and it is blamed for no other.
    fn next_job(&mut self) -> Option<(Key, Job)> {
        let is_suspect = |lane: &Lane, plugin: Option<&Arc<Plugin>>| plugin.is_some_and(|plugin| lane.suspects(plugin));
        if self.lanes.all_in_flight().any(|(_, lane, flight)| is_suspect(lane, flight.conversation.deploys())) {
            return None;
        }
        let n_in_flight = self.lanes.n_in_flight();
        self.lanes.next_job(|key, lane, job| {
            let asks = self.ahead.as_ref().is_some_and(|ahead| ahead.runs_beside(key));
            let beside = n_in_flight + usize::from(asks);
            let has_room = beside < self.policy.concurrency.get();
            has_room && (beside == 0 || !is_suspect(lane, job.deploy().map(|(plugin, _)| plugin)))
        })
    }

    /// What to do about a new plugin that seems to be on the server under another id.
    fn adopt(&self, path: &Path) -> Adopt {
        self.policy.adopt_files.get(path).copied().unwrap_or(self.policy.terms.adopt)
    }

    /// What a conversation is to know.
    fn known(&self, plugin: &Plugin, why: Why, in_pass: bool) -> DeployContext {
        let key = &plugin.key;
        let record = self.ledger.get(key);
        let deployed = record.and_then(|record| record.deployed.as_ref()).map(|deployed| deployed.digest);
        let sent = record.map(|record| record.sent.as_slice()).unwrap_or_default();
        let rolled_back = self.rollback(key).map(|rollback| rollback.server);
        let lacking = self.pass.as_ref().map(|pass| &pass.holds).filter(|holds| in_pass && holds.lacks(key));
        DeployContext {
            ours: deployed.into_iter().chain(sent.iter().copied()).chain(rolled_back).collect(),
            unarchived: sent.iter().copied().filter(|sent| Some(*sent) != deployed).collect(),
            twins: match (self.adopt(&plugin.path), lacking) {
                (Adopt::Never, _) => Duplicates::Ignored,
                _ if !Identity::of(plugin).tells() => Duplicates::Ignored,
                (Adopt::Ask, Some(holds)) => Duplicates::Known(self.twin(plugin, holds)),
                // No list is at hand; or it is listed and then not there, so that the list is old.
                (Adopt::Ask, None) => Duplicates::Unknown(BTreeSet::new()),
            },
            refused: self.refused_before(plugin).filter(|_| why != Why::Forced),
            explains_updates: self.version.as_deref().is_some_and(explains_updates),
            unlisted: record.is_none() && lacking.is_some() && !self.is_asked_ahead(key),
        }
    }

    /// The ids that files here have, or had before they were broken. A file that was not there a moment ago may have
    /// another name now.
    fn claimed_elsewhere(&self) -> impl Iterator<Item = &Key> {
        let files = self.files.iter().filter(|(path, _)| !self.is_missing(path));
        files.filter_map(|(_, file)| file.known()).map(|plugin| &plugin.key)
    }

    /// The same plugin under another id, as an overview shows it.
    fn twin(&self, plugin: &Plugin, holds: &ServerListing) -> Option<Duplicate> {
        let kind = plugin.key.kind;
        let others = holds.rows.iter().filter(|(key, _)| key.kind == kind).map(|(key, seen)| (&key.id, &seen.identity));
        let claimed_elsewhere = |id: &PluginId| self.claimed_elsewhere().any(|key| key.kind == kind && key.id == *id);
        duplicate::find(&Identity::of(plugin), &plugin.key.id, others, claimed_elsewhere)
    }

    fn step(&mut self, key: Key, step: Step<Ended>, now: Now) {
        match step {
            Step::Call(call) => {
                self.record_sending(&key, &call);
                let ticket = self.ticket_of(key);
                self.effects.push(Effect::Call(ticket, call));
            }
            Step::SaveBackup(backup) => {
                let ticket = self.ticket_of(key);
                self.effects.push(Effect::SaveBackup(ticket, backup));
            }
            Step::SaveIntent(intent) => {
                self.lanes.of(&key).intent = Some(intent.clone());
                let ticket = self.ticket_of(key.clone());
                self.effects.push(Effect::SaveIntent(ticket, key, intent));
            }
            Step::Archive(backup, next) => {
                self.effects.push(Effect::Archive(backup));
                self.step(key, *next, now);
            }
            Step::Done(ended) => self.on_ended(&key, ended, now),
        }
    }

    /// A text that leaves may be on the server from then on, whether its answer comes or not: it is not to be taken for
    /// somebody else's.
    fn record_sending(&mut self, key: &Key, call: &Call) {
        // Whether its answer comes or not, the user is to know of it when the file is back.
        let removes = |flight: &InFlight| matches!(flight.conversation, Conversation::Remove(..));
        if matches!(call, Call::Toggle(_)) && self.lanes.in_flight(key).is_some_and(removes) {
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
        self.blame_crashes(&reply, now);
        if let Some(key) = self.tickets.remove(&ticket) {
            return self.converse(key, reply, now);
        }
        let Some(reply) = self.on_asked_ahead(ticket, reply, now) else { return };
        if let Some((key, version)) = self.errands.remove(&ticket) {
            match reply {
                Reply::Deleted => self.tell(Notice { about: self.about(&key), what: NoticeKind::Pruned }),
                // It is gone, or cannot be pruned.
                Reply::Absent | Reply::Refused { .. } => {}
                // It is surplus still when the next one is.
                _ => {
                    if let Some(session) = self.lanes.get_mut(&key).and_then(|lane| lane.session.as_mut()) {
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
            if let Reply::Unusable { .. } = reply {
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
            | Failure::KeepFailed { words: cause } => self.lose(cause.into(), None, now),
            Failure::StoredOther => {}
        }
    }

    /// Goes on with a conversation.
    fn converse(&mut self, key: Key, reply: Reply, now: Now) {
        let looks_for_twins = |flight: &&InFlight| flight.conversation.deploy().is_some_and(Deploy::looks_for_twins);
        let others = self.lanes.in_flight(&key).filter(looks_for_twins).map(|_| {
            let others = self.claimed_elsewhere().filter(|other| other.kind == key.kind && **other != key);
            others.map(|key| key.id.clone()).collect()
        });
        let spared = self.spared(&key);
        if let Some(flight) = self.lanes.in_flight_mut(&key) {
            if let (Conversation::Deploy(exchange), Some(others)) = (&mut flight.conversation, others) {
                exchange.claimed_elsewhere(others);
            }
            // What is found there then is not ours, whatever it says.
            if let Conversation::Deploy(exchange) = &flight.conversation
                && exchange.is_rejected_by(&reply)
            {
                self.ledger.rejected(&key, exchange.plugin().digest);
            }
            let step = spared.unwrap_or_else(|| flight.conversation.reply(reply));
            self.step(key, step, now);
        }
    }

    /// Something that a conversation waited for is on disk, or cannot be.
    fn on_written(&mut self, ticket: Ticket, written: impl FnOnce(&mut Conversation) -> Option<Step<Ended>>, now: Now) {
        let Some(key) = self.tickets.remove(&ticket) else { return };
        let spared = self.spared(&key);
        let step =
            spared.or_else(|| self.lanes.in_flight_mut(&key).and_then(|flight| written(&mut flight.conversation)));
        if let Some(step) = step {
            self.step(key, step, now);
        }
    }

    /// `unread`: so many are planned when their text is there.
    fn plan_pass(&mut self, holds: ServerListing, unread: usize) {
        let todo = self.lanes.n_waiting() + unread;
        let Some(pass) = &mut self.pass else { return };
        pass.holds = holds;
        let first_time = !std::mem::replace(&mut pass.planned, true);
        if first_time && todo > 0 {
            self.tell(Notice::general(NoticeKind::Pass { todo }));
        }
    }

    fn tally(&self, pass: &Pass) -> PassSummary {
        let count = |came| pass.results.values().filter(|result| **result == came).count();
        PassSummary {
            created: count(PassResult::Created),
            updated: count(PassResult::Updated),
            unchanged: count(PassResult::Unchanged),
            refused: count(PassResult::Refused),
            held: count(PassResult::Held),
            failed: count(PassResult::Failed),
            skipped: self.n_skipped(),
            unreadable_folders: self.n_unreadable_folders(),
        }
    }

    /// How many files cannot be deployed as they stand.
    fn n_skipped(&self) -> usize {
        let skipped = |path: &Path, file: &File| match file {
            File::Flawed { .. } if file.is_unreadable_folder() => false,
            File::Flawed { was, .. } => {
                file.is_broken() && self.policy.selects(path, was.as_ref().map(|was| was.key.id.as_str()))
            }
            File::Plugin(plugin) => {
                self.policy.selects_plugin(plugin) && matches!(self.files.owner(&plugin.key), Owner::Conflict(_))
            }
            File::Other => false,
        };
        self.files.iter().filter(|(path, file)| !self.is_out_of_reach(path) && skipped(path, file)).count()
    }

    fn n_unreadable_folders(&self) -> usize {
        let unreadable = |(path, file): &(&Arc<Path>, &File)| {
            file.is_unreadable_folder() && !self.is_out_of_reach(path) && self.policy.selects(path, None)
        };
        self.files.iter().filter(unreadable).count()
    }

    /// How many plugins the server does not hold as they stand in their files, and will be given when that can be.
    fn n_undeployed(&self) -> usize {
        self.n_planned(|_, decision| matches!(decision, Decision::Deploy(_)))
    }

    /// How many plugins that no other file claims have such a plan. A file that was saved and not read yet counts as one to
    /// deploy.
    fn n_planned(&self, counts: impl Fn(&Plugin, &Decision) -> bool) -> usize {
        let sole = |key| match self.files.owner(key) {
            Owner::One(plugin) => Some(plugin),
            Owner::None | Owner::Conflict(_) => None,
        };
        let plugins = self.files.keys().filter_map(sole);
        let in_reach = plugins.filter(|plugin| !self.is_out_of_reach(&plugin.path));
        let decision = |plugin: &Plugin| {
            let saved = self.pending.contains_key(&plugin.path);
            if saved { Decision::Deploy(Why::Edited) } else { self.decide(plugin, Remote::NotAsked, false) }
        };
        in_reach.filter(|plugin| self.policy.selects_plugin(plugin) && counts(plugin, &decision(plugin))).count()
    }

    /// The last line: how many plugins the server does not have as their files have them, and why.
    fn stopped(&self) -> NoticeKind {
        let is_held = |plugin: &Plugin| {
            let told = self.complaints.get(&plugin.path);
            told == Some(&Complaint::Held) && !self.pending.contains_key(&plugin.path)
        };
        NoticeKind::Stopped {
            waiting: self.n_planned(|plugin, plan| matches!(plan, Decision::Deploy(_)) && !is_held(plugin)),
            refused: self.n_planned(|_, plan| matches!(plan, Decision::RefusedBefore(_))),
            held: self.n_planned(|plugin, plan| match plan {
                Decision::Deploy(_) => is_held(plugin),
                Decision::RolledBack => true,
                Decision::RefusedBefore(_) | Decision::Unchanged => false,
            }),
            with_errors: self.n_skipped(),
        }
    }

    fn about(&self, key: &Key) -> Subject {
        match self.files.owner(key) {
            Owner::One(plugin) => Subject::from(&*plugin),
            Owner::None | Owner::Conflict(_) => Subject { key: Some(key.clone()), ..Subject::default() },
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
            for removal in self.lanes.values_mut().filter_map(|lane| lane.removal.as_mut()) {
                if removal.due.take_if(|due| *due <= now.at).is_some() {
                    self.effects.push(Effect::CheckPresence(Arc::clone(&removal.plugin.path)));
                }
            }
        }
        self.retry_due(now);
        let mut slow = Vec::new();
        for flight in self.lanes.all_in_flight_mut() {
            if flight.slow_at.is_some_and(|at| at <= now.at) {
                flight.slow_at = None;
                slow.extend(
                    flight
                        .conversation
                        .deploys()
                        .map(|plugin| (Arc::clone(plugin), now.at.saturating_sub(flight.since))),
                );
            }
        }
        for (plugin, so_far) in slow {
            let installs = plugin.frontmatter.requirements().map(str::to_owned);
            self.tell(Notice::of(&plugin, NoticeKind::Slow { so_far, installs }));
        }
        if let Some(Ending::Replace { slow_at }) = &mut self.ending
            && slow_at.take_if(|at| *at <= now.at).is_some()
        {
            let ids = self.lanes.all_in_flight().map(|(key, ..)| key.id.to_string()).collect();
            self.tell(Notice::general(NoticeKind::SettingsWait { ids }));
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
            self.tell(Notice::general(NoticeKind::Stopping { in_flight: self.lanes.n_in_flight() }));
        }
    }

    /// To the user, who is told of the new settings, nothing ends.
    fn on_replace(&mut self, now: Now) {
        self.ending.get_or_insert(Ending::Replace { slow_at: Some(now.at + SLOW) });
    }

    /// Ends a pass that has nothing left to do, and the program when it is to end.
    fn finish(&mut self, now: Now) {
        if let Some(Ending::Replace { .. }) = self.ending {
            if self.lanes.n_in_flight() == 0 {
                self.effects.push(Effect::Exit(Code::Fine));
            }
            return;
        }
        if let Some(Ending::Stop { by }) = self.ending {
            if self.lanes.n_in_flight() == 0 || by <= now.at {
                let stopped = self.stopped();
                let is_complete =
                    matches!(stopped, NoticeKind::Stopped { waiting: 0, refused: 0, held: 0, with_errors: 0 });
                let cut_short = self.policy.once.is_some() && !is_complete;
                self.tell(Notice::general(stopped));
                let code = if cut_short { Code::NotDeployed } else { Code::Fine };
                self.effects.push(Effect::Exit(code));
            }
            return;
        }
        if let Some(code) = self.exit {
            // What is in flight may have something to be made good.
            if self.lanes.n_in_flight() == 0 {
                self.effects.push(Effect::Exit(code));
            }
            return;
        }
        let idle = self.lanes.n_in_flight() == 0
            && self.lanes.n_waiting() == 0
            && self.errands.is_empty()
            && self.pending.is_empty()
            && !self.scanning
            && matches!(self.server, Server::Open);
        // A watch says how the pass went, and goes on trying.
        let retries = self.next_retry().is_some();
        let idle = idle && (self.policy.once.is_none() || !retries);
        if !idle || !self.pass.as_ref().is_some_and(|pass| pass.planned) {
            return;
        }
        let Some(pass) = self.pass.take() else { return };
        self.first_pass = false;
        let (tally, dry_run) = (self.tally(&pass), self.policy.terms.dry_run);
        self.tell(Notice::general(NoticeKind::Summary { tally, took: now.at.saturating_sub(pass.since), dry_run }));
        if self.policy.once.is_some() {
            let code = match tally.is_complete() {
                _ if self.asked_for == AskedFor::Absent => Code::Usage,
                true => Code::Fine,
                false => Code::NotDeployed,
            };
            self.effects.push(Effect::Exit(code));
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.effects.push(Effect::Tell(notice));
    }

    /// After an error, the user hears that the file is good again.
    fn tell_unchanged(&mut self, plugin: &Plugin, in_pass: bool, active: Option<bool>) {
        // What the server says of what is in flight is not known yet.
        let good_again = self.lanes.in_flight(&plugin.key).is_none()
            && self.complaints.remove(&plugin.path) == Some(Complaint::Error);
        if in_pass {
            self.note_result(&plugin.key, PassResult::Unchanged);
        }
        self.tell(Notice::of(plugin, NoticeKind::Unchanged { in_pass, active, good_again }));
    }

    fn tell_rolled_back(&mut self, plugin: &Plugin) {
        self.note_result(&plugin.key, PassResult::Held);
        self.tell(Notice::of(plugin, NoticeKind::RolledBack));
    }

    /// What came of a plugin in the pass, if one is under way.
    fn note_result(&mut self, key: &Key, result: PassResult) {
        let Some(pass) = &mut self.pass else { return };
        // What was deployed a moment ago is found unchanged when the pass is taken up again.
        let is_newer = result != PassResult::Unchanged
            || !matches!(pass.results.get(key), Some(PassResult::Created | PassResult::Updated));
        if is_newer {
            pass.results.insert(key.clone(), result);
        }
    }
}

/// Whether a server of this version says why it refuses an update. Of a create none since 0.10 says it.
fn explains_updates(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(0), Some(12))
}
