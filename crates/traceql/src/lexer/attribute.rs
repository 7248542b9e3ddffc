use super::{Lexed, Lexer};
use crate::ast::{Attribute, Scope};
use crate::token::TokenKind;

/// Whether `c` ends an attribute name outside quotes.
fn ends_name(c: char) -> bool {
    c.is_whitespace() || "{}()=~!<>&|^,".contains(c)
}

/// Whether an attribute name needs no quotes anywhere.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| ends_name(c) || c == '"' || c == '\\')
}

impl Lexer<'_> {
    /// The name after the dot: plain and quoted parts up to the first character that ends it.
    pub(super) fn attribute(&mut self, scope: Scope, parent: bool) -> Lexed {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if c == '"' {
                self.quoted_part(&mut name)?;
            } else if ends_name(c) {
                break;
            } else {
                self.next();
                name.push(c);
            }
        }
        if name.is_empty() {
            return Err("syntax error: attribute name missing after the dot".to_owned());
        }
        Ok(TokenKind::Attribute(Attribute::Named { scope, name, parent }))
    }

    fn quoted_part(&mut self, name: &mut String) -> Lexed<()> {
        self.next();
        loop {
            match self.next() {
                Some('"') => return Ok(()),
                Some('\\') => match self.next() {
                    Some(c @ ('"' | '\\')) => name.push(c),
                    _ => {
                        return Err(
                            r#"invalid escape in attribute name: only \" and \\ are known"#.to_owned()
                        );
                    }
                },
                Some(c) => name.push(c),
                None => return Err("quoted attribute name not terminated".to_owned()),
            }
        }
    }
}
