//! The command line as the user writes it. [`crate::config`] merges it with files and variables.
//!
//! Long because it defines every command and every flag.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::env::CompleteEnv;
use clap_complete::{ArgValueCandidates, CompletionCandidate};

const EXAMPLES: &str = "\
Examples:
  owui-watch                           watch the plugins, deploy each save
  owui-watch sandbox                   the same, with a throw-away server on this machine
  owui-watch --once --dry-run          show what would be deployed
  owui-watch plugins/shout.py          watch only this file
  owui-watch deploy shout              deploy a plugin now, even if it was held back
  owui-watch diff                      show how files and server differ
  owui-watch check                     find mistakes in the plugins, without a server
  owui-watch try shout                 run a plugin on the server, and show the answer
  owui-watch rollback shout            restore a plugin's previous text on the server
  owui-watch doctor                    find what prevents deploys: server, key, files

In a terminal, a watch shows the state of all plugins below its log. Press ? there to see its keys.

The API key (or login token) has no flag, since a process list would show it. It is read from \
OPENWEBUI_API_KEY, in the environment or in `.env`, from the file that `api_key_file` names, or from a systemd \
credential.";

/// The release, and the commit that it was built from, where `build.rs` found it.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("COMMIT_OF_VERSION"));

/// Watches a folder of Open WebUI plugins and deploys every save to the server.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "owui-watch", version = VERSION, after_help = EXAMPLES, max_term_width = 100)]
#[expect(clippy::struct_excessive_bools, reason = "each one is a flag that the user may give alone")]
pub struct Args {
    /// Only these plugins, by path or id (by path if the id is also a command)
    // An empty word, for example a script's unset variable, would mean all plugins.
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub plugins: Vec<String>,

    /// Deploy what differs (one pass over all plugins), and exit
    #[arg(long)]
    pub once: bool,

    /// Show what one pass would deploy, and exit; change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// In the first pass, also send plugins that are unchanged, held back or were refused
    #[arg(long)]
    pub force: bool,

    /// If another owui-watch runs for this project and server, wait until it exits
    #[arg(long)]
    pub wait: bool,

    /// Create a plugin even if the server seems to have it under another id
    #[arg(long)]
    pub yes: bool,

    /// Try each plugin after its deploy, as its `try` table in watch.toml says
    #[arg(long = "try", conflicts_with = "dry_run")]
    pub tries: bool,

    /// The server's address [default: `OPENWEBUI_URL`, or `url` in watch.toml]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The folder with the plugins; repeatable [default: `root` in watch.toml]
    #[arg(long, value_name = "DIR")]
    pub root: Vec<PathBuf>,

    /// The settings file [default: watch.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub json: bool,

    /// Print plain lines: no live view below the log, and no keys
    #[arg(long)]
    pub no_live: bool,

    /// Print more details and reasons (-vv: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Print only warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// The command, if not to watch.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands other than the watch.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Show each plugin's state: file, server, and switch
    ///
    /// Reads the files and the server's lists, and changes nothing. The exit code is 1 if a file is broken, or if the
    /// server does not have its text.
    Status {
        /// Ids or paths; `function:ID` or `tool:ID` if a function and a tool have this id [default: all plugins, here
        /// and on the server]
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugins: Vec<String>,

        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,
    },

    /// Deploy plugins now, even if they are unchanged, held back or were refused
    ///
    /// If a watch runs for this project and server, the watch deploys them; otherwise this is a pass like `--once
    /// --force`. If the server seems to have a new plugin under another id, you are asked first. The exit code is that
    /// of `--once`.
    Deploy {
        /// Ids, paths or folders of plugins
        #[arg(required = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugins: Vec<String>,

        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,

        /// Create a plugin without asking, even if it seems to be a renamed one
        #[arg(long)]
        yes: bool,
    },

    /// Switch functions on
    ///
    /// The exit code is 1 if one of them is not on afterwards. A tool has no switch.
    On {
        /// Ids or paths of functions
        #[arg(required = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        functions: Vec<String>,

        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,
    },

    /// Switch functions off
    ///
    /// The exit code is 1 if one of them is not off afterwards. A tool has no switch.
    Off {
        /// Ids or paths of functions
        #[arg(required = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        functions: Vec<String>,

        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,
    },

    /// Set whether all models use a filter or action
    ///
    /// `global on` makes it global: all models use it. After `global off`, it is used only by the models that it is
    /// attached to. A pipe, an event or a tool cannot be global. The exit code is 1 if one of them is not as you asked
    /// afterwards.
    Global {
        /// Whether all models use them
        #[arg(value_name = "on|off", hide_possible_values = true)]
        is: OnOff,

        /// Ids or paths of functions
        #[arg(required = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        functions: Vec<String>,

        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,
    },

    /// List the deployed and replaced texts of plugins
    ///
    /// Newest first, each with the number of lines that changed since the text before it; `*` marks the text on the
    /// server now. Deploys of one version share a row (`×6`) if each came at most an hour after the previous one.
    /// `server` is a text that was not deployed from here (Open WebUI 0.12 and later keeps versions). `local` is a
    /// file's text that a pull replaced.
    History {
        /// Ids or paths; `function:ID` or `tool:ID` if a function and a tool have this id
        #[arg(required = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugins: Vec<String>,

        /// Give each deploy a row of its own
        #[arg(long)]
        all: bool,

        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,
    },

    /// Restore an earlier text of a plugin on the server, after showing the difference
    ///
    /// The file stays as it is, and is not deployed again until it changes. `owui-watch pull` writes the server's text
    /// to it.
    Rollback {
        /// Id or path; `function:ID` or `tool:ID` if a function and a tool have this id
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugin: String,

        /// A version, or the beginning of a digest or of a server's version id, as `history` prints them [default: the
        /// newest text other than the current one]
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        version: Option<String>,

        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,

        /// Restore it without asking
        #[arg(long)]
        yes: bool,
    },

    /// Show how files and server differ
    ///
    /// The exit code is 1 if there are differences, and 0 if not.
    Diff {
        /// Ids or paths; `function:ID` or `tool:ID` if a function and a tool have this id. After a single plugin, one
        /// of its texts as `history` prints it, to compare the file with that text [default: all plugins under the
        /// roots]
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugins: Vec<String>,

        /// Only count the added and removed lines
        #[arg(long)]
        stat: bool,

        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,
    },

    /// Write the server's texts to the files
    ///
    /// The state folder keeps a copy of each replaced text. A named plugin without a file gets one in the first root.
    Pull {
        /// Ids or paths; `function:ID` or `tool:ID` if a function and a tool have this id [default: all plugins under
        /// the roots whose text differs]
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugins: Vec<String>,

        /// Also write all plugins of the server that have no file here, after asking
        #[arg(long, conflicts_with = "plugins")]
        all: bool,

        /// Write new files without asking
        #[arg(long, requires = "all", conflicts_with = "plugins")]
        yes: bool,

        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,
    },

    /// Delete plugins on the server that have no file here, after asking
    ///
    /// Use it, for example, for the old plugin of a renamed file. The state folder keeps a copy of the text; valves and
    /// switches are lost. A plugin with a file in any root is not deleted.
    Delete {
        /// Ids; `function:ID` or `tool:ID` if a function and a tool have this id
        #[arg(required = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugins: Vec<String>,

        /// Which server. Every root counts: a file in any of them keeps its plugin.
        #[command(flatten)]
        server: ServerFlag,

        /// Delete them without asking
        #[arg(long)]
        yes: bool,
    },

    /// Run a plugin once on the server, as a user would, and show the answer
    ///
    /// A pipe answers the message with each of its models. A filter takes part in a chat with a model. An action gets
    /// the message as if a model had answered with it. A tool is offered to a model, which calls it. The server's text
    /// runs, not the file's. No chat is saved. The exit code is 0 if it works, and 1 if it fails or cannot be tried.
    Try {
        /// Id or path; `function:ID` or `tool:ID` if a function and a tool have this id
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugin: String,

        /// The message to send [default: that of the plugin's `try` table in watch.toml, or `hello`]
        #[arg(conflicts_with = "tool")]
        message: Option<String>,

        /// The model to use; for a pipe, one of its own [default: the sandbox's model, or the server's only one; for a
        /// pipe, each of its own]
        #[arg(long, value_name = "MODEL", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        model: Option<String>,

        /// The tool's function to call; only the sandbox's model calls it [default: the one that the message names,
        /// else the first]
        #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        tool: Option<String>,

        /// The arguments of that function, as a JSON object
        #[arg(long, value_name = "JSON", requires = "tool", value_parser = object)]
        args: Option<String>,

        /// How long to wait for each answer [default: `within` of the plugin's `try` table, or 30]
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
        within: Option<u64>,

        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,
    },

    /// Find mistakes in plugins, without a server
    ///
    /// Reads the plugins under the roots; without a watch.toml, those below the current folder. The exit code is 0, or
    /// 1 if there are errors; with `--strict`, also 1 if there are warnings.
    Check {
        /// Ids, paths or folders of plugins [default: all]
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        plugins: Vec<String>,

        /// The form of the output
        #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
        format: CheckFormat,

        /// Exit with 1 on warnings, too
        #[arg(long)]
        strict: bool,

        /// Show a diff with the fixes that are certain; change nothing
        #[arg(long, conflicts_with = "format")]
        fix: bool,

        /// With --fix: write the fixes to the files
        #[arg(long, requires = "fix")]
        yes: bool,

        /// The version of Open WebUI to check for [default: the server's when a watch last connected, else the newest
        /// known]
        #[arg(long, value_name = "VERSION")]
        server_version: Option<String>,

        /// Print the page of a rule, or `all` for the list
        #[arg(long, value_name = "RULE", conflicts_with_all = ["plugins", "strict", "server_version", "fix"])]
        explain: Option<String>,

        /// The folder with the plugins; repeatable [default: `root` in watch.toml, or the current folder]
        #[arg(long, value_name = "DIR")]
        root: Vec<PathBuf>,
    },

    /// Find what prevents deploys: server, key, files, this system
    ///
    /// Prints one line for each thing it examines, with the remedy below it. Changes nothing. The exit code is 0, or 1
    /// if a line has a `✗` or a `!`.
    Doctor {
        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,
    },

    /// Run the watch as a systemd user service: install, uninstall, status
    ///
    /// Each project (a folder with a watch.toml) has its own service.
    Service {
        /// What to do with it.
        #[command(subcommand)]
        action: ServiceAction,
    },

    /// Let this folder's settings use your API key, paths outside the folder, and a log command
    ///
    /// Asks about each address, path and command that you have not agreed to yet, and remembers what you agree to.
    /// A running watch applies it at once.
    Trust {
        /// Agree to everything that the settings ask for
        #[arg(long)]
        yes: bool,
    },

    /// Start a throw-away Open WebUI on this machine, and watch the plugins for it
    ///
    /// Its model answers with what it is sent, and can call the tools of the chat: on the message
    /// `add {"a": 1, "b": 2}` it calls `add` with these arguments. Ctrl-C stops the server, and removes its data
    /// unless `--data` or `--keep` is given.
    Sandbox {
        /// The release of Open WebUI to run [default: 0.12.4]
        #[arg(long, value_name = "VERSION")]
        openwebui: Option<String>,

        /// The server's port [default: 8470, or the next free one]
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        port: Option<u16>,

        /// Keep chats, valves and accounts in this folder, for the next start
        #[arg(long, value_name = "DIR", conflicts_with = "keep")]
        data: Option<PathBuf>,

        /// Keep the server's temporary folder afterwards
        #[arg(long)]
        keep: bool,

        /// Print plain lines: no live view below the log, and no keys
        #[arg(long)]
        no_live: bool,

        /// Let the server install what plugins ask for with `requirements:`
        #[arg(long)]
        install_requirements: bool,

        /// Leave out plugin calls that succeed
        #[arg(long)]
        quiet_calls: bool,

        /// Show the server's log
        #[arg(long)]
        log: bool,

        /// Try each plugin after its deploy: as its `try` table in watch.toml says, or with `hello` if it cannot act
        /// outside the chat
        #[arg(long = "try")]
        tries: bool,

        /// The folder with the plugins; repeatable [default: `root` in watch.toml]
        #[arg(long, value_name = "DIR")]
        root: Vec<PathBuf>,
    },
}

/// The form of what `check` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckFormat {
    /// For people, with the source.
    Text,
    /// One line for each mistake.
    Concise,
    /// One JSON object for each mistake.
    Json,
    /// Annotations for GitHub Actions.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// How a switch is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
}

/// Checks that a text is a JSON object.
fn object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("not a JSON object: {error}")),
    }
}

/// What to do with the service of this project.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ServiceAction {
    /// Write the unit for this folder; start it now and at each login
    ///
    /// The service runs this program with the given --root, --config, --url and --try. It does not see this shell's
    /// environment: the API key must be in `.env`, in the file that `api_key_file` names, or in
    /// ~/.config/owui-watch/openwebui_api_key.
    Install {
        /// Which files, and which server.
        #[command(flatten)]
        project: ProjectFlags,

        /// Let the service write only to this folder and its state, and see no devices; needs user namespaces
        #[arg(long)]
        hardened: bool,

        /// Try each plugin after its deploy, as its `try` table in watch.toml says
        #[arg(long = "try")]
        tries: bool,

        /// Replace the unit even if someone edited it
        #[arg(long)]
        yes: bool,
    },

    /// Stop the service of this folder, and remove its unit
    Uninstall {
        /// Remove the unit even if someone edited it
        #[arg(long)]
        yes: bool,
    },

    /// Show the state of this folder's service, and the end of its log
    ///
    /// The exit code is 0 if it runs, and 1 if it does not.
    Status,
}

/// The flags for files and server, given after a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct ProjectFlags {
    /// Which server.
    #[command(flatten)]
    pub server: ServerFlag,

    /// The folder with the plugins; repeatable [default: `root` in watch.toml]
    #[arg(long, value_name = "DIR")]
    pub root: Vec<PathBuf>,
}

/// Which server a command is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct ServerFlag {
    /// The server's address [default: `OPENWEBUI_URL`, or `url` in watch.toml]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// The words after `owui-watch` that are not plugins: commands, and flags without a value.
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

/// A plugin that a shell offers.
#[derive(Debug)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its file, with `/`.
    pub path: String,
    /// Whether it has a switch. Unknown of a file that does not parse.
    pub has_switch: Option<bool>,
}

/// Answers a shell that completes a command line (`COMPLETE=bash owui-watch` prints how it asks), and exits; else does
/// nothing. `plugins` lists the project's plugins.
pub fn complete(plugins: fn() -> Vec<Candidate>) {
    CompleteEnv::with_factory(move || completed(Args::command(), plugins)).complete();
}

/// The command, with the plugins as candidates wherever one of them can be named.
fn completed(command: clap::Command, plugins: fn() -> Vec<Candidate>) -> clap::Command {
    // It deletes only what has no file here.
    if command.get_name() == "delete" {
        return command;
    }
    let offered = move |of_functions: bool| {
        let named = |Candidate { id, path, .. }: Candidate| {
            let path = Some(path).filter(|path| is_literal(path));
            let id = CompletionCandidate::new(id).help(path.clone().map(Into::into));
            [id].into_iter().chain(path.map(CompletionCandidate::new))
        };
        let all = plugins().into_iter();
        all.filter(|plugin| !of_functions || plugin.has_switch != Some(false)).flat_map(named).collect()
    };
    let command = command.mut_args(|argument| match argument.get_id().as_str() {
        "plugin" | "plugins" => argument.add(ArgValueCandidates::new(move || offered(false))),
        "functions" => argument.add(ArgValueCandidates::new(move || offered(true))),
        _ => argument,
    });
    command.mut_subcommands(|command| completed(command, plugins))
}

/// Whether a shell takes this path as it is. Bash inserts candidates without quoting them, so that a file's name could
/// be a command.
fn is_literal(path: &str) -> bool {
    !path.starts_with('-') && path.chars().all(|c| c.is_alphanumeric() || "/._-+@".contains(c))
}

impl Args {
    /// Reads a command line, the program's name first.
    pub fn read<I, T>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let mut top = Self::command();
        let matches = top.try_get_matches_from_mut(words)?;
        let mut args = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut top))?;
        let Some((name, mut given)) = matches.subcommand() else { return Ok(args) };
        let mut command = top.find_subcommand(name);
        while let Some((action, inner)) = given.subcommand() {
            (command, given) = (command.and_then(|command| command.find_subcommand(action)), inner);
        }
        // The run's flags that the command takes too. A `pull` of some plugins asks nothing.
        let asks = !matches!(args.command, Some(Command::Pull { all: false, .. }));
        let takes = |id: &str| {
            (asks || id != "yes")
                && command.is_some_and(|it| it.get_arguments().any(|argument| argument.get_id() == id))
        };
        // clap would take `--once sandbox` and forget the `--once`.
        if let Some(other) = args.beside_a_command(takes) {
            let reason = match (name, other) {
                (_, "--yes") => "asks nothing",
                ("service", "--try") => "takes it only after `install`",
                (_, "--no-live") => "shows no live view",
                ("try", "--try") => "tries the plugin anyway",
                (_, "--try") => "tries nothing",
                ("sandbox", _) => "watches against a server of its own",
                ("check", _) => "asks no server",
                ("delete", "--root") => "needs to see every root",
                ("trust", "--url" | "--root") => "is about the settings in files",
                ("service", "--url" | "--root") => "takes it only after `install`",
                _ => "makes no pass",
            };
            return Err(top.error(
                ErrorKind::ArgumentConflict,
                format!("'{other}' cannot be used with '{name}', which {reason}"),
            ));
        }
        if takes("url") {
            args.url = given.get_one("url").cloned().or(args.url);
        }
        if takes("root") {
            args.root.extend(given.get_many("root").into_iter().flatten().cloned());
        }
        for (id, flag) in [("yes", &mut args.yes), ("no_live", &mut args.no_live), ("tries", &mut args.tries)] {
            *flag |= takes(id) && given.get_flag(id);
        }
        Ok(args)
    }

    /// Whether to exit after one pass.
    #[must_use]
    pub fn one_pass(&self) -> bool {
        self.once || self.dry_run
    }

    /// The first flag that does not apply to this command.
    fn beside_a_command(&self, takes: impl Fn(&str) -> bool) -> Option<&str> {
        let flags = [
            (self.once, "--once"),
            (self.dry_run, "--dry-run"),
            (self.force, "--force"),
            (self.wait, "--wait"),
            (self.url.is_some() && !takes("url"), "--url"),
            (!self.root.is_empty() && !takes("root"), "--root"),
            (self.yes && !takes("yes"), "--yes"),
            (self.no_live && !takes("no_live"), "--no-live"),
            (self.tries && !takes("tries"), "--try"),
        ];
        flags.iter().find(|(given, _)| *given).map(|(_, flag)| *flag).or(self.plugins.first().map(String::as_str))
    }
}
