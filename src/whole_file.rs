//! Writes files whole: at any moment a file has its old content or its new one, on each system. A synced write survives
//! a power cut with its name, because its folder is synced as well.
#![expect(clippy::disallowed_methods, reason = "the one place that puts a file in the place of another")]

use std::fs::{DirBuilder, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

/// The prefix of a file that is being written. The walk ignores it.
pub const UNFINISHED: &str = ".owui-watch-";

/// The worst event that a write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// A power cut.
    Synced,
    /// The end of the program.
    Written,
}

/// Replaces or creates a file that only this user can read.
///
/// # Errors
///
/// The system's error.
pub fn write_whole(path: &Path, bytes: &[u8], lasting: Lasting) -> io::Result<()> {
    Draft::private(path)?.finish(bytes, lasting)?.replace()
}

/// An empty temporary file beside the file that it will become. Dropping it removes it.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    target: PathBuf,
}

impl Draft {
    /// A file that only this user can read.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn private(target: &Path) -> io::Result<Self> {
        Self::made(target, &mut tempfile::Builder::new())
    }

    /// A file with the permissions of any new file of this user.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn shared(target: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        let open_to_all = <Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
        // Limited by the user's umask.
        #[cfg(unix)]
        builder.permissions(open_to_all);
        Self::made(target, &mut builder)
    }

    fn made(target: &Path, builder: &mut tempfile::Builder<'_, '_>) -> io::Result<Self> {
        let file = builder.prefix(UNFINISHED).tempfile_in(parent(target))?;
        Ok(Self { file, target: target.to_owned() })
    }

    /// Gives it these permissions.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn permit(&self, permissions: Permissions) -> io::Result<()> {
        self.file.as_file().set_permissions(permissions)
    }

    /// Writes its content and closes it: a watch would take a later close for another save.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn finish(mut self, bytes: &[u8], lasting: Lasting) -> io::Result<Finished> {
        self.file.write_all(bytes)?;
        if lasting == Lasting::Synced {
            self.file.as_file().sync_all()?;
        }
        Ok(Finished { file: self.file.into_temp_path(), target: self.target, lasting })
    }
}

/// A written temporary file. Dropping it removes it.
#[derive(Debug)]
pub struct Finished {
    file: TempPath,
    target: PathBuf,
    lasting: Lasting,
}

impl Finished {
    /// Gives it its name; a file of that name is replaced.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn replace(self) -> io::Result<()> {
        replace(self.file, &self.target)?;
        sync_name(&self.target, self.lasting)
    }

    /// Gives it its name unless a file has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`], or the system's error.
    pub fn create(self) -> io::Result<()> {
        self.file.persist_noclobber(&self.target)?;
        sync_name(&self.target, self.lasting)
    }
}

/// Makes a folder for the user alone, with the missing folders above it.
///
/// # Errors
///
/// The system's error.
pub fn make_folders(path: &Path, lasting: Lasting) -> io::Result<()> {
    let is_there = |folder: &Path| folder.as_os_str().is_empty() || folder.symlink_metadata().is_ok();
    let missing: Vec<_> = path.ancestors().take_while(|folder| !is_there(folder)).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(false);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    for folder in missing.into_iter().rev() {
        match builder.create(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made?,
        }
        sync_name(folder, lasting)?;
    }
    Ok(())
}

/// The folder that a file lies in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that was synced is lost all the same if its folder does not know its name after a power cut.
#[cfg(unix)]
fn sync_name(path: &Path, lasting: Lasting) -> io::Result<()> {
    if lasting == Lasting::Written {
        return Ok(());
    }
    let folder = parent(path);
    #[cfg(test)]
    SYNCED.with_borrow_mut(|synced| synced.push(folder.to_owned()));
    match std::fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems cannot do it, and who may write in a folder may not always open it. The file has its name.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// The system opens no folders to sync them.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on other systems")]
fn sync_name(_: &Path, _: Lasting) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
thread_local! {
    /// The folders that this thread has synced: nothing else shows it short of a power cut.
    pub(crate) static SYNCED: std::cell::RefCell<Vec<PathBuf>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Moves a temporary file, which is closed, to `target`. If that fails, the temporary file is removed.
#[cfg(not(windows))]
fn replace(finished: TempPath, target: &Path) -> io::Result<()> {
    Ok(finished.persist(target)?)
}

/// Moves a temporary file, which is closed, to `target`. If that fails, the temporary file is removed.
///
/// Windows replaces no file that another program keeps for itself, as virus scanners and indexers do for a moment: it
/// is tried again for a third of a second. The standard library's `rename` also replaces a file that is open in another
/// owui-watch, and `persist` does not.
#[cfg(windows)]
fn replace(finished: TempPath, target: &Path) -> io::Result<()> {
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
    use std::fs;
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_while_somebody_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        write_whole(&target, b"old", Lasting::Written).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        let mut reader = fs::File::open(&target).unwrap();
        write_whole(&target, b"new", Lasting::Written).unwrap();
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
        write_whole(&target, b"new", Lasting::Written).unwrap_err();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left behind");
    }

    #[cfg(unix)]
    #[test]
    fn a_synced_write_syncs_the_folder_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name| Draft::shared(&folder.path().join(name)).unwrap();
        let writes: [&dyn Fn(Lasting) -> io::Result<()>; 3] = [
            &|lasting| write_whole(&folder.path().join("a"), b"", lasting),
            &|lasting| file("b").finish(b"", lasting)?.replace(),
            &|lasting| file(if lasting == Lasting::Synced { "c" } else { "d" }).finish(b"", lasting)?.create(),
        ];
        for write in writes {
            write(Lasting::Written).unwrap();
            assert_eq!(SYNCED.take(), [] as [PathBuf; 0]);
            write(Lasting::Synced).unwrap();
            assert_eq!(SYNCED.take(), [folder.path()]);
        }
    }
}
