//! The default policy of the engine's tests, the simulation and the benches.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use owui_watch::check::Choices;
use owui_watch::engine::deploy::{Adopt, DeployPolicy, OnRemoteEdit};
use owui_watch::engine::{OnDelete, Policy, ServerHabits};

/// The defaults, with less concurrency, so that scripts stay readable.
pub(crate) fn policy() -> Policy {
    Policy {
        roots: vec![PathBuf::from("plugins")],
        server: "http://server".to_owned(),
        configured: true,
        key: None,
        concurrency: NonZeroUsize::new(2).unwrap(),
        once: None,
        deploy: DeployPolicy {
            force: false,
            dry_run: false,
            activate_new: false,
            on_remote_edit: OnRemoteEdit::Backup,
            adopt: Adopt::Ask,
        },
        on_delete: OnDelete::Keep,
        gone_after: Duration::from_secs(30),
        keep_versions: None,
        named: Vec::new(),
        adopt_files: BTreeMap::new(),
        checks: Choices::default(),
        trials: None,
        habits: ServerHabits::default(),
        only: Vec::new(),
    }
}
