//! How things stand now, at a glance: what the live view shows.

use super::super::format::count;
use super::super::{Level, Notice, NoticeKind, format_place};
use super::{Board, Name, Standing, State};
use crate::paths::slashed;

/// How things stand now. A plugin that is not fine is either a problem, or waits, or is on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// What is broken or refused, until it is good again.
    pub problems: Vec<Problem>,
    /// Which of them keys act on.
    pub focus: Option<usize>,
    /// Why nothing can be deployed, if so.
    pub trouble: Option<String>,
    /// What is said of the folders that do not exist.
    pub missing: Vec<String>,
    /// What is wrong with the settings, if they are invalid.
    pub settings: Option<String>,
    /// The plugins that wait for the server.
    pub waiting: Vec<String>,
    /// The plugins that are being compared or sent.
    pub in_flight: Vec<String>,
    /// The plugins that are being tried.
    pub trying: Vec<String>,
    /// How many plugins stand how; empty until that is known.
    pub totals: Vec<String>,
    /// The server's address.
    pub server: Option<String>,
}

/// One plugin or file that is not deployed as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place to look at, as `file:line:column` where that is known; else the plugin.
    pub place: String,
    /// What is wrong with it.
    pub words: String,
}

impl Board {
    /// How things stand now.
    #[must_use]
    pub fn glance(&self) -> Glance {
        let named = |states: &[State]| {
            let those = self.plugins.iter().filter(|(_, standing)| states.contains(&standing.state));
            those.map(|(name, _)| name.to_string()).collect::<Vec<_>>()
        };
        let focused = self.focused().map(|(name, _)| name);
        Glance {
            problems: self.problems().map(|(name, news)| problem(name, news)).collect(),
            focus: self.problems().position(|(name, _)| Some(name) == focused),
            trouble: self.trouble.clone(),
            missing: self.missing.values().cloned().collect(),
            // The lines after the first show the place in the file.
            settings: self.settings.as_deref().and_then(|said| said.lines().next()).map(str::to_owned),
            waiting: named(&[State::Waiting, State::Retrying]),
            in_flight: named(&[State::Sending]),
            trying: named(&[State::Trying]),
            totals: self.totals(),
            server: self.server.clone(),
        }
    }

    fn totals(&self) -> Vec<String> {
        if let Some(end) = &self.end {
            return vec![end.clone()];
        }
        if let Some(pass) = &self.pass {
            return vec![format!("{} of {} compared", pass.done, count(pass.todo, "plugin"))];
        }
        if !self.compared {
            return Vec::new();
        }
        let is_plugin = |standing: &&Standing| standing.state != State::Gone && !standing.is_of_folder();
        let total = self.plugins.values().filter(is_plugin).count();
        let n = |states: &[State]| {
            self.plugins.values().filter(is_plugin).filter(|standing| states.contains(&standing.state)).count()
        };
        let deployed = self.plugins.values().filter(is_plugin).filter(|standing| standing.state.is_deployed()).count();
        let (own, fine): (Vec<_>, Vec<_>) = self.plugins.iter().partition(|(_, standing)| standing.is_problem());
        let failing = own.iter().filter(|(_, standing)| standing.state == State::Failing).count();
        let deployed_names = || fine.iter().filter(|(_, standing)| standing.state.is_deployed()).map(|(name, _)| *name);
        let mistaken = deployed_names().filter(|name| self.errors.contains_key(name)).count();
        let raised = |name: &&Name| self.exception(name).is_some() && !self.errors.contains_key(*name);
        let failing = failing + deployed_names().filter(raised).count();
        let share = match total {
            0 => return vec!["no plugins".to_owned()],
            _ if deployed == total => count(total, "plugin"),
            _ => format!("{deployed} of {}", count(total, "plugin")),
        };
        let parts = [
            (n(&[State::Off]), "off"),
            (failing, "failing"),
            (mistaken, "with errors"),
            (n(&[State::Broken]), "broken"),
            (n(&[State::Refused]), "refused"),
            (n(&[State::Failed]), "failed"),
            (n(&[State::Held]), "held back"),
            (n(&[State::Waiting, State::Retrying]), "waiting"),
            (n(&[State::Sending]), "on the way"),
        ];
        let parts = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        [format!("{share} deployed")].into_iter().chain(parts).collect()
    }
}

impl Standing {
    /// Whether the user has to do something about it. What is on its way again stays a problem until it is known to be
    /// good. A trial that another plugin broke is that one's problem.
    pub(super) fn is_problem(&self) -> bool {
        match self.state {
            _ if self.culprit.is_some() => false,
            State::Broken | State::Refused | State::Failed | State::Failing => true,
            State::Held | State::Off | State::Sending | State::Trying => {
                let is_failed_trial = matches!(&self.news.what, NoticeKind::Tried(tried) if tried.has_failed());
                is_failed_trial || self.news.level() == Level::Error
            }
            State::Deployed | State::Retrying | State::Waiting | State::Gone => false,
        }
    }

    fn is_of_folder(&self) -> bool {
        matches!(&self.news.what, NoticeKind::Flawed { diagnostic, .. } if diagnostic.rule.is_of_folder())
    }
}

fn problem(name: &Name, news: &Notice) -> Problem {
    let place = match (news.file(), news.span()) {
        (Some(path), Some(span)) => format_place(path, span),
        (Some(path), None) => slashed(&path),
        (None, _) => name.to_string(),
    };
    let words = match (&news.what, news.headline(), news.detail()) {
        (NoticeKind::Flawed { .. } | NoticeKind::Blocked(_) | NoticeKind::Surprising(_), Some(_), Some(detail)) => {
            detail
        }
        (NoticeKind::Raised(raised), ..) => format!("{} raised {}", raised.hook_in_words(), raised.error),
        (NoticeKind::Refused { .. } | NoticeKind::RefusedBefore { .. }, _, Some(detail)) => {
            format!("refused: {}", detail.trim_start())
        }
        (NoticeKind::Tried(tried), ..) => {
            let why = tried.failure().map_or_else(String::new, |why| format!(": {why}"));
            tried.headline() + &why
        }
        (_, Some(headline), Some(detail)) => format!("{headline}: {}", detail.trim_start()),
        _ => news.sentence(),
    };
    Problem { place, words: words.lines().next().unwrap_or_default().to_owned() }
}
