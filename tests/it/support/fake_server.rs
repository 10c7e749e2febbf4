//! A *stateful* fake Open WebUI on loopback: it remembers plugins, answers as the real one does, odd as that is, and
//! records what it is asked. That it does so truly is what `contract.rs` is for.
//!
//! It runs on a thread of its own, so that it serves tests of the built binary as well as async ones. Nothing in it
//! sleeps or looks at a clock: a test that needs an order of things holds requests and lets them go.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use owui_watch::plugin::frontmatter::Frontmatter;
use owui_watch::plugin::{Entry, Kind};
use serde_json::{Map, Value, json};
use tokio::sync::{oneshot, watch};

use super::fake_python::{Failure, Loaded, load};

const NOT_FOUND: &str = "We could not find what you're looking for :/";
const ID_TAKEN: &str = "Uh-oh! This id is already registered. Please choose another id string.";
const BAD_ID: &str = "Only alphanumeric characters and underscores are allowed in the id";
const UNAUTH: &str = "401 Unauthorized";
const EXPIRED: &str = "Your session has expired or the token is invalid. Please sign in again.";

/// The key of a fake server that was not given another.
pub(crate) const KEY: &str = "sk-fa4e0000000000000000000000000000";

/// Which Open WebUI it is. What differs between versions is asked of this and of nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V0_6_43,
    V0_9_6,
    V0_11_4,
    V0_12_4,
}

impl Version {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Version::V0_6_43 => "0.6.43",
            Version::V0_9_6 => "0.9.6",
            Version::V0_11_4 => "0.11.4",
            Version::V0_12_4 => "0.12.4",
        }
    }

    /// What it looks for in a module, in this order.
    fn entries(self, kind: Kind) -> &'static [Entry] {
        match (kind, self) {
            (Kind::Function, Version::V0_6_43 | Version::V0_9_6) => &[Entry::Pipe, Entry::Filter, Entry::Action],
            (Kind::Function, Version::V0_11_4 | Version::V0_12_4) => {
                &[Entry::Pipe, Entry::Filter, Entry::Action, Entry::Event]
            }
            (Kind::Tool, _) => &[Entry::Tools],
        }
    }

    /// What a failed create says of the exception.
    fn create_failed(self, kind: Kind, words: &str) -> String {
        match self {
            Version::V0_6_43 | Version::V0_9_6 => wrapped(kind, words),
            Version::V0_11_4 | Version::V0_12_4 => format!("[ERROR: Error creating {}]", kind.word()),
        }
    }

    /// What a failed update says of the exception.
    fn update_failed(self, kind: Kind, words: &str) -> String {
        match self {
            Version::V0_6_43 | Version::V0_9_6 => wrapped(kind, words),
            Version::V0_11_4 => format!("[ERROR: Error updating {}]", kind.word()),
            Version::V0_12_4 => words.to_owned(),
        }
    }

    /// What an update of a function says that does not exist, when the code is fine.
    fn no_such_function(self) -> &'static str {
        match self {
            Version::V0_6_43 | Version::V0_9_6 => "[ERROR: 400: [ERROR: Error updating function]]",
            Version::V0_11_4 => "[ERROR: Error updating function]",
            Version::V0_12_4 => "Function not found",
        }
    }

    /// How a GET says that a row does not exist.
    fn absent(self, kind: Kind) -> Answer {
        match (self, kind) {
            (_, Kind::Function) | (Version::V0_6_43, Kind::Tool) => Answer::detail(401, NOT_FOUND),
            (Version::V0_9_6 | Version::V0_11_4 | Version::V0_12_4, Kind::Tool) => Answer::detail(404, NOT_FOUND),
        }
    }

    /// Since 0.8 grants are things of their own; before, access is a field that an update sets, and that makes the tool
    /// public when it is not sent.
    fn has_grants(self) -> bool {
        self >= Version::V0_9_6
    }

    /// Whether the process ends with a plugin that ends the interpreter.
    fn dies_of_an_exit(self) -> bool {
        self <= Version::V0_9_6
    }

    /// Whether requirements are installed although it is told to be offline, as a sandbox is.
    fn installs_when_offline(self) -> bool {
        self == Version::V0_6_43
    }

    /// Whether an update that fails leaves the switch of a function as it was, what it would do to the valves is
    /// checked, and versions are kept.
    fn is_transactional(self) -> bool {
        self >= Version::V0_12_4
    }
}

/// What versions say that hide nothing, before 0.10.
fn wrapped(kind: Kind, words: &str) -> String {
    match (kind, words) {
        (Kind::Tool, "") => "Something went wrong :/".to_owned(),
        (_, words) => format!("[ERROR: {words}]"),
    }
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answered by a proxy, and not carried out.
    Status(u16),
    /// The same, with `Retry-After` in seconds.
    StatusWithRetryAfter(u16, u64),
    /// The connection is closed, and nothing carried out.
    ResetBefore,
    /// Carried out, and the connection closed without a word.
    ResetAfter,
    /// Carried out only when [`FakeServer::release`] is called, even if the client has left by then.
    Delay,
    /// Answered by a web page, and not carried out.
    Html,
    /// Sent elsewhere by a proxy, and not carried out.
    Redirect(&'static str),
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    /// Percent-decoded, with the query.
    pub(crate) path: String,
    /// Null where there was none, or none that is JSON.
    pub(crate) body: Value,
}

impl Recorded {
    /// `POST /api/v1/tools/create`
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

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
    /// Who may use a tool: since 0.8, and before. Null is everybody.
    pub(crate) access_grants: Value,
    pub(crate) access_control: Value,
    /// What an admin has set, without the defaults.
    pub(crate) valves: Map<String, Value>,
    /// The names and types of all that can be set, if any.
    settable: Option<BTreeMap<String, String>>,
    pub(crate) specs: Value,
    pub(crate) version_id: String,
    pub(crate) updated_at: u64,
    created_at: u64,
}

pub(crate) struct FakeServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    running: Option<Running>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    /// Counts the calls of `release`: who waits, waits for the next one.
    released: watch::Sender<u64>,
    /// Whether a plugin has ended the server.
    ended: watch::Sender<bool>,
}

struct State {
    version: Version,
    /// `None`: no login.
    key: Option<String>,
    /// Where there is no login: which one of the sessions given out is good.
    session: u64,
    functions: BTreeMap<String, Row>,
    tools: BTreeMap<String, Row>,
    requests: Vec<Recorded>,
    faults: Vec<Planned>,
    held: Option<String>,
    /// Stands for the clock and for random ids.
    ticks: u64,
    /// Whether a plugin is ending it just now.
    exits: bool,
}

struct Planned {
    /// What the line of the request contains.
    of: String,
    times: usize,
    fault: Fault,
}

impl FakeServer {
    /// A server of the newest version with nothing on it, and [`KEY`].
    pub(crate) fn start() -> Self {
        Self::of(Version::V0_12_4)
    }

    /// The same of a version.
    pub(crate) fn of(version: Version) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            version,
            key: Some(KEY.to_owned()),
            session: 1,
            functions: BTreeMap::new(),
            tools: BTreeMap::new(),
            requests: Vec::new(),
            faults: Vec::new(),
            held: None,
            ticks: 0,
            exits: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            released: watch::Sender::new(0),
            ended: watch::Sender::new(false),
        });
        let running = Some(run(listener, &shared).unwrap());
        Self { shared, address, running }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn version(&self) -> Version {
        self.state().version
    }

    /// Refuses connections from now on, and drops those there are.
    pub(crate) fn go_down(&mut self) {
        let running = self.running.take().expect("it was up");
        // Nobody listens where a plugin has ended it before.
        running.stop.send(()).ok();
        running.thread.join().unwrap();
    }

    /// Comes back at the same address, with everything it knew.
    pub(crate) fn come_up(&mut self) {
        assert!(self.running.is_none(), "it was down");
        self.running = Some(run(TcpListener::bind(self.address).unwrap(), &self.shared).unwrap());
    }

    /// Accepts this key only. Session tokens do not start with `sk-`.
    pub(crate) fn set_key(&self, key: &str) {
        self.state().key = Some(key.to_owned());
    }

    /// Has no login from now on, as with `WEBUI_AUTH=false`.
    pub(crate) fn open_the_door(&self) {
        self.state().key = None;
    }

    /// Ends the sessions given out so far, where there is no login.
    pub(crate) fn end_sessions(&self) {
        self.state().session += 1;
    }

    /// Everything asked so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    /// The lines of everything asked so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.state().requests.iter().map(Recorded::line).collect()
    }

    /// Blocks until as many requests have arrived whose line contains `of`.
    pub(crate) fn wait_for(&self, of: &str, times: usize) {
        let count = |state: &State| state.requests.iter().filter(|request| request.line().contains(of)).count();
        let deadline = Duration::from_secs(30);
        let (state, late) =
            self.shared.arrived.wait_timeout_while(self.state(), deadline, |state| count(state) < times).unwrap();
        let lines: Vec<_> = state.requests.iter().map(Recorded::line).collect();
        assert!(!late.timed_out(), "waited for {times} of `{of}`, got {lines:#?}");
    }

    /// The next requests go wrong.
    pub(crate) fn fail_next(&self, times: usize, fault: Fault) {
        self.fail_next_of("", times, fault);
    }

    /// The next requests whose line contains `of` go wrong.
    pub(crate) fn fail_next_of(&self, of: &str, times: usize, fault: Fault) {
        self.state().faults.push(Planned { of: of.to_owned(), times, fault });
    }

    /// Requests whose line contains `of` arrive, but wait until [`Self::release`].
    pub(crate) fn hold(&self, of: &str) {
        self.state().held = Some(of.to_owned());
    }

    /// Lets go what is held or delayed, and holds no more.
    pub(crate) fn release(&self) {
        self.state().held = None;
        self.shared.released.send_modify(|count| *count += 1);
    }

    pub(crate) fn row(&self, kind: Kind, id: &str) -> Option<Row> {
        self.state().table(kind).get(id).cloned()
    }

    /// Puts a plugin there as if it had been for long: switched on, if it has a switch.
    pub(crate) fn seed(&self, kind: Kind, id: &str, content: &str) {
        let mut state = self.state();
        let (name, content) = (id.to_owned(), content.to_owned());
        let form = Form { name, content, meta: Map::new(), access_grants: None, access_control: Value::Null };
        let answer = state.create(kind, id, form);
        assert_eq!(answer.status, 200, "the seed is refused: {:?}", answer.body);
        state.table(kind).get_mut(id).unwrap().is_active = true;
    }

    /// An admin edits a row in the web UI.
    pub(crate) fn edit_row(&self, kind: Kind, id: &str, edit: impl FnOnce(&mut Row)) {
        let mut state = self.state();
        let tick = state.tick();
        let row = state.table(kind).get_mut(id).expect("the row is there");
        let before = row.snapshot();
        edit(row);
        row.written(&before, tick);
    }

    /// An admin deletes a row in the web UI.
    pub(crate) fn delete_row(&self, kind: Kind, id: &str) {
        self.state().table(kind).remove(id).expect("the row is there");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.go_down();
        }
    }
}

impl Shared {
    /// A test that panics with the lock held must not hide behind the next one that meets it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn run(listener: TcpListener, shared: &Arc<Shared>) -> io::Result<Running> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let shared = Arc::clone(shared);
    shared.ended.send_replace(false);
    let mut ended = shared.ended.subscribe();
    let thread = std::thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router = Router::new().fallback(move |request| serve(Arc::clone(&shared), request));
            // Answers what it was asked before the end.
            let ended = async move { drop(ended.wait_for(|ended| *ended).await) };
            tokio::select! {
                served = axum::serve(listener, router).with_graceful_shutdown(ended).into_future() => served.unwrap(),
                _ = stopped => {}
            }
        });
        // With the runtime go the connections, wherever they stand.
    });
    Ok(Running { stop, thread })
}

async fn serve(shared: Arc<Shared>, request: Request) -> Response {
    // A task of its own: the server finishes what it has begun, whether or not somebody waits for it.
    match tokio::spawn(exchange(shared, request)).await.unwrap() {
        Some(answer) => answer.into_response(),
        // Unwinding ends the connection without a byte, and without a message as a panic would write it.
        None => resume_unwind(Box::new("reset")),
    }
}

async fn exchange(shared: Arc<Shared>, request: Request) -> Option<Answer> {
    let (head, body) = request.into_parts();
    let path = decoded(&head.uri.to_string());
    let body = to_bytes(body, usize::MAX).await.ok()?;
    let json = serde_json::from_slice::<Value>(&body);
    let recorded = Recorded { method: head.method.to_string(), path, body: json.as_ref().cloned().unwrap_or_default() };

    let (fault, release) = {
        let mut state = shared.state();
        let line = recorded.line();
        state.requests.push(recorded.clone());
        shared.arrived.notify_all();
        let fault = state.fault(&line);
        let waits = fault == Some(Fault::Delay) || state.held.as_ref().is_some_and(|of| line.contains(of));
        (fault, waits.then(|| shared.released.subscribe()))
    };
    if let Some(mut release) = release {
        release.changed().await.ok()?;
    }

    let apply = || {
        let body = json.ok().or(body.is_empty().then_some(Value::Null));
        let mut state = shared.state();
        let answer = state.answer(&head.method, &recorded.path, &head.headers, body);
        if std::mem::take(&mut state.exits) {
            shared.ended.send_replace(true);
        }
        answer
    };
    match fault {
        None | Some(Fault::Delay) => Some(apply()),
        Some(Fault::Status(status)) => Some(Answer::page(status)),
        Some(Fault::StatusWithRetryAfter(status, seconds)) => {
            Some(Answer { retry_after: Some(seconds), ..Answer::page(status) })
        }
        Some(Fault::Html) => Some(Answer::page(200)),
        Some(Fault::Redirect(location)) => Some(Answer { location: Some(location), ..Answer::page(302) }),
        Some(Fault::ResetBefore) => None,
        Some(Fault::ResetAfter) => {
            apply();
            None
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    body: Said,
    retry_after: Option<u64>,
    location: Option<&'static str>,
    /// Whether it tells of an exception that the plugin was caught with.
    is_an_exception: bool,
}

#[derive(Debug)]
enum Said {
    Json(Value),
    Page(String),
    Text(&'static str),
}

impl Answer {
    fn new(status: u16, body: Said) -> Self {
        Self { status, body, retry_after: None, location: None, is_an_exception: false }
    }

    fn json(value: Value) -> Self {
        Self::new(200, Said::Json(value))
    }

    fn detail(status: u16, words: impl Into<String>) -> Self {
        Self::new(status, Said::Json(json!({ "detail": words.into() })))
    }

    /// The web app, or what a proxy shows in its place.
    fn page(status: u16) -> Self {
        let title = match StatusCode::from_u16(status).unwrap() {
            StatusCode::OK => "Open WebUI".to_owned(),
            status => status.to_string(),
        };
        let page = format!("<!doctype html>\n<html>\n<head><title>{title}</title></head>\n</html>\n");
        Self::new(status, Said::Page(page))
    }

    fn into_response(self) -> Response {
        let (content_type, body) = match self.body {
            Said::Json(value) => ("application/json", value.to_string()),
            Said::Page(page) => ("text/html; charset=utf-8", page),
            Said::Text(text) => ("text/plain; charset=utf-8", text.to_owned()),
        };
        let mut response = Response::builder().status(self.status).header(header::CONTENT_TYPE, content_type);
        if let Some(seconds) = self.retry_after {
            response = response.header(header::RETRY_AFTER, seconds);
        }
        if let Some(location) = self.location {
            response = response.header(header::LOCATION, location);
        }
        if self.status == 500 {
            // As the real one does after a failure.
            response = response.header(header::CONNECTION, "close");
        }
        response.body(Body::from(body)).unwrap()
    }
}

/// The fields of a create or update that count.
struct Form {
    name: String,
    content: String,
    meta: Map<String, Value>,
    /// Not sent: left as it is.
    access_grants: Option<Value>,
    /// Not sent: null.
    access_control: Value,
}

impl State {
    fn table(&mut self, kind: Kind) -> &mut BTreeMap<String, Row> {
        match kind {
            Kind::Function => &mut self.functions,
            Kind::Tool => &mut self.tools,
        }
    }

    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    fn fault(&mut self, line: &str) -> Option<Fault> {
        let planned = self.faults.iter_mut().find(|planned| planned.times > 0 && line.contains(&planned.of))?;
        planned.times -= 1;
        Some(planned.fault)
    }

    /// The router. `body` is `None` where it is there and not JSON.
    fn answer(&mut self, method: &Method, path: &str, headers: &HeaderMap, body: Option<Value>) -> Answer {
        let (path, _query) = path.split_once('?').unwrap_or((path, ""));
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method.as_str(), &segments[..]) {
            ("GET", ["api", "version"]) => Answer::json(json!({ "version": self.version.name(), "deployment_id": "" })),
            ("GET", ["api", "config"]) => Answer::json(json!({
                "status": true,
                "name": "Open WebUI",
                "version": self.version.name(),
                "features": { "auth": self.key.is_some(), "enable_signup": false, "enable_login_form": true },
            })),
            ("POST", ["api", "v1", "auths", "signin"]) => self.sign_in(),
            ("GET" | "POST", ["api", "v1", table @ ("functions" | "tools"), rest @ ..]) => {
                let kind = if *table == "functions" { Kind::Function } else { Kind::Tool };
                if !is_an_endpoint(self.version, kind, method, rest) {
                    return nothing_there(method);
                }
                // In this order: text that is not JSON is refused before the key is looked at, fields that are
                // missing after it.
                let Some(body) = body else {
                    return unprocessable(&json!([
                        { "type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {} }
                    ]));
                };
                if let Some(refused) = self.at_the_door(headers) {
                    return refused;
                }
                self.plugins(kind, method, rest, body)
            }
            _ => nothing_there(method),
        }
    }

    fn sign_in(&self) -> Answer {
        match &self.key {
            None => Answer::json(json!({
                "token": format!("session.{}", self.session),
                "token_type": "Bearer",
                "role": "admin",
                "email": "admin@localhost",
            })),
            Some(_) => Answer::detail(
                400,
                "The email or password provided is incorrect. Please check for typos and try logging in again.",
            ),
        }
    }

    fn at_the_door(&self, headers: &HeaderMap) -> Option<Answer> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(given) = given.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Some(Answer::detail(401, "Not authenticated"));
        };
        let good = match &self.key {
            Some(key) => given == key,
            None => given == format!("session.{}", self.session),
        };
        match (good, given.starts_with("sk-")) {
            (true, _) => None,
            (false, true) => Some(Answer::detail(401, EXPIRED)),
            (false, false) => Some(Answer::detail(401, UNAUTH)),
        }
    }

    fn plugins(&mut self, kind: Kind, method: &Method, rest: &[&str], body: Value) -> Answer {
        let version = self.version;
        let rows = |shape, table: &BTreeMap<_, Row>| {
            Answer::json(table.values().map(|row| row.json(version, kind, shape)).collect())
        };
        match (method.as_str(), rest) {
            ("GET", [""]) => rows(Shape::Listed, self.table(kind)),
            ("GET", ["list"]) => rows(Shape::ListedToAuthors, self.table(kind)),
            ("GET", ["export"]) => rows(Shape::Whole, self.table(kind)),
            ("GET", ["id", id]) => match self.table(kind).get(*id) {
                Some(row) => Answer::json(row.json(version, kind, Shape::ById)),
                None => version.absent(kind),
            },
            ("GET", ["id", id, "valves"]) => match self.table(kind).get(*id) {
                Some(row) => Answer::json(row.valves.clone().into()),
                None => version.absent(kind),
            },
            ("POST", ["create"]) => match form(version, body) {
                Ok((id, form)) => self.create(kind, &id, form),
                Err(answer) => answer,
            },
            ("POST", ["id", id, "update"]) => match form(version, body) {
                Ok((_, form)) => self.update(kind, id, form),
                Err(answer) => answer,
            },
            ("POST", ["id", id, "toggle"]) => self.flip(id, |row| row.is_active = !row.is_active),
            ("POST", ["id", id, "toggle", "global"]) => self.flip(id, |row| row.is_global = !row.is_global),
            ("POST", ["id", id, "access", "update"]) => self.grant(id, body),
            ("POST", ["id", id, "valves", "update"]) => self.set_valves(kind, id, body),
            _ => nothing_there(method),
        }
    }

    /// Runs a plugin, for an answer where that fails.
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

    fn create(&mut self, kind: Kind, id: &str, form: Form) -> Answer {
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
            specs: loaded.specs,
            version_id: String::new(),
            updated_at: 0,
            created_at: 0,
        };
        row.written(&Value::Null, tick);
        row.created_at = row.updated_at;
        let answer = Answer::json(row.json(version, kind, Shape::Created));
        if version > Version::V0_6_43 {
            row.put_a_switch_into_the_chat(loaded.toggle);
        }
        self.table(kind).insert(id, row);
        answer
    }

    fn update(&mut self, kind: Kind, id: &str, form: Form) -> Answer {
        // Tools are looked for before the code is run, functions after.
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
                    row.written(&row.snapshot(), tick);
                }
                return answer;
            }
        };
        let Some(row) = self.table(kind).get_mut(id) else {
            return Answer::detail(400, version.no_such_function());
        };
        let misfit =
            row.valves.iter().find_map(|(field, value)| misfit(loaded.valves.as_ref()?.get(field)?, field, value));
        if let Some(words) = misfit.filter(|_| version.is_transactional()) {
            return Answer::detail(400, format!("Current Valves are incompatible with this code: {words}"));
        }
        let before = row.snapshot();
        loaded.entry.word().clone_into(&mut row.entry);
        row.name = form.name;
        row.meta = stored_meta(version, kind, form.meta, &content, &loaded);
        row.content = content;
        row.access_control = form.access_control;
        // Since 0.12 grants are changed apart only.
        if let Some(grants) = form.access_grants.filter(|_| !version.is_transactional()) {
            row.access_grants = grants;
        }
        row.settable = loaded.valves;
        row.specs = loaded.specs;
        row.written(&before, tick);
        let answer = Answer::json(row.json(version, kind, Shape::Whole));
        row.put_a_switch_into_the_chat(loaded.toggle);
        answer
    }

    fn flip(&mut self, id: &str, flip: impl FnOnce(&mut Row)) -> Answer {
        let (version, tick) = (self.version, self.tick());
        let Some(row) = self.functions.get_mut(id) else {
            return Answer::detail(401, NOT_FOUND);
        };
        let before = row.snapshot();
        flip(row);
        row.written(&before, tick);
        Answer::json(row.json(version, Kind::Function, Shape::Whole))
    }

    fn grant(&mut self, id: &str, mut body: Value) -> Answer {
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

    /// Puts what is sent in the place of all that was set before.
    fn set_valves(&mut self, kind: Kind, id: &str, body: Value) -> Answer {
        let tick = self.tick();
        let row = self.table(kind).get_mut(id);
        let Some((row, settable)) = row.and_then(|row| row.settable.clone().map(|settable| (row, settable))) else {
            return Answer::detail(401, NOT_FOUND);
        };
        let Value::Object(mut valves) = body else { return unprocessable(&json!([])) };
        valves.retain(|field, value| settable.contains_key(field) && !value.is_null());
        row.valves = valves;
        row.written(&row.snapshot(), tick);
        Answer::json(row.valves.clone().into())
    }
}

/// What pydantic says of a value that does not fit its field.
fn misfit(wanted: &str, field: &str, value: &Value) -> Option<String> {
    let (fits, wanted) = match wanted {
        "int" => (value.is_i64(), "integer"),
        "str" => (value.is_string(), "string"),
        "list" => (value.is_array(), "list"),
        _ => (true, ""),
    };
    (!fits).then(|| format!("{field}: Input should be a valid {wanted}"))
}

/// How much of a row an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// What is left to say to somebody who has just sent it all.
    Created,
    /// For whoever may use it: `GET /`.
    Listed,
    /// For whoever may write it: `GET /list`.
    ListedToAuthors,
    Whole,
    /// Whole, and what the caller may do.
    ById,
}

impl Row {
    fn json(&self, version: Version, kind: Kind, shape: Shape) -> Value {
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
                    add("has_user_valves", false.into());
                }
            }
        }
        json
    }

    /// Versions before 0.12 note the switch of a filter after all else, and never take the note back.
    fn put_a_switch_into_the_chat(&mut self, toggle: bool) {
        if toggle && self.entry == "filter" {
            self.meta.insert("toggle".to_owned(), true.into());
        }
    }

    /// What a new version is judged by.
    fn snapshot(&self) -> Value {
        let mut meta = self.meta.clone();
        for set_by_the_server in ["manifest", "has_user_valves", "toggle"] {
            meta.remove(set_by_the_server);
        }
        json!({ "name": self.name, "content": self.content, "meta": meta })
    }

    fn written(&mut self, before: &Value, tick: u64) {
        // Any second will do as the first.
        self.updated_at = 1_700_000_000 + tick;
        if self.snapshot() != *before {
            self.version_id = format!("00000000-0000-4000-8000-{tick:012}");
        }
    }
}

/// The meta object as it is kept: what was sent, and what the server knows better.
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
            meta.insert("has_user_valves".to_owned(), loaded.has_user_valves.into());
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

fn form(version: Version, body: Value) -> Result<(String, Form), Answer> {
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
    };
    Ok((id, form))
}

fn missing(field: &str, body: &Value) -> Value {
    // It echoes what was sent, the source included.
    json!({ "type": "missing", "loc": ["body", field], "msg": "Field required", "input": body })
}

fn unprocessable(problems: &Value) -> Answer {
    Answer::new(422, Said::Json(json!({ "detail": problems })))
}

fn crashed() -> Answer {
    Answer::new(500, Said::Text("Internal Server Error"))
}

fn nothing_there(method: &Method) -> Answer {
    if method == Method::GET { Answer::page(200) } else { Answer::detail(405, "Method Not Allowed") }
}

fn is_an_endpoint(version: Version, kind: Kind, method: &Method, rest: &[&str]) -> bool {
    match (method.as_str(), rest) {
        ("GET", ["" | "list" | "export"] | ["id", _] | ["id", _, "valves"]) => true,
        ("POST", ["create"] | ["id", _, "update"] | ["id", _, "valves", "update"]) => true,
        ("POST", ["id", _, "toggle"] | ["id", _, "toggle", "global"]) => kind == Kind::Function,
        ("POST", ["id", _, "access", "update"]) => kind == Kind::Tool && version.has_grants(),
        _ => false,
    }
}

/// Near enough to Python's rule for the ids that tests use.
fn is_identifier(id: &str) -> bool {
    let mut chars = id.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic()) && chars.all(|c| c == '_' || c.is_alphanumeric())
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = (*first == b'%').then(|| tail.get(..2)).flatten().and_then(|it| std::str::from_utf8(it).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).expect("paths are UTF-8")
}
