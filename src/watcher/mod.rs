//! Turns file events into signs that paths changed. The only user of `notify`.
//!
//! On Linux each folder that the walk admits has its own watch, so ignored folders cost nothing, and the kernel reports
//! when a writer is done. macOS and Windows do not report that: the roots are watched as a whole through
//! `notify-debouncer-full`, and a file counts once it has been quiet. Without events (`poll`, or no watches left)
//! `polling` looks at the folders without a watch. All of them send the same [`Sign`]s.
//!
//! The callbacks decide nothing: they run on notify's threads, where slow work would overflow the kernel's queue. Reads
//! are events too (`Access(Open)`). Only writes, moves and removals become signs, so our own reads trigger nothing.

mod files;
mod polling;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache};

use crate::paths::{ProjectPath, is_under, slashed, those_under};
use crate::plugin::kind::is_source;
use polling::Poller;

/// Whether the system reports when a writer is done.
const EXACT: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// How often to poll where events were expected: behind links, and where the system has no watches left.
const GLANCE: Duration = Duration::from_secs(1);

pub use files::{ConfigFileEvent, FileWatcher};
pub use polling::{Mark, mark};
pub use trial::without_events;

/// The meaning of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The file is complete: its writer closed it.
    Complete(Arc<Path>),
    /// The file is being written.
    Changing(Arc<Path>),
    /// The file is gone from this path.
    Gone(Arc<Path>),
    /// Something is gone that may have been a folder.
    FolderGone(Arc<Path>),
    /// Something appeared that may be a folder, with files that sent no events.
    Appeared(Arc<Path>),
    /// Its permissions may have changed.
    Permitted(Arc<Path>),
    /// Anything may have changed: events were lost, a root came or went, or the ignore rules changed.
    Anything,
    /// A part of the tree cannot be watched: a message and its hint.
    Blind(String, Option<String>),
}

/// Watches the roots.
pub struct Watcher {
    backend: Backend,
    poller: Poller,
    roots: Arc<[ProjectPath]>,
    /// Folders watched one by one, and roots watched as a whole.
    watched: BTreeSet<PathBuf>,
    /// Whether the user was told that something is polled because of the system's limits.
    told: bool,
}

enum Backend {
    /// Linux: the kernel reports when a writer is done.
    Exact(RecommendedWatcher),
    /// macOS, Windows, BSD.
    Debounced(Debouncer<RecommendedWatcher, RecommendedCache>),
    /// Without events.
    Polling,
}

impl Watcher {
    /// Sets the watch up; [`Watcher::watch_folder`] starts it. `poll` replaces events by polling at this interval.
    /// `send` is called from other threads and must not block.
    pub fn new(
        roots: &[PathBuf],
        debounce: Duration,
        poll: Option<Duration>,
        send: impl Fn(Sign) + Clone + Send + 'static,
    ) -> anyhow::Result<Self> {
        let roots: Arc<[ProjectPath]> = roots
            .iter()
            .map(|root| ProjectPath::new(root).with_context(|| format!("resolving `{}`", slashed(&root))))
            .collect::<Result<_, _>>()?;
        let (known, to) = (Arc::clone(&roots), send.clone());
        let poller = Poller::new(poll.unwrap_or(GLANCE), debounce, move |sign| to(of_roots(sign, &known)));
        let backend = match poll {
            Some(_) => Ok(Backend::Polling),
            None => Backend::with_events(&roots, debounce, send.clone()),
        };
        let backend = backend.unwrap_or_else(|error| {
            send(blind(&error, None));
            Backend::Polling
        });
        Ok(Self { backend, poller, roots, watched: BTreeSet::new(), told: false })
    }

    /// Whether the kernel reports when a file is complete.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self.backend, Backend::Exact(_))
    }

    /// Watches one folder that the walk admits, before its content is listed. Polls it if it cannot be watched; the
    /// error says so, once.
    pub fn watch_folder(&mut self, folder: &Path) -> Result<(), Sign> {
        match self.try_watch(folder) {
            Ok(true) => {
                if self.poller.forget_folder(folder) && !self.poller.has_folders() {
                    // The limit was raised: if it is reached again, report it again.
                    self.told = false;
                }
                Ok(())
            }
            Ok(false) => {
                self.poller.watch_folder(folder);
                Ok(())
            }
            // The folder is gone, which is an event of its own, or unreadable, which the walk reports.
            Err(error) if is_of_the_folder(&error) => Ok(()),
            Err(error) => {
                self.poller.watch_folder(folder);
                if std::mem::replace(&mut self.told, true) { Ok(()) } else { Err(blind(&error, Some(folder))) }
            }
        }
    }

    /// Whether this folder sends events from now on.
    fn try_watch(&mut self, folder: &Path) -> notify::Result<bool> {
        let root = self.roots.iter().find(|root| *root.typed == *folder);
        match &mut self.backend {
            Backend::Polling => return Ok(false),
            Backend::Exact(watcher) => {
                // The parent reports when the root comes back; polling covers the rest.
                if let Some(parent) = root.and_then(|root| root.full.parent()) {
                    watcher.watch(parent, RecursiveMode::NonRecursive)?;
                }
                // Even if it is watched already: a replaced folder needs a new watch.
                let full = std::path::absolute(folder).map_err(notify::Error::io)?;
                watcher.watch(&full, RecursiveMode::NonRecursive)?;
            }
            Backend::Debounced(debouncer) => match root {
                Some(_) if self.watched.contains(folder) => {}
                Some(root) => debouncer.watch(&root.full, RecursiveMode::Recursive)?,
                None => {
                    return Ok(self.watched.iter().any(|root| is_under(folder, root)));
                }
            },
        }
        self.watched.insert(folder.to_owned());
        Ok(true)
    }

    /// Ends the watch of a folder that is gone, and of its subfolders: a moved folder would report its old path.
    pub fn forget_folder(&mut self, folder: &Path) {
        self.poller.forget_folders_in(folder);
        let gone: Vec<_> = those_under(&self.watched, folder).cloned().collect();
        for folder in &gone {
            self.watched.remove(folder);
            let Ok(full) = std::path::absolute(folder) else { continue };
            // The system may have already dropped the watch of a deleted folder.
            match &mut self.backend {
                Backend::Exact(watcher) => drop(watcher.unwatch(&full)),
                Backend::Debounced(debouncer) => drop(debouncer.unwatch(&full)),
                Backend::Polling => {}
            }
        }
    }

    /// Sets the roots that are missing, or that lead where they must not. A change of that is a sign.
    pub fn await_roots(&mut self, roots: BTreeMap<PathBuf, Option<PathBuf>>) {
        for root in roots.keys() {
            self.forget_folder(root);
            let known = self.roots.iter().find(|known| known.typed == *root);
            if let (Backend::Exact(watcher), Some(parent)) = (&mut self.backend, known.and_then(|it| it.full.parent()))
            {
                // If this fails, polling notices it later.
                watcher.watch(parent, RecursiveMode::NonRecursive).ok();
            }
        }
        self.poller.await_roots(roots);
    }

    /// Sets the links to files. Their targets lie in other folders, which may have no watch, so they are polled.
    pub fn follow_links(&mut self, links: Vec<Arc<Path>>) {
        self.poller.follow_links(links);
    }
}

impl Backend {
    /// A watcher that uses the system's events.
    fn with_events(
        roots: &Arc<[ProjectPath]>,
        debounce: Duration,
        send: impl Fn(Sign) + Clone + Send + 'static,
    ) -> notify::Result<Self> {
        let roots = Arc::clone(roots);
        if EXACT {
            let handler = move |result: notify::Result<notify::Event>| match result {
                Ok(event) => signs(&event, &roots).into_iter().for_each(&send),
                Err(error) => send(blind(&error, None)),
            };
            Ok(Self::Exact(notify::recommended_watcher(handler)?))
        } else {
            Ok(Self::Debounced(notify_debouncer_full::new_debouncer(debounce, None, debounced(roots, send))?))
        }
    }
}

/// The path as the user would type it; `None` outside the roots.
fn shown(path: &Path, roots: &[ProjectPath]) -> Option<Arc<Path>> {
    roots.iter().find_map(|root| root.show(path)).map(Arc::from)
}

/// The signs for one kernel event.
fn signs(event: &notify::Event, roots: &[ProjectPath]) -> Vec<Sign> {
    if event.need_rescan() {
        return vec![Sign::Anything];
    }
    let Some(path) = event.paths.first() else { return Vec::new() };
    let Some(path) = shown(path, roots) else { return Vec::new() };
    let sign = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => of_file(path, Sign::Complete),
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {
            of_file(path, Sign::Changing)
        }
        EventKind::Create(CreateKind::Folder | CreateKind::Any | CreateKind::Other) => Some(Sign::Appeared(path)),
        // The kernel does not say whether a file or a folder was moved in.
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) if is_source(&path) => Some(Sign::Complete(path)),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) if is_rules(&path) => Some(Sign::Anything),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Sign::Appeared(path)),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) if is_source(&path) => Some(Sign::Gone(path)),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) if is_rules(&path) => Some(Sign::Anything),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(RemoveKind::Folder) => {
            Some(Sign::FolderGone(path))
        }
        EventKind::Remove(_) => of_file(path, Sign::Gone),
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Sign::Permitted(path)),
        _ => None,
    };
    sign.into_iter().map(|sign| of_roots(sign, roots)).collect()
}

/// A sign about a root itself means that anything may have changed.
fn of_roots(sign: Sign, roots: &[ProjectPath]) -> Sign {
    match sign {
        Sign::FolderGone(path) | Sign::Appeared(path) if roots.iter().any(|root| *root.typed == *path) => {
            Sign::Anything
        }
        sign => sign,
    }
}

/// A sign about a file, if a file of this name can be a plugin.
fn of_file(path: Arc<Path>, sign: impl FnOnce(Arc<Path>) -> Sign) -> Option<Sign> {
    if is_source(&path) {
        Some(sign(path))
    } else if is_rules(&path) {
        Some(Sign::Anything)
    } else {
        None
    }
}

/// Whether this file contains ignore rules.
fn is_rules(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == ".gitignore" || name == ".ignore")
}

/// The handler for a debouncer. The paths that it reports have been quiet, but may be gone, or folders.
fn debounced(
    roots: Arc<[ProjectPath]>,
    send: impl Fn(Sign) + Send + 'static,
) -> impl FnMut(DebounceEventResult) + Send {
    move |result: DebounceEventResult| match result {
        Ok(events) => {
            for event in events {
                if event.need_rescan() {
                    send(Sign::Anything);
                    continue;
                }
                if matches!(event.kind, EventKind::Access(_)) {
                    continue;
                }
                let shown = event.paths.iter().filter_map(|path| shown(path, &roots));
                for path in shown {
                    if roots.iter().any(|root| *root.typed == *path) || is_rules(&path) {
                        send(Sign::Anything);
                    } else if is_source(&path) {
                        send(Sign::Complete(path));
                    } else if matches!(event.kind, EventKind::Remove(_)) {
                        send(Sign::FolderGone(path));
                    } else if !matches!(event.kind, EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_))) {
                        send(Sign::Appeared(path));
                    }
                }
            }
        }
        Err(errors) => errors.iter().for_each(|error| send(blind(error, None))),
    }
}

/// Whether an error concerns only this folder, not the system's limits.
fn is_of_the_folder(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(io) => {
            matches!(io.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied)
        }
        _ => false,
    }
}

/// The sign that something cannot be watched, and is polled instead. `folder` is the first of perhaps several; `None`
/// means everything.
fn blind(error: &notify::Error, folder: Option<&Path>) -> Sign {
    let whose = folder.or_else(|| error.paths.first().map(PathBuf::as_path));
    let whose = whose.map(|path| format!(" of `{}`", slashed(&path))).unwrap_or_default();
    let limit = Limit::of(error).map(|limit| (limit, limit.value(sysctl_value)));
    let cause = match &limit {
        Some((limit, Some((sysctl, value)))) => {
            format!("the system's limit of {} is reached ({sysctl} is {value})", limit.what)
        }
        Some((limit, None)) => format!("the system's limit of {} is reached", limit.what),
        None => words(error),
    };
    let hint = limit.map(|(limit, found)| {
        let (sysctl, value) = found.unwrap_or((format!("fs.inotify.{}", limit.name), 0));
        let enough = (2 * value).max(limit.enough);
        format!("raise it with `sudo sysctl {sysctl}={enough}`; {}", limit.raised)
    });
    Sign::Blind(format!("no file events{whose}: {cause}; polling every second instead"), hint)
}

/// A system limit that watching can reach.
#[derive(Clone, Copy)]
struct Limit {
    what: &'static str,
    name: &'static str,
    /// A common value.
    enough: u64,
    /// When a higher limit takes effect.
    raised: &'static str,
}

impl Limit {
    fn of(error: &notify::Error) -> Option<Self> {
        match &error.kind {
            ErrorKind::MaxFilesWatch => {
                let raised = "after that, a reload (`r`, or SIGHUP without a terminal) uses events again";
                Some(Self { what: "inotify watches", name: "max_user_watches", enough: 524_288, raised })
            }
            ErrorKind::Io(io) if io.raw_os_error() == Some(24) => {
                let raised = "the next start uses events again";
                Some(Self { what: "inotify instances", name: "max_user_instances", enough: 1024, raised })
            }
            _ => None,
        }
    }

    /// The effective setting and its value: in a container, that of the user namespace may be lower than the system's.
    fn value(self, value: impl Fn(&str) -> Option<u64>) -> Option<(String, u64)> {
        let names = [format!("fs.inotify.{}", self.name), format!("user.{}", self.name.replace("user", "inotify"))];
        names.into_iter().filter_map(|name| value(&name).map(|value| (name, value))).min_by_key(|(_, value)| *value)
    }
}

#[expect(clippy::disallowed_methods, reason = "the system tells its settings as files")]
fn sysctl_value(sysctl: &str) -> Option<u64> {
    let file = Path::new("/proc/sys").join(sysctl.replace('.', "/"));
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn words(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::Io(io) => io.to_string(),
        ErrorKind::PathNotFound => "it does not exist".to_owned(),
        ErrorKind::Generic(_) | ErrorKind::WatchNotFound | ErrorKind::InvalidConfig(_) | ErrorKind::MaxFilesWatch => {
            error.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::Event;
    use notify::event::{DataChange, MetadataKind};

    use super::*;

    fn roots() -> Vec<ProjectPath> {
        let (typed, full) = (PathBuf::from("plugins"), PathBuf::from("/project/plugins"));
        vec![ProjectPath { typed, full, real: Some(PathBuf::from("/real/plugins")) }]
    }

    #[track_caller]
    fn check(kind: EventKind, path: &str, expected: &[Sign]) {
        let event = Event::new(kind).add_path(PathBuf::from(path));
        assert_eq!(signs(&event, &roots()), expected, "{kind:?} {path}");
    }

    fn shown(path: &str) -> Arc<Path> {
        Arc::from(Path::new(path))
    }

    #[test]
    fn kernel_events_become_signs() {
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let metadata = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let (from, to) = (ModifyKind::Name(RenameMode::From), ModifyKind::Name(RenameMode::To));
        let py = "/project/plugins/a.py";

        check(close, py, &[Sign::Complete(shown("plugins/a.py"))]);
        check(close, "/real/plugins/a.py", &[Sign::Complete(shown("plugins/a.py"))]);
        check(EventKind::Modify(to), py, &[Sign::Complete(shown("plugins/a.py"))]);
        check(EventKind::Create(CreateKind::File), py, &[Sign::Changing(shown("plugins/a.py"))]);
        check(data, py, &[Sign::Changing(shown("plugins/a.py"))]);
        check(EventKind::Modify(from), py, &[Sign::Gone(shown("plugins/a.py"))]);
        check(EventKind::Remove(RemoveKind::File), py, &[Sign::Gone(shown("plugins/a.py"))]);
        // Our own reads.
        check(open, py, &[]);
        check(metadata, py, &[Sign::Permitted(shown("plugins/a.py"))]);

        check(EventKind::Create(CreateKind::Folder), "/project/plugins/new", &[Sign::Appeared(shown("plugins/new"))]);
        check(EventKind::Modify(to), "/project/plugins/new", &[Sign::Appeared(shown("plugins/new"))]);
        check(EventKind::Modify(from), "/project/plugins/old", &[Sign::FolderGone(shown("plugins/old"))]);

        check(close, "/project/plugins/.gitignore", &[Sign::Anything]);
        check(EventKind::Remove(RemoveKind::Folder), "/project/plugins", &[Sign::Anything]);
        check(EventKind::Create(CreateKind::Folder), "/project/plugins", &[Sign::Anything]);
        // Files beside the root, and editors' temporary files.
        check(close, "/project/other.py", &[]);
        check(close, "/project/plugins/a.py~", &[]);
        check(close, "/project/plugins/.a.py.swp", &[]);
    }

    #[test]
    fn an_overflow_means_anything_may_have_changed() {
        let event = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert_eq!(signs(&event, &roots()), [Sign::Anything]);
    }

    /// A debouncer reports quiet paths, but not whether a path is a file or still exists.
    #[test]
    fn debouncer_events_become_signs() {
        let (send, signs) = std::sync::mpsc::channel();
        let mut handler = debounced(roots().into(), move |sign| send.send(sign).unwrap());
        let mut check = |kind: EventKind, path: &str, expected: &[Sign]| {
            let event = Event::new(kind).add_path(PathBuf::from(path));
            handler(Ok(vec![notify_debouncer_full::DebouncedEvent::new(event, instant())]));
            assert_eq!(signs.try_iter().collect::<Vec<_>>(), expected, "{kind:?} {path}");
        };
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let create = EventKind::Create(CreateKind::Any);
        let remove = EventKind::Remove(RemoveKind::Any);
        let py = "/project/plugins/a.py";

        for kind in [data, create, remove, EventKind::Modify(ModifyKind::Any)] {
            check(kind, py, &[Sign::Complete(shown("plugins/a.py"))]);
            check(kind, "/real/plugins/.gitignore", &[Sign::Anything]);
            check(kind, "/real/plugins", &[Sign::Anything]);
            check(kind, "/elsewhere/a.py", &[]);
        }
        check(EventKind::Access(AccessKind::Close(AccessMode::Write)), py, &[]);
        check(create, "/project/plugins/new", &[Sign::Appeared(shown("plugins/new"))]);
        check(remove, "/project/plugins/old", &[Sign::FolderGone(shown("plugins/old"))]);
        check(data, "/project/plugins/folder", &[]);
    }

    #[expect(clippy::disallowed_methods, reason = "an event has a time, which nobody looks at here")]
    fn instant() -> std::time::Instant {
        std::time::Instant::now()
    }

    #[test]
    fn system_limits_have_names_and_remedies() {
        for (error, words, sysctl) in [
            (notify::Error::new(ErrorKind::MaxFilesWatch), "inotify watches", "max_user_watches"),
            (notify::Error::io(std::io::Error::from_raw_os_error(24)), "inotify instances", "max_user_instances"),
        ] {
            let Sign::Blind(message, hint) = blind(&error, Some(Path::new("a"))) else { panic!() };
            assert!(message.contains("`a`") && message.contains(words) && message.contains("second"), "{message}");
            assert!(hint.as_ref().is_some_and(|hint| hint.contains("sudo sysctl ")), "{hint:?}");
            let limit = Limit::of(&error).unwrap();
            let found = limit.value(|name| name.starts_with("fs.").then_some(128));
            assert_eq!(found, Some((format!("fs.inotify.{sysctl}"), 128)));
            // The user namespace's limit counts if it is lower than the system's.
            let both = |own: u64| move |name: &str| Some(if name.starts_with("fs.") { 128 } else { own });
            assert_eq!(limit.value(both(128)), found);
            assert_eq!(limit.value(both(5)), Some((format!("user.{}", sysctl.replace("user", "inotify")), 5)));
        }
        let other = blind(&notify::Error::path_not_found(), None);
        let words = "no file events: it does not exist; polling every second instead";
        assert_eq!(other, Sign::Blind(words.to_owned(), None));
    }
}
