//! Resolves the words of a command line that name plugins, files and folders. A word that names nothing is an error,
//! since it is probably a mistyped command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::misspelled::{best, likeness, plugins_like};
use super::target::{self, id_of_broken};
use crate::cli::{self, Candidate};
use crate::config::{self, Config, World};
use crate::disk::{Plugins, ScanCache, Trust};
use crate::engine::files::Loaded;
use crate::error::Error;
use crate::paths::{slashed, tidy};
use crate::plugin::id::PluginId;
use crate::plugin::{Kind, Parsed};

/// A typed word as a tidy path relative to the project; unchanged if it may be an id (no slash, no dot). The folder
/// that contains all roots becomes the empty path.
pub(super) fn spelled(typed: &str, config: &Config, cwd: &Path) -> String {
    let may_be_id = !typed.contains(|c| c == '.' || std::path::is_separator(c));
    let path = if may_be_id { None } else { config.spelled(Path::new(typed), cwd) };
    slashed(&path.filter(|path| path.to_str().is_some()).unwrap_or_else(|| tidy(Path::new(typed))))
}

/// The plugins here, for a shell that completes a command line. Empty if they cannot be read.
#[must_use]
pub fn plugins_here() -> Vec<Candidate> {
    let Ok(config) = config::load(&cli::Args::default(), &World::real()) else { return Vec::new() };
    let Ok(mut plugins) = target::plugins(&config) else { return Vec::new() };
    let listing = Listing::read(&mut plugins, &config);
    let candidate = |Owner { id, path, kind, .. }| Candidate {
        id: id.to_string(),
        path: slashed(&path),
        has_switch: kind.map(Kind::has_switch),
    };
    listing.ids.into_iter().map(candidate).collect()
}

/// The plugins that a watch or a pass is limited to.
pub struct Scope {
    words: Vec<String>,
    cwd: PathBuf,
    /// Ids of broken files, with their paths: the engine knows a broken file only by its path.
    broken: BTreeMap<String, Vec<PathBuf>>,
}

impl Scope {
    /// Checks that each word, as the user typed it in `cwd`, names a watched folder or file, or the id of a plugin
    /// here.
    ///
    /// # Errors
    ///
    /// A word names nothing here, or `exclude` has a bad glob.
    pub fn read(words: &[String], config: &Config, cwd: &Path) -> Result<Self, Error> {
        let mut plugins = target::plugins(config)?;
        let (mut broken, mut listing) = (BTreeMap::new(), None);
        for typed in words {
            let spelled = spelled(typed, config, cwd);
            if names_path(&mut plugins, &spelled, config) {
                continue;
            }
            let listing = listing.get_or_insert_with(|| Listing::read(&mut plugins, config));
            let claims: Vec<_> = listing.ids.iter().filter(|claim| claim.id.as_str() == spelled).collect();
            if claims.is_empty() {
                return Err(refusal(typed, &spelled, listing));
            }
            if claims.iter().all(|claim| claim.kind.is_none()) {
                broken.insert(spelled, claims.iter().map(|claim| claim.path.to_path_buf()).collect());
            }
        }
        Ok(Self { words: words.to_vec(), cwd: cwd.to_owned(), broken })
    }

    /// The ids and paths under these settings; empty if one of the words means everything.
    #[must_use]
    pub fn only(&self, config: &Config) -> Vec<String> {
        let only: Vec<_> = self.words.iter().map(|typed| spelled(typed, config, &self.cwd)).collect();
        if only.iter().any(String::is_empty) {
            return Vec::new();
        }
        let paths = |word: String| match self.broken.get(&word) {
            Some(paths) => paths.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            None => vec![word],
        };
        only.into_iter().flat_map(paths).collect()
    }
}

/// Whether the walk of the roots admits this file or folder.
fn names_path(plugins: &mut Plugins, spelled: &str, config: &Config) -> bool {
    let path = Path::new(spelled);
    // The watch waits for a missing root.
    if config.roots.iter().any(|root| root.starts_with(path)) {
        return true;
    }
    let path: Arc<Path> = Arc::from(path);
    if path.is_dir() {
        let mut is_admitted = false;
        plugins.walk(&[Arc::clone(&path)], &mut |folder| is_admitted |= *folder == *path);
        return is_admitted;
    }
    plugins.read(&path, Trust::Closed) != Loaded::Missing
}

/// Everything that a word can name.
struct Listing {
    ids: Vec<Owner>,
    /// All files that the walk admits.
    paths: Vec<Arc<Path>>,
    missing: Vec<PathBuf>,
}

/// The id of a file.
struct Owner {
    id: PluginId,
    path: Arc<Path>,
    /// `None` if the file cannot be deployed as it stands.
    kind: Option<Kind>,
}

impl Listing {
    fn read(plugins: &mut Plugins, config: &Config) -> Self {
        let scan = plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut |_| ());
        let mut listing = Self { ids: Vec::new(), paths: Vec::new(), missing: scan.missing };
        for (path, loaded) in scan.files {
            let (id, kind) = match loaded {
                Loaded::Parsed(Parsed::Plugin(plugin)) => (Some(plugin.key.id.clone()), Some(plugin.key.kind)),
                Loaded::Parsed(Parsed::Disabled | Parsed::Invalid(_)) | Loaded::Unsettled => {
                    (id_of_broken(&path, config.files.get(&*path)), None)
                }
                Loaded::Parsed(Parsed::NotAPlugin) | Loaded::SameFile(_) | Loaded::Missing => (None, None),
            };
            if let Some(id) = id {
                listing.ids.push(Owner { id, path: Arc::clone(&path), kind });
            }
            listing.paths.push(path);
        }
        listing
    }

    /// The command, flag, id or path that a word probably misspells.
    fn nearest(&self, typed: &str, spelled: &str) -> Option<String> {
        let commands = cli::commands().into_iter().map(|name| {
            let last = name.rsplit([' ', '-']).next().unwrap_or_default();
            (likeness(typed, last), format!("owui-watch {name}"))
        });
        // Watching has no word of its own.
        let watch = (likeness(typed, "watch"), "owui-watch".to_owned());
        let ids = self.ids.iter().map(|claim| &claim.id);
        best([watch].into_iter().chain(commands).chain(plugins_like(
            spelled,
            ids,
            self.paths.iter().map(|path| &**path),
        )))
    }
}

fn refusal(typed: &str, spelled: &str, listing: &Listing) -> Error {
    if cli::commands().iter().any(|name| name == typed) {
        return Error::new(format!("`{typed}` is a command, and no plugin here has this id"))
            .hinted(format!("a command comes first: `owui-watch {typed}`"));
    }
    if Path::new(spelled).exists() {
        return Error::new(format!("`{typed}` is not watched"))
            .hinted("name a plugin file or a folder below a root; `exclude` and .gitignore must not leave it out");
    }
    let nearest = listing.nearest(typed, spelled);
    if let (Some(root), None) = (listing.missing.first(), &nearest) {
        return Error::new(format!("cannot look for `{typed}`: there is no folder `{}`", slashed(&root)))
            .hinted("create it, or set `root` in watch.toml (or --root) to the folder with the plugins");
    }
    let hint = match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None => "name a plugin by its id or path; `owui-watch --help` lists the commands".to_owned(),
    };
    Error::new(format!("`{typed}` is not the id or path of a plugin here")).hinted(hint)
}
