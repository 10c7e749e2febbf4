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
    wrapped_prose("", text, "", columns(&console::Term::stderr()))
}

/// A message behind its label, wrapped; a line keeps its indentation.
pub(super) fn wrapped_message(label: &str, text: &str, columns: Option<u16>) -> String {
    let text = message(text);
    let lines = text.split('\n').enumerate().map(|(n, line)| {
        let indent = " ".repeat(line.len() - line.trim_start_matches(' ').len());
        let (label, behind) = if n == 0 { (label, "  ") } else { ("", indent.as_str()) };
        wrapped_prose(label, line, behind, columns)
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
    wrapped_prose(&label, &printable::line(text), "      ", columns)
}

/// What a command printed, in colour: its messages are wrapped between words. The lines of a difference, an answer or a
/// source frame stay whole: they begin with a sign, a space or a number.
pub(super) fn wrapped_output(text: &str, columns: Option<u16>) -> String {
    let is_message =
        |line: &str| console::strip_ansi_codes(line).starts_with(|c: char| c.is_alphabetic() || matches!(c, '`' | '$'));
    let lines = text.lines().map(|line| {
        if is_message(line) { Cow::Owned(wrapped_prose("", line, "  ", columns)) } else { Cow::Borrowed(line) }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A line, wrapped between words; each of its lines after the first is indented. A word that does not fit stays whole,
/// so that it can be copied; so does what stands in backticks, such as a command.
pub(super) fn wrapped(line: &str, indent: &str, columns: Option<u16>) -> String {
    wrapped_after("", line, indent, columns).join("\n")
}

/// A line of ours, wrapped like any other. A word that does not fit loses its backticks.
fn wrapped_prose(label: &str, line: &str, indent: &str, columns: Option<u16>) -> String {
    let lines = wrapped_after(label, line, indent, columns);
    let is_too_long = |line: &str| columns.is_some_and(|columns| console::measure_text_width(line) > columns.into());
    let lines = lines.iter().map(|line| if is_too_long(line) { without_ticks(line) } else { Cow::Borrowed(&**line) });
    lines.collect::<Vec<_>>().join("\n")
}

fn wrapped_after(label: &str, line: &str, indent: &str, columns: Option<u16>) -> Vec<String> {
    let Some(columns) = columns else { return vec![format!("{label}{line}")] };
    let options = textwrap::Options::new(columns.into())
        .initial_indent(label)
        .subsequent_indent(indent)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .word_separator(textwrap::WordSeparator::Custom(words));
    textwrap::wrap(line, options).into_iter().map(Cow::into_owned).collect()
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
        let message = wrapped_prose("", &message(what), "  ", columns);
        self.0.suspend(|| writeln!(anstream::stderr().lock(), "{message}").ok());
    }

    /// Removes the spinner.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use console::measure_text_width as width;

    use super::super::difference::{coloured, unified};
    use super::super::frames::frame;
    use super::*;
    use crate::plugin::Span;

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
    fn messages_of_a_command_wrap_at_words_in_colour() {
        let text = "\u{1b}[1m$ owui-watch try a\u{1b}[0m\nerror: one two three\n`plugins/a.py` works: five\n";
        let expected =
            "\u{1b}[1m$ owui-watch\n  try a\u{1b}[0m\nerror: one two\n  three\n`plugins/a.py`\n  works: five";
        assert_eq!(wrapped_output(text, Some(15)), expected);
        assert_eq!(
            wrapped_output("hint: see `plugins/a_long_name.py`", Some(15)),
            "hint: see\n  plugins/a_long_name.py"
        );
    }

    /// A difference, an answer and a source frame are what they were, whatever the width.
    #[test]
    fn texts_in_the_output_of_a_command_stay_whole() {
        let old = "error: one  two - three + `four`\n\nx = `five_six_seven`  # - eight\nsame  as `it was_before`\n";
        let diff = coloured(&unified(("a/x.py", old), ("b/x.py", &old.replace("e  ", "e - `five` "))));
        let span = Span { line: 12, column: 11, width: 6, source: "x = `one`  `two` - three".to_owned() };
        let frame = frame(&span, annotate_snippets::Level::ERROR, None);
        let answer = "  it is `a_very_long_word`  - and + more\n    - two  `three`";
        let text = format!("{diff}{frame}\n{answer}");
        for columns in 1..=40 {
            assert_eq!(wrapped_output(&text, Some(columns)), text, "{columns}");
        }
    }

    #[test]
    fn a_text_of_others_keeps_its_backticks() {
        assert_eq!(
            wrapped("it printed `plugins/a_long_name.py`", "  ", Some(15)),
            "it printed\n  `plugins/a_long_name.py`"
        );
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
