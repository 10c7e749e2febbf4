//! What a plugin is: bytes in, values out. Nothing here touches a disk, a clock or a network.

pub mod diagnostic;
mod digest;
pub mod frontmatter;
pub mod id;
pub mod kind;
pub mod normal;
pub mod python;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use diagnostic::{Diagnostic, Fix, Rule, RuleFinding, Severity, Span};
pub use digest::Digest;
use frontmatter::Frontmatter;
use id::{IdSource, PluginId};
pub use kind::{Entry, Kind};
pub use python::Syntax;

/// Identifies a plugin on the server: by its table, and its id there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The table.
    pub kind: Kind,
    /// The id in that table.
    pub id: PluginId,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.id)
    }
}

/// The settings of one file in `watch.toml`, under `[plugins."path"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSettings {
    /// The id to use, whatever the file or its frontmatter says.
    pub id: Option<String>,
    /// The kind to deploy as, for a file with entry classes of both kinds.
    pub kind: Option<Kind>,
    /// `Some(false)` leaves the file alone.
    pub enabled: Option<bool>,
}

impl FileSettings {
    /// Whether these settings make sense only for a plugin.
    fn name_a_plugin(&self) -> bool {
        self.id.is_some() || self.kind.is_some() || self.enabled == Some(true)
    }

    /// Whether these settings, or the file's own header, declare it a plugin.
    fn declares(&self, frontmatter: &Frontmatter) -> bool {
        self.name_a_plugin() || frontmatter.names_a_plugin()
    }
}

/// A plugin as it stands in a file, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Its path, as the user would type it.
    pub path: Arc<Path>,
    /// Its kind and id on the server.
    pub key: Key,
    /// The class that makes it a plugin.
    pub entry: Entry,
    /// The header, as the server will read it.
    pub frontmatter: Frontmatter,
    /// The text to send: the file's, without a byte order mark and with `\n` line ends. Empty if it was not read or is
    /// no longer needed: no plugin is empty, and not every text needs to be in memory.
    pub text: Arc<str>,
    /// The digest of its normal text.
    pub digest: Digest,
    /// Warnings, which do not prevent a deploy.
    pub warnings: Vec<Diagnostic>,
}

impl Plugin {
    /// Whether its text is in memory.
    #[must_use]
    pub fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    /// Drops its text from memory; the file still has it.
    pub fn drop_text(&mut self) {
        self.text = Arc::from("");
    }
}

/// A file that cannot be deployed as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The digest of what was read, or `None` where nothing could be.
    pub digest: Option<Digest>,
    /// At least one error, and the warnings, from the top of the file to its end.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the file seems meant as a plugin. A script that is not Python does not, nor does a plugin for another
    /// program.
    pub meant: bool,
}

impl Invalid {
    /// A file or folder that could not be read.
    #[must_use]
    pub fn unread(file: &Arc<Path>, rule: Rule) -> Self {
        let diagnostic = Diagnostic { rule, file: Arc::clone(file), span: None };
        Self { digest: None, diagnostics: vec![diagnostic], meant: true }
    }

    /// The rules that it breaks.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.diagnostics.iter().map(|diagnostic| &diagnostic.rule)
    }

    /// Whether it is a folder that may hold plugins, not a file.
    #[must_use]
    pub fn is_of_folder(&self) -> bool {
        self.rules().any(Rule::is_of_folder)
    }

    /// Whether the file has no text. Then only its history tells whether it is meant as a plugin.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules().any(|rule| *rule == Rule::Empty)
    }

    /// All its errors in one line.
    #[must_use]
    pub fn message(&self) -> String {
        let errors = self.rules().filter(|rule| rule.severity() == Severity::Error);
        errors.map(Rule::message).collect::<Vec<_>>().join("; ")
    }
}

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A plugin.
    Plugin(Arc<Plugin>),
    /// Python without an entry class: not ours, and not reported.
    NotAPlugin,
    /// `enabled = false` in `watch.toml`.
    Disabled,
    /// Cannot be deployed. [`Invalid::meant`] tells whether it seems meant as a plugin.
    Invalid(Invalid),
}

/// Reads a file that may be a plugin.
#[must_use]
pub fn parse(path: &Arc<Path>, bytes: &[u8], settings: &FileSettings) -> Parsed {
    parse_and(path, bytes, settings, |_, _| ())
}

/// Like [`parse`]. `look` sees a plugin with its syntax tree, which is dropped afterwards.
#[must_use]
pub fn parse_and(
    path: &Arc<Path>,
    bytes: &[u8],
    settings: &FileSettings,
    look: impl FnOnce(&Plugin, &Syntax),
) -> Parsed {
    if settings.enabled == Some(false) {
        return Parsed::Disabled;
    }
    let diagnostic = |rule, span| Diagnostic { rule, file: Arc::clone(path), span };
    let text = match normal::clean(bytes) {
        Ok(text) => text,
        Err(at) => {
            // The broken bytes become replacement characters. The place is in this text, with our line ends.
            let [before, shown] = [&bytes[..at], bytes].map(normal::lossy);
            if !python::resembles_plugin(bytes, settings.declares(&Frontmatter::parse(&shown))) {
                return Parsed::NotAPlugin;
            }
            let span = Span::new(&shown, before.len()..before.len() + 1);
            return Parsed::Invalid(Invalid {
                digest: Some(Digest::of(bytes)),
                diagnostics: vec![diagnostic(Rule::NotUtf8, Some(span))],
                meant: true,
            });
        }
    };
    // The server reads the header after its rewriting, so a sentence such as "taken from utils" differs.
    let normal = normal::normal(&text);
    let (digest, frontmatter) = (Digest::of(normal.as_bytes()), Frontmatter::parse(&normal));
    let declared = settings.declares(&frontmatter);
    let mut syntax = None;
    let (entry, mut diagnostics) = if text.trim().is_empty() {
        (None, Vec::from_iter((!is_package_marker(path)).then(|| diagnostic(Rule::Empty, None))))
    } else if let Some(at) = text.find('\0') {
        (None, vec![diagnostic(Rule::Nul, Some(Span::new(&text, at..at + 1)))])
    } else {
        let (reading, tree) = python::read(path, &text, python::Intent { declared, kind: settings.kind });
        syntax = tree;
        (reading.entry, reading.diagnostics)
    };
    let mut key = None;
    if let Some(entry) = entry {
        if let Some(place) = Frontmatter::overlooked(&text) {
            diagnostics.insert(0, diagnostic(Rule::OverlookedHeader, Some(Span::new(&text, place))));
        }
        match id::choose(path, settings.id.as_deref(), frontmatter.id()) {
            Ok(id) => key = Some(Key { kind: entry.kind(), id }),
            Err(rule) => {
                let is_of_header = matches!(rule, Rule::BadId { source: IdSource::Frontmatter, .. });
                let place = is_of_header.then(|| Frontmatter::place(&text, "id")).flatten();
                let span = place.map(|place| Span::new(&text, place));
                let at = if span.is_some() { 0 } else { diagnostics.len() };
                diagnostics.insert(at, diagnostic(rule, span));
            }
        }
    }
    let is_valid = diagnostics.iter().all(|diagnostic| diagnostic.severity() != Severity::Error);
    match (entry, key) {
        (Some(entry), Some(key)) if is_valid => {
            let (path, text) = (Arc::clone(path), text.into());
            let plugin = Plugin { path, key, entry, frontmatter, text, digest, warnings: diagnostics };
            if let Some(syntax) = &syntax {
                look(&plugin, syntax);
            }
            Parsed::Plugin(Arc::new(plugin))
        }
        (None, _) if diagnostics.is_empty() => Parsed::NotAPlugin,
        _ => {
            let meant = diagnostics.iter().any(|diagnostic| match diagnostic.rule {
                Rule::Empty => settings.name_a_plugin(),
                Rule::Nul | Rule::Syntax(_) => python::resembles_plugin(bytes, declared),
                Rule::Pipeline => settings.name_a_plugin(),
                _ => diagnostic.severity() == Severity::Error,
            });
            Parsed::Invalid(Invalid { digest: Some(digest), diagnostics, meant })
        }
    }
}

/// An empty `__init__.py` is how Python marks a folder as a package.
fn is_package_marker(path: &Path) -> bool {
    kind::is_source(path) && path.file_stem().is_some_and(|stem| stem == "__init__")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str, bytes: &[u8], settings: &FileSettings) -> Parsed {
        parse(&Arc::from(Path::new(path)), bytes, settings)
    }

    #[track_caller]
    fn plugin(path: &str, bytes: &[u8], settings: &FileSettings) -> Plugin {
        match parsed(path, bytes, settings) {
            Parsed::Plugin(plugin) => Arc::unwrap_or_clone(plugin),
            other @ (Parsed::NotAPlugin | Parsed::Disabled | Parsed::Invalid(_)) => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn invalid(path: &str, bytes: &[u8]) -> Invalid {
        match parsed(path, bytes, &FileSettings::default()) {
            Parsed::Invalid(invalid) => invalid,
            other @ (Parsed::NotAPlugin | Parsed::Disabled | Parsed::Plugin(_)) => panic!("{other:?}"),
        }
    }

    fn span(line: usize, column: usize, width: usize, source: &str) -> Span {
        Span { line, column, width, source: source.to_owned() }
    }

    #[test]
    fn a_plugin_is_read_whole() {
        let text = "\"\"\"\ntitle: Shout\nversion: 1.2\n\"\"\"\nfrom mainland import x\n\nclass Filter:\n    pass\n";
        let bytes = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let plugin = plugin("filters/loud-voice.py", bytes.as_bytes(), &FileSettings::default());
        assert_eq!(&*plugin.path, Path::new("filters/loud-voice.py"));
        assert_eq!(plugin.key.to_string(), "function loud_voice");
        assert_eq!(plugin.entry, Entry::Filter);
        assert_eq!((plugin.frontmatter.title(), plugin.frontmatter.version()), (Some("Shout"), Some("1.2")));
        assert_eq!(&*plugin.text, text, "no byte order mark, `\\n` line ends, and not rewritten");
        assert_eq!(plugin.digest, Digest::of(text.replace("mainland", "open_webui.mainland").as_bytes()));
        assert_eq!(plugin.warnings[0].span, Some(span(5, 6, 8, "from mainland import x")));
    }

    #[test]
    fn the_server_s_text_has_the_digest_of_the_file() {
        let bytes = b"from utils import x\r\nclass Tools: pass";
        let plugin = plugin("a.py", bytes, &FileSettings::default());
        assert_eq!(Digest::of_text("from open_webui.utils import x\nclass Tools: pass"), plugin.digest);
        assert_eq!(Digest::of_text("from open_webui.utils import x\r\nclass Tools: pass"), plugin.digest);
        assert_ne!(Digest::of_text("from open_webui.utils import x\nclass Tools: pass\n"), plugin.digest);
    }

    #[test]
    fn the_header_is_read_after_the_rewriting() {
        let text = b"\"\"\"\ndescription: taken from utils package\n\"\"\"\nclass Pipe: pass\n";
        let plugin = plugin("a.py", text, &FileSettings::default());
        assert_eq!(plugin.frontmatter.description(), Some("taken from open_webui.utils package"));
    }

    #[test]
    fn settings_name_the_plugin() {
        let text = b"\"\"\"\nid: theirs\n\"\"\"\nclass Pipe: pass\nclass Tools: pass\n";
        let settings = FileSettings { id: Some("Mine".to_owned()), kind: Some(Kind::Tool), enabled: Some(true) };
        assert_eq!(plugin("a.py", text, &settings).key.to_string(), "tool mine");
        let settings = FileSettings { kind: Some(Kind::Function), ..FileSettings::default() };
        assert_eq!(plugin("a.py", text, &settings).key.to_string(), "function theirs");
        assert_eq!(invalid("a.py", text).diagnostics[0].rule, Rule::BothKinds(Entry::Pipe));
        let settings = FileSettings { enabled: Some(false), ..FileSettings::default() };
        assert_eq!(parsed("a.py", text, &settings), Parsed::Disabled);
        assert_eq!(parsed("a.py", b"\xff not even text", &settings), Parsed::Disabled);
    }

    #[test]
    fn a_class_from_elsewhere_needs_the_author_s_word() {
        let import = "from my_package import Pipe\n";
        let none = FileSettings::default();
        assert_eq!(parsed("test_pipe.py", import.as_bytes(), &none), Parsed::NotAPlugin);
        let docstring = format!("\"\"\"\nTests: the pipe\n\"\"\"\n{import}");
        assert_eq!(parsed("test_pipe.py", docstring.as_bytes(), &none), Parsed::NotAPlugin);
        for header in ["title: Mine", "id: mine", "requirements: my_package"] {
            let stub = format!("\"\"\"\n{header}\n\"\"\"\n{import}");
            assert_eq!(plugin("mine.py", stub.as_bytes(), &none).key.to_string(), "function mine");
        }
        let settings = FileSettings { enabled: Some(true), ..FileSettings::default() };
        assert_eq!(plugin("mine.py", import.as_bytes(), &settings).key.to_string(), "function mine");
    }

    #[test]
    fn a_helper_with_a_common_name_is_no_plugin() {
        let helper = "class Event:\n    pass\n";
        let none = FileSettings::default();
        assert_eq!(parsed("events.py", helper.as_bytes(), &none), Parsed::NotAPlugin);
        let docstring = format!("\"\"\"\nNote: what happens\n\"\"\"\n{helper}");
        assert_eq!(parsed("events.py", docstring.as_bytes(), &none), Parsed::NotAPlugin);
        let header = format!("\"\"\"\ntitle: Mine\n\"\"\"\n{helper}");
        assert_eq!(plugin("events.py", header.as_bytes(), &none).entry, Entry::Event);
        let settings = FileSettings { id: Some("mine".to_owned()), ..FileSettings::default() };
        assert_eq!(plugin("events.py", helper.as_bytes(), &settings).key.to_string(), "function mine");
    }

    #[test]
    fn a_pipeline_is_a_failure_only_where_watch_toml_names_it() {
        let header = b"\"\"\"\ntitle: Mine\n\"\"\"\nclass Pipeline: pass\n";
        assert!(!invalid("a.py", header).meant);
        let settings = FileSettings { id: Some("mine".to_owned()), ..FileSettings::default() };
        let Parsed::Invalid(invalid) = parsed("a.py", header, &settings) else { panic!() };
        assert_eq!((&invalid.diagnostics[0].rule, invalid.meant), (&Rule::Pipeline, true));
    }

    #[test]
    fn what_is_no_plugin_is_passed_over() {
        for (path, bytes) in [
            ("a.py", &b"import os\n"[..]),
            ("a.py", b"# nothing yet\n"),
            ("__init__.py", b""),
            ("package/__init__.py", b"\n"),
            ("package/__init__.py", b"from .pipe import Pipe\n"),
            ("latin1.py", b"# caf\xe9\nclass Thing: pass\n"),
            ("image.py", b"\x89PNG\r\n\x1a\n\xff"),
        ] {
            assert_eq!(parsed(path, bytes, &FileSettings::default()), Parsed::NotAPlugin, "{path} {bytes:?}");
        }
    }

    /// Found by `tests/it/fuzz.rs`.
    #[test]
    fn a_byte_that_is_not_utf8_is_found_in_its_line_whatever_ends_the_lines() {
        for (bytes, line, column, source) in [
            (&b"\r\x80\rclass Pipe: pass"[..], 2, 1, "\u{fffd}"),
            (b"class Pipe:\r    a = '\xe9'\r", 2, 10, "    a = '\u{fffd}'"),
            (b"class Pipe:\r\n    a = '\xe9'\r\n", 2, 10, "    a = '\u{fffd}'"),
            (b"\xef\xbb\xbf'\xe9'\nclass Pipe: pass", 1, 2, "'\u{fffd}'"),
        ] {
            let span = invalid("a.py", bytes).diagnostics.remove(0).span.unwrap();
            assert_eq!((span.line, span.column, span.source.as_str()), (line, column, source), "{bytes:?}");
        }
    }

    #[test]
    fn an_invalid_file_says_what_where_and_of_which_bytes() {
        let bad_id = |candidate: &str, source| Rule::BadId { candidate: candidate.to_owned(), source };
        for (path, bytes, rule, span) in [
            ("a.py", &b""[..], Rule::Empty, None),
            ("a.py", b"\xef\xbb\xbf \r\n\t\n", Rule::Empty, None),
            ("a.py", b"x\nclass Pipe: \0pass", Rule::Nul, Some(span(2, 13, 1, "class Pipe: \0pass"))),
            ("a.py", b"\0\0\0\0", Rule::Nul, Some(span(1, 1, 1, "\0\0\0\0"))),
            ("a.py", b"# caf\xe9!\r\nclass Pipe: pass", Rule::NotUtf8, Some(span(1, 6, 1, "# caf\u{fffd}!"))),
            (
                "a.py",
                b"class Pipe: pass\nif x",
                Rule::Syntax("expected `:`, found newline".to_owned()),
                Some(span(2, 5, 1, "if x")),
            ),
            (
                "a.py",
                b"class Pipe: pass\nfrom .x import y",
                Rule::RelativeImport,
                Some(span(2, 1, 16, "from .x import y")),
            ),
            ("a.py", b"class Pipeline: pass", Rule::Pipeline, Some(span(1, 7, 8, "class Pipeline: pass"))),
            ("_.py", b"class Pipe: pass", bad_id("_", IdSource::FileName), None),
            (
                "a.py",
                b"\"\"\"\nid: a-b\n\"\"\"\nclass Pipe: pass",
                bad_id("a-b", IdSource::Frontmatter),
                Some(span(2, 5, 3, "id: a-b")),
            ),
        ] {
            let digest = Some(str::from_utf8(bytes).map_or_else(|_| Digest::of(bytes), Digest::of_text));
            let diagnostics = vec![Diagnostic { rule, file: Arc::from(Path::new(path)), span }];
            let found = invalid(path, bytes);
            assert_eq!((found.digest, found.diagnostics), (digest, diagnostics), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn every_error_and_every_warning_is_returned() {
        let text =
            b"\n\"\"\"\nid: a-b\n\"\"\"\nfrom . import x\nfrom mainland import y\nexit()\nclass Pipe: pass\nreturn";
        let settings = FileSettings { id: Some("a-b".to_owned()), ..FileSettings::default() };
        let Parsed::Invalid(invalid) = parsed("a.py", text, &settings) else { panic!() };
        let words: Vec<_> = invalid.rules().map(Rule::word).collect();
        let expected = ["overlooked-header", "relative-import", "broken-import", "exits", "syntax", "bad-id"];
        assert_eq!(words, expected);
        expect_test::expect!["a relative import: the server has only this file; `exit()` when the file is loaded, which can end the server; invalid Python: `return` statement outside of a function; `a-b` from `watch.toml` is not a usable id"]
            .assert_eq(&invalid.message());
        // Warnings do not hide an error, however many there are.
        let text = "from mainland import y\n".repeat(1_000) + "exit()\nclass Pipe: pass";
        assert_eq!(
            super::tests::invalid("a.py", text.as_bytes()).rules().filter(|rule| rule.word() == "exits").count(),
            1
        );
    }

    #[test]
    fn an_empty_file_is_meant_if_watch_toml_names_it() {
        assert!(!invalid("a.py", b"\n").meant);
        let settings = FileSettings { enabled: Some(true), ..FileSettings::default() };
        let Parsed::Invalid(invalid) = parsed("a.py", b"", &settings) else { panic!() };
        assert!(invalid.meant && invalid.is_empty());
    }

    #[test]
    fn a_script_that_is_no_python_is_not_meant_as_a_plugin() {
        for (bytes, meant) in [
            (&b"class Filter(:"[..], true),
            (b"class Tools:\n  x = (", true),
            (b"print 'Python 2'", false),
            (b"<<<<<<< HEAD", false),
            (b"\n", false),
            (b"class Pipeline: pass", false),
            (b"class Event: pass\nx = (", false),
            (b"class Action:\n  async  def  action (self): x = (", true),
            (b"class Action:\n  def actions(self): x = (", false),
            (b"\"\"\"\ntitle: Mine\n\"\"\"\nclass Event: x = (", true),
            (b"from .x import y\nclass Pipe: pass", true),
        ] {
            assert_eq!(invalid("a.py", bytes).meant, meant, "{}", bytes.escape_ascii());
        }
    }
}
