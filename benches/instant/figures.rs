//! What was measured, and the table of it.

use std::fmt;
use std::time::Duration;

/// Some measurements of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
        self.0.sort_unstable();
    }

    pub(crate) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    /// Of fewer than a hundred it is the longest.
    pub(crate) fn p99(&self) -> Duration {
        self.0[(self.0.len() * 99 / 100).min(self.0.len() - 1)]
    }
}

/// One line of the table. Empty is what there is nothing to say of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) what: &'static str,
    pub(crate) goal: &'static str,
    pub(crate) measured: String,
    pub(crate) p99: String,
    pub(crate) floor: String,
    pub(crate) ratio: String,
    pub(crate) reached: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Line>);

impl Table {
    pub(crate) fn push(&mut self, line: Line) {
        self.0.push(line);
    }

    /// A time beside its floor. `is_reached` takes the median, the 99th percentile and the ratio.
    pub(crate) fn compare(
        &mut self,
        (what, goal): (&'static str, &'static str),
        times: &Times,
        floor: &Times,
        is_reached: impl Fn(Duration, Duration, f64) -> bool,
    ) {
        let ratio = times.median().div_duration_f64(floor.median());
        self.push(Line {
            what,
            goal,
            measured: shown(times.median()),
            p99: shown(times.p99()),
            floor: shown(floor.median()),
            ratio: format!("{ratio:.2}"),
            reached: is_reached(times.median(), times.p99(), ratio),
        });
    }
}

/// A time with three digits.
pub(crate) fn shown(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.2} ms"),
        ..100.0 => format!("{millis:.1} ms"),
        ..10_000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1000.0),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["what", "goal", "median", "p99", "floor", "ratio", "reached"].map(str::to_owned);
        let lines = self.0.iter().map(|line| {
            let reached = if line.reached { "yes" } else { "no" };
            [line.what, line.goal, &line.measured, &line.p99, &line.floor, &line.ratio, reached].map(str::to_owned)
        });
        let cells: Vec<_> = std::iter::once(heading).chain(lines).collect();
        let widths: [usize; 7] =
            std::array::from_fn(|column| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
        for (n, line) in cells.iter().enumerate() {
            for (cell, width) in line.iter().zip(widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
            if n == 0 {
                widths.iter().try_for_each(|width| write!(f, "| {:-<width$} ", ""))?;
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}
