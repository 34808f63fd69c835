//! Cancellable waiting for input.
//!
//! A thread that blocks in `read` cannot be woken. A source waits here instead, for its input and for the
//! end of the run at the same time.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The limit for reading an input after a signal.
#[derive(Debug, Clone, Copy)]
struct DrainLimit {
    /// The input is read until it is silent for this long,
    quiet: Duration,
    /// and at most until then.
    until: Instant,
}

/// The handle of the run loop, which cancels a source.
#[derive(Debug)]
pub struct CancelHandle {
    limit: Arc<Mutex<Option<DrainLimit>>>,
    tee_blocked: Arc<AtomicBool>,
    wake: PipeWriter,
}

/// The handle of a source, which waits for input with it.
#[derive(Debug)]
pub struct CancellableInput {
    limit: Arc<Mutex<Option<DrainLimit>>>,
    tee_blocked: Arc<AtomicBool>,
    wake: PipeReader,
}

/// Something that a source waits for.
#[derive(Clone, Copy)]
pub enum Awaited<'a> {
    /// Data to read, or the end of input.
    Input(&'a dyn AsFd),
    /// Room to write, for a tee with a slow reader.
    Output(&'a dyn AsFd),
}

/// The result of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// These are ready: one bit for each, in the given order.
    Some(u32),
    /// Nothing was ready in time; after [`CancelHandle::drain`], nothing is ready now.
    Quiet,
    /// The source must read what is there and end, even if its input is still open.
    Over,
}

impl Ready {
    /// Whether the one at this index is ready.
    pub fn has(self, index: usize) -> bool {
        matches!(self, Self::Some(bits) if bits & (1 << index) != 0)
    }
}

/// Creates both handles.
///
/// # Errors
/// If the process has no descriptors left.
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
    /// Whether the source is blocked by its tee. The data is shipped only after it was copied.
    pub fn tee_blocked(&self) -> bool {
        self.tee_blocked.load(Ordering::Acquire)
    }

    /// Lets the source continue until its input is silent for `quiet`, at most until `until`. What is in
    /// the input then is still read, and an input without writers is read to its end.
    pub fn drain(&self, quiet: Duration, until: Instant) {
        let limit = Some(DrainLimit { quiet, until });
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner) = limit;
        // An error means that the source has ended.
        let _ = (&self.wake).write(&[0]);
    }
}

impl CancellableInput {
    /// Sets whether the source is writing to its tee.
    pub fn set_tee_blocked(&self, blocked: bool) {
        self.tee_blocked.store(blocked, Ordering::Release);
    }

    /// Whether [`CancelHandle::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.limit().is_some()
    }

    /// Waits until one of these is ready, until `due`, or until the source must end.
    pub fn wait(&mut self, awaited: &[Awaited<'_>], due: Option<Instant>) -> Ready {
        loop {
            let (now, limit) = (Instant::now(), self.limit());
            let until = match limit {
                None => due,
                // Held lines are released as soon as there is nothing to read.
                Some(_) if due.is_some() => Some(now),
                Some(limit) => Some(limit.until.min(now + limit.quiet)),
            };
            let wake = Awaited::Input(&self.wake);
            let events = match poll_all(awaited.iter().chain([&wake]), until, now) {
                Err(rustix::io::Errno::INTR) => continue,
                // If an input cannot be polled, try to read it.
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
                    // An input without writers is read to its end.
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

    /// Waits until one of `inputs` can be read and returns its index. Returns `None` at `due` or when the
    /// run ends.
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

/// The bits of this many inputs.
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
