//! The daemon of the simulated world: the real driver and the real engine, on a model of disk, server and user. A crash may
//! come before each thing that it does, and leaves what was written until then.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use owui_watch::driver::{self, Driver, LedgerText, LedgerWritten, Server, Write};
use owui_watch::engine::deploy::{Backup, Call, OnRemoteEdit, Reply};
use owui_watch::engine::files::{FilePresence, Loaded};
use owui_watch::engine::ledger::{Ledger, Rollback, SavedState};
use owui_watch::engine::{Code, Event, Now, Scan, Ticket};
use owui_watch::notice::{Notice, Subject};
use owui_watch::plugin::{Digest, Key, Parsed};

use super::promises::{self, Broken, is_ours};
use super::text::{Sort, file_of, path_of};
use super::world::{DEBOUNCE, Happening, World, ms};

/// What was written in the same tick of the disk's clock as it was read is not cached.
const TICK: Duration = ms(2000);

/// A daemon that runs.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "separate facts about the simulated program")]
pub(super) struct Daemon {
    /// What is being written, the first of it just now.
    pub(super) writes: VecDeque<Write>,
    /// Intents that are cleared when the ledger is on disk.
    superfluous: BTreeSet<Key>,
    /// The rollbacks on disk are others than the ones that it knows.
    pub(super) rollbacks_unseen: bool,
    /// Files that are being written, as it was told, and when it was.
    pub(super) changing: BTreeMap<char, Duration>,
    /// A scan is under way.
    pub(super) is_scanning: bool,
    /// The texts that it leaves to the files, since the server held them when it began.
    held: BTreeMap<Key, Digest>,
    /// The last scan has not found the root.
    knows_root_missing: bool,
    /// Other settings wait for it to come to an end.
    pub(super) is_replaced: bool,
    /// The settings are being saved: what they say is uncertain.
    is_held: bool,
    /// Effects that it has before it crashes.
    pub(super) fuse: Option<u32>,
    /// Somebody has said stop.
    pub(super) is_stopping: bool,
    /// They are used up.
    has_burnt: bool,
}

impl World {
    pub(super) fn start(&mut self) -> Result<(), Broken> {
        if self.daemon.is_some() {
            return Ok(());
        }
        trace!(self, "the daemon starts");
        self.generation += 1;
        self.obey();
        self.driver = Some(Driver::new(self.setup.policy.clone(), self.saved_state(), DEBOUNCE));
        self.daemon = Some(Daemon::default());
        self.exited = None;
        self.promises.on_start(&self.state.ledger, self.state.rollbacks.clone(), self.now);
        self.turn(vec![Event::Rescan])
    }

    fn saved_state(&self) -> SavedState {
        let dry_run = self.setup.policy.deploy.dry_run;
        SavedState {
            ledger: self.state.ledger.clone(),
            rollbacks: self.state.rollbacks.clone(),
            intents: if dry_run { BTreeMap::new() } else { self.state.intents.clone() },
        }
    }

    /// It crashes between two turns, when all that has changed is being written at least.
    pub(super) fn crash(&mut self) {
        let landed = self.luck("landed", 2) == 0 && !self.state.full;
        if landed {
            self.write_next();
        }
        let unwritten = |daemon: &Daemon| daemon.writes.iter().any(|write| matches!(write, Write::Ledger(_)));
        let is_whole = !self.daemon.as_ref().is_some_and(unwritten);
        self.die(is_whole);
    }

    /// `is_whole`: its records are on disk.
    fn die(&mut self, is_whole: bool) {
        trace!(self, "the daemon crashes");
        self.trials.on_end();
        self.forget(is_whole);
        (self.daemon, self.driver) = (None, None);
        self.promises.on_end();
        self.generation += 1;
    }

    /// What the daemon knew and did not write is lost with it.
    pub(super) fn forget(&mut self, whole: bool) {
        // Only who is to leave others' texts alone notes down what he is about to create.
        let notes = self.setup.policy.deploy.on_remote_edit == OnRemoteEdit::Hold;
        if !whole || self.state.behind || !notes {
            let flying = self.flights.values().filter_map(|flight| match &flight.call {
                Call::Create(key, form) | Call::Update(key, form) => {
                    Some((key.clone(), Digest::of_text(&form.content)))
                }
                _ => None,
            });
            let stored = self.server.rows.iter().map(|(key, held)| (key.clone(), held.text.digest()));
            let is_noted = |(key, text): &(Key, Digest)| {
                let intent = self.state.intents.get(key);
                is_ours(&self.state.ledger, key, *text) || intent.is_some_and(|intent| intent.ours.contains(text))
            };
            let unknown = stored.chain(flying).filter(|text| !is_noted(text));
            self.promises.unwritten.extend(unknown);
        }
    }

    /// One turn of the daemon's loop.
    pub(super) fn turn(&mut self, events: Vec<Event>) -> Result<(), Broken> {
        // After an answer to a conversation, the same conversation may ask for a list.
        let is_answer =
            |event: &Event| matches!(event, Event::Replied(_, reply) if !matches!(reply, Reply::Connected { .. }));
        let looks = self.looks;
        self.looks &= !events.iter().any(is_answer);
        self.drive(|driver, world| driver.take(events, world))?;
        self.looks = looks;
        self.drive(Driver::settle)?;
        // The tables are asked for all at once.
        self.looks &= !std::mem::take(&mut self.lists_asked);
        self.drive(|driver, world| {
            driver.save(world);
            None
        })
    }

    /// Has the driver do something; it may crash on the way, or come to its end.
    fn drive(&mut self, drive: impl FnOnce(&mut Driver, &mut Self) -> Option<Code>) -> Result<(), Broken> {
        let Some(mut driver) = self.driver.take() else { return Ok(()) };
        let end = drive(&mut driver, self);
        self.driver = Some(driver);
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        if self.daemon.as_ref().is_some_and(|daemon| daemon.has_burnt) {
            self.die(false);
            return Ok(());
        }
        match end {
            None => Ok(()),
            Some(_) if self.daemon.as_ref().is_some_and(|daemon| daemon.is_replaced) => self.replace(),
            Some(code) => self.end(code),
        }
    }

    /// The settings are read again: what is in flight comes to its end, and then another engine goes on.
    pub(super) fn reload(&mut self) -> Result<(), Broken> {
        let Some(daemon) = self.daemon.as_mut().filter(|daemon| !daemon.is_stopping) else { return Ok(()) };
        if self.setup.policy.once.is_some() || std::mem::replace(&mut daemon.is_replaced, true) {
            return Ok(());
        }
        self.turn(vec![Event::Replace])
    }

    /// The settings are being saved: for a while, it is uncertain what they say.
    pub(super) fn hold(&mut self, pause: Duration) -> Result<(), Broken> {
        let Some(daemon) = self.daemon.as_mut().filter(|daemon| !daemon.is_replaced) else { return Ok(()) };
        if self.setup.policy.once.is_some() || std::mem::replace(&mut daemon.is_held, true) {
            return Ok(());
        }
        self.after(pause, Happening::Settled(self.generation));
        self.drive(|driver, world| driver.hold(true, world))?;
        self.turn(Vec::new())
    }

    /// They have been read, and say something else or what they said before.
    pub(super) fn release(&mut self) -> Result<(), Broken> {
        if self.luck("settings", 2) == 0 {
            return self.reload();
        }
        self.daemon.iter_mut().for_each(|daemon| daemon.is_held = false);
        self.drive(|driver, world| driver.hold(false, world))?;
        self.turn(Vec::new())
    }

    fn replace(&mut self) -> Result<(), Broken> {
        trace!(self, "other settings hold");
        self.trials.on_replaced();
        self.flush();
        let in_another_way = self.luck("way", 2) == 0;
        let server = if in_another_way { Server::SameInAnotherWay } else { Server::Same };
        let Some(driver) = self.driver.take() else { return Ok(()) };
        self.obey();
        self.driver = Some(driver.replaced(self.setup.policy.clone(), self.saved_state(), DEBOUNCE, server));
        let rollbacks = self.state.rollbacks.clone();
        if let Some(daemon) = &mut self.daemon {
            (daemon.is_replaced, daemon.is_scanning, daemon.rollbacks_unseen) = (false, false, false);
            daemon.is_held = false;
        }
        // What the one before was still reading or asking is nobody's.
        self.generation += 1;
        self.promises.on_replaced(rollbacks, in_another_way);
        self.turn(vec![Event::Rescan])
    }

    fn end(&mut self, code: Code) -> Result<(), Broken> {
        trace!(self, "the daemon ends: {code:?}");
        self.trials.on_end();
        self.flush();
        self.forget(!self.state.full);
        (self.daemon, self.driver) = (None, None);
        self.exited = Some(code);
        self.promises.on_end();
        self.generation += 1;
        promises::on_exit(self, code)
    }

    /// All that is to be written is written, as far as that can be.
    fn flush(&mut self) {
        let Some(mut driver) = self.driver.take() else { return };
        driver.save_what_failed();
        loop {
            driver.save(self);
            if self.daemon.as_ref().is_none_or(|daemon| daemon.writes.is_empty()) {
                break;
            }
            while let Some((written, _)) = self.write_next() {
                if let Some(written) = written {
                    driver.on_ledger_written(written);
                }
            }
        }
        self.driver = Some(driver);
    }

    /// Walks the root. What has not changed since the last scan comes without its text, and so does what is deployed.
    fn find(&mut self) -> Scan {
        let missing = if self.mounted { Vec::new() } else { vec![PathBuf::from("plugins")] };
        let held = self.daemon.as_ref().map(|daemon| &daemon.held);
        let is_held = |key: &Key, digest: Digest| held.is_some_and(|held| held.get(key) == Some(&digest));
        let (mut files, mut seen) = (Vec::new(), BTreeMap::new());
        for (file, stored) in self.disk.iter().filter(|_| self.mounted) {
            let mut loaded = self.load(*file, true);
            let is_cached = self.state.seen.get(file) == Some(&stored.written);
            if is_cached {
                trace!(self, "      {file} is in the cache");
            }
            if let Loaded::Parsed(Parsed::Plugin(plugin)) = &mut loaded
                && (is_cached || is_held(&plugin.key, plugin.digest))
            {
                Arc::make_mut(plugin).drop_text();
            }
            let is_fit = match &loaded {
                Loaded::Parsed(Parsed::Plugin(plugin)) => plugin.warnings.is_empty(),
                Loaded::Parsed(Parsed::NotAPlugin) => true,
                _ => false,
            };
            // It may change again within the same tick.
            if is_fit && (stored.written + TICK).as_secs() < self.now.as_secs() {
                seen.insert(*file, stored.written);
            }
            files.push((path_of(*file), loaded));
        }
        if self.is_writable().is_ok() {
            self.state.seen = seen;
        }
        if let Some(daemon) = &mut self.daemon {
            daemon.knows_root_missing = !self.mounted;
        }
        Scan { files, missing }
    }

    /// The scan is over.
    pub(super) fn on_scanned(&mut self, found: Option<Scan>) -> Result<(), Broken> {
        let scan = found.unwrap_or_else(|| self.find());
        if let Some(daemon) = &mut self.daemon {
            daemon.is_scanning = false;
        }
        self.drive(|driver, world| driver.on_scanned(scan, world))?;
        self.turn(Vec::new())
    }

    fn is_writable(&self) -> Result<(), String> {
        let dry_run = self.setup.policy.deploy.dry_run;
        if self.state.full || dry_run { Err("no space left".to_owned()) } else { Ok(()) }
    }

    /// What is being written is on disk, or cannot be.
    pub(super) fn on_written(&mut self) -> Result<(), Broken> {
        let Some((written, event)) = self.write_next() else { return Ok(()) };
        if self.daemon.as_ref().is_some_and(|daemon| !daemon.writes.is_empty()) {
            self.schedule_write();
        }
        if let (Some(written), Some(driver)) = (written, &mut self.driver) {
            driver.on_ledger_written(written);
        }
        self.turn(event.into_iter().collect())
    }

    fn schedule_write(&mut self) {
        let pause = ms(1 + self.luck("saving", 30));
        self.after(pause, Happening::Written(self.generation));
    }

    fn write_next(&mut self) -> Option<(Option<LedgerWritten>, Option<Event>)> {
        let write = self.daemon.as_mut()?.writes.pop_front()?;
        let writable = self.is_writable();
        Some(match write {
            Write::Backup(ticket, backup) => {
                self.back_up(backup);
                (None, Some(Event::BackupSaved(ticket, writable.map(|()| PathBuf::from("copy.py")))))
            }
            Write::Archive(backup) | Write::ArchiveFound(backup) => {
                self.back_up(backup);
                (None, None)
            }
            Write::Intent(ticket, key, intent) => {
                if writable.is_ok() {
                    self.superfluous(|keys| keys.remove(&key));
                    self.state.intents.insert(key, intent);
                }
                (None, Some(Event::IntentSaved(ticket, writable)))
            }
            Write::Ledger(text) => (Some(self.write_ledger(&text)), None),
            Write::ClearIntent(key) => {
                if self.state.behind {
                    self.superfluous(|keys| keys.insert(key));
                } else if writable.is_ok() {
                    self.state.intents.remove(&key);
                }
                (None, None)
            }
        })
    }

    fn write_ledger(&mut self, text: &LedgerText) -> LedgerWritten {
        self.state.behind = self.is_writable().is_err();
        match text {
            LedgerText::Whole(_) if self.state.behind => return LedgerWritten::Failed,
            LedgerText::Added(_) if self.state.behind => return LedgerWritten::NotAdded,
            LedgerText::Whole(text) => self.state.ledger = Ledger::from_json(text).unwrap(),
            LedgerText::Added(text) => {
                self.state.ledger = Ledger::from_json(&(self.state.ledger.to_json() + text)).unwrap();
            }
        }
        self.promises.on_ledger(&self.state.ledger);
        if let Some(daemon) = &mut self.daemon {
            for key in std::mem::take(&mut daemon.superfluous) {
                self.state.intents.remove(&key);
            }
        }
        LedgerWritten::Done
    }

    fn superfluous(&mut self, change: impl FnOnce(&mut BTreeSet<Key>) -> bool) {
        if let Some(daemon) = &mut self.daemon {
            change(&mut daemon.superfluous);
        }
    }

    fn back_up(&mut self, Backup { key, digest, text }: Backup) {
        if Digest::of_text(&text) != digest {
            self.fail(Broken::new("a copy is not what it says", format!("{key}")));
        }
        if self.is_writable().is_ok() {
            self.state.backups.insert((key, digest));
        }
    }

    /// The first promise that is broken counts.
    fn fail(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    /// Whether something about a plugin is being put on disk that its conversation waits for.
    pub(super) fn waits_for_disk(&self, key: &Key) -> bool {
        let mut writes = self.daemon.iter().flat_map(|daemon| &daemon.writes);
        writes.any(|write| match write {
            Write::Backup(_, backup) => backup.key == *key,
            Write::Intent(_, other, _) => other == key,
            Write::Ledger(_) | Write::ClearIntent(_) | Write::Archive(_) | Write::ArchiveFound(_) => false,
        })
    }
}

impl driver::World for World {
    fn observe(&mut self, event: &Event) {
        self.promises.on_event(event, self.now);
        if matches!(event, Event::Rescan) && self.setup.policy.once.is_some() {
            self.trials.on_another_pass();
        }
        self.asks_ahead = matches!(event, Event::Saving(_));
    }

    fn is_running(&mut self) -> bool {
        let Some(daemon) = &mut self.daemon else { return false };
        if let Some(fuse) = &mut daemon.fuse {
            *fuse = fuse.saturating_sub(1);
            daemon.has_burnt |= *fuse == 0;
        }
        !daemon.has_burnt && self.broken.is_none()
    }

    fn now(&mut self) -> Now {
        let chance = f64::from(u32::try_from(self.luck("chance", 1000)).unwrap()) / 1000.0;
        Now { at: self.now, wall: jiff::Timestamp::UNIX_EPOCH, chance }
    }

    fn rollbacks(&mut self) -> Option<BTreeMap<Key, Rollback>> {
        let is_unseen = self.daemon.as_mut().is_some_and(|daemon| std::mem::take(&mut daemon.rollbacks_unseen));
        (is_unseen && !self.setup.policy.deploy.dry_run).then(|| self.state.rollbacks.clone())
    }

    fn scan(&mut self, ledger: &Ledger) {
        self.needs_rescan = false;
        if let Some(daemon) = &mut self.daemon {
            daemon.is_scanning = true;
            daemon.held = ledger.all_held().map(|(key, digest)| (key.clone(), digest)).collect();
        }
        // What it finds is from the begin, or from the end.
        let found = (self.luck("found", 2) == 0).then(|| self.find());
        let pause = self.luck("scan", 20) + if self.luck("scan", 10) == 0 { self.luck("scan", 1000) } else { 0 };
        self.after(ms(pause), Happening::Scanned(self.generation, found));
    }

    fn read(&mut self, path: &Arc<Path>, is_complete: bool) -> Loaded {
        let file = file_of(path);
        let half = self.disk.get(&file).is_some_and(|stored| stored.text.sort == Sort::Half);
        let changing = self.daemon.as_ref().and_then(|daemon| daemon.changing.get(&file));
        // Nobody waits for ever for a writer to say that it is done.
        let changing = changing.is_some_and(|told| self.now < *told + 10 * DEBOUNCE);
        if is_complete && half && changing && self.setup.exact {
            self.fail(Broken::new("half a save is taken for a whole one", format!("{file}")));
        }
        self.load(file, !is_complete || !self.setup.exact)
    }

    fn presence(&mut self, path: &Path) -> FilePresence {
        match (self.mounted, self.disk.contains_key(&file_of(path))) {
            (true, true) => FilePresence::File,
            (true, false) => FilePresence::Folder,
            (false, _) => FilePresence::Nothing,
        }
    }

    fn is_git_busy(&mut self) -> bool {
        self.now < self.git_until
    }

    fn admit(&mut self, _: &BTreeMap<Arc<Path>, Duration>) -> bool {
        !self.mounted && self.daemon.as_ref().is_some_and(|daemon| !daemon.knows_root_missing)
    }

    fn call(&mut self, ticket: Ticket, call: Call) {
        if let Err(broken) = self.issue(ticket, call) {
            self.fail(broken);
        }
    }

    fn write(&mut self, write: Write) {
        if let Write::Intent(_, key, intent) = &write {
            if let Err(broken) = self.promises.begin(key) {
                self.fail(broken);
            }
            // What the file held then counts as ours, also where somebody else has put it there.
            self.promises.ours.extend(intent.ours.iter().map(|digest| (key.clone(), *digest)));
        }
        let Some(daemon) = self.daemon.as_mut().filter(|_| !self.setup.policy.deploy.dry_run) else { return };
        daemon.writes.push_back(write);
        if daemon.writes.len() == 1 {
            self.schedule_write();
        }
    }

    fn end_rollback(&mut self, key: &Key) {
        self.promises.on_rollback_ended(key);
        self.state.rollbacks.remove(key);
        // The daemon sees its own change of the folder as well.
        self.daemon.iter_mut().for_each(|daemon| daemon.rollbacks_unseen = true);
    }

    fn try_out(&mut self, ticket: Ticket, about: Subject) {
        if let Err(broken) = self.begin_trial(ticket, &about) {
            self.fail(broken);
        }
    }

    fn end_trial(&mut self, ticket: Ticket) {
        self.trials.end(ticket);
    }

    fn tell(&mut self, notice: Notice) {
        let id = notice.about.key.as_ref().map(|key| format!("{} ", key.id)).unwrap_or_default();
        trace!(self, "      {id}{}: {}", notice.word(), notice.sentence());
        if let Err(broken) = promises::on_notice(self, &notice).and_then(|()| self.on_notice_of_trials(&notice)) {
            self.fail(broken);
        }
    }
}
