//! The real binary, to be run as a user would run it: its own process, arguments, a clean
//! environment, something on stdin.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::finished::Finished;
use super::loki::Loki;
use super::running::{Running, Viewer};
use super::signals;
use super::terminal::{self, Terminal};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_loki-push");

/// How long a run may take unless it says otherwise.
pub const DEADLINE: Duration = Duration::from_mins(2);

enum Input {
    Null,
    Open,
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// A run of the binary in the making.
pub struct LokiPush {
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    input: Input,
    script: Option<String>,
    own_group: bool,
    user: Option<u32>,
    terminal: Option<OsString>,
    watch_memory: bool,
    deadline: Duration,
    viewer: Option<Viewer>,
}

impl LokiPush {
    /// With `--url` of this stand-in, whose picture joins every report.
    pub fn new(loki: &Loki) -> Self {
        let mut run = Self::at(loki.url());
        run.viewer = Some(Arc::new(loki.viewer()));
        run
    }

    /// With `--url` of this address.
    pub fn at(url: impl AsRef<OsStr>) -> Self {
        Self::bare().args([OsStr::new("--url"), url.as_ref()])
    }

    /// Without any argument.
    pub fn bare() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            input: Input::Null,
            script: None,
            own_group: false,
            user: None,
            terminal: None,
            watch_memory: false,
            deadline: DEADLINE,
            viewer: None,
        }
    }

    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        self.args.extend(args);
        self
    }

    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    /// Sets a variable in the environment, which has no `LOKI_*` and `*_PROXY` of ours.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let pair = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.env.push(pair);
        self
    }

    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// These bytes come through a pipe on stdin, then its end.
    pub fn stdin_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// A pipe on stdin, written with [`Running::write`] until [`Running::close_stdin`].
    pub fn stdin_open(mut self) -> Self {
        self.input = Input::Open;
        self
    }

    /// This file on stdin, as with `<` in a shell.
    pub fn stdin_file(mut self, path: impl AsRef<Path>) -> Self {
        self.input = Input::File(path.as_ref().to_owned());
        self
    }

    /// With a summary as JSON at the end, for [`Finished::summary`].
    pub fn summed(self) -> Self {
        self.args(["--summary", "json"])
    }

    /// Retries that a test does not wait for.
    pub fn impatient(self) -> Self {
        self.args(["--retry-backoff", "20ms", "--max-backoff", "100ms"])
    }

    /// Shell commands that come first in the same process: `trap '' HUP`, `ulimit -n 20`.
    pub fn after(self, commands: &str) -> Self {
        self.in_shell(&format!("{commands}\nexec \"$@\""))
    }

    /// A shell script in which the run stands as `"$@"`: `app | "$@"`.
    pub fn in_shell(mut self, script: &str) -> Self {
        self.script = Some(script.to_owned());
        self
    }

    /// Makes the process the leader of a group, for [`Running::signal_group`].
    pub fn own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// Runs it as another user; only root may do that.
    pub fn user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// Puts the process in front of this terminal, as leader of its session, with the keyboard on
    /// stdin. What it prints still goes through pipes.
    pub fn at_terminal(mut self, terminal: &Terminal) -> Self {
        self.terminal = Some(terminal.name().to_owned());
        self
    }

    /// Watches the most memory the process takes: [`Finished::peak_kib`].
    pub fn watch_memory(mut self) -> Self {
        self.watch_memory = true;
        self
    }

    /// How long the run may take.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts it and waits for its end.
    pub fn run(self) -> Finished {
        self.spawn().wait()
    }

    /// Starts it.
    pub fn spawn(self) -> Running {
        let mut running = Running::start(
            self.command(),
            shown(&self.args),
            self.deadline,
            self.viewer.clone(),
        );
        if let Input::Bytes(bytes) = self.input {
            running.write(bytes);
            running.close_stdin();
        }
        if self.watch_memory {
            running.watch_memory();
        }
        running
    }

    fn command(&self) -> Command {
        signals::as_usual();
        let mut command = match &self.script {
            None => Command::new(BINARY),
            Some(script) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", script, "sh", BINARY]);
                shell
            }
        };
        command.args(&self.args);
        if let Some(terminal) = &self.terminal {
            command = terminal::seat(&command, terminal);
        }
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            if upper.starts_with("LOKI_") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.cwd {
            command.current_dir(dir);
        }
        if self.own_group {
            command.process_group(0);
        }
        if let Some(uid) = self.user {
            command.uid(uid).gid(uid);
        }
        command.stdin(match &self.input {
            Input::Null => Stdio::null(),
            Input::Open | Input::Bytes(_) => Stdio::piped(),
            Input::File(path) => match File::open(path) {
                Ok(file) => Stdio::from(file),
                Err(error) => panic!("{}: {error}", path.display()),
            },
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn shown(args: &[OsString]) -> String {
    let mut text = String::from("loki-push");
    for arg in args {
        _ = write!(text, " {:?}", arg.to_string_lossy());
    }
    text
}
