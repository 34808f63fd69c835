//! Flags for where entries go. Most have logcli's names in the environment too.

use std::fmt;
use std::path::PathBuf;

use clap::Args;

/// Where to. `Debug` shows none of it, since most of it is secret.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Where Loki is [default: http://localhost:3100]
    ///
    /// Its base address, or a whole one if its path ends in /push. `user:password@` in it is basic
    /// auth. Also read from LOKI_ADDR.
    #[arg(short, long, value_name = "URL")]
    pub url: Option<String>,

    /// User for basic auth (LOKI_USERNAME)
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,

    /// Password for basic auth (LOKI_PASSWORD)
    #[arg(long, value_name = "SECRET")]
    pub password: Option<String>,

    /// File with the password
    ///
    /// White space around it is left out. The file is read for each request, so that a new password
    /// is taken at once. One on the command line can be seen by others on this machine.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Token for bearer auth (LOKI_BEARER_TOKEN)
    #[arg(long, value_name = "SECRET")]
    pub bearer_token: Option<String>,

    /// File with the token (LOKI_BEARER_TOKEN_FILE)
    ///
    /// It is read for each request, so that a token that Kubernetes renews is taken at once.
    #[arg(long, value_name = "FILE")]
    pub bearer_token_file: Option<PathBuf>,

    /// Header that carries them (LOKI_AUTH_HEADER)
    ///
    /// In place of `Authorization`.
    #[arg(long, value_name = "NAME")]
    pub auth_header: Option<String>,

    /// Tenant, sent as X-Scope-OrgID (LOKI_ORG_ID)
    #[arg(long, value_name = "ID")]
    pub org_id: Option<String>,

    /// A further request header (repeatable)
    ///
    /// It takes the place of one that loki-push would send under that name.
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,

    /// CA to trust, in PEM (LOKI_CA_CERT_PATH)
    ///
    /// It is trusted in place of those of the system (or of SSL_CERT_FILE and SSL_CERT_DIR). A self-signed certificate is trusted by
    /// itself.
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,

    /// Client certificate (LOKI_CLIENT_CERT_PATH)
    ///
    /// In PEM, with the certificates between it and its authority, if there are some, behind it.
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// Its key (LOKI_CLIENT_KEY_PATH)
    ///
    /// In PEM.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Trust any certificate (LOKI_TLS_SKIP_VERIFY)
    #[arg(long)]
    pub tls_skip_verify: bool,

    /// Proxy for all requests (LOKI_HTTP_PROXY_URL)
    ///
    /// Without it HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say so, as usual. http://HOST:PORT, https or socks5; USER:PASSWORD@ goes before the host. An http proxy is
    /// asked by CONNECT, for http addresses too, which some proxies do not allow for port 3100.
    /// NO_PROXY takes hosts, domains and networks. This machine is always reached without one.
    #[arg(long, value_name = "URL")]
    pub proxy_url: Option<String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
