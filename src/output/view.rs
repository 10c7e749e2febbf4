//! The live view as lines: what is broken, what waits, what is on its way, and the totals.

use anstyle::Style;
use console::measure_text_width as width;

use super::messages::wrapped;
use super::styles::{BOLD, BOLD_RED, DIM, YELLOW};
use crate::notice::board::{Glance, Problem};
use crate::notice::count;
use crate::printable;

/// Between the log and the view. Short, so that a narrower window need not wrap it.
const RULE: &str = "────────";
/// Between the parts of a line.
const BETWEEN: &str = " · ";
/// A problem has one line if at least so much of its words fits behind its place.
const FEWEST_WORDS: usize = 30;
/// How many columns may stay empty behind the last word of a text that is too long.
const RAGGED: usize = 10;
/// How many lines a sentence has at most: it tells its reason in 40 columns, too.
const MOST_LINES: usize = 4;
/// In a narrower terminal there is no view.
const NARROWEST: u16 = 20;

/// The keys that are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Whether the user has named an editor.
    pub editor: bool,
}

/// What the view depends on beside the state of the plugins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) rows: u16,
    pub(super) columns: u16,
    pub(super) keys: Option<Keys>,
    /// Whether the keys are explained.
    pub(super) help: bool,
}

/// The lines of the view, in colour; none longer than the terminal is wide, and at most a third of its height.
pub(super) fn view(glance: &Glance, frame: Frame) -> Vec<String> {
    let most = usize::from(frame.rows / 3);
    let is_known = glance.server.is_some() || glance.trouble.is_some() || glance.settings.is_some();
    if !is_known || frame.columns < NARROWEST || most == 0 {
        return Vec::new();
    }
    let columns = usize::from(frame.columns);
    let mut below = pieces(&totals(glance), columns);
    let hint = format!("{DIM}? for keys{DIM:#}");
    // It is no state, and not worth a line.
    if let (Some(_), false, Some(last)) = (frame.keys, frame.help, below.last_mut())
        && width(last) + width(BETWEEN) + width(&hint) <= columns
    {
        *last = joined(last, &hint);
    }
    below.truncate(most);
    let warnings = glance.trouble.iter().chain(&glance.missing).chain(&glance.settings);
    let mut above: Vec<_> = warnings.flat_map(|trouble| warning(trouble, columns)).collect();
    let mut middle = Vec::new();
    if !glance.waiting.is_empty() {
        middle.push(signed("…", YELLOW, &listed("waiting", &glance.waiting, columns - 2)));
    }
    if !glance.in_flight.is_empty() {
        middle.push(signed("↑", Style::new(), &listed("on the way", &glance.in_flight, columns - 2)));
    }
    if !glance.trying.is_empty() {
        middle.push(signed("↔", Style::new(), &listed("trying", &glance.trying, columns - 2)));
    }
    // What does not fit is counted in the totals all the same: first the names, then the problems.
    let mut room = most - below.len();
    above.truncate(room);
    room -= above.len();
    let rule = room > 0;
    room -= usize::from(rule);
    let help = help(glance, frame, room);
    room -= help.len();
    // One alone needs no mark.
    let focus = glance.focus.filter(|_| frame.keys.is_some() && glance.problems.len() > 1);
    let problems = problems(&glance.problems, focus, columns, room);
    middle.truncate(room - problems.len());
    middle.extend(help);
    let rule = rule.then(|| format!("{DIM}{RULE}{DIM:#}"));
    rule.into_iter().chain(above).chain(problems).chain(middle).chain(below).collect()
}

/// The problems on at most so many lines. Their places come before their words. The one with the focus is marked and
/// shown.
fn problems(problems: &[Problem], focus: Option<usize>, columns: usize, most: usize) -> Vec<String> {
    let mark = |n| focus.map(|focus| if focus == n { "▸ " } else { "  " }).unwrap_or_default();
    let blocks = || problems.iter().enumerate().map(|(n, problem)| block(problem, mark(n), columns));
    let whole: Vec<_> = blocks().flatten().collect();
    if whole.len() <= most {
        return whole;
    }
    let mut lines: Vec<_> = blocks().map(|mut block| block.swap_remove(0)).collect();
    if lines.len() > most {
        // One line says how many are left.
        let shown = most.saturating_sub(1);
        let left = lines.len() - shown;
        lines.drain(..focus.map_or(0, |focus| (focus + 1).saturating_sub(shown)).min(left));
        lines.truncate(shown);
        let indent = " ".repeat(width(mark(0)));
        let more = match shown {
            0 => signed("✗", BOLD_RED, &count(left, "problem")),
            _ => format!("{indent}  and {left} more"),
        };
        lines.extend((most > 0).then_some(more));
    }
    lines
}

/// The place and what is wrong there, on one line if enough of it fits, else on two. `mark` stands before the sign.
fn block(problem: &Problem, mark: &str, columns: usize) -> Vec<String> {
    let indent = " ".repeat(width(mark) + 2);
    let signed = |text: &str| format!("{mark}{}", signed("✗", BOLD_RED, text));
    let room = columns - width(&indent);
    let place = printable::line(&problem.place);
    let words = printable::line(&problem.words);
    let left = room.saturating_sub(width(&place) + 2);
    if left >= width(&words).min(FEWEST_WORDS) {
        let words = fitted(&words, left);
        return vec![signed(&format!("{BOLD}{place}{BOLD:#}  {words}"))];
    }
    // Its end says more than its beginning.
    let hidden = (width(&place) + 1).saturating_sub(room);
    let place = if width(&place) > room { tail(&place, hidden) } else { place.into_owned() };
    vec![signed(&format!("{BOLD}{place}{BOLD:#}")), format!("{indent}{}", fitted(&words, room))]
}

/// A sentence on a few lines at most.
fn warning(text: &str, columns: usize) -> Vec<String> {
    let text = printable::line(text);
    let whole = wrapped(&text, "", u16::try_from(columns - 2).ok());
    let mut lines: Vec<_> = whole.lines().map(str::to_owned).collect();
    if let Some((last, rest)) = lines.get(MOST_LINES - 1..).and_then(<[_]>::split_first) {
        let last = rest.iter().fold(last.clone(), |text, line| text + " " + line);
        lines.truncate(MOST_LINES - 1);
        lines.push(last);
    }
    let fitting = lines.iter().map(|line| fitted(line, columns - 2));
    fitting.enumerate().map(|(n, line)| if n == 0 { signed("!", YELLOW, &line) } else { format!("  {line}") }).collect()
}

fn totals(glance: &Glance) -> Vec<String> {
    let totals = glance.totals.iter().map(|part| printable::line(part).into_owned());
    let server = glance.server.as_ref().map(|server| format!("{DIM}{}{DIM:#}", printable::line(server)));
    totals.chain(server).collect()
}

/// The keys on at most so many lines: with fewer words where a key would be left out.
fn help(glance: &Glance, frame: Frame, most: usize) -> Vec<String> {
    let Some(keys) = frame.keys.filter(|_| frame.help) else { return Vec::new() };
    let keys = [
        Some(("r", "compare everything with the server", "compare")),
        (glance.problems.len() > 1).then_some(("j/k", "choose a row", "choose")),
        Some(("d", "show the difference", "diff")),
        keys.editor.then_some(("e", "edit the place", "edit")),
        // Where there is no browser, it tells the address.
        glance.server.is_some().then_some(("o", "open in the browser", "open")),
        Some(("t", "try the plugin", "try")),
        Some(("q", "end", "end")),
        Some(("?", "hide the keys", "hide")),
    ];
    let lines = |has_room: bool| {
        let shown = keys.into_iter().flatten().map(|(key, what, word)| {
            let words = if has_room { what } else { word };
            format!("{BOLD}{key}{BOLD:#} {words}")
        });
        pieces(&shown.collect::<Vec<_>>(), usize::from(frame.columns))
    };
    let all = lines(true);
    let mut lines = if all.len() > most { lines(false) } else { all };
    lines.truncate(most);
    lines
}

fn signed(sign: &str, style: Style, text: &str) -> String {
    format!("{style}{sign}{style:#} {text}")
}

fn listed(what: &str, names: &[String], columns: usize) -> String {
    let names = names.join(", ");
    fitted(&format!("{what}: {}", printable::line(&names)), columns)
}

/// The parts on as few lines as possible. One that is longer than a line is cut.
fn pieces(parts: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if width(line) + width(BETWEEN) + width(part) <= columns => {
                *line = joined(line, part);
            }
            _ if width(part) <= columns => lines.push(part.clone()),
            _ => {
                let text = console::strip_ansi_codes(part);
                lines.extend(wrapped(&text, "", u16::try_from(columns).ok()).lines().map(|line| cut(line, columns)));
            }
        }
    }
    lines
}

fn joined(line: &str, part: &str) -> String {
    format!("{line}{DIM}{BETWEEN}{DIM:#}{part}")
}

/// As many words of a text as fit.
fn fitted(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let fits = |at: &usize| width(&text[..*at]) < columns;
    let end = text.match_indices(' ').map(|(at, _)| at).take_while(fits).last().unwrap_or_default();
    // Instead of a long word, a part of it.
    if width(&text[..end]) + RAGGED < columns { cut(text, columns) } else { format!("{}…", &text[..end]) }
}

fn cut(text: &str, columns: usize) -> String {
    console::truncate_str(text, columns, "…").into_owned()
}

/// A text without its first columns.
fn tail(text: &str, hidden: usize) -> String {
    let mut passed = 0;
    let rest = text.char_indices().find(|(_, c)| {
        let is_over = passed >= hidden;
        passed += width(c.encode_utf8(&mut [0; 4]));
        is_over
    });
    format!("…{}", rest.map_or("", |(at, _)| &text[at..]))
}
