//! Reads pipes to their end: standard input and the output of a command.
//!
//! Input is read even when entries are no longer accepted, so the writer never sees a closed pipe.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use rustix::termios::isatty;

use crate::input::cancel::{Awaited, CancellableInput, Ready};
use crate::input::line_splitter::LineSplitter;
use crate::input::read_coalescing::ReadCoalescer;
use crate::process::entry_sender::EntrySender;
use crate::process::line_processor::LineProcessor;
use crate::report::messages::{Message, Reporter};
use crate::sync::blocking_write::{Cut, PollableWrite, write_all};

/// The pipe size that every user may set (`/proc/sys/fs/pipe-max-size`).
const MAX_PIPE: usize = 1024 * 1024;

/// Number of bytes read at once from each of two pipes that are written to in turn. The order in which
/// their content was written is unknown, so this much of one is stamped before the other.
const TURN: usize = 1024;

/// Number of reads for which two pipes count as interleaved after they were written to alternately.
const MIXED_READS: u32 = 16;

/// Number of bytes that can be written without blocking to a pipe that has room (`PIPE_BUF`).
const SURE_WRITE: usize = 4096;

/// A pipe, with everything that its lines pass through.
pub struct Pipe<'a, R> {
    input: R,
    splitter: LineSplitter,
    processor: LineProcessor,
    sender: &'a EntrySender,
    /// Where the input is copied to, unchanged and at once. If it is closed, copying ends and shipping
    /// continues.
    tee: &'a mut Option<Box<dyn PollableWrite>>,
    coalescer: Option<ReadCoalescer>,
    /// Whether the next read must wait until the tee is writable.
    stalled: bool,
    end: Option<io::Result<()>>,
}

impl<'a, R: Read + AsFd> Pipe<'a, R> {
    /// Creates a reader for a pipe.
    pub fn new(
        input: R,
        splitter: LineSplitter,
        processor: LineProcessor,
        sender: &'a EntrySender,
        tee: &'a mut Option<Box<dyn PollableWrite>>,
    ) -> Self {
        // A tee must not be delayed, and with `--limit-rate` small reads are intended.
        let coalesces = tee.is_none() && !splitter.is_slow();
        Self {
            input,
            splitter,
            processor,
            sender,
            tee,
            coalescer: coalesces.then(ReadCoalescer::default),
            stalled: false,
            end: None,
        }
    }

    /// Reads the pipe to its end, or until it is cancelled.
    ///
    /// # Errors
    /// If reading fails; what was read before that is shipped.
    pub fn read_to_end(self, cancel: &mut CancellableInput) -> io::Result<()> {
        let mut pipes = [self];
        read_pipes(&mut pipes, cancel);
        let [pipe] = pipes;
        pipe.end.unwrap_or(Ok(()))
    }

    /// How reading ended; None if the pipe was still open at the end of the run.
    pub fn end(&self) -> Option<&io::Result<()>> {
        self.end.as_ref()
    }

    /// The pipe itself.
    pub fn input(&self) -> &R {
        &self.input
    }

    fn awaited(&self) -> Awaited<'_> {
        match &*self.tee {
            Some(tee) if self.stalled => Awaited::Output(tee),
            _ => Awaited::Input(&self.input),
        }
    }

    /// Whether copying to the tee would block.
    fn is_stalled(&self) -> bool {
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        let ready = |tee: &dyn PollableWrite| {
            let mut fds = [PollFd::from_borrowed_fd(tee.as_fd(), PollFlags::OUT)];
            let polled = poll(&mut fds, Some(&Timespec::default()));
            polled.is_err() || fds[0].revents().intersects(gone | PollFlags::OUT)
        };
        self.tee.as_ref().is_some_and(|tee| !ready(&**tee))
    }

    /// Reads once, at most `most` bytes, and processes them. Returns the number of bytes, 0 at the end,
    /// or None if there was no input after all.
    fn read(&mut self, most: usize, cancel: &CancellableInput) -> Option<usize> {
        let read = self.splitter.read(&mut (&mut self.input).take(most as u64));
        let bytes = match &read {
            // The pipe is non-blocking, and another process has read it first.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            // A terminal whose other side is closed.
            Err(error) if Errno::from_io_error(error) == Some(Errno::IO) && isatty(&self.input) => {
                self.finish();
                self.end = Some(Ok(()));
                return Some(0);
            }
            read => *read.as_ref().unwrap_or(&0),
        };
        if bytes > 0 && self.tee.is_some() {
            cancel.set_tee_blocked(true);
            let (splitter, reporter) = (&self.splitter, self.sender.reporter());
            self.tee
                .take_if(|out| !copy(splitter.last_read(), &mut **out, reporter));
            cancel.set_tee_blocked(false);
        }
        let now = Instant::now();
        while let Some(fragment) = self.splitter.next_piece() {
            self.processor.push(fragment, now);
            if self.processor.is_full() {
                self.processor.flush(self.sender, 0);
            }
        }
        if bytes == 0 {
            self.finish();
            self.end = Some(read.map(drop));
        } else {
            if self.splitter.has_remainder() {
                self.processor.postpone(now);
            }
            // Even after the sender has ended.
            self.processor.flush(self.sender, bytes);
        }
        Some(bytes)
    }

    /// Completes the entries that wait for more lines.
    fn flush(&mut self) {
        self.processor.flush_pending();
        self.processor.flush(self.sender, 0);
    }

    /// Processes everything that is left, including a last line without a line end.
    fn finish(&mut self) {
        if let Some(fragment) = self.splitter.take_remainder() {
            self.processor.push(fragment, Instant::now());
        }
        self.processor.end();
        self.processor.flush(self.sender, 0);
    }

    /// The pause after a read, if it makes the next read larger.
    fn pause_after(&mut self, bytes: usize, waited: Duration) -> Option<Duration> {
        let input = &self.input;
        let coalescer = self.coalescer.as_mut()?;
        coalescer.after(bytes, waited, || enlarge_pipe(input))
    }
}

/// Reads pipes together, each to its end or for as long as the run allows, in small turns while more
/// than one is written to, so that lines are stamped in the order of writing as far as it is known.
pub fn read_pipes<R: Read + AsFd>(pipes: &mut [Pipe<'_, R>], cancel: &mut CancellableInput) {
    let mut turns = Turns::default();
    loop {
        let open: Vec<usize> = (0..pipes.len())
            .filter(|&index| pipes[index].end.is_none())
            .collect();
        if open.is_empty() {
            return;
        }
        let asked = Instant::now();
        let due = open
            .iter()
            .filter_map(|&index| pipes[index].processor.next_deadline());
        let due = due.min();
        let awaited: Vec<Awaited<'_>> = open.iter().map(|&at| pipes[at].awaited()).collect();
        let ready = cancel.wait(&awaited, due);
        let bits = match ready {
            Ready::Over => return read_what_is_there(pipes, cancel),
            Ready::Quiet => 0,
            Ready::Some(bits) => bits,
        };
        let is_draining = cancel.is_draining();
        let alone = open.len() == 1;
        turns.note(bits, alone);
        let mut rest = None;
        for (bit, &index) in open.iter().enumerate() {
            let pipe = &mut pipes[index];
            if !ready.has(bit) {
                // Another pipe may keep this loop busy.
                let now = Instant::now();
                let is_due = pipe.processor.next_deadline().is_some_and(|due| due <= now);
                if is_due || ready == Ready::Quiet && is_draining {
                    pipe.flush();
                }
                continue;
            }
            pipe.stalled = !alone && !is_draining && pipe.is_stalled();
            if pipe.stalled {
                continue;
            }
            let most = match &pipe.tee {
                _ if turns.are_mixed() => TURN,
                Some(_) if !alone => SURE_WRITE,
                _ => usize::MAX,
            };
            let read = pipe.read(most, cancel).filter(|&bytes| bytes > 0);
            if let Some(bytes) = read.filter(|_| !turns.are_mixed() && !is_draining) {
                let pause = pipe.pause_after(bytes, asked.elapsed());
                rest = pause.map(|pause| (index, pause));
            }
        }
        if let Some((resting, pause)) = rest {
            sleep(pipes, &open, resting, pause);
        }
    }
}

/// Reads what is in the pipes now, in turns, and ends.
fn read_what_is_there<R: Read + AsFd>(pipes: &mut [Pipe<'_, R>], cancel: &CancellableInput) {
    let there = |pipe: &Pipe<'_, R>| {
        let bytes = ioctl_fionread(&pipe.input).unwrap_or(0);
        // A pipe cannot hold more; for a file it is the whole rest.
        usize::try_from(bytes).unwrap_or(MAX_PIPE).min(MAX_PIPE)
    };
    let mut left: Vec<usize> = pipes.iter().map(there).collect();
    loop {
        let mut came = false;
        for (pipe, left) in pipes.iter_mut().zip(&mut left) {
            if pipe.end.is_some() || *left == 0 {
                continue;
            }
            let bytes = pipe.read(TURN.min(*left), cancel).unwrap_or(0);
            *left = if bytes == 0 { 0 } else { *left - bytes };
            came |= bytes > 0;
        }
        if !came {
            break;
        }
    }
    for pipe in pipes.iter_mut().filter(|pipe| pipe.end.is_none()) {
        pipe.finish();
    }
}

/// Detects whether pipes are written to in turn.
#[derive(Default)]
struct Turns {
    /// The pipes that were ready last, one bit for each.
    last: u32,
    /// Number of reads for which they still count as written to in turn.
    mixed: u32,
}

impl Turns {
    fn note(&mut self, ready: u32, alone: bool) {
        if ready == 0 {
            return;
        }
        let changed = self.last != 0 && self.last != ready || ready.count_ones() > 1;
        self.mixed = if alone {
            0
        } else if changed {
            MIXED_READS
        } else {
            self.mixed.saturating_sub(1)
        };
        self.last = ready;
    }

    fn are_mixed(&self) -> bool {
        self.mixed > 0
    }
}

/// The event that the other end of a socket is closed for writing. Only Linux distinguishes it from a
/// hangup.
#[cfg(target_os = "linux")]
const PEER_CLOSED: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
const PEER_CLOSED: PollFlags = PollFlags::empty();

/// Whether all writers have closed `input`, so that nothing is added to it.
pub fn is_hung_up(input: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(input, PEER_CLOSED)];
    let gone = PollFlags::HUP | PEER_CLOSED | PollFlags::ERR;
    poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().intersects(gone)
}

/// Pauses until the time is over, the pipe is closed, which poll always reports, or another pipe has
/// input.
fn sleep<R: AsFd>(pipes: &[Pipe<'_, R>], open: &[usize], resting: usize, pause: Duration) {
    let fds = open.iter().filter(|&&index| pipes[index].end.is_none());
    let fds = fds.map(|&index| {
        let rests = index == resting || pipes[index].stalled;
        let events = if rests {
            PollFlags::empty()
        } else {
            PollFlags::IN
        };
        PollFd::new(&pipes[index].input, events)
    });
    let mut fds: Vec<_> = fds.collect();
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: pause.subsec_nanos().into(),
    };
    // A signal may end the pause early, which is harmless.
    let _ = poll(&mut fds, Some(&pause));
}

/// Enlarges the pipe, so that its writer does not block during a pause. Returns its size, 0 if it is
/// not a pipe.
#[cfg(target_os = "linux")]
fn enlarge_pipe(input: &impl AsFd) -> usize {
    // This may be refused; only the resulting size counts.
    let _ = rustix::pipe::fcntl_setpipe_size(input, MAX_PIPE);
    rustix::pipe::fcntl_getpipe_size(input).unwrap_or(0)
}

/// Other systems have no way to get or set the size of a pipe.
#[cfg(not(target_os = "linux"))]
fn enlarge_pipe(_: &impl AsFd) -> usize {
    0
}

/// Copies bytes to `out`. Returns false if that fails, which is reported unless the reader has closed it.
pub fn copy(bytes: &[u8], out: &mut dyn PollableWrite, reporter: Reporter) -> bool {
    if bytes.is_empty() {
        return true;
    }
    match write_all(bytes, out) {
        Ok(()) => true,
        Err(Cut { why, .. }) => {
            if why.kind() != io::ErrorKind::BrokenPipe {
                reporter.say(&Message::Unwritable {
                    what: "the output of --tee, continuing without it",
                    why: &why.to_string(),
                });
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_written_to_in_turn_count_as_interleaved_for_a_while() {
        let mut turns = Turns::default();
        let mut after = |ready, alone| {
            turns.note(ready, alone);
            turns.are_mixed()
        };
        assert!(!after(0b01, false) && !after(0b01, false));
        assert!(after(0b10, false) && after(0, false));
        for _ in 1..MIXED_READS {
            assert!(after(0b10, false));
        }
        assert!(!after(0b10, false));
        assert!(after(0b11, false));
        assert!(!after(0b01, true), "the other has ended");
    }
}
