//! The history as a table.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::super::table::Cells;
use super::{Entry, beside, clock, name};
use crate::engine::deploy::message;
use crate::notice::{ChangedLines, Provenance};
use crate::output::changed_lines;
use crate::printable;

/// Deploys with a longer pause between them are not of one editing session.
const SESSION: SignedDuration = SignedDuration::from_hours(1);

/// A row: a text, and those that it stands for.
pub(super) struct Row<'e> {
    pub(super) entry: &'e Entry,
    /// How many older texts of the same version and session it stands for.
    folded: usize,
    /// How it differs from the text before them.
    pub(super) lines: Option<ChangedLines>,
}

/// The rows for these entries, which are sorted newest first. `all`: each has its own.
pub(super) fn rows(entries: &[Entry], all: bool) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut rest = entries;
    while let Some((entry, mut older)) = rest.split_first() {
        let mut last = entry;
        while let Some((next, oldest)) = older.split_first().filter(|(next, _)| !all && is_one_go(last, next)) {
            (last, older) = (next, oldest);
        }
        let before = older.iter().find(|entry| entry.what != Provenance::Local).and_then(|entry| entry.text.as_ref());
        let lines = entry.text.as_ref().filter(|_| entry.what != Provenance::Local).zip(before);
        let lines = lines.map(|(text, before)| changed_lines(&before.source, &text.source));
        rows.push(Row { entry, folded: rest.len() - older.len() - 1, lines });
        rest = older;
    }
    rows
}

/// Whether a text and the next older one come from one editing session, without a change of the version.
fn is_one_go(entry: &Entry, older: &Entry) -> bool {
    let version = |entry: &Entry| entry.text.as_ref().map(|text| text.version.clone());
    let is_near = entry.at.zip(older.at).is_some_and(|(at, before)| at.duration_since(before) <= SESSION);
    let are_deployed = [entry, older].iter().all(|entry| entry.what == Provenance::Deployed);
    are_deployed && !older.current && is_near && version(entry).is_some() && version(entry) == version(older)
}

/// A row's cells.
pub(super) fn cells(row: &Row<'_>, now: Timestamp, zone: &TimeZone) -> Cells<7> {
    let Row { entry, folded, lines } = row;
    let times = if *folded > 0 { format!("×{} ", folded + 1) } else { String::new() };
    let cells = [
        if entry.current { "*".to_owned() } else { String::new() },
        entry.at.map(|at| ago(at, now, zone)).unwrap_or_default(),
        entry.what.label().to_owned(),
        entry.text.as_ref().and_then(|text| text.version.clone()).unwrap_or_default(),
        name(entry),
        lines.map(|lines| lines.to_string()).unwrap_or_default(),
        (times + &words(entry)).trim_end().to_owned(),
    ];
    cells.map(|cell| printable::line(&cell).into_owned())
}

/// A time as people say it: how long ago within a month, else the day.
pub(super) fn ago(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match now.duration_since(at).as_secs() {
        // The server's clock may be ahead of ours.
        ..0 => clock(at, zone),
        seconds @ ..MINUTE => format!("{seconds} s ago"),
        seconds @ ..HOUR => format!("{} min ago", seconds / MINUTE),
        seconds @ ..DAY => format!("{} h ago", seconds / HOUR),
        seconds if seconds < 2 * DAY => "1 day ago".to_owned(),
        seconds if seconds < 30 * DAY => format!("{} days ago", seconds / DAY),
        _ => at.to_zoned(zone.clone()).strftime("%Y-%m-%d").to_string(),
    }
}

/// The server's commit message and author, without what the row already says.
fn words(entry: &Entry) -> String {
    let Some(version) = &entry.version else { return String::new() };
    let said = version.message.as_deref().unwrap_or_default();
    let deploy = message(entry.text.as_ref().and_then(|text| text.version.as_deref()));
    let said = beside(said, &deploy).filter(|_| entry.is_ours()).unwrap_or(said);
    let said = said.lines().next().unwrap_or_default().to_owned();
    let author = version.author.as_ref().map(|author| format!("({author})"));
    [Some(said), author].into_iter().flatten().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use console::measure_text_width as width;
    use expect_test::expect;
    use jiff::Timestamp;

    use super::super::super::table::aligned;
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
        let now = Timestamp::from_second(300).unwrap();
        let table: Vec<_> = rows(&entries, false).iter().map(|row| cells(row, now, &TimeZone::UTC)).collect();
        let shown = |columns| {
            let rows = aligned(&table, columns);
            assert!(rows.iter().all(|row| columns.is_none_or(|columns| width(row) <= columns)), "{rows:#?}");
            format!("{}\n", rows.join("\n"))
        };
        expect![[r"
            * 2 min ago  deployed  1.3.0          8a1ef624  +1 −1  commit 5d1c0f2 with uncommitted changes (Ann)
              2 min ago  replaced  1.2.0-beta.11  0529c93d
              2 min ago  server                   6c30bdbd         a fix (Bob)
                         local     1.2            23299f66
        "]]
        .assert_eq(&shown(None));
        expect![[r"
            * 2 min ago  deployed  1.3.0          8a1ef624  +1 −1  commit 5d1c0f2 with unco…
              2 min ago  replaced  1.2.0-beta.11  0529c93d
              2 min ago  server                   6c30bdbd         a fix (Bob)
                         local     1.2            23299f66
        "]]
        .assert_eq(&shown(Some(80)));
        expect![[r"
            * 2 min ago  deployed  1.3.0          8a1ef624  +1 −1
              2 min ago  replaced  1.2.0-beta.11  0529c93d
              2 min ago  server                   6c30bdbd
                         local     1.2            23299f66
        "]]
        .assert_eq(&shown(Some(60)));
        expect![[r"
            * 2 min ago  deployed  1.3.0       8a1ef624  +1 −1
              2 min ago  replaced  1.2.0-bet…  0529c93d
              2 min ago  server                6c30bdbd
                         local     1.2         23299f66
        "]]
        .assert_eq(&shown(Some(50)));
        // Without a commit message, everything fits.
        let plain = [entry(Provenance::Deployed, "1.3.0", None)];
        let plain = [cells(&rows(&plain, false)[0], now, &TimeZone::UTC)];
        assert_eq!(aligned(&plain, Some(48)), aligned(&plain, None));
    }

    #[test]
    fn deploys_of_one_version_in_one_go_are_one_row() {
        let entry = |what, minutes: i64, version: &str, line: &str| Entry {
            what,
            at: Some(Timestamp::from_second(minutes * 60).unwrap()),
            text: Some(Text::new(&format!("\"\"\"\nversion: {version}\n\"\"\"\n{line}\n"))),
            copy: None,
            version: None,
            current: false,
        };
        let deployed = |minutes, version, line| entry(Provenance::Deployed, minutes, version, line);
        let entries = [
            deployed(500, "2", "g\nh"),
            deployed(499, "2", "f"),
            entry(Provenance::Server, 498, "2", "e"),
            Entry { current: true, ..deployed(201, "2", "d") },
            deployed(200, "2", "c"),
            deployed(199, "1", "c"),
            deployed(10, "1", "b"),
            entry(Provenance::Local, 9, "1", "x"),
            deployed(8, "1", "a"),
        ];
        let shown = |all| {
            let now = Timestamp::from_second(501 * 60).unwrap();
            let table: Vec<_> = rows(&entries, all).iter().map(|row| cells(row, now, &TimeZone::UTC)).collect();
            format!("{}\n", aligned(&table, None).join("\n"))
        };
        expect![[r"
              1 min ago  deployed  2  c3a6b581  +2 −1  ×2
              3 min ago  server    2  5544e6a2  +1 −1
            * 5 h ago    deployed  2  f22eb09d  +2 −2  ×2
              5 h ago    deployed  1  bf3ec712  +1 −1
              8 h ago    deployed  1  f38ccd8e  +1 −1
              8 h ago    local     1  a89d4689
              8 h ago    deployed  1  52a251a4
        "]]
        .assert_eq(&shown(false));
        expect![[r"
              1 min ago  deployed  2  c3a6b581  +2 −1
              2 min ago  deployed  2  f59becde  +1 −1
              3 min ago  server    2  5544e6a2  +1 −1
            * 5 h ago    deployed  2  f22eb09d  +1 −1
              5 h ago    deployed  2  6b962e3a  +1 −1
              5 h ago    deployed  1  bf3ec712  +1 −1
              8 h ago    deployed  1  f38ccd8e  +1 −1
              8 h ago    local     1  a89d4689
              8 h ago    deployed  1  52a251a4
        "]]
        .assert_eq(&shown(true));
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        let now = Timestamp::from_second(10_000_000).unwrap();
        let told = |seconds: i64| ago(Timestamp::from_second(10_000_000 - seconds).unwrap(), now, &TimeZone::UTC);
        for (seconds, expected) in [
            (0, "0 s ago"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3599, "59 min ago"),
            (3600, "1 h ago"),
            (86_399, "23 h ago"),
            (86_400, "1 day ago"),
            (172_800, "2 days ago"),
            (2_591_999, "29 days ago"),
            (2_592_000, "1970-03-27"),
            (-5, "1970-04-26 17:46:45"),
        ] {
            assert_eq!(told(seconds), expected, "{seconds}");
        }
    }
}
