//! One deploy as a conversation with the server: which [`Call`] to make, and what its [`Reply`] means.
//!
//! It begins with a look at what the server has, with one exception: what a list that was made for the pass does not have,
//! and of which the ledger knows nothing, is created at once, so that a first deploy of many plugins makes one request for
//! each. Nothing is at risk: every version of the server looks at the id before it looks at the text, and answers that it is
//! taken, or that plugins are off, without touching what is there. Then the look is made up for, and what is found is
//! treated like any other: as somebody else's.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::engine::duplicate::{self, Duplicate, Duplicates, Identity};
use crate::engine::ledger::{Refusal, UpdateIntent};
use crate::engine::plan::Why;
use crate::engine::refusal;
use crate::engine::repair::{self, Next, Repair};
use crate::plugin::{Digest, Entry, Key, Kind, Plugin, id::PluginId};

/// One request to the server, in the engine's words. `client.rs` knows how it is spelled in HTTP.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Ask who is there, and get in: version, and a session where the server has no login.
    Connect,
    /// Every row of a table, with its text: the export.
    Overview(Kind),
    /// One row by its id.
    Get(Key),
    /// Make a new row.
    Create(Key, Arc<Form>),
    /// Replace name, text and meta of a row.
    Update(Key, Arc<Form>),
    /// Flip a function's on/off switch. There is no "set": never flip without having read.
    Toggle(PluginId),
    /// Remove a row for good.
    Delete(Key),
    /// The versions of a row that the server keeps (since 0.12), without their texts: the newest thousand at most.
    Versions(Key),
    /// One of them, with its text.
    Version(Key, String),
    /// Remove one of them; never the current one.
    Prune(Key, String),
}

impl Call {
    /// What it is called in tests and diagnostics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Call::Connect => "connect",
            Call::Overview(_) => "overview",
            Call::Get(_) => "get",
            Call::Create(..) => "create",
            Call::Update(..) => "update",
            Call::Toggle(_) => "toggle",
            Call::Delete(_) => "delete",
            Call::Versions(_) => "versions",
            Call::Version(..) => "version",
            Call::Prune(..) => "prune",
        }
    }
}

/// What is sent to create or update a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// The name shown to users.
    pub name: String,
    /// The source text.
    pub content: Arc<str>,
    /// The meta object, which replaces the stored one as a whole.
    pub meta: Map<String, Value>,
    /// Tools on servers before 0.8: who may use it. `None` leaves the field out.
    pub access_control: Option<Value>,
    /// What the server's version history (0.12) shows beside the change. Older servers ignore it.
    pub message: String,
    /// The file that the text was read from; `None` if it comes from elsewhere.
    pub file: Option<Arc<Path>>,
}

/// A plugin as the server describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The id.
    pub id: String,
    /// The name shown to users.
    pub name: String,
    /// The stored text; some answers come without it.
    pub content: Option<String>,
    /// Its digest, where the client has kept no more of it.
    pub digest: Option<Digest>,
    /// The meta object.
    pub meta: Map<String, Value>,
    /// The on/off switch (functions only).
    pub is_active: Option<bool>,
    /// Tools on servers before 0.8: present, if only as null.
    pub access_control: Option<Value>,
    /// The row has a version of its own, as since 0.12: an update that is refused leaves everything as it was. Before,
    /// the server switches the function off and may go on with a module that is not the stored one.
    pub versioned: bool,
    /// Which version it is, where it is versioned.
    pub version_id: Option<String>,
}

/// A version of a row, as the server's history lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The server's name for it.
    pub id: String,
    /// When it was made.
    pub at: Timestamp,
    /// What it was made from; `None` for the first one.
    pub parent: Option<String>,
    /// The words that came with the change.
    pub message: Option<String>,
    /// Who made it: the name of an account.
    pub author: Option<String>,
}

/// Why the server cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What happened, for the user.
    pub words: String,
    /// Nobody vouches for the server's certificate.
    pub untrusted: bool,
}

impl<T: Into<String>> From<T> for Cause {
    fn from(words: T) -> Self {
        Self { words: words.into(), untrusted: false }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// What came of a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`Call::Connect`]: an Open WebUI of this version answers.
    Connected {
        /// As `/api/version` says it.
        version: String,
    },
    /// To [`Call::Overview`].
    Rows(Vec<Row>),
    /// To the others, when they succeed.
    Row(Box<Row>),
    /// To [`Call::Delete`] and [`Call::Prune`]: it is gone.
    Deleted,
    /// To [`Call::Versions`], newest first.
    Versions(Vec<Version>),
    /// To [`Call::Version`]: its text.
    Text(String),
    /// The server says that this id does not exist; or that version of it, or that it keeps no versions (before 0.12).
    Absent,
    /// To [`Call::Create`]: the id exists after all.
    Taken,
    /// The server would not take the code, in its own words (which may be empty).
    Refused {
        /// The server's `detail`, unaltered.
        words: String,
    },
    /// The server, or a proxy in front of it, failed at this request: a 500, or a 4xx that says nothing about the code
    /// (409, 413, 422, 425 …). That may be the plugin's doing or not; the server is not away.
    Crashed {
        /// The body, shortened.
        words: String,
    },
    /// The key or its role is not enough, or plugins are switched off on the server.
    NotAllowed {
        /// HTTP status; 0 where no request was made (no key).
        status: u16,
        /// The server's words.
        words: String,
    },
    /// A 401 whose words fit both "no such id" and "not allowed". A preflight tells which.
    Unclear {
        /// The server's words.
        words: String,
    },
    /// Certain not to have been carried out: refused connection, 429, 503.
    Unreachable {
        /// Why.
        cause: Cause,
        /// `Retry-After`, where the server gave one.
        retry_after: Option<Duration>,
    },
    /// Its database would not take the change, which is not the text's doing. Before 0.12 a text that was sent may be
    /// what runs from then on, whatever is stored.
    Stumbled {
        /// What happened, for the user.
        cause: String,
    },
    /// The request left and no answer came (timeout, reset): carried out or not, nobody knows.
    Lost {
        /// What happened, for the user.
        cause: String,
    },
    /// The answer to a question is too long, in no known form, or about something else: it tells nothing.
    Unusable {
        /// What is the matter with it, for the user.
        words: String,
    },
    /// Something answers there, but not Open WebUI's API (a web page, a wrong path).
    Foreign {
        /// HTTP status.
        status: u16,
        /// What it looks like.
        words: String,
    },
}

/// What the conversation needs to know beside the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeployPolicy {
    /// Send even what the server holds already.
    pub force: bool,
    /// Look, and say what would be sent, but send nothing.
    pub dry_run: bool,
    /// Switch a function on that was created just now.
    pub activate_new: bool,
    /// What to do about a text on the server that is neither ours nor what we last deployed.
    pub on_remote_edit: OnRemoteEdit,
    /// What to do about a plugin to be created that seems to be on the server under another id.
    pub adopt: Adopt,
}

/// What to do about a text on the server that somebody else put there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRemoteEdit {
    /// Keep a copy on disk, and deploy.
    #[default]
    Backup,
    /// Leave it, and tell how to go on.
    Hold,
    /// Deploy.
    Overwrite,
}

/// What to do about a plugin to be created whose title and author stand on the server under another id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adopt {
    /// Create nothing, and tell how to go on.
    #[default]
    Ask,
    /// Create it.
    Never,
}

/// What a conversation wants next.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Step<O = Outcome> {
    /// Make this call and come back with its reply.
    Call(Call),
    /// Keep this copy of the server's text, which is about to be replaced, and come back with where it lies.
    SaveBackup(Backup),
    /// Write this down before the text leaves, and come back when it is on disk.
    SaveIntent(UpdateIntent),
    /// Archive this text of ours, and take the step after it.
    Archive(Backup, Box<Self>),
    /// Over.
    Done(O),
}

impl<O> Step<O> {
    /// The same step of a conversation whose end means more.
    pub(super) fn map_done<P>(self, done: impl FnOnce(O) -> P) -> Step<P> {
        match self {
            Step::Call(call) => Step::Call(call),
            Step::SaveBackup(backup) => Step::SaveBackup(backup),
            Step::SaveIntent(intent) => Step::SaveIntent(intent),
            Step::Archive(backup, next) => Step::Archive(backup, Box::new(next.map_done(done))),
            Step::Done(outcome) => Step::Done(done(outcome)),
        }
    }
}

/// A text, as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Whose text it is.
    pub key: Key,
    /// The text, unaltered.
    pub text: String,
    /// Its digest, which names the file.
    pub digest: Digest,
}

/// How a deploy ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did not exist, and does now.
    Created {
        /// The on/off switch, for a function.
        active: Option<bool>,
        /// What became of switching it on.
        left: Aftermath,
    },
    /// It holds our text now.
    Updated {
        /// The version that was replaced.
        from: Option<String>,
        /// The copy of what was replaced, where that was neither ours nor the same.
        kept: Option<PathBuf>,
        /// The server's name for the version that this has made, where it keeps versions.
        version: Option<String>,
    },
    /// It held our text already.
    Unchanged,
    /// Would be created, but for `--dry-run`.
    WouldCreate,
    /// Would be updated, but for `--dry-run`.
    WouldUpdate {
        /// The version that would be replaced.
        from: Option<String>,
        /// Whether what would be replaced is somebody else's text, of which a copy would be kept.
        foreign: bool,
    },
    /// Somebody else's text is on the server, and the user wants to decide: nothing was sent.
    RemoteEdit {
        /// Its version.
        theirs: Option<String>,
    },
    /// It seems to be on the server under another id, and the user wants to decide: nothing was sent.
    Duplicate(Duplicate),
    /// The server will not take this text.
    Refused {
        /// In which words.
        refusal: Refusal,
        /// What became of the plugin that is running.
        left: Aftermath,
    },
    /// The server failed at this text, which may be the text's doing or its own.
    Crashed {
        /// Its words.
        words: String,
        /// What became of the plugin that is running.
        left: Aftermath,
    },
    /// Something else went wrong.
    Failed(Failure),
}

impl Reply {
    /// What it means where it is no answer to what was asked.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        match self {
            Reply::Unreachable { cause, retry_after } => Failure::Unreachable { cause, retry_after },
            // A question that got no answer changed nothing; and a server that fails at one is in trouble itself.
            Reply::Lost { cause } | Reply::Stumbled { cause } => {
                Failure::Unreachable { cause: cause.into(), retry_after: None }
            }
            Reply::Crashed { words } => {
                Failure::Unreachable { cause: format!("the server fails: {words}").into(), retry_after: None }
            }
            Reply::NotAllowed { status, words } => Failure::NotAllowed { status, words },
            Reply::Unclear { words } => Failure::NotOurs { words },
            Reply::Foreign { status, words } => Failure::Foreign { status, words },
            Reply::Refused { words } | Reply::Unusable { words } => Failure::Odd { words },
            Reply::Connected { .. }
            | Reply::Rows(_)
            | Reply::Row(_)
            | Reply::Absent
            | Reply::Taken
            | Reply::Deleted
            | Reply::Versions(_)
            // Not to be repeated: a reply may hold a whole source text.
            | Reply::Text(_) => Failure::Odd { words: "an answer to another question than the one asked".to_owned() },
        }
    }
}

impl Outcome {
    /// Why it has left something that is to be made good when the server is looked at again, if it has.
    #[must_use]
    pub fn unsettled(&self) -> Option<&str> {
        match self {
            Outcome::Created { left, .. } | Outcome::Refused { left, .. } | Outcome::Crashed { left, .. } => {
                left.unsettled()
            }
            _ => None,
        }
    }

    /// Whether it is known what the conversation has left on the server. Else the note of what was under way is still of
    /// use.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        match self {
            Outcome::Failed(failure) => failure.is_certain(),
            Outcome::Created { .. } | Outcome::Refused { .. } | Outcome::Crashed { .. } => self.unsettled().is_none(),
            Outcome::Updated { .. }
            | Outcome::Unchanged
            | Outcome::WouldCreate
            | Outcome::WouldUpdate { .. }
            | Outcome::RemoteEdit { .. }
            | Outcome::Duplicate(_) => true,
        }
    }
}

impl Failure {
    /// Whether it is known that nothing was changed on the server.
    pub(super) fn is_certain(&self) -> bool {
        !matches!(self, Failure::Unanswered { .. } | Failure::Stumbled { .. } | Failure::Odd { .. })
    }

    /// Whether the server is away, or in trouble.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Failure::Unreachable { .. } | Failure::Unanswered { .. } | Failure::Stumbled { .. })
    }
}

impl Aftermath {
    /// Why there is something left to be made good when the server is looked at again, if there is.
    pub(super) fn unsettled(&self) -> Option<&str> {
        match self {
            Aftermath::Off { cause, later: true } | Aftermath::Unsettled { cause } => Some(cause),
            Aftermath::Off { later: false, .. } | Aftermath::AsItWas | Aftermath::Restored => None,
        }
    }
}

/// Why the server has not taken a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It says what is wrong with the text, in its own words.
    Refused(String),
    /// It failed at the text.
    Crashed(String),
}

impl Verdict {
    fn of(reply: &Reply) -> Option<Self> {
        match reply {
            Reply::Refused { words } => Some(Verdict::Refused(words.clone())),
            Reply::Crashed { words } => Some(Verdict::Crashed(words.clone())),
            _ => None,
        }
    }

    fn outcome(self, left: Aftermath) -> Outcome {
        match self {
            Verdict::Refused(words) => Outcome::Refused { refusal: Refusal::said(words), left },
            Verdict::Crashed(words) => Outcome::Crashed { words, left },
        }
    }

    /// The conversation ends with it.
    fn over(self, left: Aftermath) -> Step {
        Step::Done(self.outcome(left))
    }

    /// The server is gone since. It may be this text that took it down, which must not happen over and over.
    fn gone(self, left: Aftermath, cause: &str) -> Step {
        match self {
            Verdict::Refused(_) => self.over(left),
            Verdict::Crashed(words) => unanswered(format!("{words}, and then {cause}")),
        }
    }
}

/// What a refused update left of a function that was on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// Everything as it was.
    AsItWas,
    /// The server had switched the function off, and it is on again.
    Restored,
    /// Nothing is off, but the old text could not be loaded again, so that what runs may be the refused one: tried again
    /// when the server is looked at the next time.
    Unsettled {
        /// Why not.
        cause: String,
    },
    /// The function is off, and could not be switched on again.
    Off {
        /// Why not.
        cause: String,
        /// Whether it is tried again when the server is looked at the next time.
        later: bool,
    },
}

/// Why a conversation ended without a verdict on the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server is away, or busy: to be tried again.
    Unreachable {
        /// Why.
        cause: Cause,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It was sent, no answer came, and the server does not hold it, or does not answer at all any more. That may have been
    /// the text's doing.
    Unanswered {
        /// What happened.
        cause: String,
    },
    /// The server could not store it, which is not the text's doing. Before 0.12 it may be what runs all the same.
    Stumbled {
        /// What happened.
        cause: String,
    },
    /// The key or its role is not enough for anything.
    NotAllowed {
        /// HTTP status, or 0.
        status: u16,
        /// The server's words.
        words: String,
    },
    /// What answers is not Open WebUI's API.
    Foreign {
        /// HTTP status.
        status: u16,
        /// What it looks like.
        words: String,
    },
    /// The key is good, but not for this plugin.
    NotOurs {
        /// The server's words.
        words: String,
    },
    /// The server holds another text than the one it has just taken: somebody else wrote at the same moment.
    StoredOther,
    /// The server hides why, and would not take a plugin of one line either: it is not the text's doing.
    TakesNone {
        /// Its words.
        words: String,
    },
    /// The copy of what was about to be replaced could not be written, so nothing was sent.
    KeepFailed {
        /// The system's words.
        words: String,
    },
    /// An answer that fits nothing we know.
    Odd {
        /// What it looked like.
        words: String,
    },
}

/// What is known when a conversation begins.
#[derive(Clone, Debug)]
pub struct DeployContext {
    /// The texts that may be on the server without being somebody else's: what we deployed last, what a rollback put back.
    pub ours: Vec<Digest>,
    /// Those of them of which there may be no copy, since nobody has seen until now that the server has taken them.
    pub unarchived: Vec<Digest>,
    /// Whether the plugin is there under another id.
    pub twins: Duplicates,
    /// The server's words, where it has refused this very text: it is not created once more.
    pub refused: Option<Refusal>,
    /// The server says of an update why it refuses it, but not of a create (0.12).
    pub explains_updates: bool,
    /// The list that the pass goes by does not have it, and we have never deployed it. That is no proof that it does not
    /// exist, but worth a try: no version touches what is there when it is to be created once more.
    pub unlisted: bool,
}

/// One conversation about one plugin.
#[derive(Clone, Debug)]
pub struct Deploy {
    plugin: Arc<Plugin>,
    known: DeployContext,
    terms: DeployPolicy,
    stage: Stage,
    /// How often the world changed under us (created or deleted meanwhile), so that the talk starts again.
    restarts: u8,
    /// A text has left, and the server has not said yet what it holds since.
    in_doubt: bool,
    /// The text has left, and at least once no answer came that tells what became of it.
    was_lost: bool,
    /// The text has left.
    has_sent: bool,
    /// Something was noted before it left.
    has_noted: bool,
    /// The digest of the text that is reloaded after a refusal.
    restores: Option<Digest>,
    /// What the server has, as far as its last answer tells.
    on_server: Option<OnServer>,
}

/// A plugin that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnServer {
    /// The on/off switch, for a function.
    pub active: Option<bool>,
}

/// What the next reply answers.
#[derive(Clone, Debug)]
enum Stage {
    /// Does it exist, and what does it hold?
    Asked,
    /// We were turned away: is it this plugin, or the key?
    Doubted { words: String, absence: MissingRow },
    /// Is it there under another id?
    LookingForTwins,
    /// The copy of what will be replaced.
    Keeping { before: Box<Row> },
    /// The note of what will be sent.
    Noting { next: Box<Stage>, call: Call },
    /// The update.
    Updating { before: Box<Row>, kept: Option<PathBuf> },
    /// Nobody knows what became of the update.
    ReadingBack { before: Box<Row>, kept: Option<PathBuf>, doubt: Unverified },
    /// What the refused update did to a running plugin is made good.
    Repair { healing: Repair, verdict: Verdict },
    /// The create.
    Creating,
    /// What a create that was refused left behind.
    CheckingRefused { verdict: Verdict },
    /// What a create to which no answer came left behind.
    CheckingLost { cause: String },
    /// The server hides why it refused to create it: a stub is created in its place, of whose update it says more.
    CreatingStub { verdict: Verdict },
    /// The stub, which has served, is looked at before it goes.
    CheckingStub { verdict: Verdict },
    /// The stub is deleted.
    DeletingStub { outcome: Outcome },
    /// The new function is being switched on.
    Activating(Repair),
}

/// What being turned away can mean, if the key is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MissingRow {
    /// That there is no such id: some servers say it with a 401.
    Possible,
    /// Only that this plugin is not ours to touch.
    Excluded,
}

/// Why a write is read back.
#[derive(Clone, Debug)]
enum Unverified {
    /// No answer came.
    Lost(String),
    /// The answer was no, which may have left traces.
    Refused(Verdict),
    /// The answer shows another text than the one sent.
    Other,
}

/// How often a conversation starts again because the row came or went meanwhile.
const MOST_RESTARTS: u8 = 2;

/// How a text begins that stands on the server for a moment only.
const STUB_HEAD: &str = "# owui-watch put this here for a moment, to learn why the server refuses the plugin.\n";

impl Deploy {
    /// Begins a conversation: the first step is to ask what the server has, unless it has just said that it has not.
    pub fn start(plugin: Arc<Plugin>, known: DeployContext, terms: DeployPolicy) -> (Self, Step) {
        let mut exchange = Self {
            plugin,
            known,
            terms,
            stage: Stage::Asked,
            restarts: 0,
            in_doubt: false,
            was_lost: false,
            has_sent: false,
            has_noted: false,
            restores: None,
            on_server: None,
        };
        let step = if exchange.known.unlisted && !terms.dry_run {
            exchange.on_asked(Reply::Absent)
        } else {
            exchange.ask(Stage::Asked)
        };
        (exchange, step)
    }

    /// The plugin that this is about.
    #[must_use]
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Whether the text has left, at least once.
    #[must_use]
    pub fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// The digest of the text that is reloaded after a refusal; `None` if none is.
    #[must_use]
    pub fn restores(&self) -> Option<Digest> {
        self.restores
    }

    /// Why the same text is deployed once more.
    #[must_use]
    pub fn why_again(&self) -> Why {
        if self.terms.force { Why::Forced } else { Why::Retry }
    }

    /// Whether nobody knows what has become of a text that has left.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// What the server has of the plugin, as far as its last answer tells.
    #[must_use]
    pub fn on_server(&self) -> Option<OnServer> {
        self.on_server
    }

    /// Whether this reply to the last call says that what stands there, if anything, is not what was sent.
    #[must_use]
    pub fn is_rejected_by(&self, reply: &Reply) -> bool {
        match self.stage {
            // An earlier one, of which nobody knows what became, may have arrived.
            _ if self.was_lost || self.known.unarchived.contains(&self.plugin.digest) => false,
            Stage::Creating => matches!(reply, Reply::Refused { .. } | Reply::Taken),
            Stage::Updating { .. } => matches!(reply, Reply::Refused { .. }),
            _ => false,
        }
    }

    /// Whether the next reply tells of plugins under other ids, for which [`Deploy::claimed_elsewhere`] is to be said before.
    #[must_use]
    pub fn looks_for_twins(&self) -> bool {
        matches!(self.stage, Stage::LookingForTwins)
    }

    /// These ids belong to other files here.
    pub fn claimed_elsewhere(&mut self, ids: BTreeSet<PluginId>) {
        self.known.twins = Duplicates::Unknown(ids);
    }

    /// Takes the reply to the last call.
    pub fn reply(&mut self, reply: Reply) -> Step {
        match &reply {
            Reply::Row(row) => self.on_server = Some(OnServer { active: row.is_active }),
            // Turned down, a call leaves what is there.
            Reply::Refused { .. } | Reply::Crashed { .. } => {}
            _ => self.on_server = None,
        }
        match (&self.stage, &reply) {
            (Stage::Updating { .. }, Reply::Lost { .. } | Reply::Foreign { .. } | Reply::Crashed { .. }) => {
                self.in_doubt = true;
            }
            (Stage::Updating { before, .. }, Reply::Refused { .. }) => self.in_doubt = !before.versioned,
            (Stage::Creating, Reply::Lost { .. } | Reply::Foreign { .. } | Reply::Crashed { .. }) => {
                self.in_doubt = true;
            }
            (_, Reply::Row(_) | Reply::Absent) => self.in_doubt = false,
            _ => {}
        }
        self.was_lost |= self.in_doubt;
        match std::mem::replace(&mut self.stage, Stage::Asked) {
            Stage::Asked => self.on_asked(reply),
            Stage::Doubted { words, absence } => self.on_doubted(reply, words, absence),
            Stage::LookingForTwins => self.on_listed(reply),
            // Not to be repeated: a reply may hold a whole source text.
            Stage::Keeping { .. } | Stage::Noting { .. } => odd("an answer while nothing was asked"),
            Stage::Updating { before, kept } => self.on_updated(reply, before, kept),
            Stage::ReadingBack { before, kept, doubt } => self.on_read_back(reply, &before, kept, doubt),
            Stage::Repair { mut healing, verdict } => {
                let next = healing.reply(reply);
                self.heal(healing, next, verdict)
            }
            Stage::Creating => self.on_created(reply),
            Stage::CheckingRefused { verdict } => self.on_refused_checked(reply, verdict),
            Stage::CheckingLost { cause } => self.on_lost_checked(reply, cause),
            Stage::CreatingStub { verdict } => self.on_stub_created(reply, verdict),
            Stage::CheckingStub { verdict } => self.on_stub_checked(reply, verdict),
            Stage::DeletingStub { outcome } => on_stub_deleted(reply, outcome),
            Stage::Activating(healing) => self.on_activated(reply, healing),
        }
    }

    /// Takes the answer to [`Step::SaveBackup`]: where the copy lies, or why it could not be written.
    pub fn backup_saved(&mut self, kept: Result<PathBuf, String>) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), kept) {
            (Stage::Keeping { before }, Ok(path)) => self.update(before, Some(path)),
            (_, Ok(_)) => odd("a copy was kept that nobody asked for"),
            (_, Err(words)) => Step::Done(Outcome::Failed(Failure::KeepFailed { words })),
        }
    }

    /// Takes the answer to [`Step::SaveIntent`]: it is on disk, or why it could not be written.
    pub fn intent_saved(&mut self, noted: Result<(), String>) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), noted) {
            (Stage::Noting { next, call }, Ok(())) => self.call(*next, call),
            (_, Ok(())) => odd("a note was taken that nobody asked for"),
            (_, Err(words)) => Step::Done(Outcome::Failed(Failure::KeepFailed { words })),
        }
    }

    fn call(&mut self, stage: Stage, call: Call) -> Step {
        if let Call::Create(_, form) | Call::Update(_, form) = &call {
            self.has_sent |= form.file.is_some();
        }
        self.stage = stage;
        Step::Call(call)
    }

    fn ask(&mut self, stage: Stage) -> Step {
        let call = Call::Get(self.plugin.key.clone());
        self.call(stage, call)
    }

    /// The world changed between two calls: begin again, but not for ever.
    fn restart(&mut self) -> Step {
        self.restarts += 1;
        if self.restarts > MOST_RESTARTS {
            return odd("it keeps coming and going on the server");
        }
        self.ask(Stage::Asked)
    }

    fn on_asked(&mut self, reply: Reply) -> Step {
        match reply {
            Reply::Row(row) => self.on_found(row),
            Reply::Absent if let Some(refusal) = self.known.refused.take() => {
                Step::Done(Outcome::Refused { refusal, left: Aftermath::AsItWas })
            }
            Reply::Absent => match (self.terms.adopt, &self.known.twins) {
                (Adopt::Never, _) | (Adopt::Ask, Duplicates::Ignored | Duplicates::Known(None)) => self.create(),
                (Adopt::Ask, Duplicates::Known(Some(twin))) => Step::Done(Outcome::Duplicate(twin.clone())),
                (Adopt::Ask, Duplicates::Unknown(_)) => {
                    let call = Call::Overview(self.plugin.key.kind);
                    self.call(Stage::LookingForTwins, call)
                }
            },
            Reply::Unclear { words } => self.doubt(words, MissingRow::Possible),
            other => self.unexpected(other),
        }
    }

    /// The key opens the table or it does not: that tells what being turned away meant.
    fn doubt(&mut self, words: String, absence: MissingRow) -> Step {
        let call = Call::Overview(self.plugin.key.kind);
        self.call(Stage::Doubted { words, absence }, call)
    }

    fn on_doubted(&mut self, reply: Reply, words: String, absence: MissingRow) -> Step {
        let listed = |rows: &[Row]| rows.iter().any(|row| row.id == self.plugin.key.id.as_str());
        match (reply, absence) {
            (Reply::Rows(rows), MissingRow::Possible) if !listed(&rows) => self.on_asked(Reply::Absent),
            // A list without it proves nothing when a write was turned down.
            (Reply::Rows(_), MissingRow::Possible | MissingRow::Excluded) => {
                Step::Done(Outcome::Failed(Failure::NotOurs { words }))
            }
            (Reply::Unclear { words }, _) => not_allowed(401, words),
            (Reply::NotAllowed { status, words }, _) => not_allowed(status, words),
            (other, _) => self.unexpected(other),
        }
    }

    fn on_listed(&mut self, reply: Reply) -> Step {
        let (Duplicates::Unknown(claimed_elsewhere), Reply::Rows(rows)) = (&self.known.twins, &reply) else {
            return match reply {
                // Whoever may create a tool may not always list what others have, or they have too much.
                Reply::NotAllowed { .. } | Reply::Unclear { .. } | Reply::Unusable { .. } => self.create(),
                other => self.unexpected(other),
            };
        };
        let others: Vec<_> =
            rows.iter().filter_map(|row| Some((PluginId::new(&row.id)?, Identity::of_row(row)))).collect();
        let others = others.iter().map(|(id, identity)| (id, identity));
        let identity = Identity::of(&self.plugin);
        match duplicate::find(&identity, &self.plugin.key.id, others, |id| claimed_elsewhere.contains(id)) {
            Some(twin) => Step::Done(Outcome::Duplicate(twin)),
            None => self.create(),
        }
    }

    fn create(&mut self) -> Step {
        if self.terms.dry_run {
            return Step::Done(Outcome::WouldCreate);
        }
        let call = Call::Create(self.plugin.key.clone(), Arc::new(form_to_create(&self.plugin)));
        self.send(None, self.activates(), Stage::Creating, call)
    }

    /// Whether a function is switched on once it is created.
    fn activates(&self) -> bool {
        self.terms.activate_new && self.plugin.key.kind == Kind::Function
    }

    fn on_found(&mut self, row: Box<Row>) -> Step {
        let Some(text) = &row.content else {
            let words = "the server does not show its text to this key".to_owned();
            return Step::Done(Outcome::Failed(Failure::NotOurs { words }));
        };
        let digest = Digest::of_text(text);
        if digest == self.plugin.digest && !self.terms.force {
            return Step::Done(Outcome::Unchanged);
        }
        let ours = digest == self.plugin.digest || self.known.ours.contains(&digest) || is_stub(&row);
        if !ours && self.terms.on_remote_edit == OnRemoteEdit::Hold && !self.terms.force {
            return Step::Done(Outcome::RemoteEdit { theirs: row.version() });
        }
        if self.terms.dry_run {
            return Step::Done(Outcome::WouldUpdate {
                from: row.version(),
                foreign: !ours && self.terms.on_remote_edit != OnRemoteEdit::Overwrite,
            });
        }
        let backup = Backup { key: self.plugin.key.clone(), text: text.clone(), digest };
        if self.known.unarchived.contains(&digest) {
            return Step::Archive(backup, Box::new(self.update(row, None)));
        }
        if ours || self.terms.on_remote_edit == OnRemoteEdit::Overwrite {
            return self.update(row, None);
        }
        self.stage = Stage::Keeping { before: row };
        Step::SaveBackup(backup)
    }

    /// A server that may switch the function off is not sent anything before it is on disk that the function is on.
    fn update(&mut self, before: Box<Row>, kept: Option<PathBuf>) -> Step {
        let call = Call::Update(self.plugin.key.clone(), Arc::new(form_to_update(&self.plugin, &before)));
        let replaced = before.digest().filter(|_| !before.versioned);
        let was_active =
            if is_stub(&before) { self.activates() } else { replaced.is_some() && before.is_active == Some(true) };
        self.send(replaced, was_active, Stage::Updating { before, kept }, call)
    }

    /// What must be known of it after a crash is on disk before it leaves: what there would be to make good, that a new
    /// function is switched on, and, where a text that is not known for ours would hold all further deploys, whose it is.
    fn send(&mut self, replaced: Option<Digest>, was_active: bool, next: Stage, call: Call) -> Step {
        let is_needed = replaced.is_some() || was_active || self.terms.on_remote_edit == OnRemoteEdit::Hold;
        // What this conversation has noted before does not hold any more.
        if !is_needed && !self.has_noted {
            return self.call(next, call);
        }
        self.has_noted = true;
        let ours = self.known.ours.iter().copied().chain([self.plugin.digest]).collect();
        let under_way = UpdateIntent { ours, replaced, was_active };
        self.stage = Stage::Noting { next: Box::new(next), call };
        Step::SaveIntent(under_way)
    }

    fn on_updated(&mut self, reply: Reply, before: Box<Row>, kept: Option<PathBuf>) -> Step {
        match reply {
            Reply::Row(after) if self.is_ours(&after) => self.taken(&before, &after, kept),
            Reply::Row(_) => self.ask(Stage::ReadingBack { before, kept, doubt: Unverified::Other }),
            // A proxy that answers for the server does not know either what became of it.
            Reply::Lost { cause } | Reply::Foreign { words: cause, .. } => {
                self.ask(Stage::ReadingBack { before, kept, doubt: Unverified::Lost(cause) })
            }
            Reply::Stumbled { cause } if !before.versioned => Step::Done(Outcome::Failed(Failure::Stumbled { cause })),
            reply => match Verdict::of(&reply) {
                Some(verdict) if is_stub(&before) => self.ask(Stage::CheckingStub { verdict }),
                Some(verdict @ Verdict::Refused(_)) if before.versioned => verdict.over(Aftermath::AsItWas),
                Some(verdict) => self.ask(Stage::ReadingBack { before, kept, doubt: Unverified::Refused(verdict) }),
                None => self.unexpected(reply),
            },
        }
    }

    fn on_read_back(&mut self, reply: Reply, before: &Row, kept: Option<PathBuf>, doubt: Unverified) -> Step {
        match (reply, doubt) {
            // What it held before, it may have refused to take again.
            (Reply::Row(after), Unverified::Refused(verdict)) if !self.is_ours(&after) || self.is_ours(before) => {
                self.restore(before, &after, verdict)
            }
            // A refusal switches a function off. So may somebody else, so that the text is sent once more.
            (Reply::Row(after), Unverified::Lost(cause)) if went_off(before, &after) => {
                self.restore(before, &after, Verdict::Crashed(cause))
            }
            (Reply::Row(after), _) if self.is_ours(&after) => self.taken(before, &after, kept),
            // Somebody else wrote at the same moment: that is looked at like any text of theirs.
            (Reply::Row(after), Unverified::Other) => {
                self.restarts += 1;
                if self.restarts > MOST_RESTARTS {
                    return Step::Done(Outcome::Failed(Failure::StoredOther));
                }
                self.on_found(after)
            }
            (Reply::Absent, _) => self.restart(),
            // What stands there for a moment goes, or else is found by the next try.
            (Reply::Row(after), Unverified::Lost(cause)) if is_stub(before) && is_stub(&after) => {
                self.delete_stub(Outcome::Failed(Failure::Unanswered { cause }))
            }
            (reply, Unverified::Lost(_)) if is_stub(before) && !matches!(reply, Reply::Row(_)) => {
                self.unexpected(reply)
            }
            // Not carried out, as it seems; the next try starts by looking again.
            (_, Unverified::Lost(cause)) => unanswered(cause),
            (reply, Unverified::Refused(verdict)) => {
                let gone = matches!(reply, Reply::Unreachable { .. } | Reply::Lost { .. });
                let (cause, _) = repair::cause_of(reply);
                let left = match before.is_active {
                    _ if before.versioned => Aftermath::AsItWas,
                    Some(true) => Aftermath::Off { cause: cause.clone(), later: true },
                    Some(false) | None => Aftermath::Unsettled { cause: cause.clone() },
                };
                if gone { verdict.gone(left, &cause) } else { verdict.over(left) }
            }
            (reply, Unverified::Other) => self.unexpected(reply),
        }
    }

    /// The server holds our text. No version touches a switch when it takes a text: one that was flipped meanwhile was
    /// flipped by somebody, and stays.
    fn taken(&mut self, before: &Row, after: &Row, kept: Option<PathBuf>) -> Step {
        if is_stub(before) {
            return self.created(after);
        }
        // A text that is equal to the stored one makes no version: what stands there then is not of our making.
        let version = after.version_id.clone().filter(|made| before.version_id.as_ref() != Some(made));
        Step::Done(Outcome::Updated { from: before.version(), kept, version })
    }

    /// The server would not have our text. Before 0.12 that leaves traces, which go when it loads the old text once more:
    /// the switch of the function, and what runs of it.
    fn restore(&mut self, before: &Row, after: &Row, verdict: Verdict) -> Step {
        if before.versioned {
            return verdict.over(Aftermath::AsItWas);
        }
        // Who has put another text there meanwhile has loaded it, and may be about to put the next one there.
        let reload = before.digest() == after.digest();
        self.restores = after.digest();
        let (healing, next) = Repair::start(&self.plugin.key, before.is_active == Some(true), after, reload);
        self.heal(healing, next, verdict)
    }

    fn heal(&mut self, healing: Repair, next: Next, verdict: Verdict) -> Step {
        match next {
            Next::Call(call) => self.call(Stage::Repair { healing, verdict }, call),
            Next::Over(left) => verdict.over(left),
        }
    }

    fn on_created(&mut self, reply: Reply) -> Step {
        match reply {
            // The answer to a create carries no text, but it says enough: the id was free, and of two who create the same
            // at once the server tells one that it was not. So what is stored there is what we sent.
            Reply::Row(row) if row.content.is_none() || self.is_ours(&row) => self.created(&row),
            Reply::Row(_) => Step::Done(Outcome::Failed(Failure::StoredOther)),
            Reply::Taken => self.restart(),
            Reply::Lost { cause } => self.ask(Stage::CheckingLost { cause }),
            reply => match Verdict::of(&reply) {
                Some(verdict) => self.ask(Stage::CheckingRefused { verdict }),
                None => self.unexpected(reply),
            },
        }
    }

    /// A create that is refused may have left a row behind.
    fn on_refused_checked(&mut self, reply: Reply, verdict: Verdict) -> Step {
        let masked = matches!(&verdict, Verdict::Refused(words) if refusal::masked(words));
        match reply {
            // It was there all the time, and the list did not have it.
            Reply::Row(row) if std::mem::take(&mut self.known.unlisted) => self.on_found(row),
            Reply::Row(row) if self.is_ours(&row) => self.created(&row),
            Reply::Absent if self.known.explains_updates && masked => {
                let call = Call::Create(self.plugin.key.clone(), Arc::new(form_of_stub(&self.plugin)));
                self.call(Stage::CreatingStub { verdict }, call)
            }
            Reply::Row(_) | Reply::Absent => verdict.over(Aftermath::AsItWas),
            Reply::Unreachable { cause, .. } => verdict.gone(Aftermath::AsItWas, &cause.words),
            Reply::Lost { cause } => verdict.gone(Aftermath::AsItWas, &cause),
            other => self.unexpected(other),
        }
    }

    /// A create to which no answer came may have been carried out.
    fn on_lost_checked(&mut self, reply: Reply, cause: String) -> Step {
        match reply {
            Reply::Row(row) if self.is_ours(&row) => self.created(&row),
            Reply::Row(row) if std::mem::take(&mut self.known.unlisted) => self.on_found(row),
            Reply::Row(_) => Step::Done(Outcome::Failed(Failure::StoredOther)),
            Reply::Absent | Reply::Unreachable { .. } | Reply::Lost { .. } => unanswered(cause),
            other => self.unexpected(other),
        }
    }

    /// It is there, for the first time.
    fn created(&mut self, row: &Row) -> Step {
        if self.activates() && row.is_active == Some(false) {
            let (healing, next) = Repair::switch_on_new(&self.plugin.key, self.plugin.digest, row);
            return self.activate(healing, next);
        }
        Step::Done(Outcome::Created { active: row.is_active, left: Aftermath::AsItWas })
    }

    fn activate(&mut self, healing: Repair, next: Next) -> Step {
        match next {
            Next::Call(call) => self.call(Stage::Activating(healing), call),
            Next::Over(Aftermath::Restored) => {
                Step::Done(Outcome::Created { active: Some(true), left: Aftermath::AsItWas })
            }
            // Somebody else has put another text there.
            Next::Over(Aftermath::AsItWas) => Step::Done(Outcome::Failed(Failure::StoredOther)),
            Next::Over(left @ (Aftermath::Unsettled { .. } | Aftermath::Off { .. })) => {
                Step::Done(Outcome::Created { active: Some(false), left })
            }
        }
    }

    /// The update of the stub is what the server gives its reason for; if it takes it after all, so much the better.
    fn on_stub_created(&mut self, reply: Reply, verdict: Verdict) -> Step {
        match reply {
            // From here on it is an update like any other. The stub is created once, whatever comes of it.
            Reply::Row(_) | Reply::Lost { .. } => {
                self.known.explains_updates = false;
                self.ask(Stage::Asked)
            }
            Reply::Taken => self.restart(),
            Reply::Refused { .. } => {
                let (Verdict::Refused(words) | Verdict::Crashed(words)) = verdict;
                Step::Done(Outcome::Failed(Failure::TakesNone { words }))
            }
            Reply::Crashed { words } => Verdict::Crashed(words).over(Aftermath::AsItWas),
            other => self.unexpected(other),
        }
    }

    /// Only what is still the stub is deleted.
    fn on_stub_checked(&mut self, reply: Reply, verdict: Verdict) -> Step {
        let outcome = verdict.outcome(Aftermath::AsItWas);
        match reply {
            Reply::Row(row) if is_stub(&row) => self.delete_stub(outcome),
            reply => on_stub_deleted(reply, outcome),
        }
    }

    fn delete_stub(&mut self, outcome: Outcome) -> Step {
        let call = Call::Delete(self.plugin.key.clone());
        self.call(Stage::DeletingStub { outcome }, call)
    }

    fn on_activated(&mut self, reply: Reply, mut healing: Repair) -> Step {
        if reply == Reply::Absent {
            return self.restart();
        }
        let next = healing.reply(reply);
        self.activate(healing, next)
    }

    /// The server stores what we sent, as it says itself.
    fn is_ours(&self, row: &Row) -> bool {
        row.digest() == Some(self.plugin.digest)
    }

    /// The replies that mean the same at every stage.
    fn unexpected(&mut self, reply: Reply) -> Step {
        match reply {
            Reply::NotAllowed { words, .. } | Reply::Unclear { words } => self.doubt(words, MissingRow::Excluded),
            Reply::Absent => self.restart(),
            other => Step::Done(Outcome::Failed(other.into_failure())),
        }
    }
}

/// What stands on the server for a moment is not left behind: while nobody knows whether it is, this is not over.
fn on_stub_deleted(reply: Reply, outcome: Outcome) -> Step {
    match reply {
        Reply::Unreachable { .. } | Reply::Lost { .. } | Reply::Stumbled { .. } | Reply::Crashed { .. } => {
            Step::Done(Outcome::Failed(reply.into_failure()))
        }
        _ => Step::Done(outcome),
    }
}

fn odd(words: &str) -> Step {
    Step::Done(Outcome::Failed(Failure::Odd { words: words.to_owned() }))
}

fn not_allowed(status: u16, words: String) -> Step {
    Step::Done(Outcome::Failed(Failure::NotAllowed { status, words }))
}

/// The server has switched the function off, as it does before 0.12 when it refuses a text.
fn went_off(before: &Row, after: &Row) -> bool {
    let off = before.is_active == Some(true) && after.is_active == Some(false);
    !before.versioned && off && before.digest() == after.digest()
}

fn unanswered(cause: String) -> Step {
    Step::Done(Outcome::Failed(Failure::Unanswered { cause }))
}

/// A new plugin: named by its title, private (which servers before 0.8 have to be told).
fn form_to_create(plugin: &Plugin) -> Form {
    Form {
        name: title(plugin),
        content: Arc::clone(&plugin.text),
        meta: Map::from_iter([("description".to_owned(), Value::from(description(plugin)))]),
        access_control: match plugin.key.kind {
            Kind::Tool => Some(Value::Object(Map::new())),
            Kind::Function => None,
        },
        message: message(plugin.frontmatter.version()),
        file: Some(Arc::clone(&plugin.path)),
    }
}

/// The least that the server takes as a plugin of this type.
fn form_of_stub(plugin: &Plugin) -> Form {
    Form { content: Arc::from(stub_text(plugin.entry)), file: None, ..form_to_create(plugin) }
}

fn stub_text(entry: Entry) -> String {
    format!("{STUB_HEAD}class {}:\n    pass\n", entry.class())
}

/// Whether this is what stands on the server for a moment, where the plugin is of this type.
pub(super) fn is_of_stub(digest: Digest, entry: Entry) -> bool {
    Digest::of_text(&stub_text(entry)) == digest
}

fn is_stub(row: &Row) -> bool {
    row.content.as_deref().is_some_and(|text| text.starts_with(STUB_HEAD))
}

/// An update is what was read, with our text. Name and description follow the frontmatter as long as nobody changed
/// them on the server: the stored manifest, which the server makes from the stored text, tells what they were made from.
fn form_to_update(plugin: &Plugin, before: &Row) -> Form {
    let mut meta = before.meta.clone();
    let manifest = meta.remove("manifest");
    let was = |field: &str| manifest.as_ref().and_then(|manifest| manifest.get(field)).and_then(Value::as_str);
    let never_renamed = before.name == was("title").filter(|title| !title.is_empty()).unwrap_or(&before.id);
    let described = meta.get("description").and_then(Value::as_str).unwrap_or_default();
    // The stub has no frontmatter, but what was made from ours.
    let stub = is_stub(before);
    if described == was("description").unwrap_or_default() || stub {
        meta.insert("description".to_owned(), Value::from(description(plugin)));
    }
    // Servers before 0.12 never take `toggle` back by themselves; every version sets it where it applies.
    meta.remove("toggle");
    Form {
        name: if never_renamed || stub { title(plugin) } else { before.name.clone() },
        content: Arc::clone(&plugin.text),
        meta,
        access_control: before.access_control.clone(),
        message: message(plugin.frontmatter.version()),
        file: Some(Arc::clone(&plugin.path)),
    }
}

/// What the server's history shows beside a deploy of a text with this version; a commit may follow after a comma.
#[must_use]
pub fn message(version: Option<&str>) -> String {
    match version {
        Some(version) => format!("owui-watch: {version}"),
        None => "owui-watch".to_owned(),
    }
}

fn title(plugin: &Plugin) -> String {
    plugin.frontmatter.title().unwrap_or(plugin.key.id.as_str()).to_owned()
}

fn description(plugin: &Plugin) -> &str {
    plugin.frontmatter.description().unwrap_or_default()
}

impl Row {
    /// The version in the stored frontmatter.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let version = self.meta.get("manifest")?.get("version")?.as_str()?;
        (!version.is_empty()).then(|| version.to_owned())
    }

    /// Of the stored text, where the server shows it.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.content.as_deref().map(Digest::of_text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;

    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::plugin::{self, FileSettings, Parsed};

    /// More steps than the longest conversation has: three beginnings, and the longest way to an end.
    const MOST_STEPS: usize = 16;

    const PLAIN: DeployPolicy = DeployPolicy {
        force: false,
        dry_run: false,
        activate_new: false,
        on_remote_edit: OnRemoteEdit::Backup,
        adopt: Adopt::Ask,
    };
    /// The texts and rows of the tables: version 1 is what we deployed last.
    fn known() -> DeployContext {
        let ours = vec![Digest::of_text(&source("1"))];
        DeployContext {
            ours,
            unarchived: Vec::new(),
            twins: Duplicates::Known(None),
            refused: None,
            explains_updates: true,
            unlisted: false,
        }
    }

    const LOOK: DeployPolicy = DeployPolicy { dry_run: true, activate_new: true, ..PLAIN };
    const ACTIVATE: DeployPolicy = DeployPolicy { activate_new: true, ..PLAIN };

    fn source(version: &str) -> String {
        format!("\"\"\"\ntitle: Shout\nversion: {version}\n\"\"\"\nclass Filter: pass\n")
    }

    fn plugin_of(text: &str) -> Plugin {
        match plugin::parse(&Arc::from(Path::new("shout.py")), text.as_bytes(), &FileSettings::default()) {
            Parsed::Plugin(plugin) => Arc::unwrap_or_clone(plugin),
            other @ (Parsed::NotAPlugin | Parsed::Disabled | Parsed::Flawed(_)) => panic!("{other:?}"),
        }
    }

    fn row(version: &str, is_active: bool) -> Row {
        Row {
            id: "shout".to_owned(),
            name: "Shout".to_owned(),
            content: (version != "no text").then(|| source(version)),
            meta: object(json!({"manifest": {"title": "Shout", "version": version}})),
            is_active: Some(is_active),
            access_control: None,
            versioned: true,
            version_id: Some("v".to_owned()),
            digest: None,
        }
    }

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("{value}") };
        object
    }

    /// What the server may say, by a name for the tables. Ours is version 2, and version 1 is what we deployed last.
    fn replies() -> Vec<(&'static str, Reply)> {
        let words = || "words".to_owned();
        let row = |version, is_active| Reply::Row(Box::new(row(version, is_active)));
        vec![
            ("ours", row("2", true)),
            ("ours, off", row("2", false)),
            ("deployed", row("1", true)),
            ("theirs", row("theirs", false)),
            // Of a server before 0.12.
            ("old", Reply::Row(Box::new(Row { versioned: false, ..self::row("1", true) }))),
            ("old, off", Reply::Row(Box::new(Row { versioned: false, ..self::row("1", false) }))),
            ("stub", Reply::Row(Box::new(stub()))),
            ("no text", row("no text", false)),
            ("absent", Reply::Absent),
            ("taken", Reply::Taken),
            ("refused", Reply::Refused { words: words() }),
            ("masked", Reply::Refused { words: "[ERROR: Error creating function]".to_owned() }),
            ("crashed", Reply::Crashed { words: words() }),
            ("not allowed", Reply::NotAllowed { status: 403, words: words() }),
            ("unclear", Reply::Unclear { words: words() }),
            ("unreachable", Reply::Unreachable { cause: words().into(), retry_after: Some(Duration::from_secs(9)) }),
            ("stumbled", Reply::Stumbled { cause: words() }),
            ("lost", Reply::Lost { cause: words() }),
            ("foreign", Reply::Foreign { status: 200, words: words() }),
            ("too long", Reply::Unusable { words: words() }),
            ("connected", Reply::Connected { version: "0.12.4".to_owned() }),
            ("rows", Reply::Rows(Vec::new())),
            ("deleted", Reply::Deleted),
            ("versions", Reply::Versions(Vec::new())),
            ("text", Reply::Text(source("1"))),
            ("rows with it", Reply::Rows(vec![self::row("no text", true)])),
        ]
    }

    fn stub() -> Row {
        let form = form_of_stub(&plugin_of(&source("2")));
        Row { content: Some(form.content.to_string()), meta: form.meta, ..row("no text", false) }
    }

    fn reply(name: &str) -> Reply {
        replies().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// A conversation under the eyes of the rules.
    struct Conversation {
        exchange: Deploy,
        step: Step,
        terms: DeployPolicy,
        /// Everything that was said, newest last: the step, and the name of what came back.
        said: Vec<(Step, Reply)>,
        /// The texts that were kept.
        kept: Vec<String>,
        /// What was noted.
        noted: Vec<UpdateIntent>,
    }

    impl Conversation {
        fn start(terms: DeployPolicy) -> Self {
            let (exchange, step) = Deploy::start(Arc::new(plugin_of(&source("2"))), known(), terms);
            let talk = Self { exchange, step, terms, said: Vec::new(), kept: Vec::new(), noted: Vec::new() };
            talk.check();
            talk
        }

        /// Answers with these replies; `kept` and `not kept` are the answers to a keep.
        fn with(terms: DeployPolicy, script: &[&str]) -> Self {
            let mut talk = Self::start(terms);
            for name in script {
                talk.answer(name);
            }
            talk
        }

        fn answer(&mut self, name: &str) {
            assert!(!matches!(self.step, Step::Done(_)), "over already: {:?}", self.step);
            if let (Step::SaveBackup(backup), "kept") = (&self.step, name) {
                self.kept.push(backup.text.clone());
                self.step = self.exchange.backup_saved(Ok(PathBuf::from("copy.py")));
            } else if let (Step::SaveIntent(under_way), "noted") = (&self.step, name) {
                // What may be on the server already, and what is about to be.
                assert_eq!(under_way.ours, ["1", "2"].map(|version| Digest::of_text(&source(version))));
                self.noted.push(under_way.clone());
                self.step = self.exchange.intent_saved(Ok(()));
            } else if name == "not noted" {
                self.step = self.exchange.intent_saved(Err("disk full".to_owned()));
            } else if name == "not kept" {
                self.step = self.exchange.backup_saved(Err("disk full".to_owned()));
            } else {
                let reply = reply(name);
                let next = self.exchange.reply(reply.clone());
                self.said.push((std::mem::replace(&mut self.step, next), reply));
            }
            self.check();
        }

        /// The rules for what may be said next, given what was heard.
        fn check(&self) {
            let said = &self.said;
            assert!(said.len() <= MOST_STEPS, "no end: {said:?}");
            let writes = matches!(
                self.step,
                Step::Call(Call::Create(..) | Call::Update(..) | Call::Toggle(_) | Call::Delete(_))
            );
            assert!(
                !self.terms.dry_run || !(writes || matches!(self.step, Step::SaveBackup(_))),
                "a dry run only looks"
            );
            match &self.step {
                Step::Call(Call::Create(..)) => match said.as_slice() {
                    [.., (Step::Call(Call::Get(_)), Reply::Absent)] => {}
                    [
                        ..,
                        (Step::Call(Call::Get(_)), Reply::Unclear { .. }),
                        (Step::Call(Call::Overview(_)), Reply::Rows(rows)),
                    ] => {
                        assert!(rows.is_empty(), "created what the list shows: {said:?}");
                    }
                    _ => panic!("created without the server's word that it does not exist: {said:?}"),
                },
                Step::Call(Call::Update(..)) => {
                    let Some((Step::Call(Call::Get(_)), Reply::Row(before))) = said.last() else {
                        panic!("updated without a look: {said:?}");
                    };
                    let text = before.content.clone().expect("what is replaced is known");
                    let ours = text == source("2") || text == source("1") || is_stub(before);
                    let note = self.noted.last().map(|note| (note.replaced, note.was_active));
                    let first = self.noted.len() == 1
                        && !said.iter().any(|(step, _)| matches!(step, Step::Call(Call::Update(..))));
                    let seen = (Some(Digest::of_text(&text)), before.is_active == Some(true));
                    assert!(before.versioned || !first || note == Some(seen), "sent without a note: {said:?}");
                    assert!(before.versioned || note.is_some(), "sent without a note: {said:?}");
                    assert!(ours || self.kept.last() == Some(&text), "replaced without a copy: {said:?}");
                }
                Step::Call(Call::Toggle(_)) => {
                    let Some((
                        Step::Call(Call::Get(_) | Call::Toggle(_) | Call::Update(..) | Call::Create(..)),
                        Reply::Row(row),
                    )) = said.last()
                    else {
                        panic!("flipped without a look: {said:?}");
                    };
                    assert_eq!(row.is_active, Some(false), "flipped what was not off: {said:?}");
                    // A stub may have been left by an earlier conversation.
                    let found = |reply: &Reply| matches!(reply, Reply::Row(row) if is_stub(row));
                    let created = |step: &Step| matches!(step, Step::Call(Call::Create(..)));
                    let created = said.iter().any(|(step, reply)| created(step) || found(reply));
                    // What a refusal switched off was on when we looked first.
                    let was_on = |(step, reply): &(Step, Reply)| matches!((step, reply), (Step::Call(Call::Get(_)), Reply::Row(row)) if row.is_active == Some(true));
                    let refused = said.iter().any(was_on);
                    assert!(
                        (created && self.terms.activate_new) || (refused && !created),
                        "flipped what is not ours to flip: {said:?}"
                    );
                }
                Step::SaveBackup(backup) => {
                    let Some((Step::Call(Call::Get(_)), Reply::Row(before))) = said.last() else {
                        panic!("kept without a look: {said:?}");
                    };
                    assert_eq!(Some(&backup.text), before.content.as_ref());
                }
                Step::Done(Outcome::Updated { .. } | Outcome::Created { .. }) => {
                    let stored = said.iter().rev().find_map(|(_, reply)| match reply {
                        Reply::Row(row) => Some(row.content == Some(source("2"))),
                        _ => None,
                    });
                    let flipped = said.iter().any(|(step, _)| matches!(step, Step::Call(Call::Toggle(_))));
                    // The answer to a create has no text to be seen.
                    let created = matches!(said.last(), Some((Step::Call(Call::Create(..)), Reply::Row(row))) if row.content.is_none());
                    assert!(stored == Some(true) || flipped || created, "success without having seen it: {said:?}");
                }
                Step::Call(Call::Delete(_)) => {
                    let Some((Step::Call(Call::Get(_)), Reply::Row(row))) = said.last() else {
                        panic!("deleted without a look: {said:?}");
                    };
                    assert!(is_stub(row), "deleted what is not ours: {said:?}");
                }
                Step::Call(call) => {
                    assert!(matches!(call, Call::Get(_) | Call::Overview(_)), "{call:?}");
                }
                Step::SaveIntent(_) | Step::Archive(..) | Step::Done(_) => {}
            }
        }
    }

    fn say(step: &Step) -> String {
        match step {
            Step::Call(call) => call.word().to_owned(),
            Step::SaveBackup(_) => "keep".to_owned(),
            Step::SaveIntent(_) => "note".to_owned(),
            Step::Archive(_, next) => format!("archive, {}", say(next)),
            Step::Done(Outcome::Failed(failure)) => format!("{failure:?}"),
            Step::Done(outcome) => format!("{outcome:?}"),
        }
    }

    fn stage(exchange: &Deploy) -> &'static str {
        match &exchange.stage {
            Stage::Asked => "asked",
            Stage::Doubted { absence: MissingRow::Possible, .. } => "doubted",
            Stage::Doubted { absence: MissingRow::Excluded, .. } => "turned away",
            Stage::Keeping { .. } => "keeping",
            Stage::Updating { kept: None, .. } => "updating",
            Stage::Updating { kept: Some(_), .. } => "updating, kept",
            Stage::LookingForTwins => "looking for twins",
            Stage::Noting { .. } => "noting",
            Stage::Repair { healing, .. } => match healing.stage() {
                repair::Stage::Restoring { .. } => "restoring",
                repair::Stage::Looking { .. } => "restoring, looking",
                repair::Stage::Flipping => "switching on",
                repair::Stage::FlippingBack => "switching on, back",
                repair::Stage::ReadingBack => "switching on, reading back",
            },
            Stage::CreatingStub { .. } => "creating a stub",
            Stage::CheckingStub { .. } => "checking the stub",
            Stage::DeletingStub { .. } => "deleting the stub",
            Stage::ReadingBack { doubt: Unverified::Lost(_), .. } => "reading back, lost",
            Stage::ReadingBack { doubt: Unverified::Refused(_), .. } => "reading back, refused",
            Stage::ReadingBack { doubt: Unverified::Other, .. } => "reading back, other",
            Stage::Creating => "creating",
            Stage::CheckingRefused { .. } => "checking, refused",
            Stage::CheckingLost { .. } => "checking, lost",
            Stage::Activating(healing) => match healing.stage() {
                repair::Stage::FlippingBack => "activating, back",
                repair::Stage::ReadingBack => "activating, reading back",
                _ => "activating",
            },
        }
    }

    /// How to get to each stage.
    const WAYS: [(&str, &[&str]); 35] = [
        ("asked", &[]),
        ("doubted", &["unclear"]),
        ("keeping", &["theirs"]),
        ("updating", &["deployed"]),
        ("updating, kept", &["theirs", "kept"]),
        ("turned away", &["deployed", "unclear"]),
        ("reading back, lost", &["deployed", "lost"]),
        ("reading back, refused", &["deployed", "crashed"]),
        ("reading back, other", &["theirs", "kept", "theirs"]),
        ("noting", &["old"]),
        ("noting", &["absent"]),
        ("updating", &["old", "noted"]),
        ("reading back, refused", &["old", "noted", "refused"]),
        ("restoring", &["old", "noted", "refused", "old, off"]),
        ("restoring", &["old", "noted", "refused", "old"]),
        ("restoring, looking", &["old", "noted", "refused", "old, off", "refused"]),
        ("restoring, looking", &["old", "noted", "refused", "old, off", "crashed"]),
        ("restoring", &["old", "noted", "refused", "old, off", "crashed", "old"]),
        ("switching on", &["old", "noted", "refused", "old, off", "old, off"]),
        ("switching on, back", &["old", "noted", "refused", "old, off", "old, off", "old, off"]),
        ("switching on, reading back", &["old", "noted", "refused", "old, off", "old, off", "lost"]),
        ("activating", &["absent", "noted", "masked", "absent", "stub", "stub", "noted", "ours, off"]),
        ("reading back, lost", &["absent", "noted", "masked", "absent", "stub", "stub", "noted", "lost"]),
        ("reading back, lost", &["old", "noted", "lost"]),
        ("restoring, looking", &["old", "noted", "refused", "old", "lost"]),
        ("creating a stub", &["absent", "noted", "masked", "absent"]),
        ("checking the stub", &["absent", "noted", "masked", "absent", "stub", "stub", "noted", "refused"]),
        ("deleting the stub", &["absent", "noted", "masked", "absent", "stub", "stub", "noted", "refused", "stub"]),
        ("creating", &["absent", "noted"]),
        ("turned away", &["absent", "noted", "unclear"]),
        ("checking, lost", &["absent", "noted", "lost"]),
        ("checking, refused", &["absent", "noted", "refused"]),
        ("activating", &["absent", "noted", "no text"]),
        ("activating, back", &["absent", "noted", "no text", "ours, off"]),
        ("activating, reading back", &["absent", "noted", "no text", "lost"]),
    ];

    /// What the same replies come to at every stage that has no other use for them.
    fn everywhere(reply: Reply) -> String {
        say(&Conversation::start(ACTIVATE).exchange.unexpected(reply))
    }

    /// Replies under the step that they lead to, in the order of the first.
    fn grouped(steps: impl Iterator<Item = (&'static str, String)>) -> String {
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for (name, next) in steps {
            match groups.iter_mut().find(|(known, _)| *known == next) {
                Some((_, names)) => names.push(name),
                None => groups.push((next, vec![name])),
            }
        }
        groups.into_iter().fold(String::new(), |mut text, (next, names)| {
            writeln!(text, "    {next} <- {}", names.join(" | ")).unwrap();
            text
        })
    }

    /// Every stage, every reply. What is not listed at a stage is as everywhere.
    #[test]
    #[expect(clippy::too_many_lines, reason = "the table is long, and is to be read in one piece")]
    fn the_conversation() {
        let common = replies().into_iter().map(|(name, reply)| (name, everywhere(reply)));
        let mut table = format!("everywhere\n{}", grouped(common));
        for (at, way) in WAYS {
            writeln!(table, "{at} ({})", way.join(" > ")).unwrap();
            let names = replies().into_iter().map(|(name, _)| name);
            let names = names.chain(["kept", "not kept"].into_iter().filter(|_| at == "keeping"));
            let names = names.chain(["noted", "not noted"].into_iter().filter(|_| at == "noting"));
            let steps = names.filter_map(|name| {
                let mut talk = Conversation::with(ACTIVATE, way);
                assert_eq!(stage(&talk.exchange), at);
                talk.answer(name);
                let next = say(&talk.step);
                let common = !name.ends_with("kept") && !name.ends_with("noted") && next == everywhere(reply(name));
                (!common).then_some((name, next))
            });
            table.push_str(&grouped(steps));
        }
        expect![[r#"
            everywhere
                Odd { words: "an answer to another question than the one asked" } <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | taken | connected | rows | deleted | versions | text | rows with it
                get <- absent
                Odd { words: "words" } <- refused | too long
                Odd { words: "[ERROR: Error creating function]" } <- masked
                Unreachable { cause: Cause { words: "the server fails: words", untrusted: false }, retry_after: None } <- crashed
                overview <- not allowed | unclear
                Unreachable { cause: Cause { words: "words", untrusted: false }, retry_after: Some(9s) } <- unreachable
                Unreachable { cause: Cause { words: "words", untrusted: false }, retry_after: None } <- stumbled | lost
                Foreign { status: 200, words: "words" } <- foreign
            asked ()
                Unchanged <- ours | ours, off
                update <- deployed
                keep <- theirs
                note <- old | old, off | stub | absent
                NotOurs { words: "the server does not show its text to this key" } <- no text
            doubted (unclear)
                NotAllowed { status: 403, words: "words" } <- not allowed
                NotAllowed { status: 401, words: "words" } <- unclear
                note <- rows
                NotOurs { words: "words" } <- rows with it
            keeping (theirs)
                Odd { words: "an answer while nothing was asked" } <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | absent | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
                update <- kept
                KeepFailed { words: "disk full" } <- not kept
            updating (deployed)
                Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
                get <- deployed | theirs | old | old, off | stub | no text | crashed | lost | foreign
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- refused
                Refused { refusal: Refusal { words: "[ERROR: Error creating function]", kind: Said }, left: AsItWas } <- masked
            updating, kept (theirs > kept)
                Updated { from: Some("theirs"), kept: Some("copy.py"), version: None } <- ours | ours, off
                get <- deployed | theirs | old | old, off | stub | no text | crashed | lost | foreign
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- refused
                Refused { refusal: Refusal { words: "[ERROR: Error creating function]", kind: Said }, left: AsItWas } <- masked
            turned away (deployed > unclear)
                NotAllowed { status: 403, words: "words" } <- not allowed
                NotAllowed { status: 401, words: "words" } <- unclear
                NotOurs { words: "words" } <- rows | rows with it
            reading back, lost (deployed > lost)
                Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
                Unanswered { cause: "words" } <- deployed | theirs | old | old, off | stub | no text | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
            reading back, refused (deployed > crashed)
                Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
                Crashed { words: "words", left: AsItWas } <- deployed | theirs | old | old, off | stub | no text | taken | refused | masked | crashed | not allowed | unclear | stumbled | foreign | too long | connected | rows | deleted | versions | text | rows with it
                Unanswered { cause: "words, and then words" } <- unreachable | lost
            reading back, other (theirs > kept > theirs)
                Updated { from: Some("theirs"), kept: Some("copy.py"), version: None } <- ours | ours, off
                update <- deployed
                keep <- theirs
                note <- old | old, off | stub
                NotOurs { words: "the server does not show its text to this key" } <- no text
            noting (old)
                Odd { words: "an answer while nothing was asked" } <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | absent | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
                update <- noted
                KeepFailed { words: "disk full" } <- not noted
            noting (absent)
                Odd { words: "an answer while nothing was asked" } <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | absent | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
                create <- noted
                KeepFailed { words: "disk full" } <- not noted
            updating (old > noted)
                Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
                get <- deployed | theirs | old | old, off | stub | no text | refused | masked | crashed | lost | foreign
                Stumbled { cause: "words" } <- stumbled
            reading back, refused (old > noted > refused)
                Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
                update <- deployed | old | old, off
                toggle <- theirs | stub | no text
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "an answer to another question than the one asked", later: true } } <- taken | connected | rows | deleted | versions | text | rows with it
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "words", later: true } } <- refused | not allowed | unclear | unreachable | stumbled | lost | foreign | too long
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "[ERROR: Error creating function]", later: true } } <- masked
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "the server fails: words", later: true } } <- crashed
            restoring (old > noted > refused > old, off)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | stub
                toggle <- old, off | no text
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "it was deleted meanwhile", later: false } } <- absent
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "an answer to another question than the one asked", later: false } } <- taken | connected | rows | deleted | versions | text | rows with it
                get <- refused | masked | crashed | lost
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "words", later: true } } <- not allowed | unclear | unreachable | stumbled | foreign
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "words", later: false } } <- too long
            restoring (old > noted > refused > old)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | stub | absent | taken | too long | connected | rows | deleted | versions | text | rows with it
                toggle <- old, off | no text
                get <- refused | masked | crashed | lost
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Unsettled { cause: "words" } } <- not allowed | unclear | unreachable | stumbled | foreign
            restoring, looking (old > noted > refused > old, off > refused)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | stub
                toggle <- old, off | no text
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "the server does not take the old text again: words", later: false } } <- absent | taken | refused | masked | too long | connected | rows | deleted | versions | text | rows with it
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "the server does not take the old text again: words", later: true } } <- crashed | not allowed | unclear | unreachable | stumbled | lost | foreign
            restoring, looking (old > noted > refused > old, off > crashed)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | theirs | stub
                update <- deployed | old | old, off
                toggle <- no text
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "the server does not take the old text again: the server fails: words", later: false } } <- absent | taken | refused | masked | too long | connected | rows | deleted | versions | text | rows with it
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "the server does not take the old text again: the server fails: words", later: true } } <- crashed | not allowed | unclear | unreachable | stumbled | lost | foreign
            restoring (old > noted > refused > old, off > crashed > old)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | stub | absent | taken | too long | connected | rows | deleted | versions | text | rows with it
                toggle <- old, off | no text
                get <- refused | masked | crashed | lost
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Unsettled { cause: "words" } } <- not allowed | unclear | unreachable | stumbled | foreign
            switching on (old > noted > refused > old, off > old, off)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours
                toggle <- ours, off | theirs | old, off | stub | no text
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Restored } <- deployed | old
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "it was deleted meanwhile", later: false } } <- absent
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "an answer to another question than the one asked", later: false } } <- taken | connected | rows | deleted | versions | text | rows with it
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "words", later: false } } <- refused | too long
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "[ERROR: Error creating function]", later: false } } <- masked
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "the server fails: words", later: true } } <- crashed
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "words", later: true } } <- not allowed | unclear | unreachable | stumbled | foreign
                get <- lost
            switching on, back (old > noted > refused > old, off > old, off > old, off)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "somebody else switches it at the same moment", later: false } } <- ours, off | theirs | old, off | stub | no text
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Restored } <- deployed | old
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "it was deleted meanwhile", later: false } } <- absent
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "an answer to another question than the one asked", later: false } } <- taken | connected | rows | deleted | versions | text | rows with it
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "words", later: false } } <- refused | too long
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "[ERROR: Error creating function]", later: false } } <- masked
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "the server fails: words", later: true } } <- crashed
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "words", later: true } } <- not allowed | unclear | unreachable | stumbled | foreign
                get <- lost
            switching on, reading back (old > noted > refused > old, off > old, off > lost)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | theirs | stub
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Restored } <- deployed | old
                toggle <- old, off | no text
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "it was deleted meanwhile", later: false } } <- absent
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "an answer to another question than the one asked", later: false } } <- taken | connected | rows | deleted | versions | text | rows with it
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "words", later: false } } <- refused | too long
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "[ERROR: Error creating function]", later: false } } <- masked
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "the server fails: words", later: true } } <- crashed
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "words", later: true } } <- not allowed | unclear | unreachable | stumbled | lost | foreign
            activating (absent > noted > masked > absent > stub > stub > noted > ours, off)
                Created { active: Some(true), left: AsItWas } <- ours
                toggle <- ours, off | theirs | old, off | stub | no text
                StoredOther <- deployed | old
                Created { active: Some(false), left: Off { cause: "an answer to another question than the one asked", later: false } } <- taken | connected | rows | deleted | versions | text | rows with it
                Created { active: Some(false), left: Off { cause: "words", later: false } } <- refused | too long
                Created { active: Some(false), left: Off { cause: "[ERROR: Error creating function]", later: false } } <- masked
                Created { active: Some(false), left: Off { cause: "the server fails: words", later: true } } <- crashed
                Created { active: Some(false), left: Off { cause: "words", later: true } } <- not allowed | unclear | unreachable | stumbled | foreign
                get <- lost
            reading back, lost (absent > noted > masked > absent > stub > stub > noted > lost)
                Created { active: Some(true), left: AsItWas } <- ours
                toggle <- ours, off
                Unanswered { cause: "words" } <- deployed | theirs | old | old, off | no text
                delete <- stub
            reading back, lost (old > noted > lost)
                Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
                Unanswered { cause: "words" } <- deployed | theirs | old | stub | no text | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
                update <- old, off
            restoring, looking (old > noted > refused > old > lost)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | theirs | stub
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Unsettled { cause: "words" } } <- deployed | old
                toggle <- old, off | no text
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "the server does not take the old text again: words", later: false } } <- absent | taken | refused | masked | too long | connected | rows | deleted | versions | text | rows with it
                Refused { refusal: Refusal { words: "words", kind: Said }, left: Off { cause: "the server does not take the old text again: words", later: true } } <- crashed | not allowed | unclear | unreachable | stumbled | lost | foreign
            creating a stub (absent > noted > masked > absent)
                get <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | taken | lost
                TakesNone { words: "[ERROR: Error creating function]" } <- refused | masked
                Crashed { words: "words", left: AsItWas } <- crashed
            checking the stub (absent > noted > masked > absent > stub > stub > noted > refused)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | old, off | no text | absent | taken | refused | masked | not allowed | unclear | foreign | too long | connected | rows | deleted | versions | text | rows with it
                delete <- stub
            deleting the stub (absent > noted > masked > absent > stub > stub > noted > refused > stub)
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | absent | taken | refused | masked | not allowed | unclear | foreign | too long | connected | rows | deleted | versions | text | rows with it
            creating (absent > noted)
                Created { active: Some(true), left: AsItWas } <- ours
                toggle <- ours, off | no text
                StoredOther <- deployed | theirs | old | old, off | stub
                get <- taken | refused | masked | crashed | lost
            turned away (absent > noted > unclear)
                NotAllowed { status: 403, words: "words" } <- not allowed
                NotAllowed { status: 401, words: "words" } <- unclear
                NotOurs { words: "words" } <- rows | rows with it
            checking, lost (absent > noted > lost)
                Created { active: Some(true), left: AsItWas } <- ours
                toggle <- ours, off
                StoredOther <- deployed | theirs | old | old, off | stub | no text
                Unanswered { cause: "words" } <- absent | unreachable | lost
            checking, refused (absent > noted > refused)
                Created { active: Some(true), left: AsItWas } <- ours
                toggle <- ours, off
                Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- deployed | theirs | old | old, off | stub | no text | absent | unreachable | lost
            activating (absent > noted > no text)
                Created { active: Some(true), left: AsItWas } <- ours
                toggle <- ours, off | theirs | old, off | stub | no text
                StoredOther <- deployed | old
                Created { active: Some(false), left: Off { cause: "an answer to another question than the one asked", later: false } } <- taken | connected | rows | deleted | versions | text | rows with it
                Created { active: Some(false), left: Off { cause: "words", later: false } } <- refused | too long
                Created { active: Some(false), left: Off { cause: "[ERROR: Error creating function]", later: false } } <- masked
                Created { active: Some(false), left: Off { cause: "the server fails: words", later: true } } <- crashed
                Created { active: Some(false), left: Off { cause: "words", later: true } } <- not allowed | unclear | unreachable | stumbled | foreign
                get <- lost
            activating, back (absent > noted > no text > ours, off)
                Created { active: Some(true), left: AsItWas } <- ours
                Created { active: Some(false), left: Off { cause: "somebody else switches it at the same moment", later: false } } <- ours, off | theirs | old, off | stub | no text
                StoredOther <- deployed | old
                Created { active: Some(false), left: Off { cause: "an answer to another question than the one asked", later: false } } <- taken | connected | rows | deleted | versions | text | rows with it
                Created { active: Some(false), left: Off { cause: "words", later: false } } <- refused | too long
                Created { active: Some(false), left: Off { cause: "[ERROR: Error creating function]", later: false } } <- masked
                Created { active: Some(false), left: Off { cause: "the server fails: words", later: true } } <- crashed
                Created { active: Some(false), left: Off { cause: "words", later: true } } <- not allowed | unclear | unreachable | stumbled | foreign
                get <- lost
            activating, reading back (absent > noted > no text > lost)
                Created { active: Some(true), left: AsItWas } <- ours
                toggle <- ours, off | no text
                StoredOther <- deployed | theirs | old | old, off | stub
                Created { active: Some(false), left: Off { cause: "an answer to another question than the one asked", later: false } } <- taken | connected | rows | deleted | versions | text | rows with it
                Created { active: Some(false), left: Off { cause: "words", later: false } } <- refused | too long
                Created { active: Some(false), left: Off { cause: "[ERROR: Error creating function]", later: false } } <- masked
                Created { active: Some(false), left: Off { cause: "the server fails: words", later: true } } <- crashed
                Created { active: Some(false), left: Off { cause: "words", later: true } } <- not allowed | unclear | unreachable | stumbled | lost | foreign
        "#]].assert_eq(&table);
    }

    /// A new kind of reply does not compile here until it has a row above.
    #[test]
    fn every_reply_is_in_the_table() {
        let kinds: BTreeSet<_> = replies()
            .iter()
            .map(|(_, reply)| match reply {
                Reply::Connected { .. } => 0,
                Reply::Rows(_) => 1,
                Reply::Row(_) => 2,
                Reply::Absent => 3,
                Reply::Taken => 4,
                Reply::Refused { .. } => 5,
                Reply::Crashed { .. } => 6,
                Reply::NotAllowed { .. } => 7,
                Reply::Unclear { .. } => 8,
                Reply::Unreachable { .. } => 9,
                Reply::Lost { .. } => 10,
                Reply::Foreign { .. } => 11,
                Reply::Deleted => 12,
                Reply::Versions(_) => 13,
                Reply::Text(_) => 14,
                Reply::Stumbled { .. } => 15,
                Reply::Unusable { .. } => 16,
            })
            .collect();
        assert_eq!(kinds.len(), 17);
    }

    #[test]
    fn terms_change_what_is_said_first() {
        for (terms, first, expected) in [
            (PLAIN, "ours", "Unchanged"),
            (PLAIN, "deployed", "update"),
            (PLAIN, "theirs", "keep"),
            (PLAIN, "absent", "create"),
            (LOOK, "ours", "Unchanged"),
            (LOOK, "deployed", "WouldUpdate { from: Some(\"1\"), foreign: false }"),
            (LOOK, "theirs", "WouldUpdate { from: Some(\"theirs\"), foreign: true }"),
            (LOOK, "absent", "WouldCreate"),
            (DeployPolicy { force: true, ..PLAIN }, "ours", "update"),
            (DeployPolicy { force: true, ..PLAIN }, "theirs", "keep"),
            (DeployPolicy { force: true, ..LOOK }, "ours", "WouldUpdate { from: Some(\"2\"), foreign: false }"),
        ] {
            assert_eq!(say(&Conversation::with(terms, &[first]).step), expected, "{terms:?} {first}");
        }
        assert_eq!(say(&Conversation::with(LOOK, &["unclear", "rows"]).step), "WouldCreate");
        let created = Conversation::with(PLAIN, &["absent", "no text"]).step;
        assert_eq!(say(&created), "Created { active: Some(false), left: AsItWas }");
    }

    #[test]
    fn what_no_list_has_is_created_without_a_further_look() {
        let start = |terms| {
            let known = DeployContext { unlisted: true, ..known() };
            Deploy::start(Arc::new(plugin_of(&source("2"))), known, terms)
        };
        for (script, expected) in [
            (&["no text"][..], "toggle"),
            // Lists are empty where plugins are switched off.
            (&["taken"], "get"),
            (&["taken", "ours"], "Unchanged"),
            (&["taken", "theirs"], "keep"),
            // So are creates refused then.
            (&["masked", "theirs"], "keep"),
            (&["masked", "ours, off"], "Unchanged"),
            (&["lost", "ours, off"], "toggle"),
            (&["lost", "theirs"], "keep"),
            (&["lost", "absent"], "Unanswered { cause: \"words\" }"),
            (&["refused", "absent"], "Refused { refusal: Refusal { words: \"words\", kind: Said }, left: AsItWas }"),
        ] {
            let (mut exchange, mut step) = start(ACTIVATE);
            assert_eq!(say(&step), "note");
            step = exchange.intent_saved(Ok(()));
            assert_eq!(say(&step), "create");
            for name in script {
                step = exchange.reply(reply(name));
            }
            assert_eq!(say(&step), expected, "{script:?}");
        }
        // Who only looks, looks well.
        assert_eq!(say(&start(LOOK).1), "get");
    }

    #[test]
    fn what_comes_and_goes_ends() {
        let script = ["absent", "taken", "absent", "taken", "absent", "taken"];
        expect![[r#"Odd { words: "it keeps coming and going on the server" }"#]]
            .assert_eq(&say(&Conversation::with(PLAIN, &script).step));
    }

    /// Whatever the server says, the rules hold and there is an end.
    #[test]
    fn a_random_walk_keeps_the_rules() {
        let names: Vec<_> = replies().into_iter().map(|(name, _)| name).collect();
        for seed in 0..5000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let terms = DeployPolicy {
                force: random.bool(),
                dry_run: random.u8(0..8) == 0,
                activate_new: random.bool(),
                ..PLAIN
            };
            let mut talk = Conversation::start(terms);
            while !matches!(talk.step, Step::Done(_)) {
                // Mostly what carries the conversation on, or it would be over at once.
                let likely: &[&str] = match &talk.step {
                    Step::SaveBackup(_) => &["kept", "kept", "kept", "not kept"],
                    Step::Call(Call::Get(_)) => &["absent", "theirs", "unclear", "lost", "ours, off"],
                    Step::Call(Call::Overview(_)) => &["rows"],
                    Step::Call(Call::Create(..)) => &["no text", "taken", "lost", "crashed"],
                    Step::Call(Call::Update(..)) => &["absent", "lost", "theirs", "unclear", "crashed"],
                    Step::Call(Call::Toggle(_)) => &["ours, off", "lost", "absent"],
                    Step::Call(_) => &["lost"],
                    Step::SaveIntent(_) => &["noted", "noted", "noted", "not noted"],
                    Step::Archive(..) | Step::Done(_) => &[],
                };
                let from = if random.u8(0..8) > 0 || matches!(talk.step, Step::SaveBackup(_) | Step::SaveIntent(_)) {
                    likely
                } else {
                    &names
                };
                talk.answer(from[random.usize(..from.len())]);
            }
        }
    }

    #[test]
    fn an_answer_that_nobody_asked_for_is_no_disaster() {
        let mut talk = Conversation::start(PLAIN);
        assert_eq!(
            say(&talk.exchange.backup_saved(Ok(PathBuf::from("x")))),
            "Odd { words: \"a copy was kept that nobody asked for\" }"
        );
    }

    #[track_caller]
    fn check_names(stored_name: &str, stored_title: Option<&str>, header: &str, expected: &str) {
        let plugin = plugin_of(&format!("\"\"\"\nid: shout\n{header}\n\"\"\"\nclass Filter: pass\n"));
        let manifest = stored_title.map_or(json!({}), |title| json!({ "title": title }));
        let before =
            Row { name: stored_name.to_owned(), meta: object(json!({ "manifest": manifest })), ..row("1", true) };
        assert_eq!(form_to_update(&plugin, &before).name, expected);
    }

    #[test]
    fn a_name_follows_the_title_unless_somebody_renamed_it() {
        check_names("Shout", Some("Shout"), "title: Loud", "Loud");
        check_names("Shout", Some("Shout"), "title: Shout", "Shout");
        check_names("Renamed", Some("Shout"), "title: Loud", "Renamed");
        check_names("Renamed", None, "title: Loud", "Renamed");
        // Without a title, the id is the name.
        check_names("shout", None, "title: Loud", "Loud");
        check_names("shout", Some(""), "title: Loud", "Loud");
        check_names("Shout", Some("Shout"), "version: 1", "shout");
        check_names("Shout", Some("Shout"), "title:", "shout");
        check_names("Renamed", Some("Shout"), "version: 1", "Renamed");
        // A row of before there were manifests.
        let bare = Row { name: "shout".to_owned(), meta: Map::new(), ..row("1", true) };
        assert_eq!(form_to_update(&plugin_of(&source("2")), &bare).name, "Shout");
    }

    #[track_caller]
    fn check_description(stored: Value, header: &str, expected: Option<&str>) {
        let plugin = plugin_of(&format!("\"\"\"\ntitle: Shout\n{header}\n\"\"\"\nclass Filter: pass\n"));
        let form = form_to_update(&plugin, &Row { meta: object(stored), ..row("1", true) });
        assert_eq!(form.meta.get("description").map(|value| value.as_str().unwrap()), expected);
    }

    #[test]
    fn a_description_follows_the_header_unless_somebody_wrote_another() {
        let from_header = json!({"description": "Old", "manifest": {"description": "Old"}});
        check_description(from_header.clone(), "description: New", Some("New"));
        check_description(from_header, "version: 1", Some(""));
        check_description(
            json!({"description": "By hand", "manifest": {"description": "Old"}}),
            "description: New",
            Some("By hand"),
        );
        check_description(json!({"description": "By hand", "manifest": {}}), "description: New", Some("By hand"));
        check_description(json!({"description": "", "manifest": {}}), "description: New", Some("New"));
        check_description(json!({}), "description: New", Some("New"));
        // Taken away by hand.
        check_description(json!({"description": "", "manifest": {"description": "Old"}}), "description: New", Some(""));
    }

    #[test]
    fn what_others_put_into_a_row_is_sent_back() {
        let meta = json!({
            "description": "Old",
            "i18n": {"de": {"name": "Schrei"}},
            "profile_image_url": "data:image/png;base64,AA==",
            "ours": [1, 2],
            "toggle": true,
            "manifest": {"title": "Shout", "description": "Old", "version": "1"},
        });
        let before = Row { meta: object(meta), ..row("1", true) };
        let form = form_to_update(&plugin_of(&source("2")), &before);
        let expected = json!({
            "description": "",
            "i18n": {"de": {"name": "Schrei"}},
            "profile_image_url": "data:image/png;base64,AA==",
            "ours": [1, 2],
        });
        assert_eq!(Value::from(form.meta), expected);
        assert_eq!((&*form.content, form.access_control), (&*source("2"), None));
    }

    #[test]
    fn access_goes_back_as_it_came() {
        let tool = plugin_of("\"\"\"\ndescription: What time it is\n\"\"\"\nclass Tools: pass\n");
        for access in [None, Some(Value::Null), Some(json!({})), Some(json!({"read": {"group_ids": ["staff"]}}))] {
            let before = Row { access_control: access.clone(), is_active: None, ..row("1", true) };
            assert_eq!(form_to_update(&tool, &before).access_control, access);
        }
        let form = form_to_create(&tool);
        assert_eq!((&*form.name, Value::from(form.meta)), ("shout", json!({"description": "What time it is"})));
        assert_eq!(form.access_control, Some(json!({})), "private, where the server has to be told");
        let form = form_to_create(&plugin_of(&source("2")));
        assert_eq!((&*form.name, Value::from(form.meta)), ("Shout", json!({"description": ""})));
        assert_eq!(form.access_control, None);
    }
}
