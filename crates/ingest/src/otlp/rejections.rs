use vivace_model::Value;

/// How many refused spans and attributes are named in the message; the rest are counted.
const NAMED_REJECTIONS: usize = 3;
/// How many characters of a name are shown.
const NAME_CHARS: usize = 80;

/// Spans that were refused, attributes that were left out, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejections {
    /// Refused for their trace id.
    pub invalid_trace_id: u64,
    /// Refused for their span id.
    pub invalid_span_id: u64,
    /// Attributes left out because arrays and maps in them go deeper than [`Value::MAX_DEPTH`]. Who had them counts them as
    /// dropped.
    pub deep_attributes: u64,
    reasons: Vec<String>,
}

impl Rejections {
    /// How many spans were refused.
    pub fn total(&self) -> u64 {
        self.invalid_trace_id + self.invalid_span_id
    }

    /// Names the first refused spans and attributes; empty when none was.
    pub fn message(&self) -> String {
        let all = self.total() + self.deep_attributes;
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
