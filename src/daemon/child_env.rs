//! What child processes do not inherit.

use std::process::Command;

use crate::systemd::supervisor;

/// Starts another program without our API key, and without what the service manager gave us.
pub(super) fn withhold_secrets(command: &mut Command) {
    withhold_manager(command);
    command.env_remove("OPENWEBUI_API_KEY").env_remove("CREDENTIALS_DIRECTORY");
}

/// Starts a program that the service manager does not watch. It may use our API key.
pub(super) fn withhold_manager(command: &mut Command) {
    for name in supervisor::VARIABLES {
        command.env_remove(name);
    }
}
