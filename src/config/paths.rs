//! Paths in settings: as the user would type them, and so that two of them can be compared.

use std::path::{Component, Path, PathBuf};

/// A path without `./`, doubled slashes and a slash at its end. `..` stays: behind a link it is not what it seems.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let tidy: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if tidy.as_os_str().is_empty() { PathBuf::from(".") } else { tidy }
}

/// A path from the top, for comparing.
pub(super) fn absolute(cwd: &Path, path: &Path) -> PathBuf {
    let mut full = PathBuf::new();
    for part in cwd.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(full.pop()),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => full.push(part),
        }
    }
    full
}

/// A path below a root as the files that are found there are spelled; `None` where it is below none.
pub(super) fn spelled(path: &Path, roots: &[PathBuf], cwd: &Path) -> Option<PathBuf> {
    let full = absolute(cwd, path);
    let below = |root: &PathBuf| full.strip_prefix(absolute(cwd, root)).ok().map(|rest| tidy(&root.join(rest)));
    roots.iter().find_map(below)
}

/// A path as messages show it.
pub(super) fn ticked(path: &Path) -> String {
    format!("`{}`", path.display())
}
