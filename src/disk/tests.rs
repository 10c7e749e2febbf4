//! Scans and reads, of real files and folders.
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
    let scan = plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut |folder| folders.push(world.name(folder)));
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
