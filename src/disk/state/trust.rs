//! Only real folders and regular files of this user that nobody else can write to are used below the state folder.
//! A cloned or unpacked project may carry links there that lead to any other file of the user.
#![expect(clippy::disallowed_methods, reason = "the files of the state folder are opened here alone")]

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirEntry, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use crate::paths::slashed;
use crate::regular_file;
use crate::whole_file::{Lasting, make_folders};

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
    NotAFile,
    Foreign,
    Git,
    OtherOwner,
    #[cfg(unix)]
    OthersWrite,
}

impl Distrust {
    /// What the user can do about it.
    pub(super) fn hint(&self) -> String {
        let words = match self.reason {
            Reason::Link => {
                "remove the link, or set `OWUI_WATCH_STATE` in the environment to the folder that it leads to"
            }
            Reason::NotAFolder | Reason::NotAFile => return format!("remove `{}`", slashed(&self.path)),
            Reason::Foreign | Reason::Git => "set `state` to a new or empty folder",
            Reason::OtherOwner => "set `OWUI_WATCH_STATE` in the environment to a folder of your own",
            #[cfg(unix)]
            Reason::OthersWrite => "set `OWUI_WATCH_STATE` in the environment to a folder that only you can write to",
        };
        words.to_owned()
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            Reason::Link => "is a link",
            Reason::NotAFolder => "is not a folder",
            Reason::NotAFile => "is not a regular file",
            Reason::Foreign => return f.write_str("it holds files that owui-watch did not write"),
            Reason::Git => return f.write_str("git keeps its own files there"),
            Reason::OtherOwner => "belongs to another user",
            #[cfg(unix)]
            Reason::OthersWrite => "can be written to by other users",
        };
        write!(f, "`{}` {reason}", slashed(&self.path))
    }
}

impl std::error::Error for Distrust {}

fn distrust(path: &Path, reason: Reason) -> io::Error {
    io::Error::other(Distrust { path: path.to_owned(), reason })
}

/// The error for something else in the place of a file of ours.
pub(super) fn not_a_file(path: &Path) -> io::Error {
    distrust(path, Reason::NotAFile)
}

/// The error for a folder with files that are not ours.
pub(super) fn foreign(folder: &Path) -> io::Error {
    distrust(folder, Reason::Foreign)
}

/// Refuses `.git` and every folder below it.
///
/// # Errors
///
/// [`Distrust`].
pub(super) fn refuse_git(folder: &Path) -> io::Result<()> {
    let is_git = |part: Component<'_>| part.as_os_str().eq_ignore_ascii_case(".git");
    if folder.components().any(is_git) { Err(distrust(folder, Reason::Git)) } else { Ok(()) }
}

/// Checks `top`, `folder`, and each folder between them. A folder that does not exist yet is fine.
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
        match check_folder(&path, top) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            checked => checked?,
        }
        match parts.next() {
            Some(part) => path.push(part),
            None => return Ok(()),
        }
    }
}

fn check_folder(path: &Path, top: &Path) -> io::Result<()> {
    let metadata = inspect_folder(path)?;
    keep_others_out(path, &metadata, top, |path, mode| fs::set_permissions(path, mode))
}

/// Checks that it is a folder of this user. Changes nothing.
///
/// # Errors
///
/// [`Distrust`], or the system's error.
pub(super) fn inspect_folder(path: &Path) -> io::Result<Metadata> {
    // `folder/` is the folder behind a link, `folder` the link itself.
    let path: PathBuf = path.components().collect();
    let metadata = path.symlink_metadata()?;
    if metadata.is_symlink() {
        return Err(distrust(&path, Reason::Link));
    }
    if !metadata.is_dir() {
        return Err(distrust(&path, Reason::NotAFolder));
    }
    if !is_ours(&metadata) {
        return Err(distrust(&path, Reason::OtherOwner));
    }
    Ok(metadata)
}

#[cfg(unix)]
fn is_ours(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_ours(_: &Metadata) -> bool {
    true
}

/// Changes permissions.
type Change = fn(&Path, fs::Permissions) -> io::Result<()>;

/// Takes the right to write from everyone else. Where the file system keeps no permissions, the folder may stay as open
/// as the project around it: whoever can write there can rewrite the plugins anyway.
#[cfg(unix)]
fn keep_others_out(path: &Path, metadata: &Metadata, top: &Path, change: Change) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode();
    if mode & OTHERS_WRITE == 0 {
        return Ok(());
    }
    let mended = change(path, fs::Permissions::from_mode(mode & !OTHERS_WRITE));
    let now = path.symlink_metadata()?;
    // Some file systems accept a change of permissions and ignore it.
    let is_private = mended.is_ok() && now.permissions().mode() & OTHERS_WRITE == 0;
    let around = std::path::absolute(top)?;
    if is_private || is_as_open(&around.parent().unwrap_or(&around).metadata()?, &now) {
        Ok(())
    } else {
        Err(distrust(path, Reason::OthersWrite))
    }
}

#[cfg(unix)]
const OTHERS_WRITE: u32 = 0o022;

/// Whether everyone who can write to a folder in a project can write to the project too.
#[cfg(unix)]
fn is_as_open(project: &Metadata, folder: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    const GROUP_WRITES: u32 = 0o020;
    const STICKY: u32 = 0o1000;
    let open = folder.mode() & OTHERS_WRITE;
    let is_one_group = open & GROUP_WRITES == 0 || project.gid() == folder.gid();
    project.mode() & open == open && is_one_group && project.mode() & STICKY == 0
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on other systems")]
fn keep_others_out(_: &Path, _: &Metadata, _: &Path, _: Change) -> io::Result<()> {
    Ok(())
}

/// Opens a file below `top`, without following a link anywhere below it.
///
/// # Errors
///
/// [`Distrust`], a [`regular_file::Rejection`], or the system's error.
pub(super) fn open(top: &Path, path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    check_folders(top, path.parent().unwrap_or(top))?;
    open_ours(path, options)
}

fn open_ours(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
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

/// Reads a file of at most `most` bytes in a folder of this user. Changes nothing, not even permissions.
///
/// # Errors
///
/// [`Distrust`], a [`regular_file::Rejection`], or the system's error.
pub(super) fn read_unchanged(folder: &Path, path: &Path, most: u64) -> io::Result<Vec<u8>> {
    inspect_folder(folder)?;
    regular_file::read_opened(open_ours(path, OpenOptions::new().read(true))?, most)
}

/// The names in a folder of this user. Changes nothing.
///
/// # Errors
///
/// [`Distrust`], or the system's error.
pub(super) fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    inspect_folder(folder)?;
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}

/// Moves a file or folder. A folder that the file system cannot rename, as in a lower layer of overlayfs, is moved
/// entry by entry; a link is moved as such.
///
/// # Errors
///
/// The system's error.
pub(super) fn move_entry(from: &Path, to: &Path) -> io::Result<()> {
    move_entry_by(from, to, |from, to| fs::rename(from, to))
}

fn move_entry_by(from: &Path, to: &Path, rename: fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    let refused = match rename(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => error,
        moved => return moved,
    };
    let kind = from.symlink_metadata()?.file_type();
    if kind.is_dir() {
        make_folders(to, Lasting::Written)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            move_entry_by(&from.join(&name), &to.join(&name), rename)?;
        }
        return fs::remove_dir(from);
    }
    if kind.is_file() {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        io::copy(&mut regular_file::open_no_follow(from, OpenOptions::new().read(true))?, &mut options.open(to)?)?;
    } else if kind.is_symlink() {
        copy_link(from, to)?;
    } else {
        return Err(refused);
    }
    fs::remove_file(from)
}

#[cfg(unix)]
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(fs::read_link(from)?, to)
}

#[cfg(not(unix))]
fn copy_link(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::CrossesDevices.into())
}

/// The entries of a folder below `top`; none where it cannot be listed or trusted.
pub(super) fn entries(top: &Path, folder: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    let listed = check_folders(top, folder).and_then(|()| fs::read_dir(folder));
    listed.into_iter().flatten().filter_map(Result::ok)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_folder_that_cannot_be_renamed_is_moved_entry_by_entry() {
        let rename: [fn(&Path, &Path) -> io::Result<()>; 2] = [
            // As overlayfs does it.
            |from, to| {
                if from.symlink_metadata()?.is_dir() {
                    return Err(ErrorKind::CrossesDevices.into());
                }
                fs::rename(from, to)
            },
            |_, _| Err(ErrorKind::CrossesDevices.into()),
        ];
        for rename in rename {
            let around = tempfile::tempdir().unwrap();
            let path = |name: &str| around.path().join(name);
            fs::create_dir_all(path("from/a/b")).unwrap();
            fs::create_dir(path("outside")).unwrap();
            fs::write(path("outside/kept"), "as it was").unwrap();
            fs::write(path("from/a/b/c"), "text").unwrap();
            symlink(path("outside"), path("from/a/link")).unwrap();
            move_entry_by(&path("from"), &path("to"), rename).unwrap();
            assert_eq!(fs::read_to_string(path("to/a/b/c")).unwrap(), "text");
            assert_eq!(fs::read_link(path("to/a/link")).unwrap(), path("outside"));
            assert_eq!(fs::read_to_string(path("outside/kept")).unwrap(), "as it was");
            assert!(path("from").symlink_metadata().is_err());
        }
    }

    #[test]
    fn a_folder_may_be_as_open_as_its_project() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("state");
        fs::create_dir(&folder).unwrap();
        let with_mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            path.metadata().unwrap()
        };
        for (project, state, expected) in [
            (0o777, 0o777, true),
            (0o775, 0o775, true),
            (0o775, 0o777, false),
            (0o755, 0o777, false),
            (0o1777, 0o777, false),
        ] {
            let (project, state) = (with_mode(around.path(), project), with_mode(&folder, state));
            assert_eq!(is_as_open(&project, &state), expected, "{:o} {:o}", project.mode(), state.mode());
            // The file system takes no change of permissions.
            let kept = keep_others_out(&folder, &state, &folder, |_, _| Ok(()));
            assert_eq!(kept.is_ok(), expected, "{:o} {:o}", project.mode(), state.mode());
        }
    }
}
