//! Parses a JSON list while it arrives: each element as soon as it is complete, then drops its bytes. An invalid
//! element does not affect the others.

/// The longest element that is parsed, in bytes. A longer one counts as invalid.
const LARGEST_ELEMENT: usize = 16 << 20;

/// How many bytes are scanned at once.
const PIECE: usize = 1 << 14;

/// How many elements of a list are kept.
const MOST_ELEMENTS: usize = 20_000;

/// A list that is arriving.
#[derive(Debug)]
pub(super) struct List<T> {
    parse: fn(&[u8]) -> Option<T>,
    elements: Vec<T>,
    n: usize,
    /// The bytes of the incomplete element, and how many are scanned.
    rest: Vec<u8>,
    at: usize,
    /// Where the current element begins.
    begin: usize,
    depth: usize,
    /// Whether the current element is too large.
    skips: bool,
    quoted: Quoted,
    slot: Slot,
    state: State,
}

/// A complete list.
#[derive(Debug, PartialEq)]
pub(super) struct Listed<T> {
    /// The elements that could be parsed.
    pub(super) elements: Vec<T>,
    /// How many elements there are in all.
    pub(super) n: usize,
}

impl<T> Listed<T> {
    /// Whether there are more elements than we keep.
    pub(super) fn is_too_long(&self) -> bool {
        self.n > MOST_ELEMENTS
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quoted {
    #[default]
    No,
    Yes,
    /// After a backslash.
    Escape,
}

/// An element of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Slot {
    #[default]
    Empty,
    /// A number or a word, perhaps incomplete.
    Literal,
    Full,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The list has ended.
    Complete,
    /// Not a list.
    Other,
}

impl<T> List<T> {
    /// `parse` reads one element.
    pub(super) fn new(parse: fn(&[u8]) -> Option<T>) -> Self {
        Self {
            parse,
            elements: Vec::new(),
            n: 0,
            rest: Vec::new(),
            at: 0,
            begin: 0,
            depth: 0,
            skips: false,
            quoted: Quoted::No,
            slot: Slot::Empty,
            state: State::Open,
        }
    }

    /// Parses a complete text.
    pub(super) fn of(text: &[u8], parse: fn(&[u8]) -> Option<T>) -> Option<Listed<T>> {
        let mut list = Self::new(parse);
        list.take(text);
        list.end().ok()
    }

    /// Takes the next bytes, piece by piece: only the incomplete element is copied, not all that arrived at once.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        bytes.chunks(PIECE).for_each(|piece| self.take_piece(piece));
    }

    fn take_piece(&mut self, bytes: &[u8]) {
        let free = self.rest.capacity() - self.rest.len();
        if bytes.len() > free {
            // A vector would double its capacity: up to twice the memory of the largest element.
            self.rest.reserve_exact(bytes.len().max(self.rest.len() / 4));
        }
        self.rest.extend_from_slice(bytes);
        while self.at < self.rest.len() && self.state != State::Other {
            match self.quoted {
                Quoted::Escape => self.quoted = Quoted::Yes,
                Quoted::Yes => {
                    let Some(next) = memchr::memchr2(b'"', b'\\', &self.rest[self.at..]) else {
                        self.at = self.rest.len();
                        break;
                    };
                    self.at += next;
                    self.quoted = if self.rest[self.at] == b'"' { Quoted::No } else { Quoted::Escape };
                }
                Quoted::No => self.look(),
            }
            self.at += 1;
        }
        if self.state == State::Other {
            return;
        }
        // Drop parsed bytes, and those of elements to skip.
        self.at = self.at.min(self.rest.len());
        let is_arriving = self.depth > 1;
        self.skips |= is_arriving && self.rest.len() - self.begin > LARGEST_ELEMENT;
        let done = if is_arriving && !self.skips { self.begin } else { self.at };
        self.rest.drain(..done);
        (self.begin, self.at) = (0, self.at - done);
    }

    /// Handles a byte outside of strings.
    fn look(&mut self) {
        match (self.rest[self.at], self.depth) {
            (b' ' | b'\t' | b'\r' | b'\n', 1) if self.slot == Slot::Literal => self.slot = Slot::Full,
            (b' ' | b'\t' | b'\r' | b'\n', _) => {}
            (b'[', 0) if self.state == State::Open => self.depth = 1,
            (b',', 1) => self.slot = Slot::Empty,
            (b']', 1) => (self.depth, self.state) = (0, State::Complete),
            (b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.', 1) if self.slot == Slot::Literal => {}
            (byte, 1) if self.slot == Slot::Empty => self.begin_element(byte),
            (_, 0 | 1) => self.state = State::Other,
            (b'"', _) => self.quoted = Quoted::Yes,
            (b'{' | b'[', _) => self.depth += 1,
            (b'}' | b']', _) => {
                self.depth -= 1;
                if self.depth == 1 {
                    self.end_element();
                }
            }
            _ => {}
        }
    }

    fn begin_element(&mut self, byte: u8) {
        self.n += 1;
        self.slot = Slot::Full;
        match byte {
            b'{' | b'[' => (self.depth, self.begin) = (2, self.at),
            b'"' => self.quoted = Quoted::Yes,
            b'0'..=b'9' | b'a'..=b'z' | b'-' => self.slot = Slot::Literal,
            _ => self.state = State::Other,
        }
    }

    fn end_element(&mut self) {
        if std::mem::take(&mut self.skips) || self.elements.len() == MOST_ELEMENTS {
            return;
        }
        self.elements.extend((self.parse)(&self.rest[self.begin..=self.at]));
    }

    /// The list, or the remaining bytes if it is not a list, or if none of its elements can be parsed.
    pub(super) fn end(self) -> Result<Listed<T>, Vec<u8>> {
        let is_of_others = self.elements.is_empty() && self.n > 0;
        if self.state != State::Complete || is_of_others {
            return Err(self.rest);
        }
        Ok(Listed { elements: self.elements, n: self.n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of `"n"`.
    fn n(bytes: &[u8]) -> Option<u64> {
        serde_json::from_slice::<serde_json::Value>(bytes).ok()?.get("n")?.as_u64()
    }

    /// Parses in chunks of every size; returns the elements and their number.
    #[track_caller]
    fn check(text: &str, expected: Option<(&[u64], usize)>) {
        for size in 1..=text.len().max(1) {
            let mut list = List::new(n);
            text.as_bytes().chunks(size).for_each(|piece| list.take(piece));
            let listed = list.end().ok().map(|listed| (listed.elements, listed.n));
            assert_eq!(listed, expected.map(|(elements, n)| (elements.to_vec(), n)), "{text}");
        }
    }

    #[test]
    fn elements_are_parsed_from_any_chunks() {
        check("[]", Some((&[], 0)));
        check(
            r#" [{"n": 1, "x": "= \"]}\\\"[{\"", "y": {"z": "[}", "l": [{}]}},{"n": 2} , {"ü": "\n", "n": 3}] "#,
            Some((&[1, 2, 3], 3)),
        );
    }

    #[test]
    fn an_invalid_element_does_not_affect_others() {
        for bad in [
            r#"{"n": -1}"#,
            r#"{"n": 1e999999}"#,
            r#"{"n": 123456789012345678901234567890}"#,
            r#"{"n": "1"}"#,
            r#"{"n": 1, "n"}"#,
            "{}",
            "[[1], 2]",
            "null",
            "true",
            "-12.5e+10",
            "\"]}\\\"\"",
        ] {
            check(&format!(r#"[{bad}, {{"n": 1}},{bad} ,{{"n": 2}}]"#), Some((&[1, 2], 4)));
            check(&format!("[{bad}]"), None);
        }
    }

    #[test]
    fn other_json_is_not_a_list() {
        for text in [
            "",
            "{}",
            "[",
            "[1]",
            r#"[{"n": 1}"#,
            r#"[{"n": 1}] x"#,
            r#"[{"n": 1} x]"#,
            r#"[{"n": 1} {"n": 2}]"#,
            r#"[{"n": 1}, 1 2]"#,
            r#"[{"n": 1}, :]"#,
            r#"[{"n": 1}]["#,
            "[[]]",
            "<html>",
            "[][",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn an_oversized_element_is_skipped() {
        let mut list = List::new(n);
        list.take(br#"[{"n": 1}, {"n": 2, "x": ""#);
        for _ in 0..300 {
            list.take(&b"x".repeat(1 << 16));
        }
        assert!(list.rest.capacity() < 2 * LARGEST_ELEMENT, "{}", list.rest.capacity());
        list.take(br#""}, {"n": 3}]"#);
        assert_eq!(list.end(), Ok(Listed { elements: vec![1, 3], n: 3 }));
    }

    #[test]
    fn only_the_beginning_of_a_long_list_is_kept() {
        let text = format!("[{}{{\"n\": 1}}]", "{\"n\": 1},".repeat(MOST_ELEMENTS));
        let listed = List::of(text.as_bytes(), n).unwrap();
        assert_eq!((listed.elements.len(), listed.is_too_long()), (MOST_ELEMENTS, true));
    }
}
