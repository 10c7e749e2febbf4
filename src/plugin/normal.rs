//! The text of a plugin in the one form in which the file and the server's row can be compared.
//!
//! The server stores a text as it was sent, but for one thing: it rewrites four imports, by plain replacement, wherever
//! the words stand. Its web editor folds line ends. [`normal`] does both, to either side's text: two texts are the same
//! plugin exactly when their normal texts are equal.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;

/// The packages whose `from` imports the server redirects to its own, in the order in which it does so.
pub const PACKAGES: [&str; 4] = ["utils", "apps", "main", "config"];

/// Every import that the server rewrites begins like this.
const FROM: &str = "from ";

/// Makes the text to be sent of a file's bytes: without a byte order mark, which the server refuses, and with `\n` for
/// every line end.
///
/// # Errors
///
/// The offset of the first byte that is not UTF-8.
pub fn clean(bytes: &[u8]) -> Result<Cow<'_, str>, usize> {
    str::from_utf8(bytes).map(fold).map_err(|error| error.valid_up_to())
}

/// Like [`clean`], for bytes that are not all UTF-8: shows where they are not.
pub(super) fn lossy(bytes: &[u8]) -> String {
    fold(&String::from_utf8_lossy(bytes)).into_owned()
}

/// The normal form of a text: the same for a text to send and for what the server stores of it.
#[must_use]
pub fn normal(text: &str) -> Cow<'_, str> {
    rewrite(fold(text))
}

/// The server's rewriting of a text.
fn rewrite(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_package = |rest: &str| PACKAGES.iter().any(|package| rest.starts_with(package));
    if !memmem::find_iter(text.as_bytes(), FROM).any(|at| is_package(&text[at + FROM.len()..])) {
        return text;
    }
    PACKAGES.iter().fold(text, |text, package| {
        let written = format!("{FROM}{package}");
        if text.contains(&written) {
            text.replace(&written, &format!("from open_webui.{package}")).into()
        } else {
            text
        }
    })
}

/// The server's text in the spelling of the file that it may come from: each line that the server rewrote gets back the
/// file's spelling. Otherwise only a leading byte order mark is removed, and line ends become `\n`.
#[must_use]
pub fn respelled(stored: &str, file: &str) -> String {
    let (stored, file) = (fold(stored), fold(file));
    let literally: BTreeSet<_> = file.split('\n').collect();
    let mut spellings = BTreeMap::new();
    for line in file.split('\n') {
        if let Cow::Owned(rewritten) = rewrite(line.into()) {
            spellings.entry(rewritten).or_insert(line);
        }
    }
    let spelled = |line| if literally.contains(line) { line } else { spellings.get(line).copied().unwrap_or(line) };
    stored.split('\n').map(spelled).collect::<Vec<_>>().join("\n")
}

/// The module of `from <module> import …` after the server's rewriting; `None` if it stays as it is.
#[must_use]
pub fn rewritten(module: &str) -> Option<String> {
    PACKAGES.iter().any(|package| module.starts_with(package)).then(|| format!("open_webui.{module}"))
}

/// Removes every leading byte order mark, not only the first: a second one would be as fatal, and folding twice must be
/// the same as folding once.
fn fold(text: &str) -> Cow<'_, str> {
    let text = text.trim_start_matches('\u{feff}');
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_keeps_all_but_byte_order_mark_and_line_ends() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"a\n", "a\n"),
            (b"a", "a"),
            (b"\xef\xbb\xbfa", "a"),
            (b"\xef\xbb\xbf\xef\xbb\xbfa", "a"),
            (b"\xef\xbb\xbf", ""),
            (b"a\xef\xbb\xbfb", "a\u{feff}b"),
            (b"a\r\nb\rc\nd\r\n", "a\nb\nc\nd\n"),
            (b"a\r\r\nb\n\r", "a\n\nb\n\n"),
            (b"a \t\x0c\x0b\n\n", "a \t\u{c}\u{b}\n\n"),
            ("\u{2028}\u{85}é e\u{301} 🦀".as_bytes(), "\u{2028}\u{85}é e\u{301} 🦀"),
            (b"\0", "\0"),
            (b"from utils import x", "from utils import x"),
        ] {
            assert_eq!(clean(bytes).as_deref(), Ok(expected), "{bytes:?}");
        }
    }

    #[test]
    fn clean_says_where_utf8_ends() {
        for (bytes, at) in [
            (&b"\xff"[..], 0),
            (b"caf\xe9", 3),
            (b"\xef\xbb\xbfab\x80", 5),
            (b"a\xc3", 1),
            (b"\xed\xa0\x80", 0), // A lone surrogate is no character.
            (b"\xc0\x80", 0),     // Nor is a NUL in two bytes.
            (b"\xff\xfec\0l\0", 0),
        ] {
            assert_eq!(clean(bytes), Err(at), "{bytes:?}");
        }
    }

    #[test]
    fn normal_rewrites_as_the_server_does() {
        for (text, expected) in [
            ("from utils import x", "from open_webui.utils import x"),
            ("from apps.webui import x", "from open_webui.apps.webui import x"),
            ("from main import x", "from open_webui.main import x"),
            ("from config import x", "from open_webui.config import x"),
            // By plain replacement, so also where it is no import, and where it is another module.
            ("# taken from utils", "# taken from open_webui.utils"),
            ("\"\"\"\ndescription: from main\n\"\"\"", "\"\"\"\ndescription: from open_webui.main\n\"\"\""),
            ("therefrom utils", "therefrom open_webui.utils"),
            ("from utils_extra import x", "from open_webui.utils_extra import x"),
            ("from configparser import x", "from open_webui.configparser import x"),
            ("from mainland import x", "from open_webui.mainland import x"),
            ("from utils from config", "from open_webui.utils from open_webui.config"),
            // Almost the same, but not rewritten.
            ("from  utils import x", "from  utils import x"),
            ("from\tutils import x", "from\tutils import x"),
            ("from .utils import x", "from .utils import x"),
            ("from .config import x", "from .config import x"),
            ("From utils import x", "From utils import x"),
            ("from Utils import x", "from Utils import x"),
            ("from \\\nutils import x", "from \\\nutils import x"),
            ("import utils", "import utils"),
            ("from my.utils import x", "from my.utils import x"),
            ("from open_webui.utils import x", "from open_webui.utils import x"),
            // What the server's editor folds.
            ("a\r\nb\rc", "a\nb\nc"),
            ("\u{feff}a", "a"),
            ("a\u{feff}", "a\u{feff}"),
            ("", ""),
        ] {
            assert_eq!(normal(text), expected, "{text:?}");
            assert_eq!(normal(&normal(text)), expected, "twice: {text:?}");
        }
    }

    #[test]
    fn normal_is_idempotent_whatever_the_pieces() {
        let pieces = ["from ", "utils", "config", "main", "open_webui.", "\r", "\n", "\u{feff}", " ", "x"];
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let text: String = (0..8).map(|_| pieces[random.usize(..pieces.len())]).collect();
            let once = normal(&text).into_owned();
            assert_eq!(normal(&once), once, "{text:?}");
            assert_eq!(normal(&clean(text.as_bytes()).unwrap()), once, "{text:?}");
        }
    }

    #[test]
    fn the_files_spelling_is_kept_and_nothing_else() {
        for (stored, file, expected) in [
            ("from open_webui.utils import x\n", "from utils import x\n", "from utils import x\n"),
            // Without the file's line, the original spelling is unknown.
            ("from open_webui.utils import x\n", "", "from open_webui.utils import x\n"),
            ("from open_webui.utils import y\n", "from utils import x\n", "from open_webui.utils import y\n"),
            // A line that the file spells like this stays.
            ("from open_webui.utils import x", "from open_webui.utils import x", "from open_webui.utils import x"),
            (
                "from open_webui.utils import x",
                "from utils import x\nfrom open_webui.utils import x",
                "from open_webui.utils import x",
            ),
            // Also in other text that the server has rewritten, and in a part of a line.
            ("# from open_webui.main\nb\n", "a\n# from main\n", "# from main\nb\n"),
            ("  x = 'from open_webui.config'", "  x = 'from config'", "  x = 'from config'"),
            // The indentation is part of the line.
            ("  from open_webui.utils import x", "from utils import x", "  from open_webui.utils import x"),
            // Line ends are not.
            ("from open_webui.utils import x\r\nb", "\u{feff}from utils import x\r\n", "from utils import x\nb"),
            ("a\n\nb", "x\n", "a\n\nb"),
            ("", "x\n", ""),
        ] {
            assert_eq!(respelled(stored, file), expected, "{stored:?} for {file:?}");
        }
    }

    #[test]
    fn respelling_is_no_change() {
        let pieces = ["from ", "utils", "config", "open_webui.", "\r\n", "\n", "\u{feff}", " ", "x", "from utils\n"];
        let mut random = fastrand::Rng::with_seed(2);
        for _ in 0..20_000 {
            let mut text = || -> String { (0..8).map(|_| pieces[random.usize(..pieces.len())]).collect() };
            let (stored, file) = (normal(&text()).into_owned(), text());
            let respelled = respelled(&stored, &file);
            assert_eq!(normal(&respelled), stored, "{stored:?} for {file:?}");
            // A text that was sent comes back in the file's spelling.
            let cleaned = clean(file.as_bytes()).unwrap();
            let literally = cleaned
                .lines()
                .all(|line| !cleaned.lines().any(|other| line != other && normal(line) == normal(other)));
            if literally {
                assert_eq!(super::respelled(&normal(&file), &file), cleaned, "{file:?}");
            }
        }
    }

    #[test]
    fn nothing_is_copied_where_nothing_changes() {
        assert!(matches!(normal("class Pipe:\n    pass\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn rewritten_agrees_with_normal() {
        for module in
            ["utils", "utils.misc", "configparser", "apps", "mainland.x", "json", "my.utils", "open_webui.utils"]
        {
            let stored = normal(&format!("from {module} import x")).into_owned();
            let module = rewritten(module).unwrap_or_else(|| module.to_owned());
            assert_eq!(stored, format!("from {module} import x"));
        }
    }
}
