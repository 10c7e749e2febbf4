//! The live view below the log: what it shows, and when it is drawn.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

use super::addition::Addition;
use super::bottom::{Bottom, Redraw};
use super::terminal::Terminal;
use super::view::{Frame, Keys, view};
use super::{Request, Waiting};
use crate::notice::board::Board;
use crate::notice::{Notice, count};

/// A single pass with at least this many conversations shows how far it has come.
const LONG_PASS: usize = 12;
/// How long the view waits before it shows a change that is no line of the log: most deploys are over by then.
const CALM: Duration = Duration::from_millis(150);

/// The live view.
pub(super) struct Live {
    terminal: Terminal,
    once: bool,
    board: Board,
    bottom: Bottom,
    keys: Option<Keys>,
    help: bool,
    /// Since when there is something that the view does not show.
    undrawn: Option<Timestamp>,
}

/// The terminal's window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) rows: u16,
    pub(super) columns: u16,
    /// Whether we may draw in it: it is not ours while we run in the background of a shell.
    pub(super) is_ours: bool,
}

impl Live {
    pub(super) fn new(terminal: Terminal, once: bool) -> Self {
        Self {
            terminal,
            once,
            board: Board::default(),
            bottom: Bottom::new(terminal.reflows),
            keys: None,
            help: false,
            undrawn: None,
        }
    }

    /// Whether it is that of a watch, not of a single pass.
    pub(super) fn is_of_watch(&self) -> bool {
        !self.once
    }

    /// Whether what goes to stderr is shown by the same terminal.
    pub(super) fn shows_stderr(&self) -> bool {
        self.terminal.shows_stderr
    }

    /// How long the next change of the view may wait, if there is one.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.undrawn.map(|_| CALM)
    }

    /// Takes in a notice.
    pub(super) fn tell(&mut self, notice: &Notice, clock: &str) {
        self.board.tell(notice, clock);
    }

    /// What to write now, if anything; and who waits until it is written. What is only a change of the view waits, in
    /// case the next notice undoes it.
    pub(super) fn text(
        &mut self,
        log: &Addition,
        last: Option<Timestamp>,
        requests: Vec<Request>,
        Window { rows, columns, is_ours }: Window,
    ) -> (Option<String>, Vec<Waiting>) {
        let is_news = !log.is_empty() || !requests.is_empty();
        if let (Some(time), false) = (last, is_news)
            && time.duration_since(*self.undrawn.get_or_insert(time)).unsigned_abs() < CALM
        {
            return (None, Vec::new());
        }
        self.undrawn = None;
        let mut insists = false;
        let mut suspended = Vec::new();
        for request in requests {
            match request {
                Request::Redraw => insists = true,
                Request::Help => self.help = !self.help,
                Request::Keys(keys) => self.keys = keys,
                Request::Choose(problem) => self.board.set_chosen(problem),
                Request::Suspend(done) => suspended.push(done),
                // It is in the log.
                Request::Print(_) => {}
            }
        }
        if !is_ours || !suspended.is_empty() {
            let text = self.bottom.clear(columns) + &log.text();
            return ((!text.is_empty()).then_some(text), suspended);
        }
        let glance = self.board.glance();
        let frame = Frame { rows, columns, keys: self.keys, help: self.help };
        let lines = if self.is_shown() { view(&glance, frame) } else { Vec::new() };
        let title = (self.terminal.titled && !self.once).then(|| match glance.problems.len() {
            0 => "owui-watch".to_owned(),
            problems => format!("{} · owui-watch", count(problems, "problem")),
        });
        (self.bottom.draw(log, lines, title, Redraw { columns, insists }), suspended)
    }

    /// What to write to leave the terminal as it was.
    pub(super) fn clear(&mut self, columns: u16) -> String {
        self.bottom.clear(columns)
    }

    /// Whether there is enough to show.
    fn is_shown(&self) -> bool {
        !self.once || self.board.pass_todo().is_some_and(|todo| todo >= LONG_PASS)
    }
}
