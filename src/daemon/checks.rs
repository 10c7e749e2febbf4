//! Checks a plugin once its deploy is through, off the loop: the way of a save to the server gets no longer. Each text's
//! diagnostics are told once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::task::{Id, JoinSet};

use crate::check::{self, Options, ServerVersion};
use crate::config::Config;
use crate::disk::file;
use crate::notice::{Notice, NoticeKind, Subject};
use crate::plugin::{Diagnostic, Digest, FileSettings, Key, Severity, parse_and};

/// The checks of a watch.
pub(super) struct Checks {
    running: JoinSet<Vec<Notice>>,
    /// What runs.
    checking: Vec<(Id, Key)>,
    /// The texts whose diagnostics were told, or are being looked for.
    told: BTreeMap<Key, Digest>,
    /// A pass deploys many plugins, which nobody has just edited.
    in_pass: bool,
    /// The server's, once it is known.
    version: ServerVersion,
}

impl Default for Checks {
    fn default() -> Self {
        let (running, checking, told) = (JoinSet::new(), Vec::new(), BTreeMap::new());
        Self { running, checking, told, in_pass: false, version: ServerVersion::of_server(None) }
    }
}

impl Checks {
    /// Starts to check the plugin that a notice says was deployed.
    pub(super) fn hear(&mut self, notice: &Notice, config: &Config) {
        match &notice.what {
            NoticeKind::Connected { version, .. } => {
                self.version = ServerVersion::of_server(Some(version));
            }
            NoticeKind::Pass { .. } => self.in_pass = true,
            NoticeKind::Summary { .. } => self.in_pass = false,
            NoticeKind::Created { .. } | NoticeKind::Updated { .. } if !self.in_pass => {
                self.start(&notice.about, config);
            }
            _ => {}
        }
    }

    fn start(&mut self, about: &Subject, config: &Config) {
        let Subject { key: Some(key), path: Some(path), digest: Some(digest), .. } = about else { return };
        if self.told.insert(key.clone(), *digest) == Some(*digest) {
            return;
        }
        let options = config.checks.options(path, self.version);
        let settings = config.files.get(&**path).cloned().unwrap_or_default();
        let (about, path, digest) = (about.clone(), Arc::clone(path), *digest);
        let task = self.running.spawn_blocking(move || {
            let notice = |diagnostic| Notice { about: about.clone(), what: NoticeKind::Surprising(diagnostic) };
            diagnostics(&path, &settings, digest, &options).into_iter().map(notice).collect()
        });
        self.checking.push((task.id(), key.clone()));
    }

    /// Whether what is wrong with a plugin is still being looked for.
    pub(super) fn is_checking(&self, key: &Key) -> bool {
        self.checking.iter().any(|(_, checked)| checked == key)
    }

    /// Has the diagnostics of a plugin told once more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.told.remove(key);
    }

    /// Waits for the diagnostics of a plugin, forever if none is checked.
    pub(super) async fn next(&mut self) -> Vec<Notice> {
        let Some(ended) = self.running.join_next_with_id().await else { return std::future::pending().await };
        // A rule that panics says nothing.
        let (id, found) = ended.unwrap_or_else(|error| (error.id(), Vec::new()));
        self.checking.retain(|(task, _)| *task != id);
        found
    }
}

/// The errors and warnings of a file, if it still has the text that was deployed.
fn diagnostics(path: &Arc<Path>, settings: &FileSettings, digest: Digest, options: &Options) -> Vec<Diagnostic> {
    let Ok(bytes) = file::read(path) else { return Vec::new() };
    let mut found = Vec::new();
    drop(parse_and(path, &bytes, settings, |plugin, syntax| {
        if plugin.digest == digest {
            found = check::check_syntax(plugin, &plugin.text, syntax, options).diagnostics;
        }
    }));
    found.retain(|diagnostic| diagnostic.severity() != Severity::Info);
    found
}
