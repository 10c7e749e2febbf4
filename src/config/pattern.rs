//! A regular expression in the settings.

use regex::{Regex, RegexBuilder};

/// How large a compiled expression may be, in bytes: anybody may have written the settings.
const LARGEST: usize = 1 << 20;

/// A regular expression. Any text is searched in linear time.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads an expression. The error says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        RegexBuilder::new(text).size_limit(LARGEST).build().map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            // Above the cause, the error shows the expression.
            error => {
                let said = error.to_string();
                said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        })
    }

    /// Whether it matches a part of this text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The expression.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_expression_says_why() {
        let why = |text: &str| Pattern::new(text).unwrap_err();
        assert_eq!(why("("), "unclosed group");
        assert_eq!(why("a{2}{100000000}"), "it is too large");
    }

    #[test]
    fn a_part_of_the_text_is_enough() {
        let matches = |pattern: &str, text| Pattern::new(pattern).unwrap().matches(text);
        assert!(matches("ell", "hello") && !matches("ell", "HELLO") && matches("(?i)ÄLL", "hällo"));
        assert!(matches("(?m)^two$", "one\ntwo\n") && matches(r"^\w+$", "größer") && !matches("a.b", "a\nb"));
    }
}
