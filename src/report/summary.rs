//! The summary of a run: its counts, the exit status, and both as text or JSON. Pure.

use crate::report::counters::Counts;
use crate::report::humanize::{counted, grouped, size};
use std::fmt::Write as _;
use std::time::Duration;

/// The result of a run.
#[derive(Debug, Clone, Default)]
pub struct RunSummary {
    /// The counts.
    pub counts: Counts,
    /// How long the run took.
    pub took: Duration,
    /// The exit status of the command, in command mode.
    pub command_exit: Option<u8>,
    /// Number of inputs that could not be read.
    pub unreadable: u64,
    /// Whether `left` entries are in files that a checkpoint covers: the next run resumes there.
    pub left_is_safe: bool,
    /// Entries in damaged spool files, which no run delivers.
    pub set_aside: u64,
    /// Whether the run ended with a configuration fault: until it is fixed, no later run can deliver
    /// the entries that are safe.
    pub faulty: bool,
    /// Whether the checkpoint could not be written at the end: the next run would ship these entries
    /// again.
    pub unsaved: bool,
    /// Whether a thread failed.
    pub thread_failed: bool,
    /// Whether the run was meant to deliver the spool (`--drain`), so that entries left in it count.
    pub drains: bool,
}

impl RunSummary {
    /// Number of entries that are lost, or may be.
    pub fn missing(&self) -> u64 {
        let left = if self.left_is_safe {
            0
        } else {
            self.counts.left()
        };
        self.counts.refused + self.counts.dropped + self.counts.adopted_refused + left
    }

    /// The exit status: the command's own in command mode; else 0 when every entry read is in
    /// Loki, filtered, or safe, and 1 when not.
    pub fn status(&self) -> u8 {
        let undrained = self.drains && self.counts.adopted_left() > 0;
        if self.counts.unreadable_times > 0 && self.counts.read == 0 && self.command_exit.is_none()
        {
            // Nothing was shipped because of `--time`: wrong usage.
            return 2;
        }
        let is_well = self.missing() == 0 && self.unreadable == 0 && !self.unsaved && !undrained;
        let own = u8::from(!is_well || self.faulty || self.thread_failed);
        self.command_exit.unwrap_or(own)
    }

    /// The summary as one line of text.
    pub fn text(&self) -> String {
        let c = &self.counts;
        let mut text = format!(
            "read {}, delivered {}, refused {}, dropped {}, spooled {}, filtered {}, left {}",
            grouped(c.read),
            grouped(c.delivered),
            grouped(c.refused),
            grouped(c.dropped),
            grouped(c.spooled),
            grouped(c.filtered),
            grouped(c.left())
        );
        if c.untimed > 0 {
            let _ = write!(text, "; untimed {}", c.untimed);
        }
        if c.adopted > 0 {
            let _ = write!(
                text,
                "; taken over {} (delivered {}, refused {}, left {})",
                grouped(c.adopted),
                grouped(c.adopted_delivered),
                grouped(c.adopted_refused),
                grouped(c.adopted_left())
            );
        }
        let _ = write!(
            text,
            "; {}, {}, {} read, {} sent, {:.3} s",
            counted(c.requests, "request", "requests"),
            counted(c.retries, "retry", "retries"),
            size(c.bytes_read),
            size(c.bytes_sent),
            self.took.as_secs_f64()
        );
        for (reason, entries) in &c.reasons {
            let _ = write!(text, "; {reason}: {}", grouped(*entries));
        }
        if let Some(status) = self.command_exit {
            let _ = write!(text, "; command exit {status}");
        }
        text
    }

    /// The summary as a JSON object on one line.
    pub fn json(&self) -> String {
        let c = &self.counts;
        let mut object = serde_json::json!({
            "read": c.read, "delivered": c.delivered, "refused": c.refused, "dropped": c.dropped,
            "spooled": c.spooled, "filtered": c.filtered, "left": c.left(),
            "untimed": c.untimed, "requests": c.requests, "retries": c.retries,
            "bytes_read": c.bytes_read, "bytes_sent": c.bytes_sent,
            "seconds": (self.took.as_secs_f64() * 1e6).round() / 1e6,
            "reasons": c.reasons,
            "adopted": c.adopted, "adopted_delivered": c.adopted_delivered,
            "adopted_refused": c.adopted_refused, "adopted_left": c.adopted_left(),
        });
        if let Some(status) = self.command_exit {
            object["command_exit"] = status.into();
        }
        object.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::humanize::duration;

    fn report() -> RunSummary {
        let counts = Counts {
            read: 10,
            delivered: 7,
            filtered: 3,
            ..Counts::default()
        };
        RunSummary {
            counts,
            ..RunSummary::default()
        }
    }

    #[test]
    fn status_tells_the_truth() {
        assert_eq!(report().status(), 0);
        let with = |change: fn(&mut RunSummary)| {
            let mut report = report();
            change(&mut report);
            report.status()
        };
        assert_eq!(with(|r| r.counts.read += 1), 1, "left");
        assert_eq!(
            with(|r| (r.counts.read, r.left_is_safe) = (11, true)),
            0,
            "left but safe"
        );
        assert_eq!(
            with(|r| (r.counts.delivered, r.counts.refused) = (6, 1)),
            1,
            "refused"
        );
        assert_eq!(
            with(|r| (r.counts.delivered, r.counts.dropped) = (6, 1)),
            1,
            "dropped"
        );
        assert_eq!(
            with(|r| (r.counts.delivered, r.counts.spooled) = (6, 1)),
            0,
            "spooled"
        );
        assert_eq!(
            with(|r| (r.counts.adopted, r.counts.adopted_refused) = (1, 1)),
            1,
            "adopted"
        );
        assert_eq!(
            with(|r| r.counts.adopted = 1),
            0,
            "adopted, still in the spool"
        );
        assert_eq!(with(|r| r.unreadable = 1), 1, "unreadable");
        assert_eq!(with(|r| r.unsaved = true), 1, "unsaved");
        assert_eq!(with(|r| r.faulty = true), 1, "a configuration fault");
        assert_eq!(with(|r| r.thread_failed = true), 1, "a failed thread");
        assert_eq!(
            with(|r| (r.command_exit, r.counts.read) = (Some(7), 99)),
            7,
            "the command's"
        );
    }

    #[test]
    fn the_json_has_every_key_and_obeys_the_law() {
        let mut report = report();
        report.counts.read = 12;
        report.command_exit = Some(3);
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        let n = |key: &str| json[key].as_u64().unwrap_or_else(|| panic!("no {key}"));
        let fates = [
            "delivered",
            "refused",
            "dropped",
            "spooled",
            "filtered",
            "left",
        ];
        assert_eq!(n("read"), fates.iter().map(|fate| n(fate)).sum::<u64>());
        for key in [
            "requests",
            "retries",
            "bytes_read",
            "bytes_sent",
            "adopted",
            "command_exit",
        ] {
            n(key);
        }
        assert!(json["reasons"].is_object() && json["seconds"].is_number());
    }

    #[test]
    fn sizes_and_durations_read_well() {
        let sizes = [0, 1023, 1024, 1536, 32 << 20].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1 KiB", "1.5 KiB", "32 MiB"]);
        let times = [5, 1_000, 12_340, 250_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(times, ["5ms", "1s", "12.3s", "4m10s"]);
    }
}
