//! Which Open WebUI the fake one is.

use owui_watch::plugin::{Entry, Kind};

use super::NOT_FOUND;
use super::answer::Answer;

/// The version of Open WebUI. All differences between versions are decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V0_6_43,
    V0_9_6,
    V0_11_4,
    V0_12_4,
}

impl Version {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Version::V0_6_43 => "0.6.43",
            Version::V0_9_6 => "0.9.6",
            Version::V0_11_4 => "0.11.4",
            Version::V0_12_4 => "0.12.4",
        }
    }

    /// The classes that it looks for in a module, in order.
    pub(super) fn entries(self, kind: Kind) -> &'static [Entry] {
        match (kind, self) {
            (Kind::Function, Version::V0_6_43 | Version::V0_9_6) => &[Entry::Pipe, Entry::Filter, Entry::Action],
            (Kind::Function, Version::V0_11_4 | Version::V0_12_4) => {
                &[Entry::Pipe, Entry::Filter, Entry::Action, Entry::Event]
            }
            (Kind::Tool, _) => &[Entry::Tools],
        }
    }

    /// The text of a failed create for an exception.
    pub(super) fn create_failed(self, kind: Kind, words: &str) -> String {
        match self {
            Version::V0_6_43 | Version::V0_9_6 => wrapped(kind, words),
            Version::V0_11_4 | Version::V0_12_4 => format!("[ERROR: Error creating {}]", kind.word()),
        }
    }

    /// The text of a failed update for an exception.
    pub(super) fn update_failed(self, kind: Kind, words: &str) -> String {
        match self {
            Version::V0_6_43 | Version::V0_9_6 => wrapped(kind, words),
            Version::V0_11_4 => format!("[ERROR: Error updating {}]", kind.word()),
            Version::V0_12_4 => words.to_owned(),
        }
    }

    /// The text for incompatible valves.
    pub(super) fn valves_failed(self, kind: Kind, class: &str, words: &str) -> String {
        match self {
            Version::V0_6_43 | Version::V0_9_6 => wrapped(kind, words),
            Version::V0_11_4 | Version::V0_12_4 => {
                let whose = if class == "UserValves" { "user valves" } else { "valves" };
                format!("[ERROR: Error updating {} {whose}]", kind.word())
            }
        }
    }

    /// The answer to an update of a missing function with valid code.
    pub(super) fn no_such_function(self) -> &'static str {
        match self {
            Version::V0_6_43 | Version::V0_9_6 => "[ERROR: 400: [ERROR: Error updating function]]",
            Version::V0_11_4 => "[ERROR: Error updating function]",
            Version::V0_12_4 => "Function not found",
        }
    }

    /// The answer to a GET of a missing row.
    pub(super) fn absent(self, kind: Kind) -> Answer {
        match (self, kind) {
            (_, Kind::Function) | (Version::V0_6_43, Kind::Tool) => Answer::detail(401, NOT_FOUND),
            (Version::V0_9_6 | Version::V0_11_4 | Version::V0_12_4, Kind::Tool) => Answer::detail(404, NOT_FOUND),
        }
    }

    /// Since 0.8 grants are separate objects. Before, access is a field of an update, and a missing field makes the
    /// tool public.
    pub(super) fn has_grants(self) -> bool {
        self >= Version::V0_9_6
    }

    /// Whether users can set their valves of a function that is off.
    pub(super) fn sets_user_valves_when_off(self) -> bool {
        self <= Version::V0_9_6
    }

    /// Whether the process ends with a plugin that ends the interpreter.
    pub(super) fn dies_of_an_exit(self) -> bool {
        self <= Version::V0_9_6
    }

    /// Whether requirements are installed even offline, as in a sandbox.
    pub(super) fn installs_when_offline(self) -> bool {
        self == Version::V0_6_43
    }

    /// Whether a failed update leaves the switch alone, valves are checked, and versions are kept.
    pub(super) fn is_transactional(self) -> bool {
        self >= Version::V0_12_4
    }
}

/// The text of versions before 0.10, which hide nothing.
fn wrapped(kind: Kind, words: &str) -> String {
    match (kind, words) {
        (Kind::Tool, "") => "Something went wrong :/".to_owned(),
        (_, words) => format!("[ERROR: {words}]"),
    }
}
