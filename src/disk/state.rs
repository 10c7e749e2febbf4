//! The state folder, `.owui-watch/` beside `watch.toml`: for each server the ledger, copies of what was deployed and
//! replaced, notes of what is under way or was rolled back, and a log per plugin. Everything in it is private to the
//! user, and none of it is needed for a right deploy.
#![expect(clippy::disallowed_methods, reason = "this is the one place that writes files")]

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::backups::{BACKUPS, DEPLOYED};
use super::identity::{self, Owner, UNUSABLE};
use super::trust::{self, Distrust, Lasting};
use crate::engine::ledger::{self, Ledger};
use crate::paths::{self, real};
use crate::plugin::{Digest, Key};
use crate::printable;
use crate::regular_file::Rejection;

/// A plugin's log begins anew at this size; the one before is kept as `.log.1`.
const LARGEST_LOG: u64 = 256 * 1024;

/// A ledger of ten thousand plugins has 4 MiB. Nothing that is larger was written here.
const LARGEST_LEDGER: u64 = 64 * 1024 * 1024;

/// What the name of a file begins with that is being written.
pub(super) const UNFINISHED: &str = ".owui-watch-";

/// A file that has been unfinished for this long is so for good: who wrote it was killed.
const ABANDONED: Duration = Duration::from_mins(1);

/// Why state is not believed.
pub(super) const NOT_OURS: &str = "was not written in this folder, or was written by an earlier version";

/// Two changes of a folder that are closer together than this may bear the same time, by the file system's clock.
const ONE_TICK: Duration = Duration::from_millis(100);

/// Why there can be no state, or none of what was there, and what to do about it.
#[derive(Debug)]
pub struct StateError {
    message: String,
    hint: String,
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
        const LONGEST: u64 = 20;
        let mut pid = String::new();
        let read = lock.rewind().and_then(|()| lock.take(LONGEST).read_to_string(&mut pid));
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
    /// Whoever clones the repository would bring state along, or publish what the server holds.
    #[must_use]
    pub fn tracked(folder: &Path) -> Self {
        let folder = folder.display();
        Self {
            message: format!("cannot keep state in `{folder}`: git tracks it"),
            hint: format!("`git rm -r --cached {folder}` takes it out of git"),
            other: None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
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

impl From<StateError> for crate::error::Error {
    fn from(error: StateError) -> Self {
        Self::new(error.message).hinted(error.hint)
    }
}

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
        Self { path, server: slug(&normal_address(server)) }
    }

    /// Makes the folder if need be. Answers its owner, and where state went that does not belong to it.
    fn make(&self) -> anyhow::Result<(Owner, Option<PathBuf>)> {
        self.refuse_git()?;
        trust::make_folders(&self.path, Lasting::Synced)?;
        identity::refuse_foreign(&self.path)?;
        trust::check_folders(&self.path, &self.path)?;
        let (owner, aside) = identity::claim(&self.path)?;
        let ignore = self.path.join(".gitignore");
        let kind = ignore.symlink_metadata().map(|metadata| metadata.file_type());
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            return Err(trust::not_a_file(&ignore).into());
        }
        // Git does not follow a link there.
        if !kind.is_ok_and(|kind| kind.is_file()) {
            write_whole(&ignore, b"*\n", Lasting::Written)?;
        }
        Ok((owner, aside))
    }

    fn refuse_git(&self) -> io::Result<()> {
        [full(&self.path), real(&self.path)].into_iter().flatten().try_for_each(|path| trust::refuse_git(&path))
    }

    /// Like [`Folder::make`]; says in the log where state went that does not belong to the folder.
    pub(super) fn made(&self) -> anyhow::Result<Owner> {
        let (owner, aside) = self.make()?;
        if let Some(aside) = aside {
            tracing::error!("{}", self.set_aside(&aside));
        }
        Ok(owner)
    }

    fn set_aside(&self, aside: &Path) -> String {
        let (path, aside) = (self.path.display(), aside.display());
        format!("the state in `{path}` {NOT_OURS}; it is kept in `{aside}`")
    }

    /// The owner whose state is believed; `None` if no state here is.
    pub(super) fn owner(&self) -> Option<Owner> {
        // Nothing of a folder that is not ours is changed, not even its permissions.
        let owner = identity::owner(&self.path)?;
        trust::check_folders(&self.path, &self.path).ok()?;
        Some(owner)
    }

    /// Says why there is state here that is not used.
    #[must_use]
    pub fn unused(&self) -> Option<String> {
        let why = match identity::holds_unused_state(&self.path) {
            Ok(true) => {
                let refused = self.refuse_git().and_then(|()| identity::refuse_foreign(&self.path)).err();
                refused.map_or_else(|| format!("it {NOT_OURS}"), |error| error.to_string())
            }
            Err(error) if error.kind() != ErrorKind::NotFound => error.to_string(),
            Ok(false) | Err(_) => return None,
        };
        Some(format!("the state in `{}` is not used: {why}", self.path.display()))
    }

    /// Writes a file of the folder, which is made with the folders above it.
    pub(super) fn write(&self, path: &Path, bytes: &[u8], lasting: Lasting) -> anyhow::Result<()> {
        let folder = path.parent().unwrap_or(&self.path);
        let write = || {
            self.made()?;
            trust::check_folders(&self.path, folder)?;
            trust::make_folders(folder, lasting)?;
            write_whole(path, bytes, lasting)
        };
        write().with_context(|| format!("writing `{}`", path.display()))
    }

    /// Reads a file of the folder, of at most `most` bytes.
    pub(super) fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        trust::read(&self.path, path, most)
    }

    /// Removes a file of the folder, if it is there.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        trust::check_folders(&self.path, path.parent().unwrap_or(&self.path))?;
        match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// The entries of a folder below this one.
    pub(super) fn entries(&self, folder: &Path) -> impl Iterator<Item = fs::DirEntry> + use<> {
        trust::entries(&self.path, folder)
    }

    /// The ledger as it stands, without the lock. One that cannot be used counts as empty.
    #[must_use]
    pub fn peek(&self) -> Ledger {
        self.owner().and_then(|owner| self.read_ledger(&owner).ok()).flatten().unwrap_or_default()
    }

    /// `None` where there is none. The error says what is wrong with the one that there is.
    fn read_ledger(&self, owner: &Owner) -> Result<Option<Ledger>, String> {
        let bytes = match self.read(&self.ledger(), LARGEST_LEDGER) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let text = whole_text(&bytes).map_err(|error| error.to_string())?;
        let header = text.split_once('\n').and_then(|(line, body)| Some((Header::read(line)?, body)));
        let (state, body) = header.map_or((None, text), |(header, body)| (Some(header.state), body));
        let ledger = Ledger::from_json(body)?;
        if owner.wrote(state.as_deref()) { Ok(Some(ledger)) } else { Err(format!("it {NOT_OURS}")) }
    }

    /// Writes the ledger's text, durably.
    pub fn save(&self, ledger: &str) -> anyhow::Result<()> {
        let path = self.ledger();
        let save = || {
            // Somebody may have cleaned up while the program runs.
            let header = Header { format: ledger::FORMAT, state: self.made()?.id };
            write_whole(&path, format!("{}\n{ledger}", serde_json::to_string(&header)?).as_bytes(), Lasting::Synced)
        };
        save().with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Adds to the ledger's text, durably. Fails where there is none: then it has to be written as a whole.
    pub fn add(&self, text: &str) -> anyhow::Result<()> {
        let mut file = trust::open(&self.path, &self.ledger(), OpenOptions::new().append(true))?;
        file.write_all(text.as_bytes())?;
        Ok(file.sync_data()?)
    }

    fn ledger(&self) -> PathBuf {
        self.path.join(format!("ledger-{}.json", self.server))
    }

    fn lock(&self) -> PathBuf {
        self.ledger().with_extension("lock")
    }

    /// Who holds the lock: the owui-watch that deploys from here to this server just now.
    #[must_use]
    pub fn holder(&self) -> Option<Other> {
        self.owner()?;
        let mut file = trust::open(&self.path, &self.lock(), OpenOptions::new().read(true)).ok()?;
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
            for entry in self.entries(&folder) {
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
        let path = self.path.join("logs").join(format!("{}-{}.log", key.kind.word(), key.id));
        self.append(&path, &printable::line(line)).with_context(|| format!("writing `{}`", path.display()))
    }

    fn append(&self, path: &Path, line: &str) -> anyhow::Result<()> {
        let open = || trust::open(&self.path, path, private_file().append(true));
        let mut file = match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.made()?;
                trust::make_folders(path.parent().unwrap_or(&self.path), Lasting::Written)?;
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

/// What the ledger's file begins with, in a line of its own.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    /// The number of the state folder that it belongs to.
    state: String,
}

impl Header {
    fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

/// The text as far as it was written: after a power cut a file may end in zeros, or in the middle of a character.
fn whole_text(bytes: &[u8]) -> Result<&str, std::str::Utf8Error> {
    let written = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match str::from_utf8(written) {
        Err(error) if error.error_len().is_none() => str::from_utf8(&written[..error.valid_up_to()]),
        text => text,
    }
}

/// The state folder, with the lock on one server's part of it: the ledger is this process's to write.
pub struct State {
    folder: Folder,
    /// Where state went that did not belong to the folder.
    aside: Option<PathBuf>,
    /// When the rollbacks had last changed, as far as was seen.
    rollbacks_seen: Option<SystemTime>,
    /// Held as long as the process lives: two writers would undo each other's notes.
    lock: File,
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
        let (_, aside) = folder.make().map_err(|error| folder.cannot_keep(&error))?;
        let lock = folder.take_lock(&folder.lock())?;
        folder.clear_up();
        Ok(Self { folder, aside, rollbacks_seen: None, lock })
    }

    /// Makes sure that the lock still keeps others out: whoever deletes its file lets a second owui-watch take another.
    /// Answers whether it had to be taken anew.
    pub fn keep_lock(&mut self) -> Result<bool, StateError> {
        let path = self.folder.lock();
        // A project that was moved away may come back.
        let project_is_there =
            || std::path::absolute(&self.folder.path).is_ok_and(|path| path.parent().is_some_and(Path::is_dir));
        if is_at(&self.lock, &path) || !project_is_there() {
            return Ok(false);
        }
        self.folder.made().map_err(|error| self.folder.cannot_keep(&error))?;
        self.lock = self.folder.take_lock(&path)?;
        Ok(true)
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
        self.folder.server == slug(&normal_address(server)) && real(&self.folder.path) == real(folder)
    }

    /// Reads the ledger. One that cannot be used is set aside, and the error says so: to go on without is safe. It may be
    /// a newer version's, which will want it back, so nothing that was set aside before is replaced by it.
    #[must_use]
    pub fn load(&self) -> (Ledger, Option<StateError>) {
        let owner = self.folder.made().map_err(|error| format!("{error:#}"));
        let cause = match owner.and_then(|owner| self.read_ledger(&owner)) {
            Ok(ledger) => {
                let set_aside = self.aside.as_ref().map(|aside| StateError {
                    message: self.set_aside(aside),
                    hint: "history and rollbacks start anew; a text that was rolled back here is deployed again"
                        .to_owned(),
                    other: None,
                });
                return (ledger.unwrap_or_default(), set_aside);
            }
            Err(cause) => cause,
        };
        let ledger = self.ledger();
        let numbered = |n| ledger.with_extension(format!("json.unusable-{n}"));
        let names = std::iter::once(ledger.with_extension("json.unusable")).chain((2..).map(numbered));
        let moved = names.into_iter().find(|aside| aside.symlink_metadata().is_err()).map(|aside| {
            let moved = fs::rename(&ledger, &aside);
            moved.map(|()| aside)
        });
        let kept = match moved {
            Some(Ok(aside)) => format!("; it is kept as `{}`", aside.display()),
            Some(Err(_)) | None => String::new(),
        };
        let error = StateError {
            message: format!("cannot use `{}`: {cause}{kept}", ledger.display()),
            hint: "nothing is lost: every plugin is compared with the server".to_owned(),
            other: None,
        };
        (Ledger::default(), Some(error))
    }

    /// Whether the notes of rollbacks may have changed since this was last asked. The first time they have, if there
    /// are any.
    pub fn rollbacks_changed(&mut self) -> bool {
        let Ok(metadata) = self.folder.rollbacks_folder().symlink_metadata() else {
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
    let names = [(full(state), full(root)), (real(state), real(root))];
    let inside = names.into_iter().filter_map(|(state, root)| Some((state?, root?))).flat_map(|(state, root)| {
        [state.join(BACKUPS), state.join(DEPLOYED), state.join(UNUSABLE), state]
            .into_iter()
            .filter_map(move |folder| folder.strip_prefix(&root).ok().map(Path::to_owned))
    });
    inside.filter(|rest| !rest.as_os_str().is_empty()).map(|rest| paths::join(root, &rest)).collect()
}

/// A path from the root on, to the eye.
pub(super) fn full(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok().map(|path| paths::without_dots(&path))
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
    if lasting == Lasting::Synced {
        trust::sync_folder(folder)?;
    }
    Ok(())
}

impl Folder {
    fn cannot_keep(&self, cause: &anyhow::Error) -> StateError {
        let mut causes = cause.chain();
        let distrust = causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref());
        StateError {
            message: format!("cannot keep state in `{}`: {cause:#}", self.path.display()),
            hint: distrust.map_or_else(
                || "set `OWUI_WATCH_STATE` in the environment to a folder that you may write to".to_owned(),
                Distrust::hint,
            ),
            other: None,
        }
    }

    fn take_lock(&self, path: &Path) -> Result<File, StateError> {
        let locked =
            trust::open(&self.path, path, private_file().read(true).write(true)).and_then(|mut file| {
                match file.try_lock() {
                    Ok(()) => {
                        file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()))?;
                        Ok(Ok(file))
                    }
                    Err(TryLockError::WouldBlock) => Ok(Err(Other::of(&mut file))),
                    Err(TryLockError::Error(error)) => Err(error),
                }
            });
        let locked = locked.map_err(|error| match Rejection::of(&error) {
            Some(Rejection::NotRegular) => trust::not_a_file(path),
            Some(Rejection::LargerThan(_)) | None => error,
        });
        let locked = locked.with_context(|| format!("locking `{}`", path.display()));
        locked.map_err(|error| self.cannot_keep(&error))?.map_err(|other| StateError {
            message: format!("{other} deploys from here to this server already"),
            hint: "the other one deploys your saves; --wait waits until it exits, --dry-run runs beside it".to_owned(),
            other: Some(other),
        })
    }
}

/// Whether an open file is still the one at this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(open), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// Windows keeps a locked file's name as long as the file is open.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// What is created is for the user alone: a server's texts and words may hold secrets.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// One form for all names of a server: the host in lower case without a final dot, `localhost` for this machine, and no
/// port where it is the scheme's own.
fn normal_address(server: &str) -> String {
    let Some((scheme, rest)) = server.split_once("://") else { return server.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (host, port),
        Some(_) | None => (authority, ""),
    };
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').filter(|host| !host.is_empty() && !host.ends_with('.')).unwrap_or(&host);
    let address =
        host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().map(|address| address.to_canonical());
    let is_this_machine = address.is_ok_and(|address| {
        address.is_unspecified() || address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
    });
    let host = if is_this_machine { "localhost" } else { host };
    let is_default =
        matches!((scheme.to_ascii_lowercase().as_str(), port), (_, "") | ("http", "80") | ("https", "443"));
    let port = if is_default { String::new() } else { format!(":{port}") };
    format!("{scheme}://{host}{port}{path}")
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
            ("http://192.168.0.7:3000/", "192.168.0.7-3000"),
            ("https://chat.example.org", "chat.example.org"),
            ("https://my-chat.example.org:8443", "my-chat.example.org-8443"),
            ("http://Localhost:8080", "localhost-8080"),
        ] {
            assert_eq!(slug(server), expected);
        }
        for (server, start) in [
            ("https://chat.example.org/Open WebUI/", "chat.example.org-open-webui-"),
            ("http://[::2]:3000", "---2--3000-"),
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
    fn all_names_of_a_server_share_its_state() {
        let name = |server: &str| Folder::new(PathBuf::new(), server).server;
        for (server, expected) in [
            ("http://localhost:8080", "localhost-8080"),
            ("http://LocalHost.:8080/", "localhost-8080"),
            ("http://127.0.0.1:8080", "localhost-8080"),
            ("http://[::1]:8080", "localhost-8080"),
            ("http://[::ffff:127.0.0.1]:8080", "localhost-8080"),
            ("http://0.0.0.0:8080", "localhost-8080"),
            ("http://[::]:8080", "localhost-8080"),
            ("http://127.0.0.1", "localhost"),
            ("http://127.0.0.2:8080", "127.0.0.2-8080"),
            ("https://Chat.Example.org.", "chat.example.org"),
            ("https://chat.example.org:443/", "chat.example.org"),
            ("http://chat.example.org:80", "chat.example.org"),
            ("http://chat.example.org:443", "chat.example.org-443"),
        ] {
            assert_eq!(name(server), expected, "{server}");
        }
        assert_eq!(name("http://127.0.0.1:1/a/"), name("http://localhost:1/a"));
        assert_ne!(name("http://localhost:1/a"), name("http://localhost:1/A"));
        let folder = tempfile::tempdir().unwrap();
        let first = State::open(folder.path().to_owned(), "http://localhost:1").unwrap();
        assert!(State::open(folder.path().to_owned(), "http://127.0.0.1:1").err().unwrap().other().is_some());
        assert!(first.is_of(folder.path(), "http://[::1]:1/"));
    }

    #[test]
    fn zeros_at_the_end_of_a_ledger_cost_the_end_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().to_owned(), "http://h").unwrap();
        let umlaut = Key { kind: Kind::Tool, id: PluginId::new("größe").unwrap() };
        let mut ledger = Ledger::default();
        ledger.sending(&key(), Digest::of(b"x"));
        state.save(&ledger.to_json()).unwrap();
        let (before, whole) = (ledger.clone(), fs::read(state.ledger()).unwrap());
        ledger.sending(&umlaut, Digest::of(b"y"));
        let added = ledger.addition([&umlaut]).unwrap();
        state.add(&added).unwrap();
        assert_eq!(state.load().0, ledger);
        for length in 0..added.len() {
            for zeros in [0, 4096] {
                let written = [&whole, &added.as_bytes()[..length], &vec![0; zeros]].concat();
                fs::write(state.ledger(), written).unwrap();
                let (read, trouble) = state.load();
                assert!(read == before && trouble.is_none(), "{length} bytes, {zeros} zeros: {trouble:?}");
            }
        }
    }

    #[test]
    fn a_ledger_of_another_folder_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().to_owned(), "http://h").unwrap();
        let mut ledger = Ledger::default();
        ledger.sending(&key(), Digest::of(b"x"));
        state.save(&ledger.to_json()).unwrap();
        let own = fs::read_to_string(state.ledger()).unwrap();
        for planted in [ledger.to_json(), own.replacen(r#""state":""#, r#""state":"0"#, 1)] {
            fs::write(state.ledger(), planted).unwrap();
            assert_eq!(state.peek(), Ledger::default());
            let (read, trouble) = state.load();
            assert_eq!(read, Ledger::default());
            assert!(trouble.unwrap().to_string().contains("or was written by an earlier version; it is kept as"));
        }
    }

    #[test]
    fn a_whole_planted_folder_is_set_aside_and_said() {
        let Some((theirs, ours)) = identity::born_apart() else { return };
        let ours = ours.path().join(".owui-watch");
        fs::create_dir(&ours).unwrap();
        let mut ledger = Ledger::default();
        ledger.sending(&key(), Digest::of(b"x"));
        State::open(theirs.path().to_owned(), "http://h").unwrap().save(&ledger.to_json()).unwrap();
        for name in ["identity", "ledger-h.json"] {
            fs::copy(theirs.path().join(name), ours.join(name)).unwrap();
        }
        let folder = Folder::new(ours.clone(), "http://h");
        assert_eq!(folder.peek(), Ledger::default());
        let (read, trouble) = State::open(ours.clone(), "http://h").unwrap().load();
        assert_eq!(read, Ledger::default());
        let aside = ours.join("unusable/1");
        let trouble = trouble.unwrap();
        assert!(trouble.hint().starts_with("history and rollbacks start anew"));
        assert!(trouble.to_string().ends_with(&format!("; it is kept in `{}`", aside.display())));
        assert!(aside.join("ledger-h.json").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_whose_file_was_deleted_is_taken_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state = State::open(path.clone(), "http://h").unwrap();
        assert!(!state.keep_lock().unwrap());
        fs::remove_file(state.folder.lock()).unwrap();
        assert!(state.keep_lock().unwrap() && !state.keep_lock().unwrap());
        fs::remove_dir_all(&path).unwrap();
        assert!(state.keep_lock().unwrap());
        assert!(State::open(path.clone(), "http://h").is_err(), "it keeps others out again");
        fs::remove_file(state.folder.lock()).unwrap();
        let _second = State::open(path, "http://h").unwrap();
        assert!(state.keep_lock().unwrap_err().other().is_some());
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
            fs::write(state.ledger(), bytes).unwrap();
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
        File::create(state.ledger()).unwrap().set_len(LARGEST_LEDGER + 1).unwrap();
        assert!(state.load().1.unwrap().to_string().contains("larger than"));
        fs::create_dir(state.ledger()).unwrap();
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
        state.save("{}").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode(&folder.path().join("state")), 0);
        assert_eq!(mode(&folder.path().join("state/logs/tool-clock.log")), 0);
        assert_eq!(mode(&state.ledger()), 0);
        assert_eq!(mode(&folder.path().join("state/.gitignore")), 0);
        assert_eq!(mode(&folder.path().join("state/identity")), 0);
        assert_eq!(mode(&state.ledger().with_extension("lock")), 0);
        // Also where the folder is one that everybody may look into.
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        drop(State::open(open.clone(), "http://h").unwrap());
        for entry in fs::read_dir(&open).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0);
        }
    }

    #[cfg(unix)]
    mod planted {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        use super::*;
        use crate::engine::deploy::Backup;
        use crate::engine::ledger::Rollback;

        /// A state folder of our own, and beside it a folder with a file of the user's.
        fn scene() -> (tempfile::TempDir, Folder, PathBuf) {
            let around = tempfile::tempdir().unwrap();
            let folder = Folder::new(around.path().join("state"), "http://h");
            folder.made().unwrap();
            let theirs = around.path().join("theirs");
            fs::create_dir(&theirs).unwrap();
            fs::write(theirs.join("bashrc"), "as it was").unwrap();
            (around, folder, theirs)
        }

        #[track_caller]
        fn assert_untouched(theirs: &Path) {
            let names: Vec<_> = fs::read_dir(theirs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["bashrc"]);
            assert_eq!(fs::read_to_string(theirs.join("bashrc")).unwrap(), "as it was");
        }

        fn backup() -> Backup {
            Backup { key: key(), text: "x".to_owned(), digest: Digest::of(b"x") }
        }

        #[test]
        fn a_file_behind_a_link_is_neither_written_nor_read() {
            let (_around, folder, theirs) = scene();
            let bashrc = theirs.join("bashrc");
            for name in ["logs/tool-clock.log", "ledger-h.lock", "ledger-h.json"] {
                let link = folder.path.join(name);
                fs::create_dir_all(link.parent().unwrap()).unwrap();
                symlink(&bashrc, &link).unwrap();
            }
            let error = folder.log(&key(), "version: 1; code").unwrap_err();
            assert!(format!("{error:#}").ends_with("tool-clock.log`: not a regular file"), "{error:#}");
            let error = State::open(folder.path.clone(), "http://h").err().unwrap();
            assert!(error.to_string().ends_with("ledger-h.lock` is not a regular file"), "{error}");
            assert_eq!(error.hint(), format!("remove `{}`", folder.lock().display()));
            assert!(folder.add("x").is_err());
            folder.save("{}").unwrap();
            assert!(!folder.ledger().is_symlink(), "the link itself is replaced");
            assert_untouched(&theirs);
        }

        #[test]
        fn a_folder_behind_a_link_is_neither_written_nor_read() {
            let (_around, folder, theirs) = scene();
            for name in ["logs", "backups", "deployed", "rollbacks", "under-way"] {
                symlink(&theirs, folder.path.join(name)).unwrap();
            }
            let at = jiff::Timestamp::UNIX_EPOCH;
            let rollback = Rollback { local: None, server: Digest::of(b"x"), done: true };
            for error in [
                folder.log(&key(), "line").unwrap_err(),
                folder.keep(&backup(), at).unwrap_err(),
                folder.archive(&backup(), at).unwrap_err(),
                folder.note_rollback(&key(), &rollback).unwrap_err(),
                folder.forget_under_way(&key()).unwrap_err(),
            ] {
                assert!(format!("{error:#}").ends_with("` is a link"), "{error:#}");
            }
            assert!(folder.rollbacks().is_empty() && folder.copies(&key()).is_empty());
            assert_untouched(&theirs);
        }

        #[test]
        fn a_linked_state_folder_is_refused() {
            let (around, _, theirs) = scene();
            let link = around.path().join("link");
            symlink(&theirs, &link).unwrap();
            for path in [link.clone(), around.path().join("link/")] {
                let error = State::open(path, "http://h").err().unwrap();
                assert!(error.to_string().ends_with("link` is a link"), "{error}");
                assert!(error.hint().starts_with("remove the link"), "{}", error.hint());
            }
            assert_untouched(&theirs);
        }

        #[test]
        fn others_lose_the_right_to_write() {
            let (_around, folder, _) = scene();
            folder.log(&key(), "line").unwrap();
            for path in [folder.path.clone(), folder.path.join("logs")] {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
                folder.log(&key(), "line").unwrap();
                assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755);
            }
        }

        #[test]
        fn another_users_state_is_refused() {
            let (around, folder, _) = scene();
            // Only the administrator can give a folder away.
            if std::os::unix::fs::chown(&folder.path, Some(12345), None).is_err() {
                return;
            }
            let error = State::open(folder.path.clone(), "http://h").err().unwrap();
            assert!(error.to_string().ends_with("state` belongs to another user"), "{error}");
            assert_eq!(error.hint(), "set `OWUI_WATCH_STATE` in the environment to a folder of your own");
            drop(around);
        }

        #[test]
        fn names_of_synced_files_are_synced_too() {
            let around = tempfile::tempdir().unwrap();
            let folder = Folder::new(around.path().join("new/state"), "http://h");
            let synced = || trust::SYNCED.with_borrow_mut(std::mem::take);
            synced();
            folder.keep(&backup(), jiff::Timestamp::UNIX_EPOCH).unwrap();
            let path = |name: &str| around.path().join(name);
            let kept = ["new/state/backups/h/tool/clock", "new/state/backups/h/tool", "new/state/backups/h"];
            let all = ["", "new", "new/state", "new/state", "new/state/backups"].into_iter();
            let expected: Vec<_> = all.chain(kept.into_iter().rev()).map(path).collect();
            assert_eq!(synced(), expected);
            // Nothing waits for these.
            folder.archive(&backup(), jiff::Timestamp::UNIX_EPOCH).unwrap();
            folder.log(&key(), "line").unwrap();
            assert_eq!(synced(), Vec::<PathBuf>::new());
        }
    }

    /// Somebody cleans up while the program runs.
    #[test]
    fn a_ledger_finds_its_folder_gone_and_makes_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().join("state"), "http://h").unwrap();
        fs::remove_dir_all(folder.path().join("state")).unwrap();
        state.save(&Ledger::default().to_json()).unwrap();
        assert!(state.load().1.is_none());
    }
}
