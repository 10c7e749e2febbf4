//! The lock on one server's part of the state folder: one owui-watch at a time deploys from a project to a server.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Folder, State, StateError, despite_removal, identity, private_file, trust};
use crate::paths::slashed;
use crate::regular_file::Rejection;

/// Another owui-watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its process; unknown on Windows, where a locked file cannot be read.
    pub pid: Option<u32>,
}

impl Other {
    fn of(lock: &mut File) -> Self {
        const LONGEST: u64 = 20;
        let mut pid = String::new();
        let read = lock.rewind().and_then(|()| lock.take(LONGEST).read_to_string(&mut pid));
        Self { pid: read.ok().and_then(|_| pid.trim().parse().ok()) }
    }
}

impl std::fmt::Display for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another owui-watch")?;
        self.pid.map_or(Ok(()), |pid| write!(f, " (pid {pid})"))
    }
}

impl Folder {
    pub(super) fn lock(&self) -> PathBuf {
        self.ledger().with_extension("lock")
    }

    /// The lock holder: the owui-watch that deploys from here to this server now.
    #[must_use]
    pub fn holder(&self) -> Option<Other> {
        self.owner()?;
        let mut file = trust::open(&self.path, &self.lock(), OpenOptions::new().read(true)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(Other::of(&mut file)),
            Err(TryLockError::Error(_)) | Ok(()) => None,
        }
    }

    pub(super) fn take_lock(&self, path: &Path) -> Result<File, StateError> {
        self.locked(self.try_lock(path))
    }

    fn try_lock(&self, path: &Path) -> anyhow::Result<Result<File, Other>> {
        let locked =
            trust::open(&self.path, path, private_file().read(true).write(true)).and_then(|mut file| {
                match file.try_lock() {
                    Ok(()) => {
                        file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()))?;
                        Ok(Ok(file))
                    }
                    Err(TryLockError::WouldBlock) => Ok(Err(Other::of(&mut file))),
                    Err(TryLockError::Error(error)) => Err(error),
                }
            });
        let locked = locked.map_err(|error| match Rejection::of(&error) {
            Some(Rejection::NotRegular) => trust::not_a_file(path),
            Some(Rejection::LargerThan(_)) | None => error,
        });
        locked.with_context(|| format!("locking `{}`", slashed(&path)))
    }

    fn locked(&self, locked: anyhow::Result<Result<File, Other>>) -> Result<File, StateError> {
        locked.map_err(|error| self.cannot_keep(&error))?.map_err(|other| StateError {
            message: format!("{other} deploys from here to this server already"),
            hint: "it deploys your saves; --wait waits until it exits, --dry-run runs beside it".to_owned(),
            other: Some(other),
        })
    }
}

impl State {
    /// Makes sure that the lock still keeps others out, and that the folder still has an identity: if the lock file is
    /// deleted, a second owui-watch could lock a new one. Returns whether anything had to be made again.
    pub fn keep_lock(&mut self) -> Result<bool, StateError> {
        let path = self.folder.lock();
        let is_locked = || is_at(&self.lock, &path);
        // A project that was moved away may come back.
        let project_is_there =
            || std::path::absolute(&self.folder.path).is_ok_and(|path| path.parent().is_some_and(Path::is_dir));
        if (is_locked() && identity::is_there(&self.folder.path)) || !project_is_there() {
            return Ok(false);
        }
        let locked = despite_removal(|| {
            self.folder.made()?;
            if is_locked() { Ok(None) } else { self.folder.try_lock(&path).map(Some) }
        });
        if let Some(locked) = locked.transpose() {
            self.lock = self.folder.locked(locked)?;
        }
        Ok(true)
    }
}

/// Whether an open file is still the one at this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(open), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// Windows keeps a locked file's name as long as the file is open.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[expect(clippy::disallowed_methods, reason = "the test deletes lock files")]
    #[test]
    fn a_lock_whose_file_was_deleted_is_taken_anew() {
        use std::fs;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".owui-watch");
        let mut state = State::open(path.clone(), "http://h").unwrap();
        assert!(!state.keep_lock().unwrap());
        fs::remove_file(state.folder.lock()).unwrap();
        assert!(state.keep_lock().unwrap() && !state.keep_lock().unwrap());
        fs::remove_dir_all(&path).unwrap();
        assert!(state.keep_lock().unwrap());
        assert!(State::open(path.clone(), "http://h").is_err(), "it keeps others out again");
        fs::remove_file(path.join("identity")).unwrap();
        assert_eq!(state.folder.holder(), None);
        assert!(state.keep_lock().unwrap() && !state.keep_lock().unwrap());
        assert!(state.folder.holder().is_some());
        fs::remove_file(state.folder.lock()).unwrap();
        let _second = State::open(path, "http://h").unwrap();
        assert!(state.keep_lock().unwrap_err().other().is_some());
    }

    #[test]
    fn a_second_daemon_is_told_who_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let _first = State::open(folder.path().to_owned(), "http://h").unwrap();
        let error = State::open(folder.path().to_owned(), "http://h").err().unwrap();
        let other = Other { pid: cfg!(unix).then(std::process::id) };
        assert!(error.to_string().starts_with(&format!("{other} deploys")), "{error}");
        assert!(State::open(folder.path().to_owned(), "http://other").is_ok());
        let holder = |server| Folder::new(folder.path().to_owned(), server).holder();
        assert_eq!(holder("http://h"), Some(other));
        assert_eq!((holder("http://other"), holder("http://new")), (None, None), "it has ended, or never was");
    }
}
