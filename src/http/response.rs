//! HTTP responses: status, the headers that matter, and the part of the body worth showing.

use std::io::{self, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::Body;
use ureq::http::Response;

use crate::http::Answer;
use crate::parse::timestamp::from_http_date;

/// The bytes of an error's body that are read.
pub const TEXT: usize = 4 * 1024;

/// The bytes of a 400's body that are read. It lists each rule that was broken, about 190 bytes per
/// second of entries that are too old, with the counts at its end.
pub const REFUSAL_TEXT: usize = 512 * 1024;

/// The bytes of a body that are discarded after that, so that the connection can be used again.
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
    /// The header `Date`.
    pub date: Option<String>,
    retry_after: Option<Duration>,
    /// Whether it says that the port requires TLS.
    pub wants_tls: bool,
    /// Whether the connection ended before the body did.
    pub is_cut_off: bool,
}

impl HttpResponse {
    /// Reads a response, of whose body at most `most` bytes.
    pub fn read(response: Response<Body>, most: usize) -> Self {
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

impl From<HttpResponse> for Answer {
    fn from(page: HttpResponse) -> Self {
        Self::Status {
            code: page.status,
            retry_after: page.retry_after,
            text: page.text,
        }
    }
}

/// What a page in HTML is about, as a proxy in front answers: its title, without the status that
/// stands beside it anyway.
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
        // A title may say no more than Loki does when all is well.
        200..300 => format!("an HTML page: {bare}"),
        _ => bare.to_owned(),
    })
}

/// `Retry-After`: seconds, or a date, which is counted from when the server says it is now (`Date`),
/// by our own clock if it does not say.
fn read_retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is asked for all the same.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = from_http_date(value)?;
    let now = date.and_then(from_http_date).unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default().as_nanos() as i64
    });
    // One that is over asks for nothing.
    let wait = u64::try_from(until.checked_sub(now)?).ok()?;
    Some(Duration::from_nanos(wait))
}

/// The beginning of a body, and whether the body was cut off; the rest is read away. Nobody asked
/// for a `zipped` one, but a proxy may think it knows better.
fn read_text(mut body: Body, most: usize, zipped: bool) -> (String, bool) {
    let mut reader = body.as_reader();
    let mut text = Vec::new();
    // What was read before an error is still worth showing.
    let read = (&mut reader).take(most as u64).read_to_end(&mut text);
    let _ = io::copy(&mut reader.take(DRAIN), &mut io::sink());
    if zipped {
        text = unzip(&text, most);
    }
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    (text, read.is_err())
}

/// The beginning of what was gzipped, at most so many bytes; as much as can be read.
pub fn unzip(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    // What was read before an error is still worth showing.
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
