//! Notes about single plugins on one server: what is under way, and what was rolled back. Each is a file of its own, so
//! that a command may write one beside a daemon.
//!
//! A note counts only in the state folder that it was written in: a planted one could have a function switched on.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::identity::Owner;
use super::state::{Folder, NOT_OURS};
use super::trust::Lasting;
use crate::engine::ledger::{Rollback, UpdateIntent};
use crate::plugin::{Key, Kind, id::PluginId};

/// A note has a few hundred bytes.
const LARGEST_NOTE: u64 = 64 * 1024;

impl Folder {
    /// Notes a rollback, durably.
    pub fn note_rollback(&self, key: &Key, rollback: &Rollback) -> anyhow::Result<()> {
        self.note(&self.rollbacks_folder(), key, rollback)
    }

    /// The rollbacks that hold. A note that cannot be read counts as none, and is said in the log.
    #[must_use]
    pub fn rollbacks(&self) -> BTreeMap<Key, Rollback> {
        self.notes(&self.rollbacks_folder())
    }

    /// Forgets a rollback: the file has changed since.
    pub fn forget_rollback(&self, key: &Key) -> anyhow::Result<()> {
        self.forget(&self.rollbacks_folder(), key)
    }

    /// Notes an update that is about to leave, durably.
    pub fn note_under_way(&self, key: &Key, under_way: &UpdateIntent) -> anyhow::Result<()> {
        self.note(&self.under_way_folder(), key, under_way)
    }

    /// The updates of which nobody has said how they ended. A note that cannot be read counts as none, and is said in
    /// the log.
    #[must_use]
    pub fn under_way(&self) -> BTreeMap<Key, UpdateIntent> {
        self.notes(&self.under_way_folder())
    }

    /// Forgets an update: it is known how it ended.
    pub fn forget_under_way(&self, key: &Key) -> anyhow::Result<()> {
        self.forget(&self.under_way_folder(), key)
    }

    pub(super) fn rollbacks_folder(&self) -> PathBuf {
        self.path.join("rollbacks").join(&self.server)
    }

    fn under_way_folder(&self) -> PathBuf {
        self.path.join("under-way").join(&self.server)
    }

    fn note(&self, folder: &Path, key: &Key, note: &impl Serialize) -> anyhow::Result<()> {
        let path = folder.join(name(key));
        let owner = self.made().with_context(|| format!("writing `{}`", path.display()))?;
        self.write(&path, &serde_json::to_vec(&Signed { state: Some(owner.id), note })?, Lasting::Synced)
    }

    fn notes<T: DeserializeOwned>(&self, folder: &Path) -> BTreeMap<Key, T> {
        let Some(owner) = self.owner() else { return BTreeMap::new() };
        let keys = self.entries(folder).filter_map(|entry| Some((key(entry.file_name().to_str()?)?, entry.path())));
        keys.filter_map(|(key, path)| Some((key, self.read_note(&path, &owner)?))).collect()
    }

    fn read_note<T: DeserializeOwned>(&self, path: &Path, owner: &Owner) -> Option<T> {
        let cause = match self.read(path, LARGEST_NOTE) {
            Ok(bytes) => match serde_json::from_slice::<Signed<T>>(&bytes) {
                Ok(signed) if owner.wrote(signed.state.as_deref()) => return Some(signed.note),
                Ok(_) => format!("it {NOT_OURS}"),
                Err(error) => error.to_string(),
            },
            // Somebody else has just forgotten it.
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
        };
        tracing::error!("cannot use `{}`: {cause}", path.display());
        None
    }

    fn forget(&self, folder: &Path, key: &Key) -> anyhow::Result<()> {
        let path = folder.join(name(key));
        self.remove(&path).with_context(|| format!("removing `{}`", path.display()))
    }
}

/// A note, with the number of the state folder that it was written in.
#[derive(Serialize, Deserialize)]
struct Signed<T> {
    state: Option<String>,
    #[serde(flatten)]
    note: T,
}

fn name(key: &Key) -> String {
    format!("{}-{}.json", key.kind.word(), key.id)
}

fn key(name: &str) -> Option<Key> {
    let (word, id) = name.strip_suffix(".json")?.split_once('-')?;
    let kind = Kind::from_word(word)?;
    Some(Key { kind, id: PluginId::new(id)? })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests damage and plant notes")]

    use std::fs;

    use super::*;
    use crate::disk::State;
    use crate::plugin::Digest;

    fn keys() -> [Key; 3] {
        let key = |kind, id| Key { kind, id: PluginId::new(id).unwrap() };
        [key(Kind::Function, "clock"), key(Kind::Tool, "clock"), key(Kind::Tool, "größe")]
    }

    fn rollback(local: Option<&str>) -> Rollback {
        Rollback { local: local.map(Digest::of_text), server: Digest::of_text("server"), done: true }
    }

    #[test]
    fn a_note_is_there_until_it_is_forgotten() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("state"), "http://h");
        assert!(folder.rollbacks().is_empty() && folder.under_way().is_empty());
        let [function, tool, umlaut] = keys();
        folder.forget_rollback(&tool).unwrap();
        for key in keys() {
            folder.note_rollback(&key, &rollback(None)).unwrap();
        }
        folder.note_rollback(&tool, &rollback(Some("local"))).unwrap();
        folder.forget_rollback(&function).unwrap();
        assert_eq!(folder.rollbacks(), BTreeMap::from([(tool, rollback(Some("local"))), (umlaut, rollback(None))]));
        let under_way =
            UpdateIntent { ours: vec![Digest::of(b"new")], replaced: Some(Digest::of(b"old")), was_active: true };
        folder.note_under_way(&function, &under_way).unwrap();
        assert_eq!(folder.under_way(), BTreeMap::from([(function.clone(), under_way)]));
        // Each server has its own.
        let other = Folder::new(temporary.path().join("state"), "http://other");
        assert!(other.rollbacks().is_empty() && other.under_way().is_empty());
        folder.forget_under_way(&function).unwrap();
        assert!(folder.under_way().is_empty());
    }

    #[test]
    fn a_damaged_note_is_none() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().to_owned(), "http://h");
        let [function, tool, _] = keys();
        folder.note_rollback(&function, &rollback(None)).unwrap();
        let notes = temporary.path().join("rollbacks/h");
        let whole = fs::read(notes.join("function-clock.json")).unwrap();
        for name in ["tool-clock.json", "tool-x-y.json", "pipe-x.json", "tool-.json", "readme", ".tmp123"] {
            fs::write(notes.join(name), if name == "tool-clock.json" { &whole[1..] } else { &whole[..] }).unwrap();
        }
        fs::create_dir(notes.join("tool-folder.json")).unwrap();
        fs::write(notes.join("tool-large.json"), [whole, b" ".repeat(64 * 1024)].concat()).unwrap();
        assert_eq!(folder.rollbacks().into_keys().collect::<Vec<_>>(), std::slice::from_ref(&function));
        folder.forget_rollback(&tool).unwrap();
        assert!(!notes.join("tool-clock.json").exists());
    }

    /// As a pull of somebody else's commits may do.
    #[test]
    fn a_planted_note_is_none() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().to_owned(), "http://h");
        let [function, tool, _] = keys();
        folder.note_rollback(&function, &rollback(None)).unwrap();
        let own = fs::read_to_string(temporary.path().join("rollbacks/h/function-clock.json")).unwrap();
        let plain = serde_json::to_string(&rollback(None)).unwrap();
        for planted in [plain, own.replacen(r#""state":""#, r#""state":"0"#, 1)] {
            fs::write(temporary.path().join("rollbacks/h/tool-clock.json"), planted).unwrap();
            assert_eq!(folder.rollbacks(), BTreeMap::from([(function.clone(), rollback(None))]));
        }
        fs::write(temporary.path().join("rollbacks/h/tool-clock.json"), own).unwrap();
        assert!(folder.rollbacks().contains_key(&tool), "it is ours by that number alone");
    }

    #[test]
    fn a_daemon_sees_that_a_note_was_written_beside_it() {
        let temporary = tempfile::tempdir().unwrap();
        let mut state = State::open(temporary.path().to_owned(), "http://h").unwrap();
        assert!(!state.rollbacks_changed(), "there is none");
        let beside = Folder::new(temporary.path().to_owned(), "http://h");
        let [function, tool, _] = keys();
        let settle = |minutes| {
            let folder = fs::File::open(temporary.path().join("rollbacks/h")).unwrap();
            let then = std::time::SystemTime::now() - std::time::Duration::from_mins(minutes);
            folder.set_modified(then).unwrap();
        };
        beside.note_rollback(&function, &rollback(None)).unwrap();
        assert!(state.rollbacks_changed());
        assert!(state.rollbacks_changed(), "another may follow in the same moment");
        settle(2);
        assert!(state.rollbacks_changed());
        assert!(!state.rollbacks_changed());
        beside.note_rollback(&tool, &rollback(None)).unwrap();
        assert!(state.rollbacks_changed());
        settle(1);
        assert!(state.rollbacks_changed() && !state.rollbacks_changed());
        fs::remove_dir_all(temporary.path().join("rollbacks")).unwrap();
        assert!(state.rollbacks_changed() && !state.rollbacks_changed());
    }

    #[cfg(unix)]
    #[test]
    fn notes_and_copies_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("state");
        let folder = Folder::new(path.clone(), "http://h");
        let [function, ..] = keys();
        folder.note_rollback(&function, &rollback(None)).unwrap();
        let backup =
            crate::engine::deploy::Backup { key: function.clone(), text: "x".to_owned(), digest: Digest::of(b"x") };
        folder.archive(&backup, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let mut folders = vec![path.clone()];
        while let Some(folder) = folders.pop() {
            assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", folder.display());
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else {
                    assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", entry.display());
                }
            }
        }
        assert_eq!(fs::read_to_string(path.join(".gitignore")).unwrap(), "*\n");
    }
}
