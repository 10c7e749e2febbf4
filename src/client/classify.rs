//! What an answer means. Pure: the whole table of the server's statuses and texts, of all versions.
//!
//! Existence, permission and refused code share statuses on this server, so the texts decide, and where a text can
//! mean two things the milder one is assumed: better asked again than the wrong thing done.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::StatusCode;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::list::{List, Listed};
use super::secret::CUT;
use crate::engine::deploy::{Reply, Row, Version};
use crate::plugin::id::PluginId;
use crate::plugin::{Digest, Kind};

/// What was asked: a call without its particulars, or one of the two steps of getting in without a login.
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
    Delete,
    Versions,
    Version,
    Prune,
}

impl Asked {
    /// Whether the server holds something else afterwards.
    pub(super) fn changes(self) -> bool {
        match self {
            // A second session is no worse than one.
            Asked::Connect
            | Asked::Config
            | Asked::SignIn
            | Asked::Overview(_)
            | Asked::Get(_)
            | Asked::Versions
            | Asked::Version => false,
            Asked::Create(_) | Asked::Update(_) | Asked::Toggle | Asked::Delete | Asked::Prune => true,
        }
    }

    /// Whether the server runs the code that was sent.
    pub(super) fn deploys(self) -> bool {
        matches!(self, Asked::Create(_) | Asked::Update(_))
    }

    /// Whether it is about one row that may not exist.
    fn names_a_row(self) -> bool {
        matches!(self, Asked::Get(_) | Asked::Update(_) | Asked::Toggle | Asked::Delete) || self.is_about_history()
    }

    /// Whether a server before 0.12 has no such path.
    fn is_about_history(self) -> bool {
        matches!(self, Asked::Versions | Asked::Version | Asked::Prune)
    }
}

/// An HTTP answer, as far as it matters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) content_type: Option<&'a str>,
    pub(super) retry_after: Option<&'a str>,
    pub(super) date: Option<&'a str>,
    pub(super) location: Option<&'a str>,
    /// The path of the request, encoded.
    pub(super) asked_for: &'a str,
    /// The id of the plugin or version that was asked for, if it was one.
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

/// Says what an answer means for what was asked.
pub(super) fn classify(asked: Asked, answer: &Answer<'_>) -> Reply {
    if !(200..300).contains(&answer.status) {
        return failure(asked, answer);
    }
    let reply = match asked {
        Asked::Connect => read::<Connected>(answer).map(|it| Reply::Connected { version: shortened(&it.version) }),
        Asked::Overview(_) => List::of(answer.body, listed_row).map(overview),
        Asked::Get(_) => got(answer),
        Asked::Create(_) | Asked::Update(_) | Asked::Toggle if has_too_many_values(answer.body) => {
            Some(Reply::Lost { cause: TOO_MANY_VALUES.to_owned() })
        }
        Asked::Create(_) | Asked::Update(_) | Asked::Toggle => read::<WireRow>(answer).map(|row| {
            if answer.is_about(&row.id) {
                Reply::Row(Box::new(row.into()))
            } else {
                Reply::Lost { cause: ANOTHER_PLUGIN.to_owned() }
            }
        }),
        // No is what it says where its database would not.
        Asked::Delete | Asked::Prune => {
            read(answer).map(|done| if done { Reply::Deleted } else { stumbled("it was not deleted") })
        }
        Asked::Versions => List::of(answer.body, listed_version)
            .map(|versions| Reply::Versions(versions.elements.into_iter().flatten().collect())),
        Asked::Version => read::<WireSnapshot>(answer).map(|version| {
            if version.id.is_none_or(|id| answer.is_about(&id)) {
                Reply::Text(version.snapshot.content)
            } else {
                Reply::Unusable { words: "the server answers about another version".to_owned() }
            }
        }),
        Asked::Config | Asked::SignIn => None,
    };
    reply.unwrap_or_else(|| failure(asked, answer))
}

const TOO_MANY_VALUES: &str = "the server's answer has more parts than a plugin can have";

/// Whether JSON has so many values that they would need far more memory than its text.
fn has_too_many_values(json: &[u8]) -> bool {
    const MOST: usize = 500_000;
    let (mut quoted, mut escaped) = (false, false);
    let begins_value = |byte: &&u8| {
        let is_syntax = !quoted && matches!(byte, b',' | b'[' | b'{');
        quoted ^= **byte == b'"' && !escaped;
        escaped = **byte == b'\\' && !escaped;
        is_syntax
    };
    // What is shorter cannot have so many.
    json.len() > MOST && json.iter().filter(begins_value).count() > MOST
}

const ANOTHER_PLUGIN: &str = "the server answers about another plugin";

fn got(answer: &Answer<'_>) -> Option<Reply> {
    if has_too_many_values(answer.body) {
        return Some(Reply::Unusable { words: TOO_MANY_VALUES.to_owned() });
    }
    match read::<Option<WireRow>>(answer) {
        Some(Some(row)) if answer.is_about(&row.id) => Some(Reply::Row(Box::new(row.into()))),
        Some(Some(_)) => Some(Reply::Unusable { words: ANOTHER_PLUGIN.to_owned() }),
        // 0.6 says so of a tool that is somebody else's.
        Some(None) => {
            let words = "it exists, but this account may not read it".to_owned();
            Some(Reply::NotAllowed { status: answer.status, words })
        }
        None => read::<Named>(answer)
            .map(|_| Reply::Unusable { words: "the server describes it in a form that is not understood".to_owned() }),
    }
}

/// What a list of rows means.
pub(super) fn overview(listed: Listed<Row>) -> Reply {
    if listed.is_too_long() {
        return Reply::Unusable { words: format!("a list of {} plugins", listed.n) };
    }
    let mut places = HashMap::<String, usize>::new();
    let mut rows = Vec::<Row>::new();
    // No plugin here can have an id that is not one.
    for row in listed.elements.into_iter().filter(|row| PluginId::new(&row.id).is_some_and(|id| id.as_str() == row.id))
    {
        if let Some(place) = places.get(&row.id) {
            // Two rows of one id: it is not known which of them is right.
            (rows[*place].content, rows[*place].digest) = (None, None);
        } else {
            places.insert(row.id.clone(), rows.len());
            rows.push(row);
        }
    }
    Reply::Rows(rows)
}

/// One row of a list, with its text.
pub(super) fn listed_row(bytes: &[u8]) -> Option<Row> {
    let to_row = |row: ListedRow<String>| {
        let (content, rest) = row.split();
        Row { content, ..rest }
    };
    serde_json::from_slice(bytes).ok().map(to_row).or_else(|| spoiled_row(bytes))
}

/// One row of a list, with the digest of its text.
pub(super) fn summed_up_row(bytes: &[u8]) -> Option<Row> {
    let to_row = |row: ListedRow<TextDigest>| {
        let (content, rest) = row.split();
        Row { digest: content.map(|TextDigest(digest)| digest), ..rest }
    };
    serde_json::from_slice(bytes).ok().map(to_row).or_else(|| spoiled_row(bytes))
}

/// A row where only the id can be read. Its text is asked for by a request of its own.
fn spoiled_row(bytes: &[u8]) -> Option<Row> {
    let Named { id } = serde_json::from_slice(bytes).ok()?;
    Some(bare_row(id))
}

fn bare_row(id: String) -> Row {
    Row {
        id,
        name: String::new(),
        content: None,
        digest: None,
        meta: Map::new(),
        is_active: None,
        access_control: None,
        versioned: false,
        version_id: None,
    }
}

/// One entry of a history. It is empty where nothing but the id can be read.
fn listed_version(bytes: &[u8]) -> Option<Vec<Version>> {
    let Named { .. } = serde_json::from_slice(bytes).ok()?;
    Some(serde_json::from_slice::<WireVersion>(bytes).map(Version::from).into_iter().collect())
}

/// How many entries a page of a history has, those included that cannot be read.
pub(super) fn page_length(body: &[u8]) -> usize {
    List::of(body, |_| Some(())).map_or(0, |page| page.n)
}

/// Says what an answer means that is not the one hoped for.
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
            // The words of a web framework for a path that it does not have.
            Some(detail) if asked.names_a_row() && detail != "Not Found" => Reply::Absent,
            _ => Reply::Foreign { status, words: words(answer) },
        },
        405 => Reply::Foreign { status, words: words(answer) },
        413 if asked.deploys() => Reply::Crashed { words: format!("{}: {}", heading(status), too_large(answer.sent)) },
        408 | 429 | 503 => away(answer),
        // The server's word, or a proxy's, on what was sent: it will be the same the next time.
        402 | 406 | 409..=428 | 430..500 if asked.deploys() => {
            Reply::Crashed { words: format!("{}: {}", heading(status), words(answer)) }
        }
        500 => Reply::Crashed { words: words(answer) },
        // A proxy that has lost the server, maybe in the middle.
        501..600 if asked.changes() => Reply::Lost { cause: heading_and_words(answer) },
        501..600 => away(answer),
        _ => Reply::Foreign { status, words: words(answer) },
    }
}

/// Open WebUI itself has no such limit.
fn too_large(sent: usize) -> String {
    let kib = sent.div_ceil(1 << 10);
    format!("the plugin makes a request of {kib} KiB, which is over the limit of a proxy in front of the server")
}

fn misunderstood(asked: Asked, answer: &Answer<'_>) -> Reply {
    if asked.changes() && serde_json::from_slice::<Value>(answer.body).is_ok() {
        return Reply::Lost { cause: "the server said yes in words that are not understood".to_owned() };
    }
    if asked.is_about_history() && !asked.changes() && is_a_page(answer) {
        // The web app, which stands wherever the API has nothing to read.
        return Reply::Absent;
    }
    Reply::Foreign { status: answer.status, words: looks(answer) }
}

fn unauthorised(asked: Asked, answer: &Answer<'_>) -> Reply {
    let status = answer.status;
    let Some(detail) = detail(answer) else {
        // Another gate before the server.
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
    // A disk that is full, a file that may not be written: the code was run and taken, and then a write failed.
    if is_the_servers_own_write(&whole) {
        return stumbled(unwrapped(&detail));
    }
    if STUMBLED.contains(&detail.as_str()) {
        return stumbled(&detail);
    }
    match asked {
        Asked::Create(_) | Asked::Update(_) => Reply::Refused { words: unwrapped(&detail).to_owned() },
        // A change that the database did not take.
        Asked::Toggle | Asked::Delete => stumbled(&detail),
        Asked::SignIn => Reply::NotAllowed { status, words: detail },
        // Its formatter fails in other ways too, which say nothing about the text.
        Asked::Prune => Reply::Refused { words: detail },
        Asked::Connect | Asked::Config | Asked::Overview(_) | Asked::Get(_) | Asked::Versions | Asked::Version => {
            Reply::Foreign { status, words: detail }
        }
    }
}

/// It is there and said no, for reasons of its own, to what it did not do.
fn stumbled(words: &str) -> Reply {
    Reply::Stumbled { cause: format!("the server stumbled: {words}") }
}

fn away(answer: &Answer<'_>) -> Reply {
    Reply::Unreachable { cause: heading_and_words(answer).into(), retry_after: retry_after(answer) }
}

const NOT_FOUND: &str = "We could not find what you're looking for :/";

const ID_TAKEN: &str = "Uh-oh! This id is already registered. Please choose another id string.";

/// The texts of a 401 that is about who asks, of all versions.
const ABOUT_THE_KEY: [&str; 7] = [
    "401 Unauthorized",
    "Not authenticated",
    "Your session has expired or the token is invalid. Please sign in again.",
    "Invalid authentication request.",
    "Invalid token",
    "User mismatch. Please sign in again.",
    "You do not have permission to access this resource. Please contact your administrator for assistance.",
];

/// The texts of a 400 that is not about the code: the code was run and taken, and then a write failed (up to 0.9, where
/// it also means that two clients created the same id at once, or that there is no such function), or the request did
/// not arrive as it was sent.
const STUMBLED: [&str; 5] = [
    "[ERROR: 400: [ERROR: Error updating function]]",
    "[ERROR: 400: [ERROR: Error updating tool]]",
    "[ERROR: 400: [ERROR: Error creating function]]",
    "[ERROR: 400: [ERROR: Error creating tool]]",
    "There was an error parsing the body",
];

/// What servers from 0.10 on say in place of the reason. These words are the server's whole answer, brackets included.
const MASKED: [&str; 4] = [
    "[ERROR: Error updating function]",
    "[ERROR: Error updating tool]",
    "[ERROR: Error creating function]",
    "[ERROR: Error creating tool]",
];

/// The text of an exception, out of the wrapper that versions up to 0.11 put around it.
fn unwrapped(detail: &str) -> &str {
    if MASKED.contains(&detail) {
        return detail;
    }
    detail.strip_prefix("[ERROR: ").and_then(|rest| rest.strip_suffix(']')).unwrap_or(detail)
}

/// The server's own words in a JSON answer. Of a rejected form only what is wrong and where: the rest of that answer is
/// the form, with the source in it.
fn detail(answer: &Answer<'_>) -> Option<String> {
    whole_detail(answer).map(|words| told(&words))
}

/// What of the server's words is kept and shown: not the SQL, which has the source in it, and no more than anybody reads.
fn told(words: &str) -> String {
    const ENOUGH: usize = 8000;
    let end = words.find(SQL).unwrap_or(words.len());
    let bracket = if end < words.len() && words.starts_with("[ERROR: ") && words.ends_with(']') { "]" } else { "" };
    format!("{}{bracket}", cut(&words[..end], ENOUGH))
}

/// How `SQLAlchemy` goes on after the reason.
const SQL: &str = "\n[SQL: ";

/// Whether a failed statement is one that puts a plugin into the server's tables, and not one of the plugin's.
fn is_the_servers_own_write(words: &str) -> bool {
    let Some((_, sql)) = words.split_once(SQL) else { return false };
    let sql = sql.replace('"', "");
    ["UPDATE", "INSERT INTO"].iter().any(|verb| {
        let table = sql.strip_prefix(verb).map_or("", str::trim_start);
        ["function", "tool"]
            .iter()
            .any(|name| table.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '('])))
    })
}

fn whole_detail(answer: &Answer<'_>) -> Option<String> {
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

fn heading(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}

fn heading_and_words(answer: &Answer<'_>) -> String {
    let heading = heading(answer.status);
    match detail(answer).filter(|words| !words.is_empty()) {
        Some(words) => format!("{heading}: {words}"),
        None => heading,
    }
}

/// The server's words if it is the server that speaks, else what the answer looks like.
fn words(answer: &Answer<'_>) -> String {
    detail(answer).unwrap_or_else(|| looks(answer))
}

/// What an answer looks like that is not the API's.
fn looks(answer: &Answer<'_>) -> String {
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(16 << 10)]);
    let text = text.trim();
    if is_a_page(answer) || text.starts_with('<') {
        return title(text).map_or_else(|| "a web page".to_owned(), |title| format!("a web page titled `{title}`"));
    }
    if text.is_empty() {
        "an empty answer".to_owned()
    } else if type_is(answer, "application/json") {
        // Not shown: it may be anything, a session among them.
        "JSON of another kind".to_owned()
    } else {
        shortened(text)
    }
}

fn is_a_page(answer: &Answer<'_>) -> bool {
    type_is(answer, "text/html")
}

fn type_is(answer: &Answer<'_>, start: &str) -> bool {
    answer.content_type.is_some_and(|it| it.to_ascii_lowercase().starts_with(start))
}

fn title(page: &str) -> Option<String> {
    // ASCII only, so that places in the one are places in the other.
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let title = page[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    (!title.is_empty()).then(|| shortened(&title))
}

fn shortened(text: &str) -> String {
    cut(text, 200)
}

fn cut(text: &str, enough: usize) -> String {
    match text.char_indices().nth(enough) {
        Some((end, _)) => format!("{}{CUT}", &text[..end]),
        None => text.to_owned(),
    }
}

/// Where the answer points to, in a form that can be put into the configuration: without our own path and without
/// a query, which may hold anything.
fn redirect(answer: &Answer<'_>) -> String {
    let Some(location) = answer.location else {
        return "a redirect to nowhere".to_owned();
    };
    let location = location.split(['?', '#']).next().unwrap_or_default();
    let api = answer.asked_for.find("/api/").map_or(answer.asked_for, |at| &answer.asked_for[at..]);
    let base = location.strip_suffix(api).filter(|base| !base.is_empty()).unwrap_or(location);
    format!("a redirect to `{}`", shortened(base))
}

/// `Retry-After` in either of its forms. A date is held against the server's own clock, so ours is not needed. The
/// engine limits it.
fn retry_after(answer: &Answer<'_>) -> Option<Duration> {
    let value = answer.retry_after?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let read = |date| DateTimeParser::new().parse_timestamp(date).ok();
    let wait = read(value)?.duration_since(read(answer.date?.trim())?);
    Some(Duration::try_from(wait).unwrap_or_default())
}

fn read<'a, T: Deserialize<'a>>(answer: &Answer<'a>) -> Option<T> {
    serde_json::from_slice(answer.body).ok()
}

#[derive(Deserialize)]
struct Connected {
    version: String,
}

/// An entry of a history. What else is in it says whose history it is.
#[derive(Deserialize)]
struct WireVersion {
    id: String,
    #[serde(deserialize_with = "seconds")]
    created_at: Timestamp,
    parent_id: Option<String>,
    commit_message: Option<String>,
    user: Option<WireAuthor>,
}

#[derive(Deserialize)]
struct WireAuthor {
    name: Option<String>,
}

impl From<WireVersion> for Version {
    fn from(version: WireVersion) -> Self {
        Self {
            id: version.id,
            at: version.created_at,
            parent: version.parent_id,
            message: version.commit_message,
            author: version.user.and_then(|user| user.name),
        }
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Timestamp::from_second(i64::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// The same entry by its id.
#[derive(Deserialize)]
struct WireSnapshot {
    id: Option<String>,
    snapshot: Snapshot,
}

#[derive(Deserialize)]
struct Snapshot {
    content: String,
}

/// Puts what was made from another before that, where both are of the same second: the server then lists them in any
/// order.
pub(super) fn newest_first(mut versions: Vec<Version>) -> Vec<Version> {
    let heights = heights(&versions);
    versions.sort_by_cached_key(|version| Reverse((version.at, heights.get(&version.id).copied())));
    versions
}

/// On how many others of the same second each version stands, by its id.
fn heights(versions: &[Version]) -> HashMap<String, usize> {
    let by_id: HashMap<_, _> = versions.iter().map(|version| (version.id.as_str(), version)).collect();
    let parent = |version: &Version| {
        let parent = by_id.get(version.parent.as_deref()?)?;
        (parent.at == version.at).then_some(*parent)
    };
    let mut heights = HashMap::with_capacity(versions.len());
    for version in versions {
        let mut chain = Vec::new();
        let mut next = Some(version);
        while let Some(version) = next.filter(|version| !heights.contains_key(&version.id)) {
            // Until the chain is known: no version stands on itself, whatever the server says.
            heights.insert(version.id.clone(), 0);
            chain.push(version);
            next = parent(version);
        }
        for version in chain.into_iter().rev() {
            let height = parent(version).map_or(0, |parent| heights[&parent.id] + 1);
            heights.insert(version.id.clone(), height);
        }
    }
    heights
}

/// A row as the server spells it. Anything else in it (specs, grants, history) is passed over.
#[derive(Deserialize)]
struct WireRow {
    id: String,
    name: Option<String>,
    content: Option<String>,
    meta: Option<Map<String, Value>>,
    is_active: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    access_control: Option<Value>,
    version_id: Option<String>,
}

/// What names a row, whatever else is in it.
#[derive(Deserialize)]
struct Named {
    id: String,
}

/// A row of a list. No more of it is kept than is asked of a list: of thousands it would be much.
#[derive(Deserialize)]
struct ListedRow<Text> {
    id: String,
    name: Option<String>,
    content: Option<Text>,
    meta: Option<ListedMeta>,
    is_active: Option<bool>,
    version_id: Option<String>,
}

#[derive(Deserialize)]
struct ListedMeta {
    manifest: Option<Manifest>,
}

/// The part of a plugin's header that tells which plugin it is.
#[derive(Deserialize)]
struct Manifest {
    title: Option<String>,
    author: Option<String>,
    openwebui_id: Option<String>,
    version: Option<String>,
}

impl<Text> ListedRow<Text> {
    /// Its text, and the row without it.
    fn split(self) -> (Option<Text>, Row) {
        let meta = self.meta.and_then(|meta| meta.manifest).map(|manifest| {
            let Manifest { title, author, openwebui_id, version } = manifest;
            let fields = [("title", title), ("author", author), ("openwebui_id", openwebui_id), ("version", version)];
            let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
            Map::from_iter([("manifest".to_owned(), Value::Object(fields.collect()))])
        });
        let row = Row {
            name: self.name.unwrap_or_default(),
            meta: meta.unwrap_or_default(),
            is_active: self.is_active,
            versioned: self.version_id.is_some(),
            version_id: self.version_id,
            ..bare_row(self.id)
        };
        (self.content, row)
    }
}

/// The digest of a text that is not kept.
struct TextDigest(Digest);

impl<'de> Deserialize<'de> for TextDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfText;
        impl Visitor<'_> for OfText {
            type Value = TextDigest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextDigest, E> {
                Ok(TextDigest(Digest::of_text(text)))
            }
        }
        deserializer.deserialize_str(OfText)
    }
}

/// Keeps `null` apart from nothing at all: for a tool, null means public.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl From<WireRow> for Row {
    fn from(row: WireRow) -> Self {
        Self {
            id: row.id,
            name: row.name.unwrap_or_default(),
            content: row.content,
            meta: row.meta.unwrap_or_default(),
            is_active: row.is_active,
            access_control: row.access_control,
            versioned: row.version_id.is_some(),
            version_id: row.version_id,
            digest: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Asked::{Connect, Create, Delete, Get, Overview, Prune, SignIn, Toggle, Update, Versions};
    use Kind::{Function, Tool};

    /// What is asked only of a server that has let us in.
    const ABOUT_PLUGINS: [Asked; 13] = [
        Overview(Function),
        Overview(Tool),
        Get(Function),
        Get(Tool),
        Create(Function),
        Create(Tool),
        Update(Function),
        Update(Tool),
        Toggle,
        Delete,
        Versions,
        Asked::Version,
        Prune,
    ];

    const EXPIRED: &str = "Your session has expired or the token is invalid. Please sign in again.";
    const PROHIBITED: &str =
        "You do not have permission to access this resource. Please contact your administrator for assistance.";
    const UNAUTH: &str = "401 Unauthorized";

    fn said(asked: Asked, status: u16, detail: &str) -> Reply {
        answered(asked, status, "application/json", &serde_json::json!({ "detail": detail }).to_string())
    }

    fn answered(asked: Asked, status: u16, content_type: &str, body: &str) -> Reply {
        let content_type = Some(content_type);
        classify(asked, &Answer { status, content_type, asked_for: "/x", body: body.as_bytes(), ..Answer::default() })
    }

    fn refused(words: &str) -> Reply {
        Reply::Refused { words: words.into() }
    }

    fn not_allowed(status: u16, words: &str) -> Reply {
        Reply::NotAllowed { status, words: words.into() }
    }

    fn foreign(status: u16, words: &str) -> Reply {
        Reply::Foreign { status, words: words.into() }
    }

    fn stumbled(cause: &str) -> Reply {
        Reply::Stumbled { cause: cause.to_owned() }
    }

    fn unreachable(cause: &str) -> Reply {
        Reply::Unreachable { cause: cause.into(), retry_after: None }
    }

    #[track_caller]
    fn check(rows: &[(Asked, u16, &str, Reply)]) {
        for (asked, status, detail, expected) in rows {
            assert_eq!(said(*asked, *status, detail), *expected, "{asked:?} answered by {status} `{detail}`");
        }
    }

    /// The words are `SQLAlchemy`'s, as the server passes them on.
    #[test]
    fn a_database_that_cannot_be_written_is_no_refusal_and_its_sql_is_not_shown() {
        let sql = |reason: &str, statement: &str| {
            format!("(sqlite3.OperationalError) {reason}\n[SQL: {statement} SET content=?]\n[parameters: ('5ecre7',)]")
        };
        let full = "the server stumbled: (sqlite3.OperationalError) database or disk is full";
        for statement in ["UPDATE function", "UPDATE tool", "INSERT INTO function (id)", "UPDATE \"function\""] {
            check(&[(Update(Function), 400, &sql("database or disk is full", statement), stumbled(full))]);
        }
        let wrapped = format!("[ERROR: {}]", sql("database or disk is full", "UPDATE function"));
        check(&[(Update(Function), 400, &wrapped, stumbled(full))]);
        // A statement of the plugin's own.
        let own = refused("(sqlite3.OperationalError) no such table: x");
        check(&[(Update(Function), 400, &sql("no such table: x", "UPDATE functions_of_mine"), own)]);
    }

    #[test]
    fn words_without_end_are_cut() {
        let Reply::Refused { words } = said(Create(Tool), 400, &"é".repeat(1 << 20)) else { panic!() };
        assert_eq!((words.chars().count(), words.ends_with('…')), (8001, true));
    }

    mod any {
        use proptest::collection::vec;
        use proptest::prelude::*;

        use super::*;

        fn all() -> Vec<Asked> {
            [Connect, Asked::Config, SignIn].into_iter().chain(ABOUT_PLUGINS).collect()
        }

        /// Stands for the source in what a server echoes.
        const SOURCE: &str = "5ecre7";

        fn json(leaf: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
            leaf.prop_recursive(4, 40, 6, |inner| {
                let key = prop_oneof![
                    "[a-z]{1,4}",
                    Just("id".to_owned()),
                    Just("content".to_owned()),
                    Just("meta".to_owned()),
                    Just("input".to_owned()),
                    Just("ctx".to_owned()),
                    Just("created_at".to_owned()),
                    Just("parent_id".to_owned()),
                    Just("snapshot".to_owned()),
                    Just("version".to_owned()),
                ];
                prop_oneof![
                    vec(inner.clone(), 0..6).prop_map(Value::from),
                    vec((key, inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
                ]
            })
        }

        fn leaf() -> impl Strategy<Value = Value> {
            prop_oneof![
                Just(Value::Null),
                any::<bool>().prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                ".{0,20}".prop_map(Value::from),
                Just(Value::from(NOT_FOUND)),
                Just(Value::from(ID_TAKEN)),
            ]
        }

        fn header() -> impl Strategy<Value = Option<String>> {
            prop_oneof![
                Just(None),
                ".{0,30}".prop_map(Some),
                "[0-9]{1,25}".prop_map(Some),
                Just(Some("text/html".to_owned())),
                Just(Some("application/json; charset=utf-8".to_owned())),
                Just(Some("Wed, 21 Oct 2026 07:28:00 GMT".to_owned())),
                Just(Some("Mon, 01 Jan 0001 00:00:00 GMT".to_owned())),
                Just(Some("http://h/api/v1/x?q#f".to_owned())),
            ]
        }

        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

            /// Whatever answers, it means something, and not too much of it.
            #[test]
            fn no_answer_is_too_odd(
                asked in prop::sample::select(all()),
                status in prop_oneof![0..1000_u16, Just(200), Just(400), Just(401), Just(404)],
                headers in [header(), header(), header(), header()],
                body in prop_oneof![
                    vec(any::<u8>(), 0..200),
                    json(leaf()).prop_map(|json| json.to_string().into_bytes()),
                    json(leaf()).prop_map(|json| serde_json::json!({ "detail": json }).to_string().into_bytes()),
                    "<.{0,30}<title.{0,40}</title>".prop_map(String::into_bytes),
                    Just(b"[".repeat(20_000)),
                ],
                asked_for in "(/[a-z]{0,3}){0,5}",
            ) {
                let [content_type, retry_after, date, location] = &headers;
                let answer = Answer {
                    status,
                    content_type: content_type.as_deref(),
                    retry_after: retry_after.as_deref(),
                    date: date.as_deref(),
                    location: location.as_deref(),
                    asked_for: &asked_for,
                    body: &body,
                    ..Answer::default()
                };
                classify(asked, &answer);
                let told = format!("{:?}", failure(asked, &answer));
                prop_assert!(told.len() < 40_000, "{}", told);
            }

            /// A rejected form comes back with the form in it, and a proxy may echo anything.
            #[test]
            fn the_source_is_not_shown(
                asked in prop::sample::select(all()),
                status in prop_oneof![400..600_u16, Just(422)],
                echo in json(Just(Value::from(SOURCE))),
                // A list of problems, something named, or nothing in particular.
                shape in 0..4,
                page in any::<bool>(),
            ) {
                let body = match shape {
                    0 => serde_json::json!({ "detail": [{ "loc": ["body"], "msg": "bad", "input": echo, "ctx": echo }] }),
                    1 => serde_json::json!({ "detail": { "message": "bad", "input": echo } }),
                    2 => serde_json::json!({ "detail": "bad", "body": echo }),
                    _ => serde_json::json!({ "echo": echo }),
                };
                let (content_type, body) = if page {
                    ("text/html", format!("<title>Error</title><pre>{body}</pre>"))
                } else {
                    ("application/json", body.to_string())
                };
                let reply = answered(asked, status, content_type, &body);
                prop_assert!(!format!("{reply:?}").contains(SOURCE), "{reply:?}");
            }
        }
    }

    #[test]
    fn an_unknown_id() {
        check(&[
            // 0.6.43 to 0.12.4: a function that is not there is a 401, a tool a 404 since 0.8.
            (Get(Function), 401, NOT_FOUND, Reply::Absent),
            (Get(Tool), 401, NOT_FOUND, Reply::Absent),
            (Get(Tool), 404, NOT_FOUND, Reply::Absent),
            (Get(Function), 404, NOT_FOUND, Reply::Absent),
            (Update(Tool), 401, NOT_FOUND, Reply::Absent),
            (Toggle, 401, NOT_FOUND, Reply::Absent),
            (Update(Function), 400, "Function not found", Reply::Absent),
            (Delete, 401, NOT_FOUND, Reply::Absent),
            // Up to 0.9 this also says that the database is busy, so it proves nothing.
            (
                Update(Function),
                400,
                "[ERROR: 400: [ERROR: Error updating function]]",
                stumbled("the server stumbled: [ERROR: 400: [ERROR: Error updating function]]"),
            ),
            // A server that does not know the path does not know the id either, but that is another matter.
            (Get(Tool), 404, "Not Found", foreign(404, "Not Found")),
            (Overview(Tool), 404, NOT_FOUND, foreign(404, NOT_FOUND)),
            (Create(Tool), 404, NOT_FOUND, foreign(404, NOT_FOUND)),
        ]);
    }

    #[test]
    fn no_history_there() {
        let app = "<!doctype html>\n<html><head><title>Open WebUI</title>";
        for asked in [Versions, Asked::Version, Prune] {
            check(&[
                (asked, 404, "Not found", Reply::Absent),
                (asked, 404, "Version not found", Reply::Absent),
                // Before 0.12, with the web app and without it.
                (asked, 405, "Method Not Allowed", Reply::Absent),
                (asked, 404, "Not Found", Reply::Absent),
            ]);
            let page = answered(asked, 200, "text/html; charset=utf-8", app);
            // To what is no GET the web app does not answer, but others may.
            let other = foreign(200, "a web page titled `Open WebUI`");
            assert_eq!(page, if asked == Prune { other } else { Reply::Absent });
            // Somebody else's words.
            assert_eq!(answered(asked, 404, "text/html", "<p>"), foreign(404, "a web page"));
            assert_eq!(answered(asked, 200, "text/plain", "pong"), foreign(200, "pong"));
        }
    }

    #[test]
    fn what_is_deleted_and_what_is_not() {
        let page = "<title>Open WebUI</title>";
        for asked in [Delete, Prune] {
            assert_eq!(answered(asked, 200, "application/json", "true"), Reply::Deleted);
            let no = answered(asked, 200, "application/json", "false");
            assert_eq!(no, stumbled("the server stumbled: it was not deleted"));
            let odd = answered(asked, 200, "application/json", "[]");
            assert_eq!(odd, Reply::Lost { cause: "the server said yes in words that are not understood".into() });
        }
        assert_eq!(answered(Delete, 200, "text/html", page), foreign(200, "a web page titled `Open WebUI`"));
        let current = "Cannot delete the current version";
        check(&[
            (Prune, 400, current, refused(current)),
            (Delete, 400, "no", stumbled("the server stumbled: no")),
            (Delete, 405, "Method Not Allowed", foreign(405, "Method Not Allowed")),
        ]);
    }

    #[test]
    fn histories() {
        let entry = |id: &str, parent: Option<&str>, second: i64| Version {
            id: id.into(),
            at: Timestamp::from_second(second).unwrap(),
            parent: parent.map(str::to_owned),
            message: None,
            author: None,
        };
        let told = r#"[
            {"id": "b", "function_id": "f", "parent_id": "a", "user_id": "u", "commit_message": "so", "created_at": 7,
             "user": {"name": "Ada"}},
            {"id": "a", "parent_id": null, "commit_message": null, "created_at": 5, "user": null}]"#;
        let newest = Version { message: Some("so".into()), author: Some("Ada".into()), ..entry("b", Some("a"), 7) };
        let expected = Reply::Versions(vec![newest, entry("a", None, 5)]);
        assert_eq!(answered(Versions, 200, "application/json", told), expected);
        assert_eq!(answered(Versions, 200, "application/json", "[]"), Reply::Versions(vec![]));
        for odd in ["{}", "[7]", r#"[{"created_at": 5}]"#] {
            assert_eq!(answered(Versions, 200, "application/json", odd), foreign(200, "JSON of another kind"));
        }
        // One entry that makes no sense spoils itself alone. The last one is of the year 9999999.
        for odd in ["null", "\"9999999-01-01\"", "-1e400", "9223372036854775807", "315569519616000"] {
            let entries = format!(r#"[{{"id": "b", "created_at": {odd}}}, {{"id": "a", "created_at": 5}}]"#);
            let expected = Reply::Versions(vec![entry("a", None, 5)]);
            assert_eq!(answered(Versions, 200, "application/json", &entries), expected, "{odd}");
            let alone = format!(r#"[{{"id": "b", "created_at": {odd}}}]"#);
            assert_eq!(answered(Versions, 200, "application/json", &alone), Reply::Versions(vec![]), "{odd}");
        }
        let one = r#"{"id": "a", "created_at": 5, "snapshot": {"name": "A", "content": "x = 1\n", "meta": {}}}"#;
        assert_eq!(answered(Asked::Version, 200, "application/json", one), Reply::Text("x = 1\n".into()));
        let odd = answered(Asked::Version, 200, "application/json", told);
        assert_eq!(odd, foreign(200, "JSON of another kind"));
    }

    #[test]
    fn of_one_second_the_newest_is_the_one_made_from_the_others() {
        let second = |id: &str, parent: &str, at: i64| Version {
            id: id.into(),
            at: Timestamp::from_second(at).unwrap(),
            parent: Some(parent.into()).filter(|parent: &String| !parent.is_empty()),
            message: None,
            author: None,
        };
        let told = vec![
            second("c", "b", 2),
            second("e", "d", 3),
            second("b", "a", 2),
            second("d", "c", 2),
            second("a", "", 1),
        ];
        let order = |versions: Vec<Version>| newest_first(versions).into_iter().map(|it| it.id).collect::<String>();
        assert_eq!(order(told), "edcba");
        // Of two that were made from the same one, nobody knows.
        assert_eq!(order(vec![second("y", "a", 2), second("x", "a", 2), second("a", "", 2)]), "yxa");
        // No server says this, and it has an end nevertheless.
        assert_eq!(order(vec![second("x", "y", 2), second("y", "x", 2)]).len(), 2);
        assert_eq!(order(vec![second("x", "x", 2), second("y", "x", 2)]), "yx");
        // Comparing each with all others would take an hour here.
        let name = |n: u32| format!("{n:06}");
        let mut long: Vec<_> = (0..200_000).map(|n| second(&name(n), &name(n.saturating_sub(1)), 2)).collect();
        long.rotate_left(77_777);
        let sorted = newest_first(long);
        assert!(sorted.iter().map(|it| it.id.clone()).eq((0..200_000).rev().map(name)));
    }

    #[test]
    fn a_bad_row_spoils_itself_alone() {
        let good = |id: &str| Row { content: Some("x".into()), ..bare_row(id.to_owned()) };
        for (bad, expected) in [
            // Its id can be read: what it holds is asked for.
            (r#"{"id": "b", "content": 7}"#, Some("b")),
            (r#"{"id": "b", "name": [], "content": "x"}"#, Some("b")),
            (r#"{"id": "b", "meta": "m", "content": "x"}"#, Some("b")),
            (r#"{"id": "b", "meta": {"manifest": {"title": {}}}, "content": "x"}"#, Some("b")),
            (r#"{"id": "b", "is_active": 1e999, "content": "x"}"#, Some("b")),
            (r#"{"id": "b", "version_id": 99999999999999999999999999, "content": "x"}"#, Some("b")),
            // Two that claim to be the same plugin.
            (r#"{"id": "b", "content": "x"}, {"id": "b", "content": "y"}"#, Some("b")),
            // None that a file here could be.
            (r#"{"id": "B", "content": "x"}"#, None),
            (r#"{"id": "A", "content": "y"}"#, None),
            (r#"{"id": "b-c", "content": "x"}"#, None),
            (r#"{"id": "", "content": "x"}"#, None),
            (r#"{"id": "a\u200db", "content": "x"}"#, None),
            (r#"{"id": 7}"#, None),
            (r#"{"id": "b", "id": "c"}"#, None),
            (r#"{"content": "x"}"#, None),
            ("null", None),
            ("-1e400", None),
            ("[]", None),
            (r#""a""#, None),
        ] {
            let body = format!(r#"[{{"id": "a", "content": "x"}}, {bad}, {{"id": "c", "content": "x"}}]"#);
            let bad_row = expected.map(|id| bare_row(id.to_owned()));
            let rows = [Some(good("a")), bad_row, Some(good("c"))].into_iter().flatten().collect();
            assert_eq!(answered(Overview(Tool), 200, "application/json", &body), Reply::Rows(rows), "{bad}");
        }
        // No list of plugins at all.
        for odd in ["[7]", r#"[{"name": "a"}]"#, "[[]]", r#"[{"id": "a"}"#, "{}"] {
            let reply = answered(Overview(Tool), 200, "application/json", odd);
            assert_eq!(reply, foreign(200, "JSON of another kind"), "{odd}");
        }
        // Unknown fields may hold anything.
        let body = r#"[{"id": "a", "content": "x", "updated_at": 1e999999, "specs": [[[{"n": -0}]]], "é": null}]"#;
        assert_eq!(answered(Overview(Tool), 200, "application/json", body), Reply::Rows(vec![good("a")]));
    }

    #[test]
    fn of_a_list_no_more_is_kept_than_is_needed() {
        let many = format!("[{}0]", "0,".repeat(1 << 20));
        let body = format!(
            r#"[{{"id": "a", "content": "x = 1\n", "meta": {{"icon": {many}, "manifest": {{"title": "A", "x": {many}}}}},
                "access_control": {many}, "specs": {many}, "version_id": "v"}}]"#
        );
        let Some(Listed { elements, n: 1 }) = List::of(body.as_bytes(), summed_up_row) else { panic!() };
        let meta = Map::from_iter([("manifest".to_owned(), serde_json::json!({ "title": "A" }))]);
        let (digest, version_id) = (Some(Digest::of_text("x = 1\n")), Some("v".to_owned()));
        assert_eq!(elements, [Row { digest, meta, versioned: true, version_id, ..bare_row("a".to_owned()) }]);
        let rows = format!("[{}{{\"id\": \"a\"}}]", "{\"id\": \"a\"},".repeat(20_000));
        let reply = answered(Overview(Tool), 200, "application/json", &rows);
        assert_eq!(reply, Reply::Unusable { words: "a list of 20001 plugins".into() });
    }

    #[test]
    fn an_answer_about_something_else_is_not_believed() {
        let unusable = |words: &str| Reply::Unusable { words: words.into() };
        let another = "the server answers about another plugin";
        let odd = "the server describes it in a form that is not understood";
        let version = r#"{"id": "w", "snapshot": {"content": "x"}}"#;
        for (asked, about, body, expected) in [
            (Get(Tool), "a", r#"{"id": "b"}"#, unusable(another)),
            (Get(Tool), "a", r#"{"id": "A"}"#, unusable(another)),
            (Get(Function), "a", r#"{"id": "a", "meta": 7}"#, unusable(odd)),
            (Get(Function), "a", r#"{"id": "b", "content": {}}"#, unusable(odd)),
            (Create(Tool), "a", r#"{"id": "b"}"#, Reply::Lost { cause: another.into() }),
            (Update(Tool), "a", r#"{"id": "b"}"#, Reply::Lost { cause: another.into() }),
            (Toggle, "a", r#"{"id": "b"}"#, Reply::Lost { cause: another.into() }),
            (Asked::Version, "v", version, unusable("the server answers about another version")),
            (Asked::Version, "w", version, Reply::Text("x".into())),
            (Asked::Version, "w", r#"{"snapshot": {"content": "x"}}"#, Reply::Text("x".into())),
            (Get(Tool), "a", r#"{"id": "a"}"#, Reply::Row(Box::new(bare_row("a".into())))),
            // That is no plugin at all.
            (Get(Tool), "a", r#"{"status": "maintenance"}"#, foreign(200, "JSON of another kind")),
        ] {
            let answer = Answer {
                status: 200,
                content_type: Some("application/json"),
                about: Some(about),
                body: body.as_bytes(),
                ..Answer::default()
            };
            assert_eq!(classify(asked, &answer), expected, "{asked:?} {body}");
        }
    }

    #[test]
    fn one_plugin_has_only_so_many_parts() {
        let many = |part: &str| format!(r#"{{"id": "a", "meta": {{"x": [{}0]}}}}"#, part.repeat(600_000));
        for part in ["0,", "[],", "{},"] {
            let cause = TOO_MANY_VALUES.to_owned();
            let reply = answered(Get(Tool), 200, "application/json", &many(part));
            assert_eq!(reply, Reply::Unusable { words: cause.clone() });
            assert_eq!(answered(Update(Tool), 200, "application/json", &many(part)), Reply::Lost { cause });
        }
        let text = r#"{"id": "a", "content": "\"[,{"}"#.replace("[,{", &"[,{".repeat(600_000));
        let Reply::Row(row) = answered(Get(Tool), 200, "application/json", &text) else { panic!() };
        assert_eq!(row.content.unwrap().len(), 1_800_001);
    }

    #[test]
    fn a_plugin_that_is_too_large_for_a_proxy() {
        let page = b"<html><head><title>413 Request Entity Too Large</title></head>";
        for asked in [Create(Function), Update(Tool)] {
            let answer = Answer {
                status: 413,
                content_type: Some("text/html"),
                sent: 1_100_000,
                body: page,
                ..Answer::default()
            };
            let words = "413 Payload Too Large: the plugin makes a request of 1075 KiB, which is over the limit of a proxy \
                         in front of the server";
            assert_eq!(classify(asked, &answer), Reply::Crashed { words: words.into() });
        }
    }

    #[test]
    fn a_taken_or_unusable_id() {
        let bad = "Only alphanumeric characters and underscores are allowed in the id";
        check(&[
            (Create(Function), 400, ID_TAKEN, Reply::Taken),
            (Create(Tool), 400, ID_TAKEN, Reply::Taken),
            (Update(Tool), 400, ID_TAKEN, refused(ID_TAKEN)),
            (Create(Function), 400, bad, refused(bad)),
            (Create(Function), 400, "[ERROR: File name is too long.]", refused("File name is too long.")),
            // Two clients at once, up to 0.9.
            (
                Create(Function),
                400,
                "[ERROR: 400: [ERROR: Error creating function]]",
                stumbled("the server stumbled: [ERROR: 400: [ERROR: Error creating function]]"),
            ),
        ]);
    }

    #[test]
    fn code_that_the_server_refuses() {
        let syntax = "invalid syntax (<string>, line 2)";
        let valves = "Current Valves are incompatible with this code: n: Input should be a valid integer";
        check(&[
            // 0.6.43 and 0.9.6 wrap the exception.
            (Update(Function), 400, "[ERROR: invalid syntax (<string>, line 2)]", refused(syntax)),
            (Create(Function), 400, "[ERROR: No module named 'x']", refused("No module named 'x'")),
            (Create(Tool), 400, "[ERROR: list[int] is odd]", refused("list[int] is odd")),
            (Update(Function), 400, "[ERROR: ]", refused("")),
            (Update(Tool), 400, "Something went wrong :/", refused("Something went wrong :/")),
            // 0.10 and 0.11 hide it, and 0.12 does on create.
            (Update(Function), 400, MASKED[0], refused(MASKED[0])),
            (Update(Tool), 400, MASKED[1], refused(MASKED[1])),
            (Create(Function), 400, MASKED[2], refused(MASKED[2])),
            (Create(Tool), 400, MASKED[3], refused(MASKED[3])),
            (Update(Tool), 400, "[ERROR: Server storage is not writable.]", refused("Server storage is not writable.")),
            // 0.12.4 says it bare.
            (Update(Function), 400, syntax, refused(syntax)),
            (Update(Function), 400, "", refused("")),
            (Update(Function), 400, valves, refused(valves)),
            (Update(Tool), 400, "No Tools class found in the module", refused("No Tools class found in the module")),
            // The plugin's own words, however much they look like the server's.
            (Update(Tool), 400, "Function not found", refused("Function not found")),
            (Update(Tool), 400, "database is locked", refused("database is locked")),
            (Update(Tool), 400, "[ERROR: 400: no]", refused("400: no")),
            (Update(Tool), 400, "[1] is wrong]", refused("[1] is wrong]")),
        ]);
        // What says nothing about the code may be the server's own doing, or a proxy's.
        let crashed = |words: &str| Reply::Crashed { words: words.into() };
        check(&[
            (Update(Tool), 409, "version conflict", crashed("409 Conflict: version conflict")),
            (Create(Function), 425, "too early", crashed("425 Too Early: too early")),
        ]);
        let page = "<html>\n<head><title>410 Gone\nFor Good</title></head></html>";
        assert_eq!(
            answered(Update(Tool), 410, "text/html", page),
            crashed("410 Gone: a web page titled `410 Gone For Good`")
        );
    }

    #[test]
    fn a_rejected_form_is_told_without_the_form() {
        let body = r#"{"detail": [
            {"type": "missing", "loc": ["body", "name"], "msg": "Field required", "input": {"content": "SOURCE"}},
            {"type": "x", "loc": ["body", "access_grants", 0], "msg": "Input should be a list", "input": "SOURCE"}]}"#;
        let words = "body.name: Field required; body.access_grants.0: Input should be a list";
        assert_eq!(
            answered(Update(Tool), 422, "application/json", body),
            Reply::Crashed { words: format!("422 Unprocessable Entity: {words}") }
        );
        assert_eq!(answered(Get(Tool), 422, "application/json", body), foreign(422, words));
    }

    #[test]
    fn plugins_switched_off() {
        let functions = "Functions are disabled by ENABLE_PLUGINS or ENABLE_FUNCTIONS";
        let tools = "Tools are disabled by ENABLE_PLUGINS or ENABLE_TOOLS";
        check(&[
            (Update(Function), 400, functions, not_allowed(400, functions)),
            (Update(Tool), 400, tools, not_allowed(400, tools)),
        ]);
    }

    #[test]
    fn a_busy_database() {
        let locked = "(sqlite3.OperationalError) database is locked [SQL: UPDATE function SET content=?] SOURCE";
        let wrapped = format!("[ERROR: {locked}]");
        let expected = || stumbled("the server's database is locked");
        let stumbled = |words: &str| stumbled(&format!("the server stumbled: {words}"));
        check(&[
            (Update(Function), 400, locked, expected()),
            (Create(Tool), 400, locked, expected()),
            (Toggle, 400, locked, expected()),
            (Update(Tool), 400, &wrapped, expected()),
            (Toggle, 400, MASKED[0], stumbled(MASKED[0])),
        ]);
        for words in STUMBLED {
            check(&[(Update(Tool), 400, words, stumbled(words)), (Create(Function), 400, words, stumbled(words))]);
        }
    }

    #[test]
    fn credentials() {
        let human = "A human session is required.";
        let off = "Use of API key is not enabled in the environment.";
        for words in [
            "Not authenticated",
            UNAUTH,
            EXPIRED,
            PROHIBITED,
            "Invalid authentication request.",
            "Invalid token",
            "User mismatch. Please sign in again.",
        ] {
            for asked in ABOUT_PLUGINS {
                check(&[(asked, 401, words, not_allowed(401, words))]);
            }
        }
        check(&[
            (Overview(Function), 403, off, not_allowed(403, off)),
            (Update(Tool), 403, PROHIBITED, not_allowed(403, PROHIBITED)),
            (Get(Tool), 403, human, not_allowed(403, human)),
            (SignIn, 400, "wrong", not_allowed(400, "wrong")),
            (SignIn, 403, "off", not_allowed(403, "off")),
            // Words of a version to come: for a row they may mean that it is not there.
            (Get(Function), 401, "Nothing here", Reply::Unclear { words: "Nothing here".into() }),
            (Update(Tool), 401, "Nothing here", Reply::Unclear { words: "Nothing here".into() }),
            (Toggle, 401, "Nothing here", Reply::Unclear { words: "Nothing here".into() }),
            (Delete, 401, "Nothing here", Reply::Unclear { words: "Nothing here".into() }),
            (Versions, 401, "Nothing here", Reply::Unclear { words: "Nothing here".into() }),
            (Overview(Tool), 401, "Nothing here", not_allowed(401, "Nothing here")),
            (Create(Tool), 401, "Nothing here", not_allowed(401, "Nothing here")),
        ]);
        // A gate before the server.
        let page = "<html><title>Who are you?</title>";
        assert_eq!(answered(Get(Tool), 401, "text/html", page), not_allowed(401, "a web page titled `Who are you?`"));
        assert_eq!(answered(Get(Tool), 407, "text/plain", "no"), not_allowed(407, "no"));
    }

    #[test]
    fn the_server_is_away() {
        check(&[
            (Get(Tool), 503, "Startup not complete", unreachable("503 Service Unavailable: Startup not complete")),
            (SignIn, 429, "API rate limit exceeded", unreachable("429 Too Many Requests: API rate limit exceeded")),
        ]);
        let page = "<html><title>502 Bad Gateway</title>";
        for (asked, status, expected) in [
            (Get(Tool), 502, unreachable("502 Bad Gateway")),
            (Overview(Tool), 504, unreachable("504 Gateway Timeout")),
            (Connect, 502, unreachable("502 Bad Gateway")),
            (Connect, 408, unreachable("408 Request Timeout")),
            (Connect, 522, unreachable("522")),
            (Update(Tool), 503, unreachable("503 Service Unavailable")),
            (Update(Tool), 429, unreachable("429 Too Many Requests")),
            // The proxy passed the request on, and lost the server while that was at work, or before.
            (Update(Tool), 502, Reply::Lost { cause: "502 Bad Gateway".into() }),
            (Create(Tool), 504, Reply::Lost { cause: "504 Gateway Timeout".into() }),
            (Toggle, 504, Reply::Lost { cause: "504 Gateway Timeout".into() }),
            (Delete, 502, Reply::Lost { cause: "502 Bad Gateway".into() }),
            (Prune, 502, Reply::Lost { cause: "502 Bad Gateway".into() }),
            (Versions, 502, unreachable("502 Bad Gateway")),
            (Asked::Version, 502, unreachable("502 Bad Gateway")),
        ] {
            assert_eq!(answered(asked, status, "text/html", page), expected, "{asked:?} answered by {status}");
        }
    }

    #[test]
    fn retry_after_in_both_forms() {
        let rows = [
            (Some("7"), None, Some(7)),
            (Some(" 120 "), None, Some(120)),
            (Some("Wed, 21 Oct 2015 07:28:00 GMT"), Some("Wed, 21 Oct 2015 07:27:30 GMT"), Some(30)),
            // In the past already.
            (Some("Wed, 21 Oct 2015 07:28:00 GMT"), Some("Wed, 21 Oct 2015 07:28:30 GMT"), Some(0)),
            // No clock to hold it against.
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
    fn the_server_fails() {
        for asked in [Get(Tool), Overview(Tool), Create(Function), Update(Tool), Toggle, Delete, Versions, Prune] {
            assert_eq!(
                answered(asked, 500, "text/plain; charset=utf-8", "Internal Server Error"),
                Reply::Crashed { words: "Internal Server Error".into() }
            );
        }
        let long = "é".repeat(300);
        let Reply::Crashed { words } = answered(Get(Tool), 500, "text/plain", &long) else { panic!() };
        assert_eq!(words, format!("{}…", "é".repeat(200)));
    }

    #[test]
    fn not_open_webui() {
        let app = "<!doctype html>\n<html><head><title>Open WebUI</title>";
        for asked in [Connect, Overview(Function), Get(Function), Get(Tool), Create(Tool), Update(Tool), Toggle, Delete]
        {
            assert_eq!(
                answered(asked, 200, "text/html; charset=utf-8", app),
                foreign(200, "a web page titled `Open WebUI`")
            );
            assert_eq!(said(asked, 405, "Method Not Allowed"), foreign(405, "Method Not Allowed"));
        }
        assert_eq!(answered(Connect, 200, "application/json", "{}"), foreign(200, "JSON of another kind"));
        assert_eq!(answered(Connect, 200, "application/json", ""), foreign(200, "an empty answer"));
        assert_eq!(answered(Connect, 200, "text/plain", "pong"), foreign(200, "pong"));
        assert_eq!(answered(Connect, 404, "text/html", "<p>"), foreign(404, "a web page"));
        assert_eq!(answered(Connect, 418, "text/plain", "tea"), foreign(418, "tea"));
        let page = "<title>400 The plain HTTP request was sent to HTTPS port</title>";
        assert_eq!(
            answered(Update(Tool), 400, "text/html", page),
            foreign(400, "a web page titled `400 The plain HTTP request was sent to HTTPS port`")
        );
        // A session may stand in such an answer.
        let answer = r#"{"token": "SECRET", "user": 1}"#;
        assert_eq!(answered(SignIn, 200, "application/json", answer), foreign(200, "JSON of another kind"));
        // Said yes to, and yet unknown.
        assert_eq!(
            answered(Update(Tool), 200, "application/json", "null"),
            Reply::Lost { cause: "the server said yes in words that are not understood".into() }
        );
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

    #[test]
    fn rows() {
        let row = |body: &str| {
            let Reply::Row(row) = answered(Get(Tool), 200, "application/json", body) else { panic!("{body}") };
            *row
        };
        let bare = Row {
            id: "a".into(),
            name: String::new(),
            content: None,
            meta: Map::new(),
            is_active: None,
            access_control: None,
            versioned: false,
            version_id: None,
            digest: None,
        };
        assert_eq!(row(r#"{"id": "a", "specs": [{"x": 1}], "user_id": null}"#), bare);
        assert_eq!(row(r#"{"id": "a", "name": null, "content": null, "meta": null, "is_active": null}"#), bare);
        assert_eq!(row(r#"{"id": "a", "access_control": null}"#).access_control, Some(Value::Null));
        let full = row(r#"{"id": "a", "name": "A", "content": "x = 1\n", "meta": {"k": [1]}, "is_active": true}"#);
        assert_eq!((full.name.as_str(), full.content.as_deref()), ("A", Some("x = 1\n")));
        assert_eq!((Value::from(full.meta), full.is_active), (serde_json::json!({"k": [1]}), Some(true)));

        assert_eq!(answered(Overview(Tool), 200, "application/json", "[]"), Reply::Rows(vec![]));
        assert_eq!(answered(Overview(Tool), 200, "application/json", r#"[{"id": "a"}]"#), Reply::Rows(vec![bare]));
        assert_eq!(
            answered(Connect, 200, "application/json", r#"{"version": "0.12.4", "deployment_id": ""}"#),
            Reply::Connected { version: "0.12.4".into() }
        );
        // 0.6.43, of somebody else's tool.
        assert_eq!(
            answered(Get(Tool), 200, "application/json", "null"),
            not_allowed(200, "it exists, but this account may not read it")
        );
    }
}
