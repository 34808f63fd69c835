//! Reloads certificate and key files when they change, so that the next connection uses a certificate
//! renewed during the run.

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

/// How long to wait before reading files again that could not be used, unless they change earlier.
const RETRY: Duration = Duration::from_secs(10);

/// The maximum number of bytes read from a file.
const LARGEST: u64 = 1024 * 1024;

/// The files that certificates and keys come from. Only regular files are reloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CAs to trust.
    pub authority: Option<PathBuf>,
    /// The client certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// TLS settings that are reloaded when their files change.
pub struct ReloadedTls {
    settings: TlsSettings,
    names: SettingNames,
    state: Mutex<State>,
}

struct State {
    /// Modification time and size of each file when it was last read.
    seen: Vec<Option<Stamp>>,
    /// When to read the files again if they could not be used.
    retry_at: Option<Instant>,
}

/// The modification time and size of a file.
type Stamp = (SystemTime, u64);

impl ReloadedTls {
    /// Creates it from settings that were just read from their files.
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

    /// Returns the new configuration if files have changed. Returns an error, only once, if they cannot be
    /// used: the previous configuration then stays in use, and the files are read again later.
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

/// Reads a file. Returns `None` if it is not a regular file.
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
