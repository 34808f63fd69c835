//! `--check`: goes the way to Loki step by step, and says where it ends and what to do.
//!
//! Sends one entry through the code that sends all others (`seal`, `push`, `outcome`). Knows no
//! source and no queue. What is said stands in `words`, how it looks in `sheet`.

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
use crate::http::Push as _;
use crate::http::client::{HttpResponse, HttpSettings, HttpTransport, TransportError};
use crate::http::url::{api_url, without_query};
use crate::report::messages::Verbosity;

/// Where a Loki tells its version.
const BUILD: &str = "/loki/api/v1/status/buildinfo";

/// Runs all steps that make sense after the ones before; gives the exit status.
///
/// # Errors
/// If the connection is not well configured.
pub fn run(config: &Config) -> Result<u8> {
    let connection = config.connection.as_ref().context("--check needs a Loki")?;
    let mut check = Check {
        http: HttpTransport::new(connection)?,
        connection,
        config,
        sheet: CheckReport::new(config.loudness == Verbosity::Quiet),
    };
    check
        .sheet
        .title(&crate::app::check::messages::title(without_query(
            &connection.url,
        )));
    check.steps();
    Ok(u8::from(check.sheet.is_bad()))
}

struct Check<'a> {
    http: HttpTransport,
    connection: &'a HttpSettings,
    config: &'a Config,
    sheet: CheckReport,
}

impl Check<'_> {
    /// A step that fails ends the check, as all after it would fail with it.
    fn steps(&mut self) {
        let Some(build) = self.reach() else { return };
        let Some(probed) = self.probe() else { return };
        self.sheet
            .say(&crate::app::check::messages::clock(probed.clock));
        if let Some(pushed) = self.push() {
            let line = crate::app::check::read_back::find(
                &self.http,
                &self.connection.url,
                &pushed,
                self.timeout(),
            );
            self.sheet.say(&line);
            self.sheet.say(&crate::app::check::messages::version(
                version(&build).as_deref(),
            ));
        }
    }

    fn timeout(&self) -> Duration {
        self.config.settings.delivery.timeout
    }

    /// Name, connection and TLS. Gives what the server tells of itself.
    fn reach(&mut self) -> Option<HttpResponse> {
        let way = self.http.way();
        let reached = self.http.connect(self.timeout());
        let line = crate::app::check::messages::reached(way, &reached);
        if !self.sheet.say(&line) {
            return None;
        }
        let push = &self.connection.url;
        let url = api_url(push, BUILD).unwrap_or_else(|| push.clone());
        let answer = self.http.get(&url, self.timeout());
        let tls = &self.connection.tls;
        let secure = self.connection.url.starts_with("https:");
        let line = crate::app::check::messages::spoken(&answer, secure, tls.skip_verify);
        self.sheet.say(&line).then_some(answer.ok()).flatten()
    }

    /// A push that stores nothing: a stream without entries.
    fn probe(&mut self) -> Option<Probed> {
        let request = self.request(&[]);
        let before = now();
        let answer = self.http.post(&request, self.timeout());
        let ours = i64::midpoint(before, now());
        for line in crate::app::check::messages::probed(&answer, &self.connection.headers) {
            self.sheet.say(&line);
        }
        let page = answer.ok().filter(|_| !self.sheet.is_bad())?;
        let theirs = page.date.as_deref().and_then(read_date);
        Some(Probed {
            clock: theirs.map(|theirs| theirs - ours),
        })
    }

    /// One entry, as any other would be sent.
    fn push(&mut self) -> Option<Pushed> {
        let time = now();
        let pushed = Pushed {
            labels: self.labels(),
            time,
            line: format!("loki-push check {:x}-{time:x}", std::process::id()),
        };
        let request = self.request(&[(pushed.time, &pushed.line)]);
        let outcome = outcome::classify(self.http.push(&request, self.timeout()));
        let delivered = outcome == Outcome::Delivered;
        self.sheet
            .say(&crate::app::check::messages::pushed(&outcome, &pushed));
        delivered.then_some(pushed)
    }

    fn request(&self, entries: &[(i64, &str)]) -> Request {
        let mut sealer = Encoder::new(self.config.settings.gzip_level);
        let entries = entries.iter().map(|&(time, line)| Entry {
            time,
            line,
            metadata: "",
        });
        sealer.request(&self.labels(), entries)
    }

    /// The labels of the run.
    fn labels(&self) -> Arc<Labels> {
        let shape = &self.config.shape;
        let level = shape.level.map(|level| ("level", level.as_str()));
        Arc::new(shape.labels.with(level))
    }
}

/// What a push that stores nothing told.
struct Probed {
    /// The server's clock minus ours, in nanoseconds.
    clock: Option<i64>,
}

/// The entry that was pushed.
struct Pushed {
    labels: Arc<Labels>,
    time: i64,
    line: String,
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as i64
}

/// The header `Date` in nanoseconds. It names whole seconds that have begun: half of one is added.
fn read_date(text: &str) -> Option<i64> {
    Some(crate::parse::timestamp::from_http_date(text)? + 500_000_000)
}

/// The version in a Loki's answer.
fn version(build: &HttpResponse) -> Option<String> {
    let build: serde_json::Value = serde_json::from_str(&build.text).ok()?;
    let version = build.get("version")?.as_str()?;
    (!version.is_empty()).then(|| version.to_owned())
}

/// The answer that came, or how far the request came.
type Answered = Result<HttpResponse, TransportError>;
