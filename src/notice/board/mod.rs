//! How things stand now, for somebody who looks only now: a fold over all notices so far. The status line for systemd
//! is made of it.

mod exception;
mod glance;
mod state;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{count, list};
use super::{Notice, NoticeKind, Report, Untried, may_change_checks, may_change_plugins};
use crate::engine::switch::Switch;
use crate::plugin::{Key, Severity};

use crate::paths::slashed;
use exception::Exception;
pub use glance::{Glance, Problem};
pub use state::State;

/// The state of each plugin, and of the whole.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// Every plugin and broken file that was told of.
    pub plugins: BTreeMap<Name, Standing>,
    /// The last exception of each plugin, once for each plugin that was called; the latest at the end.
    raised: Vec<Exception>,
    /// The first error that `check` found in the text that the server holds, until that is another one.
    errors: BTreeMap<Name, Notice>,
    /// The first mistake in the hooks of that text: it tells why none of them ran.
    hooks: BTreeMap<Name, Notice>,
    /// The functions that are known to be off.
    off: BTreeSet<Name>,
    /// What each file was called last.
    names: BTreeMap<Arc<Path>, Name>,
    /// The server's address.
    server: Option<String>,
    /// Why nothing can be deployed, if so.
    trouble: Option<String>,
    /// What is said of the folders to be watched that do not exist.
    missing: BTreeMap<PathBuf, String>,
    /// What is said of the settings while they are invalid. The earlier ones stay in use.
    settings: Option<String>,
    /// How far a pass has come.
    pass: Option<PassProgress>,
    /// Whether a pass over all plugins was completed: until then, others may exist.
    compared: bool,
    /// What has not been told of again since other files count, and may not be there any more.
    untold: BTreeSet<Name>,
    watching: Option<String>,
    last: Option<Last>,
    /// How many news of plugins there were.
    news: usize,
    /// The problem that the user has chosen, while it is one.
    chosen: Option<Name>,
    /// Set when the program stops: nothing else is shown then.
    end: Option<String>,
}

/// Which problem to choose next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The one below.
    Down,
    /// The one above.
    Up,
}

/// How far a pass has come.
#[derive(Clone, Copy, Debug)]
struct PassProgress {
    done: usize,
    todo: usize,
}

/// What a plugin is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// By its id.
    Plugin(Key),
    /// A file that is no plugin as it stands.
    File(Arc<Path>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Plugin(key) => key.id.fmt(f),
            Name::File(path) => slashed(&path).fmt(f),
        }
    }
}

/// How a plugin stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// In one word.
    pub state: State,
    /// The last news of it, with its place in the file.
    pub news: Notice,
    /// When that was, as people read it.
    pub since: String,
    /// Later news have a higher number.
    order: usize,
    /// The number of the news before its trial began, if that is told.
    began: Option<usize>,
    /// The plugin that raised the exception its trial failed with. None once that exception is over.
    culprit: Option<Name>,
}

/// What happened last.
#[derive(Clone, Debug)]
enum Last {
    /// To one plugin.
    Plugin(Name),
    /// To all of them.
    Program(String),
}

impl Standing {
    /// Whether the text that a notice is about failed when it was tried, or is being tried.
    fn is_on_trial(&self, notice: &Notice) -> bool {
        matches!(self.state, State::Failing | State::Trying) && self.news.about.digest == notice.about.digest
    }

    /// Whether the trial failed because the server found no hook to call. `check` has the place then.
    fn lacks_hook(&self) -> bool {
        let NoticeKind::Tried(tried) = &self.news.what else { return false };
        self.news.span().is_none() && tried.trial_failure().is_some_and(|failure| failure.lacks_hook)
    }
}

impl Board {
    /// Takes in a notice. `clock` is its time, as people read it.
    pub fn tell(&mut self, notice: &Notice, clock: &str) {
        let mut happened = |what: String| self.last = Some(Last::Program(format!("{what} ({clock})")));
        match &notice.what {
            // How many plugins there are would be old news soon.
            NoticeKind::Ready { roots, server, .. } => {
                self.watching = Some(format!("watching {} for {server}", list(roots)));
                self.server = Some(server.clone());
                // What is missing now is told next.
                self.missing.clear();
            }
            NoticeKind::Connected { server, .. } => {
                self.server = Some(server.clone());
                self.trouble = None;
            }
            NoticeKind::Back { .. } | NoticeKind::AccessGranted { .. } => self.trouble = None,
            NoticeKind::Pass { todo } => self.pass = Some(PassProgress { done: 0, todo: *todo }),
            NoticeKind::Summary { tally, .. } => {
                let not_deployed = Some(tally.not_deployed()).filter(|n| *n > 0);
                let unreadable = Some(tally.unreadable_folders).filter(|n| *n > 0);
                let parts = [
                    Some(format!("{} compared", count(tally.total(), "plugin"))),
                    not_deployed.map(|n| format!("{n} not deployed")),
                    unreadable.map(|n| format!("{} cannot be read", count(n, "folder"))),
                ];
                happened(parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
                (self.trouble, self.pass, self.compared) = (None, None, true);
                for name in std::mem::take(&mut self.untold) {
                    self.forget(&name);
                }
            }
            NoticeKind::Unreachable { server, cause, .. } => {
                self.trouble = Some(format!("{server} has been away since {clock}: {cause}"));
                self.pass = None;
            }
            NoticeKind::InLine { .. }
            | NoticeKind::GaveUp { .. }
            | NoticeKind::NotAllowed { .. }
            | NoticeKind::Foreign { .. } => {
                self.trouble = Some(notice.sentence());
                self.pass = None;
            }
            NoticeKind::SettingsKept { why, holds, .. } => {
                happened(notice.sentence());
                self.settings =
                    Some(if *holds { notice.sentence() } else { format!("invalid settings, not used: {why}") });
            }
            NoticeKind::Reloaded { changed, .. } => {
                happened(notice.sentence());
                self.on_reloaded(changed);
            }
            NoticeKind::Stopping { .. } | NoticeKind::Stopped { .. } => self.end = Some(notice.sentence()),
            NoticeKind::NothingFound { .. }
            | NoticeKind::ScanSlow { .. }
            | NoticeKind::SettingsWait { .. }
            | NoticeKind::Trouble(_) => happened(notice.sentence()),
            NoticeKind::RootMissing { root } => {
                happened(notice.sentence());
                self.missing.insert(root.clone(), notice.sentence());
            }
            NoticeKind::RootBack { root } => {
                happened(notice.sentence());
                self.missing.remove(root);
            }
            NoticeKind::Raised(_) => self.raise(notice),
            NoticeKind::Called { again: true, .. } => {
                if let Some(key) = notice.about.key.clone() {
                    let name = Name::Plugin(key);
                    self.end_exceptions(|exception| exception.called == name);
                }
            }
            NoticeKind::Surprising(found) => {
                let errors = Some(&mut self.errors).filter(|_| found.severity() == Severity::Error);
                let hooks = Some(&mut self.hooks).filter(|_| found.rule.is_about_hooks());
                if let Some(key) = notice.about.key.clone() {
                    for first in errors.into_iter().chain(hooks) {
                        first.entry(Name::Plugin(key.clone())).or_insert_with(|| notice.clone());
                    }
                }
            }
            // The new id has its own notices.
            NoticeKind::IdChanged { from } => self.forget(&Name::Plugin(from.clone())),
            NoticeKind::Report(Report::Switched { switch: Switch::Active, is, .. }) => {
                if let Some(key) = notice.about.key.clone() {
                    self.switch(&Name::Plugin(key), *is);
                }
            }
            _ => {
                if let Some(state) = State::after(notice).or_else(|| self.after_trial(notice)) {
                    self.turn(notice, state, clock);
                }
            }
        }
        if self.chosen.as_ref().is_some_and(|name| !self.is_problem(name)) {
            self.chosen = None;
        }
    }

    /// These keys of the settings have other values now.
    fn on_reloaded(&mut self, changed: &[&str]) {
        self.settings = None;
        // Other rules may hold now: the next deploy tells.
        if may_change_checks(changed) {
            self.errors.clear();
            self.hooks.clear();
        }
        if may_change_plugins(changed) {
            self.compared = false;
            // What is still there is told again in the pass that follows.
            self.untold = self.plugins.keys().cloned().collect();
        }
        if changed.contains(&"url") {
            self.trouble = None;
            for name in std::mem::take(&mut self.untold) {
                self.forget(&name);
            }
            self.end_exceptions(|_| true);
        }
    }

    /// The state of a plugin whose trial is over, or is no longer wanted.
    fn after_trial(&self, notice: &Notice) -> Option<State> {
        let NoticeKind::NotTried { why, .. } = &notice.what else { return None };
        let standing = self.plugins.get(&Name::Plugin(notice.about.key.clone()?))?;
        let is_on_trial = matches!(standing.state, State::Failing | State::Trying);
        is_on_trial.then_some(if *why == Untried::Off { State::Off } else { State::Deployed })
    }

    /// A plugin turns into this state.
    fn turn(&mut self, notice: &Notice, state: State, clock: &str) {
        if let Some(pass) = self.pass.as_mut().filter(|_| notice.is_outcome()) {
            pass.done = pass.todo.min(pass.done + 1);
        }
        let key = notice.about.key.clone().map(Name::Plugin);
        let Some(name) = key.or_else(|| notice.about.path.clone().map(Name::File)) else { return };
        self.untold.remove(&name);
        if let Some(path) = &notice.about.path {
            self.rename(path, &name);
        }
        if let NoticeKind::Conflict { paths } = &notice.what {
            // They were broken, perhaps, and are plugins by now.
            for path in paths {
                self.forget(&Name::File(Arc::clone(path)));
            }
        }
        if state == State::Gone {
            self.off.remove(&name);
        }
        self.end_exceptions(|exception| exception.is_of(&name) && exception.ends_by(notice, state));
        if let Some(is_on) = state::switch_after(notice) {
            self.switch(&name, is_on);
        }
        let state = if state == State::Deployed && self.off.contains(&name) { State::Off } else { state };
        // A text that is being sent may not be taken.
        let holds_other = |error: &Notice| error.about.digest != notice.about.digest;
        for found in [&mut self.errors, &mut self.hooks] {
            if state == State::Gone || state.is_deployed() && found.get(&name).is_some_and(holds_other) {
                found.remove(&name);
            }
        }
        let is_news = match &notice.what {
            NoticeKind::Sending { .. } | NoticeKind::SwitchedOn | NoticeKind::Trying => false,
            // In a pass over everything the sum says it.
            NoticeKind::Unchanged { in_pass, good_again, .. } => {
                // A text that fails does so until it is tried again.
                if self.plugins.get(&name).is_some_and(|standing| standing.is_on_trial(notice)) {
                    return;
                }
                !in_pass || *good_again
            }
            // The first error of a text is the one to correct.
            NoticeKind::Flawed { digest, .. } => !self.plugins.get(&name).is_some_and(|standing| {
                matches!(&standing.news.what, NoticeKind::Flawed { digest: before, .. } if digest.is_some() && before == digest)
            }),
            NoticeKind::Blocked(_) => !self.plugins.get(&name).is_some_and(|standing| {
                let is_blocked = matches!(standing.news.what, NoticeKind::Blocked(_));
                is_blocked && standing.news.about.digest == notice.about.digest
            }),
            _ => true,
        };
        let earlier = self.news;
        self.news += 1;
        let mut standing = Standing {
            state,
            news: notice.clone(),
            since: clock.to_owned(),
            order: self.news,
            began: None,
            culprit: None,
        };
        if is_news {
            let began = self.plugins.get(&name).map(|before| before.began.unwrap_or(before.order));
            self.explain(&name, &mut standing, began.unwrap_or_default());
            self.plugins.insert(name.clone(), standing);
            self.last = Some(Last::Plugin(name));
        } else {
            let standing = self.plugins.entry(name).or_insert(standing);
            standing.state = state;
            if state == State::Trying {
                standing.began = Some(earlier);
            }
        }
    }

    /// Chooses the next problem, and answers which one it is; none if there is none.
    pub fn choose(&mut self, step: Step) -> Option<Name> {
        let problems: Vec<_> = self.problems().map(|(name, _)| name.clone()).collect();
        let at = problems.iter().position(|name| Some(name) == self.focused().map(|(name, _)| name))?;
        let next = match step {
            Step::Down => (at + 1).min(problems.len() - 1),
            Step::Up => at.saturating_sub(1),
        };
        self.chosen = problems.into_iter().nth(next);
        self.chosen.clone()
    }

    /// Chooses this problem, as another board of the same notices did.
    pub fn set_chosen(&mut self, name: Name) {
        self.chosen = Some(name).filter(|name| self.is_problem(name));
    }

    /// A function was switched on or off.
    fn switch(&mut self, name: &Name, is_on: bool) {
        if is_on {
            self.off.remove(name);
        } else {
            self.off.insert(name.clone());
            self.end_exceptions(|exception| exception.is_of(name));
        }
        if let Some(standing) = self.plugins.get_mut(name) {
            match standing.state {
                State::Deployed | State::Off => standing.state = if is_on { State::Deployed } else { State::Off },
                _ => {}
            }
        }
    }

    fn forget(&mut self, name: &Name) {
        self.plugins.remove(name);
        self.end_exceptions(|exception| exception.is_of(name));
        self.errors.remove(name);
        self.hooks.remove(name);
        self.off.remove(name);
    }

    /// What the user has to do something about, if there is something.
    fn problem<'b>(&'b self, name: &Name, standing: &'b Standing) -> Option<&'b Notice> {
        if standing.is_problem() {
            return self.hooks.get(name).filter(|_| standing.lacks_hook()).or(Some(&standing.news));
        }
        self.errors.get(name).or_else(|| self.exception(name).map(|exception| &exception.notice))
    }

    /// A file has one name: what was broken has an id by now, or another one than before.
    fn rename(&mut self, path: &Arc<Path>, name: &Name) {
        if self.names.get(path) == Some(name) {
            return;
        }
        let is_of_path = |standing: &Standing| standing.news.about.path.as_ref() == Some(path);
        if let Some(before) = self.names.insert(Arc::clone(path), name.clone())
            && self.plugins.get(&before).is_some_and(is_of_path)
        {
            self.forget(&before);
        }
    }

    /// All problems.
    fn problems(&self) -> impl Iterator<Item = (&Name, &Notice)> {
        let standings = self.plugins.iter().filter(|(_, standing)| standing.state != State::Gone);
        standings.filter_map(|(name, standing)| Some((name, self.problem(name, standing)?)))
    }

    fn is_problem(&self, name: &Name) -> bool {
        self.problems().any(|(problem, _)| problem == name)
    }

    /// The last news of the plugin that the user looks at: the chosen problem, else the latest one, else the latest
    /// deploy.
    #[must_use]
    pub fn focus(&self) -> Option<&Notice> {
        self.focused().map(|(_, news)| news)
    }

    fn focused(&self) -> Option<(&Name, &Notice)> {
        let standings = self.plugins.iter().filter(|(_, standing)| standing.state != State::Gone);
        let news = standings.map(|(name, standing)| (name, self.problem(name, standing), standing));
        let rank = |name: &Name, is_problem, order| (is_problem, self.chosen.as_ref() == Some(name), order);
        let (name, problem, standing) =
            news.max_by_key(|(name, problem, standing)| rank(name, problem.is_some(), standing.order))?;
        Some((name, problem.unwrap_or(&standing.news)))
    }

    /// How many plugins the current pass compares, if there is one.
    #[must_use]
    pub fn pass_todo(&self) -> Option<usize> {
        self.pass.map(|pass| pass.todo)
    }

    /// The status line; empty before the first notice.
    #[must_use]
    pub fn line(&self) -> String {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let last = self.last.as_ref().and_then(|last| match last {
            Last::Program(what) => Some(what.clone()),
            Last::Plugin(name) => {
                let Standing { news, since, .. } = self.plugins.get(name)?;
                let what = news.headline().map_or_else(|| news.sentence(), Cow::into_owned);
                Some(format!("{name} {what} ({since})"))
            }
        });
        let last = last.map(|last| format!("last: {last}"));
        [self.trouble.clone(), self.watching.clone(), last].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}
