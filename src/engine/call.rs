//! Requests to the server and its answers, in the engine's terms. `client` translates them to HTTP.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::duplicate::Identity;
use crate::plugin::{Digest, Entry, Key, Kind, id::PluginId};

/// Words for a reply that does not match its call.
pub(super) const ANOTHER_ANSWER: &str = "the reply does not match the request";

/// One request to the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Connect: ask for the version, and for a session if the server has no login.
    Connect,
    /// Every row of a table, with its text: the export.
    Overview(Kind),
    /// One row by its id.
    Get(Key),
    /// Make a new row.
    Create(Key, Arc<Form>),
    /// Replace name, text and meta of a row.
    Update(Key, Arc<Form>),
    /// Flip a function's on/off switch. There is no "set": never flip without having read.
    Toggle(PluginId),
    /// Flip whether a function is global. Like [`Call::Toggle`], it only flips.
    ToggleGlobal(PluginId),
    /// The functions that models use.
    Attached,
    /// Remove a row for good.
    Delete(Key),
    /// The versions of a row in the server's history (since 0.12), without their texts: the newest thousand at most.
    Versions(Key),
    /// One version, with its text.
    Version(Key, String),
    /// Remove one version; never the current one.
    Prune(Key, String),
}

/// The body that creates or updates a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// The name shown to users.
    pub name: String,
    /// The source text.
    pub content: Arc<str>,
    /// The meta object, which replaces the stored one as a whole.
    pub meta: Map<String, Value>,
    /// Tools on servers before 0.8: who may use it. `None` leaves the field out.
    pub access_control: Option<Value>,
    /// The message in the server's version history (0.12). Older servers ignore it.
    pub message: String,
    /// The file that the text was read from; `None` if it comes from elsewhere.
    pub file: Option<Arc<Path>>,
}

/// A plugin as the server describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The id.
    pub id: String,
    /// The name shown to users.
    pub name: String,
    /// The stored text; some answers come without it.
    pub content: Option<String>,
    /// The meta object.
    pub meta: Map<String, Value>,
    /// The on/off switch (functions only).
    pub is_active: Option<bool>,
    /// Whether it is for all models (functions only).
    pub is_global: Option<bool>,
    /// Its type, which the server takes from the text.
    pub entry: Option<Entry>,
    /// Tools on servers before 0.8: present, if only as null.
    pub access_control: Option<Value>,
    /// Whether the server keeps versions of the row (since 0.12). Then a refused update changes nothing. An older
    /// server switches the function off, and may run another module than the stored one.
    pub versioned: bool,
    /// The current version, if it is versioned.
    pub version_id: Option<String>,
}

impl Row {
    /// Its switches.
    #[must_use]
    pub fn switches(&self) -> OnServer {
        OnServer { active: self.is_active, global: self.is_global }
    }

    /// The version in the stored frontmatter.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let version = self.meta.get("manifest")?.get("version")?.as_str()?;
        (!version.is_empty()).then(|| version.to_owned())
    }

    /// The digest of the stored text, if the server shows it.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.content.as_deref().map(Digest::of_text)
    }

    /// What its manifest, which is its frontmatter, says of its identity.
    fn identity(&self) -> Identity {
        let manifest = self.meta.get("manifest");
        let field = |name| manifest.and_then(|manifest| manifest.get(name)?.as_str()).unwrap_or_default();
        Identity::new(field("title"), field("author"), field("openwebui_id"))
    }

    /// The same plugin as a list would show it.
    #[must_use]
    pub fn listed(&self, id: PluginId) -> ListedRow {
        ListedRow {
            digest: self.digest(),
            content: self.content.clone(),
            identity: self.identity(),
            version: self.version(),
            switches: self.switches(),
            entry: self.entry,
            ..ListedRow::bare(id)
        }
    }
}

/// A plugin in a list of all: there may be thousands, so it has only what a list is read for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRow {
    /// The id.
    pub id: PluginId,
    /// The digest of the stored text, if the list shows it.
    pub digest: Option<Digest>,
    /// The text itself, if the client was asked to keep it.
    pub content: Option<String>,
    /// What identifies it whatever its id.
    pub identity: Identity,
    /// The version in the stored frontmatter.
    pub version: Option<String>,
    /// Its switches.
    pub switches: OnServer,
    /// Its type, which the server takes from the text.
    pub entry: Option<Entry>,
}

impl ListedRow {
    /// A plugin of which only the id is known.
    #[must_use]
    pub fn bare(id: PluginId) -> Self {
        Self {
            id,
            digest: None,
            content: None,
            identity: Identity::default(),
            version: None,
            switches: OnServer::default(),
            entry: None,
        }
    }
}

/// The switches of a plugin that the server has; unknown ones are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnServer {
    /// The on/off switch, for a function.
    pub active: Option<bool>,
    /// Whether all models use it, for a function.
    pub global: Option<bool>,
}

impl OnServer {
    /// Whether a function of this class is on, and runs only for models that it is attached to.
    #[must_use]
    pub fn need_a_model(self, entry: Entry) -> bool {
        entry.is_attached() && self.active == Some(true) && self.global == Some(false)
    }
}

/// The functions that are attached to at least one model, which may be switched off itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// The ids of filters.
    pub filters: BTreeSet<String>,
    /// The ids of actions.
    pub actions: BTreeSet<String>,
}

impl Attached {
    /// Whether nothing uses a function that is on: a filter or an action that is neither global nor attached.
    #[must_use]
    pub fn is_unused(&self, id: &PluginId, entry: Option<Entry>, switches: OnServer) -> bool {
        entry.is_some_and(|entry| switches.need_a_model(entry)) && !self.uses(id.as_str())
    }

    /// Whether a model uses this filter or action.
    #[must_use]
    pub fn uses(&self, id: &str) -> bool {
        self.filters.contains(id) || self.actions.contains(id)
    }
}

/// A version of a row, as the server's history lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The server's name for it.
    pub id: String,
    /// When it was made.
    pub at: Timestamp,
    /// The version that it was made from; `None` for the first one.
    pub parent: Option<String>,
    /// The words that came with the change.
    pub message: Option<String>,
    /// The name of the account that made it.
    pub author: Option<String>,
}

/// Why the server cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The cause, for the user.
    pub words: String,
    /// The server's certificate is not trusted.
    pub untrusted: bool,
}

impl<T: Into<String>> From<T> for Cause {
    fn from(words: T) -> Self {
        Self { words: words.into(), untrusted: false }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`Call::Connect`]: an Open WebUI of this version answers.
    Connected {
        /// As `/api/version` says it.
        version: String,
    },
    /// To [`Call::Overview`].
    Rows(Vec<ListedRow>),
    /// To [`Call::Attached`].
    Attached(Attached),
    /// To the others, when they succeed.
    Row(Box<Row>),
    /// To [`Call::Delete`] and [`Call::Prune`]: it is gone.
    Deleted,
    /// To [`Call::Versions`], newest first.
    Versions(Vec<Version>),
    /// To [`Call::Version`]: its text.
    Text(String),
    /// The server says that the id or the version does not exist, or that it keeps no versions (before 0.12).
    Absent,
    /// To [`Call::Create`]: the id exists after all.
    Taken,
    /// The server refused the code, in its own words (which may be empty).
    Refused {
        /// The server's `detail`, unaltered but for the wrapping.
        words: String,
        /// Whether they came as `[ERROR: …]`, the form of every server before 0.12. Since then, only the refusal of a
        /// create has it.
        wrapped: bool,
    },
    /// The server, or a proxy in front of it, failed at this request: a 500, or a 4xx that says nothing about the code
    /// (409, 413, 422, 425 …). The plugin may be the cause. The server is reachable.
    Crashed {
        /// The body, shortened.
        words: String,
        /// A proxy refuses requests of this size (413).
        too_large: bool,
    },
    /// The key or its role is not enough, or plugins are switched off on the server.
    NotAllowed {
        /// HTTP status; 0 where no request was made (no key).
        status: u16,
        /// The server's words.
        words: String,
    },
    /// A 401 whose words fit both "no such id" and "not allowed". A preflight tells which.
    Unclear {
        /// The server's words.
        words: String,
    },
    /// The request was certainly not carried out: refused connection, 429, 503.
    Unreachable {
        /// Why.
        cause: Cause,
        /// `Retry-After`, where the server gave one.
        retry_after: Option<Duration>,
    },
    /// The server's database refused the change; the text is not the cause. Before 0.12 the server may run the sent
    /// text although it did not store it.
    Stumbled {
        /// The cause, for the user.
        cause: String,
    },
    /// The request was sent and no answer came (timeout, reset): it may have been carried out or not.
    Lost {
        /// The cause, for the user.
        cause: String,
    },
    /// The answer is too long, in an unknown form, or about something else.
    Unusable {
        /// What is wrong with it, for the user.
        words: String,
    },
    /// Something answers there, but not Open WebUI's API (a web page, a wrong path).
    Foreign {
        /// HTTP status.
        status: u16,
        /// What it looks like.
        words: String,
    },
}

impl Reply {
    /// What it means where no conversation expects it.
    #[must_use]
    pub fn into_failure(self) -> CallFailure {
        match self {
            Reply::Unreachable { cause, retry_after } => CallFailure::Unreachable { cause, retry_after },
            // A question that got no answer changed nothing; and a server that fails at one is in trouble itself.
            Reply::Lost { cause } | Reply::Stumbled { cause } => {
                CallFailure::Unreachable { cause: cause.into(), retry_after: None }
            }
            Reply::Crashed { words, .. } => {
                CallFailure::Unreachable { cause: format!("the server fails: {words}").into(), retry_after: None }
            }
            Reply::NotAllowed { status, words } => CallFailure::NotAllowed { status, words },
            Reply::Unclear { words } => CallFailure::NotOurs { words },
            Reply::Foreign { status, words } => CallFailure::Foreign { status, words },
            Reply::Refused { words, .. } | Reply::Unusable { words } => CallFailure::Odd { words },
            Reply::Connected { .. }
            | Reply::Rows(_)
            | Reply::Attached(_)
            | Reply::Row(_)
            | Reply::Absent
            | Reply::Taken
            | Reply::Deleted
            | Reply::Versions(_)
            // Not to be repeated: a reply may hold a whole source text.
            | Reply::Text(_) => CallFailure::Odd { words: ANOTHER_ANSWER.to_owned() },
        }
    }
}

/// Why a call failed. What else can go wrong in a conversation is in its own outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// The server is away, or busy: to be tried again.
    Unreachable {
        /// Why.
        cause: Cause,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The key or its role is not enough for anything.
    NotAllowed {
        /// HTTP status, or 0.
        status: u16,
        /// The server's words.
        words: String,
    },
    /// Something other than Open WebUI's API answers.
    Foreign {
        /// HTTP status.
        status: u16,
        /// What it looks like.
        words: String,
    },
    /// The key is good, but not for this plugin.
    NotOurs {
        /// The server's words.
        words: String,
    },
    /// An answer that fits nothing we know.
    Odd {
        /// What it looked like.
        words: String,
    },
}
