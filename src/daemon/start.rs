//! The parts of a start: settings turned into a plan, the state folder, the watcher. Made before a running daemon is
//! replaced, so that a start that fails leaves it running.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::client::Client;
use crate::config::{Config, Reading, Sources};
use crate::disk::{Folder, Plugins, State, StateError};
use crate::engine::Policy;
use crate::engine::ledger::SavedState;
use crate::error::Error;
use crate::git;
use crate::watcher::{Sign, Watcher};

use super::keys::KeyPrograms;

/// The input of a run.
pub struct Setup<'a> {
    /// The settings to begin with.
    pub config: Config,
    /// The files that they were read from.
    pub sources: Sources,
    /// Reads the settings again.
    pub read: &'a dyn Fn() -> Reading,
    /// Turns settings into a plan.
    pub plan: &'a dyn Fn(Config) -> Result<Plan, Error>,
    /// Whether to wait for another owui-watch on the same project and server to exit.
    pub wait: bool,
    /// The programs that keys run.
    pub keys: KeyPrograms,
}

/// Settings, flags and arguments, combined.
#[derive(Clone)]
pub struct Plan {
    /// The settings.
    pub config: Config,
    /// The engine's policy.
    pub policy: Policy,
    /// The server.
    pub client: Client,
    /// The server, for trials after deploys; `None` where nothing is tried.
    pub trial_client: Option<Client>,
}

/// The parts of a start that can fail, made before the running daemon is replaced.
pub(super) struct Start {
    pub(super) plan: Plan,
    pub(super) plugins: Plugins,
    pub(super) watcher: Option<Watcher>,
    pub(super) signs: UnboundedReceiver<Sign>,
    /// `None` for a dry run, and if the running daemon already holds the lock.
    pub(super) state: Option<State>,
}

impl Start {
    pub(super) fn new(plan: Plan, state: Option<State>) -> Result<Self, Error> {
        let Plan { config, policy, .. } = &plan;
        let (send, signs) = unbounded_channel();
        let watcher = match policy.once {
            Some(_) => None,
            // A closed channel means that the program is ending.
            None => Some(Watcher::new(&config.roots, config.debounce, config.poll, move |sign| {
                send.send(sign).ok();
            })?),
        };
        let plugins = Plugins::new(
            config.roots.clone(),
            &config.exclude,
            &config.state,
            config.files.clone(),
            config.follow_links,
        )?
        .within(&config.root_bounds);
        Ok(Self { plan, plugins, watcher, signs, state })
    }
}

/// Refuses a state folder that git tracks: it would travel with every clone, and so would planted state.
pub async fn refuse_tracked(state: &Path) -> Result<(), StateError> {
    if git::tracks(state).await { Err(StateError::tracked(state)) } else { Ok(()) }
}

/// Opens the state folder. `None` for a dry run, and if `held`, that of the running daemon, is the same.
pub(super) async fn open_state(plan: &Plan, held: Option<&State>) -> Result<Option<State>, StateError> {
    let Plan { config, policy, .. } = plan;
    if policy.deploy.dry_run || held.is_some_and(|state| state.is_of(&config.state, &config.url)) {
        return Ok(None);
    }
    refuse_tracked(&config.state).await?;
    State::open(config.state.clone(), &config.url).map(Some)
}

/// The state that an earlier run saved, and why it cannot be used, if so.
pub(super) fn saved_state(start: &Start) -> (SavedState, Option<StateError>) {
    let Start { plan: Plan { config, .. }, state, .. } = start;
    if let Some(state) = state {
        let (ledger, trouble) = state.load();
        return (SavedState { ledger, rollbacks: state.rollbacks(), intents: state.intents() }, trouble);
    }
    // A dry run repairs nothing.
    let folder = Folder::new(config.state.clone(), &config.url);
    (SavedState { ledger: folder.peek(), rollbacks: folder.rollbacks(), intents: BTreeMap::new() }, None)
}
