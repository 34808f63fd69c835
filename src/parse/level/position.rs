//! Whether a level word stands where logs put levels.
//!
//! Knows brackets, colons and columns around a word, and the words of prose before it. Must not move
//! the search on.

use crate::parse::level::Level;
use crate::parse::level::scanner::{ByteClass, Preceding, Scanner, class};
use crate::parse::level::words::{WordContext, lookup};

impl Scanner<'_> {
    /// Whether the level word from `start` to `end` stands where logs put levels.
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
            // `< 2024-01-02 03:04:05 UTC >LOG:  …` of Postgres at Red Hat
            b'>' => next == b':' && self.after == Preceding::Time,
            // `Gtk-WARNING **: …`
            b'-' => self.text[end..].starts_with(b" **"),
            // `production.ERROR: …` of Monolog
            b'.' => next == b':',
            // `03:04:05.678:INFO::main: …` of Jetty, `…:[55]:ERROR:  …` of Postgres
            // at RDS, `[0501/100000.123456:ERROR:gpu_init.cc(523)] …` of Chromium
            b':' if next == b':' => {
                let colon = self.before(start - 1);
                self.after == Preceding::Time
                    || colon == b']'
                    || (self.bracket && colon.is_ascii_digit())
            }
            // `[Server thread/WARN]`, `[core:ERROR]`
            b'/' | b':' => self.bracket && next == b']',
            // `*ERROR*` of the kernel's drm, and CSV
            b'*' | b',' | b';' => next == before,
            _ => false,
        };
        let ends = match next {
            b' ' | b'\t' | b'\n' | b']' | b')' | b'>' | b'|' | b'!' | b'[' => true,
            b':' => before == b':' || (then != b':' && then != b'/'),
            b'*' => next == before,
            b',' | b';' => next == before || start == 0,
            // `[… ERROR/MainProcess]` of Celery
            b'/' => self.bracket,
            _ => false,
        };
        if !in_place || !ends || self.is_counted(start, end) {
            return false;
        }
        let behind_time = self.after == Preceding::Time && self.words == 0;
        // `-> INFO 001` of Fabric
        let behind_arrow =
            next == b' ' && then.is_ascii_digit() && self.text[..start].ends_with(b"-> ");
        // `fail2ban.actions [1]: NOTICE  [sshd] …`
        let behind_colon = self.after == Preceding::Colon
            && self.words == 0
            && self.text[end..].starts_with(b"  ");
        let boxed = matches!(before, b'[' | b'<' | b'|') || matches!(next, b']' | b'|');
        let fits = match usage {
            WordContext::Plain => true,
            WordContext::Weak => {
                boxed
                    || next == b':'
                    || behind_time
                    || behind_colon
                    || (self.columns > 1 && next == b' ')
            }
            WordContext::Capitals => next == b':' || behind_time,
            WordContext::Cut => {
                (next == b'[' && then.is_ascii_digit()) || behind_time || behind_arrow
            }
            WordContext::Columns => self.columns > 0 && next == b' ',
            WordContext::Column => self.after == Preceding::Column && self.is_before_bar(end),
            WordContext::Bracketed => before == b'[' && next == b']',
            WordContext::Lower | WordContext::Value => false,
        };
        // `request.NOTICE: …` of Monolog, whose channel was counted as a word.
        let behind_channel = before == b'.'
            && self.words < 2
            && matches!(usage, WordContext::Plain | WordContext::Weak);
        fits && match self.words {
            0 => true,
            _ if behind_channel => true,
            _ if self.bracket || behind_arrow => true,
            1 if usage != WordContext::Plain => self.last == b"PHP",
            1 if self.is_program() && !self.is_negated() => true,
            _ => usage == WordContext::Plain && matches!(next, b':' | b'!') && !self.is_negated(),
        }
    }

    /// `0 ERROR 0 WARN`: a line that counts entries. What has one number before and one behind it
    /// may as well be a thread's level.
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

    /// Whether the one word before is where a program writes its name: `npm WARN`, `host app ERROR`.
    fn is_program(&self) -> bool {
        matches!(self.last_after, Preceding::Start | Preceding::Time)
            && self.last.iter().all(u8::is_ascii_lowercase)
    }

    /// Whether the word before says that there is no error, or speaks of another one or of errors
    /// at large.
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

    /// `[warn]`, `[ warn ]`, `[core:error]`, `[… 03:04:05 info]`, `<info>`, `(error)`, `|info|`
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
            // At the start of a line it is an aside: `(info) desk`.
            (Some(b'('), Some(b')')) => {
                self.words == 0 && self.after != Preceding::Start && usage == WordContext::Plain
            }
            _ => false,
        }
    }

    /// `error: …`, `app[1]: warning: …`, `PHP Notice: …`, `fatal error: …`, `error[E0308]: …`,
    /// `file.cs(3,5): error CS1002: …`
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
                // `fatal error C1083: …` of MSVC
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
            // `contact info: …`, `stack trace: …`: what is not grave is not told from prose.
            (WordContext::Plain, _) if level >= Level::Warn => !self.is_negated(),
            _ => false,
        }
    }

    /// A column of its own: behind the time, between dashes or bars, or before them.
    fn is_column(&self, start: usize, end: usize, level: Level) -> bool {
        if !matches!(self.before(start), b' ' | b'\t' | b']') || self.bracket {
            return false;
        }
        let rest = &self.text[end..];
        if !matches!(rest.first(), Some(b' ' | b'\t') | None) {
            return false;
        }
        match (self.words, self.after) {
            (0, Preceding::Time) => self.is_column_behind_time(start, end, level),
            (0, Preceding::Colon) => {
                self.text[start].is_ascii_lowercase()
                    && self.is_behind_tag(start)
                    && self.is_said_of_line(end, level)
            }
            (0, Preceding::Column) => self.is_before_bar(end),
            (0, Preceding::Start) => self.is_before_bar(end) || self.behind_blanks(end).1 == b'[',
            // `npm error code ENOENT`
            (1, _) => self.is_npm(end),
            _ => false,
        }
    }

    /// Whether npm says this, which writes no colon: `npm notice New version …`.
    fn is_npm(&self, end: usize) -> bool {
        let ends = matches!(self.byte(end), b' ' | b'\t' | b'\n');
        let begins = self.words == 1 && self.last_after == Preceding::Start;
        begins && ends && self.last == b"npm"
    }

    /// Whether a word in lower case, right behind the time, is no prose (`error rate is 5%`): there
    /// is a gap, a bar or a bracket beside it, it stands alone, is short for a level, or is one that
    /// most programs know, behind a time that only programs write.
    fn is_column_behind_time(&self, start: usize, end: usize, level: Level) -> bool {
        let word = &self.text[start..end];
        if word.len() < 4 || word.eq_ignore_ascii_case(b"crit") {
            return true;
        }
        let (at, next) = self.behind_blanks(end);
        let gap = |blanks: &[u8]| blanks == b"\t" || blanks.len() > 1;
        let blanks = self.text[..start].iter().rev();
        let blanks = blanks
            .take_while(|byte| class(**byte) == ByteClass::Blank)
            .count();
        // `10:00:00 [main] error …`
        let behind_bracket = self.before(start - blanks) == b']' && !self.bracket_time;
        at == self.text.len()
            || next == b'['
            || gap(&self.text[end..at])
            || behind_bracket
            || gap(&self.text[start - blanks..start])
            || self.is_before_bar(end)
            || (self.dated_time && self.is_said_of_line(end, level))
    }

    /// Whether a syslog tag with its process ends before `start`: `hostd[123]: `.
    fn is_behind_tag(&self, start: usize) -> bool {
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

    /// Whether the word that ends at `end`, where a level may stand, is said of the line: not if it
    /// begins a phrase (`error rate`, `info desk`). A word that is rare as a level must stand before
    /// a name (`exim[8003]:`, `Server:`).
    fn is_said_of_line(&self, end: usize, level: Level) -> bool {
        let (at, _) = self.behind_blanks(end);
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

    /// Where the blanks at `at` end, and what byte stands there.
    fn behind_blanks(&self, at: usize) -> (usize, u8) {
        let blanks = self.text[at..].iter();
        let end = at
            + blanks
                .take_while(|byte| class(**byte) == ByteClass::Blank)
                .count();
        (end, self.byte(end))
    }

    /// Whether the column ends at `end`, with a bar or a dash behind blanks.
    fn is_before_bar(&self, end: usize) -> bool {
        let (at, next) = self.behind_blanks(end);
        next == b'|' || (next == b'-' && class(self.byte(at + 1)) == ByteClass::Blank)
    }
}

/// What follows a level word that is none: `error rate`, `debug mode`.
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
