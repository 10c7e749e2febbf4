//! What the user can do about a refusal, by the server's words.

use super::Commands;
use crate::engine::ledger::{Refusal, RefusalKind};
use crate::engine::refusal::{self, NO_FUNCTION, OWN};
use crate::notice::Subject;
use crate::plugin::{Entry, Span};

/// What can be done where a sandbox lacks a package.
pub(super) const NAME_IT: &str = "name its package under `requirements` in the header";
pub(super) const INSTALLS: &str = "`owui-watch sandbox --install-requirements` installs it";

/// What can be done about the refusal of this plugin. `span` is the line that its words are about, `requirements` what
/// the frontmatter names.
pub(super) fn of_refusal(
    Refusal { words, kind }: &Refusal,
    about: &Subject,
    span: Option<&Span>,
    requirements: Option<&str>,
    commands: &Commands,
) -> Option<String> {
    let deploy = || commands.on(about, "deploy");
    let hint = if *kind == RefusalKind::NoAnswer {
        return Some(format!(
            "if the server takes long to load it, raise `timeout` in watch.toml\n{} sends it again as it is",
            deploy()
        ));
    } else if *kind == RefusalKind::TooLarge {
        "raise the proxy's limit (in nginx: `client_max_body_size`)\n\
         make the plugin smaller"
    } else if refusal::masked(words) {
        "this version of Open WebUI hides the reason: look for it in the server's log\n\
         often a module is missing: name its package under `requirements` in the header"
    } else if refusal::valves_do_not_fit(words) {
        "change its stored valves on the server (the gear beside the plugin)\n\
         if they are right, change the class `Valves` to accept them"
    } else if refusal::install_failed(words) {
        let packages = requirements.unwrap_or("its requirements");
        return Some(format!(
            "the server could not install {packages}: correct the line; the server's log has pip's output\n\
             if its package index was out of reach, {} sends it again",
            deploy()
        ));
    } else if let Some(module) = refusal::missing_module(words) {
        return Some(of_missing_module(module, span, requirements));
    } else if let Some(class) = refusal::uncallable_class(words).filter(|_| words.contains("missing")) {
        return Some(format!("the server calls `{class}` without arguments: give each parameter a default"));
    } else if words == NO_FUNCTION && about.entry == Some(Entry::Event) {
        "event functions need Open WebUI 0.10 or later"
    } else if span.is_none() {
        "the server's log may say more"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

pub(super) fn of_missing_module(module: &str, span: Option<&Span>, requirements: Option<&str>) -> String {
    let Some(inner) = module.strip_prefix(OWN) else {
        return match requirements {
            None => "name the package that provides the module under `requirements` in the header; the server \
                     installs it"
                .to_owned(),
            Some(packages) => {
                format!("if the module comes from another package, add that to `requirements` (now: {packages})")
            }
        };
    };
    if span.is_some_and(|span| !span.source.contains(OWN)) {
        return format!("the server rewrites `from {inner}` to `from {module}`: write `import {inner}` instead");
    }
    "this version of Open WebUI has no such module".to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes every snapshot with them")]

    use std::fmt::Write as _;

    use expect_test::expect;

    use super::*;

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
            let span = refusal::place(words, &text);
            let about = Subject { entry: Some(entry), ..Subject::default() };
            let hint = of_refusal(&Refusal::said(words), &about, span.as_ref(), requirements, &Commands::default())
                .unwrap_or_default();
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
                the server could not install httpx==99: correct the line; the server's log has pip's output
                if its package index was out of reach, `owui-watch deploy ID` sends it again
            `No module named 'open_webui.configparser'`
                2: from configparser import ConfigParser
                the server rewrites `from configparser` to `from open_webui.configparser`: write `import configparser` instead
            `No module named 'open_webui.utils.gone'`
                1: from utils.gone import it
                the server rewrites `from utils.gone` to `from open_webui.utils.gone`: write `import utils.gone` instead
            `No module named 'open_webui.gone'`
                1: import open_webui.gone
                this version of Open WebUI has no such module
            `No module named 'open_webui.gone'`
                this version of Open WebUI has no such module
            `No module named 'yaml'`
                5: import yaml
                if the module comes from another package, add that to `requirements` (now: httpx==99)
            `No module named 'yaml'`
                1: import yaml
                name the package that provides the module under `requirements` in the header; the server installs it
            `No Function class found in the module`
                event functions need Open WebUI 0.10 or later
            `No Function class found in the module`
                the server's log may say more
            `Pipe.__init__() missing 1 required positional argument: 'x'`
                3: class Pipe (Pipeline):
                the server calls `Pipe` without arguments: give each parameter a default
            `Pipe.__init__() missing 1 required positional argument: 'x'`
                the server calls `Pipe` without arguments: give each parameter a default
            `Client.__init__() missing 1 required positional argument: 'x'`
                the server's log may say more
            `Can't instantiate abstract class Tools with abstract method go`
                2: class Tools(abc.ABC):
            `'name'`
                the server's log may say more
            ``
                the server's log may say more
            `Something went wrong :/`
                the server's log may say more
            `Internal Server Error`
                the server's log may say more
            `invalid syntax (<string>, line 1)`
                1: class
        "#]].assert_eq(&table);
    }

    #[test]
    fn a_proxy_s_limit_is_known_by_the_status_and_not_by_the_words() {
        let hint = |too_large| {
            let refusal = Refusal::crashed("413 Payload Too Large".to_owned(), too_large);
            of_refusal(&refusal, &Subject::default(), None, None, &Commands::default()).unwrap()
        };
        assert!(hint(true).contains("client_max_body_size"));
        assert_eq!(hint(false), "the server's log may say more");
    }
}
