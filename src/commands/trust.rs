//! Asks the user what the settings in this folder may do, and remembers it.

use std::io::IsTerminal as _;

use serde_json::json;

use super::screen::{Line, Screen, ask};
use crate::cli::Args;
use crate::config::{self, ConfigError, Request, World};
use crate::engine::Code;
use crate::error::Error;
use crate::notice::Level;
use crate::output::Format;

/// Asks about everything that the settings in this folder need the user's consent for.
pub fn trust(args: &Args, world: &World, format: Format, least: Level) -> Result<Code, Error> {
    let screen = Screen::of(format, least);
    let mut asked = false;
    loop {
        let error = match config::load(args, world) {
            Ok(_) if asked => return Ok(Code::Fine),
            Ok(_) => {
                screen.say(&Line::new("nothing_to_trust", "these settings need no trust, or have it already"));
                return Ok(Code::Fine);
            }
            Err(error) => error,
        };
        let Some(request) = error.request() else { return Err(error.into()) };
        let folder = json!(request.folder().display().to_string());
        if !args.yes && !somebody_answers() {
            return Err(error.unattended().into());
        }
        if !args.yes && !confirm(request) {
            screen.say(&Line::new("left_alone", "nothing is allowed").with("folder", folder));
            return Ok(Code::NotDeployed);
        }
        keep(request, world, screen)?;
        asked = true;
    }
}

/// Remembers what the user agreed to, and says so.
pub(super) fn keep(request: &Request, world: &World, screen: Screen) -> Result<(), ConfigError> {
    request.allow(world)?;
    let line = Line::new("trusted", format!("allowed from now on: {}", request.question()));
    screen.say(&line.with("folder", json!(request.folder().display().to_string())));
    Ok(())
}

/// Asks the user for consent. Where nobody can answer, the answer is no.
#[must_use]
pub fn confirm(request: &Request) -> bool {
    let folder = request.folder().display();
    somebody_answers()
        && ask(&format!("the settings in `{folder}` want to {}. Allow that from now on?", request.question()))
}

/// Whether a user sees a question and can answer it.
#[must_use]
pub fn somebody_answers() -> bool {
    std::io::stdin().is_terminal() && ::console::Term::stderr().is_term()
}
