//! Where a plugin raised an exception, and the files of plugins that notices from the sandbox or a log are about.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Notice, NoticeKind, Subject, Trouble, format_place};
use crate::paths::slashed;
use crate::plugin::id::PluginId;
use crate::plugin::{Key, Kind, Span};

/// An exception of a plugin, with its traceback.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raised {
    /// The method that was called; `load` if the plugin was only loaded.
    pub hook: String,
    /// Its type and words.
    pub error: String,
    /// Where it is in plugins, the innermost first.
    pub frames: Vec<Frame>,
    /// How many frames lie outside of plugins; by the server's log, only those below the innermost place in a plugin.
    pub outside: u64,
    /// The place outside of plugins where it was raised, if it was.
    pub at: Option<String>,
    /// The exceptions that it was raised from, each with its place in a plugin.
    pub causes: Vec<(String, Option<Frame>)>,
    /// How long the call took.
    pub took: Option<Duration>,
    /// How often the same was raised before this time.
    pub before: u64,
    /// Whether it will be told when the plugin works again, as the sandbox does.
    pub is_followed: bool,
}

/// A place in a plugin that a traceback names.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The plugin.
    pub key: Key,
    /// Its file.
    pub path: Option<Arc<Path>>,
    /// The function.
    pub function: String,
    /// The place.
    pub span: Span,
}

impl Raised {
    /// What a repeated exception is told by: its class and its line.
    pub(super) fn again(&self) -> String {
        let class = class_of(&self.error);
        let line = self.frames.first().map_or_else(String::new, |frame| format!(" in line {}", frame.span.line));
        format!("{} raised {class}{line} again", self.hook_in_words())
    }

    pub(super) fn hook_in_words(&self) -> &str {
        if self.hook == "load" { "its load" } else { &self.hook }
    }
}

/// The class of an exception, without its module: `ValueError` for `ValueError: no`.
pub(crate) fn class_of(error: &str) -> &str {
    let path = error.split([':', '\n', ' ']).next().unwrap_or_default();
    path.rsplit('.').next().unwrap_or_default()
}

impl Notice {
    /// For an exception that was told before: what it is, without its count.
    #[must_use]
    pub fn again(&self) -> Option<String> {
        let NoticeKind::Raised(raised) = &self.what else { return None };
        (raised.before > 0).then(|| format!("{:?} {}", self.about.key, raised.again()))
    }
}

impl Frame {
    /// Its place as `path:line:column`; the plugin's id stands for a file that is not there.
    #[must_use]
    pub fn place(&self) -> String {
        let path = self.path.as_deref().unwrap_or(Path::new(self.key.id.as_str()));
        format_place(path, &self.span)
    }
}

impl Notice {
    /// The same notice with what is known of its plugins here: the path, type and version. A traceback of Python's own
    /// names the file too.
    #[must_use]
    pub fn located(mut self, subject: &dyn Fn(&Key) -> Option<Subject>) -> Self {
        if let Some(known) = self.about.key.as_ref().and_then(subject) {
            self.about = known;
        }
        let locate = |frame: &mut Frame| frame.path = subject(&frame.key).and_then(|known| known.path);
        match &mut self.what {
            NoticeKind::Raised(raised) => {
                let causes = raised.causes.iter_mut().filter_map(|(_, frame)| frame.as_mut());
                raised.frames.iter_mut().chain(causes).for_each(locate);
            }
            NoticeKind::Printed { text, .. } | NoticeKind::ServerLog { text } => *text = with_paths(text, subject),
            _ => {}
        }
        self
    }
}

impl Notice {
    /// The same notice with each text from the server's log as `mask` makes it.
    #[must_use]
    pub fn masked(mut self, mask: &dyn Fn(&str) -> String) -> Self {
        match &mut self.what {
            NoticeKind::Raised(raised) => {
                let causes = raised.causes.iter_mut().map(|(error, _)| error);
                std::iter::once(&mut raised.error).chain(causes).for_each(|error| *error = mask(error));
            }
            NoticeKind::Printed { text, .. } | NoticeKind::Trouble(Trouble::LogCommandEnded { how: text, .. }) => {
                *text = mask(text);
            }
            _ => {}
        }
        self
    }
}

/// The text with paths for the names that plugins' code has in the sandbox, as in `File "<function shout 3>"`.
fn with_paths(text: &str, subject: &dyn Fn(&Key) -> Option<Subject>) -> String {
    let mut parts = text.split('<');
    let mut located = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let path = part.split_once('>').and_then(|(name, rest)| {
            let [kind, id, _] = name.split(' ').collect::<Vec<_>>().try_into().ok()?;
            let kind = Kind::ALL.into_iter().find(|known| known.word() == kind)?;
            let path = subject(&Key { kind, id: PluginId::new(id)? })?.path?;
            Some((path, rest))
        });
        if let Some((path, rest)) = path {
            located += &slashed(&path);
            located += rest;
        } else {
            located.push('<');
            located += part;
        }
    }
    located
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::samples::{raised, shout};

    #[test]
    fn notices_from_the_sandbox_get_the_paths_of_their_files() {
        let known = shout(NoticeKind::Held).about;
        let subject = |key: &Key| (known.key.as_ref() == Some(key)).then(|| known.clone());
        let printed = |text: &str| NoticeKind::Printed { text: text.to_owned(), log_level: None, line: None };
        let about = |what| Notice { about: Subject { path: None, ..known.clone() }, what };
        for (text, expected) in [
            (r#"  File "<function shout 3>", line 8, in pipe"#, r#"  File "plugins/shout.py", line 8, in pipe"#),
            ("<function shout 1><function shout 2>", "plugins/shout.pyplugins/shout.py"),
            ("<tool shout 1> <function else 1> <function shout>", "<tool shout 1> <function else 1> <function shout>"),
            ("a < b > c <", "a < b > c <"),
        ] {
            let located = about(printed(text)).located(&subject);
            assert_eq!((located.what, located.about), (printed(expected), known.clone()));
        }
        let mut lost = raised("pipe");
        lost.frames.iter_mut().for_each(|frame| frame.path = None);
        assert_eq!(lost.frames[0].place(), "shout:3:5");
        let located = about(NoticeKind::Raised(Box::new(lost))).located(&subject);
        assert_eq!(located.what, NoticeKind::Raised(Box::new(raised("pipe"))));
        // The server's log does not name each plugin.
        let elsewhere = Raised { frames: Vec::new(), at: Some("<string>:52".to_owned()), ..raised("pipe") };
        let trace = Notice::general(NoticeKind::Raised(Box::new(elsewhere))).trace();
        assert_eq!(trace[0], "raised at <string>:52, of a plugin that the log does not name");
        // A plugin whose file is gone keeps its name.
        let key = Key { kind: Kind::Tool, id: PluginId::new("gone").unwrap() };
        let gone = Notice { about: Subject::from(&key), what: printed("x") };
        assert_eq!(gone.clone().located(&subject), gone);
    }
}
