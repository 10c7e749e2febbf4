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
  owui-watch diff                      show what differs between here and the server
  owui-watch rollback shout            put the text before on the server

The API key (or login token) has no flag, since a process list would show it. It is read from \
OPENWEBUI_API_KEY, in the environment or in `.env`, from the file that `api_key_file` names, or from a systemd \
credential.";

/// Watches a folder of Open WebUI plugins and makes every save live on the server.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "owui-watch", version, after_help = EXAMPLES, max_term_width = 100)]
#[expect(clippy::struct_excessive_bools, reason = "each one is a flag that the user may give alone")]
pub struct Args {
    /// Only these plugins, by path or id (one that is called like a command: by its path)
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

    /// Wait until another owui-watch has ended that deploys from here to this server
    #[arg(long)]
    pub wait: bool,

    /// Create a plugin also where the server seems to have it under another id
    #[arg(long)]
    pub yes: bool,

    /// The server [default: `OPENWEBUI_URL`, else `url` in watch.toml]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The folder with the plugins; repeatable [default: `root` in watch.toml]
    #[arg(long, value_name = "DIR")]
    pub root: Vec<PathBuf>,

    /// The settings [default: watch.toml, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub json: bool,

    /// Show no live view and take no keys: print plain lines
    #[arg(long, global = true)]
    pub no_live: bool,

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
    /// List what was deployed of a plugin, and what was replaced
    ///
    /// Newest first; `*` is what the server holds now. `server` is a text that nobody here has put there: Open WebUI 0.12
    /// and later keeps versions. `local` is what a pull took out of the file.
    History {
        /// Its id or path; `function:ID` or `tool:ID` if both have this id
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugin: String,

        /// Which files, and which server.
        #[command(flatten)]
        place: Place,
    },

    /// Put an earlier text of a plugin on the server, after showing the difference
    ///
    /// The file stays as it is, and is not deployed again until it changes. `owui-watch pull` changes it to what the
    /// server holds.
    Rollback {
        /// Its id or path; `function:ID` or `tool:ID` if both have this id
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugin: String,

        /// A version, or the beginning of a digest or of a server's version id, as `history` prints them [default: the
        /// newest text that is not the server's now]
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        version: Option<String>,

        /// Which files, and which server.
        #[command(flatten)]
        place: Place,

        /// Put it back without asking
        #[arg(long)]
        yes: bool,
    },

    /// Show the difference between the server's texts and the files
    ///
    /// The exit code is 0 if there is none, and 1 if there is one.
    Diff {
        /// Its id or path; `function:ID` or `tool:ID` if both have this id [default: all plugins under the roots]
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugin: Option<String>,

        /// Which files, and which server.
        #[command(flatten)]
        place: Place,
    },

    /// Write the server's text of plugins to their files
    ///
    /// The file's text is kept as a copy in the state folder. A plugin that is named and has no file gets one in the first
    /// root.
    Pull {
        /// Their ids or paths; `function:ID` or `tool:ID` if both have this id [default: all plugins under the roots whose
        /// text differs]
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugins: Vec<String>,

        /// Write also all plugins of the server that have no file here, after asking
        #[arg(long, conflicts_with = "plugins")]
        all: bool,

        /// Write new files without asking
        #[arg(long, requires = "all", conflicts_with = "plugins")]
        yes: bool,

        /// Which files, and which server.
        #[command(flatten)]
        place: Place,
    },

    /// Run the watch as a systemd service of yours: install, uninstall, status
    ///
    /// Each project, that is each folder with a watch.toml, has a service of its own.
    Service {
        /// What to do with it.
        #[command(subcommand)]
        action: ServiceAction,
    },

    /// Let this folder's settings use your API key, and paths outside the folder
    ///
    /// Asks about each address and path that you have not agreed to yet, and remembers the answer for this folder. A
    /// running watch takes it up at once.
    Trust {
        /// Agree to everything that the settings ask for now
        #[arg(long)]
        yes: bool,
    },

    /// Run a throw-away Open WebUI on this machine, and watch against it
    Sandbox {
        /// The release of Open WebUI to run [default: 0.12.4]
        #[arg(long, value_name = "VERSION")]
        openwebui: Option<String>,

        /// Keep its folder when it ends
        #[arg(long)]
        keep: bool,

        /// The folder with the plugins; repeatable [default: `root` in watch.toml]
        #[arg(long, value_name = "DIR")]
        root: Vec<PathBuf>,
    },
}

/// What to do with the service of this project.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ServiceAction {
    /// Write the unit for this folder, and start it, now and at each login
    ///
    /// It runs this very program with the given --root, --config and --url. It does not see this shell's environment: the
    /// API key must be in `.env`, in the file that `api_key_file` names, or in ~/.config/owui-watch/openwebui_api_key.
    Install {
        /// Which files, and which server.
        #[command(flatten)]
        place: Place,

        /// Let it write to this folder and its state alone, and see no devices; needs user namespaces
        #[arg(long)]
        hardened: bool,

        /// Replace also a unit that somebody has edited
        #[arg(long)]
        yes: bool,
    },

    /// Stop the service of this folder, and remove its unit
    Uninstall {
        /// Remove also a unit that somebody has edited
        #[arg(long)]
        yes: bool,
    },

    /// Say how the service of this folder is, with the end of its log
    ///
    /// The exit code is 0 if it runs, and 1 if it does not.
    Status,
}

/// Which files and which server, said after a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Place {
    /// The server [default: `OPENWEBUI_URL`, else `url` in watch.toml]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The folder with the plugins; repeatable [default: `root` in watch.toml]
    #[arg(long, value_name = "DIR")]
    pub root: Vec<PathBuf>,
}

/// What a command takes of the flags that a run takes as well, and what was said of them after it.
#[derive(Default)]
struct Taken<'a> {
    place: Option<&'a Place>,
    root: Option<&'a [PathBuf]>,
    yes: Option<bool>,
}

impl<'a> Taken<'a> {
    fn of(place: &'a Place) -> Self {
        Self { place: Some(place), root: Some(&place.root), yes: None }
    }
}

impl Command {
    /// Whether it is about texts that may be on the server alone.
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        match self {
            Command::History { .. } | Command::Rollback { .. } | Command::Diff { .. } | Command::Pull { .. } => true,
            Command::Service { .. } | Command::Trust { .. } | Command::Sandbox { .. } => false,
        }
    }

    /// Its name, and which of a run's flags it takes.
    fn parts(&self) -> (&'static str, Taken<'_>) {
        match self {
            Command::History { place, .. } => ("history", Taken::of(place)),
            Command::Rollback { place, yes, .. } => ("rollback", Taken { yes: Some(*yes), ..Taken::of(place) }),
            Command::Diff { place, .. } => ("diff", Taken::of(place)),
            Command::Pull { place, all, yes, .. } => ("pull", Taken { yes: all.then_some(*yes), ..Taken::of(place) }),
            Command::Service { action: ServiceAction::Install { place, yes, .. } } => {
                ("service", Taken { yes: Some(*yes), ..Taken::of(place) })
            }
            Command::Service { action: ServiceAction::Uninstall { yes } } => {
                ("service", Taken { yes: Some(*yes), ..Taken::default() })
            }
            Command::Service { action: ServiceAction::Status } => ("service", Taken::default()),
            Command::Trust { yes } => ("trust", Taken { yes: Some(*yes), ..Taken::default() }),
            Command::Sandbox { root, .. } => ("sandbox", Taken { root: Some(root), ..Taken::default() }),
        }
    }
}

/// The words after `owui-watch` that are no plugin: commands, and flags without a value.
#[must_use]
pub fn commands() -> Vec<String> {
    let mut args = Args::command();
    args.build();
    let below = |command: &clap::Command| {
        let names = command.get_subcommands().filter(|below| below.get_name() != "help");
        names.map(|below| format!("{} {}", command.get_name(), below.get_name())).collect::<Vec<_>>()
    };
    let commands = args.get_subcommands().flat_map(|command| {
        let name = command.get_name();
        let below = if name == "help" { Vec::new() } else { below(command) };
        [name.to_owned()].into_iter().chain(below).collect::<Vec<_>>()
    });
    let flags = args.get_arguments().filter(|arg| !arg.get_action().takes_values());
    commands.chain(flags.filter_map(|flag| Some(format!("--{}", flag.get_long()?)))).collect()
}

impl Args {
    /// Reads a command line, the program's name first.
    pub fn read<I, T>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let mut args = Self::try_parse_from(words)?;
        let Some(command) = args.command.take() else { return Ok(args) };
        let (name, taken) = command.parts();
        // clap would take `--once sandbox` and forget the `--once`.
        if let Some(other) = args.beside_a_command(&taken) {
            let reason = match (name, other) {
                (_, "--yes") => "asks nothing",
                ("sandbox", _) => "watches against a server of its own",
                ("trust", "--url" | "--root") => "is about the settings in files",
                ("service", "--url" | "--root") => "takes it after `install` alone",
                _ => "makes no pass",
            };
            return Err(Self::command().error(
                ErrorKind::ArgumentConflict,
                format!("'{other}' cannot be used with '{name}', which {reason}"),
            ));
        }
        if let Some(url) = taken.place.and_then(|place| place.url.as_ref()) {
            args.url = Some(url.clone());
        }
        args.root.extend(taken.root.unwrap_or_default().iter().cloned());
        args.yes |= taken.yes.unwrap_or_default();
        args.command = Some(command);
        Ok(args)
    }

    /// Whether to exit after one pass.
    #[must_use]
    pub fn one_pass(&self) -> bool {
        self.once || self.dry_run
    }

    /// What is about a run, and not about this command.
    fn beside_a_command(&self, taken: &Taken<'_>) -> Option<&str> {
        let flags = [
            (self.once, "--once"),
            (self.dry_run, "--dry-run"),
            (self.force, "--force"),
            (self.wait, "--wait"),
            (self.url.is_some() && taken.place.is_none(), "--url"),
            (!self.root.is_empty() && taken.root.is_none(), "--root"),
            (self.yes && taken.yes.is_none(), "--yes"),
        ];
        flags.iter().find(|(given, _)| *given).map(|(_, flag)| *flag).or(self.plugins.first().map(String::as_str))
    }
}
