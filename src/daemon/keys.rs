//! The keys of the live view. Each does what a command or another program does: it is run beside the loop, and its
//! output is printed above the view.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::child_env::{withhold_manager, withhold_secrets};
use super::editor::Editor;
use super::{Audience, Daemon};
use crate::notice::Notice;
use crate::notice::board::Step;
use crate::output::Output;
use crate::plugin::{Key, Span};
use crate::printable;

/// The program that opens an address on this system.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
/// How many lines of a command are printed at most. The user can run it for all of them.
const MOST_LINES: usize = 200;
/// How many bytes of a command's output are kept, both streams together. The rest is read and dropped.
const MOST_BYTES: u64 = 256 * 1024;
/// Some openers run as long as the browser. After this time another page may be opened.
const OPENING: Duration = Duration::from_secs(3);

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Opens the plugin in the browser, or the server if there is no plugin yet.
    Browse,
    /// Shows the difference between the plugin's file and the server.
    Diff,
    /// Opens the plugin's file in the editor.
    Edit,
    /// Tries the plugin.
    Try,
}

/// The programs that keys run.
#[derive(Clone, Debug, Default)]
pub struct KeyPrograms {
    /// owui-watch, with the flags that lead to the same settings.
    pub owui_watch: Vec<OsString>,
    /// The user's editor, as `EDITOR` names it: for a shell.
    pub editor: Option<String>,
}

/// What keys have started. A key that is held down starts nothing more while its last start still runs.
#[derive(Debug, Default)]
pub(super) struct KeyJobs(BTreeMap<Action, JoinHandle<()>>);

impl KeyJobs {
    fn start(&mut self, action: Action, job: impl Future<Output = ()> + Send + 'static) {
        if self.0.get(&action).is_none_or(JoinHandle::is_finished) {
            self.0.insert(action, tokio::spawn(job));
        }
    }
}

impl Daemon<'_> {
    /// Chooses another problem for the keys.
    pub(super) fn choose(&mut self, step: Step) {
        let Audience { board, output, .. } = &mut self.outside.audience;
        board.choose(step).into_iter().for_each(|problem| output.choose(problem));
    }

    /// Does what a key asks for, with the plugin that the user looks at.
    pub(super) fn act(&mut self, action: Action) {
        let audience = &self.outside.audience;
        let output = audience.output.clone();
        let focus = audience.board.focus();
        let key = focus.and_then(|focus| focus.about.key.clone());
        let path = focus.and_then(|focus| focus.file().map(Path::to_owned));
        let place = path.as_ref().map(|path| (path.clone(), focus.and_then(Notice::span).cloned()));
        // A file has one plugin, and a broken one may have no id.
        let name = path.map(OsString::from).or_else(|| key.as_ref().map(|key| key.id.as_str().into()));
        let owui_watch = &self.setup.keys.owui_watch;
        match (action, name) {
            (Action::Browse, _) => {
                let Some(server) = self.settings.as_ref().map(|settings| settings.server().to_owned()) else { return };
                let url = key.map_or_else(|| server.clone(), |key| page(&server, &key));
                self.jobs.start(action, async move {
                    if let Err(why) = open(&url).await {
                        tell(&output, format!("cannot open {url} in a browser: {why}"));
                    }
                });
            }
            (Action::Diff, Some(name)) => self.jobs.start(action, run(output, owui_watch.clone(), "diff", name)),
            (Action::Try, Some(name)) => self.jobs.start(action, run(output, owui_watch.clone(), "try", name)),
            (Action::Edit, Some(_)) if self.editor.is_some() => {}
            (Action::Edit, Some(_)) => {
                let (Some(editor), Some((path, span))) = (&self.setup.keys.editor, place) else { return };
                let Some(terminal) = audience.terminal.clone() else { return };
                let command = edit(editor, &path, span.as_ref());
                self.editor = Some(Editor::start(editor.clone(), command, terminal));
            }
            (Action::Diff | Action::Edit | Action::Try, None) => tell(&output, "there is no plugin yet".to_owned()),
        }
    }
}

fn tell(output: &Output, message: String) {
    output.tell([(Notice::trouble(message, None), Timestamp::now())]);
}

/// The address of a plugin's page. All tested versions have it.
fn page(server: &str, key: &Key) -> String {
    format!("{server}/{}?id={}", key.kind.page(), key.id)
}

/// Opens an `http` or `https` address. The browser gets neither the terminal nor its signals.
async fn open(url: &str) -> Result<(), String> {
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err("its address is not one of a web page".to_owned());
    }
    let mut command = Command::new(OPENER);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    withhold_secrets(command.as_std_mut());
    #[cfg(unix)]
    command.process_group(0);
    match tokio::time::timeout(OPENING, command.status()).await {
        Ok(Ok(status)) if !status.success() => Err(format!("{OPENER} failed with {status}")),
        Ok(Err(error)) => Err(format!("{OPENER}: {error}")),
        // It may run on.
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

/// Runs a command of owui-watch, and prints what it prints.
async fn run(output: Output, owui_watch: Vec<OsString>, word: &'static str, name: OsString) {
    let Some((program, flags)) = owui_watch.split_first() else { return };
    let mut command = Command::new(program);
    command.args(flags).args([word, "--"]).arg(&name).kill_on_drop(true);
    // No input: the command must not ask questions, since nobody could answer them.
    // Colours: a diff without them is meant for `patch`, and could steer a terminal.
    command.stdin(Stdio::null()).env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
    withhold_manager(command.as_std_mut());
    let line = command_line(word, &name);
    match printed(command).await {
        Ok(printed) => output.print(shown(&line, &printed)),
        Err(error) => tell(&output, format!("cannot run `{line}`: {error}")),
    }
}

/// A command as it is shown.
fn command_line(word: &str, name: &OsStr) -> String {
    format!("owui-watch {word} {}", printable::line(&name.to_string_lossy()))
}

/// Waits for a command, and answers what it printed: both outputs, in the order in which it wrote them.
async fn printed(mut command: Command) -> io::Result<Printed> {
    let (from, to) = io::pipe()?;
    let mut child = command.stdout(to.try_clone()?).stderr(to).spawn()?;
    // Only the child may hold the pipe's other end.
    drop(command);
    let (send, receive) = oneshot::channel();
    let reader = thread::Builder::new().name("printed".to_owned());
    // Where nobody waits any more, the program ends.
    reader.spawn(move || send.send(Printed::read(from)).ok())?;
    child.wait().await?;
    receive.await.map_err(io::Error::other)?
}

/// The beginning of an output.
#[derive(Debug, Default)]
struct Printed {
    text: Vec<u8>,
    /// Whether there was more.
    is_cut: bool,
}

impl Printed {
    /// Reads an output to its end, so that the program does not wait for us.
    fn read(mut from: impl Read) -> io::Result<Self> {
        let mut text = Vec::new();
        from.by_ref().take(MOST_BYTES).read_to_end(&mut text)?;
        let rest = io::copy(&mut from, &mut io::sink())?;
        Ok(Self { text, is_cut: rest > 0 })
    }
}

/// What a command printed, below its command line.
fn shown(line: &str, Printed { text, is_cut }: &Printed) -> String {
    let printed = String::from_utf8_lossy(text);
    let more = printed.lines().count().saturating_sub(MOST_LINES);
    let mut lines: Vec<_> = printed.lines().take(MOST_LINES).map(str::to_owned).collect();
    match (*is_cut, more) {
        (true, _) => lines.push("… and more".to_owned()),
        (false, 0) => {}
        (false, more) => lines.push(format!("… and {more} more lines")),
    }
    format!("$ {line}\n{}", lines.join("\n"))
}

/// The editor at a place in a file.
fn edit(editor: &str, path: &Path, span: Option<&Span>) -> Command {
    // `EDITOR` may hold flags, so a shell reads it, as git does.
    let mut command = Command::new("sh");
    command.arg("-c").arg(script(editor)).arg(editor).args(place(editor, path, span));
    withhold_secrets(command.as_std_mut());
    command
}

/// What the shell runs. A plain command replaces the shell, so that signals reach the editor.
fn script(editor: &str) -> String {
    let is_plain = editor.chars().all(|c| c.is_alphanumeric() || " /.,:@%+-_".contains(c));
    let exec = if is_plain { "exec " } else { "" };
    format!("{exec}{editor} \"$@\"")
}

/// The arguments by which an editor opens a file at a place.
fn place(editor: &str, path: &Path, span: Option<&Span>) -> Vec<OsString> {
    // No name may look like a flag.
    let path = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
    let Some(Span { line, column, .. }) = span else { return vec![path.into()] };
    let program = editor.split_whitespace().next().unwrap_or_default();
    let program = Path::new(program).file_name().unwrap_or_default().to_str().unwrap_or_default();
    let with_place = || {
        let mut with_place = path.clone().into_os_string();
        with_place.push(format!(":{line}:{column}"));
        with_place
    };
    match program {
        "code" | "code-insiders" | "codium" | "cursor" | "windsurf" => vec!["-g".into(), with_place()],
        "hx" | "helix" | "subl" | "zed" | "zeditor" => vec![with_place()],
        _ => vec![format!("+{line}").into(), path.into()],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::plugin::Kind;
    use crate::plugin::id::PluginId;

    #[test]
    fn an_editor_is_told_the_line_in_its_own_way() {
        let span = Span { line: 7, column: 3, width: 1, source: String::new() };
        let arguments = |editor, span| {
            let arguments = place(editor, Path::new("plugins/-x.py"), span);
            arguments.iter().map(|argument| argument.to_str().unwrap().replace(".\\", "./")).collect::<Vec<_>>()
        };
        assert_eq!(arguments("vim", Some(&span)), ["+7", "./plugins/-x.py"]);
        assert_eq!(arguments("/usr/bin/code --wait", Some(&span)), ["-g", "./plugins/-x.py:7:3"]);
        assert_eq!(arguments("hx", Some(&span)), ["./plugins/-x.py:7:3"]);
        assert_eq!(arguments("nano", None), ["./plugins/-x.py"]);
    }

    #[test]
    fn a_long_output_is_cut() {
        let text = "line\n".repeat(MOST_LINES + 2);
        let text = Printed { text: text.into_bytes(), is_cut: false };
        let shown = shown("owui-watch diff a", &text);
        assert_eq!(shown.lines().count(), 1 + MOST_LINES + 1);
        assert!(shown.starts_with("$ owui-watch diff a\nline\n") && shown.ends_with("… and 2 more lines"));
    }

    #[test]
    fn an_endless_output_is_read_and_not_kept() {
        let endless = io::repeat(b'x').take(MOST_BYTES + 10);
        let printed = Printed::read(endless).unwrap();
        assert_eq!((printed.text.len() as u64, printed.is_cut), (MOST_BYTES, true));
        assert!(shown("owui-watch diff a", &printed).ends_with("x\n… and more"));
        let printed = Printed::read(&b"line\n"[..]).unwrap();
        assert_eq!(shown("owui-watch diff a", &printed), "$ owui-watch diff a\nline");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn both_outputs_are_shown_in_their_order() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one >&2; echo two; echo three >&2; echo four"]);
        let printed = printed(command).await.unwrap();
        assert_eq!(shown("owui-watch try a", &printed), "$ owui-watch try a\none\ntwo\nthree\nfour");
    }

    #[tokio::test]
    async fn a_held_key_starts_one_job_at_a_time() {
        let mut jobs = KeyJobs::default();
        let (ended, starts) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let job = || {
            let (ended, starts) = (Arc::clone(&ended), Arc::clone(&starts));
            async move {
                starts.fetch_add(1, Ordering::SeqCst);
                ended.notified().await;
            }
        };
        for _ in 0..60 {
            jobs.start(Action::Try, job());
            tokio::task::yield_now().await;
        }
        assert_eq!(starts.load(Ordering::SeqCst), 1);
        jobs.start(Action::Diff, job());
        tokio::task::yield_now().await;
        assert_eq!(starts.load(Ordering::SeqCst), 2, "another key has its own");
        ended.notify_waiters();
        while !jobs.0.values().all(JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        jobs.start(Action::Try, job());
        tokio::task::yield_now().await;
        assert_eq!(starts.load(Ordering::SeqCst), 3, "the key works again");
    }

    #[test]
    fn a_file_name_steers_no_terminal() {
        let line = command_line("diff", OsStr::new("plugins/a\x1b]2;title\x07\nb.py"));
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert_eq!(command_line("try", OsStr::new("plugins/a.py")), "owui-watch try plugins/a.py");
    }

    #[test]
    fn a_plain_editor_replaces_its_shell() {
        assert_eq!(script("vim -u NONE"), "exec vim -u NONE \"$@\"");
        assert_eq!(script("TERM=vt100 vim"), "TERM=vt100 vim \"$@\"");
        assert_eq!(script("cd /; vim"), "cd /; vim \"$@\"");
    }

    #[test]
    fn an_editor_inherits_no_secret() {
        let command = edit("vim", Path::new("a.py"), None);
        let removed: Vec<_> = command.as_std().get_envs().filter(|(_, value)| value.is_none()).collect();
        for name in
            ["OPENWEBUI_API_KEY", "CREDENTIALS_DIRECTORY"].into_iter().chain(crate::systemd::supervisor::VARIABLES)
        {
            assert!(removed.contains(&(OsStr::new(name), None)), "{name}");
        }
    }

    #[test]
    fn each_kind_has_its_page() {
        let key = |kind| Key { kind, id: PluginId::new("a").unwrap() };
        assert_eq!(page("http://h", &key(Kind::Function)), "http://h/admin/functions/edit?id=a");
        assert_eq!(page("http://h", &key(Kind::Tool)), "http://h/workspace/tools/edit?id=a");
    }
}
