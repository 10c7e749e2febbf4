//! The latest-wins queue: at most one conversation per plugin in flight, at most N in all. A newer request replaces a
//! waiting one, never one in flight.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::plugin::Key;

/// The longest pause between two looks at a server that is away.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Jobs by plugin. `J` is what is asked for, `F` what is kept of it while it is in flight.
#[derive(Debug)]
pub struct Queue<J, F> {
    limit: NonZeroUsize,
    /// The order in which lanes get their turn. A key stands here exactly when its job waits.
    order: VecDeque<Key>,
    waiting: BTreeMap<Key, J>,
    flying: BTreeMap<Key, F>,
}

impl<J, F> Queue<J, F> {
    /// An empty queue that lets `limit` jobs fly at once.
    #[must_use]
    pub fn new(limit: NonZeroUsize) -> Self {
        Self { limit, order: VecDeque::new(), waiting: BTreeMap::new(), flying: BTreeMap::new() }
    }

    /// Asks for a job. Answers the waiting one that it replaces; it keeps that one's place in the order.
    pub fn request(&mut self, key: Key, job: J) -> Option<J> {
        let replaced = self.waiting.insert(key.clone(), job);
        if replaced.is_none() {
            self.order.push_back(key);
        }
        replaced
    }

    /// Takes a waiting job back, if there is one.
    pub fn cancel(&mut self, key: &Key) -> Option<J> {
        let job = self.waiting.remove(key)?;
        self.order.retain(|waiting| waiting != key);
        Some(job)
    }

    /// Takes every waiting job back.
    pub fn clear(&mut self) {
        self.order.clear();
        self.waiting.clear();
    }

    /// The next job that may start, if any, for all that the queue and the caller know. The caller starts it and says so
    /// with [`Queue::start`].
    pub fn next_job(&mut self, may_start: impl Fn(&Key, &J) -> bool) -> Option<(Key, J)> {
        if self.flying.len() >= self.limit.get() {
            return None;
        }
        let may_start = |key| self.waiting.get(key).is_some_and(|job| may_start(key, job));
        let turn = self.order.iter().position(|key| !self.flying.contains_key(key) && may_start(key))?;
        let key = self.order.remove(turn)?;
        let job = self.waiting.remove(&key)?;
        Some((key, job))
    }

    /// Notes that a job from [`Queue::next_job`] is in flight.
    pub fn start(&mut self, key: Key, flight: F) {
        self.flying.insert(key, flight);
    }

    /// Notes that the flight has ended, and gives it back.
    pub fn finish(&mut self, key: &Key) -> Option<F> {
        self.flying.remove(key)
    }

    /// The job that waits in this lane.
    #[must_use]
    pub fn waiting(&self, key: &Key) -> Option<&J> {
        self.waiting.get(key)
    }

    /// All that waits.
    pub fn all_waiting(&self) -> impl Iterator<Item = &J> {
        self.waiting.values()
    }

    /// What flies in this lane.
    #[must_use]
    pub fn flying(&self, key: &Key) -> Option<&F> {
        self.flying.get(key)
    }

    /// What flies in this lane.
    pub fn in_flight_mut(&mut self, key: &Key) -> Option<&mut F> {
        self.flying.get_mut(key)
    }

    /// All that flies.
    pub fn all_in_flight(&self) -> impl Iterator<Item = (&Key, &F)> {
        self.flying.iter()
    }

    /// All that flies.
    pub fn all_in_flight_mut(&mut self) -> impl Iterator<Item = &mut F> {
        self.flying.values_mut()
    }

    /// Whether no job waits or flies in this lane.
    #[must_use]
    pub fn is_idle(&self, key: &Key) -> bool {
        !self.waiting.contains_key(key) && !self.flying.contains_key(key)
    }

    /// How many jobs wait.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many jobs fly.
    #[must_use]
    pub fn n_in_flight(&self) -> usize {
        self.flying.len()
    }
}

/// How long to leave a server alone after the `attempt`th failure in a row (from 1): from half a second, doubling, up to
/// half a minute, less up to a quarter by `chance` (0 to 1), so that several daemons do not come back in step.
#[must_use]
pub fn backoff(attempt: u32, chance: f64) -> Duration {
    let doubled = Duration::from_millis(500).saturating_mul(1 << attempt.saturating_sub(1).min(10));
    doubled.min(LONGEST_BACKOFF).mul_f64(1.0 - 0.25 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plugin::{Kind, id::PluginId};

    fn key(name: &str) -> Key {
        Key { kind: Kind::Function, id: PluginId::new(name).unwrap() }
    }

    fn queue(limit: usize) -> Queue<u32, u32> {
        Queue::new(NonZeroUsize::new(limit).unwrap())
    }

    fn launch(queue: &mut Queue<u32, u32>) -> Option<(Key, u32)> {
        let (key, job) = queue.next_job(|_, _| true)?;
        queue.start(key.clone(), job);
        Some((key, job))
    }

    #[test]
    fn a_newer_job_replaces_a_waiting_one_and_keeps_its_turn() {
        let mut queue = queue(1);
        assert_eq!(queue.request(key("a"), 1), None);
        assert_eq!(queue.request(key("b"), 2), None);
        assert_eq!(queue.request(key("a"), 3), Some(1));
        assert_eq!(launch(&mut queue), Some((key("a"), 3)));
        assert_eq!(launch(&mut queue), None);
        assert_eq!(queue.finish(&key("a")), Some(3));
        assert_eq!(launch(&mut queue), Some((key("b"), 2)));
    }

    #[test]
    fn a_lane_in_flight_does_not_block_the_others() {
        let mut queue = queue(2);
        queue.request(key("a"), 1);
        launch(&mut queue);
        queue.request(key("a"), 2);
        queue.request(key("b"), 3);
        assert_eq!(launch(&mut queue), Some((key("b"), 3)));
        assert_eq!(queue.finish(&key("a")), Some(1));
        assert_eq!(launch(&mut queue), Some((key("a"), 2)));
    }

    #[test]
    fn a_cancelled_job_never_starts() {
        let mut queue = queue(1);
        queue.request(key("a"), 1);
        assert_eq!(queue.cancel(&key("a")), Some(1));
        assert_eq!(queue.cancel(&key("a")), None);
        assert_eq!(queue.next_job(|_, _| true), None);
    }

    /// A random walk against the plainest model: per key, what was asked for last, and what flies.
    #[test]
    fn a_random_walk_keeps_the_rules() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let limit = random.usize(1..4);
            let mut queue = queue(limit);
            let (mut asked, mut flies) = (BTreeMap::new(), BTreeMap::new());
            for job in 0..200 {
                let lane = key(["a", "b", "c", "d", "e"][random.usize(0..5)]);
                match random.u8(0..4) {
                    0 | 1 => assert_eq!(queue.request(lane.clone(), job), asked.insert(lane, job), "seed {seed}"),
                    2 => assert_eq!(queue.finish(&lane), flies.remove(&lane), "seed {seed}"),
                    _ => {
                        let may = flies.len() < limit && asked.keys().any(|lane| !flies.contains_key(lane));
                        let launched = launch(&mut queue);
                        assert_eq!(launched.is_some(), may, "seed {seed}");
                        if let Some((lane, job)) = launched {
                            assert_eq!(asked.remove(&lane), Some(job), "seed {seed}: the newest is what flies");
                            assert_eq!(flies.insert(lane, job), None, "seed {seed}: one in flight per plugin");
                        }
                    }
                }
                assert_eq!((queue.n_waiting(), queue.n_in_flight()), (asked.len(), flies.len()), "seed {seed}");
            }
        }
    }

    #[test]
    fn backoff_doubles_up_to_half_a_minute() {
        let millis: Vec<_> = (1..=9).map(|attempt| backoff(attempt, 0.0).as_millis()).collect();
        assert_eq!(millis, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        assert_eq!(backoff(u32::MAX, 1.0), Duration::from_millis(22_500));
    }
}
