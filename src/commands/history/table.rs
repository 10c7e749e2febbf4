//! The history as a table that is as wide as the terminal at most.

use jiff::tz::TimeZone;

use super::super::screen::clock;
use super::{Entry, What, beside, name};
use crate::engine::deploy::message;
use crate::printable;

/// How wide the last column must be at least to say anything.
const LEAST_WORDS: usize = 10;

/// Which column holds the version in the frontmatter, which is as long as people like, and how much of it tells
/// something.
const VERSION: usize = 3;
const LEAST_VERSION: usize = 5;

/// An entry as a row of the table.
pub(super) type Cells = [String; 6];

pub(super) fn cells(entry: &Entry, zone: &TimeZone) -> Cells {
    let cells = [
        if entry.current { "*".to_owned() } else { String::new() },
        entry.at.map(|at| clock(at, zone)).unwrap_or_default(),
        entry.what.word().to_owned(),
        entry.text.as_ref().and_then(|text| text.version.clone()).unwrap_or_default(),
        name(entry),
        words(entry),
    ];
    cells.map(|cell| printable::line(&cell).into_owned())
}

/// What the server says beside a version, without what the row says already.
fn words(entry: &Entry) -> String {
    let Some(version) = &entry.version else { return String::new() };
    let said = version.message.as_deref().unwrap_or_default();
    let deploy = message(entry.text.as_ref().and_then(|text| text.version.as_deref()));
    let said = beside(said, &deploy).filter(|_| entry.what == What::Deployed).unwrap_or(said);
    let said = said.lines().next().unwrap_or_default().to_owned();
    let author = version.author.as_ref().map(|author| format!("({author})"));
    [Some(said), author].into_iter().flatten().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The rows of the table, as wide as the terminal at most, if it is one. What no entry has takes no room; the words at the
/// end are cut, and then versions that are long.
pub(super) fn aligned(table: &[Cells], columns: Option<usize>) -> Vec<String> {
    let mut widths = [0; 6];
    for cells in table {
        for (widest, cell) in widths.iter_mut().zip(cells) {
            *widest = width(cell).max(*widest);
        }
    }
    let room = |width: &usize| if *width > 0 { width + GAP.len() } else { 0 };
    let [words_before @ .., words] = &mut widths;
    let fixed: usize = words_before.iter().map(room).sum();
    if let Some(columns) = columns {
        // The mark has the half of a gap behind it.
        let left = (columns + 1).saturating_sub(fixed);
        *words = if left < LEAST_WORDS { 0 } else { left.min(*words) };
        let over = fixed.saturating_sub(columns + 1 + GAP.len());
        let version = &mut words_before[VERSION];
        *version = (*version).min(version.saturating_sub(over).max(LEAST_VERSION));
    }
    table.iter().map(|cells| row(cells, &widths)).collect()
}

const GAP: &str = "  ";

fn row(cells: &Cells, widths: &[usize; 6]) -> String {
    let mut line = String::new();
    for (n, (cell, columns)) in cells.iter().zip(widths).enumerate().filter(|(_, (_, columns))| **columns > 0) {
        let cell = console::truncate_str(cell, *columns, "…");
        let padding = " ".repeat(columns.saturating_sub(width(&cell)));
        line = line + &cell + &padding + if n == 0 { " " } else { GAP };
    }
    line.truncate(line.trim_end().len());
    line
}

fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use jiff::Timestamp;

    use super::super::Text;
    use super::*;
    use crate::engine::deploy::Version;

    #[test]
    fn the_table_is_as_wide_as_the_terminal_at_most() {
        let at = Timestamp::from_second(180).unwrap();
        let said = |id: &str, words: &str, author: &str| {
            let (message, author) = (Some(words.to_owned()), Some(author.to_owned()));
            Some(Version { id: id.to_owned(), at, parent: None, message, author })
        };
        let entry = |what, version: &str, words| Entry {
            what,
            at: Some(at),
            text: Some(Text::new(&format!("\"\"\"\nversion: {version}\n\"\"\"\n"))),
            copy: None,
            version: words,
            current: what == What::Deployed,
        };
        let entries = [
            entry(
                What::Deployed,
                "1.3.0",
                said("v2", "owui-watch: 1.3.0, commit 5d1c0f2 with uncommitted changes", "Ann"),
            ),
            entry(What::Replaced, "1.2.0-beta.11", None),
            Entry {
                text: None,
                ..entry(What::Server, "", said("6c30bdbd-1", "a fix\nthat is told of at length", "Bob"))
            },
            Entry { at: None, version: None, ..entry(What::Local, "1.2", None) },
        ];
        let table: Vec<_> = entries.iter().map(|entry| cells(entry, &TimeZone::UTC)).collect();
        let shown = |columns| {
            let rows = aligned(&table, columns);
            assert!(rows.iter().all(|row| columns.is_none_or(|columns| width(row) <= columns)), "{rows:#?}");
            format!("{}\n", rows.join("\n"))
        };
        expect![[r"
            * 1970-01-01 00:03:00  deployed  1.3.0          8a1ef624  commit 5d1c0f2 with uncommitted changes (Ann)
              1970-01-01 00:03:00  replaced  1.2.0-beta.11  0529c93d
              1970-01-01 00:03:00  server                   6c30bdbd  a fix (Bob)
                                   local     1.2            23299f66
        "]]
        .assert_eq(&shown(None));
        expect![[r"
            * 1970-01-01 00:03:00  deployed  1.3.0          8a1ef624  commit 5d1c0f2 with u…
              1970-01-01 00:03:00  replaced  1.2.0-beta.11  0529c93d
              1970-01-01 00:03:00  server                   6c30bdbd  a fix (Bob)
                                   local     1.2            23299f66
        "]]
        .assert_eq(&shown(Some(80)));
        expect![[r"
            * 1970-01-01 00:03:00  deployed  1.3.0          8a1ef624
              1970-01-01 00:03:00  replaced  1.2.0-beta.11  0529c93d
              1970-01-01 00:03:00  server                   6c30bdbd
                                   local     1.2            23299f66
        "]]
        .assert_eq(&shown(Some(60)));
        expect![[r"
            * 1970-01-01 00:03:00  deployed  1.3.0    8a1ef624
              1970-01-01 00:03:00  replaced  1.2.0-…  0529c93d
              1970-01-01 00:03:00  server             6c30bdbd
                                   local     1.2      23299f66
        "]]
        .assert_eq(&shown(Some(50)));
        // Without a word from the server there is room for everything.
        let plain = [cells(&entry(What::Deployed, "1.3.0", None), &TimeZone::UTC)];
        assert_eq!(aligned(&plain, Some(48)), aligned(&plain, None));
    }
}
