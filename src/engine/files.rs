//! The files that were read: what each is, and which files claim which id.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::plugin::{Invalid, Key, Kind, Parsed, Plugin};

/// The result of reading one path.
#[derive(Clone, Debug, PartialEq)]
pub enum Loaded {
    /// It was read whole.
    Parsed(Parsed),
    /// It is a link to this file, which is found in its own place.
    SameFile(PathBuf),
    /// There is nothing there, or nothing that the walk would find.
    Missing,
    /// It changed while it was read, or was written so recently that it may not be whole.
    Unsettled,
}

/// How far a link to a plugin may lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// To a file below a root.
    #[default]
    Inside,
    /// To any file.
    Anywhere,
}

/// What is at the path of a file that seems to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePresence {
    /// It is there again.
    File,
    /// It is gone from its folder.
    Folder,
    /// Its folder is gone as well.
    Nothing,
    /// Other files are being written or held back, and it may be one of them.
    Unsettled,
}

/// A file as it was last read.
#[derive(Clone, Debug, PartialEq)]
pub enum File {
    /// A plugin.
    Plugin(Arc<Plugin>),
    /// Meant as one, but not deployable.
    Flawed {
        /// What is wrong with it.
        flaw: Invalid,
        /// The plugin that it was before, if it was one.
        was: Option<Arc<Plugin>>,
    },
    /// Not ours.
    Other,
}

impl File {
    /// The plugin in it, if it is one.
    #[must_use]
    pub fn plugin(&self) -> Option<&Arc<Plugin>> {
        match self {
            File::Plugin(plugin) => Some(plugin),
            File::Flawed { .. } | File::Other => None,
        }
    }

    /// The plugin in it, or the one that was in it before it was broken.
    #[must_use]
    pub fn known(&self) -> Option<&Arc<Plugin>> {
        match self {
            File::Plugin(plugin) | File::Flawed { was: Some(plugin), .. } => Some(plugin),
            File::Flawed { was: None, .. } | File::Other => None,
        }
    }

    /// Whether it is meant as a plugin but cannot be deployed. Its id is then unknown.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self, File::Flawed { flaw, was } if flaw.meant || was.is_some())
    }

    /// Whether it is a folder that cannot be read, and may contain plugins.
    #[must_use]
    pub fn is_unreadable_folder(&self) -> bool {
        matches!(self, File::Flawed { flaw, .. } if flaw.is_of_folder())
    }
}

/// The files, and the ids that they claim.
#[derive(Debug, Default)]
pub struct Files {
    by_path: BTreeMap<Arc<Path>, File>,
    /// Each id with the paths of its plugins, in order. Nearly always there is one.
    claims: BTreeMap<Key, Vec<Arc<Path>>>,
}

impl IntoIterator for Files {
    type Item = (Arc<Path>, File);
    type IntoIter = std::collections::btree_map::IntoIter<Arc<Path>, File>;

    fn into_iter(self) -> Self::IntoIter {
        self.by_path.into_iter()
    }
}

/// The owner of an id.
#[derive(Clone, Debug, PartialEq)]
pub enum Owner {
    /// No file.
    None,
    /// One plugin, as it should be.
    One(Arc<Plugin>),
    /// Several files.
    Conflict(Vec<Arc<Path>>),
}

impl Files {
    /// Puts down what a path holds; answers what it held before.
    pub fn put(&mut self, path: Arc<Path>, file: File) -> Option<File> {
        let before = self.remove(&path);
        if let Some(plugin) = file.plugin() {
            let claimants = self.claims.entry(plugin.key.clone()).or_default();
            if let Err(place) = claimants.binary_search(&path) {
                claimants.reserve_exact(1);
                claimants.insert(place, Arc::clone(&path));
            }
        }
        self.by_path.insert(path, file);
        before
    }

    /// Forgets a path; answers what it held.
    pub fn remove(&mut self, path: &Path) -> Option<File> {
        let before = self.by_path.remove(path)?;
        if let Some(plugin) = before.plugin()
            && let Some(claimants) = self.claims.get_mut(&plugin.key)
        {
            claimants.retain(|claimant| **claimant != *path);
            if claimants.is_empty() {
                self.claims.remove(&plugin.key);
            }
        }
        Some(before)
    }

    /// Drops a deployed text from memory: the file has it.
    pub fn drop_text(&mut self, plugin: &Plugin) {
        if let Some(File::Plugin(held)) = self.by_path.get_mut(&plugin.path)
            && held.digest == plugin.digest
            && held.has_text()
        {
            Arc::make_mut(held).drop_text();
        }
    }

    /// The last reading of a path.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&File> {
        self.by_path.get(path)
    }

    /// The owner of an id.
    #[must_use]
    pub fn owner(&self, key: &Key) -> Owner {
        let Some(claimants) = self.claims.get(key) else { return Owner::None };
        if claimants.len() > 1 {
            return Owner::Conflict(claimants.clone());
        }
        let plugin = claimants.first().and_then(|path| self.by_path.get(path)).and_then(File::plugin);
        plugin.map_or(Owner::None, |plugin| Owner::One(Arc::clone(plugin)))
    }

    /// Every id that is claimed.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.claims.keys()
    }

    /// Every file, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Path>, &File)> {
        self.by_path.iter()
    }

    /// Every plugin, contested or not.
    pub fn plugins(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.by_path.values().filter_map(File::plugin)
    }

    /// The tables that the plugins go to.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.claims.keys().map(|key| key.kind).collect()
    }
}
