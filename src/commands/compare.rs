//! Compares files with the server: `diff` shows the differences, `pull` writes the server's text to the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use super::ask::agreed;
use super::history::{Text, chosen, dated, described, gather, text_of};
use super::server::{Server, text};
use super::target::{Files, Local, Target, claimed_id, no_folder};
use super::{CommandContext, failed, now};
use crate::disk::file;
use crate::engine::Code;
use crate::engine::deploy::{Backup, ListedRow};
use crate::engine::ledger::Rollback;
use crate::error::Error;
use crate::notice::{Between, Level, Notice, NoticeKind, Report, Subject, Task, Trouble, set_id};
use crate::output::{Screen, changed_lines, unified};
use crate::paths::{shell_word, slashed, without_dots};
use crate::plugin::{Digest, Key, Kind, normal};

/// With more plugins than this, read the server's whole tables.
const FEW: usize = 3;

/// The files and the server's rows for one command.
struct Compared<'a> {
    /// The plugins that the user named.
    names: Vec<String>,
    /// Whether everything is compared.
    both_ways: bool,
    /// Plugins that only the server has. Filled only when everything is compared.
    alone: BTreeSet<Key>,
    files: Files,
    targets: Vec<Target>,
    /// The server's texts; `None` for one that it does not show.
    stored: BTreeMap<Key, Option<String>>,
    /// Whether a comparison failed. The error is already printed.
    failed: bool,
    screen: &'a Screen,
}

impl<'a> Compared<'a> {
    /// Reads the named plugins, or everything; then also finds the plugins that only the server has.
    async fn read(context: &'a CommandContext, server: Server<'_>, typed: &[String]) -> Result<Self, Error> {
        let names: Vec<_> = typed.iter().map(|word| context.spelled(word)).collect();
        // No name means everything. So does the folder that contains all roots.
        let both_ways = names.is_empty() || names.iter().any(String::is_empty);
        let files = Files::read(&context.config)?;
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
            stored: BTreeMap::new(),
            failed: false,
            screen: &context.screen,
        };
        if both_ways {
            for folder in compared.files.missing.clone() {
                compared.fail(Subject::file(&Arc::from(&*folder)), Task::Compare, &no_folder(&folder, ""));
            }
            let unreadable: Vec<_> =
                compared.files.unreadable().map(|(path, error)| (Subject::file(path), error)).collect();
            for (about, error) in unreadable {
                compared.fail(about, Task::Compare, &error);
            }
        }
        let kinds: BTreeSet<_> = targets.iter().map(|target| target.key.kind).collect();
        for kind in Kind::ALL {
            let many = targets.len() > FEW && kinds.contains(&kind);
            if !many && !both_ways {
                continue;
            }
            match server.rows_with_texts(kind).await {
                Ok(Some(rows)) => compared.take_in(kind, rows, both_ways),
                Ok(None) if both_ways => {
                    context.screen.aside(&Notice::report(Subject::default(), Report::TooLarge(kind)));
                }
                Ok(None) => {}
                // An account may have access to one table only, and still read its own rows in the other.
                Err(why) if many || targets.is_empty() => return Err(why),
                Err(_) => {}
            }
        }
        // A missing folder hides its plugins: they may have files.
        if !compared.files.missing.is_empty() {
            compared.alone.clear();
        }
        for target in targets {
            compared.add(server, target).await?;
        }
        Ok(compared)
    }

    async fn add(&mut self, server: Server<'_>, target: Target) -> Result<(), Error> {
        // The server may return a partial list.
        if !self.stored.contains_key(&target.key)
            && let Some(row) = server.row(&target.key).await?
        {
            self.stored.insert(target.key.clone(), row.content);
        }
        self.targets.push(target);
        Ok(())
    }

    fn take_in(&mut self, kind: Kind, rows: Vec<ListedRow>, both_ways: bool) {
        for ListedRow { id, content, .. } in rows {
            let key = Key { kind, id };
            if both_ways && !self.files.has(&key) {
                self.alone.insert(key);
            } else if content.is_some() {
                self.stored.insert(key, content);
            }
        }
    }

    /// A plugin's text on the server.
    fn stored(&self, target: &Target) -> Result<Option<Text>, Error> {
        match self.stored.get(&target.key) {
            Some(stored) => Ok(Some(Text::new(text(&target.key, stored.as_deref())?))),
            None => Ok(None),
        }
    }

    fn fail(&mut self, about: Subject, task: Task, error: &Error) {
        self.screen.aside(&failed(about, task, error));
        self.failed = true;
    }
}

/// Shows where files and server differ; for a plugin and one of its earlier texts, where these two do. `stat`: only how
/// many lines.
///
/// # Errors
///
/// A word names no plugin and no text, or the server cannot be reached or denies access.
pub async fn diff(context: &CommandContext, typed: &[String], stat: bool) -> Result<Code, Error> {
    let server = Server::connect(context).await?;
    if let [name, wanted] = typed {
        let files = Files::read(&context.config)?;
        if files.find(&context.spelled(wanted), context, Some(server)).await?.is_empty() {
            let target = files.select_one(&context.spelled(name), context, Some(server)).await?;
            return diff_with_earlier(context, server, &target, wanted, stat).await;
        }
    }
    let mut compared = Compared::read(context, server, typed).await?;
    let screen = compared.screen;
    let base = patch_base(&compared.targets, context);
    let (mut same, mut differ) = (0, false);
    for target in std::mem::take(&mut compared.targets) {
        let stored = match compared.stored(&target) {
            Ok(stored) => stored,
            Err(refusal) => {
                compared.fail(target.subject(), Task::Compare, &refusal);
                continue;
            }
        };
        match (&target.local, stored) {
            (Some(local), Some(stored)) if local.digest == stored.digest => {
                same += 1;
                screen.aside(&Notice::report(target.subject(), Report::Same { level: Level::Detail }));
            }
            (Some(local), Some(stored)) => {
                differ = true;
                let path = in_patch(&local.path, &base, context);
                // Undo the server's rewriting of imports: it is not a difference.
                let theirs = normal::respelled(&stored.source, &local.text);
                let (from, to) = (format!("a/{path}\t(server)"), format!("b/{path}"));
                show(screen, target.subject(), Between::ServerAndFile, (&from, &theirs), (&to, &local.text), stat);
            }
            (Some(_), None) => {
                differ = true;
                screen.aside(&Notice::report(target.subject(), Report::NotOnServer { level: Level::Info }));
            }
            (None, Some(_)) => {
                differ = true;
                screen.aside(&Notice::report(target.subject(), Report::NoFile { listed: false }));
            }
            (None, None) => screen.aside(&Notice::report(target.subject(), Report::Nowhere)),
        }
    }
    tell_alone(&compared.alone, screen, true);
    if !differ && !compared.failed {
        screen.aside(&Notice::report(Subject::default(), Report::NoDifference { plugins: same }));
    }
    Ok(if differ || compared.failed { Code::NotDeployed } else { Code::Fine })
}

/// Shows where an earlier text and the file differ; without a file, the earlier text and the server's.
async fn diff_with_earlier(
    context: &CommandContext,
    server: Server<'_>,
    target: &Target,
    wanted: &str,
    stat: bool,
) -> Result<Code, Error> {
    let entries = gather(context, server, target).await?;
    let entry = chosen(&entries, Some(wanted), None, &target.key, &context.screen.commands)?;
    let earlier = text_of(entry, &target.key, server).await?;
    let (name, now) = if let Some(local) = &target.local {
        (in_patch(&local.path, &patch_base(slice::from_ref(target), context), context), Arc::clone(&local.text))
    } else {
        let current = entries.iter().find(|entry| entry.current).and_then(|entry| entry.text.as_ref());
        let current = current.ok_or_else(|| {
            Error::failed(format!("{} is neither here nor on the server: nothing to compare with", target.key))
        })?;
        (target.key.kind.file_name(&target.key.id), Arc::clone(&current.source))
    };
    if Digest::of_text(&now) == earlier.digest {
        context.screen.aside(&Notice::report(Subject::default(), Report::NoDifference { plugins: 1 }));
        return Ok(Code::Fine);
    }
    let earlier_text = normal::respelled(&earlier.source, &now);
    let from = format!("a/{name}\t{}", dated(entry));
    let (to, between) = (format!("b/{name}"), Between::EarlierAndNow(described(entry)));
    show(&context.screen, target.subject(), between, (&from, &earlier_text), (&to, &now), stat);
    Ok(Code::NotDeployed)
}

fn show(screen: &Screen, about: Subject, between: Between, from: (&str, &str), to: (&str, &str), stat: bool) {
    if stat {
        screen.say(&Notice::report(about, Report::ChangedLines(changed_lines(from.1, to.1))));
    } else {
        let diff = unified(from, to);
        screen.difference(&Notice::report(about, Report::Difference { diff, between }));
    }
}

/// Reports plugins that only the server has. They count as no difference: most belong to others.
fn tell_alone(alone: &BTreeSet<Key>, screen: &Screen, hinted: bool) {
    for key in alone {
        screen.aside(&Notice::report(key.into(), Report::NoFile { listed: true }));
    }
    if !alone.is_empty() {
        let keys = alone.iter().cloned().collect();
        screen.aside(&Notice::report(Subject::default(), Report::NoFiles { keys, hinted }));
    }
}

/// The folder that the paths of a patch are relative to, never with `..`: the current one if all files are in it, else
/// the project's.
fn patch_base(targets: &[Target], context: &CommandContext) -> PathBuf {
    let mut paths = targets.iter().filter_map(|target| target.local.as_ref()).map(|local| &local.path);
    if paths.all(|path| without_dots(&context.cwd.join(path)).starts_with(&context.cwd)) {
        context.cwd.clone()
    } else {
        without_dots(&context.cwd.join(&context.config.project))
    }
}

fn in_patch(path: &Path, base: &Path, context: &CommandContext) -> String {
    let full = without_dots(&context.cwd.join(path));
    slashed(full.strip_prefix(base).unwrap_or(&full)).trim_start_matches('/').to_owned()
}

/// Writes the server's texts to the files that differ; with `all`, also to new files.
pub async fn pull(context: &CommandContext, typed: &[String], all: bool) -> Result<Code, Error> {
    context.warn_of_unused_state();
    let server = Server::connect(context).await?;
    let mut compared = Compared::read(context, server, typed).await?;
    let screen = compared.screen;
    let one_by_one = !compared.both_ways;
    let new = if all { std::mem::take(&mut compared.alone) } else { BTreeSet::new() };
    if !new.is_empty() && !context.yes {
        tell_alone(&new, screen, false);
        let (root, n) = (first_root(context), new.len());
        let files = if n == 1 { "1 new file".to_owned() } else { format!("{n} new files") };
        if !agreed(&format!("write {files} to `{}`?", slashed(&root)), Task::Pull)? {
            screen.aside(&Notice::report(Subject::default(), Report::Declined { task: Task::Pull, folder: None }));
            return Ok(Code::NotDeployed);
        }
    }
    for key in new {
        compared.add(server, Target { key, local: None }).await?;
    }
    let mut pulled = 0;
    for target in std::mem::take(&mut compared.targets) {
        match take(context, &mut compared, &target) {
            Ok(PullResult::Pulled(notice)) => {
                pulled += 1;
                screen.say(&notice);
            }
            Ok(PullResult::Same) => {
                let level = if one_by_one { Level::Info } else { Level::Detail };
                screen.say(&Notice::report(target.subject(), Report::Same { level }));
            }
            Ok(PullResult::NotOnServer) => {
                compared.failed |= one_by_one;
                let level = if one_by_one { Level::Error } else { Level::Info };
                screen.aside(&Notice::report(target.subject(), Report::NotOnServer { level }));
            }
            Err(refusal) => compared.fail(target.subject(), Task::Pull, &refusal),
        }
    }
    tell_alone(&compared.alone, screen, true);
    if pulled == 0 && !one_by_one && !compared.failed {
        screen.aside(&Notice::report(Subject::default(), Report::NothingToPull));
    }
    Ok(if compared.failed { Code::NotDeployed } else { Code::Fine })
}

/// The result of pulling one plugin.
enum PullResult {
    Pulled(Box<Notice>),
    Same,
    NotOnServer,
}

fn take(context: &CommandContext, compared: &mut Compared, target: &Target) -> Result<PullResult, Error> {
    let Some(stored) = compared.stored(target)? else { return Ok(PullResult::NotOnServer) };
    let Some(local) = &target.local else { return write(context, compared, target, &stored) };
    if local.digest == stored.digest {
        return Ok(PullResult::Same);
    }
    if let Some(rival) = compared.files.rival(local, &compared.names) {
        let (path, id) = (slashed(&local.path), &target.key.id);
        let message = format!("`{path}` was not written: `{}` claims the id `{id}` as well", slashed(&rival));
        let command = context.screen.commands.line("pull", &shell_word(&path));
        let hint = format!("name the one that you mean, as in {command}, or exclude the other");
        return Err(Error::failed(message).hinted(hint));
    }
    check(context, &local.path, &stored, &target.key)?;
    let bytes = file::read(&local.path)?;
    let read = normal::clean(&bytes).ok().filter(|text| **text == *local.text);
    let read = read.ok_or_else(|| Error::failed(format!("`{}` has changed meanwhile", slashed(&local.path))))?;
    let copy = context.file_copies.save_local_file(&target.key, &bytes, local.digest, now())?;
    file::replace(&local.path, &bytes, &file::with_style_of(&normal::respelled(&stored.source, &read), &bytes))?;
    know(context, target, &stored)?;
    warn_if_not_deployed(compared, local, &stored);
    Ok(pulled(local, &stored, Report::Pulled { from_version: Text::new(&local.text).version, backup: Some(copy) }))
}

fn pulled(local: &Local, stored: &Text, report: Report) -> PullResult {
    let about = Subject { version: stored.version.clone(), digest: Some(stored.digest), ..local.subject() };
    PullResult::Pulled(Box::new(Notice::report(about, report)))
}

/// Records the server's text as ours, so that the next save does not count as replacing someone else's. Ends a
/// rollback.
fn know(context: &CommandContext, target: &Target, stored: &Text) -> anyhow::Result<()> {
    let text = stored.source.to_string();
    context.folder.archive_found(&Backup { key: target.key.clone(), text, digest: stored.digest }, now())?;
    context.folder.save_rollback(&target.key, &Rollback { local: None, server: stored.digest, done: true })
}

/// The folder for new files.
fn first_root(context: &CommandContext) -> &Path {
    context.config.roots.first().map_or(Path::new(""), |root| root)
}

/// Writes a text to a new file in the first root.
fn write(
    context: &CommandContext,
    compared: &mut Compared,
    target: &Target,
    stored: &Text,
) -> Result<PullResult, Error> {
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
    let local = Local { path, key: target.key.clone(), text: text.into(), digest: stored.digest, is_plugin: true };
    warn_if_not_deployed(compared, &local, stored);
    Ok(pulled(&local, stored, Report::Pulled { from_version: None, backup: None }))
}

/// Refuses a text that would give the file another id: the server would treat it as another plugin.
fn check(context: &CommandContext, path: &Path, stored: &Text, key: &Key) -> Result<(), Error> {
    match claimed_id(path, &stored.source, context.config.files.get(path)) {
        Some(id) if id == key.id => Ok(()),
        other => {
            let other = other.map_or("no usable id".to_owned(), |id| format!("the id `{id}`"));
            let about = Subject { path: Some(Arc::from(path)), ..Subject::default() };
            let hint = set_id(&about.in_project(&context.config.project), &key.id);
            let path = slashed(&path);
            Err(Error::failed(format!("`{path}` was not written: with the server's text it would have {other}"))
                .hinted(hint))
        }
    }
}

/// Warns if a watch would not deploy the file.
fn warn_if_not_deployed(compared: &mut Compared, local: &Local, stored: &Text) {
    if compared.files.deploys(&local.path, &local.key) != Some(stored.digest) {
        let what = NoticeKind::Trouble(Trouble::WouldNotDeploy(local.path.to_path_buf()));
        compared.screen.aside(&Notice { about: local.subject(), what });
    }
}
