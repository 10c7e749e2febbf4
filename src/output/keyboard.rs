//! The keys of the live view. They need no Enter: the terminal hands over each character and shows none. Signals stay
//! what they are (Ctrl-C, Ctrl-Z, Ctrl-\), and so does Ctrl-S.

use std::io::{IsTerminal as _, PipeReader, PipeWriter, Read as _, Write as _, pipe, stdin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// How often to see whether the shell has given the terminal back, while it has it. No signal tells that of a program
/// that runs in the background.
const IN_BACKGROUND: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// A key that does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `r`
    Rescan,
    /// `d`
    Diff,
    /// `e`
    Edit,
    /// `o`
    Browse,
    /// `t`
    Try,
    /// `j`, or the arrow
    Down,
    /// `k`, or the arrow
    Up,
    /// `?`
    Help,
    /// `q`
    Quit,
}

impl Key {
    /// The key that was read. Several characters at once are an arrow, or a paste or another function key, which mean
    /// nothing here.
    fn read(bytes: &[u8]) -> Option<Self> {
        let arrow = bytes.get(..3).filter(|arrow| bytes.chunks(3).all(|next| next == *arrow));
        match arrow {
            Some(b"\x1b[A" | b"\x1bOA") => return Some(Key::Up),
            Some(b"\x1b[B" | b"\x1bOB") => return Some(Key::Down),
            _ => {}
        }
        let (first, rest) = bytes.split_first()?;
        match first {
            _ if rest.iter().any(|byte| byte != first) => None,
            b'r' => Some(Key::Rescan),
            b'd' => Some(Key::Diff),
            b'e' => Some(Key::Edit),
            b'o' => Some(Key::Browse),
            b't' => Some(Key::Try),
            b'j' => Some(Key::Down),
            b'k' => Some(Key::Up),
            b'?' => Some(Key::Help),
            b'q' => Some(Key::Quit),
            _ => None,
        }
    }
}

/// The terminal's keyboard, taken from its line editing. Given back when the last clone is dropped.
#[derive(Clone)]
pub struct Keyboard(Arc<Guard>);

struct Guard {
    /// The mode to give back; `None` while it is given back, but not while it is lent.
    before: Mutex<Option<Termios>>,
    /// Whether another program has the terminal for a while. Changes while `before` is locked.
    is_lent: AtomicBool,
    /// Wakes the thread that reads, to see whether the terminal is still ours.
    wake: PipeWriter,
}

impl Keyboard {
    /// Takes the keyboard, and calls `pressed` for each key, and `back` when the terminal is ours again; `None` if
    /// there is none to take.
    #[must_use]
    pub fn take(pressed: impl Fn(Key) + Send + 'static, back: impl Fn() + Send + 'static) -> Option<Self> {
        if !stdin().is_terminal() || !is_ours() {
            return None;
        }
        let (woken, wake) = pipe().ok()?;
        let keyboard = Self(Arc::new(Guard { before: Mutex::new(None), is_lent: AtomicBool::new(false), wake }));
        if !keyboard.0.grab() {
            return None;
        }
        let guard = Arc::downgrade(&keyboard.0);
        let thread = std::thread::Builder::new().name("keys".to_owned());
        thread.spawn(move || read(&guard, woken, pressed, back)).ok()?;
        Some(keyboard)
    }

    /// Gives the keyboard back, before the program is suspended. One that is lent stays with the other program.
    pub fn release(&self) {
        self.0.release();
    }

    /// Takes the keyboard again, if the terminal is ours again.
    pub fn resume(&self) {
        if self.0.is_ours() {
            self.0.grab();
        }
        self.0.wake();
    }

    /// Gives the keyboard to another program.
    pub fn lend(&self) {
        let before = self.0.before();
        self.0.is_lent.store(true, Ordering::SeqCst);
        before.iter().for_each(set_mode);
        drop(before);
        self.0.wake();
    }

    /// Takes the keyboard back from the other program, which may have died without restoring the terminal's mode.
    pub fn take_back(&self) {
        let before = self.0.before();
        self.0.is_lent.store(false, Ordering::SeqCst);
        before.iter().for_each(set_mode);
        drop(before);
        self.resume();
    }

    /// Whether another program has the keyboard.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        self.0.is_lent()
    }
}

impl Guard {
    /// Whether the terminal is ours, and not lent.
    fn is_ours(&self) -> bool {
        !self.is_lent() && is_ours()
    }

    fn is_lent(&self) -> bool {
        self.is_lent.load(Ordering::SeqCst)
    }

    /// Has the thread look again.
    fn wake(&self) {
        // Nobody reads from a terminal that is gone.
        (&self.wake).write_all(&[0]).ok();
    }

    fn before(&self) -> MutexGuard<'_, Option<Termios>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers whether the keyboard is ours.
    fn grab(&self) -> bool {
        let mut before = self.before();
        if self.is_lent() {
            return false;
        }
        let Ok(mode) = tcgetattr(stdin()) else { return false };
        // A shell that took the terminal meanwhile has set its own mode.
        if !mode.local_modes.contains(LocalModes::ICANON) {
            return before.is_some();
        }
        let mut keys = mode.clone();
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        keys.special_codes[SpecialCodeIndex::VMIN] = 1;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Not after what is still to be written: the terminal may be stopped.
        let is_taken = tcsetattr(stdin(), OptionalActions::Now, &keys).is_ok();
        *before = is_taken.then_some(mode);
        is_taken
    }

    fn release(&self) {
        let mut before = self.before();
        if !self.is_lent() {
            before.take().iter().for_each(set_mode);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.before().iter().for_each(set_mode);
    }
}

/// Sets the terminal's mode. In the background it is somebody else's, and setting it would stop us.
fn set_mode(mode: &Termios) {
    if is_ours() {
        tcsetattr(stdin(), OptionalActions::Now, mode).ok();
    }
}

/// Whether the terminal is the one that controls this program, and was given to it by the shell.
fn is_ours() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Reads keys until the terminal or the guard is gone. In the background it waits: reading would stop the program.
fn read(guard: &Weak<Guard>, mut woken: PipeReader, pressed: impl Fn(Key), back: impl Fn()) {
    let stdin = stdin();
    let mut was_ours = true;
    loop {
        let Some(keyboard) = guard.upgrade() else { return };
        let (is_ours_now, is_lent) = (keyboard.is_ours(), keyboard.is_lent());
        if is_ours_now && !was_ours {
            keyboard.grab();
            back();
        }
        drop(keyboard);
        was_ours = is_ours_now;
        let mut sources = [PollFd::new(&woken, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        // The end of a loan wakes us.
        let polled = match (is_ours_now, is_lent) {
            (true, _) => poll(&mut sources, None),
            (false, true) => poll(&mut sources[..1], None),
            (false, false) => poll(&mut sources[..1], Some(&IN_BACKGROUND)),
        };
        if polled.is_err_and(|error| error != Errno::INTR) {
            return;
        }
        let [is_woken, has_keys] = sources.map(|source| !source.revents().is_empty());
        let mut bytes = [0; 64];
        if is_woken && !woken.read(&mut bytes).is_ok_and(|n| n > 0) {
            return;
        }
        if has_keys && guard.upgrade().is_some_and(|keyboard| keyboard.is_ours()) {
            match rustix::io::read(&stdin, &mut bytes) {
                Ok(0) => return,
                Ok(n) => Key::read(&bytes[..n]).into_iter().for_each(&pressed),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paste_is_no_key() {
        assert_eq!(Key::read(b"q"), Some(Key::Quit));
        assert_eq!(Key::read(b"qq"), Some(Key::Quit));
        for bytes in
            [&b""[..], b"Q", b"quit", b"\x1b[?", b"\x1b", b"\x04", b"rq", b"\x1b[C", b"\x1b[B\x1b[A", b"\x1b[Bq"]
        {
            assert_eq!(Key::read(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn arrows_do_what_letters_do() {
        for (bytes, key) in [
            (&b"j"[..], Key::Down),
            (b"\x1b[B", Key::Down),
            (b"\x1bOB", Key::Down),
            (b"\x1b[B\x1b[B", Key::Down),
            (b"k", Key::Up),
            (b"\x1b[A", Key::Up),
        ] {
            assert_eq!(Key::read(bytes), Some(key), "{bytes:?}");
        }
    }
}
