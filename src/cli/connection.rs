//! Flags for where entries go. Most have logcli's names in the environment too.

use std::path::PathBuf;

use clap::Args;

/// Where to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Loki's base address, or a whole push address [default: http://localhost:3100]
    ///
    /// Also read from LOKI_ADDR. `user:password@` in it is basic auth.
    #[arg(short, long, value_name = "URL")]
    pub url: Option<String>,

    /// User for basic auth (LOKI_USERNAME)
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,

    /// Password for basic auth (LOKI_PASSWORD)
    #[arg(long, value_name = "SECRET")]
    pub password: Option<String>,

    /// File that holds the password
    ///
    /// White space around it is left out. A password on the command line can be seen by others on
    /// this machine.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Token for bearer auth (LOKI_BEARER_TOKEN)
    #[arg(long, value_name = "SECRET")]
    pub bearer_token: Option<String>,

    /// File that holds the token (LOKI_BEARER_TOKEN_FILE)
    #[arg(long, value_name = "FILE")]
    pub bearer_token_file: Option<PathBuf>,

    /// Header that carries the credentials [default: Authorization] (LOKI_AUTH_HEADER)
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

    /// Trust this certificate authority, in PEM (LOKI_CA_CERT_PATH)
    ///
    /// It is trusted in place of those of the system. A self-signed certificate is trusted by
    /// itself.
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,

    /// Client certificate, in PEM (LOKI_CLIENT_CERT_PATH)
    ///
    /// With the certificates between it and its authority, if there are some, behind it.
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// Key of the client certificate, in PEM (LOKI_CLIENT_KEY_PATH)
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Do not check the server's certificate (LOKI_TLS_SKIP_VERIFY)
    #[arg(long)]
    pub tls_skip_verify: bool,

    /// Proxy for all requests (LOKI_HTTP_PROXY_URL) [default: HTTPS_PROXY, HTTP_PROXY, NO_PROXY]
    ///
    /// http://HOST:PORT, https or socks5; USER:PASSWORD@ goes before the host. An http proxy is
    /// asked by CONNECT, for http addresses too, which some proxies do not allow for port 3100.
    /// NO_PROXY takes hosts, domains and networks. This machine is always reached without one.
    #[arg(long, value_name = "URL")]
    pub proxy_url: Option<String>,
}
