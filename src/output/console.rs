//! The terminal: status lines go to stdout, what explains them (frames, hints) to stderr.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{Timestamp, tz::TimeZone};

use super::lines::Lines;
use super::{Format, columns, json_line};
use crate::notice::{Level, Notice, NoticeKind};

/// A pass with at least this many conversations gets a progress bar.
const LONG_PASS: usize = 12;

/// Prints notices at once, and waits while the terminal is stopped. The daemon prints through [`Output`](super::Output),
/// which does not wait.
pub struct Console {
    format: Format,
    least: Level,
    zone: TimeZone,
    lines: Lines,
    bar: Option<ProgressBar>,
    /// Whether stdout takes no more.
    gone: bool,
}

impl Console {
    /// Prints notices of at least this level; all of them as JSON.
    #[must_use]
    pub fn new(format: Format, least: Level) -> Self {
        Self { format, least, zone: TimeZone::system(), lines: Lines::new(true), bar: None, gone: false }
    }

    /// Prints a notice.
    pub fn tell(&mut self, notice: &Notice, time: Timestamp) {
        match self.format {
            Format::Json => {
                self.gone |= print(&json_line(notice, time), "").is_err();
            }
            Format::Lines => {
                self.progress(notice);
                if notice.level() >= self.least {
                    let clock = time.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string();
                    let [above, below] = [console::Term::stdout(), console::Term::stderr()].map(|it| columns(&it));
                    let (line, more) = self.lines.render(notice, &clock, above, below);
                    let printed = match &self.bar {
                        Some(bar) => bar.suspend(|| print(&line, &more)),
                        None => print(&line, &more),
                    };
                    self.gone |= printed.is_err();
                }
            }
        }
    }

    /// Whether the reader is gone, as after `owui-watch | head`.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    fn progress(&mut self, notice: &Notice) {
        match &notice.what {
            NoticeKind::Pass { todo } if *todo >= LONG_PASS && std::io::stdout().is_terminal() => {
                let bar = ProgressBar::with_draw_target(u64::try_from(*todo).ok(), ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} plugins") {
                    bar.set_style(style);
                }
                self.bar = Some(bar);
            }
            NoticeKind::Summary { .. }
            | NoticeKind::Unreachable { .. }
            | NoticeKind::NotAllowed { .. }
            | NoticeKind::Foreign { .. }
            | NoticeKind::GaveUp { .. }
            | NoticeKind::Stopping { .. } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
            _ if notice.is_outcome() => {
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
            }
            _ => {}
        }
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
