//! Whole schedules against the engine alone: timed lines in, effects out. No runtime, no sleeping, no disk, no server.
//!
//! A script's lines are `<time> <what> …`:
//!
//! - `write a v1` puts a filter with this version at `a.py` and says that it is ready; `write a as b v1` gives it an id.
//!   `write a empty`, `broken`, `harmful` (two errors and a warning), `other`, `unsettled`, `unreadable` and `folder` (one that cannot be read) are what they say, and `half` is a save in the middle; `delete a`
//!   removes it; `edit …` changes the disk
//!   without a word, as before a rescan. The engine's reads are answered from there at once, as the daemon does.
//! - `given a=v1` is a beginning in which disk and server hold this, and the first pass is over.
//! - `rescan`, `wake`, `stop`.
//! - `#3 row v1`, `#3 rows a=v1 b=v2`, `#3 connected`, `#3 absent`, `#3 refused WORDS`, … reply to the call with that number;
//!   `#3 kept` says that the copy is written, `#3 not-kept` that it could not be.

mod absences;
mod ahead;
mod crashes;
mod ending;
mod files;
mod healing;
mod keys;
mod lost_answers;
mod passes;
mod refusals;
mod remote_edits;
mod removals;
mod rollbacks;
mod saves;
mod twins;
mod versions;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use expect_test::Expect;
use owui_watch::engine::deploy::{Call, DeployPolicy, OnRemoteEdit, Reply, Row};
use owui_watch::engine::files::{FilePresence, Loaded};
use owui_watch::engine::ledger::{Ledger, Rollback, SavedState};
use owui_watch::engine::{Effect, Engine, Event, Now, Policy, Scan, Ticket};
use owui_watch::notice::{Notice, NoticeKind};
use owui_watch::plugin::id::PluginId;
use owui_watch::plugin::{self, Digest, FileSettings, Invalid, Key, Kind, Parsed, Rule};
use serde_json::{Map, Value, json};

use crate::support::policy::policy;

/// The engine, and as much of a world as it needs.
struct Script {
    engine: Engine,
    disk: BTreeMap<String, String>,
    root_is_gone: bool,
    tickets: Vec<Ticket>,
    log: String,
    at: Duration,
}

/// Runs a script from nothing and compares what came of it.
#[track_caller]
fn check(script: &str, expected: &Expect) {
    check_with(policy(), Ledger::default(), script, expected);
}

#[track_caller]
fn check_with(policy: Policy, memory: impl Into<SavedState>, script: &str, expected: &Expect) {
    expected.assert_eq(&play(policy, memory, script).log);
}

fn play(policy: Policy, memory: impl Into<SavedState>, script: &str) -> Script {
    let mut run = Script {
        engine: Engine::new(policy, memory.into()),
        disk: BTreeMap::new(),
        root_is_gone: false,
        tickets: Vec::new(),
        log: String::new(),
        at: Duration::ZERO,
    };
    run.lines(script);
    run
}

impl Script {
    /// Plays more of it; the log and the calls' numbers begin anew.
    fn go_on(&mut self, script: &str) {
        self.forget();
        self.lines(script);
    }

    fn forget(&mut self) {
        self.tickets.clear();
        self.log.clear();
    }

    fn lines(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        let (time, rest) = line.split_once(' ').unwrap();
        self.at = Duration::from_millis(time.strip_suffix("ms").unwrap().parse().unwrap());
        writeln!(self.log, "{line}").unwrap();
        let words: Vec<_> = rest.split(' ').collect();
        match words.as_slice() {
            ["given", rows @ ..] => self.given(rows),
            ["rescan"] => self.give(Event::Rescan),
            ["hang", "up"] => {
                self.give(Event::TryNow);
                self.give(Event::Rescan);
            }
            ["root", "gone"] => self.root_is_gone = true,
            ["root", "back"] => self.root_is_gone = false,
            ["wake"] => self.give(Event::Wake),
            ["stop"] => self.give(Event::Stop),
            ["replace"] => self.give(Event::Replace),
            ["looked", name, trace] => {
                let trace = match *trace {
                    "there" => FilePresence::File,
                    "gone" => FilePresence::Folder,
                    "all-gone" => FilePresence::Nothing,
                    "unsettled" => FilePresence::Unsettled,
                    _ => panic!("{trace}"),
                };
                self.give(Event::PresenceChecked(path(name), trace));
            }
            ["rolling-back" | "rolled-back", id, local, server] => {
                let digest = |version| Digest::of_text(&source(id, version));
                let done = words[0] == "rolled-back";
                let rollback = Rollback { local: Some(digest(local)), server: digest(server), done };
                self.give(Event::RolledBack(BTreeMap::from([(key(id), rollback)])));
            }
            ["pulled", id, server] => {
                let server = Digest::of_text(&source(id, server));
                let rollback = Rollback { local: None, server, done: true };
                self.give(Event::RolledBack(BTreeMap::from([(key(id), rollback)])));
            }
            ["edit", name, what @ ..] => self.edit(name, what),
            ["saving", name] => self.give(Event::Saving(path(name))),
            ["write", name, what @ ..] => {
                self.edit(name, what);
                self.give(Event::Ready(vec![(path(name), self.at)]));
            }
            ["remove", name] => {
                self.disk.remove(*name);
            }
            ["delete", name] => {
                self.disk.remove(*name);
                self.give(Event::Ready(vec![(path(name), self.at)]));
            }
            [number, reply @ ..] => {
                let number: usize = number.strip_prefix('#').unwrap().parse().unwrap();
                let ticket = self.tickets[number - 1];
                let event = match reply {
                    ["kept"] => Event::BackupSaved(ticket, Ok(PathBuf::from("the/copy.py"))),
                    ["noted"] => Event::IntentSaved(ticket, Ok(())),
                    ["not-noted"] => Event::IntentSaved(ticket, Err("disk full".to_owned())),
                    ["not-kept"] => Event::BackupSaved(ticket, Err("disk full".to_owned())),
                    reply => Event::Replied(ticket, read_reply(reply)),
                };
                self.give(event);
            }
            [] => unreachable!(),
        }
    }

    fn given(&mut self, rows: &[&str]) {
        for (name, version) in rows.iter().map(|row| row.split_once('=').unwrap()) {
            self.edit(name, &[version]);
        }
        self.give(Event::Rescan);
        self.give(Event::Replied(self.tickets[0], read_reply(&["connected"])));
        self.give(Event::Replied(self.tickets[1], read_reply(&[&["rows"], rows].concat())));
        self.forget();
    }

    fn edit(&mut self, name: &str, what: &[&str]) {
        let text = match what {
            ["as", id, version] => source(id, version),
            [version] => source(name, version),
            _ => panic!("{what:?}"),
        };
        self.disk.insert(name.to_owned(), text);
    }

    fn give(&mut self, event: Event) {
        let now = Now { at: self.at, wall: jiff::Timestamp::UNIX_EPOCH, chance: 0.0 };
        for effect in self.engine.handle(event, now) {
            match effect {
                Effect::Scan if self.root_is_gone => {
                    self.give(Event::Scanned(Scan { files: Vec::new(), missing: vec![PathBuf::from("plugins")] }));
                }
                Effect::Scan => {
                    let files = self.disk.keys().map(|name| (path(name), self.load(name, false))).collect();
                    self.give(Event::Scanned(Scan { files, missing: Vec::new() }));
                }
                Effect::Read(path) => {
                    let loaded = self.load(name(&path), true);
                    self.give(Event::Loaded(path, loaded));
                }
                Effect::Reread(path) => {
                    let loaded = self.load(name(&path), false);
                    self.give(Event::Loaded(path, loaded));
                }
                Effect::Call(ticket, call) => {
                    self.tickets.push(ticket);
                    writeln!(self.log, "      #{} {}", self.tickets.len(), say(&call)).unwrap();
                }
                Effect::SaveBackup(ticket, backup) => {
                    self.tickets.push(ticket);
                    writeln!(self.log, "      #{} keep {}", self.tickets.len(), version(&backup.text)).unwrap();
                }
                Effect::SaveIntent(ticket, key, intent) => {
                    self.tickets.push(ticket);
                    let was = if intent.was_active { "on" } else { "off" };
                    writeln!(self.log, "      #{} note that {} is {was}", self.tickets.len(), key.id).unwrap();
                }
                Effect::ClearIntent(key) => writeln!(self.log, "      unnote {}", key.id).unwrap(),
                Effect::Archive(backup) => writeln!(self.log, "      archive {}", version(&backup.text)).unwrap(),
                Effect::ArchiveFound(backup) => {
                    writeln!(self.log, "      archive {}, found", version(&backup.text)).unwrap();
                }
                Effect::EndRollback(key) => writeln!(self.log, "      end the rollback of {}", key.id).unwrap(),
                Effect::CheckPresence(path) => writeln!(self.log, "      look for {}", path.display()).unwrap(),
                Effect::Save(_) => writeln!(self.log, "      save").unwrap(),
                Effect::Tell(notice) => {
                    writeln!(self.log, "      {}", facts(&notice)).unwrap();
                }
                Effect::Exit(code) => writeln!(self.log, "      exit {code:?}").unwrap(),
            }
        }
    }

    /// `complete`: its writer is done, as far as the engine has been told.
    fn load(&self, name: &str, complete: bool) -> Loaded {
        match self.disk.get(name).map(String::as_str) {
            None => Loaded::Missing,
            Some("unsettled") => Loaded::Unsettled,
            Some("half") if !complete => Loaded::Unsettled,
            Some("unreadable") => invalid(name, Rule::Unreadable("permission denied".to_owned())),
            Some("folder") => invalid(name, Rule::UnreadableFolder("permission denied".to_owned())),
            Some(text) => Loaded::Parsed(plugin::parse(&path(name), text.as_bytes(), &FileSettings::default())),
        }
    }
}

/// A notice without its sentences: its stable word, and what `--json` has of it.
fn facts(notice: &Notice) -> String {
    const ELSEWHERE: [&str; 10] =
        ["time", "event", "level", "kind", "id", "type", "message", "hint", "digest", "version"];
    let id = notice.about.key.as_ref().map(|key| key.id.as_str());
    let mut words: Vec<_> = id.into_iter().chain([notice.word()]).map(str::to_owned).collect();
    let Value::Object(fields) = notice.to_json("") else { unreachable!() };
    for (name, value) in fields.iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str())) {
        match (&notice.what, name.as_str(), value) {
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
        "stub" => {
            let head = "# owui-watch put this here for a moment, to learn why the server refuses the plugin.";
            format!("{head}\nclass Filter:\n    pass\n")
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
        versioned: true,
        version_id: Some("v".to_owned()),
        digest: None,
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
            Reply::Rows(rows.map(|(id, version)| row(id, version)).collect())
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
        ["deleted"] => Reply::Deleted,
        // As the server answers: without the text, and switched off.
        ["created", id] => Reply::Row(Box::new(Row { content: None, is_active: Some(false), ..row(id, "") })),
        ["absent"] => Reply::Absent,
        ["taken"] => Reply::Taken,
        ["refused", words @ ..] => Reply::Refused { words: words.join(" ") },
        ["crashed"] => Reply::Crashed { words: "Internal Server Error".to_owned() },
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
        Call::Connect => "connect".to_owned(),
        Call::Overview(kind) => format!("overview of {}s", kind.word()),
        Call::Get(key) => format!("get {}", key.id),
        Call::Create(key, form) => format!("create {} {}", key.id, version(&form.content)),
        Call::Update(key, form) => format!("update {} {}", key.id, version(&form.content)),
        Call::Toggle(id) => format!("{} {id}", call.word()),
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
    play(policy(), Ledger::default(), "0ms given a=v1").engine.ledger().clone()
}

fn log_of(script: &str) -> String {
    log_of_with(policy(), Ledger::default(), script)
}

fn log_of_with(policy: Policy, memory: impl Into<SavedState>, script: &str) -> String {
    play(policy, memory, script).log
}

/// What came after a line.
fn after<'a>(log: &'a str, line: &str) -> &'a str {
    log.split_once(line).unwrap_or_else(|| panic!("no `{line}` in:\n{log}")).1
}
