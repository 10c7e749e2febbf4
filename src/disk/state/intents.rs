//! Intents are updates about to be sent: after a crash, their results are unknown. Rollbacks are texts that a user
//! restored. Each is a file of its own, so that a command can write one while a daemon runs.
//!
//! A file counts only in the state folder that it was written in: a planted intent could switch a function on.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::identity::Owner;
use super::{Folder, NOT_OURS, State};
use super::{INTENTS, ROLLBACKS};
use crate::disk::age::age;
use crate::engine::ledger::{Rollback, UpdateIntent};
use crate::paths::slashed;
use crate::plugin::{Key, Kind, id::PluginId};
use crate::whole_file::Lasting;

/// An intent or rollback has a few hundred bytes.
const LARGEST: u64 = 64 * 1024;

/// Two changes of a folder that are closer together than this may bear the same time, by the file system's clock.
const ONE_TICK: Duration = Duration::from_millis(100);

impl Folder {
    /// Saves a rollback, durably, and tells the watch.
    pub fn save_rollback(&self, key: &Key, rollback: &Rollback) -> anyhow::Result<()> {
        self.save_signed(&self.rollbacks_folder(), key, rollback)?;
        self.tell_of_rollbacks();
        Ok(())
    }

    /// The current rollbacks. A file that cannot be used is skipped and logged.
    #[must_use]
    pub fn rollbacks(&self) -> BTreeMap<Key, Rollback> {
        self.all_signed(&self.rollbacks_folder())
    }

    /// Clears a rollback: the file has changed since, or its own text was restored. Tells the watch.
    pub fn clear_rollback(&self, key: &Key) -> anyhow::Result<()> {
        self.clear(&self.rollbacks_folder(), key)?;
        self.tell_of_rollbacks();
        Ok(())
    }

    /// A watch that misses this sees the change before its next decision.
    fn tell_of_rollbacks(&self) {
        self.ring().inspect_err(|error| tracing::debug!(%error, "the watch was not told of the rollback")).ok();
    }

    /// Saves the intent of an update that is about to be sent, durably.
    pub fn save_intent(&self, key: &Key, intent: &UpdateIntent) -> anyhow::Result<()> {
        self.save_signed(&self.intents_folder(), key, intent)
    }

    /// The updates with unknown results. Skips and logs unusable files.
    #[must_use]
    pub fn intents(&self) -> BTreeMap<Key, UpdateIntent> {
        self.all_signed(&self.intents_folder())
    }

    /// Clears an intent: the result of the update is known.
    pub fn clear_intent(&self, key: &Key) -> anyhow::Result<()> {
        self.clear(&self.intents_folder(), key)
    }

    fn rollbacks_folder(&self) -> PathBuf {
        self.path.join(ROLLBACKS).join(&self.server)
    }

    fn intents_folder(&self) -> PathBuf {
        self.path.join(INTENTS).join(&self.server)
    }

    fn save_signed(&self, folder: &Path, key: &Key, value: &impl Serialize) -> anyhow::Result<()> {
        let path = folder.join(name(key));
        let owner = self.made().with_context(|| format!("writing `{}`", slashed(&path)))?;
        self.write(&path, &serde_json::to_vec(&Signed::new(&owner, value))?, Lasting::Synced)
    }

    fn all_signed<T: DeserializeOwned>(&self, folder: &Path) -> BTreeMap<Key, T> {
        let Some(owner) = self.owner() else { return BTreeMap::new() };
        let keys = self.entries(folder).filter_map(|entry| Some((key(entry.file_name().to_str()?)?, entry.path())));
        keys.filter_map(|(key, path)| Some((key, self.read_signed(&path, &owner, LARGEST)?))).collect()
    }

    pub(super) fn read_signed<T: DeserializeOwned>(&self, path: &Path, owner: &Owner, most: u64) -> Option<T> {
        let cause = match self.read(path, most) {
            Ok(bytes) => match serde_json::from_slice::<Signed<T>>(&bytes) {
                Ok(signed) if owner.wrote(signed.state.as_deref()) => return Some(signed.value),
                Ok(_) => format!("it {NOT_OURS}"),
                Err(error) => error.to_string(),
            },
            // Another process has just cleared it.
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
        };
        tracing::error!("cannot use `{}`: {cause}", slashed(&path));
        None
    }

    fn clear(&self, folder: &Path, key: &Key) -> anyhow::Result<()> {
        let path = folder.join(name(key));
        self.remove(&path).with_context(|| format!("removing `{}`", slashed(&path)))
    }
}

impl State {
    /// Whether the rollbacks may have changed since this was last asked. The first time, whether there are any.
    pub fn rollbacks_changed(&mut self) -> bool {
        let folder = self.folder.rollbacks_folder();
        has_changed(&folder, &mut self.rollbacks_seen)
    }
}

/// Whether a folder has changed since it was `seen`. The first time, whether it is there.
pub(super) fn has_changed(folder: &Path, seen: &mut Option<SystemTime>) -> bool {
    let Ok(metadata) = folder.symlink_metadata() else { return seen.take().is_some() };
    let modified = metadata.modified().ok();
    let changed = modified.is_none() || modified != *seen;
    // A later change within the same tick of the clock would be missed.
    let settled = age(&metadata).is_none_or(|age| age > ONE_TICK);
    *seen = modified.filter(|_| settled);
    changed
}

/// An intent or rollback, with the id of the state folder that it was written in.
#[derive(Serialize, Deserialize)]
pub(super) struct Signed<T> {
    state: Option<String>,
    #[serde(flatten)]
    value: T,
}

impl<T> Signed<T> {
    pub(super) fn new(owner: &Owner, value: T) -> Self {
        Self { state: Some(owner.id.clone()), value }
    }
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
    #![expect(clippy::disallowed_methods, reason = "the tests damage and plant files")]

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
    fn a_rollback_and_its_end_wake_the_watch() {
        let temporary = tempfile::tempdir().unwrap();
        let mut state = State::open(temporary.path().join("state"), "http://h").unwrap();
        let (beside, bell, [function, ..]) = (state.folder(), state.bell(), keys());
        beside.save_rollback(&function, &rollback(None)).unwrap();
        std::fs::remove_file(&bell).unwrap();
        beside.clear_rollback(&function).unwrap();
        assert!(bell.exists());
    }

    #[test]
    fn an_intent_is_there_until_it_is_cleared() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("state"), "http://h");
        assert!(folder.rollbacks().is_empty() && folder.intents().is_empty());
        let [function, tool, umlaut] = keys();
        folder.clear_rollback(&tool).unwrap();
        for key in keys() {
            folder.save_rollback(&key, &rollback(None)).unwrap();
        }
        folder.save_rollback(&tool, &rollback(Some("local"))).unwrap();
        folder.clear_rollback(&function).unwrap();
        assert_eq!(folder.rollbacks(), BTreeMap::from([(tool, rollback(Some("local"))), (umlaut, rollback(None))]));
        let intent =
            UpdateIntent { ours: vec![Digest::of(b"new")], replaced: Some(Digest::of(b"old")), was_active: true };
        folder.save_intent(&function, &intent).unwrap();
        assert_eq!(folder.intents(), BTreeMap::from([(function.clone(), intent)]));
        // Each server has its own.
        let other = Folder::new(temporary.path().join("state"), "http://other");
        assert!(other.rollbacks().is_empty() && other.intents().is_empty());
        folder.clear_intent(&function).unwrap();
        assert!(folder.intents().is_empty());
    }

    #[test]
    fn a_damaged_rollback_is_skipped() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().to_owned(), "http://h");
        let [function, tool, _] = keys();
        folder.save_rollback(&function, &rollback(None)).unwrap();
        let notes = temporary.path().join("rollbacks/h");
        let whole = fs::read(notes.join("function-clock.json")).unwrap();
        for name in ["tool-clock.json", "tool-x-y.json", "pipe-x.json", "tool-.json", "readme", ".tmp123"] {
            fs::write(notes.join(name), if name == "tool-clock.json" { &whole[1..] } else { &whole[..] }).unwrap();
        }
        fs::create_dir(notes.join("tool-folder.json")).unwrap();
        fs::write(notes.join("tool-large.json"), [whole, b" ".repeat(64 * 1024)].concat()).unwrap();
        assert_eq!(folder.rollbacks().into_keys().collect::<Vec<_>>(), std::slice::from_ref(&function));
        folder.clear_rollback(&tool).unwrap();
        assert!(!notes.join("tool-clock.json").exists());
    }

    /// A pull of someone else's commits may bring one.
    #[test]
    fn a_planted_rollback_is_skipped() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().to_owned(), "http://h");
        let [function, tool, _] = keys();
        folder.save_rollback(&function, &rollback(None)).unwrap();
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
    fn a_daemon_sees_that_another_process_saved_a_rollback() {
        let temporary = tempfile::tempdir().unwrap();
        let mut state = State::open(temporary.path().to_owned(), "http://h").unwrap();
        assert!(!state.rollbacks_changed(), "there is none");
        let beside = Folder::new(temporary.path().to_owned(), "http://h");
        let [function, tool, _] = keys();
        let settle = |minutes| {
            let mut options = fs::File::options();
            options.read(true);
            // Windows opens a folder only with `FILE_FLAG_BACKUP_SEMANTICS`, and sets its times only with
            // `FILE_WRITE_ATTRIBUTES`.
            #[cfg(windows)]
            std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, 0x0200_0000);
            #[cfg(windows)]
            std::os::windows::fs::OpenOptionsExt::access_mode(&mut options, 0x0100);
            let folder = options.open(temporary.path().join("rollbacks/h")).unwrap();
            let then = std::time::SystemTime::now() - std::time::Duration::from_mins(minutes);
            folder.set_modified(then).unwrap();
        };
        beside.save_rollback(&function, &rollback(None)).unwrap();
        assert!(state.rollbacks_changed());
        assert!(state.rollbacks_changed(), "another may follow in the same moment");
        settle(2);
        assert!(state.rollbacks_changed());
        assert!(!state.rollbacks_changed());
        beside.save_rollback(&tool, &rollback(None)).unwrap();
        assert!(state.rollbacks_changed());
        settle(1);
        assert!(state.rollbacks_changed() && !state.rollbacks_changed());
        fs::remove_dir_all(temporary.path().join(ROLLBACKS)).unwrap();
        assert!(state.rollbacks_changed() && !state.rollbacks_changed());
    }

    #[cfg(unix)]
    #[test]
    fn rollbacks_and_copies_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("state");
        let folder = Folder::new(path.clone(), "http://h");
        let [function, ..] = keys();
        folder.save_rollback(&function, &rollback(None)).unwrap();
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
