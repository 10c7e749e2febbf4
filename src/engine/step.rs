//! The next step of a conversation with the server: a deploy, a removal, a recovery or a switch.

use super::call::Call;
use super::ledger::UpdateIntent;
use crate::plugin::{Digest, Key};

/// The next step of a conversation.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Step<O> {
    /// Make this call; its reply continues the conversation.
    Call(Call),
    /// Save a copy of the server's text, which is about to be replaced; its path continues the conversation.
    SaveBackup(Backup),
    /// Save this intent; the text leaves once it is on disk.
    SaveIntent(UpdateIntent),
    /// Archive this text of ours, and take the next step at once.
    Archive(Backup, Box<Self>),
    /// Over.
    Done(O),
}

impl<O> Step<O> {
    /// The same step, with another type of outcome.
    pub(super) fn map_done<P>(self, done: impl FnOnce(O) -> P) -> Step<P> {
        match self {
            Step::Call(call) => Step::Call(call),
            Step::SaveBackup(backup) => Step::SaveBackup(backup),
            Step::SaveIntent(intent) => Step::SaveIntent(intent),
            Step::Archive(backup, next) => Step::Archive(backup, Box::new(next.map_done(done))),
            Step::Done(outcome) => Step::Done(done(outcome)),
        }
    }
}

/// A text, as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The plugin.
    pub key: Key,
    /// The text, unaltered.
    pub text: String,
    /// Its digest, which names the file.
    pub digest: Digest,
}
