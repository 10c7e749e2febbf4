//! What a plugin raised. A server says little more of a failed trial than the exception's words; its log has the place.

use super::Name;
use crate::notice::{Raised, Subject};
use crate::plugin::Span;

/// The last exception of a plugin, by the server's log.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    error: String,
    pub(super) place: Span,
}

impl Exception {
    /// The exception and its plugin, if the plugin's own file has a part in it.
    pub(super) fn of(about: &Subject, raised: &Raised) -> Option<(Name, Self)> {
        let key = about.key.clone()?;
        let frame = raised.frames.iter().find(|frame| frame.key == key)?;
        Some((Name::Plugin(key), Self { error: raised.error.clone(), place: frame.span.clone() }))
    }

    /// Whether the server says so in these words.
    pub(super) fn fits(&self, words: &str) -> bool {
        let words = words.strip_prefix("Error: ").unwrap_or(words);
        !words.is_empty() && self.error.contains(words)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Board, State};
    use crate::engine::plan::Why;
    use crate::notice::samples::{raised, shout};
    use crate::notice::{Notice, NoticeKind, Raised, TrialFailure, TrialResult, Tried, Untried};

    fn problems(board: &Board) -> usize {
        board.glance().problems.len()
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
    fn the_servers_log_gives_a_failed_trial_its_place() {
        let raised =
            || shout(NoticeKind::Raised(Box::new(Raised { error: "KeyError: 'nope'".to_owned(), ..raised("pipe") })));
        let sending = || shout(NoticeKind::Sending { why: Why::Edited });
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
            (&[raised(), sending(), tried(Some("'nope'"))], false),
        ] {
            assert_eq!(is_placed(notices), expected, "{notices:?}");
        }
    }
}
