//! Queries Loki for the entry that `--check` pushed, since an accepted entry is not always stored.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::app::check::PushedEntry;
use crate::app::check::messages;
use crate::app::check::messages::QueryResult;
use crate::app::check::report::StepReport;
use crate::http::client::HttpTransport;
use crate::http::url::api_url;
use crate::sync::shutdown::Shutdown;

/// How long an entry may take to appear, as a multiple of `--timeout`. The first query after a start
/// of Loki takes ten seconds.
const PATIENCE: u32 = 2;

/// The first pause between two queries. It is doubled each time, up to a second.
const PAUSE: Duration = Duration::from_millis(25);

/// Length of the queried time range in nanoseconds. Loki may increase the time of an entry by one.
const WITHIN: i64 = 1_000_000;

/// Repeats the query until the entry is found or cannot be found any more.
pub fn query_until_found(
    http: &HttpTransport,
    push: &str,
    pushed: &PushedEntry,
    timeout: Duration,
) -> StepReport {
    let query = format!(
        "/loki/api/v1/query_range?query={}&start={}&end={}&limit=1000&direction=forward",
        encoded(&pushed.labels.to_string()),
        pushed.time,
        pushed.time + WITHIN
    );
    let Some(url) = api_url(push, &query) else {
        return messages::query_step(&QueryResult::NoEndpoint(None), Duration::ZERO);
    };
    let (began, stop) = (Instant::now(), Shutdown::new());
    let patience = timeout * PATIENCE;
    let mut pause = PAUSE;
    loop {
        let last = match http.get(&url, timeout) {
            Ok(page) => match page.status {
                200 if page.text.contains(&pushed.line) => QueryResult::Found(began.elapsed()),
                // A page of a web server that answers every path.
                200 if !page.text.starts_with('{') => QueryResult::NotLoki,
                200 => QueryResult::Missing,
                401 | 403 => QueryResult::Forbidden(page.status),
                429 | 500.. => QueryResult::Failed(format!("{} {}", page.status, page.text)),
                status => QueryResult::NoEndpoint(Some(status)),
            },
            Err(failed) => QueryResult::Failed(failed.text),
        };
        let passing = matches!(last, QueryResult::Missing | QueryResult::Failed(_));
        if !passing || began.elapsed() >= patience {
            return messages::query_step(&last, began.elapsed());
        }
        stop.wait(Some(Instant::now() + pause), stop.state());
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Percent-encodes a text for a query string.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_can_stand_in_an_address() {
        assert_eq!(encoded("{a=\"é +&\"}"), "%7Ba%3D%22%C3%A9%20%2B%26%22%7D");
    }
}
