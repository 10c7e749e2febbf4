//! Which rules apply to which file, and whether their errors hold back a deploy: the `check` settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Options, check};
use crate::plugin::{Diagnostic, Plugin, Severity};
use crate::server_version::ServerVersion;

/// The `check` settings of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The ids of the rules to use; empty for all.
    pub select: Vec<String>,
    /// The ids of the rules to leave out.
    pub ignore: Vec<String>,
    /// Whether an error holds back the deploy.
    pub block: bool,
}

/// The `check` settings of all files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The settings of every file without its own.
    pub all: Choice,
    /// The settings of single files, by path.
    pub files: BTreeMap<PathBuf, Choice>,
}

impl Choices {
    /// The settings of this file.
    #[must_use]
    pub fn of(&self, path: &Path) -> &Choice {
        self.files.get(path).unwrap_or(&self.all)
    }

    /// How to check this file for a server of this version.
    #[must_use]
    pub fn options(&self, path: &Path, version: ServerVersion) -> Options {
        let Choice { select, ignore, block: _ } = self.of(path).clone();
        Options { version, select, ignore }
    }

    /// Whether an error in this file holds back its deploy.
    #[must_use]
    pub fn block(&self, path: &Path) -> bool {
        self.of(path).block
    }

    /// The errors of this plugin, whether or not they hold back its deploy.
    #[must_use]
    pub fn errors(&self, plugin: &Plugin, version: ServerVersion) -> Vec<Diagnostic> {
        let mut found = check(plugin, &plugin.text, &self.options(&plugin.path, version));
        found.retain(|diagnostic| diagnostic.severity() == Severity::Error);
        found
    }
}
