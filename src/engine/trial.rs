//! Trials after deploys: which plugins are tried, and when.
//!
//! A trial never delays a deploy: it starts when nothing is in flight or waiting, and no deploy waits for it. It ends
//! when its file has another text. Each text is tried once; a text that failed, or whose trial was cut short, is tried
//! again when it is found unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::files::Owner;
use super::{Code, Effect, Engine, Ticket};
use crate::notice::{Notice, NoticeKind, Subject, Tried, Untried};
use crate::plugin::python::acts_outside;
use crate::plugin::{Digest, Entry, Key, Plugin};

/// How many trials run at once: a plugin that sleeps may hold up the whole server.
const AT_ONCE: usize = 2;

/// Which plugins are tried after a deploy.
#[derive(Clone, Debug, Default)]
pub struct TrialPolicy {
    /// The files with a table, each with its table as text: if the table changes, so does the text.
    pub tables: BTreeMap<PathBuf, String>,
    /// Whether a plugin without a table is tried with a plain message, if it cannot act outside the chat.
    pub plain: bool,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TrialOutcome {
    /// The plugin was called.
    Tried(Box<Tried>),
    /// It was not.
    Not(Untried),
}

/// What is known of the trials of one plugin.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// The deployed text.
    open: Option<Open>,
    /// A lasting obstacle was told.
    is_told: bool,
    /// It failed, or could not be tried as asked for.
    has_failed: bool,
}

/// The trials on one server.
#[derive(Debug, Default)]
pub(super) struct Trials {
    running: BTreeMap<Ticket, Key>,
    /// Files whose tables are not as they were before the settings changed.
    changed: BTreeSet<PathBuf>,
}

/// A deployed text.
#[derive(Debug)]
struct Open {
    about: Subject,
    digest: Digest,
    /// Why a plain message does not do.
    obstacle: Option<Untried>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Due,
    Running,
    /// It failed, was cut short, or could not be tried.
    Ended,
    /// It works.
    Good,
}

impl Trial {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && !self.is_told && !self.has_failed
    }

    /// The state for the next engine, which looks at every text again.
    pub(super) fn hand_over(mut self) -> Self {
        if let Some(open) = self.open.as_mut().filter(|open| open.state != State::Good) {
            open.state = State::Ended;
        }
        self
    }
}

impl Trials {
    /// Takes over from an engine with these tables.
    pub(super) fn take_over(&mut self, earlier: Self, before: &TrialPolicy, policy: &TrialPolicy) {
        self.changed = earlier.changed;
        let is_other = |path: &&PathBuf| before.tables.get(*path) != policy.tables.get(*path);
        self.changed.extend(policy.tables.keys().chain(before.tables.keys()).filter(is_other).cloned());
    }
}

/// Why a plain message does not do for a plugin without a table.
fn obstacle(plugin: &Plugin) -> Option<Untried> {
    match plugin.entry {
        Entry::Pipe | Entry::Filter | Entry::Action => acts_outside(&plugin.text).map(|by| Untried::ActsOutside { by }),
        Entry::Event => Some(Untried::Event),
        Entry::Tools => Some(Untried::NoFunction),
    }
}

impl Engine {
    /// Has a plugin tried that was just deployed. `active`: whether it is on.
    pub(super) fn try_deployed(&mut self, plugin: &Plugin, active: Option<bool>) {
        let Some(policy) = &self.policy.trials else { return };
        let obstacle = if policy.plain { obstacle(plugin) } else { None };
        let open = Open { about: Subject::from(plugin), digest: plugin.digest, obstacle, state: State::Ended };
        self.end_trial(&plugin.key);
        self.site.lanes.of(&plugin.key).trial.open = Some(open);
        self.consider_trial(plugin, active);
    }

    /// Schedules another trial of a plugin that was found unchanged, if its text is not known to work. A single pass
    /// tries every plugin with a table: its exit code tells whether they work.
    pub(super) fn try_unchanged(&mut self, plugin: &Plugin, active: Option<bool>) {
        let Some(policy) = &self.policy.trials else { return };
        let is_once = self.policy.once.is_some() && policy.tables.contains_key(&*plugin.path);
        let is_changed = self.site.trials.changed.remove(&*plugin.path);
        if is_changed && !policy.plain && !policy.tables.contains_key(&*plugin.path) {
            return self.forget_trial(plugin);
        }
        let open = self.open_trial(&plugin.key).filter(|open| open.digest == plugin.digest);
        match open.map(|open| open.state) {
            Some(State::Ended) => self.consider_trial(plugin, active),
            Some(State::Good) if is_changed => self.try_deployed(plugin, active),
            None if is_once || is_changed => self.try_deployed(plugin, active),
            Some(State::Due | State::Running) => {
                if let Some(open) = self.open_trial_mut(&plugin.key) {
                    open.about = Subject::from(plugin);
                }
            }
            Some(State::Good) | None => {}
        }
    }

    /// No longer tries a plugin.
    fn forget_trial(&mut self, plugin: &Plugin) {
        let Some(trial) = self.site.lanes.get_mut(&plugin.key).map(|lane| &mut lane.trial) else { return };
        let has_failed = std::mem::take(&mut trial.has_failed);
        let is_open = trial.open.take().is_some_and(|open| open.state != State::Good);
        if has_failed || is_open {
            let what = NoticeKind::NotTried { why: Untried::NoTable, asked_for: false };
            self.tell(Notice { about: Subject::from(plugin), what });
        }
    }

    /// Makes a trial due, or says why there is none.
    fn consider_trial(&mut self, plugin: &Plugin, active: Option<bool>) {
        let lane = self.site.lanes.get_mut(&plugin.key);
        let (Some(policy), Some(open)) = (&self.policy.trials, lane.and_then(|lane| lane.trial.open.as_mut())) else {
            return;
        };
        open.about = Subject::from(plugin);
        let has_table = policy.tables.contains_key(&*plugin.path);
        if !has_table && !policy.plain {
            return;
        }
        let obstacle =
            if active == Some(false) { Some(Untried::Off) } else { open.obstacle.clone().filter(|_| !has_table) };
        match obstacle {
            Some(why) => self.tell_untried(&plugin.key, why),
            None => open.state = State::Due,
        }
    }

    /// Says why a plugin is not tried; once, if that is the same for each of its texts.
    fn tell_untried(&mut self, key: &Key, why: Untried) {
        let Some(open) = self.open_trial(key) else { return };
        let (about, asked_for) = (open.about.clone(), self.has_table(&open.about));
        let trial = &mut self.site.lanes.of(key).trial;
        trial.has_failed |= asked_for && why.is_failure();
        let is_new = !why.is_lasting() || !std::mem::replace(&mut trial.is_told, true);
        if is_new {
            self.tell(Notice { about, what: NoticeKind::NotTried { why, asked_for } });
        }
    }

    fn has_table(&self, about: &Subject) -> bool {
        let tables = self.policy.trials.as_ref().map(|policy| &policy.tables);
        tables.zip(about.path.as_ref()).is_some_and(|(tables, path)| tables.contains_key(&**path))
    }

    /// Takes the result of a trial. One of a text that the file no longer has is not told.
    pub(super) fn on_tried(&mut self, ticket: Ticket, outcome: TrialOutcome) {
        let Some(key) = self.site.trials.running.remove(&ticket) else { return };
        let Some(open) = self.open_trial_mut(&key) else { return };
        open.state = State::Ended;
        let about = open.about.clone();
        if !self.open_trial(&key).is_some_and(|open| self.is_current(&key, open)) {
            return;
        }
        match outcome {
            TrialOutcome::Tried(tried) => {
                let trial = &mut self.site.lanes.of(&key).trial;
                (trial.is_told, trial.has_failed) = (false, tried.has_failed());
                if let Some(open) = trial.open.as_mut().filter(|_| !tried.has_failed()) {
                    open.state = State::Good;
                }
                self.tell(Notice { about, what: NoticeKind::Tried(tried) });
            }
            TrialOutcome::Not(why) => self.tell_untried(&key, why),
        }
    }

    /// Ends the trials of outdated texts, and starts those whose turn it is.
    pub(super) fn pump_trials(&mut self) {
        if self.policy.trials.is_none() || self.ending.is_some() || !self.is_trying() {
            return;
        }
        let begun = self.trials_that_are(State::Due).chain(self.trials_that_are(State::Running));
        let outdated: Vec<_> =
            begun.filter(|(key, open)| !self.is_current(key, open)).map(|(key, _)| key.clone()).collect();
        for key in outdated {
            self.end_trial(&key);
        }
        let lanes = &self.site.lanes;
        if !self.site.is_open() || self.tree.scanning || lanes.n_in_flight() + lanes.n_waiting() > 0 {
            return;
        }
        while self.site.trials.running.len() < AT_ONCE {
            let due = self.trials_that_are(State::Due).next();
            let Some((key, about)) = due.map(|(key, open)| (key.clone(), open.about.clone())) else { return };
            let ticket = self.ticket();
            if let Some(open) = self.open_trial_mut(&key) {
                open.state = State::Running;
            }
            // One that was found off last time may be off still, and nothing more is told of it then.
            if !self.site.lanes.of(&key).trial.is_told {
                self.tell(Notice { about: about.clone(), what: NoticeKind::Trying });
            }
            self.site.trials.running.insert(ticket, key);
            self.effects.push(Effect::Try(ticket, Box::new(about)));
        }
    }

    /// Whether its file has this text, as far as is known.
    fn is_current(&self, key: &Key, open: &Open) -> bool {
        let is_it = |plugin: &Plugin| plugin.digest == open.digest && open.about.path.as_ref() == Some(&plugin.path);
        matches!(self.tree.present_owner(key), Owner::One(plugin) if is_it(&plugin))
    }

    /// Ends a plugin's trial without a result.
    fn end_trial(&mut self, key: &Key) {
        if let Some(open) = self.open_trial_mut(key) {
            open.state = State::Ended;
        }
        let trials = &mut self.site.trials;
        let ticket = trials.running.iter().find(|(_, running)| *running == key).map(|(ticket, _)| *ticket);
        if let Some(ticket) = ticket {
            trials.running.remove(&ticket);
            self.effects.push(Effect::EndTrial(ticket));
        }
    }

    /// The exit code of a single pass whose deploys ended with this one; `None` while trials are to come.
    pub(super) fn code_after_trials(&self, code: Code) -> Option<Code> {
        // Without the server, what is due stays due.
        let waits = !self.site.trials.running.is_empty() || (self.site.is_open() && self.is_trying());
        let has_failed = self.lacks_trials();
        (!waits).then_some(if code == Code::Fine && has_failed { Code::NotDeployed } else { code })
    }

    /// Whether a single pass that is stopped now leaves trials undone, or some failed.
    pub(super) fn lacks_trials(&self) -> bool {
        self.is_trying() || self.has_failed_trials()
    }

    fn open_trial(&self, key: &Key) -> Option<&Open> {
        self.site.lanes.get(key)?.trial.open.as_ref()
    }

    fn open_trial_mut(&mut self, key: &Key) -> Option<&mut Open> {
        self.site.lanes.get_mut(key)?.trial.open.as_mut()
    }

    /// The plugins whose trials are in this state, by key.
    fn trials_that_are(&self, state: State) -> impl Iterator<Item = (&Key, &Open)> {
        self.site.lanes.with(move |lane| lane.trial.open.as_ref().filter(|open| open.state == state))
    }

    /// Whether any trial runs or is due.
    fn is_trying(&self) -> bool {
        !self.site.trials.running.is_empty() || self.trials_that_are(State::Due).next().is_some()
    }

    fn has_failed_trials(&self) -> bool {
        self.site.lanes.with(|lane| lane.trial.has_failed.then_some(())).next().is_some()
    }
}
