//! The built binary in a terminal: the live view, the keys, and that the terminal is whole after every end.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use owui_watch::plugin::Kind;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, test_kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::support::command::{Project, REFUSED, filter, said_outright};
use crate::support::fake_server::FakeServer;

const DEADLINE: Duration = Duration::from_secs(30);
const RULE: &str = "────────";

/// A terminal of our own, and what runs in it.
struct Terminal {
    master: File,
    screen: Arc<Mutex<(avt::Terminal, String)>>,
    child: Child,
    before: Termios,
}

impl Terminal {
    /// Runs a command line in a terminal of 80 columns; `None` where no terminal can be given to it.
    fn run(project: &Project, line: &[&str], variables: &[(&str, &str)]) -> Option<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let slave = File::from(slave);
        let window = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, window).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let mut command = project.by(&["setsid", "--ctty"], line);
        command.env("TERM", "xterm-256color").envs(variables.iter().copied());
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        let Ok(child) = command.spawn() else {
            said_outright("skipped: there is no `setsid` to give a terminal to a program");
            return None;
        };
        // It holds the other ends of the terminal.
        drop(command);
        let master = File::from(master);
        let screen = avt::Terminal::with_scrollback(80, 24, None).unwrap();
        let screen = Arc::new(Mutex::new((screen, String::new())));
        let (mut reader, shown) = (master.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let (mut bytes, mut held) = ([0; 4096], Vec::new());
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                held.extend_from_slice(&bytes[..n]);
                let whole = held.utf8_chunks().map(|chunk| chunk.valid().len()).next().unwrap_or_default();
                let text = String::from_utf8(held.drain(..whole).collect()).unwrap();
                let (screen, raw) = &mut *shown.lock().unwrap();
                screen.feed(text.as_str());
                raw.push_str(&text);
            }
        });
        Some(Self { master, screen, child, before })
    }

    /// A watch that has compared everything.
    fn watch(project: &Project) -> Option<Self> {
        let mut terminal = Self::run(project, &[env!("CARGO_BIN_EXE_owui-watch")], &[])?;
        terminal.until("? for keys", |screen| screen.contains("? for keys") && screen.contains("deployed"));
        Some(terminal)
    }

    fn screen(&self) -> String {
        let shown = self.screen.lock().unwrap();
        let lines = shown.0.primary_screen().text();
        lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect::<String>().trim_end().to_owned()
    }

    /// Everything that was written to it.
    fn raw(&self) -> String {
        self.screen.lock().unwrap().1.clone()
    }

    /// What is below the last rule.
    fn view(&self) -> String {
        let screen = self.screen();
        screen.rfind(RULE).map_or_else(String::new, |at| screen[at..].to_owned())
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so(&self.screen()) {
            assert!(Instant::now() < deadline, "waiting for {what}:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn mode(&self) -> LocalModes {
        tcgetattr(&self.master).unwrap().local_modes
    }

    #[track_caller]
    fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote last may still be on its way.
                std::thread::sleep(Duration::from_millis(50));
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// That nothing is left of the live view, of the title, and of the keys.
    #[track_caller]
    fn check_whole(&self) {
        assert!(!self.screen().contains(RULE), "{}", self.screen());
        let raw = self.raw();
        assert!(raw.rfind("\x1b]2;\x07\x1b[23;2t") > raw.rfind("owui-watch\x07"), "{raw:?}");
        let now = tcgetattr(&self.master).unwrap();
        assert_eq!((now.local_modes, now.input_modes), (self.before.local_modes, self.before.input_modes));
        assert_eq!(now.output_modes, self.before.output_modes);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn project(server: &FakeServer) -> Project {
    let project = Project::on(server);
    project.put("watch.toml", "activate_new = true\n");
    project.put("plugins/shout.py", filter("1"));
    project.put("plugins/clock.py", filter("1"));
    project
}

#[test]
fn a_broken_file_stays_in_view_until_it_is_good_again() {
    let server = FakeServer::start();
    let project = project(&server);
    let Some(mut terminal) = Terminal::watch(&project) else { return };
    assert!(terminal.view().contains("2 plugins deployed · http://"), "{}", terminal.view());
    project.write("plugins/shout.py", "class Filter(:\n");
    terminal.until("the place", |screen| screen.contains("\n✗ plugins/shout.py:1:14  invalid Python"));
    terminal.until("its count", |screen| screen.contains("1 of 2 plugins deployed · 1 broken · http://"));
    assert!(terminal.raw().contains("\x1b]2;1 problem · owui-watch\x07"));
    project.write("plugins/clock.py", REFUSED);
    terminal.until("the refusal", |screen| screen.contains("\n▸ ✗ plugins/clock.py:1:1  refused: No module named"));
    project.write("plugins/shout.py", &filter("1"));
    terminal.until("good again", |screen| screen.contains("shout         1  good again, unchanged"));
    terminal.until("the count", |screen| screen.contains("1 of 2 plugins deployed · 1 refused"));
    assert!(!terminal.view().contains("shout"), "{}", terminal.view());
    project.write("plugins/clock.py", &filter("2"));
    terminal.until("the end of it", |screen| screen.contains("\n2 plugins deployed · http://"));
    // Never another screen, and no mouse.
    let raw = terminal.raw();
    assert!(!["\x1b[?1049", "\x1b[?1000", "\x1b[?1006", "\x1b[2J"].iter().any(|it| raw.contains(it)), "{raw:?}");
}

#[test]
fn a_broken_file_that_goes_leaves_the_view() {
    let server = FakeServer::start();
    let project = project(&server);
    let Some(mut terminal) = Terminal::watch(&project) else { return };
    project.write("plugins/new.py", "class Filter(:\n");
    terminal.until("the place", |screen| screen.contains("\n✗ plugins/new.py:1:14  "));
    project.write("plugins/new.py", "# Nothing yet.\n");
    terminal.until("the news", |screen| screen.contains("plugins/new.py  no longer broken"));
    terminal.until("the end of it", |screen| screen.contains("\n2 plugins deployed · http://"));
    project.write("plugins/new.py", "class Filter(:\n");
    terminal.until("the place", |screen| screen.contains("\n✗ plugins/new.py:1:14  "));
    std::fs::remove_file(project.path("plugins/new.py")).unwrap();
    terminal.until("the news", |screen| screen.contains("plugins/new.py  removed here"));
    terminal.until("the end of it", |screen| screen.contains("\n2 plugins deployed · http://"));
}

#[test]
fn keys_need_no_enter() {
    let server = FakeServer::start();
    let project = project(&server);
    let Some(mut terminal) = Terminal::watch(&project) else { return };
    assert!(!terminal.mode().intersects(LocalModes::ICANON | LocalModes::ECHO), "{:?}", terminal.mode());
    assert!(terminal.mode().contains(LocalModes::ISIG), "Ctrl-C stays a signal");
    terminal.type_in("?");
    terminal.until("the keys", |screen| {
        screen.contains("\nr compare everything with the server · d show the difference\no open in the browser · t try")
    });
    terminal.type_in("?");
    terminal.until("the hint", |screen| screen.contains("? for keys"));
    server.forget();
    terminal.type_in("r");
    terminal.until("a pass", |screen| screen.contains("2 unchanged"));
    assert!(!server.lines().is_empty(), "the server is asked");
    // A paste is no key.
    terminal.type_in("quit");
    project.write("plugins/shout.py", &filter("2"));
    terminal.until("the deploy", |screen| screen.contains("1 → 2  updated"));
    terminal.type_in("q");
    assert!(terminal.ended().success());
    assert!(terminal.screen().ends_with("· stopped"), "{}", terminal.screen());
    terminal.check_whole();
}

#[test]
fn a_key_shows_the_difference_of_the_latest_problem() {
    let server = FakeServer::start();
    let project = project(&server);
    let Some(mut terminal) = Terminal::watch(&project) else { return };
    project.write("plugins/shout.py", REFUSED);
    terminal.until("the refusal", |screen| screen.contains("refused"));
    project.write("plugins/clock.py", &filter("3"));
    terminal.until("a deploy after it", |screen| screen.contains("1 → 3  updated"));
    terminal.type_in("d");
    terminal.until("the difference", |screen| {
        screen.contains("$ owui-watch diff plugins/shout.py\n") && screen.contains("\n-version: 1\n")
    });
    terminal.type_in("t");
    terminal.until("a trial", |screen| screen.contains("$ owui-watch try plugins/shout.py\n"));
}

#[test]
fn a_key_opens_the_editor_which_has_the_terminal_for_itself() {
    let server = FakeServer::start();
    let project = project(&server);
    project.put("plugins/broken.py", "class Filter(:\n");
    project.write("editor", "printf '%s ' \"$@\" > opened; read -r line; echo \"$line\" > typed\n");
    let line = [env!("CARGO_BIN_EXE_owui-watch")];
    let Some(mut terminal) = Terminal::run(&project, &line, &[("EDITOR", "sh editor"), ("PATH", "/usr/bin:/bin")])
    else {
        return;
    };
    terminal.until("the view", |screen| screen.contains("? for keys") && screen.contains("1 broken"));
    terminal.type_in("e");
    let read = |file: &str| std::fs::read_to_string(project.path(file)).unwrap_or_default();
    terminal.until("the editor", |_| read("opened") == "+1 ./plugins/broken.py ");
    terminal.until("its terminal", |screen| !screen.contains(RULE));
    assert!(terminal.mode().contains(LocalModes::ICANON | LocalModes::ECHO));
    server.forget();
    project.write("plugins/shout.py", &filter("2"));
    server.wait_for("/update", 1);
    // A key is the editor's, and so is the screen.
    terminal.type_in("q\n");
    terminal.until("what was typed", |_| read("typed") == "q\n");
    terminal
        .until("the log of meanwhile", |screen| screen.contains("1 → 2  updated") && screen.ends_with("? for keys"));
    terminal.type_in("q");
    assert!(terminal.ended().success());
    terminal.check_whole();
}

/// A watch whose `e` opens a file in this shell script.
fn with_editor(project: &Project, script: &str, variables: &[(&str, &str)]) -> Option<Terminal> {
    project.write("editor", script);
    let path = std::env::var("PATH").unwrap_or_default();
    let variables: Vec<_> = variables.iter().copied().chain([("EDITOR", "sh editor"), ("PATH", &path)]).collect();
    let mut terminal = Terminal::run(project, &[env!("CARGO_BIN_EXE_owui-watch")], &variables)?;
    terminal.until("the view", |screen| screen.contains("? for keys") && screen.contains("2 plugins deployed"));
    Some(terminal)
}

fn read(project: &Project, file: &str) -> String {
    std::fs::read_to_string(project.path(file)).unwrap_or_default()
}

#[test]
fn an_editor_ends_before_the_watch() {
    for trap in ["", "trap '' TERM; "] {
        let server = FakeServer::start();
        let project = project(&server);
        let script = format!("{trap}stty raw -echo; echo $$ > opened; exec sleep 1000\n");
        let Some(mut terminal) = with_editor(&project, &script, &[]) else { return };
        terminal.type_in("e");
        terminal.until("the editor", |_| read(&project, "opened").ends_with('\n'));
        project.sh("kill", &["-s", "TERM", &terminal.child.id().to_string()]);
        assert_eq!(terminal.ended().code(), Some(0), "{trap}");
        let editor = Pid::from_raw(read(&project, "opened").trim().parse().unwrap()).unwrap();
        assert!(test_kill_process(editor).is_err(), "{trap}: the editor runs on");
        assert!(terminal.screen().ends_with("· stopped"), "{}", terminal.screen());
        terminal.check_whole();
    }
}

#[test]
fn an_interrupt_in_the_editor_leaves_the_watch_running() {
    let server = FakeServer::start();
    let project = project(&server);
    let script = "trap 'echo int >> got' INT; trap 'echo quit >> got' QUIT\n\
                  echo > opened; until [ -e done ]; do sleep 0.02; done\n";
    let Some(mut terminal) = with_editor(&project, script, &[]) else { return };
    terminal.type_in("e");
    terminal.until("the editor", |_| read(&project, "opened") == "\n");
    for (key, got) in [("\x03", "int\n"), ("\x1c", "int\nquit\n")] {
        terminal.type_in(key);
        terminal.until("the editor's signal", |_| read(&project, "got") == got);
    }
    server.forget();
    project.write("plugins/shout.py", &filter("2"));
    server.wait_for("/update", 1);
    project.write("done", "");
    terminal.until("the view", |screen| screen.contains("1 → 2  updated") && screen.ends_with("? for keys"));
    terminal.type_in("\x03");
    assert!(terminal.ended().success());
    terminal.check_whole();
}

#[test]
fn an_editor_that_dies_leaves_a_whole_terminal() {
    let server = FakeServer::start();
    let project = project(&server);
    let Some(mut terminal) = with_editor(&project, "stty raw -echo; kill -9 $$\n", &[]) else { return };
    terminal.type_in("e");
    terminal.until("the failure", |screen| screen.contains("the editor `sh editor` failed with signal: 9"));
    terminal.until("the view", |screen| screen.ends_with("? for keys"));
    assert!(terminal.mode().contains(LocalModes::ISIG), "{:?}", terminal.mode());
    terminal.type_in("q");
    assert!(terminal.ended().success());
    terminal.check_whole();
}

#[test]
fn one_editor_at_a_time() {
    let server = FakeServer::start();
    let project = project(&server);
    let script = "echo opened >> opened; read -r line; echo \"$line\" >> typed\n";
    let Some(mut terminal) = with_editor(&project, script, &[]) else { return };
    // The terminal is stopped, so that the view cannot be removed.
    terminal.type_in("\x13");
    for version in ["2", "3", "4"] {
        terminal.type_in("e");
        // The key has been read by the time of a deploy.
        server.forget();
        project.write("plugins/shout.py", &filter(version));
        server.wait_for("/update", 1);
    }
    assert_eq!(read(&project, "opened"), "", "it waits for the terminal");
    terminal.type_in("\x11");
    terminal.until("the editor", |_| read(&project, "opened") == "opened\n");
    terminal.type_in("x\n");
    terminal.until("what was typed", |_| read(&project, "typed") == "x\n");
    terminal.until("the view", |screen| screen.contains("3 → 4  updated") && screen.ends_with("? for keys"));
    assert_eq!(read(&project, "opened"), "opened\n");
    terminal.type_in("q");
    assert!(terminal.ended().success());
    terminal.check_whole();
}

#[test]
fn an_editor_inherits_no_secrets() {
    let server = FakeServer::start();
    let project = project(&server);
    // The watch has a key in its environment.
    let others = ["CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
    let Some(mut terminal) =
        with_editor(&project, "env > environment; echo > opened\n", &others.map(|name| (name, "0")))
    else {
        return;
    };
    terminal.type_in("e");
    terminal.until("the editor", |_| read(&project, "opened") == "\n");
    let environment = read(&project, "environment");
    assert!(environment.contains("EDITOR=sh editor\n"), "{environment}");
    assert!(!environment.contains("OPENWEBUI_API_KEY"), "{environment}");
    assert!(!others.iter().any(|name| environment.contains(name)), "{environment}");
}

/// A shell suspends the editor and the watch with Ctrl-Z, and continues both.
#[test]
fn the_view_comes_back_after_a_suspended_editor() {
    let server = FakeServer::start();
    let project = project(&server);
    project.write("editor", "echo > opened; read -r line; echo \"$line\" > typed\n");
    let shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
    let path = std::env::var("PATH").unwrap_or_default();
    let variables = [("PS1", "shell> "), ("EDITOR", "sh editor"), ("PATH", &path)];
    let Some(mut terminal) = Terminal::run(&project, &shell, &variables) else { return };
    terminal.until("a shell", |screen| screen.contains("shell>") || screen.contains("No such file"));
    if !terminal.screen().contains("shell>") {
        return said_outright("skipped: there is no bash");
    }
    terminal.type_in(&format!("{}\n", env!("CARGO_BIN_EXE_owui-watch")));
    terminal.until("the view", |screen| screen.contains("? for keys") && screen.contains("2 plugins deployed"));
    terminal.type_in("e");
    terminal.until("the editor", |_| read(&project, "opened") == "\n");
    terminal.type_in("\x1a");
    terminal.until("the shell", |screen| screen.contains("Stopped") && screen.ends_with("shell>"));
    terminal.type_in("fg\n");
    terminal.until("the editor", |screen| screen.lines().last().is_some_and(|line| line.contains("owui-watch")));
    terminal.type_in("x\n");
    terminal.until("what was typed", |_| read(&project, "typed") == "x\n");
    terminal.until("the view", |screen| screen.ends_with("? for keys"));
    terminal.type_in("q");
    terminal.until("the end", |screen| screen.contains("· stopped") && screen.ends_with("shell>"));
    terminal.type_in("exit\n");
    terminal.ended();
}

#[test]
fn a_diagnostic_stands_in_the_log_above_the_view() {
    let server = FakeServer::start();
    let project = project(&server);
    let Some(mut terminal) = Terminal::watch(&project) else { return };
    let server_part = || {
        let mut parts = std::fs::read_dir(project.path(".owui-watch/deployed")).ok()?;
        Some(parts.next()?.ok()?.file_name().to_str()?.to_owned())
    };
    terminal.until("a copy", |_| server_part().is_some());
    let rollbacks = format!(".owui-watch/rollbacks/{}", server_part().unwrap());
    project.write(&format!("{rollbacks}/function-shout.json"), "not ours");
    project.write("plugins/shout.py", &filter("2"));
    terminal.until("the diagnostic", |screen| screen.contains("function-shout.json`: "));
    terminal.until("the deploy", |screen| screen.contains("1 → 2  updated") && screen.ends_with("? for keys"));
    assert!(terminal.screen().contains("function-shout.json`: "), "{}", terminal.screen());
}

#[test]
fn the_terminal_is_whole_after_every_end() {
    for (keys, signal, code) in
        [("\x03", None, Some(0)), ("\x1c", None, Some(0)), ("", Some("TERM"), Some(0)), ("q", None, Some(0))]
    {
        let server = FakeServer::start();
        let project = project(&server);
        project.put("plugins/broken.py", "class Filter(:\n");
        let Some(mut terminal) = Terminal::watch(&project) else { return };
        terminal.type_in(keys);
        if let Some(signal) = signal {
            project.sh("kill", &["-s", signal, &terminal.child.id().to_string()]);
        }
        assert_eq!(terminal.ended().code(), code, "{keys:?} {signal:?}");
        terminal.check_whole();
    }
}

/// A shell suspends it with Ctrl-Z, and continues it.
#[test]
fn a_shell_suspends_and_continues_it() {
    let server = FakeServer::start();
    let project = project(&server);
    let shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
    let Some(mut terminal) = Terminal::run(&project, &shell, &[("PS1", "shell> ")]) else { return };
    terminal.until("a shell", |screen| screen.contains("shell>") || screen.contains("No such file"));
    if !terminal.screen().contains("shell>") {
        return said_outright("skipped: there is no bash");
    }
    terminal.type_in(&format!("{}\n", env!("CARGO_BIN_EXE_owui-watch")));
    terminal.until("the view", |screen| screen.contains("? for keys") && screen.contains("2 plugins deployed"));
    terminal.type_in("\x1a");
    terminal.until("the shell", |screen| screen.contains("Stopped") && screen.ends_with("shell>"));
    assert!(!terminal.screen().contains(RULE), "{}", terminal.screen());
    terminal.type_in("stty -a\n");
    terminal.until("the mode", |screen| screen.contains(" icanon ") && screen.contains(" echo "));
    terminal.type_in("fg\n");
    terminal.until("the view", |screen| screen.ends_with("? for keys"));
    assert!(!terminal.mode().contains(LocalModes::ICANON), "keys are on again");
    // In the background it prints its log, draws nothing, and leaves what is typed to the shell.
    terminal.type_in("\x1a");
    terminal.until("the shell", |screen| screen.matches("Stopped").count() == 2 && screen.ends_with("shell>"));
    terminal.type_in("bg\n");
    project.write("plugins/shout.py", &filter("2"));
    terminal.until("the deploy", |screen| screen.contains("1 → 2  updated"));
    assert!(!terminal.screen().contains(RULE), "{}", terminal.screen());
    terminal.type_in("echo q$((1 + 1))q\n");
    terminal.until("the shell's answer", |screen| screen.contains("q2q"));
    terminal.type_in("fg\n");
    terminal.until("the view", |screen| screen.ends_with("? for keys"));
    terminal.type_in("q");
    terminal.until("the end", |screen| screen.contains("· stopped") && screen.ends_with("shell>"));
    terminal.type_in("stty -a; exit\n");
    terminal.until("the mode", |screen| screen.matches(" icanon ").count() == 2);
    terminal.ended();
}

#[test]
fn a_stopped_terminal_holds_up_no_deploy() {
    let server = FakeServer::start();
    let project = project(&server);
    let Some(mut terminal) = Terminal::watch(&project) else { return };
    terminal.type_in("\x13");
    for version in 2..20 {
        let text = filter(&version.to_string());
        project.write("plugins/shout.py", &text);
        let deadline = Instant::now() + DEADLINE;
        while server.row(Kind::Function, "shout").is_none_or(|row| row.content != text) {
            assert!(Instant::now() < deadline, "version {version} is not deployed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert!(!terminal.screen().contains("updated"), "{}", terminal.screen());
    terminal.type_in("\x11");
    terminal.until("the log", |screen| screen.contains("18 → 19  updated"));
}

#[test]
fn plain_lines_where_nobody_wants_more() {
    let binary = env!("CARGO_BIN_EXE_owui-watch");
    for (line, variables) in [
        (&[binary, "--no-live"][..], &[][..]),
        (&[binary, "--json"], &[]),
        (&[binary, "-vv"], &[]),
        (&[binary], &[("CI", "true")]),
        (&[binary], &[("TERM", "dumb")]),
    ] {
        let server = FakeServer::start();
        let project = project(&server);
        let Some(mut terminal) = Terminal::run(&project, line, variables) else { return };
        terminal.until("the pass", |screen| screen.contains("2 created") || screen.contains("\"summary\""));
        assert!(terminal.mode().contains(LocalModes::ICANON | LocalModes::ECHO));
        terminal.type_in("\x03");
        assert!(terminal.ended().success());
        let raw = terminal.raw();
        let steers = ["\x1b]", "\x1b[?", "A\r\x1b[J", RULE, "for keys"];
        assert!(!steers.iter().any(|it| raw.contains(it)), "{line:?} {variables:?}: {raw:?}");
    }
}

#[test]
fn colours_go_and_the_view_stays() {
    let server = FakeServer::start();
    let project = project(&server);
    let line = [env!("CARGO_BIN_EXE_owui-watch")];
    let Some(mut terminal) = Terminal::run(&project, &line, &[("NO_COLOR", "1")]) else { return };
    terminal.until("the view", |screen| screen.contains("2 plugins deployed"));
    project.write("plugins/shout.py", "class Filter(:\n");
    terminal.until("the place", |screen| screen.contains("\n✗ plugins/shout.py:1:14  invalid Python"));
    assert_eq!(terminal.view().matches(RULE).count(), 1);
    let raw = terminal.raw();
    assert!(
        !raw.split("\x1b[")
            .skip(1)
            .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')),
        "{raw:?}"
    );
}

#[test]
fn a_difference_steers_no_terminal_and_stays_whole() {
    let server = FakeServer::start();
    let project = project(&server);
    let line = [env!("CARGO_BIN_EXE_owui-watch")];
    let Some(mut terminal) = Terminal::run(&project, &line, &[("NO_COLOR", "1")]) else { return };
    terminal.until("the view", |screen| screen.contains("2 plugins deployed"));
    let long = format!("# a  {}  `b` - c `{}`", "-".repeat(72), "d".repeat(90));
    project.write("plugins/shout.py", &format!("{REFUSED}{long}\n# \x1b]2;steered\x07 end\n"));
    terminal.until("the refusal", |screen| screen.contains("refused"));
    terminal.type_in("d");
    terminal.until("the difference", |screen| screen.contains(" end\n"));
    assert!(terminal.raw().contains(&format!("\n+{long}\r\n")), "{:?}", terminal.raw());
    assert!(!terminal.raw().contains("\x1b]2;steered") && !terminal.raw().contains("\x1b[32m"), "{:?}", terminal.raw());
}

#[test]
fn a_narrow_table_loses_no_reason() {
    let server = FakeServer::start();
    let project = project(&server);
    project.write("plugins/a_filter_with_a_rather_long_name.py", "class Filter(:\n");
    let line = [env!("CARGO_BIN_EXE_owui-watch"), "status"];
    let Some(mut terminal) = Terminal::run(&project, &line, &[]) else { return };
    assert_eq!(terminal.ended().code(), Some(1));
    let screen = terminal.screen();
    let below = screen.lines().skip_while(|row| !row.starts_with('✗')).skip(1);
    let reason =
        ["  plugins/a_filter_with_a_rather_long_name.py:1:14: invalid Python: expected an", "  expression or a ')'"];
    assert_eq!(below.take(2).collect::<Vec<_>>(), reason);
}

#[test]
fn the_view_follows_the_window() {
    let server = FakeServer::start();
    let project = project(&server);
    let Some(mut terminal) = Terminal::watch(&project) else { return };
    project.write("plugins/shout.py", "class Filter(:\n");
    terminal.until("the place", |screen| screen.contains("\n✗ plugins/shout.py:1:14  invalid Python"));
    for columns in [40, 120, 60, 80_u16] {
        terminal.screen.lock().unwrap().0.resize(columns.into(), 24);
        let window = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal.master, window).unwrap();
        let place = if columns == 40 { ":1:14\n  invalid Python" } else { ":1:14  invalid Python" };
        terminal.until("the view", |screen| {
            screen.matches(RULE).count() == 1 && screen.split(RULE).nth(1).is_some_and(|view| view.contains(place))
        });
    }
}
