//! The loop: it names what happened, hands it to the engine, and does what the engine says. The only clock, and the only
//! place that knows every edge.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock and waits for a time")]

mod settings;
mod world;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::client::Client;
use crate::config::{Config, Reading, Sources, Warning};
use crate::disk::{Folder, Plugins, State, StateError};
use crate::driver::{Driver, Server, World as _};
use crate::engine::ledger::SavedState;
use crate::engine::{Code, Event, Policy, Scan};
use crate::error::Error;
use crate::git::{self, Leak};
use crate::notice::{Notice, NoticeKind};
use crate::output::{Console, Output};
use crate::systemd::supervisor::Supervisor;
use crate::watcher::{ConfigFileEvent, Sign, Watcher};
use settings::{New, News, Settings};
use world::{Outside, Scanned};
use writer::Written;

/// What the system would end a program by that writes to a pipe which nobody reads.
const SIGPIPE: u8 = 13;

/// How often to see whether another owui-watch has ended.
const IN_LINE: Duration = Duration::from_millis(200);

/// The settings that decide whether the server is reached.
const WAY: [&str; 3] = ["url", "ca_file", "timeout"];

/// How long one pass waits for git to say whether it has a file with a key.
const LEAKS_PATIENCE: Duration = Duration::from_secs(1);

/// How long the program waits at its end for a reader who makes no progress.
const READER_PATIENCE: Duration = Duration::from_secs(1);

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, or after the first signal.
    Done(Code),
    /// By a second signal, whose number it was.
    Interrupted(u8),
}

/// A signal that is not `SIGKILL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C, or `SIGTERM`: end. With its number.
    Stop(u8),
    /// `SIGHUP`: read the settings again, and compare everything with the server.
    Rescan,
}

/// What a run is begun with.
pub struct Setup<'a> {
    /// The settings to begin with, and what they were read from.
    pub config: Config,
    /// The same.
    pub sources: Sources,
    /// Reads the settings again.
    pub read: &'a dyn Fn() -> Reading,
    /// Says what is to be done with settings.
    pub plan: &'a dyn Fn(Config) -> Result<Plan, Error>,
    /// Whether to wait for another owui-watch that does the same.
    pub wait: bool,
}

/// What settings, flags and arguments come to.
#[derive(Clone)]
pub struct Plan {
    /// The settings.
    pub config: Config,
    /// How the engine is to behave.
    pub policy: Policy,
    /// The server.
    pub client: Client,
}

/// Everything that wakes the loop.
enum Wakeup {
    Signal(Signal),
    Sign(Sign),
    ConfigFileEvent(ConfigFileEvent),
    Replied(Event),
    Written(Vec<Written>),
    Scanned(Scanned),
    Leaks(Vec<(PathBuf, Leak)>),
    Time,
    /// There is more to be read.
    More,
}

struct Daemon<'a> {
    driver: Driver,
    outside: Outside,
    /// `None` where there is one pass.
    settings: Option<Settings<'a>>,
    setup: &'a Setup<'a>,
    /// What takes this one's place when nothing is in flight any more.
    successor: Option<Start>,
    /// The check whether git has the files with a key, or may get them.
    leaks: Option<JoinHandle<Vec<(PathBuf, Leak)>>>,
}

/// Who is told what happens.
struct Audience {
    output: Output,
    supervisor: Supervisor,
}

impl Audience {
    fn tell(&mut self, notice: Notice, time: Timestamp) {
        self.supervisor.tell(&notice, time);
        self.output.tell([(notice, time)]);
    }
}

/// The system's signals, and the end of the reader of our output, which counts as one.
struct Signals {
    system: UnboundedReceiver<Signal>,
    /// A message when the reader is gone; closed when everything is printed.
    gone: UnboundedReceiver<()>,
    stopped: bool,
}

impl Signals {
    async fn recv(&mut self) -> Option<Signal> {
        let signal = tokio::select! {
            biased;
            Some(signal) = self.system.recv() => signal,
            Some(()) = self.gone.recv() => Signal::Stop(SIGPIPE),
            else => return None,
        };
        self.stopped |= matches!(signal, Signal::Stop(_));
        Some(signal)
    }

    /// Waits until everything is printed. A watch gives up on a reader who makes no progress; a pass that ended by itself
    /// waits for as long as it takes, so that a slow reader of `--once` misses nothing.
    async fn printed(&mut self, output: &Output, once: bool) {
        output.close();
        let mut taken = output.taken();
        loop {
            tokio::select! {
                biased;
                _ = self.gone.recv() => return,
                Some(Signal::Stop(_)) = self.system.recv() => return,
                () = tokio::time::sleep(READER_PATIENCE) => {}
            }
            let before = std::mem::replace(&mut taken, output.taken());
            if before == taken && (!once || self.stopped) {
                return;
            }
        }
    }
}

/// All that can fail of a start, so that it fails before the one that is to be replaced has ended.
struct Start {
    plan: Plan,
    plugins: Plugins,
    watcher: Option<Watcher>,
    signs: UnboundedReceiver<Sign>,
    /// None for a dry run, and where the lock is held already.
    state: Option<State>,
}

impl Start {
    fn new(plan: Plan, state: Option<State>) -> Result<Self, Error> {
        let Plan { config, policy, .. } = &plan;
        let (send, signs) = unbounded_channel();
        let watcher = match policy.once {
            Some(_) => None,
            // Nobody listens any more when the channel is closed: the program is ending.
            None => Some(Watcher::new(&config.roots, config.debounce, config.poll, move |sign| {
                send.send(sign).ok();
            })?),
        };
        let plugins = Plugins::new(
            config.roots.clone(),
            &config.exclude,
            &config.state,
            config.files.clone(),
            config.follow_links,
        )?
        .within(&config.root_bounds);
        Ok(Self { plan, plugins, watcher, signs, state })
    }
}

/// A state folder in git would travel with every clone, and so would planted state.
pub async fn refuse_tracked(state: &Path) -> Result<(), StateError> {
    if git::tracks(state).await { Err(StateError::tracked(state)) } else { Ok(()) }
}

/// Opens the state that a run needs: none for a dry run, and none where `held`, that of the run to be replaced, is the same.
async fn open_state(plan: &Plan, held: Option<&State>) -> Result<Option<State>, StateError> {
    let Plan { config, policy, .. } = plan;
    if policy.terms.dry_run || held.is_some_and(|state| state.is_of(&config.state, &config.url)) {
        return Ok(None);
    }
    refuse_tracked(&config.state).await?;
    State::open(config.state.clone(), &config.url).map(Some)
}

/// Runs until there is nothing more to do, or somebody says stop.
pub async fn run(
    setup: Setup<'_>,
    console: Console,
    supervisor: Supervisor,
    signals: UnboundedReceiver<Signal>,
) -> Result<End, Error> {
    let plan = (setup.plan)(setup.config.clone())?;
    let once = plan.policy.once.is_some();
    let (send, gone) = unbounded_channel();
    let reader_gone = move || {
        // Where nobody listens any more, the program has ended.
        send.send(()).ok();
    };
    let output = Output::start(console, reader_gone).map_err(|error| Error::new("cannot start").because(error))?;
    let mut signals = Signals { system: signals, gone, stopped: false };
    let audience = Audience { output: output.clone(), supervisor };
    let end = Box::pin(live(plan, setup, audience, &mut signals)).await;
    signals.printed(&output, once).await;
    end
}

async fn live(plan: Plan, setup: Setup<'_>, mut audience: Audience, signals: &mut Signals) -> Result<End, Error> {
    let Some(start) = begin(plan, setup.wait, &mut audience, signals).await? else {
        return Ok(End::Done(Code::NotDeployed));
    };
    let settings = start
        .watcher
        .as_ref()
        .map(|_| Settings::new(setup.config.clone(), setup.sources.clone(), setup.read, Instant::now()));
    let mut daemon = Daemon::new(start, &setup, settings, audience);
    daemon.warn(&setup.config, None);
    loop {
        let end = daemon.run(signals).await;
        if !matches!(end, End::Interrupted(_)) {
            daemon.flush().await;
            if daemon.settings.is_none() {
                daemon.finish_leaks().await;
            }
        }
        daemon.outside.tell_all();
        match daemon.successor.take() {
            Some(successor) => daemon = daemon.replaced(successor),
            None => return Ok(end),
        }
    }
}

/// Starts, after another owui-watch has ended if need be; nothing, if somebody says stop before that.
async fn begin(plan: Plan, wait: bool, audience: &mut Audience, signals: &mut Signals) -> Result<Option<Start>, Error> {
    let mut told = false;
    loop {
        let error = match open_state(&plan, None).await {
            Ok(state) => return Start::new(plan, state).map(Some),
            Err(error) => error,
        };
        let Some(other) = error.other().filter(|_| wait) else { return Err(error.into()) };
        if !std::mem::replace(&mut told, true) {
            audience.tell(Notice::general(NoticeKind::InLine { pid: other.pid }), Timestamp::now());
            audience.supervisor.turn(Duration::ZERO, true);
        }
        audience.supervisor.waiting();
        tokio::select! {
            biased;
            Some(Signal::Stop(_)) = signals.recv() => return Ok(None),
            () = tokio::time::sleep(IN_LINE) => {}
        }
    }
}

impl<'a> Daemon<'a> {
    fn new(start: Start, setup: &'a Setup<'a>, settings: Option<Settings<'a>>, audience: Audience) -> Self {
        let (saved, trouble) = saved_state(&start);
        let driver = Driver::new(start.plan.policy.clone(), saved, start.plan.config.debounce);
        let outside = Outside::new(start, audience, Instant::now());
        let mut daemon = Self { driver, outside, settings, setup, successor: None, leaks: None };
        daemon.tell_of_state(trouble);
        daemon
    }

    /// The one that goes on with other settings. Where it keeps state in the same place, the lock is handed over.
    fn replaced(mut self, mut start: Start) -> Self {
        // What its own watch has seen, the other one may not have.
        if self.outside.scanning.is_some() {
            self.outside.hand_on_signs(&mut self.driver);
        } else if let Ok(sign) = self.outside.signs.try_recv() {
            self.on_signs(sign);
            self.outside.tell_all();
        }
        let is_same = start.state.is_none();
        if is_same {
            start.state = self.outside.state.take();
        }
        let (mut saved, trouble) = saved_state(&start);
        if is_same {
            // There may have been no room for it on the disk.
            saved.ledger = self.driver.engine().ledger().clone();
        }
        let Plan { config, policy, .. } = start.plan.clone();
        let before = self.settings.as_mut().map(|settings| settings.use_now(config.clone(), Instant::now()));
        let changed = before.as_ref().map_or_else(Vec::new, |before| before.changes(&config));
        let server = match is_same {
            false => Server::Other,
            true if changed.iter().any(|key| WAY.contains(key)) => Server::SameInAnotherWay,
            true => Server::Same,
        };
        let Outside { audience, started, .. } = self.outside;
        let mut daemon = Self {
            driver: self.driver.replaced(policy, saved, config.debounce, server),
            outside: Outside::new(start, audience, started),
            successor: None,
            ..self
        };
        daemon.tell_of_state(trouble);
        daemon.warn(&config, before.as_ref());
        daemon
    }

    fn tell_of_state(&mut self, trouble: Option<StateError>) {
        if let Some(trouble) = trouble {
            let (message, hint) = (trouble.to_string(), Some(trouble.hint().to_owned()));
            self.tell(Notice::general(NoticeKind::Trouble { message, hint }));
        }
    }

    /// Says who stands between us and the server.
    fn warn_of_the_way(&mut self, config: &Config) {
        let (server, proxy) = (config.url.clone(), self.outside.client.proxy().map(str::to_owned));
        if let Some(proxy) = proxy.clone() {
            self.tell(Notice::general(NoticeKind::Proxied { server: server.clone(), proxy }));
        }
        // No proxy is asked for what is on this machine.
        if config.is_overheard() || (proxy.is_some() && server.starts_with("http://")) {
            self.tell(Notice::general(NoticeKind::Insecure { server, proxy }));
        }
    }

    /// Warns of what is odd in these settings and was not in those before.
    fn warn(&mut self, config: &Config, before: Option<&Config>) {
        if before.is_none_or(|before| before.url != config.url) {
            self.warn_of_the_way(config);
        }
        let told = before.map_or(&[][..], |before| &before.warnings);
        for Warning { message, hint } in config.warnings.iter().filter(|warning| !told.contains(warning)) {
            self.tell(Notice::general(NoticeKind::Trouble { message: message.clone(), hint: Some(hint.clone()) }));
        }
        // A check that is under way starts again with all files.
        let known = before.filter(|_| self.leaks.is_none()).map_or(&[][..], |before| &before.key_files);
        let files: Vec<_> = config.key_files.iter().filter(|file| !known.contains(file)).cloned().collect();
        if !files.is_empty() {
            self.leaks = Some(tokio::spawn(async move {
                let mut leaks = Vec::new();
                for file in files {
                    if let Some(leak) = git::leak(&file).await {
                        leaks.push((file, leak));
                    }
                }
                leaks
            }));
        }
    }

    fn leaks(&mut self, leaks: Vec<(PathBuf, Leak)>) {
        for (file, leak) in leaks {
            let file = file.display();
            let (message, hint) = match leak {
                Leak::Tracked => (
                    format!("git tracks `{file}`, which holds an API key"),
                    format!("git rm --cached {file}, and add it to .gitignore; then replace the key on the server"),
                ),
                Leak::NotIgnored => (
                    format!("git does not ignore `{file}`, which holds an API key"),
                    format!("add {file} to .gitignore"),
                ),
            };
            self.tell(Notice::general(NoticeKind::Trouble { message, hint: Some(hint) }));
        }
    }

    /// Waits for the check of the files with a key, and tells what it found.
    async fn finish_leaks(&mut self) {
        if let Some(leaks) = self.leaks.take()
            && let Ok(Ok(leaks)) = tokio::time::timeout(LEAKS_PATIENCE, leaks).await
        {
            self.leaks(leaks);
        }
    }

    async fn run(&mut self, signals: &mut Signals) -> End {
        let mut stopping = false;
        let (mut events, mut scan) = (vec![Event::Rescan], None);
        loop {
            let end = self.turn(events, scan.take()).await;
            self.outside.tell_all();
            if let Some(code) = end {
                return End::Done(code);
            }
            self.driver.save(&mut self.outside);
            let (at, reloaded) = (self.outside.at(), self.successor.is_none() && !self.driver.is_scanning());
            self.outside.audience.supervisor.turn(at, reloaded);
            events = match self.next(signals, stopping).await {
                // It ends already, and nobody reads how.
                Wakeup::Signal(Signal::Stop(SIGPIPE)) if stopping => Vec::new(),
                Wakeup::Signal(Signal::Stop(number)) if stopping => {
                    self.successor = None;
                    return End::Interrupted(number);
                }
                Wakeup::Signal(Signal::Stop(_)) => {
                    stopping = true;
                    // Also where it was to be replaced.
                    self.successor = None;
                    vec![Event::Stop]
                }
                // Other settings would begin it anew.
                Wakeup::Signal(Signal::Rescan) if stopping => Vec::new(),
                Wakeup::Signal(Signal::Rescan) => self.hang_up().await,
                Wakeup::Sign(sign) => self.on_signs(sign),
                Wakeup::ConfigFileEvent(touch) => {
                    self.touched(touch);
                    Vec::new()
                }
                Wakeup::Replied(event) => vec![event],
                Wakeup::Written(written) => self.outside.on_written(written, &mut self.driver),
                Wakeup::Scanned(scanned) => {
                    scan = Some(self.outside.on_scanned(scanned));
                    Vec::new()
                }
                Wakeup::Leaks(leaks) => {
                    self.leaks(leaks);
                    Vec::new()
                }
                Wakeup::Time => vec![Event::Wake],
                Wakeup::More => Vec::new(),
            };
            if !stopping && self.successor.is_none() {
                events.extend(self.glance().await);
            }
        }
    }

    // ---- other settings ---------------------------------------------------------------------------------------------

    fn touched(&mut self, touch: ConfigFileEvent) {
        if let Some(settings) = &mut self.settings {
            settings.touched(touch, Instant::now());
        }
    }

    async fn hang_up(&mut self) -> Vec<Event> {
        self.outside.audience.supervisor.reloading();
        if self.successor.is_some() {
            // It looks at everything anyway, at what has changed in the settings since as well.
            return Vec::new();
        }
        let news = self.settings.as_mut().map_or(News::None, |settings| settings.reread(Instant::now()));
        self.learn(news).await.unwrap_or_else(|| vec![Event::TryNow, Event::Rescan])
    }

    async fn glance(&mut self) -> Vec<Event> {
        let news = self.settings.as_mut().map_or(News::None, |settings| settings.glance(Instant::now()));
        let events = self.learn(news).await;
        if events.is_some() {
            self.outside.audience.supervisor.reloading();
        }
        events.unwrap_or_default()
    }

    /// Tells what is new in the settings, and prepares to go on with them if they are others. Where that is not possible,
    /// the old ones stay.
    async fn learn(&mut self, news: News) -> Option<Vec<Event>> {
        let (config, New { files, keys }) = match news {
            News::None => return None,
            News::Same(new) => {
                self.tell(Notice::general(NoticeKind::Reloaded { files: new.files, changed: new.keys }));
                return None;
            }
            News::Wrong(message, hint) => {
                self.keep_settings(&message, hint);
                return None;
            }
            News::Config(config, new) => (config, new),
        };
        let start = match (self.setup.plan)(*config) {
            Ok(mut plan) => {
                plan.policy.terms.force &= self.driver.engine().in_first_pass();
                match open_state(&plan, self.outside.state.as_ref()).await {
                    Ok(state) => Start::new(plan, state),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error),
        };
        match start {
            Ok(start) => {
                self.successor = Some(start);
                self.tell(Notice::general(NoticeKind::Reloaded { files, changed: keys }));
                Some(vec![Event::Replace])
            }
            Err(error) => {
                self.keep_settings(&error.to_string(), error.hint().map(str::to_owned));
                None
            }
        }
    }

    fn keep_settings(&mut self, why: &str, hint: Option<String>) {
        let message = format!("the settings stay as they were: {why}");
        self.tell(Notice::general(NoticeKind::Trouble { message, hint }));
    }

    /// Ends where another owui-watch has taken the place of this one: two would undo each other's deploys.
    fn keep_lock(&mut self) -> Option<Code> {
        let error = match self.outside.state.as_mut()?.keep_lock() {
            Ok(false) => return None,
            Ok(true) => {
                // The ledger may be gone with it.
                self.driver.save_whole();
                return None;
            }
            Err(error) => error,
        };
        if error.other().is_none() {
            self.outside.cannot_write(&anyhow::Error::msg(error));
            return None;
        }
        let message = format!("this owui-watch ends, since its lock was deleted: {error}");
        self.tell(Notice::general(NoticeKind::Trouble { message, hint: None }));
        // It is the other one's to write.
        (self.outside.state, self.outside.writer, self.successor) = (None, None, None);
        Some(Code::NotDeployed)
    }

    /// Waits for whatever happens first. It only names it. File events come last: of them alone there may be no end, and
    /// the answers to the deploys that they led to must not wait for that.
    async fn next(&mut self, signals: &mut Signals, stopping: bool) -> Wakeup {
        let Outside { audience, started, .. } = &self.outside;
        let wakes = [self.driver.next_wake(), audience.supervisor.next_turn()];
        let wake = wakes.into_iter().flatten().min().map(|at| *started + at);
        let glance =
            self.settings.as_ref().filter(|_| !stopping && self.successor.is_none()).and_then(Settings::next_wake);
        let deadline = wake.into_iter().chain(glance).min();
        let Outside { calls, writer, signs, scanning, .. } = &mut self.outside;
        let listens = scanning.is_none();
        tokio::select! {
            biased;
            Some(signal) = signals.recv() => Wakeup::Signal(signal),
            Some(event) = world::replied(calls) => Wakeup::Replied(event),
            written = world::written(writer) => Wakeup::Written(written),
            scanned = done(scanning) => {
                *scanning = None;
                Wakeup::Scanned(scanned.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())))
            }
            leaks = done(&mut self.leaks) => {
                self.leaks = None;
                Wakeup::Leaks(leaks.unwrap_or_default())
            }
            () = reached(deadline) => Wakeup::Time,
            touch = touch(&mut self.settings) => Wakeup::ConfigFileEvent(touch),
            Some(sign) = signs.recv(), if listens => Wakeup::Sign(sign),
            () = tokio::task::yield_now(), if self.driver.has_more() => Wakeup::More,
        }
    }

    fn on_signs(&mut self, sign: Sign) -> Vec<Event> {
        let (events, anything) = self.outside.on_signs(sign, &mut self.driver);
        if let Some(settings) = self.settings.as_mut().filter(|_| anything) {
            settings.look_again(Instant::now());
        }
        events
    }

    /// One turn: what happened, then what is ready to be read, then what was answered while it was read. After each, the
    /// requests have their turn: what is to be sent leaves before a file is read or a line is written, and what was
    /// answered meanwhile is there.
    async fn turn(&mut self, happened: Vec<Event>, scan: Option<Scan>) -> Option<Code> {
        if let Some(code) = self.keep_lock() {
            return Some(code);
        }
        let end = self.driver.take(happened, &mut self.outside);
        let end = end.or_else(|| self.driver.on_scanned(scan?, &mut self.outside));
        tokio::task::yield_now().await;
        let end = end.or_else(|| self.driver.settle(&mut self.outside));
        tokio::task::yield_now().await;
        end.or_else(|| {
            let answered = self.outside.answered();
            self.driver.take(answered, &mut self.outside)
        })
    }

    fn tell(&mut self, notice: Notice) {
        self.outside.tell(notice);
    }

    /// Waits until all is written that is to be written.
    async fn flush(&mut self) {
        // There may be room for it by now.
        self.driver.save_what_failed();
        loop {
            self.driver.save(&mut self.outside);
            let written = self.outside.flush().await;
            if written.is_empty() {
                return;
            }
            // Nobody goes on with a deploy.
            drop(self.outside.on_written(written, &mut self.driver));
        }
    }
}

/// What an earlier run wrote down, and what is the matter with that.
fn saved_state(start: &Start) -> (SavedState, Option<StateError>) {
    let Start { plan: Plan { config, .. }, state, .. } = start;
    if let Some(state) = state {
        let (ledger, trouble) = state.load();
        return (SavedState { ledger, rollbacks: state.rollbacks(), under_way: state.intents() }, trouble);
    }
    // What was cut short is not a dry run's to make good.
    let folder = Folder::new(config.state.clone(), &config.url);
    (SavedState { ledger: folder.peek(), rollbacks: folder.rollbacks(), under_way: BTreeMap::new() }, None)
}

/// Waits for the task that is under way, for ever if there is none.
async fn done<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Waits for a moment, forever if there is none.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits for what happens to the files of the settings, for ever where they are not watched.
async fn touch(settings: &mut Option<Settings<'_>>) -> ConfigFileEvent {
    match settings {
        Some(settings) => settings.touch().await,
        None => std::future::pending().await,
    }
}
