//! The user's terminal apart from its output: its size, its keys, and being suspended by the shell.

use tokio::sync::mpsc::UnboundedSender;

use super::Signal;
#[cfg(not(unix))]
use crate::output::Keys;
use crate::output::Output;

/// Listens to the terminal while the program watches.
#[cfg(unix)]
pub(super) use unix::Terminal;

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{SignalKind, signal};
    use tokio::task::JoinSet;

    use super::super::Action;
    use super::super::signals::{SIGINT, SIGQUIT};
    use super::{Output, Signal, UnboundedSender};
    use crate::notice::board::Step;
    use crate::output::{Key, Keyboard, Keys};

    /// Dropping it leaves the terminal as it was.
    pub(in super::super) struct Terminal {
        _tasks: JoinSet<()>,
        output: Output,
        keyboard: Option<Keyboard>,
    }

    impl Terminal {
        /// Draws the live view anew where the terminal changes. Sends what the keys ask for.
        pub(in super::super) fn listen(output: &Output, send: &UnboundedSender<Signal>, offered: Keys) -> Self {
            let (keys, at_help, back) = (send.clone(), output.clone(), output.clone());
            let pressed = move |key| {
                let signal = match key {
                    Key::Rescan => Signal::Rescan,
                    Key::Browse => Signal::Key(Action::Browse),
                    Key::Diff => Signal::Key(Action::Diff),
                    Key::Edit => Signal::Key(Action::Edit),
                    Key::Try => Signal::Key(Action::Try),
                    Key::Down => Signal::Choose(Step::Down),
                    Key::Up => Signal::Choose(Step::Up),
                    Key::Quit => Signal::Stop(SIGINT),
                    Key::Help => return at_help.toggle_help(),
                };
                // A closed channel means that the program has ended.
                keys.send(signal).ok();
            };
            let keyboard = Keyboard::take(pressed, move || back.redraw());
            output.offer(keyboard.as_ref().map(|_| offered));
            tell_panics_below_the_log(output.clone());
            let mut tasks = JoinSet::new();
            let redraw = output.clone();
            on(&mut tasks, SignalKind::window_change(), move || redraw.redraw());
            let (keys, resumed) = (keyboard.clone(), output.clone());
            on(&mut tasks, SignalKind::from_raw(CONTINUE), move || {
                keys.iter().for_each(Keyboard::resume);
                resumed.redraw();
            });
            let (keys, suspended) = (keyboard.clone(), output.clone());
            on(&mut tasks, SignalKind::from_raw(SUSPEND), move || suspend(&suspended, keys.as_ref()));
            if let Some(keys) = keyboard.clone() {
                let send = send.clone();
                on(&mut tasks, SignalKind::quit(), move || {
                    // Quit at once, but give the terminal back first.
                    keys.release();
                    for _ in 0..2 {
                        send.send(Signal::Stop(SIGQUIT)).ok();
                    }
                });
            }
            Self { _tasks: tasks, output: output.clone(), keyboard }
        }

        /// Gives the terminal to another program, as it was before. Waits while the terminal is stopped.
        pub(in super::super) async fn lend(&self) {
            self.output.pause().await;
            self.keyboard.iter().for_each(Keyboard::lend);
        }

        /// Whether another program has the terminal.
        pub(in super::super) fn is_lent(&self) -> bool {
            self.keyboard.as_ref().is_some_and(Keyboard::is_lent)
        }

        /// Takes the terminal back.
        pub(in super::super) fn take_back(&self) {
            self.keyboard.iter().for_each(Keyboard::take_back);
            self.output.go_on();
        }
    }

    /// The message of a panic would be erased with the view.
    fn tell_panics_below_the_log(output: Output) {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            output.suspend();
            tell(panic);
        }));
    }

    const CONTINUE: i32 = rustix::process::Signal::CONT.as_raw();
    const SUSPEND: i32 = rustix::process::Signal::TSTP.as_raw();

    fn on(tasks: &mut JoinSet<()>, kind: SignalKind, act: impl Fn() + Send + 'static) {
        // Without the signal, the view is drawn with the next notice.
        if let Ok(mut stream) = signal(kind) {
            tasks.spawn(async move {
                while stream.recv().await.is_some() {
                    act();
                }
            });
        }
    }

    /// Stops the program as Ctrl-Z does, on a terminal that is as it was before.
    fn suspend(output: &Output, keyboard: Option<&Keyboard>) {
        use rustix::process::{Signal, getpgrp, getpid, getsid, kill_process};
        // Without a shell that could continue us, the system ignores Ctrl-Z, too.
        if getsid(None).is_ok_and(|session| session == getpgrp()) {
            return;
        }
        output.suspend();
        if let Some(keyboard) = keyboard {
            keyboard.release();
        }
        kill_process(getpid(), Signal::STOP).ok();
    }
}

/// Nothing to listen to.
#[cfg(not(unix))]
pub(super) struct Terminal;

#[cfg(not(unix))]
#[expect(clippy::unused_self, clippy::unused_async, reason = "as on other systems")]
impl Terminal {
    pub(super) fn listen(_: &Output, _: &UnboundedSender<Signal>, _: Keys) -> Self {
        Self
    }

    pub(super) async fn lend(&self) {}

    pub(super) fn is_lent(&self) -> bool {
        false
    }

    pub(super) fn take_back(&self) {}
}
