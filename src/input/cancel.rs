//! Cancelling a read: how a source that waits for input is told that the run ends.
//!
//! A thread that sits in `read` cannot be woken; one that waits here, for its input and for the end
//! of the run at once, can.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How much longer an input is read.
#[derive(Debug, Clone, Copy)]
struct DrainLimit {
    /// Until nothing came for this long,
    quiet: Duration,
    /// and at most until then.
    until: Instant,
}

/// The end of the run loop, which limits what is read.
#[derive(Debug)]
pub struct CancelHandle {
    limit: Arc<Mutex<Option<DrainLimit>>>,
    tee_blocked: Arc<AtomicBool>,
    wake: PipeWriter,
}

/// The end of the source, which waits for input here.
#[derive(Debug)]
pub struct CancellableInput {
    limit: Arc<Mutex<Option<DrainLimit>>>,
    tee_blocked: Arc<AtomicBool>,
    wake: PipeReader,
}

/// What may wake a source.
#[derive(Clone, Copy)]
pub enum Awaited<'a> {
    /// Something to read, or the end of it.
    Input(&'a dyn AsFd),
    /// Room to write, for a tee whose reader is slow.
    Output(&'a dyn AsFd),
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// These are ready, a bit for each in the order in which they were given.
    Some(u32),
    /// Nothing came until the time given; after [`CancelHandle::drain`], nothing is there now.
    Quiet,
    /// The source must end with what is there, though somebody may still write to it.
    Over,
}

impl Ready {
    /// Whether the one at this index is ready.
    pub fn has(self, index: usize) -> bool {
        matches!(self, Self::Some(bits) if bits & (1 << index) != 0)
    }
}

/// Makes both ends.
///
/// # Errors
/// If there are no descriptors left.
pub fn new() -> io::Result<(CancelHandle, CancellableInput)> {
    let (reader, writer) = io::pipe()?;
    let limit = Arc::new(Mutex::new(None));
    let tee_blocked = Arc::new(AtomicBool::new(false));
    let handle = CancelHandle {
        limit: Arc::clone(&limit),
        tee_blocked: Arc::clone(&tee_blocked),
        wake: writer,
    };
    let input = CancellableInput {
        limit,
        tee_blocked,
        wake: reader,
    };
    Ok((handle, input))
}

impl CancelHandle {
    /// Whether the source has read something that the reader of its tee does not take: it is shipped
    /// only after that.
    pub fn tee_blocked(&self) -> bool {
        self.tee_blocked.load(Ordering::Acquire)
    }

    /// Lets the source go on until nothing came for `quiet` or until `until`; what is there by then
    /// it still reads. An input whose writers are all gone is read to its end.
    pub fn drain(&self, quiet: Duration, until: Instant) {
        let limit = Some(DrainLimit { quiet, until });
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner) = limit;
        // If this fails the source is gone.
        let _ = (&self.wake).write(&[0]);
    }
}

impl CancellableInput {
    /// Notes whether something that was read is being passed on.
    pub fn set_tee_blocked(&self, blocked: bool) {
        self.tee_blocked.store(blocked, Ordering::Release);
    }

    /// Whether the run is ending, so that what is there is to be read soon.
    pub fn is_draining(&self) -> bool {
        self.limit().is_some()
    }

    /// Waits until one of these is ready, at most until `due`, or until the source must end.
    pub fn wait(&mut self, awaited: &[Awaited<'_>], due: Option<Instant>) -> Ready {
        loop {
            let (now, limit) = (Instant::now(), self.limit());
            let until = match limit {
                None => due,
                // What waits for company goes on as soon as there is nothing to be read.
                Some(_) if due.is_some() => Some(now),
                Some(limit) => Some(limit.until.min(now + limit.quiet)),
            };
            let wake = Awaited::Input(&self.wake);
            let events = match poll_all(awaited.iter().chain([&wake]), until, now) {
                Err(rustix::io::Errno::INTR) => continue,
                // An input that cannot be waited for can still be read.
                Err(_) => return Ready::Some(all(awaited.len())),
                Ok(events) => events,
            };
            if events[awaited.len()].contains(PollFlags::IN) {
                let _ = self.wake.read(&mut [0; 16]);
                continue;
            }
            let bits = |so: &dyn Fn(&PollFlags) -> bool| {
                let ready = events[..awaited.len()].iter().enumerate();
                let ready = ready.filter(|(_, found)| so(found));
                ready.fold(0, |bits, (index, _)| bits | 1 << index)
            };
            let ready = bits(&|found| !found.is_empty());
            return match limit {
                _ if ready == 0 && (limit.is_none() || due.is_some()) => Ready::Quiet,
                Some(limit) if limit.until <= now => {
                    // What nobody writes to any more is read to its end.
                    match bits(&|found| found.contains(PollFlags::HUP)) {
                        0 => Ready::Over,
                        ending => Ready::Some(ending),
                    }
                }
                Some(_) if ready == 0 => Ready::Over,
                _ => Ready::Some(ready),
            };
        }
    }

    /// Waits until one of `inputs` can be read, at most until `due`, and returns its index; None if
    /// none can by then, or when the run ends.
    pub fn wait_any(&mut self, inputs: &[impl AsFd], due: Option<Instant>) -> Option<usize> {
        loop {
            let now = Instant::now();
            let until = if self.is_draining() { Some(now) } else { due };
            let wake = Awaited::Input(&self.wake);
            let awaited: Vec<_> = inputs.iter().map(|input| Awaited::Input(input)).collect();
            let events = match poll_all(awaited.iter().chain([&wake]), until, now) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return Some(0),
                Ok(events) => events,
            };
            let found = events.iter().position(|found| !found.is_empty());
            if found != Some(inputs.len()) {
                return found;
            }
            let _ = self.wake.read(&mut [0; 16]);
        }
    }

    fn limit(&self) -> Option<DrainLimit> {
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bits of this many.
fn all(count: usize) -> u32 {
    (1 << count) - 1
}

fn poll_all<'a>(
    awaited: impl Iterator<Item = &'a Awaited<'a>>,
    until: Option<Instant>,
    now: Instant,
) -> rustix::io::Result<Vec<PollFlags>> {
    let fds = awaited.map(|awaited| match awaited {
        Awaited::Input(fd) => PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN),
        Awaited::Output(fd) => PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::OUT),
    });
    let mut fds: Vec<_> = fds.collect();
    let left = until.map(|until| timespec(until.saturating_duration_since(now)));
    poll(&mut fds, left.as_ref())?;
    Ok(fds.iter().map(PollFd::revents).collect())
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(599);

    fn wait(input: &mut CancellableInput, reader: &PipeReader, due: Option<Instant>) -> Ready {
        input.wait(&[Awaited::Input(reader)], due)
    }

    #[test]
    fn input_wakes_and_time_does() {
        let (_handle, mut input) = new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let now = Some(Instant::now());
        assert_eq!(wait(&mut input, &reader, now), Ready::Quiet);
        writer.write_all(b"x").unwrap();
        assert_eq!(wait(&mut input, &reader, None), Ready::Some(1));
        // What can be read goes before what is due.
        assert_eq!(wait(&mut input, &reader, now), Ready::Some(1));
    }

    #[test]
    fn each_of_several_has_its_bit_and_an_output_is_awaited_too() {
        let (_handle, mut input) = new().unwrap();
        let (pipes, mut writers): (Vec<_>, Vec<_>) = (0..2).map(|_| io::pipe().unwrap()).unzip();
        writers[1].write_all(b"x").unwrap();
        let both = [Awaited::Input(&pipes[0]), Awaited::Input(&pipes[1])];
        let ready = input.wait(&both, None);
        assert_eq!((ready.has(0), ready.has(1)), (false, true));
        let other = [Awaited::Output(&writers[0]), Awaited::Input(&pipes[1])];
        assert_eq!(input.wait(&other, None), Ready::Some(0b11));
    }

    #[test]
    fn the_first_of_several_is_told_and_none_when_the_run_ends() {
        let (handle, mut input) = new().unwrap();
        let (pipes, mut writers): (Vec<_>, Vec<_>) = (0..2).map(|_| io::pipe().unwrap()).unzip();
        assert_eq!(input.wait_any(&pipes, Some(Instant::now())), None);
        writers[1].write_all(b"x").unwrap();
        assert_eq!(input.wait_any(&pipes, None), Some(1));
        handle.drain(LONG, Instant::now() + LONG);
        assert_eq!(input.wait_any(&pipes, None), Some(1));
        assert_eq!(input.wait_any(&pipes[..1], None), None);
        assert_eq!(wait(&mut input, &pipes[1], None), Ready::Some(1));
    }

    #[test]
    fn a_source_that_waits_for_ever_is_woken() {
        let (handle, mut input) = new().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let waiting = std::thread::spawn(move || wait(&mut input, &reader, None));
        handle.drain(Duration::ZERO, Instant::now());
        assert_eq!(waiting.join().unwrap(), Ready::Over);
        drop(writer);
    }

    #[test]
    fn an_endless_writer_does_not_prevent_the_exit() {
        let (handle, mut input) = new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"xy").unwrap();
        handle.drain(LONG, Instant::now() + LONG);
        assert_eq!(wait(&mut input, &reader, None), Ready::Some(1));
        handle.drain(LONG, Instant::now());
        assert_eq!(wait(&mut input, &reader, None), Ready::Over);
        drop(writer);
        assert_eq!(wait(&mut input, &reader, None), Ready::Some(1));
    }

    #[test]
    fn what_is_held_back_goes_on_at_once_when_the_run_ends() {
        let (handle, mut input) = new().unwrap();
        let (reader, _writer) = io::pipe().unwrap();
        let far = Instant::now() + LONG;
        handle.drain(LONG, far);
        assert_eq!(wait(&mut input, &reader, Some(far)), Ready::Quiet);
        handle.drain(Duration::ZERO, far);
        assert_eq!(wait(&mut input, &reader, None), Ready::Over);
    }
}
