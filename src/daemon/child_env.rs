//! What child processes do not inherit.

use std::process::Command;

use crate::systemd::supervisor;

/// They lead to our API key.
const SECRETS: [&str; 2] = ["OPENWEBUI_API_KEY", "CREDENTIALS_DIRECTORY"];

/// Whether a variable is for us alone: our API key, and what the service manager gave us.
#[must_use]
pub fn is_ours_alone(name: &str) -> bool {
    SECRETS.contains(&name) || supervisor::VARIABLES.contains(&name)
}

/// Withholds our API key, and what the service manager gave us, from another program.
pub(super) fn withhold_secrets(command: &mut Command) {
    withhold_manager(command);
    for name in SECRETS {
        command.env_remove(name);
    }
}

/// Withholds what the service manager gave us from another program, which may use our API key.
pub(super) fn withhold_manager(command: &mut Command) {
    for name in supervisor::VARIABLES {
        command.env_remove(name);
    }
}
