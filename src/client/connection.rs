//! The way to Loki as a program sets it: credentials, tenant, whom to trust, and a proxy.
//!
//! Holds. What is right is decided in `check`. Shows no secret.

use std::fmt;

use crate::client::config::Config;

/// Credentials. `Debug` does not show them.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// None, or those that stand in the address (`http://user:password@host`).
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
}

impl Auth {
    /// A user name and a password.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Basic {
            username: username.into(),
            password: password.into(),
        }
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
        })
    }
}

impl Config {
    /// Credentials; none by default.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// The tenant of a Loki that has several (`X-Scope-OrgID`).
    pub fn tenant(mut self, id: impl Into<String>) -> Self {
        self.tenant = Some(id.into());
        self
    }

    /// Trusts these certificate authorities, in PEM, in place of the system's; a self-signed
    /// certificate of the server is trusted by itself.
    ///
    /// ```no_run
    /// # use loki_push::Config;
    /// let config = Config::new("https://loki.internal:3100")
    ///     .ca_certificate(std::fs::read("/etc/ssl/corp-ca.pem")?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.authority = Some(pem.into());
        self
    }

    /// Shows this certificate to a server that wants one: the certificate, with those between it
    /// and its authority behind it, and its key, both in PEM.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.tls.client = Some((certificate.into(), key.into()));
        self
    }

    /// Trusts any server: for tests, since anybody in between can then read what is sent.
    pub fn tls_skip_verify(mut self, skip: bool) -> Self {
        self.tls.skip_verify = skip;
        self
    }

    /// The proxy for all requests (`http://user:password@host:port`, https or socks5). Without it
    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment count; this machine is always
    /// reached without one.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }
}

/// The address without what stands before its last `@`; it was not checked, so nothing is assumed.
pub fn without_credentials(endpoint: &str) -> String {
    let Some((before, host)) = endpoint.rsplit_once('@') else {
        return endpoint.to_owned();
    };
    let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
    format!("{scheme}…@{host}")
}
