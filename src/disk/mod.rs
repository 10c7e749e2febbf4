//! The disk: finds files (`walk`), reads them (`read`), and keeps our own (`state`). Only this room, the configuration
//! and the sandbox open files.
//!
//! Long because two thirds of it are tests, on real files and folders.

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

    /// The result for a file that was removed.
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
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests write the files that are to be read")]

    use std::fs::{self, File};

    use super::git_folder::STALE_LOCK;
    use super::read::LARGEST_MIB;
    use super::*;
    use std::time::{Duration, SystemTime};

    use crate::paths::slashed;
    use crate::plugin::{Kind, Parsed};

    const PIPE: &str = "class Pipe: pass\n";

    /// A folder with a root. Its name has no leading dot, unlike those of temporary folders.
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
            let root = canonical(folder.path()).unwrap().join("root");
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

        /// The results of a scan, by path in the root.
        fn scan(&self) -> Vec<String> {
            let scan = self.plugins().scan(Trust::Closed, &mut ScanCache::default(), &mut |_| {});
            assert_eq!(scan.missing, Vec::<PathBuf>::new());
            scan.files.iter().map(|(path, loaded)| format!("{}: {}", self.name(path), say(loaded))).collect()
        }

        fn name(&self, path: &Path) -> String {
            slashed(path.strip_prefix(&self.root).unwrap())
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
            Loaded::Parsed(Parsed::Invalid(invalid)) => invalid.rules().map(crate::plugin::Rule::word).collect(),
            Loaded::SameFile(original) => format!("same as {}", original.file_name().unwrap().display()),
            Loaded::Missing => "missing".to_owned(),
            Loaded::Unsettled => "unsettled".to_owned(),
        }
    }

    #[test]
    fn the_walk_skips_ignored_files() {
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
        // Single reads follow the same rules.
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

    /// Without its rules, the folder is not walked.
    #[test]
    fn a_folder_with_unusable_rules_is_not_read() {
        let world = World::with(&["a.py", "huge/b.py", "huge/deep/c.py"]);
        world.write("huge/.gitignore", &"*x?1*\n".repeat(MOST_PATTERNS + 1));
        assert_eq!(world.scan(), ["a.py: function a", "huge: unreadable-folder"]);
        assert_eq!(world.read("huge/b.py"), Loaded::Missing);
        let hint = |loaded: &Loaded| match loaded {
            Loaded::Parsed(Parsed::Invalid(invalid)) => invalid.diagnostics[0].hint(),
            _ => None,
        };
        let scan = world.plugins().scan(Trust::Closed, &mut ScanCache::default(), &mut |_| {});
        let hints: Vec<_> = scan.files.iter().filter_map(|(_, loaded)| hint(loaded)).collect();
        assert_eq!(hints, ["shorten that file"]);
        world.write(".gitignore", &" ".repeat(100_000));
        assert_eq!(world.scan(), [": unreadable-folder"]);
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
    fn a_file_created_just_before_the_watch_is_found() {
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
        // Even if the root is the state folder or inside it, the copies are skipped.
        world.state = world.root.clone();
        assert_eq!(
            world.scan(),
            ["a.py: function a", "state/backups/function/a/copy.py: function copy", "state/x.py: function x"]
        );
        world.state = world.root.parent().unwrap().to_owned();
        assert_eq!(world.scan().len(), 4);
        // Another spelling does not reveal it, even if it is created later.
        world.state = world.path("backups/../state");
        assert_eq!(world.scan(), ["a.py: function a", "backups/b.py: function b"]);
        world.state = world.path("later");
        let mut plugins = world.plugins();
        world.write("later/x.py", PIPE);
        assert_eq!(plugins.read(&Arc::from(world.path("later/x.py")), Trust::Closed), Loaded::Missing);
    }

    #[test]
    fn a_missing_root_is_reported() {
        let world = World::with(&[]);
        let mut plugins = world.plugins_in(&["gone"]).unwrap();
        let scan = plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut |_| {});
        assert_eq!(scan, Scan { files: Vec::new(), missing: vec![world.path("gone")] });
    }

    /// The system opens `a.py` all the same where case does not matter.
    #[test]
    fn a_file_has_only_the_name_that_the_folder_shows() {
        let world = World::with(&["a.py"]);
        fs::remove_file(world.path("a.py")).unwrap();
        world.write("A.py", PIPE);
        assert_eq!((world.read("a.py"), world.scan()), (Loaded::Missing, vec!["A.py: function a".to_owned()]));
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
    fn unreadable_entries_are_reported() {
        let world = World::with(&["big.py", "empty.py", "latin.py"]);
        File::options().write(true).open(world.path("big.py")).unwrap().set_len(LARGEST_MIB * 1024 * 1024 + 1).unwrap();
        world.write("empty.py", "");
        fs::write(world.path("latin.py"), b"class Pipe: name = '\xe9'\n").unwrap();
        fs::create_dir(world.path("folder.py")).unwrap();
        assert_eq!(world.scan(), ["big.py: too-large", "empty.py: empty", "latin.py: not-utf8"]);
    }

    #[test]
    fn an_unclosed_file_counts_once_quiet() {
        let world = World::with(&["a.py"]);
        let (path, hour) = (Arc::from(world.path("a.py")), Duration::from_hours(1));
        let mut plugins = world.plugins();
        assert_eq!(say(&plugins.read(&path, Trust::Quiet(hour))), "unsettled");
        assert_eq!(say(&plugins.read(&path, Trust::Closed)), "function a");
        let set = |time| File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        set(SystemTime::now() - 2 * hour);
        assert_eq!(say(&plugins.read(&path, Trust::Quiet(hour))), "function a");
        // Another machine's clock may be ahead.
        set(SystemTime::now() + 2 * hour);
        assert_eq!(say(&plugins.read(&path, Trust::Quiet(hour))), "function a");
    }

    #[test]
    fn git_is_busy_while_its_lock_is_recent() {
        let world = World::with(&["plugins/a.py"]);
        fs::create_dir(world.path(".git")).unwrap();
        let busy = |root: &str| world.plugins_in(&[root]).unwrap().git_busy();
        for lock in [".git/index.lock", ".git/HEAD.lock"].map(|lock| world.path(lock)) {
            assert!(!busy("plugins"));
            fs::write(&lock, "").unwrap();
            assert!(busy("plugins") && busy("."));
            let stale = SystemTime::now() - STALE_LOCK - Duration::from_secs(1);
            File::options().write(true).open(&lock).unwrap().set_modified(stale).unwrap();
            assert!(!busy("plugins"));
        }
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
        fn links_lead_only_into_the_roots() {
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
                "dangling.py: dangling-link",
                "folder.py: link-outside",
                "loop.py: dangling-link",
                "only_here.py: function only_here",
                "outside.py: link-outside",
                "same.py: same as a.py",
                "same_absolute.py: same as a.py",
                "same_twice.py: same as a.py",
            ];
            assert_eq!(world.scan(), expected);
            assert_eq!(world.read("folder/c.py"), Loaded::Missing, "folder links are not followed");
        }

        #[test]
        fn links_lead_anywhere_if_allowed() {
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
                "dangling.py: dangling-link",
                "device.py: missing",
                "folder.py: missing",
                "outside.py: function outside",
                "same.py: same as a.py",
            ];
            assert_eq!(world.scan(), expected);
            assert_eq!(world.read("folder/c.py"), Loaded::Missing, "that is for files");
        }

        /// Between walk and read, a link may replace a folder.
        #[test]
        fn files_behind_a_new_folder_link_are_gone() {
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
        fn fifos_and_devices_do_not_block() {
            let world = World::with(&[]);
            let made = std::process::Command::new("mkfifo").arg(world.path("pipe.py")).status();
            if !made.is_ok_and(|status| status.success()) {
                return;
            }
            symlink("pipe.py", world.path("link.py")).unwrap();
            assert_eq!(world.scan(), ["link.py: same as pipe.py", "pipe.py: missing"]);
        }

        #[test]
        fn an_unreadable_file_is_an_error() {
            let world = World::with(&["a.py", "folder/b.py"]);
            fs::set_permissions(world.path("a.py"), fs::Permissions::from_mode(0o000)).unwrap();
            // Root may read everything.
            if File::open(world.path("a.py")).is_err() {
                assert_eq!(world.scan(), ["a.py: unreadable", "folder/b.py: function b"]);
            }
        }

        #[test]
        fn names_need_not_be_unicode() {
            let world = World::with(&[]);
            let name = std::ffi::OsStr::from_bytes(b"caf\xe9.py");
            // Some file systems allow only Unicode names.
            if fs::write(world.root.join(name), PIPE).is_ok() {
                assert_eq!(world.scan(), ["caf\u{fffd}.py: function caf_"]);
            }
        }
    }
}
