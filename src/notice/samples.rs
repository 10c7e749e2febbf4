//! Notices to test with: at least one of each kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{
    Frame, KeepReason, Notice, NoticeKind, OldVersion, PassSummary, Raised, Subject, Suspect, TrialFailure,
    TrialRemedy, TrialResult, Tried, Trouble, Untried, WaitReason,
};
use crate::engine::OnDelete;
use crate::engine::deploy::{CallFailure, Cause, Failure};
use crate::engine::duplicate::{Duplicate, MatchedBy};
use crate::engine::ledger::Refusal;
use crate::engine::plan::Why;
use crate::plugin::id::PluginId;
use crate::plugin::{Diagnostic, Digest, Entry, Key, Kind, Rule, RuleFinding, Severity, Span};

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn span() -> Span {
    Span { line: 2, column: 7, width: 6, source: "class Filter(:".to_owned() }
}

pub(super) fn words() -> String {
    "invalid syntax (<string>, line 2)".to_owned()
}

fn refused_before(words: String, span: Option<Span>, on_server: bool) -> NoticeKind {
    NoticeKind::RefusedBefore { refusal: Refusal::said(words), span, requirements: None, installs: true, on_server }
}

pub(super) fn pip() -> String {
    "Command '['python', '-m', 'pip', 'install', 'httpx']' returned non-zero exit status 1.".to_owned()
}

/// A plugin's notice.
pub(super) fn shout(what: NoticeKind) -> Notice {
    let about = Subject {
        key: Some(Key { kind: Kind::Function, id: PluginId::new("shout").unwrap() }),
        entry: Some(Entry::Filter),
        path: Some(Arc::from(Path::new("plugins/shout.py"))),
        version: Some("1.1".to_owned()),
        digest: Some(Digest::of(b"v1")),
        settings_depth: 0,
    };
    Notice { about, what }
}

pub(super) fn called(result: &str, times: u64) -> NoticeKind {
    let (hook, result) = ("pipe".to_owned(), result.to_owned());
    NoticeKind::Called { hook, server_event: None, result, again: false, times, total: None, took: ms(34) }
}

fn server_event(total: u64) -> NoticeKind {
    let (hook, server_event) = ("event".to_owned(), Some("user.login".to_owned()));
    NoticeKind::Called {
        hook,
        server_event,
        result: "None".to_owned(),
        again: false,
        times: 1,
        total: Some(total),
        took: ms(34),
    }
}

pub(super) fn raised(hook: &str) -> Raised {
    let key = Key { kind: Kind::Function, id: PluginId::new("shout").unwrap() };
    let path: Option<Arc<Path>> = Some(Arc::from(Path::new("plugins/shout.py")));
    let frame = |line, function: &str| Frame {
        key: key.clone(),
        path: path.clone(),
        function: function.to_owned(),
        span: Span { line, column: 5, width: 9, source: "    body[key]".to_owned() },
    };
    Raised {
        hook: hook.to_owned(),
        error: "KeyError: 'nope'".to_owned(),
        frames: vec![frame(3, "lookup"), frame(9, "pipe")],
        outside: 2,
        at: Some("json/decoder.py:355".to_owned()),
        causes: vec![("ValueError: no".to_owned(), Some(frame(4, "lookup"))), ("OSError".to_owned(), None)],
        took: Some(ms(34)),
        before: 0,
        is_followed: true,
    }
}

#[expect(clippy::too_many_lines, reason = "one of each")]
pub(crate) fn samples() -> Vec<Notice> {
    let roots = || vec![PathBuf::from("plugins"), PathBuf::from("more")];
    let server = || "http://localhost:8080".to_owned();
    let cause = || "connection refused".to_owned();
    let tally = PassSummary {
        created: 1,
        updated: 2,
        unchanged: 3,
        refused: 4,
        held: 7,
        skipped: 5,
        failed: 6,
        unreadable_folders: 8,
    };
    let refused = |words: &str, span, requirements: Option<&str>| NoticeKind::Refused {
        refusal: Refusal::said(words),
        span,
        requirements: requirements.map(str::to_owned),
        installs: true,
        old_version: None,
        took: ms(34),
    };
    let kept = |old_version| NoticeKind::Refused {
        refusal: Refusal::said(words()),
        span: Some(span()),
        requirements: None,
        installs: true,
        old_version: Some(old_version),
        took: ms(34),
    };
    let unchanged = |in_pass, active, good_again| NoticeKind::Unchanged { in_pass, active, good_again };
    let failed = |failure| NoticeKind::Failed { failure, took: ms(34) };
    let diagnostic = |rule, span| Diagnostic { rule, file: Arc::from(Path::new("plugins/shout.py")), span };
    let blocking = RuleFinding {
        rule: "missing-await",
        severity: Severity::Error,
        message: "`Users.get_users` has been a coroutine since 0.9, but is not awaited".to_owned(),
        hint: Some("write `await Users.get_users(…)`".to_owned()),
        fix: None,
    };
    let flawed = |rule, span| NoticeKind::Flawed { diagnostic: diagnostic(rule, span), digest: None, meant: true };
    let tried = |models, result| {
        let (asked, model) = ("hello".to_owned(), "shout".to_owned());
        NoticeKind::Tried(Box::new(Tried { asked, model, models, took: ms(34), result, is_shown: false }))
    };
    let fails = TrialResult::Fails;
    let untried = |why, asked_for| NoticeKind::NotTried { why, asked_for };
    let impossible =
        Untried::Impossible { why: "no model takes part".to_owned(), remedy: Some(TrialRemedy::ConnectModel) };
    let told = Trouble::Told { message: "something beside the plugins".to_owned(), hint: Some("a remedy".to_owned()) };
    let told = NoticeKind::Trouble(told);
    let full = || "cannot write `ledger.json`: No space left on device".to_owned();
    let general = [
        NoticeKind::Ready { roots: roots(), plugins: 3, server: server() },
        NoticeKind::Connected { server: server(), version: "0.12.4".to_owned() },
        NoticeKind::Untested { version: "0.13.0".to_owned() },
        NoticeKind::NothingFound { roots: roots() },
        NoticeKind::Pass { todo: 1 },
        NoticeKind::Summary { tally, took: ms(1234), dry_run: false },
        NoticeKind::Summary {
            tally: PassSummary { unchanged: 1, ..PassSummary::default() },
            took: ms(12),
            dry_run: false,
        },
        NoticeKind::Summary {
            tally: PassSummary { created: 2, ..PassSummary::default() },
            took: ms(12),
            dry_run: true,
        },
        NoticeKind::Summary { tally: PassSummary::default(), took: ms(12), dry_run: false },
        NoticeKind::Summary {
            tally: PassSummary { unreadable_folders: 1, ..PassSummary::default() },
            took: ms(12),
            dry_run: false,
        },
        NoticeKind::Unreachable {
            cause: cause().into(),
            server: server(),
            next: ms(500),
            waiting: 0,
            configured: false,
        },
        NoticeKind::Unreachable {
            cause: cause().into(),
            server: server(),
            next: ms(20_000),
            waiting: 2,
            configured: true,
        },
        NoticeKind::Unreachable {
            cause: Cause { words: "certificate not trusted".to_owned(), untrusted: true },
            server: "https://h".to_owned(),
            next: ms(500),
            waiting: 0,
            configured: true,
        },
        NoticeKind::StillUnreachable { cause: cause(), attempt: 4, next: ms(8000) },
        NoticeKind::Back { away: ms(83_000), waiting: 0 },
        NoticeKind::Back { away: ms(83_000), waiting: 1 },
        NoticeKind::AccessGranted { waiting: 0 },
        NoticeKind::AccessGranted { waiting: 2 },
        NoticeKind::GaveUp { after: ms(10_000), cause: cause().into(), server: server(), configured: false },
        NoticeKind::GaveUp { after: ms(10_000), cause: cause().into(), server: server(), configured: true },
        NoticeKind::NotAllowed {
            status: 0,
            words: "no key is configured, and this server asks for one".to_owned(),
            key: None,
        },
        NoticeKind::NotAllowed {
            status: 403,
            words: "Use of API key is not enabled in the environment.".to_owned(),
            key: Some("`.env`".to_owned()),
        },
        NoticeKind::NotAllowed { status: 401, words: "401 Unauthorized".to_owned(), key: Some("`.env`".to_owned()) },
        NoticeKind::Foreign { server: server(), status: 200, words: "a web page".to_owned() },
        NoticeKind::Proxied { server: server(), proxy: "http://proxy:3128".to_owned() },
        NoticeKind::Insecure { server: "http://chat.example.org".to_owned(), proxy: None },
        NoticeKind::Insecure { server: "http://chat.lan".to_owned(), proxy: Some("http://proxy:3128".to_owned()) },
        NoticeKind::InLine { pid: Some(123) },
        NoticeKind::InLine { pid: None },
        NoticeKind::RootMissing { root: PathBuf::from("plugins") },
        NoticeKind::RootBack { root: PathBuf::from("plugins") },
        NoticeKind::Reloaded { files: vec![PathBuf::from(".env")], changed: Vec::new() },
        NoticeKind::Reloaded {
            files: vec![PathBuf::from(".env"), PathBuf::from("watch.toml")],
            changed: vec!["url", "api_key"],
        },
        NoticeKind::SettingsWait { ids: vec!["shout".to_owned()] },
        NoticeKind::SettingsWait { ids: vec!["clock".to_owned(), "shout".to_owned()] },
        NoticeKind::Stopping { in_flight: 0 },
        NoticeKind::Stopping { in_flight: 2 },
        NoticeKind::Stopped { waiting: 0, refused: 0, held: 0, with_errors: 0 },
        NoticeKind::Stopped { waiting: 1, refused: 0, held: 0, with_errors: 0 },
        NoticeKind::Stopped { waiting: 0, refused: 1, held: 0, with_errors: 1 },
        NoticeKind::Stopped { waiting: 2, refused: 1, held: 3, with_errors: 4 },
        NoticeKind::SettingsKept {
            why: "`poll` must be a duration".to_owned(),
            hint: Some("a remedy".to_owned()),
            holds: false,
        },
        NoticeKind::SettingsKept {
            why: "cannot send your API key".to_owned(),
            hint: Some("a remedy".to_owned()),
            holds: true,
        },
        told,
        NoticeKind::Trouble(Trouble::UnknownName("shuot".to_owned())),
        NoticeKind::Trouble(Trouble::NoPluginIn(vec!["notes.py".to_owned(), "old".to_owned()])),
        NoticeKind::Trouble(Trouble::UnusedTable("plugins/gone.py".into())),
        NoticeKind::Trouble(Trouble::RootLeadsOutside { root: "plugins".into(), to: "/srv/plugins".into() }),
        NoticeKind::Trouble(Trouble::WouldNotDeploy("plugins/shout.py".into())),
        NoticeKind::Trouble(Trouble::VersionsHidden(shout(NoticeKind::Held).about.key.unwrap())),
        NoticeKind::Trouble(Trouble::LedgerUnwritten { cause: full() }),
        NoticeKind::Trouble(Trouble::StateUnwritten { cause: full() }),
        NoticeKind::Trouble(Trouble::LockLost { cause: "another owui-watch deploys from here (pid 7)".to_owned() }),
        NoticeKind::Trouble(Trouble::LogCommandEnded { how: "`sh log.sh` ended".to_owned(), next: ms(2000) }),
        NoticeKind::Trouble(Trouble::LogLinesLost(1)),
        NoticeKind::Trouble(Trouble::Unread(2)),
        NoticeKind::Trouble(Trouble::WatchEnded),
        NoticeKind::Trouble(Trouble::NotShown(12)),
        NoticeKind::Trouble(Trouble::NotDeployedHere),
        NoticeKind::ScanSlow { so_far: ms(10_000) },
    ];
    let about_one = vec![
        NoticeKind::Sending { why: Why::ChangedOnServer },
        NoticeKind::Slow { so_far: ms(3000), installs: None },
        NoticeKind::Slow { so_far: ms(3000), installs: Some("httpx, pydantic".to_owned()) },
        NoticeKind::Created { active: Some(false), global: false, again: false, took: ms(34) },
        NoticeKind::Created { active: Some(true), global: false, again: false, took: ms(34) },
        NoticeKind::Created { active: Some(true), global: true, again: false, took: ms(34) },
        NoticeKind::Created { active: None, global: false, again: false, took: ms(34) },
        NoticeKind::Created { active: Some(true), global: false, again: true, took: ms(34) },
        NoticeKind::Created { active: Some(false), global: false, again: true, took: ms(34) },
        NoticeKind::Created { active: None, global: false, again: true, took: ms(34) },
        NoticeKind::Updated { from: Some("1.0".to_owned()), kept: None, active: Some(true), took: ms(34) },
        NoticeKind::Updated { from: Some("1.0".to_owned()), kept: None, active: Some(false), took: ms(34) },
        NoticeKind::Updated { from: None, kept: Some(PathBuf::from("state/copy.py")), active: None, took: ms(34) },
        NoticeKind::Updated { from: None, kept: Some(PathBuf::from("copy.py")), active: Some(false), took: ms(34) },
        unchanged(true, None, false),
        unchanged(true, Some(false), false),
        unchanged(true, None, true),
        unchanged(false, None, false),
        unchanged(false, Some(true), true),
        unchanged(false, Some(false), false),
        unchanged(false, Some(false), true),
        NoticeKind::WouldCreate,
        NoticeKind::WouldUpdate { from: Some("1.0".to_owned()), foreign: false },
        NoticeKind::WouldUpdate { from: None, foreign: true },
        NoticeKind::RemoteEdit { theirs: None },
        NoticeKind::RemoteEdit { theirs: Some("1.0".to_owned()) },
        NoticeKind::Duplicate {
            duplicate: Duplicate { id: PluginId::new("old").unwrap(), matched_by: MatchedBy::TitleAndAuthor },
        },
        NoticeKind::Duplicate {
            duplicate: Duplicate { id: PluginId::new("old").unwrap(), matched_by: MatchedBy::OpenwebuiId },
        },
        NoticeKind::RolledBack,
        NoticeKind::Blocked(diagnostic(Rule::Checked(Arc::new(blocking)), Some(span()))),
        NoticeKind::RollbackUndone { put_back: Digest::of_text("earlier") },
        refused(&words(), Some(span()), None),
        kept(OldVersion::Running),
        kept(OldVersion::Off),
        refused("[ERROR: Error creating function]", None, None),
        refused("", None, None),
        refused("No module named 'httpx'", None, Some("yaml, attrs")),
        NoticeKind::Crashed { words: "Internal Server Error".to_owned(), next: ms(1000) },
        NoticeKind::Restored,
        NoticeKind::Recovered,
        NoticeKind::WentOff { cause: cause(), later: false },
        NoticeKind::WentOff { cause: cause(), later: true },
        NoticeKind::NotSwitchedOn { cause: cause(), later: false },
        NoticeKind::NotSwitchedOn { cause: cause(), later: true },
        NoticeKind::SwitchedOn,
        NoticeKind::Unused,
        NoticeKind::Pruned,
        refused_before(words(), Some(span()), false),
        refused_before(String::new(), None, true),
        refused_before(pip(), None, false),
        refused_before("No module named 'httpx'".to_owned(), Some(span()), false),
        failed(CallFailure::Unreachable { cause: cause().into(), retry_after: None }.into()),
        failed(Failure::Unanswered { cause: cause() }),
        failed(CallFailure::NotAllowed { status: 401, words: "401 Unauthorized".to_owned() }.into()),
        failed(CallFailure::Foreign { status: 200, words: "a web page".to_owned() }.into()),
        failed(CallFailure::NotOurs { words: "401 Unauthorized".to_owned() }.into()),
        failed(Failure::StoredOther),
        failed(Failure::Stumbled { cause: "the server's database is locked".to_owned() }),
        failed(Failure::TakesNone { words: "[ERROR: Error creating function]".to_owned() }),
        failed(Failure::KeepFailed { words: "No space left on device".to_owned() }),
        failed(CallFailure::Odd { words: "null".to_owned() }.into()),
        flawed(Rule::Syntax("expected `)`".to_owned()), Some(span())),
        flawed(Rule::DanglingLink("gone.py".to_owned()), None),
        flawed(Rule::UnreadableFolder("permission denied".to_owned()), None),
        NoticeKind::Surprising(diagnostic(Rule::ImportedEntry(Entry::Pipe), Some(span()))),
        NoticeKind::Conflict { paths: vec![Arc::from(Path::new("a.py")), Arc::from(Path::new("b/a.py"))] },
        NoticeKind::Removed { file_there: false, on_server: false, next: None },
        NoticeKind::Removed { file_there: true, on_server: false, next: None },
        NoticeKind::Removed { file_there: false, on_server: true, next: None },
        NoticeKind::Removed { file_there: true, on_server: true, next: None },
        NoticeKind::Removed { file_there: false, on_server: true, next: Some((OnDelete::Deactivate, ms(30_000))) },
        NoticeKind::Removed { file_there: false, on_server: true, next: Some((OnDelete::Delete, ms(30_000))) },
        NoticeKind::Deactivated,
        NoticeKind::NotRemoved {
            deletes: true,
            failure: Failure::KeepFailed { words: "No space left on device".to_owned() },
        },
        NoticeKind::NotRemoved {
            deletes: false,
            failure: CallFailure::NotOurs { words: "401 Unauthorized".to_owned() }.into(),
        },
        NoticeKind::LeftOff,
        NoticeKind::Deleted { kept: PathBuf::from("state/copy.py") },
        NoticeKind::Spared { why: KeepReason::Folder },
        NoticeKind::Spared { why: KeepReason::Emptied },
        NoticeKind::Spared { why: KeepReason::Many },
        NoticeKind::Spared { why: KeepReason::Renamed },
        NoticeKind::Spared { why: KeepReason::Edited },
        NoticeKind::Spared { why: KeepReason::Gone },
        NoticeKind::Spared { why: KeepReason::Off },
        NoticeKind::IdChanged { from: Key { kind: Kind::Function, id: PluginId::new("old").unwrap() } },
        NoticeKind::IdChanged { from: Key { kind: Kind::Tool, id: PluginId::new("shout").unwrap() } },
        NoticeKind::Waiting { reason: WaitReason::Away, again: false },
        NoticeKind::Waiting { reason: WaitReason::Away, again: true },
        NoticeKind::Waiting { reason: WaitReason::Turn, again: false },
        NoticeKind::Waiting { reason: WaitReason::Settings, again: false },
        NoticeKind::Superseded,
        NoticeKind::Held,
        NoticeKind::BeingWritten,
        NoticeKind::Disabled,
        NoticeKind::SameFile { original: PathBuf::from("plugins/whisper.py") },
        NoticeKind::Trying,
        tried(1, fails(TrialFailure::new("'nope'"))),
        tried(2, fails(TrialFailure { answer: Some("ho".to_owned()), ..TrialFailure::new("expected `^H`") })),
        tried(1, fails(TrialFailure { place: Some(Box::new(span())), ..TrialFailure::new("KeyError: 'nope'") })),
        tried(
            1,
            fails(TrialFailure { others: vec![Suspect::Filter("other".to_owned())], ..TrialFailure::new("'nope'") }),
        ),
        tried(
            1,
            fails(TrialFailure {
                remedy: Some(TrialRemedy::CheckHooks(Entry::Filter)),
                ..TrialFailure::new("none of its hooks ran")
            }),
        ),
        tried(1, TrialResult::Answered { answer: "5".to_owned(), why: "who knows".to_owned() }),
        tried(1, TrialResult::Works { answer: Some("HELLO\nyou".to_owned()), diff: None }),
        tried(2, TrialResult::Works { answer: None, diff: Some("--- a\n+++ b\n-a\n+b\n".to_owned()) }),
        untried(Untried::Off, true),
        untried(Untried::OtherText, true),
        untried(Untried::ActsOutside { by: "import httpx".to_owned() }, false),
        untried(Untried::NoFunction, false),
        untried(Untried::Event, false),
        untried(impossible.clone(), true),
        untried(impossible, false),
        untried(Untried::NoServer { why: cause() }, true),
        untried(
            Untried::Disturbed { by: "function other raised KeyError: 'x' in line 3".to_owned(), culprit: None },
            true,
        ),
        untried(Untried::NoTable, false),
        called("\"HI\"", 1),
        called("", 14),
        server_event(1),
        server_event(7),
        server_event(10),
        NoticeKind::Raised(Box::new(raised("pipe"))),
        NoticeKind::Raised(Box::new(Raised { before: 2, ..raised("pipe") })),
        NoticeKind::Raised(Box::new(Raised { frames: Vec::new(), took: None, ..raised("load") })),
        NoticeKind::Printed { text: "hello".to_owned(), log_level: None, line: None },
        NoticeKind::Printed { text: "careful".to_owned(), log_level: Some("warning".to_owned()), line: Some(16) },
        NoticeKind::PrintedMore { count: 2900 },
        NoticeKind::ServerLog { text: "INFO started".to_owned() },
    ];
    general.into_iter().map(Notice::general).chain(about_one.into_iter().map(shout)).collect()
}
