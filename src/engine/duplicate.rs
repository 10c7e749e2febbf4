//! Is a plugin that is about to be created on the server already, under another id? Its title and author, or the id that
//! the community site gave it, tell.

use std::collections::BTreeSet;

use crate::engine::deploy::Row;
use crate::plugin::Plugin;
use crate::plugin::id::PluginId;

/// What tells a plugin from others, whatever its id. Empty where the frontmatter does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    title: String,
    author: String,
    openwebui_id: String,
}

impl Identity {
    /// Of a plugin here.
    #[must_use]
    pub fn of(plugin: &Plugin) -> Self {
        let field = |name| plugin.frontmatter.get(name).unwrap_or_default().trim().to_owned();
        Self { title: field("title"), author: field("author"), openwebui_id: field("openwebui_id") }
    }

    /// Of a plugin on the server, whose manifest is its frontmatter.
    #[must_use]
    pub fn of_row(row: &Row) -> Self {
        let manifest = row.meta.get("manifest");
        let field = |name| {
            let text = manifest.and_then(|manifest| manifest.get(name)?.as_str());
            text.unwrap_or_default().trim().to_owned()
        };
        Self { title: field("title"), author: field("author"), openwebui_id: field("openwebui_id") }
    }

    /// Whether it can tell anything.
    #[must_use]
    pub fn tells(&self) -> bool {
        !self.openwebui_id.is_empty() || (!self.title.is_empty() && !self.author.is_empty())
    }

    /// Whether two are the same plugin, as far as their authors say.
    fn matches(&self, other: &Self) -> Option<MatchedBy> {
        if !self.openwebui_id.is_empty() && self.openwebui_id == other.openwebui_id {
            Some(MatchedBy::OpenwebuiId)
        } else if !self.title.is_empty()
            && !self.author.is_empty()
            && (&self.title, &self.author) == (&other.title, &other.author)
        {
            Some(MatchedBy::TitleAndAuthor)
        } else {
            None
        }
    }
}

/// What two plugins have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedBy {
    /// Title and author.
    TitleAndAuthor,
    /// The id that the community site gave it.
    OpenwebuiId,
}

/// The same plugin under another id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// That id.
    pub id: PluginId,
    /// What tells.
    pub matched_by: MatchedBy,
}

/// What is known of twins when a conversation begins.
#[derive(Clone, Debug)]
pub enum Duplicates {
    /// Nobody wants to know.
    Ignored,
    /// The server was asked just now.
    Known(Option<Duplicate>),
    /// The server is to be asked, where it matters; these ids belong to other files here, which is looked at then.
    Unknown(BTreeSet<PluginId>),
}

/// Looks for a twin among what the server holds, apart from what other files here are.
pub fn find<'a>(
    identity: &Identity,
    own: &PluginId,
    rows: impl IntoIterator<Item = (&'a PluginId, &'a Identity)>,
    claimed_elsewhere: impl Fn(&PluginId) -> bool,
) -> Option<Duplicate> {
    let duplicate = |(id, other): (&PluginId, &Identity)| {
        let matched_by = identity.matches(other).filter(|_| id != own && !claimed_elsewhere(id))?;
        Some(Duplicate { id: id.clone(), matched_by })
    };
    rows.into_iter().find_map(duplicate)
}
