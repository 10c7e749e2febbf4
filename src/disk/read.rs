//! Reads plugin files: all files of a walk on all cores, or one file. Files being written and links that lead outside
//! do not count as plugins.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read as _};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use super::Plugins;
use super::age::age;
use super::scan_cache::{CacheEntry, ScanCache, Stat};
use crate::engine::files::{Links, Loaded};
use crate::paths::{ProjectPath, canonical, is_under, slashed};
use crate::plugin::{self, FileSettings, Invalid, Parsed, Plugin, Rule, Syntax};
use crate::regular_file::{self, Rejection};

/// Larger files are not read. The largest known plugin has 0.4 MiB.
pub(super) const LARGEST_MIB: u64 = 16;

/// How far a file's completeness can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The kernel reported that the writer is done.
    Closed,
    /// The kernel does not report that: a file is complete when it was not written for this long.
    Quiet(Duration),
}

impl Plugins {
    pub(super) fn read_all(
        &self,
        paths: &[Arc<Path>],
        trust: Trust,
        seen: &ScanCache,
        on_plugin: OnPlugin<'_>,
    ) -> Vec<Look> {
        // Each thread takes the next file when it is free, since large files often stand together.
        let next = AtomicUsize::new(0);
        let take = || {
            let n = next.fetch_add(1, Ordering::Relaxed);
            paths.get(n).map(|path| (n, path))
        };
        let read = || -> Vec<_> {
            std::iter::from_fn(take).map(|(n, path)| (n, self.look(path, trust, seen, on_plugin))).collect()
        };
        let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(paths.len());
        let mut looks: Vec<_> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..n_threads).map(|_| scope.spawn(read)).collect();
            let mine = read();
            // A panic in a thread must not pass for missing files.
            let join = |reader: ScopedJoinHandle<'_, _>| reader.join().unwrap_or_else(|panic| resume_unwind(panic));
            others.into_iter().flat_map(join).chain(mine).collect()
        });
        looks.sort_unstable_by_key(|(n, _)| *n);
        looks.into_iter().map(|(_, look)| look).collect()
    }

    /// Reads a file that the walk has just found, unless the cache is current.
    fn look(&self, path: &Arc<Path>, trust: Trust, seen: &ScanCache, on_plugin: OnPlugin<'_>) -> Look {
        let settings = self.settings.get(&**path).cloned().unwrap_or_default();
        let stat = if self.links.contains(path) || settings.enabled == Some(false) { None } else { Stat::of(path) };
        let Some(stat) = stat.filter(Stat::is_settled) else {
            return Some((seen.without_text(self.load(path, trust, on_plugin)), None));
        };
        if seen.has(path, stat, &settings) {
            return None;
        }
        if self.is_behind_a_link(path) {
            return Some((Loaded::Missing, None));
        }
        // It was a regular file, not a link, a moment ago.
        let loaded = seen.without_text(loaded(path, read_whole(path, trust), &settings, on_plugin));
        // If the file changed while it was read, its stat differs now.
        let entry = if Stat::of(path) == Some(stat) { CacheEntry::of(&loaded, stat, settings) } else { None };
        Some((loaded, entry))
    }

    pub(super) fn load(&self, path: &Arc<Path>, trust: Trust, on_plugin: OnPlugin<'_>) -> Loaded {
        let settings = self.settings.get(&**path).cloned().unwrap_or_default();
        if settings.enabled == Some(false) {
            return Loaded::Parsed(Parsed::Disabled);
        }
        if self.is_behind_a_link(path) {
            return Loaded::Missing;
        }
        if has_another_name(path) {
            return Loaded::Missing;
        }
        if let Some(loaded) = self.follow_link(path) {
            return loaded;
        }
        loaded(path, read_whole(path, trust), &settings, on_plugin)
    }

    /// Whether a parent folder is a link. The walk follows none, but one may have replaced a folder since.
    fn is_behind_a_link(&self, path: &Path) -> bool {
        let Some(root) = self.roots.iter().find(|root| is_under(path, root)) else { return false };
        let mut folders =
            path.ancestors().skip(1).take_while(|folder| *folder != root.as_path() && !folder.as_os_str().is_empty());
        folders.any(Path::is_symlink)
    }

    /// A link counts only if the walk does not find its target, and the target is inside the roots or allowed by the
    /// user.
    fn follow_link(&self, path: &Arc<Path>) -> Option<Loaded> {
        if !path.is_symlink() {
            return None;
        }
        let target = || path.read_link().map(|target| slashed(&target)).unwrap_or_default();
        let Ok(real) = canonical(path) else { return Some(invalid(path, Rule::DanglingLink(target()))) };
        let inside = self.roots.iter().find_map(|root| ProjectPath::new(root).ok()?.show(&real));
        match inside {
            None if self.where_links_lead == Links::Anywhere => None,
            None => Some(invalid(path, Rule::LinkOutside(target()))),
            Some(original) if original != **path && self.admitted.contains(&*original) => {
                Some(Loaded::SameFile(original))
            }
            Some(_) => None,
        }
    }
}

/// Sees each plugin that is read, with its syntax tree, on the thread that read it.
pub(super) type OnPlugin<'a> = &'a (dyn Fn(&Plugin, &Syntax) + Sync);

/// Whether the file's real name differs from this path in case only, as `A.py` from `a.py`. Where case does not matter,
/// the system opens it under both names, and after such a rename it would count as two files.
fn has_another_name(path: &Path) -> bool {
    // Where case matters, a path cannot name another file.
    if cfg!(target_os = "linux") || path.is_symlink() {
        return false;
    }
    let lower = |name: &OsStr| name.to_string_lossy().to_lowercase();
    let is_other = |there: &OsStr, asked: &OsStr| there != asked && lower(there) == lower(asked);
    canonical(path).is_ok_and(|there| there.file_name().zip(path.file_name()).is_some_and(|(a, b)| is_other(a, b)))
}

/// A scanned file and its new cache entry; `None` if the cached entry is current.
pub(super) type Look = Option<(Loaded, Option<CacheEntry>)>;

fn loaded(path: &Arc<Path>, read: std::io::Result<Whole>, settings: &FileSettings, on_plugin: OnPlugin<'_>) -> Loaded {
    match read {
        Ok(Whole::Bytes(bytes)) => Loaded::Parsed(plugin::parse_and(path, &bytes, settings, on_plugin)),
        Ok(Whole::TooLarge) => invalid(path, Rule::TooLarge(LARGEST_MIB)),
        Ok(Whole::Unsettled) => Loaded::Unsettled,
        Ok(Whole::NoFile) => Loaded::Missing,
        Err(error) if error.kind() == ErrorKind::NotFound => Loaded::Missing,
        Err(error) => invalid(path, Rule::Unreadable(error.to_string())),
    }
}

/// The result for a folder that could not be listed.
pub(super) fn unlisted(path: &Arc<Path>, error: &std::io::Error) -> Loaded {
    match error.kind() {
        ErrorKind::PermissionDenied => invalid(path, Rule::UnreadableFolder(error.kind().to_string())),
        _ => Loaded::Missing,
    }
}

pub(super) fn is_closed(loaded: &Loaded) -> bool {
    let Loaded::Parsed(Parsed::Invalid(invalid)) = loaded else { return false };
    invalid.rules().any(|rule| matches!(rule, Rule::Unreadable(_)) || rule.is_of_folder())
}

pub(super) fn invalid(path: &Arc<Path>, rule: Rule) -> Loaded {
    Loaded::Parsed(Parsed::Invalid(Invalid::unread(path, rule)))
}

/// The result of reading a file.
pub(super) enum Whole {
    Bytes(Vec<u8>),
    TooLarge,
    /// It changed during the read, or just before.
    Unsettled,
    /// A folder, a pipe, a device.
    NoFile,
}

/// Reads a file, and checks before and after whether it is being written.
pub(super) fn read_whole(path: &Path, trust: Trust) -> std::io::Result<Whole> {
    let mut file = match regular_file::open(path) {
        Err(error) if Rejection::of(&error) == Some(Rejection::NotRegular) => return Ok(Whole::NoFile),
        opened => opened?,
    };
    let before = file.metadata()?;
    if before.len() > LARGEST_MIB * 1024 * 1024 {
        return Ok(Whole::TooLarge);
    }
    if let Trust::Quiet(quiet) = trust
        && age(&before).is_some_and(|age| age < quiet)
    {
        return Ok(Whole::Unsettled);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or_default() + 1);
    file.by_ref().take(LARGEST_MIB * 1024 * 1024 + 1).read_to_end(&mut bytes)?;
    let after = file.metadata()?;
    let same = before.len() == after.len() && before.modified()? == after.modified()?;
    let whole = same && u64::try_from(bytes.len()).is_ok_and(|length| length == after.len());
    Ok(if whole { Whole::Bytes(bytes) } else { Whole::Unsettled })
}
