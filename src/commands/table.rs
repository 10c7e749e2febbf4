//! Tables that fit the terminal.

use console::measure_text_width as width;

/// The last column is hidden below this width.
const LEAST_WORDS: usize = 10;

/// The column with the frontmatter version, which may be long, and its minimum width.
const VERSION: usize = 3;
const LEAST_VERSION: usize = 5;

/// A row: a mark, a column, another one, the version, and more; the last one has the words.
pub(super) type Cells<const N: usize> = [String; N];

/// The rows of the table, cut to `columns`. Empty columns take no room; first the last column is cut, then long
/// versions.
pub(super) fn aligned<const N: usize>(table: &[Cells<N>], columns: Option<usize>) -> Vec<String> {
    let mut widths = [0; N];
    for cells in table {
        for (widest, cell) in widths.iter_mut().zip(cells) {
            *widest = width(cell).max(*widest);
        }
    }
    let room = |width: &usize| if *width > 0 { width + GAP.len() } else { 0 };
    let Some((words, words_before)) = widths.split_last_mut() else { return Vec::new() };
    let fixed: usize = words_before.iter().map(room).sum();
    if let Some(columns) = columns {
        // The mark is followed by one space, not a full gap.
        let left = (columns + 1).saturating_sub(fixed);
        *words = if left < LEAST_WORDS { 0 } else { left.min(*words) };
        let over = fixed.saturating_sub(columns + 1 + GAP.len());
        let version = &mut words_before[VERSION];
        *version = (*version).min(version.saturating_sub(over).max(LEAST_VERSION));
    }
    table.iter().map(|cells| row(cells, &widths)).collect()
}

const GAP: &str = "  ";

fn row<const N: usize>(cells: &Cells<N>, widths: &[usize; N]) -> String {
    let mut line = String::new();
    for (n, (cell, columns)) in cells.iter().zip(widths).enumerate().filter(|(_, (_, columns))| **columns > 0) {
        let cell = console::truncate_str(cell, *columns, "…");
        let padding = " ".repeat(columns.saturating_sub(width(&cell)));
        line = line + &cell + &padding + if n == 0 { " " } else { GAP };
    }
    line.truncate(line.trim_end().len());
    line
}
