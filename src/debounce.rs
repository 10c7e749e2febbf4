//! When a path that had file events is ready to be read. Pure: events and the time in, paths out.
//!
//! Where the kernel says that a writer is done, a path is ready at once. Otherwise it is ready once it has been quiet
//! for the debounce, or for ten times as long while a writer is known to be at work and will probably close it. While
//! git holds its lock nothing is ready: the disk then holds half a checkout.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest that a git lock holds anything back, so that one left behind by a crash cannot stop the deploys.
const GIT_PATIENCE: Duration = Duration::from_secs(5);
/// How often the lock is checked meanwhile. It must be gone twice in a row: git gives up the lock of the index a moment
/// before it takes the one of `HEAD`, and a deploy then would be recorded with the earlier commit.
const GIT_GLANCE: Duration = Duration::from_millis(5);

/// How long a file may be written before the user is told that it is waited for.
const WRITER_PATIENCE: Duration = Duration::from_secs(2);

/// The paths that had events and were not handed on yet.
#[derive(Debug)]
pub struct Debouncer {
    debounce: Duration,
    /// Being written, as far as we know.
    changing: BTreeMap<Arc<Path>, Changing>,
    /// Complete, and since when.
    ready: BTreeMap<Arc<Path>, Duration>,
    git: Option<HeldBack>,
}

/// Git holds the ready paths back.
#[derive(Clone, Copy, Debug)]
struct HeldBack {
    since: Duration,
    /// When to look at its lock again.
    look: Duration,
    /// Whether there was none at the last look.
    was_free: bool,
}

/// A path that is being written.
#[derive(Clone, Copy, Debug)]
struct Changing {
    /// When that began.
    since: Duration,
    /// When it will have been quiet for long enough.
    due: Duration,
    /// Whether the user was told.
    told: bool,
}

impl Debouncer {
    /// An empty debouncer. Without further events, a path is ready after `debounce`.
    #[must_use]
    pub fn new(debounce: Duration) -> Self {
        Self { debounce, changing: BTreeMap::new(), ready: BTreeMap::new(), git: None }
    }

    /// Continues with another debounce; known writers are kept.
    #[must_use]
    pub fn with_debounce(self, debounce: Duration) -> Self {
        Self { debounce, ..self }
    }

    /// The path is being written; its writer will usually close it, but may keep it open.
    pub fn changing(&mut self, path: Arc<Path>, now: Duration) {
        self.quiet_until(path, now, now + 10 * self.debounce);
    }

    /// The path appeared unseen: it may be complete or half written.
    pub fn appeared(&mut self, path: Arc<Path>, now: Duration) {
        self.quiet_until(path, now, now + self.debounce);
    }

    fn quiet_until(&mut self, path: Arc<Path>, now: Duration, due: Duration) {
        self.ready.remove(&path);
        let changing = self.changing.entry(path).or_insert(Changing { since: now, due, told: false });
        changing.due = changing.due.max(due);
    }

    /// The writer is done: the path was closed, moved into place, or removed.
    pub fn complete(&mut self, path: Arc<Path>, now: Duration) {
        self.changing.remove(&path);
        self.ready.insert(path, now);
    }

    /// Whether no path is known to be written or held back.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.changing.is_empty() && self.ready.is_empty()
    }

    /// Whether the path is known to be written.
    #[must_use]
    pub fn is_changing(&self, path: &Path) -> bool {
        self.changing.contains_key(path)
    }

    /// Hands out the ready paths, and since when. `git_busy` is called only if there are any.
    pub fn take(&mut self, now: Duration, git_busy: impl FnOnce() -> bool) -> BTreeMap<Arc<Path>, Duration> {
        let quiet: Vec<_> = self
            .changing
            .iter()
            .filter(|(_, changing)| changing.due <= now)
            .map(|(path, _)| Arc::clone(path))
            .collect();
        for path in quiet {
            self.complete(path, now);
        }
        if self.ready.is_empty() {
            // The paths that git held back are being written again: no need to look at its lock.
            self.git = None;
            return BTreeMap::new();
        }
        if self.git.is_some_and(|held| now < held.look) {
            return BTreeMap::new();
        }
        let since = self.git.map_or(now, |held| held.since);
        let (is_free, was_free) = (!git_busy(), self.git.is_none_or(|held| held.was_free));
        if is_free && was_free || since + GIT_PATIENCE <= now {
            self.git = None;
            return std::mem::take(&mut self.ready);
        }
        self.git = Some(HeldBack { since, look: now + GIT_GLANCE, was_free: is_free });
        BTreeMap::new()
    }

    /// Paths that have been written for so long that the user should know why nothing happens; each is named once. They
    /// are not handed out before they are quiet, however long that takes.
    pub fn long_written(&mut self, now: Duration) -> Vec<Arc<Path>> {
        let long = |changing: &Changing| !changing.told && changing.since + WRITER_PATIENCE <= now;
        let named = self.changing.iter_mut().filter(|(_, changing)| long(changing));
        named.map(|(path, changing)| (changing.told = true, Arc::clone(path)).1).collect()
    }

    /// When [`Debouncer::take`] is worth asking again.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let look = self.git.map(|held| held.look);
        let changing = self.changing.values().flat_map(|changing| {
            let patience = (!changing.told).then_some(changing.since + WRITER_PATIENCE);
            [Some(changing.due), patience].into_iter().flatten()
        });
        changing.chain(look).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: fn() -> bool = || false;
    const BUSY: fn() -> bool = || true;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn path(name: &str) -> Arc<Path> {
        Arc::from(Path::new(name))
    }

    fn take(debouncer: &mut Debouncer, now: Duration, git_busy: fn() -> bool) -> Vec<Arc<Path>> {
        debouncer.take(now, git_busy).into_keys().collect()
    }

    fn debouncer() -> Debouncer {
        Debouncer::new(at(100))
    }

    #[test]
    fn a_closed_file_is_ready_at_once() {
        let mut debouncer = debouncer();
        debouncer.complete(path("a.py"), at(0));
        assert_eq!(take(&mut debouncer, at(0), FREE), [path("a.py")]);
        assert_eq!((take(&mut debouncer, at(0), FREE), debouncer.next_wake()), (vec![], None));
    }

    #[test]
    fn a_file_being_written_is_ready_when_it_has_been_quiet() {
        let mut debouncer = debouncer();
        debouncer.changing(path("a.py"), at(0));
        debouncer.changing(path("a.py"), at(60));
        assert_eq!(debouncer.next_wake(), Some(at(1060)));
        assert_eq!(take(&mut debouncer, at(1059), FREE), []);
        assert_eq!(take(&mut debouncer, at(1060), FREE), [path("a.py")]);
    }

    #[test]
    fn a_file_that_appeared_is_ready_sooner_unless_somebody_writes_it() {
        let mut debouncer = debouncer();
        debouncer.appeared(path("a.py"), at(0));
        debouncer.appeared(path("b.py"), at(0));
        debouncer.changing(path("b.py"), at(50));
        debouncer.appeared(path("b.py"), at(60));
        assert_eq!(take(&mut debouncer, at(100), FREE), [path("a.py")]);
        assert_eq!(take(&mut debouncer, at(1049), FREE), []);
        debouncer.complete(path("b.py"), at(0));
        assert_eq!(take(&mut debouncer, at(1049), FREE), [path("b.py")]);
    }

    #[test]
    fn the_close_ends_the_wait_and_a_new_write_begins_it_again() {
        let mut debouncer = debouncer();
        debouncer.changing(path("a.py"), at(0));
        debouncer.complete(path("a.py"), at(0));
        debouncer.changing(path("a.py"), at(10));
        assert_eq!(take(&mut debouncer, at(10), FREE), []);
        debouncer.complete(path("a.py"), at(0));
        assert_eq!(take(&mut debouncer, at(11), FREE), [path("a.py")]);
        assert_eq!(debouncer.next_wake(), None);
    }

    #[test]
    fn a_writer_that_never_pauses_is_never_read_half_way() {
        let mut debouncer = debouncer();
        for millis in (0..60_000).step_by(50) {
            debouncer.changing(path("a.py"), at(millis));
            assert_eq!(take(&mut debouncer, at(millis), FREE), []);
            let named = if millis == 2000 { vec![path("a.py")] } else { vec![] };
            assert_eq!(debouncer.long_written(at(millis)), named);
        }
        debouncer.complete(path("a.py"), at(0));
        assert_eq!(take(&mut debouncer, at(60_000), FREE), [path("a.py")]);
    }

    #[test]
    fn a_writer_is_not_forgotten_with_another_debounce() {
        let mut debouncer = debouncer();
        debouncer.changing(path("a.py"), at(0));
        let mut debouncer = debouncer.with_debounce(at(10));
        debouncer.changing(path("b.py"), at(0));
        assert_eq!(take(&mut debouncer, at(100), FREE), [path("b.py")]);
        assert_eq!((debouncer.is_changing(Path::new("a.py")), debouncer.next_wake()), (true, Some(at(1000))));
    }

    #[test]
    fn git_holds_everything_back_but_not_for_ever() {
        let mut debouncer = debouncer();
        debouncer.complete(path("a.py"), at(0));
        assert_eq!(take(&mut debouncer, at(0), BUSY), []);
        debouncer.complete(path("b.py"), at(0));
        assert_eq!(debouncer.next_wake(), Some(at(5)));
        assert_eq!(take(&mut debouncer, at(5), BUSY), []);
        // Between its two locks there is none.
        assert_eq!(take(&mut debouncer, at(10), FREE), []);
        assert_eq!(take(&mut debouncer, at(15), BUSY), []);
        assert_eq!(take(&mut debouncer, at(20), FREE), []);
        assert_eq!(debouncer.next_wake(), Some(at(25)));
        assert_eq!(take(&mut debouncer, at(25), FREE), [path("a.py"), path("b.py")]);

        // A path that it holds back may be written again meanwhile.
        debouncer.complete(path("a.py"), at(0));
        assert_eq!(take(&mut debouncer, at(50), BUSY), []);
        debouncer.changing(path("a.py"), at(60));
        assert_eq!(take(&mut debouncer, at(70), BUSY), []);
        assert_eq!(debouncer.next_wake(), Some(at(1060)));

        debouncer.complete(path("a.py"), at(0));
        for millis in (1000..6000).step_by(20) {
            assert_eq!(take(&mut debouncer, at(millis), BUSY), []);
        }
        assert_eq!(take(&mut debouncer, at(6000), BUSY), [path("a.py")]);
    }
}
