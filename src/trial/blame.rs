//! Whose failure it is. Outside of the sandbox a server gives an exception's words alone, and several functions take part
//! in a chat: the filters that are on for the model, and the pipe behind it.

use super::{Attempt, Obstacle, ObstacleKind, Trying, models};
use crate::client::TrialEnd;
use crate::engine::deploy::{Call, Reply};
use crate::notice::{TrialFailure, TrialResult};
use crate::plugin::{Entry, Kind};

/// The server's words for a failure that it gives no reason for.
const NO_REASON: &str = "Internal Server Error";
/// The server's words for a generator, or a filter's `stream`, that raises half way.
const BROKEN_STREAM: &str = "Chat completion stream failed";
/// The server's words for a model that it does not offer.
const NO_MODEL: &str = "Model not found";
/// What shows more than an answer does.
const SANDBOX: &str = "`owui-watch sandbox` shows the line that raises it";

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

/// A failure in the server's words, with what they mean.
pub(super) fn explained(words: &str) -> TrialFailure {
    let (words, hint) = match words {
        NO_REASON => (format!("the server failed and gave no reason ({words})"), Some(SANDBOX)),
        BROKEN_STREAM => (format!("the answer broke off: a generator or a `stream` raised ({words})"), Some(SANDBOX)),
        NO_MODEL => (
            format!("the server does not offer the model ({words})"),
            Some("check in Open WebUI that the model is on and that you may use it"),
        ),
        words => (words.to_owned(), None),
    };
    TrialFailure { hint: hint.map(str::to_owned), ..TrialFailure::new(words) }
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
                return Err(Obstacle::new(ObstacleKind::Disturbed, why));
            }
            (failed_in, pipe) => {
                failure.others = self.other_filters(&attempt.model).await;
                if !is_pipe && failed_in != FailedIn::Filters {
                    let model = || format!("model `{}`", attempt.model);
                    failure.others.push(pipe.map_or_else(model, |pipe| format!("pipe `{pipe}`")));
                }
            }
        }
        let hint = failure.hint.take().unwrap_or_else(|| SANDBOX.to_owned());
        failure.hint = Some(if failure.others.is_empty() {
            hint
        } else {
            let others = models::few(failure.others.iter().cloned(), " or ");
            format!("the server does not say what failed: it may also be {others}\n{hint}")
        });
        Ok(attempt)
    }

    /// The pipe behind a model.
    fn pipe_behind(&self, model: &str) -> Option<&str> {
        let model = self.models.iter().find(|listed| listed.id == model && listed.is_pipe)?;
        model.id.split('.').next()
    }

    /// The other filters that take part in a chat with the model, as far as the server tells.
    async fn other_filters(&self, model: &str) -> Vec<String> {
        let attached = self.models.iter().find(|listed| listed.id == model).map(|listed| listed.filters.as_slice());
        let rows = match self.plugin.client.call(Call::Overview(Kind::Function)).await {
            Reply::Rows(rows) => rows,
            _ => Vec::new(),
        };
        let takes_part = |id: &String| attached.is_some_and(|attached| attached.contains(id));
        let others = rows.into_iter().filter(|row| {
            row.entry == Some(Entry::Filter)
                && row.is_active == Some(true)
                && (row.is_global == Some(true) || takes_part(&row.id))
                && row.id != self.id()
        });
        others.map(|row| format!("filter `{}`", row.id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_of_the_server_are_explained() {
        for (words, told, has_hint) in [
            ("Internal Server Error", "the server failed and gave no reason (Internal Server Error)", true),
            ("Model not found", "the server does not offer the model (Model not found)", true),
            ("'nope'", "'nope'", false),
        ] {
            let failure = explained(words);
            assert_eq!((failure.words.as_str(), failure.hint.is_some()), (told, has_hint));
        }
    }
}
