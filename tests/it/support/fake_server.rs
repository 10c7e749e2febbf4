//! A *stateful* fake Open WebUI on loopback: it remembers plugins, answers like the real one, and records requests.
//! `contract.rs` proves that it is faithful.
//!
//! It runs on its own thread, so that it serves tests of the built binary as well as async ones. It never sleeps or
//! reads a clock: a test that needs a certain order holds and releases requests.

mod answer;
mod history;
mod models;
mod plugins;
mod version;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use owui_watch::plugin::Kind;
use serde_json::{Map, Value, json};
use tokio::sync::{oneshot, watch};

use answer::{Answer, nothing_there, unprocessable};
use plugins::{Form, Shape, form};

pub(crate) use plugins::Row;
pub(crate) use version::Version;

const NOT_FOUND: &str = "We could not find what you're looking for :/";
const ID_TAKEN: &str = "Uh-oh! This id is already registered. Please choose another id string.";
const BAD_ID: &str = "Only alphanumeric characters and underscores are allowed in the id";
const UNAUTH: &str = "401 Unauthorized";
const PROHIBITED: &str =
    "You do not have permission to access this resource. Please contact your administrator for assistance.";
const EXPIRED: &str = "Your session has expired or the token is invalid. Please sign in again.";

/// The default key of a fake server.
pub(crate) const KEY: &str = "sk-fa4e0000000000000000000000000000";

/// A fault of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answered by a proxy, and not carried out.
    Status(u16),
    /// Like `Status`, with `Retry-After` in seconds.
    StatusWithRetryAfter(u16, u64),
    /// The connection is closed; the request is not carried out.
    ResetBefore,
    /// Carried out, but the connection is closed without an answer.
    ResetAfter,
    /// Carried out once [`FakeServer::release`] is called, even if the client has left.
    Delay,
    /// Carried out, by a server whose clock says this.
    Dated(&'static str),
    /// Answered by a web page, and not carried out.
    Html,
    /// Sent elsewhere by a proxy, and not carried out.
    Redirect(&'static str),
    /// Answered with this body, JSON or not, and not carried out.
    Says(u16, &'static str),
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    /// Percent-decoded, with the query.
    pub(crate) path: String,
    /// Null if there was none, or it is not JSON.
    pub(crate) body: Value,
}

impl Recorded {
    /// `POST /api/v1/tools/create`
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
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
    /// Counts the calls of `release`; held requests wait for the next one.
    released: watch::Sender<u64>,
    /// Whether a plugin has ended the server.
    ended: watch::Sender<bool>,
}

struct State {
    version: Version,
    /// The version that it pretends to be.
    claims: Option<&'static str>,
    /// `None`: no login.
    key: Option<String>,
    /// Without login: the valid session.
    session: u64,
    /// Whether the owner of the key has lost the role of an admin.
    demoted: bool,
    functions: BTreeMap<String, Row>,
    tools: BTreeMap<String, Row>,
    user_valves: BTreeMap<(Kind, String), Map<String, Value>>,
    /// As they were sent.
    models: Vec<Value>,
    requests: Vec<Recorded>,
    faults: Vec<Planned>,
    held: Option<String>,
    /// Stands for the clock and for random ids.
    ticks: u64,
    /// Whether a plugin is ending it just now.
    exits: bool,
}

struct Planned {
    /// A part of the request line.
    of: String,
    times: usize,
    fault: Fault,
}

impl FakeServer {
    /// A server of the newest version with nothing on it, and [`KEY`].
    pub(crate) fn start() -> Self {
        Self::of(Version::V0_12_4)
    }

    /// A server of this version, with nothing on it.
    pub(crate) fn of(version: Version) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            version,
            claims: None,
            key: Some(KEY.to_owned()),
            session: 1,
            demoted: false,
            functions: BTreeMap::new(),
            tools: BTreeMap::new(),
            user_valves: BTreeMap::new(),
            models: Vec::new(),
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

    /// Refuses new connections, and drops existing ones.
    pub(crate) fn go_down(&mut self) {
        let running = self.running.take().expect("it was up");
        // A plugin may have ended it before.
        running.stop.send(()).ok();
        running.thread.join().unwrap();
    }

    /// Comes back at the same address, with all its data.
    pub(crate) fn come_up(&mut self) {
        assert!(self.running.is_none(), "it was down");
        self.running = Some(run(TcpListener::bind(self.address).unwrap(), &self.shared).unwrap());
    }

    /// Pretends to be another version, with unchanged behaviour.
    pub(crate) fn claim_to_be(&self, version: &'static str) {
        self.state().claims = Some(version);
    }

    /// Accepts this key only. Session tokens do not start with `sk-`.
    pub(crate) fn set_key(&self, key: &str) {
        self.state().key = Some(key.to_owned());
    }

    /// Takes the role of an admin from the owner of the key, or gives it back.
    pub(crate) fn demote(&self, demoted: bool) {
        self.state().demoted = demoted;
    }

    /// Switches the login off, as with `WEBUI_AUTH=false`.
    pub(crate) fn open_the_door(&self) {
        self.state().key = None;
    }

    /// Without login: ends all sessions.
    pub(crate) fn end_sessions(&self) {
        self.state().session += 1;
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    /// Forgets all requests and old versions: for endless tests.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.requests.clear();
        for row in state.functions.values_mut() {
            row.history.drain(..row.history.len().saturating_sub(1));
        }
    }

    /// The lines of all requests so far.
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

    /// Ends all faults.
    pub(crate) fn recover(&self) {
        self.state().faults.clear();
    }

    /// Requests whose line contains `of` arrive, but wait until [`Self::release`].
    pub(crate) fn hold(&self, of: &str) {
        self.state().held = Some(of.to_owned());
    }

    /// Releases held and delayed requests, and holds no more.
    pub(crate) fn release(&self) {
        self.state().held = None;
        self.shared.released.send_modify(|count| *count += 1);
    }

    pub(crate) fn row(&self, kind: Kind, id: &str) -> Option<Row> {
        self.state().table(kind).get(id).cloned()
    }

    /// Adds a plugin that has been there before: switched on, if it has a switch.
    pub(crate) fn seed(&self, kind: Kind, id: &str, content: &str) {
        let mut state = self.state();
        let (name, content) = (id.to_owned(), content.to_owned());
        let meta = Map::new();
        let form = Form { name, content, meta, access_grants: None, access_control: Value::Null, commit_message: None };
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
        row.written(&before, tick, None);
    }

    /// An admin attaches functions to a model, which may be one of a provider.
    pub(crate) fn attach(&self, base: Option<&str>, filters: &[&str], actions: &[&str]) {
        let mut state = self.state();
        let id = format!("model_{}", state.models.len());
        let meta = json!({ "filterIds": filters, "actionIds": actions });
        state.models.push(json!({ "id": id, "base_model_id": base, "name": id, "meta": meta, "params": {} }));
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
    /// A panic of a test with the lock held must not cause panics elsewhere.
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
            // Finish open requests first.
            let ended = async move { drop(ended.wait_for(|ended| *ended).await) };
            tokio::select! {
                served = axum::serve(listener, router).with_graceful_shutdown(ended).into_future() => served.unwrap(),
                _ = stopped => {}
            }
        });
        // Dropping the runtime drops all connections.
    });
    Ok(Running { stop, thread })
}

async fn serve(shared: Arc<Shared>, request: Request) -> Response {
    // A separate task: the server finishes requests even if the client has left.
    match tokio::spawn(exchange(shared, request)).await.unwrap() {
        Some(answer) => answer.into_response(),
        // Unwinding ends the connection without an answer, and without a panic message.
        None => resume_unwind(Box::new("reset")),
    }
}

async fn exchange(shared: Arc<Shared>, request: Request) -> Option<Answer> {
    let (head, body) = request.into_parts();
    // Without the host, which proxies receive.
    let path = decoded(head.uri.path_and_query().map_or("/", |path| path.as_str()));
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
        Some(Fault::Dated(date)) => Some(Answer { date: Some(date), ..apply() }),
        Some(Fault::Html) => Some(Answer::page(200)),
        Some(Fault::Redirect(location)) => Some(Answer { location: Some(location), ..Answer::page(302) }),
        Some(Fault::Says(status, body)) => Some(Answer::saying(status, body)),
        Some(Fault::ResetBefore) => None,
        Some(Fault::ResetAfter) => {
            apply();
            None
        }
    }
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

    fn name(&self) -> &'static str {
        self.claims.unwrap_or_else(|| self.version.name())
    }

    /// The router. `body` is `None` if it is not JSON.
    fn answer(&mut self, method: &Method, path: &str, headers: &HeaderMap, body: Option<Value>) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method.as_str(), &segments[..]) {
            ("GET", ["api", "version"]) => Answer::json(json!({ "version": self.name(), "deployment_id": "" })),
            ("GET", ["api", "config"]) => Answer::json(json!({
                "status": true,
                "name": "Open WebUI",
                "version": self.name(),
                "features": { "auth": self.key.is_some(), "enable_signup": false, "enable_login_form": true },
            })),
            ("POST", ["api", "v1", "auths", "signin"]) => self.sign_in(),
            (_, ["api", "v1", "models", list @ ("all" | "base" | "export" | "create")]) => {
                if !models::is_an_endpoint(self.version, method, list) {
                    return nothing_there(method);
                }
                match self.come_in(headers, body) {
                    Ok(_) if self.demoted => Answer::detail(401, UNAUTH),
                    Ok(body) => self.models(list, body),
                    Err(refused) => refused,
                }
            }
            (_, ["api", "v1", table @ ("functions" | "tools"), rest @ ..]) => {
                let kind = if *table == "functions" { Kind::Function } else { Kind::Tool };
                if !is_an_endpoint(self.version, kind, method, rest) {
                    return nothing_there(method);
                }
                match self.come_in(headers, body) {
                    // A user may list usable plugins.
                    Ok(_) if self.demoted && rest != [""] => {
                        Answer::detail(401, if kind == Kind::Function { PROHIBITED } else { UNAUTH })
                    }
                    Ok(body) => self.plugins(kind, method, (rest, query), body),
                    Err(refused) => refused,
                }
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

    /// Invalid JSON is refused before the key is checked, missing fields after.
    fn come_in(&self, headers: &HeaderMap, body: Option<Value>) -> Result<Value, Answer> {
        let body = body.ok_or_else(|| {
            let problem =
                json!({ "type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {} });
            unprocessable(&json!([problem]))
        })?;
        self.at_the_door(headers).map_or(Ok(body), Err)
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

    fn plugins(&mut self, kind: Kind, method: &Method, (rest, query): (&[&str], &str), body: Value) -> Answer {
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
            ("GET", ["id", id, "valves", "spec"]) => self.valves_spec(kind, id, "Valves"),
            ("GET", ["id", id, "valves", "user"]) => self.user_valves(kind, id),
            ("GET", ["id", id, "valves", "user", "spec"]) => self.valves_spec(kind, id, "UserValves"),
            ("GET", ["id", id, "history"]) => self.history(kind, id, query),
            ("GET", ["id", id, "history", version]) => self.history_entry(kind, id, version),
            ("DELETE", ["id", id, "history", version]) => self.delete_history_entry(kind, id, version),
            ("DELETE", ["id", id, "delete"]) => self.delete(kind, id),
            ("POST", ["create"]) => match form(version, body) {
                Ok((id, form)) => self.create(kind, &id, form),
                Err(answer) => answer,
            },
            ("POST", ["id", id, "update"]) => match form(version, body) {
                Ok((_, form)) => self.update(kind, id, form, None),
                Err(answer) => answer,
            },
            ("POST", ["id", id, "update", "version"]) => self.update_version(kind, id, body),
            ("POST", ["id", id, "toggle"]) => self.flip(id, |row| row.is_active = !row.is_active),
            ("POST", ["id", id, "toggle", "global"]) => self.flip(id, |row| row.is_global = !row.is_global),
            ("POST", ["id", id, "access", "update"]) => self.grant(id, body),
            ("POST", ["id", id, "valves", "update"]) => self.set_valves(kind, id, body),
            ("POST", ["id", id, "valves", "user", "update"]) => self.set_user_valves(kind, id, body),
            _ => nothing_there(method),
        }
    }
}

fn is_an_endpoint(version: Version, kind: Kind, method: &Method, rest: &[&str]) -> bool {
    match (method.as_str(), rest) {
        ("GET", ["" | "list" | "export"] | ["id", _]) => true,
        ("GET", ["id", _, "valves"] | ["id", _, "valves", "spec" | "user"] | ["id", _, "valves", "user", "spec"]) => {
            true
        }
        ("POST", ["create"] | ["id", _, "update"]) => true,
        ("POST", ["id", _, "valves", "update"] | ["id", _, "valves", "user", "update"]) => true,
        ("DELETE", ["id", _, "delete"]) => true,
        ("POST", ["id", _, "toggle"] | ["id", _, "toggle", "global"]) => kind == Kind::Function,
        ("POST", ["id", _, "access", "update"]) => kind == Kind::Tool && version.has_grants(),
        ("GET", ["id", _, "history"])
        | ("GET" | "DELETE", ["id", _, "history", _])
        | ("POST", ["id", _, "update", "version"]) => version.is_transactional(),
        _ => false,
    }
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
