//! Deletes a plugin from the server that has no file here: a stray, such as one whose file was renamed. Keeps a copy of
//! its text.

use super::ask::agreed;
use super::server::{Server, text};
use super::target::{Files, Target, no_folder};
use super::{CommandContext, now};
use crate::disk::Done;
use crate::engine::Code;
use crate::engine::deploy::Backup;
use crate::error::Error;
use crate::notice::{Notice, Report, Subject, Task};
use crate::paths::slashed;
use crate::plugin::{Digest, Key};

/// Deletes the named plugins, one after the other, each after a question.
///
/// # Errors
///
/// A word names no plugin, or one that has a file here; the copy cannot be written; the server cannot be reached, or
/// does not allow it. Plugins before that one are deleted.
pub async fn delete(context: &CommandContext, words: &[String]) -> Result<Code, Error> {
    context.warn_of_unused_state();
    let files = Files::read(&context.config)?;
    let server = Server::connect(context).await?;
    let mut targets = Vec::new();
    for word in words {
        let target = files.select_one(&context.spelled(word), context, Some(server)).await?;
        check(&files, &target.key)?;
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
        let seen = text(&key, row.content.as_deref())?.to_owned();
        let question = format!("delete {key} from {}? its valves and switches are lost", context.config.url);
        if !context.yes && !agreed(&question, Task::Delete)? {
            context.screen.aside(&Notice::report(about, Report::Declined { task: Task::Delete, folder: None }));
            code = Code::NotDeployed;
            continue;
        }
        let backup = Backup { key: key.clone(), digest: Digest::of_text(&seen), text: seen };
        let backup_path = context.folder.save_backup(&backup, now())?;
        // While the question was open, a file may have been saved here, or another text there.
        check(&Files::read(&context.config)?, &key)?;
        match server.row(&key).await? {
            Some(row) if text(&key, row.content.as_deref())? == backup.text => server.delete(&key).await?,
            Some(_) => return Err(Error::failed(format!("{key} was not deleted: somebody has just changed it"))),
            None => {}
        }
        context.folder.tell_watch(&key, None, Done::Deleted { backup: backup_path.clone(), text: backup.digest });
        context.screen.say(&Notice::report(about, Report::DeletedStray { backup: backup_path }));
    }
    Ok(code)
}

/// Refuses a plugin that has a file here, or may have one: the next pass would create it again, without its valves.
fn check(files: &Files, key: &Key) -> Result<(), Error> {
    if let Some(folder) = files.missing.first() {
        return Err(no_folder(folder, ", which may hold the plugin's file"));
    }
    let file = files.all().find(|target| target.key == *key).and_then(|target| target.local);
    if let Some(local) = file {
        return Err(Error::new(format!("`{}` has a file here: the watch would create it again", key.id))
            .hinted(format!("delete `{}` first, or exclude it in watch.toml", slashed(&local.path))));
    }
    if files.has(key) {
        return Err(Error::new(format!("a disabled or broken file here may be the plugin `{}`", key.id))
            .hinted("delete that file first, or exclude it in watch.toml"));
    }
    Ok(())
}
