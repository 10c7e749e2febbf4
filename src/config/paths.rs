//! Paths in settings: as the user would type them, and so that two of them can be compared.

use std::path::{Path, PathBuf};

use crate::paths::{tidy, without_dots};

/// A path below a root as the files that are found there are spelled; `None` where it is below none.
pub(super) fn spelled(path: &Path, roots: &[PathBuf], cwd: &Path) -> Option<PathBuf> {
    let full = without_dots(&cwd.join(path));
    let below =
        |root: &PathBuf| full.strip_prefix(without_dots(&cwd.join(root))).ok().map(|rest| tidy(&root.join(rest)));
    roots.iter().find_map(below)
}

/// A path as messages show it.
pub(super) fn ticked(path: &Path) -> String {
    format!("`{}`", path.display())
}
