//! The wire of the simulated world: requests on their way, what befalls them, and their answers.

use std::fmt::Write as _;
use std::time::Duration;

use owui_watch::engine::deploy::{Call, ListedRow, Reply};
use owui_watch::engine::{Event, Ticket};
use owui_watch::plugin::{Digest, Key, Kind};

use super::promises::{self, Broken, CRASH, Heard};
use super::server::Aftermath;
use super::text::Text;
use super::world::{Happening, World, ms};
use crate::support::call_word::CallWord as _;

/// What befalls a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection drops before the server has seen it; or an idle one had been closed.
    Before,
    /// The connection drops before the answer.
    After,
    /// The client gives up, and then the server carries it out.
    Late,
    /// The connection is refused.
    Refuse,
    /// The database is locked.
    Locked,
    /// 429 with `Retry-After`.
    Busy,
    /// 500.
    Crash,
    /// 502 of a proxy, from which nobody knows whether it was carried out.
    Gateway,
    /// A web page.
    Page,
    /// 401 that is about the key.
    Shut,
    /// 403.
    Forbid,
    /// 401 that may be about the key or about the row.
    Unclear,
    /// The row is not found, although it is there.
    Absent,
    /// The list is empty, although there are rows.
    NoList,
    /// The list comes without texts: its longer form is denied.
    NoTexts,
    /// Of some rows of the list only the id can be read.
    Spoiled,
    /// Somebody flips the switch, or writes a text, just before the server comes to it.
    Raced,
    /// It takes its time.
    Slow,
}

pub(super) const FAULTS: [(&str, Fault); 18] = [
    ("before", Fault::Before),
    ("after", Fault::After),
    ("late", Fault::Late),
    ("refuse", Fault::Refuse),
    ("locked", Fault::Locked),
    ("busy", Fault::Busy),
    ("crash", Fault::Crash),
    ("gateway", Fault::Gateway),
    ("page", Fault::Page),
    ("shut", Fault::Shut),
    ("forbid", Fault::Forbid),
    ("unclear", Fault::Unclear),
    ("absent", Fault::Absent),
    ("no-list", Fault::NoList),
    ("no-texts", Fault::NoTexts),
    ("spoiled", Fault::Spoiled),
    ("raced", Fault::Raced),
    ("slow", Fault::Slow),
];

/// A request on its way.
pub(super) struct Flight {
    pub(super) generation: u32,
    pub(super) ticket: Ticket,
    pub(super) call: Call,
    pub(super) fault: Option<Fault>,
    pub(super) reply: Option<Reply>,
    /// When it was asked.
    pub(super) asked: Duration,
    /// When the server came to it.
    pub(super) served: Duration,
    /// The look at the whole server that it is part of, or begins.
    pub(super) look: Option<u64>,
    /// When it was asked, if that was ahead of a conversation.
    pub(super) ahead: Option<Duration>,
    /// Who asked switches on what is new.
    activates: bool,
}

impl World {
    pub(super) fn issue(&mut self, ticket: Ticket, call: Call) -> Result<(), Broken> {
        trace!(self, "      -> {}", say(&call));
        promises::on_call(self, &call)?;
        let word = call.word();
        // A conversation may ask for a list as well.
        let waits = self.daemon.as_ref().is_some_and(|daemon| daemon.is_scanning);
        let looks = self.looks && !waits && matches!(call, Call::Overview(_));
        self.lists_asked |= looks;
        let is_connect = call == Call::Connect;
        self.look += u64::from(is_connect);
        let restores = matches!(&call, Call::Update(_, form) if form.file.is_none());
        let is_meant = |wanted: &str| wanted == "any" || wanted == word || (restores && wanted == "restore");
        let fault = self.faults.iter().position(|(wanted, _)| is_meant(wanted));
        let fault = fault.map(|index| self.faults.remove(index).1);
        let mut pause = ms(1 + self.luck(word, 20));
        if self.luck(word, 10) == 0 {
            pause += ms(self.luck(word, 2000));
        }
        if fault == Some(Fault::Slow) {
            pause += ms(2000 + self.luck(word, 6000));
        }
        self.n_flights += 1;
        let id = self.n_flights;
        let mut at = self.now + pause;
        if fault == Some(Fault::Late) {
            // It is given up before the server comes to it.
            self.after(pause, Happening::Answer(id));
            at += ms(10 + self.luck(word, 1000));
        }
        // What is asked about one row is done in the order in which it was asked.
        if let Some(key) = key_in(&call) {
            let lane = self.lanes.entry(key).or_default();
            at = at.max(*lane + ms(1));
            *lane = at;
        }
        let flight = Flight {
            generation: self.generation,
            ticket,
            call,
            fault,
            reply: None,
            asked: self.now,
            served: Duration::ZERO,
            look: (looks || is_connect).then_some(self.look),
            ahead: self.asks_ahead.then_some(self.now),
            activates: self.setup.policy.deploy.activate_new,
        };
        self.flights.insert(id, flight);
        self.after(at.saturating_sub(self.now), Happening::Serve(id));
        Ok(())
    }

    /// The requests of the running daemon that are about rows: the whole of its conversations, but for other lists.
    pub(super) fn flying(&self) -> impl Iterator<Item = Key> {
        self.live().filter_map(|flight| key_in(&flight.call))
    }

    /// The requests of the running daemon, apart from what is done beside its conversations.
    pub(super) fn live(&self) -> impl Iterator<Item = &Flight> {
        let live = self.flights.values().filter(|flight| flight.generation == self.generation);
        live.filter(|flight| !matches!(flight.call, Call::Prune(..)))
    }

    /// The server comes to a request.
    pub(super) fn serve(&mut self, id: u64) {
        let Some(flight) = self.flights.get(&id) else { return };
        if flight.reply.is_some() && flight.fault != Some(Fault::Late) {
            return;
        }
        let (call, fault) = (flight.call.clone(), flight.fault);
        // A dead daemon's request is somebody else's by now.
        if flight.generation != self.generation
            && let Some(key) = key_in(&call).filter(|_| !matches!(call, Call::Get(_)))
        {
            self.promises.touched.insert(key, self.now);
        }
        let (dead, activates) = (flight.generation != self.generation, flight.activates);
        let (reply, aftermath) = self.answer(&call, fault);
        // Other settings hold by now than those by which a dead one has asked.
        if activates != self.setup.policy.deploy.activate_new
            && let Some(held) = key_in(&call).and_then(|key| self.server.rows.get_mut(&key))
            && !held.active
        {
            held.wanted_active = None;
        }
        // What a dead one was about to switch on for the first time, when somebody else did, nobody flips back.
        if let (true, true, Call::Toggle(_)) = (dead, self.setup.policy.deploy.activate_new, &call)
            && let Some(held) = key_in(&call).and_then(|key| self.server.rows.get_mut(&key))
        {
            held.wanted_active = None;
        }
        let pause = ms(self.luck(call.word(), 10));
        let (now, late) = (self.now, fault == Some(Fault::Late));
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.served = now;
            // What was given up is over now.
            if late && flight.reply.is_some() {
                self.flights.remove(&id);
            } else {
                flight.reply = Some(reply);
                self.after(pause, Happening::Answer(id));
            }
        }
        if aftermath == Aftermath::Ends {
            let pause = ms(500 + self.luck("end", 5000));
            self.go_down(pause);
        }
    }

    fn answer(&mut self, call: &Call, fault: Option<Fault>) -> (Reply, Aftermath) {
        self.server.is_off = self.now < self.off_until && self.server.can_be_off();
        if self.now < self.down_until {
            return (unreachable("connection refused"), Aftermath::Fine);
        }
        if self.now < self.page_until {
            return (page(), Aftermath::Fine);
        }
        if self.now < self.fail_until {
            return (crashed(), Aftermath::Fine);
        }
        if !self.key_good && *call != Call::Connect {
            return (shut(), Aftermath::Fine);
        }
        if let Some(reply) = fault.and_then(|fault| self.befall(call, fault)) {
            return (reply, Aftermath::Fine);
        }
        if let Call::Create(key, form) | Call::Update(key, form) = call
            && self.server.is_off
            && (!self.server.versioned || self.promises.version.as_deref() != Some(self.server.version))
        {
            // Its words are those of a refusal, or the daemon does not know that this version says more if asked.
            self.promises.doubt(key, Digest::of_text(&form.content), self.now);
        }
        let (mut reply, aftermath) = self.server.answer(call);
        if let Reply::Rows(rows) = &mut reply {
            self.spoil(rows, fault);
        }
        // A full disk has kept the note of an update of a row that is gone: the next start may go by it.
        if let Call::Create(key, _) = call
            && self.state.intents.get(key).is_some_and(|intent| intent.replaced.is_some())
            && let Some(held) = self.server.rows.get_mut(key)
        {
            held.wanted_active = None;
        }
        trace!(self, "         {} is done", call.word());
        match fault {
            Some(Fault::After | Fault::Late | Fault::Gateway) => (lost("no answer"), aftermath),
            _ => (reply, aftermath),
        }
    }

    /// What is missing in a list.
    fn spoil(&mut self, rows: &mut [ListedRow], fault: Option<Fault>) {
        for row in rows {
            match fault {
                Some(Fault::NoTexts) => row.digest = None,
                Some(Fault::Spoiled) if self.luck("spoiled", 2) == 0 => {
                    *row = ListedRow::bare(row.id.clone());
                }
                _ => {}
            }
        }
    }

    /// What comes of a request that is not carried out.
    fn befall(&mut self, call: &Call, fault: Fault) -> Option<Reply> {
        let changes = !matches!(call, Call::Connect | Call::Overview(_) | Call::Get(_));
        match fault {
            Fault::Before => Some(lost("the connection was closed")),
            Fault::Refuse => Some(unreachable("connection refused")),
            Fault::Locked => changes.then(|| {
                if let Call::Update(key, form) = call {
                    self.server.run(key, Text::of(&form.content).unwrap());
                }
                Reply::Stumbled { cause: "the server's database is locked".to_owned() }
            }),
            Fault::Busy => Some(Reply::Unreachable {
                cause: "429 Too Many Requests".into(),
                retry_after: Some(ms(1000 + self.luck("busy", 90_000))),
            }),
            Fault::Crash => {
                // The old text is not taken again, and nothing can be done about that.
                if let Call::Update(key, form) = call
                    && form.file.is_none()
                {
                    self.server.run(key, Text::of(&form.content).unwrap());
                }
                Some(crashed())
            }
            Fault::Gateway if !changes => Some(unreachable("502 Bad Gateway")),
            Fault::Gateway => (self.luck("gateway", 2) == 0).then(|| lost("502 Bad Gateway")),
            Fault::Page => Some(page()),
            Fault::Shut => Some(shut()),
            Fault::Forbid => Some(Reply::NotAllowed { status: 403, words: "403 Forbidden".to_owned() }),
            Fault::Unclear => {
                if matches!(call, Call::Get(_)) {
                    self.lie(call);
                }
                let of_row = key_in(call).is_some() && !matches!(call, Call::Create(..));
                of_row.then(|| Reply::Unclear { words: "Nothing here".to_owned() })
            }
            Fault::Absent => matches!(call, Call::Get(_)).then(|| {
                self.lie(call);
                Reply::Absent
            }),
            Fault::NoList => matches!(call, Call::Overview(_)).then(|| Reply::Rows(Vec::new())),
            Fault::Raced => {
                self.race(call);
                None
            }
            Fault::NoTexts | Fault::Spoiled | Fault::After | Fault::Late | Fault::Slow => None,
        }
    }

    pub(super) fn deliver(&mut self, id: u64) -> Result<(), Broken> {
        let Some(flight) = self.flights.get_mut(&id) else { return Ok(()) };
        let given_up = flight.fault == Some(Fault::Late) && flight.reply.is_none();
        let reply = flight.reply.get_or_insert_with(|| lost("timed out")).clone();
        let (generation, ticket, call) = (flight.generation, flight.ticket, flight.call.clone());
        let heard = Heard {
            asked: flight.asked,
            served: flight.served,
            looks: flight.look == Some(self.look),
            ahead: flight.ahead,
        };
        if given_up {
            // The server comes to it all the same, but nobody waits for it.
            flight.generation = 0;
        } else {
            self.flights.remove(&id);
        }
        if generation != self.generation || self.daemon.is_none() {
            return Ok(());
        }
        trace!(self, "      <- {} {}", call.word(), say_reply(&reply));
        if matches!(reply, Reply::NotAllowed { .. } | Reply::Unclear { .. }) {
            self.needs_rescan = true;
        }
        promises::on_reply(self, &call, &reply, heard);
        self.looks |= matches!(reply, Reply::Connected { .. });
        self.turn(vec![Event::Replied(ticket, reply)])
    }
}

fn unreachable(cause: &str) -> Reply {
    Reply::Unreachable { cause: cause.into(), retry_after: None }
}

fn page() -> Reply {
    Reply::Foreign { status: 200, words: "a web page".to_owned() }
}

pub(super) fn crashed() -> Reply {
    Reply::Crashed { words: CRASH.to_owned(), too_large: false }
}

fn shut() -> Reply {
    Reply::NotAllowed { status: 401, words: "401 Unauthorized".to_owned() }
}

pub(super) fn lost(cause: &str) -> Reply {
    Reply::Lost { cause: cause.to_owned() }
}

/// The row that a call is about.
pub(super) fn key_in(call: &Call) -> Option<Key> {
    match call {
        Call::Connect | Call::Overview(_) | Call::Attached => None,
        Call::Get(key)
        | Call::Create(key, _)
        | Call::Update(key, _)
        | Call::Delete(key)
        | Call::Versions(key)
        | Call::Version(key, _)
        | Call::Prune(key, _) => Some(key.clone()),
        Call::Toggle(id) | Call::ToggleGlobal(id) => Some(Key { kind: Kind::Function, id: id.clone() }),
    }
}

fn say(call: &Call) -> String {
    let word = call.word();
    match (call, key_in(call)) {
        (Call::Create(_, form) | Call::Update(_, form), Some(key)) => {
            let text = Text::of(&form.content).map(|text| text.to_string()).unwrap_or_default();
            let back = if form.file.is_some() { "" } else { " (not from a file)" };
            format!("{word} {} {text}{back}", key.id)
        }
        (Call::Overview(kind), _) => format!("{word} of {}s", kind.word()),
        (_, Some(key)) => format!("{word} {}", key.id),
        (_, None) => word.to_owned(),
    }
}

fn say_reply(reply: &Reply) -> String {
    match reply {
        Reply::Row(row) => {
            let text = row.content.as_deref().and_then(Text::of).map(|text| text.to_string()).unwrap_or_default();
            format!("row {text}{}", if row.is_active == Some(true) { " on" } else { "" })
        }
        Reply::Rows(rows) => {
            let known =
                |row: &ListedRow| format!("{}{}", row.id, if row.digest.is_some() { "" } else { " without text" });
            format!("rows {}", rows.iter().map(known).collect::<Vec<_>>().join(", "))
        }
        other => {
            let debug = format!("{other:?}");
            debug.split_once(' ').map_or(debug.clone(), |(word, _)| word.to_lowercase())
        }
    }
}
