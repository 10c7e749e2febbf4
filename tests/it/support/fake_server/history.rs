//! The history that 0.12 keeps of a plugin.

use owui_watch::plugin::Kind;
use serde_json::{Value, json};

use super::State;
use super::answer::{Answer, missing, unprocessable};
use super::plugins::Form;

const PAGE: usize = 20;

/// A version of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) message: Option<String>,
    pub(super) created_at: u64,
    /// Name, content and meta.
    pub(crate) snapshot: Value,
}

impl Entry {
    fn json(&self, kind: Kind, id: &str) -> Value {
        let mut json = json!({
            "id": self.id,
            "parent_id": self.parent,
            "user_id": "6b1f7a52-0000-4000-8000-000000000000",
            "commit_message": self.message,
            "created_at": self.created_at,
            "user": { "name": "Admin" },
        });
        json[format!("{}_id", kind.word())] = id.into();
        json
    }
}

impl State {
    /// One page of the history, newest first.
    pub(super) fn history(&mut self, kind: Kind, id: &str, query: &str) -> Answer {
        let Some(row) = self.table(kind).get(id) else { return Answer::detail(404, "Not found") };
        let page = query.split('&').find_map(|pair| pair.strip_prefix("page=")).map_or(Ok(1), str::parse::<usize>);
        let Ok(page) = page else {
            return unprocessable(&json!([{ "loc": ["query", "page"], "msg": "not an integer" }]));
        };
        let entries = row.history.iter().rev().skip((page.max(1) - 1) * PAGE).take(PAGE);
        Answer::json(entries.map(|entry| entry.json(kind, id)).collect())
    }

    pub(super) fn history_entry(&mut self, kind: Kind, id: &str, version: &str) -> Answer {
        match self.entry(kind, id, version) {
            Ok(entry) => {
                let mut json = entry.json(kind, id);
                json["snapshot"] = entry.snapshot;
                Answer::json(json)
            }
            Err(answer) => answer,
        }
    }

    /// Its children get its parent.
    pub(super) fn delete_history_entry(&mut self, kind: Kind, id: &str, version: &str) -> Answer {
        let Some(row) = self.table(kind).get_mut(id) else { return Answer::detail(404, "Not found") };
        if row.version_id == version {
            return Answer::detail(400, "Cannot delete the current version");
        }
        let Some(at) = row.history.iter().position(|entry| entry.id == version) else {
            return Answer::detail(404, "Version not found");
        };
        let gone = row.history.remove(at);
        for orphan in row.history.iter_mut().filter(|entry| entry.parent.as_ref() == Some(&gone.id)) {
            orphan.parent.clone_from(&gone.parent);
        }
        Answer::json(true.into())
    }

    /// Makes a version current again, like an update.
    pub(super) fn update_version(&mut self, kind: Kind, id: &str, mut body: Value) -> Answer {
        let Some(Value::String(version)) = body.get_mut("version_id").map(Value::take) else {
            return unprocessable(&json!([missing("version_id", &body)]));
        };
        match self.entry(kind, id, &version) {
            Ok(entry) => {
                let text = |field: &str| entry.snapshot[field].as_str().unwrap_or_default().to_owned();
                let form = Form {
                    name: text("name"),
                    content: text("content"),
                    meta: entry.snapshot["meta"].as_object().cloned().unwrap_or_default(),
                    access_grants: None,
                    access_control: Value::Null,
                    commit_message: None,
                };
                self.update(kind, id, form, Some(version))
            }
            Err(answer) => answer,
        }
    }

    fn entry(&mut self, kind: Kind, id: &str, version: &str) -> Result<Entry, Answer> {
        let Some(row) = self.table(kind).get(id) else { return Err(Answer::detail(404, "Not found")) };
        let entry = row.history.iter().find(|entry| entry.id == version);
        entry.cloned().ok_or_else(|| Answer::detail(404, "Version not found"))
    }
}
