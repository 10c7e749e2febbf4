//! Finds plugins in Open WebUI's log: their own log lines, and the tracebacks that pass through them. Only computes:
//! the daemon reads the log line by line.
//!
//! The server loads a plugin's text as a module `function_ID` or `tool_ID` (since 0.12 with a random number behind it),
//! and compiles it without the name of a file. So a log line names the plugin, and a traceback has frames in
//! `<string>`, which
//! [`Traceback::notice`] finds the plugin of.

mod record;
mod traceback;

use crate::notice::{Notice, NoticeKind, Subject};
use crate::printable;
use record::Record;
use traceback::{Builder, START};
pub use traceback::{Source, Traceback};

/// How many lines after a record still belong to it if a traceback follows.
const REACH: usize = 20;
/// Characters of a line that are shown, as in the sandbox. How long the rest is, is said.
const LINE: usize = 300;

/// Something in the log about plugins.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A plugin logged a line.
    Logged(Notice),
    /// A traceback that may be a plugin's.
    Raised(Traceback),
}

/// Reads a log, line by line. Standard output and standard error need a reader each.
#[derive(Debug, Default)]
pub struct LogReader {
    pending: Option<Pending>,
    /// The last traceback since the last record. In a group of exceptions it stands again, for the whole group.
    last: Option<Traceback>,
}

/// The last record, and the traceback that is being read.
#[derive(Debug)]
struct Pending {
    /// The text before each line, which another program has added: a time, or the name of a container.
    prefix: String,
    record: Option<Record>,
    /// How many lines have come since the record.
    since: usize,
    traceback: Option<Builder>,
}

impl LogReader {
    /// Takes the next line. A traceback is told once its end is known, by a later line or by [`LogReader::pause`].
    pub fn line(&mut self, line: &str) -> Vec<Entry> {
        let line = printable::text(line.trim_end());
        if let Some((_, record)) = Record::json(&line) {
            let mut entries: Vec<_> = self.pause().into_iter().collect();
            self.pending = None;
            self.last = None;
            entries.extend(whole(record));
            return entries;
        }
        if let Some((prefix, record)) = Record::text(&line) {
            let mut entries: Vec<_> = self.pause().into_iter().collect();
            self.last = None;
            let traceback = (record.message == START).then(Builder::default);
            entries.extend(logged(&record, &record.message).filter(|_| traceback.is_none()));
            self.pending = Some(Pending { prefix: prefix.to_owned(), record: Some(record), since: 0, traceback });
            return entries;
        }
        let mut ended = None;
        if let Some(pending) = &mut self.pending {
            let rest = without_prefix(&pending.prefix, &line);
            if let (Some(builder), Some(rest)) = (&mut pending.traceback, rest)
                && builder.line(rest)
            {
                return Vec::new();
            }
            ended = self.pause();
        }
        if let Some(at) = line.find(START).filter(|at| line.len() == at + START.len()) {
            self.begin_traceback(&line[..at]);
        } else if let Some(pending) = &mut self.pending {
            pending.since += 1;
        }
        ended.into_iter().collect()
    }

    /// The log pauses or ends: what was read of a traceback is all of it.
    pub fn pause(&mut self) -> Option<Entry> {
        let pending = self.pending.as_mut()?;
        let builder = pending.traceback.take()?;
        // A later traceback is not part of this record.
        let traceback = builder.finish(pending.record.take());
        if self.last.as_ref().is_some_and(|last| traceback.repeats(last)) {
            return None;
        }
        self.last = Some(traceback.clone());
        Some(Entry::Raised(traceback))
    }

    /// Whether it waits for the end of a traceback.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.traceback.is_some())
    }

    fn begin_traceback(&mut self, prefix: &str) {
        let near = self.pending.take().filter(|pending| pending.since <= REACH);
        let record = near.filter(|pending| has_shape(&pending.prefix, prefix)).and_then(|pending| pending.record);
        let traceback = Some(Builder::default());
        self.pending = Some(Pending { prefix: prefix.to_owned(), record, since: 0, traceback });
    }
}

/// A record that was logged as JSON, with all lines of its message and its traceback.
fn whole(mut record: Record) -> Vec<Entry> {
    let stack = std::mem::take(&mut record.stack);
    let message = record.message.clone();
    // A traceback in the message ends it.
    let (words, quoted) = match message.find(START) {
        Some(at) => message.split_at(at),
        None => (&*message, ""),
    };
    let lines = words.lines().filter(|line| !line.trim().is_empty());
    let mut entries: Vec<_> = lines.filter_map(|line| logged(&record, line)).collect();
    for (text, is_attached) in [(quoted, false), (&*stack, true)] {
        let mut lines = text.lines();
        if lines.next().map(str::trim_end) != Some(START) {
            continue;
        }
        let mut builder = if is_attached { Builder::attached() } else { Builder::default() };
        for line in lines {
            if !builder.line(line.trim_end()) {
                break;
            }
        }
        entries.push(Entry::Raised(builder.finish(Some(record.clone()))));
    }
    entries
}

/// The notice of a line that a plugin logged.
fn logged(record: &Record, line: &str) -> Option<Entry> {
    let about = Subject::from(&record.plugin()?);
    let text = match (line.char_indices().nth(LINE), line.chars().count().saturating_sub(LINE)) {
        (Some((end, _)), more) => format!("{}… ({more} more characters)", &line[..end]),
        (None, _) => line.to_owned(),
    };
    let what = NoticeKind::Printed { text, log_level: Some(record.level.clone()), line: Some(record.line) };
    Some(Entry::Logged(Notice { about, what }))
}

/// A line without the text that another program has put before it.
fn without_prefix<'a>(prefix: &str, line: &'a str) -> Option<&'a str> {
    let end = line.char_indices().nth(prefix.chars().count()).map_or(line.len(), |(at, _)| at);
    has_shape(prefix, &line[..end]).then(|| &line[end..])
}

/// Whether two prefixes differ in letters and digits alone, as in their times.
fn has_shape(prefix: &str, other: &str) -> bool {
    let alike = |(a, b): (char, char)| a == b || (a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric());
    prefix.chars().count() == other.chars().count() && prefix.chars().zip(other.chars()).all(alike)
}
