//! Everything known of one plugin on one server, and the order in which plugins get their turn. Empty lanes are
//! dropped.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::crashes::Crash;
use super::deploy::{self, CallFailure, Deploy, Reply, Step};
use super::job::{Job, Task};
use super::ledger::{Rollback, UpdateIntent};
use super::plan::Remote;
use super::queue::Queue;
use super::removal::{self, PendingRemoval, Removal};
use super::repair::{self, Recovery};
use super::request::Request;
use super::retry::{Cause, Retry};
use super::trial::Trial;
use crate::plugin::{Diagnostic, Digest, Key, Plugin};
use crate::server_version::ServerVersion;

/// One plugin on one server.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The job that waits for its turn; the queue has its place.
    job: Option<Job>,
    in_flight: Option<Box<InFlight>>,
    /// An update that was sent and not confirmed.
    pub(super) intent: Option<UpdateIntent>,
    pub(super) rollback: Option<Rollback>,
    pub(super) session: Option<Session>,
    /// Its file is gone, if that may concern the server.
    pub(super) removal: Option<PendingRemoval>,
    /// The text that got no answer when it was last sent.
    pub(super) unanswered: Option<Digest>,
    /// The text at which the server failed when it was last sent.
    pub(super) crash: Option<Crash>,
    pub(super) retry: Option<Retry>,
    /// When its last deploy began.
    pub(super) sent: Option<Duration>,
    /// When it was created on the server, and with which text.
    pub(super) created: Option<(Duration, Digest)>,
    /// The plugin that it was before its id changed; the user was told.
    pub(super) renamed_from: Option<Key>,
    /// The plugin on the server that this new one may duplicate; the user was asked.
    pub(super) duplicate: Option<Key>,
    /// What the server holds, kept while the file's text is read for the plan.
    pub(super) unread: Option<Remote>,
    /// What `check` found in it, where that may hold its deploy back.
    pub(super) checked: Option<CheckedText>,
    /// The user asked for a deploy of it.
    pub(super) request: Option<Request>,
    /// The server has answered whether a model uses it, and it still needs one.
    pub(super) has_known_use: bool,
    pub(super) trial: Trial,
}

impl Lane {
    /// Whether this text may bring the server down or make it fail.
    pub(super) fn suspects(&self, plugin: &Plugin) -> bool {
        self.unanswered == Some(plugin.digest) || self.crash.as_ref().is_some_and(|crash| crash.is_of(plugin))
    }

    /// Keeps the deploy in flight from sending this text.
    pub(super) fn blame_flight(&mut self, text: Digest) {
        let is_of = |flight: &&mut Box<InFlight>| flight.conversation.deploys().is_some_and(|it| it.digest == text);
        if let Some(flight) = self.in_flight.as_mut().filter(is_of) {
            flight.is_blamed = true;
        }
    }

    /// Whether the conversation in flight has sent its text.
    pub(super) fn has_sent(&self) -> bool {
        let deploy = self.in_flight.as_ref().and_then(|flight| flight.conversation.deploy());
        deploy.is_some_and(Deploy::has_sent)
    }

    /// Clears a text of suspicion, and ends the retry.
    pub(super) fn forget_crash(&mut self) -> Option<Crash> {
        self.end_retry(Cause::Crash);
        self.crash.take()
    }

    /// Counts a failure, which follows earlier ones for the same cause.
    pub(super) fn count_retry(&mut self, cause: Cause) -> &mut Retry {
        let earlier = self.retry.take().filter(|retry| retry.cause == cause);
        let retry = self.retry.insert(earlier.unwrap_or_else(|| Retry::new(cause)));
        retry.attempts += 1;
        retry
    }

    /// Ends the retry for this cause.
    pub(super) fn end_retry(&mut self, cause: Cause) {
        self.retry.take_if(|retry| retry.cause == cause);
    }

    /// Whether a later try to switch its new function on is scheduled. Each job would begin with it, so none starts.
    pub(super) fn awaits_activation(&self) -> bool {
        let retry = self.retry.as_ref().filter(|retry| retry.cause == Cause::Activation);
        self.intent.is_some() && retry.is_some_and(|retry| retry.due.is_some())
    }

    /// Lets that try begin: with the next job, if one waits.
    pub(super) fn activate_now(&mut self) {
        if let Some(retry) = self.retry.as_mut().filter(|retry| retry.cause == Cause::Activation) {
            retry.due = None;
        }
    }

    /// The state for the next engine of the same server.
    fn hand_over(self) -> Self {
        let Self { removal, session, unanswered, crash, retry, sent, request, has_known_use, trial, .. } = self;
        let trial = trial.hand_over();
        let retry = retry.filter(|retry| retry.cause == Cause::Crash);
        let request = request.map(Request::hand_over);
        Self { session, removal, unanswered, crash, retry, sent, request, has_known_use, trial, ..Self::default() }
    }

    /// Adds that state to what was saved.
    fn take_over(&mut self, lane: Self) {
        let Self { intent, rollback, .. } = std::mem::take(self);
        *self = Self { intent, rollback, ..lane };
    }

    fn is_empty(&self) -> bool {
        let Self { job, in_flight, intent, rollback, session, removal, created, renamed_from, .. } = self;
        let Self { unanswered, crash, retry, sent, duplicate, unread, checked, request, has_known_use, trial, .. } =
            self;
        let is_idle = job.is_none() && in_flight.is_none() && intent.is_none() && retry.is_none() && request.is_none();
        let is_trusted = unanswered.is_none() && crash.is_none() && duplicate.is_none() && unread.is_none();
        let is_trusted = is_trusted && checked.as_ref().is_none_or(|checked| checked.errors.is_empty());
        let is_new = rollback.is_none() && session.is_none() && sent.is_none() && !has_known_use && trial.is_empty();
        is_idle && is_trusted && is_new && removal.is_none() && created.is_none() && renamed_from.is_none()
    }
}

/// What `check` found in a text.
#[derive(Debug)]
pub(super) struct CheckedText {
    /// Its file: the rules are chosen per file.
    pub(super) path: Arc<Path>,
    pub(super) digest: Digest,
    /// The server version that the text was checked for.
    pub(super) version: ServerVersion,
    pub(super) errors: Vec<Diagnostic>,
}

/// The versions that one editing session made in the server's history of a plugin.
#[derive(Debug)]
pub(super) struct Session {
    /// The server's names of the versions, oldest first.
    pub(super) versions: VecDeque<String>,
    /// When the last one was made.
    pub(super) last: Duration,
}

/// A conversation that is in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) conversation: Conversation,
    pub(super) since: Duration,
    pub(super) in_pass: bool,
    /// A rollback happened meanwhile.
    pub(super) rolled_back: bool,
    /// The text is blamed for an outage, and must not be sent again.
    pub(super) is_blamed: bool,
    /// When to tell the user that it is still running; `None` once told.
    pub(super) slow_at: Option<Duration>,
    pub(super) phase: Phase,
}

/// What a conversation does to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has only read so far.
    Reads,
    /// It changes something, or is about to.
    Changes,
}

/// A conversation with the server.
#[derive(Debug)]
pub(super) enum Conversation {
    Deploy(Deploy),
    Recover(Recovery),
    Remove(Arc<Plugin>, Removal),
}

impl Conversation {
    pub(super) fn deploy(&self) -> Option<&Deploy> {
        match self {
            Conversation::Deploy(deploy) => Some(deploy),
            Conversation::Recover(_) | Conversation::Remove(..) => None,
        }
    }

    /// The server has another version by now, which explains refused updates or not.
    pub(super) fn now_explains_updates(&mut self, explains: bool) {
        if let Conversation::Deploy(deploy) = self {
            deploy.now_explains_updates(explains);
        }
    }

    /// The plugin that is being deployed.
    pub(super) fn deploys(&self) -> Option<&Arc<Plugin>> {
        self.deploy().map(Deploy::plugin)
    }

    pub(super) fn reply(&mut self, reply: Reply) -> Step<Ended> {
        match self {
            Conversation::Deploy(deploy) => deploy.reply(reply).map_done(Ended::Deploy),
            Conversation::Recover(recovery) => recovery.reply(reply).map_done(Ended::Recover),
            Conversation::Remove(_, removal) => removal.reply(reply).map_done(Ended::Remove),
        }
    }

    /// Takes the answer to [`Step::SaveBackup`]. `None` for a conversation without backups.
    pub(super) fn backup_saved(&mut self, saved: Result<PathBuf, String>) -> Option<Step<Ended>> {
        match self {
            Conversation::Deploy(deploy) => Some(deploy.backup_saved(saved).map_done(Ended::Deploy)),
            Conversation::Remove(_, removal) => Some(removal.backup_saved(saved).map_done(Ended::Remove)),
            Conversation::Recover(_) => None,
        }
    }

    /// Takes the answer to [`Step::SaveIntent`]. `None` for a conversation without intents.
    pub(super) fn intent_saved(&mut self, saved: Result<(), String>) -> Option<Step<Ended>> {
        match self {
            Conversation::Deploy(deploy) => Some(deploy.intent_saved(saved).map_done(Ended::Deploy)),
            Conversation::Recover(_) | Conversation::Remove(..) => None,
        }
    }
}

/// How a conversation ended.
#[derive(Debug)]
pub(super) enum Ended {
    Deploy(deploy::Outcome),
    Recover(repair::Outcome),
    Remove(removal::Outcome),
}

impl Ended {
    /// Why a repair must follow at the next probe, if one must.
    pub(super) fn unsettled(&self) -> Option<&str> {
        match self {
            Ended::Deploy(outcome) => outcome.unsettled(),
            Ended::Recover(repair::Outcome::Recovered { left, .. }) => left.unsettled(),
            Ended::Recover(repair::Outcome::Failed(_)) | Ended::Remove(_) => None,
        }
    }

    /// Whether its result on the server is known. If not, the intent is kept. A failed recovery keeps it too, unless
    /// the plugin belongs to others.
    pub(super) fn is_certain(&self) -> bool {
        match self {
            Ended::Deploy(outcome) => outcome.is_certain(),
            Ended::Recover(repair::Outcome::Recovered { left, .. }) => left.unsettled().is_none(),
            Ended::Recover(repair::Outcome::Failed(failure)) => matches!(failure, CallFailure::NotOurs { .. }),
            Ended::Remove(removal::Outcome::Failed(failure)) => !matches!(failure, CallFailure::Odd { .. }),
            Ended::Remove(_) => true,
        }
    }

    /// Whether it failed because the server is away or failing.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Ended::Deploy(deploy::Outcome::Failed(failure)) => failure.is_away(),
            Ended::Recover(repair::Outcome::Failed(failure)) | Ended::Remove(removal::Outcome::Failed(failure)) => {
                matches!(failure, CallFailure::Unreachable { .. })
            }
            Ended::Deploy(_) | Ended::Recover(_) | Ended::Remove(_) => false,
        }
    }
}

/// The lanes of one server.
#[derive(Debug)]
pub(super) struct Lanes {
    by_key: BTreeMap<Key, Lane>,
    queue: Queue,
}

impl Lanes {
    /// An empty set. At most `limit` lanes have a conversation in flight at once.
    pub(super) fn new(limit: NonZeroUsize) -> Self {
        Self { by_key: BTreeMap::new(), queue: Queue::new(limit) }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Lane> {
        self.by_key.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Lane> {
        self.by_key.get_mut(key)
    }

    /// The lane of a plugin; made if missing.
    pub(super) fn of(&mut self, key: &Key) -> &mut Lane {
        self.by_key.entry(key.clone()).or_default()
    }

    /// Ends the retry for this cause, if there is one.
    pub(super) fn end_retry(&mut self, key: &Key, cause: Cause) {
        if let Some(lane) = self.get_mut(key) {
            lane.end_retry(cause);
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Lane)> {
        self.by_key.iter_mut()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.by_key.values_mut()
    }

    /// The lanes that have this, with it.
    pub(super) fn with<'a, T>(&'a self, what: impl Fn(&'a Lane) -> Option<T>) -> impl Iterator<Item = (&'a Key, T)> {
        self.by_key.iter().filter_map(move |(key, lane)| Some((key, what(lane)?)))
    }

    pub(super) fn drop_empty(&mut self) {
        self.by_key.retain(|_, lane| !lane.is_empty());
    }

    /// The state for the next engine of the same server.
    pub(super) fn hand_over(self) -> BTreeMap<Key, Lane> {
        self.by_key
            .into_iter()
            .map(|(key, lane)| (key, lane.hand_over()))
            .filter(|(_, lane)| !lane.is_empty())
            .collect()
    }

    pub(super) fn take_over(&mut self, lanes: BTreeMap<Key, Lane>) {
        for (key, lane) in lanes {
            self.of(&key).take_over(lane);
        }
    }

    /// Queues a job and returns the one that it replaces. The new job takes the old one's place, unless it is newer.
    pub(super) fn request(&mut self, key: Key, job: Job) -> Option<Job> {
        let since = job.since;
        let replaced = self.of(&key).job.replace(job);
        if replaced.as_ref().is_none_or(|replaced| replaced.since < since) {
            if replaced.is_some() {
                self.queue.remove(&key);
            }
            self.queue.push(key, since);
        }
        replaced
    }

    /// Cancels a waiting deploy or removal, but keeps the repair that it would have started with.
    pub(super) fn cancel(&mut self, key: &Key) {
        let Some(lane) = self.by_key.get_mut(key) else { return };
        match &mut lane.job {
            Some(job) if lane.intent.is_some() && lane.in_flight.is_none() => job.task = Task::Recover,
            Some(Job { task: Task::Recover, .. }) | None => {}
            Some(_) => {
                lane.job = None;
                self.queue.remove(key);
            }
        }
    }

    /// Cancels a waiting job, also a repair.
    pub(super) fn give_up(&mut self, key: &Key) {
        if self.get_mut(key).is_some_and(|lane| lane.job.take().is_some()) {
            self.queue.remove(key);
        }
    }

    /// Takes every waiting job back.
    pub(super) fn cancel_all(&mut self) {
        self.queue.clear();
        self.values_mut().for_each(|lane| lane.job = None);
    }

    /// The next job that the queue and the caller allow to start. The caller starts it and calls [`Lanes::start`].
    pub(super) fn next_job(&mut self, may_start: impl Fn(&Key, &Lane, &Job) -> bool) -> Option<(Key, Job)> {
        let Self { by_key, queue } = self;
        let may_start = |key: &Key| {
            by_key.get(key).is_some_and(|lane| lane.job.as_ref().is_some_and(|job| may_start(key, lane, job)))
        };
        let key = queue.next(may_start)?;
        let job = by_key.get_mut(&key)?.job.take()?;
        Some((key, job))
    }

    /// Notes that a job from [`Lanes::next_job`] is in flight.
    pub(super) fn start(&mut self, key: Key, flight: InFlight) {
        self.of(&key).in_flight = Some(Box::new(flight));
        self.queue.start(key);
    }

    /// Notes that the conversation has ended, and gives it back.
    pub(super) fn finish(&mut self, key: &Key) -> Option<InFlight> {
        let flight = self.get_mut(key)?.in_flight.take()?;
        self.queue.finish(key);
        Some(*flight)
    }

    /// The job that waits in this lane.
    pub(super) fn waiting(&self, key: &Key) -> Option<&Job> {
        self.get(key)?.job.as_ref()
    }

    pub(super) fn all_waiting(&self) -> impl Iterator<Item = &Job> {
        self.by_key.values().filter_map(|lane| lane.job.as_ref())
    }

    /// The conversation in flight in this lane.
    pub(super) fn in_flight(&self, key: &Key) -> Option<&InFlight> {
        self.get(key)?.in_flight.as_deref()
    }

    pub(super) fn in_flight_mut(&mut self, key: &Key) -> Option<&mut InFlight> {
        self.get_mut(key)?.in_flight.as_deref_mut()
    }

    pub(super) fn all_in_flight(&self) -> impl Iterator<Item = (&Key, &Lane, &InFlight)> {
        let lane = |key| self.by_key.get_key_value(key);
        self.queue.in_flight().filter_map(lane).filter_map(|(key, lane)| Some((key, lane, lane.in_flight.as_deref()?)))
    }

    pub(super) fn all_in_flight_mut(&mut self) -> impl Iterator<Item = &mut InFlight> {
        self.values_mut().filter_map(|lane| lane.in_flight.as_deref_mut())
    }

    /// Whether no job waits and none is in flight in this lane.
    pub(super) fn is_idle(&self, key: &Key) -> bool {
        self.get(key).is_none_or(|lane| lane.job.is_none() && lane.in_flight.is_none())
    }

    /// How many jobs wait.
    pub(super) fn n_waiting(&self) -> usize {
        self.queue.n_waiting()
    }

    /// How many conversations are in flight.
    pub(super) fn n_in_flight(&self) -> usize {
        self.queue.n_in_flight()
    }
}
