//! The loop: it names what happened, hands it to the engine, and does what the engine says. The only clock, and the only
//! place that knows every edge.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock and waits for a time")]

mod settings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::client::Client;
use crate::config::{Config, Reading, Sources, Warning};
use crate::debounce::Debouncer;
use crate::disk::{Folder, Plugins, ScanCache, State, StateError, Trust};
use crate::engine::deploy::{Call, Reply};
use crate::engine::files::{FilePresence, Loaded};
use crate::engine::ledger::{Ledger, SavedState};
use crate::engine::{Code, Effect, Engine, Event, Now, Policy, Ticket};
use crate::git::{self, Git, Leak};
use crate::notice::{Notice, NoticeKind};
use crate::output::{Console, Output};
use crate::plugin::Key;
use crate::systemd::supervisor::Supervisor;
use crate::watcher::{ConfigFileEvent, Sign, Watcher};
use settings::{New, News, Settings};

/// What the system would end a program by that writes to a pipe which nobody reads.
const SIGPIPE: u8 = 13;

/// How much is added to a small ledger before it is written as a whole again.
const LEAST_ROOM: usize = 64 * 1024;

/// How many files are read before what they led to is sent.
const AT_ONCE: usize = 4;

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
    pub plan: &'a dyn Fn(Config) -> anyhow::Result<Plan>,
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
    Saved(anyhow::Result<()>),
    Leaks(Vec<(PathBuf, Leak)>),
    Time,
    /// There is more to be read.
    More,
}

struct Daemon<'a> {
    engine: Engine,
    debouncer: Debouncer,
    /// What is ready to be read, a few at a time.
    ready: BTreeMap<Arc<Path>, Duration>,
    plugins: Plugins,
    watcher: Option<Watcher>,
    /// The links that it looks behind.
    followed: BTreeSet<Arc<Path>>,
    signs: UnboundedReceiver<Sign>,
    state: Option<State>,
    git: Git,
    client: Client,
    audience: Audience,
    /// None where there is one pass.
    settings: Option<Settings<'a>>,
    setup: &'a Setup<'a>,
    /// What takes this one's place when nothing is in flight any more.
    successor: Option<Start>,
    calls: JoinSet<(Ticket, Reply)>,
    /// What the user is to be told, with when it happened.
    untold: Vec<(Notice, Timestamp)>,
    /// What changed in the ledger since it was last written, and the write that is under way.
    unsaved: Unsaved,
    on_disk: OnDisk,
    saving: Option<JoinHandle<anyhow::Result<()>>>,
    /// The check whether git has the files with a key, or may get them.
    leaks: Option<JoinHandle<Vec<(PathBuf, Leak)>>>,
    /// Notes that have served. They go when the ledger that knows what they say is on disk: what is being written may be
    /// an older one still.
    served: Served,
    /// Told once: a full disk would say it with every line, and with every save.
    log_failed: bool,
    save_failed: bool,
    trust: Trust,
    debounce: Duration,
    started: Instant,
}

/// Notes that have served, before and while the ledger is written.
#[derive(Default)]
struct Served {
    unsaved: BTreeSet<Key>,
    saving: BTreeSet<Key>,
}

impl Served {
    /// A new note takes its place.
    fn withdraw(&mut self, key: &Key) {
        self.unsaved.remove(key);
        self.saving.remove(key);
    }
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
    /// What the one before could not write down.
    unsaved: Option<Ledger>,
}

impl Start {
    /// `held` is the state of the one to be replaced.
    async fn new(plan: Plan, held: Option<&State>) -> anyhow::Result<Self> {
        let Plan { config, policy, .. } = &plan;
        let is_held = held.is_some_and(|state| state.is_of(&config.state, &config.url));
        let state = if policy.terms.dry_run || is_held {
            None
        } else {
            crate::run::refuse_tracked(&config.state).await?;
            Some(State::open(config.state.clone(), &config.url)?)
        };
        let (send, signs) = unbounded_channel();
        let watcher = match policy.once {
            Some(_) => None,
            // Nobody listens any more when the channel is closed: the program is ending.
            None => Some(Watcher::new(&config.roots, config.debounce, config.poll, move |sign| {
                send.send(sign).ok();
            })?),
        };
        let plugins =
            Plugins::new(config.roots.clone(), &config.exclude, &config.state, config.files.clone(), config.links)?
                .within(&config.root_bounds);
        Ok(Self { plan, plugins, watcher, signs, state, unsaved: None })
    }
}

/// Runs until there is nothing more to do, or somebody says stop.
pub async fn run(
    setup: Setup<'_>,
    console: Console,
    supervisor: Supervisor,
    signals: UnboundedReceiver<Signal>,
) -> anyhow::Result<End> {
    let plan = (setup.plan)(setup.config.clone())?;
    let once = plan.policy.once.is_some();
    let (send, gone) = unbounded_channel();
    let reader_gone = move || {
        // Where nobody listens any more, the program has ended.
        send.send(()).ok();
    };
    let output = Output::start(console, reader_gone).context("cannot start")?;
    let mut signals = Signals { system: signals, gone, stopped: false };
    let audience = Audience { output: output.clone(), supervisor };
    let end = Box::pin(live(plan, setup, audience, &mut signals)).await;
    signals.printed(&output, once).await;
    end
}

async fn live(plan: Plan, setup: Setup<'_>, mut audience: Audience, signals: &mut Signals) -> anyhow::Result<End> {
    let Some(start) = begin(plan, setup.wait, &mut audience, signals).await? else {
        return Ok(End::Done(Code::NotDeployed));
    };
    let settings = start
        .watcher
        .as_ref()
        .map(|_| Settings::new(setup.config.clone(), setup.sources.clone(), setup.read, Instant::now()));
    let mut daemon = Daemon::new(start, &setup, settings, audience, Instant::now());
    daemon.warn(&setup.config, None);
    loop {
        let end = daemon.run(signals).await;
        if !matches!(end, End::Interrupted(_)) {
            daemon.write_down().await;
            if daemon.settings.is_none() {
                daemon.finish_leaks().await;
            }
        }
        daemon.tell_all();
        match daemon.successor.take() {
            Some(successor) => daemon = daemon.replaced(successor),
            None => return Ok(end),
        }
    }
}

/// Starts, after another owui-watch has ended if need be; nothing, if somebody says stop before that.
async fn begin(
    plan: Plan,
    wait: bool,
    audience: &mut Audience,
    signals: &mut Signals,
) -> anyhow::Result<Option<Start>> {
    let mut told = false;
    loop {
        let error = match Start::new(plan.clone(), None).await {
            Ok(start) => return Ok(Some(start)),
            Err(error) => error,
        };
        let Some(other) = error.downcast_ref().and_then(StateError::other).filter(|_| wait) else { return Err(error) };
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
    fn new(
        start: Start,
        setup: &'a Setup<'a>,
        settings: Option<Settings<'a>>,
        audience: Audience,
        started: Instant,
    ) -> Self {
        let Start { plan: Plan { config, policy, client }, plugins, watcher, signs, mut state, unsaved } = start;
        let mut troubles = Vec::new();
        let memory = if let Some(state) = &mut state {
            let (ledger, trouble) = state.load();
            troubles.extend(trouble);
            state.rollbacks_changed();
            SavedState { ledger, rollbacks: state.rollbacks(), under_way: state.under_way() }
        } else {
            // What was cut short is not a dry run's to make good.
            let folder = Folder::new(config.state.clone(), &config.url);
            SavedState { ledger: folder.peek(), rollbacks: folder.rollbacks(), under_way: BTreeMap::new() }
        };
        let save_failed = unsaved.is_some();
        let memory = SavedState { ledger: unsaved.unwrap_or(memory.ledger), ..memory };
        let exact = watcher.as_ref().is_some_and(Watcher::is_exact);
        let mut daemon = Self {
            engine: Engine::new(policy, memory),
            debouncer: Debouncer::new(config.debounce),
            ready: BTreeMap::new(),
            plugins,
            watcher,
            followed: BTreeSet::new(),
            signs,
            state,
            git: Git::new(config.roots),
            client,
            audience,
            settings,
            setup,
            successor: None,
            calls: JoinSet::new(),
            untold: Vec::new(),
            unsaved: Unsaved::default(),
            on_disk: OnDisk::default(),
            saving: None,
            leaks: None,
            served: Served::default(),
            log_failed: false,
            save_failed,
            trust: if exact { Trust::Closed } else { Trust::Quiet(config.debounce) },
            debounce: config.debounce,
            started,
        };
        for trouble in troubles {
            let (message, hint) = (trouble.to_string(), Some(trouble.hint().to_owned()));
            daemon.tell(Notice::general(NoticeKind::Trouble { message, hint }));
        }
        daemon
    }

    /// The one that goes on with other settings. Where it keeps state in the same place, the lock is handed over.
    fn replaced(mut self, mut start: Start) -> Self {
        // What its own watch has seen, the other one may not have.
        if let Ok(sign) = self.signs.try_recv() {
            self.signs(sign);
            self.tell_all();
        }
        let same = start.state.is_none();
        if same {
            start.state = self.state;
            start.unsaved = self.save_failed.then(|| self.engine.ledger().clone());
        }
        let (config, mut settings) = (start.plan.config.clone(), self.settings);
        let before = settings.as_mut().map(|settings| settings.use_now(config.clone(), Instant::now()));
        let changed = before.as_ref().map_or_else(Vec::new, |before| before.changes(&config));
        let mut daemon = Self::new(start, self.setup, settings, self.audience, self.started);
        daemon.debouncer = self.debouncer.with_debounce(config.debounce);
        if same {
            let unfinished = self.engine.hand_over();
            let another_way = changed.iter().any(|key| WAY.contains(key));
            daemon.engine.take_over(if another_way { unfinished.with_another_way() } else { unfinished });
        }
        daemon.leaks = self.leaks;
        daemon.warn(&config, before.as_ref());
        daemon
    }

    /// Says who stands between us and the server.
    fn warn_of_the_way(&mut self, config: &Config) {
        let (server, proxy) = (config.url.clone(), self.client.proxy().map(str::to_owned));
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
        let mut events = vec![Event::Rescan];
        loop {
            let end = self.turn(events).await;
            self.tell_all();
            if let Some(code) = end {
                return End::Done(code);
            }
            self.save();
            let (at, reloaded) = (self.at(), self.successor.is_none());
            self.audience.supervisor.turn(at, reloaded);
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
                Wakeup::Sign(sign) => self.signs(sign),
                Wakeup::ConfigFileEvent(touch) => {
                    self.touched(touch);
                    Vec::new()
                }
                Wakeup::Replied(event) => vec![event],
                Wakeup::Saved(result) => {
                    self.saved(result);
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
        self.audience.supervisor.reloading();
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
            self.audience.supervisor.reloading();
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
                plan.policy.terms.force &= self.engine.in_first_pass();
                Start::new(plan, self.state.as_ref()).await
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
                self.keep_settings(&format!("{error:#}"), crate::run::remedy(&error));
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
        let error = match self.state.as_mut()?.keep_lock() {
            Ok(taken_again) => {
                // The ledger may be gone with it.
                self.unsaved.all |= taken_again;
                return None;
            }
            Err(error) => error,
        };
        if error.other().is_none() {
            self.write(|_| Err(error.into()));
            return None;
        }
        let message = format!("this owui-watch ends, since its lock was deleted: {error}");
        self.tell(Notice::general(NoticeKind::Trouble { message, hint: None }));
        // It is the other one's to write.
        self.state = None;
        Some(Code::NotDeployed)
    }

    /// What was rolled back beside us is known before anything is decided.
    fn rolled_back(&mut self) -> Option<Event> {
        let state = self.state.as_mut()?;
        state.rollbacks_changed().then(|| Event::RolledBack(state.rollbacks()))
    }

    fn at(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for whatever happens first. It only names it. File events come last: of them alone there may be no end, and
    /// the answers to the deploys that they led to must not wait for that.
    async fn next(&mut self, signals: &mut Signals, stopping: bool) -> Wakeup {
        let wakes = [self.engine.next_wake(), self.debouncer.next_wake(), self.audience.supervisor.next_turn()];
        let wake = wakes.into_iter().flatten().min().map(|at| self.started + at);
        let glance =
            self.settings.as_ref().filter(|_| !stopping && self.successor.is_none()).and_then(Settings::next_wake);
        let deadline = wake.into_iter().chain(glance).min();
        tokio::select! {
            biased;
            Some(signal) = signals.recv() => Wakeup::Signal(signal),
            Some(done) = self.calls.join_next() => Wakeup::Replied(replied(done)),
            saved = done(&mut self.saving) => {
                self.saving = None;
                Wakeup::Saved(saved.context("writing the ledger").flatten())
            }
            leaks = done(&mut self.leaks) => {
                self.leaks = None;
                Wakeup::Leaks(leaks.unwrap_or_default())
            }
            () = reached(deadline) => Wakeup::Time,
            touch = touch(&mut self.settings) => Wakeup::ConfigFileEvent(touch),
            Some(sign) = self.signs.recv() => Wakeup::Sign(sign),
            () = tokio::task::yield_now(), if !self.ready.is_empty() => Wakeup::More,
        }
    }

    /// Takes in everything that the watcher has to say by now.
    fn signs(&mut self, first: Sign) -> Vec<Event> {
        let (mut events, mut saving) = (Vec::new(), BTreeSet::new());
        let mut appeared = Vec::new();
        let mut sign = Some(first);
        while let Some(this) = sign {
            match this {
                Sign::Appeared(path) => appeared.push(path),
                this => {
                    // Who writes for long is asked about when he begins, and not with every line.
                    if let Sign::Changing(path) | Sign::Complete(path) = &this
                        && !self.debouncer.is_changing(path)
                    {
                        saving.insert(Arc::clone(path));
                    }
                    self.sign(this, &mut events);
                }
            }
            sign = self.signs.try_recv().ok();
        }
        if !appeared.is_empty() {
            self.appeared(&appeared);
        }
        events.extend(saving.into_iter().map(Event::Saving));
        events
    }

    /// Files in folders that appeared may have been written before those were watched, and may still be: nobody says.
    fn appeared(&mut self, folders: &[Arc<Path>]) {
        let (at, watcher) = (self.at(), &mut self.watcher);
        let mut blind = None;
        let files = self.plugins.walk(folders, &mut |folder| {
            if let Some(Err(sign)) = watcher.as_mut().map(|watcher| watcher.watch_folder(folder)) {
                blind = Some(sign);
            }
        });
        for path in files {
            self.debouncer.appeared(path, at);
        }
        self.follow_links();
        if let Some(Sign::Blind(message, hint)) = blind {
            self.tell(Notice::general(NoticeKind::Trouble { message, hint }));
        }
    }

    /// Has the watcher look behind the links that there are by now.
    fn follow_links(&mut self) {
        let links = self.plugins.links();
        if *links != self.followed
            && let Some(watcher) = &mut self.watcher
        {
            self.followed.clone_from(links);
            watcher.follow_links(links.iter().cloned().collect());
        }
    }

    fn sign(&mut self, sign: Sign, events: &mut Vec<Event>) {
        match sign {
            Sign::Complete(path) | Sign::Gone(path) => self.debouncer.complete(path, self.at()),
            Sign::Changing(path) => self.debouncer.changing(path, self.at()),
            Sign::FolderGone(folder) => {
                if let Some(watcher) = &mut self.watcher {
                    watcher.forget_folder(&folder);
                }
                for path in self.plugins.files_in(&folder) {
                    self.debouncer.complete(path, self.at());
                }
            }
            Sign::Appeared(path) => self.appeared(&[path]),
            Sign::Permitted(path) if self.plugins.is_closed(&path) => {
                // Behind a folder there may be anything.
                if path.is_dir() {
                    self.sign(Sign::Anything, events);
                } else {
                    self.debouncer.complete(path, self.at());
                }
            }
            Sign::Permitted(_) => {}
            Sign::Anything if events.contains(&Event::Rescan) => {}
            Sign::Anything => {
                events.push(Event::Rescan);
                if let Some(settings) = &mut self.settings {
                    settings.look_again(Instant::now());
                }
            }
            Sign::Blind(message, hint) => self.tell(Notice::general(NoticeKind::Trouble { message, hint })),
        }
    }

    /// What the paths that had events have come to by now.
    fn settled(&mut self) -> Vec<Event> {
        let at = self.at();
        let ready = self.debouncer.take(at, || self.plugins.git_busy());
        let long_written = self.debouncer.long_written(at);
        let mut events = Vec::new();
        if !ready.is_empty() {
            if self.plugins.has_lost_root() {
                // Where a folder around it was moved, nobody tells but the files that are changed there.
                events.push(Event::Rescan);
            }
            self.plugins.admit_all(ready.keys());
            self.follow_links();
            self.ready.extend(ready);
        }
        // The first of many are on the wire before the last are read.
        let some: Vec<_> = std::iter::from_fn(|| self.ready.pop_first()).take(AT_ONCE).collect();
        if !some.is_empty() {
            events.push(Event::Ready(some));
        }
        if !long_written.is_empty() {
            events.push(Event::BeingWritten(long_written));
        }
        events
    }

    /// One turn: what happened, then what is ready to be read, then what was answered while it was read.
    async fn turn(&mut self, happened: Vec<Event>) -> Option<Code> {
        let mut end = self.take_all(happened).await;
        for next in [Self::settled, Self::answered] {
            if end.is_none() {
                let events = next(self);
                end = self.take_all(events).await;
            }
        }
        end
    }

    /// What was answered while files were read.
    fn answered(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.calls.try_join_next()).map(replied).collect()
    }

    /// Hands events to the engine. Then the requests have their turn: what is to be sent leaves before a file is read or a
    /// line is written, and what was answered meanwhile is there.
    async fn take_all(&mut self, events: Vec<Event>) -> Option<Code> {
        if events.is_empty() {
            return None;
        }
        if let Some(code) = self.keep_lock() {
            return Some(code);
        }
        let end = self.rolled_back().into_iter().chain(events).find_map(|event| self.take(event));
        tokio::task::yield_now().await;
        end
    }

    /// Hands an event to the engine, does what it says, and goes on with the answers that are there at once.
    fn take(&mut self, event: Event) -> Option<Code> {
        let mut events = VecDeque::from([event]);
        let mut end = None;
        while let (Some(event), None) = (events.pop_front(), end) {
            let now = Now { at: self.at(), wall: Timestamp::now(), chance: fastrand::f64() };
            for effect in self.engine.handle(event, now) {
                match effect {
                    Effect::Scan => events.push_back(Event::Scanned(self.scan())),
                    Effect::Read(path) => {
                        let loaded = self.plugins.read(&path, self.trust);
                        events.push_back(Event::Loaded(path, loaded));
                    }
                    Effect::Reread(path) => {
                        let loaded = if self.debouncer.is_changing(&path) {
                            Loaded::Unsettled
                        } else {
                            self.plugins.read(&path, Trust::Quiet(self.debounce))
                        };
                        events.push_back(Event::Loaded(path, loaded));
                    }
                    Effect::Call(ticket, call) => {
                        let (client, git) = (self.client.clone(), self.git.clone());
                        self.calls.spawn(async move { (ticket, client.call(stamped(call, &git).await).await) });
                    }
                    Effect::SaveBackup(ticket, backup) => {
                        let kept = self.keep(&backup).map_err(|error| format!("{error:#}"));
                        events.push_back(Event::BackupSaved(ticket, kept));
                    }
                    Effect::SaveIntent(ticket, key, under_way) => {
                        self.served.withdraw(&key);
                        let noted = self.state().and_then(|state| state.note_under_way(&key, &under_way));
                        events.push_back(Event::IntentSaved(ticket, noted.map_err(|error| format!("{error:#}"))));
                    }
                    Effect::ClearIntent(key) => {
                        self.unsaved.insert(key.clone());
                        self.served.unsaved.insert(key);
                    }
                    Effect::Archive(backup) => self.write(|state| state.archive(&backup, Timestamp::now())),
                    Effect::ArchiveFound(backup) => self.write(|state| state.archive_found(&backup, Timestamp::now())),
                    Effect::EndRollback(key) => self.write(|state| state.forget_rollback(&key)),
                    Effect::CheckPresence(path) => {
                        let is_settled = self.debouncer.is_idle() && self.ready.is_empty();
                        let trace = if is_settled { self.plugins.trace(&path) } else { FilePresence::Unsettled };
                        events.push_back(Event::PresenceChecked(path, trace));
                    }
                    Effect::Save(key) => self.unsaved.insert(key),
                    Effect::Tell(notice) => self.tell(notice),
                    Effect::Exit(code) => end = end.or(Some(code)),
                }
            }
        }
        end
    }

    fn scan(&mut self) -> crate::engine::Scan {
        self.git.prepare();
        let mut blind = Vec::new();
        let watcher = &mut self.watcher;
        // While something may be in the middle of being written, only what has been quiet is believed.
        let mut seen = self.state.as_ref().map_or_else(ScanCache::default, |state| state.seen());
        seen.deployed(self.engine.ledger().all_held());
        let before = self.plugins.strayed().clone();
        let mut scan = self.plugins.scan(Trust::Quiet(self.debounce), &mut seen, &mut |folder| {
            if let Some(watcher) = watcher
                && let Err(sign) = watcher.watch_folder(folder)
            {
                blind.push(sign);
            }
        });
        if let Some(state) = self.state.as_ref().filter(|_| seen.has_changed()) {
            let folder = state.folder();
            tokio::task::spawn_blocking(move || {
                folder.write_seen(&seen).inspect_err(|error| tracing::debug!("{error:#}"))
            });
        }
        for (_, loaded) in scan.files.iter_mut().filter(|(path, _)| self.debouncer.is_changing(path)) {
            *loaded = Loaded::Unsettled;
        }
        for sign in blind {
            self.sign(sign, &mut Vec::new());
        }
        if let Some(watcher) = &mut self.watcher {
            let leads = |root: &PathBuf| self.plugins.strayed().get(root).cloned();
            watcher.await_roots(scan.missing.iter().map(|root| (root.clone(), leads(root))).collect());
        }
        for (root, real) in self.plugins.strayed().clone() {
            if before.get(&root) != Some(&real) {
                let message = format!("`{}` now leads outside the folder, to `{}`", root.display(), real.display());
                let hint = Some("if you trust it, run `owui-watch trust` in the folder".to_owned());
                self.tell(Notice::general(NoticeKind::Trouble { message, hint }));
            }
        }
        self.follow_links();
        scan
    }

    fn keep(&self, backup: &crate::engine::deploy::Backup) -> anyhow::Result<PathBuf> {
        self.state()?.keep(backup, Timestamp::now())
    }

    fn state(&self) -> anyhow::Result<&State> {
        self.state.as_ref().context("a dry run keeps nothing")
    }

    /// Writes what nothing waits for. That it could not be written is told once, like a log's.
    fn write(&mut self, write: impl FnOnce(&State) -> anyhow::Result<()>) {
        let Some(state) = &self.state else { return };
        if let Err(error) = write(state)
            && !std::mem::replace(&mut self.log_failed, true)
        {
            let hint = Some("deploys go on".to_owned());
            self.tell(Notice::general(NoticeKind::Trouble { message: format!("{error:#}"), hint }));
        }
    }

    /// Tells the user, when there is nothing more urgent to be done.
    fn tell(&mut self, notice: Notice) {
        self.untold.push((notice, Timestamp::now()));
    }

    fn tell_all(&mut self) {
        let mut told = std::mem::take(&mut self.untold);
        let mut failed = None;
        for (notice, time) in &told {
            self.audience.supervisor.tell(notice, *time);
            failed = failed.or(self.log(notice, *time).map(|error| (error, *time)));
        }
        if let Some((error, time)) = failed
            && !std::mem::replace(&mut self.log_failed, true)
        {
            let message = format!("plugin logs cannot be written: {error:#}");
            told.push((Notice::general(NoticeKind::Trouble { message, hint: None }), time));
        }
        if !told.is_empty() {
            self.audience.output.tell(told);
        }
    }

    /// Writes a notice to the log of its plugin.
    fn log(&self, notice: &Notice, time: Timestamp) -> Option<anyhow::Error> {
        let key = notice.about.key.as_ref().filter(|_| notice.is_logged())?;
        self.state.as_ref()?.log(key, &notice.log_line(time)).err()
    }

    /// Starts writing the ledger, unless a write is under way: then the newest state is written after it. What has changed
    /// is added to the file, until that has doubled.
    fn save(&mut self) {
        let Some(state) = self.state.as_ref().filter(|_| !self.unsaved.is_empty() && self.saving.is_none()) else {
            return;
        };
        let (folder, ledger) = (state.folder(), self.engine.ledger());
        let unsaved = std::mem::take(&mut self.unsaved);
        self.served.saving.append(&mut self.served.unsaved);
        let room = self.on_disk.room();
        let added = if unsaved.all { None } else { ledger.addition(&unsaved.keys).filter(|text| text.len() < room) };
        self.saving = Some(if let Some(text) = added {
            self.on_disk.added += text.len();
            tokio::task::spawn_blocking(move || folder.add(&text))
        } else {
            let text = ledger.to_json();
            self.on_disk = OnDisk { whole: text.len(), added: 0 };
            tokio::task::spawn_blocking(move || folder.save(&text))
        });
    }

    fn saved(&mut self, result: anyhow::Result<()>) {
        let mut served = std::mem::take(&mut self.served.saving);
        if result.is_err() {
            self.served.unsaved.append(&mut served);
        }
        if result.is_err() && self.on_disk.added > 0 {
            // Somebody may have cleaned up.
            (self.unsaved.all, self.on_disk) = (true, OnDisk::default());
            return;
        }
        let failed_before = std::mem::replace(&mut self.save_failed, result.is_err());
        for key in served {
            self.write(|state| state.forget_under_way(&key));
        }
        if let Err(error) = result {
            self.on_disk = OnDisk::default();
            if !failed_before {
                let hint = Some("deploys go on; the next start compares every plugin with the server".to_owned());
                self.tell(Notice::general(NoticeKind::Trouble { message: format!("{error:#}"), hint }));
            }
        }
    }

    /// Writes down what is not written yet.
    async fn write_down(&mut self) {
        // There may be room for it now.
        self.unsaved.all |= self.save_failed;
        while self.saving.is_some() || (!self.unsaved.is_empty() && self.state.is_some()) {
            self.save();
            if let Some(saving) = self.saving.take() {
                let result = saving.await.context("writing the ledger").flatten();
                self.saved(result);
            }
        }
    }
}

/// What of the ledger is to be written.
#[derive(Debug, Default)]
struct Unsaved {
    keys: BTreeSet<Key>,
    /// As a whole.
    all: bool,
}

impl Unsaved {
    fn insert(&mut self, key: Key) {
        self.keys.insert(key);
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.all
    }
}

/// How much of the ledger this process has written: as a whole, and added since. Before the first whole there is no room
/// for additions: what an earlier run left may be cut short.
#[derive(Debug, Default)]
struct OnDisk {
    whole: usize,
    added: usize,
}

impl OnDisk {
    /// How long an addition may be: it is worth its length until the file has doubled.
    fn room(&self) -> usize {
        if self.whole == 0 { 0 } else { self.whole.max(LEAST_ROOM).saturating_sub(self.added) }
    }
}

/// Only a bug ends a call without a reply; the program is not to go on as if nothing were.
fn replied(done: Result<(Ticket, Reply), JoinError>) -> Event {
    match done {
        Ok((ticket, reply)) => Event::Replied(ticket, reply),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The same call, with the commit that its text stands on in the message.
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
