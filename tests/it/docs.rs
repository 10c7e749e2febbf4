//! The README and the pages of `docs/` are correct: their tables are complete, and their examples are valid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory as _;
use owui_watch::check::{FILE_RULES, RULES};
use owui_watch::cli::Args;
use owui_watch::config::{self, CHECK_KEYS, Config, KEYS, KeyRow, PLUGIN_KEYS, TRY_KEYS, World};
use owui_watch::engine::Code;
use owui_watch::engine::deploy::Failure;
use owui_watch::engine::duplicate::{Duplicate, MatchedBy};
use owui_watch::engine::ledger::Refusal;
use owui_watch::engine::plan::Why;
use owui_watch::notice::{
    Commands, Frame, KeepReason, Notice, NoticeKind, OldVersion, PassSummary, Raised, Subject, Suspect, TrialFailure,
    TrialRemedy, TrialResult, Tried, Trouble, Untried, WaitReason,
};
use owui_watch::plugin::id::PluginId;
use owui_watch::plugin::{Diagnostic, Digest, Entry, Key, Kind, Rule, Span};
use tempfile::TempDir;

use crate::pages::{Page, all, assert_made};

const MAP: &str = include_str!("../../src/lib.rs");
const NOTICE: &str = include_str!("../../src/notice/json.rs");
const PLAN: &str = include_str!("../../src/engine/plan.rs");
const REPORT: &str = include_str!("../../src/notice/report/mod.rs");
const HISTORY: &str = include_str!("../../src/notice/report/history.rs");
const DOCTOR: &str = include_str!("../../src/notice/report/doctor.rs");
const CONDITION: &str = include_str!("../../src/notice/report/condition.rs");
const STATUS: &str = include_str!("../../src/notice/report/status.rs");
const TRIAL: &str = include_str!("../../src/notice/report/trial.rs");
const UNTRIED: &str = include_str!("../../src/notice/trial.rs");
const SERVICE: &str = include_str!("../../src/notice/report/service.rs");
const DIAGNOSTIC: &str = include_str!("../../src/plugin/diagnostic.rs");
const CONTRACT: &str = include_str!("contract.rs");
const FRONTMATTER: &str = include_str!("../../src/plugin/frontmatter.rs");

/// The README and all pages, as one text.
fn docs() -> String {
    all().into_iter().map(|page| page.text + "\n").collect()
}

/// The fenced blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let docs = docs();
    let mut lines = docs.lines();
    while let Some(line) = lines.next() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            let block: Vec<_> = lines.by_ref().take_while(|line| line.trim() != "```").map(str::trim_start).collect();
            if fence == language {
                blocks.push(block.join("\n"));
            }
        }
    }
    blocks
}

/// The rows of the table that has this column in its head, cell by cell.
fn table(column: &str) -> Vec<Vec<String>> {
    let cells =
        |line: &str| -> Vec<_> { line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect() };
    let docs = docs();
    let tables = docs.split("\n\n").filter(|part| part.starts_with('|'));
    let mut rows = Vec::new();
    for lines in tables.map(|table| table.lines().collect::<Vec<_>>()) {
        if cells(lines[0]).iter().any(|cell| cell == column) {
            rows.extend(lines[2..].iter().map(|line| cells(line)));
        }
    }
    assert!(!rows.is_empty(), "there is no table with a column `{column}`");
    rows
}

/// The words in backticks.
fn ticked(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words that the first `fn word` below `mark` returns.
fn words(source: &str, mark: &str) -> BTreeSet<String> {
    let (_, rest) = source.split_once(mark).unwrap_or_else(|| panic!("`{mark}` is gone"));
    let (_, rest) = rest.split_once("fn word(").expect("a word");
    let (body, _) = rest.split_once("\n    }\n").expect("an end");
    let words: BTreeSet<_> =
        body.lines().filter_map(|line| Some(line.split_once("=> \"")?.1.split('"').next()?.to_owned())).collect();
    assert!(!words.is_empty(), "{mark}");
    words
}

fn span() -> Span {
    Span { line: 1, column: 1, width: 1, source: "x".to_owned() }
}

fn trial_failure(span: Span) -> TrialFailure {
    let text = || "x".to_owned();
    let (answer, place, remedy) = (Some(text()), Some(Box::new(span)), Some(TrialRemedy::FindLine));
    TrialFailure { words: text(), answer, place, remedy, others: vec![Suspect::AnyFilter], lacks_hook: false }
}

/// One of each kind, with all fields set.
#[expect(clippy::too_many_lines, reason = "one list")]
fn examples() -> Vec<NoticeKind> {
    let text = || "x".to_owned();
    let path = || PathBuf::from("x");
    let took = Duration::from_millis(1);
    let diagnostic = |rule| Diagnostic { rule, file: path().into(), span: Some(span()) };
    let digest = Digest::of(b"x");
    let key = Key { kind: Kind::Tool, id: PluginId::new("x").expect("an id") };
    let frames_key = key.clone();
    let tried = |result| {
        NoticeKind::Tried(Box::new(Tried { asked: text(), model: text(), models: 1, took, result, is_shown: false }))
    };
    vec![
        NoticeKind::Ready { roots: vec![path()], plugins: 1, server: text() },
        NoticeKind::Connected { server: text(), version: text() },
        NoticeKind::NothingFound { roots: vec![path()] },
        NoticeKind::Pass { todo: 1 },
        NoticeKind::Summary { tally: PassSummary::default(), took, dry_run: false },
        NoticeKind::Unreachable { cause: text().into(), server: text(), next: took, waiting: 1, configured: true },
        NoticeKind::StillUnreachable { cause: text(), attempt: 2, next: took },
        NoticeKind::Back { away: took, waiting: 1 },
        NoticeKind::AccessGranted { waiting: 1 },
        NoticeKind::GaveUp { after: took, cause: text().into(), server: text(), configured: true },
        NoticeKind::NotAllowed { status: 401, words: text(), key: Some(text()) },
        NoticeKind::Foreign { server: text(), status: 200, words: text() },
        NoticeKind::Proxied { server: text(), proxy: text() },
        NoticeKind::Insecure { server: text(), proxy: Some(text()) },
        NoticeKind::InLine { pid: Some(1) },
        NoticeKind::RootMissing { root: path() },
        NoticeKind::RootBack { root: path() },
        NoticeKind::Reloaded { files: vec![path()], changed: vec!["x"] },
        NoticeKind::SettingsWait { ids: vec![text()] },
        NoticeKind::Stopping { in_flight: 1 },
        NoticeKind::Stopped { waiting: 1, refused: 1, held: 1, with_errors: 1 },
        NoticeKind::SettingsKept { why: text(), hint: Some(text()), holds: false },
        NoticeKind::Trouble(Trouble::Told { message: text(), hint: Some(text()) }),
        NoticeKind::ScanSlow { so_far: took },
        NoticeKind::Slow { so_far: Duration::ZERO, installs: Some(text()) },
        NoticeKind::Sending { why: Why::New },
        NoticeKind::Created { active: Some(true), global: true, again: true, took },
        NoticeKind::Updated { from: Some(text()), kept: Some(path()), active: Some(true), took },
        NoticeKind::Unchanged { in_pass: true, active: Some(true), good_again: true },
        NoticeKind::WouldCreate,
        NoticeKind::WouldUpdate { from: Some(text()), foreign: true },
        NoticeKind::Restored,
        NoticeKind::Recovered,
        NoticeKind::WentOff { cause: text(), later: false },
        NoticeKind::Crashed { words: text(), next: took },
        NoticeKind::NotSwitchedOn { cause: text(), later: false },
        NoticeKind::SwitchedOn,
        NoticeKind::Unused,
        NoticeKind::Pruned,
        NoticeKind::Untested { version: text() },
        NoticeKind::RemoteEdit { theirs: Some(text()) },
        NoticeKind::Duplicate { duplicate: Duplicate { id: key.id.clone(), matched_by: MatchedBy::OpenwebuiId } },
        NoticeKind::RolledBack,
        NoticeKind::RollbackUndone { put_back: digest },
        NoticeKind::Deactivated,
        NoticeKind::NotRemoved { deletes: true, failure: Failure::StoredOther },
        NoticeKind::LeftOff,
        NoticeKind::Deleted { kept: path() },
        NoticeKind::Spared { why: KeepReason::Many },
        NoticeKind::Refused {
            refusal: Refusal::said(text()),
            span: Some(span()),
            requirements: None,
            installs: true,
            old_version: Some(OldVersion::Running),
            took,
        },
        NoticeKind::RefusedBefore {
            refusal: Refusal::said(text()),
            span: None,
            requirements: None,
            installs: true,
            on_server: true,
        },
        NoticeKind::Failed { failure: Failure::StoredOther, took },
        NoticeKind::Flawed { diagnostic: diagnostic(Rule::Empty), digest: Some(digest), meant: true },
        NoticeKind::Blocked(diagnostic(Rule::Empty)),
        NoticeKind::Surprising(diagnostic(Rule::OverlookedHeader)),
        NoticeKind::Conflict { paths: vec![Arc::from(path())] },
        NoticeKind::Removed { file_there: false, on_server: true, next: None },
        NoticeKind::IdChanged { from: key },
        NoticeKind::Waiting { reason: WaitReason::Away, again: false },
        NoticeKind::Superseded,
        NoticeKind::Held,
        NoticeKind::BeingWritten,
        NoticeKind::Disabled,
        NoticeKind::SameFile { original: path() },
        tried(TrialResult::Works { answer: Some(text()), diff: Some(text()) }),
        tried(TrialResult::Answered { answer: text(), why: text() }),
        NoticeKind::Trying,
        tried(TrialResult::Fails(trial_failure(span()))),
        NoticeKind::NotTried { why: Untried::Off, asked_for: true },
        NoticeKind::Called {
            hook: text(),
            server_event: Some(text()),
            result: text(),
            again: true,
            times: 1,
            total: Some(1),
            took,
        },
        NoticeKind::Raised(Box::new(Raised {
            hook: text(),
            error: text(),
            frames: vec![Frame { key: frames_key, path: Some(Arc::from(path())), function: text(), span: span() }],
            outside: 1,
            at: Some(text()),
            causes: Vec::new(),
            took: Some(took),
            ..Raised::default()
        })),
        NoticeKind::Printed { text: text(), log_level: Some(text()), line: Some(1) },
        NoticeKind::PrintedMore { count: 1 },
        NoticeKind::ServerLog { text: text() },
    ]
}

fn about() -> Subject {
    Subject {
        key: Some(Key { kind: Kind::Function, id: PluginId::new("x").expect("an id") }),
        entry: Some(Entry::Pipe),
        path: Some(Arc::from(Path::new("x.py"))),
        version: Some("1".to_owned()),
        digest: Some(Digest::of(b"x")),
        settings_depth: 0,
    }
}

#[test]
fn examples_cover_every_notice() {
    let shown: BTreeSet<_> = examples().into_iter().map(|what| Notice::general(what).word().to_owned()).collect();
    assert_eq!(shown, words(NOTICE, "impl Notice {"));
}

#[test]
fn every_event_and_field_of_json_is_listed() {
    let common: BTreeSet<_> = table("field").iter().flat_map(|row| ticked(&row[0])).collect();
    let mut listed = BTreeMap::new();
    for row in table("event") {
        let fields = ticked(&row[2]);
        assert!(fields.is_disjoint(&common), "{row:?}");
        assert!(listed.insert(row[0].trim_matches('`').to_owned(), fields).is_none(), "twice: {row:?}");
    }
    let (mut told, mut common_told) = (BTreeMap::new(), BTreeSet::new());
    for what in examples() {
        let notice = Notice { about: about(), what };
        let object = notice.to_json("now", &Commands::default());
        let fields: BTreeSet<_> = object.as_object().expect("an object").keys().cloned().collect();
        common_told.extend(fields.intersection(&common).cloned());
        told.insert(notice.word().to_owned(), &fields - &common);
    }
    assert_eq!(listed, told);
    assert_eq!(common, common_told);
}

/// The stable words that calls in the source begin with.
fn words_of_calls(source: &str, calls: &[&str]) -> BTreeSet<String> {
    let parts = calls.iter().flat_map(|call| source.split(*call).skip(1));
    let words = parts.filter_map(|rest| rest.split('"').next());
    let is_word = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    words.filter(is_word).map(str::to_owned).collect()
}

#[test]
fn every_event_of_a_service_is_listed() {
    let listed: BTreeSet<_> = table("event of `service`").iter().flat_map(|row| ticked(&row[0])).collect();
    assert_eq!(listed, words_of_calls(SERVICE, &["Said::info(\"", "of_file(\""]));
}

#[test]
fn every_event_of_a_command_is_listed() {
    let listed: BTreeSet<_> = table("event of a command").iter().flat_map(|row| ticked(&row[0])).collect();
    let reports = [REPORT, HISTORY, STATUS, CONDITION, DOCTOR].concat();
    let tasks = ["Task::Compare => \"", "Task::Pull => \"", "Task::Try => \"", "Task::Trust => \""];
    let told = &words_of_calls(&reports, &[&["Said::info(\""], &tasks[..]].concat())
        | &words_of_calls(TRIAL, &["Said::info(\""]);
    assert_eq!(listed, &told - &words(NOTICE, "impl Notice {"));
}

#[test]
fn every_word_of_json_is_listed() {
    let listed = ticked(&Page::of_docs("json.md").text);
    for (source, mark) in [
        (PLAN, "impl Why {"),
        (NOTICE, "impl Failure {"),
        (NOTICE, "impl KeepReason {"),
        (NOTICE, "impl OldVersion {"),
        (HISTORY, "impl Provenance {"),
        (CONDITION, "impl Condition {"),
        (DOCTOR, "impl Area {"),
        (DOCTOR, "impl Verdict {"),
        (UNTRIED, "impl Untried {"),
    ] {
        let missing = &words(source, mark) - &listed;
        assert!(missing.is_empty(), "{mark} {missing:?}");
    }
    // To the watch, two files with one id are a `conflict`.
    let ids = words(DIAGNOSTIC, "impl Rule {").into_iter().filter(|id| id != "id-twice");
    let reasons: BTreeSet<_> = ids.map(|id| id.replace('-', "_")).collect();
    assert!(reasons.is_subset(&listed), "{reasons:?}");
    for word in Kind::ALL.map(Kind::word).into_iter().chain(Entry::ALL.map(Entry::word)) {
        assert!(listed.contains(word), "{word}");
    }
}

#[test]
fn the_readme_names_every_command() {
    let readme = all().remove(0);
    assert_eq!(readme.name, "README.md");
    let spans = ticked(&readme.text);
    let first = |span: &String| span.trim_start_matches("owui-watch ").split(' ').next().map(str::to_owned);
    let named: BTreeSet<_> = spans.iter().filter_map(first).collect();
    let commands = Args::command().get_subcommands().map(|it| it.get_name().to_owned()).collect::<BTreeSet<_>>();
    assert!(commands.len() > 10 && commands.is_subset(&named), "{:?}", &commands - &named);
}

/// Each rule has a short section, with a wrong and a right example.
#[test]
fn the_page_of_checks_is_made_from_the_rules() {
    let mut made = "| rule of `check` | severity | what it finds |\n| --- | --- | --- |\n".to_owned();
    for rule in RULES {
        writeln!(made, "| [`{0}`](#{0}) | {1} | {2} |", rule.id, rule.severity.word(), rule.title).unwrap();
    }
    for rule in RULES {
        let (page, wrong, right) = (rule.page.trim(), rule.wrong.trim(), rule.right.trim());
        write!(made, "\n### `{}`\n\n*{}*: {}\n\n{page}\n", rule.id, rule.severity.word(), rule.title).unwrap();
        write!(made, "\nWrong:\n\n```python\n{wrong}\n```\n\nRight:\n\n```python\n{right}\n```\n").unwrap();
    }
    assert_made("checks.md", "rules", &made);
    let mut made = "| rule of every file | severity | what it finds |\n| --- | --- | --- |\n".to_owned();
    for rule in FILE_RULES {
        writeln!(made, "| `{}` | {} | {} |", rule.id, rule.severity.word(), rule.title).unwrap();
    }
    assert_made("checks.md", "file rules", &made);
}

#[test]
fn the_tables_of_keys_are_made_from_their_rows() {
    let mut made = "| key | value | default | what it is for |\n| --- | --- | --- | --- |\n".to_owned();
    for key in KEYS {
        let default = key.default.split_whitespace().collect::<Vec<_>>().join(" ");
        let default = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
        writeln!(made, "| `{}` | {} | {default} | {} |", key.name, key.must_be, key.doc()).unwrap();
    }
    made += "\nThe table `[check]` has these keys:\n\n| key of `check` | value | default | what it is for |\n";
    made += "| --- | --- | --- | --- |\n";
    for key in CHECK_KEYS {
        writeln!(made, "| `{}` | {} | `{}` | {} |", key.name, key.must_be, key.default, key.doc()).unwrap();
    }
    made += "\nA table `[plugins.\"path\"]` sets what is different for one file:\n\n";
    made += "| key of a file | value | what it is for |\n| --- | --- | --- |\n";
    for key in PLUGIN_KEYS {
        writeln!(made, "| `{}` | {} | {} |", key.name, key.must_be, key.doc()).unwrap();
    }
    assert_made("configuration.md", "keys", &made);
}

#[test]
fn the_table_of_trials_lists_every_key() {
    let listed: BTreeSet<_> = table("key of the table").iter().flat_map(|row| ticked(&row[0])).collect();
    assert_eq!(listed, TRY_KEYS.iter().map(|key| key.name.to_owned()).collect());
}

/// Whoever reads about the server's API finds the proof of each section, and no proof is left out.
#[test]
fn the_page_of_the_api_names_every_contract_test() {
    let (_, cases) = CONTRACT.split_once("\ncases! {\n").expect("the list");
    let (cases, _) = cases.split_once("\n}\n").expect("its end");
    let cases = cases.lines().map(|line| line.trim().trim_end_matches(',')).filter(|line| !line.starts_with("//"));
    let page = Page::of_docs("server-api.md").text;
    let proofs = page.split("\n\n").filter(|part| part.starts_with("*Checked by*")).flat_map(ticked);
    let is_name = |word: &String| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let named: BTreeSet<_> = proofs.filter(is_name).collect();
    let missing: Vec<_> = cases.filter(|case| !named.contains(*case)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let is_test = |name: &&String| [CONTRACT, FRONTMATTER].iter().any(|it| it.contains(&format!("fn {name}(")));
    let unknown: Vec<_> = named.iter().filter(|name| !is_test(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_exit_code_is_listed() {
    let listed: BTreeSet<u8> = table("exit code")
        .iter()
        .flat_map(|row| row[0].split(", ").map(|code| code.parse::<u8>().expect("a number")).collect::<Vec<_>>())
        .collect();
    let ours = [Code::Fine, Code::NotDeployed, Code::Usage, Code::NoServer].map(|code| code as u8);
    // A shell's exit code after a signal: 128 and the number of SIGINT or SIGTERM.
    let expected: BTreeSet<u8> = ours.into_iter().chain([128 + 2, 128 + 15]).collect();
    assert_eq!(listed, expected);
}

fn load(watch_toml: &str) -> Config {
    let folder = TempDir::new().expect("a temporary folder");
    for root in ["plugins", "functions", "tools"] {
        fs::create_dir(folder.path().join(root)).expect("a root");
    }
    fs::write(folder.path().join("watch.toml"), watch_toml).expect("watch.toml");
    let mut world = World { cwd: folder.path().to_owned(), home: Some(folder.path().to_owned()), ..World::default() };
    loop {
        match config::load(&Args::default(), &world) {
            Ok(config) => return config,
            // A folder's own command needs consent.
            Err(error) => {
                world.agreed.push(error.request().unwrap_or_else(|| panic!("{watch_toml}\n{error}")).clone());
            }
        }
    }
}

#[test]
fn every_toml_block_is_a_watch_toml() {
    let blocks = blocks("toml");
    assert!(!blocks.is_empty());
    for block in blocks {
        let config = load(&block);
        for file in config.files.keys() {
            assert!(config.roots.iter().any(|root| file.starts_with(root)), "{} is under no root", file.display());
        }
    }
}

#[test]
fn the_tables_of_settings_list_every_word() {
    for name in ["on_remote_edit", "on_delete"] {
        let listed: BTreeSet<_> = table(&format!("`{name}`")).iter().flat_map(|row| ticked(&row[0])).collect();
        let words = KeyRow::find(name).expect("a key").must_be.split('"').skip(1).step_by(2);
        assert_eq!(listed, words.map(|word| format!("\"{word}\"")).collect(), "{name}");
    }
}

#[test]
fn every_default_exclude_is_listed() {
    let listed = ticked(&Page::of_docs("plugins.md").text);
    for glob in load("").settings.exclude {
        assert!(listed.contains(&glob), "{glob}");
    }
}

#[test]
fn the_drawing_is_that_of_the_map() {
    let drawing = blocks("text").into_iter().find(|block| block.contains("engine.handle")).expect("the drawing");
    for line in drawing.lines() {
        assert!(MAP.contains(line.trim_end()), "{line}");
    }
}

#[test]
fn the_map_names_only_files_that_exist() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_file =
        |name: &&str| Path::new(name).extension().is_some_and(|extension| extension == "rs") && !name.contains(' ');
    let named: Vec<_> = MAP.split('`').skip(1).step_by(2).filter(is_file).collect();
    assert!(named.len() > 50, "the table is not found");
    let missing: Vec<_> = named
        .iter()
        .filter(|name| ![project.join("src").join(name), project.join(name)].iter().any(|path| path.is_file()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
