//! The bodies that create and update a plugin, and the stub: a plugin of two lines that is on the server for a moment,
//! to learn why the server refuses to create the real one.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::call::{Form, Row};
use crate::plugin::{Digest, Entry, Plugin};

/// The first line of the stub.
const STUB_HEAD: &str = "# owui-watch put this here for a moment, to learn why the server refuses the plugin.\n";

/// A new plugin: named by its title, private (which servers before 0.8 have to be told).
pub(super) fn form_to_create(plugin: &Plugin) -> Form {
    Form {
        name: title(plugin),
        content: Arc::clone(&plugin.text),
        meta: Map::from_iter([("description".to_owned(), Value::from(description(plugin)))]),
        access_control: plugin.key.kind.takes_access_control().then(|| Value::Object(Map::new())),
        message: message(plugin.frontmatter.version()),
        file: Some(Arc::clone(&plugin.path)),
    }
}

/// The smallest plugin of this type that the server accepts.
pub(super) fn form_of_stub(plugin: &Plugin) -> Form {
    Form { content: Arc::from(stub_text(plugin.entry)), file: None, ..form_to_create(plugin) }
}

pub(super) fn stub_text(entry: Entry) -> String {
    format!("{STUB_HEAD}class {}:\n    pass\n", entry.class())
}

/// Whether this is the digest of the stub for this type of plugin.
pub(super) fn is_of_stub(digest: Digest, entry: Entry) -> bool {
    Digest::of_text(&stub_text(entry)) == digest
}

pub(super) fn is_stub(row: &Row) -> bool {
    row.content.as_deref().is_some_and(|text| text.starts_with(STUB_HEAD))
}

/// The row as it was read, with our text. Name and description follow the frontmatter unless somebody changed them on
/// the server: the stored manifest, which the server makes from the stored text, shows what they were made from.
pub(super) fn form_to_update(plugin: &Plugin, before: &Row) -> Form {
    let mut meta = before.meta.clone();
    let manifest = meta.remove("manifest");
    let was = |field: &str| manifest.as_ref().and_then(|manifest| manifest.get(field)).and_then(Value::as_str);
    let never_renamed = before.name == was("title").filter(|title| !title.is_empty()).unwrap_or(&before.id);
    let described = meta.get("description").and_then(Value::as_str).unwrap_or_default();
    // The stub has no frontmatter: its name and description were made from ours.
    let stub = is_stub(before);
    if described == was("description").unwrap_or_default() || stub {
        meta.insert("description".to_owned(), Value::from(description(plugin)));
    }
    // Servers before 0.12 never take `toggle` back by themselves; every version sets it where it applies.
    meta.remove("toggle");
    Form {
        name: if never_renamed || stub { title(plugin) } else { before.name.clone() },
        content: Arc::clone(&plugin.text),
        meta,
        access_control: before.access_control.clone(),
        message: message(plugin.frontmatter.version()),
        file: Some(Arc::clone(&plugin.path)),
    }
}

/// The message in the server's history for a text of this version; a commit may follow after a comma.
#[must_use]
pub fn message(version: Option<&str>) -> String {
    match version {
        Some(version) => format!("owui-watch: {version}"),
        None => "owui-watch".to_owned(),
    }
}

fn title(plugin: &Plugin) -> String {
    plugin.frontmatter.title().unwrap_or(plugin.key.id.as_str()).to_owned()
}

fn description(plugin: &Plugin) -> &str {
    plugin.frontmatter.description().unwrap_or_default()
}
