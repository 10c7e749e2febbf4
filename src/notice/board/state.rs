//! How a plugin stands, and which notices change that.

use super::{Notice, NoticeKind};

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
            | NoticeKind::Deleted { .. }
            | NoticeKind::Spared { .. } => State::Gone,
            _ => return None,
        })
    }
}
