//! Filters and actions that are on, but that no model uses: a save changes nothing that a user would see.
//!
//! The server is asked after the deploy, so that no save waits for it. It is asked once per plugin, and again only when
//! somebody switched the function meanwhile: the list of models may be long.

use std::collections::BTreeSet;

use super::deploy::{Call, OnServer, Reply};
use super::{Effect, Engine, Ticket};
use crate::notice::{Notice, NoticeKind};
use crate::plugin::{Entry, Key, Plugin};

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
        if !matches!(plugin.entry, Entry::Filter | Entry::Action) {
            return;
        }
        let is_asked = self.site.lanes.of(&plugin.key).asked_use.replace(switches) == Some(switches);
        if is_asked || switches.active != Some(true) || switches.global != Some(false) {
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
        // Without an answer nothing is known, and nothing is told: `status` asks again.
        if let Reply::Attached(attached) = reply {
            for key in question.about.iter().filter(|key| !attached.uses(&key.id)) {
                self.tell(Notice { about: self.about(key), what: NoticeKind::Unused });
            }
        }
        None
    }
}
