//! Retries with growing pauses while the server can be reached: of a text at which it failed, of a deploy for which the
//! disk had no room, of switching on a new function. After an outage of the server everything is planned anew instead.

use std::sync::Arc;
use std::time::Duration;

use super::deploy::{Deploy, Failure, Outcome};
use super::files::Owner;
use super::job::{Job, Task};
use super::result::PassResult;
use super::tree::Pending;
use super::{Engine, Now};
use crate::plugin::Key;

/// The longest pause between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// The first pause of [`backoff`] with the largest chance: no pause is shorter.
pub(super) const SHORTEST_BACKOFF: Duration = Duration::from_millis(375);
/// How often a single pass tries to switch a function on before it ends.
const MOST_ACTIVATIONS_IN_A_PASS: u32 = 3;

/// Why something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The server failed at the text.
    Crash,
    /// The disk had no room for the copy or the intent that must be saved first.
    DiskFull,
    /// A new function could not be switched on, as `activate_new` asks.
    Activation,
}

/// One thing that is tried again.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) cause: Cause,
    /// Failures in a row.
    pub(super) attempts: u32,
    /// When the next try begins; `None` once it has begun, and if no try is left.
    pub(super) due: Option<Duration>,
    /// When the last try began.
    pub(super) tried: Option<Duration>,
    pub(super) again: Again,
}

/// What a further try keeps of the one that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Again {
    /// The user insists on it.
    pub(super) is_forced: bool,
    /// It counts for the pass.
    pub(super) in_pass: bool,
}

impl Retry {
    pub(super) fn new(cause: Cause) -> Self {
        Self { cause, attempts: 0, due: None, tried: None, again: Again::default() }
    }
}

impl Engine {
    /// Schedules a retry if a deploy failed because the disk is full. Answers whether the user was told already: the
    /// previous try failed in the same way, without a save in between.
    pub(super) fn note_for_retry(&mut self, deploy: &Deploy, outcome: &Outcome, took: Duration, now: Now) -> bool {
        let lane = self.site.lanes.of(&deploy.plugin().key);
        if !matches!(outcome, Outcome::Failed(Failure::KeepFailed { .. })) || self.policy.once.is_some() {
            lane.end_retry(Cause::DiskFull);
            return false;
        }
        let retry = lane.count_retry(Cause::DiskFull);
        let is_known = retry.tried == Some(now.at.saturating_sub(took));
        retry.again.is_forced = deploy.is_forced();
        retry.due = Some(now.at + backoff(retry.attempts, now.chance));
        is_known
    }

    /// Schedules another try to switch a new function on.
    pub(super) fn activate_later(&mut self, key: &Key, now: Now) {
        let retry = self.site.lanes.of(key).count_retry(Cause::Activation);
        let goes_on = self.policy.once.is_none() || retry.attempts <= MOST_ACTIVATIONS_IN_A_PASS;
        retry.due = goes_on.then(|| now.at + backoff(retry.attempts, now.chance));
        if !goes_on {
            // It would begin with another try.
            self.site.lanes.give_up(key);
            self.note_result(key, PassResult::Failed);
        }
    }

    /// Begins the tries whose time has come.
    pub(super) fn retry_due(&mut self, now: Now) {
        if !self.site.is_open() || self.ending.is_some() {
            return;
        }
        let mut due = Vec::new();
        for (key, lane) in self.site.lanes.iter_mut() {
            if let Some(retry) = &mut lane.retry
                && retry.due.take_if(|due| *due <= now.at).is_some()
            {
                retry.tried = Some(now.at);
                due.push((key.clone(), retry.cause, retry.again));
            }
        }
        for (key, cause, again) in due {
            match cause {
                Cause::Crash => self.retry_crashed(&key, again, now),
                Cause::DiskFull => self.retry_stored(&key, again, now),
                Cause::Activation if self.site.lanes.is_idle(&key) => {
                    self.site.lanes.request(key, Job { task: Task::Recover, since: now.at, in_pass: false });
                }
                // The waiting job begins with it.
                Cause::Activation if self.site.lanes.in_flight(&key).is_none() => {}
                Cause::Activation => {
                    if let Some(retry) = &mut self.site.lanes.of(&key).retry {
                        retry.due = Some(now.at + backoff(retry.attempts, now.chance));
                    }
                }
            }
        }
    }

    /// The disk may have room by now: deploys what the file holds now.
    fn retry_stored(&mut self, key: &Key, again: Again, now: Now) {
        match self.tree.present_owner(key) {
            Owner::One(plugin) if again.is_forced && plugin.has_text() => {
                if self.site.lanes.is_idle(key) {
                    self.plan_again(&plugin, again, now);
                }
            }
            Owner::One(plugin) if self.tree.pending.contains_key(&plugin.path) => {}
            Owner::One(plugin) => {
                self.reread(Arc::clone(&plugin.path), Pending::new(now.at, None));
            }
            // No file has this id, or several do.
            Owner::None | Owner::Conflict(_) => self.site.lanes.end_retry(key, Cause::DiskFull),
        }
    }
}

/// How long to leave a server alone after the `attempt`th failure in a row (from 1): from half a second, doubling, up
/// to half a minute, less up to a quarter by `chance` (0 to 1), so that several daemons do not come back in step.
pub(super) fn backoff(attempt: u32, chance: f64) -> Duration {
    let doubled = Duration::from_millis(500).saturating_mul(1 << attempt.saturating_sub(1).min(10));
    doubled.min(LONGEST_BACKOFF).mul_f64(1.0 - 0.25 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_half_a_minute() {
        let millis: Vec<_> = (1..=9).map(|attempt| backoff(attempt, 0.0).as_millis()).collect();
        assert_eq!(millis, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        assert_eq!(backoff(u32::MAX, 1.0), Duration::from_millis(22_500));
        assert_eq!(backoff(1, 1.0), SHORTEST_BACKOFF);
    }
}
