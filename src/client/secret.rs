//! Masks our credentials in answers: a proxy or a debug page may echo them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use reqwest::header::HeaderValue;
use serde_json::Value;

use crate::engine::deploy::{self, Reply, Row, Version};
use crate::printable;

/// The replacement for a secret.
const MASK: &str = "[key]";

/// Marks where a text was cut.
pub(super) const CUT: char = '…';

/// Shorter ones would match ordinary words, and no server issues them.
const SHORTEST: usize = 8;

/// A key or a session, in all spellings that an answer may contain. No `Debug`.
pub(super) struct Secret(Vec<String>);

impl Secret {
    /// The secret in a request's header, if any.
    pub(super) fn of(header: Option<&HeaderValue>) -> Self {
        let text = header.and_then(|header| header.to_str().ok()).unwrap_or_default();
        let token = text.strip_prefix("Bearer ").unwrap_or(text);
        if token.len() < SHORTEST {
            return Self(Vec::new());
        }
        Self(std::iter::once(token.to_owned()).chain((0..3).map(|before| in_base64(token, before))).collect())
    }

    /// Masks the secret in a text. If it appears only after filtering for terminals, the filtered text is returned.
    pub(super) fn mask(&self, text: &str) -> String {
        let masked = self.mask_as_it_is(text);
        let shown = printable::text(&masked);
        let masked_again = self.mask_as_it_is(&shown);
        if masked_again == shown { masked } else { masked_again }
    }

    fn mask_as_it_is(&self, text: &str) -> String {
        let masked = self.0.iter().fold(text.to_owned(), |text, spelling| mask_whole(&text, spelling));
        self.0.iter().fold(masked, |text, spelling| mask_cut(&text, spelling))
    }

    /// Masks it in a body. A body that is not text is unchanged, and never shown.
    pub(super) fn mask_body(&self, body: &mut Vec<u8>) {
        if let Ok(text) = std::str::from_utf8(body)
            && self.0.iter().any(|spelling| text.contains(spelling))
        {
            *body = self.0.iter().fold(text.to_owned(), |text, spelling| text.replace(spelling, MASK)).into_bytes();
        }
    }
}

/// The visible characters of a text, with their positions. Other characters within a key (a NUL, a zero-width space, a
/// line break) do not hide it.
fn visible(text: &str) -> (String, Vec<usize>) {
    let graphic = text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_graphic());
    graphic.map(|(at, byte)| (char::from(byte), at)).unzip()
}

fn mask_whole(text: &str, spelling: &str) -> String {
    let (visible, places) = visible(text);
    let mut masked = String::new();
    let mut rest = 0;
    for (at, _) in visible.match_indices(spelling) {
        masked.push_str(&text[rest..places[at]]);
        masked.push_str(MASK);
        rest = places[at + spelling.len() - 1] + 1;
    }
    masked + &text[rest..]
}

/// Masks the beginning of a secret where a text was cut.
fn mask_cut(text: &str, spelling: &str) -> String {
    let mask_end = |piece: &str| {
        let Some(before) = piece.strip_suffix(CUT) else { return piece.to_owned() };
        let (visible, places) = visible(before);
        let lengths = (SHORTEST..spelling.len()).rev();
        match lengths.into_iter().find(|length| visible.ends_with(&spelling[..*length])) {
            Some(length) => format!("{}{MASK}{CUT}", &before[..places[places.len() - length]]),
            None => piece.to_owned(),
        }
    };
    text.split_inclusive(CUT).map(mask_end).collect()
}

/// A token as it appears in the Base64 of a longer text, at offset `before` modulo three. The characters at both ends
/// depend on the text around it, and are dropped.
fn in_base64(token: &str, before: usize) -> String {
    let padded = [&vec![0; before], token.as_bytes()].concat();
    let whole = STANDARD_NO_PAD.encode(&padded);
    let end = whole.len() - usize::from(padded.len() % 3 != 0);
    whole[(before * 8).div_ceil(6)..end].to_owned()
}

/// Masks the secret in everything that may be shown or logged, but not in texts, nor in fields that are sent back.
pub(super) fn mask(reply: &mut Reply, secret: &Secret) {
    let mask = |text: &mut String| *text = secret.mask(text);
    match reply {
        Reply::Row(row) => mask_row(row, secret),
        // Of a listed row, only the version is shown.
        Reply::Rows(rows) => rows.iter_mut().filter_map(|row| row.version.as_mut()).for_each(mask),
        Reply::Versions(versions) => {
            for Version { id, at: _, parent, message, author } in versions {
                mask(id);
                [parent, message, author].into_iter().flatten().for_each(mask);
            }
        }
        other => {
            words(other).map(mask);
        }
    }
}

/// Masks the manifest, which is shown but not sent back.
fn mask_row(row: &mut Row, secret: &Secret) {
    let mask = |text: &mut String| *text = secret.mask(text);
    row.version_id.as_mut().map(mask);
    if let Some(manifest) = row.meta.get_mut("manifest").and_then(Value::as_object_mut) {
        let texts =
            manifest.values_mut().filter_map(|value| if let Value::String(text) = value { Some(text) } else { None });
        texts.for_each(mask);
    }
}

/// The words of a reply that may come from a proxy.
pub(super) fn words_on_the_way(reply: &mut Reply) -> Option<&mut String> {
    match reply {
        Reply::Unreachable { cause: deploy::Cause { words, .. }, .. }
        | Reply::Lost { cause: words }
        | Reply::Foreign { words, .. }
        // 407: the proxy requires authentication.
        | Reply::NotAllowed { status: 407, words } => Some(words),
        _ => None,
    }
}

/// The words in a reply.
pub(super) fn words(reply: &mut Reply) -> Option<&mut String> {
    match reply {
        Reply::Connected { version: words }
        | Reply::Refused { words, .. }
        | Reply::Crashed { words, .. }
        | Reply::NotAllowed { words, .. }
        | Reply::Unclear { words }
        | Reply::Unusable { words }
        | Reply::Foreign { words, .. }
        | Reply::Unreachable { cause: deploy::Cause { words, .. }, .. }
        | Reply::Stumbled { cause: words }
        | Reply::Lost { cause: words } => Some(words),
        Reply::Rows(_)
        | Reply::Row(_)
        | Reply::Attached(_)
        | Reply::Deleted
        | Reply::Versions(_)
        | Reply::Text(_)
        | Reply::Absent
        | Reply::Taken => None,
    }
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
    fn found_whatever_hides_in_it() {
        let secret = Secret::of(Some(&HeaderValue::from_static("Bearer sk-5ec2e7f0c0ffee5ec2e7f0c0ffee5ec2")));
        let in_base64 = STANDARD_NO_PAD.encode(KEY);
        for between in ["\0", "\u{200b}", "\u{200d}", "\u{fffd}", "\n", " ", "\u{1b}[0m", "\u{1b}]0;x\u{7}", "\u{9b}1m"]
        {
            for key in [KEY, &in_base64] {
                let all: String = key.chars().flat_map(|c| [c.to_string(), between.to_owned()]).collect();
                let (one, other) = key.split_at(17);
                for hidden in [all, format!("{one}{between}{other}")] {
                    let masked = secret.mask(&format!("the key ({hidden}) is unknown"));
                    assert!(masked.contains(MASK) && masked.len() < 60, "{between:?}: {masked:?}");
                    assert!(!masked.contains("5ec2") && masked.ends_with("is unknown"), "{between:?}: {masked:?}");
                }
            }
        }
        // Text without the secret is unchanged.
        assert_eq!(secret.mask("\u{1b}[31mno\0\u{1b}[0m"), "\u{1b}[31mno\0\u{1b}[0m");
    }

    #[test]
    fn found_where_a_text_was_cut() {
        let secret = Secret::of(Some(&HeaderValue::from_static("Bearer sk-5ec2e7f0c0ffee5ec2e7f0c0ffee5ec2")));
        for (text, expected) in [
            ("no sk-5ec2e7f0c0ffee5ec2e7f0c0ffee5ec…", "no [key]…"),
            ("a page titled `no sk-5ec2\0e7f0…`", "a page titled `no [key]…`"),
            ("no sk-5ec2e…", "no [key]…"),
            // Only the common prefix of keys.
            ("no sk-5ec2…", "no sk-5ec2…"),
            ("sk-5ec2e7f0c0 and so on…", "sk-5ec2e7f0c0 and so on…"),
        ] {
            assert_eq!(secret.mask(text), expected);
        }
    }

    #[test]
    fn words_are_left_alone() {
        for header in [None, Some(HeaderValue::from_static("Bearer a")), Some(HeaderValue::from_static("Bearer "))] {
            assert_eq!(Secret::of(header.as_ref()).mask("a banana"), "a banana");
        }
    }
}
