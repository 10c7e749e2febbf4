//! Switches functions on and off, and makes them global or not.

use super::CommandContext;
use super::server::Server;
use super::target::{Files, Target, with_kind};
use crate::disk::Done;
use crate::engine::Code;
use crate::engine::deploy::{Attached, Row};
use crate::engine::switch::{Outcome, Switch};
use crate::error::Error;
use crate::notice::{Notice, Report, SwitchFailure, Use};
use crate::plugin::id::PluginId;

/// Sets a switch of the named functions, one after the other.
///
/// # Errors
///
/// A word names no plugin, or the server cannot be reached or denies access.
pub async fn switch(context: &CommandContext, words: &[String], switch: Switch, wanted: bool) -> Result<Code, Error> {
    let files = Files::read(&context.config)?;
    let server = Server::connect(context).await?;
    let mut targets = Vec::new();
    for word in words {
        let target = find(&files, &context.spelled(word), context, server).await?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let (mut code, mut models) = (Code::Fine, Models::default());
    for target in targets {
        let about = target.subject();
        let failed = |cause| Report::NotSwitched { switch, wanted, cause };
        let report = if target.key.kind.has_switch() {
            match server.set(&target.key.id, switch, wanted).await {
                Outcome::AsWanted { row, flipped } => {
                    let unused = models.leave_unused(&target.key.id, &row, server).await?;
                    let usage = Use::of(row.switches(), unused);
                    Report::Switched { switch, is: wanted, before: !flipped, usage }
                }
                Outcome::NotGlobal => failed(SwitchFailure::NotGlobal),
                Outcome::Absent => failed(SwitchFailure::Absent),
                Outcome::Contested => failed(SwitchFailure::Contested),
                Outcome::Failed(failure) => return Err(server.error(failure)),
            }
        } else {
            failed(SwitchFailure::Tool)
        };
        if let Report::Switched { switch, is, before, usage } = &report {
            let (switch, is, before) = (*switch, *is, *before);
            let usage = serde_json::to_value(usage).unwrap_or_default();
            let path = target.local.as_ref().map(|local| &*local.path);
            context.folder.tell_watch(&target.key, path, Done::Switched { switch, is, before, usage });
            context.screen.say(&Notice::report(about, report));
        } else {
            code = Code::NotDeployed;
            context.screen.aside(&Notice::report(about, report));
        }
    }
    Ok(code)
}

/// The plugin for a word. Of a function and a tool with one id it is the function: the tool has no switch.
async fn find(files: &Files, word: &str, context: &CommandContext, server: Server<'_>) -> Result<Target, Error> {
    if let (None, Some(id)) = (with_kind(word), PluginId::new(word)) {
        let mut keys = files.all().map(|target| target.key).filter(|key| key.id == id);
        if let Some(key) = keys.find(|key| key.kind.has_switch()) {
            return files.select_one(&format!("{}:{}", key.kind.word(), key.id), context, Some(server)).await;
        }
    }
    files.select_one(word, context, Some(server)).await
}

/// The functions that models use. They are read once, and only where they matter.
#[derive(Default)]
struct Models {
    are_read: bool,
    attached: Option<Attached>,
}

impl Models {
    /// Whether no model uses a function that is on.
    async fn leave_unused(&mut self, id: &PluginId, row: &Row, server: Server<'_>) -> Result<bool, Error> {
        if !row.entry.is_some_and(|entry| row.switches().need_a_model(entry)) {
            return Ok(false);
        }
        if !std::mem::replace(&mut self.are_read, true) {
            self.attached = server.attached().await?;
        }
        Ok(self.attached.as_ref().is_some_and(|attached| attached.is_unused(id, row.entry, row.switches())))
    }
}
