//! Headers for every request: credentials, the tenant, and what was given with `--header`.
//!
//! Knows which name wins over which, and what only the writer of a body may say.

use anyhow::{Result, anyhow, bail};

use crate::cli::config::connection::credentials::Credentials;
use crate::cli::config::connection::lookup::Resolver;
use crate::http::client::SecretFile;
use crate::http::url::PushUrl;

/// The header that names the tenant.
const TENANT: &str = "X-Scope-OrgID";

/// Headers that belong to a body, which only its writer can know.
const OURS_ALONE: [&str; 4] = [
    "Content-Type",
    "Content-Encoding",
    "Content-Length",
    "Transfer-Encoding",
];

/// Names and values.
type Headers = Vec<(String, String)>;

/// Headers for every request, and the file that one of them is from. One given with `--header`
/// takes the place of ours of that name.
pub fn headers(
    lookup: &Resolver<'_>,
    address: &PushUrl,
    authorization: Option<Credentials>,
    warnings: &mut Vec<String>,
) -> Result<(Headers, Option<SecretFile>)> {
    let given = &lookup.typed.cli.connection;
    let mut headers = Vec::new();
    let mut secret = authorization.is_some();
    let mut file = None;
    if let Some(authorization) = authorization {
        let name = lookup.text(
            "auth_header",
            given.auth_header.as_ref(),
            "LOKI_AUTH_HEADER",
        )?;
        let name = name.unwrap_or("Authorization".into());
        headers.push((name.clone(), authorization.value()));
        file = authorization.file.map(|path| SecretFile {
            path,
            header: name,
            scheme: authorization.scheme,
        });
    }
    let tenant = lookup.text("org_id", given.org_id.as_ref(), "LOKI_ORG_ID")?;
    if let Some(tenant) = tenant.filter(|tenant| !tenant.is_empty()) {
        headers.push((TENANT.into(), tenant));
    }
    let ours = headers.len();
    for header in &given.header {
        let (name, value) = header.split_once(':').ok_or_else(|| {
            anyhow!("--header: a header is `NAME: VALUE`, this one has no `:` (not shown, it may be a secret)")
        })?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if let Some(name) = OURS_ALONE.iter().find(|other| is(other)) {
            bail!("--header: {name} tells what is sent, and is loki-push's own");
        }
        secret |= is("Authorization");
        headers.push((name, value));
    }
    let typed: Vec<String> = headers[ours..]
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    file = file.filter(|file| {
        let is = |name: &String| name.eq_ignore_ascii_case(&file.header);
        !typed.iter().any(is)
    });
    let mut at = 0;
    headers.retain(|(name, _)| {
        at += 1;
        at > ours || !typed.iter().any(|other| other.eq_ignore_ascii_case(name))
    });
    if secret && !address.https && !address.is_loopback() {
        warnings.push(format!(
            "credentials go to {} over plain http, readable on the way; use https",
            address.host
        ));
    }
    Ok((headers, file))
}

/// The tenant that these headers name.
pub fn tenant(headers: &[(String, String)]) -> Option<String> {
    let mut named = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(TENANT));
    named.next().map(|(_, value)| value.clone())
}
