//! The loop of the watch: waits for the next event, hands it to the driver, and replaces itself when the settings
//! change. The only clock, and the only place that knows every edge.
//!
//! Long because all that wakes the loop meets here.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock and waits for a time")]

mod checks;
mod child_env;
mod editor;
mod keys;
mod requests;
mod server_log;
mod settings;
mod signals;
mod start;
mod terminal;
mod trials;
mod world;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::config::{Config, Warning};
use crate::disk::StateError;
use crate::driver::{Driver, Server, World as _};
use crate::engine::{Code, Event, Scan};
use crate::error::Error;
use crate::git::{self, Leak};
use crate::notice::board::{Board, Step};
use crate::notice::{Notice, NoticeKind, Repetitions, Subject, Trouble, may_change_plugins};
use crate::output::{Console, Keys, Output};
use crate::plugin::Key;
use crate::systemd::supervisor::Supervisor;
use crate::watcher::{ConfigFileEvent, Sign};
pub use child_env::is_ours_alone;
use editor::Editor;
use keys::KeyJobs;
pub use keys::{Action, KeyPrograms};
use server_log::{Found, ServerLog};
use settings::{New, News, Settings};
use signals::{SIGINT, SIGPIPE, SIGQUIT, Signals};
pub use start::{Plan, Setup, refuse_tracked};
use start::{Start, open_state, saved_state};
use terminal::Terminal;
use world::{Outside, Scanned, Walked};
use writer::Written;

/// How often to see whether another owui-watch has ended.
const IN_LINE: Duration = Duration::from_millis(200);

/// How many notices from elsewhere are told in one turn.
const HEARD_AT_ONCE: usize = 100;

/// How long a single pass waits for git to say whether it tracks a file with a key.
const LEAKS_PATIENCE: Duration = Duration::from_secs(1);

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, or after a first signal.
    Done(Code),
    /// By a second signal, whose number it was.
    Interrupted(u8),
}

/// What a system signal or a key asks of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C, or `SIGTERM`: end. With its number.
    Stop(u8),
    /// `SIGHUP`: read the settings again, and compare everything with the server.
    Rescan,
    /// A key.
    Key(Action),
    /// The key that chooses what the others act on.
    Choose(Step),
}

/// Everything that wakes the loop.
enum Wakeup {
    Signal(Signal),
    Sign(Sign),
    ConfigFileEvent(ConfigFileEvent),
    Replied(Event),
    Written(Vec<Written>),
    Scanned(Scanned),
    Walked(Walked),
    Leaks(Vec<(PathBuf, Leak)>),
    /// A notice from elsewhere.
    Heard(Box<Notice>),
    /// Something in the server's log.
    Found(Found),
    /// What is wrong with a deployed plugin.
    Checked(Vec<Notice>),
    /// The editor has ended. Why it failed.
    Edited(Option<String>),
    Time,
    /// More files are ready to be read.
    More,
}

/// The daemon with other settings, before it takes over.
struct Successor {
    start: Start,
    /// What has changed.
    reloaded: Notice,
}

struct Daemon<'a> {
    driver: Driver,
    outside: Outside,
    /// `None` for a single pass.
    settings: Option<Settings<'a>>,
    setup: &'a Setup<'a>,
    /// Replaces this daemon once nothing is in flight.
    successor: Option<Successor>,
    /// Notices from elsewhere. Closed where there is nobody else.
    notices: Receiver<Notice>,
    /// Runs `log_command`, if that is set.
    server_log: Option<ServerLog>,
    /// What plugins did again, by the sandbox or by that log.
    repetitions: Repetitions,
    /// Checks whether git tracks, or does not ignore, files with a key.
    leaks: Option<JoinHandle<Vec<(PathBuf, Leak)>>>,
    /// Nothing new starts, since the settings are changing.
    is_held: bool,
    /// Has the terminal while it is there.
    editor: Option<Editor>,
    /// What other keys have started.
    jobs: KeyJobs,
}

/// The recipients of notices.
struct Audience {
    output: Output,
    supervisor: Supervisor,
    /// For the keys.
    board: Board,
    /// Where there is a live view.
    terminal: Option<Arc<Terminal>>,
}

impl Audience {
    fn tell(&mut self, notice: Notice, time: Timestamp) {
        self.take_in(&notice, time);
        self.output.tell([(notice, time)]);
    }

    /// Remembers what a notice says.
    fn take_in(&mut self, notice: &Notice, time: Timestamp) {
        self.supervisor.tell(notice, time);
        if self.terminal.is_some() {
            // The times are for people who read the line.
            self.board.tell(notice, "");
        }
    }
}

/// Runs until the work is done or a signal stops it. Shows what comes through `notices`, as if it were its own.
///
/// # Errors
///
/// If the start fails: the state cannot be opened, a root cannot be watched, or the output thread cannot start.
pub async fn run(
    setup: Setup<'_>,
    console: Console,
    supervisor: Supervisor,
    signals: UnboundedReceiver<Signal>,
    notices: Receiver<Notice>,
) -> Result<End, Error> {
    let plan = (setup.plan)(setup.config.clone())?;
    let once = plan.policy.once.is_some();
    let (send, gone) = unbounded_channel();
    let reader_gone = move || {
        // A closed channel means that the program has ended.
        send.send(()).ok();
    };
    let is_live = console.is_live();
    let output = Output::start(console, reader_gone).map_err(|error| Error::new("cannot start").because(error))?;
    let (press, keys) = unbounded_channel();
    let mut signals = Signals::new(signals, keys, gone);
    let keys = Keys { editor: setup.keys.editor.is_some() };
    let terminal = is_live.then(|| Arc::new(Terminal::listen(&output, &press, keys)));
    let audience = Audience { output: output.clone(), supervisor, board: Board::default(), terminal: terminal.clone() };
    let end = Box::pin(live(plan, setup, audience, &mut signals, notices)).await;
    signals.printed(&output, once).await;
    drop(terminal);
    end
}

async fn live(
    plan: Plan,
    setup: Setup<'_>,
    mut audience: Audience,
    signals: &mut Signals,
    notices: Receiver<Notice>,
) -> Result<End, Error> {
    let Some(start) = begin(plan, setup.wait, &mut audience, signals).await? else {
        return Ok(End::Done(Code::NotDeployed));
    };
    let settings = start
        .watcher
        .as_ref()
        .map(|_| Settings::new(setup.config.clone(), setup.sources.clone(), setup.read, Instant::now()));
    let mut daemon = Daemon::new(start, &setup, settings, audience, notices);
    daemon.warn(&setup.config, None);
    loop {
        let mut end = daemon.run(signals).await;
        let is_last = daemon.successor.is_none();
        if !matches!(end, End::Interrupted(_)) {
            tokio::select! {
                biased;
                // A disk may hang for minutes, and a dead network folder for ever.
                number = signals.second_stop(), if is_last => end = End::Interrupted(number),
                () = daemon.finish() => {}
            }
        }
        daemon.outside.tell_all();
        if let Some(successor) = daemon.successor.take() {
            daemon = daemon.replaced(successor);
            continue;
        }
        daemon.end_editor().await;
        if let Some(log) = daemon.server_log.take() {
            log.stop().await;
        }
        return Ok(end);
    }
}

/// Starts, after waiting for another owui-watch if need be. `None` if a signal comes first.
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
    fn new(
        start: Start,
        setup: &'a Setup<'a>,
        settings: Option<Settings<'a>>,
        audience: Audience,
        notices: Receiver<Notice>,
    ) -> Self {
        let (saved, trouble) = saved_state(&start);
        let driver = Driver::new(start.plan.policy.clone(), saved, start.plan.config.debounce);
        let outside = Outside::new(start, audience, Instant::now());
        let server_log = settings.as_ref().and_then(|_| ServerLog::follow(&setup.config));
        let mut daemon = Self {
            driver,
            outside,
            settings,
            setup,
            successor: None,
            notices,
            server_log,
            repetitions: Repetitions::default(),
            leaks: None,
            is_held: false,
            editor: None,
            jobs: KeyJobs::default(),
        };
        daemon.tell_of_state(trouble);
        daemon.listen();
        daemon
    }

    /// The daemon that continues with other settings. If its state folder is the same, the lock is handed over.
    fn replaced(mut self, successor: Successor) -> Self {
        let Successor { mut start, reloaded } = successor;
        // The new watcher may not have seen these events.
        if self.driver.is_scanning() {
            self.outside.hand_on_signs(&mut self.driver);
        } else if let Ok(sign) = self.outside.signs.try_recv() {
            self.on_signs(sign);
            self.outside.tell_all();
        }
        let is_same = start.state.is_none();
        if is_same {
            start.state = self.outside.state.take();
        }
        let (saved, trouble) = saved_state(&start);
        let Plan { config, policy, .. } = start.plan.clone();
        let before = self.settings.as_mut().map(|settings| settings.use_now(config.clone(), Instant::now()));
        if before.as_ref().is_some_and(|before| may_change_plugins(&before.changes(&config))) {
            self.driver.forget_files();
        }
        let reaches_it_as_before = before.as_ref().is_none_or(|before| before.reaches_server_like(&config));
        let server = match is_same {
            false => Server::Other,
            true if reaches_it_as_before => Server::Same,
            true => Server::SameInAnotherWay,
        };
        let Outside { audience, started, requests, checks, .. } = self.outside;
        if before.as_ref().is_some_and(|before| !before.reads_log_like(&config)) {
            self.server_log = ServerLog::follow(&config);
        }
        let mut daemon = Self {
            driver: self.driver.replaced(policy, saved, config.debounce, server),
            outside: Outside::new(start, audience, started),
            successor: None,
            is_held: false,
            ..self
        };
        daemon.outside.requests = requests;
        daemon.outside.checks = checks;
        daemon.tell(reloaded);
        daemon.tell_of_state(trouble);
        daemon.warn(&config, before.as_ref());
        daemon.listen();
        daemon
    }

    fn tell_of_state(&mut self, trouble: Option<StateError>) {
        if let Some(trouble) = trouble {
            self.tell(Notice::trouble(trouble.to_string(), Some(trouble.hint().to_owned())));
        }
    }

    /// Warns of a proxy, and of a connection that others can read.
    fn warn_of_the_way(&mut self, config: &Config) {
        let (server, proxy) = (config.url.clone(), self.outside.client.proxy().map(str::to_owned));
        if let Some(proxy) = proxy.clone() {
            self.tell(Notice::general(NoticeKind::Proxied { server: server.clone(), proxy }));
        }
        // An address on this machine is reached without a proxy.
        if config.is_overheard() || (proxy.is_some() && server.starts_with("http://")) {
            self.tell(Notice::general(NoticeKind::Insecure { server, proxy }));
        }
    }

    /// Tells the warnings about these settings that the earlier ones did not have.
    fn warn(&mut self, config: &Config, before: Option<&Config>) {
        if before.is_none_or(|before| before.url != config.url) {
            self.warn_of_the_way(config);
        }
        let told = before.map_or(&[][..], |before| &before.warnings);
        for Warning { message, hint } in config.warnings.iter().filter(|warning| !told.contains(warning)) {
            self.tell(Notice::trouble(message, Some(hint.clone())));
        }
        // A running check starts again with all files.
        let known = before.filter(|_| self.leaks.is_none()).map_or(&[][..], |before| &before.key_files);
        let files: Vec<_> = config.key_files.iter().filter(|file| !known.contains(file)).cloned().collect();
        if !files.is_empty() {
            self.leaks = Some(tokio::spawn(async move {
                let mut leaks = Vec::new();
                for file in files {
                    if let Ok(Some(leak)) = git::leak(&file).await {
                        leaks.push((file, leak));
                    }
                }
                leaks
            }));
        }
    }

    fn leaks(&mut self, leaks: Vec<(PathBuf, Leak)>) {
        for (file, leak) in leaks {
            let (message, hint) = leak.words(&file);
            self.tell(Notice::trouble(message, Some(hint)));
        }
    }

    /// Waits for the check of the files with a key, and tells its results.
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
        // A folder that cannot be watched is told of before the scan, during which no sign is taken.
        if let Ok(sign) = self.outside.signs.try_recv() {
            events.extend(self.on_signs(sign).into_iter().filter(|event| *event != Event::Rescan));
        }
        loop {
            let end = self.turn(events, scan.take()).await;
            // What is told may start a check, whose result belongs to the answer.
            self.outside.tell_all();
            self.answer_requests(false);
            if let Some(code) = end {
                return End::Done(code);
            }
            self.driver.save(&mut self.outside);
            let (at, reloaded) = (self.outside.at(), self.successor.is_none() && !self.driver.is_scanning());
            self.outside.audience.supervisor.turn(at, reloaded);
            events = match self.next(signals, stopping).await {
                // The editor's keys, as with git.
                Wakeup::Signal(Signal::Stop(SIGINT | SIGQUIT)) if self.is_editing() && !stopping => Vec::new(),
                // Already stopping, and no reader is left to see it.
                Wakeup::Signal(Signal::Stop(SIGPIPE)) if stopping => Vec::new(),
                Wakeup::Signal(Signal::Stop(number)) if stopping => {
                    self.successor = None;
                    return End::Interrupted(number);
                }
                Wakeup::Signal(Signal::Stop(_)) => {
                    stopping = true;
                    self.editor.iter_mut().for_each(Editor::end);
                    // A stop overrides a reload.
                    self.successor = None;
                    vec![Event::Stop]
                }
                // A reload would start over.
                Wakeup::Signal(Signal::Rescan) if stopping => Vec::new(),
                Wakeup::Signal(Signal::Rescan) => self.hang_up().await,
                Wakeup::Signal(Signal::Key(_)) if stopping => Vec::new(),
                Wakeup::Signal(Signal::Key(action)) => {
                    self.act(action);
                    Vec::new()
                }
                Wakeup::Signal(Signal::Choose(step)) => {
                    self.choose(step);
                    Vec::new()
                }
                Wakeup::Edited(trouble) => {
                    self.editor = None;
                    if let Some(message) = trouble {
                        self.tell(Notice::trouble(message, None));
                    }
                    Vec::new()
                }
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
                Wakeup::Walked(walked) => {
                    self.outside.on_walked(walked, &mut self.driver);
                    Vec::new()
                }
                Wakeup::Leaks(leaks) => {
                    self.leaks(leaks);
                    Vec::new()
                }
                Wakeup::Heard(notice) => {
                    self.on_heard(*notice);
                    Vec::new()
                }
                Wakeup::Found(found) => {
                    self.on_found(found);
                    Vec::new()
                }
                Wakeup::Checked(found) => {
                    self.on_checked(found);
                    Vec::new()
                }
                Wakeup::Time => vec![Event::Wake],
                Wakeup::More => Vec::new(),
            };
            if !stopping && self.successor.is_none() {
                events.extend(self.glance().await);
                events.extend(self.take_requests());
            }
        }
    }

    /// Whether the editor has the terminal. Not yet while the terminal is stopped.
    fn is_editing(&self) -> bool {
        self.outside.audience.terminal.as_ref().is_some_and(|terminal| terminal.is_lent())
    }

    /// Ends the editor, and takes the terminal back.
    async fn end_editor(&mut self) {
        if let Some(mut editor) = self.editor.take() {
            editor.end();
            editor.ended().await;
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
            // The successor looks at everything anyway, including later changes of the settings.
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

    /// Tells what changed in the settings, and prepares a successor if they differ. If that fails, the old ones stay.
    async fn learn(&mut self, news: News) -> Option<Vec<Event>> {
        let (config, New { files, keys }) = match news {
            News::None => return None,
            News::Same(new) => {
                self.tell(Notice::general(NoticeKind::Reloaded { files: new.files, changed: new.keys }));
                return None;
            }
            News::Wrong { why, hint, are_elsewhere } => {
                self.tell(Notice::general(NoticeKind::SettingsKept { why, hint, holds: are_elsewhere }));
                return None;
            }
            News::Config(config, new) => (config, new),
        };
        let start = match (self.setup.plan)(*config) {
            Ok(plan) => match open_state(&plan, self.outside.state.as_ref()).await {
                Ok(state) => Start::new(plan, state),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error),
        };
        match start {
            Ok(start) => {
                let reloaded = Notice::general(NoticeKind::Reloaded { files, changed: keys });
                self.successor = Some(Successor { start, reloaded });
                Some(vec![Event::Replace])
            }
            Err(error) => {
                let (why, hint) = (error.to_string(), error.hint().map(str::to_owned));
                self.tell(Notice::general(NoticeKind::SettingsKept { why, hint, holds: false }));
                None
            }
        }
    }

    /// Ends this daemon if another owui-watch has taken its lock: two would undo each other's deploys.
    fn keep_lock(&mut self) -> Option<Code> {
        let error = match self.outside.state.as_mut()?.keep_lock() {
            Ok(false) => return None,
            Ok(true) => {
                // The ledger may be gone with the lock.
                self.driver.save_whole();
                return None;
            }
            Err(error) => error,
        };
        if error.other().is_none() {
            self.outside.cannot_write(&anyhow::Error::msg(error));
            return None;
        }
        self.tell(Notice::general(NoticeKind::Trouble(Trouble::LockLost { cause: error.to_string() })));
        // From now on the other one writes.
        (self.outside.state, self.outside.writer, self.successor) = (None, None, None);
        Some(Code::NotDeployed)
    }

    /// Waits for whatever happens first. File events come last: they may never pause, and the answers to deploys must
    /// not wait for them.
    async fn next(&mut self, signals: &mut Signals, stopping: bool) -> Wakeup {
        let Outside { audience, started, .. } = &self.outside;
        let wakes = [self.driver.next_wake(), audience.supervisor.next_turn()];
        let wake = wakes.into_iter().flatten().min().map(|at| *started + at);
        let glance =
            self.settings.as_ref().filter(|_| !stopping && self.successor.is_none()).and_then(Settings::next_wake);
        let deadline = wake.into_iter().chain(glance).min();
        let Self { driver, editor, settings, leaks, notices, server_log, .. } = self;
        let Outside { calls, writer, signs, scanning, walking, trials, checks, requests, .. } = &mut self.outside;
        let (listens, has_time) = (!driver.is_scanning(), !driver.engine().has_waiting());
        tokio::select! {
            biased;
            Some(signal) = signals.recv() => Wakeup::Signal(signal),
            Some(trouble) = async { Some(editor.as_mut()?.ended().await) } => Wakeup::Edited(trouble),
            Some(event) = world::replied(calls) => Wakeup::Replied(event),
            Some(written) = async { Some(writer.as_mut()?.next().await) } => Wakeup::Written(written),
            Some(walked) = async { Some(walking.as_mut()?.await) } => {
                *walking = None;
                Wakeup::Walked(unless_panicked(walked))
            }
            Some(scanned) = async { Some(scanning.as_mut()?.await) } => {
                *scanning = None;
                Wakeup::Scanned(unless_panicked(scanned))
            }
            Some(found) = async { Some(leaks.as_mut()?.await) } => {
                *leaks = None;
                Wakeup::Leaks(found.unwrap_or_default())
            }
            Some(()) = async { tokio::time::sleep_until(deadline?).await; Some(()) } => Wakeup::Time,
            Some(touch) = async { Some(settings.as_mut()?.touch().await) } => Wakeup::ConfigFileEvent(touch),
            // These are few. A log or a folder that never rests must not hold them up.
            Some(event) = trials.next() => Wakeup::Replied(event),
            found = checks.next(has_time, |key| requests.names(key)) => Wakeup::Checked(found),
            Some(sign) = signs.recv(), if listens => Wakeup::Sign(sign),
            Some(notice) = notices.recv() => Wakeup::Heard(Box::new(notice)),
            Some(found) = async { server_log.as_mut()?.next().await } => Wakeup::Found(found),
            () = tokio::task::yield_now(), if driver.has_more() => Wakeup::More,
        }
    }

    /// Tells a notice from elsewhere, and those behind it, with the files of their plugins.
    fn on_heard(&mut self, first: Notice) {
        let more = std::iter::from_fn(|| self.notices.try_recv().ok());
        let notices: Vec<_> = std::iter::once(first).chain(more).take(HEARD_AT_ONCE).collect();
        for notice in notices {
            let subject = |key: &Key| self.driver.engine().plugin(key).map(|plugin| Subject::from(&*plugin));
            let notice = self.repetitions.count(notice.located(&subject));
            self.tell(notice);
        }
    }

    /// Tells what is wrong with a plugin, unless its file has another text by now.
    fn on_checked(&mut self, found: Vec<Notice>) {
        for notice in found {
            let plugin = notice.about.key.as_ref().and_then(|key| self.driver.engine().plugin(key));
            if plugin.is_some_and(|plugin| Some(plugin.digest) == notice.about.digest) {
                self.tell(notice);
            }
        }
    }

    fn on_signs(&mut self, sign: Sign) -> Vec<Event> {
        let (events, anything) = self.outside.on_signs(sign, &mut self.driver);
        if let Some(settings) = self.settings.as_mut().filter(|_| anything) {
            settings.look_again(Instant::now());
        }
        events
    }

    /// One turn: takes the events, then the files that are ready, then the answers that came meanwhile. Requests run in
    /// between: they leave before a file is read or a line is printed.
    async fn turn(&mut self, happened: Vec<Event>, scan: Option<Scan>) -> Option<Code> {
        if let Some(code) = self.keep_lock() {
            return Some(code);
        }
        let end = self.hold();
        let end = end.or_else(|| self.driver.take(happened, &mut self.outside));
        let end = end.or_else(|| self.driver.on_scanned(scan?, &mut self.outside));
        tokio::task::yield_now().await;
        let end = end.or_else(|| self.driver.settle(&mut self.outside));
        tokio::task::yield_now().await;
        end.or_else(|| {
            let answered = self.outside.answered();
            self.driver.take(answered, &mut self.outside)
        })
    }

    /// Holds the engine while the settings are changing: no save may go to the server of the old ones.
    fn hold(&mut self) -> Option<Code> {
        if self.successor.is_some() {
            return None;
        }
        let now = Instant::now();
        let is_held = self.settings.as_mut().is_some_and(|settings| settings.are_in_flux(now));
        let is_news = std::mem::replace(&mut self.is_held, is_held) != is_held;
        if is_news { self.driver.hold(is_held, &mut self.outside) } else { None }
    }

    fn tell(&mut self, notice: Notice) {
        self.outside.tell(notice);
    }

    /// Does what is left to do: waits until everything is on disk, and answers the requests if no successor will.
    async fn finish(&mut self) {
        self.flush().await;
        if self.settings.is_none() {
            self.finish_leaks().await;
        }
        if self.successor.is_none() {
            self.answer_requests(true);
        }
        // What is told goes into the plugins' logs.
        self.outside.tell_all();
        self.drain().await;
    }

    /// Waits until everything is on disk.
    async fn flush(&mut self) {
        // What is being written may fail, too.
        self.drain().await;
        // The disk may have room by now.
        self.driver.save_what_failed();
        self.drain().await;
    }

    async fn drain(&mut self) {
        loop {
            self.driver.save(&mut self.outside);
            let written = self.outside.flush().await;
            if written.is_empty() {
                return;
            }
            // No deploy continues from here.
            drop(self.outside.on_written(written, &mut self.driver));
        }
    }
}

/// Only a bug ends a look at the disk without a result, so the panic continues here.
fn unless_panicked<T>(done: Result<T, JoinError>) -> T {
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
