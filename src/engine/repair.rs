//! Repairs a running plugin after a refused update, on servers before 0.12: loads the old text again, since the server
//! may run another text than it stores, and switches the function on again if it was on. The switch is read before and
//! after every flip. No call changes another switch.
//!
//! A deploy repairs right after the refusal; a [`Recovery`] does it at the next start, or when the server is back.

use std::sync::Arc;

use crate::engine::call::{Call, CallFailure, Form, Reply, Row};
use crate::engine::ledger::UpdateIntent;
use crate::engine::step;
use crate::engine::switch::{CONTESTED, MOST_FLIPS};
use crate::plugin::{Digest, Key};

/// The state of the running plugin after a refused update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// Everything as it was.
    AsItWas,
    /// The server had switched the function off, and it is on again.
    Restored,
    /// Nothing is off, but the old text could not be loaded again, so the refused one may be running: tried again at
    /// the next probe.
    Unsettled {
        /// Why not.
        cause: String,
    },
    /// The function is off, and could not be switched on again.
    Off(StillOff),
}

/// A function that is off, though it should be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillOff {
    /// Why it could not be switched on.
    pub cause: String,
    /// Whether that is tried again at the next probe.
    pub later: bool,
}

impl Aftermath {
    /// Why a repair must follow at the next probe, if one must.
    #[must_use]
    pub fn unsettled(&self) -> Option<&str> {
        match self {
            Aftermath::Off(off) => off.unsettled(),
            Aftermath::Unsettled { cause } => Some(cause),
            Aftermath::AsItWas | Aftermath::Restored => None,
        }
    }
}

impl StillOff {
    /// Why a repair must follow at the next probe, if one must.
    pub(super) fn unsettled(&self) -> Option<&str> {
        self.later.then_some(&*self.cause)
    }
}

/// The next step of a repair.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    Call(Call),
    Over(Aftermath),
}

/// A repair in progress.
#[derive(Clone, Debug)]
pub(super) struct Repair {
    key: Key,
    was_active: bool,
    /// The stored text. If somebody stores another one during the repair, its switch is theirs to set.
    text: Option<Digest>,
    stage: Stage,
    /// The number of flips.
    flips: u8,
    /// Why it is unknown whether the old text was loaded.
    unsettled: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The old text is being loaded again. `seen_off`: the function was off before. `last`: no further try.
    Restoring { seen_off: bool, last: bool },
    /// The old text was refused, or got no answer: the row is read. `reload`: load it again, since the server failed at
    /// it.
    Looking { cause: String, reload: bool },
    /// The switch was flipped once.
    Flipping,
    /// It was flipped back: somebody else had switched it on before the first flip.
    FlippingBack,
    /// The flip got no answer: reading the switch back.
    ReadingBack,
}

impl Repair {
    /// Starts after a refusal, which left the row `after`. Its text is loaded again even if somebody else stored it
    /// since: nobody knows whether that was before the refused text was loaded.
    pub(super) fn start(key: &Key, was_active: bool, after: &Row) -> (Self, Next) {
        let mut repair = Self::new(key, was_active, after.digest());
        let next = repair.reload(after, false);
        (repair, next)
    }

    /// Starts to switch on a new function that holds this text.
    pub(super) fn switch_on_new(key: &Key, text: Digest, row: &Row) -> (Self, Next) {
        let mut repair = Self::new(key, true, Some(text));
        let next = repair.switch_on(row);
        (repair, next)
    }

    fn new(key: &Key, was_active: bool, text: Option<Digest>) -> Self {
        let stage = Stage::Restoring { seen_off: false, last: false };
        Self { key: key.clone(), was_active, text, stage, flips: 0, unsettled: None }
    }

    /// Whether it was on and is now off.
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
            // If our flip switched it off, flip it back, whatever text is stored by now.
            (Stage::Flipping, Reply::Row(row)) if self.is_off(&row) => self.flip(Stage::FlippingBack),
            (Stage::FlippingBack, Reply::Row(row)) if self.is_off(&row) => self.contested(),
            (_, Reply::Row(row)) if row.content.is_some() && row.digest() != self.text => {
                Next::Over(Aftermath::AsItWas)
            }
            (Stage::Looking { reload: true, .. }, Reply::Row(row)) => self.reload(&row, true),
            (Stage::Restoring { .. } | Stage::Looking { .. }, Reply::Row(row)) => self.switch_on(&row),
            // Refusing the old text may have switched the function off.
            (
                Stage::Restoring { last, .. },
                reply @ (Reply::Refused { .. } | Reply::Crashed { .. } | Reply::Lost { .. }),
            ) => {
                // Try once more: the server may be the cause.
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
                Next::Over(off(cause, later))
            }
            // No answer, and still off: the flip was probably not carried out.
            (Stage::ReadingBack, Reply::Row(row)) if self.flips >= MOST_FLIPS && self.is_off(&row) => {
                let cause = "no answer came".to_owned();
                Next::Over(off(cause, true))
            }
            // Flip again if it is still off.
            (Stage::Flipping | Stage::FlippingBack | Stage::ReadingBack, Reply::Row(row)) => self.switch_on(&row),
            (Stage::Flipping | Stage::FlippingBack, Reply::Lost { .. }) => self.look(Stage::ReadingBack),
            (_, reply) => {
                let (cause, later) = cause_of(reply);
                Next::Over(off(cause, later))
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
        let cause = CONTESTED.to_owned();
        // Tried again only if it is unknown whether the old text was loaded.
        Next::Over(off(cause, self.unsettled.is_some()))
    }

    fn look(&mut self, stage: Stage) -> Next {
        self.stage = stage;
        Next::Call(Call::Get(self.key.clone()))
    }
}

fn off(cause: String, later: bool) -> Aftermath {
    Aftermath::Off(StillOff { cause, later })
}

/// The aftermath if the old text could not be loaded again, but no function is known to be off.
fn not_on(reply: Reply) -> Aftermath {
    match cause_of(reply) {
        (cause, true) => Aftermath::Unsettled { cause },
        (_, false) => Aftermath::AsItWas,
    }
}

/// The row unchanged (with `toggle`: leaving it out clears it before 0.12). The server makes the manifest from the
/// text. `None` if the server does not show the text.
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

/// Why a call failed, and whether it may succeed at the next probe.
pub(super) fn cause_of(reply: Reply) -> (String, bool) {
    match reply {
        Reply::Refused { words, .. } => (words, false),
        Reply::Absent => ("it was deleted meanwhile".to_owned(), false),
        reply => match reply.into_failure() {
            CallFailure::Unreachable { cause, .. } => (cause.words, true),
            CallFailure::NotAllowed { words, .. }
            | CallFailure::NotOurs { words }
            | CallFailure::Foreign { words, .. } => (words, true),
            CallFailure::Odd { words } => (words, false),
        },
    }
}

/// How a recovery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The repair ended; `left` says how far it got.
    Recovered {
        /// The state of the function.
        left: Aftermath,
        /// The digest of the server's text; `None` if the server has no such plugin.
        holds: Option<Digest>,
    },
    /// A call failed.
    Failed(CallFailure),
}

impl Outcome {
    /// The digest of the server's text, if it has the plugin and the repair ended.
    #[must_use]
    pub fn holds(&self) -> Option<Digest> {
        match self {
            Outcome::Recovered { holds, .. } => *holds,
            Outcome::Failed(_) => None,
        }
    }
}

type Step = step::Step<Outcome>;

/// The conversation after an unconfirmed update: the program or the server went away before the answer. Before 0.12 the
/// server may have refused the update and switched the function off.
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
    /// Asked what the server holds.
    Asked,
    /// Access was denied: to this plugin, or to the key?
    Doubted { words: String },
    /// The repair is running.
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
                match &reply {
                    Reply::Row(row) if row.content.is_some() => self.holds = row.digest(),
                    Reply::Absent => self.holds = None,
                    _ => {}
                }
                let next = repair.reply(reply);
                self.follow(repair, next)
            }
            (RecoveryStage::Asked, Reply::Row(row)) => self.on_found(&row),
            // No function that could be off.
            (RecoveryStage::Asked, Reply::Absent) => done(Aftermath::AsItWas, None),
            (RecoveryStage::Asked, Reply::Unclear { words }) => {
                self.stage = RecoveryStage::Doubted { words };
                Step::Call(Call::Overview(self.key.kind))
            }
            // It does not exist, or belongs to others.
            (RecoveryStage::Doubted { .. }, Reply::Rows(rows)) if rows.iter().all(|row| row.id != self.key.id) => {
                done(Aftermath::AsItWas, None)
            }
            (RecoveryStage::Doubted { words }, Reply::Rows(_)) => {
                Step::Done(Outcome::Failed(CallFailure::NotOurs { words }))
            }
            (RecoveryStage::Doubted { words }, Reply::Unclear { .. }) => {
                Step::Done(Outcome::Failed(CallFailure::NotAllowed { status: 401, words }))
            }
            (RecoveryStage::Asked | RecoveryStage::Doubted { .. }, reply) => {
                Step::Done(Outcome::Failed(reply.into_failure()))
            }
        }
    }

    fn on_found(&mut self, row: &Row) -> Step {
        let (replaced, holds) = (self.intent.replaced, row.digest());
        let (repair, next) = match holds {
            Some(_) if holds == replaced => Repair::start(&self.key, self.intent.was_active, row),
            Some(text) if self.intent.switches_on(text) => Repair::switch_on_new(&self.key, text, row),
            // The server took the update after all, or somebody else changed the plugin since and decides about its
            // switch.
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
