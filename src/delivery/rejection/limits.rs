//! What a 429 limits, and which answers say that a request is too large.
//!
//! Knows the wording of Loki's limits. Must not know entries, or how long to wait.

/// What a 429 limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::enum_variant_names,
    reason = "a stream limit is what Loki calls it"
)]
pub enum Limit {
    /// The tenant's rate at one distributor. Nothing of the request was stored. The text does
    /// not name the burst; a request above it is never taken.
    Throttle {
        /// Bytes a second, lines and metadata.
        limit: u64,
        /// The request's bytes as Loki counts them, if the text says.
        request: Option<u64>,
    },
    /// One stream's rate at an ingester.
    StreamRate {
        /// Bytes a second, lines and metadata.
        limit: u64,
    },
    /// The tenant's number of active streams; places become free after half an hour of idling.
    StreamLimit,
    /// Some other limit, or a proxy's.
    Other,
}

/// How an ingester's message on one stream's rate begins (`ErrStreamRateLimit`).
pub(super) const STREAM_RATE: &str = "Per stream rate limit exceeded (limit: ";

/// The limit on the labels of a stream, if the text of a 400 names it: `… has 16 label names; limit 15`.
#[must_use]
pub fn label_limit(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once(" label names; limit ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok().filter(|limit| *limit > 0)
}

/// Reads the text of a 429.
#[must_use]
pub fn limit(text: &str) -> Limit {
    // Up to Loki 2.9 the first letter was a capital.
    let starts = |start: &str| {
        text.get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    if starts("ingestion rate limit exceeded for user ") {
        // Several buckets may be named; the tightest rules. A tenant's or policy's name cannot
        // look like a limit, for it would need to be followed by ` bytes/sec)`.
        let named = text.split("(limit: ").skip(1).filter_map(|part| {
            let (limit, rest) = number::<u64>(part)?;
            let rest = rest.strip_prefix(" bytes/sec)")?;
            let request = rest
                .split_once("totaling ")
                .and_then(|(_, rest)| number(rest.trim_start_matches('\'')));
            Some((limit, request.map(|(bytes, _)| bytes)))
        });
        return match named.min_by_key(|&(limit, _)| limit) {
            Some((limit, request)) => Limit::Throttle { limit, request },
            None => Limit::Other,
        };
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

/// The request is too large for this Loki however often it is sent: split it.
///
/// A 413 comes from Loki's own limit or a gateway's, the 500 from the 4 MiB that an ingester
/// takes in one message (gRPC's own text).
#[must_use]
pub fn too_large(status: u16, text: &str) -> bool {
    status == 413 || (status == 500 && text.contains("message larger than max"))
}

/// Reads `3MB/sec`, whole multiples of powers of 1024 (`github.com/c2h5oh/datasize`).
fn byte_size(text: &str) -> Option<u64> {
    let (value, rest) = number::<u64>(text)?;
    let (unit, _) = rest.split_once("/sec)")?;
    let power = ["B", "KB", "MB", "GB", "TB", "PB", "EB"]
        .iter()
        .position(|&name| name == unit)?;
    value.checked_mul(1 << (10 * power))
}

/// A number at the beginning of a text, and what stands behind it.
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
        let rate = |limit, request| Limit::Throttle {
            limit,
            request: Some(request),
        };
        for (text, want) in [
            (format!("ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '10' lines totaling '1048576' bytes, {advice}\n"), rate(4 << 20, 1 << 20)),
            (format!("Ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '10' lines totaling '7000000' bytes, {advice}"), rate(4 << 20, 7_000_000)),
            (format!("ingestion rate limit exceeded for user fake, policy (limit: 5 (limit: 100 bytes/sec) while attempting to ingest '1' lines totaling '50' bytes, {advice}"), rate(100, 50)),
            ("ingestion rate limit exceeded for user fake across multiple buckets: the tenant default (limit: 900 bytes/sec) ingesting 1 lines totaling 30 bytes; policy \"p\" (limit: 100 bytes/sec) ingesting 2 lines totaling 40 bytes; reduce log volume or contact your Loki administrator to see if the limits can be increased".into(), rate(100, 40)),
            ("ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while att".into(), Limit::Throttle { limit: 4 << 20, request: None }),
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
