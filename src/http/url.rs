//! Parses the value of `--url` and derives the push URL.

use std::net::IpAddr;

/// The path of Loki's push interface.
const PUSH: &str = "/loki/api/v1/push";

/// Beginnings of that path, which people add to the base URL.
const PARTS_OF_PUSH: [&str; 2] = ["/loki/api/v1", "/loki"];

/// The parts of a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct PushUrl {
    /// Scheme, host and port, and the path before Loki's own; without credentials and query.
    pub base: String,
    /// The push URL with its query, without credentials.
    pub push: String,
    /// The host, without its port.
    pub host: String,
    /// The network interface of a link-local host: `eth0` of `fe80::1%eth0`.
    pub zone: Option<String>,
    /// Whether the scheme is https.
    pub https: bool,
    /// User name and password, if the URL contains them.
    pub credentials: Option<(String, String)>,
}

impl PushUrl {
    /// Parses the base URL of a Loki, or a complete push URL if its path ends in `/push`.
    ///
    /// # Errors
    /// If the URL is invalid. The message does not show credentials.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or(
            "the URL must start with http:// or https://, for example http://localhost:3100",
        )?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("the URL must start with http:// or https://".into()),
        };
        if rest.contains('#') {
            return Err("the URL must not contain #".into());
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let odd = |c: &char| c.is_whitespace() || c.is_control() || !c.is_ascii();
        if let Some((user_info, _)) = rest.rsplit_once('@')
            && user_info.chars().any(|c| odd(&c))
        {
            return Err("percent-encode special characters in the user name and password".into());
        }
        // An `@` or `?` in a password would make the rest of it a query.
        if query.is_some_and(|query| query.contains('@')) && !rest.contains('/') {
            return Err("percent-encode ? in a password (%3F), and @ in a query (%40)".into());
        }
        if let Some(odd) = rest.chars().chain(query.unwrap_or("").chars()).find(odd) {
            return Err(match odd {
                ' ' => "a URL cannot contain a space".into(),
                odd => format!("a URL cannot contain `{}`", odd.escape_debug()),
            });
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // The part before an `@` may be a secret: it is not shown.
        if path.contains('@') {
            return Err("percent-encode / in a password (%2F), and @ in a path (%40)".into());
        }
        let (credentials, host_port) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(read_credentials(user_info)?), host),
            None => (None, authority),
        };
        let (host_port, zone) = without_zone(host_port)?;
        let host = read_host(&host_port)?;
        let path: String = path
            .split('/')
            .filter(|part| !part.is_empty())
            .flat_map(|part| ["/", part])
            .collect();
        let origin = format!("{}://{host_port}", if https { "https" } else { "http" });
        // A complete push URL is not changed. Loki answers a `//` in a path with a redirect.
        let (base, push) = if path.ends_with("/push") {
            (path.strip_suffix(PUSH).unwrap_or("").to_owned(), path)
        } else {
            let part = PARTS_OF_PUSH
                .iter()
                .find_map(|part| path.strip_suffix(part));
            let base = part.unwrap_or(&path).to_owned();
            let push = format!("{base}{PUSH}");
            (base, push)
        };
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        Ok(Self {
            base: format!("{origin}{base}"),
            push: format!("{origin}{push}{query}"),
            host,
            zone,
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

/// Whether a name always means this machine (RFC 6761).
pub fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// A URL as messages show it: a query may hold a token.
pub fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(url, _)| url)
}

/// The URL of another endpoint of the Loki that a push URL belongs to. Returns `None` if the path is
/// not Loki's.
#[cfg(feature = "cli")]
pub fn api_url(push: &str, api: &str) -> Option<String> {
    let base = without_query(push).strip_suffix(PUSH)?;
    Some(match push.split_once('?') {
        None => format!("{base}{api}"),
        Some((_, query)) if api.contains('?') => format!("{base}{api}&{query}"),
        Some((_, query)) => format!("{base}{api}?{query}"),
    })
}

impl std::fmt::Debug for PushUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(without_query(&self.push))
    }
}

/// Removes the zone from a link-local address (RFC 6874), since HTTP does not have zones.
fn without_zone(host_port: &str) -> Result<(String, Option<String>), String> {
    let inside = host_port
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'));
    let Some(((address, zone), port)) =
        inside.and_then(|(inside, port)| Some((inside.split_once('%')?, port)))
    else {
        return Ok((host_port.to_owned(), None));
    };
    let zone = zone.strip_prefix("25").unwrap_or(zone);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if zone.is_empty() || !zone.chars().all(is_plain) {
        return Err(
            "the zone of an IPv6 address is an interface: http://[fe80::1%25eth0]:3100".into(),
        );
    }
    Ok((format!("[{address}]{port}"), Some(zone.to_owned())))
}

fn read_host(host_port: &str) -> Result<String, String> {
    let (host, port) = match host_port.rfind(']') {
        Some(end) => host_port.split_at(end + 1),
        None => host_port.split_at(host_port.find(':').unwrap_or(host_port.len())),
    };
    if !host_port.contains('[') && host_port.matches(':').count() > 1 {
        return Err("an IPv6 address needs brackets: http://[::1]:3100".into());
    }
    if host.is_empty() {
        return Err("the URL has no host".into());
    }
    let port = port.strip_prefix(':').map_or(Ok(1), str::parse::<u16>);
    match port {
        Ok(port) if port > 0 => Ok(host.to_owned()),
        _ => Err(format!(
            "`{}` is not a valid host and port",
            host_port.escape_debug()
        )),
    }
}

fn read_credentials(user_info: &str) -> Result<(String, String), String> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    match (decode(user), decode(password)) {
        (Some(user), Some(password)) => Ok((user, password)),
        _ => Err("the credentials in the URL are not percent-encoded correctly".into()),
    }
}

/// Decodes percent-encoding.
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
        assert!(why.contains("percent") && !why.contains('é'), "{why}");
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
            ("http://h/loki", "http://h", "http://h/loki/api/v1/push"),
            (
                "http://h/x/loki/api/v1/",
                "http://h/x",
                "http://h/x/loki/api/v1/push",
            ),
            (
                "http://h?token=a/b",
                "http://h",
                "http://h/loki/api/v1/push?token=a/b",
            ),
            (
                "http://h/loki/api/v1/push?a=1&b=2",
                "http://h",
                "http://h/loki/api/v1/push?a=1&b=2",
            ),
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
            "http://h/#a",
            "http://[fe80::1%25]:3100",
            "http://[fe80::1%25a/b]:3100",
            "http://me:s3cr?et@loki",
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

    #[test]
    fn a_zone_is_no_part_of_the_host() {
        for given in ["http://[fe80::1%25eth0]:3100", "http://[fe80::1%eth0]:3100"] {
            let url = PushUrl::parse(given).unwrap();
            assert_eq!(url.base, "http://[fe80::1]:3100", "{given}");
            assert_eq!(url.zone.as_deref(), Some("eth0"), "{given}");
        }
        assert_eq!(PushUrl::parse("http://[::1]:3100").unwrap().zone, None);
    }

    #[test]
    fn other_interfaces_get_the_query_too() {
        let of = |push| api_url(push, "/ready").unwrap_or_default();
        assert_eq!(of("http://h/x/loki/api/v1/push"), "http://h/x/ready");
        assert_eq!(of("http://h/loki/api/v1/push?k=v"), "http://h/ready?k=v");
        assert_eq!(of("http://h/custom/push"), "");
        let asked = api_url("http://h/loki/api/v1/push?k=v", "/q?a=b");
        assert_eq!(asked.as_deref(), Some("http://h/q?a=b&k=v"));
    }
}
