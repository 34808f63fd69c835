//! What can go wrong at a Loki, as values: a test says which, `serve.rs` makes it happen.

use std::time::Duration;

use super::answer::Answer;

/// What happens to one push request instead of a plain success.
///
/// Whatever the fault, the request is checked; one that breaks the contract gets its 400.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing goes wrong: a gap in a script.
    Pass,
    /// This status, nothing stored.
    Status(u16),
    /// This answer, nothing stored.
    Answer(Answer),
    /// Stored as usual, then this answer.
    StoreThen(Answer),
    /// Stored as usual, then the connection ends without an answer.
    LostAnswer,
    /// This answer to the head of the request, whose body is not read; the connection is closed and
    /// nothing stored.
    Early(Answer),
    /// The connection is reset before the body was read; nothing stored. (Decided by a hook,
    /// which needs the body, it comes after the body, as a plain end of the connection.)
    Reset,
    /// The connection is reset with half the body read; nothing stored.
    ResetMidBody,
    /// Stored at once, answered after this time (or at [`super::Loki::release`]).
    Slow(Duration),
    /// No answer until [`super::Loki::release`]; then, if the client is still there, stored
    /// and answered. A stop ends the connection.
    Hang,
    /// A redirect to this address; nothing stored.
    Redirect(String, u16),
}

impl Fault {
    /// Stored as usual, then this status.
    pub fn store_then(status: u16) -> Self {
        Fault::StoreThen(Answer::from(status))
    }

    /// A 429 or 503 that says when to come back.
    pub fn retry_after(status: u16, value: &str) -> Self {
        Fault::Answer(Answer::from(status).header("Retry-After", value))
    }

    /// The 413 of the nginx in front of Loki: HTML.
    pub fn nginx_too_large() -> Self {
        let page = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n\
                    <body>\r\n<center><h1>413 Request Entity Too Large</h1></center>\r\n\
                    <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
        let answer = Answer::new(413).header("Content-Type", "text/html");
        Fault::Answer(answer.body(page))
    }
}

/// What a request must bring to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    Basic { user: String, password: String },
    Bearer(String),
}

impl Auth {
    /// The value of the `Authorization` header.
    pub fn header(&self) -> String {
        match self {
            Auth::Basic { user, password } => {
                format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
            }
            Auth::Bearer(token) => format!("Bearer {token}"),
        }
    }

    /// The 401 of the gateway that asks for it.
    pub fn refusal(&self) -> Answer {
        let scheme = match self {
            Auth::Basic { .. } => "Basic realm=\"Loki\"",
            Auth::Bearer(_) => "Bearer",
        };
        let page = "<html>\r\n<head><title>401 Authorization Required</title></head>\r\n\
                    <body>\r\n<center><h1>401 Authorization Required</h1></center>\r\n\
                    <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
        Answer::new(401)
            .header("WWW-Authenticate", scheme)
            .header("Content-Type", "text/html")
            .body(page)
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            if i <= three.len() {
                out.push(DIGITS[(bits >> (18 - 6 * i)) as usize & 63] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_auth_is_written_as_in_rfc_7617() {
        let auth = Auth::Basic {
            user: "Aladdin".into(),
            password: "open sesame".into(),
        };
        assert_eq!(auth.header(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(base64(b"ab"), "YWI=");
        assert_eq!(base64(b"abc"), "YWJj");
    }
}
