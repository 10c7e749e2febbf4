//! Paths in settings, in a form that can be shown and compared.

use std::path::{Path, PathBuf};

use crate::paths::{slashed, tidy, without_dots};

/// A path below a root as the walk spells it; `None` outside the roots.
pub(super) fn spelled(path: &Path, roots: &[PathBuf], cwd: &Path) -> Option<PathBuf> {
    let full = without_dots(&cwd.join(path));
    let below =
        |root: &PathBuf| full.strip_prefix(without_dots(&cwd.join(root))).ok().map(|rest| tidy(&root.join(rest)));
    roots.iter().find_map(below)
}

/// A path as messages show it.
pub(super) fn ticked(path: &Path) -> String {
    format!("`{}`", slashed(&path))
}
