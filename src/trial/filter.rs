//! Tries a filter: `inlet` in a chat with a model, `outlet` on the answer.

use serde_json::{Value, json};

use super::blame::explained;
use super::models::choose;
use super::{Attempt, FailedIn, Obstacle, Trying, chat, fails, impossible};
use crate::client::{HIDDEN, Trial, TrialEnd};
use crate::notice::{TrialRemedy, TrialResult};
use crate::output::unified;

impl Trying<'_> {
    pub(super) async fn filter(&self) -> Result<Attempt, Obstacle> {
        let is_global = self.row.get("is_global") == Some(&Value::Bool(true));
        let is_attached = |filters: &[String]| is_global || filters.iter().any(|filter| filter == self.id());
        if !self.models.iter().any(|model| is_attached(&model.filters)) && self.wish.model.is_none() {
            return Err(not_attached("it is neither global nor attached to a model"));
        }
        let model = choose(&self.models, self.wish, |model| is_attached(&model.filters))?;
        if !is_attached(&model.filters) {
            let why = format!("it is neither global nor attached to the model `{}`", model.id);
            return Err(not_attached(&why));
        }
        let model = model.id.clone();
        let mut body = chat(&model, self.message());
        // For a filter that users switch on in the chat.
        body["filter_ids"] = json!([self.id()]);
        let sent = body["messages"].clone();
        let (end, mut took) = self.send(Trial::Chat(body)).await?;
        let mut failed_in = FailedIn::of(&end);
        let (mut diff, mut said, mut text) = (String::new(), None, String::new());
        let mut result = self.result(end, |answer| {
            if let Some(received) = &answer.received {
                diff += &changes("inlet", ("sent", &sent), ("what the model got after inlet", received));
                text += &lines(received);
            } else {
                text += &(answer.text.clone() + "\n");
                said = Some(answer.text);
            }
            TrialResult::Works { answer: None, diff: None }
        });
        let mut called = "inlet";
        if !matches!(result, TrialResult::Fails(_)) {
            let mut body = self.answered(&model);
            body["filter_ids"] = json!([self.id()]);
            let sent = body["messages"].clone();
            let (end, more) = self.send(Trial::Outlet(body)).await?;
            took += more;
            // It is null if any of the filters returned nothing.
            failed_in = FailedIn::Filters;
            result = match end {
                TrialEnd::Json(after) if self.hides_exception(&after) => TrialResult::Fails(explained(HIDDEN)),
                TrialEnd::Json(after) => match after.get("messages") {
                    Some(messages) => {
                        text += &lines(messages);
                        diff += &changes("outlet", ("answered", &sent), ("the answer after outlet", messages));
                        called = "inlet and outlet";
                        effect(diff, said)
                    }
                    None if after.is_null() => fails("outlet returned nothing; it must return the body"),
                    None => fails("outlet returned no messages"),
                },
                end => self.result(end, |_| fails("an answer of another kind")),
            };
            if matches!(result, TrialResult::Fails(_)) {
                called = "outlet";
            }
        }
        Ok(Attempt { called: in_chat(called, &model), model, took, result, text: Some(text), failed_in })
    }
}

fn not_attached(why: &str) -> Obstacle {
    impossible(why).remedied(TrialRemedy::Attach)
}

/// The hooks that were called, and where; without hooks, the chat that called none.
pub(super) fn in_chat(hooks: &str, model: &str) -> String {
    if hooks.is_empty() { format!("a chat with `{model}`") } else { format!("{hooks}, in a chat with `{model}`") }
}

/// What can be seen of the filter. `said` is the answer of a model that does not tell what it was sent.
fn effect(diff: String, said: Option<String>) -> TrialResult {
    let answer = match (said, diff.is_empty()) {
        (Some(said), _) => Some(said),
        (None, true) => Some("the messages as they were".to_owned()),
        (None, false) => None,
    };
    TrialResult::Works { answer, diff: Some(diff).filter(|diff| !diff.is_empty()) }
}

/// What a hook changed in a list of messages, below its name; empty if it changed nothing.
fn changes(hook: &str, before: (&str, &Value), after: (&str, &Value)) -> String {
    let diff = unified((before.0, &lines(before.1)), (after.0, &lines(after.1)));
    if diff.is_empty() { diff } else { format!("{hook}:\n{diff}") }
}

/// A list of messages as text: roles and contents, which are what filters change.
fn lines(messages: &Value) -> String {
    let Some(messages) = messages.as_array() else { return format!("{messages}\n") };
    messages.iter().fold(String::new(), |text, message| {
        let role = message.get("role").and_then(Value::as_str).unwrap_or("?");
        let content = match message.get("content") {
            Some(Value::String(content)) => content.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        text + &format!("{role}: {content}\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_is_a_difference_of_messages() {
        let before = json!([{ "role": "user", "content": "hello" }]);
        let after = json!([{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "hello" }]);
        let diff = changes("inlet", ("sent", &before), ("got", &after));
        assert_eq!(diff, "inlet:\n--- sent\n+++ got\n@@ -1 +1,2 @@\n+system: Be brief.\n user: hello\n");
        assert_eq!(changes("inlet", ("sent", &before), ("got", &before)), "");
        let parts = json!([{ "role": "user", "content": [{ "type": "text" }] }, 7]);
        assert_eq!(lines(&parts), "user: [{\"type\":\"text\"}]\n?: \n");
    }

    #[test]
    fn a_model_that_tells_nothing_shows_its_answer() {
        let works = |answer: Option<&str>, diff: Option<&str>| TrialResult::Works {
            answer: answer.map(str::to_owned),
            diff: diff.map(str::to_owned),
        };
        assert_eq!(effect(String::new(), Some("hi".to_owned())), works(Some("hi"), None));
        assert_eq!(effect("d".to_owned(), Some("hi".to_owned())), works(Some("hi"), Some("d")));
        assert_eq!(effect("d".to_owned(), None), works(None, Some("d")));
        assert_eq!(effect(String::new(), None), works(Some("the messages as they were"), None));
    }
}
