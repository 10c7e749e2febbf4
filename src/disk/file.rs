//! Reads and writes single plugin files as bytes.

use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::read::{Trust, Whole, read_whole};
use crate::paths::{canonical, slashed};
use crate::whole_file::{Draft, Finished, Lasting};

/// The bytes of a file. Fails while it is being written.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    match read_whole(path, Trust::Closed).with_context(|| format!("cannot read `{}`", slashed(&path)))? {
        Whole::Bytes(bytes) => Ok(bytes),
        Whole::TooLarge => bail!("`{}` is too large", slashed(&path)),
        Whole::Unsettled => bail!("`{}` is being written", slashed(&path)),
        Whole::NoFile => bail!("`{}` is not a file", slashed(&path)),
    }
}

/// Replaces a file's bytes atomically, unless they are no longer `old`. For a link it replaces the target.
pub fn replace(path: &Path, old: &[u8], new: &[u8]) -> anyhow::Result<()> {
    let target = canonical(path).with_context(|| format!("cannot read `{}`", slashed(&path)))?;
    let permissions = target.metadata().with_context(|| format!("cannot read `{}`", slashed(&path)))?.permissions();
    let file = written(&target, new, Some(permissions)).with_context(|| cannot_write(path))?;
    if read(&target)? != old {
        bail!("`{}` has changed meanwhile", slashed(&path));
    }
    file.replace().with_context(|| cannot_write(path))
}

/// Writes a new file.
pub fn create(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let file = written(path, bytes, None).with_context(|| cannot_write(path))?;
    match file.create() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("`{}` already exists and is not this plugin", slashed(&path))
        }
        created => created.with_context(|| cannot_write(path)),
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write `{}`", slashed(&path))
}

fn written(target: &Path, bytes: &[u8], permissions: Option<Permissions>) -> io::Result<Finished> {
    let draft = Draft::shared(target)?;
    if let Some(permissions) = permissions {
        draft.permit(permissions)?;
    }
    draft.finish(bytes, Lasting::Synced)
}

/// The bytes of a text in the style of a file: with its byte order mark, and with `\r\n` if all its lines end so.
/// `text` has neither.
#[must_use]
pub fn with_style_of(text: &str, like: &[u8]) -> Vec<u8> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let written = String::from_utf8_lossy(like);
    let rest = written.replace("\r\n", "");
    let windows = rest.len() < written.len() && !rest.contains(['\r', '\n']);
    let text = if windows { text.replace('\n', "\r\n") } else { text.to_owned() };
    let mark = if like.starts_with(MARK) { MARK } else { b"" };
    [mark, text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests write the files that are to be replaced")]

    use std::fs;

    use super::*;

    #[test]
    fn a_text_gets_the_style_of_the_file() {
        for (like, expected) in [
            (&b""[..], &b"a\nb\n"[..]),
            (b"x", b"a\nb\n"),
            (b"x\ny\n", b"a\nb\n"),
            (b"x\r\ny\r\n", b"a\r\nb\r\n"),
            (b"x\r\ny", b"a\r\nb\r\n"),
            // Mixed line ends.
            (b"x\r\ny\n", b"a\nb\n"),
            (b"x\r\ny\rz\r\n", b"a\nb\n"),
            (b"x\ry\r", b"a\nb\n"),
            (b"\xef\xbb\xbfx\n", b"\xef\xbb\xbfa\nb\n"),
            (b"\xef\xbb\xbfx\r\n", b"\xef\xbb\xbfa\r\nb\r\n"),
        ] {
            assert_eq!(with_style_of("a\nb\n", like), expected, "{like:?}");
        }
    }

    #[test]
    fn a_file_changed_since_its_read_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.py");
        fs::write(&path, "old").unwrap();
        replace(&path, b"old", b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        let error = replace(&path, b"old", b"newer").unwrap_err();
        assert!(format!("{error:#}").ends_with("a.py` has changed meanwhile"), "{error:#}");
        assert_eq!(read(&path).unwrap(), b"new");
        assert!(replace(&folder.path().join("gone.py"), b"old", b"new").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn an_existing_file_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.py");
        create(&path, b"new").unwrap();
        let error = create(&path, b"newer").unwrap_err();
        assert!(format!("{error:#}").contains("already exists"), "{error:#}");
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left behind");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay_and_links_are_followed() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.py"), folder.path().join("link.py"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a.py", &link).unwrap();
        replace(&link, b"old", b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(
            (read(&path).unwrap(), path.metadata().unwrap().permissions().mode() & 0o777),
            (b"new".into(), 0o640)
        );
        // A new file has the user's default permissions.
        let (new, any) = (folder.path().join("new.py"), folder.path().join("any"));
        create(&new, b"new").unwrap();
        fs::write(&any, "").unwrap();
        assert_eq!(new.metadata().unwrap().permissions(), any.metadata().unwrap().permissions());
    }
}
