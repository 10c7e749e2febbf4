//! How old a file is.

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

/// How long ago a file was written. `None` if its time is in the future, as on some network drives: such a file must
/// not wait forever.
#[expect(clippy::disallowed_methods, reason = "a file's time is compared with the system's clock")]
pub(super) fn age(metadata: &Metadata) -> Option<Duration> {
    SystemTime::now().duration_since(metadata.modified().ok()?).ok()
}
