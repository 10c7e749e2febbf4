//! New functions that could not be switched on at once, as `activate_new` asks. They are tried again with growing pauses,
//! beside everything else: a server that takes texts is not away.

use std::collections::BTreeMap;
use std::time::Duration;

use super::queue::backoff;
use super::server::Server;
use super::{Engine, Job, Now, Task};
use crate::plugin::Key;

/// How often a single pass tries again before it ends.
const MOST_IN_A_PASS: u32 = 3;

/// The functions that are still off.
#[derive(Debug, Default)]
pub(super) struct Activations(BTreeMap<Key, Activation>);

#[derive(Debug, Default)]
struct Activation {
    /// Failures in a row.
    attempts: u32,
    /// When the next try begins; `None` while it is under way, and after the last one of a single pass.
    due: Option<Duration>,
}

impl Activations {
    /// When the next try begins.
    pub(super) fn next(&self) -> Option<Duration> {
        self.0.values().filter_map(|activation| activation.due).min()
    }

    /// Whether the user knows that this function is still off.
    pub(super) fn is_known(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.0.remove(key);
    }
}

impl Engine {
    /// Tries again later.
    pub(super) fn activate_later(&mut self, key: &Key, now: Now) {
        let activation = self.activations.0.entry(key.clone()).or_default();
        activation.attempts += 1;
        let goes_on = self.policy.once.is_none() || activation.attempts <= MOST_IN_A_PASS;
        activation.due = goes_on.then(|| now.at + backoff(activation.attempts, now.chance));
    }

    /// Begins the tries whose time has come.
    pub(super) fn activate_due(&mut self, now: Now) {
        if !matches!(self.server, Server::Open) || self.ending.is_some() {
            return;
        }
        let due =
            self.activations.0.iter_mut().filter(|(_, activation)| activation.due.is_some_and(|due| due <= now.at));
        let keys: Vec<_> = due
            .map(|(key, activation)| {
                activation.due = None;
                key.clone()
            })
            .collect();
        for key in keys {
            // A deploy makes good what was left behind before it begins.
            if self.queue.is_idle(&key) {
                self.queue.request(key, Job { task: Task::Recover, since: now.at, in_pass: false });
            }
        }
    }
}
