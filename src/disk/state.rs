//! The state folder, `.owui-watch/` beside `watch.toml`: for each server the ledger, copies of what was deployed and
//! replaced, notes of what is under way or was rolled back, and a log per plugin. Everything in it is private to the
//! user, and none of it is needed for a right deploy.
#![expect(clippy::disallowed_methods, reason = "this is the one place that writes files")]

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use super::copies::{BACKUPS, DEPLOYED};
use crate::engine::ledger::Ledger;
use crate::plugin::{Digest, Key};
use crate::printable;

/// A plugin's log begins anew at this size; the one before is kept as `.log.1`.
const LARGEST_LOG: u64 = 256 * 1024;

/// A ledger of ten thousand plugins has 4 MiB. Nothing that is larger was written here.
const LARGEST_LEDGER: u64 = 64 * 1024 * 1024;

/// What the name of a file begins with that is being written.
const UNFINISHED: &str = ".owui-watch-";

/// A file that has been unfinished for this long is so for good: who wrote it was killed.
const ABANDONED: Duration = Duration::from_mins(1);

/// Two changes of a folder that are closer together than this may bear the same time, by the file system's clock.
const ONE_TICK: Duration = Duration::from_millis(100);

/// Why there can be no state, and what to do about it.
#[derive(Debug)]
pub struct StateError {
    message: String,
    hint: &'static str,
    /// Who has the lock.
    other: Option<Other>,
}

/// Another owui-watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its process. On Windows nobody can read it, since a locked file cannot be read there.
    pub pid: Option<u32>,
}

impl Other {
    fn of(lock: &mut File) -> Self {
        let mut pid = String::new();
        let read = lock.rewind().and_then(|()| lock.read_to_string(&mut pid));
        Self { pid: read.ok().and_then(|_| pid.trim().parse().ok()) }
    }
}

impl std::fmt::Display for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another owui-watch")?;
        self.pid.map_or(Ok(()), |pid| write!(f, " (pid {pid})"))
    }
}

impl StateError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        self.hint
    }

    /// Who has to end first, if that is the matter.
    #[must_use]
    pub fn other(&self) -> Option<Other> {
        self.other
    }
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StateError {}

/// The state folder, as far as processes may share it: copies, notes and logs, each of them a file that is written whole.
#[derive(Clone, Debug)]
pub struct Folder {
    pub(super) path: PathBuf,
    /// The server's part in names of files.
    pub(super) server: String,
}

impl Folder {
    /// The folder, for what is about this server. Nothing is made or read yet.
    #[must_use]
    pub fn new(path: PathBuf, server: &str) -> Self {
        Self { path, server: slug(server) }
    }

    /// Makes the folder if need be.
    fn make(&self) -> anyhow::Result<()> {
        private_folder(&self.path)?;
        let ignore = self.path.join(".gitignore");
        if !ignore.exists() {
            write_whole(&ignore, b"*\n", Lasting::Written)?;
        }
        Ok(())
    }

    /// Writes a file of the folder, which is made with the folders above it.
    pub(super) fn write(&self, path: &Path, bytes: &[u8], lasting: Lasting) -> anyhow::Result<()> {
        self.make()
            .and_then(|()| private_folder(path.parent().unwrap_or(&self.path)))
            .and_then(|()| write_whole(path, bytes, lasting))
            .with_context(|| format!("writing `{}`", path.display()))
    }

    /// The ledger as it stands, for who does not hold the lock. One that cannot be used counts as empty.
    #[must_use]
    pub fn peek(&self) -> Ledger {
        read_ledger(&self.ledger()).ok().flatten().unwrap_or_default()
    }

    fn ledger(&self) -> PathBuf {
        self.path.join(format!("ledger-{}.json", self.server))
    }

    /// Who holds the lock: the owui-watch that deploys from here to this server just now.
    #[must_use]
    pub fn holder(&self) -> Option<Other> {
        let mut file = File::open(self.ledger().with_extension("lock")).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(Other::of(&mut file)),
            Err(TryLockError::Error(_)) | Ok(()) => None,
        }
    }

    /// Removes what a program that was killed has left half written. What cannot be removed hurts nobody.
    fn clear_up(&self) {
        let mut folders = vec![self.path.clone()];
        // No further than what is ours: the folder may be one that the user has other things in.
        folders.extend(["logs", BACKUPS, DEPLOYED, "rollbacks", "under-way"].map(|name| self.path.join(name)));
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
                let Ok(kind) = entry.file_type() else { continue };
                let unfinished = entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED));
                if kind.is_dir() && folder != self.path {
                    folders.push(entry.path());
                } else if kind.is_file()
                    && unfinished
                    && let Ok(metadata) = entry.metadata()
                    && super::age(&metadata).is_some_and(|age| age > ABANDONED)
                {
                    fs::remove_file(entry.path()).ok();
                }
            }
        }
    }

    /// Adds a line to a plugin's log.
    pub fn log(&self, key: &Key, line: &str) -> anyhow::Result<()> {
        let folder = self.path.join("logs");
        let path = folder.join(format!("{}-{}.log", key.kind.word(), key.id));
        append(&folder, &path, &printable::line(line)).with_context(|| format!("writing `{}`", path.display()))
    }
}

/// The state folder, with the lock on one server's part of it: the ledger is this process's to write.
pub struct State {
    folder: Folder,
    ledger: PathBuf,
    /// When the rollbacks had last changed, as far as was seen.
    rollbacks_seen: Option<SystemTime>,
    /// Held as long as the process lives: two writers would undo each other's notes.
    _lock: File,
}

impl Deref for State {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

impl State {
    /// Makes the folder if need be, and locks the server's part of it.
    pub fn open(folder: PathBuf, server: &str) -> Result<Self, StateError> {
        let folder = Folder::new(folder, server);
        let cannot = |cause: &dyn std::fmt::Display| StateError {
            message: format!("cannot keep state in `{}`: {cause}", folder.path.display()),
            hint: "set `state` in watch.toml to a folder that you may write to",
            other: None,
        };
        folder.make().map_err(|error| cannot(&error))?;
        let ledger = folder.ledger();
        let lock = lock(&ledger.with_extension("lock")).map_err(|refusal| match refusal {
            Refusal::Failed(error) => cannot(&error),
            Refusal::Taken(other) => StateError {
                message: format!("{other} deploys from here to this server already"),
                hint: "the other one deploys your saves; --wait waits until it exits, --dry-run runs beside it",
                other: Some(other),
            },
        })?;
        folder.clear_up();
        Ok(Self { folder, ledger, rollbacks_seen: None, _lock: lock })
    }

    /// The folder, for what needs no lock.
    #[must_use]
    pub fn folder(&self) -> Folder {
        self.folder.clone()
    }

    /// Whether this is the part of the folder that is about this server: a process cannot take a lock twice.
    #[must_use]
    pub fn is_of(&self, folder: &Path, server: &str) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.folder.server == slug(server) && real(&self.folder.path) == real(folder)
    }

    /// Reads the ledger. One that cannot be used is set aside, and the error says so: to go on without is safe. It may be
    /// a newer version's, which will want it back, so nothing that was set aside before is replaced by it.
    #[must_use]
    pub fn load(&self) -> (Ledger, Option<anyhow::Error>) {
        let cause = match read_ledger(&self.ledger) {
            Ok(ledger) => return (ledger.unwrap_or_default(), None),
            Err(cause) => cause,
        };
        let numbered = |n| self.ledger.with_extension(format!("json.unusable-{n}"));
        let names = std::iter::once(self.ledger.with_extension("json.unusable")).chain((2..).map(numbered));
        let moved = names.into_iter().find(|aside| aside.symlink_metadata().is_err()).map(|aside| {
            let moved = fs::rename(&self.ledger, &aside);
            moved.map(|()| aside)
        });
        let kept = match moved {
            Some(Ok(aside)) => format!("; it is kept as `{}`", aside.display()),
            Some(Err(_)) | None => String::new(),
        };
        let error = anyhow::anyhow!("cannot use `{}`: {cause}{kept}", self.ledger.display());
        (Ledger::default(), Some(error))
    }

    /// Where [`write_whole`] is to put the ledger.
    #[must_use]
    pub fn ledger_path(&self) -> &Path {
        &self.ledger
    }

    /// Whether the notes of rollbacks may have changed since this was last asked. The first time they have, if there
    /// are any.
    pub fn rollbacks_changed(&mut self) -> bool {
        let Ok(metadata) = self.folder.rollbacks_folder().metadata() else {
            return self.rollbacks_seen.take().is_some();
        };
        let modified = metadata.modified().ok();
        let changed = modified.is_none() || modified != self.rollbacks_seen;
        // One that follows in the same moment would not be seen.
        let settled = super::age(&metadata).is_none_or(|age| age > ONE_TICK);
        self.rollbacks_seen = modified.filter(|_| settled);
        changed
    }
}

/// What the walk of a root must not look into, by the names that it would find it under: the state folder, and the copies
/// in it where the folder as a whole cannot be left out because the root lies in it.
pub(super) fn folders_under(state: &Path, root: &Path) -> Vec<PathBuf> {
    let full = |path: &Path| std::path::absolute(path).ok().map(|path| without_dots(&path));
    let names = [(full(state), full(root)), (real(state), real(root))];
    let inside = names.into_iter().filter_map(|(state, root)| Some((state?, root?))).flat_map(|(state, root)| {
        [state.join(BACKUPS), state.join(DEPLOYED), state]
            .into_iter()
            .filter_map(move |folder| folder.strip_prefix(&root).ok().map(Path::to_owned))
    });
    inside.filter(|rest| !rest.as_os_str().is_empty()).map(|rest| super::shown(root, &rest)).collect()
}

/// Where a path really is, also when its last part is not there yet.
fn real(path: &Path) -> Option<PathBuf> {
    let full = std::path::absolute(path).ok()?;
    full.canonicalize().ok().or_else(|| Some(full.parent()?.canonicalize().ok()?.join(full.file_name()?)))
}

/// `a/../b` is `b` to the eye.
fn without_dots(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            std::path::Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
        path
    })
}

/// `None` where there is none. The error says what is wrong with the one that there is.
fn read_ledger(path: &Path) -> Result<Option<Ledger>, String> {
    let bytes = match read_bounded(path, LARGEST_LEDGER) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    Ledger::from_json(&text).map(Some)
}

/// The bytes of a file of ours, unless there are more of them than we would ever write.
pub(super) fn read_bounded(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        Ok(bytes)
    } else {
        Err(std::io::Error::new(ErrorKind::FileTooLarge, format!("larger than {most} bytes")))
    }
}

fn append(folder: &Path, path: &Path, line: &str) -> anyhow::Result<()> {
    let mut file = match private_file().append(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            private_folder(folder)?;
            private_file().append(true).open(path)?
        }
        opened => opened?,
    };
    if file.metadata()?.len() > LARGEST_LOG {
        fs::rename(path, path.with_extension("log.1"))?;
        file = private_file().append(true).open(path)?;
    }
    // One write: a line is whole or not there.
    file.write_all(format!("{line}\n").as_bytes())?;
    Ok(())
}

/// What a file outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// The end of the machine.
    Synced,
    /// The end of the program.
    Written,
}

/// Writes a file so that at any moment either the old content is there or the new one: temporary file, sync, rename.
fn write_whole(path: &Path, bytes: &[u8], lasting: Lasting) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    file.write_all(bytes)?;
    if lasting == Lasting::Synced {
        file.as_file().sync_all()?;
    }
    file.persist(path)?;
    Ok(())
}

impl State {
    /// Writes the ledger's text, durably. Apart from `self`, so that it can be done on another thread.
    pub fn save(ledger: &Path, text: &str) -> anyhow::Result<()> {
        // Somebody may have cleaned up while the program runs.
        private_folder(ledger.parent().unwrap_or(Path::new(".")))
            .and_then(|()| write_whole(ledger, text.as_bytes(), Lasting::Synced))
            .with_context(|| format!("cannot write `{}`", ledger.display()))
    }
}

impl State {
    /// Adds to the ledger's text, durably. Fails where there is none: then it is to be written as a whole.
    pub fn add(ledger: &Path, text: &str) -> anyhow::Result<()> {
        let mut file = OpenOptions::new().append(true).open(ledger)?;
        file.write_all(text.as_bytes())?;
        Ok(file.sync_data()?)
    }
}

/// Why there is no lock to be had.
enum Refusal {
    Failed(std::io::Error),
    Taken(Other),
}

fn lock(path: &Path) -> Result<File, Refusal> {
    let mut file = private_file().read(true).write(true).open(path).map_err(Refusal::Failed)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(Refusal::Failed)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(Refusal::Taken(Other::of(&mut file))),
        Err(TryLockError::Error(error)) => Err(Refusal::Failed(error)),
    }
}

/// What is created is for the user alone: a server's texts and words may hold secrets.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn private_folder(path: &Path) -> anyhow::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    Ok(())
}

/// A server's address as a file name: `http://localhost:8080` becomes `localhost-8080`. It is never `..`, and has room
/// for what stands around it. Where the name alone does not say which address it is, a digest tells it apart; but not
/// http from https, between which a server may move.
fn slug(server: &str) -> String {
    const LONGEST: usize = 150;
    let address = server.split_once("://").map_or(server, |(_, address)| address).trim_end_matches('/');
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let mut slug: String = address.chars().map(plain).collect();
    if slug.is_empty() || slug.starts_with('.') {
        slug.insert(0, '-');
    }
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let read_back = match slug.rsplit_once('-') {
        Some((host, port)) if is_port(port) => format!("{host}:{port}"),
        Some(_) | None => slug.clone(),
    };
    // The case of a host does not matter, and a path is never read back.
    if read_back != address.to_ascii_lowercase() || slug.len() > LONGEST {
        // All of it is ASCII.
        slug.truncate(LONGEST);
        slug.push('-');
        slug.push_str(&Digest::of(address.as_bytes()).short());
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Kind, id::PluginId};

    fn key() -> Key {
        Key { kind: Kind::Tool, id: PluginId::new("clock").unwrap() }
    }

    #[test]
    fn a_server_has_a_file_name() {
        for (server, expected) in [
            ("http://localhost:8080", "localhost-8080"),
            ("http://127.0.0.1:3000/", "127.0.0.1-3000"),
            ("https://chat.example.org", "chat.example.org"),
            ("https://my-chat.example.org:8443", "my-chat.example.org-8443"),
            ("http://Localhost:8080", "localhost-8080"),
        ] {
            assert_eq!(slug(server), expected);
        }
        for (server, start) in [
            ("https://chat.example.org/Open WebUI/", "chat.example.org-open-webui-"),
            ("http://[::1]:3000", "---1--3000-"),
            // As the name of a folder, these would be another one.
            ("http://..", "-..-"),
            ("http://./", "-.-"),
            ("", "--"),
            ("http://", "--"),
        ] {
            let slug = slug(server);
            let digest = slug.strip_prefix(start).unwrap();
            assert!(digest.len() == 12 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{slug}");
        }
    }

    #[test]
    fn no_two_servers_have_one_file_name() {
        let servers = [
            "https://h/a-b",
            "https://h/a/b",
            "http://h/A-B",
            "https://h/a:1",
            "https://h/a-1",
            "https://h-a-b",
            "https://h-a/b",
            "https://h:1",
            "https://h-1",
            "https://h/1",
            "https://h-1:1",
            "https://h-1-1",
            "https://h_1",
        ];
        let names: std::collections::BTreeSet<_> = servers.into_iter().map(slug).collect();
        assert_eq!(names.len(), servers.len(), "{names:#?}");
        assert_eq!(slug("http://h"), slug("https://h/"), "it has a certificate now");
    }

    #[test]
    fn a_long_address_is_a_file_name_and_its_own() {
        let long = |end: &str| slug(&format!("https://example.org/{}/{end}", "deep/".repeat(100)));
        assert!(long("a").len() < 170 && long("a").starts_with("example.org-deep-"));
        assert_ne!(long("a"), long("b"));
        let folder = tempfile::tempdir().unwrap();
        State::open(folder.path().to_owned(), &format!("http://h/{}", "x".repeat(1000))).unwrap();
    }

    #[test]
    fn a_log_is_bounded_and_keeps_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().join("state"), "http://h").unwrap();
        let line = "x".repeat(1000);
        for _ in 0..600 {
            state.log(&key(), &line).unwrap();
        }
        let logs = folder.path().join("state/logs");
        let size = |name: &str| logs.join(name).metadata().unwrap().len();
        assert!(size("tool-clock.log") <= LARGEST_LOG + 1001);
        assert!(size("tool-clock.log.1") <= LARGEST_LOG + 1001);
        assert_eq!(fs::read_dir(&logs).unwrap().count(), 2);
    }

    #[test]
    fn a_second_daemon_is_told_who_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let _first = State::open(folder.path().to_owned(), "http://h").unwrap();
        let error = State::open(folder.path().to_owned(), "http://h").err().unwrap();
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
        assert!(State::open(folder.path().to_owned(), "http://other").is_ok());
        let holder = |server| Folder::new(folder.path().to_owned(), server).holder();
        assert_eq!(holder("http://h"), Some(Other { pid: Some(std::process::id()) }));
        assert_eq!((holder("http://other"), holder("http://new")), (None, None), "it has ended, or never was");
    }

    #[test]
    fn a_damaged_ledger_is_set_aside_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().to_owned(), "http://h").unwrap();
        assert_eq!(state.load().0, Ledger::default());
        let damaged: [&[u8]; 5] = [b"{\"format\": 1, \"function", b"{\"format\": 99}", b"[]", b"", b"\xff\xfe"];
        for (n, bytes) in damaged.into_iter().enumerate() {
            fs::write(state.ledger_path(), bytes).unwrap();
            let (ledger, error) = state.load();
            assert_eq!(ledger, Ledger::default());
            let name = if n == 0 { "json.unusable`".to_owned() } else { format!("json.unusable-{}`", n + 1) };
            assert!(error.unwrap().to_string().contains(&name), "{bytes:?}");
            assert!(state.load().1.is_none(), "it is out of the way");
        }
        // Each is there as it was: the second may be a newer version's, which will want it back.
        for (n, bytes) in damaged.into_iter().enumerate() {
            let name = if n == 0 { String::new() } else { format!("-{}", n + 1) };
            assert_eq!(fs::read(folder.path().join(format!("ledger-h.json.unusable{name}"))).unwrap(), bytes);
        }
    }

    #[test]
    fn a_ledger_that_was_never_ours_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().to_owned(), "http://h").unwrap();
        File::create(state.ledger_path()).unwrap().set_len(LARGEST_LEDGER + 1).unwrap();
        assert!(state.load().1.unwrap().to_string().contains("larger than"));
        fs::create_dir(state.ledger_path()).unwrap();
        assert!(state.load().1.unwrap().to_string().contains("json.unusable-2"));
    }

    #[test]
    fn what_was_left_half_written_is_cleared_up_when_its_writer_is_long_gone() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        drop(State::open(state.clone(), "http://h").unwrap());
        let (old, new) = (format!("{UNFINISHED}old"), format!("{UNFINISHED}new"));
        let folders =
            ["", "deployed/h/tool/clock", "backups/h/function/x", "rollbacks/h", "under-way/h", "logs", "theirs"];
        for path in folders.map(|folder| state.join(folder)) {
            fs::create_dir_all(&path).unwrap();
            for name in [&old, &new, "kept.py"] {
                fs::write(path.join(name), "half").unwrap();
            }
            for name in [&old, "kept.py"] {
                let file = OpenOptions::new().write(true).open(path.join(name)).unwrap();
                file.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
            }
        }
        drop(State::open(state.clone(), "http://h").unwrap());
        for folder in folders {
            let there = |name: &str| state.join(folder).join(name).exists();
            assert_eq!((there(&old), there(&new), there("kept.py")), (folder == "theirs", true, true), "{folder}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn state_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().join("state"), "http://h").unwrap();
        state.log(&key(), "x").unwrap();
        State::save(state.ledger_path(), "{}").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode(&folder.path().join("state")), 0);
        assert_eq!(mode(&folder.path().join("state/logs/tool-clock.log")), 0);
        assert_eq!(mode(state.ledger_path()), 0);
        assert_eq!(mode(&folder.path().join("state/.gitignore")), 0);
        assert_eq!(mode(&state.ledger_path().with_extension("lock")), 0);
        // Also where the folder is one that everybody may look into.
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        drop(State::open(open.clone(), "http://h").unwrap());
        for entry in fs::read_dir(&open).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0);
        }
    }

    /// Somebody cleans up while the program runs.
    #[test]
    fn a_ledger_finds_its_folder_gone_and_makes_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().join("state"), "http://h").unwrap();
        fs::remove_dir_all(folder.path().join("state")).unwrap();
        State::save(state.ledger_path(), &Ledger::default().to_json()).unwrap();
        assert!(state.load().1.is_none());
    }
}
