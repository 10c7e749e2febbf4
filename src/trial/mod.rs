//! Runs a plugin once on the server, as a user would. Nothing on the server is changed for it, and no chat is saved.
//! The command `try` and the watch do so.
#![expect(clippy::disallowed_methods, reason = "takes the time of an answer")]

mod blame;
mod filter;
mod models;
mod seen;
mod tool;
mod wish;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::client::{ChatAnswer, Client, HIDDEN, Trial, TrialEnd, Watched};
use crate::engine::deploy::Reply;
use crate::notice::{TrialFailure, TrialRemedy, TrialResult, Tried, named};
use crate::plugin::python::public_methods;
use crate::plugin::{Digest, Entry, Key, normal};
use crate::server_version::ServerVersion;
pub use blame::FailedIn;
use blame::{ActiveFilter, explained};
use models::{Model, choose, of_pipe};
use seen::Seen;
pub use wish::Wish;

/// A pipe with more models is tried with a named one only.
const MOST_MODELS: usize = 10;

/// The ids of a chat that no version of the server saves.
const CHAT: &str = "local:owui-watch";
const ANSWER: &str = "owui-watch-2";
const SESSION: &str = "owui-watch";

/// What is said of a pipe without models, where the server does not say why it has none.
const NO_MODELS: &str = "the server lists no model of it: its `pipes` raised, or returned no list of `id` and `name`";

/// Before 0.9 the server answers `{}` if an action or an outlet raises, and marks the end of few streams.
const SAYS_THAT_IT_RAISED: &str = "0.9";
/// From 0.11 on the server says so if a stream fails half way, and some streams of pipes have no end.
const SAYS_THAT_A_STREAM_FAILED: &str = "0.11";
/// A plugin on its server.
#[derive(Clone, Copy)]
pub struct OnTrial<'a> {
    /// The server.
    pub client: &'a Client,
    /// The server's version: major and minor, as far as they are numbers.
    pub version: Option<ServerVersion>,
    /// The plugin.
    pub key: &'a Key,
    /// The text to try; `None` for any that the server has.
    pub digest: Option<Digest>,
}

impl OnTrial<'_> {
    /// Whether the server is at least of this version; not if its version is unknown.
    fn is_since(&self, version: &str) -> bool {
        self.version.is_some_and(|own| own.is_since(version))
    }
}

/// One call of the plugin.
#[derive(Clone)]
pub struct Attempt {
    /// What was called.
    pub called: String,
    /// The model that took part.
    pub model: String,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub result: TrialResult,
    /// What an expectation is about, if that is not the answer: the messages after a filter's hooks.
    pub text: Option<String>,
    /// Where it failed, if it did.
    pub failed_in: FailedIn,
}

/// Why a plugin was not tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Obstacle {
    /// Its kind.
    pub kind: ObstacleKind,
    /// In words.
    pub why: String,
    /// What to do about it.
    pub remedy: Option<TrialRemedy>,
}

/// What kind of obstacle keeps a plugin from being tried.
#[derive(Clone, Debug, PartialEq)]
pub enum ObstacleKind {
    /// The function is switched off.
    Off,
    /// The server has another text.
    OtherText,
    /// The server, as it is, cannot try it.
    Impossible,
    /// The wish does not fit the plugin or the server.
    Wish,
    /// Another plugin took part, this one if its id is valid, and raised an exception.
    Disturbed(Option<Key>),
    /// The server is away, or denied access.
    NoServer(Box<Reply>),
}

impl Obstacle {
    fn new(kind: ObstacleKind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into(), remedy: None }
    }

    fn remedied(self, remedy: TrialRemedy) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// The server did not answer as it should.
    #[must_use]
    pub fn no_server(reply: Reply) -> Self {
        Self::new(ObstacleKind::NoServer(Box::new(reply)), "the server is away or denied access")
    }
}

/// Runs a plugin once: a pipe with each of its models.
///
/// # Errors
///
/// The plugin cannot be tried on this server, or the server is away.
pub async fn run(plugin: OnTrial<'_>, wish: &Wish) -> Result<Vec<Attempt>, Obstacle> {
    let mut trying =
        Trying { plugin, wish, row: Value::Null, models: Vec::new(), watched: None, filters: OnceLock::new() };
    trying.row = trying.json_of(Trial::Row(plugin.key.clone())).await?;
    let watched = Watched { name: format!("{:032x}", fastrand::u128(..)), key: plugin.key.clone() };
    match trying.read_models(false).await {
        Ok(models) => trying.models = models,
        Err(obstacle) => {
            trying.watched = Some(watched);
            return trying.without_models(obstacle).await;
        }
    }
    if trying.models.iter().any(|model| model.is_sandbox) {
        trying.watched = Some(watched);
    }
    let mut attempts = trying.attempts().await?;
    for attempt in &mut attempts {
        wish.judge(attempt);
    }
    Ok(attempts)
}

/// One line for all models of a pipe: the first that failed, else the first that is in doubt, else the first.
#[must_use]
pub fn summed_up(attempts: Vec<Attempt>, wish: &Wish) -> Tried {
    let rank = |attempt: &Attempt| match attempt.result {
        TrialResult::Fails(_) => 0,
        TrialResult::Answered { .. } => 1,
        TrialResult::Works { .. } => 2,
    };
    let (models, took) = (attempts.len(), attempts.iter().map(|attempt| attempt.took).sum::<Duration>());
    let telling = attempts.into_iter().min_by_key(rank);
    let (model, result) = telling.map_or_else(
        || (String::new(), TrialResult::Fails(TrialFailure::new("it has no model"))),
        |attempt| (attempt.model, attempt.result),
    );
    Tried { asked: wish.asked(), model, models, took, result, is_shown: false }
}

/// The models of a pipe that fail in the same way become one attempt.
#[must_use]
pub fn folded(attempts: Vec<Attempt>) -> Vec<Attempt> {
    let mut folded: Vec<(Attempt, Vec<String>)> = Vec::new();
    for attempt in attempts {
        let same = folded
            .iter_mut()
            .find(|(first, _)| matches!(first.result, TrialResult::Fails(_)) && first.result == attempt.result);
        match same {
            Some((first, models)) => {
                models.push(attempt.model);
                first.took += attempt.took;
                first.called = format!("models {}", named(models));
            }
            None => folded.push((attempt.clone(), vec![attempt.model])),
        }
    }
    folded.into_iter().map(|(attempt, _)| attempt).collect()
}

/// A plugin under trial.
struct Trying<'a> {
    plugin: OnTrial<'a>,
    wish: &'a Wish,
    /// The server's row of it.
    row: Value,
    models: Vec<Model>,
    /// In the sandbox, which tells what it sees.
    watched: Option<Watched>,
    /// The filters that are on, once they were asked for; `None` if the server does not list its functions.
    filters: OnceLock<Option<Vec<ActiveFilter>>>,
}

impl Trying<'_> {
    async fn attempts(&mut self) -> Result<Vec<Attempt>, Obstacle> {
        if let (Some(digest), Some(stored)) = (self.plugin.digest, self.row.get("content").and_then(Value::as_str))
            && Digest::of_text(&normal::normal(stored)) != digest
        {
            return Err(Obstacle::new(ObstacleKind::OtherText, "the server now has a different text"));
        }
        if self.row.get("is_active") == Some(&Value::Bool(false)) {
            return Err(
                Obstacle::new(ObstacleKind::Off, "it is switched off on the server").remedied(TrialRemedy::SwitchOn)
            );
        }
        let word = self.row.get("type").and_then(Value::as_str).unwrap_or("tool").to_owned();
        if word != "tool" && self.wish.tool.is_some() {
            let why = format!("{} is for tools, and {} is none", self.wish.setting("tool"), self.plugin.key);
            return Err(Obstacle::new(ObstacleKind::Wish, why));
        }
        match word.as_str() {
            "pipe" => self.pipe().await,
            "filter" => Ok(vec![self.judged(self.filter().await?, Entry::Filter).await?]),
            "action" => Ok(vec![self.judged(self.action().await?, Entry::Action).await?]),
            "tool" => Ok(vec![self.judged(self.tool().await?, Entry::Tools).await?]),
            "event" => Err(impossible("the server's events call it, not a user")),
            other => Err(impossible(format!("the server calls it `{other}`, which owui-watch does not know"))),
        }
    }

    /// The result by what the sandbox has seen; elsewhere, by the text that the server has.
    async fn judged(&self, attempt: Attempt, entry: Entry) -> Result<Attempt, Obstacle> {
        let content = self.row.get("content").and_then(Value::as_str).unwrap_or_default();
        let methods = public_methods(content, entry.class());
        let has_hook = |methods: &[String]| methods.iter().any(|method| entry.hooks().contains(&&**method));
        let lacks_hooks = entry != Entry::Tools && methods.as_ref().is_some_and(|methods| !has_hook(methods));
        if entry == Entry::Filter && methods.is_some_and(|methods| methods.is_empty()) {
            return Err(impossible("it has no hook: all it does is add a switch to the chat"));
        }
        let seen = self.seen().await;
        let attempt = match &seen {
            Some(seen) => seen.judge(attempt, self.plugin.key, entry)?,
            None => self.blamed(attempt, entry).await?,
        };
        Ok(if lacks_hooks { seen::without_hooks(attempt, entry, seen.is_some()) } else { attempt })
    }

    /// What the sandbox has seen since this was last asked.
    async fn seen(&self) -> Option<Seen> {
        let name = self.watched.as_ref()?.name.clone();
        match self.plugin.client.trial(Trial::Seen(name), self.wish.within(), None).await {
            TrialEnd::Json(seen) => Seen::of(&seen),
            _ => None,
        }
    }

    fn message(&self) -> &str {
        self.wish.message()
    }

    fn id(&self) -> &str {
        self.plugin.key.id.as_str()
    }

    /// The answer to a request that the plugin has no part in.
    async fn json_of(&self, trial: Trial) -> Result<Value, Obstacle> {
        match self.plugin.client.trial(trial, self.wish.within(), self.watched.as_ref()).await {
            TrialEnd::Json(value) => Ok(value),
            TrialEnd::Failed(words) | TrialEnd::PipeFailed(words) => Err(impossible(words)),
            TrialEnd::Late => Err(Obstacle::no_server(Reply::Unreachable {
                cause: "the server did not answer in time".into(),
                retry_after: None,
            })),
            TrialEnd::NoServer(reply) => Err(Obstacle::no_server(*reply)),
            TrialEnd::Chat(_) => Err(impossible("an answer of another kind")),
        }
    }

    /// Asks the server for its models.
    async fn read_models(&self, refresh: bool) -> Result<Vec<Model>, Obstacle> {
        Ok(models::listed(&self.json_of(Trial::Models { refresh }).await?))
    }

    /// The trial on a server that cannot list its models: one that JSON cannot hold, such as one whose name is an
    /// object.
    async fn without_models(&self, obstacle: Obstacle) -> Result<Vec<Attempt>, Obstacle> {
        if obstacle.kind != ObstacleKind::Impossible {
            return Err(obstacle);
        }
        self.read_models(true).await.ok();
        let seen = self.seen().await;
        match seen.map_or(Ok(None), |seen| seen.listing_failure(self.plugin.key))? {
            Some(failure) => Ok(vec![without_model(TrialResult::Fails(failure))]),
            None => Err(impossible(format!("the server cannot list its models: {}", obstacle.why))
                .remedied(TrialRemedy::CheckPipes)),
        }
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
    async fn send(&self, trial: Trial) -> Result<(TrialEnd, Duration), Obstacle> {
        let began = Instant::now();
        match self.plugin.client.trial(trial, self.wish.within(), self.watched.as_ref()).await {
            TrialEnd::NoServer(reply) => Err(Obstacle::no_server(*reply)),
            end => Ok((end, began.elapsed())),
        }
    }

    async fn pipe(&mut self) -> Result<Vec<Attempt>, Obstacle> {
        let mut ids = of_pipe(&self.models, self.id());
        let mut seen = None;
        // A wrong item hides those after it in its pipe: the sandbox sees that.
        if ids.is_empty() || self.watched.is_some() {
            self.models = match self.read_models(true).await {
                Ok(models) => models,
                Err(obstacle) => return self.without_models(obstacle).await,
            };
            ids = of_pipe(&self.models, self.id());
            seen = self.seen().await;
            // Ignore failures of other pipes.
            if let Some(Ok(Some(failure))) = seen.as_ref().map(|seen| seen.listing_failure(self.plugin.key)) {
                return Ok(vec![without_model(TrialResult::Fails(failure))]);
            }
        }
        if ids.is_empty() {
            let result = if seen.is_some() { fails_unseen() } else { fails_unclearly(NO_MODELS) };
            return Ok(vec![without_model(result)]);
        }
        if let Some(wanted) = &self.wish.model {
            let full = format!("{}.{wanted}", self.id());
            if !ids.iter().any(|id| *id == *wanted || *id == full) {
                return Err(wrong_wish(format!("{} has no model `{wanted}`", self.plugin.key))
                    .remedied(TrialRemedy::OneOf(ids)));
            }
            ids.retain(|id| *id == *wanted || *id == full);
        }
        // Each may be a paid model.
        if ids.len() > MOST_MODELS {
            let why = format!("{} has {} models, which are too many to try", self.plugin.key, ids.len());
            return Err(wrong_wish(why).remedied(self.wish.name_model(ids)));
        }
        let mut attempts = Vec::new();
        for model in ids {
            let (end, took) = self.send(Trial::Chat(chat(&model, self.message()))).await?;
            let failed_in = FailedIn::of(&end);
            let result = self.result(end, |answer| {
                let why = if answer.breaks_off && !self.plugin.is_since(SAYS_THAT_A_STREAM_FAILED) {
                    "before 0.9 the server does not tell a whole answer from one that breaks off"
                } else if answer.text.is_empty() {
                    // It may answer by events.
                    "the answer is empty"
                } else {
                    return works(answer.text);
                };
                TrialResult::Answered { answer: answer.text, why: why.to_owned() }
            });
            let attempt = Attempt { called: format!("model `{model}`"), model, took, result, text: None, failed_in };
            attempts.push(self.judged(attempt, Entry::Pipe).await?);
        }
        Ok(attempts)
    }

    async fn action(&self) -> Result<Attempt, Obstacle> {
        let model = choose(&self.models, self.wish, |_| true)?.id.clone();
        let body = self.answered(&model);
        let (end, took) = self.send(Trial::Action(self.plugin.key.id.clone(), body.clone())).await?;
        let result = match end {
            TrialEnd::Json(answer) if self.hides_exception(&answer) => TrialResult::Fails(explained(HIDDEN)),
            TrialEnd::Json(answer) if answer == body => works("the message as it was".to_owned()),
            TrialEnd::Json(answer) => works(shown(&answer)),
            end => self.result(end, |answer| works(answer.text)),
        };
        let (called, failed_in) = ("the action".to_owned(), FailedIn::Plugin);
        Ok(Attempt { called, model, took, result, text: None, failed_in })
    }

    /// Whether this is how an older server answers if the plugin raises.
    fn hides_exception(&self, answer: &Value) -> bool {
        !self.plugin.is_since(SAYS_THAT_IT_RAISED) && answer.as_object().is_some_and(Map::is_empty)
    }

    /// Whether the end of a stream is missing because a generator raised.
    fn has_failed(&self, answer: &ChatAnswer) -> bool {
        let is_marked = self.plugin.is_since(SAYS_THAT_IT_RAISED) && !self.plugin.is_since(SAYS_THAT_A_STREAM_FAILED);
        answer.breaks_off && (is_marked || answer.text.is_empty())
    }

    fn result(&self, end: TrialEnd, judge: impl FnOnce(ChatAnswer) -> TrialResult) -> TrialResult {
        match end {
            TrialEnd::Chat(answer) if self.has_failed(&answer) => {
                let text = format!("after `{}`", answer.text);
                let after = if answer.text.is_empty() { "before its first word" } else { &text };
                fails_unclearly(&format!("the answer breaks off {after}"))
            }
            TrialEnd::Chat(answer) => judge(answer),
            TrialEnd::Failed(words) | TrialEnd::PipeFailed(words) => TrialResult::Fails(explained(&words)),
            TrialEnd::Late => {
                let remedy = TrialRemedy::WaitLonger { in_table: self.wish.is_of_table };
                fails_with(remedy, format!("no answer within {}", self.wish.within_words()))
            }
            TrialEnd::Json(_) | TrialEnd::NoServer(_) => fails("an answer of another kind"),
        }
    }
}

/// What a browser sends for a message. Without a session the answer comes in the response.
fn chat(model: &str, message: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": message }], "stream": true })
}

/// The attempt to find a pipe's models.
fn without_model(result: TrialResult) -> Attempt {
    let (called, took) = ("its models".to_owned(), Duration::ZERO);
    Attempt { called, model: String::new(), took, result, text: None, failed_in: FailedIn::Plugin }
}

fn works(answer: String) -> TrialResult {
    TrialResult::Works { answer: Some(answer), diff: None }
}

fn fails(words: &str) -> TrialResult {
    TrialResult::Fails(TrialFailure::new(words))
}

fn fails_with(remedy: TrialRemedy, words: impl Into<String>) -> TrialResult {
    TrialResult::Fails(TrialFailure { remedy: Some(remedy), ..TrialFailure::new(words) })
}

/// A pipe has no model, and the sandbox saw nothing wrong with its `pipes`.
fn fails_unseen() -> TrialResult {
    fails_with(TrialRemedy::CheckValves, "the server lists no model of it")
}

/// It fails, and an exception may be the reason.
fn fails_unclearly(words: &str) -> TrialResult {
    fails_with(TrialRemedy::FindException, words)
}

fn impossible(why: impl Into<String>) -> Obstacle {
    Obstacle::new(ObstacleKind::Impossible, why)
}

fn wrong_wish(why: impl Into<String>) -> Obstacle {
    Obstacle::new(ObstacleKind::Wish, why)
}

/// A plugin's return value, for people.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "it returned nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}
