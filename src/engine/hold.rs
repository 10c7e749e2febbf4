//! Settings that change: what has changed nothing on the server yet begins with no change while it is uncertain which
//! server the plugins are for, and not at all for settings that no longer hold.

use std::sync::Arc;

use super::deploy::Call;
use super::job::{Job, Task};
use super::lane::{Conversation, Ended, Phase};
use super::plan::Why;
use super::request::Request;
use super::step::Step;
use super::tree::Pending;
use super::{Engine, Now};
use crate::plugin::Key;

impl Engine {
    /// Lets nothing begin while the settings are changing. If they turn out to be what they were, everything that waits
    /// or was read meanwhile is read again: in a `git checkout` there and back, it may be for the settings in between.
    pub(super) fn on_hold(&mut self, is_held: bool, now: Now) {
        self.is_held = is_held;
        if is_held {
            return;
        }
        let plugins = self.site.lanes.all_waiting().filter_map(Job::deploy).map(|(plugin, _)| Arc::clone(plugin));
        for plugin in plugins.collect::<Vec<_>>() {
            self.site.lanes.cancel(&plugin.key);
            let lane = self.site.lanes.of(&plugin.key);
            lane.request = lane.request.map(Request::hand_over);
            self.tree.doubtful.insert(Arc::clone(&plugin.path));
        }
        for path in self.tree.doubtful.clone() {
            let pending = self.tree.pending.get(&path).copied();
            self.reread(path, pending.unwrap_or(Pending::new(now.at, None)));
        }
    }

    /// The step of a conversation, if it may be taken now.
    pub(super) fn may_take(&mut self, key: &Key, step: Step<Ended>) -> Option<Step<Ended>> {
        let sends = match &step {
            Step::Call(Call::Create(_, form) | Call::Update(_, form)) => form.file.is_some(),
            Step::SaveIntent(_) => true,
            _ => false,
        };
        let Some(flight) = self.site.lanes.in_flight_mut(key).filter(|_| sends) else { return Some(step) };
        let waits = self.is_held && flight.phase == Phase::Reads;
        // The user already knows that a text that is blamed will not be sent again.
        if !flight.is_blamed && !waits {
            flight.phase = Phase::Changes;
            return Some(step);
        }
        let flight = self.site.lanes.finish(key)?;
        if !flight.is_blamed
            && self.site.lanes.waiting(key).is_none()
            && let Conversation::Deploy(deploy) = flight.conversation
        {
            let task = Task::Deploy { plugin: Arc::clone(deploy.plugin()), why: Why::Edited };
            self.site.lanes.request(key.clone(), Job { task, since: flight.since, in_pass: flight.in_pass });
            self.saves.push(key.clone());
        }
        None
    }

    /// Gives up what has not begun: the next engine decides about it.
    pub(super) fn give_up_what_has_not_begun(&mut self, now: Now) {
        let in_flight: Vec<_> = self.site.lanes.all_in_flight().map(|(key, _, _)| key.clone()).collect();
        for key in in_flight {
            let Some(flight) = self.site.lanes.in_flight(&key) else { continue };
            let has_begun = match &flight.conversation {
                Conversation::Deploy(_) | Conversation::Recover(_) => flight.phase == Phase::Changes,
                Conversation::Remove(_, removal) => removal.has_begun(),
            };
            if !has_begun {
                self.site.lanes.finish(&key);
                if let Some(removal) = self.site.removal_mut(&key) {
                    removal.due.get_or_insert(now.at);
                }
            }
        }
    }
}
