//! The id rule: what a plugin is called on the server.
//!
//! An id is more than a name: valves, access grants and (for pipes) the ids of models depend on it. So it comes from
//! where an author would look for it, by a rule without guessing, and an explicit one is never altered.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use unicode_ident::{is_xid_continue, is_xid_start};

use super::Rule;

/// An id that the server will take and store as it is: a Python identifier, lower-cased the way Python does it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginId(Arc<str>);

impl PluginId {
    /// The longest id in bytes. Ids become file names, here and on the server, and a file name has at most 255 bytes;
    /// the rest is room for what stands around the id, such as `function-` and `.log`.
    pub const MAX_BYTES: usize = 200;

    /// Makes an id of a Python identifier, as the server does when it creates a row. Keywords are fine.
    #[must_use]
    pub fn new(candidate: &str) -> Option<Self> {
        if !is_identifier(candidate) {
            return None;
        }
        let id = candidate.to_lowercase();
        (id.len() <= Self::MAX_BYTES).then(|| Self(id.into()))
    }

    /// The id as the server stores it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PluginId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PluginId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| de::Error::custom(format_args!("`{}` is not a plugin id", text.escape_debug())))
    }
}

/// Stems that say what a file is, not what the plugin is called. The folder then gives the name.
const GENERIC: [&str; 11] =
    ["main", "index", "__init__", "plugin", "tool", "tools", "function", "pipe", "filter", "action", "event"];

/// Where an id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdSource {
    /// `watch.toml`.
    Settings,
    /// The file's frontmatter.
    Frontmatter,
    /// The file's stem.
    FileName,
    /// The name of the file's folder.
    FolderName,
}

impl fmt::Display for IdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settings => "`watch.toml`",
            Self::Frontmatter => "the header",
            Self::FileName => "the file name",
            Self::FolderName => "the folder name",
        })
    }
}

/// Chooses the id of a file: the one that `watch.toml` gives, else the frontmatter's, else the file's stem or, where
/// that is generic, the name of its folder.
///
/// The first two are taken as they are or not at all. The last two are made identifiers (see [`identifier`]).
///
/// # Errors
///
/// [`Rule::BadId`] where no usable id can be made.
pub fn choose(path: &Path, explicit: Option<&str>, declared: Option<&str>) -> Result<PluginId, Rule> {
    let (id, candidate, source) = if let Some(explicit) = explicit {
        (PluginId::new(explicit), explicit.into(), IdSource::Settings)
    } else if let Some(declared) = declared {
        (PluginId::new(declared), declared.into(), IdSource::Frontmatter)
    } else {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
        match folder.filter(|_| GENERIC.contains(&stem.to_lowercase().as_str())) {
            Some(folder) => (id_of(&folder), folder, IdSource::FolderName),
            None => (id_of(&stem), stem, IdSource::FileName),
        }
    };
    id.ok_or_else(|| Rule::BadId { candidate: candidate.into_owned(), source })
}

fn id_of(name: &str) -> Option<PluginId> {
    PluginId::new(&identifier(name)?)
}

/// Makes a Python identifier of a name, one character for one: what cannot stand in an identifier becomes `_`, and a
/// first character that can stand in one but not begin it is preceded by `_`. `None` without any letter or digit.
#[must_use]
pub fn identifier(name: &str) -> Option<String> {
    let mut identifier: String = name.chars().map(|c| if continues_identifier(c) { c } else { '_' }).collect();
    if !identifier.contains(char::is_alphanumeric) {
        return None;
    }
    if !identifier.starts_with(begins_identifier) {
        identifier.insert(0, '_');
    }
    Some(identifier)
}

/// The id that the author of a bad one may have meant: `bad_id` for `Bad Id!`.
#[must_use]
pub fn suggestion(candidate: &str) -> Option<PluginId> {
    let words = candidate.split(|c: char| c == '_' || !continues_identifier(c)).filter(|word| !word.is_empty());
    PluginId::new(&identifier(&words.collect::<Vec<_>>().join("_"))?)
}

/// Python's `str.isidentifier`.
fn is_identifier(text: &str) -> bool {
    text.starts_with(begins_identifier) && text.chars().all(continues_identifier)
}

fn begins_identifier(c: char) -> bool {
    c == '_' || is_xid_start(c) && is_known_to_python(c)
}

fn continues_identifier(c: char) -> bool {
    is_xid_continue(c) && is_known_to_python(c)
}

/// Whether Python 3.11, the oldest that a server runs, allows a character in identifiers that Unicode allows there.
fn is_known_to_python(c: char) -> bool {
    UNKNOWN_TO_PYTHON.partition_point(|boundary| *boundary <= u32::from(c)).is_multiple_of(2)
}

/// The characters that Unicode allows in identifiers and Python 3.11 does not: letters newer than its Unicode 14, and
/// four exceptions that Unicode added later, among them the invisible U+200C and U+200D. Each pair is the first
/// character of a range and the first one after it.
#[rustfmt::skip]
const UNKNOWN_TO_PYTHON: [u32; 206] = [
    0x0558, 0x0559, 0x058b, 0x058d, 0x05c8, 0x05ca, 0x088f, 0x0890, 0x0897, 0x0898, 0x0b53, 0x0b55, 0x0c5c, 0x0c5d,
    0x0cdc, 0x0cdd, 0x0cf3, 0x0cf4, 0x0ece, 0x0ecf, 0x1acf, 0x1af1, 0x1c89, 0x1c8b, 0x200c, 0x200e, 0x208f, 0x2090,
    0x209d, 0x20a0, 0x30fb, 0x30fc, 0xa7cb, 0xa7d0, 0xa7d2, 0xa7d3, 0xa7d4, 0xa7d5, 0xa7da, 0xa7de, 0xa7e2, 0xa7e3,
    0xa7f1, 0xa7f2, 0xab6c, 0xab6e, 0xff65, 0xff66, 0x105c0, 0x105f4, 0x107bb, 0x107c0, 0x10940, 0x1095a,
    0x10d40, 0x10d66, 0x10d69, 0x10d6e, 0x10d6f, 0x10d86, 0x10ec2, 0x10ec8, 0x10ecb, 0x10ed0, 0x10ed9, 0x10eef,
    0x10ef0, 0x10f00, 0x1123f, 0x11242, 0x11380, 0x1138a, 0x1138b, 0x1138c, 0x1138e, 0x1138f, 0x11390, 0x113b6,
    0x113b7, 0x113c1, 0x113c2, 0x113c3, 0x113c5, 0x113c6, 0x113c7, 0x113cb, 0x113cc, 0x113d4, 0x113e1, 0x113e3,
    0x116d0, 0x116e4, 0x11b0a, 0x11b0b, 0x11b60, 0x11b68, 0x11bc0, 0x11be1, 0x11bf0, 0x11bfa, 0x11db0, 0x11ddc,
    0x11de0, 0x11dea, 0x11df0, 0x11df2, 0x11f00, 0x11f11, 0x11f12, 0x11f3b, 0x11f3e, 0x11f43, 0x11f50, 0x11f5b,
    0x1246f, 0x12470, 0x12475, 0x12480, 0x12550, 0x12687, 0x1342f, 0x13430, 0x13440, 0x13456, 0x13460, 0x143fb,
    0x16100, 0x1613a, 0x16d40, 0x16d6d, 0x16d70, 0x16d7a, 0x16ea0, 0x16eb9, 0x16ebb, 0x16ed4, 0x16ff2, 0x16ff7,
    0x187f8, 0x18800, 0x18cd6, 0x18cdb, 0x18cff, 0x18d00, 0x18d09, 0x18d21, 0x18d80, 0x18df3, 0x18e00, 0x19192,
    0x191a0, 0x191d3, 0x1b123, 0x1b129, 0x1b132, 0x1b133, 0x1b155, 0x1b156, 0x1b168, 0x1b169, 0x1ccf0, 0x1ccfa,
    0x1d127, 0x1d129, 0x1d250, 0x1d253, 0x1d25b, 0x1d25d, 0x1d25f, 0x1d260, 0x1d280, 0x1d282, 0x1d6a6, 0x1d6a7,
    0x1df1f, 0x1df82, 0x1df90, 0x1df97, 0x1dfcd, 0x1e000, 0x1e030, 0x1e06e, 0x1e08f, 0x1e090, 0x1e4d0, 0x1e4fa,
    0x1e5d0, 0x1e5fb, 0x1e6c0, 0x1e6df, 0x1e6e0, 0x1e6f6, 0x1e6fe, 0x1e700, 0x2b739, 0x2b740, 0x2b81e, 0x2b81f,
    0x2cea2, 0x2ceae, 0x2ebf0, 0x2ee5e, 0x31350, 0x3347a, 0x3d000, 0x3fc40,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids and what a real server stored for them, or that it refused them.
    #[test]
    fn ids_are_those_of_the_server() {
        #[derive(serde::Deserialize)]
        struct Case {
            id: String,
            create_status: u16,
            stored_id: Option<String>,
        }
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/data/id-cases.json")).unwrap();
        assert!(cases.len() > 50);
        let mut too_long = 0;
        for case in cases {
            assert_eq!(case.create_status == 200, case.stored_id.is_some(), "{:?}", case.id);
            let ours = PluginId::new(&case.id);
            // The server takes up to 255 bytes. We stop short of it, and that is the only difference.
            if case.stored_id.as_ref().is_some_and(|id| id.len() > PluginId::MAX_BYTES) {
                too_long += 1;
                assert_eq!(ours, None, "{:?}", case.id);
            } else {
                assert_eq!(ours.as_ref().map(PluginId::as_str), case.stored_id.as_deref(), "{:?}", case.id);
            }
        }
        assert_eq!(too_long, 1);
    }

    /// The odd ones; the next test covers every character.
    #[test]
    fn odd_characters_are_judged_as_python_does() {
        for (id, expected) in [
            ("a\u{200d}b", false), // Joiners: invisible.
            ("a\u{200c}b", false),
            ("\u{200d}", false),
            ("a\u{30fb}b", false), // The middle dots of Katakana.
            ("a\u{ff65}b", false),
            ("a\u{b7}b", true), // The middle dot of Catalan.
            ("\u{b7}a", false),
            ("a\u{387}", true),
            ("a\u{1369}", true),
            ("a\u{19da}", true),
            ("\u{2118}", true), // Symbols, and yet a beginning.
            ("\u{212e}", true),
            ("\u{1885}", true),
            ("\u{309b}", false), // NFKC turns these into a space and a mark.
            ("a\u{309b}", false),
            ("\u{37a}", false),
            ("a\u{37a}", false),
            ("\u{e33}", false), // NFKC turns it into a mark and a vowel: no beginning.
            ("a\u{e33}", true),
            ("a\u{ff9e}", true),
            ("\u{ff9e}", false),
            ("\u{fdfa}", false),
            ("a\u{203f}b", true),
            ("a\u{2040}b", true),
            ("a\u{2e2f}", false),
            ("a\u{feff}", false),
            ("a\u{ad}b", false),
            ("a\u{fe0f}", true),
            ("\u{1f600}", false),
            ("\u{11f04}", false), // New in Unicode 15,
            ("\u{31350}", false),
            ("\u{2ebf0}", false), // 15.1,
            ("\u{1c89}", false),  // 16,
            ("\u{10940}", false), // and 17.
        ] {
            assert_eq!(PluginId::new(id).is_some(), expected, "{}", id.escape_unicode());
        }
    }

    /// One digest over every character: `2` if it begins an identifier, `1` if it continues one, each followed by its
    /// lower case, else `0`. Python 3.11 computes the same one:
    ///
    /// ```python
    /// import hashlib
    ///
    /// def judged(c):
    ///     how = "2" if c.isidentifier() else "1" if ("a" + c).isidentifier() else "0"
    ///     return how if how == "0" else how + c.lower()
    ///
    /// characters = (chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    /// print(hashlib.sha256("".join(map(judged, characters)).encode()).hexdigest())
    /// ```
    #[test]
    fn every_character_is_judged_as_python_does() {
        let judged = |c: char| match (begins_identifier(c), continues_identifier(c)) {
            (true, _) => format!("2{}", c.to_lowercase()),
            (false, true) => format!("1{}", c.to_lowercase()),
            (false, false) => "0".to_owned(),
        };
        let text: String = ('\0'..=char::MAX).map(judged).collect();
        let by_python = "dd9683302c2a8ef3ff7454263b16ab8624d1a18e94f309d38fcc2308858c9d7d";
        assert_eq!(crate::plugin::Digest::of(text.as_bytes()).to_string(), by_python);
    }

    #[test]
    fn an_id_is_lower_cased_once_and_for_all() {
        for id in ["İd", "ΑΣ", "ΑΣ_", "ΣΑΣΑ", "ẞ", "ÀÉ", "ǅ", "Ⅷ", "Ａ"] {
            let once = PluginId::new(id).unwrap();
            assert_eq!(PluginId::new(once.as_str()), Some(once.clone()), "{id}");
        }
    }

    #[test]
    fn the_limit_is_on_the_lower_cased_bytes() {
        let max = PluginId::MAX_BYTES;
        assert!(PluginId::new(&"a".repeat(max)).is_some());
        assert!(PluginId::new(&"a".repeat(max + 1)).is_none());
        assert!(PluginId::new(&"İ".repeat(max / 3)).is_some(), "two bytes that become three");
        assert!(PluginId::new(&"İ".repeat(max / 3 + 1)).is_none());
    }

    #[track_caller]
    fn check(path: &str, explicit: Option<&str>, declared: Option<&str>, expected: Result<&str, (&str, IdSource)>) {
        let expected = expected
            .map(|id| PluginId(id.into()))
            .map_err(|(candidate, source)| Rule::BadId { candidate: candidate.to_owned(), source });
        assert_eq!(choose(Path::new(path), explicit, declared), expected, "{path}");
    }

    #[test]
    fn the_most_explicit_id_wins() {
        check("a.py", Some("b"), Some("c"), Ok("b"));
        check("a.py", None, Some("c"), Ok("c"));
        check("a.py", None, None, Ok("a"));
        check("x/main.py", Some("b"), None, Ok("b"));
        check("x/main.py", None, Some("main"), Ok("main"));
        check("a.py", Some("MyPipe"), None, Ok("mypipe"));
        check("a.py", None, Some("MyPipe"), Ok("mypipe"));
    }

    #[test]
    fn an_explicit_id_is_never_bent() {
        check("a.py", Some("my-pipe"), Some("c"), Err(("my-pipe", IdSource::Settings)));
        check("a.py", Some(""), None, Err(("", IdSource::Settings)));
        check("a.py", None, Some("my pipe"), Err(("my pipe", IdSource::Frontmatter)));
        check("a.py", None, Some("1st"), Err(("1st", IdSource::Frontmatter)));
        check("a.py", None, Some("../etc"), Err(("../etc", IdSource::Frontmatter)));
    }

    #[test]
    fn a_name_is_made_an_identifier() {
        for (path, id) in [
            ("n8n-pipeline.py", "n8n_pipeline"),
            ("tools/github-access.py", "github_access"),
            ("Other Versions/adaptive_memory_v4.0.py", "adaptive_memory_v4_0"),
            ("auto_memory.backup.py", "auto_memory_backup"),
            ("ElevenLabsTTS.py", "elevenlabstts"),
            ("My Tool (1).py", "my_tool__1_"),
            ("3d.py", "_3d"),
            ("٣d.py", "_٣d"),
            ("-x.py", "_x"),
            (".hidden.py", "_hidden"),
            ("_.1.py", "__1"),
            ("functions/한글-번역.py", "한글_번역"),
            ("e\u{301}té.py", "e\u{301}té"),
            ("🦀crab.py", "_crab"),
            ("class.py", "class"),
            ("/abs/dir/x.py", "x"),
        ] {
            check(path, None, None, Ok(id));
        }
    }

    #[test]
    fn a_suggested_id_has_the_words_of_the_bad_one() {
        for (candidate, id) in [
            ("Bad Id!", Some("bad_id")),
            ("my-pipe", Some("my_pipe")),
            ("1st", Some("_1st")),
            ("../etc", Some("etc")),
            ("Über  Filter (2)", Some("über_filter_2")),
            ("---", None),
            ("", None),
        ] {
            assert_eq!(suggestion(candidate).as_ref().map(PluginId::as_str), id, "{candidate}");
        }
    }

    #[test]
    fn a_generic_stem_takes_the_folders_name() {
        for stem in GENERIC {
            check(&format!("plugins/web-search/{stem}.py"), None, None, Ok("web_search"));
        }
        check("web-search/Main.PY", None, None, Ok("web_search"));
        check("tools/tools.py", None, None, Ok("tools"));
        check("pipe/main.py", None, None, Ok("pipe"));
        check("web-search/mains.py", None, None, Ok("mains"));
        // Where no folder is named, the stem is all there is.
        for path in ["main.py", "./main.py", "../main.py", "/main.py"] {
            check(path, None, None, Ok("main"));
        }
    }

    #[test]
    fn a_name_without_letter_or_digit_is_no_id() {
        check("_.py", None, None, Err(("_", IdSource::FileName)));
        check("---.py", None, None, Err(("---", IdSource::FileName)));
        check("🦀.py", None, None, Err(("🦀", IdSource::FileName)));
        check("--/main.py", None, None, Err(("--", IdSource::FolderName)));
        let long = "a".repeat(201);
        check(&format!("{long}.py"), None, None, Err((&long, IdSource::FileName)));
    }

    #[test]
    fn json_is_the_id_and_is_checked() {
        let id = PluginId::new("Shout").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"shout\"");
        assert_eq!(serde_json::from_str::<PluginId>("\"shout\"").unwrap(), id);
        let error = serde_json::from_str::<PluginId>("\"../x\"").unwrap_err();
        assert!(error.to_string().starts_with("`../x` is not a plugin id"), "{error}");
    }
}
