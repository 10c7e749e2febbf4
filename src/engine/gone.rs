//! Decides about plugins whose files are gone: whether and when to remove them from the server, as `on_delete` says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::files::{File, FilePresence, Loaded, Owner};
use super::job::{Job, Task};
use super::lane::{Conversation, Ended};
use super::plan::{Remote, WaitReason};
use super::removal::{Delay, KeepReason, Kept, Mode, Outcome, PendingRemoval};
use super::step::Step;
use super::{Effect, Engine, Now};
use crate::notice::{Notice, NoticeKind};
use crate::plugin::{Key, Plugin};

/// The pause before the next try of a removal that may succeed later.
const RETRY: Duration = Duration::from_secs(30);

/// The pause before the next look if other files are being written.
const UNSETTLED: Duration = Duration::from_secs(1);

impl Engine {
    /// Schedules the removal of a plugin whose file is gone, if `on_delete` asks for it and we deployed the plugin.
    pub(super) fn on_file_gone(&mut self, path: &Path, loaded: &Loaded, before: Option<&File>, now: Now) {
        // The file was back for a moment: the wait starts again.
        let again =
            |removal: &&mut PendingRemoval| before.is_none() && *removal.plugin.path == *path && removal.due.is_some();
        if let Some(removal) = self.site.lanes.values_mut().filter_map(|lane| lane.removal.as_mut()).find(again) {
            removal.due = Some(now.at + self.policy.gone_after);
        }
        let Some(was) = before.and_then(File::known).filter(|_| *loaded == Loaded::Missing) else { return };
        let watching = self.policy.once.is_none() && !self.policy.deploy.dry_run;
        let unclaimed = self.tree.files.owner(&was.key) == Owner::None;
        if self.policy.on_delete.mode(was.key.kind).is_some()
            && watching
            && unclaimed
            && self.policy.selects_plugin(was)
            && self.site.deployed_by_us(&was.key).is_some()
        {
            let due = Some(now.at + self.policy.gone_after);
            let plugin = Arc::clone(was);
            self.site.lanes.of(&was.key).removal = Some(PendingRemoval { plugin, due, told: None });
        }
    }

    /// A file was incomplete until now. It may have been the missing plugin meanwhile, so the wait starts again.
    pub(super) fn restart_removals(&mut self, now: Now) {
        let due = now.at + self.policy.gone_after;
        for removal in self.site.lanes.values_mut().filter_map(|lane| lane.removal.as_mut()) {
            removal.due = removal.due.max(Some(due));
        }
    }

    /// Takes a second look at a missing file. If more than the file is gone, the user did not mean to remove this
    /// plugin, and it is kept.
    pub(super) fn on_presence(&mut self, path: &Path, presence: FilePresence, now: Now) {
        // One file may have had several ids.
        let is_meant = |(key, removal): &(&Key, &PendingRemoval)| {
            *removal.plugin.path == *path && removal.due.is_none() && self.site.lanes.is_idle(key)
        };
        let keys: Vec<_> = self.site.removals().filter(is_meant).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.on_still_gone(key, path, presence, now);
        }
    }

    pub(super) fn on_still_gone(&mut self, key: Key, path: &Path, presence: FilePresence, now: Now) {
        if self.tree.files.owner(&key) != Owner::None || self.site.deployed_by_us(&key).is_none() {
            // Another file has taken its place, or the server has nothing of ours any more.
            self.site.end_removal(&key);
            return;
        }
        let Some(plugin) = self.site.removal_mut(&key).map(|removal| Arc::clone(&removal.plugin)) else { return };
        // A save that waits for its formatter may be the plugin under another path.
        let presence = match presence {
            FilePresence::Folder if !self.tree.pending.is_empty() => FilePresence::Unsettled,
            presence => presence,
        };
        let many = self.site.removals().count() > self.tree.files.plugins().count();
        match presence {
            FilePresence::File => drop(self.site.end_removal(&key)),
            FilePresence::Unsettled => {
                if let Some(removal) = self.site.removal_mut(&key) {
                    removal.due = Some(now.at + UNSETTLED);
                }
            }
            FilePresence::Nothing => self.keep(&key, KeepReason::Folder),
            FilePresence::Folder if many => {
                let all: Vec<_> = self.site.removals().map(|(key, _)| key.clone()).collect();
                for key in &all {
                    self.keep(key, KeepReason::Many);
                }
            }
            FilePresence::Folder if !self.tree.has_plugins_beside(path) => self.keep(&key, KeepReason::Emptied),
            FilePresence::Folder
                if self.site.lanes.with(|lane| lane.duplicate.as_ref()).any(|(_, other)| *other == key) =>
            {
                self.keep(&key, KeepReason::Renamed);
            }
            FilePresence::Folder if let Some(renamed) = self.renamed_to(&plugin, now) => {
                self.tell_id_changed(&renamed, &key);
            }
            FilePresence::Folder if self.tree.has_broken_files() => {
                let due = now.at + self.policy.gone_after;
                let Some(removal) = self.site.removal_mut(&key) else { return };
                removal.due = Some(due);
                if removal.told.replace(Delay::BrokenFile) != Some(Delay::BrokenFile) {
                    let what = NoticeKind::Waiting { reason: WaitReason::BrokenFile, again: false };
                    let waiting = Notice::of(&removal.plugin, what);
                    self.tell(waiting);
                }
            }
            FilePresence::Folder => {
                let (mode, deployed) = (self.policy.on_delete.mode(key.kind), self.site.deployed_by_us(&key));
                let (Some(mode), Some(deployed), Some(removal)) = (mode, deployed, self.site.removal_mut(&key)) else {
                    return;
                };
                let task = Task::Remove { plugin: Arc::clone(&removal.plugin), mode, deployed };
                self.site.lanes.request(key, Job { task, since: now.at, in_pass: false });
            }
        }
    }

    /// Ends a removal that has changed nothing yet if the plugin is back, or may be.
    pub(super) fn kept_meanwhile(&mut self, key: &Key) -> Option<Step<Ended>> {
        if self.tree.files.owner(key) != Owner::None
            && let Some(flight) = self.site.lanes.in_flight_mut(key)
            && let Conversation::Remove(_, removal) = &mut flight.conversation
        {
            removal.forgo();
        }
        let Conversation::Remove(plugin, removal) = &self.site.lanes.in_flight(key)?.conversation else { return None };
        let waits_again = self.site.lanes.get(key)?.removal.as_ref().is_some_and(|removal| removal.due.is_some());
        let kept = match self.tree.files.owner(key) {
            _ if removal.has_begun() => return None,
            Owner::One(_) | Owner::Conflict(_) => Outcome::Kept(Kept::Back),
            // A scan that is under way may find it, and other settings may keep it.
            Owner::None
                if waits_again
                    || self.is_held
                    || self.tree.scanning
                    || !self.tree.pending.is_empty()
                    || self.tree.files.get(&plugin.path).is_some()
                    || self.tree.has_broken_files() =>
            {
                Outcome::Unclear
            }
            Owner::None => return None,
        };
        Some(Step::Done(Ended::Remove(kept)))
    }

    fn keep(&mut self, key: &Key, why: KeepReason) {
        if let Some(removal) = self.site.end_removal(key) {
            self.tell(Notice::of(&removal.plugin, NoticeKind::Spared { why }));
        }
    }

    pub(super) fn on_removed(&mut self, plugin: &Arc<Plugin>, outcome: Outcome, now: Now) {
        let key = &plugin.key;
        let deletes = self.policy.on_delete.mode(key.kind) == Some(Mode::Delete);
        let ended = match outcome {
            Outcome::Deactivated => Some(NoticeKind::Deactivated),
            Outcome::Deleted { kept } => {
                self.site.ledger.forget(key);
                self.effects.push(Effect::Save(key.clone()));
                Some(NoticeKind::Deleted { kept })
            }
            Outcome::Kept(why) => {
                if let Kept::Edited | Kept::Gone = why {
                    self.record_seen(key, None);
                }
                Some(NoticeKind::Spared { why: why.into() })
            }
            // Check it again, at once unless the wait has started again.
            Outcome::Unclear => {
                if let Some(removal) = self.site.removal_mut(key) {
                    removal.due.get_or_insert(now.at);
                }
                return;
            }
            // The disk may have room for the copy later, or the server may have deleted it by then.
            Outcome::NotYet(failure) => {
                let is_known = self.site.removal_mut(key).is_some_and(|removal| {
                    removal.due = Some(now.at + RETRY);
                    let delay = Some(Delay::Failed(failure.clone()));
                    std::mem::replace(&mut removal.told, delay.clone()) == delay
                });
                if !is_known {
                    self.tell(Notice::of(plugin, NoticeKind::NotRemoved { deletes, failure }));
                }
                None
            }
            Outcome::Failed(failure) => match self.wait_out(failure.into(), now) {
                Ok(reason) => {
                    if let Some(removal) = self.site.removal_mut(key) {
                        removal.due = Some(now.at);
                    }
                    self.tell_waiting((&**plugin).into(), reason);
                    None
                }
                Err(failure) => Some(NoticeKind::NotRemoved { deletes, failure }),
            },
        };
        if let Some(what) = ended {
            self.site.end_removal(key);
            self.tell(Notice::of(plugin, what));
        }
        // It may be back: the earlier decision was based on an outdated ledger.
        if let Owner::One(plugin) = self.tree.files.owner(key) {
            self.plan(&plugin, Remote::NotAsked, now.at, now);
        }
    }
}
