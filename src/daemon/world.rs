//! The daemon's world: the disk, the watcher, git, the server and the user, as [`Driver`] needs them.
#![expect(clippy::disallowed_methods, reason = "the loop's clock is read here")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;

use super::checks::Checks;
use super::requests::Requests;
use super::trials::Trials;
use super::writer::{Writer, Written};
use super::{Audience, Plan, Start};
use crate::client::Client;
use crate::config::Config;
use crate::disk::{Folder, Plugins, ScanCache, State, Trust};
use crate::driver::{Driver, LedgerWritten, World, Write};
use crate::engine::deploy::{Call, Reply};
use crate::engine::files::{FilePresence, Loaded};
use crate::engine::ledger::{Ledger, Rollback};
use crate::engine::{Event, Now, Scan, Ticket};
use crate::git::Git;
use crate::notice::{Notice, NoticeKind, Subject, Trouble};
use crate::paths::ProjectPath;
use crate::plugin::Key;
use crate::watcher::{Sign, Watcher};

/// See the module's documentation.
pub(super) struct Outside {
    /// Locked by a scan, or a walk of new folders, for as long as it lasts.
    eyes: Arc<Mutex<Eyes>>,
    pub(super) scanning: Option<JoinHandle<Scanned>>,
    pub(super) walking: Option<JoinHandle<Walked>>,
    pub(super) signs: UnboundedReceiver<Sign>,
    /// `None` where nothing is kept.
    pub(super) state: Option<State>,
    pub(super) writer: Option<Writer>,
    git: Git,
    pub(super) client: Client,
    pub(super) audience: Audience,
    pub(super) calls: JoinSet<(Ticket, Reply)>,
    /// Notices not yet told, and when each happened.
    untold: Vec<(Notice, Timestamp)>,
    /// Deploys that the user asked this watch for.
    pub(super) requests: Requests,
    pub(super) trials: Trials,
    pub(super) checks: Checks,
    config: Config,
    /// Whether it deploys saves, and not one pass.
    watches: bool,
    /// Told once: a full disk would repeat it with every line and every save.
    write_failed: bool,
    ledger_failed: bool,
    trust: Trust,
    debounce: Duration,
    pub(super) started: Instant,
}

/// The files and their watcher.
struct Eyes {
    plugins: Plugins,
    watcher: Option<Watcher>,
    /// The links that the watcher follows.
    followed: BTreeSet<Arc<Path>>,
}

/// The result of a scan, with notices about it.
pub(super) struct Scanned {
    scan: Scan,
    notices: Vec<Notice>,
}

/// The files in folders that appeared, with notices about them.
pub(super) struct Walked {
    files: Vec<Arc<Path>>,
    notices: Vec<Notice>,
}

impl Outside {
    pub(super) fn new(start: Start, audience: Audience, started: Instant) -> Self {
        let Start { plan: Plan { config, client, trial_client, .. }, plugins, watcher, signs, mut state } = start;
        if let Some(state) = &mut state {
            // The engine starts with the current ones.
            state.rollbacks_changed();
        }
        let watcher_is_there = watcher.is_some();
        let exact = watcher.as_ref().is_some_and(Watcher::is_exact);
        Self {
            eyes: Arc::new(Mutex::new(Eyes { plugins, watcher, followed: BTreeSet::new() })),
            scanning: None,
            walking: None,
            signs,
            writer: state.as_ref().map(|state| Writer::new(state.folder())),
            state,
            git: Git::new(config.roots.clone()),
            client,
            audience,
            calls: JoinSet::new(),
            untold: Vec::new(),
            requests: Requests::default(),
            trials: Trials::new(trial_client, &config),
            checks: Checks::default(),
            watches: watcher_is_there,
            config: config.clone(),
            write_failed: false,
            ledger_failed: false,
            trust: if exact { Trust::Closed } else { Trust::Quiet(config.debounce) },
            debounce: config.debounce,
            started,
        }
    }

    pub(super) fn at(&self) -> Duration {
        self.started.elapsed()
    }

    // ---- answers ----------------------------------------------------------------------------------------------------

    /// The answers that have arrived by now.
    pub(super) fn answered(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.calls.try_join_next()).map(event).collect()
    }

    /// Waits until the queue is on disk.
    pub(super) async fn flush(&mut self) -> Vec<Written> {
        match &mut self.writer {
            Some(writer) => writer.flush().await,
            None => Vec::new(),
        }
    }

    /// Takes the results of writes. Answers the events that the engine waits for.
    pub(super) fn on_written(&mut self, written: Vec<Written>, driver: &mut Driver) -> Vec<Event> {
        let mut events = Vec::new();
        for written in written {
            match written {
                Written::Event(event) => events.push(event),
                Written::Nothing(Ok(())) => {}
                Written::Nothing(Err(error)) => self.cannot_write(&error),
                Written::Ledger(what, error) => {
                    driver.on_ledger_written(what);
                    self.on_ledger_written(what, error);
                }
            }
        }
        events
    }

    fn on_ledger_written(&mut self, written: LedgerWritten, error: Option<anyhow::Error>) {
        // The disk may have room by now: the whole ledger may fit.
        if written == LedgerWritten::NotAdded {
            return;
        }
        let failed_before = std::mem::replace(&mut self.ledger_failed, written == LedgerWritten::Failed);
        if let Some(error) = error.filter(|_| !failed_before) {
            let trouble = Trouble::LedgerUnwritten { cause: format!("{error:#}") };
            self.tell(Notice::general(NoticeKind::Trouble(trouble)));
        }
    }

    /// Tells once that a write failed that nothing waits for.
    pub(super) fn cannot_write(&mut self, error: &anyhow::Error) {
        if !std::mem::replace(&mut self.write_failed, true) {
            let trouble = Trouble::StateUnwritten { cause: format!("{error:#}") };
            self.tell(Notice::general(NoticeKind::Trouble(trouble)));
        }
    }

    // ---- the user ---------------------------------------------------------------------------------------------------

    pub(super) fn tell_all(&mut self) {
        let told = std::mem::take(&mut self.untold);
        for (notice, time) in &told {
            self.audience.take_in(notice, *time);
            self.note_down(notice, *time);
            if self.watches {
                self.checks.hear(notice, &self.config);
            }
        }
        if !told.is_empty() {
            self.audience.output.tell(told);
        }
    }

    /// Has a notice written to the log of its plugin, and the server's version kept for `check`, which asks no server.
    fn note_down(&mut self, notice: &Notice, time: Timestamp) {
        let Some(writer) = &mut self.writer else { return };
        if let Some(key) = notice.about.key.clone().filter(|_| notice.is_logged()) {
            let line = notice.log_line(time);
            writer.note(Box::new(move |folder| folder.log(&key, &line).context("plugin logs cannot be written")));
        }
        if let NoticeKind::Connected { version, .. } = &notice.what {
            let version = version.clone();
            writer.note(Box::new(move |folder| folder.save_version(&version)));
        }
    }

    // ---- the watcher ------------------------------------------------------------------------------------------------

    /// Takes this sign and all that are queued behind it. Answers the events for the engine, and whether the settings
    /// files must be read again too.
    pub(super) fn on_signs(&mut self, first: Sign, driver: &mut Driver) -> (Vec<Event>, bool) {
        let mut signs = Signs::default();
        let mut sign = Some(first);
        while let Some(this) = sign {
            self.on_sign(this, driver, &mut signs);
            sign = self.signs.try_recv().ok();
        }
        if !signs.appeared.is_empty() {
            driver.begin_walk(self.at());
            let (eyes, appeared) = (Arc::clone(&self.eyes), signs.appeared);
            self.walking = Some(tokio::task::spawn_blocking(move || lock(&eyes).walk(&appeared)));
        }
        let rescan = signs.anything.then_some(Event::Rescan);
        (rescan.into_iter().chain(signs.saving.into_iter().map(Event::Saving)).collect(), signs.anything)
    }

    /// A path from the top, as this watch spells it.
    pub(super) fn as_watched(&self, path: &Path) -> PathBuf {
        let shown = self.config.roots.iter().find_map(|root| ProjectPath::new(root).ok()?.show(path));
        shown.unwrap_or_else(|| path.to_owned())
    }

    /// Passes on which files are being written, during a scan. The next daemon finds the rest by a scan of its own.
    pub(super) fn hand_on_signs(&mut self, driver: &mut Driver) {
        let at = self.at();
        while let Ok(sign) = self.signs.try_recv() {
            match sign {
                Sign::Changing(path) => drop(driver.on_changing(&path, at)),
                Sign::Complete(path) | Sign::Gone(path) => drop(driver.on_complete(&path, at)),
                _ => {}
            }
        }
    }

    fn on_sign(&mut self, sign: Sign, driver: &mut Driver, signs: &mut Signs) {
        let at = self.at();
        match sign {
            // A long write counts as a save when it begins, not with every line.
            Sign::Complete(path) => {
                if driver.on_complete(&path, at) {
                    signs.saving.insert(path);
                }
            }
            Sign::Changing(path) => {
                if driver.on_changing(&path, at) {
                    signs.saving.insert(path);
                }
            }
            Sign::Gone(path) => drop(driver.on_complete(&path, at)),
            Sign::FolderGone(folder) => {
                let mut eyes = self.eyes();
                if let Some(watcher) = &mut eyes.watcher {
                    watcher.forget_folder(&folder);
                }
                for path in eyes.plugins.files_in(&folder) {
                    driver.on_complete(&path, at);
                }
            }
            Sign::Appeared(path) => signs.appeared.push(path),
            // A folder may contain anything.
            Sign::Permitted(path) if self.eyes().plugins.is_closed(&path) && path.is_dir() => signs.anything = true,
            Sign::Permitted(path) if self.eyes().plugins.is_closed(&path) => drop(driver.on_complete(&path, at)),
            Sign::Permitted(_) => {}
            Sign::Anything => signs.anything = true,
            Sign::Blind(message, hint) => self.tell(Notice::trouble(message, hint)),
        }
    }

    /// Takes the files in new folders. They may have been written before the folders were watched, or may still be: no
    /// event tells.
    pub(super) fn on_walked(&mut self, Walked { files, notices }: Walked, driver: &mut Driver) {
        driver.end_walk(files, self.at());
        for notice in notices {
            self.tell(notice);
        }
    }

    /// Never waits: signs are taken only between scans and walks.
    fn eyes(&self) -> MutexGuard<'_, Eyes> {
        lock(&self.eyes)
    }

    /// Takes the result of a scan.
    pub(super) fn on_scanned(&mut self, Scanned { scan, notices }: Scanned) -> Scan {
        for notice in notices {
            self.tell(notice);
        }
        scan
    }
}

fn lock(eyes: &Mutex<Eyes>) -> MutexGuard<'_, Eyes> {
    eyes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Eyes {
    /// Starts to watch new folders, and finds every file in them.
    fn walk(&mut self, folders: &[Arc<Path>]) -> Walked {
        let watcher = &mut self.watcher;
        let mut blind = None;
        let files = self.plugins.walk(folders, &mut |folder| {
            if let Some(Err(sign)) = watcher.as_mut().map(|watcher| watcher.watch_folder(folder)) {
                blind = Some(sign);
            }
        });
        self.follow_links();
        Walked { files, notices: blind.and_then(blindness).into_iter().collect() }
    }

    fn scan(&mut self, trust: Trust, cache: &mut ScanCache) -> Scanned {
        let mut blind = Vec::new();
        let watcher = &mut self.watcher;
        let before = self.plugins.strayed().clone();
        let scan = self.plugins.scan(trust, cache, &mut |folder| {
            if let Some(watcher) = watcher
                && let Err(sign) = watcher.watch_folder(folder)
            {
                blind.push(sign);
            }
        });
        let mut notices: Vec<_> = blind.into_iter().filter_map(blindness).collect();
        if let Some(watcher) = &mut self.watcher {
            let leads = |root: &PathBuf| self.plugins.strayed().get(root).cloned();
            watcher.await_roots(scan.missing.iter().map(|root| (root.clone(), leads(root))).collect());
        }
        for (root, real) in self.plugins.strayed().iter().filter(|(root, real)| before.get(*root) != Some(*real)) {
            let trouble = Trouble::RootLeadsOutside { root: root.clone(), to: real.clone() };
            notices.push(Notice::general(NoticeKind::Trouble(trouble)));
        }
        self.follow_links();
        Scanned { scan, notices }
    }

    /// Has the watcher follow the current links.
    fn follow_links(&mut self) {
        let links = self.plugins.links();
        if *links != self.followed
            && let Some(watcher) = &mut self.watcher
        {
            self.followed.clone_from(links);
            watcher.follow_links(links.iter().cloned().collect());
        }
    }
}

/// The notice about a folder that cannot be watched.
fn blindness(sign: Sign) -> Option<Notice> {
    let Sign::Blind(message, hint) = sign else { return None };
    Some(Notice::trouble(message, hint))
}

impl World for Outside {
    fn now(&mut self) -> Now {
        Now { at: self.at(), wall: Timestamp::now(), chance: fastrand::f64() }
    }

    fn rollbacks(&mut self) -> Option<BTreeMap<Key, Rollback>> {
        let state = self.state.as_mut()?;
        state.rollbacks_changed().then(|| state.rollbacks())
    }

    fn scan(&mut self, ledger: &Ledger) {
        self.git.prepare();
        let folder = self.state.as_ref().map(State::folder);
        let (eyes, debounce) = (Arc::clone(&self.eyes), self.debounce);
        let held: Vec<_> = ledger.all_held().map(|(key, digest)| (key.clone(), digest)).collect();
        self.scanning = Some(tokio::task::spawn_blocking(move || {
            let mut cache = folder.as_ref().map_or_else(ScanCache::default, Folder::seen);
            cache.deployed(held.iter().map(|(key, digest)| (key, *digest)));
            // Files may be half written: only quiet ones count.
            let scanned = lock(&eyes).scan(Trust::Quiet(debounce), &mut cache);
            if let Some(folder) = folder {
                // Nothing waits for this.
                tokio::task::spawn_blocking(move || {
                    if cache.has_changed() {
                        // Scans work without the cache.
                        folder.write_seen(&cache).inspect_err(|error| tracing::debug!("{error:#}")).ok();
                    }
                    folder.clear_up();
                });
            }
            scanned
        }));
    }

    fn read(&mut self, path: &Arc<Path>, is_complete: bool) -> Loaded {
        let trust = if is_complete { self.trust } else { Trust::Quiet(self.debounce) };
        self.eyes.try_lock().map_or(Loaded::Unsettled, |mut eyes| eyes.plugins.read(path, trust))
    }

    fn presence(&mut self, path: &Path) -> FilePresence {
        self.eyes().plugins.trace(path)
    }

    fn is_git_busy(&mut self) -> bool {
        self.eyes().plugins.git_busy()
    }

    fn admit(&mut self, paths: &BTreeMap<Arc<Path>, Duration>) -> bool {
        // When a folder above a root was moved, only changes of files in it show that.
        let mut eyes = self.eyes();
        let has_lost_root = eyes.plugins.has_lost_root();
        eyes.plugins.admit_all(paths.keys());
        eyes.follow_links();
        has_lost_root
    }

    fn call(&mut self, ticket: Ticket, call: Call) {
        let (client, git) = (self.client.clone(), self.git.clone());
        self.calls.spawn(async move { (ticket, client.call(stamped(call, &git).await).await) });
    }

    fn write(&mut self, write: Write) {
        // A dry run keeps nothing, and waits for nothing.
        if let Some(writer) = &mut self.writer {
            writer.push(write);
        }
    }

    fn end_rollback(&mut self, key: &Key) {
        if let Some(Err(error)) = self.state.as_ref().map(|state| state.clear_rollback(key)) {
            self.cannot_write(&error);
        }
    }

    fn try_out(&mut self, ticket: Ticket, about: Subject) {
        self.trials.start(ticket, about);
    }

    fn end_trial(&mut self, ticket: Ticket) {
        self.trials.end(ticket);
    }

    /// Told at the end of the turn, after more urgent work.
    fn tell(&mut self, mut notice: Notice) {
        notice.about = notice.about.in_project(&self.config.project);
        let time = Timestamp::now();
        self.requests.hear(&notice, time);
        self.untold.push((notice, time));
    }
}

/// The events that signs add up to.
#[derive(Default)]
struct Signs {
    /// Files whose save has begun.
    saving: BTreeSet<Arc<Path>>,
    /// Folders that are new.
    appeared: Vec<Arc<Path>>,
    /// Anything may have changed, which needs a scan.
    anything: bool,
}

/// Waits for the answer to a call; `None` if none is in flight.
pub(super) async fn replied(calls: &mut JoinSet<(Ticket, Reply)>) -> Option<Event> {
    calls.join_next().await.map(event)
}

/// Only a bug ends a call without a reply, so the panic continues here.
fn event(done: Result<(Ticket, Reply), JoinError>) -> Event {
    match done {
        Ok((ticket, reply)) => Event::Replied(ticket, reply),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Adds the commit that the text stands on to the message of the call.
async fn stamped(mut call: Call, git: &Git) -> Call {
    if let Call::Create(_, form) | Call::Update(_, form) = &mut call
        && let Some(file) = &form.file
        && let Some(stamp) = git.stamp(file, &form.content).await
    {
        let form = Arc::make_mut(form);
        form.message = format!("{}, {stamp}", form.message);
    }
    call
}
