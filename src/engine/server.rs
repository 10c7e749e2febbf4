//! What is known of the server: whether it is there, lets us in, and what it holds. A look asks; an absence is waited out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::deploy::{Call, Cause};
use super::duplicate::Identity;
use super::files::Owner;
use super::lane::{Job, Task};
use super::ledger::LastAttempt;
use super::plan::Remote;
use super::retry::backoff;
use super::{Code, Effect, Engine, Now, TESTED, Ticket};
use crate::notice::{Notice, NoticeKind};
use crate::plugin::{Digest, Key, Kind};

/// The longest `Retry-After` that is obeyed.
const LONGEST_WISH: Duration = Duration::from_secs(30);
/// How soon after a failed try a save brings about the next one.
const NEXT_FOR_A_SAVE: Duration = Duration::from_secs(1);
/// How soon a server that does not let us in is asked again.
const SHUT_OUT: Duration = Duration::from_mins(1);

/// What we know of the server.
#[derive(Debug)]
pub(super) enum Server {
    /// Being looked at.
    Looking(Look),
    /// It lets us in.
    Open,
    /// Away since `tried`, and tried again at `until`. `asked`: the server itself has named the pause.
    Away { tried: Duration, until: Duration, asked: bool },
    /// It was not looked at yet, or does not let us in: looked at again then, for somebody may see to that on the server.
    Shut { until: Option<Duration> },
}

/// How long the server has been away, over several looks. A server that answers a look but no deploy is not back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) since: Duration,
    pub(super) attempts: u32,
    /// It is there, but denied access when it was last looked at.
    pub(super) denied: bool,
}

/// A look at the server: who is there, and what it holds.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) connecting: Option<Ticket>,
    pub(super) version: Option<String>,
    /// `None` until the tables were asked for.
    pub(super) overviews: Option<BTreeMap<Ticket, Kind>>,
    pub(super) holds: ServerListing,
}

/// What the overviews show.
#[derive(Debug, Default)]
pub(super) struct ServerListing {
    /// Of these there is an overview: of each that there was a file of when they were asked for.
    pub(super) kinds: BTreeSet<Kind>,
    pub(super) rows: BTreeMap<Key, Seen>,
    /// Plugins of which a conversation has ended since the overviews were asked for: these may be from before.
    pub(super) ended: BTreeSet<Key>,
}

impl ServerListing {
    /// What they say of one plugin. One that is listed without its text might as well not be: it is looked at.
    pub(super) fn of(&self, key: &Key) -> Remote {
        self.rows.get(key).and_then(|seen| seen.digest).map_or(Remote::NotListed, Remote::Holds)
    }

    /// There was an overview of its kind, and it was not in there.
    pub(super) fn lacks(&self, key: &Key) -> bool {
        self.kinds.contains(&key.kind) && !self.rows.contains_key(key) && !self.ended.contains(key)
    }
}

/// What an overview shows of one plugin.
#[derive(Debug)]
pub(super) struct Seen {
    /// Of its text, where the server shows that.
    pub(super) digest: Option<Digest>,
    pub(super) identity: Identity,
}

impl Engine {
    /// Begins a look at the server.
    pub(super) fn look(&mut self) {
        self.lanes.values_mut().for_each(|lane| lane.unread = None);
        let ticket = self.ticket();
        self.server = Server::Looking(Look {
            connecting: Some(ticket),
            version: None,
            overviews: None,
            holds: ServerListing::default(),
        });
        self.effects.push(Effect::Call(ticket, Call::Connect));
    }

    /// Goes on with the look: the tables that matter are known when the walk is done.
    pub(super) fn advance_look(&mut self, now: Now) {
        let Server::Looking(look) = &self.server else { return };
        if self.scanning || look.version.is_none() {
            return;
        }
        // A single pass plans everything at once: another file that is not complete yet may claim the same id.
        if self.policy.once.is_some() && !self.pending.is_empty() {
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
        self.cancel_outdated();
        let ServerListing { rows, ended, .. } = &mut look.holds;
        rows.retain(|key, _| !ended.contains(key));
        if let Some(version) = look.version.filter(|version| self.version.as_ref() != Some(version)) {
            let server = self.policy.server.clone();
            self.tell(Notice::general(NoticeKind::Connected { server, version: version.clone() }));
            if !TESTED.contains(&version.as_str()) {
                self.tell(Notice::general(NoticeKind::Untested { version: version.clone() }));
            }
            if self.version.replace(version).is_some() {
                // What this version makes of them is another question.
                self.ledger.doubt_refusals().into_iter().for_each(|key| self.effects.push(Effect::Save(key)));
            }
        }
        let intents: Vec<_> = self.lanes.with(|lane| lane.intent.as_ref()).map(|(key, _)| key.clone()).collect();
        for key in intents {
            if self.lanes.in_flight(&key).is_none() {
                self.lanes.request(key, Job { task: Task::Recover, since: now.at, in_pass: false });
            }
        }
        let since = self.pass.as_ref().map_or(now.at, |pass| pass.since);
        let unread = self.pending.len();
        let mut keys: Vec<_> = self.files.keys().cloned().collect();
        // What was tried last comes last: one plugin that the server cannot cope with must not keep the others from it.
        keys.sort_by_key(|key| self.lanes.get(key).and_then(|lane| lane.sent));
        self.conflicts.retain(|key, _| matches!(self.files.owner(key), Owner::Conflict(_)));
        for key in keys {
            match self.files.owner(&key) {
                Owner::One(plugin) => {
                    let remote = look.holds.of(&key);
                    self.plan(&plugin, remote, since, now);
                }
                Owner::Conflict(paths) => self.conflict(&key, paths),
                Owner::None => {}
            }
        }
        self.doubted.clear();
        self.note_changed(&look.holds);
        self.plan_pass(look.holds, self.pending.len().saturating_sub(unread));
        if self.lanes.n_waiting() == 0 && self.pending.is_empty() {
            self.returned(now);
        }
    }

    /// Whether a path is in a root that is not there: what is known of it holds again when the root is back.
    pub(super) fn is_out_of_reach(&self, path: &Path) -> bool {
        self.missing.iter().any(|root| path.starts_with(root))
    }

    /// The ledger does not go on believing what the list shows to be otherwise: what is planned by that may be taken back, or
    /// nothing is planned since two files claim the id.
    fn note_changed(&mut self, holds: &ServerListing) {
        let is_known = |key: &Key| !holds.ended.contains(key) && self.lanes.in_flight(key).is_none();
        let listed: Vec<_> = (self.ledger.all_held())
            .filter(|(key, _)| holds.kinds.contains(&key.kind) && is_known(key))
            .map(|(key, _)| (key.clone(), holds.rows.get(key).and_then(|seen| seen.digest)))
            .collect();
        for (key, digest) in listed {
            self.note_seen(&key, digest);
        }
    }

    /// The server was seen to hold this text; `None` if it does not have the plugin.
    pub(super) fn note_seen(&mut self, key: &Key, digest: Option<Digest>) {
        if let Some(held) = self.ledger.held(key).filter(|held| Some(*held) != digest) {
            self.ledger.ended(key, LastAttempt::Failed { digest: held });
        }
    }

    /// The server has shown that it is there again.
    pub(super) fn returned(&mut self, now: Now) {
        if let (Some(absence), Server::Open) = (self.absence, &self.server) {
            self.absence = None;
            let (away, waiting) = (now.at.saturating_sub(absence.since), self.n_undeployed());
            let what =
                if absence.denied { NoticeKind::AccessGranted { waiting } } else { NoticeKind::Back { away, waiting } };
            self.tell(Notice::general(what));
        }
    }

    /// The server is away. What waits is not kept as a list: it is planned anew when the server is back.
    pub(super) fn lose(&mut self, cause: Cause, retry_after: Option<Duration>, now: Now) {
        let Some((attempt, next)) = self.leave(retry_after, now) else { return };
        let (server, configured) = (self.policy.server.clone(), self.policy.configured);
        let since = self.absence.map_or(now.at, |absence| absence.since);
        if let Some(patience) = self.policy.once
            // What the server asks for counts here as a whole.
            && now.at.saturating_add(next.max(retry_after.unwrap_or_default())) > since + patience
        {
            let after = now.at.saturating_sub(since);
            self.tell(Notice::general(NoticeKind::GaveUp { after, cause, server, configured }));
            self.exit.get_or_insert(Code::NoServer);
        } else if attempt == 1 {
            let waiting = self.n_undeployed();
            self.tell(Notice::general(NoticeKind::Unreachable { cause, server, next, waiting, configured }));
        } else {
            self.tell(Notice::general(NoticeKind::StillUnreachable { cause: cause.words, attempt, next }));
        }
    }

    pub(super) fn shut_out(&mut self, status: u16, words: String, now: Now) {
        let key = self.policy.key.clone();
        self.shut(NoticeKind::NotAllowed { status, words, key }, now);
    }

    /// Something else answers. That may be the wrong address, which is said at once; or a proxy whose server is being
    /// started, so a watch looks again.
    pub(super) fn miss(&mut self, status: u16, words: String, now: Now) {
        let foreign = NoticeKind::Foreign { server: self.policy.server.clone(), status, words: words.clone() };
        if self.policy.once.is_some() {
            self.shut(foreign, now);
        } else if let Some((attempt, next)) = self.leave(None, now) {
            let still = NoticeKind::StillUnreachable { cause: words, attempt, next };
            self.tell(Notice::general(if attempt == 1 { foreign } else { still }));
        }
    }

    /// Leaves the server alone for a while. Answers how many looks have failed by now, and when the next one is.
    fn leave(&mut self, retry_after: Option<Duration>, now: Now) -> Option<(u32, Duration)> {
        if matches!(self.server, Server::Away { .. } | Server::Shut { .. }) {
            return None;
        }
        let absence = self.absence.get_or_insert(Outage { since: now.at, attempts: 0, denied: false });
        absence.attempts += 1;
        absence.denied = false;
        let attempt = absence.attempts;
        let next = backoff(attempt, now.chance).max(retry_after.unwrap_or_default().min(LONGEST_WISH));
        self.lanes.cancel_all();
        self.lanes.values_mut().for_each(|lane| drop(lane.forget_crash()));
        self.server = Server::Away { tried: now.at, until: now.at + next, asked: retry_after.is_some() };
        Some((attempt, next))
    }

    /// Ends the pause of a server that is away: somebody wants it tried now.
    pub(super) fn try_now(&mut self, now: Now) {
        if let Server::Away { until, asked, .. } = &mut self.server {
            (*until, *asked) = (now.at, false);
        }
    }

    /// Shortens the pause of a server that is away for a save, so that a storm of saves makes one try a second.
    pub(super) fn try_soon(&mut self) {
        if let Server::Away { tried, until, .. } = &mut self.server {
            *until = (*until).min(*tried + NEXT_FOR_A_SAVE);
        }
    }

    /// The server does not let us in: said once, and nothing is sent any more.
    fn shut(&mut self, what: NoticeKind, now: Now) {
        if matches!(self.server, Server::Shut { .. }) {
            return;
        }
        self.server = Server::Shut { until: self.policy.once.is_none().then_some(now.at + SHUT_OUT) };
        let denied = matches!(what, NoticeKind::NotAllowed { .. });
        self.absence.get_or_insert(Outage { since: now.at, attempts: 0, denied }).denied = denied;
        self.lanes.cancel_all();
        if self.policy.once.is_some() {
            self.exit.get_or_insert(Code::NoServer);
        }
        if self.shut_for.as_ref() != Some(&what) {
            self.shut_for = Some(what.clone());
            self.tell(Notice::general(what));
        }
    }
}
