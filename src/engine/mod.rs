//! Every decision. Pure: [`Engine::handle`] takes one event and the time, and answers what is to be done. No IO, no clock,
//! no randomness, no async, no logging in here, so that tests and simulations can drive it through any schedule.
//!
//! The shape of it: `tree` is what the disk holds, `site` what one server holds and what is under way there, with a `lane`
//! for each plugin. Everything else follows from the two. What waits while the server is away is therefore not a list that
//! could go stale: when the server is back, [`plan`] compares the two again.
//!
//! In here are the events and the effects, and where each event goes. The way of a save: `tree` reads it, `dispatch` plans
//! it and begins the conversation ([`deploy`], [`repair`] or `removal`), `outcome` draws the conclusions.

mod call;
mod crashes;
pub mod deploy;
mod dispatch;
pub mod duplicate;
pub mod files;
mod form;
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
mod retry;
mod site;
mod tree;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::notice::{Notice, NoticeKind, Subject};
use crate::plugin::id::PluginId;
use crate::plugin::{Digest, Key, Plugin};
use deploy::{Adopt, Backup, Call, DeployPolicy, Failure, Reply};
use duplicate::Identity;
use files::{FilePresence, Loaded, Owner};
use lane::Lane;
use ledger::{Ledger, Rollback, SavedState, UpdateIntent};
use pass::{AskedFor, Pass};
use site::{Access, Outage, Seen, ServerListing, Site};
use tree::{Complaint, Tree};

/// The versions of Open WebUI that the tests deploy to.
pub const TESTED: [&str; 4] = ["0.6.43", "0.9.6", "0.11.4", "0.12.4"];

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
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

/// The whole state: what the disk holds, and what the server holds. See the module's documentation.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    tree: Tree,
    site: Site,
    n_tickets: u64,
    first_pass: bool,
    /// Whether the plugins that were asked for are there.
    asked_for: AskedFor,
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

/// What a run has in mind that is in no file: plugins whose files are gone, the versions of an editing session, texts that
/// no answer came to, since when the server is away.
#[derive(Debug)]
pub struct Handover {
    lanes: BTreeMap<Key, Lane>,
    complaints: BTreeMap<Arc<Path>, Complaint>,
    outage: Option<Outage>,
}

impl Handover {
    /// There is another way to the server. Whether it is there, the user hears as at the first time.
    #[must_use]
    pub fn with_another_way(self) -> Self {
        Self { outage: None, ..self }
    }
}

impl Engine {
    /// An engine that knows what an earlier run wrote down.
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
            ending: None,
            effects: Vec::new(),
        }
    }

    /// What we believe the server holds, for [`Effect::Save`].
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.site.ledger
    }

    /// What another engine for the same server is to go on with. The conversations must be over.
    #[must_use]
    pub fn hand_over(self) -> Handover {
        let Self { tree, site, .. } = self;
        Handover { lanes: site.lanes.hand_over(), complaints: tree.complaints, outage: site.outage }
    }

    /// Goes on with what an engine for the same server had in mind, by the same clock.
    pub fn take_over(&mut self, unfinished: Handover) {
        let Handover { lanes, complaints, outage } = unfinished;
        (self.tree.complaints, self.site.outage) = (complaints, outage);
        self.site.lanes.take_over(lanes);
        for lane in self.site.lanes.values_mut() {
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
            Event::PresenceChecked(path, trace) => self.on_presence(&path, trace, now),
            Event::RolledBack(rollbacks) => self.on_rolled_back(rollbacks),
            Event::Wake => self.on_wake(now),
            Event::Stop => self.on_stop(now),
            Event::Replace => self.on_replace(now),
        }
        self.tell_absent();
        self.pump(now);
        self.finish(now);
        self.site.lanes.drop_empty();
        std::mem::take(&mut self.effects)
    }

    fn on_rescan(&mut self, now: Now) {
        // One that is begun anew does not do again what was forced.
        let results = self.site.pass.take().map(|pass| pass.results).unwrap_or_default();
        self.site.pass = Some(Pass { since: now.at, planned: false, holds: ServerListing::default(), results });
        self.tree.scanning = true;
        self.effects.push(Effect::Scan);
        let left_alone = matches!(self.site.access, Access::Away { until, asked: true, .. } if now.at < until);
        if !left_alone && !matches!(self.site.access, Access::Probing(_)) {
            self.probe();
        }
    }

    /// A ticket by which the answer finds its way to a plugin's conversation.
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
        if let Some((key, version)) = self.site.prunes.remove(&ticket) {
            match reply {
                Reply::Deleted => self.tell(Notice { about: self.about(&key), what: NoticeKind::Pruned }),
                // It is gone, or cannot be pruned.
                Reply::Absent | Reply::Refused { .. } => {}
                // It is surplus still when the next one is.
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
                let holds = rows.iter().filter_map(|row| {
                    let id = PluginId::new(&row.id)?;
                    let digest = row.digest.or_else(|| row.content.as_deref().map(Digest::of_text));
                    Some((Key { kind, id }, Seen { digest, identity: Identity::of_row(row) }))
                });
                probe.holds.rows.extend(holds);
                probe.holds.kinds.insert(kind);
                return self.advance_probe(now);
            }
            // That is others' doing. A plugin that is not listed is looked at by itself.
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
            Failure::Unreachable { cause, retry_after } => self.on_unreachable(cause, retry_after, now),
            Failure::NotAllowed { status, words } => self.on_denied(status, words, now),
            Failure::NotOurs { words } => self.on_denied(401, words, now),
            Failure::Foreign { status, words } => self.on_foreign(status, words, now),
            // The last ones are no reply's meaning.
            Failure::Odd { words: cause }
            | Failure::Stumbled { cause }
            | Failure::Unanswered { cause }
            | Failure::TakesNone { words: cause }
            | Failure::KeepFailed { words: cause } => self.on_unreachable(cause.into(), None, now),
            Failure::StoredOther => {}
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
            // Its writer was done, but may have begun again since.
            self.reread(path, pending);
        }
        if self.site.is_open() && self.ending.is_none() {
            for removal in self.site.lanes.values_mut().filter_map(|lane| lane.removal.as_mut()) {
                if removal.due.take_if(|due| *due <= now.at).is_some() {
                    self.effects.push(Effect::CheckPresence(Arc::clone(&removal.plugin.path)));
                }
            }
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
            let installs = plugin.frontmatter.requirements().map(str::to_owned);
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

    /// To the user, who is told of the new settings, nothing ends.
    fn on_replace(&mut self, now: Now) {
        self.ending.get_or_insert(Ending::Replace { slow_at: Some(now.at + SLOW) });
    }

    /// Ends a pass that has nothing left to do, and the program when it is to end.
    fn finish(&mut self, now: Now) {
        if let Some(Ending::Replace { .. }) = self.ending {
            if self.site.lanes.n_in_flight() == 0 {
                self.effects.push(Effect::Exit(Code::Fine));
            }
            return;
        }
        if let Some(Ending::Stop { by }) = self.ending {
            if self.site.lanes.n_in_flight() == 0 || by <= now.at {
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
            if self.site.lanes.n_in_flight() == 0 {
                self.effects.push(Effect::Exit(code));
            }
            return;
        }
        let idle = self.site.lanes.n_in_flight() == 0
            && self.site.lanes.n_waiting() == 0
            && self.site.prunes.is_empty()
            && self.tree.pending.is_empty()
            && !self.tree.scanning
            && self.site.is_open();
        // A watch says how the pass went, and goes on trying.
        let retries = self.site.next_retry().is_some();
        let idle = idle && (self.policy.once.is_none() || !retries);
        if !idle || !self.site.pass.as_ref().is_some_and(|pass| pass.planned) {
            return;
        }
        let Some(pass) = self.site.pass.take() else { return };
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
}
