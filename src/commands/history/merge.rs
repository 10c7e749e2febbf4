//! Merges our copies and the server's versions into one list, matching those that come from the same deploy.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Entry, Text, beside};
use crate::disk::Copy;
use crate::engine::deploy::{Version, message};
use crate::notice::Provenance;

/// Merges both into one list, newest first. Our copy and the server's version of it become one entry.
pub(super) fn merged(
    copies: Vec<Copy>,
    versions: Vec<(Version, Option<Text>)>,
    now: Option<(Text, Option<String>)>,
) -> Vec<Entry> {
    let mut entries: Vec<Entry> = copies.into_iter().rev().map(Entry::from).collect();
    let mut alone: Vec<_> = versions.into_iter().map(Some).collect();
    let has_versions = !alone.is_empty();
    let digests: BTreeSet<_> = entries.iter().filter_map(Entry::digest).collect();
    // Match versions to deployed texts first: a copy that was made before the next deploy may be nearer in time. Texts
    // found on the server come last.
    let rounds: [&[Provenance]; 3] =
        [&[Provenance::Deployed, Provenance::RolledBack], &[Provenance::Replaced], &[Provenance::Server]];
    for (digest, what) in digests.into_iter().flat_map(|digest| rounds.map(|what| (digest, what))) {
        let ours: Vec<_> = (0..entries.len())
            .filter(|n| entries[*n].digest() == Some(digest) && what.contains(&entries[*n].what))
            .filter_map(|n| Some((entries[n].at?, n)))
            .collect();
        let has_it = |version: &Option<(Version, Option<Text>)>| {
            let (version, text) = version.as_ref()?;
            (text.as_ref()?.digest == digest).then_some(version.at)
        };
        let theirs: Vec<_> = alone.iter().enumerate().filter_map(|(n, version)| Some((has_it(version)?, n))).collect();
        for (ours, theirs) in paired(ours, theirs) {
            let version = alone[theirs].take().map(|(version, _)| version);
            if what == [Provenance::Server] {
                entries[ours].at = version.as_ref().map(|version| version.at);
            }
            entries[ours].version = version;
        }
    }
    if has_versions {
        leave_out_found(&mut entries);
    }
    leave_out_known(&entries, &mut alone);
    entries.extend(alone.into_iter().flatten().map(|(version, text)| Entry {
        what: Provenance::Server,
        at: Some(version.at),
        text,
        copy: None,
        version: Some(version),
        current: false,
    }));
    entries.sort_by_key(|entry| Reverse(entry.at));
    if let Some((text, version_id)) = now {
        let is_version = |entry: &Entry| {
            version_id.is_some() && entry.version.as_ref().map(|version| &version.id) == version_id.as_ref()
        };
        let newest = entries.iter().position(|entry| entry.what != Provenance::Local);
        // A replaced text may be current again: someone restored it, and that has no entry yet.
        let is_text = |(n, entry): (usize, &Entry)| {
            let is_there = match entry.what {
                Provenance::Deployed | Provenance::RolledBack | Provenance::Server => true,
                Provenance::Replaced => Some(n) == newest,
                Provenance::Local => false,
            };
            (is_there && entry.digest() == Some(text.digest)).then_some(n)
        };
        let place = entries.iter().position(is_version).or_else(|| entries.iter().enumerate().find_map(is_text));
        match place {
            Some(place) => {
                let entry = &mut entries[place];
                entry.current = true;
                if entry.what == Provenance::Replaced {
                    // We backed it up, and then the server refused the new text.
                    entry.what = Provenance::Server;
                }
            }
            None => entries.insert(
                0,
                Entry {
                    what: Provenance::Server,
                    at: None,
                    text: Some(text),
                    copy: None,
                    version: None,
                    current: true,
                },
            ),
        }
    }
    entries
}

/// Drops texts found on the server that another entry already explains.
fn leave_out_found(entries: &mut Vec<Entry>) {
    let is_found = |entry: &Entry| entry.what == Provenance::Server && entry.version.is_none();
    let others = entries.iter().filter(|entry| entry.what != Provenance::Local && !is_found(entry));
    let told: BTreeSet<_> = others.filter_map(Entry::digest).collect();
    entries.retain(|entry| !is_found(entry) || entry.digest().is_none_or(|digest| !told.contains(&digest)));
}

/// Drops server versions without a text whose commit message marks them as our deploys: they would be listed twice. The
/// match is a guess, so our entries do not take over their ids.
fn leave_out_known(entries: &[Entry], versions: &mut [Option<(Version, Option<Text>)>]) {
    let message = |entry: &Entry| message(entry.text.as_ref().and_then(|text| text.version.as_deref()));
    let ours: Vec<_> = entries.iter().filter(|entry| entry.is_ours() && entry.version.is_none()).collect();
    let messages: BTreeSet<_> = ours.iter().map(|entry| message(entry)).collect();
    for deploy in messages {
        let ours = ours.iter().enumerate().filter(|(_, entry)| message(entry) == deploy);
        let ours = ours.filter_map(|(n, entry)| Some((entry.at?, n))).collect();
        let theirs = versions.iter().enumerate().filter_map(|(n, version)| {
            let (version, text) = version.as_ref()?;
            let is_it = text.is_none() && beside(version.message.as_deref()?, &deploy).is_some();
            is_it.then_some((version.at, n))
        });
        for (_, theirs) in paired(ours, theirs.collect()) {
            versions[theirs] = None;
        }
    }
}

/// Pairs our deploy times with the server's version times. The clocks may differ, so order counts first, then distance.
/// Others may have deployed the same text too.
fn paired(mut ours: Vec<(Timestamp, usize)>, mut theirs: Vec<(Timestamp, usize)>) -> Vec<(usize, usize)> {
    if ours.len() > theirs.len() {
        return paired(theirs, ours).into_iter().map(|(theirs, ours)| (ours, theirs)).collect();
    }
    ours.sort_unstable();
    theirs.sort_unstable();
    // `best[n]`: the best pairing of all our times so far with the server's first `n`.
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

/// Matched indexes, and the sum of their distances in time.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Pairing {
    distance: SignedDuration,
    pairs: Vec<(usize, usize)>,
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::disk::Origin;
    use crate::plugin::Digest;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    fn times(minutes: &[i64]) -> Vec<(Timestamp, usize)> {
        minutes.iter().enumerate().map(|(n, minutes)| (at(*minutes), n)).collect()
    }

    #[test]
    fn pairing_is_by_order_and_then_by_time() {
        for (ours, theirs, expected) in [
            (&[][..], &[1][..], &[][..]),
            (&[1], &[], &[]),
            (&[10], &[10, 20], &[(0, 0)]),
            (&[20], &[10, 20], &[(0, 1)]),
            (&[10, 20], &[11, 21], &[(0, 0), (1, 1)]),
            // A clock that is an hour slow.
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

    /// One line per entry: `deployed a @3 =v1 current`.
    #[track_caller]
    fn check(entries: &[Entry], expected: &[&str]) {
        let told: Vec<_> = entries
            .iter()
            .map(|entry| {
                let source = entry.text.as_ref().map_or("?", |text| &text.source);
                let at = entry.at.map(|at| format!(" @{}", at.as_second() / 60)).unwrap_or_default();
                let version = entry.version.as_ref().map(|version| format!(" ={}", version.id)).unwrap_or_default();
                let current = if entry.current { " current" } else { "" };
                format!("{} {source}{at}{version}{current}", entry.what.label())
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn copies_and_versions_are_merged() {
        let copies = vec![
            copy(Origin::Deployed, 1, "a"),
            copy(Origin::Replaced, 5, "theirs"),
            copy(Origin::Deployed, 5, "b"),
            copy(Origin::Local, 6, "b"),
            copy(Origin::Restored, 7, "a"),
        ];
        // Within one second, list order decides.
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
                "server more @8 =v5",
                "rolled back a @7 =v4 current",
                "local b @6",
                "deployed b @5 =v3",
                "replaced theirs @5 =v2",
                "deployed a @1",
                // Its text was not read.
                "server ? @1 =v1",
            ],
        );
        // Without versions, the newest entry with that text is current.
        check(
            &merged(copies.clone(), Vec::new(), now("b", None)),
            &["rolled back a @7", "local b @6", "deployed b @5 current", "replaced theirs @5", "deployed a @1"],
        );
        check(
            &merged(vec![copy(Origin::Deployed, 1, "a")], Vec::new(), now("c", None)),
            &["server c current", "deployed a @1"],
        );
        check(&merged(Vec::new(), Vec::new(), now("c", None)), &["server c current"]);
        check(&merged(vec![copy(Origin::Local, 1, "a")], Vec::new(), None), &["local a @1"]);
    }

    /// Deleted on the server with a copy, and created again at once: the server has one version, with whole seconds.
    #[test]
    fn a_deploy_after_a_deletion_is_current() {
        let copies =
            vec![copy(Origin::Deployed, 1, "a"), copy(Origin::Replaced, 4, "a"), copy(Origin::Deployed, 7, "a")];
        let versions = vec![(version("v1", 5), Some(Text::new("a")))];
        check(
            &merged(copies, versions, Some((Text::new("a"), Some("v1".to_owned())))),
            &["deployed a @7 =v1 current", "replaced a @4", "deployed a @1"],
        );
    }

    #[test]
    fn a_text_found_on_the_server_counts_as_the_servers() {
        let versions = || vec![(version("v2", 4), Some(Text::new("b"))), (version("v1", 2), Some(Text::new("theirs")))];
        let now = |source, version: Option<&str>| Some((Text::new(source), version.map(str::to_owned)));
        let found = |minutes, source| copy(Origin::Found, minutes, source);
        // The server knows when it was saved.
        check(
            &merged(vec![found(9, "b")], versions(), now("b", Some("v2"))),
            &["server b @4 =v2 current", "server theirs @2 =v1"],
        );
        // A text deployed from here stays `deployed`, even if it was also found later.
        check(
            &merged(vec![copy(Origin::Deployed, 7, "b"), found(5, "b")], versions(), now("b", Some("v2"))),
            &["deployed b @7 =v2 current", "server theirs @2 =v1"],
        );
        // Without versions, only the time of discovery is known.
        check(
            &merged(vec![copy(Origin::Deployed, 1, "a"), found(5, "b")], Vec::new(), now("b", None)),
            &["server b @5 current", "deployed a @1"],
        );
        check(
            &merged(
                vec![copy(Origin::Deployed, 1, "a"), found(5, "b"), copy(Origin::Deployed, 7, "c")],
                Vec::new(),
                now("c", None),
            ),
            &["deployed c @7 current", "server b @5", "deployed a @1"],
        );
    }

    #[test]
    fn our_deploy_listed_without_text_appears_once() {
        let source = |version: &str, n: i64| format!("\"\"\"\nversion: {version}\n\"\"\"\n# {n}\n");
        let of = |version: &str, minutes| {
            let source = source(version, minutes);
            Copy { version: Some(version.to_owned()), ..copy(Origin::Deployed, minutes, &source) }
        };
        let said = |id: &str, minutes, words: &str| {
            (Version { message: Some(words.to_owned()), ..version(id, minutes) }, None)
        };
        let copies = vec![of("1", 1), of("1", 3), of("2", 5)];
        let versions = vec![
            said("v6", 6, "owui-watch: 2, commit 5d1c0f2"),
            said("v5", 4, "owui-watch: 1"),
            // From someone else who uses owui-watch.
            said("v4", 2, "owui-watch: 1.5"),
            said("v3", 1, "owui-watch: 1"),
            said("v2", 1, "by hand"),
            // Deployed more often than we know: the time decides which version matches.
            said("v1", 0, "owui-watch: 1"),
        ];
        let merged = merged(copies, versions, None);
        let told: Vec<_> = merged
            .iter()
            .map(|entry| match (&entry.text, &entry.version) {
                (Some(text), None) => text.version.clone().unwrap(),
                (None, Some(version)) => version.id.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, ["2", "1", "v4", "1", "v2", "v1"]);
    }

    #[test]
    fn a_backed_up_text_may_still_be_current() {
        let copies = || vec![copy(Origin::Deployed, 1, "a"), copy(Origin::Replaced, 5, "theirs")];
        let now = |source| Some((Text::new(source), None));
        check(&merged(copies(), Vec::new(), now("theirs")), &["server theirs @5 current", "deployed a @1"]);
        check(&merged(copies(), Vec::new(), now("a")), &["replaced theirs @5", "deployed a @1 current"]);
        let later = [copies(), vec![copy(Origin::Deployed, 7, "b")]].concat();
        let expected = ["server theirs current", "deployed b @7", "replaced theirs @5", "deployed a @1"];
        check(&merged(later, Vec::new(), now("theirs")), &expected);
    }
}
