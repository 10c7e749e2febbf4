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
//! 3. A plugin has at most one conversation in flight; all plugins together have at most `concurrency`.
//! 4. A text that does not parse is never sent.
//! 5. A text that the server already holds is not sent again, unless forced.
//! 6. Somebody else's text is on disk as a copy before the call that replaces it.
//! 7. A server that fails is asked less and less often.
//! 8. At most one job waits per plugin.
//! 9. A function that was on is on after a refused deploy, even where the server switched it off.
//!
//! # The rooms
//!
//! | room | what it knows |
//! | --- | --- |
//! | [`plugin`] | what a plugin is: bytes in, values out (pure) |
//! | [`engine`] | every decision (pure): `tree` is what the disk holds, `site` what one server holds, a `lane` one plugin there |
//! | [`notice`] | the facts that the user may be told, their English and their JSON (pure) |
//! | [`debounce`] | when a path is ready to be read (pure) |
//! | [`driver`] | performs effects on a world |
//! | [`watcher`] | file events |
//! | [`disk`] | plugin files, ignore rules, and the state folder `.owui-watch/` |
//! | [`git`] | the commit that a file stands on |
//! | [`client`] | the server's HTTP |
//! | [`config`] and [`cli`] | settings, from files, variables and flags |
//! | [`output`] | the terminal, and JSON for programs |
//! | [`daemon`] | the loop of the watch: start, reload, stop |
//! | [`commands`] | the commands other than the watch |
//! | [`run`] | from flags to an exit code |
//! | [`sandbox`] | a throw-away Open WebUI to try things on |
//! | [`systemd`] | the watch as a user service |
//! | [`error`] | why something could not be done, with a hint |
//! | [`paths`] | paths as the user would type them |
//! | [`printable`] | the filter for all text that is printed or logged |
//! | [`regular_file`] | reads files that may be hostile |
//!
//! A room's tests lie at the end of its files; scripts, the simulation and real servers are in `tests/it/`. `clippy.toml`
//! and `tests/it/layering.rs` keep the walls: who may use whom, and who may touch the world.
//!
//! # Where a feature goes
//!
//! | feature | files |
//! | --- | --- |
//! | a plugin kind with a file extension of its own | a row in `plugin/kind.rs` (extension, API table, switch); its parser beside `plugin/python/mod.rs`, chosen in `plugin/mod.rs` (`parse`); its text form in `plugin/normal.rs`; odd endpoints in `client/endpoints.rs`; its table in `engine/ledger.rs` |
//! | an entry class, or a rule about a plugin's text | a row in `plugin/kind.rs` (`Entry`); `plugin/python/entry.rs`, `plugin/python/walk.rs`; a `Rule` in `plugin/diagnostic.rs` |
//! | a second server | `engine/mod.rs` (the one `Site` becomes one per server; tickets and effects name theirs); `engine/site.rs`; `driver.rs` (one ledger per site); `notice/mod.rs` (`Subject` names the server); `config/schema.rs`, `config/mod.rs` and `run.rs` (its address and key); `daemon/start.rs`, `daemon/world.rs` (a client and a state folder each) |
//! | a live screen | `notice/board.rs` (the state of each plugin, now); a screen beside `output/console.rs`, started on the thread of `output/mod.rs` (`Format`); a flag in `cli.rs`; `run.rs` |
//! | a command that prints every diagnostic as SARIF | `cli.rs` (`Command`); `run.rs`; a file beside `commands/compare.rs`, named in `commands/mod.rs`; `commands/target.rs` and `disk/mod.rs` (`Plugins::scan` reads all files); `plugin/diagnostic.rs` (rule, severity, file, span, message, hint); the format beside `output/console.rs` |
//! | a text made of several files | a bundler beside `plugin/normal.rs`; `plugin/mod.rs` (`parse`, `Plugin`); `plugin/python/imports.rs` (which files); `plugin/diagnostic.rs` (`Diagnostic` has the file); `disk/read.rs` and `disk/scan_cache.rs` (read and cache the parts); `engine/tree.rs`, `engine/files.rs` (a saved part plans its plugins); `engine/refusal.rs` (the server's line → the part's line); `driver.rs` if an effect reads several files |
//! | a setting | a row in `config/schema.rs`; a flag in `cli.rs`, if it has one; a check against other settings in `config/check.rs`; `run.rs` hands it to the engine (`Policy` in `engine/mod.rs`) |
//! | a notice | `notice/mod.rs` (the fact); `notice/text.rs`, `notice/hint.rs`, `notice/json.rs`, `notice/level.rs`; `notice/board.rs` if it changes a plugin's state; `notice/samples.rs` |
//! | a version of Open WebUI | `TESTED` in `engine/mod.rs`; what it answers differently in `client/classify/mod.rs` and `engine/refusal.rs`; `tests/it/support/fake_server/version.rs`, `tests/it/contract.rs` |
//! | a call to the server | `engine/call.rs` (`Call`, `Reply`); `client/endpoints.rs`; `client/mod.rs` (the request); `client/classify/mod.rs` (its answers); `tests/it/support/fake_server/answer.rs` |
//! | another retry | `engine/retry.rs` (`Cause`, `backoff`); a server that is away: `engine/site.rs`; a text at which the server fails: `engine/crashes.rs` |
//! | what is deployed, and why | `engine/plan.rs` |
//! | what is written to disk | `driver.rs` (`Write`); `daemon/writer.rs` (in order, off the loop); `disk/state/mod.rs` and its neighbours (where and how); `engine/ledger.rs` (the ledger's format) |
//! | another way to try a plugin | `client/trial.rs` (the request, and how its answers are understood); `commands/trial/`; `notice/report/trial.rs` |
//! | a command | `cli.rs`; `run.rs`; `commands/mod.rs`; what it reports in `notice/report/mod.rs` |

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
pub mod regular_file;
pub mod run;
pub mod sandbox;
pub mod systemd;
pub mod watcher;
