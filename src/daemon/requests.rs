//! Deploys that the command `deploy` asks a running watch for, and what is told about them meanwhile, which is the answer.
//! Other commands tell what they did on the server.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Daemon;
use super::checks::Checks;
use crate::disk::{Answer, Done, Folder, Request, RequestId, Requested, State, Told};
use crate::engine::request::{Progress, RequestResult};
use crate::engine::{Code, Engine, Event};
use crate::notice::{Level, Notice, NoticeKind, Report, Subject, Tried, Trouble};
use crate::output::Transcript;
use crate::plugin::Key;

/// How many notices an answer has at most.
const MOST_TOLD: usize = 200;

/// The requests that have no answer yet.
#[derive(Default)]
pub(super) struct Requests(Vec<OpenRequest>);

struct OpenRequest {
    id: RequestId,
    plugins: Vec<(Key, Arc<Path>)>,
    told: Vec<(Notice, Timestamp)>,
}

impl OpenRequest {
    fn is_about(&self, about: &Subject) -> bool {
        let is_one = |(key, path): &(Key, Arc<Path>)| match &about.key {
            Some(about) => about == key,
            None => about.path.as_ref() == Some(path),
        };
        self.plugins.iter().any(is_one)
    }

    /// The exit code.
    fn code(&self, engine: &Engine) -> Code {
        let is = |wanted| move |(key, _): &(Key, Arc<Path>)| engine.request_result(key) == Some(wanted);
        let waits = |(key, path): &(Key, Arc<Path>)| engine.progress(key, path) == Progress::Waiting;
        if self.plugins.iter().all(is(RequestResult::Good)) {
            Code::Fine
        } else if self.plugins.iter().any(|plugin| is(RequestResult::Waits)(plugin) || waits(plugin)) {
            Code::NoServer
        } else {
            Code::NotDeployed
        }
    }
}

impl Requests {
    /// Takes a request; answers the plugins to deploy.
    pub(super) fn take(&mut self, id: RequestId, request: &Request) -> Vec<(Key, Arc<Path>)> {
        let plugins = request.plugins.iter();
        let plugins: Vec<_> =
            plugins.filter_map(|plugin| Some((plugin.key()?, Arc::from(plugin.path.as_path())))).collect();
        self.0.push(OpenRequest { id, plugins: plugins.clone(), told: Vec::new() });
        plugins
    }

    /// Hears what is told.
    pub(super) fn hear(&mut self, notice: &Notice, time: Timestamp) {
        for request in self.0.iter_mut().filter(|request| request.told.len() < MOST_TOLD) {
            if request.is_about(&notice.about) {
                request.told.push((notice.clone(), time));
            }
        }
    }

    /// Whether an answer waits for this plugin.
    pub(super) fn names(&self, key: &Key) -> bool {
        self.0.iter().any(|request| request.plugins.iter().any(|(named, _)| named == key))
    }

    /// Writes the answers that are complete; all of them if the watch ends. Returns the plugins that were answered for.
    pub(super) fn answer(
        &mut self,
        engine: &Engine,
        checks: &Checks,
        folder: Option<&Folder>,
        ends: bool,
    ) -> Vec<(Key, Arc<Path>)> {
        let mut over = Vec::new();
        self.0.retain_mut(|request| {
            let is_busy = request.plugins.iter().any(|(key, path)| engine.progress(key, path) == Progress::Busy);
            if !ends && (is_busy || request.plugins.iter().any(|(key, _)| checks.is_checking(key))) {
                return true;
            }
            let mut transcript = Transcript::new();
            let mut told: Vec<_> = request
                .told
                .iter()
                .map(|(notice, time)| {
                    let (line, more, json) = transcript.add(notice, *time);
                    Told { level: notice.level().name().to_owned(), line, more, json }
                })
                .collect();
            if told.is_empty() {
                let what = NoticeKind::Trouble(if ends { Trouble::WatchEnded } else { Trouble::NotDeployedHere });
                let about = request.plugins.first().map(|(key, _)| Subject::from(key)).unwrap_or_default();
                let notice = Notice { about, what };
                let (line, more, json) = transcript.add(&notice, wall_clock());
                told.push(Told { level: Level::Warning.name().to_owned(), line, more, json });
            }
            let answer = Answer { code: request.code(engine) as u8, told };
            if let Some(Err(error)) = folder.map(|folder| folder.save_answer(&request.id, &answer)) {
                // The disk may be full: the next turn tries again.
                tracing::debug!("{error:#}");
                return !ends;
            }
            over.append(&mut request.plugins);
            false
        });
        over
    }
}

impl Daemon<'_> {
    /// Takes what other commands ask or tell. A single pass takes nothing.
    pub(super) fn take_requests(&mut self) -> Vec<Event> {
        if self.settings.is_none() {
            return Vec::new();
        }
        // Somebody deleted the state folder.
        if self.outside.state.as_ref().is_some_and(State::has_lost_bell) {
            self.listen();
        }
        let requests = self.outside.state.as_mut().map(State::take_requests).unwrap_or_default();
        let (mut events, mut plugins) = (Vec::new(), Vec::new());
        for (id, mut request) in requests {
            if let Some((plugin, done)) = request.done.take() {
                events.extend(self.on_done(&plugin, done));
            }
            if !request.plugins.is_empty() {
                plugins.extend(self.outside.requests.take(id, &request));
            }
        }
        if !plugins.is_empty() {
            // The user wants to hear what is wrong with them, even again.
            for (key, _) in &plugins {
                self.outside.checks.forget(key);
            }
            events.push(Event::Deploy(plugins));
        }
        events
    }

    /// Hears what another command did.
    fn on_done(&mut self, plugin: &Requested, done: Done) -> Option<Event> {
        let key = plugin.key()?;
        let here = self.driver.engine().plugin(&key);
        let about = here.as_ref().map_or_else(|| Subject::from(&key), |plugin| Subject::from(&**plugin));
        match done {
            // The file may have another text by now.
            Done::Tried { digest, tried } => {
                here.filter(|plugin| plugin.digest.to_string() == digest)?;
                let tried = Tried { is_shown: true, ..serde_json::from_value(tried).ok()? };
                self.tell(Notice { about, what: NoticeKind::Tried(Box::new(tried)) });
                None
            }
            Done::Switched { switch, is, before, usage } => {
                let usage = serde_json::from_value(usage).ok()?;
                self.tell(Notice::report(about, Report::Switched { switch, is, before, usage }));
                None
            }
            Done::Deleted { backup, text } => {
                self.tell(Notice::report(Subject::from(&key), Report::DeletedStray { backup }));
                Some(Event::Deleted(key, text))
            }
        }
    }

    pub(super) fn answer_requests(&mut self, ends: bool) {
        let folder = self.outside.state.as_ref().map(State::folder);
        let (engine, checks) = (self.driver.engine(), &self.outside.checks);
        for (key, path) in self.outside.requests.answer(engine, checks, folder.as_ref(), ends) {
            self.driver.end_request(&key, &path);
        }
    }

    /// Has the watch of the settings wake the loop for requests too.
    pub(super) fn listen(&mut self) {
        if let (Some(settings), Some(state)) = (&mut self.settings, &mut self.outside.state) {
            settings.listen(state.bell(), now());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a part of the daemon, which reads the clock")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}

#[expect(clippy::disallowed_methods, reason = "a part of the daemon, which reads the clock")]
fn now() -> Instant {
    Instant::now()
}
