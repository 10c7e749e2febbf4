//! Where notices are shown: the terminal, or JSON for programs. A thread of its own prints, so that a terminal that is
//! stopped with Ctrl-S, or a pipe that nobody reads, holds up no deploy and no watchdog.

mod addition;
mod bottom;
mod check;
mod console;
mod diagnostics;
mod difference;
mod frames;
#[cfg(unix)]
mod keyboard;
mod lines;
mod live;
mod messages;
mod screen;
mod sign;
mod styles;
mod terminal;
mod transcript;
mod view;

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::notice::board::Name;
use crate::notice::{Commands, Level, Notice};
use crate::printable;

use messages::{print_hint, wrapped_message};

pub use check::{CheckOutput, Repository};
pub use console::Console;
pub use diagnostics::DiagnosticLine;
pub use difference::{changed_lines, unified};
#[cfg(unix)]
pub use keyboard::{Key, Keyboard};
pub use messages::{Steps, question};
pub use screen::Screen;
pub use terminal::Terminal;
pub use transcript::Transcript;
pub use view::Keys;

/// How many notices are kept for a slow reader.
const MOST_WAITING: usize = 10_000;
/// How many of the oldest are dropped at once.
const ROOM: usize = 1000;
/// How many are printed at once above the live view. A reader who makes progress takes that many in a moment.
const BATCH: usize = 64;
/// How long a terminal may take to remove the live view before the program is suspended.
const SUSPENSION: Duration = Duration::from_millis(200);

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Lines,
    /// One JSON object per line, for programs.
    Json,
}

/// Sends notices to the thread that prints.
#[derive(Clone)]
pub struct Output(Arc<Queue>);

impl Output {
    /// Starts the thread. It calls `gone` once the reader is gone, as after `owui-watch | head`. It ends, and drops
    /// `gone`, when everything is printed after [`Output::close`].
    ///
    /// # Errors
    ///
    /// If the system cannot start another thread.
    pub fn start(mut console: Console, gone: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let output = Self(Arc::clone(&queue));
        if console.is_live() {
            diagnostics::print_above(output.clone());
        }
        std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            let mut gone = Some(gone);
            let batch = if console.takes_many() { BATCH } else { 1 };
            while let Some((notices, requests)) = queue.next(batch, console.patience()) {
                if gone.is_some() {
                    console.show(&notices, requests);
                }
                if console.is_gone()
                    && let Some(gone) = gone.take()
                {
                    gone();
                }
            }
            console.finish();
        })?;
        Ok(output)
    }

    /// Queues notices with their times. Never waits for the reader. Each call wakes the thread once.
    pub fn tell(&self, notices: impl IntoIterator<Item = (Notice, Timestamp)>) {
        self.0.change(|backlog| notices.into_iter().for_each(|(notice, time)| backlog.push(notice, time)));
    }

    /// Draws the live view again: the terminal has another size, or is ours again.
    pub fn redraw(&self) {
        self.0.change(Backlog::redraw);
    }

    /// Explains the keys in the live view, or stops doing so.
    pub fn toggle_help(&self) {
        self.request(Request::Help);
    }

    /// Marks this problem in the live view as the one that keys act on.
    pub fn choose(&self, problem: Name) {
        self.request(Request::Choose(problem));
    }

    /// Prints lines above the live view. They have passed the filter of [`printable`].
    pub fn print(&self, lines: String) {
        self.request(Request::Print(lines));
    }

    /// Removes the live view, and prints nothing after that until [`Output::go_on`]: another program gets the terminal.
    /// Waits until the view is removed, however long the terminal is stopped.
    pub async fn pause(&self) {
        let (done, erased) = oneshot::channel::<()>();
        self.0.change(|backlog| {
            backlog.paused = true;
            backlog.requests.push(Request::Suspend(Box::new(done)));
        });
        // The sender is dropped when it is done.
        erased.await.ok();
    }

    /// Ends a pause.
    pub fn go_on(&self) {
        self.0.change(|backlog| {
            backlog.paused = false;
            // An older one would remove the view that is drawn now.
            backlog.requests.retain(|request| !matches!(request, Request::Suspend(_)));
            backlog.redraw();
        });
    }

    /// Says in the live view that these keys are on.
    pub fn offer(&self, keys: Option<Keys>) {
        self.request(Request::Keys(keys));
    }

    /// Removes the live view until [`Output::redraw`]. Waits for that, but not for a terminal that is stopped. During a
    /// pause there is no view.
    pub fn suspend(&self) {
        let (done, erased) = channel::<()>();
        self.0.change(|backlog| {
            if !backlog.paused {
                backlog.requests.push(Request::Suspend(Box::new(done)));
            }
        });
        // The sender is dropped when it is done.
        erased.recv_timeout(SUSPENSION).ok();
    }

    fn request(&self, request: Request) {
        self.0.change(|backlog| backlog.requests.push(request));
    }

    /// Lets the thread end once everything is printed.
    pub fn close(&self) {
        self.0.change(|backlog| backlog.closed = true);
    }

    /// How many notices the thread has taken so far. While this stands still, nobody reads.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.backlog().taken
    }
}

/// What the live view is asked for.
enum Request {
    Redraw,
    Help,
    Keys(Option<Keys>),
    Choose(Name),
    /// These lines go above it.
    Print(String),
    Suspend(Waiting),
}

/// Somebody who waits until this is dropped.
type Waiting = Box<dyn Any + Send>;

/// What to print, and what to do with the live view.
type Work = (Vec<(Notice, Timestamp)>, Vec<Request>);

/// The queue of notices to print. Not a channel: none in the standard library drops its oldest when full.
#[derive(Default)]
struct Queue {
    backlog: Mutex<Backlog>,
    changed: Condvar,
}

impl Queue {
    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the backlog, and wakes the thread.
    fn change(&self, change: impl FnOnce(&mut Backlog)) {
        change(&mut self.backlog());
        self.changed.notify_one();
    }

    /// Waits for the next notices, at most so many, and requests; `None` once closed and empty. Nothing comes of it if
    /// the patience ends first.
    fn next(&self, most: usize, patience: Option<Duration>) -> Option<Work> {
        let is_idle = |backlog: &mut Backlog| !backlog.closed && !backlog.has_work();
        let backlog = self.backlog();
        let mut backlog = match patience {
            None => self.changed.wait_while(backlog, is_idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.changed.wait_timeout_while(backlog, patience, is_idle);
                let (backlog, time) = waited.unwrap_or_else(PoisonError::into_inner);
                if time.timed_out() {
                    return Some((Vec::new(), Vec::new()));
                }
                backlog
            }
        };
        let notices: Vec<_> = std::iter::from_fn(|| backlog.pop()).take(most).collect();
        let requests = std::mem::take(&mut backlog.requests);
        let is_over = notices.is_empty() && requests.is_empty();
        (!is_over).then_some((notices, requests))
    }
}

#[derive(Default)]
struct Backlog {
    waiting: VecDeque<(Notice, Timestamp)>,
    requests: Vec<Request>,
    /// How many were dropped since the last one was taken.
    dropped: usize,
    taken: usize,
    /// Whether another program has the terminal.
    paused: bool,
    closed: bool,
}

impl Backlog {
    /// Whether there is something to print now.
    fn has_work(&self) -> bool {
        if self.paused {
            // The pause begins with it.
            return self.requests.iter().any(|request| matches!(request, Request::Suspend(_)));
        }
        !self.waiting.is_empty() || !self.requests.is_empty()
    }

    fn redraw(&mut self) {
        if !self.requests.iter().any(|request| matches!(request, Request::Redraw)) {
            self.requests.push(Request::Redraw);
        }
    }

    fn push(&mut self, notice: Notice, time: Timestamp) {
        if self.waiting.len() >= MOST_WAITING {
            self.make_room();
        }
        self.waiting.push_back((notice, time));
    }

    /// Drops the oldest that are neither outcomes nor warnings; if there are none, the oldest.
    fn make_room(&mut self) {
        let mut room = 0;
        self.waiting.retain(|(notice, _)| {
            let goes = room < ROOM && !notice.is_outcome() && notice.level() <= Level::Info;
            room += usize::from(goes);
            !goes
        });
        if room == 0 {
            room = self.waiting.drain(..ROOM).count();
        }
        self.dropped += room;
    }

    /// The next to be printed. A count of dropped notices comes before those that are left.
    fn pop(&mut self) -> Option<(Notice, Timestamp)> {
        let dropped = std::mem::take(&mut self.dropped);
        let next = match self.waiting.front() {
            Some((_, time)) if dropped > 0 => Some((Notice::of_unread(dropped), *time)),
            _ => self.waiting.pop_front(),
        };
        if self.waiting.is_empty() {
            // A start tells of every plugin at once, and nothing later does.
            self.waiting.shrink_to(BATCH);
        }
        self.taken += usize::from(next.is_some());
        next
    }
}

/// A notice as a line for programs, with no character that steers a terminal.
fn json_line(notice: &Notice, time: Timestamp, commands: &Commands) -> String {
    printable::json(&notice.to_json(&time.to_string(), commands).to_string()).into_owned()
}

/// How wide a terminal is, if it is one.
fn columns(terminal: &::console::Term) -> Option<u16> {
    terminal.size_checked().map(|(_, columns)| columns)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::*;
    use crate::notice::NoticeKind;

    fn push(backlog: &mut Backlog, kinds: impl Iterator<Item = NoticeKind>) {
        kinds.for_each(|what| backlog.push(Notice::general(what), Timestamp::UNIX_EPOCH));
    }

    fn created(n: usize) -> NoticeKind {
        NoticeKind::Created { active: None, global: false, again: false, took: Duration::from_millis(n as u64) }
    }

    fn rest(backlog: &mut Backlog) -> Vec<NoticeKind> {
        std::iter::from_fn(|| backlog.pop()).map(|(notice, _)| notice.what).collect()
    }

    fn is_pending(future: &mut Pin<Box<impl Future>>) -> bool {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn taken(output: &Output) -> Option<(usize, usize)> {
        let is_over = Some(Duration::ZERO);
        output.0.next(BATCH, is_over).map(|(notices, requests)| (notices.len(), requests.len()))
    }

    #[tokio::test]
    async fn a_pause_begins_with_the_erase_and_ends_with_the_view() {
        let output = Output(Arc::default());
        output.tell([(Notice::general(created(1)), Timestamp::UNIX_EPOCH)]);
        let mut pause = Box::pin(output.pause());
        assert!(is_pending(&mut pause));
        let (notices, requests) = output.0.next(BATCH, None).unwrap();
        assert!(notices.len() == 1 && matches!(requests[..], [Request::Suspend(_)]));
        drop(requests);
        pause.await;
        // Whatever comes now waits, and a suspension has nothing to remove.
        output.tell([(Notice::general(created(2)), Timestamp::UNIX_EPOCH)]);
        output.suspend();
        output.redraw();
        assert_eq!(taken(&output), Some((0, 0)));
        output.go_on();
        let (notices, requests) = output.0.next(BATCH, None).unwrap();
        assert!(notices.len() == 1 && matches!(requests[..], [Request::Redraw]));
    }

    #[tokio::test]
    async fn a_pause_that_ends_early_removes_no_view() {
        let output = Output(Arc::default());
        let mut pause = Box::pin(output.pause());
        assert!(is_pending(&mut pause));
        output.go_on();
        pause.await;
        let (_, requests) = output.0.next(BATCH, None).unwrap();
        assert!(matches!(requests[..], [Request::Redraw]));
    }

    #[test]
    fn notices_are_printed_in_order() {
        let mut backlog = Backlog::default();
        push(&mut backlog, (0..MOST_WAITING).map(created));
        assert_eq!(rest(&mut backlog), (0..MOST_WAITING).map(created).collect::<Vec<_>>());
        assert_eq!(backlog.taken, MOST_WAITING);
    }

    #[test]
    fn a_full_queue_gives_up_what_is_no_outcome() {
        let mut backlog = Backlog::default();
        push(&mut backlog, (0..MOST_WAITING).flat_map(|n| [NoticeKind::Held, created(n)]));
        assert!(backlog.waiting.len() <= MOST_WAITING);
        let told = rest(&mut backlog);
        let outcomes: Vec<_> = told.iter().filter(|what| matches!(what, NoticeKind::Created { .. })).cloned().collect();
        assert_eq!(outcomes, (0..MOST_WAITING).map(created).collect::<Vec<_>>()[MOST_WAITING - outcomes.len()..]);
        // Every one of the others is counted.
        let given_up = 2 * MOST_WAITING - (told.len() - 1);
        assert_eq!(told[0], Notice::of_unread(given_up).what);
    }

    #[test]
    fn a_queue_of_outcomes_gives_up_the_oldest() {
        let mut backlog = Backlog::default();
        push(&mut backlog, (0..=MOST_WAITING).map(created));
        let told = rest(&mut backlog);
        assert_eq!(told[0], Notice::of_unread(ROOM).what);
        assert_eq!(told[1..], (ROOM..=MOST_WAITING).map(created).collect::<Vec<_>>());
    }
}
