//! How much a notice matters.

use super::again::is_told;
use super::{Commands, Notice, NoticeKind};
use crate::engine::plan::WaitReason;
use crate::plugin::Severity;

/// The server's event for a login.
const LOGIN: &str = "auth.login";

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who ask with `--verbose`; always in `--json` and in the plugin's log.
    Detail,
    /// A line on the terminal.
    Info,
    /// The user should look.
    Warning,
    /// Something was not deployed, or failed.
    Error,
}

impl Level {
    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Detail => "detail",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }

    /// The level of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Level::Detail, Level::Info, Level::Warning, Level::Error].into_iter().find(|level| level.name() == name)
    }
}

impl Notice {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match &self.what {
            NoticeKind::Pass { .. }
            | NoticeKind::StillUnreachable { .. }
            | NoticeKind::Waiting { again: true, .. }
            | NoticeKind::Waiting { reason: WaitReason::Turn | WaitReason::Settings, .. }
            | NoticeKind::Sending { .. }
            | NoticeKind::Unchanged { in_pass: true, good_again: false, .. }
            | NoticeKind::Superseded
            | NoticeKind::Held
            | NoticeKind::Pruned
            | NoticeKind::Recovered
            | NoticeKind::Disabled
            | NoticeKind::Proxied { .. }
            | NoticeKind::SameFile { .. } => Level::Detail,
            // That there is nothing was told, and why.
            NoticeKind::Summary { tally, .. } if tally.total() == 0 && tally.is_complete() => Level::Detail,
            NoticeKind::Ready { .. }
            | NoticeKind::Connected { .. }
            | NoticeKind::Summary { .. }
            | NoticeKind::Back { .. }
            | NoticeKind::AccessGranted { .. }
            | NoticeKind::InLine { .. }
            | NoticeKind::Reloaded { .. }
            | NoticeKind::RootBack { .. }
            | NoticeKind::SettingsWait { .. }
            | NoticeKind::Stopping { .. }
            | NoticeKind::Stopped { .. }
            | NoticeKind::Created { .. }
            | NoticeKind::Updated { .. }
            | NoticeKind::Unchanged { .. }
            | NoticeKind::WouldCreate
            | NoticeKind::WouldUpdate { .. }
            | NoticeKind::Removed { .. }
            | NoticeKind::Deactivated
            | NoticeKind::Deleted { .. }
            | NoticeKind::Spared { .. }
            | NoticeKind::RolledBack
            | NoticeKind::IdChanged { .. }
            | NoticeKind::BeingWritten
            | NoticeKind::Slow { .. }
            | NoticeKind::Restored
            | NoticeKind::SwitchedOn
            | NoticeKind::PrintedMore { .. }
            | NoticeKind::ServerLog { .. }
            | NoticeKind::Waiting { again: false, .. } => Level::Info,
            NoticeKind::Called { total: Some(total), .. } if !is_told(*total) => Level::Detail,
            // Nobody logs in to the sandbox, but each program that asks it.
            NoticeKind::Called { server_event: Some(name), again: false, .. } if name == LOGIN => Level::Detail,
            NoticeKind::Called { .. } => Level::Info,
            NoticeKind::Printed { log_level, .. } => match log_level.as_deref() {
                Some("warning") => Level::Warning,
                Some("error" | "critical") => Level::Error,
                _ => Level::Info,
            },
            NoticeKind::NothingFound { .. }
            | NoticeKind::Untested { .. }
            | NoticeKind::Unreachable { .. }
            | NoticeKind::Insecure { .. }
            | NoticeKind::LeftOff
            | NoticeKind::RollbackUndone { .. }
            | NoticeKind::RootMissing { .. }
            | NoticeKind::ScanSlow { .. }
            | NoticeKind::Trouble(_)
            | NoticeKind::SettingsKept { .. }
            | NoticeKind::Crashed { .. }
            | NoticeKind::NotSwitchedOn { .. }
            | NoticeKind::Unused => Level::Warning,
            NoticeKind::Surprising(diagnostic) if diagnostic.severity() == Severity::Error => Level::Error,
            NoticeKind::Surprising(_) => Level::Warning,
            NoticeKind::Flawed { meant: false, .. } if self.about.key.is_none() => Level::Warning,
            NoticeKind::RefusedBefore { .. }
            | NoticeKind::GaveUp { .. }
            | NoticeKind::NotAllowed { .. }
            | NoticeKind::Foreign { .. }
            | NoticeKind::Refused { .. }
            | NoticeKind::RemoteEdit { .. }
            | NoticeKind::Duplicate { .. }
            | NoticeKind::WentOff { .. }
            | NoticeKind::Failed { .. }
            | NoticeKind::NotRemoved { .. }
            | NoticeKind::Flawed { .. }
            | NoticeKind::Blocked(_)
            | NoticeKind::Raised(_)
            | NoticeKind::Conflict { .. } => Level::Error,
            NoticeKind::Trying => Level::Detail,
            NoticeKind::Tried(tried) if tried.is_shown => Level::Detail,
            NoticeKind::Tried(tried) if tried.has_failed() => Level::Error,
            NoticeKind::Tried(_) => Level::Info,
            NoticeKind::NotTried { why, asked_for: true } if why.is_failure() => Level::Error,
            NoticeKind::NotTried { .. } => Level::Info,
            NoticeKind::Report(report) => report.said(&self.about, &Commands::default()).level,
        }
    }
}
