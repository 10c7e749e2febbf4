//! The driver: hands events to the engine and performs its effects on a [`World`]. The daemon's world is real; those of
//! the simulation and of the engine's scripts are models. All of them run this driver.
//!
//! Writes go through one ordered queue ([`Write`]): a record is on disk before the intent that it replaces is cleared,
//! and no deploy waits for a record.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::debounce::Debouncer;
use crate::engine::deploy::{Backup, Call};
use crate::engine::files::{FilePresence, Loaded};
use crate::engine::ledger::{Ledger, Rollback, SavedState, UpdateIntent};
use crate::engine::{Code, Effect, Engine, Event, Now, Policy, Scan, Ticket};
use crate::notice::{Notice, Subject};
use crate::plugin::Key;

/// How many files are read before what they led to is sent.
const AT_ONCE: usize = 4;

/// Effects are performed on this.
pub trait World {
    /// The time, and one draw of luck.
    fn now(&mut self) -> Now;

    /// Sees each event before the engine does. A model keeps its books by it.
    fn observe(&mut self, event: &Event) {
        let _ = event;
    }

    /// Whether the program still runs. Only a simulated one stops between two effects.
    fn is_running(&mut self) -> bool {
        true
    }

    /// The current rollbacks; `None` if they have not changed since the last call.
    fn rollbacks(&mut self) -> Option<BTreeMap<Key, Rollback>>;

    /// Starts a walk of the roots that reads every file; never two at a time. [`Driver::on_scanned`] takes the result.
    /// `ledger` tells which texts need not be kept in memory.
    fn scan(&mut self, ledger: &Ledger);

    /// Reads one file; during a scan it may answer [`Loaded::Unsettled`]. `is_complete`: the system says that its
    /// writer is done.
    fn read(&mut self, path: &Arc<Path>, is_complete: bool) -> Loaded;

    /// Looks again at a file that seems to be gone.
    fn presence(&mut self, path: &Path) -> FilePresence;

    /// Whether git is in the middle of changing the work tree.
    fn is_git_busy(&mut self) -> bool;

    /// Prepares to read files that may be new. Answers whether a lost root may be back, which needs a scan.
    fn admit(&mut self, paths: &BTreeMap<Arc<Path>, Duration>) -> bool;

    /// Sends a request. The answer arrives as [`Event::Replied`].
    fn call(&mut self, ticket: Ticket, call: Call);

    /// Queues a write behind all earlier ones. If the engine waits for it, an event follows.
    fn write(&mut self, write: Write);

    /// Deletes the note of a rollback at once: [`World::rollbacks`] no longer has it.
    fn end_rollback(&mut self, key: &Key);

    /// Runs a plugin once on the server, beside everything else. The answer arrives as [`Event::Tried`].
    fn try_out(&mut self, ticket: Ticket, about: Subject);

    /// Ends that trial. No answer arrives.
    fn end_trial(&mut self, ticket: Ticket);

    /// Tells the user.
    fn tell(&mut self, notice: Notice);
}

/// One write to disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A copy of a text that is about to be replaced. [`Event::BackupSaved`] follows.
    Backup(Ticket, Backup),
    /// An update that is about to be sent. [`Event::IntentSaved`] follows.
    Intent(Ticket, Key, UpdateIntent),
    /// The ledger. [`Driver::on_ledger_written`] takes the result.
    Ledger(LedgerText),
    /// Deletes an intent, once the ledger queued before it is on disk.
    ClearIntent(Key),
    /// A copy of a text of ours.
    Archive(Backup),
    /// A copy of a text that the server held without a deploy of ours.
    ArchiveFound(Backup),
}

/// The part of the ledger to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerText {
    /// All of it.
    Whole(String),
    /// The records that have changed.
    Added(String),
}

/// The result of writing the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerWritten {
    /// It is on disk.
    Done,
    /// It is on disk, and the file has grown so long that the next write should replace it.
    Full,
    /// The change could not be appended. Writing the whole ledger may still work.
    NotAdded,
    /// It could not be written.
    Failed,
}

/// Whether a scan runs. While one does no file is read, so that an older reading never replaces a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scanning {
    No,
    Once,
    /// Another scan was requested meanwhile.
    Twice,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Driver {
    engine: Engine,
    debouncer: Debouncer,
    /// Ready to be read, a few at a time.
    ready: BTreeMap<Arc<Path>, Duration>,
    scanning: Scanning,
    /// How many walks of new folders run: no file is read meanwhile either.
    n_walks: usize,
    /// Plugins whose records have changed since the ledger was last written.
    unsaved: BTreeSet<Key>,
    /// Plugins whose intents are cleared once those records are on disk.
    cleared: BTreeSet<Key>,
    /// The next write replaces the whole file.
    needs_whole: bool,
    /// A write is due even if no record has changed.
    is_due: bool,
    /// The last write failed.
    has_failed: bool,
}

impl Driver {
    /// A driver of an engine that knows what an earlier run wrote down.
    #[must_use]
    pub fn new(policy: Policy, saved: SavedState, debounce: Duration) -> Self {
        Self::of(Engine::new(policy, saved), Debouncer::new(debounce))
    }

    fn of(engine: Engine, debouncer: Debouncer) -> Self {
        Self {
            engine,
            debouncer,
            ready: BTreeMap::new(),
            scanning: Scanning::No,
            n_walks: 0,
            unsaved: BTreeSet::new(),
            cleared: BTreeSet::new(),
            // An earlier run may have left a truncated file.
            needs_whole: true,
            is_due: false,
            has_failed: false,
        }
    }

    /// A driver that continues with other settings; no conversation may be in flight. State that is in no file is
    /// handed over if the server is the same. `saved` is what the disk holds.
    #[must_use]
    pub fn replaced(self, mut policy: Policy, mut saved: SavedState, debounce: Duration, to: Server) -> Self {
        // What was forced is forced once.
        policy.deploy.force &= self.engine.in_first_pass();
        if to != Server::Other {
            // The file may be outdated: the disk may have been full.
            saved.ledger = self.engine.ledger().clone();
        }
        let mut engine = Engine::new(policy, saved);
        match to {
            Server::Same => engine.take_over(self.engine.hand_over()),
            Server::SameInAnotherWay => engine.take_over(self.engine.hand_over().with_another_way()),
            Server::Other => {}
        }
        let mut driver = Self::of(engine, self.debouncer.with_debounce(debounce));
        if to != Server::Other {
            // There may have been no room for it on the disk before.
            driver.save_whole();
        }
        driver
    }

    /// Other files may be plugins now: what is not found again is not gone.
    pub fn forget_files(&mut self) {
        self.engine.forget_files();
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Tells the engine that a request for this plugin was answered.
    pub fn end_request(&mut self, key: &Key, path: &Path) {
        self.engine.end_request(key, path);
    }

    /// When [`Event::Wake`] is wanted, if at all.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let settles = self.debouncer.next_wake().filter(|_| !self.is_scanning());
        self.engine.next_wake().into_iter().chain(settles).min()
    }

    /// Whether a scan or a walk is running: events of the watcher can wait until it ends.
    #[must_use]
    pub fn is_scanning(&self) -> bool {
        self.scanning != Scanning::No || self.n_walks > 0
    }

    /// Whether the next [`Driver::settle`] has more files to read.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty() && !self.is_scanning()
    }

    // ---- signs of the watcher ---------------------------------------------------------------------------------------

    /// This file is being written. Answers whether that seems to be the start of a save.
    pub fn on_changing(&mut self, path: &Arc<Path>, at: Duration) -> bool {
        let is_new = !self.debouncer.is_changing(path);
        self.debouncer.changing(Arc::clone(path), at);
        is_new
    }

    /// Its writer is done, or the file is gone. Answers whether no writer was known before.
    pub fn on_complete(&mut self, path: &Arc<Path>, at: Duration) -> bool {
        let is_new = !self.debouncer.is_changing(path);
        self.debouncer.complete(Arc::clone(path), at);
        is_new
    }

    /// Folders appeared, and are being walked.
    pub fn begin_walk(&mut self, at: Duration) {
        self.n_walks += 1;
        self.engine.begin_walk(at);
    }

    /// Takes the files in them, which may be incomplete.
    pub fn end_walk(&mut self, files: Vec<Arc<Path>>, at: Duration) {
        self.n_walks -= 1;
        if self.n_walks == 0 {
            self.engine.end_walk();
        }
        for path in files {
            self.debouncer.appeared(path, at);
        }
    }

    // ---- events -----------------------------------------------------------------------------------------------------

    /// Hands events to the engine and performs its effects. Answers the exit code if the program ends.
    pub fn take(&mut self, events: Vec<Event>, world: &mut impl World) -> Option<Code> {
        // Another process may have rolled a plugin back: the engine must know before it decides.
        let rolled_back = world.rollbacks().map(Event::RolledBack);
        rolled_back.into_iter().chain(events).find_map(|event| self.take_one(event, world))
    }

    /// Holds the engine, or releases it, before it hears of anything else.
    pub fn hold(&mut self, is_held: bool, world: &mut impl World) -> Option<Code> {
        self.take_one(Event::Hold(is_held), world)
    }

    /// Reads the files that are ready by now.
    pub fn settle(&mut self, world: &mut impl World) -> Option<Code> {
        if self.is_scanning() {
            return None;
        }
        let at = world.now().at;
        let ready = self.debouncer.take(at, || world.is_git_busy());
        let long_written = self.debouncer.long_written(at);
        let mut events = Vec::new();
        if !ready.is_empty() {
            let has_lost_root = world.admit(&ready);
            self.ready.extend(ready);
            if has_lost_root {
                // They are read when everything has been looked at.
                return self.take(vec![Event::Rescan], world);
            }
        }
        // With many files, the first are on the wire before the last are read.
        let some: Vec<_> = std::iter::from_fn(|| self.ready.pop_first()).take(AT_ONCE).collect();
        if !some.is_empty() {
            events.push(Event::Ready(some));
        }
        if !long_written.is_empty() {
            events.push(Event::BeingWritten(long_written));
        }
        self.take(events, world)
    }

    /// Takes the result of a scan.
    pub fn on_scanned(&mut self, mut scan: Scan, world: &mut impl World) -> Option<Code> {
        if self.scanning == Scanning::Twice {
            self.scanning = Scanning::Once;
            world.scan(self.engine.ledger());
            return None;
        }
        self.scanning = Scanning::No;
        for (_, loaded) in scan.files.iter_mut().filter(|(path, _)| self.debouncer.is_changing(path)) {
            *loaded = Loaded::Unsettled;
        }
        self.take(vec![Event::Scanned(scan)], world)
    }

    /// Hands over one event, performs the effects, and continues with the answers that are available at once.
    fn take_one(&mut self, event: Event, world: &mut impl World) -> Option<Code> {
        let mut events = VecDeque::from([event]);
        let mut end = None;
        while let (Some(event), None) = (events.pop_front(), end) {
            world.observe(&event);
            for effect in self.engine.handle(event, world.now()) {
                if !world.is_running() {
                    return end;
                }
                if let Effect::Exit(code) = effect {
                    end = end.or(Some(code));
                } else {
                    events.extend(self.perform(effect, world));
                }
            }
        }
        end
    }

    fn perform(&mut self, effect: Effect, world: &mut impl World) -> Option<Event> {
        match effect {
            Effect::Scan => {
                if self.scanning == Scanning::No {
                    self.scanning = Scanning::Once;
                    world.scan(self.engine.ledger());
                } else {
                    self.scanning = Scanning::Twice;
                }
            }
            Effect::Read(path) => {
                let loaded = world.read(&path, true);
                return Some(Event::Loaded(path, loaded));
            }
            Effect::Reread(path) => {
                let is_changing = self.is_scanning() || self.debouncer.is_changing(&path) || world.is_git_busy();
                let loaded = if is_changing { Loaded::Unsettled } else { world.read(&path, false) };
                return Some(Event::Loaded(path, loaded));
            }
            Effect::CheckPresence(path) => {
                let is_settled = self.debouncer.is_idle() && self.ready.is_empty() && !self.is_scanning();
                let presence = if is_settled { world.presence(&path) } else { FilePresence::Unsettled };
                return Some(Event::PresenceChecked(path, presence));
            }
            Effect::Call(ticket, call) => world.call(ticket, call),
            Effect::SaveBackup(ticket, backup) => world.write(Write::Backup(ticket, backup)),
            Effect::SaveIntent(ticket, key, intent) => {
                self.cleared.remove(&key);
                world.write(Write::Intent(ticket, key, intent));
            }
            Effect::ClearIntent(key) => {
                self.unsaved.insert(key.clone());
                self.cleared.insert(key);
            }
            Effect::Archive(backup) => world.write(Write::Archive(backup)),
            Effect::ArchiveFound(backup) => world.write(Write::ArchiveFound(backup)),
            Effect::EndRollback(key) => world.end_rollback(&key),
            Effect::Save(key) => drop(self.unsaved.insert(key)),
            Effect::Try(ticket, about) => world.try_out(ticket, *about),
            Effect::EndTrial(ticket) => world.end_trial(ticket),
            Effect::Tell(notice) => world.tell(notice),
            Effect::Exit(_) => {}
        }
        None
    }

    // ---- the ledger -------------------------------------------------------------------------------------------------

    /// Writes the changed records of the ledger, and clears the intents that they replace.
    pub fn save(&mut self, world: &mut impl World) {
        let is_due = std::mem::take(&mut self.is_due);
        if self.unsaved.is_empty() && !is_due {
            return;
        }
        let (unsaved, ledger) = (std::mem::take(&mut self.unsaved), self.engine.ledger());
        let added = if self.needs_whole { None } else { ledger.addition(&unsaved) };
        (self.needs_whole, self.has_failed) = (false, false);
        world.write(Write::Ledger(added.map_or_else(|| LedgerText::Whole(ledger.to_json()), LedgerText::Added)));
        for key in std::mem::take(&mut self.cleared) {
            world.write(Write::ClearIntent(key));
        }
    }

    /// Takes the result of a [`Write::Ledger`].
    pub fn on_ledger_written(&mut self, written: LedgerWritten) {
        match written {
            LedgerWritten::Done => {}
            LedgerWritten::Full => self.needs_whole = true,
            LedgerWritten::Failed => (self.needs_whole, self.has_failed) = (true, true),
            LedgerWritten::NotAdded => self.save_whole(),
        }
    }

    /// Makes a failed write due again.
    pub fn save_what_failed(&mut self) {
        self.is_due |= self.has_failed;
    }

    /// Makes the next [`Driver::save`] write the whole ledger: the file may be gone or outdated.
    pub fn save_whole(&mut self) {
        (self.needs_whole, self.is_due) = (true, true);
    }
}

/// How the server of the new settings relates to that of the old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The same.
    Same,
    /// The same, with other connection settings: whether it can be reached is open.
    SameInAnotherWay,
    /// Another one.
    Other,
}
