//! File events → signs that paths changed. The only user of `notify`.
//!
//! On Linux each folder that the walk admits is watched by itself, so that ignored folders cost nothing, and the kernel
//! tells when a writer is done. Elsewhere (and when polling) nobody tells: the roots are watched as a whole through
//! `notify-debouncer-full`, and files are believed only when they have been quiet. Both speak the same [`Sign`]s.
//!
//! Nothing is decided in the callbacks: they run on notify's threads, where any work makes the kernel's queue overflow.
//! Reading a file is an event as well (`Access(Open)`); only writes, moves and removals are signs, so our own reads are
//! not seen again.

mod files;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{ErrorKind, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher as _};
use notify_debouncer_full::{DebounceEventResult, Debouncer, NoCache, RecommendedCache};

pub use files::{FileWatcher, Touch};

/// What an event means to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The file is as its writer wanted it.
    Complete(Arc<Path>),
    /// The file is being written.
    Changing(Arc<Path>),
    /// The file is not there any more under this name.
    Gone(Arc<Path>),
    /// Something is not there any more that may have been a folder.
    FolderGone(Arc<Path>),
    /// Something appeared that may be a folder, with files in it that nobody saw coming.
    Appeared(Arc<Path>),
    /// Anything may have changed: events were lost, a root came or went, or the rules of what is ignored changed.
    Anything,
    /// A part of the tree cannot be watched.
    Blind(String, Option<String>),
}

/// Watches the roots.
pub struct Watcher {
    backend: Backend,
    roots: Arc<[Root]>,
    /// The folders that are watched one by one.
    folders: BTreeSet<PathBuf>,
}

enum Backend {
    /// Linux: the kernel tells when a writer is done.
    Exact(RecommendedWatcher),
    /// macOS, Windows, BSD.
    Debounced(Debouncer<RecommendedWatcher, RecommendedCache>),
    /// File systems that send no events.
    Polling(Debouncer<PollWatcher, NoCache>),
}

/// A root as the user calls it, and as events call it.
struct Root {
    shown: PathBuf,
    full: PathBuf,
    real: Option<PathBuf>,
}

impl Watcher {
    /// Sets the watch up. `poll` is the pause between two looks, where the system's events are not to be used; `send` is
    /// called from other threads and must not block.
    pub fn new(
        roots: &[PathBuf],
        debounce: Duration,
        poll: Option<Duration>,
        send: impl Fn(Sign) + Clone + Send + 'static,
    ) -> anyhow::Result<Self> {
        let roots: Arc<[Root]> = roots.iter().map(|root| Root::new(root)).collect::<Result<_, _>>()?;
        let backend = if let Some(pause) = poll {
            // Contents are compared because notify's polling sees times in whole seconds.
            let config = notify::Config::default().with_poll_interval(pause).with_compare_contents(true);
            let handler = debounced(Arc::clone(&roots), send);
            let debouncer = notify_debouncer_full::new_debouncer_opt(debounce, None, handler, NoCache::new(), config)
                .context(SETUP)?;
            Backend::Polling(debouncer)
        } else if EXACT {
            let roots = Arc::clone(&roots);
            let watcher = notify::recommended_watcher(move |result: notify::Result<notify::Event>| match result {
                Ok(event) => signs(&event, &roots).into_iter().for_each(&send),
                Err(error) => send(blind(&error)),
            });
            Backend::Exact(watcher.map_err(|error| explain(&error)).context(SETUP)?)
        } else {
            let handler = debounced(Arc::clone(&roots), send);
            Backend::Debounced(notify_debouncer_full::new_debouncer(debounce, None, handler).context(SETUP)?)
        };
        let mut watcher = Self { backend, roots, folders: BTreeSet::new() };
        watcher.watch_roots()?;
        Ok(watcher)
    }

    /// Whether the kernel says when a file is complete.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self.backend, Backend::Exact(_))
    }

    /// A root's parent is watched as well where folders are watched one by one: it tells when the root comes back.
    fn watch_roots(&mut self) -> anyhow::Result<()> {
        for root in Arc::clone(&self.roots).iter() {
            let watched = match &mut self.backend {
                Backend::Exact(watcher) => match root.full.parent() {
                    Some(parent) => watcher.watch(parent, RecursiveMode::NonRecursive),
                    None => Ok(()),
                },
                Backend::Debounced(debouncer) => debouncer.watch(&root.full, RecursiveMode::Recursive),
                Backend::Polling(debouncer) => debouncer.watch(&root.full, RecursiveMode::Recursive),
            };
            watched.map_err(|error| explain(&error)).with_context(|| format!("watching `{}`", root.shown.display()))?;
        }
        Ok(())
    }

    /// Watches one folder that the walk admits, before its content is listed. Where the roots are watched as a whole there
    /// is nothing to do.
    pub fn watch_folder(&mut self, folder: &Path) -> Result<(), Sign> {
        let Backend::Exact(watcher) = &mut self.backend else { return Ok(()) };
        let Ok(full) = std::path::absolute(folder) else { return Ok(()) };
        // Also when it is watched already: a folder that was replaced by another of the same name needs a new watch.
        match watcher.watch(&full, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.folders.insert(folder.to_owned());
                Ok(())
            }
            // It is gone again, which its own event tells.
            Err(notify::Error { kind: ErrorKind::PathNotFound, .. }) => Ok(()),
            Err(error) => Err(blind(&error)),
        }
    }

    /// Ends the watch of a folder that is gone, and of those in it: a moved folder would report under its old name.
    pub fn forget_folder(&mut self, folder: &Path) {
        let gone: Vec<_> = self.folders.iter().filter(|watched| watched.starts_with(folder)).cloned().collect();
        for folder in &gone {
            self.folders.remove(folder);
            if let (Backend::Exact(watcher), Ok(full)) = (&mut self.backend, std::path::absolute(folder)) {
                // The kernel has dropped the watch of a deleted folder already.
                drop(watcher.unwatch(&full));
            }
        }
    }
}

/// Whether the system tells when a writer is done.
const EXACT: bool = cfg!(any(target_os = "linux", target_os = "android"));

const SETUP: &str = "cannot watch for file events";

impl Root {
    fn new(shown: &Path) -> anyhow::Result<Self> {
        let full = std::path::absolute(shown).with_context(|| format!("resolving `{}`", shown.display()))?;
        let real = full.canonicalize().ok().filter(|real| *real != full);
        Ok(Self { shown: shown.to_owned(), full, real })
    }

    /// The path as the user would type it, if it is in this root.
    fn show(&self, path: &Path) -> Option<Arc<Path>> {
        let rest = path.strip_prefix(&self.full).ok().or_else(|| path.strip_prefix(self.real.as_ref()?).ok())?;
        // In the current folder, `a.py` is what the user types, and not `./a.py`.
        let here = self.shown.as_os_str() == ".";
        Some(match (rest.as_os_str().is_empty(), here) {
            (true, _) => Arc::from(&*self.shown),
            (false, true) => Arc::from(rest),
            (false, false) => Arc::from(self.shown.join(rest)),
        })
    }
}

/// What one event of the kernel's means.
fn signs(event: &notify::Event, roots: &[Root]) -> Vec<Sign> {
    if event.need_rescan() {
        return vec![Sign::Anything];
    }
    let Some(path) = event.paths.first() else { return Vec::new() };
    let Some(path) = roots.iter().find_map(|root| root.show(path)) else { return Vec::new() };
    let sign = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => of_file(path, Sign::Complete),
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {
            of_file(path, Sign::Changing)
        }
        EventKind::Create(CreateKind::Folder | CreateKind::Any | CreateKind::Other) => Some(Sign::Appeared(path)),
        // The kernel does not say whether a folder was moved in, or a file.
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) if is_source(&path) => Some(Sign::Complete(path)),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) if is_rules(&path) => Some(Sign::Anything),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Sign::Appeared(path)),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) if is_source(&path) => Some(Sign::Gone(path)),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) if is_rules(&path) => Some(Sign::Anything),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(RemoveKind::Folder) => {
            Some(Sign::FolderGone(path))
        }
        EventKind::Remove(_) => of_file(path, Sign::Gone),
        _ => None,
    };
    match sign {
        Some(Sign::FolderGone(path) | Sign::Appeared(path)) if roots.iter().any(|root| *root.shown == *path) => {
            vec![Sign::Anything]
        }
        sign => sign.into_iter().collect(),
    }
}

/// A sign about a file, if files of this name matter.
fn of_file(path: Arc<Path>, sign: impl FnOnce(Arc<Path>) -> Sign) -> Option<Sign> {
    if is_source(&path) {
        Some(sign(path))
    } else if is_rules(&path) {
        Some(Sign::Anything)
    } else {
        None
    }
}

/// Only these can be plugins.
fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "py")
}

/// These say what is ignored.
fn is_rules(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == ".gitignore" || name == ".ignore")
}

/// The handler of a debouncer: what it reports has been quiet, but may be gone again or a folder.
fn debounced(roots: Arc<[Root]>, send: impl Fn(Sign) + Send + 'static) -> impl FnMut(DebounceEventResult) + Send {
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
                let shown = event.paths.iter().filter_map(|path| roots.iter().find_map(|root| root.show(path)));
                for path in shown {
                    if roots.iter().any(|root| *root.shown == *path) || is_rules(&path) {
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
        Err(errors) => errors.iter().for_each(|error| send(blind(error))),
    }
}

fn blind(error: &notify::Error) -> Sign {
    let error = explain(error);
    Sign::Blind(format!("not all changes can be seen: {error}"), error.hint())
}

/// The system's limits, by their names.
#[derive(Debug)]
pub struct Explained(String, Option<&'static str>);

impl Explained {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.1.map(|sysctl| format!("raise `{sysctl}` with sysctl, or set `poll = \"2s\"` in watch.toml"))
    }
}

impl std::fmt::Display for Explained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Explained {}

fn explain(error: &notify::Error) -> Explained {
    let whose = error.paths.first().map(|path| format!("`{}`: ", path.display())).unwrap_or_default();
    match &error.kind {
        ErrorKind::MaxFilesWatch => Explained(
            format!("{whose}the system's limit of inotify watches is reached"),
            Some("fs.inotify.max_user_watches"),
        ),
        ErrorKind::Io(io) if io.raw_os_error() == Some(24) => Explained(
            format!("{whose}the system's limit of inotify instances is reached"),
            Some("fs.inotify.max_user_instances"),
        ),
        ErrorKind::Io(io) => Explained(format!("{whose}{io}"), None),
        ErrorKind::PathNotFound => Explained(format!("{whose}it does not exist"), None),
        ErrorKind::Generic(_) | ErrorKind::WatchNotFound | ErrorKind::InvalidConfig(_) => {
            Explained(format!("{whose}{error}"), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::Event;
    use notify::event::{DataChange, MetadataKind};

    use super::*;

    fn roots() -> Vec<Root> {
        let (shown, full) = (PathBuf::from("plugins"), PathBuf::from("/project/plugins"));
        vec![Root { shown, full, real: Some(PathBuf::from("/real/plugins")) }]
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
    fn what_the_kernels_events_mean() {
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
        // Our own reads, and changes of modes and times alone.
        check(open, py, &[]);
        check(metadata, py, &[]);

        check(EventKind::Create(CreateKind::Folder), "/project/plugins/new", &[Sign::Appeared(shown("plugins/new"))]);
        check(EventKind::Modify(to), "/project/plugins/new", &[Sign::Appeared(shown("plugins/new"))]);
        check(EventKind::Modify(from), "/project/plugins/old", &[Sign::FolderGone(shown("plugins/old"))]);

        check(close, "/project/plugins/.gitignore", &[Sign::Anything]);
        check(EventKind::Remove(RemoveKind::Folder), "/project/plugins", &[Sign::Anything]);
        check(EventKind::Create(CreateKind::Folder), "/project/plugins", &[Sign::Anything]);
        // Neighbours of the root, and editors' own files.
        check(close, "/project/other.py", &[]);
        check(close, "/project/plugins/a.py~", &[]);
        check(close, "/project/plugins/.a.py.swp", &[]);
    }

    #[test]
    fn a_full_queue_means_anything() {
        let event = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert_eq!(signs(&event, &roots()), [Sign::Anything]);
    }

    /// What a debouncer reports has been quiet, but it does not say whether a path is a file, or still there.
    #[test]
    fn what_the_debouncers_events_mean() {
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
    fn the_system_s_limits_have_names_and_a_remedy() {
        for (error, words, sysctl) in [
            (notify::Error::new(ErrorKind::MaxFilesWatch), "inotify watches", "max_user_watches"),
            (notify::Error::io(std::io::Error::from_raw_os_error(24)), "inotify instances", "max_user_instances"),
        ] {
            let Sign::Blind(message, hint) = blind(&error.add_path(PathBuf::from("a"))) else { panic!() };
            assert!(message.contains("`a`") && message.contains(words), "{message}");
            assert!(hint.as_ref().is_some_and(|hint| hint.contains(sysctl) && hint.contains("poll")), "{hint:?}");
        }
        let other = blind(&notify::Error::path_not_found());
        assert_eq!(other, Sign::Blind("not all changes can be seen: it does not exist".to_owned(), None));
    }

    #[test]
    fn paths_are_shown_as_the_user_types_them() {
        let here = Root { shown: PathBuf::from("."), full: PathBuf::from("/project"), real: None };
        assert_eq!(here.show(Path::new("/project/a/b.py")).as_deref(), Some(Path::new("a/b.py")));
        assert_eq!(here.show(Path::new("/project")).as_deref(), Some(Path::new(".")));
        assert_eq!(here.show(Path::new("/project2/a.py")), None);
    }
}
