//! The terminal: notices become lines. Status lines go to stdout, what explains them (frames, hints) to stderr.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level as Label, Renderer, Snippet};
use anstyle::{AnsiColor, Effects, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{Timestamp, tz::TimeZone};

use crate::notice::{Level, Notice, NoticeKind, duration};
use crate::plugin::{Entry, Span};
use crate::printable;

/// A pass with at least this many conversations gets a progress bar.
const LONG_PASS: usize = 12;
/// Below this many columns a line is not aligned: what happened matters more than where it stands.
const NARROW: u16 = 72;
/// The columns of an id grow with the ids that were seen, up to this.
const WIDEST_ID: usize = 28;
/// So do those of a version: `1.3.0 → 1.3.1` fits.
const WIDEST_VERSION: usize = 15;

/// How the terminal is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Lines,
    /// One JSON object per line, for programs.
    Json,
}

/// Prints notices.
pub struct Console {
    format: Format,
    least: Level,
    zone: TimeZone,
    id_width: usize,
    version_width: usize,
    bar: Option<ProgressBar>,
    /// The hints to good news that were given already: one is helpful, one per plugin is noise.
    hinted: BTreeSet<String>,
    /// Whether stdout still takes what is written to it.
    gone: bool,
}

impl Console {
    /// Prints notices of at least this level; all of them as JSON.
    #[must_use]
    pub fn new(format: Format, least: Level) -> Self {
        Self {
            format,
            least,
            zone: TimeZone::system(),
            id_width: 12,
            version_width: 0,
            bar: None,
            hinted: BTreeSet::new(),
            gone: false,
        }
    }

    /// Prints a notice.
    pub fn tell(&mut self, notice: &Notice, time: Timestamp) {
        match self.format {
            Format::Json => {
                self.gone |= print(&printable::json(&notice.to_json(&time.to_string()).to_string()), "").is_err();
            }
            Format::Lines => {
                self.progress(notice);
                if notice.level() >= self.least {
                    let clock = time.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string();
                    let [above, below] = [console::Term::stdout(), console::Term::stderr()].map(|it| columns(&it));
                    let (line, more) = self.render(notice, &clock, above, below);
                    let printed = match &self.bar {
                        Some(bar) => bar.suspend(|| print(&line, &more)),
                        None => print(&line, &more),
                    };
                    self.gone |= printed.is_err();
                }
            }
        }
    }

    /// Whether nobody reads any more what is printed, as after `owui-watch | head`.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    fn progress(&mut self, notice: &Notice) {
        match &notice.what {
            NoticeKind::Pass { todo } if *todo >= LONG_PASS && std::io::stdout().is_terminal() => {
                let bar = ProgressBar::with_draw_target(u64::try_from(*todo).ok(), ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} plugins") {
                    bar.set_style(style);
                }
                self.bar = Some(bar);
            }
            NoticeKind::Summary { .. }
            | NoticeKind::Unreachable { .. }
            | NoticeKind::NotAllowed { .. }
            | NoticeKind::Foreign { .. }
            | NoticeKind::GaveUp { .. }
            | NoticeKind::Stopping { .. } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
            _ if notice.is_outcome() => {
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
            }
            _ => {}
        }
    }

    /// The status line, and what stands below it (which may be nothing). `above` and `below` are the widths of the
    /// terminals that show the two, if they are terminals.
    fn render(&mut self, notice: &Notice, clock: &str, above: Option<u16>, below: Option<u16>) -> (String, String) {
        self.widen(notice);
        let mut remedies = notice.hint().unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
        remedies.retain(|remedy| {
            let new = self.hinted.insert(remedy.clone());
            // What was said when the trying began is not said again when it ends.
            new || notice.level() > Level::Info && !matches!(notice.what, NoticeKind::GaveUp { .. })
        });
        let aligned = above.is_none_or(|columns| columns >= NARROW);
        (self.line(notice, clock, aligned), explanation(notice, &remedies, below))
    }

    fn widen(&mut self, notice: &Notice) {
        if let Some(key) = &notice.about.key {
            self.id_width = self.id_width.max(width(key.id.as_str()).min(WIDEST_ID));
            let version = notice.version().unwrap_or_default();
            self.version_width = self.version_width.max(width(&version).min(WIDEST_VERSION));
        }
    }

    /// What it is about, what happened to it, and how long that took.
    fn line(&self, notice: &Notice, clock: &str, aligned: bool) -> String {
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
            push_column(&mut line, &printable::line(&path.display().to_string()), 0, BOLD);
        }
        let what = notice.headline().map_or_else(|| printable::text(&notice.sentence()).into_owned(), str::to_owned);
        push(&mut line, format_args!("{style}{}{style:#}", first_line(&what)));
        if let (Some(took), true) = (notice.took(), notice.about.key.is_some()) {
            push(&mut line, format_args!("  {DIM}{}{DIM:#}", duration(took)));
        }
        line
    }
}

const BOLD: Style = Style::new().effects(Effects::BOLD);
const DIM: Style = Style::new().effects(Effects::DIMMED);
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);

/// The sign says without colour what the colour says.
fn sign(notice: &Notice) -> (&'static str, Style) {
    match &notice.what {
        NoticeKind::Created { .. } | NoticeKind::Updated { .. } => ("✓", GREEN),
        NoticeKind::Unchanged { .. } => ("=", DIM),
        NoticeKind::WouldCreate | NoticeKind::WouldUpdate { .. } => ("→", Style::new()),
        NoticeKind::Summary { tally, .. } if !tally.is_complete() => ("!", YELLOW),
        NoticeKind::Waiting { .. }
        | NoticeKind::Slow { .. }
        | NoticeKind::SettingsWait { .. }
        | NoticeKind::Held
        | NoticeKind::BeingWritten
        | NoticeKind::RolledBack => ("…", YELLOW),
        NoticeKind::Restored | NoticeKind::Deleted { .. } | NoticeKind::Deactivated | NoticeKind::Spared { .. } => {
            ("!", YELLOW)
        }
        _ => match notice.level() {
            Level::Detail => ("·", DIM),
            Level::Info => ("·", Style::new()),
            Level::Warning => ("!", YELLOW),
            Level::Error => ("✗", RED),
        },
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

fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// The rest of a long answer stands below the line.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A message of one or more lines: each line after the first is indented, so that none passes for a message of its own.
#[must_use]
pub fn message(text: &str) -> String {
    let text = printable::text(text);
    let mut lines = text.trim_end_matches('\n').split('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |shown, line| {
        let indent = if line.is_empty() || line.starts_with("  ") { "" } else { "  " };
        shown + "\n" + indent + line
    })
}

/// Where it is, in the form that editors jump to; the source line; the rest of the words; the remedy.
fn explanation(notice: &Notice, remedies: &[String], columns: Option<u16>) -> String {
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
    if let (Some(path), Some((severity, label)), Some(_)) = (&notice.about.path, severity, notice.headline()) {
        let (line, column) = notice.span().map_or((1, 1), |span| (span.line, span.column));
        let path = path.display().to_string();
        let path = printable::line(&path);
        // Without colour: editors look for this line with an expression that starts at its first character.
        lines.push(format!("{path}:{line}:{column}: {severity}: {}", rest.next().unwrap_or_default()));
        if let Some(span) = notice.span() {
            lines.push(frame(span, label, columns));
        }
    }
    lines.extend(rest.map(|line| format!("  {line}")));
    lines.extend(notice.note().map(|note| labelled("note", BOLD, note, columns)));
    lines.extend(remedies.iter().map(|remedy| hint_line(remedy, columns)));
    lines.join("\n")
}

fn hint_line(remedy: &str, columns: Option<u16>) -> String {
    labelled("hint", GREEN, remedy, columns)
}

/// A text behind its label of four letters, wrapped between words. A word that does not fit stays whole, so that it can be
/// copied; so does what stands in backticks, such as a command.
fn labelled(label: &str, style: Style, text: &str, columns: Option<u16>) -> String {
    let label = format!("{style}{label}{style:#}: ");
    let options = textwrap::Options::new(columns.map_or(usize::MAX, usize::from))
        .initial_indent(&label)
        .subsequent_indent("      ")
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .word_separator(textwrap::WordSeparator::Custom(words));
    textwrap::fill(&printable::line(text), options)
}

fn words(line: &str) -> Box<dyn Iterator<Item = textwrap::core::Word<'_>> + '_> {
    let is_paired = line.matches('`').count().is_multiple_of(2);
    let mut quoted = false;
    let ends_word = move |c: char| {
        quoted ^= c == '`';
        c == ' ' && !(quoted && is_paired)
    };
    Box::new(line.split_inclusive(ends_word).map(textwrap::core::Word::from))
}

/// The source line with the place underlined. A place that the line does not have is moved to its end.
fn frame(span: &Span, label: Label<'static>, columns: Option<u16>) -> String {
    let source = printable::source(&span.source);
    let offset = |chars: usize| source.char_indices().nth(chars).map_or(source.len(), |(at, _)| at);
    let before = span.column.saturating_sub(1);
    let marked = offset(before)..offset(before.saturating_add(span.width));
    let snippet = Snippet::source(&*source).line_start(span.line).annotation(AnnotationKind::Primary.span(marked));
    let renderer = Renderer::styled().decor_style(DecorStyle::Ascii);
    let renderer = match columns {
        Some(columns) => renderer.term_width(columns.into()),
        None => renderer,
    };
    renderer.render(&[Group::with_level(label).element(snippet)])
}

/// `anstream` takes the colours out where they are not wanted (`NO_COLOR`, a file, a pipe). The error is that of stdout,
/// whose other end may be gone; whoever closes stderr does not want to know.
fn print(line: &str, more: &str) -> std::io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush())?;
    drop(stdout);
    if !more.is_empty() {
        writeln!(anstream::stderr().lock(), "{more}").ok();
    }
    Ok(())
}

/// Prints why the program cannot go on, and the remedy.
pub fn fatal(message: &str, hint: Option<&str>) {
    let mut stderr = anstream::stderr().lock();
    writeln!(stderr, "{RED}error{RED:#}: {}", self::message(message)).ok();
    drop(stderr);
    if let Some(hint) = hint {
        print_hint(hint);
    }
}

/// Prints a hint to stderr; each of its lines is a remedy of its own.
pub fn print_hint(hint: &str) {
    let columns = columns(&console::Term::stderr());
    let mut stderr = anstream::stderr().lock();
    for remedy in hint.lines() {
        writeln!(stderr, "{}", hint_line(remedy, columns)).ok();
    }
}

/// How wide a terminal is, if it is one.
fn columns(terminal: &console::Term) -> Option<u16> {
    terminal.size_checked().map(|(_, columns)| columns)
}

/// Prints what is being done before there is anything to watch; in place, where the terminal can do that.
pub struct Steps(ProgressBar);

impl Steps {
    /// Begins with nothing.
    #[must_use]
    pub fn new(format: Format) -> Self {
        let hidden = format == Format::Json;
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// What is being done now.
    pub fn doing(&self, what: &str) {
        self.0.set_message(printable::line(what).into_owned());
        self.0.tick();
    }

    /// What has been done, to stay on the screen.
    pub fn done(&self, what: &str) {
        self.0.suspend(|| writeln!(anstream::stderr().lock(), "{}", message(what)).ok());
    }

    /// Takes the spinner away.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
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
    use crate::engine::ledger::RefusalKind;
    use crate::notice::{OldVersion, PassSummary, Subject, WaitReason};
    use crate::plugin::{Flaw, Key, Problem, Surprise, Warning, id::PluginId};

    fn about(entry: Entry, id: &str, version: Option<&str>) -> Subject {
        Subject {
            key: Some(Key { kind: entry.kind(), id: PluginId::new(id).unwrap() }),
            entry: Some(entry),
            path: Some(Arc::from(Path::new("plugins").join(id).with_extension("py"))),
            version: version.map(str::to_owned),
            digest: None,
        }
    }

    fn span(line: usize, column: usize, width: usize, source: &str) -> Span {
        Span { line, column, width, source: source.to_owned() }
    }

    fn flawed(span: Option<Span>) -> NoticeKind {
        NoticeKind::Flawed(Flaw {
            digest: None,
            problem: Problem::Syntax("expected `)`".to_owned()),
            span,
            meant: true,
        })
    }

    /// As a terminal of this width shows it, in colour.
    fn shown(notices: &[Notice], columns: Option<u16>) -> String {
        let mut console = Console::new(Format::Lines, Level::Detail);
        let mut screen = String::new();
        for notice in notices {
            let (line, more) = console.render(notice, "12:34:56", columns, columns);
            assert!(!line.contains('\n'), "{line:?}");
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
        let problem = Problem::UnreadableFolder("permission denied".to_owned());
        let what = NoticeKind::Flawed(Flaw { digest: None, problem, span: None, meant: true });
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
            clock(NoticeKind::Created { active: None, took }),
            duck(NoticeKind::Created { active: Some(false), took }),
            duck(NoticeKind::Created { active: Some(false), took }),
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
                words: "invalid syntax (<string>, line 2)".to_owned(),
                kind: RefusalKind::Said,
                span: Some(span(2, 1, 14, "class Filter(:")),
                requirements: None,
                old_version: Some(OldVersion::Running),
                took,
            }),
            shout(NoticeKind::Refused {
                words: String::new(),
                kind: RefusalKind::Said,
                span: None,
                requirements: None,
                old_version: None,
                took,
            }),
            shout(NoticeKind::Refused {
                words: "pip failed:\r\n  no such package\n\x1b[31mgave up\x07".to_owned(),
                kind: RefusalKind::Said,
                span: None,
                requirements: None,
                old_version: Some(OldVersion::Off),
                took,
            }),
            shout(NoticeKind::RefusedBefore {
                words: "No Function class found in the module".to_owned(),
                span: None,
                on_server: true,
            }),
            shout(NoticeKind::Failed { failure: Failure::StoredOther, took }),
            shout(flawed(Some(span(2, 14, 1, "class Filter(:")))),
            file(flawed(None)),
            folder(),
            shout(NoticeKind::Surprising(Warning {
                surprise: Surprise::BrokenImport {
                    module: "configparser".to_owned(),
                    becomes: "open_webui.configparser".to_owned(),
                },
                span: span(5, 6, 12, "from configparser import ConfigParser"),
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
            Notice::general(NoticeKind::Trouble { message: "one\ntwo".to_owned(), hint: None }),
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
                hint: switch it on in Admin Panel > Functions
                hint: set `activate_new = true` in watch.toml to have new functions switched on
                12:34:56 ✓ pipe    rubber_duck_of_the_house  0.3  created, switched off  34 ms
                12:34:56 ✓ filter  shout                     1.0 → 1.1  updated  34 ms
                12:34:56 ✓ filter  shout                     1.1        updated  34 ms
                  the text on the server was not deployed from here; a copy is in .owui-watch/backups/copy.py
                12:34:56 ✓ filter  shout                     1.1        updated (off)  34 ms
                12:34:56 = filter  shout                     1.1        good again, unchanged (off)
                12:34:56 → filter  shout                     1.0 → 1.1  would be updated
                12:34:56 ✗ filter  shout                     1.1        refused by the server  34 ms
                plugins/shout.py:2:1: error: invalid syntax (<string>, line 2)
                  |
                2 | class Filter(:
                  | ^^^^^^^^^^^^^^
                note: the old version keeps running
                12:34:56 ✗ filter  shout                     1.1        refused by the server  34 ms
                plugins/shout.py:1:1: error: no reason was given
                hint: look for more in the server's log
                12:34:56 ✗ filter  shout                     1.1        refused by the server  34 ms
                plugins/shout.py:1:1: error: pip failed:
                    no such package
                  gave up␇
                note: the old version is off
                hint: look for more in the server's log
                12:34:56 ! filter  shout                     1.1        refused before, not sent again
                plugins/shout.py:1:1: warning: No Function class found in the module
                note: the server keeps the old version
                hint: correct the file, or save it again to retry (with --once: add --force)
                12:34:56 ✗ filter  shout                     1.1        not deployed  34 ms
                plugins/shout.py:1:1: error: the server holds a different text than the one sent: somebody edited it just now
                hint: save it again when nobody else is editing it
                12:34:56 ✗ filter  shout                     1.1        not sent
                plugins/shout.py:2:14: error: invalid Python: expected `)`
                  |
                2 | class Filter(:
                  |              ^
                12:34:56 ✗ plugins/new.py  not sent
                plugins/new.py:1:1: error: invalid Python: expected `)`
                12:34:56 ✗ plugins/closed  a folder that cannot be read: permission denied
                hint: make it readable (`chmod u+rx`), or leave it out with `exclude` in watch.toml
                12:34:56 ! filter  shout                     1.1        warning
                plugins/shout.py:5:6: warning: the server rewrites the import of `configparser` to `open_webui.configparser`, which will fail
                  |
                5 | from configparser import ConfigParser
                  |      ^^^^^^^^^^^^
                hint: write `import configparser`, which is left as it is
                12:34:56 ✗ filter  shout                                not deployed: `a.py` and `b.py` claim this id
                hint: exclude all but one, or give one another id, in its frontmatter or under `[plugins."path"]` in
                      watch.toml
                12:34:56 … plugins/new.py  still being written; deployed when it is complete
                12:34:56 … filter  shout                     1.1        waiting: the server is away
                12:34:56 ! cannot reach http://localhost:8080: connection refused (next try in 500 ms, 1 plugin waiting)
                hint: set OPENWEBUI_URL, or `url` in watch.toml, to the address of your server
                hint: `owui-watch sandbox` starts a throw-away Open WebUI to try things out
                12:34:56 ! one
                  two
                12:34:56 ! 3 plugins in 2.0 s: 1 created, 1 updated, 1 refused
            "#]],
        );
    }

    #[test]
    fn a_session_in_a_narrow_terminal() {
        check(
            &session(),
            Some(60),
            expect![[r#"
                12:34:56 · watching `plugins` (3 plugins) for http://localhost:8080
                12:34:56 · http://localhost:8080 is Open WebUI 0.12.4
                12:34:56 ✓ tool  clock  created  34 ms
                12:34:56 ✓ pipe  rubber_duck_of_the_house  0.3  created, switched off  34 ms
                hint: switch it on in Admin Panel > Functions
                hint: set `activate_new = true` in watch.toml to have new
                      functions switched on
                12:34:56 ✓ pipe  rubber_duck_of_the_house  0.3  created, switched off  34 ms
                12:34:56 ✓ filter  shout  1.0 → 1.1  updated  34 ms
                12:34:56 ✓ filter  shout  1.1  updated  34 ms
                  the text on the server was not deployed from here; a copy is in .owui-watch/backups/copy.py
                12:34:56 ✓ filter  shout  1.1  updated (off)  34 ms
                12:34:56 = filter  shout  1.1  good again, unchanged (off)
                12:34:56 → filter  shout  1.0 → 1.1  would be updated
                12:34:56 ✗ filter  shout  1.1  refused by the server  34 ms
                plugins/shout.py:2:1: error: invalid syntax (<string>, line 2)
                  |
                2 | class Filter(:
                  | ^^^^^^^^^^^^^^
                note: the old version keeps running
                12:34:56 ✗ filter  shout  1.1  refused by the server  34 ms
                plugins/shout.py:1:1: error: no reason was given
                hint: look for more in the server's log
                12:34:56 ✗ filter  shout  1.1  refused by the server  34 ms
                plugins/shout.py:1:1: error: pip failed:
                    no such package
                  gave up␇
                note: the old version is off
                hint: look for more in the server's log
                12:34:56 ! filter  shout  1.1  refused before, not sent again
                plugins/shout.py:1:1: warning: No Function class found in the module
                note: the server keeps the old version
                hint: correct the file, or save it again to retry (with
                      --once: add --force)
                12:34:56 ✗ filter  shout  1.1  not deployed  34 ms
                plugins/shout.py:1:1: error: the server holds a different text than the one sent: somebody edited it just now
                hint: save it again when nobody else is editing it
                12:34:56 ✗ filter  shout  1.1  not sent
                plugins/shout.py:2:14: error: invalid Python: expected `)`
                  |
                2 | class Filter(:
                  |              ^
                12:34:56 ✗ plugins/new.py  not sent
                plugins/new.py:1:1: error: invalid Python: expected `)`
                12:34:56 ✗ plugins/closed  a folder that cannot be read: permission denied
                hint: make it readable (`chmod u+rx`), or leave it out with
                      `exclude` in watch.toml
                12:34:56 ! filter  shout  1.1  warning
                plugins/shout.py:5:6: warning: the server rewrites the import of `configparser` to `open_webui.configparser`, which will fail
                  |
                5 | from configparser import ConfigParser
                  |      ^^^^^^^^^^^^
                hint: write `import configparser`, which is left as it is
                12:34:56 ✗ filter  shout  not deployed: `a.py` and `b.py` claim this id
                hint: exclude all but one, or give one another id, in its
                      frontmatter or under `[plugins."path"]` in watch.toml
                12:34:56 … plugins/new.py  still being written; deployed when it is complete
                12:34:56 … filter  shout  1.1  waiting: the server is away
                12:34:56 ! cannot reach http://localhost:8080: connection refused (next try in 500 ms, 1 plugin waiting)
                hint: set OPENWEBUI_URL, or `url` in watch.toml, to the
                      address of your server
                hint: `owui-watch sandbox` starts a throw-away Open WebUI to
                      try things out
                12:34:56 ! one
                  two
                12:34:56 ! 3 plugins in 2.0 s: 1 created, 1 updated, 1 refused
            "#]],
        );
    }

    /// Whatever the width, no line is longer than it unless a single word is, and no text is lost or torn.
    #[test]
    fn hints_wrap_at_words_at_any_width() {
        let remedy = "名前のプラグイン are set with `id = \"my plugin\"` in /home/somebody/projects/plugins/watch.toml, see \
                      https://example.org/open-webui/plugins#ids for more about it";
        let whole = ["`id = \"my plugin\"`", "/home/somebody/projects/plugins/watch.toml,", "名前のプラグイン"];
        for columns in 1..=200 {
            let shown = console::strip_ansi_codes(&hint_line(remedy, Some(columns))).into_owned();
            let lines: Vec<_> = shown.lines().collect();
            for line in &lines {
                let text = line.strip_prefix("hint: ").or(line.strip_prefix("      ")).expect("the text's column");
                let is_one_word = !text.contains(' ') || text.starts_with('`') && text.ends_with('`');
                assert!(width(line) <= columns.into() || is_one_word, "{columns}: {shown}");
                assert_eq!(line.trim_end(), *line, "{columns}: {shown}");
            }
            assert_eq!(lines.iter().filter(|line| line.starts_with("hint: ")).count(), 1, "{columns}: {shown}");
            assert!(whole.iter().all(|word| shown.contains(word)), "{columns}: {shown}");
            let again: Vec<_> = lines.iter().map(|line| &line["hint: ".len()..]).collect();
            assert_eq!(again.join(" "), remedy, "{columns}");
        }
        assert_eq!(console::strip_ansi_codes(&hint_line(remedy, None)), format!("hint: {remedy}"));
        // An apostrophe's cousin that is never closed binds nothing.
        let shown = hint_line("a ` b c d e f", Some(12));
        assert_eq!(console::strip_ansi_codes(&shown), "hint: a ` b\n      c d e\n      f");
    }

    #[test]
    fn no_line_of_a_message_passes_for_a_message_of_ours() {
        for (given, expected) in [
            ("one", "one"),
            ("one\r\nerror: two\n", "one\n  error: two"),
            ("one\n\n  | two\n\u{9b}2Kthree", "one\n\n  | two\n  three"),
            ("\u{1b}]0;x\u{7}a\u{202e}b", "a�b"),
        ] {
            assert_eq!(message(given), expected);
        }
    }

    #[test]
    fn colours_are_there_and_take_nothing_away() {
        let notice = Notice { about: about(Entry::Filter, "shout", None), what: flawed(Some(span(2, 3, 1, "ab("))) };
        let screen = shown(&[notice], None);
        assert!(screen.contains("\x1b["), "{screen:?}");
        // The line that editors look for.
        assert!(
            screen.lines().any(|line| line == "plugins/shout.py:2:3: error: invalid Python: expected `)`"),
            "{screen:?}"
        );
    }

    #[track_caller]
    fn check_frame(span: &Span, columns: Option<u16>, expected: Expect) {
        expected.assert_eq(&console::strip_ansi_codes(&frame(span, Label::ERROR, columns)));
    }

    #[test]
    fn the_place_is_underlined() {
        check_frame(
            &span(12, 7, 6, "class Filter(:"),
            None,
            expect![[r#"
               |
            12 | class Filter(:
               |       ^^^^^^"#]],
        );
        check_frame(
            &span(2, 2, 3, "\tdef f(:"),
            None,
            expect![[r#"
              |
            2 |     def f(:
              |     ^^^"#]],
        );
        check_frame(
            &span(2, 7, 2, "名前 = \"問題\" +"),
            None,
            expect![[r#"
              |
            2 | 名前 = "問題" +
              |         ^^^^"#]],
        );
        check_frame(
            &span(3, 1, 9, "esc = \x1b[31m\x07"),
            None,
            expect![[r#"
              |
            3 | esc = ␛[31m␇
              | ^^^^^^^^^"#]],
        );
    }

    #[test]
    fn a_place_that_the_line_does_not_have_is_its_end() {
        check_frame(
            &span(2, 5, 1, "f(1,"),
            None,
            expect![[r#"
              |
            2 | f(1,
              |     ^"#]],
        );
        check_frame(
            &span(2, 99, 4, "f(1,"),
            None,
            expect![[r#"
              |
            2 | f(1,
              |     ^"#]],
        );
        check_frame(
            &span(2, 3, 99, "f(1,"),
            None,
            expect![[r#"
              |
            2 | f(1,
              |   ^^"#]],
        );
        check_frame(
            &span(2, 1, 1, ""),
            None,
            expect![[r#"
              |
            2 |
              | ^"#]],
        );
        check_frame(
            &span(2, 9, 9, ""),
            None,
            expect![[r#"
              |
            2 |
              | ^"#]],
        );
        check_frame(
            &span(usize::MAX, 0, usize::MAX, "x"),
            None,
            expect![[r#"
                                 |
            18446744073709551615 | x
                                 | ^"#]],
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let long = format!("x = [{}", "'0123456789', ".repeat(40));
        check_frame(
            &span(2, 300, 5, &long),
            Some(60),
            expect![[r#"
              |
            2 | ...56789', '0123456789', '0123456789', '0123456789', ...
              |                          ^^^^^"#]],
        );
        let shortest = frame(&span(2, 300, 5, &long), Label::ERROR, Some(1));
        assert!(shortest.len() < 600, "{shortest}");
    }

    /// No place in no line makes it panic.
    #[test]
    fn any_place_has_a_frame() {
        for source in ["", " ", "\t", "a", "名前", "e\u{301}", "a\rb", "\u{202e}x", "\0", "👩‍👩‍👧"] {
            for column in 0..6 {
                for width in 0..6 {
                    for columns in [None, Some(0), Some(7), Some(80)] {
                        assert!(!frame(&span(1, column, width, source), Label::ERROR, columns).is_empty());
                    }
                }
            }
        }
    }

    #[test]
    fn ids_stand_in_a_column_that_grows() {
        let created = |id| Notice { about: about(Entry::Pipe, id, None), what: NoticeKind::WouldCreate };
        let ids = ["a", "a_name_of_some_length", "größe", "a_name_that_is_longer_than_any_sensible_column", "b"];
        check(
            &ids.map(created),
            None,
            expect![[r#"
            12:34:56 → pipe    a             would be created
            12:34:56 → pipe    a_name_of_some_length  would be created
            12:34:56 → pipe    größe                  would be created
            12:34:56 → pipe    a_name_that_is_longer_than_any_sensible_column  would be created
            12:34:56 → pipe    b                             would be created
        "#]],
        );
    }
}
