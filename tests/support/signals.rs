//! Signals as a program meets them that a user starts, however the tests were started.

use std::fs;
use std::sync::Once;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};

/// Lets what is started from here on have the signals that it would have from a prompt. A script
/// without job control starts `cargo test &` with SIGINT and SIGQUIT ignored, `nohup` with SIGHUP,
/// and that is handed down; what is handled is not: to a new program it is as it was at first.
pub fn as_usual() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ignored = ignored();
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGTERM, SIGCHLD] {
            if ignored & (1 << (signal - 1)) != 0 {
                // To us it stays ignored: nobody looks at the flag.
                let handled = signal_hook::flag::register(signal, std::sync::Arc::default());
                handled.expect("a handler");
            }
        }
    });
}

/// The signals that are ignored, a bit each, where the kernel tells.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    bits.map_or(0, |bits| u64::from_str_radix(bits.trim(), 16).unwrap_or(0))
}
