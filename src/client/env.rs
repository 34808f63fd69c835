//! A configuration from the environment, under the names that the program uses.

use std::env::{self, VarError};
use std::path::PathBuf;
use std::time::Duration;

use crate::client::config::{Config, ConfigError, OnFull};
use crate::client::connection::Auth;
use crate::client::validate::wrong;
use crate::entry::labels;
use crate::parse::units::{parse_bool, parse_duration, parse_size};

impl Config {
    /// The settings that the environment gives, under the names the program `loki-push` uses; the
    /// defaults for all others.
    ///
    /// | variable | setting |
    /// | --- | --- |
    /// | `LOKI_PUSH_URL`, `LOKI_PUSH_ADDR`, `LOKI_ADDR` | the URL; `http://localhost:3100` if none is set |
    /// | `LOKI_PUSH_APP`, `LOKI_PUSH_ENV` | [`app`](Self::app), [`environment`](Self::environment) |
    /// | `LOKI_PUSH_LABEL` | [`label`](Self::label): `KEY=VALUE`, one per line |
    /// | `…USERNAME` with `…PASSWORD` or `LOKI_PUSH_PASSWORD_FILE` | [`auth`](Self::auth) |
    /// | `…BEARER_TOKEN` or `…BEARER_TOKEN_FILE` | [`auth`](Self::auth) |
    /// | `…ORG_ID` | [`tenant`](Self::tenant) |
    /// | `LOKI_PUSH_HEADER` | [`header`](Self::header): `NAME: VALUE`, one per line |
    /// | `LOKI_PUSH_CA_CERT`, `LOKI_CA_CERT_PATH` | [`ca_certificate`](Self::ca_certificate), a path |
    /// | `LOKI_PUSH_CERT` and `LOKI_PUSH_KEY`, `LOKI_CLIENT_CERT_PATH` and `LOKI_CLIENT_KEY_PATH` | [`client_certificate`](Self::client_certificate), paths |
    /// | `…TLS_SKIP_VERIFY` | [`tls_skip_verify`](Self::tls_skip_verify) |
    /// | `LOKI_PUSH_PROXY_URL`, `LOKI_HTTP_PROXY_URL` | [`proxy`](Self::proxy) |
    /// | `LOKI_PUSH_BATCH_SIZE`, `…BATCH_BYTES`, `…FLUSH_INTERVAL`, `…MAX_LINE_SIZE`, `…BUFFER`, `…ON_FULL`, `…GZIP_LEVEL`, `…TIMEOUT`, `…MAX_RETRIES`, `…RETRY_BACKOFF`, `…MAX_BACKOFF`, `…FLUSH_TIMEOUT` | the setting of that name |
    ///
    /// Where a name begins with `…`, `LOKI_PUSH_` wins over `LOKI_`, as logcli writes it. An empty
    /// variable counts as not set.
    ///
    /// ```
    /// # use loki_push::Config;
    /// let config = Config::from_env()?.label("host", "web-1");
    /// # Ok::<(), loki_push::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// If a variable cannot be read: the message names it, and never shows a secret.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(&|name| env::var(name))
    }

    fn from_variables(
        read: &dyn Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self, ConfigError> {
        let from = Variables(read);
        let url = from.first(
            "endpoint",
            &["LOKI_PUSH_URL", "LOKI_PUSH_ADDR", "LOKI_ADDR"],
        )?;
        let url = url.map_or("http://localhost:3100".into(), |(_, url)| url);
        let mut config = from.labels(Self::new(url))?;
        config.auth = from.auth()?;
        config = from.connection(config)?;
        from.delivery(config)
    }
}

/// Reads variables, and names the one that is wrong.
struct Variables<'a>(&'a dyn Fn(&str) -> Result<String, VarError>);

/// Sets one duration.
type Set = fn(Config, Duration) -> Config;

/// The name of a variable, and its value.
type Found = Option<(&'static str, String)>;

impl Variables<'_> {
    /// The first of these variables that is set.
    fn first(&self, setting: &'static str, names: &[&'static str]) -> Result<Found, ConfigError> {
        for &name in names {
            match (self.0)(name) {
                Ok(value) if value.is_empty() => {}
                Ok(value) => return Ok(Some((name, value))),
                Err(VarError::NotPresent) => {}
                Err(VarError::NotUnicode(_)) => {
                    return Err(wrong(setting)(format!("{name} is not valid UTF-8")));
                }
            }
        }
        Ok(None)
    }

    /// The value of one variable, parsed.
    fn parsed<T>(
        &self,
        setting: &'static str,
        names: &[&'static str],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((name, value)) = self.first(setting, names)? else {
            return Ok(None);
        };
        let value = parse(&value).map_err(|why| wrong(setting)(format!("{name}: {why}")))?;
        Ok(Some(value))
    }

    fn labels(&self, mut config: Config) -> Result<Config, ConfigError> {
        if let Some((_, app)) = self.first("app", &["LOKI_PUSH_APP"])? {
            config = config.app(app);
        }
        if let Some((_, environment)) = self.first("environment", &["LOKI_PUSH_ENV"])? {
            config = config.environment(environment);
        }
        let parse = labels::parse;
        let pairs = self.parsed("label", &["LOKI_PUSH_LABEL"], |text| {
            let pairs: Result<Vec<_>, _> =
                text.lines().filter(|l| !l.is_empty()).map(parse).collect();
            Ok(pairs?.concat())
        })?;
        for (name, value) in pairs.unwrap_or_default() {
            config = config.label(name, value);
        }
        Ok(config)
    }

    fn auth(&self) -> Result<Auth, ConfigError> {
        let username = self.first("auth", &["LOKI_PUSH_USERNAME", "LOKI_USERNAME"])?;
        let password = self.first("auth", &["LOKI_PUSH_PASSWORD", "LOKI_PASSWORD"])?;
        let password_file = self.first("auth", &["LOKI_PUSH_PASSWORD_FILE"])?;
        let token = self.first("auth", &["LOKI_PUSH_BEARER_TOKEN", "LOKI_BEARER_TOKEN"])?;
        let names = ["LOKI_PUSH_BEARER_TOKEN_FILE", "LOKI_BEARER_TOKEN_FILE"];
        let token_file = self.first("auth", &names)?;
        let set: Vec<&str> = [&username, &password, &password_file, &token, &token_file]
            .into_iter()
            .filter_map(|found| found.as_ref().map(|(name, _)| *name))
            .collect();
        Ok(
            match (username, password, password_file, token, token_file) {
                (None, None, None, None, None) => Auth::None,
                (Some((_, user)), Some((_, password)), None, None, None) => {
                    Auth::basic(user, password)
                }
                (Some((_, user)), None, Some((_, path)), None, None) => {
                    Auth::basic_file(user, path)
                }
                (None, None, None, Some((_, token)), None) => Auth::bearer(token.trim()),
                (None, None, None, None, Some((_, path))) => Auth::bearer_file(path),
                _ => {
                    let why = format!(
                        "{} do not go together: set a user name with one password, or one bearer token",
                        set.join(", ")
                    );
                    return Err(wrong("auth")(why));
                }
            },
        )
    }

    fn connection(&self, mut config: Config) -> Result<Config, ConfigError> {
        if let Some((_, tenant)) = self.first("tenant", &["LOKI_PUSH_ORG_ID", "LOKI_ORG_ID"])? {
            config = config.tenant(tenant);
        }
        if let Some((name, headers)) = self.first("header", &["LOKI_PUSH_HEADER"])? {
            for line in headers.lines().filter(|line| !line.trim().is_empty()) {
                let (header, value) = line.split_once(':').ok_or_else(|| {
                    wrong("header")(format!(
                        "{name}: expected `NAME: VALUE` (not shown, it may be a secret)"
                    ))
                })?;
                config = config.header(header.trim(), value.trim());
            }
        }
        let file = |setting, names: &[&'static str]| -> Result<Option<Vec<u8>>, ConfigError> {
            let Some((name, path)) = self.first(setting, names)? else {
                return Ok(None);
            };
            let read = std::fs::read(PathBuf::from(&path));
            let read =
                read.map_err(|why| wrong(setting)(format!("{name}: cannot read {path}: {why}")))?;
            Ok(Some(read))
        };
        if let Some(pem) = file(
            "ca_certificate",
            &["LOKI_PUSH_CA_CERT", "LOKI_CA_CERT_PATH"],
        )? {
            config = config.ca_certificate(pem);
        }
        let setting = "client_certificate";
        let certificate = file(setting, &["LOKI_PUSH_CERT", "LOKI_CLIENT_CERT_PATH"])?;
        let key = file(setting, &["LOKI_PUSH_KEY", "LOKI_CLIENT_KEY_PATH"])?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => config = config.client_certificate(certificate, key),
            (None, None) => {}
            _ => {
                let why =
                    "a client certificate requires its key: set LOKI_PUSH_CERT and LOKI_PUSH_KEY";
                return Err(wrong(setting)(why.into()));
            }
        }
        let names = ["LOKI_PUSH_TLS_SKIP_VERIFY", "LOKI_TLS_SKIP_VERIFY"];
        let switch = |text: &str| parse_bool(text).ok_or("must be true or false".to_owned());
        if let Some(skip) = self.parsed("tls_skip_verify", &names, switch)? {
            config = config.tls_skip_verify(skip);
        }
        if let Some((_, url)) =
            self.first("proxy", &["LOKI_PUSH_PROXY_URL", "LOKI_HTTP_PROXY_URL"])?
        {
            config = config.proxy(url);
        }
        Ok(config)
    }

    fn delivery(&self, mut config: Config) -> Result<Config, ConfigError> {
        fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
            text.parse()
                .map_err(|_| format!("`{}` is not a number in range", text.escape_debug()))
        }
        fn bytes(text: &str) -> Result<usize, String> {
            usize::try_from(parse_size(text)?).map_err(|_| "is too large".into())
        }
        if let Some(entries) = self.parsed("batch_size", &["LOKI_PUSH_BATCH_SIZE"], number)? {
            config = config.batch_size(entries);
        }
        if let Some(size) = self.parsed("max_batch_bytes", &["LOKI_PUSH_BATCH_BYTES"], bytes)? {
            config = config.max_batch_bytes(size);
        }
        if let Some(size) = self.parsed("max_message_size", &["LOKI_PUSH_MAX_LINE_SIZE"], bytes)? {
            config = config.max_message_size(size);
        }
        if let Some(size) = self.parsed("buffer", &["LOKI_PUSH_BUFFER"], bytes)? {
            config = config.buffer(size);
        }
        let policy = |text: &str| match text {
            "block" => Ok(OnFull::Block),
            "drop-newest" => Ok(OnFull::DropNewest),
            "drop-oldest" => Ok(OnFull::DropOldest),
            _ => Err("must be block, drop-newest or drop-oldest".to_owned()),
        };
        if let Some(on_full) = self.parsed("on_full", &["LOKI_PUSH_ON_FULL"], policy)? {
            config = config.on_full(on_full);
        }
        if let Some(level) = self.parsed("gzip_level", &["LOKI_PUSH_GZIP_LEVEL"], number)? {
            config = config.gzip_level(level);
        }
        if let Some(retries) = self.parsed("max_retries", &["LOKI_PUSH_MAX_RETRIES"], number)? {
            config = config.max_retries(retries);
        }
        let times: [(&'static str, &'static str, Set); 5] = [
            (
                "flush_interval",
                "LOKI_PUSH_FLUSH_INTERVAL",
                Config::flush_interval,
            ),
            ("timeout", "LOKI_PUSH_TIMEOUT", Config::timeout),
            (
                "retry_backoff",
                "LOKI_PUSH_RETRY_BACKOFF",
                Config::retry_backoff,
            ),
            ("max_backoff", "LOKI_PUSH_MAX_BACKOFF", Config::max_backoff),
            (
                "flush_timeout",
                "LOKI_PUSH_FLUSH_TIMEOUT",
                Config::flush_timeout,
            ),
        ];
        for (setting, name, set) in times {
            if let Some(time) = self.parsed(setting, &[name], parse_duration)? {
                config = set(config, time);
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        Config::from_variables(&|name| {
            let value = variables.get(name).map(|value| (*value).to_owned());
            value.ok_or(VarError::NotPresent)
        })
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let defaults = format!("{:?}", Config::new("http://localhost:3100"));
        assert_eq!(format!("{:?}", config(&[]).unwrap()), defaults);
        assert_eq!(
            format!("{:?}", config(&[("LOKI_PUSH_APP", "")]).unwrap()),
            defaults
        );
    }

    #[test]
    fn the_program_s_names_win_over_logcli_s() {
        let config = config(&[
            ("LOKI_ADDR", "http://a:1"),
            ("LOKI_PUSH_ADDR", "http://b:1"),
            ("LOKI_ORG_ID", "one"),
            ("LOKI_PUSH_ORG_ID", "two"),
            ("LOKI_PUSH_LABEL", "host=web-1\nzone=a"),
            ("LOKI_PUSH_HEADER", "X-Key: s3cret"),
            ("LOKI_PUSH_FLUSH_INTERVAL", "250ms"),
            ("LOKI_PUSH_BUFFER", "8MiB"),
            ("LOKI_PUSH_ON_FULL", "block"),
        ])
        .unwrap();
        assert_eq!(config.endpoint, "http://b:1");
        assert_eq!(config.tenant.as_deref(), Some("two"));
        assert_eq!(config.labels.len(), 2);
        assert_eq!(config.headers, [("X-Key".to_owned(), "s3cret".to_owned())]);
        assert_eq!(config.flush_interval, Duration::from_millis(250));
        assert_eq!(config.buffer, 8 << 20);
        assert_eq!(config.on_full, OnFull::Block);
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn a_wrong_variable_is_named_and_no_secret_is_shown() {
        let error = |variables: &[(&str, &str)]| config(variables).unwrap_err().to_string();
        let text = error(&[("LOKI_PUSH_FLUSH_INTERVAL", "10")]);
        assert!(text.contains("LOKI_PUSH_FLUSH_INTERVAL"), "{text}");
        let text = error(&[("LOKI_USERNAME", "me"), ("LOKI_BEARER_TOKEN", "s3cret")]);
        assert!(
            text.contains("LOKI_USERNAME") && !text.contains("s3cret"),
            "{text}"
        );
        let text = error(&[("LOKI_PUSH_HEADER", "s3cret")]);
        assert!(
            text.contains("LOKI_PUSH_HEADER") && !text.contains("s3cret"),
            "{text}"
        );
        let text = error(&[("LOKI_PUSH_CA_CERT", "/nonexistent/ca.pem")]);
        assert!(
            text.contains("LOKI_PUSH_CA_CERT") && text.contains("/nonexistent/ca.pem"),
            "{text}"
        );
    }
}
