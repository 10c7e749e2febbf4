//! The output of commands: messages without time and sign, tables and differences; or JSON.
#![expect(clippy::disallowed_methods, reason = "commands read the clock")]

use std::io::{IsTerminal as _, Write as _};

use anstyle::Style;
use jiff::Timestamp;

use super::difference::coloured;
use super::messages::{hint_line, message, wrapped_output};
use super::styles::{BOLD, GREEN, RED, YELLOW};
use super::{Format, columns, json_line, print_hint, wrapped_message};
use crate::notice::{Commands, Level, Notice};
use crate::printable;

/// Prints the notices of a command, in the format and from the level that the user asked for.
#[derive(Clone)]
pub struct Screen {
    /// How to print.
    pub format: Format,
    /// The least level to print.
    pub least: Level,
    /// How to write commands in hints.
    pub commands: Commands,
}

impl Screen {
    /// Prints a result, to stdout.
    pub fn say(&self, notice: &Notice) {
        self.say_with(notice, &[]);
    }

    /// Prints a result. `below` are lines for people alone: programs find their content in the fields.
    pub fn say_with(&self, notice: &Notice, below: &[String]) {
        if self.wants_lines(notice) && notice.level() >= self.least {
            let columns = columns(&console::Term::stdout());
            let mut text = wrapped_message("", &notice.sentence(), columns) + "\n";
            text.extend(below.iter().map(|line| wrapped_output(&message(line), columns) + "\n"));
            out(&text);
            print_hint(&notice.hint_with(&self.commands).unwrap_or_default());
        }
    }

    /// Prints a remark or an error, to stderr.
    pub fn aside(&self, notice: &Notice) {
        self.aside_with(notice, &[]);
    }

    /// Prints a remark or an error, to stderr. `below` are lines for people alone.
    pub fn aside_with(&self, notice: &Notice, below: &[String]) {
        if self.wants_lines(notice) && notice.level() >= self.least {
            let label = match notice.level() {
                Level::Detail | Level::Info => String::new(),
                Level::Warning => format!("{YELLOW}warning{YELLOW:#}: "),
                Level::Error => format!("{RED}error{RED:#}: "),
            };
            let columns = columns(&console::Term::stderr());
            let mut text = wrapped_message(&label, &notice.sentence(), columns) + "\n";
            text.extend(below.iter().map(|line| wrapped_output(&message(line), columns) + "\n"));
            write!(anstream::stderr().lock(), "{text}").ok();
            print_hint(&notice.hint_with(&self.commands).unwrap_or_default());
        }
    }

    /// Prints a row of the requested table, also with `--quiet`.
    pub fn row(&self, notice: &Notice, aligned: &str) {
        if self.wants_lines(notice) {
            out(&format!("{aligned}\n"));
        }
    }

    /// Prints what a row had no room for, wrapped and indented.
    pub fn below_row(&self, notice: &Notice, text: &str) {
        if self.wants_lines(notice) {
            let columns = columns(&console::Term::stdout());
            out(&(wrapped_message("  ", text, columns) + "\n"));
        }
    }

    /// Prints a heading above a table for people.
    pub fn heading(&self, text: &str) {
        if self.format == Format::Lines {
            out(&format!("{BOLD}{}{BOLD:#}\n", printable::line(text)));
        }
    }

    /// Prints a row that begins with a sign, which is coloured by the level.
    pub fn signed_row(&self, notice: &Notice, sign: &str, aligned: &str) {
        let style = match notice.level() {
            Level::Detail | Level::Info => Style::new(),
            Level::Warning => YELLOW,
            Level::Error => RED,
        };
        let style = if sign == "✓" { GREEN } else { style };
        match aligned.strip_prefix(sign) {
            Some(rest) => self.row(notice, &format!("{style}{sign}{style:#}{rest}")),
            None => self.row(notice, aligned),
        }
    }

    /// Prints a row that begins with a sign, and below it the hints, all to stdout: they belong together in a file,
    /// too.
    pub fn row_with_hint(&self, notice: &Notice, sign: &str, aligned: &str) {
        self.signed_row(notice, sign, aligned);
        if self.format == Format::Lines {
            let hint = notice.hint_with(&self.commands).unwrap_or_default();
            let columns = columns(&console::Term::stdout());
            out(&hint.lines().fold(String::new(), |text, remedy| text + "  " + &hint_line(remedy, columns) + "\n"));
        }
    }

    /// Prints what another process was told: a status line, what explains it, and the JSON.
    pub fn relay(&self, level: Level, line: &str, more: &str, json: &str) {
        match self.format {
            Format::Json => out(&format!("{}\n", printable::line(json))),
            Format::Lines if level >= self.least => {
                out(&format!("{}\n", printable::line(line)));
                if !more.is_empty() {
                    writeln!(anstream::stderr().lock(), "{}", printable::text(more)).ok();
                }
            }
            Format::Lines => {}
        }
    }

    /// Prints a difference, also with `--quiet`.
    pub fn difference(&self, notice: &Notice) {
        let Some(diff) = notice.diff().filter(|_| self.wants_lines(notice)) else { return };
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        if choice == anstream::ColorChoice::Never && !std::io::stdout().is_terminal() {
            // Unfiltered: `patch` reads it.
            std::io::stdout().lock().write_all(diff.as_bytes()).ok();
        } else {
            out(&coloured(diff));
        }
    }

    /// Whether to print lines. If not, prints the notice as JSON.
    fn wants_lines(&self, notice: &Notice) -> bool {
        if self.format == Format::Json {
            out(&format!("{}\n", json_line(notice, Timestamp::now(), &self.commands)));
        }
        self.format == Format::Lines
    }

    /// How wide the terminal is, if stdout is one.
    #[must_use]
    pub fn columns() -> Option<usize> {
        columns(&console::Term::stdout()).map(usize::from)
    }
}

/// Prints to stdout. A closed stdout is no error.
pub(super) fn out(text: &str) {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).ok();
}
