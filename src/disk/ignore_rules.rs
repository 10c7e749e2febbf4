//! The ignore rules: `.gitignore`, `.ignore`, `.git/info/exclude` and the user's own ignore file. The `ignore` crate
//! matches them. The files are read here, since they may be hostile: as in git, a link or a FIFO counts as missing, and
//! huge files, which would take seconds to compile, are refused.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::paths::slashed;
use crate::regular_file::{self, Rejection};

/// The most patterns in a file. Hostile ones then compile in a quarter of a second, and a path matches in half a
/// millisecond.
pub(super) const MOST_PATTERNS: usize = 2000;

/// The largest file of patterns.
const LARGEST: u64 = 64 * 1024;

/// The rules of the folders on a walk, each read once.
pub(super) struct IgnoreRules {
    global: Gitignore,
    known: Mutex<HashMap<PathBuf, Rules>>,
}

/// The rules for a folder, or why one of its files cannot be used.
type Rules = Result<Option<Arc<FolderRules>>, String>;

/// The rules of one folder, with a link to the next folder above that has some.
struct FolderRules {
    folder: PathBuf,
    /// By precedence: `.ignore`, `.gitignore`, `.git/info/exclude`.
    layers: [Gitignore; 3],
    outer: Option<Arc<FolderRules>>,
}

impl IgnoreRules {
    pub(super) fn new() -> Self {
        let (global, _) = Gitignore::global();
        Self { global, known: Mutex::default() }
    }

    /// Whether the walk skips an entry. Its path is absolute, and the rules of its folder can be used.
    pub(super) fn skips(&self, path: &Path, is_dir: bool) -> bool {
        let rules = path.parent().and_then(|folder| self.of(folder).ok().flatten());
        let mut verdict = Match::None;
        for layer in 0..3 {
            let mut next = rules.as_ref();
            while let (Match::None, Some(rules)) = (&verdict, next) {
                if let Ok(inside) = path.strip_prefix(&rules.folder) {
                    verdict = rules.layers[layer].matched(inside, is_dir).map(drop);
                }
                next = rules.outer.as_ref();
            }
        }
        match verdict.or(self.global.matched(path, is_dir).map(drop)) {
            Match::Ignore(()) => true,
            Match::Whitelist(()) => false,
            Match::None => path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")),
        }
    }

    /// Why the rules of a folder, given by its absolute path, cannot be used.
    pub(super) fn problem(&self, folder: &Path) -> Option<String> {
        self.of(folder).err()
    }

    fn of(&self, folder: &Path) -> Rules {
        if let Some(rules) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(folder) {
            return rules.clone();
        }
        let outer = folder.parent().map_or(Ok(None), |outer| self.of(outer));
        let rules = outer.and_then(|outer| read(folder, outer));
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned(), rules.clone());
        rules
    }
}

fn read(folder: &Path, outer: Option<Arc<FolderRules>>) -> Rules {
    let own = |name| regular_file::read_no_follow(&folder.join(name), LARGEST);
    let exclude = || match super::git_folder::common_git_folder(&folder.join(".git")) {
        Some(git) => regular_file::read(&git.join("info/exclude"), LARGEST),
        None => Ok(Vec::new()),
    };
    let files = [(".ignore", own(".ignore")), (".gitignore", own(".gitignore")), (".git/info/exclude", exclude())];
    let mut layers = [Gitignore::empty(), Gitignore::empty(), Gitignore::empty()];
    for (layer, (name, bytes)) in layers.iter_mut().zip(files) {
        let cannot = |why: String| format!("`{}` {why}", slashed(&folder.join(name)));
        match bytes {
            Ok(bytes) => *layer = compiled(&String::from_utf8_lossy(&bytes)).map_err(cannot)?,
            Err(error) if matches!(Rejection::of(&error), Some(Rejection::LargerThan(_))) => {
                return Err(cannot(format!("is {error}")));
            }
            // As in git.
            Err(_) => {}
        }
    }
    if layers.iter().all(Gitignore::is_empty) {
        return Ok(outer);
    }
    Ok(Some(Arc::new(FolderRules { folder: folder.to_owned(), layers, outer })))
}

fn compiled(text: &str) -> Result<Gitignore, String> {
    let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    if lines.clone().nth(MOST_PATTERNS).is_some() {
        return Err(format!("has more than {MOST_PATTERNS} patterns"));
    }
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        // Ignore invalid patterns.
        builder.add_line(None, line).ok();
    }
    builder.build().map_err(|_| "has patterns that take too much memory".to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests write the files of patterns")]

    use std::fs;

    use super::*;

    fn skipped(folder: &Path, path: &str) -> bool {
        IgnoreRules::new().skips(&folder.join(path), path.ends_with('/'))
    }

    #[test]
    fn the_nearest_and_strongest_rule_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(".gitignore", "\u{feff}*.log\n# *.py\n/anchored.py\nonly/\n!.shown.py\n");
        write("sub/.gitignore", "!kept.log\nown.py");
        write("sub/.ignore", "!own.py\nkept.py\n");
        write(".git/info/exclude", "excluded.py\n*.x\n");
        write("sub/deep/.gitignore", "!*.x\n");
        for (path, expected) in [
            ("a.py", false),
            ("a.log", true),
            ("sub/a.log", true),
            ("sub/kept.log", false),
            ("sub/own.py", false),
            ("sub/kept.py", true),
            ("anchored.py", true),
            ("sub/anchored.py", false),
            ("only/", true),
            ("only", false),
            ("sub/excluded.py", true),
            ("sub/a.x", true),
            ("sub/deep/a.x", false),
            (".hidden.py", true),
            (".shown.py", false),
        ] {
            assert_eq!(skipped(folder.path(), path), expected, "{path}");
        }
    }

    #[test]
    fn a_linked_work_tree_has_the_repositorys_exclude() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("main/.git/worktrees/tree")).unwrap();
        fs::create_dir_all(path("main/.git/info")).unwrap();
        fs::create_dir(path("tree")).unwrap();
        fs::write(path("main/.git/info/exclude"), "excluded.py").unwrap();
        fs::write(path("main/.git/worktrees/tree/commondir"), "../..\n").unwrap();
        fs::write(path("tree/.git"), "gitdir: ../main/.git/worktrees/tree\n").unwrap();
        assert!(skipped(&path("tree"), "excluded.py") && !skipped(&path("tree"), "a.py"));
    }

    #[test]
    fn too_many_patterns_make_a_folder_unusable() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".gitignore");
        let comments = "# nothing\n\n".repeat(3000);
        for (text, expected) in [
            (comments + &"*a*1\n".repeat(MOST_PATTERNS), None),
            ("*a*1\n".repeat(MOST_PATTERNS + 1), Some("has more than 2000 patterns")),
            ("#".repeat(64 * 1024 + 1), Some("is larger than 64 KiB")),
        ] {
            fs::write(&file, text).unwrap();
            for inside in [folder.path().to_owned(), folder.path().join("deep")] {
                let expected = expected.map(|words| format!("`{}` {words}", slashed(&file)));
                assert_eq!(IgnoreRules::new().problem(&inside), expected);
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_irregular_file_counts_as_missing() {
        let folder = tempfile::tempdir().unwrap();
        let ignore = folder.path().join(".gitignore");
        fs::write(folder.path().join("patterns"), "a.py").unwrap();
        std::os::unix::fs::symlink("patterns", &ignore).unwrap();
        assert!(!skipped(folder.path(), "a.py"));
        fs::remove_file(&ignore).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&ignore).status();
        assert!(made.is_ok_and(|status| status.success()), "the system has no mkfifo");
        assert!(!skipped(folder.path(), "a.py") && IgnoreRules::new().problem(folder.path()).is_none());
    }
}
