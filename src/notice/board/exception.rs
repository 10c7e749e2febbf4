//! The last exception of a plugin. In the sandbox it is a problem until the same method works, the plugin is deployed
//! anew, or a trial works. It also gives a failed trial its place, since the server's answer has only its words.

use super::{Board, Name, State};
use crate::notice::{Notice, NoticeKind, Raised};
use crate::plugin::Span;

/// The notice of an exception.
#[derive(Clone, Debug)]
pub(super) struct Exception(pub(super) Notice);

impl Exception {
    fn raised(&self) -> Option<&Raised> {
        if let NoticeKind::Raised(raised) = &self.0.what { Some(raised) } else { None }
    }

    /// Whether it is a problem. That of a server's log may have happened once in a week.
    pub(super) fn is_followed(&self) -> bool {
        self.raised().is_some_and(|raised| raised.is_followed)
    }

    /// Where it is in the plugin's own file, if the server says so in these words.
    pub(super) fn place_of(&self, words: &str) -> Option<&Span> {
        let words = words.strip_prefix("Error: ").unwrap_or(words);
        let raised = self.raised().filter(|raised| !words.is_empty() && raised.error.contains(words))?;
        let frame = raised.frames.iter().find(|frame| Some(&frame.key) == self.0.about.key.as_ref())?;
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
    /// A plugin raised an exception.
    pub(super) fn raise(&mut self, notice: &Notice) {
        let Some(key) = notice.about.key.clone() else { return };
        let (name, exception) = (Name::Plugin(key), Exception(notice.clone()));
        self.news += 1;
        if let Some(standing) = self.plugins.get_mut(&name) {
            standing.order = self.news;
            standing.locate(&exception);
        }
        self.raised.insert(name, exception);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::plan::Why;
    use crate::notice::samples::{raised, shout};
    use crate::notice::{TrialFailure, TrialResult, Tried, Untried};

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
