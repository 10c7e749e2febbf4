//! Whose failure it is. Outside of the sandbox a server gives an exception's words alone, and several functions take
//! part in a chat: the filters that are on for the model, and the pipe behind it.

use super::{Attempt, Obstacle, ObstacleKind, Trying};
use crate::client::TrialEnd;
use crate::engine::deploy::{Call, ListedRow, Reply};
use crate::notice::{Suspect, TrialFailure, TrialRemedy, TrialResult};
use crate::plugin::id::PluginId;
use crate::plugin::{Entry, Key, Kind};

/// The server's words for a failure that it gives no reason for.
const NO_REASON: &str = "Internal Server Error";
/// The server's words for a generator, or a filter's `stream`, that raises half way.
const BROKEN_STREAM: &str = "Chat completion stream failed";
/// The server's words for a model that it does not offer.
const NO_MODEL: &str = "Model not found";

/// Where an attempt failed, as far as the server's answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedIn {
    /// Surely in the plugin.
    Plugin,
    /// In the pipe behind the model, if there is one.
    Pipe,
    /// In any function that takes part in the chat, or in the model.
    Chat,
    /// In any of the filters.
    Filters,
}

impl FailedIn {
    /// What the end of a chat tells.
    pub(super) fn of(end: &TrialEnd) -> Self {
        match end {
            TrialEnd::PipeFailed(_) => Self::Pipe,
            TrialEnd::Failed(_) | TrialEnd::Late | TrialEnd::NoServer(_) => Self::Chat,
            TrialEnd::Chat(answer) if answer.breaks_off => Self::Chat,
            TrialEnd::Chat(_) | TrialEnd::Json(_) => Self::Plugin,
        }
    }
}

/// A filter that is on.
pub(super) struct ActiveFilter {
    id: String,
    is_global: bool,
}

/// A failure in the server's words, or in those of an exception, with what they mean.
pub(super) fn explained(words: &str) -> TrialFailure {
    let (words, remedy) = match words {
        NO_REASON => (format!("the server failed and gave no reason ({words})"), TrialRemedy::FindLine),
        BROKEN_STREAM => {
            (format!("the answer broke off: a generator or a `stream` raised ({words})"), TrialRemedy::FindLine)
        }
        NO_MODEL => (format!("the server does not offer the model ({words})"), TrialRemedy::AllowModel),
        words => (words.to_owned(), TrialRemedy::FindLine),
    };
    TrialFailure { remedy: Some(remedy), ..TrialFailure::new(words) }
}

impl Trying<'_> {
    /// The attempt with the other functions that may have failed in it.
    ///
    /// # Errors
    ///
    /// Another plugin failed.
    pub(super) async fn blamed(&self, mut attempt: Attempt, entry: Entry) -> Result<Attempt, Obstacle> {
        let TrialResult::Fails(failure) = &mut attempt.result else { return Ok(attempt) };
        let is_pipe = entry == Entry::Pipe;
        match (attempt.failed_in, self.pipe_behind(&attempt.model)) {
            (FailedIn::Plugin, _) => {}
            (FailedIn::Pipe, _) if is_pipe => {}
            (FailedIn::Pipe, Some(pipe)) => {
                let why = format!("pipe `{pipe}`, which answers there, failed: {}", failure.words);
                let culprit = PluginId::new(pipe).map(|id| Key { kind: Kind::Function, id });
                return Err(Obstacle::new(ObstacleKind::Disturbed(culprit), why));
            }
            (failed_in, pipe) => {
                failure.others = self.other_filters(&attempt.model).await;
                if !is_pipe && failed_in != FailedIn::Filters {
                    let model = || Suspect::Model(attempt.model.clone());
                    failure.others.push(pipe.map_or_else(model, |pipe| Suspect::Pipe(pipe.to_owned())));
                }
            }
        }
        Ok(attempt)
    }

    /// The pipe behind a model.
    fn pipe_behind(&self, model: &str) -> Option<&str> {
        let model = self.models.iter().find(|listed| listed.id == model && listed.is_pipe)?;
        model.id.split('.').next()
    }

    /// The other filters that take part in a chat with the model, as far as the server tells.
    async fn other_filters(&self, model: &str) -> Vec<Suspect> {
        let attached = self.models.iter().find(|listed| listed.id == model).map(|listed| listed.filters.as_slice());
        if self.filters.get().is_none() {
            self.filters.set(self.active_filters().await).ok();
        }
        let Some(filters) = self.filters.get().and_then(Option::as_ref) else {
            return vec![Suspect::AnyFilter];
        };
        let takes_part = |id: &String| attached.is_some_and(|attached| attached.contains(id));
        let others = filters.iter().filter(|filter| filter.is_global || takes_part(&filter.id));
        others.filter(|filter| filter.id != self.id()).map(|filter| Suspect::Filter(filter.id.clone())).collect()
    }

    /// The filters that are on; `None` if the server does not list its functions.
    async fn active_filters(&self) -> Option<Vec<ActiveFilter>> {
        let Reply::Rows(rows) = self.plugin.client.call(Call::Overview(Kind::Function)).await else { return None };
        let is_active = |row: &ListedRow| row.entry == Some(Entry::Filter) && row.switches.active == Some(true);
        let active = rows.into_iter().filter(is_active);
        let filter =
            |row: ListedRow| ActiveFilter { id: row.id.to_string(), is_global: row.switches.global == Some(true) };
        Some(active.map(filter).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_of_the_server_are_explained() {
        for (words, told, is_raised) in [
            ("Internal Server Error", "the server failed and gave no reason (Internal Server Error)", true),
            ("Model not found", "the server does not offer the model (Model not found)", false),
            ("'nope'", "'nope'", true),
        ] {
            let failure = explained(words);
            let is_exception = failure.remedy == Some(TrialRemedy::FindLine);
            assert_eq!((failure.words.as_str(), is_exception), (told, is_raised));
        }
    }
}
