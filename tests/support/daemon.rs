//! A real server between the program and the stand-in: nginx, HAProxy, Caddy or squid. Tests that
//! drive one say that they were skipped where it is not installed.

use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::dir::Dir;
use super::loki::Loki;

/// A running server. It ends with the test.
pub struct Daemon {
    child: Child,
    pub port: u16,
    pub dir: Dir,
}

/// Where a program is, or None with a line that says what is skipped.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let found = path.split(':').map(|dir| Path::new(dir).join(name));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

impl Daemon {
    /// Starts a server with a configuration, in which `PORT` and `DIR` stand for what it gets, and
    /// waits until it accepts connections.
    pub fn start(program: &Path, args: &[&str], dir: Dir, config: &str) -> Self {
        let port = Loki::reserve().port();
        let shown = dir.path().display().to_string();
        let fill = |text: &str| {
            text.replace("PORT", &port.to_string())
                .replace("DIR", &shown)
        };
        dir.write("config", fill(config));
        let log = File::create(dir.join("log")).expect("a log");
        let child = Command::new(program)
            .args(args.iter().map(|arg| fill(arg)))
            .current_dir(dir.path())
            .env("HOME", dir.path())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("a server");
        let mut daemon = Self { child, port, dir };
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = daemon.child.try_wait().expect("a child");
            let late = Instant::now() > deadline;
            assert!(!late && ended.is_none(), "{}", daemon.dir.read_text("log"));
            std::thread::yield_now();
        }
        daemon
    }

    /// HAProxy with this frontend (and what comes after it), in front of a Loki.
    pub fn haproxy(dir: Dir, frontend: &str) -> Option<Self> {
        let config = format!(
            "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
             frontend f\n{frontend}\n"
        );
        let program = installed("haproxy")?;
        Some(Self::start(
            &program,
            &["-W", "-db", "-f", "DIR/config"],
            dir,
            &config,
        ))
    }

    /// Tells HAProxy to read its configuration again, in which this was replaced by that.
    pub fn reload(&self, this: &str, that: &str) {
        let config = self.dir.read_text("config").replace(this, that);
        self.dir.write("config", config);
        let id = rustix::process::Pid::from_raw(self.child.id().cast_signed()).expect("a process");
        let loaded = || self.dir.read_text("log").matches("Loading success").count();
        let before = loaded().max(1);
        // It is deaf while it starts.
        for _ in 0..60 {
            if loaded() >= before {
                rustix::process::kill_process(id, rustix::process::Signal::USR2).expect("a signal");
            }
            let later = Instant::now() + Duration::from_secs(1);
            while Instant::now() < later {
                if loaded() > before {
                    return;
                }
                std::thread::yield_now();
            }
        }
        panic!("no reload: {}", self.dir.read_text("log"));
    }

    /// nginx with this `server` block.
    pub fn nginx(dir: Dir, server: &str) -> Option<Self> {
        let config = format!(
            "daemon off; pid DIR/pid; error_log DIR/error.log; worker_processes 1; user root;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/proxy;\n\
             fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;\n\
             server {{ {server} }} }}\n"
        );
        let program = installed("nginx")?;
        let args = ["-p", "DIR", "-c", "DIR/config"];
        Some(Self::start(&program, &args, dir, &config))
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        _ = self.child.wait();
    }
}
