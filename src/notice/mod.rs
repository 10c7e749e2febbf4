//! Everything that the user may be told, and its one line of text. The terminal, the logs and `--json` all speak from here.

pub mod board;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::engine::deploy::{Aftermath, Cause, Failure, OnServer, Outcome};
use crate::engine::duplicate::{Duplicate, MatchedBy};
use crate::engine::ledger::{Refusal, RefusalKind};
use crate::engine::plan::Why;
use crate::engine::{OnDelete, refusal};
use crate::plugin::{Digest, Entry, Flaw, Key, Plugin, Span, Warning};

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
    /// Of its text.
    pub digest: Option<Digest>,
}

impl Subject {
    /// A file that is no plugin, or none yet.
    #[must_use]
    pub fn file(path: &Arc<Path>) -> Self {
        Self { path: Some(Arc::clone(path)), ..Self::default() }
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
        }
    }
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum NoticeKind {
    /// The folders are being watched: from now on no save is missed.
    Ready {
        /// What is watched.
        roots: Vec<PathBuf>,
        /// How many plugins were found.
        plugins: usize,
        /// Where they go.
        server: String,
    },
    /// The server answered.
    Connected {
        /// Where it is.
        server: String,
        /// What it says it is.
        version: String,
    },
    /// The tests do not know this version of the server; told once.
    Untested {
        /// What the server says it is.
        version: String,
    },
    /// There is no plugin to be found.
    NothingFound {
        /// Where was looked.
        roots: Vec<PathBuf>,
    },
    /// A pass over all plugins begins to deploy.
    Pass {
        /// How many conversations it takes.
        todo: usize,
    },
    /// A pass is over.
    Summary {
        /// What came of it.
        tally: PassSummary,
        /// How long it took.
        took: Duration,
        /// Nothing was to be changed.
        dry_run: bool,
    },
    /// The server is away; told once.
    Unreachable {
        /// Why.
        cause: Cause,
        /// Where it should be.
        server: String,
        /// When it is tried again.
        next: Duration,
        /// How many plugins wait.
        waiting: usize,
        /// Whether anybody said where the server is.
        configured: bool,
    },
    /// It still is; for those who want to see each try.
    StillUnreachable {
        /// What happened.
        cause: String,
        /// How many tries have failed in a row.
        attempt: u32,
        /// When it is tried again.
        next: Duration,
    },
    /// The server is there again.
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
    /// `--once` has no more patience with the server.
    GaveUp {
        /// How long it tried.
        after: Duration,
        /// The last failure.
        cause: Cause,
        /// Where the server should be.
        server: String,
        /// Whether anybody said where the server is.
        configured: bool,
    },
    /// The server does not let us in: nothing is sent any more.
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
        /// Where.
        server: String,
        /// HTTP status.
        status: u16,
        /// What it looks like.
        words: String,
    },
    /// A proxy stands between us and the server.
    Proxied {
        /// The server's address.
        server: String,
        /// The proxy's address, without its password.
        proxy: String,
    },
    /// What is said to the server can be read by others on the way.
    Insecure {
        /// The server's address.
        server: String,
        /// The address of the proxy in between, without its password.
        proxy: Option<String>,
    },
    /// Another owui-watch is waited for, as `--wait` says.
    InLine {
        /// Its process, where that can be known.
        pid: Option<u32>,
    },
    /// A folder to be watched is not there.
    RootMissing {
        /// The folder.
        root: PathBuf,
    },
    /// The settings were read again, because of a save or a signal.
    Reloaded {
        /// The files that hold something else than before.
        files: Vec<PathBuf>,
        /// The keys whose values are others than before.
        changed: Vec<&'static str>,
    },
    /// Other settings are to be used, and what is in flight takes long to finish.
    SettingsWait {
        /// The plugins in flight.
        ids: Vec<String>,
    },
    /// Asked to stop; what is in flight is finished first.
    Stopping {
        /// How many conversations are in flight.
        in_flight: usize,
    },
    /// The end.
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
    /// Something beside the plugins needs the user's eye: state, logs, watches.
    Trouble {
        /// What could not be done, and why.
        message: String,
        /// The remedy.
        hint: Option<String>,
    },

    /// A conversation begins.
    Sending {
        /// Why.
        why: Why,
    },
    /// The server takes its time.
    Slow {
        /// How long it has been on its way.
        so_far: Duration,
        /// What its frontmatter tells the server to install.
        installs: Option<String>,
    },
    /// It did not exist on the server, and does now.
    Created {
        /// The on/off switch, for a function.
        active: Option<bool>,
        /// From the save, or from the beginning of the pass.
        took: Duration,
    },
    /// The server holds the new text.
    Updated {
        /// The version that was replaced.
        from: Option<String>,
        /// The copy of what was replaced, where that was not ours.
        kept: Option<PathBuf>,
        /// The on/off switch, for a function.
        active: Option<bool>,
        /// From the save, or from the beginning of the pass.
        took: Duration,
    },
    /// The server holds this text already; nothing was sent.
    Unchanged {
        /// Found so in a pass over everything, which needs no line of its own.
        in_pass: bool,
        /// The on/off switch, for a function whose switch was just seen.
        active: Option<bool>,
        /// The last the user heard of the file was an error.
        good_again: bool,
    },
    /// Would be created, but for `--dry-run`.
    WouldCreate,
    /// Would be updated, but for `--dry-run`.
    WouldUpdate {
        /// The version that would be replaced.
        from: Option<String>,
        /// Whether what would be replaced is somebody else's text.
        foreign: bool,
    },
    /// Not deployed: somebody else's text is on the server, and `on_remote_edit` says to hold then.
    RemoteEdit {
        /// Its version.
        theirs: Option<String>,
    },
    /// Not created: it seems to be on the server under another id.
    Duplicate {
        /// That id, and what tells.
        twin: Duplicate,
    },
    /// Not deployed: an earlier text was put back on purpose.
    RolledBack,
    /// An earlier text was put back while this one was under way, which has replaced it.
    RollbackUndone {
        /// Of the text that was put back.
        put_back: Digest,
    },
    /// The server will not take it.
    Refused {
        /// Its words, unaltered.
        words: String,
        /// How it was learned.
        kind: RefusalKind,
        /// The line that they name.
        span: Option<Span>,
        /// What its frontmatter tells the server to install.
        requirements: Option<String>,
        /// The version that the server keeps, where it is known to keep one.
        old_version: Option<OldVersion>,
        /// From the save, or from the beginning of the pass.
        took: Duration,
    },
    /// The server failed at it, which may be its own doing: it is sent again.
    Crashed {
        /// The server's words.
        words: String,
        /// How soon.
        next: Duration,
    },
    /// The server had switched the function off; it is on again.
    Restored,
    /// What a deploy that was cut short may have left behind was looked at: all is as it was.
    Recovered,
    /// The server has switched the function off, and it could not be switched on again.
    WentOff {
        /// Why not.
        cause: String,
        /// Whether it is tried again when the server answers.
        later: bool,
    },
    /// A new function could not be switched on, as `activate_new` wants it.
    NotSwitchedOn {
        /// Why not.
        cause: String,
        /// Whether it is tried again when the server answers.
        later: bool,
    },
    /// A new function is switched on now, after an earlier try came to nothing.
    SwitchedOn,
    /// An older version of this editing session is not in the server's history any more.
    Pruned,
    /// The server refused this very text before.
    RefusedBefore {
        /// The line that they name.
        span: Option<Span>,
        /// Its words then.
        words: String,
        /// The server has another version of it, as far as we know.
        on_server: bool,
    },
    /// It could not be deployed for a reason that is not in its text.
    Failed {
        /// The reason.
        failure: Failure,
        /// From the save, or from the beginning of the pass.
        took: Duration,
    },
    /// The file cannot be deployed as it stands; the server was not touched.
    Flawed(Flaw),
    /// Something in it will surprise.
    Surprising(Warning),
    /// Several files claim one id; none is deployed.
    Conflict {
        /// The files.
        paths: Vec<Arc<Path>>,
    },
    /// The plugin is gone here; the server keeps it.
    Removed {
        /// The file is still there, but is no plugin any more.
        file_there: bool,
        /// The server has a version of it, as far as we know.
        on_server: bool,
        /// What happens on the server if it stays gone, and when.
        next: Option<(OnDelete, Duration)>,
    },
    /// Its file is gone, and the function is switched off on the server.
    Deactivated,
    /// Its file is back, and the function may still be off, since we have switched it off.
    LeftOff,
    /// Its file is gone, and so is it from the server.
    Deleted {
        /// The copy of what was there.
        kept: PathBuf,
    },
    /// Its file is gone, and the server keeps it nevertheless.
    Spared {
        /// Why.
        why: Sparing,
    },
    /// The file has another id than before; the server keeps the plugin under the old one as well.
    IdChanged {
        /// What it was called.
        from: Key,
    },
    /// It waits for the server.
    Waiting {
        /// What for.
        reason: WaitReason,
        /// It was sent meanwhile, and came to nothing.
        again: bool,
    },
    /// A newer save took its place before it was sent.
    Superseded,
    /// The file is being written, or empty, or being replaced; it is read again soon.
    Held,
    /// It has been written for a while, and is deployed when that ends.
    BeingWritten,
    /// `enabled = false`.
    Disabled,
    /// A link to a plugin that is deployed from its own place.
    SameFile {
        /// That place.
        original: PathBuf,
    },
}

impl NoticeKind {
    /// What the user is told of how a deploy ended.
    #[must_use]
    pub fn of_outcome(
        outcome: Outcome,
        plugin: &Plugin,
        on_server: Option<OnServer>,
        in_pass: bool,
        took: Duration,
    ) -> Vec<Self> {
        let active = on_server.and_then(|row| row.active);
        let (what, left) = match outcome {
            Outcome::Created { active, left } => (NoticeKind::Created { active, took }, Self::not_on(left)),
            Outcome::Updated { from, kept, .. } => (NoticeKind::Updated { from, kept, active, took }, None),
            Outcome::Unchanged => (NoticeKind::Unchanged { in_pass, active, good_again: false }, None),
            Outcome::WouldCreate => (NoticeKind::WouldCreate, None),
            Outcome::WouldUpdate { from, foreign } => (NoticeKind::WouldUpdate { from, foreign }, None),
            Outcome::RemoteEdit { theirs } => (NoticeKind::RemoteEdit { theirs }, None),
            Outcome::Duplicate(twin) => (NoticeKind::Duplicate { twin }, None),
            Outcome::Crashed { words, left } => {
                return Self::of_outcome(
                    Outcome::Refused { refusal: Refusal::said(words), left },
                    plugin,
                    on_server,
                    in_pass,
                    took,
                );
            }
            Outcome::Refused { refusal: Refusal { words, kind }, left } => {
                let span = refusal::place(&words, &plugin.text);
                let requirements = plugin.frontmatter.requirements().map(str::to_owned);
                let old_version = OldVersion::after_refusal(kind, &left, on_server);
                (NoticeKind::Refused { words, kind, span, requirements, old_version, took }, Self::left(left))
            }
            Outcome::Failed(failure) => (NoticeKind::Failed { failure, took }, None),
        };
        [Some(what), left].into_iter().flatten().collect()
    }

    /// What the user is told of what a refused text has left behind.
    #[must_use]
    pub(super) fn left(left: Aftermath) -> Option<Self> {
        match left {
            Aftermath::AsItWas | Aftermath::Unsettled { .. } => None,
            Aftermath::Restored => Some(NoticeKind::Restored),
            Aftermath::Off { cause, later } => Some(NoticeKind::WentOff { cause, later }),
        }
    }

    /// What the user is told of a new function that could not be switched on.
    #[must_use]
    pub(super) fn not_on(left: Aftermath) -> Option<Self> {
        match left {
            Aftermath::Off { cause, later } => Some(NoticeKind::NotSwitchedOn { cause, later }),
            Aftermath::AsItWas | Aftermath::Restored | Aftermath::Unsettled { .. } => None,
        }
    }

    /// What the user is told when what a deploy that was cut short has left behind was looked at.
    #[must_use]
    pub fn of_recovery(left: Aftermath) -> Self {
        Self::left(left).unwrap_or(NoticeKind::Recovered)
    }
}

/// What the server still has of a plugin whose new text it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldVersion {
    /// It is in use, as before.
    Running,
    /// It is switched off, as before.
    Off,
}

impl OldVersion {
    /// `None` where the server has none, or where nobody knows what runs there now.
    fn after_refusal(kind: RefusalKind, left: &Aftermath, on_server: Option<OnServer>) -> Option<Self> {
        let is_known = matches!(left, Aftermath::AsItWas | Aftermath::Restored) && kind == RefusalKind::Said;
        let row = on_server.filter(|_| is_known)?;
        Some(if row.active == Some(false) { OldVersion::Off } else { OldVersion::Running })
    }

    /// The stable word for it: `old_version` in `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            OldVersion::Running => "running",
            OldVersion::Off => "off",
        }
    }
}

/// What a plugin waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The server cannot be reached.
    Away,
    /// The server denied access.
    Denied,
    /// Its file is gone, and a broken file may be the same plugin.
    BrokenFile,
}

impl WaitReason {
    /// What it waits for, for the user; `reason` in `--json`.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            WaitReason::Away => "the server is away",
            WaitReason::Denied => "the server denied access",
            WaitReason::BrokenFile => {
                "a file here that is broken may be the same plugin; nothing is done on the server before it is mended"
            }
        }
    }
}

/// Why a plugin whose file is gone stays as it is on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sparing {
    /// Its whole folder is gone.
    Folder,
    /// No plugin is left in its folder.
    Emptied,
    /// More files went than are left.
    Many,
    /// It may be what a new file here is, which the user was asked about.
    Renamed,
    /// It holds another text than the one that we deployed.
    Edited,
    /// It is not there any more.
    Gone,
    /// It is switched off already.
    Off,
    /// Its file is back.
    Back,
}

impl Sparing {
    /// The stable word for it: `reason` in `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Sparing::Folder => "folder_gone",
            Sparing::Emptied => "folder_emptied",
            Sparing::Many => "many_gone",
            Sparing::Renamed => "maybe_renamed",
            Sparing::Edited => "edited_on_server",
            Sparing::Gone => "not_on_server",
            Sparing::Off => "off_already",
            Sparing::Back => "back",
        }
    }
}

/// What came of a pass, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassSummary {
    /// New on the server (or would be).
    pub created: usize,
    /// Replaced on the server (or would be).
    pub updated: usize,
    /// There already.
    pub unchanged: usize,
    /// The server will not take them.
    pub refused: usize,
    /// Waiting for the user to decide.
    pub held: usize,
    /// Not deployable as they stand: files with errors.
    pub skipped: usize,
    /// Failed for another reason.
    pub failed: usize,
    /// Folders that could not be read. What is in them nobody knows, so they count as no plugin.
    pub unreadable_folders: usize,
}

impl PassSummary {
    /// How many plugins the pass was about.
    #[must_use]
    pub fn total(&self) -> usize {
        self.created + self.updated + self.unchanged + self.not_deployed()
    }

    /// How many are not on the server as they stand in their files.
    #[must_use]
    pub fn not_deployed(&self) -> usize {
        self.refused + self.held + self.skipped + self.failed
    }

    /// Whether the server has every plugin as its file has it, as far as anyone can know.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.not_deployed() == 0 && self.unreadable_folders == 0
    }
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who ask with `--verbose`; always in `--json` and in the plugin's log.
    Detail,
    /// A line on the terminal.
    Info,
    /// The user should look.
    Warning,
    /// Something was not deployed.
    Error,
}

impl Level {
    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Detail => "detail",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
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

    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match &self.what {
            NoticeKind::Pass { .. }
            | NoticeKind::StillUnreachable { .. }
            | NoticeKind::Waiting { again: true, .. }
            | NoticeKind::Sending { .. }
            | NoticeKind::Unchanged { in_pass: true, good_again: false, .. }
            | NoticeKind::Superseded
            | NoticeKind::Held
            | NoticeKind::Pruned
            | NoticeKind::Recovered
            | NoticeKind::Disabled
            | NoticeKind::Proxied { .. }
            | NoticeKind::SameFile { .. } => Level::Detail,
            // That there is nothing was told, and why.
            NoticeKind::Summary { tally, .. } if tally.total() == 0 && tally.is_complete() => Level::Detail,
            NoticeKind::Ready { .. }
            | NoticeKind::Connected { .. }
            | NoticeKind::Summary { .. }
            | NoticeKind::Back { .. }
            | NoticeKind::AccessGranted { .. }
            | NoticeKind::InLine { .. }
            | NoticeKind::Reloaded { .. }
            | NoticeKind::SettingsWait { .. }
            | NoticeKind::Stopping { .. }
            | NoticeKind::Stopped { .. }
            | NoticeKind::Created { .. }
            | NoticeKind::Updated { .. }
            | NoticeKind::Unchanged { .. }
            | NoticeKind::WouldCreate
            | NoticeKind::WouldUpdate { .. }
            | NoticeKind::Removed { .. }
            | NoticeKind::Deactivated
            | NoticeKind::Deleted { .. }
            | NoticeKind::Spared { .. }
            | NoticeKind::RolledBack
            | NoticeKind::IdChanged { .. }
            | NoticeKind::BeingWritten
            | NoticeKind::Slow { .. }
            | NoticeKind::Restored
            | NoticeKind::SwitchedOn
            | NoticeKind::Waiting { again: false, .. } => Level::Info,
            NoticeKind::NothingFound { .. }
            | NoticeKind::Untested { .. }
            | NoticeKind::Unreachable { .. }
            | NoticeKind::Insecure { .. }
            | NoticeKind::LeftOff
            | NoticeKind::RollbackUndone { .. }
            | NoticeKind::RootMissing { .. }
            | NoticeKind::Trouble { .. }
            | NoticeKind::RefusedBefore { .. }
            | NoticeKind::Crashed { .. }
            | NoticeKind::NotSwitchedOn { .. }
            | NoticeKind::Surprising(_) => Level::Warning,
            NoticeKind::Flawed(flaw) if !flaw.meant && self.about.key.is_none() => Level::Warning,
            NoticeKind::GaveUp { .. }
            | NoticeKind::NotAllowed { .. }
            | NoticeKind::Foreign { .. }
            | NoticeKind::Refused { .. }
            | NoticeKind::RemoteEdit { .. }
            | NoticeKind::Duplicate { .. }
            | NoticeKind::WentOff { .. }
            | NoticeKind::Failed { .. }
            | NoticeKind::Flawed(_)
            | NoticeKind::Conflict { .. } => Level::Error,
        }
    }

    /// The stable word for it: `event` in `--json`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.what {
            NoticeKind::Ready { .. } => "ready",
            NoticeKind::Connected { .. } => "connected",
            NoticeKind::Untested { .. } => "untested",
            NoticeKind::NothingFound { .. } => "nothing_found",
            NoticeKind::Pass { .. } => "pass",
            NoticeKind::Summary { .. } => "summary",
            NoticeKind::Unreachable { .. } => "unreachable",
            NoticeKind::StillUnreachable { .. } => "still_unreachable",
            NoticeKind::Back { .. } => "back",
            NoticeKind::AccessGranted { .. } => "access_granted",
            NoticeKind::GaveUp { .. } => "gave_up",
            NoticeKind::NotAllowed { .. } => "not_allowed",
            NoticeKind::Foreign { .. } => "not_open_webui",
            NoticeKind::Proxied { .. } => "proxy",
            NoticeKind::Insecure { .. } => "insecure",
            NoticeKind::InLine { .. } => "in_line",
            NoticeKind::RootMissing { .. } => "root_missing",
            NoticeKind::Reloaded { .. } => "reloaded",
            NoticeKind::SettingsWait { .. } => "settings_wait",
            NoticeKind::Stopping { .. } => "stopping",
            NoticeKind::Stopped { .. } => "stopped",
            NoticeKind::Trouble { .. } => "trouble",
            NoticeKind::Sending { .. } => "sending",
            NoticeKind::Slow { .. } => "slow",
            NoticeKind::Created { .. } => "created",
            NoticeKind::Updated { .. } => "updated",
            NoticeKind::Unchanged { .. } => "unchanged",
            NoticeKind::WouldCreate => "would_create",
            NoticeKind::WouldUpdate { .. } => "would_update",
            NoticeKind::RemoteEdit { .. } => "remote_edit",
            NoticeKind::Duplicate { .. } => "twin",
            NoticeKind::RolledBack => "rolled_back",
            NoticeKind::RollbackUndone { .. } => "rollback_undone",
            NoticeKind::Refused { .. } => "refused",
            NoticeKind::Crashed { .. } => "retrying",
            NoticeKind::Restored => "restored",
            NoticeKind::Recovered => "recovered",
            NoticeKind::WentOff { .. } => "went_off",
            NoticeKind::NotSwitchedOn { .. } => "not_switched_on",
            NoticeKind::SwitchedOn => "switched_on",
            NoticeKind::Pruned => "pruned",
            NoticeKind::RefusedBefore { .. } => "refused_before",
            NoticeKind::Failed { .. } => "failed",
            NoticeKind::Flawed(_) => "flawed",
            NoticeKind::Surprising(_) => "warning",
            NoticeKind::Conflict { .. } => "conflict",
            NoticeKind::Removed { .. } => "removed",
            NoticeKind::Deactivated => "deactivated",
            NoticeKind::LeftOff => "left_off",
            NoticeKind::Deleted { .. } => "deleted",
            NoticeKind::Spared { .. } => "spared",
            NoticeKind::IdChanged { .. } => "id_changed",
            NoticeKind::Waiting { .. } => "waiting",
            NoticeKind::Superseded => "superseded",
            NoticeKind::Held => "held",
            NoticeKind::BeingWritten => "being_written",
            NoticeKind::Disabled => "disabled",
            NoticeKind::SameFile { .. } => "same_file",
        }
    }

    /// What happened, in one line without the name of the plugin, which stands beside it.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one table")]
    pub fn sentence(&self) -> String {
        match &self.what {
            NoticeKind::Ready { roots, plugins, server } => {
                format!("watching {} ({}) for {server}", list(roots), count(*plugins, "plugin"))
            }
            NoticeKind::Connected { server, version } => format!("{server} is Open WebUI {version}"),
            NoticeKind::Untested { version } => {
                format!("owui-watch is not tested with Open WebUI {version}")
            }
            NoticeKind::NothingFound { roots } => format!("no plugins in {}", list(roots)),
            NoticeKind::Pass { todo } => format!("{} to compare with the server", count(*todo, "plugin")),
            NoticeKind::Summary { tally, took, dry_run } => summary(tally, *took, *dry_run),
            NoticeKind::Unreachable { cause, server, next, waiting, .. } => {
                let waiting =
                    if *waiting == 0 { String::new() } else { format!(", {} waiting", count(*waiting, "plugin")) };
                format!("cannot reach {server}: {cause} (next try in {}{waiting})", duration(*next))
            }
            NoticeKind::StillUnreachable { cause, attempt, next } => {
                format!("still unreachable: {cause} (try {attempt}, next in {})", duration(*next))
            }
            NoticeKind::Back { away, waiting: 0 } => format!("the server is back after {}", duration(*away)),
            NoticeKind::Back { away, waiting } => {
                format!("the server is back after {}, {} to deploy", duration(*away), count(*waiting, "plugin"))
            }
            NoticeKind::AccessGranted { waiting: 0 } => "the server grants access".to_owned(),
            NoticeKind::AccessGranted { waiting } => {
                format!("the server grants access, {} to deploy", count(*waiting, "plugin"))
            }
            NoticeKind::GaveUp { after, cause, server, .. } => {
                format!("cannot reach {server}: {cause} (gave up after {})", duration(*after))
            }
            NoticeKind::NotAllowed { words, key: None, .. } => format!("the server denied access: {words}"),
            NoticeKind::NotAllowed { words, key: Some(key), .. } => {
                format!("the server denied access with the key from {key}: {words}")
            }
            NoticeKind::Foreign { server, words, .. } => format!("{server} does not answer as Open WebUI: {words}"),
            NoticeKind::Proxied { server, proxy } => format!("{server} is reached through the proxy {proxy}"),
            NoticeKind::Insecure { server, proxy: None } => {
                format!("the key and the plugins travel unencrypted to {server}")
            }
            NoticeKind::Insecure { server, proxy: Some(proxy) } => {
                format!("the key and the plugins travel unencrypted to {server}, through the proxy {proxy}")
            }
            NoticeKind::InLine { pid } => {
                let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
                format!("waiting for the other owui-watch{pid} to exit")
            }
            NoticeKind::RootMissing { root } => {
                format!("`{}` is not there; nothing changes on the server", root.display())
            }
            NoticeKind::Reloaded { files, changed } => {
                let after =
                    if files.is_empty() { String::new() } else { format!(" after a change of {}", list(files)) };
                let new = if changed.is_empty() {
                    ": they are the same".to_owned()
                } else {
                    format!(" (new: {})", changed.join(", "))
                };
                format!("settings read again{after}{new}")
            }
            NoticeKind::SettingsWait { ids } => {
                format!("the new settings and every save wait for deploys in progress: {}", list(ids))
            }
            NoticeKind::Stopping { in_flight: 0 } => "stopping".to_owned(),
            NoticeKind::Stopping { in_flight } => {
                format!("stopping after {} in progress (a second Ctrl-C stops at once)", count(*in_flight, "deploy"))
            }
            NoticeKind::Stopped { waiting, refused, held, with_errors } => {
                stopped(*waiting, *refused, *held, *with_errors)
            }
            NoticeKind::Trouble { message, .. } => message.clone(),
            NoticeKind::Slow { so_far, installs: None } => format!("still on its way after {}", duration(*so_far)),
            NoticeKind::Slow { so_far, installs: Some(packages) } => {
                format!("still on its way after {}: the server may be installing {packages}", duration(*so_far))
            }
            NoticeKind::Sending { why } => format!("comparing with the server ({})", why.word().replace('_', " ")),
            NoticeKind::Created { active: Some(false), .. } => "created, switched off".to_owned(),
            NoticeKind::Created { active: Some(true), .. } => "created and switched on".to_owned(),
            NoticeKind::Created { active: None, .. } => "created".to_owned(),
            NoticeKind::Updated { kept: None, active, .. } => format!("updated{}", off(*active)),
            NoticeKind::Updated { kept: Some(path), active, .. } => {
                let off = off(*active);
                format!(
                    "updated{off}; the text on the server was not deployed from here, a copy is in {}",
                    path.display()
                )
            }
            NoticeKind::Unchanged { active, good_again: false, .. } => format!("unchanged{}", off(*active)),
            NoticeKind::Unchanged { active, good_again: true, .. } => format!("good again, unchanged{}", off(*active)),
            NoticeKind::WouldCreate => "would be created".to_owned(),
            NoticeKind::WouldUpdate { foreign: false, .. } => "would be updated".to_owned(),
            NoticeKind::WouldUpdate { foreign: true, .. } => {
                "would be updated; the text on the server was not deployed from here, a copy would be kept".to_owned()
            }
            NoticeKind::RemoteEdit { theirs } => {
                let version = theirs.as_ref().map_or_else(String::new, |version| format!(" (version {version})"));
                format!("not deployed: somebody else changed it on the server{version}")
            }
            NoticeKind::Duplicate { twin: Duplicate { id, sign } } => {
                let sign = match sign {
                    MatchedBy::TitleAndAuthor => "title and author",
                    MatchedBy::OpenwebuiId => "openwebui_id",
                };
                format!("not created: the server has a plugin with the same {sign} under the id `{id}`")
            }
            NoticeKind::RolledBack => "rolled back; not deployed until the file changes".to_owned(),
            NoticeKind::RollbackUndone { .. } => {
                "this deploy was already in progress, and replaced the text that a rollback had put back".to_owned()
            }
            NoticeKind::Crashed { words, next } => {
                format!("server error: {}; retrying in {}", reason(words), duration(*next))
            }
            NoticeKind::Refused { words, .. } | NoticeKind::RefusedBefore { words, .. } => {
                let note = self.note().map_or_else(String::new, |note| format!(" ({note})"));
                format!("{}{note}: {}", self.headline().unwrap_or_default(), reason(words))
            }
            NoticeKind::Recovered => {
                "an earlier deploy was interrupted; the server runs the text that it stores".to_owned()
            }
            NoticeKind::Restored => "the server had switched it off; it is on again".to_owned(),
            NoticeKind::NotSwitchedOn { cause, later } => {
                let then = if *later { "; will retry" } else { "" };
                format!("could not be switched on: {cause}{then}")
            }
            NoticeKind::SwitchedOn => "switched on".to_owned(),
            NoticeKind::WentOff { cause, later } => {
                let then = if *later { "; will retry when the server answers" } else { "" };
                format!("the server switched it off, and it could not be switched on again: {cause}{then}")
            }
            NoticeKind::Pruned => {
                "deleted an older version of this editing session from the server's history".to_owned()
            }
            NoticeKind::Failed { failure, .. } => failed(failure),
            NoticeKind::Flawed(flaw) => flaw.problem.message(),
            NoticeKind::Surprising(warning) => warning.surprise.message(),
            NoticeKind::Conflict { paths } => format!("not deployed: {} claim this id", list(paths)),
            NoticeKind::Removed { file_there: false, on_server: false, .. } => "removed here".to_owned(),
            NoticeKind::Removed { file_there: true, on_server: false, .. } => "no longer a plugin".to_owned(),
            NoticeKind::Removed { file_there: true, .. } => {
                "no longer a plugin; the server keeps the last version".to_owned()
            }
            NoticeKind::Removed { next: Some((OnDelete::Delete, after)), .. } => {
                format!("removed here; deleted on the server in {} unless it comes back", duration(*after))
            }
            NoticeKind::Removed { next: Some((OnDelete::Deactivate, after)), .. } => {
                format!("removed here; switched off on the server in {} unless it comes back", duration(*after))
            }
            NoticeKind::Removed { .. } => "removed here; the server keeps it".to_owned(),
            NoticeKind::Deactivated => "switched off on the server, since its file is gone".to_owned(),
            NoticeKind::LeftOff => {
                "its file is back; the function was switched off while it was gone, and stays off".to_owned()
            }
            NoticeKind::Deleted { kept } => {
                format!("deleted on the server, since its file is gone; a copy is in {}", kept.display())
            }
            NoticeKind::Spared { why } => match why {
                Sparing::Folder => "the server keeps it: its whole folder is gone, not the file alone",
                Sparing::Emptied => {
                    "the server keeps it: no plugin is left in its folder, which may be an unmounted share"
                }
                Sparing::Many => "the server keeps it: more plugin files are gone than are left",
                Sparing::Renamed => "the server keeps it: a new file here may be the same plugin",
                Sparing::Edited => "the server keeps it: somebody else changed it there",
                Sparing::Gone => "already gone from the server",
                Sparing::Off => "already switched off on the server",
                Sparing::Back => "the server keeps it: its file is back",
            }
            .to_owned(),
            NoticeKind::IdChanged { from } => {
                format!("its id was `{}`; the server keeps the plugin under that id too", from.id)
            }
            NoticeKind::Waiting { reason, again: false } => format!("waiting: {}", reason.sentence()),
            NoticeKind::Waiting { reason, again: true } => format!("still waiting: {}", reason.sentence()),
            NoticeKind::Superseded => "replaced by a newer save".to_owned(),
            NoticeKind::Held => "not complete yet; read again soon".to_owned(),
            NoticeKind::BeingWritten => "still being written; deployed when it is complete".to_owned(),
            NoticeKind::Disabled => "disabled in watch.toml".to_owned(),
            NoticeKind::SameFile { original } => format!("is a link to {}, which is deployed", original.display()),
        }
    }

    /// The short form for the terminal, where [`Notice::detail`] follows below with its place in the file.
    #[must_use]
    pub fn headline(&self) -> Option<&'static str> {
        match &self.what {
            NoticeKind::Updated { kept: Some(_), active: Some(false), .. } => Some("updated (off)"),
            NoticeKind::Updated { kept: Some(_), .. } => Some("updated"),
            NoticeKind::RemoteEdit { .. } => Some("not deployed"),
            NoticeKind::Duplicate { .. } => Some("not created"),
            NoticeKind::Refused { .. } => Some("refused by the server"),
            NoticeKind::RefusedBefore { .. } => Some("refused before, not sent again"),
            NoticeKind::Failed { .. } => Some("not deployed"),
            NoticeKind::Flawed(flaw) if flaw.problem.is_of_folder() => None,
            NoticeKind::Flawed(_) => Some("not sent"),
            NoticeKind::Surprising(_) => Some("warning"),
            _ => None,
        }
    }

    /// What the headline leaves out.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        Some(match &self.what {
            NoticeKind::Updated { kept: Some(path), .. } => {
                format!("the text on the server was not deployed from here; a copy is in {}", path.display())
            }
            NoticeKind::RemoteEdit { .. } | NoticeKind::Duplicate { .. } => {
                let sentence = self.sentence();
                sentence.split_once(": ").map_or(sentence.clone(), |(_, detail)| detail.to_owned())
            }
            NoticeKind::Refused { words, .. } | NoticeKind::RefusedBefore { words, .. } => reason(words).to_owned(),
            NoticeKind::Failed { failure, .. } => failed(failure),
            NoticeKind::Flawed(flaw) if flaw.problem.is_of_folder() => return None,
            NoticeKind::Flawed(flaw) => flaw.problem.message(),
            NoticeKind::Surprising(warning) => warning.surprise.message(),
            _ => return None,
        })
    }

    /// What a refusal leaves on the server, where that is known.
    #[must_use]
    pub fn note(&self) -> Option<&'static str> {
        match &self.what {
            NoticeKind::Refused { old_version: Some(OldVersion::Running), .. } => Some("the old version keeps running"),
            NoticeKind::Refused { old_version: Some(OldVersion::Off), .. } => Some("the old version is off"),
            NoticeKind::RefusedBefore { on_server: true, .. } => Some("the server keeps the old version"),
            _ => None,
        }
    }

    /// What the user can do about it, where that is known; one remedy a line.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one table")]
    pub fn hint(&self) -> Option<String> {
        let id = || self.about.key.as_ref().map_or("PLUGIN", |key| key.id.as_str());
        let hint = match &self.what {
            NoticeKind::NothingFound { .. } => {
                "a plugin is a Python file that defines Pipe, Filter, Action, Event or Tools\n\
                 `root` in watch.toml names the folder with the plugins"
            }
            NoticeKind::RootMissing { .. } => {
                "create it, or set `root` in watch.toml (or --root) to the folder with the plugins"
            }
            NoticeKind::Unreachable { cause, .. } | NoticeKind::GaveUp { cause, .. } if cause.untrusted => {
                "if you trust it, set `ca_file` in watch.toml to the certificate (PEM) of the CA that signed it"
            }
            NoticeKind::Unreachable { configured: false, .. } | NoticeKind::GaveUp { configured: false, .. } => {
                "set OPENWEBUI_URL, or `url` in watch.toml, to the address of your server\n\
                 `owui-watch sandbox` starts a throw-away Open WebUI to try things out"
            }
            NoticeKind::GaveUp { .. } => "check that the server runs and that the address is right",
            NoticeKind::NotAllowed { status: 0, .. } => {
                "put an API key into .env as OPENWEBUI_API_KEY (in Open WebUI: Settings > Account > API keys)"
            }
            NoticeKind::NotAllowed { words, .. } if words.contains("API key is not enabled") => {
                "an admin can switch API keys on under Admin Panel > Settings > General"
            }
            NoticeKind::NotAllowed { .. } => {
                "use an admin's API key; .env and `api_key_file` are read again when saved, the environment only at the \
                 start"
            }
            NoticeKind::Foreign { .. } => "use the address that you open in the browser, without /api",
            NoticeKind::Created { active: Some(false), .. } => {
                "switch it on in Admin Panel > Functions\n\
                 set `activate_new = true` in watch.toml to have new functions switched on"
            }
            NoticeKind::Updated { active: Some(false), .. }
            | NoticeKind::Unchanged { active: Some(false), in_pass: false, .. }
            | NoticeKind::LeftOff => "switch it on in Admin Panel > Functions",
            NoticeKind::Refused { words, kind, span, requirements, .. } => {
                return refusal::hint(words, *kind, self.about.entry, span.as_ref(), requirements.as_deref());
            }
            NoticeKind::Untested { .. } => {
                return Some(format!("deploys go on; tested versions are {}", crate::engine::TESTED.join(", ")));
            }
            NoticeKind::RemoteEdit { .. } => {
                return Some(format!(
                    "`owui-watch pull {}` takes the server's text and keeps a copy of yours\n\
                     to deploy yours, set `on_remote_edit = \"backup\"` in watch.toml: a copy of the server's text is kept",
                    id()
                ));
            }
            NoticeKind::Duplicate { twin } => {
                let path = self.about.path.as_ref().map_or(String::new(), |path| path.display().to_string());
                return Some(format!(
                    "if it is the same plugin, write `id = \"{}\"` under `[plugins.\"{path}\"]` in watch.toml\n\
                     if it is another one, write `adopt = \"never\"` there instead (with --once: or add --yes)",
                    twin.id
                ));
            }
            NoticeKind::Insecure { proxy: Some(_), .. } => {
                "use https, or name the server's host in `NO_PROXY` if no proxy is needed to reach it"
            }
            NoticeKind::Insecure { .. } => "use https, or reach the server through a tunnel or a VPN",
            NoticeKind::RolledBack => "change the file and save it to deploy it",
            NoticeKind::RollbackUndone { put_back } => {
                return Some(format!("`owui-watch rollback {} {}` puts it back again", id(), put_back.short()));
            }
            NoticeKind::Removed { file_there: true, .. } => {
                "a plugin defines Pipe, Filter, Action, Event or Tools at the top level of its file"
            }
            NoticeKind::Removed { next: Some(_), .. } => "put the file back to prevent it",
            NoticeKind::Removed { file_there: false, on_server: false, .. } => return None,
            NoticeKind::Removed { file_there: false, .. } => {
                "to rename a file and keep its plugin, give it an `id` in its frontmatter or watch.toml"
            }
            NoticeKind::Spared { why: Sparing::Folder | Sparing::Emptied | Sparing::Many } => {
                "if you no longer need it, delete it or switch it off on the server"
            }
            NoticeKind::WentOff { later: true, .. } | NoticeKind::NotSwitchedOn { later: true, .. } => return None,
            NoticeKind::NotSwitchedOn { .. } => "switch it on in Admin Panel > Functions",
            NoticeKind::WentOff { .. } => "look at it in Admin Panel > Functions, and switch it on there",
            NoticeKind::RefusedBefore { words, .. } if refusal::install_failed(words) => {
                "correct `requirements` in its frontmatter, or save the file again to retry (with --once: add --force)"
            }
            NoticeKind::RefusedBefore { words, .. } if refusal::names_a_line(words) => "correct the file and save it",
            NoticeKind::RefusedBefore { .. } => {
                "correct the file, or save it again to retry (with --once: add --force)"
            }
            NoticeKind::Flawed(flaw) => return flaw.problem.hint(),
            NoticeKind::Surprising(warning) => return Some(warning.surprise.hint()),
            NoticeKind::Conflict { .. } => {
                "exclude all but one, or give one another id, in its frontmatter or under `[plugins.\"path\"]` in \
                 watch.toml"
            }
            NoticeKind::Trouble { hint, .. } => return hint.clone(),
            NoticeKind::Failed { failure: Failure::NotOurs { .. }, .. } => {
                "use the key of an admin or of the tool's owner"
            }
            NoticeKind::Failed { failure: Failure::TakesNone { .. }, .. } => {
                "read the server's log, and check ENABLE_PLUGINS, ENABLE_FUNCTIONS and ENABLE_TOOLS in its environment"
            }
            NoticeKind::Failed { failure: Failure::StoredOther, .. } => "save it again when nobody else is editing it",
            NoticeKind::Failed { failure: Failure::KeepFailed { .. }, .. } => {
                "free disk space or make the state folder writable; a watch then retries"
            }
            NoticeKind::Ready { .. }
            | NoticeKind::Connected { .. }
            | NoticeKind::Proxied { .. }
            | NoticeKind::Pass { .. }
            | NoticeKind::Summary { .. }
            | NoticeKind::Unreachable { .. }
            | NoticeKind::StillUnreachable { .. }
            | NoticeKind::Back { .. }
            | NoticeKind::AccessGranted { .. }
            | NoticeKind::InLine { .. }
            | NoticeKind::Reloaded { .. }
            | NoticeKind::SettingsWait { .. }
            | NoticeKind::Stopping { .. }
            | NoticeKind::Stopped { .. }
            | NoticeKind::Sending { .. }
            | NoticeKind::Slow { .. }
            | NoticeKind::Created { .. }
            | NoticeKind::Updated { .. }
            | NoticeKind::Unchanged { .. }
            | NoticeKind::WouldCreate
            | NoticeKind::WouldUpdate { .. }
            | NoticeKind::Crashed { .. }
            | NoticeKind::SwitchedOn
            | NoticeKind::Restored
            | NoticeKind::Pruned
            | NoticeKind::Recovered
            | NoticeKind::Deactivated
            | NoticeKind::Deleted { .. }
            | NoticeKind::Spared { .. }
            | NoticeKind::Failed { .. }
            | NoticeKind::IdChanged { .. }
            | NoticeKind::Waiting { .. }
            | NoticeKind::Superseded
            | NoticeKind::Held
            | NoticeKind::BeingWritten
            | NoticeKind::Disabled
            | NoticeKind::SameFile { .. } => return None,
        };
        Some(hint.to_owned())
    }

    /// The place in the file that it is about.
    #[must_use]
    pub fn span(&self) -> Option<&Span> {
        match &self.what {
            NoticeKind::Flawed(flaw) => flaw.span.as_ref(),
            NoticeKind::Surprising(warning) => Some(&warning.span),
            NoticeKind::Refused { span, .. } | NoticeKind::RefusedBefore { span, .. } => span.as_ref(),
            _ => None,
        }
    }

    /// How long it took, for an outcome.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        match &self.what {
            NoticeKind::Created { took, .. }
            | NoticeKind::Updated { took, .. }
            | NoticeKind::Refused { took, .. }
            | NoticeKind::Failed { took, .. }
            | NoticeKind::Summary { took, .. } => Some(*took),
            _ => None,
        }
    }

    /// The version as it is to be shown: `1.0 → 1.1` when an update changed it.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let new = self.about.version.as_deref();
        match &self.what {
            // What is on again is not what was refused.
            NoticeKind::Restored | NoticeKind::Recovered | NoticeKind::WentOff { .. } => None,
            NoticeKind::Updated { from: Some(old), .. } | NoticeKind::WouldUpdate { from: Some(old), .. }
                if new != Some(old) =>
            {
                Some(format!("{old} → {}", new.unwrap_or("none")))
            }
            _ => new.map(str::to_owned),
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

    /// One object for `--json`. Field names are stable; the README lists them.
    #[must_use]
    pub fn to_json(&self, time: &str) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                object.insert(name.to_owned(), value);
            }
        };
        put("time", json!(time));
        put("event", json!(self.word()));
        put("level", json!(self.level().name()));
        put("kind", json!(self.about.key.as_ref().map(|key| key.kind)));
        put("id", json!(self.about.key.as_ref().map(|key| key.id.as_str())));
        put("type", json!(self.about.entry.map(Entry::word)));
        put("path", json!(self.about.path.as_ref().map(|path| path.display().to_string())));
        put("version", json!(self.about.version));
        put("digest", json!(self.about.digest));
        put("message", json!(self.sentence()));
        put("hint", json!(self.hint()));
        put("line", json!(self.span().map(|span| span.line)));
        put("column", json!(self.span().map(|span| span.column)));
        put("ms", json!(self.took().map(millis)));
        for (name, value) in self.details() {
            put(name, value);
        }
        Value::Object(object)
    }

    /// The fields that only this kind of notice has.
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn details(&self) -> Vec<(&'static str, Value)> {
        match &self.what {
            NoticeKind::Ready { roots, plugins, server } => {
                vec![("roots", json!(paths(roots))), ("plugins", json!(plugins)), ("server", json!(server))]
            }
            NoticeKind::Connected { server, version } => {
                vec![("server", json!(server)), ("server_version", json!(version))]
            }
            NoticeKind::Untested { version } => vec![("server_version", json!(version))],
            NoticeKind::NothingFound { roots } => vec![("roots", json!(paths(roots)))],
            NoticeKind::Pass { todo } => vec![("todo", json!(todo))],
            NoticeKind::Summary { tally, dry_run, .. } => vec![
                ("unread", json!(tally.unreadable_folders)),
                ("created", json!(tally.created)),
                ("updated", json!(tally.updated)),
                ("unchanged", json!(tally.unchanged)),
                ("refused", json!(tally.refused)),
                ("held", json!(tally.held)),
                ("skipped", json!(tally.skipped)),
                ("failed", json!(tally.failed)),
                ("dry_run", json!(dry_run)),
            ],
            NoticeKind::Unreachable { cause, server, next, waiting, .. } => vec![
                ("cause", json!(cause.words)),
                ("server", json!(server)),
                ("next_ms", json!(millis(*next))),
                ("waiting", json!(waiting)),
            ],
            NoticeKind::StillUnreachable { cause, attempt, next } => {
                vec![("cause", json!(cause)), ("attempt", json!(attempt)), ("next_ms", json!(millis(*next)))]
            }
            NoticeKind::Back { away, waiting } => vec![("away_ms", json!(millis(*away))), ("waiting", json!(waiting))],
            NoticeKind::AccessGranted { waiting } => vec![("waiting", json!(waiting))],
            NoticeKind::GaveUp { cause, server, .. } => vec![("cause", json!(cause.words)), ("server", json!(server))],
            NoticeKind::NotAllowed { status, words, key } => {
                vec![("status", json!(status)), ("words", json!(words)), ("key_from", json!(key))]
            }
            NoticeKind::Foreign { server, status, words } => {
                vec![("server", json!(server)), ("status", json!(status)), ("words", json!(words))]
            }
            NoticeKind::Proxied { server, proxy } => vec![("server", json!(server)), ("proxy", json!(proxy))],
            NoticeKind::Insecure { server, proxy } => vec![("server", json!(server)), ("proxy", json!(proxy))],
            NoticeKind::InLine { pid } => vec![("pid", json!(pid))],
            NoticeKind::RootMissing { root } => vec![("root", json!(root.display().to_string()))],
            NoticeKind::Reloaded { files, changed } => {
                vec![("files", json!(paths(files))), ("changed", json!(changed))]
            }
            NoticeKind::SettingsWait { ids } => vec![("ids", json!(ids))],
            NoticeKind::Stopping { in_flight } => vec![("in_flight", json!(in_flight))],
            NoticeKind::Stopped { waiting, refused, held, with_errors } => vec![
                ("waiting", json!(waiting)),
                ("refused", json!(refused)),
                ("held", json!(held)),
                ("skipped", json!(with_errors)),
            ],
            NoticeKind::Sending { why } => vec![("why", json!(why.word()))],
            NoticeKind::Slow { so_far, installs } => {
                vec![("so_far_ms", json!(millis(*so_far))), ("installs", json!(installs))]
            }
            NoticeKind::Created { active, .. } => vec![("active", json!(active))],
            NoticeKind::Updated { from, kept, active, .. } => vec![
                ("from_version", json!(from)),
                ("active", json!(active)),
                ("backup", json!(kept.as_ref().map(|path| path.display().to_string()))),
            ],
            NoticeKind::WouldUpdate { from, foreign } => {
                vec![("from_version", json!(from)), ("foreign", json!(foreign))]
            }
            NoticeKind::Unchanged { active, good_again, .. } => {
                vec![("active", json!(active)), ("good_again", json!(good_again.then_some(true)))]
            }
            NoticeKind::Refused { words, old_version, .. } => {
                vec![("words", json!(words)), ("old_version", json!(old_version.map(OldVersion::word)))]
            }
            NoticeKind::RefusedBefore { words, on_server, .. } => {
                vec![("words", json!(words)), ("on_server", json!(on_server))]
            }
            NoticeKind::Crashed { words, next } => vec![("words", json!(words)), ("next_ms", json!(millis(*next)))],
            NoticeKind::Failed { failure, .. } => vec![("reason", json!(failure.word()))],
            NoticeKind::Flawed(flaw) => vec![("reason", json!(flaw.problem.word())), ("digest", json!(flaw.digest))],
            NoticeKind::Surprising(warning) => vec![("reason", json!(warning.surprise.word()))],
            NoticeKind::Conflict { paths: claimants } => vec![("paths", json!(paths(claimants)))],
            NoticeKind::IdChanged { from } => vec![("from_id", json!(from.id.as_str()))],
            NoticeKind::Waiting { reason, .. } => vec![("reason", json!(reason.sentence()))],
            NoticeKind::SameFile { original } => vec![("original", json!(original.display().to_string()))],
            NoticeKind::WentOff { cause, .. } | NoticeKind::NotSwitchedOn { cause, .. } => {
                vec![("cause", json!(cause))]
            }
            NoticeKind::RemoteEdit { theirs } => vec![("server_plugin_version", json!(theirs))],
            NoticeKind::Duplicate { twin } => vec![("other_id", json!(twin.id.as_str()))],
            NoticeKind::Deleted { kept } => vec![("backup", json!(kept.display().to_string()))],
            NoticeKind::RollbackUndone { put_back } => vec![("put_back", json!(put_back))],
            NoticeKind::Spared { why } => vec![("reason", json!(why.word()))],
            NoticeKind::Trouble { .. }
            | NoticeKind::SwitchedOn
            | NoticeKind::Restored
            | NoticeKind::RolledBack
            | NoticeKind::Pruned
            | NoticeKind::Recovered
            | NoticeKind::Deactivated
            | NoticeKind::LeftOff
            | NoticeKind::WouldCreate
            | NoticeKind::Removed { .. }
            | NoticeKind::Superseded
            | NoticeKind::Held
            | NoticeKind::BeingWritten
            | NoticeKind::Disabled => Vec::new(),
        }
    }

    /// Whether it is worth a line in the plugin's own log. That nothing had changed at a start is not: of a thousand
    /// plugins each start would write it a thousand times.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        !matches!(self.what, NoticeKind::Unchanged { in_pass: true, good_again: false, .. })
    }

    /// One line for the plugin's own log.
    #[must_use]
    pub fn log_line(&self, time: Timestamp) -> String {
        let mut line = format!("{} {}", time.strftime("%Y-%m-%dT%H:%M:%SZ"), self.word());
        if let Some(version) = self.version() {
            line.push_str(" version=");
            line.push_str(&version.replace(' ', ""));
        }
        if let Some(digest) = self.about.digest {
            line.push_str(" digest=");
            line.push_str(&digest.short());
        }
        if let Some(took) = self.took() {
            line.push_str(" took=");
            line.push_str(&duration(took).replace(' ', ""));
        }
        if let (Some(path), Some(span)) = (&self.about.path, self.span()) {
            line.push_str(" at=");
            line.push_str(&format_place(path, span));
        }
        line.push_str(": ");
        line.push_str(&self.sentence());
        // A log is read line by line: the line breaks of the server's words, and of a file's name, stay visible without
        // breaking it.
        line.replace('\r', "").replace('\n', "\\n")
    }
}

impl Failure {
    /// The stable word for it: `reason` in `--json`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Failure::Unreachable { .. } => "unreachable",
            Failure::Unanswered { .. } => "unanswered",
            Failure::Stumbled { .. } => "stumbled",
            Failure::TakesNone { .. } => "takes_none",
            Failure::NotAllowed { .. } => "not_allowed",
            Failure::Foreign { .. } => "not_open_webui",
            Failure::NotOurs { .. } => "not_ours",
            Failure::StoredOther => "stored_other",
            Failure::KeepFailed { .. } => "backup_failed",
            Failure::Odd { .. } => "odd_answer",
        }
    }
}

/// The server's words, which may be none.
fn reason(words: &str) -> &str {
    if words.trim().is_empty() { "no reason was given" } else { words }
}

fn failed(failure: &Failure) -> String {
    match failure {
        Failure::Unreachable { cause, .. } => format!("the server is away: {cause}"),
        Failure::Unanswered { cause } => format!("no answer came: {cause}"),
        Failure::Stumbled { cause } => cause.clone(),
        Failure::TakesNone { words } => {
            format!("the server rejects every new plugin, even an empty one: {}", reason(words))
        }
        Failure::NotAllowed { words, .. } => format!("the server denied access: {words}"),
        Failure::Foreign { words, .. } => format!("the address does not answer as Open WebUI: {words}"),
        Failure::NotOurs { words } => format!("this key may not change it: {words}"),
        Failure::StoredOther => {
            "the server holds a different text than the one sent: somebody edited it just now".to_owned()
        }
        Failure::KeepFailed { words } => {
            format!("nothing was sent, because the state folder could not be written: {words}")
        }
        Failure::Odd { words } => format!("the server gave an unexpected answer: {words}"),
    }
}

fn summary(tally: &PassSummary, took: Duration, dry_run: bool) -> String {
    let (created, updated) = if dry_run { ("to create", "to update") } else { ("created", "updated") };
    let parts: Vec<_> = [
        (tally.created, created),
        (tally.updated, updated),
        (tally.unchanged, "unchanged"),
        (tally.refused, "refused"),
        (tally.held, "held back"),
        (tally.skipped, "with errors"),
        (tally.failed, "failed"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect();
    let total = count(tally.total(), "plugin");
    let unread = match tally.unreadable_folders {
        0 => String::new(),
        n => format!("; {} cannot be read", count(n, "folder")),
    };
    let tail = if dry_run { format!("{unread}; nothing was changed") } else { unread };
    if parts.is_empty() {
        return format!("{total} in {}{tail}", duration(took));
    }
    format!("{total} in {}: {}{tail}", duration(took), parts.join(", "))
}

fn stopped(waiting: usize, refused: usize, held: usize, with_errors: usize) -> String {
    let total = match waiting + refused + held + with_errors {
        0 => return "stopped".to_owned(),
        total => format!("stopped; {} not deployed", count(total, "plugin")),
    };
    let parts: Vec<_> = [(refused, "refused"), (held, "held back"), (with_errors, "with errors")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    match (waiting, parts.is_empty()) {
        (_, true) => format!("{total}, the next start will retry"),
        (0, false) => format!("{total}: {}", parts.join(", ")),
        (_, false) => format!("{total}: {}, {waiting} that the next start will retry", parts.join(", ")),
    }
}

/// Said of a function that is switched off: a save has no effect for anyone until it is switched on.
fn off(active: Option<bool>) -> &'static str {
    if active == Some(false) { " (off)" } else { "" }
}

/// `path:line:column`, the form that editors jump to.
#[must_use]
pub fn format_place(path: &Path, span: &Span) -> String {
    format!("{}:{}:{}", path.display(), span.line, span.column)
}

/// `1 plugin`, `2 plugins`.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A duration as a person reads it: `0.4 ms`, `34 ms`, `1.2 s`, `12 s`, `3 min 20 s`. Each unit ends where rounding would
/// fill the next.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let whole = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    if seconds < 0.000_95 {
        format!("{:.1} ms", seconds * 1000.0)
    } else if seconds < 0.999_5 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if whole < 60 {
        format!("{whole} s")
    } else if whole < 3600 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{} h {} min", whole / 3600, whole / 60 % 60)
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

pub(super) fn list(paths: &[impl AsRef<Path>]) -> String {
    paths.iter().map(|path| format!("`{}`", path.as_ref().display())).collect::<Vec<_>>().join(" and ")
}

fn paths(paths: &[impl AsRef<Path>]) -> Vec<String> {
    paths.iter().map(|path| path.as_ref().display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes every snapshot with them")]

    use std::fmt::Write as _;

    use expect_test::expect;

    use super::*;
    use crate::plugin::id::PluginId;
    use crate::plugin::{Kind, Problem, Surprise};

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn span() -> Span {
        Span { line: 2, column: 7, width: 6, source: "class Filter(:".to_owned() }
    }

    fn words() -> String {
        "invalid syntax (<string>, line 2)".to_owned()
    }

    fn pip() -> String {
        "Command '['python', '-m', 'pip', 'install', 'httpx']' returned non-zero exit status 1.".to_owned()
    }

    /// A plugin's notice.
    fn shout(what: NoticeKind) -> Notice {
        let about = Subject {
            key: Some(Key { kind: Kind::Function, id: PluginId::new("shout").unwrap() }),
            entry: Some(Entry::Filter),
            path: Some(Arc::from(Path::new("plugins/shout.py"))),
            version: Some("1.1".to_owned()),
            digest: Some(Digest::of(b"v1")),
        };
        Notice { about, what }
    }

    #[expect(clippy::too_many_lines, reason = "one of each")]
    fn samples() -> Vec<Notice> {
        let roots = || vec![PathBuf::from("plugins"), PathBuf::from("more")];
        let server = || "http://localhost:8080".to_owned();
        let cause = || "connection refused".to_owned();
        let tally = PassSummary {
            created: 1,
            updated: 2,
            unchanged: 3,
            refused: 4,
            held: 7,
            skipped: 5,
            failed: 6,
            unreadable_folders: 8,
        };
        let refused = |words: &str, span, requirements: Option<&str>| NoticeKind::Refused {
            words: words.to_owned(),
            kind: RefusalKind::Said,
            span,
            requirements: requirements.map(str::to_owned),
            old_version: None,
            took: ms(34),
        };
        let kept = |old_version| NoticeKind::Refused {
            words: words(),
            kind: RefusalKind::Said,
            span: Some(span()),
            requirements: None,
            old_version: Some(old_version),
            took: ms(34),
        };
        let unchanged = |in_pass, active, good_again| NoticeKind::Unchanged { in_pass, active, good_again };
        let failed = |failure| NoticeKind::Failed { failure, took: ms(34) };
        let flawed = |problem, span| NoticeKind::Flawed(Flaw { digest: None, problem, span, meant: true });
        let general = [
            NoticeKind::Ready { roots: roots(), plugins: 3, server: server() },
            NoticeKind::Connected { server: server(), version: "0.12.4".to_owned() },
            NoticeKind::Untested { version: "0.13.0".to_owned() },
            NoticeKind::NothingFound { roots: roots() },
            NoticeKind::Pass { todo: 1 },
            NoticeKind::Summary { tally, took: ms(1234), dry_run: false },
            NoticeKind::Summary {
                tally: PassSummary { unchanged: 1, ..PassSummary::default() },
                took: ms(12),
                dry_run: false,
            },
            NoticeKind::Summary {
                tally: PassSummary { created: 2, ..PassSummary::default() },
                took: ms(12),
                dry_run: true,
            },
            NoticeKind::Summary { tally: PassSummary::default(), took: ms(12), dry_run: false },
            NoticeKind::Summary {
                tally: PassSummary { unreadable_folders: 1, ..PassSummary::default() },
                took: ms(12),
                dry_run: false,
            },
            NoticeKind::Unreachable {
                cause: cause().into(),
                server: server(),
                next: ms(500),
                waiting: 0,
                configured: false,
            },
            NoticeKind::Unreachable {
                cause: cause().into(),
                server: server(),
                next: ms(20_000),
                waiting: 2,
                configured: true,
            },
            NoticeKind::Unreachable {
                cause: Cause { words: "certificate not trusted".to_owned(), untrusted: true },
                server: "https://h".to_owned(),
                next: ms(500),
                waiting: 0,
                configured: true,
            },
            NoticeKind::StillUnreachable { cause: cause(), attempt: 4, next: ms(8000) },
            NoticeKind::Back { away: ms(83_000), waiting: 0 },
            NoticeKind::Back { away: ms(83_000), waiting: 1 },
            NoticeKind::AccessGranted { waiting: 0 },
            NoticeKind::AccessGranted { waiting: 2 },
            NoticeKind::GaveUp { after: ms(10_000), cause: cause().into(), server: server(), configured: false },
            NoticeKind::GaveUp { after: ms(10_000), cause: cause().into(), server: server(), configured: true },
            NoticeKind::NotAllowed {
                status: 0,
                words: "no key is configured, and this server asks for one".to_owned(),
                key: None,
            },
            NoticeKind::NotAllowed {
                status: 403,
                words: "Use of API key is not enabled in the environment.".to_owned(),
                key: Some("`.env`".to_owned()),
            },
            NoticeKind::NotAllowed {
                status: 401,
                words: "401 Unauthorized".to_owned(),
                key: Some("`.env`".to_owned()),
            },
            NoticeKind::Foreign { server: server(), status: 200, words: "a web page".to_owned() },
            NoticeKind::Proxied { server: server(), proxy: "http://proxy:3128".to_owned() },
            NoticeKind::Insecure { server: "http://chat.example.org".to_owned(), proxy: None },
            NoticeKind::Insecure { server: "http://chat.lan".to_owned(), proxy: Some("http://proxy:3128".to_owned()) },
            NoticeKind::InLine { pid: Some(123) },
            NoticeKind::InLine { pid: None },
            NoticeKind::RootMissing { root: PathBuf::from("plugins") },
            NoticeKind::Reloaded { files: vec![PathBuf::from(".env")], changed: Vec::new() },
            NoticeKind::Reloaded {
                files: vec![PathBuf::from(".env"), PathBuf::from("watch.toml")],
                changed: vec!["url", "api_key"],
            },
            NoticeKind::SettingsWait { ids: vec!["shout".to_owned()] },
            NoticeKind::SettingsWait { ids: vec!["clock".to_owned(), "shout".to_owned()] },
            NoticeKind::Stopping { in_flight: 0 },
            NoticeKind::Stopping { in_flight: 2 },
            NoticeKind::Stopped { waiting: 0, refused: 0, held: 0, with_errors: 0 },
            NoticeKind::Stopped { waiting: 1, refused: 0, held: 0, with_errors: 0 },
            NoticeKind::Stopped { waiting: 0, refused: 1, held: 0, with_errors: 1 },
            NoticeKind::Stopped { waiting: 2, refused: 1, held: 3, with_errors: 4 },
            NoticeKind::Trouble {
                message: "something beside the plugins".to_owned(),
                hint: Some("a remedy".to_owned()),
            },
        ];
        let about_one = [
            NoticeKind::Sending { why: Why::ChangedOnServer },
            NoticeKind::Slow { so_far: ms(3000), installs: None },
            NoticeKind::Slow { so_far: ms(3000), installs: Some("httpx, pydantic".to_owned()) },
            NoticeKind::Created { active: Some(false), took: ms(34) },
            NoticeKind::Created { active: Some(true), took: ms(34) },
            NoticeKind::Created { active: None, took: ms(34) },
            NoticeKind::Updated { from: Some("1.0".to_owned()), kept: None, active: Some(true), took: ms(34) },
            NoticeKind::Updated { from: Some("1.0".to_owned()), kept: None, active: Some(false), took: ms(34) },
            NoticeKind::Updated { from: None, kept: Some(PathBuf::from("state/copy.py")), active: None, took: ms(34) },
            NoticeKind::Updated { from: None, kept: Some(PathBuf::from("copy.py")), active: Some(false), took: ms(34) },
            unchanged(true, None, false),
            unchanged(true, Some(false), false),
            unchanged(true, None, true),
            unchanged(false, None, false),
            unchanged(false, Some(true), true),
            unchanged(false, Some(false), false),
            unchanged(false, Some(false), true),
            NoticeKind::WouldCreate,
            NoticeKind::WouldUpdate { from: Some("1.0".to_owned()), foreign: false },
            NoticeKind::WouldUpdate { from: None, foreign: true },
            NoticeKind::RemoteEdit { theirs: None },
            NoticeKind::RemoteEdit { theirs: Some("1.0".to_owned()) },
            NoticeKind::Duplicate {
                twin: Duplicate { id: PluginId::new("old").unwrap(), sign: MatchedBy::TitleAndAuthor },
            },
            NoticeKind::Duplicate {
                twin: Duplicate { id: PluginId::new("old").unwrap(), sign: MatchedBy::OpenwebuiId },
            },
            NoticeKind::RolledBack,
            NoticeKind::RollbackUndone { put_back: Digest::of_text("earlier") },
            refused(&words(), Some(span()), None),
            kept(OldVersion::Running),
            kept(OldVersion::Off),
            refused("[ERROR: Error creating function]", None, None),
            refused("", None, None),
            refused("No module named 'httpx'", None, Some("yaml, attrs")),
            NoticeKind::Crashed { words: "Internal Server Error".to_owned(), next: ms(1000) },
            NoticeKind::Restored,
            NoticeKind::Recovered,
            NoticeKind::WentOff { cause: cause(), later: false },
            NoticeKind::WentOff { cause: cause(), later: true },
            NoticeKind::NotSwitchedOn { cause: cause(), later: false },
            NoticeKind::NotSwitchedOn { cause: cause(), later: true },
            NoticeKind::SwitchedOn,
            NoticeKind::Pruned,
            NoticeKind::RefusedBefore { words: words(), span: Some(span()), on_server: false },
            NoticeKind::RefusedBefore { words: String::new(), span: None, on_server: true },
            NoticeKind::RefusedBefore { words: pip(), span: None, on_server: false },
            failed(Failure::Unreachable { cause: cause().into(), retry_after: None }),
            failed(Failure::Unanswered { cause: cause() }),
            failed(Failure::NotAllowed { status: 401, words: "401 Unauthorized".to_owned() }),
            failed(Failure::Foreign { status: 200, words: "a web page".to_owned() }),
            failed(Failure::NotOurs { words: "401 Unauthorized".to_owned() }),
            failed(Failure::StoredOther),
            failed(Failure::Stumbled { cause: "the server's database is locked".to_owned() }),
            failed(Failure::TakesNone { words: "[ERROR: Error creating function]".to_owned() }),
            failed(Failure::KeepFailed { words: "No space left on device".to_owned() }),
            failed(Failure::Odd { words: "null".to_owned() }),
            flawed(Problem::Syntax("expected `)`".to_owned()), Some(span())),
            flawed(Problem::DanglingLink("gone.py".to_owned()), None),
            flawed(Problem::UnreadableFolder("permission denied".to_owned()), None),
            NoticeKind::Surprising(Warning { surprise: Surprise::ImportedEntry(Entry::Pipe), span: span() }),
            NoticeKind::Conflict { paths: vec![Arc::from(Path::new("a.py")), Arc::from(Path::new("b/a.py"))] },
            NoticeKind::Removed { file_there: false, on_server: false, next: None },
            NoticeKind::Removed { file_there: true, on_server: false, next: None },
            NoticeKind::Removed { file_there: false, on_server: true, next: None },
            NoticeKind::Removed { file_there: true, on_server: true, next: None },
            NoticeKind::Removed { file_there: false, on_server: true, next: Some((OnDelete::Deactivate, ms(30_000))) },
            NoticeKind::Removed { file_there: false, on_server: true, next: Some((OnDelete::Delete, ms(30_000))) },
            NoticeKind::Deactivated,
            NoticeKind::LeftOff,
            NoticeKind::Deleted { kept: PathBuf::from("state/copy.py") },
            NoticeKind::Spared { why: Sparing::Folder },
            NoticeKind::Spared { why: Sparing::Emptied },
            NoticeKind::Spared { why: Sparing::Many },
            NoticeKind::Spared { why: Sparing::Renamed },
            NoticeKind::Spared { why: Sparing::Edited },
            NoticeKind::Spared { why: Sparing::Gone },
            NoticeKind::Spared { why: Sparing::Off },
            NoticeKind::IdChanged { from: Key { kind: Kind::Function, id: PluginId::new("old").unwrap() } },
            NoticeKind::Waiting { reason: WaitReason::Away, again: false },
            NoticeKind::Waiting { reason: WaitReason::Away, again: true },
            NoticeKind::Superseded,
            NoticeKind::Held,
            NoticeKind::BeingWritten,
            NoticeKind::Disabled,
            NoticeKind::SameFile { original: PathBuf::from("plugins/whisper.py") },
        ];
        general.into_iter().map(Notice::general).chain(about_one.into_iter().map(shout)).collect()
    }

    /// The words as the source gives them, so that a new kind of notice needs a sample, and no word is used twice.
    #[test]
    fn every_kind_of_notice_has_a_word_of_its_own_and_a_sample() {
        let source = include_str!("mod.rs");
        let (_, arms) = source.split_once("pub fn word(&self)").unwrap();
        let (arms, _) = arms.split_once("/// What happened, in one line").unwrap();
        let words: Vec<_> = arms.split('"').skip(1).step_by(2).collect();
        let mut seen: Vec<_> = samples().iter().map(Notice::word).collect();
        seen.dedup();
        assert_eq!(seen, words);
        for word in &words {
            assert_eq!(words.iter().filter(|other| *other == word).count(), 1, "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{word}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn what_each_notice_says() {
        let mut table = String::new();
        for notice in samples() {
            writeln!(table, "{:?} {}: {}", notice.level(), notice.word(), notice.sentence()).unwrap();
            if let Some(headline) = notice.headline() {
                writeln!(table, "    short: {headline} / {}", notice.detail().unwrap()).unwrap();
            }
            if let Some(note) = notice.note() {
                writeln!(table, "    note: {note}").unwrap();
            }
            if let Some(hint) = notice.hint() {
                hint.lines().for_each(|remedy| writeln!(table, "    hint: {remedy}").unwrap());
            }
        }
        expect![[r#"
            Info ready: watching `plugins` and `more` (3 plugins) for http://localhost:8080
            Info connected: http://localhost:8080 is Open WebUI 0.12.4
            Warning untested: owui-watch is not tested with Open WebUI 0.13.0
                hint: deploys go on; tested versions are 0.6.43, 0.9.6, 0.11.4, 0.12.4
            Warning nothing_found: no plugins in `plugins` and `more`
                hint: a plugin is a Python file that defines Pipe, Filter, Action, Event or Tools
                hint: `root` in watch.toml names the folder with the plugins
            Detail pass: 1 plugin to compare with the server
            Info summary: 28 plugins in 1.2 s: 1 created, 2 updated, 3 unchanged, 4 refused, 7 held back, 5 with errors, 6 failed; 8 folders cannot be read
            Info summary: 1 plugin in 12 ms: 1 unchanged
            Info summary: 2 plugins in 12 ms: 2 to create; nothing was changed
            Detail summary: 0 plugins in 12 ms
            Info summary: 0 plugins in 12 ms; 1 folder cannot be read
            Warning unreachable: cannot reach http://localhost:8080: connection refused (next try in 500 ms)
                hint: set OPENWEBUI_URL, or `url` in watch.toml, to the address of your server
                hint: `owui-watch sandbox` starts a throw-away Open WebUI to try things out
            Warning unreachable: cannot reach http://localhost:8080: connection refused (next try in 20 s, 2 plugins waiting)
            Warning unreachable: cannot reach https://h: certificate not trusted (next try in 500 ms)
                hint: if you trust it, set `ca_file` in watch.toml to the certificate (PEM) of the CA that signed it
            Detail still_unreachable: still unreachable: connection refused (try 4, next in 8.0 s)
            Info back: the server is back after 1 min 23 s
            Info back: the server is back after 1 min 23 s, 1 plugin to deploy
            Info access_granted: the server grants access
            Info access_granted: the server grants access, 2 plugins to deploy
            Error gave_up: cannot reach http://localhost:8080: connection refused (gave up after 10 s)
                hint: set OPENWEBUI_URL, or `url` in watch.toml, to the address of your server
                hint: `owui-watch sandbox` starts a throw-away Open WebUI to try things out
            Error gave_up: cannot reach http://localhost:8080: connection refused (gave up after 10 s)
                hint: check that the server runs and that the address is right
            Error not_allowed: the server denied access: no key is configured, and this server asks for one
                hint: put an API key into .env as OPENWEBUI_API_KEY (in Open WebUI: Settings > Account > API keys)
            Error not_allowed: the server denied access with the key from `.env`: Use of API key is not enabled in the environment.
                hint: an admin can switch API keys on under Admin Panel > Settings > General
            Error not_allowed: the server denied access with the key from `.env`: 401 Unauthorized
                hint: use an admin's API key; .env and `api_key_file` are read again when saved, the environment only at the start
            Error not_open_webui: http://localhost:8080 does not answer as Open WebUI: a web page
                hint: use the address that you open in the browser, without /api
            Detail proxy: http://localhost:8080 is reached through the proxy http://proxy:3128
            Warning insecure: the key and the plugins travel unencrypted to http://chat.example.org
                hint: use https, or reach the server through a tunnel or a VPN
            Warning insecure: the key and the plugins travel unencrypted to http://chat.lan, through the proxy http://proxy:3128
                hint: use https, or name the server's host in `NO_PROXY` if no proxy is needed to reach it
            Info in_line: waiting for the other owui-watch (pid 123) to exit
            Info in_line: waiting for the other owui-watch to exit
            Warning root_missing: `plugins` is not there; nothing changes on the server
                hint: create it, or set `root` in watch.toml (or --root) to the folder with the plugins
            Info reloaded: settings read again after a change of `.env`: they are the same
            Info reloaded: settings read again after a change of `.env` and `watch.toml` (new: url, api_key)
            Info settings_wait: the new settings and every save wait for deploys in progress: `shout`
            Info settings_wait: the new settings and every save wait for deploys in progress: `clock` and `shout`
            Info stopping: stopping
            Info stopping: stopping after 2 deploys in progress (a second Ctrl-C stops at once)
            Info stopped: stopped
            Info stopped: stopped; 1 plugin not deployed, the next start will retry
            Info stopped: stopped; 2 plugins not deployed: 1 refused, 1 with errors
            Info stopped: stopped; 10 plugins not deployed: 1 refused, 3 held back, 4 with errors, 2 that the next start will retry
            Warning trouble: something beside the plugins
                hint: a remedy
            Detail sending: comparing with the server (changed on server)
            Info slow: still on its way after 3.0 s
            Info slow: still on its way after 3.0 s: the server may be installing httpx, pydantic
            Info created: created, switched off
                hint: switch it on in Admin Panel > Functions
                hint: set `activate_new = true` in watch.toml to have new functions switched on
            Info created: created and switched on
            Info created: created
            Info updated: updated
            Info updated: updated (off)
                hint: switch it on in Admin Panel > Functions
            Info updated: updated; the text on the server was not deployed from here, a copy is in state/copy.py
                short: updated / the text on the server was not deployed from here; a copy is in state/copy.py
            Info updated: updated (off); the text on the server was not deployed from here, a copy is in copy.py
                short: updated (off) / the text on the server was not deployed from here; a copy is in copy.py
                hint: switch it on in Admin Panel > Functions
            Detail unchanged: unchanged
            Detail unchanged: unchanged (off)
            Info unchanged: good again, unchanged
            Info unchanged: unchanged
            Info unchanged: good again, unchanged
            Info unchanged: unchanged (off)
                hint: switch it on in Admin Panel > Functions
            Info unchanged: good again, unchanged (off)
                hint: switch it on in Admin Panel > Functions
            Info would_create: would be created
            Info would_update: would be updated
            Info would_update: would be updated; the text on the server was not deployed from here, a copy would be kept
            Error remote_edit: not deployed: somebody else changed it on the server
                short: not deployed / somebody else changed it on the server
                hint: `owui-watch pull shout` takes the server's text and keeps a copy of yours
                hint: to deploy yours, set `on_remote_edit = "backup"` in watch.toml: a copy of the server's text is kept
            Error remote_edit: not deployed: somebody else changed it on the server (version 1.0)
                short: not deployed / somebody else changed it on the server (version 1.0)
                hint: `owui-watch pull shout` takes the server's text and keeps a copy of yours
                hint: to deploy yours, set `on_remote_edit = "backup"` in watch.toml: a copy of the server's text is kept
            Error twin: not created: the server has a plugin with the same title and author under the id `old`
                short: not created / the server has a plugin with the same title and author under the id `old`
                hint: if it is the same plugin, write `id = "old"` under `[plugins."plugins/shout.py"]` in watch.toml
                hint: if it is another one, write `adopt = "never"` there instead (with --once: or add --yes)
            Error twin: not created: the server has a plugin with the same openwebui_id under the id `old`
                short: not created / the server has a plugin with the same openwebui_id under the id `old`
                hint: if it is the same plugin, write `id = "old"` under `[plugins."plugins/shout.py"]` in watch.toml
                hint: if it is another one, write `adopt = "never"` there instead (with --once: or add --yes)
            Info rolled_back: rolled back; not deployed until the file changes
                hint: change the file and save it to deploy it
            Warning rollback_undone: this deploy was already in progress, and replaced the text that a rollback had put back
                hint: `owui-watch rollback shout 2a51d3547c23` puts it back again
            Error refused: refused by the server: invalid syntax (<string>, line 2)
                short: refused by the server / invalid syntax (<string>, line 2)
            Error refused: refused by the server (the old version keeps running): invalid syntax (<string>, line 2)
                short: refused by the server / invalid syntax (<string>, line 2)
                note: the old version keeps running
            Error refused: refused by the server (the old version is off): invalid syntax (<string>, line 2)
                short: refused by the server / invalid syntax (<string>, line 2)
                note: the old version is off
            Error refused: refused by the server: [ERROR: Error creating function]
                short: refused by the server / [ERROR: Error creating function]
                hint: this version of Open WebUI hides the reason: look for it in the server's log
                hint: often a module is missing: name its package under `requirements` in the frontmatter
            Error refused: refused by the server: no reason was given
                short: refused by the server / no reason was given
                hint: look for more in the server's log
            Error refused: refused by the server: No module named 'httpx'
                short: refused by the server / No module named 'httpx'
                hint: its frontmatter requires yaml, attrs: if another package provides the module, name it there as well
            Warning retrying: server error: Internal Server Error; retrying in 1.0 s
            Info restored: the server had switched it off; it is on again
            Detail recovered: an earlier deploy was interrupted; the server runs the text that it stores
            Error went_off: the server switched it off, and it could not be switched on again: connection refused
                hint: look at it in Admin Panel > Functions, and switch it on there
            Error went_off: the server switched it off, and it could not be switched on again: connection refused; will retry when the server answers
            Warning not_switched_on: could not be switched on: connection refused
                hint: switch it on in Admin Panel > Functions
            Warning not_switched_on: could not be switched on: connection refused; will retry
            Info switched_on: switched on
            Detail pruned: deleted an older version of this editing session from the server's history
            Warning refused_before: refused before, not sent again: invalid syntax (<string>, line 2)
                short: refused before, not sent again / invalid syntax (<string>, line 2)
                hint: correct the file and save it
            Warning refused_before: refused before, not sent again (the server keeps the old version): no reason was given
                short: refused before, not sent again / no reason was given
                note: the server keeps the old version
                hint: correct the file, or save it again to retry (with --once: add --force)
            Warning refused_before: refused before, not sent again: Command '['python', '-m', 'pip', 'install', 'httpx']' returned non-zero exit status 1.
                short: refused before, not sent again / Command '['python', '-m', 'pip', 'install', 'httpx']' returned non-zero exit status 1.
                hint: correct `requirements` in its frontmatter, or save the file again to retry (with --once: add --force)
            Error failed: the server is away: connection refused
                short: not deployed / the server is away: connection refused
            Error failed: no answer came: connection refused
                short: not deployed / no answer came: connection refused
            Error failed: the server denied access: 401 Unauthorized
                short: not deployed / the server denied access: 401 Unauthorized
            Error failed: the address does not answer as Open WebUI: a web page
                short: not deployed / the address does not answer as Open WebUI: a web page
            Error failed: this key may not change it: 401 Unauthorized
                short: not deployed / this key may not change it: 401 Unauthorized
                hint: use the key of an admin or of the tool's owner
            Error failed: the server holds a different text than the one sent: somebody edited it just now
                short: not deployed / the server holds a different text than the one sent: somebody edited it just now
                hint: save it again when nobody else is editing it
            Error failed: the server's database is locked
                short: not deployed / the server's database is locked
            Error failed: the server rejects every new plugin, even an empty one: [ERROR: Error creating function]
                short: not deployed / the server rejects every new plugin, even an empty one: [ERROR: Error creating function]
                hint: read the server's log, and check ENABLE_PLUGINS, ENABLE_FUNCTIONS and ENABLE_TOOLS in its environment
            Error failed: nothing was sent, because the state folder could not be written: No space left on device
                short: not deployed / nothing was sent, because the state folder could not be written: No space left on device
                hint: free disk space or make the state folder writable; a watch then retries
            Error failed: the server gave an unexpected answer: null
                short: not deployed / the server gave an unexpected answer: null
            Error flawed: invalid Python: expected `)`
                short: not sent / invalid Python: expected `)`
            Error flawed: a link to `gone.py`, which does not exist
                short: not sent / a link to `gone.py`, which does not exist
                hint: restore its target, or delete the link
            Error flawed: a folder that cannot be read: permission denied
                hint: make it readable (`chmod u+rx`), or leave it out with `exclude` in watch.toml
            Warning warning: its type on the server is `pipe`, because of the imported name `Pipe`
                short: warning / its type on the server is `pipe`, because of the imported name `Pipe`
                hint: import it by another name, such as `Pipe as _Pipe`
            Error conflict: not deployed: `a.py` and `b/a.py` claim this id
                hint: exclude all but one, or give one another id, in its frontmatter or under `[plugins."path"]` in watch.toml
            Info removed: removed here
            Info removed: no longer a plugin
                hint: a plugin defines Pipe, Filter, Action, Event or Tools at the top level of its file
            Info removed: removed here; the server keeps it
                hint: to rename a file and keep its plugin, give it an `id` in its frontmatter or watch.toml
            Info removed: no longer a plugin; the server keeps the last version
                hint: a plugin defines Pipe, Filter, Action, Event or Tools at the top level of its file
            Info removed: removed here; switched off on the server in 30 s unless it comes back
                hint: put the file back to prevent it
            Info removed: removed here; deleted on the server in 30 s unless it comes back
                hint: put the file back to prevent it
            Info deactivated: switched off on the server, since its file is gone
            Warning left_off: its file is back; the function was switched off while it was gone, and stays off
                hint: switch it on in Admin Panel > Functions
            Info deleted: deleted on the server, since its file is gone; a copy is in state/copy.py
            Info spared: the server keeps it: its whole folder is gone, not the file alone
                hint: if you no longer need it, delete it or switch it off on the server
            Info spared: the server keeps it: no plugin is left in its folder, which may be an unmounted share
                hint: if you no longer need it, delete it or switch it off on the server
            Info spared: the server keeps it: more plugin files are gone than are left
                hint: if you no longer need it, delete it or switch it off on the server
            Info spared: the server keeps it: a new file here may be the same plugin
            Info spared: the server keeps it: somebody else changed it there
            Info spared: already gone from the server
            Info spared: already switched off on the server
            Info id_changed: its id was `old`; the server keeps the plugin under that id too
            Info waiting: waiting: the server is away
            Detail waiting: still waiting: the server is away
            Detail superseded: replaced by a newer save
            Detail held: not complete yet; read again soon
            Info being_written: still being written; deployed when it is complete
            Detail disabled: disabled in watch.toml
            Detail same_file: is a link to plugins/whisper.py, which is deployed
        "#]].assert_eq(&table);
    }

    /// The style of all of them: one line, not a sentence with a full stop.
    #[test]
    fn messages_are_of_one_kind() {
        for notice in samples() {
            let hint = notice.hint().unwrap_or_default();
            for remedy in hint.lines() {
                assert!(remedy.split_whitespace().count() <= 20, "too long: {remedy}");
                let sends_away = ["end a watch", "end it", "stop", "restart", "start again", "no watch runs"];
                assert!(!sends_away.iter().any(|words| remedy.contains(words)), "ends the watch: {remedy}");
            }
            let remedies = hint.lines().map(str::to_owned);
            for text in [Some(notice.sentence()), notice.detail()].into_iter().flatten().chain(remedies) {
                assert!(!text.is_empty() && !text.contains('\n'), "{text}");
                assert!(!text.ends_with('.') || text.contains("environment.") || text.contains("status 1."), "{text}");
                assert!(
                    !text.starts_with(char::is_uppercase)
                        || text.starts_with("No module")
                        || text.starts_with("Command")
                        || text.starts_with("Open WebUI"),
                    "{text}"
                );
            }
            assert_eq!(notice.headline().is_some(), notice.detail().is_some(), "{}", notice.word());
            if let (Some(headline), Some(detail)) = (notice.headline(), notice.detail()) {
                assert!(!detail.starts_with(headline), "said twice: {detail}");
            }
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn what_programs_read() {
        let json = |notice: &Notice| notice.to_json("2026-01-02T03:04:05Z");
        expect![[r#"
            {
              "event": "ready",
              "level": "info",
              "message": "watching `plugins` and `more` (3 plugins) for http://localhost:8080",
              "plugins": 3,
              "roots": [
                "plugins",
                "more"
              ],
              "server": "http://localhost:8080",
              "time": "2026-01-02T03:04:05Z"
            }"#]]
        .assert_eq(&format!("{:#}", json(&samples()[0])));
        let refused = NoticeKind::Refused {
            words: String::new(),
            kind: RefusalKind::Said,
            span: Some(span()),
            requirements: None,
            old_version: Some(OldVersion::Running),
            took: ms(34),
        };
        expect![[r#"
            {
              "column": 7,
              "digest": "3bfc269594ef649228e9a74bab00f042efc91d5acc6fbee31a382e80d42388fe",
              "event": "refused",
              "id": "shout",
              "kind": "function",
              "level": "error",
              "line": 2,
              "message": "refused by the server (the old version keeps running): no reason was given",
              "ms": 34.0,
              "old_version": "running",
              "path": "plugins/shout.py",
              "time": "2026-01-02T03:04:05Z",
              "type": "filter",
              "version": "1.1",
              "words": ""
            }"#]]
        .assert_eq(&format!("{:#}", json(&shout(refused))));
        // What each has beside the fields that all may have.
        let common = [
            "time", "event", "level", "kind", "id", "type", "path", "version", "digest", "message", "hint", "line",
            "column", "ms",
        ];
        let mut table = String::new();
        for notice in samples() {
            let Value::Object(mut object) = json(&notice) else { panic!("{notice:?}") };
            assert_eq!(object.get("kind").is_some(), notice.about.key.is_some());
            object.retain(|name, value| {
                assert!(!value.is_null(), "{name}");
                !common.contains(&name.as_str())
            });
            let line = format!("{} {}\n", notice.word(), Value::from(object));
            if !table.contains(&line) {
                table.push_str(&line);
            }
        }
        expect![[r#"
            ready {"plugins":3,"roots":["plugins","more"],"server":"http://localhost:8080"}
            connected {"server":"http://localhost:8080","server_version":"0.12.4"}
            untested {"server_version":"0.13.0"}
            nothing_found {"roots":["plugins","more"]}
            pass {"todo":1}
            summary {"created":1,"dry_run":false,"failed":6,"held":7,"refused":4,"skipped":5,"unchanged":3,"unread":8,"updated":2}
            summary {"created":0,"dry_run":false,"failed":0,"held":0,"refused":0,"skipped":0,"unchanged":1,"unread":0,"updated":0}
            summary {"created":2,"dry_run":true,"failed":0,"held":0,"refused":0,"skipped":0,"unchanged":0,"unread":0,"updated":0}
            summary {"created":0,"dry_run":false,"failed":0,"held":0,"refused":0,"skipped":0,"unchanged":0,"unread":0,"updated":0}
            summary {"created":0,"dry_run":false,"failed":0,"held":0,"refused":0,"skipped":0,"unchanged":0,"unread":1,"updated":0}
            unreachable {"cause":"connection refused","next_ms":500.0,"server":"http://localhost:8080","waiting":0}
            unreachable {"cause":"connection refused","next_ms":20000.0,"server":"http://localhost:8080","waiting":2}
            unreachable {"cause":"certificate not trusted","next_ms":500.0,"server":"https://h","waiting":0}
            still_unreachable {"attempt":4,"cause":"connection refused","next_ms":8000.0}
            back {"away_ms":83000.0,"waiting":0}
            back {"away_ms":83000.0,"waiting":1}
            access_granted {"waiting":0}
            access_granted {"waiting":2}
            gave_up {"cause":"connection refused","server":"http://localhost:8080"}
            not_allowed {"status":0,"words":"no key is configured, and this server asks for one"}
            not_allowed {"key_from":"`.env`","status":403,"words":"Use of API key is not enabled in the environment."}
            not_allowed {"key_from":"`.env`","status":401,"words":"401 Unauthorized"}
            not_open_webui {"server":"http://localhost:8080","status":200,"words":"a web page"}
            proxy {"proxy":"http://proxy:3128","server":"http://localhost:8080"}
            insecure {"server":"http://chat.example.org"}
            insecure {"proxy":"http://proxy:3128","server":"http://chat.lan"}
            in_line {"pid":123}
            in_line {}
            root_missing {"root":"plugins"}
            reloaded {"changed":[],"files":[".env"]}
            reloaded {"changed":["url","api_key"],"files":[".env","watch.toml"]}
            settings_wait {"ids":["shout"]}
            settings_wait {"ids":["clock","shout"]}
            stopping {"in_flight":0}
            stopping {"in_flight":2}
            stopped {"held":0,"refused":0,"skipped":0,"waiting":0}
            stopped {"held":0,"refused":0,"skipped":0,"waiting":1}
            stopped {"held":0,"refused":1,"skipped":1,"waiting":0}
            stopped {"held":3,"refused":1,"skipped":4,"waiting":2}
            trouble {}
            sending {"why":"changed_on_server"}
            slow {"so_far_ms":3000.0}
            slow {"installs":"httpx, pydantic","so_far_ms":3000.0}
            created {"active":false}
            created {"active":true}
            created {}
            updated {"active":true,"from_version":"1.0"}
            updated {"active":false,"from_version":"1.0"}
            updated {"backup":"state/copy.py"}
            updated {"active":false,"backup":"copy.py"}
            unchanged {}
            unchanged {"active":false}
            unchanged {"good_again":true}
            unchanged {"active":true,"good_again":true}
            unchanged {"active":false,"good_again":true}
            would_create {}
            would_update {"foreign":false,"from_version":"1.0"}
            would_update {"foreign":true}
            remote_edit {}
            remote_edit {"server_plugin_version":"1.0"}
            twin {"other_id":"old"}
            rolled_back {}
            rollback_undone {"put_back":"2a51d3547c23a8de50f3e23285a0df356627ef64c300087d3b27173f08ded2a0"}
            refused {"words":"invalid syntax (<string>, line 2)"}
            refused {"old_version":"running","words":"invalid syntax (<string>, line 2)"}
            refused {"old_version":"off","words":"invalid syntax (<string>, line 2)"}
            refused {"words":"[ERROR: Error creating function]"}
            refused {"words":""}
            refused {"words":"No module named 'httpx'"}
            retrying {"next_ms":1000.0,"words":"Internal Server Error"}
            restored {}
            recovered {}
            went_off {"cause":"connection refused"}
            not_switched_on {"cause":"connection refused"}
            switched_on {}
            pruned {}
            refused_before {"on_server":false,"words":"invalid syntax (<string>, line 2)"}
            refused_before {"on_server":true,"words":""}
            refused_before {"on_server":false,"words":"Command '['python', '-m', 'pip', 'install', 'httpx']' returned non-zero exit status 1."}
            failed {"reason":"unreachable"}
            failed {"reason":"unanswered"}
            failed {"reason":"not_allowed"}
            failed {"reason":"not_open_webui"}
            failed {"reason":"not_ours"}
            failed {"reason":"stored_other"}
            failed {"reason":"stumbled"}
            failed {"reason":"takes_none"}
            failed {"reason":"backup_failed"}
            failed {"reason":"odd_answer"}
            flawed {"reason":"syntax"}
            flawed {"reason":"dangling_link"}
            flawed {"reason":"unreadable_folder"}
            warning {"reason":"imported_entry"}
            conflict {"paths":["a.py","b/a.py"]}
            removed {}
            deactivated {}
            left_off {}
            deleted {"backup":"state/copy.py"}
            spared {"reason":"folder_gone"}
            spared {"reason":"folder_emptied"}
            spared {"reason":"many_gone"}
            spared {"reason":"maybe_renamed"}
            spared {"reason":"edited_on_server"}
            spared {"reason":"not_on_server"}
            spared {"reason":"off_already"}
            id_changed {"from_id":"old"}
            waiting {"reason":"the server is away"}
            superseded {}
            held {}
            being_written {}
            disabled {}
            same_file {"original":"plugins/whisper.py"}
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn durations_read_well() {
        for (micros, expected) in [
            (0, "0.0 ms"),
            (449, "0.4 ms"),
            (949, "0.9 ms"),
            (950, "1 ms"),
            (1499, "1 ms"),
            (34_400, "34 ms"),
            (999_499, "999 ms"),
            (999_500, "1.0 s"),
            (1_234_000, "1.2 s"),
            (9_949_000, "9.9 s"),
            (9_950_000, "10 s"),
            (20_000_000, "20 s"),
            (59_499_000, "59 s"),
            (59_500_000, "1 min 0 s"),
            (60_000_000, "1 min 0 s"),
            (200_499_000, "3 min 20 s"),
            (3_599_499_000, "59 min 59 s"),
            (3_599_500_000, "1 h 0 min"),
            (7_380_000_000, "2 h 3 min"),
            (360_000_000_000, "100 h 0 min"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), expected, "{micros} µs");
        }
    }

    #[test]
    fn a_log_has_one_line_for_each_notice() {
        let lines = [
            NoticeKind::Updated { from: Some("1.0".to_owned()), kept: None, active: None, took: ms(34) },
            NoticeKind::Refused {
                words: "Traceback:\r\n  no\nTypeError".to_owned(),
                kind: RefusalKind::Said,
                span: Some(span()),
                requirements: None,
                old_version: None,
                took: ms(34),
            },
            NoticeKind::Superseded,
        ]
        .map(|what| shout(what).log_line("2026-01-02T03:04:05.6Z".parse().unwrap()));
        expect![[r#"
            2026-01-02T03:04:05Z updated version=1.0→1.1 digest=3bfc269594ef took=34ms: updated
            2026-01-02T03:04:05Z refused version=1.1 digest=3bfc269594ef took=34ms at=plugins/shout.py:2:7: refused by the server: Traceback:\n  no\nTypeError
            2026-01-02T03:04:05Z superseded version=1.1 digest=3bfc269594ef: replaced by a newer save"#]].assert_eq(&lines.join("\n"));
        for notice in samples() {
            assert!(!notice.log_line(Timestamp::UNIX_EPOCH).contains(['\n', '\r']), "{}", notice.word());
        }
    }

    #[test]
    fn an_update_shows_both_versions_where_they_differ() {
        let updated = |from: Option<&str>| NoticeKind::Updated {
            from: from.map(str::to_owned),
            kept: None,
            active: None,
            took: ms(1),
        };
        assert_eq!(shout(updated(Some("1.0"))).version().as_deref(), Some("1.0 → 1.1"));
        assert_eq!(shout(updated(Some("1.1"))).version().as_deref(), Some("1.1"));
        assert_eq!(shout(updated(None)).version().as_deref(), Some("1.1"));
        let mut notice = shout(updated(Some("1.0")));
        notice.about.version = None;
        assert_eq!(notice.version().as_deref(), Some("1.0 → none"));
    }
}
