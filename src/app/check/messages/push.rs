//! The wording of the steps that the push without entries tests: URL, credentials and tenant.

use crate::app::check::Answered;
use crate::app::check::messages::{bad, line};
use crate::app::check::report::{Status, StepReport};
use crate::delivery::outcome::{self, Outcome};
use crate::http::client::{HttpResponse, Step, TransportError};
use crate::http::tenant::TENANT_HEADER;
use crate::report::messages::Sanitized;

/// Steps: push endpoint, credentials and tenant, from the response to a push without entries.
pub fn push_steps(answer: &Answered, headers: &[(String, String)]) -> Vec<StepReport> {
    let header = |name: &str| {
        let mut same = headers
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name));
        same.next().map(|(_, value)| value.as_str())
    };
    let tenant = header(TENANT_HEADER);
    let has_credentials = header("Authorization").is_some()
        || headers
            .iter()
            .any(|(_, value)| value.starts_with("Basic ") || value.starts_with("Bearer "));
    let address = |page: &HttpResponse| {
        line(
            Status::Ok,
            "push endpoint",
            format!("answers {}", page.status),
        )
    };
    let page = match answer {
        Ok(page) => page,
        Err(failed) => return vec![unanswered(failed)],
    };
    let said = said(page);
    let outcome = outcome::classify(page.clone().into());
    match page.status {
        _ if outcome == Outcome::Delivered => vec![
            line(Status::Ok, "push endpoint", "accepts pushes"),
            if has_credentials {
                line(Status::Ok, "credentials", "accepted")
            } else {
                line(Status::Ok, "credentials", "none set, none required")
            },
            match tenant {
                Some(tenant) => line(
                    Status::Ok,
                    "tenant",
                    format!("{} accepted", Sanitized(tenant)),
                ),
                None => line(Status::Ok, "tenant", "none set, none required"),
            },
        ],
        401 if page.text.contains("no org id") => vec![
            address(page),
            bad(
                "tenant",
                format!("not set, but Loki requires one ({said})"),
                "set --org-id",
            ),
        ],
        400 if page.text.contains("org ID") || page.text.contains("tenant ID") => vec![
            address(page),
            bad(
                "tenant",
                said,
                "check --org-id: a push requires exactly one tenant",
            ),
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
                format!("none set, but the server requires some ({said})"),
                "set --username and --password, or --bearer-token",
            ),
        ],
        403 if !has_credentials => vec![
            address(page),
            bad(
                "credentials",
                format!("none set, and anonymous pushes are not allowed ({said})"),
                "set --username and --password, or --bearer-token; or check what is in front of Loki \
                 (a gateway, a firewall)",
            ),
        ],
        403 => vec![
            address(page),
            bad(
                "credentials",
                format!("valid, but not allowed to push ({said})"),
                "check what the credentials are allowed to do, and --org-id",
            ),
        ],
        400 if matches!(outcome, Outcome::Refused { .. }) => vec![bad(
            "push endpoint",
            said,
            "Loki does not accept the labels of this run",
        )],
        status => vec![bad("push endpoint", said, probe_remedy(status, &page.text))],
    }
}

/// The push got no response, although the request before it did.
fn unanswered(failed: &TransportError) -> StepReport {
    let remedy = match failed.stage {
        Step::Reach | Step::Answer => {
            "the server answers queries, but not pushes: check its log and what is in front of it (a \
             proxy, a gateway), try again, or increase --timeout"
        }
        _ => &failed.remedy,
    };
    bad("push endpoint", Sanitized(&failed.text).to_string(), remedy)
}

fn probe_remedy(status: u16, text: &str) -> &'static str {
    match status {
        404 | 405 => {
            "something else is listening there, or Loki uses another path prefix: check host, port \
             and path in --url (a base URL, or a full URL ending in /push)"
        }
        413 => "something in front of Loki accepts no request of this size: see its configuration",
        429 => "Loki is up, but this tenant is over its limits: see its limits_config",
        260 => "Loki blocks pushes of this tenant: see blocked_ingestion in its limits",
        408 | 500..=599 => "the server is up but unhealthy; check its log and try again",
        _ => outcome::remedy(status, text),
    }
}

/// The status and the text of a response.
fn said(page: &HttpResponse) -> String {
    let text = outcome::without_status(page.status, &page.text);
    let text = Sanitized(text).to_string();
    // The HTML page of a proxy is not readable in a terminal.
    if text.is_empty() || text.starts_with('<') {
        format!("answers {}", page.status)
    } else {
        format!("answers {}: {text}", page.status)
    }
}
