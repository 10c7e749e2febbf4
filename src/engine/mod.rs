//! Every decision. Pure: [`Engine::handle`] takes one event and the time, and answers with effects. No IO, no clock, no
//! randomness, no async, no logging, so that tests and simulations can drive it through any schedule.
//!
//! `tree` is what the disk holds; `site` is what one server holds and what is in flight there, with a `lane` per
//! plugin. Everything else follows from these two. While the server is away no list of waiting plugins is kept that
//! could go stale: when it is back, [`plan`] compares the two again.
//!
//! This file has the events, the effects, and the routes between them. A save goes through `tree` (read), [`plan`]
//! (decide), `dispatch` (gather the facts, act on the decision, start the conversation: [`deploy`], [`repair`] or
//! `removal`) and `outcome` (record, tell).
//!
//! # One server
//!
//! The engine has one `Site`, and no list of one: two thirds of its methods would take an index that is always 0.
//!
//! The state of a server is in its `Site`, except its address and key (in [`Policy`]), the end of its first pass, and
//! the complaints about files that it refused. A [`Ticket`] is unique in the engine, so an answer finds its site by it.
//! With two sites, the effects `Save`, `ClearIntent`, `Archive`, `ArchiveFound` and `EndRollback`, and the event
//! `RolledBack`, would name theirs.
//!
//! Long because all that goes into the engine and comes out of it is defined here.

mod access;
mod call;
mod crashes;
pub mod deploy;
mod dispatch;
pub mod duplicate;
pub mod files;
mod form;
mod gone;
mod hold;
mod job;
mod lane;
pub mod ledger;
mod outcome;
mod pass;
pub mod plan;
mod prefetch;
mod queue;
pub mod refusal;
mod removal;
pub mod repair;
pub mod request;
mod result;
mod retry;
mod site;
mod step;
pub mod switch;
mod tree;
mod trial;
mod unused;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::check::Choices;
use crate::notice::{Notice, NoticeKind, Subject};
use crate::paths::is_under;
use crate::plugin::{Digest, Key, Plugin};
use access::{Access, Outage, Seen, ServerListing};
use deploy::{Adopt, Backup, Call, CallFailure, DeployPolicy, ListedRow, Reply};
use files::{File, FilePresence, Loaded, Owner};
use lane::Lane;
use ledger::{Ledger, Rollback, SavedState, UpdateIntent};
use pass::{AskedFor, Pass, Undeployed};
pub use removal::KeepReason;
use site::Site;
use tree::{Complaint, Tree};
use trial::Trials;
pub use trial::{TrialOutcome, TrialPolicy};

/// The versions of Open WebUI that the tests deploy to.
pub const TESTED: [&str; 4] = ["0.6.43", "0.9.6", "0.11.4", "0.12.4"];

/// How long a deploy takes before the user is told that it is still on its way.
const SLOW: Duration = Duration::from_secs(3);
/// How long a scan takes before the user is told that saves wait for it. That of 10,000 files takes less than a second.
const SCAN_SLOW: Duration = Duration::from_secs(10);
/// How long a stop waits for what is in flight.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The time, and one draw of luck, as the daemon hands them in.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Time since the daemon started; never goes back.
    pub at: Duration,
    /// The calendar time, for the ledger.
    pub wall: Timestamp,
    /// A random number from 0 to 1, for jitter.
    pub chance: f64,
}

/// Everything the engine reacts to.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Look at everything again: start-up, events were lost, the configuration changed.
    Rescan,
    /// Try an unreachable server now, whatever its pause: the user asks for it.
    TryNow,
    /// The answer to [`Effect::Scan`].
    Scanned(Scan),
    /// A save of this file seems to begin. More may follow, or nothing.
    Saving(Arc<Path>),
    /// These files are ready to be read. The time is when the writer was done: git may have held the file back since.
    Ready(Vec<(Arc<Path>, Duration)>),
    /// These have been written for a while and are not ready.
    BeingWritten(Vec<Arc<Path>>),
    /// The answer to [`Effect::Read`].
    Loaded(Arc<Path>, Loaded),
    /// The answer to [`Effect::Call`].
    Replied(Ticket, Reply),
    /// The answer to [`Effect::SaveBackup`]: the path of the copy, or why there is none.
    BackupSaved(Ticket, Result<PathBuf, String>),
    /// The answer to [`Effect::SaveIntent`]: it is on disk, or why it is not.
    IntentSaved(Ticket, Result<(), String>),
    /// The answer to [`Effect::CheckPresence`].
    PresenceChecked(Arc<Path>, FilePresence),
    /// The answer to [`Effect::Try`].
    Tried(Ticket, TrialOutcome),
    /// The user asks for a deploy of these plugins now, also if they are held or were refused.
    Deploy(Vec<(Key, Arc<Path>)>),
    /// Another process started or ended rollbacks: these are the current ones.
    RolledBack(BTreeMap<Key, Rollback>),
    /// Another process deleted this plugin, with this text, on the server, because the user asked for it.
    Deleted(Key, Digest),
    /// The settings are changing: while that is so, nothing starts, and nothing that has only read goes on.
    Hold(bool),
    /// The time of [`Engine::next_wake`] has come.
    Wake,
    /// Finish what is in flight, within a limit, and end.
    Stop,
    /// Finish what is in flight, however long that takes, and end: another engine continues.
    Replace,
}

/// The result of a walk of the roots.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    /// The files.
    pub files: Vec<(Arc<Path>, Loaded)>,
    /// Missing roots.
    pub missing: Vec<PathBuf>,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Effect {
    /// Walk the roots and read every file.
    Scan,
    /// Read one file, whose writer is done.
    Read(Arc<Path>),
    /// Read an incomplete file again; no event said that it is complete now.
    Reread(Arc<Path>),
    /// Make one request.
    Call(Ticket, Call),
    /// Save a copy of somebody else's text, before the call that replaces it.
    SaveBackup(Ticket, Backup),
    /// Save the intent of an update, before the update leaves.
    SaveIntent(Ticket, Key, UpdateIntent),
    /// Delete an intent that is no longer needed.
    ClearIntent(Key),
    /// Keep a copy of a text of ours that the server holds, for a later rollback.
    Archive(Backup),
    /// Keep a copy of a text that the server held without a deploy of ours.
    ArchiveFound(Backup),
    /// End a rollback: the server holds the file's text again, or the plugin was deleted there.
    EndRollback(Key),
    /// Look again at a file that seems to be gone.
    CheckPresence(Arc<Path>),
    /// Run this plugin once on the server, beside everything else.
    Try(Ticket, Box<Subject>),
    /// End that trial: its text is outdated. No answer follows.
    EndTrial(Ticket),
    /// Write this plugin's record in [`Engine::ledger`] to disk.
    Save(Key),
    /// Tell the user.
    Tell(Notice),
    /// End with this code.
    Exit(Code),
}

/// The exit codes, as `docs/ci.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// All is well.
    Fine = 0,
    /// Something was not deployed.
    NotDeployed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The server could not be reached, or denied access.
    NoServer = 3,
}

/// Matches an answer to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Ticket(u64);

/// The settings that the engine follows.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The watched folders, for messages.
    pub roots: Vec<PathBuf>,
    /// The server's address, for messages.
    pub server: String,
    /// Whether the address was configured; otherwise it is the default.
    pub configured: bool,
    /// Where the key was found, for messages; `None` without one.
    pub key: Option<String>,
    /// How many conversations may be in flight at once.
    pub concurrency: NonZeroUsize,
    /// `Some` for `--once`: how long to keep trying while the server is away.
    pub once: Option<Duration>,
    /// For each conversation; `force` holds for the first pass.
    pub deploy: DeployPolicy,
    /// What to do on the server about a plugin whose file is gone.
    pub on_delete: OnDelete,
    /// How long the file must stay gone first.
    pub gone_after: Duration,
    /// How many versions of one editing session stay in the server's history; `None` for all.
    pub keep_versions: Option<NonZeroUsize>,
    /// The files with settings of their own in watch.toml.
    pub named: Vec<PathBuf>,
    /// Exceptions to `deploy.adopt` for single files.
    pub adopt_files: BTreeMap<PathBuf, Adopt>,
    /// The rules of `check`, and for which files their errors hold a deploy back.
    pub checks: Choices,
    /// Which plugins are tried after a deploy; `None` for no plugin.
    pub trials: Option<TrialPolicy>,
    /// What the server does by itself.
    pub habits: ServerHabits,
    /// The paths and ids to work on; empty for all.
    pub only: Vec<String>,
}

/// What a server does by itself. A sandbox is not like others here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerHabits {
    /// Whether it makes new filters and actions global.
    pub new_is_global: bool,
    /// Whether it installs nothing for plugins.
    pub installs_nothing: bool,
}

/// What to do on the server about a plugin whose file is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDelete {
    /// Nothing.
    #[default]
    Keep,
    /// Switch a function off.
    Deactivate,
    /// Delete it, after a copy is on disk.
    Delete,
}

impl Policy {
    fn selects(&self, path: &Path, id: Option<&str>) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| names(name, path, id))
    }

    fn watches(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| is_under(path, root))
    }

    fn selects_plugin(&self, plugin: &Plugin) -> bool {
        self.selects(&plugin.path, Some(plugin.key.id.as_str()))
    }
}

/// Whether an argument names this file: by its id, its path, or a folder above it.
fn names(argument: &str, path: &Path, id: Option<&str>) -> bool {
    id == Some(argument) || path.starts_with(argument)
}

/// The whole state: what the disk holds and what the server holds.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    tree: Tree,
    site: Site,
    n_tickets: u64,
    first_pass: bool,
    /// Whether the plugins named on the command line exist.
    asked_for: AskedFor,
    /// The exit code of a single pass that cannot continue.
    exit: Option<Code>,
    /// The exit code of a single pass whose deploys are done.
    deployed: Option<Code>,
    /// While set, nothing new starts.
    ending: Option<Ending>,
    /// The settings are changing.
    is_held: bool,
    /// The plugins whose new texts wait to be deployed, until that is told.
    saves: Vec<Key>,
    effects: Vec<Effect>,
}

/// How the engine treats conversations in flight when it ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// They are given up then.
    Stop { by: Duration },
    /// Those that have changed something are finished. The next engine would not know of them: an older text could arrive
    /// after a newer one, and a function that the server switches off would stay off. `slow_at`: when to tell the user that this takes long;
    /// `None` once told.
    Replace { slow_at: Option<Duration> },
}

/// The state of a run that is in no file: the files that were there, pending removals, the versions of editing
/// sessions, texts that got no answer, the outage of the server.
#[derive(Debug)]
pub struct Handover {
    files: BTreeMap<Arc<Path>, File>,
    lanes: BTreeMap<Key, Lane>,
    complaints: BTreeMap<Arc<Path>, Complaint>,
    outage: Option<Outage>,
    trials: Trials,
    /// The policy that these trials followed.
    tried: Option<TrialPolicy>,
}

impl Handover {
    /// The connection settings changed: report reachability from scratch.
    #[must_use]
    pub fn with_another_way(self) -> Self {
        Self { outage: None, ..self }
    }
}

impl Engine {
    /// An engine that continues from the state of an earlier run.
    #[must_use]
    pub fn new(policy: Policy, saved: SavedState) -> Self {
        Self {
            site: Site::new(policy.concurrency, saved),
            policy,
            tree: Tree::default(),
            n_tickets: 0,
            first_pass: true,
            asked_for: AskedFor::Unknown,
            exit: None,
            deployed: None,
            ending: None,
            is_held: false,
            saves: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// The believed contents of the server, for [`Effect::Save`].
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.site.ledger
    }

    /// The plugin of this id, if one file here has it.
    #[must_use]
    pub fn plugin(&self, key: &Key) -> Option<Arc<Plugin>> {
        match self.tree.present_owner(key) {
            Owner::One(plugin) => Some(plugin),
            Owner::None | Owner::Conflict(_) => None,
        }
    }

    /// The ids of all plugins that have a file here, or are or were on the server.
    pub fn known(&self) -> impl Iterator<Item = &Key> {
        self.tree.files.keys().chain(self.site.ledger.keys())
    }

    /// Forgets the files, so that the next engine does not miss any.
    pub fn forget_files(&mut self) {
        self.tree.handed_over.clear();
        self.tree.files = files::Files::default();
    }

    /// State for the next engine of the same server. No conversation may be in flight.
    #[must_use]
    pub fn hand_over(self) -> Handover {
        let Self { tree, site, policy, .. } = self;
        let Site { lanes, outage, trials, .. } = site;
        let lanes = lanes.hand_over();
        let files = tree.handed_over.into_iter().chain(tree.files).collect();
        Handover { files, lanes, complaints: tree.complaints, outage, trials, tried: policy.trials }
    }

    /// Continues with the state of an earlier engine for the same server and clock.
    pub fn take_over(&mut self, unfinished: Handover) {
        let Handover { files, lanes, complaints, outage, trials, tried } = unfinished;
        let matters = |(path, file): &(Arc<Path>, File)| *file != File::Other && self.policy.watches(path);
        self.tree.handed_over = files.into_iter().filter(matters).collect();
        let none = TrialPolicy::default();
        let policy = self.policy.trials.as_ref().unwrap_or(&none);
        self.site.trials.take_over(trials, tried.as_ref().unwrap_or(&none), policy);
        (self.tree.complaints, self.site.outage) = (complaints, outage);
        self.site.lanes.take_over(lanes);
        for lane in self.site.lanes.values_mut() {
            let is_wanted = |plugin: &Plugin| {
                self.policy.watches(&plugin.path) && self.policy.on_delete.mode(plugin.key.kind).is_some()
            };
            lane.removal.take_if(|removal| !is_wanted(&removal.plugin));
            if let Some(removal) = &mut lane.removal {
                // A removal in progress is checked again.
                removal.due.get_or_insert_default();
            }
        }
    }

    /// New folders are being walked: nothing is read until that is done.
    pub fn begin_walk(&mut self, at: Duration) {
        self.tree.walk_slow_at.get_or_insert(at + SCAN_SLOW);
    }

    /// All new folders were walked.
    pub fn end_walk(&mut self) {
        self.tree.walk_slow_at = None;
    }

    /// Whether the first pass, to which `force` applies, has not ended yet.
    #[must_use]
    pub fn in_first_pass(&self) -> bool {
        self.first_pass
    }

    /// When the engine needs [`Event::Wake`], if at all.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let server = match &self.site.access {
            Access::Away { until, .. } if self.ending.is_none() => Some(*until),
            Access::Denied { until } if self.ending.is_none() => *until,
            Access::Away { .. } | Access::Denied { .. } | Access::Probing(_) | Access::Open => None,
        };
        let rereads = self.tree.pending.values().filter_map(|pending| pending.due);
        let slow = self.site.lanes.all_in_flight().filter_map(|(_, _, flight)| flight.slow_at);
        let open = self.site.is_open() && self.ending.is_none();
        let removals = self.site.lanes.with(|lane| lane.removal.as_ref()?.due.filter(|_| open)).map(|(_, due)| due);
        let retry = self.site.next_retry().filter(|_| open);
        let ending = self.ending.and_then(|ending| match ending {
            Ending::Stop { by } => Some(by),
            Ending::Replace { slow_at } => slow_at,
        });
        let slow_reading = self.tree.scan_slow_at.into_iter().chain(self.tree.walk_slow_at);
        rereads.chain(slow_reading).chain(slow).chain(removals).chain(retry).chain(server).chain(ending).min()
    }

    /// Takes one event, and answers with effects to perform in this order.
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
            Event::PresenceChecked(path, presence) => self.on_presence(&path, presence, now),
            Event::Tried(ticket, outcome) => self.on_tried(ticket, outcome),
            Event::Deploy(plugins) => plugins.into_iter().for_each(|(key, path)| self.on_requested(&key, path, now)),
            Event::RolledBack(rollbacks) => self.on_rolled_back(rollbacks, now),
            Event::Deleted(key, text) => self.on_deleted(&key, text, now),
            Event::Hold(is_held) => self.on_hold(is_held, now),
            Event::Wake => self.on_wake(now),
            Event::Stop => self.on_stop(now),
            Event::Replace => self.on_replace(now),
        }
        self.tell_absent();
        self.pump(now);
        self.pump_trials();
        self.finish(now);
        self.site.lanes.drop_empty();
        std::mem::take(&mut self.effects)
    }

    fn on_rescan(&mut self, now: Now) {
        // A pass that starts over does not repeat forced deploys.
        let results = self.site.pass.take().map(|pass| pass.results).unwrap_or_default();
        self.site.pass = Some(Pass { since: now.at, planned: false, holds: ServerListing::default(), results });
        self.tree.scanning = true;
        self.tree.scan_slow_at.get_or_insert(now.at + SCAN_SLOW);
        self.effects.push(Effect::Scan);
        let left_alone = matches!(self.site.access, Access::Away { until, asked: true, .. } if now.at < until);
        if !left_alone && !matches!(self.site.access, Access::Probing(_)) {
            self.probe();
        }
    }

    /// A ticket that routes the answer to a plugin's conversation.
    fn ticket_of(&mut self, key: Key) -> Ticket {
        let ticket = self.ticket();
        self.site.tickets.insert(ticket, key);
        ticket
    }

    fn ticket(&mut self) -> Ticket {
        self.n_tickets += 1;
        Ticket(self.n_tickets)
    }

    fn on_replied(&mut self, ticket: Ticket, reply: Reply, now: Now) {
        self.blame_crashes(&reply, now);
        if let Some(key) = self.site.tickets.remove(&ticket) {
            return self.converse(key, reply, now);
        }
        let Some(reply) = self.on_asked_ahead(ticket, reply, now) else { return };
        let Some(reply) = self.on_used(ticket, reply) else { return };
        if let Some((key, version)) = self.site.prunes.remove(&ticket) {
            match reply {
                Reply::Deleted => self.tell(Notice { about: self.about(&key), what: NoticeKind::Pruned }),
                // Already gone, or impossible to prune.
                Reply::Absent | Reply::Refused { .. } => {}
                // Try it again with the next one.
                _ => {
                    if let Some(session) = self.site.lanes.get_mut(&key).and_then(|lane| lane.session.as_mut()) {
                        session.versions.push_front(version);
                    }
                }
            }
            return;
        }
        let Access::Probing(probe) = &mut self.site.access else { return };
        if probe.connecting == Some(ticket) {
            probe.connecting = None;
        } else if let Some(kind) = probe.overviews.as_mut().and_then(|overviews| overviews.remove(&ticket)) {
            if let Reply::Rows(rows) = reply {
                let holds = rows.into_iter().map(|ListedRow { id, digest, switches, identity, .. }| {
                    (Key { kind, id }, Seen { digest, is_active: switches.active, identity })
                });
                probe.holds.rows.extend(holds);
                probe.holds.kinds.insert(kind);
                return self.advance_probe(now);
            }
            // Other users' rows can cause this. A plugin that is not listed is asked for by its id.
            if let Reply::Unusable { .. } = reply {
                return self.advance_probe(now);
            }
        } else {
            return;
        }
        if let Reply::Connected { version } = reply {
            probe.version = Some(version);
        } else {
            probe.failure = Some(reply);
        }
        self.advance_probe(now);
    }

    /// The server does not answer a probe as it should.
    pub(super) fn on_probe_failed(&mut self, reply: Reply, now: Now) {
        match reply.into_failure() {
            CallFailure::Unreachable { cause, retry_after } => self.on_unreachable(cause, retry_after, now),
            CallFailure::NotAllowed { status, words } => self.on_denied(status, words, now),
            CallFailure::NotOurs { words } => self.on_denied(401, words, now),
            CallFailure::Foreign { status, words } => self.on_foreign(status, words, now),
            CallFailure::Odd { words } => self.on_unreachable(words.into(), None, now),
        }
    }

    fn about(&self, key: &Key) -> Subject {
        match self.tree.files.owner(key) {
            Owner::One(plugin) => Subject::from(&*plugin),
            Owner::None | Owner::Conflict(_) => Subject { key: Some(key.clone()), ..Subject::default() },
        }
    }

    fn on_wake(&mut self, now: Now) {
        let due: Vec<_> = (self.tree.pending.iter())
            .filter(|(_, pending)| pending.due.is_some_and(|due| due <= now.at))
            .map(|(path, pending)| (Arc::clone(path), *pending))
            .collect();
        for (path, pending) in due {
            // Its writer may have started again since.
            self.reread(path, pending);
        }
        if self.site.is_open() && self.ending.is_none() {
            for removal in self.site.lanes.values_mut().filter_map(|lane| lane.removal.as_mut()) {
                if removal.due.take_if(|due| *due <= now.at).is_some() {
                    self.effects.push(Effect::CheckPresence(Arc::clone(&removal.plugin.path)));
                }
            }
        }
        let slow_reading = [&mut self.tree.scan_slow_at, &mut self.tree.walk_slow_at];
        if let Some(at) = slow_reading.into_iter().filter_map(|slow_at| slow_at.take_if(|at| *at <= now.at)).min() {
            self.tell(Notice::general(NoticeKind::ScanSlow { so_far: SCAN_SLOW + now.at.saturating_sub(at) }));
        }
        self.retry_due(now);
        let mut slow = Vec::new();
        for flight in self.site.lanes.all_in_flight_mut() {
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
            let installs = plugin.frontmatter.requirements().filter(|_| !self.policy.habits.installs_nothing);
            let installs = installs.map(str::to_owned);
            self.tell(Notice::of(&plugin, NoticeKind::Slow { so_far, installs }));
        }
        if let Some(Ending::Replace { slow_at }) = &mut self.ending
            && slow_at.take_if(|at| *at <= now.at).is_some()
        {
            let ids = self.site.lanes.all_in_flight().map(|(key, ..)| key.id.to_string()).collect();
            self.tell(Notice::general(NoticeKind::SettingsWait { ids }));
        }
        if let Access::Away { until, .. } | Access::Denied { until: Some(until) } = self.site.access
            && until <= now.at
            && self.ending.is_none()
        {
            self.probe();
        }
    }

    fn on_stop(&mut self, now: Now) {
        if !matches!(self.ending, Some(Ending::Stop { .. })) {
            self.ending = Some(Ending::Stop { by: now.at + STOP_PATIENCE });
            self.tell(Notice::general(NoticeKind::Stopping { in_flight: self.site.lanes.n_in_flight() }));
        }
    }

    /// Tells nothing: the user hears of the new settings instead.
    fn on_replace(&mut self, now: Now) {
        if self.ending.is_none() {
            self.give_up_what_has_not_begun(now);
            self.ending = Some(Ending::Replace { slow_at: Some(now.at + SLOW) });
        }
    }

    /// Ends a pass that has nothing left to do, and the program if it must end.
    fn finish(&mut self, now: Now) {
        if let Some(Ending::Replace { .. }) = self.ending {
            if self.site.lanes.n_in_flight() == 0 {
                self.effects.push(Effect::Exit(Code::Fine));
            }
            return;
        }
        if let Some(Ending::Stop { by }) = self.ending {
            if self.site.lanes.n_in_flight() == 0 || by <= now.at {
                let undeployed = self.undeployed();
                let is_incomplete = undeployed != Undeployed::default() || self.lacks_trials();
                let cut_short = self.policy.once.is_some() && is_incomplete;
                let Undeployed { waiting, refused, held, with_errors } = undeployed;
                self.tell(Notice::general(NoticeKind::Stopped { waiting, refused, held, with_errors }));
                let code = if cut_short { Code::NotDeployed } else { Code::Fine };
                self.effects.push(Effect::Exit(code));
            }
            return;
        }
        if let Some(code) = self.exit {
            // Conversations in flight may still have something to repair.
            if self.site.lanes.n_in_flight() == 0 {
                self.effects.push(Effect::Exit(code));
            }
            return;
        }
        if let Some(code) = self.deployed {
            self.effects.extend(self.code_after_trials(code).map(Effect::Exit));
            return;
        }
        let idle = self.site.lanes.n_in_flight() == 0
            && self.site.lanes.n_waiting() == 0
            && self.site.prunes.is_empty()
            && self.site.question.is_none()
            && self.tree.pending.is_empty()
            && !self.tree.scanning
            && self.site.is_open();
        // A watch reports the pass and keeps retrying.
        let retries = self.site.next_retry().is_some();
        let idle = idle && (self.policy.once.is_none() || !retries);
        if !idle || !self.site.pass.as_ref().is_some_and(|pass| pass.planned) {
            return;
        }
        let Some(pass) = self.site.pass.take() else { return };
        self.first_pass = false;
        let (tally, dry_run) = (self.tally(&pass), self.policy.deploy.dry_run);
        self.tell(Notice::general(NoticeKind::Summary { tally, took: now.at.saturating_sub(pass.since), dry_run }));
        if self.policy.once.is_some() {
            let code = match tally.is_complete() {
                _ if self.asked_for == AskedFor::Absent => Code::Usage,
                true => Code::Fine,
                false => Code::NotDeployed,
            };
            self.deployed = Some(code);
            self.effects.extend(self.code_after_trials(code).map(Effect::Exit));
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.effects.push(Effect::Tell(notice));
    }
}
