//! What the settings of a connection are called by whoever made them: options on the command line,
//! variables in the environment, methods of `Config` in a program.
//!
//! Knows names only.

use std::borrow::Cow;

/// The name of each setting that a message may have to speak of.
#[derive(Debug, Clone)]
pub struct SettingNames {
    /// The address.
    pub url: Cow<'static, str>,
    /// The authorities to trust.
    pub authority: Cow<'static, str>,
    /// How to give them, where none are given yet.
    pub trust_with: &'static str,
    /// Our certificate.
    pub certificate: Cow<'static, str>,
    /// Its key.
    pub key: Cow<'static, str>,
    /// The switch that trusts anybody.
    pub skip_verify: &'static str,
    /// The proxy.
    pub proxy: Cow<'static, str>,
    /// The time for one request.
    pub timeout: &'static str,
}

impl SettingNames {
    /// Those of the command line.
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

    /// Those of a program.
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

    /// Our certificate with its key.
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
