//! A cache of the last scan, so that unchanged files are not read and parsed again: with ten thousand files, that would
//! dominate the start.
//!
//! A file is unchanged if its size, inode, mtime and ctime are the same; programs cannot set the ctime. A file that
//! changed just before it was read is not cached: it may change again within the same clock tick of the file system.
//! Files with diagnostics are not cached either, since each start must report these.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::state::Folder;
use crate::engine::files::Loaded;
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::{Digest, Entry, FileSettings, Key, Parsed, Plugin, id::PluginId};
use crate::whole_file::Lasting;

/// Enough for a hundred thousand files.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The coarsest clock of any known file system.
const TICK: Duration = Duration::from_secs(2);

/// The cache entries by path.
#[derive(Debug, Default)]
pub struct ScanCache {
    files: BTreeMap<PathBuf, CacheEntry>,
    /// Whether the entries differ from those on disk.
    pub(super) changed: bool,
    /// Deployed texts, which need not stay in memory.
    deployed: BTreeMap<Key, Digest>,
}

/// The cached result for a file with this stat and these settings.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CacheEntry {
    stat: Stat,
    settings: FileSettings,
    /// `None` if the file is not a plugin.
    plugin: Option<CachedPlugin>,
}

/// A plugin without its text.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct CachedPlugin {
    id: PluginId,
    entry: Entry,
    digest: Digest,
    frontmatter: Frontmatter,
}

/// The metadata that identifies an unchanged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stat {
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl ScanCache {
    pub(super) fn put(&mut self, path: &Path, entry: CacheEntry) {
        self.files.insert(path.to_owned(), entry);
    }

    /// Marks texts as deployed.
    pub fn deployed<'a>(&mut self, texts: impl IntoIterator<Item = (&'a Key, Digest)>) {
        self.deployed = texts.into_iter().map(|(key, digest)| (key.clone(), digest)).collect();
    }

    /// Drops the text of a plugin that is deployed.
    pub(super) fn without_text(&self, loaded: Loaded) -> Loaded {
        match loaded {
            Loaded::Parsed(Parsed::Plugin(mut plugin)) if self.deployed.get(&plugin.key) == Some(&plugin.digest) => {
                Arc::make_mut(&mut plugin).drop_text();
                Loaded::Parsed(Parsed::Plugin(plugin))
            }
            loaded => loaded,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether the cache must be saved.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// Whether a file is unchanged.
    pub(super) fn has(&self, path: &Path, stat: Stat, settings: &FileSettings) -> bool {
        self.files.get(path).is_some_and(|entry| entry.stat == stat && entry.settings == *settings)
    }

    /// Moves out the entry of an unchanged file. A copy would raise the process's peak memory.
    pub(super) fn take(&mut self, path: &Arc<Path>) -> (Loaded, Option<CacheEntry>) {
        let entry = self.files.remove(&**path);
        (entry.as_ref().map_or(Loaded::Missing, |entry| entry.loaded(path)), entry)
    }
}

impl CacheEntry {
    /// The entry for a file that was read; `None` if it is not cached.
    pub(super) fn of(loaded: &Loaded, stat: Stat, settings: FileSettings) -> Option<Self> {
        let plugin = match loaded {
            Loaded::Parsed(Parsed::NotAPlugin) => None,
            Loaded::Parsed(Parsed::Plugin(plugin)) if plugin.warnings.is_empty() => Some(CachedPlugin {
                id: plugin.key.id.clone(),
                entry: plugin.entry,
                digest: plugin.digest,
                frontmatter: plugin.frontmatter.clone(),
            }),
            _ => return None,
        };
        Some(Self { stat, settings, plugin })
    }

    pub(super) fn loaded(&self, path: &Arc<Path>) -> Loaded {
        Loaded::Parsed(self.plugin.as_ref().map_or(Parsed::NotAPlugin, |cached| {
            Parsed::Plugin(Arc::new(Plugin {
                path: Arc::clone(path),
                key: Key { kind: cached.entry.kind(), id: cached.id.clone() },
                entry: cached.entry,
                frontmatter: cached.frontmatter.clone(),
                text: Arc::from(""),
                digest: cached.digest,
                warnings: Vec::new(),
            }))
        }))
    }
}

impl Stat {
    /// The stat of a regular file, where the system provides it.
    #[cfg(unix)]
    pub(super) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &Path) -> Option<Self> {
        None
    }

    /// Whether a later change would alter the stat.
    #[expect(clippy::disallowed_methods, reason = "a file's time is compared with the system's clock")]
    pub(super) fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let before =
            |(seconds, _): (i64, i64)| u64::try_from(seconds).is_ok_and(|at| at + TICK.as_secs() < now.as_secs());
        before(self.modified) && before(self.changed)
    }
}

/// The cache on disk.
#[derive(Serialize, Deserialize)]
struct CacheFile<S> {
    /// Another version may parse the same file differently.
    program: String,
    files: BTreeMap<PathBuf, S>,
}

impl Folder {
    /// The cache of the previous run; empty if that was another version.
    #[must_use]
    pub fn seen(&self) -> ScanCache {
        let bytes = self.owner().and_then(|_| self.read(&self.seen_file(), LARGEST).ok());
        let file: Option<CacheFile<CacheEntry>> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        file.filter(|file| file.program == program())
            .map_or_else(ScanCache::default, |file| ScanCache { files: file.files, ..ScanCache::default() })
    }

    /// Saves the cache. Without it the next start is slower.
    pub fn write_seen(&self, seen: &ScanCache) -> anyhow::Result<()> {
        let files = seen.files.iter().filter(|(path, _)| path.to_str().is_some());
        let file = CacheFile { program: program(), files: files.map(|(path, entry)| (path.clone(), entry)).collect() };
        self.write(&self.seen_file(), &serde_json::to_vec(&file)?, Lasting::Written)
    }

    fn seen_file(&self) -> PathBuf {
        self.path.join("seen.json")
    }
}

/// The exact build of this program.
fn program() -> String {
    let built = std::env::current_exe().ok().and_then(|path| Stat::of(&path));
    let built =
        built.map_or_else(String::new, |stat| format!(" {} {}.{}", stat.size, stat.modified.0, stat.modified.1));
    format!("{}{built}", env!("CARGO_PKG_VERSION"))
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests write the files that are to be seen")]

    use std::fs::{self, File};

    use super::*;
    use crate::plugin;

    fn plugin(path: &Path, text: &str) -> Loaded {
        Loaded::Parsed(plugin::parse(&Arc::from(path), text.as_bytes(), &FileSettings::default()))
    }

    #[test]
    fn cached_files_are_known_until_they_change() {
        let temporary = tempfile::tempdir().unwrap();
        let (path, text) = (temporary.path().join("a.py"), "\"\"\"\ntitle: A\n\"\"\"\nclass Tools:\n    pass\n");
        fs::write(&path, text).unwrap();
        let (stat, settings) = (Stat::of(&path).unwrap(), FileSettings::default());
        assert!(!stat.is_settled(), "it was written a moment ago");
        let mut seen = ScanCache::default();
        seen.put(&path, CacheEntry::of(&plugin(&path, text), stat, settings.clone()).unwrap());
        let folder = Folder::new(temporary.path().join("state"), "http://h");
        assert_eq!(folder.seen().len(), 0);
        folder.write_seen(&seen).unwrap();
        assert_eq!(folder.seen().files, seen.files);

        let Loaded::Parsed(Parsed::Plugin(mut whole)) = plugin(&path, text) else { panic!() };
        Arc::make_mut(&mut whole).drop_text();
        assert!(seen.has(&path, stat, &settings));
        let other = FileSettings { id: Some("b".to_owned()), ..FileSettings::default() };
        assert!(!seen.has(&path, stat, &other));
        // Same size and mtime: the ctime tells.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        loop {
            fs::write(&path, text.replace('A', "B")).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            let now = Stat::of(&path).unwrap();
            assert_eq!((now.size, now.modified), (stat.size, stat.modified));
            // Within one clock tick the ctime may be the same.
            if now.changed != stat.changed {
                assert!(!seen.has(&path, now, &settings));
                break;
            }
        }
        let (loaded, entry) = seen.take(&Arc::from(&*path));
        assert_eq!(loaded, Loaded::Parsed(Parsed::Plugin(whole)));
        assert!(entry.is_some() && seen.len() == 0);
    }

    #[test]
    fn files_with_diagnostics_are_read_again() {
        let path = Path::new("a.py");
        let stat = Stat { size: 1, inode: 1, modified: (1, 0), changed: (1, 0) };
        assert!(stat.is_settled());
        let remembered = |loaded: &Loaded| CacheEntry::of(loaded, stat, FileSettings::default()).is_some();
        assert!(remembered(&plugin(path, "class Pipe: pass\n")));
        assert!(remembered(&plugin(path, "import os\n")));
        assert!(!remembered(&plugin(path, "class Pipe: pass\nfrom configparser import ConfigParser\n")));
        assert!(!remembered(&plugin(path, "class Pipe(:\n")));
        assert!(!remembered(&plugin(path, "")));
        assert!(!remembered(&Loaded::Missing) && !remembered(&Loaded::Unsettled));
    }
}
