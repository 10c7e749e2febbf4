//! The header of a plugin, read by the server's own rule.
//!
//! The rule is a loop over lines and one regular expression of Python's, not YAML. It is followed to the letter, odd
//! corners included, because what the server stores as the manifest comes out of it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The `key: value` lines of a plugin's header, by key. Keys keep their case, and the last line of a key wins. A list,
/// since one is kept per plugin and no map is as small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontmatter(Box<[(Box<str>, Box<str>)]>);

impl Frontmatter {
    /// Reads the header of a text; one that the server does not recognise is empty.
    ///
    /// It begins on the very first line, which holds `"""` and nothing else, and ends at the next line with `"""`
    /// anywhere in it. Without such a line it never ends, so that annotations in the code become keys, too.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        // Splitting `\r\n` in two makes an empty line, which is no pair and therefore does not matter.
        let mut lines = text.split(ends_line);
        if lines.next().is_none_or(|first| first.trim_matches(is_space) != QUOTES) {
            return Self::default();
        }
        let header = lines.take_while(|line| !line.contains(QUOTES));
        let pairs: BTreeMap<_, _> = header.filter_map(pair).collect();
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// The opening line of a header that its author sees but the server does not: of a docstring that does not begin on
    /// the very first line, or not with `"""` alone. Above it may be comments and imports.
    #[must_use]
    pub fn overlooked(text: &str) -> Option<Range<usize>> {
        if text.split(ends_line).next().is_some_and(|first| first.trim_matches(is_space) == QUOTES) {
            return None;
        }
        let mut end = 0;
        let (start, opening) = text.split_inclusive('\n').find_map(|line| {
            let start = end;
            end += line.len();
            let code = line.trim();
            let is_above = |start| code.starts_with(start);
            (!code.is_empty() && !["#", "import ", "from "].into_iter().any(is_above)).then_some((start, line))
        })?;
        let unprefixed = opening.trim_start().trim_start_matches(['r', 'R', 'u', 'U']);
        let quotes = [QUOTES, "'''"].into_iter().find(|quotes| unprefixed.starts_with(quotes))?;
        let docstring = text[start..].split(quotes).nth(1)?;
        let header = docstring.lines().filter_map(pair);
        let told = |(key, value): (&str, &str)| {
            matches!(key, "id" | "title" | "version" | "requirements") && !value.is_empty()
        };
        header.into_iter().any(told).then(|| start..start + opening.trim_end().len())
    }

    /// The place of a key's value in a text: in the last line of the header with this key, which wins.
    #[must_use]
    pub fn place(text: &str, key: &str) -> Option<Range<usize>> {
        let mut end = 0;
        let lines = text.split_inclusive(ends_line).map(|line| {
            end += line.len();
            (end - line.len(), line)
        });
        let header = lines.skip(1).take_while(|(_, line)| !line.contains(QUOTES));
        let placed = header.filter_map(|(start, line)| {
            let (found, value) = pair(line)?;
            let at = start + line.find(':')? + 1;
            let indent = text[at..].find(|c| !is_space(c)).unwrap_or_default();
            (found == key && !value.is_empty()).then(|| at + indent..at + indent + value.len())
        });
        placed.last()
    }

    /// The value of a key, which may be empty.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find_map(|(known, value)| (known == key).then_some(value))
    }

    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The id that the plugin asks for. Open WebUI itself ignores it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.filled("id")
    }

    /// The name for its users.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.filled("title")
    }

    /// The version, as its author counts.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.filled("version")
    }

    /// The sentence below the name.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.filled("description")
    }

    /// Who wrote it.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        self.filled("author")
    }

    /// The packages that the server installs with pip, separated by commas.
    #[must_use]
    pub fn requirements(&self) -> Option<&str> {
        self.filled("requirements")
    }

    /// Whether it has a key that only a plugin's header has, unlike any docstring with a colon.
    #[must_use]
    pub fn names_a_plugin(&self) -> bool {
        self.id().or(self.title()).or(self.requirements()).is_some()
    }

    fn filled(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }
}

const QUOTES: &str = "\"\"\"";

/// Matches a line against `^\s*([a-z_]+):\s*(.*)\s*$`, ignoring case, and strips the value.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim_start_matches(is_space).split_once(':')?;
    (!key.is_empty() && key.chars().all(is_key)).then(|| (key, value.trim_matches(is_space)))
}

/// `[a-z_]` as Python matches it without regard to case: the four others fold to an ASCII letter.
fn is_key(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '\u{130}' | '\u{131}' | '\u{17f}' | '\u{212a}')
}

/// Where `str.splitlines` splits.
fn ends_line(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// White space for `\s` and `str.strip`: Unicode's, and four separators that only Python counts.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_the_server_overlooks() {
        let header = "title: A\nversion: 1\n";
        for (text, line) in [
            (format!("# mine\n\n\"\"\"\n{header}\"\"\"\n"), Some("\"\"\"")),
            (format!("#!/usr/bin/env python3\n\"\"\"\n{header}\"\"\"\n"), Some("\"\"\"")),
            (format!("\n'''\n{header}'''\n"), Some("'''")),
            (format!("\"\"\"title: A\n{header}\"\"\"\n"), Some("\"\"\"title: A")),
            (format!("r\"\"\"\n{header}\"\"\"\n"), Some("r\"\"\"")),
            (format!("import os\nfrom re import sub\n\n\"\"\"\n{header}\"\"\"\n"), Some("\"\"\"")),
            // Seen by the server, or no header.
            (format!("\"\"\"\n{header}\"\"\"\n"), None),
            ("\"\"\"\nOnly words: here.\n\"\"\"\n".to_owned(), None),
            ("\"\"\"A module that does things.\"\"\"\ntitle: str = 'x'\n".to_owned(), None),
            (format!("LEVEL = 1\n\"\"\"\n{header}\"\"\"\n"), None),
            ("\"\"\"".to_owned(), None),
            (String::new(), None),
        ] {
            let overlooked = Frontmatter::overlooked(&text).map(|range| &text[range]);
            assert_eq!(overlooked, line, "{text}");
        }
    }

    #[test]
    fn a_value_is_found_in_the_last_line_of_its_key() {
        for (text, expected) in [
            ("\"\"\"\nid: x\n\"\"\"\n", Some(8..9)),
            ("\"\"\"\r\n  id :y\r\nid:  Bad Id! \r\n\"\"\"\r\n", Some(19..26)),
            ("\"\"\"\nid: x\nid: yy\n\"\"\"\nid: z\n", Some(14..16)),
            ("\"\"\"\nid:\nx\n\"\"\"\n", None),
            ("\"\"\"\ntitle: x\n\"\"\"\n", None),
        ] {
            assert_eq!(Frontmatter::place(text, "id"), expected, "{text}");
        }
    }

    fn pairs(text: &str) -> BTreeMap<String, String> {
        Frontmatter::parse(text).iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Texts and what the server's own function made of them.
    #[test]
    fn reads_what_the_server_reads() {
        #[derive(serde::Deserialize)]
        struct Case {
            name: String,
            content: String,
            expected: BTreeMap<String, String>,
        }
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/data/frontmatter-cases.json")).unwrap();
        assert!(cases.len() > 60);
        for case in cases {
            assert_eq!(pairs(&case.content), case.expected, "{}", case.name);
        }
    }

    /// Python 3.11: `[c for c in map(chr, range(0x110000)) if c.isspace()]`, and the same for lines that
    /// `("a" + c + "b").splitlines()` makes two of, and keys that `re.match("[a-z_]$", c, re.I)` takes.
    #[test]
    fn classes_are_those_of_python() {
        let all = |is: fn(char) -> bool| ('\0'..=char::MAX).filter(|c| is(*c)).map(u32::from).collect::<Vec<_>>();
        assert_eq!(
            all(is_space),
            [
                0x9, 0xa, 0xb, 0xc, 0xd, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002,
                0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000
            ]
        );
        assert_eq!(all(ends_line), [0xa, 0xb, 0xc, 0xd, 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029]);
        let keys = all(is_key);
        assert_eq!(keys[..27], [&(0x41..=0x5a).collect::<Vec<_>>()[..], &[0x5f]].concat());
        assert_eq!(keys[27..], [&(0x61..=0x7a).collect::<Vec<_>>()[..], &[0x130, 0x131, 0x17f, 0x212a]].concat());
    }

    #[test]
    fn an_absent_and_an_empty_value_are_none_by_name() {
        let header = Frontmatter::parse("\"\"\"\ntitle:\nversion: 1\nid: x\nauthor: me\n\"\"\"\n");
        assert_eq!(header.get("title"), Some(""));
        assert_eq!(header.title(), None);
        assert_eq!(header.description(), None);
        assert_eq!(header.requirements(), None);
        assert_eq!((header.id(), header.version(), header.author()), (Some("x"), Some("1"), Some("me")));
        assert_eq!(header.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["author", "id", "title", "version"]);
    }
}
