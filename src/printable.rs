//! The one filter for text of others (a server's words, a file's name, another program's output) on its way to a
//! terminal or a log. A character that steers a terminal, turns text around or hides in it is shown by a sign for it:
//! `␛` for an escape, `�` for what has no sign of its own.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Text for one line: without escape sequences, and with spaces for line breaks and tabs.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    match self::text(text) {
        Cow::Borrowed(text) if !text.contains(['\n', '\t']) => Cow::Borrowed(text),
        text => Cow::Owned(text.replace(['\n', '\t'], " ")),
    }
}

/// Text of several lines: without escape sequences; line breaks and tabs stay.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_suspicious) {
        return Cow::Borrowed(text);
    }
    let text = without_sequences(text).replace("\r\n", "\n");
    Cow::Owned(source(&text).into_owned())
}

/// Source code, as a difference shows it: line breaks and tabs stay, and nothing else that is in it disappears.
#[must_use]
pub fn source(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_suspicious) {
        return Cow::Borrowed(text);
    }
    let mut before = None;
    let mut rest = text.chars();
    let mut shown = String::with_capacity(text.len());
    while let Some(c) = rest.next() {
        let joins_letters =
            |before: Option<char>| [before, rest.clone().next()].into_iter().all(|c| c.is_some_and(|c| !c.is_ascii()));
        let is_plain = match c {
            '\n' | '\t' => true,
            _ if is_joiner(c) => joins_letters(before),
            _ => !is_unsafe(c),
        };
        shown.push(if is_plain { c } else { sign(c) });
        before = Some(c);
    }
    Cow::Owned(shown)
}

/// Text for one line in which nothing disappears, for what a user agrees to: line breaks and tabs have signs, too.
#[must_use]
pub fn whole(text: &str) -> String {
    source(text).chars().map(|c| if matches!(c, '\n' | '\t') { sign(c) } else { c }).collect()
}

/// Whether a text is what it looks like: without control characters, line breaks, and characters that turn text around
/// or take no room.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| is_unsafe(c) || is_joiner(c) || is_blank(c))
}

/// A JSON text of one line, with `\uXXXX` for each of these characters: a parser reads the same value.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_suspicious) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) || is_joiner(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                write!(escaped, "\\u{unit:04x}").ok();
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a text with this character needs a closer look.
fn is_suspicious(c: char) -> bool {
    !matches!(c, '\n' | '\t') && (is_unsafe(c) || is_joiner(c))
}

/// What stands for a character that is not printed.
fn sign(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(u32::from('␀') + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '␡',
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn is_unsafe(c: char) -> bool {
    let turns_text =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks_lines = matches!(c, '\u{2028}' | '\u{2029}');
    let is_invisible = matches!(
        c,
        '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    c.is_control() || turns_text || breaks_lines || is_invisible
}

/// Some scripts, and emoji, are not written without them. Between other letters they only hide.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Harmless in a message. In a command it hides a word, or looks like a space that is none.
fn is_blank(c: char) -> bool {
    let is_space = c.is_whitespace() && c != ' ';
    let is_filler = matches!(
        c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
    );
    let selects_a_form = matches!(c, '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0080}'..='\u{e0fff}');
    is_space || is_filler || selects_a_form || matches!(c, '\u{1d173}'..='\u{1d17a}')
}

/// A text without its complete sequences for colours, the cursor and titles. What is not complete stays, so that it
/// cannot take the words after it away.
fn without_sequences(mut text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    while let Some(at) = text.find(['\u{1b}', '\u{9b}', '\u{9d}']) {
        let (before, rest) = text.split_at(at);
        kept.push_str(before);
        let width = rest.chars().next().map_or(0, char::len_utf8);
        let length = control_sequence(rest).or_else(|| command_string(rest));
        if length.is_none() {
            kept.push_str(&rest[..width]);
        }
        text = &rest[length.unwrap_or(width)..];
    }
    kept + text
}

/// The length of the sequence at the beginning of a text, as in `ESC [ 31 m`.
fn control_sequence(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\u{1b}[").or_else(|| text.strip_prefix('\u{9b}'))?;
    let last = inside.find(|c| !matches!(c, ' '..='?'))?;
    inside[last..].starts_with(|c| matches!(c, '@'..='~')).then(|| text.len() - inside.len() + last + 1)
}

/// The length of the command at the beginning of a text, as in `ESC ] 0 ; title BEL`.
fn command_string(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\u{1b}]").or_else(|| text.strip_prefix('\u{9d}'))?;
    let end = &inside[inside.find(char::is_control)?..];
    let after = ["\u{7}", "\u{1b}\\", "\u{9c}"].iter().find_map(|end_mark| end.strip_prefix(end_mark))?;
    Some(text.len() - after.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_controls_the_terminal() {
        // Each row: a text, its lines, and the same as source.
        for (given, lines, as_source) in [
            ("", "", ""),
            (
                "plain, größe, 名前, 👩\u{200d}👩\u{200d}👧",
                "plain, größe, 名前, 👩\u{200d}👩\u{200d}👧",
                "plain, größe, 名前, 👩\u{200d}👩\u{200d}👧",
            ),
            ("می\u{200c}خواهم", "می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("a\tb\nc", "a\tb\nc", "a\tb\nc"),
            ("a\r\nb", "a\nb", "a␍\nb"),
            ("error\rfine", "error␍fine", "error␍fine"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red", "␛[1;31mred␛[0m"),
            ("\u{9b}31mred", "red", "�31mred"),
            ("a\u{1b}]0;title\u{7}b", "ab", "a␛]0;title␇b"),
            ("a\u{1b}]0;title\u{1b}\\b", "ab", "a␛]0;title␛\\b"),
            ("a\u{9d}0;title\u{9c}b", "ab", "a�0;title�b"),
            // What never ends takes nothing away.
            ("a\u{1b}]0;words", "a␛]0;words", "a␛]0;words"),
            ("a\u{1b}]0;x\ny\u{7}", "a␛]0;x\ny␇", "a␛]0;x\ny␇"),
            ("a\u{1b}[31", "a␛[31", "a␛[31"),
            ("a\u{1b}[3\u{e9}", "a␛[3é", "a␛[3é"),
            ("\u{1b}", "␛", "␛"),
            ("\u{1b}Pq\u{1b}\\", "␛Pq␛\\", "␛Pq␛\\"),
            // What is left of one sequence is not the beginning of another.
            ("\u{1b}\u{1b}[0m[31m", "␛[31m", "␛␛[0m[31m"),
            ("sk-12\u{0}34", "sk-12␀34", "sk-12␀34"),
            ("\u{8}\u{b}\u{c}\u{1f}\u{7f}\u{80}\u{85}\u{9f}", "␈␋␌␟␡���", "␈␋␌␟␡���"),
            ("\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}", "�������", "�������"),
            ("a\u{2028}b\u{2029}c", "a�b�c", "a�b�c"),
            ("\u{ad}\u{180e}\u{200b}\u{2060}\u{2065}\u{206f}\u{feff}\u{fff9}", "��������", "��������"),
            ("\u{e0041}", "�", "�"),
            ("pay\u{200d}pal \u{200c}x", "pay�pal �x", "pay�pal �x"),
            ("\u{200d}é", "�é", "�é"),
            ("é\u{200d}\u{9b}0mb", "é�b", "é\u{200d}�0mb"),
        ] {
            assert_eq!((&*text(given), &*source(given)), (lines, as_source), "{given:?}");
            assert_eq!(text(lines), lines, "filtering twice is filtering once");
            assert_eq!(line(given), lines.replace(['\n', '\t'], " "), "{given:?}");
            assert!(!line(given).chars().any(is_unsafe), "{given:?}");
            let shown = whole(given);
            assert!(!shown.chars().any(is_unsafe), "{given:?}");
            assert_eq!(shown.chars().count(), given.chars().count(), "nothing disappears: {given:?}");
        }
        assert_eq!(whole("a\tb\nc\r\u{1b}]x\u{7}"), "a␉b␊c␍␛]x␇");
    }

    #[test]
    fn a_plain_text_hides_nothing() {
        for text in ["", "docker logs -f 'my log'; größe 名前 👩"] {
            assert!(is_plain(text), "{text}");
        }
        let hiding = "\0\t\n\r\u{7}\u{1b}\u{7f}\u{85}\u{9b}\u{a0}\u{ad}\u{200b}\u{200d}\u{200e}\u{202e}\u{2028}\u{2066}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{e0041}\u{e0100}";
        for c in hiding.chars() {
            assert!(!is_plain(&format!("a{c}b")), "{c:?}");
        }
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "a\u{9b}": "\u{0}\u{7f}\u{85}\u{61c}\u{202e}\u{2028}\u{200b}\u{200d}\u{e0041}\u{10ffff}ä\"\\\n" });
        let text = value.to_string();
        let escaped = json(&text);
        assert!(!escaped.chars().any(|c| is_unsafe(c) || is_joiner(c)), "{escaped}");
        assert!(
            escaped.contains(r"\u009b") && escaped.contains(r"\u202e") && escaped.contains(r"\udb40\udc41"),
            "{escaped}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        assert!(matches!(json(r#"{"a":"ä\n"}"#), Cow::Borrowed(_)));
    }
}
