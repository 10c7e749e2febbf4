//! The last lines of the terminal, below the scrolling log. Each change is one text that erases them, prints the log's
//! new lines and draws them again. The cursor waits on the line below.

use console::measure_text_width as width;

use super::addition::Addition;

/// Show all of this at once.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
/// The terminal's own wrapping, which would take a row more for a character that it shows wider than we think.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";
/// Remember the window's title; take the remembered one.
const SAVE_TITLE: &str = "\x1b[22;2t";
const RESTORE_TITLE: &str = "\x1b[23;2t";

/// What stands at the bottom now.
#[derive(Debug, Default)]
pub(super) struct Bottom {
    drawn: Vec<String>,
    /// The log's newest line, if it may be replaced.
    newest: Option<String>,
    title: Option<String>,
    /// Whether the terminal wraps anew what was printed, when its width changes.
    reflows: bool,
}

/// How to draw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Redraw {
    pub(super) columns: u16,
    /// Draw it even if it seems to be there.
    pub(super) insists: bool,
}

impl Bottom {
    pub(super) fn new(reflows: bool) -> Self {
        Self { reflows, ..Self::default() }
    }

    /// What to write for new lines of the log above these lines, and this title. `None` if nothing changes and nobody
    /// `insists`. It ends with a line break, so that one write takes it all.
    pub(super) fn draw(
        &mut self,
        log: &Addition,
        lines: Vec<String>,
        title: Option<String>,
        at: Redraw,
    ) -> Option<String> {
        let title = self.titled(title);
        if log.is_empty() && lines == self.drawn && title.is_empty() && !at.insists {
            return None;
        }
        let replaced = self.newest.take_if(|_| log.replaces);
        let mut text = title + BEGIN + &self.erased(at.columns, replaced.as_ref()) + &log.text();
        if !log.is_empty() {
            self.newest = log.replaceable().cloned();
        }
        if lines.is_empty() {
            text.push_str(END);
        } else {
            text.push_str(NO_WRAP);
            text.push_str(&lines.join("\n"));
            text.push_str(WRAP);
            text.push_str(END);
            text.push('\n');
        }
        self.drawn = lines;
        Some(text)
    }

    /// What to write to leave the terminal as it was.
    pub(super) fn clear(&mut self, columns: u16) -> String {
        let text = self.titled(None) + &self.erased(columns, None);
        self.drawn.clear();
        // Others may write below it now.
        self.newest = None;
        text
    }

    fn titled(&mut self, title: Option<String>) -> String {
        if title == self.title {
            return String::new();
        }
        let text = match (&self.title, &title) {
            (None, Some(title)) => format!("{SAVE_TITLE}\x1b]2;{title}\x07"),
            (_, Some(title)) => format!("\x1b]2;{title}\x07"),
            // Not every terminal remembers one.
            (_, None) => format!("\x1b]2;\x07{RESTORE_TITLE}"),
        };
        self.title = title;
        text
    }

    fn erased(&self, columns: u16, newest: Option<&String>) -> String {
        let lines = newest.into_iter().chain(&self.drawn);
        let rows: usize = lines.map(|line| self.rows(line, columns.into())).sum();
        if rows == 0 { String::new() } else { format!("\x1b[{rows}A\r\x1b[J") }
    }

    /// How many rows a line takes by now.
    fn rows(&self, line: &str, columns: usize) -> usize {
        if !self.reflows || columns == 0 {
            return 1;
        }
        let text = console::strip_ansi_codes(line);
        let (mut rows, mut at) = (1, 0);
        for c in text.chars() {
            let wide = width(c.encode_utf8(&mut [0; 4]));
            // A wide character is not cut in two.
            if at + wide > columns {
                (rows, at) = (rows + 1, 0);
            }
            at += wide;
        }
        rows
    }
}
