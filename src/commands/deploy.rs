//! Asks the running watch for a deploy, and prints its answer.

use super::CommandContext;
use super::target::Files;
use crate::disk::{Other, Request, RequestId, Requested};
use crate::engine::Code;
use crate::error::Error;
use crate::notice::Level;
use crate::paths::without_dots;

/// After so many looks the watch should have taken the request.
const PATIENCE: u32 = 500;
/// With each so many looks, see whether the watch still runs.
const SIGN_OF_LIFE: u32 = 50;

/// A request to the running watch.
pub struct DeployRequest<'a> {
    context: &'a CommandContext,
    id: RequestId,
    watch: Other,
    looks: u32,
}

/// What has become of a request.
pub enum RequestProgress {
    /// No answer yet.
    Open,
    /// The answer was printed.
    Answered(Code),
    /// The watch ended without an answer.
    WatchGone,
}

impl<'a> DeployRequest<'a> {
    /// Asks the running watch to deploy these plugins; `None` if no watch runs for this project and server.
    ///
    /// # Errors
    ///
    /// A word names no plugin here, or the state folder cannot be written.
    pub async fn send(context: &'a CommandContext, words: &[String]) -> Result<Option<Self>, Error> {
        let Some(watch) = context.folder.holder() else { return Ok(None) };
        let files = Files::read(&context.config)?;
        let commands = &context.screen.commands;
        let commands_json = serde_json::to_value(commands).unwrap_or_default();
        let mut request = Request { commands: commands_json, ..Request::default() };
        for word in words {
            for target in files.select(&context.spelled(word), context, None).await? {
                let Some(local) = &target.local else {
                    return Err(Error::new(format!("{} has no file here", target.key))
                        .hinted(format!("{} writes one", commands.line("pull", target.key.id.as_str()))));
                };
                // The watch may run in another folder.
                let path = without_dots(&context.cwd.join(&local.path));
                let requested = Requested::new(&target.key, &path);
                if !request.plugins.contains(&requested) {
                    request.plugins.push(requested);
                }
            }
        }
        let id = context.folder.save_request(&request)?;
        Ok(Some(Self { context, id, watch, looks: 0 }))
    }

    /// Looks for the answer, and prints it.
    ///
    /// # Errors
    ///
    /// The watch does not take the request.
    pub fn poll(&mut self) -> Result<RequestProgress, Error> {
        let folder = &self.context.folder;
        self.looks += 1;
        if let Some(answer) = folder.take_answer(&self.id) {
            for told in answer.told {
                let level = Level::of_name(&told.level).unwrap_or(Level::Info);
                self.context.screen.relay(level, &told.line, &told.more, &told.json);
            }
            let codes = [Code::Fine, Code::NotDeployed, Code::NoServer];
            let code = codes.into_iter().find(|code| *code as u8 == answer.code);
            return Ok(RequestProgress::Answered(code.unwrap_or(Code::NotDeployed)));
        }
        if self.looks.is_multiple_of(SIGN_OF_LIFE) && folder.holder().is_none() {
            folder.clear_request(&self.id)?;
            return Ok(RequestProgress::WatchGone);
        }
        if self.looks >= PATIENCE && folder.has_request(&self.id) {
            folder.clear_request(&self.id)?;
            return Err(Error::failed(format!("{} deploys from here, but does not answer the request", self.watch)));
        }
        Ok(RequestProgress::Open)
    }
}
