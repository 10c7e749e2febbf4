//! Phrases that the sentences of notices, reports and JSON share.

use std::borrow::Cow;

use crate::engine::duplicate::{Duplicate, MatchedBy};
use crate::engine::ledger::{Refusal, RefusalKind};

pub(super) fn has_duplicate(Duplicate { id, matched_by }: &Duplicate) -> String {
    let matched_by = match matched_by {
        MatchedBy::TitleAndAuthor => "title and author",
        MatchedBy::OpenwebuiId => "openwebui_id",
        MatchedBy::Text => "text",
    };
    format!("the server has a plugin with the same {matched_by} under the id `{id}`")
}

/// What is said before the user is asked whether to create a duplicate.
pub(super) fn not_created(duplicate: &Duplicate) -> String {
    format!("not created: {}", has_duplicate(duplicate))
}

/// The reason of a refusal: the server's words, or that there were none.
pub(super) fn refused(refusal: &Refusal) -> Cow<'_, str> {
    match refusal.kind {
        RefusalKind::Said | RefusalKind::TooLarge => Cow::Borrowed(&refusal.words),
        RefusalKind::NoAnswer => format!("the server gave no answer to it, twice: {}", refusal.words).into(),
    }
}
