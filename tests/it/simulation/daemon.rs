//! The daemon of the simulated world, which does with the real engine what `src/daemon/mod.rs` does: a crash may come
//! before each thing that it does, and leaves what was written until then.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use owui_watch::debounce::Debouncer;
use owui_watch::engine::deploy::Backup;
use owui_watch::engine::files::{FilePresence, Loaded};
use owui_watch::engine::ledger::{Ledger, SavedState};
use owui_watch::engine::{Code, Effect, Engine, Event, Now, Scan};
use owui_watch::notice::Notice;
use owui_watch::plugin::{Digest, Key};

use super::promises::{self, Broken};
use super::text::{Sort, file_of, path_of};
use super::wire::key_in;
use super::world::{DEBOUNCE, Happening, World, ms};

/// A daemon that runs.
pub(super) struct Daemon {
    pub(super) engine: Engine,
    pub(super) debouncer: Debouncer,
    pub(super) unsaved: bool,
    /// Whose records have changed since: they are what is written.
    pub(super) changed: BTreeSet<Key>,
    pub(super) saving: Option<Ledger>,
    /// Notes that have served: they go when the ledger that knows what they say is on disk.
    pub(super) served_unsaved: BTreeSet<Key>,
    pub(super) served_saving: BTreeSet<Key>,
    /// The rollbacks on disk are others than the ones that it knows.
    pub(super) rollbacks_unseen: bool,
    /// Effects that it has before it crashes.
    pub(super) fuse: Option<u32>,
}

impl World {
    pub(super) fn start(&mut self) -> Result<(), Broken> {
        if self.daemon.is_some() {
            return Ok(());
        }
        trace!(self, "the daemon starts");
        self.generation += 1;
        let dry_run = self.setup.policy.terms.dry_run;
        let memory = SavedState {
            ledger: self.state.ledger.clone(),
            rollbacks: self.state.rollbacks.clone(),
            under_way: if dry_run { BTreeMap::new() } else { self.state.under_way.clone() },
        };
        self.daemon = Some(Daemon {
            engine: Engine::new(self.setup.policy.clone(), memory),
            debouncer: Debouncer::new(DEBOUNCE),
            unsaved: false,
            changed: BTreeSet::new(),
            saving: None,
            served_unsaved: BTreeSet::new(),
            served_saving: BTreeSet::new(),
            rollbacks_unseen: false,
            fuse: None,
        });
        self.exited = None;
        self.promises.on_start(self.state.rollbacks.clone(), self.now);
        self.turn(vec![Event::Rescan])
    }

    pub(super) fn crash(&mut self) {
        trace!(self, "the daemon crashes");
        let landed = self.luck("landed", 2) == 0 && !self.state.full;
        if let Some(daemon) = self.daemon.take() {
            self.forget(!daemon.unsaved && (landed || daemon.saving.is_none()));
            if let Some(ledger) = daemon.saving.filter(|_| landed) {
                self.state.ledger = ledger;
            }
        }
        self.promises.on_end();
        self.generation += 1;
    }

    /// What the daemon knew and did not write is lost with it.
    pub(super) fn forget(&mut self, whole: bool) {
        if !whole || self.state.behind {
            let flying = self.flights.values().filter_map(|flight| key_in(&flight.call));
            self.promises.unwritten.extend(self.server.rows.keys().cloned().chain(flying));
        }
    }

    /// One turn of the daemon's loop.
    pub(super) fn turn(&mut self, events: Vec<Event>) -> Result<(), Broken> {
        self.take_all(events)?;
        let git_busy = self.now < self.git_until;
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        let ready = daemon.debouncer.take(self.now, || git_busy);
        let long_written = daemon.debouncer.long_written(self.now);
        let ready = (!ready.is_empty()).then(|| Event::Ready(ready.into_iter().collect()));
        let long_written = (!long_written.is_empty()).then_some(Event::BeingWritten(long_written));
        self.take_all(ready.into_iter().chain(long_written).collect())?;
        // The tables are asked for all at once.
        self.looks &= !std::mem::take(&mut self.lists_asked);
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        if daemon.unsaved && daemon.saving.is_none() && !self.setup.policy.terms.dry_run {
            daemon.unsaved = false;
            let (ledger, changed) = (daemon.engine.ledger(), std::mem::take(&mut daemon.changed));
            let added = ledger.addition(&changed).filter(|_| !self.state.behind);
            let added = added.map(|text| Ledger::from_json(&(self.state.ledger.to_json() + &text)).unwrap());
            daemon.saving = Some(added.unwrap_or_else(|| ledger.clone()));
            daemon.served_saving.append(&mut daemon.served_unsaved);
            let pause = ms(1 + self.luck("saving", 30));
            self.after(pause, Happening::Saved(self.generation));
        }
        Ok(())
    }

    fn take_all(&mut self, mut events: Vec<Event>) -> Result<(), Broken> {
        let Some(daemon) = self.daemon.as_mut().filter(|_| !events.is_empty()) else { return Ok(()) };
        if std::mem::take(&mut daemon.rollbacks_unseen) && !self.setup.policy.terms.dry_run {
            events.insert(0, Event::RolledBack(self.state.rollbacks.clone()));
        }
        for event in events {
            let end = self.take(event)?;
            if self.daemon.is_none() {
                return Ok(());
            }
            if let Some(code) = end {
                return self.end(code);
            }
        }
        Ok(())
    }

    /// Hands an event to the engine, does what it says, and goes on with the answers that are there at once.
    pub(super) fn take(&mut self, event: Event) -> Result<Option<Code>, Broken> {
        let mut events = VecDeque::from([event]);
        let mut end = None;
        while let (Some(event), None) = (events.pop_front(), end) {
            self.promises.on_event(&event);
            self.asks_ahead = matches!(event, Event::Saving(_));
            let chance = f64::from(u32::try_from(self.luck("chance", 1000)).unwrap()) / 1000.0;
            let now = Now { at: self.now, wall: jiff::Timestamp::UNIX_EPOCH, chance };
            let Some(daemon) = &mut self.daemon else { return Ok(None) };
            for effect in daemon.engine.handle(event, now) {
                if self.burns() {
                    self.crash();
                    return Ok(None);
                }
                if let Effect::Exit(code) = effect {
                    end = end.or(Some(code));
                } else if let Some(event) = self.perform(effect)? {
                    events.push_back(event);
                }
            }
        }
        Ok(end)
    }

    /// Whether the daemon crashes before its next effect.
    pub(super) fn burns(&mut self) -> bool {
        let Some(Some(fuse)) = self.daemon.as_mut().map(|daemon| daemon.fuse.as_mut()) else { return false };
        *fuse = fuse.saturating_sub(1);
        *fuse == 0
    }

    /// Does one thing that the engine wants, as the daemon does it. Answers what comes back at once.
    pub(super) fn perform(&mut self, effect: Effect) -> Result<Option<Event>, Broken> {
        let dry_run = self.setup.policy.terms.dry_run;
        let writable = if self.state.full || dry_run { Err("no space left".to_owned()) } else { Ok(()) };
        let event = match effect {
            Effect::Scan => Some(Event::Scanned(self.scan())),
            Effect::Read(path) => {
                let (file, changing) = (file_of(&path), self.is_changing(&path));
                let half = self.disk.get(&file).is_some_and(|stored| stored.text.sort == Sort::Half);
                if changing && half && self.setup.exact {
                    return Err(Broken::new("half a save is taken for a whole one", format!("{file}")));
                }
                let loaded = self.load(file, !self.setup.exact);
                Some(Event::Loaded(path, loaded))
            }
            Effect::Reread(path) => {
                let loaded = if self.is_changing(&path) { Loaded::Unsettled } else { self.load(file_of(&path), true) };
                Some(Event::Loaded(path, loaded))
            }
            Effect::Call(ticket, call) => {
                self.issue(ticket, call)?;
                None
            }
            Effect::SaveBackup(ticket, Backup { key, digest, text }) => {
                if Digest::of_text(&text) != digest {
                    return Err(Broken::new("a copy is not what it says", format!("{key}")));
                }
                if writable.is_ok() {
                    self.state.backups.insert((key, digest));
                }
                Some(Event::BackupSaved(ticket, writable.map(|()| PathBuf::from("copy.py"))))
            }
            Effect::SaveIntent(ticket, key, under_way) => {
                // What the file held then counts as ours, also where somebody else has put it there.
                self.promises.ours.extend(under_way.ours.iter().map(|digest| (key.clone(), *digest)));
                if let (Ok(()), Some(daemon)) = (&writable, &mut self.daemon) {
                    daemon.served_unsaved.remove(&key);
                    daemon.served_saving.remove(&key);
                    self.state.under_way.insert(key, under_way);
                }
                Some(Event::IntentSaved(ticket, writable))
            }
            Effect::ClearIntent(key) => {
                if let Some(daemon) = &mut self.daemon {
                    daemon.unsaved = true;
                    daemon.changed.insert(key.clone());
                    daemon.served_unsaved.insert(key);
                }
                None
            }
            Effect::EndRollback(key) => {
                self.promises.on_rollback_ended(&key);
                self.state.rollbacks.remove(&key);
                // The daemon sees its own change of the folder as well.
                self.daemon.iter_mut().for_each(|daemon| daemon.rollbacks_unseen = true);
                None
            }
            Effect::Archive(Backup { key, digest, .. }) | Effect::ArchiveFound(Backup { key, digest, .. }) => {
                if writable.is_ok() {
                    self.state.backups.insert((key, digest));
                }
                None
            }
            Effect::CheckPresence(path) => {
                let is_settled = self.daemon.as_ref().is_some_and(|daemon| daemon.debouncer.is_idle());
                let trace = match (self.mounted, self.disk.contains_key(&file_of(&path))) {
                    _ if !is_settled => FilePresence::Unsettled,
                    (true, true) => FilePresence::File,
                    (true, false) => FilePresence::Folder,
                    (false, _) => FilePresence::Nothing,
                };
                Some(Event::PresenceChecked(path, trace))
            }
            Effect::Save(key) => {
                if let Some(daemon) = &mut self.daemon {
                    daemon.unsaved = true;
                    daemon.changed.insert(key);
                }
                None
            }
            Effect::Tell(notice) => {
                self.tell(&notice)?;
                None
            }
            Effect::Exit(_) => None,
        };
        Ok(event)
    }

    pub(super) fn is_changing(&self, path: &Path) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.debouncer.is_changing(path))
    }

    pub(super) fn scan(&mut self) -> Scan {
        self.needs_rescan = false;
        let missing = if self.mounted { Vec::new() } else { vec![PathBuf::from("plugins")] };
        let files = self.disk.keys().filter(|_| self.mounted).map(|file| {
            let path = path_of(*file);
            let loaded = if self.is_changing(&path) { Loaded::Unsettled } else { self.load(*file, true) };
            (path, loaded)
        });
        Scan { files: files.collect(), missing }
    }

    pub(super) fn tell(&mut self, notice: &Notice) -> Result<(), Broken> {
        let id = notice.about.key.as_ref().map(|key| format!("{} ", key.id)).unwrap_or_default();
        trace!(self, "      {id}{}: {}", notice.word(), notice.sentence());
        promises::on_notice(self, notice)
    }

    pub(super) fn end(&mut self, code: Code) -> Result<(), Broken> {
        trace!(self, "the daemon ends: {code:?}");
        if let Some(daemon) = self.daemon.take()
            && !self.setup.policy.terms.dry_run
        {
            if !self.state.full {
                self.state.ledger = daemon.engine.ledger().clone();
                let served = daemon.served_unsaved.iter().chain(&daemon.served_saving);
                served.for_each(|key| {
                    self.state.under_way.remove(key);
                });
            }
            self.forget(!self.state.full);
        }
        self.exited = Some(code);
        self.promises.on_end();
        self.generation += 1;
        promises::on_exit(self, code)
    }
}
