//! What becomes on the server of a plugin whose file is gone, where the user has asked for more than keeping it
//! (`on_delete`). Only what holds our own text is touched; a copy is on disk before it is deleted.

use std::path::PathBuf;

use crate::engine::deploy::{Backup, Call, Failure, Reply, Row};
use crate::plugin::{Digest, Key};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A function is switched off.
    Deactivate,
    /// It is deleted.
    Delete,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The function is switched off.
    Deactivated,
    /// It is deleted. `kept`: the copy of what was there.
    Deleted { kept: PathBuf },
    /// It was left as it is.
    Kept(Why),
    /// Something else went wrong.
    Failed(Failure),
}

/// Why a plugin whose file is gone was left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It holds another text than the one that we deployed.
    Edited,
    /// It is not there any more.
    Gone,
    /// It is off already.
    Off,
    /// Its file is back.
    Back,
    /// A file that is broken may be the same plugin.
    Unclear,
}

type Step = super::deploy::Step<Outcome>;

/// The conversation about it.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    key: Key,
    mode: Mode,
    /// What we put there.
    deployed: Digest,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// What does the server hold?
    Asked,
    /// The copy is being written.
    Keeping,
    /// It is being deleted.
    Deleting { kept: PathBuf },
    /// Is it gone?
    Checking { kept: PathBuf },
    /// It was flipped. `last`: and flipped back, since somebody else had been faster.
    Flipping { last: bool },
    /// Nobody knows what became of the flip.
    ReadingBack,
}

impl Removal {
    /// Begins by asking what the server holds.
    pub(super) fn start(key: Key, mode: Mode, deployed: Digest) -> (Self, Step) {
        let ask = Step::Call(Call::Get(key.clone()));
        (Self { key, mode, deployed, stage: Stage::Asked }, ask)
    }

    /// Whether anything has been changed on the server, or is about to be.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Asked | Stage::Keeping)
    }

    /// Takes the reply to the last call.
    pub(super) fn reply(&mut self, reply: Reply) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), reply) {
            (Stage::Asked, Reply::Row(row)) => self.on_found(&row),
            (Stage::Asked, Reply::Absent) => Step::Done(Outcome::Kept(Why::Gone)),
            (Stage::Deleting { kept }, Reply::Deleted | Reply::Absent | Reply::Lost { .. }) => {
                self.call(Stage::Checking { kept }, Call::Get(self.key.clone()))
            }
            (Stage::Checking { kept }, Reply::Absent) => Step::Done(Outcome::Deleted { kept }),
            (Stage::Checking { .. }, Reply::Row(_)) => {
                failed(Failure::Unreachable { cause: "the server has not deleted it".into(), retry_after: None })
            }
            (Stage::Flipping { .. } | Stage::ReadingBack, Reply::Row(row)) if row.is_active == Some(false) => {
                Step::Done(Outcome::Deactivated)
            }
            // Somebody else had switched it off between our look and our flip.
            (Stage::Flipping { last: false }, Reply::Row(_)) => self.flip(true),
            (Stage::Flipping { .. }, Reply::Lost { .. }) => self.call(Stage::ReadingBack, Call::Get(self.key.clone())),
            (Stage::Flipping { .. } | Stage::ReadingBack, Reply::Row(_)) => {
                failed(Failure::Odd { words: "somebody else switches it at the same moment".to_owned() })
            }
            (Stage::Flipping { .. } | Stage::ReadingBack, Reply::Absent) => Step::Done(Outcome::Kept(Why::Gone)),
            (_, reply) => failed(failure(reply)),
        }
    }

    /// Takes the answer to [`Step::SaveBackup`].
    pub(super) fn backup_saved(&mut self, kept: Result<PathBuf, String>) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), kept) {
            (Stage::Keeping, Ok(kept)) => self.call(Stage::Deleting { kept }, Call::Delete(self.key.clone())),
            (_, Ok(_)) => failed(Failure::Odd { words: "a copy was kept that nobody asked for".to_owned() }),
            (_, Err(words)) => failed(Failure::KeepFailed { words }),
        }
    }

    fn on_found(&mut self, row: &Row) -> Step {
        let ours = row.content.as_deref().filter(|text| Digest::of_text(text) == self.deployed);
        let Some(text) = ours else { return Step::Done(Outcome::Kept(Why::Edited)) };
        match self.mode {
            Mode::Deactivate if row.is_active != Some(true) => Step::Done(Outcome::Kept(Why::Off)),
            Mode::Deactivate => self.flip(false),
            Mode::Delete => {
                self.stage = Stage::Keeping;
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

fn failed(failure: Failure) -> Step {
    Step::Done(Outcome::Failed(failure))
}

/// Nothing is lost by a removal that fails: it is tried again when the server is there.
fn failure(reply: Reply) -> Failure {
    match reply {
        Reply::NotAllowed { words, .. } | Reply::Refused { words } => Failure::NotOurs { words },
        reply => reply.into_failure(),
    }
}
