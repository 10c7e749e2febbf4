//! A server's refusal, read with the plugin's text beside it: which line its words are about.
//!
//! The text is sent as it stands in the file but for line ends, and the server's rewriting keeps line numbers, so a line
//! that the server names is a line of the file.

use crate::engine::ledger::RefusalKind;
use crate::plugin::{Entry, Span};

/// The line that the server's words are about, where they name one or the module that one imports.
#[must_use]
pub fn place(words: &str, text: &str) -> Option<Span> {
    let line = named_line(words)
        .or_else(|| importing_line(missing_module(words)?, text))
        .or_else(|| install_failed(words).then(|| requirements_line(text))?)
        .or_else(|| class_line(uncallable_class(words)?, text))?;
    whole_line(text, line)
}

/// What the user can do about a refusal. `span` is the [`place`], `requirements` what the frontmatter names.
#[must_use]
pub fn hint(
    words: &str,
    kind: RefusalKind,
    entry: Option<Entry>,
    span: Option<&Span>,
    requirements: Option<&str>,
) -> Option<String> {
    let hint = if masked(words) {
        "this version of Open WebUI hides the reason: look for it in the server's log\n\
         often a module is missing: name its package under `requirements` in the frontmatter"
    } else if kind == RefusalKind::NoAnswer {
        "if the server takes long to load it, raise `timeout` in watch.toml\n\
         save the file again to retry (with --once: add --force)"
    } else if words.starts_with("413 ") {
        "raise the proxy's limit (in nginx: `client_max_body_size`), or make the plugin smaller"
    } else if valves_do_not_fit(words) {
        "change its stored valves on the server (the gear beside the plugin), or let its class `Valves` accept them"
    } else if install_failed(words) {
        let packages = requirements.unwrap_or("its requirements");
        return Some(format!(
            "the server could not install {packages}: correct the line; the server's log has pip's words\n\
             if its package index was out of reach, save the file again to retry (with --once: add --force)"
        ));
    } else if let Some(module) = missing_module(words) {
        return Some(hint_of_missing(module, span, requirements));
    } else if let Some(class) = uncallable_class(words).filter(|_| words.contains("missing")) {
        return Some(format!("the server makes a `{class}` without arguments: give each parameter a default"));
    } else if words == NO_FUNCTION && entry == Some(Entry::Event) {
        "event functions need Open WebUI 0.10 or later"
    } else if span.is_none() {
        "look for more in the server's log"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

fn hint_of_missing(module: &str, span: Option<&Span>, requirements: Option<&str>) -> String {
    let Some(inner) = module.strip_prefix(OWN) else {
        return match requirements {
            None => "name the package that provides the module under `requirements` in the frontmatter; the server \
                     installs it"
                .to_owned(),
            Some(packages) => format!(
                "its frontmatter requires {packages}: if another package provides the module, name it there as well"
            ),
        };
    };
    if span.is_some_and(|span| !span.source.contains(OWN)) {
        return format!("the server makes `from {module}` of `from {inner}`; `import {inner}` is left as it is");
    }
    "this version of Open WebUI has no such module".to_owned()
}

/// What the server's own modules begin with, and what its rewriting puts before some others.
const OWN: &str = "open_webui.";

/// What a server says of a text in which it finds none of the classes that it looks for.
const NO_FUNCTION: &str = "No Function class found in the module";

/// Whether the server could not install what the frontmatter requires. That may be no fault of the text's.
#[must_use]
pub fn install_failed(words: &str) -> bool {
    words.contains("'pip', 'install'") && words.contains("returned non-zero exit status")
}

/// The class of which the server wants an instance and cannot have one, as in `Pipe.__init__() missing 1 required
/// positional argument: 'x'`.
fn uncallable_class(words: &str) -> Option<&str> {
    let abstract_class = || words.strip_prefix("Can't instantiate abstract class ")?.split(' ').next();
    let class = match words.split_once(".__init__() missing ") {
        Some((class, _)) => class,
        None => abstract_class()?,
    };
    ["Pipe", "Filter", "Action", "Event", "Tools"].contains(&class).then_some(class)
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

/// Whether these are the words by which some server versions hide why they refused.
#[must_use]
pub fn masked(words: &str) -> bool {
    ["creating function", "creating tool", "updating function", "updating tool"]
        .iter()
        .any(|what| words.contains(&format!("Error {what}")))
}

/// Whether the server (since 0.12) refused a text because the values that it stores for its valves do not fit it.
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

/// Whether they are about a line of the text.
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

/// The first line that imports a module, by the words that begin it. The module may be one that an import of the
/// plugin's needs itself; then there is no such line. What the server says is the module as it has rewritten it.
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
    #![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes every snapshot with them")]

    use std::fmt::Write as _;

    use expect_test::expect;

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

    /// Words as servers say them, what the text has to do with them, and the hint.
    #[test]
    fn what_can_be_done_about_a_refusal() {
        const HEADER: &str = "\"\"\"\ntitle: A\nrequirements: httpx==99\n\"\"\"\n";
        let pip =
            "Command '['/usr/bin/python3', '-m', 'pip', 'install', 'httpx==99']' returned non-zero exit status 1.";
        let rewritten = "No module named 'open_webui.configparser'";
        let missing = "Pipe.__init__() missing 1 required positional argument: 'x'";
        let of_another = "Client.__init__() missing 1 required positional argument: 'x'";
        let unfinished = "Can't instantiate abstract class Tools with abstract method go";
        let pipe = "class Pipeline:\n    pass\nclass Pipe (Pipeline):\n    pass";
        let mut table = String::new();
        for (words, entry, text) in [
            (pip, Entry::Pipe, format!("{HEADER}import requests")),
            (rewritten, Entry::Pipe, "import os\nfrom configparser import ConfigParser".to_owned()),
            ("No module named 'open_webui.utils.gone'", Entry::Pipe, "from utils.gone import it".to_owned()),
            ("No module named 'open_webui.gone'", Entry::Pipe, "import open_webui.gone".to_owned()),
            ("No module named 'open_webui.gone'", Entry::Pipe, "import other".to_owned()),
            ("No module named 'yaml'", Entry::Pipe, format!("{HEADER}import yaml")),
            ("No module named 'yaml'", Entry::Pipe, "import yaml".to_owned()),
            (NO_FUNCTION, Entry::Event, String::new()),
            (NO_FUNCTION, Entry::Pipe, String::new()),
            (missing, Entry::Pipe, pipe.to_owned()),
            (missing, Entry::Pipe, "Pipe = make".to_owned()),
            (of_another, Entry::Pipe, pipe.to_owned()),
            (unfinished, Entry::Tools, "import abc\nclass Tools(abc.ABC):".to_owned()),
            // The texts of exceptions that have little to say: `KeyError("name")`, `AssertionError()`.
            ("'name'", Entry::Pipe, String::new()),
            ("", Entry::Pipe, String::new()),
            ("Something went wrong :/", Entry::Tools, String::new()),
            ("Internal Server Error", Entry::Pipe, String::new()),
            ("invalid syntax (<string>, line 1)", Entry::Pipe, "class".to_owned()),
        ] {
            let requirements = text.starts_with(HEADER).then_some("httpx==99");
            let span = place(words, &text);
            let hint = hint(words, RefusalKind::Said, Some(entry), span.as_ref(), requirements).unwrap_or_default();
            let at = span.map_or_else(String::new, |span| format!("{}: {}", span.line, span.source));
            writeln!(table, "`{words}`").unwrap();
            for remedy in hint.lines() {
                assert!(remedy.split_whitespace().count() <= 20, "too long: {remedy}");
            }
            for line in [at.as_str()].into_iter().chain(hint.lines()).filter(|line| !line.is_empty()) {
                writeln!(table, "    {line}").unwrap();
            }
        }
        expect![[r#"
            `Command '['/usr/bin/python3', '-m', 'pip', 'install', 'httpx==99']' returned non-zero exit status 1.`
                3: requirements: httpx==99
                the server could not install httpx==99: correct the line; the server's log has pip's words
                if its package index was out of reach, save the file again to retry (with --once: add --force)
            `No module named 'open_webui.configparser'`
                2: from configparser import ConfigParser
                the server makes `from open_webui.configparser` of `from configparser`; `import configparser` is left as it is
            `No module named 'open_webui.utils.gone'`
                1: from utils.gone import it
                the server makes `from open_webui.utils.gone` of `from utils.gone`; `import utils.gone` is left as it is
            `No module named 'open_webui.gone'`
                1: import open_webui.gone
                this version of Open WebUI has no such module
            `No module named 'open_webui.gone'`
                this version of Open WebUI has no such module
            `No module named 'yaml'`
                5: import yaml
                its frontmatter requires httpx==99: if another package provides the module, name it there as well
            `No module named 'yaml'`
                1: import yaml
                name the package that provides the module under `requirements` in the frontmatter; the server installs it
            `No Function class found in the module`
                event functions need Open WebUI 0.10 or later
            `No Function class found in the module`
                look for more in the server's log
            `Pipe.__init__() missing 1 required positional argument: 'x'`
                3: class Pipe (Pipeline):
                the server makes a `Pipe` without arguments: give each parameter a default
            `Pipe.__init__() missing 1 required positional argument: 'x'`
                the server makes a `Pipe` without arguments: give each parameter a default
            `Client.__init__() missing 1 required positional argument: 'x'`
                look for more in the server's log
            `Can't instantiate abstract class Tools with abstract method go`
                2: class Tools(abc.ABC):
            `'name'`
                look for more in the server's log
            ``
                look for more in the server's log
            `Something went wrong :/`
                look for more in the server's log
            `Internal Server Error`
                look for more in the server's log
            `invalid syntax (<string>, line 1)`
                1: class
        "#]].assert_eq(&table);
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
