//! The files against the server's rows: `diff` shows where they differ, and `pull` writes the server's text to the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::history::Text;
use super::screen::{Line, Screen, agreed};
use super::server::{Server, text};
use super::target::{Files, Local, Target, claimed_id, no_folder};
use super::{CommandContext, now};
use crate::disk::file;
use crate::engine::Code;
use crate::engine::deploy::{Backup, Row};
use crate::engine::ledger::Rollback;
use crate::error::Error;
use crate::notice::Level;
use crate::plugin::id::PluginId;
use crate::plugin::{Key, Kind, normal};

/// With more plugins than this the server's tables are asked for as a whole.
const FEW: usize = 3;

/// How many of the plugins that are on the server alone are named in one line.
const MOST_NAMED: usize = 5;

/// What a command compares.
struct Compared {
    /// What was named.
    names: Vec<String>,
    /// Whether everything is compared.
    both_ways: bool,
    /// What the server has and no file is, where everything is compared.
    alone: BTreeSet<Key>,
    files: Files,
    targets: Vec<Target>,
    rows: BTreeMap<Key, Row>,
    /// What could not be compared was said already.
    failed: bool,
    screen: Screen,
}

impl Compared {
    /// Compares what is named, or everything, and then also finds what is on the server alone.
    async fn read(context: &CommandContext, server: Server<'_>, typed: &[String]) -> Result<Self, Error> {
        let names: Vec<_> = typed.iter().map(|word| context.spelled(word)).collect();
        // No name means everything, and so does the folder around all roots.
        let both_ways = names.is_empty() || names.iter().any(String::is_empty);
        let (files, screen) = (Files::read(&context.config)?, Screen::new(context));
        let mut targets = Vec::new();
        if both_ways {
            targets.extend(files.all());
        }
        for name in names.iter().filter(|_| !both_ways) {
            let new = files.select(name, context, Some(server)).await?;
            targets.extend(new.into_iter().filter(|target| !targets.contains(target)).collect::<Vec<_>>());
        }
        let mut compared = Self {
            names,
            both_ways,
            alone: BTreeSet::new(),
            files,
            targets: Vec::new(),
            rows: BTreeMap::new(),
            failed: false,
            screen,
        };
        if both_ways {
            for folder in compared.files.missing.clone() {
                compared.failed(Line::new("not_compared", "").at(&folder), &no_folder(&folder, ""));
            }
            for (path, why) in compared.files.unreadable() {
                let line = Line::new("not_compared", format!("cannot compare `{}`: {why}", path.display()));
                screen.aside(&line.at(path).level(Level::Error));
                compared.failed = true;
            }
        }
        let kinds: BTreeSet<_> = targets.iter().map(|target| target.key.kind).collect();
        for kind in Kind::ALL {
            let many = targets.len() > FEW && kinds.contains(&kind);
            if !many && !both_ways {
                continue;
            }
            match server.rows(kind).await {
                Ok(Some(rows)) => compared.take_in(kind, rows, both_ways),
                Ok(None) if both_ways => {
                    let message = format!("the server's {}s are too large to be listed; those here are", kind.word());
                    screen.aside(&Line::new("not_compared", message + " compared").level(Level::Warning));
                }
                Ok(None) => {}
                // An account may be let in to the one table and not to the other, and read its own rows alone.
                Err(why) if many || targets.is_empty() => return Err(why),
                Err(_) => {}
            }
        }
        // With a folder its plugins are gone from sight, and not only from here.
        if !compared.files.missing.is_empty() {
            compared.alone.clear();
        }
        for target in targets {
            compared.add(server, target).await?;
        }
        Ok(compared)
    }

    async fn add(&mut self, server: Server<'_>, target: Target) -> Result<(), Error> {
        // A list may be empty or partial for reasons of its own.
        if !self.rows.contains_key(&target.key)
            && let Some(row) = server.row(&target.key).await?
        {
            self.rows.insert(target.key.clone(), row);
        }
        self.targets.push(target);
        Ok(())
    }

    fn take_in(&mut self, kind: Kind, rows: Vec<Row>, both_ways: bool) {
        for row in rows {
            let Some(key) = PluginId::new(&row.id).map(|id| Key { kind, id }) else { continue };
            if both_ways && !self.files.has(&key) {
                self.alone.insert(key);
            } else if row.content.is_some() {
                self.rows.insert(key, row);
            }
        }
    }

    /// What the server holds of a plugin.
    fn stored(&self, target: &Target) -> Result<Option<Text>, Error> {
        match self.rows.get(&target.key) {
            Some(row) => Ok(Some(Text::new(text(&target.key, row)?))),
            None => Ok(None),
        }
    }

    fn failed(&mut self, line: Line, refusal: &Error) {
        self.screen.aside(&line.failing(refusal));
        self.failed = true;
    }
}

/// A plugin as messages name it.
fn called(target: &Target) -> String {
    match &target.local {
        Some(local) => format!("`{}`", local.path.display()),
        None => target.key.to_string(),
    }
}

fn about(event: &'static str, message: impl Into<String>, target: &Target) -> Line {
    let line = Line::new(event, message).of(&target.key);
    match &target.local {
        Some(local) => line.at(&local.path),
        None => line,
    }
}

/// Shows where the files differ from what the server holds.
pub async fn diff(context: &CommandContext, typed: &[String]) -> Result<Code, Error> {
    let mut compared = Compared::read(context, Server::connect(context).await?, typed).await?;
    let screen = compared.screen;
    let (mut same, mut differ) = (0, false);
    for target in std::mem::take(&mut compared.targets) {
        let stored = match compared.stored(&target) {
            Ok(stored) => stored,
            Err(refusal) => {
                compared.failed(about("not_compared", "", &target), &refusal);
                continue;
            }
        };
        match (&target.local, stored) {
            (Some(local), Some(stored)) if local.digest == stored.digest => {
                same += 1;
                let line = about("same", format!("{} is as the server holds it", called(&target)), &target);
                screen.aside(&line.level(Level::Detail));
            }
            (Some(local), Some(stored)) => {
                differ = true;
                let path = slashed(&local.path);
                let line = about("difference", format!("{} differs from the server", called(&target)), &target);
                // As the file would have it: the server's rewriting is no difference.
                let theirs = normal::respelled(&stored.source, &local.text);
                let (from, to) = (format!("a/{path}\t(server)"), format!("b/{path}"));
                screen.difference(line, (&from, &theirs), (&to, &local.text));
            }
            (Some(_), None) => {
                differ = true;
                screen.aside(&about("not_on_server", format!("{} is not on the server", called(&target)), &target));
            }
            (None, Some(_)) => {
                differ = true;
                let hint = format!("`owui-watch pull {}` writes one", target.key.id);
                screen.aside(&about("no_file", format!("{} has no file here", called(&target)), &target).hinted(hint));
            }
            (None, None) => {
                let message = format!("{} is neither here nor on the server", called(&target));
                screen.aside(&about("no_file", message, &target));
            }
        }
    }
    tell_alone(&compared.alone, screen, Some(WRITES_THEM));
    if !differ && !compared.failed {
        let plugins = if same == 1 { "1 plugin".to_owned() } else { format!("{same} plugins") };
        screen.aside(&Line::new("no_difference", format!("no difference ({plugins})")));
    }
    Ok(if differ || compared.failed { Code::NotDeployed } else { Code::Fine })
}

/// How to get files for plugins that only the server has.
const WRITES_THEM: &str = "`owui-watch pull ID` writes one, `owui-watch pull --all` writes all of them";

/// Reports plugins that only the server has. They count as no difference: most belong to others.
fn tell_alone(alone: &BTreeSet<Key>, screen: Screen, hint: Option<&str>) {
    for key in alone {
        let line = Line::new("no_file", format!("{key} has no file here")).of(key);
        screen.aside(&line.level(Level::Detail));
    }
    let mut named: Vec<_> = alone.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    if alone.len() > MOST_NAMED {
        named.push(format!("{} more (--verbose names them)", alone.len() - MOST_NAMED));
    }
    let (named, has) = match named.split_last() {
        None => return,
        Some((only, [])) => (only.clone(), "1 plugin of the server has".to_owned()),
        Some((last, others)) => {
            (format!("{} and {last}", others.join(", ")), format!("{} plugins of the server have", alone.len()))
        }
    };
    let line = Line::new("no_files", format!("{has} no file here: {named}"));
    let line = line.with("plugins", json!(alone.len()));
    screen.aside(&match hint {
        Some(hint) => line.hinted(hint),
        None => line,
    });
}

/// A path as patches name it, on every system.
fn slashed(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/").trim_start_matches('/').to_owned()
}

/// Writes the server's texts to the files that have others; with `all`, also to new files.
pub async fn pull(context: &CommandContext, typed: &[String], all: bool) -> Result<Code, Error> {
    Screen::new(context).warn_of_unused_state(&context.folder);
    let server = Server::connect(context).await?;
    let mut compared = Compared::read(context, server, typed).await?;
    let screen = compared.screen;
    let one_by_one = !compared.both_ways;
    let new = if all { std::mem::take(&mut compared.alone) } else { BTreeSet::new() };
    if !new.is_empty() && !context.yes {
        tell_alone(&new, screen, None);
        let (root, n) = (first_root(context), new.len());
        let files = if n == 1 { "1 new file".to_owned() } else { format!("{n} new files") };
        if !agreed(&format!("write {files} to `{}`?", root.display()), "nothing was written")? {
            screen.aside(&Line::new("left_alone", "nothing was written"));
            return Ok(Code::NotDeployed);
        }
    }
    for key in new {
        compared.add(server, Target { key, local: None }).await?;
    }
    let mut pulled = 0;
    for target in std::mem::take(&mut compared.targets) {
        match take(context, &mut compared, &target) {
            Ok(Came::Pulled(line)) => {
                pulled += 1;
                screen.say(&line);
            }
            Ok(Came::Same) => {
                let level = if one_by_one { Level::Info } else { Level::Detail };
                let message = format!("{} is as the server holds it", called(&target));
                screen.say(&about("same", message, &target).level(level));
            }
            Ok(Came::NotThere) => {
                let line = about("not_on_server", format!("{} is not on the server", called(&target)), &target);
                if one_by_one {
                    compared.failed = true;
                    screen.aside(&line.level(Level::Error));
                } else {
                    screen.aside(&line);
                }
            }
            Err(refusal) => compared.failed(about("not_pulled", "", &target), &refusal),
        }
    }
    tell_alone(&compared.alone, screen, Some(WRITES_THEM));
    if pulled == 0 && !one_by_one && !compared.failed {
        screen.aside(&Line::new("no_difference", "nothing to pull: no file differs from the server"));
    }
    Ok(if compared.failed { Code::NotDeployed } else { Code::Fine })
}

/// What came of pulling one plugin.
enum Came {
    Pulled(Line),
    Same,
    NotThere,
}

fn take(context: &CommandContext, compared: &mut Compared, target: &Target) -> Result<Came, Error> {
    let Some(stored) = compared.stored(target)? else { return Ok(Came::NotThere) };
    let Some(local) = &target.local else { return write(context, compared, target, &stored) };
    if local.digest == stored.digest {
        return Ok(Came::Same);
    }
    if let Some(rival) = compared.files.rival(local, &compared.names) {
        let (path, id) = (local.path.display(), &target.key.id);
        let message = format!("`{path}` was not written: `{}` claims the id `{id}` as well", rival.display());
        let hint = format!("name the one that you mean, as in `owui-watch pull {path}`, or exclude the other");
        return Err(Error::failed(message).hinted(hint));
    }
    check(context, &local.path, &stored, &target.key)?;
    let bytes = file::read(&local.path)?;
    let read = normal::clean(&bytes).ok().filter(|text| **text == *local.text);
    let read = read.ok_or_else(|| Error::failed(format!("{} was changed meanwhile", called(target))))?;
    let copy = context.folder.save_local_file(&target.key, &bytes, local.digest, now())?;
    file::replace(&local.path, &bytes, &file::with_style_of(&normal::respelled(&stored.source, &read), &bytes))?;
    know(context, target, &stored)?;
    let was = Text::new(&local.text).version;
    let versions = match (&was, &stored.version) {
        (was, now) if was == now => now.as_ref().map(|now| format!(" {now}")).unwrap_or_default(),
        (was, now) => format!(" {} → {}", was.as_deref().unwrap_or("none"), now.as_deref().unwrap_or("none")),
    };
    let message = format!("pulled {}{versions}; what was in it is in {}", local.path.display(), copy.display());
    let line = about("pulled", message, target)
        .with("version", json!(stored.version))
        .with("digest", json!(stored.digest))
        .with("from_version", json!(was))
        .with("backup", json!(copy.display().to_string()));
    found(compared, local, &stored, target);
    Ok(Came::Pulled(line))
}

/// Takes the server's text for ours from here on, with a copy of it: the next save replaces nobody else's text. A rollback
/// is over.
fn know(context: &CommandContext, target: &Target, stored: &Text) -> anyhow::Result<()> {
    let text = stored.source.to_string();
    context.folder.archive_found(&Backup { key: target.key.clone(), text, digest: stored.digest }, now())?;
    context.folder.save_rollback(&target.key, &Rollback { local: None, server: stored.digest, done: true })
}

/// Where new files go.
fn first_root(context: &CommandContext) -> &Path {
    context.config.roots.first().map_or(Path::new(""), |root| root)
}

/// Writes a text to a file of its own, in the first root.
fn write(context: &CommandContext, compared: &mut Compared, target: &Target, stored: &Text) -> Result<Came, Error> {
    let root = first_root(context);
    let name = target.key.kind.file_name(&target.key.id);
    let path: Arc<Path> = if root == Path::new(".") { Path::new(&name).into() } else { root.join(&name).into() };
    if compared.files.missing.iter().any(|missing| missing == root) {
        return Err(no_folder(root, &format!(" to write `{name}` into")));
    }
    check(context, &path, stored, &target.key)?;
    let text = normal::respelled(&stored.source, "");
    file::create(&path, text.as_bytes())?;
    know(context, target, stored)?;
    let line = Line::new("pulled", format!("pulled {} to {}, which is new", target.key, path.display()))
        .of(&target.key)
        .at(&path)
        .with("version", json!(stored.version))
        .with("digest", json!(stored.digest));
    let local = Local { path, key: target.key.clone(), text: text.into(), digest: stored.digest, is_plugin: true };
    found(compared, &local, stored, target);
    Ok(Came::Pulled(line))
}

/// A file with another id would be another plugin on the server.
fn check(context: &CommandContext, path: &Path, stored: &Text, key: &Key) -> Result<(), Error> {
    match claimed_id(path, &stored.source, context.config.files.get(path)) {
        Some(id) if id == key.id => Ok(()),
        other => {
            let other = other.map_or("no usable id".to_owned(), |id| format!("the id `{id}`"));
            let path = path.display();
            Err(Error::failed(format!("`{path}` was not written: with the server's text it would have {other}"))
                .hinted(format!("give the file its id in watch.toml: [plugins.\"{path}\"] with id = \"{}\"", key.id)))
        }
    }
}

/// Warns if a watch would not deploy the file.
fn found(compared: &mut Compared, local: &Local, stored: &Text, target: &Target) {
    if compared.files.deploys(&local.path, &target.key) != Some(stored.digest) {
        let message = format!("`{}` is no plugin that a run would deploy", local.path.display());
        let hint = "it is excluded, or has a flaw that `owui-watch --once --dry-run` names";
        compared.screen.aside(&about("trouble", message, target).hinted(hint).level(Level::Warning));
    }
}
