//! The counts of a pass.

/// How many plugins of a pass came to which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassSummary {
    /// New on the server (or would be).
    pub created: usize,
    /// Replaced on the server (or would be).
    pub updated: usize,
    /// On the server already.
    pub unchanged: usize,
    /// Refused by the server.
    pub refused: usize,
    /// Waiting for the user to decide.
    pub held: usize,
    /// Files with errors.
    pub skipped: usize,
    /// Failed for another reason.
    pub failed: usize,
    /// Folders that could not be read. They count as no plugin, since their content is unknown.
    pub unreadable_folders: usize,
}

impl PassSummary {
    /// How many plugins the pass was about.
    #[must_use]
    pub fn total(&self) -> usize {
        self.created + self.updated + self.unchanged + self.not_deployed()
    }

    /// How many plugins the server does not hold as their files have them.
    #[must_use]
    pub fn not_deployed(&self) -> usize {
        self.refused + self.held + self.skipped + self.failed
    }

    /// Whether the server holds every plugin as its file has it, as far as can be known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.not_deployed() == 0 && self.unreadable_folders == 0
    }
}
