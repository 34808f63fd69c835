//! HTTP responses: status, the headers that matter, and the part of the body worth showing.

use std::io::{self, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::Body;

use crate::http::Response;
use crate::parse::timestamp::from_http_date;

/// Maximum number of bytes that are read of an error's body.
pub const TEXT: usize = 4 * 1024;

/// Maximum number of bytes that are read of a 400's body. It lists each rule that was broken: about
/// 190 bytes for each second with entries that are too old, and the counts at its end.
pub const REFUSAL_TEXT: usize = 512 * 1024;

/// Maximum number of further bytes that are discarded so that the connection can be used again.
const DRAIN: u64 = 1024 * 1024;

/// The texts with which nginx, Go, Apache and Tomcat answer plain HTTP on a TLS port.
const WANTS_TLS: [&str; 4] = [
    "plain HTTP request was sent to HTTPS port",
    "sent an HTTP request to an HTTPS server",
    "speaking plain HTTP to an SSL-enabled server port",
    "combination of host and port requires TLS",
];

/// A response.
#[derive(Debug, Clone, Default)]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body, or where a redirect points.
    pub text: String,
    /// The value of the header `Date`.
    pub date: Option<String>,
    retry_after: Option<Duration>,
    /// Whether the response says that the port requires TLS.
    pub wants_tls: bool,
    /// Whether the connection ended before the body did.
    pub is_cut_off: bool,
}

impl HttpResponse {
    /// Reads a response, with at most `most` bytes of its body.
    pub fn read(response: ureq::http::Response<Body>, most: usize) -> Self {
        let status = response.status().as_u16();
        let header = |name| {
            let value = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let date = header("date");
        let asked = header("retry-after");
        let retry_after = asked.and_then(|value| read_retry_after(&value, date.as_deref()));
        let location = header("location").filter(|_| (300..400).contains(&status));
        let most = if status == 400 { REFUSAL_TEXT } else { most };
        let zipped = header("content-encoding").is_some_and(|how| how == "gzip");
        let (text, is_cut_off) = read_text(response.into_body(), most, zipped);
        let wants_tls = status == 400 && WANTS_TLS.iter().any(|said| text.contains(said));
        let text = match location {
            Some(to) => format!("to {to}"),
            None => title(&text, status).unwrap_or(text),
        };
        Self {
            status,
            text,
            date,
            retry_after,
            wants_tls,
            is_cut_off,
        }
    }
}

impl From<HttpResponse> for Response {
    fn from(page: HttpResponse) -> Self {
        Self::Status {
            code: page.status,
            retry_after: page.retry_after,
            text: page.text,
        }
    }
}

/// The title of an HTML page, such as a proxy sends, without the status at its beginning.
fn title(text: &str, status: u16) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if !(lower.starts_with("<html") || lower.starts_with("<!doctype html")) {
        return None;
    }
    let from = lower.find("<title>")? + "<title>".len();
    let to = from + lower[from..].find("</title>")?;
    let title = text[from..to].trim();
    let bare = title.strip_prefix(&status.to_string()).unwrap_or(title);
    let bare = bare.trim();
    Some(match status {
        // A title such as `OK` would look like Loki's answer to a successful push.
        200..300 => format!("an HTML page: {bare}"),
        _ => bare.to_owned(),
    })
}

/// Parses `Retry-After`: seconds, or a date, from which the server's time is subtracted (`Date`, or
/// our own clock without that header).
fn read_retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit into 64 bits is still a wait.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = from_http_date(value)?;
    let now = date.and_then(from_http_date).unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default().as_nanos() as i64
    });
    // A date in the past means no wait.
    let wait = u64::try_from(until.checked_sub(now)?).ok()?;
    Some(Duration::from_nanos(wait))
}

/// Reads the beginning of a body and discards the rest. Also returns whether the body was cut off. A
/// proxy may send a `zipped` one although none was requested.
fn read_text(mut body: Body, most: usize, zipped: bool) -> (String, bool) {
    let mut reader = body.as_reader();
    let mut text = Vec::new();
    // The part before an error is still worth showing.
    let read = (&mut reader).take(most as u64).read_to_end(&mut text);
    let _ = io::copy(&mut reader.take(DRAIN), &mut io::sink());
    if zipped {
        text = unzip(&text, most);
    }
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    (text, read.is_err())
}

/// Decompresses the beginning of a gzipped body, up to a number of bytes or the first error.
pub fn unzip(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    // The part before an error is still worth showing.
    let _ = flate2::read::MultiGzDecoder::new(bytes)
        .take(most as u64)
        .read_to_end(&mut plain);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let read = |value, date| read_retry_after(value, date).map(|wait| wait.as_secs());
        let (now, soon) = (
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "Wed, 21 Oct 2015 07:30:07 GMT",
        );
        assert_eq!(read(" 7 ", None), Some(7));
        assert_eq!(read("99999999999999999999999", None), Some(u64::MAX));
        for form in [
            soon,
            "Wednesday, 21-Oct-15 07:30:07 GMT",
            "Wed Oct 21 07:30:07 2015",
        ] {
            assert_eq!(read(form, Some(now)), Some(127), "{form}");
        }
        let early = "Sun Nov  6 08:49:37 1994";
        assert_eq!(from_http_date(early), Some(784_111_777_000_000_000));
        assert_eq!(read(now, Some(soon)), None, "it is over");
        assert_eq!(read(now, None), None, "by our own clock");
        assert!(read("Tue, 21 Oct 2155 07:28:00 GMT", None) > Some(300));
        assert_eq!([read("-1", None), read("soon", None)], [None, None]);
        assert_eq!(read("", None), None);
    }

    #[test]
    fn of_a_page_its_title_is_shown() {
        let nginx = "<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>";
        assert_eq!(title(nginx, 401).as_deref(), Some("Authorization Required"));
        let page = "<!DOCTYPE html><HTML><TITLE> Nöthing </TITLE>";
        assert_eq!(title(page, 404).as_deref(), Some("Nöthing"));
        for text in ["<html>no", "<?xml?><title>x</title>", "no org id", ""] {
            assert_eq!(title(text, 401), None, "{text}");
        }
    }
}
