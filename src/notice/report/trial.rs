//! The reports of `try`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Said;
use crate::notice::{Level, duration};
use crate::plugin::Span;

/// How a trial of a plugin ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    Fails(TrialFailure),
}

/// Why a plugin failed when it was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialFailure {
    /// The words of the exception, of the server, or ours.
    pub words: String,
    /// What it answered, if that is not what is expected.
    pub answer: Option<String>,
    /// Where it raised the exception, in its file. The sandbox knows, and has told the traceback.
    pub place: Option<Box<Span>>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Other functions that may have failed instead.
    #[serde(default)]
    pub others: Vec<String>,
    /// Whether it failed because the server found no hook of it.
    #[serde(default)]
    pub lacks_hook: bool,
}

impl TrialFailure {
    /// A failure with nothing but these words.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), ..Self::default() }
    }
}

impl TrialResult {
    /// The lines below the report, for people.
    #[must_use]
    pub fn below(&self) -> Vec<String> {
        match self {
            TrialResult::Works { answer, diff } => answer.iter().chain(diff).map(|text| indented(text)).collect(),
            TrialResult::Answered { answer, .. } if answer.is_empty() => Vec::new(),
            TrialResult::Answered { answer, .. } => vec![indented(answer)],
            TrialResult::Fails(failure) => failure.answer.iter().map(|text| indented(text)).collect(),
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
            TrialResult::Fails(TrialFailure { words, answer, place, hint, others, lacks_hook: _ }) => {
                let got = if answer.is_some() { ", got:" } else { "" };
                let fails =
                    if others.is_empty() { format!("{name} fails") } else { format!("the trial of {name} failed") };
                Said { hint: hint.clone(), ..Said::info("fails", format!("{fails}: {called}, {after}: {words}{got}")) }
                    .at(Level::Error)
                    .with("words", json!(words))
                    .with("answer", json!(answer))
                    .with("others", json!(Some(others).filter(|others| !others.is_empty())))
                    .with("line", json!(place.as_ref().map(|place| place.line)))
                    .with("column", json!(place.as_ref().map(|place| place.column)))
            }
        }
    }
}

/// Below a line of ours, no line of an answer may pass for one.
fn indented(text: &str) -> String {
    text.trim_end_matches('\n').split('\n').map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
