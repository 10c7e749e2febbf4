//! What the sandbox has seen of plugins in a trial: which hooks were called, what returned nothing, and what was
//! raised.

use serde::Deserialize;
use serde_json::Value;

use super::filter::in_chat;
use super::{Attempt, FailedIn, Obstacle, ObstacleKind};
use crate::engine::refusal;
use crate::notice::{TrialFailure, TrialRemedy, TrialResult};
use crate::plugin::id::PluginId;
use crate::plugin::{Entry, Key, Kind, Span};

/// The calls of plugins in a trial, each kind once.
#[derive(Debug, Deserialize)]
pub(super) struct Seen(Vec<SeenCall>);

#[derive(Debug, Deserialize)]
struct SeenCall {
    kind: String,
    id: String,
    hook: String,
    /// Whether it returned `None`.
    nothing: bool,
    /// What it raised.
    error: Option<String>,
    /// Where, in the plugin's own file.
    frame: Option<Span>,
}

impl SeenCall {
    fn is_of(&self, key: &Key) -> bool {
        self.kind == key.kind.word() && self.id == key.id.as_str()
    }

    fn key(&self) -> Option<Key> {
        let kind = Kind::from_word(&self.kind)?;
        Some(Key { kind, id: PluginId::new(&self.id)? })
    }

    /// The failure of the plugin that is tried, by this exception.
    fn raised(&self, error: &str) -> TrialFailure {
        let remedy = refusal::lacks_package(error).then_some(TrialRemedy::NamePackage);
        TrialFailure { place: self.frame.clone().map(Box::new), remedy, ..TrialFailure::new(error) }
    }

    /// Whose failure it is, and how it failed.
    fn failure(&self) -> Option<String> {
        let error = self.error.as_deref()?;
        let place = self.frame.as_ref().map_or_else(String::new, |frame| format!(" in line {}", frame.line));
        let failed = if self.hook == "pipes" { "failed in `pipes`:" } else { "raised" };
        Some(format!("{} {} {failed} {error}{place}", self.kind, self.id))
    }
}

impl Seen {
    /// Reads what the sandbox says. `None` if it knows nothing of the trial.
    pub(super) fn of(told: &Value) -> Option<Self> {
        Self::deserialize(told).ok()
    }

    /// The result of an attempt by what was seen in it.
    ///
    /// # Errors
    ///
    /// It failed because another plugin raised an exception.
    pub(super) fn judge(&self, mut attempt: Attempt, key: &Key, entry: Entry) -> Result<Attempt, Obstacle> {
        let own: Vec<_> = self.0.iter().filter(|call| call.is_of(key)).collect();
        if entry == Entry::Filter {
            attempt.called = in_chat(&listed(&own), &attempt.model);
        }
        let raised = own.iter().find_map(|call| Some((*call, call.error.as_ref()?)));
        if let Some((call, error)) = raised {
            if entry == Entry::Filter {
                attempt.called = in_chat(&call.hook, &attempt.model);
            }
            attempt.result = TrialResult::Fails(call.raised(error));
            return Ok(attempt);
        }
        if let (TrialResult::Fails(_), Some(obstacle)) = (&attempt.result, self.culprit(key)) {
            return Err(obstacle);
        }
        let is_filter = entry == Entry::Filter;
        let empty = own.iter().find(|call| is_filter && call.nothing).map(|call| call.hook.as_str());
        attempt.result = match (attempt.result, empty) {
            (_, Some(hook)) => TrialResult::Fails(returned_nothing(hook)),
            (TrialResult::Fails(failure), None) => {
                let leads_here = |it: &TrialRemedy| matches!(it, TrialRemedy::FindLine | TrialRemedy::FindException);
                let remedy = failure.remedy.filter(|remedy| !leads_here(remedy));
                TrialResult::Fails(TrialFailure { remedy, ..failure })
            }
            _ if own.is_empty() => nothing_ran(entry),
            (TrialResult::Answered { answer, .. }, None) if !answer.is_empty() => {
                TrialResult::Works { answer: Some(answer), diff: None }
            }
            (result, None) => result,
        };
        Ok(attempt)
    }

    /// The failure of the method `pipes`, which lists a pipe's models: it raised, or its result is no list of models.
    ///
    /// # Errors
    ///
    /// The plugin's own list is fine, and another plugin's failed.
    pub(super) fn listing_failure(&self, key: &Key) -> Result<Option<TrialFailure>, Obstacle> {
        let failed: Vec<_> = self
            .0
            .iter()
            .filter(|call| call.hook == "pipes")
            .filter_map(|call| Some((call, call.error.as_ref()?)))
            .collect();
        if let Some((call, error)) = failed.iter().find(|(call, _)| call.is_of(key)) {
            return Ok(Some(call.raised(error)));
        }
        let others: Vec<_> = failed.iter().filter_map(|(call, _)| Some((call.key(), call.failure()?))).collect();
        // Which of several the server fails at is not known.
        let blamed = if let [(key, _)] = &others[..] { key.clone() } else { None };
        let why: Vec<_> = others.into_iter().map(|(_, why)| why).collect();
        if why.is_empty() { Ok(None) } else { Err(Obstacle::new(ObstacleKind::Disturbed(blamed), why.join("; "))) }
    }

    /// The other plugin that raised an exception, and how.
    fn culprit(&self, key: &Key) -> Option<Obstacle> {
        let mut others = self.0.iter().filter(|call| !call.is_of(key));
        let (call, why) = others.find_map(|call| Some((call, call.failure()?)))?;
        Some(Obstacle::new(ObstacleKind::Disturbed(call.key()), why))
    }
}

/// The hooks that were called, in the order of their first calls.
fn listed(calls: &[&SeenCall]) -> String {
    let mut hooks: Vec<&str> = Vec::new();
    for call in calls {
        if !hooks.contains(&call.hook.as_str()) {
            hooks.push(&call.hook);
        }
    }
    match hooks.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// The attempt with a plugin whose text has no hook. `is_seen`: the sandbox has told what ran.
pub(super) fn without_hooks(mut attempt: Attempt, entry: Entry, is_seen: bool) -> Attempt {
    match &mut attempt.result {
        // Each chat with it fails. Its list of models may fail as well.
        TrialResult::Fails(failure) if entry == Entry::Pipe => {
            failure.lacks_hook = attempt.failed_in != FailedIn::Plugin;
        }
        TrialResult::Fails(_) => {}
        // A pipe that answered has run.
        _ if is_seen || entry == Entry::Pipe => {}
        _ => {
            attempt.result = nothing_ran(entry);
            if entry == Entry::Filter {
                attempt.called = in_chat("", &attempt.model);
            }
        }
    }
    attempt
}

/// The failure of a plugin without a hook.
fn nothing_ran(entry: Entry) -> TrialResult {
    let remedy = (!entry.hooks().is_empty()).then_some(TrialRemedy::CheckHooks(entry));
    TrialResult::Fails(TrialFailure { remedy, lacks_hook: true, ..TrialFailure::new("none of its hooks ran") })
}

fn returned_nothing(hook: &str) -> TrialFailure {
    let (what, value) = match hook {
        "inlet" => ("each chat fails", "body"),
        "stream" => ("no part of the answer arrives", "event"),
        _ => ("what it did is lost, and the next filter gets None", "body"),
    };
    let remedy = Some(TrialRemedy::Return(value.to_owned()));
    TrialFailure { remedy, ..TrialFailure::new(format!("`{hook}` returned nothing: {what}")) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn other() -> Key {
        Key { kind: Kind::Function, id: PluginId::new("other").unwrap() }
    }

    fn works() -> TrialResult {
        TrialResult::Works { answer: Some("HI".to_owned()), diff: None }
    }

    fn call(id: &str, hook: &str, nothing: bool, error: Option<&str>) -> Value {
        let frame =
            json!({ "kind": "function", "id": id, "name": hook, "line": 8, "column": 5, "width": 3, "source": "x" });
        let frame = error.map(|_| frame);
        json!({ "kind": "function", "id": id, "hook": hook, "nothing": nothing, "error": error, "frame": frame })
    }

    fn attempt(result: TrialResult) -> Attempt {
        Attempt {
            called: "inlet and outlet, in a chat with `m`".to_owned(),
            model: "m".to_owned(),
            took: Duration::ZERO,
            result,
            text: None,
            failed_in: FailedIn::Chat,
        }
    }

    fn judged(calls: &[Value], entry: Entry, result: TrialResult) -> Result<Attempt, Obstacle> {
        let key = Key { kind: Kind::Function, id: PluginId::new("shout").unwrap() };
        let attempt = attempt(result);
        Seen::of(&json!(calls)).unwrap().judge(attempt, &key, entry)
    }

    fn failure(calls: &[Value], entry: Entry, result: TrialResult) -> TrialFailure {
        let TrialResult::Fails(failure) = judged(calls, entry, result).unwrap().result else { panic!() };
        failure
    }

    #[test]
    fn what_was_seen_to_run_works() {
        let calls = ["inlet", "stream", "stream", "outlet"].map(|hook| call("shout", hook, false, None));
        let attempt = judged(&calls, Entry::Filter, works()).unwrap();
        assert_eq!(
            (attempt.result, attempt.called),
            (works(), "inlet, stream and outlet, in a chat with `m`".to_owned())
        );
        let attempt = judged(&calls[1..2], Entry::Filter, works()).unwrap();
        assert_eq!(attempt.called, "stream, in a chat with `m`");
        let answered = TrialResult::Answered { answer: "HI".to_owned(), why: "old".to_owned() };
        let calls = [call("shout", "pipe", true, None)];
        assert_eq!(judged(&calls, Entry::Pipe, answered).unwrap().result, works(), "the sandbox knows");
    }

    #[test]
    fn what_did_not_run_does_not_work() {
        for entry in [Entry::Filter, Entry::Action] {
            let failure = failure(&[call("other", "inlet", false, None)], entry, works());
            assert_eq!((failure.remedy, failure.lacks_hook), (Some(TrialRemedy::CheckHooks(entry)), true));
        }
        assert_eq!(judged(&[], Entry::Filter, works()).unwrap().called, "a chat with `m`", "it names no hook");
    }

    #[test]
    fn a_failure_of_a_text_without_hooks_is_told_by_its_reason() {
        let fails = || TrialResult::Fails(TrialFailure::new("odd"));
        let answered = || TrialResult::Answered { answer: "HI".to_owned(), why: "old".to_owned() };
        let nothing_ran = |entry| Some(failure(&[], entry, works()));
        let failed = |lacks_hook| Some(TrialFailure { lacks_hook, ..TrialFailure::new("odd") });
        for (entry, attempt, is_seen, expected) in [
            (Entry::Pipe, attempt(fails()), true, failed(true)),
            (Entry::Pipe, attempt(fails()), false, failed(true)),
            (Entry::Pipe, Attempt { failed_in: FailedIn::Plugin, ..attempt(fails()) }, true, failed(false)),
            (Entry::Pipe, attempt(answered()), false, None),
            (Entry::Filter, attempt(works()), false, nothing_ran(Entry::Filter)),
            (Entry::Action, attempt(works()), false, nothing_ran(Entry::Action)),
            (Entry::Filter, attempt(works()), true, None),
            // Another plugin may have failed.
            (Entry::Filter, attempt(fails()), false, failed(false)),
        ] {
            let TrialResult::Fails(failure) = without_hooks(attempt, entry, is_seen).result else {
                assert_eq!(expected, None);
                continue;
            };
            assert_eq!(Some(failure), expected);
        }
    }

    #[test]
    fn an_exception_has_its_place_whatever_the_server_says() {
        let calls = [call("shout", "inlet", false, None), call("shout", "outlet", false, Some("KeyError: 'x'"))];
        for result in [works(), TrialResult::Fails(TrialFailure::new("'x'"))] {
            let failure = failure(&calls, Entry::Filter, result);
            assert_eq!((failure.words.as_str(), failure.place.unwrap().line), ("KeyError: 'x'", 8));
        }
        assert_eq!(judged(&calls, Entry::Filter, works()).unwrap().called, "outlet, in a chat with `m`");
    }

    #[test]
    fn the_failure_of_another_plugin_is_not_its_own() {
        let calls = [call("shout", "inlet", false, None), call("other", "pipe", false, Some("KeyError: 'x'"))];
        let obstacle = judged(&calls, Entry::Filter, TrialResult::Fails(TrialFailure::new("'x'"))).err().unwrap();
        assert_eq!(obstacle.kind, ObstacleKind::Disturbed(Some(other())));
        assert_eq!(obstacle.why, "function other raised KeyError: 'x' in line 8");
        assert_eq!(judged(&calls, Entry::Filter, works()).unwrap().result, works(), "it disturbed nothing");
    }

    #[test]
    fn a_wrong_list_of_models_is_told_with_its_place() {
        let shout = Key { kind: Kind::Function, id: PluginId::new("shout").unwrap() };
        let failure = |calls: &[Value]| Seen::of(&json!(calls)).unwrap().listing_failure(&shout);
        let (words, fine) = ("`pipes` returned None, which is no list", call("shout", "pipes", false, None));
        let wrong = failure(&[call("other", "inlet", false, None), call("shout", "pipes", false, Some(words))]);
        let wrong = wrong.unwrap().unwrap();
        assert_eq!((wrong.words.as_str(), wrong.place.unwrap().line), (words, 8));
        assert_eq!(failure(&[fine, call("shout", "pipe", false, Some("KeyError: 'x'"))]), Ok(None));
        let obstacle = failure(&[call("other", "pipes", false, Some(words))]).unwrap_err();
        assert_eq!(obstacle.kind, ObstacleKind::Disturbed(Some(other())));
        let others = ["other", "third"].map(|id| call(id, "pipes", false, Some(words)));
        let obstacle = failure(&others).unwrap_err();
        assert_eq!(obstacle.kind, ObstacleKind::Disturbed(None));
        let each = |id| format!("function {id} failed in `pipes`: {words} in line 8");
        assert_eq!(obstacle.why, format!("{}; {}", each("other"), each("third")));
    }

    #[test]
    fn a_filter_that_returns_nothing_is_told_so() {
        for (hook, words) in [
            ("inlet", "`inlet` returned nothing: each chat fails"),
            ("stream", "`stream` returned nothing: no part of the answer arrives"),
            ("outlet", "`outlet` returned nothing: what it did is lost, and the next filter gets None"),
        ] {
            let calls = [call("shout", hook, true, None)];
            assert_eq!(failure(&calls, Entry::Filter, works()).words, words);
            assert_eq!(failure(&calls, Entry::Filter, TrialResult::Fails(TrialFailure::new("odd"))).words, words);
        }
        assert!(judged(&[call("shout", "action", true, None)], Entry::Action, works()).is_ok());
    }

    #[test]
    fn a_server_that_saw_nothing_of_the_trial_tells_nothing() {
        for told in [json!(null), json!({}), json!([7])] {
            assert!(Seen::of(&told).is_none());
        }
    }
}
