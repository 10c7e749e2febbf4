//! Folders of plugins, and saves.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::responder::Responder;
use crate::support::command::Project;
use crate::support::fake_server::KEY;

/// As large as plugins usually are.
pub(crate) const USUAL: usize = 10 * 1024;

/// A filter as people write them, of about this many bytes.
pub(crate) fn plugin(title: &str, version: &str, size: usize) -> String {
    let mut text = format!(
        "\"\"\"\ntitle: {title}\nauthor: somebody\nversion: {version}\nlicense: MIT\n\
         description: What a plugin says of itself.\n\"\"\"\n\n\
         from typing import Optional\n\nfrom pydantic import BaseModel, Field\n\n\n\
         class Filter:\n    class Valves(BaseModel):\n        priority: int = Field(default=0, description=\"When.\")\n\n\
         \x20   def __init__(self):\n        self.valves = self.Valves()\n"
    );
    let mut n = 0;
    while text.len() < size {
        n += 1;
        write!(
            text,
            "\n    async def step_{n}(self, body: dict, __user__: Optional[dict] = None) -> dict:\n        \
             # Every message that is long enough is looked at, the others are passed on.\n        \
             messages = [m for m in body.get(\"messages\", []) if len(m.get(\"content\", \"\")) > {n}]\n        \
             if messages and self.valves.priority >= {n}:\n            \
             body[\"step_{n}\"] = {{\"count\": len(messages), \"words\": \" \".join(sorted(messages[0]))}}\n        \
             return body\n"
        )
        .unwrap();
    }
    text
}

/// Writes a script that is no plugin.
pub(crate) fn script(n: usize) -> String {
    plugin("A script", &n.to_string(), 2 * 1024).replace("class Filter", "class Helper")
}

/// The id of the nth plugin.
pub(crate) fn id(n: usize) -> String {
    format!("p{n:05}")
}

/// A folder with so many plugins, a hundred in a folder, whose saves go to this server.
pub(crate) fn project(server: &Responder, n: usize, size: usize) -> Project {
    let project = Project::new().with("OPENWEBUI_URL", &server.url()).with("OPENWEBUI_API_KEY", KEY);
    for n in 0..n {
        project.put(&path(n), plugin(&id(n), "1.0.0", size));
    }
    age(&project);
    project
}

/// The folders were made a while ago, as their files were.
pub(crate) fn age(project: &Project) {
    let then = SystemTime::now() - Duration::from_hours(1);
    let mut folders = vec![project.path("plugins")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap().map(Result::unwrap);
        folders.extend(entries.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path()));
        File::open(&folder).unwrap().set_modified(then).unwrap();
    }
}

/// Where the nth plugin is.
pub(crate) fn path(n: usize) -> String {
    format!("plugins/g{:03}/{}.py", n / 100, id(n))
}

/// The server holds what the project does.
pub(crate) fn seed(server: &Responder, n: usize, size: usize) {
    for n in 0..n {
        server.seed(&id(n), &plugin(&id(n), "1.0.0", size));
    }
}

/// Makes the folder a repository, with everything in it committed.
pub(crate) fn commit(project: &Project) {
    project.sh("git", &["init", "--quiet", "--initial-branch", "main"]);
    project.sh("git", &["config", "user.email", "nobody@example.com"]);
    project.sh("git", &["config", "user.name", "nobody"]);
    project.write(".gitignore", ".owui-watch/\n");
    project.sh("git", &["add", "--all"]);
    project.sh("git", &["commit", "--quiet", "--message", "everything"]);
}

/// How an editor saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    InPlace,
    /// In place, and on the disk before it is done, as vim does it.
    Synced,
    Rename,
}

/// Saves a file, and answers when: just before the call with which the editor is done.
pub(crate) fn save(path: &Path, text: &str, style: Style) -> Instant {
    match style {
        Style::InPlace | Style::Synced => {
            let mut file = File::create(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            if style == Style::Synced {
                file.sync_all().unwrap();
            }
            let at = Instant::now();
            drop(file);
            at
        }
        Style::Rename => {
            let other = path.with_extension("py.tmp");
            fs::write(&other, text).unwrap();
            let at = Instant::now();
            fs::rename(&other, path).unwrap();
            at
        }
    }
}

/// A program of our own that runs beside.
pub(crate) struct Beside(Child);

impl Beside {
    /// Starts one of the floor's programs, which says a word when it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = ours(arguments).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        Self(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// This program, as one of the floor's.
pub(crate) fn ours(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("floor").args(arguments);
    command
}
