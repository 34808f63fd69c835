//! Parses Loki's limits out of its answers: what a 429 limits, and whether a request is too large.

/// What a 429 limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::enum_variant_names,
    reason = "a stream limit is what Loki calls it"
)]
pub enum Limit {
    /// The tenant's rate at one distributor. Nothing of the request was stored. The text does
    /// not name the burst; a request above it is never accepted.
    Throttle {
        /// Bytes per second, of lines and metadata.
        limit: u64,
    },
    /// The rate of one stream at an ingester.
    StreamRate {
        /// Bytes per second, of lines and metadata.
        limit: u64,
    },
    /// The tenant's number of active streams; a stream stops counting after half an hour of silence.
    StreamLimit,
    /// Any other limit, such as a proxy's.
    Other,
}

/// The beginning of an ingester's message about the rate of one stream (`ErrStreamRateLimit`).
pub(super) const STREAM_RATE: &str = "Per stream rate limit exceeded (limit: ";

/// The limit on the labels of a stream, if the text of a 400 names it: `… has 16 label names; limit 15`.
#[must_use]
pub fn label_limit(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once(" label names; limit ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok().filter(|limit| *limit > 0)
}

/// Parses the text of a 429.
#[must_use]
pub fn limit(text: &str) -> Limit {
    // Up to Loki 2.9 the first letter was a capital.
    let starts = |start: &str| {
        text.get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    if starts("ingestion rate limit exceeded for user ") {
        // Several buckets may be named; the tightest one counts. The name of a tenant or policy
        // cannot be mistaken for a limit, which is always followed by ` bytes/sec)`.
        let named = text.split("(limit: ").skip(1).filter_map(|part| {
            let (limit, rest) = number::<u64>(part)?;
            rest.starts_with(" bytes/sec)").then_some(limit)
        });
        return named
            .min()
            .map_or(Limit::Other, |limit| Limit::Throttle { limit });
    }
    if starts("maximum active stream limit exceeded") {
        return Limit::StreamLimit;
    }
    let mut messages = text
        .lines()
        .map(|line| match line.split_once(" ignored, reason: '") {
            Some((head, reason)) if head.starts_with("entry with timestamp ") => reason,
            _ => line,
        });
    let rate = messages.find_map(|line| byte_size(line.strip_prefix(STREAM_RATE)?));
    rate.map_or(Limit::Other, |limit| Limit::StreamRate { limit })
}

/// Whether the request is too large, however often it is sent, and must be split.
///
/// A 413 comes from a limit of Loki's or of a gateway's. The 500 comes from gRPC: an ingester
/// accepts messages of up to 4 MiB.
#[must_use]
pub fn too_large(status: u16, text: &str) -> bool {
    status == 413 || (status == 500 && text.contains("message larger than max"))
}

/// Parses `3MB/sec`, a whole multiple of a power of 1024 (`github.com/c2h5oh/datasize`).
fn byte_size(text: &str) -> Option<u64> {
    let (value, rest) = number::<u64>(text)?;
    let (unit, _) = rest.split_once("/sec)")?;
    let power = ["B", "KB", "MB", "GB", "TB", "PB", "EB"]
        .iter()
        .position(|&name| name == unit)?;
    value.checked_mul(1 << (10 * power))
}

/// Parses a number at the beginning of a text; also returns the text after it.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<(T, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pkg/validation/validate.go, `rateLimitError` in pkg/distributor/distributor.go
    #[test]
    fn limits_are_read_from_a_429() {
        let advice = "reduce log volume or contact your Loki administrator to see if the limit can be increased";
        let rate = |limit| Limit::Throttle { limit };
        for (text, want) in [
            (format!("ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '10' lines totaling '1048576' bytes, {advice}\n"), rate(4 << 20)),
            (format!("Ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '10' lines totaling '7000000' bytes, {advice}"), rate(4 << 20)),
            (format!("ingestion rate limit exceeded for user fake, policy (limit: 5 (limit: 100 bytes/sec) while attempting to ingest '1' lines totaling '50' bytes, {advice}"), rate(100)),
            ("ingestion rate limit exceeded for user fake across multiple buckets: the tenant default (limit: 900 bytes/sec) ingesting 1 lines totaling 30 bytes; policy \"p\" (limit: 100 bytes/sec) ingesting 2 lines totaling 40 bytes; reduce log volume or contact your Loki administrator to see if the limits can be increased".into(), rate(100)),
            ("ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while att".into(), rate(4 << 20)),
            ("maximum active stream limit exceeded when trying to create stream {a=\"b\"}, reduce the number of active streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, user: 'fake'".into(), Limit::StreamLimit),
            ("Maximum active stream limit exceeded, reduce the number of active streams".into(), Limit::StreamLimit),
            ("entry with timestamp 2026-08-22 20:45:11 +0000 UTC ignored, reason: 'Per stream rate limit exceeded (limit: 1536KB/sec) while attempting to ingest for stream '{a=\"b\"}' totaling 20B, consider".into(), Limit::StreamRate { limit: 1536 << 10 }),
            ("Too Many Requests".into(), Limit::Other),
            (String::new(), Limit::Other),
        ] {
            assert_eq!(limit(&text), want, "{text}");
        }
    }

    #[test]
    fn too_large_is_told_by_status_or_text() {
        let grpc = "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (4210357 vs. 4194304)\n";
        assert!(too_large(500, grpc) && too_large(413, ""));
        assert!(!too_large(500, "empty ring") && !too_large(400, grpc));
    }
}
