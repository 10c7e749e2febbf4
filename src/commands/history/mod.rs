//! The earlier texts of a plugin: our copies of deployed and replaced texts, and the server's versions.

mod choose;
mod merge;
mod table;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::server::{Server, text};
use super::table::{Cells, aligned};
use super::target::{Files, Target};
use super::{CommandContext, now};
use crate::disk::{Copy, Origin};
use crate::engine::Code;
use crate::engine::deploy::Version;
use crate::error::Error;
use crate::notice::{HistoryEntry, Notice, NoticeKind, Provenance, Report, Subject, Trouble};
use crate::output::{Format, Screen};
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::{Digest, Key, normal};
use merge::merged;
use table::{Row, cells, rows};

pub(super) use choose::{chosen, dated, described, text_of};

/// How many of the server's versions to read with their texts.
const MOST_TEXTS: usize = 20;

/// A text that the plugin had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) what: Provenance,
    /// When it was deployed, replaced, or saved on the server, where known.
    pub(super) at: Option<Timestamp>,
    /// `None` if only the server has it and it was not read.
    pub(super) text: Option<Text>,
    /// Our copy.
    pub(super) copy: Option<PathBuf>,
    /// The server's version of it.
    pub(super) version: Option<Version>,
    /// Whether the server holds it now.
    pub(super) current: bool,
}

/// A text with its digest and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) source: Arc<str>,
    pub(super) digest: Digest,
    /// From its frontmatter.
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
            Origin::Deployed => Provenance::Deployed,
            Origin::Restored => Provenance::RolledBack,
            Origin::Found => Provenance::Server,
            Origin::Replaced => Provenance::Replaced,
            Origin::Local => Provenance::Local,
        };
        let text = Text { source: copy.text.into(), digest: copy.digest, version: copy.version };
        Self { what, at: Some(copy.at), text: Some(text), copy: Some(copy.path), version: None, current: false }
    }
}

impl Entry {
    /// Whether we put it on the server.
    fn is_ours(&self) -> bool {
        matches!(self.what, Provenance::Deployed | Provenance::RolledBack)
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        self.text.as_ref().map(|text| text.digest)
    }
}

/// Prints the history of each plugin. `all`: each text has a row of its own.
///
/// # Errors
///
/// A word names no plugin, or the server cannot be reached or denies access; what is known here is printed all the
/// same.
pub async fn history(context: &CommandContext, words: &[String], all: bool) -> Result<Code, Error> {
    context.warn_of_unused_state();
    let files = Files::read(&context.config)?;
    // Our own copies can be listed without the server.
    let (server, mut away) = match Server::connect(context).await {
        Ok(server) => (Some(server), None),
        Err(refusal) => (None, Some(refusal)),
    };
    let mut targets = Vec::new();
    for word in words {
        let found = match files.select(&context.spelled(word), context, server).await {
            Ok(found) => found,
            // Only the server knows whether there is such a plugin.
            Err(refusal) => return Err(away.unwrap_or(refusal)),
        };
        for target in found {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    let headed = targets.len() > 1 && context.screen.format == Format::Lines;
    for target in &targets {
        let local = || merged(context.folder.copies_with_files(&context.file_copies, &target.key), Vec::new(), None);
        let entries = match server {
            Some(server) => gather(context, server, target).await.unwrap_or_else(|refusal| {
                away = Some(refusal);
                local()
            }),
            None => local(),
        };
        if headed {
            context.screen.heading(&target.key.to_string());
        }
        print(&context.screen, &entries, all, &target.key);
        // What the server has may be its history.
        if entries.is_empty() && away.is_none() {
            context.screen.aside(&Notice::report(Subject::from(&target.key), Report::NoHistory));
        }
    }
    away.map_or(Ok(Code::Fine), Err)
}

fn print(screen: &Screen, entries: &[Entry], all: bool, key: &Key) {
    let (zone, now) = (TimeZone::system(), now());
    // Programs read each text.
    let rows = rows(entries, all || screen.format == Format::Json);
    let table: Vec<_> = rows.iter().map(|row| cells(row, now, &zone)).collect();
    for ((row, cells), line) in rows.iter().zip(&table).zip(aligned(&table, Screen::columns())) {
        screen.row(&notice(row, cells, key), &line);
    }
}

/// The current text on the server, and all earlier texts that the server or we know.
pub(super) async fn gather(context: &CommandContext, server: Server<'_>, target: &Target) -> Result<Vec<Entry>, Error> {
    let key = &target.key;
    let row = server.row(key).await?;
    let now = match &row {
        Some(row) => Some(Text::new(text(key, row.content.as_deref())?)),
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
    Ok(merged(context.folder.copies_with_files(&context.file_copies, key), versions, now))
}

/// The server's versions; none, with a warning, if this account may not see them.
async fn listed(context: &CommandContext, server: Server<'_>, key: &Key) -> Result<Vec<Version>, Error> {
    let versions = server.versions(key).await?;
    if versions.is_none() {
        let what = NoticeKind::Trouble(Trouble::VersionsHidden(key.clone()));
        context.screen.aside(&Notice { about: key.into(), what });
    }
    Ok(versions.unwrap_or_default())
}

/// The rest of a commit message after the prefix of this deploy; `None` if it has another prefix.
fn beside<'m>(message: &'m str, deploy: &str) -> Option<&'m str> {
    let rest = message.strip_prefix(deploy)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(", ") }
}

/// The short id by which `rollback` accepts it.
pub(super) fn name(entry: &Entry) -> String {
    let digest = entry.digest().map(|digest| short(&digest.to_string()).to_owned());
    let version = || entry.version.as_ref().map(|version| short(&version.id).to_owned());
    digest.or_else(version).unwrap_or_default()
}

/// A local time.
pub(super) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The beginning of a version id or digest: enough to tell them apart.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn notice(Row { entry, lines, .. }: &Row<'_>, cells: &Cells<7>, key: &Key) -> Notice {
    let row = cells.iter().filter(|cell| !cell.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ");
    let version = entry.text.as_ref().and_then(|text| text.version.clone());
    let about = Subject { version, digest: entry.digest(), ..Subject::from(key) };
    let history = HistoryEntry {
        row,
        what: entry.what,
        at: entry.at,
        current: entry.current,
        backup: entry.copy.clone(),
        version: entry.version.clone(),
        lines: *lines,
    };
    Notice::report(about, Report::History(Box::new(history)))
}
