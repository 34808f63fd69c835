//! Whether a level word stands where logs put levels.
//!
//! Knows brackets, colons and columns around a word, and the words of prose before it. Must not move
//! the search on.

use super::Level;
use super::head::{After, Class, Head, class};
use super::words::Use;

impl Head<'_> {
    /// Whether the level word from `start` to `end` stands where logs put levels.
    pub(super) fn is_level(&self, start: usize, end: usize, level: Level, usage: Use) -> bool {
        let word = &self.text[start..end];
        if word.iter().all(u8::is_ascii_uppercase) {
            self.is_level_in_capitals(start, end, usage)
        } else if word[1..].iter().all(u8::is_ascii_lowercase) {
            self.is_enclosed(start, end, usage)
                || self.is_before_colon(start, end, level, usage)
                || (usage == Use::Plain && self.is_column(start, end))
        } else {
            false
        }
    }

    fn is_level_in_capitals(&self, start: usize, end: usize, usage: Use) -> bool {
        let (before, next) = (self.before(start), self.byte(end));
        let then = self.byte(end + 1);
        let in_place = match before {
            b' ' | b'\t' | b'[' | b'|' | b']' => true,
            b'<' => next == b'>',
            b'(' => next == b')',
            // `production.ERROR: …` of Monolog
            b'.' => next == b':',
            // `[Server thread/WARN]`
            b'/' => self.bracket && next == b']',
            // `03:04:05.678:INFO:main: …` of Jetty, `[core:ERROR]`
            b':' => (self.after == After::Time && next == b':') || (self.bracket && next == b']'),
            // `*ERROR*` of the kernel's drm, and CSV
            b'*' | b',' => next == before,
            _ => false,
        };
        let ends = match next {
            b' ' | b'\t' | b'\n' | b']' | b')' | b'>' | b'|' | b'!' | b'[' => true,
            b':' => then != b':' && then != b'/',
            b'*' | b',' => next == before,
            // `[… ERROR/MainProcess]` of Celery
            b'/' => self.bracket,
            _ => false,
        };
        if !in_place || !ends {
            return false;
        }
        let behind_time = self.after == After::Time && self.words == 0;
        let boxed = matches!(before, b'[' | b'<' | b'|') || matches!(next, b']' | b'|');
        let fits = match usage {
            Use::Plain => true,
            Use::Weak => boxed || next == b':' || behind_time,
            Use::Capitals => next == b':' || behind_time,
            Use::Cut => (next == b'[' && then.is_ascii_digit()) || behind_time,
            Use::Bracketed => before == b'[' && next == b']',
            Use::Lower | Use::Value => false,
        };
        fits && match self.words {
            0 => true,
            _ if self.bracket => true,
            1 if usage != Use::Plain => self.last == b"PHP",
            1 if self.is_program() => true,
            _ => usage == Use::Plain && matches!(next, b':' | b'!') && !self.is_negated(),
        }
    }

    /// Whether the one word before is where a program writes its name: `npm WARN`, `host app ERROR`.
    fn is_program(&self) -> bool {
        matches!(self.last_after, After::Start | After::Time)
            && self.last.iter().all(u8::is_ascii_lowercase)
    }

    /// Whether the word before says that there is no error, or speaks of another one.
    fn is_negated(&self) -> bool {
        const NEGATIONS: [&[u8]; 8] = [
            b"no",
            b"not",
            b"any",
            b"last",
            b"zero",
            b"without",
            b"previous",
            b"if",
        ];
        self.words > 0
            && NEGATIONS
                .iter()
                .any(|word| word.eq_ignore_ascii_case(self.last))
    }

    /// `[warn]`, `[ warn ]`, `[core:error]`, `[… 03:04:05 info]`, `<info>`, `(error)`, `|info|`
    fn is_enclosed(&self, start: usize, end: usize, usage: Use) -> bool {
        if !matches!(usage, Use::Plain | Use::Weak | Use::Bracketed) {
            return false;
        }
        let is_blank = |byte: &u8| class(*byte) == Class::Blank;
        let open = self.text[..start].iter().rfind(|byte| !is_blank(byte));
        let close = self.text[end..].iter().find(|byte| !is_blank(byte));
        match (open, close) {
            (Some(b'['), Some(b']')) => true,
            (Some(b':'), Some(b']')) => self.bracket && usage != Use::Bracketed,
            (Some(_), Some(b']')) => self.bracket_time && self.bracket && usage == Use::Plain,
            (Some(b'<'), Some(b'>')) | (Some(b'|'), Some(b'|')) => usage != Use::Bracketed,
            (Some(b'('), Some(b')')) => self.words == 0 && usage == Use::Plain,
            _ => false,
        }
    }

    /// `error: …`, `app[1]: warning: …`, `PHP Notice: …`, `fatal error: …`, `error[E0308]: …`,
    /// `file.cs(3,5): error CS1002: …`
    fn is_before_colon(&self, start: usize, end: usize, level: Level, usage: Use) -> bool {
        if !matches!(self.before(start), b' ' | b'\t' | b']') || self.bracket {
            return false;
        }
        let rest = &self.text[end..];
        let colon = match self.byte(end) {
            b':' => !matches!(self.byte(end + 1), b':' | b'/'),
            b'[' => usage == Use::Plain && self.words == 0 && is_code(&rest[1..], b"]:"),
            b' ' if usage != Use::Plain => false,
            b' ' if level >= Level::Critical => rest
                .get(..7)
                .is_some_and(|next| next.eq_ignore_ascii_case(b" error:")),
            b' ' => self.after == After::Colon && self.words == 0 && is_code(&rest[1..], b":"),
            _ => false,
        };
        if !colon {
            return false;
        }
        match (usage, self.words) {
            (Use::Plain | Use::Weak, 0) => true,
            (Use::Lower, 0) => self.text[start].is_ascii_lowercase(),
            (Use::Weak, 1) => self.last == b"PHP",
            (Use::Plain, _) if level >= Level::Warn => !self.is_negated(),
            (Use::Plain, 1) => self.is_program(),
            _ => false,
        }
    }

    /// A column of its own: behind the time, between dashes or bars, or before them.
    fn is_column(&self, start: usize, end: usize) -> bool {
        if !matches!(self.before(start), b' ' | b'\t' | b']') || self.bracket {
            return false;
        }
        let rest = &self.text[end..];
        if !matches!(rest.first(), Some(b' ' | b'\t') | None) {
            return false;
        }
        let blanks = rest
            .iter()
            .take_while(|byte| class(**byte) == Class::Blank)
            .count();
        let next = self.byte(end + blanks);
        let bar =
            next == b'|' || (next == b'-' && class(self.byte(end + blanks + 1)) == Class::Blank);
        match (self.words, self.after) {
            (0, After::Time) => true,
            (0, After::Column) => bar,
            (0, After::Start) => bar || next == b'[',
            // `npm error code ENOENT`: npm writes no colon.
            (1, _) => self.last == b"npm" && self.last_after == After::Start,
            _ => false,
        }
    }
}

/// Whether `text` begins with an error's code (`E0308`, `CS1002`, `TS2304`) and then `end`.
fn is_code(text: &[u8], end: &[u8]) -> bool {
    let letters = text
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    let digits = text[letters..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    letters > 0 && digits > 0 && text[letters + digits..].starts_with(end)
}
