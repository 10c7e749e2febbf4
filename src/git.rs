//! Asks git which commit a file belongs to, for the message that a deploy leaves in the server's history. Without git,
//! without a repository, or in one that git does not trust, the message has no commit.
//!
//! A save does not start a process: that takes longer (2 to 8 ms measured) than everything else between the save and
//! its request. The answers of git are kept, and the small files in which git stores HEAD show whether it has moved.
//! Only the first save after a commit lists the files again.
//!
//! A file belongs to the nearest repository above it, which may be a submodule or a linked work tree. Nothing in the
//! repository is run: no hooks, no monitors, no fetching.
#![expect(clippy::disallowed_methods, reason = "the one place that runs git")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::paths::{canonical, slashed};
use crate::plugin::kind;
use crate::regular_file;

/// The timeout of one git command.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a deploy waits for git. A disk may have to wake up first.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most bytes to read from a file with the name of a branch or commit.
const LARGEST_REFERENCE: u64 = 64 * 1024;

/// How many digits of a commit's id to show: as many as git shows in a repository of usual size.
const SHORT: usize = 7;

/// Variables that would lead git to another repository than the file's. A hook sets some of them.
const REDIRECTS_GIT: [&str; 11] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// Variables that a service manager sets for its service alone.
const FOR_THE_SERVICE: [&str; 4] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"];

/// The commit that is checked out, and how the text differs from it, as the message of a deploy says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The commit has this very text.
    Same(String),
    /// The commit has the file with another text.
    Changed(String),
    /// The commit does not have the file.
    Without(String),
    /// The repository has no commit yet.
    NoCommit,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stamp::Same(commit) => write!(f, "commit {commit}"),
            Stamp::Changed(commit) => write!(f, "commit {commit} with uncommitted changes"),
            Stamp::Without(commit) => write!(f, "commit {commit} without this file"),
            Stamp::NoCommit => f.write_str("no commit yet"),
        }
    }
}

/// The repositories of the plugins, as last read.
#[derive(Clone)]
pub struct Git {
    roots: Arc<[PathBuf]>,
    known: Arc<Mutex<Known>>,
}

/// By the folder with the `.git`; `None` if git gave no answer, so that not every save asks again.
type Known = BTreeMap<PathBuf, Option<Repository>>;

impl Git {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots: roots.into(), known: Arc::default() }
    }

    /// Starts to read all repositories, without waiting for git.
    pub fn prepare(&self) {
        let git = self.clone();
        tokio::spawn(async move {
            let mut known = git.known.lock().await;
            let of_roots = git.roots.iter().filter_map(|root| top_of(&canonical(root).ok()?));
            let tops: BTreeSet<_> = known.keys().cloned().chain(of_roots).collect();
            for top in tops {
                let repository = Repository::load(&top, &git.roots).await;
                known.insert(top, repository);
            }
        });
    }

    /// The commit for the message of a deploy. `text` is the file's, without a byte order mark and with `\n` line ends.
    /// `None` if git has no answer in time.
    pub async fn stamp(&self, file: &Path, text: &Arc<str>) -> Option<Stamp> {
        // If it takes too long for this deploy, it goes on for the next one.
        let look = tokio::spawn(self.clone().look(file.to_owned(), Arc::clone(text)));
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(stamp)) => stamp,
            Ok(Err(error)) => resume_unwind(error.into_panic()),
            Err(_) => {
                tracing::debug!(?file, "git takes too long");
                None
            }
        }
    }

    async fn look(self, file: PathBuf, text: Arc<str>) -> Option<Stamp> {
        let file = canonical(&file).ok()?;
        let top = top_of(file.parent()?)?;
        let inside: Vec<_> = file.strip_prefix(&top).ok()?.iter().map(OsStr::as_encoded_bytes).collect();
        let mut known = self.known.lock().await;
        let repository = match known.remove(&top) {
            Some(Some(repository)) => repository.refreshed(&top, &self.roots).await,
            Some(None) => None,
            None => Repository::load(&top, &self.roots).await,
        };
        let stamp = repository.as_ref().map(|repository| repository.stamp(&inside.join(&b'/'), &text));
        known.insert(top, repository);
        stamp
    }
}

/// How a secret file may get into a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// Git tracks it.
    Tracked,
    /// Git does not ignore it, so that `git add .` adds it.
    NotIgnored,
}

impl Leak {
    /// What is wrong with a file that holds an API key, and the remedy.
    #[must_use]
    pub fn words(self, file: &Path) -> (String, String) {
        let shown = slashed(&file);
        match self {
            Leak::Tracked => (
                format!("git tracks `{shown}`, which holds an API key"),
                format!("git rm --cached {shown}, and add it to .gitignore; then replace the key on the server"),
            ),
            Leak::NotIgnored => {
                (format!("git does not ignore `{shown}`, which holds an API key"), format!("add {shown} to .gitignore"))
            }
        }
    }
}

/// Git is missing, or refuses to read the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// How this file may get into its repository; `None` if git ignores it, or there is no repository.
///
/// # Errors
/// If git has no answer.
pub async fn leak(file: &Path) -> Result<Option<Leak>, NoAnswer> {
    // Git stores only the path of a link.
    let file = canonical(file).map_err(|_| NoAnswer)?;
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Ok(None) };
    if top_of(folder).is_none() {
        return Ok(None);
    }
    let asked = ["ls-files", "-t", "-z", "--cached", "--others", "--exclude-standard", "--"].map(OsStr::new);
    let listed = git(folder, asked.into_iter().chain([name])).await.and_then(good).ok_or(NoAnswer)?;
    Ok(match listed.first() {
        None => None,
        Some(b'?') => Some(Leak::NotIgnored),
        Some(_) => Some(Leak::Tracked),
    })
}

/// Whether git tracks files in this folder, or the folder itself as a link. False if git has no answer.
pub async fn tracks(folder: &Path) -> bool {
    let Ok(full) = std::path::absolute(folder) else { return false };
    let (Some(around), Some(name), true) = (full.parent(), full.file_name(), full.symlink_metadata().is_ok()) else {
        return false;
    };
    if top_of(around).is_none() {
        return false;
    }
    let asked = ["ls-files", "--cached", "-z", "--"].map(OsStr::new);
    let listed = git(around, asked.into_iter().chain([name])).await.and_then(good);
    listed.is_some_and(|listed| !listed.is_empty())
}

/// The folders of a repository that plugins can be in; none means everywhere.
fn folders(top: &Path, roots: &[PathBuf]) -> Vec<PathBuf> {
    let roots: Vec<_> = roots.iter().filter_map(|root| canonical(root).ok()).collect();
    if roots.iter().any(|root| top.starts_with(root)) {
        return Vec::new();
    }
    roots.iter().filter_map(|root| root.strip_prefix(top).ok()).map(Path::to_owned).collect()
}

/// The nearest folder, upwards from this one, that has a `.git`.
fn top_of(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned)
}

/// A work tree, and the commit that is checked out.
struct Repository {
    places: Places,
    trace: Trace,
    commit: Option<String>,
    /// The ids of the commit's Python files, by path.
    blobs: BTreeMap<Vec<u8>, String>,
}

/// The folders with git's own files: those of this work tree, and those of the whole repository.
struct Places {
    own: PathBuf,
    common: PathBuf,
}

impl Repository {
    async fn load(top: &Path, roots: &[PathBuf]) -> Option<Self> {
        let asked = ["rev-parse", "--show-toplevel", "--git-dir", "--git-common-dir"];
        let said = String::from_utf8(good(git(top, asked).await?)?).ok()?;
        let [there, own, common] = said.lines().collect::<Vec<_>>().try_into().ok()?;
        // A folder that git does not take for a repository may lie in another one.
        if canonical(Path::new(there)).ok()? != top {
            return None;
        }
        Self::read(top, Places { own: top.join(own), common: top.join(common) }, roots).await
    }

    /// Reads it again if HEAD has moved.
    async fn refreshed(self, top: &Path, roots: &[PathBuf]) -> Option<Self> {
        match Trace::read(&self.places) {
            Some(trace) if trace == self.trace => Some(self),
            Some(_) => Self::read(top, self.places, roots).await,
            None => Self::load(top, roots).await,
        }
    }

    async fn read(top: &Path, places: Places, roots: &[PathBuf]) -> Option<Self> {
        // If HEAD moves from here on, the next save sees it.
        let trace = Trace::read(&places)?;
        let commit = match trace.commit() {
            Some(commit) => Some(commit.to_owned()),
            None => head(top).await?,
        };
        let blobs = match &commit {
            Some(commit) => blobs(top, commit, &folders(top, roots)).await?,
            None => BTreeMap::new(),
        };
        tracing::debug!(?top, commit, files = blobs.len(), "git");
        Some(Self { places, trace, commit, blobs })
    }

    fn stamp(&self, path: &[u8], text: &str) -> Stamp {
        let Some(commit) = &self.commit else { return Stamp::NoCommit };
        let short = commit[..SHORT].to_owned();
        match self.blobs.get(path) {
            Some(id) if is_blob(text, id) => Stamp::Same(short),
            Some(_) => Stamp::Changed(short),
            None => Stamp::Without(short),
        }
    }
}

/// The commit of HEAD, by git; the inner `None` means that there is no commit yet.
async fn head(top: &Path) -> Option<Option<String>> {
    let output = git(top, ["rev-parse", "--verify", "--quiet", "HEAD"]).await?;
    if output.status.code() == Some(1) && output.stdout.is_empty() {
        return Some(None);
    }
    let said = String::from_utf8(good(output)?).ok()?;
    Some(Some(id(&said)?.to_owned()))
}

/// The ids of a commit's Python files, by path.
async fn blobs(top: &Path, commit: &str, folders: &[PathBuf]) -> Option<BTreeMap<Vec<u8>, String>> {
    let asked = ["ls-tree", "-r", "-z", commit, "--"].map(OsStr::new);
    let listed = good(git(top, asked.into_iter().chain(folders.iter().map(|folder| folder.as_os_str()))).await?)?;
    // <mode> SP <type> SP <id> TAB <path> NUL
    let entry = |entry: &[u8]| {
        let tab = entry.iter().position(|byte| *byte == b'\t')?;
        let id = str::from_utf8(&entry[..tab]).ok()?.rsplit(' ').next()?;
        Some((entry[tab + 1..].to_owned(), id.to_owned()))
    };
    let python = listed.split(|byte| *byte == 0).filter(|entry| kind::names_source(entry));
    Some(python.filter_map(entry).collect())
}

/// The contents of the files that change when HEAD moves.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    head: String,
    branch: Option<String>,
    /// For repositories whose branches have no files of their own.
    tables: [Option<(SystemTime, u64)>; 3],
}

impl Trace {
    fn read(places: &Places) -> Option<Self> {
        let head = reference(&places.own.join("HEAD"))?;
        let name = head.strip_prefix("ref:").map(str::trim).filter(|name| name.starts_with("refs/"));
        let branch = name.and_then(|name| reference(&places.common.join(name)));
        let tables = match (name, &branch) {
            (Some(_), None) => {
                let [own, common] = [&places.own, &places.common].map(|folder| folder.join("reftable/tables.list"));
                [places.common.join("packed-refs"), own, common].map(|path| written(&path))
            }
            (Some(_), Some(_)) | (None, _) => [None; 3],
        };
        Some(Self { head, branch, tables })
    }

    /// The commit, if one of the files names it.
    fn commit(&self) -> Option<&str> {
        id(self.branch.as_ref().unwrap_or(&self.head))
    }
}

/// A file's time of modification and length.
fn written(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = path.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The content of a file with the name of a commit or branch.
fn reference(path: &Path) -> Option<String> {
    String::from_utf8(regular_file::read(path, LARGEST_REFERENCE).ok()?).ok()
}

/// The id of an object, if that is the whole line: a SHA-1, or a SHA-256 in repositories that use it.
fn id(line: &str) -> Option<&str> {
    let id = line.trim_end();
    (matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// Whether this is the id of the text, in any of the forms that it may have in a repository.
fn is_blob(text: &str, id: &str) -> bool {
    let digest = if id.len() == 64 { blob_id::<Sha256> } else { blob_id::<Sha1> };
    digest(text) == id || {
        let on_windows = text.replace('\n', "\r\n");
        digest(&on_windows) == id || [text, &on_windows].iter().any(|text| digest(&format!("\u{feff}{text}")) == id)
    }
}

fn blob_id<D: Digest>(text: &str) -> String {
    let digest = D::new().chain_update(format!("blob {}\0", text.len())).chain_update(text).finalize();
    digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Runs git. `None` if it does not start, or does not end in time.
async fn git(top: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Option<Output> {
    let mut command = Command::new("git");
    command.args(["--no-pager", "--literal-pathspecs", "-c", "core.fsmonitor=false", "-C"]).arg(top).args(arguments);
    for name in REDIRECTS_GIT.iter().chain(&FOR_THE_SERVICE) {
        command.env_remove(name);
    }
    // No program that git starts may have the key.
    command.env_remove("OPENWEBUI_API_KEY");
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    // A partial clone must not fetch missing objects. Versions before 2.44 know only the second.
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
    command.stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) => Some(output),
        Ok(Err(error)) => {
            tracing::debug!(%error, "git does not start");
            None
        }
        Err(_) => {
            tracing::debug!(?top, "git does not end");
            None
        }
    }
}

/// The output, if git succeeded.
fn good(output: Output) -> Option<Vec<u8>> {
    if output.status.success() {
        return Some(output.stdout);
    }
    tracing::debug!(words = %String::from_utf8_lossy(&output.stderr).trim(), "git refuses");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_message() {
        let commit = || "abc1234".to_owned();
        for (stamp, words) in [
            (Stamp::Same(commit()), "commit abc1234"),
            (Stamp::Changed(commit()), "commit abc1234 with uncommitted changes"),
            (Stamp::Without(commit()), "commit abc1234 without this file"),
            (Stamp::NoCommit, "no commit yet"),
        ] {
            assert_eq!(stamp.to_string(), words);
        }
    }

    #[test]
    fn a_text_is_known_by_its_id_in_every_form() {
        // Each by `git hash-object --stdin`.
        for (id, form) in [
            ("223ca50d99502c4cf15a026d366965225e573961", "as it is sent"),
            ("b4e31d45a6a970c70dbc92b5b432f46b5d3386d6", "with the line ends of Windows"),
            ("9afb78beb1015b3258e7671d7904b1a19cf89af8", "with a byte order mark"),
            ("caf1f8423e4850457808bea13e3bc938a794104d", "with both"),
            ("246cdb0d9b789516a1bd68f6a0ab2981bd0c84f272d6b8504ee7ce85b4313fed", "in a repository of SHA-256"),
        ] {
            assert!(is_blob("a = 1\nb = 2\n", id), "{form}");
            assert!(!is_blob("a = 1\nb = 3\n", id), "{form}");
        }
    }

    #[test]
    fn an_id_is_all_of_the_line() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(id(&format!("{sha}\n")), Some(sha));
        for line in ["", "ref: refs/heads/main\n", &sha[1..], &sha.replace('0', "g"), &format!("{sha} {sha}")] {
            assert_eq!(id(line), None, "{line}");
        }
    }

    #[test]
    fn the_folders_to_list() {
        let folder = tempfile::tempdir().unwrap();
        let top = canonical(folder.path()).unwrap();
        for inside in ["repository/plugins", "repository/more", "elsewhere"] {
            std::fs::create_dir_all(top.join(inside)).unwrap();
        }
        let listed = |roots: &[&str]| {
            let roots: Vec<_> = roots.iter().map(|root| top.join(root)).collect();
            folders(&top.join("repository"), &roots)
        };
        assert_eq!(
            listed(&["repository/plugins", "repository/more", "elsewhere", "gone"]),
            ["plugins", "more"].map(PathBuf::from)
        );
        let everywhere: [PathBuf; 0] = [];
        assert_eq!(listed(&["repository"]), everywhere);
        assert_eq!(listed(&["", "elsewhere"]), everywhere);
    }
}
