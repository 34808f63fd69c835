//! The words that mean a level, and how far their look alone says so.
//!
//! Knows words. Must not know lines or fields.

use super::Level;

/// How far a word's look alone says that a level is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Means a level wherever logs put levels.
    Plain,
    /// Also a word of prose (`notice`, `panic`): counts only in brackets, before a colon, or in
    /// capitals right behind the time.
    Weak,
    /// Counts only in square brackets: `[Note]`, `[System]` of `MySQL`.
    Bracketed,
    /// Counts only in capitals, before a colon or right behind the time: `LOG:` of Postgres.
    Capitals,
    /// Counts only in capitals, before `[` or right behind the time: `ERRO[0000]` of logrus.
    Cut,
    /// Counts only in capitals in a column between bars: `| SUCCESS  |` of loguru.
    Column,
    /// Counts only in lower case, before a colon that no prose precedes: `fail:` of .NET.
    Lower,
    /// Counts only as the value of a field.
    Value,
}

/// The words that mean a level.
pub(super) const WORDS: &[(&str, Level, Use)] = &[
    ("dbg", Level::Debug, Use::Plain),
    ("err", Level::Error, Use::Plain),
    ("ftl", Level::Fatal, Use::Plain),
    ("inf", Level::Info, Use::Plain),
    ("log", Level::Info, Use::Capitals),
    ("pnc", Level::Fatal, Use::Weak),
    ("trc", Level::Trace, Use::Plain),
    ("vrb", Level::Debug, Use::Plain),
    ("wrn", Level::Warn, Use::Plain),
    ("crit", Level::Critical, Use::Plain),
    ("dbug", Level::Debug, Use::Lower),
    ("debu", Level::Debug, Use::Cut),
    ("erro", Level::Error, Use::Cut),
    ("fail", Level::Error, Use::Lower),
    ("fata", Level::Fatal, Use::Cut),
    ("fine", Level::Debug, Use::Capitals),
    ("info", Level::Info, Use::Plain),
    ("note", Level::Info, Use::Bracketed),
    ("pani", Level::Fatal, Use::Cut),
    ("trac", Level::Trace, Use::Cut),
    ("trce", Level::Trace, Use::Lower),
    ("warn", Level::Warn, Use::Plain),
    ("alert", Level::Critical, Use::Weak),
    ("debug", Level::Debug, Use::Plain),
    ("emerg", Level::Fatal, Use::Weak),
    ("error", Level::Error, Use::Plain),
    ("fatal", Level::Fatal, Use::Plain),
    ("finer", Level::Trace, Use::Capitals),
    ("panic", Level::Fatal, Use::Weak),
    ("silly", Level::Trace, Use::Value),
    ("trace", Level::Trace, Use::Plain),
    ("config", Level::Debug, Use::Value),
    ("dpanic", Level::Critical, Use::Weak),
    ("finest", Level::Trace, Use::Capitals),
    ("notice", Level::Info, Use::Weak),
    ("severe", Level::Error, Use::Weak),
    ("system", Level::Info, Use::Bracketed),
    ("success", Level::Info, Use::Column),
    ("verbose", Level::Debug, Use::Weak),
    ("warning", Level::Warn, Use::Plain),
    ("critical", Level::Critical, Use::Plain),
    ("emergency", Level::Fatal, Use::Weak),
    ("information", Level::Info, Use::Weak),
    ("informational", Level::Info, Use::Weak),
];

const LONGEST_WORD: usize = 13;

/// Which lengths, first and last letters go together in level words, a bit each.
static LOOKS: [u64; (LONGEST_WORD + 1) << 4] = {
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
    LOOKS
        .get(look >> 6)
        .is_some_and(|looks| looks >> (look & 63) & 1 != 0)
}

/// The level that a word of letters means, and where it means it.
pub(super) fn lookup(word: &[u8]) -> Option<(Level, Use)> {
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
