//! From a file that was read to a conversation in flight: plans a plugin, picks whose turn it is, and gives a
//! conversation its context.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::access::ServerListing;
use super::deploy::{Adopt, Call, Deploy, DeployContext, DeployPolicy, Reply, Step};
use super::duplicate::{self, Duplicate, Duplicates, Identity};
use super::files::{File, Owner};
use super::job::{Job, Task};
use super::lane::{CheckedText, Conversation, Ended, InFlight, Lane, Phase};
use super::ledger::{LastAttempt, Record, RefusalKind, Rollback};
use super::plan::{self, Decision, Remote, Situation, WaitReason, Why};
use super::prefetch::Asked;
use super::removal::Removal;
use super::repair::Recovery;
use super::request::Request;
use super::result::{PassResult, RequestResult};
use super::retry::{Again, Cause};
use super::tree::{Complaint, Pending};
use super::{Effect, Engine, Now, SLOW, Ticket, refusal};
use crate::notice::{Notice, NoticeKind};
use crate::plugin::id::PluginId;
use crate::plugin::{Digest, Key, Plugin};
use crate::server_version::ServerVersion;

impl Engine {
    /// Decides about an id after its files changed.
    pub(super) fn consider(&mut self, key: &Key, since: Duration, now: Now) {
        // After the scan everything is planned at once, against what the server holds.
        if self.tree.scanning {
            return;
        }
        match self.tree.present_owner(key) {
            Owner::None => {
                self.tree.rechecked.remove(key);
                self.tree.conflicts.remove(key);
                self.site.lanes.cancel(key);
            }
            Owner::One(plugin) => {
                self.tree.rechecked.remove(key);
                self.tree.conflicts.remove(key);
                if !self.is_plannable(&plugin) {
                    return;
                }
                let remote = self.remote(key);
                self.plan(&plugin, remote, since, now);
            }
            Owner::Conflict(paths) => self.recheck_claims(key, paths, since),
        }
    }

    /// What the server holds, by the listing of the current pass, as long as the pass has no result for the plugin.
    pub(super) fn remote(&mut self, key: &Key) -> Remote {
        if let Some(remote) = self.site.lanes.get_mut(key).and_then(|lane| lane.unread.take()) {
            return remote;
        }
        let planned = !self.site.lanes.is_idle(key);
        // After an outage the listing is outdated.
        let known = self.site.is_open() && !planned;
        match self.site.pass.as_ref().filter(|pass| known && pass.planned && !pass.results.contains_key(key)) {
            Some(pass) => pass.holds.of(key),
            None => Remote::NotAsked,
        }
    }

    /// Whether the state of the file is current: it is not about to be read again, and its root is not missing.
    pub(super) fn is_plannable(&self, plugin: &Plugin) -> bool {
        self.policy.selects_plugin(plugin)
            && !self.tree.is_out_of_reach(&plugin.path)
            && !self.tree.pending.contains_key(&plugin.path)
    }

    /// Plans one plugin whose id no other file claims.
    pub(super) fn plan(&mut self, plugin: &Arc<Plugin>, remote: Remote, since: Duration, now: Now) {
        if self.is_plannable(plugin) {
            self.plan_as(plugin, remote, Again::default(), since, now);
        }
    }

    /// Plans another try, even if the file is about to be read again: the text read then is planned after this one.
    pub(super) fn plan_again(&mut self, plugin: &Arc<Plugin>, again: Again, now: Now) {
        self.plan_as(plugin, Remote::NotAsked, again, now.at, now);
    }

    fn plan_as(&mut self, plugin: &Arc<Plugin>, remote: Remote, again: Again, since: Duration, now: Now) {
        let key = &plugin.key;
        self.tell_switched_off(plugin);
        let lanes = &self.site.lanes;
        let in_flight = lanes.in_flight(key).and_then(|flight| flight.conversation.deploys());
        let mut situation = Situation {
            access: self.site.access(),
            has_text: plugin.has_text(),
            force: self.first_pass && self.policy.deploy.force,
            requested: again.is_forced || lanes.get(key).is_some_and(|lane| lane.request.is_some_and(Request::is_due)),
            has_result: self.site.pass.as_ref().is_some_and(|pass| pass.results.contains_key(key)),
            in_flight: in_flight.map(|plugin| plugin.digest),
            waiting: lanes.waiting(key).and_then(Job::deploy).map(|(_, why)| why),
            asked: self.site.is_asked_ahead(key),
            ..self.situation(plugin, remote)
        };
        let in_pass = situation.in_pass() || again.in_pass;
        let mut decision = plan::decide(&situation);
        let was_checked = decision != Decision::Check;
        if !was_checked {
            let (version, errors) = (self.version(), self.policy.checks.errors(plugin, self.version()));
            situation.checked = if errors.is_empty() { plan::Checked::Fine } else { plan::Checked::HasErrors };
            decision = plan::decide(&situation);
            self.site.lanes.of(key).checked =
                Some(CheckedText { path: Arc::clone(&plugin.path), digest: plugin.digest, version, errors });
        }
        if let Decision::Deploy(_) | Decision::InFlight = decision
            && let Some(lane) = self.site.lanes.get_mut(key)
        {
            lane.request = lane.request.and_then(Request::started);
        }
        match decision {
            Decision::Deploy(why) => self.request(plugin, why, since, in_pass),
            Decision::Wait(reason) => {
                self.note_request(key, RequestResult::Waits);
                self.tell(Notice::of(plugin, NoticeKind::Waiting { reason, again: false }));
            }
            // The text was just checked.
            Decision::AwaitProbe | Decision::Check => {}
            Decision::ReadText => {
                self.site.lanes.of(key).unread = Some(remote);
                self.reread(Arc::clone(&plugin.path), Pending::new(since, None));
            }
            // The outcome of that conversation answers this save too. Until then nothing is known.
            Decision::InFlight => self.site.lanes.cancel(key),
            Decision::Unchanged => {
                self.site.lanes.cancel(key);
                self.site.lanes.end_retry(key, Cause::DiskFull);
                if in_pass {
                    self.record_found(plugin, now);
                }
                self.tree.files.drop_text(plugin);
                let active = self.site.listed.get(key).copied().filter(|_| in_pass);
                self.tell_unchanged(plugin, in_pass, active);
            }
            Decision::RolledBack => {
                self.site.lanes.cancel(key);
                self.tree.files.drop_text(plugin);
                self.tell_rolled_back(plugin);
            }
            Decision::Blocked => {
                self.site.lanes.cancel(key);
                self.tell_blocked(plugin, in_pass && was_checked);
                self.tree.files.drop_text(plugin);
            }
            Decision::RefusedBefore { refusal, on_server } => {
                self.site.lanes.cancel(key);
                // After an outage this is no news.
                if !in_pass || self.site.pass.is_some() {
                    let span = refusal::place(&refusal.words, &plugin.text);
                    self.tree.complain(plugin, Complaint::Error);
                    self.note_result(key, PassResult::Refused);
                    let requirements = plugin.frontmatter.requirements().map(str::to_owned);
                    let installs = !self.policy.habits.installs_nothing;
                    let what = NoticeKind::RefusedBefore { refusal, span, requirements, installs, on_server };
                    self.tell(Notice::of(plugin, what));
                }
            }
        }
    }

    /// The facts about the texts of a plugin.
    fn situation(&self, plugin: &Plugin, remote: Remote) -> Situation<'_> {
        let rollback = self.site.rollback(&plugin.key);
        let given_up = self.site.given_up(plugin);
        let record = self.site.ledger.get(&plugin.key);
        let checked = self.checked(plugin);
        Situation { rollback, given_up, checked, ..Situation::new(record, remote, plugin.digest, plugin.entry) }
    }

    /// The server's version, as far as the checks know it.
    fn version(&self) -> ServerVersion {
        ServerVersion::of_server(self.site.version.as_deref())
    }

    /// What `check` said of a text, where its errors hold a deploy back.
    fn checked(&self, plugin: &Plugin) -> plan::Checked {
        if !self.policy.checks.block(&plugin.path) {
            return plan::Checked::Fine;
        }
        let known = self.site.lanes.get(&plugin.key).and_then(|lane| lane.checked.as_ref());
        let version = self.version();
        let is_of = |known: &&CheckedText| {
            known.path == plugin.path && known.digest == plugin.digest && known.version == version
        };
        match known.filter(is_of) {
            None => plan::Checked::NotYet,
            Some(known) if known.errors.is_empty() => plan::Checked::Fine,
            Some(_) => plan::Checked::HasErrors,
        }
    }

    /// Tells the errors that hold a deploy back. `was_told`: they are known, so after an outage they are no news.
    fn tell_blocked(&mut self, plugin: &Plugin, was_told: bool) {
        if was_told && self.site.pass.is_none() {
            return;
        }
        self.tree.complain(plugin, Complaint::Error);
        self.note_result(&plugin.key, PassResult::Held);
        let checked = self.site.lanes.get(&plugin.key).and_then(|lane| lane.checked.as_ref());
        for error in checked.map_or_else(Vec::new, |checked| checked.errors.clone()) {
            self.tell(Notice::of(plugin, NoticeKind::Blocked(error)));
        }
    }

    /// The decision about a save of the plugin, by the ledger alone.
    pub(super) fn decide(&self, plugin: &Plugin) -> Decision {
        plan::decide(&self.situation(plugin, Remote::NotAsked))
    }

    /// Allows another try of a refused text that the user saved again unchanged: unless the server's words name a line
    /// of it, the cause may have been elsewhere, and be fixed. A formatter's save does not count.
    pub(super) fn reconsider_refusal(&mut self, plugin: &Plugin, saved: Duration) {
        let (key, digest) = (&plugin.key, plugin.digest);
        if self.is_hot(key, saved) {
            return;
        }
        if let Some(lane) = self.site.lanes.get_mut(key)
            && let Some(crash) = lane.crash.as_mut().filter(|crash| crash.is_of(plugin))
        {
            crash.start_anew();
            lane.end_retry(Cause::Crash);
        }
        let Some(LastAttempt::Refused { digest: refused, refusal }) =
            self.site.ledger.get(key).map(|record| &record.last)
        else {
            return;
        };
        let names_a_line = refusal.kind == RefusalKind::Said && refusal::names_a_line(&refusal.words);
        if *refused == digest && !names_a_line {
            self.record_attempt(key, LastAttempt::Failed { digest });
        }
    }

    /// Tells that a returned plugin is still switched off by us. It is left off: neither the user's wish nor later
    /// changes by others are known.
    pub(super) fn tell_switched_off(&mut self, plugin: &Plugin) {
        if self.site.ledger.get(&plugin.key).is_none_or(|record| !record.switched_off) {
            return;
        }
        self.tell(Notice::of(plugin, NoticeKind::LeftOff));
        if !self.policy.deploy.dry_run {
            self.site.ledger.switched_off(&plugin.key, false);
            self.effects.push(Effect::Save(plugin.key.clone()));
        }
    }

    fn request(&mut self, plugin: &Arc<Plugin>, why: Why, since: Duration, in_pass: bool) {
        self.site.lanes.of(&plugin.key).activate_now();
        let job = Job { task: Task::Deploy { plugin: Arc::clone(plugin), why }, since, in_pass };
        if !in_pass {
            self.saves.push(plugin.key.clone());
        }
        let replaced = self.site.lanes.request(plugin.key.clone(), job);
        if let Some((older, _)) = replaced.as_ref().and_then(Job::deploy)
            && older.digest != plugin.digest
        {
            self.tell(Notice::of(older, NoticeKind::Superseded));
        }
    }

    /// Starts every job that may start.
    pub(super) fn pump(&mut self, now: Now) {
        if self.ending.is_some() || self.exit.is_some() || !self.site.is_open() {
            return;
        }
        if self.is_held {
            return self.tell_waits(WaitReason::Settings);
        }
        while let Some((key, job)) = self.next_job() {
            if job.deploy().is_some_and(|(plugin, _)| !self.is_in_its_file(plugin)) {
                continue;
            }
            let Job { task, since, in_pass } = job;
            // The repair after an interrupted deploy comes first.
            let (conversation, step) = match (self.site.lanes.of(&key).intent.clone(), task) {
                (Some(mut intent), task) => {
                    // The settings may have changed since: a new function is switched on if they still ask for it.
                    intent.was_active &= intent.replaced.is_some() || self.policy.deploy.activate_new;
                    let (recovery, step) = Recovery::start(key.clone(), intent);
                    if !matches!(task, Task::Recover) {
                        self.site.lanes.request(key.clone(), Job { task, since, in_pass });
                    }
                    (Conversation::Recover(recovery), step.map_done(Ended::Recover))
                }
                (None, Task::Recover) => continue,
                (None, Task::Remove { plugin, mode, deployed }) => {
                    let (removal, step) = Removal::start(key.clone(), mode, deployed);
                    (Conversation::Remove(plugin, removal), step.map_done(Ended::Remove))
                }
                (None, Task::Deploy { plugin, why })
                    if plan::is_rolled_back(why, self.site.rollback(&key), plugin.digest) =>
                {
                    self.tell_rolled_back(&plugin);
                    continue;
                }
                (None, Task::Deploy { plugin, why }) => {
                    // An unchanged save is only compared, as far as we know.
                    if why != Why::SavedAgain {
                        self.tell(Notice::of(&plugin, NoticeKind::Sending { why }));
                    }
                    let adopt = self.adopt(&plugin.path, why);
                    let policy = DeployPolicy { force: why == Why::Forced, adopt, ..self.policy.deploy };
                    let context = self.context(&plugin, why, in_pass);
                    let lane = self.site.lanes.of(&key);
                    lane.end_retry(Cause::Crash);
                    lane.sent = Some(now.at);
                    let (deploy, step) = Deploy::start(plugin, context, policy);
                    (Conversation::Deploy(deploy), step.map_done(Ended::Deploy))
                }
            };
            // In a pass, the wait for a turn does not count as part of the deploy.
            let since = if in_pass { now.at } else { since };
            let slow_at = Some(now.at + SLOW);
            let phase = if matches!(conversation, Conversation::Recover(_)) { Phase::Changes } else { Phase::Reads };
            let flight =
                InFlight { conversation, since, in_pass, rolled_back: false, is_blamed: false, slow_at, phase };
            self.site.lanes.start(key.clone(), flight);
            match self.asked_ahead(&key, &step, now) {
                Some(Asked::Answered(reply)) => self.converse(key, reply, now),
                Some(Asked::OnItsWay(ticket)) => {
                    self.site.tickets.insert(ticket, key);
                }
                None => self.step(key, step, now),
            }
        }
        self.tell_waits(WaitReason::Turn);
    }

    /// Tells which new saves wait: what is shown of them so far is no longer true.
    fn tell_waits(&mut self, reason: WaitReason) {
        for key in std::mem::take(&mut self.saves) {
            if let Some((plugin, _)) = self.site.lanes.waiting(&key).and_then(Job::deploy) {
                self.tell(Notice::of(&Arc::clone(plugin), NoticeKind::Waiting { reason, again: false }));
            }
        }
    }

    /// Takes back waiting deploys that would not start, so that nobody counts them.
    pub(super) fn cancel_outdated(&mut self) {
        let waiting = self.site.lanes.all_waiting().filter_map(Job::deploy).map(|(plugin, _)| plugin);
        let outdated: Vec<_> = waiting.filter(|plugin| !self.is_in_its_file(plugin)).map(|it| it.key.clone()).collect();
        for key in &outdated {
            self.site.lanes.cancel(key);
        }
    }

    /// Whether its file still holds this text, for the settings in use, and its root is there. If not, it is planned again when it is back.
    fn is_in_its_file(&self, plugin: &Plugin) -> bool {
        let held = self.tree.files.get(&plugin.path).and_then(File::plugin);
        held.is_some_and(|held| held.key == plugin.key && held.digest == plugin.digest)
            && !self.tree.is_out_of_reach(&plugin.path)
            && (self.is_held || !self.tree.doubtful.contains(&plugin.path))
    }

    /// The next job that may start. A text that was sent and never confirmed comes last, even after texts still being
    /// read: it may bring the server down, and a single pass must get to all harmless texts first.
    pub(super) fn next_job(&mut self) -> Option<(Key, Job)> {
        let next = self.next_job_that(false);
        let is_reading = || self.tree.pending.values().any(|pending| pending.due.is_none());
        if next.is_some() || is_reading() { next } else { self.next_job_that(true) }
    }

    /// A text that may have brought the server down is sent alone, so that the right text is blamed. A repair waits for
    /// nothing.
    fn next_job_that(&mut self, is_unconfirmed: bool) -> Option<(Key, Job)> {
        let is_suspect = |lane: &Lane, plugin: Option<&Arc<Plugin>>| plugin.is_some_and(|plugin| lane.suspects(plugin));
        if self.site.lanes.all_in_flight().any(|(_, lane, flight)| is_suspect(lane, flight.conversation.deploys())) {
            return None;
        }
        let n_in_flight = self.site.lanes.n_in_flight();
        self.site.lanes.next_job(|key, lane, job| {
            let asks = self.site.ahead.as_ref().is_some_and(|ahead| ahead.runs_beside(key));
            let beside = n_in_flight + usize::from(asks);
            let has_room = beside < self.policy.concurrency.get();
            let plugin = job.deploy().map(|(plugin, _)| plugin);
            has_room
                && !lane.awaits_activation()
                && (beside == 0 || !is_suspect(lane, plugin))
                && plugin.is_some_and(|plugin| lane.intent.is_none() && self.site.ledger.is_unconfirmed(plugin))
                    == is_unconfirmed
        })
    }

    /// How to treat a new plugin that seems to be on the server under another id. A user who asks for its deploy knows
    /// of the duplicate.
    pub(super) fn adopt(&self, path: &Path, why: Why) -> Adopt {
        if why == Why::Forced && !self.policy.deploy.force {
            return Adopt::Never;
        }
        self.policy.adopt_files.get(path).copied().unwrap_or(self.policy.deploy.adopt)
    }

    /// The context of a deploy.
    pub(super) fn context(&self, plugin: &Plugin, why: Why, in_pass: bool) -> DeployContext {
        let key = &plugin.key;
        let record = self.site.ledger.get(key);
        let deployed = record.and_then(|record| record.deployed.as_ref()).map(|deployed| deployed.digest);
        let sent = record.map(|record| record.sent.as_slice()).unwrap_or_default();
        let rolled_back = self.site.rollback(key).map(|rollback| rollback.server);
        let lacking = self.site.pass.as_ref().map(|pass| &pass.holds).filter(|holds| in_pass && holds.lacks(key));
        // While plugins are disabled, a server lists no functions, though it has some. An existing function must not be
        // mistaken for one that we have just created.
        let switches_on = self.policy.deploy.activate_new && key.kind.has_switch();
        DeployContext {
            ours: record.into_iter().flat_map(Record::ours).chain(rolled_back).collect(),
            unarchived: sent.iter().copied().filter(|sent| Some(*sent) != deployed).collect(),
            duplicates: match (self.adopt(&plugin.path, why), lacking) {
                (Adopt::Never, _) => Duplicates::Ignored,
                _ if !Identity::of(plugin).tells() => Duplicates::Ignored,
                (Adopt::Ask, Some(holds)) => Duplicates::Known(self.duplicate_of(plugin, holds)),
                // There is no listing; or it lists the plugin, which is gone since, so the listing is outdated.
                (Adopt::Ask, None) => Duplicates::Unknown(BTreeSet::new()),
            },
            refused: self.site.refused_before(plugin).filter(|_| why != Why::Forced),
            explains_updates: refusal::explains_updates(self.site.version.as_deref().and_then(ServerVersion::reported)),
            unlisted: record.is_none()
                && lacking.is_some_and(|holds| !switches_on || holds.lists(key.kind))
                && !self.site.is_asked_ahead(key),
        }
    }

    /// The same plugin under another id, by an overview.
    pub(super) fn duplicate_of(&self, plugin: &Plugin, holds: &ServerListing) -> Option<Duplicate> {
        let kind = plugin.key.kind;
        let others = holds.rows.iter().filter(|(key, _)| key.kind == kind).map(|(key, seen)| (&key.id, &seen.identity));
        let claimed_elsewhere =
            |id: &PluginId| self.tree.claimed_elsewhere().any(|key| key.kind == kind && key.id == *id);
        duplicate::find(&Identity::of(plugin), &plugin.key.id, others, claimed_elsewhere)
    }

    pub(super) fn step(&mut self, key: Key, step: Step<Ended>, now: Now) {
        let Some(step) = self.may_take(&key, step) else { return };
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
                self.site.lanes.of(&key).intent = Some(intent.clone());
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

    /// Records a text that is being sent: the server may hold it from now on, even without an answer, and it must not
    /// be taken for somebody else's.
    pub(super) fn record_sending(&mut self, key: &Key, call: &Call) {
        // With or without an answer, the user must hear of it when the file is back.
        let removes = |flight: &InFlight| matches!(flight.conversation, Conversation::Remove(..));
        if matches!(call, Call::Toggle(_)) && self.site.lanes.in_flight(key).is_some_and(removes) {
            self.site.ledger.switched_off(key, true);
            self.effects.push(Effect::Save(key.clone()));
        }
        let (Call::Create(_, form) | Call::Update(_, form)) = call else { return };
        if form.file.is_none() {
            return;
        }
        self.site.ledger.sending(key, Digest::of_text(&form.content));
    }

    /// Continues a conversation with a reply.
    pub(super) fn converse(&mut self, key: Key, reply: Reply, now: Now) {
        // The listing of the pass may be empty because plugins were disabled then. This newer overview may show plugins
        // that must not be created, so the other deploys ask for themselves.
        if let (Reply::Rows(_), Some(pass)) = (&reply, &mut self.site.pass) {
            pass.holds.outdate(key.kind);
        }
        let deploy = self.site.lanes.in_flight(&key).and_then(|flight| flight.conversation.deploy());
        let others = deploy.filter(|deploy| deploy.looks_for_duplicates()).map(|_| {
            let others = self.tree.claimed_elsewhere().filter(|other| other.kind == key.kind && **other != key);
            others.map(|key| key.id.clone()).collect()
        });
        // A text found there later is not ours, even if it is equal.
        if let Some(deploy) = deploy.filter(|deploy| deploy.is_rejected_by(&reply)) {
            self.site.ledger.rejected(&key, deploy.plugin().digest);
        }
        let reply = |conversation: &mut Conversation| {
            if let (Conversation::Deploy(deploy), Some(others)) = (&mut *conversation, others) {
                deploy.claimed_elsewhere(others);
            }
            Some(conversation.reply(reply))
        };
        self.proceed(key, reply, now);
    }

    /// Continues a conversation that waited for a write, which succeeded or failed.
    pub(super) fn on_written(
        &mut self,
        ticket: Ticket,
        written: impl FnOnce(&mut Conversation) -> Option<Step<Ended>>,
        now: Now,
    ) {
        if let Some(key) = self.site.tickets.remove(&ticket) {
            self.proceed(key, written, now);
        }
    }

    /// Takes the next step of a conversation, or ends it if its plugin is kept.
    fn proceed(&mut self, key: Key, next: impl FnOnce(&mut Conversation) -> Option<Step<Ended>>, now: Now) {
        let kept = self.kept_meanwhile(&key);
        let Some(flight) = self.site.lanes.in_flight_mut(&key) else { return };
        if let Some(step) = kept.or_else(|| next(&mut flight.conversation)) {
            self.step(key, step, now);
        }
    }

    /// Takes the current rollbacks. A conversation already in flight does not end a new one.
    pub(super) fn on_rolled_back(&mut self, rollbacks: BTreeMap<Key, Rollback>, now: Now) {
        let mut before: BTreeMap<_, _> =
            self.site.lanes.iter_mut().filter_map(|(key, lane)| Some((key.clone(), lane.rollback.take()?))).collect();
        for (key, rollback) in rollbacks {
            self.site.lanes.of(&key).rollback = Some(rollback);
            if before.remove(&key) == Some(rollback) {
                continue;
            }
            if let Some(flight) = self.site.lanes.in_flight_mut(&key) {
                flight.rolled_back = true;
            } else if let Owner::One(plugin) = self.tree.present_owner(&key)
                && rollback.done
                && rollback.replaced(plugin.digest)
            {
                self.tree.complain(&plugin, Complaint::RolledBack);
                self.tell(Notice::of(&plugin, NoticeKind::RolledBack));
            }
        }
        // These rollbacks are over: the file's own text was put back, or only the note was deleted. Ask the server.
        for (key, rollback) in before {
            // A rollback to the file's own text first replaces the earlier note, so `done` alone does not tell.
            if let Owner::One(plugin) = self.tree.present_owner(&key)
                && (rollback.done || self.tree.complaints.get(&plugin.path) == Some(&Complaint::RolledBack))
                && rollback.replaced(plugin.digest)
            {
                self.record_seen(&key, None);
                self.consider(&key, now.at, now);
            }
        }
    }

    /// Tells that the server holds the text; after an error or a rollback, that all is good again.
    pub(super) fn tell_unchanged(&mut self, plugin: &Plugin, in_pass: bool, active: Option<bool>) {
        // The outcome of a conversation in flight is still open.
        let good_again = self.site.lanes.in_flight(&plugin.key).is_none()
            && self.tree.complaints.remove(&plugin.path).is_some_and(|complaint| complaint != Complaint::Held)
            && self.is_good(plugin);
        self.note_request(&plugin.key, RequestResult::Ended(PassResult::Unchanged));
        if in_pass {
            self.note_result(&plugin.key, PassResult::Unchanged);
        }
        self.tell(Notice::of(plugin, NoticeKind::Unchanged { in_pass, active, good_again }));
        self.try_unchanged(plugin, active);
    }

    /// Whether the text has no error that would hold it back.
    fn is_good(&self, plugin: &Plugin) -> bool {
        match self.checked(plugin) {
            plan::Checked::NotYet => self.policy.checks.errors(plugin, self.version()).is_empty(),
            checked => checked == plan::Checked::Fine,
        }
    }

    pub(super) fn tell_rolled_back(&mut self, plugin: &Plugin) {
        self.note_result(&plugin.key, PassResult::Held);
        self.tree.complain(plugin, Complaint::RolledBack);
        self.tell(Notice::of(plugin, NoticeKind::RolledBack));
    }
}
