//! Finds the plugins that a command is about: from the files, and from its arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::disk::{Plugins, ScanCache, Trust, file};
use crate::engine::files::Loaded;
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::id::{self, PluginId};
use crate::plugin::{Digest, FileSettings, Key, Kind, Parsed, normal};

use super::CommandContext;
use super::misspelled::nearest_plugin;
use super::server::Server;
use crate::error::Error;
use crate::notice::Subject;
use crate::paths::slashed;

/// A file that is a plugin, or was one before it was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) path: Arc<Path>,
    pub(super) key: Key,
    /// Without a byte order mark and with `\n` line ends.
    pub(super) text: Arc<str>,
    pub(super) digest: Digest,
    /// Whether it can be deployed as it stands.
    pub(super) is_plugin: bool,
}

/// A plugin that a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) key: Key,
    pub(super) local: Option<Local>,
}

/// The files under the roots.
pub(super) struct Files {
    plugins: Plugins,
    found: Vec<Local>,
    /// Files meant as plugins whose text cannot be read, with the reason.
    unreadable: Vec<(Arc<Path>, String)>,
    /// Links to plugins that are found by their own path.
    links: BTreeMap<Arc<Path>, PathBuf>,
    /// Plugins disabled in the settings.
    disabled: BTreeSet<Key>,
    /// The ids of files that cannot be compared.
    unread: BTreeSet<PluginId>,
    /// Missing roots.
    pub(super) missing: Vec<PathBuf>,
}

impl Local {
    pub(super) fn subject(&self) -> Subject {
        Subject { path: Some(Arc::clone(&self.path)), ..Subject::from(&self.key) }
    }
}

impl Target {
    pub(super) fn subject(&self) -> Subject {
        self.local.as_ref().map_or_else(|| Subject::from(&self.key), Local::subject)
    }
}

impl Files {
    pub(super) fn read(config: &Config) -> Result<Self, Error> {
        let plugins = plugins(config)?;
        let mut files = Self {
            plugins,
            found: Vec::new(),
            unreadable: Vec::new(),
            links: BTreeMap::new(),
            disabled: BTreeSet::new(),
            unread: BTreeSet::new(),
            missing: Vec::new(),
        };
        let scan = files.plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut |_| ());
        files.missing = scan.missing;
        for (path, loaded) in scan.files {
            match loaded {
                Loaded::Parsed(Parsed::Plugin(plugin)) => files.found.push(Local {
                    path,
                    key: plugin.key.clone(),
                    text: Arc::clone(&plugin.text),
                    digest: plugin.digest,
                    is_plugin: true,
                }),
                // A file without a digest could not be read, and cannot be now. An empty one may be of either kind.
                Loaded::Parsed(Parsed::Invalid(invalid)) if invalid.meant && !invalid.is_empty() => {
                    match invalid.digest.and_then(|_| broken(&path, config.files.get(&*path))) {
                        Some(local) => files.found.push(local),
                        None => files.add_unreadable(path, invalid.message(), config),
                    }
                }
                Loaded::Unsettled => files.add_unreadable(path, "being written".to_owned(), config),
                Loaded::SameFile(original) => drop(files.links.insert(path, original)),
                Loaded::Parsed(Parsed::Disabled) => {
                    files.disabled.extend(broken(&path, config.files.get(&*path)).map(|local| local.key));
                }
                Loaded::Parsed(Parsed::Invalid(_)) => {
                    files.unread.extend(id_of_broken(&path, config.files.get(&*path)));
                }
                Loaded::Parsed(Parsed::NotAPlugin) | Loaded::Missing => {}
            }
        }
        Ok(files)
    }

    fn add_unreadable(&mut self, path: Arc<Path>, why: String, config: &Config) {
        self.unread.extend(id_of_broken(&path, config.files.get(&*path)));
        self.unreadable.push((path, why));
    }

    /// All files that can be compared.
    pub(super) fn all(&self) -> impl Iterator<Item = Target> {
        self.found.iter().map(|local| Target { key: local.key.clone(), local: Some(local.clone()) })
    }

    /// Another file with the same id; `None` if the user named this one by path.
    pub(super) fn rival(&self, local: &Local, names: &[String]) -> Option<&Path> {
        if names.iter().any(|name| self.path(name) == &*local.path) {
            return None;
        }
        let rival = self.found.iter().find(|other| other.key == local.key && other.path != local.path);
        rival.map(|rival| &*rival.path)
    }

    /// The file for an argument that is a path.
    fn path<'n>(&'n self, name: &'n str) -> &'n Path {
        let path = Path::new(name);
        self.links.get(path).map_or(path, PathBuf::as_path)
    }

    /// Whether any file here may be this plugin.
    pub(super) fn has(&self, key: &Key) -> bool {
        let is_unread = self.unread.contains(&key.id);
        is_unread || self.disabled.contains(key) || self.found.iter().any(|local| local.key == *key)
    }

    /// Plugin files whose text cannot be read, each with the error.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (&Arc<Path>, Error)> {
        let error = |path: &Path, why: &str| Error::failed(format!("cannot compare `{}`: {why}", slashed(&path)));
        self.unreadable.iter().map(move |(path, why)| (path, error(path, why)))
    }

    /// The digest of the text that a deploy of this file would send now.
    pub(super) fn deploys(&mut self, path: &Arc<Path>, key: &Key) -> Option<Digest> {
        match self.plugins.read(path, Trust::Closed) {
            Loaded::Parsed(Parsed::Plugin(plugin)) if plugin.key == *key => Some(plugin.digest),
            Loaded::Parsed(_) | Loaded::SameFile(_) | Loaded::Missing | Loaded::Unsettled => None,
        }
    }

    /// The plugins for an argument: a path, a folder, an id, or an id with its kind. An error if there are none.
    pub(super) async fn select(
        &self,
        name: &str,
        context: &CommandContext,
        server: Option<Server<'_>>,
    ) -> Result<Vec<Target>, Error> {
        let found = self.find(name, context, server).await?;
        // No name means all plugins, which may be none.
        if found.is_empty() && !name.is_empty() { Err(self.unknown(name)) } else { Ok(found) }
    }

    /// Like [`Files::select`], but nothing for an argument that names no plugin.
    pub(super) async fn find(
        &self,
        name: &str,
        context: &CommandContext,
        server: Option<Server<'_>>,
    ) -> Result<Vec<Target>, Error> {
        if name.is_empty() {
            return Ok(self.all().collect());
        }
        if let Some(key) = with_kind(name) {
            return Ok(vec![self.target(key)?]);
        }
        let path = self.path(name);
        let is_below = |target: &Target| target.local.as_ref().is_some_and(|local| local.path.starts_with(path));
        let below: Vec<_> = self.all().filter(is_below).collect();
        if !below.is_empty() {
            return Ok(below);
        }
        if let Some((_, error)) = self.unreadable().find(|(file, _)| file.starts_with(path)) {
            return Err(error);
        }
        let Some(id) = PluginId::new(name) else { return Ok(Vec::new()) };
        let keys: BTreeSet<_> = self.found.iter().map(|local| &local.key).filter(|key| key.id == id).cloned().collect();
        let keys = if keys.is_empty() { known(&id, context, server).await? } else { keys.into_iter().collect() };
        match keys.as_slice() {
            [] => Ok(Vec::new()),
            [key] => Ok(vec![self.target(key.clone())?]),
            _ => Err(Error::new(format!("`{id}` is both a function and a tool"))
                .hinted(format!("write `function:{id}` or `tool:{id}`"))),
        }
    }

    /// Like [`Files::select`], for an argument that must name exactly one plugin.
    pub(super) async fn select_one(
        &self,
        name: &str,
        context: &CommandContext,
        server: Option<Server<'_>>,
    ) -> Result<Target, Error> {
        let mut targets = self.select(name, context, server).await?;
        match targets.pop() {
            Some(target) if targets.is_empty() => Ok(target),
            _ => {
                let name = if name.is_empty() { "." } else { name };
                Err(Error::new(format!("`{name}` does not name a single plugin"))
                    .hinted("name a single file, or an id"))
            }
        }
    }

    fn unknown(&self, name: &str) -> Error {
        unknown(name, self.found.iter().map(|local| &local.key.id), self.found.iter().map(|local| &*local.path))
    }

    /// A plugin with its file; an error if several files claim it.
    fn target(&self, key: Key) -> Result<Target, Error> {
        let claimants: Vec<_> = self.found.iter().filter(|local| local.key == key).collect();
        if let [first, second, ..] = claimants.as_slice() {
            let (first, second) = (slashed(&first.path), slashed(&second.path));
            return Err(Error::new(format!("`{first}` and `{second}` claim the id `{}`", key.id))
                .hinted("name the file that you mean, or exclude one of them"));
        }
        Ok(Target { local: claimants.first().map(|local| (*local).clone()), key })
    }
}

/// The error for a word that names no plugin, with the id or path that it probably misspells.
pub(super) fn unknown<'a>(
    name: &str,
    ids: impl Iterator<Item = &'a PluginId>,
    paths: impl Iterator<Item = &'a Path>,
) -> Error {
    let hint = match nearest_plugin(name, ids, paths) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "name it by its path or its id".to_owned(),
    };
    Error::new(format!("there is no plugin `{name}` here or on the server")).hinted(hint)
}

/// `tool:clock`
pub(super) fn with_kind(name: &str) -> Option<Key> {
    let (word, id) = name.split_once(':')?;
    let kind = Kind::from_word(word)?;
    Some(Key { kind, id: PluginId::new(id)? })
}

/// The plugins under the roots of these settings.
pub(super) fn plugins(config: &Config) -> anyhow::Result<Plugins> {
    let (roots, files) = (config.roots.clone(), config.files.clone());
    Plugins::new(roots, &config.exclude, &config.state, files, config.follow_links)
}

/// The error for a missing root, which is not created: it may be a typo.
pub(super) fn no_folder(folder: &Path, what_for: &str) -> Error {
    Error::new(format!("there is no folder `{}`{what_for}", slashed(&folder)))
        .hinted("create it, or set `root` in watch.toml (or --root) to the folder with the plugins")
}

/// The plugins with this id on the server or among our copies, for an id that no file has.
async fn known(id: &PluginId, context: &CommandContext, server: Option<Server<'_>>) -> Result<Vec<Key>, Error> {
    let (mut keys, mut refusal) = (Vec::new(), None);
    for kind in Kind::ALL {
        let key = Key { kind, id: id.clone() };
        let row = match server {
            Some(server) => server.row(&key).await,
            None => Ok(None),
        };
        let there = row.unwrap_or_else(|why| {
            refusal = Some(why);
            None
        });
        if there.is_some() || context.folder.has_copies(&key) {
            keys.push(key);
        }
    }
    match refusal {
        // An account may have access to one table only.
        Some(why) if keys.is_empty() => Err(why),
        Some(_) | None => Ok(keys),
    }
}

/// A file with errors, by its text.
pub(super) fn broken(path: &Arc<Path>, settings: Option<&FileSettings>) -> Option<Local> {
    let bytes = file::read(path).ok()?;
    let text = normal::clean(&bytes).ok()?;
    let id = claimed_id(path, &text, settings)?;
    // The text does not parse, so guess the kind.
    let has_tools = text.lines().any(|line| line.starts_with("class Tools"));
    let kind = settings.and_then(|settings| settings.kind);
    let kind = kind.unwrap_or(if has_tools { Kind::Tool } else { Kind::Function });
    let digest = Digest::of_text(&text);
    Some(Local { path: Arc::clone(path), key: Key { kind, id }, text: Arc::from(&*text), digest, is_plugin: false })
}

/// The id of a file that cannot be parsed.
pub(super) fn id_of_broken(path: &Path, settings: Option<&FileSettings>) -> Option<PluginId> {
    let text = file::read(path).ok().and_then(|bytes| Some(normal::clean(&bytes).ok()?.into_owned()));
    claimed_id(path, &text.unwrap_or_default(), settings)
}

/// The id that a file with this text has.
pub(super) fn claimed_id(path: &Path, text: &str, settings: Option<&FileSettings>) -> Option<PluginId> {
    let frontmatter = Frontmatter::parse(&normal::normal(text));
    id::choose(path, settings.and_then(|settings| settings.id.as_deref()), frontmatter.id()).ok()
}
