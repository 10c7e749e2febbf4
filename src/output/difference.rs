//! The difference of two texts, as `diff -u` shows it.

use std::fmt::Write as _;
use std::ops::Range;

use anstyle::Style;
use imara_diff::{Algorithm, Diff, InternedInput, Token};

use super::styles::{BOLD, CYAN, GREEN, RED};
use crate::notice::ChangedLines;
use crate::printable;

/// How many unchanged lines are shown around a change.
const CONTEXT: u32 = 3;

/// The difference of two texts, each with its name; empty if they are equal.
#[must_use]
pub fn unified(from: (&str, &str), to: (&str, &str)) -> String {
    let (input, diff) = diff(from.1, to.1);
    let mut changes = diff.hunks().peekable();
    if changes.peek().is_none() {
        return String::new();
    }
    // A line break in a name would start a line of the difference.
    let [from_name, to_name] = [from.0, to.0].map(|name| printable::source(name).replace('\n', " "));
    let mut text = format!("--- {from_name}\n+++ {to_name}\n");
    let line = |sign: char, token: Token| {
        let line = input.interner[token];
        let end = if line.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
        format!("{sign}{line}{end}")
    };
    while let Some(first) = changes.next() {
        // What is equal in both texts is as long before a hunk as after it.
        let lead = first.before.start.min(CONTEXT);
        let (from_start, to_start) = (first.before.start - lead, first.after.start - lead);
        let mut body = String::new();
        let mut equal = from_start..first.before.start;
        let mut change = first;
        let (from_end, to_end) = loop {
            body.extend(input.before[range(equal)].iter().map(|token| line(' ', *token)));
            body.extend(input.before[range(change.before.clone())].iter().map(|token| line('-', *token)));
            body.extend(input.after[range(change.after.clone())].iter().map(|token| line('+', *token)));
            let end = change.before.end;
            let Some(next) = changes.next_if(|next| next.before.start - end <= 2 * CONTEXT) else {
                break (end, change.after.end);
            };
            (equal, change) = (end..next.before.start, next);
        };
        let rest: Vec<_> = input.before[from_end as usize..].iter().take(CONTEXT as usize).collect();
        body.extend(rest.iter().map(|token| line(' ', **token)));
        let n = u32::try_from(rest.len()).unwrap_or(CONTEXT);
        let (from, to) = (lines(from_start..from_end + n), lines(to_start..to_end + n));
        // Writing to a string cannot fail.
        write!(text, "@@ -{from} +{to} @@\n{body}").ok();
    }
    text
}

/// How many lines a change adds and removes.
#[must_use]
pub fn changed_lines(from: &str, to: &str) -> ChangedLines {
    let (_, diff) = diff(from, to);
    ChangedLines { added: diff.count_additions(), removed: diff.count_removals() }
}

fn diff<'a>(from: &'a str, to: &'a str) -> (InternedInput<&'a str>, Diff) {
    let input = InternedInput::new(from, to);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    (input, diff)
}

fn range(lines: Range<u32>) -> Range<usize> {
    lines.start as usize..lines.end as usize
}

/// A range in the head of a hunk: its first line, counted from 1, and its length unless that is 1. An empty range is
/// named by the line before it.
fn lines(range: Range<u32>) -> String {
    match range.end - range.start {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        length => format!("{},{length}", range.start + 1),
    }
}

pub(super) fn coloured(diff: &str) -> String {
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

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::{prop_assert_eq, proptest};

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

    #[test]
    fn the_head_of_a_hunk_names_its_lines() {
        for (from, to, heads) in [
            ("", "a\n", "@@ -0,0 +1 @@"),
            ("a\n", "", "@@ -1 +0,0 @@"),
            ("1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\n5\nb\n", "@@ -3,4 +3,4 @@"),
            ("1\n2\n3\n4\n5\n6\n7\n8\n", "a\n2\n3\n4\n5\n6\n7\nb\n", "@@ -1,8 +1,8 @@"),
            ("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "2\n3\n4\n5\n6\n7\n8\nb\n", "@@ -1,4 +1,3 @@ @@ -6,4 +5,4 @@"),
        ] {
            let diff = unified(("a", from), ("b", to));
            let found: Vec<_> = diff.lines().filter(|line| line.starts_with("@@")).collect();
            assert_eq!(found.join(" "), heads, "{diff}");
        }
    }

    proptest! {
        #[test]
        fn a_difference_makes_the_one_text_of_the_other(
            from in "([ab]\n){0,30}[ab]?",
            to in "([abc]\n){0,30}[abc]?",
        ) {
            prop_assert_eq!(patched(&from, &unified(("from", &from), ("to", &to))), &*to);
            let ChangedLines { added, removed } = changed_lines(&from, &to);
            let length = |text: &str| i64::try_from(text.split_inclusive('\n').count()).unwrap();
            prop_assert_eq!(length(&from) + i64::from(added) - i64::from(removed), length(&to));
        }
    }

    /// What `patch` makes of a text.
    fn patched(from: &str, diff: &str) -> String {
        let lines: Vec<_> = from.split_inclusive('\n').collect();
        let (mut text, mut at) = (String::new(), 0);
        let mut rest = diff.lines().skip(2).peekable();
        while let Some(line) = rest.next() {
            if let Some(head) = line.strip_prefix("@@ -") {
                let (from, _) = head.split_once(' ').unwrap();
                let (first, length) = from.split_once(',').unwrap_or((from, "1"));
                let start = first.parse::<usize>().unwrap() - usize::from(length != "0");
                text.extend(lines[at..start].iter().copied());
                at = start;
                continue;
            }
            let end = if rest.next_if(|next| next.starts_with('\\')).is_some() { "" } else { "\n" };
            let whole = format!("{}{end}", &line[1..]);
            if !line.starts_with('+') {
                assert_eq!(lines[at], whole);
                at += 1;
            }
            if !line.starts_with('-') {
                text.push_str(&whole);
            }
        }
        text.extend(lines[at..].iter().copied());
        text
    }
}
