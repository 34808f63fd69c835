//! The words that mean a level, and how far their look alone says so.
//!
//! Knows words. Must not know lines or fields.

use crate::parse::level::Level;

/// How far a word's look alone says that a level is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WordContext {
    /// Means a level wherever logs put levels.
    Plain,
    /// Also a word of prose (`notice`, `panic`): counts only in brackets, before a colon, or in
    /// capitals right behind the time.
    Weak,
    /// Counts only in square brackets: `[Reporter]`, `[System]` of `MySQL`.
    Bracketed,
    /// Counts only in capitals, before a colon or right behind the time: `LOG:` of Postgres.
    Capitals,
    /// Counts only in capitals, before `[` or right behind the time: `ERRO[0000]` of logrus.
    Cut,
    /// Counts only in capitals in a column between bars: `| SUCCESS  |` of loguru.
    Column,
    /// Counts only in capitals behind other words in capitals: `BGLMASTER FAILURE`.
    Columns,
    /// Counts only in lower case, before a colon that no prose precedes: `fail:` of .NET.
    Lower,
    /// Counts only as the value of a field.
    Value,
}

/// The words that mean a level.
pub(super) const WORDS: &[(&str, Level, WordContext)] = &[
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
    ("info", Level::Info, WordContext::Plain),
    ("note", Level::Info, WordContext::Bracketed),
    ("pani", Level::Fatal, WordContext::Cut),
    ("trac", Level::Trace, WordContext::Cut),
    ("trce", Level::Trace, WordContext::Lower),
    ("warn", Level::Warn, WordContext::Plain),
    ("alert", Level::Critical, WordContext::Weak),
    ("debug", Level::Debug, WordContext::Plain),
    ("emerg", Level::Fatal, WordContext::Weak),
    ("error", Level::Error, WordContext::Plain),
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

/// Which lengths, first and last letters go together in level words, a bit each.
static SHAPE_FILTER: [u64; (LONGEST_WORD + 1) << 4] = {
    let mut looks = [0; (LONGEST_WORD + 1) << 4];
    let mut at = 0;
    while at < WORDS.len() {
        let word = WORDS[at].0.as_bytes();
        let look = look(word.len(), word[0], word[word.len() - 1]);
        looks[look >> 6] |= 1 << (look & 63);
        at += 1;
    }
    looks
};

/// The number of a look: of a letter in either case, the low five bits are its own.
const fn look(length: usize, first: u8, last: u8) -> usize {
    length << 10 | (first as usize & 31) << 5 | (last as usize & 31)
}

/// Whether there are level words of this length with such a first and last letter: nearly all words
/// of a line are turned away by this one look.
#[inline]
pub(super) fn looks_like_one(length: usize, first: u8, last: u8) -> bool {
    let look = look(length, first, last);
    SHAPE_FILTER
        .get(look >> 6)
        .is_some_and(|looks| looks >> (look & 63) & 1 != 0)
}

/// The level that a word of letters means, and where it means it.
pub(super) fn lookup(word: &[u8]) -> Option<(Level, WordContext)> {
    let [first, .., last] = word else {
        return None;
    };
    if !looks_like_one(word.len(), *first, *last) {
        return None;
    }
    let key = key(word);
    let at = KEYS.iter().position(|known| *known == key)?;
    let (_, level, usage) = WORDS[at];
    Some((level, usage))
}

/// The words of [`WORDS`] as numbers.
static KEYS: [u128; WORDS.len()] = {
    let mut keys = [0; WORDS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = key(WORDS[at].0.as_bytes());
        at += 1;
    }
    keys
};

/// A word as a number, the same in either case; of bytes that are no letters, that of no word.
const fn key(word: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let mut at = 0;
    while at < word.len() && at < LONGEST_WORD {
        bytes[at] = word[at] | 0x20;
        at += 1;
    }
    u128::from_le_bytes(bytes)
}
