//! The server's behaviour that we rely on: the same cases run through the client against the fake and the real server,
//! for every tested version. A case that differs is an error of the fake.
//!
//! [`Expectations`] lists the differences between versions. Cases share one real server, so each has its own ids.
//!
//! Long because the cases share one server and one table of what its versions do.

use std::sync::Arc;
use std::time::Duration;

use owui_watch::client::Client;
use owui_watch::engine::deploy::{Call, Form, ListedRow, OnServer, Reply, Row, Version as Past};
use owui_watch::plugin::id::PluginId;
use owui_watch::plugin::{Entry, Key, Kind};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::support::fake_server::{FakeServer, Version};
use crate::support::{Login, Server, real_server};

/// Lists the cases once: for the fake servers one test each, for a real one all in a row.
macro_rules! cases {
    ($($case:ident,)+) => {
        cases_on! { contract_on_the_fake_0_6_43, V0_6_43, $($case,)+ }
        cases_on! { contract_on_the_fake_0_9_6, V0_9_6, $($case,)+ }
        cases_on! { contract_on_the_fake_0_11_4, V0_11_4, $($case,)+ }
        cases_on! { contract_on_the_fake_0_12_4, V0_12_4, $($case,)+ }

        /// Runs every case, even after a failure, and names the failed ones.
        async fn every_case(server: &Server) {
            let mut failed = Vec::new();
            $(
                if tokio::spawn($case(server.clone())).await.is_err() {
                    failed.push(stringify!($case));
                }
            )+
            assert!(failed.is_empty(), "broken on {}: {failed:#?}", server.version.name());
        }
    };
}

macro_rules! cases_on {
    ($module:ident, $version:ident, $($case:ident,)+) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let fake = FakeServer::of(Version::$version);
                    super::$case(Server::fake(&fake)).await;
                }
            )+
        }
    };
}

cases! {
    connecting_tells_the_version,
    every_type_is_created_and_read_back,
    an_overview_holds_all_that_tells_rows_apart,
    an_update_replaces_name_text_and_meta,
    an_update_without_a_change_is_fine,
    an_update_may_change_the_type,
    what_is_refused_on_create_leaves_nothing,
    what_is_refused_on_update_changes_the_switch_at_most,
    what_is_no_exception_changes_nothing,
    requirements_that_cannot_be_installed_change_nothing,
    what_was_read_and_is_sent_back_restores_the_row,
    an_unknown_id_is_absent,
    a_taken_id_is_told,
    a_bad_key_is_not_allowed,
    no_key_is_not_allowed,
    a_toggle_flips,
    a_global_toggle_flips,
    models_tell_what_they_use,
    what_is_deleted_is_gone_but_for_the_users_own_valves,
    the_least_that_is_taken,
    a_stub_brings_out_the_reason,
    meta_is_kept_as_sent,
    the_switch_in_the_chat_is_the_servers_business,
    valves_are_kept,
    valves_that_no_longer_fit,
    valves_have_a_shape,
    a_deploy_leaves_alone_what_is_the_admins,
    a_new_tool_is_private,
    a_tool_stays_shared_as_it_was,
    what_else_an_update_does_to_sharing,
    imports_are_rewritten,
    text_is_kept_to_the_character,
    an_id_may_be_in_any_script,
    rows_have_these_fields,
    a_version_is_what_was_sent_and_nothing_else,
    a_history_is_told_newest_first,
    a_long_history_comes_in_pages,
    a_version_from_the_middle_is_deleted,
    a_version_is_made_the_current_one_again,
    where_there_is_no_history,
    what_is_not_there_is_a_web_page_or_not_allowed,
    a_form_is_looked_at_in_this_order,
    // This ends some servers, so it comes last.
    what_ends_the_interpreter_may_end_the_server,
}

/// The differences between versions. Everything else is the same on all.
#[expect(clippy::struct_excessive_bools, reason = "a table of yes and no, read by name and never passed on")]
struct Expectations {
    /// Whether the reason of a refusal is reported, on create and on update.
    create_tells_why: bool,
    update_tells_why: bool,
    /// The text for a tool that raises an exception without a message.
    of_a_wordless_tool: &'static str,
    /// Whether a refused update switches a function off.
    refusal_switches_off: bool,
    /// The reply to an update of a missing function with valid code.
    unknown_function: Reply,
    /// The status of a GET of a missing tool.
    unknown_tool: u16,
    has_events: bool,
    has_version_ids: bool,
    /// Whether the list of tools has their texts.
    lists_texts: bool,
    /// Whether requirements are installed even offline, as in a sandbox.
    installs_when_offline: bool,
    survives_an_exit: bool,
    /// Whether stored valves are checked against new code.
    checks_valves: bool,
    /// Whether users can set their valves of a function that is off.
    sets_user_valves_when_off: bool,
    /// The kept fields of a tool's meta; `None` for all.
    tool_meta: Option<&'static [&'static str]>,
    chat_switch: ChatSwitch,
    sharing: Sharing,
}

/// When a filter's `toggle` is stored in its meta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChatSwitch {
    /// If true, on update.
    Updated,
    /// If true, on create and update.
    Written,
    /// Always, at once.
    Exact,
}

/// How a tool is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    /// By a field of each create and update; null or missing means everybody.
    AccessControl,
    /// By grants that creates and updates may replace.
    GrantsInForm { null_is_refused: bool },
    /// By grants that a create may set and an update keeps.
    GrantsApart,
}

fn expectations(version: Version) -> Expectations {
    let stumbled = "the server failed: [ERROR: 400: [ERROR: Error updating function]]";
    let stumbled = || Reply::Stumbled { cause: stumbled.into() };
    match version {
        Version::V0_6_43 => Expectations {
            create_tells_why: true,
            update_tells_why: true,
            of_a_wordless_tool: "Something went wrong :/",
            refusal_switches_off: true,
            unknown_function: stumbled(),
            unknown_tool: 401,
            has_events: false,
            has_version_ids: false,
            lists_texts: true,
            installs_when_offline: true,
            survives_an_exit: false,
            checks_valves: false,
            sets_user_valves_when_off: true,
            tool_meta: Some(&["description"]),
            chat_switch: ChatSwitch::Updated,
            sharing: Sharing::AccessControl,
        },
        Version::V0_9_6 => Expectations {
            create_tells_why: true,
            update_tells_why: true,
            of_a_wordless_tool: "Something went wrong :/",
            refusal_switches_off: true,
            unknown_function: stumbled(),
            unknown_tool: 404,
            has_events: false,
            has_version_ids: false,
            lists_texts: true,
            installs_when_offline: false,
            survives_an_exit: false,
            checks_valves: false,
            sets_user_valves_when_off: true,
            tool_meta: Some(&["description"]),
            chat_switch: ChatSwitch::Written,
            sharing: Sharing::GrantsInForm { null_is_refused: true },
        },
        Version::V0_11_4 => Expectations {
            create_tells_why: false,
            update_tells_why: false,
            of_a_wordless_tool: "",
            refusal_switches_off: true,
            // The same words as for refused code: only a GET tells.
            unknown_function: Reply::Refused { words: "[ERROR: Error updating function]".into(), wrapped: true },
            unknown_tool: 404,
            has_events: true,
            has_version_ids: false,
            lists_texts: false,
            installs_when_offline: false,
            survives_an_exit: true,
            checks_valves: false,
            sets_user_valves_when_off: false,
            tool_meta: Some(&["description", "i18n"]),
            chat_switch: ChatSwitch::Written,
            sharing: Sharing::GrantsInForm { null_is_refused: false },
        },
        Version::V0_12_4 => Expectations {
            create_tells_why: false,
            update_tells_why: true,
            of_a_wordless_tool: "",
            refusal_switches_off: false,
            unknown_function: Reply::Absent,
            unknown_tool: 404,
            has_events: true,
            has_version_ids: true,
            lists_texts: false,
            installs_when_offline: false,
            survives_an_exit: true,
            checks_valves: true,
            sets_user_valves_when_off: false,
            tool_meta: None,
            chat_switch: ChatSwitch::Exact,
            sharing: Sharing::GrantsApart,
        },
    }
}

impl Expectations {
    /// The words for code that is refused for this reason.
    fn refused_create(&self, kind: Kind, reason: &str) -> Reply {
        let masked = format!("[ERROR: Error creating {}]", kind.word());
        let words = if self.create_tells_why { self.told(kind, reason) } else { masked };
        Reply::Refused { words, wrapped: true }
    }

    fn refused_update(&self, kind: Kind, reason: &str) -> Reply {
        let masked = format!("[ERROR: Error updating {}]", kind.word());
        let words = if self.update_tells_why { self.told(kind, reason) } else { masked };
        Reply::Refused { words, wrapped: !self.has_version_ids }
    }

    fn told(&self, kind: Kind, reason: &str) -> String {
        match (kind, reason) {
            (Kind::Tool, "") => self.of_a_wordless_tool.to_owned(),
            (_, reason) => reason.to_owned(),
        }
    }

    fn keeps(&self, kind: Kind, field: &str) -> bool {
        kind == Kind::Function || self.tool_meta.is_none_or(|kept| kept.contains(&field))
    }
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn contract_on_open_webui_0_6_43() {
    contract_on_a_real(Version::V0_6_43).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn contract_on_open_webui_0_9_6() {
    contract_on_a_real(Version::V0_9_6).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn contract_on_open_webui_0_11_4() {
    contract_on_a_real(Version::V0_11_4).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn contract_on_open_webui_0_12_4() {
    contract_on_a_real(Version::V0_12_4).await;
}

async fn contract_on_a_real(version: Version) {
    let real = real_server(version, Login::Asked).await;
    let server = Server::real(&real);
    // A session's token grants the same access as a key.
    let client = server.client_with(Some(real.admin().token.clone()));
    assert_eq!(client.call(Call::Overview(Kind::Function)).await, Reply::Rows(Vec::new()));
    every_case(&server).await;
    real.stop();
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn contract_on_open_webui_0_12_4_without_login() {
    let real = real_server(Version::V0_12_4, Login::No).await;
    getting_in_where_there_is_no_login(Server::real(&real)).await;
    real.stop();
}

#[tokio::test]
async fn contract_on_the_fake_without_login() {
    let fake = FakeServer::start();
    fake.open_the_door();
    getting_in_where_there_is_no_login(Server { key: None, ..Server::fake(&fake) }).await;
}

/// Restarts a server that a plugin has ended.
#[tokio::test]
async fn the_fake_keeps_its_data_over_a_restart() {
    let mut fake = FakeServer::of(Version::V0_9_6);
    let server = Server::fake(&fake);
    what_ends_the_interpreter_may_end_the_server(server.clone()).await;
    fake.go_down();
    fake.come_up();
    let key = key(Kind::Function, "exit");
    assert_eq!(row(server.client().call(Call::Get(key)).await).content.as_deref(), Some(PIPE));
}

async fn connecting_tells_the_version(server: Server) {
    let connected = Reply::Connected { version: server.version.name().into() };
    assert_eq!(server.client().call(Call::Connect).await, connected);
    // The key is not checked yet.
    assert_eq!(server.client_with(Some("sk-wrong".into())).call(Call::Connect).await, connected);
}

const PIPE: &str =
    "\"\"\"\ntitle: A pipe\nversion: 0.1\n\"\"\"\nclass Pipe:\n    def pipe(self, body):\n        return 1\n";
const FILTER: &str = "class Filter:\n    toggle = True\n\n    def inlet(self, body):\n        return body\n";
const ACTION: &str = "class Action:\n    async def action(self, body):\n        pass\n";
const EVENT: &str = "class Event:\n    async def event(self, event):\n        pass\n";
const TOOLS: &str = "\"\"\"\ntitle: Tools\n\"\"\"\nclass Tools:\n    def add(self, a: int) -> int:\n        return a\n";

async fn every_type_is_created_and_read_back(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for (name, text) in [("pipe", PIPE), ("filter", FILTER), ("action", ACTION), ("event", EVENT), ("tools", TOOLS)] {
        let kind = if name == "tools" { Kind::Tool } else { Kind::Function };
        let key = key(kind, &format!("every_{name}"));
        assert_eq!(client.call(Call::Get(key.clone())).await, Reply::Absent, "{name}");

        if name == "event" && !expected.has_events {
            let refused = expected.refused_create(kind, "No Function class found in the module");
            assert_eq!(client.call(Call::Create(key, form("A name", text))).await, refused);
            continue;
        }
        let mut created = row(client.call(Call::Create(key.clone(), form("A name", text))).await);
        let switch = (kind == Kind::Function).then_some(false);
        assert_eq!((created.id.as_str(), created.name.as_str()), (key.id.as_str(), "A name"));
        assert_eq!((created.content.as_deref(), created.is_active), (None, switch));

        let read = row(client.call(Call::Get(key)).await);
        if name == "filter" && expected.chat_switch == ChatSwitch::Written {
            created.meta.insert("toggle".into(), true.into());
        }
        assert_eq!(read, Row { content: Some(text.into()), ..created }, "{name}");
        let access = (kind == Kind::Tool && expected.sharing == Sharing::AccessControl).then_some(Value::Null);
        assert_eq!(read.access_control, access, "since 0.8 that is the past");
        let manifest = match name {
            "pipe" => json!({"title": "A pipe", "version": "0.1"}),
            "tools" => json!({"title": "Tools"}),
            _ => json!({}),
        };
        assert_eq!(read.meta["manifest"], manifest, "{name}");
    }
}

/// The text, the switch, the version and the manifest of a row.
async fn an_overview_holds_all_that_tells_rows_apart(server: Server) {
    let client = server.client();
    for (kind, text) in [(Kind::Function, PIPE), (Kind::Tool, TOOLS)] {
        let key = key(kind, "overview");
        row(client.call(Call::Create(key.clone(), form("A", text))).await);
        let read = row(client.call(Call::Get(key.clone())).await).listed(key.id.clone());
        let Reply::Rows(rows) = client.with_texts().call(Call::Overview(kind)).await else { panic!("no rows") };
        assert_eq!(rows.into_iter().find(|row| row.id == key.id), Some(read.clone()));
        let Reply::Rows(rows) = client.call(Call::Overview(kind)).await else { panic!("no rows") };
        assert_eq!(rows.into_iter().find(|row| row.id == key.id), Some(ListedRow { content: None, ..read }));
    }
}

async fn an_update_replaces_name_text_and_meta(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for (kind, before, after) in
        [(Kind::Function, PIPE, "class Pipe:\n    x = 2\n"), (Kind::Tool, TOOLS, "class Tools: pass")]
    {
        let key = key(kind, "update");
        let old = Form { meta: object(json!({"description": "old", "icon": "i"})), ..bare("Old", before) };
        row(client.call(Call::Create(key.clone(), Arc::new(old))).await);
        let new = Form { meta: object(json!({"description": "new", "tags": ["a"]})), ..bare("New", after) };
        let updated = row(client.call(Call::Update(key.clone(), Arc::new(new))).await);

        assert_eq!((updated.name.as_str(), updated.content.as_deref()), ("New", Some(after)));
        assert_eq!(updated.meta["description"], json!("new"));
        assert_eq!(updated.meta.get("tags"), expected.keeps(kind, "tags").then_some(&json!(["a"])));
        assert_eq!((updated.meta.get("icon"), &updated.meta["manifest"]), (None, &json!({})));
        assert_eq!(row(client.call(Call::Get(key)).await), updated);
    }
}

async fn an_update_without_a_change_is_fine(server: Server) {
    let client = server.client();
    for (kind, text) in [(Kind::Function, PIPE), (Kind::Tool, TOOLS)] {
        let key = key(kind, "again");
        row(client.call(Call::Create(key.clone(), form("A", text))).await);
        let before = row(client.call(Call::Get(key.clone())).await);
        assert_eq!(row(client.call(Call::Update(key.clone(), form("A", text))).await), before);
        assert_eq!(row(client.call(Call::Get(key)).await), before);
    }
}

async fn an_update_may_change_the_type(server: Server) {
    let client = server.client();
    let key = key(Kind::Function, "turncoat");
    row(client.call(Call::Create(key.clone(), form("A", FILTER))).await);
    row(client.call(Call::Toggle(key.id.clone())).await);
    let updated = row(client.call(Call::Update(key, form("A", ACTION))).await);
    assert_eq!((updated.content.as_deref(), updated.is_active), (Some(ACTION), Some(true)));
}

/// A text, and the server's words about it, if any.
const REFUSED: [(&str, &str); 8] = [
    ("class Pipe:\n    pass\n\ndef broken(:\n    pass\n", "invalid syntax (<string>, line 4)"),
    ("import no_such_module\n\nclass Pipe:\n    pass\n", "No module named 'no_such_module'"),
    ("from . import sibling\n\nclass Pipe:\n    pass\n", "attempted relative import with no known parent package"),
    ("class Pip:\n    pass\n", "No Function class found in the module"),
    ("", "No Function class found in the module"),
    ("class Pipe:\n    def __init__(self):\n        raise RuntimeError(\"told you so\")\n", "told you so"),
    (
        "class Pipe:\n    def __init__(self, x):\n        pass\n",
        "Pipe.__init__() missing 1 required positional argument: 'x'",
    ),
    ("raise ValueError()\n", ""),
];

/// The same for tools.
fn refused(kind: Kind) -> impl Iterator<Item = (String, String)> {
    let said = move |text: &str| match kind {
        Kind::Function => text.to_owned(),
        Kind::Tool => text.replace("Pipe", "Tools").replace("Function class", "Tools class"),
    };
    REFUSED.iter().map(move |(text, words)| (said(text), said(words)))
}

async fn what_is_refused_on_create_leaves_nothing(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for kind in [Kind::Function, Kind::Tool] {
        for (n, (text, reason)) in refused(kind).enumerate() {
            let key = key(kind, &format!("stillborn_{n}"));
            let reply = client.call(Call::Create(key.clone(), form("A", &text))).await;
            assert_eq!(reply, expected.refused_create(kind, &reason), "{text}");
            assert_eq!(client.call(Call::Get(key)).await, Reply::Absent, "{text}");
        }
        // Where the reason is told, it is in brackets.
        let create = format!("/api/v1/{}s/create", kind.word());
        let form = json!({"id": "stillborn", "name": "A", "content": "import no_such_module\n", "meta": {}});
        let told = if expected.create_tells_why { "No module named 'no_such_module'" } else { "Error creating " };
        let (status, answer) = server.post(&create, &form).await;
        let words = answer["detail"].as_str().unwrap();
        assert!(status == 400 && words.starts_with(&format!("[ERROR: {told}")) && words.ends_with(']'), "{answer}");
    }
}

const VALVES: &str = "from pydantic import BaseModel

class Filter:
    toggle = True

    class Valves(BaseModel):
        n: int = 1
        s: str = 'a'

    class UserValves(BaseModel):
        own: int = 1

    def __init__(self):
        self.valves = self.Valves()
";

fn with_valves(kind: Kind) -> String {
    match kind {
        Kind::Function => VALVES.to_owned(),
        Kind::Tool => VALVES.replace("class Filter", "class Tools"),
    }
}

/// Everything that the server returns for a plugin, except the time of the last change.
async fn everything(server: &Server, key: &Key) -> Value {
    let path = format!("/api/v1/{}s/id/{}", key.kind.word(), key.id);
    let mut row = stored(server, key).await;
    row.as_object_mut().unwrap().remove("updated_at");
    for valves in ["valves", "valves/user"] {
        let (status, values) = server.get(&format!("{path}/{valves}")).await;
        assert_eq!(status, 200, "{values}");
        row[valves] = values;
    }
    row
}

/// The raw row.
async fn stored(server: &Server, key: &Key) -> Value {
    let (status, row) = server.get(&format!("/api/v1/{}s/id/{}", key.kind.word(), key.id)).await;
    assert_eq!(status, 200, "{row}");
    row
}

/// A plugin in use: with a description, valves of admin and user, and its switches on.
async fn in_use(server: &Server, key: &Key) -> Value {
    let client = server.client();
    let meta = object(json!({"description": "ours", "i18n": {"de-DE": {"name": "Name"}}}));
    let form = Arc::new(Form { meta, access_control: Some(json!({})), ..bare("A", &with_valves(key.kind)) });
    row(client.call(Call::Create(key.clone(), form.clone())).await);
    // 0.6.43 ignores the filter's `toggle` before that.
    row(client.call(Call::Update(key.clone(), form)).await);
    let path = format!("/api/v1/{}s/id/{}", key.kind.word(), key.id);
    let valves = json!({"n": 7, "s": null, "unknown": 1});
    assert_eq!(server.post(&format!("{path}/valves/update"), &valves).await, (200, json!({"n": 7})));
    if key.kind == Kind::Function {
        row(client.call(Call::Toggle(key.id.clone())).await);
        flip_global(server, key).await;
    }
    let own = json!({"own": 5, "unknown": 1});
    assert_eq!(server.post(&format!("{path}/valves/user/update"), &own).await, (200, json!({"own": 5})));
    everything(server, key).await
}

/// Toggles whether a function is global, which owui-watch never does.
async fn flip_global(server: &Server, key: &Key) -> Value {
    let (status, row) = server.post(&format!("/api/v1/functions/id/{}/toggle/global", key.id), &Value::Null).await;
    assert_eq!(status, 200, "{row}");
    row
}

async fn what_is_refused_on_update_changes_the_switch_at_most(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "steady");
        let before = in_use(&server, &key).await;
        for (text, reason) in refused(kind) {
            let reply = client.call(Call::Update(key.clone(), form("B", &text))).await;
            assert_eq!(reply, expected.refused_update(kind, &reason), "{text}");
            let mut after = everything(&server, &key).await;
            if kind == Kind::Function && expected.refusal_switches_off {
                assert_eq!(after["is_active"], json!(false), "{text}");
                row(client.call(Call::Toggle(key.id.clone())).await);
                after = everything(&server, &key).await;
            }
            assert_eq!(after, before, "{text}");
        }
    }
}

/// An exception that the server does not catch leaves the switch alone.
async fn what_is_no_exception_changes_nothing(server: Server) {
    let client = server.client();
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "uncaught");
        let crashed = Reply::Crashed { words: "Internal Server Error".into(), too_large: false };
        let raises = form("B", "raise GeneratorExit()\n");
        assert_eq!(client.call(Call::Create(key.clone(), raises.clone())).await, crashed);
        assert_eq!(client.call(Call::Get(key.clone())).await, Reply::Absent);
        let before = in_use(&server, &key).await;
        assert_eq!(client.call(Call::Update(key.clone(), raises)).await, crashed);
        assert_eq!(everything(&server, &key).await, before);
    }
}

/// A sandbox has no pip and is set to offline, but 0.6.43 calls it anyway.
async fn requirements_that_cannot_be_installed_change_nothing(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "requires");
        let before = in_use(&server, &key).await;
        let text = format!("\"\"\"\nrequirements: no_such_package_of_ours==0\n\"\"\"\n{}", with_valves(kind));
        let reply = client.call(Call::Update(key.clone(), form("B", &text))).await;
        let after = everything(&server, &key).await;
        if expected.installs_when_offline {
            let told = |words: &str| words.contains("pip") && words.contains("returned non-zero exit status 1");
            assert!(matches!(&reply, Reply::Refused { words, .. } if told(words)), "{reply:?}");
            assert_eq!(after, before);
        } else {
            assert_eq!(row(reply).content, Some(text));
            for kept in ["is_active", "is_global", "valves", "valves/user"] {
                assert_eq!(after.get(kept), before.get(kept));
            }
        }
    }
}

/// How to repair a refusal, and undo an update.
async fn what_was_read_and_is_sent_back_restores_the_row(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "restored");
        let before = in_use(&server, &key).await;
        let read = row(client.call(Call::Get(key.clone())).await);
        let back = Arc::new(Form {
            name: read.name.clone(),
            content: read.content.clone().unwrap().into(),
            meta: read.meta.clone(),
            message: String::new(),
            file: None,
            access_control: read.access_control.clone(),
        });

        let other = |text: &str| Arc::new(Form { meta: object(json!({"description": "theirs"})), ..bare("B", text) });
        let broken = other(&with_valves(kind).replace("class", "class class"));
        assert!(matches!(client.call(Call::Update(key.clone(), broken)).await, Reply::Refused { .. }));
        row(client.call(Call::Update(key.clone(), back.clone())).await);
        let after = row(client.call(Call::Get(key.clone())).await);
        let went_off = kind == Kind::Function && expected.refusal_switches_off;
        assert_eq!(after.is_active, read.is_active.map(|on| on && !went_off), "an update does not switch it on");
        if went_off {
            row(client.call(Call::Toggle(key.id.clone())).await);
        }
        assert_eq!(everything(&server, &key).await, before);

        // Also without the switch in the chat, and of another type.
        let fine = other(&with_valves(kind).replace("Filter", "Action").replace("True", "False"));
        row(client.call(Call::Update(key.clone(), fine)).await);
        assert_ne!(everything(&server, &key).await, before);
        row(client.call(Call::Update(key.clone(), back)).await);
        let mut after = everything(&server, &key).await;
        if expected.has_version_ids {
            assert_ne!(after["version_id"], before["version_id"], "it is another version with the same text");
            after["version_id"] = before["version_id"].clone();
        }
        assert_eq!(after, before);
    }
}

async fn what_ends_the_interpreter_may_end_the_server(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for (kind, good) in [(Kind::Function, PIPE), (Kind::Tool, TOOLS)] {
        let key = key(kind, "exit");
        row(client.call(Call::Create(key.clone(), form("A", good))).await);
        let before = everything(&server, &key).await;
        let reply = client.call(Call::Update(key.clone(), form("A", "import sys\n\nsys.exit()\n"))).await;
        if !expected.survives_an_exit {
            assert!(matches!(reply, Reply::Crashed { .. } | Reply::Lost { .. }), "{reply:?}");
            let gone = async { while !matches!(client.call(Call::Connect).await, Reply::Unreachable { .. }) {} };
            tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it ends");
            return;
        }
        assert_eq!(reply, Reply::Crashed { words: "Internal Server Error".into(), too_large: false });
        assert_eq!(everything(&server, &key).await, before);
    }
}

async fn an_unknown_id_is_absent(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    let broken = || form("A", "class Pipe:");
    let words = "expected an indented block after class definition on line 1 (<string>, line 1)";

    let function = key(Kind::Function, "nobody");
    assert_eq!(client.call(Call::Get(function.clone())).await, Reply::Absent);
    assert_eq!(client.call(Call::Toggle(function.id.clone())).await, Reply::Absent);
    assert_eq!(client.call(Call::Update(function.clone(), form("A", PIPE))).await, expected.unknown_function);
    // The code is checked first. The fake knows fewer errors than Python.
    let reply = client.call(Call::Update(function.clone(), broken())).await;
    let said = [words, "invalid syntax (<string>, line 1)"].map(|words| expected.refused_update(Kind::Function, words));
    assert!(said.contains(&reply), "{reply:?}");
    // None of these creates a row.
    assert_eq!(client.call(Call::Get(function)).await, Reply::Absent);

    let tool = key(Kind::Tool, "nobody");
    assert_eq!(client.call(Call::Get(tool.clone())).await, Reply::Absent);
    assert_eq!(client.call(Call::Update(tool.clone(), form("A", TOOLS))).await, Reply::Absent);
    assert_eq!(client.call(Call::Update(tool, broken())).await, Reply::Absent);
    for (path, status) in [("functions/id/nobody", 401), ("tools/id/nobody", expected.unknown_tool)] {
        for of_it in ["", "/valves", "/valves/spec", "/valves/user", "/valves/user/spec"] {
            let (path, words) = (format!("/api/v1/{path}{of_it}"), "We could not find what you're looking for :/");
            assert_eq!(server.get(&path).await, (status, json!({"detail": words})), "{path}");
        }
        let update = format!("/api/v1/{path}/valves/user/update");
        assert_eq!(server.post(&update, &json!({"own": 1})).await.0, status, "{update}");
    }
    // What changes a row is a 401 for tools as well.
    let not_found = (401, json!({"detail": "We could not find what you're looking for :/"}));
    let form = json!({"id": "nobody", "name": "A", "content": TOOLS, "meta": {}});
    for (path, body) in [
        ("functions/id/nobody/toggle", &Value::Null),
        ("functions/id/nobody/toggle/global", &Value::Null),
        ("tools/id/nobody/update", &form),
    ] {
        assert_eq!(server.post(&format!("/api/v1/{path}"), body).await, not_found, "{path}");
    }
    for (path, expected) in [("functions/id/nobody", (200, json!(true))), ("tools/id/nobody", not_found)] {
        let path = format!("/api/v1/{path}/delete");
        assert_eq!(server.send(reqwest::Method::DELETE, &path, None).await, expected, "{path}");
    }
}

async fn a_taken_id_is_told(server: Server) {
    let client = server.client();
    for (kind, text) in [(Kind::Function, PIPE), (Kind::Tool, TOOLS)] {
        let key = key(kind, "mine");
        row(client.call(Call::Create(key.clone(), form("A", text))).await);
        let before = client.call(Call::Get(key.clone())).await;
        for other in [text, &format!("{text}\n\nOTHER = 1\n"), "class Pipe:"] {
            assert_eq!(client.call(Call::Create(key.clone(), form("B", other))).await, Reply::Taken);
        }
        assert_eq!(client.call(Call::Get(key)).await, before);
    }
}

async fn a_bad_key_is_not_allowed(server: Server) {
    let expired = "Your session has expired or the token is invalid. Please sign in again.";
    for (bad, words) in [("sk-00000000000000000000000000000000", expired), ("eyJ0.eyJ1.x", "401 Unauthorized")] {
        everything_is_not_allowed(&server, Some(bad.into()), words).await;
    }
}

async fn no_key_is_not_allowed(server: Server) {
    let client = server.client_with(None);
    let words = "no key is configured, and this server asks for one".into();
    assert_eq!(client.call(Call::Connect).await, Reply::NotAllowed { status: 0, words });
    everything_is_not_allowed(&server, None, "Not authenticated").await;
}

async fn everything_is_not_allowed(server: &Server, by: Option<SecretString>, words: &str) {
    let (client, expected) = (server.client_with(by), expectations(server.version));
    for (kind, text) in [(Kind::Function, PIPE), (Kind::Tool, TOOLS)] {
        let key = key(kind, "out_of_reach");
        let mut calls = vec![
            Call::Overview(kind),
            Call::Get(key.clone()),
            Call::Create(key.clone(), form("A", text)),
            Call::Update(key.clone(), form("A", text)),
            Call::Delete(key.clone()),
        ];
        let history =
            [Call::Versions(key.clone()), Call::Version(key.clone(), "x".into()), Call::Prune(key.clone(), "x".into())];
        if expected.has_version_ids {
            calls.extend(history);
        } else {
            // No key is required.
            for call in history {
                assert_eq!(client.call(call.clone()).await, Reply::Absent, "{call:?}");
            }
        }
        if kind == Kind::Function {
            calls.push(Call::Toggle(key.id));
        }
        for call in calls {
            let expected = Reply::NotAllowed { status: 401, words: words.into() };
            assert_eq!(client.call(call.clone()).await, expected, "{call:?}");
        }
    }
}

async fn a_toggle_flips(server: Server) {
    let client = server.client();
    let key = key(Kind::Function, "switch");
    row(client.call(Call::Create(key.clone(), form("A", FILTER))).await);
    for expected in [true, false, true] {
        assert_eq!(row(client.call(Call::Toggle(key.id.clone())).await).is_active, Some(expected));
        assert_eq!(row(client.call(Call::Get(key.clone())).await).is_active, Some(expected));
    }
    assert_eq!(row(client.call(Call::Update(key, form("A", PIPE))).await).is_active, Some(true));
}

async fn a_global_toggle_flips(server: Server) {
    let client = server.client();
    let key = key(Kind::Function, "global_switch");
    row(client.call(Call::Create(key.clone(), form("A", FILTER))).await);
    let read = async || {
        let read = row(client.call(Call::Get(key.clone())).await);
        (read.entry, read.is_active, read.is_global)
    };
    assert_eq!(read().await, (Some(Entry::Filter), Some(false), Some(false)));
    for expected in [true, false, true] {
        let flipped = row(client.call(Call::ToggleGlobal(key.id.clone())).await);
        assert_eq!((flipped.is_global, flipped.is_active), (Some(expected), Some(false)));
        assert_eq!(read().await, (Some(Entry::Filter), Some(false), Some(expected)));
    }
    row(client.call(Call::Update(key.clone(), form("A", PIPE))).await);
    assert_eq!(read().await, (Some(Entry::Pipe), Some(false), Some(true)), "an update leaves it as it was");
    let Reply::Rows(rows) = client.call(Call::Overview(Kind::Function)).await else { panic!() };
    let listed = rows.iter().find(|row| row.id == key.id).unwrap();
    assert_eq!(
        (listed.entry, listed.switches),
        (Some(Entry::Pipe), OnServer { active: Some(false), global: Some(true) })
    );
    let tool = self::key(Kind::Tool, "global_switch");
    row(client.call(Call::Create(tool.clone(), form("A", TOOLS))).await);
    assert_eq!(stored(&server, &tool).await.get("is_global"), None);
    let absent = PluginId::new("no_such_switch").unwrap();
    assert_eq!(client.call(Call::ToggleGlobal(absent)).await, Reply::Absent);
}

async fn models_tell_what_they_use(server: Server) {
    let client = server.client();
    let attached = async || match client.call(Call::Attached).await {
        Reply::Attached(attached) => attached,
        reply => panic!("{reply:?}"),
    };
    assert!(!attached().await.filters.contains("of_a_model"));
    for (id, base, meta) in [
        ("contract-a", json!("another"), json!({"filterIds": ["of_a_model", "of_two"], "description": null})),
        ("contract-b", Value::Null, json!({"filterIds": ["of_two"], "actionIds": ["an_action"]})),
        ("contract-c", json!("another"), json!({})),
    ] {
        let model = json!({"id": id, "base_model_id": base, "name": id, "meta": meta, "params": {}});
        let (status, answer) = server.post("/api/v1/models/create", &model).await;
        assert_eq!(status, 200, "{answer}");
    }
    let attached = attached().await;
    assert!(["of_a_model", "of_two"].iter().all(|id| attached.filters.contains(*id)), "{attached:?}");
    assert!(attached.actions.contains("an_action") && !attached.filters.contains("an_action"), "{attached:?}");
}

async fn what_is_deleted_is_gone_but_for_the_users_own_valves(server: Server) {
    let client = server.client();
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "deleted");
        let before = in_use(&server, &key).await;
        let neighbour = self::key(kind, "deleted_not");
        row(client.call(Call::Create(neighbour.clone(), form("A", &with_valves(kind)))).await);

        assert_eq!(client.call(Call::Delete(key.clone())).await, Reply::Deleted);
        assert_eq!(client.call(Call::Get(key.clone())).await, Reply::Absent);
        assert_eq!(client.call(Call::Versions(key.clone())).await, Reply::Absent);
        let Reply::Rows(rows) = client.call(Call::Overview(kind)).await else { panic!("no rows") };
        assert!(rows.iter().all(|row| row.id != key.id));
        // The server does not check that the function exists.
        let again = if kind == Kind::Function { Reply::Deleted } else { Reply::Absent };
        assert_eq!(client.call(Call::Delete(key.clone())).await, again);
        row(client.call(Call::Get(neighbour)).await);

        // The id is free, and only the user's valves of the old plugin remain.
        row(client.call(Call::Create(key.clone(), form("B", &with_valves(kind)))).await);
        let after = everything(&server, &key).await;
        assert_eq!((&before["valves"], &after["valves"]), (&json!({"n": 7}), &json!({})));
        assert_eq!(after["valves/user"], before["valves/user"]);
    }
}

/// The minimal text of each class: no method, no header.
async fn the_least_that_is_taken(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for class in ["Pipe", "Filter", "Action", "Event", "Tools"] {
        if class == "Event" && !expected.has_events {
            continue;
        }
        let kind = if class == "Tools" { Kind::Tool } else { Kind::Function };
        let key = key(kind, &format!("least_{}", class.to_lowercase()));
        let stub = format!("class {class}:\n    pass\n");
        row(client.call(Call::Create(key.clone(), form("", &stub))).await);
        let read = row(client.call(Call::Get(key.clone())).await);
        assert_eq!((read.content.as_ref(), read.name.as_str()), (Some(&stub), ""), "{class}");
        if kind == Kind::Function {
            assert_eq!(row(client.call(Call::Toggle(key.id.clone())).await).is_active, Some(true), "{class}");
        }
        row(client.call(Call::Update(key.clone(), form("", &stub))).await);
        assert_eq!(client.call(Call::Delete(key)).await, Reply::Deleted);
    }
}

/// How to learn the reason where only an update reports it.
async fn a_stub_brings_out_the_reason(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for kind in [Kind::Function, Kind::Tool] {
        for (n, (text, reason)) in refused(kind).enumerate() {
            let key = key(kind, &format!("stub_{n}"));
            let create = client.call(Call::Create(key.clone(), form("A", &text))).await;
            assert_eq!(create, expected.refused_create(kind, &reason), "{text}");

            let stub = if kind == Kind::Tool { "class Tools:\n    pass\n" } else { "class Pipe:\n    pass\n" };
            let stub = Form { access_control: Some(json!({})), ..bare("A", stub) };
            row(client.call(Call::Create(key.clone(), Arc::new(stub))).await);
            let update = client.call(Call::Update(key.clone(), form("A", &text))).await;
            assert_eq!(update, expected.refused_update(kind, &reason), "{text}");
            assert_eq!(client.call(Call::Delete(key.clone())).await, Reply::Deleted);

            for call in [Call::Get(key.clone()), Call::Versions(key.clone())] {
                assert_eq!(client.call(call.clone()).await, Reply::Absent, "{call:?}");
            }
            let Reply::Rows(rows) = client.call(Call::Overview(kind)).await else { panic!("no rows") };
            assert!(rows.iter().all(|row| row.id != key.id));
            assert_eq!(client.call(Call::Create(key, form("A", &text))).await, create, "as if nothing had been");
        }
    }
}

async fn meta_is_kept_as_sent(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    let sent = json!({
        "description": "d\n\"quoted\" ü",
        "i18n": {"de-DE": {"name": "Name"}},
        "profile_image_url": "data:image/png;base64,AAAA",
        "of_ours": {"deep": [1, 2.5, null, true]},
    });
    for (kind, text) in [(Kind::Function, PIPE), (Kind::Tool, TOOLS)] {
        let key = key(kind, "meta");
        let mut meta = object(sent.clone());
        // The server ignores fields that it sets itself.
        meta.insert("manifest".into(), json!({"title": "a lie"}));
        let form = Arc::new(Form { meta, ..bare("A", text) });
        row(client.call(Call::Create(key.clone(), form.clone())).await);
        for _ in 0..2 {
            let read = row(client.call(Call::Get(key.clone())).await);
            for (field, value) in object(sent.clone()) {
                assert_eq!(read.meta.get(&field), expected.keeps(kind, &field).then_some(&value), "{field}");
            }
            assert_ne!(read.meta["manifest"]["title"], json!("a lie"));
            row(client.call(Call::Update(key.clone(), form.clone())).await);
        }
    }
}

async fn the_switch_in_the_chat_is_the_servers_business(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version).chat_switch);
    let key = key(Kind::Function, "chat_switch");
    let without = FILTER.replace("True", "False");
    let send = |text: &str, meta: Value| Arc::new(Form { meta: object(meta), ..bare("A", text) });
    let read = async || row(client.call(Call::Get(key.clone())).await).meta.remove("toggle");
    let exact = |it: bool| (expected == ChatSwitch::Exact).then(|| it.into());

    row(client.call(Call::Create(key.clone(), send(FILTER, json!({})))).await);
    assert_eq!(read().await, (expected != ChatSwitch::Updated).then(|| true.into()));
    let updated = row(client.call(Call::Update(key.clone(), send(FILTER, json!({})))).await);
    assert_eq!(updated.meta.get("toggle").cloned(), exact(true), "before 0.12 the answer is from before that step");
    assert_eq!(read().await, Some(true.into()));
    // Before 0.12, `toggle` sent back to a filter without one stays forever; left out, it goes.
    row(client.call(Call::Update(key.clone(), send(&without, json!({"toggle": true})))).await);
    assert_eq!(read().await, Some((expected != ChatSwitch::Exact).into()));
    row(client.call(Call::Update(key.clone(), send(&without, json!({})))).await);
    assert_eq!(read().await, exact(false));
}

async fn valves_are_kept(server: Server) {
    let client = server.client();
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "valves");
        let before = in_use(&server, &key).await;
        assert_eq!(before["valves"], json!({"n": 7}), "only what was set");
        let text = with_valves(kind).replace("s: str = 'a'", "s: str = 'b'\n        more: int = 3");
        row(client.call(Call::Update(key.clone(), form("A", &text))).await);
        assert_eq!(everything(&server, &key).await["valves"], before["valves"]);
        // They also stay with a class without valves.
        let (text, path) =
            (text.replace("Valves", "Other"), format!("/api/v1/{}s/id/valves/valves/update", kind.word()));
        row(client.call(Call::Update(key.clone(), form("A", &text))).await);
        assert_eq!(everything(&server, &key).await["valves"], before["valves"]);
        assert_eq!(server.post(&path, &json!({"n": 8})).await.0, 401, "there is nothing to set");
    }
}

async fn valves_that_no_longer_fit(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "misfit");
        let before = in_use(&server, &key).await;
        let text = with_valves(kind).replace("n: int = 1", "n: list = []");
        let reply = client.call(Call::Update(key.clone(), form("A", &text))).await;
        let after = everything(&server, &key).await;
        if expected.checks_valves {
            let words = "Current Valves are incompatible with this code: n: Input should be a valid list".into();
            assert_eq!((reply, after), (Reply::Refused { words, wrapped: false }, before));
        } else {
            assert_eq!((row(reply).content, &after["valves"]), (Some(text), &before["valves"]));
            assert_eq!(after["is_active"], before["is_active"], "it fails at its first use");
        }
    }
}

async fn valves_have_a_shape(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "shape");
        let path = format!("/api/v1/{}s/id/shape/valves", kind.word());
        row(client.call(Call::Create(key.clone(), form("A", &with_valves(kind)))).await);
        let shape = async |path: &str| {
            let (status, spec) = server.get(path).await;
            assert_eq!(status, 200, "{spec}");
            let fields = spec["properties"].as_object().into_iter().flatten();
            (spec["title"].clone(), fields.map(|(name, field)| json!([name, field["type"]])).collect::<Vec<_>>())
        };
        let valves = (json!("Valves"), vec![json!(["n", "integer"]), json!(["s", "string"])]);
        let users = (json!("UserValves"), vec![json!(["own", "integer"])]);
        let none = (Value::Null, Vec::new());
        assert_eq!(shape(&format!("{path}/spec")).await, valves);

        let (update, users_path) = (format!("{path}/user/update"), format!("{path}/user/spec"));
        assert_eq!(server.get(&format!("{path}/user")).await, (200, json!({})));
        if kind == Kind::Function && !expected.sets_user_valves_when_off {
            assert_eq!(shape(&users_path).await, none);
            let off = (400, json!({"detail": "Function is not active"}));
            assert_eq!(server.post(&update, &json!({"own": 2})).await, off);
            row(client.call(Call::Toggle(key.id.clone())).await);
        }
        assert_eq!(shape(&users_path).await, users);
        assert_eq!(server.post(&update, &json!({"own": 2})).await, (200, json!({"own": 2})));
        assert_eq!(server.post(&update, &json!({"own": "x"})).await.0, 400);
        assert_eq!(server.post(&format!("{path}/update"), &json!({"n": "x"})).await.0, 400);
        assert_eq!(server.get(&format!("{path}/user")).await, (200, json!({"own": 2})));
        assert_eq!(server.get(&path).await, (200, json!({})));

        let bare = if kind == Kind::Tool { TOOLS } else { PIPE };
        row(client.call(Call::Update(key, form("A", bare))).await);
        assert_eq!((shape(&format!("{path}/spec")).await, shape(&users_path).await), (none.clone(), none));
        assert_eq!(server.post(&update, &json!({"own": 3})).await.0, 401, "there is nothing to set");
    }
}

/// The form that owui-watch builds from a row for a new text.
fn as_deployed(read: &Row, text: &str) -> Arc<Form> {
    let mut meta = read.meta.clone();
    for the_servers_business in ["manifest", "toggle"] {
        meta.remove(the_servers_business);
    }
    let access_control = read.access_control.clone();
    Arc::new(Form { meta, access_control, ..bare(&read.name, text) })
}

async fn a_deploy_leaves_alone_what_is_the_admins(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "admins");
        in_use(&server, &key).await;
        let ours = json!({
            "description": "ours",
            "i18n": {"de-DE": {"name": "Name"}},
            "profile_image_url": "data:image/png;base64,AAAA",
        });
        let shared = match expected.sharing {
            Sharing::AccessControl => json!({"read": {"group_ids": ["g"], "user_ids": []}}),
            Sharing::GrantsInForm { .. } | Sharing::GrantsApart => {
                json!([{"principal_type": "user", "principal_id": "*", "permission": "read"}])
            }
        };
        let access_control = (expected.sharing == Sharing::AccessControl).then(|| shared.clone());
        let edited = Form { meta: object(ours.clone()), access_control, ..bare("Theirs", &with_valves(kind)) };
        row(client.call(Call::Update(key.clone(), Arc::new(edited))).await);
        if kind == Kind::Tool && expected.sharing != Sharing::AccessControl {
            let grants = json!({ "access_grants": shared });
            assert_eq!(server.post("/api/v1/tools/id/admins/access/update", &grants).await.0, 200);
        }
        let before = everything(&server, &key).await;
        for (field, value) in object(ours) {
            assert_eq!(before["meta"].get(&field), expected.keeps(kind, &field).then_some(&value), "{field}");
        }
        assert_eq!((&before["valves"], &before["valves/user"]), (&json!({"n": 7}), &json!({"own": 5})));
        assert_eq!(before.get("is_global"), (kind == Kind::Function).then_some(&json!(true)));

        for version in ["2", "3"] {
            let read = row(client.call(Call::Get(key.clone())).await);
            let text = format!("\"\"\"\ntitle: Ours\nversion: {version}\n\"\"\"\n{}", with_valves(kind));
            row(client.call(Call::Update(key.clone(), as_deployed(&read, &text))).await);

            let mut after = everything(&server, &key).await;
            assert_eq!(after["content"], json!(text));
            assert_eq!(after["meta"]["manifest"], json!({"title": "Ours", "version": version}));
            after["content"] = before["content"].clone();
            after["meta"]["manifest"] = before["meta"]["manifest"].clone();
            if expected.has_version_ids {
                assert_ne!(after["version_id"], before["version_id"]);
                after["version_id"] = before["version_id"].clone();
            }
            assert_eq!(after, before);
        }
    }
}

/// The access to a tool in a `GET`, without generated fields.
async fn sharing(server: &Server, id: &str) -> Value {
    let (_, mut row) = server.get(&format!("/api/v1/tools/id/{id}")).await;
    assert_ne!(row.get("access_control").is_some(), row.get("access_grants").is_some(), "{row}");
    let Some(grants) = row.get("access_grants") else { return row["access_control"].take() };
    let told = ["principal_type", "principal_id", "permission"];
    grants.as_array().unwrap().iter().map(|grant| told.map(|field| grant[field].clone()).to_vec()).collect()
}

/// Sent for all versions: it means "private" before 0.8, and nothing since, where tools are private by default.
async fn a_new_tool_is_private(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    let key = key(Kind::Tool, "private");
    let form = Arc::new(Form { access_control: Some(json!({})), ..bare("A", TOOLS) });
    let created = row(client.call(Call::Create(key.clone(), form.clone())).await);
    let nobody = match expected.sharing {
        Sharing::AccessControl => json!({}),
        Sharing::GrantsInForm { .. } | Sharing::GrantsApart => json!([]),
    };
    let told = (expected.sharing == Sharing::AccessControl).then(|| json!({}));
    assert_eq!((created.access_control, sharing(&server, "private").await), (told.clone(), nobody.clone()));
    let updated = row(client.call(Call::Update(key, form)).await);
    assert_eq!((updated.access_control, sharing(&server, "private").await), (told, nobody));

    // Functions are skipped with it.
    let key = self::key(Kind::Function, "private");
    let form = Arc::new(Form { access_control: Some(json!({})), ..bare("A", PIPE) });
    assert_eq!(row(client.call(Call::Create(key, form)).await).access_control, None);
}

/// Sends back what it reads: nothing since 0.8.
async fn a_tool_stays_shared_as_it_was(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    let key = key(Kind::Tool, "shared");
    row(client.call(Call::Create(key.clone(), form("A", TOOLS))).await);
    let grant = |who: &str, what: &str| json!({"principal_type": "user", "principal_id": who, "permission": what});
    let shared = match expected.sharing {
        Sharing::AccessControl => vec![
            json!({}),
            json!({"read": {"group_ids": ["g"], "user_ids": []}, "write": {"group_ids": [], "user_ids": ["u"]}}),
            Value::Null,
        ],
        Sharing::GrantsInForm { .. } | Sharing::GrantsApart => {
            vec![json!([grant("*", "read"), grant("someone", "write")]), json!([grant("*", "read")]), json!([])]
        }
    };
    for shared in shared {
        let (status, answer) = match expected.sharing {
            Sharing::AccessControl => {
                let form = json!({"id": "", "name": "A", "content": TOOLS, "meta": {}, "access_control": shared});
                server.post("/api/v1/tools/id/shared/update", &form).await
            }
            Sharing::GrantsInForm { .. } | Sharing::GrantsApart => {
                server.post("/api/v1/tools/id/shared/access/update", &json!({"access_grants": shared})).await
            }
        };
        assert_eq!(status, 200, "{answer}");
        let before = sharing(&server, "shared").await;
        if expected.sharing == Sharing::AccessControl {
            assert_eq!(before, shared);
        } else {
            assert_eq!(before.as_array().unwrap().len(), shared.as_array().unwrap().len());
        }
        let read = row(client.call(Call::Get(key.clone())).await);
        let form = Form { access_control: read.access_control, ..bare("B", TOOLS) };
        row(client.call(Call::Update(key.clone(), Arc::new(form))).await);
        assert_eq!(sharing(&server, "shared").await, before);
        // A refused update keeps it too.
        assert!(matches!(client.call(Call::Update(key.clone(), self::form("C", ""))).await, Reply::Refused { .. }));
        assert_eq!(sharing(&server, "shared").await, before);
    }
}

async fn imports_are_rewritten(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    let sent = "# from utils, from apps; from main\nx = 'therefrom config'\nfrom  utils = 1\n";
    let sent = sent.replace("from  utils = 1\n", "# from  utils, from .utils, From utils\n");
    let stored = sent
        .replace(
            "from utils, from apps; from main",
            "from open_webui.utils, from open_webui.apps; from open_webui.main",
        )
        .replace("therefrom config", "therefrom open_webui.config");
    for (kind, class) in [(Kind::Function, "class Pipe: pass\n"), (Kind::Tool, "class Tools: pass\n")] {
        let key = key(kind, "imports");
        row(client.call(Call::Create(key.clone(), form("A", &format!("{sent}{class}")))).await);
        let stored = Some(format!("{stored}{class}"));
        assert_eq!(row(client.call(Call::Get(key.clone())).await).content, stored);
        let updated = row(client.call(Call::Update(key.clone(), form("A", &format!("{sent}{class}")))).await);
        assert_eq!(updated.content, stored);

        let honest = format!("from configparser import ConfigParser\n{class}");
        let refused = expected.refused_update(kind, "No module named 'open_webui.configparser'");
        assert_eq!(client.call(Call::Update(key, form("A", &honest))).await, refused);
    }
}

async fn text_is_kept_to_the_character(server: Server) {
    let client = server.client();
    for (kind, class) in [(Kind::Function, "Pipe"), (Kind::Tool, "Tools")] {
        let key = key(kind, "text");
        // Line ends of all kinds, a tab, a form feed, composed and not, a mark inside, an astral plane, no final newline.
        let text = format!(
            "# a\r\n# b  \n\x0c\nclass {class}:\n\tx = '\u{e9} e\u{301} \u{feff} \u{1f980} \\u2028 \u{2028}'\n\n# end"
        );
        row(client.call(Call::Create(key.clone(), form("A \u{1f980}", &text))).await);
        let read = row(client.call(Call::Get(key.clone())).await);
        assert_eq!((read.name.as_str(), read.content.as_deref()), ("A \u{1f980}", Some(text.as_str())));
        let text = format!("{text}\n");
        let updated = row(client.call(Call::Update(key, form("A", &text))).await);
        assert_eq!(updated.content, Some(text));
    }
}

async fn an_id_may_be_in_any_script(server: Server) {
    let client = server.client();
    for (kind, text) in [(Kind::Function, PIPE), (Kind::Tool, TOOLS)] {
        let key = key(kind, "größe_日本語");
        assert_eq!(client.call(Call::Get(key.clone())).await, Reply::Absent);
        assert_eq!(row(client.call(Call::Create(key.clone(), form("A", text))).await).id, key.id.as_str());
        assert_eq!(row(client.call(Call::Update(key.clone(), form("B", text))).await).name, "B");
        assert_eq!(row(client.call(Call::Get(key.clone())).await).name, "B");
        if kind == Kind::Function {
            assert_eq!(row(client.call(Call::Toggle(key.id)).await).is_active, Some(true));
        }
    }
}

// The following is not used by the client; it proves the fake.

async fn rows_have_these_fields(server: Server) {
    let expected = expectations(server.version);
    let (past, versions) = (expected.sharing == Sharing::AccessControl, expected.has_version_ids);
    let version_id = if versions { "version_id " } else { "" };
    let function = format!("created_at id is_active is_global meta name type updated_at user_id {version_id}");
    let access = if past { "access_control" } else { "access_grants" };
    let tool = format!("{access} created_at id meta name updated_at user_id {version_id}");
    for (kind, text, bare, whole) in [
        (Kind::Function, FILTER, &function, format!("{function} content")),
        (Kind::Tool, TOOLS, &tool, format!("{tool} content specs")),
    ] {
        let by_id = match kind {
            Kind::Tool if !past => format!("{whole} user write_access"),
            Kind::Tool | Kind::Function => whole.clone(),
        };
        // Two lists: for users and for writers of plugins.
        let (listed, to_authors) = match kind {
            Kind::Function if past => (bare.clone(), format!("{whole} user")),
            Kind::Function => (bare.clone(), format!("{bare} user")),
            Kind::Tool if past => (format!("{whole} user has_user_valves"), format!("{bare} user")),
            Kind::Tool => (format!("{whole} user has_user_valves"), format!("{whole} user write_access")),
        };
        let table = format!("/api/v1/{}s", kind.word());
        let form = json!({"id": "Fields", "name": "A", "content": text, "meta": {}});
        let (status, created) = server.post(&format!("{table}/create"), &form).await;
        assert_eq!((status, fields(&created)), (200, sorted(bare)));
        assert_eq!(fields(&server.get(&format!("{table}/id/fields")).await.1), sorted(&by_id));
        for (list, fields_of_it) in [("export", &whole), ("", &listed), ("list", &to_authors)] {
            let (_, rows) = server.get(&format!("{table}/{list}")).await;
            assert!(rows.as_array().unwrap().iter().all(|row| fields(row) == sorted(fields_of_it)), "{list}: {rows}");
            let texts = rows[0].get("content").map(Value::is_string);
            let always = kind == Kind::Function || list == "export";
            assert!(texts.is_none_or(|it| it == (always || expected.lists_texts)), "{list}: {rows}");
        }
        let (_, updated) = server.post(&format!("{table}/id/fields/update"), &form).await;
        assert_eq!((fields(&updated), &updated["id"]), (sorted(&whole), &json!("fields")));
        let mut meta = match kind {
            Kind::Function => json!({"description": null, "manifest": {}}),
            Kind::Tool => json!({"description": null, "manifest": {"title": "Tools"}}),
        };
        if kind == Kind::Function && expected.chat_switch == ChatSwitch::Exact {
            meta["toggle"] = json!(true);
        }
        if kind == Kind::Tool && expected.keeps(kind, "i18n") {
            meta["i18n"] = Value::Null;
            meta["has_user_valves"] = json!(false);
        }
        assert_eq!(updated["meta"], meta);
        if kind == Kind::Function {
            assert_eq!((&updated["type"], &updated["is_global"]), (&json!("filter"), &json!(false)));
            let (_, flipped) = server.post(&format!("{table}/id/fields/toggle/global"), &Value::Null).await;
            assert_eq!((&flipped["is_global"], &flipped["is_active"]), (&json!(true), &json!(false)));
        } else {
            assert_eq!(updated["specs"][0]["name"], json!("add"));
        }
    }
}

async fn a_version_is_what_was_sent_and_nothing_else(server: Server) {
    let expected = expectations(server.version);
    for (kind, text) in [(Kind::Function, FILTER), (Kind::Tool, TOOLS)] {
        let table = format!("/api/v1/{}s", kind.word());
        let update = format!("{table}/id/version/update");
        let form =
            |name: &str, text: &str, meta: Value| json!({"id": "version", "name": name, "content": text, "meta": meta});
        let (_, first) = server.post(&format!("{table}/create"), &form("A", text, json!({}))).await;
        if !expected.has_version_ids {
            assert_eq!((&first["id"], first.get("version_id")), (&json!("version"), None));
            continue;
        }
        let first = first["version_id"].clone();
        let (_, same) = server.post(&update, &form("A", text, json!({"manifest": {"a": "b"}}))).await;
        assert_eq!(same["version_id"], first);
        if kind == Kind::Function {
            assert_eq!(server.post(&format!("{table}/id/version/toggle"), &Value::Null).await.1["version_id"], first);
        }
        let mut seen = vec![first];
        for (name, text, meta) in [
            ("B", text.to_owned(), json!({})),
            ("B", format!("{text}\n"), json!({})),
            ("B", format!("{text}\n"), json!({"x": 1})),
        ] {
            let (_, changed) = server.post(&update, &form(name, &text, meta)).await;
            assert!(changed["version_id"].is_string() && !seen.contains(&changed["version_id"]), "{changed}");
            seen.push(changed["version_id"].clone());
        }
    }
}

/// A history that must exist.
async fn history(client: &Client, key: &Key) -> Vec<Past> {
    match client.call(Call::Versions(key.clone())).await {
        Reply::Versions(versions) => versions,
        other => panic!("no history: {other:?}"),
    }
}

/// A text of the kind for each number.
fn numbered(kind: Kind, n: u32) -> String {
    format!("# {n}\n{}", with_valves(kind))
}

fn said(message: &str, text: &str) -> Arc<Form> {
    Arc::new(Form { message: message.into(), ..bare("A", text) })
}

/// The ids of so many versions, oldest first, each based on the previous one.
async fn versions_of(client: &Client, key: &Key, versions: u32) -> Vec<String> {
    row(client.call(Call::Create(key.clone(), said("0", &numbered(key.kind, 0)))).await);
    for n in 1..versions {
        row(client.call(Call::Update(key.clone(), said(&n.to_string(), &numbered(key.kind, n)))).await);
    }
    let told = history(client, key).await;
    let messages: Vec<_> = told.iter().map(|it| it.message.clone().unwrap()).collect();
    assert_eq!(messages, (0..versions).rev().map(|n| n.to_string()).collect::<Vec<_>>());
    told.into_iter().rev().map(|it| it.id).collect()
}

async fn a_history_is_told_newest_first(server: Server) {
    if !expectations(server.version).has_version_ids {
        return;
    }
    let client = server.client();
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "history");
        let path = format!("/api/v1/{}s/id/history", kind.word());
        let created = row(client.call(Call::Create(key.clone(), said("made", &numbered(kind, 1)))).await);
        row(client.call(Call::Update(key.clone(), said("nothing new", &numbered(kind, 1)))).await);
        let text = format!("{}# from utils\n", numbered(kind, 2));
        let changed = row(client.call(Call::Update(key.clone(), said("changed \u{1f980}", &text))).await);
        // None of these is a version.
        server.post(&format!("{path}/valves/update"), &json!({"n": 7})).await;
        if kind == Kind::Function {
            row(client.call(Call::Toggle(key.id.clone())).await);
            flip_global(&server, &key).await;
        }
        assert!(matches!(client.call(Call::Update(key.clone(), said("refused", "x ="))).await, Reply::Refused { .. }));

        let told = history(&client, &key).await;
        let [new, old] = &told[..] else { panic!("{told:?}") };
        assert_eq!((Some(&new.id), Some(&old.id)), (changed.version_id.as_ref(), created.version_id.as_ref()));
        assert_eq!((new.parent.as_ref(), old.parent.as_ref()), (Some(&old.id), None));
        assert_eq!((new.message.as_deref(), old.message.as_deref()), (Some("changed \u{1f980}"), Some("made")));
        assert_eq!((new.author.as_deref(), new.at >= old.at), (Some("Admin"), true));

        // The text as stored, which may differ from the sent one.
        let text = async |version: &Past| client.call(Call::Version(key.clone(), version.id.clone())).await;
        assert_eq!(text(old).await, Reply::Text(numbered(kind, 1)));
        assert_eq!(text(new).await, Reply::Text(format!("{}# from open_webui.utils\n", numbered(kind, 2))));

        // Not used by the client.
        let entry = format!("commit_message created_at {}_id id parent_id user user_id", kind.word());
        let (_, list) = server.get(&format!("{path}/history?page=0")).await;
        assert_eq!(fields(&list[0]), sorted(&entry));
        for first in ["history", "history?page=1"] {
            assert_eq!(server.get(&format!("{path}/{first}")).await, (200, list.clone()));
        }
        assert_eq!(server.get(&format!("{path}/history?page=2")).await, (200, json!([])));
        assert_eq!(server.get(&format!("{path}/history?page=x")).await.0, 422);
        let (_, one) = server.get(&format!("{path}/history/{}", new.id)).await;
        assert_eq!(fields(&one), sorted(&format!("{entry} snapshot")));
        assert_eq!(one["snapshot"]["meta"], json!({"description": null}));
        assert_eq!((fields(&one["snapshot"]), &one["snapshot"]["name"]), ("content meta name".into(), &json!("A")));
    }
}

/// Most are from the same second, where the server's order is random.
async fn a_long_history_comes_in_pages(server: Server) {
    if expectations(server.version).has_version_ids {
        let ids = versions_of(&server.client(), &key(Kind::Function, "long"), 45).await;
        assert_eq!(ids.len(), 45);
    }
}

async fn a_version_from_the_middle_is_deleted(server: Server) {
    if !expectations(server.version).has_version_ids {
        return;
    }
    let client = server.client();
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "pruned");
        let prune = async |id: &String| client.call(Call::Prune(key.clone(), id.clone())).await;
        let chain =
            async || -> Vec<_> { history(&client, &key).await.into_iter().map(|it| (it.id, it.parent)).collect() };
        let link = |id: &String, parent: Option<&String>| (id.clone(), parent.cloned());
        let ids = versions_of(&client, &key, 4).await;
        let [first, second, third, last] = &ids[..] else { panic!("{ids:?}") };
        let path = format!("/api/v1/{}s/id/pruned/valves/update", kind.word());
        assert_eq!(server.post(&path, &json!({"n": 7})).await.0, 200);
        let before = everything(&server, &key).await;
        assert_eq!(before["version_id"], json!(last));

        // Its children get its parent.
        assert_eq!(prune(second).await, Reply::Deleted);
        assert_eq!(chain().await, [link(last, Some(third)), link(third, Some(first)), link(first, None)]);
        assert_eq!(prune(second).await, Reply::Absent);
        assert_eq!(client.call(Call::Version(key.clone(), second.clone())).await, Reply::Absent);
        // The first one too.
        assert_eq!(prune(first).await, Reply::Deleted);
        assert_eq!(chain().await, [link(last, Some(third)), link(third, None)]);
        assert_eq!(
            prune(last).await,
            Reply::Refused { words: "Cannot delete the current version".into(), wrapped: false }
        );
        assert_eq!(prune(third).await, Reply::Deleted);
        assert_eq!(chain().await, [link(last, None)]);
        // The plugin is unchanged.
        let mut after = everything(&server, &key).await;
        assert_eq!(after, before);

        // New versions continue from there, for all clients.
        row(client.call(Call::Update(key.clone(), said("on", &numbered(kind, 9)))).await);
        after = everything(&server, &key).await;
        let next = after["version_id"].as_str().unwrap().to_owned();
        assert_eq!(chain().await, [link(&next, Some(last)), link(last, None)]);
        assert_eq!((&after["valves"], after["content"].as_str()), (&json!({"n": 7}), Some(&*numbered(kind, 9))));
        let other = self::key(kind, "pruned_not");
        let theirs = versions_of(&client, &other, 2).await;
        assert_eq!(prune(&theirs[0]).await, Reply::Absent, "it is another plugin's");
        assert_eq!(history(&client, &other).await.len(), 2);
    }
}

async fn a_version_is_made_the_current_one_again(server: Server) {
    if !expectations(server.version).has_version_ids {
        return;
    }
    let client = server.client();
    for kind in [Kind::Function, Kind::Tool] {
        let key = key(kind, "back");
        let path = format!("/api/v1/{}s/id/back/update/version", kind.word());
        let ids = versions_of(&client, &key, 3).await;
        let [a, b, c] = &ids[..] else { panic!("{ids:?}") };
        let (status, answer) = server.post(&path, &json!({ "version_id": a })).await;
        assert_eq!((status, &answer["version_id"], &answer["content"]), (200, &json!(a), &json!(numbered(kind, 0))));
        assert_eq!(history(&client, &key).await.len(), 3, "that is no new version");

        // Now the newest is not current, and the next change has the older one as its parent.
        let prune = async |id: &String| client.call(Call::Prune(key.clone(), id.clone())).await;
        assert_eq!(
            prune(a).await,
            Reply::Refused { words: "Cannot delete the current version".into(), wrapped: false }
        );
        assert_eq!(prune(c).await, Reply::Deleted);
        let next =
            row(client.call(Call::Update(key.clone(), said("on", &numbered(kind, 9)))).await).version_id.unwrap();
        let mut chain: Vec<_> = history(&client, &key).await.into_iter().map(|it| (it.id, it.parent)).collect();
        let mut expected = vec![(next, Some(a.clone())), (b.clone(), Some(a.clone())), (a.clone(), None)];
        // Two versions with the same parent may be from the same second.
        chain.sort();
        expected.sort();
        assert_eq!(chain, expected);

        assert_eq!(server.post(&path, &json!({ "version_id": c })).await.0, 404);
        assert_eq!(server.post(&path, &json!({})).await.0, 422);
    }
}

async fn where_there_is_no_history(server: Server) {
    let (client, expected) = (server.client(), expectations(server.version));
    for (kind, text) in [(Kind::Function, PIPE), (Kind::Tool, TOOLS)] {
        let (nobody, somebody) = (key(kind, "nobody"), key(kind, "somebody"));
        let created = row(client.call(Call::Create(somebody.clone(), form("A", text))).await);
        assert_eq!(
            (created.versioned, created.version_id.is_some()),
            (expected.has_version_ids, expected.has_version_ids)
        );
        let unknown = "00000000-0000-4000-8000-000000000000".to_owned();
        for key in [&nobody, &somebody] {
            for call in [Call::Version(key.clone(), unknown.clone()), Call::Prune(key.clone(), unknown.clone())] {
                assert_eq!(client.call(call.clone()).await, Reply::Absent, "{call:?}");
            }
        }
        assert_eq!(client.call(Call::Versions(nobody)).await, Reply::Absent);
        // On older servers the web app answers.
        let told = client.call(Call::Versions(somebody)).await;
        assert_eq!(matches!(told, Reply::Versions(_)), expected.has_version_ids);
        assert_eq!(told == Reply::Absent, !expected.has_version_ids);

        let path = format!("/api/v1/{}s/id/nobody/history", kind.word());
        let (status, answer) = server.get(&path).await;
        if expected.has_version_ids {
            assert_eq!((status, &answer), (404, &json!({"detail": "Not found"})));
            let one = format!("{path}/{unknown}");
            assert_eq!(server.get(&one).await, (404, answer.clone()));
            assert_eq!(server.send(reqwest::Method::DELETE, &one, None).await, (404, answer));
        } else {
            assert_eq!((status, answer.is_string()), (200, true), "{answer}");
            let (status, _) = server.send(reqwest::Method::DELETE, &format!("{path}/{unknown}"), None).await;
            assert_eq!(status, 405);
        }
    }
}

async fn what_is_not_there_is_a_web_page_or_not_allowed(server: Server) {
    for path in ["/nope", "/api/v1/functions", "/api/v1/functionss/", "/nope/api/version"] {
        let (status, page) = server.get(path).await;
        assert!(
            status == 200 && page.as_str().is_some_and(|page| page.contains("<title>Open WebUI</title>")),
            "{path}"
        );
    }
    for path in ["/nope", "/api/v1/functions/create/", "/api/v1/tools/id/x/toggle", "/api/v1/tools/id/x"] {
        let not_allowed = (405, json!({"detail": "Method Not Allowed"}));
        assert_eq!(server.post(path, &json!({})).await, not_allowed, "{path}");
    }
    let (_, list) = server.get("/api/v1/functions/").await;
    assert!(list.is_array(), "with the slash it is the list");
}

async fn a_form_is_looked_at_in_this_order(server: Server) {
    let nobody = Server { key: None, ..server.clone() };
    for table in ["functions", "tools"] {
        let create = format!("/api/v1/{table}/create");
        for server in [&server, &nobody] {
            let (status, answer) = server.send(reqwest::Method::POST, &create, Some("{\"id\"".into())).await;
            assert_eq!((status, &answer["detail"][0]["msg"]), (422, &json!("JSON decode error")));
        }
        let half = json!({"id": "9", "content": "the source"});
        assert_eq!(nobody.post(&create, &half).await, (401, json!({"detail": "Not authenticated"})));
        let (status, answer) = server.post(&create, &half).await;
        assert_eq!((status, &answer["detail"][0]["loc"]), (422, &json!(["body", "name"])));
        assert_eq!((&answer["detail"][1]["loc"], &answer["detail"][1]["input"]), (&json!(["body", "meta"]), &half));
        let whole = json!({"id": "9", "name": "", "content": "the source", "meta": {}});
        let words = "Only alphanumeric characters and underscores are allowed in the id";
        assert_eq!(server.post(&create, &whole).await, (400, json!({"detail": words})));
    }
}

/// Why the client sends only what it has read.
async fn what_else_an_update_does_to_sharing(server: Server) {
    let expected = expectations(server.version).sharing;
    let grants = json!([{"principal_type": "user", "principal_id": "*", "permission": "read"}]);
    let form = |key: &str, value: &Value| {
        let mut form = json!({"id": "grants", "name": "A", "content": TOOLS, "meta": {}});
        form[key] = value.clone();
        form
    };
    let update = "/api/v1/tools/id/grants/update";
    let (_, created) = server.post("/api/v1/tools/create", &form("access_grants", &grants)).await;
    let access = "/api/v1/tools/id/grants/access/update";
    if expected == Sharing::AccessControl {
        assert_eq!(created["access_control"], Value::Null, "grants mean nothing yet, and nothing means everybody");
        assert_eq!(server.post(access, &json!({"access_grants": []})).await.0, 405);
        assert_eq!(server.post(update, &form("access_control", &json!({}))).await.1["access_control"], json!({}));
        let (_, updated) = server.post(update, &form("access_grants", &json!([]))).await;
        assert_eq!(updated["access_control"], Value::Null);
        return;
    }
    let public = json!([["user", "*", "read"]]);
    assert_eq!(sharing(&server, "grants").await, public);
    // A missing field is kept.
    assert_eq!(server.post(update, &form("access_control", &Value::Null)).await.0, 200);
    assert_eq!(sharing(&server, "grants").await, public);
    let null_is_refused = expected == Sharing::GrantsInForm { null_is_refused: true };
    let status = server.post(update, &form("access_grants", &Value::Null)).await.0;
    assert_eq!(status, if null_is_refused { 422 } else { 200 });
    assert_eq!(sharing(&server, "grants").await, public);
    let (_, updated) = server.post(update, &form("access_grants", &json!([]))).await;
    let after = if expected == Sharing::GrantsApart { public } else { json!([]) };
    assert_eq!(sharing(&server, "grants").await, after);
    assert_eq!(updated["access_grants"].as_array().unwrap().len(), after.as_array().unwrap().len());
    assert_eq!(server.post(access, &json!({"access_grants": []})).await.0, 200);
    assert_eq!(sharing(&server, "grants").await, json!([]));
    assert_eq!(server.post("/api/v1/tools/id/nobody/access/update", &json!({"access_grants": []})).await.0, 404);
    assert_eq!(server.post(access, &json!({})).await.0, 422);
}

fn fields(row: &Value) -> String {
    let mut fields: Vec<_> = row.as_object().into_iter().flatten().map(|(field, _)| field.as_str()).collect();
    fields.sort_unstable();
    fields.join(" ")
}

fn sorted(words: &str) -> String {
    let mut words: Vec<_> = words.split_whitespace().collect();
    words.sort_unstable();
    words.join(" ")
}

/// A server without login gives a session to anyone.
async fn getting_in_where_there_is_no_login(server: Server) {
    let client = server.client_with(None);
    let key = key(Kind::Function, "open");
    let words = || "Not authenticated".to_owned();
    let overview = client.call(Call::Overview(Kind::Function)).await;
    assert_eq!(overview, Reply::NotAllowed { status: 401, words: words() }, "connecting comes first");

    assert_eq!(client.call(Call::Connect).await, Reply::Connected { version: server.version.name().into() });
    assert!(matches!(client.call(Call::Overview(Kind::Tool)).await, Reply::Rows(_)));
    row(client.call(Call::Create(key.clone(), form("A", PIPE))).await);
    row(client.call(Call::Get(key)).await);
}

fn key(kind: Kind, name: &str) -> Key {
    Key { kind, id: PluginId::new(name).expect("an id") }
}

fn form(name: &str, content: &str) -> Arc<Form> {
    Arc::new(bare(name, content))
}

fn bare(name: &str, content: &str) -> Form {
    Form {
        name: name.into(),
        content: content.into(),
        meta: Map::new(),
        access_control: None,
        message: String::new(),
        file: None,
    }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value} is not an object") };
    object
}

#[track_caller]
fn row(reply: Reply) -> Row {
    let Reply::Row(row) = reply else { panic!("no row: {reply:?}") };
    *row
}
