//! Writes the man pages, from the definition of the command line: `cargo run --example man -- FOLDER`

#![expect(clippy::disallowed_methods, reason = "it writes for packagers")]

use std::error::Error;
use std::path::Path;

use clap::CommandFactory as _;
use owui_watch::cli::Args;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("name the folder for the pages")?;
    std::fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(Args::command(), Path::new(&folder))?;
    Ok(())
}
