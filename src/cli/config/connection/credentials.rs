//! Resolves the credentials: basic auth, a bearer token, or those in the URL.
//!
//! Reads secrets from files. No message shows a secret.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::cli::config::connection::lookup::{
    Origin, PartnerOptions, Resolver, Sourced, half_a_pair,
};
use crate::http::client::Scheme;
use crate::http::credentials::LARGEST_SECRET;
use crate::http::url::PushUrl;

/// The options that set a password.
const PASSWORD: PartnerOptions = &[("password", Some("LOKI_PASSWORD")), ("password-file", None)];

/// The options that set a user name.
const USER: PartnerOptions = &[("username", Some("LOKI_USERNAME"))];

/// The credentials of requests.
pub struct Credentials {
    /// How the secret is written in the header.
    pub scheme: Scheme,
    /// The secret.
    secret: String,
    /// The file that holds it, if it is in a file.
    pub file: Option<PathBuf>,
}

impl Credentials {
    fn new(scheme: Scheme, secret: Secret) -> Self {
        Self {
            scheme,
            secret: secret.text,
            file: secret.file,
        }
    }

    /// Basic auth.
    fn basic(user: &str, password: Secret) -> Self {
        Self::new(Scheme::Basic(user.to_owned()), password)
    }

    /// The value of the header.
    pub fn value(&self) -> String {
        self.scheme.value(&self.secret)
    }
}

/// A secret, or the file that holds it. Only the file that is used is read.
#[derive(Clone)]
struct Secret {
    text: String,
    file: Option<PathBuf>,
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self { text, file: None }
    }
}

/// The two halves of basic auth.
#[derive(Default)]
struct BasicPair {
    user: Option<Sourced<String>>,
    password: Option<Sourced<Secret>>,
}

impl BasicPair {
    fn find(lookup: &Resolver<'_>) -> Result<Self> {
        let given = &lookup.typed.cli.connection;
        Ok(Self {
            user: lookup.find("username", given.username.clone(), Some("LOKI_USERNAME"))?,
            password: secret(
                lookup.find(
                    "password",
                    given.password.clone().map(Secret::from),
                    Some("LOKI_PASSWORD"),
                )?,
                lookup.find("password_file", given.password_file.clone(), None)?,
            )?,
        })
    }

    /// The source of the half that takes precedence.
    fn source(&self) -> Option<Origin> {
        let user = self.user.as_ref().map(|given| given.source);
        user.max(self.password.as_ref().map(|given| given.source))
    }

    fn is_whole(&self) -> bool {
        self.user.is_some() && self.password.is_some()
    }

    /// Both halves. One half without the other is reported.
    fn whole(
        self,
        warnings: &mut Vec<String>,
    ) -> Result<Option<(Sourced<String>, Sourced<Secret>)>> {
        match (self.user, self.password) {
            (Some(user), Some(password)) => Ok(Some((user, password))),
            (Some(half), None) => half_a_pair(&half, PASSWORD, warnings),
            (None, Some(half)) => half_a_pair(&half, USER, warnings),
            (None, None) => Ok(None),
        }
    }
}

/// The credentials. Of basic auth, a bearer token and credentials in the URL, the one whose source has
/// the highest precedence is used.
pub fn find(
    lookup: &Resolver<'_>,
    address: &PushUrl,
    address_from: Origin,
    warnings: &mut Vec<String>,
) -> Result<Option<Credentials>> {
    let (bearer, pair) = one_of(bearer(lookup)?, BasicPair::find(lookup)?, warnings)?;
    let explicit_from = pair.source().max(bearer.as_ref().map(|given| given.source));
    let in_address = || {
        let found = address.credentials.clone();
        found.map(|(user, password)| Credentials::basic(&user, password.into()))
    };
    // The user name may be in the URL and the password elsewhere.
    if let (Some((user, in_address)), None, Some(password), None) =
        (&address.credentials, &pair.user, &pair.password, &bearer)
        && !user.is_empty()
        && (in_address.is_empty() || password.source >= address_from)
    {
        let password = opened(lookup, password)?;
        return Ok(Some(Credentials::basic(user, password)));
    }
    if address.credentials.is_some() && explicit_from.is_none_or(|from| from < address_from) {
        pair.whole(warnings)?;
        return Ok(in_address());
    }
    if let Some(token) = bearer {
        let secret = opened(lookup, &token)?;
        let name = token.name;
        ensure!(
            !secret.text.is_empty(),
            "{name} is empty; omit it to send none"
        );
        ensure!(
            secret.text.bytes().all(|byte| byte.is_ascii_graphic()),
            "{name}: the token contains a character that a header cannot carry"
        );
        return Ok(Some(Credentials::new(Scheme::Bearer, secret)));
    }
    match pair.whole(warnings)? {
        Some((user, _)) if user.value.contains(':') => Err(anyhow!(
            "{}: a user name for basic auth cannot contain `:`",
            user.name
        )),
        Some((user, password)) => {
            let password = opened(lookup, &password)?;
            Ok(Some(Credentials::basic(&user.value, password)))
        }
        None => Ok(in_address()),
    }
}

/// Chooses between a bearer token and basic auth. Both from the same source are wrong usage.
fn one_of(
    bearer: Option<Sourced<Secret>>,
    pair: BasicPair,
    warnings: &mut Vec<String>,
) -> Result<(Option<Sourced<Secret>>, BasicPair)> {
    let Some(token) = &bearer else {
        return Ok((None, pair));
    };
    if pair.source() > Some(token.source) {
        return Ok((None, pair));
    }
    let is_stray_half = !pair.is_whole() && token.source < Origin::CommandLine;
    if pair.source() < Some(token.source) || is_stray_half {
        pair.whole(warnings)?;
        return Ok((bearer, BasicPair::default()));
    }
    let user = pair.user.map(|given| given.name);
    let basic = user.or(pair.password.map(|given| given.name));
    bail!(
        "basic auth ({}) cannot be combined with a bearer token ({})",
        basic.unwrap_or_default(),
        token.name
    );
}

fn bearer(lookup: &Resolver<'_>) -> Result<Option<Sourced<Secret>>> {
    let given = &lookup.typed.cli.connection;
    let itself = given.bearer_token.clone().map(Secret::from);
    let file = given.bearer_token_file.clone();
    secret(
        lookup.find("bearer_token", itself, Some("LOKI_BEARER_TOKEN"))?,
        lookup.find("bearer_token_file", file, Some("LOKI_BEARER_TOKEN_FILE"))?,
    )
}

/// A secret that is set directly, or as a file that holds it.
fn secret(
    itself: Option<Sourced<Secret>>,
    file: Option<Sourced<PathBuf>>,
) -> Result<Option<Sourced<Secret>>> {
    match (itself, file) {
        (Some(itself), Some(file)) if itself.source == file.source => {
            bail!("{} cannot be combined with {}", itself.name, file.name)
        }
        (Some(itself), file) if file.as_ref().is_none_or(|f| f.source < itself.source) => {
            Ok(Some(itself))
        }
        (_, Some(file)) => Ok(Some(Sourced {
            value: Secret {
                text: String::new(),
                file: Some(file.value),
            },
            source: file.source,
            name: file.name,
        })),
        _ => Ok(None),
    }
}

/// The secret, from its file if it is in one, without surrounding white space.
fn opened(lookup: &Resolver<'_>, given: &Sourced<Secret>) -> Result<Secret> {
    let Some(file) = &given.value.file else {
        return Ok(given.value.clone());
    };
    let (name, shown) = (&given.name, file.display());
    let bytes = (lookup.read)(file).with_context(|| format!("{name}: cannot read {shown}"))?;
    let text = String::from_utf8(bytes)
        .ok()
        .with_context(|| format!("{name}: {shown} is not valid UTF-8"))?;
    let text = text.trim().to_owned();
    ensure!(!text.is_empty(), "{name}: {shown} is empty");
    ensure!(
        text.len() <= LARGEST_SECRET,
        "{name}: {shown} is too large for a header (more than 64 KiB)"
    );
    Ok(Secret {
        text,
        file: Some(file.clone()),
    })
}
