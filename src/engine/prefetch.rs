//! Prefetch: asks what the server holds of a plugin at the first sign of a save, while the file is still being written,
//! read and parsed. By the time the text is known, the answer is there, or nearly.
//!
//! That breaks no promise: the first question of a conversation does not depend on the text, so it can leave earlier.
//! Somebody may always edit the plugin on the server between our read and our update, since the server has no
//! conditional update. That gap grows by [`GOOD_FOR`] at most.

use std::path::Path;
use std::time::Duration;

use super::deploy::{Call, Reply, Step};
use super::files::File;
use super::lane::Ended;
use super::{Effect, Engine, Now, Ticket};
use crate::plugin::Key;

/// How long an answer may be used: as long as an editor needs for a save.
const GOOD_FOR: Duration = Duration::from_millis(50);

/// A question asked ahead of a deploy. At most one: a user saves one file at a time.
#[derive(Debug)]
pub(super) struct Ahead {
    key: Key,
    ticket: Ticket,
    /// The answer, and when it arrived.
    answer: Option<(Duration, Reply)>,
}

impl Ahead {
    pub(super) fn is_of(&self, key: &Key) -> bool {
        self.key == *key
    }

    /// Whether it can replace a question that would be asked now.
    fn is_good(&self, now: Now) -> bool {
        self.answer.as_ref().is_none_or(|(came, _)| now.at <= *came + GOOD_FOR)
    }

    /// Whether the answer says nothing about the plugin. Then nothing more is asked ahead: the next deploy will meet
    /// the cause and tell it.
    fn has_failed(&self) -> bool {
        let tells = |reply: &Reply| matches!(reply, Reply::Row(_) | Reply::Absent | Reply::Unclear { .. });
        self.answer.as_ref().is_some_and(|(_, reply)| !tells(reply))
    }

    /// Whether it is in flight and about another plugin: then it counts as a conversation.
    pub(super) fn runs_beside(&self, key: &Key) -> bool {
        self.answer.is_none() && self.key != *key
    }
}

/// The state of a question asked ahead.
pub(super) enum Asked {
    /// The answer arrived.
    Answered(Reply),
    /// The answer will arrive with this ticket.
    OnItsWay(Ticket),
}

impl Engine {
    /// A save of this file begins: asks what the server holds of it, if nothing is in flight or waiting.
    pub(super) fn on_saving(&mut self, path: &Path, now: Now) {
        let busy = self.site.lanes.n_in_flight() + self.site.lanes.n_waiting() > 0;
        let asked = self.site.ahead.as_ref().is_some_and(|ahead| ahead.is_good(now) || ahead.has_failed());
        if busy || asked || !self.site.is_open() {
            return;
        }
        let Some(plugin) =
            self.tree.files.get(path).and_then(File::known).filter(|plugin| self.policy.selects_plugin(plugin))
        else {
            return;
        };
        // The first save of a hot plugin waits for longer than an answer can be used.
        if self.is_hot(&plugin.key, now.at) && !self.tree.pending.contains_key(path) {
            return;
        }
        let key = plugin.key.clone();
        let ticket = self.ticket();
        self.effects.push(Effect::Call(ticket, Call::Get(key.clone())));
        self.site.ahead = Some(Ahead { key, ticket, answer: None });
    }

    /// Takes the answer to the question asked ahead; gives back any other.
    pub(super) fn on_asked_ahead(&mut self, ticket: Ticket, reply: Reply, now: Now) -> Option<Reply> {
        match self.site.ahead.as_mut().filter(|ahead| ahead.ticket == ticket) {
            Some(ahead) => {
                ahead.answer = Some((now.at, reply));
                None
            }
            None => Some(reply),
        }
    }

    /// The question asked ahead, if a conversation begins with it. It serves one conversation.
    pub(super) fn asked_ahead(&mut self, key: &Key, first: &Step<Ended>, now: Now) -> Option<Asked> {
        let ahead = self.site.ahead.take_if(|ahead| ahead.key == *key || ahead.has_failed())?;
        if ahead.key != *key || !ahead.is_good(now) || !matches!(first, Step::Call(Call::Get(_))) {
            return None;
        }
        Some(ahead.answer.map_or(Asked::OnItsWay(ahead.ticket), |(_, reply)| Asked::Answered(reply)))
    }
}
