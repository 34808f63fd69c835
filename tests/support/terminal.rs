//! A terminal of a test's own, with the program in front of it as after a login: it leads the
//! session, and what is typed reaches it through the kernel, signals included. Needs no tool; a
//! machine without terminals is said, and such a test skipped.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::pipes::{Output, Shared, collect};
use super::run::DEADLINE;

/// Which terminal the process is to sit down at, and what it is to become there.
const TERMINAL: &str = "TEST_TERMINAL";
const WORDS: &str = "TEST_TERMINAL_WORDS";

const NOCTTY: i32 = rustix::fs::OFlags::NOCTTY.bits() as i32;

/// Stands between words; no argument of a test holds it.
const BETWEEN: u8 = 0x1f;

/// A terminal: its keyboard and its screen.
pub struct Terminal {
    keys: File,
    screen: Arc<Shared>,
    /// The other side. While nobody has it open, the screen ends.
    _device: File,
    name: OsString,
}

impl Terminal {
    pub const CTRL_C: &str = "\x03";
    pub const CTRL_D: &str = "\x04";

    /// A new one; none, and a word about it, where the machine gives none.
    pub fn open() -> Option<Self> {
        let opened = Self::try_open();
        let opened = opened.inspect_err(|why| eprintln!("skipped: no terminals here: {why}"));
        opened.ok()
    }

    fn try_open() -> io::Result<Self> {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&keys)?;
        unlockpt(&keys)?;
        let name = OsString::from_vec(ptsname(&keys, Vec::new())?.into_bytes());
        let mut device = File::options();
        let device = device.read(true).write(true).custom_flags(NOCTTY);
        let (keys, device) = (File::from(keys), device.open(&name)?);
        let screen = Arc::new(Shared::default());
        collect(Some(keys.try_clone()?), &screen, |seen| &mut seen.stdout);
        Ok(Self {
            keys,
            screen,
            _device: device,
            name,
        })
    }

    /// Types.
    pub fn press(&self, keys: &str) {
        let typed = (&self.keys).write_all(keys.as_bytes());
        typed.expect("a terminal that takes keys");
    }

    /// Waits until this stands on the screen.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(&format!("{text:?}"), |shown| shown.contains(text));
    }

    /// Waits until this is the last of what was written to the screen.
    pub fn wait_for_last(&self, text: &str) {
        self.wait_until(&format!("{text:?} at last"), |shown| shown.ends_with(text));
    }

    /// Waits until this holds of what was written to the screen.
    pub fn wait_until(&self, what: &str, so: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let came = self.screen.wait(deadline, |seen| so(&shown(seen)));
        assert!(came, "no {what} on the screen: {:?}", self.shown());
    }

    /// What stands on the screen so far, as it was written.
    pub fn shown(&self) -> String {
        shown(&self.screen.lock())
    }

    /// What it is called in the file system.
    pub fn name(&self) -> &OsStr {
        &self.name
    }
}

fn shown(seen: &Output) -> String {
    String::from_utf8_lossy(&seen.stdout.bytes).into_owned()
}

/// A command that becomes this one, with this terminal for its session and on its stdin.
pub(super) fn seat(command: &Command, terminal: &OsStr) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<&[u8]> = words.map(OsStr::as_bytes).collect();
    let mut seated = Command::new(env::current_exe().expect("a path"));
    seated.args(["--exact", "support::terminal::sits_down", "--nocapture"]);
    seated.env(TERMINAL, terminal);
    seated.env(WORDS, OsString::from_vec(words.join(&BETWEEN)));
    seated
}

/// No test but a part of one, in a process of its own: only what has just been started can lead a
/// session, and to become one between fork and exec takes `unsafe`.
#[test]
fn sits_down() {
    let (Some(terminal), Some(words)) = (env::var_os(TERMINAL), env::var_os(WORDS)) else {
        return;
    };
    setsid().expect("a session of its own");
    let terminal = File::options().read(true).write(true).open(terminal);
    let terminal = terminal.expect("the terminal");
    ioctl_tiocsctty(&terminal).expect("the terminal for the session");
    let mut words = words
        .as_bytes()
        .split(|byte| *byte == BETWEEN)
        .map(OsStr::from_bytes);
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).env_remove(TERMINAL).env_remove(WORDS);
    panic!("{}", command.stdin(terminal).exec());
}
