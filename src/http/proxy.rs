//! Selects the proxy from the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`
//! have the same meaning as in curl and Go.
//!
//! (ureq would use `HTTPS_PROXY` for http too, and does not support domains, networks and blanks in
//! `NO_PROXY`.)

use std::net::IpAddr;

/// The proxy for a URL, with the name of the variable that sets it.
pub fn from_env(
    https: bool,
    host: &str,
    port: u16,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    let names = if https {
        ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    } else {
        ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    };
    let set = |name: &&str| env(name).filter(|value| !value.trim().is_empty());
    let (name, value) = names
        .into_iter()
        .find_map(|name| set(&name).map(|value| (name, value.trim().to_owned())))?;
    let except = ["NO_PROXY", "no_proxy"].iter().find_map(set);
    let except = except.is_some_and(|list| is_excepted(&list, host, port));
    (!except).then_some((name, value))
}

/// Checks the port in a proxy's URL. ureq would silently use the default instead of an invalid one.
///
/// # Errors
/// If the port is invalid.
pub fn check_port(url: &str) -> Result<(), String> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let host_port = authority
        .rsplit_once('@')
        .map_or(authority, |(_, rest)| rest);
    let after_host = match host_port.rfind(']') {
        Some(end) => &host_port[end + 1..],
        None => host_port,
    };
    match after_host.split_once(':') {
        Some((_, port)) if !port.parse::<u16>().is_ok_and(|port| port > 0) => Err(format!(
            "`{}` is not a port (1 to 65535)",
            port.escape_debug()
        )),
        _ => Ok(()),
    }
}

/// Whether a `NO_PROXY` list includes this host.
fn is_excepted(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    let host = host.to_ascii_lowercase();
    let ip = host.parse::<IpAddr>().ok();
    list.split([',', ' '])
        .map(|entry| entry.trim().to_ascii_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            if entry == "*" {
                return true;
            }
            if let Some(ip) = ip {
                let network = entry.split_once('/');
                if network.is_some_and(|(base, bits)| is_within(ip, base, bits)) {
                    return true;
                }
                if entry.trim_matches(['[', ']']).parse() == Ok(ip) {
                    return true;
                }
            }
            let name = match entry.rsplit_once(':') {
                Some((name, wanted)) if wanted.parse() == Ok(port) => name,
                Some(_) => return false,
                None => &entry,
            };
            if name.trim_matches(['[', ']']) == host {
                return true;
            }
            let domain = name.strip_prefix('*').unwrap_or(name);
            let domain = domain.trim_start_matches('.');
            let below = host.strip_suffix(domain);
            ip.is_none() && !domain.is_empty() && below.is_some_and(|host| host.ends_with('.'))
        })
}

/// Whether an address is in the network `base/bits`.
fn is_within(ip: IpAddr, base: &str, bits: &str) -> bool {
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (ip, base) {
        (IpAddr::V4(ip), IpAddr::V4(base)) if bits <= 32 => {
            let differ = u32::from(ip) ^ u32::from(base);
            differ.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(base)) if bits <= 128 => {
            let differ = u128::from(ip) ^ u128::from(base);
            differ.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_chooses_the_variable() {
        let env = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://secure:1".to_owned()),
            "http_proxy" => Some(" plain:2 ".to_owned()),
            "ALL_PROXY" => Some("socks5://all:3".to_owned()),
            _ => None,
        };
        let of = |https| from_env(https, "loki", 3100, &env);
        assert_eq!(of(true), Some(("HTTPS_PROXY", "http://secure:1".into())));
        assert_eq!(of(false), Some(("http_proxy", "plain:2".into())));
        let all = |name: &str| (name == "all_proxy").then(|| "x:3".to_owned());
        assert_eq!(
            from_env(true, "loki", 3100, &all),
            Some(("all_proxy", "x:3".into()))
        );
        assert_eq!(from_env(true, "loki", 3100, &|_| Some("  ".into())), None);
    }

    #[test]
    fn no_proxy_is_read_as_curl_and_go_read_it() {
        for (list, host) in [
            ("*", "loki"),
            ("a, loki ,b", "loki"),
            ("example.com", "loki.example.com"),
            (".example.com", "loki.example.com"),
            ("*.example.com", "loki.EXAMPLE.com"),
            ("example.com", "example.com"),
            ("loki:3100", "loki"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.1.2.3", "10.1.2.3"),
            ("fd00::/8", "[fd12::1]"),
            ("::1", "[::1]"),
        ] {
            assert!(is_excepted(list, host, 3100), "{list} {host}");
        }
        for (list, host) in [
            ("", "loki"),
            ("example.com", "badexample.com"),
            ("loki:80", "loki"),
            ("10.0.0.0/8", "11.1.2.3"),
            ("10.0.0.0/33", "10.1.2.3"),
            ("2.3", "10.1.2.3"),
        ] {
            assert!(!is_excepted(list, host, 3100), "{list} {host}");
        }
    }

    #[test]
    fn a_port_that_is_none_is_an_error() {
        for url in [
            "http://proxy",
            "http://user:p%40ss@proxy:3128/",
            "socks5://[::1]:1080",
            "http://[::1]",
            "proxy:8080",
        ] {
            assert_eq!(check_port(url), Ok(()), "{url}");
        }
        for url in [
            "http://proxy:",
            "http://proxy:0",
            "http://proxy:99999",
            "http://user:pass@proxy:x",
            "http://[::1]:70000",
        ] {
            assert!(check_port(url).is_err(), "{url}");
        }
    }
}
