//! A JSON reader that hides nothing: an object keeps its members in order and twice if they
//! came twice, and what Loki's reader refuses (raw control characters, lone surrogates,
//! numbers of odd shapes) is refused here. It knows JSON and nothing of Loki; that it is not
//! the library the program writes its JSON with is what makes it a witness.

use std::fmt;

/// A JSON value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// A number, as its characters.
    Number(String),
    String(String),
    Array(Vec<Json>),
    /// Members in the order they came; a name may be there twice.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }
}

/// Why a text is not JSON, and at which byte.
#[derive(Debug)]
pub struct Broken {
    at: usize,
    why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.why)
    }
}

/// Reads one JSON value that fills `text` from its first byte to its last, white space aside.
pub fn parse(text: &str) -> Result<Json, Broken> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.broken("something comes after the JSON value"));
    }
    Ok(value)
}

const DEEPEST: usize = 64;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn broken(&self, why: impl Into<String>) -> Broken {
        Broken {
            at: self.at,
            why: why.into(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.broken(format!("`{}` expected", byte as char)))
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, Broken> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.broken(format!("`{word}` expected")))
    }

    fn value(&mut self, depth: usize) -> Result<Json, Broken> {
        if depth > DEEPEST {
            return Err(self.broken("nested too deeply"));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.broken("a value expected")),
            None => Err(self.broken("the text ends where a value is expected")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, Broken> {
        let mut members = Vec::new();
        self.expect(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            members.push((name, self.value(depth + 1)?));
            self.space();
            if self.peek() != Some(b',') {
                self.expect(b'}')?;
                return Ok(Json::Object(members));
            }
            self.at += 1;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, Broken> {
        let mut items = Vec::new();
        self.expect(b'[')?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            if self.peek() != Some(b',') {
                self.expect(b']')?;
                return Ok(Json::Array(items));
            }
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Json, Broken> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits();
        let first = &self.text[self.at - whole..self.at];
        if whole == 0 || (whole > 1 && first.starts_with('0')) {
            return Err(self.broken("a number without digits, or with a leading zero"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.broken("digits expected after the point"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.broken("digits expected in the exponent"));
            }
        }
        Ok(Json::Number(self.text[start..self.at].to_owned()))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> Result<String, Broken> {
        self.expect(b'"')?;
        let mut out = String::new();
        loop {
            let plain = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1f)) {
                self.at += 1;
            }
            // The loop stops at ASCII bytes only, so these are character boundaries.
            out.push_str(&self.text[plain..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(byte) => {
                    return Err(self.broken(format!("raw control character {byte:#04x}")));
                }
                None => return Err(self.broken("the text ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Broken> {
        self.expect(b'\\')?;
        let Some(byte) = self.peek() else {
            return Err(self.broken("the text ends inside an escape"));
        };
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => byte as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.broken(format!("no such escape: \\{}", byte as char))),
        })
    }

    /// After `\u`: one code point, of two escapes where it needs a surrogate pair.
    fn unicode(&mut self) -> Result<char, Broken> {
        let high = self.hex4()?;
        let code = match high {
            0xd800..=0xdbff => {
                if !self.text[self.at..].starts_with("\\u") {
                    return Err(self.broken("lone surrogate"));
                }
                self.at += 2;
                let low = self.hex4()?;
                if !(0xdc00..=0xdfff).contains(&low) {
                    return Err(self.broken("lone surrogate"));
                }
                0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
            }
            _ => high,
        };
        char::from_u32(code).ok_or_else(|| self.broken("lone surrogate"))
    }

    fn hex4(&mut self) -> Result<u32, Broken> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|four| four.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(self.broken("four hexadecimal digits expected after \\u"));
        };
        let code = digits.iter().fold(0, |code, digit| {
            code * 16 + (*digit as char).to_digit(16).unwrap_or(0)
        });
        self.at += 4;
        Ok(code)
    }
}
