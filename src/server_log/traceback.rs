//! Python's tracebacks, as Python and the server's logger (Loguru) print them, and which plugins they pass through.

use std::collections::BTreeSet;

use super::record::{Record, plugin};
use crate::notice::{Frame, Notice, NoticeKind, Raised, Subject, class_of};
use crate::plugin::python::Functions;
use crate::plugin::{Key, Span};

/// The first line of a traceback.
pub(super) const START: &str = "Traceback (most recent call last):";
/// Between two tracebacks of one failure.
const CHAINS: [&str; 2] = [
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
];
/// The name of a plugin's file in frames, and that of code that Python itself has made up.
const NAMELESS: &str = "<string>";
/// Frames of one traceback that are kept.
const MOST_FRAMES: usize = 2000;
/// Tracebacks of one failure that are kept.
const MOST_BLOCKS: usize = 20;
/// Lines of an exception's words.
const MOST_WORDS: usize = 20;
/// Characters of a line of these words.
const LONGEST: usize = 500;
/// Words that an exception quotes and that stand in many lines: the parameters of hooks, and Python's own types.
const COMMON: [&str; 14] =
    ["self", "body", "user", "event", "str", "int", "float", "bool", "bytes", "list", "dict", "tuple", "set", "object"];
/// Frames in plugins, and causes, that are shown.
const SHOWN_FRAMES: usize = 8;
const SHOWN_CAUSES: usize = 3;

/// A traceback, with those of its causes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traceback {
    record: Option<Record>,
    /// Whether it is surely part of the record.
    is_attached: bool,
    /// The causes come first.
    blocks: Vec<Block>,
    /// The plugins that it names: by values in its lines, and by the exception's class.
    named: BTreeSet<Key>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Block {
    frames: Vec<Place>,
    /// The type and words.
    error: String,
}

/// A frame.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    /// The end of the file's path; `None` for `<string>`.
    file: Option<String>,
    line: usize,
    function: String,
    /// The logger's mark for the frame that caught the exception.
    is_marked: bool,
}

/// A plugin of the project, and the text that the server has of it, if that is known.
#[derive(Clone, Debug)]
pub struct Source {
    key: Key,
    code: Option<Code>,
}

#[derive(Clone, Debug)]
struct Code {
    lines: Vec<String>,
    functions: Functions,
}

impl Source {
    /// A plugin. `text` is the server's, as far as line numbers go.
    #[must_use]
    pub fn new(key: Key, text: Option<&str>) -> Self {
        let code = text.and_then(|text| {
            let lines = text.lines().map(str::to_owned).collect();
            Some(Code { lines, functions: Functions::of(text)? })
        });
        Self { key, code }
    }

    /// Whether the frame can be in its text. In a text that is not known it can.
    fn can_have(&self, place: &Place) -> bool {
        self.code.as_ref().is_none_or(|code| code.functions.has(&place.function, place.line))
    }

    /// Whether the line of its text is known, and has one of the words.
    fn has_any(&self, words: &[String], line: usize) -> bool {
        self.line(line).is_some_and(|line| words.iter().any(|word| has_word(line, word)))
    }

    fn line(&self, number: usize) -> Option<&str> {
        Some(self.code.as_ref()?.lines.get(number.checked_sub(1)?)?)
    }

    fn frame(&self, place: &Place) -> Frame {
        let source = self.line(place.line).unwrap_or_default().to_owned();
        let column = source.chars().take_while(|c| c.is_whitespace()).count() + 1;
        let width = source.trim().chars().count().max(1);
        let span = Span { line: place.line, column, width, source };
        Frame { key: self.key.clone(), path: None, function: place.function.clone(), span }
    }
}

/// Whether a line has this word.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_whole = |at: usize| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    };
    !word.is_empty() && line.match_indices(word).any(|(at, _)| is_whole(at))
}

impl Traceback {
    /// Whether it ends in plugins as the other does.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        let end = |traceback: &Self| {
            let last = traceback.blocks.last()?;
            let nameless = last.frames.iter().filter(|place| place.file.is_none()).cloned().collect::<Vec<_>>();
            Some((last.error.clone(), nameless))
        };
        end(self) == end(other)
    }

    /// The plugins that the log names in its context, whether or not they are in the project.
    fn named(&self) -> impl Iterator<Item = Key> {
        let record = self.record.as_ref().filter(|record| self.is_attached || record.is_error());
        let by_record = record.and_then(|record| record.plugin().or_else(|| record.failed_filter()));
        by_record.into_iter().chain(self.named.iter().cloned())
    }

    /// The notice of it, with the places in the plugins. `None` if it is not about one, or about one of another
    /// project.
    ///
    /// If the log names plugins, a frame in `<string>` belongs to the only one of them that can have that function
    /// there. Otherwise it belongs to the only plugin here that can have it there, if the line has the name of the next
    /// function or a name from the exception. A plugin whose text is not known can have any function anywhere.
    #[must_use]
    pub fn notice(&self, sources: &[Source]) -> Option<Notice> {
        let named: Vec<Key> = self.named().collect();
        let is_here = |key: &Key| sources.iter().any(|source| source.key == *key);
        if !named.is_empty() && !named.iter().any(is_here) {
            return None;
        }
        let (last, before) = self.blocks.split_last()?;
        let frames = self.frames(last, &named, sources);
        let cause = |block: &Block| {
            let frame = self.frames(block, &named, sources).into_iter().next();
            (bare_error(&block.error), frame.map(|(_, frame)| frame))
        };
        let causes: Vec<_> = before.iter().rev().take(SHOWN_CAUSES).map(cause).collect();
        let inner = frames.first().map(|(_, frame)| frame).or_else(|| causes.iter().find_map(|cause| cause.1.as_ref()));
        let error = bare_error(&last.error);
        let Some(key) = inner.map(|frame| frame.key.clone()) else {
            // Not in a text that is known here.
            let place = last.frames.iter().rev().find(|place| place.is_of_a_plugin())?;
            let (hook, at) = (place.function.clone(), Some(format!("{NAMELESS}:{}", place.line)));
            let raised = Raised { hook, error, at, causes, ..Raised::default() };
            return Some(Notice::general(NoticeKind::Raised(Box::new(raised))));
        };
        let beyond = frames.first().map_or(0, |(index, _)| last.frames.len() - 1 - index);
        let at = last.frames.last().filter(|_| beyond > 0).map(Place::to_string);
        let outermost = frames.iter().map(|(_, frame)| frame).rfind(|frame| frame.key == key);
        let hook = outermost.or(inner).map_or_else(String::new, |frame| frame.function.clone());
        let raised = Raised {
            hook,
            error,
            outside: u64::try_from(beyond).unwrap_or(u64::MAX),
            at,
            frames: frames.into_iter().map(|(_, frame)| frame).take(SHOWN_FRAMES).collect(),
            causes,
            ..Raised::default()
        };
        Some(Notice { about: Subject::from(&key), what: NoticeKind::Raised(Box::new(raised)) })
    }

    /// The frames in plugins, the innermost first, each with its index.
    fn frames(&self, block: &Block, named: &[Key], sources: &[Source]) -> Vec<(usize, Frame)> {
        let find = |(index, place): (usize, &Place)| {
            let words = match block.frames.get(index + 1) {
                Some(next) => vec![next.function.clone()],
                None => names_in(&block.error),
            };
            Some((index, self.owner(place, &words, named, sources)?.frame(place)))
        };
        let nameless = block.frames.iter().enumerate().filter(|(_, place)| place.file.is_none());
        nameless.rev().filter_map(find).collect()
    }

    /// The plugin that a frame is certainly in. `words`: one of them stands in its line.
    fn owner<'a>(&self, place: &Place, words: &[String], named: &[Key], sources: &'a [Source]) -> Option<&'a Source> {
        let may_be = |source: &&Source| source.can_have(place);
        let by_name = sources.iter().filter(|source| named.contains(&source.key));
        if let Some(source) = only(by_name.filter(may_be)).filter(|source| source.code.is_some()) {
            return Some(source);
        }
        // The plugin itself logged what it caught there, and the server's text is not known here.
        let record = self.record.as_ref().filter(|_| self.is_attached && place.is_marked);
        let key = record.filter(|record| record.function == place.function).and_then(Record::plugin);
        if let Some(key) = key {
            return sources.iter().find(|source| source.key == key && source.code.is_none());
        }
        only(sources.iter().filter(may_be)).filter(|source| source.has_any(words, place.line))
    }
}

/// The only one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

impl Place {
    /// Whether it is in a plugin, and not in a method that Python has made up, as for a dataclass.
    fn is_of_a_plugin(&self) -> bool {
        let is_made_up = self.function.starts_with("__") && self.function.ends_with("__");
        self.file.is_none() && !is_made_up && self.function != "<module>"
    }

    /// Reads a line such as `  File "a/b.py", line 8, in pipe`.
    fn read(line: &str) -> Option<Self> {
        let (is_marked, rest) = match line.strip_prefix("> File \"") {
            Some(rest) => (true, rest),
            None => (false, line.strip_prefix("  File \"")?),
        };
        let (file, rest) = rest.rsplit_once("\", line ")?;
        let (number, function) = rest.split_once(", in ").unwrap_or((rest, ""));
        let parts: Vec<_> = file.rsplit(['/', '\\']).take(2).collect();
        let short = || parts.into_iter().rev().collect::<Vec<_>>().join("/");
        Some(Self {
            file: (file != NAMELESS).then(short),
            line: number.parse().ok()?,
            function: function.to_owned(),
            is_marked,
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.as_deref().unwrap_or(NAMELESS), self.line)
    }
}

/// The names that stand in the line where an exception was raised: its class, what its words quote, as in `name 'x' is
/// not defined`, and the function that could not be called, as in `Pipe.run() takes 1 positional argument`. Names that
/// stand in many lines of many plugins are left out.
fn names_in(error: &str) -> Vec<String> {
    let class = class_of(error);
    let words = error.split_once(": ").map_or("", |(_, words)| words.lines().next().unwrap_or_default());
    let called = words.split_once("()").map(|(path, _)| path.rsplit(['.', ' ', '>']).next().unwrap_or_default());
    let quoted = |quote: char| words.split(quote).skip(1).step_by(2);
    let names = called.into_iter().chain(quoted('\'')).chain(quoted('"'));
    let names = names.filter(|name| !COMMON.contains(name) && !name.starts_with("__"));
    // A key is no name: it stands there in quotes.
    let as_written = |name: &str| match class {
        "KeyError" => vec![format!("'{name}'"), format!("\"{name}\"")],
        _ => vec![name.to_owned()],
    };
    std::iter::once(class.to_owned()).chain(names.flat_map(as_written)).collect()
}

/// An exception without the name of the module that its class is in, if that is a plugin's.
fn bare_error(error: &str) -> String {
    let path = error.split([':', '\n', ' ']).next().unwrap_or_default();
    let class = path.split_once('.').filter(|(module, _)| plugin(module).is_some());
    class.map_or(error, |(module, _)| &error[module.len() + 1..]).to_owned()
}

/// Reads a traceback, line by line.
#[derive(Debug, Default)]
pub(super) struct Builder {
    traceback: Traceback,
    block: Block,
    state: State,
    /// A line that belongs to the exception's words if an indented one follows.
    held: Option<String>,
    words: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Frames,
    /// The exception was read.
    Error,
    /// Behind the exception and an empty line.
    Gap,
    /// Another traceback of the same failure follows.
    Chain,
}

impl Builder {
    /// The traceback of the record that it is in.
    pub(super) fn attached() -> Self {
        Self { traceback: Traceback { is_attached: true, ..Traceback::default() }, ..Self::default() }
    }

    /// Takes a line after the first; `false` if it is not part of the traceback.
    pub(super) fn line(&mut self, line: &str) -> bool {
        match self.state {
            State::Frames => self.frame_line(line),
            State::Error if line.is_empty() => self.become_state(State::Gap),
            State::Error => self.word_line(line),
            State::Gap if line.is_empty() => true,
            State::Gap => CHAINS.contains(&line) && self.become_state(State::Chain),
            State::Chain if line.is_empty() => true,
            State::Chain => {
                if line != START {
                    return false;
                }
                self.end_block();
                self.become_state(State::Frames)
            }
        }
    }

    fn become_state(&mut self, state: State) -> bool {
        self.held = None;
        self.state = state;
        true
    }

    fn frame_line(&mut self, line: &str) -> bool {
        if let Some(place) = Place::read(line) {
            self.traceback.is_attached |= place.is_marked;
            if self.block.frames.len() < MOST_FRAMES {
                self.block.frames.push(place);
            }
            return true;
        }
        if line.is_empty() {
            return true;
        }
        if line.starts_with([' ', '\t']) {
            // A source line, or the values in it.
            self.traceback.named.extend(modules(line));
            return true;
        }
        self.block.error = line.chars().take(LONGEST).collect();
        let module = line.split([':', ' ']).next().and_then(|path| path.split_once('.')).map(|(module, _)| module);
        self.traceback.named.extend(module.and_then(plugin));
        self.words = 1;
        self.become_state(State::Error)
    }

    /// Takes a line of the exception's words. What is printed next looks the same, so only an indented line counts, and
    /// the line above it.
    fn word_line(&mut self, line: &str) -> bool {
        if self.words >= MOST_WORDS || (self.held.is_some() && !line.starts_with(' ')) {
            return false;
        }
        let line: String = line.chars().take(LONGEST).collect();
        if !line.starts_with(' ') {
            self.held = Some(line);
            return true;
        }
        for line in self.held.take().into_iter().chain([line]) {
            self.block.error.push('\n');
            self.block.error.push_str(&line);
            self.words += 1;
        }
        true
    }

    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        if self.traceback.blocks.len() >= MOST_BLOCKS {
            self.traceback.blocks.remove(0);
        }
        self.traceback.blocks.push(block);
    }

    /// The traceback so far.
    pub(super) fn finish(mut self, record: Option<Record>) -> Traceback {
        if !self.block.error.is_empty() {
            self.end_block();
        }
        Traceback { record, ..self.traceback }
    }
}

/// The plugins whose objects a line shows, as in `<function_shout.Pipe object at 0x7f45>`.
fn modules(line: &str) -> impl Iterator<Item = Key> {
    line.split('<').skip(1).filter_map(|rest| plugin(rest.split(['.', ' ', '>']).next()?))
}
