//! The way to Loki: address, credentials, tenant, headers, TLS and proxy, from options, our
//! environment and logcli's.
//!
//! Knows which wins over which. Shows no secret.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine as _;

use crate::address::Address;
use crate::cli::{self, Typed};
use crate::push::http::{Connection, Tls};
use crate::spool::Destination;

/// The address of a Loki on this machine.
const DEFAULT_URL: &str = "http://localhost:3100";

/// The header that names the tenant.
const TENANT: &str = "X-Scope-OrgID";

/// Headers that belong to a body, which only its writer can know.
const OURS_ALONE: [&str; 4] = [
    "Content-Type",
    "Content-Encoding",
    "Content-Length",
    "Transfer-Encoding",
];

/// What was worked out.
pub struct Found {
    /// For the HTTP agent.
    pub connection: Connection,
    /// The destination as messages name it.
    pub shown: String,
    /// The destination as the spool tells it from others.
    pub destination: Destination,
}

/// The authorization header.
struct Authorization {
    /// The user of basic auth.
    user: Option<String>,
    value: String,
}

/// Where a value comes from; a later one wins over an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// logcli's `LOKI_*`.
    Logcli,
    /// Our `LOKI_PUSH_*`.
    Environment,
    /// The command line.
    CommandLine,
}

/// A value, where it comes from, and what the person who gave it calls it.
struct Given<T> {
    value: T,
    source: Source,
    name: String,
}

/// Looks values up: an option's, or that of logcli's environment variable.
struct Lookup<'a> {
    typed: &'a Typed,
    env: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Lookup<'_> {
    fn find<T: From<String>>(
        &self,
        id: &str,
        option: Option<T>,
        logcli: Option<&str>,
    ) -> Result<Option<Given<T>>> {
        if let Some(value) = option {
            let long = id.replace('_', "-");
            let (source, name) = if self.typed.on_command_line(id) {
                (Source::CommandLine, format!("--{long}"))
            } else {
                (Source::Environment, cli::env_name(&long))
            };
            return Ok(Some(Given {
                value,
                source,
                name,
            }));
        }
        let Some(name) = logcli else { return Ok(None) };
        let Some(value) = (self.env)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let Ok(value) = value.into_string() else {
            bail!("{name} is no UTF-8 text");
        };
        Ok(Some(Given {
            value: value.into(),
            source: Source::Logcli,
            name: name.to_owned(),
        }))
    }

    fn text(&self, id: &str, option: Option<&String>, logcli: &str) -> Result<Option<String>> {
        let found = self.find(id, option.cloned(), Some(logcli))?;
        Ok(found.map(|given| given.value))
    }
}

/// A secret that is given itself or as a file that holds it.
fn secret(
    itself: Option<Given<String>>,
    file: Option<Given<PathBuf>>,
) -> Result<Option<Given<String>>> {
    match (itself, file) {
        (Some(itself), Some(file)) if itself.source == file.source => {
            bail!("{} and {} exclude each other", itself.name, file.name)
        }
        (Some(itself), file) if file.as_ref().is_none_or(|f| f.source < itself.source) => {
            Ok(Some(itself))
        }
        (_, Some(file)) => Ok(Some(Given {
            value: read_secret(&file.name, &file.value)?,
            source: file.source,
            name: file.name,
        })),
        _ => Ok(None),
    }
}

/// Works the connection out.
///
/// # Errors
/// What is wrong, naming the option.
pub fn resolve(
    typed: &Typed,
    env: &dyn Fn(&str) -> Option<OsString>,
    warnings: &mut Vec<String>,
) -> Result<Found> {
    let lookup = Lookup { typed, env };
    let given = &typed.cli.connection;
    let url = lookup
        .find("url", given.url.clone(), Some("LOKI_ADDR"))?
        .unwrap_or_else(|| Given {
            value: DEFAULT_URL.to_owned(),
            source: Source::Logcli,
            name: "--url".to_owned(),
        });
    let address = Address::parse(url.value.trim()).map_err(|why| anyhow!("{}: {why}", url.name))?;
    let authorization = credentials(&lookup, &address, url.source, warnings)?;
    let user = authorization.as_ref().and_then(|auth| auth.user.clone());
    let headers = headers(&lookup, &address, authorization, warnings)?;
    let tenant = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(TENANT));
    let destination = Destination {
        url: address.push.clone(),
        tenant: tenant.map(|(_, value)| value.clone()),
        user,
    };
    let proxy = lookup.text("proxy_url", given.proxy_url.as_ref(), "LOKI_HTTP_PROXY_URL")?;
    let connection = Connection {
        url: address.push.clone(),
        headers,
        timeout: typed.cli.delivery.timeout,
        connections: usize::from(typed.cli.delivery.connections),
        tls: tls(&lookup, warnings)?,
        proxy: proxy.filter(|_| !address.is_loopback()),
        no_proxy: address.is_loopback(),
    };
    Ok(Found {
        connection,
        shown: address.base,
        destination,
    })
}

/// Headers for every request. One given with `--header` takes the place of ours of that name.
fn headers(
    lookup: &Lookup<'_>,
    address: &Address,
    authorization: Option<Authorization>,
    warnings: &mut Vec<String>,
) -> Result<Vec<(String, String)>> {
    let given = &lookup.typed.cli.connection;
    let mut headers = Vec::new();
    let mut secret = authorization.is_some();
    if let Some(Authorization { value, .. }) = authorization {
        let name = lookup.text(
            "auth_header",
            given.auth_header.as_ref(),
            "LOKI_AUTH_HEADER",
        )?;
        headers.push((name.unwrap_or("Authorization".into()), value));
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
    Ok(headers)
}

/// The value of the authorization header. Of basic auth, a bearer token and credentials in the
/// address the one that was given nearest to the command line wins.
fn credentials(
    lookup: &Lookup<'_>,
    address: &Address,
    address_from: Source,
    warnings: &mut Vec<String>,
) -> Result<Option<Authorization>> {
    let given = &lookup.typed.cli.connection;
    let mut bearer = secret(
        lookup.find(
            "bearer_token",
            given.bearer_token.clone(),
            Some("LOKI_BEARER_TOKEN"),
        )?,
        lookup.find(
            "bearer_token_file",
            given.bearer_token_file.clone(),
            Some("LOKI_BEARER_TOKEN_FILE"),
        )?,
    )?;
    let mut user = lookup.find("username", given.username.clone(), Some("LOKI_USERNAME"))?;
    let mut password = secret(
        lookup.find("password", given.password.clone(), Some("LOKI_PASSWORD"))?,
        lookup.find("password_file", given.password_file.clone(), None)?,
    )?;
    let basic_from = user.as_ref().map(|given| given.source);
    let basic_from = basic_from.max(password.as_ref().map(|given| given.source));
    if let Some(token) = &bearer {
        ensure!(
            !token.value.is_empty(),
            "{} is empty; leave it out to send none",
            token.name
        );
        let whole = user.is_some() && password.is_some();
        if basic_from > Some(token.source) {
            bearer = None;
        } else if basic_from < Some(token.source) || (!whole && token.source < Source::CommandLine)
        {
            (user, password) = (None, None);
        } else {
            let basic = user.or(password).map(|given| given.name);
            bail!(
                "basic auth ({}) and a bearer token ({}) exclude each other",
                basic.unwrap_or_default(),
                token.name
            );
        }
    }
    let explicit_from = basic_from.max(bearer.as_ref().map(|given| given.source));
    if let Some((user, password)) = &address.credentials
        && explicit_from.is_none_or(|from| from < address_from)
    {
        return Ok(Some(basic(user, password)));
    }
    if let Some(token) = bearer {
        return Ok(Some(Authorization {
            user: None,
            value: format!("Bearer {}", token.value),
        }));
    }
    let in_address = address.credentials.as_ref();
    match (user, password) {
        (Some(user), Some(_)) if user.value.contains(':') => Err(anyhow!(
            "{}: a user name for basic auth cannot hold a `:`; it would end there",
            user.name
        )),
        (Some(user), Some(password)) => Ok(Some(basic(&user.value, &password.value))),
        (None, None) => Ok(None),
        // The user stands in the address, the secret elsewhere.
        (None, Some(password)) if in_address.is_some_and(|(user, _)| !user.is_empty()) => {
            Ok(in_address.map(|(user, _)| basic(user, &password.value)))
        }
        (Some(half), None) => half_a_pair(&half, "--password or --password-file", warnings),
        (None, Some(half)) => half_a_pair(&half, "--username", warnings),
    }
    .map(|found| found.or_else(|| in_address.map(|(user, password)| basic(user, password))))
}

fn basic(user: &str, password: &str) -> Authorization {
    let pair = format!("{user}:{password}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    Authorization {
        user: Some(user.to_owned()),
        value: format!("Basic {encoded}"),
    }
}

/// Half a pair is wrong usage on the command line; in the environment it may be meant for others.
fn half_a_pair<T, U>(
    half: &Given<T>,
    missing: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<U>> {
    let there = &half.name;
    ensure!(
        half.source != Source::CommandLine,
        "{there} is given without {missing}; it takes both"
    );
    warnings.push(format!(
        "{there} is set, but its other half ({missing}) is not: it is left out"
    ));
    Ok(None)
}

/// A file's content without the white space around it.
fn read_secret(option: &str, file: &Path) -> Result<String> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("{option}: cannot read {}", file.display()))?;
    let secret = text.trim();
    ensure!(!secret.is_empty(), "{option}: {} is empty", file.display());
    Ok(secret.to_owned())
}

fn tls(lookup: &Lookup<'_>, warnings: &mut Vec<String>) -> Result<Tls> {
    let given = &lookup.typed.cli.connection;
    let find = |id, path: &Option<PathBuf>, logcli| lookup.find(id, path.clone(), Some(logcli));
    let read = |given: &Given<PathBuf>| {
        fs::read(&given.value)
            .with_context(|| format!("{}: cannot read {}", given.name, given.value.display()))
    };
    let authority = find("ca_cert", &given.ca_cert, "LOKI_CA_CERT_PATH")?;
    let certificate = find("cert", &given.cert, "LOKI_CLIENT_CERT_PATH")?;
    let key = find("key", &given.key, "LOKI_CLIENT_KEY_PATH")?;
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((read(&certificate)?, read(&key)?)),
        (None, None) => None,
        (Some(half), None) => half_a_pair(&half, "--key", warnings)?,
        (None, Some(half)) => half_a_pair(&half, "--cert", warnings)?,
    };
    // An option says no, too: LOKI_PUSH_TLS_SKIP_VERIFY=false.
    let skip_verify = if lookup.typed.given("tls_skip_verify") {
        given.tls_skip_verify
    } else {
        let name = "LOKI_TLS_SKIP_VERIFY";
        let value = lookup.text("tls_skip_verify", None, name)?;
        let read = |value: String| cli::parse_switch(&value);
        value
            .map_or(Some(false), read)
            .ok_or_else(|| anyhow!("{name} takes true or false"))?
    };
    Ok(Tls {
        authority: authority.as_ref().map(read).transpose()?,
        client,
        skip_verify,
    })
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
