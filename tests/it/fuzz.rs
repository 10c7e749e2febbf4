//! Properties that hold for any input: random files, names, headers, ledgers and notices.
//!
//! Each property runs 256 cases, or as many as `PROPTEST_CASES` says. A failing case is minimised and printed, and
//! becomes a named test beside the code.
//!
//! Long because all generators and all properties stand together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jiff::Timestamp;
use owui_watch::check::{self, Options};
use owui_watch::disk::Folder;
use owui_watch::engine::deploy::Backup;
use owui_watch::engine::ledger::{Deployed, LastAttempt, Ledger, Refusal, Rollback, UpdateIntent};
use owui_watch::notice::{Notice, NoticeKind, Subject, Trouble};
use owui_watch::plugin::frontmatter::Frontmatter;
use owui_watch::plugin::id::{self, PluginId};
use owui_watch::plugin::{self, Diagnostic, Digest, FileSettings, Key, Kind, Parsed, Rule, Span, normal};
use owui_watch::server_version::ServerVersion;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    // Found cases become named tests, not lines in a file.
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

// ---- frontmatter ----------------------------------------------------------------------------------------------------

/// The pieces of headers, and near misses.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "\"\"\"",
            "'''",
            "\n",
            "\r\n",
            "\r",
            "\u{b}",
            "\u{c}",
            "\u{1c}",
            "\u{1f}",
            "\u{85}",
            "\u{2028}",
            ":",
            " ",
            "\t",
            "title",
            "version",
            "id",
            "Title",
            "_x",
            "ſ",
            "K",
            "x-y",
            "title: A",
            "version: 1",
            ": :",
            "#",
            "\0",
            "\u{feff}",
            "\u{a0}",
            "\u{3000}",
            "İ",
            "1",
        ])
        .prop_map(str::to_owned),
        ".{0,3}",
    ]
}

fn text_of_pieces() -> impl Strategy<Value = String> {
    (any::<bool>(), vec(piece(), 0..40))
        .prop_map(|(header, pieces)| format!("{}{}", if header { "\"\"\"\n" } else { "" }, pieces.concat()))
}

/// The server's rule as a state machine over characters; ours splits lines at colons.
fn frontmatter_by_character(text: &str) -> BTreeMap<String, String> {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    let strip = |chars: &[char]| -> String {
        let from = chars.iter().position(|c| !is_space(*c)).unwrap_or(chars.len());
        let to = chars.iter().rposition(|c| !is_space(*c)).map_or(from, |last| last + 1);
        chars[from..to].iter().collect()
    };
    let mut lines = vec![Vec::new()];
    for c in text.chars() {
        if "\n\r\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}".contains(c) {
            lines.push(Vec::new());
        } else {
            lines.last_mut().unwrap().push(c);
        }
    }
    let mut pairs = BTreeMap::new();
    if strip(&lines[0]) != "\"\"\"" {
        return pairs;
    }
    for line in &lines[1..] {
        if line.windows(3).any(|three| three == ['"'; 3]) {
            break;
        }
        let start = line.iter().take_while(|c| is_space(**c)).count();
        let key: String = line[start..]
            .iter()
            .take_while(|c| c.is_ascii_alphabetic() || "_\u{130}ıſ\u{212a}".contains(**c))
            .collect();
        let after = start + key.chars().count();
        if !key.is_empty() && line.get(after) == Some(&':') {
            pairs.insert(key, strip(&line[after + 1..]));
        }
    }
    pairs
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn headers_are_read_by_the_servers_rule(text in text_of_pieces()) {
        let ours: BTreeMap<_, _> =
            Frontmatter::parse(&text).iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        prop_assert_eq!(ours, frontmatter_by_character(&text));
        if let Some(range) = Frontmatter::overlooked(&text) {
            prop_assert!(text.get(range).is_some());
        }
    }

    #[test]
    fn a_normal_text_is_normal(text in text_of_pieces()) {
        let once = normal::normal(&text).into_owned();
        prop_assert_eq!(Digest::of_text(&once), Digest::of_text(&text));
    }
}

// ---- ids ------------------------------------------------------------------------------------------------------------

fn assert_is_an_id(id: &PluginId) {
    let text = id.as_str();
    assert!(text.len() <= PluginId::MAX_BYTES && !text.is_empty(), "{text}");
    assert_eq!(text.to_lowercase(), text);
    assert_eq!(PluginId::new(text).as_ref(), Some(id), "made an id again, it is the same");
    assert!(text.chars().all(|c| c == '_' || unicode_ident::is_xid_continue(c)), "{text}");
    assert!(text.starts_with(|c| c == '_' || unicode_ident::is_xid_start(c)), "{text}");
    // So it is safe in a path.
    assert!(!text.contains(['/', '\\', '.', ':', '\0']), "{text}");
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,20}",
        "\\PC{0,12}",
        "[./\\\\]{0,6}",
        "[A-Za-z_0-9.-]{0,300}",
        vec(any::<char>(), 0..120).prop_map(String::from_iter),
        prop::sample::select(vec!["..", "../x", "İ", "ǅ", "ẞ", "ΑΣ", "main", "__init__", "nul", "\u{37a}", "ℹ", "㎏"])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_name_becomes_a_lower_case_identifier(name in name()) {
        if let Some(id) = PluginId::new(&name) {
            assert_is_an_id(&id);
        }
        if let Some(made) = id::identifier(&name) {
            prop_assert_eq!(id::identifier(&made), Some(made.clone()), "once is enough");
            if let Some(id) = PluginId::new(&made) {
                assert_is_an_id(&id);
            }
        }
        for (explicit, declared) in [(None, None), (Some(name.as_str()), None), (None, Some(name.as_str()))] {
            match id::choose(&Path::new(&name).join(&name), explicit, declared) {
                Ok(id) => assert_is_an_id(&id),
                Err(rule) => {
                    let word = rule.word();
                    prop_assert_eq!((word, rule.hint().is_some()), ("bad-id", true));
                }
            }
        }
    }

    /// No id or address leads out of the state folder, or collides with its other files.
    #[test]
    fn nothing_is_written_outside_the_state_folder(names in vec(name(), 1..3), server in server()) {
        let around = tempfile::tempdir().unwrap();
        let state = around.path().join("state");
        let folder = Folder::new(state.clone(), &server);
        let digest = Digest::of(b"x");
        for id in names.iter().filter_map(|name| PluginId::new(name)) {
            let key = Key { kind: Kind::Tool, id };
            folder.log(&key, "line").unwrap();
            folder.save_rollback(&key, &Rollback { local: None, server: digest, done: true }).unwrap();
            folder.archive(&Backup { key: key.clone(), text: "x".to_owned(), digest }, Timestamp::UNIX_EPOCH).unwrap();
            prop_assert_eq!(folder.rollbacks().into_keys().collect::<Vec<_>>(), [key.clone()]);
            folder.clear_rollback(&key).unwrap();
            prop_assert_eq!(folder.copies(&key).len(), 1);
        }
        let outside: Vec<_> = fs::read_dir(&around).unwrap().map(|entry| entry.unwrap().path()).collect();
        prop_assert!(outside.iter().all(|path| *path == state), "{:?}", outside);
        let known = BTreeSet::from([".gitignore", "identity", "logs", "rollbacks", "requests", "deployed"].map(|name| state.join(name)));
        let inside: BTreeSet<_> =
            fs::read_dir(&state).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        prop_assert!(inside.is_subset(&known), "{:?}", inside);
    }
}

fn server() -> impl Strategy<Value = String> {
    prop_oneof![
        "https?://[a-z.:0-9/~%-]{0,40}",
        "http://[./]{0,8}",
        ".{0,30}",
        Just(format!("https://example.org/{}", "deep/".repeat(200))),
    ]
}

// ---- plugins --------------------------------------------------------------------------------------------------------

/// Real plugins as a start.
static REAL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                texts.push(fs::read(path).unwrap());
            }
        }
    }
    assert!(texts.len() >= 5);
    texts
});

/// Replaces so many bytes at a place in a text.
type Cut = (f64, usize, Vec<u8>);

/// A change of one of the plugins.
fn cuts() -> impl Strategy<Value = (usize, Vec<Cut>)> {
    let put = prop_oneof![
        vec(any::<u8>(), 0..6),
        prop::sample::select(vec![
            "class Pipe:\n    pass\n",
            "class Tools",
            "from . import x\n",
            "\"\"\"",
            "'''",
            "\r\n",
            "\0",
            "\u{feff}",
            "import sys\nsys.exit()\n",
            "(",
            "[[[[[",
            "\\\n",
            "if True:\n",
            "    ",
            "\t",
            "def f(\n",
            "lambda: ",
            "from multiprocessing import Pipe\n",
            "f\"{",
            "é",
            "𝒳",
            "async ",
            "await ",
            "from open_webui.models.users import Users\n",
            "u = Users.get_user_by_id(1)\n",
            "Users.get_users().x",
            "# owui: ignore[missing-await]",
            "[x for x in ",
            "def inlet(self, body):\n",
            "__event_emitter__",
            "match x:\n",
            "class Filter(",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (any::<prop::sample::Index>(), vec((0.0..1.0, 0..30_usize, put), 1..6))
        .prop_map(|(which, cuts)| (which.index(REAL.len()), cuts))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "any place will do"
)]
fn mutated((which, cuts): &(usize, Vec<Cut>)) -> Vec<u8> {
    let mut bytes = REAL[*which].clone();
    for (place, length, put) in cuts {
        let start = (bytes.len() as f64 * place) as usize;
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, put.iter().copied());
    }
    bytes
}

/// Parses a file, and checks that the result is consistent with it.
fn assert_parses(bytes: &[u8], settings: &FileSettings) {
    let path = Path::new("plugins/some/main.py").into();
    let parsed = plugin::parse(&path, bytes, settings);
    let text = String::from_utf8_lossy(bytes).into_owned();
    let told = |diagnostic: &Diagnostic| {
        diagnostic.span.iter().for_each(|span| assert_in(span, &text));
        assert!(!diagnostic.message().is_empty() && !diagnostic.rule.word().is_empty());
        assert_ne!(diagnostic.hint().as_deref(), Some(""));
    };
    match &parsed {
        Parsed::Plugin(plugin) => {
            assert_is_an_id(&plugin.key.id);
            assert!(!plugin.text.contains(['\r', '\0']) && !plugin.text.starts_with('\u{feff}'));
            assert_eq!(Digest::of_text(&plugin.text), plugin.digest);
            plugin.warnings.iter().for_each(told);
            check::check(plugin, &plugin.text, &Options::default()).iter().for_each(told);
            if let Some((mended, _)) = check::mended(plugin, &plugin.text, &Options::default()) {
                let again = plugin::parse(&path, mended.as_bytes(), settings);
                assert!(matches!(again, Parsed::Plugin(_)), "{mended}");
            }
            // The sent text is the same plugin.
            let again = plugin::parse(&path, plugin.text.as_bytes(), settings);
            assert_eq!(&again, &parsed);
        }
        Parsed::Invalid(invalid) => {
            assert!(!invalid.message().is_empty());
            invalid.diagnostics.iter().for_each(told);
        }
        Parsed::NotAPlugin | Parsed::Disabled => {}
    }
}

/// A place is inside the file.
#[track_caller]
fn assert_in(span: &Span, text: &str) {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let line = text.split('\n').nth(span.line - 1).unwrap_or_else(|| panic!("no such line: {span:?}"));
    assert_eq!(span.source, line);
    let length = line.chars().count();
    assert!(span.width >= 1 && span.column >= 1 && span.column <= length + 1, "{span:?}");
    assert!(span.column + span.width <= length + 2, "{span:?}");
}

/// An expression of Python, of names that the rules look for.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "u",
        "self",
        "self.u",
        "Users",
        "body",
        "1",
        "'a'",
        "None",
        "Users.get_user_by_id(1)",
        "Users.get_users()",
        "self.h(u)",
        "h(u)",
        "asyncio",
        "requests.get('x')",
        "time.sleep(1)",
        "__event_emitter__",
        "missing",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            inner.clone().prop_map(|it| format!("await {it}")),
            inner.clone().prop_map(|it| format!("({it})")),
            inner.clone().prop_map(|it| format!("({it}).x")),
            inner.clone().prop_map(|it| format!("({it})['a']")),
            inner.clone().prop_map(|it| format!("not {it}")),
            inner.clone().prop_map(|it| format!("f'{{({it})}}'").replace("'a'", "1").replace("'x'", "1")),
            inner.clone().prop_map(|it| format!("[x for x in {it} if {it}]")),
            inner.clone().prop_map(|it| format!("(lambda u: {it})")),
            inner.clone().prop_map(|it| format!("len({it})")),
            inner.clone().prop_map(|it| format!("asyncio.gather({it}, key={it})")),
            inner.clone().prop_map(|it| format!("(v := {it})")),
            two.clone().prop_map(|(a, b)| format!("{a} or {b}")),
            two.clone().prop_map(|(a, b)| format!("({a} if {b} else {a})")),
            two.clone().prop_map(|(a, b)| format!("({a}) == ({b})")),
            two.prop_map(|(a, b)| format!("h({a}, u={b})")),
        ]
    })
}

/// Statements of Python, each with its lines.
fn statements() -> impl Strategy<Value = Vec<String>> {
    let simple = (0..8_usize, expression()).prop_map(|(which, it)| {
        let lines = ["u = IT", "self.u = IT", "return IT", "IT", "u: object = IT", "u += IT", "del u", "x, *y = IT"];
        vec![lines[which].replace("IT", &it)]
    });
    let block = simple.prop_recursive(3, 16, 4, |inner| {
        (0..9_usize, expression(), vec(inner, 1..4)).prop_map(|(which, it, inner)| {
            let heads = [
                "if IT:",
                "for u in IT:",
                "while IT:",
                "async def h(u, *v):",
                "def h(u, v=1):",
                "try:",
                "with IT as u:",
                "class Inner:",
                "match IT:",
            ];
            let mut lines = vec![heads[which].replace("IT", &it)];
            let indent = if which == 8 { "        " } else { "    " };
            lines.extend((which == 8).then(|| "    case [u, *_]:".to_owned()));
            lines.extend(inner.concat().into_iter().map(|line| format!("{indent}{line}")));
            lines.extend(
                (which == 5)
                    .then(|| ["except TypeError as e:".to_owned(), "    pass".to_owned()])
                    .into_iter()
                    .flatten(),
            );
            lines
        })
    });
    vec(block, 1..8).prop_map(|blocks| blocks.concat())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_python_can_be_checked(hook in statements(), helper in statements(), version in 0..7_usize) {
        let indented = |lines: &[String]| lines.iter().fold(String::new(), |text, line| text + "        " + line + "\n");
        let text = format!(
            "from open_webui.models.users import Users\nimport asyncio, time\nclass Pipe:\n    async def h(self, u):\n{}    \
             async def pipe(self, body, __event_emitter__=None):\n{}",
            indented(&helper),
            indented(&hook)
        );
        assert_parses(text.as_bytes(), &FileSettings::default());
        if let Parsed::Plugin(plugin) = plugin::parse(&Path::new("a.py").into(), text.as_bytes(), &FileSettings::default()) {
            let version = ServerVersion::parse(["0.6", "0.7", "0.8", "0.9", "0.10", "0.11", "0.12"][version]).unwrap();
            let options = Options { version, ..Options::default() };
            for found in check::check(&plugin, &text, &options) {
                assert_in(found.span.as_ref().unwrap(), &text);
            }
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_can_be_parsed(bytes in vec(any::<u8>(), 0..300)) {
        assert_parses(&bytes, &FileSettings::default());
    }

    #[test]
    fn any_combination_of_snippets_can_be_parsed(text in text_of_pieces(), tail in any::<bool>()) {
        let text = format!("{text}{}", if tail { "\nclass Pipe: pass\n" } else { "" });
        assert_parses(text.as_bytes(), &FileSettings::default());
    }

    #[test]
    fn a_real_plugin_may_be_damaged_in_any_way(cuts in cuts(), id in prop::option::of(name()), kind in 0..3) {
        let kind = [None, Some(Kind::Function), Some(Kind::Tool)][usize::try_from(kind).unwrap()];
        assert_parses(&mutated(&cuts), &FileSettings { id, kind, enabled: None });
    }

    #[test]
    fn any_range_maps_to_a_place_in_the_text(text in text_of_pieces(), ends in any::<[u8; 2]>()) {
        // Positions refer to the parsed text: with `\n`, and without a byte order mark.
        let text = text.replace(['\r', '\u{feff}'], "");
        let [start, end] = ends.map(usize::from);
        assert_in(&Span::new(&text, start..end), &text);
    }
}

// ---- what is remembered ---------------------------------------------------------------------------------------------

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 4]>().prop_map(|bytes| Digest::of(&bytes))
}

fn key() -> impl Strategy<Value = Key> {
    let id = "[a-zäß_][a-z0-9_ü]{0,8}".prop_filter_map("an id", |id| PluginId::new(&id));
    (any::<bool>(), id).prop_map(|(tool, id)| Key { kind: if tool { Kind::Tool } else { Kind::Function }, id })
}

fn deployed() -> impl Strategy<Value = Deployed> {
    (digest(), prop::option::of(".{0,10}"), -1_000_000_000..4_000_000_000_i64, any::<bool>()).prop_map(
        |(digest, version, second, by_us)| {
            let at = jiff::Timestamp::from_second(second).unwrap();
            Deployed { digest, version, at, by_us }
        },
    )
}

fn last() -> impl Strategy<Value = LastAttempt> {
    prop_oneof![
        Just(LastAttempt::Deployed),
        (digest(), any::<String>())
            .prop_map(|(digest, words)| LastAttempt::Refused { digest, refusal: Refusal::said(words) }),
        digest().prop_map(|digest| LastAttempt::Failed { digest }),
    ]
}

fn ledger() -> impl Strategy<Value = Ledger> {
    btree_map(key(), (prop::option::of(deployed()), last()), 0..8).prop_map(|records| {
        let mut ledger = Ledger::default();
        for (key, (deployed, last)) in records {
            if let Some(deployed) = deployed {
                ledger.deployed(&key, deployed);
            }
            if last != LastAttempt::Deployed {
                ledger.ended(&key, last);
            }
        }
        ledger
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_written_ledger_can_be_read_again(ledger in ledger()) {
        prop_assert_eq!(Ledger::from_json(&ledger.to_json()), Ok(ledger));
    }

    /// A truncated ledger is an error; a readable one is valid.
    #[test]
    fn a_ledger_may_be_damaged_in_any_way(
        ledger in ledger(),
        keep in 0.0..1.0_f64,
        place in any::<prop::sample::Index>(),
        put in any::<char>(),
    ) {
        let whole: Vec<char> = ledger.to_json().chars().collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "any")]
        let half: String = whole[..(whole.len() as f64 * keep) as usize].iter().collect();
        prop_assert!(Ledger::from_json(&half).is_err());
        let mut changed = whole;
        let place = place.index(changed.len());
        changed[place] = put;
        if let Ok(read) = Ledger::from_json(&String::from_iter(changed)) {
            prop_assert_eq!(Ledger::from_json(&read.to_json()), Ok(read));
        }
    }

    #[test]
    fn any_text_is_a_ledger_or_an_error(text in any::<String>()) {
        Ledger::from_json(&text).ok();
    }

}

proptest! {
    // Each intent waits for the disk, so there are fewer, and each is damaged several times.
    #![proptest_config(ProptestConfig { cases: config().cases.div_ceil(8), ..config() })]

    #[test]
    fn intents_survive_a_restart_and_damaged_ones_are_ignored(
        key in key(),
        local in prop::option::of(digest()),
        ours in vec(digest(), 0..20),
        replaced in digest(),
        was_active in any::<bool>(),
        damages in vec((vec(any::<u8>(), 0..40), any::<prop::sample::Index>()), 8),
    ) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("state"), "http://h");
        let rollback = Rollback { local, server: replaced, done: was_active };
        let intent = UpdateIntent { ours, replaced: Some(replaced).filter(|_| was_active), was_active };
        folder.save_rollback(&key, &rollback).unwrap();
        folder.save_intent(&key, &intent).unwrap();
        prop_assert_eq!(folder.rollbacks(), BTreeMap::from([(key.clone(), rollback)]));
        prop_assert_eq!(folder.intents(), BTreeMap::from([(key.clone(), intent)]));
        let name = format!("{}-{}.json", key.kind.word(), key.id);
        let paths = ["rollbacks/h", "under-way/h"].map(|part| temporary.path().join("state").join(part).join(&name));
        let whole = paths.each_ref().map(|path| fs::read(path).unwrap());
        for (damage, cut) in damages {
            for (path, whole) in paths.iter().zip(&whole) {
                fs::write(path, &whole[..cut.index(whole.len())]).unwrap();
            }
            prop_assert!(folder.rollbacks().is_empty() && folder.intents().is_empty());
            for path in &paths {
                fs::write(path, &damage).unwrap();
            }
            prop_assert!(folder.rollbacks().is_empty() && folder.intents().is_empty());
        }
    }
}

// ---- what is told ---------------------------------------------------------------------------------------------------

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_log_line_is_one_line(
        path in prop::option::of("[a\n\r./]{1,8}"),
        version in prop::option::of("[0-9\n\r ]{0,5}"),
        words in "[a\n\r:]{0,30}",
        line in 1..9_usize,
        which in 0..4,
    ) {
        let span = Span { line, column: 1, width: 1, source: words.clone() };
        let what = match which {
            0 => NoticeKind::RefusedBefore {
                refusal: Refusal::said(words.clone()),
                span: Some(span),
                requirements: None,
                installs: true,
                on_server: true,
            },
            1 => NoticeKind::Surprising(Diagnostic {
                rule: Rule::Syntax(words.clone()),
                file: Path::new(path.as_deref().unwrap_or_default()).into(),
                span: Some(span),
            }),
            2 => NoticeKind::Trouble(Trouble::Told { message: words.clone(), hint: Some(words.clone()) }),
            _ => NoticeKind::SameFile { original: PathBuf::from(&words) },
        };
        let about = Subject { path: path.map(|path| Path::new(&path).into()), version, ..Subject::default() };
        let said = Notice { about, what }.log_line(Timestamp::UNIX_EPOCH);
        prop_assert!(!said.contains(['\n', '\r']), "{}", said);
    }
}
