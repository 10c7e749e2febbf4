//! What follows from an outcome: what to record, what to tell, and what to do next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::access::Access;
use super::deploy::{Aftermath, Backup, Call, CallFailure, Deploy, Failure, OnServer, Outcome};
use super::files::Owner;
use super::lane::{Conversation, Ended, Session};
use super::ledger::{Deployed, LastAttempt, Refusal, Rollback};
use super::plan::Remote;
use super::result::{PassResult, RequestResult};
use super::retry::Cause;
use super::tree::Complaint;
use super::{Effect, Engine, Now, repair};
use crate::notice::{Notice, NoticeKind, Subject, WaitReason};
use crate::plugin::{Digest, Key, Plugin};

/// A plugin created on the server at most this long before a file with the same text disappears is that file, renamed.
const RENAMED: Duration = Duration::from_secs(10);

/// An editing session is over when nothing was saved for this long.
const SESSION: Duration = Duration::from_hours(1);

impl Engine {
    pub(super) fn on_ended(&mut self, key: &Key, ended: Ended, now: Now) {
        let Some(flight) = self.site.lanes.finish(key) else { return };
        if let Access::Probing(probe) = &mut self.site.access {
            probe.holds.ended.insert(key.clone());
        }
        let unsettled = ended.unsettled().map(str::to_owned);
        if unsettled.is_none() && !ended.is_away() {
            self.on_connected(now);
        }
        let switches_on = self.site.intent(key).is_some_and(|intent| intent.replaced.is_none());
        let in_doubt = flight.conversation.deploy().is_some_and(Deploy::is_in_doubt);
        let is_settled = ended.is_certain() && !in_doubt;
        let awaits_repair = !is_settled && !ended.is_away() && flight.conversation.deploy().is_some();
        if let Some(lane) = self.site.lanes.get_mut(key).filter(|_| is_settled)
            && let Some(intent) = lane.intent.take()
        {
            lane.end_retry(Cause::Activation);
            if let Ended::Recover(outcome) = &ended {
                // From now on only the ledger can tell that the text is ours. It may have arrived after a listing.
                if let Some(text) = outcome.holds().filter(|text| intent.ours.contains(text)) {
                    self.site.ledger.sending(key, text);
                }
                self.effects.push(Effect::Save(key.clone()));
            }
            self.effects.push(Effect::ClearIntent(key.clone()));
        }
        if let (Some(deploy), Some(_)) = (flight.conversation.deploy(), &unsettled) {
            self.note_restored(key, deploy.restores());
        }
        let took = now.at.saturating_sub(flight.since);
        let lane = self.site.lanes.get_mut(key).filter(|_| flight.rolled_back);
        let newer = lane.and_then(|lane| lane.rollback.take());
        let arrived = matches!(ended, Ended::Deploy(Outcome::Created { .. } | Outcome::Updated { .. }));
        let arrived = flight.conversation.deploys().filter(|_| arrived).cloned();
        match (flight.conversation, ended) {
            (Conversation::Deploy(deploy), Ended::Deploy(outcome)) => {
                self.on_deployed(&deploy, outcome, flight.in_pass, took, now);
            }
            (Conversation::Remove(plugin, _), Ended::Remove(outcome)) => self.on_removed(&plugin, outcome, now),
            (_, Ended::Recover(outcome)) => self.on_recovered(key, outcome, switches_on, took, now),
            (_, Ended::Deploy(_) | Ended::Remove(_)) => {}
        }
        if newer.is_some() {
            self.site.lanes.of(key).rollback = newer;
        }
        if let Some(plugin) = arrived {
            self.undo_rollback(&plugin);
        }
        // A function that is off is repaired soon, not only at the next probe.
        match unsettled {
            Some(_) if switches_on => self.activate_later(key, now),
            Some(cause) => self.on_unreachable(cause.into(), None, now),
            None if awaits_repair && self.awaits_switch(key) => self.activate_later(key, now),
            None => {}
        }
    }

    /// Whether a new function may still have to be switched on, and no further try of it will see to that.
    fn awaits_switch(&self, key: &Key) -> bool {
        let Some(lane) = self.site.lanes.get(key) else { return false };
        let is_to_be_on = lane.intent.as_ref().is_some_and(|intent| intent.replaced.is_none() && intent.was_active);
        is_to_be_on && lane.retry.is_none()
    }

    /// Updates the intent: a later repair restores the text that the server held after the refusal, whoever put it
    /// there.
    fn note_restored(&mut self, key: &Key, text: Option<Digest>) {
        if let (Some(text), Some(intent)) = (text, self.site.lanes.get_mut(key).and_then(|lane| lane.intent.as_mut()))
            && intent.replaced.is_some_and(|replaced| replaced != text)
        {
            intent.replaced = Some(text);
            let intent = intent.clone();
            let ticket = self.ticket();
            self.effects.push(Effect::SaveIntent(ticket, key.clone(), intent));
        }
    }

    /// Handles a rollback that was made while this deploy was in flight, and that the deploy undid. A rollback that is
    /// still to be sent will win.
    fn undo_rollback(&mut self, plugin: &Plugin) {
        let Some(Rollback { local: Some(local), server, done: true }) = self.site.rollback(&plugin.key) else {
            return;
        };
        if local == plugin.digest {
            self.end_rollback(&plugin.key);
        }
        if server != plugin.digest {
            self.tell(Notice::of(plugin, NoticeKind::RollbackUndone { put_back: server }));
        }
    }

    fn on_deployed(&mut self, deploy: &Deploy, outcome: Outcome, in_pass: bool, took: Duration, now: Now) {
        let plugin = deploy.plugin();
        let is_known = self.note_for_retry(deploy, &outcome, took, now);
        let outcome = match self.answered(plugin, outcome, now) {
            // It was refused before, and sent again only for a repair.
            Outcome::Crashed { left, .. }
                if let Some(refusal) = self.site.refused_before(plugin).filter(|_| !deploy.is_forced()) =>
            {
                Outcome::Refused { refusal, left }
            }
            Outcome::Crashed { refusal, left } => {
                self.record_attempt(&plugin.key, LastAttempt::Failed { digest: plugin.digest });
                match self.on_crashed(deploy, refusal, left, in_pass, now) {
                    Some(outcome) => outcome,
                    None => return,
                }
            }
            outcome => outcome,
        };
        let on_server = deploy.on_server();
        let had_it = self.site.ledger.get(&plugin.key).is_some_and(|record| record.deployed.is_some());
        let result = match &outcome {
            Outcome::Failed(failure) => return self.on_failed(plugin, failure.clone(), is_known, took, now),
            Outcome::Unchanged => {
                self.record_found(plugin, now);
                self.tell_unchanged(plugin, in_pass, on_server.and_then(|row| row.active));
                return self.tree.files.drop_text(plugin);
            }
            Outcome::Created { active } => {
                let lane = self.site.lanes.of(&plugin.key);
                (lane.duplicate, lane.created) = (None, Some((now.at, plugin.digest)));
                if had_it && !in_pass && self.site.is_open() {
                    // The server lost this one, and perhaps others.
                    self.probe();
                }
                self.record_deployed(plugin, now);
                if active.is_ok() { PassResult::Created } else { PassResult::Failed }
            }
            Outcome::Updated { .. } => {
                self.record_deployed(plugin, now);
                PassResult::Updated
            }
            Outcome::WouldCreate => PassResult::Created,
            Outcome::WouldUpdate { .. } => PassResult::Updated,
            Outcome::RemoteEdit { .. } => {
                self.tree.complain(plugin, Complaint::Held);
                PassResult::Held
            }
            Outcome::Duplicate(duplicate) => {
                let other = Key { kind: plugin.key.kind, id: duplicate.id.clone() };
                self.site.lanes.of(&plugin.key).duplicate = Some(other);
                self.tree.complain(plugin, Complaint::Held);
                PassResult::Held
            }
            Outcome::Refused { left, .. } | Outcome::Crashed { left, .. } => {
                if let Outcome::Refused { refusal, .. } = &outcome {
                    let lane = self.site.lanes.of(&plugin.key);
                    // The server answered to this text, so an earlier one has not brought it down.
                    if !lane.suspects(plugin) {
                        lane.forget_crash();
                    }
                    let (digest, refusal) = (plugin.digest, refusal.clone());
                    self.record_attempt(&plugin.key, LastAttempt::Refused { digest, refusal });
                }
                self.tree.complain(plugin, Complaint::Error);
                if let Aftermath::Off(_) = left { PassResult::Failed } else { PassResult::Refused }
            }
        };
        self.note_result(&plugin.key, result);
        let version = if let Outcome::Updated { version, .. } = &outcome { version.clone() } else { None };
        let switches = match &outcome {
            Outcome::Created { active } => {
                // The sandbox makes new ones global by itself, after its answer.
                let global = on_server.and_then(|row| row.global).map(|is| is || self.policy.habits.new_is_global);
                Some(OnServer { active: active.clone().unwrap_or(Some(false)), global })
            }
            Outcome::Updated { .. } => Some(on_server.unwrap_or_default()),
            _ => None,
        };
        for what in NoticeKind::of_outcome(outcome, plugin, on_server, in_pass, had_it, self.policy.habits, took) {
            self.tell(Notice::of(plugin, what));
        }
        if result == PassResult::Created
            && let Some(from) = self.renamed_from(plugin)
        {
            self.tell_id_changed(plugin, &from);
        }
        if let Some(switches) = switches {
            self.ask_whether_used(plugin, switches);
            self.try_deployed(plugin, switches.active);
        }
        self.prune(&plugin.key, version, now);
    }

    /// Whether the server keeps a plugin that we deployed and no file claims any more. It may wait for its removal.
    pub(super) fn is_left_behind(&self, key: &Key) -> bool {
        self.site.ledger.get(key).is_some_and(|record| record.deployed.is_some())
            && self
                .site
                .lanes
                .in_flight(key)
                .is_none_or(|flight| !matches!(flight.conversation, Conversation::Remove(..)))
            && self.tree.files.owner(key) == Owner::None
    }

    /// The plugin that a new one replaces here: it was deployed with the same text, and no file claims it any more.
    fn renamed_from(&self, plugin: &Plugin) -> Option<Key> {
        // One of those that cannot be read may be its file.
        if self.tree.has_broken_files() || !self.tree.missing.is_empty() {
            return None;
        }
        let is_it = |key: &Key, deployed: Digest| {
            deployed == plugin.digest && *key != plugin.key && key.kind == plugin.key.kind && self.is_left_behind(key)
        };
        self.site.ledger.all_deployed().find(|(key, deployed)| is_it(key, *deployed)).map(|(key, _)| key.clone())
    }

    /// The plugin that replaces one whose file is gone: it has the same text, and is new.
    pub(super) fn renamed_to(&self, was: &Plugin, now: Now) -> Option<Arc<Plugin>> {
        let was_created = self.site.lanes.get(&was.key).and_then(|lane| lane.created);
        let is_new = |key: &Key| {
            let lane = self.site.lanes.get(key);
            let created = lane.and_then(|lane| lane.created);
            let is_later = |at| was_created.is_none_or(|(was_at, _)| was_at < at);
            let created =
                created.is_some_and(|(at, text)| now.at <= at + RENAMED && text == was.digest && is_later(at));
            let is_asked_about = lane.is_some_and(|lane| lane.duplicate.is_some());
            let is_deployed = self.site.ledger.get(key).is_some_and(|record| record.deployed.is_some());
            // It replaces one plugin, not two.
            let from = lane.and_then(|lane| lane.renamed_from.as_ref());
            let is_taken = from.is_some_and(|from| *from != was.key && self.is_left_behind(from));
            !is_taken && (created || !is_deployed && !is_asked_about)
        };
        let mut others = self.tree.files.plugins().filter(|other| {
            other.digest == was.digest
                && other.key != was.key
                && other.key.kind == was.key.kind
                && self.policy.selects_plugin(other)
                && is_new(&other.key)
        });
        others.next().filter(|_| self.is_left_behind(&was.key)).cloned()
    }

    /// Tells, once, that a plugin has another id than the one that the server keeps as well. `on_delete` is for files
    /// that are gone, and this one has a new name: its valves stay.
    pub(super) fn tell_id_changed(&mut self, plugin: &Plugin, from: &Key) {
        self.site.end_removal(from);
        // It may be renamed back later, and again.
        if let Some(lane) = self.site.lanes.get_mut(from) {
            lane.renamed_from = None;
        }
        let told = self.site.lanes.of(&plugin.key).renamed_from.replace(from.clone());
        if told.as_ref() != Some(from) {
            self.tell(Notice::of(plugin, NoticeKind::IdChanged { from: from.clone() }));
        }
    }

    /// Handles a deploy that failed before the server judged the text. `is_known`: the user was told after the previous
    /// try.
    fn on_failed(&mut self, plugin: &Plugin, failure: Failure, is_known: bool, took: Duration, now: Now) {
        // A refused text stays refused.
        let was_refused = self.site.refused_before(plugin).is_some();
        if !was_refused {
            self.record_attempt(&plugin.key, LastAttempt::Failed { digest: plugin.digest });
        }
        let what = self.wait_out(failure, now);
        // The user may just have been told that this text brought the server down.
        if !is_known && (what.is_err() || !was_refused) {
            self.tell_failed(plugin.into(), what, took);
        }
    }

    /// Tells that a deploy waits, or why it failed.
    fn tell_failed(&mut self, about: Subject, what: Result<WaitReason, Failure>, took: Duration) {
        let failure = match what {
            Ok(reason) => return self.tell_waiting(about, reason),
            Err(failure) => failure,
        };
        self.tree.complaints.extend(about.path.clone().map(|path| (path, Complaint::Error)));
        if let Some(key) = &about.key {
            self.note_result(key, PassResult::Failed);
        }
        self.tell(Notice { about, what: NoticeKind::Failed { failure, took } });
    }

    /// Tells that a conversation waits for the server.
    pub(super) fn tell_waiting(&mut self, about: Subject, reason: WaitReason) {
        if let Some(key) = &about.key {
            self.note_request(key, RequestResult::Waits);
        }
        let again = self.site.outage.as_ref().is_some_and(|outage| outage.attempts > 1);
        let what = NoticeKind::Waiting { reason, again: again && reason == WaitReason::Away };
        self.tell(Notice { about, what });
    }

    /// Counts a text that got no answer twice as refused: it may bring the server down.
    fn answered(&mut self, plugin: &Plugin, outcome: Outcome, now: Now) -> Outcome {
        let Outcome::Failed(Failure::Unanswered { cause }) = outcome else { return outcome };
        let lane = self.site.lanes.of(&plugin.key);
        lane.forget_crash();
        if lane.unanswered.replace(plugin.digest) == Some(plugin.digest) {
            self.on_unreachable(cause.as_str().into(), None, now);
            return Outcome::Refused { refusal: Refusal::unanswered(cause), left: Aftermath::AsItWas };
        }
        Outcome::Failed(Failure::Unanswered { cause })
    }

    /// Ends a recovery. `switches_on`: it was about a new function that was not switched on.
    fn on_recovered(&mut self, key: &Key, outcome: repair::Outcome, switches_on: bool, took: Duration, now: Now) {
        let about = self.about(key);
        match outcome {
            // Do not repeat the repair at once.
            repair::Outcome::Failed(CallFailure::Odd { words }) => self.on_unreachable(words.into(), None, now),
            repair::Outcome::Failed(failure) => {
                let what = self.wait_out(failure.into(), now);
                self.tell_failed(about, what, took);
            }
            repair::Outcome::Recovered { left: Aftermath::Unsettled { .. }, .. } => {}
            repair::Outcome::Recovered { left, holds } => {
                let is_known = self
                    .site
                    .lanes
                    .get(key)
                    .is_some_and(|lane| lane.retry.as_ref().is_some_and(|retry| retry.cause == Cause::Activation));
                let is_off = matches!(left, Aftermath::Off(_));
                if !(is_known && switches_on && is_off) {
                    if is_off {
                        self.note_result(key, PassResult::Failed);
                    } else if switches_on && left == Aftermath::Restored {
                        self.note_result(key, PassResult::Created);
                    }
                    let what = match left {
                        Aftermath::Restored if switches_on => NoticeKind::SwitchedOn,
                        Aftermath::Off(off) if switches_on => NoticeKind::not_on(off),
                        left => NoticeKind::of_recovery(left),
                    };
                    self.tell(Notice { about, what });
                }
                // The text may have changed since the listing that the plan was based on.
                let was_held = self.site.ledger.held(key);
                self.record_seen(key, holds);
                if let Owner::One(plugin) = self.tree.present_owner(key)
                    && holds != was_held
                    && was_held == Some(plugin.digest)
                    && self.site.lanes.waiting(key).is_none()
                {
                    self.plan(&plugin, holds.map_or(Remote::NotListed, Remote::Holds), now.at, now);
                }
            }
        }
    }

    /// Keeps only the newest versions of an editing session in the server's history.
    fn prune(&mut self, key: &Key, version: Option<String>, now: Now) {
        let Some((version, most)) = version.zip(self.policy.keep_versions) else { return };
        let fresh = || Session { versions: VecDeque::new(), last: now.at };
        let session = self.site.lanes.of(key).session.get_or_insert_with(fresh);
        if now.at > session.last + SESSION {
            session.versions.clear();
        }
        session.last = now.at;
        // A return to an earlier text may make its old version current again.
        session.versions.retain(|known| *known != version);
        session.versions.push_back(version);
        let surplus = session.versions.len().saturating_sub(most.get());
        let surplus: Vec<_> = session.versions.drain(..surplus).collect();
        for version in surplus {
            let ticket = self.ticket();
            self.site.prunes.insert(ticket, (key.clone(), version.clone()));
            self.effects.push(Effect::Call(ticket, Call::Prune(key.clone(), version)));
        }
    }

    /// Starts to wait if the server is the reason of a failure; gives back any other failure.
    pub(super) fn wait_out(&mut self, failure: Failure, now: Now) -> Result<WaitReason, Failure> {
        match failure {
            Failure::Call(CallFailure::Unreachable { cause, retry_after }) => {
                self.on_unreachable(cause, retry_after, now);
            }
            Failure::Unanswered { cause } | Failure::Stumbled { cause } => self.on_unreachable(cause.into(), None, now),
            Failure::Call(CallFailure::Foreign { status, words }) => self.on_foreign(status, words, now),
            Failure::Call(CallFailure::NotAllowed { status, words }) => {
                self.on_denied(status, words, now);
                return Ok(WaitReason::Denied);
            }
            failure => return Err(failure),
        }
        Ok(WaitReason::Away)
    }

    /// Records that the server took a text from us.
    fn record_deployed(&mut self, plugin: &Plugin, now: Now) {
        if self.policy.deploy.dry_run {
            return;
        }
        self.tree.complaints.remove(&plugin.path);
        self.end_rollback(&plugin.key);
        self.record(plugin, true, now);
        self.effects.push(Effect::Archive(backup(plugin)));
        self.tree.files.drop_text(plugin);
    }

    /// Records that the server already holds the file's text.
    pub(super) fn record_found(&mut self, plugin: &Plugin, now: Now) {
        self.end_rollback(&plugin.key);
        if self.site.ledger.held(&plugin.key) != Some(plugin.digest) && !self.policy.deploy.dry_run {
            // A text that was sent without an answer did arrive.
            let was_sent = self.site.ledger.get(&plugin.key).is_some_and(|record| record.sent.contains(&plugin.digest));
            let by_us = was_sent || self.site.deployed_by_us(&plugin.key) == Some(plugin.digest);
            self.record(plugin, by_us, now);
            // It counts as ours from now on, and is replaced without another copy.
            let archive = if by_us { Effect::Archive } else { Effect::ArchiveFound };
            self.effects.push(archive(backup(plugin)));
        }
    }

    fn record(&mut self, plugin: &Plugin, by_us: bool, now: Now) {
        let lane = self.site.lanes.of(&plugin.key);
        lane.forget_crash();
        lane.unanswered = None;
        let version = plugin.frontmatter.version().map(str::to_owned);
        self.site.ledger.deployed(&plugin.key, Deployed { digest: plugin.digest, version, at: now.wall, by_us });
        self.effects.push(Effect::Save(plugin.key.clone()));
    }

    /// Ends the rollback: the server holds the file's text again.
    pub(super) fn end_rollback(&mut self, key: &Key) {
        if !self.policy.deploy.dry_run && self.site.lanes.get_mut(key).and_then(|lane| lane.rollback.take()).is_some() {
            self.effects.push(Effect::EndRollback(key.clone()));
        }
    }

    pub(super) fn record_attempt(&mut self, key: &Key, last: LastAttempt) {
        if !self.policy.deploy.dry_run {
            self.site.ledger.ended(key, last);
            self.effects.push(Effect::Save(key.clone()));
        }
    }
}

fn backup(plugin: &Plugin) -> Backup {
    Backup { key: plugin.key.clone(), text: plugin.text.to_string(), digest: plugin.digest }
}
