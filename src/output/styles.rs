//! The colours and weights of everything that is printed.

use anstyle::{AnsiColor, Effects, Style};

pub(super) const BOLD: Style = Style::new().effects(Effects::BOLD);
pub(super) const DIM: Style = Style::new().effects(Effects::DIMMED);
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();
pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const BOLD_RED: Style = RED.effects(Effects::BOLD);
