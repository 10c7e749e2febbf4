//! The command: flags → settings → run → exit code.

use std::process::ExitCode;

use owui_watch::cli::Args;
use owui_watch::config::World;

fn main() -> ExitCode {
    match Args::read(std::env::args_os()) {
        Ok(args) => owui_watch::run::run(&args, &World::real()),
        Err(error) => {
            // Help and version are errors to clap; it knows which go to stdout. A closed pipe needs no word.
            error.print().ok();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
