//! Parsers of option values: sizes, durations and switches.

use std::time::Duration;

/// Reads a size: `64KiB`, `1MiB`, `1MB`, `2G` (binary, as curl has it) or plain bytes.
///
/// # Errors
/// What a size looks like.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(not_a_size(text)),
    };
    let whole = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    whole
        .or_else(|| {
            let bytes = number.parse::<f64>().ok()? * factor as f64;
            (!unit.is_empty() && (0.0..1e18).contains(&bytes)).then_some(bytes as u64)
        })
        .ok_or_else(|| not_a_size(text))
}

fn not_a_size(text: &str) -> String {
    format!(
        "`{}` is not a valid size: write 64KiB, 1MiB, 1MB or a number of bytes",
        text.escape_debug()
    )
}

/// Reads a duration: `500ms`, `5s`, `2m`, `1h`, `1m30s`.
///
/// # Errors
/// What a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let malformed = || {
        let shown = text.escape_debug();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("`{shown}` has no unit: write {shown}s (or 500ms, 2m, 1h)")
        } else {
            format!("`{shown}` is not a valid duration: write 500ms, 5s, 2m or 1h")
        }
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, behind) = split(rest);
        let end = behind
            .find(|c: char| !c.is_ascii_alphabetic() && c != 'µ')
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let factor = match unit {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(malformed()),
        };
        total += number.parse::<f64>().map_err(|_| malformed())? * factor;
        rest = behind;
    }
    // Anything up to a hundred years still fits every clock.
    if text.is_empty() || !(0.0..3.2e9).contains(&total) {
        return Err(malformed());
    }
    Ok(Duration::from_secs_f64(total))
}

/// Reads a switch, as set in the environment.
pub fn parse_bool(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    let on = is(&["true", "t", "yes", "y", "on", "1"]);
    let off = is(&["false", "f", "no", "n", "off", "0"]);
    (on || off).then_some(on)
}

/// The leading number, and what follows it.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("1MB", 1_000_000),
            ("1.5MiB", 3 << 19),
            ("2k", 2_048),
            ("1 GiB", 1 << 30),
            ("3gb", 3_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            "x",
            "-1",
            "1.5",
            "1XB",
            "MiB",
            "99999999999999999999",
            "1e3",
            "1 2",
        ] {
            assert!(parse_size(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1.5s", 1_500),
            ("1m30s", 90_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "5x",
            "1m30",
            "5 minutes",
            "1e9s",
            "99999999999d",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad:?} was taken");
        }
    }
}
