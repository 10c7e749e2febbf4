//! What a plugin's text was: our copies of what was deployed and replaced, and the versions that the server keeps.

mod merge;
mod table;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::CommandContext;
use super::screen::{Line, Screen};
use super::server::{Server, text};
use super::target::{Files, Target};
use crate::disk::{Copy, Origin};
use crate::engine::Code;
use crate::engine::deploy::Version;
use crate::error::Error;
use crate::notice::Level;
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::{Digest, Key, normal};
use merge::merged;
use table::{Cells, aligned, cells};

/// How many of the server's versions are asked for their texts.
const MOST_TEXTS: usize = 20;

/// A text that the plugin had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) what: What,
    /// When it was deployed, replaced, or made on the server; `None` for what is simply there.
    pub(super) at: Option<Timestamp>,
    /// `None` where only the server has it, and was not asked for it.
    pub(super) text: Option<Text>,
    /// Our copy.
    pub(super) copy: Option<PathBuf>,
    /// The server's version of it.
    pub(super) version: Option<Version>,
    /// Whether it is what the server holds now.
    pub(super) current: bool,
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// We put it on the server.
    Deployed,
    /// It is, or was, on the server, and we have nothing to do with it.
    Server,
    /// It was somebody else's, and we replaced it.
    Replaced,
    /// It was a file's, and a pull replaced it.
    Local,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            What::Deployed => "deployed",
            What::Server => "server",
            What::Replaced => "replaced",
            What::Local => "local",
        }
    }

    /// Its name for programs.
    fn name(self) -> &'static str {
        match self {
            What::Deployed => "deployed",
            What::Server => "on_the_server",
            What::Replaced => "replaced",
            What::Local => "local_file",
        }
    }
}

/// A text, and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) source: Arc<str>,
    pub(super) digest: Digest,
    /// In its frontmatter.
    pub(super) version: Option<String>,
}

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let version = Frontmatter::parse(&normal::normal(text)).version().map(str::to_owned);
        Self { source: text.into(), digest: Digest::of_text(text), version }
    }
}

impl From<Copy> for Entry {
    fn from(copy: Copy) -> Self {
        let what = match copy.origin {
            Origin::Deployed => What::Deployed,
            Origin::Found => What::Server,
            Origin::Replaced => What::Replaced,
            Origin::Local => What::Local,
        };
        let text = Text { source: copy.text.into(), digest: copy.digest, version: copy.version };
        Self { what, at: Some(copy.at), text: Some(text), copy: Some(copy.path), version: None, current: false }
    }
}

impl Entry {
    pub(super) fn digest(&self) -> Option<Digest> {
        self.text.as_ref().map(|text| text.digest)
    }
}

/// Prints the history of a plugin.
pub async fn history(context: &CommandContext, name: &str) -> Result<Code, Error> {
    Screen::new(context).warn_of_unused_state(&context.folder);
    let files = Files::read(&context.config)?;
    // Our own copies can be listed without it.
    let (server, mut away) = match Server::connect(context).await {
        Ok(server) => (Some(server), None),
        Err(refusal) => (None, Some(refusal)),
    };
    let target = match files.select_one(&context.spelled(name), context, server).await {
        Ok(target) => target,
        // Whether there is such a plugin, only the server knows.
        Err(refusal) => return Err(away.unwrap_or(refusal)),
    };
    let screen = Screen::new(context);
    let entries = match server {
        Some(server) => match gather(context, server, &target).await {
            Ok(entries) => entries,
            Err(refusal) => {
                away = Some(refusal);
                merged(context.folder.copies(&target.key), Vec::new(), None)
            }
        },
        None => merged(context.folder.copies(&target.key), Vec::new(), None),
    };
    let zone = TimeZone::system();
    let table: Vec<_> = entries.iter().map(|entry| cells(entry, &zone)).collect();
    for ((entry, cells), row) in entries.iter().zip(&table).zip(aligned(&table, Screen::columns())) {
        screen.row(&line(entry, cells, &target.key), &row);
    }
    if let Some(refusal) = away {
        return Err(refusal);
    }
    if entries.is_empty() {
        screen.aside(&Line::new("no_history", format!("nothing is known of {} yet", target.key)).of(&target.key));
    }
    Ok(Code::Fine)
}

/// What the server holds, and everything that it, and we, know of before.
pub(super) async fn gather(context: &CommandContext, server: Server<'_>, target: &Target) -> Result<Vec<Entry>, Error> {
    let key = &target.key;
    let row = server.row(key).await?;
    let now = match &row {
        Some(row) => Some(Text::new(text(key, row)?)),
        None => None,
    };
    let mut versions = Vec::new();
    let version_id = row.as_ref().and_then(|row| row.version_id.clone());
    if row.as_ref().is_some_and(|row| row.versioned) {
        for (place, version) in listed(context, server, key).await?.into_iter().enumerate() {
            let text = match &now {
                Some(now) if Some(&version.id) == version_id.as_ref() => Some(now.clone()),
                _ if place < MOST_TEXTS => server.version(key, &version.id).await?.map(|text| Text::new(&text)),
                _ => None,
            };
            versions.push((version, text));
        }
    }
    let now = now.map(|now| (now, version_id));
    Ok(merged(context.folder.copies(key), versions, now))
}

/// The server's versions. An account that may not see them can still see the rest.
async fn listed(context: &CommandContext, server: Server<'_>, key: &Key) -> Result<Vec<Version>, Error> {
    let versions = server.versions(key).await?;
    if versions.is_none() {
        let line = Line::new("trouble", format!("the server does not show the versions of {key} to this key"));
        Screen::new(context).aside(&line.of(key).level(Level::Warning));
    }
    Ok(versions.unwrap_or_default())
}

/// What a message says beside that it is about this deploy; `None` if it is not.
fn beside<'m>(message: &'m str, deploy: &str) -> Option<&'m str> {
    let rest = message.strip_prefix(deploy)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(", ") }
}

/// What a rollback takes it by.
pub(super) fn name(entry: &Entry) -> String {
    let digest = entry.digest().map(|digest| short(&digest.to_string()).to_owned());
    let version = || entry.version.as_ref().map(|version| short(&version.id).to_owned());
    digest.or_else(version).unwrap_or_default()
}

/// The server's version ids are long; their beginning tells them apart.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn line(entry: &Entry, cells: &Cells, key: &Key) -> Line {
    let version = entry.version.as_ref();
    let message = cells.iter().filter(|cell| !cell.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ");
    Line::new("history", message)
        .of(key)
        .with("what", json!(entry.what.name()))
        .with("at", json!(entry.at.map(|at| at.to_string())))
        .with("current", json!(entry.current))
        .with("version", json!(entry.text.as_ref().and_then(|text| text.version.as_ref())))
        .with("digest", json!(entry.digest()))
        .with("copy", json!(entry.copy.as_ref().map(|path| path.display().to_string())))
        .with("server_version_id", json!(version.map(|version| &version.id)))
        .with("commit_message", json!(version.and_then(|version| version.message.as_ref())))
        .with("author", json!(version.and_then(|version| version.author.as_ref())))
}
