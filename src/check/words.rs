//! All wording of `--check`.
//!
//! Knows what each finding says and which remedy it names. Pure.

use std::time::Duration;

use super::reach::Reached;
use super::sheet::{Line, Mark};
use super::{Answered, Pushed};
use crate::note::Foreign;
use crate::push::http::{Page, Stage, Way};
use crate::report::{counted, duration};
use crate::shipment::{Outcome, Trouble};

/// Clocks that differ by more are worth a word.
const APART: i64 = 60;

/// Loki refuses entries that are further ahead (`creation_grace_period`).
const AHEAD: i64 = 10 * 60;

/// Loki refuses entries that are older (`reject_old_samples_max_age`).
const BEHIND: i64 = 7 * 86_400;

/// What VictoriaLogs says to a path it has nothing at.
const VICTORIA: &str = "unsupported path requested";

/// What became of reading an entry back.
pub enum Found {
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

fn line(mark: Mark, step: &'static str, text: impl Into<String>) -> Line {
    Line {
        mark,
        step,
        text: text.into(),
        remedy: None,
    }
}

fn bad(step: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Line {
    Line {
        remedy: Some(remedy.into()),
        ..line(Mark::Bad, step, text)
    }
}

/// What is checked.
pub fn title(url: &str) -> String {
    format!("The way to {url}")
}

/// Name and connection.
pub fn reached(way: &Way, reached: &Reached) -> Line {
    const STEP: &str = "address";
    let (host, flag) = match &way.proxy {
        Some(proxy) => (
            format!("the proxy {proxy}"),
            "--proxy-url and HTTPS_PROXY, HTTP_PROXY",
        ),
        None => (way.host.clone(), "the host in --url"),
    };
    match reached {
        Reached::Connected(at) => line(Mark::Good, STEP, format!("{host}: {at} takes connections")),
        Reached::NoName(why) => bad(
            STEP,
            format!("host not found: {host} ({why})"),
            format!("check {flag}, and this machine's DNS"),
        ),
        Reached::NoConnection(tried, why) => {
            let tried: Vec<String> = tried.iter().map(ToString::to_string).collect();
            let tried = tried.join(" and ");
            if why.kind() == std::io::ErrorKind::ConnectionRefused {
                let remedy = match &way.proxy {
                    Some(_) => format!("start it, or check {flag}"),
                    None => "start Loki, or check host and port in --url; Loki's own port is 3100"
                        .to_owned(),
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
                format!("check {flag}, and firewalls on the way"),
            )
        }
    }
}

/// The first thing that was said over the connection.
pub fn spoken(answer: &Answered, secure: bool, unverified: bool) -> Line {
    match answer {
        Ok(_) if !secure => line(Mark::Skipped, "TLS", "not used (http)"),
        Ok(_) if unverified => line(
            Mark::Doubt,
            "TLS",
            "encrypted, but anybody is trusted (--tls-skip-verify)",
        ),
        Ok(_) => line(Mark::Good, "TLS", "the server's certificate is trusted"),
        Err(failed) => {
            let step = match failed.stage {
                Stage::Tls => "TLS",
                Stage::Proxy => "proxy",
                Stage::Http | Stage::Reach | Stage::Answer => "server",
            };
            bad(step, Foreign(&failed.text).to_string(), &failed.remedy)
        }
    }
}

/// The push that stores nothing.
pub fn probed(answer: &Answered, headers: &[(String, String)]) -> Vec<Line> {
    let header = |name: &str| {
        let mut same = headers
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name));
        same.next().map(|(_, value)| value.as_str())
    };
    let tenant = header("X-Scope-OrgID");
    let has_credentials = header("Authorization").is_some()
        || headers
            .iter()
            .any(|(_, value)| value.starts_with("Basic ") || value.starts_with("Bearer "));
    let address = |page: &Page| {
        line(
            Mark::Good,
            "push address",
            format!("answers {}", page.status),
        )
    };
    let page = match answer {
        Ok(page) => page,
        Err(failed) => {
            let remedy = match failed.stage {
                // It has just answered a question.
                Stage::Reach | Stage::Answer => {
                    "the server answers questions, but no push: see its log and what stands before \
                     it (a proxy, a gateway), try again, or give --timeout more time"
                }
                _ => &failed.remedy,
            };
            let text = Foreign(&failed.text).to_string();
            return vec![bad("push address", text, remedy)];
        }
    };
    let said = said(page);
    match page.status {
        200 | 204 => vec![
            line(Mark::Good, "push address", "takes pushes"),
            if has_credentials {
                line(Mark::Good, "credentials", "accepted")
            } else {
                line(Mark::Good, "credentials", "none given, none wanted")
            },
            match tenant {
                Some(tenant) => line(
                    Mark::Good,
                    "tenant",
                    format!("{} accepted", Foreign(tenant)),
                ),
                None => line(Mark::Good, "tenant", "none given, none wanted"),
            },
        ],
        401 if page.text.contains("no org id") => vec![
            address(page),
            bad(
                "tenant",
                format!("none given, but Loki wants one ({said})"),
                "give --org-id",
            ),
        ],
        400 if page.text.contains("org ID") || page.text.contains("tenant ID") => vec![
            address(page),
            bad("tenant", said, "check --org-id: pushing takes one tenant"),
        ],
        401 if has_credentials => vec![
            address(page),
            bad(
                "credentials",
                format!("not accepted ({said})"),
                "check --username and --password, --bearer-token, or the --header that carries them",
            ),
        ],
        401 => vec![
            address(page),
            bad(
                "credentials",
                format!("none given, but the server wants some ({said})"),
                "give --username and --password, or --bearer-token",
            ),
        ],
        403 => vec![
            address(page),
            bad(
                "credentials",
                format!("known, but they may not push ({said})"),
                "check what the credentials are allowed to do, and --org-id",
            ),
        ],
        _ if page.text.contains(VICTORIA) => vec![bad(
            "push address",
            said,
            "that is how VictoriaLogs speaks; it takes pushes at /insert/loki/api/v1/push: give \
             --url that path",
        )],
        status => vec![bad("push address", said, probe_remedy(status))],
    }
}

fn probe_remedy(status: u16) -> &'static str {
    match status {
        300..=399 => "a redirect is not followed: give --url the address it leads to",
        404 | 405 => {
            "something else listens there, or Loki has another base: check host, port and path in \
             --url; it takes the base address, or a whole one that ends in /push"
        }
        407 => "the proxy wants credentials: check --proxy-url",
        429 => "Loki is there, but this tenant is over its limits: see its limits_config",
        260 => "Loki blocks pushes of this tenant: see blocked_ingestion in its limits",
        400 => "Loki does not take the labels of this run, or what is there is no Loki",
        500..=599 => "the server is there, but not well: see its log, and try again",
        _ => "that is no answer of a Loki: check --url",
    }
}

/// The server's status and words.
fn said(page: &Page) -> String {
    let text = Foreign(&page.text).to_string();
    // What a proxy in front says in HTML is not for reading.
    if text.is_empty() || text.starts_with('<') {
        format!("answers {}", page.status)
    } else {
        format!("answers {}: {text}", page.status)
    }
}

/// The server's clock minus ours, in nanoseconds.
pub fn clock(difference: Option<i64>) -> Line {
    const STEP: &str = "clock";
    let Some(nanos) = difference else {
        return line(Mark::Skipped, STEP, "the server does not tell the time");
    };
    let seconds = nanos / 1_000_000_000;
    let by = apart(seconds.unsigned_abs());
    let remedy = "set this machine's clock, or the server's (NTP)";
    let side = if seconds < 0 { "ahead of" } else { "behind" };
    let text = format!("this machine is {by} {side} the server");
    match seconds {
        _ if seconds <= -AHEAD => bad(STEP, text + ": Loki refuses what is over 10m ahead", remedy),
        _ if seconds >= BEHIND => bad(
            STEP,
            text + ": Loki refuses what is over 7 days old",
            remedy,
        ),
        _ if seconds.abs() <= APART => line(Mark::Good, STEP, "agrees with the server's"),
        _ => Line {
            remedy: Some(remedy.into()),
            ..line(Mark::Doubt, STEP, text)
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
pub fn pushed(outcome: &Outcome, pushed: &Pushed) -> Line {
    const STEP: &str = "entry";
    let status = |trouble: &Trouble| match trouble.status {
        Some(status) => format!("{status} {}", Foreign(&trouble.text)),
        None => Foreign(&trouble.text).to_string(),
    };
    let behind_colon = |text: &str| match Foreign(text).to_string() {
        text if text.is_empty() => text,
        text => format!(": {text}"),
    };
    match outcome {
        Outcome::Delivered => line(
            Mark::Good,
            STEP,
            format!("accepted: {} {}", pushed.labels, pushed.line),
        ),
        Outcome::Refused { status, text } => bad(
            STEP,
            format!("refused ({status}){}", behind_colon(text)),
            "Loki's words name the rule; its limits_config sets it",
        ),
        Outcome::Later { trouble, .. } | Outcome::Split { trouble } => bad(
            STEP,
            format!("not accepted: {}", status(trouble).trim_end()),
            "the server is there, but does not take entries now: see its log, and try again",
        ),
    }
}

/// The query for the entry.
pub fn read_back(found: &Found, waited: Duration) -> Line {
    const STEP: &str = "read back";
    match found {
        Found::After(took) => line(Mark::Good, STEP, format!("found after {}", duration(*took))),
        Found::Missing => bad(
            STEP,
            format!(
                "the entry was accepted, but a query does not find it within {}",
                duration(waited)
            ),
            "see the log of Loki's ingesters, and whether queries go to the same Loki and tenant",
        ),
        Found::NoLoki => bad(
            STEP,
            "the entry was accepted, but by what is no Loki: it has no answer to a query",
            "check host, port and path in --url: entries would go nowhere",
        ),
        Found::MayNotRead(status) => line(
            Mark::Skipped,
            STEP,
            format!("these credentials may push, but not read ({status}); that is enough to ship"),
        ),
        Found::NotHere(status) => {
            let status = status.map(|status| format!(" (it answers {status})"));
            let status = status.unwrap_or_default();
            line(
                Mark::Skipped,
                STEP,
                format!("cannot be read back here: this address only takes pushes{status}"),
            )
        }
        Found::Unanswered(why) => Line {
            remedy: Some("entries arrive, but queries fail: see the log of Loki's queriers".into()),
            ..line(
                Mark::Doubt,
                STEP,
                format!("the query fails: {}", Foreign(why)),
            )
        },
    }
}

/// The server's version.
pub fn version(version: Option<&str>) -> Line {
    match version {
        Some(version) => line(Mark::Good, "version", format!("Loki {}", Foreign(version))),
        None => line(Mark::Skipped, "version", "not told"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_apart_are_a_note_and_far_apart_a_failure() {
        let mark = |seconds: i64| clock(Some(seconds * 1_000_000_000)).mark;
        assert_eq!(mark(0), Mark::Good);
        assert_eq!(mark(-59), Mark::Good);
        assert_eq!(mark(61), Mark::Doubt);
        assert_eq!(mark(-61), Mark::Doubt);
        assert_eq!(mark(-601), Mark::Bad);
        assert_eq!(mark(601), Mark::Doubt);
        assert_eq!(mark(8 * 86_400), Mark::Bad);
        assert_eq!(clock(None).mark, Mark::Skipped);
        let text = clock(Some(-120_000_000_000)).text;
        assert_eq!(text, "this machine is 2m00s ahead of the server");
        let text = clock(Some(9 * 86_400_000_000_000)).text;
        assert!(text.starts_with("this machine is 9 days behind"), "{text}");
    }
}
