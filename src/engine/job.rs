//! A task that waits in its lane for its turn.

use std::sync::Arc;
use std::time::Duration;

use super::plan::Why;
use super::removal::Mode;
use crate::plugin::{Digest, Plugin};

/// A task that waits for its turn.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) task: Task,
    /// When the save was seen, or the pass began.
    pub(super) since: Duration,
    pub(super) in_pass: bool,
}

#[derive(Debug)]
pub(super) enum Task {
    Deploy { plugin: Arc<Plugin>, why: Why },
    Recover,
    Remove { plugin: Arc<Plugin>, mode: Mode, deployed: Digest },
}

impl Job {
    /// The deploy that it is, if it is one.
    pub(super) fn deploy(&self) -> Option<(&Arc<Plugin>, Why)> {
        match &self.task {
            Task::Deploy { plugin, why } => Some((plugin, *why)),
            Task::Recover | Task::Remove { .. } => None,
        }
    }
}
