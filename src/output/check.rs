//! The diagnostics of `check`, in the form that the user asked for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use annotate_snippets::Level as Label;
use anstyle::Style;
use serde_json::{Value, json};

use super::columns;
use super::difference::{coloured, unified};
use super::frames::frame;
use super::messages::{hint_line, wrapped};
use super::screen::out;
use super::styles::{BOLD_RED, CYAN, DIM, YELLOW};
use crate::check::all_rules;
use crate::cli::CheckFormat;
use crate::notice::count;
use crate::paths::{slashed, tidy, without_dots};
use crate::plugin::{Diagnostic, Severity};
use crate::printable;
use crate::server_version::ServerVersion;

/// The most diagnostics of one file with one message that are shown in full.
const MOST_ALIKE: usize = 3;

/// Prints diagnostics to stdout.
pub struct CheckOutput {
    format: CheckFormat,
    version: ServerVersion,
    repository: Option<Repository>,
}

/// The repository around the current folder. What GitHub reads has paths from its top.
pub struct Repository {
    /// The current folder.
    pub cwd: PathBuf,
    /// Its top.
    pub top: PathBuf,
}

impl CheckOutput {
    /// For plugins of a server of this version.
    #[must_use]
    pub fn new(format: CheckFormat, version: ServerVersion, repository: Option<Repository>) -> Self {
        Self { format, version, repository }
    }

    /// The path of a file from the top of the repository, if it is in one.
    fn path_from_top(&self, diagnostic: &Diagnostic) -> String {
        let inside = self.repository.as_ref().and_then(|Repository { cwd, top }| {
            let full = without_dots(&cwd.join(&diagnostic.file));
            Some(slashed(full.strip_prefix(top).ok()?))
        });
        inside.unwrap_or_else(|| slashed(Path::new(&path(diagnostic))))
    }

    /// Prints the page of a rule.
    pub fn page(text: &str) {
        out(text);
    }

    /// Prints all diagnostics.
    pub fn print(&self, diagnostics: &[&Diagnostic]) {
        if self.format == CheckFormat::Sarif {
            let text = serde_json::to_string_pretty(&self.sarif(diagnostics)).unwrap_or_default();
            return out(&format!("{}\n", printable::text(&text)));
        }
        if self.format == CheckFormat::Text {
            let width = columns(&console::Term::stdout());
            return folded(diagnostics).iter().for_each(|(it, more)| out(&text(it, more, width)));
        }
        for diagnostic in diagnostics {
            out(&match self.format {
                CheckFormat::Concise => line(diagnostic) + "\n",
                CheckFormat::Json => printable::json(&object(diagnostic).to_string()).into_owned() + "\n",
                CheckFormat::Github => self.annotation(diagnostic) + "\n",
                CheckFormat::Text | CheckFormat::Sarif => continue,
            });
        }
    }

    /// Prints how a file is mended.
    pub fn difference(&self, path: &Path, old: &str, new: &str) {
        let name = slashed(&path);
        let diff = unified((&name, old), (&name, new));
        out(&coloured(&printable::text(&diff)));
    }

    /// Prints how many fixes there are.
    pub fn fixes(&self, n: usize, files: usize, written: bool) {
        let place = count(files, "file");
        let text = match (n, written) {
            (0, _) => "no fix is certain".to_owned(),
            (1, true) => format!("1 fix written to {place}"),
            (1, false) => format!("1 fix for {place}; `--yes` writes it"),
            (_, true) => format!("{n} fixes written to {place}"),
            (_, false) => format!("{n} fixes for {place}; `--yes` writes them"),
        };
        out(&format!("{text}\n\n"));
    }

    /// Prints how many there were: `3 errors and 5 warnings in 4 of 27 plugins`.
    pub fn summary(&self, errors: usize, warnings: usize, files: usize, plugins: usize) {
        match self.format {
            CheckFormat::Text | CheckFormat::Concise => {
                let all = count(plugins, "plugin");
                let text = match (errors, warnings) {
                    (0, 0) => format!("no errors or warnings in {all}"),
                    (_, 0) => format!("{} in {files} of {all}", count(errors, "error")),
                    (0, _) => format!("{} in {files} of {all}", count(warnings, "warning")),
                    _ => format!("{} and {} in {files} of {all}", count(errors, "error"), count(warnings, "warning")),
                };
                out(&format!("{text}, for Open WebUI {}\n", self.version));
            }
            CheckFormat::Json => {
                let object = json!({
                    "event": "checked", "errors": errors, "warnings": warnings, "files": files, "plugins": plugins,
                    "server_version": self.version.to_string(),
                });
                out(&format!("{object}\n"));
            }
            CheckFormat::Github | CheckFormat::Sarif => {}
        }
    }
}

impl CheckOutput {
    /// A workflow command: `::error file=…,line=…::message`.
    fn annotation(&self, diagnostic: &Diagnostic) -> String {
        let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
        let command = match diagnostic.severity() {
            Severity::Info => "notice",
            severity => severity.word(),
        };
        let region = diagnostic.span.as_ref().map_or_else(String::new, |span| {
            format!(",line={},col={},endColumn={}", span.line, span.column, span.column + span.width)
        });
        let place = format!("file={}{region}", property(&self.path_from_top(diagnostic)));
        let hint = diagnostic.hint().map_or_else(String::new, |hint| format!("\nhint: {hint}"));
        let message = diagnostic.message() + &hint;
        let rule = property(diagnostic.rule.word());
        printable::line(&format!("::{command} {place},title={rule}::{}", escaped(&message))).into_owned()
    }

    /// SARIF 2.1.0, with the pages of all rules.
    fn sarif(&self, diagnostics: &[&Diagnostic]) -> Value {
        let level = |severity: Severity| match severity {
            Severity::Info => "note",
            _ => severity.word(),
        };
        let rules: Vec<Value> = all_rules()
            .map(|rule| {
                json!({
                    "id": rule.id,
                    "shortDescription": { "text": rule.title },
                    "fullDescription": { "text": rule.page.trim() },
                    "help": { "text": rule.explanation() },
                    "defaultConfiguration": { "level": level(rule.severity) },
                })
            })
            .collect();
        let results: Vec<Value> = diagnostics
            .iter()
            .map(|diagnostic| {
                let id = diagnostic.rule.word();
                let mut physical = json!({ "artifactLocation": { "uri": uri(&self.path_from_top(diagnostic)) } });
                if let Some(span) = &diagnostic.span {
                    physical["region"] = json!({
                        "startLine": span.line,
                        "startColumn": span.column,
                        "endColumn": span.column + span.width,
                    });
                }
                let hint = diagnostic.hint().map(|hint| format!(". Hint: {hint}")).unwrap_or_default();
                json!({
                    "ruleId": id,
                    "ruleIndex": rules.iter().position(|rule| rule["id"] == id),
                    "level": level(diagnostic.severity()),
                    "message": { "text": format!("{}{hint}", diagnostic.message()) },
                    "locations": [{ "physicalLocation": physical }],
                })
            })
            .collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": env!("CARGO_PKG_NAME"),
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                } },
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        })
    }
}

fn path(diagnostic: &Diagnostic) -> String {
    slashed(&tidy(&diagnostic.file))
}

fn place(diagnostic: &Diagnostic) -> (usize, usize) {
    diagnostic.span.as_ref().map_or((1, 1), |span| (span.line, span.column))
}

fn look(severity: Severity) -> (Style, Label<'static>) {
    match severity {
        Severity::Error => (BOLD_RED, Label::ERROR),
        Severity::Warning => (YELLOW, Label::WARNING),
        Severity::Info => (CYAN, Label::INFO),
    }
}

/// `path:line:column: error: message [rule]`, which editors find.
fn line(diagnostic: &Diagnostic) -> String {
    styled_line(diagnostic, Style::new(), Style::new())
}

/// The same in colour: `loud` for the severity, `quiet` for the rule.
fn styled_line(diagnostic: &Diagnostic, loud: Style, quiet: Style) -> String {
    let ((line, column), word) = (place(diagnostic), diagnostic.severity().word());
    let (path, message, rule) = (path(diagnostic), diagnostic.message(), diagnostic.rule.word());
    let (path, message) = (printable::line(&path), printable::line(&message));
    format!("{path}:{line}:{column}: {loud}{word}{loud:#}: {message} {quiet}[{rule}]{quiet:#}")
}

/// The diagnostics to show in full, each with the lines of those that repeat it.
fn folded<'a>(diagnostics: &[&'a Diagnostic]) -> Vec<(&'a Diagnostic, Vec<usize>)> {
    let mut shown: Vec<(&Diagnostic, Vec<usize>)> = Vec::new();
    let mut alike: HashMap<_, Vec<usize>> = HashMap::new();
    for diagnostic in diagnostics {
        let places = alike.entry((&diagnostic.file, diagnostic.rule.word(), diagnostic.message())).or_default();
        if places.len() < MOST_ALIKE {
            places.push(shown.len());
            shown.push((diagnostic, Vec::new()));
        } else if let Some(last) = places.last() {
            shown[*last].1.push(place(diagnostic).0);
        }
    }
    shown
}

/// The line, the source below it, what to do, and where there is `more` of it.
fn text(diagnostic: &Diagnostic, more: &[usize], width: Option<u16>) -> String {
    let (style, label) = look(diagnostic.severity());
    let mut text = styled_line(diagnostic, style, DIM) + "\n";
    if let Some(span) = &diagnostic.span {
        text += &frame(span, label, width);
        text += "\n";
    }
    if let Some(hint) = diagnostic.hint() {
        text += &hint_line(&hint, width);
        text += "\n";
    }
    if !more.is_empty() {
        let lines = more.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let noun = if more.len() == 1 { "line" } else { "lines" };
        text += &wrapped(&format!("and {} more like it at {noun} {lines}", more.len()), "    ", width);
        text += "\n";
    }
    text + "\n"
}

fn object(diagnostic: &Diagnostic) -> Value {
    let mut object = json!({
        "event": "diagnostic",
        "level": diagnostic.severity().word(),
        "rule": diagnostic.rule.word(),
        "path": path(diagnostic),
        "message": diagnostic.message(),
    });
    if let Some(span) = &diagnostic.span {
        object["line"] = json!(span.line);
        object["column"] = json!(span.column);
        object["width"] = json!(span.width);
        object["source"] = json!(span.source);
    }
    if let Some(hint) = diagnostic.hint() {
        object["hint"] = json!(hint);
    }
    object
}

/// A relative path as a URI.
fn uri(path: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    path.bytes().fold(String::new(), |uri, byte| {
        if is_plain(&byte) { uri + &char::from(byte).to_string() } else { uri + &format!("%{byte:02X}") }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plugin::{Rule, RuleFinding, Span};

    fn diagnostic(message: &str, line: usize) -> Diagnostic {
        let message = message.to_owned();
        let finding =
            RuleFinding { rule: "blocking-call", severity: Severity::Warning, message, hint: None, fix: None };
        let span = Span { line, column: 5, width: 1, source: "    x".to_owned() };
        Diagnostic { rule: Rule::Checked(Arc::new(finding)), file: Arc::from(Path::new("a.py")), span: Some(span) }
    }

    #[test]
    fn the_fourth_of_one_message_is_folded() {
        let found: Vec<_> =
            (1..=5).flat_map(|line| [diagnostic("one", line), diagnostic("other", 10 * line)]).collect();
        let four: Vec<_> = found.iter().collect();
        let lines: Vec<_> = folded(&four).into_iter().map(|(it, more)| (place(it).0, more)).collect();
        let none = Vec::new;
        let expected = [(1, none()), (10, none()), (2, none()), (20, none()), (3, vec![4, 5]), (30, vec![40, 50])];
        assert_eq!(lines, expected);
        let shown = text(&found[4], &[4, 5], Some(80));
        assert!(shown.ends_with("\nand 2 more like it at lines 4, 5\n\n"), "{shown}");
        assert!(text(&found[4], &[4], None).contains("and 1 more like it at line 4\n"));
    }
}
