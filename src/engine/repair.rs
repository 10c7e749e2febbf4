//! Making good what a refused update did to a plugin that was running, on servers before 0.12: the old text is loaded once
//! more, since the server may go on with another than it stores, and a function that was on is switched on again. Every
//! flip is preceded by a look, and followed by one. No version touches any other switch, whatever it is sent.
//!
//! A deploy does it right after the refusal; a [`Recovery`] at the next start, or when the server is back.

use std::sync::Arc;

use crate::engine::deploy::{self, Aftermath, Call, Failure, Form, Reply, Row};
use crate::engine::ledger::UpdateIntent;
use crate::plugin::{Digest, Key};

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    Call(Call),
    Over(Aftermath),
}

/// The switch may be flipped, and flipped back; and once more, where no answer came.
const MOST_FLIPS: u8 = 4;

/// The calls that it takes.
#[derive(Clone, Debug)]
pub(super) struct Repair {
    key: Key,
    was_active: bool,
    /// The text that is there. Whoever puts another one there knows how it is to be switched.
    text: Option<Digest>,
    stage: Stage,
    /// How often anything was flipped.
    flips: u8,
    /// No answer came when the old text was loaded.
    unsettled: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The old text is being loaded once more. What was seen before: whether something is off. `last`: it is tried no more.
    Restoring { seen_off: bool, last: bool },
    /// The old text was refused, or nobody knows: looked at, and loaded again where the server failed at it.
    Looking { cause: String, reload: bool },
    /// The switch was flipped once.
    Flipping,
    /// It was flipped back, since the first flip found it on already.
    FlippingBack,
    /// Nobody knows what became of the flip.
    ReadingBack,
}

impl Repair {
    /// After a refusal: `after` is what it left. `reload`: what runs may be another text than the one that is there.
    pub(super) fn start(key: &Key, was_active: bool, after: &Row, reload: bool) -> (Self, Next) {
        let mut repair = Self::new(key, was_active, after.digest());
        let next = if reload { repair.reload(after, false) } else { repair.switch_on(after) };
        (repair, next)
    }

    /// Switches a function on that holds this text, after its create.
    pub(super) fn switch_on_new(key: &Key, text: Digest, row: &Row) -> (Self, Next) {
        let mut repair = Self::new(key, true, Some(text));
        let next = repair.switch_on(row);
        (repair, next)
    }

    fn new(key: &Key, was_active: bool, text: Option<Digest>) -> Self {
        let stage = Stage::Restoring { seen_off: false, last: false };
        Self { key: key.clone(), was_active, text, stage, flips: 0, unsettled: None }
    }

    /// It was on and is not any more.
    fn is_off(&self, row: &Row) -> bool {
        self.was_active && row.is_active == Some(false)
    }

    /// How far it has come.
    #[cfg(test)]
    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    pub(super) fn reply(&mut self, reply: Reply) -> Next {
        match (self.stage.clone(), reply) {
            // A flip of ours that switched it off is taken back, whatever text is there by now.
            (Stage::Flipping, Reply::Row(row)) if self.is_off(&row) => self.flip(Stage::FlippingBack),
            (Stage::FlippingBack, Reply::Row(row)) if self.is_off(&row) => self.contested(),
            (_, Reply::Row(row)) if row.content.is_some() && row.digest() != self.text => {
                Next::Over(Aftermath::AsItWas)
            }
            (Stage::Looking { reload: true, .. }, Reply::Row(row)) => self.reload(&row, true),
            (Stage::Restoring { .. } | Stage::Looking { .. }, Reply::Row(row)) => self.switch_on(&row),
            // Refusing the old text, it may have switched the function off just now.
            (
                Stage::Restoring { last, .. },
                reply @ (Reply::Refused { .. } | Reply::Crashed { .. } | Reply::Lost { .. }),
            ) => {
                // Once more, since that may be the server's own doing.
                let reload = matches!(reply, Reply::Crashed { .. }) && !last;
                if let Reply::Lost { cause } = &reply {
                    self.unsettled = Some(cause.clone());
                }
                let cause = format!("the server does not take the old text again: {}", cause_of(reply).0);
                self.look(Stage::Looking { cause, reload })
            }
            (Stage::Restoring { seen_off: false, .. }, reply) => Next::Over(not_on(reply)),
            (Stage::Looking { cause, .. }, reply) => {
                if !self.was_active {
                    return Next::Over(not_on(reply));
                }
                let (_, later) = cause_of(reply);
                Next::Over(Aftermath::Off { cause, later })
            }
            // Somebody else had switched it on between our look and our flip.
            // What got no answer was not carried out, as it seems, and is done again where it is still off.
            (Stage::ReadingBack, Reply::Row(row)) if self.flips >= MOST_FLIPS && self.is_off(&row) => {
                let cause = "no answer came".to_owned();
                Next::Over(Aftermath::Off { cause, later: true })
            }
            (Stage::Flipping | Stage::FlippingBack | Stage::ReadingBack, Reply::Row(row)) => self.switch_on(&row),
            (Stage::Flipping | Stage::FlippingBack, Reply::Lost { .. }) => self.look(Stage::ReadingBack),
            (_, reply) => {
                let (cause, later) = cause_of(reply);
                Next::Over(Aftermath::Off { cause, later })
            }
        }
    }

    /// Loads the old text once more.
    fn reload(&mut self, row: &Row, last: bool) -> Next {
        let Some(form) = form_to_restore(row) else { return self.switch_on(row) };
        self.stage = Stage::Restoring { seen_off: self.is_off(row), last };
        Next::Call(Call::Update(self.key.clone(), Arc::new(form)))
    }

    fn switch_on(&mut self, row: &Row) -> Next {
        if !self.is_off(row) {
            return Next::Over(match self.unsettled.take() {
                Some(cause) => Aftermath::Unsettled { cause },
                None if self.flips > 0 => Aftermath::Restored,
                None => Aftermath::AsItWas,
            });
        }
        // Somebody else keeps switching it.
        if self.flips >= MOST_FLIPS { self.contested() } else { self.flip(Stage::Flipping) }
    }

    fn flip(&mut self, stage: Stage) -> Next {
        self.stage = stage;
        self.flips += 1;
        Next::Call(Call::Toggle(self.key.id.clone()))
    }

    fn contested(&self) -> Next {
        let cause = "somebody else switches it at the same moment".to_owned();
        // The old text is to be loaded once more in any case.
        Next::Over(Aftermath::Off { cause, later: self.unsettled.is_some() })
    }

    fn look(&mut self, stage: Stage) -> Next {
        self.stage = stage;
        Next::Call(Call::Get(self.key.clone()))
    }
}

/// What is left of a plugin that was not on, if its old text could not be loaded.
fn not_on(reply: Reply) -> Aftermath {
    match cause_of(reply) {
        (cause, true) => Aftermath::Unsettled { cause },
        (_, false) => Aftermath::AsItWas,
    }
}

/// What was there, to the letter (`toggle` too: leaving it out clears it before 0.12). The manifest is made anew from the
/// text by the server. `None` if the server does not show the text.
fn form_to_restore(row: &Row) -> Option<Form> {
    let mut meta = row.meta.clone();
    meta.remove("manifest");
    Some(Form {
        name: row.name.clone(),
        content: Arc::from(row.content.as_deref()?),
        meta,
        access_control: row.access_control.clone(),
        message: "owui-watch: put back what was there before a refused deploy".to_owned(),
        file: None,
    })
}

/// Why it did not succeed, and whether that may be another matter when the server is looked at again.
pub(super) fn cause_of(reply: Reply) -> (String, bool) {
    match reply {
        Reply::Refused { words } => (words, false),
        Reply::Absent => ("it was deleted meanwhile".to_owned(), false),
        reply => match reply.into_failure() {
            Failure::Unreachable { cause, .. } => (cause.words, true),
            Failure::NotAllowed { words, .. } | Failure::NotOurs { words } | Failure::Foreign { words, .. } => {
                (words, true)
            }
            Failure::Odd { words: cause }
            | Failure::TakesNone { words: cause }
            | Failure::KeepFailed { words: cause }
            | Failure::Stumbled { cause }
            | Failure::Unanswered { cause } => (cause, false),
            Failure::StoredOther => (String::new(), false),
        },
    }
}

/// How a recovery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was left behind is made good, as far as it could be.
    Recovered {
        /// What became of the switches.
        left: Aftermath,
        /// The digest of the server's text; `None` if the server has no such plugin.
        holds: Option<Digest>,
    },
    /// Something went wrong.
    Failed(Failure),
}

type Step = deploy::Step<Outcome>;

/// The conversation about an update of which nobody knows how it ended: the program or the server went away between the
/// update and its answer. Before 0.12 the server may have refused it and switched the function off.
#[derive(Clone, Debug)]
pub struct Recovery {
    key: Key,
    intent: UpdateIntent,
    /// The digest of the server's text.
    holds: Option<Digest>,
    stage: RecoveryStage,
}

/// What the next reply answers.
#[derive(Clone, Debug)]
enum RecoveryStage {
    /// What does the server hold?
    Asked,
    /// We were turned away: is it this plugin, or the key?
    Doubted { words: String },
    /// It is being made good.
    Repair(Repair),
}

impl Recovery {
    /// Begins by asking what the server holds.
    pub fn start(key: Key, intent: UpdateIntent) -> (Self, Step) {
        let ask = Step::Call(Call::Get(key.clone()));
        (Self { key, intent, holds: None, stage: RecoveryStage::Asked }, ask)
    }

    /// Takes the reply to the last call.
    pub fn reply(&mut self, reply: Reply) -> Step {
        match (std::mem::replace(&mut self.stage, RecoveryStage::Asked), reply) {
            (RecoveryStage::Repair(mut repair), reply) => {
                let next = repair.reply(reply);
                self.follow(repair, next)
            }
            (RecoveryStage::Asked, Reply::Row(row)) => self.on_found(&row),
            // Nothing is there that could be dark.
            (RecoveryStage::Asked, Reply::Absent) => done(Aftermath::AsItWas, None),
            (RecoveryStage::Asked, Reply::Unclear { words }) => {
                self.stage = RecoveryStage::Doubted { words };
                Step::Call(Call::Overview(self.key.kind))
            }
            // It is not there, or not ours to touch.
            (RecoveryStage::Doubted { .. }, Reply::Rows(rows))
                if rows.iter().all(|row| row.id != self.key.id.as_str()) =>
            {
                done(Aftermath::AsItWas, None)
            }
            (RecoveryStage::Doubted { words }, Reply::Rows(_)) => {
                Step::Done(Outcome::Failed(Failure::NotOurs { words }))
            }
            (RecoveryStage::Doubted { words }, Reply::Unclear { .. }) => {
                Step::Done(Outcome::Failed(Failure::NotAllowed { status: 401, words }))
            }
            (RecoveryStage::Asked | RecoveryStage::Doubted { .. }, reply) => {
                Step::Done(Outcome::Failed(reply.into_failure()))
            }
        }
    }

    fn on_found(&mut self, row: &Row) -> Step {
        let (replaced, holds) = (self.intent.replaced, row.digest());
        let (repair, next) = match holds {
            Some(_) if holds == replaced => Repair::start(&self.key, self.intent.was_active, row, true),
            Some(text) if self.intent.switches_on(text) => Repair::switch_on_new(&self.key, text, row),
            // The server took the update after all; or somebody else has been there since, and knows how it is to be.
            _ => return done(Aftermath::AsItWas, holds),
        };
        self.holds = holds;
        self.follow(repair, next)
    }

    fn follow(&mut self, repair: Repair, next: Next) -> Step {
        match next {
            Next::Call(call) => {
                self.stage = RecoveryStage::Repair(repair);
                Step::Call(call)
            }
            Next::Over(left) => done(left, self.holds),
        }
    }
}

fn done(left: Aftermath, holds: Option<Digest>) -> Step {
    Step::Done(Outcome::Recovered { left, holds })
}
