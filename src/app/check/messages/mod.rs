//! All wording of `--check`.
//!
//! Knows what each finding says and which remedy it names. Pure.

mod push;

use std::net::SocketAddr;
use std::time::Duration;

pub use crate::app::check::messages::push::probed;
use crate::app::check::report::{ReportLine, Status};
use crate::app::check::{Answered, Pushed};
use crate::delivery::outcome::{self, Outcome};
use crate::http::client::{ConnectError, Endpoint, Step};
use crate::report::humanize::{counted, duration};
use crate::report::messages::Sanitized;

/// Clocks that differ by more are worth a word.
const APART: i64 = 60;

/// Loki refuses entries that are further ahead (`creation_grace_period`).
const AHEAD: i64 = 10 * 60;

/// Loki refuses entries that are older (`reject_old_samples_max_age`).
const BEHIND: i64 = 7 * 86_400;

/// What became of reading an entry back.
pub enum QueryResult {
    /// It was found.
    After(Duration),
    /// The query works, but does not find it.
    Missing,
    /// What answers the query does not answer as a Loki.
    NoLoki,
    /// The credentials may push but not read.
    MayNotRead(u16),
    /// There is nothing to query at this address.
    NotHere(Option<u16>),
    /// The query fails.
    Unanswered(String),
}

fn line(mark: Status, step: &'static str, text: impl Into<String>) -> ReportLine {
    ReportLine {
        mark,
        step,
        text: text.into(),
        remedy: None,
    }
}

fn bad(step: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> ReportLine {
    ReportLine {
        remedy: Some(remedy.into()),
        ..line(Status::Bad, step, text)
    }
}

/// What is checked.
pub fn title(url: &str) -> String {
    format!("Checking {url}")
}

/// Name and connection.
pub fn reached(way: &Endpoint, reached: &Result<SocketAddr, ConnectError>) -> ReportLine {
    const STEP: &str = "address";
    let (host, flag) = match &way.proxy {
        Some(proxy) => (format!("the proxy {proxy}"), way.terms.proxy.to_string()),
        None => (way.host.clone(), format!("the host in {}", way.terms.url)),
    };
    match reached {
        Ok(at) => line(
            Status::Good,
            STEP,
            format!("{host}: {at} accepts connections"),
        ),
        Err(ConnectError::UnknownHost(unknown)) => bad(
            STEP,
            format!("host not found: {host} ({})", unknown.error),
            format!("check {flag}, and this machine's DNS"),
        ),
        Err(ConnectError::Refused {
            addresses: tried,
            error: why,
        }) => {
            let tried: Vec<String> = tried.iter().map(ToString::to_string).collect();
            let tried = tried.join(" and ");
            if why.kind() == std::io::ErrorKind::ConnectionRefused {
                let remedy = match &way.proxy {
                    Some(_) => format!("start it, or check {flag}"),
                    None => format!(
                        "start Loki, or check host and port in {}; Loki's default port is 3100",
                        way.terms.url
                    ),
                };
                return bad(
                    STEP,
                    format!("{host}: nothing listens on {tried} (connection refused)"),
                    remedy,
                );
            }
            bad(
                STEP,
                format!("{host}: no connection to {tried} ({why})"),
                format!("check {flag}, and firewalls in between"),
            )
        }
    }
}

/// The first thing that was said over the connection.
pub fn spoken(answer: &Answered, secure: bool, unverified: bool) -> ReportLine {
    match answer {
        Ok(_) if !secure => line(Status::Skipped, "TLS", "not used (http)"),
        Ok(_) if unverified => line(
            Status::Doubt,
            "TLS",
            "encrypted, but the server is not verified (--tls-skip-verify)",
        ),
        Ok(_) => line(Status::Good, "TLS", "the server's certificate is trusted"),
        Err(failed) => {
            let step = match failed.stage {
                Step::Tls => "TLS",
                Step::Proxy => "proxy",
                Step::Http | Step::Reach | Step::Answer => "server",
            };
            bad(step, Sanitized(&failed.text).to_string(), &failed.remedy)
        }
    }
}

/// The server's clock minus ours, in nanoseconds.
pub fn clock(difference: Option<i64>) -> ReportLine {
    const STEP: &str = "clock";
    let Some(nanos) = difference else {
        return line(Status::Skipped, STEP, "the server does not report the time");
    };
    let seconds = nanos / 1_000_000_000;
    let by = apart(seconds.unsigned_abs());
    let remedy = "set this machine's clock, or the server's (NTP)";
    let side = if seconds < 0 { "ahead of" } else { "behind" };
    let text = format!("this machine is {by} {side} the server");
    match seconds {
        _ if seconds <= -AHEAD => bad(STEP, text + ": Loki refuses entries over 10m ahead", remedy),
        _ if seconds >= BEHIND => bad(
            STEP,
            text + ": Loki refuses entries over 7 days old",
            remedy,
        ),
        _ if seconds.abs() <= APART => line(Status::Good, STEP, "agrees with the server's"),
        _ => ReportLine {
            remedy: Some(remedy.into()),
            ..line(Status::Doubt, STEP, text)
        },
    }
}

/// A difference for people; clocks that were never set differ by years.
fn apart(seconds: u64) -> String {
    match seconds {
        0..3_600 => duration(Duration::from_secs(seconds)),
        3_600..172_800 => counted(seconds / 3_600, "hour", "hours"),
        _ => counted(seconds / 86_400, "day", "days"),
    }
}

/// The entry that was pushed.
pub fn pushed(outcome: &Outcome, pushed: &Pushed) -> ReportLine {
    const STEP: &str = "entry";
    let behind_colon = |text: &str| match Sanitized(text).to_string() {
        text if text.is_empty() => text,
        text => format!(": {text}"),
    };
    match outcome {
        Outcome::Delivered => line(
            Status::Good,
            STEP,
            format!("accepted: {} {}", pushed.labels, pushed.line),
        ),
        Outcome::Refused { status, text } => bad(
            STEP,
            format!("refused ({status}){}", behind_colon(text)),
            "Loki's message names the limit; it is set in limits_config",
        ),
        Outcome::Later { error, .. } | Outcome::Split { error } => bad(
            STEP,
            format!("not accepted: {}", Sanitized(&error.describe())),
            match error.status.filter(|_| error.permanent) {
                Some(status) => outcome::remedy(status, &error.text),
                None => {
                    "the server is up, but does not accept entries now: see its log, and try again"
                }
            },
        ),
    }
}

/// The query for the entry.
pub fn read_back(found: &QueryResult, waited: Duration) -> ReportLine {
    const STEP: &str = "read back";
    match found {
        QueryResult::After(took) => line(
            Status::Good,
            STEP,
            format!("found after {}", duration(*took)),
        ),
        QueryResult::Missing => bad(
            STEP,
            format!(
                "the entry was accepted, but a query does not find it within {}",
                duration(waited)
            ),
            "check the log of Loki's ingesters, and whether queries go to the same Loki and tenant",
        ),
        QueryResult::NoLoki => bad(
            STEP,
            "the entry was accepted, but not by Loki: the query API did not answer",
            "check host, port and path in --url: entries would be lost",
        ),
        QueryResult::MayNotRead(status) => line(
            Status::Skipped,
            STEP,
            format!("these credentials may push, but not read ({status}); that is enough to ship"),
        ),
        QueryResult::NotHere(status) => {
            let status = status.map(|status| format!(" (it returned {status})"));
            let status = status.unwrap_or_default();
            line(
                Status::Skipped,
                STEP,
                format!("cannot be read back here: this URL only accepts pushes{status}"),
            )
        }
        QueryResult::Unanswered(why) => ReportLine {
            remedy: Some(
                "entries arrive, but queries fail: check the log of Loki's queriers".into(),
            ),
            ..line(
                Status::Doubt,
                STEP,
                format!("the query fails: {}", Sanitized(why)),
            )
        },
    }
}

/// The server's version.
pub fn version(version: Option<&str>) -> ReportLine {
    match version {
        Some(version) => line(
            Status::Good,
            "version",
            format!("Loki {}", Sanitized(version)),
        ),
        None => line(Status::Skipped, "version", "not reported"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_apart_are_a_note_and_far_apart_a_failure() {
        let mark = |seconds: i64| clock(Some(seconds * 1_000_000_000)).mark;
        assert_eq!(mark(0), Status::Good);
        assert_eq!(mark(-59), Status::Good);
        assert_eq!(mark(61), Status::Doubt);
        assert_eq!(mark(-61), Status::Doubt);
        assert_eq!(mark(-601), Status::Bad);
        assert_eq!(mark(601), Status::Doubt);
        assert_eq!(mark(8 * 86_400), Status::Bad);
        assert_eq!(clock(None).mark, Status::Skipped);
        let text = clock(Some(-120_000_000_000)).text;
        assert_eq!(text, "this machine is 2m00s ahead of the server");
        let text = clock(Some(9 * 86_400_000_000_000)).text;
        assert!(text.starts_with("this machine is 9 days behind"), "{text}");
    }
}
