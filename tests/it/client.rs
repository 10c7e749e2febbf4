//! The wire: the requests of each call, and the replies for everything that can go wrong.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use owui_watch::client::{Authorities, Client, Options, Timeouts};
use owui_watch::engine::deploy::{Call, Form, Reply};
use owui_watch::plugin::id::PluginId;
use owui_watch::plugin::{Key, Kind};
use serde_json::{Map, Value, json};

use crate::support::Server;
use crate::support::fake_server::{FakeServer, Fault, KEY, Version};

const PIPE: &str = "class Pipe:\n    pass\n";
const CHANGED: &str = "class Pipe:\n    x = 1\n";
const CUT_OFF: &str = "the connection was closed before the whole answer came";

#[tokio::test]
async fn each_call_is_one_request() {
    let fake = FakeServer::start();
    let client = Server::fake(&fake).client();
    let meta = Map::from_iter([("icon".to_owned(), json!("i"))]);
    let form = Arc::new(Form {
        name: "A name".into(),
        content: PIPE.into(),
        meta: meta.clone(),
        access_control: Some(Value::Null),
        message: "deployed by owui-watch".into(),
        file: None,
    });
    let body = |id: &str| json!({"id": id, "name": "A name", "content": PIPE, "meta": meta, "commit_message": "deployed by owui-watch"});
    let mut with_access = body("t");
    with_access["access_control"] = Value::Null;
    let rows = [
        (Call::Connect, "GET /api/version", Value::Null),
        (Call::Overview(Kind::Function), "GET /api/v1/functions/export", Value::Null),
        (Call::Overview(Kind::Tool), "GET /api/v1/tools/export", Value::Null),
        (Call::Get(function("f")), "GET /api/v1/functions/id/f", Value::Null),
        (Call::Get(tool("t")), "GET /api/v1/tools/id/t", Value::Null),
        (Call::Create(function("f"), form.clone()), "POST /api/v1/functions/create", body("f")),
        (Call::Create(tool("t"), form.clone()), "POST /api/v1/tools/create", with_access.clone()),
        (Call::Update(function("ü"), form.clone()), "POST /api/v1/functions/id/ü/update", body("ü")),
        (Call::Update(tool("t"), form.clone()), "POST /api/v1/tools/id/t/update", with_access),
        (Call::Toggle(function("f").id), "POST /api/v1/functions/id/f/toggle", Value::Null),
        (Call::Delete(function("ü")), "DELETE /api/v1/functions/id/ü/delete", Value::Null),
        (Call::Delete(tool("t")), "DELETE /api/v1/tools/id/t/delete", Value::Null),
        (Call::Versions(function("f")), "GET /api/v1/functions/id/f/history?page=1", Value::Null),
        (Call::Versions(tool("t")), "GET /api/v1/tools/id/t/history?page=1", Value::Null),
        // Version ids are opaque.
        (Call::Version(tool("t"), "v ?#%".into()), "GET /api/v1/tools/id/t/history/v ?#%", Value::Null),
        (Call::Prune(function("f"), "v".into()), "DELETE /api/v1/functions/id/f/history/v", Value::Null),
    ];
    for (call, line, body) in rows {
        let before = fake.requests().len();
        client.call(call).await;
        let asked = fake.requests().split_off(before);
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!((asked[0].line().as_str(), &asked[0].body), (line, &body));
    }
}

#[tokio::test]
async fn the_address_may_have_a_path() {
    let fake = FakeServer::start();
    for (suffix, path) in [("", ""), ("/", ""), ("/chat", "/chat"), ("/a b/chat/?x=1#y", "/a b/chat")] {
        let client = client(&format!("{}{suffix}", fake.url()));
        client.call(Call::Connect).await;
        client.call(Call::Get(function("größe"))).await;
        let lines = fake.lines();
        let expected = [format!("GET {path}/api/version"), format!("GET {path}/api/v1/functions/id/größe")];
        assert_eq!(lines[lines.len() - 2..], expected);
    }
    let page = Reply::Foreign { status: 200, words: "a web page titled `Open WebUI`".into() };
    assert_eq!(client(&format!("{}/wrong", fake.url())).call(Call::Connect).await, page);
}

#[test]
fn an_address_that_cannot_be_used() {
    let secret = "c0rrect-h0rse";
    for (url, words) in [
        ("localhost:8080", "`localhost:8080` is not an http or https URL"),
        ("not a url", "`not a url` is not a URL: relative URL without a base"),
        (&format!("http://me:{secret}@host/"), "the URL must not hold a user name or password"),
    ] {
        let options =
            Options { url: url.into(), key: None, authorities: Authorities::default(), timeouts: Timeouts::default() };
        assert_eq!(format!("{:#}", Client::new(&options).unwrap_err()), words);
    }
}

#[tokio::test]
async fn a_proxy_in_trouble() {
    let fake = FakeServer::start();
    let client = Server::fake(&fake).client();
    fake.seed(Kind::Function, "f", PIPE);
    let away = |cause: &str, seconds: Option<u64>| Reply::Unreachable {
        cause: cause.into(),
        retry_after: seconds.map(Duration::from_secs),
    };
    let get = || Call::Get(function("f"));
    for (fault, call, expected) in [
        (Fault::Status(502), get(), away("502 Bad Gateway", None)),
        (Fault::StatusWithRetryAfter(503, 7), get(), away("503 Service Unavailable", Some(7))),
        (Fault::StatusWithRetryAfter(429, 30), update("f"), away("429 Too Many Requests", Some(30))),
        (Fault::Status(504), update("f"), Reply::Lost { cause: "504 Gateway Timeout".into() }),
        (Fault::Html, update("f"), Reply::Foreign { status: 200, words: "a web page titled `Open WebUI`".into() }),
        (
            Fault::Redirect("https://elsewhere.example/api/v1/functions/id/f"),
            get(),
            Reply::Foreign { status: 302, words: "a redirect to `https://elsewhere.example`".into() },
        ),
    ] {
        fake.fail_next(1, fault);
        assert_eq!(client.call(call).await, expected, "{fault:?}");
    }
    assert_eq!(fake.row(Kind::Function, "f").unwrap().content, PIPE);
}

#[tokio::test]
async fn an_interrupted_read_is_repeated_once() {
    let fake = FakeServer::start();
    let client = Server::fake(&fake).client();
    fake.seed(Kind::Function, "f", PIPE);

    fake.fail_next(1, Fault::ResetBefore);
    assert!(matches!(client.call(Call::Get(function("f"))).await, Reply::Row(_)));
    assert_eq!(fake.lines().len(), 2);

    fake.fail_next(2, Fault::ResetBefore);
    let reply = client.call(Call::Get(function("f"))).await;
    assert_eq!(reply, Reply::Unreachable { cause: CUT_OFF.into(), retry_after: None });
    assert_eq!(fake.lines().len(), 4);
}

#[tokio::test]
async fn an_interrupted_write_is_lost_and_not_repeated() {
    let fake = FakeServer::start();
    let client = Server::fake(&fake).client();
    let lost = Reply::Lost { cause: CUT_OFF.into() };
    for (fault, carried_out) in [(Fault::ResetBefore, false), (Fault::ResetAfter, true)] {
        let id = if carried_out { "after" } else { "before" };
        let (created, deleted) = (format!("new_{id}"), format!("old_{id}"));
        fake.seed(Kind::Function, id, PIPE);
        fake.edit_row(Kind::Function, id, |row| row.content = CHANGED.into());
        fake.edit_row(Kind::Function, id, |row| row.content = PIPE.into());
        fake.seed(Kind::Function, &deleted, PIPE);
        let version = fake.row(Kind::Function, id).unwrap().history[0].id.clone();
        fake.fail_next(5, fault);
        let before = fake.lines().len();
        assert_eq!(client.call(update(id)).await, lost);
        assert_eq!(client.call(Call::Toggle(function(id).id)).await, lost);
        assert_eq!(client.call(Call::Create(function(&created), form(PIPE))).await, lost);
        assert_eq!(client.call(Call::Delete(function(&deleted))).await, lost);
        assert_eq!(client.call(Call::Prune(function(id), version.clone())).await, lost);
        assert_eq!(fake.lines().len() - before, 5);
        assert_eq!(fake.row(Kind::Function, &deleted).is_none(), carried_out);
        let row = fake.row(Kind::Function, id).unwrap();
        assert_eq!((row.content == CHANGED, !row.is_active), (carried_out, carried_out));
        assert_eq!(row.history[0].id != version, carried_out);
        assert_eq!(fake.row(Kind::Function, &created).is_some(), carried_out);
    }
}

#[tokio::test]
async fn a_timeout_is_a_lost_answer() {
    let fake = FakeServer::start();
    fake.seed(Kind::Function, "f", PIPE);
    let soon = Duration::from_millis(20);
    let timeouts = Timeouts { ask: soon, deploy: soon, ..Timeouts::default() };
    let client =
        Client::new(&Options { url: fake.url(), key: Some(KEY.into()), authorities: Authorities::default(), timeouts })
            .unwrap();

    fake.hold("/update");
    assert_eq!(client.call(update("f")).await, Reply::Lost { cause: "timed out".into() });
    assert_eq!(fake.row(Kind::Function, "f").unwrap().content, PIPE, "it is still held");
    fake.hold("GET");
    let asked = client.call(Call::Get(function("f"))).await;
    assert_eq!(asked, Reply::Unreachable { cause: "timed out".into(), retry_after: None });
    // On a slow machine the timeout may strike before the request arrives.
    assert!(fake.lines().len() <= 2, "nothing is repeated after so long");
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back() {
    let mut fake = FakeServer::start();
    let client = Server::fake(&fake).client();
    fake.seed(Kind::Function, "f", PIPE);
    assert!(matches!(client.call(Call::Get(function("f"))).await, Reply::Row(_)));
    fake.go_down();
    let refused = Reply::Unreachable { cause: "connection refused".into(), retry_after: None };
    assert_eq!(client.call(Call::Get(function("f"))).await, refused);
    assert_eq!(client.call(update("f")).await, refused);
    assert_eq!(client.call(Call::Connect).await, refused);
    fake.come_up();
    assert!(matches!(client.call(update("f")).await, Reply::Row(_)));
}

#[tokio::test]
async fn an_address_that_leads_nowhere() {
    // A label that is too long fails without asking a resolver.
    let host = format!("{}.invalid", "x".repeat(64));
    let reply = client(&format!("http://{host}")).call(update("f")).await;
    assert_eq!(reply, Reply::Unreachable { cause: format!("name not found: {host}").into(), retry_after: None });
}

#[tokio::test]
async fn tls_where_there_is_none() {
    let fake = FakeServer::start();
    let reply = client(&fake.url().replace("http:", "https:")).call(update("f")).await;
    let cause = "the server does not speak TLS, perhaps plain http".into();
    assert_eq!(reply, Reply::Unreachable { cause, retry_after: None });
}

#[tokio::test]
async fn an_answer_that_ends_too_early_or_never() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n";
    // Sent twice, because the first answer broke off.
    let (url, server) = raw(2, move |mut stream| stream.write_all(format!("{head}[").as_bytes()).unwrap());
    let reply = client(&url).call(Call::Overview(Kind::Tool)).await;
    assert_eq!(reply, Reply::Unreachable { cause: CUT_OFF.into(), retry_after: None });
    ended(server).await;

    let (url, server) = raw(2, move |mut stream| {
        stream.write_all(head.as_bytes()).unwrap();
        // Until the client gives up.
        while stream.write_all(&[b' '; 1 << 14]).is_ok() {}
    });
    let client = client(&url);
    let words = "an answer larger than 64 MiB".to_owned();
    assert_eq!(client.call(Call::Overview(Kind::Tool)).await, Reply::Unusable { words });
    assert_eq!(client.call(update("f")).await, Reply::Lost { cause: "the answer is larger than 64 MiB".into() });
    ended(server).await;
}

#[tokio::test]
async fn an_expired_session_without_login_is_renewed() {
    let fake = FakeServer::start();
    fake.seed(Kind::Function, "f", PIPE);
    fake.open_the_door();
    let client = Server { key: None, ..Server::fake(&fake) }.client();
    client.call(Call::Connect).await;
    client.call(Call::Connect).await;
    let sign_ins = || fake.lines().iter().filter(|line| line.ends_with("/signin")).count();
    assert_eq!(sign_ins(), 1);

    fake.end_sessions();
    // All calls notice it; one renews the session.
    let (get, overview, updated) = tokio::join!(
        client.call(Call::Get(function("f"))),
        client.call(Call::Overview(Kind::Tool)),
        client.call(update("f"))
    );
    assert!(matches!((get, overview, updated), (Reply::Row(_), Reply::Rows(_), Reply::Row(_))));
    assert_eq!(sign_ins(), 2);

    // The session cannot be renewed, so the first answer stands.
    fake.set_key("sk-other");
    let refused = Reply::NotAllowed { status: 401, words: "401 Unauthorized".into() };
    assert_eq!(client.call(update("f")).await, refused);
    assert_eq!(sign_ins(), 3);
}

#[tokio::test]
async fn a_refused_key_is_not_replaced_by_a_session() {
    let fake = FakeServer::start();
    let client = Server::fake(&fake).client();
    fake.set_key("sk-another");
    let words = "Your session has expired or the token is invalid. Please sign in again.".to_owned();
    assert_eq!(client.call(Call::Overview(Kind::Function)).await, Reply::NotAllowed { status: 401, words });
    assert_eq!(fake.lines().len(), 1);
}

#[tokio::test]
async fn users_without_export_permission_list_their_tools() {
    let fake = FakeServer::start();
    fake.seed(Kind::Tool, "clock", "class Tools:\n    pass\n");
    fake.fail_next_of("tools/export", 1, Fault::Status(403));
    let Reply::Rows(rows) = Server::fake(&fake).client().call(Call::Overview(Kind::Tool)).await else { panic!() };
    assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["clock"]);
    assert_eq!(fake.lines(), ["GET /api/v1/tools/export", "GET /api/v1/tools/list"]);
}

#[tokio::test]
async fn history_pages_are_read_only_to_the_last() {
    let fake = FakeServer::start();
    let client = Server::fake(&fake).client();
    fake.seed(Kind::Function, "f", PIPE);
    for (versions, pages) in [(19, 1), (20, 2), (40, 3), (45, 3), (1100, 50)] {
        while fake.row(Kind::Function, "f").unwrap().history.len() < versions {
            fake.edit_row(Kind::Function, "f", |row| row.content.push_str("#\n"));
        }
        let before = fake.lines().len();
        let Reply::Versions(told) = client.call(Call::Versions(function("f"))).await else { panic!() };
        let history = fake.row(Kind::Function, "f").unwrap().history;
        let newest = history.iter().rev().take(1000);
        assert!(told.iter().map(|it| &it.id).eq(newest.map(|it| &it.id)), "{versions}");
        assert_eq!(fake.lines().len() - before, pages);
    }
    // An error on one page fails the whole call.
    fake.fail_next_of("page=3", 1, Fault::Status(503));
    let reply = client.call(Call::Versions(function("f"))).await;
    assert_eq!(reply, Reply::Unreachable { cause: "503 Service Unavailable".into(), retry_after: None });
}

#[tokio::test]
async fn a_server_without_pages_gets_few_requests() {
    let entries: Vec<_> = (0..20).map(|n| json!({"id": n.to_string(), "created_at": 9 - n})).collect();
    let body = Value::from(entries).to_string();
    let (url, server) = raw(2, move |mut stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    });
    let Reply::Versions(told) = client(&url).call(Call::Versions(tool("t"))).await else { panic!() };
    assert_eq!(told.len(), 20);
    ended(server).await;
}

#[tokio::test]
async fn a_session_that_ends_between_two_pages_is_renewed() {
    let fake = FakeServer::start();
    fake.seed(Kind::Tool, "t", "class Tools:\n    pass\n");
    for _ in 0..30 {
        fake.edit_row(Kind::Tool, "t", |row| row.content.push_str("#\n"));
    }
    fake.open_the_door();
    let client = Server { key: None, ..Server::fake(&fake) }.client();
    client.call(Call::Connect).await;
    fake.fail_next_of("page=2", 1, Fault::Status(401));
    let Reply::Versions(told) = client.call(Call::Versions(tool("t"))).await else { panic!() };
    assert_eq!(told.len(), 31);
}

#[tokio::test]
async fn the_key_is_in_no_debug_output() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    // For all threads: other tests must not log the key either, and a thread's subscriber can miss events first emitted
    // by others.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let fake = FakeServer::start();
    fake.seed(Kind::Function, "f", PIPE);
    let options = Options {
        url: fake.url(),
        key: Some(KEY.into()),
        authorities: Authorities::default(),
        timeouts: Timeouts::default(),
    };
    let client = Client::new(&options).unwrap();
    let mut said = vec![format!("{client:?} {client:#?} {options:?} {options:#?}")];
    for fault in [None, Some(Fault::ResetBefore), Some(Fault::Status(401)), Some(Fault::Status(500))] {
        for call in [Call::Connect, Call::Get(function("f")), update("f")] {
            if let Some(fault) = fault {
                fake.fail_next(2, fault);
            }
            said.push(format!("{:?}", client.call(call).await));
        }
    }
    let bad = format!("{KEY}\n{KEY}");
    let error = Client::new(&Options { key: Some(bad.into()), ..options }).unwrap_err();
    said.push(format!("{error} {error:#} {error:?}"));
    assert_eq!(error.to_string(), "the key contains an invalid character: failed to parse header value");

    let log = log.text();
    assert!(log.contains(r#"answer method=POST path="/api/v1/functions/id/f/update" status=200"#), "{log}");
    assert!(log.contains("no answer method=POST"), "{log}");
    assert!(!log.contains(CHANGED.lines().next().unwrap()), "the source is in the log: {log}");
    for text in said.iter().chain([&log]) {
        assert!(!text.contains(&KEY[3..]), "the key is in {text}");
    }
}

#[test]
fn the_fake_holds_and_lets_go() {
    let fake = Arc::new(FakeServer::start());
    fake.seed(Kind::Function, "f", PIPE);
    let calls = |call: Call| {
        let client = Server::fake(&fake).client();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(client.call(call))
        })
    };
    fake.hold("/update");
    let held = calls(update("f"));
    fake.wait_for("/update", 1);
    assert!(matches!(calls(Call::Get(function("f"))).join().unwrap(), Reply::Row(_)), "others go on");
    assert_eq!(fake.row(Kind::Function, "f").unwrap().content, PIPE);
    fake.release();
    assert!(matches!(held.join().unwrap(), Reply::Row(_)));
    assert_eq!(fake.row(Kind::Function, "f").unwrap().content, CHANGED);

    fake.fail_next_of("GET", 1, Fault::Delay);
    let delayed = calls(Call::Get(function("f")));
    fake.wait_for("GET /api/v1/functions/id/f", 2);
    fake.edit_row(Kind::Function, "f", |row| row.name = "From the web".into());
    let version = fake.row(Kind::Function, "f").unwrap().version_id;
    fake.release();
    let Reply::Row(row) = delayed.join().unwrap() else { panic!() };
    assert_eq!(row.name, "From the web");

    // A toggle makes no version, but a deletion does.
    calls(Call::Toggle(function("f").id)).join().unwrap();
    assert_eq!(fake.row(Kind::Function, "f").unwrap().version_id, version);
    fake.delete_row(Kind::Function, "f");
    assert_eq!(calls(Call::Get(function("f"))).join().unwrap(), Reply::Absent);
}

fn client(url: &str) -> Client {
    Server { url: url.into(), version: Version::V0_12_4, key: Some(KEY.into()) }.client()
}

fn function(id: &str) -> Key {
    Key { kind: Kind::Function, id: PluginId::new(id).expect("an id") }
}

fn tool(id: &str) -> Key {
    Key { kind: Kind::Tool, ..function(id) }
}

fn form(content: &str) -> Arc<Form> {
    Arc::new(Form {
        name: "A".into(),
        content: content.into(),
        meta: Map::new(),
        access_control: None,
        message: String::new(),
        file: None,
    })
}

fn update(id: &str) -> Call {
    Call::Update(function(id), form(CHANGED))
}

/// A listener that accepts so many connections, reads one request from each, and then runs the given code.
fn raw(times: usize, answer: impl Fn(TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        for _ in 0..times {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            assert!(read > 0, "no request came");
            answer(stream);
        }
    });
    (url, thread)
}

/// Waits without keeping the client's connections from being closed.
async fn ended(server: JoinHandle<()>) {
    tokio::task::spawn_blocking(|| server.join()).await.unwrap().unwrap();
}

/// The log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
