//! Sentences that many tests look for, once each.

/// The words before the destination of a path that leaves the folder.
pub(crate) const LEADS_OUT: &str = "outside the folder, to";

/// The beginning of the error about a state folder.
pub(crate) const STATE_ERROR: &str = "cannot keep state in";

/// Why a command does nothing where nobody can answer.
pub(crate) const CANNOT_ASK: &str = "cannot ask, standard input is not a terminal";

/// The question whether a key may lead out of the folder, to this path.
pub(crate) fn leads_out(key: &str, to: &str) -> String {
    format!("let `{key}` lead {LEADS_OUT} `{to}`")
}

/// The hint that names the command for consent.
pub(crate) fn trusts(flags: &str) -> String {
    format!("if you trust this folder, run `owui-watch trust{flags}`")
}
