//! The terminal: status lines go to stdout, what explains them (frames, hints) to stderr. Where there is a live view,
//! both are written above it.

use std::io::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use super::addition::{Addition, Repeats};
use super::lines::Lines;
use super::live::{Live, Window};
use super::messages::wrapped_output;
use super::terminal::{self, Terminal};
use super::{Format, Request, columns, json_line};
use crate::notice::{Commands, Level, Notice};

/// Prints notices at once, and waits while the terminal is stopped. The daemon prints through
/// [`Output`](super::Output), which does not wait.
pub struct Console {
    format: Format,
    least: Level,
    /// Finding it reads the names of all zones, which programs that read JSON need not wait for.
    zone: LazyLock<TimeZone>,
    lines: Lines,
    repeats: Repeats,
    live: Option<Live>,
    /// Whether stdout takes no more.
    gone: bool,
}

impl Console {
    /// Prints notices of at least this level; all of them as JSON. `commands`: the flags that hints repeat.
    #[must_use]
    pub fn new(format: Format, least: Level, commands: Commands) -> Self {
        let (zone, lines) = (LazyLock::new(TimeZone::system as fn() -> TimeZone), Lines::new(true, commands));
        Self { format, least, zone, lines, repeats: Repeats::default(), live: None, gone: false }
    }

    /// Shows a live view in this terminal. That of a single pass is no more than how far a long one has come.
    #[must_use]
    pub fn live(self, terminal: Option<Terminal>, once: bool) -> Self {
        let terminal = terminal.filter(|_| self.format == Format::Lines);
        let live = terminal.map(|terminal| Live::new(terminal, once));
        // Editors that run a pass look for the line with the place.
        Self { live, lines: Lines::new(!once, self.lines.commands().clone()), ..self }
    }

    /// Prints a notice.
    pub fn tell(&mut self, notice: &Notice, time: Timestamp) {
        let printed = match self.format {
            Format::Json => print(&json_line(notice, time, self.lines.commands()), ""),
            Format::Lines if notice.level() < self.least => return,
            Format::Lines => {
                let [above, below] = [console::Term::stdout(), console::Term::stderr()].map(|it| columns(&it));
                let (line, more) = self.lines.render(notice, &self.clock(time), 1, above, below);
                print(&line, &more)
            }
        };
        self.gone |= printed.is_err();
    }

    /// Prints notices, and brings the live view up to date.
    pub(super) fn show(&mut self, notices: &[(Notice, Timestamp)], requests: Vec<Request>) {
        if self.live.is_none() {
            for (notice, time) in notices {
                self.tell(notice, *time);
            }
            return;
        }
        let (rows, columns) = console::Term::stdout().size_checked().unwrap_or((24, 80));
        let (mut log, aside) = self.log(notices, columns);
        let mut others = Vec::new();
        for request in requests {
            match request {
                Request::Print(lines) => log.print(&mut self.repeats, wrapped_output(&lines, Some(columns))),
                request => others.push(request),
            }
        }
        let Some(live) = &mut self.live else { return };
        let last = notices.last().map(|(_, time)| *time);
        let window = Window { rows, columns, is_ours: terminal::is_ours() };
        let (text, suspended) = live.text(&log, last, others, window);
        let printed = text.map_or(Ok(()), |text| write(&text));
        // The shell's Ctrl-Z waits until this is dropped.
        drop(suspended);
        self.gone |= printed.is_err();
        if !aside.is_empty() {
            anstream::stderr().lock().write_all(aside.as_bytes()).ok();
        }
    }

    /// New lines of the log, and those for another stderr.
    fn log(&mut self, notices: &[(Notice, Timestamp)], columns: u16) -> (Addition, String) {
        let (mut log, mut aside) = (Addition::default(), String::new());
        let below = super::columns(&console::Term::stderr());
        let shows_stderr = self.live.as_ref().is_some_and(Live::shows_stderr);
        for (notice, time) in notices {
            let clock = self.clock(*time);
            if notice.level() >= self.least {
                let (lines, repeats) = (&mut self.lines, &mut self.repeats);
                aside += &log.add(lines, repeats, notice, &clock, (columns, below), shows_stderr);
            }
            if let Some(live) = &mut self.live {
                live.tell(notice, &clock);
            }
        }
        (log, aside)
    }

    /// Leaves the terminal as it was.
    pub(super) fn finish(&mut self) {
        if let Some(mut live) = self.live.take() {
            let text = live.clear(columns(&console::Term::stdout()).unwrap_or(80));
            write(&text).ok();
        }
    }

    /// How long the next change of the view may wait, if there is one.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.live.as_ref().and_then(Live::patience)
    }

    /// Whether there is a live view of a watch.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live.as_ref().is_some_and(Live::is_of_watch)
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
        time.to_zoned(TimeZone::clone(&self.zone)).strftime("%H:%M:%S").to_string()
    }
}

/// `anstream` takes the colours out where they are not wanted (`NO_COLOR`, a file, a pipe). The error is that of
/// stdout, whose reader may be gone. A closed stderr is no error.
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
