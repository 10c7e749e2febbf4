//! Checks plugins without a server: a list of rules over the syntax tree, its names, and the tables of what each version
//! of Open WebUI has. An error says what will happen and when; what is only likely is a warning.

mod context;
mod fix;
mod flow;
mod ignores;
mod rules;
mod semantics;
mod servers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ruff_text_size::TextRange;

use crate::plugin::{Diagnostic, Finding, Fix, Plugin, Rule, Severity, Span, python};
use context::Context;
pub use fix::mended;
pub use rules::{CheckRule, RULES};
pub use servers::ServerVersion;

/// The most diagnostics of one rule in one file.
const MOST_OF_A_RULE: usize = 30;

/// How to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The server that the plugin is for.
    pub version: ServerVersion,
    /// The ids of the rules to use; empty for all.
    pub select: Vec<String>,
    /// The ids of the rules to leave out.
    pub ignore: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { version: ServerVersion::newest(), select: Vec::new(), ignore: Vec::new() }
    }
}

impl Options {
    fn uses(&self, rule: &str) -> bool {
        let names = |rules: &[String]| rules.iter().any(|name| name == rule);
        (self.select.is_empty() || names(&self.select)) && !names(&self.ignore)
    }
}

/// The rule with this id.
#[must_use]
pub fn rule(id: &str) -> Option<&'static CheckRule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// Checks one plugin. `text` is the plugin's, which need not be in its own memory.
#[must_use]
pub fn check(plugin: &Plugin, text: &str, options: &Options) -> Vec<Diagnostic> {
    let Some(parsed) = python::tree(text) else { return Vec::new() };
    let context = Context::new(plugin, text, &parsed, options.version);
    let mut found = Vec::new();
    for rule in RULES {
        let mut report = Report { rule, found: Vec::new() };
        if options.uses(rule.id) {
            (rule.check)(&context, &mut report);
        }
        found.append(&mut report.found);
    }
    ignores::apply(text, parsed.tokens(), options, &mut found);
    found.sort_by_key(|(_, range)| range.start());
    let diagnostic = |(finding, range): (Finding, TextRange)| Diagnostic {
        rule: Rule::Checked(Arc::new(finding)),
        file: Arc::clone(&plugin.path),
        span: Some(Span::new(text, range.into())),
    };
    found.into_iter().map(diagnostic).collect()
}

/// Finds what only several plugins together get wrong. The plugins are those of one server.
#[must_use]
pub fn check_together<'a>(
    plugins: impl IntoIterator<Item = (&'a Plugin, &'a str)>,
    options: &Options,
) -> BTreeMap<Arc<Path>, Vec<Diagnostic>> {
    rules::tool_name_twice::across(plugins, options)
}

/// Collects what one rule finds in one file.
struct Report {
    rule: &'static CheckRule,
    found: Vec<(Finding, TextRange)>,
}

impl Report {
    /// Adds a diagnostic with the rule's own severity.
    fn add(&mut self, range: TextRange, message: impl Into<String>, hint: impl Into<String>) {
        self.add_as(self.rule.severity, range, message, hint);
    }

    /// Adds a diagnostic with another severity, where less is certain.
    fn add_as(&mut self, severity: Severity, range: TextRange, message: impl Into<String>, hint: impl Into<String>) {
        if !self.is_full() {
            let hint = Some(hint.into()).filter(|hint: &String| !hint.is_empty());
            let finding = Finding { rule: self.rule.id, severity, message: message.into(), hint, fix: None };
            self.found.push((finding, range));
        }
    }

    /// Whether there is no room for more.
    fn is_full(&self) -> bool {
        self.found.len() >= MOST_OF_A_RULE
    }

    /// Gives the last diagnostic a change that mends it.
    fn fixed_by(&mut self, fix: Fix) {
        if let Some((finding, _)) = self.found.last_mut() {
            finding.fix = Some(fix);
        }
    }
}
