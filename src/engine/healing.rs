//! Making good what an update did to a plugin that was running: the old text is loaded once more where the server (before
//! 0.12) may go on with another than it stores, and what was on is switched on again. Every flip is preceded by a look,
//! and followed by one.

use std::sync::Arc;

use crate::engine::exchange::{Call, Form, Left, Reply, Row};
use crate::plugin::Key;

/// The switches of a function. A tool has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Switches {
    /// On or off.
    pub(super) active: Option<bool>,
    /// Whether it applies to every model.
    pub(super) global: Option<bool>,
}

impl Switches {
    /// As a row shows them.
    #[must_use]
    pub(super) fn of(row: &Row) -> Self {
        Self { active: row.is_active, global: row.is_global }
    }

    /// What was on and is not any more.
    fn lost(self, row: &Row) -> Option<Switch> {
        let lost = |was, is| was == Some(true) && is == Some(false);
        if lost(self.active, row.is_active) {
            Some(Switch::Active)
        } else if lost(self.global, row.is_global) {
            Some(Switch::Global)
        } else {
            None
        }
    }
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    Active,
    Global,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    Call(Call),
    Over(Left),
}

/// Each switch may be flipped, and flipped back.
const MOST_FLIPS: u8 = 4;

/// The calls that it takes.
#[derive(Clone, Debug)]
pub(super) struct Healing {
    key: Key,
    was: Switches,
    /// The text that is there. Whoever puts another one there knows how it is to be switched.
    text: Option<String>,
    stage: Stage,
    /// How often anything was flipped.
    flips: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The old text is being loaded once more. What was seen before: whether something is off.
    Restoring { seen_off: bool },
    /// The old text was refused, or nobody knows: looked at.
    Looking { cause: String },
    /// A switch was flipped once.
    Flipping(Switch),
    /// It was flipped back, since the first flip found it on already.
    FlippingBack(Switch),
    /// Nobody knows what became of the flip.
    ReadingBack(Switch),
}

impl Healing {
    /// After a refusal that changed nothing in the row but the switch: `after` is what it left.
    pub(super) fn after_refusal(key: &Key, was: Switches, after: &Row) -> (Self, Next) {
        let seen_off = was.lost(after).is_some();
        let mut healing = Self::new(key, was, after, Stage::Restoring { seen_off });
        let next = match form_to_restore(after) {
            Some(form) => Next::Call(Call::Update(key.clone(), Arc::new(form))),
            None => healing.switch_on(after),
        };
        (healing, next)
    }

    /// After an update that the server took.
    pub(super) fn after_update(key: &Key, was: Switches, after: &Row) -> (Self, Next) {
        let mut healing = Self::new(key, was, after, Stage::Restoring { seen_off: false });
        let next = healing.switch_on(after);
        (healing, next)
    }

    fn new(key: &Key, was: Switches, after: &Row, stage: Stage) -> Self {
        Self { key: key.clone(), was, text: after.content.clone(), stage, flips: 0 }
    }

    /// How far it has come.
    #[cfg(test)]
    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    pub(super) fn reply(&mut self, reply: Reply) -> Next {
        match (self.stage.clone(), reply) {
            (_, Reply::Row(row)) if row.content.is_some() && row.content != self.text => Next::Over(Left::AsItWas),
            (Stage::Restoring { .. } | Stage::Looking { .. }, Reply::Row(row)) => self.switch_on(&row),
            // Refusing the old text, it may have switched the function off just now.
            (Stage::Restoring { .. }, reply @ (Reply::Refused { .. } | Reply::Crashed { .. } | Reply::Lost { .. })) => {
                let cause = format!("the server does not take the old text again: {}", cause_of(reply).0);
                self.look(Stage::Looking { cause })
            }
            (Stage::Restoring { seen_off: false }, _) => Next::Over(Left::AsItWas),
            (Stage::Looking { cause }, reply) => {
                let (_, later) = cause_of(reply);
                if self.was.active == Some(true) {
                    Next::Over(Left::Off { cause, later })
                } else {
                    Next::Over(Left::AsItWas)
                }
            }
            // Somebody else had switched it on between our look and our flip.
            (Stage::Flipping(switch), Reply::Row(row)) if self.was.lost(&row) == Some(switch) => {
                self.flip(switch, Stage::FlippingBack(switch))
            }
            (Stage::FlippingBack(switch), Reply::Row(row)) if self.was.lost(&row) == Some(switch) => contested(),
            // What got no answer was not carried out, as it seems, and is done again where it is still off.
            (Stage::ReadingBack(_), Reply::Row(row)) if self.flips >= MOST_FLIPS && self.was.lost(&row).is_some() => {
                let cause = "no answer came".to_owned();
                Next::Over(Left::Off { cause, later: true })
            }
            (Stage::Flipping(_) | Stage::FlippingBack(_) | Stage::ReadingBack(_), Reply::Row(row)) => {
                self.switch_on(&row)
            }
            (Stage::Flipping(switch) | Stage::FlippingBack(switch), Reply::Lost { .. }) => {
                self.look(Stage::ReadingBack(switch))
            }
            (_, reply) => {
                let (cause, later) = cause_of(reply);
                Next::Over(Left::Off { cause, later })
            }
        }
    }

    fn switch_on(&mut self, row: &Row) -> Next {
        match self.was.lost(row) {
            // Somebody else keeps switching it.
            Some(_) if self.flips >= MOST_FLIPS => contested(),
            Some(switch) => self.flip(switch, Stage::Flipping(switch)),
            None if self.flips > 0 => Next::Over(Left::Restored),
            None => Next::Over(Left::AsItWas),
        }
    }

    fn flip(&mut self, switch: Switch, stage: Stage) -> Next {
        self.stage = stage;
        self.flips += 1;
        let id = self.key.id.clone();
        Next::Call(match switch {
            Switch::Active => Call::Toggle(id),
            Switch::Global => Call::ToggleGlobal(id),
        })
    }

    fn look(&mut self, stage: Stage) -> Next {
        self.stage = stage;
        Next::Call(Call::Get(self.key.clone()))
    }
}

fn contested() -> Next {
    let cause = "somebody else switches it at the same moment".to_owned();
    Next::Over(Left::Off { cause, later: false })
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
fn cause_of(reply: Reply) -> (String, bool) {
    match reply {
        Reply::Refused { words } => (words, false),
        Reply::Crashed { words }
        | Reply::NotAllowed { words, .. }
        | Reply::Unclear { words }
        | Reply::Foreign { words, .. } => (words, true),
        Reply::Unreachable { cause, .. } | Reply::Lost { cause } => (cause, true),
        Reply::Absent => ("it was deleted meanwhile".to_owned(), false),
        Reply::Row(_)
        | Reply::Connected { .. }
        | Reply::Rows(_)
        | Reply::Taken
        | Reply::Deleted
        | Reply::Versions(_)
        | Reply::Text(_) => ("the server gave an answer to another question".to_owned(), false),
    }
}
