//! Settings of batching, retries and the spool, checked.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::batch::BatchLimits;
use crate::cli::args;
use crate::delivery::backoff::Backoff;
use crate::delivery::sender::{CONVINCING, SenderSettings};
use crate::pipeline::{CHUNKS, Settings};
use crate::storage::{checkpoint, spool};

/// The maximum number of threads that compress at once. Two keep a reader busy at the default level; more
/// would only take processors from the writing program.
const ENCODERS: usize = 2;

/// The settings of all stages. `target` names the destination in messages; with `dated` the entries
/// have times of their own.
pub fn settings(
    cli: &args::Cli,
    delivery: SenderSettings,
    target: String,
    dated: bool,
) -> Result<Settings> {
    let sending = &cli.delivery;
    let settings = Settings {
        chunks: CHUNKS,
        shares_buffer: false,
        limits: BatchLimits {
            entries: sending.batch_size as usize,
            bytes: at_least("--batch-bytes", sending.batch_bytes, 1)?,
            age: sending.flush_interval,
        },
        dated,
        gzip_level: if cli.output.dry_run {
            0
        } else {
            sending.gzip_level
        },
        encoders: ENCODERS,
        buffer: at_least("--buffer", sending.buffer, 1)?,
        on_full: sending.on_full,
        delivery,
        limit_rate: sending.limit_rate,
        target,
    };
    if let Some(rate) = sending.limit_rate {
        at_least("--limit-rate", rate, 1)?;
    }
    Ok(settings)
}

/// The default of --flush-timeout.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// The default of --flush-timeout if everything that is not delivered is safe.
const SAFE_FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// The time limit of the flush if everything that is not delivered is safe.
pub fn safe_flush_timeout(sending: &args::Delivery) -> Duration {
    sending.flush_timeout.unwrap_or(SAFE_FLUSH_TIMEOUT)
}

/// How requests are sent and retried.
pub fn delivery(sending: &args::Delivery) -> Result<SenderSettings> {
    let positive = |name: &str, time: Duration| {
        ensure!(!time.is_zero(), "{name} must be more than 0");
        Ok(time)
    };
    Ok(SenderSettings {
        timeout: positive("--timeout", sending.timeout)?,
        backoff: Backoff {
            base: positive("--retry-backoff", sending.retry_backoff)?,
            // A first wait longer than the maximum raises the maximum.
            most: positive("--max-backoff", sending.max_backoff)?.max(sending.retry_backoff),
        },
        max_retries: sending.max_retries,
        connections: usize::from(sending.connections),
        flush_timeout: sending.flush_timeout.unwrap_or(FLUSH_TIMEOUT),
        end_when_hopeless: false,
        convincing: CONVINCING,
        gzip_level: sending.gzip_level,
    })
}

/// The spool; `destination` is None in a dry run.
pub fn spool(
    sending: &args::Delivery,
    input: &args::Input,
    destination: Option<spool::Destination>,
) -> Result<Option<spool::Options>> {
    let Some(dir) = sending.spool.clone() else {
        ensure!(!sending.drains(), "--drain requires --spool DIR");
        return Ok(None);
    };
    let Some(destination) = destination else {
        bail!("--spool cannot be combined with --dry-run: a dry run sends nothing");
    };
    ensure!(
        !dir.as_os_str().is_empty(),
        "--spool requires the name of a directory"
    );
    at_least("--spool-size", sending.spool_size, 1)?;
    let state = input.checkpoint.as_ref().map(std::path::absolute);
    let state = state.transpose().context("--checkpoint")?;
    Ok(Some(spool::Options {
        dir,
        size: sending.spool_size,
        sync: sending.spool_sync,
        destination,
        sending: state.as_deref().map(checkpoint::sending),
        checkpoint: state.map(|path| path.display().to_string()),
        drain: match sending.drain {
            Some(args::DrainArg::Own) => Some(spool::Drain::Own),
            Some(args::DrainArg::All) => Some(spool::Drain::AnyUrl),
            Some(args::DrainArg::Off) | None => None,
        },
    }))
}

fn at_least(name: &str, value: u64, least: u64) -> Result<usize> {
    ensure!(value >= least, "{name} must be at least {least}");
    usize::try_from(value).map_err(|_| anyhow!("{name} is too large for this machine"))
}
