//! A server's refusal, read with the plugin's text beside it: which line its words are about.
//!
//! The text is sent as it stands in the file but for line ends, and the server's rewriting keeps line numbers, so a
//! line that the server names is a line of the file.

use crate::plugin::{Entry, Kind, Span};
use crate::server_version::ServerVersion;

/// The line that the server's words are about: one that they name, an import, the requirements, or the plugin's class.
#[must_use]
pub fn place(words: &str, text: &str) -> Option<Span> {
    let line = named_line(words)
        .or_else(|| importing_line(missing_module(words)?, text))
        .or_else(|| install_failed(words).then(|| requirements_line(text))?)
        .or_else(|| class_line(uncallable_class(words)?, text))?;
    whole_line(text, line)
}

/// The prefix of the server's own modules, which its rewriting also puts before some others.
pub const OWN: &str = "open_webui.";

/// The server's words about a text without an entry class.
pub const NO_FUNCTION: &str = "No Function class found in the module";

/// Whether the server could not install the packages of the frontmatter, which may not be the text's fault.
#[must_use]
pub fn install_failed(words: &str) -> bool {
    words.contains("'pip', 'install'") && words.contains("returned non-zero exit status")
}

/// Whether a server of this version gives a reason when it refuses an update. Since 0.10, none gives one for a create.
#[must_use]
pub fn explains_updates(version: Option<ServerVersion>) -> bool {
    version.is_some_and(|version| version.is_since("0.12"))
}

/// The class that the server could not instantiate, as in `Pipe.__init__() missing 1 required
/// positional argument: 'x'`.
#[must_use]
pub fn uncallable_class(words: &str) -> Option<&str> {
    let abstract_class = || words.strip_prefix("Can't instantiate abstract class ")?.split(' ').next();
    let class = match words.split_once(".__init__() missing ") {
        Some((class, _)) => class,
        None => abstract_class()?,
    };
    Entry::ALL.map(Entry::class).contains(&class).then_some(class)
}

/// The first line that begins the class.
fn class_line(class: &str, text: &str) -> Option<usize> {
    let begins = |line: &str| {
        let rest = line.trim_start().strip_prefix("class").and_then(|rest| rest.trim_start().strip_prefix(class));
        rest.is_some_and(|rest| rest.trim_start().starts_with(['(', ':']))
    };
    text.split('\n').position(begins).map(|index| index + 1)
}

/// The line of the frontmatter that names packages.
fn requirements_line(text: &str) -> Option<usize> {
    let names = |line: &str| line.trim_start().starts_with("requirements:");
    text.split('\n').position(names).map(|index| index + 1)
}

/// Whether these are the words with which some versions hide their reason.
#[must_use]
pub fn masked(words: &str) -> bool {
    let of = |kind: Kind| ["creating", "updating"].map(|what| format!("Error {what} {}", kind.word()));
    Kind::ALL.into_iter().flat_map(of).any(|begin| words.contains(&begin))
}

/// Whether the server (since 0.12) refused a text because its stored valves do not fit it.
#[must_use]
pub fn valves_do_not_fit(words: &str) -> bool {
    words.starts_with("Current Valves are incompatible with this code")
}

/// The module that could not be found, as in `No module named 'x.y'`.
#[must_use]
pub fn missing_module(words: &str) -> Option<&str> {
    let (_, rest) = words.split_once("No module named '")?;
    rest.split('\'').next().filter(|module| !module.is_empty())
}

/// Whether a package is missing on the server. Its own modules belong to none.
#[must_use]
pub fn lacks_package(words: &str) -> bool {
    missing_module(words).is_some_and(|module| !module.starts_with(OWN))
}

/// Whether the server denied access because its admin has not switched API keys on.
#[must_use]
pub fn keys_are_off(words: &str) -> bool {
    words.contains("API key is not enabled")
}

/// Whether the server's words are about this exception, as Python prints it: with its class.
#[must_use]
pub fn tells_of(words: &str, exception: &str) -> bool {
    let words = words.strip_prefix("Error: ").unwrap_or(words);
    !words.is_empty() && exception.contains(words)
}

/// Whether the words name a line of the text.
#[must_use]
pub fn names_a_line(words: &str) -> bool {
    named_line(words).is_some()
}

/// As in `invalid syntax (<string>, line 2)`: a plugin's text has no file name on the server.
fn named_line(words: &str) -> Option<usize> {
    let (_, rest) = words.rsplit_once("(<string>, line ").or_else(|| words.rsplit_once("(<unknown>, line "))?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|line| *line > 0)
}

/// The first line that imports a module, by the words that begin it. There is none if only an imported module needs
/// it. The server names the module as it has rewritten it.
fn importing_line(module: &str, text: &str) -> Option<usize> {
    line_that_imports(module, text).or_else(|| line_that_imports(module.strip_prefix(OWN)?, text))
}

fn line_that_imports(module: &str, text: &str) -> Option<usize> {
    let imports = |line: &str| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("import" | "from")) && words.next().is_some_and(|name| is_in(name, module))
    };
    text.split('\n').position(imports).map(|index| index + 1)
}

/// Whether a dotted name in an import is the module, or in it, or leads to it.
fn is_in(name: &str, module: &str) -> bool {
    let name = name.trim_end_matches([',', ';']);
    let leads =
        |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    leads(name, module) || leads(module, name)
}

/// A whole line of a text, from 1, without its indentation.
fn whole_line(text: &str, line: usize) -> Option<Span> {
    let source = text.split('\n').nth(line - 1)?;
    let indent = source.chars().take_while(|c| c.is_whitespace()).count();
    let width = source.trim().chars().count().max(1);
    Some(Span { line, column: indent + 1, width, source: source.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "\"\"\"\ntitle: A\n\"\"\"\nimport os\nfrom yaml.nodes import Node\n\nif os:\n    import httpx, attr\n";

    #[track_caller]
    fn check(words: &str, expected: Option<(usize, usize, &str)>) {
        let place = place(words, TEXT);
        assert_eq!(place.as_ref().map(|span| (span.line, span.column, span.source.trim())), expected, "{words}");
    }

    #[test]
    fn the_line_that_a_refusal_is_about() {
        check("invalid syntax (<string>, line 4)", Some((4, 1, "import os")));
        check("unexpected indent (<string>, line 8)", Some((8, 5, "import httpx, attr")));
        check("invalid syntax (<unknown>, line 2)", Some((2, 1, "title: A")));
        check("No module named 'yaml'", Some((5, 1, "from yaml.nodes import Node")));
        check("No module named 'yaml.nodes'", Some((5, 1, "from yaml.nodes import Node")));
        check("[ERROR: No module named 'httpx']", Some((8, 5, "import httpx, attr")));
        // A module that something else imports, and words without a place.
        check("No module named 'numpy'", None);
        check("No module named 'o'", None);
        check("boom", None);
        check("", None);
    }

    #[test]
    fn lines_that_are_not_there() {
        check("invalid syntax (<string>, line 0)", None);
        check("invalid syntax (<string>, line 4000)", None);
        check("invalid syntax (<string>, line 99999999999999999999999)", None);
        check("invalid syntax (<string>, line )", None);
    }

    #[test]
    fn a_line_is_found_in_the_server_s_words() {
        for (words, line) in [
            ("invalid syntax (<string>, line 2)", Some(2)),
            ("unexpected indent (<string>, line 3)", Some(3)),
            ("'(' was never closed (<string>, line 10)", Some(10)),
            ("[ERROR: invalid syntax (<string>, line 2)]", Some(2)),
            ("unindent does not match any outer indentation level (<string>, line 7)", Some(7)),
            ("invalid syntax (<unknown>, line 4)", Some(4)),
            ("quoting (<string>, line 1) in (<string>, line 12)", Some(12)),
            ("invalid syntax (<string>, line 2", Some(2)),
            ("No Function class found in the module", None),
            ("No module named 'line 3'", None),
            ("invalid syntax (helper.py, line 3)", None),
            ("invalid syntax (<string>, line 0)", None),
            ("invalid syntax (<string>, line -1)", None),
            ("invalid syntax (<string>, line )", None),
            ("invalid syntax (<string>, line 99999999999999999999999)", None),
            ("invalid syntax (<string>, line ٣)", None),
            ("(<string>, line ", None),
            ("", None),
        ] {
            assert_eq!(named_line(words), line, "{words}");
        }
    }
}
