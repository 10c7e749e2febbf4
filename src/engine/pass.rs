//! A pass over all plugins: its first notice, the result of each plugin, and the counts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::access::ServerListing;
use super::files::{File, Owner};
use super::plan::{Decision, Why};
use super::result::{PassResult, RequestResult};
use super::tree::Complaint;
use super::{Code, Engine, names};
use crate::notice::{Notice, NoticeKind, PassSummary, Trouble};
use crate::plugin::{Key, Plugin};

/// A pass over everything.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) since: Duration,
    pub(super) planned: bool,
    /// What the server held when the pass was planned, for files that were incomplete then.
    pub(super) holds: ServerListing,
    /// The result of each plugin. A resumed pass may visit a plugin again, which counts once.
    pub(super) results: BTreeMap<Key, PassResult>,
}

/// How many plugins the server does not hold as their files do, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Undeployed {
    pub(super) waiting: usize,
    pub(super) refused: usize,
    pub(super) held: usize,
    pub(super) with_errors: usize,
}

/// Whether the plugins named on the command line exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedFor {
    /// Not every file has been read.
    Unknown,
    /// Every file was read, and the user was told which plugins are missing.
    Told,
    /// A single pass was asked for plugins that do not exist.
    Absent,
}

impl Engine {
    /// Tells once which named plugins and files are missing, as soon as every file has been read.
    pub(super) fn tell_absent(&mut self) {
        if self.asked_for != AskedFor::Unknown
            || self.tree.scanning
            || self.site.pass.is_none()
            || !self.tree.pending.is_empty()
        {
            return;
        }
        // A missing root may still turn up with them.
        if self.policy.once.is_none() && !self.tree.missing.is_empty() {
            return;
        }
        let mut unknown = Vec::new();
        for name in &self.policy.only {
            let is_meant = |(path, file): &(&Arc<Path>, &File)| {
                names(name, path, file.plugin().map(|plugin| plugin.key.id.as_str()))
            };
            let mut meant = self.tree.files.iter().filter(is_meant).map(|(_, file)| file).peekable();
            if meant.peek().is_none() {
                unknown.push(Trouble::UnknownName(name.clone()));
            } else if meant.all(|file| matches!(file, File::Other)) {
                unknown.push(Trouble::NoPluginIn(vec![name.clone()]));
            }
        }
        let gone: Vec<_> = (self.policy.named.iter())
            .filter(|path| self.policy.watches(path))
            .filter(|path| self.tree.files.get(path).is_none())
            .cloned()
            .collect();
        for path in gone {
            self.tell(Notice::general(NoticeKind::Trouble(Trouble::UnusedTable(path))));
        }
        // A script that finds nothing to deploy probably looks in the wrong place.
        let none_found =
            self.tree.files.plugins().next().is_none() && self.n_skipped() + self.n_unreadable_folders() == 0;
        let nothing = self.policy.only.is_empty() && none_found;
        let usage = self.policy.once.is_some() && (nothing || !unknown.is_empty());
        for trouble in unknown {
            self.tell(Notice::general(NoticeKind::Trouble(trouble)));
        }
        if nothing {
            self.tell(Notice::general(NoticeKind::NothingFound { roots: self.policy.roots.clone() }));
        }
        if usage && self.site.lanes.with(|lane| lane.intent.as_ref()).next().is_none() {
            self.exit.get_or_insert(Code::Usage);
        }
        // The repair after an interrupted deploy comes first.
        self.asked_for = if usage { AskedFor::Absent } else { AskedFor::Told };
    }

    /// Starts the pass proper. `unread`: the number of plugins whose text must be read first.
    pub(super) fn plan_pass(&mut self, holds: ServerListing, unread: usize) {
        let todo = self.site.lanes.all_waiting().filter(|job| job.deploy().is_some()).count() + unread;
        let Some(pass) = &mut self.site.pass else { return };
        pass.holds = holds;
        let first_time = !std::mem::replace(&mut pass.planned, true);
        if first_time && todo > 0 {
            self.tell(Notice::general(NoticeKind::Pass { todo }));
        }
    }

    pub(super) fn tally(&self, pass: &Pass) -> PassSummary {
        let count = |kind| pass.results.values().filter(|result| **result == kind).count();
        PassSummary {
            created: count(PassResult::Created),
            updated: count(PassResult::Updated),
            unchanged: count(PassResult::Unchanged),
            refused: count(PassResult::Refused),
            held: count(PassResult::Held),
            failed: count(PassResult::Failed),
            skipped: self.n_skipped(),
            unreadable_folders: self.n_unreadable_folders(),
        }
    }

    /// How many files cannot be deployed as they stand.
    pub(super) fn n_skipped(&self) -> usize {
        let skipped = |path: &Path, file: &File| match file {
            File::Flawed { .. } if file.is_unreadable_folder() => false,
            File::Flawed { was, .. } => {
                file.is_broken() && self.policy.selects(path, was.as_ref().map(|was| was.key.id.as_str()))
            }
            File::Plugin(plugin) => {
                self.policy.selects_plugin(plugin) && matches!(self.tree.files.owner(&plugin.key), Owner::Conflict(_))
            }
            File::Other => false,
        };
        self.tree.files.iter().filter(|(path, file)| !self.tree.is_out_of_reach(path) && skipped(path, file)).count()
    }

    pub(super) fn n_unreadable_folders(&self) -> usize {
        let unreadable = |(path, file): &(&Arc<Path>, &File)| {
            file.is_unreadable_folder() && !self.tree.is_out_of_reach(path) && self.policy.selects(path, None)
        };
        self.tree.files.iter().filter(unreadable).count()
    }

    /// How many plugins are still to be deployed.
    pub(super) fn n_undeployed(&self) -> usize {
        self.planned().filter(|(_, decision)| matches!(decision, Decision::Deploy(_) | Decision::Check)).count()
    }

    /// The decision about each plugin without a conflict. A saved file that is still unread counts as one to deploy.
    fn planned(&self) -> impl Iterator<Item = (Arc<Plugin>, Decision)> {
        let sole = self.tree.files.keys().filter_map(|key| match self.tree.files.owner(key) {
            Owner::One(plugin) => Some(plugin),
            Owner::None | Owner::Conflict(_) => None,
        });
        let in_reach = sole.filter(|plugin| !self.tree.is_out_of_reach(&plugin.path));
        in_reach.filter(|plugin| self.policy.selects_plugin(plugin)).map(|plugin| {
            let is_saved = self.tree.pending.contains_key(&plugin.path);
            let decision = if is_saved { Decision::Deploy(Why::Edited) } else { self.decide(&plugin) };
            (plugin, decision)
        })
    }

    /// How many plugins the server does not hold as their files do.
    pub(super) fn undeployed(&self) -> Undeployed {
        let mut undeployed = Undeployed { with_errors: self.n_skipped(), ..Undeployed::default() };
        for (plugin, decision) in self.planned() {
            let is_held = self.tree.complaints.get(&plugin.path) == Some(&Complaint::Held)
                && !self.tree.pending.contains_key(&plugin.path);
            match decision {
                Decision::Deploy(_) | Decision::Check if is_held => undeployed.held += 1,
                Decision::Deploy(_) | Decision::Check => undeployed.waiting += 1,
                Decision::RolledBack | Decision::Blocked => undeployed.held += 1,
                Decision::RefusedBefore { .. } => undeployed.refused += 1,
                _ => {}
            }
        }
        undeployed
    }

    /// Notes the result of a plugin, for the pass and for a request.
    pub(super) fn note_result(&mut self, key: &Key, result: PassResult) {
        self.note_request(key, RequestResult::Ended(result));
        let Some(pass) = &mut self.site.pass else { return };
        // A resumed pass finds a plugin unchanged that it deployed before.
        let is_newer = result != PassResult::Unchanged
            || !matches!(pass.results.get(key), Some(PassResult::Created | PassResult::Updated));
        if is_newer {
            pass.results.insert(key.clone(), result);
        }
    }
}
