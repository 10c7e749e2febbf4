//! The reports of the commands. Most are rare, so each has its words, fields and English in one place.

mod condition;
mod doctor;
mod history;
mod service;
mod status;
mod trial;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::Commands;
use super::format::count;
use super::hint::of_duplicate;
use super::phrase::not_created;
use super::{Level, Subject, TrialResult};
use crate::engine::duplicate::Duplicate;
use crate::engine::switch::Switch;
use crate::paths::slashed;
use crate::plugin::{Key, Kind};
pub use condition::StatusCounts;
pub use doctor::{Area, Examination, Finding, Verdict};
pub use history::{ChangedLines, HistoryEntry, Provenance};
pub use service::{ServiceEvent, ServiceStatus};
pub use status::{PluginState, PluginStatus, Use};

/// A fact that a command reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The settings were found in a folder above the current one.
    FoundProject {
        /// That folder.
        folder: PathBuf,
    },
    /// No server is configured, so the command works on the sandbox of the project, which runs.
    OnSandbox {
        /// Its address.
        server: String,
    },
    /// A task failed.
    Failed {
        /// What failed.
        task: Task,
        /// What could not be done, and why.
        message: String,
        /// The remedies, one a line.
        hint: Option<String>,
    },
    /// The user declined a task.
    Declined {
        /// What was not done.
        task: Task,
        /// The folder that was not trusted.
        folder: Option<PathBuf>,
    },
    /// The file and the server hold the same text.
    Same {
        /// How much that matters.
        level: Level,
    },
    /// Two texts differ.
    Difference {
        /// As `diff -u` shows it.
        diff: String,
        /// What is compared.
        between: Between,
    },
    /// Two texts differ, by so many lines.
    ChangedLines(ChangedLines),
    /// The server seems to have it under another id; the user is asked whether to create it all the same.
    Duplicate(Duplicate),
    /// The server does not have the plugin.
    NotOnServer {
        /// How much that matters.
        level: Level,
    },
    /// The plugin has no file here.
    NoFile {
        /// Whether [`Report::NoFiles`] follows.
        listed: bool,
    },
    /// The plugin is neither here nor on the server.
    Nowhere,
    /// These plugins of the server have no file here.
    NoFiles {
        /// All of them.
        keys: Vec<Key>,
        /// Whether to say how to get the files.
        hinted: bool,
    },
    /// The server's plugins of one kind are too large to list.
    TooLarge(Kind),
    /// No file differs from the server.
    NoDifference {
        /// How many plugins were compared.
        plugins: usize,
    },
    /// `pull` found nothing to write.
    NothingToPull,
    /// The server's text was written to the file.
    Pulled {
        /// The version that it replaced.
        from_version: Option<String>,
        /// The copy of the replaced text; `None` for a new file.
        backup: Option<PathBuf>,
    },
    /// A plugin without a file was deleted from the server.
    DeletedStray {
        /// The copy of its text.
        backup: PathBuf,
    },
    /// The server already holds the text to restore.
    AlreadyOnServer,
    /// After a rollback the file is not deployed until it changes.
    RolledBack,
    /// A text that the plugin had.
    History(Box<HistoryEntry>),
    /// The plugin has no history.
    NoHistory,
    /// The user allowed what the settings ask for.
    Trusted {
        /// The folder of the settings.
        folder: PathBuf,
        /// What they may do.
        allowed: String,
    },
    /// The settings need no consent, or have it.
    NothingToTrust,
    /// How a plugin is, here and on the server.
    Status(PluginStatus),
    /// How many plugins are in which state.
    StatusCounts(StatusCounts),
    /// A switch of a function is as the user wants it.
    Switched {
        /// The switch.
        switch: Switch,
        /// How it stands.
        is: bool,
        /// Whether it stood like that before.
        before: bool,
        /// What the function is used for now.
        usage: Use,
    },
    /// A switch could not be set: somebody else flips it, or the server has no such function.
    NotSwitched {
        /// The switch.
        switch: Switch,
        /// How it should stand.
        wanted: bool,
        /// Why it does not.
        cause: SwitchFailure,
    },
    /// A trial ran the server's text, and the file has another.
    OtherText,
    /// A plugin was tried on the server.
    Tried {
        /// What was called, for example "model `shout`".
        called: String,
        /// The model that took part.
        model: String,
        /// How long it took.
        took: Duration,
        /// How it ended.
        result: TrialResult,
    },
    /// What `doctor` found.
    Doctor(Examination),
    /// The systemd service.
    Service {
        /// Its name.
        unit: String,
        /// What happened to it.
        event: ServiceEvent,
    },
}

/// The two texts of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Between {
    /// The server's text, and the file's.
    ServerAndFile,
    /// The server's text, and this one, which a rollback would restore.
    ServerAndRestored(String),
    /// This earlier text, and the file's; the server's if there is no file.
    EarlierAndNow(String),
}

/// Why a switch is not as the user wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchFailure {
    /// It is a tool.
    Tool,
    /// It is no filter and no action.
    NotGlobal,
    /// The server has no such function.
    Absent,
    /// Somebody else flips it at the same moment.
    Contested,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The whole run.
    Run,
    /// Comparing a plugin.
    Compare,
    /// Writing the server's text to a file.
    Pull,
    /// Restoring an earlier text.
    RollBack,
    /// Deleting a plugin from the server.
    Delete,
    /// Deploying a plugin.
    Deploy,
    /// Trying a plugin.
    Try,
    /// Trusting a folder.
    Trust,
}

/// The words, fields and English of a report.
pub(super) struct Said {
    /// The stable word for it: `event` in `--json`.
    pub(super) word: &'static str,
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// Fields of `--json`.
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn info(word: &'static str, message: impl Into<String>) -> Self {
        Self { word, level: Level::Info, message: message.into(), hint: None, fields: Vec::new() }
    }

    fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    fn hinted(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn with(mut self, name: &'static str, value: Value) -> Self {
        self.fields.push((name, value));
        self
    }
}

impl Report {
    /// The difference that a command prints for `patch`.
    pub(super) fn diff(&self) -> Option<&str> {
        match self {
            Report::Difference { diff, .. } | Report::Service { event: ServiceEvent::Edited { diff, .. }, .. } => {
                Some(diff)
            }
            _ => None,
        }
    }

    /// The sentence for a line that names the plugin already, where that one differs.
    pub(super) fn without_name(&self) -> Option<String> {
        match self {
            Report::Switched { switch, is, before, usage } => Some(status::stands(*switch, *is, *before, *usage)),
            Report::DeletedStray { backup } => {
                Some(format!("deleted from the server; a copy is in `{}`", slashed(backup)))
            }
            _ => None,
        }
    }

    #[expect(clippy::too_many_lines, reason = "one table")]
    pub(super) fn said(&self, about: &Subject, commands: &Commands) -> Said {
        let name = name(about);
        let run = |command: &str| commands.on(about, command);
        let path = slashed(about.path.as_deref().unwrap_or(Path::new("")));
        match self {
            Report::FoundProject { folder } => Said::info("project", format!("the project is `{}`", slashed(&folder)))
                .with("folder", json!(slashed(folder))),
            Report::OnSandbox { server } => {
                Said::info("on_sandbox", format!("on the sandbox at {server}")).with("server", json!(server))
            }
            Report::Failed { task, message, hint } => {
                let word = match task {
                    Task::Compare => "not_compared",
                    Task::Pull => "not_pulled",
                    Task::Try => "not_tried",
                    Task::Run | Task::RollBack | Task::Delete | Task::Deploy | Task::Trust => "error",
                };
                Said { hint: hint.clone(), ..Said::info(word, message).at(Level::Error) }
            }
            Report::Declined { task, folder } => {
                Said::info("left_alone", task.nothing_done()).with("folder", json!(folder.as_deref().map(slashed)))
            }
            Report::Same { level } => Said::info("same", format!("{name} equals the text on the server")).at(*level),
            Report::Difference { diff, between } => {
                let message = match between {
                    Between::ServerAndFile => format!("{name} differs from the server"),
                    Between::ServerAndRestored(text) => {
                        format!("rolling back to {text} would change the server's text")
                    }
                    Between::EarlierAndNow(text) => format!("{name} differs from {text}"),
                };
                Said::info("difference", message).with("diff", json!(diff))
            }
            Report::ChangedLines(lines) => Said::info("difference", format!("{name} {lines}"))
                .with("added", json!(lines.added))
                .with("removed", json!(lines.removed)),
            Report::Duplicate(duplicate) => Said::info("trouble", not_created(duplicate))
                .at(Level::Warning)
                .hinted(of_duplicate(about, duplicate, commands)),
            Report::NotOnServer { level } => {
                Said::info("not_on_server", format!("{name} is not on the server")).at(*level)
            }
            Report::NoFile { listed } => {
                let said = Said::info("no_file", format!("{name} has no file here"));
                if *listed { said.at(Level::Detail) } else { said.hinted(format!("{} writes one", run("pull"))) }
            }
            Report::Nowhere => Said::info("no_file", format!("{name} is neither here nor on the server")),
            Report::NoFiles { keys, hinted } => {
                let said = Said::info("no_files", status::without_files(keys)).with("plugins", json!(keys.len()));
                if *hinted { said.hinted(status::pulls(keys, commands)) } else { said }
            }
            Report::TooLarge(kind) => {
                let message = "are too large to list; only those with a file here are compared";
                Said::info("not_compared", format!("the server's {}s {message}", kind.word())).at(Level::Warning)
            }
            Report::NoDifference { plugins } => {
                Said::info("no_difference", format!("no difference ({})", count(*plugins, "plugin")))
            }
            Report::NothingToPull => Said::info("no_difference", "nothing to pull: no file differs from the server"),
            Report::Pulled { from_version, backup: Some(backup) } => {
                let versions = match (from_version.as_deref(), about.version.as_deref()) {
                    (old, new) if old == new => new.map(|new| format!(" {new}")).unwrap_or_default(),
                    (old, new) => format!(" {} → {}", old.unwrap_or("none"), new.unwrap_or("none")),
                };
                let backup = slashed(backup);
                Said::info("pulled", format!("pulled {path}{versions}; a copy of the old text is in {backup}"))
                    .with("from_version", json!(from_version))
                    .with("backup", json!(backup))
            }
            Report::Pulled { .. } => {
                let key = about.key.as_ref().map(Key::to_string).unwrap_or_default();
                Said::info("pulled", format!("pulled {key} to the new file {path}"))
            }
            Report::DeletedStray { backup } => {
                Said::info("deleted", format!("deleted {name} from the server; a copy is in `{}`", slashed(backup)))
                    .with("backup", json!(slashed(backup)))
            }
            Report::AlreadyOnServer => Said::info("unchanged", format!("the server already has this text of {name}")),
            Report::RolledBack => Said::info("rolled_back", format!("{name} is not deployed again until it changes"))
                .hinted(format!("{} writes the server's text to it", run("pull"))),
            Report::History(entry) => entry.said(),
            Report::NoHistory => Said::info("no_history", format!("{name} has no history yet")),
            Report::Trusted { folder, allowed } => {
                Said::info("trusted", format!("allowed from now on: {allowed}")).with("folder", json!(slashed(folder)))
            }
            Report::NothingToTrust => {
                Said::info("nothing_to_trust", "these settings need no consent, or you have given it already")
            }
            Report::Status(status) => status.said(about, commands),
            Report::StatusCounts(counts) => counts.said(commands),
            Report::Switched { switch, is, before, usage } => {
                status::switched(about, *switch, *is, *before, *usage, commands)
            }
            Report::NotSwitched { switch, wanted, cause } => {
                status::not_switched(about, *switch, *wanted, *cause, commands)
            }
            Report::OtherText => {
                Said::info("other_text", format!("{name} differs from the server's text; the server's text is tried"))
                    .at(Level::Warning)
                    .hinted(format!("{} shows the difference", run("diff")))
            }
            Report::Tried { called, model, took, result } => {
                result.said(about, &name, called, *took, commands).with("model", json!(model))
            }
            Report::Doctor(examination) => examination.said(),
            Report::Service { unit, event } => event.said(unit).with("unit", json!(unit)),
        }
    }
}

impl Task {
    /// The result if the user declines it.
    #[must_use]
    pub fn nothing_done(self) -> &'static str {
        match self {
            Task::Run | Task::Compare => "nothing was done",
            Task::Pull => "nothing was written",
            Task::RollBack => "nothing was restored",
            Task::Delete => "nothing was deleted",
            Task::Deploy => "nothing was deployed",
            Task::Try => "nothing was tried",
            Task::Trust => "nothing is allowed",
        }
    }
}

/// A plugin as messages name it: by its file if it has one.
fn name(about: &Subject) -> String {
    match (&about.path, &about.key) {
        (Some(path), _) => format!("`{}`", slashed(&path)),
        (None, Some(key)) => key.to_string(),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::Arc;

    use expect_test::expect;

    use super::*;
    use crate::engine::duplicate::MatchedBy;
    use crate::notice::{Notice, TrialFailure};
    use crate::plugin::Digest;
    use crate::plugin::id::PluginId;

    fn key(id: &str) -> Key {
        Key { kind: Kind::Function, id: PluginId::new(id).unwrap() }
    }

    fn samples() -> Vec<(Subject, Report)> {
        let alone = Subject::from(&key("shout"));
        let here = Subject { path: Some(Arc::from(Path::new("plugins/shout.py"))), ..alone.clone() };
        let stored = Subject { version: Some("1.1".to_owned()), digest: Some(Digest::of(b"v1")), ..here.clone() };
        let (general, file, diff) = (Subject::default(), PathBuf::from("u.service"), "-a\n+b\n".to_owned());
        let failed = |task| Report::Failed { task, message: "a message".to_owned(), hint: Some("a hint".to_owned()) };
        let declined = |task, folder| Report::Declined { task, folder };
        let no_files = |n: usize| {
            let keys = ["a", "b", "c", "d", "e", "f", "g"].map(key)[..n].to_vec();
            Report::NoFiles { keys, hinted: n > 1 }
        };
        let pulled = |backup: Option<PathBuf>| Report::Pulled {
            from_version: backup.as_ref().map(|_| "1.0".to_owned()),
            backup,
        };
        let tried = |result| Report::Tried {
            called: "model `shout`".to_owned(),
            model: "shout".to_owned(),
            took: Duration::from_millis(34),
            result,
        };
        let status = ServiceStatus {
            state: "active".to_owned(),
            sub_state: "running".to_owned(),
            enabled: "enabled".to_owned(),
            since: Some("today".to_owned()),
            restarts: Some(2),
            status: Some("watching".to_owned()),
            log: vec!["a line".to_owned()],
        };
        let stopped = ServiceStatus { state: "inactive".to_owned(), ..ServiceStatus::default() };
        let reports = [
            (general.clone(), failed(Task::Run)),
            (here.clone(), failed(Task::Compare)),
            (here.clone(), failed(Task::Pull)),
            (general.clone(), declined(Task::Pull, None)),
            (general.clone(), declined(Task::RollBack, None)),
            (alone.clone(), declined(Task::Delete, None)),
            (general.clone(), declined(Task::Trust, Some(PathBuf::from("folder")))),
            (general.clone(), Report::FoundProject { folder: "/home/me/bot".into() }),
            (general.clone(), Report::OnSandbox { server: "http://127.0.0.1:8470".to_owned() }),
            (
                here.clone(),
                Report::Duplicate(Duplicate {
                    id: PluginId::new("old").unwrap(),
                    matched_by: MatchedBy::TitleAndAuthor,
                }),
            ),
            (here.clone(), Report::Same { level: Level::Info }),
            (here.clone(), Report::Difference { diff: diff.clone(), between: Between::ServerAndFile }),
            (
                alone.clone(),
                Report::Difference { diff: diff.clone(), between: Between::ServerAndRestored("1.0".to_owned()) },
            ),
            (
                here.clone(),
                Report::Difference { diff: diff.clone(), between: Between::EarlierAndNow("1.0".to_owned()) },
            ),
            (here.clone(), Report::ChangedLines(ChangedLines { added: 3, removed: 1 })),
            (here.clone(), Report::NotOnServer { level: Level::Error }),
            (alone.clone(), Report::NoFile { listed: false }),
            (alone.clone(), Report::NoFile { listed: true }),
            (alone.clone(), Report::Nowhere),
            (general.clone(), no_files(1)),
            (general.clone(), no_files(2)),
            (general.clone(), no_files(7)),
            (general.clone(), Report::TooLarge(Kind::Tool)),
            (general.clone(), Report::NoDifference { plugins: 1 }),
            (general.clone(), Report::NothingToPull),
            (stored.clone(), pulled(Some(PathBuf::from("copy.py")))),
            (stored.clone(), pulled(None)),
            (alone.clone(), Report::DeletedStray { backup: PathBuf::from("copy") }),
            (stored.clone(), Report::AlreadyOnServer),
            (here.clone(), Report::RolledBack),
            (stored, Report::History(Box::new(HistoryEntry::sample()))),
            (alone, Report::NoHistory),
            (general.clone(), Report::Trusted { folder: "folder".into(), allowed: "read a key".to_owned() }),
            (general.clone(), Report::NothingToTrust),
            (here.clone(), Report::OtherText),
            (here.clone(), failed(Task::Try)),
            (here.clone(), tried(TrialResult::Works { answer: Some("HELLO".to_owned()), diff: None })),
            (here.clone(), tried(TrialResult::Works { answer: None, diff: Some("-a\n+b\n".to_owned()) })),
            (here.clone(), tried(TrialResult::Answered { answer: "5".to_owned(), why: "who knows".to_owned() })),
            (here, tried(TrialResult::Fails(TrialFailure::new("'nope'")))),
        ];
        let events = [
            ServiceEvent::Written(file.clone()),
            ServiceEvent::Unchanged(file.clone()),
            ServiceEvent::Edited { file: file.clone(), diff },
            ServiceEvent::Removed(file.clone()),
            ServiceEvent::HardeningRemoved(file),
            ServiceEvent::Started { folder: "folder".into() },
            ServiceEvent::Log,
            ServiceEvent::NoLinger,
            ServiceEvent::Status(status),
            ServiceEvent::Status(stopped),
            ServiceEvent::Missing { folder: "folder".into(), hinted: true },
        ];
        let events = events.map(|event| (Subject::default(), Report::Service { unit: "u".to_owned(), event }));
        reports.into_iter().chain(events).collect()
    }

    #[test]
    fn reports_keep_their_words_and_fields() {
        let mut table = String::new();
        for (about, report) in samples() {
            let mut json = Notice::report(about, report).to_json("now", &Commands::default());
            let fields = json.as_object_mut().unwrap();
            let mut take = |name| fields.remove(name).map(|value| value.as_str().unwrap().to_owned());
            take("time");
            let (event, level) = (take("event").unwrap(), take("level").unwrap());
            let (message, hint) = (take("message").unwrap(), take("hint"));
            let hint = hint.map(|hint| format!(" | {hint}")).unwrap_or_default();
            writeln!(table, "{event} {level}: {message}{hint} {json}").unwrap();
        }
        expect![[r#"
            error error: a message | a hint {}
            not_compared error: a message | a hint {"id":"shout","kind":"function","path":"plugins/shout.py"}
            not_pulled error: a message | a hint {"id":"shout","kind":"function","path":"plugins/shout.py"}
            left_alone info: nothing was written {}
            left_alone info: nothing was restored {}
            left_alone info: nothing was deleted {"id":"shout","kind":"function"}
            left_alone info: nothing is allowed {"folder":"folder"}
            project info: the project is `/home/me/bot` {"folder":"/home/me/bot"}
            on_sandbox info: on the sandbox at http://127.0.0.1:8470 {"server":"http://127.0.0.1:8470"}
            trouble warning: not created: the server has a plugin with the same title and author under the id `old` | if it is the same plugin, write `id = "old"` under `[plugins."plugins/shout.py"]` in watch.toml
            if it is another one, `owui-watch deploy --yes shout` creates it (with --once: add --yes) {"id":"shout","kind":"function","path":"plugins/shout.py"}
            same info: `plugins/shout.py` equals the text on the server {"id":"shout","kind":"function","path":"plugins/shout.py"}
            difference info: `plugins/shout.py` differs from the server {"diff":"-a\n+b\n","id":"shout","kind":"function","path":"plugins/shout.py"}
            difference info: rolling back to 1.0 would change the server's text {"diff":"-a\n+b\n","id":"shout","kind":"function"}
            difference info: `plugins/shout.py` differs from 1.0 {"diff":"-a\n+b\n","id":"shout","kind":"function","path":"plugins/shout.py"}
            difference info: `plugins/shout.py` +3 −1 {"added":3,"id":"shout","kind":"function","path":"plugins/shout.py","removed":1}
            not_on_server error: `plugins/shout.py` is not on the server {"id":"shout","kind":"function","path":"plugins/shout.py"}
            no_file info: function shout has no file here | `owui-watch pull shout` writes one {"id":"shout","kind":"function"}
            no_file detail: function shout has no file here {"id":"shout","kind":"function"}
            no_file info: function shout is neither here nor on the server {"id":"shout","kind":"function"}
            no_files info: 1 plugin of the server has no file here: function a {"plugins":1}
            no_files info: 2 plugins of the server have no file here: function a and function b | `owui-watch pull ID` writes one, `owui-watch pull --all` writes all of them {"plugins":2}
            no_files info: 7 plugins of the server have no file here: function a, function b, function c, function d, function e and 2 more (--verbose names them) | `owui-watch pull ID` writes one, `owui-watch pull --all` writes all of them {"plugins":7}
            not_compared warning: the server's tools are too large to list; only those with a file here are compared {}
            no_difference info: no difference (1 plugin) {}
            no_difference info: nothing to pull: no file differs from the server {}
            pulled info: pulled plugins/shout.py 1.0 → 1.1; a copy of the old text is in copy.py {"backup":"copy.py","digest":"3bfc269594ef649228e9a74bab00f042efc91d5acc6fbee31a382e80d42388fe","from_version":"1.0","id":"shout","kind":"function","path":"plugins/shout.py","version":"1.1"}
            pulled info: pulled function shout to the new file plugins/shout.py {"digest":"3bfc269594ef649228e9a74bab00f042efc91d5acc6fbee31a382e80d42388fe","id":"shout","kind":"function","path":"plugins/shout.py","version":"1.1"}
            deleted info: deleted function shout from the server; a copy is in `copy` {"backup":"copy","id":"shout","kind":"function"}
            unchanged info: the server already has this text of `plugins/shout.py` {"digest":"3bfc269594ef649228e9a74bab00f042efc91d5acc6fbee31a382e80d42388fe","id":"shout","kind":"function","path":"plugins/shout.py","version":"1.1"}
            rolled_back info: `plugins/shout.py` is not deployed again until it changes | `owui-watch pull shout` writes the server's text to it {"id":"shout","kind":"function","path":"plugins/shout.py"}
            history info: 1.1 3bfc2695 {"added":3,"at":"1970-01-01T00:00:00Z","commit_message":"a fix","copy":"copy","current":true,"digest":"3bfc269594ef649228e9a74bab00f042efc91d5acc6fbee31a382e80d42388fe","id":"shout","kind":"function","path":"plugins/shout.py","removed":1,"server_version_id":"v1","version":"1.1","what":"on_the_server"}
            no_history info: function shout has no history yet {"id":"shout","kind":"function"}
            trusted info: allowed from now on: read a key {"folder":"folder"}
            nothing_to_trust info: these settings need no consent, or you have given it already {}
            other_text warning: `plugins/shout.py` differs from the server's text; the server's text is tried | `owui-watch diff shout` shows the difference {"id":"shout","kind":"function","path":"plugins/shout.py"}
            not_tried error: a message | a hint {"id":"shout","kind":"function","path":"plugins/shout.py"}
            works info: `plugins/shout.py` works: model `shout`, 34 ms {"answer":"HELLO","id":"shout","kind":"function","model":"shout","ms":34.0,"path":"plugins/shout.py"}
            works info: `plugins/shout.py` works: model `shout`, 34 ms {"diff":"-a\n+b\n","id":"shout","kind":"function","model":"shout","ms":34.0,"path":"plugins/shout.py"}
            answered info: `plugins/shout.py` answered: model `shout`, 34 ms; who knows {"answer":"5","id":"shout","kind":"function","model":"shout","ms":34.0,"path":"plugins/shout.py"}
            fails error: `plugins/shout.py` fails: model `shout`, 34 ms: 'nope' {"id":"shout","kind":"function","model":"shout","ms":34.0,"path":"plugins/shout.py","words":"'nope'"}
            unit_written info: wrote `u.service` {"file":"u.service","unit":"u"}
            unit_unchanged info: nothing has changed in `u.service` {"file":"u.service","unit":"u"}
            unit_edited info: someone has edited `u.service` {"diff":"-a\n+b\n","file":"u.service","unit":"u"}
            unit_removed info: stopped the service and removed `u.service` {"file":"u.service","unit":"u"}
            hardening_removed info: removed `u.service` {"file":"u.service","unit":"u"}
            service_started info: u runs, now and after each login {"folder":"folder","unit":"u"}
            service_log info: its log: journalctl --user -u u -f {"command":"journalctl --user -u u -f","unit":"u"}
            no_linger info: it ends when you log out | `loginctl enable-linger` keeps your services running while you are not logged in {"unit":"u"}
            service_status info: u: active (running) since today, enabled, restarts: 2 {"enabled":"enabled","log":["a line"],"restarts":2,"since":"today","state":"active","status":"watching","sub_state":"running","unit":"u"}
            service_status info: u: inactive (),  {"enabled":"","log":[],"state":"inactive","sub_state":"","unit":"u"}
            no_service info: there is no service for `folder` | `owui-watch service install` installs one {"unit":"u"}
        "#]].assert_eq(&table);
    }
}
