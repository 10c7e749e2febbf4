//! The facts that the user may be told. What is said of them stands in [`text`] and [`hint`], and only there; programs read
//! the stable words of [`json`].

pub mod board;
mod format;
mod hint;
mod json;
mod level;
mod log;
mod outcome;
mod text;

#[cfg(test)]
mod samples;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::OnDelete;
use crate::engine::deploy::Failure;
use crate::engine::duplicate::Duplicate;
use crate::engine::plan::Why;
use crate::plugin::{Digest, Entry, Flaw, Key, Plugin, Span, Warning};

pub use format::{duration, format_place};
pub use level::Level;

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
        /// What happened.
        cause: String,
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
        cause: String,
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
        why: KeepReason,
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

/// What the server still has of a plugin whose new text it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldVersion {
    /// It is in use, as before.
    Running,
    /// It is switched off, as before.
    Off,
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

/// Why a plugin whose file is gone stays as it is on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepReason {
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
