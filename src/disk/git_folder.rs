//! The folder where git keeps the state of a work tree, and whether git is changing that tree.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Plugins;
use super::age::age;
use crate::regular_file::{self, ONE_MIB};

/// A git lock older than this is stale.
pub(super) const STALE_LOCK: Duration = Duration::from_secs(30);

/// Git's locks of a work tree and of its current commit.
const LOCKS: [&str; 2] = ["index.lock", "HEAD.lock"];

impl Plugins {
    pub(super) fn find_git(&mut self) {
        let folders = self.roots.iter().filter_map(|root| git_folder(root));
        // A checkout holds the first, and then the second while it moves to the other commit.
        self.git_locks = folders.flat_map(|folder| LOCKS.map(|lock| folder.join(lock))).collect();
    }

    /// Whether git is in the middle of changing the work tree.
    #[must_use]
    pub fn git_busy(&self) -> bool {
        let fresh = |lock: std::fs::Metadata| age(&lock).is_none_or(|age| age < STALE_LOCK);
        self.git_locks.iter().any(|lock| lock.metadata().is_ok_and(fresh))
    }
}

/// The folder where git keeps the state of the work tree around `path`.
fn git_folder(path: &Path) -> Option<PathBuf> {
    let full = std::path::absolute(path).ok()?;
    let dot_git = full.ancestors().map(|folder| folder.join(".git")).find(|dot_git| dot_git.exists())?;
    named_git_folder(&dot_git)
}

/// The folder that `.git` is, or names in a linked work tree.
fn named_git_folder(dot_git: &Path) -> Option<PathBuf> {
    if dot_git.is_dir() {
        return Some(dot_git.to_owned());
    }
    let folder = first_line(dot_git)?.strip_prefix("gitdir:")?.trim().to_owned();
    Some(dot_git.parent()?.join(folder))
}

/// The folder that all work trees of a repository share.
pub(super) fn common_git_folder(dot_git: &Path) -> Option<PathBuf> {
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
