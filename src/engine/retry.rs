//! Deploys that failed on this side: the disk had no room for the copy or the note that has to be there first. They are
//! tried again with growing pauses until the disk takes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::deploy::{Deploy, Failure, Outcome};
use crate::engine::files::Owner;
use crate::engine::plan::Why;
use crate::engine::queue::backoff;
use crate::engine::server::Server;
use crate::engine::{Engine, Held, Now, Pending};
use crate::plugin::Key;

/// The deploys that wait for room on the disk.
#[derive(Debug, Default)]
pub(super) struct Retries(BTreeMap<Key, Retry>);

#[derive(Debug)]
struct Retry {
    /// Failures in a row.
    attempts: u32,
    /// `None` once the time has come.
    due: Option<Duration>,
    /// When its time came last.
    tried: Option<Duration>,
    /// The user insists (`--force`).
    forced: bool,
}

impl Retries {
    pub(super) fn next(&self) -> Option<Duration> {
        self.0.values().filter_map(|retry| retry.due).min()
    }

    /// The server holds what was to be deployed.
    pub(super) fn remove(&mut self, key: &Key) {
        self.0.remove(key);
    }
}

impl Engine {
    /// Takes note of how a deploy ended. Answers whether the user knows already: it failed as the attempt before did, and
    /// nobody saved in between.
    pub(super) fn note_for_retry(&mut self, exchange: &Deploy, outcome: &Outcome, took: Duration, now: Now) -> bool {
        let (key, forced) = (&exchange.plugin().key, exchange.why_again() == Why::Forced);
        if !matches!(outcome, Outcome::Failed(Failure::KeepFailed { .. })) || self.policy.once.is_some() {
            self.retries.0.remove(key);
            return false;
        }
        let retry = self.retries.0.entry(key.clone()).or_insert(Retry { attempts: 0, due: None, tried: None, forced });
        let is_known = retry.tried == Some(now.at.saturating_sub(took));
        retry.attempts += 1;
        retry.forced = forced;
        retry.due = Some(now.at + backoff(retry.attempts, now.chance));
        is_known
    }

    /// Reads the files of what is due again: what they hold now is deployed.
    pub(super) fn retry_due(&mut self, now: Now) {
        if !matches!(self.server, Server::Open) || self.ending.is_some() {
            return;
        }
        let due = self.retries.0.iter_mut().filter(|(_, retry)| retry.due.is_some_and(|due| due <= now.at));
        let keys: Vec<_> = due
            .map(|(key, retry)| {
                (retry.due, retry.tried) = (None, Some(now.at));
                (key.clone(), retry.forced)
            })
            .collect();
        for (key, forced) in keys {
            match self.present_owner(&key) {
                Owner::One(plugin) if forced && plugin.has_text() => {
                    if self.queue.is_idle(&key) {
                        self.request(&plugin, Why::Forced, now.at, false);
                    }
                }
                Owner::One(plugin) if self.pending.contains_key(&plugin.path) => {}
                Owner::One(plugin) => {
                    let pending = Pending { since: now.at, due: None, held: Held::No, saved: None };
                    self.reread(Arc::clone(&plugin.path), pending);
                }
                // No file has it any more, or several do.
                _ => drop(self.retries.0.remove(&key)),
            }
        }
    }
}
