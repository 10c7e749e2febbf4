//! The reports of `doctor`: what it looked at, and how that is.

use serde_json::json;

use super::{Level, Said};
use crate::notice::format::count;

/// A report of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Examination {
    /// Something that it looked at.
    Finding(Finding),
    /// The end.
    Diagnosis {
        /// How many findings ask the user to do something.
        problems: usize,
    },
}

impl Examination {
    pub(super) fn said(&self) -> Said {
        match self {
            Examination::Finding(finding) => finding.said(),
            Examination::Diagnosis { problems } => diagnosis(*problems),
        }
    }
}

/// Something that `doctor` looked at, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub area: Area,
    /// How it is.
    pub verdict: Verdict,
    /// One sentence.
    pub message: String,
    /// The remedies, one a line.
    pub hint: Option<String>,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The settings.
    Settings,
    /// The server's address.
    Server,
    /// How the connection is secured.
    Certificate,
    /// The API key.
    Key,
    /// What its owner may do.
    Account,
    /// The server's version.
    Version,
    /// Whether the server runs plugins.
    Plugins,
    /// The two clocks.
    Clock,
    /// The files with the API key.
    KeyFiles,
    /// The folders with the plugins.
    Roots,
    /// How saves are noticed.
    Events,
    /// The state folder.
    State,
    /// Another owui-watch.
    Watch,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Worth knowing, or not known.
    Note,
    /// It works, and may hurt later.
    Risk,
    /// It does not work.
    Wrong,
}

impl Finding {
    /// A finding without a remedy.
    #[must_use]
    pub fn new(area: Area, verdict: Verdict, message: impl Into<String>) -> Self {
        Self { area, verdict, message: message.into(), hint: None }
    }

    /// Adds the remedies, one a line.
    #[must_use]
    pub fn hinted(self, hint: impl Into<String>) -> Self {
        self.hinted_if(Some(hint.into()))
    }

    /// Adds the remedies, where they are known.
    #[must_use]
    pub fn hinted_if(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// Whether it asks the user to do something.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.verdict.level() >= Level::Warning
    }

    fn said(&self) -> Said {
        let said = Said::info("examined", self.message.clone()).at(self.verdict.level());
        Said { hint: self.hint.clone(), ..said }
            .with("what", json!(self.area.word()))
            .with("verdict", json!(self.verdict.word()))
    }
}

impl Area {
    /// The stable word for it: `what` in `--json`.
    fn word(self) -> &'static str {
        match self {
            Area::Settings => "settings",
            Area::Server => "server",
            Area::Certificate => "certificate",
            Area::Key => "key",
            Area::Account => "account",
            Area::Version => "version",
            Area::Plugins => "plugins",
            Area::Clock => "clock",
            Area::KeyFiles => "key_files",
            Area::Roots => "roots",
            Area::Events => "file_events",
            Area::State => "state",
            Area::Watch => "watch",
        }
    }

    /// As the table shows it.
    #[must_use]
    pub fn label(self) -> String {
        self.word().replace('_', " ")
    }
}

impl Verdict {
    /// The stable word for it: `verdict` in `--json`.
    fn word(self) -> &'static str {
        match self {
            Verdict::Fine => "fine",
            Verdict::Note => "note",
            Verdict::Risk => "risk",
            Verdict::Wrong => "wrong",
        }
    }

    fn level(self) -> Level {
        match self {
            Verdict::Fine | Verdict::Note => Level::Info,
            Verdict::Risk => Level::Warning,
            Verdict::Wrong => Level::Error,
        }
    }

    /// The sign of its row, which says without colour what the colour says.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Verdict::Fine => "✓",
            Verdict::Note => "·",
            Verdict::Risk => "!",
            Verdict::Wrong => "✗",
        }
    }
}

/// The end of `doctor`.
fn diagnosis(problems: usize) -> Said {
    let message = if problems == 0 { "nothing is wrong".to_owned() } else { count(problems, "problem") };
    Said::info("diagnosis", message).with("problems", json!(problems))
}
