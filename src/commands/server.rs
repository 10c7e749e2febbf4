//! The server as the commands query it: an answer or an error.

use crate::client::Client;
use crate::config::Config;
use crate::engine::deploy::{Attached, Call, CallFailure, ListedRow, Reply, Row, Step, Version};
use crate::engine::switch::{self, Switch, Switching};
use crate::notice::{Notice, NoticeKind, call_failed, of_call};
use crate::plugin::id::PluginId;
use crate::plugin::{Key, Kind};

use super::CommandContext;
use crate::error::Error;
use crate::server_version::ServerVersion;

/// The server of a command.
#[derive(Clone, Copy)]
pub(super) struct Server<'a> {
    client: &'a Client,
    config: &'a Config,
    /// What it says of itself, once it was asked.
    pub(super) version: Option<ServerVersion>,
}

impl<'a> Server<'a> {
    /// A server that nobody has asked yet.
    pub(super) fn new(client: &'a Client, config: &'a Config) -> Self {
        Self { client, config, version: None }
    }

    /// Connects.
    pub(super) async fn connect(context: &'a CommandContext) -> Result<Self, Error> {
        let mut server = Self::new(&context.client, &context.config);
        if let Some(proxy) = context.client.proxy() {
            let (server, proxy) = (context.config.url.clone(), proxy.to_string());
            context.screen.say(&Notice::general(NoticeKind::Proxied { server, proxy }));
        }
        match context.client.call(Call::Connect).await {
            Reply::Connected { version } => {
                server.version = ServerVersion::reported(&version);
                Ok(server)
            }
            reply => Err(server.refusal(reply)),
        }
    }

    /// One row, with its text.
    pub(super) async fn row(&self, key: &Key) -> Result<Option<Row>, Error> {
        match self.client.call(Call::Get(key.clone())).await {
            Reply::Row(row) => Ok(Some(*row)),
            Reply::Absent => Ok(None),
            // This answer may mean that there is no such row. Reading the whole table tells.
            Reply::Unclear { words } => match self.rows(key.kind).await? {
                Some(rows) if rows.iter().all(|row| row.id != key.id) => Ok(None),
                Some(_) | None => Err(not_ours(key, &words)),
            },
            reply => Err(self.refusal(reply)),
        }
    }

    /// All rows of a table; `None` if it is too large.
    pub(super) async fn rows(&self, kind: Kind) -> Result<Option<Vec<ListedRow>>, Error> {
        self.listing(self.client.call(Call::Overview(kind)).await)
    }

    /// All rows of a table, with their texts; `None` if it is too large.
    pub(super) async fn rows_with_texts(&self, kind: Kind) -> Result<Option<Vec<ListedRow>>, Error> {
        self.listing(self.client.with_texts().call(Call::Overview(kind)).await)
    }

    fn listing(&self, reply: Reply) -> Result<Option<Vec<ListedRow>>, Error> {
        match reply {
            Reply::Rows(rows) => Ok(Some(rows)),
            Reply::Unusable { .. } => Ok(None),
            reply => Err(self.refusal(reply)),
        }
    }

    /// The server's versions of a row, newest first; `None` if this account may not see them.
    pub(super) async fn versions(&self, key: &Key) -> Result<Option<Vec<Version>>, Error> {
        match self.client.call(Call::Versions(key.clone())).await {
            Reply::Versions(versions) => Ok(Some(versions)),
            Reply::Absent => Ok(Some(Vec::new())),
            Reply::NotAllowed { .. } | Reply::Unclear { .. } => Ok(None),
            reply => Err(self.refusal(reply)),
        }
    }

    /// The text of a version, if the server returns it.
    pub(super) async fn version(&self, key: &Key, id: &str) -> Result<Option<String>, Error> {
        match self.client.call(Call::Version(key.clone(), id.to_owned())).await {
            Reply::Text(text) => Ok(Some(text)),
            // An unreadable version does not affect the others.
            Reply::Absent | Reply::Unusable { .. } => Ok(None),
            reply => Err(self.refusal(reply)),
        }
    }

    /// Deletes a row.
    pub(super) async fn delete(&self, key: &Key) -> Result<(), Error> {
        match self.client.call(Call::Delete(key.clone())).await {
            Reply::Deleted | Reply::Absent => {}
            // It may have arrived: the row tells.
            reply @ Reply::Lost { .. } => {
                if self.row(key).await?.is_some() {
                    return Err(self.refusal(reply));
                }
            }
            reply => return Err(self.refusal(reply)),
        }
        Ok(())
    }

    /// The functions that models use; `None` if this account may not see all models, or they cannot be read.
    pub(super) async fn attached(&self) -> Result<Option<Attached>, Error> {
        match self.client.call(Call::Attached).await {
            Reply::Attached(attached) => Ok(Some(attached)),
            Reply::NotAllowed { .. } | Reply::Foreign { .. } | Reply::Unusable { .. } => Ok(None),
            reply => Err(self.refusal(reply)),
        }
    }

    /// Sets a switch of a function.
    pub(super) async fn set(&self, id: &PluginId, switch: Switch, wanted: bool) -> switch::Outcome {
        let (mut switching, step) = Switching::start(id.clone(), switch, wanted);
        talk(self.client, step, |reply| switching.reply(reply)).await
    }

    /// The reply as an error, worded as for a deploy.
    pub(super) fn refusal(&self, reply: Reply) -> Error {
        self.error(&reply.into_failure())
    }

    /// A failed call as an error, worded as for a deploy.
    pub(super) fn error(&self, failure: &CallFailure) -> Error {
        let key = self.config.key_origin.as_ref().map(ToString::to_string);
        let hint = of_call(failure, self.config.has_address()).map(str::to_owned);
        Error::no_server(call_failed(failure, &self.config.url, key.as_deref())).hinted_if(hint)
    }
}

/// Conducts a conversation that saves nothing.
pub(super) async fn talk<O>(client: &Client, mut step: Step<O>, mut reply: impl FnMut(Reply) -> Step<O>) -> O {
    loop {
        step = match step {
            Step::Call(call) => reply(client.call(call).await),
            Step::Done(outcome) => return outcome,
            Step::SaveBackup(_) | Step::SaveIntent(_) | Step::Archive(..) => {
                unreachable!("it replaces no text of ours")
            }
        };
    }
}

fn not_ours(key: &Key, words: &str) -> Error {
    Error::failed(format!("cannot read {key} on the server: {words}"))
        .hinted("use the key of an admin or of the tool's owner")
}

/// The text of a row, whose `content` it is; an error if this account may not read it.
pub(super) fn text<'r>(key: &Key, content: Option<&'r str>) -> Result<&'r str, Error> {
    content.ok_or_else(|| not_ours(key, "it does not show its text to this key"))
}
