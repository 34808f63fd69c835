//! What an answer of Loki's means: the table of status codes, pure.
//!
//! Knows the contract's sections 0 to 3. Knows nothing of sockets, of retrying or of counters.

use std::time::Duration;

use crate::delivery::rejection;
use crate::http::Answer;
use crate::report::messages::NO_SUCH_PATH;

/// Reads an answer.
///
/// Only 200 and 204 are a delivery: 260 is what Loki answers for a blocked tenant, and stored
/// nothing (trap T7). 429, 408, 5xx and silence pass with time. 401, 403, 404, 405 and redirects
/// pass only when a person mends something, but may: they are tried on, as is a server that TLS does
/// not trust. What is too large by
/// status 413 or by the inner limit that Loki reports as a 500 (trap T3) is split. All else is a
/// refusal.
pub fn judge(answer: Answer) -> Outcome {
    let (code, after, text) = match answer {
        Answer::Status {
            code,
            retry_after,
            text,
        } => (code, retry_after, text),
        Answer::Failed { text, lasting } => {
            let trouble = DeliveryError {
                status: None,
                text,
                lasting,
            };
            return Outcome::Later {
                trouble,
                after: None,
            };
        }
    };
    let trouble = |lasting| DeliveryError {
        status: Some(code),
        text: text.clone(),
        lasting,
    };
    let later = |lasting| Outcome::Later {
        trouble: trouble(lasting),
        after,
    };
    match code {
        200 | 204 => Outcome::Delivered,
        413 | 500 if rejection::too_large(code, &text) => Outcome::Split {
            trouble: trouble(false),
        },
        408 | 429 | 500..=599 => later(false),
        300..=399 | 401 | 403 | 404 | 405 | 407 => later(true),
        400 if text.contains(NO_SUCH_PATH) => later(true),
        _ => Outcome::Refused { status: code, text },
    }
}

/// What an answer means for the request: data, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Loki has it.
    Delivered,
    /// The same bytes again, later.
    Later {
        /// What is wrong.
        trouble: DeliveryError,
        /// What the server asked us to wait.
        after: Option<Duration>,
    },
    /// Too large as it is: its halves may pass.
    Split {
        /// What is wrong.
        trouble: DeliveryError,
    },
    /// Loki has spoken: it does not want this, or not all of it.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Loki's words.
        text: String,
    },
}

/// Why a request did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryError {
    /// The HTTP status; None without an answer.
    pub status: Option<u16>,
    /// The server's words, or ours.
    pub text: String,
    /// Whether only a person can mend it (a wrong address, a missing permission).
    pub lasting: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn of(code: u16, text: &str) -> Outcome {
        judge(Answer::Status {
            code,
            retry_after: None,
            text: text.into(),
        })
    }

    #[test]
    fn only_200_and_204_are_deliveries() {
        for code in 100..600 {
            assert_eq!(
                of(code, "") == Outcome::Delivered,
                [200, 204].contains(&code),
                "{code}"
            );
        }
    }

    #[test]
    fn what_passes_with_time_is_tried_again() {
        for code in [408, 429, 500, 502, 503, 504, 599] {
            assert!(
                matches!(of(code, "x"), Outcome::Later { trouble, .. } if !trouble.lasting),
                "{code}"
            );
        }
        let after = Some(Duration::from_secs(7));
        let answer = Answer::Status {
            code: 429,
            retry_after: after,
            text: String::new(),
        };
        assert!(matches!(judge(answer), Outcome::Later { after: got, .. } if got == after));
        let answer = Answer::Failed {
            text: "connection refused".into(),
            lasting: false,
        };
        assert!(
            matches!(judge(answer), Outcome::Later { trouble, .. } if trouble.status.is_none() && !trouble.lasting)
        );
    }

    #[test]
    fn what_only_a_person_mends_is_told_apart() {
        for code in [301, 302, 307, 308, 401, 403, 404, 405] {
            assert!(
                matches!(of(code, ""), Outcome::Later { trouble, .. } if trouble.lasting),
                "{code}"
            );
        }
        let text = r#"remoteAddr: "[::1]:1"; unsupported path requested: "/loki/api/v1/push""#;
        assert!(matches!(of(400, text), Outcome::Later { trouble, .. } if trouble.lasting));
        let answer = Answer::Failed {
            text: "self-signed".into(),
            lasting: true,
        };
        assert!(matches!(judge(answer), Outcome::Later { trouble, .. } if trouble.lasting));
    }

    #[test]
    fn what_is_too_large_is_split_and_the_rest_refused() {
        assert!(matches!(of(413, ""), Outcome::Split { .. }));
        let text = "rpc error: code = ResourceExhausted desc = grpc: received message larger than \
                    max (4210357 vs. 4194304)";
        assert!(matches!(of(500, text), Outcome::Split { .. }));
        for code in [260, 201, 400, 422, 415] {
            assert!(matches!(of(code, ""), Outcome::Refused { status, .. } if status == code));
        }
    }
}
