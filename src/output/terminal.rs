//! What the user's terminal can do.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

/// A terminal that can show the live view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Whether it wraps anew what was printed, when its width changes.
    pub(super) reflows: bool,
    /// Whether it has a title.
    pub(super) titled: bool,
    /// Whether the explanations are shown on it as well.
    pub(super) shows_stderr: bool,
}

impl Terminal {
    /// The terminal that standard output is shown on, if it can show the live view.
    #[must_use]
    pub fn find(environment: &BTreeMap<String, String>) -> Option<Self> {
        if !cfg!(unix) || !std::io::stdout().is_terminal() {
            return None;
        }
        let shows_stderr = console::Term::stderr().is_term();
        Self::named(environment).map(|terminal| Self { shows_stderr, ..terminal })
    }

    fn named(environment: &BTreeMap<String, String>) -> Option<Self> {
        let filled = |name: &str| environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let term = filled("TERM")?;
        if term == "dumb" || filled("CI").is_some_and(|ci| !matches!(ci, "0" | "false")) {
            return None;
        }
        // What runs in tmux inherits the variables of the terminal around it.
        let cuts = filled("TMUX").is_none() && (filled("XTERM_VERSION").is_some() || filled("STY").is_some());
        let is_console = term.starts_with("linux");
        Some(Self {
            reflows: !cuts && !is_console && !term.starts_with("rxvt"),
            titled: !is_console,
            shows_stderr: true,
        })
    }
}

/// Whether this program is in the foreground of its terminal. One without a shell is.
#[cfg(unix)]
pub(super) fn is_ours() -> bool {
    rustix::termios::tcgetpgrp(std::io::stdout()).map_or(true, |group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
pub(super) fn is_ours() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variables: &[(&str, &str)]) -> Option<Terminal> {
        Terminal::named(&variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn plain_lines_where_a_view_cannot_be() {
        for variables in
            [&[][..], &[("TERM", "")], &[("TERM", "dumb")], &[("TERM", "xterm"), ("CI", "true")], &[("CI", "1")]]
        {
            assert_eq!(named(variables), None, "{variables:?}");
        }
        assert!(named(&[("TERM", "xterm"), ("CI", "false")]).is_some());
    }

    #[test]
    fn terminals_differ_in_what_they_wrap() {
        for (variables, reflows) in [
            (&[("TERM", "xterm-256color")][..], true),
            (&[("TERM", "xterm-256color"), ("XTERM_VERSION", "XTerm(379)")], false),
            (&[("TERM", "tmux-256color"), ("XTERM_VERSION", "XTerm(379)"), ("TMUX", "/tmp/tmux-0/default")], true),
            (&[("TERM", "screen"), ("STY", "1.pts")], false),
            (&[("TERM", "linux")], false),
            (&[("TERM", "rxvt-unicode")], false),
        ] {
            assert_eq!(named(variables).unwrap().reflows, reflows, "{variables:?}");
        }
    }
}
