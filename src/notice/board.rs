//! How things stand, in one line: what is left of all notices so far for somebody who looks only now.

use crate::notice::{Notice, NoticeKind, count, list};

/// The line, in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What keeps everything from being deployed.
    trouble: Option<String>,
    watching: Option<String>,
    /// The last thing that happened to a plugin, or to all of them.
    last: Option<String>,
    /// Nothing else matters any more.
    end: Option<String>,
}

impl Status {
    /// Takes in a notice. `clock` is the time as it is to be read.
    pub fn tell(&mut self, notice: &Notice, clock: &str) {
        let mut happened = |what: String| self.last = Some(format!("{what} ({clock})"));
        match &notice.what {
            // How many plugins there are would be old news soon.
            NoticeKind::Ready { roots, server, .. } => {
                self.watching = Some(format!("watching {} for {server}", list(roots)))
            }
            NoticeKind::Connected { .. } | NoticeKind::Back { .. } | NoticeKind::AccessGranted { .. } => {
                self.trouble = None
            }
            NoticeKind::Summary { tally, .. } => {
                let compared = format!("{} compared", count(tally.total(), "plugin"));
                let not_deployed = Some(tally.not_deployed()).filter(|n| *n > 0);
                let unreadable = Some(tally.unreadable_folders).filter(|n| *n > 0);
                let parts = [
                    Some(compared),
                    not_deployed.map(|n| format!("{n} not deployed")),
                    unreadable.map(|n| format!("{} cannot be read", count(n, "folder"))),
                ];
                happened(parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
                self.trouble = None;
            }
            NoticeKind::Unreachable { server, cause, .. } => {
                self.trouble = Some(format!("{server} is away since {clock}: {cause}"));
            }
            NoticeKind::InLine { .. }
            | NoticeKind::GaveUp { .. }
            | NoticeKind::NotAllowed { .. }
            | NoticeKind::Foreign { .. } => {
                self.trouble = Some(notice.sentence());
            }
            NoticeKind::Reloaded { changed, .. } => {
                // It is of another server.
                if changed.contains(&"url") {
                    self.trouble = None;
                }
                happened(notice.sentence());
            }
            NoticeKind::Stopping { .. } | NoticeKind::Stopped { .. } => self.end = Some(notice.sentence()),
            NoticeKind::NothingFound { .. }
            | NoticeKind::RootMissing { .. }
            | NoticeKind::SettingsWait { .. }
            | NoticeKind::Trouble { .. } => {
                happened(notice.sentence());
            }
            // In a pass over everything the sum says it.
            NoticeKind::Unchanged { in_pass: true, good_again: false, .. } => {}
            NoticeKind::Created { .. }
            | NoticeKind::Updated { .. }
            | NoticeKind::Unchanged { .. }
            | NoticeKind::WouldCreate
            | NoticeKind::WouldUpdate { .. }
            | NoticeKind::RemoteEdit { .. }
            | NoticeKind::Duplicate { .. }
            | NoticeKind::RolledBack
            | NoticeKind::RollbackUndone { .. }
            | NoticeKind::Refused { .. }
            | NoticeKind::Crashed { .. }
            | NoticeKind::WentOff { .. }
            | NoticeKind::NotSwitchedOn { .. }
            | NoticeKind::RefusedBefore { .. }
            | NoticeKind::Failed { .. }
            | NoticeKind::Flawed(_)
            | NoticeKind::Conflict { .. }
            | NoticeKind::Removed { .. }
            | NoticeKind::Deactivated
            | NoticeKind::LeftOff
            | NoticeKind::Deleted { .. }
            | NoticeKind::Spared { .. }
            | NoticeKind::Waiting { .. } => {
                let what = notice.headline().map_or_else(|| notice.sentence(), str::to_owned);
                let file = || notice.about.path.as_ref().map(|path| path.display().to_string());
                match notice.about.key.as_ref().map(|key| key.id.to_string()).or_else(file) {
                    Some(name) => happened(format!("{name} {what}")),
                    None => happened(what),
                }
            }
            // Steps on the way, and what is beside the point a minute later.
            NoticeKind::Untested { .. }
            | NoticeKind::Proxied { .. }
            | NoticeKind::Insecure { .. }
            | NoticeKind::Pass { .. }
            | NoticeKind::StillUnreachable { .. }
            | NoticeKind::Sending { .. }
            | NoticeKind::Slow { .. }
            | NoticeKind::Restored
            | NoticeKind::SwitchedOn
            | NoticeKind::Recovered
            | NoticeKind::Pruned
            | NoticeKind::Surprising(_)
            | NoticeKind::IdChanged { .. }
            | NoticeKind::Superseded
            | NoticeKind::Held
            | NoticeKind::BeingWritten
            | NoticeKind::Disabled
            | NoticeKind::SameFile { .. } => {}
        }
    }

    /// The line; empty before there is anything to say.
    #[must_use]
    pub fn line(&self) -> String {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let last = self.last.as_ref().map(|last| format!("last: {last}"));
        [self.trouble.clone(), self.watching.clone(), last].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::engine::deploy::Failure;
    use crate::notice::{PassSummary, Subject, WaitReason};
    use crate::plugin::id::PluginId;
    use crate::plugin::{Flaw, Key, Kind, Problem};

    fn shout(what: NoticeKind) -> Notice {
        let key = Key { kind: Kind::Function, id: PluginId::new("shout").unwrap() };
        Notice { about: Subject { key: Some(key), ..Subject::default() }, what }
    }

    /// What each notice leaves of the line, told one after the other at 1:00, 2:00 …
    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn what_is_left_of_each_notice() {
        let server = || "http://h:1".to_owned();
        let took = Duration::from_millis(34);
        let unchanged = |in_pass, good_again| shout(NoticeKind::Unchanged { in_pass, active: None, good_again });
        let away = NoticeKind::Unreachable {
            cause: "connection refused".into(),
            server: server(),
            next: took,
            waiting: 1,
            configured: true,
        };
        let summary = |tally| NoticeKind::Summary { tally, took, dry_run: false };
        let flawed = Flaw { digest: None, problem: Problem::Empty, span: None, meant: true };
        let denied = || {
            let key = Some("`.env`".to_owned());
            Notice::general(NoticeKind::NotAllowed { status: 401, words: "401 Unauthorized".to_owned(), key })
        };
        let file = Notice { about: Subject::file(&Arc::from(Path::new("a.py"))), what: NoticeKind::Flawed(flawed) };
        let table = [
            (
                Notice::general(NoticeKind::Ready {
                    roots: vec![PathBuf::from("plugins")],
                    plugins: 1,
                    server: server(),
                }),
                "watching `plugins` for http://h:1",
            ),
            (
                Notice::general(NoticeKind::Connected { server: server(), version: "0.12.4".to_owned() }),
                "watching `plugins` for http://h:1",
            ),
            (
                Notice::general(summary(PassSummary { created: 1, ..PassSummary::default() })),
                "watching `plugins` for http://h:1; last: 1 plugin compared (3:00)",
            ),
            (
                shout(NoticeKind::Updated {
                    from: None,
                    kept: Some(PathBuf::from("copy.py")),
                    active: Some(true),
                    took,
                }),
                "watching `plugins` for http://h:1; last: shout updated (4:00)",
            ),
            (shout(NoticeKind::Held), "watching `plugins` for http://h:1; last: shout updated (4:00)"),
            (unchanged(true, false), "watching `plugins` for http://h:1; last: shout updated (4:00)"),
            (
                Notice::general(away),
                "http://h:1 is away since 7:00: connection refused; watching `plugins` for http://h:1; last: shout \
                 updated (4:00)",
            ),
            (
                shout(NoticeKind::Waiting { reason: WaitReason::Away, again: false }),
                "http://h:1 is away since 7:00: connection refused; watching `plugins` for http://h:1; last: shout \
                 waiting: the server is away (8:00)",
            ),
            (
                Notice::general(NoticeKind::Back { away: took, waiting: 1 }),
                "watching `plugins` for http://h:1; last: shout waiting: the server is away (8:00)",
            ),
            (file, "watching `plugins` for http://h:1; last: a.py not sent (10:00)"),
            (
                denied(),
                "the server denied access with the key from `.env`: 401 Unauthorized; watching `plugins` for \
                 http://h:1; last: a.py not sent (10:00)",
            ),
            (
                shout(NoticeKind::Failed { failure: Failure::StoredOther, took }),
                "the server denied access with the key from `.env`: 401 Unauthorized; watching `plugins` for \
                 http://h:1; last: shout not deployed (12:00)",
            ),
            (
                Notice::general(summary(PassSummary {
                    updated: 1,
                    failed: 1,
                    unreadable_folders: 1,
                    ..PassSummary::default()
                })),
                "watching `plugins` for http://h:1; last: 2 plugins compared, 1 not deployed, 1 folder cannot be read \
                 (13:00)",
            ),
            (
                Notice::general(NoticeKind::RootMissing { root: PathBuf::from("plugins") }),
                "watching `plugins` for http://h:1; last: `plugins` is not there; nothing changes on the server (14:00)",
            ),
            (
                Notice::general(NoticeKind::Foreign { server: server(), status: 200, words: "a web page".to_owned() }),
                "http://h:1 does not answer as Open WebUI: a web page; watching `plugins` for http://h:1; last: \
                 `plugins` is not there; nothing changes on the server (14:00)",
            ),
            (
                Notice::general(NoticeKind::Reloaded {
                    files: vec![PathBuf::from(".env")],
                    changed: vec!["concurrency"],
                }),
                "http://h:1 does not answer as Open WebUI: a web page; watching `plugins` for http://h:1; last: settings \
                 read again after a change of `.env` (new: concurrency) (16:00)",
            ),
            (
                Notice::general(NoticeKind::Reloaded { files: vec![PathBuf::from(".env")], changed: vec!["url"] }),
                "watching `plugins` for http://h:1; last: settings read again after a change of `.env` (new: url) \
                 (17:00)",
            ),
            (
                denied(),
                "the server denied access with the key from `.env`: 401 Unauthorized; watching `plugins` for http://h:1; \
                 last: settings read again after a change of `.env` (new: url) (17:00)",
            ),
            (
                Notice::general(NoticeKind::AccessGranted { waiting: 1 }),
                "watching `plugins` for http://h:1; last: settings read again after a change of `.env` (new: url) \
                 (17:00)",
            ),
            (unchanged(true, true), "watching `plugins` for http://h:1; last: shout good again, unchanged (20:00)"),
            (Notice::general(NoticeKind::Stopping { in_flight: 0 }), "stopping"),
            (unchanged(false, false), "stopping"),
            (Notice::general(NoticeKind::Stopped { waiting: 0, refused: 0, held: 0, with_errors: 0 }), "stopped"),
        ];
        let mut status = Status::default();
        assert_eq!(status.line(), "");
        for (hour, (notice, line)) in table.iter().enumerate() {
            status.tell(notice, &format!("{}:00", hour + 1));
            assert_eq!(status.line(), *line, "{notice:?}");
        }
    }
}
