//! The interpretation of all kinds of answers.

use serde_json::Map;

use super::words::MASKED;
use super::*;
use crate::engine::deploy::Row;
use Asked::{Connect, Create, Delete, Get, Overview, Prune, SignIn, Toggle, Update, Versions};
use Kind::{Function, Tool};

/// Requests that are sent only after the server granted access.
const ABOUT_PLUGINS: [Asked; 13] = [
    Overview(Function),
    Overview(Tool),
    Get(Function),
    Get(Tool),
    Create(Function),
    Create(Tool),
    Update(Function),
    Update(Tool),
    Toggle,
    Delete,
    Versions,
    Asked::Version,
    Prune,
];

const EXPIRED: &str = "Your session has expired or the token is invalid. Please sign in again.";
const PROHIBITED: &str =
    "You do not have permission to access this resource. Please contact your administrator for assistance.";
const UNAUTH: &str = "401 Unauthorized";

pub(super) fn said(asked: Asked, status: u16, detail: &str) -> Reply {
    answered(asked, status, "application/json", &serde_json::json!({ "detail": detail }).to_string())
}

pub(super) fn answered(asked: Asked, status: u16, content_type: &str, body: &str) -> Reply {
    let content_type = Some(content_type);
    classify(asked, &Answer { status, content_type, asked_for: "/x", body: body.as_bytes(), ..Answer::default() })
}

/// A row with an id and nothing else.
pub(super) fn bare_row(id: &str) -> Row {
    Row {
        id: id.to_owned(),
        name: String::new(),
        content: None,
        meta: Map::new(),
        is_active: None,
        is_global: None,
        entry: None,
        access_control: None,
        versioned: false,
        version_id: None,
    }
}

pub(super) fn refused(words: &str) -> Reply {
    Reply::Refused { words: words.into(), wrapped: false }
}

/// A refusal in the form of servers before 0.12.
fn wrapped(words: &str) -> Reply {
    Reply::Refused { words: words.into(), wrapped: true }
}

pub(super) fn not_allowed(status: u16, words: &str) -> Reply {
    Reply::NotAllowed { status, words: words.into() }
}

pub(super) fn foreign(status: u16, words: &str) -> Reply {
    Reply::Foreign { status, words: words.into() }
}

pub(super) fn stumbled(cause: &str) -> Reply {
    Reply::Stumbled { cause: cause.to_owned() }
}

pub(super) fn unreachable(cause: &str) -> Reply {
    Reply::Unreachable { cause: cause.into(), retry_after: None }
}

#[track_caller]
pub(super) fn check(rows: &[(Asked, u16, &str, Reply)]) {
    for (asked, status, detail, expected) in rows {
        assert_eq!(said(*asked, *status, detail), *expected, "{asked:?} answered by {status} `{detail}`");
    }
}

/// The server passes on `SQLAlchemy`'s words.
#[test]
fn a_failed_database_write_is_not_a_refusal() {
    let sql = |reason: &str, statement: &str| {
        format!("(sqlite3.OperationalError) {reason}\n[SQL: {statement} SET content=?]\n[parameters: ('5ecre7',)]")
    };
    let full = "the server failed: (sqlite3.OperationalError) database or disk is full";
    for statement in ["UPDATE function", "UPDATE tool", "INSERT INTO function (id)", "UPDATE \"function\""] {
        check(&[(Update(Function), 400, &sql("database or disk is full", statement), stumbled(full))]);
    }
    let wrapped = format!("[ERROR: {}]", sql("database or disk is full", "UPDATE function"));
    check(&[(Update(Function), 400, &wrapped, stumbled(full))]);
    // The plugin's own SQL.
    let own = refused("(sqlite3.OperationalError) no such table: x");
    check(&[(Update(Function), 400, &sql("no such table: x", "UPDATE functions_of_mine"), own)]);
}

mod any {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn all() -> Vec<Asked> {
        [Connect, Asked::Config, SignIn].into_iter().chain(ABOUT_PLUGINS).collect()
    }

    /// Stands for the source in echoed requests.
    const SOURCE: &str = "5ecre7";

    fn json(leaf: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
        leaf.prop_recursive(4, 40, 6, |inner| {
            let key = prop_oneof![
                "[a-z]{1,4}",
                Just("id".to_owned()),
                Just("content".to_owned()),
                Just("meta".to_owned()),
                Just("input".to_owned()),
                Just("ctx".to_owned()),
                Just("created_at".to_owned()),
                Just("parent_id".to_owned()),
                Just("snapshot".to_owned()),
                Just("version".to_owned()),
            ];
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Value::from),
                vec((key, inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            Just(Value::from(NOT_FOUND)),
            Just(Value::from(ID_TAKEN)),
        ]
    }

    fn header() -> impl Strategy<Value = Option<String>> {
        prop_oneof![
            Just(None),
            ".{0,30}".prop_map(Some),
            "[0-9]{1,25}".prop_map(Some),
            Just(Some("text/html".to_owned())),
            Just(Some("application/json; charset=utf-8".to_owned())),
            Just(Some("Wed, 21 Oct 2026 07:28:00 GMT".to_owned())),
            Just(Some("Mon, 01 Jan 0001 00:00:00 GMT".to_owned())),
            Just(Some("http://h/api/v1/x?q#f".to_owned())),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Any answer has a meaning, with a bounded text.
        #[test]
        fn any_answer_is_understood(
            asked in prop::sample::select(all()),
            status in prop_oneof![0..1000_u16, Just(200), Just(400), Just(401), Just(404)],
            headers in [header(), header(), header(), header()],
            body in prop_oneof![
                vec(any::<u8>(), 0..200),
                json(leaf()).prop_map(|json| json.to_string().into_bytes()),
                json(leaf()).prop_map(|json| serde_json::json!({ "detail": json }).to_string().into_bytes()),
                "<.{0,30}<title.{0,40}</title>".prop_map(String::into_bytes),
                Just(b"[".repeat(20_000)),
            ],
            asked_for in "(/[a-z]{0,3}){0,5}",
        ) {
            let [content_type, retry_after, date, location] = &headers;
            let answer = Answer {
                status,
                content_type: content_type.as_deref(),
                retry_after: retry_after.as_deref(),
                date: date.as_deref(),
                location: location.as_deref(),
                asked_for: &asked_for,
                body: &body,
                ..Answer::default()
            };
            classify(asked, &answer);
            let told = format!("{:?}", failure(asked, &answer));
            prop_assert!(told.len() < 40_000, "{}", told);
        }

        /// A rejected form is echoed in the answer, and a proxy may echo anything.
        #[test]
        fn the_source_is_not_shown(
            asked in prop::sample::select(all()),
            status in prop_oneof![400..600_u16, Just(422)],
            echo in json(Just(Value::from(SOURCE))),
            // A list of problems, a named field, or anything else.
            shape in 0..4,
            page in any::<bool>(),
        ) {
            let body = match shape {
                0 => serde_json::json!({ "detail": [{ "loc": ["body"], "msg": "bad", "input": echo, "ctx": echo }] }),
                1 => serde_json::json!({ "detail": { "message": "bad", "input": echo } }),
                2 => serde_json::json!({ "detail": "bad", "body": echo }),
                _ => serde_json::json!({ "echo": echo }),
            };
            let (content_type, body) = if page {
                ("text/html", format!("<title>Error</title><pre>{body}</pre>"))
            } else {
                ("application/json", body.to_string())
            };
            let reply = answered(asked, status, content_type, &body);
            prop_assert!(!format!("{reply:?}").contains(SOURCE), "{reply:?}");
        }
    }
}

#[test]
fn an_unknown_id() {
    check(&[
        // 0.6.43 to 0.12.4: a missing function is a 401; a missing tool is a 404 since 0.8.
        (Get(Function), 401, NOT_FOUND, Reply::Absent),
        (Get(Tool), 401, NOT_FOUND, Reply::Absent),
        (Get(Tool), 404, NOT_FOUND, Reply::Absent),
        (Get(Function), 404, NOT_FOUND, Reply::Absent),
        (Update(Tool), 401, NOT_FOUND, Reply::Absent),
        (Toggle, 401, NOT_FOUND, Reply::Absent),
        (Update(Function), 400, "Function not found", Reply::Absent),
        (Delete, 401, NOT_FOUND, Reply::Absent),
        // Up to 0.9 this may also mean a busy database, so it proves nothing.
        (
            Update(Function),
            400,
            "[ERROR: 400: [ERROR: Error updating function]]",
            stumbled("the server failed: [ERROR: 400: [ERROR: Error updating function]]"),
        ),
        // An unknown path does not mean an unknown id.
        (Get(Tool), 404, "Not Found", foreign(404, "Not Found")),
        (Overview(Tool), 404, NOT_FOUND, foreign(404, NOT_FOUND)),
        (Create(Tool), 404, NOT_FOUND, foreign(404, NOT_FOUND)),
    ]);
}

#[test]
fn no_history_there() {
    let app = "<!doctype html>\n<html><head><title>Open WebUI</title>";
    for asked in [Versions, Asked::Version, Prune] {
        check(&[
            (asked, 404, "Not found", Reply::Absent),
            (asked, 404, "Version not found", Reply::Absent),
            // Before 0.12, with and without the web app.
            (asked, 405, "Method Not Allowed", Reply::Absent),
            (asked, 404, "Not Found", Reply::Absent),
        ]);
        let page = answered(asked, 200, "text/html; charset=utf-8", app);
        // The web app answers only GET, but others may answer.
        let other = foreign(200, "a web page titled `Open WebUI`");
        assert_eq!(page, if asked == Prune { other } else { Reply::Absent });
        // Not the server's words.
        assert_eq!(answered(asked, 404, "text/html", "<p>"), foreign(404, "a web page"));
        assert_eq!(answered(asked, 200, "text/plain", "pong"), foreign(200, "pong"));
    }
}

#[test]
fn answers_to_a_delete() {
    let page = "<title>Open WebUI</title>";
    for asked in [Delete, Prune] {
        assert_eq!(answered(asked, 200, "application/json", "true"), Reply::Deleted);
        let no = answered(asked, 200, "application/json", "false");
        assert_eq!(no, stumbled("the server failed: it was not deleted"));
        let odd = answered(asked, 200, "application/json", "[]");
        assert_eq!(odd, Reply::Lost { cause: "the server reported success in an unknown form".into() });
    }
    assert_eq!(answered(Delete, 200, "text/html", page), foreign(200, "a web page titled `Open WebUI`"));
    let current = "Cannot delete the current version";
    check(&[
        (Prune, 400, current, refused(current)),
        (Delete, 400, "no", stumbled("the server failed: no")),
        (Delete, 405, "Method Not Allowed", foreign(405, "Method Not Allowed")),
    ]);
}

#[test]
fn an_answer_about_another_plugin_is_rejected() {
    let unusable = |words: &str| Reply::Unusable { words: words.into() };
    let another = "the answer is about another plugin";
    let odd = "the server returns it in an unknown form";
    let version = r#"{"id": "w", "snapshot": {"content": "x"}}"#;
    for (asked, about, body, expected) in [
        (Get(Tool), "a", r#"{"id": "b"}"#, unusable(another)),
        (Get(Tool), "a", r#"{"id": "A"}"#, unusable(another)),
        (Get(Function), "a", r#"{"id": "a", "meta": 7}"#, unusable(odd)),
        (Get(Function), "a", r#"{"id": "b", "content": {}}"#, unusable(odd)),
        (Create(Tool), "a", r#"{"id": "b"}"#, Reply::Lost { cause: another.into() }),
        (Update(Tool), "a", r#"{"id": "b"}"#, Reply::Lost { cause: another.into() }),
        (Toggle, "a", r#"{"id": "b"}"#, Reply::Lost { cause: another.into() }),
        (Asked::Version, "v", version, unusable("the answer is about another version")),
        (Asked::Version, "w", version, Reply::Text("x".into())),
        (Asked::Version, "w", r#"{"snapshot": {"content": "x"}}"#, Reply::Text("x".into())),
        (Get(Tool), "a", r#"{"id": "a"}"#, Reply::Row(Box::new(bare_row("a")))),
        // Not a plugin.
        (Get(Tool), "a", r#"{"status": "maintenance"}"#, foreign(200, "unexpected JSON")),
    ] {
        let answer = Answer {
            status: 200,
            content_type: Some("application/json"),
            about: Some(about),
            body: body.as_bytes(),
            ..Answer::default()
        };
        assert_eq!(classify(asked, &answer), expected, "{asked:?} {body}");
    }
}

#[test]
fn a_plugin_that_is_too_large_for_a_proxy() {
    let page = b"<html><head><title>413 Request Entity Too Large</title></head>";
    for asked in [Create(Function), Update(Tool)] {
        let answer =
            Answer { status: 413, content_type: Some("text/html"), sent: 1_100_000, body: page, ..Answer::default() };
        let words = "413 Payload Too Large: the plugin makes a request of 1075 KiB, which is over the limit of a proxy \
                         in front of the server";
        assert_eq!(classify(asked, &answer), Reply::Crashed { words: words.into(), too_large: true });
    }
}

#[test]
fn a_taken_or_unusable_id() {
    let bad = "Only alphanumeric characters and underscores are allowed in the id";
    check(&[
        (Create(Function), 400, ID_TAKEN, Reply::Taken),
        (Create(Tool), 400, ID_TAKEN, Reply::Taken),
        (Update(Tool), 400, ID_TAKEN, refused(ID_TAKEN)),
        (Create(Function), 400, bad, refused(bad)),
        (Create(Function), 400, "[ERROR: File name is too long.]", wrapped("File name is too long.")),
        // Up to 0.9: two clients at once.
        (
            Create(Function),
            400,
            "[ERROR: 400: [ERROR: Error creating function]]",
            stumbled("the server failed: [ERROR: 400: [ERROR: Error creating function]]"),
        ),
    ]);
}

#[test]
fn code_that_the_server_refuses() {
    let syntax = "invalid syntax (<string>, line 2)";
    let valves = "Current Valves are incompatible with this code: n: Input should be a valid integer";
    check(&[
        // 0.6.43 and 0.9.6 wrap the exception.
        (Update(Function), 400, "[ERROR: invalid syntax (<string>, line 2)]", wrapped(syntax)),
        (Create(Function), 400, "[ERROR: No module named 'x']", wrapped("No module named 'x'")),
        (Create(Tool), 400, "[ERROR: list[int] is odd]", wrapped("list[int] is odd")),
        (Update(Function), 400, "[ERROR: ]", wrapped("")),
        (Update(Tool), 400, "Something went wrong :/", wrapped("Something went wrong :/")),
        // 0.10 and 0.11 hide it, and 0.12 does on create.
        (Update(Function), 400, MASKED[0], wrapped(MASKED[0])),
        (Update(Tool), 400, MASKED[1], wrapped(MASKED[1])),
        (Create(Function), 400, MASKED[2], wrapped(MASKED[2])),
        (Create(Tool), 400, MASKED[3], wrapped(MASKED[3])),
        (Update(Tool), 400, "[ERROR: Server storage is not writable.]", wrapped("Server storage is not writable.")),
        // 0.12.4 does not wrap it.
        (Update(Function), 400, syntax, refused(syntax)),
        (Update(Function), 400, "", refused("")),
        (Update(Function), 400, valves, refused(valves)),
        (Update(Tool), 400, "No Tools class found in the module", refused("No Tools class found in the module")),
        // The plugin's own words, even if they resemble the server's.
        (Update(Tool), 400, "Function not found", refused("Function not found")),
        (Update(Tool), 400, "database is locked", refused("database is locked")),
        (Update(Tool), 400, "[ERROR: 400: no]", wrapped("400: no")),
        (Update(Tool), 400, "[1] is wrong]", refused("[1] is wrong]")),
    ]);
    // An error that does not mention the code may come from the server or a proxy.
    let crashed = |words: &str| Reply::Crashed { words: words.into(), too_large: false };
    check(&[
        (Update(Tool), 409, "version conflict", crashed("409 Conflict: version conflict")),
        (Create(Function), 425, "too early", crashed("425 Too Early: too early")),
    ]);
    let page = "<html>\n<head><title>410 Gone\nFor Good</title></head></html>";
    assert_eq!(
        answered(Update(Tool), 410, "text/html", page),
        crashed("410 Gone: a web page titled `410 Gone For Good`")
    );
}

#[test]
fn plugins_switched_off() {
    let functions = "Functions are disabled by ENABLE_PLUGINS or ENABLE_FUNCTIONS";
    let tools = "Tools are disabled by ENABLE_PLUGINS or ENABLE_TOOLS";
    check(&[
        (Update(Function), 400, functions, not_allowed(400, functions)),
        (Update(Tool), 400, tools, not_allowed(400, tools)),
    ]);
}

#[test]
fn a_busy_database() {
    let locked = "(sqlite3.OperationalError) database is locked [SQL: UPDATE function SET content=?] SOURCE";
    let wrapped = format!("[ERROR: {locked}]");
    let expected = || stumbled("the server's database is locked");
    let stumbled = |words: &str| stumbled(&format!("the server failed: {words}"));
    check(&[
        (Update(Function), 400, locked, expected()),
        (Create(Tool), 400, locked, expected()),
        (Toggle, 400, locked, expected()),
        (Update(Tool), 400, &wrapped, expected()),
        (Toggle, 400, MASKED[0], stumbled(MASKED[0])),
    ]);
    for words in STUMBLED {
        check(&[(Update(Tool), 400, words, stumbled(words)), (Create(Function), 400, words, stumbled(words))]);
    }
}

#[test]
fn credentials() {
    let human = "A human session is required.";
    let off = "Use of API key is not enabled in the environment.";
    for words in [
        "Not authenticated",
        UNAUTH,
        EXPIRED,
        PROHIBITED,
        "Invalid authentication request.",
        "Invalid token",
        "User mismatch. Please sign in again.",
    ] {
        for asked in ABOUT_PLUGINS {
            check(&[(asked, 401, words, not_allowed(401, words))]);
        }
    }
    check(&[
        (Overview(Function), 403, off, not_allowed(403, off)),
        (Update(Tool), 403, PROHIBITED, not_allowed(403, PROHIBITED)),
        (Get(Tool), 403, human, not_allowed(403, human)),
        (SignIn, 400, "wrong", not_allowed(400, "wrong")),
        (SignIn, 403, "off", not_allowed(403, "off")),
        // Words of a future version: for a row they may mean that it is missing.
        (Get(Function), 401, "Nothing here", Reply::Unclear { words: "Nothing here".into() }),
        (Update(Tool), 401, "Nothing here", Reply::Unclear { words: "Nothing here".into() }),
        (Toggle, 401, "Nothing here", Reply::Unclear { words: "Nothing here".into() }),
        (Delete, 401, "Nothing here", Reply::Unclear { words: "Nothing here".into() }),
        (Versions, 401, "Nothing here", Reply::Unclear { words: "Nothing here".into() }),
        (Overview(Tool), 401, "Nothing here", not_allowed(401, "Nothing here")),
        (Create(Tool), 401, "Nothing here", not_allowed(401, "Nothing here")),
    ]);
    // A login page in front of the server.
    let page = "<html><title>Who are you?</title>";
    assert_eq!(answered(Get(Tool), 401, "text/html", page), not_allowed(401, "a web page titled `Who are you?`"));
    assert_eq!(answered(Get(Tool), 407, "text/plain", "no"), not_allowed(407, "no"));
}

#[test]
fn the_server_is_away() {
    check(&[
        (Get(Tool), 503, "Startup not complete", unreachable("503 Service Unavailable: Startup not complete")),
        (SignIn, 429, "API rate limit exceeded", unreachable("429 Too Many Requests: API rate limit exceeded")),
    ]);
    let page = "<html><title>502 Bad Gateway</title>";
    for (asked, status, expected) in [
        (Get(Tool), 502, unreachable("502 Bad Gateway")),
        (Overview(Tool), 504, unreachable("504 Gateway Timeout")),
        (Connect, 502, unreachable("502 Bad Gateway")),
        (Connect, 408, unreachable("408 Request Timeout")),
        (Connect, 522, unreachable("522")),
        (Update(Tool), 503, unreachable("503 Service Unavailable")),
        (Update(Tool), 429, unreachable("429 Too Many Requests")),
        // The proxy lost the server before or after it passed the request on.
        (Update(Tool), 502, Reply::Lost { cause: "502 Bad Gateway".into() }),
        (Create(Tool), 504, Reply::Lost { cause: "504 Gateway Timeout".into() }),
        (Toggle, 504, Reply::Lost { cause: "504 Gateway Timeout".into() }),
        (Delete, 502, Reply::Lost { cause: "502 Bad Gateway".into() }),
        (Prune, 502, Reply::Lost { cause: "502 Bad Gateway".into() }),
        (Versions, 502, unreachable("502 Bad Gateway")),
        (Asked::Version, 502, unreachable("502 Bad Gateway")),
    ] {
        assert_eq!(answered(asked, status, "text/html", page), expected, "{asked:?} answered by {status}");
    }
}

#[test]
fn the_server_fails() {
    for asked in [Get(Tool), Overview(Tool), Create(Function), Update(Tool), Toggle, Delete, Versions, Prune] {
        assert_eq!(
            answered(asked, 500, "text/plain; charset=utf-8", "Internal Server Error"),
            Reply::Crashed { words: "Internal Server Error".into(), too_large: false }
        );
    }
    let long = "é".repeat(300);
    let Reply::Crashed { words, .. } = answered(Get(Tool), 500, "text/plain", &long) else { panic!() };
    assert_eq!(words, format!("{}…", "é".repeat(200)));
}

#[test]
fn not_open_webui() {
    let app = "<!doctype html>\n<html><head><title>Open WebUI</title>";
    for asked in [Connect, Overview(Function), Get(Function), Get(Tool), Create(Tool), Update(Tool), Toggle, Delete] {
        assert_eq!(
            answered(asked, 200, "text/html; charset=utf-8", app),
            foreign(200, "a web page titled `Open WebUI`")
        );
        assert_eq!(said(asked, 405, "Method Not Allowed"), foreign(405, "Method Not Allowed"));
    }
    assert_eq!(answered(Connect, 200, "application/json", "{}"), foreign(200, "unexpected JSON"));
    assert_eq!(answered(Connect, 200, "application/json", ""), foreign(200, "an empty answer"));
    assert_eq!(answered(Connect, 200, "text/plain", "pong"), foreign(200, "pong"));
    assert_eq!(answered(Connect, 404, "text/html", "<p>"), foreign(404, "a web page"));
    assert_eq!(answered(Connect, 418, "text/plain", "tea"), foreign(418, "tea"));
    let page = "<title>400 The plain HTTP request was sent to HTTPS port</title>";
    assert_eq!(
        answered(Update(Tool), 400, "text/html", page),
        foreign(400, "a web page titled `400 The plain HTTP request was sent to HTTPS port`")
    );
    // Such an answer may contain a session.
    let answer = r#"{"token": "SECRET", "user": 1}"#;
    assert_eq!(answered(SignIn, 200, "application/json", answer), foreign(200, "unexpected JSON"));
    // A success with unknown content.
    assert_eq!(
        answered(Update(Tool), 200, "application/json", "null"),
        Reply::Lost { cause: "the server reported success in an unknown form".into() }
    );
}
