//! What the things that `doctor` saw mean: fine, worth knowing, a risk, or wrong. Pure: facts in, findings out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::client::{Probe, Switches};
use crate::config::Warning;
use crate::disk::Other;
use crate::engine::TESTED;
use crate::error::Error;
use crate::notice::{Area, Finding, Notice, NoticeKind, Verdict, count};
use crate::paths::slashed;
use crate::plugin::{Key, Kind};

/// How far the clocks may be apart: certificates and login tokens allow for a minute.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// How the server is reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    pub(super) url: String,
    pub(super) proxy: Option<String>,
    /// The file with the certificates to trust.
    pub(super) authority: Option<PathBuf>,
    /// The warning, if others can read what is sent.
    pub(super) insecure: Option<Notice>,
    /// Where the key comes from.
    pub(super) key: Option<String>,
}

/// What a server answered.
pub(super) struct Answers {
    pub(super) version: String,
    pub(super) took: SignedDuration,
    pub(super) probe: Probe,
    /// The probe's beginning and end, by this machine's clock.
    pub(super) sent: Timestamp,
    pub(super) received: Timestamp,
    pub(super) lists: Vec<(Kind, Rows)>,
    /// The plugins here.
    pub(super) plugins: BTreeSet<Key>,
    /// A plugin that the server has and does not list.
    pub(super) hidden: Option<Key>,
}

/// The server's list of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    Listed(usize),
    TooLarge,
    /// Only an admin may read it.
    Refused(Error),
    Failed(Error),
}

fn fine(area: Area, message: impl Into<String>) -> Finding {
    Finding::new(area, Verdict::Fine, message)
}

fn note(area: Area, message: impl Into<String>) -> Finding {
    Finding::new(area, Verdict::Note, message)
}

/// Something that fails.
pub(super) fn error(area: Area, error: &Error) -> Finding {
    Finding::new(area, Verdict::Wrong, error.to_string()).hinted_if(error.hint().map(str::to_owned))
}

/// A fact that a watch would tell as a warning.
fn told(area: Area, verdict: Verdict, notice: &Notice) -> Finding {
    Finding::new(area, verdict, notice.sentence()).hinted_if(notice.hint())
}

pub(super) fn settings<'a>(project: &Path, warnings: impl Iterator<Item = &'a Warning>) -> Vec<Finding> {
    let of_warning = |Warning { message, hint }: &Warning| {
        Finding::new(Area::Settings, Verdict::Risk, message.clone()).hinted(hint.clone())
    };
    let findings: Vec<_> = warnings.map(of_warning).collect();
    if !findings.is_empty() {
        return findings;
    }
    let folder = project.components().collect::<PathBuf>();
    vec![fine(Area::Settings, format!("read for `{}`", slashed(&folder)))]
}

/// What can be said without an answer, and what cannot.
fn unasked(findings: Vec<Finding>, areas: &[Area]) -> Vec<Finding> {
    let unasked = areas.iter().map(|area| note(*area, "not checked: see above"));
    findings.into_iter().chain(unasked).collect()
}

/// There is no server at the address, or something else answers.
pub(super) fn no_answer(why: &Error) -> Vec<Finding> {
    let rest = [Area::Certificate, Area::Key, Area::Account, Area::Version, Area::Plugins, Area::Clock];
    unasked(vec![error(Area::Server, why)], &rest)
}

/// A server answers, with a certificate that nobody here trusts.
pub(super) fn untrusted(connection: &Connection, why: &Error) -> Vec<Finding> {
    let server = fine(Area::Server, format!("{} answers", connection.url));
    let rest = [Area::Key, Area::Account, Area::Version, Area::Plugins, Area::Clock];
    unasked(vec![server, error(Area::Certificate, why)], &rest)
}

/// The server asks for a key, and there is none; or it gave no session.
pub(super) fn denied(connection: &Connection, why: &Error) -> Vec<Finding> {
    let server = fine(Area::Server, format!("{} answers", connection.url));
    let rest = [Area::Account, Area::Version, Area::Plugins, Area::Clock];
    unasked(vec![server, certificate(connection), error(Area::Key, why)], &rest)
}

/// A server that answers.
pub(super) fn server(connection: &Connection, answers: &Answers) -> Vec<Finding> {
    let through = connection.proxy.as_ref().map(|proxy| format!(", through the proxy {proxy}")).unwrap_or_default();
    let took = answers.took.as_millis();
    vec![
        fine(Area::Server, format!("{} answers in {took} ms{through}", connection.url)),
        certificate(connection),
        key(connection, answers),
        account(answers),
        version(&answers.version),
        plugins(answers),
        clock(answers.probe.time, answers.sent, answers.received),
    ]
}

fn certificate(connection: &Connection) -> Finding {
    match (&connection.insecure, &connection.authority) {
        (Some(insecure), _) => told(Area::Certificate, Verdict::Risk, insecure),
        (None, _) if !connection.url.starts_with("https:") => {
            fine(Area::Certificate, "none: plain HTTP, within this machine or a private network")
        }
        (None, Some(file)) => fine(Area::Certificate, format!("trusted, by this system or by `{}`", slashed(&file))),
        (None, None) => fine(Area::Certificate, "trusted by this system"),
    }
}

impl Answers {
    fn listed(&self, kind: Kind) -> Option<usize> {
        self.lists.iter().find_map(|(of, rows)| match rows {
            Rows::Listed(rows) if *of == kind => Some(*rows),
            Rows::Listed(_) | Rows::TooLarge | Rows::Refused(_) | Rows::Failed(_) => None,
        })
    }

    /// The lists that are refused, each with the reason.
    fn refused(&self) -> impl Iterator<Item = (Kind, &Error)> {
        self.lists.iter().filter_map(|(kind, rows)| match rows {
            Rows::Refused(why) => Some((*kind, why)),
            Rows::Listed(_) | Rows::TooLarge | Rows::Failed(_) => None,
        })
    }

    /// The first list that the server failed to give, and why.
    fn failure(&self) -> Option<(Kind, &Error)> {
        self.lists.iter().find_map(|(kind, rows)| match rows {
            Rows::Failed(why) => Some((*kind, why)),
            Rows::Listed(_) | Rows::TooLarge | Rows::Refused(_) => None,
        })
    }

    /// Whether every list is refused, and then why.
    fn denial(&self) -> Option<&Error> {
        let (_, why) = self.refused().next()?;
        (self.refused().count() == self.lists.len()).then_some(why)
    }
}

fn key(connection: &Connection, answers: &Answers) -> Finding {
    match (answers.denial(), &connection.key) {
        (Some(why), _) => error(Area::Key, why),
        (None, Some(origin)) => fine(Area::Key, format!("the server accepts the one from {origin}")),
        (None, None) => fine(Area::Key, "none, and the server asks for none"),
    }
}

/// Functions are an admin's business; tools may be others', too.
fn account(answers: &Answers) -> Finding {
    if answers.denial().is_some() {
        return note(Area::Account, "not checked: see above");
    }
    if let Some((kind, why)) = answers.failure() {
        let message = format!("the server failed to list {}s: {why}", kind.word());
        return Finding::new(Area::Account, Verdict::Wrong, message).hinted_if(why.hint().map(str::to_owned));
    }
    // Kinds with a switch are run by the server for everyone, so that it shows them to admins alone.
    let Some((kind, _)) = answers.refused().next() else {
        return fine(Area::Account, "an admin: may deploy functions and tools");
    };
    let word = kind.word();
    let message = format!("not an admin: cannot deploy {word}s");
    match answers.plugins.iter().filter(|key| key.kind == kind).count() {
        0 => note(Area::Account, format!("{message}; this project has none")),
        here => Finding::new(
            Area::Account,
            Verdict::Wrong,
            format!("{message}, but this project has {}", count(here, word)),
        )
        .hinted("use an admin's API key"),
    }
}

fn version(version: &str) -> Finding {
    if TESTED.contains(&version) {
        return fine(Area::Version, format!("Open WebUI {version}, which is tested"));
    }
    told(Area::Version, Verdict::Note, &Notice::general(NoticeKind::Untested { version: version.to_owned() }))
}

/// Whether the server runs plugins. To an API key it does not say so, and its lists are empty.
fn plugins(answers: &Answers) -> Finding {
    let Switches { enable_plugins, enable_functions, enable_tools } = answers.probe.switches;
    let named =
        [("ENABLE_PLUGINS", enable_plugins), ("ENABLE_FUNCTIONS", enable_functions), ("ENABLE_TOOLS", enable_tools)];
    let off: Vec<_> = named.iter().filter(|(_, is)| *is == Some(false)).map(|(name, _)| *name).collect();
    if let [first, ..] = off[..] {
        return Finding::new(Area::Plugins, Verdict::Wrong, format!("switched off on the server: {}", off.join(", ")))
            .hinted(format!("set {first}=true in the server's environment, and restart the server"));
    }
    let remedy = "check ENABLE_PLUGINS, ENABLE_FUNCTIONS and ENABLE_TOOLS in the server's environment";
    if let Some(key) = &answers.hidden {
        return Finding::new(
            Area::Plugins,
            Verdict::Wrong,
            format!("seem to be off: the server has {key}, but lists no {}s", key.kind.word()),
        )
        .hinted(remedy);
    }
    if answers.failure().is_some() || answers.denial().is_some() {
        return note(Area::Plugins, "not checked: see above");
    }
    let tools = answers.listed(Kind::Tool);
    if let (Some(exported @ 1..), Some(0)) = (tools, answers.probe.listed_tools) {
        let message = format!("tools seem to be off: the server has {}, but lists none", count(exported, "tool"));
        return Finding::new(Area::Plugins, Verdict::Risk, message).hinted(remedy);
    }
    let functions = answers.listed(Kind::Function);
    match (enable_plugins, functions, tools) {
        (None, Some(0) | None, Some(0) | None) => {
            note(Area::Plugins, "the server lists none; they may be switched off there")
        }
        (_, functions, tools) => {
            let counts = [(functions, "function"), (tools, "tool")];
            let counts: Vec<_> = counts.iter().filter_map(|(n, noun)| Some(count((*n)?, noun))).collect();
            fine(Area::Plugins, format!("on; the server has {}", counts.join(" and ")))
        }
    }
}

/// Compares the clocks. The server's time is whole seconds, from some moment between the two.
fn clock(server: Option<Timestamp>, sent: Timestamp, received: Timestamp) -> Finding {
    let Some(server) = server else { return note(Area::Clock, "the server tells no time") };
    let (ahead, behind) = (server.duration_since(received), sent.duration_since(server) - SignedDuration::from_secs(1));
    let (by, word) = if ahead > behind { (ahead, "behind") } else { (behind, "ahead of") };
    if by <= TOLERANCE {
        return fine(Area::Clock, "matches the server's");
    }
    let (n, unit) = if by.as_hours() < 2 { (by.as_mins(), "minute") } else { (by.as_hours(), "hour") };
    let by = count(usize::try_from(n).unwrap_or(usize::MAX), unit);
    Finding::new(Area::Clock, Verdict::Risk, format!("this machine is {by} {word} the server"))
        .hinted("turn on time synchronization (NTP) on both machines: certificates and login tokens depend on it")
}

/// Key files without a known risk. The system may not tell who can read them, and git may not answer.
pub(super) fn private(files: &[PathBuf], permissions: bool, git: bool) -> Finding {
    let files: Vec<_> = files.iter().map(|file| format!("`{}`", slashed(&file))).collect();
    let (them, they_are) = if files.len() == 1 { ("it", "it is") } else { ("them", "they are") };
    let files = files.join(", ");
    let readers = if permissions {
        format!("only you can read {them}")
    } else {
        format!("this system does not tell who can read {them}")
    };
    let ignored =
        if git { format!("git ignores {them}") } else { format!("git could not tell whether {they_are} ignored") };
    let message = format!("{files}: {readers}; {ignored}");
    if permissions && git { fine(Area::KeyFiles, message) } else { note(Area::KeyFiles, message) }
}

pub(super) fn roots(roots: &[PathBuf], plugins: usize) -> Finding {
    let named: Vec<_> = roots.iter().map(|root| format!("`{}`", slashed(&root))).collect();
    let message = format!("{} in {}", count(plugins, "plugin"), named.join(", "));
    if plugins == 0 {
        note(Area::Roots, message).hinted(
            "a plugin is a Python file with a class Pipe, Filter, Action, Event or Tools\n\
             set `root` in watch.toml (or --root) to the folder with the plugins",
        )
    } else {
        fine(Area::Roots, message)
    }
}

/// How saves will be noticed. `network`: a root, and the network file system that it is on. `blind`: what a watch would
/// say, and its hint.
pub(super) fn events(
    poll: Option<Duration>,
    network: Option<(PathBuf, String)>,
    blind: Option<(String, Option<String>)>,
    folders: usize,
) -> Finding {
    match (poll, network, blind) {
        (Some(poll), _, _) => fine(Area::Events, format!("none: files are checked every {poll:?} (`poll`)")),
        (None, Some((root, system)), _) => {
            let message = format!(
                "`{}` is on a network drive ({system}), which sends no events for changes made elsewhere",
                slashed(&root)
            );
            Finding::new(Area::Events, Verdict::Risk, message).hinted("set `poll = \"2s\"` in watch.toml")
        }
        (None, None, Some((message, hint))) => Finding::new(Area::Events, Verdict::Risk, message).hinted_if(hint),
        (None, None, None) => fine(Area::Events, format!("{} can be watched", count(folders, "folder"))),
    }
}

pub(super) fn state(folder: &Path, unused: Option<String>) -> Finding {
    match unused {
        Some(why) => {
            let message = format!("{why}; the next watch puts it aside, and compares everything with the server");
            Finding::new(Area::State, Verdict::Risk, message)
        }
        None => fine(Area::State, format!("`{}` can be written to", slashed(&folder))),
    }
}

pub(super) fn watch(holder: Option<Other>) -> Finding {
    match holder {
        Some(other) => note(Area::Watch, format!("{other} deploys each save from here to this server")),
        None => fine(Area::Watch, "no other owui-watch deploys from here to this server"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::plugin::id::PluginId;

    fn shown(findings: &[Finding]) -> String {
        findings.iter().fold(String::new(), |text, Finding { area, verdict, message, hint }| {
            let hint = hint.as_ref().map(|hint| format!(" | {hint}")).unwrap_or_default();
            text + &format!("{} {}: {message}{hint}\n", verdict.sign(), area.label())
        })
    }

    fn key_of(kind: Kind, id: &str) -> Key {
        Key { kind, id: PluginId::new(id).unwrap() }
    }

    fn answers() -> Answers {
        Answers {
            version: TESTED[0].to_owned(),
            took: SignedDuration::from_millis(3),
            probe: Probe { time: Some(Timestamp::UNIX_EPOCH), ..Probe::default() },
            sent: Timestamp::UNIX_EPOCH,
            received: Timestamp::UNIX_EPOCH,
            lists: vec![(Kind::Function, Rows::Listed(2)), (Kind::Tool, Rows::Listed(1))],
            plugins: BTreeSet::from([key_of(Kind::Function, "a")]),
            hidden: None,
        }
    }

    #[test]
    fn a_server_as_it_should_be() {
        let connection = Connection { url: "https://chat.example.org".to_owned(), ..Connection::default() };
        expect![[r"
            ✓ server: https://chat.example.org answers in 3 ms
            ✓ certificate: trusted by this system
            ✓ key: none, and the server asks for none
            ✓ account: an admin: may deploy functions and tools
            ✓ version: Open WebUI 0.6.43, which is tested
            ✓ plugins: on; the server has 2 functions and 1 tool
            ✓ clock: matches the server's
        "]]
        .assert_eq(&shown(&server(&connection, &answers())));
    }

    #[test]
    fn the_clocks_may_differ_by_a_minute() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let rows =
            [(0, 0, 0), (60, 0, 0), (61, 0, 0), (0, 61, 61), (0, 62, 62), (0, 0, 100), (0, 7200, 7200), (9000, 0, 0)];
        let shown = rows.map(|(server, sent, received)| shown(&[clock(Some(at(server)), at(sent), at(received))]));
        expect![[r"
            ✓ clock: matches the server's
            ✓ clock: matches the server's
            ! clock: this machine is 1 minute behind the server | turn on time synchronization (NTP) on both machines: certificates and login tokens depend on it
            ✓ clock: matches the server's
            ! clock: this machine is 1 minute ahead of the server | turn on time synchronization (NTP) on both machines: certificates and login tokens depend on it
            ✓ clock: matches the server's
            ! clock: this machine is 119 minutes ahead of the server | turn on time synchronization (NTP) on both machines: certificates and login tokens depend on it
            ! clock: this machine is 2 hours behind the server | turn on time synchronization (NTP) on both machines: certificates and login tokens depend on it
            · clock: the server tells no time
        "]].assert_eq(&(shown.concat() + &self::shown(&[clock(None, at(0), at(0))])));
    }

    #[test]
    fn functions_need_an_admin() {
        let refused = || Rows::Refused(Error::no_server("the server denied access").hinted("use another key"));
        let user = Answers { lists: vec![(Kind::Function, refused()), (Kind::Tool, Rows::Listed(0))], ..answers() };
        let with_tools =
            Answers { plugins: BTreeSet::from([key_of(Kind::Tool, "a")]), lists: user.lists.clone(), ..answers() };
        let nobody = Answers { lists: vec![(Kind::Function, refused()), (Kind::Tool, refused())], ..answers() };
        let connection = Connection::default();
        let found = [user, with_tools, nobody].map(|it| shown(&[key(&connection, &it), account(&it), plugins(&it)]));
        expect![[r"
            ✓ key: none, and the server asks for none
            ✗ account: not an admin: cannot deploy functions, but this project has 1 function | use an admin's API key
            · plugins: the server lists none; they may be switched off there
            ✓ key: none, and the server asks for none
            · account: not an admin: cannot deploy functions; this project has none
            · plugins: the server lists none; they may be switched off there
            ✗ key: the server denied access | use another key
            · account: not checked: see above
            · plugins: not checked: see above
        "]]
        .assert_eq(&found.concat());
    }

    #[test]
    fn a_list_that_failed_says_nothing_about_the_account() {
        let failed = Rows::Failed(Error::no_server("status 500"));
        let it = Answers { lists: vec![(Kind::Function, failed), (Kind::Tool, Rows::Listed(0))], ..answers() };
        assert_eq!(
            shown(&[account(&it), plugins(&it)]),
            "✗ account: the server failed to list functions: status 500\n· plugins: not checked: see above\n"
        );
    }

    #[test]
    fn key_files_are_fine_only_if_all_is_known() {
        let files = [PathBuf::from(".env")];
        let verdicts = [(true, true), (true, false), (false, true), (false, false)]
            .map(|(permissions, git)| private(&files, permissions, git).verdict.sign());
        assert_eq!(verdicts, ["✓", "·", "·", "·"]);
    }

    #[test]
    fn plugins_that_are_off_are_noticed() {
        let switched = |plugins, functions, tools| {
            let switches = Switches { enable_plugins: plugins, enable_functions: functions, enable_tools: tools };
            Answers { probe: Probe { switches, ..Probe::default() }, ..answers() }
        };
        let empty = || vec![(Kind::Function, Rows::Listed(0)), (Kind::Tool, Rows::Listed(0))];
        let found = [
            switched(Some(true), Some(true), Some(true)),
            switched(Some(false), None, None),
            switched(Some(true), Some(false), Some(false)),
            Answers { hidden: Some(key_of(Kind::Function, "a")), lists: empty(), ..answers() },
            Answers { probe: Probe { listed_tools: Some(0), ..Probe::default() }, ..answers() },
            Answers { lists: empty(), ..answers() },
            answers(),
        ];
        expect![[r"
            ✓ plugins: on; the server has 2 functions and 1 tool
            ✗ plugins: switched off on the server: ENABLE_PLUGINS | set ENABLE_PLUGINS=true in the server's environment, and restart the server
            ✗ plugins: switched off on the server: ENABLE_FUNCTIONS, ENABLE_TOOLS | set ENABLE_FUNCTIONS=true in the server's environment, and restart the server
            ✗ plugins: seem to be off: the server has function a, but lists no functions | check ENABLE_PLUGINS, ENABLE_FUNCTIONS and ENABLE_TOOLS in the server's environment
            ! plugins: tools seem to be off: the server has 1 tool, but lists none | check ENABLE_PLUGINS, ENABLE_FUNCTIONS and ENABLE_TOOLS in the server's environment
            · plugins: the server lists none; they may be switched off there
            ✓ plugins: on; the server has 2 functions and 1 tool
        "]].assert_eq(&found.map(|it| shown(&[plugins(&it)])).concat());
    }

    #[test]
    fn saves_are_noticed_by_events_or_by_polling() {
        let network = || Some((PathBuf::from("plugins"), "nfs4".to_owned()));
        let blind = || Some(("no file events".to_owned(), Some("raise the limit".to_owned())));
        let found = [
            events(None, None, None, 3),
            events(None, network(), blind(), 3),
            events(None, None, blind(), 3),
            events(Some(Duration::from_secs(2)), network(), None, 3),
        ];
        expect![[r#"
            ✓ file events: 3 folders can be watched
            ! file events: `plugins` is on a network drive (nfs4), which sends no events for changes made elsewhere | set `poll = "2s"` in watch.toml
            ! file events: no file events | raise the limit
            ✓ file events: none: files are checked every 2s (`poll`)
        "#]].assert_eq(&shown(&found));
    }
}
