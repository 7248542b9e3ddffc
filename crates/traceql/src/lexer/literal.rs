use super::duration::{is_duration_char, parse_duration};
use super::{Lexed, Lexer};
use crate::token::TokenKind;

impl Lexer<'_> {
    /// Integer, float or duration.
    pub(super) fn number(&mut self) -> Lexed {
        let start = self.offset;
        let mut is_float = false;
        self.take_while(|c| c.is_ascii_digit());
        if self.accept(".") {
            is_float = true;
            self.take_while(|c| c.is_ascii_digit());
        }
        is_float |= self.exponent()?;
        let is_duration = !self.take_while(is_duration_char).is_empty();
        let is_whole = self.take_while(|c| c.is_alphanumeric() || c == '_').is_empty();
        let text = self.since(start);
        if is_duration {
            let nanos = parse_duration(text).filter(|_| is_whole);
            return nanos.map(TokenKind::Duration).ok_or_else(|| bad("duration", text));
        }
        if !is_whole {
            return Err(bad("number", text));
        }
        if is_float {
            let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
            value.map(TokenKind::Float).ok_or_else(|| bad("number", text))
        } else {
            text.parse().map(TokenKind::Int).map_err(|_| bad("number", text))
        }
    }

    fn since(&self, start: usize) -> &str {
        self.text.get(start..self.offset).unwrap_or_default()
    }

    /// Steps over `e+10`, if it is there.
    fn exponent(&mut self) -> Lexed<bool> {
        if !(self.accept("e") || self.accept("E")) {
            return Ok(false);
        }
        let _sign = self.accept("+") || self.accept("-");
        match self.take_while(|c| c.is_ascii_digit()) {
            "" => Err("exponent has no digits".to_owned()),
            _ => Ok(true),
        }
    }

    pub(super) fn string(&mut self) -> Lexed {
        if self.accept("`") {
            let raw = self.take_while(|c| c != '`').replace('\r', "");
            return if self.accept("`") { Ok(TokenKind::String(raw)) } else { Err(unterminated()) };
        }
        self.next();
        let mut bytes = Vec::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err(unterminated()),
                Some('"') => break,
                Some('\\') => self.escape(&mut bytes)?,
                Some(c) => push_char(&mut bytes, c),
            }
        }
        String::from_utf8(bytes).map(TokenKind::String).map_err(|_| "string is not UTF-8".to_owned())
    }

    /// What follows a backslash in a string; the rules are Go's.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Lexed<()> {
        let simple = match self.next() {
            Some('a') => 7,
            Some('b') => 8,
            Some('t') => b'\t',
            Some('n') => b'\n',
            Some('v') => 11,
            Some('f') => 12,
            Some('r') => b'\r',
            Some('\\') => b'\\',
            Some('"') => b'"',
            Some('x') => self.byte_escape(2, 16, 0)?,
            Some(c @ '0'..='3') => self.byte_escape(2, 8, u32::from(c) - u32::from('0'))?,
            Some('u') => return self.char_escape(4, bytes),
            Some('U') => return self.char_escape(8, bytes),
            _ => return Err("invalid escape in string".to_owned()),
        };
        bytes.push(simple);
        Ok(())
    }

    fn byte_escape(&mut self, digits: usize, radix: u32, high: u32) -> Lexed<u8> {
        let value = self.digits(digits, radix, high)?;
        u8::try_from(value).map_err(|_| "invalid escape in string".to_owned())
    }

    fn char_escape(&mut self, digits: usize, bytes: &mut Vec<u8>) -> Lexed<()> {
        let code = self.digits(digits, 16, 0)?;
        let c = char::from_u32(code).ok_or_else(|| "escape in string is no character".to_owned())?;
        push_char(bytes, c);
        Ok(())
    }

    fn digits(&mut self, count: usize, radix: u32, high: u32) -> Lexed<u32> {
        let mut value = high;
        for _ in 0..count {
            let digit = self.next().and_then(|c| c.to_digit(radix)).ok_or("escape in string is too short")?;
            value = value.saturating_mul(radix).saturating_add(digit);
        }
        Ok(value)
    }
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn bad(what: &str, text: &str) -> String {
    format!("invalid {what}: {text}")
}

fn unterminated() -> String {
    "string not terminated".to_owned()
}
