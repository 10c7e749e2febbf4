//! Watches single files that may not exist, such as the settings. Anything that happens to one of them, or to a folder
//! above it, is a sign.
//!
//! It watches folders, not files, since a save often replaces the file. If a file's folder is missing, it watches the
//! nearest existing one above.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::EXACT;
use crate::paths::canonical;

/// The meaning of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigFileEvent {
    /// A file is being written, and an event will follow when it is closed.
    Changing,
    /// Something changed, and no writer is known to be active.
    Changed,
}

/// Watches files.
pub struct FileWatcher {
    watcher: RecommendedWatcher,
    /// The files under all their names, and all folders above them.
    names: Arc<RwLock<BTreeSet<PathBuf>>>,
    folders: BTreeSet<PathBuf>,
}

impl FileWatcher {
    /// Watches nothing yet. `send` is called from another thread and must not block.
    pub fn new(send: impl Fn(ConfigFileEvent) + Send + 'static) -> notify::Result<Self> {
        let names = Arc::<RwLock<BTreeSet<PathBuf>>>::default();
        let known = Arc::clone(&names);
        let watcher = notify::recommended_watcher(move |result: notify::Result<notify::Event>| {
            let is_ours = |path: &PathBuf| known.read().is_ok_and(|names| names.contains(path));
            match result {
                Ok(event) if event.need_rescan() => send(ConfigFileEvent::Changed),
                Ok(event) if event.paths.iter().any(is_ours) => touch(event.kind, EXACT).into_iter().for_each(&send),
                Ok(_) => {}
                Err(_) => send(ConfigFileEvent::Changed),
            }
        })?;
        Ok(Self { watcher, names, folders: BTreeSet::new() })
    }

    /// Watches these files instead of the earlier ones. Call it again after each sign: folders may have been created or
    /// replaced.
    pub fn watch<'a>(&mut self, files: impl Iterator<Item = &'a Path>) -> notify::Result<()> {
        let files: BTreeSet<_> = files.flat_map(all_names).collect();
        let names = files.iter().flat_map(|file| file.ancestors()).map(Path::to_owned).collect();
        // No callback panics, so the lock is never poisoned.
        if let Ok(mut known) = self.names.write() {
            *known = names;
        }
        let mut folders = nearest_folders(&files);
        loop {
            for gone in std::mem::take(&mut self.folders).difference(&folders) {
                // The system has already dropped the watch of a deleted folder.
                drop(self.watcher.unwatch(gone));
            }
            for folder in &folders {
                self.watcher.watch(folder, RecursiveMode::NonRecursive)?;
                self.folders.insert(folder.clone());
            }
            // A folder that was created before the watch of its parent began sent no event.
            let now = nearest_folders(&files);
            if now == folders {
                return Ok(());
            }
            folders = now;
        }
    }
}

/// A file's path as written, with the links in its folder resolved, and with all links resolved.
fn all_names(file: &Path) -> Vec<PathBuf> {
    let Ok(full) = std::path::absolute(file) else { return Vec::new() };
    let folder = full.parent().and_then(|folder| canonical(folder).ok());
    let in_folder = folder.zip(full.file_name()).map(|(folder, name)| folder.join(name));
    let real = canonical(&full).ok();
    [Some(full), in_folder, real].into_iter().flatten().collect()
}

fn nearest_folders(files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    files.iter().filter_map(|file| nearest_folder(file)).map(Path::to_owned).collect()
}

fn nearest_folder(file: &Path) -> Option<&Path> {
    file.ancestors().skip(1).find(|folder| folder.is_dir())
}

/// The meaning of an event about one of the files. `exact`: the system reports when a writer is done.
fn touch(kind: EventKind, exact: bool) -> Option<ConfigFileEvent> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(ConfigFileEvent::Changed),
        // This includes our own reads.
        EventKind::Access(_) => None,
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) if exact => {
            Some(ConfigFileEvent::Changing)
        }
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => {
            Some(ConfigFileEvent::Changed)
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, MetadataKind, RemoveKind, RenameMode};

    use super::*;

    #[test]
    fn events_about_single_files() {
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        for (kind, exact, elsewhere) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), None, None),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), None, None),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Write)),
                Some(ConfigFileEvent::Changed),
                Some(ConfigFileEvent::Changed),
            ),
            (EventKind::Create(CreateKind::File), Some(ConfigFileEvent::Changing), Some(ConfigFileEvent::Changed)),
            (data, Some(ConfigFileEvent::Changing), Some(ConfigFileEvent::Changed)),
            (
                EventKind::Modify(ModifyKind::Name(RenameMode::To)),
                Some(ConfigFileEvent::Changed),
                Some(ConfigFileEvent::Changed),
            ),
            (
                EventKind::Modify(ModifyKind::Name(RenameMode::From)),
                Some(ConfigFileEvent::Changed),
                Some(ConfigFileEvent::Changed),
            ),
            // A change of permissions: it may be readable now.
            (
                EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
                Some(ConfigFileEvent::Changed),
                Some(ConfigFileEvent::Changed),
            ),
            (EventKind::Create(CreateKind::Folder), Some(ConfigFileEvent::Changed), Some(ConfigFileEvent::Changed)),
            (EventKind::Remove(RemoveKind::Folder), Some(ConfigFileEvent::Changed), Some(ConfigFileEvent::Changed)),
        ] {
            assert_eq!((touch(kind, true), touch(kind, false)), (exact, elsewhere), "{kind:?}");
        }
    }

    #[test]
    fn a_file_is_watched_under_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let real = canonical(folder.path()).unwrap();
        let file = real.join("a/watch.toml");
        assert_eq!(nearest_folder(&file), Some(&*real));
        assert_eq!(all_names(&file), [file]);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(".", real.join("link")).unwrap();
            let names = all_names(&real.join("link/watch.toml"));
            assert_eq!(names, [real.join("link/watch.toml"), real.join("watch.toml")]);
        }
    }

    /// Its folders are created one after the other, while the watch of the one before begins.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test sets its own scene")]
    fn a_file_in_new_folders_is_never_missed() {
        let folder = tempfile::tempdir().unwrap();
        let real = canonical(folder.path()).unwrap();
        for round in 0..200 {
            let file = real.join(format!("{round}/a/b/c/watch.toml"));
            let (send, events) = std::sync::mpsc::channel();
            let mut watcher = FileWatcher::new(move |event| {
                send.send(event).ok();
            })
            .unwrap();
            watcher.watch([&*file].into_iter()).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let folders: Vec<_> = file.ancestors().skip(1).take(4).collect();
                    folders.iter().rev().for_each(|folder| std::fs::create_dir(folder).unwrap());
                    std::fs::write(&file, "1").unwrap();
                });
                while !std::fs::read(&file).is_ok_and(|text| text == b"1") {
                    events.recv_timeout(std::time::Duration::from_secs(10)).expect("an event for each step");
                    watcher.watch([&*file].into_iter()).unwrap();
                }
            });
        }
    }
}
