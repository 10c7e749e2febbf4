//! The two tables of plugins: their rows, and the operations on them.

use owui_watch::plugin::Kind;
use owui_watch::plugin::frontmatter::Frontmatter;
use serde_json::{Map, Value, json};

use super::super::fake_python::{Failure, Fields, Loaded, load};
use super::answer::{Answer, crashed, missing, unprocessable};
use super::history::Entry;
use super::version::Version;
use super::{BAD_ID, ID_TAKEN, NOT_FOUND, State};

/// A row of one of the two tables.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// `pipe`, `filter`, `action`, `event` or `tool`.
    pub(crate) entry: String,
    pub(crate) name: String,
    pub(crate) content: String,
    pub(crate) meta: Map<String, Value>,
    pub(crate) is_active: bool,
    pub(crate) is_global: bool,
    /// Access to a tool: since 0.8, and before. Null is everybody.
    pub(crate) access_grants: Value,
    pub(crate) access_control: Value,
    /// The admin's valves, without the defaults.
    pub(crate) valves: Map<String, Value>,
    /// The schemas of valves and user valves, if any.
    settable: Option<Fields>,
    settable_by_users: Option<Fields>,
    pub(crate) specs: Value,
    /// The current version; reported since 0.12.
    pub(crate) version_id: String,
    /// Oldest first.
    pub(crate) history: Vec<Entry>,
    pub(crate) updated_at: u64,
    created_at: u64,
}

/// The relevant fields of a create or update.
pub(super) struct Form {
    pub(super) name: String,
    pub(super) content: String,
    pub(super) meta: Map<String, Value>,
    /// Not sent: left as it is.
    pub(super) access_grants: Option<Value>,
    /// Not sent: null.
    pub(super) access_control: Value,
    /// Not sent: null.
    pub(super) commit_message: Option<String>,
}

impl State {
    /// Runs a plugin; the error is the server's answer.
    fn load(&mut self, kind: Kind, content: &str, words: impl Fn(&str) -> String) -> Result<Loaded, Answer> {
        if self.version.installs_when_offline() && Frontmatter::parse(content).get("requirements").is_some() {
            // There is no pip in a sandbox.
            let command = "Command '['python', '-m', 'pip', 'install']' returned non-zero exit status 1.";
            return Err(Answer::detail(400, words(command)));
        }
        load(self.version.entries(kind), content).map_err(|failure| match failure {
            Failure::Exception(text) => Answer { is_an_exception: true, ..Answer::detail(400, words(&text)) },
            Failure::Uncaught => crashed(),
            Failure::Exit => {
                self.exits = self.version.dies_of_an_exit();
                crashed()
            }
        })
    }

    pub(super) fn create(&mut self, kind: Kind, id: &str, form: Form) -> Answer {
        if !is_identifier(id) {
            return Answer::detail(400, BAD_ID);
        }
        let id = id.to_lowercase();
        if self.table(kind).contains_key(&id) {
            return Answer::detail(400, ID_TAKEN);
        }
        let version = self.version;
        let content = rewritten(&form.content);
        let loaded = match self.load(kind, &content, |words| version.create_failed(kind, words)) {
            Ok(loaded) => loaded,
            Err(answer) => return answer,
        };
        let tick = self.tick();
        let mut row = Row {
            id: id.clone(),
            entry: loaded.entry.word().to_owned(),
            name: form.name,
            meta: stored_meta(version, kind, form.meta, &content, &loaded),
            content,
            is_active: false,
            is_global: false,
            access_grants: form.access_grants.unwrap_or_else(|| json!([])),
            access_control: form.access_control,
            valves: Map::new(),
            settable: loaded.valves,
            settable_by_users: loaded.user_valves,
            specs: loaded.specs,
            version_id: String::new(),
            history: Vec::new(),
            updated_at: 0,
            created_at: 0,
        };
        row.written(&Value::Null, tick, form.commit_message);
        row.created_at = row.updated_at;
        let answer = Answer::json(row.json(version, kind, Shape::Created));
        if version > Version::V0_6_43 {
            row.put_a_switch_into_the_chat(loaded.toggle);
        }
        self.table(kind).insert(id, row);
        answer
    }

    /// `again`: the version that it is taken back to.
    pub(super) fn update(&mut self, kind: Kind, id: &str, form: Form, again: Option<String>) -> Answer {
        // The server looks up tools before it runs the code, functions after.
        if kind == Kind::Tool && !self.tools.contains_key(id) {
            return Answer::detail(401, NOT_FOUND);
        }
        let version = self.version;
        let content = rewritten(&form.content);
        let tick = self.tick();
        let loaded = match self.load(kind, &content, |words| version.update_failed(kind, words)) {
            Ok(loaded) => loaded,
            Err(answer) => {
                let switched_off = answer.is_an_exception && kind == Kind::Function && !version.is_transactional();
                if let Some(row) = self.functions.get_mut(id).filter(|_| switched_off) {
                    row.is_active = false;
                    row.touched(tick);
                }
                return answer;
            }
        };
        let Some(row) = self.table(kind).get_mut(id) else {
            return Answer::detail(400, version.no_such_function());
        };
        let misfit = loaded.valves.as_ref().and_then(|fields| misfit(fields, &row.valves));
        if let Some((field, words)) = misfit.filter(|_| version.is_transactional()) {
            return Answer::detail(400, format!("Current Valves are incompatible with this code: {field}: {words}"));
        }
        let before = row.snapshot();
        loaded.entry.word().clone_into(&mut row.entry);
        row.name = form.name;
        row.meta = stored_meta(version, kind, form.meta, &content, &loaded);
        row.content = content;
        row.access_control = form.access_control;
        // Since 0.12, grants can only be changed separately.
        if let Some(grants) = form.access_grants.filter(|_| !version.is_transactional()) {
            row.access_grants = grants;
        }
        row.settable = loaded.valves;
        row.settable_by_users = loaded.user_valves;
        row.specs = loaded.specs;
        match again {
            None => row.written(&before, tick, form.commit_message),
            // No new version: the old one is current again.
            Some(version) => {
                row.touched(tick);
                row.version_id = version;
            }
        }
        let answer = Answer::json(row.json(version, kind, Shape::Whole));
        row.put_a_switch_into_the_chat(loaded.toggle);
        answer
    }

    pub(super) fn flip(&mut self, id: &str, flip: impl FnOnce(&mut Row)) -> Answer {
        let (version, tick) = (self.version, self.tick());
        let Some(row) = self.functions.get_mut(id) else {
            return Answer::detail(401, NOT_FOUND);
        };
        flip(row);
        row.touched(tick);
        Answer::json(row.json(version, Kind::Function, Shape::Whole))
    }

    pub(super) fn grant(&mut self, id: &str, mut body: Value) -> Answer {
        let version = self.version;
        let Some(grants) = body.get_mut("access_grants").filter(|grants| grants.is_array()).map(Value::take) else {
            return unprocessable(&json!([missing("access_grants", &body)]));
        };
        let Some(row) = self.tools.get_mut(id) else {
            return Answer::detail(404, NOT_FOUND);
        };
        row.access_grants = grants;
        Answer::json(row.json(version, Kind::Tool, Shape::Whole))
    }

    /// The JSON schema of the valves; null without valves.
    pub(super) fn valves_spec(&mut self, kind: Kind, id: &str, class: &str) -> Answer {
        let version = self.version;
        let Some(row) = self.table(kind).get(id) else { return version.absent(kind) };
        let (of_users, row_is_off) = (class == "UserValves", kind == Kind::Function && !row.is_active);
        let fields = if of_users { &row.settable_by_users } else { &row.settable };
        let told = fields.as_ref().filter(|_| !(of_users && row_is_off) || version.sets_user_valves_when_off());
        Answer::json(told.map_or(Value::Null, |fields| {
            let properties = fields.iter().map(|(name, wanted)| (name.clone(), json!({ "type": in_full(wanted) })));
            json!({ "properties": properties.collect::<Map<_, _>>(), "title": class, "type": "object" })
        }))
    }

    /// Replaces all values with those sent.
    pub(super) fn set_valves(&mut self, kind: Kind, id: &str, body: Value) -> Answer {
        let (version, tick) = (self.version, self.tick());
        let row = self.table(kind).get_mut(id);
        let Some((row, settable)) = row.and_then(|row| row.settable.clone().map(|settable| (row, settable))) else {
            return Answer::detail(401, NOT_FOUND);
        };
        match taken(version, kind, ("Valves", &settable), body) {
            Ok(valves) => {
                row.valves = valves;
                row.touched(tick);
                Answer::json(row.valves.clone().into())
            }
            Err(answer) => answer,
        }
    }

    /// The only user's valves. They belong to the user, so they outlive the plugin.
    pub(super) fn user_valves(&mut self, kind: Kind, id: &str) -> Answer {
        if !self.table(kind).contains_key(id) {
            return self.version.absent(kind);
        }
        Answer::json(self.user_valves.get(&(kind, id.to_owned())).cloned().unwrap_or_default().into())
    }

    pub(super) fn set_user_valves(&mut self, kind: Kind, id: &str, body: Value) -> Answer {
        let version = self.version;
        let Some(row) = self.table(kind).get(id) else { return version.absent(kind) };
        if kind == Kind::Function && !row.is_active && !version.sets_user_valves_when_off() {
            return Answer::detail(400, "Function is not active");
        }
        let Some(settable) = row.settable_by_users.clone() else { return Answer::detail(401, NOT_FOUND) };
        match taken(version, kind, ("UserValves", &settable), body) {
            Ok(valves) => {
                self.user_valves.insert((kind, id.to_owned()), valves.clone());
                Answer::json(valves.into())
            }
            Err(answer) => answer,
        }
    }

    pub(super) fn delete(&mut self, kind: Kind, id: &str) -> Answer {
        match (self.table(kind).remove(id), kind) {
            (None, Kind::Tool) => Answer::detail(401, NOT_FOUND),
            // For functions the server does not check that they exist.
            (Some(_), _) | (None, Kind::Function) => Answer::json(true.into()),
        }
    }
}

/// The sent values that are kept.
fn taken(
    version: Version,
    kind: Kind,
    (class, fields): (&str, &Fields),
    body: Value,
) -> Result<Map<String, Value>, Answer> {
    let Value::Object(mut valves) = body else { return Err(unprocessable(&json!([]))) };
    valves.retain(|field, value| fields.contains_key(field) && !value.is_null());
    match misfit(fields, &valves) {
        Some((field, words)) => {
            let words = format!("1 validation error for {class}\n{field}\n  {words}");
            Err(Answer::detail(400, version.valves_failed(kind, class, &words)))
        }
        None => Ok(valves),
    }
}

/// The first invalid value, with pydantic's message.
fn misfit(fields: &Fields, valves: &Map<String, Value>) -> Option<(String, String)> {
    valves.iter().find_map(|(field, value)| {
        let wanted = in_full(fields.get(field)?);
        let fits = match wanted {
            "integer" => value.is_i64(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            _ => true,
        };
        let named = if wanted == "array" { "list" } else { wanted };
        (!fits).then(|| (field.clone(), format!("Input should be a valid {named}")))
    })
}

/// A Python type in the words of JSON schema.
fn in_full(annotation: &str) -> &str {
    match annotation {
        "int" => "integer",
        "str" => "string",
        "bool" => "boolean",
        "float" => "number",
        "list" => "array",
        other => other,
    }
}

/// How much of a row an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The answer to a create or update, without the text.
    Created,
    /// For users: `GET /`.
    Listed,
    /// For writers: `GET /list`.
    ListedToAuthors,
    Whole,
    /// The whole row, with the caller's rights.
    ById,
}

impl Row {
    pub(super) fn json(&self, version: Version, kind: Kind, shape: Shape) -> Value {
        let mut json = json!({
            "id": self.id,
            "user_id": "6b1f7a52-0000-4000-8000-000000000000",
            "name": self.name,
            "meta": self.meta,
            "updated_at": self.updated_at,
            "created_at": self.created_at,
        });
        let mut add = |key: &str, value: Value| {
            json[key] = value;
        };
        if version.is_transactional() {
            add("version_id", self.version_id.as_str().into());
        }
        let text = || Value::from(self.content.as_str());
        match kind {
            Kind::Function => {
                add("type", self.entry.as_str().into());
                add("is_active", self.is_active.into());
                add("is_global", self.is_global.into());
                if shape == Shape::ListedToAuthors {
                    add("user", Value::Null);
                }
                match shape {
                    Shape::Whole | Shape::ById => add("content", text()),
                    Shape::ListedToAuthors if version == Version::V0_6_43 => add("content", text()),
                    Shape::Created | Shape::Listed | Shape::ListedToAuthors => {}
                }
            }
            Kind::Tool => {
                if version.has_grants() {
                    add("access_grants", self.access_grants.clone());
                } else {
                    add("access_control", self.access_control.clone());
                }
                let listed = matches!(shape, Shape::Listed | Shape::ListedToAuthors);
                let bare = shape == Shape::Created || shape == Shape::ListedToAuthors && version == Version::V0_6_43;
                if !bare {
                    add("content", if listed && version >= Version::V0_11_4 { Value::Null } else { text() });
                    add("specs", self.specs.clone());
                }
                let by_id = shape == Shape::ById && version.has_grants();
                if listed || by_id {
                    add("user", Value::Null);
                }
                if by_id || shape == Shape::ListedToAuthors && !bare {
                    add("write_access", true.into());
                }
                if shape == Shape::Listed {
                    add("has_user_valves", self.settable_by_users.is_some().into());
                }
            }
        }
        json
    }

    /// Versions before 0.12 set a filter's `toggle` last, and never remove it.
    fn put_a_switch_into_the_chat(&mut self, toggle: bool) {
        if toggle && self.entry == "filter" {
            self.meta.insert("toggle".to_owned(), true.into());
        }
    }

    /// The fields that decide whether an update makes a new version.
    pub(super) fn snapshot(&self) -> Value {
        let mut meta = self.meta.clone();
        for set_by_the_server in ["manifest", "has_user_valves", "toggle"] {
            meta.remove(set_by_the_server);
        }
        if meta.get("i18n").is_some_and(Value::is_null) {
            meta.remove("i18n");
        }
        json!({ "name": self.name, "content": self.content, "meta": meta })
    }

    /// An arbitrary first second.
    fn touched(&mut self, tick: u64) {
        self.updated_at = 1_700_000_000 + tick;
    }

    /// Adds a version if the update makes one.
    pub(super) fn written(&mut self, before: &Value, tick: u64, message: Option<String>) {
        self.touched(tick);
        let snapshot = self.snapshot();
        if snapshot != *before {
            let parent = self.history.last().map(|_| self.version_id.clone());
            self.version_id = format!("00000000-0000-4000-8000-{tick:012}");
            let (id, created_at) = (self.version_id.clone(), self.updated_at);
            self.history.push(Entry { id, parent, message, created_at, snapshot });
        }
    }
}

/// The stored meta: the sent fields, with those that the server sets itself.
fn stored_meta(
    version: Version,
    kind: Kind,
    mut sent: Map<String, Value>,
    content: &str,
    loaded: &Loaded,
) -> Map<String, Value> {
    let mut meta = Map::from_iter([("description".to_owned(), Value::Null)]);
    match (kind, version) {
        (Kind::Function, _) => {}
        (Kind::Tool, Version::V0_6_43 | Version::V0_9_6) => sent.retain(|field, _| field == "description"),
        (Kind::Tool, Version::V0_11_4 | Version::V0_12_4) => {
            meta.insert("i18n".to_owned(), Value::Null);
            meta.insert("has_user_valves".to_owned(), loaded.user_valves.is_some().into());
            sent.remove("has_user_valves");
            if version == Version::V0_11_4 {
                sent.retain(|field, _| field == "description" || field == "i18n");
            }
        }
    }
    meta.extend(sent);
    let manifest = Frontmatter::parse(content);
    meta.insert(
        "manifest".to_owned(),
        manifest.iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect(),
    );
    if kind == Kind::Function && version.is_transactional() {
        meta.insert("toggle".to_owned(), (loaded.entry.word() == "filter" && loaded.toggle).into());
    }
    meta
}

/// The four text replacements that the server makes in every source.
fn rewritten(content: &str) -> String {
    ["utils", "apps", "main", "config"].iter().fold(content.to_owned(), |text, module| {
        text.replace(&format!("from {module}"), &format!("from open_webui.{module}"))
    })
}

pub(super) fn form(version: Version, body: Value) -> Result<(String, Form), Answer> {
    if version == Version::V0_9_6 && body.get("access_grants").is_some_and(Value::is_null) {
        let problem = json!({
            "type": "list_type", "loc": ["body", "access_grants"], "msg": "Input should be a valid list", "input": null
        });
        return Err(unprocessable(&json!([problem])));
    }
    let missing: Vec<_> = [("id", "string"), ("name", "string"), ("content", "string"), ("meta", "object")]
        .iter()
        .filter(|(key, kind)| match body.get(key) {
            Some(Value::String(_)) => *kind != "string",
            Some(Value::Object(_)) => *kind != "object",
            _ => true,
        })
        .map(|(key, _)| missing(key, &body))
        .collect();
    if !missing.is_empty() {
        return Err(unprocessable(&Value::from(missing)));
    }
    let Value::Object(mut body) = body else { unreachable!("it has fields") };
    let mut take = |key| body.remove(key).unwrap_or_default();
    let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(take("id"));
    let Value::Object(meta) = take("meta") else { unreachable!("seen above") };
    let form = Form {
        name: text(take("name")),
        content: text(take("content")),
        meta,
        access_grants: Some(take("access_grants")).filter(Value::is_array),
        access_control: take("access_control"),
        commit_message: take("commit_message").as_str().map(str::to_owned),
    };
    Ok((id, form))
}

/// Near enough to Python's rule for the ids that tests use.
fn is_identifier(id: &str) -> bool {
    let mut chars = id.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic()) && chars.all(|c| c == '_' || c.is_alphanumeric())
}
