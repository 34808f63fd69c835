//! Reads the entry back that was pushed: what was accepted is not yet found.
//!
//! Knows Loki's query interface. Knows nothing of what is said of it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::app::check::Pushed;
use crate::app::check::messages;
use crate::app::check::messages::QueryResult;
use crate::app::check::report::ReportLine;
use crate::http::client::HttpTransport;
use crate::http::url::api_url;
use crate::sync::shutdown::Shutdown;

/// How long an entry may take to be found, in requests that take all the time they have: the first
/// query after a start of Loki's takes ten seconds.
const PATIENCE: u32 = 2;

/// The first pause between two queries; each is twice the one before, to a second.
const PAUSE: Duration = Duration::from_millis(25);

/// How far behind the entry's time is looked: a Loki may move an entry on by a nanosecond.
const WITHIN: i64 = 1_000_000;

/// Asks for the entry until it is found, or cannot be.
pub fn find(http: &HttpTransport, push: &str, pushed: &Pushed, timeout: Duration) -> ReportLine {
    let query = format!(
        "/loki/api/v1/query_range?query={}&start={}&end={}&limit=1000&direction=forward",
        encoded(&pushed.labels.to_string()),
        pushed.time,
        pushed.time + WITHIN
    );
    let Some(url) = api_url(push, &query) else {
        return messages::read_back(&QueryResult::NotHere(None), Duration::ZERO);
    };
    let (began, stop) = (Instant::now(), Shutdown::new());
    let patience = timeout * PATIENCE;
    let mut pause = PAUSE;
    loop {
        let last = match http.get(&url, timeout) {
            Ok(page) => match page.status {
                200 if page.text.contains(&pushed.line) => QueryResult::After(began.elapsed()),
                // As a web server says to everything.
                200 if !page.text.starts_with('{') => QueryResult::NoLoki,
                200 => QueryResult::Missing,
                401 | 403 => QueryResult::MayNotRead(page.status),
                429 | 500.. => QueryResult::Unanswered(format!("{} {}", page.status, page.text)),
                status => QueryResult::NotHere(Some(status)),
            },
            Err(failed) => QueryResult::Unanswered(failed.text),
        };
        let passing = matches!(last, QueryResult::Missing | QueryResult::Unanswered(_));
        if !passing || began.elapsed() >= patience {
            return messages::read_back(&last, began.elapsed());
        }
        stop.wait(Some(Instant::now() + pause), stop.state());
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// A text as it stands in a query string.
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
