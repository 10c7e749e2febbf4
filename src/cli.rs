//! The command line as the user writes it. What it comes to, together with files and variables, is [`crate::config`].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  owui-watch                           watch the plugins, deploy each save
  owui-watch --once --dry-run          say what one pass would deploy
  owui-watch --force plugins/shout.py  deploy this one again, then watch it alone

The API key (or login token) has no flag, since a process list would show it. It is read from \
OPENWEBUI_API_KEY, in the environment or in `.env`, from the file that `api_key_file` names, or from a systemd \
credential.";

/// Watches a folder of Open WebUI plugins and makes every save live on the server.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "owui-watch", version, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
#[expect(clippy::struct_excessive_bools, reason = "each one is a flag that the user may give alone")]
pub struct Args {
    /// Only these plugins, by path or id (one with the id `sandbox`: by its path)
    // An empty word, as of a script's unset variable, would mean all of them.
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub plugins: Vec<String>,

    /// Make one pass and exit
    #[arg(long)]
    pub once: bool,

    /// Say what one pass would do, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// In the first pass, send also what is unchanged or was refused
    #[arg(long)]
    pub force: bool,

    /// Do what would be asked about: create a plugin that the server seems to have under another id
    #[arg(long, global = true)]
    pub yes: bool,

    /// The server [default: `OPENWEBUI_URL`, else `url` in watch.toml]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The folder with the plugins; repeatable [default: `root` in watch.toml]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Vec<PathBuf>,

    /// The settings [default: watch.toml, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub json: bool,

    /// Say more about what is done and why (-vv: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// What to do instead of watching.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What `owui-watch` does beside watching.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run a throw-away Open WebUI on this machine, and watch against it
    Sandbox {
        /// The release of Open WebUI to run [default: 0.12.4]
        #[arg(long, value_name = "VERSION")]
        openwebui: Option<String>,

        /// Keep its folder when it ends
        #[arg(long)]
        keep: bool,
    },
}

impl Args {
    /// Reads a command line, the program's name first.
    pub fn read<I, T>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let args = Self::try_parse_from(words)?;
        // clap would take `--once sandbox` and forget the `--once`.
        match (&args.command, args.beside_sandbox()) {
            (Some(Command::Sandbox { .. }), Some(other)) => Err(Self::command().error(
                ErrorKind::ArgumentConflict,
                format!("'{other}' cannot be used with 'sandbox', which watches against a server of its own"),
            )),
            (Some(Command::Sandbox { .. }) | None, _) => Ok(args),
        }
    }

    /// Whether to exit after one pass.
    #[must_use]
    pub fn one_pass(&self) -> bool {
        self.once || self.dry_run
    }

    fn beside_sandbox(&self) -> Option<&str> {
        let flags = [
            (self.once, "--once"),
            (self.dry_run, "--dry-run"),
            (self.force, "--force"),
            (self.url.is_some(), "--url"),
        ];
        flags.iter().find(|(given, _)| *given).map(|(_, flag)| *flag).or(self.plugins.first().map(String::as_str))
    }
}
