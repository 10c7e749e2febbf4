//! The state folder, `.owui-watch/` beside `watch.toml`: for each server the ledger, copies of deployed and replaced
//! texts, intents and rollbacks, and a log per plugin. Everything in it is private to the user. Losing it costs a
//! comparison with the server, and the copies and rollbacks that it holds.
#![expect(clippy::disallowed_methods, reason = "this is the one place that writes files")]

mod address;
mod backups;
mod check;
mod error;
mod identity;
mod intents;
mod ledger;
mod lock;
mod log;
mod requests;
mod trust;
mod version;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

pub use backups::{Copy, Origin};
pub use error::StateError;
use identity::{Mark, Owner, UNUSABLE};
pub use lock::Other;
pub use requests::{Answer, Done, Request, RequestId, Requested, Told};

use crate::disk::age::age;
use crate::paths::{self, canonical, real, slashed};
use crate::whole_file::{Lasting, UNFINISHED, make_folders, write_whole};

/// The folder of replaced texts.
const BACKUPS: &str = "backups";
/// The folder of deployed texts.
const DEPLOYED: &str = "deployed";
/// The folder of the intents.
const INTENTS: &str = "under-way";
/// The folder of the rollbacks.
const ROLLBACKS: &str = "rollbacks";
/// The folder of the requests.
const REQUESTS: &str = "requests";
/// The folder of the answers.
const ANSWERS: &str = "answers";
/// The folder of the logs.
const LOGS: &str = "logs";

/// A file that stays unfinished for this long belongs to a writer that was killed.
const ABANDONED: Duration = Duration::from_mins(1);

/// How often a write is repeated because its folder was deleted meanwhile.
const MOST_REMOVALS: usize = 20;

/// Why state is not used.
const NOT_OURS: &str = "was not written in this folder, or was written by an earlier version";

/// The part of the state folder that processes share: copies, intents, rollbacks, requests and logs. Files are written
/// whole; only logs and the ledger are appended to.
#[derive(Clone, Debug)]
pub struct Folder {
    pub(super) path: PathBuf,
    /// The server's part in names of files.
    server: String,
}

impl Folder {
    /// The folder, for one server. Creates and reads nothing yet.
    #[must_use]
    pub fn new(path: PathBuf, server: &str) -> Self {
        Self { path, server: address::file_name(server) }
    }

    /// Creates the folder if needed. Returns its owner, and where state that does not belong to it was moved.
    fn make(&self) -> anyhow::Result<(Owner, Option<PathBuf>)> {
        self.refuse_git()?;
        make_folders(&self.path, Lasting::Synced)?;
        identity::refuse_foreign(&self.path)?;
        trust::check_folders(&self.path, &self.path)?;
        let (owner, aside) = identity::claim(&self.path)?;
        let ignore = self.path.join(".gitignore");
        let kind = ignore.symlink_metadata().map(|metadata| metadata.file_type());
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            return Err(trust::not_a_file(&ignore).into());
        }
        // Git does not follow a link there.
        if !kind.is_ok_and(|kind| kind.is_file()) {
            write_whole(&ignore, b"*\n", Lasting::Written)?;
        }
        Ok((owner, aside))
    }

    fn refuse_git(&self) -> io::Result<()> {
        [full(&self.path), real(&self.path)].into_iter().flatten().try_for_each(|path| trust::refuse_git(&path))
    }

    /// Like [`Folder::make`]; logs where state that does not belong to the folder was moved.
    fn made(&self) -> anyhow::Result<Owner> {
        let (owner, aside) = self.make()?;
        if let Some(aside) = aside {
            tracing::error!("{}", self.set_aside(&aside));
        }
        Ok(owner)
    }

    fn set_aside(&self, aside: &Path) -> String {
        let (path, aside) = (slashed(&self.path), slashed(&aside));
        format!("the state in `{path}` {NOT_OURS}; it is kept in `{aside}`")
    }

    /// The owner of the state, if it is used.
    pub(super) fn owner(&self) -> Option<Owner> {
        // A folder that is not ours is not changed, not even its permissions.
        let owner = identity::owner(&self.path)?;
        trust::check_folders(&self.path, &self.path).ok()?;
        Some(owner)
    }

    /// Why the state here is not used, if there is any.
    #[must_use]
    pub fn unused(&self) -> Option<String> {
        let why = match identity::holds_unused_state(&self.path) {
            Ok(true) => {
                let refused = self.refuse_git().and_then(|()| identity::refuse_foreign(&self.path)).err();
                refused.map_or_else(|| format!("it {NOT_OURS}"), |error| error.to_string())
            }
            Err(error) if error.kind() != ErrorKind::NotFound => error.to_string(),
            Ok(false) | Err(_) => return None,
        };
        Some(format!("the state in `{}` is not used: {why}", slashed(&self.path)))
    }

    /// Writes a file in the folder, and creates the folders above it if needed.
    pub(super) fn write(&self, path: &Path, bytes: &[u8], lasting: Lasting) -> anyhow::Result<()> {
        let folder = path.parent().unwrap_or(&self.path);
        let write = || {
            self.made()?;
            trust::check_folders(&self.path, folder)?;
            make_folders(folder, lasting)?;
            Ok(write_whole(path, bytes, lasting)?)
        };
        despite_removal(write).with_context(|| format!("writing `{}`", slashed(&path)))
    }

    /// Reads a file of the folder, of at most `most` bytes.
    pub(super) fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        trust::read(&self.path, path, most)
    }

    /// Removes a file of the folder, if it is there.
    fn remove(&self, path: &Path) -> io::Result<()> {
        trust::check_folders(&self.path, path.parent().unwrap_or(&self.path))?;
        match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// The entries of a folder below this one.
    fn entries(&self, folder: &Path) -> impl Iterator<Item = fs::DirEntry> + use<> {
        trust::entries(&self.path, folder)
    }

    /// Removes files that a killed program left half written, a minute ago or more. One that cannot be removed does no
    /// harm. It looks into every folder of the state; each plugin has one.
    pub fn clear_up(&self) {
        let mut folders = vec![self.path.clone()];
        // Only in our own folders: the user may keep other things here.
        folders
            .extend([LOGS, BACKUPS, DEPLOYED, ROLLBACKS, INTENTS, REQUESTS, ANSWERS].map(|name| self.path.join(name)));
        while let Some(folder) = folders.pop() {
            for entry in self.entries(&folder) {
                let Ok(kind) = entry.file_type() else { continue };
                let unfinished = entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED));
                if kind.is_dir() && folder != self.path {
                    folders.push(entry.path());
                } else if kind.is_file()
                    && unfinished
                    && let Ok(metadata) = entry.metadata()
                    && age(&metadata).is_some_and(|age| age > ABANDONED)
                {
                    fs::remove_file(entry.path()).ok();
                }
            }
        }
    }
}

/// The state folder, with the lock on one server's part of it: only this process writes that ledger.
pub struct State {
    folder: Folder,
    /// Where state that did not belong to the folder was moved.
    aside: Option<PathBuf>,
    /// When the folder of the rollbacks was last seen to change.
    rollbacks_seen: Option<SystemTime>,
    /// When the folder of the requests was last seen to change.
    requests_seen: Option<SystemTime>,
    /// Whether all waiting requests were taken at least once.
    has_taken_requests: bool,
    /// The bell's folder at the last [`State::bell`].
    bell_at: Option<Mark>,
    /// Held as long as the process lives: two writers would overwrite each other's records.
    lock: File,
}

impl Deref for State {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

impl State {
    /// Creates the folder if needed, and locks the server's part of it.
    pub fn open(folder: PathBuf, server: &str) -> Result<Self, StateError> {
        let folder = Folder::new(folder, server);
        let (_, aside) = folder.make().map_err(|error| folder.cannot_keep(&error))?;
        let lock = folder.take_lock(&folder.lock())?;
        Ok(Self {
            folder,
            aside,
            rollbacks_seen: None,
            requests_seen: None,
            has_taken_requests: false,
            bell_at: None,
            lock,
        })
    }

    /// The folder, for uses that need no lock.
    #[must_use]
    pub fn folder(&self) -> Folder {
        self.folder.clone()
    }

    /// Whether this is the state of this server in this folder: a process cannot take the same lock twice.
    #[must_use]
    pub fn is_of(&self, folder: &Path, server: &str) -> bool {
        let real = |path: &Path| canonical(path).unwrap_or_else(|_| path.to_owned());
        self.folder.server == address::file_name(server) && real(&self.folder.path) == real(folder)
    }
}

/// The folders that the walk of a root must skip, as paths of that walk: the state folder, and its copies in case the
/// root itself lies in the state folder.
pub(super) fn folders_under(state: &Path, root: &Path) -> Vec<PathBuf> {
    let names = [(full(state), full(root)), (real(state), real(root))];
    let inside = names.into_iter().filter_map(|(state, root)| Some((state?, root?))).flat_map(|(state, root)| {
        [state.join(BACKUPS), state.join(DEPLOYED), state.join(UNUSABLE), state]
            .into_iter()
            .filter_map(move |folder| folder.strip_prefix(&root).ok().map(Path::to_owned))
    });
    inside.filter(|rest| !rest.as_os_str().is_empty()).map(|rest| paths::join(root, &rest)).collect()
}

/// The absolute path, with links not followed.
pub(super) fn full(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok().map(|path| paths::without_dots(&path))
}

/// Repeats a write while the folder is being deleted: what the write made first may be gone a moment later.
fn despite_removal<T>(write: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let is_gone = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
    };
    for _ in 0..MOST_REMOVALS {
        match write() {
            Err(error) if error.chain().any(is_gone) => {}
            written => return written,
        }
    }
    write()
}

/// Creates files for the user alone: a server's texts and words may hold secrets.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_half_written_is_cleared_up_when_its_writer_is_long_gone() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        drop(State::open(state.clone(), "http://h").unwrap());
        let (old, new) = (format!("{UNFINISHED}old"), format!("{UNFINISHED}new"));
        let folders =
            ["", "deployed/h/tool/clock", "backups/h/function/x", "rollbacks/h", "under-way/h", "logs", "theirs"];
        for path in folders.map(|folder| state.join(folder)) {
            fs::create_dir_all(&path).unwrap();
            for name in [&old, &new, "kept.py"] {
                fs::write(path.join(name), "half").unwrap();
            }
            for name in [&old, "kept.py"] {
                let file = OpenOptions::new().write(true).open(path.join(name)).unwrap();
                file.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
            }
        }
        State::open(state.clone(), "http://h").unwrap().clear_up();
        for folder in folders {
            let there = |name: &str| state.join(folder).join(name).exists();
            assert_eq!((there(&old), there(&new), there("kept.py")), (folder == "theirs", true, true), "{folder}");
        }
    }

    #[test]
    fn a_write_is_repeated_while_its_folder_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let tries = std::cell::Cell::new(0);
        let write = || {
            fs::create_dir_all(&path)?;
            if tries.replace(tries.get() + 1) < 3 {
                fs::remove_dir(&path)?;
            }
            Ok(fs::write(path.join("file"), "")?)
        };
        despite_removal(write).unwrap();
        assert_eq!(tries.take(), 4);
        let full = || -> anyhow::Result<()> {
            tries.set(tries.get() + 1);
            Err(io::Error::from(ErrorKind::StorageFull).into())
        };
        assert_eq!(despite_removal(full).unwrap_err().to_string(), "no storage space");
        assert_eq!(tries.get(), 1);
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        use super::*;
        use crate::engine::deploy::Backup;
        use crate::engine::ledger::Rollback;
        use crate::plugin::{Digest, Key, Kind, id::PluginId};

        fn key() -> Key {
            Key { kind: Kind::Tool, id: PluginId::new("clock").unwrap() }
        }

        #[test]
        fn state_is_private() {
            let folder = tempfile::tempdir().unwrap();
            let state = State::open(folder.path().join("state"), "http://h").unwrap();
            state.log(&key(), "x").unwrap();
            state.save("{}").unwrap();
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o077;
            assert_eq!(mode(&folder.path().join("state")), 0);
            assert_eq!(mode(&folder.path().join("state/logs/tool-clock.log")), 0);
            assert_eq!(mode(&state.ledger()), 0);
            assert_eq!(mode(&folder.path().join("state/.gitignore")), 0);
            assert_eq!(mode(&folder.path().join("state/identity")), 0);
            assert_eq!(mode(&state.ledger().with_extension("lock")), 0);
            // Also in a folder that everyone can read.
            let open = folder.path().join("open");
            fs::create_dir(&open).unwrap();
            fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
            drop(State::open(open.clone(), "http://h").unwrap());
            for entry in fs::read_dir(&open).unwrap() {
                assert_eq!(mode(&entry.unwrap().path()), 0);
            }
        }

        /// A state folder of our own, and beside it a folder with a file of the user's.
        fn scene() -> (tempfile::TempDir, Folder, PathBuf) {
            let around = tempfile::tempdir().unwrap();
            let folder = Folder::new(around.path().join("state"), "http://h");
            folder.made().unwrap();
            let theirs = around.path().join("theirs");
            fs::create_dir(&theirs).unwrap();
            fs::write(theirs.join("bashrc"), "as it was").unwrap();
            (around, folder, theirs)
        }

        #[track_caller]
        fn assert_untouched(theirs: &Path) {
            let names: Vec<_> = fs::read_dir(theirs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["bashrc"]);
            assert_eq!(fs::read_to_string(theirs.join("bashrc")).unwrap(), "as it was");
        }

        fn backup() -> Backup {
            Backup { key: key(), text: "x".to_owned(), digest: Digest::of(b"x") }
        }

        #[test]
        fn a_file_behind_a_link_is_neither_written_nor_read() {
            let (_around, folder, theirs) = scene();
            let bashrc = theirs.join("bashrc");
            for name in ["logs/tool-clock.log", "ledger-h.lock", "ledger-h.json"] {
                let link = folder.path.join(name);
                fs::create_dir_all(link.parent().unwrap()).unwrap();
                symlink(&bashrc, &link).unwrap();
            }
            let error = folder.log(&key(), "version: 1; code").unwrap_err();
            assert!(format!("{error:#}").ends_with("tool-clock.log`: not a regular file"), "{error:#}");
            let error = State::open(folder.path.clone(), "http://h").err().unwrap();
            assert!(error.to_string().ends_with("ledger-h.lock` is not a regular file"), "{error}");
            assert_eq!(error.hint(), format!("remove `{}`", folder.lock().display()));
            assert!(folder.add("x").is_err());
            folder.save("{}").unwrap();
            assert!(!folder.ledger().is_symlink(), "the link itself is replaced");
            assert_untouched(&theirs);
        }

        #[test]
        fn a_folder_behind_a_link_is_neither_written_nor_read() {
            let (_around, folder, theirs) = scene();
            for name in ["logs", "backups", "deployed", "rollbacks", "under-way"] {
                symlink(&theirs, folder.path.join(name)).unwrap();
            }
            let at = jiff::Timestamp::UNIX_EPOCH;
            let rollback = Rollback { local: None, server: Digest::of(b"x"), done: true };
            for error in [
                folder.log(&key(), "line").unwrap_err(),
                folder.save_backup(&backup(), at).unwrap_err(),
                folder.archive(&backup(), at).unwrap_err(),
                folder.save_rollback(&key(), &rollback).unwrap_err(),
                folder.clear_intent(&key()).unwrap_err(),
            ] {
                assert!(format!("{error:#}").ends_with("` is a link"), "{error:#}");
            }
            assert!(folder.rollbacks().is_empty() && folder.copies(&key()).is_empty());
            assert_untouched(&theirs);
        }

        #[test]
        fn a_linked_state_folder_is_refused() {
            let (around, _, theirs) = scene();
            let link = around.path().join("link");
            symlink(&theirs, &link).unwrap();
            for path in [link.clone(), around.path().join("link/")] {
                let error = State::open(path, "http://h").err().unwrap();
                assert!(error.to_string().ends_with("link` is a link"), "{error}");
                assert!(error.hint().starts_with("remove the link"), "{}", error.hint());
            }
            assert_untouched(&theirs);
        }

        #[test]
        fn others_lose_the_right_to_write() {
            let (_around, folder, _) = scene();
            folder.log(&key(), "line").unwrap();
            for path in [folder.path.clone(), folder.path.join("logs")] {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
                folder.log(&key(), "line").unwrap();
                assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755);
            }
        }

        #[test]
        fn another_users_state_is_refused() {
            let (around, folder, _) = scene();
            // Only the administrator can give a folder away.
            if std::os::unix::fs::chown(&folder.path, Some(12345), None).is_err() {
                return;
            }
            let error = State::open(folder.path.clone(), "http://h").err().unwrap();
            assert!(error.to_string().ends_with("state` belongs to another user"), "{error}");
            assert_eq!(error.hint(), "set `OWUI_WATCH_STATE` in the environment to a folder of your own");
            drop(around);
        }

        #[test]
        fn names_of_synced_files_are_synced_too() {
            let around = tempfile::tempdir().unwrap();
            let folder = Folder::new(around.path().join("new/state"), "http://h");
            let synced = || crate::whole_file::SYNCED.with_borrow_mut(std::mem::take);
            synced();
            folder.save_backup(&backup(), jiff::Timestamp::UNIX_EPOCH).unwrap();
            let path = |name: &str| around.path().join(name);
            let kept = ["new/state/backups/h/tool/clock", "new/state/backups/h/tool", "new/state/backups/h"];
            let all = ["", "new", "new/state", "new/state", "new/state/backups"].into_iter();
            let expected: Vec<_> = all.chain(kept.into_iter().rev()).map(path).collect();
            assert_eq!(synced(), expected);
            // These are not synced: nothing depends on them.
            folder.archive(&backup(), jiff::Timestamp::UNIX_EPOCH).unwrap();
            folder.log(&key(), "line").unwrap();
            assert_eq!(synced(), Vec::<PathBuf>::new());
        }
    }
}
