//! Interprets answers. Pure: one table of the statuses and texts of all server versions. `words`, `rows`, `models`
//! and `history` parse the answers' content.
//!
//! On this server, missing rows, missing permission and refused code share statuses, so the texts decide. An ambiguous
//! text counts as the milder case: asking again is better than a wrong action.

mod history;
mod models;
mod rows;
mod words;

use serde::Deserialize;
use serde_json::Value;

use crate::client::list::List;
use crate::engine::deploy::Reply;
use crate::plugin::Kind;
use history::{WireSnapshot, listed_version};
pub(super) use history::{newest_first, page_length};
use models::{attached, listed_model};
use rows::{Named, TOO_MANY_VALUES, WireRow, has_too_many_values};
pub(super) use rows::{listed_row, listed_row_with_text, overview};
use words::{
    detail, heading, heading_and_words, is_a_page, is_the_servers_own_write, is_wrapped, looks, redirect, retry_after,
    shortened, told, unwrapped, whole_detail, words,
};

/// The kind of request: a call without its arguments, one of the two steps of connecting to a server without login, or
/// a trial of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Connect,
    Config,
    SignIn,
    Overview(Kind),
    Get(Kind),
    Create(Kind),
    Update(Kind),
    Toggle,
    ToggleGlobal,
    Models(Models),
    Delete,
    Versions,
    Version,
    Prune,
    ModelList,
    Chat,
    Outlet,
    Action,
    Seen,
}

/// A list of models. `All` exists since 0.11; before, the other two together are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Models {
    All,
    Workspace,
    Base,
}

impl Asked {
    /// Whether the server runs the code that was sent.
    pub(super) fn deploys(self) -> bool {
        matches!(self, Asked::Create(_) | Asked::Update(_))
    }

    /// Whether it names a row that may not exist.
    fn names_a_row(self) -> bool {
        let is_named = matches!(self, Asked::Get(_) | Asked::Update(_) | Asked::Delete);
        is_named || self.flips() || self.is_about_history()
    }

    fn flips(self) -> bool {
        matches!(self, Asked::Toggle | Asked::ToggleGlobal)
    }

    /// Whether servers before 0.12 lack this path.
    fn is_about_history(self) -> bool {
        matches!(self, Asked::Versions | Asked::Version | Asked::Prune)
    }
}

/// The relevant parts of an HTTP answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) content_type: Option<&'a str>,
    pub(super) retry_after: Option<&'a str>,
    pub(super) date: Option<&'a str>,
    pub(super) location: Option<&'a str>,
    /// The path of the request, encoded.
    pub(super) asked_for: &'a str,
    /// The id of the requested plugin or version.
    pub(super) about: Option<&'a str>,
    /// How many bytes the request carried.
    pub(super) sent: usize,
    pub(super) body: &'a [u8],
}

impl Answer<'_> {
    fn is_about(&self, id: &str) -> bool {
        self.about.is_none_or(|about| about == id)
    }
}

/// Interprets an answer to a request.
pub(super) fn classify(asked: Asked, answer: &Answer<'_>) -> Reply {
    if !(200..300).contains(&answer.status) {
        return failure(asked, answer);
    }
    let reply = match asked {
        Asked::Connect => read::<Connected>(answer).map(|it| Reply::Connected { version: shortened(&it.version) }),
        Asked::Overview(_) => List::of(answer.body, listed_row).map(overview),
        Asked::Get(_) => got(answer),
        Asked::Create(_) | Asked::Update(_) | Asked::Toggle | Asked::ToggleGlobal
            if has_too_many_values(answer.body) =>
        {
            Some(Reply::Lost { cause: TOO_MANY_VALUES.to_owned() })
        }
        Asked::Create(_) | Asked::Update(_) | Asked::Toggle | Asked::ToggleGlobal => {
            read::<WireRow>(answer).map(|row| {
                if answer.is_about(&row.id) {
                    Reply::Row(Box::new(row.into()))
                } else {
                    Reply::Lost { cause: ANOTHER_PLUGIN.to_owned() }
                }
            })
        }
        Asked::Models(_) => List::of(answer.body, listed_model).map(attached),
        // `false`: the server's database refused.
        Asked::Delete | Asked::Prune => {
            read(answer).map(|done| if done { Reply::Deleted } else { stumbled("it was not deleted") })
        }
        Asked::Versions => List::of(answer.body, listed_version)
            .map(|versions| Reply::Versions(versions.elements.into_iter().flatten().collect())),
        Asked::Version => read::<WireSnapshot>(answer).map(|version| {
            if version.id.is_none_or(|id| answer.is_about(&id)) {
                Reply::Text(version.snapshot.content)
            } else {
                Reply::Unusable { words: "the answer is about another version".to_owned() }
            }
        }),
        Asked::Config
        | Asked::SignIn
        | Asked::ModelList
        | Asked::Chat
        | Asked::Outlet
        | Asked::Action
        | Asked::Seen => None,
    };
    reply.unwrap_or_else(|| failure(asked, answer))
}

const ANOTHER_PLUGIN: &str = "the answer is about another plugin";

fn got(answer: &Answer<'_>) -> Option<Reply> {
    if has_too_many_values(answer.body) {
        return Some(Reply::Unusable { words: TOO_MANY_VALUES.to_owned() });
    }
    match read::<Option<WireRow>>(answer) {
        Some(Some(row)) if answer.is_about(&row.id) => Some(Reply::Row(Box::new(row.into()))),
        Some(Some(_)) => Some(Reply::Unusable { words: ANOTHER_PLUGIN.to_owned() }),
        // 0.6 answers `null` for another user's tool.
        Some(None) => {
            let words = "it exists, but this account may not read it".to_owned();
            Some(Reply::NotAllowed { status: answer.status, words })
        }
        None => read::<Named>(answer)
            .map(|_| Reply::Unusable { words: "the server returns it in an unknown form".to_owned() }),
    }
}

/// Interprets an unexpected answer.
pub(super) fn failure(asked: Asked, answer: &Answer<'_>) -> Reply {
    let status = answer.status;
    match status {
        200..300 => misunderstood(asked, answer),
        300..400 => Reply::Foreign { status, words: redirect(answer) },
        400 => bad_request(asked, answer),
        401 => unauthorised(asked, answer),
        403 | 407 => Reply::NotAllowed { status, words: words(answer) },
        404 | 405 if asked.is_about_history() && detail(answer).is_some() => Reply::Absent,
        404 => match detail(answer) {
            // `Not Found` is the web framework's text for an unknown path.
            Some(detail) if asked.names_a_row() && detail != "Not Found" => Reply::Absent,
            _ => Reply::Foreign { status, words: words(answer) },
        },
        405 => Reply::Foreign { status, words: words(answer) },
        413 if asked.deploys() => {
            Reply::Crashed { words: format!("{}: {}", heading(status), too_large(answer.sent)), too_large: true }
        }
        408 | 429 | 503 => away(answer),
        // The server or a proxy rejects the request, and will again.
        402 | 406 | 409..=428 | 430..500 if asked.deploys() => {
            Reply::Crashed { words: format!("{}: {}", heading(status), words(answer)), too_large: false }
        }
        500 => Reply::Crashed { words: words(answer), too_large: false },
        // A proxy lost the server, perhaps after the request had arrived.
        501..600 if asked.changes() => Reply::Lost { cause: heading_and_words(answer) },
        501..600 => away(answer),
        _ => Reply::Foreign { status, words: words(answer) },
    }
}

/// The message for a proxy's size limit; Open WebUI has none.
fn too_large(sent: usize) -> String {
    let kib = sent.div_ceil(1 << 10);
    format!("the plugin makes a request of {kib} KiB, which is over the limit of a proxy in front of the server")
}

fn misunderstood(asked: Asked, answer: &Answer<'_>) -> Reply {
    if asked.changes() && serde_json::from_slice::<Value>(answer.body).is_ok() {
        return Reply::Lost { cause: "the server reported success in an unknown form".to_owned() };
    }
    if asked.is_about_history() && !asked.changes() && is_a_page(answer) {
        // The web app answers any path that the API lacks.
        return Reply::Absent;
    }
    Reply::Foreign { status: answer.status, words: looks(answer) }
}

fn unauthorised(asked: Asked, answer: &Answer<'_>) -> Reply {
    let status = answer.status;
    let Some(detail) = detail(answer) else {
        // A login page or a proxy in front of the server.
        return Reply::NotAllowed { status, words: words(answer) };
    };
    if !asked.names_a_row() || ABOUT_THE_KEY.contains(&detail.as_str()) {
        Reply::NotAllowed { status, words: detail }
    } else if detail == NOT_FOUND {
        Reply::Absent
    } else {
        Reply::Unclear { words: detail }
    }
}

fn bad_request(asked: Asked, answer: &Answer<'_>) -> Reply {
    let status = answer.status;
    let Some(whole) = whole_detail(answer) else {
        return Reply::Foreign { status, words: looks(answer) };
    };
    let detail = told(&whole);
    if detail == ID_TAKEN && matches!(asked, Asked::Create(_)) {
        return Reply::Taken;
    }
    if detail == "Function not found" && asked == Asked::Update(Kind::Function) {
        return Reply::Absent;
    }
    if detail.starts_with("Functions are disabled by ENABLE_") || detail.starts_with("Tools are disabled by ENABLE_") {
        return Reply::NotAllowed { status, words: detail };
    }
    if unwrapped(&detail).starts_with("(sqlite3.OperationalError) database is locked") {
        return Reply::Stumbled { cause: "the server's database is locked".to_owned() };
    }
    // A full disk or a read-only file: the code was accepted, and then the write failed.
    if is_the_servers_own_write(&whole) {
        return stumbled(unwrapped(&detail));
    }
    if STUMBLED.contains(&detail.as_str()) {
        return stumbled(&detail);
    }
    match asked {
        Asked::Create(_) | Asked::Update(_) => {
            Reply::Refused { words: unwrapped(&detail).to_owned(), wrapped: is_wrapped(&detail) }
        }
        // The database refused the change.
        Asked::Toggle | Asked::ToggleGlobal | Asked::Delete => stumbled(&detail),
        Asked::SignIn => Reply::NotAllowed { status, words: detail },
        // The server may fail here for other reasons, which do not concern the text.
        Asked::Prune => Reply::Refused { words: detail, wrapped: false },
        // What the plugin raised.
        Asked::Chat | Asked::Outlet | Asked::Action => Reply::Refused { words: detail, wrapped: false },
        Asked::Connect
        | Asked::Config
        | Asked::Overview(_)
        | Asked::Get(_)
        | Asked::Models(_)
        | Asked::Versions
        | Asked::Version
        | Asked::ModelList
        | Asked::Seen => Reply::Foreign { status, words: detail },
    }
}

/// The server failed for reasons of its own, and changed nothing.
fn stumbled(words: &str) -> Reply {
    Reply::Stumbled { cause: format!("the server failed: {words}") }
}

fn away(answer: &Answer<'_>) -> Reply {
    Reply::Unreachable { cause: heading_and_words(answer).into(), retry_after: retry_after(answer) }
}

const NOT_FOUND: &str = "We could not find what you're looking for :/";

const ID_TAKEN: &str = "Uh-oh! This id is already registered. Please choose another id string.";

/// The texts of a 401 about the key or session, of all versions.
const ABOUT_THE_KEY: [&str; 7] = [
    "401 Unauthorized",
    "Not authenticated",
    "Your session has expired or the token is invalid. Please sign in again.",
    "Invalid authentication request.",
    "Invalid token",
    "User mismatch. Please sign in again.",
    "You do not have permission to access this resource. Please contact your administrator for assistance.",
];

/// The texts of a 400 that is not about the code: a write failed after the code was accepted (up to 0.9 also if two
/// clients create the same id at once, or the function does not exist), or the request arrived damaged.
const STUMBLED: [&str; 5] = [
    "[ERROR: 400: [ERROR: Error updating function]]",
    "[ERROR: 400: [ERROR: Error updating tool]]",
    "[ERROR: 400: [ERROR: Error creating function]]",
    "[ERROR: 400: [ERROR: Error creating tool]]",
    "There was an error parsing the body",
];

fn read<'a, T: Deserialize<'a>>(answer: &Answer<'a>) -> Option<T> {
    serde_json::from_slice(answer.body).ok()
}

#[derive(Deserialize)]
struct Connected {
    version: String,
}

#[cfg(test)]
mod tests;
