//! Deploys that the command `deploy` asks of a running watch. The answer is what the watch tells about them meanwhile.
//! Other commands tell the watch what they did on the server.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize as _;
use tokio::time::Instant;

use super::Daemon;
use super::checks::Checks;
use crate::disk::{Answer, Done, Folder, Request, RequestId, Requested, State, Told};
use crate::engine::request::{PassResult, Progress, RequestResult};
use crate::engine::{Code, Engine, Event};
use crate::notice::{Commands, Notice, NoticeKind, PassSummary, Report, Subject, Tried, Trouble};
use crate::output::Transcript;
use crate::plugin::Key;

/// How many notices an answer has at most, and about how many bytes they are: larger answers are not read.
const MOST_TOLD: usize = 5000;
const MOST_BYTES: usize = 3 << 20;

/// The requests that have no answer yet.
#[derive(Default)]
pub(super) struct Requests(Vec<OpenRequest>);

struct OpenRequest {
    id: RequestId,
    plugins: Vec<(Key, Arc<Path>)>,
    commands: Commands,
    since: Timestamp,
    told: Vec<(Notice, Timestamp)>,
    /// How many more were told.
    n_left_out: usize,
}

impl OpenRequest {
    fn is_about(&self, about: &Subject) -> bool {
        self.plugins.iter().any(|plugin| is_of(plugin, about))
    }

    /// The answer's lines, as the command prints them. `others` are plugins that this watch does not deploy. `tally` is
    /// `None` while some wait for the server.
    fn transcript(&self, ends: bool, others: Vec<Subject>, tally: Option<PassSummary>) -> Vec<Told> {
        let mut transcript = Transcript::new(&self.commands);
        let (mut told, mut bytes) = (Vec::new(), 0);
        let (now, n_others) = (wall_clock(), others.len());
        let not_deployed = |about| Notice { about, what: NoticeKind::Trouble(Trouble::NotDeployedHere) };
        let others = others.into_iter().map(|about| (not_deployed(about), now));
        for (notice, time) in self.told.iter().cloned().chain(others) {
            let (line, more, json) = transcript.add(&notice, time);
            bytes += line.len() + more.len() + json.len();
            if bytes > MOST_BYTES {
                break;
            }
            told.push(Told { level: notice.level().name().to_owned(), line, more, json });
        }
        let general = |trouble| Notice { about: Subject::default(), what: NoticeKind::Trouble(trouble) };
        let left_out = self.told.len() + n_others + self.n_left_out - told.len();
        let mut last = Vec::new();
        if left_out > 0 {
            last.push(general(Trouble::NotShown(left_out)));
        }
        if ends && tally.is_none_or(|tally| tally.not_deployed() > 0) {
            last.push(general(Trouble::WatchEnded));
        }
        if let Some(tally) = tally.filter(|_| self.plugins.len() > 1) {
            let took = now.duration_since(self.since).try_into().unwrap_or_default();
            last.push(Notice::general(NoticeKind::Summary { tally, took, dry_run: false }));
        }
        for notice in last {
            let (line, more, json) = transcript.add(&notice, now);
            told.push(Told { level: notice.level().name().to_owned(), line, more, json });
        }
        told
    }

    /// Whether any notice was about this plugin.
    fn has_heard_of(&self, plugin: &(Key, Arc<Path>)) -> bool {
        self.told.iter().any(|(notice, _)| is_of(plugin, &notice.about))
    }

    /// The plugins that the watch does not deploy.
    fn others(&self, engine: &Engine) -> Vec<Subject> {
        let plugins = self.plugins.iter().filter(|plugin| {
            let (key, path) = plugin;
            let is_over = engine.request_result(key).is_none() && engine.progress(key, path) == Progress::Done;
            is_over && !self.has_heard_of(plugin)
        });
        plugins
            .map(|(key, _)| engine.plugin(key).map_or_else(|| Subject::from(key), |it| Subject::from(&*it)))
            .collect()
    }

    /// Counts the plugins by result; `None` while some wait for the server.
    fn tally(&self, engine: &Engine) -> Option<PassSummary> {
        let mut tally = PassSummary::default();
        for plugin in &self.plugins {
            let (key, path) = plugin;
            let count = match engine.request_result(key) {
                Some(RequestResult::Ended(PassResult::Created)) => &mut tally.created,
                Some(RequestResult::Ended(PassResult::Updated)) => &mut tally.updated,
                Some(RequestResult::Ended(PassResult::Unchanged)) => &mut tally.unchanged,
                Some(RequestResult::Ended(PassResult::Refused)) => &mut tally.refused,
                Some(RequestResult::Ended(PassResult::Held)) => &mut tally.held,
                None if engine.progress(key, path) == Progress::Done && self.has_heard_of(plugin) => &mut tally.skipped,
                Some(RequestResult::Waits) => return None,
                Some(RequestResult::Ended(PassResult::Failed)) | None => &mut tally.failed,
            };
            *count += 1;
        }
        Some(tally)
    }

    /// The exit code.
    fn code(&self, engine: &Engine) -> Code {
        let result = |(key, _): &(Key, Arc<Path>)| engine.request_result(key);
        let is_good = |plugin| matches!(result(plugin), Some(RequestResult::Ended(result)) if result.is_good());
        let waits = |plugin: &(Key, Arc<Path>)| {
            result(plugin) == Some(RequestResult::Waits) || engine.progress(&plugin.0, &plugin.1) == Progress::Waiting
        };
        if self.plugins.iter().all(is_good) {
            Code::Fine
        } else if self.plugins.iter().any(waits) {
            Code::NoServer
        } else {
            Code::NotDeployed
        }
    }
}

/// Whether a notice is about this plugin or its broken file.
fn is_of((key, path): &(Key, Arc<Path>), about: &Subject) -> bool {
    match &about.key {
        Some(about) => about == key,
        None => about.path.as_ref() == Some(path),
    }
}

impl Requests {
    /// Takes a request; answers the plugins to deploy.
    pub(super) fn take(&mut self, id: RequestId, request: &Request) -> Vec<(Key, Arc<Path>)> {
        let plugins = request.plugins.iter();
        let plugins: Vec<_> =
            plugins.filter_map(|plugin| Some((plugin.key()?, Arc::from(plugin.path.as_path())))).collect();
        let commands = Commands::deserialize(&request.commands).unwrap_or_default();
        self.0.push(OpenRequest {
            id,
            plugins: plugins.clone(),
            commands,
            since: wall_clock(),
            told: Vec::new(),
            n_left_out: 0,
        });
        plugins
    }

    /// Hears what is told.
    pub(super) fn hear(&mut self, notice: &Notice, time: Timestamp) {
        for request in self.0.iter_mut().filter(|request| request.is_about(&notice.about)) {
            if request.told.len() < MOST_TOLD {
                request.told.push((notice.clone(), time));
            } else {
                request.n_left_out += 1;
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
            let told = request.transcript(ends, request.others(engine), request.tally(engine));
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
            for plugin in &mut request.plugins {
                plugin.path = self.outside.as_watched(&plugin.path);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Kind;
    use crate::plugin::id::PluginId;

    fn request(n_told: usize) -> OpenRequest {
        let key = Key { kind: Kind::Tool, id: PluginId::new("clock").unwrap() };
        let notice = Notice { about: Subject::from(&key), what: NoticeKind::Superseded };
        let mut requests = Requests(vec![OpenRequest {
            id: RequestId::default(),
            plugins: vec![(key, Arc::from(Path::new("plugins/clock.py")))],
            commands: Commands::default(),
            since: Timestamp::UNIX_EPOCH,
            told: Vec::new(),
            n_left_out: 0,
        }]);
        (0..n_told).for_each(|_| requests.hear(&notice, Timestamp::UNIX_EPOCH));
        requests.0.pop().unwrap()
    }

    #[test]
    fn an_answer_says_how_many_lines_it_leaves_out() {
        let last = |n_told, ends| {
            let tally = PassSummary { failed: usize::from(ends), ..PassSummary::default() };
            let told = request(n_told).transcript(ends, Vec::new(), Some(tally));
            (told.len(), told.last().unwrap().line.trim_end().to_owned())
        };
        assert_eq!(last(MOST_TOLD, false).0, MOST_TOLD);
        let (n, line) = last(MOST_TOLD + 7, false);
        assert!(n == MOST_TOLD + 1 && line.contains("7 more lines"), "{n}: {line}");
        assert!(last(1, true).1.contains("ended before it had deployed everything"));
    }
}
