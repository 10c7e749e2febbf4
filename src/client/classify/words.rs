//! The words of an answer: the server's message without its wrapper, else a description of the answer. Parts that may
//! hold a secret or the source are dropped.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::StatusCode;
use serde_json::{Map, Value};

use super::{Answer, read};
use crate::client::secret::CUT;

/// Separates the reason from the statement in an error of `SQLAlchemy`.
const SQL: &str = "\n[SQL: ";

/// Servers from 0.10 on answer with these texts instead of the reason, brackets included.
pub(super) const MASKED: [&str; 4] = [
    "[ERROR: Error updating function]",
    "[ERROR: Error updating tool]",
    "[ERROR: Error creating function]",
    "[ERROR: Error creating tool]",
];

/// The answer of 0.6 and 0.9 for a tool whose exception has no text.
const WORDLESS: &str = "Something went wrong :/";

/// Whether a refusal has the form of a server before 0.12.
pub(super) fn is_wrapped(detail: &str) -> bool {
    detail.starts_with("[ERROR: ") || detail == WORDLESS
}

/// The text of an exception without the wrapper of versions up to 0.11.
pub(super) fn unwrapped(detail: &str) -> &str {
    if MASKED.contains(&detail) {
        return detail;
    }
    detail.strip_prefix("[ERROR: ").and_then(|rest| rest.strip_suffix(']')).unwrap_or(detail)
}

/// The server's message in a JSON answer. For a rejected form, only the problem and its place: the rest repeats the
/// form with the source.
pub(super) fn detail(answer: &Answer<'_>) -> Option<String> {
    whole_detail(answer).map(|words| told(&words))
}

/// The server's words without SQL, which contains the source, cut to a readable length.
pub(super) fn told(words: &str) -> String {
    const ENOUGH: usize = 8000;
    let end = words.find(SQL).unwrap_or(words.len());
    let bracket = if end < words.len() && words.starts_with("[ERROR: ") && words.ends_with(']') { "]" } else { "" };
    format!("{}{bracket}", cut(&words[..end], ENOUGH))
}

/// Whether a failed SQL statement is the server's write of a plugin, not the plugin's own.
pub(super) fn is_the_servers_own_write(words: &str) -> bool {
    let Some((_, sql)) = words.split_once(SQL) else { return false };
    let sql = sql.replace('"', "");
    ["UPDATE", "INSERT INTO"].iter().any(|verb| {
        let table = sql.strip_prefix(verb).map_or("", str::trim_start);
        ["function", "tool"]
            .iter()
            .any(|name| table.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '('])))
    })
}

pub(super) fn whole_detail(answer: &Answer<'_>) -> Option<String> {
    let mut body = read::<Map<String, Value>>(answer)?;
    match body.remove("detail")? {
        Value::String(words) => Some(words),
        Value::Array(problems) => Some(problems.iter().map(problem).collect::<Vec<_>>().join("; ")),
        Value::Object(named) => {
            let words = ["message", "msg", "code"].iter().find_map(|key| named.get(*key)?.as_str());
            Some(words.unwrap_or_default().to_owned())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(String::new()),
    }
}

fn problem(problem: &Value) -> String {
    let place = problem.get("loc").and_then(Value::as_array).into_iter().flatten();
    let place: Vec<_> = place.map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned)).collect();
    let words = problem.get("msg").and_then(Value::as_str).unwrap_or_default();
    format!("{}: {words}", place.join("."))
}

pub(super) fn heading(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}

pub(super) fn heading_and_words(answer: &Answer<'_>) -> String {
    let heading = heading(answer.status);
    match detail(answer).filter(|words| !words.is_empty()) {
        Some(words) => format!("{heading}: {words}"),
        None => heading,
    }
}

/// The server's message, else a description of the answer.
pub(super) fn words(answer: &Answer<'_>) -> String {
    detail(answer).unwrap_or_else(|| looks(answer))
}

/// Describes an answer that does not come from the API.
pub(super) fn looks(answer: &Answer<'_>) -> String {
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(16 << 10)]);
    let text = text.trim();
    if is_a_page(answer) || text.starts_with('<') {
        return title(text).map_or_else(|| "a web page".to_owned(), |title| format!("a web page titled `{title}`"));
    }
    if text.is_empty() {
        "an empty answer".to_owned()
    } else if type_is(answer, "application/json") {
        // Not shown: it may contain anything, even a session.
        "unexpected JSON".to_owned()
    } else {
        shortened(text)
    }
}

pub(super) fn is_a_page(answer: &Answer<'_>) -> bool {
    type_is(answer, "text/html")
}

fn type_is(answer: &Answer<'_>, start: &str) -> bool {
    answer.content_type.is_some_and(|it| it.to_ascii_lowercase().starts_with(start))
}

fn title(page: &str) -> Option<String> {
    // ASCII only, so that positions in both texts are the same.
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let title = page[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    (!title.is_empty()).then(|| shortened(&title))
}

pub(super) fn shortened(text: &str) -> String {
    cut(text, 200)
}

fn cut(text: &str, enough: usize) -> String {
    match text.char_indices().nth(enough) {
        Some((end, _)) => format!("{}{CUT}", &text[..end]),
        None => text.to_owned(),
    }
}

/// The target of a redirect in a form for `url`: without our path, and without the query, which may hold secrets.
pub(super) fn redirect(answer: &Answer<'_>) -> String {
    let Some(location) = answer.location else {
        return "a redirect to nowhere".to_owned();
    };
    let location = location.split(['?', '#']).next().unwrap_or_default();
    let api = answer.asked_for.find("/api/").map_or(answer.asked_for, |at| &answer.asked_for[at..]);
    let base = location.strip_suffix(api).filter(|base| !base.is_empty()).unwrap_or(location);
    format!("a redirect to `{}`", shortened(base))
}

/// `Retry-After` in either form. A date is relative to the server's own clock. The engine limits it.
pub(super) fn retry_after(answer: &Answer<'_>) -> Option<Duration> {
    let value = answer.retry_after?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let read = |date| DateTimeParser::new().parse_timestamp(date).ok();
    let wait = read(value)?.duration_since(read(answer.date?.trim())?);
    Some(Duration::try_from(wait).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answered, foreign, said};
    use super::super::{Asked, classify};
    use super::*;
    use crate::engine::deploy::Reply;
    use crate::plugin::Kind::Tool;
    use Asked::{Connect, Create, Get, Update};

    #[test]
    fn long_words_are_cut() {
        let Reply::Refused { words, .. } = said(Create(Tool), 400, &"é".repeat(1 << 20)) else { panic!() };
        assert_eq!((words.chars().count(), words.ends_with('…')), (8001, true));
    }

    #[test]
    fn a_rejected_form_is_reported_without_its_content() {
        let body = r#"{"detail": [
            {"type": "missing", "loc": ["body", "name"], "msg": "Field required", "input": {"content": "SOURCE"}},
            {"type": "x", "loc": ["body", "access_grants", 0], "msg": "Input should be a list", "input": "SOURCE"}]}"#;
        let words = "body.name: Field required; body.access_grants.0: Input should be a list";
        assert_eq!(
            answered(Update(Tool), 422, "application/json", body),
            Reply::Crashed { words: format!("422 Unprocessable Entity: {words}"), too_large: false }
        );
        assert_eq!(answered(Get(Tool), 422, "application/json", body), foreign(422, words));
    }

    #[test]
    fn retry_after_in_both_forms() {
        let rows = [
            (Some("7"), None, Some(7)),
            (Some(" 120 "), None, Some(120)),
            (Some("Wed, 21 Oct 2015 07:28:00 GMT"), Some("Wed, 21 Oct 2015 07:27:30 GMT"), Some(30)),
            // Already past.
            (Some("Wed, 21 Oct 2015 07:28:00 GMT"), Some("Wed, 21 Oct 2015 07:28:30 GMT"), Some(0)),
            // No server time to compare with.
            (Some("Wed, 21 Oct 2015 07:28:00 GMT"), None, None),
            (Some("soon"), Some("Wed, 21 Oct 2015 07:28:30 GMT"), None),
            (Some("-1"), None, None),
            (None, None, None),
        ];
        for (retry_after, date, seconds) in rows {
            let answer = Answer { status: 503, retry_after, date, ..Answer::default() };
            let expected = Reply::Unreachable {
                cause: "503 Service Unavailable".into(),
                retry_after: seconds.map(Duration::from_secs),
            };
            assert_eq!(classify(Update(Tool), &answer), expected, "{retry_after:?} at {date:?}");
        }
    }

    #[test]
    fn redirects_name_the_address_to_use() {
        let rows = [
            (Some("https://host/api/version"), "a redirect to `https://host`"),
            (Some("https://host:8443/chat/api/version?x=SECRET"), "a redirect to `https://host:8443/chat`"),
            (Some("https://sso/login?rd=SECRET#x"), "a redirect to `https://sso/login`"),
            (Some("/login"), "a redirect to `/login`"),
            (Some("/api/version"), "a redirect to `/api/version`"),
            (None, "a redirect to nowhere"),
        ];
        for (location, words) in rows {
            let answer = Answer { status: 302, location, asked_for: "/chat/api/version", ..Answer::default() };
            assert_eq!(classify(Connect, &answer), foreign(302, words));
        }
    }
}
