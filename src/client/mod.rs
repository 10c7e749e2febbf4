//! One [`Call`] in, one [`Reply`] out: the server's HTTP, and the only user of reqwest.
//!
//! Nothing here decides, waits or remembers, with two exceptions. A read whose connection breaks is repeated once,
//! because the server closes idle connections without notice; a write is never repeated, but becomes [`Reply::Lost`].
//! And the session of a server without login is kept here, and renewed when it expires.
//!
//! [`Reply::NotAllowed`] to [`Call::Connect`] or [`Call::Overview`] concerns the key: `Overview(Function)` succeeds
//! only for admins, `Overview(Tool)` for admins and users who may export tools. To other calls it may concern one
//! plugin: an account without the export permission can still own tools, and read and update them by id.
//!
//! [`Reply::Absent`] to [`Call::Versions`], [`Call::Version`] or [`Call::Prune`] means "no history": the plugin or
//! version does not exist, or the server is older than 0.12 and keeps none.
//! [`Row::versioned`](crate::engine::deploy::Row::versioned) tells which.

mod broken;
mod classify;
mod endpoints;
mod list;
mod probe;
mod proxy;
mod secret;
mod tls;
mod trial;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::engine::deploy::{self, Call, Form, Reply};
use crate::error::Error;
use crate::plugin::{Key, Kind};
use broken::{Broken, Cause};
use classify::{
    Answer, Asked, Models, classify, failure, listed_row, listed_row_with_text, newest_first, overview, page_length,
};
use endpoints::{Names, endpoint};
use list::List;
use proxy::Proxy;
use secret::{Secret, mask, words, words_on_the_way};

pub use probe::{Probe, Switches};
pub use tls::Authorities;
pub use trial::{ChatAnswer, HIDDEN, Trial, TrialEnd, Watched};

/// The longest answer that is read. Four thousand large plugins fit.
const LARGEST_ANSWER: usize = 64 << 20;

fn too_large() -> String {
    format!("the answer is larger than {} MiB", LARGEST_ANSWER >> 20)
}

/// Has the sandbox watch what plugins do for a request.
const TRIAL_HEADER: &str = "x-owui-watch-trial";

/// How many versions the server lists per page.
const PAGE: usize = 20;

/// The most pages of a history that are read.
const MOST_PAGES: u32 = 50;
const MOST_VERSIONS: usize = 1000;

/// The server closes a connection after 5 s without notice; close ours earlier.
const IDLE: Duration = Duration::from_secs(4);

/// The server's address and how to access it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address as in the browser, perhaps with a path prefix: `https://host/chat/`.
    pub url: String,
    /// An API key or a session token. `None` for a server without login.
    pub key: Option<SecretString>,
    /// Certificates to trust besides the system's.
    pub authorities: Authorities,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// How long to wait for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be established.
    pub connect: Duration,
    /// For the answer to a read. Not short, since the server answers nothing while it loads a plugin.
    pub ask: Duration,
    /// For the answer to a create or update, during which the server may install the plugin's requirements.
    pub deploy: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), ask: Duration::from_secs(30), deploy: Duration::from_mins(5) }
    }
}

/// A connection to one server. Clones share it.
#[derive(Clone)]
pub struct Client(Arc<Inner>, Texts);

/// Whether overviews carry texts, or only their digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Texts {
    Kept,
    Dropped,
}

struct Inner {
    http: reqwest::Client,
    base: Url,
    /// The proxy, if there is one.
    proxy: Option<Proxy>,
    key: Option<HeaderValue>,
    /// The session of a server without login.
    session: Mutex<Option<HeaderValue>>,
    timeouts: Timeouts,
}

impl Client {
    /// Prepares a connection. Sends nothing yet.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let base = base(&options.url)?;
        let key = match &options.key {
            Some(key) => Some(bearer(key.expose_secret()).context("the key contains an invalid character")?),
            None => None,
        };
        let proxy = Proxy::of_system(&base)?;
        let http = http(&base, proxy.as_ref(), options)?;
        let inner = Inner { http, base, proxy, key, session: Mutex::new(None), timeouts: options.timeouts };
        Ok(Self(Arc::new(inner), Texts::Dropped))
    }

    /// The address of the proxy, without its password.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.0.proxy.as_ref().map(Proxy::address)
    }

    /// Masks the API key in a text from elsewhere.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        Secret::of(self.0.key.as_ref()).mask(text)
    }

    /// The same connection, with overviews that carry the texts, not only their digests.
    #[must_use]
    pub fn with_texts(&self) -> Self {
        Self(Arc::clone(&self.0), Texts::Kept)
    }

    /// Sends one call to the server, and returns the reply.
    pub async fn call(&self, call: Call) -> Reply {
        if call == Call::Connect {
            return self.connect().await;
        }
        let request = Request::of(&call);
        let token = match &self.0.key {
            Some(key) => Some(key.clone()),
            None => self.0.session.lock().await.clone(),
        };
        let mut reply = self.ask(&request, token.as_ref()).await;
        if let (Call::Overview(kind), Reply::NotAllowed { .. }) = (&call, &reply)
            && let Some(path) = endpoints::list(*kind)
        {
            let path = Names { kind: Some(*kind), ..Names::default() }.fill(path);
            reply = self.ask(&Request { path, ..request.clone() }, token.as_ref()).await;
        }
        match (&reply, token) {
            // The session expired, so the request was not carried out: even a write may be repeated.
            (Reply::NotAllowed { status: 401, .. } | Reply::Unclear { .. }, Some(ended)) if self.0.key.is_none() => {
                match self.sign_in(Some(&ended)).await {
                    Ok(session) => self.ask(&request, Some(&session)).await,
                    Err(_) => reply,
                }
            }
            _ => reply,
        }
    }

    async fn connect(&self) -> Reply {
        let reply = self.ask(&Request::new(Asked::Connect, Names::default()), None).await;
        if self.0.key.is_some() || !matches!(reply, Reply::Connected { .. }) {
            return reply;
        }
        match self.get_in_without_key().await {
            Ok(()) => reply,
            Err(why) => why,
        }
    }

    async fn get_in_without_key(&self) -> Result<(), Reply> {
        if self.0.session.lock().await.is_some() {
            return Ok(());
        }
        let config = self.fetch(&Request::new(Asked::Config, Names::default()), None).await?;
        let config: Config = config.read(Asked::Config)?;
        if config.features.auth {
            let words = "no key is configured, and this server asks for one".to_owned();
            return Err(Reply::NotAllowed { status: 0, words });
        }
        self.sign_in(None).await.map(drop)
    }

    /// Gets a session from a server without login, which ignores credentials. `ended` is the expired session: of
    /// several calls that notice it, the first renews it for all.
    async fn sign_in(&self, ended: Option<&HeaderValue>) -> Result<HeaderValue, Reply> {
        let mut session = self.0.session.lock().await;
        if let Some(session) = session.as_ref().filter(|session| Some(*session) != ended) {
            return Ok(session.clone());
        }
        let body = Map::from_iter(
            [("email", "admin@localhost"), ("password", "admin")].map(|(k, v)| (k.to_owned(), Value::from(v))),
        );
        let request = Request { body: Some(json(&body)), ..Request::new(Asked::SignIn, Names::default()) };
        let signed_in: SignedIn = self.fetch(&request, None).await?.read(Asked::SignIn)?;
        let words = || Reply::NotAllowed { status: 200, words: "the server's sign-in gave no session".to_owned() };
        let token = bearer(&signed_in.token.ok_or_else(words)?).map_err(|_| words())?;
        Ok(session.insert(token).clone())
    }

    async fn ask(&self, request: &Request, token: Option<&HeaderValue>) -> Reply {
        let reply = match request.asked {
            Asked::Versions => self.ask_for_pages(request, token).await,
            Asked::Models(_) => self.ask_for_models(request, token).await,
            _ => self.fetch(request, token).await.map(|received| self.understood(request, received, token)),
        };
        let mut reply = reply.unwrap_or_else(|reply| reply);
        if let (Some(proxy), Some(words)) = (self.proxy(), words_on_the_way(&mut reply)) {
            *words = format!("{words}, through the proxy {proxy}");
        }
        reply
    }

    fn understood(&self, request: &Request, received: Received, token: Option<&HeaderValue>) -> Reply {
        understood(request.asked, received, &Secret::of(token.or(self.0.key.as_ref())))
    }

    /// Reads all pages of a history. The last page is one that is not full, or has nothing new: some servers ignore the
    /// page number. A version created meanwhile shifts others to the next page, where they appear again.
    async fn ask_for_pages(&self, request: &Request, token: Option<&HeaderValue>) -> Result<Reply, Reply> {
        let (mut versions, mut known) = (Vec::new(), HashSet::new());
        for page in 1..=MOST_PAGES {
            let request = Request { query: Some(("page", page.to_string())), ..request.clone() };
            let received = self.fetch(&request, token).await?;
            let is_full = page_length(&received.body) == PAGE;
            let next = match self.understood(&request, received, token) {
                Reply::Versions(next) => next,
                other => return Ok(other),
            };
            let n_before = versions.len();
            versions.extend(next.into_iter().filter(|version| known.insert(version.id.clone())));
            if !is_full || versions.len() == n_before {
                break;
            }
        }
        versions = newest_first(versions);
        versions.truncate(MOST_VERSIONS);
        Ok(Reply::Versions(versions))
    }

    /// All models. Before 0.11 there is no single list of them: a web page answers in its place.
    async fn ask_for_models(&self, request: &Request, token: Option<&HeaderValue>) -> Result<Reply, Reply> {
        let received = self.fetch(request, token).await?;
        let reply = self.understood(request, received, token);
        if !matches!(reply, Reply::Foreign { .. }) {
            return Ok(reply);
        }
        let mut all = deploy::Attached::default();
        for models in [Models::Workspace, Models::Base] {
            let request = Request::new(Asked::Models(models), Names::default());
            let received = self.fetch(&request, token).await?;
            match self.understood(&request, received, token) {
                Reply::Attached(some) => {
                    all.filters.extend(some.filters);
                    all.actions.extend(some.actions);
                }
                other => return Ok(other),
            }
        }
        Ok(Reply::Attached(all))
    }

    /// Sends a request. The only place that does.
    async fn fetch(&self, request: &Request, token: Option<&HeaderValue>) -> Result<Received, Reply> {
        let changes = request.asked.changes();
        match self.send(request, token).await {
            Ok(received) => Ok(received),
            // The server may have closed this connection while it was idle.
            Err(Broken::Off(_)) if !changes => {
                self.send(request, token).await.map_err(|broken| self.reply_to(&broken, request.asked))
            }
            Err(broken) => Err(self.reply_to(&broken, request.asked)),
        }
    }

    async fn send(&self, request: &Request, token: Option<&HeaderValue>) -> Result<Received, Broken> {
        let mut url = self.0.base.clone();
        url.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(&request.path);
        if let Some((name, value)) = &request.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let path = url.path().to_owned();
        let usual = if request.asked.deploys() { self.0.timeouts.deploy } else { self.0.timeouts.ask };
        let timeout = request.within.unwrap_or(usual);

        let mut builder = self.0.http.request(request.method.clone(), url).timeout(timeout);
        if let Some(token) = token {
            builder = builder.header(header::AUTHORIZATION, token.clone());
        }
        if let Some(trial) = &request.trial {
            builder = builder.header(TRIAL_HEADER, trial.clone());
        }
        if let Some(body) = &request.body {
            builder = builder.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        let mut response = builder.send().await.map_err(|error| {
            tracing::debug!(method = %request.method, path, %error, "no answer");
            Broken::before(&error)
        })?;
        let status = response.status().as_u16();
        tracing::debug!(method = %request.method, path, status, "answer");

        let headers = std::mem::take(response.headers_mut());
        let parse = if self.1 == Texts::Kept { listed_row_with_text } else { listed_row };
        let is_list = matches!(request.asked, Asked::Overview(_)) && status == 200;
        let (mut body, mut list, mut length) = (Vec::new(), is_list.then(|| List::new(parse)), 0);
        while let Some(chunk) = response.chunk().await.map_err(|error| Broken::within(&error))? {
            length += chunk.len();
            if length > LARGEST_ANSWER {
                return Err(Broken::TooLong { status });
            }
            match &mut list {
                Some(list) => list.take(&chunk),
                None => body.extend_from_slice(&chunk),
            }
        }
        let overview = match list.map(List::end) {
            Some(Ok(listed)) => Some(overview(listed)),
            Some(Err(other)) => {
                body = other;
                None
            }
            None => None,
        };
        let sent = request.body.as_ref().map_or(0, Vec::len);
        Ok(Received { status, headers, body, overview, asked_for: path, about: request.about.clone(), sent })
    }

    fn reply_to(&self, broken: &Broken, asked: Asked) -> Reply {
        let changes = asked.changes();
        let host = self.0.base.host_str().unwrap_or_default();
        let untrusted = matches!(broken, Broken::NotSent(Cause::Untrusted(_)));
        let (words, may_have_happened) = match broken {
            Broken::NotSent(cause) => (cause.words(host), false),
            Broken::Off(cause) | Broken::Late(cause) => (cause.words(host), changes),
            Broken::TooLong { .. } if changes => (too_large(), true),
            Broken::TooLong { status } => {
                let (status, words) = (*status, format!("an answer larger than {} MiB", LARGEST_ANSWER >> 20));
                let has_texts = !matches!(asked, Asked::Connect | Asked::Config | Asked::SignIn);
                return if has_texts { Reply::Unusable { words } } else { Reply::Foreign { status, words } };
            }
        };
        if may_have_happened {
            return Reply::Lost { cause: words };
        }
        Reply::Unreachable { cause: deploy::Cause { words, untrusted }, retry_after: None }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.0.base.as_str()).finish_non_exhaustive()
    }
}

/// Checks and normalises the configured address.
fn base(url: &str) -> anyhow::Result<Url> {
    let mut base = Url::parse(url.trim()).with_context(|| format!("`{url}` is not a URL"))?;
    if !matches!(base.scheme(), "http" | "https") {
        bail!("`{url}` is not an http or https URL");
    }
    if !base.username().is_empty() || base.password().is_some() {
        // The address is printed and logged, so it must hold no secret.
        bail!("the URL must not hold a user name or password");
    }
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

fn http(base: &Url, proxy: Option<&Proxy>, options: &Options) -> Result<reqwest::Client, Error> {
    // An error means that a provider is already installed, and any will do.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("owui-watch/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(options.timeouts.connect)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .http1_only();
    builder = if base.scheme() == "http" {
        // Plain HTTP needs no certificates, and must work where the system has none, as in small containers.
        builder.tls_certs_only([])
    } else {
        builder.tls_certs_merge(options.authorities.certificates())
    };
    if proxy.is_none() {
        builder = builder.no_proxy();
    }
    builder.build().map_err(tls::unavailable)
}

fn bearer(key: &str) -> Result<HeaderValue, header::InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.trim()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("strings and JSON values serialise")
}

/// One HTTP request.
#[derive(Clone)]
struct Request {
    asked: Asked,
    method: Method,
    /// The path's segments, not yet percent-encoded.
    path: Vec<String>,
    /// The id of the plugin or version that the answer must be about.
    about: Option<String>,
    /// A name and its value, such as the page of an answer that comes in pages.
    query: Option<(&'static str, String)>,
    /// A deadline of its own.
    within: Option<Duration>,
    body: Option<Vec<u8>>,
    /// The trial that it is part of, as the sandbox reads it.
    trial: Option<HeaderValue>,
}

impl Request {
    fn of(call: &Call) -> Self {
        let (asked, names) = match call {
            Call::Connect => (Asked::Connect, Names::default()),
            Call::Overview(kind) => (Asked::Overview(*kind), Names { kind: Some(*kind), ..Names::default() }),
            Call::Get(key) => (Asked::Get(key.kind), Names::of(key)),
            Call::Create(key, _) => (Asked::Create(key.kind), Names::of(key)),
            Call::Update(key, _) => (Asked::Update(key.kind), Names::of(key)),
            Call::Toggle(id) => (Asked::Toggle, Names { kind: Some(Kind::Function), id: id.as_str(), version: "" }),
            Call::ToggleGlobal(id) => {
                (Asked::ToggleGlobal, Names { kind: Some(Kind::Function), id: id.as_str(), version: "" })
            }
            Call::Attached => (Asked::Models(Models::All), Names::default()),
            Call::Delete(key) => (Asked::Delete, Names::of(key)),
            Call::Versions(key) => (Asked::Versions, Names::of(key)),
            Call::Version(key, version) => (Asked::Version, Names { version, ..Names::of(key) }),
            Call::Prune(key, version) => (Asked::Prune, Names { version, ..Names::of(key) }),
        };
        let body = match call {
            Call::Create(key, form) | Call::Update(key, form) => Some(wire(key, form)),
            _ => None,
        };
        Self { body, ..Self::new(asked, names) }
    }

    fn new(asked: Asked, names: Names<'_>) -> Self {
        let (method, path) = endpoint(asked);
        let about = [names.version, names.id].into_iter().find(|name| !name.is_empty()).map(str::to_owned);
        Self { asked, method, path: names.fill(path), about, query: None, within: None, body: None, trial: None }
    }
}

/// The form of a create or update. It never has `access_grants`, which could change who may use a tool, nor the switch
/// or the valves, which belong to the admin.
fn wire(key: &Key, form: &Form) -> Vec<u8> {
    #[derive(Serialize)]
    struct Wire<'a> {
        id: &'a str,
        name: &'a str,
        content: &'a str,
        meta: &'a Map<String, Value>,
        commit_message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        access_control: Option<&'a Value>,
    }
    json(&Wire {
        id: &key.id.to_string(),
        name: &form.name,
        content: &form.content,
        meta: &form.meta,
        commit_message: &form.message,
        access_control: form.access_control.as_ref().filter(|_| key.kind.takes_access_control()),
    })
}

/// The part of `/api/config` that says whether there is a login.
#[derive(Deserialize)]
struct Config {
    features: Features,
}

#[derive(Deserialize)]
struct Features {
    #[serde(default = "yes")]
    auth: bool,
}

fn yes() -> bool {
    true
}

/// The answer to a sign-in. No `Debug`, since it holds the session.
#[derive(Deserialize)]
struct SignedIn {
    token: Option<String>,
}

/// A complete answer.
struct Received {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    /// The reply to an overview, which was parsed while it arrived; the body is empty then.
    overview: Option<Reply>,
    asked_for: String,
    about: Option<String>,
    sent: usize,
}

impl Received {
    fn answer(&self) -> Answer<'_> {
        let header = |name| self.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Answer {
            status: self.status,
            content_type: header(header::CONTENT_TYPE),
            retry_after: header(header::RETRY_AFTER),
            date: header(header::DATE),
            location: header(header::LOCATION),
            asked_for: &self.asked_for,
            about: self.about.as_deref(),
            sent: self.sent,
            body: &self.body,
        }
    }

    fn mask(&mut self, secret: &Secret) {
        secret.mask_body(&mut self.body);
        for value in self.headers.values_mut() {
            let masked = value.to_str().ok().and_then(|text| HeaderValue::try_from(secret.mask(text)).ok());
            *value = masked.unwrap_or_else(|| value.clone());
        }
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, asked: Asked) -> Result<T, Reply> {
        let answer = self.answer();
        match serde_json::from_slice(answer.body) {
            Ok(value) if self.status == 200 => Ok(value),
            _ => Err(failure(asked, &answer)),
        }
    }
}

/// Interprets an answer. Masks our credentials in words that the user may see, but not in texts and rows that are
/// compared with ours.
fn understood(asked: Asked, mut received: Received, secret: &Secret) -> Reply {
    let mut reply = received.overview.take().unwrap_or_else(|| classify(asked, &received.answer()));
    if words(&mut reply).is_some() {
        // Mask the raw answer first, since some words are shortened later. Mask the words again, since JSON can encode
        // a text in several ways.
        received.mask(secret);
        reply = classify(asked, &received.answer());
    }
    mask(&mut reply, secret);
    reply
}
