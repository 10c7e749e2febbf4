//! What a request got in with, taken out of the answer's words: a proxy, or a page made for debugging, may send it back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use reqwest::header::HeaderValue;

/// What stands in its place.
const MASK: &str = "[key]";

/// Shorter ones would be found in words that mean something else, and no server gives them out.
const SHORTEST: usize = 8;

/// A key or a session, in all the spellings that an answer may have it in. It cannot be printed.
pub(super) struct Secret(Vec<String>);

impl Secret {
    /// What a request's header holds, if it has one.
    pub(super) fn of(header: Option<&HeaderValue>) -> Self {
        let text = header.and_then(|header| header.to_str().ok()).unwrap_or_default();
        let token = text.strip_prefix("Bearer ").unwrap_or(text);
        if token.len() < SHORTEST {
            return Self(Vec::new());
        }
        Self(std::iter::once(token.to_owned()).chain((0..3).map(|before| in_base64(token, before))).collect())
    }

    /// The text without it.
    pub(super) fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, spelling| text.replace(spelling, MASK))
    }

    /// A body without it. One that is not text stays as it is: nothing of it is shown.
    pub(super) fn mask_body(&self, body: &mut Vec<u8>) {
        if let Ok(text) = std::str::from_utf8(body)
            && self.0.iter().any(|spelling| text.contains(spelling))
        {
            *body = self.mask(text).into_bytes();
        }
    }
}

/// How a token looks in the Base64 of any text that has it somewhere, after `before` bytes and a multiple of three. The
/// characters at both ends depend on what stands around it, and are left out.
fn in_base64(token: &str, before: usize) -> String {
    let padded = [&vec![0; before], token.as_bytes()].concat();
    let whole = STANDARD_NO_PAD.encode(&padded);
    let end = whole.len() - usize::from(padded.len() % 3 != 0);
    whole[(before * 8).div_ceil(6)..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-5ec2e7f0c0ffee5ec2e7f0c0ffee5ec2";

    #[test]
    fn found_in_every_spelling_and_place() {
        let secret = Secret::of(Some(&HeaderValue::from_static("Bearer sk-5ec2e7f0c0ffee5ec2e7f0c0ffee5ec2")));
        assert_eq!(secret.mask(&format!("no {KEY}, {KEY}!")), "no [key], [key]!");
        for before in ["", "a", "ab", "abc", "Bearer "] {
            for after in ["", "x", "xy", "xyz"] {
                let text = STANDARD_NO_PAD.encode(format!("{before}{KEY}{after}"));
                let masked = secret.mask(&text);
                assert!(masked.contains(MASK) && masked.len() < 30, "{before} {after}: {masked}");
            }
        }
        let mut body = format!("<p>{KEY}").into_bytes();
        secret.mask_body(&mut body);
        assert_eq!(body, b"<p>[key]");
        let mut body = [KEY.as_bytes(), &[0xff]].concat();
        secret.mask_body(&mut body);
        assert!(body.ends_with(&[0xff]));
    }

    #[test]
    fn words_are_left_alone() {
        for header in [None, Some(HeaderValue::from_static("Bearer a")), Some(HeaderValue::from_static("Bearer "))] {
            assert_eq!(Secret::of(header.as_ref()).mask("a banana"), "a banana");
        }
    }
}
