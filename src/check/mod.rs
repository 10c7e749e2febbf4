//! Checks plugins without a server: a list of rules over the syntax tree, its names, and the tables of what each
//! version of Open WebUI has. An error says what will happen and when; what is only likely is a warning.

mod choice;
mod context;
mod file_rules;
mod fix;
mod flow;
mod id_twice;
mod ignores;
mod rules;
mod same;
mod semantics;
mod servers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ruff_text_size::TextRange;

use crate::plugin::{Diagnostic, Fix, Plugin, Rule, RuleFinding, Severity, Span, Syntax, python};
use crate::server_version::ServerVersion;
pub use choice::{Choice, Choices};
use context::Context;
pub use file_rules::FILE_RULES;
pub use fix::mended;
pub use id_twice::ids_twice;
pub use rules::{CheckRule, RULES};

/// The most diagnostics of one rule in one file that the user is told of.
const MOST_OF_A_RULE: usize = 30;

/// The most that are collected: comments may ignore some of them, and fixes are for all.
const MOST_COLLECTED: usize = 1000;

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

/// All rules: those of [`RULES`], and then those of [`FILE_RULES`].
pub fn all_rules() -> impl Iterator<Item = &'static CheckRule> {
    RULES.iter().chain(FILE_RULES)
}

/// The hint for a word that is no selectable rule.
#[must_use]
pub fn instead_of(id: &str) -> String {
    if FILE_RULES.iter().any(|rule| rule.id == id) {
        return "this rule holds for every file: it cannot be chosen or ignored".to_owned();
    }
    let near = all_rules().map(|rule| (strsim::jaro_winkler(id, rule.id), rule.id));
    let near = near.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    near.map_or("`owui-watch check --explain all` lists the rules".to_owned(), |(_, near)| {
        format!("did you mean `{near}`?")
    })
}

/// The result of checking one plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its diagnostics, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// The functions that it offers to models, for [`check_together`].
    pub tools: Vec<(String, Span)>,
}

/// Checks one plugin. `text` is the plugin's text, which [`Plugin`] itself may have dropped.
#[must_use]
pub fn check(plugin: &Plugin, text: &str, options: &Options) -> Vec<Diagnostic> {
    python::tree(text).map_or_else(Vec::new, |syntax| check_syntax(plugin, text, &syntax, options).diagnostics)
}

/// Like [`check`], with the syntax tree of the text.
#[must_use]
pub fn check_syntax(plugin: &Plugin, text: &str, syntax: &Syntax, options: &Options) -> Found {
    let mut found = check_all(plugin, text, syntax, options);
    let mut told = BTreeMap::new();
    found.diagnostics.retain(|diagnostic| {
        let n: &mut usize = told.entry(diagnostic.rule.word()).or_default();
        *n += 1;
        *n <= MOST_OF_A_RULE
    });
    found
}

/// All that was collected, which may be more than the user is told of.
fn check_all(plugin: &Plugin, text: &str, syntax: &Syntax, options: &Options) -> Found {
    let context = Context::new(plugin, text, syntax, options.version);
    let mut found = Vec::new();
    for rule in RULES {
        let mut report = Report { rule, found: Vec::new() };
        if options.uses(rule.id) {
            (rule.check)(&context, &mut report);
        }
        found.append(&mut report.found);
    }
    // `tool-name-twice` runs later, over all files together.
    ignores::apply(text, syntax.tokens(), options, rules::tool_name_twice::RULE.id, &mut found);
    found.sort_by_key(|(_, range)| range.start());
    let diagnostic = |(finding, range): (RuleFinding, TextRange)| Diagnostic {
        rule: Rule::Checked(Arc::new(finding)),
        file: Arc::clone(&plugin.path),
        span: Some(Span::new(text, range.into())),
    };
    let diagnostics = found.into_iter().map(diagnostic).collect();
    Found { diagnostics, tools: rules::tool_name_twice::tools(&context, options) }
}

/// Finds the mistakes that show only across plugins. The plugins are those of one server.
#[must_use]
pub fn check_together<'a>(
    plugins: impl IntoIterator<Item = (&'a Arc<Path>, &'a Found)>,
    options: &Options,
) -> BTreeMap<Arc<Path>, Vec<Diagnostic>> {
    rules::tool_name_twice::across(plugins, options)
}

/// Collects what one rule finds in one file.
struct Report {
    rule: &'static CheckRule,
    found: Vec<(RuleFinding, TextRange)>,
}

impl Report {
    /// Adds a diagnostic with the rule's own severity.
    fn add(&mut self, range: TextRange, message: impl Into<String>, hint: impl Into<String>) {
        self.add_with_fix(range, message, hint, None);
    }

    /// Adds a diagnostic with the rule's own severity, and the fix for it.
    fn add_with_fix(
        &mut self,
        range: TextRange,
        message: impl Into<String>,
        hint: impl Into<String>,
        fix: Option<Fix>,
    ) {
        self.push(self.rule.severity, range, message.into(), hint.into(), fix);
    }

    /// Adds a diagnostic with another severity, where less is certain.
    fn add_as(&mut self, severity: Severity, range: TextRange, message: impl Into<String>, hint: impl Into<String>) {
        self.push(severity, range, message.into(), hint.into(), None);
    }

    fn push(&mut self, severity: Severity, range: TextRange, message: String, hint: String, fix: Option<Fix>) {
        if !self.is_full() {
            let hint = Some(hint).filter(|hint| !hint.is_empty());
            self.found.push((RuleFinding { rule: self.rule.id, severity, message, hint, fix }, range));
        }
    }

    /// Whether the rule has reached its limit for this file.
    fn is_full(&self) -> bool {
        self.found.len() >= MOST_COLLECTED
    }
}
