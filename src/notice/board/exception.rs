//! The last exception of a plugin. In the sandbox it is a problem until the same method works, the plugin is deployed
//! anew, or a trial works. It also gives a failed trial its place, since the server's answer has only its words; and it takes
//! the blame for a trial of another plugin that it broke.

use super::{Board, Name, State};
use crate::notice::{Notice, NoticeKind, Raised, Subject, Untried};
use crate::plugin::{Key, Span};

/// The notice of an exception.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    pub(super) notice: Notice,
    /// Whether the trial of another plugin failed by it.
    broke_trial: bool,
}

impl Exception {
    fn raised(&self) -> Option<&Raised> {
        if let NoticeKind::Raised(raised) = &self.notice.what { Some(raised) } else { None }
    }

    /// Whether it is a problem. That of a server's log may have happened once in a week.
    pub(super) fn is_problem(&self) -> bool {
        self.broke_trial || self.raised().is_some_and(|raised| raised.is_followed)
    }

    /// Whether the trial of another plugin failed by it.
    fn explains(&self, trial: &Notice) -> bool {
        let Some((raised, key)) = self.raised().zip(self.notice.about.key.as_ref()) else { return false };
        match &trial.what {
            _ if trial.about.key.as_ref() == Some(key) => false,
            NoticeKind::Tried(tried) => tried.trial_failure().is_some_and(|failure| {
                let is_suspect = failure.others.iter().any(|other| other.contains(&format!("`{}`", key.id)));
                is_suspect && !failure.words.is_empty() && raised.error.contains(&failure.words)
            }),
            NoticeKind::NotTried { why: Untried::Disturbed { by }, .. } => by.contains(&raised.error),
            _ => false,
        }
    }

    /// Where it is in the plugin's own file, if the server says so in these words.
    pub(super) fn place_of(&self, words: &str) -> Option<&Span> {
        let words = words.strip_prefix("Error: ").unwrap_or(words);
        let raised = self.raised().filter(|raised| !words.is_empty() && raised.error.contains(words))?;
        let frame = raised.frames.iter().find(|frame| Some(&frame.key) == self.notice.about.key.as_ref())?;
        Some(&frame.span)
    }
}

/// Whether this notice ends an earlier exception.
pub(super) fn is_past(notice: &Notice, state: State) -> bool {
    let runs_other_text = matches!(
        notice.what,
        NoticeKind::Created { .. }
            | NoticeKind::Updated { .. }
            | NoticeKind::RolledBack
            | NoticeKind::RollbackUndone { .. }
    );
    let works = matches!(&notice.what, NoticeKind::Tried(tried) if !tried.has_failed());
    runs_other_text || works || state == State::Gone
}

impl Board {
    /// A plugin raised an exception. The plugin is that of the innermost frame: another one may have called it.
    pub(super) fn raise(&mut self, notice: &Notice) {
        let NoticeKind::Raised(raised) = &notice.what else { return };
        let Some(called) = notice.about.key.clone() else { return };
        let mut notice = notice.clone();
        if let Some(frame) = raised.frames.first().filter(|frame| frame.key != called && frame.path.is_some()) {
            let hook = frame.function.clone();
            notice.about = Subject { path: frame.path.clone(), ..Subject::from(&frame.key) };
            notice.what = NoticeKind::Raised(Box::new(Raised { hook, ..(**raised).clone() }));
        }
        let key: Key = notice.about.key.clone().unwrap_or(called);
        let (name, mut exception) = (Name::Plugin(key), Exception { notice, broke_trial: false });
        self.news += 1;
        if let Some(standing) = self.plugins.get_mut(&name) {
            standing.order = self.news;
            standing.locate(&exception);
        }
        let is_here = self.is_here(&name);
        let disturbed = self.plugins.values_mut().filter(|standing| is_here && standing.state == State::Failing);
        let mut broke_trial = false;
        for standing in disturbed.filter(|standing| exception.explains(&standing.news)) {
            standing.state = State::Deployed;
            broke_trial = true;
        }
        exception.broke_trial = broke_trial;
        self.raised.insert(name, exception);
    }

    /// Whether another plugin's exception is why this trial failed. It is that plugin's problem then.
    pub(super) fn blames_another(&mut self, trial: &Notice) -> bool {
        let culprit = self.raised.iter().find(|(name, exception)| self.is_here(name) && exception.explains(trial));
        let culprit = culprit.map(|(name, _)| name.clone());
        let culprit = culprit.and_then(|name| self.raised.get_mut(&name));
        culprit.map(|exception| exception.broke_trial = true).is_some()
    }

    fn is_here(&self, name: &Name) -> bool {
        self.plugins.get(name).is_some_and(|standing| standing.state != State::Gone)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::engine::plan::Why;
    use crate::notice::samples::{raised, shout};
    use crate::notice::{Frame, TrialFailure, TrialResult, Tried};

    fn problems(board: &Board) -> usize {
        board.glance().problems.len()
    }

    fn updated() -> Notice {
        shout(NoticeKind::Updated { from: None, kept: None, active: None, took: Duration::ZERO })
    }

    fn tried(failure: Option<&str>) -> Notice {
        let result = match failure {
            Some(words) => TrialResult::Fails(TrialFailure::new(words)),
            None => TrialResult::Works { answer: Some("HELLO".to_owned()), diff: None },
        };
        let (asked, model, took) = ("hello".to_owned(), "m".to_owned(), Duration::ZERO);
        let tried = Tried { asked, model, models: 1, took, result, is_shown: true };
        shout(NoticeKind::Tried(Box::new(tried)))
    }

    #[test]
    fn a_failed_trial_ends_with_one_that_works_or_is_not_wanted() {
        let untried = |why| shout(NoticeKind::NotTried { why, asked_for: false });
        for (end, state) in [
            (tried(None), State::Deployed),
            (untried(Untried::NoTable), State::Deployed),
            (untried(Untried::Off), State::Off),
        ] {
            let mut board = Board::default();
            board.tell(&tried(Some("'nope'")), "1:00");
            assert_eq!(board.glance().problems[0].words, "fails on \"hello\": 'nope'");
            board.tell(&shout(NoticeKind::Unchanged { in_pass: true, active: None, good_again: false }), "2:00");
            assert_eq!(problems(&board), 1, "it fails until it is tried again");
            board.tell(&shout(NoticeKind::Trying), "3:00");
            assert_eq!((problems(&board), board.glance().trying), (1, vec!["shout".to_owned()]));
            board.tell(&end, "4:00");
            let states: Vec<_> = board.plugins.values().map(|standing| standing.state).collect();
            assert_eq!((problems(&board), board.glance().trying.len(), states), (0, 0, vec![state]));
        }
    }

    #[test]
    fn a_trial_that_another_plugin_broke_is_that_plugins_problem() {
        let key = |id| Key { kind: crate::plugin::Kind::Function, id: crate::plugin::id::PluginId::new(id).unwrap() };
        let about = |id| Subject { path: Some(Arc::from(Path::new(id))), ..Subject::from(&key(id)) };
        let frame = |id| Frame { key: key(id), path: about(id).path, ..raised("inlet").frames[0].clone() };
        let exception = |id, is_followed| {
            let raised =
                Raised { error: "KeyError: 'x'".to_owned(), frames: vec![frame(id)], is_followed, ..raised("inlet") };
            Notice { about: about(id), what: NoticeKind::Raised(Box::new(raised)) }
        };
        let doubtful = || {
            let mut notice = tried(Some("'x'"));
            let NoticeKind::Tried(tried) = &mut notice.what else { panic!() };
            let TrialResult::Fails(failure) = &mut tried.result else { panic!() };
            failure.others = vec!["filter `guard`".to_owned()];
            notice
        };
        let disturbed = || {
            let by = "function guard raised KeyError: 'x' in line 3".to_owned();
            shout(NoticeKind::NotTried { why: Untried::Disturbed { by }, asked_for: true })
        };
        for (trial, other, rows) in [
            (doubtful(), exception("guard", false), &["guard"][..]),
            (disturbed(), exception("guard", true), &["guard"]),
            (tried(Some("'x'")), exception("guard", false), &["shout"]),
            (doubtful(), exception("another", false), &["shout"]),
        ] {
            for notices in [[trial.clone(), other.clone()], [other, trial]] {
                let mut board = Board::default();
                board.tell(&Notice { about: about("guard"), what: updated().what }, "1:00");
                board.tell(&Notice { about: about("another"), what: updated().what }, "1:00");
                for notice in &notices {
                    board.tell(notice, "2:00");
                }
                let names: Vec<_> = board.problems().map(|(name, _)| name.to_string()).collect();
                assert_eq!(names, rows, "{notices:?}");
                let failing = board.glance().totals.iter().filter(|part| part.contains("failing")).count();
                assert!(failing <= 1, "{:?}", board.glance().totals);
            }
        }
        // A pipe that calls a tool, which raises.
        let mut board = Board::default();
        board.tell(&updated(), "1:00");
        board.tell(&Notice { about: about("guard"), what: updated().what }, "1:00");
        let called = Raised { frames: vec![frame("guard"), raised("pipe").frames[0].clone()], ..raised("pipe") };
        board.tell(&shout(NoticeKind::Raised(Box::new(Raised { is_followed: true, ..called }))), "2:00");
        let names: Vec<_> = board.problems().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["guard"]);
    }

    #[test]
    fn an_exception_is_a_problem_until_the_method_works() {
        let called = |again| {
            shout(NoticeKind::Called {
                hook: "pipe".to_owned(),
                server_event: None,
                result: String::new(),
                again,
                times: 1,
                total: None,
                took: Duration::ZERO,
            })
        };
        let unchanged = || shout(NoticeKind::Unchanged { in_pass: true, active: None, good_again: false });
        for (end, left) in [
            (called(true), 0),
            (called(false), 1),
            (unchanged(), 1),
            (shout(NoticeKind::Sending { why: Why::Edited }), 1),
            (updated(), 0),
            (tried(None), 0),
            (shout(NoticeKind::RolledBack), 0),
            (shout(NoticeKind::Disabled), 0),
            (shout(NoticeKind::LeftOff), 0),
        ] {
            let mut board = Board::default();
            board.tell(&unchanged(), "1:00");
            board.tell(&shout(NoticeKind::Raised(Box::new(raised("pipe")))), "2:00");
            assert_eq!(board.glance().problems[0].words, "pipe raised KeyError: 'nope'");
            board.tell(&end, "3:00");
            assert_eq!(problems(&board), left, "{end:?}");
        }
    }

    #[test]
    fn the_servers_log_gives_a_failed_trial_its_place() {
        let raised =
            || shout(NoticeKind::Raised(Box::new(Raised { error: "KeyError: 'nope'".to_owned(), ..raised("pipe") })));
        let is_placed = |notices: &[Notice]| {
            let mut board = Board::default();
            for notice in notices {
                board.tell(notice, "1:00");
            }
            board.focus().and_then(Notice::span).is_some()
        };
        for (notices, expected) in [
            (&[tried(Some("'nope'")), raised()][..], true),
            (&[raised(), tried(Some("Error: 'nope'"))], true),
            (&[raised(), tried(Some("'other'"))], false),
            (&[raised(), tried(Some("Error: "))], false),
            (&[raised(), updated(), tried(Some("'nope'"))], false),
        ] {
            assert_eq!(is_placed(notices), expected, "{notices:?}");
        }
    }
}
