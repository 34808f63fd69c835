//! Notifies systemd of the state of a followed run: ready, alive, stopping, and a status line
//! (`sd_notify(3)`).
//!
//! Does nothing unless `NOTIFY_SOCKET` is set.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use crate::report::counters::Counts;

/// The interval at which a changed status line is sent.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// The service manager's socket.
pub(super) struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// The interval at which it expects a sign of life.
    watchdog: Option<Duration>,
    alive_due: Option<Instant>,
    status_due: Instant,
    status: String,
}

impl ServiceManager {
    /// The service manager that started this process, if it expects notifications.
    pub(super) fn from_env(now: Instant) -> Option<Self> {
        let name = env::var_os("NOTIFY_SOCKET")?;
        let address = address(&name).ok()?;
        let socket = UnixDatagram::unbound().ok()?;
        // A service manager that does not read must not block the run.
        socket.set_nonblocking(true).ok()?;
        let watchdog = watchdog(&|name| env::var(name).ok(), std::process::id());
        Some(Self {
            socket,
            address,
            watchdog,
            alive_due: watchdog.map(|interval| now + interval),
            status_due: now,
            status: String::new(),
        })
    }

    /// Reports that files are being followed.
    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// Reports that the run is stopping.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The time at which [`ServiceManager::update`] must be called next.
    pub(super) fn due(&self) -> Instant {
        self.alive_due
            .map_or(self.status_due, |alive| alive.min(self.status_due))
    }

    /// Sends what is due: a sign of life, and the number of delivered and waiting entries.
    pub(super) fn update(&mut self, now: Instant, counts: impl FnOnce() -> Counts) {
        if self.alive_due.is_some_and(|due| due <= now) {
            self.tell("WATCHDOG=1");
            self.alive_due = self.watchdog.map(|interval| now + interval);
        }
        if self.status_due <= now {
            self.status_due = now + STATUS_INTERVAL;
            let status = status(&counts());
            if status != self.status {
                self.tell(&status);
                self.status = status;
            }
        }
    }

    /// Sends a message. Errors are ignored: a run also works without a service manager.
    fn tell(&self, message: &str) {
        let _ = self.socket.send_to_addr(message.as_bytes(), &self.address);
    }
}

/// The address in `NOTIFY_SOCKET`: a path, or with `@` a name in Linux's abstract namespace.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        _ => SocketAddr::from_pathname(name),
    }
}

/// Half the time after which systemd assumes that the process `own_pid` hangs.
fn watchdog(variable: &impl Fn(&str) -> Option<String>, own_pid: u32) -> Option<Duration> {
    let meant = variable("WATCHDOG_PID");
    if meant.is_some_and(|pid| pid.parse() != Ok(own_pid)) {
        return None;
    }
    let micros: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros) / 2)
}

/// The status line for `systemctl status`.
fn status(counts: &Counts) -> String {
    let waiting = counts.left() + counts.adopted_left();
    let delivered = counts.delivered + counts.adopted_delivered;
    let mut text = format!("STATUS=delivered {delivered}, waiting {waiting}");
    for (name, entries) in [
        ("refused", counts.refused + counts.adopted_refused),
        ("dropped", counts.dropped),
    ] {
        if entries > 0 {
            let _ = write!(text, ", {name} {entries}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_only_that_of_the_process_it_names() {
        let of = |pid: Option<&str>, usec: Option<&str>| {
            let variable = |name: &str| {
                let value = if name == "WATCHDOG_PID" { pid } else { usec };
                value.map(str::to_owned)
            };
            watchdog(&variable, 7)
        };
        let half = Some(Duration::from_secs(15));
        assert_eq!(of(Some("7"), Some("30000000")), half);
        assert_eq!(of(None, Some("30000000")), half);
        for (pid, usec) in [
            (Some("8"), Some("30000000")),
            (Some("7"), None),
            (Some("7"), Some("0")),
            (None, Some("soon")),
        ] {
            assert_eq!(of(pid, usec), None, "{pid:?} {usec:?}");
        }
    }

    #[test]
    fn the_status_counts_what_was_taken_over_too() {
        let counts = Counts {
            read: 10,
            delivered: 6,
            dropped: 1,
            adopted: 5,
            adopted_delivered: 2,
            ..Counts::default()
        };
        let expected = "STATUS=delivered 8, waiting 6, dropped 1";
        assert_eq!(status(&counts), expected);
    }
}
