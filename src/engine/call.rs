//! What is said to the server and what it answers, in the engine's words. The client knows how it is spelled in HTTP.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::plugin::{Digest, Key, Kind, id::PluginId};

/// One request to the server, in the engine's words. `client.rs` knows how it is spelled in HTTP.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Ask who is there, and get in: version, and a session where the server has no login.
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
    /// Remove a row for good.
    Delete(Key),
    /// The versions of a row that the server keeps (since 0.12), without their texts: the newest thousand at most.
    Versions(Key),
    /// One of them, with its text.
    Version(Key, String),
    /// Remove one of them; never the current one.
    Prune(Key, String),
}

impl Call {
    /// What it is called in tests and diagnostics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Call::Connect => "connect",
            Call::Overview(_) => "overview",
            Call::Get(_) => "get",
            Call::Create(..) => "create",
            Call::Update(..) => "update",
            Call::Toggle(_) => "toggle",
            Call::Delete(_) => "delete",
            Call::Versions(_) => "versions",
            Call::Version(..) => "version",
            Call::Prune(..) => "prune",
        }
    }
}

/// What is sent to create or update a plugin.
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
    /// What the server's version history (0.12) shows beside the change. Older servers ignore it.
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
    /// Its digest, where the client has kept no more of it.
    pub digest: Option<Digest>,
    /// The meta object.
    pub meta: Map<String, Value>,
    /// The on/off switch (functions only).
    pub is_active: Option<bool>,
    /// Tools on servers before 0.8: present, if only as null.
    pub access_control: Option<Value>,
    /// The row has a version of its own, as since 0.12: an update that is refused leaves everything as it was. Before,
    /// the server switches the function off and may go on with a module that is not the stored one.
    pub versioned: bool,
    /// Which version it is, where it is versioned.
    pub version_id: Option<String>,
}

/// A version of a row, as the server's history lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The server's name for it.
    pub id: String,
    /// When it was made.
    pub at: Timestamp,
    /// What it was made from; `None` for the first one.
    pub parent: Option<String>,
    /// The words that came with the change.
    pub message: Option<String>,
    /// Who made it: the name of an account.
    pub author: Option<String>,
}

/// Why the server cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What happened, for the user.
    pub words: String,
    /// Nobody vouches for the server's certificate.
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

/// What came of a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`Call::Connect`]: an Open WebUI of this version answers.
    Connected {
        /// As `/api/version` says it.
        version: String,
    },
    /// To [`Call::Overview`].
    Rows(Vec<Row>),
    /// To the others, when they succeed.
    Row(Box<Row>),
    /// To [`Call::Delete`] and [`Call::Prune`]: it is gone.
    Deleted,
    /// To [`Call::Versions`], newest first.
    Versions(Vec<Version>),
    /// To [`Call::Version`]: its text.
    Text(String),
    /// The server says that this id does not exist; or that version of it, or that it keeps no versions (before 0.12).
    Absent,
    /// To [`Call::Create`]: the id exists after all.
    Taken,
    /// The server would not take the code, in its own words (which may be empty).
    Refused {
        /// The server's `detail`, unaltered.
        words: String,
    },
    /// The server, or a proxy in front of it, failed at this request: a 500, or a 4xx that says nothing about the code
    /// (409, 413, 422, 425 …). That may be the plugin's doing or not; the server is not away.
    Crashed {
        /// The body, shortened.
        words: String,
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
    /// Certain not to have been carried out: refused connection, 429, 503.
    Unreachable {
        /// Why.
        cause: Cause,
        /// `Retry-After`, where the server gave one.
        retry_after: Option<Duration>,
    },
    /// Its database would not take the change, which is not the text's doing. Before 0.12 a text that was sent may be
    /// what runs from then on, whatever is stored.
    Stumbled {
        /// What happened, for the user.
        cause: String,
    },
    /// The request left and no answer came (timeout, reset): carried out or not, nobody knows.
    Lost {
        /// What happened, for the user.
        cause: String,
    },
    /// The answer to a question is too long, in no known form, or about something else: it tells nothing.
    Unusable {
        /// What is the matter with it, for the user.
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
    /// What it means where it is no answer to what was asked.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        match self {
            Reply::Unreachable { cause, retry_after } => Failure::Unreachable { cause, retry_after },
            // A question that got no answer changed nothing; and a server that fails at one is in trouble itself.
            Reply::Lost { cause } | Reply::Stumbled { cause } => {
                Failure::Unreachable { cause: cause.into(), retry_after: None }
            }
            Reply::Crashed { words } => {
                Failure::Unreachable { cause: format!("the server fails: {words}").into(), retry_after: None }
            }
            Reply::NotAllowed { status, words } => Failure::NotAllowed { status, words },
            Reply::Unclear { words } => Failure::NotOurs { words },
            Reply::Foreign { status, words } => Failure::Foreign { status, words },
            Reply::Refused { words } | Reply::Unusable { words } => Failure::Odd { words },
            Reply::Connected { .. }
            | Reply::Rows(_)
            | Reply::Row(_)
            | Reply::Absent
            | Reply::Taken
            | Reply::Deleted
            | Reply::Versions(_)
            // Not to be repeated: a reply may hold a whole source text.
            | Reply::Text(_) => Failure::Odd { words: "an answer to another question than the one asked".to_owned() },
        }
    }
}

/// Why a conversation ended without a verdict on the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server is away, or busy: to be tried again.
    Unreachable {
        /// Why.
        cause: Cause,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It was sent, no answer came, and the server does not hold it, or does not answer at all any more. That may have been
    /// the text's doing.
    Unanswered {
        /// What happened.
        cause: String,
    },
    /// The server could not store it, which is not the text's doing. Before 0.12 it may be what runs all the same.
    Stumbled {
        /// What happened.
        cause: String,
    },
    /// The key or its role is not enough for anything.
    NotAllowed {
        /// HTTP status, or 0.
        status: u16,
        /// The server's words.
        words: String,
    },
    /// What answers is not Open WebUI's API.
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
    /// The server holds another text than the one it has just taken: somebody else wrote at the same moment.
    StoredOther,
    /// The server hides why, and would not take a plugin of one line either: it is not the text's doing.
    TakesNone {
        /// Its words.
        words: String,
    },
    /// The copy of what was about to be replaced could not be written, so nothing was sent.
    KeepFailed {
        /// The system's words.
        words: String,
    },
    /// An answer that fits nothing we know.
    Odd {
        /// What it looked like.
        words: String,
    },
}

impl Failure {
    /// Whether it is known that nothing was changed on the server.
    pub(super) fn is_certain(&self) -> bool {
        !matches!(self, Failure::Unanswered { .. } | Failure::Stumbled { .. } | Failure::Odd { .. })
    }

    /// Whether the server is away, or in trouble.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Failure::Unreachable { .. } | Failure::Unanswered { .. } | Failure::Stumbled { .. })
    }
}

impl Row {
    /// The version in the stored frontmatter.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let version = self.meta.get("manifest")?.get("version")?.as_str()?;
        (!version.is_empty()).then(|| version.to_owned())
    }

    /// Of the stored text, where the server shows it.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.content.as_deref().map(Digest::of_text)
    }
}
