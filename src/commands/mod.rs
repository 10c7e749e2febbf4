//! The commands other than the watch. `status`, `history`, `diff`, `rollback`, `pull`, `delete`, `on`, `off` and
//! `global` read the disk and the server once, do one thing, and exit. They may run beside a daemon: both replace
//! shared files atomically, and on the server a rollback is a deploy like any other. `try` runs a plugin on the server.
//! `doctor` looks for what keeps plugins from being deployed. `service` runs the watch under systemd; `trust` records
//! the user's consent. `words` resolves the plugins and folders that a command line names.
#![expect(clippy::disallowed_methods, reason = "commands read the clock")]

mod ask;
mod check;
mod compare;
mod delete;
mod deploy;
mod doctor;
mod history;
mod misspelled;
mod rename;
mod rollback;
mod server;
mod service;
mod status;
mod switch;
mod table;
mod target;
mod trial;
mod trust;
mod words;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::client::Client;
use crate::config::{Config, Warning};
use crate::disk::Folder;
use crate::error::Error;
use crate::notice::{Commands, Level, Notice, Report, Subject, Task};
use crate::output::{Format, Screen};

pub use check::{CheckRequest, check};
pub use compare::{diff, pull};
pub use delete::delete;
pub use deploy::{DeployRequest, RequestProgress};
pub use doctor::{doctor, doctor_without_settings};
pub use history::history;
pub use rename::{MayCreate, may_create};
pub use rollback::{Agreed, Rollback, agree};
pub use service::service;
pub use status::status;
pub use switch::switch;
pub use trial::try_out;
pub use trust::{confirm, somebody_answers, trust};
pub use words::{Scope, plugins_here};

/// The context of every command.
pub struct CommandContext {
    /// The settings.
    pub config: Config,
    /// The folder that typed paths are relative to.
    pub cwd: PathBuf,
    /// The server.
    pub client: Client,
    /// The state folder.
    pub folder: Folder,
    /// Keeps copies of the user's own files. The state folder of a sandbox goes with it.
    pub file_copies: Folder,
    /// Where to print.
    pub screen: Screen,
    /// Whether to act without asking.
    pub yes: bool,
}

impl CommandContext {
    /// A context for these settings. Prints their warnings.
    #[must_use]
    pub fn new(
        config: Config,
        project_state: PathBuf,
        cwd: PathBuf,
        client: Client,
        screen: Screen,
        yes: bool,
    ) -> Self {
        let folder = Folder::new(config.state.clone(), &config.url);
        let file_copies = Folder::new(project_state, &config.url);
        print_warnings(&config, &screen);
        Self { config, cwd, client, folder, file_copies, screen, yes }
    }

    /// Warns if the state folder holds state that is not used.
    fn warn_of_unused_state(&self) {
        if let Some(message) = self.folder.unused() {
            self.screen.aside(&Notice::trouble(message, None));
        }
    }

    /// The path or id that the user typed, as the listings spell it.
    fn spelled(&self, typed: &str) -> String {
        words::spelled(typed, &self.config, &self.cwd)
    }
}

/// Prints why the program, or a command, cannot go on.
pub fn report(error: &Error, format: Format) {
    Screen { format, least: Level::Error, commands: Commands::default() }.aside(&failed(
        Subject::default(),
        Task::Run,
        error,
    ));
}

fn print_warnings(config: &Config, screen: &Screen) {
    for Warning { message, hint } in &config.warnings {
        screen.aside(&Notice::trouble(message, Some(hint.clone())));
    }
}

fn failed(about: Subject, task: Task, error: &Error) -> Notice {
    Notice::report(about, Report::Failed { task, message: error.to_string(), hint: error.hint().map(str::to_owned) })
}

fn now() -> Timestamp {
    Timestamp::now()
}
