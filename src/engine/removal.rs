//! Removes plugins from the server after their files are gone, as `on_delete` says. Touches a plugin only if it holds our
//! own text, and deletes it only after a copy is on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::deploy::{self, Backup, Call, CallFailure, Failure, Reply, Row};
use super::files::{File, FilePresence, Loaded, Owner};
use super::lane::{Conversation, Ended, Job, Task};
use super::plan::Remote;
use super::{Effect, Engine, Now, OnDelete};
use crate::notice::{KeepReason, Notice, NoticeKind, WaitReason};
use crate::plugin::{Digest, Key, Kind, Plugin};

/// The pause before the next try if the disk had no room for the copy.
const RETRY: Duration = Duration::from_secs(30);

/// The pause before the next look if other files are being written.
const UNSETTLED: Duration = Duration::from_secs(1);

/// A plugin whose file is gone.
#[derive(Debug)]
pub(super) struct PendingRemoval {
    pub(super) plugin: Arc<Plugin>,
    /// When the file counts as gone; `None` while the removal is in progress.
    pub(super) due: Option<Duration>,
    /// Whether the user was told why it takes longer.
    pub(super) told: bool,
}

/// What to do on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Switch a function off.
    Deactivate,
    /// Delete the plugin.
    Delete,
}

impl OnDelete {
    /// What to do with a plugin of this kind.
    pub(super) fn mode(self, kind: Kind) -> Option<Mode> {
        match self {
            Self::Keep => None,
            Self::Deactivate => kind.has_switch().then_some(Mode::Deactivate),
            Self::Delete => Some(Mode::Delete),
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The function is switched off.
    Deactivated,
    /// It is deleted. `kept`: the copy of its text.
    Deleted { kept: PathBuf },
    /// It was left as it is.
    Kept(Kept),
    /// It was left as it is: another file may be the same plugin.
    Unclear,
    /// The copy of its text could not be written, so it was left as it is.
    NotSaved { words: String },
    /// A call failed.
    Failed(CallFailure),
}

/// Why the server keeps it, as the conversation found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is not there any more.
    Gone,
    /// Somebody else changed it.
    Edited,
    /// It is off already.
    Off,
    /// Its file is back.
    Back,
}

impl From<Kept> for KeepReason {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Gone => Self::Gone,
            Kept::Edited => Self::Edited,
            Kept::Off => Self::Off,
            Kept::Back => Self::Back,
        }
    }
}

type Step = deploy::Step<Outcome>;

/// The conversation about it.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    key: Key,
    mode: Mode,
    /// The text that we deployed.
    deployed: Digest,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Asked what the server holds.
    Asked,
    /// The copy is being written.
    SavingBackup,
    /// It is being deleted.
    Deleting { kept: PathBuf },
    /// Checking that it is gone.
    Checking { kept: PathBuf },
    /// The switch was flipped. `last`: for the second time, since somebody else had flipped it first.
    Flipping { last: bool },
    /// The flip got no answer: reading the switch back.
    ReadingBack,
}

impl Removal {
    /// Begins by asking what the server holds.
    pub(super) fn start(key: Key, mode: Mode, deployed: Digest) -> (Self, Step) {
        let ask = Step::Call(Call::Get(key.clone()));
        (Self { key, mode, deployed, stage: Stage::Asked }, ask)
    }

    /// Whether anything was changed on the server, or is about to be.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Asked | Stage::SavingBackup)
    }

    /// Takes the reply to the last call.
    pub(super) fn reply(&mut self, reply: Reply) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), reply) {
            (Stage::Asked, Reply::Row(row)) => self.on_found(&row),
            (Stage::Asked, Reply::Absent) => Step::Done(Outcome::Kept(Kept::Gone)),
            (Stage::Deleting { kept }, Reply::Deleted | Reply::Absent | Reply::Lost { .. }) => {
                self.call(Stage::Checking { kept }, Call::Get(self.key.clone()))
            }
            (Stage::Checking { kept }, Reply::Absent) => Step::Done(Outcome::Deleted { kept }),
            (Stage::Checking { .. }, Reply::Row(_)) => {
                failed(CallFailure::Unreachable { cause: "the server has not deleted it".into(), retry_after: None })
            }
            (Stage::Flipping { .. } | Stage::ReadingBack, Reply::Row(row)) if row.is_active == Some(false) => {
                Step::Done(Outcome::Deactivated)
            }
            // Somebody else switched it off between our read and our flip.
            (Stage::Flipping { last: false }, Reply::Row(_)) => self.flip(true),
            (Stage::Flipping { .. }, Reply::Lost { .. }) => self.call(Stage::ReadingBack, Call::Get(self.key.clone())),
            (Stage::Flipping { .. } | Stage::ReadingBack, Reply::Row(_)) => {
                failed(CallFailure::Odd { words: "somebody else switches it at the same moment".to_owned() })
            }
            (Stage::Flipping { .. } | Stage::ReadingBack, Reply::Absent) => Step::Done(Outcome::Kept(Kept::Gone)),
            (_, reply) => failed(failure(reply)),
        }
    }

    /// Takes the answer to [`Step::SaveBackup`].
    pub(super) fn backup_saved(&mut self, kept: Result<PathBuf, String>) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Asked), kept) {
            (Stage::SavingBackup, Ok(kept)) => self.call(Stage::Deleting { kept }, Call::Delete(self.key.clone())),
            (_, Ok(_)) => failed(CallFailure::Odd { words: "a copy was kept that nobody asked for".to_owned() }),
            (_, Err(words)) => Step::Done(Outcome::NotSaved { words }),
        }
    }

    fn on_found(&mut self, row: &Row) -> Step {
        let ours = row.content.as_deref().filter(|text| Digest::of_text(text) == self.deployed);
        let Some(text) = ours else { return Step::Done(Outcome::Kept(Kept::Edited)) };
        match self.mode {
            Mode::Deactivate if row.is_active != Some(true) => Step::Done(Outcome::Kept(Kept::Off)),
            Mode::Deactivate => self.flip(false),
            Mode::Delete => {
                self.stage = Stage::SavingBackup;
                Step::SaveBackup(Backup { key: self.key.clone(), text: text.to_owned(), digest: self.deployed })
            }
        }
    }

    fn flip(&mut self, last: bool) -> Step {
        self.call(Stage::Flipping { last }, Call::Toggle(self.key.id.clone()))
    }

    fn call(&mut self, stage: Stage, call: Call) -> Step {
        self.stage = stage;
        Step::Call(call)
    }
}

fn failed(failure: CallFailure) -> Step {
    Step::Done(Outcome::Failed(failure))
}

/// What a failed call means for a removal.
fn failure(reply: Reply) -> CallFailure {
    match reply {
        Reply::NotAllowed { words, .. } | Reply::Refused { words } => CallFailure::NotOurs { words },
        reply => reply.into_failure(),
    }
}

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
            self.site.lanes.of(&was.key).removal = Some(PendingRemoval { plugin, due, told: false });
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
        if self.tree.files.owner(&key) != Owner::None {
            // Another file has taken its place.
            self.site.end_removal(&key);
            return;
        }
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
            FilePresence::Folder if self.tree.has_broken_files() => {
                let due = now.at + self.policy.gone_after;
                let Some(removal) = self.site.removal_mut(&key) else { return };
                removal.due = Some(due);
                if !std::mem::replace(&mut removal.told, true) {
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
    pub(super) fn kept_meanwhile(&self, key: &Key) -> Option<deploy::Step<Ended>> {
        let Conversation::Remove(plugin, removal) = &self.site.lanes.in_flight(key)?.conversation else { return None };
        let waits_again = self.site.lanes.get(key)?.removal.as_ref().is_some_and(|removal| removal.due.is_some());
        let kept = match self.tree.files.owner(key) {
            _ if removal.has_begun() => return None,
            Owner::One(_) | Owner::Conflict(_) => Outcome::Kept(Kept::Back),
            // A scan that is under way may find it.
            Owner::None
                if waits_again
                    || self.tree.scanning
                    || self.tree.files.get(&plugin.path).is_some()
                    || self.tree.has_broken_files() =>
            {
                Outcome::Unclear
            }
            Owner::None => return None,
        };
        Some(deploy::Step::Done(Ended::Remove(kept)))
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
            // The disk may have room for it later.
            Outcome::NotSaved { words } => {
                let is_known = self.site.removal_mut(key).is_some_and(|removal| {
                    removal.due = Some(now.at + RETRY);
                    std::mem::replace(&mut removal.told, true)
                });
                if !is_known {
                    let failure = Failure::KeepFailed { words };
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
