//! The walls: which rooms of `src/` may use which, and who may touch the world. `clippy.toml` bans single functions; this
//! bans whole modules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms that each room may use.
const MAY_USE: [(&str, &[&str]); 26] = [
    ("plugin", &[]),
    ("check", &["server_version", "paths", "plugin"]),
    ("server_version", &[]),
    ("printable", &[]),
    ("paths", &[]),
    ("error", &["engine"]),
    ("engine", &["server_version", "check", "notice", "paths", "plugin"]),
    ("notice", &["engine", "paths", "plugin"]),
    ("debounce", &[]),
    ("driver", &["debounce", "engine", "notice", "plugin"]),
    ("regular_file", &[]),
    ("whole_file", &[]),
    ("process_group", &[]),
    ("server_log", &["notice", "plugin", "printable"]),
    ("cli", &[]),
    ("config", &["check", "cli", "engine", "error", "paths", "plugin", "printable", "regular_file", "whole_file"]),
    ("watcher", &["paths", "plugin", "regular_file"]),
    ("disk", &["engine", "error", "paths", "plugin", "printable", "regular_file", "whole_file"]),
    ("git", &["paths", "plugin", "regular_file"]),
    ("client", &["engine", "error", "plugin", "printable"]),
    ("output", &["server_version", "check", "cli", "notice", "paths", "plugin", "printable"]),
    (
        "commands",
        &[
            "server_version",
            "check",
            "cli",
            "client",
            "config",
            "disk",
            "engine",
            "error",
            "git",
            "notice",
            "output",
            "paths",
            "plugin",
            "printable",
            "systemd",
            "trial",
            "watcher",
        ],
    ),
    ("trial", &["server_version", "client", "config", "engine", "notice", "output", "plugin"]),
    ("sandbox", &["error", "notice", "paths", "plugin", "printable", "process_group", "regular_file", "whole_file"]),
    ("systemd", &["error", "notice", "printable", "whole_file"]),
    ("lib", &[]),
];
const KNOW_EVERYONE: [&str; 3] = ["run", "daemon", "main"];

/// Modules that touch the world, and the rooms that may use them.
const REACHES_OUT: [(&str, &[&str]); 22] = [
    ("notify", &["watcher"]),
    ("notify_debouncer_full", &["watcher"]),
    ("reqwest", &["client", "sandbox"]),
    ("hyper", &["sandbox"]),
    ("hyper_util", &["client", "sandbox"]),
    ("rustls", &["client", "sandbox"]),
    ("tokio", &["client", "daemon", "git", "output", "process_group", "run", "sandbox"]),
    ("std::fs", &["config", "disk", "regular_file", "sandbox", "systemd", "watcher", "whole_file"]),
    ("std::process::Command", &["daemon", "process_group", "sandbox", "systemd"]),
    ("tokio::process", &["daemon", "git", "process_group", "sandbox"]),
    ("std::net::TcpListener", &["sandbox"]),
    ("std::os::unix::net", &["systemd"]),
    ("clap", &["cli"]),
    ("ignore", &["config", "disk"]),
    ("indicatif", &["output"]),
    ("annotate_snippets", &["output"]),
    ("rustix::termios", &["output"]),
    ("imara_diff", &["output"]),
    ("textwrap", &["output"]),
    // What is printed passes `printable` here.
    ("anstream", &["commands", "output"]),
    ("std::io::stdout", &["output"]),
    ("std::io::stderr", &[]),
];

/// Rooms that only compute: time and randomness are arguments.
const PURE: [&str; 9] =
    ["server_version", "plugin", "check", "engine", "notice", "debounce", "driver", "printable", "server_log"];
/// Crates that only compute.
const HARMLESS: [&str; 14] = [
    "std",
    "jiff",
    "memchr",
    "ruff_python_ast",
    "ruff_python_parser",
    "ruff_python_stdlib",
    "ruff_text_size",
    "rustc_hash",
    "serde",
    "serde_json",
    "sha2",
    "unicode_ident",
    "crate",
    "super",
];
/// The parts of the standard library with side effects.
const WORLDLY: [&str; 9] = [
    "std::fs",
    "std::env",
    "std::io",
    "std::net",
    "std::thread",
    "std::process",
    "std::sync::Mutex",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// The one allowed cycle: the engine emits notices, and notices have the engine's types.
const MAY_BE_A_CIRCLE: [(&str, &str); 1] = [("notice", "engine")];

/// A longer file (with tests) gives a reason at its head.
const LONGEST: usize = 600;
const LONG_BECAUSE: &str = "//! Long because ";

/// One file's code, without its comments and its tests.
struct Source {
    path: PathBuf,
    room: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let code = code(&fs::read_to_string(&path).unwrap());
        Source { path, room, code }
    };
    // Files with only tests may set up anything.
    let is_code = |path: &PathBuf| !path.ends_with("tests.rs") && !path.ends_with("samples.rs");
    let sources: Vec<_> = files(&["src"]).into_iter().filter(is_code).map(read).collect();
    assert!(sources.len() > 20, "the sources are not found");
    sources
}

/// Every Rust file in these folders of the project.
pub(crate) fn files(folders: &[&str]) -> Vec<PathBuf> {
    let mut folders: Vec<_> = folders.iter().map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

fn code(text: &str) -> String {
    // Tests are at the end of each file, and may set up anything.
    let is_tests = |at: &usize| {
        let mut lines = text[*at..].lines().skip_while(|line| line.is_empty() || line.starts_with("#["));
        lines.next().is_some_and(|line| line.starts_with("mod tests {"))
    };
    let tests = text.match_indices("\n#[cfg(").map(|(at, _)| at).find(is_tests);
    let lines = text[..tests.unwrap_or(text.len())].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.fold(String::new(), |code, line| code + line + "\n")
}

impl Source {
    /// Every path in the code that begins with `root`, as in `crate::notice::Notice`, without the root. A group
    /// such as `{a, b::c}` is taken apart.
    fn paths(&self, root: &str) -> BTreeSet<String> {
        let needle = format!("{root}::");
        let mut paths = BTreeSet::new();
        for (at, _) in self.code.match_indices(&needle) {
            let before = self.code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            paths.extend(expanded(&self.code[at + needle.len()..]));
        }
        paths
    }

    /// Whether the code names something under this path, such as `std::fs`, also as `use std::{fs, io}`.
    fn names(&self, path: &str) -> bool {
        let (root, rest) = path.split_once("::").unwrap_or((path, ""));
        self.paths(root).iter().any(|used| {
            used == rest || used.strip_prefix(rest).is_some_and(|more| rest.is_empty() || more.starts_with("::"))
        })
    }

    /// Its path in the crate, as in `engine::deploy`.
    fn module(&self) -> String {
        let inside = self.path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap().with_extension("");
        let parts: Vec<_> = inside.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod").collect();
        parts.join("::")
    }

    /// The modules that its paths lead into.
    fn used_modules(&self, modules: &BTreeSet<String>) -> BTreeSet<String> {
        let own = self.module();
        let beside = |mut path: &str| {
            let mut parts: Vec<_> = own.split("::").collect();
            parts.pop();
            while let Some(rest) = path.strip_prefix("super::") {
                (path, _) = (rest, parts.pop());
            }
            [&*parts.join("::"), path].join("::").trim_start_matches(':').to_owned()
        };
        let paths = self.paths("crate").into_iter().chain(self.paths("super").into_iter().map(|path| beside(&path)));
        // The longest part of a path that is a module.
        let ends = |path: &str| path.match_indices("::").map(|(at, _)| at).chain([path.len()]).collect::<Vec<_>>();
        let module = |path: String| {
            let mut ends = ends(&path).into_iter().rev();
            ends.find_map(|end| modules.get(&path[..end]).cloned())
        };
        paths.filter_map(module).collect()
    }

    /// The crates that it imports from.
    fn imports(&self) -> BTreeSet<String> {
        let uses = self.code.lines().filter_map(|line| line.trim_start().strip_prefix("use "));
        uses.filter_map(|path| path.split_once("::")).map(|(root, _)| root.to_owned()).collect()
    }
}

/// Where the group ends that was opened before this text.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    text.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    })
    .unwrap()
}

/// The parts between the commas of a group that are not in a group of their own.
fn top_level(group: &str) -> Vec<&str> {
    let mut depth = 0;
    group
        .split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        })
        .collect()
}

/// The paths that a text begins with: one, or several where it has a group.
fn expanded(text: &str) -> Vec<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    match rest.strip_prefix('{') {
        Some(group) => top_level(&group[..closing(group)])
            .into_iter()
            .flat_map(|part| expanded(part.trim()))
            .map(|part| format!("{path}{part}"))
            .collect(),
        None => vec![path.trim_end_matches(':').to_owned()],
    }
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let may_use: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    for source in sources().iter().filter(|source| !KNOW_EVERYONE.contains(&&*source.room)) {
        let allowed = may_use.get(&*source.room).unwrap_or_else(|| panic!("`{}` is a new room", source.room));
        let is_own = |used: &str| used == source.room || used.starts_with(&format!("{}::", source.room));
        let is_allowed =
            |used: &str| allowed.iter().any(|room| used == *room || used.starts_with(&format!("{room}::")));
        let strangers: Vec<_> =
            source.paths("crate").into_iter().filter(|used| !is_own(used) && !is_allowed(used)).collect();
        assert!(strangers.is_empty(), "{} uses {strangers:?}", source.path.display());
        // A way around: enough `super`s reach the crate root.
        let inside = source.path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
        let depth = inside.iter().filter(|part| *part != "mod.rs").count();
        let leaves = !source.paths(&vec!["super"; depth].join("::")).is_empty();
        assert!(!leaves, "{} leaves its room by `super`", source.path.display());
    }
}

#[test]
fn only_edges_touch_the_world() {
    for source in sources() {
        for (outside, rooms) in REACHES_OUT {
            assert!(
                rooms.contains(&&*source.room) || !source.names(outside),
                "{} uses {outside}",
                source.path.display()
            );
        }
    }
    // An unused permission could be used unnoticed.
    for (outside, rooms) in REACHES_OUT {
        for room in rooms {
            let used = sources().iter().any(|source| source.room == *room && source.names(outside));
            assert!(used, "`{room}` no longer uses {outside}");
        }
    }
}

#[test]
fn pure_rooms_only_compute() {
    for source in sources().iter().filter(|source| PURE.contains(&&*source.room)) {
        let is_own = |root: &str| source.code.contains(&format!("mod {root};"));
        let strangers: Vec<_> =
            source.imports().into_iter().filter(|root| !HARMLESS.contains(&&**root) && !is_own(root)).collect();
        assert!(strangers.is_empty(), "{} imports {strangers:?}", source.path.display());
        for worldly in WORLDLY {
            assert!(!source.names(worldly), "{} uses {worldly}", source.path.display());
        }
        // Python's `async def` is a text, and `is_async` a name.
        let words = ["async fn", "async move", "async {", "async |"];
        let mut found = words.iter().flat_map(|word| source.code.match_indices(word));
        let waits = found.any(|(at, _)| !source.code[..at].ends_with('_'));
        assert!(!waits, "{} waits", source.path.display());
    }
}

/// A new kind is a row of `plugin/kind.rs` and one of the endpoints.
#[test]
fn kinds_differ_only_in_their_table_rows() {
    const ROWS: [&str; 2] = ["plugin/kind.rs", "client/endpoints.rs"];
    // Their messages show examples of whole names, and the sandbox runs Python itself.
    const NAME_FILES: [&str; 3] = ["cli", "config", "sandbox"];
    // Its format has a table for each.
    const LEDGER: &str = "engine/ledger.rs";
    for source in sources().iter().filter(|source| !ROWS.iter().any(|row| source.path.ends_with(row))) {
        let has = |text: &str| source.code.contains(text);
        let names_extension = has("\"py\"") || has(".py\"");
        assert!(!names_extension || NAME_FILES.contains(&&*source.room), "{} names `.py`", source.path.display());
        let matches_kind = has("Kind::Function =>") || has("Kind::Tool =>");
        assert!(!matches_kind || source.path.ends_with(LEDGER), "{} matches kinds", source.path.display());
    }
}

#[test]
fn no_rooms_import_each_other_in_a_circle() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let paths = source.paths("crate").into_iter().filter_map(|path| path.split("::").next().map(str::to_owned));
        // A name in lower case is a room; others stand at the top of the crate.
        let rooms = paths.filter(|used| *used != source.room && used.starts_with(|c: char| c.is_lowercase()));
        uses.entry(source.room.clone()).or_default().extend(rooms);
    }
    for (room, other) in MAY_BE_A_CIRCLE {
        let removed = uses.get_mut(room).is_some_and(|used| used.remove(other));
        assert!(removed, "`{room}` no longer uses `{other}`");
    }
    let circles = circles(uses);
    assert!(circles.is_empty(), "in circles, or above one: {circles:#?}");
}

/// A module may use its own parents and children freely: a folder's `mod.rs` gathers what the files in it share.
#[test]
fn no_modules_import_each_other_in_a_circle() {
    let sources = sources();
    let modules: BTreeSet<_> = sources.iter().map(Source::module).collect();
    let may = |(room, other): (&str, &str)| MAY_BE_A_CIRCLE.contains(&(room, other));
    let room = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let uses = sources.iter().map(|source| {
        let module = source.module();
        let is_related = |used: &String| {
            let [one, other] = [used, &module].map(|module| format!("{module}::"));
            one.starts_with(&other) || other.starts_with(&one)
        };
        let used = source.used_modules(&modules).into_iter();
        let used = used.filter(|used| !is_related(used) && !may((&room(&module), &room(used)))).collect();
        (module.clone(), used)
    });
    let circles = circles(uses.collect());
    assert!(circles.is_empty(), "in circles, or above one: {circles:#?}");
}

/// What is left without those that use nothing but what is out of every circle: they are out of every circle, too.
fn circles(mut uses: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    while let Some((free, _)) = uses.iter().find(|(_, used)| used.iter().all(|used| !uses.contains_key(used))) {
        let free = free.clone();
        uses.remove(&free);
    }
    uses
}

#[test]
fn long_files_give_a_reason_at_their_head() {
    let is_long = |path: &Path| fs::read_to_string(path).unwrap().lines().count() > LONGEST;
    let gives_reason = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.starts_with(LONG_BECAUSE))
    };
    let inside = |path: &Path| path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap().to_owned();
    let long: BTreeSet<_> = files(&["src", "tests", "benches"]).into_iter().filter(|path| is_long(path)).collect();
    let unexplained: Vec<_> = long.iter().filter(|path| !gives_reason(path)).map(|path| inside(path)).collect();
    assert!(unexplained.is_empty(), "too long without a reason: {unexplained:?}");
}

/// A checker that finds no errors proves nothing.
#[test]
fn walls_hold_for_every_spelling() {
    let source = |code: &str| Source { path: PathBuf::new(), room: String::new(), code: code.to_owned() };
    let grouped =
        source("use std::{collections::{BTreeMap, BTreeSet}, fs::{File, copy}};\nuse crate::{disk, engine::plan};");
    assert!(grouped.names("std::fs") && grouped.names("std::fs::File") && !grouped.names("std::io"));
    assert_eq!(grouped.paths("crate"), BTreeSet::from(["disk".to_owned(), "engine::plan".to_owned()]));
    let inline = source("let it = tokio::time::sleep(crate::client::IDLE);\nlet x = my_tokio::y + a::std::fs();");
    assert!(inline.names("tokio") && !inline.names("std::fs"));
    assert_eq!(inline.paths("crate"), BTreeSet::from(["client::IDLE".to_owned()]));
    assert_eq!(
        code("// use crate::x;\nfn a() {}\n\n#[cfg(test)]\n#[expect(b)]\nmod tests {\nuse crate::y;"),
        "fn a() {}\n"
    );
    assert!(code("#[cfg(any(c))]\n#[cfg(test)]\nuse crate::y;\nfn a() {}").contains("crate::y"));
}
