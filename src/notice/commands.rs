//! How the commands in hints are written: with the flags that reach the same settings, files and server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::paths::shell_word;

/// Flags that commands in hints repeat, so that they reach the same server and files. None by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commands {
    /// `--config` and `--url`, each with a space before it.
    server: String,
    /// `--root`, each with a space before it.
    roots: String,
    #[serde(skip)]
    names_no_plugin: bool,
}

impl Commands {
    /// Commands with these flags.
    #[must_use]
    pub fn new(config: Option<&Path>, url: Option<&str>, roots: &[PathBuf]) -> Self {
        let flags = |values: &mut dyn Iterator<Item = (&str, &str)>| {
            values.fold(String::new(), |mut flags, (flag, value)| {
                write!(flags, " {flag} {}", shell_word(value)).ok();
                flags
            })
        };
        let config = config.and_then(Path::to_str).map(|file| ("--config", file));
        let url = url.map(|url| ("--url", url));
        let mut roots = roots.iter().filter_map(|root| Some(("--root", root.to_str()?)));
        let server = flags(&mut config.into_iter().chain(url));
        Self { server, roots: flags(&mut roots), names_no_plugin: false }
    }

    /// With `ID` in place of the plugin's id, to see whether two plugins share a remedy.
    #[must_use]
    pub fn of_any(&self) -> Self {
        Self { names_no_plugin: true, ..self.clone() }
    }

    pub(super) fn id<'a>(&self, about: &'a Subject) -> &'a str {
        about.key.as_ref().filter(|_| !self.names_no_plugin).map_or("ID", |key| key.id.as_str())
    }

    /// A command on a plugin.
    pub(super) fn on(&self, about: &Subject, command: &str) -> String {
        self.line(command, self.id(about))
    }

    /// A command with these arguments.
    #[must_use]
    pub fn line(&self, command: &str, arguments: &str) -> String {
        let Self { server, roots, .. } = self;
        // It takes no `--root`: it must see every root.
        let roots = if command == "delete" { "" } else { roots };
        let space = if arguments.is_empty() { "" } else { " " };
        // Escaped, because a test runs every literal command line; the samples cover these.
        format!("\u{60}owui-watch {command}{server}{roots}{space}{arguments}\u{60}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_quoted_for_a_shell() {
        let commands = Commands::new(Some(Path::new("my bot/watch.toml")), Some("http://a"), &["a".into(), "b".into()]);
        let flags = "--config 'my bot/watch.toml' --url http://a";
        assert_eq!(commands.line("on", "x"), format!("`owui-watch on {flags} --root a --root b x`"));
        assert_eq!(commands.line("delete", "x"), format!("`owui-watch delete {flags} x`"));
        assert_eq!(Commands::default().line("status", ""), "`owui-watch status`");
    }
}
