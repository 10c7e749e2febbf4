//! Filters and actions that are on, but that no model uses: a save changes nothing that a user would see.
//!
//! The server is asked after the deploy, so that no save waits for it. It answers once per plugin, and is asked again only
//! when somebody switched the function meanwhile: the list of models may be long.

use std::collections::BTreeMap;

use super::deploy::{Call, OnServer, Reply};
use super::{Effect, Engine, Ticket};
use crate::notice::{Notice, NoticeKind};
use crate::plugin::{Entry, Key, Plugin};

/// The question which functions models use.
#[derive(Debug)]
pub(super) struct Question {
    ticket: Ticket,
    /// The plugins that it is asked for, with their switches.
    about: BTreeMap<Key, OnServer>,
}

impl Engine {
    /// A function was deployed: asks whether a model uses it, if that is in doubt.
    pub(super) fn ask_whether_used(&mut self, plugin: &Plugin, switches: OnServer) {
        if !matches!(plugin.entry, Entry::Filter | Entry::Action) {
            return;
        }
        if switches.active != Some(true) || switches.global != Some(false) {
            self.site.lanes.of(&plugin.key).asked_use = Some(switches);
            return;
        }
        let known = self.site.lanes.get(&plugin.key).and_then(|lane| lane.asked_use);
        if known == Some(switches) {
            return;
        }
        if let Some(question) = &mut self.site.question {
            question.about.insert(plugin.key.clone(), switches);
            return;
        }
        let ticket = self.ticket();
        self.effects.push(Effect::Call(ticket, Call::Attached));
        self.site.question = Some(Question { ticket, about: BTreeMap::from([(plugin.key.clone(), switches)]) });
    }

    /// Whether the answer for this plugin is still to come.
    pub(super) fn is_use_asked(&self, key: &Key) -> bool {
        self.site.question.as_ref().is_some_and(|question| question.about.contains_key(key))
    }

    /// Takes the answer to that question; gives back any other.
    pub(super) fn on_used(&mut self, ticket: Ticket, reply: Reply) -> Option<Reply> {
        let Some(question) = self.site.question.take_if(|question| question.ticket == ticket) else {
            return Some(reply);
        };
        // Without an answer nothing is told, and the next deploy asks again; a key that may not see all models never sees
        // them.
        if let Reply::Unreachable { .. } | Reply::Lost { .. } | Reply::Stumbled { .. } | Reply::Crashed { .. } = reply {
            return None;
        }
        for (key, switches) in question.about {
            self.site.lanes.of(&key).asked_use = Some(switches);
            if matches!(&reply, Reply::Attached(attached) if !attached.uses(&key.id)) {
                self.tell(Notice { about: self.about(&key), what: NoticeKind::Unused });
            }
        }
        None
    }
}
