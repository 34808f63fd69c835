//! A leash: how a source that waits for input is told that the run ends.
//!
//! Whoever conducts the run holds one end, the source waits at the other. A thread that sits in
//! `read` cannot be woken; one that waits here, for its input and for the leash at once, can.
//! Knows descriptors and time. Knows nothing of lines, signals or children.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How much longer an input is read.
#[derive(Debug, Clone, Copy)]
struct DrainLimit {
    /// Until nothing came for so long …
    quiet: Duration,
    /// … or until then.
    until: Instant,
    /// Whether something was read since this was said. What was there by then is always read.
    began: bool,
}

/// The end that is pulled.
#[derive(Debug)]
pub struct CancelHandle {
    last: Arc<Mutex<Option<DrainLimit>>>,
    holds: Arc<AtomicBool>,
    bell: PipeWriter,
}

/// The end that a source waits at.
#[derive(Debug)]
pub struct CancellableInput {
    last: Arc<Mutex<Option<DrainLimit>>>,
    holds: Arc<AtomicBool>,
    bell: PipeReader,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// There is something to read, or the end of it.
    Readable,
    /// Nothing came until the time given, or, on a pulled leash, right now.
    Quiet,
    /// The source is to end here.
    Over,
}

/// Makes a leash.
///
/// # Errors
/// If there are no descriptors left.
pub fn new() -> io::Result<(CancelHandle, CancellableInput)> {
    let (reader, writer) = io::pipe()?;
    let last = Arc::new(Mutex::new(None));
    let holds = Arc::new(AtomicBool::new(false));
    let leash = CancelHandle {
        last: Arc::clone(&last),
        holds: Arc::clone(&holds),
        bell: writer,
    };
    let bell = reader;
    Ok((leash, CancellableInput { last, holds, bell }))
}

impl CancelHandle {
    /// Whether the source has read something that whoever reads its tee does not take: it is handed
    /// in only then.
    pub fn holds(&self) -> bool {
        self.holds.load(Ordering::Acquire)
    }

    /// Lets the source read what is there, and go on until nothing came for `quiet` or until
    /// `until`; then it ends. An input whose writers are all gone is read to its end.
    pub fn pull(&self, quiet: Duration, until: Instant) {
        let began = false;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(DrainLimit {
            quiet,
            until,
            began,
        });
        // A bell that cannot be rung belongs to a source that is gone.
        let _ = (&self.bell).write(&[0]);
    }
}

impl CancellableInput {
    /// Notes whether something that was read is being passed on.
    pub fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::Release);
    }

    /// Waits until `input` can be read, at most until `due`, or until the leash says that it is
    /// over.
    pub fn wait(&mut self, input: &impl AsFd, due: Option<Instant>) -> Ready {
        loop {
            let (now, last) = (Instant::now(), self.last());
            let until = match last {
                None => due,
                // What waits for company goes on as soon as nothing is there to be read.
                Some(_) if due.is_some() => Some(now),
                Some(last) => Some(last.until.min(now + last.quiet)),
            };
            let mut fds = [
                PollFd::new(input, PollFlags::IN),
                PollFd::new(&self.bell, PollFlags::IN),
            ];
            let left = until.map(|until| until.saturating_duration_since(now));
            match poll(&mut fds, left.map(timespec).as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                // An input that cannot be waited for can still be read.
                Err(_) => return Ready::Readable,
                Ok(_) => {}
            }
            let (found, bell) = (fds[0].revents(), fds[1].revents());
            if bell.contains(PollFlags::IN) {
                let _ = self.bell.read(&mut [0; 16]);
                continue;
            }
            let is_endless = !found.contains(PollFlags::HUP);
            return match last {
                _ if found.is_empty() && last.is_none() => Ready::Quiet,
                _ if found.is_empty() && due.is_some() => Ready::Quiet,
                _ if found.is_empty() => Ready::Over,
                Some(last) if is_endless && last.began && last.until <= now => Ready::Over,
                Some(_) => {
                    self.begin();
                    Ready::Readable
                }
                None => Ready::Readable,
            };
        }
    }

    /// Waits until one of `inputs` can be read, at most until `due`, and gives which; None if none
    /// can by then, or when the leash is pulled.
    pub fn first(&mut self, inputs: &[impl AsFd], due: Option<Instant>) -> Option<usize> {
        loop {
            let is_pulled = self.last().is_some();
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            let left = left.or(is_pulled.then_some(Duration::ZERO));
            let waits = inputs.iter().map(|input| PollFd::new(input, PollFlags::IN));
            let mut fds: Vec<PollFd<'_>> = waits.collect();
            fds.push(PollFd::new(&self.bell, PollFlags::IN));
            match poll(&mut fds, left.map(timespec).as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return Some(0),
                Ok(_) => {}
            }
            let found = fds.iter().position(|fd| !fd.revents().is_empty());
            if found != Some(inputs.len()) {
                return found;
            }
            drop(fds);
            let _ = self.bell.read(&mut [0; 16]);
        }
    }

    fn last(&self) -> Option<DrainLimit> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_mut() {
            last.began = true;
        }
    }
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

    #[test]
    fn input_wakes_and_time_does() {
        let (_leash, mut collar) = new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        assert_eq!(collar.wait(&reader, Some(Instant::now())), Ready::Quiet);
        writer.write_all(b"x").unwrap();
        assert_eq!(collar.wait(&reader, None), Ready::Readable);
        // What can be read goes before what is due.
        assert_eq!(collar.wait(&reader, Some(Instant::now())), Ready::Readable);
    }

    #[test]
    fn the_first_of_several_is_told_and_none_when_the_leash_was_pulled() {
        let (leash, mut collar) = new().unwrap();
        let (pipes, mut writers): (Vec<_>, Vec<_>) = (0..2).map(|_| io::pipe().unwrap()).unzip();
        assert_eq!(collar.first(&pipes, Some(Instant::now())), None);
        writers[1].write_all(b"x").unwrap();
        assert_eq!(collar.first(&pipes, None), Some(1));
        leash.pull(LONG, Instant::now() + LONG);
        assert_eq!(collar.first(&pipes, None), Some(1));
        assert_eq!(collar.first(&pipes[..1], None), None);
        assert_eq!(collar.wait(&pipes[1], None), Ready::Readable);
    }

    #[test]
    fn a_pull_wakes_a_source_that_waits_for_ever() {
        let (leash, mut collar) = new().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let waiting = std::thread::spawn(move || collar.wait(&reader, None));
        leash.pull(Duration::ZERO, Instant::now());
        assert_eq!(waiting.join().unwrap(), Ready::Over);
        drop(writer);
    }

    #[test]
    fn what_was_there_when_the_leash_was_pulled_is_read() {
        let (leash, mut collar) = new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"xy").unwrap();
        leash.pull(LONG, Instant::now());
        assert_eq!(collar.wait(&reader, None), Ready::Readable);
        // An endless writer does not keep us, however fast it writes.
        assert_eq!(collar.wait(&reader, None), Ready::Over);
        // One that is gone has an end, which is read.
        drop(writer);
        assert_eq!(collar.wait(&reader, None), Ready::Readable);
    }

    #[test]
    fn what_is_held_back_goes_on_at_once_when_the_leash_was_pulled() {
        let (leash, mut collar) = new().unwrap();
        let (reader, _writer) = io::pipe().unwrap();
        let far = Instant::now() + LONG;
        leash.pull(LONG, far);
        assert_eq!(collar.wait(&reader, Some(far)), Ready::Quiet);
        leash.pull(Duration::ZERO, far);
        assert_eq!(collar.wait(&reader, None), Ready::Over);
    }
}
