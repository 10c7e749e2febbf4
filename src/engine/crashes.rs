//! Texts at which the server failed: a 500, or a 4xx that says nothing about the code (409, 413, 422, 425 …). The text
//! may be the cause, or the server. So the text is sent again, alone, after growing pauses, and counts as refused only
//! once the last try has failed.
//!
//! The count is in memory only. It restarts with the program, with a save of the file, and after an outage. A server
//! that goes away soon after it failed at a text may have crashed because of it: that counts like a missing answer.

use std::time::Duration;

use super::deploy::{Aftermath, Deploy, Outcome, Reply};
use super::files::Owner;
use super::ledger::{LastAttempt, Refusal};
use super::result::PassResult;
use super::retry::{Again, Cause, Retry};
use super::tree::Complaint;
use super::{Engine, Now};
use crate::notice::{Notice, NoticeKind};
use crate::plugin::{Digest, Key, Plugin};

/// How long to wait before each further try.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];

/// A server that cannot be reached within this time after it failed at a text may have gone because of it.
const AFTERMATH: Duration = Duration::from_secs(10);

/// The failed tries of one text in a row.
#[derive(Debug)]
pub(super) struct Crash {
    digest: Digest,
    times: usize,
    /// The server's last words about it.
    words: String,
    /// Until when it is suspected if the server goes away.
    suspect_until: Option<Duration>,
}

impl Crash {
    /// Whether the server failed at this very text.
    pub(super) fn is_of(&self, plugin: &Plugin) -> bool {
        self.digest == plugin.digest
    }

    /// The server's last words about it.
    pub(super) fn words(&self) -> &str {
        &self.words
    }

    /// Whether no try is left.
    pub(super) fn is_final(&self) -> bool {
        self.times > PAUSES.len()
    }

    /// Allows all tries again.
    pub(super) fn start_anew(&mut self) {
        self.times = 0;
    }
}

impl Engine {
    /// Counts a failure of the server at a text. Answers the outcome of the deploy if no try is left.
    pub(super) fn on_crashed(
        &mut self,
        deploy: &Deploy,
        refusal: Refusal,
        left: Aftermath,
        in_pass: bool,
        now: Now,
    ) -> Option<Outcome> {
        let plugin = deploy.plugin();
        let lane = self.site.lanes.of(&plugin.key);
        let before = lane.crash.as_ref().filter(|crash| crash.is_of(plugin));
        let times = before.map_or(0, |crash| crash.times) + 1;
        let pause = PAUSES.get(times - 1).copied();
        let suspect_until = Some(now.at + AFTERMATH);
        let words = refusal.words.clone();
        lane.crash = Some(Crash { digest: plugin.digest, times, words, suspect_until });
        let due = pause.map(|pause| now.at + pause);
        let again = Again { is_forced: deploy.is_forced(), in_pass };
        lane.retry = Some(Retry { due, again, ..Retry::new(Cause::Crash) });
        let Some(next) = pause else { return Some(Outcome::Crashed { refusal, left }) };
        self.tree.complain(plugin, Complaint::Error);
        self.note_result(&plugin.key, PassResult::Failed);
        self.tell(Notice::of(plugin, NoticeKind::Crashed { words: refusal.words, next }));
        if let Some(what) = NoticeKind::left(left) {
            self.tell(Notice::of(plugin, what));
        }
        None
    }

    /// Plans a text again after its pause.
    pub(super) fn retry_crashed(&mut self, key: &Key, again: Again, now: Now) {
        let Some(crash) = self.site.lanes.get(key).and_then(|lane| lane.crash.as_ref()) else { return };
        let digest = crash.digest;
        // If its text was dropped, another decision was made about it meanwhile.
        if let Owner::One(plugin) = self.tree.present_owner(key)
            && self.site.lanes.is_idle(key)
            && plugin.digest == digest
            && plugin.has_text()
        {
            self.plan_again(&plugin, again, now);
        }
    }

    /// Blames an unreachable server on the texts at which it failed just before, so that they do not bring it down
    /// again and again.
    pub(super) fn blame_crashes(&mut self, reply: &Reply, now: Now) {
        if !matches!(reply, Reply::Unreachable { retry_after: None, .. }) {
            return;
        }
        let mut blamed = Vec::new();
        for (key, lane) in self.site.lanes.iter_mut() {
            // A text that was sent again gets an outcome of its own.
            let has_left = lane.has_sent();
            let Some(crash) = lane.crash.as_mut().filter(|_| !has_left) else { continue };
            let text = crash.digest;
            // Each failure is blamed once.
            if crash.suspect_until.take_if(|until| now.at < *until).is_some()
                && lane.unanswered.replace(text) == Some(text)
            {
                lane.blame_flight(text);
                blamed.extend(lane.forget_crash().map(|crash| (key.clone(), crash)));
            }
        }
        for (key, crash) in blamed {
            let refusal = Refusal::unanswered(crash.words.as_str());
            let last = LastAttempt::Refused { digest: crash.digest, refusal: refusal.clone() };
            self.record_attempt(&key, last);
            if let Owner::One(plugin) = self.tree.files.owner(&key)
                && crash.is_of(&plugin)
            {
                // It may wait for its turn.
                self.site.lanes.cancel(&key);
                let what = NoticeKind::Refused {
                    refusal,
                    span: None,
                    requirements: None,
                    installs: true,
                    old_version: None,
                    took: Duration::ZERO,
                };
                self.tree.complain(&plugin, Complaint::Error);
                self.note_result(&key, PassResult::Refused);
                self.tell(Notice::of(&plugin, what));
            }
        }
    }
}
