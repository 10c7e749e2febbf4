//! Looking again and again where nobody tells: on file systems without events (`poll`), in folders for which the system
//! has no watch left, behind links, and for roots that are not there.
//!
//! Each folder that the walk admits is listed by itself, as each is watched by itself where the kernel tells, so that
//! ignored folders cost nothing. A file counts as changed when its time, size, or place on the disk differ; times to the
//! nanosecond, so that a second save within one second is seen. Only where the file system has whole seconds are the
//! contents of young files compared. A changed file is looked at again after the debounce, and is complete when it is
//! the same twice: nothing here compares the disk's clock with ours to tell whether a writer is done.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Sign, is_rules};
use crate::paths;
use crate::plugin::kind::is_source;

/// How old a file must be before a time in whole seconds tells its versions apart for certain, clocks being what they are.
const YOUNG: Duration = Duration::from_mins(1);

/// The thread that looks. It sleeps while there is nothing to look at.
pub(super) struct Poller(Arc<Shared>);

struct Shared {
    places: Mutex<Places>,
    /// There is something to look at, or the end has come.
    woken: Condvar,
}

/// All that is looked at, and how it was when it was last seen.
#[derive(Default)]
struct Places {
    folders: BTreeMap<PathBuf, BTreeMap<Arc<Path>, Mark>>,
    /// Links, of which no event tells when the file behind them changes.
    links: BTreeMap<Arc<Path>, Mark>,
    /// Roots that are not there.
    awaited: BTreeMap<PathBuf, Option<PathBuf>>,
    /// What changed since the look before, and in which folder it was found.
    unsettled: BTreeMap<Arc<Path>, Option<PathBuf>>,
    closed: bool,
}

/// What can be told of a file without reading it. Two that differ are two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    Nothing,
    Folder,
    File {
        modified: Option<SystemTime>,
        size: u64,
        /// The file's number on the disk, and who may read it.
        place: (u64, u32),
        /// The content, where the time does not tell.
        text: Option<u64>,
    },
}

impl Poller {
    /// Nothing to look at yet. `pause` lies between two looks, `debounce` before the second look at what changed.
    pub(super) fn new(pause: Duration, debounce: Duration, send: impl Fn(Sign) + Send + 'static) -> Self {
        let shared = Arc::new(Shared { places: Mutex::default(), woken: Condvar::new() });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut places = own.places();
            // Since the last look at everything.
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
                // A file that never stops changing does not keep the others waiting.
                if waited >= pause {
                    waited = Duration::ZERO;
                    places.look(&mut signs);
                }
                signs.into_iter().for_each(&send);
            }
        });
        Self(shared)
    }

    /// Looks at a folder from now on: as it is now, it is known.
    pub(super) fn watch_folder(&self, folder: &Path) {
        // What cannot be listed now is new when it can.
        let entries = entries(folder).unwrap_or_default();
        self.begin(|places| drop(places.folders.insert(folder.to_owned(), entries)));
    }

    /// Whether a folder was looked at, which ends here.
    pub(super) fn forget_folder(&self, folder: &Path) -> bool {
        let mut places = self.0.places();
        places.awaited.remove(folder);
        places.folders.remove(folder).is_some()
    }

    /// Whether there is any folder to look at.
    pub(super) fn has_folders(&self) -> bool {
        !self.0.places().folders.is_empty()
    }

    /// Ends the looks at a folder and at those in it.
    pub(super) fn forget_folders_in(&self, folder: &Path) {
        let mut places = self.0.places();
        places.folders.retain(|known, _| !known.starts_with(folder));
        places.links.retain(|link, _| !link.starts_with(folder));
    }

    /// These are the links to look behind.
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

    /// These roots are not there; that one comes is a sign.
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

    /// One look at everything.
    fn look(&mut self, signs: &mut Vec<Sign>) {
        self.awaited.retain(|root, known| {
            let changed = root.canonicalize().ok().filter(|real| real.is_dir()) != *known;
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
                // A drive that does not answer says nothing about its files.
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

    /// A second look at what changed.
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

/// What a folder holds that can matter.
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

/// How a file is now, or the one behind a link.
fn mark(path: &Path) -> Mark {
    let Ok(metadata) = path.metadata() else { return Mark::Nothing };
    if metadata.is_dir() {
        return Mark::Folder;
    }
    let modified = metadata.modified().ok();
    let text = (metadata.is_file() && modified.is_some_and(is_vague)).then(|| text(path)).flatten();
    Mark::File { modified, size: metadata.len(), place: place(&metadata), text }
}

/// Whether another save may have this very time: it is in whole seconds, and not long ago or, by another machine's clock,
/// yet to come.
#[expect(clippy::disallowed_methods, reason = "a file's age is a fact of the disk, compared with the disk's own clock")]
fn is_vague(modified: SystemTime) -> bool {
    let whole = modified.duration_since(UNIX_EPOCH).is_ok_and(|since| since.subsec_nanos() == 0);
    whole && SystemTime::now().duration_since(modified).map_or(true, |age| age < YOUNG)
}

#[expect(clippy::disallowed_methods, reason = "a file system with vague times leaves nothing else to compare")]
fn text(path: &Path) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    std::fs::read(path).ok()?.hash(&mut hasher);
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

/// What became of a folder's entries since the look before.
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

        /// Writes a file with this time of change.
        fn write(&self, name: &str, text: &str, modified: SystemTime) {
            fs::write(self.path(name), text).unwrap();
            File::options().write(true).open(self.path(name)).unwrap().set_modified(modified).unwrap();
        }

        #[track_caller]
        fn check(&mut self, look: fn(&mut Places, &mut Vec<Sign>), expected: &[&str]) {
            let mut signs = Vec::new();
            look(&mut self.places, &mut signs);
            let name = |path: &Path| path.strip_prefix(self.folder.path()).unwrap().display().to_string();
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

    /// A time that a file system with nanoseconds could have given, and one that has whole seconds only.
    fn fine() -> SystemTime {
        UNIX_EPOCH + Duration::new(1_700_000_000, 5)
    }

    #[test]
    fn a_file_is_complete_when_two_looks_see_the_same() {
        let mut world = World::new();
        world.check(Places::look, &[]);
        world.write("a.py", "half", fine());
        world.write("a.txt", "half", fine());
        world.check(Places::look, &["changing a.py"]);
        world.write("a.py", "more than half", fine());
        world.check(Places::look_again, &["changing a.py"]);
        world.check(Places::look_again, &["complete a.py"]);
        world.check(Places::look, &[]);
        // Back in time is a change like any other: a restored backup, say.
        world.write("a.py", "more than half", fine() - Duration::from_hours(1));
        world.check(Places::look, &["changing a.py"]);
        world.check(Places::look_again, &["complete a.py"]);
        fs::remove_file(world.path("a.py")).unwrap();
        world.check(Places::look, &["gone a.py"]);
        world.check(Places::look, &[]);
    }

    #[test]
    fn a_time_in_whole_seconds_is_not_believed_while_it_is_young() {
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
    fn folders_and_rules_have_their_own_signs() {
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
    fn a_root_that_comes_is_told_once() {
        let mut world = World::new();
        world.places.awaited.insert(world.path("root"), None);
        world.check(Places::look, &[]);
        fs::create_dir(world.path("root")).unwrap();
        world.check(Places::look, &["anything", "appeared root"]);
        world.check(Places::look, &[]);
    }

    #[cfg(unix)]
    #[test]
    fn behind_a_link_the_target_is_seen() {
        let mut world = World::new();
        world.places.folders.clear();
        let link: Arc<Path> = Arc::from(world.path("link.py"));
        std::os::unix::fs::symlink("current/a", &link).unwrap();
        world.places.links.insert(Arc::clone(&link), mark(&link));
        world.check(Places::look, &[]);
        // As a ConfigMap is mounted: a folder link is changed over to another folder.
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
