//! What the user can do about a notice: one remedy a line.

mod refusal;
mod trial;

use super::{Commands, KeepReason, Notice, NoticeKind, Subject, Trouble};
use crate::engine::deploy::{CallFailure, Cause, Failure};
use crate::engine::duplicate::Duplicate;
use crate::engine::refusal as server_words;
use crate::plugin::id::PluginId;
use refusal::{INSTALLS, NAME_IT, of_missing_module, of_refusal};
pub(super) use trial::of_trial;
use trial::of_untried;
pub use trial::trial_setting;

impl Notice {
    /// What the user can do about it, where known. One remedy a line, of at most 20 words; none ends the watch.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.hint_with(&Commands::default())
    }

    /// The same, with commands that are written like this.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one table")]
    pub fn hint_with(&self, commands: &Commands) -> Option<String> {
        let run = |command: &str| commands.on(&self.about, command);
        let hint = match &self.what {
            NoticeKind::NothingFound { .. } => {
                return Some(format!("{A_PLUGIN_IS}\nset `root` in watch.toml to the folder with the plugins"));
            }
            NoticeKind::ScanSlow { .. } => "check that network folders below the roots respond",
            NoticeKind::RootMissing { .. } => {
                "create the folder\n\
                 set `root` in watch.toml (or --root) to the folder with the plugins"
            }
            NoticeKind::Unreachable { cause, configured, .. } if cause.untrusted || !configured => {
                unreachable(cause, *configured)
            }
            NoticeKind::GaveUp { cause, configured, .. } => unreachable(cause, *configured),
            NoticeKind::NotAllowed { status, words, .. } => denied(*status, words),
            NoticeKind::Foreign { .. } => FOREIGN,
            NoticeKind::Created { active: Some(false), .. } => {
                return Some(format!(
                    "{}\nset `activate_new = true` in watch.toml to have new functions switched on",
                    switches_on(&self.about, commands)
                ));
            }
            NoticeKind::Updated { active: Some(false), .. }
            | NoticeKind::Unchanged { active: Some(false), in_pass: false, .. }
            | NoticeKind::LeftOff
            | NoticeKind::NotSwitchedOn { later: false, .. } => return Some(switches_on(&self.about, commands)),
            NoticeKind::Refused { refusal, installs: false, requirements, .. }
            | NoticeKind::RefusedBefore { refusal, installs: false, requirements, .. }
                if server_words::lacks_package(&refusal.words) =>
            {
                if requirements.is_some() {
                    INSTALLS
                } else {
                    return Some(format!("{NAME_IT}\n{INSTALLS}"));
                }
            }
            NoticeKind::Refused { refusal, span, requirements, .. } => {
                return of_refusal(refusal, &self.about, span.as_ref(), requirements.as_deref(), commands);
            }
            NoticeKind::Untested { .. } => {
                return Some(format!("deploys continue; tested versions are {}", crate::engine::TESTED.join(", ")));
            }
            NoticeKind::RemoteEdit { .. } => {
                return Some(format!(
                    "{} takes the server's text and keeps a copy of yours\n\
                     {} deploys yours and keeps a copy of the server's",
                    run("pull"),
                    run("deploy")
                ));
            }
            NoticeKind::Duplicate { duplicate } => return Some(of_duplicate(&self.about, duplicate, commands)),
            NoticeKind::Insecure { proxy: Some(_), .. } => {
                "use https\n\
                 if the server can be reached without the proxy, add its host to `NO_PROXY`"
            }
            NoticeKind::Insecure { .. } => "use https, a tunnel or a VPN",
            NoticeKind::RolledBack => {
                return Some(format!(
                    "{} deploys the file as it is; so does the next save that changes it",
                    run("deploy")
                ));
            }
            NoticeKind::RollbackUndone { put_back } => {
                let named = format!("{} {}", commands.id(&self.about), put_back.short());
                return Some(format!("{} restores it", commands.line("rollback", &named)));
            }
            NoticeKind::Removed { file_there: true, .. } if self.about.key.is_some() => {
                "a plugin defines Pipe, Filter, Action, Event or Tools at the top level of its file"
            }
            NoticeKind::Removed { next: Some(_), .. } => "restore the file to prevent this",
            NoticeKind::Removed { on_server: true, .. } => {
                "to rename a file and keep its plugin, give it an `id` in its header or watch.toml"
            }
            NoticeKind::Spared { why: KeepReason::Folder | KeepReason::Emptied | KeepReason::Many } => {
                return Some(format!("if you no longer need it, {} deletes it there", run("delete")));
            }
            NoticeKind::IdChanged { from } if self.about.key.as_ref().is_some_and(|key| key.kind != from.kind) => {
                let old = format!("{}:{}", from.kind.word(), from.id);
                return Some(format!("{} deletes the old one", commands.line("delete", &old)));
            }
            NoticeKind::IdChanged { from } => {
                let keep = set_id(&self.about, &from.id);
                return Some(format!(
                    "to keep the old one with its settings, {keep}\n{} deletes the one that has no file here",
                    commands.line("delete", from.id.as_str())
                ));
            }
            NoticeKind::Unused => {
                return Some(format!(
                    "{} has all models use it\nor attach it to a model under Workspace > Models",
                    run("global on")
                ));
            }
            NoticeKind::WentOff { later: false, .. } => {
                return Some(format!("{} again", switches_on(&self.about, commands)));
            }
            NoticeKind::RefusedBefore { refusal, .. } if server_words::install_failed(&refusal.words) => {
                return Some(format!(
                    "correct `requirements` in its header\n{} sends it again as it is",
                    run("deploy")
                ));
            }
            NoticeKind::RefusedBefore { refusal, span, requirements, .. }
                if let Some(module) = server_words::missing_module(&refusal.words) =>
            {
                let remedy = of_missing_module(module, span.as_ref(), requirements.as_deref());
                return Some(format!("{remedy}\n{} sends it again as it is", run("deploy")));
            }
            NoticeKind::RefusedBefore { refusal, .. } if server_words::names_a_line(&refusal.words) => {
                "correct the file and save it"
            }
            NoticeKind::RefusedBefore { .. } => {
                return Some(format!("correct the file\n{} sends it again as it is", run("deploy")));
            }
            NoticeKind::Blocked(diagnostic) => {
                let deploys = format!("{} deploys it as it is", run("deploy"));
                return Some(diagnostic.hint().map_or(deploys.clone(), |hint| format!("{hint}\n{deploys}")));
            }
            NoticeKind::Flawed { diagnostic, .. } | NoticeKind::Surprising(diagnostic) => return diagnostic.hint(),
            NoticeKind::Conflict { .. } => {
                "set another `id` in its header or under `[plugins.\"path\"]` in watch.toml\n\
                 leave all but one out with `exclude` in watch.toml"
            }
            NoticeKind::Trouble(trouble) => return of_trouble(trouble, commands),
            NoticeKind::SettingsKept { hint, .. } => return hint.clone(),
            NoticeKind::Tried(tried) => {
                let failure = tried.trial_failure()?;
                let again = || format!("{} runs it again", run("try"));
                let remedies = of_trial(failure, &self.about, commands);
                return remedies.or_else(|| failure.place.is_none().then(again));
            }
            NoticeKind::NotTried { why, .. } => return of_untried(why, &self.about, commands),
            NoticeKind::Report(report) => return report.said(&self.about, commands).hint,
            NoticeKind::Failed { failure: Failure::Call(CallFailure::NotOurs { .. }), .. }
            | NoticeKind::NotRemoved { failure: Failure::Call(CallFailure::NotOurs { .. }), .. } => {
                "use the key of an admin or of the tool's owner"
            }
            NoticeKind::Failed { failure: Failure::TakesNone { .. }, .. } => {
                "check ENABLE_PLUGINS, ENABLE_FUNCTIONS and ENABLE_TOOLS in the server's environment\n\
                 the server's log may say more"
            }
            NoticeKind::Failed { failure: Failure::StoredOther, .. } => {
                return Some(format!("when nobody else is editing the plugin, {} sends it again", run("deploy")));
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

/// The remedy where a file is no plugin.
pub const A_PLUGIN_IS: &str = "a plugin is a Python file that defines Pipe, Filter, Action, Event or Tools";

fn of_trouble(trouble: &Trouble, commands: &Commands) -> Option<String> {
    let hint = match trouble {
        Trouble::Told { hint, .. } => return hint.clone(),
        Trouble::UnknownName(_) => {
            "an id is what the server calls it, and a path starts where you are\n\
             `exclude` and .gitignore must not leave it out"
        }
        Trouble::NoPluginIn(_) => A_PLUGIN_IS,
        Trouble::UnusedTable(_) => {
            "if the file has another name now, its settings need it too: an id set there is lost"
        }
        Trouble::RootLeadsOutside { .. } => "if you trust it, run `owui-watch trust` in the folder",
        Trouble::WouldNotDeploy(_) => {
            return Some(format!(
                "{} shows what is wrong with it; if nothing is, `exclude` leaves it out",
                commands.line("--once --dry-run", "")
            ));
        }
        Trouble::LedgerUnwritten { .. } => "deploys go on; the next start compares every plugin with the server",
        Trouble::StateUnwritten { .. } => "deploys go on",
        Trouble::VersionsHidden(_)
        | Trouble::LockLost { .. }
        | Trouble::LogCommandEnded { .. }
        | Trouble::LogLinesLost(_)
        | Trouble::Unread(_)
        | Trouble::WatchEnded
        | Trouble::NotDeployedHere => return None,
        Trouble::NotShown(_) => return Some(format!("{} shows how each plugin stands", commands.line("status", ""))),
    };
    Some(hint.to_owned())
}

/// What can be done about a command's call that failed. `configured`: the settings name the server's address.
#[must_use]
pub fn of_call(failure: &CallFailure, configured: bool) -> Option<&'static str> {
    Some(match failure {
        CallFailure::Unreachable { cause, .. } => unreachable(cause, configured),
        CallFailure::NotAllowed { status, words } => denied(*status, words),
        CallFailure::NotOurs { words } => denied(401, words),
        CallFailure::Foreign { .. } => FOREIGN,
        CallFailure::Odd { .. } => return None,
    })
}

const FOREIGN: &str = "use the address you open in the browser, without /api";

fn unreachable(cause: &Cause, configured: bool) -> &'static str {
    if cause.untrusted {
        "if you trust the server, set `ca_file` in watch.toml to the certificate (PEM) of its CA"
    } else if configured {
        "check that the server is running and the address is right"
    } else {
        "set OPENWEBUI_URL, or `url` in watch.toml, to the address of your server\n\
         `owui-watch sandbox` starts a throw-away Open WebUI to try things out"
    }
}

fn denied(status: u16, words: &str) -> &'static str {
    if status == 0 {
        "put an API key into .env as OPENWEBUI_API_KEY (in Open WebUI: Settings > Account > API keys)"
    } else if server_words::keys_are_off(words) {
        "an admin can switch API keys on under Admin Panel > Settings > General"
    } else {
        "put an admin's API key into .env as OPENWEBUI_API_KEY, or into the file that `api_key_file` names\n\
         if the environment has an OPENWEBUI_API_KEY, it is used instead, and read only at the start"
    }
}

/// The remedy for a function that is off.
pub(super) fn switches_on(about: &Subject, commands: &Commands) -> String {
    format!("{} switches it on", commands.on(about, "on"))
}

/// What can be done about a plugin that the server seems to have under another id.
pub(super) fn of_duplicate(about: &Subject, duplicate: &Duplicate, commands: &Commands) -> String {
    format!(
        "if it is the same plugin, {}\nif it is another one, {} creates it (with --once: add --yes)",
        set_id(about, &duplicate.id),
        commands.on(about, "deploy --yes")
    )
}

/// How a file gets the id of a plugin on the server.
#[must_use]
pub fn set_id(about: &Subject, id: &PluginId) -> String {
    format!("write `id = \"{id}\"` under {} in watch.toml", about.table(""))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;
    use std::sync::Arc;

    use expect_test::expect;

    use super::refusal::{INSTALLS, NAME_IT};
    use super::*;
    use crate::engine::ledger::Refusal;
    use crate::notice::samples::samples;

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
                refusal: Refusal::said(format!("No module named '{module}'")),
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
                refusal: Refusal::said("ModuleNotFoundError: No module named 'httpx' (<string>, line 4)"),
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
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
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
            not_allowed: put an admin's API key into .env as OPENWEBUI_API_KEY, or into the file that `api_key_file` names
            not_allowed: if the environment has an OPENWEBUI_API_KEY, it is used instead, and read only at the start
            not_open_webui: use the address you open in the browser, without /api
            insecure: use https, a tunnel or a VPN
            insecure: use https
            insecure: if the server can be reached without the proxy, add its host to `NO_PROXY`
            root_missing: create the folder
            root_missing: set `root` in watch.toml (or --root) to the folder with the plugins
            trouble: a remedy
            trouble: a remedy
            trouble: a remedy
            trouble: an id is what the server calls it, and a path starts where you are
            trouble: `exclude` and .gitignore must not leave it out
            trouble: a plugin is a Python file that defines Pipe, Filter, Action, Event or Tools
            trouble: if the file has another name now, its settings need it too: an id set there is lost
            trouble: if you trust it, run `owui-watch trust` in the folder
            trouble: `owui-watch --once --dry-run` shows what is wrong with it; if nothing is, `exclude` leaves it out
            trouble: deploys go on; the next start compares every plugin with the server
            trouble: deploys go on
            trouble: `owui-watch status` shows how each plugin stands
            scan_slow: check that network folders below the roots respond
            created: `owui-watch on shout` switches it on
            created: set `activate_new = true` in watch.toml to have new functions switched on
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
            id_changed: `owui-watch delete tool:shout` deletes the old one
            fails: `owui-watch try shout` runs it again
            fails: `owui-watch try shout` runs it again
            fails: the server does not say what failed: it may also be filter `other`
            fails: the server calls `inlet`, `stream`, `outlet`: check the names of its methods
            not_tried: `owui-watch on shout` switches it on
            not_tried: `[plugins."plugins/shout.py".try]` with a `message` in watch.toml tries it
            not_tried: `[plugins."plugins/shout.py".try]` with `tool` and `args` in watch.toml tries it
            not_tried: connect a model in Open WebUI, or try it in `owui-watch sandbox`
            not_tried: connect a model in Open WebUI, or try it in `owui-watch sandbox`
        "#]]
        .assert_eq(&table);
    }
}
