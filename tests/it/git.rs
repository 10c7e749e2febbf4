//! The commit in a deploy's message, in repositories created by a real git.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use owui_watch::git::{Git, Stamp};
use tempfile::TempDir;

use crate::support::command::{Project, filter};
use crate::support::fake_server::FakeServer;

const A: &str = "plugins/a.py";

/// Runs git with default settings, which must succeed. Returns its output.
#[track_caller]
pub(crate) fn git(folder: &Path, line: &str) -> String {
    let run = tried(folder, line);
    run.unwrap_or_else(|words| panic!("git {line}: {words}"))
}

fn tried(folder: &Path, line: &str) -> Result<String, String> {
    let settings = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"];
    let mut command = Command::new("git");
    command.args(settings).args(line.split_whitespace()).current_dir(folder);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// A folder with `plugins/`, perhaps a repository.
struct World {
    folder: TempDir,
    git: Git,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        let git = Git::new(vec![folder.path().join("plugins")]);
        Self { folder, git }
    }

    /// A repository with `a.py` committed, created with these options.
    fn committed(options: &str) -> Self {
        let world = Self::new();
        world.git(&format!("init --quiet {options}"));
        world.write(A, "1\n");
        world.commit();
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[track_caller]
    fn git(&self, line: &str) -> String {
        git(self.folder.path(), line)
    }

    #[track_caller]
    fn commit(&self) {
        self.git("add --all");
        self.git("commit --quiet --allow-empty -m words");
    }

    /// The commit of a file with this text.
    async fn stamp(&self, path: &str, text: &str) -> Option<Stamp> {
        let text = Arc::from(text);
        // A busy machine may be slow; the result is there for the next call.
        for _ in 0..20 {
            let stamp = self.git.stamp(&self.path(path), &text).await;
            if stamp.is_some() {
                return stamp;
            }
        }
        None
    }
}

/// The commit that a work tree is at, as git shortens it.
#[track_caller]
pub(crate) fn at(folder: &Path) -> String {
    git(folder, "rev-parse --short=7 HEAD")
}

/// Checks a work tree: a file with `1` matches the commit, with `2` differs, and another is not in it.
async fn check(world: &World, folder: &str) {
    let commit = at(&world.path(folder));
    let path = |name: &str| format!("{folder}/{name}");
    world.write(&path("new.py"), "1\n");
    assert_eq!(world.stamp(&path("a.py"), "1\n").await, Some(Stamp::Same(commit.clone())));
    assert_eq!(world.stamp(&path("a.py"), "2\n").await, Some(Stamp::Changed(commit.clone())));
    assert_eq!(world.stamp(&path("new.py"), "1\n").await, Some(Stamp::Without(commit)));
    fs::remove_file(world.path(&path("new.py"))).unwrap();
}

#[tokio::test]
async fn a_commit() {
    let world = World::committed("");
    world.git.prepare();
    check(&world, "plugins").await;
}

#[tokio::test]
async fn each_commit_is_seen() {
    let world = World::committed("");
    check(&world, "plugins").await;
    for line in ["commit --quiet --amend -m other", "commit --quiet --allow-empty -m more", "checkout --quiet -b side"]
    {
        world.git(line);
        check(&world, "plugins").await;
    }
    world.write(A, "2\n");
    world.commit();
    assert_eq!(world.stamp(A, "2\n").await, Some(Stamp::Same(at(world.folder.path()))));
    world.git("reset --quiet --hard HEAD~");
    check(&world, "plugins").await;
}

#[tokio::test]
async fn what_is_staged_is_not_committed() {
    let world = World::committed("");
    world.write(A, "2\n");
    world.git("add --all");
    check(&world, "plugins").await;
}

#[tokio::test]
async fn no_branch() {
    let world = World::committed("");
    world.git("checkout --quiet --detach");
    check(&world, "plugins").await;
    world.git("commit --quiet --allow-empty -m more");
    check(&world, "plugins").await;
}

#[tokio::test]
async fn branches_without_files() {
    let world = World::committed("");
    check(&world, "plugins").await;
    world.git("gc --quiet");
    check(&world, "plugins").await;
    world.git("commit --quiet --allow-empty -m more");
    check(&world, "plugins").await;
    world.git("pack-refs --all");
    check(&world, "plugins").await;
    world.git("update-ref refs/heads/other HEAD~");
    world.git("pack-refs --all");
    world.git("checkout --quiet other");
    check(&world, "plugins").await;
}

#[tokio::test]
async fn branches_in_a_table() {
    if tried(World::new().folder.path(), "init --quiet --ref-format=reftable").is_err() {
        return;
    }
    let world = World::committed("--ref-format=reftable");
    check(&world, "plugins").await;
    world.git("commit --quiet --allow-empty -m more");
    check(&world, "plugins").await;
    world.git("checkout --quiet --detach HEAD~");
    check(&world, "plugins").await;
}

#[tokio::test]
async fn a_repository_of_sha_256() {
    check(&World::committed("--object-format=sha256"), "plugins").await;
}

#[tokio::test]
async fn a_linked_work_tree() {
    let world = World::committed("");
    // The second is at another commit than the first.
    world.git("worktree add --quiet linked");
    git(&world.path("linked"), "commit --quiet --allow-empty -m more");
    check(&world, "linked/plugins").await;
    check(&world, "plugins").await;
    git(&world.path("linked"), "commit --quiet --allow-empty -m more");
    check(&world, "linked/plugins").await;
    world.git("pack-refs --all");
    check(&world, "linked/plugins").await;
    git(&world.path("linked"), "checkout --quiet --detach HEAD~");
    check(&world, "linked/plugins").await;
}

#[tokio::test]
async fn a_repository_in_another() {
    let world = World::committed("");
    world.git("clone --quiet . plugins/inner");
    git(&world.path("plugins/inner"), "commit --quiet --allow-empty -m more");
    check(&world, "plugins/inner/plugins").await;
    check(&world, "plugins").await;

    world.git("submodule --quiet add ./plugins/inner plugins/sub");
    world.commit();
    git(&world.path("plugins/sub"), "commit --quiet --allow-empty -m more");
    check(&world, "plugins/sub/plugins").await;
    check(&world, "plugins").await;
}

#[tokio::test]
async fn the_line_ends_of_windows() {
    let world = World::committed("");
    world.write("plugins/crlf.py", "1\r\n2\r\n");
    world.write("plugins/mark.py", "\u{feff}1\n2\n");
    world.git("config core.autocrlf false");
    world.commit();
    let commit = at(world.folder.path());
    for file in ["plugins/crlf.py", "plugins/mark.py"] {
        assert_eq!(world.stamp(file, "1\n2\n").await, Some(Stamp::Same(commit.clone())), "{file}");
        assert_eq!(world.stamp(file, "1\n3\n").await, Some(Stamp::Changed(commit.clone())), "{file}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn names_of_all_kinds() {
    let world = World::committed("");
    for file in ["plugins/größe.py", "plugins/two words.py", "plugins/:(top)/a*.py"] {
        world.write(file, "1\n");
        world.commit();
        assert_eq!(world.stamp(file, "1\n").await, Some(Stamp::Same(at(world.folder.path()))), "{file}");
    }
    let rooted = Git::new(vec![world.path("plugins/:(top)")]);
    let stamp = rooted.stamp(&world.path("plugins/:(top)/a*.py"), &Arc::from("1\n")).await;
    assert_eq!(stamp, Some(Stamp::Same(at(world.folder.path()))));
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_what_it_leads_to() {
    let world = World::committed("");
    std::os::unix::fs::symlink("a.py", world.path("plugins/link.py")).unwrap();
    world.commit();
    assert_eq!(world.stamp("plugins/link.py", "1\n").await, Some(Stamp::Same(at(world.folder.path()))));
    let elsewhere = tempfile::tempdir().unwrap();
    let root = elsewhere.path().join("root");
    std::os::unix::fs::symlink(world.path("plugins"), &root).unwrap();
    let stamp = Git::new(vec![root.clone()]).stamp(&root.join("a.py"), &Arc::from("1\n")).await;
    assert_eq!(stamp, Some(Stamp::Same(at(world.folder.path()))));
}

#[tokio::test]
async fn no_commit_yet() {
    let world = World::new();
    world.git("init --quiet");
    world.write(A, "1\n");
    assert_eq!(world.stamp(A, "1\n").await, Some(Stamp::NoCommit));
    world.commit();
    check(&world, "plugins").await;
}

#[tokio::test]
async fn no_repository() {
    let world = World::new();
    world.write(A, "1\n");
    assert_eq!(world.stamp(A, "1\n").await, None);
    assert_eq!(world.stamp("plugins/gone.py", "1\n").await, None);
    world.write("plugins/.git", "nonsense");
    assert_eq!(world.stamp(A, "1\n").await, None);
    fs::remove_file(world.path("plugins/.git")).unwrap();
    world.git("init --quiet");
    world.commit();
    check(&world, "plugins").await;
}

/// A broken repository must not be confused with the one around it.
#[tokio::test]
async fn an_empty_repository_in_a_good_one() {
    let world = World::committed("");
    fs::create_dir(world.path("plugins/.git")).unwrap();
    assert_eq!(world.stamp(A, "1\n").await, None);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_of_the_repository_is_run() {
    let world = World::committed("");
    world.write("trap", "#!/bin/sh\ntouch sprung\n");
    Project::new().sh("chmod", &["+x", world.path("trap").to_str().unwrap()]);
    world.git("config core.fsmonitor ./trap");
    check(&world, "plugins").await;
    assert!(!world.path("sprung").exists());
    world.git("status");
    assert!(world.path("sprung").exists(), "the trap works");
}

/// The messages of all deploys so far.
fn messages(server: &FakeServer) -> Vec<String> {
    let requests = server.requests().into_iter().filter(|request| request.method == "POST");
    requests.filter_map(|request| request.body["commit_message"].as_str().map(str::to_owned)).collect()
}

pub(crate) fn path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

#[test]
fn a_deploy_names_its_commit() {
    let server = FakeServer::start();
    // Like in a hook of another repository.
    let project = Project::on(&server).with("PATH", &path()).with("GIT_DIR", "/nowhere");
    let folder = project.path("");
    let run = || assert_eq!(project.run(&["--once"]).code, Some(0));
    project.put(A, filter("1.0"));
    run();
    git(&folder, "init --quiet");
    project.put(A, filter("1.1"));
    run();
    git(&folder, "add plugins");
    git(&folder, "commit --quiet -m words");
    let commit = at(&folder);
    project.put(A, filter("1.2"));
    run();
    project.put("plugins/b.py", "class Pipe:\n    pass\n");
    run();
    git(&folder, "checkout --quiet plugins");
    project.put(A, filter("1.1"));
    run();
    assert_eq!(
        messages(&server),
        [
            "owui-watch: 1.0".to_owned(),
            "owui-watch: 1.1, no commit yet".to_owned(),
            format!("owui-watch: 1.2, commit {commit} with uncommitted changes"),
            format!("owui-watch, commit {commit} without this file"),
            format!("owui-watch: 1.1, commit {commit}"),
        ]
    );
}

#[test]
fn without_git() {
    let server = FakeServer::start();
    let project = Project::on(&server).with("PATH", &Project::new().path("").display().to_string());
    git(&project.path(""), "init --quiet");
    project.put(A, filter("1"));
    assert_eq!(project.run(&["--once"]).code, Some(0));
    assert_eq!(messages(&server), ["owui-watch: 1"]);
}

/// In front of git, a script.
#[cfg(target_os = "linux")]
fn with_git(project: Project, script: &str) -> Project {
    use std::os::unix::fs::PermissionsExt as _;

    project.write("bin/git", &format!("#!/bin/sh\nPATH='{}'\n{script}\n", path()));
    fs::set_permissions(project.path("bin/git"), fs::Permissions::from_mode(0o755)).unwrap();
    let places = format!("{}:{}", project.path("bin").display(), path());
    project.with("PATH", &places)
}

#[cfg(target_os = "linux")]
#[test]
fn a_hanging_git_is_not_waited_for() {
    let server = FakeServer::start();
    let project = with_git(Project::on(&server), "exec sleep 1000");
    git(&project.path(""), "init --quiet");
    project.put(A, filter("1"));
    assert_eq!(project.run(&["--once"]).code, Some(0));
    assert_eq!(messages(&server), ["owui-watch: 1"]);
}

#[cfg(target_os = "linux")]
#[test]
fn only_the_first_save_after_a_commit_starts_git() {
    let server = FakeServer::start();
    let project = with_git(Project::on(&server), "echo \"$@\" >>\"$HOME/asked\"; exec git \"$@\"");
    let folder = project.path("");
    git(&folder, "init --quiet");
    project.put(A, filter("1"));
    git(&folder, "add plugins");
    git(&folder, "commit --quiet -m words");
    let first = at(&folder);

    let mut watch = project.watch();
    let mut save = |version: &str| {
        project.write(A, &filter(version));
        watch.wait("updated", Some("a"));
        project.read("asked").lines().count()
    };
    let asked = save("2");
    assert_eq!((save("3"), save("4")), (asked, asked));
    git(&folder, "commit --quiet --all -m words");
    assert_eq!(save("5"), asked + 1);
    assert_eq!(save("6"), asked + 1);
    let [expected, last] = [first, at(&folder)].map(|commit| format!("commit {commit} with uncommitted changes"));
    assert_eq!(
        messages(&server)[1..],
        [(2, &expected), (3, &expected), (4, &expected), (5, &last), (6, &last)]
            .map(|(version, stamp)| format!("owui-watch: {version}, {stamp}"))
    );
}
