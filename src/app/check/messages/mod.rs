//! The wording of `--check`: the text and the remedy for each finding.

mod push;

use std::net::SocketAddr;
use std::time::Duration;

use crate::app::check::report::{Status, StepReport};
use crate::app::check::{Answered, PushedEntry};
use crate::delivery::outcome::{self, Outcome};
use crate::http::client::{ConnectError, Endpoint, Step};
use crate::report::humanize::{counted, duration};
use crate::report::messages::Sanitized;
pub use push::push_steps;

/// Clocks that differ by more than this are reported.
const APART: i64 = 60;

/// Seconds in the future from which on Loki refuses entries (`creation_grace_period`).
const AHEAD: i64 = 10 * 60;

/// Age in seconds from which on Loki refuses entries (`reject_old_samples_max_age`).
const BEHIND: i64 = 7 * 86_400;

/// The result of the query for the pushed entry.
pub enum QueryResult {
    /// It was found after this time.
    Found(Duration),
    /// The query succeeds, but does not find it.
    Missing,
    /// The response to the query does not come from Loki.
    NotLoki,
    /// The credentials allow pushes but no queries.
    Forbidden(u16),
    /// There is no query endpoint at this URL.
    NoEndpoint(Option<u16>),
    /// The query failed.
    Failed(String),
}

fn line(status: Status, step: &'static str, text: impl Into<String>) -> StepReport {
    StepReport {
        status,
        step,
        text: text.into(),
        remedy: None,
    }
}

fn bad(step: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> StepReport {
    StepReport {
        remedy: Some(remedy.into()),
        ..line(Status::Failed, step, text)
    }
}

/// The title of the report.
pub fn title(url: &str) -> String {
    format!("Checking {url}")
}

/// Step: resolving the name and connecting.
pub fn connect_step(way: &Endpoint, reached: &Result<SocketAddr, ConnectError>) -> StepReport {
    const STEP: &str = "address";
    let (host, flag) = match &way.proxy {
        Some(proxy) => (format!("the proxy {proxy}"), way.terms.proxy.to_string()),
        None => (way.host.clone(), format!("the host in {}", way.terms.url)),
    };
    match reached {
        Ok(at) => line(
            Status::Ok,
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

/// Step: TLS, from the result of the first request.
pub fn tls_step(answer: &Answered, secure: bool, unverified: bool) -> StepReport {
    match answer {
        Ok(_) if !secure => line(Status::Skipped, "TLS", "not used (http)"),
        Ok(_) if unverified => line(
            Status::Warning,
            "TLS",
            "encrypted, but the server is not verified (--tls-skip-verify)",
        ),
        Ok(_) => line(Status::Ok, "TLS", "the server's certificate is trusted"),
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

/// Step: the difference between the server's clock and ours, in nanoseconds.
pub fn clock_step(difference: Option<i64>) -> StepReport {
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
        _ if seconds.abs() <= APART => line(Status::Ok, STEP, "agrees with the server's"),
        _ => StepReport {
            remedy: Some(remedy.into()),
            ..line(Status::Warning, STEP, text)
        },
    }
}

/// A clock difference as people write it; clocks that were never set differ by years.
fn apart(seconds: u64) -> String {
    match seconds {
        0..3_600 => duration(Duration::from_secs(seconds)),
        3_600..172_800 => counted(seconds / 3_600, "hour", "hours"),
        _ => counted(seconds / 86_400, "day", "days"),
    }
}

/// Step: pushing an entry.
pub fn entry_step(outcome: &Outcome, pushed: &PushedEntry) -> StepReport {
    const STEP: &str = "entry";
    let behind_colon = |text: &str| match Sanitized(text).to_string() {
        text if text.is_empty() => text,
        text => format!(": {text}"),
    };
    match outcome {
        Outcome::Delivered => line(
            Status::Ok,
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

/// Step: querying the entry.
pub fn query_step(found: &QueryResult, waited: Duration) -> StepReport {
    const STEP: &str = "read back";
    match found {
        QueryResult::Found(took) => {
            line(Status::Ok, STEP, format!("found after {}", duration(*took)))
        }
        QueryResult::Missing => bad(
            STEP,
            format!(
                "the entry was accepted, but a query does not find it within {}",
                duration(waited)
            ),
            "check the log of Loki's ingesters, and whether queries go to the same Loki and tenant",
        ),
        QueryResult::NotLoki => bad(
            STEP,
            "the entry was accepted, but not by Loki: the query API did not answer",
            "check host, port and path in --url: entries would be lost",
        ),
        QueryResult::Forbidden(status) => line(
            Status::Skipped,
            STEP,
            format!("these credentials may push, but not read ({status}); that is enough to ship"),
        ),
        QueryResult::NoEndpoint(status) => {
            let status = status.map(|status| format!(" (it returned {status})"));
            let status = status.unwrap_or_default();
            line(
                Status::Skipped,
                STEP,
                format!("cannot be read back here: this URL only accepts pushes{status}"),
            )
        }
        QueryResult::Failed(why) => StepReport {
            remedy: Some(
                "entries arrive, but queries fail: check the log of Loki's queriers".into(),
            ),
            ..line(
                Status::Warning,
                STEP,
                format!("the query fails: {}", Sanitized(why)),
            )
        },
    }
}

/// Step: Loki's version.
pub fn version_step(version: Option<&str>) -> StepReport {
    match version {
        Some(version) => line(
            Status::Ok,
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
        let mark = |seconds: i64| clock_step(Some(seconds * 1_000_000_000)).status;
        assert_eq!(mark(0), Status::Ok);
        assert_eq!(mark(-59), Status::Ok);
        assert_eq!(mark(61), Status::Warning);
        assert_eq!(mark(-61), Status::Warning);
        assert_eq!(mark(-601), Status::Failed);
        assert_eq!(mark(601), Status::Warning);
        assert_eq!(mark(8 * 86_400), Status::Failed);
        assert_eq!(clock_step(None).status, Status::Skipped);
        let text = clock_step(Some(-120_000_000_000)).text;
        assert_eq!(text, "this machine is 2m00s ahead of the server");
        let text = clock_step(Some(9 * 86_400_000_000_000)).text;
        assert!(text.starts_with("this machine is 9 days behind"), "{text}");
    }
}
