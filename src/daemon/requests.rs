//! Deploys that the command `deploy` asks a running watch for, and what is told about them meanwhile, which is the answer.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Daemon;
use crate::disk::{Answer, Folder, ReportedTrial, Request, RequestId, State, Told};
use crate::engine::request::Progress;
use crate::engine::{Code, Engine, Event};
use crate::notice::{Level, Notice, NoticeKind, Subject, Tried};
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

    /// The exit code: what was last told of each plugin decides.
    fn code(&self, is_waiting: bool) -> Code {
        let is_good = |key: &Key, path: &Arc<Path>| {
            let about = self.told.iter().map(|(notice, _)| notice).filter(|notice| match &notice.about.key {
                Some(about) => about == key,
                None => notice.about.path.as_ref() == Some(path),
            });
            about.fold(false, |good, notice| match notice.what {
                NoticeKind::Created { .. } | NoticeKind::Updated { .. } | NoticeKind::Unchanged { .. } => true,
                // It may still be switched on.
                _ => good && notice.level() < Level::Error && !matches!(notice.what, NoticeKind::NotSwitchedOn { .. }),
            })
        };
        let waits = self.told.iter().any(|(notice, _)| matches!(notice.what, NoticeKind::Waiting { .. }));
        match self.plugins.iter().all(|(key, path)| is_good(key, path)) {
            true => Code::Fine,
            false if is_waiting || waits => Code::NoServer,
            false => Code::NotDeployed,
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

    /// Writes the answers that are complete; all of them if the watch ends. Returns the plugins whose requests are over:
    /// one that waits for the server is deployed later.
    pub(super) fn answer(&mut self, engine: &Engine, folder: Option<&Folder>, ends: bool) -> Vec<Key> {
        let mut over = Vec::new();
        self.0.retain(|request| {
            let progress = || request.plugins.iter().map(|(key, path)| engine.progress(key, path));
            if !ends && progress().any(|progress| progress == Progress::Busy) {
                return true;
            }
            let is_waiting = progress().any(|progress| progress == Progress::Waiting);
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
                let message = if ends { "the watch ended first" } else { "the running watch does not deploy it" };
                let what = NoticeKind::Trouble { message: message.to_owned(), hint: None };
                let about = request.plugins.first().map(|(key, _)| Subject::from(key)).unwrap_or_default();
                let notice = Notice { about, what };
                let (line, more, json) = transcript.add(&notice, wall_clock());
                told.push(Told { level: Level::Warning.name().to_owned(), line, more, json });
            }
            let answer = Answer { code: request.code(is_waiting) as u8, told };
            if let Some(Err(error)) = folder.map(|folder| folder.save_answer(&request.id, &answer)) {
                // The disk may be full: the next turn tries again.
                tracing::debug!("{error:#}");
                return !ends;
            }
            let done = request.plugins.iter().filter(|(key, path)| engine.progress(key, path) == Progress::Done);
            over.extend(done.map(|(key, _)| key.clone()));
            false
        });
        over
    }
}

impl Daemon<'_> {
    /// Takes the requests of the command `deploy`. A single pass takes none.
    pub(super) fn take_requests(&mut self) -> Option<Event> {
        self.settings.as_ref()?;
        // Somebody deleted the state folder.
        if self.outside.state.as_ref().is_some_and(State::has_lost_bell) {
            self.listen();
        }
        let mut requests = self.outside.state.as_mut()?.take_requests();
        for trial in requests.iter_mut().filter_map(|(_, request)| request.trial.take()) {
            self.on_reported(trial);
        }
        requests.retain(|(_, request)| !request.plugins.is_empty());
        let take = |(id, request)| self.outside.requests.take(id, &request);
        let plugins: Vec<_> = requests.into_iter().flat_map(take).collect();
        (!plugins.is_empty()).then_some(Event::Deploy(plugins))
    }

    /// Takes the result of a trial by the command `try`, if the file still has the text that was tried.
    fn on_reported(&mut self, trial: ReportedTrial) {
        let plugin = trial.plugin.key().and_then(|key| self.driver.engine().plugin(&key));
        let Some(plugin) = plugin.filter(|plugin| plugin.digest.to_string() == trial.digest) else { return };
        let about = Subject::from(&*plugin);
        if let Ok(tried) = serde_json::from_value(trial.tried) {
            self.tell(Notice { about, what: NoticeKind::Tried(Box::new(Tried { is_shown: true, ..tried })) });
        }
    }

    pub(super) fn answer_requests(&mut self, ends: bool) {
        let folder = self.outside.state.as_ref().map(State::folder);
        for key in self.outside.requests.answer(self.driver.engine(), folder.as_ref(), ends) {
            self.driver.end_request(&key);
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
