//! The simulated world: a disk, a server, a clock, and the daemon between them, which runs the
//! real driver. A run is a pure function of its script: all luck is drawn from the script's seed.
//!
//! Long because the events of the simulated world share one state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::time::Duration;

use owui_watch::driver::Driver;
use owui_watch::engine::deploy::{Adopt, Call, OnRemoteEdit};
use owui_watch::engine::files::Loaded;
use owui_watch::engine::ledger::{Ledger, Rollback, UpdateIntent};
use owui_watch::engine::{Code, Event, OnDelete, Policy, Scan, TESTED};
use owui_watch::plugin::{Digest, Key, Kind};

use super::daemon::Daemon;
use super::promises::{Broken, Promises};
use super::server::{Server, Writer};
use super::text::{Sort, Text, key_of, letter_of, path_of};
use super::trials::{self, Trials};
use super::wire::{FAULTS, Fault, Flight, key_in, lost};
use crate::support::policy::policy;

pub(super) const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long the server takes to start at least.
const LEAST_START: Duration = ms(1000);
/// How often one pass may find that a text has ended the server.
const MOST_PASSES: u32 = 20;
/// More happens in no run that comes to an end.
const MOST_STEPS: u32 = 20_000;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How a run is set up: the first line of its script.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) version: &'static str,
    /// The kernel says when a writer is done.
    pub(super) exact: bool,
    pub(super) policy: Policy,
}

impl Setup {
    pub(super) fn read(line: &str) -> Self {
        let mut setup = Self {
            seed: 0,
            version: "0.12.4",
            exact: true,
            policy: Policy { concurrency: NonZeroUsize::MIN, ..policy() },
        };
        let mut words = line.split(' ');
        let mut policy = setup.policy;
        // The import that every text has is of nothing that a server has.
        policy.checks.all.select = vec!["undefined-name".to_owned()];
        while let Some(word) = words.next() {
            let mut next = || words.next().unwrap();
            match word {
                "seed" => setup.seed = next().parse().unwrap(),
                "quiet" => setup.exact = false,
                "once" => policy.once = Some(Duration::from_secs(5)),
                "force" => policy.deploy.force = true,
                "dry-run" => policy.deploy.dry_run = true,
                "activate" => policy.deploy.activate_new = true,
                "hold" => policy.deploy.on_remote_edit = OnRemoteEdit::Hold,
                "overwrite" => policy.deploy.on_remote_edit = OnRemoteEdit::Overwrite,
                "adopt-never" => policy.deploy.adopt = Adopt::Never,
                "deactivate" => policy.on_delete = OnDelete::Deactivate,
                "delete" => policy.on_delete = OnDelete::Delete,
                "jobs" => policy.concurrency = next().parse().unwrap(),
                "keep" => policy.keep_versions = Some(next().parse().unwrap()),
                "try" => policy.trials = Some(trials::policy()),
                "block" => policy.checks.all.block = true,
                "only" => policy.only.push(next().to_owned()),
                word => setup.version = TESTED.into_iter().find(|version| *version == word).unwrap(),
            }
        }
        setup.policy = policy;
        setup
    }
}

/// What the daemon leaves on disk.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) rollbacks: BTreeMap<Key, Rollback>,
    pub(super) intents: BTreeMap<Key, UpdateIntent>,
    pub(super) backups: BTreeSet<(Key, Digest)>,
    /// Nothing can be written.
    pub(super) full: bool,
    /// The ledger could not be written the last time.
    pub(super) behind: bool,
    /// The cache of the last scan: when the files in it were written.
    pub(super) seen: BTreeMap<char, Duration>,
}

/// A file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) text: Text,
    pub(super) written: Duration,
}

/// What is bound to happen at some time.
pub(super) enum Happening {
    /// The server comes to a request.
    Serve(u64),
    /// An answer arrives.
    Answer(u64),
    /// Something that the daemon has asked for is written.
    Written(u32),
    /// A scan that the daemon has asked for is over; what it has found, where that is known already.
    Scanned(u32, Option<Scan>),
    /// A writer is done with a file.
    Finished(char, Text),
    /// A file has been quiet since it had this stamp.
    Calm(char, Duration),
    /// What the settings say is certain again.
    Settled(u32),
    /// The lost events are known to be lost.
    Overflow,
    /// The lock of git is gone.
    Unlocked,
    Start,
    /// The daemon is told that a command deleted a plugin on the server.
    Discarded(Key, Text),
    /// The rollback beside the daemon reaches the server.
    RolledBack(Key, Text),
    /// A trial is over.
    Tried(u64),
}

/// The world.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct World {
    /// Its policy is the one in force.
    pub(super) setup: Setup,
    /// What the settings say by now: the daemon takes that over when it reloads.
    pub(super) wanted: Policy,
    pub(super) now: Duration,
    pub(super) queue: BTreeMap<(Duration, u64), Happening>,
    pub(super) n_queued: u64,
    pub(super) disk: BTreeMap<char, Stored>,
    pub(super) mounted: bool,
    pub(super) git_until: Duration,
    pub(super) deaf_until: Duration,
    pub(super) server: Server,
    pub(super) down_until: Duration,
    pub(super) page_until: Duration,
    /// Another version of the server needs until then to start, whatever happens.
    pub(super) starts_until: Duration,
    /// It answers everything with 500 until then.
    pub(super) fail_until: Duration,
    /// Plugins are switched off on the server until then.
    pub(super) off_until: Duration,
    pub(super) key_good: bool,
    pub(super) state: State,
    pub(super) daemon: Option<Daemon>,
    /// Its driver, but for the time in which that does something.
    pub(super) driver: Option<Driver>,
    /// What was promised and is not so, where the driver cannot be told.
    pub(super) broken: Option<Broken>,
    pub(super) generation: u32,
    pub(super) flights: BTreeMap<u64, Flight>,
    pub(super) n_flights: u64,
    pub(super) lanes: BTreeMap<Key, Duration>,
    pub(super) faults: Vec<(String, Fault)>,
    /// How often each call was made, so that its luck stays the same when the script is shortened.
    pub(super) made: BTreeMap<&'static str, u64>,
    pub(super) exited: Option<Code>,
    pub(super) promises: Promises,
    pub(super) trials: Trials,
    /// What is left undone on purpose until somebody rescans.
    pub(super) needs_rescan: bool,
    /// The server has just said that it is there, so that its tables are asked for now.
    pub(super) looks: bool,
    /// Which look at the server that is: one that is over learns nothing more.
    pub(super) look: u64,
    /// They are asked for in this turn.
    pub(super) lists_asked: bool,
    /// What it asks now is asked ahead of a conversation.
    pub(super) asks_ahead: bool,
    pub(super) steps: u32,
    pub(super) trace: Option<String>,
}

/// Plays a script: a line for the setup, and lines of `<pause in ms> <what happens>`.
pub(super) fn play(script: &str, traced: bool) -> (Result<(), Broken>, String) {
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    let setup = Setup::read(lines.next().unwrap());
    let mut world = World {
        now: Duration::ZERO,
        queue: BTreeMap::new(),
        n_queued: 0,
        disk: BTreeMap::new(),
        mounted: true,
        git_until: Duration::ZERO,
        deaf_until: Duration::ZERO,
        server: Server::new(setup.version, setup.policy.deploy.activate_new),
        down_until: Duration::ZERO,
        starts_until: Duration::ZERO,
        page_until: Duration::ZERO,
        fail_until: Duration::ZERO,
        off_until: Duration::ZERO,
        key_good: true,
        state: State::default(),
        daemon: None,
        driver: None,
        broken: None,
        generation: 0,
        flights: BTreeMap::new(),
        n_flights: 0,
        lanes: BTreeMap::new(),
        faults: Vec::new(),
        made: BTreeMap::new(),
        exited: None,
        promises: Promises::default(),
        trials: Trials::default(),
        needs_rescan: false,
        looks: false,
        look: 0,
        lists_asked: false,
        asks_ahead: false,
        steps: 0,
        trace: traced.then(String::new),
        wanted: setup.policy.clone(),
        setup,
    };
    let result = world.play(lines);
    (result, world.trace.unwrap_or_default())
}

impl World {
    fn play<'a>(&mut self, lines: impl Iterator<Item = &'a str>) -> Result<(), Broken> {
        for line in lines {
            let (pause, words) = line.split_once(' ').unwrap();
            self.run_until(self.now + ms(pause.parse().unwrap()))?;
            trace!(self, "{words}");
            let words: Vec<_> = words.split(' ').collect();
            self.act(&words)?;
        }
        self.heal()
    }

    // ---- what the script says ---------------------------------------------------------------------------------------

    fn act(&mut self, words: &[&str]) -> Result<(), Broken> {
        let letter = |word: &str| word.chars().next().unwrap();
        let text = |word: &str| Text::read(word).unwrap();
        let millis = |word: &str| ms(word.parse().unwrap());
        match *words {
            // The disk.
            ["write", file, word] => {
                self.put(letter(file), Some(text(word)));
                self.signs(&[Seen::Changing(letter(file)), Seen::Complete(letter(file))])
            }
            ["swap", file, word] => {
                self.put(letter(file), Some(text(word)));
                self.signs(&[Seen::Complete(letter(file))])
            }
            ["slow", file, half, word, pause] => {
                self.put(letter(file), Some(text(half)));
                self.after(millis(pause), Happening::Finished(letter(file), text(word)));
                self.signs(&[Seen::Changing(letter(file))])
            }
            ["blink", file, half, word, pause] => {
                let half = (half != "gone").then(|| text(half));
                self.put(letter(file), half);
                self.after(millis(pause), Happening::Finished(letter(file), text(word)));
                self.signs(&[Seen::Complete(letter(file))])
            }
            ["delete", file] => {
                self.put(letter(file), None);
                self.signs(&[Seen::Complete(letter(file))])
            }
            ["move", from, to] => {
                let Some(stored) = self.disk.get(&letter(from)).copied().filter(|_| self.mounted) else {
                    return Ok(());
                };
                self.put(letter(from), None);
                self.put(letter(to), Some(stored.text));
                self.signs(&[Seen::Complete(letter(from)), Seen::Complete(letter(to))])
            }
            ["touch", file] => self.signs(&[Seen::Complete(letter(file))]),
            ["git", pause] => {
                self.git_until = self.now + millis(pause);
                self.after(millis(pause), Happening::Unlocked);
                Ok(())
            }
            ["deaf", pause] => {
                self.deaf_until = self.deaf_until.max(self.now + millis(pause));
                self.after(millis(pause), Happening::Overflow);
                Ok(())
            }
            ["unmount"] => self.mount(false),
            ["mount"] => self.mount(true),
            _ => self.act_elsewhere(words),
        }
    }

    /// Changes a setting.
    fn set(&mut self, name: &str, value: &str) {
        let wanted = &mut self.wanted;
        match name {
            "block" => wanted.checks.all.block = value == "on",
            "on_delete" => {
                wanted.on_delete = match value {
                    "keep" => OnDelete::Keep,
                    "deactivate" => OnDelete::Deactivate,
                    _ => OnDelete::Delete,
                }
            }
            "remote" => {
                wanted.deploy.on_remote_edit = match value {
                    "hold" => OnRemoteEdit::Hold,
                    "overwrite" => OnRemoteEdit::Overwrite,
                    _ => OnRemoteEdit::Backup,
                }
            }
            "adopt" => wanted.deploy.adopt = if value == "never" { Adopt::Never } else { Adopt::Ask },
            "activate" => wanted.deploy.activate_new = value == "on",
            "jobs" => wanted.concurrency = value.parse().unwrap(),
            "keep" => wanted.keep_versions = value.parse().ok(),
            name => panic!("{name}"),
        }
        if self.daemon.is_none() {
            self.obey();
        }
    }

    /// Another version of the server takes its place, if it is newer or older as the script says.
    fn replace_server(&mut self, is_newer: bool, version: &str, pause: Duration) {
        let place = |version: &str| TESTED.iter().position(|known| *known == version).unwrap();
        let is_meant = if is_newer { usize::gt } else { usize::lt };
        if is_meant(&place(version), &place(self.server.version)) {
            self.go_down(pause);
            self.starts_until = self.now + pause.min(LEAST_START);
            self.server.upgrade(TESTED[place(version)]);
        }
    }

    /// The settings hold from now on.
    pub(super) fn obey(&mut self) {
        self.setup.policy = self.wanted.clone();
        self.server.activate_new(self.setup.policy.deploy.activate_new);
    }

    fn act_elsewhere(&mut self, words: &[&str]) -> Result<(), Broken> {
        let letter = |word: &str| word.chars().next().unwrap();
        let text = |word: &str| Text::read(word).unwrap();
        let millis = |word: &str| ms(word.parse().unwrap());
        match *words {
            // The daemon.
            ["rescan"] => self.turn(vec![Event::TryNow, Event::Rescan]),
            ["stop"] => {
                // Nothing takes its place then.
                if let Some(daemon) = &mut self.daemon {
                    (daemon.is_stopping, daemon.is_replaced) = (true, false);
                }
                self.turn(vec![Event::Stop])
            }
            ["reload"] => self.reload(),
            ["settings", pause] => self.hold(millis(pause)),
            ["block" | "set", .., value] => {
                self.set(words[words.len() - 2], value);
                self.reload()
            }
            ["start"] => self.start(),
            ["crash", effects, pause] => {
                let effects = effects.parse().unwrap();
                self.after(millis(pause), Happening::Start);
                match &mut self.daemon {
                    Some(_) if effects == 0 => self.crash(),
                    Some(daemon) => daemon.fuse = Some(effects),
                    None => {}
                }
                Ok(())
            }
            ["full" | "free"] => {
                self.state.full = words[0] == "full";
                Ok(())
            }
            ["rollback", id, word, pause] => {
                self.roll_back(letter(id), text(word), millis(pause));
                Ok(())
            }
            // The server.
            ["hand", id, word] => {
                let key = key_of(letter(id));
                self.edit(&key, text(word));
                Ok(())
            }
            ["rename" | "icon" | "toggle" | "global" | "attach", id] => {
                self.administer(words[0], &key_of(letter(id)));
                Ok(())
            }
            ["drop", id] => {
                self.touch(&key_of(letter(id)));
                self.server.rows.remove(&key_of(letter(id)));
                Ok(())
            }
            ["discard", id, pause] => {
                self.discard(key_of(letter(id)), millis(pause));
                Ok(())
            }
            ["wipe"] => {
                for key in self.server.rows.keys().cloned().collect::<Vec<_>>() {
                    self.touch(&key);
                }
                self.server.rows.clear();
                Ok(())
            }
            ["down", pause] => {
                self.go_down(millis(pause));
                Ok(())
            }
            ["upgrade" | "downgrade", version, pause] => {
                self.replace_server(words[0] == "upgrade", version, millis(pause));
                Ok(())
            }
            ["off", pause] => {
                // That is a variable of its environment: the server is started anew.
                if self.server.can_be_off() {
                    self.go_down(Duration::ZERO);
                    self.off_until = self.now + millis(pause);
                }
                Ok(())
            }
            ["fail", pause] => {
                self.fail_until = self.now + millis(pause);
                Ok(())
            }
            ["page", pause] => {
                self.page_until = self.now + millis(pause);
                Ok(())
            }
            ["key", how] => {
                self.key_good = how == "good";
                Ok(())
            }
            ["fault", what, call, times] => {
                let (_, fault) = FAULTS.iter().find(|(word, _)| *word == what).unwrap();
                let times = times.parse().unwrap();
                self.faults.extend(std::iter::repeat_n((call.to_owned(), *fault), times));
                Ok(())
            }
            _ => panic!("{words:?}"),
        }
    }

    /// Somebody writes a text on the server.
    fn edit(&mut self, key: &Key, text: Text) {
        let busy = self.is_busy(key);
        self.write(key, text, Writer::Hand);
        let versioned = self.server.versioned;
        self.server.rows.get_mut(key).unwrap().contested |= busy && !versioned;
    }

    /// Somebody else than the daemon writes a text.
    fn write(&mut self, key: &Key, text: Text, writer: Writer) {
        let held = self.server.rows.get(key);
        let is_new = held.is_none_or(|held| held.ours && !held.active) && self.setup.policy.deploy.activate_new;
        self.touch(key);
        self.server.write(key, text, writer);
        // It may just be switched on for the first time; or off, by a request that is on its way.
        if self.is_busy(key)
            && (is_new || self.is_repaired(key))
            && let Some(held) = self.server.rows.get_mut(key)
        {
            held.wanted_active = None;
        }
    }

    /// Somebody is faster than a request.
    pub(super) fn race(&mut self, call: &Call) {
        let Some(key) = key_in(call).filter(|key| self.server.rows.contains_key(key)) else { return };
        match call {
            Call::Toggle(_) => self.administer("toggle", &key),
            Call::Get(_) if self.luck("race", 2) == 0 => self.administer("toggle", &key),
            Call::Get(_) => {
                let version = 1000 + u16::try_from(self.luck("raced", 1000)).unwrap();
                self.edit(&key, Text { id: letter_of(&key), version, sort: Sort::Good });
            }
            _ => {}
        }
    }

    /// Notes that somebody else changes a row, and that nobody knows any more how it is to be if that is in the middle of
    /// a deploy.
    fn touch(&mut self, key: &Key) {
        self.promises.touched.insert(key.clone(), self.now);
        if self.is_busy(key)
            && let Some(held) = self.server.rows.get_mut(key).filter(|_| !self.server.versioned)
        {
            (held.wanted_active, held.contested) = (None, true);
        }
    }

    /// Who is told that there is no such row, or none that is his, leaves it as it is.
    pub(super) fn lie(&mut self, call: &Call) {
        let Some(key) = key_in(call) else { return };
        self.promises.touched.insert(key.clone(), self.now);
        let (versioned, activates) = (self.server.versioned, self.setup.policy.deploy.activate_new);
        // A repair that began before an upgrade goes on after it, and ends where there seems to be nothing to repair.
        let is_repaired = self.is_repaired(&key);
        let Some(held) = self.server.rows.get_mut(&key) else { return };
        if !versioned {
            held.contested = true;
        }
        // It may just be switched on for the first time.
        if is_repaired || (activates && !held.active) {
            held.wanted_active = None;
        }
    }

    /// Whether the daemon, or a dead one, is in the middle of something with a row.
    pub(super) fn is_busy(&self, key: &Key) -> bool {
        self.state.intents.contains_key(key)
            || self.waits_for_disk(key)
            || self.promises.is_answered_for(key, self.now)
            || self.flights.values().any(|flight| key_in(&flight.call).as_ref() == Some(key))
    }

    /// Whether the daemon may have to load the old text again and flip the switch, for the server as it is or as it was.
    pub(super) fn is_repaired(&self, key: &Key) -> bool {
        let intent = self.state.intents.get(key);
        !self.server.versioned || intent.is_some_and(|intent| intent.replaced.is_some())
    }

    fn administer(&mut self, what: &str, key: &Key) {
        let (busy, is_repaired) = (self.is_busy(key), self.is_repaired(key));
        let policy = &self.setup.policy;
        let Some(held) = self.server.rows.get_mut(key) else { return };
        // Since 0.12 nothing is ever flipped but what the user wants to have flipped.
        let flipped = policy.on_delete == OnDelete::Deactivate || policy.deploy.activate_new;
        let uncertain = busy && (flipped || is_repaired);
        match what {
            "rename" => (held.renamed, held.name) = (true, "Called by hand".to_owned()),
            "icon" => held.icon = true,
            "global" => held.global = if held.global.is_some() { None } else { Some(self.now) },
            "attach" => held.attached = if held.attached.is_some() { None } else { Some(self.now) },
            "toggle" if key.kind == Kind::Function => {
                held.active = !held.active;
                // Who switches on what is to be on anyway has his way, whatever the daemon is about to do.
                let agreed = held.active && held.wanted_active == Some(true);
                held.wanted_active = (!uncertain || agreed).then_some(held.active);
                // A function that goes off in the middle of an update looks like one whose update was refused.
                if busy && is_repaired {
                    self.promises.on_flipped(key, self.now);
                }
            }
            _ => {}
        }
    }

    fn roll_back(&mut self, id: char, text: Text, pause: Duration) {
        let key = key_of(id);
        if !self.server.rows.contains_key(&key) || self.setup.policy.deploy.dry_run {
            return;
        }
        // It refuses: the watch is deploying the plugin just now.
        if self.daemon.is_some() && self.state.intents.contains_key(&key) {
            return;
        }
        let claimants = self.claimants(&key);
        let local = claimants.first().map(|file| self.disk[file].text.digest());
        let server = text.digest();
        if local == Some(server) {
            return;
        }
        self.state.rollbacks.insert(key.clone(), Rollback { local, server, done: false });
        self.promises.ours.insert((key.clone(), server));
        self.after(pause, Happening::RolledBack(key, text));
        if let Some(daemon) = &mut self.daemon {
            daemon.rollbacks_unseen = true;
        }
    }

    /// `owui-watch delete`, which refuses where a file claims the id or may do so.
    fn discard(&mut self, key: Key, pause: Duration) {
        if self.mounted
            && self.claimants(&key).is_empty()
            && let Some(held) = self.server.rows.remove(&key)
        {
            self.touch(&key);
            self.after(pause, Happening::Discarded(key, held.text));
        }
    }

    fn mount(&mut self, mounted: bool) -> Result<(), Broken> {
        self.mounted = mounted;
        self.remember_all();
        self.hear(|world| world.turn(vec![Event::Rescan]))
    }

    /// The server ends, and is back after a while. What it has answered already may still arrive.
    pub(super) fn go_down(&mut self, pause: Duration) {
        self.down_until = self.down_until.max(self.now + pause);
        self.server.restart();
        let unanswered = self.flights.iter_mut().filter(|(_, flight)| flight.reply.is_none());
        let ids: Vec<_> = unanswered
            .map(|(id, flight)| {
                flight.reply = Some(lost("the connection was closed"));
                *id
            })
            .collect();
        for id in ids {
            self.after(Duration::ZERO, Happening::Answer(id));
        }
    }

    // ---- the disk ---------------------------------------------------------------------------------------------------

    fn put(&mut self, file: char, text: Option<Text>) {
        if !self.mounted {
            return;
        }
        let before = self.disk.get(&file).and_then(|stored| stored.text.claim(file));
        match text {
            Some(text) => self.disk.insert(file, Stored { text, written: self.now }),
            None => self.disk.remove(&file),
        };
        let after = text.and_then(|text| text.claim(file));
        for key in [before, after].into_iter().flatten() {
            self.remember(&key);
        }
        self.after(DEBOUNCE, Happening::Calm(file, self.now));
    }

    /// Notes what the files say now that claim an id.
    fn remember(&mut self, key: &Key) {
        let claimants = self.claimants(key);
        let texts: Vec<_> = claimants.iter().map(|file| self.disk[file].text).collect();
        self.promises.remember(key, &texts, self.deaf_until.max(self.git_until), self.now);
    }

    fn remember_all(&mut self) {
        let keys: BTreeSet<_> = self.disk.iter().filter_map(|(file, stored)| stored.text.claim(*file)).collect();
        for key in &keys {
            self.remember(key);
        }
    }

    /// The files that claim an id.
    pub(super) fn claimants(&self, key: &Key) -> Vec<char> {
        if !self.mounted {
            return Vec::new();
        }
        let claims = self.disk.iter().filter(|(file, stored)| stored.text.claim(**file).as_ref() == Some(key));
        claims.map(|(file, _)| *file).collect()
    }

    /// Whether the daemon, or the next one, holds back what `check` finds an error in.
    pub(super) fn blocks(&self) -> bool {
        self.setup.policy.checks.all.block
    }

    /// Whether the daemon has heard of everything that has happened to files since then.
    pub(super) fn hears_since(&self, since: Duration) -> bool {
        self.deaf_until <= since && self.git_until <= since && self.mounted && self.promises.started <= since
    }

    /// Whether what claims an id has changed since then.
    pub(super) fn changed_since(&self, key: &Key, since: Duration) -> bool {
        self.claimants(key).iter().any(|file| self.disk[file].written >= since)
    }

    /// Does something with a daemon that listens.
    pub(super) fn hear(&mut self, hear: impl FnOnce(&mut Self) -> Result<(), Broken>) -> Result<(), Broken> {
        let listens = self.setup.policy.once.is_none() && self.deaf_until <= self.now;
        if self.daemon.is_some() && listens { hear(self) } else { Ok(()) }
    }

    /// What the kernel says of files, to a daemon that takes in all of it at once, or one after the other.
    fn signs(&mut self, signs: &[Seen]) -> Result<(), Broken> {
        for sign in signs {
            if let Seen::Complete(file) = sign
                && let Some(key) = self.disk.get(file).and_then(|stored| stored.text.claim(*file))
            {
                self.promises.save(key);
            }
        }
        if !self.setup.exact || !self.mounted {
            return Ok(());
        }
        let at_once = self.luck("signs", 2) == 0;
        let mut saving = BTreeSet::new();
        self.hear(|world| {
            for sign in signs {
                let (Some(daemon), Some(driver)) = (&mut world.daemon, &mut world.driver) else { return Ok(()) };
                let (Seen::Complete(file) | Seen::Changing(file)) = sign;
                let path = path_of(*file);
                let begins = match sign {
                    Seen::Complete(_) => {
                        daemon.changing.remove(file);
                        driver.on_complete(&path, world.now)
                    }
                    Seen::Changing(_) => {
                        daemon.changing.insert(*file, world.now);
                        driver.on_changing(&path, world.now)
                    }
                };
                if begins {
                    saving.insert(path);
                }
                if !at_once {
                    let saving = std::mem::take(&mut saving);
                    world.turn(saving.into_iter().map(Event::Saving).collect())?;
                }
            }
            world.turn(saving.into_iter().map(Event::Saving).collect())
        })
    }

    pub(super) fn load(&self, file: char, quiet: bool) -> Loaded {
        match self.disk.get(&file).filter(|_| self.mounted) {
            None => Loaded::Missing,
            Some(stored) if quiet && self.now < stored.written + DEBOUNCE => Loaded::Unsettled,
            Some(stored) => Loaded::Parsed((*stored.text.parsed(file)).clone()),
        }
    }

    // ---- time -------------------------------------------------------------------------------------------------------

    pub(super) fn after(&mut self, pause: Duration, what: Happening) {
        self.n_queued += 1;
        self.queue.insert((self.now + pause, self.n_queued), what);
    }

    fn wake(&self) -> Option<Duration> {
        self.driver.as_ref()?.next_wake()
    }

    /// The next thing that happens, if any.
    fn step(&mut self, until: Duration) -> Result<bool, Broken> {
        let happening = self.queue.first_key_value().map(|((at, _), _)| *at);
        let wake = self.wake().map(|wake| wake.max(self.now));
        let Some(at) = happening.into_iter().chain(wake).min().filter(|at| *at <= until) else { return Ok(false) };
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(Broken::new("it never comes to rest", format!("{MOST_STEPS} steps")));
        }
        self.now = self.now.max(at);
        if happening == Some(at)
            && let Some((_, happening)) = self.queue.pop_first()
        {
            self.happen(happening)?;
        } else {
            self.turn(vec![Event::Wake])?;
        }
        Ok(true)
    }

    fn run_until(&mut self, until: Duration) -> Result<(), Broken> {
        while self.step(until)? {}
        self.now = until;
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Serve(id) => {
                self.serve(id);
                Ok(())
            }
            Happening::Answer(id) => self.deliver(id),
            Happening::Written(generation) if self.generation == generation => self.on_written(),
            Happening::Scanned(generation, scan) if self.generation == generation => self.on_scanned(scan),
            Happening::Settled(generation) if self.generation == generation => self.release(),
            Happening::Written(_) | Happening::Scanned(..) | Happening::Settled(_) => Ok(()),
            Happening::Finished(file, text) => {
                trace!(self, "{file} is written: {text}");
                self.put(file, Some(text));
                self.signs(&[Seen::Changing(file), Seen::Complete(file)])
            }
            Happening::Calm(file, stamp) => {
                let last = self.disk.get(&file).map(|stored| stored.written);
                if self.setup.exact || last.is_some_and(|last| last != stamp) || !self.mounted {
                    return Ok(());
                }
                self.hear(|world| {
                    if let Some(driver) = &mut world.driver {
                        driver.on_complete(&path_of(file), world.now);
                    }
                    world.turn(Vec::new())
                })
            }
            Happening::Overflow => self.hear(|world| world.turn(vec![Event::Rescan])),
            Happening::Unlocked => self.turn(Vec::new()),
            Happening::Start => self.start(),
            Happening::Tried(trial) => self.on_tried(trial),
            Happening::Discarded(key, text) => self.turn(vec![Event::Deleted(key, text.digest())]),
            Happening::RolledBack(key, text) => {
                if self.server.rows.contains_key(&key) {
                    trace!(self, "{key} is rolled back to {text}");
                    self.write(&key, text, Writer::Rollback);
                    if let Some(rollback) = self.state.rollbacks.get_mut(&key) {
                        rollback.done = true;
                        self.daemon.iter_mut().for_each(|daemon| daemon.rollbacks_unseen = true);
                    }
                }
                Ok(())
            }
        }
    }

    // ---- luck -------------------------------------------------------------------------------------------------------

    /// A number below `below`, which depends on the seed, on what it is for, and on how often that was asked.
    pub(super) fn luck(&mut self, what: &'static str, below: u64) -> u64 {
        let count = self.made.entry(what).or_default();
        *count += 1;
        let word = what.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        mix(self.setup.seed ^ mix(word ^ mix(*count))) % below
    }

    // ---- the end ----------------------------------------------------------------------------------------------------

    /// Saves and faults stop, and the server is there: everything comes to rest, and is as it was promised.
    fn heal(&mut self) -> Result<(), Broken> {
        trace!(self, "---- everything is well from now on");
        self.faults.clear();
        self.state.full = false;
        self.down_until = self.now.max(self.starts_until);
        self.page_until = self.now;
        self.fail_until = self.now;
        self.off_until = self.now;
        let was_shut = self.needs_rescan || !self.key_good;
        self.key_good = true;
        if let Some(daemon) = &mut self.daemon {
            daemon.fuse = None;
        }
        if !self.mounted {
            self.mount(true)?;
        }
        // What was begun comes to its end: half-written files, and dead daemons that are to come back.
        let last = self.queue.keys().next_back().map_or(self.now, |(at, _)| *at);
        self.run_until(last.max(self.git_until).max(self.deaf_until))?;
        let once = self.setup.policy.once.is_some();
        if self.daemon.is_none() {
            self.start()?;
        } else if was_shut {
            self.turn(vec![Event::Rescan])?;
        }
        self.rest()?;
        // A key that was taken back is looked at again when somebody asks for it.
        if self.needs_rescan {
            self.turn(vec![Event::Rescan])?;
            self.rest()?;
        }
        if once {
            // The last run may have begun while nothing was well, or have ended the server.
            self.run_until(self.now.max(self.down_until))?;
            self.start()?;
            self.rest()?;
            // A text that ends the server may do so for longer than one pass has patience.
            for _ in 0..MOST_PASSES {
                if self.exited != Some(Code::NoServer) || !self.ends_server() {
                    break;
                }
                self.run_until(self.now.max(self.down_until))?;
                self.start()?;
                self.rest()?;
            }
            return super::promises::at_rest(self, true);
        }
        if self.daemon.is_none() {
            self.start()?;
            self.rest()?;
        }
        super::promises::at_rest(self, false)?;
        // What fails in such a pass for the first time may need another one; then nothing is sent any more.
        for _ in 0..3 {
            trace!(self, "---- everything is looked at once more");
            let changes = self.promises.changes;
            self.turn(vec![Event::Rescan])?;
            self.rest()?;
            super::promises::at_rest(self, true)?;
            if self.promises.changes == changes {
                return self.all_are_tried();
            }
        }
        Err(Broken::new("1: what is at rest stays at rest", String::new()))
    }

    /// Whether a file has a text that ends this server.
    pub(super) fn ends_server(&self) -> bool {
        self.server.is_mortal() && self.disk.values().any(|stored| stored.text.sort == Sort::Ends)
    }

    fn rest(&mut self) -> Result<(), Broken> {
        let most = self.now + Duration::from_hours(2);
        while self.step(most)? {}
        match self.wake() {
            None => Ok(()),
            Some(wake) if self.awaits_broken_file() && wake <= self.now + self.setup.policy.gone_after => Ok(()),
            Some(wake) => Err(Broken::new("it never comes to rest", format!("it wants to wake at {wake:?}"))),
        }
    }
}

impl World {
    /// Whether a file is gone whose plugin is to go too, and a broken file may be it: it is looked at now and then.
    fn awaits_broken_file(&self) -> bool {
        let is_broken = |stored: &Stored| matches!(stored.text.sort, Sort::Broken | Sort::Empty);
        let Some(driver) = self.driver.as_ref().filter(|_| self.disk.values().any(is_broken)) else { return false };
        let may_go = |key: &Key| match self.setup.policy.on_delete {
            OnDelete::Keep => false,
            OnDelete::Deactivate => key.kind.has_switch(),
            OnDelete::Delete => true,
        };
        let ledger = driver.engine().ledger();
        let by_us = |key: &Key| ledger.get(key).and_then(|record| record.deployed.as_ref()).is_some_and(|it| it.by_us);
        ledger.keys().any(|key| may_go(key) && by_us(key) && self.claimants(key).is_empty())
    }
}

/// What the kernel says of a file.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Complete(char),
    Changing(char),
}

/// Mixes the bits of a number well.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
