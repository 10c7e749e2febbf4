//! Where developers' diagnostics go: to stderr, or above the live view, which would erase them.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Output;

/// The output with the live view, if there is one. A process has one terminal, as it has one log.
static LIVE: Mutex<Option<Output>> = Mutex::new(None);

/// Takes one line, and prints it when dropped.
#[derive(Default)]
pub struct DiagnosticLine(Vec<u8>);

pub(super) fn print_above(output: Output) {
    *live() = Some(output);
}

fn live() -> MutexGuard<'static, Option<Output>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Write for DiagnosticLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for DiagnosticLine {
    fn drop(&mut self) {
        let output = live().clone();
        match output {
            Some(output) => output.print(String::from_utf8_lossy(&self.0).trim_end().to_owned()),
            // A closed stderr is no error.
            None => anstream::stderr().lock().write_all(&self.0).unwrap_or_default(),
        }
    }
}
