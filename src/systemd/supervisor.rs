//! The service manager that started us, if one did and wants to know how we are: `sd_notify(3)`. Where it did not,
//! nothing is sent, no clock is set, and an idle program stays asleep.
//!
//! The protocol is one datagram per message. The `sd-notify` crate does not know abstract sockets, which managers in
//! containers offer, and could take from us little more than the writing of `READY=1`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::notice::board::Board;
use crate::notice::{Notice, NoticeKind};
use crate::printable;

/// How the manager says where it listens, and how often it wants to hear. They are meant for us alone: what we start
/// does not get them.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The service manager. `at` is always the time since the program started.
pub struct Supervisor {
    socket: Option<Socket>,
    watchdog: Option<Watchdog>,
    zone: TimeZone,
    board: Board,
    /// The status line that it has.
    said: String,
    reloading: bool,
    stopping: bool,
}

/// A manager that ends us when it does not hear from us. It hears from the loop itself, so that a loop that hangs is
/// noticed.
struct Watchdog {
    every: Duration,
    due: Duration,
}

impl Supervisor {
    /// The one that this environment names, if any.
    #[must_use]
    pub fn new(environment: &BTreeMap<String, String>) -> Self {
        let variable = |name| environment.get(name).filter(|value| !value.is_empty());
        let socket = variable("NOTIFY_SOCKET").and_then(|address| Socket::open(address));
        let ours = variable("WATCHDOG_PID").is_none_or(|pid| *pid == std::process::id().to_string());
        let watchdog = variable("WATCHDOG_USEC")
            .filter(|_| ours && socket.is_some())
            .and_then(|usec| usec.parse().ok())
            .filter(|usec| *usec > 0)
            // Half of it, as the protocol asks for.
            .map(|usec| Watchdog { every: Duration::from_micros(usec) / 2, due: Duration::ZERO });
        Self {
            socket,
            watchdog,
            zone: TimeZone::system(),
            board: Board::default(),
            said: String::new(),
            reloading: false,
            stopping: false,
        }
    }

    /// Hears what the user is told.
    pub fn tell(&mut self, notice: &Notice, time: Timestamp) {
        if self.socket.is_none() {
            return;
        }
        // Unlike a line on the terminal, this one may be read days later.
        let clock = time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        self.board.tell(notice, &clock);
        match notice.what {
            NoticeKind::Ready { .. } => {
                self.reloading = false;
                self.send("READY=1", Urgency::Must);
            }
            NoticeKind::Stopping { .. } | NoticeKind::Stopped { .. } if !self.stopping => {
                self.stopping = true;
                self.send("STOPPING=1", Urgency::Must);
            }
            _ => {}
        }
    }

    /// The start waits for somebody, and is not to be taken for one that hangs. To be said more often than every few
    /// seconds.
    pub fn waiting(&self) {
        self.send("EXTEND_TIMEOUT_USEC=5000000", Urgency::May);
    }

    /// Everything is about to be read again, because the manager asked for it or because the settings are others. It is
    /// over with a [`turn`] that says so.
    ///
    /// [`turn`]: Self::turn
    pub fn reloading(&mut self) {
        if self.stopping || self.socket.is_none() {
            return;
        }
        self.reloading = true;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()), Urgency::Must);
    }

    /// The loop has done everything that there was to do, and is about to wait. `reloaded` if what is in use is what was
    /// read last.
    pub fn turn(&mut self, at: Duration, reloaded: bool) {
        if self.socket.is_none() {
            return;
        }
        if reloaded && std::mem::take(&mut self.reloading) && !self.stopping {
            self.send("READY=1", Urgency::Must);
        }
        let line = one_line(&self.board.line());
        if line != self.said {
            self.send(&format!("STATUS={line}"), Urgency::May);
            self.said = line;
        }
        if let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.due <= at) {
            watchdog.due = at + watchdog.every;
            self.send("WATCHDOG=1", Urgency::Must);
        }
    }

    /// When there must be another [`turn`](Self::turn), whatever happens.
    #[must_use]
    pub fn next_turn(&self) -> Option<Duration> {
        self.watchdog.as_ref().map(|watchdog| watchdog.due)
    }

    fn send(&self, message: &str, urgency: Urgency) {
        if let Some(Err(error)) = self.socket.as_ref().map(|socket| socket.send(message, urgency)) {
            tracing::debug!(%error, message, "the service manager does not listen");
        }
    }
}

/// What is to be done about a manager that has no time to listen.
#[derive(Clone, Copy)]
enum Urgency {
    /// Wait for it, for a moment: a service that is not heard is ended.
    Must,
    /// Leave it: there will be another.
    May,
}

/// A server's words cannot become a line of the protocol. A message that is longer than the manager's buffer is lost.
fn one_line(text: &str) -> String {
    printable::line(text).chars().take(500).collect()
}

#[cfg(target_os = "linux")]
use linux::{Socket, monotonic_usec};

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    use super::Urgency;

    /// How long a busy manager is waited for.
    const PATIENCE: Duration = Duration::from_secs(1);

    pub(super) struct Socket {
        socket: UnixDatagram,
        address: SocketAddr,
    }

    impl Socket {
        /// Where it cannot be opened, the program runs as it does without a manager.
        pub(super) fn open(address: &str) -> Option<Self> {
            let open = || {
                let address = match address.strip_prefix('@') {
                    Some(name) => SocketAddr::from_abstract_name(name),
                    None => SocketAddr::from_pathname(address),
                }?;
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(PATIENCE))?;
                io::Result::Ok(Self { socket, address })
            };
            open().inspect_err(|error| tracing::debug!(%error, address, "the service manager is not found")).ok()
        }

        pub(super) fn send(&self, message: &str, urgency: Urgency) -> io::Result<()> {
            self.socket.set_nonblocking(matches!(urgency, Urgency::May))?;
            self.socket.send_to_addr(message.as_bytes(), &self.address).map(drop)
        }
    }

    /// The time by which the manager tells an answer to its own reload from an earlier one.
    pub(super) fn monotonic_usec() -> i64 {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    }
}

#[cfg(not(target_os = "linux"))]
use elsewhere::{Socket, monotonic_usec};

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::Urgency;

    /// There is none.
    pub(super) enum Socket {}

    impl Socket {
        pub(super) fn open(_: &str) -> Option<Self> {
            None
        }

        pub(super) fn send(&self, _: &str, _: Urgency) -> std::io::Result<()> {
            match *self {}
        }
    }

    pub(super) fn monotonic_usec() -> i64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_message() {
        assert_eq!(one_line("401\nSTOPPING=1\r\u{1b}[2J"), "401 STOPPING=1␍");
        assert_eq!(one_line(&"ä".repeat(9000)).chars().count(), 500);
    }

    #[test]
    fn nobody_listens_and_nothing_is_due() {
        let variables = |all: &[(&str, &str)]| {
            Supervisor::new(&all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let own = std::process::id().to_string();
        for environment in [
            &[][..],
            &[("NOTIFY_SOCKET", "")],
            // The watchdog of nobody, and that of another process.
            &[("WATCHDOG_USEC", "1000")],
            &[("NOTIFY_SOCKET", "@x"), ("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "0")],
            &[("NOTIFY_SOCKET", "@x"), ("WATCHDOG_USEC", "0"), ("WATCHDOG_PID", &own)],
            &[("NOTIFY_SOCKET", "@x"), ("WATCHDOG_USEC", "often")],
        ] {
            assert_eq!(variables(environment).next_turn(), None, "{environment:?}");
        }
        #[cfg(target_os = "linux")]
        {
            let mut supervisor =
                variables(&[("NOTIFY_SOCKET", "@x"), ("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", &own)]);
            assert_eq!(supervisor.next_turn(), Some(Duration::ZERO));
            supervisor.turn(Duration::from_secs(1), true);
            assert_eq!(supervisor.next_turn(), Some(Duration::from_millis(2500)));
        }
    }
}
