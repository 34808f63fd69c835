//! The settings of a connection. `Debug` shows no secret.

use std::fmt;
use std::time::Duration;

use crate::http::credentials::SecretFile;
use crate::http::setting_names::SettingNames;
use crate::http::tls_reload::TlsFiles;
use crate::http::url::without_query;
use crate::report::messages::Reporter;

/// The settings of the HTTP client.
#[derive(Clone)]
pub struct HttpSettings {
    /// The push URL, without credentials.
    pub url: String,
    /// Headers for every request: authorization, tenant, and those set by the user.
    pub headers: Vec<(String, String)>,
    /// The file that contains the secret of one of the headers.
    pub secret: Option<SecretFile>,
    /// The timeout for connecting, and the default timeout for a request.
    pub timeout: Duration,
    /// Number of idle connections that are kept open.
    pub connections: usize,
    /// The TLS settings.
    pub tls: TlsSettings,
    /// The proxy; `None` uses the one of the environment.
    pub proxy: Option<String>,
    /// Whether to use no proxy at all, such as for a loopback address.
    pub no_proxy: bool,
    /// The network interface of a link-local host.
    pub zone: Option<String>,
    /// The names of the settings in messages.
    pub terms: SettingNames,
}

/// TLS settings: which servers are trusted, and the client certificate.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// CA certificates in PEM, which replace the system's, as in logcli.
    pub authority: Option<Vec<u8>>,
    /// A client certificate and its key, in PEM.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether to accept any certificate.
    pub skip_verify: bool,
    /// The files that contain the certificates.
    pub files: TlsFiles,
    /// Called with an error if a changed file cannot be used.
    pub reporter: Reporter,
}

/// Shows only the names of headers, since values may be secrets.
impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Connection")
            .field("url", &without_query(&self.url))
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
