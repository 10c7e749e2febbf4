//! Whole schedules against the engine alone: timed lines in, effects out. No runtime, no sleeping, no disk, no server.
//!
//! A script's lines are `<time> <what> …`:
//!
//! - `write a v1` puts a filter with this version at `a.py` and says that it is ready; `write a as b v1` gives it an id.
//!   `write a empty`, `broken`, `other` and `unsettled` are what they say, and `half` is a save in the middle; `delete a`
//!   removes it; `edit …` changes the disk
//!   without a word, as before a rescan. The engine's reads are answered from there at once, as the daemon does.
//! - `given a=v1` is a beginning in which disk and server hold this, and the first pass is over.
//! - `rescan`, `wake`, `stop`.
//! - `#3 row v1`, `#3 rows a=v1 b=v2`, `#3 connected`, `#3 absent`, `#3 refused WORDS`, … reply to the call with that number;
//!   `#3 kept` says that the copy is written, `#3 not-kept` that it could not be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use owui_watch::engine::exchange::{Adopt, Call, OnRemoteEdit, Reply, Row, Terms};
use owui_watch::engine::files::{Loaded, Trace};
use owui_watch::engine::ledger::{Ledger, Memory, Rollback, UnderWay};
use owui_watch::engine::{Effect, Engine, Event, Now, OnDelete, Policy, Scan, Ticket};
use owui_watch::plugin::id::PluginId;
use owui_watch::plugin::{self, Digest, FileSettings, Key, Kind};
use serde_json::{Map, Value, json};

/// The engine, and as much of a world as it needs.
struct Script {
    engine: Engine,
    disk: BTreeMap<String, String>,
    root_is_gone: bool,
    tickets: Vec<Ticket>,
    log: String,
    at: Duration,
}

fn policy() -> Policy {
    Policy {
        roots: vec![PathBuf::from("plugins")],
        server: "http://server".to_owned(),
        configured: true,
        key: None,
        concurrency: NonZeroUsize::new(2).unwrap(),
        once: None,
        terms: Terms {
            force: false,
            dry_run: false,
            activate_new: false,
            on_remote_edit: OnRemoteEdit::Backup,
            adopt: Adopt::Ask,
        },
        on_delete: OnDelete::Keep,
        gone_after: Duration::from_secs(30),
        keep_versions: None,
        named: Vec::new(),
        only: Vec::new(),
    }
}

/// Runs a script from nothing and compares what came of it.
#[track_caller]
fn check(script: &str, expected: &Expect) {
    check_with(policy(), Ledger::default(), script, expected);
}

#[track_caller]
fn check_with(policy: Policy, memory: impl Into<Memory>, script: &str, expected: &Expect) {
    expected.assert_eq(&play(policy, memory, script).log);
}

fn play(policy: Policy, memory: impl Into<Memory>, script: &str) -> Script {
    let mut run = Script {
        engine: Engine::new(policy, memory.into()),
        disk: BTreeMap::new(),
        root_is_gone: false,
        tickets: Vec::new(),
        log: String::new(),
        at: Duration::ZERO,
    };
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        run.line(line);
    }
    run
}

impl Script {
    fn line(&mut self, line: &str) {
        let (time, rest) = line.split_once(' ').unwrap();
        self.at = Duration::from_millis(time.strip_suffix("ms").unwrap().parse().unwrap());
        writeln!(self.log, "{line}").unwrap();
        let words: Vec<_> = rest.split(' ').collect();
        match words.as_slice() {
            ["given", rows @ ..] => self.given(rows),
            ["rescan"] => self.give(Event::Rescan),
            ["root", "gone"] => self.root_is_gone = true,
            ["root", "back"] => self.root_is_gone = false,
            ["wake"] => self.give(Event::Wake),
            ["stop"] => self.give(Event::Stop),
            ["replace"] => self.give(Event::Replace),
            ["looked", name, trace] => {
                let trace = match *trace {
                    "there" => Trace::File,
                    "gone" => Trace::Folder,
                    "all-gone" => Trace::Nothing,
                    _ => panic!("{trace}"),
                };
                self.give(Event::Looked(path(name), trace));
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
            ["write", name, what @ ..] => {
                self.edit(name, what);
                self.give(Event::Ready(vec![path(name)]));
            }
            ["remove", name] => {
                self.disk.remove(*name);
            }
            ["delete", name] => {
                self.disk.remove(*name);
                self.give(Event::Ready(vec![path(name)]));
            }
            [number, reply @ ..] => {
                let number: usize = number.strip_prefix('#').unwrap().parse().unwrap();
                let ticket = self.tickets[number - 1];
                let event = match reply {
                    ["kept"] => Event::Kept(ticket, Ok(PathBuf::from("the/copy.py"))),
                    ["noted"] => Event::Noted(ticket, Ok(())),
                    ["not-noted"] => Event::Noted(ticket, Err("disk full".to_owned())),
                    ["not-kept"] => Event::Kept(ticket, Err("disk full".to_owned())),
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
        self.tickets.clear();
        self.log.clear();
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
                Effect::Keep(ticket, backup) => {
                    self.tickets.push(ticket);
                    writeln!(self.log, "      #{} keep {}", self.tickets.len(), version(&backup.text)).unwrap();
                }
                Effect::Note(ticket, key, under_way) => {
                    self.tickets.push(ticket);
                    let was = if under_way.was_active { "on" } else { "off" };
                    writeln!(self.log, "      #{} note that {} is {was}", self.tickets.len(), key.id).unwrap();
                }
                Effect::Unnote(key) => writeln!(self.log, "      unnote {}", key.id).unwrap(),
                Effect::Archive(backup) => writeln!(self.log, "      archive {}", version(&backup.text)).unwrap(),
                Effect::EndRollback(key) => writeln!(self.log, "      end the rollback of {}", key.id).unwrap(),
                Effect::Look(path) => writeln!(self.log, "      look for {}", path.display()).unwrap(),
                Effect::Save(_) => writeln!(self.log, "      save").unwrap(),
                Effect::Tell(notice) => {
                    let id = notice.about.key.as_ref().map(|key| format!("{} ", key.id)).unwrap_or_default();
                    writeln!(self.log, "      {id}{}: {}", notice.word(), notice.sentence()).unwrap();
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
            Some(text) => Loaded::Parsed(plugin::parse(&path(name), text.as_bytes(), &FileSettings::default())),
        }
    }
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
        "unsettled" | "half" => version.to_owned(),
        "broken" => "class Filter(:".to_owned(),
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
        is_global: Some(false),
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
        // Of a server before 0.12.
        ["row", id, version, "old"] => Reply::Row(Box::new(old_row(id, version))),
        ["row", id, version, "old", "off"] => {
            Reply::Row(Box::new(Row { is_active: Some(false), ..old_row(id, version) }))
        }
        ["row", id, version, "as", name] => {
            Reply::Row(Box::new(Row { version_id: Some((*name).to_owned()), ..row(id, version) }))
        }
        ["deleted"] => Reply::Deleted,
        ["created", id] => Reply::Row(Box::new(Row { content: None, ..row(id, "") })),
        ["absent"] => Reply::Absent,
        ["taken"] => Reply::Taken,
        ["refused", words @ ..] => Reply::Refused { words: words.join(" ") },
        ["crashed"] => Reply::Crashed { words: "Internal Server Error".to_owned() },
        ["unclear"] => Reply::Unclear { words: "401 Unauthorized".to_owned() },
        ["not-allowed"] => Reply::NotAllowed { status: 401, words: "401 Unauthorized".to_owned() },
        ["too-long"] => Reply::TooLong { words: "an answer of more than 64 MiB".to_owned() },
        ["foreign"] => Reply::Foreign { status: 200, words: "a web page".to_owned() },
        ["stumbled"] => Reply::Stumbled { cause: "the server's database is locked".to_owned() },
        ["lost"] => Reply::Lost { cause: "no answer".to_owned() },
        ["unreachable"] => Reply::Unreachable { cause: "connection refused".to_owned(), retry_after: None },
        ["unreachable", seconds] => Reply::Unreachable {
            cause: "too many requests".to_owned(),
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

#[test]
fn a_first_pass_creates_what_is_new_and_leaves_what_is_there() {
    check(
        "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows b=v1 theirs=v9
         4ms #3 created a
         5ms #4 row a v1 off",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan
                  ready: watching `plugins` (2 plugins) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows b=v1 theirs=v9
                  connected: http://server is Open WebUI 0.12.4
                  save
                  archive v1
                  b unchanged: unchanged
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 create a v1
            4ms #3 created a
                  #4 get a
            5ms #4 row a v1 off
                  save
                  archive v1
                  a created: created, switched off
                  summary: 2 plugins in 5 ms: 1 created, 1 unchanged
        "#]],
    );
}

/// Its answer never came, and nobody has seen it there before the next one takes its place.
#[test]
fn a_text_that_was_live_unseen_is_archived_before_it_is_replaced() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms #2 lost
         5003ms #3 unreachable
         5100ms write a v3
         5600ms wake
         5601ms #4 connected
         5602ms #5 rows a=v2
         5603ms #6 row a v2
         5604ms #7 row a v3",
        &expect![[r#"
            5000ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            5001ms #1 row a v1
                  #2 update a v2
            5002ms #2 lost
                  #3 get a
            5003ms #3 unreachable
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            5100ms write a v3
            5600ms wake
                  a waiting: waiting: the server is away
                  #4 connect
            5601ms #4 connected
                  #5 overview of functions
            5602ms #5 rows a=v2
                  a sending: on its way (edited)
                  #6 get a
            5603ms #6 row a v2
                  archive v2
                  #7 update a v3
            5604ms #7 row a v3
                  back: the server is back after 601 ms, 1 plugin to deploy
                  save
                  archive v3
                  a updated: updated
        "#]],
    );
}

/// What others have there does not keep ours from the server.
#[test]
fn where_the_list_is_too_long_each_plugin_is_looked_at_by_itself() {
    check(
        "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 too-long
         3ms #3 row a v1
         3ms #4 absent
         4ms #5 created b
         5ms #6 row b v1",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan
                  ready: watching `plugins` (2 plugins) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 too-long
                  connected: http://server is Open WebUI 0.12.4
                  pass: 2 plugins to compare with the server
                  a sending: on its way (new)
                  #3 get a
                  b sending: on its way (new)
                  #4 get b
            3ms #3 row a v1
                  save
                  archive v1
                  a unchanged: unchanged
            3ms #4 absent
                  #5 create b v1
            4ms #5 created b
                  #6 get b
            5ms #6 row b v1
                  save
                  archive v1
                  b created: created and switched on
                  summary: 2 plugins in 5 ms: 1 created, 1 unchanged
        "#]],
    );
}

/// Whether it is there under another id cannot be known then, as where an account may not list what others have.
#[test]
fn where_the_list_is_too_long_nobody_is_asked_about_twins() {
    check(
        "0ms given a=v1~Shout
         5000ms write b v1~Shout
         5001ms #1 absent
         5002ms #2 too-long",
        &expect![[r#"
            5000ms write b v1~Shout
                  b sending: on its way (new)
                  #1 get b
            5001ms #1 absent
                  #2 overview of functions
            5002ms #2 too-long
                  #3 create b v1
        "#]],
    );
}

#[test]
fn a_save_is_read_compared_and_sent() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms #2 row a v2",
        &expect![[r#"
            5000ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            5001ms #1 row a v1
                  #2 update a v2
            5002ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
        "#]],
    );
}

#[test]
fn a_save_without_a_change_sends_nothing() {
    check(
        "0ms given a=v1
         10ms write a v1",
        &expect![[r#"
            10ms write a v1
                  a unchanged: unchanged
        "#]],
    );
}

#[test]
fn the_newest_save_wins_and_one_is_in_flight() {
    check(
        "0ms given a=v1
         10ms write a v2
         2000ms write a v3
         2010ms write a v4
         2020ms #1 row a v1
         2030ms #2 row a v2
         2040ms #3 row a v2
         2050ms #4 row a v4",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            2000ms write a v3
            2010ms write a v4
                  a superseded: a newer save takes its place
            2020ms #1 row a v1
                  #2 update a v2
            2030ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
                  a sending: on its way (edited)
                  #3 get a
            2040ms #3 row a v2
                  #4 update a v4
            2050ms #4 row a v4
                  save
                  archive v4
                  a updated: updated
        "#]],
    );
}

#[test]
fn back_and_forth_during_a_deploy_ends_with_what_the_file_holds() {
    check(
        "0ms given a=v1
         10ms write a v2
         2000ms write a v1
         2001ms write a v2
         2002ms #1 row a v1
         2003ms write a v1
         2004ms #2 row a v2
         2005ms #3 row a v2
         2006ms #4 row a v1",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            2000ms write a v1
            2001ms write a v2
                  a unchanged: unchanged
            2002ms #1 row a v1
                  #2 update a v2
            2003ms write a v1
            2004ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
                  a sending: on its way (edited)
                  #3 get a
            2005ms #3 row a v2
                  #4 update a v1
            2006ms #4 row a v1
                  save
                  archive v1
                  a updated: updated
        "#]],
    );
}

#[test]
fn a_formatter_at_work_makes_one_version_and_not_two() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 row a v2
         300ms write a v3
         350ms write a v4
         450ms wake
         500ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
            300ms write a v3
            350ms write a v4
            450ms wake
            500ms wake
                  a sending: on its way (edited)
                  #3 get a
        "#]],
    );
}

#[test]
fn a_refused_text_is_not_sent_again_until_it_changes() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 refused invalid syntax (<string>, line 4)
         2000ms write a v2
         4000ms write a v1
         4001ms #3 row a v1",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 refused invalid syntax (<string>, line 4)
                  save
                  a refused: refused by the server: invalid syntax (<string>, line 4)
            2000ms write a v2
                  a refused_before: refused before, not sent again: invalid syntax (<string>, line 4)
            4000ms write a v1
                  a sending: on its way (edited)
                  #3 get a
            4001ms #3 row a v1
                  save
                  archive v1
                  a unchanged: unchanged
        "#]],
    );
}

/// There was no file of its kind when the server was asked what it holds.
#[test]
fn what_no_overview_was_about_is_looked_at_before_it_is_created() {
    check(
        "0ms edit a half
         0ms rescan
         1ms #1 connected
         2ms write a v1
         3ms #2 row a v1",
        &expect![[r#"
            0ms edit a half
            0ms rescan
                  held: not complete yet; read again soon
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  connected: http://server is Open WebUI 0.12.4
            2ms write a v1
                  a sending: on its way (new)
                  #2 get a
            3ms #2 row a v1
                  save
                  archive v1
                  a unchanged: unchanged
                  summary: 1 plugin in 3 ms: 1 unchanged
        "#]],
    );
}

#[test]
fn what_is_refused_on_create_is_checked_for_what_it_left_behind() {
    check(
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 refused [ERROR: Error creating function]
         5ms #4 absent",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 create a v1
            4ms #3 refused [ERROR: Error creating function]
                  #4 get a
            5ms #4 absent
                  #5 create a ?
        "#]],
    );
}

#[test]
fn a_text_that_is_not_ours_is_kept_before_it_is_replaced() {
    check(
        "0ms edit a v2
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=theirs
         3ms #3 row a theirs
         4ms #4 kept
         5ms #5 row a v2",
        &expect![[r#"
            0ms edit a v2
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows a=theirs
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 get a
            3ms #3 row a theirs
                  #4 keep theirs
            4ms #4 kept
                  #5 update a v2
            5ms #5 row a v2
                  save
                  archive v2
                  a updated: updated; the text on the server was not ours, a copy is in the/copy.py
                  summary: 1 plugin in 5 ms: 1 updated
        "#]],
    );
}

#[test]
fn what_cannot_be_kept_is_not_replaced() {
    check(
        "0ms edit a v2
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=theirs
         3ms #3 row a theirs
         4ms #4 not-kept",
        &expect![[r#"
            0ms edit a v2
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows a=theirs
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 get a
            3ms #3 row a theirs
                  #4 keep theirs
            4ms #4 not-kept
                  save
                  a failed: what must be on disk before anything is sent could not be written: disk full
                  summary: 1 plugin in 4 ms: 1 failed
        "#]],
    );
}

#[test]
fn an_update_without_an_answer_is_read_back() {
    check(
        "0ms given a=v2
         10ms write a v3
         11ms #1 row a v2
         12ms #2 lost
         13ms #3 row a v3
         2000ms write a v4
         2001ms #4 row a v3
         2002ms #5 lost
         2003ms #6 row a v3
         2503ms wake
         2504ms #7 connected
         2505ms #8 rows a=v3
         2506ms #9 row a v3
         2507ms #10 row a v4",
        &expect![[r#"
            10ms write a v3
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v2
                  #2 update a v3
            12ms #2 lost
                  #3 get a
            13ms #3 row a v3
                  save
                  archive v3
                  a updated: updated
            2000ms write a v4
                  a sending: on its way (edited)
                  #4 get a
            2001ms #4 row a v3
                  #5 update a v4
            2002ms #5 lost
                  #6 get a
            2003ms #6 row a v3
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            2503ms wake
                  #7 connect
            2504ms #7 connected
                  #8 overview of functions
            2505ms #8 rows a=v3
                  a sending: on its way (retry)
                  #9 get a
            2506ms #9 row a v3
                  #10 update a v4
            2507ms #10 row a v4
                  back: the server is back after 504 ms, 1 plugin to deploy
                  save
                  archive v4
                  a updated: updated
        "#]],
    );
}

#[test]
fn a_create_without_an_answer_is_never_repeated_blindly() {
    check(
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 lost
         5ms #4 row a v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 create a v1
            4ms #3 lost
                  #4 get a
            5ms #4 row a v1
                  save
                  archive v1
                  a created: created and switched on
                  summary: 1 plugin in 5 ms: 1 created
        "#]],
    );
}

#[test]
fn a_row_that_appears_meanwhile_is_updated() {
    check(
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 taken
         5ms #4 row a theirs
         6ms #5 kept
         7ms #6 row a v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 create a v1
            4ms #3 taken
                  #4 get a
            5ms #4 row a theirs
                  #5 keep theirs
            6ms #5 kept
                  #6 update a v1
            7ms #6 row a v1
                  save
                  archive v1
                  a updated: updated; the text on the server was not ours, a copy is in the/copy.py
                  summary: 1 plugin in 7 ms: 1 updated
        "#]],
    );
}

#[test]
fn a_server_that_goes_is_tried_less_and_less_and_gets_the_newest_text_once() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 unreachable
         100ms write a v3
         200ms write a v4
         511ms wake
         512ms #2 unreachable
         1512ms wake
         1513ms #3 unreachable 20
         2000ms wake
         21513ms wake
         21514ms #4 connected
         21515ms #5 rows a=v1
         21516ms #6 row a v1
         21517ms #7 row a v4",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 unreachable
                  save
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            100ms write a v3
            200ms write a v4
            511ms wake
                  a waiting: waiting: the server is away
                  #2 connect
            512ms #2 unreachable
                  still_unreachable: still unreachable: connection refused (try 2, next in 1.0 s)
            1512ms wake
                  #3 connect
            1513ms #3 unreachable 20
                  still_unreachable: still unreachable: too many requests (try 3, next in 20 s)
            2000ms wake
            21513ms wake
                  #4 connect
            21514ms #4 connected
                  #5 overview of functions
            21515ms #5 rows a=v1
                  a sending: on its way (edited)
                  #6 get a
            21516ms #6 row a v1
                  #7 update a v4
            21517ms #7 row a v4
                  back: the server is back after 22 s, 1 plugin to deploy
                  save
                  archive v4
                  a updated: updated
        "#]],
    );
}

#[test]
fn a_server_that_answers_questions_but_no_deploy_is_not_back() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 unreachable
         512ms wake
         513ms #3 connected
         514ms #4 rows a=v1
         515ms #5 row a v1
         516ms #6 unreachable
         1516ms wake
         1517ms #7 connected
         1518ms #8 rows a=v1
         1519ms #9 row a v1
         1520ms #10 unreachable
         3520ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 unreachable
                  save
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            512ms wake
                  #3 connect
            513ms #3 connected
                  #4 overview of functions
            514ms #4 rows a=v1
                  a sending: on its way (retry)
                  #5 get a
            515ms #5 row a v1
                  #6 update a v2
            516ms #6 unreachable
                  save
                  still_unreachable: still unreachable: connection refused (try 2, next in 1.0 s)
                  a waiting: still waiting: the server is away
            1516ms wake
                  #7 connect
            1517ms #7 connected
                  #8 overview of functions
            1518ms #8 rows a=v1
                  a sending: on its way (retry)
                  #9 get a
            1519ms #9 row a v1
                  #10 update a v2
            1520ms #10 unreachable
                  save
                  still_unreachable: still unreachable: connection refused (try 3, next in 2.0 s)
                  a waiting: still waiting: the server is away
            3520ms wake
                  #11 connect
        "#]],
    );
}

#[test]
fn a_server_that_lost_its_data_gets_all_of_it_again() {
    check(
        "0ms given a=v1 b=v1
         10ms write a v2
         11ms #1 unreachable
         511ms wake
         512ms #2 connected
         513ms #3 rows
         514ms #4 absent
         515ms #5 absent",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 unreachable
                  save
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            511ms wake
                  #2 connect
            512ms #2 connected
                  #3 overview of functions
            513ms #3 rows
                  b sending: on its way (missing on server)
                  #4 get b
                  a sending: on its way (retry)
                  #5 get a
            514ms #4 absent
                  #6 create b v1
            515ms #5 absent
                  #7 create a v2
        "#]],
    );
}

#[test]
fn a_bad_key_stops_the_sending_and_is_said_once() {
    check(
        "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 unclear
         10ms write a v2
         2000ms write b v2",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan
                  ready: watching `plugins` (2 plugins) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 unclear
                  not_allowed: the server does not let us in: 401 Unauthorized
            10ms write a v2
                  a waiting: waiting: the server does not let us in
            2000ms write b v2
                  b waiting: waiting: the server does not let us in
        "#]],
    );
}

/// Whether the server is back is being asked just then, and it is not.
#[test]
fn a_save_during_a_look_at_a_server_that_is_away_is_said_to_wait() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 unreachable
         2000ms wake
         2001ms write a v3
         2002ms #2 unreachable
         4000ms wake
         4001ms write a v4
         4002ms #3 connected
         4003ms #4 rows a=v1",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 unreachable
                  save
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            2000ms wake
                  #2 connect
            2001ms write a v3
                  a waiting: waiting: the server is away
            2002ms #2 unreachable
                  still_unreachable: still unreachable: connection refused (try 2, next in 1.0 s)
            4000ms wake
                  #3 connect
            4001ms write a v4
                  a waiting: waiting: the server is away
            4002ms #3 connected
                  #4 overview of functions
            4003ms #4 rows a=v1
                  a sending: on its way (edited)
                  #5 get a
        "#]],
    );
}

#[test]
fn a_key_that_is_taken_back_stops_the_sending() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 unclear
         12ms #2 unclear
         2000ms write a v3
         3000ms rescan
         3001ms #3 connected
         3002ms #4 rows a=v1
         3003ms #5 row a v1
         3004ms #6 row a v3",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 unclear
                  #2 overview of functions
            12ms #2 unclear
                  save
                  not_allowed: the server does not let us in: 401 Unauthorized
                  a waiting: waiting: the server does not let us in
            2000ms write a v3
                  a waiting: waiting: the server does not let us in
            3000ms rescan
                  #3 connect
            3001ms #3 connected
                  #4 overview of functions
            3002ms #4 rows a=v1
                  pass: 1 plugin to compare with the server
                  a sending: on its way (edited)
                  #5 get a
            3003ms #5 row a v1
                  #6 update a v3
            3004ms #6 row a v3
                  back: the server is back after 3.0 s, 1 plugin to deploy
                  save
                  archive v3
                  a updated: updated
                  summary: 1 plugin in 4 ms: 1 updated
        "#]],
    );
}

#[test]
fn an_unclear_answer_with_a_good_key_means_that_it_does_not_exist() {
    check(
        "0ms given b=v1
         10ms write a v1
         11ms #1 unclear
         12ms #2 rows b=v1
         13ms #3 created a
         14ms #4 row a v1",
        &expect![[r#"
            10ms write a v1
                  a sending: on its way (new)
                  #1 get a
            11ms #1 unclear
                  #2 overview of functions
            12ms #2 rows b=v1
                  #3 create a v1
            13ms #3 created a
                  #4 get a
            14ms #4 row a v1
                  save
                  archive v1
                  a created: created and switched on
        "#]],
    );
}

#[test]
fn an_empty_file_is_held_and_a_vanished_one_too() {
    check(
        "0ms given a=v1
         10ms write a empty
         50ms edit a v2
         50ms wake
         51ms #1 row a v1
         52ms #2 row a v2
         5000ms delete a
         5040ms edit a v3
         5040ms wake
         5041ms #3 row a v2
         5042ms #4 row a v3
         9000ms write a empty
         9040ms wake
         9300ms wake
         12000ms delete a
         12040ms wake
         12300ms wake",
        &expect![[r#"
            10ms write a empty
                  held: not complete yet; read again soon
            50ms edit a v2
            50ms wake
                  a sending: on its way (edited)
                  #1 get a
            51ms #1 row a v1
                  #2 update a v2
            52ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
            5000ms delete a
                  held: not complete yet; read again soon
            5040ms edit a v3
            5040ms wake
                  a sending: on its way (edited)
                  #3 get a
            5041ms #3 row a v2
                  #4 update a v3
            5042ms #4 row a v3
                  save
                  archive v3
                  a updated: updated
            9000ms write a empty
                  held: not complete yet; read again soon
            9040ms wake
            9300ms wake
                  a flawed: the file is empty
            12000ms delete a
                  held: not complete yet; read again soon
            12040ms wake
            12300ms wake
                  a removed: removed here; the server keeps it
        "#]],
    );
}

#[test]
fn a_file_that_is_being_written_is_read_again_until_it_is_whole() {
    check(
        "0ms given a=v1
         10ms write a unsettled
         50ms wake
         5000ms wake
         5040ms edit a v2
         5040ms wake",
        &expect![[r#"
            10ms write a unsettled
                  held: not complete yet; read again soon
            50ms wake
            5000ms wake
            5040ms edit a v2
            5040ms wake
                  a sending: on its way (edited)
                  #1 get a
        "#]],
    );
}

#[test]
fn a_broken_file_is_told_with_its_place_and_never_sent() {
    check(
        "0ms given a=v1
         10ms write a broken
         2000ms write a broken
         3000ms rescan
         3001ms #1 connected
         4000ms write a v1",
        &expect![[r#"
            10ms write a broken
                  a flawed: invalid Python: expected an expression or a ')'
            2000ms write a broken
                  a flawed: invalid Python: expected an expression or a ')'
            3000ms rescan
                  #1 connect
            3001ms #1 connected
                  summary: 1 plugin in 1 ms: 1 skipped
            4000ms write a v1
                  a unchanged: unchanged
        "#]],
    );
}

#[test]
fn two_files_with_one_id_are_both_named_and_neither_is_sent() {
    check(
        "0ms edit a v1
         0ms edit b as a v2
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v1
         10ms write b as a v3
         20ms delete b
         320ms wake
         330ms write c as a v4
         340ms write c v1",
        &expect![[r#"
            0ms edit a v1
            0ms edit b as a v2
            0ms rescan
                  a conflict: not deployed: `plugins/a.py` and `plugins/b.py` claim this id
                  ready: watching `plugins` (2 plugins) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.12.4
                  summary: 2 plugins in 2 ms: 2 skipped
            10ms write b as a v3
                  a conflict: not deployed: `plugins/a.py` and `plugins/b.py` claim this id
            20ms delete b
                  held: not complete yet; read again soon
            320ms wake
                  a sending: on its way (new)
                  #3 get a
            330ms write c as a v4
                  a conflict: not deployed: `plugins/a.py` and `plugins/c.py` claim this id
            340ms write c v1
        "#]],
    );
}

#[test]
fn a_rename_that_keeps_the_id_is_no_conflict_and_no_removal() {
    check(
        "0ms edit a as x v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows x=v0
         3ms #3 row x v0
         4ms #4 kept
         5ms #5 row x v1
         5000ms remove a
         5000ms write b as x v1
         5001ms delete a
         5041ms wake
         5301ms wake",
        &expect![[r#"
            0ms edit a as x v1
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows x=v0
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  x sending: on its way (new)
                  #3 get x
            3ms #3 row x v0
                  #4 keep v0
            4ms #4 kept
                  #5 update x v1
            5ms #5 row x v1
                  save
                  archive v1
                  x updated: updated; the text on the server was not ours, a copy is in the/copy.py
                  summary: 1 plugin in 5 ms: 1 updated
            5000ms remove a
            5000ms write b as x v1
                  held: not complete yet; read again soon
                  x unchanged: unchanged
            5001ms delete a
            5041ms wake
            5301ms wake
        "#]],
    );
}

#[test]
fn a_rename_that_changes_the_id_says_what_becomes_of_the_old_one() {
    check(
        "0ms given a=v1
         5000ms write a as b v1
         5001ms #1 absent
         5002ms #2 created b
         5003ms #3 row b v1 off",
        &expect![[r#"
            5000ms write a as b v1
                  b id_changed: was `a` before, which the server keeps as well
                  b sending: on its way (new)
                  #1 get b
            5001ms #1 absent
                  #2 create b v1
            5002ms #2 created b
                  #3 get b
            5003ms #3 row b v1 off
                  save
                  archive v1
                  b created: created, switched off
        "#]],
    );
}

#[test]
fn what_the_walk_does_not_find_is_looked_at_again() {
    check(
        "0ms given a=v1
         10ms remove a
         10ms rescan
         11ms #1 connected
         350ms wake",
        &expect![[r#"
            10ms remove a
            10ms rescan
                  held: not complete yet; read again soon
                  #1 connect
            11ms #1 connected
                  #2 overview of functions
            350ms wake
                  a removed: removed here; the server keeps it
        "#]],
    );
}

#[test]
fn a_deploy_that_takes_long_is_said_to_be_on_its_way_once() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         2000ms wake
         3010ms wake
         9000ms wake
         60000ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            2000ms wake
            3010ms wake
                  a slow: still on its way after 3.0 s
            9000ms wake
            60000ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
        "#]],
    );
}

#[test]
fn a_stop_finishes_what_is_in_flight() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms stop
         12ms #1 row a v1
         13ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms stop
                  stopping: stopping; 1 plugin on the way first (once more stops at once)
            12ms #1 row a v1
                  #2 update a v2
            13ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
                  stopped: stopped
                  exit Fine
        "#]],
    );
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms stop
         10011ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms stop
                  stopping: stopping; 1 plugin on the way first (once more stops at once)
            10011ms wake
                  a slow: still on its way after 10 s
                  stopped: stopped; 1 plugin not deployed, which the next start comes back to
                  exit Fine
        "#]],
    );
}

/// It could arrive after a newer text, if another engine went on without knowing of it.
#[test]
fn what_is_in_flight_is_finished_before_another_engine_goes_on() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms replace
         3010ms wake
         3011ms wake
         3500ms write a v3
         600000ms wake
         600001ms #1 row a v1
         600002ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms replace
            3010ms wake
                  a slow: still on its way after 3.0 s
            3011ms wake
                  settings_wait: the new settings, and every save, wait for what is still on its way: `a`
            3500ms write a v3
            600000ms wake
            600001ms #1 row a v1
                  #2 update a v2
            600002ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
                  exit Fine
        "#]],
    );
}

#[test]
fn a_stop_is_not_put_off_by_what_another_engine_would_wait_for() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms replace
         12ms stop
         13ms replace
         10012ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms replace
            12ms stop
                  stopping: stopping; 1 plugin on the way first (once more stops at once)
            13ms replace
            10012ms wake
                  a slow: still on its way after 10 s
                  stopped: stopped; 1 plugin not deployed, which the next start comes back to
                  exit Fine
        "#]],
    );
}

fn once() -> Policy {
    Policy { once: Some(Duration::from_secs(2)), ..policy() }
}

#[test]
fn one_pass_ends_with_a_summary_and_a_code() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a v1
         0ms edit b broken
         0ms edit c v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v1
         4ms #3 refused
         5ms #4 absent",
        &expect![[r#"
            0ms edit a v1
            0ms edit b broken
            0ms edit c v1
            0ms rescan
                  flawed: invalid Python: expected an expression or a ')'
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.12.4
                  save
                  archive v1
                  a unchanged: unchanged
                  pass: 1 plugin to compare with the server
                  c sending: on its way (new)
                  #3 create c v1
            4ms #3 refused
                  #4 get c
            5ms #4 absent
                  save
                  c refused: refused by the server: no reason was given
                  summary: 3 plugins in 5 ms: 1 unchanged, 1 refused, 1 skipped
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn one_pass_gives_up_after_its_patience() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 unreachable
         501ms wake
         502ms #2 unreachable
         1502ms wake
         1503ms #3 unreachable",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            1ms #1 unreachable
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms, 1 plugin waiting)
            501ms wake
                  #2 connect
            502ms #2 unreachable
                  still_unreachable: still unreachable: connection refused (try 2, next in 1.0 s)
            1502ms wake
                  #3 connect
            1503ms #3 unreachable
                  gave_up: cannot reach http://server: connection refused (gave up after 1.5 s)
                  exit NoServer
        "#]],
    );
}

#[test]
fn one_pass_is_not_let_in() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 not-allowed",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 not-allowed
                  not_allowed: the server does not let us in: 401 Unauthorized
                  exit NoServer
        "#]],
    );
}

#[test]
fn one_pass_over_nothing_says_so() {
    check_with(
        once(),
        Ledger::default(),
        "0ms edit a other\n0ms rescan\n1ms #1 connected",
        &expect![[r#"
            0ms edit a other
            0ms rescan
                  nothing_found: no plugins in `plugins`
                  exit Usage
                  #1 connect
            1ms #1 connected
                  connected: http://server is Open WebUI 0.12.4
                  exit Usage
        "#]],
    );
}

#[test]
fn a_dry_run_asks_and_changes_nothing() {
    let terms = Terms { dry_run: true, ..policy().terms };
    check_with(
        Policy { terms, ..once() },
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v2
         0ms edit c v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows b=v1 c=v1
         3ms #3 absent
         4ms #4 row b v1",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v2
            0ms edit c v1
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows b=v1 c=v1
                  connected: http://server is Open WebUI 0.12.4
                  c unchanged: unchanged
                  pass: 2 plugins to compare with the server
                  a sending: on its way (new)
                  #3 get a
                  b sending: on its way (new)
                  #4 get b
            3ms #3 absent
                  a would_create: would be created
            4ms #4 row b v1
                  b would_update: would be updated; the text on the server is not ours, a copy would be kept
                  summary: 3 plugins in 4 ms: 1 to create, 1 to update, 1 unchanged; nothing was changed
                  exit Fine
        "#]],
    );
}

#[test]
fn force_sends_what_is_there_already() {
    let terms = Terms { force: true, ..policy().terms };
    check_with(
        Policy { terms, ..once() },
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v1
         3ms #3 row a v1
         4ms #4 row a v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (forced)
                  #3 get a
            3ms #3 row a v1
                  #4 update a v1
            4ms #4 row a v1
                  save
                  archive v1
                  a updated: updated
                  summary: 1 plugin in 4 ms: 1 updated
                  exit Fine
        "#]],
    );
}

#[test]
fn a_function_that_was_created_is_switched_on_when_asked_for() {
    let terms = Terms { activate_new: true, ..policy().terms };
    check_with(
        Policy { terms, ..once() },
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 created a
         5ms #4 row a v1 off
         6ms #5 row a v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 create a v1
            4ms #3 created a
                  #4 get a
            5ms #4 row a v1 off
                  #5 toggle a
            6ms #5 row a v1
                  save
                  archive v1
                  a created: created and switched on
                  summary: 1 plugin in 6 ms: 1 created
                  exit Fine
        "#]],
    );
}

#[test]
fn names_limit_the_work_and_unknown_names_are_an_error() {
    let policy = Policy { only: vec!["b".to_owned(), "plugins/c.py".to_owned()], ..once() };
    check_with(
        policy,
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v1
         0ms edit c v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows b=v1 c=v1",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms edit c v1
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows b=v1 c=v1
                  connected: http://server is Open WebUI 0.12.4
                  save
                  archive v1
                  b unchanged: unchanged
                  save
                  archive v1
                  c unchanged: unchanged
                  summary: 2 plugins in 2 ms: 2 unchanged
                  exit Fine
        "#]],
    );
    let policy = Policy { only: vec!["nobody".to_owned()], ..once() };
    check_with(
        policy,
        Ledger::default(),
        "0ms edit a v1\n0ms rescan",
        &expect![[r#"
        0ms edit a v1
        0ms rescan
              trouble: no plugin has the id or path `nobody`
              exit Usage
              #1 connect
    "#]],
    );
}

#[test]
fn a_ledger_spares_the_next_start_what_was_refused() {
    let first = play(
        policy(),
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v0
         3ms #3 row a v0
         4ms #4 kept
         5ms #5 refused boom",
    );
    let ledger = Ledger::from_json(&first.engine.ledger().to_json()).unwrap();
    assert_eq!(&ledger, first.engine.ledger());
    check_with(
        once(),
        ledger,
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v0",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows a=v0
                  connected: http://server is Open WebUI 0.12.4
                  a refused_before: refused before, not sent again: boom
                  summary: 1 plugin in 2 ms: 1 refused
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn a_server_that_wants_to_be_left_alone_for_ever_is_asked_again() {
    let mut run = play(policy(), Ledger::default(), "0ms edit a v1\n0ms rescan");
    let wish = Reply::Unreachable { cause: "busy".to_owned(), retry_after: Some(Duration::from_secs(u64::MAX)) };
    run.give(Event::Replied(run.tickets[0], wish));
    assert_eq!(run.engine.next_wake(), Some(Duration::from_mins(10)));
}

#[test]
fn a_plugin_that_the_server_cannot_cope_with_does_not_keep_the_others_from_it() {
    check_with(
        Policy { concurrency: NonZeroUsize::MIN, ..policy() },
        Ledger::default(),
        "0ms given a=v1 b=v1
         10ms edit b v2
         10ms write a v2
         20ms #1 unreachable
         600ms write b v2
         700ms wake
         710ms #2 connected
         720ms #3 rows a=v1 b=v1",
        &expect![[r#"
            10ms edit b v2
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            20ms #1 unreachable
                  save
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            600ms write b v2
                  b waiting: waiting: the server is away
            700ms wake
                  #2 connect
            710ms #2 connected
                  #3 overview of functions
            720ms #3 rows a=v1 b=v1
                  b sending: on its way (edited)
                  #4 get b
        "#]],
    );
}

#[test]
fn a_conflict_that_was_over_meanwhile_is_told_again() {
    check(
        "0ms given a=v1
         5000ms edit b as a v2
         5000ms rescan
         5010ms #1 connected
         5020ms #2 rows a=v1
         6000ms edit b v2
         6000ms rescan
         6010ms #3 connected
         6020ms #4 rows a=v1 b=v2
         7000ms edit b as a v2
         7000ms rescan
         7010ms #5 connected
         7020ms #6 rows a=v1 b=v2",
        &expect![[r#"
            5000ms edit b as a v2
            5000ms rescan
                  a conflict: not deployed: `plugins/a.py` and `plugins/b.py` claim this id
                  #1 connect
            5010ms #1 connected
                  #2 overview of functions
            5020ms #2 rows a=v1
                  summary: 2 plugins in 20 ms: 2 skipped
            6000ms edit b v2
            6000ms rescan
                  b id_changed: was `a` before, which the server keeps as well
                  #3 connect
            6010ms #3 connected
                  #4 overview of functions
            6020ms #4 rows a=v1 b=v2
                  a unchanged: unchanged
                  save
                  archive v2
                  b unchanged: unchanged
                  summary: 2 plugins in 20 ms: 2 unchanged
            7000ms edit b as a v2
            7000ms rescan
                  a id_changed: was `b` before, which the server keeps as well
                  a conflict: not deployed: `plugins/a.py` and `plugins/b.py` claim this id
                  #5 connect
            7010ms #5 connected
                  #6 overview of functions
            7020ms #6 rows a=v1 b=v2
                  summary: 2 plugins in 20 ms: 2 skipped
        "#]],
    );
}

#[test]
fn a_pass_does_not_wait_for_ever_for_a_file_that_is_always_written() {
    check_with(
        Policy { once: Some(Duration::ZERO), ..policy() },
        Ledger::default(),
        "0ms edit a unsettled
         0ms rescan
         1ms #1 connected
         9999ms wake
         10040ms wake",
        &expect![[r#"
            0ms edit a unsettled
            0ms rescan
                  held: not complete yet; read again soon
                  #1 connect
            1ms #1 connected
                  connected: http://server is Open WebUI 0.12.4
            9999ms wake
            10040ms wake
                  flawed: cannot be read: it is being written all the time
                  summary: 1 plugin in 10 s: 1 skipped
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn a_save_without_a_change_does_not_take_back_what_the_server_lacks() {
    check_with(
        Policy { concurrency: NonZeroUsize::MIN, ..policy() },
        Ledger::default(),
        "0ms given a=v1 b=v1
         5000ms rescan
         5010ms #1 connected
         5020ms #2 rows
         5030ms write b v1
         5040ms write b v2
         5050ms write b v1
         5060ms #3 absent
         5070ms #4 created a
         5080ms #5 row a v1
         5090ms #6 absent",
        &expect![[r#"
            5000ms rescan
                  #1 connect
            5010ms #1 connected
                  #2 overview of functions
            5020ms #2 rows
                  pass: 2 plugins to compare with the server
                  a sending: on its way (missing on server)
                  #3 get a
            5030ms write b v1
            5040ms write b v2
                  b superseded: a newer save takes its place
            5050ms write b v1
                  b superseded: a newer save takes its place
            5060ms #3 absent
                  #4 create a v1
            5070ms #4 created a
                  #5 get a
            5080ms #5 row a v1
                  save
                  archive v1
                  a created: created and switched on
                  b sending: on its way (missing on server)
                  #6 get b
            5090ms #6 absent
                  #7 create b v1
        "#]],
    );
}

#[test]
fn a_proxy_that_answers_for_its_server_for_a_while_is_told_once_and_asked_again() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5010ms #1 foreign
         5600ms wake
         5610ms #2 foreign
         7000ms wake
         7010ms #3 connected
         7020ms #4 rows a=v1
         7030ms #5 row a v1
         7040ms #6 row a v2",
        &expect![[r#"
            5000ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            5010ms #1 foreign
                  save
                  not_open_webui: http://server does not answer as Open WebUI: a web page
                  a waiting: waiting: the server is away
            5600ms wake
                  #2 connect
            5610ms #2 foreign
                  still_unreachable: still unreachable: a web page (try 2, next in 1.0 s)
            7000ms wake
                  #3 connect
            7010ms #3 connected
                  #4 overview of functions
            7020ms #4 rows a=v1
                  a sending: on its way (retry)
                  #5 get a
            7030ms #5 row a v1
                  #6 update a v2
            7040ms #6 row a v2
                  back: the server is back after 2.0 s, 1 plugin to deploy
                  save
                  archive v2
                  a updated: updated
        "#]],
    );
    check_with(
        Policy { once: Some(Duration::from_secs(30)), ..policy() },
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         10ms #1 foreign",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            10ms #1 foreign
                  not_open_webui: http://server does not answer as Open WebUI: a web page
                  exit NoServer
        "#]],
    );
}

fn old_server() -> Ledger {
    // Version 1 was deployed.
    play(policy(), Ledger::default(), "0ms given a=v1").engine.ledger().clone()
}

fn under_way(sent: &str, replaced: &str) -> BTreeMap<Key, UnderWay> {
    let digest = |version| Digest::of_text(&source("a", version));
    let (sent, replaced) = (digest(sent), digest(replaced));
    BTreeMap::from([(key("a"), UnderWay { ours: vec![sent], replaced: Some(replaced), was_active: true })])
}

#[test]
fn an_old_server_is_sent_nothing_before_it_is_noted_that_the_function_is_on() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 old
         12ms #2 noted
         13ms #3 refused boom
         14ms #4 row a v1 old off
         15ms #5 row a v1 old off
         16ms #6 row a v1 old",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1 old
                  #2 note that a is on
            12ms #2 noted
                  #3 update a v2
            13ms #3 refused boom
                  #4 get a
            14ms #4 row a v1 old off
                  #5 update a v1
            15ms #5 row a v1 old off
                  #6 toggle a
            16ms #6 row a v1 old
                  unnote a
                  save
                  a refused: refused by the server: boom
                  a restored: the server had switched it off; it is on again
        "#]],
    );
}

#[test]
fn a_note_that_cannot_be_written_means_that_nothing_is_sent() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 old
         12ms #2 not-noted",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1 old
                  #2 note that a is on
            12ms #2 not-noted
                  unnote a
                  save
                  a failed: what must be on disk before anything is sent could not be written: disk full
        "#]],
    );
}

#[test]
fn what_a_crash_left_switched_off_is_switched_on_at_the_next_start() {
    check_with(
        policy(),
        Memory { ledger: old_server(), under_way: under_way("v2", "v1"), ..Memory::default() },
        "0ms edit a v2
         0ms rescan
         1ms #1 connected 0.11.4
         2ms #2 rows a=v1
         3ms #3 row a v1 old off
         4ms #4 row a v1 old off
         5ms #5 row a v1 old
         6ms #6 row a v1 old",
        &expect![[r#"
            0ms edit a v2
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected 0.11.4
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.11.4
                  pass: 1 plugin to compare with the server
                  #3 get a
            3ms #3 row a v1 old off
                  #4 update a v1
            4ms #4 row a v1 old off
                  #5 toggle a
            5ms #5 row a v1 old
                  save
                  unnote a
                  a restored: the server had switched it off; it is on again
                  a sending: on its way (edited)
                  #6 get a
            6ms #6 row a v1 old
                  #7 note that a is on
        "#]],
    );
}

#[test]
fn what_a_crash_left_is_made_good_also_without_a_file() {
    check_with(
        policy(),
        Memory { ledger: old_server(), under_way: under_way("v2", "v1"), ..Memory::default() },
        "0ms rescan
         1ms #1 connected 0.11.4
         2ms #2 row a v1 old off
         3ms #3 row a v1 old off
         4ms #4 row a v1 old",
        &expect![[r#"
            0ms rescan
                  ready: watching `plugins` (0 plugins) for http://server
                  nothing_found: no plugins in `plugins`
                  #1 connect
            1ms #1 connected 0.11.4
                  connected: http://server is Open WebUI 0.11.4
                  pass: 1 plugin to compare with the server
                  #2 get a
            2ms #2 row a v1 old off
                  #3 update a v1
            3ms #3 row a v1 old off
                  #4 toggle a
            4ms #4 row a v1 old
                  save
                  unnote a
                  a restored: the server had switched it off; it is on again
                  summary: 0 plugins in 4 ms
        "#]],
    );
}

#[test]
fn what_somebody_else_has_changed_since_a_crash_is_left_alone() {
    check_with(
        policy(),
        Memory { ledger: old_server(), under_way: under_way("v2", "v1"), ..Memory::default() },
        "0ms rescan
         1ms #1 connected 0.11.4
         2ms #2 row a v9 old off",
        &expect![[r#"
            0ms rescan
                  ready: watching `plugins` (0 plugins) for http://server
                  nothing_found: no plugins in `plugins`
                  #1 connect
            1ms #1 connected 0.11.4
                  connected: http://server is Open WebUI 0.11.4
                  pass: 1 plugin to compare with the server
                  #2 get a
            2ms #2 row a v9 old off
                  save
                  unnote a
                  a recovered: an earlier deploy was cut short; it runs as it is stored
                  summary: 0 plugins in 2 ms
        "#]],
    );
}

#[test]
fn an_update_that_an_absence_swallowed_is_made_good_before_anything_else() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 old
         12ms #2 noted
         13ms #3 lost
         14ms #4 unreachable
         600ms wake
         601ms #5 connected 0.11.4
         602ms #6 rows a=v1
         603ms #7 row a v1 old off
         604ms #8 row a v1 old off
         605ms #9 row a v1 old
         606ms #10 row a v1 old
         607ms #11 noted
         608ms #12 row a v2 old",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1 old
                  #2 note that a is on
            12ms #2 noted
                  #3 update a v2
            13ms #3 lost
                  #4 get a
            14ms #4 unreachable
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            600ms wake
                  #5 connect
            601ms #5 connected 0.11.4
                  #6 overview of functions
            602ms #6 rows a=v1
                  connected: http://server is Open WebUI 0.11.4
                  #7 get a
            603ms #7 row a v1 old off
                  #8 update a v1
            604ms #8 row a v1 old off
                  #9 toggle a
            605ms #9 row a v1 old
                  back: the server is back after 591 ms, 1 plugin to deploy
                  save
                  unnote a
                  a restored: the server had switched it off; it is on again
                  a sending: on its way (retry)
                  #10 get a
            606ms #10 row a v1 old
                  #11 note that a is on
            607ms #11 noted
                  #12 update a v2
            608ms #12 row a v2 old
                  unnote a
                  save
                  archive v2
                  a updated: updated
        "#]],
    );
}

/// No version of the server flips a switch when it takes a text, so somebody else did.
#[test]
fn who_switches_a_function_off_during_an_update_has_his_way() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 row a v2 off",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 row a v2 off
                  save
                  archive v2
                  a updated: updated
        "#]],
    );
    let versioned_and_lost = "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 lost
         13ms #3 row a v1 off";
    check(
        versioned_and_lost,
        &expect![[r#"
        10ms write a v2
              a sending: on its way (edited)
              #1 get a
        11ms #1 row a v1
              #2 update a v2
        12ms #2 lost
              #3 get a
        13ms #3 row a v1 off
              save
              unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
              a waiting: waiting: the server is away
    "#]],
    );
}

/// A refused connection carries nothing out: what was noted for a crash must not undo later what an admin does.
#[test]
fn what_was_certainly_not_carried_out_leaves_no_note() {
    check_with(
        policy(),
        old_server(),
        "0ms edit a v2
         0ms rescan
         1ms #1 connected 0.9.6
         2ms #2 rows a=v1
         3ms #3 row a v1 old
         4ms #4 noted
         5ms #5 unreachable",
        &expect![[r#"
            0ms edit a v2
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected 0.9.6
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.9.6
                  pass: 1 plugin to compare with the server
                  a sending: on its way (edited)
                  #3 get a
            3ms #3 row a v1 old
                  #4 note that a is on
            4ms #4 noted
                  #5 update a v2
            5ms #5 unreachable
                  unnote a
                  save
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
        "#]],
    );
}

/// The server has run the text and could not store it: what runs is made good when it is back.
#[test]
fn what_the_server_ran_and_could_not_store_is_made_good() {
    check_with(
        policy(),
        old_server(),
        "0ms edit a v2
         0ms rescan
         1ms #1 connected 0.9.6
         2ms #2 rows a=v1
         3ms #3 row a v1 old
         4ms #4 noted
         5ms #5 stumbled
         505ms wake
         506ms #6 connected 0.9.6
         507ms #7 rows a=v1
         508ms #8 row a v1 old
         509ms #9 row a v1 old
         510ms #10 row a v1 old",
        &expect![[r#"
            0ms edit a v2
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected 0.9.6
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.9.6
                  pass: 1 plugin to compare with the server
                  a sending: on its way (edited)
                  #3 get a
            3ms #3 row a v1 old
                  #4 note that a is on
            4ms #4 noted
                  #5 update a v2
            5ms #5 stumbled
                  save
                  unreachable: cannot reach http://server: the server's database is locked (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            505ms wake
                  #6 connect
            506ms #6 connected 0.9.6
                  #7 overview of functions
            507ms #7 rows a=v1
                  #8 get a
            508ms #8 row a v1 old
                  #9 update a v1
            509ms #9 row a v1 old
                  back: the server is back after 504 ms, 1 plugin to deploy
                  save
                  unnote a
                  a recovered: an earlier deploy was cut short; it runs as it is stored
                  a sending: on its way (retry)
                  #10 get a
            510ms #10 row a v1 old
                  #11 note that a is on
        "#]],
    );
}

/// The very text that the server holds is refused when it is forced there: it needs something that is gone.
#[test]
fn a_refused_text_that_the_server_held_before_is_a_refusal() {
    let terms = Terms { force: true, ..policy().terms };
    check_with(
        Policy { terms, ..policy() },
        old_server(),
        "0ms edit a v1
         0ms rescan
         1ms #1 connected 0.9.6
         2ms #2 rows a=v1
         3ms #3 row a v1 old
         4ms #4 noted
         5ms #5 refused No module named 'x'
         6ms #6 row a v1 old off
         7ms #7 refused No module named 'x'
         8ms #8 row a v1 old off
         9ms #9 row a v1 old",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected 0.9.6
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.9.6
                  pass: 1 plugin to compare with the server
                  a sending: on its way (forced)
                  #3 get a
            3ms #3 row a v1 old
                  #4 note that a is on
            4ms #4 noted
                  #5 update a v1
            5ms #5 refused No module named 'x'
                  #6 get a
            6ms #6 row a v1 old off
                  #7 update a v1
            7ms #7 refused No module named 'x'
                  #8 get a
            8ms #8 row a v1 old off
                  #9 toggle a
            9ms #9 row a v1 old
                  unnote a
                  save
                  a refused: refused by the server: No module named 'x'
                  a restored: the server had switched it off; it is on again
                  summary: 1 plugin in 9 ms: 1 refused
        "#]],
    );
}

/// Somebody has pasted the file's text back in the browser: the rollback is over, though nothing is sent.
#[test]
fn a_rollback_ends_when_the_server_holds_the_files_text_again() {
    check(
        "0ms given a=v2
         10ms rolled-back a v2 v1
         11ms write a v2
         20ms rescan
         21ms #1 connected
         22ms #2 rows a=v2",
        &expect![[r#"
            10ms rolled-back a v2 v1
            11ms write a v2
                  a rolled_back: rolled back; deployed again when the file changes
            20ms rescan
                  #1 connect
            21ms #1 connected
                  #2 overview of functions
            22ms #2 rows a=v2
                  end the rollback of a
                  a unchanged: unchanged
                  summary: 1 plugin in 2 ms: 1 unchanged
        "#]],
    );
}

#[test]
fn a_remote_edit_is_held_where_the_user_wants_to_decide() {
    let terms = Terms { on_remote_edit: OnRemoteEdit::Hold, ..policy().terms };
    check_with(
        Policy { terms, ..policy() },
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v9 b=v1
         3ms #3 row a v9
         2010ms write a v2
         2011ms #4 row a v9
         4020ms write b v2
         4021ms #5 row b v1
         4022ms #6 noted
         4023ms #7 row b v2
         6030ms write a v9
         6031ms #8 row a v9",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan
                  ready: watching `plugins` (2 plugins) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows a=v9 b=v1
                  connected: http://server is Open WebUI 0.12.4
                  save
                  archive v1
                  b unchanged: unchanged
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 get a
            3ms #3 row a v9
                  a remote_edit: not deployed: somebody else has changed it on the server (version v9)
                  summary: 2 plugins in 3 ms: 1 unchanged, 1 held back
            2010ms write a v2
                  a sending: on its way (new)
                  #4 get a
            2011ms #4 row a v9
                  a remote_edit: not deployed: somebody else has changed it on the server (version v9)
            4020ms write b v2
                  b sending: on its way (edited)
                  #5 get b
            4021ms #5 row b v1
                  #6 note that b is on
            4022ms #6 noted
                  #7 update b v2
            4023ms #7 row b v2
                  unnote b
                  save
                  archive v2
                  b updated: updated
            6030ms write a v9
                  a sending: on its way (new)
                  #8 get a
            6031ms #8 row a v9
                  save
                  archive v9
                  a unchanged: unchanged
        "#]],
    );
}

#[test]
fn force_ends_a_hold_and_keeps_a_copy() {
    let terms = Terms { on_remote_edit: OnRemoteEdit::Hold, force: true, ..policy().terms };
    check_with(
        Policy { terms, once: Some(Duration::ZERO), ..policy() },
        Ledger::default(),
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v9
         3ms #3 row a v9
         4ms #4 kept
         5ms #5 noted
         6ms #6 row a v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows a=v9
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (forced)
                  #3 get a
            3ms #3 row a v9
                  #4 keep v9
            4ms #4 kept
                  #5 note that a is on
            5ms #5 noted
                  #6 update a v1
            6ms #6 row a v1
                  unnote a
                  save
                  archive v1
                  a updated: updated; the text on the server was not ours, a copy is in the/copy.py
                  summary: 1 plugin in 6 ms: 1 updated
                  exit Fine
        "#]],
    );
}

#[test]
fn a_remote_edit_is_overwritten_where_the_user_wants_that() {
    let terms = Terms { on_remote_edit: OnRemoteEdit::Overwrite, ..policy().terms };
    check_with(
        Policy { terms, ..policy() },
        Ledger::default(),
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v9
         12ms #2 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v9
                  #2 update a v2
            12ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
        "#]],
    );
}

#[test]
fn what_was_rolled_back_is_deployed_when_the_file_changes() {
    check(
        "0ms given a=v2
         10ms rolled-back a v2 v1
         11ms write a v2
         20ms rescan
         21ms #1 connected
         22ms #2 rows a=v1
         30ms write a v3
         31ms #3 row a v1
         32ms #4 row a v3
         5000ms write a v2
         5001ms #5 row a v3
         5002ms #6 row a v2",
        &expect![[r#"
            10ms rolled-back a v2 v1
            11ms write a v2
                  a rolled_back: rolled back; deployed again when the file changes
            20ms rescan
                  #1 connect
            21ms #1 connected
                  #2 overview of functions
            22ms #2 rows a=v1
                  a rolled_back: rolled back; deployed again when the file changes
                  summary: 1 plugin in 2 ms: 1 held back
            30ms write a v3
                  a sending: on its way (edited)
                  #3 get a
            31ms #3 row a v1
                  #4 update a v3
            32ms #4 row a v3
                  end the rollback of a
                  save
                  archive v3
                  a updated: updated
            5000ms write a v2
                  a sending: on its way (edited)
                  #5 get a
            5001ms #5 row a v3
                  #6 update a v2
            5002ms #6 row a v2
                  save
                  archive v2
                  a updated: updated
        "#]],
    );
}

#[test]
fn a_plugin_that_is_there_under_another_id_is_not_created() {
    check_with(
        Policy { once: Some(Duration::ZERO), ..policy() },
        Ledger::default(),
        "0ms edit a v1~Shout
         0ms edit b v1~Whisper
         0ms edit c v1~Whisper
         0ms rescan
         1ms #1 connected
         2ms #2 rows old=v0~Shout c=v1~Whisper
         4ms #3 created b
         5ms #4 row b v1~Whisper off",
        &expect![[r#"
            0ms edit a v1~Shout
            0ms edit b v1~Whisper
            0ms edit c v1~Whisper
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows old=v0~Shout c=v1~Whisper
                  connected: http://server is Open WebUI 0.12.4
                  save
                  archive v1
                  c unchanged: unchanged
                  pass: 2 plugins to compare with the server
                  a sending: on its way (new)
                  a twin: not created: the server has a plugin with the same title and author as `old`
                  b sending: on its way (new)
                  #3 create b v1
            4ms #3 created b
                  #4 get b
            5ms #4 row b v1~Whisper off
                  save
                  archive v1
                  b created: created, switched off
                  summary: 3 plugins in 5 ms: 1 created, 1 unchanged, 1 held back
                  exit NotDeployed
        "#]],
    );
}

#[test]
fn a_saved_plugin_s_twin_is_looked_for() {
    check(
        "0ms given b=v1~Whisper
         10ms write a v1~Shout
         11ms #1 absent
         12ms #2 rows old=v0~Shout
         20ms write c v1~Whisper
         21ms #3 absent
         22ms #4 rows b=v1~Whisper
         23ms #5 created c
         24ms #6 row c v1~Whisper off
         30ms write d v1~Hum
         31ms #7 absent
         32ms #8 not-allowed
         33ms #9 created d",
        &expect![[r#"
            10ms write a v1~Shout
                  a sending: on its way (new)
                  #1 get a
            11ms #1 absent
                  #2 overview of functions
            12ms #2 rows old=v0~Shout
                  a twin: not created: the server has a plugin with the same title and author as `old`
            20ms write c v1~Whisper
                  c sending: on its way (new)
                  #3 get c
            21ms #3 absent
                  #4 overview of functions
            22ms #4 rows b=v1~Whisper
                  #5 create c v1
            23ms #5 created c
                  #6 get c
            24ms #6 row c v1~Whisper off
                  save
                  archive v1
                  c created: created, switched off
            30ms write d v1~Hum
                  d sending: on its way (new)
                  #7 get d
            31ms #7 absent
                  #8 overview of functions
            32ms #8 not-allowed
                  #9 create d v1
            33ms #9 created d
                  #10 get d
        "#]],
    );
}

#[test]
fn a_twin_is_ignored_where_the_user_says_so() {
    let terms = Terms { adopt: Adopt::Never, ..policy().terms };
    check_with(
        Policy { terms, ..policy() },
        Ledger::default(),
        "0ms edit a v1~Shout
         0ms rescan
         1ms #1 connected
         2ms #2 rows old=v0~Shout
         4ms #3 created a",
        &expect![[r#"
            0ms edit a v1~Shout
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows old=v0~Shout
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 create a v1
            4ms #3 created a
                  #4 get a
        "#]],
    );
}

/// The server's network may have been down.
#[test]
fn what_could_not_be_installed_is_tried_again_when_it_is_saved_again() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 refused Command '['python', '-m', 'pip', 'install', 'x']' returned non-zero exit status 1.
         100ms rescan
         101ms #3 connected
         102ms #4 rows a=v1
         2000ms write a v2
         2001ms #5 row a v1
         2002ms #6 refused No module named 'x'
         4000ms write a v2",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 refused Command '['python', '-m', 'pip', 'install', 'x']' returned non-zero exit status 1.
                  save
                  a refused: refused by the server: Command '['python', '-m', 'pip', 'install', 'x']' returned non-zero exit status 1.
            100ms rescan
                  #3 connect
            101ms #3 connected
                  #4 overview of functions
            102ms #4 rows a=v1
                  a refused_before: refused before, not sent again: Command '['python', '-m', 'pip', 'install', 'x']' returned non-zero exit status 1.
                  summary: 1 plugin in 2 ms: 1 refused
            2000ms write a v2
                  save
                  a sending: on its way (retry)
                  #5 get a
            2001ms #5 row a v1
                  #6 update a v2
            2002ms #6 refused No module named 'x'
                  save
                  a refused: refused by the server: No module named 'x'
            4000ms write a v2
                  save
                  a sending: on its way (retry)
                  #7 get a
        "#]],
    );
}

/// A server whose disk is full, say, answers each look and no deploy: it goes once and comes back once.
#[test]
fn a_server_that_only_fails_at_deploys_is_told_of_once() {
    check(
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 unreachable
         504ms wake
         505ms #4 connected
         506ms #5 rows
         507ms #6 absent
         508ms #7 unreachable
         1508ms wake
         1509ms #8 connected
         1510ms #9 rows
         1511ms #10 absent
         1512ms #11 unreachable
         2000ms write a v2
         3512ms wake
         3513ms #12 connected
         3514ms #13 rows
         3515ms #14 absent
         3516ms #15 created a
         3517ms #16 row a v2",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 create a v1
            4ms #3 unreachable
                  save
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            504ms wake
                  #4 connect
            505ms #4 connected
                  #5 overview of functions
            506ms #5 rows
                  a sending: on its way (retry)
                  #6 get a
            507ms #6 absent
                  #7 create a v1
            508ms #7 unreachable
                  save
                  still_unreachable: still unreachable: connection refused (try 2, next in 1.0 s)
                  a waiting: still waiting: the server is away
            1508ms wake
                  #8 connect
            1509ms #8 connected
                  #9 overview of functions
            1510ms #9 rows
                  a sending: on its way (retry)
                  #10 get a
            1511ms #10 absent
                  #11 create a v1
            1512ms #11 unreachable
                  save
                  still_unreachable: still unreachable: connection refused (try 3, next in 2.0 s)
                  a waiting: still waiting: the server is away
            2000ms write a v2
            3512ms wake
                  a waiting: waiting: the server is away
                  #12 connect
            3513ms #12 connected
                  #13 overview of functions
            3514ms #13 rows
                  a sending: on its way (edited)
                  #14 get a
            3515ms #14 absent
                  #15 create a v2
            3516ms #15 created a
                  #16 get a
            3517ms #16 row a v2
                  back: the server is back after 3.5 s, 1 plugin to deploy
                  save
                  archive v2
                  a created: created and switched on
                  summary: 1 plugin in 3.5 s: 1 created
        "#]],
    );
}

/// What was in it is not known to be gone, nor to be there.
#[test]
fn nothing_is_said_or_done_about_the_files_of_a_root_that_is_gone() {
    check(
        "0ms given a=v1 b=v1
         5ms write c broken
         10ms root gone
         10ms rescan
         11ms #1 connected
         12ms #2 rows a=v9 b=v1
         20ms root back
         20ms rescan
         21ms #3 connected
         22ms #4 rows a=v9 b=v1",
        &expect![[r#"
            5ms write c broken
                  flawed: invalid Python: expected an expression or a ')'
            10ms root gone
            10ms rescan
                  root_missing: `plugins` is not there; nothing changes on the server
                  #1 connect
            11ms #1 connected
                  #2 overview of functions
            12ms #2 rows a=v9 b=v1
                  summary: 0 plugins in 2 ms
            20ms root back
            20ms rescan
                  #3 connect
            21ms #3 connected
                  #4 overview of functions
            22ms #4 rows a=v9 b=v1
                  b unchanged: unchanged
                  pass: 1 plugin to compare with the server
                  a sending: on its way (changed on server)
                  #5 get a
        "#]],
    );
}

/// Three plugins that we have deployed, and what is done about a deleted file.
fn leaving(on_delete: OnDelete, script: &str, expected: &Expect) {
    let deployed = "0ms edit a v1
         0ms edit b v1
         0ms edit c v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 created a
         4ms #4 created b
         5ms #5 row a v1
         5ms #6 row b v1
         7ms #7 created c
         8ms #8 row c v1";
    let mut run = play(Policy { on_delete, ..policy() }, Ledger::default(), deployed);
    run.tickets.clear();
    run.log.clear();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        run.line(line);
    }
    expected.assert_eq(&run.log);
}

#[test]
fn a_file_that_stays_gone_takes_its_plugin_along_where_the_user_wants_that() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         10000ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v1
         32352ms #2 kept
         32353ms #3 deleted
         32354ms #4 absent
         33000ms write a v1
         33001ms #5 absent
         33002ms #6 created a
         33003ms #7 row a v1 off",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            10000ms wake
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 row a v1
                  #2 keep v1
            32352ms #2 kept
                  #3 delete a
            32353ms #3 deleted
                  #4 get a
            32354ms #4 absent
                  save
                  a deleted: deleted on the server, since its file is gone; a copy is in the/copy.py
            33000ms write a v1
                  a sending: on its way (new)
                  #5 get a
            33001ms #5 absent
                  #6 create a v1
            33002ms #6 created a
                  #7 get a
            33003ms #7 row a v1 off
                  save
                  archive v1
                  a created: created, switched off
        "#]],
    );
}

#[test]
fn a_file_that_comes_back_changes_nothing() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         9000ms write a v1
         40000ms wake",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            9000ms write a v1
                  a unchanged: unchanged
            40000ms wake
        "#]],
    );
}

#[test]
fn what_was_changed_on_the_server_is_not_taken_away() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v9",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 row a v9
                  a spared: the server keeps it: it was changed there
        "#]],
    );
}

#[test]
fn a_copy_that_cannot_be_kept_means_that_nothing_is_deleted() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v1
         32352ms #2 not-kept",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 row a v1
                  #2 keep v1
            32352ms #2 not-kept
                  a failed: what must be on disk before anything is sent could not be written: disk full
        "#]],
    );
}

#[test]
fn a_folder_that_goes_takes_nothing_along() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a all-gone",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a all-gone
                  a spared: the server keeps it: its whole folder is gone, not the file alone
        "#]],
    );
}

/// What is unmounted leaves its folder behind, and Python leaves `__pycache__`.
#[test]
fn a_folder_that_is_left_without_plugins_takes_nothing_along() {
    leaving(
        OnDelete::Delete,
        "1000ms write x/d as d v1
         1001ms #1 absent
         1002ms #2 created d
         1003ms #3 row d v1
         2000ms delete x/d
         2350ms wake
         32350ms wake
         32350ms looked x/d gone",
        &expect![[r#"
            1000ms write x/d as d v1
                  d sending: on its way (new)
                  #1 get d
            1001ms #1 absent
                  #2 create d v1
            1002ms #2 created d
                  #3 get d
            1003ms #3 row d v1
                  save
                  archive v1
                  d created: created and switched on
            2000ms delete x/d
                  held: not complete yet; read again soon
            2350ms wake
                  d removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/x/d.py
            32350ms looked x/d gone
                  d spared: the server keeps it: no other plugin is left in its folder, which may be a share that is not there
        "#]],
    );
}

#[test]
fn when_more_files_go_than_are_left_nothing_is_taken_away() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2000ms delete b
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32350ms looked b gone",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2000ms delete b
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
                  b removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
                  look for plugins/b.py
            32350ms looked a gone
                  a spared: the server keeps it: more files have gone than are left
                  b spared: the server keeps it: more files have gone than are left
            32350ms looked b gone
        "#]],
    );
}

#[test]
fn a_function_is_switched_off_where_the_user_wants_that() {
    leaving(
        OnDelete::Deactivate,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v1
         32352ms #2 row a v1 off
         40000ms write a v1
         41000ms write a v1",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; switched off on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 row a v1
                  save
                  #2 toggle a
            32352ms #2 row a v1 off
                  a deactivated: switched off on the server, since its file is gone
            40000ms write a v1
                  a left_off: its file is back; the function was switched off while it was gone, and is not switched on by itself
                  save
                  a unchanged: unchanged
            41000ms write a v1
                  a unchanged: unchanged
        "#]],
    );
}

#[test]
fn a_function_of_which_nobody_knows_whether_it_was_switched_off_is_mentioned_when_its_file_is_back() {
    leaving(
        OnDelete::Deactivate,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v1
         32352ms #2 lost
         32353ms #3 unreachable
         40000ms write a v2",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; switched off on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 row a v1
                  save
                  #2 toggle a
            32352ms #2 lost
                  #3 get a
            32353ms #3 unreachable
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms)
                  a waiting: waiting: the server is away
            40000ms write a v2
                  a left_off: its file is back; the function was switched off while it was gone, and is not switched on by itself
                  save
                  a waiting: waiting: the server is away
        "#]],
    );
}

#[test]
fn a_removal_waits_for_a_server_that_is_away() {
    leaving(
        OnDelete::Delete,
        "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 unreachable
         32851ms wake
         32852ms #2 connected
         32853ms #3 rows a=v1 b=v1 c=v1
         32853ms wake
         32853ms looked a gone
         32854ms #4 row a v1
         32855ms #5 kept
         32856ms #6 lost
         32857ms #7 absent",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            32350ms wake
                  look for plugins/a.py
            32350ms looked a gone
                  #1 get a
            32351ms #1 unreachable
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms)
                  a waiting: waiting: the server is away
            32851ms wake
                  #2 connect
            32852ms #2 connected
                  #3 overview of functions
            32853ms #3 rows a=v1 b=v1 c=v1
                  b unchanged: unchanged
                  c unchanged: unchanged
                  back: the server is back after 502 ms
            32853ms wake
                  look for plugins/a.py
            32853ms looked a gone
                  #4 get a
            32854ms #4 row a v1
                  #5 keep v1
            32855ms #5 kept
                  #6 delete a
            32856ms #6 lost
                  #7 get a
            32857ms #7 absent
                  save
                  a deleted: deleted on the server, since its file is gone; a copy is in the/copy.py
        "#]],
    );
}

#[test]
fn what_we_did_not_put_there_is_not_taken_away() {
    check_with(
        Policy { on_delete: OnDelete::Delete, ..policy() },
        Ledger::default(),
        "0ms given a=v1 b=v1
         2000ms delete a
         2350ms wake
         40000ms wake",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; the server keeps it
            40000ms wake
        "#]],
    );
}

#[test]
fn nothing_is_taken_away_where_nobody_asked_for_it() {
    leaving(
        OnDelete::Keep,
        "2000ms delete a
         2350ms wake
         40000ms wake
         40000ms looked a gone",
        &expect![[r#"
            2000ms delete a
                  held: not complete yet; read again soon
            2350ms wake
                  a removed: removed here; the server keeps it
            40000ms wake
            40000ms looked a gone
        "#]],
    );
}

/// A single pass sees the disk for a moment only, which tells nobody's wishes.
#[test]
fn a_pass_takes_nothing_away() {
    let deployed = "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         5ms #3 created a
         7ms #4 row a v1";
    check_with(
        Policy { on_delete: OnDelete::Delete, once: Some(Duration::from_mins(1)), ..policy() },
        play(policy(), Ledger::default(), deployed).engine.ledger().clone(),
        "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v1
         3ms delete a
         400ms wake
         40000ms wake
         40000ms looked a gone",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.12.4
                  a unchanged: unchanged
                  pass: 1 plugin to compare with the server
                  b sending: on its way (new)
                  #3 create b v1
            3ms delete a
                  held: not complete yet; read again soon
            400ms wake
                  a removed: removed here; the server keeps it
            40000ms wake
                  b slow: still on its way after 40 s
            40000ms looked a gone
        "#]],
    );
}

#[test]
fn only_so_many_versions_of_one_session_stay() {
    check_with(
        Policy { keep_versions: NonZeroUsize::new(2), ..policy() },
        Ledger::default(),
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 as first
         12ms #2 row a v2 as second
         5000ms write a v3
         5001ms #3 row a v2 as second
         5002ms #4 row a v3 as third
         10000ms write a v4
         10001ms #5 row a v3 as third
         10002ms #6 row a v4 as fourth
         10003ms #7 deleted
         4000000ms write a v5
         4000001ms #8 row a v4 as fourth
         4000002ms #9 row a v5 as fifth",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1 as first
                  #2 update a v2
            12ms #2 row a v2 as second
                  save
                  archive v2
                  a updated: updated
            5000ms write a v3
                  a sending: on its way (edited)
                  #3 get a
            5001ms #3 row a v2 as second
                  #4 update a v3
            5002ms #4 row a v3 as third
                  save
                  archive v3
                  a updated: updated
            10000ms write a v4
                  a sending: on its way (edited)
                  #5 get a
            10001ms #5 row a v3 as third
                  #6 update a v4
            10002ms #6 row a v4 as fourth
                  save
                  archive v4
                  a updated: updated
                  #7 prune second of a
            10003ms #7 deleted
                  a pruned: an older version of this session was taken out of the server's history
            4000000ms write a v5
                  a sending: on its way (edited)
                  #8 get a
            4000001ms #8 row a v4 as fourth
                  #9 update a v5
            4000002ms #9 row a v5 as fifth
                  save
                  archive v5
                  a updated: updated
        "#]],
    );
}

#[test]
fn a_version_that_the_tests_do_not_know_is_told_once() {
    check(
        "0ms edit a v1
         0ms rescan
         1ms #1 connected 0.13.0
         2ms #2 rows a=v1
         10ms rescan
         11ms #3 connected 0.13.0
         12ms #4 rows a=v1",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected 0.13.0
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.13.0
                  untested: Open WebUI 0.13.0 is none of the versions that owui-watch is tested with
                  save
                  archive v1
                  a unchanged: unchanged
                  summary: 1 plugin in 2 ms: 1 unchanged
            10ms rescan
                  #3 connect
            11ms #3 connected 0.13.0
                  #4 overview of functions
            12ms #4 rows a=v1
                  a unchanged: unchanged
                  summary: 1 plugin in 2 ms: 1 unchanged
        "#]],
    );
}

#[test]
fn a_server_that_hides_why_it_refuses_a_new_plugin_is_asked_another_way() {
    check(
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 refused [ERROR: Error creating function]
         5ms #4 absent
         6ms #5 created a
         7ms #6 row a stub
         8ms #7 refused No module named 'x'
         9ms #8 row a stub
         10ms #9 deleted",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 create a v1
            4ms #3 refused [ERROR: Error creating function]
                  #4 get a
            5ms #4 absent
                  #5 create a ?
            6ms #5 created a
                  #6 get a
            7ms #6 row a stub
                  #7 update a v1
            8ms #7 refused No module named 'x'
                  #8 get a
            9ms #8 row a stub
                  #9 delete a
            10ms #9 deleted
                  save
                  a refused: refused by the server: No module named 'x'
                  summary: 1 plugin in 10 ms: 1 refused
        "#]],
    );
}

#[test]
fn a_plugin_that_a_renamed_file_may_be_is_not_taken_away() {
    let mut run = play(
        Policy { on_delete: OnDelete::Delete, ..policy() },
        Ledger::default(),
        "0ms edit a v1~Shout
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows b=v1
         4ms #3 created a
         5ms #4 row a v1~Shout",
    );
    run.tickets.clear();
    run.log.clear();
    let script = "2000ms delete a
         2000ms write c v1~Shout
         2350ms wake
         2351ms #1 absent
         2352ms #2 rows a=v1~Shout b=v1
         32350ms wake
         32350ms looked a gone";
    for line in script.lines().map(str::trim) {
        run.line(line);
    }
    expect![[r#"
        2000ms delete a
              held: not complete yet; read again soon
        2000ms write c v1~Shout
              c sending: on its way (new)
              #1 get c
        2350ms wake
              a removed: removed here; deleted on the server in 30 s unless it comes back
        2351ms #1 absent
              #2 overview of functions
        2352ms #2 rows a=v1~Shout b=v1
              c twin: not created: the server has a plugin with the same title and author as `a`
        32350ms wake
              look for plugins/a.py
        32350ms looked a gone
              a spared: the server keeps it: a new file here may be the same plugin
    "#]]
    .assert_eq(&run.log);
}

/// Which plugin a broken file is cannot be known: it may be the missing one under a new name.
#[test]
fn what_a_broken_file_may_be_is_not_taken_away() {
    leaving(
        OnDelete::Delete,
        "5000ms delete a
         5000ms write d broken
         5301ms wake
         35301ms wake
         35302ms looked a gone
         65302ms wake
         65303ms looked a gone
         70000ms write d as a v2
         70001ms #1 row a v1
         70002ms #2 row a v2
         95303ms wake",
        &expect![[r#"
            5000ms delete a
                  held: not complete yet; read again soon
            5000ms write d broken
                  flawed: invalid Python: expected an expression or a ')'
            5301ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            35301ms wake
                  look for plugins/a.py
            35302ms looked a gone
                  a waiting: waiting: a file here that is broken may be the same plugin; nothing is done on the server before it is mended
            65302ms wake
                  look for plugins/a.py
            65303ms looked a gone
            70000ms write d as a v2
                  a sending: on its way (edited)
                  #1 get a
            70001ms #1 row a v1
                  #2 update a v2
            70002ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
            95303ms wake
        "#]],
    );
    leaving(
        OnDelete::Delete,
        "5000ms delete a
         5000ms write b broken
         5301ms wake
         35301ms wake
         35302ms looked a gone
         40000ms write b v2
         40001ms #1 row b v1
         40002ms #2 row b v2
         65302ms wake
         65303ms looked a gone",
        &expect![[r#"
            5000ms delete a
                  held: not complete yet; read again soon
            5000ms write b broken
                  b flawed: invalid Python: expected an expression or a ')'
            5301ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            35301ms wake
                  look for plugins/a.py
            35302ms looked a gone
                  a waiting: waiting: a file here that is broken may be the same plugin; nothing is done on the server before it is mended
            40000ms write b v2
                  b sending: on its way (edited)
                  #1 get b
            40001ms #1 row b v1
                  #2 update b v2
            40002ms #2 row b v2
                  save
                  archive v2
                  b updated: updated
            65302ms wake
                  look for plugins/a.py
            65303ms looked a gone
                  #3 get a
        "#]],
    );
}

#[test]
fn what_another_file_has_taken_over_is_not_taken_away() {
    leaving(
        OnDelete::Delete,
        "5000ms delete a
         5301ms wake
         6000ms edit d as a v1
         6000ms rescan
         6001ms #1 connected
         6002ms #2 rows a=v1 b=v1 c=v1
         35301ms wake
         35302ms looked a gone",
        &expect![[r#"
            5000ms delete a
                  held: not complete yet; read again soon
            5301ms wake
                  a removed: removed here; deleted on the server in 30 s unless it comes back
            6000ms edit d as a v1
            6000ms rescan
                  #1 connect
            6001ms #1 connected
                  #2 overview of functions
            6002ms #2 rows a=v1 b=v1 c=v1
                  a unchanged: unchanged
                  b unchanged: unchanged
                  c unchanged: unchanged
                  summary: 3 plugins in 2 ms: 3 unchanged
            35301ms wake
                  look for plugins/a.py
            35302ms looked a gone
        "#]],
    );
}

#[test]
fn a_deploy_that_ends_after_a_rollback_undoes_it_and_says_so() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         6000ms rolling-back a v2 v0
         6100ms rolled-back a v2 v0
         7000ms #2 row a v2
         8000ms write a v2",
        &expect![[r#"
            5000ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            5001ms #1 row a v1
                  #2 update a v2
            6000ms rolling-back a v2 v0
            6100ms rolled-back a v2 v0
            7000ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
                  end the rollback of a
                  a rollback_undone: an earlier text was put back while this deploy was under way, which has replaced it
            8000ms write a v2
                  a unchanged: unchanged
        "#]],
    );
}

/// The rollback is not done yet, and comes after it.
#[test]
fn a_deploy_that_ends_before_a_rollback_does_not_undo_it() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         6000ms rolling-back a v2 v0
         6100ms #2 row a v2
         7000ms rolled-back a v2 v0
         8000ms write a v2",
        &expect![[r#"
            5000ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            5001ms #1 row a v1
                  #2 update a v2
            6000ms rolling-back a v2 v0
            6100ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
            7000ms rolled-back a v2 v0
            8000ms write a v2
                  a rolled_back: rolled back; deployed again when the file changes
        "#]],
    );
}

/// A pull has put nothing on the server.
#[test]
fn a_deploy_that_ends_after_a_pull_undoes_nothing() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         6000ms pulled a v1
         7000ms #2 row a v2",
        &expect![[r#"
            5000ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            5001ms #1 row a v1
                  #2 update a v2
            6000ms pulled a v1
            7000ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
        "#]],
    );
}

#[test]
fn what_waits_for_its_turn_while_it_is_rolled_back_is_not_deployed() {
    check(
        "0ms given a=v1
         5000ms write a v2
         7000ms write a v3
         7001ms rolled-back a v3 v0
         7002ms #1 row a v1
         7003ms #2 row a v2
         9000ms write a v4",
        &expect![[r#"
            5000ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            7000ms write a v3
            7001ms rolled-back a v3 v0
            7002ms #1 row a v1
                  #2 update a v2
            7003ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
                  a rollback_undone: an earlier text was put back while this deploy was under way, which has replaced it
                  a rolled_back: rolled back; deployed again when the file changes
            9000ms write a v4
                  a sending: on its way (edited)
                  #3 get a
        "#]],
    );
}

#[test]
fn a_file_that_is_written_again_while_it_is_given_time_is_not_read_half_way() {
    check(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms #2 row a v2
         5100ms write a v3
         5200ms edit a half
         5250ms wake
         5260ms write a v4
         5410ms wake",
        &expect![[r#"
            5000ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            5001ms #1 row a v1
                  #2 update a v2
            5002ms #2 row a v2
                  save
                  archive v2
                  a updated: updated
            5100ms write a v3
            5200ms edit a half
            5250ms wake
                  held: not complete yet; read again soon
            5260ms write a v4
            5410ms wake
                  a sending: on its way (edited)
                  #3 get a
        "#]],
    );
    // Nor is the other file, when two seem to have one id.
    check(
        "0ms given a=v1
         5000ms edit a half
         5001ms write b as a v2
         5100ms write a v3",
        &expect![[r#"
            5000ms edit a half
            5001ms write b as a v2
                  held: not complete yet; read again soon
            5100ms write a v3
                  a conflict: not deployed: `plugins/a.py` and `plugins/b.py` claim this id
        "#]],
    );
}

#[test]
fn what_waits_for_its_turn_and_is_no_plugin_any_more_is_not_deployed() {
    check(
        "0ms given a=v1 b=v1 c=v1
         5000ms write a v2
         5000ms write b v2
         5000ms write c v2
         5001ms edit c broken
         5001ms rescan
         5002ms #1 row a v1
         5002ms #2 row b v1
         5003ms #3 connected
         5004ms #6 rows a=v1 b=v1 c=v1
         5005ms #4 row a v2
         5006ms #5 row b v2",
        &expect![[r#"
            5000ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            5000ms write b v2
                  b sending: on its way (edited)
                  #2 get b
            5000ms write c v2
            5001ms edit c broken
            5001ms rescan
                  c flawed: invalid Python: expected an expression or a ')'
                  #3 connect
            5002ms #1 row a v1
                  #4 update a v2
            5002ms #2 row b v1
                  #5 update b v2
            5003ms #3 connected
                  #6 overview of functions
            5004ms #6 rows a=v1 b=v1 c=v1
                  a unchanged: unchanged
                  b unchanged: unchanged
            5005ms #4 row a v2
                  save
                  archive v2
                  a updated: updated
            5006ms #5 row b v2
                  save
                  archive v2
                  b updated: updated
                  summary: 3 plugins in 5 ms: 2 updated, 1 skipped
        "#]],
    );
}

#[test]
fn what_is_put_there_for_a_moment_is_not_left_behind() {
    check(
        "0ms edit a v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 refused [ERROR: Error creating function]
         5ms #4 absent
         6ms #5 created a
         7ms #6 row a stub
         8ms #7 refused No module named 'x'
         9ms #8 row a stub
         10ms #9 unreachable
         510ms wake
         511ms #10 connected
         512ms #11 rows a=stub
         513ms #12 row a stub
         514ms #13 refused No module named 'x'
         515ms #14 row a stub
         516ms #15 deleted",
        &expect![[r#"
            0ms edit a v1
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows
                  connected: http://server is Open WebUI 0.12.4
                  pass: 1 plugin to compare with the server
                  a sending: on its way (new)
                  #3 create a v1
            4ms #3 refused [ERROR: Error creating function]
                  #4 get a
            5ms #4 absent
                  #5 create a ?
            6ms #5 created a
                  #6 get a
            7ms #6 row a stub
                  #7 update a v1
            8ms #7 refused No module named 'x'
                  #8 get a
            9ms #8 row a stub
                  #9 delete a
            10ms #9 unreachable
                  save
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            510ms wake
                  #10 connect
            511ms #10 connected
                  #11 overview of functions
            512ms #11 rows a=stub
                  a sending: on its way (retry)
                  #12 get a
            513ms #12 row a stub
                  #13 update a v1
            514ms #13 refused No module named 'x'
                  #14 get a
            515ms #14 row a stub
                  #15 delete a
            516ms #15 deleted
                  back: the server is back after 506 ms, 1 plugin to deploy
                  save
                  a refused: refused by the server: No module named 'x'
                  summary: 1 plugin in 516 ms: 1 refused
        "#]],
    );
}

#[test]
fn what_could_not_be_switched_on_again_is_tried_again_soon() {
    check_with(
        policy(),
        old_server(),
        "0ms edit a v2
         0ms rescan
         1ms #1 connected 0.9.6
         2ms #2 rows a=v1
         3ms #3 row a v1 old
         4ms #4 noted
         5ms #5 refused no
         6ms #6 row a v1 old off
         7ms #7 row a v1 old off
         8ms #8 unreachable
         508ms wake
         509ms #9 connected 0.9.6
         510ms #10 rows a=v1
         511ms #11 row a v1 old off
         512ms #12 row a v1 old off
         513ms #13 row a v1 old",
        &expect![[r#"
            0ms edit a v2
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected 0.9.6
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.9.6
                  pass: 1 plugin to compare with the server
                  a sending: on its way (edited)
                  #3 get a
            3ms #3 row a v1 old
                  #4 note that a is on
            4ms #4 noted
                  #5 update a v2
            5ms #5 refused no
                  #6 get a
            6ms #6 row a v1 old off
                  #7 update a v1
            7ms #7 row a v1 old off
                  #8 toggle a
            8ms #8 unreachable
                  save
                  a refused: refused by the server: no
                  a went_off: switched off by the server, and it could not be switched on again: connection refused; tried again when the server answers
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms)
            508ms wake
                  #9 connect
            509ms #9 connected 0.9.6
                  #10 overview of functions
            510ms #10 rows a=v1
                  a refused_before: refused before, not sent again: no
                  #11 get a
            511ms #11 row a v1 old off
                  #12 update a v1
            512ms #12 row a v1 old off
                  #13 toggle a
            513ms #13 row a v1 old
                  back: the server is back after 505 ms
                  save
                  unnote a
                  a restored: the server had switched it off; it is on again
                  summary: 1 plugin in 513 ms: 1 refused
        "#]],
    );
}

#[test]
fn what_may_not_be_switched_on_again_is_tried_again_at_the_next_look() {
    check_with(
        policy(),
        old_server(),
        "0ms edit a v2
         0ms rescan
         1ms #1 connected 0.9.6
         2ms #2 rows a=v1
         3ms #3 row a v1 old
         4ms #4 noted
         5ms #5 refused no
         6ms #6 row a v1 old off
         7ms #7 row a v1 old off
         8ms #8 not-allowed
         5000ms rescan
         5001ms #9 connected 0.9.6
         5002ms #10 rows a=v1
         5003ms #11 row a v1 old off
         5004ms #12 row a v1 old off
         5005ms #13 row a v1 old",
        &expect![[r#"
            0ms edit a v2
            0ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #1 connect
            1ms #1 connected 0.9.6
                  #2 overview of functions
            2ms #2 rows a=v1
                  connected: http://server is Open WebUI 0.9.6
                  pass: 1 plugin to compare with the server
                  a sending: on its way (edited)
                  #3 get a
            3ms #3 row a v1 old
                  #4 note that a is on
            4ms #4 noted
                  #5 update a v2
            5ms #5 refused no
                  #6 get a
            6ms #6 row a v1 old off
                  #7 update a v1
            7ms #7 row a v1 old off
                  #8 toggle a
            8ms #8 not-allowed
                  save
                  a refused: refused by the server: no
                  a went_off: switched off by the server, and it could not be switched on again: 401 Unauthorized; tried again when the server answers
                  unreachable: cannot reach http://server: 401 Unauthorized (next try in 500 ms)
            5000ms rescan
                  ready: watching `plugins` (1 plugin) for http://server
                  #9 connect
            5001ms #9 connected 0.9.6
                  #10 overview of functions
            5002ms #10 rows a=v1
                  a refused_before: refused before, not sent again: no
                  pass: 1 plugin to compare with the server
                  #11 get a
            5003ms #11 row a v1 old off
                  #12 update a v1
            5004ms #12 row a v1 old off
                  #13 toggle a
            5005ms #13 row a v1 old
                  back: the server is back after 5.0 s
                  save
                  unnote a
                  a restored: the server had switched it off; it is on again
                  summary: 1 plugin in 5 ms: 1 refused
        "#]],
    );
}

#[test]
fn what_we_have_sent_is_ours_whether_an_answer_came_or_not() {
    let hold = Policy { terms: Terms { on_remote_edit: OnRemoteEdit::Hold, ..policy().terms }, ..policy() };
    check_with(
        hold,
        Ledger::default(),
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 noted
         13ms #3 lost
         14ms #4 unreachable
         20ms write a v3
         514ms wake
         515ms #5 connected
         516ms #6 rows a=v2
         517ms #7 row a v2
         518ms #8 row a v2",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 note that a is on
            12ms #2 noted
                  #3 update a v2
            13ms #3 lost
                  #4 get a
            14ms #4 unreachable
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            20ms write a v3
            514ms wake
                  a waiting: waiting: the server is away
                  #5 connect
            515ms #5 connected
                  #6 overview of functions
            516ms #6 rows a=v2
                  #7 get a
            517ms #7 row a v2
                  back: the server is back after 503 ms, 1 plugin to deploy
                  save
                  unnote a
                  a recovered: an earlier deploy was cut short; it runs as it is stored
                  a sending: on its way (edited)
                  #8 get a
            518ms #8 row a v2
                  archive v2
                  #9 note that a is on
        "#]],
    );
}

/// It was sent, and then the program was killed, before it had written down that it was.
#[test]
fn what_was_on_its_way_when_the_program_ended_is_ours() {
    let hold = Policy { terms: Terms { on_remote_edit: OnRemoteEdit::Hold, ..policy().terms }, ..policy() };
    let sent = Digest::of_text(&source("a", "v2"));
    let under_way = BTreeMap::from([(key("a"), UnderWay { ours: vec![sent], replaced: None, was_active: true })]);
    let memory = Memory { under_way, ..old_server().into() };
    let run = play(
        hold,
        memory,
        "0ms edit a v3
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v2
         3ms #3 row a v2
         4ms #4 row a v2",
    );
    expect![[r#"
        0ms edit a v3
        0ms rescan
              ready: watching `plugins` (1 plugin) for http://server
              #1 connect
        1ms #1 connected
              #2 overview of functions
        2ms #2 rows a=v2
              connected: http://server is Open WebUI 0.12.4
              pass: 1 plugin to compare with the server
              #3 get a
        3ms #3 row a v2
              save
              unnote a
              a recovered: an earlier deploy was cut short; it runs as it is stored
              a sending: on its way (edited)
              #4 get a
        4ms #4 row a v2
              archive v2
              #5 note that a is on
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn a_flip_that_never_arrived_is_done_again() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 old
         12ms #2 noted
         13ms #3 refused boom
         14ms #4 row a v1 old off
         15ms #5 row a v1 old off
         16ms #6 lost
         17ms #7 row a v1 old off
         18ms #8 row a v1 old",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1 old
                  #2 note that a is on
            12ms #2 noted
                  #3 update a v2
            13ms #3 refused boom
                  #4 get a
            14ms #4 row a v1 old off
                  #5 update a v1
            15ms #5 row a v1 old off
                  #6 toggle a
            16ms #6 lost
                  #7 get a
            17ms #7 row a v1 old off
                  #8 toggle a
            18ms #8 row a v1 old
                  unnote a
                  save
                  a refused: refused by the server: boom
                  a restored: the server had switched it off; it is on again
        "#]],
    );
}

#[test]
fn flips_that_never_arrive_are_done_again_when_the_server_is_back() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1 old
         12ms #2 noted
         13ms #3 refused boom
         14ms #4 row a v1 old off
         15ms #5 row a v1 old off
         16ms #6 lost
         17ms #7 row a v1 old off
         18ms #8 lost
         19ms #9 row a v1 old off
         20ms #10 lost
         21ms #11 row a v1 old off
         22ms #12 lost
         23ms #13 row a v1 old off
         523ms wake",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1 old
                  #2 note that a is on
            12ms #2 noted
                  #3 update a v2
            13ms #3 refused boom
                  #4 get a
            14ms #4 row a v1 old off
                  #5 update a v1
            15ms #5 row a v1 old off
                  #6 toggle a
            16ms #6 lost
                  #7 get a
            17ms #7 row a v1 old off
                  #8 toggle a
            18ms #8 lost
                  #9 get a
            19ms #9 row a v1 old off
                  #10 toggle a
            20ms #10 lost
                  #11 get a
            21ms #11 row a v1 old off
                  #12 toggle a
            22ms #12 lost
                  #13 get a
            23ms #13 row a v1 old off
                  save
                  a refused: refused by the server: boom
                  a went_off: switched off by the server, and it could not be switched on again: no answer came; tried again when the server answers
                  unreachable: cannot reach http://server: no answer came (next try in 500 ms)
            523ms wake
                  #14 connect
        "#]],
    );
}

#[test]
fn a_refused_text_is_not_sent_again_after_something_was_made_good() {
    let memory = Memory { under_way: under_way("v2", "v1"), ..old_server().into() };
    let mut run = play(
        policy(),
        memory,
        "0ms edit a v2
         0ms rescan
         1ms #1 connected 0.9.6
         2ms #2 rows a=v1
         3ms #3 row a v1 old
         4ms #4 row a v1 old
         5ms #5 row a v1 old
         6ms #6 noted
         7ms #7 refused boom
         8ms #8 row a v1 old off
         9ms #9 row a v1 old off
         10ms #10 not-allowed",
    );
    run.tickets.clear();
    run.log.clear();
    for line in [
        "5000ms rescan",
        "5001ms #1 connected 0.9.6",
        "5002ms #2 rows a=v1",
        "6000ms rescan",
        "6001ms #4 connected 0.9.6",
        "6002ms #5 rows a=v1",
        "6003ms #3 row a v1 old off",
        "6004ms #6 row a v1 old off",
        "6005ms #7 row a v1 old",
    ] {
        run.line(line);
    }
    expect![[r#"
        5000ms rescan
              ready: watching `plugins` (1 plugin) for http://server
              #1 connect
        5001ms #1 connected 0.9.6
              #2 overview of functions
        5002ms #2 rows a=v1
              a refused_before: refused before, not sent again: boom
              pass: 1 plugin to compare with the server
              #3 get a
        6000ms rescan
              ready: watching `plugins` (1 plugin) for http://server
              #4 connect
        6001ms #4 connected 0.9.6
              #5 overview of functions
        6002ms #5 rows a=v1
              a refused_before: refused before, not sent again: boom
              back: the server is back after 6.0 s
        6003ms #3 row a v1 old off
              #6 update a v1
        6004ms #6 row a v1 old off
              #7 toggle a
        6005ms #7 row a v1 old
              save
              unnote a
              a restored: the server had switched it off; it is on again
              summary: 1 plugin in 5 ms: 1 refused
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn what_the_server_lost_meanwhile_is_deployed_when_a_conflict_is_over() {
    check(
        "0ms given a=v1
         10ms edit b as a v2
         10ms rescan
         11ms #1 connected
         12ms #2 rows
         5000ms write b broken
         5001ms #3 absent",
        &expect![[r#"
            10ms edit b as a v2
            10ms rescan
                  a conflict: not deployed: `plugins/a.py` and `plugins/b.py` claim this id
                  #1 connect
            11ms #1 connected
                  #2 overview of functions
            12ms #2 rows
                  summary: 2 plugins in 2 ms: 2 skipped
            5000ms write b broken
                  a flawed: invalid Python: expected an expression or a ')'
                  a sending: on its way (retry)
                  #3 get a
            5001ms #3 absent
                  #4 create a v1
        "#]],
    );
}

#[test]
fn force_does_not_end_the_server_again_and_again() {
    let force = Policy { terms: Terms { force: true, ..policy().terms }, ..policy() };
    check_with(
        force,
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #4 unreachable
         5ms #3 crashed
         6ms #5 unreachable
         510ms wake
         511ms #6 connected
         512ms #7 rows
         513ms #8 absent",
        &expect![[r#"
            0ms edit a v1
            0ms edit b v1
            0ms rescan
                  ready: watching `plugins` (2 plugins) for http://server
                  #1 connect
            1ms #1 connected
                  #2 overview of functions
            2ms #2 rows
                  connected: http://server is Open WebUI 0.12.4
                  pass: 2 plugins to compare with the server
                  a sending: on its way (forced)
                  #3 create a v1
                  b sending: on its way (forced)
                  #4 create b v1
            4ms #4 unreachable
                  save
                  unreachable: cannot reach http://server: connection refused (next try in 500 ms, 2 plugins waiting)
                  b waiting: waiting: the server is away
            5ms #3 crashed
                  #5 get a
            6ms #5 unreachable
                  save
                  a refused: refused by the server: Internal Server Error
            510ms wake
                  #6 connect
            511ms #6 connected
                  #7 overview of functions
            512ms #7 rows
                  a refused_before: refused before, not sent again: Internal Server Error
                  b sending: on its way (forced)
                  #8 get b
            513ms #8 absent
                  #9 create b v1
        "#]],
    );
}

#[test]
fn a_text_that_takes_the_server_s_answer_away_twice_is_not_sent_a_third_time() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 lost
         13ms #3 unreachable
         600ms wake
         601ms #4 connected
         602ms #5 rows a=v1
         603ms #6 row a v1
         604ms #7 lost
         605ms #8 unreachable
         1700ms wake
         1701ms #9 connected
         1702ms #10 rows a=v1
         5000ms write a v3
         5001ms #11 row a v1",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 lost
                  #3 get a
            13ms #3 unreachable
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            600ms wake
                  #4 connect
            601ms #4 connected
                  #5 overview of functions
            602ms #5 rows a=v1
                  a sending: on its way (retry)
                  #6 get a
            603ms #6 row a v1
                  #7 update a v2
            604ms #7 lost
                  #8 get a
            605ms #8 unreachable
                  still_unreachable: still unreachable: no answer (try 2, next in 1.0 s)
                  save
                  a refused: refused by the server: the server gave no answer to it, twice: no answer
            1700ms wake
                  #9 connect
            1701ms #9 connected
                  #10 overview of functions
            1702ms #10 rows a=v1
                  back: the server is back after 1.7 s
            5000ms write a v3
                  a sending: on its way (edited)
                  #11 get a
            5001ms #11 row a v1
                  #12 update a v3
        "#]],
    );
}

// ---- review ---------------------------------------------------------------------------------------------------------

/// The overview was read by the server before the update of v2 was carried out, and arrives after its answer.
#[test]
fn an_overview_older_than_a_deploy_that_ended_is_not_believed() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms edit a v1
         5002ms rescan
         5003ms #3 connected
         5004ms #2 row a v2
         5200ms #4 rows a=v1
         9000ms write a v1",
    );
    assert!(after(&log, "#4 rows a=v1").contains("a sending"), "the server holds v2, and nothing is sent:\n{log}");
}

#[test]
fn an_overview_older_than_a_deploy_is_not_believed_when_the_file_is_saved_either() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms rescan
         5003ms #3 connected
         5004ms #2 row a v2
         5010ms write a v1
         5160ms wake
         5200ms #4 rows a=v1",
    );
    assert!(after(&log, "#4 rows a=v1").contains("a sending"), "the server holds v2, and nothing is sent:\n{log}");
}

#[test]
fn what_was_seen_before_an_absence_is_not_believed_during_it() {
    let terms = Terms { on_remote_edit: OnRemoteEdit::Hold, ..policy().terms };
    let log = log_of_with(
        Policy { terms, ..policy() },
        Ledger::default(),
        "0ms given a=v1
         5000ms edit a v2
         5000ms rescan
         5001ms #1 connected
         5002ms #2 rows a=v1
         5003ms #3 row a v1
         5004ms #4 noted
         5004ms #5 lost
         5005ms #6 unreachable
         5006ms write a v1
         5156ms wake
         5600ms wake
         5601ms #7 connected
         5602ms #8 rows a=v2
         5603ms #9 row a v2
         5604ms #10 row a v2",
    );
    assert!(
        !log.contains("remote_edit") && !after(&log, "5156ms wake").contains("a unchanged"),
        "our own v2 is taken for somebody else's:\n{log}"
    );
}

#[test]
fn what_a_busy_database_of_0_11_refused_is_tried_again() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1 old
         5001ms #2 noted
         5002ms #3 refused [ERROR: Error updating function]
         5003ms #4 row a v1 old
         5004ms #5 row a v1 old
         9000ms write a v2
         9100ms rescan
         9101ms #6 connected 0.11.4
         9102ms #7 rows a=v1",
    );
    assert!(after(&log, "9000ms").contains("a sending"), "never tried again:\n{log}");
}

#[test]
fn who_is_let_in_again_is_served_again() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 not-allowed
         5002ms #2 not-allowed
         9000ms write a v3
         999000ms wake
         999001ms write a v4",
    );
    assert!(after(&log, "9000ms").contains("connect"), "never asked again:\n{log}");
}

#[test]
fn another_version_of_the_server_may_take_what_this_one_refused() {
    let log = log_of(
        "0ms edit a v1
         0ms rescan
         1ms #1 connected 0.9.6
         2ms #2 rows
         4ms #3 refused No Function class found in the module
         5ms #4 absent
         6000ms rescan
         6001ms #5 connected 0.12.4
         6002ms #6 rows",
    );
    assert!(after(&log, "6002ms").contains("a sending"), "never tried again:\n{log}");
}

/// While a refused update is on its way, somebody (a rollback, say) puts another text there. The refusal switches the
/// function off all the same.
#[test]
fn a_refusal_that_switched_off_a_text_of_somebody_elses_is_not_as_it_was() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1 old
         5001ms #2 noted
         5002ms #3 refused no
         5003ms #4 row a v0 old off",
    );
    assert!(log.contains("toggle a") || log.contains("went_off"), "it is off, and nobody knows:\n{log}");
}

/// The server was restored from an old backup while nothing was saved; the first save shows it.
#[test]
fn a_server_that_turns_out_to_have_lost_one_plugin_is_asked_about_the_others() {
    let log = log_of(
        "0ms given a=v1 b=v1 c=v1
         5000ms write b v2
         5001ms #1 absent
         5002ms #2 created b
         5003ms #3 row b v2 off
         9000ms write a v1",
    );
    assert!(after(&log, "5003ms").contains("connect"), "a is missing on the server:\n{log}");
}

#[test]
fn what_somebody_else_wrote_at_the_same_moment_is_replaced_as_soon_as_it_is_kept() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms #2 row a v9
         5003ms #3 row a v9
         900000ms wake",
    );
    assert!(
        after(&log, "5003ms").contains("connect") || after(&log, "5003ms").contains("keep v9"),
        "never tried again:\n{log}"
    );
}

#[test]
fn two_connections_that_broke_are_no_refusal() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1
         5002ms #2 lost
         5003ms #3 row a v1
         5503ms wake
         5504ms #4 connected
         5505ms #5 rows a=v1
         5506ms #6 row a v1
         5507ms #7 lost
         5508ms #8 row a v1
         6508ms wake
         6509ms #9 connected
         6510ms #10 rows a=v1
         9000ms write a v2",
    );
    assert!(after(&log, "6510ms").contains("a sending"), "never sent again:\n{log}");
}

#[test]
fn a_version_that_could_not_be_pruned_is_pruned_later() {
    let log = log_of_with(
        Policy { keep_versions: NonZeroUsize::new(1), ..policy() },
        Ledger::default(),
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 row a v1 as one
         5002ms #2 row a v2 as two
         8000ms write a v3
         8001ms #3 row a v2 as two
         8002ms #4 row a v3 as three
         8003ms #5 unreachable
         11000ms write a v4
         11001ms #6 row a v3 as three
         11002ms #7 row a v4 as four
         11003ms #8 deleted",
    );
    assert!(after(&log, "11002ms").contains("prune two"), "the version stays for ever:\n{log}");
}

/// One answer that is a web page ends a single pass while another plugin, which the server has switched off just now,
/// is about to be made good.
#[test]
fn a_pass_does_not_end_while_something_is_switched_off() {
    let log = log_of_with(
        once(),
        Ledger::default(),
        "0ms edit a v2
         0ms edit b v2
         0ms rescan
         1ms #1 connected 0.9.6
         2ms #2 rows a=v1 b=v1
         3ms #3 row a v1 old
         4ms #5 kept
         5ms #6 noted
         6ms #7 refused no
         7ms #4 foreign",
    );
    assert!(!log.contains("exit"), "the program ends while a is switched off:\n{log}");
}

#[test]
fn a_server_that_wants_to_be_left_alone_is_left_alone_whatever_the_kernel_forgets() {
    let log = log_of(
        "0ms given a=v1
         5000ms write a v2
         5001ms #1 unreachable 300
         6000ms rescan",
    );
    assert!(!after(&log, "6000ms").contains("connect"), "it asked to be left alone for 300 s:\n{log}");
}

#[test]
fn a_pass_that_is_begun_anew_does_not_force_again_what_was_forced() {
    let terms = Terms { force: true, ..policy().terms };
    let log = log_of_with(
        Policy { terms, ..policy() },
        Ledger::default(),
        "0ms edit a v1
         0ms edit b v1
         0ms edit c v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows a=v1 b=v1 c=v1
         3ms #3 row a v1
         4ms #5 row a v1
         5ms rescan
         6ms #7 connected
         7ms #8 rows a=v1 b=v1 c=v1",
    );
    assert!(!after(&log, "7ms").contains("pass: 1 plugin"), "a is forced twice:\n{log}");
}

/// A plugin was deleted since its file was gone; the file comes back while an overview from before that is on its way.
#[test]
fn an_overview_older_than_a_removal_is_not_believed() {
    let deployed = "0ms edit a v1
         0ms edit b v1
         0ms rescan
         1ms #1 connected
         2ms #2 rows
         4ms #3 created a
         4ms #4 created b
         5ms #5 row a v1
         5ms #6 row b v1";
    let mut run = play(Policy { on_delete: OnDelete::Delete, ..policy() }, Ledger::default(), deployed);
    run.tickets.clear();
    run.log.clear();
    let script = "2000ms delete a
         2350ms wake
         32350ms wake
         32350ms looked a gone
         32351ms #1 row a v1
         32352ms #2 kept
         32353ms rescan
         32354ms #4 connected
         32355ms #3 deleted
         32356ms #6 absent
         32357ms write a v1
         32400ms #5 rows a=v1 b=v1";
    for line in script.lines().map(str::trim) {
        run.line(line);
    }
    let log = run.log;
    assert!(after(&log, "32400ms").contains("a sending"), "the server does not have it, and nothing is sent:\n{log}");
}

fn log_of(script: &str) -> String {
    log_of_with(policy(), Ledger::default(), script)
}

fn log_of_with(policy: Policy, memory: impl Into<Memory>, script: &str) -> String {
    play(policy, memory, script).log
}

/// What came after a line.
fn after<'a>(log: &'a str, line: &str) -> &'a str {
    log.split_once(line).unwrap_or_else(|| panic!("no `{line}` in:\n{log}")).1
}
/// It was there, so it was answered after all; that somebody has removed it since is another matter.
#[test]
fn what_was_seen_to_be_there_is_sent_as_often_as_any_other_text() {
    check(
        "0ms given a=v1
         10ms write a v2
         11ms #1 row a v1
         12ms #2 lost
         13ms #3 unreachable
         600ms wake
         601ms #4 connected
         602ms #5 rows a=v2
         5000ms rescan
         5001ms #6 connected
         5002ms #7 rows
         5003ms #8 absent
         5004ms #9 lost
         5005ms #10 absent",
        &expect![[r#"
            10ms write a v2
                  a sending: on its way (edited)
                  #1 get a
            11ms #1 row a v1
                  #2 update a v2
            12ms #2 lost
                  #3 get a
            13ms #3 unreachable
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
            600ms wake
                  #4 connect
            601ms #4 connected
                  #5 overview of functions
            602ms #5 rows a=v2
                  save
                  archive v2
                  a unchanged: unchanged
                  back: the server is back after 589 ms
            5000ms rescan
                  #6 connect
            5001ms #6 connected
                  #7 overview of functions
            5002ms #7 rows
                  pass: 1 plugin to compare with the server
                  a sending: on its way (missing on server)
                  #8 get a
            5003ms #8 absent
                  #9 create a v2
            5004ms #9 lost
                  #10 get a
            5005ms #10 absent
                  save
                  unreachable: cannot reach http://server: no answer (next try in 500 ms, 1 plugin waiting)
                  a waiting: waiting: the server is away
        "#]],
    );
}
