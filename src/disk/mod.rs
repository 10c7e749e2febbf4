//! The disk: finds files (`walk`), reads them (`read`), and keeps our own (`state`).

mod age;
pub mod file;
mod git_folder;
mod ignore_rules;
mod mounts;
mod read;
mod scan_cache;
mod state;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::engine::Scan;
use crate::engine::files::{FilePresence, Links, Loaded};
use crate::paths::{canonical, is_under, those_under};
use crate::plugin::FileSettings;

use ignore_rules::MOST_PATTERNS;
pub use mounts::network_file_system;
pub use read::Trust;
use read::{OnPlugin, is_closed, unlisted};
pub use scan_cache::ScanCache;
pub use state::{Answer, Copy, Done, Folder, Origin, Other, Request, RequestId, Requested, State, StateError, Told};

/// Finds and reads the plugins under the roots.
pub struct Plugins {
    roots: Vec<PathBuf>,
    exclude: Gitignore,
    /// Our own folders, as the walk spells them. They hold copies of plugins, so the walk skips them.
    ours: Vec<PathBuf>,
    settings: BTreeMap<PathBuf, FileSettings>,
    where_links_lead: Links,
    /// The files that the walk admits. An event about one of them needs no check of the ignore rules.
    admitted: BTreeSet<Arc<Path>>,
    /// The links among them.
    links: BTreeSet<Arc<Path>>,
    /// Files and folders that could not be read.
    closed: BTreeSet<Arc<Path>>,
    /// The folders that the roots must stay in, even through links; empty for no limit.
    bounds: Vec<PathBuf>,
    /// The roots outside these bounds at the last scan, with their targets.
    strayed: BTreeMap<PathBuf, PathBuf>,
    /// The roots that were missing at the last scan.
    missing: Vec<PathBuf>,
    /// The git locks of the repositories around the roots.
    git_locks: BTreeSet<PathBuf>,
}

impl Plugins {
    /// Reads nothing yet. `exclude` are globs as in `.gitignore`, relative to each root. `state` is the state folder,
    /// which the walk always skips.
    pub fn new(
        roots: Vec<PathBuf>,
        exclude: &[String],
        state: &Path,
        settings: BTreeMap<PathBuf, FileSettings>,
        links: Links,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(exclude.len() <= MOST_PATTERNS, "`exclude` has more than {MOST_PATTERNS} globs");
        let mut builder = GitignoreBuilder::new("");
        for glob in exclude {
            builder.add_line(None, glob).with_context(|| format!("`exclude` has an invalid glob: `{glob}`"))?;
        }
        let exclude = builder.build().context("building the `exclude` globs")?;
        let ours = roots.iter().flat_map(|root| state::folders_under(state, root)).collect();
        let mut plugins = Self {
            roots,
            exclude,
            ours,
            settings,
            where_links_lead: links,
            admitted: BTreeSet::new(),
            links: BTreeSet::new(),
            closed: BTreeSet::new(),
            bounds: Vec::new(),
            strayed: BTreeMap::new(),
            missing: Vec::new(),
            git_locks: BTreeSet::new(),
        };
        plugins.find_git();
        Ok(plugins)
    }

    /// Limits the roots to these folders.
    #[must_use]
    pub fn within(self, bounds: &[PathBuf]) -> Self {
        let here = |bound: &PathBuf| if bound.as_os_str().is_empty() { PathBuf::from(".") } else { bound.clone() };
        let real = |bound: PathBuf| canonical(&bound).unwrap_or(bound);
        Self { bounds: bounds.iter().map(here).map(real).collect(), ..self }
    }

    /// The roots outside their bounds at the last scan, with their targets.
    #[must_use]
    pub fn strayed(&self) -> &BTreeMap<PathBuf, PathBuf> {
        &self.strayed
    }

    /// The target of a root, if that is outside its bounds.
    fn strays(&self, root: &Path) -> Option<PathBuf> {
        if self.bounds.is_empty() {
            return None;
        }
        let real = canonical(root).ok()?;
        (!self.bounds.iter().any(|bound| real.starts_with(bound))).then_some(real)
    }

    /// Walks the roots and reads, on all cores, every file that is not in the cache `seen`, and updates the cache.
    /// `on_folder` gets each admitted folder before its final listing, so that a watch set there misses nothing.
    pub fn scan(&mut self, trust: Trust, seen: &mut ScanCache, on_folder: &mut dyn FnMut(&Path)) -> Scan {
        self.scan_and(trust, seen, on_folder, &|_, _| ())
    }

    /// Like [`Plugins::scan`]. `on_plugin` sees each plugin that is not in the cache.
    pub fn scan_and(
        &mut self,
        trust: Trust,
        seen: &mut ScanCache,
        on_folder: &mut dyn FnMut(&Path),
        on_plugin: OnPlugin<'_>,
    ) -> Scan {
        self.admitted.clear();
        self.links.clear();
        self.closed.clear();
        // New roots may have brought a repository.
        self.find_git();
        let strayed = self.roots.iter().filter_map(|root| Some((root.clone(), self.strays(root)?)));
        self.strayed = strayed.collect();
        let is_usable = |root: &PathBuf| root.is_dir() && !self.strayed.contains_key(root);
        let (present, missing): (Vec<_>, Vec<_>) = self.roots.iter().cloned().partition(is_usable);
        let present = present.into_iter().collect();
        self.missing.clone_from(&missing);
        let mut unreadable = Vec::new();
        let found = self.explore(&present, on_folder, &mut unreadable);
        let read = self.read_all(&found, trust, seen, on_plugin);
        let (mut files, mut now_seen) = (Vec::with_capacity(found.len()), ScanCache::default());
        now_seen.changed = read.iter().filter(|read| read.is_none()).count() != seen.len();
        for (path, read) in found.into_iter().zip(read) {
            now_seen.changed |= matches!(read, Some((_, Some(_))));
            let (loaded, entry) = read.unwrap_or_else(|| seen.take(&path));
            if let Some(entry) = entry {
                now_seen.put(&path, entry);
            }
            files.push((path, loaded));
        }
        *seen = now_seen;
        files.extend(unreadable);
        self.closed.extend(files.iter().filter(|(_, loaded)| is_closed(loaded)).map(|(path, _)| Arc::clone(path)));
        Scan { files, missing }
    }

    /// The links among the files.
    #[must_use]
    pub fn links(&self) -> &BTreeSet<Arc<Path>> {
        &self.links
    }

    /// Whether a root disappeared since the last scan.
    #[must_use]
    pub fn has_lost_root(&self) -> bool {
        let is_lost = |root: &PathBuf| !root.is_dir() || self.strays(root).is_some();
        self.roots.iter().any(|root| !self.missing.contains(root) && is_lost(root))
    }

    /// Whether a file or folder could not be read.
    #[must_use]
    pub fn is_closed(&self, path: &Path) -> bool {
        self.closed.contains(path)
    }

    /// The admitted files in a folder.
    pub fn files_in<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = Arc<Path>> + 'a {
        those_under(&self.admitted, folder).cloned()
    }

    /// Reads one path. A path that the walk would not find is [`Loaded::Missing`].
    pub fn read(&mut self, path: &Arc<Path>, trust: Trust) -> Loaded {
        self.admit_all(std::iter::once(path));
        let has_strayed = self.roots.iter().any(|root| is_under(path, root) && self.strays(root).is_some());
        let loaded = if self.admitted.contains(path) && !has_strayed {
            self.load(path, trust, &|_, _| ())
        } else if let (true, Err(error)) = (self.closed.contains(path), path.read_dir()) {
            unlisted(path, &error)
        } else {
            Loaded::Missing
        };
        if loaded == Loaded::Missing {
            self.admitted.remove(path);
            self.links.remove(path);
        }
        if is_closed(&loaded) {
            self.closed.insert(Arc::clone(path));
        } else {
            self.closed.remove(path);
        }
        loaded
    }

    /// What is at the path of a file that seems to be gone.
    #[must_use]
    pub fn trace(&self, path: &Path) -> FilePresence {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.symlink_metadata().is_ok() {
            FilePresence::File
        } else if folder.is_dir() {
            FilePresence::Folder
        } else {
            FilePresence::Nothing
        }
    }
}

#[cfg(test)]
mod tests;
