//! The reports of `try`.

use std::time::Duration;

use serde_json::json;

use super::Said;
use crate::notice::{Level, duration};

/// How a trial of a plugin ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialResult {
    /// It worked.
    Works {
        /// What it answered.
        answer: Option<String>,
        /// The effect of a filter on the messages.
        diff: Option<String>,
    },
    /// It answered, and this server does not tell an answer from an exception.
    Answered {
        /// What it answered.
        answer: String,
        /// Why nobody can tell.
        why: String,
    },
    /// It failed.
    Fails {
        /// The server's words, or ours.
        words: String,
        /// What it answered, if that is not what is expected.
        answer: Option<String>,
    },
}

impl TrialResult {
    /// The lines below the report, for people.
    #[must_use]
    pub fn below(&self) -> Vec<String> {
        match self {
            TrialResult::Works { answer, diff } => answer.iter().chain(diff).map(|text| indented(text)).collect(),
            TrialResult::Answered { answer, .. } => vec![indented(answer)],
            TrialResult::Fails { answer, .. } => answer.iter().map(|text| indented(text)).collect(),
        }
    }

    pub(super) fn said(&self, name: &str, called: &str, took: Duration) -> Said {
        let after = duration(took);
        match self {
            TrialResult::Works { answer, diff } => Said::info("works", format!("{name} works: {called}, {after}"))
                .with("answer", json!(answer))
                .with("diff", json!(diff)),
            TrialResult::Answered { answer, why } => {
                Said::info("answered", format!("{name} answered: {called}, {after}; {why}"))
                    .with("answer", json!(answer))
            }
            TrialResult::Fails { words, answer } => {
                Said::info("fails", format!("{name} fails: {called}, {after}: {words}"))
                    .at(Level::Error)
                    .with("words", json!(words))
                    .with("answer", json!(answer))
            }
        }
    }
}

/// Below a line of ours, no line of an answer may pass for one.
fn indented(text: &str) -> String {
    text.trim_end_matches('\n').split('\n').map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
