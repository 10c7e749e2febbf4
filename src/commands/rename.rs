//! Before `deploy` creates a plugin: whether the server seems to have it already under another id, as after a rename of its
//! file.

use super::ask::agreed;
use super::server::Server;
use super::target::{Files, Local};
use super::{CommandContext, trouble};
use crate::config::Config;
use crate::engine::deploy::{Adopt, Row};
use crate::engine::duplicate::{self, Duplicate, Identity, MatchedBy};
use crate::error::Error;
use crate::notice::{Notice, NoticeKind, Report, Task, of_duplicate};
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::id::PluginId;
use crate::plugin::{Digest, Key, normal};

/// Tells which of the plugins that these words name the server seems to have under another id, and asks whether to create
/// them all the same. A server that does not answer is asked by the deploy itself.
///
/// # Errors
///
/// Nobody can be asked.
pub async fn may_create(context: &CommandContext, words: &[String]) -> Result<bool, Error> {
    let (Ok(files), Ok(server)) = (Files::read(&context.config), Server::connect(context).await) else {
        return Ok(true);
    };
    for word in words {
        // The deploy says what is wrong with a word.
        let targets = files.find(&context.spelled(word), context, None).await.unwrap_or_default();
        for local in targets.iter().filter_map(|target| target.local.as_ref()).filter(|local| local.is_plugin) {
            let Some(duplicate) = found(&context.config, &files, server, local).await else { continue };
            let (about, id) = (local.subject(), &duplicate.id);
            let what = NoticeKind::Duplicate { duplicate: duplicate.clone() };
            let message = Notice { about: about.clone(), what }.sentence();
            context.screen.aside(&trouble(about.clone(), message, Some(of_duplicate(&about, &duplicate))));
            if !agreed(&format!("create `{}` beside `{id}`?", local.key.id), Task::Deploy)? {
                context.screen.aside(&Notice::report(about, Report::Declined { task: Task::Deploy, folder: None }));
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The plugin on the server that this one seems to be, if the server does not have this one.
async fn found(config: &Config, files: &Files, server: Server<'_>, local: &Local) -> Option<Duplicate> {
    let adopt = config.adopt_files.get(&*local.path).copied().unwrap_or(config.adopt);
    if adopt == Adopt::Never || !matches!(server.row(&local.key).await, Ok(None)) {
        return None;
    }
    let kind = local.key.kind;
    let rows = server.rows(kind).await.ok().flatten()?;
    let rows: Vec<_> = rows.iter().filter_map(|row| Some((PluginId::new(&row.id)?, row))).collect();
    let is_here = |id: &PluginId| files.has(&Key { kind, id: id.clone() });
    let others: Vec<_> = rows.iter().map(|(id, row)| (id, Identity::of_row(row))).collect();
    let identity = Identity::of_frontmatter(&Frontmatter::parse(&normal::normal(&local.text)));
    let alike = duplicate::find(&identity, &local.key.id, others.iter().map(|(id, other)| (*id, other)), is_here);
    alike.or_else(|| same_text(rows.iter().map(|(id, row)| (id, *row)), local.digest, is_here))
}

/// A plugin of the server with this text and no file here.
pub(super) fn same_text<'a>(
    mut rows: impl Iterator<Item = (&'a PluginId, &'a Row)>,
    text: Digest,
    is_here: impl Fn(&PluginId) -> bool,
) -> Option<Duplicate> {
    let same = rows.find(|(id, row)| row.digest.or_else(|| row.digest()) == Some(text) && !is_here(id));
    same.map(|(id, _)| Duplicate { id: id.clone(), matched_by: MatchedBy::Text })
}
