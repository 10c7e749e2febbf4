//! New lines of the log above the live view. A line that repeats the one before it replaces it, with a count.

use super::lines::Lines;
use crate::notice::Notice;

/// The newest line of the log, while the same line may come again.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// The line without its time and duration, and how often it came.
    last: Option<(String, usize)>,
}

/// Lines for the log.
#[derive(Debug, Default)]
pub(super) struct Addition {
    /// Whether the first one replaces the log's newest line.
    pub(super) replaces: bool,
    /// The entries; one has several lines if it was wrapped.
    entries: Vec<String>,
    /// Whether the last one may be replaced.
    is_replaceable: bool,
}

impl Addition {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds lines that are no notice.
    pub(super) fn print(&mut self, repeats: &mut Repeats, lines: String) {
        self.entries.push(lines);
        (self.is_replaceable, repeats.last) = (false, None);
    }

    /// The lines, each with its line break.
    pub(super) fn text(&self) -> String {
        self.entries.iter().flat_map(|entry| [entry.as_str(), "\n"]).collect()
    }

    /// The last entry, if a later one may replace it.
    pub(super) fn replaceable(&self) -> Option<&String> {
        self.entries.last().filter(|_| self.is_replaceable)
    }

    /// Adds the lines of a notice for a terminal with so many columns. `below` is the width of the terminal that shows
    /// explanations, if there is one. Returns them if it is another one.
    pub(super) fn add(
        &mut self,
        lines: &mut Lines,
        repeats: &mut Repeats,
        notice: &Notice,
        clock: &str,
        (columns, below): (u16, Option<u16>),
        shows_stderr: bool,
    ) -> String {
        let times = repeats.count(lines.repeatable(notice, columns));
        let (line, more) = lines.render(notice, clock, times, Some(columns), below);
        if times > 1 && self.entries.pop().is_none() {
            self.replaces = true;
        }
        self.entries.push(line);
        self.is_replaceable = more.is_empty();
        if more.is_empty() {
            return more;
        }
        repeats.last = None;
        if shows_stderr {
            self.entries.push(more);
            return String::new();
        }
        more + "\n"
    }
}

impl Repeats {
    /// How often this line has come in a row.
    fn count(&mut self, line: Option<String>) -> usize {
        let before = self.last.take();
        let times = before.filter(|(last, _)| Some(last) == line.as_ref()).map_or(1, |(_, times)| times + 1);
        self.last = line.map(|line| (line, times));
        times
    }
}
