//! The table of the conversation: every stage, every reply; and what is sent.
//!
//! Long because it is one table over every stage and every reply.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use expect_test::expect;
use serde_json::{Map, Value, json};

use super::super::call::ANOTHER_ANSWER;
use super::*;
use crate::plugin::{self, FileSettings, Parsed};

/// More steps than the longest conversation has: three beginnings, and the longest way to an end.
const MOST_STEPS: usize = 16;

const PLAIN: DeployPolicy = DeployPolicy {
    force: false,
    dry_run: false,
    activate_new: false,
    on_remote_edit: OnRemoteEdit::Backup,
    adopt: Adopt::Ask,
};
/// The texts and rows of the tables: version 1 is what we deployed last.
fn known() -> DeployContext {
    let ours = vec![Digest::of_text(&source("1"))];
    DeployContext {
        ours,
        unarchived: Vec::new(),
        duplicates: Duplicates::Known(None),
        refused: None,
        explains_updates: true,
        unlisted: false,
    }
}

const LOOK: DeployPolicy = DeployPolicy { dry_run: true, activate_new: true, ..PLAIN };
const ACTIVATE: DeployPolicy = DeployPolicy { activate_new: true, ..PLAIN };

fn source(version: &str) -> String {
    format!("\"\"\"\ntitle: Shout\nversion: {version}\n\"\"\"\nclass Filter: pass\n")
}

fn plugin_of(text: &str) -> Plugin {
    match plugin::parse(&Arc::from(Path::new("shout.py")), text.as_bytes(), &FileSettings::default()) {
        Parsed::Plugin(plugin) => Arc::unwrap_or_clone(plugin),
        other @ (Parsed::NotAPlugin | Parsed::Disabled | Parsed::Invalid(_)) => panic!("{other:?}"),
    }
}

fn row(version: &str, is_active: bool) -> Row {
    Row {
        id: "shout".to_owned(),
        name: "Shout".to_owned(),
        content: (version != "no text").then(|| source(version)),
        meta: object(json!({"manifest": {"title": "Shout", "version": version}})),
        is_active: Some(is_active),
        access_control: None,
        is_global: None,
        entry: None,
        versioned: true,
        version_id: Some("v".to_owned()),
    }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

/// What the server may say, by a name for the tables. Ours is version 2, and version 1 is what we deployed last.
fn replies() -> Vec<(&'static str, Reply)> {
    let words = || "words".to_owned();
    let row = |version, is_active| Reply::Row(Box::new(row(version, is_active)));
    vec![
        ("ours", row("2", true)),
        ("ours, off", row("2", false)),
        ("deployed", row("1", true)),
        ("theirs", row("theirs", false)),
        // As servers before 0.12 answer.
        ("old", Reply::Row(Box::new(Row { versioned: false, ..self::row("1", true) }))),
        ("old, off", Reply::Row(Box::new(Row { versioned: false, ..self::row("1", false) }))),
        ("stub", Reply::Row(Box::new(stub()))),
        ("no text", row("no text", false)),
        ("absent", Reply::Absent),
        ("taken", Reply::Taken),
        ("refused", Reply::Refused { words: words(), wrapped: false }),
        ("masked", Reply::Refused { words: "[ERROR: Error creating function]".to_owned(), wrapped: true }),
        ("crashed", Reply::Crashed { words: words(), too_large: false }),
        ("not allowed", Reply::NotAllowed { status: 403, words: words() }),
        ("unclear", Reply::Unclear { words: words() }),
        ("unreachable", Reply::Unreachable { cause: words().into(), retry_after: Some(Duration::from_secs(9)) }),
        ("stumbled", Reply::Stumbled { cause: words() }),
        ("lost", Reply::Lost { cause: words() }),
        ("foreign", Reply::Foreign { status: 200, words: words() }),
        ("too long", Reply::Unusable { words: words() }),
        ("connected", Reply::Connected { version: "0.12.4".to_owned() }),
        ("rows", Reply::Rows(Vec::new())),
        ("deleted", Reply::Deleted),
        ("versions", Reply::Versions(Vec::new())),
        ("text", Reply::Text(source("1"))),
        ("rows with it", Reply::Rows(vec![ListedRow::bare(PluginId::new("shout").unwrap())])),
    ]
}

fn stub() -> Row {
    let form = form_of_stub(&plugin_of(&source("2")));
    Row { content: Some(form.content.to_string()), meta: form.meta, ..row("no text", false) }
}

fn reply(name: &str) -> Reply {
    replies().into_iter().find(|(known, _)| *known == name).unwrap().1
}

/// A conversation under the eyes of the rules.
struct Conversation {
    deploy: Deploy,
    step: Step,
    policy: DeployPolicy,
    /// Everything that was said, newest last: the step, and the name of what came back.
    said: Vec<(Step, Reply)>,
    /// The texts that were kept.
    kept: Vec<String>,
    /// What was noted.
    noted: Vec<UpdateIntent>,
}

impl Conversation {
    fn start(policy: DeployPolicy) -> Self {
        let (deploy, step) = Deploy::start(Arc::new(plugin_of(&source("2"))), known(), policy);
        let talk = Self { deploy, step, policy, said: Vec::new(), kept: Vec::new(), noted: Vec::new() };
        talk.check();
        talk
    }

    /// Answers with these replies; `kept` and `not kept` are the answers to a keep.
    fn with(policy: DeployPolicy, script: &[&str]) -> Self {
        let mut talk = Self::start(policy);
        for name in script {
            talk.answer(name);
        }
        talk
    }

    fn answer(&mut self, name: &str) {
        assert!(!matches!(self.step, Step::Done(_)), "over already: {:?}", self.step);
        if let (Step::SaveBackup(backup), "kept") = (&self.step, name) {
            self.kept.push(backup.text.clone());
            self.step = self.deploy.backup_saved(Ok(PathBuf::from("copy.py")));
        } else if let (Step::SaveIntent(intent), "noted") = (&self.step, name) {
            // What may be on the server already, and what is about to be.
            assert_eq!(intent.ours, ["1", "2"].map(|version| Digest::of_text(&source(version))));
            self.noted.push(intent.clone());
            self.step = self.deploy.intent_saved(Ok(()));
        } else if name == "not noted" {
            self.step = self.deploy.intent_saved(Err("disk full".to_owned()));
        } else if name == "not kept" {
            self.step = self.deploy.backup_saved(Err("disk full".to_owned()));
        } else {
            let reply = reply(name);
            let next = self.deploy.reply(reply.clone());
            self.said.push((std::mem::replace(&mut self.step, next), reply));
        }
        self.check();
    }

    /// The rules for what may be said next, given what was heard.
    fn check(&self) {
        let said = &self.said;
        assert!(said.len() <= MOST_STEPS, "no end: {said:?}");
        let writes =
            matches!(self.step, Step::Call(Call::Create(..) | Call::Update(..) | Call::Toggle(_) | Call::Delete(_)));
        assert!(!self.policy.dry_run || !(writes || matches!(self.step, Step::SaveBackup(_))), "a dry run only looks");
        match &self.step {
            Step::Call(Call::Create(..)) => match said.as_slice() {
                [.., (Step::Call(Call::Get(_)), Reply::Absent)] => {}
                [
                    ..,
                    (Step::Call(Call::Get(_)), Reply::Unclear { .. }),
                    (Step::Call(Call::Overview(_)), Reply::Rows(rows)),
                ] => {
                    assert!(rows.is_empty(), "created what the list shows: {said:?}");
                }
                _ => panic!("created without the server's word that it does not exist: {said:?}"),
            },
            Step::Call(Call::Update(_, form)) => {
                let Some((Step::Call(Call::Get(_)), Reply::Row(before))) = said.last() else {
                    panic!("updated without a look: {said:?}");
                };
                let text = before.content.clone().expect("what is replaced is known");
                let ours = text == source("2") || text == source("1") || is_stub(before);
                let note = self.noted.last().map(|note| (note.replaced, note.was_active));
                let first =
                    self.noted.len() == 1 && !said.iter().any(|(step, _)| matches!(step, Step::Call(Call::Update(..))));
                let seen = (Some(Digest::of_text(&text)), before.is_active == Some(true));
                assert!(before.versioned || !first || note == Some(seen), "sent without a note: {said:?}");
                assert!(before.versioned || note.is_some(), "sent without a note: {said:?}");
                let is_replaced = *form.content != *text;
                assert!(ours || !is_replaced || self.kept.last() == Some(&text), "replaced without a copy: {said:?}");
            }
            Step::Call(Call::Toggle(_)) => {
                let Some((
                    Step::Call(Call::Get(_) | Call::Toggle(_) | Call::Update(..) | Call::Create(..)),
                    Reply::Row(row),
                )) = said.last()
                else {
                    panic!("flipped without a look: {said:?}");
                };
                assert_eq!(row.is_active, Some(false), "flipped what was not off: {said:?}");
                // A stub may have been left by an earlier conversation.
                let found = |reply: &Reply| matches!(reply, Reply::Row(row) if is_stub(row));
                let created = |step: &Step| matches!(step, Step::Call(Call::Create(..)));
                let created = said.iter().any(|(step, reply)| created(step) || found(reply));
                // What a refusal switched off was on when we looked first.
                let was_on = |(step, reply): &(Step, Reply)| matches!((step, reply), (Step::Call(Call::Get(_)), Reply::Row(row)) if row.is_active == Some(true));
                let refused = said.iter().any(was_on);
                assert!(
                    (created && self.policy.activate_new) || (refused && !created),
                    "flipped what is not ours to flip: {said:?}"
                );
            }
            Step::SaveBackup(backup) => {
                let Some((Step::Call(Call::Get(_)), Reply::Row(before))) = said.last() else {
                    panic!("kept without a look: {said:?}");
                };
                assert_eq!(Some(&backup.text), before.content.as_ref());
            }
            Step::Done(Outcome::Updated { .. } | Outcome::Created { .. }) => {
                let stored = said.iter().rev().find_map(|(_, reply)| match reply {
                    Reply::Row(row) => Some(row.content == Some(source("2"))),
                    _ => None,
                });
                let flipped = said.iter().any(|(step, _)| matches!(step, Step::Call(Call::Toggle(_))));
                // The answer to a create has no text to be seen.
                let created = matches!(said.last(), Some((Step::Call(Call::Create(..)), Reply::Row(row))) if row.content.is_none());
                assert!(stored == Some(true) || flipped || created, "success without having seen it: {said:?}");
            }
            Step::Call(Call::Delete(_)) => {
                let Some((Step::Call(Call::Get(_)), Reply::Row(row))) = said.last() else {
                    panic!("deleted without a look: {said:?}");
                };
                assert!(is_stub(row), "deleted what is not ours: {said:?}");
            }
            Step::Call(call) => {
                assert!(matches!(call, Call::Get(_) | Call::Overview(_)), "{call:?}");
            }
            Step::SaveIntent(_) | Step::Archive(..) | Step::Done(_) => {}
        }
    }
}

fn say(step: &Step) -> String {
    match step {
        Step::Call(call) => format!("{call:?}").split('(').next().unwrap_or_default().to_lowercase(),
        Step::SaveBackup(_) => "keep".to_owned(),
        Step::SaveIntent(_) => "note".to_owned(),
        Step::Archive(_, next) => format!("archive, {}", say(next)),
        Step::Done(Outcome::Failed(Failure::Call(failure))) => format!("{failure:?}"),
        Step::Done(Outcome::Failed(failure)) => format!("{failure:?}"),
        Step::Done(outcome) => format!("{outcome:?}"),
    }
}

fn stage(deploy: &Deploy) -> &'static str {
    match &deploy.stage {
        Stage::Asked => "asked",
        Stage::Doubted { missing: MissingRow::Possible, .. } => "doubted",
        Stage::Doubted { missing: MissingRow::Excluded, .. } => "turned away",
        Stage::SavingBackup { .. } => "keeping",
        Stage::Updating { kept: None, .. } => "updating",
        Stage::Updating { kept: Some(_), .. } => "updating, kept",
        Stage::LookingForDuplicates => "looking for duplicates",
        Stage::SavingIntent { .. } => "noting",
        Stage::Repair { repair, .. } => match repair.stage() {
            repair::Stage::Restoring { .. } => "restoring",
            repair::Stage::Looking { .. } => "restoring, looking",
            repair::Stage::Flipping => "switching on",
            repair::Stage::FlippingBack => "switching on, back",
            repair::Stage::ReadingBack => "switching on, reading back",
        },
        Stage::CreatingStub { .. } => "creating a stub",
        Stage::CheckingStub { .. } => "checking the stub",
        Stage::DeletingStub { .. } => "deleting the stub",
        Stage::ReadingBack { doubt: Unverified::Lost(_), .. } => "reading back, lost",
        Stage::ReadingBack { doubt: Unverified::Refused(_), .. } => "reading back, refused",
        Stage::ReadingBack { doubt: Unverified::Other, .. } => "reading back, other",
        Stage::Creating => "creating",
        Stage::CheckingRefused { .. } => "checking, refused",
        Stage::CheckingLost { .. } => "checking, lost",
        Stage::Activating(repair) => match repair.stage() {
            repair::Stage::FlippingBack => "activating, back",
            repair::Stage::ReadingBack => "activating, reading back",
            _ => "activating",
        },
    }
}

/// How to get to each stage.
const WAYS: [(&str, &[&str]); 35] = [
    ("asked", &[]),
    ("doubted", &["unclear"]),
    ("keeping", &["theirs"]),
    ("updating", &["deployed"]),
    ("updating, kept", &["theirs", "kept"]),
    ("turned away", &["deployed", "unclear"]),
    ("reading back, lost", &["deployed", "lost"]),
    ("reading back, refused", &["deployed", "crashed"]),
    ("reading back, other", &["theirs", "kept", "theirs"]),
    ("noting", &["old"]),
    ("noting", &["absent"]),
    ("updating", &["old", "noted"]),
    ("reading back, refused", &["old", "noted", "refused"]),
    ("restoring", &["old", "noted", "refused", "old, off"]),
    ("restoring", &["old", "noted", "refused", "old"]),
    ("restoring, looking", &["old", "noted", "refused", "old, off", "refused"]),
    ("restoring, looking", &["old", "noted", "refused", "old, off", "crashed"]),
    ("restoring", &["old", "noted", "refused", "old, off", "crashed", "old"]),
    ("switching on", &["old", "noted", "refused", "old, off", "old, off"]),
    ("switching on, back", &["old", "noted", "refused", "old, off", "old, off", "old, off"]),
    ("switching on, reading back", &["old", "noted", "refused", "old, off", "old, off", "lost"]),
    ("activating", &["absent", "noted", "masked", "absent", "stub", "stub", "noted", "ours, off"]),
    ("reading back, lost", &["absent", "noted", "masked", "absent", "stub", "stub", "noted", "lost"]),
    ("reading back, lost", &["old", "noted", "lost"]),
    ("restoring, looking", &["old", "noted", "refused", "old", "lost"]),
    ("creating a stub", &["absent", "noted", "masked", "absent"]),
    ("checking the stub", &["absent", "noted", "masked", "absent", "stub", "stub", "noted", "refused"]),
    ("deleting the stub", &["absent", "noted", "masked", "absent", "stub", "stub", "noted", "refused", "stub"]),
    ("creating", &["absent", "noted"]),
    ("turned away", &["absent", "noted", "unclear"]),
    ("checking, lost", &["absent", "noted", "lost"]),
    ("checking, refused", &["absent", "noted", "refused"]),
    ("activating", &["absent", "noted", "no text"]),
    ("activating, back", &["absent", "noted", "no text", "ours, off"]),
    ("activating, reading back", &["absent", "noted", "no text", "lost"]),
];

/// What the same replies come to at every stage that has no other use for them.
fn everywhere(reply: Reply) -> String {
    say(&Conversation::start(ACTIVATE).deploy.unexpected(reply))
}

/// Replies under the step that they lead to, in the order of the first.
fn grouped(steps: impl Iterator<Item = (&'static str, String)>) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, next) in steps {
        match groups.iter_mut().find(|(known, _)| *known == next) {
            Some((_, names)) => names.push(name),
            None => groups.push((next, vec![name])),
        }
    }
    groups.into_iter().fold(String::new(), |mut text, (next, names)| {
        writeln!(text, "    {next} <- {}", names.join(" | ")).unwrap();
        text
    })
}

/// Every stage, every reply. What is not listed at a stage is as everywhere.
#[test]
#[expect(clippy::too_many_lines, reason = "one long table")]
fn the_conversation() {
    let common = replies().into_iter().map(|(name, reply)| (name, everywhere(reply)));
    let mut table = format!("everywhere\n{}", grouped(common));
    for (at, way) in WAYS {
        writeln!(table, "{at} ({})", way.join(" > ")).unwrap();
        let names = replies().into_iter().map(|(name, _)| name);
        let names = names.chain(["kept", "not kept"].into_iter().filter(|_| at == "keeping"));
        let names = names.chain(["noted", "not noted"].into_iter().filter(|_| at == "noting"));
        let steps = names.filter_map(|name| {
            let mut talk = Conversation::with(ACTIVATE, way);
            assert_eq!(stage(&talk.deploy), at);
            talk.answer(name);
            let next = say(&talk.step);
            let common = !name.ends_with("kept") && !name.ends_with("noted") && next == everywhere(reply(name));
            (!common).then_some((name, next))
        });
        table.push_str(&grouped(steps));
    }
    expect![[r#"
        everywhere
            Odd { words: "ANOTHER_ANSWER" } <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | taken | connected | rows | deleted | versions | text | rows with it
            get <- absent
            Odd { words: "words" } <- refused | too long
            Odd { words: "[ERROR: Error creating function]" } <- masked
            Unreachable { cause: Cause { words: "the server fails: words", untrusted: false }, retry_after: None } <- crashed
            overview <- not allowed | unclear
            Unreachable { cause: Cause { words: "words", untrusted: false }, retry_after: Some(9s) } <- unreachable
            Unreachable { cause: Cause { words: "words", untrusted: false }, retry_after: None } <- stumbled | lost
            Foreign { status: 200, words: "words" } <- foreign
        asked ()
            Unchanged <- ours | ours, off
            update <- deployed
            keep <- theirs
            note <- old | old, off | stub | absent
            NotOurs { words: "the server does not show its text to this key" } <- no text
        doubted (unclear)
            NotAllowed { status: 403, words: "words" } <- not allowed
            NotAllowed { status: 401, words: "words" } <- unclear
            note <- rows
            NotOurs { words: "words" } <- rows with it
        keeping (theirs)
            Odd { words: "an answer while nothing was asked" } <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | absent | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
            update <- kept
            KeepFailed { words: "disk full" } <- not kept
        updating (deployed)
            Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
            get <- deployed | theirs | old | old, off | stub | no text | crashed | lost | foreign
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- refused
            note <- masked
        updating, kept (theirs > kept)
            Updated { from: Some("theirs"), kept: Some("copy.py"), version: None } <- ours | ours, off
            get <- deployed | theirs | old | old, off | stub | no text | crashed | lost | foreign
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- refused
            note <- masked
        turned away (deployed > unclear)
            NotAllowed { status: 403, words: "words" } <- not allowed
            NotAllowed { status: 401, words: "words" } <- unclear
            NotOurs { words: "words" } <- rows | rows with it
        reading back, lost (deployed > lost)
            Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
            Unanswered { cause: "words" } <- deployed | theirs | old | stub | no text | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
            note <- old, off
        reading back, refused (deployed > crashed)
            Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
            Crashed { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- deployed | theirs | stub | no text | taken | refused | masked | crashed | not allowed | unclear | stumbled | foreign | too long | connected | rows | deleted | versions | text | rows with it
            note <- old | old, off
            Unanswered { cause: "words, and then words" } <- unreachable | lost
        reading back, other (theirs > kept > theirs)
            Updated { from: Some("theirs"), kept: Some("copy.py"), version: None } <- ours | ours, off
            update <- deployed
            keep <- theirs
            note <- old | old, off | stub
            NotOurs { words: "the server does not show its text to this key" } <- no text
        noting (old)
            Odd { words: "an answer while nothing was asked" } <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | absent | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
            update <- noted
            KeepFailed { words: "disk full" } <- not noted
        noting (absent)
            Odd { words: "an answer while nothing was asked" } <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | absent | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
            create <- noted
            KeepFailed { words: "disk full" } <- not noted
        updating (old > noted)
            Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
            get <- deployed | theirs | old | old, off | stub | no text | refused | masked | crashed | lost | foreign
            Stumbled { cause: "words" } <- stumbled
        reading back, refused (old > noted > refused)
            Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- deployed
            update <- theirs | old | old, off | stub
            toggle <- no text
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "ANOTHER_ANSWER", later: true }) } <- taken | connected | rows | deleted | versions | text | rows with it
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "words", later: true }) } <- refused | not allowed | unclear | unreachable | stumbled | lost | foreign | too long
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "[ERROR: Error creating function]", later: true }) } <- masked
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "the server fails: words", later: true }) } <- crashed
        restoring (old > noted > refused > old, off)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | stub
            toggle <- old, off | no text
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "it was deleted meanwhile", later: false }) } <- absent
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "ANOTHER_ANSWER", later: false }) } <- taken | connected | rows | deleted | versions | text | rows with it
            get <- refused | masked | crashed | lost
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "words", later: true }) } <- not allowed | unclear | unreachable | stumbled | foreign
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "words", later: false }) } <- too long
        restoring (old > noted > refused > old)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | stub | absent | taken | too long | connected | rows | deleted | versions | text | rows with it
            toggle <- old, off | no text
            get <- refused | masked | crashed | lost
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Unsettled { cause: "words" } } <- not allowed | unclear | unreachable | stumbled | foreign
        restoring, looking (old > noted > refused > old, off > refused)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | stub
            toggle <- old, off | no text
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "the server does not take the old text again: words", later: false }) } <- absent | taken | refused | masked | too long | connected | rows | deleted | versions | text | rows with it
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "the server does not take the old text again: words", later: true }) } <- crashed | not allowed | unclear | unreachable | stumbled | lost | foreign
        restoring, looking (old > noted > refused > old, off > crashed)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | theirs | stub
            update <- deployed | old | old, off
            toggle <- no text
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "the server does not take the old text again: the server fails: words", later: false }) } <- absent | taken | refused | masked | too long | connected | rows | deleted | versions | text | rows with it
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "the server does not take the old text again: the server fails: words", later: true }) } <- crashed | not allowed | unclear | unreachable | stumbled | lost | foreign
        restoring (old > noted > refused > old, off > crashed > old)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | stub | absent | taken | too long | connected | rows | deleted | versions | text | rows with it
            toggle <- old, off | no text
            get <- refused | masked | crashed | lost
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Unsettled { cause: "words" } } <- not allowed | unclear | unreachable | stumbled | foreign
        switching on (old > noted > refused > old, off > old, off)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours
            toggle <- ours, off | theirs | old, off | stub | no text
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Restored } <- deployed | old
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "it was deleted meanwhile", later: false }) } <- absent
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "ANOTHER_ANSWER", later: false }) } <- taken | connected | rows | deleted | versions | text | rows with it
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "words", later: false }) } <- refused | too long
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "[ERROR: Error creating function]", later: false }) } <- masked
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "the server fails: words", later: true }) } <- crashed
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "words", later: true }) } <- not allowed | unclear | unreachable | stumbled | foreign
            get <- lost
        switching on, back (old > noted > refused > old, off > old, off > old, off)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "somebody else switches it at the same moment", later: false }) } <- ours, off | theirs | old, off | stub | no text
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Restored } <- deployed | old
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "it was deleted meanwhile", later: false }) } <- absent
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "ANOTHER_ANSWER", later: false }) } <- taken | connected | rows | deleted | versions | text | rows with it
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "words", later: false }) } <- refused | too long
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "[ERROR: Error creating function]", later: false }) } <- masked
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "the server fails: words", later: true }) } <- crashed
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "words", later: true }) } <- not allowed | unclear | unreachable | stumbled | foreign
            get <- lost
        switching on, reading back (old > noted > refused > old, off > old, off > lost)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | theirs | stub
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Restored } <- deployed | old
            toggle <- old, off | no text
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "it was deleted meanwhile", later: false }) } <- absent
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "ANOTHER_ANSWER", later: false }) } <- taken | connected | rows | deleted | versions | text | rows with it
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "words", later: false }) } <- refused | too long
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "[ERROR: Error creating function]", later: false }) } <- masked
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "the server fails: words", later: true }) } <- crashed
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "words", later: true }) } <- not allowed | unclear | unreachable | stumbled | lost | foreign
        activating (absent > noted > masked > absent > stub > stub > noted > ours, off)
            Created { active: Ok(Some(true)) } <- ours
            toggle <- ours, off | theirs | old, off | stub | no text
            StoredOther <- deployed | old
            Created { active: Err(StillOff { cause: "ANOTHER_ANSWER", later: false }) } <- taken | connected | rows | deleted | versions | text | rows with it
            Created { active: Err(StillOff { cause: "words", later: false }) } <- refused | too long
            Created { active: Err(StillOff { cause: "[ERROR: Error creating function]", later: false }) } <- masked
            Created { active: Err(StillOff { cause: "the server fails: words", later: true }) } <- crashed
            Created { active: Err(StillOff { cause: "words", later: true }) } <- not allowed | unclear | unreachable | stumbled | foreign
            get <- lost
        reading back, lost (absent > noted > masked > absent > stub > stub > noted > lost)
            Created { active: Ok(Some(true)) } <- ours
            toggle <- ours, off
            Unanswered { cause: "words" } <- deployed | theirs | old | old, off | no text | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
            delete <- stub
        reading back, lost (old > noted > lost)
            Updated { from: Some("1"), kept: None, version: None } <- ours | ours, off
            Unanswered { cause: "words" } <- deployed | theirs | old | stub | no text | taken | refused | masked | crashed | not allowed | unclear | unreachable | stumbled | lost | foreign | too long | connected | rows | deleted | versions | text | rows with it
            update <- old, off
        restoring, looking (old > noted > refused > old > lost)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | theirs | stub
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Unsettled { cause: "words" } } <- deployed | old
            toggle <- old, off | no text
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "the server does not take the old text again: words", later: false }) } <- absent | taken | refused | masked | too long | connected | rows | deleted | versions | text | rows with it
            Refused { refusal: Refusal { words: "words", kind: Said }, left: Off(StillOff { cause: "the server does not take the old text again: words", later: true }) } <- crashed | not allowed | unclear | unreachable | stumbled | lost | foreign
        creating a stub (absent > noted > masked > absent)
            get <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | taken | lost
            TakesNone { words: "[ERROR: Error creating function]" } <- refused | masked
            Crashed { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- crashed
        checking the stub (absent > noted > masked > absent > stub > stub > noted > refused)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | old, off | no text | absent | taken | refused | masked | not allowed | unclear | foreign | too long | connected | rows | deleted | versions | text | rows with it
            delete <- stub
        deleting the stub (absent > noted > masked > absent > stub > stub > noted > refused > stub)
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- ours | ours, off | deployed | theirs | old | old, off | stub | no text | absent | taken | refused | masked | not allowed | unclear | foreign | too long | connected | rows | deleted | versions | text | rows with it
        creating (absent > noted)
            Created { active: Ok(Some(true)) } <- ours
            toggle <- ours, off | no text
            StoredOther <- deployed | theirs | old | old, off | stub
            get <- taken | refused | masked | crashed | lost
        turned away (absent > noted > unclear)
            NotAllowed { status: 403, words: "words" } <- not allowed
            NotAllowed { status: 401, words: "words" } <- unclear
            NotOurs { words: "words" } <- rows | rows with it
        checking, lost (absent > noted > lost)
            Created { active: Ok(Some(true)) } <- ours
            toggle <- ours, off
            StoredOther <- deployed | theirs | old | old, off | stub | no text
            Unanswered { cause: "words" } <- absent | unreachable | lost
        checking, refused (absent > noted > refused)
            Created { active: Ok(Some(true)) } <- ours
            toggle <- ours, off
            Refused { refusal: Refusal { words: "words", kind: Said }, left: AsItWas } <- deployed | theirs | old | old, off | stub | no text | absent | unreachable | lost
        activating (absent > noted > no text)
            Created { active: Ok(Some(true)) } <- ours
            toggle <- ours, off | theirs | old, off | stub | no text
            StoredOther <- deployed | old
            Created { active: Err(StillOff { cause: "ANOTHER_ANSWER", later: false }) } <- taken | connected | rows | deleted | versions | text | rows with it
            Created { active: Err(StillOff { cause: "words", later: false }) } <- refused | too long
            Created { active: Err(StillOff { cause: "[ERROR: Error creating function]", later: false }) } <- masked
            Created { active: Err(StillOff { cause: "the server fails: words", later: true }) } <- crashed
            Created { active: Err(StillOff { cause: "words", later: true }) } <- not allowed | unclear | unreachable | stumbled | foreign
            get <- lost
        activating, back (absent > noted > no text > ours, off)
            Created { active: Ok(Some(true)) } <- ours
            Created { active: Err(StillOff { cause: "somebody else switches it at the same moment", later: false }) } <- ours, off | theirs | old, off | stub | no text
            StoredOther <- deployed | old
            Created { active: Err(StillOff { cause: "ANOTHER_ANSWER", later: false }) } <- taken | connected | rows | deleted | versions | text | rows with it
            Created { active: Err(StillOff { cause: "words", later: false }) } <- refused | too long
            Created { active: Err(StillOff { cause: "[ERROR: Error creating function]", later: false }) } <- masked
            Created { active: Err(StillOff { cause: "the server fails: words", later: true }) } <- crashed
            Created { active: Err(StillOff { cause: "words", later: true }) } <- not allowed | unclear | unreachable | stumbled | foreign
            get <- lost
        activating, reading back (absent > noted > no text > lost)
            Created { active: Ok(Some(true)) } <- ours
            toggle <- ours, off | no text
            StoredOther <- deployed | theirs | old | old, off | stub
            Created { active: Err(StillOff { cause: "ANOTHER_ANSWER", later: false }) } <- taken | connected | rows | deleted | versions | text | rows with it
            Created { active: Err(StillOff { cause: "words", later: false }) } <- refused | too long
            Created { active: Err(StillOff { cause: "[ERROR: Error creating function]", later: false }) } <- masked
            Created { active: Err(StillOff { cause: "the server fails: words", later: true }) } <- crashed
            Created { active: Err(StillOff { cause: "words", later: true }) } <- not allowed | unclear | unreachable | stumbled | lost | foreign
    "#]]
    .assert_eq(&table.replace(ANOTHER_ANSWER, "ANOTHER_ANSWER"));
}

/// A new kind of reply does not compile here until it has a row above.
#[test]
fn every_reply_is_in_the_table() {
    let kinds: BTreeSet<_> = replies()
        .iter()
        .map(|(_, reply)| match reply {
            Reply::Connected { .. } => 0,
            // The second is about models, which no deploy asks for.
            Reply::Rows(_) | Reply::Attached(_) => 1,
            Reply::Row(_) => 2,
            Reply::Absent => 3,
            Reply::Taken => 4,
            Reply::Refused { .. } => 5,
            Reply::Crashed { .. } => 6,
            Reply::NotAllowed { .. } => 7,
            Reply::Unclear { .. } => 8,
            Reply::Unreachable { .. } => 9,
            Reply::Lost { .. } => 10,
            Reply::Foreign { .. } => 11,
            Reply::Deleted => 12,
            Reply::Versions(_) => 13,
            Reply::Text(_) => 14,
            Reply::Stumbled { .. } => 15,
            Reply::Unusable { .. } => 16,
        })
        .collect();
    assert_eq!(kinds.len(), 17);
}

#[test]
fn terms_change_what_is_said_first() {
    for (policy, first, expected) in [
        (PLAIN, "ours", "Unchanged"),
        (PLAIN, "deployed", "update"),
        (PLAIN, "theirs", "keep"),
        (PLAIN, "absent", "create"),
        (LOOK, "ours", "Unchanged"),
        (LOOK, "deployed", "WouldUpdate { from: Some(\"1\"), foreign: false }"),
        (LOOK, "theirs", "WouldUpdate { from: Some(\"theirs\"), foreign: true }"),
        (LOOK, "absent", "WouldCreate"),
        (DeployPolicy { force: true, ..PLAIN }, "ours", "update"),
        (DeployPolicy { force: true, ..PLAIN }, "theirs", "keep"),
        (DeployPolicy { force: true, ..LOOK }, "ours", "WouldUpdate { from: Some(\"2\"), foreign: false }"),
    ] {
        assert_eq!(say(&Conversation::with(policy, &[first]).step), expected, "{policy:?} {first}");
    }
    assert_eq!(say(&Conversation::with(LOOK, &["unclear", "rows"]).step), "WouldCreate");
    let created = Conversation::with(PLAIN, &["absent", "no text"]).step;
    assert_eq!(say(&created), "Created { active: Ok(Some(false)) }");
}

#[test]
fn what_no_list_has_is_created_without_a_further_look() {
    let start = |policy| {
        let known = DeployContext { unlisted: true, ..known() };
        Deploy::start(Arc::new(plugin_of(&source("2"))), known, policy)
    };
    for (script, expected) in [
        (&["no text"][..], "toggle"),
        // Lists are empty where plugins are switched off.
        (&["taken"], "get"),
        (&["taken", "ours"], "Unchanged"),
        (&["taken", "theirs"], "keep"),
        // So are creates refused then.
        (&["masked", "theirs"], "keep"),
        (&["masked", "ours, off"], "Unchanged"),
        (&["lost", "ours, off"], "toggle"),
        (&["lost", "theirs"], "keep"),
        (&["lost", "absent"], "Unanswered { cause: \"words\" }"),
        (&["refused", "absent"], "Refused { refusal: Refusal { words: \"words\", kind: Said }, left: AsItWas }"),
    ] {
        let (mut deploy, mut step) = start(ACTIVATE);
        assert_eq!(say(&step), "note");
        step = deploy.intent_saved(Ok(()));
        assert_eq!(say(&step), "create");
        for name in script {
            step = deploy.reply(reply(name));
        }
        assert_eq!(say(&step), expected, "{script:?}");
    }
    // A dry run that only looks still asks the server.
    assert_eq!(say(&start(LOOK).1), "get");
}

#[test]
fn what_comes_and_goes_ends() {
    let script = ["absent", "taken", "absent", "taken", "absent", "taken"];
    expect![[r#"Odd { words: "it keeps coming and going on the server" }"#]]
        .assert_eq(&say(&Conversation::with(PLAIN, &script).step));
}

/// Whatever the server says, the rules hold and there is an end.
#[test]
fn a_random_walk_keeps_the_rules() {
    let names: Vec<_> = replies().into_iter().map(|(name, _)| name).collect();
    for seed in 0..5000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let policy =
            DeployPolicy { force: random.bool(), dry_run: random.u8(0..8) == 0, activate_new: random.bool(), ..PLAIN };
        let mut talk = Conversation::start(policy);
        while !matches!(talk.step, Step::Done(_)) {
            // Mostly what carries the conversation on, or it would be over at once.
            let likely: &[&str] = match &talk.step {
                Step::SaveBackup(_) => &["kept", "kept", "kept", "not kept"],
                Step::Call(Call::Get(_)) => &["absent", "theirs", "unclear", "lost", "ours, off"],
                Step::Call(Call::Overview(_)) => &["rows"],
                Step::Call(Call::Create(..)) => &["no text", "taken", "lost", "crashed"],
                Step::Call(Call::Update(..)) => &["absent", "lost", "theirs", "unclear", "crashed"],
                Step::Call(Call::Toggle(_)) => &["ours, off", "lost", "absent"],
                Step::Call(_) => &["lost"],
                Step::SaveIntent(_) => &["noted", "noted", "noted", "not noted"],
                Step::Archive(..) | Step::Done(_) => &[],
            };
            let from = if random.u8(0..8) > 0 || matches!(talk.step, Step::SaveBackup(_) | Step::SaveIntent(_)) {
                likely
            } else {
                &names
            };
            talk.answer(from[random.usize(..from.len())]);
        }
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_no_disaster() {
    let mut talk = Conversation::start(PLAIN);
    assert_eq!(
        say(&talk.deploy.backup_saved(Ok(PathBuf::from("x")))),
        "Odd { words: \"a copy was kept that nobody asked for\" }"
    );
}

#[track_caller]
fn check_names(stored_name: &str, stored_title: Option<&str>, header: &str, expected: &str) {
    let plugin = plugin_of(&format!("\"\"\"\nid: shout\n{header}\n\"\"\"\nclass Filter: pass\n"));
    let manifest = stored_title.map_or(json!({}), |title| json!({ "title": title }));
    let before = Row { name: stored_name.to_owned(), meta: object(json!({ "manifest": manifest })), ..row("1", true) };
    assert_eq!(form_to_update(&plugin, &before).name, expected);
}

#[test]
fn a_name_follows_the_title_unless_somebody_renamed_it() {
    check_names("Shout", Some("Shout"), "title: Loud", "Loud");
    check_names("Shout", Some("Shout"), "title: Shout", "Shout");
    check_names("Renamed", Some("Shout"), "title: Loud", "Renamed");
    check_names("Renamed", None, "title: Loud", "Renamed");
    // Without a title, the id is the name.
    check_names("shout", None, "title: Loud", "Loud");
    check_names("shout", Some(""), "title: Loud", "Loud");
    check_names("Shout", Some("Shout"), "version: 1", "shout");
    check_names("Shout", Some("Shout"), "title:", "shout");
    check_names("Renamed", Some("Shout"), "version: 1", "Renamed");
    // A row of before there were manifests.
    let bare = Row { name: "shout".to_owned(), meta: Map::new(), ..row("1", true) };
    assert_eq!(form_to_update(&plugin_of(&source("2")), &bare).name, "Shout");
}

#[track_caller]
fn check_description(stored: Value, header: &str, expected: Option<&str>) {
    let plugin = plugin_of(&format!("\"\"\"\ntitle: Shout\n{header}\n\"\"\"\nclass Filter: pass\n"));
    let form = form_to_update(&plugin, &Row { meta: object(stored), ..row("1", true) });
    assert_eq!(form.meta.get("description").map(|value| value.as_str().unwrap()), expected);
}

#[test]
fn a_description_follows_the_header_unless_somebody_wrote_another() {
    let from_header = json!({"description": "Old", "manifest": {"description": "Old"}});
    check_description(from_header.clone(), "description: New", Some("New"));
    check_description(from_header, "version: 1", Some(""));
    check_description(
        json!({"description": "By hand", "manifest": {"description": "Old"}}),
        "description: New",
        Some("By hand"),
    );
    check_description(json!({"description": "By hand", "manifest": {}}), "description: New", Some("By hand"));
    check_description(json!({"description": "", "manifest": {}}), "description: New", Some("New"));
    check_description(json!({}), "description: New", Some("New"));
    // Taken away by hand.
    check_description(json!({"description": "", "manifest": {"description": "Old"}}), "description: New", Some(""));
}

#[test]
fn what_others_put_into_a_row_is_sent_back() {
    let meta = json!({
        "description": "Old",
        "i18n": {"de": {"name": "Schrei"}},
        "profile_image_url": "data:image/png;base64,AA==",
        "ours": [1, 2],
        "toggle": true,
        "manifest": {"title": "Shout", "description": "Old", "version": "1"},
    });
    let before = Row { meta: object(meta), ..row("1", true) };
    let form = form_to_update(&plugin_of(&source("2")), &before);
    let expected = json!({
        "description": "",
        "i18n": {"de": {"name": "Schrei"}},
        "profile_image_url": "data:image/png;base64,AA==",
        "ours": [1, 2],
    });
    assert_eq!(Value::from(form.meta), expected);
    assert_eq!((&*form.content, form.access_control), (&*source("2"), None));
}

#[test]
fn access_goes_back_as_it_came() {
    let tool = plugin_of("\"\"\"\ndescription: What time it is\n\"\"\"\nclass Tools: pass\n");
    for access in [None, Some(Value::Null), Some(json!({})), Some(json!({"read": {"group_ids": ["staff"]}}))] {
        let before = Row { access_control: access.clone(), is_active: None, ..row("1", true) };
        assert_eq!(form_to_update(&tool, &before).access_control, access);
    }
    let form = form_to_create(&tool);
    assert_eq!((&*form.name, Value::from(form.meta)), ("shout", json!({"description": "What time it is"})));
    assert_eq!(form.access_control, Some(json!({})), "private, where the server has to be told");
    let form = form_to_create(&plugin_of(&source("2")));
    assert_eq!((&*form.name, Value::from(form.meta)), ("Shout", json!({"description": ""})));
    assert_eq!(form.access_control, None);
}
