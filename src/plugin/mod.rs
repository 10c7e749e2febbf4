//! What a plugin is: bytes in, values out. Nothing here touches a disk, a clock or a network.

pub mod frontmatter;
pub mod id;
pub mod normal;
pub mod source;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use frontmatter::Frontmatter;
use id::PluginId;

/// The two tables that the server keeps plugins in. Each is an id namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A row of the functions table: pipe, filter, action or event.
    Function,
    /// A row of the tools table.
    Tool,
}

impl Kind {
    /// The word used in messages, file names and the ledger.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Function => "function",
            Kind::Tool => "tool",
        }
    }
}

/// The class that makes a module a plugin, in the server's order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// `class Pipe`: a model, or several.
    Pipe,
    /// `class Filter`: sees what goes into and comes out of a model.
    Filter,
    /// `class Action`: a button under a message.
    Action,
    /// `class Event`: reacts to what happens on the server (since 0.10).
    Event,
    /// `class Tools`: what a model may call.
    Tools,
}

impl Entry {
    /// All of them, in the server's order of precedence.
    pub const ALL: [Self; 5] = [Self::Pipe, Self::Filter, Self::Action, Self::Event, Self::Tools];

    /// The table that plugins of this type live in.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Entry::Pipe | Entry::Filter | Entry::Action | Entry::Event => Kind::Function,
            Entry::Tools => Kind::Tool,
        }
    }

    /// The word for this type on the terminal: `pipe`, `filter`, `action`, `event` or `tool`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Entry::Pipe => "pipe",
            Entry::Filter => "filter",
            Entry::Action => "action",
            Entry::Event => "event",
            Entry::Tools => "tool",
        }
    }

    /// The name of the class, as the module binds it.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Entry::Pipe => "Pipe",
            Entry::Filter => "Filter",
            Entry::Action => "Action",
            Entry::Event => "Event",
            Entry::Tools => "Tools",
        }
    }
}

/// What names a plugin on the server: its table and its id in it.
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

/// SHA-256 of a plugin's normal text (see [`normal`]), so that the file, the server's row and the ledger
/// compare by one value. Of a file without a normal text (not UTF-8), of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digests a text that is normal already, or bytes that have no normal text.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Digests a text from either side, by its normal form.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self::of(normal::normal(text).as_bytes())
    }

    /// The first 12 hexadecimal digits: enough to tell versions of one plugin apart in a log or a file name.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        let fits = text.len() == 64
            && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            && (0..32).all(|i| {
                u8::from_str_radix(&text[2 * i..2 * i + 2], 16).is_ok_and(|byte| {
                    bytes[i] = byte;
                    true
                })
            });
        if fits { Ok(Self(bytes)) } else { Err(serde::de::Error::custom("a digest is 64 hexadecimal digits")) }
    }
}

/// What `watch.toml` says of one file, in `[plugins."path"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSettings {
    /// The id to use, whatever the file or its frontmatter says.
    pub id: Option<String>,
    /// Which kind to deploy a file as that binds classes of both.
    pub kind: Option<Kind>,
    /// `Some(false)` leaves the file alone.
    pub enabled: Option<bool>,
}

impl FileSettings {
    /// Whether they make sense for a plugin only.
    fn name_a_plugin(&self) -> bool {
        self.id.is_some() || self.kind.is_some() || self.enabled == Some(true)
    }

    /// Whether they, or the file's own header, say that it is a plugin.
    fn declares(&self, frontmatter: &Frontmatter) -> bool {
        self.name_a_plugin() || frontmatter.names_a_plugin()
    }
}

/// A plugin as it stands in a file, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Where it stands, as the user would type it.
    pub path: Arc<Path>,
    /// What it is called on the server.
    pub key: Key,
    /// The class that makes it a plugin.
    pub entry: Entry,
    /// The header, as the server will read it.
    pub frontmatter: Frontmatter,
    /// The text to send: the file's, without a byte order mark and with `\n` line ends. Empty where it was not read, or
    /// is not needed any more: no plugin is empty, and all of them need not be in memory.
    pub text: Arc<str>,
    /// The digest of its normal text.
    pub digest: Digest,
    /// What will surprise its author, but is no reason not to deploy.
    pub warnings: Vec<Warning>,
}

impl Plugin {
    /// Whether its text is in memory.
    #[must_use]
    pub fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    /// Leaves its text to the file.
    pub fn drop_text(&mut self) {
        self.text = Arc::from("");
    }
}

/// A place in a file, with the line to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// Finds the place of a range of bytes in a text. Of a range of several lines it is what stands on the first; a
    /// place behind all text, where parsers find that something is missing, is moved to the end of the last line.
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

/// Why a plugin file cannot be deployed as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The digest of what was read, or `None` where nothing could be.
    pub digest: Option<Digest>,
    /// What is wrong.
    pub problem: Problem,
    /// Where in the file, where there is such a place.
    pub span: Option<Span>,
    /// Whether the file is meant as a plugin, as far as one can tell. A script that is no Python is nobody's failure, nor is
    /// a plugin for another program.
    pub meant: bool,
}

/// The ways in which a file cannot be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Nothing but white space.
    Empty,
    /// The bytes are not UTF-8 (the server takes text only).
    NotUtf8,
    /// A NUL character, which the server refuses.
    Nul,
    /// The Python does not parse; the parser's words.
    Syntax(String),
    /// A relative import: the server runs one file alone.
    RelativeImport,
    /// The module ends the interpreter when it is loaded, and up to Open WebUI 0.9 the server with it.
    Exits(String),
    /// `class Pipeline`: a plugin of the Pipelines server, which is another program.
    Pipeline,
    /// Entry classes of both kinds (say the function's class and `Tools`): one must be chosen.
    BothKinds(Entry),
    /// No usable id can be made: the candidate, and where it came from.
    BadId {
        /// What would have been the id.
        candidate: String,
        /// `watch.toml`, `frontmatter`, `file name` or `folder name`.
        origin: &'static str,
    },
    /// The file could not be opened or read; the system's words.
    Unreadable(String),
    /// It is a folder that could not be listed, so nobody knows whether there are plugins in it; the system's words.
    UnreadableFolder(String),
    /// It is a folder with a file of ignore patterns that cannot be used; which one, and why.
    IgnoreFile(String),
    /// A link to something that is not there.
    DanglingLink(String),
    /// A link to something outside the roots.
    LinkOutside(String),
    /// More bytes than a plugin is allowed to have; the limit in MiB.
    TooLarge(u64),
}

impl Problem {
    /// The word for this problem in JSON, which stays the same.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotUtf8 => "not_utf8",
            Self::Nul => "nul",
            Self::Syntax(_) => "syntax",
            Self::RelativeImport => "relative_import",
            Self::Exits(_) => "exits",
            Self::Pipeline => "pipeline",
            Self::BothKinds(_) => "both_kinds",
            Self::BadId { .. } => "bad_id",
            Self::Unreadable(_) => "unreadable",
            // One word for every folder that is not walked.
            Self::UnreadableFolder(_) | Self::IgnoreFile(_) => "unreadable_folder",
            Self::DanglingLink(_) => "dangling_link",
            Self::LinkOutside(_) => "link_outside",
            Self::TooLarge(_) => "too_large",
        }
    }

    /// What is wrong, as it follows the name of the file and a colon.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Empty => "the file is empty".to_owned(),
            Self::NotUtf8 => "not UTF-8 text".to_owned(),
            Self::Nul => "a NUL character, which Python does not accept".to_owned(),
            Self::Syntax(words) => format!("invalid Python: {words}"),
            Self::RelativeImport => "a relative import, and the server has no file but this one".to_owned(),
            Self::Exits(how) => format!("`{how}` when the file is loaded, which can end the server"),
            Self::Pipeline => "`class Pipeline` is for the Pipelines server, which is another program".to_owned(),
            Self::BothKinds(function) => format!("both a function (`{}`) and a tool (`Tools`)", function.class()),
            Self::BadId { candidate, origin } => {
                let origin = if *origin == "watch.toml" { "`watch.toml`" } else { &format!("the {origin}") };
                format!("`{}` from {origin} is not a usable id", candidate.escape_debug())
            }
            Self::Unreadable(words) => format!("cannot be read: {words}"),
            Self::UnreadableFolder(words) => format!("a folder that cannot be read: {words}"),
            Self::IgnoreFile(words) => format!("a folder that is not watched: {words}"),
            Self::DanglingLink(target) => format!("a link to `{target}`, which does not exist"),
            Self::LinkOutside(target) => format!("a link to `{target}`, which is outside of the watched folders"),
            Self::TooLarge(limit) => format!("larger than {limit} MiB"),
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty => "save it with its code, or delete it".to_owned(),
            Self::NotUtf8 => {
                "save it as UTF-8; a `coding` comment does not help, since the server is sent text".to_owned()
            }
            Self::Nul => "remove the character, or save the file as UTF-8 if it is UTF-16".to_owned(),
            Self::RelativeImport => {
                "move what is imported into this file, or install it on the server and import it by its full name"
                    .to_owned()
            }
            Self::Exits(_) => "raise another exception, or put it under `if __name__ == \"__main__\":`".to_owned(),
            Self::Pipeline => "rename the class to `Pipe` if it is meant for Open WebUI, or ignore the file".to_owned(),
            Self::BothKinds(_) => {
                "set `kind = \"function\"` or `kind = \"tool\"` under [plugins.\"path\"] in watch.toml".to_owned()
            }
            Self::BadId { candidate, origin } => bad_id_hint(candidate, origin),
            Self::LinkOutside(_) => {
                "watch the folder of its target, put the file itself here, or set `follow_links = \"anywhere\"` in watch.toml"
                    .to_owned()
            }
            Self::DanglingLink(_) => "restore its target, or delete the link".to_owned(),
            Self::TooLarge(_) => "ignore the file if it is not a plugin".to_owned(),
            Self::UnreadableFolder(_) => {
                "make it readable (`chmod u+rx`), or leave it out with `exclude` in watch.toml".to_owned()
            }
            Self::IgnoreFile(_) => "shorten that file".to_owned(),
            Self::Syntax(_) | Self::Unreadable(_) => return None,
        })
    }

    /// Whether it is about a folder, in which there may be plugins.
    #[must_use]
    pub fn is_of_folder(&self) -> bool {
        matches!(self, Self::UnreadableFolder(_) | Self::IgnoreFile(_))
    }
}

fn bad_id_hint(candidate: &str, origin: &str) -> String {
    if candidate.len() > PluginId::MAX_BYTES {
        return format!("choose one of at most {} bytes", PluginId::MAX_BYTES);
    }
    let example = id::identifier(candidate).and_then(|id| PluginId::new(&id));
    match (origin, example) {
        ("file name" | "folder name", _) => {
            "rename it, or put a line such as `id: my_plugin` in the frontmatter".to_owned()
        }
        (_, Some(id)) => format!("use letters, digits and underscores, such as `{id}`"),
        (_, None) => "use letters, digits and underscores".to_owned(),
    }
}

/// What will surprise the author of a plugin that is deployed all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it is.
    pub surprise: Surprise,
    /// Where.
    pub span: Span,
}

/// The kinds of [`Warning`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Surprise {
    /// The name of an entry class is imported (`from multiprocessing import Pipe`), which makes the server take the
    /// module for that type.
    ImportedEntry(Entry),
    /// A header that the server does not see where, or as, it stands.
    OverlookedHeader,
    /// The server's text rewriting will break this import: what is written, and what becomes of it.
    BrokenImport {
        /// The module as written, say `configparser`.
        module: String,
        /// The module as it will stand on the server.
        becomes: String,
    },
}

impl Surprise {
    /// The word for this surprise in JSON, which stays the same.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::ImportedEntry(_) => "imported_entry",
            Self::OverlookedHeader => "overlooked_header",
            Self::BrokenImport { .. } => "broken_import",
        }
    }

    /// What will happen, as it follows the name of the file and a colon.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::ImportedEntry(entry) => {
                format!(
                    "its type on the server is `{}`, because of the imported name `{}`",
                    entry.word(),
                    entry.class()
                )
            }
            Self::OverlookedHeader => {
                "the server does not see this header: it has to open with `\"\"\"` alone on the very first line"
                    .to_owned()
            }
            Self::BrokenImport { module, becomes } => {
                format!("the server rewrites the import of `{module}` to `{becomes}`, which will fail")
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::ImportedEntry(entry) => {
                format!("import it by another name, such as `{0} as _{0}`", entry.class())
            }
            Self::OverlookedHeader => {
                "move it to the top, with nothing above it and nothing beside the quotes".to_owned()
            }
            Self::BrokenImport { module, .. } => format!("write `import {module}`, which is left as it is"),
        }
    }
}

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A plugin.
    Plugin(Arc<Plugin>),
    /// Python without an entry class: not ours, and not worth a word.
    NotAPlugin,
    /// `enabled = false` in `watch.toml`.
    Disabled,
    /// Meant as a plugin, as far as one can tell, but not deployable.
    Flawed(Flaw),
}

/// Reads a file that may be a plugin.
#[must_use]
pub fn parse(path: &Arc<Path>, bytes: &[u8], settings: &FileSettings) -> Parsed {
    if settings.enabled == Some(false) {
        return Parsed::Disabled;
    }
    let text = match normal::clean(bytes) {
        Ok(text) => text,
        Err(at) => {
            // The broken bytes become replacement characters. The place is that in the text with our line ends.
            let [before, shown] = [&bytes[..at], bytes].map(normal::lossy);
            if !source::resembles_plugin(bytes, settings.declares(&Frontmatter::parse(&shown))) {
                return Parsed::NotAPlugin;
            }
            let span = Span::new(&shown, before.len()..before.len() + 1);
            return Parsed::Flawed(Flaw {
                digest: Some(Digest::of(bytes)),
                problem: Problem::NotUtf8,
                span: Some(span),
                meant: true,
            });
        }
    };
    // The server reads the header after its rewriting, so a sentence such as "taken from utils" differs.
    let normal = normal::normal(&text);
    let (digest, frontmatter) = (Digest::of(normal.as_bytes()), Frontmatter::parse(&normal));
    let declared = settings.declares(&frontmatter);
    match read(path, &text, digest, frontmatter, settings) {
        Ok(Some(plugin)) => Parsed::Plugin(Arc::new(plugin)),
        Ok(None) => Parsed::NotAPlugin,
        Err((problem, span)) => {
            let meant = match problem {
                Problem::Empty | Problem::Nul | Problem::Syntax(_) => source::resembles_plugin(bytes, declared),
                Problem::Pipeline => settings.name_a_plugin(),
                Problem::NotUtf8
                | Problem::RelativeImport
                | Problem::Exits(_)
                | Problem::BothKinds(_)
                | Problem::BadId { .. }
                | Problem::Unreadable(_)
                | Problem::UnreadableFolder(_)
                | Problem::IgnoreFile(_)
                | Problem::DanglingLink(_)
                | Problem::LinkOutside(_)
                | Problem::TooLarge(_) => true,
            };
            Parsed::Flawed(Flaw { digest: Some(digest), problem, span, meant })
        }
    }
}

fn read(
    path: &Arc<Path>,
    text: &str,
    digest: Digest,
    frontmatter: Frontmatter,
    settings: &FileSettings,
) -> Result<Option<Plugin>, (Problem, Option<Span>)> {
    if text.trim().is_empty() {
        // An empty `__init__.py` is how Python marks a folder as a package.
        let marker = path.file_name().is_some_and(|name| name == "__init__.py");
        return if marker { Ok(None) } else { Err((Problem::Empty, None)) };
    }
    if let Some(at) = text.find('\0') {
        return Err((Problem::Nul, Some(Span::new(text, at..at + 1))));
    }
    let intent = source::Intent { declared: settings.declares(&frontmatter), kind: settings.kind };
    let Some(source::Found { entry, mut warnings }) = source::read(text, intent)? else { return Ok(None) };
    if let Some(place) = Frontmatter::overlooked(text) {
        warnings.insert(0, Warning { surprise: Surprise::OverlookedHeader, span: Span::new(text, place) });
    }
    let id = id::choose(path, settings.id.as_deref(), frontmatter.id()).map_err(|problem| (problem, None))?;
    let key = Key { kind: entry.kind(), id };
    Ok(Some(Plugin { path: Arc::clone(path), key, entry, frontmatter, text: text.into(), digest, warnings }))
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
            other @ (Parsed::NotAPlugin | Parsed::Disabled | Parsed::Flawed(_)) => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn flaw(path: &str, bytes: &[u8]) -> Flaw {
        match parsed(path, bytes, &FileSettings::default()) {
            Parsed::Flawed(flaw) => flaw,
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
        assert_eq!(plugin.warnings[0].span, span(5, 6, 8, "from mainland import x"));
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
        assert_eq!(flaw("a.py", text).problem, Problem::BothKinds(Entry::Pipe));
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
        assert!(!flaw("a.py", header).meant);
        let settings = FileSettings { id: Some("mine".to_owned()), ..FileSettings::default() };
        let Parsed::Flawed(flaw) = parsed("a.py", header, &settings) else { panic!() };
        assert_eq!((flaw.problem, flaw.meant), (Problem::Pipeline, true));
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
            let flaw = match parsed("a.py", bytes, &FileSettings::default()) {
                Parsed::Flawed(flaw) => flaw,
                other => panic!("{bytes:?}: {other:?}"),
            };
            let span = flaw.span.unwrap();
            assert_eq!((span.line, span.column, span.source.as_str()), (line, column, source), "{bytes:?}");
        }
    }

    #[test]
    fn a_flaw_says_what_where_and_of_which_bytes() {
        let bad_id = |candidate: &str, origin| Problem::BadId { candidate: candidate.to_owned(), origin };
        for (path, bytes, problem, place) in [
            ("a.py", &b""[..], Problem::Empty, None),
            ("a.py", b"\xef\xbb\xbf \r\n\t\n", Problem::Empty, None),
            ("a.py", b"x\nclass Pipe: \0pass", Problem::Nul, Some(span(2, 13, 1, "class Pipe: \0pass"))),
            ("a.py", b"\0\0\0\0", Problem::Nul, Some(span(1, 1, 1, "\0\0\0\0"))),
            ("a.py", b"# caf\xe9!\r\nclass Pipe: pass", Problem::NotUtf8, Some(span(1, 6, 1, "# caf\u{fffd}!"))),
            (
                "a.py",
                b"class Pipe: pass\nif x",
                Problem::Syntax("expected `:`, found newline".to_owned()),
                Some(span(2, 5, 1, "if x")),
            ),
            (
                "a.py",
                b"class Pipe: pass\nfrom .x import y",
                Problem::RelativeImport,
                Some(span(2, 1, 16, "from .x import y")),
            ),
            ("a.py", b"class Pipeline: pass", Problem::Pipeline, Some(span(1, 7, 8, "class Pipeline: pass"))),
            ("_.py", b"class Pipe: pass", bad_id("_", "file name"), None),
            ("a.py", b"\"\"\"\nid: a-b\n\"\"\"\nclass Pipe: pass", bad_id("a-b", "frontmatter"), None),
        ] {
            let digest = Some(str::from_utf8(bytes).map_or_else(|_| Digest::of(bytes), Digest::of_text));
            let flaw = flaw(path, bytes);
            let found = (flaw.digest, flaw.problem, flaw.span);
            assert_eq!(found, (digest, problem, place), "{}", bytes.escape_ascii());
        }
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

    fn all_problems() -> Vec<Problem> {
        let bad_id = |candidate: &str, origin| Problem::BadId { candidate: candidate.to_owned(), origin };
        vec![
            Problem::Empty,
            Problem::NotUtf8,
            Problem::Nul,
            Problem::Syntax("expected `:`, found newline".to_owned()),
            Problem::RelativeImport,
            Problem::Exits("sys.exit()".to_owned()),
            Problem::Pipeline,
            Problem::BothKinds(Entry::Filter),
            bad_id("My Tool", "watch.toml"),
            bad_id("---", "frontmatter"),
            bad_id("_", "file name"),
            bad_id("a\nb", "folder name"),
            Problem::Unreadable("permission denied".to_owned()),
            Problem::UnreadableFolder("permission denied".to_owned()),
            Problem::IgnoreFile("`.gitignore` has more than 2000 patterns".to_owned()),
            Problem::DanglingLink("../x.py".to_owned()),
            Problem::LinkOutside("/x.py".to_owned()),
            Problem::TooLarge(4),
        ]
    }

    #[test]
    fn problems_are_told_with_a_remedy() {
        let told: Vec<_> = all_problems()
            .iter()
            .map(|problem| {
                let hint = problem.hint().map(|hint| format!("\n    {hint}")).unwrap_or_default();
                format!("{}: {}{hint}", problem.word(), problem.message())
            })
            .collect();
        expect_test::expect![[r#"
            empty: the file is empty
                save it with its code, or delete it
            not_utf8: not UTF-8 text
                save it as UTF-8; a `coding` comment does not help, since the server is sent text
            nul: a NUL character, which Python does not accept
                remove the character, or save the file as UTF-8 if it is UTF-16
            syntax: invalid Python: expected `:`, found newline
            relative_import: a relative import, and the server has no file but this one
                move what is imported into this file, or install it on the server and import it by its full name
            exits: `sys.exit()` when the file is loaded, which can end the server
                raise another exception, or put it under `if __name__ == "__main__":`
            pipeline: `class Pipeline` is for the Pipelines server, which is another program
                rename the class to `Pipe` if it is meant for Open WebUI, or ignore the file
            both_kinds: both a function (`Filter`) and a tool (`Tools`)
                set `kind = "function"` or `kind = "tool"` under [plugins."path"] in watch.toml
            bad_id: `My Tool` from `watch.toml` is not a usable id
                use letters, digits and underscores, such as `my_tool`
            bad_id: `---` from the frontmatter is not a usable id
                use letters, digits and underscores
            bad_id: `_` from the file name is not a usable id
                rename it, or put a line such as `id: my_plugin` in the frontmatter
            bad_id: `a\nb` from the folder name is not a usable id
                rename it, or put a line such as `id: my_plugin` in the frontmatter
            unreadable: cannot be read: permission denied
            unreadable_folder: a folder that cannot be read: permission denied
                make it readable (`chmod u+rx`), or leave it out with `exclude` in watch.toml
            unreadable_folder: a folder that is not watched: `.gitignore` has more than 2000 patterns
                shorten that file
            dangling_link: a link to `../x.py`, which does not exist
                restore its target, or delete the link
            link_outside: a link to `/x.py`, which is outside of the watched folders
                watch the folder of its target, put the file itself here, or set `follow_links = "anywhere"` in watch.toml
            too_large: larger than 4 MiB
                ignore the file if it is not a plugin"#]]
        .assert_eq(&told.join("\n"));
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
            assert_eq!(flaw("a.py", bytes).meant, meant, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn surprises_are_told_with_a_remedy() {
        let told = [
            Surprise::ImportedEntry(Entry::Pipe),
            Surprise::OverlookedHeader,
            Surprise::BrokenImport { module: "configparser".to_owned(), becomes: "open_webui.configparser".to_owned() },
        ]
        .map(|surprise| format!("{}: {}\n    {}", surprise.word(), surprise.message(), surprise.hint()));
        expect_test::expect![[r#"
            imported_entry: its type on the server is `pipe`, because of the imported name `Pipe`
                import it by another name, such as `Pipe as _Pipe`
            overlooked_header: the server does not see this header: it has to open with `"""` alone on the very first line
                move it to the top, with nothing above it and nothing beside the quotes
            broken_import: the server rewrites the import of `configparser` to `open_webui.configparser`, which will fail
                write `import configparser`, which is left as it is"#]]
        .assert_eq(&told.join("\n"));
    }

    #[test]
    fn messages_keep_the_rules() {
        for problem in all_problems() {
            for text in [Some(problem.message()), problem.hint()].into_iter().flatten() {
                assert!(!text.starts_with(char::is_uppercase) && !text.ends_with('.'), "{text}");
                assert!(!text.contains('\n'), "{text}");
            }
        }
    }

    #[test]
    fn a_digest_survives_json() {
        let digest = Digest::of(b"abc");
        let text = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
        assert_eq!(serde_json::to_string(&digest).unwrap(), text);
        assert_eq!(serde_json::from_str::<Digest>(text).unwrap(), digest);
        assert_eq!(digest.short(), "ba7816bf8f01");
        assert_eq!(format!("{digest:?}"), "Digest(ba7816bf8f01)");
        for broken in [text.replace('b', "g"), text.replace("ad\"", "\""), text.replace("ba", "+b"), "\"é\"".to_owned()]
        {
            assert!(serde_json::from_str::<Digest>(&broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn entries_are_in_the_order_of_the_server() {
        assert!(Entry::ALL.is_sorted(), "the order of declaration is the order of precedence");
        assert_eq!(Entry::ALL.map(Entry::class), ["Pipe", "Filter", "Action", "Event", "Tools"]);
        assert_eq!(Entry::ALL.map(Entry::word), ["pipe", "filter", "action", "event", "tool"]);
        assert_eq!(
            Entry::ALL.map(|entry| entry.kind().word()),
            ["function", "function", "function", "function", "tool"]
        );
    }
}
