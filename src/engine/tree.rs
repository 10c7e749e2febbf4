//! What the disk holds, as far as it was read: files to read, ids that several files claim, missing roots, and the
//! complaints told about them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::files::{File, Files, Loaded, Owner};
use super::plan::Decision;
use super::{Effect, Engine, Now, Scan};
use crate::notice::{Notice, NoticeKind, Subject};
use crate::paths::is_under;
use crate::plugin::{Invalid, Key, Parsed, Plugin, Rule, Severity};

/// How long an empty or missing file may take to become complete before its state counts.
const HOLD: Duration = Duration::from_millis(300);
/// The pause before such a file is read again.
const REREAD: Duration = Duration::from_millis(40);
/// How long `--once` waits for a file that is written all the time.
const ONCE_HOLD: Duration = Duration::from_secs(10);
/// A plugin deployed less than this ago is hot: a formatter may still be at work on the save.
const HOT: Duration = Duration::from_secs(1);
/// How long the file of a hot plugin waits for one more save before it is read.
const HOT_QUIET: Duration = Duration::from_millis(150);
/// Events of a file within this time are one save: an editor may move the file aside, write it anew and sync it. No
/// formatter is as quick.
const ONE_SAVE: Duration = Duration::from_millis(20);

/// The disk.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: Files,
    /// The files that the engine before a reload knew, until they are read again, or found to be gone.
    pub(super) handed_over: BTreeMap<Arc<Path>, File>,
    /// Paths that are being read, or will be read again.
    pub(super) pending: BTreeMap<Arc<Path>, Pending>,
    /// The files that were read while it was uncertain what the settings say: they may be for others.
    pub(super) doubtful: BTreeSet<Arc<Path>>,
    /// Ids that several files seem to claim, with the files that have been read again since.
    pub(super) rechecked: BTreeMap<Key, BTreeSet<Arc<Path>>>,
    /// Conflicts that the user was told of.
    pub(super) conflicts: BTreeMap<Key, Vec<Arc<Path>>>,
    /// What the user was last told is wrong with a file.
    pub(super) complaints: BTreeMap<Arc<Path>, Complaint>,
    /// Missing roots, as told to the user.
    pub(super) missing: Vec<PathBuf>,
    /// A scan is running.
    pub(super) scanning: bool,
    /// When to tell that it takes long, until that is told.
    pub(super) scan_slow_at: Option<Duration>,
    /// The same for a walk of new folders.
    pub(super) walk_slow_at: Option<Duration>,
}

/// A path that is being read, or will be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// When its change was first seen.
    pub(super) since: Duration,
    /// When to read it; `None` while it is being read.
    pub(super) due: Option<Duration>,
    /// Why it is read again, if it is.
    pub(super) held: Held,
    /// When it was saved; `None` if it was found by a scan.
    pub(super) saved: Option<Duration>,
}

impl Pending {
    /// A path that is read at once.
    pub(super) fn new(since: Duration, saved: Option<Duration>) -> Self {
        Self { since, due: None, held: Held::No, saved }
    }
}

/// Why a path is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It has not been read yet.
    No,
    /// It was empty, or changed while it was read.
    Incomplete,
    /// It was missing.
    Missing,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The file has an error, the server refused it, or its deploy failed.
    Error,
    /// The user must decide.
    Held,
    /// An earlier text was put back on the server.
    RolledBack,
}

impl Tree {
    /// The id of the file at this path, if several files claim it.
    pub(super) fn contested_key(&self, path: &Path) -> Option<Key> {
        let key = &self.files.get(path)?.plugin()?.key;
        self.rechecked.contains_key(key).then(|| key.clone())
    }

    /// Whether other files claim the id of this one.
    fn is_contested(&self, path: &Path) -> bool {
        let plugin = self.files.get(path).and_then(File::plugin);
        plugin.is_some_and(|plugin| matches!(self.files.owner(&plugin.key), Owner::Conflict(_)))
    }

    /// Whether there was a file at this path when it was read last.
    fn knew(&self, path: &Path) -> bool {
        self.files.get(path).is_some() || self.handed_over.contains_key(path)
    }

    /// Whether a file was missing a moment ago, and may come back.
    pub(super) fn is_missing(&self, path: &Arc<Path>) -> bool {
        self.pending.get(path).is_some_and(|pending| pending.held == Held::Missing)
    }

    /// The owner of an id, without files that were missing a moment ago.
    pub(super) fn present_owner(&self, key: &Key) -> Owner {
        let Owner::Conflict(paths) = self.files.owner(key) else { return self.files.owner(key) };
        let present: Vec<_> = paths.into_iter().filter(|path| !self.is_missing(path)).collect();
        match present.as_slice() {
            [path] => {
                let plugin = self.files.get(path).and_then(File::plugin);
                plugin.map_or(Owner::None, |plugin| Owner::One(Arc::clone(plugin)))
            }
            _ => Owner::Conflict(present),
        }
    }

    /// Whether one claim fewer changes the decision about an id.
    pub(super) fn is_open_question(&self, key: &Key) -> bool {
        self.files.owner(key) == Owner::None || self.conflicts.contains_key(key) || self.rechecked.contains_key(key)
    }

    /// The ids of the files here, including those of broken files. Files that were missing a moment ago do not count:
    /// they may have been renamed.
    pub(super) fn claimed_elsewhere(&self) -> impl Iterator<Item = &Key> {
        let files = self.files.iter().filter(|(path, _)| !self.is_missing(path));
        files.filter_map(|(_, file)| file.known()).map(|plugin| &plugin.key)
    }

    /// Whether any file is broken. Once repaired, it may turn out to be the plugin that is gone.
    pub(super) fn has_broken_files(&self) -> bool {
        self.files.iter().any(|(_, file)| file.is_broken())
    }

    /// Whether a file's folder still has plugins, at any depth. If not, a share may have been unmounted.
    pub(super) fn has_plugins_beside(&self, path: &Path) -> bool {
        let Some(folder) = path.parent() else { return false };
        let mut beside = self.files.iter().filter(|(other, _)| other.starts_with(folder));
        beside.any(|(other, file)| (file.plugin().is_some() || file.is_broken()) && !self.is_missing(other))
    }

    /// Whether a file that a scan found incomplete may still turn out to claim any id. Not for long: a file may be
    /// written all the time.
    pub(super) fn awaits_first_reading(&self, now: Now) -> bool {
        let is_unread = |(path, pending): (&Arc<Path>, &Pending)| {
            pending.saved.is_none() && now.at < pending.since + HOLD && self.files.get(path).is_none()
        };
        self.pending.iter().any(is_unread)
    }

    /// Notes that the user was told of an error in a plugin, or that its text waits for a decision of the user.
    pub(super) fn complain(&mut self, plugin: &Plugin, complaint: Complaint) {
        self.complaints.insert(Arc::clone(&plugin.path), complaint);
    }

    /// Whether a path is in a missing root: its state counts again when the root is back.
    pub(super) fn is_out_of_reach(&self, path: &Path) -> bool {
        self.missing.iter().any(|root| is_under(path, root))
    }
}

impl Engine {
    pub(super) fn on_scanned(&mut self, scan: Scan, now: Now) {
        let missing_before = std::mem::replace(&mut self.tree.missing, scan.missing);
        let found: BTreeSet<_> = scan.files.iter().map(|(path, _)| Arc::clone(path)).collect();
        let known = self.tree.files.iter().map(|(path, _)| path).chain(self.tree.handed_over.keys());
        let vanished: Vec<_> =
            known.filter(|path| !found.contains(*path) && !self.tree.is_out_of_reach(path)).cloned().collect();
        for (path, loaded) in scan.files {
            self.on_loaded(path, loaded, now);
        }
        (self.tree.scanning, self.tree.scan_slow_at) = (false, None);
        self.tree.rechecked.clear();
        let keys: Vec<_> = self.tree.files.keys().cloned().collect();
        for key in keys {
            if let Owner::Conflict(paths) = self.tree.files.owner(&key) {
                self.conflict(&key, paths);
            }
        }
        if self.first_pass && self.policy.once.is_none() {
            let is_sole = |plugin: &&Arc<Plugin>| matches!(self.tree.files.owner(&plugin.key), Owner::One(_));
            let found = self.tree.files.plugins().filter(|plugin| self.policy.selects_plugin(plugin)).filter(is_sole);
            // The number that the pass will compare; unread files count as plugins.
            let unread = self.tree.pending.values().filter(|pending| pending.held != Held::Missing).count();
            let plugins = found.count() + self.n_skipped() + unread;
            let (roots, server) = (self.policy.roots.clone(), self.policy.server.clone());
            self.tell(Notice::general(NoticeKind::Ready { roots, plugins, server }));
        }
        // A file that the scan did not find counts as gone only once its own path is read.
        for path in vanished {
            if !self.tree.pending.contains_key(&path) {
                // No event said that it is gone: it may be back by now.
                self.reread(path, Pending::new(now.at, Some(now.at)));
            }
        }
        let missing = self.tree.missing.clone();
        for root in missing.iter().filter(|root| !missing_before.contains(root)) {
            self.tell(Notice::general(NoticeKind::RootMissing { root: root.clone() }));
        }
        for root in missing_before.into_iter().filter(|root| !missing.contains(root)) {
            self.tell(Notice::general(NoticeKind::RootBack { root }));
        }
        self.advance_probe(now);
    }

    /// Reads a path that may have changed: at once, unless a formatter may still save it again. It waits for one more
    /// save only: if a program saves all the time, its saves are sent as fast as the server takes them.
    pub(super) fn on_ready(&mut self, path: Arc<Path>, saved: Duration, now: Now) {
        let before = self.tree.pending.get(&path).copied();
        let pending = Pending { saved: Some(saved), ..before.unwrap_or_else(|| Pending::new(now.at, None)) };
        let key = self.tree.files.get(&path).and_then(File::plugin).map(|plugin| &plugin.key);
        let hot = key.is_some_and(|key| self.is_hot(key, now.at));
        let same_save = |pending: Pending| pending.held == Held::No && now.at < pending.since + ONE_SAVE;
        match before.filter(|pending| pending.due.is_some()) {
            None if hot && before.is_none() => {
                self.tree.pending.insert(path, Pending { due: Some(now.at + HOT_QUIET), ..pending });
            }
            Some(waiting) if hot && same_save(waiting) => drop(self.tree.pending.insert(path, pending)),
            _ => self.read(path, pending),
        }
    }

    /// Whether a formatter may still be at work on this plugin, since its last deploy began only a moment ago.
    pub(super) fn is_hot(&self, key: &Key, saved: Duration) -> bool {
        self.site.lanes.get(key).and_then(|lane| lane.sent).is_some_and(|sent| saved < sent + HOT)
    }

    pub(super) fn read(&mut self, path: Arc<Path>, pending: Pending) {
        self.tree.pending.insert(Arc::clone(&path), Pending { due: None, ..pending });
        self.effects.push(Effect::Read(path));
    }

    pub(super) fn reread(&mut self, path: Arc<Path>, pending: Pending) {
        self.tree.pending.insert(Arc::clone(&path), Pending { due: None, ..pending });
        self.effects.push(Effect::Reread(path));
    }

    pub(super) fn on_loaded(&mut self, path: Arc<Path>, loaded: Loaded, now: Now) {
        let pending = self.tree.pending.remove(&path);
        let since = pending.map_or(now.at, |pending| pending.since);
        let waited_enough = now.at >= since + HOLD;
        if pending.is_some_and(|pending| pending.held == Held::Incomplete) && loaded != Loaded::Unsettled {
            self.restart_removals(now);
        }
        let loaded = match loaded {
            // A watch can wait; a single pass must end.
            Loaded::Unsettled if self.policy.once.is_some() && now.at >= since + ONCE_HOLD => {
                let rule = Rule::Unreadable("it is being written all the time".to_owned());
                Loaded::Parsed(Parsed::Invalid(Invalid::unread(&path, rule)))
            }
            loaded => loaded,
        };
        let hold = match &loaded {
            Loaded::Unsettled => true,
            Loaded::Missing => !waited_enough && self.tree.knew(&path),
            // A save that is half done must not leave a contested id to the other file.
            Loaded::Parsed(Parsed::Invalid(flaw)) => {
                let is_half = self.tree.is_contested(&path) || flaw.is_empty();
                is_half && !waited_enough
            }
            Loaded::Parsed(_) | Loaded::SameFile(_) => false,
        };
        if self.is_held {
            self.tree.doubtful.insert(Arc::clone(&path));
        } else if !hold {
            self.tree.doubtful.remove(&path);
        }
        if hold {
            self.hold(&path, &loaded, pending, now);
        } else {
            self.accept(path, &loaded, since, pending.and_then(|pending| pending.saved), now);
        }
        self.advance_probe(now);
    }

    /// Reads an incomplete file again soon. Meanwhile a missing file has no claim on its id.
    pub(super) fn hold(&mut self, path: &Arc<Path>, loaded: &Loaded, pending: Option<Pending>, now: Now) {
        let since = pending.map_or(now.at, |pending| pending.since);
        let saved = pending.and_then(|pending| pending.saved);
        if pending.is_none_or(|pending| pending.held == Held::No) {
            self.tell(Notice { about: Subject::file(path), what: NoticeKind::Held });
        }
        let missing = *loaded == Loaded::Missing;
        let held = if missing { Held::Missing } else { Held::Incomplete };
        self.tree.pending.insert(Arc::clone(path), Pending { since, due: Some(now.at + REREAD), held, saved });
        if let (true, Some(key)) = (missing, self.tree.contested_key(path)) {
            self.consider(&key, since, now);
        }
    }

    /// Takes a reading as the state of the file, and decides what follows.
    pub(super) fn accept(
        &mut self,
        path: Arc<Path>,
        loaded: &Loaded,
        since: Duration,
        saved: Option<Duration>,
        now: Now,
    ) {
        let handed_over = self.tree.handed_over.remove(&path);
        let before = match loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => {
                self.tree.files.put(Arc::clone(&path), File::Plugin(Arc::clone(plugin)))
            }
            Loaded::Parsed(Parsed::Invalid(flaw)) => {
                let was = self.tree.files.get(&path).and_then(File::known).cloned();
                self.tree.files.put(Arc::clone(&path), File::Flawed { flaw: flaw.clone(), was })
            }
            Loaded::Parsed(Parsed::NotAPlugin | Parsed::Disabled) | Loaded::SameFile(_) => {
                self.tree.files.put(Arc::clone(&path), File::Other)
            }
            Loaded::Missing | Loaded::Unsettled => self.tree.files.remove(&path).or(handed_over),
        };
        let was = before.as_ref().and_then(File::plugin).cloned();
        self.on_file_gone(&path, loaded, before.as_ref(), now);
        self.tell_loaded(&path, loaded, before.as_ref(), saved.is_some(), now);
        let is = match loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => Some(plugin.key.clone()),
            _ => None,
        };
        if let (Loaded::Parsed(Parsed::Plugin(plugin)), Some(saved)) = (loaded, saved) {
            self.reconsider_refusal(plugin, saved);
            if matches!(self.decide(plugin), Decision::Deploy(_) | Decision::Check) {
                self.try_soon();
            }
        }
        if let Some(was) = was
            && is.as_ref() != Some(&was.key)
            && self.tree.is_open_question(&was.key)
        {
            self.on_claim_gone(&was.key, since, now);
        }
        if let Some(key) = is {
            if let Some(lane) = self.site.lanes.get_mut(&key) {
                lane.removal = None;
            }
            if let Some(checked) = self.tree.rechecked.get_mut(&key) {
                checked.insert(path);
            } else {
                self.tree.rechecked.insert(key.clone(), BTreeSet::from([path]));
            }
            self.consider(&key, since, now);
        }
    }

    /// Decides about an id that one file no longer claims. The remaining file may have changed since it was read, so it
    /// is read again.
    fn on_claim_gone(&mut self, key: &Key, since: Duration, now: Now) {
        let was_read = |path| self.tree.rechecked.get(key).is_some_and(|checked| checked.contains(path));
        match self.tree.present_owner(key) {
            Owner::One(plugin) if !self.tree.scanning && !was_read(&plugin.path) => {
                if !self.tree.pending.contains_key(&plugin.path) {
                    self.reread(Arc::clone(&plugin.path), Pending::new(since, None));
                }
            }
            Owner::None | Owner::One(_) | Owner::Conflict(_) => self.consider(key, since, now),
        }
    }

    /// Tells what is in a file that was read: everything after a save, only what is new after a scan.
    pub(super) fn tell_loaded(
        &mut self,
        path: &Arc<Path>,
        loaded: &Loaded,
        before: Option<&File>,
        saved: bool,
        now: Now,
    ) {
        let was = before.and_then(File::plugin);
        let about = Subject::file(path);
        match loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => {
                if !self.policy.selects_plugin(plugin) {
                    return;
                }
                if let Some(was) = was
                    && was.key != plugin.key
                    && self.is_left_behind(&was.key)
                {
                    self.tell_id_changed(plugin, &was.key);
                }
                if was.is_none_or(|was| was.digest != plugin.digest) {
                    for warning in &plugin.warnings {
                        self.tell(Notice::of(plugin, NoticeKind::Surprising(warning.clone())));
                    }
                }
            }
            Loaded::Parsed(Parsed::Invalid(flaw)) => {
                let known = matches!(before, Some(File::Flawed { flaw: before, .. }) if before == flaw);
                let was = before.and_then(File::known);
                if self.policy.selects(path, was.map(|was| was.key.id.as_str())) && (saved || !known) {
                    let about = was.map_or(about, |was| Subject { version: None, digest: None, ..(&**was).into() });
                    self.tree.complaints.insert(Arc::clone(path), Complaint::Error);
                    for diagnostic in flaw.diagnostics.iter().cloned() {
                        let what = match diagnostic.severity() {
                            Severity::Error => {
                                NoticeKind::Flawed { diagnostic, digest: flaw.digest, meant: flaw.meant }
                            }
                            Severity::Warning | Severity::Info => NoticeKind::Surprising(diagnostic),
                        };
                        self.tell(Notice { about: about.clone(), what });
                    }
                }
            }
            Loaded::Parsed(Parsed::Disabled) => self.tell(Notice { about, what: NoticeKind::Disabled }),
            Loaded::SameFile(original) => {
                self.tell(Notice { about, what: NoticeKind::SameFile { original: original.clone() } });
            }
            Loaded::Parsed(Parsed::NotAPlugin) | Loaded::Missing | Loaded::Unsettled => {}
        }
        // What was broken and never a plugin has no id to tell it by.
        if let Some(file @ File::Flawed { was: None, .. }) = before
            && !matches!(loaded, Loaded::Parsed(Parsed::Plugin(_) | Parsed::Invalid(_)))
            && self.tree.complaints.remove(path).is_some()
        {
            let file_there = *loaded != Loaded::Missing || file.is_unreadable_folder();
            let what = NoticeKind::Removed { file_there, on_server: false, next: None };
            self.tell(Notice { about: Subject::file(path), what });
        }
        let gone = matches!(loaded, Loaded::Missing | Loaded::Parsed(Parsed::NotAPlugin | Parsed::Disabled));
        if let (true, Some(was)) = (gone, before.and_then(File::known))
            && self.tree.files.owner(&was.key) == Owner::None
            && self.policy.selects_plugin(was)
        {
            let file_there = *loaded != Loaded::Missing;
            if let Some(renamed) = self.renamed_to(was, now).filter(|_| !file_there) {
                self.tell_id_changed(&renamed, &was.key);
            } else {
                let leaves = self.site.lanes.get(&was.key).is_some_and(|lane| lane.removal.is_some());
                let next = leaves.then_some((self.policy.on_delete, self.policy.gone_after));
                let on_server = self.site.ledger.get(&was.key).is_some_and(|record| record.deployed.is_some());
                self.tell(Notice::of(was, NoticeKind::Removed { file_there, on_server, next }));
                if let Some(lane) = self.site.lanes.get_mut(&was.key) {
                    lane.renamed_from = None;
                }
            }
            // Without a file, the user may delete it on the server.
            self.record_seen(&was.key, None);
        }
    }

    /// Several files claim one id. After a rename the old path is gone: read the files again before telling a conflict.
    pub(super) fn recheck_claims(&mut self, key: &Key, paths: Vec<Arc<Path>>, since: Duration) {
        let checked = self.tree.rechecked.get(key).cloned().unwrap_or_default();
        let unchecked: Vec<_> = paths.iter().filter(|path| !checked.contains(*path)).cloned().collect();
        if unchecked.is_empty() {
            // The user has just saved one of them: tell the conflict again, even if it is known.
            self.tree.rechecked.remove(key);
            self.tree.conflicts.remove(key);
            self.conflict(key, paths);
            return;
        }
        for path in unchecked {
            if !self.tree.pending.contains_key(&path) {
                // No event said that its writer is done.
                self.reread(path, Pending::new(since, None));
            }
        }
    }

    pub(super) fn conflict(&mut self, key: &Key, paths: Vec<Arc<Path>>) {
        self.site.lanes.cancel(key);
        let selected = paths.iter().any(|path| self.policy.selects(path, Some(key.id.as_str())));
        if !selected {
            return;
        }
        if self.tree.conflicts.get(key) != Some(&paths) {
            self.tree.conflicts.insert(key.clone(), paths.clone());
            let entry = self.tree.files.get(&paths[0]).and_then(File::plugin).map(|plugin| plugin.entry);
            let about = Subject { key: Some(key.clone()), entry, ..Subject::default() };
            self.tree.complaints.extend(paths.iter().map(|path| (Arc::clone(path), Complaint::Error)));
            self.tell(Notice { about, what: NoticeKind::Conflict { paths } });
        }
    }
}
