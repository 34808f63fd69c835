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
    /// Counts only in lower case, before a colon that no prose precedes: `fail:` of .NET.
    Lower,
    /// Counts only as the value of a field.
    Value,
}

/// The words that mean a level, ordered by length.
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
    ("verbose", Level::Debug, Use::Weak),
    ("warning", Level::Warn, Use::Plain),
    ("critical", Level::Critical, Use::Plain),
    ("emergency", Level::Fatal, Use::Weak),
    ("information", Level::Info, Use::Weak),
    ("informational", Level::Info, Use::Weak),
];

const LONGEST_WORD: usize = 13;

/// For each length the first letters of the words of that length, a bit a letter: most words of a
/// line are turned away by one look at this.
static INITIALS: [u32; LONGEST_WORD + 1] = {
    let mut initials = [0; LONGEST_WORD + 1];
    let mut at = 0;
    while at < WORDS.len() {
        let word = WORDS[at].0.as_bytes();
        initials[word.len()] |= 1 << (word[0] - b'a');
        at += 1;
    }
    initials
};

/// For each length how many words are shorter: where its words begin in [`WORDS`].
static BY_LENGTH: [usize; LONGEST_WORD + 2] = {
    let mut shorter = [0; LONGEST_WORD + 2];
    let mut at = 0;
    while at < WORDS.len() {
        let length = WORDS[at].0.len();
        assert!(
            at == 0 || WORDS[at - 1].0.len() <= length,
            "WORDS is not ordered by length"
        );
        let mut longer = length + 1;
        while longer < shorter.len() {
            shorter[longer] = at + 1;
            longer += 1;
        }
        at += 1;
    }
    shorter
};

/// The level that a word of letters means, and where it means it.
pub(super) fn lookup(word: &[u8]) -> Option<(Level, Use)> {
    let length = word.len();
    let initials = *INITIALS.get(length)?;
    let initial = (word.first()? | 0x20).wrapping_sub(b'a');
    if initial >= 26 || initials & (1 << initial) == 0 {
        return None;
    }
    let same_length = &WORDS[BY_LENGTH[length]..BY_LENGTH[length + 1]];
    let (_, level, usage) = same_length
        .iter()
        .find(|(text, ..)| text.as_bytes().eq_ignore_ascii_case(word))?;
    Some((*level, *usage))
}
