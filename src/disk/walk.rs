//! The walk: finds the folders and plugin files below the roots, by the ignore rules.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Plugins;
use super::age::age;
use super::ignore_rules::IgnoreRules;
use super::read::invalid;
use crate::engine::files::Loaded;
use crate::paths::{canonical, is_here, tidy};
use crate::plugin::{Rule, kind};

/// A folder is quiet if it has not changed for this long: far longer than a walk takes, and than the clocks of machines
/// that share a drive differ.
const QUIET: Duration = Duration::from_mins(1);

/// How often a scan repeats its walk while new folders appear. New folders in a watched folder send events.
const MOST_WALKS: usize = 4;

impl Plugins {
    /// Walks the folders that appeared under the roots, and returns their files. One walk for all, because each walk
    /// passes the siblings on the way.
    pub fn walk(&mut self, appeared: &[Arc<Path>], on_folder: &mut dyn FnMut(&Path)) -> Vec<Arc<Path>> {
        let folders: BTreeSet<_> =
            appeared.iter().filter(|path| path.is_dir()).map(|path| path.to_path_buf()).collect();
        if folders.is_empty() {
            return Vec::new();
        }
        let mut unreadable = Vec::new();
        let mut found = self.explore(&folders, on_folder, &mut unreadable);
        for (path, _) in unreadable {
            self.closed.insert(Arc::clone(&path));
            found.push(path);
        }
        found
    }

    /// Registers the paths that the walk admits, with one walk for all.
    pub fn admit_all<'a>(&mut self, paths: impl Iterator<Item = &'a Arc<Path>>) {
        let new: BTreeSet<_> =
            paths.filter(|path| !self.admitted.contains(*path)).map(|path| path.to_path_buf()).collect();
        if !new.is_empty() {
            let entries = self.entries(&new).collect();
            self.admit(entries, &mut Vec::new());
        }
    }

    pub(super) fn explore(
        &mut self,
        folders: &BTreeSet<PathBuf>,
        on_folder: &mut dyn FnMut(&Path),
        unreadable: &mut Vec<(Arc<Path>, Loaded)>,
    ) -> Vec<Arc<Path>> {
        let mut told = BTreeSet::new();
        // A file created after a folder was listed and before it was watched is in no list and sends no event. So list
        // everything again once the folders are watched.
        for _ in 0..MOST_WALKS {
            let entries: Vec<_> = self.entries(folders).collect();
            let n_told = told.len();
            for entry in &entries {
                if let Entry::Folder(folder) = entry
                    && told.insert(folder.clone())
                {
                    on_folder(folder);
                }
            }
            if told.len() == n_told || told.iter().all(|folder| is_quiet(folder)) {
                return self.admit(entries, unreadable);
            }
        }
        let entries = self.entries(folders).collect();
        self.admit(entries, unreadable)
    }

    /// Registers the entries of a walk, and returns the files.
    fn admit(&mut self, entries: Vec<Entry>, unreadable: &mut Vec<(Arc<Path>, Loaded)>) -> Vec<Arc<Path>> {
        let mut found = Vec::new();
        let mut add = |path: PathBuf, rule| {
            let path = Arc::from(path);
            let loaded = invalid(&path, rule);
            unreadable.push((path, loaded));
        };
        for entry in entries {
            match entry {
                Entry::Folder(_) => {}
                Entry::Unreadable(path, words) if path.is_dir() => add(path, Rule::UnreadableFolder(words)),
                Entry::Unreadable(path, words) => add(path, Rule::Unreadable(words)),
                Entry::Unruly(path, words) => add(path, Rule::IgnoreFile(words)),
                Entry::File { path, is_link } => {
                    let path: Arc<Path> = Arc::from(path);
                    self.admitted.insert(Arc::clone(&path));
                    if is_link {
                        self.links.insert(Arc::clone(&path));
                    }
                    found.push(path);
                }
            }
        }
        found
    }

    /// The entries at and below the targets. The walk starts at the roots, so that the rules above the targets apply,
    /// and enters only the folders on the way.
    fn entries(&self, targets: &BTreeSet<PathBuf>) -> impl Iterator<Item = Entry> + use<> {
        let targets = Arc::new(Targets::new(targets));
        let is_on_the_way = |root: &&PathBuf| targets.touch(root) && self.strays(root).is_none();
        let on_the_way: Vec<_> = self.roots.iter().filter(is_on_the_way).cloned().collect();
        let (exclude, ours) = (self.exclude.clone(), self.ours.clone());
        let rules = Arc::new(IgnoreRules::new());
        on_the_way.into_iter().flat_map(move |root| {
            let (exclude, ours, base) = (exclude.clone(), ours.clone(), root.clone());
            let (wanted, targets, rules) = (Arc::clone(&targets), Arc::clone(&targets), Arc::clone(&rules));
            // For a linked root, the rules above its target apply.
            let full = canonical(&root).unwrap_or_else(|_| root.clone());
            let unruly = Arc::new(Mutex::new(Vec::new()));
            let (found_unruly, unruly_root) = (Arc::clone(&unruly), rules.problem(&full));
            let mut builder = ignore::WalkBuilder::new(&root);
            builder.standard_filters(false).sort_by_file_name(Ord::cmp).filter_entry(move |entry| {
                let path = tidy(entry.path());
                let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
                let inside = path.strip_prefix(&base).unwrap_or(&path);
                let admitted = wanted.touch(&path)
                    && !ours.contains(&path)
                    && (inside.as_os_str().is_empty()
                        || !exclude.matched(inside, is_dir).is_ignore() && !rules.skips(&full.join(inside), is_dir));
                // Without its rules the folder cannot be walked.
                let problem = if admitted && is_dir { rules.problem(&full.join(inside)) } else { None };
                let is_ruly = problem.is_none();
                let problem = problem.map(|words| Entry::Unruly(path, words));
                found_unruly.lock().unwrap_or_else(PoisonError::into_inner).extend(problem);
                admitted && is_ruly
            });
            let walk = if unruly_root.is_none() { Some(builder.build()) } else { None };
            let unruly_root = unruly_root.map(|words| Entry::Unruly(root, words));
            let entries = walk.into_iter().flatten().filter_map(|entry| match entry {
                Ok(entry) => found(&entry),
                Err(error) => unreadable(&error),
            });
            let unruly = std::iter::from_fn(move || unruly.lock().unwrap_or_else(PoisonError::into_inner).pop());
            unruly_root.into_iter().chain(entries).chain(unruly).filter(move |entry| targets.hold(entry.path()))
        })
    }
}

/// The paths that a walk looks for.
struct Targets {
    whole: BTreeSet<PathBuf>,
    /// Their parent folders.
    around: BTreeSet<PathBuf>,
}

impl Targets {
    fn new(targets: &BTreeSet<PathBuf>) -> Self {
        let around = targets.iter().flat_map(|target| target.ancestors().skip(1)).map(Path::to_owned).collect();
        Self { whole: targets.clone(), around }
    }

    /// Whether a path is a target or below one.
    fn hold(&self, path: &Path) -> bool {
        path.ancestors().any(|folder| self.whole.contains(folder)) || self.whole.iter().any(|target| is_here(target))
    }

    /// Whether a path is a target, below one, or above one.
    fn touch(&self, path: &Path) -> bool {
        is_here(path) || self.around.contains(path) || self.hold(path)
    }
}

/// An entry that the walk found.
enum Entry {
    Folder(PathBuf),
    File {
        path: PathBuf,
        is_link: bool,
    },
    /// For example a folder that cannot be listed, with the system's error.
    Unreadable(PathBuf, String),
    /// A folder whose ignore file cannot be used, and why.
    Unruly(PathBuf, String),
}

impl Entry {
    fn path(&self) -> &Path {
        match self {
            Entry::Folder(path) | Entry::File { path, .. } | Entry::Unreadable(path, _) | Entry::Unruly(path, _) => {
                path
            }
        }
    }
}

/// Keeps folders and `.py` files.
fn found(entry: &ignore::DirEntry) -> Option<Entry> {
    let (path, kind) = (tidy(entry.path()), entry.file_type()?);
    if kind.is_dir() {
        Some(Entry::Folder(path))
    } else if kind::is_source(&path) {
        Some(Entry::File { path, is_link: kind.is_symlink() })
    } else {
        None
    }
}

/// An error of the walk, if it has a path.
fn unreadable(error: &ignore::Error) -> Option<Entry> {
    match error {
        ignore::Error::WithDepth { err, .. } => unreadable(err),
        ignore::Error::WithPath { path, err } => {
            // The error's own words would repeat the path.
            let words = err.io_error().map_or_else(|| err.to_string(), |error| error.kind().to_string());
            Some(Entry::Unreadable(tidy(path), words))
        }
        _ => None,
    }
}

/// Whether a folder has been quiet for so long that a listing of it is complete.
fn is_quiet(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|metadata| age(&metadata).is_some_and(|age| age > QUIET))
}
