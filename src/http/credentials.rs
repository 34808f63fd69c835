//! Credentials: how a secret is written in a header, and secrets in files that may change during a
//! run, such as the projected tokens of Kubernetes.
//!
//! The file is read for each request. That takes microseconds, against milliseconds for the request,
//! and a renewed token is used before the old one is rejected.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use ureq::http::{HeaderName, HeaderValue};

/// The maximum length of a secret in bytes. No server accepts a longer header.
pub const LARGEST_SECRET: usize = 64 * 1024;

/// The form in which a secret is written in a header.
#[derive(Clone)]
pub enum Scheme {
    /// Basic authentication for this user.
    Basic(String),
    /// A bearer token.
    Bearer,
}

impl Scheme {
    /// The value of the header for a secret.
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
    /// The path.
    pub path: PathBuf,
    /// The name of the header.
    pub header: String,
    /// The form of the value.
    pub scheme: Scheme,
}

impl SecretFile {
    /// Reads the current value of the header. Returns `None` if that fails: a pipe can be read only
    /// once, and a file that is being replaced may be missing or empty for a moment.
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

/// A header whose secret is read from a file.
pub struct ReloadedHeader {
    file: SecretFile,
    name: HeaderName,
    last: Mutex<HeaderValue>,
}

impl ReloadedHeader {
    /// Creates the header with the value that the file had at the start.
    pub fn new(file: SecretFile, (name, value): (HeaderName, HeaderValue)) -> Self {
        Self {
            file,
            name,
            last: Mutex::new(value),
        }
    }

    /// The header with its current value.
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
