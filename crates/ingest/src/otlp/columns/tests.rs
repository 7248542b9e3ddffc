use std::collections::HashMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message;
use prost::encoding::{WireType as ProstWireType, encode_key, encode_varint};
use vivace_model::{Span, TraceId};
use vivace_storage::columns::SpanDecoder;
use vivace_testkit::{SeededRandomness, TraceGenerator, seeds};

use super::*;
use crate::otlp::decode::{keep_valid, spans};
use crate::otlp::encode;

/// What prost makes of it, in the order of a block's rows.
fn by_messages(body: &[u8]) -> Option<(Vec<Span>, Rejections)> {
    let mut request = ExportTraceServiceRequest::decode(body).ok()?;
    let rejections = keep_valid(&mut request);
    let mut spans: Vec<Span> = spans(request).collect();
    let mut starts: HashMap<TraceId, u64> = HashMap::new();
    for span in &spans {
        let start = starts.entry(span.trace_id).or_insert(u64::MAX);
        *start = span.start.min(*start);
    }
    spans.sort_by_key(|span| {
        let duration = span.end.wrapping_sub(span.start).cast_signed();
        (starts[&span.trace_id], span.trace_id, span.start, span.span_id, span.kind as i8, duration)
    });
    Some((spans, rejections))
}

fn by_columns(body: &[u8]) -> std::result::Result<(Vec<Span>, Rejections), String> {
    cut_columns(body, usize::MAX)
}

fn cut_columns(
    body: &[u8],
    max_attribute_bytes: usize,
) -> std::result::Result<(Vec<Span>, Rejections), String> {
    let columns = columns(body, &AttributeOrder::default(), max_attribute_bytes);
    let columns = columns.map_err(|error| error.to_string())?;
    let mut decoder = SpanDecoder::new(&columns.spans).expect("layout");
    let spans = (0..columns.spans.num_rows()).map(|row| decoder.span(row)).collect();
    Ok((spans, columns.rejections))
}

/// Both ways agree; whether the body was accepted.
fn compare(body: &[u8]) -> bool {
    match (by_messages(body), by_columns(body)) {
        // As text: a NaN is not equal to itself.
        (Some(expected), Ok(found)) => {
            assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            true
        }
        (None, Err(_)) => false,
        (Some(_), Err(error)) => panic!("prost accepts what is refused: {error}"),
        (None, Ok(_)) => panic!("prost refuses what is accepted"),
    }
}

fn body_of(spans: &[Span]) -> Vec<u8> {
    ExportTraceServiceRequest { resource_spans: encode(spans) }.encode_to_vec()
}

/// Which fields of a message are messages themselves, and of which kind.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Request,
    ResourceSpans,
    ScopeSpans,
    /// Resource, scope, event, link, key and value, list: whatever has attributes or values in it.
    Attributed(u32),
    Span,
    KeyValue,
    AnyValue,
    Flat,
}

impl Kind {
    fn child(self, field: u32) -> Option<Self> {
        match (self, field) {
            (Self::Request, 1) => Some(Self::ResourceSpans),
            (Self::ResourceSpans, 1) => Some(Self::Attributed(1)),
            (Self::ResourceSpans, 2) => Some(Self::ScopeSpans),
            (Self::ScopeSpans, 1) => Some(Self::Attributed(3)),
            (Self::ScopeSpans, 2) => Some(Self::Span),
            (Self::Span, 9) => Some(Self::KeyValue),
            (Self::Span, 11) => Some(Self::Attributed(3)),
            (Self::Span, 13) => Some(Self::Attributed(4)),
            (Self::Span, 15) => Some(Self::Flat),
            (Self::Attributed(at), field) if at == field => Some(Self::KeyValue),
            (Self::KeyValue, 2) => Some(Self::AnyValue),
            (Self::AnyValue, 5) => Some(Self::Attributed(0)),
            (Self::AnyValue, 6) => Some(Self::Attributed(1)),
            (Self::Attributed(0), 1) => Some(Self::AnyValue),
            _ => None,
        }
    }
}

/// The fields of a message, each with its tag; those that are messages are scrambled in turn.
fn fields(message: &[u8], kind: Kind, random: &SeededRandomness, much: u64) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(message);
    let mut found = Vec::new();
    let mut rest = message;
    while let Some(tag) = reader.next().expect("well-formed") {
        let start = message.len() - rest.len();
        let field = match kind.child(tag.field) {
            Some(child) => {
                let inner = reader.clone().bytes(tag).expect("a message");
                let mut bytes = Vec::new();
                encode_key(tag.field, ProstWireType::LengthDelimited, &mut bytes);
                let scrambled = scramble(inner, child, random, much);
                encode_varint(scrambled.len() as u64, &mut bytes);
                bytes.extend_from_slice(&scrambled);
                Some(bytes)
            }
            None => None,
        };
        reader.skip(tag).expect("well-formed");
        let left = reader.left();
        found.push(field.unwrap_or_else(|| message[start..message.len() - left].to_vec()));
        rest = &message[message.len() - left..];
    }
    found
}

/// The same message in other words, or a similar one: fields in another order, repeated, left out, unknown ones in
/// between, single messages in parts.
fn scramble(message: &[u8], kind: Kind, random: &SeededRandomness, much: u64) -> Vec<u8> {
    let mut parts = fields(message, kind, random, much);
    if random.chance(much) {
        for last in (1..parts.len()).rev() {
            parts.swap(last, random.index(last + 1));
        }
    }
    let mut bytes = Vec::new();
    for part in parts {
        if random.chance(much / 8) {
            bytes.extend_from_slice(&unknown_field(random));
        }
        if random.chance(much / 8) {
            bytes.extend_from_slice(&part);
        }
        if !random.chance(much / 16) {
            bytes.extend_from_slice(&part);
        }
    }
    bytes
}

fn unknown_field(random: &SeededRandomness) -> Vec<u8> {
    let mut bytes = Vec::new();
    let field = 100 + random.below(1000) as u32;
    match random.below(5) {
        0 => {
            encode_key(field, ProstWireType::Varint, &mut bytes);
            encode_varint(random.below(u64::MAX), &mut bytes);
        }
        1 => {
            encode_key(field, ProstWireType::SixtyFourBit, &mut bytes);
            bytes.extend(random.bytes(8));
        }
        2 => {
            encode_key(field, ProstWireType::ThirtyTwoBit, &mut bytes);
            bytes.extend(random.bytes(4));
        }
        3 => {
            encode_key(field, ProstWireType::LengthDelimited, &mut bytes);
            let value = random.bytes(random.index(20));
            encode_varint(value.len() as u64, &mut bytes);
            bytes.extend(value);
        }
        _ => {
            encode_key(field, ProstWireType::StartGroup, &mut bytes);
            for _ in 0..random.below(3) {
                bytes.extend(unknown_field(random));
            }
            encode_key(field, ProstWireType::EndGroup, &mut bytes);
        }
    }
    bytes
}

#[test]
fn requests_read_as_prost_reads_them() {
    for seed in seeds(60) {
        let spans = TraceGenerator::new(seed).traces(6, 12);
        assert!(compare(&body_of(&spans)), "seed {seed}");
    }
}

#[test]
fn requests_in_other_words_read_as_prost_reads_them() {
    let mut accepted = 0;
    for seed in seeds(300) {
        let random = SeededRandomness::new(seed);
        let body = body_of(&TraceGenerator::new(seed).traces(4, 8));
        let scrambled = scramble(&body, Kind::Request, &random, random.below(100));
        accepted += usize::from(compare(&scrambled));
    }
    assert!(accepted > 0 || seeds(2).len() == 1, "nothing was accepted");
}

#[test]
fn damaged_requests_are_refused_as_prost_refuses_them() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in seeds(400) {
        let random = SeededRandomness::new(seed);
        let mut body = body_of(&TraceGenerator::new(seed).traces(2, 4));
        if random.chance(30) {
            body.truncate(random.index(body.len()));
        }
        for _ in 0..random.below(6) {
            let at = random.index(body.len().max(1));
            if let Some(byte) = body.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        if compare(&body) { accepted += 1 } else { refused += 1 }
    }
    assert!((accepted > 0 && refused > 0) || seeds(2).len() == 1, "{accepted} accepted, {refused} refused");
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_prost_reads_them(body in prop::collection::vec(any::<u8>(), 0..200)) {
        compare(&body);
    }

    #[test]
    fn any_value_is_read_as_prost_reads_it(value in prop::collection::vec(any::<u8>(), 0..40)) {
        let wrap = |field: u8, inner: &[u8]| {
            let mut bytes = vec![field << 3 | 2];
            encode_varint(inner.len() as u64, &mut bytes);
            bytes.extend_from_slice(inner);
            bytes
        };
        let mut span = [wrap(1, &[1; 16]), wrap(2, &[2; 8])].concat();
        span.extend(wrap(9, &[wrap(1, b"key"), wrap(2, &value)].concat()));
        compare(&wrap(1, &wrap(2, &wrap(2, &span))));
    }
}

/// `count` messages in one another, each the field `field` of the one around it.
fn nested(field: u8, count: usize, mut inner: Vec<u8>) -> Vec<u8> {
    for _ in 0..count {
        let mut outer = vec![field << 3 | 2];
        encode_varint(inner.len() as u64, &mut outer);
        outer.extend_from_slice(&inner);
        inner = outer;
    }
    inner
}

/// A request of one span with the attribute `k` in its resource, its scope, itself, an event and a link; all of them say
/// that two attributes were dropped.
fn everywhere(attribute: &[u8]) -> Vec<u8> {
    let with =
        |field: u8, dropped: u8| [nested(field, 1, attribute.to_vec()), vec![dropped << 3, 2]].concat();
    let ids = [nested(1, 1, vec![1; 16]), nested(2, 1, vec![2; 8])].concat();
    let span = [ids, with(9, 10), nested(11, 1, with(3, 4)), nested(13, 1, with(4, 5))].concat();
    let scope_spans = [nested(1, 1, with(3, 4)), nested(2, 1, span)].concat();
    nested(1, 1, [nested(1, 1, with(1, 2)), nested(2, 1, scope_spans)].concat())
}

/// The attribute `k` whose value has `depth` levels: arrays, or maps, down to an empty value.
fn attribute(depth: usize, maps: bool) -> Vec<u8> {
    let level = |value| {
        if maps { nested(6, 1, nested(1, 1, nested(2, 1, value))) } else { nested(5, 1, nested(1, 1, value)) }
    };
    let value = (0..depth).fold(Vec::new(), |value, _| level(value));
    [nested(1, 1, b"k".to_vec()), nested(2, 1, value)].concat()
}

#[test]
fn attributes_that_are_too_deep_are_left_out_and_counted() {
    let limit = Value::MAX_DEPTH as usize;
    for (depth, maps) in
        [(limit, false), (limit, true), (limit + 1, false), (limit + 1, true), (40, false), (10_000, true)]
    {
        let body = everywhere(&attribute(depth, maps));
        let (found, rejections) = by_columns(&body).expect("well-formed");
        let [span] = found.as_slice() else { panic!("{found:?}") };
        let (event, link) = (&span.events[0], &span.links[0]);
        let attributes = [
            (&span.resource.attributes, span.resource.dropped_attributes),
            (&span.scope.attributes, span.scope.dropped_attributes),
            (&span.attributes, span.dropped_attributes),
            (&event.attributes, event.dropped_attributes),
            (&link.attributes, link.dropped_attributes),
        ];
        let kept = usize::from(depth <= limit);
        for (attributes, dropped) in attributes {
            assert_eq!((attributes.len(), dropped as usize), (kept, 3 - kept), "{depth} levels");
        }
        assert_eq!((rejections.total(), rejections.deep_attributes as usize), (0, 5 - 5 * kept));
        let message = rejections.message();
        let told =
            message.starts_with("attribute \"k\" left out: ") && message.ends_with("24 levels; and 2 more");
        assert!(if kept == 1 { message.is_empty() } else { told }, "{message}");
        // prost does not go down as far as this.
        if depth <= 40 {
            let expected = by_messages(&body).expect("not deeper than prost reads").0;
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{depth} levels");
        }
    }
}

#[test]
fn what_is_too_deep_stays_it_and_hides_nothing_behind() {
    // A deep array and, of the same value, a text: the attribute is gone, and the next one is not.
    let deep = nested(5, 2, Vec::new());
    let value = [attribute(30, false)[3..].to_vec(), nested(2, 1, nested(1, 1, b"text".to_vec()))].concat();
    let first = [nested(1, 1, b"k".to_vec()), value].concat();
    let second = [nested(1, 1, b"l".to_vec()), nested(2, 1, deep)].concat();
    let ids = [nested(1, 1, vec![1; 16]), nested(2, 1, vec![2; 8])].concat();
    let span = [ids, nested(9, 1, first), nested(9, 1, second)].concat();
    let (found, _) = by_columns(&nested(1, 1, nested(2, 1, nested(2, 1, span)))).expect("well-formed");
    let keys: Vec<_> = found[0].attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!((keys.as_slice(), found[0].dropped_attributes), (["l"].as_slice(), 1));
}

#[test]
fn groups_are_bounded_as_prost_bounds_them() {
    let mut accepted = 0;
    for depth in [98, 99, 100, 101, 102, 10_000] {
        let mut groups = vec![0x7b; depth];
        groups.extend(vec![0x7c; depth]);
        accepted += usize::from(compare(&groups));
    }
    assert!((1..6).contains(&accepted), "{accepted} of 6 depths");
}

#[test]
fn errors_say_what_and_where() {
    let mut spans = TraceGenerator::new(1).trace(3);
    spans.iter_mut().for_each(|span| span.resource = std::sync::Arc::default());
    spans.iter_mut().for_each(|span| span.scope = std::sync::Arc::default());
    spans[1].name = "a name that is here once".to_owned();
    let mut body = body_of(&spans);
    let at = body.windows(24).position(|window| window == b"a name that is here once").expect("the name");
    body[at] = 0xff;
    let error = by_columns(&body).expect_err("not UTF-8");
    let expected =
        format!("resource_spans[0].scope_spans[0].spans[1].name: text that is not UTF-8 at byte {at}");
    assert!(error.ends_with(&expected), "{error}");
    let error = by_columns(&Bytes::from_static(b"\x0a\x05\x12")).expect_err("cut off");
    assert!(error.ends_with("resource_spans[0]: the value is cut off at byte 2"), "{error}");
}

#[test]
fn refused_spans_leave_nothing_behind_and_are_still_checked() {
    let mut spans = TraceGenerator::new(2).trace(4);
    spans[2].span_id = vivace_model::SpanId([0; 8]);
    let body = body_of(&spans);
    let (kept, rejections) = by_columns(&body).expect("well-formed");
    assert_eq!((kept.len(), rejections.total()), (3, 1));
    assert!(compare(&body));
    let mut broken = request_with_broken_attribute();
    assert!(compare(&broken.0), "as it is");
    broken.0[broken.1] = 0xff;
    assert!(!compare(&broken.0), "an attribute of a refused span is not UTF-8");
}

/// A request whose only span has bad ids, and where in it the text of an attribute is.
fn request_with_broken_attribute() -> (Vec<u8>, usize) {
    let mut spans = TraceGenerator::new(3).trace(1);
    spans[0].span_id = vivace_model::SpanId([0; 8]);
    spans[0].attributes = vec![vivace_model::Attribute::new("key", "the text")];
    let body = body_of(&spans);
    let at = body.windows(8).position(|window| window == b"the text").expect("the text");
    (body, at)
}

/// The attribute `key`, whose value is a text.
fn text_attribute(key: &str, text: &str) -> Vec<u8> {
    [nested(1, 1, key.as_bytes().to_vec()), nested(2, 1, nested(1, 1, text.as_bytes().to_vec()))].concat()
}

#[test]
fn long_keys_and_texts_are_cut_where_a_character_ends_everywhere_but_in_lists() {
    // 8 bytes end in the middle of an ü.
    let body = everywhere(&text_attribute("a long key", "1234567ü9"));
    let (as_sent, untouched) = cut_columns(&body, 10).expect("well-formed");
    assert_eq!((untouched.truncated.total(), untouched.message().as_str()), (0, ""));
    assert_eq!(as_sent[0].attributes[0].value, Value::String("1234567ü9".to_owned()));
    let (found, rejections) = cut_columns(&body, 8).expect("well-formed");
    let [span] = found.as_slice() else { panic!("{found:?}") };
    let lists = [
        &span.resource.attributes,
        &span.scope.attributes,
        &span.attributes,
        &span.events[0].attributes,
        &span.links[0].attributes,
    ];
    for list in lists {
        let [attribute] = list.as_slice() else { panic!("{list:?}") };
        assert_eq!(
            (attribute.key.as_str(), &attribute.value),
            ("a long k", &Value::String("1234567".to_owned()))
        );
    }
    let cut: Vec<_> = rejections.truncated.by_scope().collect();
    assert_eq!(cut, [("resource", 2), ("scope", 2), ("span", 2), ("event", 2), ("link", 2)]);
    assert_eq!((rejections.total(), rejections.deep_attributes), (0, 0));
    let message = rejections.message();
    let first = "attribute \"a long key\": 10 bytes cut to max_attribute_bytes, 8; ";
    assert!(message.starts_with(first) && message.ends_with("; and 7 more"), "{message}");

    let texts = nested(5, 1, nested(1, 1, nested(1, 1, b"longer than 8".to_vec())));
    let body = everywhere(&[nested(1, 1, b"k".to_vec()), nested(2, 1, texts)].concat());
    let (found, rejections) = cut_columns(&body, 8).expect("well-formed");
    let list = Value::Array(vec![Value::String("longer than 8".to_owned())]);
    assert_eq!((&found[0].attributes[0].value, rejections.truncated.total()), (&list, 0));
}

#[test]
fn refused_spans_have_nothing_to_cut() {
    let attribute = nested(9, 1, text_attribute("k", "longer than 8"));
    let span = [nested(1, 1, vec![1; 16]), nested(2, 1, vec![0; 8]), attribute].concat();
    let (found, rejections) =
        cut_columns(&nested(1, 1, nested(2, 1, nested(2, 1, span))), 8).expect("well-formed");
    assert_eq!((found.len(), rejections.total(), rejections.truncated.total()), (0, 1, 0));
}

#[test]
fn spans_are_counted_without_being_read() {
    for seed in seeds(5) {
        let spans = TraceGenerator::new(seed).traces(4, 9);
        let body = body_of(&spans);
        assert_eq!(crate::otlp::count_spans(&body), spans.len() as u64, "seed {seed}");
        // Cut off, only those that are all there count.
        assert!(crate::otlp::count_spans(&body[..body.len() / 2]) < spans.len() as u64, "seed {seed}");
    }
    assert_eq!(crate::otlp::count_spans(&[]), 0);
}
