//! Runs a plugin once on the server, and shows the answer: `try`.

use super::server::{Server, text};
use super::target::{Files, Target};
use super::{CommandContext, failed};
use crate::disk::Done;
use crate::engine::Code;
use crate::error::Error;
use crate::notice::{Level, Notice, Report, Task, TrialResult, Tried, format_place};
use crate::output::Format;
use crate::paths::slashed;
use crate::plugin::{Digest, normal};
use crate::trial::{self, Attempt, Obstacle, ObstacleKind, OnTrial, Wish};

/// Runs a plugin once on the server, and shows the answer. `wish` has what the flags say; the plugin's table in
/// `watch.toml` has the rest.
///
/// # Errors
///
/// The words name no plugin, the plugin cannot be tried on this server, or the server is away.
pub async fn try_out(context: &CommandContext, plugin: &str, wish: Wish) -> Result<Code, Error> {
    let files = Files::read(&context.config)?;
    let server = Server::connect(context).await?;
    let target = files.select_one(&context.spelled(plugin), context, Some(server)).await?;
    let Some(stored) = server.row(&target.key).await? else {
        context.screen.aside(&Notice::report(target.subject(), Report::NotOnServer { level: Level::Error }));
        return Ok(Code::NotDeployed);
    };
    let stored = Digest::of_text(&normal::normal(text(&target.key, stored.content.as_deref())?));
    let is_other = target.local.as_ref().is_some_and(|local| local.digest != stored);
    if is_other {
        context.screen.aside(&Notice::report(target.subject(), Report::OtherText));
    }
    let is_plain = wish == Wish::default();
    let table = target.local.as_ref().and_then(|local| context.config.trials.get(&*local.path));
    let wish = match table {
        Some(table) => wish.or_of(table),
        None => wish,
    };
    let plugin = OnTrial { client: &context.client, version: server.version, key: &target.key, digest: None };
    match trial::run(plugin, &wish).await {
        Ok(attempts) => {
            // Another message tells nothing about the one that the watch has tried.
            if is_plain && !is_other {
                tell_watch(context, &target, trial::summed_up(attempts.clone(), &wish));
            }
            Ok(report(context, &target, attempts))
        }
        Err(Obstacle { kind: ObstacleKind::NoServer(reply), .. }) => Err(server.refusal(*reply)),
        Err(Obstacle { kind, why, remedy }) => {
            let hint = remedy.map(|remedy| remedy.words(&target.subject(), &context.screen.commands));
            let name = match &target.local {
                Some(local) => format!("`{}`", slashed(&local.path)),
                None => target.key.to_string(),
            };
            let message = match kind {
                ObstacleKind::Disturbed(_) => format!("the trial of {name} is inconclusive: {why}"),
                _ => format!("cannot try {name}: {why}"),
            };
            if kind == ObstacleKind::Wish && !wish.is_of_table {
                return Err(Error::new(message).hinted_if(hint));
            }
            let error = Error::failed(message).hinted_if(hint);
            context.screen.aside(&failed(target.subject(), Task::Try, &error));
            Ok(Code::NotDeployed)
        }
    }
}

/// Has the running watch show how the plugin stands.
fn tell_watch(context: &CommandContext, target: &Target, tried: Tried) {
    if let (Some(local), Ok(tried)) = (&target.local, serde_json::to_value(tried)) {
        let done = Done::Tried { digest: local.digest.to_string(), tried };
        context.folder.tell_watch(&target.key, Some(&local.path), done);
    }
}

fn report(context: &CommandContext, target: &Target, attempts: Vec<Attempt>) -> Code {
    let (mut code, screen) = (Code::Fine, &context.screen);
    let attempts = if screen.format == Format::Json { attempts } else { trial::folded(attempts) };
    for Attempt { called, model, took, result, .. } in attempts {
        let mut below = result.below();
        let failure = if let TrialResult::Fails(failure) = &result { Some(failure) } else { None };
        if let (Some(place), Some(local)) = (failure.and_then(|failure| failure.place.as_deref()), &target.local) {
            below.push(format!("  {}: {}", format_place(&local.path, place), place.source.trim()));
        }
        let has_failed = failure.is_some();
        let notice = Notice::report(target.subject(), Report::Tried { called, model, took, result });
        if has_failed {
            code = Code::NotDeployed;
            screen.aside_with(&notice, &below);
        } else {
            screen.say_with(&notice, &below);
        }
    }
    code
}
