//! What a child process costs: wall, processor time, peak memory.

use std::fs;
use std::io;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

/// What a run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// From start to exit.
    pub wall: Duration,
    /// Processor time, in the program and in the kernel for it.
    pub cpu: Duration,
    /// Peak of resident memory, in bytes.
    pub peak: u64,
}

/// Starts a command, lets `feed` work with it, and waits for its end.
///
/// # Panics
/// If it does not start or does not end well: a bench of a broken program measures nothing.
pub fn run(command: &mut Command, feed: impl FnOnce(&mut Child)) -> Cost {
    let began = Instant::now();
    let mut child = command
        .spawn()
        .unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let pid = child.id();
    // The kernel's own maximum (`ru_maxrss`) counts what we held before the child's exec; so the
    // mark of high water is read while it lives. A peak in the last millisecond is missed.
    let watch = thread::spawn(move || {
        let mut peak = 0;
        while let Some(now) = high_water(pid) {
            peak = peak.max(now);
            // Looking costs the one looked at too: less often at what runs for long.
            let often = began.elapsed() < Duration::from_secs(2);
            thread::sleep(Duration::from_millis(if often { 1 } else { 50 }));
        }
        peak
    });
    feed(&mut child);
    drop(child.stdin.take());
    let (good, cpu) = wait(pid).expect("waiting for the child");
    let wall = began.elapsed();
    assert!(good, "{command:?} failed");
    Cost {
        wall,
        cpu,
        peak: watch.join().unwrap_or_default(),
    }
}

/// The best of a few runs: the neighbours of a shared machine only ever add.
pub fn best(rounds: usize, once: impl FnMut() -> Cost) -> Cost {
    let runs: Vec<Cost> = std::iter::repeat_with(once).take(rounds).collect();
    least(&runs)
}

/// The least time of runs that took turns, and the most memory.
pub fn least(runs: &[Cost]) -> Cost {
    Cost {
        wall: runs.iter().map(|run| run.wall).min().unwrap_or_default(),
        cpu: runs.iter().map(|run| run.cpu).min().unwrap_or_default(),
        peak: runs.iter().map(|run| run.peak).max().unwrap_or_default(),
    }
}

/// The peak of resident memory of a process that lives.
pub fn high_water(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Waits for a child; gives whether it ended well and its processor time. The standard library
/// gives no resource use, and `/proc` counts in hundredths of a second.
fn wait(pid: u32) -> io::Result<(bool, Duration)> {
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which zero is a value.
    #[allow(unsafe_code, reason = "see above")]
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the types that wait4 writes.
    #[allow(unsafe_code, reason = "see above")]
    let waited = unsafe { libc::wait4(pid as libc::pid_t, &raw mut status, 0, &raw mut usage) };
    if waited < 0 {
        return Err(io::Error::last_os_error());
    }
    let time = |time: libc::timeval| {
        Duration::new(time.tv_sec as u64, 0) + Duration::from_micros(time.tv_usec as u64)
    };
    Ok((status == 0, time(usage.ru_utime) + time(usage.ru_stime)))
}
