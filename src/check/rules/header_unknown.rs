//! A header key that the server does not know, but that looks like a known one: `requirement:` installs nothing.

use ruff_text_size::{TextRange, TextSize};

use super::{CheckRule, Context, Report};
use crate::plugin::{Fix, Severity};

pub(super) const RULE: CheckRule = CheckRule {
    id: "header-unknown",
    severity: Severity::Warning,
    title: "a header key that looks like a misspelled known key",
    page: "
The server uses a few keys of the header, and stores all others without a warning. So `requirement:`
installs nothing, and `auther:` names no author. A key that resembles no known key is not
reported.",
    wrong: "
\"\"\"
title: Shout
requirement: left-pad
\"\"\"
class Pipe:
    def pipe(self, body):
        return \"done\"
",
    right: "
\"\"\"
title: Shout
requirements: left-pad
\"\"\"
class Pipe:
    def pipe(self, body):
        return \"done\"
",
    check,
};

/// The keys that the server, its community site and this program read.
const KNOWN: &[&str] = &[
    "title",
    "author",
    "author_url",
    "author_email",
    "funding_url",
    "version",
    "license",
    "description",
    "requirements",
    "required_open_webui_version",
    "icon_url",
    "git_url",
    "openwebui_id",
];
/// Keys that resemble these but have a meaning of their own.
const OTHERS: &[&str] = &[
    "id",
    "date",
    "type",
    "licence",
    "authors",
    "author_urls",
    "funding",
    "versions",
    "git",
    "url",
    "name",
    "repo_url",
];

fn check(context: &Context<'_>, report: &mut Report) {
    for (key, _) in context.frontmatter.iter() {
        let plain = key.to_lowercase();
        if KNOWN.contains(&plain.as_str()) && plain == key || OTHERS.contains(&plain.as_str()) {
            continue;
        }
        let nearest = KNOWN.iter().map(|known| (strsim::damerau_levenshtein(&plain, known), *known)).min();
        let Some((distance, known)) = nearest else { continue };
        let most = if known.len() >= 10 { 2 } else { 1 };
        if distance > most || key.len() < 4 || context.frontmatter.get(known).is_some() {
            continue;
        }
        if let Some(range) = place(context.text, key) {
            let message = format!("the server knows no `{key}` in the header");
            let fix = Fix { edits: vec![(range.into(), known.to_owned())] };
            report.add_with_fix(range, message, format!("write `{known}`"), Some(fix));
        }
    }
}

/// Where a key stands in the header.
fn place(text: &str, key: &str) -> Option<TextRange> {
    let mut at = 0;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        if n > 0 && line.contains("\"\"\"") {
            return None;
        }
        let indent = line.len() - line.trim_start().len();
        if n > 0 && line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with(':')) {
            let start = TextSize::try_from(at + indent).ok()?;
            return Some(TextRange::at(start, TextSize::try_from(key.len()).ok()?));
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn keys_that_are_almost_known() {
        for (line, expected) in [
            ("requirement: a", "warning 3"),
            ("auther: a", "warning 3"),
            ("Requirements: a", "warning 3"),
            ("requirments: a", "warning 3"),
            ("required_openwebui_version: 1", "warning 3"),
            ("requirements: a", ""),
            ("licence: MIT", ""),
            ("changelog: a", ""),
            ("Note: a", ""),
            ("date: 2024", ""),
        ] {
            let text = format!("\"\"\"\nid: x\n{line}\n\"\"\"\nclass Pipe: pass\n");
            table("header-unknown", "0.12.4", &[(&text, expected)]);
        }
    }
}
