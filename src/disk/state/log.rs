//! A log per plugin, bounded: two files, and the older one is deleted when the newer one is full.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::LOGS;
use super::trust;
use super::{Folder, despite_removal, private_file};
use crate::paths::slashed;
use crate::plugin::Key;
use crate::printable;
use crate::whole_file::{Lasting, make_folders};

/// A plugin's log begins anew at this size; the one before is kept as `.log.1`.
const LARGEST_LOG: u64 = 256 * 1024;

impl Folder {
    /// Adds a line to a plugin's log.
    pub fn log(&self, key: &Key, line: &str) -> anyhow::Result<()> {
        let path = self.path.join(LOGS).join(format!("{}-{}.log", key.kind.word(), key.id));
        let line = printable::line(line);
        despite_removal(|| self.append(&path, &line)).with_context(|| format!("writing `{}`", slashed(&path)))
    }

    fn append(&self, path: &Path, line: &str) -> anyhow::Result<()> {
        let open = || trust::open(&self.path, path, private_file().append(true));
        let mut file = match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.made()?;
                make_folders(path.parent().unwrap_or(&self.path), Lasting::Written)?;
                open()?
            }
            opened => opened?,
        };
        if file.metadata()?.len() > LARGEST_LOG {
            fs::rename(path, path.with_extension("log.1"))?;
            file = open()?;
        }
        // One write: a line is whole or not there.
        file.write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::plugin::{Kind, id::PluginId};

    #[test]
    fn a_log_is_bounded_and_keeps_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key { kind: Kind::Tool, id: PluginId::new("clock").unwrap() };
        let state = State::open(folder.path().join("state"), "http://h").unwrap();
        let line = "x".repeat(1000);
        for _ in 0..600 {
            state.log(&key, &line).unwrap();
        }
        let logs = folder.path().join("state/logs");
        let size = |name: &str| logs.join(name).metadata().unwrap().len();
        assert!(size("tool-clock.log") <= LARGEST_LOG + 1001);
        assert!(size("tool-clock.log.1") <= LARGEST_LOG + 1001);
        assert_eq!(fs::read_dir(&logs).unwrap().count(), 2);
    }
}
