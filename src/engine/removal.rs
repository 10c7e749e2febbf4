//! The conversation that removes a plugin from the server. It touches a plugin only if it holds our own text, and
//! deletes it only after a copy is on disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::OnDelete;
use super::call::{Call, CallFailure, Reply, Row};
use super::deploy::Failure;
use super::step::{self, Backup};
use super::switch::CONTESTED;
use crate::plugin::{Digest, Key, Kind, Plugin};

/// Why a removal takes longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delay {
    /// Another file is broken, and may be the plugin.
    BrokenFile,
    /// It failed in this way.
    Failed(Failure),
}

/// A plugin whose file is gone.
#[derive(Debug)]
pub(super) struct PendingRemoval {
    pub(super) plugin: Arc<Plugin>,
    /// When the file counts as gone; `None` while the removal is in progress.
    pub(super) due: Option<Duration>,
    /// What the user was told of why it takes longer.
    pub(super) told: Option<Delay>,
}

/// What to do on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Switch a function off.
    Deactivate,
    /// Delete the plugin.
    Delete,
}

impl OnDelete {
    /// What to do with a plugin of this kind.
    pub(super) fn mode(self, kind: Kind) -> Option<Mode> {
        match self {
            Self::Keep => None,
            Self::Deactivate => kind.has_switch().then_some(Mode::Deactivate),
            Self::Delete => Some(Mode::Delete),
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The function is switched off.
    Deactivated,
    /// It is deleted. `kept`: the copy of its text.
    Deleted { kept: PathBuf },
    /// It was left as it is.
    Kept(Kept),
    /// It was left as it is: another file may be the same plugin.
    Unclear,
    /// It is tried again soon: the copy of its text could not be written, or the server still has the plugin.
    NotYet(Failure),
    /// A call failed.
    Failed(CallFailure),
}

/// Why the server keeps it, as the conversation found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is not there any more.
    Gone,
    /// Somebody else changed it.
    Edited,
    /// It is off already.
    Off,
    /// Its file is back.
    Back,
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
    /// A new file may be the same plugin; the user was asked about it.
    Renamed,
    /// Its text on the server is not the one that we deployed.
    Edited,
    /// The server no longer has it.
    Gone,
    /// It is already off.
    Off,
    /// Its file is back.
    Back,
}

impl From<Kept> for KeepReason {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Gone => Self::Gone,
            Kept::Edited => Self::Edited,
            Kept::Off => Self::Off,
            Kept::Back => Self::Back,
        }
    }
}

type Step = step::Step<Outcome>;

/// The conversation about it.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    key: Key,
    mode: Mode,
    /// The text that we deployed.
    deployed: Digest,
    /// Its file is back: what is not done yet is not done.
    is_back: bool,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Asked what the server holds.
    Asked,
    /// The copy is being written.
    SavingBackup,
    /// It is being deleted.
    Deleting { kept: PathBuf },
    /// Checking that it is gone. `answered`: the server says that it is.
    Checking { kept: PathBuf, answered: bool },
    /// The switch was flipped. `last`: for the second time, since somebody else had flipped it first.
    Flipping { last: bool },
    /// The flip got no answer: reading the switch back.
    ReadingBack,
}

impl Removal {
    /// Begins by asking what the server holds.
    pub(super) fn start(key: Key, mode: Mode, deployed: Digest) -> (Self, Step) {
        let ask = Step::Call(Call::Get(key.clone()));
        (Self { key, mode, deployed, is_back: false, stage: Stage::Asked }, ask)
    }

    /// Whether anything was changed on the server, or is about to be.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Asked | Stage::SavingBackup)
    }

    /// Its file is back.
    pub(super) fn forgo(&mut self) {
        self.is_back = true;
    }

    /// Takes the reply to the last call.
    pub(super) fn reply(&mut self, reply: Reply) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), reply) {
            (Stage::Asked, Reply::Row(row)) => self.on_found(&row),
            (Stage::Asked, Reply::Absent) => Step::Done(Outcome::Kept(Kept::Gone)),
            (Stage::Deleting { kept }, reply @ (Reply::Deleted | Reply::Absent | Reply::Lost { .. })) => {
                let answered = !matches!(reply, Reply::Lost { .. });
                self.call(Stage::Checking { kept, answered }, Call::Get(self.key.clone()))
            }
            (Stage::Checking { kept, .. }, Reply::Absent) => Step::Done(Outcome::Deleted { kept }),
            (Stage::Checking { answered, .. }, Reply::Row(_)) => {
                let cause = if answered {
                    "the server reported it as deleted, but still has it"
                } else {
                    "the server did not answer, and still has it"
                };
                Step::Done(Outcome::NotYet(Failure::Stumbled { cause: cause.to_owned() }))
            }
            (Stage::Flipping { .. } | Stage::ReadingBack, Reply::Row(row)) if row.is_active == Some(false) => {
                Step::Done(Outcome::Deactivated)
            }
            (Stage::Flipping { last: false }, Reply::Row(_)) if self.is_back => Step::Done(Outcome::Kept(Kept::Back)),
            // Somebody else switched it off between our read and our flip.
            (Stage::Flipping { last: false }, Reply::Row(_)) => self.flip(true),
            (Stage::Flipping { .. }, Reply::Lost { .. }) => self.call(Stage::ReadingBack, Call::Get(self.key.clone())),
            (Stage::Flipping { .. } | Stage::ReadingBack, Reply::Row(_)) => {
                failed(CallFailure::Odd { words: CONTESTED.to_owned() })
            }
            (Stage::Flipping { .. } | Stage::ReadingBack, Reply::Absent) => Step::Done(Outcome::Kept(Kept::Gone)),
            (_, reply) => failed(failure(reply)),
        }
    }

    /// Takes the answer to [`Step::SaveBackup`].
    pub(super) fn backup_saved(&mut self, kept: Result<PathBuf, String>) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), kept) {
            (Stage::SavingBackup, Ok(kept)) => self.call(Stage::Deleting { kept }, Call::Delete(self.key.clone())),
            (_, Ok(_)) => failed(CallFailure::Odd { words: "a copy was kept that nobody asked for".to_owned() }),
            (_, Err(words)) => Step::Done(Outcome::NotYet(Failure::KeepFailed { words })),
        }
    }

    fn on_found(&mut self, row: &Row) -> Step {
        let ours = row.content.as_deref().filter(|text| Digest::of_text(text) == self.deployed);
        let Some(text) = ours else { return Step::Done(Outcome::Kept(Kept::Edited)) };
        match self.mode {
            Mode::Deactivate if row.is_active != Some(true) => Step::Done(Outcome::Kept(Kept::Off)),
            Mode::Deactivate => self.flip(false),
            Mode::Delete => {
                self.stage = Stage::SavingBackup;
                Step::SaveBackup(Backup { key: self.key.clone(), text: text.to_owned(), digest: self.deployed })
            }
        }
    }

    fn flip(&mut self, last: bool) -> Step {
        self.call(Stage::Flipping { last }, Call::Toggle(self.key.id.clone()))
    }

    fn call(&mut self, stage: Stage, call: Call) -> Step {
        self.stage = stage;
        Step::Call(call)
    }
}

fn failed(failure: CallFailure) -> Step {
    Step::Done(Outcome::Failed(failure))
}

/// What a failed call means for a removal.
fn failure(reply: Reply) -> CallFailure {
    match reply {
        Reply::NotAllowed { words, .. } | Reply::Refused { words, .. } => CallFailure::NotOurs { words },
        reply => reply.into_failure(),
    }
}
