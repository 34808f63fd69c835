//! The headers of every request: credentials, the tenant, and those set with `--header`.

use anyhow::{Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::cli::config::connection::credentials::Credentials;
use crate::cli::config::connection::lookup::Resolver;
use crate::http::client::SecretFile;
use crate::http::tenant::{TENANT_HEADER, check_tenant};
use crate::http::url::PushUrl;
use crate::storage::spool::{Destination, Token};

/// Headers that describe the body; only the encoder can set them.
const OURS_ALONE: [&str; 4] = [
    "Content-Type",
    "Content-Encoding",
    "Content-Length",
    "Transfer-Encoding",
];

/// The headers of every request.
pub struct ResolvedHeaders {
    /// Their names and values.
    pub headers: Vec<(String, String)>,
    /// The file that holds the secret in one of them, if it is in a file.
    pub file: Option<SecretFile>,
    /// Whether they hold credentials.
    pub has_credentials: bool,
}

/// Resolves the headers. One set with `--header` replaces the default header of that name.
pub fn headers(
    lookup: &Resolver<'_>,
    address: &PushUrl,
    authorization: Option<Credentials>,
    warnings: &mut Vec<String>,
) -> Result<ResolvedHeaders> {
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
    let tenant = lookup.find("org_id", given.org_id.clone(), Some("LOKI_ORG_ID"))?;
    if let Some(tenant) = tenant.filter(|tenant| !tenant.value.is_empty()) {
        check_tenant(&tenant.value).map_err(|why| anyhow!("{}: {why}", tenant.name))?;
        headers.push((TENANT_HEADER.into(), tenant.value));
    }
    let ours = headers.len();
    for header in &given.header {
        let (name, value) = header.split_once(':').ok_or_else(|| {
            anyhow!("--header requires the form `NAME: VALUE`; this one has no `:` (not shown, it may be a secret)")
        })?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if let Some(name) = OURS_ALONE.iter().find(|other| is(other)) {
            bail!("--header: {name} is set by loki-push and cannot be overridden");
        }
        if is(TENANT_HEADER) {
            check_tenant(&value).map_err(|why| anyhow!("--header {TENANT_HEADER}: {why}"))?;
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
            "sending credentials to {} over plain HTTP; use https",
            address.host
        ));
    }
    Ok(ResolvedHeaders {
        headers,
        file,
        has_credentials: secret,
    })
}

/// Headers whose value cannot affect which tenant or user a request is for.
const NOT_THE_TENANT: [&str; 8] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "traceparent",
    "user-agent",
    "x-request-id",
];

/// The destination of requests with these headers. `secret` is the file that holds the secret in one of
/// them.
pub fn destination(
    url: &str,
    headers: &[(String, String)],
    secret: Option<&SecretFile>,
) -> Destination {
    let mut destination = Destination::new(url);
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let file = secret.filter(|file| file.header.eq_ignore_ascii_case(&name));
        if name.eq_ignore_ascii_case(TENANT_HEADER) {
            destination.tenant = Some(value.clone());
        } else if let Some(user) = user_of(value) {
            destination.user = Some(user);
        } else if let Some(token) = after_scheme(value, "bearer") {
            let path = |file: &SecretFile| {
                let path = std::path::absolute(&file.path);
                Token::File(path.unwrap_or_else(|_| file.path.clone()))
            };
            let text = || Token::Text(token.to_owned());
            destination.token = Some(file.map_or_else(text, path));
        } else if !NOT_THE_TENANT.contains(&name.as_str()) {
            destination.headers.insert(name, value.clone());
        }
    }
    destination
}

/// The user name, if the header is one of basic auth.
fn user_of(value: &str) -> Option<String> {
    let pair = BASE64.decode(after_scheme(value, "basic")?).ok()?;
    let pair = String::from_utf8_lossy(&pair).into_owned();
    pair.split_once(':').map(|(user, _)| user.to_owned())
}

/// The value of an `Authorization` header without its scheme.
fn after_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (first, rest) = value.split_once(' ')?;
    first.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}
