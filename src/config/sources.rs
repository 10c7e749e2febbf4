//! The sources of settings: the process's environment, and the files that were read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{ConfigError, Request};
use crate::paths::{slashed, tidy};
use crate::plugin::Digest;
use crate::regular_file::{self, ONE_MIB};

/// The environment that the settings depend on.
#[derive(Clone, Default)]
pub struct World {
    /// The environment variables. They may hold the API key, so a `World` has no `Debug`.
    pub env: BTreeMap<String, String>,
    /// The current folder.
    pub cwd: PathBuf,
    /// The folder of the settings, relative to the current one: empty for the current folder itself.
    pub project: PathBuf,
    /// The user's configuration folder.
    pub config_home: Option<PathBuf>,
    /// The user's home, for paths that begin with `~/`.
    pub home: Option<PathBuf>,
    /// Requests that the user agreed to in this run, not saved yet.
    pub agreed: Vec<Request>,
    /// Requests that the user declined in this run.
    pub declined: Vec<Request>,
}

impl World {
    /// The world of this user's service, which does not inherit this shell. Its credentials are the files beside the
    /// user's `watch.toml`.
    #[must_use]
    pub fn of_service(&self) -> Self {
        let folder = self.config_home.as_ref().map(|home| slashed(&home.join("owui-watch")));
        let env = folder.into_iter().map(|folder| ("CREDENTIALS_DIRECTORY".to_owned(), folder)).collect();
        Self { env, ..self.clone() }
    }

    /// The value of a variable, unless it is empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.env.get(name).and_then(|value| filled(value))
    }

    /// A path written in a file in `base`, relative to the current folder.
    pub(super) fn resolve(&self, base: &Path, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => tidy(&home.join(rest)),
            (Some(_), None) | (None, _) => tidy(&base.join(path)),
        }
    }
}

/// A trimmed value; `None` if it is empty.
pub(super) fn filled(value: &str) -> Option<&str> {
    Some(value.trim()).filter(|value| !value.is_empty())
}

/// The files that were read for the settings, existing or not, with their content.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources(BTreeMap<PathBuf, Result<Digest, io::ErrorKind>>);

impl Sources {
    /// The files, as messages name them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// The files of this reading that have changed in a later one.
    #[must_use]
    pub fn changed(&self, later: &Self) -> Vec<PathBuf> {
        let other = |(path, content): &(&PathBuf, _)| later.0.get(*path).is_some_and(|later| later != *content);
        self.0.iter().filter(other).map(|(path, _)| path.clone()).collect()
    }

    /// Whether a file disappeared or became empty in a later reading, which suggests a save in progress.
    #[must_use]
    pub fn lost(&self, later: &Self) -> bool {
        let empty = Digest::of(b"");
        let holds = |content: &Result<Digest, _>| content.as_ref().is_ok_and(|digest| *digest != empty);
        self.0.iter().any(|(path, content)| holds(content) && later.0.get(path).is_some_and(|later| !holds(later)))
    }

    /// Adds a later reading. It may be partial: a failed reading stops early.
    pub fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// Reads a text; `None` if there is no such file.
    pub(super) fn read(&mut self, path: &Path, world: &World) -> Result<Option<String>, ConfigError> {
        let Some(bytes) = self.bytes(path, world)? else { return Ok(None) };
        let not_text = |_| ConfigError::unreadable(path, &io::ErrorKind::InvalidData.into());
        let text = String::from_utf8(bytes).map_err(not_text)?;
        // Editors on Windows add a byte order mark.
        Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
    }

    /// Reads a regular file; `None` if there is none.
    pub(super) fn bytes(&mut self, path: &Path, world: &World) -> Result<Option<Vec<u8>>, ConfigError> {
        let full = world.cwd.join(path);
        let bytes = regular_file::read(&full, ONE_MIB);
        let content = bytes.as_ref().map(|bytes| Digest::of(bytes)).map_err(io::Error::kind);
        self.0.insert(path.to_owned(), content);
        match bytes {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(_) if full.is_dir() => Err(ConfigError::unreadable(path, &io::ErrorKind::IsADirectory.into())),
            Err(error) => Err(ConfigError::unreadable(path, &error)),
        }
    }
}
