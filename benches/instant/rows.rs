//! The rows of the table.

mod batch;
mod idle;
mod real;
mod save;
mod start;

use crate::figures::Table;

/// A row's name, and what measures it.
type Row = (&'static str, fn(&mut Table));

/// Against a server that answers at once.
pub(crate) const FAST: &[Row] = &[
    ("save", save::save),
    ("save-later", save::save_after_a_while),
    ("once", start::once),
    ("start", start::known),
    ("start-first", start::first),
    ("idle", idle::idle),
    ("checkout", batch::checkout),
    ("storm", batch::storm),
    ("growth", batch::growth),
    ("binary", idle::binary),
];

/// Against a real one.
pub(crate) const REAL: &[Row] = &[("real-save", real::save), ("real-once", real::once)];
