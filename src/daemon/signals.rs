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

/// How much longer the disk may take once the user has asked twice.
const DISK_PATIENCE: Duration = Duration::from_secs(1);

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

    /// Waits for the second request to stop, and a little longer: what is being written is usually on disk by then.
    /// Only for the end, since it takes the other signals.
    pub(super) async fn second_stop(&mut self) -> u8 {
        loop {
            let is_stopping = self.stopped;
            match self.recv().await {
                Some(Signal::Stop(number)) if is_stopping && number != SIGPIPE => {
                    tokio::time::sleep(DISK_PATIENCE).await;
                    return number;
                }
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
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

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_second_stop_ends_at_once() {
        let (system, receiver) = unbounded_channel();
        let (_keys, keys) = unbounded_channel();
        let (_gone, gone) = unbounded_channel();
        let mut signals = Signals::new(receiver, keys, gone);
        for signal in [Signal::Rescan, Signal::Stop(SIGINT), Signal::Stop(SIGPIPE), Signal::Stop(15)] {
            system.send(signal).unwrap();
        }
        assert_eq!(signals.second_stop().await, 15);
    }
}
