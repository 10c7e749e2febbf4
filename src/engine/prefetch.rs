//! Asking ahead: what the server holds of a plugin is asked at the first sign of a save, while its file is still being
//! written, read and parsed. The connection is open by then, and the answer there, or nearly, when the text is.
//!
//! Nothing is promised less for it. The first question of a conversation is the same whatever the text is; here it only
//! leaves earlier. Between a read and an update somebody may always edit the plugin on the server unseen, for the server
//! knows no update on a condition. That gap, which was as long as an answer is on its way, grows by [`GOOD_FOR`].

use std::path::Path;
use std::time::Duration;

use super::deploy::{Call, Reply, Step};
use super::files::File;
use super::lane::Ended;
use super::{Effect, Engine, Now, Ticket};
use crate::plugin::Key;

/// How long an answer may lie about before it is asked for again: as long as an editor needs for a save.
const GOOD_FOR: Duration = Duration::from_millis(50);

/// What was asked before there was anything to deploy. There is one at most: a user saves one file at a time.
#[derive(Debug)]
pub(super) struct Ahead {
    key: Key,
    ticket: Ticket,
    /// With when it came.
    answer: Option<(Duration, Reply)>,
}

impl Ahead {
    pub(super) fn is_of(&self, key: &Key) -> bool {
        self.key == *key
    }

    /// Whether it may stand in for a question that is asked now.
    fn is_good(&self, now: Now) -> bool {
        self.answer.as_ref().is_none_or(|(came, _)| now.at <= *came + GOOD_FOR)
    }

    /// Whether the server has told nothing of the plugin. Then it is left alone until there is something to deploy, and
    /// what that comes to is waited out and told.
    fn has_failed(&self) -> bool {
        let tells = |reply: &Reply| matches!(reply, Reply::Row(_) | Reply::Absent | Reply::Unclear { .. });
        self.answer.as_ref().is_some_and(|(_, reply)| !tells(reply))
    }

    /// Whether it is on its way beside a conversation about this plugin: then it counts like another one.
    pub(super) fn runs_beside(&self, key: &Key) -> bool {
        self.answer.is_none() && self.key != *key
    }
}

/// What came of asking ahead.
pub(super) enum Asked {
    /// The answer is there.
    Answered(Reply),
    /// It will come, with this ticket.
    OnItsWay(Ticket),
}

impl Engine {
    /// Somebody has begun to save this file: asks what the server holds of it, if nothing else is going on.
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
        // Its first save waits for longer than an answer is good for.
        if self.is_hot(&plugin.key, now.at) && !self.tree.pending.contains_key(path) {
            return;
        }
        let key = plugin.key.clone();
        let ticket = self.ticket();
        self.effects.push(Effect::Call(ticket, Call::Get(key.clone())));
        self.site.ahead = Some(Ahead { key, ticket, answer: None });
    }

    /// Takes the answer to what was asked ahead, or gives back that of another call.
    pub(super) fn on_asked_ahead(&mut self, ticket: Ticket, reply: Reply, now: Now) -> Option<Reply> {
        match self.site.ahead.as_mut().filter(|ahead| ahead.ticket == ticket) {
            Some(ahead) => {
                ahead.answer = Some((now.at, reply));
                None
            }
            None => Some(reply),
        }
    }

    /// What came of asking ahead, if that is what a conversation begins with. It is good for one.
    pub(super) fn asked_ahead(&mut self, key: &Key, first: &Step<Ended>, now: Now) -> Option<Asked> {
        let ahead = self.site.ahead.take_if(|ahead| ahead.key == *key || ahead.has_failed())?;
        if ahead.key != *key || !ahead.is_good(now) || !matches!(first, Step::Call(Call::Get(_))) {
            return None;
        }
        Some(ahead.answer.map_or(Asked::OnItsWay(ahead.ticket), |(_, reply)| Asked::Answered(reply)))
    }
}
