//! The reports of `try`.

use std::time::Duration;

use serde_json::json;

use super::{Said, Subject};
use crate::notice::hint::of_trial;
use crate::notice::{Commands, Level, Suspect, TrialFailure, TrialResult, duration};

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

    pub(super) fn said(&self, about: &Subject, name: &str, called: &str, took: Duration, commands: &Commands) -> Said {
        let after = duration(took);
        match self {
            TrialResult::Works { answer, diff } => Said::info("works", format!("{name} works: {called}, {after}"))
                .with("answer", json!(answer))
                .with("diff", json!(diff)),
            TrialResult::Answered { answer, why } => {
                Said::info("answered", format!("{name} answered: {called}, {after}; {why}"))
                    .with("answer", json!(answer))
            }
            TrialResult::Fails(failure) => {
                let TrialFailure { words, answer, place, others, .. } = failure;
                let got = if answer.is_some() { ", got:" } else { "" };
                let fails =
                    if others.is_empty() { format!("{name} fails") } else { format!("the trial of {name} failed") };
                let hint = of_trial(failure, about, commands);
                Said { hint, ..Said::info("fails", format!("{fails}: {called}, {after}: {words}{got}")) }
                    .at(Level::Error)
                    .with("words", json!(words))
                    .with("answer", json!(answer))
                    .with("others", json!(Suspect::all(others)))
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
