//! The command: flags → settings → run → exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use owui_watch::cli::{self, Args};
use owui_watch::config::World;
use owui_watch::error::Error;
use owui_watch::output::Format;
use owui_watch::{commands, printable};

fn main() -> ExitCode {
    cli::complete(commands::plugins_here);
    let words: Vec<_> = std::env::args_os().collect();
    let is_plain = |word: &OsString| {
        let word = word.to_string_lossy();
        printable::line(&word) == word
    };
    match Args::read(&words) {
        Ok(args) => owui_watch::run::run(&args, &World::real()),
        Err(error) => {
            // Help and version are errors to clap; it knows that they go to stdout. They repeat no word.
            if !error.use_stderr() || words.iter().all(is_plain) {
                // A closed pipe needs no word.
                error.print().ok();
            } else {
                let message = error.to_string();
                commands::report(&Error::new(message.trim_start_matches("error: ")), Format::Lines);
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
