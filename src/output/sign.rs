//! The signs of status lines, and their colours.

use anstyle::Style;

use super::styles::{BOLD_RED, DIM, GREEN, YELLOW};
use crate::notice::{Level, Notice, NoticeKind};

/// The sign says without colour what the colour says.
pub(super) fn sign(notice: &Notice) -> (&'static str, Style) {
    match &notice.what {
        NoticeKind::Created { .. } | NoticeKind::Updated { .. } => ("✓", GREEN),
        NoticeKind::Tried(tried) if !tried.has_failed() && !tried.is_open() => ("✓", GREEN),
        NoticeKind::Unchanged { .. } => ("=", DIM),
        NoticeKind::ServerLog { .. } => ("·", DIM),
        NoticeKind::WouldCreate | NoticeKind::WouldUpdate { .. } => ("→", Style::new()),
        NoticeKind::Summary { tally, .. } if !tally.is_complete() => ("!", YELLOW),
        NoticeKind::Waiting { .. }
        | NoticeKind::ScanSlow { .. }
        | NoticeKind::Slow { .. }
        | NoticeKind::SettingsWait { .. }
        | NoticeKind::Held
        | NoticeKind::BeingWritten
        | NoticeKind::RolledBack => ("…", YELLOW),
        NoticeKind::Restored | NoticeKind::Deleted { .. } | NoticeKind::Deactivated | NoticeKind::Spared { .. } => {
            ("!", YELLOW)
        }
        _ => match notice.level() {
            Level::Detail => ("·", DIM),
            Level::Info => ("·", Style::new()),
            Level::Warning => ("!", YELLOW),
            Level::Error => ("✗", BOLD_RED),
        },
    }
}
