//! A pipe, read to its end: standard input, and what a command prints.
//!
//! Knows how to read without ever hurting whoever writes: when nobody takes entries any more, it
//! goes on reading, so that the writer never meets a closed pipe.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::input::cancel::{CancellableInput, Ready};
use crate::input::line_splitter::LineSplitter;
use crate::input::read_coalescing::ReadCoalescer;
use crate::process::entry_sender::EntrySender;
use crate::process::line_processor::LineProcessor;
use crate::report::messages::{Message, Reporter};
use crate::sync::blocking_write::{Cut, PollableWrite, write_all};

/// What everybody may make of a pipe (`/proc/sys/fs/pipe-max-size`).
const WIDE: usize = 1024 * 1024;

/// Reads `input` to its end, or to where the leash is pulled. What is read is copied to `tee`
/// first, unchanged and at once; a tee that is closed ends the copying, not the shipping.
///
/// # Errors
/// If reading fails; what was read until then is handed in.
pub fn pump(
    input: &mut (impl Read + AsFd),
    collar: &mut CancellableInput,
    mut lines: LineSplitter,
    mut gatherer: LineProcessor,
    intake: &EntrySender,
    tee: &mut Option<Box<dyn PollableWrite>>,
) -> io::Result<()> {
    // Whoever reads the tee waits for it; and what is read slowly is read in small pieces on purpose.
    let mut calm = (tee.is_none() && !lines.is_slow()).then(ReadCoalescer::default);
    loop {
        let asked = Instant::now();
        let read = match collar.wait(input, gatherer.due()) {
            Ready::Quiet => {
                gatherer.pause();
                gatherer.hand_in(intake, 0);
                continue;
            }
            Ready::Over => Ok(0),
            Ready::Readable => match lines.read(input) {
                // Whoever gave us the pipe made it non-blocking, and another reader was faster.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                read => read,
            },
        };
        let bytes = *read.as_ref().unwrap_or(&0);
        if bytes > 0 && tee.is_some() {
            collar.hold(true);
            tee.take_if(|out| !copy(lines.fresh(), &mut **out, intake.reporter()));
            collar.hold(false);
        }
        let now = Instant::now();
        while let Some(piece) = lines.next_piece() {
            gatherer.line(piece, now);
            if gatherer.is_full() {
                gatherer.hand_in(intake, 0);
            }
        }
        if bytes == 0 {
            if let Some(piece) = lines.rest() {
                gatherer.line(piece, now);
            }
            gatherer.end();
        }
        // Whether or not anybody takes them: the writer must never meet a closed pipe.
        gatherer.hand_in(intake, bytes);
        if bytes == 0 {
            return read.map(drop);
        }
        if let Some(pause) = calm
            .as_mut()
            .and_then(|calm| calm.after(bytes, now - asked, || widen(input)))
        {
            rest(input, pause);
        }
    }
}

/// Whether nobody writes into `input` any more: what is in it is all that comes.
pub fn is_hung_up(input: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(input, PollFlags::RDHUP)];
    let gone = PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR;
    poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().intersects(gone)
}

/// Waits, but not past the end of input: of no event but a hang-up, which poll always tells.
fn rest(input: &impl AsFd, pause: Duration) {
    let mut fds = [PollFd::new(input, PollFlags::empty())];
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: pause.subsec_nanos().into(),
    };
    // Woken early by a signal: then we read a little early.
    let _ = poll(&mut fds, Some(&pause));
}

/// Gives the pipe more room, so that its writer is not held up while we rest; gives how much it has
/// now, 0 if this is no pipe.
fn widen(input: &impl AsFd) -> usize {
    // Not everybody may have so much; what it is after that counts.
    let _ = rustix::pipe::fcntl_setpipe_size(input, WIDE);
    rustix::pipe::fcntl_getpipe_size(input).unwrap_or(0)
}

/// Copies bytes out; false when nobody takes them any more, which is said unless whoever read them
/// is gone.
pub fn copy(bytes: &[u8], out: &mut dyn PollableWrite, reporter: Reporter) -> bool {
    if bytes.is_empty() {
        return true;
    }
    match write_all(bytes, out) {
        Ok(()) => true,
        Err(Cut { why, .. }) => {
            if why.kind() != io::ErrorKind::BrokenPipe {
                reporter.say(&Message::Unwritable {
                    what: "what --tee passes on, and goes on without",
                    why: &why.to_string(),
                });
            }
            false
        }
    }
}
