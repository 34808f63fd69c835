//! The connection to Loki: URL, credentials, tenant, headers, TLS and proxy, resolved from options,
//! loki-push's own environment variables and those of logcli. No message shows a secret.

mod credentials;
mod headers;
mod lookup;
mod read_file;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::cli::args::ParsedArgs;
use crate::cli::config::connection::headers::{ResolvedHeaders, destination, headers};
use crate::cli::config::connection::lookup::{
    Origin, PartnerOptions, Resolver, Sourced, half_a_pair,
};
pub use crate::cli::config::connection::read_file::read_file;
use crate::http::client::{HttpSettings, SettingNames, TlsFiles, TlsSettings};
use crate::http::url::PushUrl;
use crate::report::messages::Reporter;
use crate::storage::spool::Destination;

/// The default URL: a Loki on this machine.
const DEFAULT_URL: &str = "http://localhost:3100";

/// The variable of `--addr`, which is an alias of `--url`.
pub const ADDR: &str = "LOKI_PUSH_ADDR";

/// The resolved connection.
pub struct ResolvedConnection {
    /// The settings of the HTTP client.
    pub connection: HttpSettings,
    /// The name of the destination in messages.
    pub shown: String,
    /// The destination as the spool identifies it.
    pub destination: Destination,
}

/// Resolves the connection. `read` reads files of secrets and certificates.
///
/// # Errors
/// A message for the user that names the option.
pub fn resolve(
    typed: &ParsedArgs,
    env: &dyn Fn(&str) -> Option<OsString>,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    warnings: &mut Vec<String>,
) -> Result<ResolvedConnection> {
    let lookup = Resolver { typed, env, read };
    let given = &typed.cli.connection;
    let mut terms = SettingNames::options();
    let own = match lookup.find("url", given.url.clone(), None)? {
        Some(url) => Some(url),
        None => lookup.variable(ADDR, Origin::Environment)?,
    };
    let url = own
        .map_or_else(
            || lookup.variable("LOKI_ADDR", Origin::Logcli),
            |url| Ok(Some(url)),
        )?
        .unwrap_or_else(|| Sourced {
            value: DEFAULT_URL.to_owned(),
            source: Origin::Logcli,
            name: "--url".to_owned(),
        });
    let address = PushUrl::parse(url.value.trim()).map_err(|why| anyhow!("{}: {why}", url.name))?;
    terms.url = url.name.into();
    let authorization =
        crate::cli::config::connection::credentials::find(&lookup, &address, url.source, warnings)?;
    let ResolvedHeaders {
        headers,
        file: secret,
        has_credentials,
    } = headers(&lookup, &address, authorization, warnings)?;
    let destination = destination(&address.push, &headers, secret.as_ref());
    let tls = tls(&lookup, &mut terms, warnings)?;
    if has_credentials && address.https && tls.skip_verify {
        warnings.push(format!(
            "sending credentials to {} without verifying its certificate (--tls-skip-verify)",
            address.host
        ));
    }
    let proxy = lookup.find(
        "proxy_url",
        given.proxy_url.clone(),
        Some("LOKI_HTTP_PROXY_URL"),
    )?;
    let proxy = proxy.map(|given| {
        terms.proxy = given.name.into();
        given.value
    });
    let connection = HttpSettings {
        url: address.push.clone(),
        headers,
        secret,
        timeout: typed.cli.delivery.timeout,
        connections: usize::from(typed.cli.delivery.connections),
        tls,
        proxy: proxy.filter(|_| !address.is_loopback()),
        no_proxy: address.is_loopback(),
        zone: address.zone,
        terms,
    };
    Ok(ResolvedConnection {
        connection,
        shown: address.base,
        destination,
    })
}

/// The contents of the certificate files.
fn tls(
    lookup: &Resolver<'_>,
    terms: &mut SettingNames,
    warnings: &mut Vec<String>,
) -> Result<TlsSettings> {
    const CERTIFICATE: PartnerOptions = &[("cert", Some("LOKI_CLIENT_CERT_PATH"))];
    const KEY: PartnerOptions = &[("key", Some("LOKI_CLIENT_KEY_PATH"))];
    let given = &lookup.typed.cli.connection;
    let find = |id, path: &Option<PathBuf>, logcli| lookup.find(id, path.clone(), Some(logcli));
    let read = |given: Sourced<PathBuf>, name: &mut Cow<'static, str>| {
        let text = (lookup.read)(&given.value)
            .with_context(|| format!("{}: cannot read {}", given.name, given.value.display()))?;
        *name = given.name.into();
        anyhow::Ok(text)
    };
    let authority = find("ca_cert", &given.ca_cert, "LOKI_CA_CERT_PATH")?;
    let certificate = find("cert", &given.cert, "LOKI_CLIENT_CERT_PATH")?;
    let key = find("key", &given.key, "LOKI_CLIENT_KEY_PATH")?;
    let path = |given: &Option<Sourced<PathBuf>>| given.as_ref().map(|given| given.value.clone());
    let files = TlsFiles {
        authority: path(&authority),
        client: path(&certificate).zip(path(&key)),
    };
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((
            read(certificate, &mut terms.certificate)?,
            read(key, &mut terms.key)?,
        )),
        (None, None) => None,
        (Some(half), None) => half_a_pair(&half, KEY, warnings)?,
        (None, Some(half)) => half_a_pair(&half, CERTIFICATE, warnings)?,
    };
    let authority = authority
        .map(|given| read(given, &mut terms.authority))
        .transpose()?;
    // The option can be false as well: LOKI_PUSH_TLS_SKIP_VERIFY=false.
    let skip_verify = if lookup.typed.is_set("tls_skip_verify") {
        given.tls_skip_verify
    } else {
        let name = "LOKI_TLS_SKIP_VERIFY";
        let value = lookup.text("tls_skip_verify", None, name)?;
        let read = |value: String| crate::parse::units::parse_bool(&value);
        value
            .map_or(Some(false), read)
            .ok_or_else(|| anyhow!("{name} must be true or false"))?
    };
    Ok(TlsSettings {
        authority,
        client,
        skip_verify,
        files,
        reporter: Reporter::default(),
    })
}
