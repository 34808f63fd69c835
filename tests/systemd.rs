//! What a service manager is told, and the units that are shipped.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{Dir, Loki, LokiPush};

/// Receives until this message comes; returns all that came before it.
#[track_caller]
fn receive_until(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut came = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let read = socket.recv(&mut buffer);
        let read = read.unwrap_or_else(|error| panic!("no {wanted}, {error}: {came:?}"));
        let message = String::from_utf8_lossy(&buffer[..read]).into_owned();
        if message == wanted {
            return came;
        }
        came.push(message);
    }
}

fn patient(socket: UnixDatagram) -> UnixDatagram {
    let time = Some(Duration::from_secs(60));
    socket.set_read_timeout(time).expect("a time");
    socket
}

#[test]
fn a_followed_run_tells_that_it_is_ready_alive_and_stopping() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.join("notify");
    let name = format!("loki-push-test-{}", std::process::id());
    let hidden = SocketAddr::from_abstract_name(&name).expect("a name");
    let sockets = [
        (path.display().to_string(), UnixDatagram::bind(&path)),
        (format!("@{name}"), UnixDatagram::bind_addr(&hidden)),
    ];
    for (address, socket) in sockets {
        let socket = patient(socket.expect("a socket"));
        let log = dir.write("app.log", "one\ntwo\n");
        let run = LokiPush::new(&loki)
            .args(["--follow", "--from", "start", "--flush-interval", "10ms"])
            .env("NOTIFY_SOCKET", address)
            .env("WATCHDOG_USEC", "200000")
            .arg(&log)
            .spawn();
        receive_until(&socket, "READY=1");
        receive_until(&socket, "STATUS=delivered 2, waiting 0");
        receive_until(&socket, "WATCHDOG=1");
        receive_until(&socket, "WATCHDOG=1");
        run.signal("TERM");
        receive_until(&socket, "STOPPING=1");
        run.wait_to_end().expect(0).expect_silence();
    }
}

#[test]
fn what_waits_is_in_the_status() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let socket = patient(UnixDatagram::bind(dir.join("notify")).expect("a socket"));
    let log = dir.write("app.log", "one\ntwo\nthree\n");
    let run = LokiPush::new(&loki)
        .args(["--follow", "--from", "start", "--flush-interval", "10ms"])
        .args(["--flush-timeout", "100ms"])
        .env("NOTIFY_SOCKET", dir.join("notify"))
        .arg(&log)
        .spawn();
    let before = receive_until(&socket, "STATUS=delivered 0, waiting 3");
    // Nobody asked for a sign of life.
    assert!(!before.contains(&"WATCHDOG=1".to_owned()), "{before:?}");
    run.signal("TERM");
    run.wait_to_end().expect(1);
}

#[test]
fn only_a_followed_run_notifies_and_a_missing_socket_is_ignored() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let socket = UnixDatagram::bind(dir.join("notify")).expect("a socket");
    socket.set_nonblocking(true).expect("a socket");
    let log = dir.write("app.log", "one\n");
    let run = || LokiPush::new(&loki).env("NOTIFY_SOCKET", dir.join("notify"));
    run().arg(&log).run().expect(0).expect_silence();
    run().args(["--", "true"]).run().expect(0).expect_silence();
    assert!(socket.recv(&mut [0; 100]).is_err(), "nothing was told");
    for address in ["/no/such/socket", "", "@", "relative"] {
        let run = LokiPush::new(&loki).args(["--follow", "--from", "start"]);
        let run = run.env("NOTIFY_SOCKET", address).arg(&log);
        let before = loki.entries().len();
        let run = run.spawn();
        loki.wait_for_entries(before + 1);
        run.signal("TERM");
        run.wait_to_end().expect(0).expect_silence();
    }
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn units_do_not_restart_a_usage_error_and_are_hardened() {
    let unit = example("loki-push.service");
    for setting in [
        "Type=notify",
        "WatchdogSec=",
        "RestartPreventExitStatus=2",
        "StateDirectory=loki-push",
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "RestrictAddressFamilies=",
        "SystemCallFilter=",
    ] {
        assert!(
            unit.lines().any(|line| line.starts_with(setting)),
            "{setting}"
        );
    }
    let job = example("loki-push-backup.service");
    for setting in ["StateDirectory=loki-push-backup", "Type=oneshot"] {
        assert!(job.lines().any(|line| line == setting), "{setting}");
    }
}

#[test]
fn systemd_understands_the_units() {
    let dir = Dir::new();
    for name in [
        "loki-push.service",
        "loki-push-backup.service",
        "loki-push-backup.timer",
    ] {
        // The programs are not installed here.
        let unit = example(name).replace("/usr/bin/loki-push", "/bin/true");
        let unit = unit.replace("/usr/local/bin/backup.sh", "/bin/true");
        dir.write(name, unit);
    }
    for name in ["loki-push.service", "loki-push-backup.timer"] {
        let verify = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(dir.join(name))
            .output();
        let Ok(done) = verify else {
            eprintln!("skipped: no systemd-analyze");
            return;
        };
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        let about: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("loki-push"))
            .collect();
        assert_eq!(about, [""; 0], "{name}");
    }
}
