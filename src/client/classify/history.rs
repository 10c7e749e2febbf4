//! The server's history of a function: its versions and their order.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::rows::Named;
use crate::client::list::List;
use crate::engine::deploy::Version;

/// One entry of a history. Empty if only the id can be read.
pub(super) fn listed_version(bytes: &[u8]) -> Option<Vec<Version>> {
    let Named { .. } = serde_json::from_slice(bytes).ok()?;
    Some(serde_json::from_slice::<WireVersion>(bytes).map(Version::from).into_iter().collect())
}

/// How many entries a page of a history has, including unreadable ones.
pub(in crate::client) fn page_length(body: &[u8]) -> usize {
    List::of(body, |_| Some(())).map_or(0, |page| page.n)
}

/// An entry of a history. The skipped fields identify the function.
#[derive(Deserialize)]
struct WireVersion {
    id: String,
    #[serde(deserialize_with = "seconds")]
    created_at: Timestamp,
    parent_id: Option<String>,
    commit_message: Option<String>,
    user: Option<WireAuthor>,
}

#[derive(Deserialize)]
struct WireAuthor {
    name: Option<String>,
}

impl From<WireVersion> for Version {
    fn from(version: WireVersion) -> Self {
        Self {
            id: version.id,
            at: version.created_at,
            parent: version.parent_id,
            message: version.commit_message,
            author: version.user.and_then(|user| user.name),
        }
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Timestamp::from_second(i64::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// An entry with its content, requested by id.
#[derive(Deserialize)]
pub(super) struct WireSnapshot {
    pub(super) id: Option<String>,
    pub(super) snapshot: Snapshot,
}

#[derive(Deserialize)]
pub(super) struct Snapshot {
    pub(super) content: String,
}

/// Sorts versions, newest first. Within one second, where the server's order is random, a version comes before its
/// parent.
pub(in crate::client) fn newest_first(mut versions: Vec<Version>) -> Vec<Version> {
    let heights = heights(&versions);
    versions.sort_by_cached_key(|version| Reverse((version.at, heights.get(&version.id).copied())));
    versions
}

/// The number of ancestors within the same second, by version id.
fn heights(versions: &[Version]) -> HashMap<String, usize> {
    let by_id: HashMap<_, _> = versions.iter().map(|version| (version.id.as_str(), version)).collect();
    let parent = |version: &Version| {
        let parent = by_id.get(version.parent.as_deref()?)?;
        (parent.at == version.at).then_some(*parent)
    };
    let mut heights = HashMap::with_capacity(versions.len());
    for version in versions {
        let mut chain = Vec::new();
        let mut next = Some(version);
        while let Some(version) = next.filter(|version| !heights.contains_key(&version.id)) {
            // A placeholder that also ends cycles, should the server send one.
            heights.insert(version.id.clone(), 0);
            chain.push(version);
            next = parent(version);
        }
        for version in chain.into_iter().rev() {
            let height = parent(version).map_or(0, |parent| heights[&parent.id] + 1);
            heights.insert(version.id.clone(), height);
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::super::Asked;
    use super::super::tests::{answered, foreign};
    use super::*;
    use crate::engine::deploy::Reply;
    use Asked::Versions;

    #[test]
    fn histories_are_parsed() {
        let entry = |id: &str, parent: Option<&str>, second: i64| Version {
            id: id.into(),
            at: Timestamp::from_second(second).unwrap(),
            parent: parent.map(str::to_owned),
            message: None,
            author: None,
        };
        let told = r#"[
            {"id": "b", "function_id": "f", "parent_id": "a", "user_id": "u", "commit_message": "so", "created_at": 7,
             "user": {"name": "Ada"}},
            {"id": "a", "parent_id": null, "commit_message": null, "created_at": 5, "user": null}]"#;
        let newest = Version { message: Some("so".into()), author: Some("Ada".into()), ..entry("b", Some("a"), 7) };
        let expected = Reply::Versions(vec![newest, entry("a", None, 5)]);
        assert_eq!(answered(Versions, 200, "application/json", told), expected);
        assert_eq!(answered(Versions, 200, "application/json", "[]"), Reply::Versions(vec![]));
        for odd in ["{}", "[7]", r#"[{"created_at": 5}]"#] {
            assert_eq!(answered(Versions, 200, "application/json", odd), foreign(200, "unexpected JSON"));
        }
        // An invalid entry does not affect the others. The last time is in the year 9999999.
        for odd in ["null", "\"9999999-01-01\"", "-1e400", "9223372036854775807", "315569519616000"] {
            let entries = format!(r#"[{{"id": "b", "created_at": {odd}}}, {{"id": "a", "created_at": 5}}]"#);
            let expected = Reply::Versions(vec![entry("a", None, 5)]);
            assert_eq!(answered(Versions, 200, "application/json", &entries), expected, "{odd}");
            let alone = format!(r#"[{{"id": "b", "created_at": {odd}}}]"#);
            assert_eq!(answered(Versions, 200, "application/json", &alone), Reply::Versions(vec![]), "{odd}");
        }
        let one = r#"{"id": "a", "created_at": 5, "snapshot": {"name": "A", "content": "x = 1\n", "meta": {}}}"#;
        assert_eq!(answered(Asked::Version, 200, "application/json", one), Reply::Text("x = 1\n".into()));
        let odd = answered(Asked::Version, 200, "application/json", told);
        assert_eq!(odd, foreign(200, "unexpected JSON"));
    }

    #[test]
    fn within_one_second_children_come_before_parents() {
        let second = |id: &str, parent: &str, at: i64| Version {
            id: id.into(),
            at: Timestamp::from_second(at).unwrap(),
            parent: Some(parent.into()).filter(|parent: &String| !parent.is_empty()),
            message: None,
            author: None,
        };
        let told = vec![
            second("c", "b", 2),
            second("e", "d", 3),
            second("b", "a", 2),
            second("d", "c", 2),
            second("a", "", 1),
        ];
        let order = |versions: Vec<Version>| newest_first(versions).into_iter().map(|it| it.id).collect::<String>();
        assert_eq!(order(told), "edcba");
        // Two versions with the same parent: their order is unknown.
        assert_eq!(order(vec![second("y", "a", 2), second("x", "a", 2), second("a", "", 2)]), "yxa");
        // No server sends a cycle, but it must end.
        assert_eq!(order(vec![second("x", "y", 2), second("y", "x", 2)]).len(), 2);
        assert_eq!(order(vec![second("x", "x", 2), second("y", "x", 2)]), "yx");
        // A quadratic algorithm would take an hour here.
        let name = |n: u32| format!("{n:06}");
        let mut long: Vec<_> = (0..200_000).map(|n| second(&name(n), &name(n.saturating_sub(1)), 2)).collect();
        long.rotate_left(77_777);
        let sorted = newest_first(long);
        assert!(sorted.iter().map(|it| it.id.clone()).eq((0..200_000).rev().map(name)));
    }
}
