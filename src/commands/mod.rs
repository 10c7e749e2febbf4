//! Going back: `history`, `diff`, `rollback` and `pull`. Each looks at the disk and the server once, says what it found,
//! does the one thing it was asked for, and ends. They may run beside a daemon: what they share with it are files that are
//! written whole, and the server, to which a rollback speaks in the same words as a deploy. And `service`, which has systemd
//! run the daemon. Also here: what the words after `owui-watch` name that are no command.
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

use jiff::Timestamp;

use crate::client::Client;
use crate::config::Config;
use crate::disk::Folder;
use crate::engine::Code;
use crate::notice::Level;
use crate::output::Format;

pub use compare::{diff, pull};
pub use history::history;
pub use rollback::{Agreed, Rollback, agree};
pub use screen::failed;
pub use service::service;
pub use trust::{confirm, somebody_answers, trust};
pub use words::{Word, check_words};

/// What every command works with.
pub struct CommandContext<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The server.
    pub client: Client,
    /// The state folder.
    pub folder: Folder,
    /// How to say things.
    pub format: Format,
    /// What is worth saying.
    pub least: Level,
    /// Whether to do without asking.
    pub yes: bool,
}

impl<'a> CommandContext<'a> {
    /// A scene for these settings, whose oddities are told.
    #[must_use]
    pub fn new(config: &'a Config, client: Client, format: Format, least: Level, yes: bool) -> Self {
        let folder = Folder::new(config.state.clone(), &config.url);
        screen::Screen::of(format, least).warn(config);
        Self { config, client, folder, format, least, yes }
    }
}

/// Why a command could not do what it was asked for.
#[derive(Debug)]
pub struct CommandError {
    message: String,
    hint: Option<String>,
    code: Code,
}

impl CommandError {
    /// What was asked for makes no sense here.
    fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: Code::Usage }
    }

    /// It makes sense, and cannot be done.
    fn failed(message: impl Into<String>) -> Self {
        Self { code: Code::NotDeployed, ..Self::usage(message) }
    }

    /// The server is away, or does not let us in.
    fn no_server(message: impl Into<String>) -> Self {
        Self { code: Code::NoServer, ..Self::usage(message) }
    }

    fn hinted(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}

fn now() -> Timestamp {
    Timestamp::now()
}
