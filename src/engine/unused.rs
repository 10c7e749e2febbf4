//! Filters and actions that are on, but that no model uses: a save changes nothing that a user would see.
//!
//! The server is asked after the deploy, so that no save waits for it. Once it has answered for a plugin, it is asked
//! again only after the function was off or global: the list of models may be long.

use std::collections::BTreeSet;

use super::deploy::{Call, OnServer, Reply};
use super::{Effect, Engine, Ticket};
use crate::notice::{Notice, NoticeKind};
use crate::plugin::{Key, Plugin};

/// The question which functions models use.
#[derive(Debug)]
pub(super) struct Question {
    ticket: Ticket,
    /// The plugins that it is asked for.
    about: BTreeSet<Key>,
}

impl Engine {
    /// A function was deployed: asks whether a model uses it, if that is in doubt.
    pub(super) fn ask_whether_used(&mut self, plugin: &Plugin, switches: OnServer) {
        if !switches.need_a_model(plugin.entry) {
            if let Some(lane) = self.site.lanes.get_mut(&plugin.key) {
                lane.has_known_use = false;
            }
            if let Some(question) = &mut self.site.question {
                question.about.remove(&plugin.key);
            }
            return;
        }
        if self.site.lanes.get(&plugin.key).is_some_and(|lane| lane.has_known_use) {
            return;
        }
        if let Some(question) = &mut self.site.question {
            question.about.insert(plugin.key.clone());
            return;
        }
        let ticket = self.ticket();
        self.effects.push(Effect::Call(ticket, Call::Attached));
        self.site.question = Some(Question { ticket, about: BTreeSet::from([plugin.key.clone()]) });
    }

    /// Whether the answer for this plugin is still to come.
    pub(super) fn is_use_asked(&self, key: &Key) -> bool {
        self.site.question.as_ref().is_some_and(|question| question.about.contains(key))
    }

    /// Takes the answer to that question; gives back any other.
    pub(super) fn on_used(&mut self, ticket: Ticket, reply: Reply) -> Option<Reply> {
        let Some(question) = self.site.question.take_if(|question| question.ticket == ticket) else {
            return Some(reply);
        };
        // Without an answer nothing is told, and the next deploy asks again; a key that may not see all models never
        // sees them.
        if let Reply::Unreachable { .. } | Reply::Lost { .. } | Reply::Stumbled { .. } | Reply::Crashed { .. } = reply {
            return None;
        }
        for key in question.about {
            self.site.lanes.of(&key).has_known_use = true;
            if matches!(&reply, Reply::Attached(attached) if !attached.uses(key.id.as_str())) {
                self.tell(Notice { about: self.about(&key), what: NoticeKind::Unused });
            }
        }
        None
    }
}
