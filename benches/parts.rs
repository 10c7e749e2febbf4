//! The pure parts, one by one: what each costs of the way from a save to its request. `cargo bench --bench parts`.
#![expect(clippy::unwrap_used, reason = "a measurement ends where its scene cannot be set")]

#[path = "../tests/it/support/policy.rs"]
mod policy;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use jiff::Timestamp;
use owui_watch::check;
use owui_watch::engine::deploy::{Call, Reply, Row};
use owui_watch::engine::files::Loaded;
use owui_watch::engine::ledger::{Deployed, Ledger, SavedState};
use owui_watch::engine::plan::{Remote, Situation, decide};
use owui_watch::engine::{Effect, Engine, Event, Now, Scan};
use owui_watch::plugin::frontmatter::Frontmatter;
use owui_watch::plugin::id::PluginId;
use owui_watch::plugin::{self, Digest, Entry, FileSettings, Key, Kind, Parsed, Plugin, Syntax};
use serde_json::Map;

use policy::policy;

/// One of the plugins that come with it.
const TEXT: &str = include_str!("../plugins/tools/date_math.py");

fn main() {
    // What needs a real server is measured by the other one.
    if !std::env::args().any(|argument| argument == "--real") {
        divan::main();
    }
}

#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let path: Arc<Path> = Arc::from(Path::new("plugins/date_math.py"));
    let settings = FileSettings::default();
    bencher
        .counter(divan::counter::BytesCount::of_str(TEXT))
        .bench(|| plugin::parse(&path, black_box(TEXT.as_bytes()), &settings));
}

/// The rules of `check`, with their own look at the syntax tree. `check_floor` is the parser alone.
#[divan::bench]
fn check(bencher: Bencher<'_, '_>) {
    let path: Arc<Path> = Arc::from(Path::new("plugins/date_math.py"));
    let Parsed::Plugin(plugin) = plugin::parse(&path, TEXT.as_bytes(), &FileSettings::default()) else {
        unreachable!()
    };
    let options = check::Options::default();
    bencher
        .counter(divan::counter::BytesCount::of_str(TEXT))
        .bench(|| check::check(&plugin, black_box(TEXT), &options));
}

#[divan::bench]
fn check_floor(bencher: Bencher<'_, '_>) {
    bencher.counter(divan::counter::BytesCount::of_str(TEXT)).bench(|| plugin::python::tree(black_box(TEXT)));
}

/// 200 plugins with 4 MB, as `check` reads them, on one core. `check_many_floor` is the parser alone: at most half of it.
#[divan::bench(sample_count = 20)]
fn check_many(bencher: Bencher<'_, '_>) {
    let (path, text): (Arc<Path>, _) = (Arc::from(Path::new("plugins/p.py")), long());
    let (settings, options) = (FileSettings::default(), check::Options::default());
    bencher.bench(|| {
        for _ in 0..MANY {
            let look = |plugin: &Plugin, syntax: &Syntax| {
                drop(black_box(check::check_syntax(plugin, &plugin.text, syntax, &options)));
            };
            drop(plugin::parse_and(&path, black_box(text.as_bytes()), &settings, look));
        }
    });
}

#[divan::bench(sample_count = 20)]
fn check_many_floor(bencher: Bencher<'_, '_>) {
    let text = long();
    bencher.bench(|| (0..MANY).for_each(|_| drop(plugin::python::tree(black_box(&text)))));
}

const MANY: usize = 200;

/// A plugin of 20 KB.
fn long() -> String {
    TEXT.repeat(20_000 / TEXT.len())
}

#[divan::bench]
fn hash(bencher: Bencher<'_, '_>) {
    bencher.counter(divan::counter::BytesCount::of_str(TEXT)).bench(|| Digest::of_text(black_box(TEXT)));
}

#[divan::bench]
fn frontmatter(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Frontmatter::parse(black_box(TEXT)));
}

#[divan::bench]
fn plan(bencher: Bencher<'_, '_>) {
    let (old, new) = (Digest::of_text("old"), Digest::of_text("new"));
    let mut ledger = Ledger::default();
    let key = key("p");
    ledger.deployed(&key, Deployed { digest: old, version: None, at: Timestamp::UNIX_EPOCH, by_us: true });
    bencher.bench(|| {
        drop(decide(&Situation::new(ledger.get(black_box(&key)), Remote::NotAsked, new, Entry::Tools)));
    });
}

/// All that the engine does for a save, from the event to the end of the deploy, among so many plugins.
#[divan::bench(args = [10, 1000, 10_000])]
fn engine_step(bencher: Bencher<'_, '_>, plugins: usize) {
    let mut scene = Scene::of(plugins);
    let path: Arc<Path> = Arc::from(Path::new("plugins/p0.py"));
    let mut version = 1;
    let next = || {
        version += 1;
        loaded("p0", &version.to_string())
    };
    bencher.with_inputs(next).bench_local_values(|loaded| {
        scene.happens(Event::Ready(vec![(Arc::clone(&path), Duration::ZERO)]));
        scene.happens(Event::Loaded(Arc::clone(&path), loaded));
    });
}

/// An engine whose effects are answered at once, as a server with these plugins would.
struct Scene {
    engine: Engine,
    now: Now,
    rows: BTreeMap<Key, Row>,
}

impl Scene {
    fn of(plugins: usize) -> Self {
        let ids: Vec<_> = (0..plugins).map(|n| format!("p{n}")).collect();
        let rows = ids.iter().map(|id| row(&key(id), &text(id, "1")));
        let mut scene = Self {
            engine: Engine::new(policy(), SavedState::default()),
            now: Now { at: Duration::ZERO, wall: Timestamp::UNIX_EPOCH, chance: 0.5 },
            rows: ids.iter().map(|id| key(id)).zip(rows).collect(),
        };
        scene.happens(Event::Rescan);
        let path = |id| Arc::from(PathBuf::from(format!("plugins/{id}.py")));
        let files = ids.iter().map(|id| (path(id), loaded(id, "1"))).collect();
        scene.happens(Event::Scanned(Scan { files, missing: Vec::new() }));
        scene
    }

    fn happens(&mut self, event: Event) {
        // What was deployed a moment ago would wait.
        self.now.at += Duration::from_secs(2);
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.engine.handle(event, self.now) {
                match effect {
                    Effect::Call(ticket, call) => events.push_back(Event::Replied(ticket, self.answer(call))),
                    Effect::SaveBackup(ticket, _) => events.push_back(Event::BackupSaved(ticket, Ok(PathBuf::new()))),
                    Effect::SaveIntent(ticket, ..) => events.push_back(Event::IntentSaved(ticket, Ok(()))),
                    effect => drop(black_box(effect)),
                }
            }
        }
    }

    fn answer(&mut self, call: Call) -> Reply {
        match call {
            Call::Connect => Reply::Connected { version: "0.12.4".to_owned() },
            Call::Overview(_) => Reply::Rows(self.rows.iter().map(|(key, row)| row.listed(key.id.clone())).collect()),
            Call::Get(key) => Reply::Row(Box::new(self.rows[&key].clone())),
            Call::Update(key, form) => {
                let row = row(&key, &form.content);
                self.rows.insert(key, row.clone());
                Reply::Row(Box::new(row))
            }
            call => panic!("not asked of it: {call:?}"),
        }
    }
}

fn text(id: &str, version: &str) -> String {
    format!("\"\"\"\ntitle: {id}\nversion: {version}\n\"\"\"\n\n\nclass Filter:\n    pass\n")
}

fn loaded(id: &str, version: &str) -> Loaded {
    let path = Arc::from(PathBuf::from(format!("plugins/{id}.py")));
    Loaded::Parsed(plugin::parse(&path, text(id, version).as_bytes(), &FileSettings::default()))
}

fn key(id: &str) -> Key {
    Key { kind: Kind::Function, id: PluginId::new(id).unwrap() }
}

fn row(key: &Key, content: &str) -> Row {
    Row {
        id: key.id.to_string(),
        name: key.id.to_string(),
        content: Some(content.to_string()),
        meta: Map::new(),
        is_active: Some(true),
        access_control: None,
        is_global: None,
        entry: None,
        versioned: true,
        version_id: Some("1".to_owned()),
    }
}
