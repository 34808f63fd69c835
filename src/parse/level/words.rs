//! The table of level words, with the contexts in which each one counts as a level.

use crate::parse::level::Level;

/// The context in which a word counts as a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WordContext {
    /// Anywhere logs put levels.
    Plain,
    /// Only in brackets, before a colon, or in capitals right after the time, because it is also a
    /// word of prose (`notice`, `panic`).
    Weak,
    /// Only in square brackets: `[Reporter]`, `[System]` of `MySQL`.
    Bracketed,
    /// Only in capitals, before a colon or right after the time: Postgres's `LOG:`.
    Capitals,
    /// Only in capitals, before `[` or right after the time: logrus's `ERRO[0000]`.
    Cut,
    /// Only in capitals, in a column between bars: loguru's `| SUCCESS  |`.
    Column,
    /// Only in capitals, after other words in capitals: `BGLMASTER FAILURE`.
    Columns,
    /// Only in lower case, before a colon and with no prose before it: .NET's `fail:`.
    Lower,
    /// Only as the value of a field.
    Value,
}

/// The words that mean a level: the usual ones, then all others by length.
pub(super) const WORDS: &[(&str, Level, WordContext)] = &[
    ("info", Level::Info, WordContext::Plain),
    ("error", Level::Error, WordContext::Plain),
    ("warn", Level::Warn, WordContext::Plain),
    ("debug", Level::Debug, WordContext::Plain),
    ("dbg", Level::Debug, WordContext::Plain),
    ("err", Level::Error, WordContext::Plain),
    ("ftl", Level::Fatal, WordContext::Plain),
    ("inf", Level::Info, WordContext::Plain),
    ("log", Level::Info, WordContext::Capitals),
    ("pnc", Level::Fatal, WordContext::Weak),
    ("trc", Level::Trace, WordContext::Plain),
    ("vrb", Level::Debug, WordContext::Plain),
    ("wrn", Level::Warn, WordContext::Plain),
    ("crit", Level::Critical, WordContext::Plain),
    ("dbug", Level::Debug, WordContext::Lower),
    ("debu", Level::Debug, WordContext::Cut),
    ("erro", Level::Error, WordContext::Cut),
    ("fail", Level::Error, WordContext::Lower),
    ("fata", Level::Fatal, WordContext::Cut),
    ("fine", Level::Debug, WordContext::Capitals),
    ("note", Level::Info, WordContext::Bracketed),
    ("pani", Level::Fatal, WordContext::Cut),
    ("trac", Level::Trace, WordContext::Cut),
    ("trce", Level::Trace, WordContext::Lower),
    ("alert", Level::Critical, WordContext::Weak),
    ("emerg", Level::Fatal, WordContext::Weak),
    ("fatal", Level::Fatal, WordContext::Plain),
    ("finer", Level::Trace, WordContext::Capitals),
    ("panic", Level::Fatal, WordContext::Weak),
    ("silly", Level::Trace, WordContext::Value),
    ("trace", Level::Trace, WordContext::Plain),
    ("config", Level::Debug, WordContext::Value),
    ("dpanic", Level::Critical, WordContext::Weak),
    ("finest", Level::Trace, WordContext::Capitals),
    ("notice", Level::Info, WordContext::Weak),
    ("severe", Level::Error, WordContext::Weak),
    ("system", Level::Info, WordContext::Bracketed),
    ("failure", Level::Error, WordContext::Columns),
    ("success", Level::Info, WordContext::Column),
    ("verbose", Level::Debug, WordContext::Weak),
    ("warning", Level::Warn, WordContext::Plain),
    ("critical", Level::Critical, WordContext::Plain),
    ("emergency", Level::Fatal, WordContext::Weak),
    ("information", Level::Info, WordContext::Weak),
    ("informational", Level::Info, WordContext::Weak),
];

const LONGEST_WORD: usize = 13;

/// The combinations of length, first and last letter that occur in level words, one bit each.
static SHAPE_FILTER: [u64; (LONGEST_WORD + 1) << 4] = {
    let mut shapes = [0; (LONGEST_WORD + 1) << 4];
    let mut at = 0;
    while at < WORDS.len() {
        let word = WORDS[at].0.as_bytes();
        let bit = shape(word.len(), word[0], word[word.len() - 1]);
        shapes[bit >> 6] |= 1 << (bit & 63);
        at += 1;
    }
    shapes
};

/// The index of a combination. A letter contributes its low five bits, which are the same in either
/// case.
const fn shape(length: usize, first: u8, last: u8) -> usize {
    length << 10 | (first as usize & 31) << 5 | (last as usize & 31)
}

/// Whether any level word has this length, first and last letter. Rules out nearly all words of a
/// line at once.
#[inline]
pub(super) fn may_be_level_word(length: usize, first: u8, last: u8) -> bool {
    let bit = shape(length, first, last);
    SHAPE_FILTER
        .get(bit >> 6)
        .is_some_and(|shapes| shapes >> (bit & 63) & 1 != 0)
}

/// The level of a word in any case, and the context in which it counts.
pub(super) fn lookup(word: &[u8]) -> Option<(Level, WordContext)> {
    let [first, .., last] = word else {
        return None;
    };
    if !may_be_level_word(word.len(), *first, *last) {
        return None;
    }
    let key = key(word);
    let at = KEYS.iter().position(|known| *known == key)?;
    let (_, level, usage) = WORDS[at];
    Some((level, usage))
}

/// The words of [`WORDS`] as [`key`]s.
static KEYS: [u128; WORDS.len()] = {
    let mut keys = [0; WORDS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = key(WORDS[at].0.as_bytes());
        at += 1;
    }
    keys
};

/// A word as a number for comparison, the same in either case. A text with other bytes than letters
/// matches no word.
const fn key(word: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let mut at = 0;
    while at < word.len() && at < LONGEST_WORD {
        bytes[at] = word[at] | 0x20;
        at += 1;
    }
    u128::from_le_bytes(bytes)
}
