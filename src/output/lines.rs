//! A notice as lines for people: the status line, and what explains it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use annotate_snippets::Level as Label;
use anstyle::Style;
use console::measure_text_width as width;

use super::frames::frame;
use super::messages::{hint_line, labelled, wrapped};
use super::sign::sign;
use super::styles::{BOLD, DIM};
use crate::notice::{Commands, Level, Notice, NoticeKind, duration};
use crate::paths::slashed;
use crate::plugin::Entry;
use crate::printable;

/// Below this many columns a line is not aligned: what happened matters more than where it stands.
const NARROW: u16 = 72;
/// The columns of an id grow with the ids that were seen, up to this.
const WIDEST_ID: usize = 28;
/// So do those of a version: `1.3.0 → 1.3.1` fits.
const WIDEST_VERSION: usize = 15;
/// What a status line continues under: what happened, behind time and sign.
const BEHIND_THE_SIGN: &str = "           ";
/// The most columns of a time, a count and a duration. A line that may be replaced leaves them free.
const LONGEST_REST: usize = 24;
/// A space at which no line is wrapped, between a number and its unit.
const BOUND: &str = "\u{a0}";

/// Renders notices. Remembers the widths of the columns and the hints that were given.
pub(super) struct Lines {
    /// Whether the line with a place is wrapped, too. Editors that run a pass look for it as a whole.
    wraps_places: bool,
    /// How commands in hints are written.
    commands: Commands,
    id_width: usize,
    version_width: usize,
    /// Hints to good news that were given already: one is helpful, one per plugin is noise.
    hinted: BTreeSet<String>,
}

impl Lines {
    pub(super) fn new(wraps_places: bool, commands: Commands) -> Self {
        Self { wraps_places, commands, id_width: 12, version_width: 0, hinted: BTreeSet::new() }
    }

    /// How commands in hints are written.
    pub(super) fn commands(&self) -> &Commands {
        &self.commands
    }

    /// The status line without time and duration, if it fits on one line: the same again may replace it.
    pub(super) fn repeatable(&self, notice: &Notice, columns: u16) -> Option<String> {
        let line = self.line(notice, "", 1, columns >= NARROW);
        let is_short = width(&line) + LONGEST_REST <= usize::from(columns);
        let again = notice.again();
        (is_short && (again.is_some() || notice.level() <= Level::Info)).then(|| again.unwrap_or(line))
    }

    /// The status line, and what stands below it (which may be nothing). The notice has come so many `times` in a row.
    /// `above` and `below` are the widths of the terminals that show the two, if they are terminals.
    pub(super) fn render(
        &mut self,
        notice: &Notice,
        clock: &str,
        times: usize,
        above: Option<u16>,
        below: Option<u16>,
    ) -> (String, String) {
        self.widen(notice);
        let remedies = self.remedies(notice);
        let aligned = above.is_none_or(|columns| columns >= NARROW);
        // That of an exception is part of its sentence.
        let times = if notice.again().is_some() { 1 } else { times };
        let line = wrapped(&self.whole_line(notice, clock, times, aligned), BEHIND_THE_SIGN, above);
        let line = line.replace(BOUND, " ");
        (line, self.explanation(notice, &remedies, below))
    }

    /// The remedies that are worth a line.
    fn remedies(&mut self, notice: &Notice) -> Vec<String> {
        let hint = notice.hint_with(&self.commands).unwrap_or_default();
        let of_any = notice.hint_with(&self.commands.of_any()).unwrap_or_default();
        // Giving up does not repeat the hints of the first failure.
        let repeats = notice.level() > Level::Info && !matches!(notice.what, NoticeKind::GaveUp { .. });
        let remedies = hint.lines().zip(of_any.lines());
        let told = remedies.filter(|(_, of_any)| self.hinted.insert((*of_any).to_owned()) || repeats);
        told.map(|(remedy, _)| remedy.to_owned()).collect()
    }

    fn widen(&mut self, notice: &Notice) {
        if let Some(key) = &notice.about.key {
            self.id_width = self.id_width.max(width(key.id.as_str()).min(WIDEST_ID));
            let version = notice.version().unwrap_or_default();
            self.version_width = self.version_width.max(width(&version).min(WIDEST_VERSION));
        }
    }

    /// The status line with its duration.
    fn whole_line(&self, notice: &Notice, clock: &str, times: usize, aligned: bool) -> String {
        let mut line = self.line(notice, clock, times, aligned);
        if let (Some(took), true) = (notice.took(), notice.about.key.is_some()) {
            let took = duration(took).replace(' ', BOUND);
            push(&mut line, format_args!("  {DIM}{took}{DIM:#}"));
        }
        line
    }

    /// What it is about, and what happened to it, so many times.
    fn line(&self, notice: &Notice, clock: &str, times: usize, aligned: bool) -> String {
        let (sign, style) = sign(notice);
        let (type_width, id_width, version_width) =
            if aligned { (6, self.id_width, self.version_width) } else { (0, 0, 0) };
        let mut line = format!("{DIM}{clock}{DIM:#} {style}{sign}{style:#} ");
        if let Some(key) = &notice.about.key {
            let word = notice.about.entry.map_or(key.kind.word(), Entry::word);
            push_column(&mut line, word, type_width, DIM);
            push_column(&mut line, &printable::line(key.id.as_str()), id_width, BOLD);
            let version = notice.version().unwrap_or_default();
            if version_width > 0 || !version.is_empty() {
                push_column(&mut line, &printable::line(&version), version_width, DIM);
            }
        } else if let Some(path) = &notice.about.path {
            push_column(&mut line, &printable::line(&slashed(&path)), 0, BOLD);
        }
        let what = notice.headline().map_or_else(|| notice.sentence_without_name(), Cow::into_owned);
        let what = printable::text(&what);
        // The rest of a long answer stands below the line.
        push(&mut line, format_args!("{style}{}{style:#}", what.lines().next().unwrap_or_default()));
        if times > 1 {
            push(&mut line, format_args!(" ×{times}"));
        }
        line
    }

    /// Where it is, in the form that editors jump to; the source line; the rest of the words; the remedy.
    fn explanation(&self, notice: &Notice, remedies: &[String], columns: Option<u16>) -> String {
        let mut lines = Vec::new();
        let words = notice.detail().unwrap_or_else(|| notice.sentence());
        let words = printable::text(&words);
        let mut rest = words.lines();
        let severity = match notice.level() {
            Level::Detail | Level::Info => None,
            Level::Warning => Some(("warning", Label::WARNING)),
            Level::Error => Some(("error", Label::ERROR)),
        };
        // Without a headline, the first line stands above already.
        if notice.headline().is_none() {
            rest.next();
        }
        if let (Some(path), Some((severity, label)), Some(_)) = (notice.file(), severity, notice.headline()) {
            let (line, column) = notice.span().map_or((1, 1), |span| (span.line, span.column));
            let path = slashed(&path);
            let path = printable::line(&path);
            // Without colour: editors look for this line with an expression that starts at its first character.
            let place = format!("{path}:{line}:{column}: {severity}: {}", rest.next().unwrap_or_default());
            lines.push(wrapped(&place, "  ", columns.filter(|_| self.wraps_places)));
            if let Some(span) = notice.span() {
                lines.push(frame(span, label, columns));
            }
        }
        lines.extend(rest.map(|line| wrapped(&format!("  {line}"), "  ", columns)));
        lines.extend(notice.trace().iter().map(|line| wrapped(&format!("  {}", printable::line(line)), "  ", columns)));
        lines.extend(notice.note().map(|note| labelled("note", BOLD, note, columns)));
        lines.extend(remedies.iter().map(|remedy| hint_line(remedy, columns)));
        lines.join("\n")
    }
}

fn push_column(line: &mut String, text: &str, columns: usize, style: Style) {
    let padding = " ".repeat(columns.saturating_sub(width(text)));
    push(line, format_args!("{style}{text}{style:#}{padding}  "));
}

/// Writing to a string cannot fail.
fn push(line: &mut String, text: std::fmt::Arguments<'_>) {
    std::fmt::Write::write_fmt(line, text).ok();
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes every snapshot with them")]
    #![expect(clippy::needless_pass_by_value, reason = "a snapshot is written where it is handed in")]

    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::Duration;

    use expect_test::{Expect, expect};

    use super::*;
    use crate::engine::deploy::Failure;
    use crate::engine::ledger::Refusal;
    use crate::engine::switch::Switch;
    use crate::notice::{Frame, OldVersion, PassSummary, Raised, Report, Subject, Use, WaitReason};
    use crate::plugin::{Diagnostic, Key, Rule, Span, id::PluginId};

    fn about(entry: Entry, id: &str, version: Option<&str>) -> Subject {
        Subject {
            key: Some(Key { kind: entry.kind(), id: PluginId::new(id).unwrap() }),
            entry: Some(entry),
            path: Some(Arc::from(Path::new("plugins").join(id).with_extension("py"))),
            version: version.map(str::to_owned),
            digest: None,
            settings_depth: 0,
        }
    }

    fn span(line: usize, column: usize, width: usize, source: &str) -> Span {
        Span { line, column, width, source: source.to_owned() }
    }

    fn flawed(file: &str, rule: Rule, span: Option<Span>) -> NoticeKind {
        let diagnostic = Diagnostic { rule, file: Arc::from(Path::new(file)), span };
        NoticeKind::Flawed { diagnostic, digest: None, meant: true }
    }

    fn syntax(file: &str, span: Option<Span>) -> NoticeKind {
        flawed(file, Rule::Syntax("expected `)`".to_owned()), span)
    }

    /// As a terminal of this width shows it, in colour.
    fn shown(notices: &[Notice], columns: Option<u16>) -> String {
        let mut lines = Lines::new(true, Commands::default());
        let mut screen = String::new();
        for notice in notices {
            let (line, more) = lines.render(notice, "12:34:56", 1, columns, columns);
            assert!(columns.is_some() || !line.contains('\n'), "{line:?}");
            for part in [line, more].iter().filter(|part| !part.is_empty()) {
                push(&mut screen, format_args!("{part}\n"));
            }
        }
        screen
    }

    #[track_caller]
    fn check(notices: &[Notice], columns: Option<u16>, expected: Expect) {
        expected.assert_eq(&console::strip_ansi_codes(&shown(notices, columns)));
    }

    fn folder() -> Notice {
        let what = flawed("plugins/closed", Rule::UnreadableFolder("permission denied".to_owned()), None);
        Notice { about: Subject::file(&Arc::from(Path::new("plugins/closed"))), what }
    }

    fn session() -> Vec<Notice> {
        let took = Duration::from_millis(34);
        let server = "http://localhost:8080".to_owned();
        let shout = |what| Notice { about: about(Entry::Filter, "shout", Some("1.1")), what };
        let clock = |what| Notice { about: about(Entry::Tools, "clock", None), what };
        let duck = |what| Notice { about: about(Entry::Pipe, "rubber_duck_of_the_house", Some("0.3")), what };
        let file = |what| Notice { about: Subject::file(&Arc::from(Path::new("plugins/new.py"))), what };
        let tally = PassSummary { created: 1, updated: 1, refused: 1, ..PassSummary::default() };
        vec![
            Notice::general(NoticeKind::Ready {
                roots: vec![PathBuf::from("plugins")],
                plugins: 3,
                server: server.clone(),
            }),
            Notice::general(NoticeKind::Connected { server: server.clone(), version: "0.12.4".to_owned() }),
            clock(NoticeKind::Created { active: None, global: false, again: false, took }),
            duck(NoticeKind::Created { active: Some(false), global: false, again: false, took }),
            duck(NoticeKind::Created { active: Some(false), global: false, again: false, took }),
            shout(NoticeKind::Updated { from: Some("1.0".to_owned()), kept: None, active: Some(true), took }),
            shout(NoticeKind::Updated {
                from: None,
                kept: Some(PathBuf::from(".owui-watch/backups/copy.py")),
                active: None,
                took,
            }),
            shout(NoticeKind::Updated { from: None, kept: None, active: Some(false), took }),
            shout(NoticeKind::Unchanged { in_pass: false, active: Some(false), good_again: true }),
            shout(NoticeKind::WouldUpdate { from: Some("1.0".to_owned()), foreign: false }),
            shout(NoticeKind::Refused {
                refusal: Refusal::said("invalid syntax (<string>, line 2)"),
                span: Some(span(2, 1, 14, "class Filter(:")),
                requirements: None,
                installs: true,
                old_version: Some(OldVersion::Running),
                took,
            }),
            shout(NoticeKind::Refused {
                refusal: Refusal::said(String::new()),
                span: None,
                requirements: None,
                installs: true,
                old_version: None,
                took,
            }),
            shout(NoticeKind::Refused {
                refusal: Refusal::said("pip failed:\r\n  no such package\n\x1b[31mgave up\x07"),
                span: None,
                requirements: None,
                installs: true,
                old_version: Some(OldVersion::Off),
                took,
            }),
            shout(NoticeKind::RefusedBefore {
                refusal: Refusal::said("No Function class found in the module"),
                span: None,
                requirements: None,
                installs: true,
                on_server: true,
            }),
            shout(NoticeKind::Failed { failure: Failure::StoredOther, took }),
            shout(syntax("plugins/shout.py", Some(span(2, 14, 1, "class Filter(:")))),
            file(syntax("plugins/new.py", None)),
            folder(),
            shout(NoticeKind::Surprising(Diagnostic {
                rule: Rule::BrokenImport {
                    module: "configparser".to_owned(),
                    becomes: "open_webui.configparser".to_owned(),
                },
                file: Arc::from(Path::new("plugins/shout.py")),
                span: Some(span(5, 6, 12, "from configparser import ConfigParser")),
            })),
            Notice {
                about: Subject { path: None, ..about(Entry::Filter, "shout", None) },
                what: NoticeKind::Conflict { paths: vec![Arc::from(Path::new("a.py")), Arc::from(Path::new("b.py"))] },
            },
            file(NoticeKind::BeingWritten),
            shout(NoticeKind::Waiting { reason: WaitReason::Away, again: false }),
            Notice::general(NoticeKind::Unreachable {
                cause: "connection refused".into(),
                server,
                next: Duration::from_millis(500),
                waiting: 1,
                configured: false,
            }),
            Notice::trouble("one\ntwo", None),
            Notice::general(NoticeKind::Summary { tally, took: Duration::from_secs(2), dry_run: false }),
        ]
    }

    #[test]
    fn a_session() {
        check(
            &session(),
            Some(100),
            expect![[r#"
                12:34:56 · watching `plugins` (3 plugins) for http://localhost:8080
                12:34:56 · http://localhost:8080 is Open WebUI 0.12.4
                12:34:56 ✓ tool    clock         created  34 ms
                12:34:56 ✓ pipe    rubber_duck_of_the_house  0.3  created, switched off  34 ms
                hint: `owui-watch on rubber_duck_of_the_house` switches it on
                hint: set `activate_new = true` in watch.toml to have new functions switched on
                12:34:56 ✓ pipe    rubber_duck_of_the_house  0.3  created, switched off  34 ms
                12:34:56 ✓ filter  shout                     1.0 → 1.1  updated  34 ms
                12:34:56 ✓ filter  shout                     1.1        updated  34 ms
                  the text on the server was not deployed from here; a copy is in .owui-watch/backups/copy.py
                12:34:56 ✓ filter  shout                     1.1        updated (off)  34 ms
                12:34:56 = filter  shout                     1.1        good again, unchanged (off)
                12:34:56 → filter  shout                     1.0 → 1.1  would be updated
                12:34:56 ✗ filter  shout                     1.1        refused by the server  34 ms
                plugins/shout.py:2:1: error: invalid syntax
                  |
                2 | class Filter(:
                  | ^^^^^^^^^^^^^^
                note: the old version keeps running
                12:34:56 ✗ filter  shout                     1.1        refused by the server  34 ms
                plugins/shout.py:1:1: error: no reason was given
                hint: the server's log may say more
                12:34:56 ✗ filter  shout                     1.1        refused by the server  34 ms
                plugins/shout.py:1:1: error: pip failed:
                    no such package
                  gave up␇
                note: the old version is off
                hint: the server's log may say more
                12:34:56 ✗ filter  shout                     1.1        refused before, not sent again
                plugins/shout.py:1:1: error: No Function class found in the module
                note: the server keeps the old version
                hint: correct the file
                hint: `owui-watch deploy shout` sends it again as it is
                12:34:56 ✗ filter  shout                     1.1        not deployed  34 ms
                plugins/shout.py:1:1: error: the server stores a different text from the one sent: someone else has
                  just edited the plugin
                hint: when nobody else is editing the plugin, `owui-watch deploy shout` sends it again
                12:34:56 ✗ filter  shout                     1.1        not sent
                plugins/shout.py:2:14: error: invalid Python: expected `)`
                  |
                2 | class Filter(:
                  |              ^
                12:34:56 ✗ plugins/new.py  not sent
                plugins/new.py:1:1: error: invalid Python: expected `)`
                12:34:56 ✗ plugins/closed  a folder that cannot be read: permission denied
                hint: make it readable, or leave it out with `exclude` in watch.toml
                12:34:56 ! filter  shout                     1.1        warning
                plugins/shout.py:5:6: warning: the server rewrites the import of `configparser` to
                  `open_webui.configparser`, which will fail
                  |
                5 | from configparser import ConfigParser
                  |      ^^^^^^^^^^^^
                hint: write `import configparser`, which is left as it is
                12:34:56 ✗ filter  shout                                not deployed: `a.py` and `b.py` claim this
                           id
                hint: set another `id` in its header or under `[plugins."path"]` in watch.toml
                hint: leave all but one out with `exclude` in watch.toml
                12:34:56 … plugins/new.py  still being written; will be deployed once it is complete
                12:34:56 … filter  shout                     1.1        waiting: the server is away
                12:34:56 ! cannot reach http://localhost:8080: connection refused (next try in 500 ms, 1 plugin
                           waiting)
                hint: set OPENWEBUI_URL, or `url` in watch.toml, to the address of your server
                hint: `owui-watch sandbox` starts a throw-away Open WebUI to try things out
                12:34:56 ! one
                  two
                12:34:56 ! 3 plugins in 2.0 s: 1 created, 1 updated, 1 refused
            "#]],
        );
    }

    /// Nothing is aligned, and hints are wrapped.
    #[test]
    fn a_narrow_terminal() {
        let wraps = |notice: &Notice| {
            matches!(
                notice.what,
                NoticeKind::RefusedBefore { .. } | NoticeKind::Conflict { .. } | NoticeKind::Unreachable { .. }
            )
        };
        let notices: Vec<_> = session().into_iter().filter(wraps).collect();
        check(
            &notices,
            Some(60),
            expect![[r#"
                12:34:56 ✗ filter  shout  1.1  refused before, not sent
                           again
                plugins/shout.py:1:1: error: No Function class found in the
                  module
                note: the server keeps the old version
                hint: correct the file
                hint: `owui-watch deploy shout` sends it again as it is
                12:34:56 ✗ filter  shout  not deployed: `a.py` and `b.py`
                           claim this id
                hint: set another `id` in its header or under
                      `[plugins."path"]` in watch.toml
                hint: leave all but one out with `exclude` in watch.toml
                12:34:56 ! cannot reach http://localhost:8080: connection
                           refused (next try in 500 ms, 1 plugin waiting)
                hint: set OPENWEBUI_URL, or `url` in watch.toml, to the
                      address of your server
                hint: `owui-watch sandbox` starts a throw-away Open WebUI to
                      try things out
            "#]],
        );
    }

    /// Elsewhere a hint of the sandbox would reach the server of the settings.
    #[test]
    fn commands_in_hints_reach_the_sandbox() {
        let url = "http://127.0.0.1:8470";
        let mut lines = Lines::new(true, Commands::new(None, Some(url), &[]));
        let remedies = lines.remedies(&Notice { about: about(Entry::Pipe, "a", None), what: NoticeKind::LeftOff });
        assert_eq!(remedies, [format!("`owui-watch on --url {url} a` switches it on")]);
        for notice in crate::notice::samples::samples() {
            for remedy in Lines::new(true, Commands::new(None, Some(url), &[])).remedies(&notice) {
                for named in remedy.split("\u{60}owui-watch ").skip(1) {
                    let is_there = named.split('`').next().is_some_and(|command| command.contains(url));
                    let is_local = ["sandbox", "trust", "--once"].iter().any(|command| named.starts_with(command));
                    assert!(is_there || is_local, "{named}");
                }
            }
        }
    }

    #[test]
    fn a_switch_of_another_command_names_the_plugin_once() {
        let usage = Use { active: Some(false), ..Use::default() };
        let report = Report::Switched { switch: Switch::Active, is: false, before: false, usage };
        let path = Some(Arc::from(Path::new("plugins/shout.py")));
        let about = Subject { path, ..about(Entry::Pipe, "shout", None) };
        check(
            &[Notice::report(about, report)],
            Some(100),
            expect![[r#"
            12:34:56 · pipe    shout         is off now
        "#]],
        );
    }

    #[test]
    fn what_a_plugin_does() {
        let pipe = |what| Notice { about: about(Entry::Pipe, "shout", Some("1.1")), what };
        let (path, took) = (Some(Arc::from(Path::new("plugins/shout.py"))), Duration::from_millis(3));
        let frame = |line, function: &str, source: &str| Frame {
            key: about(Entry::Pipe, "shout", None).key.unwrap(),
            path: path.clone(),
            function: function.to_owned(),
            span: span(line, 12, 9, source),
        };
        let raised = Raised {
            hook: "pipe".to_owned(),
            error: "ValidationError: 1 error\n  x\n    \x1b[31mwrong".to_owned(),
            frames: vec![frame(7, "lookup", "    return body[key]"), frame(12, "pipe", "")],
            outside: 3,
            at: Some("json/decoder.py:355".to_owned()),
            causes: vec![("KeyError: 'x'".to_owned(), Some(frame(7, "lookup", "")))],
            took: Some(took),
            ..Raised::default()
        };
        let again = Raised { before: 2, ..raised.clone() };
        let called = |result: &str, times| NoticeKind::Called {
            hook: "pipe".to_owned(),
            server_event: None,
            result: result.to_owned(),
            again: false,
            times,
            total: None,
            took,
        };
        let printed = |text: &str, level: Option<&str>| {
            let (text, log_level) = (text.to_owned(), level.map(str::to_owned));
            NoticeKind::Printed { text, log_level, line: level.map(|_| 16) }
        };
        check(
            &[
                pipe(called("\"HI\"", 1)),
                pipe(called("", 14)),
                pipe(called("", 1)),
                pipe(printed("called by \x1b[31mAnn", None)),
                pipe(printed("careful", Some("warning"))),
                pipe(NoticeKind::Raised(Box::new(raised))),
                pipe(NoticeKind::Raised(Box::new(again))),
                Notice::general(NoticeKind::ServerLog { text: "INFO started".to_owned() }),
            ],
            Some(100),
            expect![[r#"
                12:34:56 · pipe    shout         1.1  pipe → "HI"  3 ms
                12:34:56 · pipe    shout         1.1  pipe ×14  3 ms
                12:34:56 · pipe    shout         1.1  pipe  3 ms
                12:34:56 · pipe    shout         1.1  | called by Ann
                12:34:56 ! pipe    shout         1.1  | careful (line 16)
                12:34:56 ✗ pipe    shout         1.1  pipe raised an exception  3 ms
                plugins/shout.py:7:12: error: ValidationError: 1 error
                  |
                7 |     return body[key]
                  |            ^^^^^^^^^
                    x
                      wrong
                  called at plugins/shout.py:12:12 in pipe
                  raised at json/decoder.py:355, 3 frames away from the plugin
                  caused by KeyError: 'x' at plugins/shout.py:7:12
                12:34:56 ✗ pipe    shout         1.1  pipe raised ValidationError in line 7 again ×2  3 ms
                12:34:56 · server: INFO started
            "#]],
        );
    }

    #[test]
    fn colours_are_there_and_take_nothing_away() {
        let notice = Notice {
            about: about(Entry::Filter, "shout", None),
            what: syntax("plugins/shout.py", Some(span(2, 3, 1, "ab("))),
        };
        let screen = shown(&[notice], None);
        assert!(screen.contains("\x1b["), "{screen:?}");
        // The line that editors look for.
        assert!(
            screen.lines().any(|line| line == "plugins/shout.py:2:3: error: invalid Python: expected `)`"),
            "{screen:?}"
        );
    }

    #[test]
    fn ids_stand_in_a_column_that_grows() {
        let printed = NoticeKind::Printed { text: "x".to_owned(), log_level: None, line: None };
        let printed = |id| Notice { about: about(Entry::Pipe, id, None), what: printed.clone() };
        let ids = ["a", "a_name_of_some_length", "größe", "a_name_that_is_longer_than_any_sensible_column", "b"];
        check(
            &ids.map(printed),
            None,
            expect![[r#"
                12:34:56 · pipe    a             | x
                12:34:56 · pipe    a_name_of_some_length  | x
                12:34:56 · pipe    größe                  | x
                12:34:56 · pipe    a_name_that_is_longer_than_any_sensible_column  | x
                12:34:56 · pipe    b                             | x
            "#]],
        );
    }
}
