//! The notices that follow from the outcome of a conversation with the server.

use std::time::Duration;

use super::{NoticeKind, OldVersion};
use crate::engine::ServerHabits;
use crate::engine::deploy::{Aftermath, OnServer, Outcome, StillOff};
use crate::engine::ledger::RefusalKind;
use crate::engine::refusal;
use crate::plugin::Plugin;

impl NoticeKind {
    /// The notices for the outcome of a deploy; `again`: the plugin was deployed before.
    #[must_use]
    pub fn of_outcome(
        outcome: Outcome,
        plugin: &Plugin,
        on_server: Option<OnServer>,
        in_pass: bool,
        again: bool,
        habits: ServerHabits,
        took: Duration,
    ) -> Vec<Self> {
        let active = on_server.and_then(|row| row.active);
        let (what, left) = match outcome {
            Outcome::Created { active } => {
                let (active, off) = active.map_or_else(|off| (Some(false), Some(off)), |active| (active, None));
                (NoticeKind::Created { active, global: habits.new_is_global, again, took }, off.map(Self::not_on))
            }
            Outcome::Updated { from, kept, .. } => (NoticeKind::Updated { from, kept, active, took }, None),
            Outcome::Unchanged => (NoticeKind::Unchanged { in_pass, active, good_again: false }, None),
            Outcome::WouldCreate => (NoticeKind::WouldCreate, None),
            Outcome::WouldUpdate { from, foreign } => (NoticeKind::WouldUpdate { from, foreign }, None),
            Outcome::RemoteEdit { theirs } => (NoticeKind::RemoteEdit { theirs }, None),
            Outcome::Duplicate(duplicate) => (NoticeKind::Duplicate { duplicate }, None),
            Outcome::Refused { refusal, left } | Outcome::Crashed { refusal, left } => {
                let span = refusal::place(&refusal.words, &plugin.text);
                let requirements = plugin.frontmatter.requirements().map(str::to_owned);
                let installs = !habits.installs_nothing;
                let old_version = OldVersion::after_refusal(refusal.kind, &left, on_server);
                (NoticeKind::Refused { refusal, span, requirements, installs, old_version, took }, Self::left(left))
            }
            Outcome::Failed(failure) => (NoticeKind::Failed { failure, took }, None),
        };
        [Some(what), left].into_iter().flatten().collect()
    }

    /// The notice for what a refused text left behind.
    #[must_use]
    pub(crate) fn left(left: Aftermath) -> Option<Self> {
        match left {
            Aftermath::AsItWas | Aftermath::Unsettled { .. } => None,
            Aftermath::Restored => Some(NoticeKind::Restored),
            Aftermath::Off(StillOff { cause, later }) => Some(NoticeKind::WentOff { cause, later }),
        }
    }

    /// The notice for a new function that could not be switched on.
    #[must_use]
    pub(crate) fn not_on(StillOff { cause, later }: StillOff) -> Self {
        NoticeKind::NotSwitchedOn { cause, later }
    }

    /// The notice for what an interrupted deploy left behind.
    #[must_use]
    pub fn of_recovery(left: Aftermath) -> Self {
        Self::left(left).unwrap_or(NoticeKind::Recovered)
    }
}

impl OldVersion {
    /// `None` where the server has none, or where it is unknown what runs there now.
    fn after_refusal(kind: RefusalKind, left: &Aftermath, on_server: Option<OnServer>) -> Option<Self> {
        let is_known = matches!(left, Aftermath::AsItWas | Aftermath::Restored) && kind != RefusalKind::NoAnswer;
        let row = on_server.filter(|_| is_known)?;
        Some(if row.active == Some(false) { OldVersion::Off } else { OldVersion::Running })
    }
}
