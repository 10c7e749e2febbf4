//! What programs read of a notice: the words and fields of `--json`. They are stable, and `docs/json.md` lists them.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::phrase::refused;
use super::{Commands, Frame, KeepReason, Notice, NoticeKind, OldVersion, WaitReason};
use crate::engine::deploy::{CallFailure, Failure};
use crate::paths::slashed;
use crate::plugin::Entry;

impl Notice {
    /// The stable word for it: `event` in `--json`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.what {
            NoticeKind::Ready { .. } => "ready",
            NoticeKind::Connected { .. } => "connected",
            NoticeKind::Untested { .. } => "untested",
            NoticeKind::NothingFound { .. } => "nothing_found",
            NoticeKind::Pass { .. } => "pass",
            NoticeKind::Summary { .. } => "summary",
            NoticeKind::Unreachable { .. } => "unreachable",
            NoticeKind::StillUnreachable { .. } => "still_unreachable",
            NoticeKind::Back { .. } => "back",
            NoticeKind::AccessGranted { .. } => "access_granted",
            NoticeKind::GaveUp { .. } => "gave_up",
            NoticeKind::NotAllowed { .. } => "not_allowed",
            NoticeKind::Foreign { .. } => "not_open_webui",
            NoticeKind::Proxied { .. } => "proxy",
            NoticeKind::Insecure { .. } => "insecure",
            NoticeKind::InLine { .. } => "in_line",
            NoticeKind::RootMissing { .. } => "root_missing",
            NoticeKind::RootBack { .. } => "root_back",
            NoticeKind::Reloaded { .. } => "reloaded",
            NoticeKind::SettingsWait { .. } => "settings_wait",
            NoticeKind::Stopping { .. } => "stopping",
            NoticeKind::Stopped { .. } => "stopped",
            NoticeKind::Trouble(_) | NoticeKind::SettingsKept { .. } => "trouble",
            NoticeKind::ScanSlow { .. } => "scan_slow",
            NoticeKind::Sending { .. } => "sending",
            NoticeKind::Slow { .. } => "slow",
            NoticeKind::Created { .. } => "created",
            NoticeKind::Updated { .. } => "updated",
            NoticeKind::Unchanged { .. } => "unchanged",
            NoticeKind::WouldCreate => "would_create",
            NoticeKind::WouldUpdate { .. } => "would_update",
            NoticeKind::RemoteEdit { .. } => "remote_edit",
            NoticeKind::Duplicate { .. } => "twin",
            NoticeKind::RolledBack => "rolled_back",
            NoticeKind::Blocked(_) => "blocked",
            NoticeKind::RollbackUndone { .. } => "rollback_undone",
            NoticeKind::Refused { .. } => "refused",
            NoticeKind::Crashed { .. } => "retrying",
            NoticeKind::Restored => "restored",
            NoticeKind::Recovered => "recovered",
            NoticeKind::WentOff { .. } => "went_off",
            NoticeKind::NotSwitchedOn { .. } => "not_switched_on",
            NoticeKind::SwitchedOn => "switched_on",
            NoticeKind::Unused => "unused",
            NoticeKind::Pruned => "pruned",
            NoticeKind::RefusedBefore { .. } => "refused_before",
            NoticeKind::Failed { .. } => "failed",
            NoticeKind::Flawed { .. } => "flawed",
            NoticeKind::Surprising(_) => "warning",
            NoticeKind::Conflict { .. } => "conflict",
            NoticeKind::Removed { .. } => "removed",
            NoticeKind::Deactivated => "deactivated",
            NoticeKind::NotRemoved { .. } => "not_removed",
            NoticeKind::LeftOff => "left_off",
            NoticeKind::Deleted { .. } => "deleted",
            NoticeKind::Spared { .. } => "spared",
            NoticeKind::IdChanged { .. } => "id_changed",
            NoticeKind::Waiting { .. } => "waiting",
            NoticeKind::Superseded => "superseded",
            NoticeKind::Held => "held",
            NoticeKind::BeingWritten => "being_written",
            NoticeKind::Disabled => "disabled",
            NoticeKind::SameFile { .. } => "same_file",
            NoticeKind::Trying => "trying",
            NoticeKind::Tried(tried) if tried.has_failed() => "fails",
            NoticeKind::Tried(tried) if tried.is_open() => "answered",
            NoticeKind::Tried(_) => "works",
            NoticeKind::NotTried { .. } => "not_tried",
            NoticeKind::Called { .. } => "called",
            NoticeKind::Raised(_) => "raised",
            NoticeKind::Printed { .. } => "printed",
            NoticeKind::PrintedMore { .. } => "printed_more",
            NoticeKind::ServerLog { .. } => "server_log",
            NoticeKind::Report(report) => report.said(&self.about, &Commands::default()).word,
        }
    }

    /// One object for `--json`. Field names are stable; `docs/json.md` lists them. `commands`: the flags that its hint
    /// repeats.
    #[must_use]
    pub fn to_json(&self, time: &str, commands: &Commands) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                object.insert(name.to_owned(), value);
            }
        };
        put("time", json!(time));
        put("event", json!(self.word()));
        put("level", json!(self.level().name()));
        put("kind", json!(self.about.key.as_ref().map(|key| key.kind)));
        put("id", json!(self.about.key.as_ref().map(|key| key.id.as_str())));
        put("type", json!(self.about.entry.map(Entry::word)));
        put("path", json!(self.file().map(|path| slashed(&path))));
        put("version", json!(self.about.version));
        put("digest", json!(self.about.digest));
        put("message", json!(self.sentence()));
        put("hint", json!(self.hint_with(commands)));
        put("line", json!(self.span().map(|span| span.line)));
        put("column", json!(self.span().map(|span| span.column)));
        put("ms", json!(self.took().map(millis)));
        for (name, value) in self.details() {
            put(name, value);
        }
        Value::Object(object)
    }

    /// The fields that only this kind of notice has.
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn details(&self) -> Vec<(&'static str, Value)> {
        match &self.what {
            NoticeKind::Ready { roots, plugins, server } => {
                vec![("roots", json!(paths(roots))), ("plugins", json!(plugins)), ("server", json!(server))]
            }
            NoticeKind::Connected { server, version } => {
                vec![("server", json!(server)), ("server_version", json!(version))]
            }
            NoticeKind::Untested { version } => vec![("server_version", json!(version))],
            NoticeKind::NothingFound { roots } => vec![("roots", json!(paths(roots)))],
            NoticeKind::Pass { todo } => vec![("todo", json!(todo))],
            NoticeKind::Summary { tally, dry_run, .. } => vec![
                ("unread", json!(tally.unreadable_folders)),
                ("created", json!(tally.created)),
                ("updated", json!(tally.updated)),
                ("unchanged", json!(tally.unchanged)),
                ("refused", json!(tally.refused)),
                ("held", json!(tally.held)),
                ("skipped", json!(tally.skipped)),
                ("failed", json!(tally.failed)),
                ("dry_run", json!(dry_run)),
            ],
            NoticeKind::Unreachable { cause, server, next, waiting, .. } => vec![
                ("cause", json!(cause.words)),
                ("server", json!(server)),
                ("next_ms", json!(millis(*next))),
                ("waiting", json!(waiting)),
            ],
            NoticeKind::StillUnreachable { cause, attempt, next } => {
                vec![("cause", json!(cause)), ("attempt", json!(attempt)), ("next_ms", json!(millis(*next)))]
            }
            NoticeKind::Back { away, waiting } => vec![("away_ms", json!(millis(*away))), ("waiting", json!(waiting))],
            NoticeKind::AccessGranted { waiting } => vec![("waiting", json!(waiting))],
            NoticeKind::GaveUp { cause, server, .. } => vec![("cause", json!(cause.words)), ("server", json!(server))],
            NoticeKind::NotAllowed { status, words, key } => {
                vec![("status", json!(status)), ("words", json!(words)), ("key_from", json!(key))]
            }
            NoticeKind::Foreign { server, status, words } => {
                vec![("server", json!(server)), ("status", json!(status)), ("words", json!(words))]
            }
            NoticeKind::Proxied { server, proxy } => vec![("server", json!(server)), ("proxy", json!(proxy))],
            NoticeKind::Insecure { server, proxy } => vec![("server", json!(server)), ("proxy", json!(proxy))],
            NoticeKind::InLine { pid } => vec![("pid", json!(pid))],
            NoticeKind::RootMissing { root } | NoticeKind::RootBack { root } => {
                vec![("root", json!(slashed(&root)))]
            }
            NoticeKind::Reloaded { files, changed } => {
                vec![("files", json!(paths(files))), ("changed", json!(changed))]
            }
            NoticeKind::SettingsWait { ids } => vec![("ids", json!(ids))],
            NoticeKind::Stopping { in_flight } => vec![("in_flight", json!(in_flight))],
            NoticeKind::Stopped { waiting, refused, held, with_errors } => vec![
                ("waiting", json!(waiting)),
                ("refused", json!(refused)),
                ("held", json!(held)),
                ("skipped", json!(with_errors)),
            ],
            NoticeKind::Sending { why } => vec![("why", json!(why.word()))],
            NoticeKind::ScanSlow { so_far } => vec![("so_far_ms", json!(millis(*so_far)))],
            NoticeKind::Slow { so_far, installs } => {
                vec![("so_far_ms", json!(millis(*so_far))), ("installs", json!(installs))]
            }
            NoticeKind::Created { active, global, again, .. } => vec![
                ("active", json!(active)),
                ("global", json!(global.then_some(true))),
                ("again", json!(again.then_some(true))),
            ],
            NoticeKind::Updated { from, kept, active, .. } => vec![
                ("from_version", json!(from)),
                ("active", json!(active)),
                ("backup", json!(kept.as_ref().map(|path| slashed(&path)))),
            ],
            NoticeKind::WouldUpdate { from, foreign } => {
                vec![("from_version", json!(from)), ("foreign", json!(foreign))]
            }
            NoticeKind::Unchanged { active, good_again, .. } => {
                vec![("active", json!(active)), ("good_again", json!(good_again.then_some(true)))]
            }
            NoticeKind::Refused { refusal, old_version, .. } => {
                vec![("words", json!(refused(refusal))), ("old_version", json!(old_version.map(OldVersion::word)))]
            }
            NoticeKind::RefusedBefore { refusal, on_server, .. } => {
                vec![("words", json!(refused(refusal))), ("on_server", json!(on_server))]
            }
            NoticeKind::Crashed { words, next } => vec![("words", json!(words)), ("next_ms", json!(millis(*next)))],
            NoticeKind::Failed { failure, .. } | NoticeKind::NotRemoved { failure, .. } => {
                vec![("reason", json!(failure.word()))]
            }
            NoticeKind::Flawed { diagnostic, digest, .. } => {
                vec![("reason", json!(diagnostic.rule.reason())), ("digest", json!(digest))]
            }
            NoticeKind::Blocked(diagnostic) | NoticeKind::Surprising(diagnostic) => {
                vec![("reason", json!(diagnostic.rule.reason()))]
            }
            NoticeKind::Conflict { paths: claimants } => vec![("paths", json!(paths(claimants)))],
            NoticeKind::IdChanged { from } => vec![("from_id", json!(from.id.as_str()))],
            NoticeKind::Waiting { reason, .. } => vec![("reason", json!(reason.word()))],
            NoticeKind::SameFile { original } => vec![("original", json!(slashed(&original)))],
            NoticeKind::WentOff { cause, .. } | NoticeKind::NotSwitchedOn { cause, .. } => {
                vec![("cause", json!(cause))]
            }
            NoticeKind::RemoteEdit { theirs } => vec![("server_plugin_version", json!(theirs))],
            NoticeKind::Duplicate { duplicate } => vec![("other_id", json!(duplicate.id.as_str()))],
            NoticeKind::Deleted { kept } => vec![("backup", json!(slashed(&kept)))],
            NoticeKind::RollbackUndone { put_back } => vec![("put_back", json!(put_back))],
            NoticeKind::Spared { why } => vec![("reason", json!(why.word()))],
            NoticeKind::Tried(tried) => tried.fields(),
            NoticeKind::NotTried { why, .. } => vec![("reason", json!(why.word()))],
            NoticeKind::Called { hook, server_event, result, again, times, total, .. } => vec![
                ("hook", json!(hook)),
                ("server_event", json!(server_event)),
                ("result", json!(result)),
                ("again", json!(again.then_some(true))),
                ("times", json!(times)),
                ("total", json!(total)),
            ],
            NoticeKind::Raised(raised) => vec![
                ("hook", json!(raised.hook)),
                ("error", json!(raised.error)),
                ("times", json!(raised.before + 1)),
                ("trace", json!(raised.frames.iter().map(Frame::place).collect::<Vec<_>>())),
            ],
            NoticeKind::Printed { text, log_level, line } => {
                vec![("text", json!(text)), ("log_level", json!(log_level)), ("line", json!(line))]
            }
            NoticeKind::PrintedMore { count } => vec![("count", json!(count))],
            NoticeKind::ServerLog { text } => vec![("text", json!(text))],
            NoticeKind::Report(report) => report.said(&self.about, &Commands::default()).fields,
            _ => Vec::new(),
        }
    }
}

impl OldVersion {
    /// The stable word for it: `old_version` in `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            OldVersion::Running => "running",
            OldVersion::Off => "off",
        }
    }
}

impl WaitReason {
    /// Its stable form: `reason` in `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            WaitReason::Away => "the server is away",
            WaitReason::Denied => "the server denied access",
            WaitReason::Turn => "other plugins are being deployed",
            WaitReason::Settings => "the settings are changing",
            WaitReason::BrokenFile => {
                "a file here that is broken may be the same plugin; nothing is done on the server before it is mended"
            }
        }
    }
}

impl KeepReason {
    /// The stable word for it: `reason` in `--json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            KeepReason::Folder => "folder_gone",
            KeepReason::Emptied => "folder_emptied",
            KeepReason::Many => "many_gone",
            KeepReason::Renamed => "maybe_renamed",
            KeepReason::Edited => "edited_on_server",
            KeepReason::Gone => "not_on_server",
            KeepReason::Off => "off_already",
            KeepReason::Back => "back",
        }
    }
}

impl Failure {
    /// The stable word for it: `reason` in `--json`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Failure::Call(CallFailure::Unreachable { .. }) => "unreachable",
            Failure::Unanswered { .. } => "unanswered",
            Failure::Stumbled { .. } => "stumbled",
            Failure::TakesNone { .. } => "takes_none",
            Failure::Call(CallFailure::NotAllowed { .. }) => "not_allowed",
            Failure::Call(CallFailure::Foreign { .. }) => "not_open_webui",
            Failure::Call(CallFailure::NotOurs { .. }) => "not_ours",
            Failure::StoredOther => "stored_other",
            Failure::KeepFailed { .. } => "backup_failed",
            Failure::Call(CallFailure::Odd { .. }) => "odd_answer",
        }
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn paths(paths: &[impl AsRef<Path>]) -> Vec<String> {
    paths.iter().map(|path| slashed(&path.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::engine::ledger::Refusal;
    use crate::notice::samples::{ms, samples, shout, span};

    /// The words as the source gives them, so that a new kind of notice needs a sample, and no word is used twice.
    #[test]
    fn every_kind_of_notice_has_a_word_of_its_own_and_a_sample() {
        let source = include_str!("json.rs");
        let (_, arms) = source.split_once("pub fn word(&self)").unwrap();
        let (arms, _) = arms.split_once("/// One object for").unwrap();
        let words: Vec<_> = arms.split('"').skip(1).step_by(2).collect();
        let mut seen: Vec<_> = samples().iter().map(Notice::word).collect();
        seen.dedup();
        assert_eq!(seen, words);
        for word in &words {
            assert_eq!(words.iter().filter(|other| *other == word).count(), 1, "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{word}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn what_programs_read() {
        let json = |notice: &Notice| notice.to_json("2026-01-02T03:04:05Z", &Commands::default());
        expect![[r#"
            {
              "event": "ready",
              "level": "info",
              "message": "watching `plugins` and `more` (3 plugins) for http://localhost:8080",
              "plugins": 3,
              "roots": [
                "plugins",
                "more"
              ],
              "server": "http://localhost:8080",
              "time": "2026-01-02T03:04:05Z"
            }"#]]
        .assert_eq(&format!("{:#}", json(&samples()[0])));
        let refused = NoticeKind::Refused {
            refusal: Refusal::said(String::new()),
            span: Some(span()),
            requirements: None,
            installs: true,
            old_version: Some(OldVersion::Running),
            took: ms(34),
        };
        expect![[r#"
            {
              "column": 7,
              "digest": "3bfc269594ef649228e9a74bab00f042efc91d5acc6fbee31a382e80d42388fe",
              "event": "refused",
              "id": "shout",
              "kind": "function",
              "level": "error",
              "line": 2,
              "message": "refused by the server (the old version keeps running): no reason was given",
              "ms": 34.0,
              "old_version": "running",
              "path": "plugins/shout.py",
              "time": "2026-01-02T03:04:05Z",
              "type": "filter",
              "version": "1.1",
              "words": ""
            }"#]]
        .assert_eq(&format!("{:#}", json(&shout(refused))));
        // The fields of each kind besides the common ones.
        let common = [
            "time", "event", "level", "kind", "id", "type", "path", "version", "digest", "message", "hint", "line",
            "column", "ms",
        ];
        let mut table = String::new();
        for notice in samples() {
            let Value::Object(mut object) = json(&notice) else { panic!("{notice:?}") };
            assert_eq!(object.get("kind").is_some(), notice.about.key.is_some());
            object.retain(|name, value| {
                assert!(!value.is_null(), "{name}");
                !common.contains(&name.as_str())
            });
            let line = format!("{} {}\n", notice.word(), Value::from(object));
            if !table.contains(&line) {
                table.push_str(&line);
            }
        }
        expect![[r#"
            ready {"plugins":3,"roots":["plugins","more"],"server":"http://localhost:8080"}
            connected {"server":"http://localhost:8080","server_version":"0.12.4"}
            untested {"server_version":"0.13.0"}
            nothing_found {"roots":["plugins","more"]}
            pass {"todo":1}
            summary {"created":1,"dry_run":false,"failed":6,"held":7,"refused":4,"skipped":5,"unchanged":3,"unread":8,"updated":2}
            summary {"created":0,"dry_run":false,"failed":0,"held":0,"refused":0,"skipped":0,"unchanged":1,"unread":0,"updated":0}
            summary {"created":2,"dry_run":true,"failed":0,"held":0,"refused":0,"skipped":0,"unchanged":0,"unread":0,"updated":0}
            summary {"created":0,"dry_run":false,"failed":0,"held":0,"refused":0,"skipped":0,"unchanged":0,"unread":0,"updated":0}
            summary {"created":0,"dry_run":false,"failed":0,"held":0,"refused":0,"skipped":0,"unchanged":0,"unread":1,"updated":0}
            unreachable {"cause":"connection refused","next_ms":500.0,"server":"http://localhost:8080","waiting":0}
            unreachable {"cause":"connection refused","next_ms":20000.0,"server":"http://localhost:8080","waiting":2}
            unreachable {"cause":"certificate not trusted","next_ms":500.0,"server":"https://h","waiting":0}
            still_unreachable {"attempt":4,"cause":"connection refused","next_ms":8000.0}
            back {"away_ms":83000.0,"waiting":0}
            back {"away_ms":83000.0,"waiting":1}
            access_granted {"waiting":0}
            access_granted {"waiting":2}
            gave_up {"cause":"connection refused","server":"http://localhost:8080"}
            not_allowed {"status":0,"words":"no key is configured, and this server asks for one"}
            not_allowed {"key_from":"`.env`","status":403,"words":"Use of API key is not enabled in the environment."}
            not_allowed {"key_from":"`.env`","status":401,"words":"401 Unauthorized"}
            not_open_webui {"server":"http://localhost:8080","status":200,"words":"a web page"}
            proxy {"proxy":"http://proxy:3128","server":"http://localhost:8080"}
            insecure {"server":"http://chat.example.org"}
            insecure {"proxy":"http://proxy:3128","server":"http://chat.lan"}
            in_line {"pid":123}
            in_line {}
            root_missing {"root":"plugins"}
            root_back {"root":"plugins"}
            reloaded {"changed":[],"files":[".env"]}
            reloaded {"changed":["url","api_key"],"files":[".env","watch.toml"]}
            settings_wait {"ids":["shout"]}
            settings_wait {"ids":["clock","shout"]}
            stopping {"in_flight":0}
            stopping {"in_flight":2}
            stopped {"held":0,"refused":0,"skipped":0,"waiting":0}
            stopped {"held":0,"refused":0,"skipped":0,"waiting":1}
            stopped {"held":0,"refused":1,"skipped":1,"waiting":0}
            stopped {"held":3,"refused":1,"skipped":4,"waiting":2}
            trouble {}
            scan_slow {"so_far_ms":10000.0}
            sending {"why":"changed_on_server"}
            slow {"so_far_ms":3000.0}
            slow {"installs":"httpx, pydantic","so_far_ms":3000.0}
            created {"active":false}
            created {"active":true}
            created {"active":true,"global":true}
            created {}
            created {"active":true,"again":true}
            created {"active":false,"again":true}
            created {"again":true}
            updated {"active":true,"from_version":"1.0"}
            updated {"active":false,"from_version":"1.0"}
            updated {"backup":"state/copy.py"}
            updated {"active":false,"backup":"copy.py"}
            unchanged {}
            unchanged {"active":false}
            unchanged {"good_again":true}
            unchanged {"active":true,"good_again":true}
            unchanged {"active":false,"good_again":true}
            would_create {}
            would_update {"foreign":false,"from_version":"1.0"}
            would_update {"foreign":true}
            remote_edit {}
            remote_edit {"server_plugin_version":"1.0"}
            twin {"other_id":"old"}
            rolled_back {}
            blocked {"reason":"missing-await"}
            rollback_undone {"put_back":"2a51d3547c23a8de50f3e23285a0df356627ef64c300087d3b27173f08ded2a0"}
            refused {"words":"invalid syntax (<string>, line 2)"}
            refused {"old_version":"running","words":"invalid syntax (<string>, line 2)"}
            refused {"old_version":"off","words":"invalid syntax (<string>, line 2)"}
            refused {"words":"[ERROR: Error creating function]"}
            refused {"words":""}
            refused {"words":"No module named 'httpx'"}
            retrying {"next_ms":1000.0,"words":"Internal Server Error"}
            restored {}
            recovered {}
            went_off {"cause":"connection refused"}
            not_switched_on {"cause":"connection refused"}
            switched_on {}
            unused {}
            pruned {}
            refused_before {"on_server":false,"words":"invalid syntax (<string>, line 2)"}
            refused_before {"on_server":true,"words":""}
            refused_before {"on_server":false,"words":"Command '['python', '-m', 'pip', 'install', 'httpx']' returned non-zero exit status 1."}
            refused_before {"on_server":false,"words":"No module named 'httpx'"}
            failed {"reason":"unreachable"}
            failed {"reason":"unanswered"}
            failed {"reason":"not_allowed"}
            failed {"reason":"not_open_webui"}
            failed {"reason":"not_ours"}
            failed {"reason":"stored_other"}
            failed {"reason":"stumbled"}
            failed {"reason":"takes_none"}
            failed {"reason":"backup_failed"}
            failed {"reason":"odd_answer"}
            flawed {"reason":"syntax"}
            flawed {"reason":"dangling_link"}
            flawed {"reason":"unreadable_folder"}
            warning {"reason":"imported_entry"}
            conflict {"paths":["a.py","b/a.py"]}
            removed {}
            deactivated {}
            not_removed {"reason":"backup_failed"}
            not_removed {"reason":"not_ours"}
            left_off {}
            deleted {"backup":"state/copy.py"}
            spared {"reason":"folder_gone"}
            spared {"reason":"folder_emptied"}
            spared {"reason":"many_gone"}
            spared {"reason":"maybe_renamed"}
            spared {"reason":"edited_on_server"}
            spared {"reason":"not_on_server"}
            spared {"reason":"off_already"}
            id_changed {"from_id":"old"}
            id_changed {"from_id":"shout"}
            waiting {"reason":"the server is away"}
            waiting {"reason":"other plugins are being deployed"}
            waiting {"reason":"the settings are changing"}
            superseded {}
            held {}
            being_written {}
            disabled {}
            same_file {"original":"plugins/whisper.py"}
            trying {}
            fails {"model":"shout","words":"'nope'"}
            fails {"answer":"ho","model":"shout","words":"expected `^H`"}
            fails {"model":"shout","words":"KeyError: 'nope'"}
            fails {"model":"shout","others":["filter `other`"],"words":"'nope'"}
            fails {"model":"shout","words":"none of its hooks ran"}
            answered {"answer":"5","model":"shout"}
            works {"answer":"HELLO\nyou","model":"shout"}
            works {"diff":"--- a\n+++ b\n-a\n+b\n","model":"shout"}
            not_tried {"reason":"off"}
            not_tried {"reason":"other_text"}
            not_tried {"reason":"acts_outside"}
            not_tried {"reason":"no_function"}
            not_tried {"reason":"event"}
            not_tried {"reason":"impossible"}
            not_tried {"reason":"no_server"}
            not_tried {"reason":"disturbed"}
            not_tried {"reason":"no_table"}
            called {"hook":"pipe","result":"\"HI\"","times":1}
            called {"hook":"pipe","result":"","times":14}
            called {"hook":"event","result":"None","server_event":"user.login","times":1,"total":1}
            called {"hook":"event","result":"None","server_event":"user.login","times":1,"total":7}
            called {"hook":"event","result":"None","server_event":"user.login","times":1,"total":10}
            raised {"error":"KeyError: 'nope'","hook":"pipe","times":1,"trace":["plugins/shout.py:3:5","plugins/shout.py:9:5"]}
            raised {"error":"KeyError: 'nope'","hook":"pipe","times":3,"trace":["plugins/shout.py:3:5","plugins/shout.py:9:5"]}
            raised {"error":"KeyError: 'nope'","hook":"load","times":1,"trace":[]}
            printed {"text":"hello"}
            printed {"log_level":"warning","text":"careful"}
            printed_more {"count":2900}
            server_log {"text":"INFO started"}
        "#]]
        .assert_eq(&table);
    }
}
