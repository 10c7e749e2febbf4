//! The server's rows: single plugins, and lists with only the needed fields.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::client::list::Listed;
use crate::engine::deploy::{ListedRow, OnServer, Reply, Row};
use crate::engine::duplicate::Identity;
use crate::plugin::id::PluginId;
use crate::plugin::{Digest, Entry};

pub(super) const TOO_MANY_VALUES: &str = "the server's answer has too many JSON values";

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

/// Interprets a list of rows. Those with an invalid id are skipped.
pub(in crate::client) fn overview(listed: Listed<Result<ListedRow, InvalidId>>) -> Reply {
    if listed.is_too_long() {
        return Reply::Unusable { words: format!("a list of {} plugins", listed.n) };
    }
    let mut rows: Vec<_> = listed.elements.into_iter().filter_map(Result::ok).collect();
    let mut counts = HashMap::<PluginId, usize>::new();
    for row in &rows {
        *counts.entry(row.id.clone()).or_default() += 1;
    }
    rows.retain_mut(|row| {
        let n = counts.insert(row.id.clone(), 0).unwrap_or_default();
        if n > 1 {
            // Either may be current, so trust neither text.
            (row.content, row.digest) = (None, None);
        }
        n > 0
    });
    Reply::Rows(rows)
}

/// An id that no plugin here can have.
#[derive(Debug, PartialEq)]
pub(in crate::client) struct InvalidId;

/// One row of a list, without its text: there may be thousands of rows.
pub(in crate::client) fn listed_row(bytes: &[u8]) -> Option<Result<ListedRow, InvalidId>> {
    listed_row_with_text(bytes).map(|row| Ok(ListedRow { content: None, ..row? }))
}

/// One row of a list, with its text.
pub(in crate::client) fn listed_row_with_text(bytes: &[u8]) -> Option<Result<ListedRow, InvalidId>> {
    match serde_json::from_slice::<WireListedRow>(bytes) {
        Ok(row) => Some(row.into_row()),
        // Of a spoiled row, only the id is read. Its text is requested separately.
        Err(_) => serde_json::from_slice::<Named>(bytes).ok().map(|Named { id }| valid(&id).map(ListedRow::bare)),
    }
}

fn valid(id: &str) -> Result<PluginId, InvalidId> {
    PluginId::new(id).filter(|valid| valid.as_str() == id).ok_or(InvalidId)
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

/// A row of a list as the server sends it, with the few needed fields.
#[derive(Deserialize)]
struct WireListedRow {
    id: String,
    content: Option<String>,
    meta: Option<ListedMeta>,
    is_active: Option<bool>,
    is_global: Option<bool>,
    #[serde(default, rename = "type", deserialize_with = "entry")]
    entry: Option<Entry>,
}

#[derive(Deserialize)]
struct ListedMeta {
    manifest: Option<Manifest>,
}

/// The needed part of a plugin's header.
#[derive(Default, Deserialize)]
struct Manifest {
    title: Option<String>,
    author: Option<String>,
    openwebui_id: Option<String>,
    version: Option<String>,
}

impl WireListedRow {
    fn into_row(self) -> Result<ListedRow, InvalidId> {
        let id = valid(&self.id)?;
        let Manifest { title, author, openwebui_id, version } =
            self.meta.and_then(|meta| meta.manifest).unwrap_or_default();
        let [title, author, openwebui_id] = [title, author, openwebui_id].map(Option::unwrap_or_default);
        Ok(ListedRow {
            digest: self.content.as_deref().map(Digest::of_text),
            content: self.content,
            identity: Identity::new(&title, &author, &openwebui_id),
            version: version.filter(|version| !version.is_empty()),
            switches: OnServer { active: self.is_active, global: self.is_global },
            entry: self.entry,
            ..ListedRow::bare(id)
        })
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Asked;
    use super::super::tests::{answered, bare_row, foreign, not_allowed};
    use super::*;
    use crate::client::list::List;
    use crate::plugin::Kind::Tool;
    use Asked::{Connect, Get, Overview, Update};

    #[test]
    fn an_invalid_row_does_not_affect_others() {
        let bare = |id: &str| ListedRow::bare(PluginId::new(id).unwrap());
        let good = |id: &str| ListedRow { digest: Some(Digest::of_text("x")), ..bare(id) };
        for (bad, expected) in [
            // The id can be read: the text is requested separately.
            (r#"{"id": "b", "content": 7}"#, Some("b")),
            (r#"{"id": "b", "meta": "m", "content": "x"}"#, Some("b")),
            (r#"{"id": "b", "meta": {"manifest": {"title": {}}}, "content": "x"}"#, Some("b")),
            (r#"{"id": "b", "is_active": 1e999, "content": "x"}"#, Some("b")),
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
            let bad_row = expected.map(bare);
            let rows = [Some(good("a")), bad_row, Some(good("c"))].into_iter().flatten().collect();
            assert_eq!(answered(Overview(Tool), 200, "application/json", &body), Reply::Rows(rows), "{bad}");
        }
        // Not a list of plugins.
        for odd in ["[7]", r#"[{"name": "a"}]"#, "[[]]", r#"[{"id": "a"}"#, "{}"] {
            let reply = answered(Overview(Tool), 200, "application/json", odd);
            assert_eq!(reply, foreign(200, "unexpected JSON"), "{odd}");
        }
        // Unknown fields may hold anything, and a list may be of nothing but ids that no file can have.
        let body = r#"[{"id": "a", "content": "x", "updated_at": 1e999999, "specs": [[[{"n": -0}]]], "é": null}]"#;
        assert_eq!(answered(Overview(Tool), 200, "application/json", body), Reply::Rows(vec![good("a")]));
        assert_eq!(answered(Overview(Tool), 200, "application/json", r#"[{"id": "A"}]"#), Reply::Rows(vec![]));
    }

    #[test]
    fn lists_keep_only_needed_fields() {
        let many = format!("[{}0]", "0,".repeat(1 << 20));
        let body = format!(
            r#"[{{"id": "a", "name": {many}, "content": "x = 1\n", "is_active": true, "is_global": null, "type": "filter",
                "meta": {{"icon": {many}, "manifest": {{"title": " A", "author": "me", "version": "1", "x": {many}}}}},
                "access_control": {many}, "specs": {many}, "version_id": {many}}}]"#
        );
        let whole = ListedRow {
            id: PluginId::new("a").unwrap(),
            digest: Some(Digest::of_text("x = 1\n")),
            content: Some("x = 1\n".to_owned()),
            identity: Identity::new("A", "me", ""),
            version: Some("1".to_owned()),
            switches: OnServer { active: Some(true), global: None },
            entry: Some(Entry::Filter),
        };
        let listed = |row| Some(Listed { elements: vec![Ok(row)], n: 1 });
        assert_eq!(List::of(body.as_bytes(), listed_row_with_text), listed(whole.clone()));
        assert_eq!(List::of(body.as_bytes(), listed_row), listed(ListedRow { content: None, ..whole }));
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
        assert_eq!(row(r#"{"id": "a", "specs": [{"x": 1}], "user_id": null}"#), bare_row("a"));
        assert_eq!(
            row(r#"{"id": "a", "name": null, "content": null, "meta": null, "is_active": null}"#),
            bare_row("a")
        );
        assert_eq!(row(r#"{"id": "a", "access_control": null}"#).access_control, Some(Value::Null));
        let full = row(r#"{"id": "a", "name": "A", "content": "x = 1\n", "meta": {"k": [1]}, "is_active": true}"#);
        assert_eq!((full.name.as_str(), full.content.as_deref()), ("A", Some("x = 1\n")));
        assert_eq!((Value::from(full.meta), full.is_active), (serde_json::json!({"k": [1]}), Some(true)));

        assert_eq!(answered(Overview(Tool), 200, "application/json", "[]"), Reply::Rows(vec![]));
        let listed = ListedRow::bare(PluginId::new("a").unwrap());
        assert_eq!(answered(Overview(Tool), 200, "application/json", r#"[{"id": "a"}]"#), Reply::Rows(vec![listed]));
        assert_eq!(
            answered(Connect, 200, "application/json", r#"{"version": "0.12.4", "deployment_id": ""}"#),
            Reply::Connected { version: "0.12.4".into() }
        );
        // 0.6.43, for another user's tool.
        assert_eq!(
            answered(Get(Tool), 200, "application/json", "null"),
            not_allowed(200, "it exists, but this account may not read it")
        );
    }
}
