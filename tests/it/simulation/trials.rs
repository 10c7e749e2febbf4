//! Trials in the simulated world: how they end, and what is promised of them. A deployed text is tried, and one that works
//! only once. None begins while something is sent, and the result of an outdated text is not told.

use std::collections::{BTreeMap, BTreeSet};

use owui_watch::engine::deploy::Call;
use owui_watch::engine::{Event, Ticket, TrialPolicy};
use owui_watch::notice::{Notice, NoticeKind, Subject};
use owui_watch::plugin::{Digest, Key, Kind, Parsed};

use super::promises::{Broken, selected};
use super::text::{file_of, path_of};
use super::wire::Flight;
use super::world::{Happening, World, ms};
use crate::engine::trials::outcome;

/// How many run at once.
const AT_ONCE: usize = 2;

/// Each file has a table.
pub(super) fn policy() -> TrialPolicy {
    let tables = ['a', 'b', 'c', 't'].map(|file| (path_of(file).to_path_buf(), String::new()));
    TrialPolicy { tables: tables.into(), plain: false }
}

/// The trials of the daemon that runs.
#[derive(Debug, Default)]
pub(super) struct Trials {
    begun: u64,
    running: BTreeMap<u64, (Ticket, Key, Digest)>,
    /// The texts that were deployed and not tried since.
    due: BTreeMap<Key, Digest>,
    /// The texts that are known to work.
    works: BTreeMap<Key, Digest>,
    /// The texts that were tried, or found off; and the plugins that failed, or could not be tried.
    tried: BTreeMap<Key, Digest>,
    failed: BTreeSet<Key>,
    /// The same of the pass that is over.
    last: Option<Box<Trials>>,
}

impl Trials {
    /// The daemon has ended.
    pub(super) fn on_end(&mut self) {
        let last = std::mem::take(self);
        self.begun = last.begun;
        self.last = Some(Box::new(Self { last: None, ..last }));
    }

    /// A single pass begins once more: its exit code tells whether everything works, so everything is tried again.
    pub(super) fn on_another_pass(&mut self) {
        self.works.clear();
    }

    /// Another engine goes on: what ran is tried again.
    pub(super) fn on_replaced(&mut self) {
        for (_, key, digest) in std::mem::take(&mut self.running).into_values() {
            self.due.entry(key).or_insert(digest);
        }
    }

    pub(super) fn end(&mut self, ticket: Ticket) {
        let ended: Vec<_> = self.running.extract_if(.., |_, (running, ..)| *running == ticket).collect();
        for (_, (_, key, digest)) in ended {
            self.due.entry(key).or_insert(digest);
        }
    }

    /// What the user is told of a plugin.
    fn on_notice(&mut self, key: &Key, digest: Option<Digest>, what: &NoticeKind) {
        match what {
            NoticeKind::Created { active, .. } | NoticeKind::Updated { active, .. } => {
                // It is over, and its own trial counts.
                self.running.retain(|_, (_, running, _)| running != key);
                self.works.remove(key);
                self.due.remove(key);
                if *active != Some(false) {
                    self.due.extend(digest.map(|digest| (key.clone(), digest)));
                }
            }
            // Somebody else has put the file's text in the place of the one that was deployed.
            NoticeKind::Unchanged { .. } => self.due.retain(|due, text| due != key || Some(*text) == digest),
            NoticeKind::Tried(tried) if !tried.has_failed() => {
                self.works.extend(digest.map(|digest| (key.clone(), digest)));
            }
            _ => {}
        }
        let has_failed = match what {
            NoticeKind::Tried(tried) => tried.has_failed(),
            NoticeKind::NotTried { why, .. } => why.is_failure(),
            _ => return,
        };
        self.tried.extend(digest.map(|digest| (key.clone(), digest)));
        if has_failed {
            self.failed.insert(key.clone());
        } else if matches!(what, NoticeKind::Tried(_)) {
            self.failed.remove(key);
        }
    }
}

impl World {
    pub(super) fn begin_trial(&mut self, ticket: Ticket, about: &Subject) -> Result<(), Broken> {
        let (Some(key), Some(digest)) = (about.key.clone(), about.digest) else {
            return Err(Broken::new("trials: what is tried is known", format!("{about:?}")));
        };
        let broken = |promise| Err(Broken::new(promise, format!("{key}")));
        let is_sent = |flight: &Flight| {
            let changes =
                matches!(flight.call, Call::Create(..) | Call::Update(..) | Call::Toggle(_) | Call::Delete(_));
            flight.generation == self.generation && changes
        };
        if self.flights.values().any(is_sent) {
            return broken("trials: none begins while something is sent");
        }
        if self.trials.works.get(&key) == Some(&digest) {
            return broken("trials: a text that works is tried once");
        }
        if self.trials.due.get(&key).is_some_and(|due| *due != digest) {
            return broken("trials: the text that was deployed last is tried");
        }
        let running = &self.trials.running;
        if running.len() >= AT_ONCE || running.values().any(|(_, other, _)| *other == key) {
            return broken("trials: few run at once, and one of each plugin");
        }
        self.trials.due.remove(&key);
        self.trials.begun += 1;
        self.trials.running.insert(self.trials.begun, (ticket, key, digest));
        let pause = if self.luck("long trial", 10) == 0 { 60_000 } else { 300 };
        let pause = ms(self.luck("trial", pause));
        self.after(pause, Happening::Tried(self.trials.begun));
        Ok(())
    }

    /// A trial comes to its end, if it was not ended before.
    pub(super) fn on_tried(&mut self, trial: u64) -> Result<(), Broken> {
        let Some((ticket, ..)) = self.trials.running.remove(&trial) else { return Ok(()) };
        let ends = ["works", "works", "works", "fails", "off", "unable", "away"];
        let end = ends[usize::try_from(self.luck("end of a trial", ends.len() as u64)).unwrap()];
        self.turn(vec![Event::Tried(ticket, outcome(&[end]))])
    }

    pub(super) fn on_notice_of_trials(&mut self, notice: &Notice) -> Result<(), Broken> {
        let Some(key) = notice.about.key.as_ref().filter(|_| self.setup.policy.trials.is_some()) else { return Ok(()) };
        if let (NoticeKind::Tried(_), Some(path)) = (&notice.what, &notice.about.path) {
            let read = self.promises.loaded.get(&file_of(path)).copied().flatten();
            if read != notice.about.digest {
                return Err(Broken::new("trials: the result of an outdated text is not told", format!("{key}")));
            }
        }
        self.trials.on_notice(key, notice.about.digest, &notice.what);
        Ok(())
    }

    /// Whether the trials of the pass that is over all went well, as far as there were any.
    pub(super) fn trials_went_well(&self) -> bool {
        self.trials.last.as_ref().is_none_or(|last| last.failed.is_empty())
    }

    /// The pass is over: each text that is as it is to be was tried, whoever deployed it, unless it was found off.
    pub(super) fn all_were_tried(&self) -> Result<(), Broken> {
        let Some(last) = self.trials.last.as_ref().filter(|_| self.setup.policy.trials.is_some()) else {
            return Ok(());
        };
        for (key, row) in &self.server.rows {
            let [file] = self.claimants(key)[..] else { continue };
            let is_due = selected(self, key) && row.text == self.disk[&file].text;
            if is_due && last.tried.get(key) != Some(&row.text.digest()) {
                return Err(Broken::new("trials: a single pass tries everything", format!("{key}")));
            }
        }
        Ok(())
    }

    /// Everything is at rest: each text that was deployed, that the file and the server have, and that is on, was tried.
    pub(super) fn all_are_tried(&self) -> Result<(), Broken> {
        let digest_of = |key: &Key| {
            let [file] = self.claimants(key)[..] else { return None };
            self.server
                .rows
                .get(key)
                .filter(|row| (row.active || key.kind == Kind::Tool) && row.text == self.disk[&file].text)?;
            match &*self.disk[&file].text.parsed(file) {
                Parsed::Plugin(plugin) => Some(plugin.digest),
                _ => None,
            }
        };
        match self.trials.due.iter().find(|(key, digest)| digest_of(key) == Some(**digest)) {
            Some((key, _)) => Err(Broken::new("trials: a deployed text is tried", format!("{key}"))),
            None => Ok(()),
        }
    }
}
