//! Runs a plugin once on the server, as a user would: `try`. Nothing on the server is changed for it, and no chat is saved.

mod filter;
mod models;

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::server::{Server, text};
use super::target::{Files, Target};
use super::{CommandContext, failed};
use crate::client::{ChatAnswer, HIDDEN, Trial, TrialEnd};
use crate::engine::Code;
use crate::error::Error;
use crate::notice::{Level, Notice, Report, Task, TrialResult};
use crate::plugin::{Digest, normal};
use models::{Model, choose, of_pipe};

/// What to try, and how.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The plugin, as the user typed it.
    pub plugin: String,
    /// What the user says.
    pub message: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The function of a tool to call.
    pub tool: Option<String>,
    /// Its arguments, a JSON object.
    pub arguments: Option<String>,
    /// How long to wait for each answer.
    pub within: Duration,
}

/// A pipe with more models is tried with a named one only.
const MOST_MODELS: usize = 10;

/// The default message.
const HELLO: &str = "hello";

/// The ids of a chat that no version of the server saves.
const CHAT: &str = "local:owui-watch";
const ANSWER: &str = "owui-watch-2";
const SESSION: &str = "owui-watch";

/// Before 0.9 the server answers `{}` if an action or an outlet raises, and marks the end of few streams.
const SAYS_THAT_IT_RAISED: (u32, u32) = (0, 9);
/// From 0.11 on the server says so if a stream fails half way, and some streams of pipes have no end.
const SAYS_THAT_A_STREAM_FAILED: (u32, u32) = (0, 11);
/// Before 0.11 the text of an exception passes for a tool's result.
const MARKS_ERRORS_OF_TOOLS: (u32, u32) = (0, 11);

/// A plugin under trial.
struct Trying<'a> {
    context: &'a CommandContext,
    server: Server<'a>,
    wish: &'a Wish,
    target: Target,
    /// The server's row of it.
    row: Value,
    models: Vec<Model>,
}

/// One call of the plugin.
struct Attempt {
    called: String,
    model: String,
    took: Duration,
    result: TrialResult,
}

/// Runs a plugin once on the server, and shows the answer.
///
/// # Errors
///
/// The words name no plugin, the plugin cannot be tried on this server, or the server is away.
pub async fn try_out(context: &CommandContext, wish: &Wish) -> Result<Code, Error> {
    let files = Files::read(&context.config)?;
    let server = Server::connect(context).await?;
    let target = files.select_one(&context.spelled(&wish.plugin), context, Some(server)).await?;
    let Some(stored) = server.row(&target.key).await? else {
        context.screen.aside(&Notice::report(target.subject(), Report::NotOnServer { level: Level::Error }));
        return Ok(Code::NotDeployed);
    };
    if let Some(local) = &target.local
        && Digest::of_text(&normal::normal(text(&target.key, &stored)?)) != local.digest
    {
        context.screen.aside(&Notice::report(target.subject(), Report::OtherText));
    }
    let row = json_of(server.trial(Trial::Row(target.key.clone()), wish.within).await?)?;
    let models = models::read(server, wish.within, false).await?;
    let mut trying = Trying { context, server, wish, target, row, models };
    match trying.attempts().await {
        Ok(attempts) => Ok(trying.report(attempts)),
        Err(refusal) if refusal.code() == Code::NotDeployed => {
            context.screen.aside(&failed(trying.target.subject(), Task::Try, &refusal));
            Ok(Code::NotDeployed)
        }
        Err(refusal) => Err(refusal),
    }
}

impl Trying<'_> {
    async fn attempts(&mut self) -> Result<Vec<Attempt>, Error> {
        if self.row.get("is_active") == Some(&Value::Bool(false)) {
            return Err(self
                .refusal("it is switched off on the server")
                .hinted(format!("`owui-watch on {}` switches it on", self.id())));
        }
        let word = self.row.get("type").and_then(Value::as_str).unwrap_or("tool").to_owned();
        if word != "tool" && self.wish.tool.is_some() {
            return Err(Error::new(format!("--tool is for tools, and {} is none", self.target.key)));
        }
        match word.as_str() {
            "pipe" => self.pipe().await,
            "filter" => Ok(vec![self.filter().await?]),
            "action" => Ok(vec![self.action().await?]),
            "tool" => Ok(vec![self.tool().await?]),
            "event" => Err(self.refusal("events of the server call it, and no user")),
            other => Err(self.refusal(&format!("the server calls it `{other}`, which owui-watch does not know"))),
        }
    }

    /// Why it cannot be tried.
    fn refusal(&self, why: &str) -> Error {
        let name = match &self.target.local {
            Some(local) => format!("`{}`", local.path.display()),
            None => self.target.key.to_string(),
        };
        Error::failed(format!("cannot try {name}: {why}"))
    }

    fn message(&self) -> &str {
        self.wish.message.as_deref().unwrap_or(HELLO)
    }

    fn id(&self) -> &str {
        self.target.key.id.as_str()
    }

    /// What a browser sends once an answer is complete.
    fn answered(&self, model: &str) -> Value {
        let message = self.message();
        json!({
            "model": model,
            "messages": [
                { "id": "owui-watch-1", "role": "user", "content": message },
                { "id": ANSWER, "role": "assistant", "content": message },
            ],
            "chat_id": CHAT,
            "id": ANSWER,
            "session_id": SESSION,
        })
    }

    /// Sends a trial, and takes the time.
    async fn send(&self, trial: Trial) -> Result<(TrialEnd, Duration), Error> {
        let began = Instant::now();
        let end = self.server.trial(trial, self.wish.within).await?;
        Ok((end, began.elapsed()))
    }

    async fn pipe(&mut self) -> Result<Vec<Attempt>, Error> {
        let mut ids = of_pipe(&self.models, self.id());
        if ids.is_empty() {
            self.models = models::read(self.server, self.wish.within, true).await?;
            ids = of_pipe(&self.models, self.id());
        }
        if ids.is_empty() {
            let words = "the server lists no model of it: its `pipes` raised or returned none".to_owned();
            return Ok(vec![Attempt {
                called: "its models".to_owned(),
                model: String::new(),
                took: Duration::ZERO,
                result: TrialResult::Fails { words },
            }]);
        }
        if let Some(wanted) = &self.wish.model {
            let full = format!("{}.{wanted}", self.id());
            if !ids.iter().any(|id| *id == *wanted || *id == full) {
                return Err(Error::new(format!("{} has no model `{wanted}`", self.target.key))
                    .hinted(format!("it has {}", models::named(ids.iter().map(String::as_str)))));
            }
            ids.retain(|id| *id == *wanted || *id == full);
        }
        // Each may be a paid model.
        if ids.len() > MOST_MODELS {
            let names = models::named(ids.iter().map(String::as_str));
            return Err(Error::new(format!("{} has {} models, which are too many to try", self.target.key, ids.len()))
                .hinted(format!("name one with `--model`: {names}")));
        }
        let mut attempts = Vec::new();
        for model in ids {
            let (end, took) = self.send(Trial::Chat(chat(&model, self.message()))).await?;
            let result = self.result(end, |answer| {
                if !answer.breaks_off || self.server.version >= SAYS_THAT_A_STREAM_FAILED {
                    return works(answer.text);
                }
                let why = "before 0.9 the server does not tell a whole answer from one that breaks off".to_owned();
                TrialResult::Answered { answer: answer.text, why }
            });
            attempts.push(Attempt { called: format!("model `{model}`"), model, took, result });
        }
        Ok(attempts)
    }

    async fn action(&self) -> Result<Attempt, Error> {
        let model = choose(&self.models, self.wish.model.as_deref(), |_| true)?.id.clone();
        let body = self.answered(&model);
        let (end, took) = self.send(Trial::Action(self.target.key.id.clone(), body.clone())).await?;
        let result = match end {
            TrialEnd::Json(answer) if self.hides_exception(&answer) => fails(HIDDEN),
            TrialEnd::Json(answer) if answer == body => works("the message as it was".to_owned()),
            TrialEnd::Json(answer) => works(shown(&answer)),
            end => self.result(end, |answer| works(answer.text)),
        };
        Ok(Attempt { called: "the action".to_owned(), model, took, result })
    }

    async fn tool(&self) -> Result<Attempt, Error> {
        let model = choose(&self.models, self.wish.model.as_deref(), |_| true)?;
        let message = match &self.wish.tool {
            Some(name) => {
                self.check_function(name)?;
                if !model.is_sandbox {
                    let why = format!("no route of the server calls `{name}`, and `{}` chooses by itself", model.id);
                    return Err(self.refusal(&why).hinted("leave out --tool, and ask for it in the message"));
                }
                format!("{name} {}", self.wish.arguments.as_deref().unwrap_or_default())
            }
            None => self.message().to_owned(),
        };
        let model = model.id.clone();
        let mut body = chat(&model, message.trim());
        body["tool_ids"] = json!([self.id()]);
        // The server runs the tool itself, also without a browser.
        body["params"] = json!({ "function_calling": "legacy" });
        let (end, took) = self.send(Trial::Chat(body)).await?;
        let mut called = format!("a tool, called by `{model}`");
        let result = self.result(end, |answer| {
            let Some((name, result)) = result_of_tool(&answer, self.id()) else {
                return fails(&format!("no result: `{model}` called no tool, or the tool returned nothing"));
            };
            called = format!("tool `{name}`, called by `{model}`");
            match error_in(&result) {
                Some(words) => fails(&words),
                None if self.server.version < MARKS_ERRORS_OF_TOOLS => TrialResult::Answered {
                    answer: result,
                    why: "before 0.11 the server does not tell a result from an exception".to_owned(),
                },
                None => works(result),
            }
        });
        Ok(Attempt { called, model, took, result })
    }

    /// Checks that the tool has this function, where the server lists them.
    fn check_function(&self, name: &str) -> Result<(), Error> {
        let Some(specs) = self.row.get("specs").and_then(Value::as_array) else { return Ok(()) };
        let names: Vec<_> = specs.iter().filter_map(|spec| spec.get("name")?.as_str()).collect();
        if names.contains(&name) {
            return Ok(());
        }
        Err(Error::new(format!("{} has no function `{name}`", self.target.key))
            .hinted(format!("it has {}", models::named(names.into_iter()))))
    }

    /// Whether this is how an older server answers if the plugin raises.
    fn hides_exception(&self, answer: &Value) -> bool {
        self.server.version < SAYS_THAT_IT_RAISED && answer.as_object().is_some_and(Map::is_empty)
    }

    /// Whether the end of a stream is missing because a generator raised.
    fn has_failed(&self, answer: &ChatAnswer) -> bool {
        let version = self.server.version;
        let is_marked = version >= SAYS_THAT_IT_RAISED && version < SAYS_THAT_A_STREAM_FAILED;
        answer.breaks_off && (is_marked || answer.text.is_empty())
    }

    fn result(&self, end: TrialEnd, judge: impl FnOnce(ChatAnswer) -> TrialResult) -> TrialResult {
        match end {
            TrialEnd::Chat(answer) if self.has_failed(&answer) => {
                let text = format!("after `{}`", answer.text);
                let after = if answer.text.is_empty() { "before its first word" } else { &text };
                fails(&format!("the answer breaks off {after}; the server's log may say why"))
            }
            TrialEnd::Chat(answer) => judge(answer),
            TrialEnd::Failed(words) => fails(&words),
            TrialEnd::Late => fails(&format!("no answer within {} s", self.wish.within.as_secs())),
            TrialEnd::Json(_) | TrialEnd::NoServer(_) => fails("an answer of another kind"),
        }
    }

    fn report(&self, attempts: Vec<Attempt>) -> Code {
        let (mut code, screen) = (Code::Fine, self.context.screen);
        for Attempt { called, model, took, result } in attempts {
            let below = result.below();
            let has_failed = matches!(result, TrialResult::Fails { .. });
            let notice = Notice::report(self.target.subject(), Report::Tried { called, model, took, result });
            if has_failed {
                code = Code::NotDeployed;
                screen.aside(&notice);
            } else {
                screen.say_with(&notice, &below);
            }
        }
        code
    }
}

/// What a browser sends for a message. Without a session the answer comes in the response.
fn chat(model: &str, message: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": message }], "stream": true })
}

fn works(answer: String) -> TrialResult {
    TrialResult::Works { answer: Some(answer), diff: None }
}

fn fails(words: &str) -> TrialResult {
    TrialResult::Fails { words: words.to_owned() }
}

/// The answer to a request that the plugin has no part in.
fn json_of(end: TrialEnd) -> Result<Value, Error> {
    match end {
        TrialEnd::Json(value) => Ok(value),
        TrialEnd::Failed(words) => Err(Error::failed(format!("cannot try it: {words}"))),
        TrialEnd::Late => Err(Error::no_server("cannot try it: the server did not answer in time")),
        TrialEnd::Chat(_) | TrialEnd::NoServer(_) => Err(Error::failed("cannot try it: an answer of another kind")),
    }
}

/// The name of the function that was called, and its result.
fn result_of_tool(answer: &ChatAnswer, id: &str) -> Option<(String, String)> {
    answer.sources.iter().find_map(|source| {
        let name = source.pointer("/source/name")?.as_str()?.strip_prefix(id)?.strip_prefix('/')?;
        let documents = source.get("document")?.as_array()?.iter().filter_map(Value::as_str);
        Some((name.to_owned(), documents.collect::<Vec<_>>().join("\n")))
    })
}

/// The text of an exception in a tool's result.
fn error_in(result: &str) -> Option<String> {
    let object: Map<String, Value> = serde_json::from_str(result).ok()?;
    let words = object.get("error").filter(|_| object.len() == 1)?.as_str()?;
    Some(if words.is_empty() { "an exception without a text".to_owned() } else { words.to_owned() })
}

/// A plugin's return value, for people.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
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
        let of = |sources: &[Value]| result_of_tool(&answer(sources), "date_math");
        let found = |name: &str, text: &str| Some((name.to_owned(), text.to_owned()));
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
            (r#"{"error": ""}"#, Some("an exception without a text")),
            (r#"{"error": "x", "hint": "y"}"#, None),
            (r#"{"error": null}"#, None),
            ("3", None),
            ("error", None),
        ] {
            assert_eq!(error_in(result).as_deref(), words, "{result}");
        }
    }
}
