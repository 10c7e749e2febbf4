//! What the commands print: lines, differences, and the same as JSON.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use anstyle::{AnsiColor, Effects, Style};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};
use similar::TextDiff;

use super::CommandContext;
use crate::config::{Config, Warning};
use crate::disk::Folder;
use crate::error::Error;
use crate::notice::Level;
use crate::output::{self, Format};
use crate::plugin::Key;
use crate::printable;

const BOLD: Style = Style::new().effects(Effects::BOLD);
const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// A message of a command: text for people, an event with fields for programs.
pub(super) struct Line {
    event: &'static str,
    message: String,
    hint: Option<String>,
    level: Level,
    fields: Map<String, Value>,
}

impl Line {
    /// `event` is the word of `--json`.
    pub(super) fn new(event: &'static str, message: impl Into<String>) -> Self {
        Self { event, message: message.into(), hint: None, level: Level::Info, fields: Map::new() }
    }

    /// About a plugin.
    pub(super) fn of(self, key: &Key) -> Self {
        self.with("kind", json!(key.kind)).with("id", json!(key.id))
    }

    /// About its file.
    pub(super) fn at(self, path: &Path) -> Self {
        self.with("path", json!(path.display().to_string()))
    }

    /// Adds a field for programs; null adds none.
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        if !value.is_null() {
            self.fields.insert(name.to_owned(), value);
        }
        self
    }

    /// Says that it failed, and why.
    pub(super) fn failing(self, error: &Error) -> Self {
        let (message, hint) = (error.to_string(), error.hint().map(str::to_owned));
        Self { message, hint, level: Level::Error, ..self }
    }

    pub(super) fn hinted(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(super) fn level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    fn to_json(&self, time: Timestamp) -> String {
        let mut object = self.fields.clone();
        object.insert("time".to_owned(), json!(time.to_string()));
        object.insert("event".to_owned(), json!(self.event));
        object.insert("level".to_owned(), json!(self.level.name()));
        object.insert("message".to_owned(), json!(self.message));
        if let Some(hint) = &self.hint {
            object.insert("hint".to_owned(), json!(hint));
        }
        printable::json(&Value::Object(object).to_string()).into_owned()
    }

    fn print_hint(&self) {
        if let Some(hint) = &self.hint {
            output::print_hint(hint);
        }
    }
}

/// Prints messages, in the format and from the level that the user asked for.
#[derive(Clone, Copy)]
pub(super) struct Screen {
    format: Format,
    least: Level,
}

impl Screen {
    pub(super) fn new(context: &CommandContext) -> Self {
        Self::of(context.format, context.least)
    }

    /// For a command that is about no plugin.
    pub(super) fn of(format: Format, least: Level) -> Self {
        Self { format, least }
    }

    /// Prints a result, to stdout.
    pub(super) fn say(self, line: &Line) {
        match self.format {
            Format::Json => out(&format!("{}\n", line.to_json(super::now()))),
            Format::Lines if line.level >= self.least => {
                out(&format!("{}\n", output::message(&line.message)));
                line.print_hint();
            }
            Format::Lines => {}
        }
    }

    /// How wide the terminal is, if it is one.
    pub(super) fn columns() -> Option<usize> {
        ::console::Term::stdout().size_checked().map(|(_, columns)| columns.into())
    }

    /// Prints a row of the requested table, also with `--quiet`.
    pub(super) fn row(self, line: &Line, aligned: &str) {
        match self.format {
            Format::Json => self.say(line),
            Format::Lines => out(&format!("{aligned}\n")),
        }
    }

    /// Prints a diagnostic, to stderr.
    pub(super) fn aside(self, line: &Line) {
        match self.format {
            Format::Json => self.say(line),
            Format::Lines if line.level >= self.least => {
                let message = output::message(&line.message);
                let mut stderr = anstream::stderr().lock();
                match line.level {
                    Level::Detail | Level::Info => writeln!(stderr, "{message}"),
                    Level::Warning => writeln!(stderr, "{YELLOW}warning{YELLOW:#}: {message}"),
                    Level::Error => writeln!(stderr, "{RED}error{RED:#}: {message}"),
                }
                .ok();
                drop(stderr);
                line.print_hint();
            }
            Format::Lines => {}
        }
    }

    /// Prints the warnings about the settings.
    pub(super) fn warn(self, config: &Config) {
        for Warning { message, hint } in &config.warnings {
            self.aside(&Line::new("trouble", message).hinted(hint).level(Level::Warning));
        }
    }

    /// Warns of state that is not used.
    pub(super) fn warn_of_unused_state(self, folder: &Folder) {
        if let Some(message) = folder.unused() {
            self.aside(&Line::new("trouble", message).level(Level::Warning));
        }
    }

    /// Prints a difference, as `diff -u` shows it.
    pub(super) fn difference(self, line: Line, from: (&str, &str), to: (&str, &str)) {
        let diff = unified(from, to);
        match self.format {
            Format::Json => self.say(&line.with("diff", json!(diff))),
            Format::Lines => {
                let choice = anstream::AutoStream::choice(&std::io::stdout());
                if choice == anstream::ColorChoice::Never && !std::io::stdout().is_terminal() {
                    // As it is, whatever it holds: for a program.
                    std::io::stdout().lock().write_all(diff.as_bytes()).ok();
                } else {
                    out(&coloured(&diff));
                }
            }
        }
    }
}

/// Says why the program, or a command, cannot go on.
pub fn report(error: &Error, format: Format) {
    Screen::of(format, Level::Error).aside(&Line::new("error", "").failing(error));
}

/// Prints to stdout. That it was closed is no error.
fn out(text: &str) {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).ok();
}

/// Each side is a name and a text.
fn unified(from: (&str, &str), to: (&str, &str)) -> String {
    // A name is one line: what follows it is no line of the difference.
    let [from_name, to_name] = [from.0, to.0].map(|name| printable::source(name).replace('\n', " "));
    TextDiff::from_lines(from.1, to.1).unified_diff().header(&from_name, &to_name).to_string()
}

fn coloured(diff: &str) -> String {
    let mut heading = true;
    diff.split_inclusive('\n').fold(String::new(), |text, line| {
        heading &= !line.starts_with("@@");
        let style = match line.chars().next() {
            Some('@') => CYAN,
            Some('-' | '+') if heading => BOLD,
            Some('-') => RED,
            Some('+') => GREEN,
            Some(_) | None => Style::new(),
        };
        text + &format!("{style}{}{style:#}\n", printable::source(line.trim_end_matches('\n')))
    })
}

/// A local time.
pub(super) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Asks the user. `nothing` says what a no comes to.
///
/// # Errors
///
/// Standard input is not a terminal.
pub(super) fn agreed(question: &str, nothing: &str) -> Result<bool, Error> {
    if std::io::stdin().is_terminal() {
        return Ok(ask(question));
    }
    Err(Error::new(format!("{nothing}: cannot ask, standard input is not a terminal")).hinted("add --yes to do it"))
}

/// Asks a question and waits for the answer; anything but yes is no.
pub(super) fn ask(question: &str) -> bool {
    write!(anstream::stderr().lock(), "{} [y/N] ", printable::line(question)).ok();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_difference_is_that_of_diff() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let new = old.replace('b', "B").replace("h\n", "h");
        let diff = unified(("a/x.py (server)", old), ("b/x.py", &new));
        expect![[r"
            --- a/x.py (server)
            +++ b/x.py
            @@ -1,8 +1,8 @@
             a
            -b
            +B
             c
             d
             e
             f
             g
            -h
            +h
            \ No newline at end of file
        "]]
        .assert_eq(&diff);
        assert_eq!(unified(("a", old), ("b", old)), "");
    }

    #[test]
    fn a_text_does_not_steer_the_terminal() {
        let diff = unified(("a", "x\u{1b}[2J\t\u{202e}\n"), ("b", "--- y\n"));
        let shown = coloured(&diff);
        assert!(!shown.contains("\u{1b}[2J") && !shown.contains('\u{202e}') && shown.contains('\t'), "{shown:?}");
        assert!(shown.contains(&format!("{GREEN}+--- y{GREEN:#}\n")), "{shown:?}");
        assert!(shown.contains(&format!("{BOLD}--- a{BOLD:#}\n")), "{shown:?}");
    }
}
