//! Decides whether a level word is where logs put levels, or just a word of the message.
//!
//! Looks at the brackets, colons and columns around the word and the words of prose before it.

use crate::parse::level::Level;
use crate::parse::level::scanner::{ByteClass, Preceding, Scanner, class};
use crate::parse::level::words::{WordContext, lookup};

impl Scanner<'_> {
    /// Whether the word from `start` to `end` is in a position where logs put levels.
    pub(super) fn is_level(
        &self,
        start: usize,
        end: usize,
        level: Level,
        usage: WordContext,
    ) -> bool {
        let word = &self.text[start..end];
        if word.iter().all(u8::is_ascii_uppercase) {
            self.is_level_in_capitals(start, end, usage)
        } else if word[1..].iter().all(u8::is_ascii_lowercase) {
            self.is_enclosed(start, end, usage)
                || self.is_before_colon(start, end, level, usage)
                || ((usage == WordContext::Plain || word == b"verbose")
                    && self.is_column(start, end, level))
                || (usage == WordContext::Weak && self.is_npm(end))
        } else {
            false
        }
    }

    fn is_level_in_capitals(&self, start: usize, end: usize, usage: WordContext) -> bool {
        let (before, next) = (self.before(start), self.byte(end));
        let then = self.byte(end + 1);
        let in_place = match before {
            b' ' | b'\t' | b'[' | b'|' | b']' => true,
            b'<' => next == b'>',
            b'(' => next == b')',
            // Postgres at Red Hat: `< 2024-01-02 03:04:05 UTC >LOG:  …`
            b'>' => next == b':' && self.after == Preceding::Time,
            // `Gtk-WARNING **: …`; Logback's own `10:00:00,123 |-INFO in …`
            b'-' => self.text[end..].starts_with(b" **") || self.text[..start].ends_with(b" |-"),
            // Monolog: `production.ERROR: …`
            b'.' => next == b':',
            // Jetty: `03:04:05.678:INFO::main: …`; Postgres at RDS: `…:[55]:ERROR:  …`; Chromium:
            // `[0501/100000.123456:ERROR:gpu_init.cc(523)] …`
            b':' if next == b':' => {
                let colon = self.before(start - 1);
                self.after == Preceding::Time
                    || colon == b']'
                    || (self.bracket && colon.is_ascii_digit())
            }
            // `[Server thread/WARN]`, `[core:ERROR]`
            b'/' | b':' => self.bracket && next == b']',
            // The kernel's drm (`*ERROR*`), and CSV
            b'*' | b',' | b';' => next == before,
            _ => false,
        };
        let ends = match next {
            b' ' | b'\t' | b'\n' | b']' | b')' | b'>' | b'|' | b'!' | b'[' => true,
            b':' => before == b':' || (then != b':' && then != b'/'),
            b'*' => next == before,
            b',' | b';' => next == before || start == 0,
            // Celery: `[… ERROR/MainProcess]`
            b'/' => self.bracket,
            _ => false,
        };
        if !in_place || !ends || self.is_counted(start, end) {
            return false;
        }
        let after_time = self.after == Preceding::Time && self.words == 0;
        // Fabric: `-> INFO 001`
        let after_arrow =
            next == b' ' && then.is_ascii_digit() && self.text[..start].ends_with(b"-> ");
        // `fail2ban.actions [1]: NOTICE  [sshd] …`
        let after_colon = self.after == Preceding::Colon
            && self.words == 0
            && self.text[end..].starts_with(b"  ");
        let boxed = matches!(before, b'[' | b'<' | b'|') || matches!(next, b']' | b'|');
        let fits = match usage {
            WordContext::Plain => true,
            WordContext::Weak => {
                boxed
                    || next == b':'
                    || after_time
                    || after_colon
                    || (self.columns > 1 && next == b' ')
            }
            WordContext::Capitals => next == b':' || after_time,
            WordContext::Cut => {
                (next == b'[' && then.is_ascii_digit()) || after_time || after_arrow
            }
            WordContext::Columns => self.columns > 0 && next == b' ',
            WordContext::Column => self.after == Preceding::Column && self.is_before_bar(end),
            WordContext::Bracketed => before == b'[' && next == b']',
            WordContext::Lower | WordContext::Value => false,
        };
        // Monolog: `request.NOTICE: …`, where the channel was counted as a word.
        let after_channel = before == b'.'
            && self.words < 2
            && matches!(usage, WordContext::Plain | WordContext::Weak);
        fits && match self.words {
            0 => true,
            _ if after_channel => true,
            _ if self.bracket || after_arrow => true,
            1 if usage != WordContext::Plain => self.last == b"PHP",
            1 if self.is_program() && !self.is_negated() => true,
            _ => usage == WordContext::Plain && matches!(next, b':' | b'!') && !self.is_negated(),
        }
    }

    /// Whether the word is part of a list of counts: `0 ERROR 0 WARN`. A number before and after it
    /// is not enough, as either may be a thread next to a real level.
    fn is_counted(&self, start: usize, end: usize) -> bool {
        let [b' ', rest @ ..] = &self.text[end..] else {
            return false;
        };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let [b' ', rest @ ..] = &rest[digits..] else {
            return false;
        };
        let letters = rest.iter().take_while(|byte| byte.is_ascii_uppercase());
        digits > 0
            && lookup(&rest[..letters.count()]).is_some()
            && matches!(&self.text[..start], [count @ .., b' ']
                if !count.is_empty() && count.iter().all(u8::is_ascii_digit))
    }

    /// Whether the only word so far is where programs write their name: `npm WARN`, `host app
    /// ERROR`.
    fn is_program(&self) -> bool {
        const ARTICLES: [&[u8]; 5] = [b"the", b"an", b"a", b"this", b"that"];
        matches!(self.last_after, Preceding::Start | Preceding::Time)
            && self.last.iter().all(u8::is_ascii_lowercase)
            && !ARTICLES.contains(&self.last)
    }

    /// Whether the word before shows that this line is not an error itself: `no error`, `last
    /// error`, `on error`.
    fn is_negated(&self) -> bool {
        const NEGATIONS: [&[u8]; 12] = [
            b"no",
            b"not",
            b"any",
            b"last",
            b"zero",
            b"without",
            b"previous",
            b"if",
            b"on",
            b"ignore",
            b"ignoring",
            b"level",
        ];
        self.words > 0
            && NEGATIONS
                .iter()
                .any(|word| word.eq_ignore_ascii_case(self.last))
    }

    /// Whether the word is enclosed: `[warn]`, `[ warn ]`, `[core:error]`, `[… 03:04:05 info]`,
    /// `<info>`, `(error)`, `|info|`.
    fn is_enclosed(&self, start: usize, end: usize, usage: WordContext) -> bool {
        if !matches!(
            usage,
            WordContext::Plain | WordContext::Weak | WordContext::Bracketed
        ) {
            return false;
        }
        let is_blank = |byte: &u8| class(*byte) == ByteClass::Blank;
        let open = self.text[..start].iter().rfind(|byte| !is_blank(byte));
        let close = self.text[end..].iter().find(|byte| !is_blank(byte));
        match (open, close) {
            (Some(b'['), Some(b']')) => true,
            (Some(b':'), Some(b']')) => self.bracket && usage != WordContext::Bracketed,
            (Some(_), Some(b']')) => {
                self.bracket_time && self.bracket && usage == WordContext::Plain
            }
            (Some(b'<'), Some(b'>')) | (Some(b'|'), Some(b'|')) => usage != WordContext::Bracketed,
            // At the start of a line, parentheses are an aside: `(info) desk`.
            (Some(b'('), Some(b')')) => {
                self.words == 0 && self.after != Preceding::Start && usage == WordContext::Plain
            }
            _ => false,
        }
    }

    /// Whether the word comes before a colon: `error: …`, `app[1]: warning: …`, `PHP Notice: …`,
    /// `fatal error: …`, `error[E0308]: …`, `file.cs(3,5): error CS1002: …`.
    fn is_before_colon(&self, start: usize, end: usize, level: Level, usage: WordContext) -> bool {
        if !matches!(self.before(start), b' ' | b'\t' | b']') || self.bracket {
            return false;
        }
        let rest = &self.text[end..];
        let colon = match self.byte(end) {
            b':' => !matches!(self.byte(end + 1), b':' | b'/'),
            b'[' => usage == WordContext::Plain && self.words == 0 && is_code(&rest[1..], b"]:"),
            b' ' if usage != WordContext::Plain => false,
            b' ' if level >= Level::Critical => {
                let (error, rest) = rest.split_at(rest.len().min(b" error".len()));
                // MSVC: `fatal error C1083: …`
                error.eq_ignore_ascii_case(b" error")
                    && (rest.starts_with(b":")
                        || rest
                            .strip_prefix(b" ")
                            .is_some_and(|code| is_code(code, b":")))
            }
            // `x.ts:1:2 - error TS2304: …`
            b' ' => {
                matches!(self.after, Preceding::Colon | Preceding::Column)
                    && self.words == 0
                    && is_code(&rest[1..], b":")
            }
            _ => false,
        };
        if !colon {
            return false;
        }
        match (usage, self.words) {
            (WordContext::Plain | WordContext::Weak, 0) => true,
            (WordContext::Lower, 0) => self.text[start].is_ascii_lowercase(),
            (WordContext::Weak, 1) => self.last == b"PHP",
            // `contact info: …`, `stack trace: …`: lower levels cannot be distinguished from prose.
            (WordContext::Plain, _) if level >= Level::Warn => !self.is_negated(),
            _ => false,
        }
    }

    /// Whether the word is a column of its own: after the time, between dashes or bars, or before
    /// them.
    fn is_column(&self, start: usize, end: usize, level: Level) -> bool {
        if !matches!(self.before(start), b' ' | b'\t' | b']') || self.bracket {
            return false;
        }
        let rest = &self.text[end..];
        if !matches!(rest.first(), Some(b' ' | b'\t') | None) {
            return false;
        }
        match (self.words, self.after) {
            (0, Preceding::Time) => self.is_column_after_time(start, end, level),
            (0, Preceding::Colon) => {
                self.text[start].is_ascii_lowercase()
                    && self.is_after_tag(start)
                    && self.describes_line(end, level)
            }
            (0, Preceding::Column) => self.is_before_bar(end),
            (0, Preceding::Start) => self.is_before_bar(end) || self.after_blanks(end).1 == b'[',
            // `npm error code ENOENT`
            (1, _) => self.is_npm(end),
            _ => false,
        }
    }

    /// Whether this is npm's format, which has no colon: `npm notice New version …`.
    fn is_npm(&self, end: usize) -> bool {
        let ends = matches!(self.byte(end), b' ' | b'\t' | b'\n');
        let begins = self.words == 1 && self.last_after == Preceding::Start;
        begins && ends && self.last == b"npm"
    }

    /// Whether a lower-case word right after the time is a level and not prose (`error rate is
    /// 5%`): it is next to a gap, a bar or a bracket, it is the last word, it is an abbreviation,
    /// or it is a common level after a time that only programs write.
    fn is_column_after_time(&self, start: usize, end: usize, level: Level) -> bool {
        let word = &self.text[start..end];
        if word.len() < 4 || word.eq_ignore_ascii_case(b"crit") {
            return true;
        }
        let (at, next) = self.after_blanks(end);
        let gap = |blanks: &[u8]| blanks == b"\t" || blanks.len() > 1;
        let blanks = self.text[..start].iter().rev();
        let blanks = blanks
            .take_while(|byte| class(**byte) == ByteClass::Blank)
            .count();
        // `10:00:00 [main] error …`
        let after_bracket = self.before(start - blanks) == b']' && !self.bracket_time;
        at == self.text.len()
            || next == b'['
            || gap(&self.text[end..at])
            || after_bracket
            || gap(&self.text[start - blanks..start])
            || self.is_before_bar(end)
            || (self.dated_time && self.describes_line(end, level))
    }

    /// Whether a syslog tag with a process ends at `start`: `hostd[123]: `.
    fn is_after_tag(&self, start: usize) -> bool {
        let [tag @ .., b']', b':', b' '] = &self.text[..start] else {
            return false;
        };
        let process = tag
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        let name = &tag[..tag.len() - process];
        process > 0 && matches!(name, [.., last, b'['] if last.is_ascii_alphanumeric())
    }

    /// Whether the word that ends at `end` describes the line and is not the start of a phrase
    /// (`error rate`, `info desk`). A word that is rare as a level must come before a name
    /// (`exim[8003]:`, `Server:`).
    fn describes_line(&self, end: usize, level: Level) -> bool {
        let (at, _) = self.after_blanks(end);
        let rest = &self.text[at..];
        let word = &rest[..rest
            .iter()
            .position(|byte| *byte == b' ')
            .unwrap_or(rest.len())];
        if matches!(level, Level::Trace | Level::Critical | Level::Fatal) {
            return word.ends_with(b":") || word.contains(&b'[');
        }
        !PHRASES.contains(&word)
    }

    /// The end of the blanks at `at`, and the byte there.
    fn after_blanks(&self, at: usize) -> (usize, u8) {
        let blanks = self.text[at..].iter();
        let end = at
            + blanks
                .take_while(|byte| class(**byte) == ByteClass::Blank)
                .count();
        (end, self.byte(end))
    }

    /// Whether the column ends at `end`: blanks and then a bar or dash follow.
    fn is_before_bar(&self, end: usize) -> bool {
        let (at, next) = self.after_blanks(end);
        next == b'|' || (next == b'-' && class(self.byte(at + 1)) == ByteClass::Blank)
    }
}

/// Words that follow a level word in ordinary phrases: `error rate`, `debug mode`.
const PHRASES: [&[u8]; 21] = [
    b"budget",
    b"code",
    b"codes",
    b"count",
    b"counter",
    b"desk",
    b"handler",
    b"handling",
    b"id",
    b"level",
    b"log",
    b"logs",
    b"margin",
    b"message",
    b"messages",
    b"mode",
    b"page",
    b"path",
    b"rate",
    b"rates",
    b"signs",
];

/// Whether `text` starts with an error code (`E0308`, `CS1002`, `TS2304`) followed by `end`.
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
