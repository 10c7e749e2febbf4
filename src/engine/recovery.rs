//! Making good, at the next start or when the server is back, an update of which nobody knows how it ended: the program or
//! the server went away between the update and its answer. Before 0.12 the server may have refused it and switched the
//! function off.

use crate::engine::exchange::{Call, Failure, Left, Outcome, Reply, Row, Step};
use crate::engine::healing::{Healing, Next, Switches};
use crate::engine::ledger::UnderWay;
use crate::plugin::{Digest, Key};

/// The conversation about it.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    key: Key,
    under_way: UnderWay,
    healing: Option<Healing>,
}

impl Recovery {
    /// Begins by asking what the server holds.
    pub(super) fn start(key: Key, under_way: UnderWay) -> (Self, Step) {
        let ask = Step::Call(Call::Get(key.clone()));
        (Self { key, under_way, healing: None }, ask)
    }

    /// Takes the reply to the last call.
    pub(super) fn reply(&mut self, reply: Reply) -> Step {
        if let Some(healing) = &mut self.healing {
            return follow(healing.reply(reply));
        }
        match reply {
            Reply::Row(row) => self.on_found(&row),
            // Nothing is there that could be dark.
            Reply::Absent | Reply::Taken => done(Left::AsItWas),
            Reply::Unreachable { cause, retry_after } => failed(Failure::Unreachable { cause, retry_after }),
            Reply::Lost { cause } | Reply::Crashed { words: cause } => {
                failed(Failure::Unreachable { cause, retry_after: None })
            }
            Reply::NotAllowed { status, words } => failed(Failure::NotAllowed { status, words }),
            Reply::Foreign { status, words } => failed(Failure::Foreign { status, words }),
            Reply::Unclear { words } | Reply::Refused { words } => failed(Failure::NotOurs { words }),
            Reply::Connected { .. } | Reply::Rows(_) | Reply::Deleted | Reply::Versions(_) | Reply::Text(_) => {
                failed(Failure::Odd { words: "an answer to another question than the one asked".to_owned() })
            }
        }
    }

    fn on_found(&mut self, row: &Row) -> Step {
        let was = Switches { active: self.under_way.was_active, global: self.under_way.was_global };
        let held = row.content.as_deref().map(Digest::of_text);
        let (healing, next) = if held == Some(self.under_way.replaced) {
            Healing::after_refusal(&self.key, was, row)
        } else if held == Some(self.under_way.sent) {
            Healing::after_update(&self.key, was, row)
        } else {
            // Somebody else has been there since, and knows how it is to be.
            return done(Left::AsItWas);
        };
        self.healing = Some(healing);
        follow(next)
    }
}

fn follow(next: Next) -> Step {
    match next {
        Next::Call(call) => Step::Call(call),
        Next::Over(left) => done(left),
    }
}

fn done(left: Left) -> Step {
    Step::Done(Outcome::Recovered { left })
}

fn failed(failure: Failure) -> Step {
    Step::Done(Outcome::Failed(failure))
}
