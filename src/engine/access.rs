//! Whether a server can be used, and the plugins that it lists.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Ticket;
use super::call::Reply;
use super::duplicate::Identity;
use super::plan::Remote;
use crate::plugin::{Digest, Key, Kind};

/// Whether the server can be used.
#[derive(Debug)]
pub(super) enum Access {
    /// A probe is running.
    Probing(Probe),
    /// It grants access.
    Open,
    /// Unreachable when last `tried`; tried again at `until`. `asked`: the server itself named the pause.
    Away { tried: Duration, until: Duration, asked: bool },
    /// Not probed yet, or it denied access: probed again at `until`, since an admin may fix that on the server.
    Denied { until: Option<Duration> },
}

/// Why a server that answers cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// The key or its role is not enough.
    NotAllowed { status: u16, words: String },
    /// It is not Open WebUI.
    Foreign { status: u16, words: String },
}

/// An outage of the server, over several probes. A server that answers a probe but no deploy is not back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) since: Duration,
    pub(super) attempts: u32,
    /// It answered the last probe, but denied access.
    pub(super) denied: bool,
}

/// A look at the server: its version and what it holds.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) connecting: Option<Ticket>,
    /// The answer that ends it.
    pub(super) failure: Option<Reply>,
    pub(super) version: Option<String>,
    /// `None` until the tables have been requested.
    pub(super) overviews: Option<BTreeMap<Ticket, Kind>>,
    pub(super) holds: ServerListing,
}

/// The plugins on the server, as the overviews list them.
#[derive(Debug, Default)]
pub(super) struct ServerListing {
    /// The kinds with an overview: those of the files here when it was requested.
    pub(super) kinds: BTreeSet<Kind>,
    pub(super) rows: BTreeMap<Key, Seen>,
    /// Plugins with a conversation that ended after the overviews were requested: their rows may be outdated.
    pub(super) ended: BTreeSet<Key>,
}

impl ServerListing {
    /// What they say of one plugin. One listed without its text counts as not listed: it is asked for by its id.
    pub(super) fn of(&self, key: &Key) -> Remote {
        self.rows.get(key).and_then(|seen| seen.digest).map_or(Remote::NotListed, Remote::Holds)
    }

    /// Whether they list any plugin of this kind.
    pub(super) fn lists(&self, kind: Kind) -> bool {
        self.rows.keys().any(|key| key.kind == kind)
    }

    /// Whether there is an overview of its kind that does not list it.
    pub(super) fn lacks(&self, key: &Key) -> bool {
        self.kinds.contains(&key.kind) && !self.rows.contains_key(key) && !self.ended.contains(key)
    }

    /// Forgets the overview of this kind: there is a newer one.
    pub(super) fn outdate(&mut self, kind: Kind) {
        self.kinds.remove(&kind);
        self.rows.retain(|key, _| key.kind != kind);
    }
}

/// One plugin in an overview.
#[derive(Debug)]
pub(super) struct Seen {
    /// The digest of its text, if the server shows that.
    pub(super) digest: Option<Digest>,
    /// Whether it is on; functions only.
    pub(super) is_active: Option<bool>,
    pub(super) identity: Identity,
}
