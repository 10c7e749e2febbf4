//! What may be used below the state folder: real folders and regular files of this user, that nobody else can write to.
//! A cloned or unpacked project may carry links there that lead to any other file of the user.
#![expect(clippy::disallowed_methods, reason = "the files of the state folder are opened here alone")]

use std::fmt;
use std::fs::{self, DirBuilder, DirEntry, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::regular_file;

/// Why a path of the state folder is not used. Carried by an [`io::Error`].
#[derive(Debug)]
pub(super) struct Distrust {
    path: PathBuf,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Link,
    NotAFolder,
    OtherOwner,
    #[cfg(unix)]
    OthersWrite,
}

impl Distrust {
    /// What the user can do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self.reason {
            Reason::Link => "remove the link, or set `state` in watch.toml to the folder that it leads to",
            Reason::NotAFolder => "remove it, or set `state` in watch.toml to another folder",
            Reason::OtherOwner => "set `state` in watch.toml to a folder of your own",
            #[cfg(unix)]
            Reason::OthersWrite => "set `state` in watch.toml to a folder that only you can write to",
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            Reason::Link => "is a link",
            Reason::NotAFolder => "is not a folder",
            Reason::OtherOwner => "belongs to another user",
            #[cfg(unix)]
            Reason::OthersWrite => "can be written to by other users",
        };
        write!(f, "`{}` {reason}", self.path.display())
    }
}

impl std::error::Error for Distrust {}

fn distrust(path: &Path, reason: Reason) -> io::Error {
    io::Error::other(Distrust { path: path.to_owned(), reason })
}

/// Checks a folder and each folder between `top`, which is checked too, and it. A folder that does not exist yet is fine.
///
/// # Errors
///
/// [`Distrust`], or the system's error.
pub(super) fn check_folders(top: &Path, folder: &Path) -> io::Result<()> {
    let rest = folder.strip_prefix(top).unwrap_or(Path::new(""));
    // `folder/` is the folder behind a link, `folder` the link itself.
    let mut path: PathBuf = top.components().collect();
    let mut parts = rest.components();
    loop {
        match check_folder(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            checked => checked?,
        }
        match parts.next() {
            Some(part) => path.push(part),
            None => return Ok(()),
        }
    }
}

fn check_folder(path: &Path) -> io::Result<()> {
    let metadata = path.symlink_metadata()?;
    if metadata.is_symlink() {
        return Err(distrust(path, Reason::Link));
    }
    if !metadata.is_dir() {
        return Err(distrust(path, Reason::NotAFolder));
    }
    if !is_ours(&metadata) {
        return Err(distrust(path, Reason::OtherOwner));
    }
    keep_others_out(path, &metadata)
}

#[cfg(unix)]
fn is_ours(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_ours(_: &Metadata) -> bool {
    true
}

/// Takes the right to write from everyone else.
#[cfg(unix)]
fn keep_others_out(path: &Path, metadata: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    const OTHERS_WRITE: u32 = 0o022;
    let mode = metadata.permissions().mode();
    if mode & OTHERS_WRITE == 0 {
        return Ok(());
    }
    let mended = fs::set_permissions(path, fs::Permissions::from_mode(mode & !OTHERS_WRITE));
    // Some file systems take a change of permissions and do nothing.
    if mended.is_ok() && path.symlink_metadata()?.permissions().mode() & OTHERS_WRITE == 0 {
        Ok(())
    } else {
        Err(distrust(path, Reason::OthersWrite))
    }
}

#[cfg(not(unix))]
fn keep_others_out(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Opens a file below `top`, without following a link anywhere below it.
///
/// # Errors
///
/// [`Distrust`], a [`regular_file::Rejection`], or the system's error.
pub(super) fn open(top: &Path, path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    check_folders(top, path.parent().unwrap_or(top))?;
    let file = regular_file::open_no_follow(path, options)?;
    if is_ours(&file.metadata()?) { Ok(file) } else { Err(distrust(path, Reason::OtherOwner)) }
}

/// Reads a file below `top` of at most `most` bytes.
///
/// # Errors
///
/// [`Distrust`], a [`regular_file::Rejection`], or the system's error.
pub(super) fn read(top: &Path, path: &Path, most: u64) -> io::Result<Vec<u8>> {
    regular_file::read_opened(open(top, path, OpenOptions::new().read(true))?, most)
}

/// The entries of a folder below `top`; none where it cannot be listed or trusted.
pub(super) fn entries(top: &Path, folder: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    let listed = check_folders(top, folder).and_then(|()| fs::read_dir(folder));
    listed.into_iter().flatten().filter_map(Result::ok)
}

/// What a write outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// A power cut.
    Synced,
    /// The end of the program.
    Written,
}

/// Makes a folder for the user alone, with the missing folders above it.
pub(super) fn make_folders(path: &Path, lasting: Lasting) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|folder| !exists(folder)).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(false);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    for folder in missing.into_iter().rev() {
        match builder.create(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made?,
        }
        if lasting == Lasting::Synced {
            sync_folder(parent(folder))?;
        }
    }
    Ok(())
}

fn exists(folder: &Path) -> bool {
    folder.as_os_str().is_empty() || folder.symlink_metadata().is_ok()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Puts the names in a folder on disk: a file that was synced is lost all the same if its name is not there after a power
/// cut.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(test)]
    SYNCED.with_borrow_mut(|synced| synced.push(folder.to_owned()));
    match File::open(folder)?.sync_all() {
        // Some file systems cannot do it.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// The system opens no folders to sync them.
#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
thread_local! {
    /// The folders that this thread has synced: nothing else shows it short of a power cut.
    pub(super) static SYNCED: std::cell::RefCell<Vec<PathBuf>> = const { std::cell::RefCell::new(Vec::new()) };
}
