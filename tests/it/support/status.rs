//! The status lines for a service manager, for tests that wait for them.

/// A pass over this many plugins was the last that happened.
pub(crate) fn compared(plugins: usize) -> String {
    format!("; last: {plugins} plugin{} compared (", if plugins == 1 { "" } else { "s" })
}

/// An update of this plugin was the last that happened.
pub(crate) fn updated(id: &str) -> String {
    format!("; last: {id} updated (")
}

/// New settings were the last that happened.
pub(crate) const RELOADED: &str = "; last: settings reloaded from ";

/// The server is away.
pub(crate) const AWAY: &str = " has been away since ";
