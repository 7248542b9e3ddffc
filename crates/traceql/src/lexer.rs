//! Text to tokens (`reference/tempo.md` 4.1). Never fails: what is no token becomes `Invalid`, so that an earlier
//! syntax error is still the one reported.

mod attribute;
mod duration;
mod literal;

pub(crate) use attribute::is_plain_name;
pub use duration::{format_duration, parse_duration};

use crate::ast::{Intrinsic, Scope};
use crate::token::{Token, TokenKind};

/// Longest first, so that the first that fits is the right one.
const SYMBOLS: &[&str] = &[
    "!>>", "!<<", "&>>", "&<<", "!=", "!~", "!>", "!<", "=~", ">=", "<=", ">>", "<<", "&&", "||", "&>", "&<",
    "&~", "=", "!", ">", "<", "~", "|", "+", "-", "*", "/", "%", "^", "{", "}", "(", ")", ",",
];

pub(crate) fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, offset: 0 };
    let mut tokens = Vec::new();
    loop {
        let trivia = lexer.skip_trivia();
        let start = lexer.offset;
        let kind = trivia.and_then(|()| lexer.token()).unwrap_or_else(TokenKind::Invalid);
        let end = lexer.offset;
        let invalid = matches!(kind, TokenKind::Invalid(_));
        let last = kind == TokenKind::End;
        tokens.push(Token { kind, start, end });
        if invalid {
            tokens.push(Token { kind: TokenKind::End, start: text.len(), end: text.len() });
        }
        if invalid || last {
            return tokens;
        }
    }
}

/// Whitespace between tokens: what Go's scanner skips. Attribute names end at more than that.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

struct Lexer<'a> {
    text: &'a str,
    /// Byte of the next character.
    offset: usize,
}

/// A token, or the message of the `Invalid` one. The lexer does not go on after it.
type Lexed<T = TokenKind> = Result<T, String>;

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.offset += next.len_utf8();
        Some(next)
    }

    fn accept(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.offset += prefix.len();
        }
        found
    }

    fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.offset += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Steps over whitespace and comments.
    fn skip_trivia(&mut self) -> Lexed<()> {
        loop {
            self.take_while(is_space);
            if self.rest().starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                let length = self.rest().find("*/").ok_or("comment not terminated")?;
                self.offset += length + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Lexed {
        let Some(first) = self.peek() else { return Ok(TokenKind::End) };
        let second = self.rest().chars().nth(1);
        match first {
            '"' | '`' => self.string(),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            '.' => {
                self.next();
                self.attribute(Scope::None, false)
            }
            _ if first.is_alphabetic() || first == '_' => self.word(),
            _ => self.symbol(first),
        }
    }

    fn symbol(&mut self, first: char) -> Lexed {
        let found = SYMBOLS.iter().find(|symbol| self.accept(symbol));
        found.map(|symbol| TokenKind::Symbol(symbol)).ok_or_else(|| format!("invalid character {first:?}"))
    }

    /// An identifier or named integer, and the attribute or scoped intrinsic it may start.
    fn word(&mut self) -> Lexed {
        let start = self.offset;
        let word = self.take_while(|c| c.is_alphanumeric() || c == '_');
        match self.peek() {
            Some('.') if word == "parent" => {
                self.next();
                let scope =
                    [Scope::Span, Scope::Resource].into_iter().find(|scope| self.accept_scope(*scope));
                self.attribute(scope.unwrap_or(Scope::None), true)
            }
            Some('.') => match Scope::ALL.into_iter().find(|scope| scope.name() == word) {
                Some(scope) => {
                    self.next();
                    self.attribute(scope, false)
                }
                None => Ok(TokenKind::Word(word.to_owned())),
            },
            Some(':') => self.scoped_intrinsic(start, word),
            _ => Ok(match word {
                "minInt" => TokenKind::Int(i64::MIN),
                "maxInt" => TokenKind::Int(i64::MAX),
                _ => TokenKind::Word(word.to_owned()),
            }),
        }
    }

    fn accept_scope(&mut self, scope: Scope) -> bool {
        let dotted = self.rest().strip_prefix(scope.name()).is_some_and(|rest| rest.starts_with('.'));
        if dotted {
            self.offset += scope.name().len() + 1;
        }
        dotted
    }

    fn scoped_intrinsic(&mut self, start: usize, prefix: &str) -> Lexed {
        if !["trace", "span", "event", "link", "instrumentation"].contains(&prefix) {
            return Ok(TokenKind::Word(prefix.to_owned()));
        }
        self.next();
        self.skip_trivia()?;
        let name = self.take_while(|c| c.is_alphanumeric() || c == '_');
        let full = format!("{prefix}:{name}");
        match Intrinsic::from_name(&full) {
            Some(intrinsic) => Ok(TokenKind::Attribute(crate::ast::Attribute::Intrinsic(intrinsic))),
            None => {
                self.offset = start;
                Err(format!("unknown intrinsic: {full}"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
