//! The server's version, as the last watch heard it: `check` asks no server.

use std::path::PathBuf;

use super::Folder;
use crate::whole_file::Lasting;

/// No version has more bytes.
const LONGEST: u64 = 100;

impl Folder {
    /// The version that the server had last; `None` if nothing is known.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let bytes = self.owner().and_then(|_| self.read(&self.version_file(), LONGEST).ok())?;
        let version = String::from_utf8(bytes).ok()?.trim().to_owned();
        (!version.is_empty()).then_some(version)
    }

    /// Keeps the server's version. A write that fails costs nothing but a less exact `check`.
    pub fn save_version(&self, version: &str) -> anyhow::Result<()> {
        if self.version().as_deref() == Some(version) {
            return Ok(());
        }
        self.write(&self.version_file(), version.as_bytes(), Lasting::Written)
    }

    fn version_file(&self) -> PathBuf {
        self.path.join(format!("version-{}", self.server))
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_version_is_kept_per_server() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("state");
        let (here, there) = (Folder::new(path.clone(), "http://h"), Folder::new(path.clone(), "http://t"));
        assert_eq!(here.version(), None);
        let _state = State::open(path, "http://h").unwrap();
        here.save_version("0.9.6").unwrap();
        assert_eq!((here.version().as_deref(), there.version()), (Some("0.9.6"), None));
        here.save_version("0.12.4").unwrap();
        assert_eq!(here.version().as_deref(), Some("0.12.4"));
        here.save_version(&"9".repeat(200)).unwrap();
        assert_eq!(here.version(), None);
    }
}
