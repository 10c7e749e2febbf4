//! The English of notices. No code compares it: programs read `json.rs`.
//!
//! Long because it has a sentence for every fact.

use std::borrow::Cow;
use std::time::Duration;

use super::format::{count, duration, list};
use super::phrase::{has_duplicate, refused};
use super::{Commands, KeepReason, Notice, NoticeKind, OldVersion, PassSummary, Trouble, WaitReason};
use crate::engine::OnDelete;
use crate::engine::deploy::{CallFailure, Failure};
use crate::paths::slashed;
use crate::plugin::{Diagnostic, Rule};

impl Notice {
    /// What happened, in one line, without the plugin's name, which is shown beside it.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one table")]
    pub fn sentence(&self) -> String {
        match &self.what {
            NoticeKind::Ready { roots, plugins, server } => {
                format!("watching {} ({}) for {server}", list(roots), count(*plugins, "plugin"))
            }
            NoticeKind::Connected { server, version } => format!("{server} is Open WebUI {version}"),
            NoticeKind::Untested { version } => {
                format!("owui-watch is not tested with Open WebUI {version}")
            }
            NoticeKind::NothingFound { roots } => format!("no plugins in {}", list(roots)),
            NoticeKind::Pass { todo } => format!("{} to compare with the server", count(*todo, "plugin")),
            NoticeKind::Summary { tally, took, dry_run } => summary(tally, *took, *dry_run),
            NoticeKind::Unreachable { cause, server, next, waiting, .. } => {
                let waiting =
                    if *waiting == 0 { String::new() } else { format!(", {} waiting", count(*waiting, "plugin")) };
                format!("cannot reach {server}: {cause} (next try in {}{waiting})", duration(*next))
            }
            NoticeKind::StillUnreachable { cause, attempt, next } => {
                format!("still unreachable: {cause} (try {attempt}, next in {})", duration(*next))
            }
            NoticeKind::Back { away, waiting: 0 } => format!("the server is back after {}", duration(*away)),
            NoticeKind::Back { away, waiting } => {
                format!("the server is back after {}, {} to deploy", duration(*away), count(*waiting, "plugin"))
            }
            NoticeKind::AccessGranted { waiting: 0 } => "the server grants access".to_owned(),
            NoticeKind::AccessGranted { waiting } => {
                format!("the server grants access, {} to deploy", count(*waiting, "plugin"))
            }
            NoticeKind::GaveUp { after, cause, server, .. } => {
                format!("cannot reach {server}: {cause} (gave up after {})", duration(*after))
            }
            NoticeKind::NotAllowed { words, key, .. } => denied(words, key.as_deref()),
            NoticeKind::Foreign { server, words, .. } => foreign(server, words),
            NoticeKind::Proxied { server, proxy } => format!("{server} is reached through the proxy {proxy}"),
            NoticeKind::Insecure { server, proxy: None } => {
                format!("the key and the plugins travel unencrypted to {server}")
            }
            NoticeKind::Insecure { server, proxy: Some(proxy) } => {
                format!("the key and the plugins travel unencrypted to {server}, through the proxy {proxy}")
            }
            NoticeKind::InLine { pid } => {
                let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
                format!("waiting for the other owui-watch{pid} to exit")
            }
            NoticeKind::RootMissing { root } => {
                format!("`{}` does not exist; nothing changes on the server", slashed(&root))
            }
            NoticeKind::RootBack { root } => format!("`{}` is back", slashed(&root)),
            NoticeKind::Reloaded { files, changed } => {
                let from = if files.is_empty() { String::new() } else { format!(" from {}", list(files)) };
                let what = if changed.is_empty() { "no change".to_owned() } else { changed.join(", ") };
                format!("settings reloaded{from}: {what}")
            }
            NoticeKind::SettingsWait { ids } => {
                format!("the new settings and every save wait for deploys in progress: {}", list(ids))
            }
            NoticeKind::Stopping { in_flight: 0 } => "stopping".to_owned(),
            NoticeKind::Stopping { in_flight } => {
                format!("stopping after {} in progress (a second Ctrl-C stops at once)", count(*in_flight, "deploy"))
            }
            NoticeKind::Stopped { waiting, refused, held, with_errors } => {
                stopped(*waiting, *refused, *held, *with_errors)
            }
            NoticeKind::Trouble(trouble) => troubled(trouble),
            NoticeKind::SettingsKept { why, holds: true, .. } => {
                format!("nothing is deployed until you agree to the new settings: {why}")
            }
            NoticeKind::SettingsKept { why, holds: false, .. } => format!("the settings stay as they were: {why}"),
            NoticeKind::ScanSlow { so_far } => {
                let so_far = duration(*so_far);
                format!("still reading the folders after {so_far}; nothing is deployed until that is done")
            }
            NoticeKind::Slow { so_far, installs: None } => format!("still in progress after {}", duration(*so_far)),
            NoticeKind::Slow { so_far, installs: Some(packages) } => {
                format!("still in progress after {}: the server may be installing {packages}", duration(*so_far))
            }
            NoticeKind::Sending { why } => format!("comparing with the server ({})", why.word().replace('_', " ")),
            NoticeKind::Created { active, again, .. } => {
                let (again, why) = match again {
                    true => (" again", ": it was gone from the server, with its valves and sharing"),
                    false => ("", ""),
                };
                let switch = match active {
                    Some(true) => " and switched on",
                    Some(false) => ", switched off",
                    None => "",
                };
                format!("created{again}{switch}{why}")
            }
            NoticeKind::Updated { kept: None, active, .. } => format!("updated{}", off(*active)),
            NoticeKind::Updated { kept: Some(_), .. } => {
                format!("{}; {}", self.headline().unwrap_or_default(), self.detail().unwrap_or_default())
            }
            NoticeKind::Unchanged { active, good_again: false, .. } => format!("unchanged{}", off(*active)),
            NoticeKind::Unchanged { active, good_again: true, .. } => format!("good again, unchanged{}", off(*active)),
            NoticeKind::WouldCreate => "would be created".to_owned(),
            NoticeKind::WouldUpdate { foreign: false, .. } => "would be updated".to_owned(),
            NoticeKind::WouldUpdate { foreign: true, .. } => {
                "would be updated; a copy would be kept of the server's text, which was not deployed from here"
                    .to_owned()
            }
            NoticeKind::RolledBack => "rolled back; not deployed until the file changes".to_owned(),
            NoticeKind::RollbackUndone { .. } => {
                "this deploy was already in progress and replaced the text that a rollback had restored".to_owned()
            }
            NoticeKind::Crashed { words, next } => {
                format!("server error: {}; retrying in {}", reason(words), duration(*next))
            }
            NoticeKind::RemoteEdit { .. }
            | NoticeKind::Duplicate { .. }
            | NoticeKind::Refused { .. }
            | NoticeKind::RefusedBefore { .. } => {
                let note = self.note().map_or_else(String::new, |note| format!(" ({note})"));
                format!("{}{note}: {}", self.headline().unwrap_or_default(), self.detail().unwrap_or_default())
            }
            NoticeKind::Recovered => "an interrupted deploy is settled".to_owned(),
            NoticeKind::Restored => "the server had switched it off; it is on again".to_owned(),
            NoticeKind::NotSwitchedOn { cause, later } => {
                let then = if *later { "; will retry" } else { "" };
                format!("switching it on failed: {cause}{then}")
            }
            NoticeKind::SwitchedOn => "switched on".to_owned(),
            NoticeKind::Unused => "on, but used by no model".to_owned(),
            NoticeKind::WentOff { cause, later } => {
                let then = if *later { "; will retry when the server answers" } else { "" };
                format!("the server switched it off, and switching it on again failed: {cause}{then}")
            }
            NoticeKind::Pruned => {
                "deleted an older version of this editing session from the server's history".to_owned()
            }
            NoticeKind::Failed { failure, .. } => failed(failure),
            NoticeKind::NotRemoved { failure: Failure::KeepFailed { words }, .. } => {
                format!("not deleted: no copy of it can be kept: {words}; will retry")
            }
            NoticeKind::NotRemoved { failure: Failure::Stumbled { cause }, .. } => {
                format!("not deleted: {cause}; will retry")
            }
            NoticeKind::NotRemoved { deletes: true, failure } => format!("not deleted: {}", failed(failure)),
            NoticeKind::NotRemoved { deletes: false, failure } => format!("not switched off: {}", failed(failure)),
            NoticeKind::Flawed { diagnostic, .. }
            | NoticeKind::Blocked(diagnostic)
            | NoticeKind::Surprising(diagnostic) => diagnostic.message(),
            NoticeKind::Conflict { paths } => format!("not deployed: {} claim this id", list(paths)),
            NoticeKind::Removed { file_there: false, on_server: false, .. } => "removed here".to_owned(),
            NoticeKind::Removed { file_there: true, .. } if self.about.key.is_none() => "no longer broken".to_owned(),
            NoticeKind::Removed { file_there: true, on_server: false, .. } => "no longer a plugin".to_owned(),
            NoticeKind::Removed { file_there: true, .. } => {
                "no longer a plugin; the server keeps the last version".to_owned()
            }
            NoticeKind::Removed { next: Some((OnDelete::Delete, after)), .. } => {
                format!("removed here; will be deleted on the server in {} unless it comes back", duration(*after))
            }
            NoticeKind::Removed { next: Some((OnDelete::Deactivate, after)), .. } => {
                format!("removed here; will be switched off on the server in {} unless it comes back", duration(*after))
            }
            NoticeKind::Removed { .. } => "removed here; the server keeps it".to_owned(),
            NoticeKind::Deactivated => "switched off on the server because its file is gone".to_owned(),
            NoticeKind::LeftOff => "its file is back; the function was switched off meanwhile and stays off".to_owned(),
            NoticeKind::Deleted { kept } => {
                format!("deleted on the server because its file is gone; a copy is in {}", slashed(&kept))
            }
            NoticeKind::Spared { why } => match why {
                KeepReason::Folder => "the server keeps it: its whole folder is gone, not just the file",
                KeepReason::Emptied => {
                    "the server keeps it: no plugin is left in its folder, which may be an unmounted share"
                }
                KeepReason::Many => "the server keeps it: more plugin files are gone than are left",
                KeepReason::Renamed => "the server keeps it: a new file here may be the same plugin",
                KeepReason::Edited => "the server keeps it: someone else changed it there",
                KeepReason::Gone => "already gone from the server",
                KeepReason::Off => "already switched off on the server",
                KeepReason::Back => "the server keeps it: its file is back",
            }
            .to_owned(),
            NoticeKind::IdChanged { from } if self.about.key.as_ref().is_some_and(|key| key.kind != from.kind) => {
                format!("it was a {} before; the server keeps that {0} too", from.kind.word())
            }
            NoticeKind::IdChanged { from } => {
                format!("its id was `{}`; the server keeps the plugin under that id too", from.id)
            }
            NoticeKind::Waiting { reason, again: false } => format!("waiting: {}", awaited(*reason)),
            NoticeKind::Waiting { reason, again: true } => format!("still waiting: {}", awaited(*reason)),
            NoticeKind::Superseded => "replaced by a newer save".to_owned(),
            NoticeKind::Held => "incomplete; will be read again soon".to_owned(),
            NoticeKind::BeingWritten => "still being written; will be deployed once it is complete".to_owned(),
            NoticeKind::Disabled => "disabled in watch.toml".to_owned(),
            NoticeKind::SameFile { original } => format!("a link to {}, which is deployed", slashed(&original)),
            NoticeKind::Trying => "trying it".to_owned(),
            NoticeKind::Tried(tried) => match tried.failure() {
                Some(why) => {
                    let line = self.span().map_or_else(String::new, |span| format!(" (line {})", span.line));
                    format!("{}: {why}{line}", tried.headline())
                }
                None => tried.headline(),
            },
            NoticeKind::NotTried { why, .. } => why.sentence(),
            NoticeKind::Called { hook, server_event: Some(name), total, .. } => match total {
                None | Some(1) => format!("{hook} {name}"),
                Some(total) => format!("{hook} {name}, {total} so far"),
            },
            NoticeKind::Called { hook, times, .. } if *times > 1 => format!("{hook} ×{times}"),
            NoticeKind::Called { hook, result, .. } if result.is_empty() => hook.clone(),
            NoticeKind::Called { hook, result, again: true, .. } => format!("{hook} works again → {result}"),
            NoticeKind::Called { hook, result, .. } => format!("{hook} → {result}"),
            NoticeKind::Raised(raised) if raised.before == 1 => raised.again(),
            NoticeKind::Raised(raised) if raised.before > 1 => format!("{} ×{}", raised.again(), raised.before),
            NoticeKind::Raised(raised) => format!("{}: {}", self.headline().unwrap_or_default(), raised.error),
            NoticeKind::Printed { text, line: Some(line), .. } => format!("| {text} (line {line})"),
            NoticeKind::Printed { text, .. } => format!("| {text}"),
            NoticeKind::PrintedMore { count: n } => format!("| … {} in the server's log", count(*n, "more line")),
            NoticeKind::ServerLog { text } => format!("server: {text}"),
            NoticeKind::Report(report) => report.said(&self.about, &Commands::default()).message,
        }
    }

    /// The sentence for a line that names the plugin already.
    #[must_use]
    pub fn sentence_without_name(&self) -> String {
        match &self.what {
            NoticeKind::Report(report) => report.without_name().unwrap_or_else(|| self.sentence()),
            _ => self.sentence(),
        }
    }

    /// Says how many notices were dropped because nobody read the output.
    #[must_use]
    pub fn of_unread(notices: usize) -> Self {
        Self::general(NoticeKind::Trouble(Trouble::Unread(notices)))
    }

    /// The short form for the terminal, where [`Notice::detail`] follows below with its place in the file.
    #[must_use]
    pub fn headline(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match &self.what {
            NoticeKind::Updated { kept: Some(_), active: Some(false), .. } => "updated (off)",
            NoticeKind::Updated { kept: Some(_), .. } => "updated",
            NoticeKind::RemoteEdit { .. } => "not deployed",
            NoticeKind::Duplicate { .. } => "not created",
            NoticeKind::Refused { .. } => "refused by the server",
            NoticeKind::RefusedBefore { .. } => "refused before, not sent again",
            NoticeKind::Failed { .. } => "not deployed",
            NoticeKind::Flawed { diagnostic, .. } if diagnostic.rule.is_of_folder() => return None,
            NoticeKind::Flawed { .. } => "not sent",
            NoticeKind::Blocked(_) => "held back, not sent",
            NoticeKind::Surprising(Diagnostic { rule: Rule::Checked(found), .. }) => {
                return Some(format!("{} [{}]", found.severity.word(), found.rule).into());
            }
            NoticeKind::Surprising(diagnostic) => diagnostic.severity().word(),
            NoticeKind::Raised(raised) if raised.before > 0 => return None,
            NoticeKind::Raised(raised) if raised.hook == "load" => "raised an exception while it was loaded",
            NoticeKind::Raised(raised) => return Some(format!("{} raised an exception", raised.hook).into()),
            // Where the traceback was told, one line says it all.
            NoticeKind::Tried(tried) if tried.has_failed() && self.span().is_none() => {
                return Some(tried.headline().into());
            }
            _ => return None,
        }))
    }

    /// What the headline leaves out.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        Some(match &self.what {
            NoticeKind::Updated { kept: Some(path), .. } => {
                format!("the text on the server was not deployed from here; a copy is in {}", slashed(&path))
            }
            NoticeKind::RemoteEdit { theirs } => {
                let version = theirs.as_ref().map_or_else(String::new, |version| format!(" (version {version})"));
                format!("someone else changed it on the server{version}")
            }
            NoticeKind::Duplicate { duplicate } => has_duplicate(duplicate),
            NoticeKind::Refused { refusal, span, .. } | NoticeKind::RefusedBefore { refusal, span, .. } => {
                let words = refused(refusal);
                let reason = reason(&words);
                if span.is_some() { without_line(reason) } else { reason }.to_owned()
            }
            NoticeKind::Raised(raised) if raised.before == 0 => raised.error.clone(),
            NoticeKind::Tried(tried) if self.span().is_none() => return tried.failure(),
            NoticeKind::Failed { .. }
            | NoticeKind::Flawed { .. }
            | NoticeKind::Blocked(_)
            | NoticeKind::Surprising(_) => {
                return self.headline().map(|_| self.sentence());
            }
            _ => return None,
        })
    }

    /// What a traceback has beside the place that is shown: who called it, what lies outside of plugins, and the
    /// causes.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        let NoticeKind::Raised(raised) = &self.what else { return Vec::new() };
        if raised.before > 0 {
            return Vec::new();
        }
        let callers = raised.frames.iter().skip(1);
        let mut lines: Vec<_> =
            callers.map(|frame| format!("called at {} in {}", frame.place(), frame.function)).collect();
        if let (Some(at), None) = (&raised.at, &self.about.key) {
            lines.push(format!("raised at {at}, of a plugin that the log does not name"));
        } else if let Some(at) = &raised.at {
            let frames = count(usize::try_from(raised.outside).unwrap_or(usize::MAX), "frame");
            lines.push(format!("raised at {at}, {frames} away from the plugin"));
        }
        for (error, frame) in &raised.causes {
            let place = frame.as_ref().map_or_else(String::new, |frame| format!(" at {}", frame.place()));
            lines.push(format!("caused by {error}{place}"));
        }
        lines
    }

    /// What the server still has after a refusal, where known.
    #[must_use]
    pub fn note(&self) -> Option<&'static str> {
        match &self.what {
            NoticeKind::Refused { old_version: Some(OldVersion::Running), .. } => Some("the old version keeps running"),
            NoticeKind::Refused { old_version: Some(OldVersion::Off), .. } => Some("the old version is off"),
            NoticeKind::RefusedBefore { on_server: true, .. } => Some("the server keeps the old version"),
            _ => None,
        }
    }

    /// The version as shown: `1.0 → 1.1` when an update changed it.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let new = self.about.version.as_deref();
        match &self.what {
            // The restored text is not the refused one.
            NoticeKind::Restored | NoticeKind::Recovered | NoticeKind::WentOff { .. } => None,
            NoticeKind::Updated { from: Some(old), .. } | NoticeKind::WouldUpdate { from: Some(old), .. }
                if new != Some(old) =>
            {
                Some(format!("{old} → {}", new.unwrap_or("none")))
            }
            _ => new.map(str::to_owned),
        }
    }
}

fn troubled(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Told { message, .. } => message.clone(),
        Trouble::UnknownName(name) => format!("no plugin has the id or path `{name}`"),
        Trouble::NoPluginIn(names) => format!("no plugin in {}", list(names)),
        Trouble::UnusedTable(path) => {
            format!("watch.toml has settings for `{}`, which is not there", slashed(&path))
        }
        Trouble::RootLeadsOutside { root, to } => {
            format!("`{}` now leads outside the folder, to `{}`", slashed(&root), slashed(&to))
        }
        Trouble::WouldNotDeploy(path) => format!("a watch would not deploy `{}`", slashed(&path)),
        Trouble::VersionsHidden(key) => format!("the server does not show the versions of {key} to this key"),
        Trouble::LedgerUnwritten { cause } | Trouble::StateUnwritten { cause } => cause.clone(),
        Trouble::LockLost { cause } => format!("this owui-watch ends, since its lock was deleted: {cause}"),
        Trouble::LogCommandEnded { how, next } => format!("{how}; next start in {} s", next.as_secs()),
        Trouble::LogLinesLost(lines) => {
            let were = if *lines == 1 { "was" } else { "were" };
            format!("{} of the server's log {were} left out: too many at once", count(*lines, "line"))
        }
        Trouble::Unread(notices) => {
            format!("the output was not read for a while: {} not shown", count(*notices, "notice"))
        }
        Trouble::WatchEnded => "the watch ended before it had deployed everything".to_owned(),
        Trouble::NotShown(n) => format!("{} not shown here", count(*n, "more line")),
        Trouble::NotDeployedHere => "the running watch does not deploy it".to_owned(),
    }
}

fn awaited(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::Away => "the server is away",
        WaitReason::Denied => "the server denied access",
        WaitReason::Turn => "other plugins are being deployed",
        WaitReason::Settings => "the settings are changing",
        WaitReason::BrokenFile => {
            "a broken file here may be the same plugin; nothing changes on the server until that file is fixed"
        }
    }
}

/// The server's words, which may be none.
fn reason(words: &str) -> &str {
    if words.trim().is_empty() { "no reason was given" } else { words }
}

/// Words that say the line as well, as in `invalid syntax (<string>, line 2)`, without it.
fn without_line(words: &str) -> &str {
    match words.rsplit_once(" (<string>, line ") {
        Some((reason, line)) if line.trim_end_matches(')').bytes().all(|byte| byte.is_ascii_digit()) => reason,
        Some(_) | None => words,
    }
}

/// Why a command's call failed.
#[must_use]
pub fn call_failed(failure: &CallFailure, server: &str, key: Option<&str>) -> String {
    match failure {
        CallFailure::Unreachable { cause, .. } => format!("cannot reach {server}: {cause}"),
        CallFailure::NotAllowed { words, .. } | CallFailure::NotOurs { words } => denied(words, key),
        CallFailure::Foreign { words, .. } => foreign(server, words),
        CallFailure::Odd { words } => odd(words),
    }
}

fn denied(words: &str, key: Option<&str>) -> String {
    let with = key.map_or_else(String::new, |key| format!(" with the key from {key}"));
    format!("the server denied access{with}: {words}")
}

fn foreign(server: &str, words: &str) -> String {
    format!("{server} does not answer as Open WebUI: {words}")
}

fn odd(words: &str) -> String {
    format!("the server gave an unexpected answer: {words}")
}

fn failed(failure: &Failure) -> String {
    match failure {
        Failure::Call(CallFailure::Unreachable { cause, .. }) => format!("the server is away: {cause}"),
        Failure::Unanswered { cause } => format!("no answer came: {cause}"),
        Failure::Stumbled { cause } => cause.clone(),
        Failure::TakesNone { words } => {
            format!("the server rejects every new plugin, even an empty one: {}", reason(words))
        }
        Failure::Call(CallFailure::NotAllowed { words, .. }) => denied(words, None),
        Failure::Call(CallFailure::Foreign { words, .. }) => foreign("the address", words),
        Failure::Call(CallFailure::NotOurs { words }) => format!("this key may not change it: {words}"),
        Failure::StoredOther => {
            "the server stores a different text from the one sent: someone else has just edited the plugin".to_owned()
        }
        Failure::KeepFailed { words } => {
            format!("nothing was sent: the state folder cannot be written: {words}")
        }
        Failure::Call(CallFailure::Odd { words }) => odd(words),
    }
}

fn summary(tally: &PassSummary, took: Duration, dry_run: bool) -> String {
    let (created, updated) = if dry_run { ("to create", "to update") } else { ("created", "updated") };
    let parts: Vec<_> = [
        (tally.created, created),
        (tally.updated, updated),
        (tally.unchanged, "unchanged"),
        (tally.refused, "refused"),
        (tally.held, "held back"),
        (tally.skipped, "with errors"),
        (tally.failed, "failed"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect();
    let total = count(tally.total(), "plugin");
    let unread = match tally.unreadable_folders {
        0 => String::new(),
        n => format!("; {} cannot be read", count(n, "folder")),
    };
    let tail = if dry_run { format!("{unread}; nothing was changed") } else { unread };
    if parts.is_empty() {
        return format!("{total} in {}{tail}", duration(took));
    }
    format!("{total} in {}: {}{tail}", duration(took), parts.join(", "))
}

fn stopped(waiting: usize, refused: usize, held: usize, with_errors: usize) -> String {
    let total = match waiting + refused + held + with_errors {
        0 => return "stopped".to_owned(),
        total => format!("stopped; {} not deployed", count(total, "plugin")),
    };
    let parts: Vec<_> = [(refused, "refused"), (held, "held back"), (with_errors, "with errors")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    match (waiting, parts.is_empty()) {
        (_, true) => format!("{total}; the next start will retry"),
        (0, false) => format!("{total}: {}", parts.join(", ")),
        (_, false) => format!("{total}: {}, {waiting} to retry at the next start", parts.join(", ")),
    }
}

/// Marks a function that is off: no save has an effect until it is switched on.
fn off(active: Option<bool>) -> &'static str {
    if active == Some(false) { " (off)" } else { "" }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::expect;

    use super::*;
    use crate::notice::samples::{ms, samples, shout};

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn what_each_notice_says() {
        let mut table = String::new();
        for notice in samples() {
            writeln!(table, "{:?} {}: {}", notice.level(), notice.word(), notice.sentence()).unwrap();
            if let Some(headline) = notice.headline() {
                writeln!(table, "    short: {headline} / {}", notice.detail().unwrap()).unwrap();
            }
            if let Some(note) = notice.note() {
                writeln!(table, "    note: {note}").unwrap();
            }
        }
        expect![[r#"
            Info ready: watching `plugins` and `more` (3 plugins) for http://localhost:8080
            Info connected: http://localhost:8080 is Open WebUI 0.12.4
            Warning untested: owui-watch is not tested with Open WebUI 0.13.0
            Warning nothing_found: no plugins in `plugins` and `more`
            Detail pass: 1 plugin to compare with the server
            Info summary: 28 plugins in 1.2 s: 1 created, 2 updated, 3 unchanged, 4 refused, 7 held back, 5 with errors, 6 failed; 8 folders cannot be read
            Info summary: 1 plugin in 12 ms: 1 unchanged
            Info summary: 2 plugins in 12 ms: 2 to create; nothing was changed
            Detail summary: 0 plugins in 12 ms
            Info summary: 0 plugins in 12 ms; 1 folder cannot be read
            Warning unreachable: cannot reach http://localhost:8080: connection refused (next try in 500 ms)
            Warning unreachable: cannot reach http://localhost:8080: connection refused (next try in 20 s, 2 plugins waiting)
            Warning unreachable: cannot reach https://h: certificate not trusted (next try in 500 ms)
            Detail still_unreachable: still unreachable: connection refused (try 4, next in 8.0 s)
            Info back: the server is back after 1 min 23 s
            Info back: the server is back after 1 min 23 s, 1 plugin to deploy
            Info access_granted: the server grants access
            Info access_granted: the server grants access, 2 plugins to deploy
            Error gave_up: cannot reach http://localhost:8080: connection refused (gave up after 10 s)
            Error gave_up: cannot reach http://localhost:8080: connection refused (gave up after 10 s)
            Error not_allowed: the server denied access: no key is configured, and this server asks for one
            Error not_allowed: the server denied access with the key from `.env`: Use of API key is not enabled in the environment.
            Error not_allowed: the server denied access with the key from `.env`: 401 Unauthorized
            Error not_open_webui: http://localhost:8080 does not answer as Open WebUI: a web page
            Detail proxy: http://localhost:8080 is reached through the proxy http://proxy:3128
            Warning insecure: the key and the plugins travel unencrypted to http://chat.example.org
            Warning insecure: the key and the plugins travel unencrypted to http://chat.lan, through the proxy http://proxy:3128
            Info in_line: waiting for the other owui-watch (pid 123) to exit
            Info in_line: waiting for the other owui-watch to exit
            Warning root_missing: `plugins` does not exist; nothing changes on the server
            Info root_back: `plugins` is back
            Info reloaded: settings reloaded from `.env`: no change
            Info reloaded: settings reloaded from `.env` and `watch.toml`: url, api_key
            Info settings_wait: the new settings and every save wait for deploys in progress: `shout`
            Info settings_wait: the new settings and every save wait for deploys in progress: `clock` and `shout`
            Info stopping: stopping
            Info stopping: stopping after 2 deploys in progress (a second Ctrl-C stops at once)
            Info stopped: stopped
            Info stopped: stopped; 1 plugin not deployed; the next start will retry
            Info stopped: stopped; 2 plugins not deployed: 1 refused, 1 with errors
            Info stopped: stopped; 10 plugins not deployed: 1 refused, 3 held back, 4 with errors, 2 to retry at the next start
            Warning trouble: the settings stay as they were: `poll` must be a duration
            Warning trouble: nothing is deployed until you agree to the new settings: cannot send your API key
            Warning trouble: something beside the plugins
            Warning trouble: no plugin has the id or path `shuot`
            Warning trouble: no plugin in `notes.py` and `old`
            Warning trouble: watch.toml has settings for `plugins/gone.py`, which is not there
            Warning trouble: `plugins` now leads outside the folder, to `/srv/plugins`
            Warning trouble: a watch would not deploy `plugins/shout.py`
            Warning trouble: the server does not show the versions of function shout to this key
            Warning trouble: cannot write `ledger.json`: No space left on device
            Warning trouble: cannot write `ledger.json`: No space left on device
            Warning trouble: this owui-watch ends, since its lock was deleted: another owui-watch deploys from here (pid 7)
            Warning trouble: `sh log.sh` ended; next start in 2 s
            Warning trouble: 1 line of the server's log was left out: too many at once
            Warning trouble: the output was not read for a while: 2 notices not shown
            Warning trouble: the watch ended before it had deployed everything
            Warning trouble: 12 more lines not shown here
            Warning trouble: the running watch does not deploy it
            Warning scan_slow: still reading the folders after 10 s; nothing is deployed until that is done
            Detail sending: comparing with the server (changed on server)
            Info slow: still in progress after 3.0 s
            Info slow: still in progress after 3.0 s: the server may be installing httpx, pydantic
            Info created: created, switched off
            Info created: created and switched on
            Info created: created and switched on
            Info created: created
            Info created: created again and switched on: it was gone from the server, with its valves and sharing
            Info created: created again, switched off: it was gone from the server, with its valves and sharing
            Info created: created again: it was gone from the server, with its valves and sharing
            Info updated: updated
            Info updated: updated (off)
            Info updated: updated; the text on the server was not deployed from here; a copy is in state/copy.py
                short: updated / the text on the server was not deployed from here; a copy is in state/copy.py
            Info updated: updated (off); the text on the server was not deployed from here; a copy is in copy.py
                short: updated (off) / the text on the server was not deployed from here; a copy is in copy.py
            Detail unchanged: unchanged
            Detail unchanged: unchanged (off)
            Info unchanged: good again, unchanged
            Info unchanged: unchanged
            Info unchanged: good again, unchanged
            Info unchanged: unchanged (off)
            Info unchanged: good again, unchanged (off)
            Info would_create: would be created
            Info would_update: would be updated
            Info would_update: would be updated; a copy would be kept of the server's text, which was not deployed from here
            Error remote_edit: not deployed: someone else changed it on the server
                short: not deployed / someone else changed it on the server
            Error remote_edit: not deployed: someone else changed it on the server (version 1.0)
                short: not deployed / someone else changed it on the server (version 1.0)
            Error twin: not created: the server has a plugin with the same title and author under the id `old`
                short: not created / the server has a plugin with the same title and author under the id `old`
            Error twin: not created: the server has a plugin with the same openwebui_id under the id `old`
                short: not created / the server has a plugin with the same openwebui_id under the id `old`
            Info rolled_back: rolled back; not deployed until the file changes
            Error blocked: `Users.get_users` has been a coroutine since 0.9, but is not awaited
                short: held back, not sent / `Users.get_users` has been a coroutine since 0.9, but is not awaited
            Warning rollback_undone: this deploy was already in progress and replaced the text that a rollback had restored
            Error refused: refused by the server: invalid syntax
                short: refused by the server / invalid syntax
            Error refused: refused by the server (the old version keeps running): invalid syntax
                short: refused by the server / invalid syntax
                note: the old version keeps running
            Error refused: refused by the server (the old version is off): invalid syntax
                short: refused by the server / invalid syntax
                note: the old version is off
            Error refused: refused by the server: [ERROR: Error creating function]
                short: refused by the server / [ERROR: Error creating function]
            Error refused: refused by the server: no reason was given
                short: refused by the server / no reason was given
            Error refused: refused by the server: No module named 'httpx'
                short: refused by the server / No module named 'httpx'
            Warning retrying: server error: Internal Server Error; retrying in 1.0 s
            Info restored: the server had switched it off; it is on again
            Detail recovered: an interrupted deploy is settled
            Error went_off: the server switched it off, and switching it on again failed: connection refused
            Error went_off: the server switched it off, and switching it on again failed: connection refused; will retry when the server answers
            Warning not_switched_on: switching it on failed: connection refused
            Warning not_switched_on: switching it on failed: connection refused; will retry
            Info switched_on: switched on
            Warning unused: on, but used by no model
            Detail pruned: deleted an older version of this editing session from the server's history
            Error refused_before: refused before, not sent again: invalid syntax
                short: refused before, not sent again / invalid syntax
            Error refused_before: refused before, not sent again (the server keeps the old version): no reason was given
                short: refused before, not sent again / no reason was given
                note: the server keeps the old version
            Error refused_before: refused before, not sent again: Command '['python', '-m', 'pip', 'install', 'httpx']' returned non-zero exit status 1.
                short: refused before, not sent again / Command '['python', '-m', 'pip', 'install', 'httpx']' returned non-zero exit status 1.
            Error refused_before: refused before, not sent again: No module named 'httpx'
                short: refused before, not sent again / No module named 'httpx'
            Error failed: the server is away: connection refused
                short: not deployed / the server is away: connection refused
            Error failed: no answer came: connection refused
                short: not deployed / no answer came: connection refused
            Error failed: the server denied access: 401 Unauthorized
                short: not deployed / the server denied access: 401 Unauthorized
            Error failed: the address does not answer as Open WebUI: a web page
                short: not deployed / the address does not answer as Open WebUI: a web page
            Error failed: this key may not change it: 401 Unauthorized
                short: not deployed / this key may not change it: 401 Unauthorized
            Error failed: the server stores a different text from the one sent: someone else has just edited the plugin
                short: not deployed / the server stores a different text from the one sent: someone else has just edited the plugin
            Error failed: the server's database is locked
                short: not deployed / the server's database is locked
            Error failed: the server rejects every new plugin, even an empty one: [ERROR: Error creating function]
                short: not deployed / the server rejects every new plugin, even an empty one: [ERROR: Error creating function]
            Error failed: nothing was sent: the state folder cannot be written: No space left on device
                short: not deployed / nothing was sent: the state folder cannot be written: No space left on device
            Error failed: the server gave an unexpected answer: null
                short: not deployed / the server gave an unexpected answer: null
            Error flawed: invalid Python: expected `)`
                short: not sent / invalid Python: expected `)`
            Error flawed: a link to `gone.py`, which does not exist
                short: not sent / a link to `gone.py`, which does not exist
            Error flawed: a folder that cannot be read: permission denied
            Warning warning: its type on the server is `pipe`, because of the imported name `Pipe`
                short: warning / its type on the server is `pipe`, because of the imported name `Pipe`
            Error conflict: not deployed: `a.py` and `b/a.py` claim this id
            Info removed: removed here
            Info removed: no longer a plugin
            Info removed: removed here; the server keeps it
            Info removed: no longer a plugin; the server keeps the last version
            Info removed: removed here; will be switched off on the server in 30 s unless it comes back
            Info removed: removed here; will be deleted on the server in 30 s unless it comes back
            Info deactivated: switched off on the server because its file is gone
            Error not_removed: not deleted: no copy of it can be kept: No space left on device; will retry
            Error not_removed: not switched off: this key may not change it: 401 Unauthorized
            Warning left_off: its file is back; the function was switched off meanwhile and stays off
            Info deleted: deleted on the server because its file is gone; a copy is in state/copy.py
            Info spared: the server keeps it: its whole folder is gone, not just the file
            Info spared: the server keeps it: no plugin is left in its folder, which may be an unmounted share
            Info spared: the server keeps it: more plugin files are gone than are left
            Info spared: the server keeps it: a new file here may be the same plugin
            Info spared: the server keeps it: someone else changed it there
            Info spared: already gone from the server
            Info spared: already switched off on the server
            Info id_changed: its id was `old`; the server keeps the plugin under that id too
            Info id_changed: it was a tool before; the server keeps that tool too
            Info waiting: waiting: the server is away
            Detail waiting: still waiting: the server is away
            Detail waiting: waiting: other plugins are being deployed
            Detail waiting: waiting: the settings are changing
            Detail superseded: replaced by a newer save
            Detail held: incomplete; will be read again soon
            Info being_written: still being written; will be deployed once it is complete
            Detail disabled: disabled in watch.toml
            Detail same_file: a link to plugins/whisper.py, which is deployed
            Detail trying: trying it
            Error fails: fails on "hello": 'nope'
                short: fails on "hello" / 'nope'
            Error fails: fails with `shout` on "hello": expected `^H`, got "ho"
                short: fails with `shout` on "hello" / expected `^H`, got "ho"
            Error fails: fails on "hello": KeyError: 'nope' (line 2)
            Error fails: trial failed on "hello": 'nope'
                short: trial failed on "hello" / 'nope'
            Error fails: fails on "hello": none of its hooks ran
                short: fails on "hello" / none of its hooks ran
            Info answered: answered: "hello" → "5"; who knows
            Info works: works: "hello" → "HELLO you"
            Info works: works with 2 models: "hello" → -a +b
            Info not_tried: not tried: it is switched off
            Error not_tried: not tried: the server now has a different text
            Info not_tried: not tried: it may act outside the chat (`import httpx`)
            Info not_tried: not tried: no function is named
            Info not_tried: not tried: the server's events call it, not a user
            Error not_tried: not tried: no model takes part
            Info not_tried: not tried: no model takes part
            Error not_tried: not tried: connection refused
            Error not_tried: trial inconclusive: function other raised KeyError: 'x' in line 3
            Info not_tried: no longer tried
            Info called: pipe → "HI"
            Info called: pipe ×14
            Info called: event user.login
            Detail called: event user.login, 7 so far
            Info called: event user.login, 10 so far
            Error raised: pipe raised an exception: KeyError: 'nope'
                short: pipe raised an exception / KeyError: 'nope'
            Error raised: pipe raised KeyError in line 3 again ×2
            Error raised: raised an exception while it was loaded: KeyError: 'nope'
                short: raised an exception while it was loaded / KeyError: 'nope'
            Info printed: | hello
            Warning printed: | careful (line 16)
            Info printed_more: | … 2900 more lines in the server's log
            Info server_log: server: INFO started
        "#]].assert_eq(&table);
    }

    /// The style of all of them: one line, not a sentence with a full stop.
    #[test]
    fn messages_are_of_one_kind() {
        for notice in samples() {
            let hint = notice.hint().unwrap_or_default();
            for remedy in hint.lines() {
                assert!(remedy.split_whitespace().count() <= 20, "too long: {remedy}");
                let sends_away = ["end a watch", "end it", "stop", "restart", "start again", "no watch runs"];
                assert!(!sends_away.iter().any(|words| remedy.contains(words)), "ends the watch: {remedy}");
            }
            let remedies = hint.lines().map(str::to_owned);
            for text in [Some(notice.sentence()), notice.detail()].into_iter().flatten().chain(remedies) {
                assert!(!text.is_empty() && !text.contains('\n'), "{text}");
                assert!(!text.ends_with('.') || text.contains("environment.") || text.contains("status 1."), "{text}");
                assert!(
                    !text.starts_with(char::is_uppercase)
                        || text.starts_with("No module")
                        || text.starts_with("Command")
                        || text.starts_with("KeyError")
                        || text.starts_with("Open WebUI"),
                    "{text}"
                );
            }
            assert_eq!(notice.headline().is_some(), notice.detail().is_some(), "{}", notice.word());
            if let (Some(headline), Some(detail)) = (notice.headline(), notice.detail()) {
                assert!(!detail.starts_with(&*headline), "said twice: {detail}");
            }
        }
    }

    #[test]
    fn an_update_shows_both_versions_where_they_differ() {
        let updated = |from: Option<&str>| NoticeKind::Updated {
            from: from.map(str::to_owned),
            kept: None,
            active: None,
            took: ms(1),
        };
        assert_eq!(shout(updated(Some("1.0"))).version().as_deref(), Some("1.0 → 1.1"));
        assert_eq!(shout(updated(Some("1.1"))).version().as_deref(), Some("1.1"));
        assert_eq!(shout(updated(None)).version().as_deref(), Some("1.1"));
        let mut notice = shout(updated(Some("1.0")));
        notice.about.version = None;
        assert_eq!(notice.version().as_deref(), Some("1.0 → none"));
    }
}
