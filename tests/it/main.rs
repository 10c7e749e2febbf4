//! The tests that look at owui-watch from outside, as one binary.
#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes every snapshot with them")]
#![expect(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test sets its own scene: files, environment, slow writers, deadlines"
)]

mod action;
mod check_on_servers;
mod cli;
mod client;
mod command_lines;
mod commands;
mod config;
mod contract;
mod docs;
mod engine;
mod examples;
mod faults;
mod fuzz;
mod git;
mod layering;
mod log_command;
mod once;
#[cfg(unix)]
mod output;
mod packaging;
mod pages;
mod process_under_fire;
mod promises;
mod python_compiler;
mod real;
mod reload;
mod sandbox;
mod sandbox_pane;
mod secret;
mod server_log;
mod server_under_fire;
mod service;
mod shipped;
mod simulation;
mod state;
mod support;
mod systemd;
#[cfg(target_os = "linux")]
mod terminal;
mod tls;
mod trials;
mod trust;
mod watch;
mod watch_under_fire;
mod weeks;
