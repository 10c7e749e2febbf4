//! Prints hints and the steps before a watch starts, to stderr.

use std::borrow::Cow;
use std::io::Write as _;

use anstyle::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::styles::GREEN;
use super::{Format, columns};
use crate::printable;

/// A message of one or more lines: each line after the first is indented, so that none passes for a message of its own.
pub(super) fn message(text: &str) -> String {
    let text = printable::text(text);
    let mut lines = text.trim_end_matches('\n').split('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |shown, line| {
        let indent = if line.is_empty() || line.starts_with("  ") { "" } else { "  " };
        shown + "\n" + indent + line
    })
}

/// A question for stderr, wrapped.
#[must_use]
pub fn question(text: &str) -> String {
    wrapped(text, "", columns(&console::Term::stderr()))
}

/// A message behind its label, wrapped; a line keeps its indentation.
pub(super) fn wrapped_message(label: &str, text: &str, columns: Option<u16>) -> String {
    let text = message(text);
    let lines = text.split('\n').enumerate().map(|(n, line)| {
        let indent = " ".repeat(line.len() - line.trim_start_matches(' ').len());
        let (label, behind) = if n == 0 { (label, "  ") } else { ("", indent.as_str()) };
        wrapped_after(label, line, behind, columns)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Prints a hint to stderr; each of its lines is a remedy of its own.
pub(super) fn print_hint(hint: &str) {
    let columns = columns(&console::Term::stderr());
    let mut stderr = anstream::stderr().lock();
    for remedy in hint.lines() {
        writeln!(stderr, "{}", hint_line(remedy, columns)).ok();
    }
}

pub(super) fn hint_line(remedy: &str, columns: Option<u16>) -> String {
    labelled("hint", GREEN, remedy, columns)
}

/// A text behind its label of four letters, wrapped.
pub(super) fn labelled(label: &str, style: Style, text: &str, columns: Option<u16>) -> String {
    let label = format!("{style}{label}{style:#}: ");
    wrapped_after(&label, &printable::line(text), "      ", columns)
}

/// What a command printed, in colour, wrapped between words; a line keeps its indentation.
pub(super) fn wrapped_output(text: &str, columns: u16) -> String {
    let lines = text.lines().map(|line| {
        if !too_long(line, columns) {
            return line.to_owned();
        }
        let plain = console::strip_ansi_codes(line);
        let indent = plain.len() - plain.trim_start_matches(' ').len();
        wrapped(line, &" ".repeat(indent.min(usize::from(columns) / 2)), Some(columns))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A line, wrapped between words; each of its lines after the first is indented. A word that does not fit stays whole, so
/// that it can be copied; so does what stands in backticks, such as a command.
pub(super) fn wrapped(line: &str, indent: &str, columns: Option<u16>) -> String {
    wrapped_after("", line, indent, columns)
}

fn wrapped_after(label: &str, line: &str, indent: &str, columns: Option<u16>) -> String {
    let Some(columns) = columns else { return format!("{label}{line}") };
    let options = textwrap::Options::new(columns.into())
        .initial_indent(label)
        .subsequent_indent(indent)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .word_separator(textwrap::WordSeparator::Custom(words));
    let lines = textwrap::wrap(line, options);
    let lines =
        lines.iter().map(|line| if too_long(line, columns) { without_ticks(line) } else { Cow::Borrowed(&**line) });
    lines.collect::<Vec<_>>().join("\n")
}

fn too_long(line: &str, columns: u16) -> bool {
    console::measure_text_width(line) > columns.into()
}

/// A line without the backticks around its last word: the terminal would break that word, and leave a backtick alone.
fn without_ticks(line: &str) -> Cow<'_, str> {
    let (before, word) = line.split_at(line.rfind(' ').map_or(0, |at| at + 1));
    let inner = word.strip_prefix('`').and_then(|rest| rest.rsplit_once('`'));
    match inner {
        Some((inner, behind)) if !inner.contains('`') => Cow::Owned(format!("{before}{inner}{behind}")),
        Some(_) | None => Cow::Borrowed(line),
    }
}

/// The words of a line, each with the spaces behind it.
fn words(line: &str) -> Box<dyn Iterator<Item = textwrap::core::Word<'_>> + '_> {
    let is_paired = line.matches('`').count().is_multiple_of(2);
    let (mut quoted, mut rest) = (false, line);
    Box::new(std::iter::from_fn(move || {
        let mut spaces = false;
        let ends_word = |c: char| {
            quoted ^= c == '`';
            let is_over = spaces && c != ' ';
            spaces = c == ' ' && !(quoted && is_paired);
            is_over
        };
        let Some(end) = rest.find(ends_word) else {
            return (!rest.is_empty()).then(|| textwrap::core::Word::from(std::mem::take(&mut rest)));
        };
        let (word, after) = rest.split_at(end);
        // Its first character is seen again.
        quoted ^= after.starts_with('`');
        rest = after;
        Some(textwrap::core::Word::from(word))
    }))
}

/// Prints the steps before a watch starts; in place, where the terminal can do that.
pub struct Steps(ProgressBar);

impl Steps {
    /// Starts without a step.
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

    /// Prints what begins now, where no spinner shows the steps.
    pub fn begin(&self, what: &str) {
        if self.0.is_hidden() {
            self.done(what);
        }
    }

    /// Shows the current step.
    pub fn doing(&self, what: &str) {
        self.0.set_message(printable::line(what).into_owned());
        self.0.tick();
    }

    /// Prints a finished step, which stays on the screen.
    pub fn done(&self, what: &str) {
        let columns = columns(&console::Term::stderr());
        let message = wrapped(&message(what), "  ", columns);
        self.0.suspend(|| writeln!(anstream::stderr().lock(), "{message}").ok());
    }

    /// Removes the spinner.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(text: &str) -> usize {
        console::measure_text_width(text)
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
        // A path that the terminal breaks leaves no backtick on a line of its own.
        let shown = hint_line("see `plugins/a_long_name.py`, and `b.py`", Some(22));
        let expected = "hint: see\n      plugins/a_long_name.py,\n      and `b.py`";
        assert_eq!(console::strip_ansi_codes(&shown), expected);
        // An apostrophe's cousin that is never closed binds nothing.
        let shown = hint_line("a ` b c d e f", Some(12));
        assert_eq!(console::strip_ansi_codes(&shown), "hint: a ` b\n      c d e\n      f");
    }

    #[test]
    fn a_message_wraps_at_words_and_keeps_its_indentation() {
        let text = "one two three four five\n    six seven eight nine ten\nx";
        let expected = "error: one two\n  three four five\n    six seven\n    eight nine ten\n  x";
        assert_eq!(wrapped_message("error: ", text, Some(18)), expected);
        assert_eq!(wrapped_message("error: ", text, None), format!("error: {}", message(text)));
    }

    #[test]
    fn the_output_of_a_command_wraps_at_words_in_colour() {
        let text = "\u{1b}[1m$ owui-watch try a\u{1b}[0m\nerror: one two three\n  four five six seven\n";
        let expected = "\u{1b}[1m$ owui-watch\ntry a\u{1b}[0m\nerror: one two\nthree\n  four five six\n  seven";
        assert_eq!(wrapped_output(text, 15), expected);
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
}
