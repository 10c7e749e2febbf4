//! Copies of a plugin's earlier texts: those that were deployed from here or found on the server, and those that were
//! replaced.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Folder;
use super::{BACKUPS, DEPLOYED};
use crate::disk::read::LARGEST_MIB;
use crate::engine::deploy::Backup;
use crate::paths::{slashed, unreserved};
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::{Digest, Key, kind, normal};
use crate::whole_file::Lasting;

/// The suffix of a local file's copy.
const LOCAL: &str = "-local";
/// The suffix of a text that was on the server without a deploy from here.
const FOUND: &str = "-found";
/// The suffix of a text that a rollback put back.
const RESTORED: &str = "-restored";

/// A server's text may be larger than a file may be, but not by much.
const MOST_BYTES: u64 = 4 * LARGEST_MIB * 1024 * 1024;

/// How many deployed texts are kept per plugin.
const MOST_DEPLOYED: usize = 100;

/// A copy of an earlier text of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Where the text was.
    pub origin: Origin,
    /// When it was saved.
    pub at: Timestamp,
    /// The digest of the text.
    pub digest: Digest,
    /// The version in its frontmatter.
    pub version: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// The text itself.
    pub text: String,
}

/// Where the text of a copy was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Deployed from here.
    Deployed,
    /// Put back from here by a rollback.
    Restored,
    /// On the server, where it counts as ours from then on.
    Found,
    /// On the server, put there by someone else and replaced.
    Replaced,
    /// In a local file, where the server's text replaced it.
    Local,
}

impl Folder {
    /// Durably saves a text that is about to be replaced, and returns the path of the copy. If the newest copy has the
    /// same text (the server refused to replace it), that copy is used.
    pub fn save_backup(&self, backup: &Backup, at: Timestamp) -> anyhow::Result<PathBuf> {
        if let Some(newest) = self.newest(&backup.key).filter(|newest| newest.is(Origin::Replaced, backup.digest))
            && self.read(&newest.path, MOST_BYTES).is_ok_and(|bytes| bytes == backup.text.as_bytes())
        {
            return Ok(newest.path);
        }
        let path = self.copy(BACKUPS, backup, at);
        self.write(&path, backup.text.as_bytes(), Lasting::Synced)?;
        Ok(path)
    }

    /// Saves a local file that is about to be replaced, durably. Its bytes need not be text.
    pub fn save_local_file(&self, key: &Key, bytes: &[u8], digest: Digest, at: Timestamp) -> anyhow::Result<PathBuf> {
        let name = key.kind.file_name(format_args!("{}-{}{LOCAL}", stamp(at), digest.short()));
        let path = self.copies_of(BACKUPS, key).join(name);
        self.write(&path, bytes, Lasting::Synced)?;
        Ok(path)
    }

    /// Saves a text that was deployed, unless the newest copy is of the same text. Deletes the oldest of too many
    /// copies.
    pub fn archive(&self, backup: &Backup, at: Timestamp) -> anyhow::Result<()> {
        if self.newest(&backup.key).is_some_and(|newest| newest.is(Origin::Deployed, backup.digest)) {
            return Ok(());
        }
        self.write(&self.copy(DEPLOYED, backup, at), backup.text.as_bytes(), Lasting::Written)?;
        self.remove_surplus(&backup.key)
    }

    /// Saves a text that a rollback put back.
    pub fn archive_restored(&self, backup: &Backup, at: Timestamp) -> anyhow::Result<()> {
        self.archive_as(RESTORED, backup, at)
    }

    /// Saves a text that the server held without a deploy from here, unless the newest copy is of the same text.
    pub fn archive_found(&self, backup: &Backup, at: Timestamp) -> anyhow::Result<()> {
        if self.newest(&backup.key).is_some_and(|newest| newest.digest == backup.digest.short()) {
            return Ok(());
        }
        self.archive_as(FOUND, backup, at)
    }

    fn archive_as(&self, suffix: &str, backup: &Backup, at: Timestamp) -> anyhow::Result<()> {
        let name = backup.key.kind.file_name(format_args!("{}-{}{suffix}", stamp(at), backup.digest.short()));
        let path = self.copies_of(DEPLOYED, &backup.key).join(name);
        self.write(&path, backup.text.as_bytes(), Lasting::Written)?;
        self.remove_surplus(&backup.key)
    }

    fn remove_surplus(&self, key: &Key) -> anyhow::Result<()> {
        let copies = self.listed_in(&self.copies_of(DEPLOYED, key), DEPLOYED);
        for old in &copies[..copies.len().saturating_sub(MOST_DEPLOYED)] {
            self.remove(&old.path)?;
        }
        Ok(())
    }

    /// The copies of a plugin's texts, oldest first. One that cannot be read is skipped and logged.
    #[must_use]
    pub fn copies(&self, key: &Key) -> Vec<Copy> {
        self.listed(key).into_iter().filter_map(|listed| self.read_copy(listed)).collect()
    }

    /// The same, with the copies of the user's files that another folder keeps; both may be one folder.
    #[must_use]
    pub fn copies_with_files(&self, of_files: &Folder, key: &Key) -> Vec<Copy> {
        let mut copies = self.copies(key);
        let is_new = |copy: &Copy| copy.origin == Origin::Local && !copies.iter().any(|known| known.path == copy.path);
        let more: Vec<_> = of_files.copies(key).into_iter().filter(is_new).collect();
        copies.extend(more);
        copies.sort_by_key(|copy| copy.at);
        copies
    }

    fn listed(&self, key: &Key) -> Vec<Listed> {
        // Copies that came with the folder were never deployed from here.
        if self.owner().is_none() {
            return Vec::new();
        }
        // If two copies have the same time, the replaced text is the older one.
        let mut files: Vec<_> =
            [BACKUPS, DEPLOYED].iter().flat_map(|name| self.listed_in(&self.copies_of(name, key), name)).collect();
        files.sort_by_key(|file| file.at);
        files
    }

    /// The newest copy of what was on the server.
    fn newest(&self, key: &Key) -> Option<Listed> {
        self.listed(key).into_iter().rfind(|file| file.origin != Origin::Local)
    }

    /// Whether there are copies of a plugin's texts.
    #[must_use]
    pub fn has_copies(&self, key: &Key) -> bool {
        self.owner().is_some() && [DEPLOYED, BACKUPS].iter().any(|name| self.copies_of(name, key).is_dir())
    }

    fn copy(&self, name: &str, backup: &Backup, at: Timestamp) -> PathBuf {
        let file = backup.key.kind.file_name(format_args!("{}-{}", stamp(at), backup.digest.short()));
        self.copies_of(name, &backup.key).join(file)
    }

    fn copies_of(&self, name: &str, key: &Key) -> PathBuf {
        self.path.join(name).join(&self.server).join(key.kind.word()).join(unreserved(key.id.as_str()))
    }

    /// The copies in a folder, oldest first. Files with other names are not ours.
    fn listed_in(&self, folder: &Path, name: &str) -> Vec<Listed> {
        let origin = if name == DEPLOYED { Origin::Deployed } else { Origin::Replaced };
        let mut copies: Vec<_> = self
            .entries(folder)
            .filter_map(|entry| {
                let path = entry.path();
                let (at, rest) = path.file_stem().filter(|_| kind::is_source(&path))?.to_str()?.split_once('-')?;
                let of = [(LOCAL, Origin::Local), (FOUND, Origin::Found), (RESTORED, Origin::Restored)];
                let of = of.into_iter().find_map(|(suffix, origin)| Some((rest.strip_suffix(suffix)?, origin)));
                let (digest, origin) = of.unwrap_or((rest, origin));
                Some(Listed { origin, at: at.parse().ok()?, digest: digest.to_owned(), path })
            })
            .collect();
        copies.sort_by_key(|copy| copy.at);
        copies
    }

    fn read_copy(&self, Listed { origin, at, path, .. }: Listed) -> Option<Copy> {
        let bytes = self.read(&path, MOST_BYTES);
        let text = bytes.and_then(|bytes| {
            String::from_utf8(bytes).map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error.utf8_error()))
        });
        let text = match text {
            Ok(text) => text,
            // Another process deleted it, as the oldest of too many.
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!("cannot read `{}`: {error}", slashed(&path));
                return None;
            }
        };
        let version = Frontmatter::parse(&normal::normal(&text)).version().map(str::to_owned);
        Some(Copy { origin, at, digest: Digest::of_text(&text), version, path, text })
    }
}

/// The time at which the name of a copy begins. A plugin never has two copies of one millisecond.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%S%.3fZ").to_string()
}

/// A copy by its name.
struct Listed {
    origin: Origin,
    at: Timestamp,
    /// The first digits of the digest.
    digest: String,
    path: PathBuf,
}

impl Listed {
    fn is(&self, origin: Origin, digest: Digest) -> bool {
        self.origin == origin && self.digest == digest.short()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests look at the files")]

    use std::fs;

    use super::*;
    use crate::plugin::{Kind, id::PluginId};

    fn key() -> Key {
        Key { kind: Kind::Tool, id: PluginId::new("clock").unwrap() }
    }

    fn backup(text: &str) -> Backup {
        Backup { key: key(), digest: Digest::of_text(text), text: text.to_owned() }
    }

    fn version(version: u32) -> String {
        format!("\"\"\"\nversion: {version}\n\"\"\"\nclass Tools: pass\n")
    }

    fn at(second: i64) -> Timestamp {
        "20260102T030000Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(second)
    }

    /// Oldest first, as `deployed 1`.
    fn told(folder: &Folder) -> Vec<String> {
        let copies = folder.copies(&key()).into_iter();
        copies.map(|copy| format!("{:?} {}", copy.origin, copy.version.as_deref().unwrap_or("none"))).collect()
    }

    #[test]
    fn a_copy_is_whole_and_named_by_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let state = Folder::new(folder.path().to_owned(), "http://h");
        let text = "class Pipe: pass\r\n".to_owned();
        let backup = Backup { key: key(), digest: crate::plugin::Digest::of_text(&text), text: text.clone() };
        let path = state.save_backup(&backup, at(245)).unwrap();
        let name = format!("backups/h/tool/clock/20260102T030405.000Z-{}.py", backup.digest.short());
        assert_eq!(path, folder.path().join(name));
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "unaltered, line ends and all");
        // Where a file is in the way, the error names the copy.
        fs::remove_dir_all(folder.path().join("backups")).unwrap();
        fs::write(folder.path().join("backups"), "").unwrap();
        let error = state.save_backup(&backup, at(0)).unwrap_err();
        assert!(format!("{error:#}").contains("backups/h/tool/clock/20260102T030000.000Z-"), "{error:#}");
    }

    #[test]
    fn copies_are_listed_in_the_order_of_time() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("state"), "http://h");
        assert!(folder.copies(&key()).is_empty() && !folder.has_copies(&key()));
        folder.archive(&backup(&version(1)), at(1)).unwrap();
        folder.save_backup(&backup(&version(2)), at(3)).unwrap();
        folder.archive(&backup(&version(3)), at(2)).unwrap();
        let digest = Digest::of_text(&version(4));
        let path = folder.save_local_file(&key(), version(4).as_bytes(), digest, at(4)).unwrap();
        assert_eq!(told(&folder), ["Deployed 1", "Deployed 3", "Replaced 2", "Local 4"]);
        let copies = folder.copies(&key());
        assert_eq!((copies[3].digest, &copies[3].path), (digest, &path));
        assert_eq!((copies[0].at.to_string().as_str(), &copies[0].text), ("2026-01-02T03:00:01Z", &version(1)));
        // A sandbox's folder goes with it, but not the copies of files.
        let sandbox = Folder::new(temporary.path().join("sandbox"), "http://h");
        sandbox.archive(&backup(&version(5)), at(5)).unwrap();
        for (folder, of_files, versions) in
            [(&sandbox, &folder, &["4", "5"][..]), (&folder, &folder, &["1", "3", "2", "4"])]
        {
            let copies = folder.copies_with_files(of_files, &key());
            assert_eq!(copies.iter().filter_map(|copy| copy.version.as_deref()).collect::<Vec<_>>(), versions);
        }
        // Of one kind and one id.
        let other = Key { kind: Kind::Function, ..key() };
        assert!(folder.copies(&other).is_empty() && !folder.has_copies(&other) && folder.has_copies(&key()));
        // And of one server: copies of one server are not for another.
        let elsewhere = Folder::new(temporary.path().join("state"), "http://other");
        assert!(elsewhere.copies(&key()).is_empty() && !elsewhere.has_copies(&key()));
        // Files that are not ours, or that are gone by now.
        let deployed = temporary.path().join("state/deployed/h/tool/clock");
        for name in ["notes.py", "20260102T030000Z.py", "20260102T030000Z-abc.txt", ".tmp123"] {
            fs::write(deployed.join(name), "").unwrap();
        }
        fs::write(deployed.join("20260102T030000Z-abc.py"), b"\xff").unwrap();
        assert_eq!(told(&folder).len(), 4);
    }

    #[test]
    fn a_text_is_archived_once_in_a_row() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().to_owned(), "http://h");
        for (second, number) in [1, 1, 2, 2, 1, 1].into_iter().enumerate() {
            folder.archive(&backup(&version(number)), at(i64::try_from(second).unwrap())).unwrap();
        }
        assert_eq!(told(&folder), ["Deployed 1", "Deployed 2", "Deployed 1"]);
    }

    #[test]
    fn what_the_server_held_is_no_deploy() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().to_owned(), "http://h");
        let (one, two) = (backup(&version(1)), backup(&version(2)));
        for second in 1..3 {
            folder.archive_found(&one, at(second)).unwrap();
        }
        folder.archive(&one, at(3)).unwrap();
        folder.archive_found(&one, at(4)).unwrap();
        folder.archive(&two, at(5)).unwrap();
        folder.archive_found(&one, at(6)).unwrap();
        assert_eq!(told(&folder), ["Found 1", "Deployed 1", "Deployed 2", "Found 1"]);
    }

    #[test]
    fn what_comes_in_between_makes_a_copy_worth_keeping_again() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().to_owned(), "http://h");
        let (ours, theirs) = (backup(&version(1)), backup(&version(2)));
        folder.archive(&ours, at(1)).unwrap();
        let path = folder.save_backup(&theirs, at(2)).unwrap();
        assert_eq!(folder.save_backup(&theirs, at(3)).unwrap(), path, "what was to take its place was refused");
        // The text that a pull replaced in a local file was never on the server.
        folder.save_local_file(&key(), b"x", Digest::of(b"x"), at(4)).unwrap();
        assert_eq!(folder.save_backup(&theirs, at(5)).unwrap(), path);
        // A damaged copy is skipped.
        fs::write(&path, "").unwrap();
        assert_ne!(folder.save_backup(&theirs, at(6)).unwrap(), path);
        fs::remove_file(&path).unwrap();
        folder.archive(&ours, at(7)).unwrap();
        folder.save_backup(&theirs, at(8)).unwrap();
        let expected = ["Deployed 1", "Local none", "Replaced 2", "Deployed 1", "Replaced 2"];
        assert_eq!(told(&folder), expected);
    }

    #[test]
    fn of_many_the_newest_are_kept() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().to_owned(), "http://h");
        for number in 0..120 {
            folder.archive(&backup(&version(number)), at(number.into())).unwrap();
        }
        let told = told(&folder);
        assert_eq!(told.len(), MOST_DEPLOYED);
        assert_eq!((told[0].as_str(), told[99].as_str()), ("Deployed 20", "Deployed 119"));
    }
}
