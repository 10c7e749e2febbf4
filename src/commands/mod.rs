//! Every command that is not the watch. `history`, `diff`, `rollback` and `pull` read the disk and the server once, do one
//! thing, and end. They may run beside a daemon: they share only files that are replaced as a whole, and the server, where a
//! rollback is a deploy like any other. `service` runs the watch under systemd; `trust` records the user's consent.
//! `words` resolves the plugins and folders that a command line names.
#![expect(clippy::disallowed_methods, reason = "a command is a loop of its own, in which something takes time")]

mod compare;
mod history;
mod rollback;
mod screen;
mod server;
mod service;
mod target;
mod trust;
mod words;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::client::Client;
use crate::config::Config;
use crate::disk::Folder;
use crate::notice::Level;
use crate::output::Format;

pub use compare::{diff, pull};
pub use history::history;
pub use rollback::{Agreed, Rollback, agree};
pub use screen::report;
pub use service::service;
pub use trust::{confirm, somebody_answers, trust};
pub use words::Scope;

/// What every command works with.
pub struct CommandContext {
    /// The settings.
    pub config: Config,
    /// Where paths are typed from.
    pub cwd: PathBuf,
    /// The server.
    pub client: Client,
    /// The state folder.
    pub folder: Folder,
    /// How to print.
    pub format: Format,
    /// The least level to print.
    pub least: Level,
    /// Whether to act without asking.
    pub yes: bool,
}

impl CommandContext {
    /// A context for these settings. Warns of what is odd in them.
    #[must_use]
    pub fn new(config: Config, cwd: PathBuf, client: Client, format: Format, least: Level, yes: bool) -> Self {
        let folder = Folder::new(config.state.clone(), &config.url);
        screen::Screen::of(format, least).warn(&config);
        Self { config, cwd, client, folder, format, least, yes }
    }

    /// What the user typed, in the words that files are named by.
    fn spelled(&self, typed: &str) -> String {
        words::spelled(typed, &self.config, &self.cwd)
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}
