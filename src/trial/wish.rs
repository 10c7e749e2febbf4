//! How a plugin is tried: by the flags of `try`, or by a table of `watch.toml`.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Attempt;
use crate::config::{Pattern, TrySettings};
use crate::notice::{TrialFailure, TrialRemedy, TrialResult, duration, trial_setting};

/// The default message.
const HELLO: &str = "hello";
/// How long to wait for each answer by default.
const WITHIN: Duration = Duration::from_secs(30);

/// How to try a plugin. What is not set has a default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// What the user says.
    pub message: Option<String>,
    /// What the answer must match.
    pub expect: Option<Pattern>,
    /// The function of a tool to call.
    pub tool: Option<String>,
    /// Its arguments.
    pub arguments: Option<Map<String, Value>>,
    /// The model.
    pub model: Option<String>,
    /// How long to wait for each answer.
    pub within: Option<Duration>,
    /// Whether message and tool come from a table of `watch.toml`.
    pub is_of_table: bool,
}

impl Wish {
    /// The wish of a table.
    #[must_use]
    pub fn of_table(table: &TrySettings) -> Self {
        let TrySettings { message, expect, tool, args, model, within } = table.clone();
        Self { message, expect, tool, arguments: args, model, within, is_of_table: true }
    }

    /// Takes from a table what the flags leave open. A message or a tool of the flags has no expectation in the table.
    #[must_use]
    pub fn or_of(self, table: &TrySettings) -> Self {
        let table = Self::of_table(table);
        let (model, within) = (self.model.or(table.model), self.within.or(table.within));
        if self.message.is_some() || self.tool.is_some() {
            return Self {
                message: self.message,
                tool: self.tool,
                arguments: self.arguments,
                model,
                within,
                ..Self::default()
            };
        }
        Self { model, within, ..table }
    }

    /// What the user says.
    #[must_use]
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(HELLO)
    }

    /// How long to wait for each answer.
    #[must_use]
    pub fn within(&self) -> Duration {
        self.within.unwrap_or(WITHIN)
    }

    /// The same, in words.
    pub(super) fn within_words(&self) -> String {
        let within = self.within();
        if within.subsec_nanos() == 0 { format!("{} s", within.as_secs()) } else { duration(within) }
    }

    /// What is asked of the plugin, for messages.
    #[must_use]
    pub fn asked(&self) -> String {
        self.tool.as_deref().map_or_else(|| self.message().to_owned(), |tool| self.call(tool))
    }

    /// The message that makes the sandbox's model call a function.
    pub(super) fn call(&self, function: &str) -> String {
        let arguments = self.arguments.as_ref().map(|arguments| format!(" {}", Value::from(arguments.clone())));
        format!("{function}{}", arguments.unwrap_or_default())
    }

    /// A setting as the user wrote it, or would.
    pub(super) fn setting(&self, name: &str) -> String {
        trial_setting(name, self.is_of_table)
    }

    /// The remedy where one of these models must be named.
    pub(super) fn name_model(&self, models: Vec<String>) -> TrialRemedy {
        TrialRemedy::NameModel { models, in_table: self.is_of_table }
    }

    /// Compares an answer with what is expected.
    pub(super) fn judge(&self, attempt: &mut Attempt) {
        let Some(pattern) = &self.expect else { return };
        let (answer, diff) = match &attempt.result {
            TrialResult::Works { answer, diff } => (answer.clone(), diff.clone()),
            TrialResult::Answered { answer, .. } => (Some(answer.clone()), None),
            TrialResult::Fails(_) => return,
        };
        let text = attempt.text.clone().or_else(|| answer.clone()).unwrap_or_default();
        attempt.result = if pattern.matches(&text) {
            TrialResult::Works { answer, diff }
        } else {
            let expected = TrialFailure::new(format!("expected `{}`", pattern.as_str()));
            TrialResult::Fails(TrialFailure { answer: Some(text), ..expected })
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::FailedIn;
    use super::*;

    fn table() -> TrySettings {
        TrySettings {
            message: Some("hi".to_owned()),
            expect: Some(Pattern::new("^HI$").unwrap()),
            tool: None,
            args: None,
            model: Some("one".to_owned()),
            within: Some(Duration::from_secs(5)),
        }
    }

    #[test]
    fn flags_win_over_a_table() {
        assert_eq!(Wish::default().or_of(&table()), Wish::of_table(&table()));
        let flags = Wish { message: Some("bye".to_owned()), ..Wish::default() };
        let both = flags.clone().or_of(&table());
        let expected = Wish { model: Some("one".to_owned()), within: Some(Duration::from_secs(5)), ..flags };
        assert_eq!(both, expected, "another message has another answer");
        let flags = Wish { model: Some("two".to_owned()), ..Wish::default() };
        let expected = Wish { model: Some("two".to_owned()), ..Wish::of_table(&table()) };
        assert_eq!(flags.or_of(&table()), expected);
    }

    #[test]
    fn a_function_is_called_with_its_arguments() {
        let add = Wish { tool: Some("add".to_owned()), ..Wish::default() };
        assert_eq!(add.asked(), "add");
        let arguments = serde_json::from_str(r#"{"a": 1}"#).unwrap();
        assert_eq!(Wish { arguments: Some(arguments), ..add }.asked(), r#"add {"a":1}"#);
        assert_eq!(Wish::default().asked(), "hello");
    }

    #[test]
    fn an_answer_is_judged_by_the_expectation() {
        let judged_by = |result, text| {
            let failed_in = FailedIn::Plugin;
            let mut attempt =
                Attempt { called: String::new(), model: String::new(), took: WITHIN, result, text, failed_in };
            Wish::of_table(&table()).judge(&mut attempt);
            attempt.result
        };
        let judged = |result| judged_by(result, None);
        let works = |answer: &str| TrialResult::Works { answer: Some(answer.to_owned()), diff: None };
        let fails = |answer: &str| {
            let expected = TrialFailure::new("expected `^HI$`");
            TrialResult::Fails(TrialFailure { answer: Some(answer.to_owned()), ..expected })
        };
        let answered = |answer: &str| TrialResult::Answered { answer: answer.to_owned(), why: "old".to_owned() };
        assert_eq!(judged(works("HI")), works("HI"));
        assert_eq!(judged(works("HO")), fails("HO"));
        assert_eq!(judged(answered("HI")), works("HI"), "what matches is a result, and no exception");
        assert_eq!(judged(answered("HO")), fails("HO"));
        let differs = || TrialResult::Works { answer: None, diff: Some("--- HI\n+x".to_owned()) };
        assert_eq!(judged_by(differs(), Some("HI".to_owned())), differs());
        assert_eq!(judged_by(differs(), Some("x".to_owned())), fails("x"), "the difference's own lines are no message");
        let raised = TrialResult::Fails(TrialFailure::new("no"));
        assert_eq!(judged(raised.clone()), raised);
    }
}
