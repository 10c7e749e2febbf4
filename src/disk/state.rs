//! The state folder, `.owui-watch/` beside `watch.toml`: the ledger of each server, copies of what was deployed and
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
use crate::plugin::Key;

/// A plugin's log begins anew at this size; the one before is kept as `.log.1`.
const LARGEST_LOG: u64 = 256 * 1024;

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
    /// Its process. On Windows nobody can read it.
    pub pid: Option<u32>,
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
            private_file().write(true).open(&ignore)?.write_all(b"*\n")?;
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
        fs::read_to_string(self.ledger()).ok().and_then(|text| Ledger::from_json(&text).ok()).unwrap_or_default()
    }

    fn ledger(&self) -> PathBuf {
        self.path.join(format!("ledger-{}.json", self.server))
    }

    /// Adds a line to a plugin's log.
    pub fn log(&self, key: &Key, line: &str) -> anyhow::Result<()> {
        let folder = self.path.join("logs");
        let path = folder.join(format!("{}-{}.log", key.kind.word(), key.id));
        append(&folder, &path, line).with_context(|| format!("writing `{}`", path.display()))
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
                message: format!(
                    "another owui-watch{} deploys from here to this server already",
                    other.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
                ),
                hint: "end that one first, or wait for it with --wait; a `--dry-run` can be made beside it",
                other: Some(other),
            },
        })?;
        Ok(Self { folder, ledger, rollbacks_seen: None, _lock: lock })
    }

    /// Whether this is the part of the folder that is about this server: a process cannot take a lock twice.
    #[must_use]
    pub fn is_of(&self, folder: &Path, server: &str) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.folder.server == slug(server) && real(&self.folder.path) == real(folder)
    }

    /// Reads the ledger. One that cannot be used is set aside, and the error says so: to go on without is safe.
    #[must_use]
    pub fn load(&self) -> (Ledger, Option<anyhow::Error>) {
        let text = match fs::read_to_string(&self.ledger) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return (Ledger::default(), None),
            Err(error) => {
                let error = anyhow::Error::from(error).context(format!("cannot read `{}`", self.ledger.display()));
                return (Ledger::default(), Some(error));
            }
        };
        match Ledger::from_json(&text) {
            Ok(ledger) => (ledger, None),
            Err(cause) => {
                let aside = self.ledger.with_extension("json.unusable");
                let moved = fs::rename(&self.ledger, &aside);
                let kept = if moved.is_ok() { format!("; it is kept as `{}`", aside.display()) } else { String::new() };
                let error = anyhow::anyhow!("cannot use `{}`: {cause}{kept}", self.ledger.display());
                (Ledger::default(), Some(error))
            }
        }
    }

    /// The ledger of a server as it stands, for a run that changes nothing. One that cannot be used counts as empty.
    #[must_use]
    pub fn peek(folder: &Path, server: &str) -> Ledger {
        Folder::new(folder.to_owned(), server).peek()
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
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
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
        write_whole(ledger, text.as_bytes(), Lasting::Synced)
            .with_context(|| format!("cannot write `{}`", ledger.display()))
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
        Err(TryLockError::WouldBlock) => {
            // On Windows a locked file cannot be read either.
            let mut pid = String::new();
            let read = file.rewind().and_then(|()| file.read_to_string(&mut pid));
            Err(Refusal::Taken(Other { pid: read.ok().and_then(|_| pid.trim().parse().ok()) }))
        }
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

/// A server's address as a file name: `http://localhost:8080` becomes `localhost-8080`.
fn slug(server: &str) -> String {
    let address = server.split_once("://").map_or(server, |(_, address)| address).trim_end_matches('/');
    address.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' }).collect()
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
        assert_eq!(slug("http://localhost:8080"), "localhost-8080");
        assert_eq!(slug("https://chat.example.org/Open WebUI/"), "chat.example.org-open-webui");
        assert_eq!(slug("http://[::1]:3000"), "---1--3000");
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
    }

    #[test]
    fn a_damaged_ledger_is_set_aside_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().to_owned(), "http://h").unwrap();
        assert_eq!(state.load().0, Ledger::default());
        for text in ["{\"format\": 1, \"function", "{\"format\": 99}", "[]", ""] {
            fs::write(state.ledger_path(), text).unwrap();
            let (ledger, error) = state.load();
            assert_eq!(ledger, Ledger::default());
            assert!(error.unwrap().to_string().contains("json.unusable"), "{text}");
            assert_eq!(fs::read_to_string(folder.path().join("ledger-h.json.unusable")).unwrap(), text);
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
    }
}
