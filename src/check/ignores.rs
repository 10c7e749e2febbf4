//! `# owui: ignore[rule]` at the end of a line: the author has seen it. An ignore that ignores nothing is a warning.

use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_text_size::{Ranged as _, TextRange};

use super::rules::tool_name_twice;
use super::{FILE_RULES, Options, instead_of, rule};
use crate::plugin::{RuleFinding, Severity};

/// The id of the warning about an ignore that ignores nothing.
pub(super) const UNUSED: &str = "unused-ignore";
const MARK: &str = "# owui: ignore[";

/// One rule's name in a comment.
struct Ignore<'a> {
    rule: &'a str,
    range: TextRange,
    line: TextRange,
    is_used: bool,
}

/// Whether a comment at the end of this line ignores a rule.
pub(super) fn silences(line: &str, rule: &str) -> bool {
    let names = line.split_once(MARK).and_then(|(_, rest)| rest.split_once(']')).map(|(names, _)| names);
    names.is_some_and(|names| names.split(',').any(|name| name.trim() == rule))
}

/// Takes out what the comments of a text ignore, and adds what they needlessly ignore.
pub(super) fn apply(text: &str, tokens: &Tokens, options: &Options, found: &mut Vec<(RuleFinding, TextRange)>) {
    if !text.contains(MARK) {
        return;
    }
    let mut ignores = Vec::new();
    for comment in tokens.iter().filter(|token| token.kind() == TokenKind::Comment) {
        let range = comment.range();
        let Some((before, rest)) = text[range].split_once(MARK) else { continue };
        let Some((names, _)) = rest.split_once(']') else { continue };
        let mut at = usize::from(range.start()) + before.len() + MARK.len();
        let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = within(start..usize::from(range.end()));
        for name in names.split(',') {
            let trimmed = name.trim();
            let from = at + (name.len() - name.trim_start().len());
            ignores.push(Ignore { rule: trimmed, range: within(from..from + trimmed.len()), line, is_used: false });
            at += name.len() + 1;
        }
    }
    found.retain(|(finding, range)| {
        let mut keeps = true;
        for ignore in &mut ignores {
            if ignore.rule == finding.rule && ignore.line.contains_inclusive(range.start()) {
                ignore.is_used = true;
                keeps = false;
            }
        }
        keeps
    });
    // A rule that is not in use cannot tell.
    let is_needless = |ignore: &&Ignore| {
        !ignore.is_used
            && ignore.rule != tool_name_twice::RULE.id
            && (options.uses(ignore.rule) || rule(ignore.rule).is_none())
            && options.uses(UNUSED)
    };
    for ignore in ignores.iter().filter(is_needless) {
        let (message, hint) = match rule(ignore.rule) {
            Some(_) => (format!("nothing here breaks `{}`", ignore.rule), "delete the comment".to_owned()),
            None if FILE_RULES.iter().any(|rule| rule.id == ignore.rule) => {
                (format!("`{}` cannot be ignored", ignore.rule), instead_of(ignore.rule))
            }
            None => (format!("there is no rule `{}`", ignore.rule), instead_of(ignore.rule)),
        };
        let hint = Some(hint);
        found.push((RuleFinding { rule: UNUSED, severity: Severity::Warning, message, hint, fix: None }, ignore.range));
    }
}

fn within(range: std::ops::Range<usize>) -> TextRange {
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX).into();
    TextRange::new(at(range.start), at(range.end))
}
