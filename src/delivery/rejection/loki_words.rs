//! Loki's own words, told from those of whatever stands between. Pure.

/// The beginnings and stems of the messages with which Loki refuses entries, streams or their
/// labels: what the parser, the distributor and an ingester say.
///
/// Not among them is what Loki says of the tenant, and what it says of a request that was mangled on
/// its way (`unexpected EOF`, `mime: no media type`): neither is about an entry.
const REFUSALS: [&str; 20] = [
    "couldn't parse labels: ",
    "could not parse labels",
    "reserved label",
    "Value looks like ",
    "loghttp.",
    " label names; limit ",
    "label name too long",
    "label value too long",
    "duplicate label name",
    "at least one label pair is required",
    "missing required labels",
    "has timestamp too old: ",
    "has timestamp too new: ",
    "max entry size '",
    "includes structured metadata, but this feature is disallowed",
    "structured metadata too large",
    "too many structured metadata labels",
    "entry too far behind",
    "entry out of order",
    "ingestion blocked for user",
];

/// Stems of what Loki answers, with a 500, when parts of it are down.
const OUTAGES: [&str; 12] = [
    "empty ring",
    "live replicas required",
    "unhealthy instances",
    "rpc error: code = ",
    "ngester is shutting down",
    "ngester is read-only",
    "ngester is read only",
    "context canceled",
    "context deadline exceeded",
    "error while processing request: ",
    "circuit breaker open",
    "The server cannot accept more requests",
];

/// Whether the text of a 400 is Loki's, and refuses something.
pub fn is_from_loki(text: &str) -> bool {
    // A page may quote anything.
    let is_page = text.trim_start().starts_with('<');
    let listed = text.starts_with("entry with timestamp ") && text.contains(" ignored, reason: '");
    !is_page && (listed || REFUSALS.iter().any(|stem| text.contains(stem)))
}

/// Whether the text of a 5xx is what Loki says when parts of it are down, which no entry can cause:
/// all its words but those of the two errors that stay for ever (a message larger than an ingester
/// accepts, and a metadata name that is empty).
pub fn is_lokis_outage(text: &str) -> bool {
    let stays = [
        "message larger than max",
        "label name is empty",
        "resulted in invalid name",
    ];
    let has = |stems: &[&str]| stems.iter().any(|stem| text.contains(stem));
    has(&OUTAGES) && !has(&stays)
}
