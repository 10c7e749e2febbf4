//! Limits the settings in a project's own files. A cloned folder has somebody else's `watch.toml` and `.env`. Until the
//! user agrees, they cannot send the user's key to their own address, and their paths must stay inside the folder. The
//! answer is kept at user level, in a private file for each folder.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::paths::ticked;
use super::schema::KeyRow;
use super::secret::masked;
use super::{ConfigError, Sources, World};
use crate::paths::slashed;
use crate::whole_file::{Lasting, make_folders, write_whole};

/// The remedy if answers cannot be saved.
const NO_HOME: &str = "set HOME or XDG_CONFIG_HOME to your own folder, which stores your answer";

/// More links than any system follows in one path.
const MOST_LINKS: usize = 64;

/// How a grant for the command that prints the server's log begins.
pub(super) const LOG_COMMAND: &str = "log_command";

/// A setting in a project's files that needs the user's consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    folder: PathBuf,
    grant: String,
    question: String,
    /// The remedies if nobody can be asked, one a line.
    unattended_hint: String,
}

impl Request {
    /// The question to the user, without a question mark.
    #[must_use]
    pub fn question(&self) -> &str {
        &self.question
    }

    /// Whether it is about the server that the plugins are for.
    #[must_use]
    pub fn is_about_server(&self) -> bool {
        self.grant.starts_with("url ")
    }

    /// The remedies if nobody can be asked, one a line.
    #[must_use]
    pub fn unattended_hint(&self) -> &str {
        &self.unattended_hint
    }

    /// The project's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the program can do without it.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.grant.strip_prefix(LOG_COMMAND).is_some_and(|rest| rest.starts_with(' '))
    }

    /// Keeps the user's consent.
    ///
    /// # Errors
    ///
    /// The user has no configuration folder, or it cannot be written.
    pub fn allow(&self, world: &World) -> Result<(), ConfigError> {
        let Some(path) = path(&self.folder, world) else {
            return Err(
                ConfigError::new("cannot keep your answer: there is no configuration folder for it").hinted(NO_HOME)
            );
        };
        let mut consent = Consent::read(&self.folder, world, &mut Sources::default())?;
        consent.allowed.insert(self.grant.clone());
        make_folders(path.parent().unwrap_or(&path), Lasting::Synced)
            .and_then(|()| write_whole(&path, consent.to_json().as_bytes(), Lasting::Synced))
            .map_err(|error| ConfigError::new(format!("cannot write {}: {error}", ticked(&path))).hinted(NO_HOME))
    }
}

/// The user's consent for one folder.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Consent {
    /// For people who read the file.
    folder: PathBuf,
    allowed: BTreeSet<String>,
    /// Whether consent cannot be saved.
    #[serde(skip)]
    is_out_of_reach: bool,
}

impl Consent {
    fn read(folder: &Path, world: &World, sources: &mut Sources) -> Result<Self, ConfigError> {
        let none = |is_out_of_reach| Self { folder: folder.to_owned(), allowed: BTreeSet::new(), is_out_of_reach };
        let Some(path) = path(folder, world) else { return Ok(none(true)) };
        // An unreadable file allows nothing. It may not be needed.
        let Ok(text) = sources.read(&path, world) else { return Ok(none(true)) };
        let Some(text) = text else { return Ok(none(false)) };
        serde_json::from_str(&text).map_err(|_| {
            ConfigError::new(format!("cannot use {}: it is damaged", ticked(&path)))
                .hinted("delete it; owui-watch then asks again")
        })
    }

    fn to_json(&self) -> String {
        serde_json::json!({ "folder": self.folder.to_string_lossy(), "allowed": self.allowed }).to_string()
    }
}

/// The file with the answers for a folder.
fn path(folder: &Path, world: &World) -> Option<PathBuf> {
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let name = digest.iter().take(16).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    Some(world.config_home.as_ref()?.join("owui-watch").join("trusted").join(name + ".json"))
}

/// A project's folder, and the consent for it.
pub(super) struct Project<'a> {
    folder: PathBuf,
    consent: Consent,
    world: &'a World,
    /// The value of `--config`.
    config: Option<&'a Path>,
}

impl<'a> Project<'a> {
    pub(super) fn read(
        folder: &Path,
        config: Option<&'a Path>,
        world: &'a World,
        sources: &mut Sources,
    ) -> Result<Self, ConfigError> {
        let folder = destination(&world.cwd, folder);
        let consent = Consent::read(&folder, world, sources)?;
        Ok(Self { folder, consent, world, config })
    }

    /// The target of a path, with all links resolved.
    pub(super) fn destination(&self, path: &Path) -> PathBuf {
        destination(&self.world.cwd, path)
    }

    /// The target of a path, if that is outside the project.
    pub(super) fn outside(&self, path: &Path) -> Option<PathBuf> {
        Some(self.destination(path)).filter(|real| !real.starts_with(&self.folder))
    }

    /// Checks that a path stays inside the project, or that the user agreed to it. `what` names the setting in
    /// messages; `place` is where it was set.
    pub(super) fn check_path(&self, key: &str, what: &str, place: &str, path: &Path) -> Result<(), ConfigError> {
        let Some(real) = self.outside(path) else { return Ok(()) };
        let leads = format!("outside the folder, to {}", ticked(&real));
        let question = masked(&format!("let `{key}` lead {leads}"));
        self.check(key, format!("{key} {}", slashed(&real)), question, || {
            ConfigError::at(place, format!("{what} leads {leads}"))
        })
    }

    /// Like [`Self::check_path`] for a default, which can lead outside only through a link.
    pub(super) fn check_link(&self, key: &str, path: &Path) -> Result<(), ConfigError> {
        let Some(real) = self.outside(path) else { return Ok(()) };
        let (link, leads) = (ticked(path), format!("outside the folder, to {}", ticked(&real)));
        let question = masked(&format!("let the link {link} lead {leads}"));
        self.check(key, format!("{key} {}", slashed(&real)), question, || {
            ConfigError::at(&link, format!("it is a link that leads {leads}"))
        })
    }

    /// Checks that the user agreed to `grant`, which the setting `key` needs. The question holds no API key.
    pub(super) fn check(
        &self,
        key: &str,
        grant: String,
        question: String,
        error: impl FnOnce() -> ConfigError,
    ) -> Result<(), ConfigError> {
        let is_agreed = |request: &Request| request.folder == self.folder && request.grant == grant;
        if self.consent.allowed.contains(&grant) || self.world.agreed.iter().any(is_agreed) {
            return Ok(());
        }
        let (attended, unattended) = if self.consent.is_out_of_reach {
            (NO_HOME.to_owned(), NO_HOME.to_owned())
        } else {
            (self.trust_hint(""), self.trust_hint(" --yes"))
        };
        let variable =
            KeyRow::find(key).and_then(|key| key.also.first().map(|name| (*name).to_owned()).or(key.variable()));
        let variable = variable.map(|name| format!("\nor set {name} in the environment"));
        let unattended_hint = masked(&(unattended + &variable.unwrap_or_default()));
        let request = Request { folder: self.folder.clone(), grant, question, unattended_hint };
        Err(error().hinted(attended).asking(request))
    }

    /// Whether the user declined this in this run.
    pub(super) fn is_declined(&self, grant: &str) -> bool {
        self.world.declined.iter().any(|request| request.folder == self.folder && request.grant == grant)
    }

    /// The command that asks the user.
    fn trust_hint(&self, flag: &str) -> String {
        match self.config {
            Some(config) => {
                format!("if you trust this folder, run `owui-watch trust{flag} --config {}`", slashed(&config))
            }
            None => format!("if you trust this folder, run `owui-watch trust{flag}` in it"),
        }
    }
}

/// Whether two paths have the same target.
pub(super) fn is_same(world: &World, one: &Path, other: &Path) -> bool {
    destination(&world.cwd, one) == destination(&world.cwd, other)
}

/// The target of a path with all links resolved, even if it does not exist.
fn destination(cwd: &Path, path: &Path) -> PathBuf {
    let parts = |path: &Path| -> VecDeque<_> { path.iter().map(PathBuf::from).collect() };
    let mut rest = parts(&cwd.join(path));
    let (mut real, mut links) = (PathBuf::new(), 0);
    while let Some(part) = rest.pop_front() {
        match part.components().next() {
            None | Some(Component::CurDir) => {}
            Some(Component::ParentDir) => drop(real.pop()),
            Some(Component::Prefix(_) | Component::RootDir) => real.push(part),
            Some(Component::Normal(_)) => {
                real.push(part);
                if links < MOST_LINKS
                    && let Ok(target) = real.read_link()
                {
                    links += 1;
                    real.pop();
                    let mut target = parts(&target);
                    target.append(&mut rest);
                    rest = target;
                }
            }
        }
    }
    real
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_paths_target_resolves_all_links() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("project/a")).unwrap();
        std::fs::create_dir_all(top.join("other/deep")).unwrap();
        symlink("../../other/deep", top.join("project/a/link")).unwrap();
        symlink(top.join("nowhere"), top.join("project/dangling")).unwrap();
        symlink("loop", top.join("project/loop")).unwrap();
        for (path, leads) in [
            (".", "project"),
            ("a/./b/../c", "project/a/c"),
            ("../project/a", "project/a"),
            ("a/link", "other/deep"),
            // `..` applies to the link's target.
            ("a/link/..", "other"),
            ("a/link/../../project/x", "project/x"),
            ("dangling/x", "nowhere/x"),
            ("loop", "project/loop"),
            ("../../../../../../../../../../../../../..", "/"),
        ] {
            assert_eq!(destination(&top.join("project"), Path::new(path)), top.join(leads), "{path}");
        }
        symlink(&top, top.join("again")).unwrap();
        assert_eq!(destination(&top.join("again/project"), Path::new("a")), top.join("project/a"));
    }

    #[test]
    fn an_answer_is_private_and_for_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let world = World { config_home: Some(folder.path().join("home")), ..World::default() };
        let request = |grant: &str| Request {
            folder: PathBuf::from("/a"),
            grant: grant.to_owned(),
            question: String::new(),
            unattended_hint: String::new(),
        };
        request("one").allow(&world).unwrap();
        request("two").allow(&world).unwrap();
        let allowed = |folder: &str| {
            Consent::read(Path::new(folder), &world, &mut Sources::default()).map(|consent| consent.allowed)
        };
        assert_eq!(allowed("/a").unwrap(), BTreeSet::from(["one".to_owned(), "two".to_owned()]));
        assert_eq!(allowed("/b").unwrap(), BTreeSet::new());
        let file = path(Path::new("/a"), &world).unwrap();
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&file.metadata().unwrap()) & 0o777, 0o600);

        // An unreadable file allows nothing.
        std::fs::write(&file, "{").unwrap();
        assert!(allowed("/a").unwrap_err().to_string().ends_with("it is damaged"));
        assert!(request("three").allow(&World::default()).is_err(), "there is no place for it");
    }
}
