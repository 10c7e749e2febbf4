//! The driver: hands the engine what happened, and performs what it says on a [`World`]. The daemon's world is real, those
//! of the simulation and of the engine's scripts are models. All of them run this one.
//!
//! What reaches the disk goes through one queue, in order ([`Write`]): a record is on disk before the intent that it makes
//! superfluous is cleared, without anybody waiting for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::debounce::Debouncer;
use crate::engine::deploy::{Backup, Call};
use crate::engine::files::{FilePresence, Loaded};
use crate::engine::ledger::{Ledger, Rollback, SavedState, UpdateIntent};
use crate::engine::{Code, Effect, Engine, Event, Now, Policy, Scan, Ticket};
use crate::notice::Notice;
use crate::plugin::Key;

/// How many files are read before what they led to is sent.
const AT_ONCE: usize = 4;

/// What effects are performed on.
pub trait World {
    /// The time, and one draw of luck.
    fn now(&mut self) -> Now;

    /// Sees what happened, before the engine does. A model keeps account of it.
    fn observe(&mut self, event: &Event) {
        let _ = event;
    }

    /// Whether anything is performed any more. Only a simulated program stops between two effects.
    fn is_running(&mut self) -> bool {
        true
    }

    /// The rollbacks that hold, where they may have changed since this was last asked.
    fn rollbacks(&mut self) -> Option<BTreeMap<Key, Rollback>>;

    /// Begins a walk of the roots that reads every file, never two at a time. What it found comes by
    /// [`Driver::on_scanned`]. `ledger` tells which texts need not be kept in memory.
    fn scan(&mut self, ledger: &Ledger);

    /// Reads one file; during a scan it may be left unsettled. `is_complete`: its writer is done, as far as the system tells.
    fn read(&mut self, path: &Arc<Path>, is_complete: bool) -> Loaded;

    /// What is left of a file that was seen to go.
    fn presence(&mut self, path: &Path) -> FilePresence;

    /// Whether git is in the middle of changing the work tree.
    fn is_git_busy(&mut self) -> bool;

    /// Files that may be new are about to be read. Answers whether a root that was lost is to be looked for.
    fn admit(&mut self, paths: &BTreeMap<Arc<Path>, Duration>) -> bool;

    /// Makes a request. Its answer comes as [`Event::Replied`].
    fn call(&mut self, ticket: Ticket, call: Call);

    /// Puts something on disk, after all that was asked for before. What waits for it hears of it as an event.
    fn write(&mut self, write: Write);

    /// Forgets the note of a rollback, at once: what is read of them next is without it.
    fn end_rollback(&mut self, key: &Key);

    /// Tells the user.
    fn tell(&mut self, notice: Notice);
}

/// What is put on disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A copy of a text that is about to be replaced. Answered by [`Event::BackupSaved`].
    Backup(Ticket, Backup),
    /// What is known of an update that is about to leave. Answered by [`Event::IntentSaved`].
    Intent(Ticket, Key, UpdateIntent),
    /// The ledger. Answered by [`Driver::on_ledger_written`].
    Ledger(LedgerText),
    /// Such an intent goes, once the ledger before it is on disk.
    ClearIntent(Key),
    /// A copy of a text of ours.
    Archive(Backup),
    /// A copy of a text that the server held without a deploy of ours.
    ArchiveFound(Backup),
}

/// What is written of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerText {
    /// All of it.
    Whole(String),
    /// The records that have changed.
    Added(String),
}

/// What became of writing the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerWritten {
    /// It is on disk.
    Done,
    /// It is on disk, and its file has grown so long that the next write takes all of it.
    Full,
    /// A part could not be added. As a whole it may be written all the same.
    NotAdded,
    /// It could not be written.
    Failed,
}

/// See the module's documentation.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Driver {
    engine: Engine,
    debouncer: Debouncer,
    /// What is ready to be read, a few at a time.
    ready: BTreeMap<Arc<Path>, Duration>,
    /// A scan is under way. Until it ends no file is read, so that nothing older is believed after something newer.
    is_scanning: bool,
    /// Another one was asked for meanwhile.
    scans_again: bool,
    /// Whose records have changed since the ledger was last written.
    unsaved: BTreeSet<Key>,
    /// Whose intents are cleared when those are on disk.
    cleared: BTreeSet<Key>,
    /// What stands on disk is to be replaced as a whole by the next write.
    needs_whole: bool,
    /// That write is due, whatever has changed.
    is_due: bool,
    /// The last one failed.
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
            is_scanning: false,
            scans_again: false,
            unsaved: BTreeSet::new(),
            cleared: BTreeSet::new(),
            // What an earlier run left may be cut short.
            needs_whole: true,
            is_due: false,
            has_failed: false,
        }
    }

    /// The one that goes on with other settings; the conversations must be over. What it has in mind is handed on where it
    /// is about the same server, whether or not that is reached in another way.
    #[must_use]
    pub fn replaced(self, policy: Policy, saved: SavedState, debounce: Duration, to: Server) -> Self {
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

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// When [`Event::Wake`] is wanted, if at all.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let settles = self.debouncer.next_wake().filter(|_| !self.is_scanning);
        self.engine.next_wake().into_iter().chain(settles).min()
    }

    /// Whether a scan is under way: what the watcher says has time until it ends.
    #[must_use]
    pub fn is_scanning(&self) -> bool {
        self.is_scanning
    }

    /// Whether more files are to be read by the next [`Driver::settle`].
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty() && !self.is_scanning
    }

    // ---- what the watcher says --------------------------------------------------------------------------------------

    /// Somebody is writing this file. Answers whether that is the begin of a save, as far as one can see.
    pub fn on_changing(&mut self, path: &Arc<Path>, at: Duration) -> bool {
        let is_new = !self.debouncer.is_changing(path);
        self.debouncer.changing(Arc::clone(path), at);
        is_new
    }

    /// Its writer is done, or it is gone. Answers whether nobody was known to write it.
    pub fn on_complete(&mut self, path: &Arc<Path>, at: Duration) -> bool {
        let is_new = !self.debouncer.is_changing(path);
        self.debouncer.complete(Arc::clone(path), at);
        is_new
    }

    /// It was found, and nobody knows whether it is complete.
    pub fn on_appeared(&mut self, path: Arc<Path>, at: Duration) {
        self.debouncer.appeared(path, at);
    }

    // ---- what happened ----------------------------------------------------------------------------------------------

    /// Hands events to the engine and performs what it says. Answers how the program ends, if it does.
    pub fn take(&mut self, events: Vec<Event>, world: &mut impl World) -> Option<Code> {
        if events.is_empty() {
            return None;
        }
        // What was rolled back beside us is known before anything is decided.
        let rolled_back = world.rollbacks().map(Event::RolledBack);
        rolled_back.into_iter().chain(events).find_map(|event| self.take_one(event, world))
    }

    /// What the paths that had events have come to by now.
    pub fn settle(&mut self, world: &mut impl World) -> Option<Code> {
        if self.is_scanning {
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
        // The first of many are on the wire before the last are read.
        let some: Vec<_> = std::iter::from_fn(|| self.ready.pop_first()).take(AT_ONCE).collect();
        if !some.is_empty() {
            events.push(Event::Ready(some));
        }
        if !long_written.is_empty() {
            events.push(Event::BeingWritten(long_written));
        }
        self.take(events, world)
    }

    /// Takes what a scan has found.
    pub fn on_scanned(&mut self, mut scan: Scan, world: &mut impl World) -> Option<Code> {
        if std::mem::take(&mut self.scans_again) {
            world.scan(self.engine.ledger());
            return None;
        }
        self.is_scanning = false;
        for (_, loaded) in scan.files.iter_mut().filter(|(path, _)| self.debouncer.is_changing(path)) {
            *loaded = Loaded::Unsettled;
        }
        self.take(vec![Event::Scanned(scan)], world)
    }

    /// Hands an event to the engine, does what it says, and goes on with the answers that are there at once.
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
                if std::mem::replace(&mut self.is_scanning, true) {
                    self.scans_again = true;
                } else {
                    world.scan(self.engine.ledger());
                }
            }
            Effect::Read(path) => {
                let loaded = world.read(&path, true);
                return Some(Event::Loaded(path, loaded));
            }
            Effect::Reread(path) => {
                let is_changing = self.is_scanning || self.debouncer.is_changing(&path);
                let loaded = if is_changing { Loaded::Unsettled } else { world.read(&path, false) };
                return Some(Event::Loaded(path, loaded));
            }
            Effect::CheckPresence(path) => {
                let is_settled = self.debouncer.is_idle() && self.ready.is_empty() && !self.is_scanning;
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
            Effect::Tell(notice) => world.tell(notice),
            Effect::Exit(_) => {}
        }
        None
    }

    // ---- the ledger -------------------------------------------------------------------------------------------------

    /// Writes what has changed in the ledger, and clears the intents that this makes superfluous.
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

    /// Takes what became of a [`Write::Ledger`].
    pub fn on_ledger_written(&mut self, written: LedgerWritten) {
        match written {
            LedgerWritten::Done => {}
            LedgerWritten::Full => self.needs_whole = true,
            LedgerWritten::Failed => (self.needs_whole, self.has_failed) = (true, true),
            LedgerWritten::NotAdded => self.save_whole(),
        }
    }

    /// What could not be written is due once more.
    pub fn save_what_failed(&mut self) {
        self.is_due |= self.has_failed;
    }

    /// The next [`Driver::save`] writes all of it: what is on disk may be gone or behind.
    pub fn save_whole(&mut self) {
        (self.needs_whole, self.is_due) = (true, true);
    }
}

/// What the server of other settings is to that of those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The same.
    Same,
    /// The same, but whether it is reached is another question.
    SameInAnotherWay,
    /// Another one.
    Other,
}
