//! Options of the connection. Most can also be set by logcli's environment variables.

use std::fmt;
use std::path::PathBuf;

use clap::Args;

/// The connection options. `Debug` shows none of them, since most are secret.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Loki URL (LOKI_ADDR) [default: http://localhost:3100]
    ///
    /// A base URL, or the full push URL if its path ends in /push; a path that ends in /loki or
    /// /loki/api/v1 is understood, and a query is kept. `user:password@` in it is basic auth. Also
    /// --addr and LOKI_PUSH_ADDR.
    #[arg(short, long, alias = "addr", value_name = "URL")]
    pub url: Option<String>,

    /// User for basic auth (LOKI_USERNAME)
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,

    /// Password for basic auth (LOKI_PASSWORD)
    #[arg(long, value_name = "SECRET")]
    pub password: Option<String>,

    /// File with the password
    ///
    /// Surrounding whitespace is ignored. The file is read for each request, so a new password is
    /// used at once. A password on the command line is visible to other users.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Token for bearer auth (LOKI_BEARER_TOKEN)
    #[arg(long, value_name = "SECRET")]
    pub bearer_token: Option<String>,

    /// File with the token (LOKI_BEARER_TOKEN_FILE)
    ///
    /// The file is read for each request, so a renewed token (as in Kubernetes) is used at once.
    #[arg(long, value_name = "FILE")]
    pub bearer_token_file: Option<PathBuf>,

    /// Send credentials in this header instead of Authorization (LOKI_AUTH_HEADER)
    #[arg(long, value_name = "NAME")]
    pub auth_header: Option<String>,

    /// Tenant, sent as X-Scope-OrgID (LOKI_ORG_ID)
    ///
    /// Checked against Loki's rule for pushes: one tenant, of letters, digits and !-_.*'(), with at
    /// most 150 characters.
    #[arg(long, value_name = "ID")]
    pub org_id: Option<String>,

    /// Extra request header (repeatable)
    ///
    /// Replaces a header of that name that loki-push would send.
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,

    /// CA to trust, in PEM (LOKI_CA_CERT_PATH)
    ///
    /// Used instead of the system's CAs (or those of SSL_CERT_FILE and SSL_CERT_DIR). A self-signed
    /// server certificate can be given here directly. This file, and those of --cert and --key, are
    /// read again when they change.
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,

    /// Client certificate (LOKI_CLIENT_CERT_PATH)
    ///
    /// PEM; append intermediate certificates, if any.
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// Private key of --cert, in PEM (LOKI_CLIENT_KEY_PATH)
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Accept any server certificate (LOKI_TLS_SKIP_VERIFY)
    #[arg(long)]
    pub tls_skip_verify: bool,

    /// Proxy for all requests (LOKI_HTTP_PROXY_URL)
    ///
    /// Defaults to HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, with exceptions in NO_PROXY (hosts, domains
    /// and networks). http://HOST:PORT, https or socks5; USER:PASSWORD@ goes before the host. HTTP
    /// proxies are used with CONNECT even for http URLs, which some do not allow for port 3100.
    /// Loopback addresses are never proxied.
    #[arg(long, value_name = "URL")]
    pub proxy_url: Option<String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
