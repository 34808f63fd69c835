//! Opens the files that a run keeps on disk: spool, checkpoint and dead letter.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::cli::config::{Config, Input};
use crate::pipeline::Storage;
use crate::report::messages::{Message, Reporter, Verbosity};
use crate::storage::checkpoint::{self, Checkpoint};
use crate::storage::dead_letter::{self, DeadLetter};
use crate::storage::file_identity::FileRecord;
use crate::storage::spool::{Relation, Spool};

/// Opens the spool, the checkpoint and the dead letter file.
///
/// # Errors
/// If one of them cannot be opened, or two options name the same file.
pub(super) fn open_stores(config: &Config, reporter: Reporter) -> Result<Storage> {
    check_files_differ(config)?;
    let spool = config.spool.clone();
    let spool = spool
        .map(|options| Spool::open(options, reporter))
        .transpose()?;
    // A dry run delivers nothing, so it must not change any of them.
    let writable = config.connection.is_some();
    let checkpoint = open_checkpoint(config, spool.as_ref(), writable, reporter)?;
    let dead_letter = config.dead_letter.as_deref().filter(|_| writable);
    let dead_letter = dead_letter.map(|path| DeadLetter::open(path, reporter));
    Ok(Storage {
        spool: spool.map(Arc::new),
        checkpoint: checkpoint.map(Arc::new),
        drain: config.input == Input::Drain,
        dead_letter: dead_letter.transpose()?.map(Arc::new),
    })
}

/// Checks that no two options name the same file: each would overwrite what the other keeps.
fn check_files_differ(config: &Config) -> Result<()> {
    let files = written_files(config);
    for (n, (option, path)) in files.iter().enumerate() {
        for (other, other_path) in &files[..n] {
            if option != other && is_same_file(path, other_path) {
                bail!(
                    "{other} and {option} would both write {}: give them different files",
                    path.display()
                );
            }
        }
        if let Input::Files(input) = &config.input
            && input.names.iter().any(|name| is_same_file(path, name))
        {
            bail!(
                "{option} would overwrite the input {}: give it another file",
                path.display()
            );
        }
    }
    Ok(())
}

/// The files that a run writes, with their options.
fn written_files(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let mut files = Vec::new();
    if let Input::Files(input) = &config.input
        && let Some(path) = &input.checkpoint
    {
        let paths = checkpoint::files_of(path);
        files.extend(paths.map(|path| ("--checkpoint", path)));
    }
    if let Some(spool) = &config.spool {
        files.push(("--spool", spool.dir.clone()));
    }
    let dead_letter = config.dead_letter.clone();
    let dead_letter = dead_letter.filter(|path| path != Path::new(dead_letter::STDERR));
    files.extend(dead_letter.map(|path| ("--dead-letter", path)));
    let metrics_file = config.metrics_file.clone();
    files.extend(metrics_file.map(|path| ("--metrics-file", path)));
    files
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| {
        let meta = fs::symlink_metadata(path).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    // Whether or not it exists yet.
    let resolved = |path: &Path| {
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        let above = fs::canonicalize(above.unwrap_or(Path::new("."))).ok()?;
        Some(above.join(path.file_name()?))
    };
    let is_same = |one: Option<_>, other| one.is_some() && one == other;
    one == other
        || is_same(resolved(one), resolved(other))
        || inode(one).is_some() && inode(one) == inode(other)
}

/// Reports the batches in the spool that this run did not deliver: after a drain all of them,
/// otherwise those that only need another token.
pub(super) fn report_other_batches(spool: &Spool, config: &Config, reporter: Reporter) {
    let drain = config.input == Input::Drain;
    for other in spool.other_destinations(drain || config.loudness == Verbosity::Verbose) {
        let dir = other.spool.display().to_string();
        let dir = dir.as_str();
        let remedy = if drain && other.relation == Relation::OtherUrl {
            "use --drain=all to deliver them to the URL of this run".to_owned()
        } else {
            format!(
                "to deliver them: loki-push --drain --spool {dir} {}",
                other.options
            )
        };
        reporter.say(&Message::OtherDestination {
            spool: dir,
            destination: &other.destination,
            remedy: &remedy,
        });
    }
    let holders = if drain { spool.holders() } else { Vec::new() };
    if !holders.is_empty() {
        let processes: Vec<String> = holders.iter().map(u32::to_string).collect();
        reporter.say(&Message::SpoolInUse {
            spool: &spool.dir().display().to_string(),
            processes: &processes.join(", "),
        });
    }
}

/// Opens the checkpoint, to update it or only to read it. Positions in the spool take precedence.
pub(super) fn open_checkpoint(
    config: &Config,
    spool: Option<&Spool>,
    writable: bool,
    reporter: Reporter,
) -> Result<Option<Checkpoint>> {
    let Input::Files(files) = &config.input else {
        return Ok(None);
    };
    let Some(path) = &files.checkpoint else {
        return Ok(None);
    };
    let checkpoint = Checkpoint::open(path, writable, reporter)?;
    if let Some(spool) = spool {
        let positions = spool.positions();
        let states = positions.iter().filter_map(FileRecord::from_json);
        states.for_each(|state| checkpoint.merge_newer(state));
    }
    Ok(Some(checkpoint))
}
