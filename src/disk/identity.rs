//! Whose state folder it is. Files that were planted in a project, by whoever packed or committed it, must not pass for
//! what we know: a ledger decides what may be replaced or deleted without asking.
//!
//! The folder has an identity, a random number that each ledger and note repeats. The number counts only in the folder
//! that it was made for, which is known by its time of birth: no archive and no clone can set that on Linux. State that
//! does not belong to the folder is set aside. That costs a comparison with the server.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::state::UNFINISHED;
use super::trust::{self, Lasting};
use crate::regular_file::Rejection;

/// Where state goes that does not belong to the folder, in a numbered folder each time.
pub(super) const UNUSABLE: &str = "unusable";

const FILE: &str = "identity";

/// A few dozen bytes.
const LARGEST: u64 = 1024;

/// The file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    /// What ledgers and notes repeat.
    id: String,
    /// When the folder was born, where the system tells.
    born: Option<Duration>,
}

/// What state must say to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The folder's own number.
    pub(super) id: String,
}

impl Owner {
    /// Whether a ledger or note belongs to the folder, by the number that it repeats.
    pub(super) fn wrote(&self, id: Option<&str>) -> bool {
        id == Some(&self.id)
    }
}

/// The owner of a folder's state; `None` where the state does not belong to the folder.
pub(super) fn owner(folder: &Path) -> Option<Owner> {
    known(folder).ok().flatten()
}

/// Gives the folder an identity, unless it has one. Answers where state went that does not belong to it.
pub(super) fn claim(folder: &Path) -> io::Result<(Owner, Option<PathBuf>)> {
    if let Some(owner) = known(folder)? {
        return Ok((owner, None));
    }
    let aside = set_aside(folder)?;
    let identity = Identity { id: format!("{:032x}", fastrand::u128(..)), born: born(folder)? };
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    file.write_all(&serde_json::to_vec(&identity)?)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(folder.join(FILE)) {
        Ok(_) => trust::sync_folder(folder)?,
        // Another process came first: its number counts.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error),
    }
    let owner = known(folder)?.ok_or_else(|| io::Error::other("its identity cannot be read back"))?;
    Ok((owner, aside))
}

fn known(folder: &Path) -> io::Result<Option<Owner>> {
    let bytes = match trust::read(folder, &folder.join(FILE), LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound || Rejection::of(&error).is_some() => return Ok(None),
        Err(error) => return Err(error),
    };
    let born = born(folder)?;
    let identity: Option<Identity> = serde_json::from_slice(&bytes).ok();
    let identity = identity.filter(|identity| identity.born == born && !identity.id.is_empty());
    Ok(identity.map(|Identity { id, .. }| Owner { id }))
}

/// Since the epoch.
fn born(folder: &Path) -> io::Result<Option<Duration>> {
    let created = folder.symlink_metadata()?.created().ok();
    Ok(created.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()))
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Moves what looks like state out of the way. Links are moved as such.
#[expect(clippy::disallowed_methods, reason = "entries of the state folder move within it")]
fn set_aside(folder: &Path) -> io::Result<Option<PathBuf>> {
    let names = trust::entries(folder, folder).map(|entry| entry.file_name());
    let names: Vec<_> = names.filter(|name| name.to_str().is_some_and(is_state)).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let unusable = folder.join(UNUSABLE);
    trust::check_folders(folder, &unusable)?;
    let numbered = (1..).map(|n: u32| unusable.join(n.to_string()));
    let aside = numbered.into_iter().find(|aside| !exists(aside)).unwrap_or(unusable);
    trust::make_folders(&aside, Lasting::Written)?;
    for name in names {
        fs::rename(folder.join(&name), aside.join(&name))?;
    }
    Ok(Some(aside))
}

fn is_state(name: &str) -> bool {
    [FILE, "seen.json", "backups", "deployed", "logs", "rollbacks", "under-way"].contains(&name)
        || name.starts_with("ledger-") && name.contains(".json")
}

/// Two folders with different times of birth; `None` where the system does not tell them.
#[cfg(test)]
pub(super) fn born_apart() -> Option<(tempfile::TempDir, tempfile::TempDir)> {
    let one = tempfile::tempdir().unwrap();
    let first = born(one.path()).unwrap()?;
    // Two that are made in one tick of the file system's clock are born at the same time.
    let mut others = std::iter::repeat_with(|| tempfile::tempdir().unwrap());
    let other = others.find(|other| born(other.path()).unwrap() != Some(first));
    Some((one, other?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests plant files")]

    use super::*;

    fn plant(folder: &Path) {
        fs::create_dir(folder.join("rollbacks")).unwrap();
        for file in ["ledger-h.json", "rollbacks/x", "theirs"] {
            fs::write(folder.join(file), "{}").unwrap();
        }
    }

    #[test]
    fn an_identity_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(owner(folder.path()), None);
        let (first, aside) = claim(folder.path()).unwrap();
        assert_eq!((first.id.len(), aside), (32, None));
        plant(folder.path());
        assert_eq!(claim(folder.path()).unwrap(), (first.clone(), None));
        assert_eq!(owner(folder.path()), Some(first.clone()));
        assert!(first.wrote(Some(&first.id)) && !first.wrote(Some("other")) && !first.wrote(None));
    }

    #[test]
    fn state_that_came_with_the_folder_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        for n in 1..3 {
            plant(folder.path());
            if n == 2 {
                fs::write(folder.path().join(FILE), r#"{"id": "0", "born": {"secs": 1, "nanos": 0}}"#).unwrap();
            }
            assert_eq!(owner(folder.path()), None);
            let aside = claim(folder.path()).unwrap().1.unwrap();
            assert_eq!(aside, folder.path().join(UNUSABLE).join(n.to_string()));
            assert!(aside.join("ledger-h.json").exists() && aside.join("rollbacks/x").exists());
            assert!(folder.path().join("theirs").exists() && !folder.path().join("rollbacks").exists());
            fs::remove_file(folder.path().join(FILE)).unwrap();
        }
    }

    /// As an archive or a copy does, with all that is in it.
    #[test]
    fn a_copied_identity_does_not_count() {
        let Some((one, other)) = born_apart() else { return };
        let (first, _) = claim(one.path()).unwrap();
        fs::copy(one.path().join(FILE), other.path().join(FILE)).unwrap();
        assert_eq!(owner(other.path()), None);
        assert_ne!(claim(other.path()).unwrap().0, first);
    }
}
