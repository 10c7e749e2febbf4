//! Finds out whether a plugin that is about to be created is already on the server under another id: by its title and
//! author, or by the id that the community site gave it.

use std::collections::BTreeSet;

use crate::plugin::Plugin;
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::id::PluginId;

/// What identifies a plugin whatever its id. Fields are empty if the frontmatter does not give them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    title: String,
    author: String,
    openwebui_id: String,
}

impl Identity {
    /// The identity that these fields give.
    #[must_use]
    pub fn new(title: &str, author: &str, openwebui_id: &str) -> Self {
        let [title, author, openwebui_id] = [title, author, openwebui_id].map(|field| field.trim().to_owned());
        Self { title, author, openwebui_id }
    }

    /// The identity of a plugin here.
    #[must_use]
    pub fn of(plugin: &Plugin) -> Self {
        Self::of_frontmatter(&plugin.frontmatter)
    }

    /// The identity of a plugin with this header.
    #[must_use]
    pub fn of_frontmatter(frontmatter: &Frontmatter) -> Self {
        let field = |name| frontmatter.get(name).unwrap_or_default();
        Self::new(field("title"), field("author"), field("openwebui_id"))
    }

    /// Whether it identifies anything.
    #[must_use]
    pub fn tells(&self) -> bool {
        !self.openwebui_id.is_empty() || (!self.title.is_empty() && !self.author.is_empty())
    }

    /// Whether two plugins seem to be the same, and by what.
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

/// The fields that two plugins share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedBy {
    /// Title and author.
    TitleAndAuthor,
    /// The id that the community site gave it.
    OpenwebuiId,
    /// The whole text. The watch does not ask because of that: it creates the plugin, and tells that its id changed.
    Text,
}

/// The same plugin under another id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The other id.
    pub id: PluginId,
    /// The shared fields.
    pub matched_by: MatchedBy,
}

/// What a deploy knows of duplicates when it begins.
#[derive(Clone, Debug)]
pub enum Duplicates {
    /// They do not matter.
    Ignored,
    /// The server was asked just now.
    Known(Option<Duplicate>),
    /// Ask the server before creating the plugin. These ids belong to other files here.
    Unknown(BTreeSet<PluginId>),
}

/// Looks for a duplicate among the server's plugins, except those of other files here.
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
