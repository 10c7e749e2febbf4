//! The facts of a trial after a deploy.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::format::{excerpt, quoted};
use crate::plugin::{Entry, Key, Kind, Span};

/// How many characters of an answer `--json` has.
const MOST_CHARACTERS: usize = 4000;

/// How a trial after a deploy ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// What was asked of the plugin.
    pub asked: String,
    /// The model that took part, or the pipe's.
    pub model: String,
    /// How many models of a pipe were tried.
    pub models: usize,
    /// How long all of it took.
    pub took: Duration,
    /// The result. If several models were tried and some failed, it is that of the first failure.
    pub result: TrialResult,
    /// Whether the command `try` has shown it.
    pub is_shown: bool,
}

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
    pub remedy: Option<TrialRemedy>,
    /// What else may have failed instead.
    pub others: Vec<Suspect>,
    /// Whether it failed because the server found no hook of it.
    pub lacks_hook: bool,
}

impl TrialFailure {
    /// A failure with nothing but these words.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), ..Self::default() }
    }
}

/// What may have failed instead of the plugin that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suspect {
    /// The filter of this id.
    Filter(String),
    /// Any filter: the server did not list them.
    AnyFilter,
    /// The pipe of this id.
    Pipe(String),
    /// The model of this id.
    Model(String),
}

impl Suspect {
    /// Whether it is this plugin.
    #[must_use]
    pub fn is(&self, key: &Key) -> bool {
        match self {
            Suspect::Filter(id) | Suspect::Pipe(id) => key.kind == Kind::Function && key.id.as_str() == id,
            Suspect::AnyFilter | Suspect::Model(_) => false,
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Suspect::Filter(id) => format!("filter `{id}`"),
            Suspect::AnyFilter => "any filter (the server did not list them)".to_owned(),
            Suspect::Pipe(id) => format!("pipe `{id}`"),
            Suspect::Model(id) => format!("model `{id}`"),
        }
    }

    /// All of them in words; `None` if there is none.
    pub(super) fn all(suspects: &[Self]) -> Option<Vec<String>> {
        (!suspects.is_empty()).then(|| suspects.iter().map(Self::words).collect())
    }
}

/// What the user can do about a trial that failed, or that was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrialRemedy {
    /// Switch the function on.
    SwitchOn,
    /// Make the filter global, or attach it to a model.
    Attach,
    /// Let the sandbox show the line: the server gives an exception's words alone.
    FindLine,
    /// Let the sandbox show whether it raises an exception.
    FindException,
    /// Name the missing package, or have the sandbox install it.
    NamePackage,
    /// Switch the model on, or get access to it.
    AllowModel,
    /// Connect a model to the server.
    ConnectModel,
    /// Name one of these models.
    NameModel {
        /// Their ids.
        models: Vec<String>,
        /// Whether it is to be named in the table of `watch.toml`, not by a flag.
        in_table: bool,
    },
    /// Name one that exists: these.
    OneOf(Vec<String>),
    /// Wait longer for an answer.
    WaitLonger {
        /// Whether the time is set in the table of `watch.toml`, not by a flag.
        in_table: bool,
    },
    /// Have the model call the function by asking for it.
    AskModel {
        /// Whether the message is in the table of `watch.toml`, not in a flag.
        in_table: bool,
    },
    /// Check the valves and the list of models.
    CheckValves,
    /// Check the lists of models of all pipes.
    CheckPipes,
    /// Check the names of the methods.
    CheckHooks(Entry),
    /// Return this parameter.
    Return(String),
}

/// Why a plugin was not tried after its deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untried {
    /// The function is switched off.
    Off,
    /// Somebody else deployed another text meanwhile.
    OtherText,
    /// It has no table, and could do more than answer.
    ActsOutside {
        /// What in its text says so.
        by: String,
    },
    /// It is a tool, and no table says which function to call.
    NoFunction,
    /// No user calls an event.
    Event,
    /// The server as it is, or the table, does not allow it.
    Impossible {
        /// Why.
        why: String,
        /// What to do about it.
        remedy: Option<TrialRemedy>,
    },
    /// The server is away, or denied access.
    NoServer {
        /// Why.
        why: String,
    },
    /// Another plugin took part in it, and raised an exception.
    Disturbed {
        /// By which plugin, and how.
        by: String,
        /// That plugin.
        culprit: Option<Key>,
    },
    /// Its table was removed, and without one it is not tried.
    NoTable,
}

impl Tried {
    /// Whether the plugin failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.trial_failure().is_some()
    }

    /// Why the plugin failed, if it did.
    #[must_use]
    pub fn trial_failure(&self) -> Option<&TrialFailure> {
        match &self.result {
            TrialResult::Fails(failure) => Some(failure),
            TrialResult::Works { .. } | TrialResult::Answered { .. } => None,
        }
    }

    /// Whether the server does not tell an answer from an exception.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.result, TrialResult::Answered { .. })
    }

    /// What happened, in one line; of a failure, without the reason.
    pub(super) fn headline(&self) -> String {
        let asked = quoted(&self.asked);
        let with = match self.models {
            0 | 1 => String::new(),
            _ if self.has_failed() => format!(" with `{}`", self.model),
            models => format!(" with {models} models"),
        };
        match &self.result {
            TrialResult::Works { answer, diff } => {
                let diff = diff.as_deref().map(changed_lines);
                let shown = answer.as_deref().map(quoted).into_iter().chain(diff).collect::<Vec<_>>().join(", ");
                format!("works{with}: {asked} → {shown}")
            }
            TrialResult::Answered { answer, why } => format!("answered{with}: {asked} → {}; {why}", quoted(answer)),
            TrialResult::Fails(failure) if failure.others.is_empty() => format!("fails{with} on {asked}"),
            TrialResult::Fails(_) => format!("trial failed{with} on {asked}"),
        }
    }

    /// Why it failed.
    pub(super) fn failure(&self) -> Option<String> {
        let TrialFailure { words, answer, .. } = self.trial_failure()?;
        let answer = answer.as_deref().map_or_else(String::new, |answer| format!(", got {}", quoted(answer)));
        Some(format!("{}{answer}", excerpt(words)))
    }

    /// The fields of `--json` beside the duration.
    pub(super) fn fields(&self) -> Vec<(&'static str, Value)> {
        let cut = |text: &String| text.chars().take(MOST_CHARACTERS).collect::<String>();
        let (words, answer, diff) = match &self.result {
            TrialResult::Works { answer, diff } => (None, answer.as_ref(), diff.as_ref()),
            TrialResult::Answered { answer, .. } => (None, Some(answer), None),
            TrialResult::Fails(failure) => (Some(&failure.words), failure.answer.as_ref(), None),
        };
        let model = Some(self.model.clone()).filter(|model| !model.is_empty());
        let others = self.trial_failure().and_then(|failure| Suspect::all(&failure.others));
        vec![
            ("model", json!(model)),
            ("words", json!(words.map(cut))),
            ("answer", json!(answer.map(cut))),
            ("diff", json!(diff.map(cut))),
            ("others", json!(others)),
        ]
    }
}

impl Untried {
    /// The stable word for it: `reason` in `--json`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Untried::Off => "off",
            Untried::OtherText => "other_text",
            Untried::ActsOutside { .. } => "acts_outside",
            Untried::NoFunction => "no_function",
            Untried::Event => "event",
            Untried::Impossible { .. } => "impossible",
            Untried::NoServer { .. } => "no_server",
            Untried::Disturbed { .. } => "disturbed",
            Untried::NoTable => "no_table",
        }
    }

    /// Whether it is the same for each text, and told once.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self, Untried::Off | Untried::ActsOutside { .. } | Untried::NoFunction | Untried::Event)
    }

    /// Whether a trial that the user asked for counts as failed.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Untried::Impossible { .. } | Untried::NoServer { .. } | Untried::OtherText | Untried::Disturbed { .. } => {
                true
            }
            Untried::Off | Untried::ActsOutside { .. } | Untried::NoFunction | Untried::Event | Untried::NoTable => {
                false
            }
        }
    }

    pub(super) fn sentence(&self) -> String {
        match self {
            Untried::Off => "not tried: it is switched off".to_owned(),
            Untried::OtherText => "not tried: the server now has a different text".to_owned(),
            Untried::ActsOutside { by } => format!("not tried: it may act outside the chat (`{by}`)"),
            Untried::NoFunction => "not tried: no function is named".to_owned(),
            Untried::Event => "not tried: the server's events call it, not a user".to_owned(),
            Untried::Impossible { why, .. } | Untried::NoServer { why } => format!("not tried: {why}"),
            Untried::Disturbed { by, .. } => format!("trial inconclusive: {by}"),
            Untried::NoTable => "no longer tried".to_owned(),
        }
    }
}

/// The lines that a difference adds or removes, in one, behind the names of the hooks that changed them.
fn changed_lines(diff: &str) -> String {
    let is_shown =
        |line: &&str| !line.starts_with([' ', '@', '\\']) && !line.starts_with("+++ ") && !line.starts_with("--- ");
    excerpt(&diff.lines().filter(is_shown).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_by_its_changes() {
        let inlet = "inlet:\n--- sent\n+++ got\n@@ -1 +1,2 @@\n+system: Be brief.\n user: hello\n";
        let outlet = "outlet:\n--- answered\n+++ after\n@@ -1 +1 @@\n-assistant: a\n+assistant: b\n";
        let diff = format!("{inlet}{outlet}");
        assert_eq!(changed_lines(&diff), "inlet: +system: Be brief. outlet: -assistant: a +assistant: b");
    }

    #[test]
    fn what_json_has_of_an_answer_is_bounded() {
        let result = TrialResult::Works { answer: Some("ä".repeat(5000)), diff: None };
        let (asked, model, took) = (String::new(), String::new(), Duration::ZERO);
        let tried = Tried { asked, model, models: 1, took, result, is_shown: false };
        let fields = tried.fields();
        assert_eq!(fields[2].1.as_str().unwrap().chars().count(), MOST_CHARACTERS);
        assert_eq!(fields[0].1, Value::Null);
    }
}
