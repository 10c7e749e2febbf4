//! The signs of status lines, and their colours.

use anstyle::{AnsiColor, Effects, Style};

use crate::notice::{Level, Notice, NoticeKind};

pub(super) const BOLD: Style = Style::new().effects(Effects::BOLD);
pub(super) const DIM: Style = Style::new().effects(Effects::DIMMED);
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);

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
            Level::Error => ("✗", RED),
        },
    }
}
