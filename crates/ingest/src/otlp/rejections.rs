use vivace_model::Value;

/// How many refused spans and attributes are named in the message; the rest are counted.
const NAMED_REJECTIONS: usize = 3;
/// How many characters of a name are shown.
const NAME_CHARS: usize = 80;

/// What attributes belong to, under the names Tempo counts them by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Resource,
    Scope,
    Span,
    Event,
    Link,
}

/// How many keys and values of attributes were cut, by what they belong to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Truncated([u64; 5]);

impl Truncated {
    const NAMES: [&str; 5] = ["resource", "scope", "span", "event", "link"];

    /// Each kind of owner by name, and how many were cut.
    pub fn by_scope(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::NAMES.into_iter().zip(self.0)
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Spans that were refused, attributes that were left out or cut, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejections {
    /// Refused for their trace id.
    pub invalid_trace_id: u64,
    /// Refused for their span id.
    pub invalid_span_id: u64,
    /// Attributes left out because arrays and maps in them go deeper than [`Value::MAX_DEPTH`]. Who had them counts them as
    /// dropped.
    pub deep_attributes: u64,
    /// Keys and values that were cut.
    pub truncated: Truncated,
    max_attribute_bytes: usize,
    reasons: Vec<String>,
}

impl Rejections {
    /// None so far. Keys and texts of attributes may be so long.
    pub(super) fn new(max_attribute_bytes: usize) -> Self {
        Self {
            invalid_trace_id: 0,
            invalid_span_id: 0,
            deep_attributes: 0,
            truncated: Truncated::default(),
            max_attribute_bytes,
            reasons: Vec::new(),
        }
    }

    /// How many spans were refused.
    pub fn total(&self) -> u64 {
        self.invalid_trace_id + self.invalid_span_id
    }

    /// Names the first refused spans and attributes; empty when none was.
    pub fn message(&self) -> String {
        let all = self.total() + self.deep_attributes + self.truncated.total();
        let unnamed = all.saturating_sub(self.reasons.len() as u64);
        let more = if unnamed == 0 { String::new() } else { format!("; and {unnamed} more") };
        format!("{}{more}", self.reasons.join("; "))
    }

    /// Whether a span may stay; if not, notes why (texts of `reference/tempo.md` 1.5).
    #[inline]
    pub(super) fn admit(&mut self, trace_id: &[u8], span_id: &[u8], name: &str) -> bool {
        let valid = trace_id.len() == 16 && span_id.len() == 8 && span_id != [0; 8];
        if !valid {
            self.refuse(trace_id, span_id, name);
        }
        valid
    }

    #[cold]
    fn refuse(&mut self, trace_id: &[u8], span_id: &[u8], name: &str) {
        let fault = if trace_id.len() != 16 {
            self.invalid_trace_id += 1;
            format!("trace ids must be 128 bit, received {} bits", trace_id.len() * 8)
        } else {
            self.invalid_span_id += 1;
            format!("span ids must be 64 bit and not all zero, received {} bits", span_id.len() * 8)
        };
        self.name(|| {
            let ids = format!("trace id {}, span id {}", hex(trace_id), hex(span_id));
            format!("span \"{}\" ({ids}): {fault}", shown(name))
        });
    }

    /// Notes an attribute that is too deep.
    #[cold]
    pub(super) fn leave_out(&mut self, key: &str) {
        self.deep_attributes += 1;
        self.name(|| {
            let limit = Value::MAX_DEPTH;
            format!(
                "attribute \"{}\" left out: arrays and maps in it go deeper than {limit} levels",
                shown(key)
            )
        });
    }

    /// A key, or the text of the attribute with this key, as far as it may be kept.
    #[inline]
    pub(super) fn shorten<'a>(&mut self, owner: Owner, key: &str, text: &'a str) -> &'a str {
        if text.len() <= self.max_attribute_bytes { text } else { self.cut(owner, key, text) }
    }

    #[cold]
    fn cut<'a>(&mut self, owner: Owner, key: &str, text: &'a str) -> &'a str {
        self.truncated.0[owner as usize] += 1;
        let limit = self.max_attribute_bytes;
        self.name(|| {
            let length = text.len();
            format!("attribute \"{}\": {length} bytes cut to max_attribute_bytes, {limit}", shown(key))
        });
        text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
    }

    fn name(&mut self, reason: impl FnOnce() -> String) {
        if self.reasons.len() < NAMED_REJECTIONS {
            self.reasons.push(reason());
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(NAME_CHARS).collect()
}

fn hex(bytes: &[u8]) -> String {
    let shown: String = bytes.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    if shown.is_empty() { "empty".to_owned() } else { shown }
}
