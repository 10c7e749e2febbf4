//! Puts an earlier text back on the server: the same conversation as a deploy, with a text that is not the file's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::tz::TimeZone;
use serde_json::json;

use super::history::{Entry, Text, What as Was, gather, name, short};
use super::screen::{Line, Screen, agreed, clock};
use super::server::Server;
use super::target::{Files, Target};
use super::{CommandContext, now};
use crate::client::Client;
use crate::disk::Folder;
use crate::engine::deploy::{
    Adopt, Aftermath, Backup, CallFailure, Deploy, DeployContext, DeployPolicy, Failure, OnRemoteEdit, OnServer,
    Outcome, Step,
};
use crate::engine::duplicate::Duplicates;
use crate::engine::ledger::UpdateIntent;
use crate::engine::repair::Recovery;
use crate::engine::{Code, ledger, repair};
use crate::error::Error;
use crate::notice::{Level, Notice, NoticeKind};
use crate::output::{Console, Format};
use crate::plugin::{self, Digest, FileSettings, Parsed, Plugin};

/// How many of the texts that may be meant are named.
const MOST_NAMED: usize = 3;

/// What came of showing the difference and asking.
pub enum Agreed {
    /// There is nothing to be done.
    Over(Code),
    /// This is to be done.
    On(Box<Rollback>),
}

/// A rollback that the user wants.
pub struct Rollback {
    plugin: Arc<Plugin>,
    target: Target,
    files: Files,
    /// What the server holds, if it is a text of which there is a copy.
    known: Option<Digest>,
    policy: DeployPolicy,
    client: Client,
    folder: Folder,
    /// What we have noted of what is under way.
    noted: Option<UpdateIntent>,
    console: Console,
    screen: Screen,
}

/// Finds the text, shows the difference, and asks.
pub async fn agree(context: &CommandContext, name: &str, wanted: Option<&str>) -> Result<Agreed, Error> {
    Screen::new(context).warn_of_unused_state(&context.folder);
    let files = Files::read(&context.config)?;
    let server = Server::connect(context).await?;
    let target = files.select_one(&context.spelled(name), context, Some(server)).await?;
    let entries = gather(context, server, &target).await?;
    let now = entries.iter().find(|entry| entry.current).and_then(|entry| entry.text.clone());
    let entry = chosen(&entries, wanted, now.as_ref().map(|now| now.digest), &target)?;
    let text = match (&entry.text, &entry.version) {
        (Some(text), _) => text.clone(),
        (None, Some(version)) => {
            let text = server.version(&target.key, &version.id).await?;
            Text::new(&text.ok_or_else(|| Error::failed("the server does not give the text of this version"))?)
        }
        (None, None) => return Err(Error::failed("no copy of this text is left")),
    };
    let screen = Screen::new(context);
    if now.as_ref().is_some_and(|now| now.digest == text.digest) {
        let line = Line::new("unchanged", format!("the server holds this text of {} already", target.key));
        screen.say(&line.of(&target.key).with("digest", json!(text.digest)));
        return Ok(Agreed::Over(Code::Fine));
    }
    let plugin = parsed(entry, &text, &target)?;
    let known = now.as_ref().and_then(|now| kept(context, &target, &entries, now));
    if !(context.yes && context.least > Level::Info && context.format == Format::Lines) {
        show(screen, &target, now.as_ref(), entry, &text);
    }
    if !context.yes && !agreed("put it back?", "nothing was put back")? {
        screen.aside(&Line::new("left_alone", "nothing was put back"));
        return Ok(Agreed::Over(Code::NotDeployed));
    }
    let policy = DeployPolicy {
        force: false,
        dry_run: false,
        activate_new: context.config.activate_new,
        // The user has seen what is there, and may still want it later.
        on_remote_edit: OnRemoteEdit::Backup,
        adopt: Adopt::Never,
    };
    Ok(Agreed::On(Box::new(Rollback {
        plugin,
        target,
        files,
        known,
        policy,
        client: context.client.clone(),
        folder: context.folder.clone(),
        noted: None,
        console: Console::new(context.format, context.least),
        screen,
    })))
}

/// The old text as a plugin, under the name that it has on the server.
fn parsed(entry: &Entry, text: &Text, target: &Target) -> Result<Arc<Plugin>, Error> {
    // What is wrong with it, is wrong there, and not in the file that has another text by now.
    let path = entry.copy.clone().unwrap_or_else(|| target.key.kind.file_name(&target.key.id).into());
    let settings = FileSettings { id: Some(target.key.id.to_string()), kind: Some(target.key.kind), enabled: None };
    let problem = match plugin::parse(&Arc::from(path), text.source.as_bytes(), &settings) {
        Parsed::Plugin(plugin) if plugin.key == target.key => return Ok(plugin),
        Parsed::Plugin(plugin) => format!("it is a {}", plugin.key.kind.word()),
        Parsed::Invalid(invalid) => invalid.message(),
        Parsed::NotAPlugin | Parsed::Disabled => "it is no plugin".to_owned(),
    };
    Err(Error::failed(format!("this text of {} cannot be put back: {problem}", target.key)))
}

/// The digest of what the server holds, if a copy of it is sure to stay. A text of ours from before there were copies
/// gets one.
fn kept(context: &CommandContext, target: &Target, entries: &[Entry], now: &Text) -> Option<Digest> {
    let key = &target.key;
    let is_kept = |entry: &Entry| entry.copy.is_some() && entry.digest() == Some(now.digest);
    if entries.iter().any(is_kept) {
        return Some(now.digest);
    }
    let ledger = context.folder.peek();
    let deployed = ledger.get(key).and_then(|record| record.deployed.as_ref());
    let deployed = deployed.filter(|deployed| deployed.digest == now.digest)?;
    let backup = Backup { key: key.clone(), text: now.source.to_string(), digest: now.digest };
    let archived = if deployed.by_us {
        context.folder.archive(&backup, deployed.at)
    } else {
        context.folder.archive_found(&backup, deployed.at)
    };
    archived.ok().map(|()| now.digest)
}

fn show(screen: Screen, target: &Target, now: Option<&Text>, entry: &Entry, text: &Text) {
    let name = target.key.kind.file_name(&target.key.id);
    let from = match now {
        Some(_) => format!("a/{name}\t(server)"),
        None => "/dev/null".to_owned(),
    };
    let to = format!("b/{name}\t({})", described(entry));
    let line = Line::new("difference", format!("what putting back {} changes on the server", described(entry)))
        .of(&target.key)
        .with("digest", json!(text.digest))
        .with("version", json!(text.version));
    let before = now.map(|now| plugin::normal::normal(&now.source).into_owned()).unwrap_or_default();
    screen.difference(line, (&from, &before), (&to, &plugin::normal::normal(&text.source)));
}

/// A text by all that names it.
fn described(entry: &Entry) -> String {
    let names = [
        entry.text.as_ref().and_then(|text| text.version.clone()),
        entry.digest().map(|digest| digest.short()),
        entry.version.as_ref().map(|version| short(&version.id).to_owned()),
        entry.at.map(|at| clock(at, &TimeZone::system())),
    ];
    names.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The text that is meant.
fn chosen<'e>(
    entries: &'e [Entry],
    wanted: Option<&str>,
    now: Option<Digest>,
    target: &Target,
) -> Result<&'e Entry, Error> {
    let key = &target.key;
    let id = &key.id;
    let Some(wanted) = wanted else {
        let before = |entry: &&Entry| entry.what != Was::Local && entry.text.is_some() && entry.digest() != now;
        return entries.iter().find(before).ok_or_else(|| {
            Error::new(format!("no other text of {key} is known"))
                .hinted("what is deployed from now on is kept, and can be put back")
        });
    };
    let has_version = |entry: &Entry| entry.text.as_ref().and_then(|text| text.version.as_deref()) == Some(wanted);
    let begins = |entry: &Entry| {
        let lower = wanted.to_lowercase();
        entry.digest().is_some_and(|digest| digest.to_string().starts_with(&lower))
            || entry.version.as_ref().is_some_and(|version| version.id.to_lowercase().starts_with(&lower))
    };
    let mut fits: Vec<_> = entries.iter().filter(|entry| has_version(entry)).collect();
    if fits.is_empty() {
        fits = entries.iter().filter(|entry| begins(entry)).collect();
    }
    // The same text may have been there more than once.
    let mut seen = BTreeSet::new();
    fits.retain(|entry| entry.digest().is_none_or(|digest| seen.insert(digest)));
    match fits.as_slice() {
        [entry] => Ok(entry),
        [] => Err(Error::new(format!("no version `{wanted}` of {key} is known"))
            .hinted(format!("`owui-watch history {id}` lists what there is"))),
        several => {
            let mut few: Vec<_> = several.iter().take(MOST_NAMED).map(|entry| name(entry)).collect();
            let last = few.pop().unwrap_or_default();
            let such_as = if several.len() > MOST_NAMED { ", such as" } else { ":" };
            let (n, few) = (several.len(), few.join(", "));
            Err(Error::new(format!("`{wanted}` may be one of {n} texts{such_as} {few} and {last}"))
                .hinted(format!("name one by its digest, as `owui-watch history {id}` lists them with their times")))
        }
    }
}

impl Rollback {
    /// Puts the text on the server, and tells what came of it.
    pub async fn carry_out(mut self) -> Result<Code, Error> {
        let started = Instant::now();
        let key = self.target.key.clone();
        let local = self.target.local.clone().filter(|local| local.is_plugin);
        // It may have been saved while the user was asked.
        let local_digest = local.as_ref().and_then(|local| self.files.deploys(&local.path, &key));
        let note = ledger::Rollback { local: local_digest, server: self.plugin.digest, done: false };
        if let Some(intent) = self.folder.intents().get(&key) {
            // What may still be on its way would undo a rollback, and is not ours to make good.
            if let Some(other) = self.folder.holder() {
                let refusal = Error::failed(format!("nothing was put back: {other} is deploying {key} just now"));
                return Err(refusal.hinted("try again in a moment"));
            }
            if let Some(code) = self.recover(intent.clone()).await {
                return Ok(code);
            }
        }
        let before = self.folder.rollbacks().get(&key).copied();
        // A daemon beside us that looks at the server in between must know whose text that is.
        self.folder.save_rollback(&key, &note).context("nothing was put back")?;
        let (outcome, on_server) = self.converse().await;
        let took = started.elapsed();
        let done = matches!(outcome, Outcome::Created { .. } | Outcome::Updated { .. } | Outcome::Unchanged);
        let (certain, found) = (outcome.is_certain(), outcome == Outcome::Unchanged);
        let code = self.tell(outcome, on_server, took);
        let as_in_file = note.local == Some(note.server);
        let noted = match before {
            // A deploy of a daemon's that ends later than this undoes it.
            _ if done && !as_in_file => self.folder.save_rollback(&key, &ledger::Rollback { done: true, ..note }),
            Some(before) if !done => self.folder.save_rollback(&key, &before),
            Some(_) | None => self.folder.clear_rollback(&key),
        };
        self.trouble(noted);
        // Beside a daemon, the note may be one of its own by now.
        if certain && self.noted.is_some() && self.folder.intents().get(&key) == self.noted.as_ref() {
            self.trouble(self.folder.clear_intent(&key));
        }
        if done {
            let (text, digest) = (self.plugin.text.to_string(), self.plugin.digest);
            let backup = Backup { key: key.clone(), text, digest };
            let archived =
                if found { self.folder.archive_found(&backup, now()) } else { self.folder.archive(&backup, now()) };
            self.trouble(archived);
        }
        if let (true, false, Some(local)) = (done, as_in_file, local) {
            let message = format!("`{}` is not deployed again until it changes", local.path.display());
            let hint = format!("`owui-watch pull {}` writes the server's text to it", key.id);
            self.screen.say(&Line::new("rolled_back", message).of(&key).at(&local.path).hinted(hint));
        }
        Ok(code)
    }

    /// What is done on the server stays done, whatever becomes of our notes.
    fn trouble(&self, noted: anyhow::Result<()>) {
        if let Err(error) = noted {
            self.screen.aside(&Line::new("trouble", format!("{error:#}")).of(&self.target.key).level(Level::Warning));
        }
    }

    /// What a deploy that was cut short has left behind is made good first. `Some` if it could not be: the rollback would
    /// take what it finds for what is to be.
    async fn recover(&mut self, intent: UpdateIntent) -> Option<Code> {
        let (mut recovery, mut step) = Recovery::start(self.target.key.clone(), intent);
        let outcome = loop {
            step = match step {
                Step::Call(call) => recovery.reply(self.client.call(call).await),
                Step::Done(outcome) => break outcome,
                Step::SaveBackup(_) | Step::SaveIntent(_) | Step::Archive(..) => return None,
            };
        };
        match outcome {
            repair::Outcome::Recovered { left: Aftermath::Unsettled { cause }, .. } => {
                let failure = CallFailure::Unreachable { cause: cause.into(), retry_after: None };
                Some(self.tell(Outcome::Failed(failure.into()), None, Duration::ZERO))
            }
            repair::Outcome::Recovered { left, .. } => {
                let later = matches!(left, Aftermath::Off { later: true, .. });
                self.say(NoticeKind::of_recovery(left));
                if later {
                    return Some(Code::NotDeployed);
                }
                self.trouble(self.folder.clear_intent(&self.target.key));
                None
            }
            repair::Outcome::Failed(failure) => Some(self.tell(Outcome::Failed(failure.into()), None, Duration::ZERO)),
        }
    }

    /// The conversation of a deploy, one step after the other.
    async fn converse(&mut self) -> (Outcome, Option<OnServer>) {
        let ours = self.known.into_iter().collect();
        let known = DeployContext {
            ours,
            unarchived: Vec::new(),
            duplicates: Duplicates::Ignored,
            refused: None,
            explains_updates: false,
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

    /// In the words of a deploy, here and in the plugin's log.
    fn tell(&mut self, outcome: Outcome, on_server: Option<OnServer>, took: Duration) -> Code {
        let code = match &outcome {
            Outcome::Failed(
                Failure::Unanswered { .. }
                | Failure::Call(
                    CallFailure::Unreachable { .. } | CallFailure::NotAllowed { .. } | CallFailure::Foreign { .. },
                ),
            ) => Code::NoServer,
            Outcome::Refused { .. } | Outcome::Crashed { .. } | Outcome::Failed(_) => Code::NotDeployed,
            _ => Code::Fine,
        };
        for what in NoticeKind::of_outcome(outcome, &self.plugin, on_server, false, took) {
            self.say(what);
        }
        code
    }

    fn say(&mut self, what: NoticeKind) {
        let mut notice = Notice::of(&self.plugin, what);
        // Where it is about the text, the path is that of the text; else it is the plugin's.
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
