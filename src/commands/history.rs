//! What a plugin's text was: our copies of what was deployed and replaced, and the versions that the server keeps.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::screen::{Line, Screen, clock, printable};
use super::server::{Server, text};
use super::target::{Files, Target};
use super::{Refusal, Scene};
use crate::disk::{Copy, Origin};
use crate::engine::Code;
use crate::engine::exchange::Version;
use crate::engine::notice::Level;
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::{Digest, Key, normal};

/// How many of the server's versions are asked for their texts.
const MOST_TEXTS: usize = 20;

/// A text that the plugin had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) what: What,
    /// When it was deployed, replaced, or made on the server; `None` for what is simply there.
    pub(super) at: Option<Timestamp>,
    /// `None` where only the server has it, and was not asked for it.
    pub(super) text: Option<Text>,
    /// Our copy.
    pub(super) copy: Option<PathBuf>,
    /// The server's version of it.
    pub(super) version: Option<Version>,
    /// Whether it is what the server holds now.
    pub(super) current: bool,
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// We put it on the server.
    Deployed,
    /// It is, or was, on the server, and we have nothing to do with it.
    Server,
    /// It was somebody else's, and we replaced it.
    Replaced,
    /// It was a file's, and a pull replaced it.
    Local,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            What::Deployed => "deployed",
            What::Server => "on the server",
            What::Replaced => "replaced",
            What::Local => "local file",
        }
    }
}

/// A text, and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) source: Arc<str>,
    pub(super) digest: Digest,
    /// In its frontmatter.
    pub(super) version: Option<String>,
}

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let version = Frontmatter::parse(&normal::normal(text)).version().map(str::to_owned);
        Self { source: text.into(), digest: Digest::of_text(text), version }
    }
}

impl From<Copy> for Entry {
    fn from(copy: Copy) -> Self {
        let what = match copy.origin {
            Origin::Deployed => What::Deployed,
            Origin::Replaced => What::Replaced,
            Origin::Local => What::Local,
        };
        let text = Text { source: copy.text.into(), digest: copy.digest, version: copy.version };
        Self { what, at: Some(copy.at), text: Some(text), copy: Some(copy.path), version: None, current: false }
    }
}

impl Entry {
    pub(super) fn digest(&self) -> Option<Digest> {
        self.text.as_ref().map(|text| text.digest)
    }
}

/// Prints the history of a plugin.
pub async fn history(scene: &Scene<'_>, name: &str) -> anyhow::Result<Code> {
    let files = Files::read(scene.config)?;
    // Our own copies can be listed without it.
    let (server, mut away) = match Server::connect(scene).await {
        Ok(server) => (Some(server), None),
        Err(refusal) => (None, Some(refusal)),
    };
    let target = match files.select_one(name, scene, server).await {
        Ok(target) => target,
        // Whether there is such a plugin, only the server knows.
        Err(refusal) => return Err(away.unwrap_or(refusal).into()),
    };
    let screen = Screen::new(scene);
    let entries = match server {
        Some(server) => match gather(scene, server, &target).await {
            Ok(entries) => entries,
            Err(refusal) => {
                away = Some(refusal);
                merged(scene.folder.copies(&target.key), Vec::new(), None)
            }
        },
        None => merged(scene.folder.copies(&target.key), Vec::new(), None),
    };
    let zone = TimeZone::system();
    let table: Vec<_> = entries.iter().map(|entry| columns(entry, &zone)).collect();
    let widths: Vec<_> = (0..table.first().map_or(0, Vec::len))
        .map(|column| table.iter().map(|cells| width(&cells[column])).max().unwrap_or_default())
        .collect();
    for (entry, cells) in entries.iter().zip(&table) {
        screen.row(&line(entry, cells, &target.key), &aligned(cells, &widths));
    }
    if let Some(refusal) = away {
        return Err(refusal.into());
    }
    if entries.is_empty() {
        screen.aside(&Line::new("no_history", format!("nothing is known of {} yet", target.key)).of(&target.key));
    }
    Ok(Code::Fine)
}

/// What the server holds, and everything that it, and we, know of before.
pub(super) async fn gather(scene: &Scene<'_>, server: Server<'_>, target: &Target) -> Result<Vec<Entry>, Refusal> {
    let key = &target.key;
    let row = server.row(key).await?;
    let now = match &row {
        Some(row) => Some(Text::new(text(key, row)?)),
        None => None,
    };
    let mut versions = Vec::new();
    let version_id = row.as_ref().and_then(|row| row.version_id.clone());
    if row.as_ref().is_some_and(|row| row.versioned) {
        for (place, version) in listed(scene, server, key).await?.into_iter().enumerate() {
            let text = match &now {
                Some(now) if Some(&version.id) == version_id.as_ref() => Some(now.clone()),
                _ if place < MOST_TEXTS => server.version(key, &version.id).await?.map(|text| Text::new(&text)),
                _ => None,
            };
            versions.push((version, text));
        }
    }
    let now = now.map(|now| (now, version_id));
    Ok(merged(scene.folder.copies(key), versions, now))
}

/// The server's versions. An account that may not see them can still see the rest.
async fn listed(scene: &Scene<'_>, server: Server<'_>, key: &Key) -> Result<Vec<Version>, Refusal> {
    let versions = server.versions(key).await?;
    if versions.is_none() {
        let line = Line::new("trouble", format!("the server does not show the versions of {key} to this key"));
        Screen::new(scene).aside(&line.of(key).level(Level::Warning));
    }
    Ok(versions.unwrap_or_default())
}

/// Everything in one list, newest first. A text of ours that the server has as a version is one entry.
fn merged(
    copies: Vec<Copy>,
    versions: Vec<(Version, Option<Text>)>,
    now: Option<(Text, Option<String>)>,
) -> Vec<Entry> {
    let mut entries: Vec<Entry> = copies.into_iter().rev().map(Entry::from).collect();
    let mut alone: Vec<_> = versions.into_iter().map(Some).collect();
    let digests: BTreeSet<_> = entries.iter().filter_map(Entry::digest).collect();
    for digest in digests {
        let ours: Vec<_> = (0..entries.len())
            .filter(|n| entries[*n].digest() == Some(digest) && entries[*n].what != What::Local)
            .filter_map(|n| Some((entries[n].at?, n)))
            .collect();
        let has_it = |version: &Option<(Version, Option<Text>)>| {
            let (version, text) = version.as_ref()?;
            (text.as_ref()?.digest == digest).then_some(version.at)
        };
        let theirs: Vec<_> = alone.iter().enumerate().filter_map(|(n, version)| Some((has_it(version)?, n))).collect();
        for (ours, theirs) in paired(ours, theirs) {
            entries[ours].version = alone[theirs].take().map(|(version, _)| version);
        }
    }
    entries.extend(alone.into_iter().flatten().map(|(version, text)| Entry {
        what: What::Server,
        at: Some(version.at),
        text,
        copy: None,
        version: Some(version),
        current: false,
    }));
    entries.sort_by_key(|entry| (Reverse(entry.at), entry.what));
    if let Some((text, version_id)) = now {
        let is_version = |entry: &Entry| {
            version_id.is_some() && entry.version.as_ref().map(|version| &version.id) == version_id.as_ref()
        };
        let is_text = |entry: &Entry| entry.digest() == Some(text.digest) && entry.what != What::Local;
        let place = entries.iter().position(is_version).or_else(|| entries.iter().position(is_text));
        match place {
            Some(place) => entries[place].current = true,
            None => entries.insert(
                0,
                Entry { what: What::Server, at: None, text: Some(text), copy: None, version: None, current: true },
            ),
        }
    }
    entries
}

/// Pairs the times when a text was put on the server by our clock with those by the server's. The clocks may differ, so
/// the order counts first, and then the distance: a text may have been put there by others as well.
fn paired(mut ours: Vec<(Timestamp, usize)>, mut theirs: Vec<(Timestamp, usize)>) -> Vec<(usize, usize)> {
    if ours.len() > theirs.len() {
        return paired(theirs, ours).into_iter().map(|(theirs, ours)| (ours, theirs)).collect();
    }
    ours.sort_unstable();
    theirs.sort_unstable();
    // The best pairing of all of ours so far with some of the first `n` of theirs.
    let mut best = vec![Some(Pairing::default()); theirs.len() + 1];
    for (our_time, our) in ours {
        let mut next: Vec<Option<Pairing>> = vec![None];
        for ((their_time, their), before) in theirs.iter().zip(&best) {
            let with = before.as_ref().map(|before| Pairing {
                distance: before.distance.saturating_add(our_time.duration_since(*their_time).abs()),
                pairs: [before.pairs.as_slice(), &[(our, *their)]].concat(),
            });
            let without = next.last().cloned().flatten();
            next.push([with, without].into_iter().flatten().min());
        }
        best = next;
    }
    best.pop().flatten().map(|best| best.pairs).unwrap_or_default()
}

/// Which belong together, and how far apart they are in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Pairing {
    distance: SignedDuration,
    pairs: Vec<(usize, usize)>,
}

/// An entry as a row of the table. What no entry has takes no room.
fn columns(entry: &Entry, zone: &TimeZone) -> Vec<String> {
    let version = entry.version.as_ref();
    let said = [
        version.and_then(|version| version.message.clone()),
        version.and_then(|version| version.author.as_ref().map(|author| format!("({author})"))),
    ];
    let cells = [
        entry.at.map(|at| clock(at, zone)).unwrap_or_default(),
        entry.what.word().to_owned(),
        if entry.current { "current".to_owned() } else { String::new() },
        entry.text.as_ref().and_then(|text| text.version.clone()).unwrap_or_default(),
        entry.digest().map(|digest| digest.short()).unwrap_or_default(),
        version.map(|version| short(&version.id).to_owned()).unwrap_or_default(),
        said.into_iter().flatten().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" "),
    ];
    cells.map(|cell| printable(&cell)).into()
}

fn aligned(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, columns) in cells.iter().zip(widths).filter(|(_, columns)| **columns > 0) {
        let padding = " ".repeat(columns - width(cell));
        line = line + cell + &padding + "  ";
    }
    line.truncate(line.trim_end().len());
    line
}

fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// The server's version ids are long; their beginning tells them apart.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn line(entry: &Entry, cells: &[String], key: &Key) -> Line {
    let version = entry.version.as_ref();
    let message = cells.iter().filter(|cell| !cell.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ");
    Line::new("history", message)
        .of(key)
        .with("what", json!(entry.what.word().replace(' ', "_")))
        .with("at", json!(entry.at.map(|at| at.to_string())))
        .with("current", json!(entry.current))
        .with("version", json!(entry.text.as_ref().and_then(|text| text.version.as_ref())))
        .with("digest", json!(entry.digest()))
        .with("copy", json!(entry.copy.as_ref().map(|path| path.display().to_string())))
        .with("server_version_id", json!(version.map(|version| &version.id)))
        .with("commit_message", json!(version.and_then(|version| version.message.as_ref())))
        .with("author", json!(version.and_then(|version| version.author.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    fn times(minutes: &[i64]) -> Vec<(Timestamp, usize)> {
        minutes.iter().enumerate().map(|(n, minutes)| (at(*minutes), n)).collect()
    }

    #[test]
    fn what_belongs_together_is_found_by_order_and_then_by_time() {
        for (ours, theirs, expected) in [
            (&[][..], &[1][..], &[][..]),
            (&[1], &[], &[]),
            (&[10], &[10, 20], &[(0, 0)]),
            (&[20], &[10, 20], &[(0, 1)]),
            (&[10, 20], &[11, 21], &[(0, 0), (1, 1)]),
            // A clock that is an hour late.
            (&[110, 120], &[50, 60], &[(0, 0), (1, 1)]),
            (&[10, 20, 30], &[20, 31], &[(1, 0), (2, 1)]),
            (&[30, 10], &[10, 20, 31], &[(1, 0), (0, 2)]),
        ] {
            assert_eq!(paired(times(ours), times(theirs)), expected, "{ours:?} {theirs:?}");
        }
    }

    fn copy(origin: Origin, minutes: i64, source: &str) -> Copy {
        let digest = Digest::of_text(source);
        let path = PathBuf::from(format!("{minutes}-{}.py", digest.short()));
        Copy { origin, at: at(minutes), digest, version: None, path, text: source.to_owned() }
    }

    fn version(id: &str, minutes: i64) -> Version {
        Version { id: id.to_owned(), at: at(minutes), parent: None, message: None, author: None }
    }

    /// One line for each, as `deployed a @3 =v1 current`.
    #[track_caller]
    fn check(entries: &[Entry], expected: &[&str]) {
        let told: Vec<_> = entries
            .iter()
            .map(|entry| {
                let source = entry.text.as_ref().map_or("?", |text| &text.source);
                let at = entry.at.map(|at| format!(" @{}", at.as_second() / 60)).unwrap_or_default();
                let version = entry.version.as_ref().map(|version| format!(" ={}", version.id)).unwrap_or_default();
                let current = if entry.current { " current" } else { "" };
                format!("{} {source}{at}{version}{current}", entry.what.word())
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn our_copies_and_the_servers_versions_are_one_list() {
        let copies = vec![
            copy(Origin::Deployed, 1, "a"),
            copy(Origin::Replaced, 5, "theirs"),
            copy(Origin::Deployed, 5, "b"),
            copy(Origin::Local, 6, "b"),
            copy(Origin::Deployed, 7, "a"),
        ];
        // Of one second the later one is the newer one.
        let same = vec![copy(Origin::Deployed, 1, "a"), copy(Origin::Deployed, 1, "b"), copy(Origin::Deployed, 1, "c")];
        check(&merged(same, Vec::new(), None), &["deployed c @1", "deployed b @1", "deployed a @1"]);
        let versions = || {
            vec![
                (version("v5", 8), Some(Text::new("more"))),
                (version("v4", 7), Some(Text::new("a"))),
                (version("v3", 5), Some(Text::new("b"))),
                (version("v2", 3), Some(Text::new("theirs"))),
                (version("v1", 1), None),
            ]
        };
        let now = |source, version: Option<&str>| Some((Text::new(source), version.map(str::to_owned)));
        check(
            &merged(copies.clone(), versions(), now("a", Some("v4"))),
            &[
                "on the server more @8 =v5",
                "deployed a @7 =v4 current",
                "local file b @6",
                "deployed b @5 =v3",
                "replaced theirs @5 =v2",
                "deployed a @1",
                // Nobody has asked whether it is the same.
                "on the server ? @1 =v1",
            ],
        );
        // Without versions the newest of that text is the one.
        check(
            &merged(copies.clone(), Vec::new(), now("b", None)),
            &["deployed a @7", "local file b @6", "deployed b @5 current", "replaced theirs @5", "deployed a @1"],
        );
        check(
            &merged(vec![copy(Origin::Deployed, 1, "a")], Vec::new(), now("c", None)),
            &["on the server c current", "deployed a @1"],
        );
        check(&merged(Vec::new(), Vec::new(), now("c", None)), &["on the server c current"]);
        check(&merged(vec![copy(Origin::Local, 1, "a")], Vec::new(), None), &["local file a @1"]);
    }
}
