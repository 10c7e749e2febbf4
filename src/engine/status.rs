//! How things stand, in one line: what is left of all notices so far for somebody who looks only now.

use crate::engine::notice::{Notice, What, count, list};

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
            What::Ready { roots, server, .. } => self.watching = Some(format!("watching {} for {server}", list(roots))),
            What::Connected { .. } | What::Back { .. } | What::AccessGranted { .. } => self.trouble = None,
            What::Summary { tally, .. } => {
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
            What::Unreachable { server, cause, .. } => {
                self.trouble = Some(format!("{server} is away since {clock}: {cause}"));
            }
            What::InLine { .. } | What::GaveUp { .. } | What::NotAllowed { .. } | What::Foreign { .. } => {
                self.trouble = Some(notice.sentence());
            }
            What::Reloaded { changed, .. } => {
                // It is of another server.
                if changed.contains(&"url") {
                    self.trouble = None;
                }
                happened(notice.sentence());
            }
            What::Stopping { .. } | What::Stopped { .. } => self.end = Some(notice.sentence()),
            What::NothingFound { .. } | What::RootMissing { .. } | What::SettingsWait { .. } | What::Trouble { .. } => {
                happened(notice.sentence());
            }
            // In a pass over everything the sum says it.
            What::Unchanged { in_pass: true, good_again: false, .. } => {}
            What::Created { .. }
            | What::Updated { .. }
            | What::Unchanged { .. }
            | What::WouldCreate
            | What::WouldUpdate { .. }
            | What::RemoteEdit { .. }
            | What::Twin { .. }
            | What::RolledBack
            | What::RollbackUndone { .. }
            | What::Refused { .. }
            | What::Crashed { .. }
            | What::WentOff { .. }
            | What::NotSwitchedOn { .. }
            | What::RefusedBefore { .. }
            | What::Failed { .. }
            | What::Flawed(_)
            | What::Conflict { .. }
            | What::Removed { .. }
            | What::Deactivated
            | What::LeftOff
            | What::Deleted { .. }
            | What::Spared { .. }
            | What::Waiting { .. } => {
                let what = notice.headline().map_or_else(|| notice.sentence(), str::to_owned);
                let file = || notice.about.path.as_ref().map(|path| path.display().to_string());
                match notice.about.key.as_ref().map(|key| key.id.to_string()).or_else(file) {
                    Some(name) => happened(format!("{name} {what}")),
                    None => happened(what),
                }
            }
            // Steps on the way, and what is beside the point a minute later.
            What::Untested { .. }
            | What::Proxied { .. }
            | What::Insecure { .. }
            | What::Pass { .. }
            | What::StillUnreachable { .. }
            | What::Sending { .. }
            | What::Slow { .. }
            | What::Restored
            | What::SwitchedOn
            | What::Recovered
            | What::Pruned
            | What::Surprising(_)
            | What::IdChanged { .. }
            | What::Superseded
            | What::Held
            | What::BeingWritten
            | What::Disabled
            | What::SameFile { .. } => {}
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
    use crate::engine::exchange::Failure;
    use crate::engine::notice::{About, Tally, WaitReason};
    use crate::plugin::id::PluginId;
    use crate::plugin::{Flaw, Key, Kind, Problem};

    fn shout(what: What) -> Notice {
        let key = Key { kind: Kind::Function, id: PluginId::new("shout").unwrap() };
        Notice { about: About { key: Some(key), ..About::default() }, what }
    }

    /// What each notice leaves of the line, told one after the other at 1:00, 2:00 …
    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn what_is_left_of_each_notice() {
        let server = || "http://h:1".to_owned();
        let took = Duration::from_millis(34);
        let unchanged = |in_pass, good_again| shout(What::Unchanged { in_pass, active: None, good_again });
        let away = What::Unreachable {
            cause: "connection refused".to_owned(),
            server: server(),
            next: took,
            waiting: 1,
            configured: true,
        };
        let summary = |tally| What::Summary { tally, took, dry_run: false };
        let flawed = Flaw { digest: None, problem: Problem::Empty, span: None, meant: true };
        let denied = || {
            let key = Some("`.env`".to_owned());
            Notice::general(What::NotAllowed { status: 401, words: "401 Unauthorized".to_owned(), key })
        };
        let file = Notice { about: About::file(&Arc::from(Path::new("a.py"))), what: What::Flawed(flawed) };
        let table = [
            (
                Notice::general(What::Ready { roots: vec![PathBuf::from("plugins")], plugins: 1, server: server() }),
                "watching `plugins` for http://h:1",
            ),
            (
                Notice::general(What::Connected { server: server(), version: "0.12.4".to_owned() }),
                "watching `plugins` for http://h:1",
            ),
            (
                Notice::general(summary(Tally { created: 1, ..Tally::default() })),
                "watching `plugins` for http://h:1; last: 1 plugin compared (3:00)",
            ),
            (
                shout(What::Updated { from: None, kept: Some(PathBuf::from("copy.py")), active: Some(true), took }),
                "watching `plugins` for http://h:1; last: shout updated (4:00)",
            ),
            (shout(What::Held), "watching `plugins` for http://h:1; last: shout updated (4:00)"),
            (unchanged(true, false), "watching `plugins` for http://h:1; last: shout updated (4:00)"),
            (
                Notice::general(away),
                "http://h:1 is away since 7:00: connection refused; watching `plugins` for http://h:1; last: shout \
                 updated (4:00)",
            ),
            (
                shout(What::Waiting { reason: WaitReason::Away, again: false }),
                "http://h:1 is away since 7:00: connection refused; watching `plugins` for http://h:1; last: shout \
                 waiting: the server is away (8:00)",
            ),
            (
                Notice::general(What::Back { away: took, waiting: 1 }),
                "watching `plugins` for http://h:1; last: shout waiting: the server is away (8:00)",
            ),
            (file, "watching `plugins` for http://h:1; last: a.py not sent (10:00)"),
            (
                denied(),
                "the server denied access with the key from `.env`: 401 Unauthorized; watching `plugins` for \
                 http://h:1; last: a.py not sent (10:00)",
            ),
            (
                shout(What::Failed { failure: Failure::StoredOther, took }),
                "the server denied access with the key from `.env`: 401 Unauthorized; watching `plugins` for \
                 http://h:1; last: shout not deployed (12:00)",
            ),
            (
                Notice::general(summary(Tally { updated: 1, failed: 1, unreadable_folders: 1, ..Tally::default() })),
                "watching `plugins` for http://h:1; last: 2 plugins compared, 1 not deployed, 1 folder cannot be read \
                 (13:00)",
            ),
            (
                Notice::general(What::RootMissing { root: PathBuf::from("plugins") }),
                "watching `plugins` for http://h:1; last: `plugins` is not there; nothing changes on the server (14:00)",
            ),
            (
                Notice::general(What::Foreign { server: server(), status: 200, words: "a web page".to_owned() }),
                "http://h:1 does not answer as Open WebUI: a web page; watching `plugins` for http://h:1; last: \
                 `plugins` is not there; nothing changes on the server (14:00)",
            ),
            (
                Notice::general(What::Reloaded { files: vec![PathBuf::from(".env")], changed: vec!["concurrency"] }),
                "http://h:1 does not answer as Open WebUI: a web page; watching `plugins` for http://h:1; last: settings \
                 read again after a change of `.env` (new: concurrency) (16:00)",
            ),
            (
                Notice::general(What::Reloaded { files: vec![PathBuf::from(".env")], changed: vec!["url"] }),
                "watching `plugins` for http://h:1; last: settings read again after a change of `.env` (new: url) \
                 (17:00)",
            ),
            (
                denied(),
                "the server denied access with the key from `.env`: 401 Unauthorized; watching `plugins` for http://h:1; \
                 last: settings read again after a change of `.env` (new: url) (17:00)",
            ),
            (
                Notice::general(What::AccessGranted { waiting: 1 }),
                "watching `plugins` for http://h:1; last: settings read again after a change of `.env` (new: url) \
                 (17:00)",
            ),
            (unchanged(true, true), "watching `plugins` for http://h:1; last: shout good again, unchanged (20:00)"),
            (Notice::general(What::Stopping { in_flight: 0 }), "stopping"),
            (unchanged(false, false), "stopping"),
            (Notice::general(What::Stopped { waiting: 0, refused: 0, held: 0, with_errors: 0 }), "stopped"),
        ];
        let mut status = Status::default();
        assert_eq!(status.line(), "");
        for (hour, (notice, line)) in table.iter().enumerate() {
            status.tell(notice, &format!("{}:00", hour + 1));
            assert_eq!(status.line(), *line, "{notice:?}");
        }
    }
}
