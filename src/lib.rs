//! owui-watch makes a saved Open WebUI plugin live on the server. This page is the map.
//!
//! # The flow
//!
//! Everything that happens is an [`engine::Event`]. [`engine::Engine::handle`] answers it with [`engine::Effect`]s and does
//! nothing itself. The [`driver`] performs the effects on a [`driver::World`]: the [`daemon`] has the real one, the
//! simulation and the engine's scripts have models. Answers come back as events.
//!
//! ```text
//!  watcher → debounce ──paths─┐                                    ┌── Read(path), Scan ► disk ─────┐
//!  signals ───────────────────┼──► Event ──► engine.handle(e, now) ├── Call ────────────► client ───┤
//!  timer ─────────────────────┤               tree → plan →        ├── Save…, Archive ──► disk      │
//!  loaded / replied ──────────┘               queue → ledger       ├── Tell(notice) ────► output, logs
//!         ▲                                                        └── Exit(code)                   │
//!         └───────────────── answers come back as events ──────────────────────────────────────────┘
//! ```
//!
//! A save, step by step: [`watcher`] reports the path, [`debounce`] waits until its writer is done, `engine/tree.rs` has it
//! read, `engine/plan.rs` decides, `engine/queue.rs` picks its turn, `engine/deploy/` talks to the server, and
//! `engine/outcome.rs` updates the ledger and tells the user.
//!
//! # The promises
//!
//! 1. Once saves and faults stop and the server is reachable, it holds the text of the file, for every valid plugin.
//! 2. The texts of a plugin reach the server in the order of its saves.
//! 3. A plugin has at most one conversation under way; all plugins of a site together have at most `concurrency`.
//! 4. A text that does not parse is never sent.
//! 5. A text that the server already holds is not sent again, unless forced.
//! 6. Somebody else's text is on disk as a copy before the call that replaces it.
//! 7. A server that fails is asked less and less often.
//! 8. Besides the one under way, at most one job waits per plugin.
//! 9. A function that was on is on after a refused deploy, even where the server switched it off. (Tools have no switch.)
//!
//! # The rooms
//!
//! | room | what it knows |
//! | --- | --- |
//! | [`plugin`] | what a plugin is: bytes in, values out (pure) |
//! | [`check`] | the rules that tell what breaks a plugin before a server does, and what each server version has (pure) |
//! | [`engine`] | every decision (pure) |
//! | [`notice`] | the facts that the user may be told, their English and their JSON (pure) |
//! | [`server_log`] | what the server's log says of plugins (pure) |
//! | [`debounce`] | when a path is ready to be read (pure) |
//! | [`driver`] | performs effects on a world |
//! | [`watcher`] | file events |
//! | [`disk`] | plugin files, ignore rules, file systems, and the state folder `.owui-watch/` |
//! | [`git`] | the commit that a file stands on |
//! | [`client`] | the server's HTTP |
//! | [`config`] and [`cli`] | settings, from files, variables and flags |
//! | [`output`] | the terminal, and JSON for programs |
//! | [`trial`] | runs a plugin once on the server, as a user would |
//! | [`daemon`] | the loop of the watch: start, reload, stop |
//! | [`commands`] | the commands other than the watch |
//! | [`run`] | from flags to an exit code |
//! | [`sandbox`] | a throw-away Open WebUI to try things on, with a model; what plugins do there |
//! | [`systemd`] | the watch as a user service |
//! | [`error`] | why something could not be done, with a hint |
//! | [`paths`] | paths as the user would type them |
//! | [`printable`] | the filter for all text that is printed or logged |
//! | [`server_version`] | the version of a server |
//! | [`regular_file`] | reads files that may be hostile |
//! | [`whole_file`] | writes files whole |
//! | [`process_group`] | ends other programs with their children |
//!
//! # The words
//!
//! | word | meaning |
//! | --- | --- |
//! | kind | what the server keeps a plugin as: a function or a tool |
//! | entry class | the class that makes a file a plugin, and tells its kind: `Pipe`, `Filter`, `Action` or `Event`, or `Tools` |
//! | diagnostic | one thing that is wrong with a plugin's text, with its rule and its place; all that `check` prints |
//! | rule | the name of what a diagnostic is about: those of reading a file (`plugin`), and those of `check` |
//! | tree | what the disk holds; the program has one, for all sites |
//! | site | what one server holds, and what is under way there |
//! | lane | all that is known of one plugin on one site |
//! | ledger | what we believe a server holds, and what it refused; kept on disk |
//! | job | a deploy, removal or recovery that waits in its lane |
//! | conversation | the calls of a job under way: a state machine from reply to next call |
//! | ticket | the number that matches a reply to its call |
//! | trial | a call of a plugin on the server, to see whether it works |
//! | notice | a fact for the user; its English, JSON and log words are made from it |
//! | report | a notice of a command, about what it found or did |
//! | board | a fold over notices: the state of each plugin, now. Each display keeps its own |
//! | live view | the last lines of the terminal, drawn from a board |
//! | scripts | the engine's tests: timed events in, effects out |
//!
//! The other commands do not run the engine: they read through [`disk`], ask through [`client`], and report notices.
//!
//! A room's tests lie at the end of its files; scripts, the simulation and real servers are in `tests/it/`. `clippy.toml`
//! and `tests/it/layering.rs` keep the walls: who may use whom, and who may touch the world.
//!
//! # Where a feature goes
//!
//! "+" marks a new file, which the module of its folder names too; "(reads)" marks one that is used as it is; the others
//! change. The words after a file say what the feature needs there. Italics name another row that is needed too. Paths
//! without a folder of the project's root are below `src/`. What users notice stands in `docs/` too.
//!
//! | feature | files |
//! | --- | --- |
//! | a plugin kind with a file extension of its own | `plugin/kind.rs` (a row: extension, URL path, switch; walk and watcher ask it which files count); + a parser, a folder beside `plugin/python/`; `plugin/mod.rs` (`parse` chooses the parser); `plugin/normal.rs` (the text as the server stores it); `plugin/diagnostic.rs` (what the parser finds); `client/endpoints.rs` (if its paths differ from the others'); `engine/ledger.rs` (a map of its records in the file) |
//! | an entry class, or a rule that every file has to keep to be a plugin | `plugin/kind.rs` (`Entry`); `plugin/python/entry.rs`, `plugin/python/walk.rs`; `plugin/diagnostic.rs` (a `Rule`) |
//! | a second server | `engine/mod.rs` (a `Site` each; tickets, calls and writes name theirs; `concurrency` is per site); `engine/site.rs`; `driver.rs` (a ledger per site); `notice/mod.rs` (`Subject` gets the server's name), `notice/text.rs`, `notice/json.rs`, `notice/board/mod.rs`; `run/mod.rs`, `daemon/start.rs`, `daemon/world.rs` (a client, a state folder and a writer each); `run/address.rs` (which server a command means); *a setting* |
//! | a line of the live view | `notice/board/glance.rs` (what it says); `output/view.rs` (how it is laid out) |
//! | a screen, or another place, that shows the state of each plugin | + a file in `output/` that folds notices into a `Board` of its own (as `systemd/supervisor.rs` does) and shows its `Glance` (`notice/board/glance.rs`); `output/console.rs` (if it takes the terminal from the live view); `daemon/mod.rs` (`Audience`: who is told); what it listens to (a socket, keys) stands in `daemon/`, since `output/` only prints; *a setting* |
//! | a key of the live view | `output/keyboard.rs` (`Key`); `output/view.rs` (its help); `daemon/terminal.rs`, `daemon/keys.rs` (what it does); `docs/watching.md` |
//! | a rule of `check`, about what is a plugin already | + a file in `check/rules/`, with its page and examples; `check/rules/mod.rs` (the list); `docs/checks.md` (`UPDATE_EXPECT=1` makes it) |
//! | a form of the output of `check` | `cli.rs` (`CheckFormat`); `output/check.rs` |
//! | a newer Open WebUI in `check` | `check/servers.txt` (made by `tools/server_tables.py`); `check/context.rs` (what hooks are given); `check/servers.rs` |
//! | a text made of several files | + a bundler beside `plugin/normal.rs`; `plugin/mod.rs` (`parse` returns the names of the files that it needs; `Plugin` knows them); `plugin/python/imports.rs` (which files); `plugin/diagnostic.rs` (reads: a `Diagnostic` names its file already); `disk/read.rs`, `disk/scan_cache.rs` (read and cache the parts); `engine/tree.rs`, `engine/files.rs` (a saved part plans its plugins); `engine/refusal.rs` (the server's line → the part's line); `engine/mod.rs`, `driver.rs` (one `Read` asks for several files: who parses names the parts, and the engine has them read) |
//! | a setting | `config/schema.rs` (a row); `config/check.rs` (if other settings limit it); `run/mod.rs` and `engine/mod.rs` (`Policy`, if it changes a decision); `watch.toml`; *a flag*, if it has one |
//! | a flag | `cli.rs`; `run/mod.rs` |
//! | how hints write commands | `notice/commands.rs` (which flags they repeat); `run/mod.rs` (what was given) |
//! | a notice | `notice/mod.rs` (the fact); `notice/text.rs`, `notice/hint/mod.rs`, `notice/json.rs`, `notice/level.rs`; `notice/board/mod.rs` (if it changes a plugin's state); `notice/samples.rs` |
//! | a version of Open WebUI | `engine/mod.rs` (`TESTED`); `client/classify/mod.rs`, `engine/refusal.rs` (what it answers differently); `tests/it/support/fake_server/version.rs`, `tests/it/contract.rs` |
//! | a call to the server | `engine/call.rs` (`Call`, `Reply`); `client/endpoints.rs`; `client/mod.rs` (the request); `client/classify/mod.rs` (its answers); `tests/it/support/fake_server/answer.rs` |
//! | another retry | `engine/retry.rs` (`Cause`, `backoff`); a server that is away: `engine/site.rs`; a text at which the server fails: `engine/crashes.rs` |
//! | a step of a deploy | `engine/deploy/mod.rs` (`Stage`: reply → next call); `engine/outcome.rs` (what its end means for ledger and user) |
//! | what is deployed, and why | `engine/plan.rs` |
//! | what becomes of a plugin whose file is gone | `engine/gone.rs` (when, and why not); `engine/removal.rs` (the calls) |
//! | what is written to disk | `driver.rs` (`Write`); `daemon/writer.rs` (in order, off the loop); `disk/state/mod.rs` and its neighbours (where and how); `engine/ledger.rs` (the ledger's format) |
//! | another way to try a plugin (`engine/trial.rs` decides when, `daemon` runs it, `client` asks, `trial` judges) | `client/trial.rs` (the request, and how its answers are understood); `trial/mod.rs`; `notice/report/trial.rs` |
//! | what a trial sees in the sandbox | `sandbox/pane.py` (`Trial`, `Trials`); `trial/seen.rs` (what the result is then); `tests/it/pane_test.py` |
//! | what is tried after a deploy | `engine/trial.rs` (which plugins, and when); `plugin/python/outside.rs` (what a plain message may run); `daemon/trials.rs` (runs them); `notice/trial.rs` (what is told); `trial/wish.rs` and `config/schema.rs` (how) |
//! | what the server's log tells | `server_log/record.rs` (a log line), `server_log/traceback.rs` (whose frames they are); `daemon/server_log.rs` (runs `log_command`); recorded logs in `tests/it/server_log/` |
//! | a command | `cli.rs` (`Command`); `run/mod.rs`; + a file, named in `commands/mod.rs`; `notice/report/mod.rs` (what it reports) |
//! | a command that asks the running watch | `disk/state/requests.rs` (the request and its answer); `commands/deploy.rs` (asks); `daemon/requests.rs` (takes and answers it); `engine/request.rs` (carries it out); *a command* |
//! | a command that tells the running watch what it did | `disk/state/requests.rs` (`Done`); `daemon/requests.rs` (what is told, and what the engine hears); `notice/board/mod.rs` (what it changes in the view); *a command* |
//! | something that `doctor` looks at | `notice/report/doctor.rs` (`Area`); `commands/doctor/mod.rs` (looks); `commands/doctor/judge.rs` (what it means) |
//! | a state that `status` shows | `notice/report/status.rs` (the state and its words); `notice/report/condition.rs` (how it is counted, and what can be done); `commands/status.rs` (which one it is) |
//!
//! Each needs a test, at the end of the changed file or in `tests/it/`. A change of the promises above needs one in
//! `tests/it/simulation/promises.rs`.

pub mod check;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod debounce;
pub mod disk;
pub mod driver;
pub mod engine;
pub mod error;
pub mod git;
pub mod notice;
pub mod output;
pub mod paths;
pub mod plugin;
pub mod printable;
pub mod process_group;
pub mod regular_file;
pub mod run;
pub mod sandbox;
pub mod server_log;
pub mod server_version;
pub mod systemd;
pub mod trial;
pub mod watcher;
pub mod whole_file;
