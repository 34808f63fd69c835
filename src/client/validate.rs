//! Validates a client's configuration and turns it into the settings of the pipeline. Reads the files
//! of credentials, and nothing else; error messages show no secret.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::batch::BatchLimits;
use crate::client::config::{Config, ConfigError, OnFull};
use crate::client::connection::Auth;
use crate::delivery::backoff::Backoff;
use crate::delivery::queue;
use crate::delivery::sender::{CONVINCING, SenderSettings};
use crate::entry::labels;
use crate::entry::labels::Labels;
use crate::http::client::{HttpSettings, Scheme, SecretFile, SettingNames};
use crate::http::tenant::{TENANT_HEADER, check_tenant};
use crate::http::url::PushUrl;
use crate::pipeline::Settings;

/// Requests of one batch under way at once; they belong to different levels.
const CONNECTIONS: usize = 4;

/// The most labels of a stream by default (`max_label_names_per_series`).
const MAX_LABELS: usize = 15;

/// The header of credentials.
const AUTHORIZATION: &str = "Authorization";

/// Headers of the body, which only the encoder can set.
const OWN_HEADERS: [&str; 4] = [
    "Content-Type",
    "Content-Encoding",
    "Content-Length",
    "Transfer-Encoding",
];

/// The largest file that is read as a secret, in bytes: servers accept no longer headers.
const MAX_SECRET: u64 = 64 * 1024;

/// The least that `max_message_size` may be: room for a message beside a short field.
const LEAST_MESSAGE: usize = 64;

/// The most: places in a chunk are kept in 32 bits.
const MOST_MESSAGE: usize = 1 << 30;

/// Names and values.
type Headers = Vec<(String, String)>;

/// A validated configuration.
pub struct ValidConfig {
    /// The settings of the stages.
    pub settings: Settings,
    /// The connection to Loki.
    pub connection: HttpSettings,
    /// The labels of all entries; each gets its level in addition.
    pub labels: Labels,
    /// Settings that are allowed but unwise.
    pub warnings: Vec<String>,
}

/// Validates a configuration.
pub fn validate(config: &Config) -> Result<ValidConfig, ConfigError> {
    let address = PushUrl::parse(&config.endpoint).map_err(wrong("endpoint"))?;
    let mut warnings = Vec::new();
    let (headers, secret) = headers(config, &address, &mut warnings)?;
    let connection = HttpSettings {
        url: address.push.clone(),
        headers,
        secret,
        timeout: more_than_none("timeout", config.timeout)?,
        connections: CONNECTIONS,
        tls: config.tls.clone(),
        proxy: config.proxy.clone().filter(|_| !address.is_loopback()),
        no_proxy: address.is_loopback(),
        zone: address.zone.clone(),
        terms: SettingNames::config(),
    };
    Ok(ValidConfig {
        settings: settings(config, address.base)?,
        connection,
        labels: all_labels(config)?,
        warnings,
    })
}

fn settings(config: &Config, target: String) -> Result<Settings, ConfigError> {
    let limits = BatchLimits {
        entries: at_least("batch_size", config.batch_size, 1)?,
        bytes: at_least("max_batch_bytes", config.max_batch_bytes, 1)?,
        age: config.flush_interval,
    };
    at_least("max_message_size", config.max_message_size, LEAST_MESSAGE)?;
    if config.max_message_size > MOST_MESSAGE {
        return Err(wrong("max_message_size")("may be 1 GiB at most".into()));
    }
    let level = config.gzip_level;
    if level > 9 {
        let why = format!("{level} is not a gzip level: use 1 (fast) to 9 (small), or 0 for none");
        return Err(wrong("gzip_level")(why));
    }
    let (base, most) = (config.retry_backoff, config.max_backoff);
    if more_than_none("max_backoff", most)? < more_than_none("retry_backoff", base)? {
        let why = format!("{most:?} is shorter than retry_backoff ({base:?}); increase it");
        return Err(wrong("max_backoff")(why));
    }
    let buffer = at_least("buffer", config.buffer, 1)?;
    Ok(Settings {
        chunks: buffer,
        shares_buffer: true,
        limits,
        // An entry may bring its own time.
        dated: true,
        gzip_level: level,
        encoders: 1,
        buffer: buffer - buffer / 4,
        on_full: match config.on_full {
            OnFull::Block => queue::OnFull::Block,
            OnFull::DropNewest => queue::OnFull::DropNewest,
            OnFull::DropOldest => queue::OnFull::DropOldest,
        },
        delivery: SenderSettings {
            timeout: config.timeout,
            backoff: Backoff { base, most },
            max_retries: config.max_retries,
            connections: CONNECTIONS,
            flush_timeout: config.flush_timeout,
            end_when_hopeless: false,
            convincing: CONVINCING,
            gzip_level: level,
        },
        #[cfg(feature = "cli")]
        limit_rate: None,
        target,
    })
}

fn all_labels(config: &Config) -> Result<Labels, ConfigError> {
    labels::check_value(&config.app).map_err(wrong("app"))?;
    // An empty value is no label at all.
    let app = Some(config.app.as_str()).filter(|app| !app.is_empty());
    let mut pairs = vec![("app", app.unwrap_or("default"))];
    if let Some(environment) = &config.environment {
        labels::check_value(environment).map_err(wrong("environment"))?;
        pairs.push(("env", environment));
    }
    let mut named = BTreeSet::from(["level"]);
    named.extend(pairs.iter().map(|(name, _)| *name));
    for (name, value) in &config.labels {
        labels::check_name(name).map_err(wrong("label"))?;
        labels::check_value(value).map_err(|why| wrong("label")(format!("`{name}`: {why}")))?;
        if value.is_empty() {
            let why = format!("`{name}` is empty: Loki drops empty labels");
            return Err(wrong("label")(why));
        }
        if !named.insert(name) {
            let why = match name.as_str() {
                "level" => "`level` is set by each entry; remove it".into(),
                _ => format!("`{name}` is set twice"),
            };
            return Err(wrong("label")(why));
        }
        pairs.push((name, value));
    }
    if named.len() > MAX_LABELS {
        let why = format!(
            "{} labels with `level`, but Loki accepts {MAX_LABELS} by default; make some of them fields",
            named.len()
        );
        return Err(wrong("label")(why));
    }
    Ok(Labels::new(pairs))
}

fn headers(
    config: &Config,
    address: &PushUrl,
    warnings: &mut Vec<String>,
) -> Result<(Headers, Option<SecretFile>), ConfigError> {
    let basic = |user: &str, password: &str| Scheme::Basic(user.to_owned()).value(password);
    let mut headers = Vec::new();
    let mut secret = None;
    let mut from_file = |scheme: Scheme, path: &Path| -> Result<Option<String>, ConfigError> {
        let value = scheme.value(&read_secret(path)?);
        secret = Some(SecretFile {
            path: path.to_owned(),
            header: AUTHORIZATION.into(),
            scheme,
        });
        Ok(Some(value))
    };
    let authorization = match (&config.auth, &address.credentials) {
        (Auth::None, None) => None,
        (Auth::None, Some((user, password))) => Some(basic(user, password)),
        (_, Some(_)) => {
            let why = "the URL contains credentials too; remove one of them";
            return Err(wrong("auth")(why.into()));
        }
        (Auth::Basic { username, .. } | Auth::BasicFile { username, .. }, None)
            if username.contains(':') =>
        {
            let why = "a user name for basic auth cannot contain a `:`";
            return Err(wrong("auth")(why.into()));
        }
        (Auth::Basic { username, password }, None) => Some(basic(username, password)),
        (Auth::BasicFile { username, path }, None) => {
            from_file(Scheme::Basic(username.clone()), path)?
        }
        (Auth::BearerFile(path), None) => from_file(Scheme::Bearer, path)?,
        (Auth::Bearer(token), None) => {
            if token.is_empty() {
                let why = "the bearer token is empty; omit auth to send none";
                return Err(wrong("auth")(why.into()));
            }
            visible("auth", "the bearer token", token)?;
            Some(Scheme::Bearer.value(token))
        }
    };
    if authorization.is_some() && !address.https && !address.is_loopback() {
        warnings.push(format!(
            "sending credentials to {} over plain HTTP; use https",
            address.host
        ));
    }
    if authorization.is_some() && address.https && config.tls.skip_verify {
        warnings.push(format!(
            "sending credentials to {} without verifying its certificate (tls_skip_verify)",
            address.host
        ));
    }
    headers.extend(authorization.map(|value| (AUTHORIZATION.into(), value)));
    if let Some(tenant) = &config.tenant {
        check_tenant(tenant).map_err(wrong("tenant"))?;
        headers.push((TENANT_HEADER.into(), tenant.clone()));
    }
    for (name, value) in &config.headers {
        if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            let why = format!("{name} is set by loki-push and cannot be overridden");
            return Err(wrong("header")(why));
        }
        visible("header", &format!("the value of {name}"), value)?;
        headers.retain(|(own, _): &(String, String)| !own.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value.clone()));
    }
    Ok((headers, secret))
}

/// Reads a secret from its file, without surrounding white space.
fn read_secret(path: &Path) -> Result<String, ConfigError> {
    let shown = path.display();
    let read = fs::metadata(path).and_then(|meta| match meta.is_file() {
        true if meta.len() <= MAX_SECRET => fs::read_to_string(path),
        true => Err(std::io::Error::other("is too large for a secret")),
        false => Err(std::io::Error::other("is not a regular file")),
    });
    let text = read.map_err(|why| wrong("auth")(format!("cannot read {shown}: {why}")))?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(wrong("auth")(format!("{shown} is empty")));
    }
    visible("auth", &format!("the secret in {shown}"), secret)?;
    Ok(secret.to_owned())
}

/// Checks that a header can carry the value; the error does not show it.
fn visible(setting: &'static str, what: &str, value: &str) -> Result<(), ConfigError> {
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    let why = "contains a character that a header cannot carry, perhaps a line end: trim it";
    Err(wrong(setting)(format!("{what} {why}")))
}

fn at_least(setting: &'static str, value: usize, least: usize) -> Result<usize, ConfigError> {
    if value < least {
        return Err(wrong(setting)(format!("must be at least {least}")));
    }
    Ok(value)
}

fn more_than_none(setting: &'static str, time: Duration) -> Result<Duration, ConfigError> {
    if time.is_zero() {
        return Err(wrong(setting)("must be more than 0".into()));
    }
    Ok(time)
}

/// Makes an error about this setting.
pub fn wrong(setting: &'static str) -> impl FnOnce(String) -> ConfigError {
    move |problem| ConfigError { setting, problem }
}

/// Turns an error of the connection into one about the setting that its text begins with.
pub fn connection_error(error: &anyhow::Error) -> ConfigError {
    let text = format!("{error:#}");
    for setting in ["ca_certificate", "client_certificate", "proxy"] {
        let words = text.strip_prefix("Config::");
        if let Some(problem) = words.and_then(|words| words.strip_prefix(setting)) {
            let problem = problem.trim_start_matches([':', ' ']);
            return wrong(setting)(problem.to_owned());
        }
    }
    wrong("endpoint")(text)
}
