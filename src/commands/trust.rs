//! Asks the user what the settings in this folder may do, and remembers it.

use std::io::IsTerminal as _;

use super::ask::ask;
use crate::cli::Args;
use crate::config::{self, ConfigError, Request, World};
use crate::engine::Code;
use crate::error::Error;
use crate::notice::{Notice, Report, Subject, Task};
use crate::output::Screen;
use crate::paths::slashed;

/// Asks about everything in the settings of this folder that needs the user's consent.
pub fn trust(args: &Args, world: &World, screen: &Screen) -> Result<Code, Error> {
    let mut asked = false;
    loop {
        let error = match config::load(args, world) {
            Ok(_) if asked => return Ok(Code::Fine),
            Ok(_) => {
                screen.say(&Notice::report(Subject::default(), Report::NothingToTrust));
                return Ok(Code::Fine);
            }
            Err(error) => error,
        };
        let Some(request) = error.request() else { return Err(error.into()) };
        if !args.yes && !somebody_answers() {
            return Err(error.unattended().into());
        }
        if !args.yes && !confirm(request) {
            let declined = Report::Declined { task: Task::Trust, folder: Some(request.folder().to_owned()) };
            screen.say(&Notice::report(Subject::default(), declined));
            return Ok(Code::NotDeployed);
        }
        keep(request, world, screen)?;
        asked = true;
    }
}

/// Remembers what the user agreed to, and reports it.
pub(super) fn keep(request: &Request, world: &World, screen: &Screen) -> Result<(), ConfigError> {
    request.allow(world)?;
    let trusted = Report::Trusted { folder: request.folder().to_owned(), allowed: request.question().to_owned() };
    screen.say(&Notice::report(Subject::default(), trusted));
    Ok(())
}

/// Asks the user for consent. Where nobody can answer, the answer is no.
#[must_use]
pub fn confirm(request: &Request) -> bool {
    let folder = slashed(&request.folder());
    somebody_answers()
        && ask(&format!("the settings in `{folder}` want to {}. Allow that from now on?", request.question()))
}

/// Whether a user sees a question and can answer it.
#[must_use]
pub fn somebody_answers() -> bool {
    std::io::stdin().is_terminal() && ::console::Term::stderr().is_term()
}
