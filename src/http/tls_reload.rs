//! Certificates and keys in files, read again when these change: a renewal during a run is used for
//! the next connection.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use rustls::ClientConfig;

use crate::http::setting_names::SettingNames;
use crate::http::settings::TlsSettings;
use crate::http::tls::client_config;

/// When files that do not fit together are read again, if they do not change before.
const RETRY: Duration = Duration::from_secs(10);

/// The most that is read of a file.
const LARGEST: u64 = 1024 * 1024;

/// Where certificates and keys come from. What is no regular file is never read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CAs to trust.
    pub authority: Option<PathBuf>,
    /// Our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// TLS settings that follow their files.
pub struct ReloadedTls {
    settings: TlsSettings,
    names: SettingNames,
    state: Mutex<State>,
}

struct State {
    /// How the files looked when they were last read.
    seen: Vec<Option<Stamp>>,
    /// When to read them again, if they did not fit together.
    retry_at: Option<Instant>,
}

/// When a file was last changed, and its size.
type Stamp = (SystemTime, u64);

impl ReloadedTls {
    /// Settings as they were read from their files.
    pub fn new(settings: TlsSettings, names: SettingNames) -> Self {
        let seen = settings.files.stamps();
        Self {
            settings,
            names,
            state: Mutex::new(State {
                seen,
                retry_at: None,
            }),
        }
    }

    /// What to use from now on, if files have changed. An error, once, if they cannot be used: what
    /// they held before stays in use, and they are read again in a while.
    pub fn changed(&self, now: Instant) -> Option<Result<Arc<ClientConfig>>> {
        let seen = self.settings.files.stamps();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state.retry_at.is_some_and(|at| at <= now);
        if seen == state.seen && !is_due {
            return None;
        }
        state.seen = seen;
        let read = self.settings.read_again();
        match read.and_then(|settings| client_config(&settings, &self.names)) {
            Ok(config) => {
                state.retry_at = None;
                Some(Ok(config))
            }
            Err(error) => {
                let is_new = state.retry_at.replace(now + RETRY).is_none();
                is_new.then_some(Err(error))
            }
        }
    }
}

impl TlsFiles {
    fn stamps(&self) -> Vec<Option<Stamp>> {
        let client = self.client.iter().flat_map(|(cert, key)| [cert, key]);
        self.authority
            .iter()
            .chain(client)
            .map(|path| stamp(path))
            .collect()
    }
}

impl TlsSettings {
    fn read_again(&self) -> Result<Self> {
        let mut settings = self.clone();
        if let Some(path) = &self.files.authority {
            settings.authority = read(path)?.or(settings.authority);
        }
        if let (Some((cert, key)), Some(former)) = (&self.files.client, &self.client) {
            let cert = read(cert)?.unwrap_or_else(|| former.0.clone());
            let key = read(key)?.unwrap_or_else(|| former.1.clone());
            settings.client = Some((cert, key));
        }
        Ok(settings)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// Reads a regular file; None if it is not one.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let shown = || format!("cannot read {}", path.display());
    if !fs::metadata(path).with_context(shown)?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).with_context(shown)?;
    file.take(LARGEST)
        .read_to_end(&mut bytes)
        .with_context(shown)?;
    Ok(Some(bytes))
}
