//! Checks a plugin after its deploy, off the loop, one at a time, and once no plugin waits to be sent: a save reaches the
//! server no later. Each text's diagnostics are told once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::check::{self, Options, ServerVersion};
use crate::config::Config;
use crate::disk::file;
use crate::notice::{Notice, NoticeKind, Subject};
use crate::plugin::{Diagnostic, Digest, FileSettings, Key, Severity, parse_and};

/// The checks of a watch.
pub(super) struct Checks {
    waiting: VecDeque<Check>,
    /// The plugins of these.
    waiting_keys: BTreeSet<Key>,
    /// The plugins that the user asked to deploy: the answer waits for their checks.
    requested: BTreeSet<Key>,
    running: Option<(Key, JoinHandle<Vec<Notice>>)>,
    /// The texts whose diagnostics were told, or are being looked for.
    told: BTreeMap<Key, Digest>,
    /// A pass deploys many plugins, which nobody has just edited.
    in_pass: bool,
    /// The server's, once it is known.
    version: ServerVersion,
}

/// The check of one plugin.
struct Check {
    key: Key,
    about: Subject,
    path: Arc<Path>,
    digest: Digest,
    settings: FileSettings,
    options: Options,
}

impl Default for Checks {
    fn default() -> Self {
        let version = ServerVersion::of_server(None);
        Self {
            waiting: VecDeque::new(),
            waiting_keys: BTreeSet::new(),
            requested: BTreeSet::new(),
            running: None,
            told: BTreeMap::new(),
            in_pass: false,
            version,
        }
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
            NoticeKind::Reloaded { changed, .. } if changed.iter().any(|key| matches!(*key, "check" | "plugins")) => {
                self.told.clear();
            }
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
        if !self.waiting_keys.insert(key.clone()) {
            self.waiting.retain(|check| check.key != *key);
        }
        let check = Check {
            key: key.clone(),
            about: about.clone(),
            path: Arc::clone(path),
            digest: *digest,
            settings: config.files.get(&**path).cloned().unwrap_or_default(),
            options: config.checks.options(path, self.version),
        };
        if self.requested.contains(key) {
            self.waiting.push_front(check);
        } else {
            self.waiting.push_back(check);
        }
    }

    /// Whether what is wrong with a plugin is still being looked for.
    pub(super) fn is_checking(&self, key: &Key) -> bool {
        self.waiting_keys.contains(key) || self.running.as_ref().is_some_and(|(running, _)| running == key)
    }

    /// The user asked to deploy a plugin: its diagnostics are told once more, and soon.
    pub(super) fn request(&mut self, key: &Key) {
        self.told.remove(key);
        self.requested.insert(key.clone());
    }

    /// That request was answered.
    pub(super) fn end_request(&mut self, key: &Key) {
        self.requested.remove(key);
    }

    /// Waits for the diagnostics of a plugin, forever if none is checked; starts the next check if there is time for it.
    pub(super) async fn next(&mut self, has_time: bool) -> Vec<Notice> {
        let is_requested = self.waiting.front().is_some_and(|check| self.requested.contains(&check.key));
        if self.running.is_none()
            && (has_time || is_requested)
            && let Some(check) = self.waiting.pop_front()
        {
            self.waiting_keys.remove(&check.key);
            self.running = Some((check.key.clone(), tokio::task::spawn_blocking(move || check.run())));
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
        let Self { about, path, digest, settings, options, .. } = self;
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
        assert!(is_pending(checks.next(false)).await && checks.running.is_none());
        for left in [1, 0] {
            let found = checks.next(true).await;
            assert!(matches!(found[0].what, NoticeKind::Surprising(_)), "{found:?}");
            assert_eq!(checks.waiting.len(), left, "each text is checked once");
        }
    }
}
