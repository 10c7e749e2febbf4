//! Deletes a plugin from the server that has no file here: a stray, such as one whose file was renamed. Keeps a copy of its
//! text.

use super::ask::agreed;
use super::server::{Server, text};
use super::target::{Files, Target};
use super::{CommandContext, now};
use crate::engine::Code;
use crate::engine::deploy::Backup;
use crate::error::Error;
use crate::notice::{Notice, NoticeKind, Report, Subject, Task};
use crate::plugin::Digest;

/// Deletes the named plugins, one after the other, each after a question.
///
/// # Errors
///
/// A word names no plugin, or one that has a file here; the copy cannot be written; the server cannot be reached, or does
/// not allow it. Plugins before that one are deleted.
pub async fn delete(context: &CommandContext, words: &[String]) -> Result<Code, Error> {
    context.warn_of_unused_state();
    let files = Files::read(&context.config)?;
    let server = Server::connect(context).await?;
    let mut targets = Vec::new();
    for word in words {
        let target = files.select_one(&context.spelled(word), context, Some(server)).await?;
        check(&files, &target)?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let mut code = Code::Fine;
    for Target { key, .. } in targets {
        let about = Subject::from(&key);
        let Some(row) = server.row(&key).await? else {
            context.screen.aside(&Notice::report(about, Report::Nowhere));
            code = Code::NotDeployed;
            continue;
        };
        let text = text(&key, &row)?;
        let question = format!("delete {key} from {}? its valves and switches go too", context.config.url);
        if !context.yes && !agreed(&question, Task::Delete)? {
            context.screen.aside(&Notice::report(about, Report::Declined { task: Task::Delete, folder: None }));
            code = Code::NotDeployed;
            continue;
        }
        let backup = Backup { key: key.clone(), text: text.to_owned(), digest: Digest::of_text(text) };
        let kept = context.folder.save_backup(&backup, now())?;
        server.delete(&key).await?;
        context.screen.say(&Notice { about, what: NoticeKind::Deleted { kept } });
    }
    Ok(code)
}

/// Refuses a plugin that has a file here: the next pass would create it again, without its valves.
fn check(files: &Files, target: &Target) -> Result<(), Error> {
    let id = &target.key.id;
    if let Some(local) = &target.local {
        let path = local.path.display();
        return Err(Error::new(format!("`{id}` has a file here: the watch would create it again"))
            .hinted(format!("delete `{path}` first; or exclude it in watch.toml")));
    }
    if files.has(&target.key) {
        return Err(Error::new(format!("a file here that is disabled or broken may be `{id}`"))
            .hinted("delete that file first, or exclude it in watch.toml"));
    }
    Ok(())
}
