//! Tells whether a state folder is ours. A ledger decides what may be replaced or deleted without asking, so files that
//! someone planted in a project must not pass for ours.
//!
//! The folder has an identity, a random number that each ledger, intent and rollback repeats. The number counts only in
//! the folder that it was made for, which is known by its time of birth: no archive and no clone can set that on Linux.
//! State that does not belong to the folder is set aside, and history and rollbacks start anew. Where the file system
//! tells no time of birth, the folder is known by its device and inode.
//!
//! Only a folder with our own name is cleared like that: any other may hold someone else's files, and stays as it is.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::trust;
use super::{ANSWERS, BACKUPS, DEPLOYED, INTENTS, LOGS, REQUESTS, ROLLBACKS, full};
use crate::regular_file::Rejection;
use crate::whole_file::{Draft, Lasting, UNFINISHED, make_folders};

/// The folder for state that belongs to another folder; each time it goes into a new numbered folder there.
pub(super) const UNUSABLE: &str = "unusable";

const FILE: &str = "identity";

/// The name of the state folder unless the settings give another.
const OUR_NAME: &str = ".owui-watch";

/// An identity has a few dozen bytes.
const LARGEST: u64 = 1024;

/// The content of the identity file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    /// The number that ledgers, intents and rollbacks repeat.
    id: String,
    #[serde(flatten)]
    mark: Mark,
}

/// A property of a folder that no archive can carry to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// When the folder was born, where the system tells.
    born: Option<Duration>,
    /// Else its device and inode, where the system has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<(u64, u64)>,
}

impl Mark {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let metadata = folder.symlink_metadata()?;
        let created = metadata.created().ok();
        let born = created.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        Ok(Self::new(born, &metadata))
    }

    #[cfg(unix)]
    fn new(born: Option<Duration>, metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { born, place: born.is_none().then(|| (metadata.dev(), metadata.ino())) }
    }

    #[cfg(not(unix))]
    fn new(born: Option<Duration>, _: &Metadata) -> Self {
        Self { born, place: None }
    }

    /// The owner that an identity names, if it was made for the folder with this mark.
    fn owner(&self, identity: &[u8]) -> Option<Owner> {
        let identity: Identity = serde_json::from_slice(identity).ok()?;
        (identity.mark == *self && !identity.id.is_empty()).then_some(Owner { id: identity.id })
    }
}

/// The number that a file of the state must repeat to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::disk) struct Owner {
    /// The folder's own number.
    pub(super) id: String,
}

impl Owner {
    /// Whether a ledger, intent or rollback belongs to the folder, by the number that it repeats.
    pub(super) fn wrote(&self, id: Option<&str>) -> bool {
        id == Some(&self.id)
    }
}

/// The owner of a folder's state; `None` where the state does not belong to the folder.
pub(super) fn owner(folder: &Path) -> Option<Owner> {
    known(folder).ok().flatten()
}

/// Whether the folder has an identity, valid or not.
pub(super) fn is_there(folder: &Path) -> bool {
    exists(&folder.join(FILE))
}

/// Whether the folder holds state that does not belong to it.
pub(super) fn holds_unused_state(folder: &Path) -> io::Result<bool> {
    // Another process may have made an identity meanwhile: it counts.
    let names = trust::names(folder)?;
    Ok(names.iter().any(|name| is_state(name)) && known(folder)?.is_none())
}

/// Refuses a folder with entries and another name than ours, unless its identity is ours. Changes nothing.
pub(super) fn refuse_foreign(folder: &Path) -> io::Result<()> {
    let is_ours = |name: &OsStr| name == OUR_NAME;
    let has_our_name = full(folder).is_some_and(|path| path.file_name().is_some_and(is_ours));
    let is_unfinished = |name: &OsStr| name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
    if has_our_name
        || trust::names(folder)?.iter().all(|name| is_unfinished(name))
        // Another process may have made it meanwhile.
        || known(folder)?.is_some()
    {
        return Ok(());
    }
    Err(trust::foreign(folder))
}

/// Gives the folder an identity, unless it has one. Returns its owner, and where state of other folders was moved.
pub(super) fn claim(folder: &Path) -> io::Result<(Owner, Option<PathBuf>)> {
    if let Some(owner) = known(folder)? {
        return Ok((owner, None));
    }
    let aside = set_aside(folder)?;
    let draft = Draft::private(&folder.join(FILE))?;
    // On overlayfs, the first new file replaces a folder that came with the image: take the mark only after it.
    let identity = Identity { id: format!("{:032x}", fastrand::u128(..)), mark: Mark::of(folder)? };
    match draft.finish(&serde_json::to_vec(&identity)?, Lasting::Synced)?.create() {
        // Another process came first: its number counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        created => created?,
    }
    // It may have been deleted since.
    let gone = || io::Error::new(ErrorKind::NotFound, "its identity cannot be read back");
    let owner = known(folder)?.ok_or_else(gone)?;
    Ok((owner, aside))
}

fn known(folder: &Path) -> io::Result<Option<Owner>> {
    let bytes = match trust::read_unchanged(folder, &folder.join(FILE), LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound || Rejection::of(&error).is_some() => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Mark::of(folder)?.owner(&bytes))
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Moves what looks like state out of the way. Links are moved as such.
fn set_aside(folder: &Path) -> io::Result<Option<PathBuf>> {
    let names = trust::entries(folder, folder).map(|entry| entry.file_name());
    let names: Vec<_> = names.filter(|name| is_state(name)).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let unusable = folder.join(UNUSABLE);
    trust::check_folders(folder, &unusable)?;
    let numbered = (1..).map(|n: u32| unusable.join(n.to_string()));
    let aside = numbered.into_iter().find(|aside| !exists(aside)).unwrap_or(unusable);
    make_folders(&aside, Lasting::Written)?;
    for name in names {
        trust::move_entry(&folder.join(&name), &aside.join(&name))?;
    }
    Ok(Some(aside))
}

fn is_state(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    [FILE, "seen.json", BACKUPS, DEPLOYED, LOGS, ROLLBACKS, INTENTS, REQUESTS, ANSWERS].contains(&name)
        || name.starts_with("ledger-") && name.contains(".json")
}

/// Two folders with different times of birth; `None` where the system does not tell them.
#[cfg(test)]
pub(super) fn born_apart() -> Option<(tempfile::TempDir, tempfile::TempDir)> {
    let folder = || tempfile::tempdir().unwrap();
    let born = |folder: &tempfile::TempDir| Mark::of(folder.path()).unwrap().born;
    let one = folder();
    let first = born(&one)?;
    // Folders made within one tick of the file system's clock have the same time of birth.
    let mut others = std::iter::repeat_with(folder);
    let other = others.find(|other| born(other) != Some(first));
    Some((one, other?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests plant files")]

    use std::fs;

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

    /// An archive or a copy brings the identity file along.
    #[test]
    fn a_copied_identity_does_not_count() {
        let Some((one, other)) = born_apart() else { return };
        let (first, _) = claim(one.path()).unwrap();
        fs::copy(one.path().join(FILE), other.path().join(FILE)).unwrap();
        assert_eq!(owner(other.path()), None);
        assert_ne!(claim(other.path()).unwrap().0, first);
    }

    /// An archive was unpacked where the file system tells no time of birth.
    #[cfg(unix)]
    #[test]
    fn without_a_time_of_birth_the_place_counts() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = folders.each_ref().map(|folder| Mark::new(None, &folder.path().metadata().unwrap()));
        let own = serde_json::to_vec(&Identity { id: "x".to_owned(), mark: one.clone() }).unwrap();
        assert_eq!(one.owner(&own), Some(Owner { id: "x".to_owned() }));
        assert_eq!((other.owner(&own), one.owner(br#"{"id": "x", "born": null}"#)), (None, None));
    }

    #[test]
    fn only_a_folder_with_our_name_may_hold_other_files() {
        let around = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = around.path().join(name);
            fs::create_dir(&folder).unwrap();
            folder
        };
        let (theirs, empty, ours) = (folder("var"), folder("empty"), folder(OUR_NAME));
        for folder in [&theirs, &ours] {
            plant(folder);
        }
        fs::write(empty.join(format!("{UNFINISHED}x")), "").unwrap();
        assert!(refuse_foreign(&theirs).is_err() && refuse_foreign(&theirs.join("../var")).is_err());
        assert!(refuse_foreign(&empty).is_ok() && refuse_foreign(&ours).is_ok());
        claim(&empty).unwrap();
        plant(&empty);
        assert!(refuse_foreign(&empty).is_ok());
        assert!(!holds_unused_state(&empty).unwrap() && holds_unused_state(&ours).unwrap());
    }
}
