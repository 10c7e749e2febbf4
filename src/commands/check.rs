//! `check`: finds mistakes in plugins without a server. Needs no settings: in any folder it reads the plugins below it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::misspelled::nearest_plugin;
use super::words::spelled;
use super::{print_warnings, target};
use crate::check;
use crate::cli::{Args, CheckFormat};
use crate::config::{self, Config, World};
use crate::disk::{Folder, Plugins, ScanCache, Trust, file};
use crate::engine::Code;
use crate::engine::files::Loaded;
use crate::error::Error;
use crate::notice::{A_PLUGIN_IS, Level, Notice, NoticeKind, Trouble};
use crate::output::{CheckOutput, Repository, Screen};
use crate::paths::{is_under, slashed};
use crate::plugin::id::PluginId;
use crate::plugin::{Diagnostic, Parsed, Plugin, Severity, Syntax};
use crate::server_version::ServerVersion;

/// The arguments of `check`.
pub struct CheckRequest {
    /// Paths, folders and ids; empty for all plugins.
    pub words: Vec<String>,
    /// The form of the output.
    pub format: CheckFormat,
    /// Whether warnings count for the exit code.
    pub strict: bool,
    /// Whether to mend what is certain, and then whether to write it.
    pub fix: Option<bool>,
    /// The server's version.
    pub version: Option<String>,
    /// The rule to explain instead.
    pub explain: Option<String>,
}

/// A file that was read.
struct Checked {
    path: Arc<Path>,
    /// `None` if it cannot be deployed as it stands.
    plugin: Option<Arc<Plugin>>,
    diagnostics: Vec<Diagnostic>,
}

/// Checks the plugins, and prints what is wrong with them.
///
/// # Errors
///
/// The settings are invalid, or a word names nothing.
pub fn check(args: &Args, world: &World, screen: &Screen, request: &CheckRequest) -> Result<Code, Error> {
    if let Some(rule) = &request.explain {
        return explain(rule);
    }
    let given = request.version.as_deref().map(version).transpose()?;
    let is_configured = args.config.is_some() || !args.root.is_empty() || world.cwd.join("watch.toml").is_file();
    let mut args = args.clone();
    let words = &request.words;
    if !is_configured {
        args.root = roots(words, world)?;
    }
    let config = config::load(&args, world)?;
    print_warnings(&config, screen);
    if words.is_empty() {
        let is_here = |path: &Path| config.roots.iter().any(|root| is_under(path, root));
        for path in config.files.keys().filter(|path| is_here(path) && !world.cwd.join(path).exists()) {
            screen.aside(&Notice::general(NoticeKind::Trouble(Trouble::UnusedTable(path.clone()))));
        }
    }
    let version = given.unwrap_or_else(|| version_of_server(&config));
    let read = || read(&config, words, &world.cwd, version, is_configured);
    let mut checked = read()?;
    let output = CheckOutput::new(request.format, version, repository(&world.cwd));
    if let Some(writes) = request.fix {
        let mended = mend(&checked, &config, version, &output, writes)?;
        if writes && mended > 0 {
            checked = read()?;
        }
    }

    let diagnostics: Vec<_> = checked.iter().flat_map(|file| &file.diagnostics).collect();
    output.print(&diagnostics);
    let plugins = checked.iter().filter(|file| file.plugin.is_some() || !file.diagnostics.is_empty()).count();
    if plugins == 0 {
        screen.aside(&nothing_found(&config, words));
    }
    let with_problems = checked.iter().filter(|file| file.diagnostics.iter().any(|it| it.severity() != Severity::Info));
    let count = |severity| diagnostics.iter().filter(|it| it.severity() == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let is_said = plugins == 0 && matches!(request.format, CheckFormat::Text | CheckFormat::Concise);
    if screen.least < Level::Warning && !is_said {
        output.summary(errors, warnings, with_problems.count(), plugins);
    }
    let fails = errors > 0 || request.strict && warnings > 0;
    Ok(if fails { Code::NotDeployed } else { Code::Fine })
}

/// That there was no plugin to check. It is a warning: the user named nothing that is missing.
fn nothing_found(config: &Config, words: &[String]) -> Notice {
    if words.is_empty() {
        return Notice::general(NoticeKind::NothingFound { roots: config.roots.clone() });
    }
    Notice::general(NoticeKind::Trouble(Trouble::NoPluginIn(words.to_vec())))
}

/// A named folder without a plugin: its name is probably misspelled.
fn without_plugins(folder: &str, config: &Config, cwd: &Path) -> Error {
    let path = cwd.join(folder);
    let is_read = config.roots.iter().any(|root| {
        let root = cwd.join(root);
        path.starts_with(&root) || root.starts_with(&path)
    });
    let roots: Vec<_> = config.roots.iter().map(|root| format!("`{}`", slashed(&root))).collect();
    Error::new(format!("there is no plugin in `{folder}`")).hinted(if is_read {
        A_PLUGIN_IS.to_owned()
    } else {
        format!("the settings name {}: use `--root` for another folder", roots.join(", "))
    })
}

fn version(text: &str) -> Result<ServerVersion, Error> {
    let version = ServerVersion::parse(text).ok_or_else(|| {
        Error::new(format!("`{text}` is no version")).hinted("write it as in `--server-version 0.9.6`")
    })?;
    if version < ServerVersion::oldest() {
        return Err(Error::new(format!("nothing is known of Open WebUI {version}"))
            .hinted(format!("the oldest known version is {}", ServerVersion::oldest())));
    }
    Ok(version)
}

/// The git repository around a folder.
fn repository(cwd: &Path) -> Option<Repository> {
    let top = cwd.ancestors().find(|folder| folder.join(".git").exists())?;
    Some(Repository { cwd: cwd.to_owned(), top: top.to_owned() })
}

/// The version that the server had when a watch last heard of it.
fn version_of_server(config: &Config) -> ServerVersion {
    ServerVersion::of_server(Folder::new(config.state.clone(), &config.url).version().as_deref())
}

/// Prints the page of a rule, or the list of all.
fn explain(id: &str) -> Result<Code, Error> {
    let text = if id == "all" {
        let width = check::all_rules().map(|rule| rule.id.len()).max().unwrap_or_default();
        let line =
            |rule: &check::CheckRule| format!("{:width$}  {:7}  {}\n", rule.id, rule.severity.word(), rule.title);
        check::all_rules().map(line).collect()
    } else {
        let rule = check::all_rules().find(|rule| rule.id == id);
        let page = rule.map(check::CheckRule::explanation);
        page.ok_or_else(|| Error::new(format!("there is no rule `{id}`")).hinted(check::instead_of(id)))?
    };
    CheckOutput::page(&text);
    Ok(Code::Fine)
}

/// Without settings, the roots are the folders that the user names, or the current one.
fn roots(words: &[String], world: &World) -> Result<Vec<PathBuf>, Error> {
    let here = || PathBuf::from(".");
    let is_outside = |word: &String| {
        let path = Path::new(word);
        path.is_absolute() && !path.starts_with(&world.cwd) || path.starts_with("..")
    };
    if !words.iter().any(is_outside) {
        return Ok(vec![here()]);
    }
    let mut roots: Vec<PathBuf> = Vec::new();
    for word in words {
        let path = Path::new(word);
        let full = world.cwd.join(path);
        if !full.exists() {
            return Err(Error::new(format!("there is no file or folder `{word}`")));
        }
        let folder = if full.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
        let folder = if folder.as_os_str().is_empty() { here() } else { folder.to_owned() };
        if !roots.iter().any(|root| is_under(&folder, root)) {
            roots.retain(|root| !is_under(root, &folder));
            roots.push(folder);
        }
    }
    Ok(roots)
}

/// Reads and checks the files under the roots that the words name, on all cores.
fn read(
    config: &Config,
    words: &[String],
    cwd: &Path,
    version: ServerVersion,
    is_project: bool,
) -> Result<Vec<Checked>, Error> {
    let names: Vec<_> = words.iter().map(|word| spelled(word, config, cwd)).collect();
    let is_named = |name: &String, path: &Path, id: Option<&PluginId>| {
        id.is_some_and(|id| id.as_str() == name) || name.is_empty() || path.starts_with(name)
    };
    let found = Mutex::new(BTreeMap::new());
    let on_plugin = |plugin: &Plugin, syntax: &Syntax| {
        if names.is_empty() || names.iter().any(|name| is_named(name, &plugin.path, Some(&plugin.key.id))) {
            let options = config.checks.options(&plugin.path, version);
            let checked = check::check_syntax(plugin, &plugin.text, syntax, &options);
            found.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&plugin.path), checked);
        }
    };
    let mut plugins: Plugins = target::plugins(config)?.within(&config.root_bounds);
    let scan = plugins.scan_and(Trust::Closed, &mut ScanCache::default(), &mut |_| (), &on_plugin);
    if let Some(missing) = scan.missing.first() {
        return Err(target::no_folder(missing, ""));
    }
    let mut files: Vec<(Arc<Path>, Loaded)> = scan.files;
    files.sort_by(|a, b| a.0.cmp(&b.0));
    // The settings say which files are one project; else only those that the user names are looked at together.
    let of_project = is_project.then(|| check::ids_twice(plugins_of(&files), true, |_| None));
    if !names.is_empty() {
        let mut used = vec![false; names.len()];
        files.retain(|(path, loaded)| {
            let id = if let Loaded::Parsed(Parsed::Plugin(plugin)) = loaded { Some(&plugin.key.id) } else { None };
            let mut wanted = false;
            for (_, used) in names.iter().zip(&mut used).filter(|(name, _)| is_named(name, path, id)) {
                (*used, wanted) = (true, true);
            }
            wanted
        });
        if let Some(n) = used.iter().position(|used| !used) {
            if cwd.join(&words[n]).is_dir() {
                return Err(without_plugins(&words[n], config, cwd));
            }
            let paths = files.iter().map(|(path, _)| &**path);
            let near = nearest_plugin(&names[n], std::iter::empty(), paths);
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            return Err(Error::new(format!("no plugin here is called `{}`", words[n])).hinted_if(hint));
        }
    }
    let guessed = || check::ids_twice(plugins_of(&files), false, |path| project_around(cwd, path));
    let mut twice = of_project.unwrap_or_else(guessed);
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let options = config.checks.options(Path::new(""), version);
    let mut together = check::check_together(&found, &options);
    let mut checked: Vec<_> = files.into_iter().filter_map(|(path, loaded)| checked(path, loaded)).collect();
    let has_plugin = |name: &String| {
        checked.iter().any(|file| is_named(name, &file.path, file.plugin.as_ref().map(|plugin| &plugin.key.id)))
    };
    let empty = names.iter().zip(words).filter(|(name, _)| !has_plugin(name)).map(|(_, word)| word);
    if let Some(folder) = empty.into_iter().find(|word| cwd.join(word).is_dir()) {
        return Err(without_plugins(folder, config, cwd));
    }
    for file in &mut checked {
        file.diagnostics.extend(found.remove(&file.path).unwrap_or_default().diagnostics);
        file.diagnostics.extend(together.remove(&file.path).unwrap_or_default());
        file.diagnostics.extend(twice.remove(&file.path));
        file.diagnostics.sort_by_key(|it| it.span.as_ref().map_or((0, 0), |span| (span.line, span.column)));
    }
    Ok(checked)
}

fn plugins_of(files: &[(Arc<Path>, Loaded)]) -> impl Iterator<Item = &Plugin> {
    files.iter().filter_map(|(_, loaded)| match loaded {
        Loaded::Parsed(Parsed::Plugin(plugin)) => Some(&**plugin),
        _ => None,
    })
}

/// The nearest folder around a file that is a project of its own: a repository, or a folder with settings.
fn project_around(cwd: &Path, file: &Path) -> Option<PathBuf> {
    let is_project = |folder: &&Path| folder.join(".git").exists() || folder.join("watch.toml").is_file();
    cwd.join(file).ancestors().skip(1).find(is_project).map(Path::to_owned)
}

/// The parser's own diagnostics of a file; `None` if it is not meant as a plugin.
fn checked(path: Arc<Path>, loaded: Loaded) -> Option<Checked> {
    match loaded {
        Loaded::Parsed(Parsed::Plugin(plugin)) => {
            Some(Checked { path, diagnostics: plugin.warnings.clone(), plugin: Some(plugin) })
        }
        Loaded::Parsed(Parsed::Invalid(invalid)) if invalid.meant => {
            Some(Checked { path, diagnostics: invalid.diagnostics, plugin: None })
        }
        Loaded::Parsed(Parsed::Invalid(_) | Parsed::NotAPlugin | Parsed::Disabled)
        | Loaded::SameFile(_)
        | Loaded::Missing
        | Loaded::Unsettled => None,
    }
}

/// Shows the fixes that are certain, and writes them if `writes`. Answers how many files have one.
fn mend(
    files: &[Checked],
    config: &Config,
    version: ServerVersion,
    output: &CheckOutput,
    writes: bool,
) -> Result<usize, Error> {
    let (mut total, mut fixed) = (0, 0);
    for file in files {
        let Some(plugin) = &file.plugin else { continue };
        let options = config.checks.options(&file.path, version);
        let Some((new, count)) = check::mended(plugin, &plugin.text, &options) else { continue };
        output.difference(&file.path, &plugin.text, &new);
        if writes {
            let old = file::read(&file.path)?;
            // The text that was checked, in the style of the file.
            if file::with_style_of(&plugin.text, &old) != old {
                return Err(Error::failed(format!(
                    "`{}` was not fixed: it has changed meanwhile",
                    slashed(&file.path)
                ))
                .hinted("if its line endings are mixed, save it with one kind"));
            }
            file::replace(&file.path, &old, &file::with_style_of(&new, &old))?;
        }
        total += count;
        fixed += 1;
    }
    output.fixes(total, fixed, writes);
    Ok(fixed)
}
