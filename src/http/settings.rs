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
    /// Headers for every request: authorization, tenant, and what the user gave.
    pub headers: Vec<(String, String)>,
    /// The file that one of them is from.
    pub secret: Option<SecretFile>,
    /// The longest wait for one connection to be made, and the default for a whole request.
    pub timeout: Duration,
    /// How many connections are kept open.
    pub connections: usize,
    /// How the server is trusted.
    pub tls: TlsSettings,
    /// The proxy to go through; None takes what the environment says.
    pub proxy: Option<String>,
    /// Whether to use no proxy at all, as for an address on this machine.
    pub no_proxy: bool,
    /// The network interface of a link-local host.
    pub zone: Option<String>,
    /// What the settings are called in messages.
    pub terms: SettingNames,
}

/// Which servers are trusted, and our own certificate.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// Certificates, in PEM, to trust in place of the system's, as logcli does.
    pub authority: Option<Vec<u8>>,
    /// A client certificate and its key, in PEM.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether to trust any server.
    pub skip_verify: bool,
    /// The files that the certificates are from.
    pub files: TlsFiles,
    /// Reports files that changed and cannot be used.
    pub reporter: Reporter,
}

/// Secrets stay out of sight: headers are shown by name only.
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
