//! The last exceptions of plugins. In the sandbox, an exception is a problem until the same method works, or the plugin
//! is deployed anew; elsewhere, a trial that works ends it. An exception also gives a failed trial its place, since the
//! server's answer has only the words. If it made the trial of another plugin fail, the row is its own.

use super::{Board, Name, Standing, State};
use crate::engine::refusal;
use crate::notice::{Notice, NoticeKind, Raised, Subject, TrialResult, Untried};
use crate::plugin::Span;

/// The notice of an exception.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    /// About the plugin that raised it.
    pub(super) notice: Notice,
    /// That plugin.
    raised_by: Name,
    /// The plugin that was called: the same, or one that called it.
    pub(super) called: Name,
    /// Later news have a higher number.
    order: usize,
}

impl Exception {
    fn raised(&self) -> Option<&Raised> {
        if let NoticeKind::Raised(raised) = &self.notice.what { Some(raised) } else { None }
    }

    /// Whether the trial of another plugin failed by it.
    fn broke(&self, name: &Name, standing: &Standing) -> bool {
        if standing.state != State::Failing || self.raised_by == *name {
            return false;
        }
        let plugins = [&self.raised_by, &self.called];
        match &standing.news.what {
            NoticeKind::Tried(tried) => tried.trial_failure().is_some_and(|failure| {
                let is_named = |plugin: &&Name| {
                    matches!(plugin, Name::Plugin(key) if failure.others.iter().any(|other| other.is(key)))
                };
                // Its place is in the file of the tried plugin.
                failure.place.is_none() && plugins.iter().any(is_named) && self.says(&failure.words)
            }),
            NoticeKind::NotTried { why: Untried::Disturbed { culprit: Some(culprit), .. }, .. } => {
                plugins.contains(&&Name::Plugin(culprit.clone()))
            }
            _ => false,
        }
    }

    /// Whether a plugin raised it, or was ended by it.
    pub(super) fn is_of(&self, name: &Name) -> bool {
        self.raised_by == *name || self.called == *name
    }

    /// Whether this notice about its plugin ends it.
    pub(super) fn ends_by(&self, notice: &Notice, state: State) -> bool {
        let runs_other_text = matches!(
            notice.what,
            NoticeKind::Created { .. }
                | NoticeKind::Updated { .. }
                | NoticeKind::RolledBack
                | NoticeKind::RollbackUndone { .. }
        );
        // The sandbox tells itself when the method that failed works again; a trial may run another one.
        let is_followed = self.raised().is_some_and(|raised| raised.is_followed);
        let works = matches!(&notice.what, NoticeKind::Tried(tried) if !is_followed && !tried.has_failed());
        runs_other_text || works || state == State::Gone
    }

    /// Whether these are the server's words for it.
    fn says(&self, words: &str) -> bool {
        self.raised().is_some_and(|raised| refusal::tells_of(words, &raised.error))
    }

    /// Where it is in the plugin's own file, if the server says so in these words.
    fn place_of(&self, words: &str) -> Option<&Span> {
        let raised = self.raised().filter(|_| self.says(words))?;
        let frame = raised.frames.iter().find(|frame| Some(&frame.key) == self.notice.about.key.as_ref())?;
        Some(&frame.span)
    }
}

impl Standing {
    /// Takes the place of an exception, if it is why the trial failed.
    fn locate(&mut self, exception: &Exception) {
        if let NoticeKind::Tried(tried) = &mut self.news.what
            && let TrialResult::Fails(failure) = &mut tried.result
            && failure.place.is_none()
            && let Some(place) = exception.place_of(&failure.words)
        {
            failure.place = Some(Box::new(place.clone()));
            self.culprit = None;
        }
    }
}

impl Board {
    /// A plugin raised an exception. The plugin is that of the innermost frame: another one may have called it.
    pub(super) fn raise(&mut self, notice: &Notice) {
        let NoticeKind::Raised(raised) = &notice.what else { return };
        let Some(called) = notice.about.key.clone() else { return };
        let (mut notice, mut key) = (notice.clone(), called.clone());
        if let Some(frame) = raised.frames.first().filter(|frame| frame.key != called && frame.path.is_some()) {
            let hook = frame.function.clone();
            key.clone_from(&frame.key);
            notice.about = Subject { path: frame.path.clone(), ..Subject::from(&frame.key) };
            notice.what = NoticeKind::Raised(Box::new(Raised { hook, ..(**raised).clone() }));
        }
        self.news += 1;
        let (raised_by, called) = (Name::Plugin(key), Name::Plugin(called));
        let exception = Exception { notice, raised_by, called, order: self.news };
        if let Some(standing) = self.plugins.get_mut(&exception.raised_by) {
            standing.order = self.news;
            standing.locate(&exception);
        }
        if self.is_here(&exception.raised_by) {
            let broken = self.plugins.iter_mut().filter(|(name, standing)| exception.broke(name, standing));
            broken.for_each(|(_, standing)| standing.culprit = Some(exception.raised_by.clone()));
        }
        self.raised.retain(|earlier| earlier.raised_by != exception.raised_by || earlier.called != exception.called);
        self.raised.push(exception);
    }

    /// These exceptions are over. A trial that one of them broke is a problem of its own until it works.
    pub(super) fn end_exceptions(&mut self, is_over: impl Fn(&Exception) -> bool) {
        self.raised.retain(|exception| !is_over(exception));
        let lasts = |name: &Name| self.raised.iter().any(|exception| exception.raised_by == *name);
        for standing in self.plugins.values_mut() {
            standing.culprit.take_if(|culprit| !lasts(culprit));
        }
    }

    /// Takes in why a trial failed, if exceptions tell. `began`: the number of the news before its beginning.
    pub(super) fn explain(&self, name: &Name, standing: &mut Standing, began: usize) {
        self.raised.iter().rev().filter(|own| own.raised_by == *name).for_each(|own| standing.locate(own));
        let mut newer = self.raised.iter().rev().take_while(|exception| exception.order > began);
        let culprit = newer.find(|other| self.is_here(&other.raised_by) && other.broke(name, standing));
        standing.culprit = culprit.map(|exception| exception.raised_by.clone());
    }

    /// The exception of a plugin that is a problem. One of a server's log may have happened once in a week.
    pub(super) fn exception(&self, name: &Name) -> Option<&Exception> {
        let broke_trial = || self.plugins.values().any(|it| it.culprit.as_ref() == Some(name));
        let exception = self.raised.iter().rfind(|exception| exception.raised_by == *name)?;
        (exception.raised().is_some_and(|raised| raised.is_followed) || broke_trial()).then_some(exception)
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
    use crate::notice::{Frame, Suspect, TrialFailure, Tried};
    use crate::plugin::id::PluginId;
    use crate::plugin::{Key, Kind};

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

    fn key(id: &str) -> Key {
        Key { kind: Kind::Function, id: PluginId::new(id).unwrap() }
    }

    fn of(id: &str, what: NoticeKind) -> Notice {
        Notice { about: Subject { path: Some(Arc::from(Path::new(id))), ..Subject::from(&key(id)) }, what }
    }

    /// Exceptions in these plugins' files, the innermost first, in a call of the last one.
    fn exception(ids: &[&str], error: &str, is_followed: bool) -> Notice {
        let frame = |id: &&str| {
            let path = of(id, NoticeKind::Held).about.path;
            Frame { key: key(id), path, ..raised("inlet").frames[0].clone() }
        };
        let frames = ids.iter().map(frame).collect();
        let raised = Raised { error: error.to_owned(), frames, is_followed, ..raised("inlet") };
        of(ids.last().unwrap(), NoticeKind::Raised(Box::new(raised)))
    }

    /// A failed trial of `shout`, in which a filter took part.
    fn doubtful() -> Notice {
        let mut notice = tried(Some("'x'"));
        let NoticeKind::Tried(tried) = &mut notice.what else { panic!() };
        let TrialResult::Fails(failure) = &mut tried.result else { panic!() };
        failure.others = vec![Suspect::Filter("guard".to_owned())];
        notice
    }

    fn disturbed(by: &str) -> Notice {
        let why = Untried::Disturbed { by: format!("{by} raised KeyError: 'x'"), culprit: Some(key(by)) };
        shout(NoticeKind::NotTried { why, asked_for: true })
    }

    fn called(id: &str, again: bool) -> Notice {
        let (hook, result, took) = ("pipe".to_owned(), String::new(), Duration::ZERO);
        of(id, NoticeKind::Called { hook, server_event: None, result, again, times: 1, total: None, took })
    }

    /// A board with three plugins, after these notices.
    fn board(notices: &[Notice]) -> Board {
        let mut board = Board::default();
        let all = ["guard", "another", "shout"].map(|id| of(id, updated().what));
        all.iter().chain(notices).for_each(|notice| board.tell(notice, "1:00"));
        board
    }

    /// The plugins that have a row.
    fn rows(board: &Board) -> Vec<String> {
        board.problems().map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn a_trial_that_another_plugin_broke_is_that_plugins_problem() {
        let error = "KeyError: 'x'";
        let log = |id| exception(&[id], error, false);
        let own = || exception(&["shout"], error, false);
        for (notices, expected) in [
            (&[doubtful(), log("guard")][..], "guard"),
            (&[log("guard"), doubtful()], "guard"),
            (&[disturbed("guard"), log("guard")], "guard"),
            (&[log("guard"), disturbed("guard")], "guard"),
            (&[tried(Some("'x'")), log("guard")], "shout"),
            (&[log("guard"), tried(Some("'x'"))], "shout"),
            (&[doubtful(), log("another")], "shout"),
            (&[log("another"), doubtful()], "shout"),
            (&[disturbed("guard"), log("another")], "shout"),
            (&[log("another"), disturbed("guard")], "shout"),
            // What it called raised it.
            (&[exception(&["another", "guard"], error, false), doubtful()], "another"),
            (&[exception(&["another", "guard"], error, false), disturbed("guard")], "another"),
            // It raised the same.
            (&[own(), log("guard"), doubtful()], "shout"),
            (&[doubtful(), log("guard"), own()], "shout"),
            // It happened before.
            (&[log("guard"), shout(NoticeKind::Trying), doubtful()], "shout"),
            (&[log("guard"), shout(NoticeKind::Trying), disturbed("guard")], "shout"),
            (&[shout(NoticeKind::Trying), log("guard"), doubtful()], "guard"),
        ] {
            let board = board(notices);
            assert_eq!(rows(&board), [expected], "{notices:?}");
            let failing = board.plugins.values().filter(|standing| standing.is_problem()).count();
            assert_eq!(failing, usize::from(expected == "shout"), "{notices:?}");
        }
    }

    #[test]
    fn a_broken_trial_is_anothers_problem_while_both_last() {
        let broken = || vec![doubtful(), exception(&["guard"], "KeyError: 'x'", false)];
        for (then, expected) in [
            (exception(&["guard"], "ValueError", false), &["guard"][..]),
            (shout(NoticeKind::Trying), &["guard"]),
            (shout(NoticeKind::Unchanged { in_pass: false, active: None, good_again: false }), &["guard"]),
            (tried(None), &[]),
            (updated(), &[]),
            (shout(NoticeKind::Disabled), &[]),
            (shout(NoticeKind::NotTried { why: Untried::NoTable, asked_for: false }), &[]),
            // It is not known to work.
            (of("guard", updated().what), &["shout"]),
            (of("guard", NoticeKind::Disabled), &["shout"]),
        ] {
            let mut notices = broken();
            notices.push(then);
            assert_eq!(rows(&board(&notices)), expected, "{:?}", notices.last());
        }
        let totals = |notices: &[Notice]| {
            let mut board = board(notices);
            board.compared = true;
            board.glance().totals
        };
        assert_eq!(totals(&broken()), ["3 plugins deployed", "1 failing"]);
        assert_eq!(totals(&[broken(), vec![tried(None)]].concat()), ["3 plugins deployed"]);
    }

    #[test]
    fn an_exception_in_a_called_plugin_ends_when_its_caller_works() {
        let inner = || exception(&["guard", "shout"], "KeyError: 'x'", true);
        for (end, expected) in [
            (called("shout", true), &[][..]),
            (updated(), &[]),
            (tried(None), &["guard"]),
            (shout(NoticeKind::LeftOff), &[]),
            (shout(NoticeKind::Disabled), &[]),
            (of("guard", updated().what), &[]),
            (called("another", true), &["guard"]),
            (called("guard", true), &["guard"]),
        ] {
            assert_eq!(rows(&board(&[inner()])), ["guard"]);
            assert_eq!(rows(&board(&[inner(), end.clone()])), expected, "{end:?}");
        }
        // Its own exception lasts.
        let own = || exception(&["guard"], "KeyError: 'own'", true);
        for notices in [[own(), inner()], [inner(), own()]] {
            let [first, second] = notices;
            let mut board = board(&[first, second, called("shout", true)]);
            assert_eq!(board.glance().problems[0].words, "inlet raised KeyError: 'own'");
            board.tell(&called("guard", true), "2:00");
            assert_eq!(problems(&board), 0);
        }
    }

    #[test]
    fn an_exception_is_a_problem_until_the_method_works() {
        let unchanged = || shout(NoticeKind::Unchanged { in_pass: true, active: None, good_again: false });
        for (end, left) in [
            (called("shout", true), 0),
            (called("shout", false), 1),
            (unchanged(), 1),
            (shout(NoticeKind::Sending { why: Why::Edited }), 1),
            (updated(), 0),
            // It may have run another method.
            (tried(None), 1),
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
