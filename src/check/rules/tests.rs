//! What all rules are held to, and how their own tests run them.

use std::path::Path;
use std::sync::Arc;

use super::super::{Options, ServerVersion, check, check_together};
use super::*;
use crate::plugin::{FileSettings, Parsed, Plugin, parse};

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
    for (_, more) in check_together([(&*checked, text)], &options) {
        found.extend(more);
    }
    let say = |diagnostic: &crate::plugin::Diagnostic| {
        let span = diagnostic.span.clone().unwrap();
        let place = format!("{}:{}+{}", span.line, span.column, span.width);
        format!("{} {place} {}", diagnostic.severity().word(), diagnostic.message())
    };
    found.iter().map(say).collect()
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

/// The wrong examples are found, each by its own rule, and the right ones by none of more than information.
#[test]
fn every_page_tells_the_truth() {
    for rule in RULES {
        let options = Options { select: vec![rule.id.to_owned()], ..Options::default() };
        let run = |text: &str, options: &Options| {
            let checked = plugin("a.py", text);
            let mut found = check(&checked, text, options);
            let other = plugin("b.py", "class Tools:\n    def search(self): pass\n");
            for (path, more) in check_together([(&*checked, text), (&*other, &other.text)], options) {
                found.extend(more.into_iter().filter(|_| *path == *checked.path));
            }
            found
        };
        let version = if rule.id == "tool-name-twice" { "0.11.4" } else { "0.12.4" };
        let version = ServerVersion::parse(version).unwrap();
        let wrong = run(rule.wrong.trim_start(), &Options { version, ..options.clone() });
        // A needless ignore is told by a rule that is in use.
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
