use super::InvalidQuestion;

/// Reads `key=value other="quoted value" flag`, the syntax of the parameter `tags`. A key without value has an empty
/// one.
///
/// # Errors
/// Names the place, in bytes from 1, of what is not logfmt, and a key that is there twice.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, InvalidQuestion> {
    let mut tags: Vec<(String, String)> = Vec::new();
    let mut reader = Reader { text, at: 0 };
    while reader.skip_blanks() {
        let key = reader.key()?;
        let value = if reader.accept('=') { reader.value()? } else { String::new() };
        if tags.iter().any(|(known, _)| *known == key) {
            return Err(InvalidQuestion::new(format!("invalid tags: tag {key} has been set twice")));
        }
        tags.push((key, value));
    }
    Ok(tags)
}

struct Reader<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn accept(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Whether there is anything after the blanks.
    fn skip_blanks(&mut self) -> bool {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(|c: char| c <= ' ').len();
        self.at < self.text.len()
    }

    /// Up to a blank, `=` or `"`.
    fn bare(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c <= ' ' || c == '=' || c == '"').unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn key(&mut self) -> Result<String, InvalidQuestion> {
        match (self.bare(), self.peek()) {
            ("", _) | (_, Some('"')) => Err(self.unexpected()),
            (key, _) => Ok(key.to_owned()),
        }
    }

    fn value(&mut self) -> Result<String, InvalidQuestion> {
        if self.accept('"') {
            let value = self.quoted()?;
            return match self.peek() {
                Some(c) if c > ' ' => Err(self.unexpected()),
                _ => Ok(value),
            };
        }
        let value = self.bare();
        match self.peek() {
            Some('=' | '"') => Err(self.unexpected()),
            _ => Ok(value.to_owned()),
        }
    }

    /// After the opening quote, with JSON's escapes.
    fn quoted(&mut self) -> Result<String, InvalidQuestion> {
        let start = self.at;
        loop {
            let rest = self.rest();
            let Some(end) = rest.find(['"', '\\']) else {
                return Err(self.error_at(start - 1, "unterminated quoted value"));
            };
            self.at += end;
            if self.accept('"') {
                let inside = self.text.get(start - 1..self.at).unwrap_or_default();
                let value = serde_json::from_str(inside);
                return value.map_err(|_| self.error_at(start - 1, "invalid quoted value"));
            }
            // The backslash and what it escapes, which may be a quote.
            self.at += 1;
            self.at += self.peek().map_or(0, char::len_utf8);
        }
    }

    fn unexpected(&self) -> InvalidQuestion {
        self.error_at(
            self.at,
            &self.peek().map_or("unexpected end".to_owned(), |c| format!("unexpected '{c}'")),
        )
    }

    fn error_at(&self, at: usize, what: &str) -> InvalidQuestion {
        InvalidQuestion::new(format!("invalid tags: {what} at pos {}", at + 1))
    }
}

#[cfg(test)]
mod tests;
