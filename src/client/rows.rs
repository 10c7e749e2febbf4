//! A list of rows, taken in while it arrives: of each text only the digest is kept, so that the texts of a thousand
//! plugins are never in memory at once.

use super::classify::row;
use crate::engine::exchange::Row;
use crate::plugin::Digest;

/// What has arrived so far.
#[derive(Debug, Default)]
pub(super) struct Rows {
    whole: Vec<Row>,
    /// What is not a whole row yet, and how far it was looked at.
    rest: Vec<u8>,
    at: usize,
    /// Where the row that is arriving begins.
    begin: usize,
    depth: usize,
    quoted: Quoted,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quoted {
    #[default]
    No,
    Yes,
    /// Behind a backslash.
    Escape,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The list has ended.
    Whole,
    /// It is no list of rows.
    Other,
}

impl Rows {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while self.at < self.rest.len() && self.state != State::Other {
            match self.quoted {
                Quoted::Escape => self.quoted = Quoted::Yes,
                Quoted::Yes => {
                    let Some(next) = self.rest[self.at..].iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
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
        // What was made a row of is not needed any more.
        let done = if self.depth > 1 { self.begin } else { self.at.min(self.rest.len()) };
        if self.state != State::Other {
            self.rest.drain(..done);
            (self.begin, self.at) = (0, self.at - done);
        }
    }

    /// At a byte that is no part of a string.
    fn look(&mut self) {
        match (self.rest[self.at], self.depth) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => {}
            (b'[', 0) if self.state == State::Open => self.depth = 1,
            (b',', 1) => {}
            (b']', 1) => (self.depth, self.state) = (0, State::Whole),
            (b'{', 1) => (self.depth, self.begin) = (2, self.at),
            (_, 0 | 1) => self.state = State::Other,
            (b'"', _) => self.quoted = Quoted::Yes,
            (b'{' | b'[', _) => self.depth += 1,
            (b'}' | b']', _) => {
                self.depth -= 1;
                if self.depth == 1 {
                    match row(&self.rest[self.begin..=self.at]) {
                        Some(row) => self.whole.push(without_text(row)),
                        None => self.state = State::Other,
                    }
                }
            }
            _ => {}
        }
    }

    /// The rows; or, where it was something else, what is left of it.
    pub(super) fn end(self) -> Result<Vec<Row>, Vec<u8>> {
        if self.state == State::Whole { Ok(self.whole) } else { Err(self.rest) }
    }
}

fn without_text(row: Row) -> Row {
    Row { digest: row.content.as_deref().map(Digest::of_text), content: None, ..row }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In pieces of every size.
    fn taken(text: &str) -> Vec<Result<Vec<Row>, Vec<u8>>> {
        let in_pieces = |size| {
            let mut rows = Rows::default();
            text.as_bytes().chunks(size).for_each(|piece| rows.take(piece));
            rows.end()
        };
        (1..=text.len().max(1)).map(in_pieces).collect()
    }

    #[test]
    fn rows_are_taken_in_whatever_the_pieces() {
        let text = r#" [{"id": "a", "content": "x = \"]}\\\"[{\"", "meta": {"manifest": {"title": "[}"}, "l": [{}]}},
            {"id": "b", "name": "B", "version_id": "1"} , {"id": "ü", "content": "line\nline"}] "#;
        for rows in taken(text) {
            let rows = rows.unwrap();
            assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["a", "b", "ü"]);
            let digests = [Some("x = \"]}\\\"[{\""), None, Some("line\nline")].map(|text| text.map(Digest::of_text));
            assert!(rows.iter().zip(digests).all(|(row, digest)| row.digest == digest && row.content.is_none()));
            assert_eq!(rows[0].meta["manifest"]["title"], "[}");
            assert!(rows[1].versioned && !rows[0].versioned);
        }
        assert!(taken("[]").into_iter().all(|rows| rows == Ok(Vec::new())));
    }

    #[test]
    fn anything_else_is_none() {
        for text in
            ["", "{}", "[", "[1]", r#"[{"id": 1}]"#, r#"[{"id": "a"}"#, r#"[{"id": "a"}] x"#, "[[]]", "<html>", "[]["]
        {
            assert!(taken(text).iter().all(Result::is_err), "{text}");
        }
    }
}
