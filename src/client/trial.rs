//! Runs a plugin through the server's API, as a user's browser does. What a plugin raises hides in answers of any
//! status: in HTTP 200, in a line of a stream, in a 400.

use std::time::Duration;

use reqwest::header::HeaderValue;
use serde_json::{Map, Value};

use super::broken::Broken;
use super::classify::{Answer, Asked, failure};
use super::endpoints::Names;
use super::secret::Secret;
use super::{Client, Request, json, too_large};
use crate::engine::deploy::Reply;
use crate::plugin::{Key, id::PluginId};

/// A request that takes part in trying a plugin.
#[derive(Clone, Debug, PartialEq)]
pub enum Trial {
    /// The row of a plugin, with all its fields.
    Row(Key),
    /// The models that the server offers. This makes it load new pipes.
    Models {
        /// Whether the server may not use its cache.
        refresh: bool,
    },
    /// A message to a model.
    Chat(Value),
    /// The end of an answer: runs the outlets of filters.
    Outlet(Value),
    /// A click on an action's button.
    Action(PluginId, Value),
    /// The sandbox's record of the trial with this name, which the sandbox then deletes.
    Seen(String),
}

/// A trial in the sandbox, which watches what plugins do for the trial's requests and leaves out all other filters.
#[derive(Clone, Debug)]
pub struct Watched {
    /// A name that no other trial has.
    pub name: String,
    /// The plugin that is tried.
    pub key: Key,
}

impl Watched {
    fn header(&self) -> Option<HeaderValue> {
        let Self { name, key } = self;
        HeaderValue::from_bytes(format!("{name} {} {}", key.kind.word(), key.id).as_bytes()).ok()
    }
}

/// How a [`Trial`] ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TrialEnd {
    /// The answer to [`Trial::Chat`].
    Chat(ChatAnswer),
    /// The answer to anything else.
    Json(Value),
    /// It failed, in the words of the server.
    Failed(String),
    /// The pipe that answers in a chat failed, in the words of the server; for a model without a pipe, its provider.
    PipeFailed(String),
    /// There was no whole answer in time.
    Late,
    /// The server is away, or denied access.
    NoServer(Box<Reply>),
}

/// What a model answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatAnswer {
    /// Its text.
    pub text: String,
    /// The results of tools, each with its source.
    pub sources: Vec<Value>,
    /// The messages that reached the model; only the sandbox's model tells.
    pub received: Option<Value>,
    /// Whether it is a stream without an end, as from a generator that raises.
    pub breaks_off: bool,
}

impl Client {
    /// Sends a request that takes part in trying a plugin. A plugin is never run twice.
    pub async fn trial(&self, trial: Trial, within: Duration, watched: Option<&Watched>) -> TrialEnd {
        let header = watched.and_then(Watched::header);
        let request = Request { within: Some(within), trial: header, ..Request::of_trial(&trial) };
        let token = match &self.0.key {
            Some(key) => Some(key.clone()),
            None => self.0.session.lock().await.clone(),
        };
        let changes = request.asked.changes();
        let mut sent = self.send(&request, token.as_ref()).await;
        if let (Err(Broken::Off(_)), false) = (&sent, changes) {
            sent = self.send(&request, token.as_ref()).await;
        }
        match sent {
            Ok(mut received) => {
                received.mask(&Secret::of(token.as_ref()));
                end(request.asked, &received.answer())
            }
            Err(Broken::Late(_)) => TrialEnd::Late,
            // The connection was there, so the plugin broke it, as a generator that raises does.
            Err(Broken::Off(cause)) if changes => {
                TrialEnd::Failed(cause.words(self.0.base.host_str().unwrap_or_default()))
            }
            Err(Broken::TooLong { .. }) => TrialEnd::Failed(too_large()),
            Err(broken) => TrialEnd::NoServer(Box::new(self.reply_to(&broken, request.asked))),
        }
    }
}

impl Request {
    fn of_trial(trial: &Trial) -> Self {
        let none = Names::default();
        let (asked, names, body) = match trial {
            Trial::Row(key) => (Asked::Get(key.kind), Names::of(key), None),
            Trial::Models { .. } => (Asked::ModelList, none, None),
            Trial::Chat(body) => (Asked::Chat, none, Some(body)),
            Trial::Outlet(body) => (Asked::Outlet, none, Some(body)),
            Trial::Seen(name) => (Asked::Seen, Names { id: name, ..none }, None),
            Trial::Action(id, body) => (Asked::Action, Names { id: id.as_str(), ..none }, Some(body)),
        };
        let refresh = matches!(trial, Trial::Models { refresh: true }).then(|| ("refresh", "true".to_owned()));
        Self { body: body.map(json), query: refresh, ..Self::new(asked, names) }
    }
}

/// Interprets the answer to a trial.
fn end(asked: Asked, answer: &Answer<'_>) -> TrialEnd {
    if (200..300).contains(&answer.status) {
        let understood = match asked {
            Asked::Chat => chat(answer.body),
            _ => serde_json::from_slice(answer.body).ok().map(TrialEnd::Json),
        };
        if let Some(end) = understood {
            return end;
        }
    }
    match failure(asked, answer) {
        reply @ (Reply::NotAllowed { .. } | Reply::Unreachable { .. }) => TrialEnd::NoServer(Box::new(reply)),
        // A proxy or another program; the routes exist in all versions.
        reply @ Reply::Foreign { status: 200..400, .. } => TrialEnd::NoServer(Box::new(reply)),
        Reply::Foreign { status, words } => {
            TrialEnd::Failed(format!("the server answers with status {status}: {words}"))
        }
        mut reply => {
            let words = super::secret::words(&mut reply).cloned().unwrap_or_default();
            TrialEnd::Failed(if words.is_empty() { NO_WORDS.to_owned() } else { words })
        }
    }
}

const NO_WORDS: &str = "an exception without a message";
/// Servers before 0.9 answer `null` or `{}` if a filter or an action raises.
pub const HIDDEN: &str = "an exception, whose text servers before 0.9 hide";

/// A model's answer: one JSON object, or a stream of them. `None` if it is neither.
fn chat(body: &[u8]) -> Option<TrialEnd> {
    if let Ok(whole) = serde_json::from_slice::<Map<String, Value>>(body) {
        let mut answer = ChatAnswer::default();
        return Some(match answer.take(whole, "message") {
            Some(Err(end)) => end,
            Some(Ok(())) => TrialEnd::Chat(answer),
            None => return None,
        });
    }
    let body = String::from_utf8_lossy(body);
    if body.trim() == "null" {
        return Some(TrialEnd::Failed(HIDDEN.to_owned()));
    }
    let (mut answer, mut is_known, mut has_ended) = (ChatAnswer::default(), false, false);
    let mut other = None;
    for line in body.lines() {
        let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
        let Ok(event) = serde_json::from_str::<Map<String, Value>>(data) else {
            has_ended |= data == "[DONE]";
            continue;
        };
        let reason = event.get("choices").and_then(|choices| choices.get(0)?.get("finish_reason"));
        has_ended |= reason.is_some_and(|reason| !reason.is_null());
        match answer.take(event, "delta") {
            Some(Err(end)) => return Some(end),
            Some(Ok(())) => is_known = true,
            None => other = other.or(Some(data)),
        }
    }
    answer.breaks_off = !has_ended;
    match other {
        _ if is_known || has_ended || body.trim().is_empty() => Some(TrialEnd::Chat(answer)),
        // The server passes on whatever a pipe returns.
        Some(data) => Some(TrialEnd::Failed(format!("the answer is not a chat completion: {data}"))),
        None => None,
    }
}

impl ChatAnswer {
    /// Adds a part of the answer. `Err` if it ends the answer with an error; `None` if it is unknown.
    fn take(&mut self, mut part: Map<String, Value>, message: &str) -> Option<Result<(), TrialEnd>> {
        if let Some(error) = part.get("error").filter(|error| !error.is_null()) {
            let words = words_of(error);
            // The server gives this shape to what a pipe raises.
            let is_of_pipe = error.get("detail").is_some();
            return Some(Err(if is_of_pipe { TrialEnd::PipeFailed(words) } else { TrialEnd::Failed(words) }));
        }
        let mut is_known = false;
        if let Some(Value::Array(sources)) = part.remove("sources") {
            self.sources.extend(sources);
            is_known = true;
        }
        if let Some(received) = part.remove("received") {
            self.received = Some(received);
        }
        if let Some(choices) = part.get("choices").and_then(Value::as_array) {
            let content = choices.first().and_then(|choice| choice.get(message)?.get("content")?.as_str());
            self.text += content.unwrap_or_default();
            is_known = true;
        }
        is_known.then_some(Ok(()))
    }
}

/// The text of an error, which the server wraps in several ways.
fn words_of(error: &Value) -> String {
    let named = ["detail", "message", "content", "error"].iter().find_map(|key| error.get(*key));
    let words = match named.unwrap_or(error) {
        Value::String(words) => words.clone(),
        inner @ Value::Object(_) if named.is_some() => words_of(inner),
        other => other.to_string(),
    };
    if words.is_empty() { NO_WORDS.to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(asked: Asked, status: u16, content_type: &str, body: &str) -> TrialEnd {
        let answer = Answer { status, content_type: Some(content_type), body: body.as_bytes(), ..Answer::default() };
        end(asked, &answer)
    }

    fn chatted(status: u16, body: &str) -> TrialEnd {
        let content_type = match body.chars().next() {
            Some('{') => "application/json",
            Some('d') => "text/event-stream",
            _ => "text/plain",
        };
        ended(Asked::Chat, status, content_type, body)
    }

    fn text(text: &str) -> TrialEnd {
        TrialEnd::Chat(ChatAnswer { text: text.to_owned(), ..ChatAnswer::default() })
    }

    fn failed(words: &str) -> TrialEnd {
        TrialEnd::Failed(words.to_owned())
    }

    #[test]
    fn a_chat_answers_in_one_piece_or_streams() {
        let chunk = |word: &str| format!("data: {{\"choices\": [{{\"delta\": {{\"content\": \"{word}\"}}}}]}}\n\n");
        let (hello, you) = (chunk("Hello "), chunk("you"));
        let end = "data: {\"choices\": [{\"delta\": {}, \"finish_reason\": \"stop\"}]}\n\ndata: [DONE]\n\n";
        let cases = [
            (r#"{"choices": [{"message": {"content": "Hello"}}]}"#.to_owned(), text("Hello")),
            (r#"{"choices": [{"message": {"content": null}}]}"#.to_owned(), text("")),
            (r#"{"choices": []}"#.to_owned(), text("")),
            (format!("{hello}{you}{end}"), text("Hello you")),
            (format!("{hello}: a remark\n\ndata: {{oops\n\n{you}{end}"), text("Hello you")),
            (format!("{}{end}", hello.replace('\n', "\r\n")), text("Hello ")),
            ("data: [DONE]\n\n".to_owned(), text("")),
        ];
        for (body, expected) in cases {
            assert_eq!(chatted(200, &body), expected, "{body}");
        }
    }

    #[test]
    fn a_failure_hides_in_any_answer() {
        let cases = [
            (200, r#"{"error": {"detail": "'nope'"}}"#, "'nope'"),
            (200, r#"{"error": {"detail": ""}}"#, NO_WORDS),
            (200, r#"{"error": "oops"}"#, "oops"),
            (200, "null", HIDDEN),
            (200, r#"{"error": {"code": 7}}"#, r#"{"code":7}"#),
            (200, r#"{"error": {"message": {"content": "deep"}}}"#, "deep"),
            (200, "data: {\"error\": {\"detail\": \"'nope'\"}}\n\n", "'nope'"),
            (
                200,
                "data: {\"choices\": [{\"delta\": {\"content\": \"half\"}}]}\n\n\n\ndata: {\"error\": {\"message\": \
                 \"Chat completion stream failed\"}}\n\ndata: [DONE]\n\n",
                "Chat completion stream failed",
            ),
            (200, "data: {\"a\": \"b\"}\n\n", r#"the answer is not a chat completion: {"a": "b"}"#),
            (400, r#"{"detail": "half way"}"#, "half way"),
            (400, r#"{"detail": ""}"#, NO_WORDS),
            (400, r#"{"detail": "Model not found"}"#, "Model not found"),
            (404, r#"{"detail": "gone"}"#, "the server answers with status 404: gone"),
            (500, "Internal Server Error", "Internal Server Error"),
        ];
        for (status, body, words) in cases {
            // What a pipe raises has its own shape.
            let is_of_pipe = status == 200 && body.contains("{\"detail\"");
            let expected = if is_of_pipe { TrialEnd::PipeFailed(words.to_owned()) } else { failed(words) };
            assert_eq!(chatted(status, body), expected, "{status} {body}");
        }
        assert_eq!(
            ended(Asked::Action, 400, "application/json", r#"{"detail": "Error: 'nope'"}"#),
            failed("Error: 'nope'")
        );
    }

    #[test]
    fn a_stream_without_an_end_breaks_off() {
        let half = "data: {\"choices\": [{\"delta\": {\"content\": \"half\"}, \"finish_reason\": null}]}\n\n";
        for (body, text) in [(half, "half"), ("data: {\"sources\": []}\n\n", ""), ("", ""), ("\n", "")] {
            let expected = ChatAnswer { text: text.to_owned(), breaks_off: true, ..ChatAnswer::default() };
            assert_eq!(chatted(200, body), TrialEnd::Chat(expected), "{body}");
        }
    }

    #[test]
    fn null_is_no_error() {
        let body = r#"{"error": null, "choices": [{"message": {"content": "Hello"}}]}"#;
        assert_eq!(chatted(200, body), text("Hello"));
    }

    #[test]
    fn results_of_tools_and_messages_are_kept() {
        let body = "data: {\"sources\": [{\"document\": [\"3\"]}]}\n\ndata: {\"choices\": [], \"received\": [1]}\n\ndata: \
                    [DONE]\n\n";
        let expected = ChatAnswer {
            text: String::new(),
            sources: vec![serde_json::json!({ "document": ["3"] })],
            received: Some(serde_json::json!([1])),
            breaks_off: false,
        };
        assert_eq!(chatted(200, body), TrialEnd::Chat(expected));
    }

    #[test]
    fn other_programs_and_denials_are_no_failures_of_the_plugin() {
        let page = "<!doctype html><html><head><title>Sign in</title></head></html>";
        for (status, content_type, body) in [
            (200, "text/html", page),
            (200, "application/json", r#"{"odd": 1}"#),
            (302, "text/html", ""),
            (401, "application/json", r#"{"detail": "401 Unauthorized"}"#),
            (403, "application/json", r#"{"detail": "Not authenticated"}"#),
            (503, "text/html", page),
        ] {
            let end = ended(Asked::Chat, status, content_type, body);
            let is_odd = status == 200 && content_type == "application/json";
            assert_eq!(matches!(end, TrialEnd::NoServer(_)), !is_odd, "{status} {body} {end:?}");
        }
    }

    #[test]
    fn any_json_answers_the_other_requests() {
        for body in ["null", "{}", "3", r#"{"error": "a field"}"#] {
            let end = ended(Asked::Action, 200, "application/json", body);
            assert_eq!(end, TrialEnd::Json(serde_json::from_str(body).unwrap()));
        }
    }
}
