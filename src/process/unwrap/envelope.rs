//! Parses the supported kinds of envelope.

use std::borrow::Cow;

use serde_json::Value;

use crate::parse::level::Level;
use crate::parse::timestamp;
use crate::process::line_envelope::Envelope;

/// A kind of envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Docker's json-file: `{"log":"text\n","stream":"stderr","time":"…Z"}`.
    Docker,
    /// Kubernetes' container runtimes: `2016-10-06T00:17:09.669794202Z stdout F text`.
    Cri,
    /// `journalctl -o json`.
    Journald,
    /// Text before JSON: `web-1  | {…}`, `Jan  1 h app[1]: {…}`, `@cee: {…}`.
    Prefix,
}

impl Kind {
    /// All kinds, in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::Docker, Self::Cri, Self::Journald, Self::Prefix];
}

/// A line without its envelope.
#[derive(Debug)]
pub struct Opened<'a> {
    /// Text of the line.
    pub text: Cow<'a, [u8]>,
    /// The envelope's metadata.
    pub envelope: Envelope,
    /// Whether the line continues in the next one of its stream.
    pub partial: bool,
}

/// Removes an envelope of this kind from a line; `None` if the line has none.
pub fn open(line: &[u8], kind: Kind) -> Option<Opened<'_>> {
    match kind {
        Kind::Docker => docker(line),
        Kind::Cri => cri(line),
        Kind::Journald => journald(line),
        Kind::Prefix => prefixed(line),
    }
}

/// Parses a line that is one JSON object.
fn object(line: &[u8]) -> Option<serde_json::Map<String, Value>> {
    let line = line.trim_ascii();
    if line.first() != Some(&b'{') || line.last() != Some(&b'}') {
        return None;
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

fn docker(line: &[u8]) -> Option<Opened<'_>> {
    let members = object(line)?;
    let text = members.get("log")?.as_str()?;
    let time = members.get("time")?.as_str()?;
    let time = timestamp::from_rfc3339(time)?;
    let partial = !text.ends_with('\n');
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').filter(|_| !partial).unwrap_or(text);
    let attrs = members.get("attrs").and_then(Value::as_object);
    let fields = attrs.into_iter().flatten().map(|(name, value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), value)
    });
    let stream = members.get("stream").and_then(Value::as_str);
    Some(Opened {
        text: Cow::Owned(text.as_bytes().to_vec()),
        envelope: Envelope {
            time: Some(time),
            stream: stream.map(str::to_owned),
            fields: fields.collect(),
            ..Envelope::default()
        },
        partial,
    })
}

fn cri(line: &[u8]) -> Option<Opened<'_>> {
    let (time, rest) = word(line)?;
    let (stream, rest) = word(rest)?;
    if !matches!(stream, b"stdout" | b"stderr") {
        return None;
    }
    let (tags, text) = word(rest).unwrap_or((rest, b""));
    // More tags may follow after colons.
    let partial = match tags.split(|&byte| byte == b':').next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    let time = timestamp::from_rfc3339(std::str::from_utf8(time).ok()?)?;
    Some(Opened {
        text: Cow::Borrowed(text),
        envelope: Envelope {
            time: Some(time),
            stream: Some(String::from_utf8_lossy(stream).into_owned()),
            ..Envelope::default()
        },
        partial,
    })
}

/// Splits at the first space.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memchr(b' ', text)?;
    Some((&text[..space], &text[space + 1..]))
}

/// The members of a journal entry that become fields.
const JOURNAL_FIELDS: [&str; 4] = ["_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_PID", "_HOSTNAME"];

fn journald(line: &[u8]) -> Option<Opened<'_>> {
    let members = object(line)?;
    let message = members.get("MESSAGE")?;
    let time = members.get("__REALTIME_TIMESTAMP");
    let time = time.and_then(|time| match time {
        Value::String(text) => text.parse::<i64>().ok(),
        other => other.as_i64(),
    });
    if time.is_none() && !members.contains_key("PRIORITY") {
        return None;
    }
    let text = match message {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Null => Vec::new(),
        // Text that is not UTF-8 is written as an array of bytes.
        Value::Array(bytes) => bytes
            .iter()
            .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    let value = |name: &str| match members.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let fields = JOURNAL_FIELDS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), value(name)?)));
    Some(Opened {
        text: Cow::Owned(text),
        envelope: Envelope {
            time: time.and_then(|micros| micros.checked_mul(1_000)),
            level: value("PRIORITY")
                .and_then(|priority| priority.parse().ok())
                .filter(|priority| *priority < 8)
                .map(Level::from_syslog),
            fields: fields.collect(),
            ..Envelope::default()
        },
        partial: false,
    })
}

fn prefixed(line: &[u8]) -> Option<Opened<'_>> {
    let text = std::str::from_utf8(line).ok()?;
    if !text.trim_ascii_end().ends_with('}') || text.starts_with('{') {
        return None;
    }
    let brace = text.find('{')?;
    let (prefix, json) = text.split_at(brace);
    let is_one = ["| ", ": ", "] "].iter().any(|end| prefix.ends_with(end));
    if !is_one {
        return None;
    }
    object(json.as_bytes())?;
    Some(Opened {
        text: Cow::Borrowed(json.trim_ascii_end().as_bytes()),
        envelope: Envelope {
            fields: vec![("prefix".into(), prefix.trim_ascii_end().to_owned())],
            inner: brace,
            ..Envelope::default()
        },
        partial: false,
    })
}
