//! What interrupts the watch: the system's signals, keys, and a reader that goes away.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::Signal;
use crate::output::Output;

/// Ctrl-C.
pub(super) const SIGINT: u8 = 2;
/// Ctrl-\.
pub(super) const SIGQUIT: u8 = 3;
/// The signal that ends a program whose output pipe has no reader.
pub(super) const SIGPIPE: u8 = 13;

/// How long the program waits at its end for a reader who makes no progress.
const READER_PATIENCE: Duration = Duration::from_secs(1);

/// The system's signals. A reader of our output that goes away counts as one, and so do keys.
pub(super) struct Signals {
    system: UnboundedReceiver<Signal>,
    keys: UnboundedReceiver<Signal>,
    /// Gets a message when the reader is gone; closed once everything is printed.
    gone: UnboundedReceiver<()>,
    stopped: bool,
}

impl Signals {
    pub(super) fn new(
        system: UnboundedReceiver<Signal>,
        keys: UnboundedReceiver<Signal>,
        gone: UnboundedReceiver<()>,
    ) -> Self {
        Self { system, keys, gone, stopped: false }
    }

    pub(super) async fn recv(&mut self) -> Option<Signal> {
        let signal = tokio::select! {
            biased;
            Some(signal) = self.system.recv() => signal,
            Some(signal) = self.keys.recv() => signal,
            Some(()) = self.gone.recv() => Signal::Stop(SIGPIPE),
            else => return None,
        };
        self.stopped |= matches!(signal, Signal::Stop(_));
        Some(signal)
    }

    /// Waits until everything is printed. A watch gives up on a reader that makes no progress; a pass that ended by
    /// itself waits as long as it takes, so that a slow reader of `--once` misses nothing.
    pub(super) async fn printed(&mut self, output: &Output, once: bool) {
        output.close();
        let mut taken = output.taken();
        loop {
            tokio::select! {
                biased;
                _ = self.gone.recv() => return,
                Some(Signal::Stop(_)) = self.system.recv() => return,
                () = tokio::time::sleep(READER_PATIENCE) => {}
            }
            let before = std::mem::replace(&mut taken, output.taken());
            if before == taken && (!once || self.stopped) {
                return;
            }
        }
    }
}
