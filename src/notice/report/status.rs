//! How a plugin is, here and on the server: what `status` shows, and what `on`, `off` and `global` answer.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::condition::Condition;
use super::{Commands, Level, Said, Subject, SwitchFailure, name};
use crate::engine::deploy::OnServer;
use crate::engine::duplicate::Duplicate;
use crate::engine::ledger::Refusal;
use crate::engine::switch::Switch;
use crate::notice::format::{count, format_place, list};
use crate::notice::hint::of_duplicate;
use crate::notice::phrase::refused;
use crate::paths::slashed;
use crate::plugin::{Key, Span};

/// How many plugins a line names.
const MOST_NAMED: usize = 5;

/// How a plugin is.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginStatus {
    /// The text.
    pub state: PluginState,
    /// What the server uses it for.
    pub usage: Use,
}

/// How the text here and the text on the server relate.
#[derive(Clone, Debug, PartialEq)]
pub enum PluginState {
    /// The server holds the file's text.
    Same,
    /// The file has errors.
    Broken {
        /// The first error.
        message: String,
        /// Its line.
        span: Option<Span>,
    },
    /// Several files claim the id.
    Conflict {
        /// The files.
        paths: Vec<Arc<Path>>,
    },
    /// The server refused this text.
    Refused {
        /// The reason.
        refusal: Refusal,
        /// The line that it names.
        span: Option<Span>,
    },
    /// Somebody else changed it on the server, and `on_remote_edit` is `hold`.
    EditedThere,
    /// A rollback put an earlier text back.
    RolledBack,
    /// An error is certain to break it, and `check.block` is set.
    Blocked {
        /// The first error.
        message: String,
        /// Its place.
        span: Option<Span>,
    },
    /// The server seems to have it under another id.
    Duplicate(Duplicate),
    /// The server holds another text.
    Differs {
        /// The version of the server's text.
        theirs: Option<String>,
        /// The version of the file's text.
        ours: Option<String>,
    },
    /// The server does not have it.
    NotOnServer {
        /// A plugin of the server that has its text and no file here.
        renamed_from: Option<Duplicate>,
    },
    /// It has no file here.
    OnlyOnServer,
    /// Unknown: the server did not tell.
    Unknown {
        /// Why.
        why: String,
    },
}

/// What the server uses a function for, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Whether it is on; functions only.
    pub active: Option<bool>,
    /// Whether it is global; functions only.
    pub global: Option<bool>,
    /// Whether it is on, and a filter or action that is neither global nor attached to a model.
    pub is_unused: bool,
}

impl Use {
    /// What a plugin with these switches is used for. `is_unused`: it is on, and no model uses it.
    #[must_use]
    pub fn of(switches: OnServer, is_unused: bool) -> Self {
        Self { active: switches.active, global: switches.global, is_unused }
    }

    fn fields(self, said: Said) -> Said {
        let said = said.with("active", json!(self.active)).with("global", json!(self.global));
        said.with("unused", json!(self.is_unused.then_some(true)))
    }
}

impl PluginStatus {
    pub(super) fn condition(&self) -> Condition {
        match &self.state {
            PluginState::Same if self.usage.is_unused => Condition::Unused,
            PluginState::Same if self.usage.active == Some(false) => Condition::Off,
            PluginState::Same => Condition::Ok,
            PluginState::Broken { .. } => Condition::Broken,
            PluginState::Conflict { .. } => Condition::Conflict,
            PluginState::Refused { .. } => Condition::Refused,
            PluginState::EditedThere
            | PluginState::RolledBack
            | PluginState::Blocked { .. }
            | PluginState::Duplicate(_) => Condition::Held,
            PluginState::Differs { .. } => Condition::Differs,
            PluginState::NotOnServer { .. } => Condition::NotOnServer,
            PluginState::OnlyOnServer => Condition::OnlyOnServer,
            PluginState::Unknown { .. } => Condition::Unknown,
        }
    }

    /// Whether the server does not hold what the file holds, or the file is broken.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        match self.state {
            PluginState::Same | PluginState::OnlyOnServer | PluginState::Unknown { .. } => false,
            PluginState::Broken { .. }
            | PluginState::Conflict { .. }
            | PluginState::Refused { .. }
            | PluginState::EditedThere
            | PluginState::RolledBack
            | PluginState::Blocked { .. }
            | PluginState::Duplicate(_)
            | PluginState::Differs { .. }
            | PluginState::NotOnServer { .. } => true,
        }
    }

    /// The sign of its row, which says without colour what the colour says.
    #[must_use]
    pub fn sign(&self) -> &'static str {
        match (self.level(), &self.state) {
            (Level::Error, _) => "✗",
            (Level::Warning, _) => "!",
            (_, PluginState::Same) if self.usage.active != Some(false) => "✓",
            _ => "·",
        }
    }

    /// The state in words.
    #[must_use]
    pub fn label(&self) -> String {
        let label = self.condition().label();
        match self.state {
            PluginState::Same => label.to_owned(),
            _ if self.usage.active == Some(false) => format!("{label} (off)"),
            _ => label.to_owned(),
        }
    }

    /// What there is to say beside the state, and where: `path:line:column: …`.
    #[must_use]
    pub fn detail(&self, path: Option<&Path>) -> String {
        let shown = path.map(|path| slashed(&path)).unwrap_or_default();
        let at = |span: &Option<Span>, words: &str| match (path, span) {
            (Some(path), Some(span)) => format!("{}: {words}", format_place(path, span)),
            _ => format!("{shown}: {words}"),
        };
        match &self.state {
            PluginState::Broken { message, span } | PluginState::Blocked { message, span } => at(span, message),
            PluginState::Refused { refusal, span } => at(span, refused(refusal).lines().next().unwrap_or_default()),
            PluginState::Conflict { paths } => format!("{} claim this id", list(paths)),
            PluginState::EditedThere => format!("{shown}: someone else changed it on the server"),
            PluginState::RolledBack => format!("{shown}: rolled back; not deployed until the file changes"),
            PluginState::Duplicate(duplicate) => format!("{shown}: the server seems to have it as `{}`", duplicate.id),
            PluginState::Differs { theirs: Some(theirs), ours } if Some(theirs) != ours.as_ref() => {
                format!("{shown}: the server has version {theirs}")
            }
            PluginState::Differs { .. } => format!("{shown}: the server has another text"),
            PluginState::Unknown { why } => format!("{shown}: {why}").trim_start_matches(": ").to_owned(),
            PluginState::NotOnServer { renamed_from: Some(from) } => {
                format!("{shown}: the server has its text as `{}`", from.id)
            }
            PluginState::Same | PluginState::NotOnServer { .. } | PluginState::OnlyOnServer => shown,
        }
    }

    /// Whether the detail gives a reason that is written nowhere else.
    #[must_use]
    pub fn has_reason(&self) -> bool {
        matches!(
            self.state,
            PluginState::Broken { .. }
                | PluginState::Blocked { .. }
                | PluginState::Refused { .. }
                | PluginState::Conflict { .. }
                | PluginState::Duplicate(_)
                | PluginState::Unknown { .. }
        )
    }

    pub(in crate::notice) fn span(&self) -> Option<&Span> {
        match &self.state {
            PluginState::Broken { span, .. }
            | PluginState::Blocked { span, .. }
            | PluginState::Refused { span, .. } => span.as_ref(),
            _ => None,
        }
    }

    fn level(&self) -> Level {
        match self.state {
            _ if self.is_wrong() => Level::Error,
            PluginState::Unknown { .. } => Level::Warning,
            PluginState::Same if self.usage.is_unused => Level::Warning,
            _ => Level::Info,
        }
    }

    /// What the user can do about it, one remedy a line.
    pub(super) fn remedies(&self, about: &Subject, commands: &Commands) -> Option<String> {
        let run = |command: &str| commands.on(about, command);
        match &self.state {
            PluginState::EditedThere => {
                Some(format!("{} takes the server's text\n{} deploys yours", run("pull"), run("deploy")))
            }
            PluginState::Duplicate(duplicate) | PluginState::NotOnServer { renamed_from: Some(duplicate) } => {
                Some(of_duplicate(about, duplicate, commands))
            }
            _ => self.condition().remedies(about, commands),
        }
    }

    pub(super) fn said(&self, about: &Subject, commands: &Commands) -> Said {
        let words = match &self.state {
            PluginState::Broken { message, .. } | PluginState::Blocked { message, .. } => Some(message.clone()),
            PluginState::Refused { refusal, .. } => Some(refused(refusal).into_owned()),
            PluginState::Unknown { why } => Some(why.clone()),
            _ => None,
        };
        let message = match &words {
            Some(words) => format!("{}: {words}", self.label()),
            None => self.label(),
        };
        let said = Said::info("status", message).at(self.level()).with("state", json!(self.condition().word()));
        let said = Said { hint: self.remedies(about, commands), ..self.usage.fields(said) };
        let theirs = if let PluginState::Differs { theirs, .. } = &self.state { theirs.as_ref() } else { None };
        let other = match &self.state {
            PluginState::Duplicate(other) | PluginState::NotOnServer { renamed_from: Some(other) } => {
                Some(other.id.as_str())
            }
            _ => None,
        };
        let why = match self.state {
            PluginState::EditedThere => Some("edited_on_server"),
            PluginState::RolledBack => Some("rolled_back"),
            PluginState::Blocked { .. } => Some("blocked"),
            PluginState::Duplicate(_) => Some("twin"),
            _ => None,
        };
        let said = said.with("server_plugin_version", json!(theirs)).with("other_id", json!(other));
        said.with("words", json!(words)).with("reason", json!(why))
    }
}

fn position(switch: Switch, is: bool) -> &'static str {
    match (switch, is) {
        (Switch::Active, true) => "on",
        (Switch::Active, false) => "off",
        (Switch::Global, true) => "global",
        (Switch::Global, false) => "not global",
    }
}

/// What is said of a switch that is as the user wants it.
pub(super) fn switched(
    about: &Subject,
    switch: Switch,
    is: bool,
    before: bool,
    usage: Use,
    commands: &Commands,
) -> Said {
    let message = format!("{} {}", name(about), stands(switch, is, before, usage));
    let said = Said::info("switched", message).with("switch", json!(switch));
    let said = said.with("was_so_before", json!(before));
    let hint = but(switch, is, usage).and_then(|(_, condition)| condition.remedies(about, commands));
    Said { hint, ..usage.fields(said) }
}

/// The same without the name of the function.
pub(super) fn stands(switch: Switch, is: bool, before: bool, usage: Use) -> String {
    let how = match (switch, is, before) {
        (.., true) => format!("already {}", position(switch, is)),
        (Switch::Global, false, false) => "no longer global".to_owned(),
        (.., false) => format!("{} now", position(switch, is)),
    };
    format!("is {how}{}", but(switch, is, usage).map_or("", |(but, _)| but))
}

/// What keeps the function from being used all the same.
fn but(switch: Switch, is: bool, usage: Use) -> Option<(&'static str, Condition)> {
    match (switch, usage) {
        (_, Use { is_unused: true, .. }) => Some((", and no model uses it", Condition::Unused)),
        (Switch::Global, Use { active: Some(false), .. }) if is => Some((", but off", Condition::Off)),
        _ => None,
    }
}

/// What is said of a switch that is not as the user wants it.
pub(super) fn not_switched(
    about: &Subject,
    switch: Switch,
    wanted: bool,
    cause: SwitchFailure,
    commands: &Commands,
) -> Said {
    let (name, position) = (name(about), position(switch, wanted));
    let (message, hint) = match cause {
        SwitchFailure::NotGlobal => (format!("{name} cannot be global: only filters and actions can"), None),
        SwitchFailure::Tool => (format!("{name} has no switch: a model or a user picks a tool"), None),
        SwitchFailure::Absent => {
            let hint = about.path.as_ref().and_then(|_| Condition::NotOnServer.remedies(about, commands));
            (format!("{name} is not on the server"), hint)
        }
        SwitchFailure::Contested => (
            format!("{name} is not {position}: someone else switches it at the same moment"),
            Some("try again in a moment".to_owned()),
        ),
    };
    let said = Said::info("not_switched", message).at(Level::Error).with("switch", json!(switch));
    Said { hint, ..said }
}

/// The plugins of the server that have no file here, in one line.
pub(super) fn without_files(keys: &[Key]) -> String {
    let mut named: Vec<_> = keys.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    if keys.len() > MOST_NAMED {
        named.push(format!("{} more (--verbose names them)", keys.len() - MOST_NAMED));
    }
    let has = if keys.len() == 1 { "has" } else { "have" };
    let named = match named.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => named.join(""),
    };
    format!("{} of the server {has} no file here: {named}", count(keys.len(), "plugin"))
}

/// What writes the files of those.
pub(super) fn pulls(keys: &[Key], commands: &Commands) -> String {
    let pull = |named: &str| commands.line("pull", named);
    match keys {
        [key] => format!("{} writes it", pull(key.id.as_str())),
        _ => format!("{} writes one, {} writes all of them", pull("ID"), pull("--all")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes every snapshot with them")]

    use std::fmt::Write as _;

    use expect_test::expect;

    use super::super::StatusCounts;
    use super::*;
    use crate::engine::duplicate::MatchedBy;
    use crate::notice::{Notice, Report};
    use crate::plugin::id::PluginId;
    use crate::plugin::{Key, Kind};

    fn about(path: bool) -> Subject {
        let key = Key { kind: Kind::Function, id: PluginId::new("shout").unwrap() };
        Subject { path: path.then(|| Arc::from(Path::new("plugins/shout.py"))), ..Subject::from(&key) }
    }

    fn usage(active: bool, global: bool, is_unused: bool) -> Use {
        Use { active: Some(active), global: Some(global), is_unused }
    }

    #[test]
    fn each_state_has_its_row() {
        let span = Some(Span { line: 3, column: 5, width: 1, source: "x".to_owned() });
        let text = || "words".to_owned();
        let id = PluginId::new("old").unwrap();
        let (off, on) = (usage(false, false, false), usage(true, true, false));
        let mut table = String::new();
        for (state, usage) in [
            (PluginState::Same, on),
            (PluginState::Same, off),
            (PluginState::Same, self::usage(true, false, true)),
            (PluginState::Same, Use::default()),
            (PluginState::Broken { message: text(), span: span.clone() }, off),
            (PluginState::Broken { message: text(), span: None }, Use::default()),
            (PluginState::Conflict { paths: vec![Arc::from(Path::new("a")), Arc::from(Path::new("b"))] }, on),
            (PluginState::Refused { refusal: Refusal::said("words\nand more"), span }, on),
            (PluginState::EditedThere, on),
            (PluginState::RolledBack, on),
            (
                PluginState::Blocked {
                    message: "`Users.get_users` has been a coroutine since 0.9, but is not awaited".to_owned(),
                    span: Some(Span { line: 3, column: 5, width: 1, source: "    Users.get_users()".to_owned() }),
                },
                on,
            ),
            (PluginState::Duplicate(Duplicate { id, matched_by: MatchedBy::OpenwebuiId }), Use::default()),
            (PluginState::Differs { theirs: Some("1.0".to_owned()), ours: None }, off),
            (PluginState::Differs { theirs: Some("1.0".to_owned()), ours: Some("1.0".to_owned()) }, on),
            (PluginState::NotOnServer { renamed_from: None }, Use::default()),
            (PluginState::OnlyOnServer, on),
            (PluginState::Unknown { why: text() }, Use::default()),
        ] {
            let status = PluginStatus { state, usage };
            let path = (status.state != PluginState::OnlyOnServer).then_some(Path::new("p.py"));
            let (sign, label, detail) = (status.sign(), status.label(), status.detail(path));
            writeln!(table, "{sign} {} | {label} | {detail} | {}", status.condition().word(), status.is_wrong())
                .unwrap();
        }
        expect![[r#"
            ✓ ok | ok | p.py | false
            · off | off | p.py | false
            ! unused | used by no model | p.py | false
            ✓ ok | ok | p.py | false
            ✗ broken | broken (off) | p.py:3:5: words | true
            ✗ broken | broken | p.py: words | true
            ✗ conflict | claimed twice | `a` and `b` claim this id | true
            ✗ refused | refused | p.py:3:5: words | true
            ✗ held | held | p.py: someone else changed it on the server | true
            ✗ held | held | p.py: rolled back; not deployed until the file changes | true
            ✗ held | held | p.py:3:5: `Users.get_users` has been a coroutine since 0.9, but is not awaited | true
            ✗ held | held | p.py: the server seems to have it as `old` | true
            ✗ differs | differs (off) | p.py: the server has version 1.0 | true
            ✗ differs | differs | p.py: the server has another text | true
            ✗ not_on_server | not on the server | p.py | true
            · only_on_server | only on the server |  | false
            ! unknown | unknown | p.py: words | false
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn each_remedy_is_told_once_and_fits_the_state() {
        let same = |id| {
            PluginState::Duplicate(Duplicate { id: PluginId::new(id).unwrap(), matched_by: MatchedBy::OpenwebuiId })
        };
        let remedies = |states: &[PluginState]| {
            let status = |state: &PluginState| PluginStatus { state: state.clone(), usage: Use::default() };
            let counts = StatusCounts::of(states.iter().map(|state| (about(true), status(state))).collect());
            Notice::report(Subject::default(), Report::StatusCounts(counts)).hint().unwrap_or_default()
        };
        // A second one would be created.
        expect![[r#"
            if it is the same plugin, write `id = "old"` under `[plugins."plugins/shout.py"]` in watch.toml
            if it is another one, `owui-watch deploy --yes shout` creates it (with --once: add --yes)"#]]
        .assert_eq(&remedies(&[same("old")]));
        expect![[r#"
            `owui-watch deploy ID` deploys it
            `owui-watch pull shout` takes the server's text
            `owui-watch deploy shout` deploys yours
            if it is the same plugin, write `id = "old"` under `[plugins."plugins/shout.py"]` in watch.toml
            if it is another one, `owui-watch deploy --yes shout` creates it (with --once: add --yes)"#]]
        .assert_eq(&remedies(&[
            PluginState::EditedThere,
            same("old"),
            PluginState::NotOnServer { renamed_from: None },
            PluginState::NotOnServer { renamed_from: None },
        ]));
    }

    #[test]
    fn a_switch_is_told_with_what_follows() {
        let mut table = String::new();
        for (switch, is, before, usage) in [
            (Switch::Active, true, false, usage(true, true, false)),
            (Switch::Active, true, true, usage(true, false, true)),
            (Switch::Active, false, false, usage(false, true, false)),
            (Switch::Global, true, false, usage(true, true, false)),
            (Switch::Global, true, true, usage(false, true, false)),
            (Switch::Global, false, false, usage(true, false, true)),
        ] {
            let notice = Notice::report(about(true), Report::Switched { switch, is, before, usage });
            writeln!(table, "{} | {}", notice.sentence(), notice.hint().unwrap_or_default().replace('\n', " | "))
                .unwrap();
        }
        for (switch, cause, path) in [
            (Switch::Active, SwitchFailure::Tool, true),
            (Switch::Global, SwitchFailure::NotGlobal, true),
            (Switch::Active, SwitchFailure::Absent, true),
            (Switch::Global, SwitchFailure::Absent, false),
            (Switch::Global, SwitchFailure::Contested, false),
        ] {
            let notice = Notice::report(about(path), Report::NotSwitched { switch, wanted: true, cause });
            writeln!(table, "{} | {}", notice.sentence(), notice.hint().unwrap_or_default()).unwrap();
        }
        expect![[r#"
            `plugins/shout.py` is on now | 
            `plugins/shout.py` is already on, and no model uses it | `owui-watch global on shout` has all models use it | attach it to a model under Workspace > Models
            `plugins/shout.py` is off now | 
            `plugins/shout.py` is global now | 
            `plugins/shout.py` is already global, but off | `owui-watch on shout` switches it on
            `plugins/shout.py` is no longer global, and no model uses it | `owui-watch global on shout` has all models use it | attach it to a model under Workspace > Models
            `plugins/shout.py` has no switch: a model or a user picks a tool | 
            `plugins/shout.py` cannot be global: only filters and actions can | 
            `plugins/shout.py` is not on the server | `owui-watch deploy shout` deploys it
            function shout is not on the server | 
            function shout is not global: someone else switches it at the same moment | try again in a moment
        "#]].assert_eq(&table);
    }
}
