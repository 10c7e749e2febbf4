//! Runs `log_command` beside the watch, and reads the server's log from it. A task of its own; what it finds comes
//! through a channel, and what does not fit there is counted and dropped.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, sleep_until};

use super::child_env::withhold_secrets;
use super::{Daemon, HEARD_AT_ONCE};
use crate::config::Config;
use crate::disk;
use crate::notice::{Notice, NoticeKind, Subject, Trouble};
use crate::plugin::{Digest, Key, normal};
use crate::printable;
use crate::process_group::{ChildGroup, kill_group, own_group};
use crate::server_log::{Entry, LogReader, Source, Traceback};

/// How many findings may wait for the loop.
const WAITING: usize = 1000;
/// Bytes of a line that are read. A traceback as JSON is one line.
const LONGEST: usize = 256 * 1024;
/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;
/// Lines that are read in one second, and bytes. Further lines are counted only; further bytes are left in the pipe.
const MOST_LINES: usize = 10_000;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// How long lines are looked at in one second. On a busy machine this is over before the lines are.
const MOST_TIME: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);
/// After this pause a traceback is complete.
const QUIET: Duration = Duration::from_millis(200);
/// How long the output may outlast the command, or the command its output.
const GRACE: Duration = Duration::from_millis(500);
/// The first pause before the command is started again, and the longest one.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A command that runs for this long works: its next end is told, and the pauses begin anew.
const WORKS: Duration = Duration::from_secs(10);
/// Characters of its last line that are quoted.
const QUOTED: usize = 300;

/// A running `log_command`. Dropping this ends it.
pub(super) struct ServerLog {
    task: JoinSet<()>,
    found: Receiver<Found>,
}

/// Something for the loop.
pub(super) enum Found {
    /// A notice, about a plugin or about the command.
    Notice(Box<Notice>),
    /// A question: which texts do the plugins of the project have on the server?
    Texts(oneshot::Sender<Vec<Deployed>>),
}

/// A plugin of the project.
pub(super) struct Deployed {
    pub(super) key: Key,
    /// The file, and the digest of the text that the server has, where both are known.
    pub(super) text: Option<(Arc<Path>, Digest)>,
}

impl ServerLog {
    /// Starts the command that the settings name, and starts it again whenever it ends.
    pub(super) fn follow(config: &Config) -> Option<Self> {
        let command = LogCommand { words: config.log_command.clone()?, folder: config.log_folder.clone() };
        let (send, found) = channel(WAITING);
        Some(Self { task: JoinSet::from_iter([follow(command, send)]), found })
    }

    /// The next finding. `None` never comes first.
    pub(super) async fn next(&mut self) -> Option<Found> {
        self.found.recv().await
    }

    /// A finding that is here already.
    pub(super) fn more(&mut self) -> Option<Found> {
        self.found.try_recv().ok()
    }

    /// Ends the command.
    pub(super) async fn stop(mut self) {
        self.task.shutdown().await;
    }
}

impl Daemon<'_> {
    /// Takes what the server's log says, and what is queued behind it. Other projects' plugins are not told of.
    pub(super) fn on_found(&mut self, first: Found) {
        let more = || self.server_log.as_mut().and_then(ServerLog::more);
        let found: Vec<_> = std::iter::once(first).chain(std::iter::from_fn(more)).take(HEARD_AT_ONCE).collect();
        for found in found {
            match found {
                Found::Notice(notice) => self.on_logged(*notice),
                Found::Texts(answer) => {
                    // It is gone if the command was replaced.
                    answer.send(self.deployed()).ok();
                }
            }
        }
    }

    fn on_logged(&mut self, notice: Notice) {
        let engine = self.driver.engine();
        let is_here = |key: &Key| engine.plugin(key).is_some() || engine.ledger().get(key).is_some();
        if !notice.about.key.as_ref().is_none_or(is_here) {
            return;
        }
        let subject = |key: &Key| engine.plugin(key).map(|plugin| Subject::from(&*plugin));
        let client = &self.outside.client;
        let notice = notice.located(&subject).masked(&|text| client.mask(text));
        let notice = self.repetitions.count(notice);
        self.tell(notice);
    }

    /// All plugins of the project, each with its text on the server, as far as that is known.
    fn deployed(&self) -> Vec<Deployed> {
        let engine = self.driver.engine();
        let mut plugins: BTreeMap<_, _> = engine.known().map(|key| (key.clone(), None)).collect();
        for (key, digest) in engine.ledger().all_held() {
            let path = engine.plugin(key).map(|plugin| Arc::clone(&plugin.path));
            plugins.insert(key.clone(), path.map(|path| (path, digest)));
        }
        plugins.into_iter().map(|(key, text)| Deployed { key, text }).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "beside the loop: it waits before it starts the command again")]
async fn follow(command: LogCommand, send: Sender<Found>) {
    let mut teller = Teller { send, lost: 0, texts: HashMap::new() };
    let mut restarts = Restarts::default();
    loop {
        let started = Instant::now();
        let how = run(&command, &mut teller).await;
        let Next { pause, is_told } = restarts.ended(started.elapsed());
        if is_told {
            teller.notice(Notice::general(NoticeKind::Trouble(Trouble::LogCommandEnded { how, next: pause })));
        }
        sleep(pause).await;
    }
}

/// The command, and the folder that it runs in: empty for the current one.
struct LogCommand {
    words: Vec<String>,
    folder: PathBuf,
}

/// When the command is started again, and whether the user hears of its end.
#[derive(Default)]
struct Restarts {
    pause: Option<Duration>,
}

#[derive(Debug, PartialEq, Eq)]
struct Next {
    pause: Duration,
    is_told: bool,
}

impl Restarts {
    /// The command has ended, after this time.
    fn ended(&mut self, ran: Duration) -> Next {
        if ran >= WORKS {
            self.pause = None;
        }
        let before = self.pause;
        let pause = before.map_or(SHORTEST_PAUSE, |before| (before * 2).min(LONGEST_PAUSE));
        self.pause = Some(pause);
        Next { pause, is_told: before.is_none() }
    }
}

/// Sends what is found.
struct Teller {
    send: Sender<Found>,
    lost: usize,
    /// The texts read last, by their plugins.
    texts: HashMap<Key, (Digest, Source)>,
}

impl Teller {
    async fn entries(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            match entry {
                Entry::Logged(notice) => self.notice(notice),
                Entry::Raised(traceback) => self.traceback(traceback).await,
            }
        }
    }

    fn notice(&mut self, notice: Notice) {
        if let Err(TrySendError::Full(_)) = self.send.try_send(Found::Notice(Box::new(notice))) {
            self.lost += 1;
        }
    }

    /// Finds the plugins of a traceback: asks the loop for their files, and reads those.
    async fn traceback(&mut self, traceback: Traceback) {
        let (answer, answered) = oneshot::channel();
        if self.send.try_send(Found::Texts(answer)).is_err() {
            self.lost += 1;
            return;
        }
        let Ok(deployed) = answered.await else { return };
        let mut texts = std::mem::take(&mut self.texts);
        let read = tokio::task::spawn_blocking(move || {
            let sources: Vec<_> = deployed.into_iter().map(|plugin| source(plugin, &mut texts)).collect();
            (traceback.notice(&sources), texts)
        });
        if let Ok((notice, texts)) = read.await {
            self.texts = texts;
            if let Some(notice) = notice {
                self.notice(notice);
            }
        }
    }

    /// Tells how much was left out, once that is over.
    fn count(&mut self, skipped: usize) {
        let lost = std::mem::take(&mut self.lost) + skipped;
        if lost > 0 {
            self.notice(Notice::general(NoticeKind::Trouble(Trouble::LogLinesLost(lost))));
        }
    }
}

/// The text that the server has of a plugin, if the file still has it.
fn source(plugin: Deployed, texts: &mut HashMap<Key, (Digest, Source)>) -> Source {
    let Deployed { key, text } = plugin;
    let Some((path, digest)) = text else { return Source::new(key, None) };
    if let Some((_, source)) = texts.get(&key).filter(|(read, _)| *read == digest) {
        return source.clone();
    }
    let bytes = disk::file::read(&path).unwrap_or_default();
    let text = normal::clean(&bytes).ok().filter(|text| Digest::of_text(text) == digest);
    let source = Source::new(key.clone(), text.as_deref());
    if text.is_none() {
        return source;
    }
    texts.insert(key, (digest, source.clone()));
    source
}

/// Runs the command to its end, and answers why there is no log now.
#[expect(clippy::disallowed_methods, reason = "the user's own program, beside the loop")]
async fn run(command: &LogCommand, teller: &mut Teller) -> String {
    let LogCommand { words, folder } = command;
    let Some((program, arguments)) = words.split_first() else { return String::new() };
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    withhold_secrets(&mut command);
    if !folder.as_os_str().is_empty() {
        command.current_dir(folder);
    }
    own_group(&mut command);
    let mut command = Command::from(command);
    let mut job = match command.kill_on_drop(true).spawn() {
        Ok(child) => ChildGroup(child),
        Err(error) => return format!("`log_command` cannot be started: `{program}`: {error}"),
    };
    let group = job.0.id();
    let mut out = Output::new(job.0.stdout.take());
    let mut err = Output::new(job.0.stderr.take());
    let mut budget = Budget::new();
    let status = loop {
        budget.pass(teller);
        let (quiet, skips) = ([out.quiet_at(), err.quiet_at()].into_iter().flatten().min(), budget.is_spent());
        tokio::select! {
            () = out.read(skips), if out.is_open() => budget.take(&mut out, teller).await,
            () = err.read(skips), if err.is_open() => budget.take(&mut err, teller).await,
            status = job.0.wait() => break status,
            () = sleep_until(quiet.unwrap_or(budget.until)), if quiet.is_some() => {
                out.pause(teller).await;
                err.pause(teller).await;
            }
            () = sleep_until(budget.until), if budget.skipped > 0 || teller.lost > 0 => budget.pass(teller),
            // It can never print again.
            () = sleep(GRACE), if !out.is_open() && !err.is_open() => {
                job.kill();
                break job.0.wait().await;
            }
        }
    };
    let rest = async {
        while out.is_open() || err.is_open() {
            tokio::select! {
                () = out.read(budget.is_spent()), if out.is_open() => budget.take(&mut out, teller).await,
                () = err.read(budget.is_spent()), if err.is_open() => budget.take(&mut err, teller).await,
            }
        }
    };
    let is_over = tokio::time::timeout(GRACE, rest).await.is_ok();
    // Its own children keep the pipes open. As long as they live, no other process gets their group's id.
    if let Some(group) = group.filter(|_| !is_over) {
        kill_group(group);
    }
    out.pause(teller).await;
    err.pause(teller).await;
    teller.count(budget.skipped);
    let last = [err.last, out.last].into_iter().find(|line| !line.is_empty());
    ended(status, last.as_deref())
}

fn ended(status: io::Result<ExitStatus>, last: Option<&str>) -> String {
    let how = match status {
        Ok(status) => match status.code() {
            Some(code) => format!("with exit code {code}"),
            None => format!("by a signal ({status})"),
        },
        Err(error) => format!("in an unknown way ({error})"),
    };
    let last = last.map_or_else(String::new, |line| format!(": {line}"));
    format!("`log_command` ended {how}{last}")
}

/// How much is read, so that a flood takes neither the loop's time nor memory.
struct Budget {
    until: Instant,
    lines: usize,
    bytes: usize,
    time: Duration,
    skipped: usize,
}

impl Budget {
    #[expect(clippy::disallowed_methods, reason = "beside the loop")]
    fn new() -> Self {
        Self { until: Instant::now() + SECOND, lines: 0, bytes: 0, time: Duration::ZERO, skipped: 0 }
    }

    /// Whether lines are only counted for now.
    fn is_spent(&self) -> bool {
        self.lines >= MOST_LINES || self.time >= MOST_TIME
    }

    /// Takes what was read. Between lines the loop gets its turns: a stream that is never empty would leave it none.
    #[expect(clippy::disallowed_methods, reason = "beside the loop")]
    async fn take<R: AsyncRead + Unpin>(&mut self, output: &mut Output<R>, teller: &mut Teller) {
        self.bytes += std::mem::take(&mut output.bytes);
        self.skipped += std::mem::take(&mut output.skipped);
        if let Some(line) = output.taken() {
            self.lines += 1;
            if !line.trim().is_empty() {
                output.last = printable::line(line.trim()).chars().take(QUOTED).collect();
            }
            let began = Instant::now();
            let entries = output.log.line(&line);
            self.time += began.elapsed();
            teller.entries(entries).await;
        }
        consume_budget().await;
        if self.bytes > MOST_BYTES {
            // The command waits meanwhile.
            sleep_until(self.until).await;
        }
        self.pass(teller);
    }

    /// Begins the next second if this one is over. What was left out is told after a second without a flood.
    #[expect(clippy::disallowed_methods, reason = "beside the loop")]
    fn pass(&mut self, teller: &mut Teller) {
        if Instant::now() < self.until {
            return;
        }
        let (is_calm, skipped) = (!self.is_spent(), self.skipped);
        *self = Self::new();
        if is_calm {
            teller.count(skipped);
        } else {
            self.skipped = skipped;
        }
    }
}

/// One of the command's streams.
struct Output<R> {
    stream: Option<BufReader<R>>,
    /// The first bytes of this line.
    line: Vec<u8>,
    is_whole: bool,
    /// The beginning of this line was skipped.
    is_torn: bool,
    /// Bytes that were read, and lines that were skipped, since they were asked for.
    bytes: usize,
    skipped: usize,
    log: LogReader,
    /// When the last line came.
    heard: Instant,
    /// The last line that is not empty.
    last: String,
}

impl<R: AsyncRead + Unpin> Output<R> {
    #[expect(clippy::disallowed_methods, reason = "beside the loop")]
    fn new(stream: Option<R>) -> Self {
        Self {
            stream: stream.map(|stream| BufReader::with_capacity(BUFFER, stream)),
            line: Vec::new(),
            is_whole: false,
            is_torn: false,
            bytes: 0,
            skipped: 0,
            log: LogReader::default(),
            heard: Instant::now(),
            last: String::new(),
        }
    }

    fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Reads to the end of a line or of the stream, or until the limit for one second is reached; with `skips`, all
    /// that is there. Safe to cancel.
    async fn read(&mut self, skips: bool) {
        while let Some(stream) = &mut self.stream {
            let bytes = stream.fill_buf().await.unwrap_or_default();
            if bytes.is_empty() {
                self.stream = None;
                self.is_whole = !self.line.is_empty();
                return;
            }
            self.bytes += bytes.len();
            if skips {
                let (length, parts) = (bytes.len(), bytes.split(|byte| *byte == b'\n').count());
                self.skipped += parts - 1;
                self.is_torn = !bytes.ends_with(b"\n");
                self.line.clear();
                stream.consume(length);
                return;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let length = end.unwrap_or(bytes.len());
            let room = LONGEST.saturating_sub(self.line.len()).min(length);
            self.line.extend_from_slice(&bytes[..room]);
            let read = length + usize::from(end.is_some());
            // The rest is still there.
            self.bytes -= bytes.len() - read;
            stream.consume(read);
            self.is_whole = end.is_some();
            if self.is_whole || self.bytes > MOST_BYTES {
                return;
            }
        }
    }

    /// When a traceback in it is complete.
    fn quiet_at(&self) -> Option<Instant> {
        self.log.is_waiting().then(|| self.heard + QUIET)
    }

    /// Tells of a traceback that is complete.
    #[expect(clippy::disallowed_methods, reason = "beside the loop")]
    async fn pause(&mut self, teller: &mut Teller) {
        if self.quiet_at().is_some_and(|at| at <= Instant::now()) || !self.is_open() {
            teller.entries(self.log.pause().into_iter().collect()).await;
        }
    }

    /// The line that was read.
    #[expect(clippy::disallowed_methods, reason = "beside the loop")]
    fn taken(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.is_whole) {
            return None;
        }
        self.heard = Instant::now();
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if std::mem::take(&mut self.is_torn) {
            self.skipped += 1;
            return None;
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::task::LocalSet;

    use super::*;

    #[test]
    fn pauses_grow_until_the_command_works() {
        let mut restarts = Restarts::default();
        let mut ended = |secs| {
            let Next { pause, is_told } = restarts.ended(Duration::from_secs(secs));
            (pause.as_secs(), is_told)
        };
        assert_eq!(ended(0), (1, true));
        assert_eq!([1, 0, 9, 0, 0, 0].map(&mut ended), [2, 4, 8, 16, 30, 30].map(|pause| (pause, false)));
        assert_eq!([10, 0, 3600].map(ended), [(1, true), (2, false), (1, true)]);
    }

    #[tokio::test]
    async fn a_line_is_bounded_and_the_last_needs_no_end() {
        let text = format!("one\r\n\n{}\nrest", "x".repeat(3 * LONGEST));
        let mut output = Output::new(Some(text.as_bytes()));
        let mut lines = Vec::new();
        while output.is_open() {
            output.read(false).await;
            lines.extend(output.taken().map(|line| (line.len(), std::mem::take(&mut output.bytes))));
        }
        assert_eq!(lines, [(4, 5), (0, 1), (LONGEST, 3 * LONGEST + 1), (4, 4)]);
    }

    /// The loop shares its thread with this reader.
    #[tokio::test]
    async fn a_flood_leaves_the_loop_its_turns() {
        let flood = "2026-11-22 00:36:02.914 | INFO     | open_webui.main:lifespan:9 - busy\n".repeat(4000);
        let turns = Rc::new(Cell::new(0));
        let others = Rc::clone(&turns);
        let beside = async move {
            loop {
                others.set(others.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            let mut output = Output::new(Some(flood.as_bytes()));
            let mut teller = Teller { send: channel(WAITING).0, lost: 0, texts: HashMap::new() };
            let mut budget = Budget::new();
            while output.is_open() {
                output.read(false).await;
                budget.take(&mut output, &mut teller).await;
            }
        };
        let tasks = LocalSet::new();
        tasks.spawn_local(beside);
        tasks.run_until(read).await;
        assert!(turns.get() > 20, "{turns:?}");
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_read_for_a_part_of_each_second() {
        let mut output = Output::new(Some(tokio::io::repeat(b'x')));
        output.read(false).await;
        assert!(output.bytes > MOST_BYTES && output.line.len() == LONGEST && output.taken().is_none());
    }

    #[tokio::test]
    async fn what_is_skipped_is_counted_in_whole_lines() {
        // The buffer ends within the last `two`.
        let text = format!("three\n{}last\n", "two\n".repeat(BUFFER / 4 - 1));
        let mut output = Output::new(Some(text.as_bytes()));
        let mut lines = Vec::new();
        for skips in [false, true, false, false, false] {
            output.read(skips).await;
            lines.extend(output.taken());
        }
        assert_eq!((lines, output.skipped), (vec!["three".to_owned(), "last".to_owned()], BUFFER / 4 - 1));
        assert!(!output.is_open());
    }
}
