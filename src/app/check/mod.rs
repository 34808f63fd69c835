//! `--check`: tests the connection to Loki step by step, and explains how to fix what fails.
//!
//! The test entry goes through the same code as any other entry: `Encoder`, `HttpTransport` and
//! `outcome`. The wording is in `messages`, the printing in `report`.

mod messages;
mod read_back;
mod report;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::app::check::report::CheckReport;
use crate::batch::encode::Encoder;
use crate::cli::config::Config;
use crate::delivery::outcome;
use crate::delivery::outcome::Outcome;
use crate::entry::Entry;
use crate::entry::labels::Labels;
use crate::entry::request::Request;
use crate::http::Transport as _;
use crate::http::client::{HttpResponse, HttpSettings, HttpTransport, TransportError};
use crate::http::url::{api_url, without_query};
use crate::report::messages::Verbosity;

/// The path at which Loki reports its version.
const BUILD: &str = "/loki/api/v1/status/buildinfo";

/// Runs the steps until one fails; returns the exit status.
///
/// # Errors
/// If the connection settings are not valid.
pub fn run(config: &Config) -> Result<u8> {
    let connection = config.connection.as_ref().context("--check needs a Loki")?;
    let mut check = Check {
        http: HttpTransport::new(connection)?,
        connection,
        config,
        report: CheckReport::new(config.loudness == Verbosity::Quiet),
    };
    check
        .report
        .title(&messages::title(without_query(&connection.url)));
    check.steps();
    Ok(u8::from(check.report.has_failed()))
}

struct Check<'a> {
    http: HttpTransport,
    connection: &'a HttpSettings,
    config: &'a Config,
    report: CheckReport,
}

impl Check<'_> {
    /// Runs the steps. The first failure ends the check, since all later steps would fail with it.
    fn steps(&mut self) {
        let Some(build) = self.connect() else { return };
        let Some(probed) = self.push_empty() else {
            return;
        };
        self.report.say(&messages::clock_step(probed.clock));
        if let Some(pushed) = self.push_entry() {
            let line = crate::app::check::read_back::query_until_found(
                &self.http,
                &self.connection.url,
                &pushed,
                self.timeout(),
            );
            self.report.say(&line);
            self.report
                .say(&messages::version_step(version(&build).as_deref()));
        }
    }

    fn timeout(&self) -> Duration {
        self.config.settings.delivery.timeout
    }

    /// Steps 1 and 2: resolves the name, connects and speaks TLS. Returns the server's build
    /// information.
    fn connect(&mut self) -> Option<HttpResponse> {
        let way = self.http.way();
        let reached = self.http.connect(self.timeout());
        let line = messages::connect_step(way, &reached);
        if !self.report.say(&line) {
            return None;
        }
        let push = &self.connection.url;
        let url = api_url(push, BUILD).unwrap_or_else(|| push.clone());
        let answer = self.http.get(&url, self.timeout());
        let tls = &self.connection.tls;
        let secure = self.connection.url.starts_with("https:");
        let line = messages::tls_step(&answer, secure, tls.skip_verify);
        self.report.say(&line).then_some(answer.ok()).flatten()
    }

    /// Steps 3 to 5: pushes a stream without entries, which stores nothing but shows whether the URL,
    /// the credentials and the tenant are right.
    fn push_empty(&mut self) -> Option<EmptyPush> {
        let request = self.request(&[]);
        let before = now();
        let answer = self.http.post(&request, self.timeout());
        let ours = i64::midpoint(before, now());
        for line in messages::push_steps(&answer, &self.connection.headers) {
            self.report.say(&line);
        }
        let page = answer.ok().filter(|_| !self.report.has_failed())?;
        let theirs = page.date.as_deref().and_then(read_date);
        Some(EmptyPush {
            clock: theirs.map(|theirs| theirs - ours),
        })
    }

    /// Step 6: pushes one entry. Returns it if it was accepted.
    fn push_entry(&mut self) -> Option<PushedEntry> {
        let time = now();
        let pushed = PushedEntry {
            labels: self.labels(),
            time,
            line: format!("loki-push check {:x}-{time:x}", std::process::id()),
        };
        let request = self.request(&[(pushed.time, &pushed.line)]);
        let outcome = outcome::classify(self.http.send(&request, self.timeout()));
        let delivered = outcome == Outcome::Delivered;
        self.report.say(&messages::entry_step(&outcome, &pushed));
        delivered.then_some(pushed)
    }

    fn request(&self, entries: &[(i64, &str)]) -> Request {
        let mut encoder = Encoder::new(self.config.settings.gzip_level);
        let entries = entries.iter().map(|&(time, line)| Entry {
            time,
            line,
            metadata: "",
        });
        encoder.request(&self.labels(), entries)
    }

    /// The labels that entries of a run with these options would have.
    fn labels(&self) -> Arc<Labels> {
        let shape = &self.config.shape;
        let level = shape.level.map(|level| ("level", level.as_str()));
        Arc::new(shape.labels.with(level))
    }
}

/// The result of the push without entries.
struct EmptyPush {
    /// The server's clock minus ours, in nanoseconds.
    clock: Option<i64>,
}

/// The entry that was pushed.
struct PushedEntry {
    labels: Arc<Labels>,
    time: i64,
    line: String,
}

/// The current time in nanoseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as i64
}

/// Parses the header `Date` into nanoseconds. Half a second is added, since it names the second that
/// has begun.
fn read_date(text: &str) -> Option<i64> {
    Some(crate::parse::timestamp::from_http_date(text)? + 500_000_000)
}

/// Loki's version, from its build information.
fn version(build: &HttpResponse) -> Option<String> {
    let build: serde_json::Value = serde_json::from_str(&build.text).ok()?;
    let version = build.get("version")?.as_str()?;
    (!version.is_empty()).then(|| version.to_owned())
}

/// A response, or the step at which the request failed.
type Answered = Result<HttpResponse, TransportError>;
