//! Runs plugins on the server after their deploys, with a client of their own, so that no deploy waits for a
//! connection.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::task::{AbortHandle, JoinSet};

use crate::client::Client;
use crate::config::{Config, TrySettings};
use crate::engine::deploy::{Call, CallFailure, Reply};
use crate::engine::{Event, Ticket, TrialOutcome};
use crate::notice::{Subject, Untried};
use crate::server_version::ServerVersion;
use crate::trial::{self, Obstacle, ObstacleKind, Wish};

/// The trials that run. Dropping it ends them.
pub(super) struct Trials {
    /// `None` where nothing is tried.
    client: Option<Client>,
    tables: BTreeMap<PathBuf, TrySettings>,
    running: JoinSet<(Ticket, TrialOutcome)>,
    handles: BTreeMap<Ticket, AbortHandle>,
}

impl Trials {
    pub(super) fn new(client: Option<Client>, config: &Config) -> Self {
        Self { client, tables: config.trials.clone(), running: JoinSet::new(), handles: BTreeMap::new() }
    }

    pub(super) fn start(&mut self, ticket: Ticket, about: Subject) {
        let Some(client) = self.client.clone() else { return };
        let table = about.path.as_ref().and_then(|path| self.tables.get(&**path));
        let wish = table.map(Wish::of_table).unwrap_or_default();
        let handle = self.running.spawn(async move { (ticket, outcome(&client, &about, &wish).await) });
        self.handles.insert(ticket, handle);
    }

    pub(super) fn end(&mut self, ticket: Ticket) {
        if let Some(handle) = self.handles.remove(&ticket) {
            handle.abort();
        }
    }

    /// Waits for the end of a trial; `None` if none runs.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            match self.running.join_next().await? {
                Ok((ticket, outcome)) => {
                    // One that was ended meanwhile has no answer.
                    if self.handles.remove(&ticket).is_some() {
                        return Some(Event::Tried(ticket, outcome));
                    }
                }
                Err(error) if error.is_cancelled() => {}
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }
}

async fn outcome(client: &Client, about: &Subject, wish: &Wish) -> TrialOutcome {
    let Some(key) = &about.key else { return TrialOutcome::Not(Untried::OtherText) };
    let tried = match client.call(Call::Connect).await {
        Reply::Connected { version } => {
            let version = ServerVersion::reported(&version);
            trial::run(trial::OnTrial { client, version, key, digest: about.digest }, wish).await
        }
        reply => Err(Obstacle::no_server(reply)),
    };
    match tried {
        Ok(attempts) => TrialOutcome::Tried(Box::new(trial::summed_up(attempts, wish))),
        Err(Obstacle { kind, why, remedy }) => TrialOutcome::Not(match kind {
            ObstacleKind::Off => Untried::Off,
            ObstacleKind::OtherText => Untried::OtherText,
            ObstacleKind::Impossible | ObstacleKind::Wish => Untried::Impossible { why, remedy },
            ObstacleKind::Disturbed(culprit) => Untried::Disturbed { by: why, culprit },
            ObstacleKind::NoServer(reply) => Untried::NoServer { why: cause(*reply) },
        }),
    }
}

fn cause(reply: Reply) -> String {
    match reply.into_failure() {
        CallFailure::Unreachable { cause, .. } => format!("the server is away: {cause}"),
        CallFailure::NotAllowed { words, .. } | CallFailure::NotOurs { words } => {
            format!("the server denied access: {words}")
        }
        CallFailure::Foreign { words, .. } | CallFailure::Odd { words } => words,
    }
}
