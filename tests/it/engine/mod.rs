//! Whole schedules against driver and engine: timed lines in, effects out. No runtime, no sleeping, no disk, no server.
//!
//! A script's lines are `<time> <event> …`:
//!
//! - `write a v1` puts a filter with this version at `a.py`, and its writer is done; `write a as b v1` gives it an id. Other
//!   texts: `empty`, `nameless` (its file names it), `broken`, `harmful` (two errors and a warning), `mistaken` and
//!   `unawaited` (with an error of `check`, the second since 0.9), `other` (no plugin), `unsettled` (changes while it is
//!   read), `half` (complete only if an event says so), `unreadable`, and `folder` (an unreadable folder).
//! - `delete a` removes the file. `edit a v1` and `remove a` change the disk without an event, as before a rescan.
//! - `saving a` begins a save; with `changing a` its writer is known to be at work.
//! - `walking`: new folders are being walked; `walked a b`: these files are in them.
//! - `settings change`, `settings stay`: nothing new starts in between.
//! - `root gone`, `root back`: the watched folder. `disk hangs`: no scan ends until `disk answers`.
//! - `rolling-back a v2 v1`, `rolled-back a v2 v1`, `pulled a v1`, `no-rollback a`: another process, known from the next
//!   event on. `deleted a`: it deleted the plugin on the server; `deleted a earlier`: with another text than the newest.
//! - `rescan`, `wake`, `hang up`, `stop`, `replace`.
//! - `rescan: a=v1` and `wake: a=v1`, or `nothing`: the same, and the server answers the probe that follows with this list.
//!   The probe takes 2 ms and has no numbers. `rescan: 0.9.6 a=v1` names the server's version.
//! - `#3 row a v1`, `#3 rows a=v1 b=v2`, `#3 connected`, `#3 absent`, `#3 refused WORDS`, … answer the request with that
//!   number. `#3 saved`: the backup or the intent is on disk; `#3 not-saved`: the disk is full. `#3 works`, `#3 fails`,
//!   `#3 off`, `#3 unable`, `#3 away`: the end of a trial.
//!
//! - `given …` is an opening that many scripts share, see [`prelude`]. It and the lines before it are not logged.
//!
//! Other scans, reads and the ledger take no time.
//!
//! Long because it has every word of the language.

mod blocked;
mod crashes;
mod duplicate;
mod ending;
mod files;
mod keys;
mod lost_answers;
mod outages;
mod passes;
mod prefetch;
mod prelude;
mod refusals;
mod remote_edits;
mod removals;
mod repair;
mod requests;
mod rollbacks;
mod saves;
pub(crate) mod trials;
mod unused;
mod versions;

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use expect_test::Expect;
use owui_watch::driver::{Driver, LedgerWritten, World, Write};
use owui_watch::engine::deploy::{Attached, Call, DeployPolicy, OnRemoteEdit, Reply, Row};
use owui_watch::engine::files::{FilePresence, Loaded};
use owui_watch::engine::ledger::{Ledger, RefusalKind, Rollback, SavedState};
use owui_watch::engine::{Event, Now, Policy, Scan, Ticket};
use owui_watch::notice::{Commands, Notice, NoticeKind, Subject};
use owui_watch::plugin::id::PluginId;
use owui_watch::plugin::{self, Digest, FileSettings, Invalid, Key, Kind, Parsed, Rule};
use serde_json::{Map, Value, json};

use self::prelude::Request;
use crate::support::call_word::CallWord as _;
use crate::support::policy::policy;

/// Without further signs, a path is ready after this.
const DEBOUNCE: Duration = Duration::from_millis(100);

const MILLISECOND: Duration = Duration::from_millis(1);

/// The driver and its world.
struct Script {
    driver: Driver,
    world: ScriptWorld,
    has_ended: bool,
    /// What the server of the preludes holds.
    server: BTreeMap<String, String>,
    /// Whether it is older than 0.12.
    is_old: bool,
}

/// A world that logs each effect. Disk and scans answer at once; requests and writes are answered by the script.
#[expect(clippy::struct_excessive_bools, reason = "separate facts")]
#[derive(Default)]
struct ScriptWorld {
    disk: BTreeMap<String, String>,
    root_is_gone: bool,
    rollbacks: BTreeMap<Key, Rollback>,
    rollbacks_changed: bool,
    is_scanning: bool,
    /// A scan does not end.
    hangs: bool,
    /// What the script has to answer, in the order of the numbers; `None` once answered.
    requests: Vec<(Ticket, Option<Request>)>,
    /// What a line answers itself, where it does.
    probes: Option<Vec<Ticket>>,
    log: String,
    at: Duration,
}

/// Runs a script from nothing and compares its log.
#[track_caller]
fn check(script: &str, expected: &Expect) {
    check_with(policy(), Ledger::default(), script, expected);
}

#[track_caller]
fn check_with(policy: Policy, saved: impl Into<SavedState>, script: &str, expected: &Expect) {
    expected.assert_eq(play(policy, saved, script).log());
}

#[track_caller]
fn play(policy: Policy, saved: impl Into<SavedState>, script: &str) -> Script {
    let saved = saved.into();
    let world = ScriptWorld { rollbacks: saved.rollbacks.clone(), ..ScriptWorld::default() };
    let mut run = Script {
        driver: Driver::new(policy, saved, DEBOUNCE),
        world,
        has_ended: false,
        server: BTreeMap::new(),
        is_old: false,
    };
    run.lines(script);
    run
}

impl Script {
    fn log(&self) -> &str {
        &self.world.log
    }

    fn ledger(&self) -> &Ledger {
        self.driver.engine().ledger()
    }

    /// Plays more lines, with an empty log and other numbers.
    #[track_caller]
    fn go_on(&mut self, script: &str) {
        self.forget();
        self.lines(script);
    }

    /// Empties the log, and numbers the open requests from 1.
    fn forget(&mut self) {
        self.world.requests.retain(|(_, request)| request.is_some());
        self.world.log.clear();
    }

    #[track_caller]
    fn lines(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.line(line);
        }
    }

    #[track_caller]
    fn line(&mut self, line: &str) {
        assert!(!self.has_ended, "the program has ended before `{line}`");
        let (time, rest) = line.split_once(' ').unwrap();
        let at = Duration::from_millis(time.strip_suffix("ms").unwrap().parse().unwrap());
        // The last step of a prelude takes no time.
        assert!(at + MILLISECOND >= self.world.at, "`{line}` is before the line above");
        self.world.at = at;
        writeln!(self.world.log, "{line}").unwrap();
        self.play(rest);
    }

    /// Plays a line without its time.
    #[track_caller]
    fn play(&mut self, what: &str) {
        let words: Vec<_> = what.split(' ').collect();
        match words.as_slice() {
            ["given", words @ ..] => self.given(words),
            ["rescan"] => self.turn(vec![Event::Rescan]),
            ["rescan:", rows @ ..] => self.probe("rescan", rows),
            ["wake:", rows @ ..] => self.probe("wake", rows),
            ["hang", "up"] => self.turn(vec![Event::TryNow, Event::Rescan]),
            ["walking"] => self.driver.begin_walk(self.world.at),
            ["walked", names @ ..] => {
                self.driver.end_walk(names.iter().map(|name| path(name)).collect(), self.world.at);
                self.turn(Vec::new());
            }
            ["root", "gone"] => self.world.root_is_gone = true,
            ["root", "back"] => self.world.root_is_gone = false,
            ["disk", "hangs"] => self.world.hangs = true,
            ["disk", "answers"] => {
                self.world.hangs = false;
                self.turn(Vec::new());
            }
            ["settings", "change"] => self.turn(vec![Event::Hold(true)]),
            ["settings", "stay"] => self.turn(vec![Event::Hold(false)]),
            ["wake"] => self.turn(vec![Event::Wake]),
            ["deploy", id] => self.turn(vec![Event::Deploy(vec![(key(id), path(id))])]),
            ["stop"] => self.turn(vec![Event::Stop]),
            ["replace"] => self.turn(vec![Event::Replace]),
            ["rolling-back" | "rolled-back", id, local, server] => {
                let digest = |version| Digest::of_text(&source(id, version));
                let done = words[0] == "rolled-back";
                self.world.roll_back(id, Rollback { local: Some(digest(local)), server: digest(server), done });
            }
            ["pulled", id, server] => {
                let server = Digest::of_text(&source(id, server));
                self.world.roll_back(id, Rollback { local: None, server, done: true });
            }
            ["no-rollback", id] => {
                self.world.rollbacks.remove(&key(id));
                self.world.rollbacks_changed = true;
            }
            ["deleted", id, earlier @ ..] => {
                let record = self.driver.engine().ledger().get(&key(id));
                let deployed = record.and_then(|record| record.deployed.as_ref()).filter(|_| earlier.is_empty());
                let text = deployed.map_or(Digest::of_text("earlier"), |deployed| deployed.digest);
                self.turn(vec![Event::Deleted(key(id), text)]);
            }
            ["edit", name, what @ ..] => self.world.edit(name, what),
            ["saving", name] => self.turn(vec![Event::Saving(path(name))]),
            ["changing", name] => {
                self.driver.on_changing(&path(name), self.world.at);
                self.turn(Vec::new());
            }
            ["write", name, what @ ..] => {
                self.world.edit(name, what);
                self.complete(name);
            }
            ["remove", name] => drop(self.world.disk.remove(*name)),
            ["delete", name] => {
                self.world.disk.remove(*name);
                self.complete(name);
            }
            [number, reply @ ..] => {
                let number: usize = number.strip_prefix('#').unwrap().parse().unwrap();
                let (ticket, request) = self.world.take_request(number);
                let event = match reply {
                    [saved @ ("saved" | "not-saved")] => {
                        let saved = if *saved == "saved" { Ok(()) } else { Err("disk full".to_owned()) };
                        match request {
                            Request::Backup(_) => {
                                Event::BackupSaved(ticket, saved.map(|()| PathBuf::from("the/copy.py")))
                            }
                            Request::Intent(_) => Event::IntentSaved(ticket, saved),
                            request => panic!("{request:?} is no write"),
                        }
                    }
                    reply if matches!(request, Request::Trial) => Event::Tried(ticket, trials::outcome(reply)),
                    reply => Event::Replied(ticket, read_reply(reply)),
                };
                self.turn(vec![event]);
            }
            [] => unreachable!(),
        }
    }

    /// An event at which the server is asked what it holds, and the answers, a millisecond each.
    #[track_caller]
    fn probe(&mut self, event: &str, rows: &[&str]) {
        let (server, rows) = match rows {
            ["nothing"] => ("0.12.4", &[][..]),
            [version, rows @ ..] if !version.contains('=') => (*version, rows),
            rows => ("0.12.4", rows),
        };
        self.world.probes = Some(Vec::new());
        self.step(event);
        let replies = [read_reply(&["connected", server]), read_reply(&[&["rows"], rows].concat())];
        for reply in replies {
            let probes = self.world.probes.replace(Vec::new()).unwrap();
            assert!(!probes.is_empty(), "the server is not asked:\n{}", self.log());
            for ticket in probes {
                self.turn(vec![Event::Replied(ticket, reply.clone())]);
            }
            self.world.at += MILLISECOND;
        }
        self.world.probes = None;
    }

    /// Plays a line without its time, and lets a millisecond pass.
    #[track_caller]
    fn step(&mut self, what: &str) {
        self.play(what);
        self.world.at += MILLISECOND;
    }

    /// The writer of this file is done.
    fn complete(&mut self, name: &str) {
        self.driver.on_complete(&path(name), self.world.at);
        self.turn(Vec::new());
    }

    /// One turn of the loop, as the daemon makes it. A scan and a write of the ledger take no time.
    fn turn(&mut self, events: Vec<Event>) {
        let Self { driver, world, .. } = self;
        let mut end = driver.take(events, world);
        while end.is_none() && !world.hangs && std::mem::take(&mut world.is_scanning) {
            end = driver.on_scanned(world.find(), world);
        }
        let end = end.or_else(|| driver.settle(world));
        driver.save(world);
        driver.on_ledger_written(LedgerWritten::Done);
        if let Some(code) = end {
            world.say(format_args!("exit {code:?}"));
            self.has_ended = true;
        }
    }
}

impl ScriptWorld {
    fn say(&mut self, what: impl Display) {
        writeln!(self.log, "      {what}").unwrap();
    }

    /// Logs what the script has to answer.
    fn ask(&mut self, ticket: Ticket, request: Request, what: impl Display) {
        self.requests.push((ticket, Some(request)));
        self.say(format_args!("#{} {what}", self.requests.len()));
    }

    /// The request is answered.
    #[track_caller]
    fn take_request(&mut self, number: usize) -> (Ticket, Request) {
        let (ticket, request) = &mut self.requests[number - 1];
        (*ticket, request.take().unwrap_or_else(|| panic!("#{number} was answered before")))
    }

    fn edit(&mut self, name: &str, what: &[&str]) {
        let text = match what {
            ["as", id, version] => source(id, version),
            [version] => source(name, version),
            _ => panic!("{what:?}"),
        };
        self.disk.insert(name.to_owned(), text);
    }

    fn roll_back(&mut self, id: &str, rollback: Rollback) {
        self.rollbacks.insert(key(id), rollback);
        self.rollbacks_changed = true;
    }

    fn find(&self) -> Scan {
        if self.root_is_gone {
            return Scan { files: Vec::new(), missing: vec![PathBuf::from("plugins")] };
        }
        let files = self.disk.keys().map(|name| (path(name), self.load(name, false)));
        Scan { files: files.collect(), missing: Vec::new() }
    }

    /// `is_complete`: an event said that its writer is done.
    fn load(&self, name: &str, is_complete: bool) -> Loaded {
        match self.disk.get(name).filter(|_| !self.root_is_gone).map(String::as_str) {
            None => Loaded::Missing,
            Some("unsettled") => Loaded::Unsettled,
            Some("half") if !is_complete => Loaded::Unsettled,
            Some("unreadable") => invalid(name, Rule::Unreadable("permission denied".to_owned())),
            Some("folder") => invalid(name, Rule::UnreadableFolder("permission denied".to_owned())),
            Some(text) => Loaded::Parsed(plugin::parse(&path(name), text.as_bytes(), &FileSettings::default())),
        }
    }
}

impl World for ScriptWorld {
    fn now(&mut self) -> Now {
        Now { at: self.at, wall: jiff::Timestamp::UNIX_EPOCH, chance: 0.0 }
    }

    fn rollbacks(&mut self) -> Option<BTreeMap<Key, Rollback>> {
        std::mem::take(&mut self.rollbacks_changed).then(|| self.rollbacks.clone())
    }

    fn scan(&mut self, _: &Ledger) {
        self.is_scanning = true;
    }

    fn read(&mut self, path: &Arc<Path>, is_complete: bool) -> Loaded {
        self.load(name(path), is_complete)
    }

    fn presence(&mut self, path: &Path) -> FilePresence {
        self.say(format_args!("look for {}", owui_watch::paths::slashed(&path)));
        match self.disk.contains_key(name(path)) {
            _ if self.root_is_gone => FilePresence::Nothing,
            true => FilePresence::File,
            false => FilePresence::Folder,
        }
    }

    fn is_git_busy(&mut self) -> bool {
        false
    }

    fn admit(&mut self, _: &BTreeMap<Arc<Path>, Duration>) -> bool {
        false
    }

    fn call(&mut self, ticket: Ticket, call: Call) {
        if let (Call::Connect | Call::Overview(_), Some(probes)) = (&call, &mut self.probes) {
            return probes.push(ticket);
        }
        let what = say(&call);
        self.ask(ticket, Request::Call(call), what);
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Backup(ticket, backup) => {
                self.ask(ticket, Request::Backup(backup.key), format_args!("back up {}", version(&backup.text)));
            }
            Write::Intent(ticket, key, intent) => {
                let was = if intent.was_active { "on" } else { "off" };
                self.ask(ticket, Request::Intent(key.clone()), format_args!("save intent: {} is {was}", key.id));
            }
            Write::Ledger(_) => self.say("save"),
            Write::ClearIntent(key) => self.say(format_args!("clear intent of {}", key.id)),
            Write::Archive(backup) => self.say(format_args!("archive {}", version(&backup.text))),
            Write::ArchiveFound(backup) => self.say(format_args!("archive {}, found", version(&backup.text))),
        }
    }

    fn end_rollback(&mut self, key: &Key) {
        self.say(format_args!("end the rollback of {}", key.id));
        self.rollbacks.remove(key);
        self.rollbacks_changed = true;
    }

    fn try_out(&mut self, ticket: Ticket, about: Subject) {
        let id = about.key.unwrap().id;
        self.ask(ticket, Request::Trial, format_args!("try {id} {}", about.version.unwrap_or_default()));
    }

    fn end_trial(&mut self, ticket: Ticket) {
        let at = self.requests.iter().position(|(other, _)| *other == ticket).unwrap();
        self.requests[at].1 = None;
        self.say(format_args!("end #{}", at + 1));
    }

    fn tell(&mut self, notice: Notice) {
        self.say(facts(&notice));
    }
}

/// A notice without its sentences: its stable word, and what `--json` has of it.
fn facts(notice: &Notice) -> String {
    const ELSEWHERE: [&str; 10] =
        ["time", "event", "level", "kind", "id", "type", "message", "hint", "digest", "version"];
    let id = notice.about.key.as_ref().map(|key| key.id.as_str());
    let mut words: Vec<_> = id.into_iter().chain([notice.word()]).map(str::to_owned).collect();
    let Value::Object(fields) = notice.to_json("", &Commands::default()) else { unreachable!() };
    for (name, value) in fields.iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str())) {
        match (&notice.what, name.as_str(), value) {
            (NoticeKind::Refused { refusal, .. } | NoticeKind::RefusedBefore { refusal, .. }, "words", _)
                if refusal.kind == RefusalKind::NoAnswer =>
            {
                words.push(format!("unanswered={:?}", refusal.words));
            }
            (NoticeKind::Waiting { reason, .. }, "reason", _) => words.push(format!("reason={reason:?}")),
            // Every file is named like its plugin, unless the script says otherwise.
            (_, "path", Value::String(path)) if id.is_some_and(|id| **path == *format!("plugins/{id}.py")) => {}
            (_, "server", _) | (_, _, Value::Bool(false)) => {}
            (_, _, Value::Number(number)) => {
                let number = number.as_f64().filter(|number| *number != 0.0);
                words.extend(number.map(|number| format!("{name}={number}")));
            }
            (_, _, Value::String(text)) if !text.contains(' ') => words.push(format!("{name}={text}")),
            _ => words.push(format!("{name}={value}")),
        }
    }
    words.join(" ")
}

fn invalid(name: &str, rule: Rule) -> Loaded {
    Loaded::Parsed(Parsed::Invalid(Invalid::unread(&path(name), rule)))
}

fn path(name: &str) -> Arc<Path> {
    Arc::from(Path::new("plugins").join(name).with_extension("py"))
}

/// A path below `plugins`, without `.py`.
fn name(path: &Path) -> &str {
    path.strip_prefix("plugins").unwrap().to_str().unwrap().strip_suffix(".py").unwrap()
}

fn source(id: &str, version: &str) -> String {
    match version {
        "empty" => String::new(),
        "unsettled" | "half" | "unreadable" | "folder" => version.to_owned(),
        "broken" => "class Filter(:".to_owned(),
        "harmful" => "from . import x\nfrom mainland import y\nexit()\nclass Filter: pass".to_owned(),
        "other" => "print()".to_owned(),
        // Its id is the name of its file.
        "nameless" => "class Filter:\n    pass\n".to_owned(),
        "stub" => {
            let head = "# owui-watch put this here for a moment, to learn why the server refuses the plugin.";
            format!("{head}\nclass Filter:\n    pass\n")
        }
        "mistaken" | "unawaited" => {
            let body = if version == "mistaken" { "missing" } else { "Users.get_user_by_id(1).x" };
            let head =
                format!("\"\"\"\nid: {id}\nversion: {version}\n\"\"\"\nfrom open_webui.models.users import Users\n");
            format!("{head}class Filter:\n    def inlet(self, body):\n        return {body}\n")
        }
        version => {
            // `v1~Shout` is version 1 of a plugin with that title, by an author.
            let (version, title) = version.split_once('~').unwrap_or((version, ""));
            let author = if title.is_empty() { String::new() } else { format!("title: {title}\nauthor: me\n") };
            format!("\"\"\"\nid: {id}\n{author}version: {version}\n\"\"\"\nclass Filter:\n    pass\n")
        }
    }
}

fn key(id: &str) -> Key {
    Key { kind: Kind::Function, id: PluginId::new(id).unwrap() }
}

fn version(text: &str) -> &str {
    text.split("version: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("?")
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

fn row(id: &str, version: &str) -> Row {
    Row {
        id: id.to_owned(),
        name: id.to_owned(),
        content: Some(source(id, version)),
        meta: match version.split_once('~') {
            None => object(json!({"manifest": {"title": id, "version": version}})),
            Some((version, title)) => object(json!({"manifest": {"title": title, "author": "me", "version": version}})),
        },
        is_active: Some(true),
        access_control: None,
        is_global: None,
        entry: None,
        versioned: true,
        version_id: Some("v".to_owned()),
    }
}

fn old_row(id: &str, version: &str) -> Row {
    Row { versioned: false, version_id: None, ..row(id, version) }
}

fn read_reply(words: &[&str]) -> Reply {
    match words {
        ["connected", version] => Reply::Connected { version: (*version).to_owned() },
        ["connected"] => Reply::Connected { version: "0.12.4".to_owned() },
        ["rows", rows @ ..] => {
            let rows = rows.iter().map(|row| row.split_once('=').unwrap());
            Reply::Rows(rows.map(|(id, version)| row(id, version).listed(key(id).id)).collect())
        }
        ["row", id, version] => Reply::Row(Box::new(row(id, version))),
        ["row", id, version, "off"] => Reply::Row(Box::new(Row { is_active: Some(false), ..row(id, version) })),
        // As servers before 0.12 answer.
        ["row", id, version, "old"] => Reply::Row(Box::new(old_row(id, version))),
        ["row", id, version, "old", "off"] => {
            Reply::Row(Box::new(Row { is_active: Some(false), ..old_row(id, version) }))
        }
        ["row", id, version, "as", name] => {
            Reply::Row(Box::new(Row { version_id: Some((*name).to_owned()), ..row(id, version) }))
        }
        ["row", id, version, "not-global"] => Reply::Row(Box::new(Row { is_global: Some(false), ..row(id, version) })),
        ["attached", filters @ ..] => Reply::Attached(Attached {
            filters: filters.iter().map(|id| (*id).to_owned()).collect(),
            ..Attached::default()
        }),
        ["deleted"] => Reply::Deleted,
        // As the server answers: without the text, and switched off.
        ["created", id] => Reply::Row(Box::new(Row { content: None, is_active: Some(false), ..row(id, "") })),
        ["absent"] => Reply::Absent,
        ["taken"] => Reply::Taken,
        ["refused", words @ ..] => {
            Reply::Refused { words: words.join(" "), wrapped: words.first() == Some(&"[ERROR:") }
        }
        ["crashed"] => Reply::Crashed { words: "Internal Server Error".to_owned(), too_large: false },
        ["unclear"] => Reply::Unclear { words: "401 Unauthorized".to_owned() },
        ["not-allowed"] => Reply::NotAllowed { status: 401, words: "401 Unauthorized".to_owned() },
        ["too-long"] => Reply::Unusable { words: "an answer of more than 64 MiB".to_owned() },
        ["foreign"] => Reply::Foreign { status: 200, words: "a web page".to_owned() },
        ["stumbled"] => Reply::Stumbled { cause: "the server's database is locked".to_owned() },
        ["lost"] => Reply::Lost { cause: "no answer".to_owned() },
        ["unreachable"] => Reply::Unreachable { cause: "connection refused".into(), retry_after: None },
        ["unreachable", seconds] => Reply::Unreachable {
            cause: "too many requests".into(),
            retry_after: Some(Duration::from_secs(seconds.parse().unwrap())),
        },
        _ => panic!("{words:?}"),
    }
}

fn say(call: &Call) -> String {
    match call {
        Call::Connect | Call::Attached => call.word().to_owned(),
        Call::Overview(kind) => format!("overview of {}s", kind.word()),
        Call::Get(key) => format!("get {}", key.id),
        Call::Create(key, form) => format!("create {} {}", key.id, version(&form.content)),
        Call::Update(key, form) => format!("update {} {}", key.id, version(&form.content)),
        Call::Toggle(id) | Call::ToggleGlobal(id) => format!("{} {id}", call.word()),
        Call::Delete(key) | Call::Versions(key) => format!("{} {}", call.word(), key.id),
        Call::Version(key, id) | Call::Prune(key, id) => format!("{} {id} of {}", call.word(), key.id),
    }
}

fn once() -> Policy {
    Policy { once: Some(Duration::from_secs(2)), ..policy() }
}

fn force() -> Policy {
    Policy { deploy: DeployPolicy { force: true, ..policy().deploy }, ..policy() }
}

fn hold() -> Policy {
    Policy { deploy: DeployPolicy { on_remote_edit: OnRemoteEdit::Hold, ..policy().deploy }, ..policy() }
}

fn old_server() -> Ledger {
    // Version 1 was deployed.
    play(policy(), Ledger::default(), "0ms given a=v1").ledger().clone()
}

fn log_of(script: &str) -> String {
    log_of_with(policy(), Ledger::default(), script)
}

fn log_of_with(policy: Policy, saved: impl Into<SavedState>, script: &str) -> String {
    play(policy, saved, script).world.log
}

/// What came after a line.
fn after<'a>(log: &'a str, line: &str) -> &'a str {
    log.split_once(line).unwrap_or_else(|| panic!("no `{line}` in:\n{log}")).1
}
