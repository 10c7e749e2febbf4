//! Texts at which the server failed: a 500, or a 4xx that says nothing about the code (409, 413, 422, 425 …). That may be
//! the text's doing or the server's. So such a text is sent again, alone, after growing pauses, and counts as refused only
//! when the last try has failed as well.
//!
//! The count is kept in memory alone. It starts anew with the program, when the file is saved again, and when the server
//! was away meanwhile. A server that goes away soon after it failed at a text may have gone because of it: that counts like
//! an answer that never came.

use std::sync::Arc;
use std::time::Duration;

use super::deploy::{Aftermath, Deploy, Outcome, Reply};
use super::files::Owner;
use super::ledger::LastAttempt;
use super::outcome::NO_ANSWER;
use super::plan::Why;
use super::server::Server;
use super::{Conversation, Engine, InFlight, Now};
use crate::notice::{Notice, NoticeKind};
use crate::plugin::{Digest, Plugin};

/// How long to wait before each further try.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];

/// A server that cannot be reached within this time after it failed at a text may have gone because of it.
const AFTERMATH: Duration = Duration::from_secs(10);

/// How often the server has failed at one text, one try after the other.
#[derive(Debug)]
pub(super) struct Crash {
    digest: Digest,
    times: usize,
    /// The server's, the last time.
    words: String,
    /// How long it is suspected of having ended a server that cannot be reached.
    suspect_until: Option<Duration>,
    /// When it is sent again; `None` while it is being sent, and when no try is left.
    again_at: Option<Duration>,
    why: Why,
    in_pass: bool,
}

impl Crash {
    /// Whether the server failed at this very text.
    pub(super) fn is_of(&self, plugin: &Plugin) -> bool {
        self.digest == plugin.digest
    }

    /// It may be tried as often as the first time.
    pub(super) fn start_anew(&mut self) {
        (self.times, self.again_at) = (0, None);
    }

    fn is_final(&self) -> bool {
        self.times > PAUSES.len()
    }
}

impl Engine {
    /// The server failed at a text. Answers how the deploy ended, where it is not tried again.
    pub(super) fn on_crashed(
        &mut self,
        exchange: &Deploy,
        words: String,
        left: Aftermath,
        in_pass: bool,
        now: Now,
    ) -> Option<Outcome> {
        let plugin = exchange.plugin();
        let before = self.crashes.get(&plugin.key).filter(|crash| crash.is_of(plugin));
        let times = before.map_or(0, |crash| crash.times) + 1;
        let pause = PAUSES.get(times - 1).copied();
        let again_at = pause.map(|pause| now.at + pause);
        let why = exchange.why_again();
        let suspect_until = Some(now.at + AFTERMATH);
        let crash = Crash { digest: plugin.digest, times, words: words.clone(), suspect_until, again_at, why, in_pass };
        self.crashes.insert(plugin.key.clone(), crash);
        let Some(next) = pause else { return Some(Outcome::Crashed { words, left }) };
        self.tell(Notice::of(plugin, NoticeKind::Crashed { words, next }));
        if let Some(what) = NoticeKind::left(left) {
            self.tell(Notice::of(plugin, what));
        }
        None
    }

    /// The server's words about this text, where no try is left.
    pub(super) fn given_up(&self, plugin: &Plugin) -> Option<&str> {
        let crash = self.crashes.get(&plugin.key).filter(|crash| crash.is_of(plugin) && crash.is_final())?;
        Some(&crash.words)
    }

    /// When the next retry is due.
    pub(super) fn next_retry(&self) -> Option<Duration> {
        self.crashes.values().filter_map(|crash| crash.again_at).min()
    }

    /// Sends again what has waited long enough.
    pub(super) fn retry(&mut self, now: Now) {
        if !matches!(self.server, Server::Open) || self.ending.is_some() {
            return;
        }
        let is_due = |crash: &Crash| crash.again_at.is_some_and(|at| at <= now.at);
        let due: Vec<_> = (self.crashes.iter_mut().filter(|(_, crash)| is_due(crash)))
            .map(|(key, crash)| {
                crash.again_at = None;
                (key.clone(), crash.digest, crash.why, crash.in_pass)
            })
            .collect();
        for (key, digest, why, in_pass) in due {
            let Owner::One(plugin) = self.present_owner(&key) else { continue };
            // Without its text, something else was decided about it meanwhile.
            if self.queue.is_idle(&key) && plugin.digest == digest && plugin.has_text() {
                self.request(&plugin, why, now.at, in_pass);
            }
        }
    }

    /// This text is on its way once more.
    pub(super) fn retried(&mut self, plugin: &Arc<Plugin>) {
        if let Some(crash) = self.crashes.get_mut(&plugin.key) {
            crash.again_at = None;
        }
    }

    /// A server that cannot be reached may have gone because of what it failed at just before, which must not happen over
    /// and over.
    pub(super) fn blame_crashes(&mut self, reply: &Reply, now: Now) {
        if !matches!(reply, Reply::Unreachable { retry_after: None, .. }) {
            return;
        }
        // A text that has left again comes to its own end.
        let has_left =
            |flight: &InFlight| matches!(&flight.talk, Conversation::Deploy(exchange) if exchange.has_sent());
        let suspects = self.crashes.iter_mut().filter(|(key, crash)| {
            crash.suspect_until.is_some_and(|until| now.at < until) && !self.queue.flying(key).is_some_and(has_left)
        });
        let suspects: Vec<_> = suspects
            .map(|(key, crash)| {
                // It is blamed once.
                crash.suspect_until = None;
                (key.clone(), crash.digest)
            })
            .collect();
        for (key, digest) in suspects {
            if self.unanswered.insert(key.clone(), digest) != Some(digest) {
                continue;
            }
            let Some(crash) = self.crashes.remove(&key) else { continue };
            let words = format!("{NO_ANSWER}, twice: {}", crash.words);
            self.note_ended(&key, LastAttempt::Refused { digest: crash.digest, words: words.clone() });
            if let Owner::One(plugin) = self.files.owner(&key)
                && crash.is_of(&plugin)
            {
                let what = NoticeKind::Refused {
                    words,
                    span: None,
                    requirements: None,
                    old_version: None,
                    took: Duration::ZERO,
                };
                self.tell(Notice::of(&plugin, what));
            }
        }
    }
}
