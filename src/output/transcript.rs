//! Notices as text for another process: as the watch prints them, without colour, and as JSON.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::json_line;
use super::lines::Lines;
use crate::notice::{Commands, Notice};

/// Renders notices one after the other.
pub struct Transcript {
    lines: Lines,
    zone: TimeZone,
}

impl Transcript {
    /// Nothing is rendered yet. Commands in hints will be written like this.
    pub(crate) fn new(commands: &Commands) -> Self {
        Self { lines: Lines::new(false, commands.clone()), zone: TimeZone::system() }
    }

    /// The status line, what explains it, and the JSON of a notice.
    pub fn add(&mut self, notice: &Notice, time: Timestamp) -> (String, String, String) {
        let clock = time.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string();
        let (line, more) = self.lines.render(notice, &clock, 1, None, None);
        let plain = |text: &str| anstream::adapter::strip_str(text).to_string();
        (plain(&line), plain(&more), json_line(notice, time, self.lines.commands()))
    }
}
