//! What a response means: delivered, refused, an outage or a configuration fault. Pure.
//!
//! One table for a run and for `--check`. Only Loki can refuse an entry, in its own words; whatever
//! a gateway, a proxy or a login page answers, the entry is kept and sent again.

use std::time::Duration;

use crate::delivery::rejection;
use crate::http::Response;

/// What a response means for the request: data, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Loki has it.
    Delivered,
    /// The same bytes again, later.
    Later {
        /// What went wrong.
        error: DeliveryError,
        /// How long the server asked to wait.
        after: Option<Duration>,
    },
    /// Too large as it is: its halves may pass.
    Split {
        /// What went wrong.
        error: DeliveryError,
    },
    /// Loki refused it, or some of it.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Loki's words.
        text: String,
    },
}

/// Why a request was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryError {
    /// The HTTP status; None without a response.
    pub status: Option<u16>,
    /// The server's words, or ours.
    pub text: String,
    /// Whether it is a configuration fault, which only a person can fix.
    pub permanent: bool,
    /// Whether it may be due to an entry in the request rather than to the server or the
    /// connection.
    pub may_be_the_entry: bool,
}

impl DeliveryError {
    /// The error in a few words: the status, if there was a response, and what the server said.
    pub fn describe(&self) -> String {
        match self.status {
            Some(status) => format!("{status} {}", without_status(status, &self.text))
                .trim_end()
                .to_owned(),
            None => self.text.clone(),
        }
    }
}

/// What the server said, without the status that many repeat at its beginning.
pub fn without_status(status: u16, text: &str) -> &str {
    let rest = text.trim().strip_prefix(&status.to_string());
    match rest {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => rest.trim_start(),
        _ => text.trim(),
    }
}

/// What VictoriaLogs says, with a 400, to a path that it has nothing at: a 404 in other words.
const NO_SUCH_PATH: &str = "unsupported path requested";

/// What to do about a configuration fault.
pub fn remedy(status: u16, text: &str) -> &'static str {
    let is_about_tenant = text.contains("org ID") || text.contains("tenant ID");
    match status {
        200..300 => {
            "this is not Loki's answer, but that of a login page or another service: check --url, \
             and what is in front of Loki"
        }
        300..400 => {
            "a redirect is not followed, since it would lose the entries: set --url to the URL it \
             leads to"
        }
        400 if is_about_tenant => {
            "check --org-id: a push accepts one tenant, of letters, digits and !-_.*'()"
        }
        400 if text.contains(NO_SUCH_PATH) => {
            "for VictoriaLogs --url ends in /insert/loki/api/v1/push"
        }
        400 if text.to_ascii_lowercase().contains("certificate") => {
            "the server requires a client certificate that it trusts: check --cert and --key"
        }
        401 if text.contains("no org id") => "Loki requires a tenant: set --org-id",
        401 => "check --username and --password, or --bearer-token",
        403 => {
            "these credentials may not push, or something in front of Loki blocks the request: \
             check them and --org-id"
        }
        404 | 405 => "check --url (a base URL, or a full URL ending in /push)",
        407 => "the proxy requires credentials: check --proxy-url",
        _ => "this is not Loki's answer: check --url, and what is in front of Loki",
    }
}

/// Classifies a response.
///
/// * Delivered: 204, and 200 to 206 with a body that says nothing else. Any other 2xx may be a login
///   page; 260 is Loki's answer for a blocked tenant.
/// * Refused: a 400 in Loki's words, and 260. What is too large (413, and a 500 of an ingester) is
///   split; a single entry is refused by a 413.
/// * An outage: no response, 408, 429 and 5xx.
/// * A configuration fault: everything else.
pub fn classify(response: Response) -> Outcome {
    let (code, after, text) = match response {
        Response::Status {
            code,
            retry_after,
            text,
        } => (code, retry_after, text),
        Response::Failed { text, permanent } => {
            let error = DeliveryError {
                status: None,
                text,
                permanent,
                may_be_the_entry: false,
            };
            return Outcome::Later { error, after: None };
        }
    };
    let is_outage = matches!(code, 408 | 429 | 500..=599);
    let says_nothing = matches!(text.trim(), "" | "{}" | "ok");
    match code {
        204 => return Outcome::Delivered,
        200..=206 if says_nothing => return Outcome::Delivered,
        400 if rejection::is_from_loki(&text) => return Outcome::Refused { status: code, text },
        260 => return Outcome::Refused { status: code, text },
        _ => {}
    }
    let too_large = rejection::too_large(code, &text);
    let error = DeliveryError {
        status: Some(code),
        permanent: !is_outage && code != 413,
        may_be_the_entry: match code {
            401 | 404 | 407 | 408 | 413 | 429 | 502..=504 => false,
            500..=599 => !rejection::is_lokis_outage(&text),
            _ => true,
        },
        text,
    };
    if too_large {
        Outcome::Split { error }
    } else {
        Outcome::Later { error, after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, text: &str) -> Outcome {
        classify(Response::Status {
            code,
            retry_after: None,
            text: text.into(),
        })
    }

    fn error(outcome: Outcome) -> DeliveryError {
        match outcome {
            Outcome::Later { error, .. } | Outcome::Split { error } => error,
            other => panic!("{other:?}"),
        }
    }

    const TOO_LARGE: &str = "rpc error: code = ResourceExhausted desc = grpc: received message \
                             larger than max (4210357 vs. 4194304)";

    #[test]
    fn only_a_success_that_says_nothing_else_is_a_delivery() {
        for code in 100..700 {
            for text in ["", "{}", "ok", " ok\n", "<html>", "OK!", "{\"a\":1}"] {
                let says_nothing = matches!(text.trim(), "" | "{}" | "ok");
                let delivered = code == 204 || (200..=206).contains(&code) && says_nothing;
                assert_eq!(
                    of(code, text) == Outcome::Delivered,
                    delivered,
                    "{code} {text}"
                );
            }
        }
    }

    #[test]
    fn only_loki_refuses() {
        let refusal = "max entry size '10' bytes exceeded for stream '{a=\"b\"}' while adding an \
                       entry with length '11' bytes";
        for code in 200..600 {
            for text in [
                "",
                "no",
                "<html>400 Bad Request</html>",
                "multiple org IDs present",
            ] {
                let refused = matches!(of(code, text), Outcome::Refused { .. });
                assert_eq!(refused, code == 260, "{code} {text}");
            }
            let refused = matches!(of(code, refusal), Outcome::Refused { .. });
            assert_eq!(refused, code == 260 || code == 400, "{code}");
        }
    }

    #[test]
    fn an_outage_is_told_from_a_configuration_fault() {
        for code in [408, 429, 500, 502, 503, 504, 599] {
            assert!(!error(of(code, "x")).permanent, "{code}");
        }
        for code in [
            207, 226, 301, 304, 400, 401, 402, 403, 404, 405, 407, 409, 421, 422, 451,
        ] {
            assert!(error(of(code, "x")).permanent, "{code}");
        }
        for permanent in [false, true] {
            let response = Response::Failed {
                text: "self-signed".into(),
                permanent,
            };
            let error = error(classify(response));
            assert_eq!((error.status, error.permanent), (None, permanent));
        }
    }

    #[test]
    fn what_is_about_the_server_is_never_held_against_an_entry() {
        for code in [401, 404, 407, 408, 429, 502, 503, 504] {
            assert!(!error(of(code, "x")).may_be_the_entry, "{code}");
        }
        for text in [
            "empty ring",
            "at least 2 live replicas required, could only find 1 - unhealthy instances: 10.0.0.1",
            "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
            "Ingester is shutting down",
        ] {
            assert!(!error(of(500, text)).may_be_the_entry, "{text}");
        }
        let bad_name = "stream '{a=\"b\"}': label name is empty";
        for text in ["<html>", "boom", "", bad_name, TOO_LARGE] {
            assert!(error(of(500, text)).may_be_the_entry, "{text}");
        }
        assert!(error(of(403, "blocked by rule 17")).may_be_the_entry);
    }

    #[test]
    fn a_status_is_not_said_twice() {
        assert_eq!(
            error(of(404, "404 page not found\n")).describe(),
            "404 page not found"
        );
        assert_eq!(error(of(404, "404")).describe(), "404");
        assert_eq!(error(of(404, "4040")).describe(), "404 4040");
        assert_eq!(error(of(503, "")).describe(), "503");
    }

    #[test]
    fn each_fault_names_its_remedy() {
        for (status, text, remedy_names) in [
            (200, "an HTML page: Sign in", "login"),
            (302, "to /login", "redirect"),
            (400, "multiple org IDs present", "--org-id"),
            (400, "tenant ID is too long: max 150 characters", "--org-id"),
            (400, "unsupported path requested: \"/x\"", "/insert/loki"),
            (400, "No required SSL certificate was sent", "--cert"),
            (401, "no org id\n", "--org-id"),
            (401, "", "--username"),
            (403, "", "may not push"),
            (404, "404 page not found", "--url"),
            (407, "", "--proxy-url"),
            (431, "", "in front of Loki"),
        ] {
            assert!(
                remedy(status, text).contains(remedy_names),
                "{status} {text}"
            );
        }
    }

    #[test]
    fn what_is_too_large_is_split() {
        for (code, text) in [(413, ""), (413, "<html>"), (500, TOO_LARGE)] {
            assert!(
                matches!(of(code, text), Outcome::Split { .. }),
                "{code} {text}"
            );
        }
        assert!(!matches!(of(400, TOO_LARGE), Outcome::Split { .. }));
    }
}
