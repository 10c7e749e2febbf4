//! The variables in `.env`, which other programs often use too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::paths::ticked;
use super::schema::{KEYS, KeyRow, PREFIX};
use super::secret::names_secret;
use super::sources::filled;
use super::trust::Project;
use super::{ConfigError, Sources, Warning, World};
use crate::paths::slashed;

/// Replaces `$` while the file is parsed. A Unicode noncharacter.
const DOLLAR: char = '\u{fdd0}';

/// The content of `.env`.
pub(super) struct DotEnv {
    path: PathBuf,
    pub(super) variables: BTreeMap<String, String>,
    /// Whether it is a link to a file outside the project.
    pub(super) is_outside: bool,
}

impl DotEnv {
    const KEYS: [&str; 2] = ["OPENWEBUI_API_KEY", "api_key"];
    /// The server's name in deploy scripts. Read from `.env` only: in the environment it may mean anything.
    pub(super) const URL: &str = "url";

    pub(super) fn read(
        path: &Path,
        project: &Project<'_>,
        world: &World,
        sources: &mut Sources,
    ) -> Result<Self, ConfigError> {
        project.check_path(".env", "it", &ticked(path), path)?;
        // Without a final line break, dotenvy rejects a trailing blank.
        let text = without_expansion(&(sources.read(path, world)?.unwrap_or_default() + "\n"));
        let variables: BTreeMap<_, _> = dotenvy::from_read_iter(text.as_bytes()).filter_map(Result::ok).collect();

        // Refuse only lines with our variables. The parser's error is not shown: it repeats the line.
        let mut rest = text.as_str();
        for at in 1.. {
            let Some((line, below)) = rest.split_once('\n') else { break };
            let name = name(line);
            let ours = Self::KEYS.contains(&name) || name == Self::URL || is_ours(name);
            let place = || format!("`{}:{at}`", slashed(&path));
            // A line may parse alone, and still be part of a quote that an earlier line opened.
            let unread = || {
                !variables.contains_key(name) || matches!(dotenvy::from_read_iter(rest.as_bytes()).next(), Some(Err(_)))
            };
            if ours && unread() {
                return Err(ConfigError::at(&place(), format!("the value of `{name}` cannot be read"))
                    .hinted("write NAME=value, in single quotes where it has blanks, and close the quotes above it"));
            }
            if ours && variables.get(name).is_some_and(|value| names_a_variable(unquoted(line, value))) {
                return Err(ConfigError::at(&place(), format!("`{name}` names another variable with `$`")).hinted(
                    "write its value: owui-watch does not expand variables\nto keep a `$`, put the value in '…'",
                ));
            }
            rest = below;
        }
        let variables = variables.into_iter().map(|(name, value)| (name, value.replace(DOLLAR, "$"))).collect();
        Ok(Self { path: path.to_owned(), variables, is_outside: project.outside(path).is_some() })
    }

    /// The API key, with the name of its variable.
    pub(super) fn key(&self) -> Option<(&'static str, &str)> {
        Self::KEYS.into_iter().find_map(|name| Some((name, filled(self.variables.get(name)?)?)))
    }

    /// The file, if it holds an API key.
    pub(super) fn key_file(&self) -> Option<PathBuf> {
        self.key().map(|_| self.path.clone())
    }

    pub(super) fn whence(&self) -> String {
        format!(" in {}", ticked(&self.path))
    }

    /// Warnings about misspelled names of our variables.
    pub(super) fn lookalikes(&self) -> Vec<Warning> {
        let place = |name: &str| format!("`{name}`{}", self.whence());
        lookalikes(&self.variables, |meant| self.variables.contains_key(meant), place)
    }
}

/// Whether a variable sets a key.
fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) || KEYS.iter().any(|key| key.also.contains(&name))
}

/// Whether a `.env` with this text sets a key of ours.
pub(super) fn sets_ours(text: &str) -> bool {
    text.lines().any(|line| is_ours(name(line)) || name(line) == "OPENWEBUI_API_KEY")
}

/// The name that a line sets.
fn name(line: &str) -> &str {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').next().unwrap_or_default()
}

/// Replaces each `$` that dotenvy would expand with [`DOLLAR`]: the process's variables may be secrets that this folder
/// must not get.
fn without_expansion(text: &str) -> String {
    let mut is_escaped = false;
    let plain = |c| {
        let plain = if c == '$' && !is_escaped { DOLLAR } else { c };
        is_escaped = c == '\\' && !is_escaped;
        plain
    };
    text.chars().map(plain).collect()
}

/// The part of a value in which a shell would expand variables: after single quotes, only the rest.
fn unquoted<'a>(line: &'a str, value: &'a str) -> &'a str {
    let written = line.split_once('=').map_or("", |(_, written)| written.trim_start());
    let Some(quoted) = written.strip_prefix('\'') else { return value };
    quoted.split_once('\'').map_or("", |(_, after)| after)
}

fn names_a_variable(value: &str) -> bool {
    let is_name = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{'));
    value.split(DOLLAR).skip(1).any(is_name)
}

/// Warnings about misspelled names of our variables, unless the intended one is set.
pub(super) fn lookalikes(
    variables: &BTreeMap<String, String>,
    is_set: impl Fn(&str) -> bool,
    place: impl Fn(&str) -> String,
) -> Vec<Warning> {
    let almost = |name: &String| Some((name.clone(), meant(name).filter(|meant| !is_set(meant))?));
    let warning = |(name, meant): (String, String)| Warning {
        message: format!("owui-watch does not know {}", place(&name)),
        hint: format!("did you mean `{meant}`?"),
    };
    variables.keys().filter_map(almost).map(warning).collect()
}

/// Our variable that a name probably misspells.
fn meant(name: &str) -> Option<String> {
    const KEY: &str = "OPENWEBUI_API_KEY";
    const URL: &str = "OPENWEBUI_URL";
    const BASE_URL: &str = "OPENWEBUI_BASE_URL";

    let ours = KEYS.iter().filter_map(KeyRow::variable);
    let ours: Vec<_> = ours.chain([KEY, URL, BASE_URL].map(str::to_owned)).collect();
    // An unknown one with the prefix is an error.
    if ours.iter().any(|ours| ours == name) || name.starts_with(PREFIX) {
        return None;
    }
    let plain: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.strip_prefix("openwebui").or(plain.strip_prefix("owui")) {
        Some("url") => return Some(URL.to_owned()),
        Some("baseurl") => return Some(BASE_URL.to_owned()),
        Some(_) if names_secret(name) => return Some(KEY.to_owned()),
        Some(_) | None => {}
    }
    // One typo per eight letters.
    let name = name.to_uppercase();
    let slips = |ours: &String| strsim::damerau_levenshtein(&name, ours);
    let is_near = |ours: &String| ours.len().abs_diff(name.len()) <= ours.len() / 8 && slips(ours) <= ours.len() / 8;
    ours.into_iter().filter(is_near).min_by_key(slips)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_variables_are_recognised() {
        for (name, ours) in [
            ("OPENWEBUI_ULR", Some("OPENWEBUI_URL")),
            ("openwebui_url", Some("OPENWEBUI_URL")),
            ("OPEN_WEBUI_URL", Some("OPENWEBUI_URL")),
            ("OWUI_URL", Some("OPENWEBUI_URL")),
            ("OPENWEBUI_URLS", Some("OPENWEBUI_URL")),
            ("OPENWEBUI_BASEURL", Some("OPENWEBUI_BASE_URL")),
            ("OPENWEBUI_APIKEY", Some("OPENWEBUI_API_KEY")),
            ("OPENWEBUI_KEY", Some("OPENWEBUI_API_KEY")),
            ("OPENWEBUI_TOKEN", Some("OPENWEBUI_API_KEY")),
            ("OPENWBUI_URL", Some("OPENWEBUI_URL")),
            ("OPENWEBUI_API_KYE", Some("OPENWEBUI_API_KEY")),
            ("OWUI_WACTH_DEBOUNCE", Some("OWUI_WATCH_DEBOUNCE")),
            // Ours, or already an error.
            ("OPENWEBUI_URL", None),
            ("OWUI_WATCH_DEBOUNCE", None),
            ("OWUI_WATCH_DEBOUNC", None),
            // Variables of other programs.
            ("OPENWEBUI_PORT", None),
            ("OPENWEBUI_IMAGE", None),
            ("OPENWEBUI_UI", None),
            ("OPENAI_API_KEY", None),
            ("WEBUI_URL", None),
            ("WEBUI_SECRET_KEY", None),
            ("url", None),
            ("URL", None),
        ] {
            assert_eq!(meant(name).as_deref(), ours, "{name}");
        }
    }

    #[test]
    fn only_expandable_dollars_are_escaped() {
        let hidden = |text: &str| without_expansion(text).replace(DOLLAR, "S");
        for (text, expected) in [
            ("a=$b${c}", "a=SbS{c}"),
            (r"a=\$b", r"a=\$b"),
            (r"a=\\$b", r"a=\\Sb"),
            (r"a='$b'", r"a='Sb'"),
            ("a=b\\\n$", "a=b\\\nS"),
        ] {
            assert_eq!(hidden(text), expected, "{text}");
        }
    }
}
