//! Checks a client's configuration and works it out into what the pipeline needs.
//!
//! Knows every rule between settings. Starts nothing, opens nothing, shows no secret.

use std::time::Duration;

use crate::batch::BatchLimits;
use crate::client::config::{Config, ConfigError, OnFull};
use crate::client::connection::Auth;
use crate::delivery::backoff::Backoff;
use crate::delivery::queue;
use crate::delivery::sender::SenderSettings;
use crate::entry::labels;
use crate::entry::labels::Labels;
use crate::http::client::{HttpSettings, Scheme, SettingNames};
use crate::http::url::PushUrl;
use crate::pipeline::Settings;

/// Requests of one batch under way at once; they belong to different levels.
const CONNECTIONS: usize = 4;

/// The least that `max_message_size` may be: room for a message beside a short field.
const LEAST_MESSAGE: usize = 64;

/// The most: places in a chunk are kept in 32 bits.
const MOST_MESSAGE: usize = 1 << 30;

/// A configuration that holds.
pub struct ValidConfig {
    /// How the stages are set.
    pub settings: Settings,
    /// The way to Loki.
    pub connection: HttpSettings,
    /// The labels of all entries; each has its level beside them.
    pub labels: Labels,
    /// What is allowed but not wise.
    pub warnings: Vec<String>,
}

/// Checks a configuration.
pub fn check(config: &Config) -> Result<ValidConfig, ConfigError> {
    let address = PushUrl::parse(&config.endpoint).map_err(wrong("endpoint"))?;
    let mut warnings = Vec::new();
    let headers = headers(config, &address, &mut warnings)?;
    let connection = HttpSettings {
        url: address.push.clone(),
        headers,
        secret: None,
        timeout: more_than_none("timeout", config.timeout)?,
        connections: CONNECTIONS,
        tls: config.tls.clone(),
        proxy: config.proxy.clone().filter(|_| !address.is_loopback()),
        no_proxy: address.is_loopback(),
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
        let why = format!("{level} is no gzip level; choose 1 (fast) to 9 (small), or 0 for none");
        return Err(wrong("gzip_level")(why));
    }
    let (base, most) = (config.retry_backoff, config.max_backoff);
    if more_than_none("max_backoff", most)? < more_than_none("retry_backoff", base)? {
        let why = format!("{most:?} is shorter than retry_backoff ({base:?}); give it more");
        return Err(wrong("max_backoff")(why));
    }
    let buffer = at_least("buffer", config.buffer, 1)?;
    Ok(Settings {
        chunks: buffer / 4,
        limits,
        // An entry may bring its own time.
        dated: true,
        gzip_level: level,
        sealers: 1,
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
            gzip_level: level,
        },
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
    for (name, value) in &config.labels {
        labels::check_name(name).map_err(wrong("label"))?;
        labels::check_value(value).map_err(|why| wrong("label")(format!("`{name}`: {why}")))?;
        if name == "level" {
            let why = "`level` is given by each entry; leave it out".into();
            return Err(wrong("label")(why));
        }
        pairs.push((name, value));
    }
    Ok(Labels::new(pairs))
}

fn headers(
    config: &Config,
    address: &PushUrl,
    warnings: &mut Vec<String>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let basic = |user: &str, password: &str| Scheme::Basic(user.to_owned()).value(password);
    let mut headers = Vec::new();
    let authorization = match (&config.auth, &address.credentials) {
        (Auth::None, None) => None,
        (Auth::None, Some((user, password))) => Some(basic(user, password)),
        (_, Some(_)) => {
            let why = "there are credentials in the address too; take one of them out";
            return Err(wrong("auth")(why.into()));
        }
        (Auth::Basic { username, .. }, None) if username.contains(':') => {
            let why = "a user name for basic auth cannot hold a `:`; it would end there";
            return Err(wrong("auth")(why.into()));
        }
        (Auth::Basic { username, password }, None) => Some(basic(username, password)),
        (Auth::Bearer(token), None) => {
            if token.is_empty() {
                let why = "the bearer token is empty; leave auth out to send none";
                return Err(wrong("auth")(why.into()));
            }
            visible("auth", "the bearer token", token)?;
            Some(Scheme::Bearer.value(token))
        }
    };
    if authorization.is_some() && !address.https && !address.is_loopback() {
        warnings.push(format!(
            "credentials go to {} over plain http, readable on the way; use https",
            address.host
        ));
    }
    headers.extend(authorization.map(|value| ("Authorization".into(), value)));
    if let Some(tenant) = &config.tenant {
        visible("tenant", "the tenant", tenant)?;
        headers.push(("X-Scope-OrgID".into(), tenant.clone()));
    }
    Ok(headers)
}

/// Checks that a header can carry it; does not show it.
fn visible(setting: &'static str, what: &str, value: &str) -> Result<(), ConfigError> {
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    let why = "holds a character that a header cannot carry, perhaps a line end: trim it";
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

/// An error of this setting.
pub fn wrong(setting: &'static str) -> impl FnOnce(String) -> ConfigError {
    move |problem| ConfigError { setting, problem }
}

/// What is wrong with a connection, by the setting that its words begin with.
pub fn of_connection(error: &anyhow::Error) -> ConfigError {
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
