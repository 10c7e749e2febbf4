//! Tries a tool: in a chat with a model, which calls one of its functions.

use serde_json::{Map, Value, json};

use super::blame::explained;
use super::models::choose;
use super::{Attempt, FailedIn, Obstacle, Trying, chat, fails, impossible, works, wrong_wish};
use crate::client::{ChatAnswer, Trial};
use crate::notice::{TrialRemedy, TrialResult};

/// How many characters of a tool's arguments are shown.
const MOST_OF_ARGUMENTS: usize = 200;

/// Before 0.11 the text of an exception passes for a tool's result.
const MARKS_ERRORS_OF_TOOLS: &str = "0.11";

impl Trying<'_> {
    pub(super) async fn tool(&self) -> Result<Attempt, Obstacle> {
        let model = choose(&self.models, self.wish, |_| true)?;
        let message = match &self.wish.tool {
            Some(name) if model.is_sandbox => {
                self.check_function(name)?;
                self.wish.call(name)
            }
            // The message may make the model call it.
            Some(_) if self.wish.message.is_some() => self.message().to_owned(),
            Some(name) => {
                self.check_function(name)?;
                let why = format!("no route of the server calls `{name}`, and `{}` chooses by itself", model.id);
                return Err(impossible(why).remedied(TrialRemedy::AskModel { in_table: self.wish.is_of_table }));
            }
            None => self.message().to_owned(),
        };
        let model = model.id.clone();
        let mut body = chat(&model, message.trim());
        body["tool_ids"] = json!([self.id()]);
        // The server runs the tool itself, also without a browser.
        body["params"] = json!({ "function_calling": "legacy" });
        let (end, took) = self.send(Trial::Chat(body)).await?;
        let failed_in = FailedIn::of(&end);
        let mut called = format!("a tool, called by `{model}`");
        let result = self.result(end, |answer| {
            let Some(ToolResult { name, arguments, result }) = ToolResult::of(&answer, self.id()) else {
                return fails(&format!("no result: `{model}` called no tool, or the tool returned nothing"));
            };
            let arguments = arguments.map_or_else(String::new, |arguments| format!(" with {}", beginning(&arguments)));
            called = format!("tool `{name}`{arguments}, called by `{model}`");
            match error_in(&result) {
                Some(words) => TrialResult::Fails(explained(&words)),
                None if !self.plugin.is_since(MARKS_ERRORS_OF_TOOLS) => TrialResult::Answered {
                    answer: result,
                    why: "before 0.11 the server does not tell a result from an exception".to_owned(),
                },
                None => works(result),
            }
        });
        Ok(Attempt { called, model, took, result, text: None, failed_in })
    }

    /// Checks that the tool has this function, where the server lists them.
    fn check_function(&self, name: &str) -> Result<(), Obstacle> {
        let Some(specs) = self.row.get("specs").and_then(Value::as_array) else { return Ok(()) };
        let names: Vec<_> = specs.iter().filter_map(|spec| spec.get("name")?.as_str()).collect();
        if names.contains(&name) {
            return Ok(());
        }
        let names = names.into_iter().map(str::to_owned).collect();
        Err(wrong_wish(format!("{} has no function `{name}`", self.plugin.key)).remedied(TrialRemedy::OneOf(names)))
    }
}

/// What a model had a tool do.
#[derive(Debug, PartialEq)]
struct ToolResult {
    /// The function.
    name: String,
    /// Its arguments as JSON, if the server tells.
    arguments: Option<String>,
    result: String,
}

impl ToolResult {
    fn of(answer: &ChatAnswer, id: &str) -> Option<Self> {
        answer.sources.iter().find_map(|source| {
            let name = source.pointer("/source/name")?.as_str()?.strip_prefix(id)?.strip_prefix('/')?.to_owned();
            let documents = source.get("document")?.as_array()?.iter().filter_map(Value::as_str);
            let result = documents.collect::<Vec<_>>().join("\n");
            let arguments = source.pointer("/metadata/0/parameters").filter(|arguments| arguments.is_object());
            Some(Self { name, arguments: arguments.map(Value::to_string), result })
        })
    }
}

/// The beginning of a text of any length.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(MOST_OF_ARGUMENTS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The text of an exception in a tool's result.
fn error_in(result: &str) -> Option<String> {
    let object: Map<String, Value> = serde_json::from_str(result).ok()?;
    let words = object.get("error").filter(|_| object.len() == 1)?.as_str()?;
    Some(if words.is_empty() { "an exception without a message".to_owned() } else { words.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, document: &str) -> Value {
        json!({ "source": { "name": name }, "document": [document], "tool_result": true })
    }

    #[test]
    fn the_result_of_a_tool_is_its_own() {
        let answer = |sources: &[Value]| ChatAnswer { sources: sources.to_vec(), ..ChatAnswer::default() };
        let of = |sources: &[Value]| ToolResult::of(&answer(sources), "date_math");
        let found = |name: &str, text: &str| {
            Some(ToolResult { name: name.to_owned(), arguments: None, result: text.to_owned() })
        };
        let mut told = source("date_math/add", "3");
        told["metadata"] = json!([{ "source": "date_math/add", "parameters": { "a": 1, "b": 2 } }]);
        assert_eq!(of(&[told]).unwrap().arguments.unwrap(), r#"{"a":1,"b":2}"#);
        assert_eq!(of(&[source("date_math/add", "3")]), found("add", "3"));
        assert_eq!(of(&[source("web", "x"), source("date_math/add", "3")]), found("add", "3"));
        for sources in [&[][..], &[source("date_math2/add", "3")], &[source("add", "3")], &[json!(7)]] {
            assert_eq!(of(sources), None, "{sources:?}");
        }
    }

    #[test]
    fn an_exception_in_a_tool_is_an_object_with_an_error() {
        for (result, words) in [
            (r#"{"error": "'nope'"}"#, Some("'nope'")),
            (r#"{"error": ""}"#, Some("an exception without a message")),
            (r#"{"error": "x", "hint": "y"}"#, None),
            (r#"{"error": null}"#, None),
            ("3", None),
            ("error", None),
        ] {
            assert_eq!(error_in(result).as_deref(), words, "{result}");
        }
    }
}
