//! Before `deploy` creates a plugin: whether the server seems to have it already under another id, as after a rename of
//! its file.

use std::collections::BTreeMap;

use super::CommandContext;
use super::ask::agreed;
use super::server::Server;
use super::target::{Files, Local};
use crate::engine::deploy::{Adopt, ListedRow};
use crate::engine::duplicate::{self, Duplicate, Identity, MatchedBy};
use crate::error::Error;
use crate::notice::{Notice, Report, Task};
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::id::PluginId;
use crate::plugin::{Digest, Key, Kind, normal};

/// Whether a deploy may create new plugins.
pub enum MayCreate {
    /// The server has none of them under another id, or the user wants another one.
    Yes,
    /// The user does not want a second one.
    No,
    /// They could not be compared with those on the server.
    Unknown(Error),
}

/// Tells which of the plugins that these words name the server seems to have under another id, and asks whether to
/// create them all the same.
///
/// # Errors
///
/// Nobody can be asked.
pub async fn may_create(context: &CommandContext, words: &[String]) -> Result<MayCreate, Error> {
    let found = match found(context, words).await {
        Ok(found) => found,
        Err(error) => return Ok(MayCreate::Unknown(error)),
    };
    for (local, duplicate) in found {
        let (about, id) = (local.subject().in_project(&context.config.project), duplicate.id.clone());
        context.screen.aside(&Notice::report(about.clone(), Report::Duplicate(duplicate)));
        if !agreed(&format!("create `{}` beside `{id}`?", local.key.id), Task::Deploy)? {
            context.screen.aside(&Notice::report(about, Report::Declined { task: Task::Deploy, folder: None }));
            return Ok(MayCreate::No);
        }
    }
    Ok(MayCreate::Yes)
}

/// The plugins among those that these words name which the server seems to have under another id. One that was deployed
/// from here is no new one.
async fn found(context: &CommandContext, words: &[String]) -> Result<Vec<(Local, Duplicate)>, Error> {
    let (config, files) = (&context.config, Files::read(&context.config)?);
    let ledger = context.folder.peek();
    let is_known = |key: &Key| ledger.get(key).is_some_and(|record| record.deployed.is_some());
    let mut locals: BTreeMap<Key, Local> = BTreeMap::new();
    for word in words {
        let targets = files.find(&context.spelled(word), context, None).await?;
        let ours = targets
            .into_iter()
            .filter_map(|target| target.local)
            .filter(|local| local.is_plugin && config.adopt_of(&local.path) != Adopt::Never && !is_known(&local.key));
        locals.extend(ours.map(|local| (local.key.clone(), local)));
    }
    let mut found = Vec::new();
    if locals.is_empty() {
        return Ok(found);
    }
    let server = Server::connect(context).await?;
    for kind in Kind::ALL {
        if locals.keys().all(|key| key.kind != kind) {
            continue;
        }
        let Some(rows) = server.rows(kind).await? else {
            return Err(Error::failed(format!("the server's list of {}s is too large to read", kind.word())));
        };
        let rows: BTreeMap<_, _> = rows.iter().map(|row| (&row.id, row)).collect();
        for local in locals.values().filter(|local| local.key.kind == kind && !rows.contains_key(&local.key.id)) {
            let identity = Identity::of_frontmatter(&Frontmatter::parse(&normal::normal(&local.text)));
            let is_here = |id: &PluginId| files.has(&Key { kind, id: id.clone() });
            // A missing folder hides its plugins.
            let text = files.missing.is_empty().then_some(local.digest);
            let duplicate = duplicate_of(&identity, &local.key.id, text, rows.values().copied(), is_here);
            found.extend(duplicate.map(|duplicate| (local.clone(), duplicate)));
        }
    }
    Ok(found)
}

/// The plugin of the server that a new one here seems to be: by its header, else by its text, if that counts.
pub(super) fn duplicate_of<'a>(
    identity: &Identity,
    id: &PluginId,
    text: Option<Digest>,
    rows: impl Iterator<Item = &'a ListedRow> + Clone,
    is_here: impl Fn(&PluginId) -> bool,
) -> Option<Duplicate> {
    let mut rows = rows;
    let alike = duplicate::find(identity, id, rows.clone().map(|row| (&row.id, &row.identity)), &is_here);
    alike.or_else(|| {
        let text = text?;
        let same = rows.find(|row| row.digest == Some(text) && !is_here(&row.id))?;
        Some(Duplicate { id: same.id.clone(), matched_by: MatchedBy::Text })
    })
}
