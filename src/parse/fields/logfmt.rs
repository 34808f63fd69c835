//! Finds the `key=val` tokens of a text line, and the message that is left without them.

use std::borrow::Cow;
use std::collections::HashMap;

use memchr::{memchr, memchr_iter};

use crate::parse::fields::Field;
use crate::parse::fields::quoted::{QuotedText, quoted};
use crate::parse::fields::write::is_key_byte;

/// Maximum length of a key in bytes. Anything longer is data that happens to end in `=`.
const KEY_MAX: usize = 64;

const ESC: u8 = 0x1b;

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

fn begins_key(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// The class of a byte in the search for tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Equals,
    Quote,
    Open,
    Close,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    classes[b'=' as usize] = Class::Equals;
    classes[b'"' as usize] = Class::Quote;
    classes[b'`' as usize] = Class::Quote;
    classes[b'\'' as usize] = Class::Quote;
    classes[b'(' as usize] = Class::Open;
    classes[b'[' as usize] = Class::Open;
    classes[b'{' as usize] = Class::Open;
    classes[b')' as usize] = Class::Close;
    classes[b']' as usize] = Class::Close;
    classes[b'}' as usize] = Class::Close;
    classes
};

fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// Whether a quoted word may end before this byte, which must be white space or punctuation.
fn ends_quoted(next: Option<&u8>) -> bool {
    next.is_none_or(|byte| is_space(*byte) || matches!(byte, b',' | b';' | b')' | b']' | b'}'))
}

/// A `key=val` token, by its offsets in the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    start: usize,
    pub(super) equals: usize,
    end: usize,
    quoted: bool,
}

impl Token {
    pub(super) fn key(self, line: &str) -> &str {
        &line[self.start..self.equals]
    }

    pub(super) fn value(self, line: &str) -> QuotedText<'_> {
        let start = self.equals + 1;
        if self.quoted {
            // `Tokens` has found the closing quote.
            return quoted(line, start).map_or(QuotedText::plain(""), |(text, _)| text);
        }
        QuotedText::plain(&line[start..self.end])
    }
}

/// An open bracket.
#[derive(Clone, Copy)]
struct Bracket {
    kind: u8,
    at: usize,
    /// Number of tokens before it.
    tokens: usize,
}

/// Iterates over the `key=val` tokens of a line, in order.
///
/// A token inside quotes or brackets is text, so that logged user input cannot add a field. A quote
/// or bracket that is never closed is ignored. This is known only when a bracket closes; the tokens
/// inside it are then dropped. A bare value that contains an opening bracket or quote extends to
/// the closing one (`args=[a b]`).
///
/// Linear in the length of the line: the length of a key is limited, each bracket is opened and
/// closed once, a closed quote is skipped, and after one failed search for a closing quote there
/// are no more.
pub(super) struct Tokens<'a> {
    line: &'a str,
    at: usize,
    found: Vec<Token>,
    /// Number of tokens already returned.
    returned: usize,
    open: Vec<Bracket>,
    /// Number of open brackets of each kind, to skip a closing bracket without an opening one.
    open_kinds: [usize; 3],
    /// Which kinds of quote have no closing one in the rest of the line: `"`, a backquote and `'`.
    unclosed: [bool; 3],
    /// The last assignment or condition in code.
    code: Option<Code>,
}

/// A `key=val` that belongs to code and is not a field.
#[derive(Clone, Copy)]
struct Code {
    end: usize,
    /// Whether the next one follows without a comma.
    is_command: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self {
            line,
            at: 0,
            found: Vec::new(),
            returned: 0,
            open: Vec::new(),
            open_kinds: [0; 3],
            unclosed: [false; 3],
            code: None,
        }
    }

    /// Processes the next byte that is not plain; `false` at the end of the line.
    fn step(&mut self) -> bool {
        let bytes = self.line.as_bytes();
        let rest = &bytes[self.at..];
        let Some(plain) = rest.iter().position(|byte| class(*byte) != Class::Plain) else {
            self.at = bytes.len();
            return false;
        };
        let at = self.at + plain;
        self.at = match class(bytes[at]) {
            Class::Equals => self.equals(at),
            Class::Quote => match self.quote(at) {
                Some(end) => {
                    self.extend(at, end);
                    end
                }
                None => at + 1,
            },
            // A colour code.
            Class::Open if at > 0 && bytes[at - 1] == ESC => at + 1,
            Class::Open => {
                let (kind, tokens) = (bytes[at], self.found.len());
                self.open_kinds[kind_of(kind)] += 1;
                self.open.push(Bracket { kind, at, tokens });
                at + 1
            }
            Class::Close => {
                self.close(at);
                at + 1
            }
            Class::Plain => at + 1,
        };
        true
    }

    /// Adds the token around this `=`, if there is one. Returns the offset at which to continue.
    fn equals(&mut self, equals: usize) -> usize {
        let bytes = self.line.as_bytes();
        let Some(start) = self.key_start(equals) else {
            return equals + 1;
        };
        let mut token = Token {
            start,
            equals,
            end: equals + 1,
            quoted: false,
        };
        match bytes.get(equals + 1) {
            Some(b'"') => {
                let Some(end) = self.quote(equals + 1) else {
                    return equals + 2;
                };
                let next = bytes.get(end);
                if next.is_none_or(|byte| is_space(*byte) || matches!(byte, b',' | b';' | b']')) {
                    (token.end, token.quoted) = (end, true);
                    self.add(token);
                }
                return end;
            }
            Some(b'=') => return equals + 2,
            Some(byte) if !is_space(*byte) => token.end = self.word_end(equals + 1),
            _ if is_base64_tail(&bytes[start..equals]) => return equals + 1,
            _ => {}
        }
        self.add(token);
        // The value may open a bracket.
        equals + 1
    }

    fn add(&mut self, token: Token) {
        let Some(is_command) = self.code_before(token.start) else {
            self.found.push(token);
            return;
        };
        let end = self.line[..token.end].trim_end_matches([',', ';']).len();
        self.code = Some(Code { end, is_command });
    }

    /// Whether the token at `start` belongs to code, judged by the word before it: a condition or
    /// assignment in SQL (`WHERE id=5 AND role='admin'`), or one in a command or program
    /// (`export A=b`, `-e A=b`). Returns whether it is the latter.
    fn code_before(&self, start: usize) -> Option<bool> {
        let text = self.line[..start].trim_ascii_end();
        // In logfmt most fields follow one another.
        if self
            .found
            .last()
            .is_some_and(|field| field.end == text.len())
        {
            return None;
        }
        let is_after_code = |text: &str| self.code.filter(|code| code.end == text.len());
        if let Some(code) = is_after_code(text.trim_end_matches([',', ';']))
            && (code.is_command || text.len() > code.end)
        {
            return Some(code.is_command);
        }
        let (before, word) = last_word(text)?;
        let is = |words: &[&str]| words.iter().any(|own| own.eq_ignore_ascii_case(word));
        let in_capitals = word.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_option = word.strip_prefix('-').is_some_and(|name| {
            let name = name.strip_prefix('-').unwrap_or(name);
            name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.contains('=')
        });
        if is_option || is(&["export", "let", "var", "const", "declare"]) {
            return Some(true);
        }
        let is_sql = is(&["where", "having"])
            || (in_capitals && is(&["and", "or", "on", "set"]))
            || (is(&["and", "or"]) && is_after_code(before).is_some())
            || (is(&["set"]) && (before.is_empty() || is_updated(before)));
        is_sql.then_some(false)
    }

    /// The start of the key that ends at `equals`, if there is a valid one.
    fn key_start(&self, equals: usize) -> Option<usize> {
        let bytes = &self.line.as_bytes()[..equals];
        let key = bytes.iter().rev().take(KEY_MAX + 1);
        let length = key.take_while(|byte| is_key_byte(**byte)).count();
        let start = equals - length;
        let first = *bytes.get(start)?;
        (begins_key(first) && length <= KEY_MAX && (start == 0 || is_space(bytes[start - 1])))
            .then_some(start)
    }

    fn word_end(&self, start: usize) -> usize {
        let bytes = self.line.as_bytes();
        let length = bytes[start..].iter().position(|byte| is_space(*byte));
        length.map_or(bytes.len(), |length| start + length)
    }

    /// The offset after the closing quote for the one at `open`, if that is an opening quote.
    fn quote(&mut self, open: usize) -> Option<usize> {
        let bytes = self.line.as_bytes();
        let before = open.checked_sub(1).map_or(b' ', |at| bytes[at]);
        let (kind, close): (_, fn(&str, usize) -> Option<usize>) = match bytes[open] {
            // Inches, or an escaped quote within quotes.
            b'"' if before.is_ascii_digit() || before == b'\\' => return None,
            b'"' => (0, |line, open| quoted(line, open).map(|(_, end)| end)),
            b'`' => (1, |line, open| {
                let length = memchr(b'`', &line.as_bytes()[open + 1..])?;
                Some(open + length + 2)
            }),
            // An apostrophe follows a letter.
            _ if before.is_ascii_alphanumeric() || !before.is_ascii() => return None,
            _ => (2, |line, open| {
                let bytes = line.as_bytes();
                let mut at = open + 1;
                loop {
                    at += memchr(b'\'', &bytes[at..])? + 1;
                    if ends_quoted(bytes.get(at)) {
                        return Some(at);
                    }
                }
            }),
        };
        if self.unclosed[kind] {
            return None;
        }
        let end = close(self.line, open);
        self.unclosed[kind] = end.is_none();
        end
    }

    /// Closes a bracket and drops the tokens inside it, which are text.
    fn close(&mut self, at: usize) {
        let kind = match self.line.as_bytes()[at] {
            b')' => b'(',
            b']' => b'[',
            _ => b'{',
        };
        if self.open_kinds[kind_of(kind)] == 0 {
            return;
        }
        while let Some(bracket) = self.open.pop() {
            self.open_kinds[kind_of(bracket.kind)] -= 1;
            if bracket.kind == kind {
                self.found.truncate(bracket.tokens);
                self.extend(bracket.at, at + 1);
                return;
            }
        }
    }

    /// Extends a bare value that contains the start of a bracket or quote to the end of that.
    fn extend(&mut self, start: usize, end: usize) {
        if let Some(last) = self.found.last()
            && !last.quoted
            && last.equals < start
            && start < last.end
            && last.end < end
        {
            let end = self.word_end(end);
            if let Some(last) = self.found.last_mut() {
                last.end = end;
            }
        }
    }
}

fn kind_of(bracket: u8) -> usize {
    match bracket {
        b'(' => 0,
        b'[' => 1,
        _ => 2,
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let mut more = true;
        loop {
            if let Some(token) = self.found.get(self.returned)
                && (!more || self.open.is_empty() && self.at >= token.end)
            {
                let mut token = *token;
                self.returned += 1;
                // The comma or semicolon belongs to the sentence.
                if !token.quoted && token.end > token.equals + 1 {
                    let last = self.line.as_bytes()[token.end - 1];
                    token.end -= usize::from(matches!(last, b',' | b';'));
                }
                return Some(token);
            }
            if !more {
                return None;
            }
            more = self.step();
        }
    }
}

/// Whether the text before a `=` without a value is the end of base64 data (`eyJhb…30=`): its
/// length fits, and it mixes letters and digits as names do not.
fn is_base64_tail(key: &[u8]) -> bool {
    let mixed = |pair: &[u8]| {
        pair[0].is_ascii_digit() != pair[1].is_ascii_digit()
            || (pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
    };
    let has = |class: fn(&u8) -> bool| key.iter().any(class);
    let has_all =
        has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    key.len() % 4 == 3
        && key.iter().all(u8::is_ascii_alphanumeric)
        && (has_all && key.len() >= 15
            || key.windows(2).filter(|pair| mixed(pair)).count() > key.len() / 4)
}

/// Whether a line may be logfmt: it starts with a key and `=`.
pub(super) fn begins_with_key(line: &str) -> bool {
    let text = line.trim_ascii_start().as_bytes();
    // Most other lines begin with a digit or a bracket.
    if !text.first().is_some_and(|byte| begins_key(*byte)) {
        return false;
    }
    let key = text.iter().take(KEY_MAX + 1);
    let length = key.take_while(|byte| is_key_byte(**byte)).count();
    text.get(length) == Some(&b'=')
}

/// Whether the line has a `=` after text that `ending` accepts. A fast check that rules out most
/// lines.
pub(super) fn may_have_token(line: &str, ending: impl Fn(&[u8]) -> bool) -> bool {
    let bytes = line.as_bytes();
    memchr_iter(b'=', bytes).any(|equals| ending(&bytes[..equals]))
}

/// Whether the text between two fields is only white space or separators.
fn is_gap(text: &str) -> bool {
    text.bytes()
        .all(|byte| is_space(byte) || matches!(byte, b',' | b';' | b'|'))
}

/// Whether the line consists only of tokens, with at least one.
pub(super) fn is_logfmt(line: &str) -> bool {
    let mut end = 0;
    for token in Tokens::new(line) {
        if !is_gap(&line[end..token.start]) {
            return false;
        }
        end = token.end;
    }
    end > 0 && is_gap(&line[end..])
}

/// Puts the tokens of a text line into `fields`. Returns the message, and whether the line is
/// logfmt, that is, consists only of fields.
pub(super) fn parse_logfmt<'a>(line: &'a str, fields: &mut Vec<Field<'a>>) -> (Cow<'a, str>, bool) {
    let mut end = 0;
    // The tokens that may be the trailing fields.
    let mut run: Vec<Token> = Vec::new();
    let mut first = 0;
    for token in Tokens::new(line) {
        if !is_gap(&line[end..token.start]) {
            run.clear();
            first = fields.len();
        }
        end = token.end;
        fields.push(Field {
            name: Cow::Borrowed(token.key(line)),
            value: token.value(line).text(),
            duplicate: false,
        });
        run.push(token);
    }
    mark_duplicates(fields);
    let Some(start) = run.first().map(|token| token.start) else {
        return (Cow::Borrowed(line), false);
    };
    let text = line[..start].trim_ascii_end();
    let closed = line[end..]
        .bytes()
        .all(|byte| is_space(byte) || matches!(byte, b',' | b';'));
    if !closed {
        return (Cow::Borrowed(line), false);
    }
    let is_logfmt = first == 0 && is_gap(text);
    let mut message = Cow::Borrowed(without_separator(text));
    let duplicates = run
        .iter()
        .zip(&fields[first..])
        .filter(|(_, field)| field.duplicate);
    for (token, _) in duplicates {
        let message = message.to_mut();
        if !message.is_empty() {
            message.push(' ');
        }
        message.push_str(&line[token.start..token.end]);
    }
    (message, is_logfmt)
}

/// Marks the fields whose key the line contains more than once.
fn mark_duplicates(fields: &mut [Field<'_>]) {
    /// Up to this number of fields, comparing all pairs is faster than a hash table.
    const FEW: usize = 16;
    if fields.len() <= FEW {
        for at in 1..fields.len() {
            let (before, rest) = fields.split_at_mut(at);
            if let Some(duplicate) = before.iter_mut().find(|field| field.name == rest[0].name) {
                (duplicate.duplicate, rest[0].duplicate) = (true, true);
            }
        }
        return;
    }
    let mut counts: HashMap<&str, usize> = HashMap::with_capacity(fields.len());
    for field in &*fields {
        *counts.entry(&field.name).or_default() += 1;
    }
    let duplicates: Vec<bool> = fields
        .iter()
        .map(|field| counts[&*field.name] > 1)
        .collect();
    for (field, duplicate) in fields.iter_mut().zip(duplicates) {
        field.duplicate = duplicate;
    }
}

/// The last word of a text, if it is short enough to be a keyword or an option, and the text before
/// it.
fn last_word(text: &str) -> Option<(&str, &str)> {
    const LONGEST: usize = 16;
    let bytes = text.as_bytes();
    let tail = bytes.iter().rev().take(LONGEST + 1);
    let length = tail.take_while(|byte| !is_space(**byte)).count();
    let start = bytes.len() - length;
    let word = text.get(start..)?;
    (1..=LONGEST)
        .contains(&length)
        .then(|| (text[..start].trim_ascii_end(), word))
}

/// Whether the text before `set` is that of an SQL update: `update users`.
fn is_updated(text: &str) -> bool {
    let verb = last_word(text).and_then(|(text, _)| last_word(text));
    verb.is_some_and(|(_, verb)| verb.eq_ignore_ascii_case("update"))
}

/// The message without the separating `|` between it and the fields.
fn without_separator(message: &str) -> &str {
    let Some(before) = message.strip_suffix('|') else {
        return message;
    };
    let text = before.trim_ascii_end();
    if text.len() < before.len() || text.is_empty() {
        text
    } else {
        message
    }
}
