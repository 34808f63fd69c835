//! Who asks: basic auth, a bearer token, or what stands in the address.
//!
//! Knows which of them wins. Reads secrets from files; shows none.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine as _;

use super::lookup::{Given, Lookup, Source, half_a_pair};
use crate::address::Address;

/// The authorization header.
pub struct Authorization {
    /// The user of basic auth.
    pub user: Option<String>,
    /// The header's value.
    pub value: String,
}

/// The two halves of basic auth.
#[derive(Default)]
struct Pair {
    user: Option<Given<String>>,
    password: Option<Given<String>>,
}

impl Pair {
    fn find(lookup: &Lookup<'_>) -> Result<Self> {
        let given = &lookup.typed.cli.connection;
        Ok(Self {
            user: lookup.find("username", given.username.clone(), Some("LOKI_USERNAME"))?,
            password: secret(
                lookup.find("password", given.password.clone(), Some("LOKI_PASSWORD"))?,
                lookup.find("password_file", given.password_file.clone(), None)?,
            )?,
        })
    }

    /// Where the half comes from that wins over more.
    fn source(&self) -> Option<Source> {
        let user = self.user.as_ref().map(|given| given.source);
        user.max(self.password.as_ref().map(|given| given.source))
    }

    fn is_whole(&self) -> bool {
        self.user.is_some() && self.password.is_some()
    }
}

/// The value of the authorization header. Of basic auth, a bearer token and credentials in the
/// address the one that was given nearest to the command line wins.
pub fn find(
    lookup: &Lookup<'_>,
    address: &Address,
    address_from: Source,
    warnings: &mut Vec<String>,
) -> Result<Option<Authorization>> {
    let (bearer, pair) = one_of(bearer(lookup)?, Pair::find(lookup)?)?;
    let explicit_from = pair.source().max(bearer.as_ref().map(|given| given.source));
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
    match (pair.user, pair.password) {
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

/// Of a bearer token and basic auth the one that wins; two that nothing tells apart are wrong usage.
fn one_of(bearer: Option<Given<String>>, pair: Pair) -> Result<(Option<Given<String>>, Pair)> {
    let Some(token) = &bearer else {
        return Ok((None, pair));
    };
    ensure!(
        !token.value.is_empty(),
        "{} is empty; leave it out to send none",
        token.name
    );
    if pair.source() > Some(token.source) {
        return Ok((None, pair));
    }
    let is_stray_half = !pair.is_whole() && token.source < Source::CommandLine;
    if pair.source() < Some(token.source) || is_stray_half {
        return Ok((bearer, Pair::default()));
    }
    let basic = pair.user.or(pair.password).map(|given| given.name);
    bail!(
        "basic auth ({}) and a bearer token ({}) exclude each other",
        basic.unwrap_or_default(),
        token.name
    );
}

fn bearer(lookup: &Lookup<'_>) -> Result<Option<Given<String>>> {
    let given = &lookup.typed.cli.connection;
    let itself = given.bearer_token.clone();
    let file = given.bearer_token_file.clone();
    secret(
        lookup.find("bearer_token", itself, Some("LOKI_BEARER_TOKEN"))?,
        lookup.find("bearer_token_file", file, Some("LOKI_BEARER_TOKEN_FILE"))?,
    )
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

/// Basic auth.
pub fn basic(user: &str, password: &str) -> Authorization {
    let pair = format!("{user}:{password}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    Authorization {
        user: Some(user.to_owned()),
        value: format!("Basic {encoded}"),
    }
}

/// A file's content without the white space around it.
fn read_secret(option: &str, file: &Path) -> Result<String> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("{option}: cannot read {}", file.display()))?;
    let secret = text.trim();
    ensure!(!secret.is_empty(), "{option}: {} is empty", file.display());
    Ok(secret.to_owned())
}
