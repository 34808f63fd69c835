//! Addresses: what `--url` takes, and the push address it stands for.
//!
//! Knows the shape of an address. Knows nothing of connections.

use std::net::IpAddr;

/// The path of Loki's push interface.
const PUSH: &str = "/loki/api/v1/push";

/// An address read apart.
#[derive(Clone, PartialEq, Eq)]
pub struct PushUrl {
    /// The base: scheme, host and port, and the path before Loki's own; without credentials.
    pub base: String,
    /// The whole push address; without credentials.
    pub push: String,
    /// The host, without its port.
    pub host: String,
    /// Whether it is https.
    pub https: bool,
    /// User and password, where the address holds them.
    pub credentials: Option<(String, String)>,
}

impl PushUrl {
    /// Reads an address: the base of a Loki, or a whole push address if its path ends in `/push`.
    ///
    /// # Errors
    /// What is wrong with it, in words for the person who typed it. Credentials are not shown.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("an address begins with http:// or https://, as http://localhost:3100")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("only http:// and https:// addresses can be pushed to".into()),
        };
        if rest.contains(['?', '#']) {
            return Err("an address takes no `?` or `#`".into());
        }
        let odd = |c: &char| c.is_whitespace() || c.is_control() || !c.is_ascii();
        if let Some((user_info, _)) = rest.rsplit_once('@')
            && user_info.chars().any(|c| odd(&c))
        {
            let why = "in a user or password what is no plain character is written as % and two hex \
                       digits";
            return Err(why.into());
        }
        if let Some(odd) = rest.chars().find(odd) {
            return Err(format!(
                "`{}` cannot stand in an address",
                odd.escape_debug()
            ));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // What stands before an `@` may be a secret: it is neither shown nor taken for a host.
        if path.contains('@') {
            return Err(
                "in a user or password a `/` is written %2F, and in a path an `@` %40".into(),
            );
        }
        let (credentials, host_port) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(read_credentials(user_info)?), host),
            None => (None, authority),
        };
        let host = read_host(host_port)?;
        let path = path.trim_end_matches('/');
        let path = path
            .split('/')
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/");
        let origin = format!("{}://{host_port}", if https { "https" } else { "http" });
        let base_path = match path.as_str() {
            "" => String::new(),
            path => format!("/{path}"),
        };
        // A whole push address is used as it is; a `//` in a path is answered by a redirect.
        let whole = base_path.ends_with("/push");
        let push = if whole {
            base_path.clone()
        } else {
            format!("{base_path}{PUSH}")
        };
        let base_path = if whole {
            base_path.strip_suffix(PUSH).unwrap_or("")
        } else {
            &base_path
        };
        Ok(Self {
            base: format!("{origin}{base_path}"),
            push: format!("{origin}{push}"),
            host,
            https,
            credentials,
        })
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        is_localhost(host) || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// Whether a name stands for this machine wherever it is asked for (RFC 6761).
pub fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

impl std::fmt::Debug for PushUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.push)
    }
}

fn read_host(host_port: &str) -> Result<String, String> {
    let (host, port) = match host_port.rfind(']') {
        Some(end) => host_port.split_at(end + 1),
        None => host_port.split_at(host_port.find(':').unwrap_or(host_port.len())),
    };
    if !host_port.contains('[') && host_port.matches(':').count() > 1 {
        return Err("an IPv6 address stands in brackets, as http://[::1]:3100".into());
    }
    if host.is_empty() {
        return Err("the address has no host".into());
    }
    let port = port.strip_prefix(':').map_or(Ok(1), str::parse::<u16>);
    match port {
        Ok(port) if port > 0 => Ok(host.to_owned()),
        _ => Err(format!(
            "`{}` is no host and port",
            host_port.escape_debug()
        )),
    }
}

fn read_credentials(user_info: &str) -> Result<(String, String), String> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    match (decode(user), decode(password)) {
        (Some(user), Some(password)) => Ok((user, password)),
        _ => {
            Err("the credentials in the address are not well encoded (% and two hex digits)".into())
        }
    }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_in_a_password_shows_no_secret_and_leads_nowhere_else() {
        for text in [
            "http://me:s3cr/et@loki:3100",
            "http://me:12345/s3cret@loki:3100",
        ] {
            let why = PushUrl::parse(text).map(drop).expect_err(text);
            assert!(why.contains("%2F") && !why.contains("s3cr"), "{why}");
        }
        assert!(PushUrl::parse("http://me:s3cr%2Fet@loki:3100").is_ok());
        let why = PushUrl::parse("http://me:sécret@loki:3100").expect_err("no ASCII");
        assert!(why.contains('%') && !why.contains('é'), "{why}");
        let why = PushUrl::parse("http://fe80::1:3100").expect_err("no brackets");
        assert!(why.contains("brackets"), "{why}");
    }

    #[test]
    fn a_base_address_gets_lokis_path_and_a_whole_one_is_kept() {
        for (given, base, push) in [
            (
                "http://localhost:3100",
                "http://localhost:3100",
                "http://localhost:3100/loki/api/v1/push",
            ),
            ("HTTP://h/", "http://h", "http://h/loki/api/v1/push"),
            (
                "https://h:1/a//b/",
                "https://h:1/a/b",
                "https://h:1/a/b/loki/api/v1/push",
            ),
            (
                "http://h/loki/api/v1/push",
                "http://h",
                "http://h/loki/api/v1/push",
            ),
            (
                "http://h/x/loki/api/v1/push/",
                "http://h/x",
                "http://h/x/loki/api/v1/push",
            ),
            (
                "http://h:9428/insert/loki/api/v1/push",
                "http://h:9428/insert",
                "http://h:9428/insert/loki/api/v1/push",
            ),
            ("http://h/custom/push", "http://h", "http://h/custom/push"),
            (
                "http://[::1]:3100",
                "http://[::1]:3100",
                "http://[::1]:3100/loki/api/v1/push",
            ),
        ] {
            let address = PushUrl::parse(given).unwrap();
            assert_eq!(
                (address.base.as_str(), address.push.as_str()),
                (base, push),
                "{given}"
            );
        }
    }

    #[test]
    fn credentials_are_taken_out_and_never_shown() {
        let address = PushUrl::parse("https://me:p%40ss%3A@h:3100").unwrap();
        assert_eq!(address.credentials, Some(("me".into(), "p@ss:".into())));
        assert!(!format!("{address:?}").contains("p@ss"));
        assert_eq!(address.base, "https://h:3100");
        let error = PushUrl::parse("https://me:s%zzcret@h").unwrap_err();
        assert!(!error.contains("cret"), "{error}");
    }

    #[test]
    fn what_is_no_address_is_said() {
        for bad in [
            "",
            "http://::1:3100",
            "http://h:1:2",
            "localhost:3100",
            "ftp://h",
            "http://",
            "http://:80",
            "http://h:x",
            "http://h:0",
            "http://h:99999",
            "http://h/?a=b",
            "http://h/a b",
            "://h",
            "http://ä",
        ] {
            assert!(PushUrl::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn loopback_is_known() {
        let is = |url| PushUrl::parse(url).unwrap().is_loopback();
        assert!(is("http://localhost:1") && is("http://127.0.0.9") && is("http://[::1]:1"));
        assert!(!is("http://loki") && !is("http://10.0.0.1") && !is("http://localhost.evil.com"));
    }
}
