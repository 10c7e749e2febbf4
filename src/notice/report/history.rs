//! The texts that a plugin had, as `history` lists them.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;

use super::Said;
use crate::engine::deploy::Version;
use crate::paths::slashed;

/// A text that a plugin had.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// The entry in words.
    pub row: String,
    /// Where the text comes from.
    pub what: Provenance,
    /// When it was deployed, replaced, or made on the server.
    pub at: Option<Timestamp>,
    /// Whether the server holds it now.
    pub current: bool,
    /// Our copy.
    pub backup: Option<PathBuf>,
    /// The server's version of it.
    pub version: Option<Version>,
    /// How it differs from the text before it.
    pub lines: Option<ChangedLines>,
}

/// Where a text of the history comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// We deployed it.
    Deployed,
    /// A rollback from here put it back.
    RolledBack,
    /// Someone else put it on the server.
    Server,
    /// Someone else put it on the server, and we replaced it.
    Replaced,
    /// It was in the file, and a pull replaced it.
    Local,
}

/// How many lines differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangedLines {
    /// Lines that only the second text has.
    pub added: u32,
    /// Lines that only the first one has.
    pub removed: u32,
}

impl fmt::Display for ChangedLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} −{}", self.added, self.removed)
    }
}

impl HistoryEntry {
    pub(super) fn said(&self) -> Said {
        let version = self.version.as_ref();
        Said::info("history", &*self.row)
            .with("what", json!(self.what.word()))
            .with("at", json!(self.at.map(|at| at.to_string())))
            .with("current", json!(self.current))
            .with("copy", json!(self.backup.as_deref().map(slashed)))
            .with("server_version_id", json!(version.map(|version| &version.id)))
            .with("commit_message", json!(version.and_then(|version| version.message.as_ref())))
            .with("author", json!(version.and_then(|version| version.author.as_ref())))
            .with("added", json!(self.lines.map(|lines| lines.added)))
            .with("removed", json!(self.lines.map(|lines| lines.removed)))
    }

    /// An entry with all fields.
    #[cfg(test)]
    pub(super) fn sample() -> Self {
        let at = Timestamp::UNIX_EPOCH;
        let message = Some("a fix".to_owned());
        Self {
            row: "1.1 3bfc2695".to_owned(),
            what: Provenance::Server,
            at: Some(at),
            current: true,
            backup: Some(PathBuf::from("copy")),
            version: Some(Version { id: "v1".to_owned(), at, parent: None, message, author: None }),
            lines: Some(ChangedLines { added: 3, removed: 1 }),
        }
    }
}

impl Provenance {
    /// The stable word for it: `what` in `--json`.
    fn word(self) -> &'static str {
        match self {
            Provenance::Deployed => "deployed",
            Provenance::RolledBack => "rolled_back",
            Provenance::Server => "on_the_server",
            Provenance::Replaced => "replaced",
            Provenance::Local => "local_file",
        }
    }

    /// As the table of the history shows it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Provenance::Deployed => "deployed",
            Provenance::RolledBack => "rolled back",
            Provenance::Server => "server",
            Provenance::Replaced => "replaced",
            Provenance::Local => "local",
        }
    }
}
