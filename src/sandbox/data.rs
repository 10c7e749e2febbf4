//! The folder with a server's database: a temporary one, or one that the user names and keeps.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::Error;
use crate::paths::{canonical, slashed};
use crate::regular_file;
use crate::whole_file::{Lasting, make_folders, write_whole};

/// Marks a folder as a sandbox's, and is locked by the sandbox that uses it.
const MARKER: &str = "owui-watch-sandbox";
/// Signs the tokens of browsers that are logged in.
const SECRET: &str = "secret-key";
/// The most bytes to read of it.
const LONGEST_SECRET: u64 = 1024;

/// A data folder. Dropping a temporary one removes it, unless the user wants to keep it.
pub(super) enum Data {
    /// The sandbox's own.
    Temporary(TempDir),
    /// The user's.
    Named {
        /// Where it is.
        path: PathBuf,
        /// Held as long as the folder is used.
        _lock: File,
    },
}

impl Data {
    /// Makes a temporary folder.
    pub(super) fn temporary(keep: bool) -> Result<Self, Error> {
        let mut folder = tempfile::Builder::new()
            .prefix("owui-watch-sandbox-")
            .tempdir()
            .map_err(|e| Error::new("cannot make a data folder").because(e))?;
        folder.disable_cleanup(keep);
        Ok(Self::Temporary(folder))
    }

    /// Opens or makes the user's folder. It must be empty, or a sandbox's: a server without login would open the data
    /// of a real installation to everyone on this machine.
    pub(super) fn named(folder: &Path) -> Result<Self, Error> {
        let cannot = |cause: io::Error| {
            Error::new(format!("cannot use `{}` as the sandbox's data folder", slashed(&folder))).because(cause)
        };
        make_folders(folder, Lasting::Written).map_err(cannot)?;
        let path = canonical(folder).map_err(cannot)?;
        let marker = path.join(MARKER);
        if !marker.is_file() && path.read_dir().map_err(cannot)?.next().is_some() {
            return Err(Error::new(format!("`{}` is not empty and was not made by a sandbox", slashed(&folder)))
                .hinted("name a new folder with `--data`"));
        }
        let lock =
            regular_file::open_no_follow(&marker, OpenOptions::new().create(true).append(true)).map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => {
                // Chats and keys do not belong in a repository.
                let ignore = path.join(".gitignore");
                if ignore.symlink_metadata().is_err() {
                    write_whole(&ignore, b"*\n", Lasting::Synced).map_err(cannot)?;
                }
                Ok(Self::Named { path, _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(Error::new(format!("another sandbox uses `{}`", slashed(&folder)))
                .hinted("stop that sandbox, or name another folder with `--data`")),
            Err(TryLockError::Error(error)) => Err(cannot(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Named { path, .. } => path,
        }
    }

    /// The key that browsers' tokens are signed with: that of the first start, so that a tab stays logged in.
    pub(super) fn secret(&self) -> Result<Option<String>, Error> {
        let Self::Named { path, .. } = self else { return Ok(None) };
        let file = path.join(SECRET);
        let cannot = |cause: io::Error| Error::new(format!("cannot use `{}`", slashed(&file))).because(cause);
        let stored = regular_file::read_no_follow(&file, LONGEST_SECRET);
        match stored.map(|secret| String::from_utf8_lossy(&secret).trim().to_owned()) {
            Ok(secret) if !secret.is_empty() => return Ok(Some(secret)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
            Ok(_) | Err(_) => {}
        }
        let secret = random()?;
        write_whole(&file, secret.as_bytes(), Lasting::Synced).map_err(cannot)?;
        Ok(Some(secret))
    }

    /// Removes a temporary folder; returns the folder that stays.
    pub(super) fn close(self, keep: bool) -> Result<Option<PathBuf>, Error> {
        match self {
            Self::Temporary(folder) if keep => Ok(Some(folder.keep())),
            Self::Temporary(folder) => {
                let path = folder.path().to_owned();
                folder.close().map_err(|e| Error::new(format!("cannot remove `{}`", slashed(&path))).because(e))?;
                Ok(None)
            }
            Self::Named { path, .. } => Ok(Some(path)),
        }
    }
}

/// Sixteen random bytes, as text.
pub(super) fn random() -> Result<String, Error> {
    let mut bytes = [0; 16];
    let source = rustls::crypto::ring::default_provider().secure_random;
    source.fill(&mut bytes).map_err(|_| Error::new("cannot get random bytes from the system"))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_named_folder_is_new_or_a_sandboxes_own() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("new/data");
        let data = Data::named(&folder).unwrap();
        let secret = data.secret().unwrap().unwrap();
        let error = Data::named(&folder).err().unwrap();
        assert!(error.to_string().starts_with("another sandbox uses"), "{error}");
        assert_eq!(data.close(false).unwrap(), Some(canonical(&folder).unwrap()));

        let again = Data::named(&folder).unwrap();
        assert_eq!(again.secret().unwrap().unwrap(), secret);

        // A real installation's, or a project.
        let error = Data::named(home.path()).err().unwrap();
        assert!(error.to_string().ends_with("is not empty and was not made by a sandbox"), "{error}");
        fs::write(home.path().join("file"), "").unwrap();
        assert!(Data::named(&home.path().join("file")).is_err());
    }

    #[test]
    fn a_temporary_folder_goes_unless_it_is_kept() {
        let data = Data::temporary(false).unwrap();
        let path = data.path().to_owned();
        assert_eq!((data.secret().unwrap(), data.close(false).unwrap()), (None, None));
        assert!(!path.exists());
        let data = Data::temporary(true).unwrap();
        let path = data.close(true).unwrap().unwrap();
        assert!(path.is_dir());
        fs::remove_dir(path).unwrap();
    }

    #[test]
    fn random_texts_differ() {
        let (one, two) = (random().unwrap(), random().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, two);
    }
}
