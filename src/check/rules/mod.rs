//! The rules, each in a file of its own. This list is the only one: `docs/checks.md` and `--explain` are made from it.

mod arguments;
mod blocking_call;
mod emitter_unguarded;
mod header_unknown;
mod hook_shape;
mod kwargs_empty;
mod leaks_per_save;
mod missing_await;
mod name_gone;
mod native_test;
mod not_shipped;
mod parameter_undescribed;
mod secret_shown;
pub(super) mod tool_name_twice;
mod undefined_name;
mod unused_ignore;
mod valves_unused;

use super::Report;
use super::context::Context;
use crate::plugin::Severity;

/// A rule of `check`.
#[derive(Debug)]
pub struct CheckRule {
    /// Its id, which never changes.
    pub id: &'static str,
    /// The usual severity. A diagnostic that is less certain may have a lower one.
    pub severity: Severity,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it matters, and since when.
    pub page: &'static str,
    /// A part of a plugin that breaks it; empty if the rule cannot be ignored.
    pub wrong: &'static str,
    /// The same part, corrected.
    pub right: &'static str,
    pub(super) check: fn(&Context<'_>, &mut Report),
}

impl CheckRule {
    /// Its page: what `check --explain` prints.
    #[must_use]
    pub fn explanation(&self) -> String {
        let indented = |code: &str| {
            let lines = code.trim().lines();
            lines
                .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") })
                .collect::<String>()
        };
        let Self { id, title, wrong, right, .. } = self;
        let head = format!("{id} ({}): {title}\n\n{}\n", self.severity.word(), self.page.trim());
        if wrong.is_empty() {
            return format!("{head}\nThis rule cannot be ignored.\n");
        }
        format!("{head}\nWrong:\n\n{}\nRight:\n\n{}", indented(wrong), indented(right))
    }
}

/// All rules, the most certain first.
pub const RULES: &[CheckRule] = &[
    undefined_name::RULE,
    missing_await::RULE,
    name_gone::RULE,
    not_shipped::RULE,
    hook_shape::RULE,
    arguments::NOT_GIVEN,
    valves_unused::RULE,
    arguments::ALWAYS_DEFAULT,
    secret_shown::RULE,
    blocking_call::RULE,
    native_test::RULE,
    emitter_unguarded::RULE,
    leaks_per_save::RULE,
    header_unknown::RULE,
    tool_name_twice::RULE,
    unused_ignore::RULE,
    parameter_undescribed::RULE,
    kwargs_empty::RULE,
];

#[cfg(test)]
pub(super) mod tests;
