//! Requests from the command `deploy` to the running watch, and its answers; and reports of what other commands did,
//! which get no answer. Each is a file of its own, which the other side deletes. A watch that starts ignores requests
//! older than a minute.
//!
//! A request counts only in the state folder that it was written in: a planted one could have a held plugin deployed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::identity::Mark;
use super::intents::{Signed, has_changed};
use super::trust;
use super::{ANSWERS, REQUESTS};
use super::{Folder, State};
use crate::disk::age::age;
use crate::engine::switch::Switch;
use crate::paths::slashed;
use crate::plugin::Digest;
use crate::plugin::Key;
use crate::plugin::Kind;
use crate::plugin::id::PluginId;
use crate::whole_file::{Lasting, make_folders};

/// Written after each request and each rollback: the watch is woken by this file.
const BELL: &str = "bell";

/// Enough for the plugins and files that a request names.
const LARGEST_REQUEST: u64 = 1024 * 1024;
/// Enough for the lines that the user sees.
const LARGEST_ANSWER: u64 = 4 * 1024 * 1024;
/// How many requests are taken at once.
const MOST: usize = 100;
/// Older requests and answers were left behind by a program that was killed.
const OUTDATED: Duration = Duration::from_mins(1);

/// Plugins to deploy now, or a report of what a command did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The plugins to deploy, with their files.
    pub plugins: Vec<Requested>,
    /// What a command did with a plugin. It has no answer.
    pub done: Option<(Requested, Done)>,
    /// The flags that commands in the answer's hints repeat, as notices have them.
    pub commands: serde_json::Value,
}

/// What a command did with a plugin on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Tried it.
    Tried {
        /// The text that was tried.
        digest: String,
        /// The result, as notices have it.
        tried: serde_json::Value,
    },
    /// Set a switch.
    Switched {
        /// The switch.
        switch: Switch,
        /// Whether it is on now.
        is: bool,
        /// Whether it already was before.
        before: bool,
        /// What the function is used for now, as notices have it.
        usage: serde_json::Value,
    },
    /// Deleted it.
    Deleted {
        /// The copy of its text.
        backup: PathBuf,
        /// That text.
        text: Digest,
    },
}

/// A plugin, as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    kind: Kind,
    id: String,
    /// The path of its file; empty without one.
    pub path: PathBuf,
}

impl Requested {
    /// Names this plugin and its file.
    #[must_use]
    pub fn new(key: &Key, path: &Path) -> Self {
        Self { kind: key.kind, id: key.id.to_string(), path: path.to_owned() }
    }

    /// The plugin; `None` if the id is not one.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        Some(Key { kind: self.kind, id: PluginId::new(&self.id)? })
    }
}

/// The watch's answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The exit code.
    pub code: u8,
    /// The notices about the plugins.
    pub told: Vec<Told>,
}

/// One notice of the watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// How much it matters: the word of its level.
    pub level: String,
    /// The status line.
    pub line: String,
    /// The lines that explain it; may be empty.
    pub more: String,
    /// As `--json` prints it.
    pub json: String,
}

/// Identifies a request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestId(String);

impl RequestId {
    fn of_file(name: &OsStr) -> Option<Self> {
        let id = name.to_str()?.strip_suffix(".json")?;
        let is_ours = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_ours.then(|| Self(id.to_owned()))
    }
}

impl Folder {
    /// Tells the running watch, if there is one, what a command did with a plugin. The watch can do without it.
    pub fn tell_watch(&self, key: &Key, path: Option<&Path>, done: Done) {
        if self.holder().is_some() {
            let plugin = Requested::new(key, path.unwrap_or(Path::new("")));
            let request = Request { done: Some((plugin, done)), ..Request::default() };
            self.save_request(&request).inspect_err(|error| tracing::debug!("{error:#}")).ok();
        }
    }

    /// Leaves a request for the running watch, and wakes it.
    pub fn save_request(&self, request: &Request) -> anyhow::Result<RequestId> {
        let id = RequestId(format!("{:032x}", fastrand::u128(..)));
        self.post(&self.request(&id), request)?;
        self.ring()?;
        Ok(id)
    }

    /// Wakes the watch: something was left for it.
    pub(super) fn ring(&self) -> anyhow::Result<()> {
        self.write(&self.requests_folder().join(BELL), b"", Lasting::Written)
    }

    /// Whether the watch has not taken the request yet.
    #[must_use]
    pub fn has_request(&self, id: &RequestId) -> bool {
        self.request(id).symlink_metadata().is_ok()
    }

    /// Takes a request back.
    pub fn clear_request(&self, id: &RequestId) -> anyhow::Result<()> {
        self.remove(&self.request(id)).context("taking back the request")
    }

    /// Leaves the answer to a request, and deletes answers that were never taken.
    pub fn save_answer(&self, id: &RequestId, answer: &Answer) -> anyhow::Result<()> {
        for entry in self.entries(&self.answers_folder()) {
            if entry.metadata().ok().and_then(|metadata| age(&metadata)).is_some_and(|age| age > OUTDATED) {
                self.remove(&entry.path()).ok();
            }
        }
        self.post(&self.answer(id), answer)
    }

    /// Takes the answer to a request, if there is one.
    #[must_use]
    pub fn take_answer(&self, id: &RequestId) -> Option<Answer> {
        let path = self.answer(id);
        let answer = self.read_posted(&path, LARGEST_ANSWER)?;
        self.remove(&path).inspect_err(|error| tracing::debug!(%error, "an answer stays")).ok();
        Some(answer)
    }

    fn post(&self, path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
        let owner = self.made().with_context(|| format!("writing `{}`", slashed(&path)))?;
        self.write(path, &serde_json::to_vec(&Signed::new(&owner, value))?, Lasting::Written)
    }

    fn read_posted<T: DeserializeOwned>(&self, path: &Path, most: u64) -> Option<T> {
        path.symlink_metadata().ok()?;
        self.read_signed(path, &self.owner()?, most)
    }

    fn requests_folder(&self) -> PathBuf {
        self.path.join(REQUESTS).join(&self.server)
    }

    fn answers_folder(&self) -> PathBuf {
        self.path.join(ANSWERS).join(&self.server)
    }

    fn request(&self, id: &RequestId) -> PathBuf {
        self.requests_folder().join(format!("{}.json", id.0))
    }

    fn answer(&self, id: &RequestId) -> PathBuf {
        self.answers_folder().join(format!("{}.json", id.0))
    }
}

impl State {
    /// The file that changes after each request. Makes its folder, so that it can be watched.
    #[must_use]
    pub fn bell(&mut self) -> PathBuf {
        let folder = self.folder.requests_folder();
        let made =
            trust::check_folders(&self.folder.path, &folder).and_then(|()| make_folders(&folder, Lasting::Written));
        self.bell_at = Mark::of(&folder).ok();
        made.inspect_err(|error| tracing::debug!(%error, "requests are not watched")).ok();
        folder.join(BELL)
    }

    /// Whether the bell's folder was replaced or deleted since [`State::bell`], so that the watch no longer hears it.
    #[must_use]
    pub fn has_lost_bell(&self) -> bool {
        Mark::of(&self.folder.requests_folder()).ok() != self.bell_at
    }

    /// Takes the requests left since the last call, and deletes them. Drops outdated ones until all have been taken
    /// once. From then on this watch was running, and only a network drive's clock makes a request look old.
    pub fn take_requests(&mut self) -> Vec<(RequestId, Request)> {
        if !has_changed(&self.folder.requests_folder(), &mut self.requests_seen) {
            return Vec::new();
        }
        let mut requests = Vec::new();
        let entries = self.entries(&self.requests_folder());
        let named = entries.filter_map(|entry| Some((RequestId::of_file(&entry.file_name())?, entry)));
        let mut n = 0;
        for (id, entry) in named.take(MOST) {
            n += 1;
            let is_outdated = !self.has_taken_requests
                && entry.metadata().ok().and_then(|metadata| age(&metadata)).is_some_and(|age| age > OUTDATED);
            let request = self.read_posted(&entry.path(), LARGEST_REQUEST).filter(|_| !is_outdated);
            // Only a request that is deleted is taken: it must not be taken twice.
            if self.remove(&entry.path()).is_ok() {
                requests.extend(request.map(|request| (id, request)));
            }
        }
        self.has_taken_requests |= n < MOST;
        requests
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests plant and age files")]

    use std::fs;
    use std::time::SystemTime;

    use super::*;

    fn request(id: &str) -> Request {
        let key = Key { kind: Kind::Tool, id: PluginId::new(id).unwrap() };
        Request { plugins: vec![Requested::new(&key, Path::new("plugins/clock.py"))], ..Request::default() }
    }

    #[test]
    fn a_request_and_its_answer_are_taken_once() {
        let temporary = tempfile::tempdir().unwrap();
        let mut state = State::open(temporary.path().join("state"), "http://h").unwrap();
        let beside = state.folder();
        assert!(state.take_requests().is_empty());
        let bell = state.bell();
        assert!(bell.parent().unwrap().is_dir() && !bell.exists());
        let id = beside.save_request(&request("clock")).unwrap();
        assert!(bell.exists() && beside.has_request(&id));
        assert_eq!(beside.take_answer(&id), None);
        assert_eq!(state.take_requests(), [(id.clone(), request("clock"))]);
        assert!(state.take_requests().is_empty() && !beside.has_request(&id));
        assert_eq!(request("clock").plugins[0].key().unwrap().id.as_str(), "clock");
        let told = Told { level: "info".into(), line: "a line".into(), more: String::new(), json: "{}".into() };
        let answer = Answer { code: 1, told: vec![told] };
        state.save_answer(&id, &answer).unwrap();
        assert_eq!((beside.take_answer(&id), beside.take_answer(&id)), (Some(answer), None));
        assert!(!state.has_lost_bell());
        fs::remove_dir_all(bell.parent().unwrap()).unwrap();
        assert!(state.has_lost_bell());
        assert_eq!(state.bell(), bell);
        assert!(!state.has_lost_bell());
        // Each server has its own.
        let id = Folder::new(temporary.path().join("state"), "http://other").save_request(&request("clock")).unwrap();
        assert!(state.take_requests().is_empty());
        Folder::new(temporary.path().join("state"), "http://other").clear_request(&id).unwrap();
    }

    /// Makes a file so old that it no longer counts, and closes it.
    fn age(path: &Path) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - 2 * OUTDATED).unwrap();
    }

    #[test]
    fn an_old_or_a_planted_request_is_dropped() {
        let temporary = tempfile::tempdir().unwrap();
        let mut state = State::open(temporary.path().join("state"), "http://h").unwrap();
        let old = state.save_request(&request("old")).unwrap();
        let path = state.request(&old);
        let whole = fs::read_to_string(&path).unwrap();
        age(&path);
        let planted = |n: u8, text: &str| fs::write(path.with_file_name(format!("{n:032x}.json")), text).unwrap();
        planted(1, &whole.replacen(r#""state":""#, r#""state":"0"#, 1));
        planted(2, "{}");
        planted(3, &whole[1..]);
        planted(4, &(whole.clone() + &" ".repeat(1024 * 1024)));
        fs::write(path.with_file_name("readme"), &whole).unwrap();
        assert!(state.take_requests().is_empty());
        let left: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the bell, and what is no request: {left:?}");
        planted(5, &whole);
        assert_eq!(state.take_requests().len(), 1, "it is ours by that number alone");
        // A network folder whose server's clock is behind.
        age(&state.request(&state.save_request(&request("late")).unwrap()));
        assert_eq!(state.take_requests().len(), 1, "somebody watches");
        // An answer that was never taken is deleted with a later one.
        let answered = |n: u8| RequestId(format!("{n:032x}"));
        state.save_answer(&answered(1), &Answer::default()).unwrap();
        age(&state.answer(&answered(1)));
        state.save_answer(&answered(2), &Answer::default()).unwrap();
        assert_eq!((state.take_answer(&answered(1)), state.take_answer(&answered(2))), (None, Some(Answer::default())));
    }
}
