//! Counts, sizes, durations and words of a command line as people read and type them.

#[cfg(feature = "cli")]
use std::borrow::Cow;
#[cfg(feature = "cli")]
use std::time::Duration;

/// `1,234,567`: a number with thousands separators.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 entry`, `2,000 entries`: a number with its noun.
pub fn counted(n: u64, one: &str, more: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { more })
}

/// A number of bytes for people: `1.5 MiB`.
#[cfg(feature = "cli")]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" || value.fract() == 0.0 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// A duration for people: `850ms`, `12.3s`, `4m10s`.
#[cfg(feature = "cli")]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 {
        format!("{}ms", time.as_millis())
    } else if seconds < 60.0 {
        let text = format!("{seconds:.1}");
        format!("{}s", text.strip_suffix(".0").unwrap_or(&text))
    } else if seconds < 3_600.0 {
        format!("{}m{:02}s", time.as_secs() / 60, time.as_secs() % 60)
    } else {
        let minutes = time.as_secs() / 60;
        format!("{}h{:02}m", minutes / 60, minutes % 60)
    }
}

/// A word as it is typed in a shell: in quotes where it needs them.
#[cfg(feature = "cli")]
pub fn shell_word(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        let words = ["/var/log/app-1.log", "größe", "", "a b", "$x", "it's", "*"].map(shell_word);
        let expected = [
            "/var/log/app-1.log",
            "größe",
            "''",
            "'a b'",
            "'$x'",
            r"'it'\''s'",
            "'*'",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn numbers_have_thousands_separators() {
        let numbers = [0, 7, 999, 1_000, 12_345, 123_456, 1_234_567].map(grouped);
        let expected = ["0", "7", "999", "1,000", "12,345", "123,456", "1,234,567"];
        assert_eq!(numbers, expected);
        assert_eq!(counted(1, "entry", "entries"), "1 entry");
        assert_eq!(counted(2_000, "entry", "entries"), "2,000 entries");
    }
}
