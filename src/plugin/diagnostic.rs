//! Diagnostics: every error and every warning about a plugin file, in one type.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{self, IdSource, PluginId};
use super::kind::Entry;

/// One thing that is wrong with a file, or will surprise its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The rule that the file breaks.
    pub rule: Rule,
    /// The file, as the user would type it.
    pub file: Arc<Path>,
    /// Where in the file; `None` if it concerns the whole file.
    pub span: Option<Span>,
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be deployed; or, from a rule of `check`, the server or a chat will fail.
    Error,
    /// The file is deployed, and will surprise its author.
    Warning,
    /// The file is deployed, and could be better.
    Info,
}

impl Severity {
    /// Its word in messages and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// A diagnostic of one of the rules of `check`, which know more about plugins than a deploy needs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFinding {
    /// The rule's id.
    pub rule: &'static str,
    /// How bad it is. An error holds back a deploy only if the settings say so.
    pub severity: Severity,
    /// What is wrong, as it follows the name of the file and a colon.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The fix, if it is safe.
    pub fix: Option<Fix>,
}

/// A change of a text: byte ranges and their replacements. The ranges are sorted and do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fix {
    /// The ranges and their replacements.
    pub edits: Vec<(Range<usize>, String)>,
}

impl Diagnostic {
    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.rule.severity()
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> String {
        self.rule.message()
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.rule.hint()
    }
}

/// What can be wrong with a plugin file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing but white space.
    Empty,
    /// The bytes are not UTF-8 (the server takes text only).
    NotUtf8,
    /// A NUL character, which the server refuses.
    Nul,
    /// The Python does not parse or compile; the words of the parser or compiler.
    Syntax(String),
    /// A relative import: the server runs one file alone.
    RelativeImport,
    /// Loading the module ends the interpreter, and up to Open WebUI 0.9 the server with it. The call as it is written.
    Exits(String),
    /// `class Pipeline`: a plugin of the Pipelines server, which is another program.
    Pipeline,
    /// Entry classes of both kinds, this function's and `Tools`: one must be chosen.
    BothKinds(Entry),
    /// No usable id can be made.
    BadId {
        /// The rejected id.
        candidate: String,
        /// Where it came from.
        source: IdSource,
    },
    /// Other files have the same id.
    IdTwice {
        /// The id.
        id: PluginId,
        /// The paths of the others, as the user would type them.
        others: Vec<String>,
        /// How many more there are.
        more: usize,
        /// Whether all of them belong to one project, so that none is deployed.
        certain: bool,
    },
    /// The file could not be opened or read; the system's words.
    Unreadable(String),
    /// A folder that could not be listed, so it may hold unseen plugins; the system's words.
    UnreadableFolder(String),
    /// A folder whose ignore file cannot be used; which file, and why.
    IgnoreFile(String),
    /// A link to something that is not there.
    DanglingLink(String),
    /// A link to something outside the roots.
    LinkOutside(String),
    /// More bytes than a plugin is allowed to have; the limit in MiB.
    TooLarge(u64),
    /// A warning: the name of an entry class is imported (`from multiprocessing import Pipe`), which makes the server
    /// take the module for that type.
    ImportedEntry(Entry),
    /// A warning: a header that the server does not see, because of its place or its form.
    OverlookedHeader,
    /// A warning: the server's text rewriting will break this import.
    BrokenImport {
        /// The module as written, `configparser` for example.
        module: String,
        /// The module as it will stand on the server.
        becomes: String,
    },
    /// A rule of `check`.
    Checked(Arc<RuleFinding>),
}

impl Rule {
    /// The word for this rule as `reason` in the JSON of a watch. It never changes: rules of `check` have dashes, the
    /// others underscores, like all words there.
    #[must_use]
    pub fn reason(&self) -> String {
        if let Self::Checked(finding) = self { finding.rule.to_owned() } else { self.word().replace('-', "_") }
    }

    /// The id of this rule.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotUtf8 => "not-utf8",
            Self::Nul => "nul",
            Self::Syntax(_) => "syntax",
            Self::RelativeImport => "relative-import",
            Self::Exits(_) => "exits",
            Self::Pipeline => "pipeline",
            Self::BothKinds(_) => "both-kinds",
            Self::BadId { .. } => "bad-id",
            Self::IdTwice { .. } => "id-twice",
            Self::Unreadable(_) => "unreadable",
            // One id for every folder that is not walked.
            Self::UnreadableFolder(_) | Self::IgnoreFile(_) => "unreadable-folder",
            Self::DanglingLink(_) => "dangling-link",
            Self::LinkOutside(_) => "link-outside",
            Self::TooLarge(_) => "too-large",
            Self::ImportedEntry(_) => "imported-entry",
            Self::OverlookedHeader => "overlooked-header",
            Self::BrokenImport { .. } => "broken-import",
            Self::Checked(finding) => finding.rule,
        }
    }

    /// How bad it is. An error of any rule but `Checked` keeps the file from being deployed.
    #[must_use]
    pub fn severity(&self) -> Severity {
        if let Self::Checked(finding) = self {
            return finding.severity;
        }
        let warns = matches!(
            self,
            Self::ImportedEntry(_)
                | Self::OverlookedHeader
                | Self::BrokenImport { .. }
                | Self::IdTwice { certain: false, .. }
        );
        if warns { Severity::Warning } else { Severity::Error }
    }

    /// What is wrong, as it follows the name of the file and a colon.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Empty => "the file is empty".to_owned(),
            Self::NotUtf8 => "not UTF-8 text".to_owned(),
            Self::Nul => "a NUL character, which Python does not accept".to_owned(),
            Self::Syntax(words) => format!("invalid Python: {words}"),
            Self::RelativeImport => "a relative import: the server has only this file".to_owned(),
            Self::Exits(how) => format!("`{how}` when the file is loaded, which can end the server"),
            Self::Pipeline => "`class Pipeline` is for the Pipelines server, which is another program".to_owned(),
            Self::BothKinds(function) => format!("both a function (`{}`) and a tool (`Tools`)", function.class()),
            Self::BadId { candidate, source } => {
                format!("`{}` from {source} is not a usable id", candidate.escape_debug())
            }
            Self::IdTwice { id, others, more, certain } => {
                let others = others.join("`, `");
                let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
                let then = if *certain {
                    "none of them is deployed"
                } else {
                    "a watch of this folder would deploy none of them"
                };
                format!("the id `{id}` is also used by `{others}`{more}: {then}")
            }
            Self::Unreadable(words) => format!("cannot be read: {words}"),
            Self::UnreadableFolder(words) => format!("a folder that cannot be read: {words}"),
            Self::IgnoreFile(words) => format!("a folder that is not watched: {words}"),
            Self::DanglingLink(target) => format!("a link to `{target}`, which does not exist"),
            Self::LinkOutside(target) => format!("a link to `{target}`, which is outside of the watched folders"),
            Self::TooLarge(limit) => format!("larger than {limit} MiB"),
            Self::ImportedEntry(entry) => {
                let (word, class) = (entry.word(), entry.class());
                format!("its type on the server is `{word}`, because of the imported name `{class}`")
            }
            Self::OverlookedHeader => {
                "the server does not see this header: it has to open with `\"\"\"` alone on the very first line"
                    .to_owned()
            }
            Self::BrokenImport { module, becomes } => {
                format!("the server rewrites the import of `{module}` to `{becomes}`, which will fail")
            }
            Self::Checked(finding) => finding.message.clone(),
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Syntax(_) | Self::Unreadable(_) => return None,
            Self::Checked(finding) => return finding.hint.clone(),
            Self::BadId { candidate, source } => return Some(bad_id_hint(candidate, *source)),
            Self::ImportedEntry(entry) => {
                return Some(format!("import it by another name, such as `{0} as _{0}`", entry.class()));
            }
            Self::BrokenImport { module, .. } => {
                return Some(format!("write `import {module}`, which is left as it is"));
            }
            Self::Empty => "save it with its code, or delete it",
            Self::NotUtf8 => "save it as UTF-8; a `coding` comment does not help, since the server is sent text",
            Self::Nul => "remove the character, or save the file as UTF-8 if it is UTF-16",
            Self::RelativeImport => {
                "move what is imported into this file, or install it on the server and import it by its full name"
            }
            Self::Exits(_) => "raise another exception, or put it under `if __name__ == \"__main__\":`",
            Self::Pipeline => "rename the class to `Pipe` if it is meant for Open WebUI, or ignore the file",
            Self::BothKinds(_) => {
                "set `kind = \"function\"` or `kind = \"tool\"` under [plugins.\"path\"] in watch.toml"
            }
            Self::LinkOutside(_) => {
                "watch the folder of its target, put the file itself here, or set `follow_links = \"anywhere\"` in watch.toml"
            }
            Self::DanglingLink(_) => "restore its target, or delete the link",
            Self::TooLarge(_) => "ignore the file if it is not a plugin",
            Self::IdTwice { .. } => "set another `id` in one header, or leave a file out with `exclude` in watch.toml",
            Self::UnreadableFolder(_) => "make it readable, or leave it out with `exclude` in watch.toml",
            Self::IgnoreFile(_) => "shorten that file",
            Self::OverlookedHeader => "move it to the top, with nothing above it and nothing beside the quotes",
        };
        Some(hint.to_owned())
    }

    /// Whether it is about the methods that the server calls.
    #[must_use]
    pub fn is_about_hooks(&self) -> bool {
        matches!(self, Self::Checked(finding) if finding.rule == "hook-shape")
    }

    /// Whether it is about a folder, in which there may be plugins.
    #[must_use]
    pub fn is_of_folder(&self) -> bool {
        matches!(self, Self::UnreadableFolder(_) | Self::IgnoreFile(_))
    }
}

fn bad_id_hint(candidate: &str, source: IdSource) -> String {
    if candidate.len() > PluginId::MAX_BYTES {
        return format!("choose one of at most {} bytes", PluginId::MAX_BYTES);
    }
    match (source, id::suggestion(candidate)) {
        (IdSource::FileName | IdSource::FolderName, _) => {
            "rename it, or put a line such as `id: my_plugin` in the header".to_owned()
        }
        (IdSource::Settings | IdSource::Frontmatter, Some(id)) => {
            format!("use letters, digits and underscores, such as `{id}`")
        }
        (IdSource::Settings | IdSource::Frontmatter, None) => "use letters, digits and underscores".to_owned(),
    }
}

/// A place in a file, with the line to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters of the line it covers, at least 1.
    pub width: usize,
    /// The line itself, without its line end.
    pub source: String,
}

impl Span {
    /// Finds the place of a range of bytes in a text. For a range of several lines, the place is on the first one. A
    /// place behind all text, where parsers report that something is missing, moves to the end of the last line.
    #[must_use]
    pub fn new(text: &str, range: Range<usize>) -> Self {
        let start = text.floor_char_boundary(range.start.min(text.trim_end().len()));
        let end = text.floor_char_boundary(range.end).max(start);
        let (before, after) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = after.find('\n').map_or(text.len(), |newline| start + newline);
        Self {
            line: before.matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end.min(line_end)].chars().count().max(1),
            source: text[line_start..line_end].trim_end_matches('\r').to_owned(),
        }
    }
}

#[cfg(test)]
pub(crate) use tests::all_rules;

#[cfg(test)]
mod tests {
    use super::*;

    fn span(line: usize, column: usize, width: usize, source: &str) -> Span {
        Span { line, column, width, source: source.to_owned() }
    }

    #[test]
    fn a_span_counts_characters_of_one_line() {
        for (text, range, expected) in [
            ("ab", 0..1, span(1, 1, 1, "ab")),
            ("ab", 1..1, span(1, 2, 1, "ab")),
            ("ab\ncd\n", 3..5, span(2, 1, 2, "cd")),
            ("äö\nüß=1", 7..9, span(2, 2, 1, "üß=1")),
            ("\tx", 1..2, span(1, 2, 1, "\tx")),
            // Of several lines, the first.
            ("ab\ncd\nef", 1..7, span(1, 2, 1, "ab")),
            ("ab\r\ncd", 0..2, span(1, 1, 2, "ab")),
            ("ab\ncd", 2..3, span(1, 3, 1, "ab")),
            // Behind all text.
            ("ab\n\n\n", 5..5, span(1, 3, 1, "ab")),
            ("ab", 2..2, span(1, 3, 1, "ab")),
            ("", 0..0, span(1, 1, 1, "")),
            ("\n\n", 1..2, span(1, 1, 1, "")),
            // No range that a parser could give may panic.
            ("ab", 9..12, span(1, 3, 1, "ab")),
            ("ä\n!", 1..9, span(1, 1, 1, "ä")),
            ("äb", 0..1, span(1, 1, 1, "äb")),
        ] {
            assert_eq!(Span::new(text, range.clone()), expected, "{text:?} {range:?}");
        }
    }

    pub(crate) fn all_rules() -> Vec<Rule> {
        let bad_id = |candidate: &str, source| Rule::BadId { candidate: candidate.to_owned(), source };
        vec![
            Rule::Empty,
            Rule::NotUtf8,
            Rule::Nul,
            Rule::Syntax("expected `:`, found newline".to_owned()),
            Rule::RelativeImport,
            Rule::Exits("sys.exit()".to_owned()),
            Rule::Pipeline,
            Rule::BothKinds(Entry::Filter),
            bad_id("My Tool", IdSource::Settings),
            bad_id("---", IdSource::Frontmatter),
            bad_id("_", IdSource::FileName),
            bad_id("a\nb", IdSource::FolderName),
            Rule::IdTwice {
                id: PluginId::new("shout").unwrap(),
                others: vec!["b.py".to_owned()],
                more: 0,
                certain: true,
            },
            Rule::Unreadable("permission denied".to_owned()),
            Rule::UnreadableFolder("permission denied".to_owned()),
            Rule::IgnoreFile("`.gitignore` has more than 2000 patterns".to_owned()),
            Rule::DanglingLink("../x.py".to_owned()),
            Rule::LinkOutside("/x.py".to_owned()),
            Rule::TooLarge(4),
            Rule::ImportedEntry(Entry::Pipe),
            Rule::OverlookedHeader,
            Rule::BrokenImport { module: "configparser".to_owned(), becomes: "open_webui.configparser".to_owned() },
        ]
    }

    #[test]
    fn rules_are_told_with_a_remedy() {
        let told: Vec<_> = all_rules()
            .iter()
            .map(|rule| {
                let hint = rule.hint().map(|hint| format!("\n    {hint}")).unwrap_or_default();
                format!("{:?} {}: {}{hint}", rule.severity(), rule.word(), rule.message())
            })
            .collect();
        expect_test::expect![[r#"
            Error empty: the file is empty
                save it with its code, or delete it
            Error not-utf8: not UTF-8 text
                save it as UTF-8; a `coding` comment does not help, since the server is sent text
            Error nul: a NUL character, which Python does not accept
                remove the character, or save the file as UTF-8 if it is UTF-16
            Error syntax: invalid Python: expected `:`, found newline
            Error relative-import: a relative import: the server has only this file
                move what is imported into this file, or install it on the server and import it by its full name
            Error exits: `sys.exit()` when the file is loaded, which can end the server
                raise another exception, or put it under `if __name__ == "__main__":`
            Error pipeline: `class Pipeline` is for the Pipelines server, which is another program
                rename the class to `Pipe` if it is meant for Open WebUI, or ignore the file
            Error both-kinds: both a function (`Filter`) and a tool (`Tools`)
                set `kind = "function"` or `kind = "tool"` under [plugins."path"] in watch.toml
            Error bad-id: `My Tool` from `watch.toml` is not a usable id
                use letters, digits and underscores, such as `my_tool`
            Error bad-id: `---` from the header is not a usable id
                use letters, digits and underscores
            Error bad-id: `_` from the file name is not a usable id
                rename it, or put a line such as `id: my_plugin` in the header
            Error bad-id: `a\nb` from the folder name is not a usable id
                rename it, or put a line such as `id: my_plugin` in the header
            Error id-twice: the id `shout` is also used by `b.py`: none of them is deployed
                set another `id` in one header, or leave a file out with `exclude` in watch.toml
            Error unreadable: cannot be read: permission denied
            Error unreadable-folder: a folder that cannot be read: permission denied
                make it readable, or leave it out with `exclude` in watch.toml
            Error unreadable-folder: a folder that is not watched: `.gitignore` has more than 2000 patterns
                shorten that file
            Error dangling-link: a link to `../x.py`, which does not exist
                restore its target, or delete the link
            Error link-outside: a link to `/x.py`, which is outside of the watched folders
                watch the folder of its target, put the file itself here, or set `follow_links = "anywhere"` in watch.toml
            Error too-large: larger than 4 MiB
                ignore the file if it is not a plugin
            Warning imported-entry: its type on the server is `pipe`, because of the imported name `Pipe`
                import it by another name, such as `Pipe as _Pipe`
            Warning overlooked-header: the server does not see this header: it has to open with `"""` alone on the very first line
                move it to the top, with nothing above it and nothing beside the quotes
            Warning broken-import: the server rewrites the import of `configparser` to `open_webui.configparser`, which will fail
                write `import configparser`, which is left as it is"#]]
        .assert_eq(&told.join("\n"));
    }

    #[test]
    fn messages_keep_the_rules() {
        for rule in all_rules() {
            for text in [Some(rule.message()), rule.hint()].into_iter().flatten() {
                assert!(!text.starts_with(char::is_uppercase) && !text.ends_with('.'), "{text}");
                assert!(!text.contains('\n'), "{text}");
            }
        }
    }
}
