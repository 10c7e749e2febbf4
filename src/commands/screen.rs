//! What the commands print: lines, differences, and the same as JSON.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use anstyle::{AnsiColor, Effects, Style};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};
use similar::TextDiff;

use super::{CommandContext, CommandError};
use crate::config::{Config, Warning};
use crate::disk::Folder;
use crate::notice::Level;
use crate::output::{self, Format};
use crate::plugin::Key;
use crate::printable;

const BOLD: Style = Style::new().effects(Effects::BOLD);
const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// Something to say.
pub(super) struct Line {
    event: &'static str,
    message: String,
    hint: Option<String>,
    level: Level,
    fields: Map<String, Value>,
}

impl Line {
    /// The word is that of `event` in `--json`.
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

    /// A field for programs; null is none.
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        if !value.is_null() {
            self.fields.insert(name.to_owned(), value);
        }
        self
    }

    /// Other words.
    pub(super) fn saying(self, message: String) -> Self {
        Self { message, ..self }
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

/// Where it is said.
#[derive(Clone, Copy)]
pub(super) struct Screen {
    format: Format,
    least: Level,
}

impl Screen {
    pub(super) fn new(scene: &CommandContext<'_>) -> Self {
        Self::of(scene.format, scene.least)
    }

    /// For a command that is about no plugin.
    pub(super) fn of(format: Format, least: Level) -> Self {
        Self { format, least }
    }

    /// What a command is there to say: to stdout.
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

    /// A row of the table that was asked for, which is printed however quiet one is to be.
    pub(super) fn row(self, line: &Line, aligned: &str) {
        match self.format {
            Format::Json => self.say(line),
            Format::Lines => out(&format!("{aligned}\n")),
        }
    }

    /// What is to be known beside it: to stderr.
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

    /// What is odd in the settings.
    pub(super) fn warn(self, config: &Config) {
        for Warning { message, hint } in &config.warnings {
            self.aside(&Line::new("trouble", message).hinted(hint).level(Level::Warning));
        }
    }

    /// That there is state which is not used.
    pub(super) fn warn_of_unused_state(self, folder: &Folder) {
        if let Some(message) = folder.unused() {
            self.aside(&Line::new("trouble", message).level(Level::Warning));
        }
    }

    /// A difference, as `diff -u` shows it.
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

/// Why there is nothing more to be said, where a program reads it.
pub fn failed(message: &str, hint: Option<String>) {
    let line = Line { hint, ..Line::new("error", message) };
    Screen::of(Format::Json, Level::Error).say(&line.level(Level::Error));
}

/// Whoever has closed stdout does not want to know.
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

/// A time as it reads on the user's wall.
pub(super) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Asks the user, if there is one to be asked. `nothing` says what a no comes to.
pub(super) fn agreed(question: &str, nothing: &str) -> Result<bool, CommandError> {
    if std::io::stdin().is_terminal() {
        return Ok(ask(question));
    }
    Err(CommandError::usage(format!("{nothing}: cannot ask, standard input is not a terminal"))
        .hinted("add --yes to do it"))
}

/// Puts a question, and waits for the answer; anything but a yes is a no.
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
