//! Making good, at the next start or when the server is back, an update of which nobody knows how it ended: the program or
//! the server went away between the update and its answer. Before 0.12 the server may have refused it and switched the
//! function off.

use crate::engine::deploy::{Aftermath, Call, Failure, Outcome, Reply, Row, Step};
use crate::engine::ledger::UpdateIntent;
use crate::engine::repair::{Next, Repair};
use crate::plugin::{Digest, Key};

/// The conversation about it.
#[derive(Clone, Debug)]
pub struct Recovery {
    key: Key,
    under_way: UpdateIntent,
    /// The digest of the server's text.
    holds: Option<Digest>,
    stage: Stage,
}

/// What the next reply answers.
#[derive(Clone, Debug)]
enum Stage {
    /// What does the server hold?
    Asked,
    /// We were turned away: is it this plugin, or the key?
    Doubted { words: String },
    /// It is being made good.
    Repair(Repair),
}

impl Recovery {
    /// Begins by asking what the server holds. Ends with [`Outcome::Recovered`] or [`Outcome::Failed`].
    pub fn start(key: Key, under_way: UpdateIntent) -> (Self, Step) {
        let ask = Step::Call(Call::Get(key.clone()));
        (Self { key, under_way, holds: None, stage: Stage::Asked }, ask)
    }

    /// Takes the reply to the last call.
    pub fn reply(&mut self, reply: Reply) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), reply) {
            (Stage::Repair(mut healing), reply) => {
                let next = healing.reply(reply);
                self.follow(healing, next)
            }
            (Stage::Asked, Reply::Row(row)) => self.on_found(&row),
            // Nothing is there that could be dark.
            (Stage::Asked, Reply::Absent) => done(Aftermath::AsItWas, None),
            (Stage::Asked, Reply::Unclear { words }) => {
                self.stage = Stage::Doubted { words };
                Step::Call(Call::Overview(self.key.kind))
            }
            // It is not there, or not ours to touch.
            (Stage::Doubted { .. }, Reply::Rows(rows)) if rows.iter().all(|row| row.id != self.key.id.as_str()) => {
                done(Aftermath::AsItWas, None)
            }
            (Stage::Doubted { words }, Reply::Rows(_)) => Step::Done(Outcome::Failed(Failure::NotOurs { words })),
            (Stage::Doubted { words }, Reply::Unclear { .. }) => {
                Step::Done(Outcome::Failed(Failure::NotAllowed { status: 401, words }))
            }
            (Stage::Asked | Stage::Doubted { .. }, reply) => Step::Done(Outcome::Failed(reply.into_failure())),
        }
    }

    fn on_found(&mut self, row: &Row) -> Step {
        let (replaced, holds) = (self.under_way.replaced, row.digest());
        let (healing, next) = match holds {
            Some(_) if holds == replaced => Repair::start(&self.key, self.under_way.was_active, row, true),
            Some(text) if self.under_way.switches_on(text) => Repair::switch_on_new(&self.key, text, row),
            // The server took the update after all; or somebody else has been there since, and knows how it is to be.
            _ => return done(Aftermath::AsItWas, holds),
        };
        self.holds = holds;
        self.follow(healing, next)
    }

    fn follow(&mut self, healing: Repair, next: Next) -> Step {
        match next {
            Next::Call(call) => {
                self.stage = Stage::Repair(healing);
                Step::Call(call)
            }
            Next::Over(left) => done(left, self.holds),
        }
    }
}

fn done(left: Aftermath, holds: Option<Digest>) -> Step {
    Step::Done(Outcome::Recovered { left, holds })
}
