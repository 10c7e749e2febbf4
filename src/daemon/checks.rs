//! Checks a plugin once its deploy is through, off the loop: the way of a save to the server gets no longer. Each text's
//! diagnostics are told once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::check::{self, Options, ServerVersion};
use crate::config::Config;
use crate::disk::file;
use crate::notice::{Notice, NoticeKind, Subject};
use crate::plugin::{Digest, FileSettings, Key, Parsed, Severity, parse};

/// The checks of a watch.
pub(super) struct Checks {
    send: UnboundedSender<Vec<Notice>>,
    receive: UnboundedReceiver<Vec<Notice>>,
    /// The texts whose diagnostics were told, or are being looked for.
    told: BTreeMap<Key, Digest>,
    /// A pass deploys many plugins, which nobody has just edited.
    in_pass: bool,
    /// The server's, once it is known.
    version: ServerVersion,
}

impl Default for Checks {
    fn default() -> Self {
        let (send, receive) = unbounded_channel();
        let (told, version) = (BTreeMap::new(), ServerVersion::of_server(None));
        Self { send, receive, told, in_pass: false, version }
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
        let (about, path, digest, send) = (about.clone(), Arc::clone(path), *digest, self.send.clone());
        tokio::task::spawn_blocking(move || {
            let notice = |diagnostic| Notice { about: about.clone(), what: NoticeKind::Surprising(diagnostic) };
            // The watch may have ended.
            send.send(diagnostics(&path, &settings, digest, &options).into_iter().map(notice).collect()).ok();
        });
    }

    /// Waits for the diagnostics of a plugin.
    pub(super) async fn next(&mut self) -> Vec<Notice> {
        // It has a sender itself, so the channel is never closed.
        self.receive.recv().await.unwrap_or_default()
    }
}

/// The errors and warnings of a file, if it still has the text that was deployed.
fn diagnostics(
    path: &Arc<Path>,
    settings: &FileSettings,
    digest: Digest,
    options: &Options,
) -> Vec<crate::plugin::Diagnostic> {
    let Ok(bytes) = file::read(path) else { return Vec::new() };
    let Parsed::Plugin(plugin) = parse(path, &bytes, settings) else { return Vec::new() };
    if plugin.digest != digest {
        return Vec::new();
    }
    let mut found = check::check(&plugin, &plugin.text, options);
    found.retain(|diagnostic| diagnostic.severity() != Severity::Info);
    found
}
