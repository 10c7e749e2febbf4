//! Restores an earlier text on the server: a deploy with a text that is not the file's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::ask::agreed;
use super::history::{Entry, Text, chosen, dated, described, gather, text_of};
use super::server::{Server, talk};
use super::target::{Files, Target};
use super::{CommandContext, now};
use crate::client::Client;
use crate::disk::Folder;
use crate::engine::deploy::{
    Adopt, Backup, CallFailure, Deploy, DeployContext, DeployPolicy, Failure, OnRemoteEdit, OnServer, Outcome, Step,
};
use crate::engine::duplicate::Duplicates;
use crate::engine::ledger::UpdateIntent;
use crate::engine::refusal::explains_updates;
use crate::engine::repair::Recovery;
use crate::engine::{Code, ServerHabits, ledger, repair};
use crate::error::Error;
use crate::notice::{Between, Level, Notice, NoticeKind, Report, Subject, Task};
use crate::output::{Console, Format, Screen, unified};
use crate::plugin::{self, Digest, FileSettings, Parsed, Plugin};
use crate::server_version::ServerVersion;

/// The user's answer after seeing the difference.
pub enum Agreed {
    /// Nothing to do.
    Over(Code),
    /// Go ahead.
    On(Box<Rollback>),
}

/// A rollback that the user agreed to.
pub struct Rollback {
    plugin: Arc<Plugin>,
    target: Target,
    files: Files,
    /// The text on the server, if we have a copy of it.
    known: Option<Digest>,
    policy: DeployPolicy,
    version: Option<ServerVersion>,
    client: Client,
    folder: Folder,
    /// The intent that we saved for this update.
    noted: Option<UpdateIntent>,
    console: Console,
    screen: Screen,
}

/// Finds the text, shows the difference, and asks.
pub async fn agree(context: &CommandContext, name: &str, wanted: Option<&str>) -> Result<Agreed, Error> {
    context.warn_of_unused_state();
    let files = Files::read(&context.config)?;
    let server = Server::connect(context).await?;
    let target = files.select_one(&context.spelled(name), context, Some(server)).await?;
    let entries = gather(context, server, &target).await?;
    let now = entries.iter().find(|entry| entry.current).and_then(|entry| entry.text.clone());
    let entry = chosen(&entries, wanted, now.as_ref().map(|now| now.digest), &target.key, &context.screen.commands)?;
    let text = text_of(entry, &target.key, server).await?;
    let screen = context.screen.clone();
    if now.as_ref().is_some_and(|now| now.digest == text.digest) {
        let about = Subject { digest: Some(text.digest), ..Subject::from(&target.key) };
        screen.say(&Notice::report(about, Report::AlreadyOnServer));
        return Ok(Agreed::Over(Code::Fine));
    }
    let plugin = parsed(entry, &text, &target)?;
    let known = now.as_ref().and_then(|now| kept(&entries, now));
    if !(context.yes && screen.least > Level::Info && screen.format == Format::Lines) {
        show(&screen, &target, now.as_ref(), entry, &text);
    }
    let question = format!("restore {} of {} on {}?", described(entry), target.key, context.config.url);
    if !context.yes && !agreed(&question, Task::RollBack)? {
        screen.aside(&Notice::report(Subject::default(), Report::Declined { task: Task::RollBack, folder: None }));
        return Ok(Agreed::Over(Code::NotDeployed));
    }
    let policy = DeployPolicy {
        force: false,
        dry_run: false,
        activate_new: context.config.activate_new,
        // The user has seen the current text, and may want it back later.
        on_remote_edit: OnRemoteEdit::Backup,
        adopt: Adopt::Never,
    };
    Ok(Agreed::On(Box::new(Rollback {
        plugin,
        target,
        files,
        known,
        policy,
        version: server.version,
        client: context.client.clone(),
        folder: context.folder.clone(),
        noted: None,
        console: Console::new(screen.format, screen.least, screen.commands.clone()),
        screen,
    })))
}

/// Parses the old text as a plugin with its id on the server.
fn parsed(entry: &Entry, text: &Text, target: &Target) -> Result<Arc<Plugin>, Error> {
    // Errors are in this copy, not in the file, which has changed since.
    let path = entry.copy.clone().unwrap_or_else(|| target.key.kind.file_name(&target.key.id).into());
    let settings = FileSettings { id: Some(target.key.id.to_string()), kind: Some(target.key.kind), enabled: None };
    let problem = match plugin::parse(&Arc::from(path), text.source.as_bytes(), &settings) {
        Parsed::Plugin(plugin) if plugin.key == target.key => return Ok(plugin),
        Parsed::Plugin(plugin) => format!("it is a {}", plugin.key.kind.word()),
        Parsed::Invalid(invalid) => invalid.message(),
        Parsed::NotAPlugin | Parsed::Disabled => "it is not a plugin".to_owned(),
    };
    Err(Error::failed(format!("this text of {} cannot be restored: {problem}", target.key)))
}

/// The digest of the text on the server, if we have a copy of it.
fn kept(entries: &[Entry], now: &Text) -> Option<Digest> {
    let is_kept = |entry: &Entry| entry.copy.is_some() && entry.digest() == Some(now.digest);
    entries.iter().any(is_kept).then_some(now.digest)
}

fn show(screen: &Screen, target: &Target, now: Option<&Text>, entry: &Entry, text: &Text) {
    let name = target.key.kind.file_name(&target.key.id);
    let from = match now {
        Some(_) => format!("a/{name}\t(server)"),
        None => "/dev/null".to_owned(),
    };
    let to = format!("b/{name}\t{}", dated(entry));
    let before = now.map(|now| plugin::normal::normal(&now.source).into_owned()).unwrap_or_default();
    let diff = unified((&from, &before), (&to, &plugin::normal::normal(&text.source)));
    let about = Subject { version: text.version.clone(), digest: Some(text.digest), ..Subject::from(&target.key) };
    screen.difference(&Notice::report(
        about,
        Report::Difference { diff, between: Between::ServerAndRestored(described(entry)) },
    ));
}

impl Rollback {
    /// Whether another owui-watch still has an intent for the plugin. Right after it told of a deploy, it is clearing
    /// it.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.folder.intents().contains_key(&self.target.key) && self.folder.holder().is_some()
    }

    /// Deploys the text, and reports the result.
    pub async fn carry_out(mut self) -> Result<Code, Error> {
        let started = Instant::now();
        let key = self.target.key.clone();
        let local = self.target.local.clone().filter(|local| local.is_plugin);
        // The file may have been saved while the question was open.
        let local_digest = local.as_ref().and_then(|local| self.files.deploys(&local.path, &key));
        let note = ledger::Rollback { local: local_digest, server: self.plugin.digest, done: false };
        if let Some(intent) = self.folder.intents().remove(&key) {
            // A deploy in flight would undo the rollback, and its daemon repairs it.
            if let Some(other) = self.folder.holder() {
                let refusal = Error::failed(format!("nothing was restored: {other} is deploying {key} just now"));
                return Err(refusal.hinted("try again in a moment"));
            }
            if let Some(code) = self.recover(intent).await? {
                return Ok(code);
            }
        }
        let before = self.folder.rollbacks().get(&key).copied();
        // A running daemon that reads the server now must know that the text is ours.
        self.folder.save_rollback(&key, &note).context("nothing was restored")?;
        let (outcome, on_server) = self.converse().await;
        let took = started.elapsed();
        let done = matches!(outcome, Outcome::Created { .. } | Outcome::Updated { .. } | Outcome::Unchanged);
        let (certain, found) = (outcome.is_certain(), outcome == Outcome::Unchanged);
        let code = self.tell(outcome, on_server, took);
        let as_in_file = note.local == Some(note.server);
        let noted = match before {
            // A daemon whose deploy ends later undoes the rollback, and must notice that.
            _ if done && !as_in_file => self.folder.save_rollback(&key, &ledger::Rollback { done: true, ..note }),
            Some(before) if !done => self.folder.save_rollback(&key, &before),
            Some(_) | None => self.folder.clear_rollback(&key),
        };
        self.trouble(noted);
        // A running daemon may have saved an intent of its own.
        if certain && self.noted.is_some() && self.folder.intents().get(&key) == self.noted.as_ref() {
            self.trouble(self.folder.clear_intent(&key));
        }
        if done {
            let (text, digest) = (self.plugin.text.to_string(), self.plugin.digest);
            let backup = Backup { key: key.clone(), text, digest };
            let archived = if found {
                self.folder.archive_found(&backup, now())
            } else {
                self.folder.archive_restored(&backup, now())
            };
            self.trouble(archived);
        }
        if let (true, false, Some(local)) = (done, as_in_file, local) {
            self.screen.say(&Notice::report(local.subject(), Report::RolledBack));
        }
        Ok(code)
    }

    /// Warns that state could not be saved. The server's change stands.
    fn trouble(&self, noted: anyhow::Result<()>) {
        if let Err(error) = noted {
            let about = (&self.target.key).into();
            self.screen.aside(&Notice { about, ..Notice::trouble(format!("{error:#}"), None) });
        }
    }

    /// First repairs what an interrupted deploy left behind. `Some` or an error if that failed: the rollback cannot go
    /// on, since it would preserve the wrong switch.
    async fn recover(&mut self, intent: UpdateIntent) -> Result<Option<Code>, Error> {
        let (mut recovery, step) = Recovery::start(self.target.key.clone(), intent);
        let outcome = talk(&self.client, step, |reply| recovery.reply(reply)).await;
        match outcome {
            repair::Outcome::Recovered { left, .. } => {
                if let Some(cause) = left.unsettled() {
                    let what = "what an interrupted deploy left behind cannot be repaired";
                    let refusal = Error::failed(format!("nothing was restored: {what}: {cause}"));
                    return Err(refusal.hinted("solve this first, then try again"));
                }
                self.say(NoticeKind::of_recovery(left));
                self.trouble(self.folder.clear_intent(&self.target.key));
                Ok(None)
            }
            repair::Outcome::Failed(failure) => {
                Ok(Some(self.tell(Outcome::Failed(failure.into()), None, Duration::ZERO)))
            }
        }
    }

    /// Runs the deploy, step by step.
    async fn converse(&mut self) -> (Outcome, Option<OnServer>) {
        let ours = self.known.into_iter().collect();
        let known = DeployContext {
            ours,
            unarchived: Vec::new(),
            duplicates: Duplicates::Ignored,
            refused: None,
            explains_updates: explains_updates(self.version),
            unlisted: false,
        };
        let (mut deploy, mut step) = Deploy::start(Arc::clone(&self.plugin), known, self.policy);
        loop {
            step = match step {
                Step::Call(call) => deploy.reply(self.client.call(call).await),
                Step::SaveBackup(backup) => {
                    let kept = self.folder.save_backup(&backup, now());
                    deploy.backup_saved(kept.map_err(|error| format!("{error:#}")))
                }
                Step::SaveIntent(intent) => {
                    self.noted = Some(intent.clone());
                    let noted = self.folder.save_intent(&self.target.key, &intent);
                    deploy.intent_saved(noted.map_err(|error| format!("{error:#}")))
                }
                Step::Archive(backup, next) => {
                    self.trouble(self.folder.archive(&backup, now()));
                    *next
                }
                Step::Done(outcome) => return (outcome, deploy.on_server()),
            };
        }
    }

    /// Reports the outcome as for any deploy, here and in the plugin's log.
    fn tell(&mut self, outcome: Outcome, on_server: Option<OnServer>, took: Duration) -> Code {
        let code = match &outcome {
            Outcome::Failed(
                Failure::Unanswered { .. }
                | Failure::Call(
                    CallFailure::Unreachable { .. } | CallFailure::NotAllowed { .. } | CallFailure::Foreign { .. },
                ),
            ) => Code::NoServer,
            Outcome::Created { active: Ok(_) } | Outcome::Updated { .. } | Outcome::Unchanged => Code::Fine,
            _ => Code::NotDeployed,
        };
        for what in NoticeKind::of_outcome(outcome, &self.plugin, on_server, false, true, ServerHabits::default(), took)
        {
            self.say(what);
        }
        code
    }

    fn say(&mut self, what: NoticeKind) {
        let mut notice = Notice::of(&self.plugin, what);
        // A notice about a line names the copy; any other names the plugin's file.
        if notice.span().is_none()
            && let Some(local) = &self.target.local
        {
            notice.about.path = Some(Arc::clone(&local.path));
        }
        let time = now();
        self.console.tell(&notice, time);
        self.trouble(self.folder.log(&self.target.key, &notice.log_line(time)));
    }
}
