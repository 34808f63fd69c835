//! Promises of a time, on a machine that may be busy with something else: one of a few attempts
//! must keep them. Load alone does not spoil each; a program that is too slow is so every time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::run::LokiPush;

/// A short time in which a program can do something all the same: longer the busier the machine is
/// at this moment.
pub fn soon() -> Duration {
    let took = LokiPush::bare().arg("--version").run().elapsed;
    (took * 40).clamp(Duration::from_millis(200), Duration::from_secs(3))
}

/// One of a few attempts must take less than this.
#[track_caller]
pub fn in_time(limit: Duration, mut attempt: impl FnMut() -> Duration) {
    once_in_a_few(|| {
        let took = attempt();
        let kept = took < limit;
        kept.then_some(())
            .ok_or_else(|| format!("{took:?}, not within {limit:?}"))
    });
}

/// One of a few attempts must go well; else all of them are shown.
#[track_caller]
pub fn once_in_a_few(mut attempt: impl FnMut() -> Result<(), String>) {
    const ATTEMPTS: usize = 5;
    let mut failed = Vec::new();
    while failed.len() < ATTEMPTS {
        match attempt() {
            Ok(()) => return,
            Err(why) => failed.push(why),
        }
    }
    panic!("{ATTEMPTS} attempts:\n{}", failed.join("\n"));
}

/// With one of these times, in milliseconds, an attempt must go well, in which a program gives
/// something up that a busy machine may not have done by then.
pub fn with_patience(times: &[u64], attempt: impl Fn(Duration)) {
    let attempt = |time: &u64| attempt(Duration::from_millis(*time));
    let (last, others) = times.split_last().expect("a time");
    let well = |time: &u64| catch_unwind(AssertUnwindSafe(|| attempt(time))).is_ok();
    if !others.iter().any(well) {
        attempt(last);
    }
}
