//! The whole policy: deploy or skip, and why. One table over what the ledger, the server and the file hold; `dispatch`
//! gathers the [`Situation`] and acts on the [`Decision`].

use super::form;
use crate::engine::ledger::{LastAttempt, Record, Refusal, Rollback};
use crate::plugin::{Digest, Entry};

/// What a plugin waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The server cannot be reached.
    Away,
    /// The server denied access.
    Denied,
    /// A broken file may be the same plugin.
    BrokenFile,
    /// Others are being deployed.
    Turn,
    /// It is uncertain which server the plugins are for.
    Settings,
}

/// What the server is known to hold of one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// The server was not asked: a save is planned from the ledger.
    NotAsked,
    /// The overview does not list it. That is no proof that it does not exist.
    NotListed,
    /// The server holds a text with this digest.
    Holds(Digest),
}

/// Whether the server can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It grants access.
    Open,
    /// It is being asked.
    Probing {
        /// It denied access before, and has not granted it since.
        denied: bool,
        /// It could not be reached before, and has not worked since.
        away: bool,
    },
    /// It cannot be reached.
    Away,
    /// It denied access.
    Denied,
}

/// What to do about a plugin file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Start a conversation with the server about it, when it is its turn.
    Deploy(Why),
    /// Deploy it once the server can be used: everything is planned again then.
    Wait(WaitReason),
    /// The probe will end soon, and then everything is planned.
    AwaitProbe,
    /// Read the text of the file, then decide again.
    ReadText,
    /// This very text is being sent: send nothing more.
    InFlight,
    /// The text is there: send nothing.
    Unchanged,
    /// The server refused this very text before: send nothing.
    RefusedBefore {
        /// The reason.
        refusal: Refusal,
        /// Whether the server has the plugin, with another text.
        on_server: bool,
    },
    /// An earlier text was put back on purpose: send nothing until the file changes.
    RolledBack,
    /// Check the text, then decide again.
    Check,
    /// The text is certain to break the plugin: send nothing until the file changes or the user insists.
    Blocked,
}

/// What `check` says of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It was not asked, and must be before the text is sent.
    NotYet,
    /// It holds nothing back.
    Fine,
    /// The text has errors, which hold it back.
    HasErrors,
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
    /// The server holds our stub, which should have been there only for a moment.
    StubLeft,
    /// We deployed it, and the server holds something else now.
    ChangedOnServer,
    /// We deployed it, and the server no longer lists it.
    MissingOnServer,
    /// It was saved unchanged, and the server has already been asked what it holds.
    SavedAgain,
    /// `--force`, or a request of the user for this plugin.
    Forced,
}

impl Why {
    /// Whether it holds whatever the ledger says: the server holds something else, or the user insists.
    #[must_use]
    pub fn overrides_ledger(self) -> bool {
        match self {
            Why::ChangedOnServer | Why::MissingOnServer | Why::StubLeft | Why::Forced => true,
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
            Why::Retry | Why::StubLeft => "retry",
            Why::ChangedOnServer => "changed_on_server",
            Why::MissingOnServer => "missing_on_server",
            Why::Forced => "forced",
        }
    }
}

/// The facts that decide.
#[expect(clippy::struct_excessive_bools, reason = "separate facts")]
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
    /// Whether the server can be used.
    pub access: Access,
    /// The digest of the file's text.
    pub local: Digest,
    /// What `check` says of that text; [`Checked::Fine`] where errors hold nothing back.
    pub checked: Checked,
    /// The class that makes the file a plugin.
    pub entry: Entry,
    /// Whether the text is in memory.
    pub has_text: bool,
    /// The user insists on a deploy in the first pass, and this is the first pass.
    pub force: bool,
    /// The user asks for a deploy of this plugin now.
    pub requested: bool,
    /// The pass has a result for the plugin.
    pub has_result: bool,
    /// The text that is being sent, if any.
    pub in_flight: Option<Digest>,
    /// The reason of a deploy that already waits, if any.
    pub waiting: Option<Why>,
    /// The server has already been asked what it holds, since a save began.
    pub asked: bool,
}

impl<'a> Situation<'a> {
    /// A server that can be used, and nothing under way.
    #[must_use]
    pub fn new(record: Option<&'a Record>, remote: Remote, local: Digest, entry: Entry) -> Self {
        Self {
            record,
            rollback: None,
            given_up: None,
            remote,
            access: Access::Open,
            local,
            checked: Checked::Fine,
            entry,
            has_text: true,
            force: false,
            requested: false,
            has_result: false,
            in_flight: None,
            waiting: None,
            asked: false,
        }
    }

    /// Whether a pass compares the file with what the server holds.
    #[must_use]
    pub fn in_pass(&self) -> bool {
        self.remote != Remote::NotAsked
    }

    /// The text that the server held last, by the ledger.
    fn deployed(&self) -> Option<Digest> {
        self.record?.deployed.as_ref().map(|deployed| deployed.digest)
    }
}

/// Decides about one plugin.
pub fn decide(situation: &Situation) -> Decision {
    let decision = match situation.in_flight {
        Some(digest) if digest == situation.local => Decision::InFlight,
        Some(_) => Decision::Deploy(Why::Edited),
        None => decide_idle(situation),
    };
    let decision = match (decision, situation.checked) {
        (decision @ Decision::Deploy(Why::Forced), _) => decision,
        (decision, _) if situation.requested => decision,
        (Decision::Deploy(_), Checked::NotYet) => Decision::Check,
        // The server is believed to hold the text already.
        (Decision::Deploy(Why::SavedAgain), Checked::HasErrors) => Decision::Unchanged,
        (Decision::Deploy(_), Checked::HasErrors) => Decision::Blocked,
        (decision, _) => decision,
    };
    let needs_text = match decision {
        // The words may be about a line of it.
        Decision::Deploy(_) | Decision::RefusedBefore { .. } | Decision::Check => true,
        // It may have to be sent again.
        Decision::InFlight => true,
        // A text that is new to the ledger is archived.
        Decision::Unchanged => situation.in_pass() && situation.record.and_then(Record::held) != Some(situation.local),
        _ => false,
    };
    if needs_text && !situation.has_text { Decision::ReadText } else { decision }
}

/// Decides about a plugin that is not being deployed.
fn decide_idle(situation: &Situation) -> Decision {
    let wait = match situation.access {
        Access::Open => None,
        Access::Probing { denied: false, away: false } => return Decision::AwaitProbe,
        Access::Denied | Access::Probing { denied: true, .. } => Some(WaitReason::Denied),
        // Only an answer of the server ends an outage.
        Access::Away | Access::Probing { .. } => Some(WaitReason::Away),
    };
    let in_pass = situation.in_pass();
    let decision = match (by_texts(situation), situation.waiting) {
        // The ledger's belief does not cancel a deploy that waits because of what the server holds.
        (Decision::Unchanged | Decision::Deploy(_), Some(why)) if !in_pass && why.overrides_ledger() => {
            Decision::Deploy(why)
        }
        // The server's answer is on its way: wait for it instead of telling the ledger's belief.
        (Decision::Unchanged, _) if !in_pass && situation.asked && wait.is_none() => Decision::Deploy(Why::SavedAgain),
        (decision, _) => decision,
    };
    match (decision, wait) {
        (Decision::Deploy(_), Some(reason)) => Decision::Wait(reason),
        (decision, _) => decision,
    }
}

/// Decides by the texts alone: here, on the server, and in the ledger.
fn by_texts(situation: &Situation) -> Decision {
    let &Situation { record, rollback, given_up, remote, local, .. } = situation;
    if situation.requested {
        return Decision::Deploy(Why::Forced);
    }
    // Only once: a text that crashes the server must not do so each time the pass is resumed.
    if situation.force && situation.in_pass() && !situation.has_result {
        return Decision::Deploy(Why::Forced);
    }
    match remote {
        Remote::Holds(digest) if digest == local => return Decision::Unchanged,
        // It was to tell why the server refuses the plugin.
        Remote::Holds(digest) if form::is_of_stub(digest, situation.entry) => return Decision::Deploy(Why::StubLeft),
        Remote::NotAsked | Remote::NotListed | Remote::Holds(_) => {}
    }
    if rollback.is_some_and(|rollback| rollback.replaced(local)) {
        return Decision::RolledBack;
    }
    let Some(record) = record else { return Decision::Deploy(Why::New) };
    let is_deployed = situation.deployed() == Some(local);
    let refused = |refusal: Refusal| {
        let on_server = match remote {
            Remote::Holds(_) => true,
            Remote::NotListed => false,
            Remote::NotAsked => record.deployed.is_some(),
        };
        Decision::RefusedBefore { refusal, on_server }
    };
    match (&record.last, remote) {
        (LastAttempt::Refused { digest, refusal }, _) if *digest == local => refused(refusal.clone()),
        (LastAttempt::Failed { digest }, _)
            if *digest == local
                && let Some(words) = given_up =>
        {
            refused(Refusal::said(words))
        }
        // After a refusal or a failure the ledger does not know what the server holds; looking is cheap.
        (LastAttempt::Refused { digest, .. } | LastAttempt::Failed { digest }, _) if *digest != local => {
            Decision::Deploy(Why::Edited)
        }
        (_, Remote::NotListed) if is_deployed => Decision::Deploy(Why::MissingOnServer),
        (_, Remote::Holds(_)) if is_deployed => Decision::Deploy(Why::ChangedOnServer),
        (LastAttempt::Deployed, Remote::NotAsked) if is_deployed => Decision::Unchanged,
        (LastAttempt::Deployed, _) if record.deployed.is_none() => Decision::Deploy(Why::New),
        (LastAttempt::Deployed, _) => Decision::Deploy(Why::Edited),
        (LastAttempt::Refused { .. } | LastAttempt::Failed { .. }, _) => Decision::Deploy(Why::Retry),
    }
}

/// Whether a rollback made meanwhile cancels a deploy that had to wait. It never keeps our stub in place: that is not
/// the text that the user put back.
#[must_use]
pub fn is_rolled_back(why: Why, rollback: Option<Rollback>, local: Digest) -> bool {
    !matches!(why, Why::Forced | Why::StubLeft) && rollback.is_some_and(|rollback| rollback.replaced(local))
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

    fn failed(text: &str) -> LastAttempt {
        LastAttempt::Failed { digest: digest(text) }
    }

    fn rollback(text: &str) -> Rollback {
        Rollback { local: Some(digest(text)), server: digest("earlier"), done: true }
    }

    fn refused_before(words: &str, on_server: bool) -> Decision {
        Decision::RefusedBefore { refusal: Refusal::said(words), on_server }
    }

    /// The file holds `new`, and the server grants access.
    fn situation(record: Option<&Record>, remote: Remote) -> Situation<'_> {
        Situation::new(record, remote, digest("new"), Entry::Filter)
    }

    const CLOSED: [(Access, WaitReason); 5] = [
        (Access::Away, WaitReason::Away),
        (Access::Probing { denied: false, away: true }, WaitReason::Away),
        (Access::Denied, WaitReason::Denied),
        (Access::Probing { denied: true, away: true }, WaitReason::Denied),
        (Access::Probing { denied: true, away: false }, WaitReason::Denied),
    ];

    /// A row of the table, and what each further fact makes of it.
    #[track_caller]
    fn check(record: Option<&Record>, remote: Remote, expected: &Decision) {
        let plain = situation(record, remote);
        let saved = remote == Remote::NotAsked;
        assert_eq!(&decide(&plain), expected);

        // Force applies to a pass, until the plugin has a result in it.
        let forced = Situation { given_up: Some("500"), force: true, ..plain };
        if !saved {
            assert_eq!(decide(&forced), Decision::Deploy(Why::Forced));
            assert_eq!(decide(&Situation { rollback: Some(rollback("new")), ..forced }), Decision::Deploy(Why::Forced));
        }
        assert_eq!(&decide(&Situation { force: true, has_result: true, ..plain }), expected);

        // A request of the user applies whatever else is known, once the server can be used.
        let requested = Situation { requested: true, rollback: Some(rollback("new")), ..forced };
        assert_eq!(decide(&requested), Decision::Deploy(Why::Forced));
        for (access, reason) in CLOSED {
            assert_eq!(decide(&Situation { access, ..requested }), Decision::Wait(reason));
        }

        // Giving up replaces a retry, and nothing else.
        if let Decision::Deploy(Why::Retry) = expected {
            assert!(
                matches!(decide(&Situation { given_up: Some("500"), ..plain }), Decision::RefusedBefore { refusal, .. } if refusal.words == "500")
            );
        } else {
            assert_eq!(&decide(&Situation { given_up: Some("500"), ..plain }), expected);
        }

        // A rollback of this very text holds it back, unless the server holds it; one of another text is over.
        let held = if remote == Remote::Holds(digest("new")) { Decision::Unchanged } else { Decision::RolledBack };
        assert_eq!(decide(&Situation { rollback: Some(rollback("new")), ..plain }), held);
        assert_eq!(&decide(&Situation { rollback: Some(rollback("old")), ..plain }), expected);

        // A waiting deploy stays if more than the ledger asked for it.
        let is_open = matches!(expected, Decision::Unchanged | Decision::Deploy(_)) && saved;
        for why in [Why::ChangedOnServer, Why::MissingOnServer, Why::Forced] {
            let waits = if is_open { Decision::Deploy(why) } else { expected.clone() };
            assert_eq!(decide(&Situation { waiting: Some(why), ..plain }), waits);
        }
        assert_eq!(&decide(&Situation { waiting: Some(Why::Edited), ..plain }), expected);

        // With a question asked ahead, an unchanged text is compared with the answer, if one will come.
        let asked = Situation { asked: true, ..plain };
        let compared = match expected {
            Decision::Unchanged if saved => Decision::Deploy(Why::SavedAgain),
            expected => expected.clone(),
        };
        assert_eq!(decide(&asked), compared);

        // A server that cannot be used delays deploys, and nothing else.
        for (access, reason) in CLOSED {
            let delayed = match expected {
                Decision::Deploy(_) => Decision::Wait(reason),
                expected => expected.clone(),
            };
            assert_eq!(decide(&Situation { access, ..asked }), delayed, "{access:?}");
        }
        let access = Access::Probing { denied: false, away: false };
        assert_eq!(decide(&Situation { access, ..plain }), Decision::AwaitProbe);

        // Errors hold back what would be sent, unless the user insists.
        for (checked, decision) in [(Checked::NotYet, Decision::Check), (Checked::HasErrors, Decision::Blocked)] {
            let held = match expected {
                Decision::Deploy(_) => decision.clone(),
                expected => expected.clone(),
            };
            assert_eq!(decide(&Situation { checked, ..plain }), held, "{checked:?}");
            assert_eq!(decide(&Situation { checked, ..requested }), Decision::Deploy(Why::Forced));
            assert_eq!(decide(&Situation { checked, in_flight: Some(digest("old")), ..plain }), decision);
            if !saved {
                assert_eq!(decide(&Situation { checked, ..forced }), Decision::Deploy(Why::Forced));
            }
            for (access, _) in CLOSED {
                let closed = decide(&Situation { access, ..plain });
                assert_eq!(decide(&Situation { access, checked, ..plain }), closed, "{access:?}");
            }
        }

        // Another text in flight is followed by this one; the same text is enough. The rest does not matter then.
        for access in [access, Access::Open, Access::Away] {
            for (text, decision) in [("new", Decision::InFlight), ("old", Decision::Deploy(Why::Edited))] {
                assert_eq!(decide(&Situation { in_flight: Some(digest(text)), access, ..forced }), decision);
            }
        }

        // The text is read for what is sent, told with a line of it, or archived.
        let is_read = match expected {
            Decision::Deploy(_) | Decision::RefusedBefore { .. } => true,
            _ => !saved && record.is_none_or(|record| record.held() != Some(digest("new"))),
        };
        let without = Situation { has_text: false, ..plain };
        assert_eq!(decide(&without) == Decision::ReadText, is_read);
        for in_flight in ["old", "new"] {
            assert_eq!(decide(&Situation { in_flight: Some(digest(in_flight)), ..without }), Decision::ReadText);
        }
        for (access, reason) in CLOSED {
            let expected = match expected {
                Decision::Deploy(_) => Decision::Wait(reason),
                _ => decide(&without),
            };
            assert_eq!(decide(&Situation { access, ..without }), expected, "{access:?}");
        }
    }

    #[test]
    fn the_plan_table() {
        use Decision::{Deploy, Unchanged};
        use Remote::{Holds, NotAsked, NotListed};
        let holds = |text| Holds(digest(text));
        let stub = Holds(Digest::of_text(&form::stub_text(Entry::Filter)));

        check(None, NotAsked, &Deploy(Why::New));
        check(None, NotListed, &Deploy(Why::New));
        check(None, holds("old"), &Deploy(Why::New));
        check(None, holds("new"), &Unchanged);

        let deployed = |text| record(Some(text), LastAttempt::Deployed);
        check(Some(&deployed("new")), NotAsked, &Unchanged);
        check(Some(&deployed("new")), NotListed, &Deploy(Why::MissingOnServer));
        check(Some(&deployed("new")), holds("theirs"), &Deploy(Why::ChangedOnServer));
        check(Some(&deployed("new")), holds("new"), &Unchanged);
        check(Some(&deployed("old")), NotAsked, &Deploy(Why::Edited));
        check(Some(&deployed("old")), NotListed, &Deploy(Why::Edited));
        check(Some(&deployed("old")), holds("old"), &Deploy(Why::Edited));
        check(Some(&deployed("old")), holds("new"), &Unchanged);
        check(Some(&record(None, LastAttempt::Deployed)), NotAsked, &Deploy(Why::New));

        check(Some(&record(Some("old"), refused("new"))), NotAsked, &refused_before("no", true));
        check(Some(&record(None, refused("new"))), NotAsked, &refused_before("no", false));
        check(Some(&record(Some("old"), refused("new"))), NotListed, &refused_before("no", false));
        check(Some(&record(Some("old"), refused("new"))), holds("old"), &refused_before("no", true));
        check(Some(&record(Some("old"), refused("new"))), holds("new"), &Unchanged);
        check(Some(&record(Some("new"), refused("bad"))), NotAsked, &Deploy(Why::Edited));
        check(Some(&record(Some("new"), refused("bad"))), NotListed, &Deploy(Why::Edited));
        check(Some(&record(None, refused("bad"))), NotAsked, &Deploy(Why::Edited));

        check(Some(&record(Some("old"), failed("new"))), NotAsked, &Deploy(Why::Retry));
        check(Some(&record(Some("old"), failed("new"))), holds("old"), &Deploy(Why::Retry));
        check(Some(&record(Some("new"), failed("new"))), NotAsked, &Deploy(Why::Retry));
        check(Some(&record(Some("new"), failed("other"))), NotAsked, &Deploy(Why::Edited));

        // The stub is replaced whatever else is known.
        for record in [deployed("new"), record(Some("old"), refused("new")), record(None, failed("new"))] {
            let left = Situation { rollback: Some(rollback("new")), ..situation(Some(&record), stub) };
            assert_eq!(decide(&left), Deploy(Why::StubLeft));
        }
        let of_another_kind = Situation { entry: Entry::Pipe, ..situation(None, stub) };
        assert_eq!(decide(&of_another_kind), Deploy(Why::New));
    }

    #[test]
    fn a_failed_text_is_not_retried_where_another_reason_is_known() {
        let record = record(Some("new"), failed("new"));
        for (remote, why) in
            [(Remote::NotListed, Why::MissingOnServer), (Remote::Holds(digest("theirs")), Why::ChangedOnServer)]
        {
            let plain = situation(Some(&record), remote);
            assert_eq!(decide(&plain), Decision::Deploy(why));
            let on_server = remote != Remote::NotListed;
            assert_eq!(decide(&Situation { given_up: Some("500"), ..plain }), refused_before("500", on_server));
        }
    }

    #[test]
    fn a_rollback_holds_back_a_deploy_that_waited() {
        assert!(is_rolled_back(Why::Edited, Some(rollback("new")), digest("new")));
        assert!(!is_rolled_back(Why::Edited, Some(rollback("old")), digest("new")));
        assert!(!is_rolled_back(Why::Forced, Some(rollback("new")), digest("new")));
        assert!(!is_rolled_back(Why::Edited, None, digest("new")));
    }
}
