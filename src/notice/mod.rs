//! The facts that the user may be told. The English stands in `text.rs` and `hint.rs`, and only there; programs read
//! the stable words of `json.rs`.
//!
//! Long because one enum has every fact.

mod again;
pub mod board;
mod commands;
mod format;
mod hint;
mod json;
mod level;
mod log;
mod outcome;
mod phrase;
mod report;
mod summary;
mod text;
mod traceback;
mod trial;

#[cfg(test)]
pub(crate) mod samples;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::OnDelete;
use crate::engine::deploy::{Cause, Failure};
use crate::engine::duplicate::Duplicate;
use crate::engine::ledger::Refusal;
use crate::engine::plan::Why;
use crate::paths::slashed;
use crate::plugin::{Diagnostic, Digest, Entry, Key, Plugin, Span};

pub use crate::engine::KeepReason;
pub use crate::engine::plan::WaitReason;
pub use again::Repetitions;
pub use commands::Commands;
pub use format::{count, duration, format_place, named};
pub use hint::{A_PLUGIN_IS, of_call, set_id, trial_setting};
pub use level::Level;
pub use report::{
    Area, Between, ChangedLines, Examination, Finding, HistoryEntry, PluginState, PluginStatus, Provenance, Report,
    ServiceEvent, ServiceStatus, StatusCounts, SwitchFailure, Task, Use, Verdict,
};
pub use summary::PassSummary;
pub use text::call_failed;
pub(crate) use traceback::class_of;
pub use traceback::{Frame, Raised};
pub use trial::{Suspect, TrialFailure, TrialRemedy, TrialResult, Tried, Untried};

/// One thing that happened, and what it happened to.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The plugin or file, where it is about one.
    pub about: Subject,
    /// What happened.
    pub what: NoticeKind,
}

/// Which plugin a notice is about; empty for one about the whole program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its name on the server.
    pub key: Option<Key>,
    /// Its type.
    pub entry: Option<Entry>,
    /// Its file.
    pub path: Option<Arc<Path>>,
    /// The version in its frontmatter.
    pub version: Option<String>,
    /// The digest of its text.
    pub digest: Option<Digest>,
    /// How many of the first parts of its path lead to the folder of `watch.toml`.
    pub settings_depth: u8,
}

impl Subject {
    /// The same, as the `watch.toml` in this folder names it.
    #[must_use]
    pub fn in_project(self, folder: &Path) -> Self {
        let is_below = self.path.as_ref().is_some_and(|path| path.starts_with(folder));
        let depth = if is_below { folder.components().count() } else { 0 };
        Self { settings_depth: depth.try_into().unwrap_or(0), ..self }
    }

    /// The header of its table in `watch.toml`; with the name of a table in it, that one's.
    pub(super) fn table(&self, inner: &str) -> String {
        let parts = self.path.iter().flat_map(|path| path.components()).skip(self.settings_depth.into());
        format!("`[plugins.\"{}\"{inner}]`", slashed(&parts.collect::<PathBuf>()))
    }

    /// A file that is not a plugin, at least not yet.
    #[must_use]
    pub fn file(path: &Arc<Path>) -> Self {
        Self { path: Some(Arc::clone(path)), ..Self::default() }
    }
}

impl From<&Key> for Subject {
    fn from(key: &Key) -> Self {
        Self { key: Some(key.clone()), ..Self::default() }
    }
}

impl From<&Plugin> for Subject {
    fn from(plugin: &Plugin) -> Self {
        Self {
            key: Some(plugin.key.clone()),
            entry: Some(plugin.entry),
            path: Some(Arc::clone(&plugin.path)),
            version: plugin.frontmatter.version().map(str::to_owned),
            digest: Some(plugin.digest),
            settings_depth: 0,
        }
    }
}

/// What happened, with the facts.
#[derive(Clone, Debug, PartialEq)]
pub enum NoticeKind {
    /// The folders are watched: from now on no save is missed.
    Ready {
        /// What is watched.
        roots: Vec<PathBuf>,
        /// How many plugins were found.
        plugins: usize,
        /// The server that they are deployed to.
        server: String,
    },
    /// The server answered.
    Connected {
        /// Its address.
        server: String,
        /// The version that it reports.
        version: String,
    },
    /// The server's version is not among the tested ones; told once.
    Untested {
        /// The version that it reports.
        version: String,
    },
    /// There are no plugins.
    NothingFound {
        /// The folders that were searched.
        roots: Vec<PathBuf>,
    },
    /// A pass over all plugins begins to deploy.
    Pass {
        /// How many plugins are compared with the server.
        todo: usize,
    },
    /// A pass is over.
    Summary {
        /// Its counts.
        tally: PassSummary,
        /// How long it took.
        took: Duration,
        /// Whether it only showed what it would do.
        dry_run: bool,
    },
    /// The server is away; told once.
    Unreachable {
        /// Why.
        cause: Cause,
        /// Its address.
        server: String,
        /// The pause before the next try.
        next: Duration,
        /// How many plugins wait.
        waiting: usize,
        /// Whether the address was configured.
        configured: bool,
    },
    /// Another try failed; for those who want to see each one.
    StillUnreachable {
        /// Why.
        cause: String,
        /// How many tries have failed in a row.
        attempt: u32,
        /// The pause before the next try.
        next: Duration,
    },
    /// The server is back.
    Back {
        /// How long it was away.
        away: Duration,
        /// How many plugins waited.
        waiting: usize,
    },
    /// The server denied access before, and grants it now.
    AccessGranted {
        /// How many plugins waited.
        waiting: usize,
    },
    /// `--once` stops waiting for the server.
    GaveUp {
        /// How long it tried.
        after: Duration,
        /// The last failure.
        cause: Cause,
        /// Its address.
        server: String,
        /// Whether the address was configured.
        configured: bool,
    },
    /// The server denied access: nothing more is sent.
    NotAllowed {
        /// HTTP status, or 0 where no request was made.
        status: u16,
        /// The server's words.
        words: String,
        /// Where the key was found, if there is one.
        key: Option<String>,
    },
    /// What answers is not Open WebUI.
    Foreign {
        /// The address.
        server: String,
        /// HTTP status.
        status: u16,
        /// What the answer looks like.
        words: String,
    },
    /// The server is reached through a proxy.
    Proxied {
        /// The server's address.
        server: String,
        /// The proxy's address, without its password.
        proxy: String,
    },
    /// The connection is not encrypted.
    Insecure {
        /// The server's address.
        server: String,
        /// The proxy's address, without its password.
        proxy: Option<String>,
    },
    /// Waits for another owui-watch to exit, as `--wait` asks.
    InLine {
        /// Its process id, where known.
        pid: Option<u32>,
    },
    /// A folder to be watched does not exist.
    RootMissing {
        /// The folder.
        root: PathBuf,
    },
    /// A folder to be watched exists again.
    RootBack {
        /// The folder.
        root: PathBuf,
    },
    /// The settings were read again, because of a save or a signal.
    Reloaded {
        /// The files whose content changed.
        files: Vec<PathBuf>,
        /// The keys whose values differ.
        changed: Vec<&'static str>,
    },
    /// New settings wait for deploys in flight that take long.
    SettingsWait {
        /// The plugins in flight.
        ids: Vec<String>,
    },
    /// Stopping, once the deploys in flight are done.
    Stopping {
        /// How many deploys are in flight.
        in_flight: usize,
    },
    /// The program ends.
    Stopped {
        /// How many plugins the next start will try to deploy.
        waiting: usize,
        /// How many plugins the server refused.
        refused: usize,
        /// How many plugins wait for the user to decide.
        held: usize,
        /// How many files have errors.
        with_errors: usize,
    },
    /// The settings were changed and are invalid: the earlier ones stay in use.
    SettingsKept {
        /// What is wrong with the new ones.
        why: String,
        /// What to do about it.
        hint: Option<String>,
        /// Whether nothing is deployed until they are valid: they may be for another server.
        holds: bool,
    },
    /// Something other than a plugin needs attention: state, logs, watches.
    Trouble(Trouble),

    /// A plugin is compared with the server.
    Sending {
        /// Why.
        why: Why,
    },
    /// Walking and reading the folders takes long.
    ScanSlow {
        /// How long it has taken so far.
        so_far: Duration,
    },
    /// A deploy takes long.
    Slow {
        /// How long it has taken so far.
        so_far: Duration,
        /// The packages that its frontmatter requires.
        installs: Option<String>,
    },
    /// The server has a new plugin.
    Created {
        /// Whether it is on; functions only.
        active: Option<bool>,
        /// Whether the server makes new filters and actions global, as a sandbox does.
        global: bool,
        /// Whether it was deployed before, and is gone from the server, with its valves and sharing.
        again: bool,
        /// From the save, or from the beginning of the pass.
        took: Duration,
    },
    /// The server holds the new text.
    Updated {
        /// The version that was replaced.
        from: Option<String>,
        /// The copy of what was replaced, where that was not deployed from here.
        kept: Option<PathBuf>,
        /// Whether it is on; functions only.
        active: Option<bool>,
        /// From the save, or from the beginning of the pass.
        took: Duration,
    },
    /// The server holds this text already; nothing was sent.
    Unchanged {
        /// Found in a pass over all plugins, which is not worth a line.
        in_pass: bool,
        /// Whether it is on; only for functions whose switch was just read.
        active: Option<bool>,
        /// Whether the last notice about the file was an error, or that it was rolled back.
        good_again: bool,
    },
    /// Would be created, but for `--dry-run`.
    WouldCreate,
    /// Would be updated, but for `--dry-run`.
    WouldUpdate {
        /// The version that would be replaced.
        from: Option<String>,
        /// Whether what would be replaced was not deployed from here.
        foreign: bool,
    },
    /// Not deployed: someone edited it on the server, and `on_remote_edit` is `hold`.
    RemoteEdit {
        /// Its version.
        theirs: Option<String>,
    },
    /// Not created: the server seems to have it under another id.
    Duplicate {
        /// That id, and what matches.
        duplicate: Duplicate,
    },
    /// Not deployed: a rollback put an earlier text back.
    RolledBack,
    /// A deploy in flight replaced the text that a rollback put back.
    RollbackUndone {
        /// The digest of that text.
        put_back: Digest,
    },
    /// The server refused it.
    Refused {
        /// The reason.
        refusal: Refusal,
        /// The line that it names.
        span: Option<Span>,
        /// The packages that its frontmatter requires.
        requirements: Option<String>,
        /// Whether the server installs them.
        installs: bool,
        /// What the server still has, where known.
        old_version: Option<OldVersion>,
        /// From the save, or from the beginning of the pass.
        took: Duration,
    },
    /// The server failed, perhaps because of the text: it is sent again.
    Crashed {
        /// The server's words.
        words: String,
        /// The pause before that.
        next: Duration,
    },
    /// The server had switched the function off; it is on again.
    Restored,
    /// The server was checked after an interrupted deploy: all is as it was.
    Recovered,
    /// The server has switched the function off, and it could not be switched on again.
    WentOff {
        /// Why not.
        cause: String,
        /// Whether it is retried when the server answers.
        later: bool,
    },
    /// A new function could not be switched on, as `activate_new` asks.
    NotSwitchedOn {
        /// Why not.
        cause: String,
        /// Whether it is retried when the server answers.
        later: bool,
    },
    /// A new function was switched on, after an earlier try failed.
    SwitchedOn,
    /// It is on, but no model uses it.
    Unused,
    /// An older version of this editing session was deleted from the server's history.
    Pruned,
    /// The server refused the same text before.
    RefusedBefore {
        /// The reason.
        refusal: Refusal,
        /// The line that it names.
        span: Option<Span>,
        /// The packages that its frontmatter requires.
        requirements: Option<String>,
        /// Whether the server installs them.
        installs: bool,
        /// Whether the server has another version of it, as far as we know.
        on_server: bool,
    },
    /// It was not deployed, for a reason other than its text.
    Failed {
        /// The reason.
        failure: Failure,
        /// From the save, or from the beginning of the pass.
        took: Duration,
    },
    /// Its file is gone, and it was not removed from the server.
    NotRemoved {
        /// Whether it was to be deleted, and not switched off.
        deletes: bool,
        /// The reason.
        failure: Failure,
    },
    /// The file has an error; nothing was sent.
    Flawed {
        /// The error. Each has a notice of its own.
        diagnostic: Diagnostic,
        /// Of the bytes that were read; `None` if the file could not be read.
        digest: Option<Digest>,
        /// Whether the file seems to be meant as a plugin.
        meant: bool,
    },
    /// Not deployed: this error is certain to break it, and `check.block` is set. Each has a notice of its own.
    Blocked(Diagnostic),
    /// It is deployed, but something in it may surprise.
    Surprising(Diagnostic),
    /// Several files claim one id; none is deployed.
    Conflict {
        /// The files.
        paths: Vec<Arc<Path>>,
    },
    /// The plugin is gone here.
    Removed {
        /// The file exists, but is no longer a plugin.
        file_there: bool,
        /// Whether the server has a version of it, as far as we know.
        on_server: bool,
        /// What is done on the server unless it comes back, and when.
        next: Option<(OnDelete, Duration)>,
    },
    /// Its file is gone, and the function was switched off on the server.
    Deactivated,
    /// Its file is back, and the function is still off, since we switched it off.
    LeftOff,
    /// Its file is gone, and the plugin was deleted on the server.
    Deleted {
        /// The copy of the deleted text.
        kept: PathBuf,
    },
    /// Its file is gone, but the server keeps the plugin.
    Spared {
        /// Why.
        why: KeepReason,
    },
    /// The file's id changed; the server keeps the plugin under the old one too.
    IdChanged {
        /// The old id.
        from: Key,
    },
    /// It is not deployed yet.
    Waiting {
        /// What it waits for.
        reason: WaitReason,
        /// Whether it was sent meanwhile, in vain.
        again: bool,
    },
    /// A newer save replaced it before it was sent.
    Superseded,
    /// The file is empty, or being written or replaced; it is read again soon.
    Held,
    /// The file has been written to for a while; it is deployed when that ends.
    BeingWritten,
    /// `enabled = false`.
    Disabled,
    /// A link to a plugin that is deployed from its own path.
    SameFile {
        /// That path.
        original: PathBuf,
    },

    /// It is being tried.
    Trying,
    /// It was tried after its deploy.
    Tried(Box<Tried>),
    /// It was to be tried after its deploy, and was not.
    NotTried {
        /// Why.
        why: Untried,
        /// Whether the user asked for this trial in particular: the plugin has a table.
        asked_for: bool,
    },

    /// The sandbox's server called a plugin.
    Called {
        /// The method.
        hook: String,
        /// The name of the server's event, if the method is `event`.
        server_event: Option<String>,
        /// What it returned, in few words.
        result: String,
        /// Whether this method, or loading the plugin, raised an exception the last time.
        again: bool,
        /// How many calls this stands for.
        times: u64,
        /// How many calls of this event there were so far, where that is counted.
        total: Option<u64>,
        /// How long the calls that this stands for took together.
        took: Duration,
    },
    /// A plugin raised an exception in the sandbox, or by the server's log.
    Raised(Box<Raised>),
    /// A plugin printed or logged a line in the sandbox, or logged one by the server's log.
    Printed {
        /// The text of the line.
        text: String,
        /// The name of its level, for a log record.
        log_level: Option<String>,
        /// The line of the plugin that logged it, where known.
        line: Option<usize>,
    },
    /// A plugin printed more lines in the sandbox than are shown.
    PrintedMore {
        /// How many.
        count: usize,
    },
    /// A line of the sandbox's server's log.
    ServerLog {
        /// The line.
        text: String,
    },

    /// A command reports something.
    Report(Report),
}

/// What needs attention beside the plugins.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// An error or a warning that brings its own words.
    Told {
        /// What failed, and why.
        message: String,
        /// The remedies, one a line.
        hint: Option<String>,
    },
    /// The user named no plugin.
    UnknownName(String),
    /// The user named a file or folder that has no plugin.
    NoPluginIn(Vec<String>),
    /// The settings have a table for a file that does not exist.
    UnusedTable(PathBuf),
    /// A watched folder leads elsewhere now, and its settings are not trusted that far.
    RootLeadsOutside {
        /// The folder.
        root: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// A watch would not deploy the text of the file.
    WouldNotDeploy(PathBuf),
    /// The server does not show this account the versions of a plugin.
    VersionsHidden(Key),
    /// The ledger cannot be written.
    LedgerUnwritten {
        /// Why not.
        cause: String,
    },
    /// Other state cannot be written.
    StateUnwritten {
        /// Why not.
        cause: String,
    },
    /// Another owui-watch has taken the lock, which somebody deleted.
    LockLost {
        /// Who has it.
        cause: String,
    },
    /// The command that prints the server's log ended, and is started again.
    LogCommandEnded {
        /// How it ended.
        how: String,
        /// The pause before that.
        next: Duration,
    },
    /// So many lines of the server's log were left out, since they were too many at once.
    LogLinesLost(usize),
    /// So many notices were dropped, since nobody read the output.
    Unread(usize),
    /// So many notices about a request are too many to show there.
    NotShown(usize),
    /// The watch ended before it could do what a command asked for.
    WatchEnded,
    /// The watch does not deploy what a command asked for.
    NotDeployedHere,
}

/// What the server still has of a plugin whose new text it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldVersion {
    /// It is on, as before.
    Running,
    /// It is off, as before.
    Off,
}

impl Notice {
    /// A notice about one plugin.
    #[must_use]
    pub fn of(plugin: &Plugin, what: NoticeKind) -> Self {
        Self { about: plugin.into(), what }
    }

    /// A notice about the whole program.
    #[must_use]
    pub fn general(what: NoticeKind) -> Self {
        Self { about: Subject::default(), what }
    }

    /// A notice about an error or a warning that brings its own words.
    #[must_use]
    pub fn trouble(message: impl Into<String>, hint: Option<String>) -> Self {
        Self::general(NoticeKind::Trouble(Trouble::Told { message: message.into(), hint }))
    }

    /// A notice of a command.
    #[must_use]
    pub fn report(about: Subject, report: Report) -> Self {
        Self { about, what: NoticeKind::Report(report) }
    }

    /// The file that it is about.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.what {
            NoticeKind::Flawed { diagnostic, .. }
            | NoticeKind::Blocked(diagnostic)
            | NoticeKind::Surprising(diagnostic) => Some(&diagnostic.file),
            NoticeKind::Raised(raised) => raised.frames.first()?.path.as_deref(),
            _ => self.about.path.as_deref(),
        }
    }

    /// The place in [`Notice::file`].
    #[must_use]
    pub fn span(&self) -> Option<&Span> {
        match &self.what {
            NoticeKind::Flawed { diagnostic, .. }
            | NoticeKind::Blocked(diagnostic)
            | NoticeKind::Surprising(diagnostic) => diagnostic.span.as_ref(),
            NoticeKind::Refused { span, .. } | NoticeKind::RefusedBefore { span, .. } => span.as_ref(),
            NoticeKind::Raised(raised) => Some(&raised.frames.first()?.span),
            NoticeKind::Tried(tried) => tried.trial_failure()?.place.as_deref(),
            NoticeKind::Report(Report::Status(status)) => status.span(),
            _ => None,
        }
    }

    /// The difference that a command found.
    #[must_use]
    pub fn diff(&self) -> Option<&str> {
        match &self.what {
            NoticeKind::Report(report) => report.diff(),
            _ => None,
        }
    }

    /// How long it took, for an outcome and for a call.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        match &self.what {
            NoticeKind::Created { took, .. }
            | NoticeKind::Updated { took, .. }
            | NoticeKind::Refused { took, .. }
            | NoticeKind::Failed { took, .. }
            | NoticeKind::Called { took, .. }
            | NoticeKind::Summary { took, .. }
            | NoticeKind::Report(Report::Tried { took, .. }) => Some(*took),
            NoticeKind::Raised(raised) => raised.took,
            NoticeKind::Tried(tried) => Some(tried.took),
            _ => None,
        }
    }

    /// Whether it ends a plugin's part in a pass.
    #[must_use]
    pub fn is_outcome(&self) -> bool {
        matches!(
            &self.what,
            NoticeKind::Created { .. }
                | NoticeKind::Updated { .. }
                | NoticeKind::Unchanged { .. }
                | NoticeKind::WouldCreate
                | NoticeKind::WouldUpdate { .. }
                | NoticeKind::Refused { .. }
                | NoticeKind::Failed { .. }
        )
    }
}

/// Whether other files may be plugins now, or the plugins may be on another server: these keys of the settings changed.
pub(crate) fn may_change_plugins(changed: &[&str]) -> bool {
    changed.iter().any(|key| matches!(*key, "url" | "root" | "exclude" | "follow_links"))
}

/// Whether `check` may judge a plugin in another way now: these keys of the settings changed.
pub(crate) fn may_change_checks(changed: &[&str]) -> bool {
    changed.iter().any(|key| matches!(*key, "check" | "plugins"))
}
