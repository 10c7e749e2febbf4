//! What other processes of the user ask of a running watch, or tell it. A deploy is handled like a save that is sent
//! whatever the ledger says.

use std::path::Path;
use std::sync::Arc;

use super::access::Access;
use super::files::Owner;
pub use super::result::{PassResult, RequestResult};
use super::retry::Cause;
use super::tree::Pending;
use super::{Effect, Engine, Now};
use crate::plugin::{Digest, Key};

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is being read or deployed.
    Busy,
    /// It is deployed when the server can be used again.
    Waiting,
    /// Nothing more follows.
    Done,
}

/// A deploy that the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Somebody waits for the answer.
    Open { has_started: bool, result: Option<RequestResult> },
    /// The answer was that it waits for the server.
    Answered,
}

impl Request {
    /// Whether the deploy has not started.
    pub(super) fn is_due(self) -> bool {
        !matches!(self, Self::Open { has_started: true, .. })
    }

    /// The request for the next engine: a deploy that came to no result starts again.
    pub(super) fn hand_over(self) -> Self {
        match self {
            Self::Open { result: None, .. } => Self::Open { has_started: false, result: None },
            request => request,
        }
    }

    /// The request after the start of its deploy.
    pub(super) fn started(self) -> Option<Self> {
        match self {
            Self::Open { result, .. } => Some(Self::Open { has_started: true, result }),
            Self::Answered => None,
        }
    }
}

impl Engine {
    /// Reads the file, whose plugin is sent even if it is held or was refused.
    pub(super) fn on_requested(&mut self, key: &Key, path: Arc<Path>, now: Now) {
        if !self.policy.selects(&path, Some(key.id.as_str())) {
            return;
        }
        self.site.lanes.of(key).request = Some(Request::Open { has_started: false, result: None });
        self.try_soon();
        self.read(path, Pending::new(now.at, Some(now.at)));
    }

    /// Forgets a plugin that was deleted on the server while it had this text. Plugins that were held as its duplicates
    /// are planned again.
    pub(super) fn on_deleted(&mut self, key: &Key, text: Digest, now: Now) {
        let deployed = self.site.ledger.get(key).and_then(|record| record.deployed.as_ref());
        let is_back = deployed.is_some_and(|deployed| deployed.digest != text);
        let was_created = self.site.lanes.get(key).and_then(|lane| lane.created).is_some_and(|(_, it)| it == text);
        // One that has a file may be there again: it is compared.
        if self.tree.files.owner(key) == Owner::None && !is_back {
            self.site.ledger.forget(key);
            if was_created {
                // We may hear of the deletion only after creating the plugin again: then the text there is ours.
                self.site.ledger.sending(key, text);
            }
        } else {
            self.record_seen(key, None);
        }
        self.effects.push(Effect::Save(key.clone()));
        self.end_rollback(key);
        if self.site.lanes.in_flight(key).is_none() {
            self.site.lanes.cancel(key);
            self.site.end_removal(key);
        }
        if let Some(pass) = &mut self.site.pass {
            pass.holds.rows.remove(key);
        }
        if let Access::Probing(probe) = &mut self.site.access {
            probe.holds.ended.insert(key.clone());
        }
        let held: Vec<_> = self
            .site
            .lanes
            .with(|lane| lane.duplicate.as_ref())
            .filter(|(_, other)| *other == key)
            .map(|(held, _)| held.clone())
            .collect();
        for held in &held {
            self.site.lanes.of(held).duplicate = None;
            self.consider(held, now.at, now);
        }
        // A file may have brought it back meanwhile.
        self.consider(key, now.at, now);
    }

    /// Forgets a request that was answered: the next save is a save like any other. One that waits for the server is
    /// deployed later.
    pub fn end_request(&mut self, key: &Key, path: &Path) {
        let is_done = self.progress(key, path) == Progress::Done;
        if let Some(lane) = self.site.lanes.get_mut(key) {
            lane.request = lane.request.filter(|request| !is_done && request.is_due()).map(|_| Request::Answered);
        }
    }

    /// What has become of the request for this plugin so far.
    #[must_use]
    pub fn request_result(&self, key: &Key) -> Option<RequestResult> {
        match self.site.lanes.get(key)?.request? {
            Request::Open { result, .. } => result,
            Request::Answered => None,
        }
    }

    /// Notes what has become of a plugin, if somebody waits for that.
    pub(super) fn note_request(&mut self, key: &Key, is: RequestResult) {
        let request = self.site.lanes.get_mut(key).and_then(|lane| lane.request.as_mut());
        if let Some(Request::Open { result, .. }) = request {
            *result = Some(is);
        }
    }

    /// Whether a plugin waits for its turn to be sent.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.site.lanes.n_waiting() > 0
    }

    /// How far a request for this plugin has come.
    #[must_use]
    pub fn progress(&self, key: &Key, path: &Path) -> Progress {
        let lane = self.site.lanes.get(key);
        let is_requested = lane.is_some_and(|lane| lane.request.is_some_and(Request::is_due));
        let retries = lane.is_some_and(|lane| {
            lane.retry.as_ref().is_some_and(|retry| retry.cause == Cause::Crash && retry.due.is_some())
        });
        if self.tree.scanning || self.tree.pending.contains_key(path) || self.is_use_asked(key) {
            return Progress::Busy;
        }
        let is_sole = matches!(self.tree.files.owner(key), Owner::One(_));
        match self.site.access {
            Access::Away { .. } | Access::Denied { .. } if is_sole && self.site.lanes.in_flight(key).is_none() => {
                if is_requested || !self.site.lanes.is_idle(key) {
                    Progress::Waiting
                } else {
                    Progress::Done
                }
            }
            _ if !self.site.lanes.is_idle(key) || retries => Progress::Busy,
            // It is planned when the probe ends.
            Access::Probing(_) if is_requested && is_sole => Progress::Busy,
            _ => Progress::Done,
        }
    }
}
