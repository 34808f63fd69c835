//! The destination of spooled batches: URL, tenant and credentials. What is written to disk holds
//! no secret.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::PathBuf;

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use crate::report::humanize::shell_word;

/// The destination of batches: URL and identity. Gateways derive the tenant from the user, the token or
/// a header, so a batch is only sent with those that it was meant for.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    /// The push URL, without credentials.
    pub url: String,
    /// The tenant, if one is named.
    pub tenant: Option<String>,
    /// The user of basic auth.
    pub user: Option<String>,
    /// The bearer token.
    pub token: Option<Token>,
    /// Other headers by which a gateway may choose the tenant: names in lower case, and values.
    pub headers: BTreeMap<String, String>,
}

impl Destination {
    /// A URL, without tenant or credentials.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tenant: None,
            user: None,
            token: None,
            headers: BTreeMap::new(),
        }
    }
}

/// A bearer token.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// The file that it is read from: a renewed token is still the same one.
    File(PathBuf),
    /// The token itself, which is only ever written down as a digest.
    Text(String),
}

/// Without the secrets.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("url", &self.url)
            .field("tenant", &self.tenant)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A destination as it is written to disk: secrets are digests with a salt of each run's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationRecord {
    url: String,
    tenant: Option<String>,
    user: Option<String>,
    /// None where a version wrote it that recorded neither tokens nor headers.
    credentials: Option<Credentials>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Credentials {
    salt: String,
    token_file: Option<String>,
    token: Option<String>,
    headers: BTreeMap<String, String>,
}

/// How a recorded destination relates to that of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Same,
    /// Only the URL differs.
    OtherUrl,
    /// Only a token or a header differs.
    OtherToken,
    /// Another tenant or user, or more than one difference.
    Other,
}

impl DestinationRecord {
    /// Describes a destination for others to compare with theirs.
    pub fn new(destination: &Destination, salt: &str) -> Self {
        let digest = |name: &str, value: &str| {
            let text = format!("{salt}\n{name}\n{value}");
            hex(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
        };
        let (mut token_file, mut token) = (None, None);
        match &destination.token {
            Some(Token::File(path)) => token_file = Some(path.display().to_string()),
            Some(Token::Text(text)) => token = Some(digest("token", text)),
            None => {}
        }
        let headers = destination.headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), digest(name, value)));
        Self {
            url: destination.url.clone(),
            tenant: destination.tenant.clone(),
            user: destination.user.clone(),
            credentials: Some(Credentials {
                salt: salt.to_owned(),
                token_file,
                token,
                headers: headers.collect(),
            }),
        }
    }

    /// Compares the destination with that of this run.
    pub fn relation(&self, own: &Destination) -> Relation {
        let salt = self.credentials.as_ref().map(|own| own.salt.as_str());
        let own = Self::new(own, salt.unwrap_or_default());
        let same_url = self.url == own.url;
        let same_user = self.tenant == own.tenant && self.user == own.user;
        let same_token = self.credentials.is_none() || self.credentials == own.credentials;
        match (same_url, same_user, same_token) {
            (true, true, true) => Relation::Same,
            (false, true, true) => Relation::OtherUrl,
            (true, true, false) => Relation::OtherToken,
            _ => Relation::Other,
        }
    }

    /// The options that a run takes to deliver there, as a shell reads them.
    pub fn options(&self) -> String {
        let mut options = format!("--url {}", shell_word(&self.url));
        let mut add = |option: &str, value: &str| {
            // Writing into a String cannot fail.
            let _ = write!(options, " {option} {value}");
        };
        if let Some(tenant) = &self.tenant {
            add("--org-id", &shell_word(tenant));
        }
        if let Some(user) = &self.user {
            add("--username", &shell_word(user));
        }
        if let Some(own) = &self.credentials {
            match (&own.token_file, &own.token) {
                (Some(file), _) => add("--bearer-token-file", &shell_word(file)),
                (None, Some(_)) => add("--bearer-token", "TOKEN"),
                (None, None) => {}
            }
            for name in own.headers.keys() {
                add("--header", &shell_word(&format!("{name}: VALUE")));
            }
        }
        options
    }

    /// As it is written to disk.
    pub fn to_json(&self) -> Value {
        let mut json = json!({ "url": self.url, "tenant": self.tenant, "user": self.user });
        if let Some(own) = &self.credentials {
            json["salt"] = own.salt.as_str().into();
            json["token_file"] = own.token_file.as_deref().into();
            json["token"] = own.token.as_deref().into();
            let headers = own.headers.iter();
            let headers = headers.map(|(name, digest)| (name.clone(), digest.as_str().into()));
            json["headers"] = headers.collect::<Map<_, _>>().into();
        }
        json
    }

    /// Reads what was written to disk.
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let headers = || {
            let headers = value.get("headers")?.as_object()?.iter();
            let headers =
                headers.map(|(name, digest)| Some((name.clone(), digest.as_str()?.into())));
            headers.collect::<Option<_>>()
        };
        let credentials = match text("salt") {
            None => None,
            Some(salt) => Some(Credentials {
                salt,
                token_file: text("token_file"),
                token: text("token"),
                headers: headers()?,
            }),
        };
        Some(Self {
            url: text("url")?,
            tenant: text("tenant"),
            user: text("user"),
            credentials,
        })
    }
}

/// As a message names it.
impl fmt::Display for DestinationRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)?;
        if let Some(tenant) = &self.tenant {
            write!(f, ", tenant {tenant}")?;
        }
        if let Some(user) = &self.user {
            write!(f, ", user {user}")?;
        }
        let Some(own) = &self.credentials else {
            return Ok(());
        };
        match (&own.token_file, &own.token) {
            (Some(file), _) => write!(f, ", token of {file}")?,
            (None, Some(_)) => f.write_str(", another bearer token")?,
            (None, None) => {}
        }
        own.headers
            .keys()
            .try_for_each(|name| write!(f, ", header {name}"))
    }
}

/// A random salt for digests.
pub fn salt() -> String {
    let mut bytes = [0; 16];
    let random = ring::rand::SystemRandom::new();
    // Without it a digest still does not tell the secret.
    let _ = ring::rand::SecureRandom::fill(&random, &mut bytes);
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Destination {
        Destination::new("http://loki/loki/api/v1/push")
    }

    fn with(change: impl FnOnce(&mut Destination)) -> Destination {
        let mut destination = plain();
        change(&mut destination);
        destination
    }

    #[test]
    fn a_record_fits_its_own_destination_alone_and_tells_no_secret() {
        let all = [
            plain(),
            with(|d| d.url = "http://other".into()),
            with(|d| d.tenant = Some("red".into())),
            with(|d| d.user = Some("u".into())),
            with(|d| d.token = Some(Token::Text("swordfish".into()))),
            with(|d| d.token = Some(Token::Text("sesame".into()))),
            with(|d| d.token = Some(Token::File("/t".into()))),
            with(|d| d.headers = [("x-key".into(), "swordfish".into())].into()),
        ];
        for one in &all {
            let json = DestinationRecord::new(one, &salt()).to_json().to_string();
            assert!(!json.contains("swordfish"), "{json}");
            assert!(!format!("{one:?}").contains("swordfish"));
            let read = serde_json::from_str(&json).unwrap();
            let record = DestinationRecord::from_json(&read).unwrap();
            for other in &all {
                let same = record.relation(other) == Relation::Same;
                assert_eq!(same, one == other, "{one:?} and {other:?}");
            }
        }
        let record = DestinationRecord::new(&all[0], "");
        assert_eq!(record.relation(&all[1]), Relation::OtherUrl);
        assert_eq!(record.relation(&all[2]), Relation::Other);
        assert_eq!(record.relation(&all[4]), Relation::OtherToken);
    }

    #[test]
    fn a_record_of_an_earlier_version_fits_any_token() {
        let json = json!({ "url": plain().url, "tenant": null, "user": null });
        let record = DestinationRecord::from_json(&json).unwrap();
        let own = with(|d| d.token = Some(Token::Text("t".into())));
        assert_eq!(record.relation(&own), Relation::Same);
    }

    #[test]
    fn the_options_can_be_pasted_into_a_shell() {
        let own = with(|d| {
            d.tenant = Some("it's".into());
            d.token = Some(Token::File("/run/my token".into()));
        });
        assert_eq!(
            DestinationRecord::new(&own, "").options(),
            r"--url http://loki/loki/api/v1/push --org-id 'it'\''s' --bearer-token-file '/run/my token'"
        );
    }
}
