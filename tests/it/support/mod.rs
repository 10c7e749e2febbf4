//! What the tests share.
#![cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "not every test runs on every system"))]

pub(crate) mod call_word;
pub(crate) mod command;
mod fake_python;
pub(crate) mod fake_server;
pub(crate) mod policy;
pub(crate) mod relay;
pub(crate) mod sentences;
pub(crate) mod status;
pub(crate) mod tls;

use owui_watch::client::{Authorities, Client, Options, Timeouts};
use owui_watch::sandbox::{self, Admin, Sandbox, default_cache};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use fake_server::{FakeServer, Version};

/// A server to talk to, fake or real.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) version: Version,
    /// `None` where it has no login.
    pub(crate) key: Option<SecretString>,
}

impl Server {
    pub(crate) fn fake(fake: &FakeServer) -> Self {
        Self { url: fake.url(), version: fake.version(), key: Some(fake_server::KEY.into()) }
    }

    pub(crate) fn real(real: &RealServer) -> Self {
        Self { url: real.url().to_owned(), version: real.version, key: real.admin().api_key.clone() }
    }

    /// With the admin's credentials.
    pub(crate) fn client(&self) -> Client {
        self.client_with(self.key.clone())
    }

    pub(crate) fn client_with(&self, key: Option<SecretString>) -> Client {
        Client::new(&Options {
            url: self.url.clone(),
            key,
            authorities: Authorities::default(),
            timeouts: Timeouts::default(),
        })
        .unwrap()
    }
}

impl Server {
    /// Sends a request without the client, for endpoints that it lacks.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, None).await
    }

    /// Like `ask`; null means no body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(Method::POST, path, (!body.is_null()).then(|| body.to_string())).await
    }

    /// The status, and the body: a string where it is not JSON.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<String>) -> (u16, Value) {
        // The client's constructor prepares TLS for all.
        drop(self.client());
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let mut request = http.request(method, format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// Whether a server requires a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Asked,
    No,
}

/// A real Open WebUI with nothing on it.
pub(crate) struct RealServer {
    sandbox: Sandbox,
    version: Version,
    /// Released after the server has ended, so it comes last.
    _room: SemaphorePermit<'static>,
}

/// A starting server keeps a processor busy for 15 seconds. Too many at once would delay each other, so the number is
/// limited.
static ROOM: Semaphore = Semaphore::const_new(2);

/// Installs and starts a server. Waits for its turn.
pub(crate) async fn real_server(version: Version, login: Login) -> RealServer {
    real_server_for(version, login, false).await
}

/// The same with a model, and with filters and actions that take part in every chat.
pub(crate) async fn development_server(version: Version) -> RealServer {
    real_server_for(version, Login::Asked, true).await
}

async fn real_server_for(version: Version, login: Login, dev: bool) -> RealServer {
    let room = ROOM.acquire().await.unwrap();
    let options = sandbox::Options {
        openwebui: version.name().to_owned(),
        login: login == Login::Asked,
        dev,
        ..sandbox::Options::new(default_cache().unwrap(), std::env::vars_os())
    };
    let sandbox = Sandbox::start(&options, |_| ()).await.unwrap();
    RealServer { sandbox, version, _room: room }
}

impl RealServer {
    pub(crate) fn url(&self) -> &str {
        self.sandbox.url()
    }

    pub(crate) fn admin(&self) -> &Admin {
        self.sandbox.admin()
    }

    /// Stops it, and checks that nothing is left behind.
    pub(crate) fn stop(self) {
        assert_eq!(self.sandbox.stop().unwrap(), None);
    }
}
