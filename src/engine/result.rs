//! How a plugin fared, in a pass or for a deploy request.

/// The result of a plugin in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassResult {
    /// New on the server.
    Created,
    /// Replaced on the server.
    Updated,
    /// On the server already.
    Unchanged,
    /// Refused by the server.
    Refused,
    /// Waiting for the user to decide.
    Held,
    /// Failed for another reason, or the function is off.
    Failed,
}

impl PassResult {
    /// Whether the server holds the text.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Created | Self::Updated | Self::Unchanged)
    }
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestResult {
    /// The deploy ended.
    Ended(PassResult),
    /// The server does not hold the text yet: it could not be reached, or used.
    Waits,
}
