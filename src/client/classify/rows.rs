//! The server's rows: single plugins, and lists with only the needed fields.

use std::collections::HashMap;
use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::client::list::Listed;
use crate::engine::deploy::{Reply, Row};
use crate::plugin::id::PluginId;
use crate::plugin::{Digest, Entry};

pub(super) const TOO_MANY_VALUES: &str = "the server's answer has more parts than a plugin can have";

/// Whether JSON has so many values that parsing would need far more memory than its text.
pub(super) fn has_too_many_values(json: &[u8]) -> bool {
    const MOST: usize = 500_000;
    let (mut quoted, mut escaped) = (false, false);
    let begins_value = |byte: &&u8| {
        let is_syntax = !quoted && matches!(byte, b',' | b'[' | b'{');
        quoted ^= **byte == b'"' && !escaped;
        escaped = **byte == b'\\' && !escaped;
        is_syntax
    };
    // A shorter text cannot have that many.
    json.len() > MOST && json.iter().filter(begins_value).count() > MOST
}

/// Interprets a list of rows.
pub(in crate::client) fn overview(listed: Listed<Row>) -> Reply {
    if listed.is_too_long() {
        return Reply::Unusable { words: format!("a list of {} plugins", listed.n) };
    }
    let mut places = HashMap::<String, usize>::new();
    let mut rows = Vec::<Row>::new();
    // Skip invalid ids: no plugin here can have one.
    for row in listed.elements.into_iter().filter(|row| PluginId::new(&row.id).is_some_and(|id| id.as_str() == row.id))
    {
        if let Some(place) = places.get(&row.id) {
            // Two rows with one id: either may be current, so trust neither text.
            (rows[*place].content, rows[*place].digest) = (None, None);
        } else {
            places.insert(row.id.clone(), rows.len());
            rows.push(row);
        }
    }
    Reply::Rows(rows)
}

/// One row of a list, with its text.
pub(in crate::client) fn listed_row(bytes: &[u8]) -> Option<Row> {
    let to_row = |row: ListedRow<String>| {
        let (content, rest) = row.split();
        Row { content, ..rest }
    };
    serde_json::from_slice(bytes).ok().map(to_row).or_else(|| spoiled_row(bytes))
}

/// One row of a list, with the digest of its text.
pub(in crate::client) fn summed_up_row(bytes: &[u8]) -> Option<Row> {
    let to_row = |row: ListedRow<TextDigest>| {
        let (content, rest) = row.split();
        Row { digest: content.map(|TextDigest(digest)| digest), ..rest }
    };
    serde_json::from_slice(bytes).ok().map(to_row).or_else(|| spoiled_row(bytes))
}

/// A row of which only the id can be read. Its text is requested separately.
fn spoiled_row(bytes: &[u8]) -> Option<Row> {
    let Named { id } = serde_json::from_slice(bytes).ok()?;
    Some(bare_row(id))
}

pub(super) fn bare_row(id: String) -> Row {
    Row {
        id,
        name: String::new(),
        content: None,
        digest: None,
        meta: Map::new(),
        is_active: None,
        is_global: None,
        entry: None,
        access_control: None,
        versioned: false,
        version_id: None,
    }
}

/// A row as the server sends it. Other fields (specs, grants, history) are skipped.
#[derive(Deserialize)]
pub(super) struct WireRow {
    pub(super) id: String,
    name: Option<String>,
    content: Option<String>,
    meta: Option<Map<String, Value>>,
    is_active: Option<bool>,
    is_global: Option<bool>,
    #[serde(default, rename = "type", deserialize_with = "entry")]
    entry: Option<Entry>,
    #[serde(default, deserialize_with = "present")]
    access_control: Option<Value>,
    version_id: Option<String>,
}

/// The id of a row.
#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) id: String,
}

/// A row of a list with the few needed fields: there may be thousands of rows.
#[derive(Deserialize)]
struct ListedRow<Text> {
    id: String,
    name: Option<String>,
    content: Option<Text>,
    meta: Option<ListedMeta>,
    is_active: Option<bool>,
    is_global: Option<bool>,
    #[serde(default, rename = "type", deserialize_with = "entry")]
    entry: Option<Entry>,
    version_id: Option<String>,
}

#[derive(Deserialize)]
struct ListedMeta {
    manifest: Option<Manifest>,
}

/// The part of a plugin's header that identifies it.
#[derive(Deserialize)]
struct Manifest {
    title: Option<String>,
    author: Option<String>,
    openwebui_id: Option<String>,
    version: Option<String>,
}

impl<Text> ListedRow<Text> {
    /// Splits off the text.
    fn split(self) -> (Option<Text>, Row) {
        let meta = self.meta.and_then(|meta| meta.manifest).map(|manifest| {
            let Manifest { title, author, openwebui_id, version } = manifest;
            let fields = [("title", title), ("author", author), ("openwebui_id", openwebui_id), ("version", version)];
            let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
            Map::from_iter([("manifest".to_owned(), Value::Object(fields.collect()))])
        });
        let row = Row {
            name: self.name.unwrap_or_default(),
            meta: meta.unwrap_or_default(),
            is_active: self.is_active,
            is_global: self.is_global,
            entry: self.entry,
            versioned: self.version_id.is_some(),
            version_id: self.version_id,
            ..bare_row(self.id)
        };
        (self.content, row)
    }
}

/// The digest of a text, which is dropped.
struct TextDigest(Digest);

impl<'de> Deserialize<'de> for TextDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfText;
        impl Visitor<'_> for OfText {
            type Value = TextDigest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextDigest, E> {
                Ok(TextDigest(Digest::of_text(text)))
            }
        }
        deserializer.deserialize_str(OfText)
    }
}

/// Tells `null` from a missing field: for a tool, null means public.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The type of a function; `None` for one that a later version has.
fn entry<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Entry>, D::Error> {
    let word = Value::deserialize(deserializer)?;
    Ok(word.as_str().and_then(Entry::from_word))
}

impl From<WireRow> for Row {
    fn from(row: WireRow) -> Self {
        Self {
            id: row.id,
            name: row.name.unwrap_or_default(),
            content: row.content,
            meta: row.meta.unwrap_or_default(),
            is_active: row.is_active,
            is_global: row.is_global,
            entry: row.entry,
            access_control: row.access_control,
            versioned: row.version_id.is_some(),
            version_id: row.version_id,
            digest: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Asked;
    use super::super::tests::{answered, foreign, not_allowed};
    use super::*;
    use crate::client::list::List;
    use crate::plugin::Kind::Tool;
    use Asked::{Connect, Get, Overview, Update};

    #[test]
    fn an_invalid_row_does_not_affect_others() {
        let good = |id: &str| Row { content: Some("x".into()), ..bare_row(id.to_owned()) };
        for (bad, expected) in [
            // The id can be read: the text is requested separately.
            (r#"{"id": "b", "content": 7}"#, Some("b")),
            (r#"{"id": "b", "name": [], "content": "x"}"#, Some("b")),
            (r#"{"id": "b", "meta": "m", "content": "x"}"#, Some("b")),
            (r#"{"id": "b", "meta": {"manifest": {"title": {}}}, "content": "x"}"#, Some("b")),
            (r#"{"id": "b", "is_active": 1e999, "content": "x"}"#, Some("b")),
            (r#"{"id": "b", "version_id": 99999999999999999999999999, "content": "x"}"#, Some("b")),
            // Two rows with the same id.
            (r#"{"id": "b", "content": "x"}, {"id": "b", "content": "y"}"#, Some("b")),
            // An id that no file can have.
            (r#"{"id": "B", "content": "x"}"#, None),
            (r#"{"id": "A", "content": "y"}"#, None),
            (r#"{"id": "b-c", "content": "x"}"#, None),
            (r#"{"id": "", "content": "x"}"#, None),
            (r#"{"id": "a\u200db", "content": "x"}"#, None),
            (r#"{"id": 7}"#, None),
            (r#"{"id": "b", "id": "c"}"#, None),
            (r#"{"content": "x"}"#, None),
            ("null", None),
            ("-1e400", None),
            ("[]", None),
            (r#""a""#, None),
        ] {
            let body = format!(r#"[{{"id": "a", "content": "x"}}, {bad}, {{"id": "c", "content": "x"}}]"#);
            let bad_row = expected.map(|id| bare_row(id.to_owned()));
            let rows = [Some(good("a")), bad_row, Some(good("c"))].into_iter().flatten().collect();
            assert_eq!(answered(Overview(Tool), 200, "application/json", &body), Reply::Rows(rows), "{bad}");
        }
        // Not a list of plugins.
        for odd in ["[7]", r#"[{"name": "a"}]"#, "[[]]", r#"[{"id": "a"}"#, "{}"] {
            let reply = answered(Overview(Tool), 200, "application/json", odd);
            assert_eq!(reply, foreign(200, "JSON of another kind"), "{odd}");
        }
        // Unknown fields may hold anything.
        let body = r#"[{"id": "a", "content": "x", "updated_at": 1e999999, "specs": [[[{"n": -0}]]], "é": null}]"#;
        assert_eq!(answered(Overview(Tool), 200, "application/json", body), Reply::Rows(vec![good("a")]));
    }

    #[test]
    fn lists_keep_only_needed_fields() {
        let many = format!("[{}0]", "0,".repeat(1 << 20));
        let body = format!(
            r#"[{{"id": "a", "content": "x = 1\n", "meta": {{"icon": {many}, "manifest": {{"title": "A", "x": {many}}}}},
                "access_control": {many}, "specs": {many}, "version_id": "v"}}]"#
        );
        let Some(Listed { elements, n: 1 }) = List::of(body.as_bytes(), summed_up_row) else { panic!() };
        let meta = Map::from_iter([("manifest".to_owned(), serde_json::json!({ "title": "A" }))]);
        let (digest, version_id) = (Some(Digest::of_text("x = 1\n")), Some("v".to_owned()));
        assert_eq!(elements, [Row { digest, meta, versioned: true, version_id, ..bare_row("a".to_owned()) }]);
        let rows = format!("[{}{{\"id\": \"a\"}}]", "{\"id\": \"a\"},".repeat(20_000));
        let reply = answered(Overview(Tool), 200, "application/json", &rows);
        assert_eq!(reply, Reply::Unusable { words: "a list of 20001 plugins".into() });
    }

    #[test]
    fn the_number_of_json_values_is_limited() {
        let many = |part: &str| format!(r#"{{"id": "a", "meta": {{"x": [{}0]}}}}"#, part.repeat(600_000));
        for part in ["0,", "[],", "{},"] {
            let cause = TOO_MANY_VALUES.to_owned();
            let reply = answered(Get(Tool), 200, "application/json", &many(part));
            assert_eq!(reply, Reply::Unusable { words: cause.clone() });
            assert_eq!(answered(Update(Tool), 200, "application/json", &many(part)), Reply::Lost { cause });
        }
        let text = r#"{"id": "a", "content": "\"[,{"}"#.replace("[,{", &"[,{".repeat(600_000));
        let Reply::Row(row) = answered(Get(Tool), 200, "application/json", &text) else { panic!() };
        assert_eq!(row.content.unwrap().len(), 1_800_001);
    }

    #[test]
    fn rows() {
        let row = |body: &str| {
            let Reply::Row(row) = answered(Get(Tool), 200, "application/json", body) else { panic!("{body}") };
            *row
        };
        let bare = Row {
            id: "a".into(),
            name: String::new(),
            content: None,
            meta: Map::new(),
            is_active: None,
            is_global: None,
            entry: None,
            access_control: None,
            versioned: false,
            version_id: None,
            digest: None,
        };
        assert_eq!(row(r#"{"id": "a", "specs": [{"x": 1}], "user_id": null}"#), bare);
        assert_eq!(row(r#"{"id": "a", "name": null, "content": null, "meta": null, "is_active": null}"#), bare);
        assert_eq!(row(r#"{"id": "a", "access_control": null}"#).access_control, Some(Value::Null));
        let full = row(r#"{"id": "a", "name": "A", "content": "x = 1\n", "meta": {"k": [1]}, "is_active": true}"#);
        assert_eq!((full.name.as_str(), full.content.as_deref()), ("A", Some("x = 1\n")));
        assert_eq!((Value::from(full.meta), full.is_active), (serde_json::json!({"k": [1]}), Some(true)));

        assert_eq!(answered(Overview(Tool), 200, "application/json", "[]"), Reply::Rows(vec![]));
        assert_eq!(answered(Overview(Tool), 200, "application/json", r#"[{"id": "a"}]"#), Reply::Rows(vec![bare]));
        assert_eq!(
            answered(Connect, 200, "application/json", r#"{"version": "0.12.4", "deployment_id": ""}"#),
            Reply::Connected { version: "0.12.4".into() }
        );
        // 0.6.43, for somebody else's tool.
        assert_eq!(
            answered(Get(Tool), 200, "application/json", "null"),
            not_allowed(200, "it exists, but this account may not read it")
        );
    }
}
