//! OTLP requests that use all of the protocol: every field, every type of value in every place, extremes, oddities.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use vivace_base::Randomness;
use vivace_model::Value as Model;
use vivace_testkit::{BASE_TIME, SeededRandomness};

use crate::spans::SECOND;

const TEXTS: [&str; 10] =
    ["", " ", "200", "true", "größe", "日本語 🎻", "a\"b'c\\d\n\t\r", "\0", "\u{10ffff}\u{feff}", "null"];
/// Some are what columns are called, or what a reader could take for something else.
const KEYS: [&str; 12] = [
    "",
    "service.name",
    "http.status_code",
    "span.code:int",
    ":str",
    ".",
    "with space",
    "quo\"ted",
    "größe",
    "trace_id",
    "name",
    "events",
];
const INTS: [i64; 8] = [0, 1, -1, 200, i64::MAX, i64::MIN, 1 << 53, -(1 << 53) - 1];
const FLOATS: [f64; 13] = [
    0.0,
    -0.0,
    0.1,
    -2.5,
    5.0,
    1e300,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];
const TIMES: [u64; 4] = [0, 1, u64::MAX, u64::MAX / 2];

/// Makes requests. No two spans are the same by trace, id and kind.
#[derive(Debug)]
pub struct Wild {
    random: SeededRandomness,
    spans: u64,
}

impl Wild {
    /// The requests that belong to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { random: SeededRandomness::new(seed), spans: 0 }
    }

    /// The next request, of some spans of `traces` traces, which other requests have spans of too.
    pub fn request(&mut self, traces: u64) -> ExportTraceServiceRequest {
        let resources = 1 + self.random.below(4);
        ExportTraceServiceRequest {
            resource_spans: (0..resources).map(|_| self.resource_spans(traces)).collect(),
        }
    }

    fn resource_spans(&mut self, traces: u64) -> ResourceSpans {
        let resource = self.random.chance(80).then(|| Resource {
            attributes: self.attributes(6),
            dropped_attributes_count: self.count(),
            entity_refs: Vec::new(),
        });
        let schema_url = self.text();
        let scopes = self.random.below(4);
        ResourceSpans {
            resource,
            scope_spans: (0..scopes).map(|_| self.scope_spans(traces)).collect(),
            schema_url,
        }
    }

    fn scope_spans(&mut self, traces: u64) -> ScopeSpans {
        let scope = self.random.chance(80).then(|| InstrumentationScope {
            name: self.text(),
            version: self.text(),
            attributes: self.attributes(3),
            dropped_attributes_count: self.count(),
        });
        let schema_url = self.text();
        let spans = self.random.below(20);
        ScopeSpans { scope, spans: (0..spans).map(|_| self.span(traces)).collect(), schema_url }
    }

    fn span(&mut self, traces: u64) -> Span {
        self.spans += 1;
        let trace = u128::from(self.random.below(traces)) << self.random.pick(&[0, 64]);
        let start = self.time();
        let end =
            if self.random.chance(80) { start.wrapping_add(self.random.below(SECOND)) } else { self.time() };
        Span {
            trace_id: trace.to_be_bytes().to_vec(),
            span_id: self.spans.to_be_bytes().to_vec(),
            trace_state: self.text(),
            parent_span_id: self.parent(),
            flags: self.count(),
            name: self.text(),
            kind: self.random.below(6) as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes: self.attributes(10),
            dropped_attributes_count: self.count(),
            events: (0..self.random.below(3)).map(|_| self.event()).collect(),
            dropped_events_count: self.count(),
            links: (0..self.random.below(3)).map(|_| self.link()).collect(),
            dropped_links_count: self.count(),
            status: self
                .random
                .chance(80)
                .then(|| Status { message: self.text(), code: self.random.below(3) as i32 }),
        }
    }

    /// A span that was made before, one that never was, or none, however that is said.
    fn parent(&self) -> Vec<u8> {
        match self.random.below(5) {
            0 => Vec::new(),
            1 => vec![0; 8],
            2 => self.random.bytes(8),
            _ => self.random.below(self.spans + 1).to_be_bytes().to_vec(),
        }
    }

    fn event(&self) -> Event {
        Event {
            time_unix_nano: self.time(),
            name: self.text(),
            attributes: self.attributes(4),
            dropped_attributes_count: self.count(),
        }
    }

    fn link(&self) -> Link {
        Link {
            trace_id: self.random.bytes(*self.random.pick(&[0, 3, 16])),
            span_id: self.random.bytes(*self.random.pick(&[0, 8, 40])),
            trace_state: self.text(),
            attributes: self.attributes(4),
            dropped_attributes_count: self.count(),
            flags: self.count(),
        }
    }

    /// Keys may come again.
    fn attributes(&self, most: u64) -> Vec<KeyValue> {
        (0..self.random.below(most + 1)).map(|_| self.attribute()).collect()
    }

    fn attribute(&self) -> KeyValue {
        let at = self.random.index(KEYS.len());
        let key = if self.random.chance(90) {
            KEYS[at].to_owned()
        } else {
            format!("rare {}", self.random.next_u64())
        };
        // Most values have their key's type, which makes columns of them.
        let value = match (self.random.below(10), at % 4) {
            (0, _) => self.value(Model::MAX_DEPTH),
            (1..=3, _) => self.value(3),
            (_, 0) => Some(Value::StringValue(self.text())),
            (_, 1) => Some(Value::IntValue(*self.random.pick(&INTS))),
            (_, 2) => Some(Value::DoubleValue(*self.random.pick(&FLOATS))),
            _ => Some(Value::BoolValue(self.random.chance(50))),
        };
        let value = if self.random.chance(5) { None } else { Some(AnyValue { value }) };
        KeyValue { key, value, ..KeyValue::default() }
    }

    /// Any value, of arrays and maps in up to so many levels.
    fn value(&self, levels: u32) -> Option<Value> {
        let random = &self.random;
        let inner = || AnyValue { value: self.value(levels - 1) };
        Some(match random.below(if levels > 0 { 10 } else { 6 }) {
            0 => return None,
            1 => Value::StringValue(self.text()),
            2 => Value::BoolValue(random.chance(50)),
            3 => Value::IntValue(*random.pick(&INTS)),
            4 => Value::DoubleValue(*random.pick(&FLOATS)),
            5 => Value::BytesValue(random.bytes(random.index(9))),
            6 | 7 => {
                Value::ArrayValue(ArrayValue { values: (0..random.below(3)).map(|_| inner()).collect() })
            }
            _ => {
                let entry = |_| {
                    let key = (*random.pick(&KEYS)).to_owned();
                    KeyValue { key, value: random.chance(90).then(inner), ..KeyValue::default() }
                };
                Value::KvlistValue(KeyValueList { values: (0..random.below(3)).map(entry).collect() })
            }
        })
    }

    fn text(&self) -> String {
        match self.random.below(20) {
            0 => self.random.pick(&TEXTS).repeat(1 + self.random.index(300)),
            1 => format!("text {}", self.random.next_u64()),
            2..=6 => String::new(),
            _ => (*self.random.pick(&TEXTS)).to_owned(),
        }
    }

    fn time(&self) -> u64 {
        if self.random.chance(5) {
            *self.random.pick(&TIMES)
        } else {
            BASE_TIME + self.random.below(60 * SECOND)
        }
    }

    fn count(&self) -> u32 {
        *self.random.pick(&[0, 0, 0, 1, 7, u32::MAX])
    }
}
