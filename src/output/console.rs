//! The terminal: status lines go to stdout, what explains them (frames, hints) to stderr. Where there is a live view, both
//! are written above it.

use std::io::Write as _;
use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use super::bottom::{Bottom, Redraw};
use super::lines::Lines;
use super::terminal::{self, Terminal};
use super::view::{Frame, Keys, view};
use super::{Format, Request, columns, json_line};
use crate::notice::board::Board;
use crate::notice::{Level, Notice};

/// A single pass with at least this many conversations shows how far it has come.
const LONG_PASS: usize = 12;
/// How long the view waits before it shows a change that is no line of the log: most deploys are over by then.
pub(super) const CALM: Duration = Duration::from_millis(150);

/// Prints notices at once, and waits while the terminal is stopped. The daemon prints through [`Output`](super::Output),
/// which does not wait.
pub struct Console {
    format: Format,
    least: Level,
    zone: TimeZone,
    lines: Lines,
    live: Option<Live>,
    /// Whether stdout takes no more.
    gone: bool,
}

/// The live view.
struct Live {
    terminal: Terminal,
    once: bool,
    board: Board,
    bottom: Bottom,
    keys: Option<Keys>,
    help: bool,
    /// Since when there is something that the view does not show.
    undrawn: Option<Timestamp>,
}

impl Console {
    /// Prints notices of at least this level; all of them as JSON.
    #[must_use]
    pub fn new(format: Format, least: Level) -> Self {
        Self { format, least, zone: TimeZone::system(), lines: Lines::new(true), live: None, gone: false }
    }

    /// Shows a live view in this terminal. That of a single pass is no more than how far a long one has come.
    #[must_use]
    pub fn live(self, terminal: Option<Terminal>, once: bool) -> Self {
        let live = terminal.filter(|_| self.format == Format::Lines).map(|terminal| Live {
            terminal,
            once,
            board: Board::default(),
            bottom: Bottom::new(terminal.reflows),
            keys: None,
            help: false,
            undrawn: None,
        });
        // Editors that run a pass look for the line with the place.
        Self { live, lines: Lines::new(!once), ..self }
    }

    /// Prints a notice.
    pub fn tell(&mut self, notice: &Notice, time: Timestamp) {
        let printed = match self.format {
            Format::Json => print(&json_line(notice, time), ""),
            Format::Lines if notice.level() < self.least => return,
            Format::Lines => {
                let [above, below] = [console::Term::stdout(), console::Term::stderr()].map(|it| columns(&it));
                let (line, more) = self.lines.render(notice, &self.clock(time), above, below);
                print(&line, &more)
            }
        };
        self.gone |= printed.is_err();
    }

    /// Prints notices, and brings the live view up to date.
    pub(super) fn show(&mut self, notices: &[(Notice, Timestamp)], requests: Vec<Request>) {
        if self.live.is_none() {
            notices.iter().for_each(|(notice, time)| self.tell(notice, *time));
            return;
        }
        let stdout = console::Term::stdout();
        let (rows, columns) = stdout.size_checked().unwrap_or((24, 80));
        let (mut log, mut aside) = (String::new(), String::new());
        for (notice, time) in notices {
            let clock = self.clock(*time);
            if notice.level() >= self.least {
                let below = super::columns(&console::Term::stderr());
                let (line, more) = self.lines.render(notice, &clock, Some(columns), below);
                log += &(line + "\n");
                if !more.is_empty() {
                    let shown = self.live.as_ref().is_some_and(|live| live.terminal.shows_stderr);
                    *(if shown { &mut log } else { &mut aside }) += &(more + "\n");
                }
            }
            if let Some(live) = &mut self.live {
                live.board.tell(notice, &clock);
            }
        }
        let Some(live) = &mut self.live else { return };
        let last = notices.last().map(|(_, time)| *time);
        let text = live.text(&log, last, requests, (rows, columns));
        let printed = text.map_or(Ok(()), |text| write(&text));
        self.gone |= printed.is_err();
        if !aside.is_empty() {
            anstream::stderr().lock().write_all(aside.as_bytes()).ok();
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn finish(&mut self) {
        if let Some(live) = self.live.take() {
            live.clear().ok();
        }
    }

    /// How long the next change of the view may wait, if there is one.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.live.as_ref().and_then(|live| live.undrawn).map(|_| CALM)
    }

    /// Whether there is a live view of a watch.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live.as_ref().is_some_and(|live| !live.once)
    }

    /// Whether several notices are printed at once.
    pub(super) fn takes_many(&self) -> bool {
        self.live.is_some()
    }

    /// Whether the reader is gone, as after `owui-watch | head`.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    fn clock(&self, time: Timestamp) -> String {
        time.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }
}

impl Live {
    /// What to write now, if anything. What is only a change of the view waits, in case the next notice undoes it.
    fn text(
        &mut self,
        log: &str,
        last: Option<Timestamp>,
        requests: Vec<Request>,
        (rows, columns): (u16, u16),
    ) -> Option<String> {
        let is_news = !log.is_empty() || !requests.is_empty();
        if let (Some(time), false) = (last, is_news)
            && time.duration_since(*self.undrawn.get_or_insert(time)).unsigned_abs() < CALM
        {
            return None;
        }
        self.undrawn = None;
        let mut insists = false;
        let mut suspended = Vec::new();
        for request in requests {
            match request {
                Request::Redraw => insists = true,
                Request::Help => self.help = !self.help,
                Request::Keys(keys) => self.keys = keys,
                Request::Suspend(done) => suspended.push(done),
            }
        }
        if !suspended.is_empty() || !terminal::is_ours() {
            let text = self.bottom.clear(columns) + log;
            let text = if text.is_empty() { None } else { Some(text) };
            if suspended.is_empty() {
                return text;
            }
            // Who suspends us waits for this.
            if let Some(text) = text {
                write(&text).ok();
            }
            drop(suspended);
            return None;
        }
        let glance = self.board.glance();
        let keys = self.keys.map(|keys| Keys { browser: keys.browser && self.terminal.browser });
        let lines =
            if self.is_shown() { view(&glance, Frame { rows, columns, keys, help: self.help }) } else { Vec::new() };
        let title = (self.terminal.titled && !self.once).then(|| match glance.problems.len() {
            0 => "owui-watch".to_owned(),
            broken => format!("{broken} broken · owui-watch"),
        });
        self.bottom.draw(log, lines, title, Redraw { columns, insists })
    }

    /// Whether there is enough to show.
    fn is_shown(&self) -> bool {
        !self.once || self.board.pass_todo().is_some_and(|todo| todo >= LONG_PASS)
    }

    fn clear(mut self) -> std::io::Result<()> {
        let columns = columns(&console::Term::stdout()).unwrap_or(80);
        let text = self.bottom.clear(columns);
        if text.is_empty() { Ok(()) } else { write(&text) }
    }
}

/// `anstream` takes the colours out where they are not wanted (`NO_COLOR`, a file, a pipe). The error is that of stdout,
/// whose reader may be gone. A closed stderr is no error.
fn print(line: &str, more: &str) -> std::io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush())?;
    drop(stdout);
    if !more.is_empty() {
        writeln!(anstream::stderr().lock(), "{more}").ok();
    }
    Ok(())
}

/// Writes to the terminal as it is, but for the colours that are not wanted.
fn write(text: &str) -> std::io::Result<()> {
    let plain = anstream::AutoStream::choice(&std::io::stdout()) == anstream::ColorChoice::Never;
    let text = if plain { without_colours(text) } else { text.to_owned() };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

/// A text without the sequences that set colours; those that move the cursor stay.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end {
            Some(end) if part[end..].starts_with('m') => plain.push_str(&part[end + 1..]),
            _ => {
                plain.push_str("\x1b[");
                plain.push_str(part);
            }
        }
    }
    plain
}
