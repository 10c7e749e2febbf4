//! Decides when the settings are read again, and whether they have changed. A reload is a restart in place, which
//! [`daemon`](super) carries out.
//!
//! A file event is a hint; the bytes are the truth. A save counts once two readings, a moment apart, are the same: half
//! a `watch.toml` may be valid and name another server.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use crate::config::{Config, Reading, Request, Sources};
use crate::watcher::{ConfigFileEvent, FileWatcher, Mark, mark};

/// How long a missing or empty file may take to come back before it counts.
const HOLD: Duration = Duration::from_millis(300);
/// How often the files are read where they cannot be watched.
const PACE: Duration = Duration::from_secs(2);
/// How long deploys wait for settings that keep changing, with a short debounce.
const MOST_FLUX: Duration = Duration::from_secs(2);

/// The settings in use, and the watch of the files that they come from.
pub(super) struct Settings<'a> {
    read: &'a dyn Fn() -> Reading,
    config: Config,
    /// The accepted contents of the files.
    sources: Sources,
    /// Another file, whose changes wake the loop.
    bell: Option<PathBuf>,
    /// New contents that were read once, and when they are accepted.
    seen: Option<(Sources, Instant)>,
    /// Set while the settings are unusable: the files that have changed since.
    wrong: Option<BTreeSet<PathBuf>>,
    /// Whether they are for another server, to which the user has not agreed.
    are_elsewhere: bool,
    /// The files as they were when they were last read.
    marks: Vec<(PathBuf, Mark)>,
    /// Whether they held something else then than what was accepted.
    differ: bool,
    /// For how long they have.
    flux: Flux,
    watcher: Option<FileWatcher>,
    touches: UnboundedReceiver<ConfigFileEvent>,
    /// When to read the files after an event, and when regardless.
    due: Option<Instant>,
    patrol: Option<Instant>,
}

/// Whether it is uncertain what the files say, since they hold something else than what was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flux {
    No,
    Since(Instant),
    /// For so long that deploys no longer wait.
    TooLong,
}

/// The result of reading the files.
pub(super) enum News {
    /// Nothing changed.
    None,
    /// Other settings.
    Config(Box<Config>, New),
    /// The files changed, the settings did not.
    Same(New),
    /// The settings cannot be used.
    Wrong {
        why: String,
        hint: Option<String>,
        /// Whether they are for another server, to which the user has not agreed.
        are_elsewhere: bool,
    },
}

/// The changed files and keys.
pub(super) struct New {
    pub(super) files: Vec<PathBuf>,
    pub(super) keys: Vec<&'static str>,
}

impl<'a> Settings<'a> {
    /// Watches the files that these settings come from. `read` reads them again.
    pub(super) fn new(config: Config, sources: Sources, read: &'a dyn Fn() -> Reading, now: Instant) -> Self {
        let (send, touches) = unbounded_channel();
        // A closed channel means that the program is ending, or that a new watcher has taken over.
        let watcher = || {
            FileWatcher::new(move |touch| {
                send.send(touch).ok();
            })
            .ok()
        };
        let mut settings = Self {
            watcher: if config.poll.is_some() { None } else { watcher() },
            touches,
            read,
            config,
            sources,
            bell: None,
            seen: None,
            wrong: None,
            are_elsewhere: false,
            marks: Vec::new(),
            differ: false,
            flux: Flux::No,
            // They may have changed before they were watched.
            due: Some(now),
            patrol: None,
        };
        settings.watch(now);
        settings
    }

    /// Switches to other settings; answers the earlier ones.
    pub(super) fn use_now(&mut self, config: Config, now: Instant) -> Config {
        let new = Self::new(config, std::mem::take(&mut self.sources), self.read, now);
        std::mem::replace(self, new).config
    }

    /// The server's address.
    pub(super) fn server(&self) -> &str {
        &self.config.url
    }

    /// Watches the current files. If that fails, they are read every few seconds.
    fn watch(&mut self, now: Instant) {
        let watched = self.watcher.as_mut().is_some_and(|watcher| {
            let bell = self.bell.as_deref();
            watcher.watch(self.sources.paths().chain(bell)).is_ok()
        });
        let pace = self.config.poll.unwrap_or(PACE);
        self.patrol = if watched { None } else { self.patrol.or(Some(now + pace)) };
    }

    /// Wakes the loop for changes of this file too.
    pub(super) fn listen(&mut self, bell: PathBuf, now: Instant) {
        self.bell = Some(bell);
        self.watch(now);
    }

    /// Waits for the next event, forever if the files are not watched.
    pub(super) async fn touch(&mut self) -> ConfigFileEvent {
        match self.touches.recv().await {
            Some(touch) => touch,
            None => std::future::pending().await,
        }
    }

    /// Takes an event and those queued behind it.
    pub(super) fn touched(&mut self, first: ConfigFileEvent, now: Instant) {
        let mut touch = Some(first);
        while let Some(this) = touch {
            self.due = Some(match this {
                ConfigFileEvent::Changed => now,
                // An event follows when its writer is done, unless it dies first.
                ConfigFileEvent::Changing => now + 10 * self.config.debounce,
            });
            touch = self.touches.try_recv().ok();
        }
    }

    /// Reads unusable settings again: the cause may be gone without a save, such as a file in the place of a root.
    pub(super) fn look_again(&mut self, now: Instant) {
        if self.wrong.is_some() {
            self.due = self.due.or(Some(now));
        }
    }

    /// When [`Settings::glance`] is worth asking.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let ends = if let Flux::Since(since) = self.flux { Some(since + self.longest_flux()) } else { None };
        self.due.into_iter().chain(self.patrol).chain(ends).min()
    }

    /// How long deploys wait for settings that keep changing.
    fn longest_flux(&self) -> Duration {
        MOST_FLUX.max(2 * self.config.debounce)
    }

    /// Whether the files hold something else than the settings in use, and it is not certain yet what: then nothing may
    /// be deployed by the settings in use. A `git checkout` may change plugins together with the server that they are
    /// for. The files are looked at, since their event may still be on its way.
    pub(super) fn are_in_flux(&mut self, now: Instant) -> bool {
        if self.look() != self.marks {
            self.read();
            if self.differ {
                // A writer that is known gets its time.
                self.due = self.due.or(Some(now));
            }
        }
        self.flux = match self.flux {
            _ if !self.differ => Flux::No,
            Flux::No => Flux::Since(now),
            // A program that rewrites them all the time must not hold up every save.
            Flux::Since(since) if since + self.longest_flux() <= now => Flux::TooLong,
            flux => flux,
        };
        // What is saved now is for that server.
        matches!(self.flux, Flux::Since(_)) || self.are_elsewhere
    }

    fn look(&self) -> Vec<(PathBuf, Mark)> {
        self.sources.paths().map(|path| (path.to_owned(), mark(path))).collect()
    }

    /// Reads the files.
    fn read(&mut self) -> Reading {
        // A change while they are read is seen at the next look.
        self.marks = self.look();
        let reading = (self.read)();
        self.differ = !self.sources.changed(&reading.sources).is_empty();
        reading
    }

    /// Reads the files if that is due, and answers what changed once it is certain.
    pub(super) fn glance(&mut self, now: Instant) -> News {
        if self.next_wake().is_none_or(|wake| now < wake) {
            return News::None;
        }
        (self.due, self.patrol) = (None, None);
        // Watch before reading: a later change is an event.
        self.watch(now);
        let reading = self.read();
        if !self.differ {
            self.seen = None;
            return if self.wrong.is_some() && reading.config.is_ok() {
                self.believe(reading, now)
            } else {
                News::None
            };
        }
        let until = match self.seen.take() {
            Some((seen, until)) if seen == reading.sources => until,
            _ if self.sources.lost(&reading.sources) => now + self.config.debounce.max(HOLD),
            _ => now + self.config.debounce,
        };
        if until <= now {
            return self.believe(reading, now);
        }
        self.due = Some(until);
        self.seen = Some((reading.sources, until));
        News::None
    }

    /// Reads the files at once: on request, they are taken to be complete.
    pub(super) fn reread(&mut self, now: Instant) -> News {
        self.watch(now);
        let reading = self.read();
        self.believe(reading, now)
    }

    fn believe(&mut self, reading: Reading, now: Instant) -> News {
        (self.due, self.seen, self.differ) = (None, None, false);
        let changed = self.sources.changed(&reading.sources);
        let news = match reading.config {
            Err(error) => {
                self.wrong.get_or_insert_default().extend(changed);
                // Reading may have stopped at the first file.
                self.sources.extend(reading.sources);
                self.are_elsewhere = error.request().is_some_and(Request::is_about_server);
                let (why, hint) = (error.to_string(), error.hint().map(str::to_owned));
                News::Wrong { why, hint, are_elsewhere: self.are_elsewhere }
            }
            Ok(config) => {
                self.are_elsewhere = false;
                let mut files = self.wrong.take().unwrap_or_default();
                files.extend(changed);
                self.sources = reading.sources;
                let new = New { files: files.into_iter().collect(), keys: self.config.changes(&config) };
                match (new.keys.is_empty(), new.files.is_empty()) {
                    (false, _) => News::Config(Box::new(config), new),
                    (true, false) => News::Same(new),
                    (true, true) => News::None,
                }
            }
        };
        self.watch(now);
        news
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;

    use super::*;
    use crate::cli::Args;
    use crate::config::{self, World};

    #[expect(clippy::disallowed_methods, reason = "the time that a test begins at; it makes the rest itself")]
    fn start() -> Instant {
        Instant::now()
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Settings that are read from a `watch.toml`, by hand and at times that the test makes up.
    struct Scene {
        folder: tempfile::TempDir,
        began: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("plugins")).unwrap();
            let scene = Self { folder, began: start() };
            scene.write("poll = '1h'\n");
            scene
        }

        #[expect(clippy::disallowed_methods, reason = "a test sets its own scene")]
        fn write(&self, text: &str) {
            fs::write(self.folder.path().join("watch.toml"), text).unwrap();
        }

        fn read(&self) -> Reading {
            let world = World { cwd: self.folder.path().to_owned(), ..World::default() };
            config::read(&Args::default(), &world)
        }

        fn at(&self, millis: u64) -> Instant {
            self.began + ms(millis)
        }
    }

    fn brief(news: News) -> String {
        match news {
            News::None => "-".to_owned(),
            News::Config(_, new) => format!("{:?} in {}", new.keys, new.files.len()),
            News::Same(new) => format!("same in {}", new.files.len()),
            News::Wrong { why, .. } => why,
        }
    }

    #[test]
    fn a_save_is_believed_when_it_was_seen_twice() {
        let scene = Scene::new();
        let Reading { config, sources } = scene.read();
        let read = || scene.read();
        let mut settings = Settings::new(config.unwrap(), sources, &read, scene.at(0));
        let settings = RefCell::new(&mut settings);
        let look = |millis| brief(settings.borrow_mut().glance(scene.at(millis)));
        let touched = |touch, millis| settings.borrow_mut().touched(touch, scene.at(millis));
        let wake = || settings.borrow().next_wake().map(|wake| wake.duration_since(scene.began));

        // Nothing has changed between the start and the watch; then there is nothing to do for an hour.
        assert_eq!((look(0), wake()), ("-".to_owned(), Some(Duration::from_hours(1))));

        // The same bytes are nothing.
        scene.write("poll = '1h'\n");
        touched(ConfigFileEvent::Changed, 10);
        assert_eq!((look(10), wake()), ("-".to_owned(), Some(Duration::from_hours(1) + ms(10))));

        // A writer at work is waited for, and what it leaves has to last for the debounce.
        scene.write("poll = '1h'\nurl = 'http://half");
        touched(ConfigFileEvent::Changing, 1000);
        assert_eq!((look(1999), wake()), ("-".to_owned(), Some(ms(2000))));
        scene.write("poll = '1h'\nurl = 'http://other'\n");
        touched(ConfigFileEvent::Changed, 1100);
        assert_eq!((look(1100), look(1199), wake()), ("-".to_owned(), "-".to_owned(), Some(ms(1200))));
        assert_eq!(look(1200), "[\"url\"] in 1");

        // A missing or empty file may come back.
        scene.write("");
        touched(ConfigFileEvent::Changed, 3000);
        assert_eq!((look(3000), wake()), ("-".to_owned(), Some(ms(3300))));
        touched(ConfigFileEvent::Changed, 3010);
        assert_eq!((look(3010), wake()), ("-".to_owned(), Some(ms(3300))));
        scene.write("poll = '1h'\nurl = 'http://other'\n");
        assert_eq!((look(3300), look(3400)), ("-".to_owned(), "-".to_owned()));

        // Wrong settings are told once, and the way back as well.
        scene.write("poll = 1\n");
        touched(ConfigFileEvent::Changed, 5000);
        assert_eq!(look(5000), "-");
        assert!(look(5100).starts_with("cannot use `watch.toml:1:1`: `poll` must be "));
        touched(ConfigFileEvent::Changed, 5200);
        assert_eq!((look(5200), look(5300)), ("-".to_owned(), "-".to_owned()));
        scene.write("poll = '1h'\n");
        touched(ConfigFileEvent::Changed, 6000);
        assert_eq!((look(6000), look(6100)), ("-".to_owned(), "same in 1".to_owned()));
    }

    #[test]
    fn deploys_wait_for_settings_that_change() {
        let scene = Scene::new();
        // The path is whole: these tests do not run in the folder.
        let args = Args { config: Some(scene.folder.path().join("watch.toml")), ..Args::default() };
        let read = || config::read(&args, &World { cwd: scene.folder.path().to_owned(), ..World::default() });
        let Reading { config, sources } = read();
        let mut settings = Settings::new(config.unwrap(), sources, &read, scene.at(0));
        let settings = RefCell::new(&mut settings);
        let waits = |millis| settings.borrow_mut().are_in_flux(scene.at(millis));
        let look = |millis| brief(settings.borrow_mut().glance(scene.at(millis)));
        let touched = |touch, millis| settings.borrow_mut().touched(touch, scene.at(millis));
        assert_eq!((look(0), waits(0)), ("-".to_owned(), false));

        // No event is needed, and the same bytes are nothing.
        scene.write("poll = '1h'\n");
        assert!(!waits(10));
        scene.write("poll = '1h'\nurl = 'http://other'\n");
        assert!(waits(20));
        assert_eq!((look(20), waits(119)), ("-".to_owned(), true));
        assert_eq!((look(120), waits(120)), ("[\"url\"] in 1".to_owned(), false));

        // A writer that is known gets its time.
        touched(ConfigFileEvent::Changing, 1000);
        scene.write("poll = '1h'\n");
        assert_eq!((waits(1000), look(1999)), (true, "-".to_owned()));
        scene.write("poll = '1h'\nurl = 'http://third'\n");
        touched(ConfigFileEvent::Changed, 1999);
        assert_eq!((look(1999), look(2099), waits(2099)), ("-".to_owned(), "[\"url\"] in 1".to_owned(), false));

        // A program that writes all the time.
        for second in 5..10 {
            scene.write(&format!("poll = '{second}1h'\n"));
            assert_eq!(waits(1000 * second), second < 7, "{second}");
            assert_eq!(look(1000 * second), "-");
        }
    }

    #[test]
    fn what_is_asked_for_is_read_at_once() {
        let scene = Scene::new();
        let Reading { config, sources } = scene.read();
        let read = || scene.read();
        let mut settings = Settings::new(config.unwrap(), sources, &read, scene.at(0));
        assert_eq!(brief(settings.reread(scene.at(0))), "-");
        scene.write("poll = '1h'\nconcurrency = 2\n");
        assert_eq!(brief(settings.reread(scene.at(1))), "[\"concurrency\"] in 1");
        assert_eq!(settings.next_wake(), Some(scene.at(0) + Duration::from_hours(1)));
    }

    /// A file in the place of a root makes settings unusable, and no save makes them usable again.
    #[test]
    fn what_was_in_the_way_may_go_by_itself() {
        let scene = Scene::new();
        let Reading { config, sources } = scene.read();
        let read = || scene.read();
        let mut settings = Settings::new(config.unwrap(), sources, &read, scene.at(0));
        let root = scene.folder.path().join("plugins");
        fs::remove_dir(&root).unwrap();
        scene.write("poll = '1h'\nconcurrency = 2\n");
        fs::hard_link(scene.folder.path().join("watch.toml"), &root).unwrap();
        assert_eq!(brief(settings.reread(scene.at(1))), "cannot watch `plugins`: it is not a folder");
        settings.look_again(scene.at(2));
        assert_eq!(brief(settings.glance(scene.at(2))), "-");
        fs::remove_file(&root).unwrap();
        settings.look_again(scene.at(3));
        assert_eq!(brief(settings.glance(scene.at(3))), "[\"concurrency\"] in 1");
    }
}
