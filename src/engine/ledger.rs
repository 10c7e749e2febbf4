//! The ledger: what we believe the server holds, per plugin. If it is lost or damaged, that costs a comparison with the
//! server and never a wrong deploy: every write to the server is preceded by a read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plugin::{Digest, Key, Kind, Plugin, id::PluginId};

/// The format that this program writes. A file with a higher one is left alone.
pub const FORMAT: u32 = 1;

/// How many unconfirmed texts are kept per plugin.
const MOST_SENT: usize = 16;

/// The state that an earlier run saved about one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedState {
    /// What we believe it holds.
    pub ledger: Ledger,
    /// The current rollbacks.
    pub rollbacks: BTreeMap<Key, Rollback>,
    /// Updates that were sent and not confirmed.
    pub intents: BTreeMap<Key, UpdateIntent>,
}

impl From<Ledger> for SavedState {
    fn from(ledger: Ledger) -> Self {
        Self { ledger, ..Self::default() }
    }
}

/// The records of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    records: BTreeMap<Key, Record>,
}

/// What is known of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The last text that the server certainly held.
    pub deployed: Option<Deployed>,
    /// How the newest attempt ended.
    pub last: LastAttempt,
    /// Texts of ours that were sent since and never confirmed. If the server holds one of them, it is ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<Digest>,
    /// We switched the function off because its file was gone (`on_delete`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub switched_off: bool,
}

impl Record {
    fn new(last: LastAttempt) -> Self {
        Self { deployed: None, last, sent: Vec::new(), switched_off: false }
    }

    /// Our texts that may be on the server: the last deployed one, and unconfirmed ones.
    pub fn ours(&self) -> impl Iterator<Item = Digest> {
        let deployed = self.deployed.as_ref().map(|deployed| deployed.digest);
        deployed.into_iter().chain(self.sent.iter().copied())
    }

    /// The text that the server is believed to hold.
    #[must_use]
    pub fn held(&self) -> Option<Digest> {
        self.deployed.as_ref().filter(|_| self.last == LastAttempt::Deployed).map(|deployed| deployed.digest)
    }
}

/// A text on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The digest of the text.
    pub digest: Digest,
    /// The frontmatter's version, where it gives one.
    pub version: Option<String>,
    /// When it was deployed, or first seen there.
    pub at: Timestamp,
    /// We put it there, and did not just find it.
    pub by_us: bool,
}

/// How an attempt to deploy ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastAttempt {
    /// The server holds it.
    Deployed,
    /// The server would not take it; not to be tried again as it stands.
    Refused {
        /// The digest of the refused text.
        digest: Digest,
        /// The reason.
        #[serde(flatten)]
        refusal: Refusal,
    },
    /// It failed on the way: the server may hold it or not.
    Failed {
        /// The digest of the text.
        digest: Digest,
    },
}

/// The reason why the server refuses a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The server's words, unaltered, which may be empty; or why no answer came.
    pub words: String,
    /// How it was learned. Older files leave it out for the server's words.
    #[serde(default)]
    pub kind: RefusalKind,
}

/// How a refusal was learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The server said so.
    #[default]
    Said,
    /// The text got no answer, twice.
    NoAnswer,
    /// A proxy refuses requests of its size.
    TooLarge,
}

impl Refusal {
    /// In the server's words.
    #[must_use]
    pub fn said(words: impl Into<String>) -> Self {
        Self { words: words.into(), kind: RefusalKind::Said }
    }

    /// For a text at which the server, or a proxy in front of it, failed.
    #[must_use]
    pub fn crashed(words: String, too_large: bool) -> Self {
        Self { words, kind: if too_large { RefusalKind::TooLarge } else { RefusalKind::Said } }
    }

    /// For a text that got no answer twice.
    #[must_use]
    pub fn unanswered(cause: impl Into<String>) -> Self {
        Self { words: cause.into(), kind: RefusalKind::NoAnswer }
    }
}

/// A rollback: the server was given an earlier text on purpose, so the file's text is not deployed until it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The digest of the file's text at that time, if there was a file.
    pub local: Option<Digest>,
    /// The digest of the text that was put back: it counts as ours.
    pub server: Digest,
    /// Whether the server holds that text already; if not, the rollback is about to be sent.
    pub done: bool,
}

impl Rollback {
    /// Whether it replaced exactly this text.
    #[must_use]
    pub fn replaced(&self, text: Digest) -> bool {
        self.local == Some(text)
    }
}

/// An update that is about to be sent. It is on disk first, so that after a crash the next start knows whose text the
/// server holds, and can repair a function that the server switched off (before 0.12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateIntent {
    /// The digests of our texts that the server may hold; the text to send comes last. The ledger that has them may not
    /// be on disk yet.
    pub ours: Vec<Digest>,
    /// The digest of the text that it replaces, if a refusal may need a repair.
    pub replaced: Option<Digest>,
    /// It is a function that was on; or, where nothing is replaced, one that is switched on once it is created.
    pub was_active: bool,
}

impl UpdateIntent {
    /// Whether a new function with this text still has to be switched on.
    #[must_use]
    pub fn switches_on(&self, text: Digest) -> bool {
        self.replaced.is_none() && self.was_active && self.ours.last() == Some(&text)
    }
}

impl Ledger {
    /// Whether this text was sent, and it is not known what became of it.
    pub(super) fn is_unconfirmed(&self, plugin: &Plugin) -> bool {
        self.get(&plugin.key).is_some_and(|record| record.sent.contains(&plugin.digest))
    }

    /// The record of a plugin, if anything is known of it.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Record> {
        self.records.get(key)
    }

    /// Notes that the server holds a text of ours.
    pub fn deployed(&mut self, key: &Key, deployed: Deployed) {
        let record = Record { deployed: Some(deployed), ..Record::new(LastAttempt::Deployed) };
        self.records.insert(key.clone(), record);
    }

    /// Notes an attempt that did not end with our text on the server.
    pub fn ended(&mut self, key: &Key, last: LastAttempt) {
        let before = self.records.remove(key).unwrap_or_else(|| Record::new(last.clone()));
        self.records.insert(key.clone(), Record { last, ..before });
    }

    /// Allows another try of all refused texts. Answers their plugins.
    pub fn retry_refusals(&mut self) -> Vec<Key> {
        let mut refused = Vec::new();
        for (key, record) in &mut self.records {
            if let LastAttempt::Refused { digest, .. } = record.last {
                record.last = LastAttempt::Failed { digest };
                refused.push(key.clone());
            }
        }
        refused
    }

    /// Notes that a text is about to be sent: the server may hold it from then on.
    pub fn sending(&mut self, key: &Key, digest: Digest) {
        let unknown = || Record::new(LastAttempt::Failed { digest });
        let sent = &mut self.records.entry(key.clone()).or_insert_with(unknown).sent;
        sent.retain(|known| *known != digest);
        sent.push(digest);
        let surplus = sent.len().saturating_sub(MOST_SENT);
        sent.drain(..surplus);
    }

    /// Notes that the server says that it did not take a text.
    pub fn rejected(&mut self, key: &Key, digest: Digest) {
        if let Some(record) = self.records.get_mut(key) {
            record.sent.retain(|known| *known != digest);
        }
    }

    /// Notes that we are about to switch a function off, or that the user was told.
    pub fn switched_off(&mut self, key: &Key, off: bool) {
        if let Some(record) = self.records.get_mut(key) {
            record.switched_off = off;
        }
    }

    /// All plugins with a record.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.records.keys()
    }

    /// The text that the server is believed to hold of a plugin.
    #[must_use]
    pub fn held(&self, key: &Key) -> Option<Digest> {
        self.records.get(key)?.held()
    }

    /// The texts that the server is believed to hold.
    pub fn all_held(&self) -> impl Iterator<Item = (&Key, Digest)> {
        self.records.iter().filter_map(|(key, record)| Some((key, record.held()?)))
    }

    /// The digests of all texts that were deployed last.
    pub fn all_deployed(&self) -> impl Iterator<Item = (&Key, Digest)> {
        self.records.iter().filter_map(|(key, record)| Some((key, record.deployed.as_ref()?.digest)))
    }

    /// Drops the record of a plugin.
    pub fn forget(&mut self, key: &Key) {
        self.records.remove(key);
    }

    /// The file's content.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&LedgerFile::of(&self.records)).unwrap_or_default()
    }

    /// The text to append to the file if only these records have changed, so that a save costs the same with many
    /// plugins as with few. `None` if one of them is gone: only the whole content can say so.
    #[must_use]
    pub fn addition<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Option<String> {
        let records: Option<Vec<_>> = keys.into_iter().map(|key| self.records.get_key_value(key)).collect();
        Some(format!("\n{}", serde_json::to_string(&LedgerFile::of(records?)).unwrap_or_default()))
    }

    /// Reads the file's content and what was appended to it. An addition that was cut short is ignored. The error says
    /// what is wrong with the content.
    pub fn from_json(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let mut parts = serde_json::Deserializer::from_str(text).into_iter::<LedgerFile>();
        let mut records = BTreeMap::new();
        let mut part = parts.next().unwrap_or_else(|| serde_json::from_str(""));
        loop {
            match part {
                Ok(LedgerFile { format: FORMAT, function, tool }) => {
                    for (kind, table) in [(Kind::Function, function), (Kind::Tool, tool)] {
                        for (id, record) in table {
                            let id = PluginId::new(&id).ok_or_else(|| format!("`{id}` is not a plugin id"))?;
                            records.insert(Key { kind, id }, record);
                        }
                    }
                }
                Err(error) if error.is_eof() && parts.byte_offset() > 0 => break,
                // Do not parse other formats.
                unusable => {
                    let mut versions = serde_json::Deserializer::from_str(text).into_iter::<Version>();
                    let other = versions.find_map(|version| Some(version.ok()?.format).filter(|it| *it != FORMAT));
                    let of_another = |other| format!("it has format {other}, and this version reads format {FORMAT}");
                    let damaged = || unusable.err().map_or_else(String::new, |error| error.to_string());
                    return Err(other.map_or_else(damaged, of_another));
                }
            }
            match parts.next() {
                Some(next) => part = next,
                None => break,
            }
        }
        // Collected in order, they take two thirds of the memory.
        Ok(Self { records: records.into_iter().collect() })
    }
}

/// How the ledger stands on disk.
#[derive(Serialize, Deserialize)]
struct LedgerFile {
    format: u32,
    #[serde(default)]
    function: BTreeMap<String, Record>,
    #[serde(default)]
    tool: BTreeMap<String, Record>,
}

impl LedgerFile {
    fn of<'a>(records: impl IntoIterator<Item = (&'a Key, &'a Record)>) -> Self {
        let mut file = Self { format: FORMAT, function: BTreeMap::new(), tool: BTreeMap::new() };
        for (key, record) in records {
            let table = match key.kind {
                Kind::Function => &mut file.function,
                Kind::Tool => &mut file.tool,
            };
            table.insert(key.id.as_str().to_owned(), record.clone());
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn key(kind: Kind, id: &str) -> Key {
        Key { kind, id: PluginId::new(id).unwrap() }
    }

    fn deployed(text: &str, version: Option<&str>) -> Deployed {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        Deployed { digest: Digest::of(text.as_bytes()), version: version.map(str::to_owned), at, by_us: true }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let digest = Digest::of(b"v2");
        let mut ledger = Ledger::default();
        assert_eq!(Ledger::from_json(&ledger.to_json()), Ok(Ledger::default()));
        // The same id in both tables, and one that is not ASCII.
        ledger.deployed(&key(Kind::Function, "clock"), deployed("v1", Some("1.0")));
        ledger.ended(
            &key(Kind::Tool, "clock"),
            LastAttempt::Refused { digest, refusal: Refusal::said("no \"class\"\n(line 2)") },
        );
        ledger.deployed(&key(Kind::Tool, "größe"), deployed("v1", None));
        ledger.ended(&key(Kind::Tool, "größe"), LastAttempt::Failed { digest });
        assert_eq!(Ledger::from_json(&ledger.to_json()), Ok(ledger.clone()));
        expect![[r#"
            {
              "format": 1,
              "function": {
                "clock": {
                  "deployed": {
                    "digest": "3bfc269594ef649228e9a74bab00f042efc91d5acc6fbee31a382e80d42388fe",
                    "version": "1.0",
                    "at": "2026-01-02T03:04:05Z",
                    "by_us": true
                  },
                  "last": "deployed"
                }
              },
              "tool": {
                "clock": {
                  "deployed": null,
                  "last": {
                    "refused": {
                      "digest": "fb04dcb6970e4c3d1873de51fd5a50d7bb46b3383113602665c350ec40b5f990",
                      "words": "no \"class\"\n(line 2)",
                      "kind": "said"
                    }
                  }
                },
                "größe": {
                  "deployed": {
                    "digest": "3bfc269594ef649228e9a74bab00f042efc91d5acc6fbee31a382e80d42388fe",
                    "version": null,
                    "at": "2026-01-02T03:04:05Z",
                    "by_us": true
                  },
                  "last": {
                    "failed": {
                      "digest": "fb04dcb6970e4c3d1873de51fd5a50d7bb46b3383113602665c350ec40b5f990"
                    }
                  }
                }
              }
            }"#]]
        .assert_eq(&ledger.to_json());
    }

    /// As it stands in the files of earlier builds.
    #[test]
    fn a_refusal_without_a_kind_is_in_the_server_s_words() {
        let digest = Digest::of(b"v2");
        let last = format!(r#"{{"refused": {{"digest": "{digest}", "words": "no"}}}}"#);
        let text = format!(r#"{{"format": 1, "tool": {{"a": {{"deployed": null, "last": {last}}}}}}}"#);
        let read = Ledger::from_json(&text).unwrap();
        let refused = LastAttempt::Refused { digest, refusal: Refusal::said("no") };
        assert_eq!(read.get(&key(Kind::Tool, "a")).unwrap().last, refused);
    }

    #[test]
    fn a_bad_end_forgets_nothing_that_was_deployed() {
        let (key, digest) = (key(Kind::Function, "clock"), Digest::of(b"v2"));
        let mut ledger = Ledger::default();
        ledger.deployed(&key, deployed("v1", None));
        ledger.switched_off(&key, true);
        for last in
            [LastAttempt::Failed { digest }, LastAttempt::Refused { digest, refusal: Refusal::unanswered("timed out") }]
        {
            ledger.ended(&key, last.clone());
            let record = Record { deployed: Some(deployed("v1", None)), last, sent: Vec::new(), switched_off: true };
            assert_eq!(ledger.get(&key), Some(&record));
        }
        ledger.deployed(&key, deployed("v2", None));
        assert_eq!(ledger.get(&key).unwrap().last, LastAttempt::Deployed);
        ledger.switched_off(&key, true);
        assert_eq!(Ledger::from_json(&ledger.to_json()), Ok(ledger.clone()));
        ledger.switched_off(&key, false);
        assert!(!ledger.get(&key).unwrap().switched_off);
    }

    #[test]
    fn what_was_sent_is_remembered_until_the_server_is_known_to_hold_a_text() {
        let key = key(Kind::Function, "clock");
        let digest = |text: &str| Digest::of(text.as_bytes());
        let mut ledger = Ledger::default();
        for text in ["v1", "v2", "v1"] {
            ledger.sending(&key, digest(text));
            ledger.ended(&key, LastAttempt::Failed { digest: digest(text) });
        }
        assert_eq!(ledger.get(&key).unwrap().sent, [digest("v2"), digest("v1")]);
        assert_eq!(Ledger::from_json(&ledger.to_json()), Ok(ledger.clone()));
        ledger.rejected(&key, digest("v1"));
        assert_eq!(ledger.get(&key).unwrap().sent, [digest("v2")]);
        for n in 0..100 {
            ledger.sending(&key, digest(&n.to_string()));
        }
        assert_eq!(ledger.get(&key).unwrap().sent.len(), MOST_SENT);
        ledger.deployed(&key, deployed("v3", None));
        assert_eq!(ledger.get(&key).unwrap().sent, []);
    }

    #[test]
    fn what_was_added_counts_as_far_as_it_is_whole() {
        let (clock, pipe) = (key(Kind::Tool, "clock"), key(Kind::Function, "pipe"));
        let mut ledger = Ledger::default();
        ledger.deployed(&clock, deployed("v1", None));
        let mut text = ledger.to_json();
        let (before, whole) = (ledger.clone(), text.len());
        ledger.deployed(&clock, deployed("v2", None));
        ledger.deployed(&pipe, deployed("v1", None));
        text += &ledger.addition([&clock, &pipe]).unwrap();
        assert_eq!(Ledger::from_json(&text), Ok(ledger.clone()));
        // A crash in the middle of adding.
        for length in whole..text.len() {
            assert_eq!(Ledger::from_json(&text[..length]), Ok(before.clone()), "{length}");
        }
        assert!(Ledger::from_json(&format!("{text}\n[]")).is_err());
        assert!(Ledger::from_json(&format!("{text}\n{{\"format\": 2}}")).unwrap_err().contains("format 2"));
        ledger.forget(&pipe);
        assert_eq!(ledger.addition([&pipe]), None);
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = Ledger::from_json(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let record = r#"{"deployed": null, "last": "deployed"}"#;
        refused(r#"{"format": 2}"#, "it has format 2, and this version reads format 1");
        // The inside of a later format is not parsed.
        refused(r#"{"format": 2, "function": []}"#, "format 2");
        refused(r#"{"format": "1"}"#, "invalid type");
        refused("{}", "missing field `format`");
        refused("", "EOF");
        refused("[]", "invalid length 0");
        refused(r#"{"format": 1, "function": {"#, "EOF");
        refused(&format!(r#"{{"format": 1, "tool": {{"my-tool": {record}}}}}"#), "`my-tool` is not a plugin id");
        refused(&format!(r#"{{"format": 1, "function": {{"../x": {record}}}}}"#), "`../x` is not a plugin id");
        refused(r#"{"format": 1, "tool": {"a": {"deployed": null, "last": "lost"}}}"#, "unknown variant `lost`");
        let short = r#"{"failed": {"digest": "abc"}}"#;
        refused(
            &format!(r#"{{"format": 1, "tool": {{"a": {{"deployed": null, "last": {short}}}}}}}"#),
            "a digest is 64 hexadecimal digits",
        );
        refused(
            r#"{"format": 1, "tool": {"a": {"deployed": {"digest": "é", "version": null, "at": "x"}, "last": "deployed"}}}"#,
            "a digest is 64 hexadecimal digits",
        );
    }

    #[test]
    fn tables_and_fields_may_be_missing_or_new() {
        assert_eq!(Ledger::from_json(r#"{"format": 1}"#), Ok(Ledger::default()));
        let text = r#"{"format": 1, "note": 1, "tool": {"a": {"last": "deployed", "more": true}}}"#;
        let record = Record { deployed: None, last: LastAttempt::Deployed, sent: Vec::new(), switched_off: false };
        assert_eq!(Ledger::from_json(text).unwrap().get(&key(Kind::Tool, "a")), Some(&record));
    }

    /// An editor's save in the middle, or half a disk: never a panic, and never a record out of nothing.
    #[test]
    fn damage_anywhere_is_an_error_or_the_same_ledger() {
        let mut ledger = Ledger::default();
        ledger.deployed(&key(Kind::Function, "clock"), deployed("v1", Some("1.0")));
        let whole = ledger.to_json();
        for length in 0..whole.len() {
            assert!(Ledger::from_json(&whole[..length]).is_err(), "{length}");
        }
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let mut bytes = whole.clone().into_bytes();
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(32..127);
            if let Ok(read) = Ledger::from_json(&String::from_utf8(bytes).unwrap()) {
                assert!(read.records.len() <= 1);
            }
        }
    }
}
