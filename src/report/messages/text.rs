//! The text of each message on standard error.

use std::fmt;
use std::time::Duration;

use crate::report::humanize::{counted, duration, grouped, shell_word, size};
use crate::report::messages::{Message, Remedy, Sanitized};

impl fmt::Display for Message<'_> {
    #[allow(clippy::too_many_lines, reason = "a flat list, a message each")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminal => f.write_str(
                "reading from the terminal: press Ctrl-D to finish (or pipe a program in: app | loki-push)",
            ),
            Self::TroubleBegan {
                target,
                why,
                entries,
            } => write!(
                f,
                "cannot deliver to {target}: {}; retrying{}",
                Sanitized(why),
                match entries {
                    // Only entries of earlier runs are waiting, or those that were have been dropped.
                    0 => String::new(),
                    _ => format!(" ({} waiting)", count(*entries)),
                }
            ),
            Self::TroubleEnded {
                target,
                after,
                entries,
            } => write!(
                f,
                "{target} is accepting entries again after {} ({} waiting)",
                duration(*after),
                counted(*entries, "entry was", "entries were")
            ),
            Self::Denied {
                url,
                status,
                text,
                remedy,
            } => {
                write!(f, "POST {url} returned {status}")?;
                let text = Sanitized(text).to_string();
                if !text.is_empty() {
                    write!(f, " ({text})")?;
                }
                write!(f, ": {remedy}. Will keep retrying at long intervals")
            }
            Self::Barred { target, why } => write!(
                f,
                "cannot deliver to {target}: {} (retrying slowly)",
                Sanitized(why)
            ),
            Self::Dropping {
                place,
                size: full,
                which,
            } => write!(
                f,
                "the {} {place} is full: dropping the {which} entries until Loki accepts some ({}--on-full)",
                size(*full),
                if *place == "spool" {
                    "--spool-size, "
                } else {
                    "--buffer, --spool, "
                }
            ),
            Self::HeldUp { place, size: full } => write!(
                f,
                "the {} {place} is full: reading stops until Loki accepts entries again. Interrupt to \
                 give up; {} more",
                size(*full),
                if *place == "spool" {
                    "a larger --spool-size holds"
                } else {
                    "--spool DIR or a larger --buffer holds"
                }
            ),
            Self::Refused {
                entries,
                status,
                text,
            } => {
                write!(f, "Loki refused {} ({status})", count(*entries as u64))?;
                after_colon(f, text)
            }
            Self::StreamTroubleBegan { stream, url, why } => write!(
                f,
                "POST {url} returned {} for {}: retrying it; other streams are not affected",
                Sanitized(why),
                Sanitized(stream)
            ),
            Self::StreamTroubleEnded { stream, after } => write!(
                f,
                "{} is accepted again after {}",
                Sanitized(stream),
                duration(*after)
            ),
            Self::BadEntry {
                url,
                why,
                times,
                over,
                line,
            } => write!(
                f,
                "refused 1 entry: POST {url} returned {} {times} times over {} for it alone, while \
                 others of its stream were delivered: {}",
                Sanitized(why),
                duration(*over),
                Sanitized(line)
            ),
            Self::RefusedLine { reason, line } => {
                write!(f, "refused ({reason}): {}", Sanitized(line))
            }
            Self::NoPlace { stream, tried } => write!(
                f,
                "Loki's active-stream limit is reached: retrying {} for {}; other streams are not \
                 affected",
                Sanitized(stream),
                duration(*tried)
            ),
            Self::TooManyStreams { most } => write!(
                f,
                "{} reached (--max-streams): new values of --label-field stay fields",
                counted(*most as u64, "label set", "label sets")
            ),
            Self::TooManyLabels { most } => write!(
                f,
                "{most} labels reached (Loki's limit for a stream): other values of --label-field stay \
                 fields, and other groups of --path-labels make no label"
            ),
            Self::GaveUp {
                entries,
                retries,
                why,
            } => write!(
                f,
                "gave up on {} after {} (--max-retries): {}; further ones are only counted until Loki \
                 accepts entries",
                count(*entries as u64),
                counted(u64::from(*retries), "retry", "retries"),
                Sanitized(why)
            ),
            Self::Retry { status, text, wait } => {
                f.write_str("retrying in ")?;
                f.write_str(&duration(*wait))?;
                match status {
                    Some(status) => after_colon(f, &format!("{status} {text}")),
                    None => after_colon(f, text),
                }
            }
            Self::Request {
                url,
                entries,
                bytes,
                outcome,
                took,
            } => write!(
                f,
                "POST {url}: {}, {}: {outcome} after {}",
                counted(*entries as u64, "entry", "entries"),
                size(*bytes as u64),
                duration(*took)
            ),
            Self::Settled {
                number,
                requests,
                entries,
                bytes,
                took,
            } => write!(
                f,
                "batch {number}: {}, {}, {}, {}",
                count(*entries as u64),
                counted(*requests as u64, "request", "requests"),
                size(*bytes as u64),
                duration(*took)
            ),
            Self::ClockSetBack { by } => write!(
                f,
                "the clock was set back by {}; timestamps follow it, so entries may sort before \
                 earlier ones",
                duration(*by)
            ),
            Self::EntryFull { room } => write!(
                f,
                "a multi-line entry reached {} and was closed; the lines that follow become entries \
                 of their own (--multiline, --max-line-size)",
                size(*room as u64)
            ),
            Self::SpawnError { command, why } => {
                write!(f, "cannot run {}: {}", Sanitized(command), Sanitized(why))
            }
            Self::Unwatched { command, why } => write!(
                f,
                "cannot determine how {} ended: {}",
                Sanitized(command),
                Sanitized(why)
            ),
            Self::LeftBehind { command, holders } => write!(
                f,
                "{} has ended, but {} its output open; what is written to it from here on is not \
                 shipped, and may end the writer with SIGPIPE",
                Sanitized(command),
                match holders {
                    [] => "another process still holds".to_owned(),
                    [holder] => format!("{} still holds", Sanitized(holder)),
                    holders => format!("{} still hold", Sanitized(&holders.join(", "))),
                }
            ),
            Self::ThreadFailed { thread } => write!(
                f,
                "internal error: the {thread} thread has failed; what it had not handed on is not \
                 delivered. Please report this"
            ),
            Self::Unwritable { what, why } => write!(f, "cannot write {what}: {why}"),
            Self::UnreadableTimes { what, line } => write!(
                f,
                "{} was not shipped: no time can be read in its first lines, which begin with `{}`; \
                 use --time-format to describe it, or --time arrival",
                Sanitized(what),
                Sanitized(line)
            ),
            Self::Untimed { what, line } => write!(
                f,
                "no time can be read in the lines of {}, which begin with `{}`; they get the time of \
                 arrival. Use --time-format to describe it",
                Sanitized(what),
                Sanitized(line)
            ),
            Self::ZoneOff {
                what,
                minutes,
                zone,
            } => write!(
                f,
                "the times in {} are {} {} the clock: if they are in another time zone, use \
                 --time-zone {zone}",
                Sanitized(what),
                duration(Duration::from_secs(minutes.unsigned_abs() * 60)),
                if *minutes > 0 { "behind" } else { "ahead of" },
            ),
            Self::RefusedTimesOff { minutes } => write!(
                f,
                "the times of refused entries are about {} {} the clock: if they are in another time \
                 zone, set --time-zone",
                duration(Duration::from_secs(minutes.unsigned_abs() * 60)),
                if *minutes > 0 { "ahead of" } else { "behind" },
            ),
            Self::TimesFound {
                what,
                form: Some(form),
                timed,
                lines,
            } => write!(
                f,
                "times in {}: {form}, found in {timed} of {}",
                Sanitized(what),
                counted(*lines, "line", "lines")
            ),
            Self::TimesFound {
                what,
                form: None,
                lines,
                ..
            } => write!(
                f,
                "times in {}: none found in {}",
                Sanitized(what),
                counted(*lines, "line", "lines")
            ),
            Self::Unreadable { what, why } => {
                write!(f, "cannot read {}: {}", Sanitized(what), Sanitized(why))
            }
            Self::Spoiled {
                file,
                why,
                damaged: true,
            } => write!(
                f,
                "damaged spool file ({}): not sent, kept as {file}",
                Sanitized(why)
            ),
            Self::Spoiled {
                file,
                why,
                damaged: false,
            } => write!(
                f,
                "cannot read the spool file {file}: {}; it stays there for the next run",
                Sanitized(why)
            ),
            Self::SpoolLeft {
                folder,
                why,
                in_the_way,
            } => write!(
                f,
                "the batches in {folder} are left there: {}; {}",
                Sanitized(why),
                if *in_the_way {
                    "remove that, and the next run delivers them"
                } else {
                    "the next run tries again"
                }
            ),
            Self::Adopting { entries, spool } => write!(
                f,
                "taking over {} of earlier runs from {spool}",
                count(*entries as u64)
            ),
            Self::SpoolFailing { spool, why } => write!(
                f,
                "cannot write to the spool {spool}: {}; keeping entries in memory only (--buffer) \
                 until it can be written to",
                Sanitized(why)
            ),
            Self::SpoolMended { spool } => write!(f, "the spool {spool} is writable again"),
            Self::SpoolOpenToOthers { spool, why } => {
                write!(f, "others can change what is in the spool {spool} ({why})")
            }
            Self::SpoolStrangers { spool, names } => write!(
                f,
                "not used in the spool {spool}, since others can write to it: {names}"
            ),
            Self::SpoolFullOfOthers { spool, size: full } => write!(
                f,
                "the spool {spool} is full of entries of other runs (--spool-size {}): keeping \
                 entries in memory only (--buffer) until there is room",
                size(*full)
            ),
            Self::Spooled { entries, spool } => write!(
                f,
                "{} kept in {spool}; the next run with this spool, or loki-push --drain, delivers {}",
                count(*entries),
                if *entries == 1 { "it" } else { "them" }
            ),
            Self::LeftInFiles { entries } => write!(
                f,
                "{} not delivered; the next run with this --checkpoint resumes there",
                count(*entries)
            ),
            Self::OtherDestination {
                spool,
                destination,
                remedy,
            } => write!(
                f,
                "{spool} also holds entries for {destination}; {remedy}"
            ),
            Self::SpoolInUse { spool, processes } => write!(
                f,
                "{spool} also holds entries of running loki-push processes, which deliver them \
                 themselves: {processes}"
            ),
            Self::DeadLetterFailing { file, why } => write!(
                f,
                "cannot write refused entries to {file}: {}; from now on they are only counted \
                 (--dead-letter)",
                Sanitized(why)
            ),
            Self::Delivered { entries, query } => {
                write!(f, "{} delivered; to see them: {query}", count(*entries))
            }
            Self::Missing {
                target,
                refused,
                dropped,
                left,
                why,
                remedy,
            } => missing(f, target, [*refused, *dropped, *left], *why, *remedy),
            Self::Summary { line } | Self::Progress { line } => f.write_str(line),
            Self::Failed { why } => write!(f, "{}", Sanitized(why)),
            Self::Warning { text } => f.write_str(text),
            of_files => fmt_of_files(of_files, f),
        }
    }
}

/// The text of messages about followed files and their checkpoint.
fn fmt_of_files(message: &Message<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match message {
        Message::CheckpointFailed { what, why } => write!(
            f,
            "cannot write checkpoint {}: {}; retrying. Until it succeeds, the next run would ship \
             these lines again",
            Sanitized(what),
            Sanitized(why)
        ),
        Message::Interrupted { what } => write!(
            f,
            "interrupted before the end of {}; use --checkpoint to resume there",
            Sanitized(what)
        ),
        Message::Awaited { what } => write!(
            f,
            "waiting for {} to appear (it does not exist yet)",
            Sanitized(what)
        ),
        Message::AwaitedAgain { what } => {
            write!(
                f,
                "{} is gone: waiting for it to appear again",
                Sanitized(what)
            )
        }
        Message::AwaitedPattern { what, why: None } => write!(
            f,
            "no file matches {} yet: waiting for one to appear",
            Sanitized(what)
        ),
        Message::AwaitedPattern {
            what,
            why: Some(why),
        } => write!(
            f,
            "no file matches {} yet ({}): waiting for one to appear",
            Sanitized(what),
            Sanitized(why)
        ),
        Message::Replaced { what } => write!(f, "{} was replaced by a new file", Sanitized(what)),
        Message::Truncated { what } => write!(
            f,
            "{} was truncated: reading from the beginning",
            Sanitized(what)
        ),
        Message::PredecessorGone { what } => write!(
            f,
            "{} was replaced and the previous file is gone (removed or compressed?): lines written \
             to it after the last run are lost (with logrotate, `delaycompress` keeps them)",
            Sanitized(what)
        ),
        Message::NotUtf8 { what: "-" } => f.write_str(
            "standard input is not UTF-8: invalid bytes are shipped as U+FFFD; to convert it, use \
             `iconv -f latin1 -t utf-8 | loki-push` (with its real encoding)",
        ),
        Message::NotUtf8 {
            what: what @ ("the command's stdout" | "the command's stderr"),
        } => write!(
            f,
            "{what} is not UTF-8: invalid bytes are shipped as U+FFFD; to convert it, use \
             `COMMAND 2>&1 | iconv -f latin1 -t utf-8 | loki-push` (with its real encoding)",
        ),
        Message::NotUtf8 { what: "--message" } => {
            f.write_str("--message is not UTF-8: invalid bytes are shipped as U+FFFD")
        }
        Message::NotUtf8 { what } => write!(
            f,
            "{} is not UTF-8: invalid bytes are shipped as U+FFFD; to convert it, use \
             `iconv -f latin1 -t utf-8 {} | loki-push` (with its real encoding)",
            Sanitized(what),
            Sanitized(&shell_word(what))
        ),
        Message::BytesLost { what, bytes } => write!(
            f,
            "{} of {} lost: truncated or deleted before they were read, and no copy was found \
             beside it (with logrotate, `delaycompress` or a larger `rotate` keeps files longer)",
            counted(*bytes, "byte", "bytes"),
            Sanitized(what)
        ),
        // The caller formats all other messages.
        _ => Ok(()),
    }
}

fn missing(
    f: &mut fmt::Formatter<'_>,
    target: &str,
    [refused, dropped, left]: [u64; 3],
    why: Option<&str>,
    remedy: Remedy,
) -> fmt::Result {
    let entries = count(refused + dropped + left);
    let unsent = if remedy == Remedy::Output {
        write!(f, "{entries} not printed:")?;
        "left"
    } else {
        write!(f, "{entries} not delivered to {target}:")?;
        "not sent"
    };
    let mut comma = "";
    for (n, what) in [
        (refused, "refused by Loki"),
        (dropped, "dropped"),
        (left, unsent),
    ] {
        if n > 0 {
            write!(f, "{comma} {} {what}", grouped(n))?;
            comma = ",";
        }
    }
    if left > 0 {
        if let Some(why) = why {
            write!(f, " ({})", Sanitized(why))?;
        }
        f.write_str(match remedy {
            Remedy::Reach => {
                "; check that Loki is running and --url is correct, increase --flush-timeout, or use \
                 --spool DIR to keep entries for the next run"
            }
            Remedy::Mend => {
                "; use --spool DIR to keep entries for a later run until this is fixed"
            }
            Remedy::SpoolSize => {
                "; check that Loki is running and --url is correct, and make the spool larger \
                 (--spool-size, or free space on its disk)"
            }
            Remedy::Output => "; check where standard output goes",
        })?;
    }
    Ok(())
}

/// `1 entry`, `2 entries`.
fn count(entries: u64) -> String {
    counted(entries, "entry", "entries")
}

/// `: text`, or nothing if there is none.
fn after_colon(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    match Sanitized(text).to_string().as_str() {
        "" => Ok(()),
        text => write!(f, ": {text}"),
    }
}
