//! Why the state cannot be used, and what to do about it.

use std::path::Path;
use std::{fmt, io};

use super::trust::Distrust;
use super::{Folder, Other};
use crate::paths::slashed;

/// Why the state cannot be used, and what to do about it. A type of its own, since it names the lock holder, which a
/// run with `--wait` waits for. The daemon and the commands convert it to an [`Error`](crate::error::Error).
#[derive(Debug)]
pub struct StateError {
    pub(super) message: String,
    pub(super) hint: String,
    /// The lock holder.
    pub(super) other: Option<Other>,
}

impl StateError {
    /// The state folder is tracked by git: a clone would bring state along, a push would publish what the server holds.
    #[must_use]
    pub fn tracked(folder: &Path) -> Self {
        let folder = slashed(&folder);
        Self {
            message: format!("cannot keep state in `{folder}`: git tracks it"),
            hint: format!("to untrack it, run `git rm -r --cached {folder}`"),
            other: None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The lock holder, if the lock is the problem.
    #[must_use]
    pub fn other(&self) -> Option<Other> {
        self.other
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StateError> for crate::error::Error {
    fn from(error: StateError) -> Self {
        Self::new(error.message).hinted(error.hint)
    }
}

impl Folder {
    pub(super) fn cannot_keep(&self, cause: &anyhow::Error) -> StateError {
        let mut causes = cause.chain();
        let distrust = causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref());
        StateError {
            message: format!("cannot keep state in `{}`: {cause:#}", slashed(&self.path)),
            hint: distrust.map_or_else(
                || "set `OWUI_WATCH_STATE` in the environment to a folder that you may write to".to_owned(),
                Distrust::hint,
            ),
            other: None,
        }
    }
}
