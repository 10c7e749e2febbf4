//! The states of plugins as `status` counts them, and what can be done about each.

use serde_json::json;

use super::{Commands, PluginStatus, Said, Subject};
use crate::notice::format::count;
use crate::notice::hint::switches_on;

/// A state as it is counted, in the order of the last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Condition {
    Ok,
    Off,
    Unused,
    Differs,
    NotOnServer,
    Refused,
    Held,
    Broken,
    Conflict,
    Unknown,
    OnlyOnServer,
}

impl Condition {
    const ALL: [Self; 11] = [
        Self::Ok,
        Self::Off,
        Self::Unused,
        Self::Differs,
        Self::NotOnServer,
        Self::Refused,
        Self::Held,
        Self::Broken,
        Self::Conflict,
        Self::Unknown,
        Self::OnlyOnServer,
    ];

    /// The stable word for it: `state` in `--json`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Off => "off",
            Self::Unused => "unused",
            Self::Differs => "differs",
            Self::NotOnServer => "not_on_server",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Broken => "broken",
            Self::Conflict => "conflict",
            Self::Unknown => "unknown",
            Self::OnlyOnServer => "only_on_server",
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Unused => "used by no model",
            Self::NotOnServer => "not on the server",
            Self::OnlyOnServer => "only on the server",
            Self::Conflict => "claimed twice",
            _ => self.word(),
        }
    }

    /// What can be done about it. The remedies for a broken file are in the file.
    pub(super) fn remedies(self, about: &Subject, commands: &Commands) -> Option<String> {
        let run = |command: &str| commands.on(about, command);
        Some(match self {
            Self::Off => switches_on(about, commands),
            Self::Unused => {
                format!("{} has all models use it\nattach it to a model under Workspace > Models", run("global on"))
            }
            Self::Differs | Self::Held => {
                format!("{} shows the difference\n{} deploys the file", run("diff"), run("deploy"))
            }
            Self::NotOnServer => format!("{} deploys it", run("deploy")),
            Self::Refused => format!("{} sends it again as it is", run("deploy")),
            Self::Ok | Self::Broken | Self::Conflict | Self::Unknown | Self::OnlyOnServer => return None,
        })
    }
}

/// How many plugins are in which state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusCounts(Vec<(Subject, PluginStatus)>);

impl StatusCounts {
    /// Counts these plugins.
    #[must_use]
    pub fn of(mut plugins: Vec<(Subject, PluginStatus)>) -> Self {
        plugins.sort_by_key(|(_, status)| status.condition());
        Self(plugins)
    }

    /// What the user can do, one remedy a line. One for several plugins names none of them.
    fn remedies(&self, commands: &Commands) -> Vec<String> {
        let mut remedies: Vec<(String, String)> = Vec::new();
        for (about, status) in &self.0 {
            let of = |commands| status.remedies(about, commands).unwrap_or_default();
            for (of_any, remedy) in of(&commands.of_any()).lines().zip(of(commands).lines()) {
                match remedies.iter_mut().find(|(known, _)| known == of_any) {
                    Some((known, shown)) => shown.clone_from(known),
                    None => remedies.push((of_any.to_owned(), remedy.to_owned())),
                }
            }
        }
        remedies.into_iter().map(|(_, shown)| shown).collect()
    }

    pub(super) fn said(&self, commands: &Commands) -> Said {
        let n = |condition| self.0.iter().filter(|(_, status)| status.condition() == condition).count();
        let counts = Condition::ALL.map(|condition| (condition, n(condition)));
        let some = counts.iter().filter(|(_, n)| *n > 0);
        let parts: Vec<_> = some.map(|(condition, n)| format!("{n} {}", condition.label())).collect();
        let total = self.0.len();
        let message = match parts.as_slice() {
            [] => "no plugins".to_owned(),
            _ => format!("{}: {}", count(total, "plugin"), parts.join(", ")),
        };
        let remedies = self.remedies(commands);
        let hint = (!remedies.is_empty()).then(|| remedies.join("\n"));
        let said = Said { hint, ..Said::info("status_counts", message) }.with("plugins", json!(total));
        counts.iter().fold(said, |said, (condition, n)| said.with(condition.word(), json!(n)))
    }
}
