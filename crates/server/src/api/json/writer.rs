use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::fmt::Write;

/// A JSON object that is being written. Zero values are left out, as `jsonpb` does.
pub(super) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn open(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// The rest of an object that was opened before and has fields already.
    pub(super) fn continuing(out: &'a mut String) -> Self {
        Self { out, empty: false }
    }

    pub(super) fn close(self) {
        self.out.push('}');
    }

    /// Writes the name; the value must follow.
    pub(super) fn key(&mut self, key: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        string(self.out, key);
        self.out.push(':');
        self.out
    }

    pub(super) fn string(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            string(self.key(key), value);
        }
    }

    /// A 64-bit number, which JSON carries as text.
    pub(super) fn u64(&mut self, key: &str, value: u64) {
        if value != 0 {
            // Writing to a String cannot fail.
            let _ = write!(self.key(key), "\"{value}\"");
        }
    }

    /// See [`Object::u64`].
    pub(super) fn i64(&mut self, key: &str, value: i64) {
        if value != 0 {
            // Writing to a String cannot fail.
            let _ = write!(self.key(key), "\"{value}\"");
        }
    }

    pub(super) fn f64(&mut self, key: &str, value: f64) {
        if value != 0.0 {
            double(self.key(key), value);
        }
    }

    pub(super) fn u32(&mut self, key: &str, value: u32) {
        if value != 0 {
            // Writing to a String cannot fail.
            let _ = write!(self.key(key), "{value}");
        }
    }

    pub(super) fn base64(&mut self, key: &str, value: &[u8]) {
        if !value.is_empty() {
            base64(self.key(key), value);
        }
    }

    /// A message that is set, even if all in it is zero.
    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let mut object = Object::open(self.key(key));
        fill(&mut object);
        object.close();
    }

    /// A list, even if it is empty.
    pub(super) fn array<T>(&mut self, key: &str, items: &[T], write: impl Fn(&T, &mut String)) {
        let out = self.key(key);
        out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write(item, out);
        }
        out.push(']');
    }

    /// A list, unless it is empty.
    pub(super) fn list<T>(&mut self, key: &str, items: &[T], write: impl Fn(&T, &mut String)) {
        if !items.is_empty() {
            self.array(key, items, write);
        }
    }
}

pub(super) fn base64(out: &mut String, bytes: &[u8]) {
    out.push('"');
    BASE64.encode_string(bytes, out);
    out.push('"');
}

/// Text in quotes, escaped.
pub(super) fn string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    if is_plain(text) {
        out.push_str(text);
    } else {
        escaped(out, text);
    }
    out.push('"');
}

/// Whether nothing is to be escaped; looks at many bytes at a time, since hardly any text has such a byte.
fn is_plain(text: &str) -> bool {
    let escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    text.as_bytes().chunks(32).all(|bytes| !bytes.iter().fold(false, |any, byte| any | escaped(*byte)))
}

fn escaped(out: &mut String, text: &str) {
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(text.get(written..at).unwrap_or_default());
        written = at + 1;
        if escaped.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escaped);
        }
    }
    out.push_str(text.get(written..).unwrap_or_default());
}

/// A double; JSON has no numbers for what is not finite.
pub(super) fn double(out: &mut String, value: f64) {
    // Writing to a String cannot fail.
    let _ = if value.is_nan() {
        write!(out, "\"NaN\"")
    } else if value.is_infinite() {
        write!(out, "\"{}Infinity\"", if value < 0.0 { "-" } else { "" })
    } else {
        // The shortest digits that read back as the same double, with an exponent where there would be many zeros.
        write!(out, "{}", serde_json::json!(value))
    };
}
