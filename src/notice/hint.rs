//! What the user can do about a notice: one remedy a line.

use super::{KeepReason, Notice, NoticeKind, Subject};
use crate::engine::deploy::{CallFailure, Failure};
use crate::engine::duplicate::Duplicate;
use crate::engine::ledger::RefusalKind;
use crate::engine::refusal::{self, NO_FUNCTION, OWN};
use crate::plugin::id::PluginId;
use crate::plugin::{Entry, Span};

impl Notice {
    /// What the user can do about it, where known. One remedy a line, of at most 20 words; none ends the watch.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one table")]
    pub fn hint(&self) -> Option<String> {
        let id = || self.about.id();
        let hint = match &self.what {
            NoticeKind::NothingFound { .. } => {
                "a plugin is a Python file that defines Pipe, Filter, Action, Event or Tools\n\
                 set `root` in watch.toml to the folder with the plugins"
            }
            NoticeKind::RootMissing { .. } => {
                "create the folder\n\
                 set `root` in watch.toml (or --root) to the folder with the plugins"
            }
            NoticeKind::Unreachable { cause, .. } | NoticeKind::GaveUp { cause, .. } if cause.untrusted => {
                "if you trust the server, set `ca_file` in watch.toml to the certificate (PEM) of its CA"
            }
            NoticeKind::Unreachable { configured: false, .. } | NoticeKind::GaveUp { configured: false, .. } => {
                "set OPENWEBUI_URL, or `url` in watch.toml, to the address of your server\n\
                 `owui-watch sandbox` starts a throw-away Open WebUI to try things out"
            }
            NoticeKind::GaveUp { .. } => "check that the server is running and the address is right",
            NoticeKind::NotAllowed { status: 0, .. } => {
                "put an API key into .env as OPENWEBUI_API_KEY (in Open WebUI: Settings > Account > API keys)"
            }
            NoticeKind::NotAllowed { words, .. } if words.contains("API key is not enabled") => {
                "an admin can switch API keys on under Admin Panel > Settings > General"
            }
            NoticeKind::NotAllowed { .. } => {
                "use an admin's API key\n\
                 `.env` and `api_key_file` are read again when saved, the environment only at the start"
            }
            NoticeKind::Foreign { .. } => "use the address you open in the browser, without /api",
            NoticeKind::Created { active: Some(false), .. } => {
                return Some(format!(
                    "`owui-watch on {}` switches it on\n\
                     set `activate_new = true` in watch.toml to have new functions switched on",
                    id()
                ));
            }
            NoticeKind::Updated { active: Some(false), .. }
            | NoticeKind::Unchanged { active: Some(false), in_pass: false, .. }
            | NoticeKind::LeftOff
            | NoticeKind::NotSwitchedOn { later: false, .. } => return Some(self.about.switches_on()),
            NoticeKind::Refused { words, installs: false, requirements, .. }
            | NoticeKind::RefusedBefore { words, installs: false, requirements, .. }
                if is_package_missing(words) =>
            {
                if requirements.is_some() {
                    INSTALLS
                } else {
                    return Some(format!("{NAME_IT}\n{INSTALLS}"));
                }
            }
            NoticeKind::Refused { words, kind, span, requirements, .. } => {
                return of_refusal(words, *kind, &self.about, span.as_ref(), requirements.as_deref());
            }
            NoticeKind::Untested { .. } => {
                return Some(format!("deploys continue; tested versions are {}", crate::engine::TESTED.join(", ")));
            }
            NoticeKind::RemoteEdit { .. } => {
                return Some(format!(
                    "`owui-watch pull {}` takes the server's text and keeps a copy of yours\n\
                     `owui-watch deploy {}` deploys yours and keeps a copy of the server's",
                    id(),
                    id()
                ));
            }
            NoticeKind::Duplicate { duplicate } => return Some(of_duplicate(&self.about, duplicate)),
            NoticeKind::Insecure { proxy: Some(_), .. } => {
                "use https\n\
                 if the server can be reached without the proxy, add its host to `NO_PROXY`"
            }
            NoticeKind::Insecure { .. } => "use https, a tunnel or a VPN",
            NoticeKind::RolledBack => {
                return Some(format!(
                    "`owui-watch deploy {}` deploys the file as it is; so does the next save that changes it",
                    id()
                ));
            }
            NoticeKind::RollbackUndone { put_back } => {
                return Some(format!("`owui-watch rollback {} {}` restores it", id(), put_back.short()));
            }
            NoticeKind::Removed { file_there: true, .. } if self.about.key.is_some() => {
                "a plugin defines Pipe, Filter, Action, Event or Tools at the top level of its file"
            }
            NoticeKind::Removed { next: Some(_), .. } => "restore the file to prevent this",
            NoticeKind::Removed { on_server: true, .. } => {
                "to rename a file and keep its plugin, give it an `id` in its header or watch.toml"
            }
            NoticeKind::Spared { why: KeepReason::Folder | KeepReason::Emptied | KeepReason::Many } => {
                return Some(format!("if you no longer need it, `owui-watch delete {}` deletes it there", id()));
            }
            NoticeKind::IdChanged { from } => {
                let keep = set_id(&self.about, &from.id);
                return Some(format!(
                    "to keep the old one with its settings, {keep}\n\
                     `owui-watch delete {}` deletes the one that has no file here",
                    from.id
                ));
            }
            NoticeKind::Unused => {
                return Some(format!(
                    "`owui-watch global on {}` has all models use it\n\
                     or attach it to a model under Workspace > Models",
                    id()
                ));
            }
            NoticeKind::WentOff { later: false, .. } => return Some(format!("{} again", self.about.switches_on())),
            NoticeKind::RefusedBefore { words, .. } if refusal::install_failed(words) => {
                return Some(format!(
                    "correct `requirements` in its header\n\
                     `owui-watch deploy {}` sends it again as it is",
                    id()
                ));
            }
            NoticeKind::RefusedBefore { words, span, requirements, .. }
                if let Some(module) = refusal::missing_module(words) =>
            {
                let remedy = of_missing_module(module, span.as_ref(), requirements.as_deref());
                return Some(format!("{remedy}\n`owui-watch deploy {}` sends it again as it is", id()));
            }
            NoticeKind::RefusedBefore { words, .. } if refusal::names_a_line(words) => "correct the file and save it",
            NoticeKind::RefusedBefore { .. } => {
                return Some(format!(
                    "correct the file\n\
                     `owui-watch deploy {}` sends it again as it is",
                    id()
                ));
            }
            NoticeKind::Blocked(diagnostic) => {
                let deploys = format!("`owui-watch deploy {}` deploys it as it is", id());
                return Some(diagnostic.hint().map_or(deploys.clone(), |hint| format!("{hint}\n{deploys}")));
            }
            NoticeKind::Flawed { diagnostic, .. } | NoticeKind::Surprising(diagnostic) => return diagnostic.hint(),
            NoticeKind::Conflict { .. } => {
                "set another `id` in its header or under `[plugins.\"path\"]` in watch.toml\n\
                 leave all but one out with `exclude` in watch.toml"
            }
            NoticeKind::Trouble { hint, .. } | NoticeKind::SettingsKept { hint, .. } => return hint.clone(),
            NoticeKind::Tried(tried) => {
                let failure = tried.trial_failure()?;
                let again = || format!("`owui-watch try {}` runs it again", id());
                return failure.hint.clone().or_else(|| failure.place.is_none().then(again));
            }
            NoticeKind::NotTried { why, .. } => return why.hint(&self.about),
            NoticeKind::Report(report) => return report.said(&self.about).hint,
            NoticeKind::Failed { failure: Failure::Call(CallFailure::NotOurs { .. }), .. }
            | NoticeKind::NotRemoved { failure: Failure::Call(CallFailure::NotOurs { .. }), .. } => {
                "use the key of an admin or of the tool's owner"
            }
            NoticeKind::Failed { failure: Failure::TakesNone { .. }, .. } => {
                "check ENABLE_PLUGINS, ENABLE_FUNCTIONS and ENABLE_TOOLS in the server's environment\n\
                 the server's log may say more"
            }
            NoticeKind::Failed { failure: Failure::StoredOther, .. } => {
                return Some(format!(
                    "when nobody else is editing the plugin, `owui-watch deploy {}` sends it again",
                    id()
                ));
            }
            NoticeKind::Failed { failure: Failure::KeepFailed { .. }, .. }
            | NoticeKind::NotRemoved { failure: Failure::KeepFailed { .. }, .. } => {
                "free disk space or make the state folder writable; a watch then retries"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// What can be done about a plugin that the server seems to have under another id.
#[must_use]
pub fn of_duplicate(about: &Subject, duplicate: &Duplicate) -> String {
    format!(
        "if it is the same plugin, {}\n\
         if it is another one, `owui-watch deploy --yes {}` creates it (with --once: add --yes)",
        set_id(about, &duplicate.id),
        about.id()
    )
}

/// How a file gets the id of a plugin on the server.
#[must_use]
pub fn set_id(about: &Subject, id: &PluginId) -> String {
    format!("write `id = \"{id}\"` under {} in watch.toml", about.table(""))
}

/// What can be done where a sandbox lacks a package.
const NAME_IT: &str = "name its package under `requirements` in the header";
const INSTALLS: &str = "`owui-watch sandbox --install-requirements` installs it";

/// The remedies if an exception in a sandbox says that a package is missing.
#[must_use]
pub fn of_missing_package(words: &str) -> Option<String> {
    is_package_missing(words).then(|| format!("{NAME_IT}\n{INSTALLS}"))
}

/// Whether a module of a package is missing, by the words of an exception.
fn is_package_missing(words: &str) -> bool {
    refusal::missing_module(words).is_some_and(|module| !module.starts_with(OWN))
}

/// What can be done about the refusal of this plugin. `span` is the line that the words are about, `requirements` what
/// the frontmatter names.
fn of_refusal(
    words: &str,
    kind: RefusalKind,
    about: &Subject,
    span: Option<&Span>,
    requirements: Option<&str>,
) -> Option<String> {
    let hint = if refusal::masked(words) {
        "this version of Open WebUI hides the reason: look for it in the server's log\n\
         often a module is missing: name its package under `requirements` in the header"
    } else if kind == RefusalKind::NoAnswer {
        return Some(format!(
            "if the server takes long to load it, raise `timeout` in watch.toml\n\
             `owui-watch deploy {}` sends it again as it is",
            about.id()
        ));
    } else if kind == RefusalKind::TooLarge {
        "raise the proxy's limit (in nginx: `client_max_body_size`)\n\
         make the plugin smaller"
    } else if refusal::valves_do_not_fit(words) {
        "change its stored valves on the server (the gear beside the plugin)\n\
         if they are right, change the class `Valves` to accept them"
    } else if refusal::install_failed(words) {
        let packages = requirements.unwrap_or("its requirements");
        return Some(format!(
            "the server could not install {packages}: correct the line; the server's log has pip's output\n\
             if its package index was out of reach, `owui-watch deploy {}` sends it again",
            about.id()
        ));
    } else if let Some(module) = refusal::missing_module(words) {
        return Some(of_missing_module(module, span, requirements));
    } else if let Some(class) = refusal::uncallable_class(words).filter(|_| words.contains("missing")) {
        return Some(format!("the server calls `{class}` without arguments: give each parameter a default"));
    } else if words == NO_FUNCTION && about.entry == Some(Entry::Event) {
        "event functions need Open WebUI 0.10 or later"
    } else if span.is_none() {
        "the server's log may say more"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

fn of_missing_module(module: &str, span: Option<&Span>, requirements: Option<&str>) -> String {
    let Some(inner) = module.strip_prefix(OWN) else {
        return match requirements {
            None => "name the package that provides the module under `requirements` in the header; the server \
                     installs it"
                .to_owned(),
            Some(packages) => {
                format!("if the module comes from another package, add that to `requirements` (now: {packages})")
            }
        };
    };
    if span.is_some_and(|span| !span.source.contains(OWN)) {
        return format!("the server rewrites `from {inner}` to `from {module}`: write `import {inner}` instead");
    }
    "this version of Open WebUI has no such module".to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes every snapshot with them")]

    use std::fmt::Write as _;
    use std::path::Path;
    use std::sync::Arc;

    use expect_test::expect;

    use super::*;
    use crate::engine::ledger::Refusal;
    use crate::notice::samples::samples;

    #[test]
    fn a_proxy_s_limit_is_known_by_the_status_and_not_by_the_words() {
        let hint = |too_large| {
            let Refusal { words, kind } = Refusal::crashed("413 Payload Too Large".to_owned(), too_large);
            of_refusal(&words, kind, &Subject::default(), None, None).unwrap()
        };
        assert!(hint(true).contains("client_max_body_size"));
        assert_eq!(hint(false), "the server's log may say more");
    }

    #[test]
    fn a_table_is_named_by_its_path_in_the_settings() {
        for mut notice in samples() {
            let expected = notice.hint();
            notice.about.path = notice.about.path.as_ref().map(|path| Arc::from(Path::new("../..").join(path)));
            notice.about.settings_depth = 2;
            assert_eq!(notice.hint(), expected);
        }
    }

    #[test]
    fn a_sandbox_names_the_flag_that_installs_packages() {
        let hint = |requirements: Option<&str>, module: &str| {
            let what = NoticeKind::Refused {
                words: format!("No module named '{module}'"),
                kind: RefusalKind::Said,
                span: None,
                requirements: requirements.map(str::to_owned),
                installs: false,
                old_version: None,
                took: std::time::Duration::ZERO,
            };
            Notice::general(what).hint().unwrap()
        };
        // A reload tells the same remedy.
        let before = |installs| {
            let what = NoticeKind::RefusedBefore {
                words: "ModuleNotFoundError: No module named 'httpx' (<string>, line 4)".to_owned(),
                span: None,
                requirements: None,
                installs,
                on_server: false,
            };
            Notice::general(what).hint().unwrap()
        };
        assert_eq!(before(false), format!("{NAME_IT}\n{INSTALLS}"));
        assert!(before(true).contains("`requirements`") && before(true).contains("sends it again"), "{}", before(true));
        assert_eq!(hint(Some("httpx"), "httpx"), INSTALLS);
        assert_eq!(hint(None, "httpx"), format!("{NAME_IT}\n{INSTALLS}"));
        assert!(!hint(None, "open_webui.gone").contains("requirements"), "no package brings it");
        assert_eq!(of_missing_package("KeyError: 'x'"), None);
    }

    #[test]
    fn each_notice_has_its_remedies() {
        let mut table = String::new();
        for notice in samples() {
            for remedy in notice.hint().unwrap_or_default().lines() {
                writeln!(table, "{}: {remedy}", notice.word()).unwrap();
            }
        }
        expect![[r#"
            untested: deploys continue; tested versions are 0.6.43, 0.9.6, 0.11.4, 0.12.4
            nothing_found: a plugin is a Python file that defines Pipe, Filter, Action, Event or Tools
            nothing_found: set `root` in watch.toml to the folder with the plugins
            unreachable: set OPENWEBUI_URL, or `url` in watch.toml, to the address of your server
            unreachable: `owui-watch sandbox` starts a throw-away Open WebUI to try things out
            unreachable: if you trust the server, set `ca_file` in watch.toml to the certificate (PEM) of its CA
            gave_up: set OPENWEBUI_URL, or `url` in watch.toml, to the address of your server
            gave_up: `owui-watch sandbox` starts a throw-away Open WebUI to try things out
            gave_up: check that the server is running and the address is right
            not_allowed: put an API key into .env as OPENWEBUI_API_KEY (in Open WebUI: Settings > Account > API keys)
            not_allowed: an admin can switch API keys on under Admin Panel > Settings > General
            not_allowed: use an admin's API key
            not_allowed: `.env` and `api_key_file` are read again when saved, the environment only at the start
            not_open_webui: use the address you open in the browser, without /api
            insecure: use https, a tunnel or a VPN
            insecure: use https
            insecure: if the server can be reached without the proxy, add its host to `NO_PROXY`
            root_missing: create the folder
            root_missing: set `root` in watch.toml (or --root) to the folder with the plugins
            trouble: a remedy
            trouble: a remedy
            created: `owui-watch on shout` switches it on
            created: set `activate_new = true` in watch.toml to have new functions switched on
            updated: `owui-watch on shout` switches it on
            updated: `owui-watch on shout` switches it on
            unchanged: `owui-watch on shout` switches it on
            unchanged: `owui-watch on shout` switches it on
            remote_edit: `owui-watch pull shout` takes the server's text and keeps a copy of yours
            remote_edit: `owui-watch deploy shout` deploys yours and keeps a copy of the server's
            remote_edit: `owui-watch pull shout` takes the server's text and keeps a copy of yours
            remote_edit: `owui-watch deploy shout` deploys yours and keeps a copy of the server's
            twin: if it is the same plugin, write `id = "old"` under `[plugins."plugins/shout.py"]` in watch.toml
            twin: if it is another one, `owui-watch deploy --yes shout` creates it (with --once: add --yes)
            twin: if it is the same plugin, write `id = "old"` under `[plugins."plugins/shout.py"]` in watch.toml
            twin: if it is another one, `owui-watch deploy --yes shout` creates it (with --once: add --yes)
            rolled_back: `owui-watch deploy shout` deploys the file as it is; so does the next save that changes it
            blocked: write `await Users.get_users(…)`
            blocked: `owui-watch deploy shout` deploys it as it is
            rollback_undone: `owui-watch rollback shout 2a51d3547c23` restores it
            refused: this version of Open WebUI hides the reason: look for it in the server's log
            refused: often a module is missing: name its package under `requirements` in the header
            refused: the server's log may say more
            refused: if the module comes from another package, add that to `requirements` (now: yaml, attrs)
            went_off: `owui-watch on shout` switches it on again
            not_switched_on: `owui-watch on shout` switches it on
            unused: `owui-watch global on shout` has all models use it
            unused: or attach it to a model under Workspace > Models
            refused_before: correct the file and save it
            refused_before: correct the file
            refused_before: `owui-watch deploy shout` sends it again as it is
            refused_before: correct `requirements` in its header
            refused_before: `owui-watch deploy shout` sends it again as it is
            refused_before: name the package that provides the module under `requirements` in the header; the server installs it
            refused_before: `owui-watch deploy shout` sends it again as it is
            failed: use the key of an admin or of the tool's owner
            failed: when nobody else is editing the plugin, `owui-watch deploy shout` sends it again
            failed: check ENABLE_PLUGINS, ENABLE_FUNCTIONS and ENABLE_TOOLS in the server's environment
            failed: the server's log may say more
            failed: free disk space or make the state folder writable; a watch then retries
            flawed: restore its target, or delete the link
            flawed: make it readable, or leave it out with `exclude` in watch.toml
            warning: import it by another name, such as `Pipe as _Pipe`
            conflict: set another `id` in its header or under `[plugins."path"]` in watch.toml
            conflict: leave all but one out with `exclude` in watch.toml
            removed: a plugin defines Pipe, Filter, Action, Event or Tools at the top level of its file
            removed: to rename a file and keep its plugin, give it an `id` in its header or watch.toml
            removed: a plugin defines Pipe, Filter, Action, Event or Tools at the top level of its file
            removed: restore the file to prevent this
            removed: restore the file to prevent this
            not_removed: free disk space or make the state folder writable; a watch then retries
            not_removed: use the key of an admin or of the tool's owner
            left_off: `owui-watch on shout` switches it on
            spared: if you no longer need it, `owui-watch delete shout` deletes it there
            spared: if you no longer need it, `owui-watch delete shout` deletes it there
            spared: if you no longer need it, `owui-watch delete shout` deletes it there
            id_changed: to keep the old one with its settings, write `id = "old"` under `[plugins."plugins/shout.py"]` in watch.toml
            id_changed: `owui-watch delete old` deletes the one that has no file here
            fails: `owui-watch try shout` runs it again
            fails: `owui-watch try shout` runs it again
            fails: `owui-watch try shout` runs it again
            fails: a remedy
            not_tried: `owui-watch on shout` switches it on
            not_tried: `[plugins."plugins/shout.py".try]` with a `message` in watch.toml tries it
            not_tried: `[plugins."plugins/shout.py".try]` with `tool` and `args` in watch.toml tries it
            not_tried: connect a model
            not_tried: connect a model
        "#]]
        .assert_eq(&table);
    }

    /// Words as servers say them, what the text has to do with them, and the hint.
    #[test]
    fn what_can_be_done_about_a_refusal() {
        const HEADER: &str = "\"\"\"\ntitle: A\nrequirements: httpx==99\n\"\"\"\n";
        let pip =
            "Command '['/usr/bin/python3', '-m', 'pip', 'install', 'httpx==99']' returned non-zero exit status 1.";
        let rewritten = "No module named 'open_webui.configparser'";
        let missing = "Pipe.__init__() missing 1 required positional argument: 'x'";
        let of_another = "Client.__init__() missing 1 required positional argument: 'x'";
        let unfinished = "Can't instantiate abstract class Tools with abstract method go";
        let pipe = "class Pipeline:\n    pass\nclass Pipe (Pipeline):\n    pass";
        let mut table = String::new();
        for (words, entry, text) in [
            (pip, Entry::Pipe, format!("{HEADER}import requests")),
            (rewritten, Entry::Pipe, "import os\nfrom configparser import ConfigParser".to_owned()),
            ("No module named 'open_webui.utils.gone'", Entry::Pipe, "from utils.gone import it".to_owned()),
            ("No module named 'open_webui.gone'", Entry::Pipe, "import open_webui.gone".to_owned()),
            ("No module named 'open_webui.gone'", Entry::Pipe, "import other".to_owned()),
            ("No module named 'yaml'", Entry::Pipe, format!("{HEADER}import yaml")),
            ("No module named 'yaml'", Entry::Pipe, "import yaml".to_owned()),
            (NO_FUNCTION, Entry::Event, String::new()),
            (NO_FUNCTION, Entry::Pipe, String::new()),
            (missing, Entry::Pipe, pipe.to_owned()),
            (missing, Entry::Pipe, "Pipe = make".to_owned()),
            (of_another, Entry::Pipe, pipe.to_owned()),
            (unfinished, Entry::Tools, "import abc\nclass Tools(abc.ABC):".to_owned()),
            // The texts of exceptions that have little to say: `KeyError("name")`, `AssertionError()`.
            ("'name'", Entry::Pipe, String::new()),
            ("", Entry::Pipe, String::new()),
            ("Something went wrong :/", Entry::Tools, String::new()),
            ("Internal Server Error", Entry::Pipe, String::new()),
            ("invalid syntax (<string>, line 1)", Entry::Pipe, "class".to_owned()),
        ] {
            let requirements = text.starts_with(HEADER).then_some("httpx==99");
            let span = refusal::place(words, &text);
            let about = Subject { entry: Some(entry), ..Subject::default() };
            let hint = of_refusal(words, RefusalKind::Said, &about, span.as_ref(), requirements).unwrap_or_default();
            let at = span.map_or_else(String::new, |span| format!("{}: {}", span.line, span.source));
            writeln!(table, "`{words}`").unwrap();
            for remedy in hint.lines() {
                assert!(remedy.split_whitespace().count() <= 20, "too long: {remedy}");
            }
            for line in [at.as_str()].into_iter().chain(hint.lines()).filter(|line| !line.is_empty()) {
                writeln!(table, "    {line}").unwrap();
            }
        }
        expect![[r#"
            `Command '['/usr/bin/python3', '-m', 'pip', 'install', 'httpx==99']' returned non-zero exit status 1.`
                3: requirements: httpx==99
                the server could not install httpx==99: correct the line; the server's log has pip's output
                if its package index was out of reach, `owui-watch deploy ID` sends it again
            `No module named 'open_webui.configparser'`
                2: from configparser import ConfigParser
                the server rewrites `from configparser` to `from open_webui.configparser`: write `import configparser` instead
            `No module named 'open_webui.utils.gone'`
                1: from utils.gone import it
                the server rewrites `from utils.gone` to `from open_webui.utils.gone`: write `import utils.gone` instead
            `No module named 'open_webui.gone'`
                1: import open_webui.gone
                this version of Open WebUI has no such module
            `No module named 'open_webui.gone'`
                this version of Open WebUI has no such module
            `No module named 'yaml'`
                5: import yaml
                if the module comes from another package, add that to `requirements` (now: httpx==99)
            `No module named 'yaml'`
                1: import yaml
                name the package that provides the module under `requirements` in the header; the server installs it
            `No Function class found in the module`
                event functions need Open WebUI 0.10 or later
            `No Function class found in the module`
                the server's log may say more
            `Pipe.__init__() missing 1 required positional argument: 'x'`
                3: class Pipe (Pipeline):
                the server calls `Pipe` without arguments: give each parameter a default
            `Pipe.__init__() missing 1 required positional argument: 'x'`
                the server calls `Pipe` without arguments: give each parameter a default
            `Client.__init__() missing 1 required positional argument: 'x'`
                the server's log may say more
            `Can't instantiate abstract class Tools with abstract method go`
                2: class Tools(abc.ABC):
            `'name'`
                the server's log may say more
            ``
                the server's log may say more
            `Something went wrong :/`
                the server's log may say more
            `Internal Server Error`
                the server's log may say more
            `invalid syntax (<string>, line 1)`
                1: class
        "#]].assert_eq(&table);
    }
}
