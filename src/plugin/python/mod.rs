//! Analyses a plugin's Python without running it.
//!
//! The server runs a text as a module and then asks, by name alone, whether the module has a `Pipe`, a `Filter`, and so
//! on. [`read`] answers the same question from the syntax tree: it follows the statements that run when the module is
//! loaded, in their order, and reports on the way what would go wrong there.

mod compiler;
mod entry;
mod functions;
mod imports;
mod methods;
mod outside;
mod place;
mod syntax;
mod walk;
mod wording;

use std::path::Path;
use std::sync::Arc;

use ruff_python_ast::ModModule;
use ruff_python_parser::Parsed;

use crate::plugin::diagnostic::{Diagnostic, Rule, Span};
use crate::plugin::kind::{Entry, Kind};
use entry::Module;
pub use functions::Functions;
pub use methods::public_methods;
pub use outside::acts_outside;
use place::Place;
pub(crate) use syntax::{bound_by, has_lazy_annotations, is_name, is_plain};

/// What the user said about a file, outside of its code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// The frontmatter or `watch.toml` says that the file is a plugin. So it may import its entry class, and an `Event`
    /// or `Action` may lack its hook. Otherwise such a file counts as a test, a script that uses the plugin, or a
    /// helper.
    pub declared: bool,
    /// Which kind to take of a file that has both.
    pub kind: Option<Kind>,
}

/// The result of reading a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The class that the server will take. Without one, and without diagnostics, it is not a plugin.
    pub entry: Option<Entry>,
    /// Errors and warnings, from the top of the file to its end.
    pub diagnostics: Vec<Diagnostic>,
}

/// The most errors of Python's compiler that are reported of one file.
const MOST_SYNTAX_ERRORS: usize = 50;

/// The syntax tree of a text, with its tokens.
pub type Syntax = Parsed<ModModule>;

/// Reads the text of a file as [`normal::clean`](super::normal::clean) made it. Also returns its tree, if it parses.
#[must_use]
pub fn read(file: &Arc<Path>, text: &str, intent: Intent) -> (Reading, Option<Syntax>) {
    let diagnostic = |rule, span| Diagnostic { rule, file: Arc::clone(file), span };
    let parsed = match syntax::parsed(text) {
        Ok(parsed) => parsed,
        // Later errors of the parser mostly follow from its first one, and Python, too, reports only one.
        Err((rule, span)) => return (Reading { entry: None, diagnostics: vec![diagnostic(rule, span)] }, None),
    };
    let mut module = Module::new(text);
    module.block(parsed.suite(), Place::TOP);
    let (entry, mut found) = module.finish(intent);
    // A file that is not a plugin is not compiled.
    if entry.is_some() {
        let errors = compiler::errors(text, &parsed).into_iter().take(MOST_SYNTAX_ERRORS);
        found.extend(errors.map(|(words, range)| (Rule::Syntax(words), range)));
        found.sort_by_key(|(_, range)| range.start());
    }
    let placed = found.into_iter().map(|(rule, range)| diagnostic(rule, Some(Span::new(text, range.into()))));
    (Reading { entry, diagnostics: placed.collect() }, Some(parsed))
}

/// The syntax tree and the tokens of a text; `None` if it does not parse.
#[must_use]
pub fn tree(text: &str) -> Option<Syntax> {
    syntax::parsed(text).ok()
}

/// Whether bytes that cannot be parsed look like a plugin: they have a line that begins an entry class, and for a class
/// with a common name also its hook, unless the file is `declared` (see [`Intent`]).
#[must_use]
pub fn resembles_plugin(bytes: &[u8], declared: bool) -> bool {
    // Without its NUL bytes, UTF-16 reads like ASCII.
    let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let lines = || bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
    let names = |line: &[u8], name: &str| {
        let rest = line.strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_'))
    };
    let defines = |hook: &str| {
        lines().map(<[u8]>::trim_ascii_start).any(|line| {
            let line = line.strip_prefix(b"async").unwrap_or(line).trim_ascii_start();
            line.strip_prefix(b"def ").is_some_and(|rest| names(rest.trim_ascii_start(), hook))
        })
    };
    let is_meant = |entry: &Entry| declared || entry.mark().is_none_or(defines);
    let has_class =
        |entry: &Entry| lines().filter_map(|line| line.strip_prefix(b"class ")).any(|rest| names(rest, entry.class()));
    Entry::ALL.iter().any(|entry| has_class(entry) && is_meant(entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::diagnostic::Severity;

    pub(super) const UNDECLARED: Intent = Intent { declared: false, kind: None };
    pub(super) const DECLARED: Intent = Intent { declared: true, kind: None };

    pub(super) fn reading(text: &str, intent: Intent) -> Reading {
        read(&Arc::from(Path::new("a.py")), text, intent).0
    }

    /// The only diagnostic of a text.
    #[track_caller]
    pub(super) fn diagnostic(text: &str) -> Diagnostic {
        let [diagnostic] = reading(text, UNDECLARED).diagnostics.try_into().unwrap();
        diagnostic
    }

    /// `pipe`, with its warnings behind; `-` for no plugin; or what is wrong. Places are line:column+width.
    pub(super) fn verdict(text: &str, intent: Intent) -> String {
        let Reading { entry, diagnostics } = reading(text, intent);
        let is_invalid = diagnostics.iter().any(|diagnostic| diagnostic.severity() == Severity::Error);
        let entry = entry.filter(|_| !is_invalid).map(|entry| entry.word().to_owned());
        let told = diagnostics.iter().map(|Diagnostic { rule, span, .. }| {
            let how = if let Rule::Exits(how) = rule { format!(" {how}") } else { String::new() };
            let place = span.as_ref().map(|span| format!("{}:{}+{}", span.line, span.column, span.width));
            format!("{}{how} {}", rule.word(), place.as_deref().unwrap_or("nowhere"))
        });
        let parts: Vec<_> = entry.into_iter().chain(told).collect();
        if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
    }

    #[track_caller]
    pub(super) fn check(intent: Intent, table: &[(&str, &str)]) {
        for (text, expected) in table {
            assert_eq!(verdict(text, intent), *expected, "\n{text}\n");
        }
    }

    #[test]
    fn bytes_that_are_no_text_can_resemble_a_plugin() {
        let utf16: Vec<u8> = "\u{feff}x\nclass Filter:".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, expected) in [
            (&b"caf\xe9\nclass Pipe:"[..], true),
            (b"caf\xe9\r\nclass Tools(Base):\r\n", true),
            (b"caf\xe9\rclass Event\r  async def event(", true),
            (b"caf\xe9\rclass Event", false),
            (b"caf\xe9\nclass Action:\n  def action_(", false),
            (&utf16, true),
            (b"caf\xe9\n class Pipe:", false),
            (b"caf\xe9\nclass Pipeline:", false),
            (b"caf\xe9\nclass Pipe_:", false),
            (b"caf\xe9\n# class Pipe:", false),
            (b"\xff\xd8\xff\xe0", false),
            (b"", false),
        ] {
            assert_eq!(resembles_plugin(bytes, false), expected, "{}", bytes.escape_ascii());
            let class = bytes.windows(6).any(|word| matches!(word, b" Event" | b"Action"));
            assert_eq!(resembles_plugin(bytes, true), expected || class, "{}", bytes.escape_ascii());
        }
    }
}
