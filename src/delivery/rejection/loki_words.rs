//! Tells Loki's own messages from those of gateways and proxies.

/// Stems of the messages with which Loki's parser, distributor and ingesters refuse entries, streams
/// or labels.
///
/// Messages about the tenant, or about a request that was damaged in transit (`unexpected EOF`,
/// `mime: no media type`), are not among them: neither is about an entry.
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

/// Stems of the messages that Loki sends with a 500 when some of its parts are down.
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

/// Whether the text of a 400 comes from Loki and refuses an entry, a stream or labels.
pub fn is_from_loki(text: &str) -> bool {
    // An HTML page may contain any text.
    let is_page = text.trim_start().starts_with('<');
    let listed = text.starts_with("entry with timestamp ") && text.contains(" ignored, reason: '");
    !is_page && (listed || REFUSALS.iter().any(|stem| text.contains(stem)))
}

/// Whether the text of a 5xx is Loki's message that some of its parts are down, which no entry can
/// cause. Two messages are excluded because they would come for ever: a message that is larger than
/// an ingester accepts, and an empty metadata name.
pub fn is_lokis_outage(text: &str) -> bool {
    let stays = [
        "message larger than max",
        "label name is empty",
        "resulted in invalid name",
    ];
    let has = |stems: &[&str]| stems.iter().any(|stem| text.contains(stem));
    has(&OUTAGES) && !has(&stays)
}
