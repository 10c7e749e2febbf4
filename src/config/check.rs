//! Checks across settings: roots exist and do not overlap, globs can match, tables name files below a root,
//! certificates are readable, and the project's own files stay within their limits.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ignore::gitignore::GitignoreBuilder;

use super::command_line;
use super::error::why;
use super::key::FoundKey;
use super::layers::Merged;
use super::paths::{spelled, ticked};
use super::schema::{Form, KEYS, PluginSettings, Settings};
use super::secret::{masked, with_host};
use super::trust::{LOG_COMMAND, Project};
use super::{CaFile, ConfigError, Sources, World};
use crate::cli::{Args, Command};
use crate::engine::files::Links;
use crate::paths::{canonical, shell_word, slashed, tidy, without_dots};
use crate::plugin::Digest;

impl Merged {
    /// Checks that paths in the project's own files stay inside the project, unless the user agreed. Returns the bounds
    /// of the roots.
    pub(super) fn stay_inside(
        &self,
        settings: &Settings,
        folder: &Path,
        project: &Project<'_>,
    ) -> Result<Vec<PathBuf>, ConfigError> {
        let check = |key: &str, path: &Path| project.check_path(key, &format!("`{key}`"), &self.place_of(key), path);
        let mut root_bounds = Vec::new();
        // The default is a name in the project, which may be a link.
        if self.from_project.contains("root") || self.origin("root").is_none() {
            root_bounds.push(folder.to_owned());
            for root in &settings.root {
                if self.origin("root").is_some() {
                    check("root", root)?;
                } else {
                    project.check_link("root", root)?;
                }
                root_bounds.extend(project.outside(root));
            }
        }
        for key in KEYS.iter().filter(|key| key.form == Form::Path && self.from_project.contains(key.name)) {
            if let Some(path) = self.values.get(key.name).and_then(|path| path.clone().into_string().ok()) {
                check(key.name, Path::new(&path))?;
            }
        }
        if self.from_project.contains("follow_links") && settings.follow_links == Links::Anywhere {
            let question = "follow links to files outside the folder".to_owned();
            project.check("follow_links", "follow_links anywhere".to_owned(), question, || {
                self.at("follow_links", "links to anywhere may lead outside the folder")
            })?;
        }
        Ok(root_bounds)
    }

    /// Checks that a project's own files name no command that is run without the user's consent. Answers whether the
    /// user declined it in this run: then it does not run.
    pub(super) fn check_log_command(
        &self,
        settings: &Settings,
        project: &Project<'_>,
        args: &Args,
    ) -> Result<bool, ConfigError> {
        let runs_it = match &args.command {
            None => !args.one_pass(),
            Some(Command::Trust { .. } | Command::Service { .. } | Command::Doctor { .. }) => true,
            Some(_) => false,
        };
        let ours = settings.log_command.as_ref().filter(|_| runs_it && self.from_project.contains("log_command"));
        let Some(words) = ours else { return Ok(false) };
        let command = command_line::join(words);
        let grant = format!("{LOG_COMMAND} {command}");
        if project.is_declined(&grant) {
            return Ok(true);
        }
        let question = format!(
            "run `{command}` in this folder during each watch, for the server's log; it can run files of this folder, also \
             after they change"
        );
        let not_agreed = || {
            let place = masked(&self.place_of("log_command"));
            ConfigError::verbatim(format!(
                "cannot run `{command}`: {place} names that command, and you have not agreed to it"
            ))
        };
        project.check("log_command", grant, question, not_agreed).map(|()| false)
    }

    /// The folder for `log_command`. A command of the user's must not find programs and files of a cloned folder.
    pub(super) fn log_folder(&self, project: &Path, world: &World) -> PathBuf {
        if self.from_project.contains("log_command") {
            return project.to_owned();
        }
        // Without a home, the top has no files of the project.
        let top = || world.cwd.ancestors().last().map(Path::to_owned);
        world.home.clone().filter(|home| home.is_absolute()).or_else(top).unwrap_or_default()
    }

    /// Checks that the user's key goes only to an address that the user chose.
    pub(super) fn check_destination(
        &self,
        url: &str,
        certificates: Option<&CaFile>,
        found: Option<&FoundKey>,
        project: &Project<'_>,
        args: &Args,
    ) -> Result<(), ConfigError> {
        let origin = match (found, &args.command) {
            // The sandbox's server needs no key.
            (_, Some(Command::Sandbox { .. })) => return Ok(()),
            (Some(found), _) if found.is_users => format!("your API key from {}", found.origin),
            // A service may have a key that is not visible here.
            (None, Some(Command::Trust { .. })) => "your API key".to_owned(),
            (Some(_) | None, _) => return Ok(()),
        };
        let (origin, shown) = (masked(&origin), with_host(url));
        if self.from_project.contains("url") && url != self.users_url {
            let place = masked(&self.place_of("url"));
            project.check("url", format!("url {url}"), format!("send {origin} to {shown}"), || {
                ConfigError::verbatim(format!(
                    "cannot send {origin} to {shown}: {place} sets that address, and you have not agreed to it"
                ))
            })?;
        }
        // The owner of a trusted certificate can impersonate any server.
        if let Some(CaFile { path, pem }) = certificates.filter(|_| self.from_project.contains("ca_file"))
            && url.starts_with("https:")
        {
            let (place, path) = (masked(&self.place_of("ca_file")), masked(&ticked(path)));
            let question = format!("send {origin} to any server with a certificate from {path}");
            project.check("ca_file", format!("ca_file {}", Digest::of(pem.as_bytes())), question, || {
                ConfigError::verbatim(format!(
                    "cannot send {origin} to {shown}: {place} trusts the certificates in {path}, and you have not agreed \
                     to them"
                ))
            })?;
        }
        Ok(())
    }

    /// Checks that the roots are folders and do not overlap. With `waits`, they may be missing.
    pub(super) fn roots(&self, written: &[PathBuf], waits: bool, world: &World) -> Result<Vec<PathBuf>, ConfigError> {
        let mut roots: Vec<(PathBuf, PathBuf)> = Vec::new();
        for root in written {
            let cannot = |cause: &str| ConfigError::new(format!("cannot watch {}: {cause}", ticked(root)));
            let real = match canonical(&world.cwd.join(root)) {
                Ok(real) => real,
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(&why(&error))),
                // An API key in place of a folder is an error at once, and is not shown.
                Err(_) if waits && root.to_str().is_none_or(|root| masked(root) == root) => {
                    without_dots(&world.cwd.join(root))
                }
                Err(_) => {
                    let inside = world.cwd.ancestors().find(|folder| folder.ends_with(root));
                    let around = inside.and_then(|folder| folder.ancestors().nth(root.components().count()));
                    let is_project = world.cwd.join("watch.toml").exists();
                    return Err(cannot("there is no such folder").hinted(match around.filter(|_| !is_project) {
                        Some(around) => format!("you are inside such a folder: run owui-watch in {}", ticked(around)),
                        None => "create it, or set `root` in watch.toml (or --root) to the folder with the plugins"
                            .to_owned(),
                    }));
                }
            };
            if real.exists() && !real.is_dir() {
                return Err(cannot("it is not a folder").hinted(format!(
                    "`root` is the folder around it\n`owui-watch {}` limits a run to this plugin",
                    shell_word(&slashed(&root))
                )));
            }
            if let Some((other, _)) =
                roots.iter().find(|(_, other)| real.starts_with(other) || other.starts_with(&real))
            {
                if *other == *root {
                    continue;
                }
                return Err(self
                    .at("root", format!("{} and {} hold the same files", ticked(other), ticked(root)))
                    .hinted("a root covers the folders below it: name only the outer one"));
            }
            roots.push((root.clone(), real));
        }
        if roots.is_empty() {
            return Err(self.at("root", "`root` names no folder"));
        }
        Ok(roots.into_iter().map(|(root, _)| root).collect())
    }

    /// Checks that each glob can match something.
    pub(super) fn exclude(&self, globs: &[String], roots: &[PathBuf], world: &World) -> Result<(), ConfigError> {
        for (n, glob) in globs.iter().enumerate() {
            GitignoreBuilder::new("").add_line(None, glob).map_err(|error| {
                let cause = if let ignore::Error::Glob { err, .. } = &error { err.clone() } else { error.to_string() };
                self.at("exclude", format!("`{glob}` is not a glob: {cause}"))
            })?;
            if let Some(cause) = never_matches(glob, n == 0) {
                return Err(self.at("exclude", format!("`{glob}` never matches: {cause}")));
            }
            // The user's own globs apply to all projects, and need not match here.
            let meant = from_above_the_root(glob, roots, world).filter(|_| self.from_project.contains("exclude"));
            if let Some(meant) = meant {
                return Err(self
                    .at("exclude", format!("`{glob}` never matches: a path in it starts at the root"))
                    .hinted(format!("did you mean `{meant}`?")));
            }
        }
        Ok(())
    }

    /// The tables for single files, by the path of the file as the walk spells it.
    pub(super) fn plugins(
        &self,
        tables: &BTreeMap<PathBuf, PluginSettings>,
        roots: &[PathBuf],
        project: &Path,
        world: &World,
    ) -> Result<BTreeMap<PathBuf, PluginSettings>, ConfigError> {
        let mut files = BTreeMap::new();
        for (path, table) in tables {
            let spelled = spelled(path, roots, &world.cwd);
            if spelled.is_none() {
                self.refuse_from_root(path, roots, project, world)?;
            }
            // With --root, tables for files elsewhere are fine.
            files.insert(spelled.unwrap_or_else(|| tidy(path)), table.clone());
        }
        Ok(files)
    }

    /// Refuses a path written relative to a root: it would match no file.
    fn refuse_from_root(
        &self,
        path: &Path,
        roots: &[PathBuf],
        project: &Path,
        world: &World,
    ) -> Result<(), ConfigError> {
        let written = path.strip_prefix(project).unwrap_or(path);
        let meant = roots.iter().map(|root| root.join(written)).find(|meant| world.cwd.join(meant).is_file());
        let Some(meant) = meant else { return Ok(()) };
        let problem = format!("`[plugins.\"{}\"]` is for a file that is not below a root", slashed(written));
        let meant = slashed(meant.strip_prefix(project).unwrap_or(&meant));
        Err(ConfigError::at(&self.place_of_table(path, written), problem)
            .hinted(format!("a path starts at the folder of watch.toml: [plugins.\"{meant}\"]")))
    }

    /// Reads certificates, and checks them as far as possible without parsing.
    pub(super) fn certificates(
        &self,
        path: &Path,
        world: &World,
        sources: &mut Sources,
    ) -> Result<CaFile, ConfigError> {
        let cannot = |cause: &str| self.at("ca_file", format!("`ca_file` is {}, and {cause}", ticked(path)));
        let bytes = sources.bytes(path, world)?.ok_or_else(|| cannot("there is no such file"))?;
        if bytes.is_empty() {
            return Err(cannot("that is empty"));
        }
        match String::from_utf8(bytes) {
            Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Ok(CaFile { path: path.to_owned(), pem }),
            Ok(pem) if pem.contains("PRIVATE KEY-----") => {
                Err(cannot("that is a private key").hinted("name the file with the certificate, which is no secret"))
            }
            Ok(_) | Err(_) => Err(cannot("there is no certificate in it that begins with -----BEGIN CERTIFICATE-----")
                .hinted("`openssl x509 -inform der -in FILE -out FILE.pem` converts a .cer or .der file")),
        }
    }
}

/// Why a glob can never match.
fn never_matches(glob: &str, is_first: bool) -> Option<&'static str> {
    let bare = glob.strip_prefix('!').unwrap_or(glob).trim_end();
    let path = bare.strip_prefix('/').unwrap_or(bare);
    let path = path.strip_suffix('/').unwrap_or(path);
    if glob.starts_with('#') {
        Some("`#` begins a comment; write `\\#`")
    } else if path.is_empty() {
        Some("it names nothing")
    } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("it has an empty part, `.` or `..` between the slashes")
    } else if is_first && glob.starts_with('!') {
        Some("`!` takes back an earlier pattern, and there is none")
    } else {
        None
    }
}

/// The intended glob for one written from above the roots, such as `plugins/old/`.
fn from_above_the_root(glob: &str, roots: &[PathBuf], world: &World) -> Option<String> {
    let path = Path::new(glob.strip_prefix('/').unwrap_or(glob));
    let first = path.iter().next()?;
    // A root may contain such a folder.
    if roots.iter().any(|root| world.cwd.join(root).join(first).exists()) {
        return None;
    }
    let full = |root: &PathBuf| without_dots(&world.cwd.join(root));
    let starts = roots.iter().flat_map(|root| [root.clone(), full(root).iter().skip(1).collect()]);
    let rests = starts.into_iter().filter_map(|start| path.strip_prefix(start).ok().map(Path::to_owned));
    let rest = rests.filter(|rest| !rest.as_os_str().is_empty()).min_by_key(|rest| rest.as_os_str().len())?;
    let slash = if glob.ends_with('/') { "/" } else { "" };
    Some(format!("/{}{slash}", slashed(&rest)))
}
