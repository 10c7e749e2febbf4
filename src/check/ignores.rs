//! `# owui: ignore[rule]` at the end of a line: the author has seen it. An ignore that ignores nothing is a warning.

use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_text_size::{Ranged as _, TextRange};

use super::rules::tool_name_twice;
use super::{FILE_RULES, Options, instead_of, rule};
use crate::plugin::{RuleFinding, Severity};

/// The id of the warning about an ignore that ignores nothing.
pub(super) const UNUSED: &str = "unused-ignore";
const MARK: &str = "owui:";
/// The most lines between a comment and what it may be meant for.
const NEAR: usize = 10;

type Found = Vec<(RuleFinding, TextRange)>;

/// A comment that is to ignore something.
struct Comment<'a> {
    range: TextRange,
    /// From the start of the line to the end of the comment.
    line: TextRange,
    /// Whether there is code on its line.
    has_code: bool,
    /// The rules in its brackets, each with its place; none if it has no brackets.
    rules: Vec<Name<'a>>,
}

struct Name<'a> {
    rule: &'a str,
    range: TextRange,
    is_used: bool,
}

/// What follows `# owui: ignore` in a comment.
fn rest_of(comment: &str) -> Option<&str> {
    let (before, rest) = comment.split_once(MARK)?;
    let rest = rest.trim_start().strip_prefix("ignore")?;
    (before.trim_end().ends_with('#') && !rest.starts_with(char::is_alphabetic)).then_some(rest)
}

/// The rules in the brackets that a text begins with, with commas between them.
fn names_of(rest: &str) -> Option<&str> {
    let (names, _) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
    (!names.trim().is_empty()).then_some(names)
}

/// Whether a comment at the end of this line ignores a rule.
pub(super) fn silences(line: &str, rule: &str) -> bool {
    let names = line.find('#').and_then(|at| names_of(rest_of(&line[at..])?));
    names.is_some_and(|names| names.split(',').any(|name| name.trim() == rule))
}

impl<'a> Comment<'a> {
    fn read(text: &'a str, range: TextRange) -> Option<Self> {
        let comment = &text[range];
        let rest = rest_of(comment)?;
        let start = text[..usize::from(range.start())].rfind('\n').map_or(0, |newline| newline + 1);
        let line = within(start..usize::from(range.end()));
        let has_code = !text[start..usize::from(range.start())].trim().is_empty();
        let mut rules = Vec::new();
        if let Some(names) = names_of(rest) {
            let in_rest = rest.len() - rest.trim_start().len() + 1;
            let mut at = usize::from(range.start()) + (comment.len() - rest.len()) + in_rest;
            for name in names.split(',') {
                let rule = name.trim();
                let from = at + (name.len() - name.trim_start().len());
                rules.push(Name { rule, range: within(from..from + rule.len()), is_used: false });
                at += name.len() + 1;
            }
        }
        Some(Self { range, line, has_code, rules })
    }

    /// Whether it is at the end of the line where this begins.
    fn is_at(&self, range: TextRange) -> bool {
        self.line.contains_inclusive(range.start())
    }

    /// Says that it has no brackets.
    fn without_rules(&self, found: &Found) -> (String, String) {
        let here = found.iter().find(|(_, range)| self.is_at(*range)).map(|(finding, _)| finding.rule);
        let such = if here.is_some() { "write" } else { "name the rule in brackets, as in" };
        let hint = format!("{such} `# owui: ignore[{}]`", here.unwrap_or("blocking-call"));
        ("`# owui: ignore` without a rule ignores nothing".to_owned(), hint)
    }

    /// Says that one of its rules is needless.
    fn needless(&self, text: &str, name: &str, found: &Found) -> (String, String) {
        if rule(name).is_none() {
            let is_of_files = FILE_RULES.iter().any(|rule| rule.id == name);
            let message =
                if is_of_files { format!("`{name}` cannot be ignored") } else { format!("there is no rule `{name}`") };
            return (message, instead_of(name));
        }
        let line_of = |range: TextRange| text[..usize::from(range.start())].matches('\n').count() + 1;
        let own = line_of(self.range);
        let of_rule = found.iter().filter(|(finding, _)| finding.rule == name).map(|(_, range)| line_of(*range));
        let nearest = of_rule.filter(|line| line.abs_diff(own) <= NEAR).min_by_key(|line| line.abs_diff(own));
        let message = if self.has_code {
            format!("`{name}` finds nothing on this line")
        } else {
            format!("`{name}` finds nothing here: a comment counts for its own line")
        };
        let hint = match nearest {
            Some(line) => format!("move it to the end of line {line}"),
            None if self.rules.len() > 1 => format!("take `{name}` out of the brackets"),
            None => "delete the comment".to_owned(),
        };
        (message, hint)
    }
}

/// Takes out what the comments of a text ignore, and adds what they needlessly ignore.
pub(super) fn apply(text: &str, tokens: &Tokens, options: &Options, found: &mut Found) {
    if !text.contains(MARK) {
        return;
    }
    let comments = tokens.iter().filter(|token| token.kind() == TokenKind::Comment);
    let mut comments: Vec<_> = comments.filter_map(|token| Comment::read(text, token.range())).collect();
    found.retain(|(finding, range)| {
        let mut keeps = true;
        for comment in comments.iter_mut().filter(|comment| comment.is_at(*range)) {
            for name in comment.rules.iter_mut().filter(|name| name.rule == finding.rule) {
                name.is_used = true;
                keeps = false;
            }
        }
        keeps
    });
    if !options.uses(UNUSED) {
        return;
    }
    // A rule that is not in use cannot tell.
    let is_needless = |name: &&Name<'_>| {
        !name.is_used && name.rule != tool_name_twice::RULE.id && (options.uses(name.rule) || rule(name.rule).is_none())
    };
    let mut told = Vec::new();
    for comment in &comments {
        if comment.rules.is_empty() {
            told.push((comment.without_rules(found), comment.range));
        }
        let needless = comment.rules.iter().filter(is_needless);
        told.extend(needless.map(|name| (comment.needless(text, name.rule, found), name.range)));
    }
    found.extend(told.into_iter().map(|((message, hint), range)| {
        let hint = Some(hint);
        (RuleFinding { rule: UNUSED, severity: Severity::Warning, message, hint, fix: None }, range)
    }));
}

fn within(range: std::ops::Range<usize>) -> TextRange {
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX).into();
    TextRange::new(at(range.start), at(range.end))
}
