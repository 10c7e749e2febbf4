//! The user's editor, which has the terminal while it runs.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::terminal::Terminal;

/// How long an editor may take to save its work once the watch ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// An editor, from the key that starts it until the terminal is ours again. Dropping it kills the editor.
pub(super) struct Editor {
    /// As `EDITOR` names it.
    name: String,
    /// One task. Dropping this aborts it.
    task: JoinSet<Ended>,
    /// Ends it. `None` once that was asked for.
    end: Option<oneshot::Sender<()>>,
}

/// An editor that has ended. Dropping it takes the terminal back.
pub(super) struct Ended {
    status: io::Result<ExitStatus>,
    _loan: Loan,
}

/// The terminal while the editor has it.
struct Loan(Arc<Terminal>);

impl Drop for Loan {
    fn drop(&mut self) {
        self.0.take_back();
    }
}

impl Editor {
    /// Starts the command as soon as the terminal is free for it.
    pub(super) fn start(name: String, command: Command, terminal: Arc<Terminal>) -> Self {
        let (end, ending) = oneshot::channel();
        let loan = Loan(terminal);
        let run = async move {
            let status = run(command, &loan.0, ending).await;
            Ended { status, _loan: loan }
        };
        let task = JoinSet::from_iter([run]);
        Self { name, task, end: Some(end) }
    }

    /// Asks the editor to end. It is killed if it does not.
    pub(super) fn end(&mut self) {
        if let Some(end) = self.end.take() {
            // It may have ended by itself.
            end.send(()).ok();
        }
    }

    /// Waits for its end. Answers why it failed, unless it ended because it was asked to.
    pub(super) async fn ended(&mut self) -> Option<String> {
        // A panic has been told, and has dropped the loan.
        let Ended { status, _loan } = self.task.join_next().await?.ok()?;
        let name = &self.name;
        match status {
            _ if self.end.is_none() => None,
            Ok(status) if status.success() => None,
            Ok(status) => Some(format!("the editor `{name}` failed with {status}")),
            Err(error) => Some(format!("cannot start the editor `{name}`: {error}")),
        }
    }
}

/// Runs the editor to its end, or until it is asked to end.
async fn run(mut command: Command, terminal: &Terminal, mut ending: oneshot::Receiver<()>) -> io::Result<ExitStatus> {
    let ended = || io::Error::from(io::ErrorKind::Interrupted);
    tokio::select! {
        biased;
        _ = &mut ending => return Err(ended()),
        () = terminal.lend() => {}
    }
    let mut child = command.kill_on_drop(true).spawn()?;
    tokio::select! {
        status = child.wait() => return status,
        _ = &mut ending => terminate(&child),
    }
    if let Ok(status) = tokio::time::timeout(PATIENCE, child.wait()).await {
        return status;
    }
    child.start_kill()?;
    child.wait().await
}

/// Sends `SIGTERM`: an editor saves its work then.
#[cfg(unix)]
fn terminate(child: &Child) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        rustix::process::kill_process(id, rustix::process::Signal::TERM).ok();
    }
}

/// There is no such signal. It is killed later.
#[cfg(not(unix))]
fn terminate(_: &Child) {}
