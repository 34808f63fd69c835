//! The names of connection settings in messages: options and variables for the program, methods of
//! `Config` for the library.

use std::borrow::Cow;

/// The names of the settings that messages mention.
#[derive(Debug, Clone)]
pub struct SettingNames {
    /// The push URL.
    pub url: Cow<'static, str>,
    /// The CA certificates.
    pub authority: Cow<'static, str>,
    /// How to set the CA certificates if none are set.
    pub trust_with: &'static str,
    /// The client certificate.
    pub certificate: Cow<'static, str>,
    /// The key of the client certificate.
    pub key: Cow<'static, str>,
    /// The switch that disables verification.
    pub skip_verify: &'static str,
    /// The proxy.
    pub proxy: Cow<'static, str>,
    /// The timeout for a request.
    pub timeout: &'static str,
}

impl SettingNames {
    /// The names for the program.
    pub const fn options() -> Self {
        Self {
            url: Cow::Borrowed("--url"),
            authority: Cow::Borrowed("--ca-cert"),
            trust_with: "--ca-cert FILE",
            certificate: Cow::Borrowed("--cert"),
            key: Cow::Borrowed("--key"),
            skip_verify: "--tls-skip-verify",
            proxy: Cow::Borrowed("--proxy-url"),
            timeout: "--timeout",
        }
    }

    /// The names for the library.
    pub const fn config() -> Self {
        Self {
            url: Cow::Borrowed("the endpoint"),
            authority: Cow::Borrowed("Config::ca_certificate"),
            trust_with: "Config::ca_certificate",
            certificate: Cow::Borrowed("Config::client_certificate"),
            key: Cow::Borrowed("Config::client_certificate"),
            skip_verify: "Config::tls_skip_verify",
            proxy: Cow::Borrowed("Config::proxy"),
            timeout: "Config::timeout",
        }
    }

    /// The client certificate and its key.
    pub fn pair(&self) -> String {
        if self.certificate == self.key {
            self.certificate.to_string()
        } else {
            format!("{} and {}", self.certificate, self.key)
        }
    }
}

impl Default for SettingNames {
    fn default() -> Self {
        Self::options()
    }
}
