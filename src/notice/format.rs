//! Counts, times and places as people read them.

use std::path::Path;
use std::time::Duration;

use crate::paths::slashed;
use crate::plugin::Span;

/// `path:line:column`, the form that editors jump to.
#[must_use]
pub fn format_place(path: &Path, span: &Span) -> String {
    format!("{}:{}:{}", slashed(&path), span.line, span.column)
}

/// `1 plugin`, `2 plugins`.
#[must_use]
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A duration as a person reads it: `0.4 ms`, `34 ms`, `1.2 s`, `12 s`, `3 min 20 s`. Each unit ends where rounding
/// would fill the next.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let whole = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    if seconds < 0.000_95 {
        format!("{:.1} ms", seconds * 1000.0)
    } else if seconds < 0.999_5 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if whole < 60 {
        format!("{whole} s")
    } else if whole < 3600 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{} h {} min", whole / 3600, whole / 60 % 60)
    }
}

/// How many characters a line has of a text from elsewhere.
const EXCERPT: usize = 80;

/// The beginning of a text, in one line.
pub(super) fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// The beginning of a text, in one line and in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", excerpt(text))
}

pub(super) fn list(paths: &[impl AsRef<Path>]) -> String {
    paths.iter().map(|path| format!("`{}`", slashed(&path.as_ref()))).collect::<Vec<_>>().join(" and ")
}

/// How many names a list has.
const MOST_NAMED: usize = 5;

/// The first of several names.
pub fn named(names: &[impl AsRef<str>]) -> String {
    few(names.iter().map(|name| format!("`{}`", name.as_ref())), ", ")
}

/// The first of several, with this before the last.
pub(super) fn few(names: impl Iterator<Item = String>, before_the_last: &str) -> String {
    let names: Vec<_> = names.collect();
    match (names.get(..MOST_NAMED).filter(|_| names.len() > MOST_NAMED), names.split_last()) {
        (Some(first), _) => format!("{} and {} more", first.join(", "), names.len() - MOST_NAMED),
        (None, Some((last, rest))) if !rest.is_empty() => format!("{}{before_the_last}{last}", rest.join(", ")),
        (None, _) => names.join(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(" one\n\n two\t"), "one two");
        assert_eq!(excerpt(&"ä".repeat(80)), "ä".repeat(80));
        assert_eq!(quoted(&format!("{} ä ä", "ä".repeat(79))), format!("\"{}…\"", "ä".repeat(79)));
    }

    #[test]
    fn durations_read_well() {
        for (micros, expected) in [
            (0, "0.0 ms"),
            (449, "0.4 ms"),
            (949, "0.9 ms"),
            (950, "1 ms"),
            (1499, "1 ms"),
            (34_400, "34 ms"),
            (999_499, "999 ms"),
            (999_500, "1.0 s"),
            (1_234_000, "1.2 s"),
            (9_949_000, "9.9 s"),
            (9_950_000, "10 s"),
            (20_000_000, "20 s"),
            (59_499_000, "59 s"),
            (59_500_000, "1 min 0 s"),
            (60_000_000, "1 min 0 s"),
            (200_499_000, "3 min 20 s"),
            (3_599_499_000, "59 min 59 s"),
            (3_599_500_000, "1 h 0 min"),
            (7_380_000_000, "2 h 3 min"),
            (360_000_000_000, "100 h 0 min"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), expected, "{micros} µs");
        }
    }
}
