//! Deploy or skip, and why: one table over what the ledger, the server and the file hold.

use crate::engine::ledger::{LastAttempt, Record, Refusal, Rollback};
use crate::plugin::Digest;

/// What the server is known to hold of one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// The server was not asked: a save is planned from the ledger.
    NotAsked,
    /// The overview does not list it. That is no proof that it does not exist.
    NotListed,
    /// The server holds a text with this digest.
    Holds(Digest),
    /// The server holds our stub, which should have been there only for a moment, to learn why it refuses the plugin.
    Stub,
}

/// What to do about a plugin file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Start a conversation with the server about it.
    Deploy(Why),
    /// The text is there: send nothing.
    Unchanged,
    /// The server refused this very text before, in these words: send nothing.
    RefusedBefore(Refusal),
    /// An earlier text was put back on purpose: send nothing until the file changes.
    RolledBack,
}

/// Why a plugin is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing is known of it.
    New,
    /// The file holds another text than the last one.
    Edited,
    /// It failed on the way.
    Retry,
    /// We deployed it, and the server holds something else now.
    ChangedOnServer,
    /// We deployed it, and the server no longer lists it.
    MissingOnServer,
    /// It was saved unchanged, and the server has already been asked what it holds.
    SavedAgain,
    /// `--force`.
    Forced,
}

impl Why {
    /// Whether it holds whatever the ledger says: the server holds something else, or the user insists.
    #[must_use]
    pub fn overrides_ledger(self) -> bool {
        match self {
            Why::ChangedOnServer | Why::MissingOnServer | Why::Forced => true,
            Why::New | Why::Edited | Why::Retry | Why::SavedAgain => false,
        }
    }

    /// A stable word for JSON and logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Why::New => "new",
            // A deploy that begins only to compare is not told.
            Why::Edited | Why::SavedAgain => "edited",
            Why::Retry => "retry",
            Why::ChangedOnServer => "changed_on_server",
            Why::MissingOnServer => "missing_on_server",
            Why::Forced => "forced",
        }
    }
}

/// The facts that decide.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The ledger's record.
    pub record: Option<&'a Record>,
    /// The rollback, if the plugin is rolled back.
    pub rollback: Option<Rollback>,
    /// The server's words, if it failed at this text at every try.
    pub given_up: Option<&'a str>,
    /// What the server is known to hold.
    pub remote: Remote,
    /// The digest of the file's text.
    pub local: Digest,
    /// The user insists.
    pub forced: bool,
    /// The reason of a deploy that already waits, if any.
    pub waiting: Option<Why>,
    /// The server has already been asked what it holds, since a save began.
    pub asked: bool,
}

/// Decides about one plugin.
pub fn decide(situation: &Situation) -> Decision {
    let &Situation { remote, waiting, asked, .. } = situation;
    match (decide_anew(situation), waiting) {
        // The ledger's belief does not cancel a deploy that waits because of what the server holds.
        (Decision::Unchanged | Decision::Deploy(_), Some(why))
            if remote == Remote::NotAsked && why.overrides_ledger() =>
        {
            Decision::Deploy(why)
        }
        // The server's answer is on its way: wait for it instead of telling the ledger's belief.
        (Decision::Unchanged, _) if remote == Remote::NotAsked && asked => Decision::Deploy(Why::SavedAgain),
        (decision, _) => decision,
    }
}

/// Decides without regard to a waiting deploy or a question asked ahead.
fn decide_anew(situation: &Situation) -> Decision {
    let &Situation { record, rollback, given_up, remote, local, forced, .. } = situation;
    if forced {
        return Decision::Deploy(Why::Forced);
    }
    if remote == Remote::Holds(local) {
        return Decision::Unchanged;
    }
    if remote == Remote::Stub {
        return Decision::Deploy(Why::Retry);
    }
    if rollback.is_some_and(|rollback| rollback.local == Some(local)) {
        return Decision::RolledBack;
    }
    let Some(record) = record else { return Decision::Deploy(Why::New) };
    let deployed = record.deployed.as_ref().is_some_and(|deployed| deployed.digest == local);
    match &record.last {
        LastAttempt::Refused { digest, refusal } if *digest == local => Decision::RefusedBefore(refusal.clone()),
        LastAttempt::Failed { digest } if *digest == local => match (given_up, remote) {
            (Some(words), _) => Decision::RefusedBefore(Refusal::said(words)),
            (None, Remote::NotListed) if deployed => Decision::Deploy(Why::MissingOnServer),
            (None, Remote::Holds(_)) if deployed => Decision::Deploy(Why::ChangedOnServer),
            (None, _) => Decision::Deploy(Why::Retry),
        },
        // After a refusal or a failure the ledger does not know what the server holds; looking is cheap.
        LastAttempt::Refused { .. } | LastAttempt::Failed { .. } => Decision::Deploy(Why::Edited),
        LastAttempt::Deployed => match remote {
            Remote::NotAsked if deployed => Decision::Unchanged,
            Remote::NotListed if deployed => Decision::Deploy(Why::MissingOnServer),
            Remote::Holds(_) if deployed => Decision::Deploy(Why::ChangedOnServer),
            _ if record.deployed.is_none() => Decision::Deploy(Why::New),
            Remote::NotAsked | Remote::NotListed | Remote::Holds(_) | Remote::Stub => Decision::Deploy(Why::Edited),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ledger::Deployed;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn record(deployed: Option<&str>, last: LastAttempt) -> Record {
        let deployed = deployed.map(|text| Deployed {
            digest: digest(text),
            version: None,
            at: jiff::Timestamp::UNIX_EPOCH,
            by_us: true,
        });
        Record { deployed, last, sent: Vec::new(), switched_off: false }
    }

    fn refused(text: &str) -> LastAttempt {
        LastAttempt::Refused { digest: digest(text), refusal: Refusal::said("no") }
    }

    fn situation(record: Option<&Record>, remote: Remote) -> Situation<'_> {
        let local = digest("new");
        Situation { record, rollback: None, given_up: None, remote, local, forced: false, waiting: None, asked: false }
    }

    #[track_caller]
    fn check(record: Option<&Record>, remote: Remote, expected: &Decision) {
        let plain = situation(record, remote);
        assert_eq!(&decide(&plain), expected);
        let forced = Situation { given_up: Some("500"), forced: true, ..plain };
        assert_eq!(decide(&forced), Decision::Deploy(Why::Forced));
        // Giving up replaces a retry, and nothing else.
        let given_up = match expected {
            Decision::Deploy(Why::Retry) => Decision::RefusedBefore(Refusal::said("500")),
            expected => expected.clone(),
        };
        assert_eq!(decide(&Situation { given_up: Some("500"), ..plain }), given_up);
        // A rollback of this very text holds it back, unless the server holds it or the user insists; one of another
        // text is over.
        let rolled_back = |text| Some(Rollback { local: Some(digest(text)), server: digest("earlier"), done: true });
        let held = if remote == Remote::Holds(digest("new")) { Decision::Unchanged } else { Decision::RolledBack };
        assert_eq!(decide(&Situation { rollback: rolled_back("new"), ..plain }), held);
        let insists = Situation { rollback: rolled_back("new"), forced: true, ..plain };
        assert_eq!(decide(&insists), Decision::Deploy(Why::Forced));
        assert_eq!(&decide(&Situation { rollback: rolled_back("old"), ..plain }), expected);
        // A waiting deploy stays if more than the ledger asked for it.
        let is_open = matches!(expected, Decision::Unchanged | Decision::Deploy(_)) && remote == Remote::NotAsked;
        for why in [Why::ChangedOnServer, Why::MissingOnServer, Why::Forced] {
            let waits = if is_open { Decision::Deploy(why) } else { expected.clone() };
            assert_eq!(decide(&Situation { waiting: Some(why), ..plain }), waits);
        }
        assert_eq!(&decide(&Situation { waiting: Some(Why::Edited), ..plain }), expected);
        // With a question asked ahead, an unchanged text is compared with the answer.
        let compared = match (expected, remote) {
            (Decision::Unchanged, Remote::NotAsked) => Decision::Deploy(Why::SavedAgain),
            (expected, _) => expected.clone(),
        };
        assert_eq!(decide(&Situation { asked: true, ..plain }), compared);
    }

    #[test]
    fn the_plan_table() {
        use Decision::{Deploy, RefusedBefore, Unchanged};
        use Remote::{Holds, NotAsked, NotListed};
        let holds = |text| Holds(digest(text));
        let failed = |text| LastAttempt::Failed { digest: digest(text) };

        check(None, NotAsked, &Deploy(Why::New));
        check(None, NotListed, &Deploy(Why::New));
        check(None, holds("old"), &Deploy(Why::New));
        check(None, holds("new"), &Unchanged);

        check(Some(&record(Some("new"), LastAttempt::Deployed)), NotAsked, &Unchanged);
        check(Some(&record(Some("new"), LastAttempt::Deployed)), NotListed, &Deploy(Why::MissingOnServer));
        check(Some(&record(Some("new"), LastAttempt::Deployed)), holds("theirs"), &Deploy(Why::ChangedOnServer));
        check(Some(&record(Some("new"), LastAttempt::Deployed)), holds("new"), &Unchanged);
        check(Some(&record(Some("old"), LastAttempt::Deployed)), NotAsked, &Deploy(Why::Edited));
        check(Some(&record(Some("old"), LastAttempt::Deployed)), holds("old"), &Deploy(Why::Edited));
        check(Some(&record(Some("old"), LastAttempt::Deployed)), holds("new"), &Unchanged);

        check(Some(&record(Some("old"), refused("new"))), NotAsked, &RefusedBefore(Refusal::said("no")));
        check(Some(&record(Some("old"), refused("new"))), holds("old"), &RefusedBefore(Refusal::said("no")));
        check(Some(&record(Some("old"), refused("new"))), holds("new"), &Unchanged);
        check(Some(&record(Some("new"), refused("bad"))), NotAsked, &Deploy(Why::Edited));
        check(Some(&record(None, refused("bad"))), NotAsked, &Deploy(Why::Edited));

        check(Some(&record(Some("old"), failed("new"))), NotAsked, &Deploy(Why::Retry));
        check(Some(&record(Some("new"), failed("other"))), NotAsked, &Deploy(Why::Edited));
    }
}
