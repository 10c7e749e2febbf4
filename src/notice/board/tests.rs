//! What notices leave of the board.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::engine::deploy::Failure;
use crate::engine::ledger::Refusal;
use crate::engine::plan::Why;
use crate::notice::{OldVersion, PassSummary, Subject, TrialFailure, TrialResult, Tried, Use, WaitReason};
use crate::plugin::id::PluginId;
use crate::plugin::{Diagnostic, Digest, Key, Kind, Rule, RuleFinding, Span};

fn shout(what: NoticeKind) -> Notice {
    let key = Key { kind: Kind::Function, id: PluginId::new("shout").unwrap() };
    Notice { about: Subject { key: Some(key), ..Subject::default() }, what }
}

fn broken(path: &Arc<Path>) -> Notice {
    let diagnostic = Diagnostic { rule: Rule::Empty, file: Arc::clone(path), span: None };
    let what = NoticeKind::Flawed { diagnostic, digest: None, meant: true };
    Notice { about: Subject::file(path), what }
}

/// What each notice leaves of the line, told one after the other at 1:00, 2:00 …
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_is_left_of_each_notice() {
    let server = || "http://h:1".to_owned();
    let took = Duration::from_millis(34);
    let unchanged = |in_pass, good_again| shout(NoticeKind::Unchanged { in_pass, active: None, good_again });
    let away = NoticeKind::Unreachable {
        cause: "connection refused".into(),
        server: server(),
        next: took,
        waiting: 1,
        configured: true,
    };
    let summary = |tally| NoticeKind::Summary { tally, took, dry_run: false };
    let denied = || {
        let key = Some("`.env`".to_owned());
        Notice::general(NoticeKind::NotAllowed { status: 401, words: "401 Unauthorized".to_owned(), key })
    };
    let file = broken(&Arc::from(Path::new("a.py")));
    let table = [
        (
            Notice::general(NoticeKind::Ready { roots: vec![PathBuf::from("plugins")], plugins: 1, server: server() }),
            "watching `plugins` for http://h:1",
        ),
        (
            Notice::general(NoticeKind::Connected { server: server(), version: "0.12.4".to_owned() }),
            "watching `plugins` for http://h:1",
        ),
        (
            Notice::general(summary(PassSummary { created: 1, ..PassSummary::default() })),
            "watching `plugins` for http://h:1; last: 1 plugin compared (3:00)",
        ),
        (
            shout(NoticeKind::Updated { from: None, kept: Some(PathBuf::from("copy.py")), active: Some(true), took }),
            "watching `plugins` for http://h:1; last: shout updated (4:00)",
        ),
        (shout(NoticeKind::Held), "watching `plugins` for http://h:1; last: shout updated (4:00)"),
        (unchanged(true, false), "watching `plugins` for http://h:1; last: shout updated (4:00)"),
        (
            Notice::general(away),
            "http://h:1 has been away since 7:00: connection refused; watching `plugins` for http://h:1; last: shout \
             updated (4:00)",
        ),
        (
            shout(NoticeKind::Waiting { reason: WaitReason::Away, again: false }),
            "http://h:1 has been away since 7:00: connection refused; watching `plugins` for http://h:1; last: shout \
             waiting: the server is away (8:00)",
        ),
        (
            Notice::general(NoticeKind::Back { away: took, waiting: 1 }),
            "watching `plugins` for http://h:1; last: shout waiting: the server is away (8:00)",
        ),
        (file, "watching `plugins` for http://h:1; last: a.py not sent (10:00)"),
        (
            denied(),
            "the server denied access with the key from `.env`: 401 Unauthorized; watching `plugins` for \
             http://h:1; last: a.py not sent (10:00)",
        ),
        (
            shout(NoticeKind::Failed { failure: Failure::StoredOther, took }),
            "the server denied access with the key from `.env`: 401 Unauthorized; watching `plugins` for \
             http://h:1; last: shout not deployed (12:00)",
        ),
        (
            Notice::general(summary(PassSummary {
                updated: 1,
                failed: 1,
                unreadable_folders: 1,
                ..PassSummary::default()
            })),
            "watching `plugins` for http://h:1; last: 2 plugins compared, 1 not deployed, 1 folder cannot be read \
             (13:00)",
        ),
        (
            Notice::general(NoticeKind::RootMissing { root: PathBuf::from("plugins") }),
            "watching `plugins` for http://h:1; last: `plugins` does not exist; nothing changes on the server (14:00)",
        ),
        (
            Notice::general(NoticeKind::Foreign { server: server(), status: 200, words: "a web page".to_owned() }),
            "http://h:1 does not answer as Open WebUI: a web page; watching `plugins` for http://h:1; last: \
             `plugins` does not exist; nothing changes on the server (14:00)",
        ),
        (
            Notice::general(NoticeKind::Reloaded { files: vec![PathBuf::from(".env")], changed: vec!["concurrency"] }),
            "http://h:1 does not answer as Open WebUI: a web page; watching `plugins` for http://h:1; last: settings \
             reloaded from `.env`: concurrency (16:00)",
        ),
        (
            Notice::general(NoticeKind::Reloaded { files: vec![PathBuf::from(".env")], changed: vec!["url"] }),
            "watching `plugins` for http://h:1; last: settings reloaded from `.env`: url \
             (17:00)",
        ),
        (
            denied(),
            "the server denied access with the key from `.env`: 401 Unauthorized; watching `plugins` for http://h:1; \
             last: settings reloaded from `.env`: url (17:00)",
        ),
        (
            Notice::general(NoticeKind::AccessGranted { waiting: 1 }),
            "watching `plugins` for http://h:1; last: settings reloaded from `.env`: url \
             (17:00)",
        ),
        (unchanged(true, true), "watching `plugins` for http://h:1; last: shout good again, unchanged (20:00)"),
        (Notice::general(NoticeKind::Stopping { in_flight: 0 }), "stopping"),
        (unchanged(false, false), "stopping"),
        (Notice::general(NoticeKind::Stopped { waiting: 0, refused: 0, held: 0, with_errors: 0 }), "stopped"),
    ];
    let mut board = Board::default();
    assert_eq!(board.line(), "");
    for (hour, (notice, line)) in table.iter().enumerate() {
        board.tell(notice, &format!("{}:00", hour + 1));
        assert_eq!(board.line(), *line, "{notice:?}");
    }
}

/// What each notice leaves of its plugin, told one after the other.
#[test]
fn each_plugin_has_its_state() {
    let took = Duration::from_millis(34);
    let unchanged = |in_pass, active| NoticeKind::Unchanged { in_pass, active, good_again: false };
    let refused = NoticeKind::Refused {
        refusal: Refusal::said("no"),
        span: None,
        requirements: None,
        installs: true,
        old_version: Some(OldVersion::Running),
        took,
    };
    let name = Name::Plugin(shout(NoticeKind::Held).about.key.unwrap());
    let mut board = Board::default();
    for (what, state, since) in [
        (unchanged(true, None), State::Deployed, 0),
        (unchanged(false, Some(false)), State::Off, 1),
        (NoticeKind::Sending { why: Why::Edited }, State::Sending, 1),
        (refused, State::Refused, 3),
        (NoticeKind::Restored, State::Refused, 3),
        (NoticeKind::Crashed { words: "no".to_owned(), next: took }, State::Retrying, 5),
        (NoticeKind::Failed { failure: Failure::StoredOther, took }, State::Failed, 6),
        (NoticeKind::Waiting { reason: WaitReason::Away, again: false }, State::Waiting, 7),
        (NoticeKind::RemoteEdit { theirs: None }, State::Held, 8),
        (NoticeKind::NotSwitchedOn { cause: "no".to_owned(), later: true }, State::Off, 9),
        (NoticeKind::SwitchedOn, State::Deployed, 9),
        (NoticeKind::Conflict { paths: Vec::new() }, State::Broken, 11),
        (NoticeKind::Removed { file_there: false, on_server: true, next: None }, State::Gone, 12),
    ]
    .into_iter()
    .enumerate()
    .map(|(time, (what, state, since))| {
        board.tell(&shout(what), &time.to_string());
        (board.plugins[&name].clone(), state, since)
    }) {
        assert_eq!((what.state, what.since), (state, since.to_string()), "{:?}", what.news);
    }
}

#[test]
fn a_broken_file_that_is_mended_has_one_state() {
    let path: Arc<Path> = Arc::from(Path::new("a.py"));
    let mut board = Board::default();
    board.tell(&broken(&path), "1:00");
    assert_eq!(board.plugins[&Name::File(Arc::clone(&path))].state, State::Broken);
    let mut created = shout(NoticeKind::Created { active: None, global: false, again: false, took: Duration::ZERO });
    created.about.path = Some(path);
    board.tell(&created, "2:00");
    assert_eq!(board.plugins.values().map(|standing| standing.state).collect::<Vec<_>>(), [State::Deployed]);
}

fn problems(board: &Board) -> Vec<String> {
    board.glance().problems.into_iter().map(|problem| problem.place).collect()
}

#[test]
fn a_file_has_one_name() {
    let path: Arc<Path> = Arc::from(Path::new("a.py"));
    let of = |id: &str, what| {
        let key = Key { kind: Kind::Function, id: PluginId::new(id).unwrap() };
        Notice { about: Subject { key: Some(key), ..Subject::file(&path) }, what }
    };
    let mut board = Board::default();
    // It is mended, and has the id of another file.
    board.tell(&broken(&path), "1:00");
    let conflict = NoticeKind::Conflict { paths: vec![Arc::clone(&path), Arc::from(Path::new("b.py"))] };
    board.tell(&Notice { about: shout(NoticeKind::LeftOff).about, what: conflict }, "1:00");
    assert_eq!(problems(&board), ["shout"]);

    let mut board = Board::default();
    let Notice { what, .. } = broken(&path);
    board.tell(&of("old", what), "1:00");
    assert_eq!(problems(&board), ["a.py"]);
    board.tell(
        &of("new", NoticeKind::Created { active: None, global: false, again: false, took: Duration::ZERO }),
        "2:00",
    );
    assert_eq!((problems(&board).len(), board.plugins.len()), (0, 1), "the old id is no longer here");
    for gone in [NoticeKind::Disabled, NoticeKind::Removed { file_there: true, on_server: false, next: None }] {
        board.tell(&broken(&path), "3:00");
        assert_eq!(problems(&board), ["a.py"]);
        board.tell(&Notice { about: Subject::file(&path), what: gone }, "4:00");
        assert_eq!(problems(&board).len(), 0);
    }
}

#[test]
fn a_problem_ends_when_it_is_known_to_be_good() {
    let took = Duration::from_millis(34);
    let mut board = Board::default();
    let mut after = |what| {
        board.tell(&shout(what), "1:00");
        problems(&board).len()
    };
    for (what, expected) in [
        (NoticeKind::Failed { failure: Failure::StoredOther, took }, 1),
        (NoticeKind::Sending { why: Why::Edited }, 1),
        (NoticeKind::Waiting { reason: WaitReason::Away, again: false }, 0),
        (NoticeKind::RemoteEdit { theirs: None }, 1),
        (NoticeKind::Unchanged { in_pass: true, active: None, good_again: false }, 0),
        (NoticeKind::WentOff { cause: "no".to_owned(), later: true }, 1),
        (NoticeKind::SwitchedOn, 0),
        (NoticeKind::RolledBack, 0),
        (NoticeKind::Conflict { paths: Vec::new() }, 1),
        (NoticeKind::Unchanged { in_pass: false, active: None, good_again: true }, 0),
    ] {
        assert_eq!(after(what.clone()), expected, "{what:?}");
    }
}

#[test]
fn an_error_of_check_is_shown_until_the_text_is_good() {
    let path: Arc<Path> = Arc::from(Path::new("a.py"));
    let of = |text: &str, what| {
        let digest = Some(Digest::of_text(text));
        let Notice { about, what } = shout(what);
        Notice { about: Subject { digest, path: Some(Arc::clone(&path)), ..about }, what }
    };
    let error =
        || NoticeKind::Surprising(Diagnostic { rule: found("missing-await"), file: Arc::clone(&path), span: None });
    let updated = || NoticeKind::Updated { from: None, kept: None, active: None, took: Duration::ZERO };
    let unchanged = NoticeKind::Unchanged { in_pass: false, active: None, good_again: false };
    let mut board = Board::default();
    let summary = NoticeKind::Summary { tally: PassSummary::default(), took: Duration::ZERO, dry_run: false };
    board.tell(&Notice::general(summary), "1:00");
    for (notice, shown) in [
        (of("bad", updated()), 0),
        (of("bad", error()), 1),
        (of("bad", unchanged.clone()), 1),
        (of("better", NoticeKind::Sending { why: Why::Edited }), 1),
        (of("better", updated()), 0),
        (of("bad", updated()), 0),
        (of("bad", error()), 1),
        (of("bad", NoticeKind::RolledBack), 1),
        (of("other", unchanged), 0),
    ] {
        board.tell(&notice, "1:00");
        assert_eq!(problems(&board).len(), shown, "{notice:?}");
    }
}

/// An error that `check` finds.
fn found(rule: &'static str) -> Rule {
    Rule::Checked(Arc::new(RuleFinding {
        rule,
        severity: Severity::Error,
        message: "nobody awaits it".to_owned(),
        hint: None,
        fix: None,
    }))
}

/// They are of another server.
#[test]
fn another_server_begins_a_new_board() {
    let mut board = Board::default();
    board.tell(&shout(NoticeKind::Updated { from: None, kept: None, active: None, took: Duration::ZERO }), "1:00");
    board.tell(&Notice::general(NoticeKind::Reloaded { files: Vec::new(), changed: vec!["debounce"] }), "1:01");
    assert_eq!(board.plugins.len(), 1);
    board.tell(&Notice::general(NoticeKind::Reloaded { files: Vec::new(), changed: vec!["url"] }), "1:02");
    assert_eq!(board.plugins.len(), 0);
}

/// A text that is the same is not checked again, so its error is not told again.
#[test]
fn what_other_settings_leave_out_goes_with_the_next_pass() {
    let summary = || {
        let tally = PassSummary::default();
        Notice::general(NoticeKind::Summary { tally, took: Duration::ZERO, dry_run: false })
    };
    let unchanged = NoticeKind::Unchanged { in_pass: true, active: None, good_again: false };
    for changed in ["exclude", "root", "follow_links"] {
        let mut board = Board::default();
        board.tell(&broken(&Arc::from(Path::new("a.py"))), "1:00");
        board.tell(&broken(&Arc::from(Path::new("b.py"))), "1:00");
        board.tell(&shout(NoticeKind::Updated { from: None, kept: None, active: None, took: Duration::ZERO }), "1:00");
        let error = Diagnostic { rule: found("missing-await"), file: Arc::from(Path::new("shout.py")), span: None };
        board.tell(&shout(NoticeKind::Surprising(error)), "1:00");
        assert_eq!(problems(&board).len(), 3);
        board.tell(&Notice::general(NoticeKind::Reloaded { files: Vec::new(), changed: vec![changed] }), "1:01");
        board.tell(&broken(&Arc::from(Path::new("b.py"))), "1:01");
        board.tell(&shout(unchanged.clone()), "1:01");
        board.tell(&summary(), "1:01");
        let names: Vec<_> = board.problems().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["shout", "b.py"], "{changed}");
    }
}

#[test]
fn check_shows_where_the_hook_is_that_a_trial_lacked() {
    let path: Arc<Path> = Arc::from(Path::new("plugins/shout.py"));
    let found = |rule, severity, line| {
        let message = "`Pipe` has no method `pipe`".to_owned();
        let rule = Rule::Checked(Arc::new(RuleFinding { rule, severity, message, hint: None, fix: None }));
        let span = Some(Span { line, column: 9, width: 3, source: "    def pip(self, body):".to_owned() });
        NoticeKind::Surprising(Diagnostic { rule, file: Arc::clone(&path), span })
    };
    let tried = |lacks_hook| {
        let failure = TrialFailure { lacks_hook, ..TrialFailure::new("none of its hooks ran") };
        let (asked, model, result) = ("hello".to_owned(), "m".to_owned(), TrialResult::Fails(failure));
        NoticeKind::Tried(Box::new(Tried { asked, model, models: 1, took: Duration::ZERO, result, is_shown: false }))
    };
    let about =
        |what| Notice { about: Subject { path: Some(Arc::clone(&path)), ..shout(NoticeKind::Held).about }, what };
    let hook = |severity| found("hook-shape", severity, 2);
    let other = || found("missing-await", Severity::Error, 5);
    for (notices, expected) in [
        (&[tried(true), hook(Severity::Error)][..], "plugins/shout.py:2:9"),
        (&[hook(Severity::Error), tried(true)], "plugins/shout.py:2:9"),
        (&[hook(Severity::Warning), tried(true)], "plugins/shout.py:2:9"),
        (&[other(), hook(Severity::Error), tried(true)], "plugins/shout.py:2:9"),
        (&[hook(Severity::Error), tried(true), NoticeKind::Trying], "plugins/shout.py:2:9"),
        // It failed for another reason.
        (&[other(), tried(true)], "plugins/shout.py"),
        (&[hook(Severity::Warning), tried(false)], "plugins/shout.py"),
        (&[other(), tried(false)], "plugins/shout.py"),
    ] {
        let mut board = Board::default();
        for what in notices {
            board.tell(&about(what.clone()), "1:00");
        }
        assert_eq!(board.glance().problems[0].place, expected, "{notices:?}");
        assert_eq!(board.focus().and_then(Notice::span).is_some(), expected.ends_with('9'), "a key opens it");
    }
}

#[test]
fn a_switch_is_counted_whoever_sets_it() {
    let switched =
        |is| NoticeKind::Report(Report::Switched { switch: Switch::Active, is, before: false, usage: Use::default() });
    let unchanged = NoticeKind::Unchanged { in_pass: false, active: None, good_again: false };
    let mut board = Board::default();
    for (what, state) in [
        (unchanged.clone(), State::Deployed),
        (switched(false), State::Off),
        (unchanged.clone(), State::Off),
        (NoticeKind::RemoteEdit { theirs: None }, State::Held),
        (switched(true), State::Held),
        (unchanged.clone(), State::Deployed),
        (NoticeKind::WentOff { cause: "no".to_owned(), later: true }, State::Off),
        (switched(true), State::Deployed),
    ] {
        board.tell(&shout(what.clone()), "1:00");
        assert_eq!(board.plugins.values().map(|it| it.state).collect::<Vec<_>>(), [state], "{what:?}");
    }
}

#[test]
fn a_plugin_that_has_another_id_is_counted_once() {
    let mut board = Board::default();
    board.tell(&shout(NoticeKind::Created { active: None, global: false, again: false, took: Duration::ZERO }), "1:00");
    let from = shout(NoticeKind::Held).about.key.unwrap();
    let new = Key { id: PluginId::new("new").unwrap(), ..from.clone() };
    board.tell(&Notice { about: Subject::from(&new), what: NoticeKind::IdChanged { from } }, "1:00");
    assert!(board.plugins.is_empty(), "the new one is told of by itself");
}

#[test]
fn invalid_settings_are_shown_until_they_are_valid() {
    let mut board = Board::default();
    let why = "cannot use `watch.toml:1:1`: `poll` must be a duration".to_owned();
    board.tell(&Notice::general(NoticeKind::SettingsKept { why: why.clone(), hint: None, holds: false }), "1:00");
    board.tell(&shout(NoticeKind::Sending { why: Why::Edited }), "2:00");
    assert_eq!(board.glance().settings, Some(format!("invalid settings, not used: {why}")));
    board.tell(&Notice::general(NoticeKind::Reloaded { files: Vec::new(), changed: Vec::new() }), "3:00");
    assert_eq!(board.glance().settings, None);
    board.tell(&Notice::general(NoticeKind::SettingsKept { why: why.clone(), hint: None, holds: true }), "4:00");
    let said = format!("nothing is deployed until you agree to the new settings: {why}");
    assert_eq!(board.glance().settings, Some(said));
}

#[test]
fn totals_wait_for_the_first_pass() {
    let mut board = Board::default();
    board.tell(&broken(&Arc::from(Path::new("a.py"))), "1:00");
    assert!(board.glance().totals.is_empty(), "others may exist");
    let pass = NoticeKind::Pass { todo: 2 };
    board.tell(&Notice::general(pass), "1:00");
    board.tell(
        &shout(NoticeKind::Created { active: Some(false), global: false, again: false, took: Duration::ZERO }),
        "1:00",
    );
    assert_eq!(board.glance().totals, ["1 of 2 plugins compared"]);
    let tally = PassSummary::default();
    let summary = NoticeKind::Summary { tally, took: Duration::ZERO, dry_run: false };
    board.tell(&Notice::general(summary.clone()), "1:00");
    assert_eq!(board.glance().totals, ["1 of 2 plugins deployed", "1 off", "1 broken"]);
    let mut empty = Board::default();
    empty.tell(&Notice::general(summary), "1:00");
    assert_eq!(empty.glance().totals, ["no plugins"]);
}

#[test]
fn the_user_chooses_among_problems_until_it_is_solved() {
    let mut board = Board::default();
    let files = ["a.py", "b.py", "c.py"].map(|path| Arc::from(Path::new(path)));
    assert_eq!(board.choose(Step::Down), None);
    for file in &files {
        board.tell(&broken(file), "");
    }
    let focus = |board: &Board| board.focus().unwrap().file().unwrap().to_str().unwrap().to_owned();
    assert_eq!(focus(&board), "c.py", "the latest");
    for (step, chosen) in [(Step::Down, "c.py"), (Step::Up, "b.py"), (Step::Up, "a.py"), (Step::Up, "a.py")] {
        assert_eq!(board.choose(step), Some(Name::File(Arc::from(Path::new(chosen)))));
        assert_eq!(
            (focus(&board), board.glance().focus),
            (chosen.to_owned(), Some(usize::from(chosen == "b.py") + 2 * usize::from(chosen == "c.py")))
        );
    }
    board.tell(&broken(&files[1]), "");
    assert_eq!(focus(&board), "a.py", "a later problem does not take the choice away");
    let gone = NoticeKind::Removed { file_there: false, on_server: false, next: None };
    board.tell(&Notice { about: Subject::file(&files[0]), what: gone }, "");
    assert_eq!(focus(&board), "b.py");
    board.tell(&broken(&files[0]), "");
    assert_eq!(focus(&board), "a.py", "the latest again");
    // The view's board hears of the choice later.
    board.set_chosen(Name::File(Arc::clone(&files[2])));
    assert_eq!(focus(&board), "c.py");
    board.set_chosen(Name::File(Arc::from(Path::new("gone.py"))));
    assert_eq!(focus(&board), "a.py");
}
