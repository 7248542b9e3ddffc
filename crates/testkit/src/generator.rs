use std::sync::Arc;

use vivace_base::{Randomness, UnixNanos};
use vivace_model::{
    Attribute, Event, Link, Resource, Scope, Span, SpanId, SpanKind, StatusCode, TraceId, Value,
};

use crate::{BASE_TIME, SeededRandomness};

const SERVICES: [&str; 6] = ["ingress", "productpage", "details", "reviews", "ratings", "größe \"quoted\""];
const NAMES: [&str; 7] =
    ["GET /", "GET /reviews", "select", "publish", "", "日本語", "reviews.default.svc:9080/*"];
const KINDS: [SpanKind; 6] = [
    SpanKind::Unspecified,
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];
/// Keys of every shape: dotted, with a type's suffix, with spaces, with quotes, not ASCII.
const KEYS: [&str; 12] = [
    "http.status_code",
    "http.method",
    "http.url",
    "guid:x-request-id",
    "retry",
    "ratio",
    "payload.size",
    "key:str",
    "with space",
    "quo\"ted",
    "größe",
    "duration",
];
const TEXTS: [&str; 7] = ["", "200", "GET", "true", "it's \"quoted\"\n", "naïve 🎻", "reviews.default"];
const INTS: [i64; 7] = [0, 1, -1, 200, 503, i64::MAX, i64::MIN];
const FLOATS: [f64; 7] = [0.0, 0.5, -2.5, 200.0, 499.5, f64::MAX, f64::NEG_INFINITY];
const MAX_VALUE_DEPTH: u32 = 2;
const SECOND: u64 = 1_000_000_000;

/// Random traces that hold what real ones may hold: several services, every kind and status, attributes of every type
/// in every scope, the same key with different types, events, links, missing roots, clocks that run backwards.
/// Within one list keys are distinct, within one trace span ids are, and floats are never NaN, so that spans compare.
#[derive(Debug)]
pub struct TraceGenerator {
    random: SeededRandomness,
    services: Vec<Arc<Resource>>,
    scopes: Vec<Arc<Scope>>,
    start: UnixNanos,
}

impl TraceGenerator {
    /// The traces that belong to `seed`, starting within a second of each other after [`BASE_TIME`].
    pub fn new(seed: u64) -> Self {
        let mut generator = Self {
            random: SeededRandomness::new(seed),
            services: Vec::new(),
            scopes: Vec::new(),
            start: BASE_TIME,
        };
        generator.services = SERVICES.iter().map(|name| Arc::new(generator.resource(name))).collect();
        generator.services.push(Arc::new(Resource::default()));
        generator.scopes = (0..4).map(|number| Arc::new(generator.scope(number))).collect();
        generator
    }

    /// The same, later traces starting from here.
    pub fn starting_at(mut self, start: UnixNanos) -> Self {
        self.start = start;
        self
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.random.seed()
    }

    /// The next trace, of exactly `spans` spans, in no particular order.
    pub fn trace(&mut self, spans: usize) -> Vec<Span> {
        self.start += self.random.below(SECOND);
        let trace_id = self.trace_id();
        let mut trace: Vec<Span> = Vec::with_capacity(spans);
        for number in 0..spans {
            let parent =
                (number > 0).then(|| self.random.index(number)).and_then(|at| trace.get(at)).cloned();
            let span = self.span(trace_id, number as u64, parent.as_ref());
            trace.push(span);
        }
        for last in (1..trace.len()).rev() {
            trace.swap(last, self.random.index(last + 1));
        }
        trace
    }

    /// The next `count` traces of 1 to `max_spans` spans each, in one list.
    pub fn traces(&mut self, count: usize, max_spans: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        for _ in 0..count {
            let size = 1 + self.random.index(max_spans);
            spans.extend(self.trace(size));
        }
        spans
    }

    fn span(&self, trace_id: TraceId, number: u64, parent: Option<&Span>) -> Span {
        let random = &self.random;
        let (start, end) = self.times(parent);
        let status = *random.pick(&[StatusCode::Unset, StatusCode::Unset, StatusCode::Ok, StatusCode::Error]);
        let described = status == StatusCode::Error && random.chance(50);
        Span {
            trace_id,
            span_id: self.span_id(number),
            parent_span_id: self.parent_id(parent),
            trace_state: if random.chance(10) { "vendor=value".to_owned() } else { String::new() },
            flags: random.below(4) as u32,
            name: (*random.pick(&NAMES)).to_owned(),
            kind: *random.pick(&KINDS),
            start,
            end,
            status,
            status_message: if described { (*random.pick(&TEXTS)).to_owned() } else { String::new() },
            attributes: self.attributes(6),
            dropped_attributes: self.dropped(),
            events: (0..random.below(3)).map(|_| self.event(start)).collect(),
            dropped_events: self.dropped(),
            links: (0..random.below(2)).map(|_| self.link()).collect(),
            dropped_links: self.dropped(),
            resource: Arc::clone(random.pick(&self.services)),
            scope: Arc::clone(random.pick(&self.scopes)),
        }
    }

    /// Mostly within the parent's time; now and then a clock runs backwards.
    fn times(&self, parent: Option<&Span>) -> (UnixNanos, UnixNanos) {
        let (from, room) = match parent {
            Some(parent) => (parent.start, parent.duration().max(1)),
            None => (self.start, 2 * SECOND),
        };
        let start = from + self.random.below(room / 2 + 1);
        let duration = self.random.below(room);
        if self.random.chance(3) { (start, start - duration % 1000) } else { (start, start + duration) }
    }

    /// The parent's id. A root lacks one, and so may a second root; a missing root is an id that never arrives.
    fn parent_id(&self, parent: Option<&Span>) -> Option<SpanId> {
        match parent {
            None if self.random.chance(15) => Some(SpanId([0xff; 8])),
            Some(parent) if !self.random.chance(3) => Some(parent.span_id),
            _ => None,
        }
    }

    fn trace_id(&self) -> TraceId {
        let mut bytes = [0; 16];
        // Ids with leading zeros are printed short.
        let from = if self.random.chance(20) { 8 } else { 0 };
        bytes[from..].copy_from_slice(&self.random.bytes(16 - from));
        TraceId(bytes)
    }

    /// Distinct within a trace by its lower half, and never zero.
    fn span_id(&self, number: u64) -> SpanId {
        let random_half = self.random.below(u64::from(u32::MAX)) << 32;
        SpanId((random_half | (number + 1)).to_be_bytes())
    }

    fn dropped(&self) -> u32 {
        if self.random.chance(5) { self.random.below(100) as u32 } else { 0 }
    }

    fn resource(&self, service: &str) -> Resource {
        let mut attributes = vec![Attribute::new("service.name", service)];
        attributes.push(Attribute::new("k8s.pod.name", format!("{service}-{}", self.random.below(1000))));
        attributes.extend(self.attributes(3));
        let schema_url = if self.random.chance(30) { "https://opentelemetry.io/schemas/1.27.0" } else { "" };
        Resource { attributes, dropped_attributes: self.dropped(), schema_url: schema_url.to_owned() }
    }

    fn scope(&self, number: usize) -> Scope {
        let named = number > 0;
        Scope {
            name: if named { format!("instrumentation-{number}") } else { String::new() },
            version: if named { format!("1.{number}") } else { String::new() },
            attributes: if named { self.attributes(2) } else { Vec::new() },
            dropped_attributes: self.dropped(),
            schema_url: String::new(),
        }
    }

    fn event(&self, start: UnixNanos) -> Event {
        Event {
            time: start + self.random.below(SECOND),
            name: (*self.random.pick(&["exception", "retry", ""])).to_owned(),
            attributes: self.attributes(2),
            dropped_attributes: self.dropped(),
        }
    }

    fn link(&self) -> Link {
        Link {
            trace_id: self.trace_id().0.to_vec(),
            span_id: self.random.bytes(8),
            trace_state: String::new(),
            flags: self.random.below(2) as u32,
            attributes: self.attributes(2),
            dropped_attributes: self.dropped(),
        }
    }

    /// Up to `max` attributes with distinct keys.
    fn attributes(&self, max: u64) -> Vec<Attribute> {
        let mut attributes: Vec<Attribute> = Vec::new();
        for _ in 0..self.random.below(max + 1) {
            let key = *self.random.pick(&KEYS);
            if attributes.iter().all(|known| known.key != key) {
                attributes.push(Attribute { key: key.to_owned(), value: self.usual_value(key) });
            }
        }
        attributes
    }

    /// Most keys have their type, which is what makes columns worth their while; a tenth of values do not keep to it.
    fn usual_value(&self, key: &str) -> Value {
        if self.random.chance(10) {
            return self.any_value(MAX_VALUE_DEPTH);
        }
        match key {
            "http.status_code" => Value::Int(*self.random.pick(&[200, 200, 200, 404, 500, 503])),
            "payload.size" => Value::Int(self.random.below(1 << 20) as i64),
            "guid:x-request-id" => Value::String(format!("{:016x}", self.random.next_u64())),
            "retry" => Value::Bool(self.random.chance(50)),
            "ratio" => Value::Float(self.random.below(1000) as f64 / 8.0),
            _ => Value::String((*self.random.pick(&TEXTS)).to_owned()),
        }
    }

    fn any_value(&self, depth: u32) -> Value {
        let random = &self.random;
        match random.below(if depth > 0 { 8 } else { 6 }) {
            0 => Value::Empty,
            1 => Value::String((*random.pick(&TEXTS)).to_owned()),
            2 => Value::Bool(random.chance(50)),
            3 => Value::Int(*random.pick(&INTS)),
            4 => Value::Float(*random.pick(&FLOATS)),
            5 => Value::Bytes(random.bytes(random.index(5))),
            6 => Value::Array((0..random.below(4)).map(|_| self.any_value(depth - 1)).collect()),
            _ => {
                let entry = |number| (format!("key{number}"), self.any_value(depth - 1));
                Value::Map((0..random.below(3)).map(entry).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests;
