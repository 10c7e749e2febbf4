//! The history as a table that fits the terminal.

use jiff::tz::TimeZone;

use super::{Entry, beside, clock, name};
use crate::engine::deploy::message;
use crate::notice::Provenance;
use crate::printable;

/// The last column is hidden below this width.
const LEAST_WORDS: usize = 10;

/// The column with the frontmatter version, which may be long, and its minimum width.
const VERSION: usize = 3;
const LEAST_VERSION: usize = 5;

/// An entry as a row of the table.
pub(super) type Cells = [String; 6];

pub(super) fn cells(entry: &Entry, zone: &TimeZone) -> Cells {
    let cells = [
        if entry.current { "*".to_owned() } else { String::new() },
        entry.at.map(|at| clock(at, zone)).unwrap_or_default(),
        entry.what.label().to_owned(),
        entry.text.as_ref().and_then(|text| text.version.clone()).unwrap_or_default(),
        name(entry),
        words(entry),
    ];
    cells.map(|cell| printable::line(&cell).into_owned())
}

/// The server's commit message and author, without what the row already says.
fn words(entry: &Entry) -> String {
    let Some(version) = &entry.version else { return String::new() };
    let said = version.message.as_deref().unwrap_or_default();
    let deploy = message(entry.text.as_ref().and_then(|text| text.version.as_deref()));
    let said = beside(said, &deploy).filter(|_| entry.what == Provenance::Deployed).unwrap_or(said);
    let said = said.lines().next().unwrap_or_default().to_owned();
    let author = version.author.as_ref().map(|author| format!("({author})"));
    [Some(said), author].into_iter().flatten().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The rows of the table, cut to `columns`. Empty columns take no room; first the last column is cut, then long
/// versions.
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
        // The mark is followed by one space, not a full gap.
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
    fn the_table_fits_the_terminal() {
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
            current: what == Provenance::Deployed,
        };
        let entries = [
            entry(
                Provenance::Deployed,
                "1.3.0",
                said("v2", "owui-watch: 1.3.0, commit 5d1c0f2 with uncommitted changes", "Ann"),
            ),
            entry(Provenance::Replaced, "1.2.0-beta.11", None),
            Entry {
                text: None,
                ..entry(Provenance::Server, "", said("6c30bdbd-1", "a fix\nthat is told of at length", "Bob"))
            },
            Entry { at: None, version: None, ..entry(Provenance::Local, "1.2", None) },
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
        // Without a commit message, everything fits.
        let plain = [cells(&entry(Provenance::Deployed, "1.3.0", None), &TimeZone::UTC)];
        assert_eq!(aligned(&plain, Some(48)), aligned(&plain, None));
    }
}
