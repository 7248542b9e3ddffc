use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan};
use vivace_model::Value;
use vivace_storage::columns::AttributeOrder;
use vivace_testkit::{TraceGenerator, seeds};

use super::decode::{keep_valid, spans};
use super::*;

fn request(spans: Vec<OtlpSpan>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
}

fn span(trace_id: &[u8], span_id: &[u8]) -> OtlpSpan {
    OtlpSpan {
        trace_id: trace_id.to_vec(),
        span_id: span_id.to_vec(),
        name: "s".to_owned(),
        ..Default::default()
    }
}

#[test]
fn spans_survive_the_way_out_and_in() {
    for seed in seeds(20) {
        let sent = TraceGenerator::new(seed).traces(3, 12);
        let message = ExportTraceServiceRequest { resource_spans: encode(&sent) };
        let bytes = Bytes::from(message.encode_to_vec());
        let mut received: Vec<_> =
            spans(ExportTraceServiceRequest::decode(bytes).expect("decodes")).collect();
        let mut sent = sent;
        received.sort_by_key(|span| (span.trace_id, span.span_id, span.kind as u8));
        sent.sort_by_key(|span| (span.trace_id, span.span_id, span.kind as u8));
        assert_eq!(received, sent, "seed {seed}");
    }
}

#[test]
fn bad_ids_are_named_and_the_rest_kept() {
    let mut request = request(vec![
        span(&[1; 16], &[1; 8]),
        span(&[1; 15], &[1; 8]),
        span(&[1; 16], &[0; 8]),
        span(&[1; 16], &[1; 4]),
        span(&[], &[1; 8]),
    ]);
    let rejections = keep_valid(&mut request);
    assert_eq!((rejections.invalid_trace_id, rejections.invalid_span_id), (2, 2));
    let message = rejections.message();
    assert!(message.contains("trace ids must be 128 bit, received 120 bits"), "{message}");
    assert!(message.contains("span ids must be 64 bit and not all zero, received 64 bits"), "{message}");
    assert!(message.ends_with("; and 1 more"), "{message}");
    assert_eq!(spans(request).count(), 1);
}

#[test]
fn json_is_read_as_the_specification_writes_it() {
    let body = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},
        "scopeSpans":[{"scope":{"name":"lib"},"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C",
        "spanId":"eee19b7ec3c1b174","name":"x","kind":2,"startTimeUnixNano":"1544712660000000000",
        "endTimeUnixNano":1544712661000000000,"unknownField":{"a":[1]},
        "attributes":[{"key":"i","value":{"intValue":"7"}},{"key":"j","value":{"intValue":8}},
        {"key":"d","value":{"doubleValue":0.1}},{"key":"b","value":{"boolValue":true}}],"status":{"code":2}}]}]}]}"#;
    let spans: Vec<_> = spans(decode_json(body).expect("decodes")).collect();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].trace_id.to_string(), "5b8efff798038103d269b633813fc60c");
    assert_eq!(spans[0].end - spans[0].start, 1_000_000_000);
    let values: Vec<_> = spans[0].attributes.iter().map(|attribute| attribute.value.clone()).collect();
    assert_eq!(values, [Value::Int(7), Value::Int(8), Value::Float(0.1), Value::Bool(true)]);
}

#[test]
fn json_is_read_as_protobuf_allows_it_too() {
    let body = br#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":null,"spans":[{
        "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":null,"name":"x",
        "kind":"SPAN_KIND_CLIENT","droppedEventsCount":"3","links":null,"status":{"code":"STATUS_CODE_ERROR"},
        "attributes":[{"key":"d","value":{"doubleValue":"1.5"}},{"key":"e","value":{"arrayValue":{}}}]}]}]}]}"#;
    let spans: Vec<_> = spans(decode_json(body).expect("decodes")).collect();
    assert_eq!(spans[0].kind, vivace_model::SpanKind::Client);
    assert_eq!(spans[0].status, vivace_model::StatusCode::Error);
    assert_eq!(spans[0].dropped_events, 3);
    let values: Vec<_> = spans[0].attributes.iter().map(|attribute| attribute.value.clone()).collect();
    assert_eq!(values, [Value::Float(1.5), Value::Array(Vec::new())]);
}

#[test]
fn json_of_wrong_types_says_where() {
    let error = decode_json(br#"{"resourceSpans":[{"scopeSpans":5}]}"#).expect_err("wrong type");
    assert!(error.to_string().contains("line 1 column"), "{error}");
}

#[test]
fn json_is_read_as_deep_as_values_go_and_refused_not_far_below() {
    let limit = Value::MAX_DEPTH as usize;
    for (depth, dropped) in [(limit, Some(0)), (limit + 1, Some(1)), (10_000, None)] {
        let level = r#"{"kvlistValue":{"values":[{"key":"k","value":"#;
        let value = [level.repeat(depth), "{}".to_owned(), "}]}}".repeat(depth)].concat();
        let event = format!(r#"{{"attributes":[{{"key":"k","value":{value}}}]}}"#);
        let ids = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;
        let spans = format!(r#"{{"scopeSpans":[{{"spans":[{{{ids},"events":[{event}]}}]}}]}}"#);
        let read = json_to_protobuf(format!(r#"{{"resourceSpans":[{spans}]}}"#).as_bytes());
        match dropped {
            Some(dropped) => {
                let columns = columns(&read.expect("read"), &AttributeOrder::default(), usize::MAX);
                let columns = columns.expect("well-formed");
                assert_eq!(columns.rejections.deep_attributes, dropped, "{depth} levels");
            }
            None => assert!(read.expect_err("refused").to_string().contains("recursion limit")),
        }
    }
}

#[test]
fn repeated_keys_keep_the_first() {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    for distinct in [2, 40] {
        let keys = (0..distinct).chain(0..distinct);
        let attribute = |(at, key): (usize, usize)| KeyValue {
            key: format!("k{key}"),
            value: Some(AnyValue { value: Some(any_value::Value::IntValue(at as i64)) }),
            ..Default::default()
        };
        let mut with_repeats = span(&[1; 16], &[1; 8]);
        with_repeats.attributes = keys.enumerate().map(attribute).collect();
        let read: Vec<_> = spans(request(vec![with_repeats])).collect();
        let values: Vec<_> = read[0].attributes.iter().map(|attribute| attribute.value.clone()).collect();
        assert_eq!(values, (0..distinct as i64).map(Value::Int).collect::<Vec<_>>());
    }
}

#[test]
fn spans_of_a_refused_request_are_counted_as_far_as_it_can_be_read() {
    let message = ExportTraceServiceRequest { resource_spans: encode(&TraceGenerator::new(6).traces(4, 9)) };
    let scopes = message.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let spans: u64 = scopes.map(|scope| scope.spans.len() as u64).sum();
    let bytes = message.encode_to_vec();
    assert_eq!(count_spans(&bytes), spans);
    assert!(count_spans(&bytes[..bytes.len() / 2]) < spans);
    assert_eq!(count_spans(b"\xff"), 0);
}
