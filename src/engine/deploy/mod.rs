//! One deploy as a conversation with the server: which [`Call`] to make, and what its [`Reply`] means.
//!
//! It begins by reading what the server has, with one exception: a plugin that is neither in the listing of the pass
//! nor in the ledger is created at once, so that a first deploy of many plugins makes one request each. That is safe:
//! every version of the server checks the id before the text. If the id is taken or plugins are off, it says so and
//! changes nothing. Then the row is read after all, and treated as somebody else's.
//!
//! Long because it is one table: what each reply means at each stage. Its tests are in `tests.rs`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

pub use crate::engine::call::{Attached, Call, CallFailure, Cause, Form, ListedRow, OnServer, Reply, Row, Version};
use crate::engine::duplicate::{self, Duplicate, Duplicates, Identity};
pub use crate::engine::form::message;
use crate::engine::form::{form_of_stub, form_to_create, form_to_update, is_stub};
use crate::engine::ledger::{Refusal, UpdateIntent};
use crate::engine::refusal;
use crate::engine::repair::{self, Next, Repair};
pub use crate::engine::repair::{Aftermath, StillOff};
use crate::engine::step;
pub use crate::engine::step::Backup;
use crate::plugin::{Digest, Plugin, id::PluginId};

/// The user's settings for a deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeployPolicy {
    /// Send the text even if the server already holds it.
    pub force: bool,
    /// Read and tell what would be sent, but send nothing.
    pub dry_run: bool,
    /// Switch a new function on.
    pub activate_new: bool,
    /// How to treat a text on the server that is not ours.
    pub on_remote_edit: OnRemoteEdit,
    /// How to treat a new plugin that seems to be on the server under another id.
    pub adopt: Adopt,
}

/// How to treat somebody else's text on the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRemoteEdit {
    /// Keep a copy on disk, and deploy.
    #[default]
    Backup,
    /// Leave it, and tell how to continue.
    Hold,
    /// Deploy.
    Overwrite,
}

/// How to treat a new plugin whose title and author are on the server under another id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adopt {
    /// Create nothing, and tell how to continue.
    #[default]
    Ask,
    /// Create it.
    Never,
}

/// The next step of a deploy.
pub type Step<O = Outcome> = step::Step<O>;

/// How a deploy ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did not exist, and does now.
    Created {
        /// The on/off switch, for a function; or why it could not be switched on, as asked.
        active: Result<Option<bool>, StillOff>,
    },
    /// It holds our text now.
    Updated {
        /// The version that was replaced.
        from: Option<String>,
        /// The copy of the replaced text, if that was somebody else's.
        kept: Option<PathBuf>,
        /// The server's name for the new version, if it keeps versions.
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
        /// Whether it would replace somebody else's text, with a copy.
        foreign: bool,
    },
    /// Somebody else's text is on the server and the user wants to decide: nothing was sent.
    RemoteEdit {
        /// Its version.
        theirs: Option<String>,
    },
    /// It seems to be on the server under another id and the user wants to decide: nothing was sent.
    Duplicate(Duplicate),
    /// The server refuses this text.
    Refused {
        /// The reason.
        refusal: Refusal,
        /// The state of the running plugin.
        left: Aftermath,
    },
    /// The server failed at this text; either may be the cause.
    Crashed {
        /// What it says, which counts as a refusal once no try is left.
        refusal: Refusal,
        /// The state of the running plugin.
        left: Aftermath,
    },
    /// It ended before the server said what it makes of the text.
    Failed(Failure),
}

/// Why a deploy ended before the server said what it makes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A call failed.
    Call(CallFailure),
    /// It was sent, no answer came, and the server does not hold it, or no longer answers. The text may be the cause.
    Unanswered {
        /// The cause.
        cause: String,
    },
    /// The server could not store it; the text is not the cause. Before 0.12 the server may run it anyway.
    Stumbled {
        /// The cause.
        cause: String,
    },
    /// The server holds another text than the one it just took: somebody else wrote at the same moment.
    StoredOther,
    /// The server gives no reason, and refuses even the stub: the text is not the cause.
    TakesNone {
        /// Its words.
        words: String,
    },
    /// The copy or the intent that must be on disk first could not be written, so nothing was sent.
    KeepFailed {
        /// The system's words.
        words: String,
    },
}

impl From<CallFailure> for Failure {
    fn from(failure: CallFailure) -> Self {
        Failure::Call(failure)
    }
}

impl Failure {
    /// Whether the server certainly changed nothing.
    fn is_certain(&self) -> bool {
        !matches!(self, Failure::Unanswered { .. } | Failure::Stumbled { .. } | Failure::Call(CallFailure::Odd { .. }))
    }

    /// Whether the server is away or failing.
    pub(super) fn is_away(&self) -> bool {
        matches!(
            self,
            Failure::Call(CallFailure::Unreachable { .. }) | Failure::Unanswered { .. } | Failure::Stumbled { .. }
        )
    }
}

impl Outcome {
    /// Why a repair must follow at the next probe, if one must.
    #[must_use]
    pub fn unsettled(&self) -> Option<&str> {
        match self {
            Outcome::Created { active: Err(off) } => off.unsettled(),
            Outcome::Refused { left, .. } | Outcome::Crashed { left, .. } => left.unsettled(),
            _ => None,
        }
    }

    /// Whether the result on the server is known. If not, the intent is kept.
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

/// Why the server did not take a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Objection {
    /// It says what is wrong with the text, in its own words.
    Refused(String),
    /// It failed at the text.
    Crashed(Refusal),
}

impl Objection {
    fn of(reply: &Reply) -> Option<Self> {
        match reply {
            Reply::Refused { words, .. } => Some(Objection::Refused(words.clone())),
            Reply::Crashed { words, too_large } => {
                Some(Objection::Crashed(Refusal::crashed(words.clone(), *too_large)))
            }
            _ => None,
        }
    }

    fn outcome(self, left: Aftermath) -> Outcome {
        match self {
            Objection::Refused(words) => Outcome::Refused { refusal: Refusal::said(words), left },
            Objection::Crashed(refusal) => Outcome::Crashed { refusal, left },
        }
    }

    /// The conversation ends with it.
    fn over(self, left: Aftermath) -> Step {
        Step::Done(self.outcome(left))
    }

    /// Ends the conversation after the server went away: this text may have brought it down, and must not do so again
    /// and again.
    fn gone(self, left: Aftermath, cause: &str) -> Step {
        match self {
            Objection::Refused(_) => self.over(left),
            Objection::Crashed(Refusal { words, .. }) => unanswered(format!("{words}, and then {cause}")),
        }
    }
}

/// The facts that a conversation begins with.
#[derive(Clone, Debug)]
pub struct DeployContext {
    /// Our texts that may be on the server: the last deployed one, unconfirmed ones, one that a rollback put back.
    pub ours: Vec<Digest>,
    /// The subset not yet archived: sent, never confirmed.
    pub unarchived: Vec<Digest>,
    /// Whether the plugin is on the server under another id.
    pub duplicates: Duplicates,
    /// The server's refusal of this very text, if any: it is not created again.
    pub refused: Option<Refusal>,
    /// The server gives a reason when it refuses an update, but not for a create (0.12).
    pub explains_updates: bool,
    /// It is not in the listing of the pass, and we never deployed it. It may exist all the same, but a create is safe:
    /// no version of the server touches an existing row then.
    pub unlisted: bool,
}

/// One conversation about one plugin.
#[expect(clippy::struct_excessive_bools, reason = "separate facts about the sent text")]
#[derive(Clone, Debug)]
pub struct Deploy {
    plugin: Arc<Plugin>,
    context: DeployContext,
    policy: DeployPolicy,
    stage: Stage,
    /// How often the conversation started again, since the row was created or deleted meanwhile.
    restarts: u8,
    /// The text was sent, and the server has not yet said what it holds since.
    in_doubt: bool,
    /// The text was sent, and at least one answer did not say whether the server took it.
    was_lost: bool,
    /// The text was sent.
    has_sent: bool,
    /// An intent was saved before.
    has_saved_intent: bool,
    /// A stub was created, to learn the reason of a refusal.
    has_tried_stub: bool,
    /// The digest of the text that is loaded again after a refusal.
    restores: Option<Digest>,
    /// The server's plugin, by its last answer.
    on_server: Option<OnServer>,
}

/// The question that the next reply answers.
#[derive(Clone, Debug)]
enum Stage {
    /// Asked what the server holds.
    Asked,
    /// Access was denied: to this plugin, or to the key?
    Doubted { words: String, missing: MissingRow },
    /// Asked whether it is there under another id.
    LookingForDuplicates,
    /// The copy of the text to replace is being saved.
    SavingBackup { before: Box<Row> },
    /// The intent is being saved.
    SavingIntent { next: Box<Stage>, call: Call },
    /// The update was sent.
    Updating { before: Box<Row>, kept: Option<PathBuf> },
    /// The update is unconfirmed: reading the row back.
    ReadingBack { before: Box<Row>, kept: Option<PathBuf>, doubt: Unverified },
    /// The running plugin is being repaired after a refused update.
    Repair { repair: Repair, objection: Objection },
    /// The create was sent.
    Creating,
    /// A refused create may have left a row: reading it.
    CheckingRefused { objection: Objection },
    /// A create without an answer may have left a row: reading it.
    CheckingLost { cause: String },
    /// The server hides why it refused the create: a stub is created instead, since an update of it gives the reason.
    CreatingStub { objection: Objection },
    /// The stub is no longer needed: reading it before it is deleted.
    CheckingStub { outcome: Outcome },
    /// The stub is being deleted.
    DeletingStub { outcome: Outcome },
    /// The new function is being switched on.
    Activating(Repair),
}

/// What denied access can mean, if the key is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MissingRow {
    /// There may be no such id: some servers answer that with a 401.
    Possible,
    /// Only that the plugin belongs to others.
    Excluded,
}

/// Why an update is read back.
#[derive(Clone, Debug)]
enum Unverified {
    /// No answer came.
    Lost(String),
    /// The server refused it, which may have had effects.
    Refused(Objection),
    /// The answer shows another text than the one sent.
    Other,
}

/// How often a conversation starts again because the row was created or deleted meanwhile.
const MOST_RESTARTS: u8 = 2;

impl Deploy {
    /// Begins a conversation: asks what the server has, unless its listing has just shown that it lacks the plugin.
    pub fn start(plugin: Arc<Plugin>, context: DeployContext, policy: DeployPolicy) -> (Self, Step) {
        let mut deploy = Self {
            plugin,
            context,
            policy,
            stage: Stage::Asked,
            restarts: 0,
            in_doubt: false,
            was_lost: false,
            has_sent: false,
            has_saved_intent: false,
            has_tried_stub: false,
            restores: None,
            on_server: None,
        };
        let step = if deploy.context.unlisted && !policy.dry_run {
            deploy.on_asked(Reply::Absent)
        } else {
            deploy.ask(Stage::Asked)
        };
        (deploy, step)
    }

    /// The plugin that this is about.
    #[must_use]
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Whether the text was sent, at least once.
    #[must_use]
    pub fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// The digest of the text that is loaded again after a refusal, if one is.
    #[must_use]
    pub fn restores(&self) -> Option<Digest> {
        self.restores
    }

    /// Whether the user insists on it.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.policy.force
    }

    /// Whether the text was sent and is unconfirmed.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// The server's plugin, by its last answer.
    #[must_use]
    pub fn on_server(&self) -> Option<OnServer> {
        self.on_server
    }

    /// Whether this reply shows that the server does not hold the sent text.
    #[must_use]
    pub fn is_rejected_by(&self, reply: &Reply) -> bool {
        match self.stage {
            // An earlier, unconfirmed request may have arrived.
            _ if self.was_lost || self.context.unarchived.contains(&self.plugin.digest) => false,
            Stage::Creating => matches!(reply, Reply::Refused { .. } | Reply::Taken),
            Stage::Updating { .. } => matches!(reply, Reply::Refused { .. }),
            _ => false,
        }
    }

    /// Whether the next reply lists plugins under other ids. Then [`Deploy::claimed_elsewhere`] must be called first.
    #[must_use]
    pub fn looks_for_duplicates(&self) -> bool {
        matches!(self.stage, Stage::LookingForDuplicates)
    }

    /// The server has another version by now, which explains refused updates or not.
    pub fn now_explains_updates(&mut self, explains: bool) {
        self.context.explains_updates = explains;
    }

    /// Takes the ids that belong to other files here.
    pub fn claimed_elsewhere(&mut self, ids: BTreeSet<PluginId>) {
        self.context.duplicates = Duplicates::Unknown(ids);
    }

    /// Takes the reply to the last call.
    pub fn reply(&mut self, reply: Reply) -> Step {
        match &reply {
            Reply::Row(row) => self.on_server = Some(row.switches()),
            // A refused call changes nothing.
            Reply::Refused { .. } | Reply::Crashed { .. } => {}
            _ => self.on_server = None,
        }
        match (&self.stage, &reply) {
            (Stage::Updating { .. }, Reply::Lost { .. } | Reply::Foreign { .. } | Reply::Crashed { .. }) => {
                self.in_doubt = true;
            }
            (Stage::Updating { before, .. }, Reply::Refused { wrapped, .. }) => {
                self.in_doubt = !before.versioned || *wrapped;
            }
            (Stage::Creating, Reply::Lost { .. } | Reply::Foreign { .. } | Reply::Crashed { .. }) => {
                self.in_doubt = true;
            }
            (_, Reply::Row(_) | Reply::Absent) => self.in_doubt = false,
            _ => {}
        }
        self.was_lost |= self.in_doubt;
        match std::mem::replace(&mut self.stage, Stage::Asked) {
            Stage::Asked => self.on_asked(reply),
            Stage::Doubted { words, missing } => self.on_doubted(reply, words, missing),
            Stage::LookingForDuplicates => self.on_listed(reply),
            // Not to be repeated: a reply may hold a whole source text.
            Stage::SavingBackup { .. } | Stage::SavingIntent { .. } => odd("an answer while nothing was asked"),
            Stage::Updating { before, kept } => self.on_updated(reply, before, kept),
            Stage::ReadingBack { before, kept, doubt } => self.on_read_back(reply, &before, kept, doubt),
            Stage::Repair { mut repair, objection } => {
                let next = repair.reply(reply);
                self.heal(repair, next, objection)
            }
            Stage::Creating => self.on_created(reply),
            Stage::CheckingRefused { objection } => self.on_refused_checked(reply, objection),
            Stage::CheckingLost { cause } => self.on_lost_checked(reply, cause),
            Stage::CreatingStub { objection } => self.on_stub_created(reply, objection),
            Stage::CheckingStub { outcome } => self.on_stub_checked(reply, outcome),
            Stage::DeletingStub { outcome } => on_stub_deleted(reply, outcome),
            Stage::Activating(repair) => self.on_activated(reply, repair),
        }
    }

    /// Takes the answer to [`Step::SaveBackup`]: the path of the copy, or why it could not be written.
    pub fn backup_saved(&mut self, kept: Result<PathBuf, String>) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), kept) {
            (Stage::SavingBackup { before }, Ok(path)) => self.update(before, Some(path)),
            (_, Ok(_)) => odd("a copy was kept that nobody asked for"),
            (_, Err(words)) => failed(Failure::KeepFailed { words }),
        }
    }

    /// Takes the answer to [`Step::SaveIntent`]: it is on disk, or why it could not be written.
    pub fn intent_saved(&mut self, noted: Result<(), String>) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), noted) {
            (Stage::SavingIntent { next, call }, Ok(())) => self.call(*next, call),
            (_, Ok(())) => odd("a note was taken that nobody asked for"),
            // The text was sent and refused: do at once what the intent was to remember.
            (Stage::SavingIntent { next, call }, Err(_))
                if matches!(*next, Stage::ReadingBack { .. } | Stage::Repair { .. }) =>
            {
                self.call(*next, call)
            }
            (_, Err(words)) => failed(Failure::KeepFailed { words }),
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

    /// Starts again, since the row was created or deleted between two calls; gives up after [`MOST_RESTARTS`].
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
            Reply::Absent if let Some(refusal) = self.context.refused.take() => {
                Step::Done(Outcome::Refused { refusal, left: Aftermath::AsItWas })
            }
            Reply::Absent => match (self.policy.adopt, &self.context.duplicates) {
                (Adopt::Never, _) | (Adopt::Ask, Duplicates::Ignored | Duplicates::Known(None)) => self.create(),
                (Adopt::Ask, Duplicates::Known(Some(duplicate))) => Step::Done(Outcome::Duplicate(duplicate.clone())),
                (Adopt::Ask, Duplicates::Unknown(_)) => {
                    let call = Call::Overview(self.plugin.key.kind);
                    self.call(Stage::LookingForDuplicates, call)
                }
            },
            Reply::Unclear { words } => self.doubt(words, MissingRow::Possible),
            other => self.unexpected(other),
        }
    }

    /// Asks for the whole table: whether the key may read that tells what the denial meant.
    fn doubt(&mut self, words: String, missing: MissingRow) -> Step {
        let call = Call::Overview(self.plugin.key.kind);
        self.call(Stage::Doubted { words, missing }, call)
    }

    fn on_doubted(&mut self, reply: Reply, words: String, missing: MissingRow) -> Step {
        let listed = |rows: &[ListedRow]| rows.iter().any(|row| row.id == self.plugin.key.id);
        match (reply, missing) {
            (Reply::Rows(rows), MissingRow::Possible) if !listed(&rows) => self.on_asked(Reply::Absent),
            // A listing without it proves nothing if a write was denied.
            (Reply::Rows(_), MissingRow::Possible | MissingRow::Excluded) => failed(CallFailure::NotOurs { words }),
            (Reply::Unclear { words }, _) => failed(CallFailure::NotAllowed { status: 401, words }),
            (Reply::NotAllowed { status, words }, _) => failed(CallFailure::NotAllowed { status, words }),
            (other, _) => self.unexpected(other),
        }
    }

    fn on_listed(&mut self, reply: Reply) -> Step {
        let (Duplicates::Unknown(claimed_elsewhere), Reply::Rows(rows)) = (&self.context.duplicates, &reply) else {
            return match reply {
                // A user who may create tools may not be allowed to list all; or the list is too long.
                Reply::NotAllowed { .. } | Reply::Unclear { .. } | Reply::Unusable { .. } => self.create(),
                other => self.unexpected(other),
            };
        };
        let others = rows.iter().map(|row| (&row.id, &row.identity));
        let identity = Identity::of(&self.plugin);
        match duplicate::find(&identity, &self.plugin.key.id, others, |id| claimed_elsewhere.contains(id)) {
            Some(duplicate) => Step::Done(Outcome::Duplicate(duplicate)),
            None => self.create(),
        }
    }

    fn create(&mut self) -> Step {
        if self.policy.dry_run {
            return Step::Done(Outcome::WouldCreate);
        }
        let call = Call::Create(self.plugin.key.clone(), Arc::new(form_to_create(&self.plugin)));
        self.send(None, self.activates(), Stage::Creating, call)
    }

    /// Whether a new function is switched on.
    fn activates(&self) -> bool {
        self.policy.activate_new && self.plugin.key.kind.has_switch()
    }

    fn on_found(&mut self, row: Box<Row>) -> Step {
        let Some(text) = &row.content else {
            let words = "the server does not show its text to this key".to_owned();
            return failed(CallFailure::NotOurs { words });
        };
        let digest = Digest::of_text(text);
        if digest == self.plugin.digest && !self.policy.force {
            return Step::Done(Outcome::Unchanged);
        }
        // The text is not sent again. Only the stub that an earlier deploy left behind is deleted.
        if let Some(refusal) = self.context.refused.take() {
            let outcome = Outcome::Refused { refusal, left: Aftermath::AsItWas };
            let is_left_behind = is_stub(&row) && !self.policy.dry_run;
            return if is_left_behind { self.ask(Stage::CheckingStub { outcome }) } else { Step::Done(outcome) };
        }
        let ours = digest == self.plugin.digest || self.context.ours.contains(&digest) || is_stub(&row);
        if !ours && self.policy.on_remote_edit == OnRemoteEdit::Hold && !self.policy.force {
            return Step::Done(Outcome::RemoteEdit { theirs: row.version() });
        }
        if self.policy.dry_run {
            return Step::Done(Outcome::WouldUpdate {
                from: row.version(),
                foreign: !ours && self.policy.on_remote_edit != OnRemoteEdit::Overwrite,
            });
        }
        let backup = Backup { key: self.plugin.key.clone(), text: text.clone(), digest };
        if self.context.unarchived.contains(&digest) {
            return Step::Archive(backup, Box::new(self.update(row, None)));
        }
        if ours || self.policy.on_remote_edit == OnRemoteEdit::Overwrite {
            return self.update(row, None);
        }
        self.stage = Stage::SavingBackup { before: row };
        Step::SaveBackup(backup)
    }

    /// Sends the update. If the server may switch the function off, an intent that says it is on is saved first.
    fn update(&mut self, before: Box<Row>, kept: Option<PathBuf>) -> Step {
        let call = Call::Update(self.plugin.key.clone(), Arc::new(form_to_update(&self.plugin, &before)));
        // Nobody wants the stub back.
        let replaced = before.digest().filter(|_| !before.versioned && !is_stub(&before));
        let was_active =
            if is_stub(&before) { self.activates() } else { replaced.is_some() && before.is_active == Some(true) };
        self.send(replaced, was_active, Stage::Updating { before, kept }, call)
    }

    /// Sends the text, after saving an intent if one would be needed after a crash: for a repair, to switch a new
    /// function on, or to recognize the text as ours where an unknown one would hold back all further deploys.
    fn send(&mut self, replaced: Option<Digest>, was_active: bool, next: Stage, call: Call) -> Step {
        let is_needed = replaced.is_some() || was_active || self.policy.on_remote_edit == OnRemoteEdit::Hold;
        // An intent that this conversation saved before must be replaced.
        if !is_needed && !self.has_saved_intent {
            return self.call(next, call);
        }
        self.has_saved_intent = true;
        let ours = self.context.ours.iter().copied().chain([self.plugin.digest]).collect();
        let intent = UpdateIntent { ours, replaced, was_active };
        self.stage = Stage::SavingIntent { next: Box::new(next), call };
        Step::SaveIntent(intent)
    }

    fn on_updated(&mut self, reply: Reply, before: Box<Row>, kept: Option<PathBuf>) -> Step {
        match reply {
            Reply::Row(after) if self.is_ours(&after) => {
                // A text equal to the stored one makes no version: the current one is not ours.
                let version = after.version_id.clone().filter(|made| before.version_id.as_ref() != Some(made));
                self.taken(&before, &after, kept, version)
            }
            Reply::Row(_) => self.ask(Stage::ReadingBack { before, kept, doubt: Unverified::Other }),
            // A proxy that answers for the server does not know the result either.
            Reply::Lost { cause } | Reply::Foreign { words: cause, .. } => {
                self.ask(Stage::ReadingBack { before, kept, doubt: Unverified::Lost(cause) })
            }
            Reply::Stumbled { cause } if !before.versioned => failed(Failure::Stumbled { cause }),
            reply => match Objection::of(&reply) {
                Some(objection) if is_stub(&before) => {
                    self.ask(Stage::CheckingStub { outcome: objection.outcome(Aftermath::AsItWas) })
                }
                // A server that keeps versions changes nothing when it refuses a text.
                Some(objection) if before.versioned && matches!(reply, Reply::Refused { wrapped: false, .. }) => {
                    objection.over(Aftermath::AsItWas)
                }
                // The server has gone back to an older version since the row was read.
                Some(objection) if before.versioned && matches!(reply, Reply::Refused { .. }) => {
                    let (replaced, was_active) = (before.digest(), before.is_active == Some(true));
                    let before = Box::new(Row { versioned: false, ..*before });
                    let next = Stage::ReadingBack { before, kept, doubt: Unverified::Refused(objection) };
                    self.send(replaced, was_active, next, Call::Get(self.plugin.key.clone()))
                }
                Some(objection) => self.ask(Stage::ReadingBack { before, kept, doubt: Unverified::Refused(objection) }),
                None => self.unexpected(reply),
            },
        }
    }

    fn on_read_back(&mut self, reply: Reply, before: &Row, kept: Option<PathBuf>, doubt: Unverified) -> Step {
        match (reply, doubt) {
            // If the server held our text before, finding it again does not mean that it was accepted.
            (Reply::Row(after), Unverified::Refused(objection)) if !self.is_ours(&after) || self.is_ours(before) => {
                self.restore(before, &after, objection)
            }
            // A refusal switches a function off, but so may somebody else: the text is sent again.
            (Reply::Row(after), Unverified::Lost(cause)) if went_off(before, &after) => {
                self.restore(before, &after, Objection::Crashed(Refusal::said(cause)))
            }
            // Somebody else may have stored the same text since, so the version is not known to be ours.
            (Reply::Row(after), _) if self.is_ours(&after) => self.taken(before, &after, kept, None),
            // Somebody else wrote at the same moment: treated like any foreign text.
            (Reply::Row(after), Unverified::Other) => {
                self.restarts += 1;
                if self.restarts > MOST_RESTARTS {
                    return failed(Failure::StoredOther);
                }
                self.on_found(after)
            }
            (Reply::Absent, _) => self.restart(),
            // Delete the stub, or leave it to the next try.
            (Reply::Row(after), Unverified::Lost(cause)) if is_stub(before) && is_stub(&after) => {
                self.delete_stub(Outcome::Failed(Failure::Unanswered { cause }))
            }
            // Probably not carried out; the next try reads first.
            (_, Unverified::Lost(cause)) => unanswered(cause),
            (reply, Unverified::Refused(objection)) => {
                let gone = matches!(reply, Reply::Unreachable { .. } | Reply::Lost { .. });
                let (cause, _) = repair::cause_of(reply);
                let left = match before.is_active {
                    _ if before.versioned => Aftermath::AsItWas,
                    Some(true) => Aftermath::Off(StillOff { cause: cause.clone(), later: true }),
                    Some(false) | None => Aftermath::Unsettled { cause: cause.clone() },
                };
                if gone { objection.gone(left, &cause) } else { objection.over(left) }
            }
            (reply, Unverified::Other) => self.unexpected(reply),
        }
    }

    /// Ends the update: the server holds our text. No server version touches the switch when it takes a text. So if the
    /// switch changed, somebody flipped it, and it stays as it is.
    fn taken(&mut self, before: &Row, after: &Row, kept: Option<PathBuf>, version: Option<String>) -> Step {
        if is_stub(before) {
            return self.created(after);
        }
        Step::Done(Outcome::Updated { from: before.version(), kept, version })
    }

    /// Starts the repair after a refusal. Before 0.12 a refusal affects the function's switch and the running text,
    /// until the old text is loaded again.
    fn restore(&mut self, before: &Row, after: &Row, objection: Objection) -> Step {
        // A server that keeps versions has changed nothing. One that does so only by now was started since, so it runs
        // what is stored.
        if after.versioned && (before.versioned || before.is_active == after.is_active) {
            return objection.over(Aftermath::AsItWas);
        }
        self.restores = after.digest();
        let was_active = before.is_active == Some(true);
        match Repair::start(&self.plugin.key, was_active, after) {
            // The server has gone back to an older version since, so the intent does not say what is to be repaired.
            (repair, Next::Call(call)) if before.versioned => {
                self.send(after.digest(), was_active, Stage::Repair { repair, objection }, call)
            }
            (repair, next) => self.heal(repair, next, objection),
        }
    }

    fn heal(&mut self, repair: Repair, next: Next, objection: Objection) -> Step {
        match next {
            Next::Call(call) => self.call(Stage::Repair { repair, objection }, call),
            Next::Over(left) => objection.over(left),
        }
    }

    fn on_created(&mut self, reply: Reply) -> Step {
        match reply {
            // The answer to a create has no text, but it is enough: the id was free, so the server stores what we sent.
            // If two clients create an id at once, the server tells one of them that it is taken.
            Reply::Row(row) if row.content.is_none() || self.is_ours(&row) => self.created(&row),
            Reply::Row(_) => failed(Failure::StoredOther),
            Reply::Taken => self.restart(),
            Reply::Lost { cause } => self.ask(Stage::CheckingLost { cause }),
            reply => match Objection::of(&reply) {
                Some(objection) => self.ask(Stage::CheckingRefused { objection }),
                None => self.unexpected(reply),
            },
        }
    }

    /// A create that is refused may have left a row behind.
    fn on_refused_checked(&mut self, reply: Reply, objection: Objection) -> Step {
        let masked = matches!(&objection, Objection::Refused(words) if refusal::masked(words));
        // The reason is still to be asked for, and may not be the text.
        let is_unexplained = self.context.explains_updates && masked;
        match reply {
            // It existed, and an earlier answer was wrong about that.
            Reply::Row(row) if std::mem::take(&mut self.context.unlisted) || is_unexplained => self.on_found(row),
            Reply::Row(row) if self.is_ours(&row) => self.created(&row),
            // Not remembered as a refusal: the next try may learn the reason.
            Reply::Absent if is_unexplained && self.has_tried_stub => takes_none(objection),
            Reply::Absent if is_unexplained => {
                let call = Call::Create(self.plugin.key.clone(), Arc::new(form_of_stub(&self.plugin)));
                self.call(Stage::CreatingStub { objection }, call)
            }
            Reply::Row(_) | Reply::Absent => objection.over(Aftermath::AsItWas),
            Reply::Unreachable { .. } | Reply::Lost { .. } if is_unexplained => self.unexpected(reply),
            Reply::Unreachable { cause, .. } => objection.gone(Aftermath::AsItWas, &cause.words),
            Reply::Lost { cause } => objection.gone(Aftermath::AsItWas, &cause),
            other => self.unexpected(other),
        }
    }

    /// A create without an answer may have been carried out.
    fn on_lost_checked(&mut self, reply: Reply, cause: String) -> Step {
        match reply {
            Reply::Row(row) if self.is_ours(&row) => self.created(&row),
            Reply::Row(row) if std::mem::take(&mut self.context.unlisted) => self.on_found(row),
            Reply::Row(_) => failed(Failure::StoredOther),
            Reply::Absent | Reply::Unreachable { .. } | Reply::Lost { .. } => unanswered(cause),
            other => self.unexpected(other),
        }
    }

    /// The create succeeded; switches the function on if asked to.
    fn created(&mut self, row: &Row) -> Step {
        if self.activates() && row.is_active == Some(false) {
            let (repair, next) = Repair::switch_on_new(&self.plugin.key, self.plugin.digest, row);
            return self.activate(repair, next);
        }
        Step::Done(Outcome::Created { active: Ok(row.is_active) })
    }

    fn activate(&mut self, repair: Repair, next: Next) -> Step {
        match next {
            Next::Call(call) => self.call(Stage::Activating(repair), call),
            Next::Over(Aftermath::Restored) => Step::Done(Outcome::Created { active: Ok(Some(true)) }),
            // Somebody else stored another text.
            Next::Over(Aftermath::AsItWas) => failed(Failure::StoredOther),
            Next::Over(Aftermath::Off(off)) => Step::Done(Outcome::Created { active: Err(off) }),
            // This is about loading an old text, and a new function has none.
            Next::Over(Aftermath::Unsettled { cause }) => {
                Step::Done(Outcome::Created { active: Err(StillOff { cause, later: true }) })
            }
        }
    }

    /// The server gives a reason if it refuses the update of the stub. If it takes the update, the plugin is deployed.
    fn on_stub_created(&mut self, reply: Reply, objection: Objection) -> Step {
        match reply {
            // The rest is an ordinary update. The stub is created only once.
            Reply::Row(_) | Reply::Lost { .. } => {
                self.has_tried_stub = true;
                self.ask(Stage::Asked)
            }
            Reply::Taken => self.restart(),
            Reply::Refused { .. } => takes_none(objection),
            Reply::Crashed { words, too_large } => {
                Objection::Crashed(Refusal::crashed(words, too_large)).over(Aftermath::AsItWas)
            }
            other => self.unexpected(other),
        }
    }

    /// Deletes the row only if it is still the stub. If the server is gone, the next deploy of the file deletes it.
    fn on_stub_checked(&mut self, reply: Reply, outcome: Outcome) -> Step {
        match (reply, outcome) {
            (Reply::Row(row), outcome) if is_stub(&row) => self.delete_stub(outcome),
            (reply @ (Reply::Unreachable { .. } | Reply::Lost { .. }), Outcome::Crashed { refusal, left }) => {
                let (cause, _) = repair::cause_of(reply);
                Objection::Crashed(refusal).gone(left, &cause)
            }
            (reply, outcome) => on_stub_deleted(reply, outcome),
        }
    }

    fn delete_stub(&mut self, outcome: Outcome) -> Step {
        let call = Call::Delete(self.plugin.key.clone());
        self.call(Stage::DeletingStub { outcome }, call)
    }

    fn on_activated(&mut self, reply: Reply, mut repair: Repair) -> Step {
        if reply == Reply::Absent {
            return self.restart();
        }
        let next = repair.reply(reply);
        self.activate(repair, next)
    }

    /// Whether this row has our text.
    fn is_ours(&self, row: &Row) -> bool {
        row.digest() == Some(self.plugin.digest)
    }

    /// Handles the replies that mean the same at every stage.
    fn unexpected(&mut self, reply: Reply) -> Step {
        match reply {
            Reply::NotAllowed { words, .. } | Reply::Unclear { words } => self.doubt(words, MissingRow::Excluded),
            Reply::Absent => self.restart(),
            other => failed(other.into_failure()),
        }
    }
}

/// Ends the conversation once the stub is certainly gone; otherwise it fails and is tried again.
fn on_stub_deleted(reply: Reply, outcome: Outcome) -> Step {
    match reply {
        Reply::Unreachable { .. } | Reply::Lost { .. } | Reply::Stumbled { .. } | Reply::Crashed { .. } => {
            failed(reply.into_failure())
        }
        _ => Step::Done(outcome),
    }
}

fn odd(words: &str) -> Step {
    failed(CallFailure::Odd { words: words.to_owned() })
}

fn failed(failure: impl Into<Failure>) -> Step {
    Step::Done(Outcome::Failed(failure.into()))
}

/// Whether the server switched the function off, as it does before 0.12 when it refuses a text.
fn went_off(before: &Row, after: &Row) -> bool {
    let off = before.is_active == Some(true) && after.is_active == Some(false);
    !(before.versioned && after.versioned) && off && before.digest() == after.digest()
}

/// Ends the conversation if the server takes not even the stub.
fn takes_none(objection: Objection) -> Step {
    let (Objection::Refused(words) | Objection::Crashed(Refusal { words, .. })) = objection;
    failed(Failure::TakesNone { words })
}

fn unanswered(cause: String) -> Step {
    failed(Failure::Unanswered { cause })
}

#[cfg(test)]
mod tests;
