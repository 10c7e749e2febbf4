//! The texts of the simulated world. Each is a word: `a3` is version 3 of the plugin `a`, and the sign behind it says
//! what is the matter with it. What a text looks like as Python is made, digested and parsed once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use owui_watch::plugin::id::PluginId;
use owui_watch::plugin::normal::normal;
use owui_watch::plugin::{self, Digest, FileSettings, Key, Kind, Parsed};

/// A text, as a file or the server holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Text {
    /// The id in its header; `-` where it has none, so that the file's name is the id.
    pub(super) id: char,
    pub(super) version: u16,
    pub(super) sort: Sort,
}

/// What is the matter with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Sort {
    /// Nothing.
    Good,
    /// `!`: good Python, which the server refuses.
    Refused,
    /// `*`: the server answers 500.
    Crashes,
    /// `#`: the server answers 500, and up to 0.9 it ends.
    Ends,
    /// `~`: it has a title and an author, by which a twin is known.
    Titled,
    /// `?`: half of a save, which happens to parse.
    Half,
    /// `%`: the server takes it, and `check` finds an error.
    Faulty,
    /// What stands on the server for a moment, to learn why it refuses a new plugin.
    Stub,
    /// Nothing but white space.
    Empty,
    /// No Python.
    Broken,
    /// No plugin.
    Other,
}

const SIGNS: [(Sort, &str); 7] = [
    (Sort::Good, ""),
    (Sort::Refused, "!"),
    (Sort::Crashes, "*"),
    (Sort::Ends, "#"),
    (Sort::Titled, "~"),
    (Sort::Half, "?"),
    (Sort::Faulty, "%"),
];
const NAMES: [(Sort, &str); 4] =
    [(Sort::Stub, "stub"), (Sort::Empty, "empty"), (Sort::Broken, "broken"), (Sort::Other, "other")];

/// The plugins with these ids are tools.
const TOOLS: &str = "t";

pub(super) fn kind_of(id: char) -> Kind {
    if TOOLS.contains(id) { Kind::Tool } else { Kind::Function }
}

pub(super) fn key_of(id: char) -> Key {
    Key { kind: kind_of(id), id: PluginId::new(id.encode_utf8(&mut [0; 4])).unwrap() }
}

pub(super) fn letter_of(key: &Key) -> char {
    key.id.as_str().chars().next().unwrap()
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = NAMES.iter().find(|(sort, _)| *sort == self.sort) {
            return f.write_str(name);
        }
        let sign = SIGNS.iter().find(|(sort, _)| *sort == self.sort).map_or("", |(_, sign)| sign);
        write!(f, "{}{}{sign}", self.id, self.version)
    }
}

/// What is made of a text once.
#[derive(Clone)]
pub(super) struct Made {
    /// As it stands in a file.
    pub(super) source: Arc<str>,
    /// As the server stores it.
    pub(super) stored: Arc<str>,
    pub(super) digest: Digest,
}

thread_local! {
    static MADE: RefCell<HashMap<Text, Rc<Made>>> = RefCell::default();
    static PARSED: RefCell<HashMap<(char, Text), Rc<Parsed>>> = RefCell::default();
    static PATHS: RefCell<HashMap<char, Arc<Path>>> = RefCell::default();
}

impl Text {
    /// Reads a word.
    pub(super) fn read(word: &str) -> Option<Self> {
        if let Some((sort, _)) = NAMES.iter().find(|(_, name)| *name == word) {
            return Some(Self { id: '-', version: 0, sort: *sort });
        }
        let mut chars = word.chars();
        let id = chars.next()?;
        let rest = chars.as_str();
        let digits = rest.trim_end_matches(|c: char| !c.is_ascii_digit());
        let (sort, _) = SIGNS.iter().find(|(_, sign)| *sign == &rest[digits.len()..])?;
        Some(Self { id, version: digits.parse().ok()?, sort: *sort })
    }

    /// Recognises what is sent, or was stored.
    pub(super) fn of(source: &str) -> Option<Self> {
        if source.starts_with("# owui-watch put this here") {
            let id = if source.contains("class Tools") { 't' } else { '-' };
            return Some(Self { id, version: 0, sort: Sort::Stub });
        }
        let (_, rest) = source.split_once("version: ")?;
        Self::read(rest.split('\n').next()?)
    }

    fn python(self) -> String {
        let class = if TOOLS.contains(self.id) { "Tools" } else { "Filter" };
        match self.sort {
            Sort::Empty => String::new(),
            Sort::Broken => "class Filter(:".to_owned(),
            Sort::Other => "print()\n".to_owned(),
            Sort::Stub => format!(
                "# owui-watch put this here for a moment, to learn why the server refuses the plugin.\n\
                 class {class}:\n    pass\n"
            ),
            Sort::Good | Sort::Refused | Sort::Crashes | Sort::Ends | Sort::Titled | Sort::Half | Sort::Faulty => {
                let id = if self.id == '-' { String::new() } else { format!("id: {}\n", self.id) };
                let title = if self.sort == Sort::Titled { "title: Shout\nauthor: me\n" } else { "" };
                let body = if self.sort == Sort::Faulty { "def inlet(self, body): return missing" } else { "pass" };
                // The server rewrites the import.
                format!("\"\"\"\n{id}{title}version: {self}\n\"\"\"\nfrom utils import x\nclass {class}:\n    {body}\n")
            }
        }
    }

    pub(super) fn made(self) -> Rc<Made> {
        MADE.with_borrow_mut(|made| {
            let make = || {
                let source = self.python();
                let stored: Arc<str> = normal(&source).into();
                Rc::new(Made { digest: Digest::of_text(&source), source: source.into(), stored })
            };
            Rc::clone(made.entry(self).or_insert_with(make))
        })
    }

    pub(super) fn digest(self) -> Digest {
        self.made().digest
    }

    /// What a file with this text is.
    pub(super) fn parsed(self, file: char) -> Rc<Parsed> {
        PARSED.with_borrow_mut(|parsed| {
            let source = self.made().source.clone();
            let parse = || Rc::new(plugin::parse(&path_of(file), source.as_bytes(), &FileSettings::default()));
            Rc::clone(parsed.entry((file, self)).or_insert_with(parse))
        })
    }

    /// The id that a file with this text claims.
    pub(super) fn claim(self, file: char) -> Option<Key> {
        match &*self.parsed(file) {
            Parsed::Plugin(plugin) => Some(plugin.key.clone()),
            Parsed::NotAPlugin | Parsed::Disabled | Parsed::Invalid(_) => None,
        }
    }

    /// Whether the server would not take it.
    pub(super) fn is_refused(self) -> bool {
        matches!(self.sort, Sort::Refused | Sort::Crashes | Sort::Ends)
    }
}

pub(super) fn path_of(file: char) -> Arc<Path> {
    PATHS.with_borrow_mut(|paths| {
        let path = || Arc::from(Path::new("plugins").join(file.to_string()).with_extension("py"));
        Arc::clone(paths.entry(file).or_insert_with(path))
    })
}

pub(super) fn file_of(path: &Path) -> char {
    path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.chars().next()).unwrap()
}
