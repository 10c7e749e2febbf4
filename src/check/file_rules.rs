//! The rules that hold for every file. Most of them keep a file from being deployed, so none can be switched off. This
//! list has their pages; `plugin/diagnostic.rs` has their messages.

use super::CheckRule;
use crate::plugin::Severity;

const fn error(id: &'static str, title: &'static str, page: &'static str) -> CheckRule {
    CheckRule { id, severity: Severity::Error, title, page, wrong: "", right: "", check: |_, _| {} }
}

const fn warning(id: &'static str, title: &'static str, page: &'static str) -> CheckRule {
    CheckRule { severity: Severity::Warning, ..error(id, title, page) }
}

/// All of them, the most frequent first.
pub const FILE_RULES: &[CheckRule] = &[
    error(
        "syntax",
        "a text that Python cannot compile",
        "The parser or Python's compiler refuses the text, and so would the server. Some mistakes parse, and
only the compiler finds them, such as `await` in a function that is not `async`.
",
    ),
    error(
        "relative-import",
        "an import relative to the file, which the server does not have",
        "The server stores one text per plugin, without its folder. So `from .helper import x` fails when the
server loads the text. Move the code into this file, or install it on the server as a package and
import it by its full name. In a function, or under `try` with an `except ImportError`, it is no
error.
",
    ),
    error(
        "exits",
        "a call that ends the server when the file is loaded",
        "The server runs the file in its own process. `sys.exit()` or `raise SystemExit` at the top of the
file can end that process, and all chats with it. Raise another exception, or put the line under
`if __name__ == \"__main__\":`.
",
    ),
    error(
        "both-kinds",
        "a file that is both a function and a tool",
        "Functions and tools are two tables of the server, and a text can go to one of them. Choose with
`kind = \"function\"` or `kind = \"tool\"` under `[plugins.\"path\"]` in `watch.toml`.
",
    ),
    error(
        "bad-id",
        "an id that the server does not accept",
        "The id comes from `watch.toml`, from `id:` in the header, or from the name of the file or folder. The
server accepts letters, digits and underscores.
",
    ),
    error(
        "id-twice",
        "two files with one id",
        "The watch deploys neither, since it cannot know which one you mean. Set another `id` in the
header of one, or leave a file out with `exclude` in `watch.toml`. A function and a tool may have
the same id. Without a `watch.toml` (or `--root`) it is unknown which files belong together: then it
is a warning, and files of different git repositories, or of folders with a `watch.toml` of their
own, are not compared.
",
    ),
    error(
        "pipeline",
        "a plugin for the Pipelines server",
        "`class Pipeline` belongs to the Pipelines server, which is another program. Rename the class to
`Pipe` if the plugin is meant for Open WebUI, or ignore the file.
",
    ),
    error(
        "empty",
        "a file without text",
        "The server would refuse it. Save the file with its code, or delete it. It is an error if `watch.toml`
names the file, or if it had a plugin while the watch ran. Else it is no plugin: the watch warns, and
`check` is silent.
",
    ),
    error(
        "not-utf8",
        "a file that is not UTF-8",
        "The server is sent text, so a `coding` comment does not help. Save the file as UTF-8.
",
    ),
    error(
        "nul",
        "a NUL character",
        "Python does not accept it. Often the file is UTF-16: save it as UTF-8.
",
    ),
    error(
        "too-large",
        "a file that is too large to be a plugin",
        "owui-watch does not read it. Ignore the file if it is not a plugin.
",
    ),
    error(
        "unreadable",
        "a file that cannot be read",
        "The message has the words of the system. Mostly the user who runs owui-watch lacks a permission.
",
    ),
    error(
        "unreadable-folder",
        "a folder that cannot be read, so it is not watched",
        "The folder cannot be read, or its ignore file has too many patterns. Plugins in it are not seen.
Make the folder readable, shorten the ignore file, or leave the folder out with `exclude`.
",
    ),
    error(
        "dangling-link",
        "a link to a file that does not exist",
        "Restore its target, or delete the link.
",
    ),
    error(
        "link-outside",
        "a link to a file outside of the watched folders",
        "Nothing outside of the watched folders is deployed. Watch the folder of its target, put the file
itself here, or set `follow_links = \"anywhere\"` in `watch.toml`.
",
    ),
    warning(
        "overlooked-header",
        "a header that the server does not see",
        "The server reads a header only if the very first line is `\"\"\"` and nothing else. Elsewhere it is a
docstring: the title, the version and the `requirements` in it do nothing.
",
    ),
    warning(
        "broken-import",
        "an import that the server rewrites to one that fails",
        "The server replaces `from utils`, `from apps`, `from main` and `from config` by its own modules,
wherever these words stand. So `from configparser import x` becomes
`from open_webui.configparser import x`, which fails. `import configparser` is left as it is.
",
    ),
    warning(
        "imported-entry",
        "an imported name that decides the type of the plugin",
        "The server looks for `Pipe`, `Filter`, `Action`, `Event` and `Tools` by name, and an imported name
counts: `from multiprocessing import Pipe` makes a filter a pipe. Import it by another name.
",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{RULES, instead_of, rule};
    use crate::plugin::diagnostic::all_rules;

    #[test]
    fn every_rule_of_files_has_a_page() {
        for rule in all_rules() {
            let found = FILE_RULES.iter().find(|it| it.id == rule.word());
            assert_eq!(found.map(|it| it.severity), Some(rule.severity()), "{}", rule.word());
        }
        for (n, it) in FILE_RULES.iter().enumerate() {
            let ids = RULES.iter().map(|rule| rule.id).chain(FILE_RULES[..n].iter().map(|rule| rule.id));
            assert!(!ids.collect::<Vec<_>>().contains(&it.id), "{}", it.id);
            assert!(all_rules().iter().any(|rule| rule.word() == it.id), "{}", it.id);
            assert!(it.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{}", it.id);
            assert!(it.title.len() <= 80 && !it.title.ends_with('.'), "{}", it.title);
            assert!(it.page.ends_with(".\n") && it.page.lines().all(|line| line.chars().count() <= 103), "{}", it.id);
        }
    }

    #[test]
    fn rules_of_files_cannot_be_chosen() {
        assert!(rule("relative-import").is_none());
        assert_eq!(instead_of("relative-import"), "this rule holds for every file: it cannot be chosen or ignored");
        assert_eq!(instead_of("relative_import"), "did you mean `relative-import`?");
    }
}
