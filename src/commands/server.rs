//! The server, as the commands ask it: an answer, or the reason why there is none.

use serde_json::json;

use crate::client::Client;
use crate::config::{Config, DEFAULT_URL, Origin};
use crate::engine::deploy::{Call, CallFailure, Reply, Row, Version};
use crate::notice::{Level, Notice, NoticeKind};
use crate::plugin::{Key, Kind};

use super::CommandContext;
use super::screen::{Line, Screen};
use crate::error::Error;

/// The server of a command.
#[derive(Clone, Copy)]
pub(super) struct Server<'a> {
    client: &'a Client,
    config: &'a Config,
}

impl<'a> Server<'a> {
    /// Connects.
    pub(super) async fn connect(context: &'a CommandContext) -> Result<Self, Error> {
        let server = Self { client: &context.client, config: &context.config };
        if let Some(proxy) = context.client.proxy() {
            let url = &context.config.url;
            let line = Line::new("proxy", format!("{url} is reached through the proxy {proxy}")).level(Level::Detail);
            Screen::new(context).say(&line.with("server", json!(url)).with("proxy", json!(proxy)));
        }
        match context.client.call(Call::Connect).await {
            Reply::Connected { .. } => Ok(server),
            reply => Err(server.refusal(reply)),
        }
    }

    /// One row, with its text.
    pub(super) async fn row(&self, key: &Key) -> Result<Option<Row>, Error> {
        match self.client.call(Call::Get(key.clone())).await {
            Reply::Row(row) => Ok(Some(*row)),
            Reply::Absent => Ok(None),
            // Being turned away may mean that there is no such row. The key opens the table or it does not: that tells.
            Reply::Unclear { words } => match self.rows(key.kind).await? {
                Some(rows) if rows.iter().all(|row| row.id != key.id.as_str()) => Ok(None),
                Some(_) | None => Err(not_ours(key, &words)),
            },
            reply => Err(self.refusal(reply)),
        }
    }

    /// All rows of a table; nothing, if they are more than is read.
    pub(super) async fn rows(&self, kind: Kind) -> Result<Option<Vec<Row>>, Error> {
        match self.client.call(Call::Overview(kind)).await {
            Reply::Rows(rows) => Ok(Some(rows)),
            Reply::Unusable { .. } => Ok(None),
            reply => Err(self.refusal(reply)),
        }
    }

    /// The versions of a row that the server keeps, newest first; nothing, if this account may not see them.
    pub(super) async fn versions(&self, key: &Key) -> Result<Option<Vec<Version>>, Error> {
        match self.client.call(Call::Versions(key.clone())).await {
            Reply::Versions(versions) => Ok(Some(versions)),
            Reply::Absent => Ok(Some(Vec::new())),
            Reply::NotAllowed { .. } | Reply::Unclear { .. } => Ok(None),
            reply => Err(self.refusal(reply)),
        }
    }

    /// The text of one of them, if the server gives it.
    pub(super) async fn version(&self, key: &Key, id: &str) -> Result<Option<String>, Error> {
        match self.client.call(Call::Version(key.clone(), id.to_owned())).await {
            Reply::Text(text) => Ok(Some(text)),
            // An answer that makes no sense leaves the other versions alone.
            Reply::Absent | Reply::Unusable { .. } => Ok(None),
            reply => Err(self.refusal(reply)),
        }
    }

    /// The reply as an error, in the words of a deploy.
    fn refusal(&self, reply: Reply) -> Error {
        let server = self.config.url.clone();
        let key = || self.config.key_origin.as_ref().map(ToString::to_string);
        let (message, what) = match reply.into_failure() {
            CallFailure::Unreachable { cause, .. } => {
                let configured = self.config.url_origin != Origin::Default && server != DEFAULT_URL;
                let message = format!("cannot reach {server}: {cause}");
                (Some(message), NoticeKind::GaveUp { after: std::time::Duration::ZERO, cause, server, configured })
            }
            CallFailure::NotAllowed { status, words } => (None, NoticeKind::NotAllowed { status, words, key: key() }),
            CallFailure::NotOurs { words } => (None, NoticeKind::NotAllowed { status: 401, words, key: key() }),
            CallFailure::Foreign { status, words } => (None, NoticeKind::Foreign { server, status, words }),
            odd @ CallFailure::Odd { .. } => {
                (None, NoticeKind::Failed { failure: odd.into(), took: std::time::Duration::ZERO })
            }
        };
        let notice = Notice::general(what);
        Error::no_server(message.unwrap_or_else(|| notice.sentence())).hinted_if(notice.hint())
    }
}

fn not_ours(key: &Key, words: &str) -> Error {
    Error::failed(format!("cannot read {key} on the server: {words}"))
        .hinted("use the key of an admin or of the tool's owner")
}

/// The text of a row, which the server may not show to everybody.
pub(super) fn text<'r>(key: &Key, row: &'r Row) -> Result<&'r str, Error> {
    row.content.as_deref().ok_or_else(|| not_ours(key, "it does not show its text to this key"))
}
