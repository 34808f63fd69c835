//! Credentials, as a program sets them. Never shown by `Debug`.

use std::fmt;
use std::path::PathBuf;

/// Credentials. `Debug` does not show them.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// None, or those in the URL (`http://user:password@host`).
    #[default]
    None,
    /// A user name and a password.
    Basic {
        /// The user name; at Grafana Cloud a number.
        username: String,
        /// The password, or an access token.
        password: String,
    },
    /// A bearer token.
    Bearer(String),
    /// A user name, and a file that holds the password. It is read again for every request, so a
    /// password that is renewed there takes effect.
    BasicFile {
        /// The user name.
        username: String,
        /// The file; surrounding white space is ignored.
        path: PathBuf,
    },
    /// A file that holds a bearer token, read again for every request.
    BearerFile(PathBuf),
}

impl Auth {
    /// A user name and a password.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Basic {
            username: username.into(),
            password: password.into(),
        }
    }

    /// A user name, and the path of a file that holds the password and may be renewed.
    pub fn basic_file(username: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self::BasicFile {
            username: username.into(),
            path: path.into(),
        }
    }

    /// The path of a file that holds a bearer token and may be renewed, such as a projected
    /// service-account token in Kubernetes.
    pub fn bearer_file(path: impl Into<PathBuf>) -> Self {
        Self::BearerFile(path.into())
    }

    /// A bearer token.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::Bearer(token.into())
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(hidden)",
            Self::Bearer(_) => "Bearer(hidden)",
            Self::BasicFile { .. } => "BasicFile(hidden)",
            Self::BearerFile(_) => "BearerFile(hidden)",
        })
    }
}

/// The URL without its credentials. It has not been validated yet, so everything before the last `@`
/// counts as credentials.
pub fn without_credentials(endpoint: &str) -> String {
    let Some((before, host)) = endpoint.rsplit_once('@') else {
        return endpoint.to_owned();
    };
    let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
    format!("{scheme}…@{host}")
}
