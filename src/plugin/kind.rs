//! The kinds of plugins, one row each, and the classes that make a module one of them.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// The two tables that the server keeps plugins in. Each is an id namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A row of the functions table: pipe, filter, action or event.
    Function,
    /// A row of the tools table.
    Tool,
}

/// How a Python file's name ends, without the dot.
const PYTHON: &str = "py";

/// All that is special about a kind.
struct KindRow {
    word: &'static str,
    extension: &'static str,
    table: &'static str,
    page: &'static str,
    has_switch: bool,
    takes_access_control: bool,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Function, Self::Tool];

    fn row(self) -> KindRow {
        let (word, table, page, has_switch, takes_access_control) = match self {
            Self::Function => ("function", "functions", "admin/functions/edit", true, false),
            Self::Tool => ("tool", "tools", "workspace/tools/edit", false, true),
        };
        KindRow { word, extension: PYTHON, table, page, has_switch, takes_access_control }
    }

    /// The word used in messages, file names, settings and the ledger.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().word
    }

    /// The kind of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// How the names of its files end, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        self.row().extension
    }

    /// The name of a file for this stem, which may be an id.
    #[must_use]
    pub fn file_name(self, stem: impl std::fmt::Display) -> String {
        format!("{stem}.{}", self.extension())
    }

    /// The name of its table in the paths of the server's API.
    #[must_use]
    pub fn table(self) -> &'static str {
        self.row().table
    }

    /// The path of the page that shows one of its plugins in a browser; `?id=` says which.
    #[must_use]
    pub fn page(self) -> &'static str {
        self.row().page
    }

    /// Whether the server can switch its plugins on and off.
    #[must_use]
    pub fn has_switch(self) -> bool {
        self.row().has_switch
    }

    /// Whether its request form has `access_control`, which servers before 0.8 need to make a new plugin private.
    #[must_use]
    pub fn takes_access_control(self) -> bool {
        self.row().takes_access_control
    }
}

/// Whether a file of this name can be a plugin.
#[must_use]
pub fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| Kind::ALL.iter().any(|kind| extension == kind.extension()))
}

/// Whether a file of this name, which need not be UTF-8, can be a plugin.
#[must_use]
pub fn names_source(name: &[u8]) -> bool {
    let is_of = |kind: &Kind| name.strip_suffix(kind.extension().as_bytes()).is_some_and(|stem| stem.ends_with(b"."));
    Kind::ALL.iter().any(is_of)
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

/// All that is special about an entry class.
struct EntryRow {
    kind: Kind,
    word: &'static str,
    class: &'static str,
    hooks: &'static [&'static str],
    /// The hook that tells it from other classes of this common name.
    mark: Option<&'static str>,
    is_attached: bool,
}

impl Entry {
    /// All of them, in the server's order of precedence.
    pub const ALL: [Self; 5] = [Self::Pipe, Self::Filter, Self::Action, Self::Event, Self::Tools];

    #[rustfmt::skip]
    fn row(self) -> EntryRow {
        let (kind, word, class, hooks, mark, is_attached): (_, _, _, &[_], _, _) = match self {
            Self::Pipe => (Kind::Function, "pipe", "Pipe", &["pipe"], None, false),
            Self::Filter => (Kind::Function, "filter", "Filter", &["inlet", "stream", "outlet"], None, true),
            Self::Action => (Kind::Function, "action", "Action", &["action"], Some("action"), true),
            Self::Event => (Kind::Function, "event", "Event", &["event"], Some("event"), false),
            Self::Tools => (Kind::Tool, "tool", "Tools", &[], None, false),
        };
        EntryRow { kind, word, class, hooks, mark, is_attached }
    }

    /// The table that plugins of this type live in.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// The word for this type on the terminal: `pipe`, `filter`, `action`, `event` or `tool`.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().word
    }

    /// The entry class with this stable word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.word() == word)
    }

    /// The name of the class, as the module binds it.
    #[must_use]
    pub fn class(self) -> &'static str {
        self.row().class
    }

    /// The methods that the server calls. Tools have none: it offers all of their public methods to the model.
    #[must_use]
    pub fn hooks(self) -> &'static [&'static str] {
        self.row().hooks
    }

    /// The method that tells an entry class with a common name from other classes of that name.
    pub(super) fn mark(self) -> Option<&'static str> {
        self.row().mark
    }

    /// Whether it runs only for the models that it is attached to, unless it is global.
    #[must_use]
    pub fn is_attached(self) -> bool {
        self.row().is_attached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_word_names_one_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.word()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        assert_eq!(Kind::from_word("functions"), None);
    }

    #[test]
    fn a_source_is_told_by_its_extension() {
        for (path, expected) in [("a.py", true), ("x/a.b.py", true), ("a.PY", false), ("a.pyc", false), (".py", false)]
        {
            assert_eq!(is_source(Path::new(path)), expected, "{path}");
            assert_eq!(names_source(path.as_bytes()), expected || path == ".py", "{path}");
        }
        assert_eq!(Kind::Tool.file_name("a"), "a.py");
    }
}
