//! Plugins whose files are gone: whether that is to mean something on the server (`on_delete`), and what came of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::deploy::{Failure, Step};
use super::files::{File, FilePresence, Loaded, Owner};
use super::lane::{Conversation, Ended, Job, Task};
use super::plan::Remote;
use super::removal::{Mode, Outcome, Why};
use super::{Effect, Engine, Now, OnDelete};
use crate::notice::{Notice, NoticeKind, Sparing, WaitReason};
use crate::plugin::{Digest, Key, Kind, Plugin};

/// How soon to try again where the disk had no room for the copy.
const RETRY: Duration = Duration::from_secs(30);

/// How soon to look again where other files are being written.
const UNSETTLED: Duration = Duration::from_secs(1);

/// A plugin whose file is gone.
#[derive(Debug)]
pub(super) struct PendingRemoval {
    pub(super) plugin: Arc<Plugin>,
    /// When that is believed; `None` while it is being acted on.
    pub(super) due: Option<Duration>,
    /// Whether the user knows that it takes longer, and why.
    pub(super) told: bool,
}

impl Engine {
    /// A file went. Where the user wants the server to follow, that is believed after a while; and only for what we put
    /// there ourselves.
    pub(super) fn on_file_gone(&mut self, path: &Path, loaded: &Loaded, before: Option<&File>, now: Now) {
        // It was there again, if only for a moment: the while begins anew.
        let again =
            |leaving: &&mut PendingRemoval| before.is_none() && *leaving.plugin.path == *path && leaving.due.is_some();
        if let Some(removal) = self.lanes.values_mut().filter_map(|lane| lane.removal.as_mut()).find(again) {
            removal.due = Some(now.at + self.policy.gone_after);
        }
        let Some(was) = before.and_then(File::known).filter(|_| *loaded == Loaded::Missing) else { return };
        let wanted = match self.policy.on_delete {
            OnDelete::Keep => false,
            OnDelete::Deactivate => was.key.kind == Kind::Function,
            OnDelete::Delete => true,
        };
        let watching = self.policy.once.is_none() && !self.policy.terms.dry_run;
        let unclaimed = self.files.owner(&was.key) == Owner::None;
        if wanted && watching && unclaimed && self.policy.selects_plugin(was) && self.deployed_by_us(&was.key).is_some()
        {
            let due = Some(now.at + self.policy.gone_after);
            let plugin = Arc::clone(was);
            self.lanes.of(&was.key).removal = Some(PendingRemoval { plugin, due, told: false });
        }
    }

    /// The plugins whose files are gone, where that may mean something on the server.
    fn removals(&self) -> impl Iterator<Item = (&Key, &PendingRemoval)> {
        self.lanes.with(|lane| lane.removal.as_ref())
    }

    fn removal_mut(&mut self, key: &Key) -> Option<&mut PendingRemoval> {
        self.lanes.get_mut(key)?.removal.as_mut()
    }

    fn end_removal(&mut self, key: &Key) -> Option<PendingRemoval> {
        self.lanes.get_mut(key)?.removal.take()
    }

    /// The text that we have put on the server ourselves.
    pub(super) fn deployed_by_us(&self, key: &Key) -> Option<Digest> {
        let deployed = self.ledger.get(key)?.deployed.as_ref()?;
        deployed.by_us.then_some(deployed.digest)
    }

    /// The file has stayed gone, or not. What took more with it than a file was no wish to take one plugin away.
    pub(super) fn on_looked(&mut self, path: &Path, trace: FilePresence, now: Now) {
        // One file may have had several ids, and gone with each.
        let is_meant = |(key, removal): &(&Key, &PendingRemoval)| {
            *removal.plugin.path == *path && removal.due.is_none() && self.lanes.is_idle(key)
        };
        let keys: Vec<_> = self.removals().filter(is_meant).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.follow(key, path, trace, now);
        }
    }

    pub(super) fn follow(&mut self, key: Key, path: &Path, trace: FilePresence, now: Now) {
        if self.files.owner(&key) != Owner::None {
            // Another file has taken its place.
            self.end_removal(&key);
            return;
        }
        let many = self.removals().count() > self.files.plugins().count();
        match trace {
            FilePresence::File => drop(self.end_removal(&key)),
            FilePresence::Unsettled => {
                if let Some(leaving) = self.removal_mut(&key) {
                    leaving.due = Some(now.at + UNSETTLED);
                }
            }
            FilePresence::Nothing => self.spare(&key, Sparing::Folder),
            FilePresence::Folder if many => {
                let all: Vec<_> = self.removals().map(|(key, _)| key.clone()).collect();
                for key in &all {
                    self.spare(key, Sparing::Many);
                }
            }
            FilePresence::Folder if !self.has_plugins_beside(path) => self.spare(&key, Sparing::Emptied),
            FilePresence::Folder if self.lanes.with(|lane| lane.duplicate.as_ref()).any(|(_, other)| *other == key) => {
                self.spare(&key, Sparing::Renamed)
            }
            FilePresence::Folder if self.has_broken_files() => {
                let due = now.at + self.policy.gone_after;
                let Some(removal) = self.removal_mut(&key) else { return };
                removal.due = Some(due);
                if !std::mem::replace(&mut removal.told, true) {
                    let what = NoticeKind::Waiting { reason: WaitReason::BrokenFile, again: false };
                    let waiting = Notice::of(&removal.plugin, what);
                    self.tell(waiting);
                }
            }
            FilePresence::Folder => {
                let mode = match self.policy.on_delete {
                    OnDelete::Keep => return drop(self.end_removal(&key)),
                    OnDelete::Deactivate => Mode::Deactivate,
                    OnDelete::Delete => Mode::Delete,
                };
                let deployed = self.deployed_by_us(&key);
                let Some((removal, deployed)) = self.removal_mut(&key).zip(deployed) else { return };
                let task = Task::Remove { plugin: Arc::clone(&removal.plugin), mode, deployed };
                self.lanes.request(key, Job { task, since: now.at, in_pass: false });
            }
        }
    }

    /// Whether a file's folder still has plugins, at whatever depth. Where it has none, a share may have been unmounted.
    fn has_plugins_beside(&self, path: &Path) -> bool {
        let Some(folder) = path.parent() else { return false };
        let mut beside = self.files.iter().filter(|(other, _)| other.starts_with(folder));
        beside.any(|(other, file)| (file.plugin().is_some() || file.is_broken()) && !self.is_missing(other))
    }

    /// A removal that has changed nothing yet ends where the plugin is back, or may be.
    pub(super) fn spared(&self, key: &Key) -> Option<Step<Ended>> {
        let Conversation::Remove(plugin, removal) = &self.lanes.in_flight(key)?.conversation else { return None };
        let spared = match self.files.owner(key) {
            _ if removal.has_begun() => return None,
            Owner::One(_) | Owner::Conflict(_) => Why::Back,
            Owner::None if self.files.get(&plugin.path).is_some() || self.has_broken_files() => Why::Unclear,
            Owner::None => return None,
        };
        Some(Step::Done(Ended::Remove(Outcome::Kept(spared))))
    }

    /// Whether any file is broken. Read again, it may turn out to be a plugin that is gone.
    fn has_broken_files(&self) -> bool {
        self.files.iter().any(|(_, file)| file.is_broken())
    }

    fn spare(&mut self, key: &Key, why: Sparing) {
        if let Some(removal) = self.end_removal(key) {
            self.tell(Notice::of(&removal.plugin, NoticeKind::Spared { why }));
        }
    }

    pub(super) fn on_removed(&mut self, plugin: &Arc<Plugin>, outcome: Outcome, took: Duration, now: Now) {
        let key = &plugin.key;
        let what = match outcome {
            Outcome::Deactivated => NoticeKind::Deactivated,
            Outcome::Deleted { kept } => {
                self.ledger.forget(key);
                self.effects.push(Effect::Save(key.clone()));
                NoticeKind::Deleted { kept }
            }
            // It is looked at again.
            Outcome::Kept(Why::Unclear) => {
                if let Some(removal) = self.removal_mut(key) {
                    removal.due = Some(now.at);
                }
                return;
            }
            Outcome::Kept(why) => {
                if let Why::Edited | Why::Gone = why {
                    self.note_seen(key, None);
                }
                let why = match why {
                    Why::Edited => Sparing::Edited,
                    Why::Gone => Sparing::Gone,
                    Why::Off => Sparing::Off,
                    Why::Back | Why::Unclear => Sparing::Back,
                };
                NoticeKind::Spared { why }
            }
            Outcome::Failed(failure) => {
                self.on_not_removed(plugin, failure, took, now);
                return self.plan_returned(key, now);
            }
        };
        self.end_removal(key);
        self.tell(Notice::of(plugin, what));
        self.plan_returned(key, now);
    }

    /// It is tried again when the server is back, or when the disk may have room for the copy; and not where it cannot be.
    fn on_not_removed(&mut self, plugin: &Plugin, failure: Failure, took: Duration, now: Now) {
        let has_no_room = matches!(failure, Failure::KeepFailed { .. });
        let what = self.wait_out(failure, now);
        let due = now.at + if has_no_room { RETRY } else { Duration::ZERO };
        let told = match self.removal_mut(&plugin.key).filter(|_| has_no_room || what.is_ok()) {
            Some(removal) => {
                removal.due = Some(due);
                has_no_room && std::mem::replace(&mut removal.told, true)
            }
            None => {
                self.end_removal(&plugin.key);
                false
            }
        };
        if !told {
            self.tell_failed(plugin.into(), what, took);
        }
    }

    /// The file may have come back meanwhile, and what it asks for was decided by a ledger that is not true any more.
    fn plan_returned(&mut self, key: &Key, now: Now) {
        if let Owner::One(plugin) = self.files.owner(key) {
            self.plan(&plugin, Remote::NotAsked, now.at, now);
        }
    }
}
