//! Finds the project from a folder below it, as git, cargo and uv do: the nearest folder with a `watch.toml`, or with a
//! `.env` that has settings of ours.

use std::env;
use std::path::{Path, PathBuf};

use super::schema::KeyRow;
use super::{World, dotenv};
use crate::paths::canonical;
use crate::regular_file::{self, ONE_MIB};

impl World {
    /// The world of this process.
    #[must_use]
    pub fn real() -> Self {
        use etcetera::base_strategy::{BaseStrategy as _, Xdg};

        let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
        // If the current folder is gone, each relative path fails with its own error.
        let (cwd, home) = (env::current_dir().unwrap_or_default(), etcetera::home_dir().ok());
        Self {
            env: env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            // Once: a reload looks nowhere else.
            project: above(&cwd, home.as_deref()),
            cwd,
            config_home: Xdg::new().ok().map(|xdg| xdg.config_dir()),
            home,
            agreed: Vec::new(),
            declined: Vec::new(),
        }
    }
}

/// The project above the current folder, relative to it. Empty if the current folder is one, or if there is none: the
/// search ends below the user's home, and at the border of a file system. Files of other users do not count.
fn above(cwd: &Path, home: Option<&Path>) -> PathBuf {
    let root = KeyRow::find("root").map_or("", |row| row.default.trim_matches('"'));
    // The current folder has no links in its path.
    let real_home = home.and_then(|home| canonical(home).ok());
    let is_home = |folder: &Path| [home, real_home.as_deref()].contains(&Some(folder));
    // A folder with plugins needs no settings.
    if is_project(cwd) || cwd.join(root).is_dir() || is_home(cwd) {
        return PathBuf::new();
    }
    let (mut relative, device) = (PathBuf::new(), device(cwd));
    for folder in cwd.ancestors().skip(1) {
        relative.push("..");
        if is_home(folder) || self::device(folder) != device {
            break;
        }
        if is_project(folder) {
            return relative;
        }
    }
    PathBuf::new()
}

fn is_project(folder: &Path) -> bool {
    let (settings, dotenv) = (folder.join("watch.toml"), folder.join(".env"));
    let sets_ours = |text: Vec<u8>| dotenv::sets_ours(&String::from_utf8_lossy(&text));
    is_own(&settings) || is_own(&dotenv) && regular_file::read(&dotenv, ONE_MIB).is_ok_and(sets_ours)
}

/// Whether this is a file of the user: in a folder that others write to, theirs are no settings.
#[cfg(unix)]
fn is_own(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let is_own = |metadata: std::fs::Metadata| metadata.is_file() && metadata.uid() == super::key::user();
    file.metadata().is_ok_and(is_own)
}

#[cfg(not(unix))]
fn is_own(file: &Path) -> bool {
    file.is_file()
}

#[cfg(unix)]
fn device(folder: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    folder.metadata().ok().map(|metadata| metadata.dev())
}

/// Windows has a drive in each path.
#[cfg(not(unix))]
fn device(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test sets its own scene")]

    use std::fs;

    use super::*;
    use crate::paths::slashed;

    #[test]
    fn the_nearest_project_above_is_found() {
        let top = tempfile::tempdir().unwrap();
        let top = canonical(top.path()).unwrap();
        let below = top.join("home/bot/plugins/pipes");
        fs::create_dir_all(&below).unwrap();
        let home = top.join("home");
        let found = |cwd: &Path| slashed(&above(cwd, Some(&home)));
        assert_eq!(found(&below), "");
        // Another program's variables, and what lies in the home or above it, do not count.
        fs::write(top.join("home/bot/.env"), "TOKEN=1\n").unwrap();
        fs::write(top.join("home/watch.toml"), "").unwrap();
        fs::write(top.join("watch.toml"), "").unwrap();
        assert_eq!(found(&below), "");
        fs::write(top.join("home/bot/.env"), "export OPENWEBUI_URL=http://h\n").unwrap();
        assert_eq!(found(&below), "../..");
        fs::write(top.join("home/bot/plugins/watch.toml"), "").unwrap();
        assert_eq!(found(&below), "..");
        assert_eq!(found(&top.join("home/bot/plugins")), "");
        // A folder with plugins needs no settings.
        fs::remove_file(top.join("home/bot/.env")).unwrap();
        fs::create_dir(top.join("home/bot/plugins/plugins")).unwrap();
        fs::create_dir_all(below.join("plugins")).unwrap();
        assert_eq!(found(&below), "");
        assert_eq!(found(&home), "");
    }

    #[cfg(unix)]
    #[test]
    fn a_home_that_is_a_link_ends_the_search() {
        let top = tempfile::tempdir().unwrap();
        let top = canonical(top.path()).unwrap();
        let below = top.join("data/me/a/b");
        fs::create_dir_all(&below).unwrap();
        std::os::unix::fs::symlink("data/me", top.join("home")).unwrap();
        for settings in ["data/me/watch.toml", "data/watch.toml"] {
            fs::write(top.join(settings), "").unwrap();
        }
        assert_eq!(above(&below, Some(&top.join("home"))), Path::new(""));
        assert_eq!(above(&top.join("data/me/a"), Some(&top.join("home"))), Path::new(""));
        assert_eq!(above(&below, None), Path::new("../.."));
    }

    #[test]
    fn a_folder_in_its_place_is_no_project() {
        let top = tempfile::tempdir().unwrap();
        let below = top.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        fs::create_dir(top.path().join("a/watch.toml")).unwrap();
        assert_eq!(above(&below, Some(top.path())), Path::new(""));
    }
}
