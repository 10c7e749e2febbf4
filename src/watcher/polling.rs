//! Polls where there are no events: with `poll`, in folders for which the system has no watch left, behind links, and
//! for missing roots.
//!
//! It lists each folder that the walk admits, so ignored folders cost nothing. A file counts as changed when its time
//! (to the nanosecond), size, inode or permissions differ. On file systems with whole seconds, the contents of recent
//! files are compared too. A changed file is checked again after the debounce, and is complete if it is the same twice:
//! that compares two looks at the disk, never its clock with ours.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Sign, is_rules};
use crate::paths::{self, canonical, is_under};
use crate::plugin::kind::is_source;
use crate::regular_file::{self, ONE_MIB};

/// A file this old cannot change again within the same whole second, even if clocks differ.
const YOUNG: Duration = Duration::from_mins(1);

/// The polling thread. It sleeps while there is nothing to poll.
pub(super) struct Poller(Arc<Shared>);

struct Shared {
    places: Mutex<Places>,
    /// Signals that there is something to poll, or that the thread must end.
    woken: Condvar,
}

/// Everything that is polled, with its last seen state.
#[derive(Default)]
struct Places {
    folders: BTreeMap<PathBuf, BTreeMap<Arc<Path>, Mark>>,
    /// Links: a change of their target sends no event.
    links: BTreeMap<Arc<Path>, Mark>,
    /// Missing roots.
    awaited: BTreeMap<PathBuf, Option<PathBuf>>,
    /// Files that changed since the last poll, with their folders.
    unsettled: BTreeMap<Arc<Path>, Option<PathBuf>>,
    closed: bool,
}

/// The state of a file. Two versions differ in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// There is nothing.
    Nothing,
    /// A folder.
    Folder,
    /// A file.
    File {
        /// When it was written.
        modified: Option<SystemTime>,
        /// In bytes.
        size: u64,
        /// Inode and permissions.
        place: (u64, u32),
        /// A hash of the content, where the time is too coarse.
        text: Option<u64>,
    },
}

impl Poller {
    /// Starts with nothing to poll. `pause` is the polling interval; a changed file is checked again after `debounce`.
    pub(super) fn new(pause: Duration, debounce: Duration, send: impl Fn(Sign) + Send + 'static) -> Self {
        let shared = Arc::new(Shared { places: Mutex::default(), woken: Condvar::new() });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut places = own.places();
            // Since the last full poll.
            let mut waited = Duration::ZERO;
            while !places.closed {
                if places.is_idle() {
                    places = own.woken.wait(places).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                let rest = pause.saturating_sub(waited);
                let span = if places.unsettled.is_empty() { rest } else { debounce.min(rest) };
                let (guard, timeout) = own.woken.wait_timeout(places, span).unwrap_or_else(PoisonError::into_inner);
                places = guard;
                if !timeout.timed_out() || places.closed {
                    continue;
                }
                let mut signs = Vec::new();
                places.look_again(&mut signs);
                waited += span;
                // A file that keeps changing must not delay the others.
                if waited >= pause {
                    waited = Duration::ZERO;
                    places.look(&mut signs);
                }
                signs.into_iter().for_each(&send);
            }
        });
        Self(shared)
    }

    /// Polls a folder from now on. Its current content counts as known.
    pub(super) fn watch_folder(&self, folder: &Path) {
        // If it cannot be listed now, everything in it is new later.
        let entries = entries(folder).unwrap_or_default();
        self.begin(|places| drop(places.folders.insert(folder.to_owned(), entries)));
    }

    /// Stops polling a folder. Returns whether it was polled.
    pub(super) fn forget_folder(&self, folder: &Path) -> bool {
        let mut places = self.0.places();
        places.awaited.remove(folder);
        places.folders.remove(folder).is_some()
    }

    /// Whether any folder is polled.
    pub(super) fn has_folders(&self) -> bool {
        !self.0.places().folders.is_empty()
    }

    /// Stops polling a folder and its subfolders.
    pub(super) fn forget_folders_in(&self, folder: &Path) {
        let mut places = self.0.places();
        places.folders.retain(|known, _| !is_under(known, folder));
        places.links.retain(|link, _| !is_under(link, folder));
    }

    /// Sets the links whose targets to poll.
    pub(super) fn follow_links(&self, links: Vec<Arc<Path>>) {
        self.begin(|places| {
            let mut before = std::mem::take(&mut places.links);
            let links = links.into_iter().map(|link| {
                let mark = before.remove(&link).unwrap_or_else(|| mark(&link));
                (link, mark)
            });
            places.links = links.collect();
        });
    }

    /// Sets the missing roots. A root that appears is a sign.
    pub(super) fn await_roots(&self, roots: BTreeMap<PathBuf, Option<PathBuf>>) {
        self.begin(|places| places.awaited = roots);
    }

    fn begin(&self, change: impl FnOnce(&mut Places)) {
        let mut places = self.0.places();
        let was_idle = places.is_idle();
        change(&mut places);
        if was_idle && !places.is_idle() {
            self.0.woken.notify_all();
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.0.places().closed = true;
        self.0.woken.notify_all();
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn is_idle(&self) -> bool {
        self.folders.is_empty() && self.links.is_empty() && self.awaited.is_empty()
    }

    /// Polls everything once.
    fn look(&mut self, signs: &mut Vec<Sign>) {
        self.awaited.retain(|root, known| {
            let changed = canonical(root).ok().filter(|real| real.is_dir()) != *known;
            if changed {
                signs.push(Sign::Anything);
            }
            !changed
        });
        let mut gone = Vec::new();
        for (folder, known) in &mut self.folders {
            match entries(folder) {
                Ok(entries) => {
                    differences(known, &entries, folder, &mut self.unsettled, signs);
                    *known = entries;
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    gone.push(folder.clone());
                }
                // An unreachable drive tells nothing about its files.
                Err(error) => tracing::debug!(?folder, %error, "cannot look"),
            }
        }
        for folder in gone {
            self.folders.remove(&folder);
            signs.push(Sign::FolderGone(Arc::from(folder)));
        }
        for (link, known) in &mut self.links {
            let mark = mark(link);
            if *known != mark {
                *known = mark;
                self.unsettled.insert(Arc::clone(link), None);
                signs.push(Sign::Changing(Arc::clone(link)));
            }
        }
    }

    /// Checks changed files again.
    fn look_again(&mut self, signs: &mut Vec<Sign>) {
        for (path, folder) in std::mem::take(&mut self.unsettled) {
            let known = match &folder {
                Some(folder) => self.folders.get_mut(folder).and_then(|entries| entries.get_mut(&path)),
                None => self.links.get_mut(&path),
            };
            let mark = mark(&path);
            match known {
                Some(known) if *known != mark => {
                    *known = mark;
                    signs.push(Sign::Changing(Arc::clone(&path)));
                    self.unsettled.insert(path, folder);
                }
                Some(_) | None => signs.push(Sign::Complete(path)),
            }
        }
    }
}

/// The entries of a folder that can matter.
fn entries(folder: &Path) -> std::io::Result<BTreeMap<Arc<Path>, Mark>> {
    let mut entries = BTreeMap::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let path = paths::join(folder, Path::new(&entry.file_name()));
        if entry.file_type()?.is_dir() {
            entries.insert(Arc::from(path), Mark::Folder);
        } else if is_source(&path) || is_rules(&path) {
            let mark = mark(&path);
            entries.insert(Arc::from(path), mark);
        }
    }
    Ok(entries)
}

/// The current state of a file, or of a link's target.
#[must_use]
pub fn mark(path: &Path) -> Mark {
    let Ok(metadata) = path.metadata() else { return Mark::Nothing };
    if metadata.is_dir() {
        return Mark::Folder;
    }
    let modified = metadata.modified().ok();
    let text = (metadata.is_file() && modified.is_some_and(is_vague)).then(|| text(path)).flatten();
    Mark::File { modified, size: metadata.len(), place: place(&metadata), text }
}

/// Whether another save may get the same time: it is in whole seconds and recent, or in the future by another machine's
/// clock.
#[expect(clippy::disallowed_methods, reason = "a file's time is compared with the system's clock")]
fn is_vague(modified: SystemTime) -> bool {
    let whole = modified.duration_since(UNIX_EPOCH).is_ok_and(|since| since.subsec_nanos() == 0);
    whole && SystemTime::now().duration_since(modified).map_or(true, |age| age < YOUNG)
}

/// A file system with vague times leaves nothing else to compare. `None` for more than a mebibyte: then only time and
/// size count.
fn text(path: &Path) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    regular_file::read(path, ONE_MIB).ok()?.hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(unix)]
fn place(metadata: &Metadata) -> (u64, u32) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.ino(), metadata.mode())
}

#[cfg(not(unix))]
fn place(_: &Metadata) -> (u64, u32) {
    (0, 0)
}

/// The differences in a folder since the last poll.
fn differences(
    before: &BTreeMap<Arc<Path>, Mark>,
    now: &BTreeMap<Arc<Path>, Mark>,
    folder: &Path,
    unsettled: &mut BTreeMap<Arc<Path>, Option<PathBuf>>,
    signs: &mut Vec<Sign>,
) {
    for (path, mark) in before {
        if now.get(path).is_none_or(|now| (now == &Mark::Folder) != (mark == &Mark::Folder)) {
            signs.push(match mark {
                Mark::Folder => Sign::FolderGone(Arc::clone(path)),
                _ if is_rules(path) => Sign::Anything,
                _ => Sign::Gone(Arc::clone(path)),
            });
        }
    }
    for (path, mark) in now {
        if before.get(path) == Some(mark) {
            continue;
        }
        if *mark == Mark::Folder {
            signs.push(Sign::Appeared(Arc::clone(path)));
        } else if is_rules(path) {
            signs.push(Sign::Anything);
        } else {
            unsettled.insert(Arc::clone(path), Some(folder.to_owned()));
            signs.push(Sign::Changing(Arc::clone(path)));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests write the files that are to be looked at")]

    use std::fs::{self, File};

    use super::*;

    struct World {
        folder: tempfile::TempDir,
        places: Places,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut world = Self { folder, places: Places::default() };
            world.watch("");
            world
        }

        fn path(&self, name: &str) -> PathBuf {
            if name.is_empty() { self.folder.path().to_owned() } else { self.folder.path().join(name) }
        }

        fn watch(&mut self, name: &str) {
            self.places.folders.insert(self.path(name), entries(&self.path(name)).unwrap());
        }

        /// Writes a file with this modification time.
        fn write(&self, name: &str, text: &str, modified: SystemTime) {
            fs::write(self.path(name), text).unwrap();
            File::options().write(true).open(self.path(name)).unwrap().set_modified(modified).unwrap();
        }

        #[track_caller]
        fn check(&mut self, look: fn(&mut Places, &mut Vec<Sign>), expected: &[&str]) {
            let mut signs = Vec::new();
            look(&mut self.places, &mut signs);
            let name = |path: &Path| paths::slashed(path.strip_prefix(self.folder.path()).unwrap());
            let told: Vec<_> = signs
                .iter()
                .map(|sign| match sign {
                    Sign::Complete(path) => format!("complete {}", name(path)),
                    Sign::Changing(path) => format!("changing {}", name(path)),
                    Sign::Gone(path) => format!("gone {}", name(path)),
                    Sign::FolderGone(path) => format!("folder gone {}", name(path)),
                    Sign::Appeared(path) => format!("appeared {}", name(path)),
                    Sign::Anything => "anything".to_owned(),
                    sign => panic!("{sign:?}"),
                })
                .collect();
            assert_eq!(told, expected);
        }
    }

    /// A time with nanoseconds.
    fn fine() -> SystemTime {
        UNIX_EPOCH + Duration::new(1_700_000_000, 5)
    }

    #[test]
    fn a_file_is_complete_when_seen_unchanged_twice() {
        let mut world = World::new();
        world.check(Places::look, &[]);
        world.write("a.py", "half", fine());
        world.write("a.txt", "half", fine());
        world.check(Places::look, &["changing a.py"]);
        world.write("a.py", "more than half", fine());
        world.check(Places::look_again, &["changing a.py"]);
        world.check(Places::look_again, &["complete a.py"]);
        world.check(Places::look, &[]);
        // An older time is a change too, for example a restored backup.
        world.write("a.py", "more than half", fine() - Duration::from_hours(1));
        world.check(Places::look, &["changing a.py"]);
        world.check(Places::look_again, &["complete a.py"]);
        fs::remove_file(world.path("a.py")).unwrap();
        world.check(Places::look, &["gone a.py"]);
        world.check(Places::look, &[]);
    }

    #[test]
    fn recent_times_in_whole_seconds_are_not_trusted() {
        let mut world = World::new();
        let second =
            |time: SystemTime| UNIX_EPOCH + Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap().as_secs());
        for time in [second(SystemTime::now()), second(SystemTime::now() + Duration::from_hours(2))] {
            world.write("a.py", "one", time);
            world.check(Places::look, &["changing a.py"]);
            world.check(Places::look_again, &["complete a.py"]);
            world.write("a.py", "two", time);
            world.check(Places::look, &["changing a.py"]);
            world.check(Places::look_again, &["complete a.py"]);
            world.write("a.py", "two", time);
            world.check(Places::look, &[]);
        }
        let before_1970 = UNIX_EPOCH - Duration::from_secs(1);
        assert!(!is_vague(second(SystemTime::now()) - YOUNG) && !is_vague(fine()) && !is_vague(before_1970));
    }

    #[test]
    fn folders_and_ignore_rules_have_their_own_signs() {
        let mut world = World::new();
        fs::create_dir_all(world.path("new/deep")).unwrap();
        world.write(".gitignore", "x", fine());
        world.check(Places::look, &["anything", "appeared new"]);
        world.watch("new");
        world.write("new/a.py", "x", fine());
        world.check(Places::look, &["changing new/a.py"]);
        world.check(Places::look_again, &["complete new/a.py"]);
        fs::remove_dir_all(world.path("new")).unwrap();
        fs::remove_file(world.path(".gitignore")).unwrap();
        world.check(Places::look, &["anything", "folder gone new", "folder gone new"]);
        world.check(Places::look, &[]);
    }

    #[test]
    fn a_file_may_become_a_folder() {
        let mut world = World::new();
        world.write("a.py", "x", fine());
        world.watch("");
        fs::remove_file(world.path("a.py")).unwrap();
        fs::create_dir(world.path("a.py")).unwrap();
        world.check(Places::look, &["gone a.py", "appeared a.py"]);
    }

    #[test]
    fn a_new_root_is_reported_once() {
        let mut world = World::new();
        world.places.awaited.insert(world.path("root"), None);
        world.check(Places::look, &[]);
        fs::create_dir(world.path("root")).unwrap();
        world.check(Places::look, &["anything", "appeared root"]);
        world.check(Places::look, &[]);
    }

    #[cfg(unix)]
    #[test]
    fn changes_behind_a_link_are_seen() {
        let mut world = World::new();
        world.places.folders.clear();
        let link: Arc<Path> = Arc::from(world.path("link.py"));
        std::os::unix::fs::symlink("current/a", &link).unwrap();
        world.places.links.insert(Arc::clone(&link), mark(&link));
        world.check(Places::look, &[]);
        // A ConfigMap mount: a link is switched to another folder.
        for version in ["one", "two"] {
            fs::create_dir(world.path(version)).unwrap();
            world.write(&format!("{version}/a"), version, fine());
            std::os::unix::fs::symlink(version, world.path("next")).unwrap();
            fs::rename(world.path("next"), world.path("current")).unwrap();
            world.check(Places::look, &["changing link.py"]);
            world.check(Places::look_again, &["complete link.py"]);
            world.check(Places::look, &[]);
        }
        fs::remove_file(world.path("current")).unwrap();
        world.check(Places::look, &["changing link.py"]);
        world.check(Places::look_again, &["complete link.py"]);
    }
}
