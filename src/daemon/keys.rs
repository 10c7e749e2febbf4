//! The keys of the live view. Each does what a command or another program does: it is run beside the loop, and its output
//! is printed above the view.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;

use jiff::Timestamp;
use tokio::process::Command;

use super::Daemon;
use crate::notice::{Notice, NoticeKind};
use crate::output::Output;
use crate::plugin::{Key, Span};

/// The program that opens an address on this system.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
/// How many lines of a command are printed at most. The user can run it for all of them.
const MOST_LINES: usize = 200;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Daemon<'_> {
    /// Does what a key asks for, with the plugin that the user looks at.
    pub(super) fn act(&self, action: Action) {
        let audience = &self.outside.audience;
        let output = audience.output.clone();
        let focus = audience.board.focus();
        let key = focus.and_then(|focus| focus.about.key.clone());
        let path = focus.and_then(|focus| focus.file().map(Path::to_owned));
        let place = path.as_ref().map(|path| (path.clone(), focus.and_then(Notice::span).cloned()));
        // A file has one plugin, and a broken one may have no id.
        let name = path.map(OsString::from).or_else(|| key.as_ref().map(|key| key.id.as_str().into()));
        let programs = &self.setup.keys;
        match (action, name) {
            (Action::Browse, _) => {
                let Some(server) = self.settings.as_ref().map(|settings| settings.server().to_owned()) else { return };
                let url = key.map_or_else(|| server.clone(), |key| page(&server, &key));
                tokio::spawn(async move {
                    if let Err(why) = open(&url).await {
                        tell(&output, format!("cannot open {url} in a browser: {why}"));
                    }
                });
            }
            (Action::Diff, Some(name)) => run(output, &programs.owui_watch, "diff", &name),
            (Action::Try, Some(name)) => run(output, &programs.owui_watch, "try", &name),
            (Action::Edit, Some(_)) => {
                let (Some(editor), Some((path, span))) = (&programs.editor, place) else { return };
                let Some(terminal) = audience.terminal.clone() else { return };
                let mut command = edit(editor, &path, span.as_ref());
                let editor = editor.clone();
                tokio::spawn(async move {
                    terminal.lend().await;
                    let status = command.status().await;
                    terminal.take_back();
                    match status {
                        Ok(status) if status.success() => {}
                        Ok(status) => tell(&output, format!("the editor `{editor}` failed with {status}")),
                        Err(error) => tell(&output, format!("cannot start the editor `{editor}`: {error}")),
                    }
                });
            }
            (Action::Diff | Action::Edit | Action::Try, None) => tell(&output, "there is no plugin yet".to_owned()),
        }
    }
}

fn tell(output: &Output, message: String) {
    output.tell([(Notice::general(NoticeKind::Trouble { message, hint: None }), Timestamp::now())]);
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
    command.env_remove("OPENWEBUI_API_KEY");
    #[cfg(unix)]
    command.process_group(0);
    match command.status().await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{OPENER} failed with {status}")),
        Err(error) => Err(format!("{OPENER}: {error}")),
    }
}

/// Runs a command of owui-watch, and prints what it prints.
fn run(output: Output, owui_watch: &[OsString], word: &str, name: &OsStr) {
    let Some((program, flags)) = owui_watch.split_first() else { return };
    let mut command = Command::new(program);
    command.args(flags).args([word, "--"]).arg(name).kill_on_drop(true);
    // It answers no question: nobody could type the answer.
    command.stdin(Stdio::null()).env("CLICOLOR_FORCE", "1");
    let line = format!("owui-watch {word} {}", name.display());
    tokio::spawn(async move {
        match command.output().await {
            Ok(ran) => output.print(shown(&line, &[ran.stdout, ran.stderr])),
            Err(error) => tell(&output, format!("cannot run `{line}`: {error}")),
        }
    });
}

/// What a command printed, below its command line.
fn shown(line: &str, printed: &[Vec<u8>]) -> String {
    let printed = printed.iter().map(|text| String::from_utf8_lossy(text)).collect::<String>();
    let more = printed.lines().count().saturating_sub(MOST_LINES);
    let mut lines: Vec<_> = printed.lines().take(MOST_LINES).map(str::to_owned).collect();
    if more > 0 {
        lines.push(format!("… and {more} more lines"));
    }
    format!("$ {line}\n{}", lines.join("\n"))
}

/// The editor at a place in a file.
fn edit(editor: &str, path: &Path, span: Option<&Span>) -> Command {
    // `EDITOR` may hold flags, so a shell reads it, as git does.
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{editor} \"$@\"")).arg(editor).args(place(editor, path, span));
    command.env_remove("OPENWEBUI_API_KEY");
    command
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
    use super::*;
    use crate::plugin::Kind;
    use crate::plugin::id::PluginId;

    #[test]
    fn an_editor_is_told_the_line_in_its_own_way() {
        let span = Span { line: 7, column: 3, width: 1, source: String::new() };
        let arguments = |editor, span| {
            let arguments = place(editor, Path::new("plugins/-x.py"), span);
            arguments.iter().map(|argument| argument.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(arguments("vim", Some(&span)), ["+7", "./plugins/-x.py"]);
        assert_eq!(arguments("/usr/bin/code --wait", Some(&span)), ["-g", "./plugins/-x.py:7:3"]);
        assert_eq!(arguments("hx", Some(&span)), ["./plugins/-x.py:7:3"]);
        assert_eq!(arguments("nano", None), ["./plugins/-x.py"]);
    }

    #[test]
    fn a_long_output_is_cut() {
        let text = "line\n".repeat(MOST_LINES + 2);
        let shown = shown("owui-watch diff a", &[text.into_bytes(), Vec::new()]);
        assert_eq!(shown.lines().count(), 1 + MOST_LINES + 1);
        assert!(shown.starts_with("$ owui-watch diff a\nline\n") && shown.ends_with("… and 2 more lines"));
    }

    #[test]
    fn each_kind_has_its_page() {
        let key = |kind| Key { kind, id: PluginId::new("a").unwrap() };
        assert_eq!(page("http://h", &key(Kind::Function)), "http://h/admin/functions/edit?id=a");
        assert_eq!(page("http://h", &key(Kind::Tool)), "http://h/workspace/tools/edit?id=a");
    }
}
