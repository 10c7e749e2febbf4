//! Asks the user before a command changes something.

use std::io::{IsTerminal as _, Write as _};

use crate::error::Error;
use crate::notice::Task;
use crate::{output, printable};

/// Asks whether to go on with a task.
///
/// # Errors
///
/// Standard input is not a terminal.
pub(super) fn agreed(question: &str, task: Task) -> Result<bool, Error> {
    if std::io::stdin().is_terminal() {
        return Ok(ask(question));
    }
    let message = format!("{}: cannot ask, standard input is not a terminal", task.nothing_done());
    Err(Error::new(message).hinted("add --yes to do it"))
}

/// Asks a question, with signs for characters that would hide a part of it, and waits for the answer. Anything but
/// yes is no.
pub(super) fn ask(question: &str) -> bool {
    let question = output::question(&format!("{} [y/N]", printable::whole(question)));
    write!(anstream::stderr().lock(), "{question} ").ok();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
