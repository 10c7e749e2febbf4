//! Runs the built binary in its own folder, isolated from the machine's settings.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use owui_watch::plugin::Kind;
use serde_json::Value;
use tempfile::TempDir;

use super::fake_server::{FakeServer, KEY};

/// How long to wait for a notice. Ends broken tests; does not time working ones.
const DEADLINE: Duration = Duration::from_secs(30);

/// A folder with plugins, and the environment of owui-watch.
pub(crate) struct Project {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// The result of a finished run.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The lines of `--json`.
    #[track_caller]
    pub(crate) fn notices(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}\n{}", self.stderr));
        self.stdout.lines().map(parse).collect()
    }
}

impl Project {
    /// An empty `plugins/`, and no server set.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        Self { folder, environment: Vec::new() }
    }

    /// A project for this server.
    pub(crate) fn on(server: &FakeServer) -> Self {
        Self::new().with("OPENWEBUI_URL", &server.url()).with("OPENWEBUI_API_KEY", KEY)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file in place, as `>` does.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, text.as_bytes());
    }

    /// Writes a file with an older time, so that it counts as complete at once.
    pub(crate) fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, text.as_ref());
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_mins(1)).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Removes a folder in which a running watch may write meanwhile.
    #[track_caller]
    pub(crate) fn remove_beside_a_watch(&self, path: &str) {
        use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};

        let path = self.path(path);
        while let Err(error) = fs::remove_dir_all(&path) {
            // The watch wrote a file in a folder that was just emptied.
            let is_refilled = error.kind() == DirectoryNotEmpty || (error.kind() == NotFound && path.exists());
            if !is_refilled {
                assert_eq!(error.kind(), NotFound, "{error}");
                return;
            }
        }
    }

    /// Runs a program in the folder, which must succeed.
    #[track_caller]
    pub(crate) fn sh(&self, program: &str, arguments: &[&str]) {
        let run = Command::new(program).args(arguments).current_dir(self.folder.path()).output().unwrap();
        assert!(run.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    }

    pub(crate) fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_owui-watch"));
        command.args(arguments);
        self.surround(&mut command);
        command
    }

    /// The environment of all commands.
    fn surround(&self, command: &mut Command) {
        command.current_dir(self.folder.path()).env_clear();
        // Windows needs the first two to open a socket, and finds git by the third alone.
        let needed = if cfg!(windows) { &["SystemRoot", "TEMP", "PATH"][..] } else { &[] };
        for name in needed {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // The second is the home of Windows.
        command.env("HOME", self.folder.path()).env("USERPROFILE", self.folder.path()).env("TZ", "UTC");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    /// Runs owui-watch until it exits.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a watch, and waits until it is ready and its first pass is over.
    pub(crate) fn watch(&self) -> Watch {
        let mut watch = self.watch_with(&[]);
        watch.wait("ready", None);
        watch.wait("summary", None);
        watch
    }

    /// Starts a watch with `--json` and these arguments.
    pub(crate) fn watch_with(&self, arguments: &[&str]) -> Watch {
        Watch::start(&mut self.command(&[&["--json"], arguments].concat()))
    }

    /// Starts a watch through a program that changes system limits and then execs it.
    pub(crate) fn watch_by(&self, program: &[&str]) -> Watch {
        Watch::start(&mut self.by(program, &[env!("CARGO_BIN_EXE_owui-watch"), "--json"]))
    }

    /// A command line with this program before it.
    pub(crate) fn by(&self, program: &[&str], line: &[&str]) -> Command {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(line);
        self.surround(&mut command);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }
}

/// Writes a file as `>` does. A file with a key is private from the start.
fn write(path: &Path, bytes: &[u8]) {
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if path.to_str().is_some_and(|path| path.ends_with("/.env") || path.ends_with("key")) {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options.open(path).unwrap().write_all(bytes).unwrap();
}

/// The folder of a plugin's copies in `deployed` or `backups`; the plugin as in `function/a`.
pub(crate) fn copies(what: &str, server: &str, plugin: &str) -> String {
    let server = server.trim_start_matches("http://").replace("127.0.0.1", "localhost").replace(':', "-");
    format!(".owui-watch/{what}/{server}/{plugin}")
}

/// A running watch, and its output so far.
pub(crate) struct Watch {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    seen: Vec<Value>,
    /// How many notices [`Watch::wait`] has returned.
    taken: usize,
}

impl Watch {
    /// Runs a command that becomes a watch with `--json`.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (send, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).ok();
            text
        });
        Self { child, lines, stderr: Some(stderr), seen: Vec::new(), taken: 0 }
    }

    /// Waits for the next notice of this kind about this plugin, and returns all notices up to it.
    #[track_caller]
    pub(crate) fn wait(&mut self, event: &str, id: Option<&str>) -> Vec<Value> {
        self.wait_until(event, id, Instant::now() + DEADLINE)
    }

    /// Waits for notices of these kinds about these plugins, in any order.
    #[track_caller]
    pub(crate) fn wait_for_all(&mut self, notices: &[(&str, &str)]) {
        let mut missing = notices.to_vec();
        while !missing.is_empty() {
            let is_missing = |notice: &Value| missing.iter().any(|(event, id)| is_about(notice, event, id));
            let notice = self.wait_for(is_missing, &format!("{missing:?}"), Instant::now() + DEADLINE).pop().unwrap();
            missing.retain(|(event, id)| !is_about(&notice, event, id));
        }
    }

    /// Like [`Watch::wait`], with time to install and start a real server.
    #[track_caller]
    pub(crate) fn wait_long(&mut self, event: &str, id: Option<&str>) -> Vec<Value> {
        self.wait_until(event, id, Instant::now() + 20 * DEADLINE)
    }

    /// The next notice of one of these kinds.
    #[track_caller]
    pub(crate) fn wait_any(&mut self, events: &[&str]) -> Value {
        let is_one = |notice: &Value| notice["event"].as_str().is_some_and(|event| events.contains(&event));
        self.wait_for(is_one, &format!("{events:?}"), Instant::now() + DEADLINE).pop().unwrap()
    }

    #[track_caller]
    fn wait_until(&mut self, event: &str, id: Option<&str>, deadline: Instant) -> Vec<Value> {
        let is_it = |notice: &Value| notice["event"] == event && id.is_none_or(|id| notice["id"] == id);
        self.wait_for(is_it, &format!("`{event}` of {id:?}"), deadline)
    }

    #[track_caller]
    fn wait_for(&mut self, is_it: impl Fn(&Value) -> bool, what: &str, deadline: Instant) -> Vec<Value> {
        loop {
            let found = self.seen[self.taken..].iter().position(&is_it);
            if let Some(place) = found {
                let end = self.taken + place + 1;
                let notices = self.seen[self.taken..end].to_vec();
                self.taken = end;
                return notices;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(serde_json::from_str(&line).unwrap()),
                Err(cause) => {
                    let said: Vec<_> = self.seen.iter().map(brief).collect();
                    self.child.kill().ok();
                    let stderr = self.stderr.take().map(|stderr| stderr.join().unwrap_or_default());
                    let cause = match cause {
                        RecvTimeoutError::Timeout => "it did not come in time",
                        RecvTimeoutError::Disconnected => "the program ended",
                    };
                    panic!("waiting for {what}: {cause}\nsaid: {said:#?}\nstderr: {stderr:?}");
                }
            }
        }
    }

    /// Whether it has printed this so many times.
    pub(crate) fn has_said(&mut self, event: &str, times: usize) -> bool {
        self.seen.extend(self.lines.try_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap()));
        self.said().iter().filter(|said| **said == event).count() >= times
    }

    /// All output so far.
    pub(crate) fn all_said(&self) -> String {
        self.seen.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// All notices so far.
    pub(crate) fn notices(&self) -> &[Value] {
        &self.seen
    }

    /// All notices so far, as words.
    pub(crate) fn said(&self) -> Vec<&str> {
        self.seen.iter().map(|notice| notice["event"].as_str().unwrap()).collect()
    }

    /// All notices about a plugin so far, as words.
    pub(crate) fn said_of(&self, id: &str) -> Vec<String> {
        let about = self.seen.iter().filter(|notice| notice["id"] == id);
        about.map(|notice| notice["event"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    /// Forgets the notices that [`Watch::wait`] returned: for endless tests.
    pub(crate) fn forget(&mut self) {
        self.seen.drain(..self.taken);
        self.taken = 0;
    }

    /// Stops it, waits for its exit, and reads the rest of its output. Windows has no such signal: it is killed there.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        if cfg!(unix) {
            self.signal("TERM");
        } else {
            self.child.kill().unwrap();
        }
        self.ended()
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its exit, and reads the rest of its output.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            self.seen.push(serde_json::from_str(&line).unwrap());
        }
        self.child.wait().unwrap()
    }

    /// Its stderr, after its exit.
    pub(crate) fn stderr(&mut self) -> String {
        self.stderr.take().unwrap().join().unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn is_about(notice: &Value, event: &str, id: &str) -> bool {
    notice["event"] == event && notice["id"] == id
}

fn brief(notice: &Value) -> String {
    format!("{} {} {}", notice["event"], notice["id"], notice["message"])
}

/// A small filter with this version. Its last line shows that the file is complete.
pub(crate) fn filter(version: &str) -> String {
    format!("\"\"\"\ntitle: A filter\nversion: {version}\n\"\"\"\n\n\nclass Filter:\n    pass\n\n\nEND = True\n")
}

/// A small tool with this version.
pub(crate) fn tool(version: &str) -> String {
    format!("\"\"\"\ntitle: A tool\nversion: {version}\n\"\"\"\n\n\nclass Tools:\n    def now(self):\n        pass\n")
}

/// A text that parses, but that the server refuses.
pub(crate) const REFUSED: &str = "import no_such_thing\n\n\nclass Filter:\n    pass\n";

/// Whether a text is a complete one of [`filter`].
pub(crate) fn is_whole(text: &str) -> bool {
    text.ends_with("END = True\n")
}

/// Prints why a test is skipped, even if test output is captured.
pub(crate) fn said_outright(why: &str) {
    std::io::stderr().write_all(format!("{why}\n").as_bytes()).unwrap();
}

/// Checks the exit code of a run.
#[track_caller]
pub(crate) fn check(ran: &Ran, code: i32) {
    assert_eq!(ran.code, Some(code), "\nstdout: {}\nstderr: {}", ran.stdout, ran.stderr);
}

/// Runs with `--json`, checks the exit code, and returns the notices.
#[track_caller]
pub(crate) fn notices(project: &Project, arguments: &[&str], code: i32) -> Vec<Value> {
    let ran = project.run(&[arguments, &["--json"]].concat());
    check(&ran, code);
    assert_eq!(ran.stderr, "", "everything is JSON");
    ran.notices()
}

/// The only notice of this kind.
#[track_caller]
pub(crate) fn of<'a>(notices: &'a [Value], event: &str) -> &'a Value {
    let found: Vec<_> = notices.iter().filter(|notice| notice["event"] == event).collect();
    assert_eq!(found.len(), 1, "`{event}` in {notices:#?}");
    found[0]
}

/// The writing requests.
pub(crate) fn writes(server: &FakeServer) -> Vec<String> {
    server.lines().into_iter().filter(|line| !line.starts_with("GET")).collect()
}

/// A function's text on the server.
pub(crate) fn text(server: &FakeServer, id: &str) -> String {
    server.row(Kind::Function, id).unwrap().content
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
