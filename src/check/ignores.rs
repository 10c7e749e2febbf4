//! `# owui: ignore[rule]` at the end of a line accepts what the rule finds there. An ignore that ignores nothing is a
//! warning.

use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_text_size::{Ranged as _, TextRange};

use super::{FILE_RULES, MOST_OF_A_RULE, Options, instead_of, rule};
use crate::plugin::{RuleFinding, Severity};

/// The id of the warning about an ignore that ignores nothing.
pub(super) const UNUSED: &str = "unused-ignore";
const MARK: &str = "owui:";
/// The most lines between a misplaced comment and the finding that its hint points to.
const NEAR: usize = 10;

type Found = Vec<(RuleFinding, TextRange)>;

/// An `# owui: ignore` comment.
struct Comment<'a> {
    range: TextRange,
    /// From the start of its line to the end of the comment.
    line: TextRange,
    /// Whether there is code on its line.
    has_code: bool,
    /// The rules in brackets with their places; empty if there are none.
    rules: Vec<Name<'a>>,
}

struct Name<'a> {
    rule: &'a str,
    range: TextRange,
    is_used: bool,
}

/// The text after each `# owui: ignore` of a comment, up to the next `#`, with its offset.
fn ignores_in(comment: &str) -> impl Iterator<Item = (usize, &str)> {
    comment.match_indices(MARK).filter_map(|(at, _)| {
        let rest = comment[at + MARK.len()..].trim_start().strip_prefix("ignore")?;
        let is_one = comment[..at].trim_end().ends_with('#') && !rest.starts_with(char::is_alphabetic);
        is_one.then(|| (comment.len() - rest.len(), rest.split('#').next().unwrap_or(rest)))
    })
}

/// The comma-separated rules in the brackets at the start of a text.
fn names_of(rest: &str) -> Option<&str> {
    let (names, _) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
    (!names.trim().is_empty()).then_some(names)
}

/// Whether a comment at the end of this line ignores a rule.
pub(super) fn silences(line: &str, rule: &str) -> bool {
    let mut names = ignores_in(line).filter_map(|(_, rest)| names_of(rest)).flat_map(|names| names.split(','));
    names.any(|name| name.trim() == rule)
}

/// The line ends of a text, and whether a comment can stand at each: not in a string, nor after a backslash.
struct Lines(Vec<(usize, bool)>);

impl Lines {
    fn of(text: &str, tokens: &Tokens) -> Self {
        let mut lines: Vec<_> = text.match_indices('\n').map(|(at, _)| (at, false)).collect();
        lines.push((text.len(), false));
        let mut lines = Self(lines);
        let mut strings = 0;
        for token in tokens {
            match token.kind() {
                // Before Python 3.12, these strings take no comments between their braces.
                TokenKind::FStringStart | TokenKind::TStringStart => strings += 1,
                TokenKind::FStringEnd | TokenKind::TStringEnd => strings -= 1,
                TokenKind::Newline | TokenKind::NonLogicalNewline if strings == 0 => {
                    let line = lines.line(token.range());
                    lines.0[line - 1].1 = true;
                }
                _ => {}
            }
        }
        lines
    }

    /// The line where a range begins, from 1.
    fn line(&self, range: TextRange) -> usize {
        self.0.partition_point(|(end, _)| *end < usize::from(range.start())) + 1
    }

    fn takes_comment(&self, line: usize) -> bool {
        self.0.get(line - 1).is_some_and(|(_, takes)| *takes)
    }
}

impl<'a> Comment<'a> {
    fn read(text: &'a str, range: TextRange) -> Option<Self> {
        let comment = &text[range];
        let mut ignores = ignores_in(comment).peekable();
        ignores.peek()?;
        let start = text[..usize::from(range.start())].rfind('\n').map_or(0, |newline| newline + 1);
        let line = within(start..usize::from(range.end()));
        let has_code = !text[start..usize::from(range.start())].trim().is_empty();
        let mut rules = Vec::new();
        for (place, rest) in ignores {
            let in_rest = rest.len() - rest.trim_start().len() + 1;
            let mut at = usize::from(range.start()) + place + in_rest;
            for name in names_of(rest).into_iter().flat_map(|names| names.split(',')) {
                let rule = name.trim();
                let from = at + (name.len() - name.trim_start().len());
                rules.push(Name { rule, range: within(from..from + rule.len()), is_used: false });
                at += name.len() + 1;
            }
        }
        Some(Self { range, line, has_code, rules })
    }

    /// Whether this range begins on the line of the comment.
    fn is_at(&self, range: TextRange) -> bool {
        self.line.contains_inclusive(range.start())
    }

    /// The message and hint for a comment that names no rule.
    fn without_rules(&self, found: &Found) -> (String, String) {
        let here = found.iter().find(|(_, range)| self.is_at(*range)).map(|(finding, _)| finding.rule);
        let such = if here.is_some() { "write" } else { "name the rule in brackets, as in" };
        let hint = format!("{such} `# owui: ignore[{}]`", here.unwrap_or("blocking-call"));
        ("`# owui: ignore` without a rule ignores nothing".to_owned(), hint)
    }

    /// The message and hint for a rule that ignores nothing.
    fn needless(&self, lines: &Lines, name: &str, found: &Found) -> (String, String) {
        if rule(name).is_none() {
            let is_of_files = FILE_RULES.iter().any(|rule| rule.id == name);
            let message =
                if is_of_files { format!("`{name}` cannot be ignored") } else { format!("there is no rule `{name}`") };
            return (message, instead_of(name));
        }
        let own = lines.line(self.range);
        let of_rule = found.iter().filter(|(finding, _)| finding.rule == name).map(|(_, range)| lines.line(*range));
        let nearest = of_rule.filter(|line| line.abs_diff(own) <= NEAR).min_by_key(|line| line.abs_diff(own));
        let message = if self.has_code {
            format!("`{name}` finds nothing on this line")
        } else {
            format!("`{name}` finds nothing here: an ignore applies only to its own line")
        };
        let hint = match nearest.filter(|line| lines.takes_comment(*line)) {
            Some(line) => format!("move it to the end of line {line}"),
            None if self.rules.len() > 1 => format!("take `{name}` out of the brackets"),
            None => "delete the comment".to_owned(),
        };
        (message, hint)
    }
}

/// Removes the findings that comments ignore, and adds a warning for each ignore that ignores nothing. The rule `later`
/// runs after this, so an ignore of it never gets the warning.
pub(super) fn apply(text: &str, tokens: &Tokens, options: &Options, later: &str, found: &mut Found) {
    if !text.contains(MARK) {
        return;
    }
    let comments = tokens.iter().filter(|token| token.kind() == TokenKind::Comment);
    let mut comments: Vec<_> = comments.filter_map(|token| Comment::read(text, token.range())).collect();
    found.retain(|(finding, range)| {
        let mut keeps = true;
        // A line has one comment at most, and they are in the order of the text.
        let at = comments.partition_point(|comment| comment.line.end() < range.start());
        if let Some(comment) = comments.get_mut(at).filter(|comment| comment.is_at(*range)) {
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
    // A rule that is not selected did not run, so its ignores may be needed.
    let is_needless = |name: &&Name<'_>| {
        !name.is_used && name.rule != later && (options.uses(name.rule) || rule(name.rule).is_none())
    };
    let lines = Lines::of(text, tokens);
    let told = comments.iter().flat_map(|comment| {
        let bare = comment.rules.is_empty().then(|| (comment.without_rules(found), comment.range));
        let needless = comment.rules.iter().filter(is_needless);
        bare.into_iter().chain(needless.map(|name| (comment.needless(&lines, name.rule, found), name.range)))
    });
    let told = told.take(MOST_OF_A_RULE).map(|((message, hint), range)| {
        let hint = Some(hint);
        (RuleFinding { rule: UNUSED, severity: Severity::Warning, message, hint, fix: None }, range)
    });
    let told: Vec<_> = told.collect();
    found.extend(told);
}

fn within(range: std::ops::Range<usize>) -> TextRange {
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX).into();
    TextRange::new(at(range.start), at(range.end))
}
