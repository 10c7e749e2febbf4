//! The server's endpoints: one row per request, for all kinds.

use reqwest::Method;

use super::classify::{Asked, Models};
use crate::plugin::{Key, Kind};

/// The values for a path's placeholders.
#[derive(Clone, Copy, Default)]
pub(super) struct Names<'a> {
    /// `{table}`
    pub(super) kind: Option<Kind>,
    /// `{id}`
    pub(super) id: &'a str,
    /// `{version}`: one in the history of a plugin.
    pub(super) version: &'a str,
}

impl<'a> Names<'a> {
    pub(super) fn of(key: &'a Key) -> Self {
        Self { kind: Some(key.kind), id: key.id.as_str(), version: "" }
    }

    /// The segments of a path, not yet percent-encoded.
    pub(super) fn fill(self, path: &str) -> Vec<String> {
        let fill = |segment| match segment {
            "{table}" => self.kind.map_or("", Kind::table),
            "{id}" => self.id,
            "{version}" => self.version,
            literal => literal,
        };
        path.split('/').map(fill).map(str::to_owned).collect()
    }
}

impl Asked {
    /// Whether it may change the server's data. A second session does no harm.
    pub(super) fn changes(self) -> bool {
        let (method, _) = endpoint(self);
        method != Method::GET && self != Asked::SignIn
    }
}

/// The method and path of a request.
pub(super) fn endpoint(asked: Asked) -> (Method, &'static str) {
    match asked {
        Asked::Connect => (Method::GET, "api/version"),
        Asked::Config => (Method::GET, "api/config"),
        Asked::SignIn => (Method::POST, "api/v1/auths/signin"),
        Asked::Overview(_) => (Method::GET, "api/v1/{table}/export"),
        Asked::Get(_) => (Method::GET, "api/v1/{table}/id/{id}"),
        Asked::Create(_) => (Method::POST, "api/v1/{table}/create"),
        Asked::Update(_) => (Method::POST, "api/v1/{table}/id/{id}/update"),
        Asked::Toggle => (Method::POST, "api/v1/{table}/id/{id}/toggle"),
        Asked::ToggleGlobal => (Method::POST, "api/v1/{table}/id/{id}/toggle/global"),
        Asked::Models(Models::All) => (Method::GET, "api/v1/models/all"),
        Asked::Models(Models::Workspace) => (Method::GET, "api/v1/models/export"),
        Asked::Models(Models::Base) => (Method::GET, "api/v1/models/base"),
        Asked::Delete => (Method::DELETE, "api/v1/{table}/id/{id}/delete"),
        Asked::Versions => (Method::GET, "api/v1/{table}/id/{id}/history"),
        Asked::Version => (Method::GET, "api/v1/{table}/id/{id}/history/{version}"),
        Asked::Prune => (Method::DELETE, "api/v1/{table}/id/{id}/history/{version}"),
        Asked::ModelList => (Method::GET, "api/models"),
        Asked::Chat => (Method::POST, "api/chat/completions"),
        Asked::Outlet => (Method::POST, "api/chat/completed"),
        Asked::Action => (Method::POST, "api/chat/actions/{id}"),
        // Only the sandbox has it.
        Asked::Seen => (Method::GET, "owui-watch/trial/{id}"),
    }
}

/// The list of a kind's plugins, for users who may write but not export them. Newer servers omit the texts.
pub(super) fn list(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Function => None,
        Kind::Tool => Some("api/v1/{table}/list"),
    }
}
