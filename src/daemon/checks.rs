//! Checks a plugin after its deploy, off the loop, one at a time, and once no plugin waits to be sent: a save reaches
//! the server no later. Each text's diagnostics are told once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::check::{self, Options};
use crate::config::Config;
use crate::disk::file;
use crate::notice::{Notice, NoticeKind, Subject, may_change_checks};
use crate::plugin::{Diagnostic, Digest, FileSettings, Key, Severity, parse_and};
use crate::server_version::ServerVersion;

/// The checks of a watch.
pub(super) struct Checks {
    waiting: BTreeMap<Key, Check>,
    running: Option<(Key, JoinHandle<Vec<Notice>>)>,
    /// The texts whose diagnostics were told, or are being looked for.
    told: BTreeMap<Key, Digest>,
    /// A pass is running. It deploys plugins that nobody has just edited, so they are not checked.
    in_pass: bool,
    /// The server's, once it is known.
    version: ServerVersion,
}

/// The check of one plugin.
struct Check {
    about: Subject,
    path: Arc<Path>,
    digest: Digest,
    settings: FileSettings,
    options: Options,
}

impl Default for Checks {
    fn default() -> Self {
        let version = ServerVersion::of_server(None);
        Self { waiting: BTreeMap::new(), running: None, told: BTreeMap::new(), in_pass: false, version }
    }
}

impl Checks {
    /// Queues the plugin that a notice says was deployed.
    pub(super) fn hear(&mut self, notice: &Notice, config: &Config) {
        match &notice.what {
            NoticeKind::Connected { version, .. } => {
                self.version = ServerVersion::of_server(Some(version));
            }
            // Other rules may hold now.
            NoticeKind::Reloaded { changed, .. } if may_change_checks(changed) => self.told.clear(),
            NoticeKind::Pass { .. } => self.in_pass = true,
            NoticeKind::Summary { .. } => self.in_pass = false,
            NoticeKind::Created { .. } | NoticeKind::Updated { .. } if !self.in_pass => {
                self.push(&notice.about, config);
            }
            _ => {}
        }
    }

    fn push(&mut self, about: &Subject, config: &Config) {
        let Subject { key: Some(key), path: Some(path), digest: Some(digest), .. } = about else { return };
        if self.told.insert(key.clone(), *digest) == Some(*digest) {
            return;
        }
        let check = Check {
            about: about.clone(),
            path: Arc::clone(path),
            digest: *digest,
            settings: config.files.get(&**path).cloned().unwrap_or_default(),
            options: config.checks.options(path, self.version),
        };
        self.waiting.insert(key.clone(), check);
    }

    /// Whether what is wrong with a plugin is still being looked for.
    pub(super) fn is_checking(&self, key: &Key) -> bool {
        self.waiting.contains_key(key) || self.running.as_ref().is_some_and(|(running, _)| running == key)
    }

    /// Has the diagnostics of a plugin told once more, although its text is the same.
    pub(super) fn forget(&mut self, key: &Key) {
        self.told.remove(key);
    }

    /// Waits for the diagnostics of a plugin, forever if none is checked. Starts the next check if there is time for
    /// it, or if an answer waits for it.
    pub(super) async fn next(&mut self, has_time: bool, is_awaited: impl Fn(&Key) -> bool) -> Vec<Notice> {
        if self.running.is_none() {
            let mut keys = self.waiting.keys();
            let next = keys.clone().find(|key| is_awaited(key)).or_else(|| keys.next().filter(|_| has_time));
            if let Some((key, check)) = next.cloned().and_then(|key| self.waiting.remove_entry(&key)) {
                self.running = Some((key, tokio::task::spawn_blocking(move || check.run())));
            }
        }
        let Some((_, running)) = &mut self.running else { return std::future::pending().await };
        let found = running.await;
        self.running = None;
        // A rule that panics says nothing.
        found.unwrap_or_default()
    }
}

impl Check {
    fn run(self) -> Vec<Notice> {
        let Self { about, path, digest, settings, options } = self;
        let notice = |diagnostic| Notice { about: about.clone(), what: NoticeKind::Surprising(diagnostic) };
        diagnostics(&path, &settings, digest, &options).into_iter().map(notice).collect()
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;
    use crate::cli::Args;
    use crate::config::{self, World};
    use crate::plugin::{self, Parsed};

    /// Whether it waits at this moment.
    async fn is_pending(future: impl Future<Output = Vec<Notice>>) -> bool {
        let mut future = pin!(future);
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a test sets its own scene")]
    async fn checks_wait_while_plugins_are_sent() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plugins")).unwrap();
        let world = World { cwd: folder.path().to_owned(), ..World::default() };
        let config = config::read(&Args::default(), &world).config.unwrap();
        let mut checks = Checks::default();
        for name in ["a.py", "b.py"] {
            let path: Arc<Path> = Arc::from(folder.path().join(name));
            let text = "class Pipe:\n    def pip(self, body):\n        return body\n";
            std::fs::write(&path, text).unwrap();
            let Parsed::Plugin(plugin) = plugin::parse(&path, text.as_bytes(), &FileSettings::default()) else {
                panic!()
            };
            let about = Subject::from(&*plugin);
            checks.push(&about, &config);
            checks.push(&about, &config);
        }
        assert!(is_pending(checks.next(false, |_| false)).await && checks.running.is_none());
        for left in [1, 0] {
            let found = checks.next(true, |_| false).await;
            assert!(matches!(found[0].what, NoticeKind::Surprising(_)), "{found:?}");
            assert_eq!(checks.waiting.len(), left, "each text is checked once");
        }
    }
}
