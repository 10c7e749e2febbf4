//! owui-watch makes a saved Open WebUI plugin live on the server.
//!
//! This is the map. Everything that happens is an [`engine::Event`]; [`engine::Engine::handle`] answers it with effects and
//! does nothing itself; [`daemon`] is the only loop: it names what happened, asks the engine, and does what it says.
//!
//! ```text
//!  watcher → debounce ──paths─┐                                    ┌── Read(path), Scan ► disk ─────┐
//!  signals ───────────────────┼──► Event ──► engine.handle(e, now) ├── Call(server) ────► client ───┤
//!  timer ─────────────────────┤               files → plan →       ├── Keep, Save ──────► disk      │
//!  loaded / replied ──────────┘               queue → ledger       ├── Tell(notice) ────► output, logs
//!         ▲                                                        └── Exit(code)                   │
//!         └───────────────── answers come back as events ──────────────────────────────────────────┘
//! ```
//!
//! What holds at every moment:
//!
//! 1. Quiet and reachable, the server's text is the disk's text, for every valid plugin.
//! 2. Per plugin, texts reach the server in the order of the saves.
//! 3. Never two conversations about one plugin, never more than N in all.
//! 4. A text that does not parse is never sent.
//! 5. A text that the server holds is not sent again, unless forced.
//! 6. A text that is not ours is on disk as a copy before the call that replaces it.
//! 7. A server that fails is asked less and less often.
//! 8. What waits is never more than the plugins there are.
//! 9. A function that was on is on after a refused deploy, also where the server has switched it off.
//!
//! In reading order: [`plugin`] is what a plugin is, and [`engine`] is every decision; both are pure. [`debounce`] says when
//! a path is ready to be read. Then the edges, each of which knows one part of the world: [`watcher`] file events,
//! [`disk`] files, [`git`] the commits they stand on, [`client`] the server, [`output`] the terminal, [`config`] and
//! [`cli`] what the user wants, [`systemd`] what may run us, [`sandbox`] a real server to play with. [`regular_file`] reads
//! files that may be hostile, for every edge, [`paths`] shows paths as the user would type them, and [`printable`] filters
//! all that is printed or logged. [`error`] says why something could not be done. [`commands`] go back to what was. [`run`]
//! puts them together. `clippy.toml` and `tests/it/layering.rs` keep these walls.

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
