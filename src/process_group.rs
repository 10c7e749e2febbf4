//! Ends a child process together with its own children, on each system.

use std::process::Command;

use tokio::process::Child;

/// A child that leads its own group. Dropping it kills the group.
#[derive(Debug)]
pub struct ChildGroup(pub Child);

impl ChildGroup {
    /// Kills the child, with its children.
    pub fn kill(&self) {
        // `None` once the child was waited for: its id may belong to another process by then.
        if let Some(id) = self.0.id() {
            kill_group(id);
        }
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Puts the child into its own group: a terminal's Ctrl-C reaches only us, and we end the child in order.
#[cfg(unix)]
pub fn own_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// Kills a child that leads its own group, with its children.
#[cfg(unix)]
pub fn kill_group(id: u32) {
    if let Some(group) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
        // Fails only if nobody is left.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
}

/// Puts the child into its own group: a terminal's Ctrl-C reaches only us, and we end the child in order.
#[cfg(windows)]
pub fn own_group(command: &mut Command) {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
}

/// Kills a child with its children.
#[cfg(windows)]
#[expect(clippy::disallowed_methods, reason = "Windows has no other way that is not unsafe")]
pub fn kill_group(id: u32) {
    // Fails only if nobody is left.
    Command::new("taskkill").args(["/T", "/F", "/PID", &id.to_string()]).output().ok();
}
