//! The id rule: what a plugin is called on the server.
//!
//! An id is more than a name: valves, access grants and (for pipes) the ids of models hang on it. So it is taken from
//! where an author would look for it, by a rule without guessing, and an explicit one is never bent into shape.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use unicode_ident::{is_xid_continue, is_xid_start};

use super::Problem;

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

/// Stems that say what a file is for and not what the plugin is called. Its folder then bears the name.
const GENERIC: [&str; 11] =
    ["main", "index", "__init__", "plugin", "tool", "tools", "function", "pipe", "filter", "action", "event"];

/// Chooses the id of a file: the one that `watch.toml` gives, else the frontmatter's, else the file's stem or, where
/// that is generic, the name of its folder.
///
/// The first two are taken as they are or not at all. The last two are made identifiers (see [`identifier`]).
pub fn choose(path: &Path, explicit: Option<&str>, declared: Option<&str>) -> Result<PluginId, Problem> {
    let (id, candidate, origin) = if let Some(explicit) = explicit {
        (PluginId::new(explicit), explicit.into(), "watch.toml")
    } else if let Some(declared) = declared {
        (PluginId::new(declared), declared.into(), "frontmatter")
    } else {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
        match folder.filter(|_| GENERIC.contains(&stem.to_lowercase().as_str())) {
            Some(folder) => (id_of(&folder), folder, "folder name"),
            None => (id_of(&stem), stem, "file name"),
        }
    };
    id.ok_or_else(|| Problem::BadId { candidate: candidate.into_owned(), origin })
}

fn id_of(name: &str) -> Option<PluginId> {
    PluginId::new(&identifier(name)?)
}

/// Makes a Python identifier of a name, one character for one: what cannot stand in an identifier becomes `_`, and a
/// first character that can stand in one but not begin it is preceded by `_`. `None` without any letter or digit.
#[must_use]
pub fn identifier(name: &str) -> Option<String> {
    let mut identifier: String = name.chars().map(|c| if is_xid_continue(c) { c } else { '_' }).collect();
    if !identifier.contains(char::is_alphanumeric) {
        return None;
    }
    if !identifier.starts_with(begins_identifier) {
        identifier.insert(0, '_');
    }
    Some(identifier)
}

/// Python's `str.isidentifier`.
fn is_identifier(text: &str) -> bool {
    text.starts_with(begins_identifier) && text.chars().all(is_xid_continue)
}

fn begins_identifier(c: char) -> bool {
    c == '_' || is_xid_start(c)
}

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
    fn check(path: &str, explicit: Option<&str>, declared: Option<&str>, expected: Result<&str, (&str, &'static str)>) {
        let expected = expected
            .map(|id| PluginId(id.into()))
            .map_err(|(candidate, origin)| Problem::BadId { candidate: candidate.to_owned(), origin });
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
        check("a.py", Some("my-pipe"), Some("c"), Err(("my-pipe", "watch.toml")));
        check("a.py", Some(""), None, Err(("", "watch.toml")));
        check("a.py", None, Some("my pipe"), Err(("my pipe", "frontmatter")));
        check("a.py", None, Some("1st"), Err(("1st", "frontmatter")));
        check("a.py", None, Some("../etc"), Err(("../etc", "frontmatter")));
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
        check("_.py", None, None, Err(("_", "file name")));
        check("---.py", None, None, Err(("---", "file name")));
        check("🦀.py", None, None, Err(("🦀", "file name")));
        check("--/main.py", None, None, Err(("--", "folder name")));
        let long = "a".repeat(201);
        check(&format!("{long}.py"), None, None, Err((&long, "file name")));
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
