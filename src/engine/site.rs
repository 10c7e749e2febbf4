//! One server: whether it can be reached and grants access, what it holds, and what is in flight there. A probe asks;
//! an outage is waited out.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::access::{Access, Denial, Outage, Probe, ServerListing};
use super::deploy::{Call, Cause};
use super::files::Owner;
use super::job::{Job, Task};
use super::lane::Lanes;
use super::ledger::{LastAttempt, Ledger, Refusal, Rollback, SavedState, UpdateIntent};
use super::pass::Pass;
use super::plan;
use super::prefetch::Ahead;
use super::refusal;
use super::removal::PendingRemoval;
use super::retry::{SHORTEST_BACKOFF, backoff};
use super::trial::Trials;
use super::unused::Question;
use super::{Code, Effect, Engine, Now, TESTED, Ticket};
use crate::notice::{Notice, NoticeKind};
use crate::plugin::{Digest, Key, Plugin};
use crate::server_version::ServerVersion;

/// The longest `Retry-After` that is obeyed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
/// The least pause after a failed try before a save causes the next one.
const NEXT_FOR_A_SAVE: Duration = Duration::from_secs(1);
/// How much longer than its patience a single pass may wait for a server that asks for a pause.
const MOMENT: Duration = Duration::from_secs(1);
/// The pause before a server that denied access is asked again.
const DENIED_PAUSE: Duration = Duration::from_mins(1);

/// One server: what it holds, and what is in flight there.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) ledger: Ledger,
    pub(super) lanes: Lanes,
    pub(super) access: Access,
    /// Why it denied access, until it grants access again.
    pub(super) denied: Option<Denial>,
    pub(super) outage: Option<Outage>,
    /// Whether each function was on, by the last overview.
    pub(super) listed: BTreeMap<Key, bool>,
    /// The version that the server last reported.
    pub(super) version: Option<String>,
    /// A question asked before there was anything to deploy.
    pub(super) ahead: Option<Ahead>,
    pub(super) pass: Option<Pass>,
    /// Versions being pruned.
    pub(super) prunes: BTreeMap<Ticket, (Key, String)>,
    /// Asked which functions models use.
    pub(super) question: Option<Question>,
    /// The conversations that wait for an answer.
    pub(super) tickets: BTreeMap<Ticket, Key>,
    pub(super) trials: Trials,
}

impl Site {
    /// A server with this saved state.
    pub(super) fn new(concurrency: NonZeroUsize, saved: SavedState) -> Self {
        let SavedState { mut ledger, rollbacks, intents } = saved;
        let mut lanes = Lanes::new(concurrency);
        for (key, intent) in intents {
            intent.ours.iter().for_each(|digest| ledger.sending(&key, *digest));
            lanes.of(&key).intent = Some(intent);
        }
        for (key, rollback) in rollbacks {
            lanes.of(&key).rollback = Some(rollback);
        }
        Self {
            ledger,
            lanes,
            access: Access::Denied { until: None },
            denied: None,
            outage: None,
            listed: BTreeMap::new(),
            version: None,
            ahead: None,
            pass: None,
            prunes: BTreeMap::new(),
            question: None,
            tickets: BTreeMap::new(),
            trials: Trials::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.access, Access::Open)
    }

    /// Whether it can be used, as far as a plan needs to know.
    pub(super) fn access(&self) -> plan::Access {
        match self.access {
            Access::Open => plan::Access::Open,
            Access::Probing(_) => plan::Access::Probing { denied: self.denied.is_some(), away: self.outage.is_some() },
            Access::Away { .. } => plan::Access::Away,
            Access::Denied { .. } => plan::Access::Denied,
        }
    }

    /// The rollback of a plugin, if it is rolled back.
    pub(super) fn rollback(&self, key: &Key) -> Option<Rollback> {
        self.lanes.get(key)?.rollback
    }

    pub(super) fn intent(&self, key: &Key) -> Option<&UpdateIntent> {
        self.lanes.get(key)?.intent.as_ref()
    }

    /// The server's refusal, if it refused this very text.
    pub(super) fn refused_before(&self, plugin: &Plugin) -> Option<Refusal> {
        match &self.ledger.get(&plugin.key)?.last {
            LastAttempt::Refused { digest, refusal } if *digest == plugin.digest => Some(refusal.clone()),
            LastAttempt::Refused { .. } | LastAttempt::Failed { .. } | LastAttempt::Deployed => None,
        }
    }

    /// The text that we put on the server ourselves.
    pub(super) fn deployed_by_us(&self, key: &Key) -> Option<Digest> {
        let deployed = self.ledger.get(key)?.deployed.as_ref()?;
        deployed.by_us.then_some(deployed.digest)
    }

    /// Plugins without a file that the server may still have.
    pub(super) fn removals(&self) -> impl Iterator<Item = (&Key, &PendingRemoval)> {
        self.lanes.with(|lane| lane.removal.as_ref())
    }

    pub(super) fn removal_mut(&mut self, key: &Key) -> Option<&mut PendingRemoval> {
        self.lanes.get_mut(key)?.removal.as_mut()
    }

    pub(super) fn end_removal(&mut self, key: &Key) -> Option<PendingRemoval> {
        self.lanes.get_mut(key)?.removal.take()
    }

    /// The server's words about this text, if no try is left.
    pub(super) fn given_up(&self, plugin: &Plugin) -> Option<&str> {
        let crash = self.lanes.get(&plugin.key)?.crash.as_ref()?;
        (crash.is_of(plugin) && crash.is_final()).then(|| crash.words())
    }

    /// When the next try begins.
    pub(super) fn next_retry(&self) -> Option<Duration> {
        self.lanes.with(|lane| lane.retry.as_ref()?.due).map(|(_, due)| due).min()
    }

    /// Whether the server has already been asked what it holds of a plugin.
    pub(super) fn is_asked_ahead(&self, key: &Key) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.is_of(key))
    }
}

impl Engine {
    /// Starts to probe the server.
    pub(super) fn probe(&mut self) {
        self.site.lanes.values_mut().for_each(|lane| lane.unread = None);
        let ticket = self.ticket();
        self.site.access = Access::Probing(Probe {
            connecting: Some(ticket),
            failure: None,
            version: None,
            overviews: None,
            holds: ServerListing::default(),
        });
        self.effects.push(Effect::Call(ticket, Call::Connect));
    }

    /// Continues the probe once the scan is done: only then are the tables to ask for and the waiting plugins known.
    pub(super) fn advance_probe(&mut self, now: Now) {
        let Access::Probing(probe) = &mut self.site.access else { return };
        if self.tree.scanning {
            return;
        }
        if let Some(reply) = probe.failure.take() {
            return self.on_probe_failed(reply, now);
        }
        if probe.version.is_none() {
            return;
        }
        // A file that is still incomplete may claim the id of another: an older text must not be sent before that is
        // known. A single pass waits for all of them.
        let is_single = self.policy.once.is_some();
        if self.tree.awaits_first_reading(now) || is_single && !self.tree.pending.is_empty() {
            return;
        }
        match &probe.overviews {
            None => {
                let kinds = self.tree.files.kinds();
                let overviews: BTreeMap<_, _> = kinds.into_iter().map(|kind| (self.ticket(), kind)).collect();
                let calls = overviews.iter().map(|(ticket, kind)| Effect::Call(*ticket, Call::Overview(*kind)));
                self.effects.extend(calls);
                let nothing_to_ask = overviews.is_empty();
                if let Access::Probing(probe) = &mut self.site.access {
                    probe.overviews = Some(overviews);
                    probe.holds.ended.clear();
                }
                if nothing_to_ask {
                    self.open(now);
                }
            }
            Some(overviews) if overviews.is_empty() => self.open(now),
            Some(_) => {}
        }
    }

    /// The server grants access: plans everything against what it holds.
    fn open(&mut self, now: Now) {
        let Access::Probing(mut probe) = std::mem::replace(&mut self.site.access, Access::Open) else { return };
        self.site.denied = None;
        self.cancel_outdated();
        let ServerListing { rows, ended, .. } = &mut probe.holds;
        rows.retain(|key, _| !ended.contains(key));
        self.site.listed = rows.iter().filter_map(|(key, seen)| Some((key.clone(), seen.is_active?))).collect();
        if let Some(version) = probe.version.filter(|version| self.site.version.as_ref() != Some(version)) {
            let server = self.policy.server.clone();
            self.tell(Notice::general(NoticeKind::Connected { server, version: version.clone() }));
            if !TESTED.contains(&version.as_str()) {
                self.tell(Notice::general(NoticeKind::Untested { version: version.clone() }));
            }
            let explains = refusal::explains_updates(ServerVersion::reported(&version));
            self.site.lanes.all_in_flight_mut().for_each(|flight| flight.conversation.now_explains_updates(explains));
            if self.site.version.replace(version).is_some() {
                // Another version may accept what the last one refused.
                self.site.ledger.retry_refusals().into_iter().for_each(|key| self.effects.push(Effect::Save(key)));
            }
        }
        let intents: Vec<_> = self.site.lanes.with(|lane| lane.intent.as_ref()).map(|(key, _)| key.clone()).collect();
        for key in intents {
            if self.site.lanes.in_flight(&key).is_none() {
                self.site.lanes.of(&key).activate_now();
                self.site.lanes.request(key, Job { task: Task::Recover, since: now.at, in_pass: false });
            }
        }
        let since = self.site.pass.as_ref().map_or(now.at, |pass| pass.since);
        let unread = self.tree.pending.len();
        let mut keys: Vec<_> = self.tree.files.keys().cloned().collect();
        // The last one sent comes last: a plugin that brings the server down must not keep the others waiting.
        keys.sort_by_key(|key| self.site.lanes.get(key).and_then(|lane| lane.sent));
        self.tree.conflicts.retain(|key, _| matches!(self.tree.files.owner(key), Owner::Conflict(_)));
        for key in keys {
            match self.tree.files.owner(&key) {
                Owner::One(plugin) => {
                    let remote = probe.holds.of(&key);
                    self.plan(&plugin, remote, since, now);
                }
                Owner::Conflict(paths) => self.conflict(&key, paths),
                Owner::None => {}
            }
        }
        self.tree.rechecked.clear();
        self.record_listed(&probe.holds);
        self.plan_pass(probe.holds, self.tree.pending.len().saturating_sub(unread));
        if self.site.lanes.n_waiting() == 0 && self.tree.pending.is_empty() {
            self.on_connected(now);
        }
    }

    /// Corrects the ledger by the overviews, even where no deploy follows: the plan may be taken back, or two files
    /// claim the id.
    fn record_listed(&mut self, holds: &ServerListing) {
        let is_known = |key: &Key| !holds.ended.contains(key) && self.site.lanes.in_flight(key).is_none();
        let listed: Vec<_> = (self.site.ledger.all_held())
            .filter(|(key, _)| holds.kinds.contains(&key.kind) && is_known(key))
            .map(|(key, _)| (key.clone(), holds.rows.get(key).and_then(|seen| seen.digest)))
            .collect();
        for (key, digest) in listed {
            self.record_seen(&key, digest);
        }
    }

    /// Corrects the ledger: the server holds this text; `None` if it does not have the plugin.
    pub(super) fn record_seen(&mut self, key: &Key, digest: Option<Digest>) {
        if let Some(held) = self.site.ledger.held(key).filter(|held| Some(*held) != digest) {
            self.site.ledger.ended(key, LastAttempt::Failed { digest: held });
        }
    }

    /// Ends an outage: the server works again.
    pub(super) fn on_connected(&mut self, now: Now) {
        if let (Some(outage), Access::Open) = (self.site.outage, &self.site.access) {
            self.site.outage = None;
            let (away, waiting) = (now.at.saturating_sub(outage.since), self.n_undeployed());
            let what =
                if outage.denied { NoticeKind::AccessGranted { waiting } } else { NoticeKind::Back { away, waiting } };
            self.tell(Notice::general(what));
        }
    }

    /// Starts or continues an outage. Waiting plugins are not kept as a list: they are planned again when the server is
    /// back.
    pub(super) fn on_unreachable(&mut self, cause: Cause, retry_after: Option<Duration>, now: Now) {
        let Some((attempt, next)) = self.back_off(retry_after, now) else { return };
        let (server, configured) = (self.policy.server.clone(), self.policy.configured);
        if self.is_out_of_patience(retry_after, now) {
            let after = self.site.outage.map_or(Duration::ZERO, |outage| now.at.saturating_sub(outage.since));
            self.tell(Notice::general(NoticeKind::GaveUp { after, cause, server, configured }));
            self.exit.get_or_insert(Code::NoServer);
        } else if attempt == 1 {
            let waiting = self.n_undeployed();
            self.tell(Notice::general(NoticeKind::Unreachable { cause, server, next, waiting, configured }));
        } else {
            self.tell(Notice::general(NoticeKind::StillUnreachable { cause: cause.words, attempt, next }));
        }
    }

    pub(super) fn on_denied(&mut self, status: u16, words: String, now: Now) {
        self.deny(Denial::NotAllowed { status, words }, now);
    }

    /// Something else answers: a wrong address, which is told at once, or a proxy whose server is starting, so a watch
    /// tries again.
    pub(super) fn on_foreign(&mut self, status: u16, words: String, now: Now) {
        if self.policy.once.is_some() {
            self.deny(Denial::Foreign { status, words }, now);
        } else if let Some((attempt, next)) = self.back_off(None, now) {
            self.tell(Notice::general(match attempt {
                1 => NoticeKind::Foreign { server: self.policy.server.clone(), status, words },
                _ => NoticeKind::StillUnreachable { cause: words, attempt, next },
            }));
        }
    }

    /// Pauses before the next try. Answers the number of failed tries and the pause; `None` if it pauses already.
    fn back_off(&mut self, retry_after: Option<Duration>, now: Now) -> Option<(u32, Duration)> {
        if matches!(self.site.access, Access::Away { .. } | Access::Denied { .. }) {
            return None;
        }
        let outage = self.site.outage.get_or_insert(Outage { since: now.at, attempts: 0, denied: false });
        outage.attempts += 1;
        outage.denied = false;
        let attempt = outage.attempts;
        let next = match (backoff(attempt, now.chance), self.patience_left(now)) {
            // The last try of a single pass is made when its patience ends, not a whole pause before.
            (next, Some(left)) if left >= SHORTEST_BACKOFF => next.min(left),
            (next, _) => next,
        };
        let next = next.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        self.site.lanes.cancel_all();
        self.site.lanes.values_mut().for_each(|lane| drop(lane.forget_crash()));
        self.site.access = Access::Away { tried: now.at, until: now.at + next, asked: retry_after.is_some() };
        Some((attempt, next))
    }

    /// How long a single pass still waits for the server; `None` in a watch.
    fn patience_left(&self, now: Now) -> Option<Duration> {
        let since = self.site.outage.map_or(now.at, |outage| outage.since);
        self.policy.once.map(|patience| (since + patience).saturating_sub(now.at))
    }

    /// Whether a single pass gives up: no further try fits in, or the server asks for a longer pause.
    fn is_out_of_patience(&self, retry_after: Option<Duration>, now: Now) -> bool {
        // A pause that the server asks for may end a moment after the patience: its answer took a moment, too.
        let least = retry_after.unwrap_or_default().saturating_sub(MOMENT).max(SHORTEST_BACKOFF);
        self.patience_left(now).is_some_and(|left| left < least)
    }

    /// Ends the pause of an unreachable server.
    pub(super) fn try_now(&mut self, now: Now) {
        if let Access::Away { until, asked, .. } = &mut self.site.access {
            (*until, *asked) = (now.at, false);
        }
    }

    /// Shortens the pause of an unreachable server after a save: a storm of saves causes one try a second.
    pub(super) fn try_soon(&mut self) {
        if let Access::Away { tried, until, .. } = &mut self.site.access {
            *until = (*until).min(*tried + NEXT_FOR_A_SAVE);
        }
    }

    /// The server denied access: told once, and nothing more is sent.
    fn deny(&mut self, denial: Denial, now: Now) {
        if matches!(self.site.access, Access::Denied { .. }) {
            return;
        }
        self.site.access = Access::Denied { until: self.policy.once.is_none().then_some(now.at + DENIED_PAUSE) };
        let denied = matches!(denial, Denial::NotAllowed { .. });
        self.site.outage.get_or_insert(Outage { since: now.at, attempts: 0, denied }).denied = denied;
        self.site.lanes.cancel_all();
        if self.policy.once.is_some() {
            self.exit.get_or_insert(Code::NoServer);
        }
        if self.site.denied.as_ref() != Some(&denial) {
            self.tell(Notice::general(match denial.clone() {
                Denial::NotAllowed { status, words } => {
                    NoticeKind::NotAllowed { status, words, key: self.policy.key.clone() }
                }
                Denial::Foreign { status, words } => {
                    NoticeKind::Foreign { server: self.policy.server.clone(), status, words }
                }
            }));
            self.site.denied = Some(denial);
        }
    }
}
