//! Credentials: how a secret is written in a header, and a secret in a file that may be given
//! another one while a run lasts, as Kubernetes does with a projected token.
//!
//! Reads the file for each request: that is some microseconds beside some milliseconds, and no 401
//! need be met first. Shows no secret.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use ureq::http::{HeaderName, HeaderValue};

/// The largest secret, in bytes: what is longer is no token, and no server accepts the header.
pub const LARGEST_SECRET: usize = 64 * 1024;

/// How a secret is written in a header.
#[derive(Clone)]
pub enum Scheme {
    /// Basic auth of this user.
    Basic(String),
    /// A bearer token.
    Bearer,
}

impl Scheme {
    /// The header's value.
    pub fn value(&self, secret: &str) -> String {
        match self {
            Self::Bearer => format!("Bearer {secret}"),
            Self::Basic(user) => {
                let pair = format!("{user}:{secret}");
                let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
                format!("Basic {encoded}")
            }
        }
    }
}

/// A file that holds the secret of a header.
#[derive(Clone)]
pub struct SecretFile {
    /// Where it is.
    pub path: PathBuf,
    /// The header.
    pub header: String,
    /// How it is written there.
    pub scheme: Scheme,
}

impl SecretFile {
    /// The header's current value. None if it cannot be read: a pipe can be read once, and a file
    /// that is being replaced may be missing or empty for a moment.
    fn read(&self) -> Option<HeaderValue> {
        if !fs::metadata(&self.path).ok()?.is_file() {
            return None;
        }
        let mut text = String::new();
        let file = fs::File::open(&self.path).ok()?;
        let bounded = &mut file.take(LARGEST_SECRET as u64 + 1);
        bounded.read_to_string(&mut text).ok()?;
        let secret = text.trim();
        if secret.is_empty() || text.len() > LARGEST_SECRET {
            return None;
        }
        let mut value = HeaderValue::try_from(self.scheme.value(secret)).ok()?;
        value.to_str().ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// A header whose secret stands in a file.
pub struct ReloadedHeader {
    file: SecretFile,
    name: HeaderName,
    last: Mutex<HeaderValue>,
}

impl ReloadedHeader {
    /// With the value it had at the start.
    pub fn new(file: SecretFile, (name, value): (HeaderName, HeaderValue)) -> Self {
        Self {
            file,
            name,
            last: Mutex::new(value),
        }
    }

    /// The header as it is now.
    pub fn header(&self) -> (&HeaderName, HeaderValue) {
        let fresh = self.file.read();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fresh) = fresh {
            *last = fresh;
        }
        (&self.name, last.clone())
    }
}

impl fmt::Debug for ReloadedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
