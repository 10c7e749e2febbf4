//! Finds and checks the API key, and warns if others can read its file.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::dotenv::DotEnv;
use super::layers::Merged;
use super::paths::ticked;
use super::secret::looks_secret;
use super::trust::Project;
use super::{CREDENTIAL, ConfigError, Sources, Warning, World};
use crate::paths::slashed;

/// An API key and its origin.
pub(super) struct FoundKey {
    pub(super) key: SecretString,
    pub(super) origin: String,
    /// The file that holds it, except a credential.
    pub(super) file: Option<PathBuf>,
    /// Whether it comes from the user, not from the project's files.
    pub(super) is_users: bool,
}

impl FoundKey {
    /// Looks for the API key, in the order that [`super::Config`] documents. `file` is the value of `api_key_file`.
    pub(super) fn find(
        file: Option<&Path>,
        merged: &Merged,
        project: &Project<'_>,
        dotenv: &DotEnv,
        world: &World,
        sources: &mut Sources,
    ) -> Result<Option<Self>, ConfigError> {
        if let Some(key) = world.variable("OPENWEBUI_API_KEY") {
            return Self::checked(key, "`OPENWEBUI_API_KEY`".to_owned(), None, true);
        }
        if let Some((name, key)) = dotenv.key() {
            let place = format!("`{name}`{}", dotenv.whence());
            return Self::checked(key, place, dotenv.key_file(), dotenv.is_outside);
        }
        if let Some(path) = file {
            let is_projects = merged.from_project.contains("api_key_file");
            if path.file_name().is_some_and(|name| looks_secret(&name.to_string_lossy())) {
                return Err(ConfigError::new("cannot read the API key: `api_key_file` seems to be the key itself")
                    .hinted("put the key into a file of its own, and name that file"));
            }
            if is_projects && (is_dotenv(path) || is_dotenv(&project.destination(path))) {
                return Err(merged
                    .at("api_key_file", format!("{} may hold other programs' keys", ticked(path)))
                    .hinted("put the key alone into a file with another name"));
            }
            let missing = || {
                let path = ticked(path);
                ConfigError::new(format!(
                    "cannot read the API key: `api_key_file` is {path}, and there is no such file"
                ))
            };
            let key = sources.read(path, world)?.ok_or_else(missing)?;
            let is_users = !is_projects || project.outside(path).is_some();
            return Self::checked(&key, ticked(path), Some(path.to_owned()), is_users);
        }
        if let Some(folder) = world.variable("CREDENTIALS_DIRECTORY")
            && let Some(key) = sources.read(&Path::new(folder).join("openwebui_api_key"), world)?
        {
            return Self::checked(&key, CREDENTIAL.to_owned(), None, true);
        }
        Ok(None)
    }

    fn checked(text: &str, place: String, file: Option<PathBuf>, is_users: bool) -> Result<Option<Self>, ConfigError> {
        let key = text.trim();
        check(key, &place)?;
        Ok(Some(Self { key: SecretString::from(key), origin: place, file, is_users }))
    }
}

fn is_dotenv(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name == ".env" || name.starts_with(".env.")
}

/// Refuses a key that cannot be sent in a header, without showing it.
fn check(key: &str, place: &str) -> Result<(), ConfigError> {
    let problem = if key.is_empty() {
        "it is empty"
    } else if key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "it contains a space, a line break or a control character"
    } else if !key.is_ascii() {
        "it contains a character that is not ASCII"
    } else if !key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '~')) {
        // It may be another secret: `NAME=value`, or a URL with a password.
        return Err(ConfigError::new(format!("{place} does not hold an API key or token")));
    } else {
        return Ok(());
    };
    let bearer = key.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("bearer "));
    let hint = if bearer {
        "leave out the word `Bearer`"
    } else {
        "copy the key from Open WebUI: Settings > Account > API keys"
    };
    Err(ConfigError::new(format!("cannot use the API key from {place}: {problem}")).with_hint(Some(hint.to_owned())))
}

/// A warning about a file with a key that other users can read.
pub(super) fn readable_by_others(file: &Path, world: &World) -> Option<Warning> {
    is_exposed(&world.cwd.join(file), user()).then(|| Warning {
        message: format!("other users can read {}, which holds an API key", ticked(file)),
        hint: format!("chmod 600 {}", slashed(&file)),
    })
}

/// Whether others can read a file that belongs to `user`. Files of other owners, such as secrets mounted into a
/// container, do not count: the user cannot change them.
#[cfg(unix)]
fn is_exposed(file: &Path, user: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    std::fs::metadata(file).is_ok_and(|metadata| metadata.mode() & 0o044 != 0 && metadata.uid() == user)
}

#[cfg(not(unix))]
fn is_exposed(_: &Path, _: u32) -> bool {
    false
}

/// The current user.
#[cfg(unix)]
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
pub(super) fn user() -> u32 {
    0
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_is_warned_about_a_key_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
        assert!(is_exposed(file.path(), user()));
        assert!(!is_exposed(file.path(), user() + 1));
    }
}
