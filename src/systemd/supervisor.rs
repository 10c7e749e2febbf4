//! Reports to the service manager that started us: `sd_notify(3)`. Without one nothing is sent and no timer is set, so
//! an idle program stays asleep.
//!
//! The protocol is one datagram per message. The `sd-notify` crate does not support abstract sockets, which managers in
//! containers offer, and would save little code.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::notice::board::Board;
use crate::notice::{Notice, NoticeKind};
use crate::printable;

/// The manager's socket and watchdog interval. Child processes do not get these variables.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The service manager. `at` is the time since the program started.
pub struct Supervisor {
    socket: Option<Socket>,
    watchdog: Option<Watchdog>,
    zone: LazyLock<TimeZone>,
    board: Board,
    /// The status line that was sent last.
    said: String,
    reloading: bool,
    stopping: bool,
}

/// A manager that kills us when it does not hear from us. The loop itself sends the pings, so that a hanging loop is
/// noticed.
struct Watchdog {
    every: Duration,
    due: Duration,
}

impl Supervisor {
    /// The manager that this environment names, if any.
    #[must_use]
    pub fn new(environment: &BTreeMap<String, String>) -> Self {
        let variable = |name| environment.get(name).filter(|value| !value.is_empty());
        let socket = variable("NOTIFY_SOCKET").and_then(|address| Socket::open(address));
        let ours = variable("WATCHDOG_PID").is_none_or(|pid| *pid == std::process::id().to_string());
        let watchdog = variable("WATCHDOG_USEC")
            .filter(|_| ours && socket.is_some())
            .and_then(|usec| usec.parse().ok())
            .filter(|usec| *usec > 0)
            // Half the interval, as the protocol recommends.
            .map(|usec| Watchdog { every: Duration::from_micros(usec) / 2, due: Duration::ZERO });
        Self {
            socket,
            watchdog,
            zone: LazyLock::new(TimeZone::system),
            board: Board::default(),
            said: String::new(),
            reloading: false,
            stopping: false,
        }
    }

    /// Takes in a notice for the status line.
    pub fn tell(&mut self, notice: &Notice, time: Timestamp) {
        if self.socket.is_none() {
            return;
        }
        // With the date: the status may be read days later.
        let clock = time.to_zoned(TimeZone::clone(&self.zone)).strftime("%Y-%m-%d %H:%M:%S").to_string();
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

    /// Says that the start is waiting, not hanging. Call this at least every few seconds.
    pub fn waiting(&self) {
        self.send("EXTEND_TIMEOUT_USEC=5000000", Urgency::May);
    }

    /// Says that a reload begins, because the manager asked for it or the settings changed. A [`turn`] with `reloaded`
    /// ends it.
    ///
    /// [`turn`]: Self::turn
    pub fn reloading(&mut self) {
        if self.stopping || self.socket.is_none() {
            return;
        }
        self.reloading = true;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()), Urgency::Must);
    }

    /// The loop has finished its work and is about to wait. `reloaded`: the settings in use are those read last.
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

    /// The latest time of the next [`turn`](Self::turn).
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

/// Whether to wait for a busy manager.
#[derive(Clone, Copy)]
enum Urgency {
    /// Wait for a moment: the manager would kill a service that it does not hear.
    Must,
    /// Drop the message: another will follow.
    May,
}

/// One short line: a line break would start another field, and the manager drops long messages.
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

    /// How long to wait for a busy manager.
    const PATIENCE: Duration = Duration::from_secs(1);

    pub(super) struct Socket {
        socket: UnixDatagram,
        address: SocketAddr,
    }

    impl Socket {
        /// Opens the socket. On failure the program runs as without a manager.
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

    /// The time by which the manager matches a reload to its request.
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

    /// No sockets on this system.
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
    fn text_cannot_forge_a_message() {
        assert_eq!(one_line("401\nSTOPPING=1\r\u{1b}[2J"), "401 STOPPING=1␍");
        assert_eq!(one_line(&"ä".repeat(9000)).chars().count(), 500);
    }

    #[test]
    fn without_a_manager_nothing_is_due() {
        let variables = |all: &[(&str, &str)]| {
            Supervisor::new(&all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let own = std::process::id().to_string();
        for environment in [
            &[][..],
            &[("NOTIFY_SOCKET", "")],
            // A watchdog without a socket, and one for another process.
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
