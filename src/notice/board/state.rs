//! How a plugin stands, and which notices change that.

use super::{Notice, NoticeKind, Report, Untried};

/// What a plugin's notices come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The server holds the text of the file.
    Deployed,
    /// It holds it, but switched off.
    Off,
    /// It is being compared or sent.
    Sending,
    /// The server holds the text, and it is being tried.
    Trying,
    /// It is sent again soon.
    Retrying,
    /// It waits for the server.
    Waiting,
    /// It waits for the user to decide.
    Held,
    /// The server refuses it.
    Refused,
    /// It could not be deployed, for a reason that is not in its text.
    Failed,
    /// The server holds the text, and it failed when it was tried.
    Failing,
    /// The file has an error.
    Broken,
    /// The plugin is gone here.
    Gone,
}

impl State {
    /// Whether the server holds the text of the file.
    pub(super) fn is_deployed(self) -> bool {
        matches!(self, State::Deployed | State::Off | State::Failing | State::Trying)
    }

    /// What a notice turns the state into; `None` where the state stays.
    pub(super) fn after(notice: &Notice) -> Option<Self> {
        Some(match &notice.what {
            NoticeKind::Created { active: Some(false), .. }
            | NoticeKind::Updated { active: Some(false), .. }
            | NoticeKind::Unchanged { active: Some(false), .. }
            | NoticeKind::WentOff { .. }
            | NoticeKind::NotSwitchedOn { .. }
            | NoticeKind::LeftOff => State::Off,
            NoticeKind::Created { .. }
            | NoticeKind::Updated { .. }
            | NoticeKind::Unchanged { .. }
            | NoticeKind::SwitchedOn
            | NoticeKind::RollbackUndone { .. } => State::Deployed,
            NoticeKind::Trying => State::Trying,
            NoticeKind::Tried(tried) if tried.has_failed() => State::Failing,
            NoticeKind::NotTried { why, asked_for: true } if why.is_failure() => State::Failing,
            NoticeKind::Tried(_) => State::Deployed,
            NoticeKind::Sending { .. } => State::Sending,
            NoticeKind::Crashed { .. } => State::Retrying,
            NoticeKind::Waiting { .. } => State::Waiting,
            NoticeKind::WouldCreate
            | NoticeKind::WouldUpdate { .. }
            | NoticeKind::RemoteEdit { .. }
            | NoticeKind::Blocked(_)
            | NoticeKind::Duplicate { .. }
            | NoticeKind::RolledBack => State::Held,
            NoticeKind::Refused { .. } | NoticeKind::RefusedBefore { .. } => State::Refused,
            NoticeKind::Failed { .. } => State::Failed,
            NoticeKind::Flawed { .. } | NoticeKind::Conflict { .. } => State::Broken,
            NoticeKind::Removed { .. }
            | NoticeKind::Disabled
            | NoticeKind::SameFile { .. }
            | NoticeKind::Deactivated
            | NoticeKind::NotRemoved { .. }
            | NoticeKind::Deleted { .. }
            | NoticeKind::Report(Report::DeletedStray { .. })
            | NoticeKind::Spared { .. } => State::Gone,
            _ => return None,
        })
    }
}

/// Whether a function is on, as a notice tells; `None` where it does not.
pub(super) fn switch_after(notice: &Notice) -> Option<bool> {
    match &notice.what {
        NoticeKind::Created { active, .. }
        | NoticeKind::Updated { active, .. }
        | NoticeKind::Unchanged { active, .. } => *active,
        NoticeKind::WentOff { .. } | NoticeKind::NotSwitchedOn { .. } | NoticeKind::LeftOff => Some(false),
        NoticeKind::SwitchedOn => Some(true),
        NoticeKind::NotTried { why, .. } => (*why == Untried::Off).then_some(false),
        _ => None,
    }
}
