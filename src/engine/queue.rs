//! The order of turns: at most one conversation per plugin in flight, at most N in all, newest save first, so that the
//! file being edited does not wait behind 300 copied ones. Every [`OLDEST`]th turn goes to the oldest save that may
//! start, which would wait for ever beside files that a program writes all the time. The lanes hold the jobs and the conversations.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::plugin::Key;

/// Which turns go to the oldest save.
const OLDEST: usize = 8;

/// The order in which lanes get their turn.
#[derive(Debug)]
pub(super) struct Queue {
    limit: NonZeroUsize,
    /// How many turns there were.
    turns: usize,
    /// Waiting lanes with the times of their jobs, newest first; equal times keep their order.
    order: VecDeque<(Duration, Key)>,
    in_flight: BTreeSet<Key>,
}

impl Queue {
    /// An empty queue that lets `limit` lanes have their turn at once.
    pub(super) fn new(limit: NonZeroUsize) -> Self {
        Self { limit, turns: 0, order: VecDeque::new(), in_flight: BTreeSet::new() }
    }

    /// Inserts a lane by the time of its job. It must not be queued yet.
    pub(super) fn push(&mut self, key: Key, since: Duration) {
        let place = self.order.partition_point(|(other, _)| *other >= since);
        self.order.insert(place, (since, key));
    }

    /// Removes a lane whose job was taken back.
    pub(super) fn remove(&mut self, key: &Key) {
        self.order.retain(|(_, waiting)| waiting != key);
    }

    /// Removes all lanes.
    pub(super) fn clear(&mut self) {
        self.order.clear();
    }

    /// Takes out the next lane that the queue and the caller allow to start. The caller starts its job and calls
    /// [`Queue::start`].
    pub(super) fn next(&mut self, may_start: impl Fn(&Key) -> bool) -> Option<Key> {
        if self.in_flight.len() >= self.limit.get() {
            return None;
        }
        let may_start = |(_, key): &(Duration, Key)| !self.in_flight.contains(key) && may_start(key);
        let from = if (self.turns + 1).is_multiple_of(OLDEST) {
            let oldest = self.order.iter().rfind(|waiting| may_start(waiting))?.0;
            self.order.partition_point(|(since, _)| *since > oldest)
        } else {
            0
        };
        let turn = from + self.order.range(from..).position(may_start)?;
        self.order.remove(turn).map(|(_, key)| key)
    }

    /// This lane has its turn.
    pub(super) fn start(&mut self, key: Key) {
        self.turns += 1;
        self.in_flight.insert(key);
    }

    /// Its turn is over.
    pub(super) fn finish(&mut self, key: &Key) {
        self.in_flight.remove(key);
    }

    /// The lanes that have their turn, by key.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &Key> {
        self.in_flight.iter()
    }

    /// In how many lanes something waits.
    pub(super) fn n_waiting(&self) -> usize {
        self.order.len()
    }

    /// How many lanes have their turn.
    pub(super) fn n_in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Kind, id::PluginId};

    fn key(name: &str) -> Key {
        Key { kind: Kind::Function, id: PluginId::new(name).unwrap() }
    }

    fn queue(limit: usize, waiting: &[&str]) -> Queue {
        let mut queue = Queue::new(NonZeroUsize::new(limit).unwrap());
        for name in waiting {
            queue.push(key(name), Duration::ZERO);
        }
        queue
    }

    fn launch(queue: &mut Queue) -> Option<Key> {
        let key = queue.next(|_| true)?;
        queue.start(key.clone());
        Some(key)
    }

    #[test]
    fn lanes_get_their_turn_in_order() {
        let mut queue = queue(1, &["a", "b"]);
        assert_eq!((launch(&mut queue), launch(&mut queue)), (Some(key("a")), None));
        queue.finish(&key("a"));
        assert_eq!(launch(&mut queue), Some(key("b")));
    }

    #[test]
    fn the_newest_save_goes_first() {
        let mut queue = queue(1, &["a", "b"]);
        for (name, second) in [("saved", 2), ("copied", 1), ("saved_too", 2)] {
            queue.push(key(name), Duration::from_secs(second));
        }
        for name in ["saved", "saved_too", "copied", "a", "b"] {
            assert_eq!(launch(&mut queue), Some(key(name)));
            queue.finish(&key(name));
        }
    }

    #[test]
    fn the_oldest_save_goes_now_and_then() {
        let mut queue = queue(1, &["old"]);
        let turns: Vec<_> = (1..=OLDEST)
            .map(|second| {
                queue.push(key("written_all_the_time"), Duration::from_secs(u64::try_from(second).unwrap()));
                let turn = launch(&mut queue).unwrap();
                queue.finish(&turn);
                turn
            })
            .collect();
        assert!(turns[..OLDEST - 1].iter().all(|turn| *turn == key("written_all_the_time")));
        assert_eq!(turns[OLDEST - 1], key("old"));
    }

    #[test]
    fn of_the_oldest_saves_the_first_that_may_start_goes() {
        let mut queue = queue(1, &["blocked", "first", "second"]);
        queue.push(key("saved"), Duration::from_secs(1));
        queue.turns = OLDEST - 1;
        assert_eq!(queue.next(|waiting| *waiting != key("blocked")), Some(key("first")));
    }

    #[test]
    fn a_lane_in_flight_does_not_block_the_others() {
        let mut queue = queue(2, &["a"]);
        launch(&mut queue);
        queue.push(key("a"), Duration::ZERO);
        queue.push(key("b"), Duration::ZERO);
        assert_eq!((launch(&mut queue), launch(&mut queue)), (Some(key("b")), None));
        queue.finish(&key("a"));
        assert_eq!(launch(&mut queue), Some(key("a")));
    }

    #[test]
    fn what_was_taken_back_has_no_turn() {
        let mut queue = queue(1, &["a"]);
        queue.remove(&key("a"));
        assert_eq!(launch(&mut queue), None);
    }

    /// A random walk against the plainest model: what waits, and what is in flight.
    #[test]
    fn a_random_walk_keeps_the_rules() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let limit = random.usize(1..4);
            let mut queue = queue(limit, &[]);
            let (mut waits, mut flies) = (BTreeSet::new(), BTreeSet::new());
            for _ in 0..200 {
                let lane = key(["a", "b", "c", "d", "e"][random.usize(0..5)]);
                match random.u8(0..4) {
                    0 | 1 if waits.insert(lane.clone()) => queue.push(lane, Duration::from_secs(random.u64(0..3))),
                    0 | 1 => {
                        waits.remove(&lane);
                        queue.remove(&lane);
                    }
                    2 => {
                        flies.remove(&lane);
                        queue.finish(&lane);
                    }
                    _ => {
                        let may = flies.len() < limit && waits.iter().any(|lane| !flies.contains(lane));
                        let launched = launch(&mut queue);
                        assert_eq!(launched.is_some(), may, "seed {seed}");
                        if let Some(lane) = launched {
                            assert!(waits.remove(&lane), "seed {seed}: it waited");
                            assert!(flies.insert(lane), "seed {seed}: one in flight per plugin");
                        }
                    }
                }
                assert_eq!((queue.n_waiting(), queue.n_in_flight()), (waits.len(), flies.len()), "seed {seed}");
            }
        }
    }
}
