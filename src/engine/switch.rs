//! Sets a switch of a function: on or off, global or not. The server can only flip a switch, so it is read before and
//! after every flip: somebody else may flip it at the same moment.

use serde::{Deserialize, Serialize};

use crate::engine::call::{Call, CallFailure, Reply, Row};
use crate::engine::step;
use crate::plugin::id::PluginId;
use crate::plugin::{Entry, Key, Kind};

/// The cause that is told where somebody else flips a switch at the same moment.
pub const CONTESTED: &str = "somebody else switches it at the same moment";

/// The most flips of one conversation: there and back, and each again if no answer came.
pub(super) const MOST_FLIPS: u8 = 4;

/// A switch of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// On or off.
    Active,
    /// For all models, or only for those that it is attached to.
    Global,
}

impl Switch {
    /// How the switch of this row stands, if the server shows it.
    #[must_use]
    pub fn of(self, row: &Row) -> Option<bool> {
        match self {
            Switch::Active => row.is_active,
            Switch::Global => row.is_global,
        }
    }

    fn flip(self, id: PluginId) -> Call {
        match self {
            Switch::Active => Call::Toggle(id),
            Switch::Global => Call::ToggleGlobal(id),
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The switch is as wanted.
    AsWanted {
        /// The function as the server has it now.
        row: Box<Row>,
        /// Whether we flipped it.
        flipped: bool,
    },
    /// There is no such function.
    Absent,
    /// It cannot be global, since it is not attached to models. The server would flip the switch anyway.
    NotGlobal,
    /// Somebody else flips it at the same moment.
    Contested,
    /// A call failed.
    Failed(CallFailure),
}

type Step = step::Step<Outcome>;

/// A switch that is being set.
#[derive(Clone, Debug)]
pub struct Switching {
    id: PluginId,
    switch: Switch,
    wanted: bool,
    flips: u8,
    /// A flip was sent, and its answer is next.
    is_flipping: bool,
    /// Why the last flip got no answer.
    lost: Option<String>,
}

impl Switching {
    /// Begins by reading the switch.
    pub fn start(id: PluginId, switch: Switch, wanted: bool) -> (Self, Step) {
        let switching = Self { id, switch, wanted, flips: 0, is_flipping: false, lost: None };
        let step = switching.read();
        (switching, step)
    }

    /// Takes the reply to the last call.
    pub fn reply(&mut self, reply: Reply) -> Step {
        let was_flipping = std::mem::take(&mut self.is_flipping);
        match reply {
            Reply::Row(row) => self.on_row(row, was_flipping),
            Reply::Absent => Step::Done(Outcome::Absent),
            // It may have been carried out.
            Reply::Lost { cause } if was_flipping => {
                self.lost = Some(cause);
                self.read()
            }
            reply => Step::Done(Outcome::Failed(reply.into_failure())),
        }
    }

    fn on_row(&mut self, row: Box<Row>, was_flipping: bool) -> Step {
        let is_attached = row.entry.is_none_or(Entry::is_attached);
        match self.switch.of(&row) {
            _ if self.switch == Switch::Global && self.wanted && !is_attached => Step::Done(Outcome::NotGlobal),
            Some(is) if is == self.wanted => Step::Done(Outcome::AsWanted { row, flipped: self.flips > 0 }),
            Some(_) if self.flips < MOST_FLIPS => {
                if was_flipping {
                    self.lost = None;
                }
                self.flips += 1;
                self.is_flipping = true;
                Step::Call(self.switch.flip(self.id.clone()))
            }
            Some(_) => Step::Done(match self.lost.take() {
                Some(words) => Outcome::Failed(CallFailure::Unreachable { cause: words.into(), retry_after: None }),
                None => Outcome::Contested,
            }),
            None => {
                let words = "the server does not say how the switch stands".to_owned();
                Step::Done(Outcome::Failed(CallFailure::Odd { words }))
            }
        }
    }

    fn read(&self) -> Step {
        Step::Call(Call::Get(Key { kind: Kind::Function, id: self.id.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn row(switch: Switch, is: Option<bool>) -> Reply {
        let (is_active, is_global) = if switch == Switch::Active { (is, None) } else { (Some(false), is) };
        Reply::Row(Box::new(Row {
            id: "a".to_owned(),
            name: String::new(),
            content: None,
            meta: Map::new(),
            is_active,
            is_global,
            entry: None,
            access_control: None,
            versioned: true,
            version_id: None,
        }))
    }

    /// The calls and the outcome, for these answers of the server: `on`, `off`, `lost`, …
    #[track_caller]
    fn check(switch: Switch, wanted: bool, answers: &[&str], expected: &str) {
        let (mut switching, mut step) = Switching::start(PluginId::new("a").unwrap(), switch, wanted);
        let mut answers = answers.iter();
        let mut said = Vec::new();
        let outcome = loop {
            step = match step {
                Step::Call(call) => {
                    said.push(match call {
                        Call::Get(_) => "get",
                        Call::Toggle(_) => "toggle",
                        Call::ToggleGlobal(_) => "toggle global",
                        other => panic!("{other:?}"),
                    });
                    switching.reply(match *answers.next().expect("another answer") {
                        "on" => row(switch, Some(true)),
                        "off" => row(switch, Some(false)),
                        "hidden" => row(switch, None),
                        "pipe" => match row(switch, Some(false)) {
                            Reply::Row(row) => Reply::Row(Box::new(Row { entry: Some(Entry::Pipe), ..*row })),
                            other => other,
                        },
                        "lost" => Reply::Lost { cause: "a reset".to_owned() },
                        "absent" => Reply::Absent,
                        "denied" => Reply::NotAllowed { status: 403, words: "no".to_owned() },
                        other => panic!("{other}"),
                    })
                }
                Step::Done(outcome) => break outcome,
                step => panic!("{step:?}"),
            };
        };
        assert_eq!(answers.next(), None, "asked for fewer");
        let ended = match outcome {
            Outcome::AsWanted { flipped, .. } => if flipped { "flipped" } else { "as it was" }.to_owned(),
            Outcome::Absent => "absent".to_owned(),
            Outcome::NotGlobal => "not global".to_owned(),
            Outcome::Contested => "contested".to_owned(),
            Outcome::Failed(CallFailure::Unreachable { cause, .. }) => format!("unreachable: {cause}"),
            Outcome::Failed(CallFailure::NotAllowed { .. }) => "denied".to_owned(),
            Outcome::Failed(failure) => format!("{failure:?}"),
        };
        assert_eq!(format!("{}: {ended}", said.join(" ")), expected);
    }

    #[test]
    fn a_switch_is_read_before_and_after_each_flip() {
        use Switch::{Active, Global};
        check(Active, true, &["on"], "get: as it was");
        check(Active, true, &["off", "on"], "get toggle: flipped");
        check(Active, false, &["on", "off"], "get toggle: flipped");
        check(Global, true, &["off", "on"], "get toggle global: flipped");
        check(Global, false, &["off"], "get: as it was");
        // Somebody else was faster, so ours undid it.
        check(Active, true, &["off", "off", "on"], "get toggle toggle: flipped");
        check(Active, true, &["off", "off", "off", "off", "off"], "get toggle toggle toggle toggle: contested");
        // An answer that is lost says nothing: the switch is read.
        check(Active, true, &["off", "lost", "on"], "get toggle get: flipped");
        check(Global, true, &["off", "lost", "off", "on"], "get toggle global get toggle global: flipped");
        check(
            Active,
            true,
            &["off", "lost", "off", "lost", "off", "lost", "off", "lost", "off"],
            "get toggle get toggle get toggle get toggle get: unreachable: a reset",
        );
        check(Active, true, &["absent"], "get: absent");
        check(Active, true, &["off", "absent"], "get toggle: absent");
        check(Active, true, &["denied"], "get: denied");
        check(Active, true, &["lost"], "get: unreachable: a reset");
        check(Global, true, &["pipe"], "get: not global");
        check(Global, false, &["pipe"], "get: as it was");
        check(Active, true, &["pipe", "on"], "get toggle: flipped");
        check(Global, true, &["hidden"], "get: Odd { words: \"the server does not say how the switch stands\" }");
    }
}
