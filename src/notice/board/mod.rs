//! How things stand now, for somebody who looks only now: a fold over all notices so far. The status line for systemd is made
//! of it.

mod exception;
mod glance;
mod state;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::format::{count, list};
use super::{Notice, NoticeKind, TrialResult, Untried};
use crate::plugin::Key;

use exception::Exception;
pub use glance::{Glance, Problem};
pub use state::State;

/// The state of each plugin, and of the whole.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// Every plugin and broken file that was told of.
    pub plugins: BTreeMap<Name, Standing>,
    /// What plugins raised since they were sent.
    raised: BTreeMap<Name, Exception>,
    /// What each file was called last.
    names: BTreeMap<Arc<Path>, Name>,
    /// The server's address.
    server: Option<String>,
    /// Why nothing can be deployed, if so.
    trouble: Option<String>,
    /// What is wrong with the settings, if they are invalid. The earlier ones stay in use.
    settings: Option<String>,
    /// How far a pass has come.
    pass: Option<PassProgress>,
    /// Whether a pass over all plugins was completed: until then, others may exist.
    compared: bool,
    watching: Option<String>,
    last: Option<Last>,
    /// How many news of plugins there were.
    news: usize,
    /// Set when the program stops: nothing else is shown then.
    end: Option<String>,
}

/// How far a pass has come.
#[derive(Clone, Copy, Debug)]
struct PassProgress {
    done: usize,
    todo: usize,
}

/// What a plugin is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// By its id.
    Plugin(Key),
    /// A file that is no plugin as it stands.
    File(Arc<Path>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Plugin(key) => key.id.fmt(f),
            Name::File(path) => path.display().fmt(f),
        }
    }
}

/// How a plugin stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// In one word.
    pub state: State,
    /// The last news of it, with its place in the file.
    pub news: Notice,
    /// When that was, as people read it.
    pub since: String,
    /// Later news have a higher number.
    order: usize,
}

/// What happened last.
#[derive(Clone, Debug)]
enum Last {
    /// To one plugin.
    Plugin(Name),
    /// To all of them.
    Program(String),
}

impl Standing {
    /// Whether the text that a notice is about failed when it was tried, or is being tried.
    fn is_on_trial(&self, notice: &Notice) -> bool {
        matches!(self.state, State::Failing | State::Trying) && self.news.about.digest == notice.about.digest
    }

    /// Takes the place of an exception, if it is why the trial failed.
    fn locate(&mut self, exception: &Exception) {
        if let NoticeKind::Tried(tried) = &mut self.news.what
            && let TrialResult::Fails(failure) = &mut tried.result
            && failure.place.is_none()
            && exception.fits(&failure.words)
        {
            failure.place = Some(Box::new(exception.place.clone()));
        }
    }
}

impl Board {
    /// Takes in a notice. `clock` is its time, as people read it.
    pub fn tell(&mut self, notice: &Notice, clock: &str) {
        let mut happened = |what: String| self.last = Some(Last::Program(format!("{what} ({clock})")));
        match &notice.what {
            // How many plugins there are would be old news soon.
            NoticeKind::Ready { roots, server, .. } => {
                self.watching = Some(format!("watching {} for {server}", list(roots)));
                self.server = Some(server.clone());
            }
            NoticeKind::Connected { server, .. } => {
                self.server = Some(server.clone());
                self.trouble = None;
            }
            NoticeKind::Back { .. } | NoticeKind::AccessGranted { .. } => self.trouble = None,
            NoticeKind::Pass { todo } => self.pass = Some(PassProgress { done: 0, todo: *todo }),
            NoticeKind::Summary { tally, .. } => {
                let not_deployed = Some(tally.not_deployed()).filter(|n| *n > 0);
                let unreadable = Some(tally.unreadable_folders).filter(|n| *n > 0);
                let parts = [
                    Some(format!("{} compared", count(tally.total(), "plugin"))),
                    not_deployed.map(|n| format!("{n} not deployed")),
                    unreadable.map(|n| format!("{} cannot be read", count(n, "folder"))),
                ];
                happened(parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
                (self.trouble, self.pass, self.compared) = (None, None, true);
            }
            NoticeKind::Unreachable { server, cause, .. } => {
                self.trouble = Some(format!("{server} is away since {clock}: {cause}"));
                self.pass = None;
            }
            NoticeKind::InLine { .. }
            | NoticeKind::GaveUp { .. }
            | NoticeKind::NotAllowed { .. }
            | NoticeKind::Foreign { .. } => {
                self.trouble = Some(notice.sentence());
                self.pass = None;
            }
            NoticeKind::SettingsKept { why, .. } => {
                happened(notice.sentence());
                self.settings = Some(why.clone());
            }
            NoticeKind::Reloaded { changed, .. } => {
                happened(notice.sentence());
                self.settings = None;
                // It is of another server.
                if changed.contains(&"url") {
                    self.trouble = None;
                }
            }
            NoticeKind::Stopping { .. } | NoticeKind::Stopped { .. } => self.end = Some(notice.sentence()),
            NoticeKind::NothingFound { .. }
            | NoticeKind::RootMissing { .. }
            | NoticeKind::SettingsWait { .. }
            | NoticeKind::Trouble { .. } => {
                happened(notice.sentence());
            }
            NoticeKind::Raised(raised) => {
                if let Some((name, exception)) = Exception::of(&notice.about, raised) {
                    self.plugins.get_mut(&name).into_iter().for_each(|standing| standing.locate(&exception));
                    self.raised.insert(name, exception);
                }
            }
            _ => {
                if let Some(state) = State::after(notice).or_else(|| self.after_trial(notice)) {
                    self.turn(notice, state, clock);
                }
            }
        }
    }

    /// The state of a plugin whose trial is over, or is no longer wanted.
    fn after_trial(&self, notice: &Notice) -> Option<State> {
        let NoticeKind::NotTried { why, .. } = &notice.what else { return None };
        let standing = self.plugins.get(&Name::Plugin(notice.about.key.clone()?))?;
        let is_on_trial = matches!(standing.state, State::Failing | State::Trying);
        is_on_trial.then_some(if *why == Untried::Off { State::Off } else { State::Deployed })
    }

    /// A plugin turns into this state.
    fn turn(&mut self, notice: &Notice, state: State, clock: &str) {
        if let Some(pass) = self.pass.as_mut().filter(|_| notice.is_outcome()) {
            pass.done = pass.todo.min(pass.done + 1);
        }
        let key = notice.about.key.clone().map(Name::Plugin);
        let Some(name) = key.or_else(|| notice.about.path.clone().map(Name::File)) else { return };
        if let Some(path) = &notice.about.path {
            self.rename(path, &name);
        }
        let is_news = match &notice.what {
            NoticeKind::Sending { .. } => {
                self.raised.remove(&name);
                false
            }
            NoticeKind::SwitchedOn | NoticeKind::Trying => false,
            // In a pass over everything the sum says it.
            NoticeKind::Unchanged { in_pass, good_again, .. } => {
                // A text that fails does so until it is tried again.
                if self.plugins.get(&name).is_some_and(|standing| standing.is_on_trial(notice)) {
                    return;
                }
                !in_pass || *good_again
            }
            // The first error of a text is the one to correct.
            NoticeKind::Flawed { digest, .. } => !self.plugins.get(&name).is_some_and(|standing| {
                matches!(&standing.news.what, NoticeKind::Flawed { digest: before, .. } if digest.is_some() && before == digest)
            }),
            NoticeKind::Blocked(_) => !self.plugins.get(&name).is_some_and(|standing| {
                let is_blocked = matches!(standing.news.what, NoticeKind::Blocked(_));
                is_blocked && standing.news.about.digest == notice.about.digest
            }),
            _ => true,
        };
        self.news += 1;
        let order = self.news;
        let standing = || Standing { state, news: notice.clone(), since: clock.to_owned(), order };
        if is_news {
            let mut standing = standing();
            self.raised.get(&name).into_iter().for_each(|exception| standing.locate(exception));
            self.plugins.insert(name.clone(), standing);
            self.last = Some(Last::Plugin(name));
        } else {
            self.plugins.entry(name).or_insert_with(standing).state = state;
        }
    }

    /// A file has one name: what was broken has an id by now, or another one than before.
    fn rename(&mut self, path: &Arc<Path>, name: &Name) {
        if self.names.get(path) == Some(name) {
            return;
        }
        let is_of_path = |standing: &Standing| standing.news.about.path.as_ref() == Some(path);
        if let Some(before) = self.names.insert(Arc::clone(path), name.clone())
            && self.plugins.get(&before).is_some_and(is_of_path)
        {
            self.plugins.remove(&before);
        }
    }

    /// The last news of the plugin that the user looks at: the latest problem, else the latest deploy.
    #[must_use]
    pub fn focus(&self) -> Option<&Notice> {
        let standings = self.plugins.values().filter(|standing| standing.state != State::Gone);
        let latest = standings.max_by_key(|standing| (standing.is_problem(), standing.order));
        latest.map(|standing| &standing.news)
    }

    /// How many plugins the current pass compares, if there is one.
    #[must_use]
    pub fn pass_todo(&self) -> Option<usize> {
        self.pass.map(|pass| pass.todo)
    }

    /// The status line; empty before the first notice.
    #[must_use]
    pub fn line(&self) -> String {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let last = self.last.as_ref().and_then(|last| match last {
            Last::Program(what) => Some(what.clone()),
            Last::Plugin(name) => {
                let Standing { news, since, .. } = self.plugins.get(name)?;
                let what = news.headline().map_or_else(|| news.sentence(), Cow::into_owned);
                Some(format!("{name} {what} ({since})"))
            }
        });
        let last = last.map(|last| format!("last: {last}"));
        [self.trouble.clone(), self.watching.clone(), last].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::engine::deploy::Failure;
    use crate::engine::ledger::RefusalKind;
    use crate::engine::plan::Why;
    use crate::notice::{OldVersion, PassSummary, Subject, WaitReason};
    use crate::plugin::id::PluginId;
    use crate::plugin::{Diagnostic, Key, Kind, Rule};

    fn shout(what: NoticeKind) -> Notice {
        let key = Key { kind: Kind::Function, id: PluginId::new("shout").unwrap() };
        Notice { about: Subject { key: Some(key), ..Subject::default() }, what }
    }

    fn broken(path: &Arc<Path>) -> Notice {
        let diagnostic = Diagnostic { rule: Rule::Empty, file: Arc::clone(path), span: None };
        let what = NoticeKind::Flawed { diagnostic, digest: None, meant: true };
        Notice { about: Subject::file(path), what }
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
        let denied = || {
            let key = Some("`.env`".to_owned());
            Notice::general(NoticeKind::NotAllowed { status: 401, words: "401 Unauthorized".to_owned(), key })
        };
        let file = broken(&Arc::from(Path::new("a.py")));
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
                "watching `plugins` for http://h:1; last: `plugins` does not exist; nothing changes on the server (14:00)",
            ),
            (
                Notice::general(NoticeKind::Foreign { server: server(), status: 200, words: "a web page".to_owned() }),
                "http://h:1 does not answer as Open WebUI: a web page; watching `plugins` for http://h:1; last: \
                 `plugins` does not exist; nothing changes on the server (14:00)",
            ),
            (
                Notice::general(NoticeKind::Reloaded {
                    files: vec![PathBuf::from(".env")],
                    changed: vec!["concurrency"],
                }),
                "http://h:1 does not answer as Open WebUI: a web page; watching `plugins` for http://h:1; last: settings \
                 reloaded from `.env`: concurrency (16:00)",
            ),
            (
                Notice::general(NoticeKind::Reloaded { files: vec![PathBuf::from(".env")], changed: vec!["url"] }),
                "watching `plugins` for http://h:1; last: settings reloaded from `.env`: url \
                 (17:00)",
            ),
            (
                denied(),
                "the server denied access with the key from `.env`: 401 Unauthorized; watching `plugins` for http://h:1; \
                 last: settings reloaded from `.env`: url (17:00)",
            ),
            (
                Notice::general(NoticeKind::AccessGranted { waiting: 1 }),
                "watching `plugins` for http://h:1; last: settings reloaded from `.env`: url \
                 (17:00)",
            ),
            (unchanged(true, true), "watching `plugins` for http://h:1; last: shout good again, unchanged (20:00)"),
            (Notice::general(NoticeKind::Stopping { in_flight: 0 }), "stopping"),
            (unchanged(false, false), "stopping"),
            (Notice::general(NoticeKind::Stopped { waiting: 0, refused: 0, held: 0, with_errors: 0 }), "stopped"),
        ];
        let mut board = Board::default();
        assert_eq!(board.line(), "");
        for (hour, (notice, line)) in table.iter().enumerate() {
            board.tell(notice, &format!("{}:00", hour + 1));
            assert_eq!(board.line(), *line, "{notice:?}");
        }
    }

    /// What each notice leaves of its plugin, told one after the other.
    #[test]
    fn each_plugin_has_its_state() {
        let took = Duration::from_millis(34);
        let unchanged = |in_pass, active| NoticeKind::Unchanged { in_pass, active, good_again: false };
        let refused = NoticeKind::Refused {
            words: "no".to_owned(),
            kind: RefusalKind::Said,
            span: None,
            requirements: None,
            installs: true,
            old_version: Some(OldVersion::Running),
            took,
        };
        let name = Name::Plugin(shout(NoticeKind::Held).about.key.unwrap());
        let mut board = Board::default();
        for (what, state, since) in [
            (unchanged(true, None), State::Deployed, 0),
            (unchanged(false, Some(false)), State::Off, 1),
            (NoticeKind::Sending { why: Why::Edited }, State::Sending, 1),
            (refused, State::Refused, 3),
            (NoticeKind::Restored, State::Refused, 3),
            (NoticeKind::Crashed { words: "no".to_owned(), next: took }, State::Retrying, 5),
            (NoticeKind::Failed { failure: Failure::StoredOther, took }, State::Failed, 6),
            (NoticeKind::Waiting { reason: WaitReason::Away, again: false }, State::Waiting, 7),
            (NoticeKind::RemoteEdit { theirs: None }, State::Held, 8),
            (NoticeKind::NotSwitchedOn { cause: "no".to_owned(), later: true }, State::Off, 9),
            (NoticeKind::SwitchedOn, State::Deployed, 9),
            (NoticeKind::Conflict { paths: Vec::new() }, State::Broken, 11),
            (NoticeKind::Removed { file_there: false, on_server: true, next: None }, State::Gone, 12),
        ]
        .into_iter()
        .enumerate()
        .map(|(time, (what, state, since))| {
            board.tell(&shout(what), &time.to_string());
            (board.plugins[&name].clone(), state, since)
        }) {
            assert_eq!((what.state, what.since), (state, since.to_string()), "{:?}", what.news);
        }
    }

    #[test]
    fn a_broken_file_that_is_mended_has_one_state() {
        let path: Arc<Path> = Arc::from(Path::new("a.py"));
        let mut board = Board::default();
        board.tell(&broken(&path), "1:00");
        assert_eq!(board.plugins[&Name::File(Arc::clone(&path))].state, State::Broken);
        let mut created = shout(NoticeKind::Created { active: None, global: false, took: Duration::ZERO });
        created.about.path = Some(path);
        board.tell(&created, "2:00");
        assert_eq!(board.plugins.values().map(|standing| standing.state).collect::<Vec<_>>(), [State::Deployed]);
    }

    fn problems(board: &Board) -> Vec<String> {
        board.glance().problems.into_iter().map(|problem| problem.place).collect()
    }

    #[test]
    fn a_file_has_one_name() {
        let path: Arc<Path> = Arc::from(Path::new("a.py"));
        let of = |id: &str, what| {
            let key = Key { kind: Kind::Function, id: PluginId::new(id).unwrap() };
            Notice { about: Subject { key: Some(key), ..Subject::file(&path) }, what }
        };
        let mut board = Board::default();
        let Notice { what, .. } = broken(&path);
        board.tell(&of("old", what), "1:00");
        assert_eq!(problems(&board), ["a.py"]);
        board.tell(&of("new", NoticeKind::Created { active: None, global: false, took: Duration::ZERO }), "2:00");
        assert_eq!((problems(&board).len(), board.plugins.len()), (0, 1), "the old id is no longer here");
        for gone in [NoticeKind::Disabled, NoticeKind::Removed { file_there: true, on_server: false, next: None }] {
            board.tell(&broken(&path), "3:00");
            assert_eq!(problems(&board), ["a.py"]);
            board.tell(&Notice { about: Subject::file(&path), what: gone }, "4:00");
            assert_eq!(problems(&board).len(), 0);
        }
    }

    #[test]
    fn a_problem_ends_when_it_is_known_to_be_good() {
        let took = Duration::from_millis(34);
        let mut board = Board::default();
        let mut after = |what| {
            board.tell(&shout(what), "1:00");
            problems(&board).len()
        };
        for (what, expected) in [
            (NoticeKind::Failed { failure: Failure::StoredOther, took }, 1),
            (NoticeKind::Sending { why: Why::Edited }, 1),
            (NoticeKind::Waiting { reason: WaitReason::Away, again: false }, 0),
            (NoticeKind::RemoteEdit { theirs: None }, 1),
            (NoticeKind::Unchanged { in_pass: true, active: None, good_again: false }, 0),
            (NoticeKind::WentOff { cause: "no".to_owned(), later: true }, 1),
            (NoticeKind::SwitchedOn, 0),
            (NoticeKind::RolledBack, 0),
            (NoticeKind::Conflict { paths: Vec::new() }, 1),
            (NoticeKind::Unchanged { in_pass: false, active: None, good_again: true }, 0),
        ] {
            assert_eq!(after(what.clone()), expected, "{what:?}");
        }
    }

    #[test]
    fn invalid_settings_are_shown_until_they_are_valid() {
        let mut board = Board::default();
        let why = "cannot use `watch.toml:1:1`: `poll` must be a duration".to_owned();
        board.tell(&Notice::general(NoticeKind::SettingsKept { why: why.clone(), hint: None }), "1:00");
        board.tell(&shout(NoticeKind::Sending { why: Why::Edited }), "2:00");
        assert_eq!(board.glance().settings, Some(format!("invalid settings, not used: {why}")));
        board.tell(&Notice::general(NoticeKind::Reloaded { files: Vec::new(), changed: Vec::new() }), "3:00");
        assert_eq!(board.glance().settings, None);
    }

    #[test]
    fn totals_wait_for_the_first_pass() {
        let mut board = Board::default();
        board.tell(&broken(&Arc::from(Path::new("a.py"))), "1:00");
        assert!(board.glance().totals.is_empty(), "others may exist");
        let pass = NoticeKind::Pass { todo: 2 };
        board.tell(&Notice::general(pass), "1:00");
        board.tell(&shout(NoticeKind::Created { active: Some(false), global: false, took: Duration::ZERO }), "1:00");
        assert_eq!(board.glance().totals, ["1 of 2 plugins compared"]);
        let tally = PassSummary::default();
        let summary = NoticeKind::Summary { tally, took: Duration::ZERO, dry_run: false };
        board.tell(&Notice::general(summary.clone()), "1:00");
        assert_eq!(board.glance().totals, ["1 of 2 plugins deployed", "1 off", "1 broken"]);
        let mut empty = Board::default();
        empty.tell(&Notice::general(summary), "1:00");
        assert_eq!(empty.glance().totals, ["no plugins"]);
    }
}
