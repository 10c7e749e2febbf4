//! The disk: which files there are, what is in them, and what we write ourselves. The only opener of files beside the
//! configuration and the sandbox.

mod backups;
pub mod file;
mod identity;
mod ignore_rules;
mod intents;
mod scan_cache;
mod state;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::engine::Scan;
use crate::engine::files::{FilePresence, Links, Loaded};
use crate::paths::{ProjectPath, is_here, is_under, tidy};
use crate::plugin::{self, FileSettings, Invalid, Parsed, Rule, kind};
use crate::regular_file::{self, ONE_MIB, Rejection};

pub use backups::{Copy, Origin};
use ignore_rules::{IgnoreRules, MOST_PATTERNS};
pub use scan_cache::ScanCache;
use scan_cache::{CacheEntry, Stat};
pub use state::{Folder, Other, State, StateError};

/// Larger files are not read: the largest real plugin that was seen has 0.4 MiB.
const LARGEST_MIB: u64 = 16;
/// A git lock that is older belongs to nobody any more.
const STALE_LOCK: Duration = Duration::from_secs(30);

/// Far longer than a walk takes, and than clocks of machines that share a drive differ.
const QUIET: Duration = Duration::from_mins(1);

/// How often a tree in which new folders keep appearing is walked in one go. Those that are created in a watched folder
/// send their own events.
const MOST_WALKS: usize = 4;

/// How far a file's completeness can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The kernel said that the writer is done.
    Closed,
    /// Nobody said so: it is believed when it was not written for this long.
    Quiet(Duration),
}

/// Finds and reads the plugins under the roots.
pub struct Plugins {
    roots: Vec<PathBuf>,
    exclude: Gitignore,
    /// What we write ourselves, as the walk of a root finds it. It holds other people's plugins.
    ours: Vec<PathBuf>,
    settings: BTreeMap<PathBuf, FileSettings>,
    where_links_lead: Links,
    /// The files that the walk admits. An event about one of them needs no second look at the ignore rules.
    admitted: BTreeSet<Arc<Path>>,
    /// Those of them that are links.
    links: BTreeSet<Arc<Path>>,
    /// What may not be read, files and folders.
    closed: BTreeSet<Arc<Path>>,
    /// The folders that the roots must not lead out of, also where a link takes a root's place; none for no limit.
    bounds: Vec<PathBuf>,
    /// The roots that led out of them at the last scan, and where to.
    strayed: BTreeMap<PathBuf, PathBuf>,
    /// The roots that were not there at the last scan.
    missing: Vec<PathBuf>,
    /// The locks of the repositories that the roots stand in.
    git_locks: BTreeSet<PathBuf>,
}

impl Plugins {
    /// Looks at nothing yet. `exclude` are globs as in `.gitignore`, relative to each root; `state` is the state folder,
    /// which is never looked into, wherever it lies.
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
            builder
                .add_line(None, glob)
                .with_context(|| format!("`exclude` has a glob that does not work: `{glob}`"))?;
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
        let real = |bound: PathBuf| bound.canonicalize().unwrap_or(bound);
        Self { bounds: bounds.iter().map(here).map(real).collect(), ..self }
    }

    /// The roots that led out of their bounds at the last scan, and where to.
    #[must_use]
    pub fn strayed(&self) -> &BTreeMap<PathBuf, PathBuf> {
        &self.strayed
    }

    /// Where a root leads, if that is out of its bounds.
    fn strays(&self, root: &Path) -> Option<PathBuf> {
        if self.bounds.is_empty() {
            return None;
        }
        let real = root.canonicalize().ok()?;
        (!self.bounds.iter().any(|bound| real.starts_with(bound))).then_some(real)
    }

    fn find_git(&mut self) {
        let folders = self.roots.iter().filter_map(|root| git_folder(root));
        self.git_locks = folders.map(|folder| folder.join("index.lock")).collect();
    }

    /// Walks the roots and reads every file, on all cores, that is not as it was seen before; `seen` is what is known
    /// then. `on_folder` is told each admitted folder before its content is listed for good, so that a watch set there
    /// misses nothing.
    pub fn scan(&mut self, trust: Trust, seen: &mut ScanCache, on_folder: &mut dyn FnMut(&Path)) -> Scan {
        self.admitted.clear();
        self.links.clear();
        self.closed.clear();
        // The roots may have come with a repository of their own.
        self.find_git();
        let strayed = self.roots.iter().filter_map(|root| Some((root.clone(), self.strays(root)?)));
        self.strayed = strayed.collect();
        let is_usable = |root: &PathBuf| root.is_dir() && !self.strayed.contains_key(root);
        let (present, missing): (Vec<_>, Vec<_>) = self.roots.iter().cloned().partition(is_usable);
        let present = present.into_iter().collect();
        self.missing.clone_from(&missing);
        let mut unreadable = Vec::new();
        let found = self.explore(&present, on_folder, &mut unreadable);
        let read = self.read_all(&found, trust, seen);
        let (mut files, mut now_seen) = (Vec::with_capacity(found.len()), ScanCache::default());
        now_seen.changed = read.iter().filter(|read| read.is_none()).count() != seen.len();
        for (path, read) in found.into_iter().zip(read) {
            now_seen.changed |= matches!(read, Some((_, Some(_))));
            let (loaded, sight) = read.unwrap_or_else(|| seen.take(&path));
            if let Some(sight) = sight {
                now_seen.put(&path, sight);
            }
            files.push((path, loaded));
        }
        *seen = now_seen;
        files.extend(unreadable);
        self.closed.extend(files.iter().filter(|(_, loaded)| is_closed(loaded)).map(|(path, _)| Arc::clone(path)));
        Scan { files, missing }
    }

    /// Walks the folders that appeared under the roots; answers the files in them. All at once, because each walk passes
    /// what else there is on the way.
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

    /// Takes in those of the paths that the walk admits, with one walk for all of them.
    pub fn admit_all<'a>(&mut self, paths: impl Iterator<Item = &'a Arc<Path>>) {
        let new: BTreeSet<_> =
            paths.filter(|path| !self.admitted.contains(*path)).map(|path| path.to_path_buf()).collect();
        if !new.is_empty() {
            let entries = self.entries(&new).collect();
            self.admit(entries, &mut Vec::new());
        }
    }

    /// The links among the files.
    #[must_use]
    pub fn links(&self) -> &BTreeSet<Arc<Path>> {
        &self.links
    }

    /// Whether a root went since the last scan.
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

    fn explore(
        &mut self,
        folders: &BTreeSet<PathBuf>,
        on_folder: &mut dyn FnMut(&Path),
        unreadable: &mut Vec<(Arc<Path>, Loaded)>,
    ) -> Vec<Arc<Path>> {
        let mut told = BTreeSet::new();
        // A folder may be listed before it is named, and what is created between that and its watch sends no event and
        // is not in the list: once the folders are watched, everything is listed anew.
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

    /// Takes in what a walk found; answers the files.
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

    /// The admitted files in a folder.
    pub fn files_in(&self, folder: &Path) -> impl Iterator<Item = Arc<Path>> {
        self.admitted.iter().filter(move |path| is_under(path, folder)).cloned()
    }

    /// Reads one path. Anything that the walk would not find is [`Loaded::Missing`].
    pub fn read(&mut self, path: &Arc<Path>, trust: Trust) -> Loaded {
        self.admit_all(std::iter::once(path));
        let has_strayed = self.roots.iter().any(|root| is_under(path, root) && self.strays(root).is_some());
        let loaded = if self.admitted.contains(path) && !has_strayed {
            self.load(path, trust)
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

    /// What is left of a file that was seen to go.
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

    /// Whether git is in the middle of changing the work tree.
    #[must_use]
    pub fn git_busy(&self) -> bool {
        let fresh = |lock: std::fs::Metadata| age(&lock).is_none_or(|age| age < STALE_LOCK);
        self.git_locks.iter().any(|lock| lock.metadata().is_ok_and(fresh))
    }

    /// What the walk finds at the targets and below, by the rules that hold above them: the walk starts at the roots, but
    /// goes down no other way.
    fn entries(&self, targets: &BTreeSet<PathBuf>) -> impl Iterator<Item = Entry> + use<> {
        let targets = Arc::new(Targets::new(targets));
        let is_on_the_way = |root: &&PathBuf| targets.touch(root) && self.strays(root).is_none();
        let on_the_way: Vec<_> = self.roots.iter().filter(is_on_the_way).cloned().collect();
        let (exclude, ours) = (self.exclude.clone(), self.ours.clone());
        let rules = Arc::new(IgnoreRules::new());
        on_the_way.into_iter().flat_map(move |root| {
            let (exclude, ours, base) = (exclude.clone(), ours.clone(), root.clone());
            let (wanted, targets, rules) = (Arc::clone(&targets), Arc::clone(&targets), Arc::clone(&rules));
            // The rules of the folders above a linked root are those above its target.
            let full = root.canonicalize().unwrap_or_else(|_| root.clone());
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
                // Without its rules it is not known what the user wants left alone.
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

    fn read_all(&self, paths: &[Arc<Path>], trust: Trust, seen: &ScanCache) -> Vec<Look> {
        // Large files stand together, and so do those that are as they were: whoever is done takes the next one.
        let next = AtomicUsize::new(0);
        let take = || {
            let n = next.fetch_add(1, Ordering::Relaxed);
            paths.get(n).map(|path| (n, path))
        };
        let read =
            || -> Vec<_> { std::iter::from_fn(take).map(|(n, path)| (n, self.look(path, trust, seen))).collect() };
        let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(paths.len());
        let mut looks: Vec<_> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..n_threads).map(|_| scope.spawn(read)).collect();
            let mine = read();
            // A panic in there must not pass for files that are not there.
            let join = |reader: ScopedJoinHandle<'_, _>| reader.join().unwrap_or_else(|panic| resume_unwind(panic));
            others.into_iter().flat_map(join).chain(mine).collect()
        });
        looks.sort_unstable_by_key(|(n, _)| *n);
        looks.into_iter().map(|(_, look)| look).collect()
    }

    /// What is in a file that the walk has just found.
    fn look(&self, path: &Arc<Path>, trust: Trust, seen: &ScanCache) -> Look {
        let settings = self.settings.get(&**path).cloned().unwrap_or_default();
        let stat = if self.links.contains(path) || settings.enabled == Some(false) { None } else { Stat::of(path) };
        let Some(stat) = stat.filter(Stat::is_settled) else {
            return Some((seen.without_text(self.load(path, trust)), None));
        };
        if seen.has(path, stat, &settings) {
            return None;
        }
        if self.is_behind_a_link(path) {
            return Some((Loaded::Missing, None));
        }
        // A file, and no link: that was seen a moment ago.
        let loaded = seen.without_text(loaded(path, read_whole(path, trust), &settings));
        // What was changed while it was read looks otherwise now.
        let sight = if Stat::of(path) == Some(stat) { CacheEntry::of(&loaded, stat, settings) } else { None };
        Some((loaded, sight))
    }

    fn load(&self, path: &Arc<Path>, trust: Trust) -> Loaded {
        let settings = self.settings.get(&**path).cloned().unwrap_or_default();
        if settings.enabled == Some(false) {
            return Loaded::Parsed(Parsed::Disabled);
        }
        if self.is_behind_a_link(path) {
            return Loaded::Missing;
        }
        if let Some(loaded) = self.follow_link(path) {
            return loaded;
        }
        loaded(path, read_whole(path, trust), &settings)
    }

    /// Whether a folder on the way to a file is a link. The walk goes down none, but one may have taken a folder's place
    /// since.
    fn is_behind_a_link(&self, path: &Path) -> bool {
        let Some(root) = self.roots.iter().find(|root| is_under(path, root)) else { return false };
        let mut folders =
            path.ancestors().skip(1).take_while(|folder| *folder != root.as_path() && !folder.as_os_str().is_empty());
        folders.any(Path::is_symlink)
    }

    /// A link is deployed only when it leads to a file that is not found by itself, and inside the roots unless the user
    /// says otherwise.
    fn follow_link(&self, path: &Arc<Path>) -> Option<Loaded> {
        if !path.is_symlink() {
            return None;
        }
        let target = || path.read_link().map(|target| target.display().to_string()).unwrap_or_default();
        let Ok(real) = path.canonicalize() else { return Some(invalid(path, Rule::DanglingLink(target()))) };
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

/// What was read of a file at a scan, and what is to be remembered of it; `None` where it is as it was seen before.
type Look = Option<(Loaded, Option<CacheEntry>)>;

/// Where a walk is to go.
struct Targets {
    whole: BTreeSet<PathBuf>,
    /// The folders around them.
    around: BTreeSet<PathBuf>,
}

impl Targets {
    fn new(targets: &BTreeSet<PathBuf>) -> Self {
        let around = targets.iter().flat_map(|target| target.ancestors().skip(1)).map(Path::to_owned).collect();
        Self { whole: targets.clone(), around }
    }

    /// Whether a path is a target, or in one.
    fn hold(&self, path: &Path) -> bool {
        path.ancestors().any(|folder| self.whole.contains(folder)) || self.whole.iter().any(|target| is_here(target))
    }

    /// The same, or on the way to one.
    fn touch(&self, path: &Path) -> bool {
        is_here(path) || self.around.contains(path) || self.hold(path)
    }
}

/// What the walk found.
enum Entry {
    Folder(PathBuf),
    File {
        path: PathBuf,
        is_link: bool,
    },
    /// A folder that could not be listed, say; the system's words.
    Unreadable(PathBuf, String),
    /// A folder with a file of ignore patterns that cannot be used, and why.
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

/// What of the walk matters.
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

/// What of the walk failed, where it was at a place.
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

fn loaded(path: &Arc<Path>, read: std::io::Result<Whole>, settings: &FileSettings) -> Loaded {
    match read {
        Ok(Whole::Bytes(bytes)) => Loaded::Parsed(plugin::parse(path, &bytes, settings)),
        Ok(Whole::TooLarge) => invalid(path, Rule::TooLarge(LARGEST_MIB)),
        Ok(Whole::Unsettled) => Loaded::Unsettled,
        Ok(Whole::NoFile) => Loaded::Missing,
        Err(error) if error.kind() == ErrorKind::NotFound => Loaded::Missing,
        Err(error) => invalid(path, Rule::Unreadable(error.to_string())),
    }
}

/// Whether nothing was created in a folder, or removed, for so long that what was listed a moment ago is what is there.
fn is_quiet(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|metadata| age(&metadata).is_some_and(|age| age > QUIET))
}

/// What is said of a folder that was seen to be closed.
fn unlisted(path: &Arc<Path>, error: &std::io::Error) -> Loaded {
    match error.kind() {
        ErrorKind::PermissionDenied => invalid(path, Rule::UnreadableFolder(error.kind().to_string())),
        _ => Loaded::Missing,
    }
}

fn is_closed(loaded: &Loaded) -> bool {
    let Loaded::Parsed(Parsed::Invalid(invalid)) = loaded else { return false };
    invalid.rules().any(|rule| matches!(rule, Rule::Unreadable(_)) || rule.is_of_folder())
}

fn invalid(path: &Arc<Path>, rule: Rule) -> Loaded {
    Loaded::Parsed(Parsed::Invalid(Invalid::unread(path, rule)))
}

/// What came of reading a file.
enum Whole {
    Bytes(Vec<u8>),
    TooLarge,
    /// It changed while it was read, or just before.
    Unsettled,
    /// A folder, a pipe, a device.
    NoFile,
}

/// Reads what may be a file, and looks before and after whether somebody is writing it.
fn read_whole(path: &Path, trust: Trust) -> std::io::Result<Whole> {
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

/// How long ago a file was written. `None` where the clock and the file system do not agree, as on network drives: such
/// a file must not wait for a time that never comes.
#[expect(clippy::disallowed_methods, reason = "a file's age is a fact of the disk, compared with the disk's own clock")]
fn age(metadata: &std::fs::Metadata) -> Option<Duration> {
    SystemTime::now().duration_since(metadata.modified().ok()?).ok()
}

/// The folder where git keeps the state of the work tree that `path` stands in.
fn git_folder(path: &Path) -> Option<PathBuf> {
    let full = std::path::absolute(path).ok()?;
    let dot_git = full.ancestors().map(|folder| folder.join(".git")).find(|dot_git| dot_git.exists())?;
    named_git_folder(&dot_git)
}

/// The folder that a `.git` is, or that it names in a linked work tree.
fn named_git_folder(dot_git: &Path) -> Option<PathBuf> {
    if dot_git.is_dir() {
        return Some(dot_git.to_owned());
    }
    let folder = first_line(dot_git)?.strip_prefix("gitdir:")?.trim().to_owned();
    Some(dot_git.parent()?.join(folder))
}

/// The folder in which git keeps what belongs to all work trees of a repository.
fn common_git_folder(dot_git: &Path) -> Option<PathBuf> {
    let own = named_git_folder(dot_git)?;
    match first_line(&own.join("commondir")) {
        Some(common) => Some(own.join(common.trim())),
        None => Some(own),
    }
}

fn first_line(path: &Path) -> Option<String> {
    let text = String::from_utf8(regular_file::read(path, ONE_MIB).ok()?).ok()?;
    text.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests write the files that are to be read")]

    use std::fs::{self, File};

    use super::*;
    use crate::plugin::Kind;

    const PIPE: &str = "class Pipe: pass\n";

    /// A folder with a root in it. Its name does not begin with a dot, as that of a temporary folder does.
    struct World {
        _folder: tempfile::TempDir,
        root: PathBuf,
        exclude: Vec<String>,
        settings: BTreeMap<PathBuf, FileSettings>,
        state: PathBuf,
        links: Links,
    }

    impl World {
        fn with(files: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().canonicalize().unwrap().join("root");
            let state = root.join(".owui-watch");
            fs::create_dir(&root).unwrap();
            let (exclude, settings, links) = (Vec::new(), BTreeMap::new(), Links::Inside);
            let world = Self { _folder: folder, root, exclude, settings, state, links };
            for file in files {
                world.write(file, PIPE);
            }
            world
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            fs::write(self.path(name), text).unwrap();
        }

        fn plugins(&self) -> Plugins {
            self.plugins_in(&[""]).unwrap()
        }

        /// With these roots.
        fn plugins_in(&self, roots: &[&str]) -> anyhow::Result<Plugins> {
            let roots = roots.iter().map(|root| if root.is_empty() { self.root.clone() } else { self.path(root) });
            Plugins::new(roots.collect(), &self.exclude, &self.state, self.settings.clone(), self.links)
        }

        /// What a scan finds, by path in the root.
        fn scan(&self) -> Vec<String> {
            let scan = self.plugins().scan(Trust::Closed, &mut ScanCache::default(), &mut |_| {});
            assert_eq!(scan.missing, Vec::<PathBuf>::new());
            scan.files.iter().map(|(path, loaded)| format!("{}: {}", self.name(path), say(loaded))).collect()
        }

        fn name(&self, path: &Path) -> String {
            path.strip_prefix(&self.root).unwrap().display().to_string()
        }

        fn read(&self, name: &str) -> Loaded {
            self.plugins().read(&Arc::from(self.path(name)), Trust::Closed)
        }
    }

    fn say(loaded: &Loaded) -> String {
        match loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => plugin.key.to_string(),
            Loaded::Parsed(Parsed::NotAPlugin) => "not a plugin".to_owned(),
            Loaded::Parsed(Parsed::Disabled) => "disabled".to_owned(),
            Loaded::Parsed(Parsed::Invalid(invalid)) => invalid.rules().map(Rule::word).collect(),
            Loaded::SameFile(original) => format!("same as {}", original.file_name().unwrap().display()),
            Loaded::Missing => "missing".to_owned(),
            Loaded::Unsettled => "unsettled".to_owned(),
        }
    }

    #[test]
    fn the_walk_finds_what_is_not_ignored() {
        let world = World::with(&[
            "a.py",
            "deep/er/b.py",
            "git/c.py",
            "git/kept.py",
            "own/d.py",
            "skipped/e.py",
            ".hidden.py",
            ".hidden/f.py",
            "g.pyc",
            "h.txt",
            "py",
        ]);
        world.write(".gitignore", "/git/*\n!kept.py\n");
        world.write(".ignore", "own\n");
        world.write("skipped/.gitignore", "*\n");
        assert_eq!(world.scan(), ["a.py: function a", "deep/er/b.py: function b", "git/kept.py: function kept"]);
        // One path at a time, by the same rules.
        for (name, expected) in [
            ("a.py", "function a"),
            ("deep/er/b.py", "function b"),
            ("git/kept.py", "function kept"),
            ("git/c.py", "missing"),
            ("own/d.py", "missing"),
            ("skipped/e.py", "missing"),
            (".hidden/f.py", "missing"),
            (".hidden.py", "missing"),
            ("h.txt", "missing"),
            ("deep", "missing"),
            ("gone.py", "missing"),
            ("gone/gone.py", "missing"),
            ("../root/a.py", "missing"),
            ("../outside.py", "missing"),
        ] {
            assert_eq!(say(&world.read(name)), expected, "{name}");
        }
    }

    /// What the user wants left alone is not known there.
    #[test]
    fn a_folder_whose_rules_cannot_be_used_is_not_read() {
        let world = World::with(&["a.py", "huge/b.py", "huge/deep/c.py"]);
        world.write("huge/.gitignore", &"*x?1*\n".repeat(MOST_PATTERNS + 1));
        assert_eq!(world.scan(), ["a.py: function a", "huge: unreadable_folder"]);
        assert_eq!(world.read("huge/b.py"), Loaded::Missing);
        let hint = |loaded: &Loaded| match loaded {
            Loaded::Parsed(Parsed::Invalid(invalid)) => invalid.diagnostics[0].hint(),
            _ => None,
        };
        let scan = world.plugins().scan(Trust::Closed, &mut ScanCache::default(), &mut |_| {});
        let hints: Vec<_> = scan.files.iter().filter_map(|(_, loaded)| hint(loaded)).collect();
        assert_eq!(hints, ["shorten that file"]);
        world.write(".gitignore", &" ".repeat(100_000));
        assert_eq!(world.scan(), [": unreadable_folder"]);
    }

    #[test]
    fn exclude_is_relative_to_each_root() {
        let mut world = World::with(&["one/a.py", "one/old/a.py", "one/x/old/b.py", "two/old/c.py", "two/test_d.py"]);
        world.exclude = ["/old", "test_*"].map(str::to_owned).to_vec();
        let mut plugins = world.plugins_in(&["one", "two"]).unwrap();
        let mut folders = Vec::new();
        let scan =
            plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut |folder| folders.push(world.name(folder)));
        let found: Vec<_> = scan.files.iter().map(|(path, _)| world.name(path)).collect();
        assert_eq!(found, ["one/a.py", "one/x/old/b.py"]);
        assert_eq!(folders, ["one", "one/x", "one/x/old", "two"], "what is excluded is not watched");
        world.exclude = vec!["a{".to_owned()];
        let bad = world.plugins_in(&[""]);
        assert!(bad.err().unwrap().to_string().contains("`a{`"));
    }

    #[test]
    fn what_is_created_just_before_a_folder_is_watched_is_found() {
        let world = World::with(&["folder/a.py"]);
        let mut plugins = world.plugins();
        let mut create = |folder: &Path| {
            if !folder.join("deep").exists() && folder != world.path("folder/deep/deep") {
                fs::create_dir(folder.join("deep")).unwrap();
            }
            fs::write(folder.join("b.py"), PIPE).unwrap();
        };
        let found = plugins.walk(&[Arc::from(world.path("folder"))], &mut create);
        let found: Vec<_> = found.iter().map(|path| world.name(path)).collect();
        assert_eq!(found, ["folder/a.py", "folder/b.py", "folder/deep/b.py", "folder/deep/deep/b.py"]);
    }

    #[test]
    fn the_state_folder_holds_no_plugins() {
        let mut world = World::with(&["a.py", "state/backups/function/a/copy.py", "state/x.py", "backups/b.py"]);
        world.state = world.path("state");
        assert_eq!(world.scan(), ["a.py: function a", "backups/b.py: function b"]);
        assert_eq!(world.read("state/backups/function/a/copy.py"), Loaded::Missing);
        // Where the root is the state folder, or lies in it, at least the copies are left alone.
        world.state = world.root.clone();
        assert_eq!(
            world.scan(),
            ["a.py: function a", "state/backups/function/a/copy.py: function copy", "state/x.py: function x"]
        );
        world.state = world.root.parent().unwrap().to_owned();
        assert_eq!(world.scan().len(), 4);
        // Nor is it found by another name, even if it is not there yet when the program starts.
        world.state = world.path("backups/../state");
        assert_eq!(world.scan(), ["a.py: function a", "backups/b.py: function b"]);
        world.state = world.path("later");
        let mut plugins = world.plugins();
        world.write("later/x.py", PIPE);
        assert_eq!(plugins.read(&Arc::from(world.path("later/x.py")), Trust::Closed), Loaded::Missing);
    }

    #[test]
    fn a_root_that_is_not_there_is_named() {
        let world = World::with(&[]);
        let mut plugins = world.plugins_in(&["gone"]).unwrap();
        let scan = plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut |_| {});
        assert_eq!(scan, Scan { files: Vec::new(), missing: vec![world.path("gone")] });
    }

    #[test]
    fn settings_belong_to_a_path() {
        let mut world = World::with(&["a.py", "b.py", "both.py"]);
        world.write("both.py", "class Pipe: pass\nclass Tools: pass\n");
        let off = FileSettings { enabled: Some(false), ..FileSettings::default() };
        let tool = FileSettings { kind: Some(Kind::Tool), ..FileSettings::default() };
        world.settings = BTreeMap::from([(world.path("a.py"), off), (world.path("both.py"), tool)]);
        assert_eq!(world.scan(), ["a.py: disabled", "b.py: function b", "both.py: tool both"]);
    }

    #[test]
    fn a_new_folder_is_walked_by_itself() {
        let world = World::with(&["a.py"]);
        world.write(".gitignore", "ignored\n");
        let mut plugins = world.plugins();
        plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut |_| {});
        for file in ["new/b.py", "new/in/c.py", "new/ignored/d.py"] {
            world.write(file, PIPE);
        }
        let mut folders = Vec::new();
        let found = plugins.walk(&[Arc::from(world.path("new"))], &mut |folder| folders.push(world.name(folder)));
        let found: Vec<_> = found.iter().map(|path| world.name(path)).collect();
        assert_eq!(
            (found, folders),
            (vec!["new/b.py".to_owned(), "new/in/c.py".to_owned()], vec!["new".to_owned(), "new/in".to_owned()])
        );
        let known: Vec<_> = plugins.files_in(&world.path("new")).map(|path| world.name(&path)).collect();
        assert_eq!(known, ["new/b.py", "new/in/c.py"]);
        assert_eq!(plugins.walk(&[Arc::from(world.path("new/ignored"))], &mut |_| panic!()), []);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let world = World::with(&["big.py", "empty.py", "latin.py"]);
        File::options().write(true).open(world.path("big.py")).unwrap().set_len(LARGEST_MIB * 1024 * 1024 + 1).unwrap();
        world.write("empty.py", "");
        fs::write(world.path("latin.py"), b"class Pipe: name = '\xe9'\n").unwrap();
        fs::create_dir(world.path("folder.py")).unwrap();
        assert_eq!(world.scan(), ["big.py: too_large", "empty.py: empty", "latin.py: not_utf8"]);
    }

    #[test]
    fn a_file_that_nobody_closed_is_believed_when_it_is_quiet() {
        let world = World::with(&["a.py"]);
        let (path, hour) = (Arc::from(world.path("a.py")), Duration::from_hours(1));
        let mut plugins = world.plugins();
        assert_eq!(say(&plugins.read(&path, Trust::Quiet(hour))), "unsettled");
        assert_eq!(say(&plugins.read(&path, Trust::Closed)), "function a");
        let set = |time| File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        set(SystemTime::now() - 2 * hour);
        assert_eq!(say(&plugins.read(&path, Trust::Quiet(hour))), "function a");
        // Another machine's clock may be ahead of ours.
        set(SystemTime::now() + 2 * hour);
        assert_eq!(say(&plugins.read(&path, Trust::Quiet(hour))), "function a");
    }

    #[test]
    fn git_is_busy_while_a_young_lock_is_there() {
        let world = World::with(&["plugins/a.py"]);
        let lock = world.path(".git/index.lock");
        fs::create_dir(world.path(".git")).unwrap();
        let busy = |root: &str| world.plugins_in(&[root]).unwrap().git_busy();
        assert!(!busy("plugins"));
        fs::write(&lock, "").unwrap();
        assert!(busy("plugins") && busy("."));
        let stale = SystemTime::now() - STALE_LOCK - Duration::from_secs(1);
        File::options().write(true).open(&lock).unwrap().set_modified(stale).unwrap();
        assert!(!busy("plugins"));
    }

    #[test]
    fn in_a_linked_work_tree_the_lock_is_elsewhere() {
        let world = World::with(&["tree/a.py", "other/a.py"]);
        fs::create_dir_all(world.path("main/.git/worktrees/tree")).unwrap();
        let busy = |root: &str| world.plugins_in(&[root]).unwrap().git_busy();
        let folder = world.path("main/.git/worktrees/tree");
        for text in [format!("gitdir: {}\n", folder.display()), "gitdir: ../main/.git/worktrees/tree\n".to_owned()] {
            world.write("tree/.git", &text);
            assert!(!busy("tree"));
            fs::write(folder.join("index.lock"), "").unwrap();
            assert!(busy("tree") && !busy("other"));
            fs::remove_file(folder.join("index.lock")).unwrap();
        }
        world.write("tree/.git", "nonsense");
        assert!(!busy("tree"));
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::ffi::OsStrExt as _;
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        use super::*;

        #[test]
        fn links_lead_to_what_is_in_the_roots() {
            let world = World::with(&["a.py", "ignored/b.py"]);
            world.write(".gitignore", "ignored\n");
            world.write("../outside/c.py", PIPE);
            symlink("a.py", world.path("same.py")).unwrap();
            symlink(world.path("a.py"), world.path("same_absolute.py")).unwrap();
            symlink("same.py", world.path("same_twice.py")).unwrap();
            symlink("ignored/b.py", world.path("only_here.py")).unwrap();
            symlink("gone.py", world.path("dangling.py")).unwrap();
            symlink("loop.py", world.path("loop.py")).unwrap();
            symlink("../outside/c.py", world.path("outside.py")).unwrap();
            symlink("../outside", world.path("folder")).unwrap();
            symlink("../outside", world.path("folder.py")).unwrap();
            let expected = [
                "a.py: function a",
                "dangling.py: dangling_link",
                "folder.py: link_outside",
                "loop.py: dangling_link",
                "only_here.py: function only_here",
                "outside.py: link_outside",
                "same.py: same as a.py",
                "same_absolute.py: same as a.py",
                "same_twice.py: same as a.py",
            ];
            assert_eq!(world.scan(), expected);
            assert_eq!(world.read("folder/c.py"), Loaded::Missing, "folder links are not followed");
        }

        #[test]
        fn links_lead_anywhere_where_that_is_wanted() {
            let mut world = World::with(&["a.py"]);
            world.links = Links::Anywhere;
            world.write("../outside/c.py", PIPE);
            symlink("a.py", world.path("same.py")).unwrap();
            symlink("../outside/c.py", world.path("outside.py")).unwrap();
            symlink("../outside/gone.py", world.path("dangling.py")).unwrap();
            symlink("../outside", world.path("folder")).unwrap();
            symlink("../outside", world.path("folder.py")).unwrap();
            symlink("/dev/zero", world.path("device.py")).unwrap();
            let expected = [
                "a.py: function a",
                "dangling.py: dangling_link",
                "device.py: missing",
                "folder.py: missing",
                "outside.py: function outside",
                "same.py: same as a.py",
            ];
            assert_eq!(world.scan(), expected);
            assert_eq!(world.read("folder/c.py"), Loaded::Missing, "that is for files");
        }

        /// Between a walk and a read, what was a folder may have become a link.
        #[test]
        fn a_folder_that_becomes_a_link_takes_its_files_out_of_the_root() {
            let world = World::with(&["folder/deep/a.py", "b.py"]);
            world.write("../outside/deep/a.py", PIPE);
            let mut plugins = world.plugins();
            plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut |_| {});
            fs::rename(world.path("folder"), world.path("was")).unwrap();
            symlink("../outside", world.path("folder")).unwrap();
            let mut read = |name: &str| plugins.read(&Arc::from(world.path(name)), Trust::Closed);
            assert_eq!(read("folder/deep/a.py"), Loaded::Missing);
            assert_eq!(say(&read("was/deep/a.py")), "function a");
            assert_eq!(say(&read("b.py")), "function b");
        }

        #[test]
        fn a_root_may_be_a_link_itself() {
            let mut world = World::with(&["real/a.py"]);
            symlink("real", world.path("link")).unwrap();
            symlink("a.py", world.path("real/b.py")).unwrap();
            world.state = world.path("real/state");
            let mut plugins = world.plugins_in(&["link"]).unwrap();
            world.write("real/state/backups/x.py", PIPE);
            let scan = plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut |_| {});
            let found: Vec<_> =
                scan.files.iter().map(|(path, loaded)| format!("{}: {}", world.name(path), say(loaded))).collect();
            assert_eq!(found, ["link/a.py: function a", "link/b.py: same as a.py"]);
        }

        #[test]
        fn what_is_no_file_is_not_waited_for() {
            let world = World::with(&[]);
            let made = std::process::Command::new("mkfifo").arg(world.path("pipe.py")).status();
            if !made.is_ok_and(|status| status.success()) {
                return;
            }
            symlink("pipe.py", world.path("link.py")).unwrap();
            assert_eq!(world.scan(), ["link.py: same as pipe.py", "pipe.py: missing"]);
        }

        #[test]
        fn an_unreadable_file_is_a_flaw() {
            let world = World::with(&["a.py", "folder/b.py"]);
            fs::set_permissions(world.path("a.py"), fs::Permissions::from_mode(0o000)).unwrap();
            // The administrator may read everything.
            if File::open(world.path("a.py")).is_err() {
                assert_eq!(world.scan(), ["a.py: unreadable", "folder/b.py: function b"]);
            }
        }

        #[test]
        fn a_name_need_not_be_text() {
            let world = World::with(&[]);
            let name = std::ffi::OsStr::from_bytes(b"caf\xe9.py");
            // Some file systems take text only.
            if fs::write(world.root.join(name), PIPE).is_ok() {
                assert_eq!(world.scan(), ["caf\u{fffd}.py: function caf_"]);
            }
        }
    }
}
