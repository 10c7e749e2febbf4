//! Tests that hold for all rules, and helpers for the tests of single rules.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::super::semantics::LOOKS;
use super::super::{Options, check, check_syntax, check_together, mended};
use super::*;
use crate::plugin::{Diagnostic, FileSettings, Parsed, Plugin, parse, python};
use crate::server_version::ServerVersion;

#[track_caller]
pub(in crate::check) fn plugin(path: &str, text: &str) -> Arc<Plugin> {
    match parse(&Arc::from(Path::new(path)), text.as_bytes(), &FileSettings::default()) {
        Parsed::Plugin(plugin) => plugin,
        other @ (Parsed::NotAPlugin | Parsed::Disabled | Parsed::Invalid(_)) => panic!("{other:?}\n{text}"),
    }
}

/// What one rule finds in a text, for this server: `error 3:5+4 message`.
#[track_caller]
pub(in crate::check) fn found(rule: &str, text: &str, version: &str) -> Vec<String> {
    let version = ServerVersion::parse(version).unwrap();
    let options = Options { version, select: vec![rule.to_owned()], ..Options::default() };
    let checked = plugin("a.py", text);
    let mut found = check(&checked, text, &options);
    found.extend(found_together(&[checked], &options).into_values().flatten());
    let say = |diagnostic: &crate::plugin::Diagnostic| {
        let span = diagnostic.span.clone().unwrap();
        let place = format!("{}:{}+{}", span.line, span.column, span.width);
        format!("{} {place} {}", diagnostic.severity().word(), diagnostic.message())
    };
    found.iter().map(say).collect()
}

/// The mistakes that show only across plugins.
pub(in crate::check) fn found_together(
    plugins: &[Arc<Plugin>],
    options: &Options,
) -> BTreeMap<Arc<Path>, Vec<Diagnostic>> {
    let of = |plugin: &Arc<Plugin>| {
        let syntax = python::tree(&plugin.text).unwrap();
        (Arc::clone(&plugin.path), check_syntax(plugin, &plugin.text, &syntax, options))
    };
    let found: Vec<_> = plugins.iter().map(of).collect();
    check_together(found.iter().map(|(path, found)| (path, found)), options)
}

/// Checks texts against the lines in which this rule finds something, each with its severity.
#[track_caller]
pub(in crate::check) fn table(rule: &str, version: &str, rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        let found = found(rule, text, version);
        let places: Vec<_> = found.iter().map(|line| line.split(['+', ':']).next().unwrap()).collect();
        assert_eq!(places.join(", "), *expected, "\n{text}\n{found:#?}");
    }
}

/// Each wrong example is found by its own rule; in a right one, no rule finds more than information.
#[test]
fn every_page_tells_the_truth() {
    for rule in RULES {
        let options = Options { select: vec![rule.id.to_owned()], ..Options::default() };
        let run = |text: &str, options: &Options| {
            let checked = plugin("a.py", text);
            let mut found = check(&checked, text, options);
            let other = plugin("b.py", "class Tools:\n    def search(self): pass\n");
            let mut together = found_together(&[Arc::clone(&checked), other], options);
            found.extend(together.remove(&checked.path).unwrap_or_default());
            found
        };
        let version = if rule.id == "tool-name-twice" { "0.11.4" } else { "0.12.4" };
        let version = ServerVersion::parse(version).unwrap();
        let wrong = run(rule.wrong.trim_start(), &Options { version, ..options.clone() });
        // A needless ignore is reported only if the rule that it names is selected.
        let wrong = if rule.id == "unused-ignore" { run(rule.wrong.trim_start(), &Options::default()) } else { wrong };
        assert!(wrong.iter().any(|diagnostic| diagnostic.rule.word() == rule.id), "{}: {wrong:#?}", rule.id);
        let right = run(rule.right.trim_start(), &Options { version, ..Options::default() });
        let right: Vec<_> = right.iter().filter(|found| found.severity() != Severity::Info).collect();
        assert!(right.is_empty(), "{}: {right:#?}", rule.id);
    }
}

#[test]
fn ids_differ_and_pages_are_narrow() {
    for (n, rule) in RULES.iter().enumerate() {
        assert!(RULES[..n].iter().all(|other| other.id != rule.id), "{}", rule.id);
        assert!(rule.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", rule.id);
        assert!(rule.title.len() <= 80 && !rule.title.ends_with('.'), "{}", rule.title);
        assert!(rule.page.lines().all(|line| line.chars().count() <= 100), "{}", rule.id);
    }
}

/// A tree may be deeper than a recursive walk can go on a thread's stack.
#[test]
fn no_depth_ends_the_program() {
    let run = || {
        for way in
            ["-…a…", "a+…a…", "…a….a", "…a…()", "not …a…", "a if b else …a…", "…a…[0]", "lambda: …a…", "a or …a…"]
        {
            let (before, rest) = way.split_once('…').unwrap();
            let (core, after) = rest.split_once('…').unwrap();
            let deep = format!("{}{core}{}", before.repeat(1_300), after.repeat(1_300));
            let text = format!(
                "from open_webui.models.users import Users as a\nimport b\nclass Filter:\n    class Valves:\n        \
                 token: {deep}\n    def inlet(self, body):\n        x = {deep}\n        return x.y\n"
            );
            let _found = check(&plugin("a.py", &text), &text, &Options::default());
        }
    };
    std::thread::Builder::new().stack_size(3 << 19).spawn(run).unwrap().join().unwrap();
}

/// A hook with `n` lines of this kind.
fn long(line: &str, n: usize) -> String {
    let head = "from open_webui.models.users import Users\nimport threading, asyncio\nclass Pipe:\n    async def pipe(self, body):\n";
    let lines = (0..n).map(|n| format!("        {}\n", line.replace('N', &n.to_string()).replace('\n', "\n        ")));
    head.to_owned() + &lines.collect::<String>()
}

/// Comments count for all findings, and fixes mend all of them, but the user is not told of hundreds.
#[test]
fn a_rule_that_finds_hundreds_tells_a_few_of_them() {
    let options =
        Options { select: vec!["missing-await".to_owned(), "unused-ignore".to_owned()], ..Options::default() };
    let check = |text: &str| check(&plugin("a.py", text), text, &options).len();
    let text = long("Users.get_user_by_id(N).x", 100);
    assert_eq!(check(&text), 30);
    assert_eq!(check(&long("Users.get_user_by_id(N).x  # owui: ignore[missing-await]", 100)), 0);
    let (mended, n) = mended(&plugin("a.py", &text), &text, &options).unwrap();
    assert_eq!((n, check(&mended)), (100, 0));
}

/// Twice the text takes about twice the work, which is counted and not timed.
#[test]
fn work_grows_as_the_text_does() {
    for line in [
        "u = await Users.get_user_by_id(N)",
        "uN = Users.get_user_by_id(N); await uN",
        "u = Users.get_user_by_id(N); u.x",
        "u = Users.get_user_by_id(N)\nif u: pass",
        "u = Users.get_user_by_id(N)\nif u: pass\nv = u\nu = v",
        "self.u = Users.get_user_by_id(N)",
        "self.uN = Users.get_user_by_id(N); self.uN.x",
        "self.mN(Users.get_user_by_id(N))",
        "def f(u): return u\nf(Users.get_user_by_id(N))",
        "def fN(u): return u\nfN(Users.get_user_by_id(N))",
        "def fN(u): return Users.get_user_by_id(N)\nawait fN(1)",
        "if body: return Users.get_user_by_id(N)",
        "undefinedN",
        "x = N",
        "xN = body; xN = xN",
        "tN = threading.Thread(); tN.start()",
        "await asyncio.gather(Users.get_users(), key=N)",
        "self.mN(); __event_emitter__(N)",
        "import aN",
        "try:\n    import aN\nexcept ImportError: pass",
        "def fN(): return f1()",
        "body['N'] = [x for x in body if x]",
        "global gN; gN = 1",
        "xN = 1  # owui: ignore[blocking-call]",
    ] {
        let work = |n| {
            let text = long(line, n);
            let checked = plugin("a.py", &text);
            LOOKS.set(0);
            let found = check(&checked, &text, &Options::default());
            assert!(found.len() <= 100, "{line}");
            LOOKS.get()
        };
        let (once, twice) = (work(300), work(600));
        assert!(twice <= once * 5 / 2 + 1_000, "{line}: {once} and {twice}");
    }
}
