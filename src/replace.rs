//! Puts a finished file in the place of another, on each system: at any moment there is the old content or the new one.
#![cfg_attr(
    any(windows, test),
    expect(clippy::disallowed_methods, reason = "the one place that replaces files, and its tests")
)]

use std::io;
use std::path::Path;

use tempfile::TempPath;

/// Moves a temporary file, which is closed, to `target`. If that fails, the temporary file is removed.
///
/// # Errors
///
/// The system's error.
#[cfg(not(windows))]
pub fn replace(finished: TempPath, target: &Path) -> io::Result<()> {
    Ok(finished.persist(target)?)
}

/// Moves a temporary file, which is closed, to `target`. If that fails, the temporary file is removed.
///
/// Windows replaces no file that another program keeps for itself, as virus scanners and indexers do for a moment: it is
/// tried again for a third of a second. The standard library's `rename` also replaces a file that is open in another
/// owui-watch, and `persist` does not.
///
/// # Errors
///
/// The system's error.
#[cfg(windows)]
pub fn replace(finished: TempPath, target: &Path) -> io::Result<()> {
    const DENIED: i32 = 5;
    const IN_USE: i32 = 32;
    const PAUSES: [u64; 6] = [5, 10, 20, 40, 80, 160];
    // It is no longer marked as temporary, and is still removed if it cannot be moved.
    let finished = TempPath::try_from_path(finished.keep()?)?;
    for pause in PAUSES {
        match std::fs::rename(&finished, target) {
            Err(error) if matches!(error.raw_os_error(), Some(DENIED | IN_USE)) => {
                std::thread::sleep(std::time::Duration::from_millis(pause));
            }
            moved => return moved,
        }
    }
    std::fs::rename(&finished, target)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Read as _, Write as _};

    use super::*;

    fn finished(folder: &Path) -> TempPath {
        let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
        file.write_all(b"new").unwrap();
        file.into_temp_path()
    }

    #[test]
    fn a_file_is_replaced_while_somebody_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        replace(finished(folder.path()), &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        fs::write(&target, "old").unwrap();
        let mut reader = File::open(&target).unwrap();
        replace(finished(folder.path()), &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        let mut before = String::new();
        reader.read_to_string(&mut before).unwrap();
        assert_eq!(before, "old");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn what_cannot_be_moved_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("folder");
        fs::create_dir_all(target.join("deep")).unwrap();
        replace(finished(folder.path()), &target).unwrap_err();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left behind");
    }
}
