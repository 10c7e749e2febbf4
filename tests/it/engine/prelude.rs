//! The openings that scripts share. A prelude plays its events without logging them; then the open requests are numbered
//! from 1. Each of its steps takes a millisecond.
//!
//! - `given a=v1 b=v1`: a first pass over a disk and a server that hold this.
//! - `given new a=v1`: a first pass that finds this on the disk and nothing on the server.
//! - `given start a=v1`: a pass over the disk as it is; the server lists this.
//! - `given created a=v1 b=v1`: as `new`, and all of it is created.
//! - `given sent a v2`: `a` is saved, and its text is on its way. Without `v2`: the deploy in flight is continued to there.
//! - `given deployed a v2`, `given refused a v2` (or `refused a v2: WORDS`), `given crashed a v2`, `given lost a v2`: as
//!   `sent`, with this answer. After it the old text is read back, but not after `lost`: the server cannot be reached then.
//! - `given off a`: the switch of the new `a` fails twice, the second time half a second later; `activate_new` is set.
//! - `given away a v2`: `a` is saved, and the server cannot be reached.
//! - `given gone a`: the file is deleted and stays away for as long as a removal waits.
//!
//! `given`, `new` and `start` take the server's version as their first word. Before 0.12 it has no versions of plugins, and
//! switches a function off when it refuses a text: `refused` ends before the answer to the call that switches it on.

use std::time::Duration;

use owui_watch::engine::Event;
use owui_watch::engine::deploy::{Call, Reply, Row};
use owui_watch::plugin::Key;

use super::{MILLISECOND, Script, key, old_row, row, version};

/// What a script has to answer.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Call(Call),
    Backup(Key),
    Intent(Key),
    Trial,
}

impl Request {
    fn is_about(&self, about: &Key) -> bool {
        match self {
            Request::Call(
                Call::Get(key) | Call::Create(key, _) | Call::Update(key, _) | Call::Delete(key) | Call::Versions(key),
            )
            | Request::Backup(key)
            | Request::Intent(key) => key == about,
            Request::Call(Call::Toggle(id)) => *id == about.id,
            Request::Call(_) | Request::Trial => false,
        }
    }
}

impl Script {
    /// Plays a prelude.
    #[track_caller]
    pub(super) fn given(&mut self, words: &[&str]) {
        match words {
            ["new", rows @ ..] => self.new_files(rows),
            ["start", rows @ ..] => self.start(rows),
            ["created", rows @ ..] => {
                self.new_files(rows);
                while let Some((number, Request::Call(Call::Create(key, _)))) = self.open_request(|_| true) {
                    self.step(&format!("#{number} created {}", key.id));
                }
            }
            ["sent", id, text @ ..] => drop(self.sent(id, text)),
            ["deployed", id, text @ ..] => {
                let (number, call) = self.sent(id, text);
                match &call {
                    Call::Create(..) => self.step(&format!("#{number} created {id}")),
                    call => self.answer(number, Reply::Row(Box::new(self.row(id, version(sent_text(call)), "on")))),
                }
                self.server.insert((*id).to_owned(), version(sent_text(&call)).to_owned());
            }
            ["refused", rest @ ..] => {
                let rest = rest.join(" ");
                let (save, words) = rest.split_once(": ").unwrap_or((&rest, "boom"));
                let (id, text) = save.split_once(' ').map_or((save, None), |(id, text)| (id, Some(text)));
                let (number, call) = self.sent(id, text.as_slice());
                self.step(&format!("#{number} refused {words}"));
                if self.is_old {
                    for _ in ["the old text is read", "and sent again"] {
                        let (number, _) = self.request_about(id);
                        let row = self.row(id, &self.server[id], "off");
                        self.answer(number, Reply::Row(Box::new(row)));
                    }
                } else if matches!(call, Call::Create(..)) {
                    let (number, _) = self.request_about(id);
                    self.answer(number, Reply::Absent);
                }
            }
            ["crashed", id, text @ ..] => {
                let (number, _) = self.sent(id, text);
                self.step(&format!("#{number} crashed"));
                self.read(id);
            }
            ["lost", id, text @ ..] => {
                let (number, _) = self.sent(id, text);
                self.step(&format!("#{number} lost"));
                let (number, _) = self.request_about(id);
                self.step(&format!("#{number} unreachable"));
            }
            ["off", id] => {
                let (number, _) = self.request_about(id);
                self.step(&format!("#{number} crashed"));
                self.world.at += Duration::from_millis(500);
                self.step("wake");
                let (number, _) = self.request_about(id);
                let row = self.row(id, &self.server[*id], "off");
                self.answer(number, Reply::Row(Box::new(row)));
                let (number, _) = self.request_about(id);
                self.step(&format!("#{number} crashed"));
            }
            ["away", id, text @ ..] => {
                self.save(id, text);
                let (number, _) = self.request_about(id);
                self.step(&format!("#{number} unreachable"));
            }
            ["gone", name] => {
                let deleted = self.world.at;
                self.step(&format!("delete {name}"));
                for wait in [350, 30_350] {
                    self.world.at = deleted + Duration::from_millis(wait);
                    self.step("wake");
                }
            }
            rows => {
                self.on_disk(rows);
                self.start(rows);
            }
        }
        self.forget();
    }

    fn answer(&mut self, number: usize, reply: Reply) {
        let event = Event::Replied(self.world.take_request(number).0, reply);
        self.turn(vec![event]);
        self.world.at += MILLISECOND;
    }

    fn on_disk(&mut self, rows: &[&str]) {
        for (name, version) in rows.iter().filter_map(|row| row.split_once('=')) {
            self.world.edit(name, &[version]);
        }
    }

    fn new_files(&mut self, rows: &[&str]) {
        self.on_disk(rows);
        let server: Vec<_> = rows.iter().filter(|row| !row.contains('=')).copied().collect();
        self.start(&server);
    }

    fn start(&mut self, rows: &[&str]) {
        self.is_old = rows.first().is_some_and(|version| !version.contains('=') && !version.starts_with("0.12."));
        self.server.extend(rows.iter().filter_map(|row| {
            let (id, version) = row.split_once('=')?;
            Some((id.to_owned(), version.to_owned()))
        }));
        self.probe("rescan", rows);
    }

    fn save(&mut self, id: &str, text: &[&str]) {
        if let [version] = text {
            self.step(&format!("write {id} {version}"));
        }
    }

    /// Brings a text on its way. Answers the number of the call.
    #[track_caller]
    fn sent(&mut self, id: &str, text: &[&str]) -> (usize, Call) {
        self.save(id, text);
        loop {
            match self.request_about(id) {
                (number, Request::Call(call @ (Call::Create(..) | Call::Update(..)))) => return (number, call),
                (number, Request::Intent(_) | Request::Backup(_)) => self.step(&format!("#{number} saved")),
                _ => self.read(id),
            }
        }
    }

    /// The server answers what it holds.
    #[track_caller]
    fn read(&mut self, id: &str) {
        let (number, request) = self.request_about(id);
        assert!(matches!(request, Request::Call(Call::Get(_))), "{request:?}");
        let row = self.server.get(id).map(|version| self.row(id, version, "on"));
        self.answer(number, row.map_or(Reply::Absent, |row| Reply::Row(Box::new(row))));
    }

    fn row(&self, id: &str, version: &str, switch: &str) -> Row {
        let row = if self.is_old { old_row(id, version) } else { row(id, version) };
        Row { is_active: Some(switch == "on"), ..row }
    }

    #[track_caller]
    fn request_about(&self, id: &str) -> (usize, Request) {
        let about = key(id);
        let request = self.open_request(|request| request.is_about(&about));
        request.unwrap_or_else(|| panic!("nothing is asked about {id}:\n{}", self.log()))
    }

    fn open_request(&self, is_meant: impl Fn(&Request) -> bool) -> Option<(usize, Request)> {
        let mut requests = (1..).zip(&self.world.requests);
        let (number, (_, request)) = requests.find(|(_, (_, request))| request.as_ref().is_some_and(&is_meant))?;
        Some((number, request.clone()?))
    }
}

fn sent_text(call: &Call) -> &str {
    match call {
        Call::Create(_, form) | Call::Update(_, form) => &form.content,
        call => panic!("{call:?}"),
    }
}
