//! Reads files that may be hostile. What came with a cloned folder may be a FIFO that never ends, a device, a link to
//! another file of the user, or a gigabyte: only a regular file of bounded size is read, and opening it never waits.
#![expect(clippy::disallowed_methods, reason = "opens files for everyone who must not trust what lies at a path")]

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// The largest file of settings, patterns or references that makes sense, in bytes.
pub const ONE_MIB: u64 = 1024 * 1024;

/// Why a file was not used although the system would have opened it. Carried by the [`io::Error`]; see
/// [`Rejection::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A folder, FIFO, socket or device; without following links, also a link.
    NotRegular,
    /// More bytes than the limit, which is given.
    LargerThan(u64),
}

impl Rejection {
    /// The rejection behind an error of this module; `None` for the system's own errors.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Rejection::NotRegular => f.write_str("not a regular file"),
            Rejection::LargerThan(most) if most.is_multiple_of(ONE_MIB) => {
                write!(f, "larger than {} MiB", most / ONE_MIB)
            }
            Rejection::LargerThan(most) if most.is_multiple_of(1024) => write!(f, "larger than {} KiB", most / 1024),
            Rejection::LargerThan(most) => write!(f, "larger than {most} bytes"),
        }
    }
}

impl std::error::Error for Rejection {}

impl From<Rejection> for io::Error {
    fn from(rejection: Rejection) -> Self {
        let kind = match rejection {
            Rejection::NotRegular => ErrorKind::InvalidInput,
            Rejection::LargerThan(_) => ErrorKind::FileTooLarge,
        };
        io::Error::new(kind, rejection)
    }
}

/// Reads a regular file of at most `most` bytes. Links are followed.
///
/// # Errors
///
/// A [`Rejection`], or the system's error.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_opened(open(path)?, most)
}

/// Like [`read`], but rejects a link at `path` itself. Links in the folders above it are followed.
///
/// # Errors
///
/// A [`Rejection`], or the system's error.
pub fn read_no_follow(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_opened(open_with(path, Links::Reject, OpenOptions::new().read(true))?, most)
}

/// Opens a regular file to be read. Links are followed.
///
/// # Errors
///
/// A [`Rejection`], or the system's error.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, Links::Follow, OpenOptions::new().read(true))
}

/// Opens a regular file, or creates one if `options` say so. Rejects a link at `path` itself.
///
/// # Errors
///
/// A [`Rejection`], or the system's error.
pub fn open_no_follow(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open_with(path, Links::Reject, options)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    Follow,
    Reject,
}

fn open_with(path: &Path, links: Links, options: &mut OpenOptions) -> io::Result<File> {
    // Opening some devices has effects of its own, so look first.
    let looked = if links == Links::Follow { path.metadata() } else { path.symlink_metadata() };
    match looked {
        Ok(metadata) if !metadata.is_file() => return Err(Rejection::NotRegular.into()),
        Ok(_) => {}
        // The options may create it.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    guard(options, links);
    let file = options.open(path)?;
    // Something else may have taken its place since.
    if file.metadata()?.is_file() { Ok(file) } else { Err(Rejection::NotRegular.into()) }
}

/// Never waits for the other end of a FIFO, and lets the system itself reject a link.
#[cfg(unix)]
fn guard(options: &mut OpenOptions, links: Links) {
    use rustix::fs::OFlags;
    let no_follow = if links == Links::Reject { OFlags::NOFOLLOW } else { OFlags::empty() };
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | no_follow;
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags.bits().cast_signed());
}

/// Opens a link itself, which is not a regular file.
#[cfg(windows)]
fn guard(options: &mut OpenOptions, links: Links) {
    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    if links == Links::Reject {
        std::os::windows::fs::OpenOptionsExt::custom_flags(options, FILE_FLAG_OPEN_REPARSE_POINT);
    }
}

#[cfg(not(any(unix, windows)))]
fn guard(_: &mut OpenOptions, _: Links) {}

/// Reads the rest of an open file, of at most `most` bytes in all.
///
/// # Errors
///
/// [`Rejection::LargerThan`], or the system's error.
pub fn read_opened(file: File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > most {
        return Err(Rejection::LargerThan(most).into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
    // It may grow while it is read, and the files of /proc do not tell their length.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        Ok(bytes)
    } else {
        Err(Rejection::LargerThan(most).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection<T: fmt::Debug>(result: io::Result<T>) -> Option<Rejection> {
        Rejection::of(&result.unwrap_err())
    }

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        for read in [read, read_no_follow] {
            assert_eq!(read(&path, 5).unwrap(), b"12345");
            assert_eq!(rejection(read(&path, 4)), Some(Rejection::LargerThan(4)));
            assert_eq!(rejection(read(folder.path(), 4)), Some(Rejection::NotRegular));
            let missing = read(&folder.path().join("none"), 4).unwrap_err();
            assert_eq!((missing.kind(), Rejection::of(&missing)), (ErrorKind::NotFound, None));
        }
    }

    #[test]
    fn limits_are_shown_in_their_largest_unit() {
        for (most, words) in [
            (ONE_MIB, "larger than 1 MiB"),
            (64 * ONE_MIB, "larger than 64 MiB"),
            (64 * 1024, "larger than 64 KiB"),
            (1000, "larger than 1000 bytes"),
        ] {
            assert_eq!(io::Error::from(Rejection::LargerThan(most)).to_string(), words);
        }
        assert_eq!(io::Error::from(Rejection::NotRegular).to_string(), "not a regular file");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_only_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(read(&link, 4).unwrap(), b"text");
        assert_eq!(rejection(read_no_follow(&link, 4)), Some(Rejection::NotRegular));
        assert_eq!(rejection(open_no_follow(&link, OpenOptions::new().append(true))), Some(Rejection::NotRegular));
        // Not even where it would be created behind the link.
        std::fs::remove_file(&file).unwrap();
        let mut options = OpenOptions::new();
        assert_eq!(rejection(open_no_follow(&link, options.append(true).create(true))), Some(Rejection::NotRegular));
        assert!(!file.exists());
    }

    /// A look at the path before it is opened is not enough: something else may take its place.
    #[cfg(unix)]
    #[test]
    fn the_system_rejects_a_link_too() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("file", &link).unwrap();
        std::fs::write(folder.path().join("file"), "text").unwrap();
        let mut options = OpenOptions::new();
        guard(options.read(true), Links::Reject);
        assert!(options.open(&link).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_fifo_or_a_device_never_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, link) = (folder.path().join("fifo"), folder.path().join("link"));
        std::os::unix::fs::symlink("fifo", &link).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.is_ok_and(|status| status.success()), "the system has no mkfifo");
        for path in [&fifo, &link, Path::new("/dev/zero")] {
            assert_eq!(rejection(read(path, 4)), Some(Rejection::NotRegular), "{}", path.display());
            assert_eq!(rejection(read_no_follow(path, 4)), Some(Rejection::NotRegular), "{}", path.display());
        }
        // Nor where it takes the place of a file between the look and the open.
        let mut options = OpenOptions::new();
        guard(options.read(true), Links::Follow);
        assert!(options.open(&fifo).is_ok_and(|file| !file.metadata().unwrap().is_file()));
    }
}
