//! Labels, level, fields, layout and time of entries, checked.

use crate::cli::args;
use crate::cli::config::regex::path_labels;
use crate::cli::config::time_zone;
use crate::entry::labels;
use crate::entry::labels::Labels;
use crate::parse::fields;
use crate::parse::fields::Parse;
use crate::parse::level;
use crate::parse::level::Level;
use crate::parse::timestamp::{Format, TimeOptions};
use crate::process::entry_builder::{LabelField, StreamLimit};
use crate::process::options::{EntryOptions, MAX_LABELS, TimeSource, counted_labels};
use crate::process::redact::Redactor;
use crate::report::messages::Reporter;
use anyhow::{Result, anyhow, bail, ensure};
use std::sync::Arc;

/// The options of every entry. `app` is the default of its label `app`.
pub(super) fn entry_options(
    given: &args::Labels,
    app: String,
    redactor: Option<Arc<Redactor>>,
    max_line: u64,
    delivery: &args::Delivery,
    reports_times: bool,
    reporter: Reporter,
) -> Result<EntryOptions> {
    // A stream needs at least one label.
    let name = given.app.clone().filter(|name| !name.is_empty());
    let mut pairs = vec![("app".to_owned(), name.unwrap_or(app))];
    pairs.extend(given.env.clone().map(|env| ("env".to_owned(), env)));
    if let Some(host) = host(given.host.as_deref())? {
        pairs.push(("host".to_owned(), host));
    }
    for (name, value) in &pairs {
        labels::check_value(value).map_err(|why| anyhow!("--{name}: {why}"))?;
    }
    for text in &given.label {
        pairs.extend(labels::parse(text).map_err(|why| anyhow!("--label: {why}"))?);
    }
    if let Some(redactor) = &redactor {
        for (_, value) in &mut pairs {
            *value = redactor.redact(value).into_owned();
        }
    }
    let path_labels = match &given.path_labels {
        None => None,
        Some(pattern) => {
            // A label that the user set replaces the default.
            let set = if given.app.is_none() {
                &pairs[1..]
            } else {
                &pairs[..]
            };
            let is_set = |name: &str| set.iter().any(|(own, _)| own == name);
            Some(Arc::new(path_labels(pattern, is_set)?))
        }
    };
    let labels = Labels::new(pairs);
    let (parse, layout) = (given.parse, given.layout);
    let label_fields = given.label_field.iter().map(|text| read_label_field(text));
    let time = time_source(given)?;
    let reads_fields = !given.label_field.is_empty() || matches!(time, TimeSource::Field(..));
    ensure!(
        !(parse == Parse::None && reads_fields),
        "--parse none reads no fields: it cannot be combined with --label-field or --time FIELD"
    );
    let mut shape = EntryOptions {
        level: given.level.as_deref().map(read_level).transpose()?,
        // A level that is set as a plain label is the same for all entries.
        read_level: labels.get("level").is_none(),
        labels,
        fields: given
            .field
            .iter()
            .map(|text| read_field(text, redactor.as_deref()))
            .collect::<Result<_>>()?,
        max_line: 0,
        parse,
        layout,
        label_fields: label_fields.collect::<Result<_>>()?,
        stream_limit: Arc::new(StreamLimit::new(given.max_streams as usize, reporter)),
        time,
        uses_envelope_time: given.time.is_none(),
        redactor,
        path_labels,
        hold_time: delivery.flush_interval,
        reports_times,
    };
    // Every entry needs space for a character next to the appended fields.
    let least = shape.suffix().len() as u64 + 4;
    ensure!(
        max_line >= least,
        "--max-line-size {max_line} is too small: an entry needs at least {least} bytes here"
    );
    // Offsets in a chunk have 32 bits.
    ensure!(max_line <= 1 << 30, "--max-line-size must be at most 1GiB");
    shape.max_line = max_line as usize;
    Ok(shape)
}

/// Where times come from, and how they are read.
fn time_source(given: &args::Labels) -> Result<TimeSource> {
    let format = given.time_format.as_deref().map(|text| {
        Format::new(text).map_err(|why| anyhow!("--time-format: `{}`: {why}", text.escape_debug()))
    });
    let format = format.transpose()?;
    // The zone is only looked up if it is used: TZ may name one whose file is missing.
    let time = given.time.as_deref().unwrap_or("arrival");
    if time == "arrival" && format.is_none() && given.time_zone == "local" {
        return Ok(TimeSource::Arrival);
    }
    let zone = time_zone::named(&given.time_zone).map_err(|why| anyhow!("--time-zone: {why}"))?;
    let implied = format.is_some();
    let options = Arc::new(TimeOptions { zone, format });
    Ok(match time {
        "arrival" if !implied => TimeSource::Arrival,
        "arrival" | "auto" | "prefix" => TimeSource::Line(options),
        "" => bail!("--time must be arrival, auto or the name of a field"),
        field => TimeSource::Field(field.to_owned(), options),
    })
}

/// A warning if the labels of every entry are more than Loki accepts by default. Labels made of
/// fields and paths keep to that limit by themselves.
pub(super) fn label_count_warning(shape: &EntryOptions) -> Option<String> {
    let count = counted_labels(&shape.labels);
    (count > MAX_LABELS).then(|| {
        format!(
            "{count} label names exceed Loki's default limit of {MAX_LABELS}: it will refuse all \
             entries; turn some into fields (-k)"
        )
    })
}

/// The value of the label `host`: this machine's name, or the one given. The variable's `true` and
/// `false` mean the option without a name, and none.
fn host(given: Option<&str>) -> Result<Option<String>> {
    let name = match given {
        None | Some("false") => return Ok(None),
        Some("true") => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        Some(name) => name.to_owned(),
    };
    ensure!(!name.is_empty(), "--host: the name is empty");
    Ok(Some(name))
}

fn read_label_field(name: &str) -> Result<LabelField> {
    let label = fields::label_name(name).ok_or_else(|| {
        anyhow!(
            "--label-field: `{}` is not a valid label name: use letters, digits and `_`, and do not \
             start with a digit or `__`",
            name.escape_debug()
        )
    })?;
    Ok(LabelField {
        field: name.to_owned(),
        label: label.into_owned(),
    })
}

fn read_level(text: &str) -> Result<Level> {
    level::from_value(text).ok_or_else(|| {
        anyhow!(
            "--level: `{}` is not a level: use one of trace, debug, info, warn, error, critical, fatal",
            text.escape_debug()
        )
    })
}

fn read_field(text: &str, redactor: Option<&Redactor>) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        anyhow!(
            "--field: `{}` has no `=`: write KEY=VALUE",
            text.escape_debug()
        )
    })?;
    let mut bytes = name.bytes();
    let begins = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    ensure!(
        begins && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')),
        "--field: `{}` is not a valid field name: use letters, digits, `_`, `.` and `-`, and start \
         with a letter",
        name.escape_debug()
    );
    let value = match redactor {
        Some(redactor) => redactor.redact(value).into_owned(),
        None => value.to_owned(),
    };
    Ok((name.to_owned(), value))
}
