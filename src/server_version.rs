//! The version of a server.

use std::fmt;

/// A release of Open WebUI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    parts: [u16; 3],
}

impl ServerVersion {
    /// Reads `0.9.6`, `0.9` or `v0.9.6`. A part that is missing means the newest.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        // A build of the main branch, such as `0.9.6-dev`, is close enough.
        let text = text.split(['-', '+']).next().unwrap_or(text);
        let mut parts = [u16::MAX; 3];
        let words: Vec<_> = text.split('.').collect();
        if words.len() < 2 || words.len() > 3 {
            return None;
        }
        for (part, word) in parts.iter_mut().zip(words) {
            *part = word.parse().ok()?;
        }
        Some(Self { parts })
    }

    /// Reads what a server says of itself, as far as that is numbers: `0.12.0rc1` and `0.12.4.dev2` as well.
    #[must_use]
    pub fn reported(text: &str) -> Option<Self> {
        let mut parts = [u16::MAX; 3];
        let mut n = 0;
        for (part, word) in parts.iter_mut().zip(text.trim().trim_start_matches('v').split('.')) {
            let digits = word.bytes().take_while(u8::is_ascii_digit).count();
            let Ok(number) = word[..digits].parse() else { break };
            (*part, n) = (number, n + 1);
            if digits < word.len() {
                break;
            }
        }
        (n >= 2).then_some(Self { parts })
    }

    /// Its major and minor number.
    #[must_use]
    pub fn release(self) -> (u16, u16) {
        (self.parts[0], self.parts[1])
    }

    /// Its minor version, `0.9`.
    #[must_use]
    pub fn minor(self) -> String {
        format!("{}.{}", self.parts[0], self.parts[1])
    }

    /// Whether it is at least this release, or the first of this minor version.
    #[must_use]
    pub fn is_since(self, since: &str) -> bool {
        Self::parse(since).is_some_and(|Self { parts: [major, minor, patch] }| {
            let patch = if patch == u16::MAX { 0 } else { patch };
            self.parts >= [major, minor, patch]
        })
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.parts;
        write!(f, "{major}.{minor}")?;
        if patch == u16::MAX { Ok(()) } else { write!(f, ".{patch}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ServerVersion {
        ServerVersion::parse(text).unwrap()
    }

    #[test]
    fn versions_are_read_and_ordered() {
        for (text, shown) in [("0.9.6", "0.9.6"), ("v0.9.6", "0.9.6"), ("0.10", "0.10"), ("0.12.4-dev", "0.12.4")] {
            assert_eq!(version(text).to_string(), shown);
        }
        for text in ["", "9", "0.9.x", "0.9.6.1", "latest"] {
            assert_eq!(ServerVersion::parse(text), None, "{text}");
        }
        for (text, shown) in
            [("0.12.0rc1", "0.12.0"), ("0.12.4.dev2", "0.12.4"), ("0.9.6-dev", "0.9.6"), ("v0.10", "0.10")]
        {
            assert_eq!(ServerVersion::reported(text).unwrap().to_string(), shown);
        }
        for text in ["", "9", "latest", "x.9"] {
            assert_eq!(ServerVersion::reported(text), None, "{text}");
        }
        assert!(version("0.10.0") > version("0.9.9") && version("0.9") > version("0.9.6"));
        assert!(version("0.9").is_since("0.9.0") && !version("0.8.12").is_since("0.9"));
    }
}
