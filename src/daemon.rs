//! The loop: it names what happened, hands it to the engine, and does what the engine says. The only clock, and the only
//! place that knows every edge.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock and waits for a time")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::client::Client;
use crate::config::Config;
use crate::console::Console;
use crate::disk::{Folder, Plugins, State, Trust};
use crate::engine::exchange::{Call, Reply};
use crate::engine::files::Loaded;
use crate::engine::ledger::Memory;
use crate::engine::notice::{Notice, What};
use crate::engine::{Code, Effect, Engine, Event, Now, Policy, Ticket};
use crate::git::Git;
use crate::settling::Settling;
use crate::systemd::supervisor::Supervisor;
use crate::watcher::{Sign, Watcher};

/// What the system would end a program by that writes to a pipe which nobody reads.
const SIGPIPE: u8 = 13;

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
    /// `SIGHUP`: compare everything with the server again.
    Rescan,
}

/// Everything that wakes the loop.
enum Happened {
    Signal(Signal),
    Sign(Sign),
    Reply(Ticket, Reply),
    Saved(anyhow::Result<()>),
    Time,
}

struct Daemon {
    engine: Engine,
    settling: Settling,
    plugins: Plugins,
    watcher: Option<Watcher>,
    /// The links that it looks behind.
    followed: BTreeSet<Arc<Path>>,
    signs: UnboundedReceiver<Sign>,
    state: Option<State>,
    git: Git,
    client: Client,
    console: Console,
    supervisor: Supervisor,
    calls: JoinSet<(Ticket, Reply)>,
    /// The ledger changed since it was last written, and the write that is under way.
    unsaved: bool,
    saving: Option<JoinHandle<anyhow::Result<()>>>,
    /// Told once: a full disk would say it with every line, and with every save.
    log_failed: bool,
    save_failed: bool,
    trust: Trust,
    debounce: Duration,
    started: Instant,
}

/// Runs until there is nothing more to do, or somebody says stop.
pub async fn run(
    config: &Config,
    policy: Policy,
    client: Client,
    console: Console,
    supervisor: Supervisor,
    mut signals: UnboundedReceiver<Signal>,
) -> anyhow::Result<End> {
    let mut daemon = Daemon::new(config, policy, client, console, supervisor)?;
    let mut stopping = false;
    let mut events = vec![Event::Rescan];
    loop {
        events.extend(daemon.settled());
        for event in daemon.rolled_back().into_iter().chain(events) {
            if let Some(code) = daemon.take(event) {
                return daemon.end(code).await;
            }
        }
        daemon.save();
        daemon.supervisor.turn(daemon.at());
        events = match daemon.next(&mut signals, stopping).await {
            Happened::Signal(Signal::Stop(number)) if stopping => return Ok(End::Interrupted(number)),
            Happened::Signal(Signal::Stop(_)) => {
                stopping = true;
                vec![Event::Stop]
            }
            Happened::Signal(Signal::Rescan) => {
                daemon.supervisor.reloading();
                vec![Event::Rescan]
            }
            Happened::Sign(sign) => daemon.signs(sign),
            Happened::Reply(ticket, reply) => vec![Event::Replied(ticket, reply)],
            Happened::Saved(result) => {
                daemon.saved(result);
                Vec::new()
            }
            Happened::Time => vec![Event::Wake],
        };
    }
}

impl Daemon {
    fn new(
        config: &Config,
        policy: Policy,
        client: Client,
        console: Console,
        supervisor: Supervisor,
    ) -> anyhow::Result<Self> {
        let mut troubles = Vec::new();
        let (state, memory) = if policy.terms.dry_run {
            // What was cut short is not a dry run's to make good.
            let folder = Folder::new(config.state.clone(), &config.url);
            (None, Memory { ledger: folder.peek(), rollbacks: folder.rollbacks(), under_way: BTreeMap::new() })
        } else {
            let mut state = State::open(config.state.clone(), &config.url)?;
            let (ledger, trouble) = state.load();
            troubles.extend(trouble);
            state.rollbacks_changed();
            let memory = Memory { ledger, rollbacks: state.rollbacks(), under_way: state.under_way() };
            (Some(state), memory)
        };
        let (send, signs) = unbounded_channel();
        let watcher = match policy.once {
            Some(_) => None,
            // Nobody listens any more when the channel is closed: the program is ending.
            None => Some(Watcher::new(&config.roots, config.debounce, config.poll, move |sign| {
                send.send(sign).ok();
            })?),
        };
        let exact = watcher.as_ref().is_some_and(Watcher::is_exact);
        let trust = if exact { Trust::Closed } else { Trust::Quiet(config.debounce) };
        let mut daemon = Self {
            engine: Engine::new(policy, memory),
            settling: Settling::new(config.debounce),
            plugins: Plugins::new(
                config.roots.clone(),
                &config.exclude,
                &config.state,
                config.files.clone(),
                config.links,
            )?,
            watcher,
            followed: BTreeSet::new(),
            signs,
            state,
            git: Git::new(config.roots.clone()),
            client,
            console,
            supervisor,
            calls: JoinSet::new(),
            unsaved: false,
            saving: None,
            log_failed: false,
            save_failed: false,
            trust,
            debounce: config.debounce,
            started: Instant::now(),
        };
        for trouble in troubles {
            let hint = Some("nothing is lost: every plugin is compared with the server".to_owned());
            daemon.tell(&Notice::general(What::Trouble { message: format!("{trouble:#}"), hint }));
        }
        Ok(daemon)
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
    async fn next(&mut self, signals: &mut UnboundedReceiver<Signal>, stopping: bool) -> Happened {
        if self.console.is_gone() && !stopping {
            return Happened::Signal(Signal::Stop(SIGPIPE));
        }
        let wakes = [self.engine.next_wake(), self.settling.next_wake(), self.supervisor.next_turn()];
        let wake = wakes.into_iter().flatten().min();
        let deadline = self.started + wake.unwrap_or(Duration::from_hours(24));
        tokio::select! {
            biased;
            Some(signal) = signals.recv() => Happened::Signal(signal),
            Some(done) = self.calls.join_next() => match done {
                Ok((ticket, reply)) => Happened::Reply(ticket, reply),
                // Only a bug ends a call without a reply; the program is not to go on as if nothing were.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            saved = done(&mut self.saving) => {
                self.saving = None;
                Happened::Saved(saved.context("writing the ledger").flatten())
            }
            () = tokio::time::sleep_until(deadline.into()) => Happened::Time,
            Some(sign) = self.signs.recv() => Happened::Sign(sign),
        }
    }

    /// Takes in everything that the watcher has to say by now.
    fn signs(&mut self, first: Sign) -> Vec<Event> {
        let mut events = Vec::new();
        let mut appeared = Vec::new();
        let mut sign = Some(first);
        while let Some(this) = sign {
            match this {
                Sign::Appeared(path) => appeared.push(path),
                this => self.sign(this, &mut events),
            }
            sign = self.signs.try_recv().ok();
        }
        if !appeared.is_empty() {
            self.appeared(&appeared);
        }
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
            self.settling.appeared(path, at);
        }
        self.follow_links();
        if let Some(Sign::Blind(message, hint)) = blind {
            self.tell(&Notice::general(What::Trouble { message, hint }));
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
            Sign::Complete(path) | Sign::Gone(path) => self.settling.complete(path),
            Sign::Changing(path) => self.settling.changing(path, self.at()),
            Sign::FolderGone(folder) => {
                if let Some(watcher) = &mut self.watcher {
                    watcher.forget_folder(&folder);
                }
                for path in self.plugins.files_in(&folder) {
                    self.settling.complete(path);
                }
            }
            Sign::Appeared(path) => self.appeared(&[path]),
            Sign::Permitted(path) if self.plugins.is_closed(&path) => {
                // Behind a folder there may be anything.
                if path.is_dir() {
                    self.sign(Sign::Anything, events);
                } else {
                    self.settling.complete(path);
                }
            }
            Sign::Permitted(_) => {}
            Sign::Anything if events.contains(&Event::Rescan) => {}
            Sign::Anything => events.push(Event::Rescan),
            Sign::Blind(message, hint) => self.tell(&Notice::general(What::Trouble { message, hint })),
        }
    }

    /// What the paths that had events have come to by now.
    fn settled(&mut self) -> Vec<Event> {
        let at = self.at();
        let ready = self.settling.take(at, || self.plugins.git_busy());
        let long_written = self.settling.long_written(at);
        let mut events = Vec::new();
        if !ready.is_empty() {
            if self.plugins.has_lost_root() {
                // Where a folder around it was moved, nobody tells but the files that are changed there.
                events.push(Event::Rescan);
            }
            self.plugins.admit_all(&ready);
            self.follow_links();
            events.push(Event::Ready(ready));
        }
        if !long_written.is_empty() {
            events.push(Event::BeingWritten(long_written));
        }
        events
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
                        let loaded = if self.settling.is_changing(&path) {
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
                    Effect::Keep(ticket, backup) => {
                        let kept = self.keep(&backup).map_err(|error| format!("{error:#}"));
                        events.push_back(Event::Kept(ticket, kept));
                    }
                    Effect::Note(ticket, key, under_way) => {
                        let noted = self.state().and_then(|state| state.note_under_way(&key, &under_way));
                        events.push_back(Event::Noted(ticket, noted.map_err(|error| format!("{error:#}"))));
                    }
                    Effect::Unnote(key) => self.write(|state| state.forget_under_way(&key)),
                    Effect::Archive(backup) => self.write(|state| state.archive(&backup, &stamp())),
                    Effect::EndRollback(key) => self.write(|state| state.forget_rollback(&key)),
                    Effect::Look(path) => {
                        let trace = self.plugins.trace(&path);
                        events.push_back(Event::Looked(path, trace));
                    }
                    Effect::Save => self.unsaved = true,
                    Effect::Tell(notice) => self.tell(&notice),
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
        let mut scan = self.plugins.scan(Trust::Quiet(self.debounce), &mut |folder| {
            if let Some(watcher) = watcher
                && let Err(sign) = watcher.watch_folder(folder)
            {
                blind.push(sign);
            }
        });
        for (_, loaded) in scan.files.iter_mut().filter(|(path, _)| self.settling.is_changing(path)) {
            *loaded = Loaded::Unsettled;
        }
        for sign in blind {
            self.sign(sign, &mut Vec::new());
        }
        if let Some(watcher) = &mut self.watcher {
            watcher.await_roots(&scan.missing);
        }
        self.follow_links();
        scan
    }

    fn keep(&self, backup: &crate::engine::exchange::Backup) -> anyhow::Result<PathBuf> {
        self.state()?.keep(backup, &stamp())
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
            self.tell(&Notice::general(What::Trouble { message: format!("{error:#}"), hint }));
        }
    }

    fn tell(&mut self, notice: &Notice) {
        let time = Timestamp::now();
        self.console.tell(notice, time);
        self.supervisor.tell(notice, time);
        let Some((state, key)) = self.state.as_ref().zip(notice.about.key.as_ref()) else { return };
        let stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if let Err(error) = state.log(key, &notice.log_line(&stamp))
            && !std::mem::replace(&mut self.log_failed, true)
        {
            let message = format!("plugin logs cannot be written: {error:#}");
            self.console.tell(&Notice::general(What::Trouble { message, hint: None }), time);
        }
    }

    /// Starts writing the ledger, unless a write is under way: then the newest state is written after it.
    fn save(&mut self) {
        let Some(state) = self.state.as_ref().filter(|_| self.unsaved && self.saving.is_none()) else { return };
        self.unsaved = false;
        let (path, text) = (state.ledger_path().to_owned(), self.engine.ledger().to_json());
        self.saving = Some(tokio::task::spawn_blocking(move || State::save(&path, &text)));
    }

    fn saved(&mut self, result: anyhow::Result<()>) {
        let failed_before = std::mem::replace(&mut self.save_failed, result.is_err());
        if let Err(error) = result
            && !failed_before
        {
            let hint = Some("deploys go on; after a restart every plugin is compared with the server".to_owned());
            self.tell(&Notice::general(What::Trouble { message: format!("{error:#}"), hint }));
        }
    }

    /// Writes down what is not written yet.
    async fn end(mut self, code: Code) -> anyhow::Result<End> {
        // There may be room for it now.
        self.unsaved |= self.save_failed;
        while self.saving.is_some() || (self.unsaved && self.state.is_some()) {
            self.save();
            if let Some(saving) = self.saving.take() {
                let result = saving.await.context("writing the ledger").flatten();
                self.saved(result);
            }
        }
        Ok(End::Done(code))
    }
}

/// The time as the name of a copy begins.
fn stamp() -> String {
    Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
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

/// Waits for the write that is under way, for ever if there is none.
async fn done(saving: &mut Option<JoinHandle<anyhow::Result<()>>>) -> Result<anyhow::Result<()>, JoinError> {
    match saving {
        Some(saving) => saving.await,
        None => std::future::pending().await,
    }
}
