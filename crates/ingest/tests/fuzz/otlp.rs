//! A request, binary or JSON, is read or refused with the place of what is wrong. What was read goes out and in as the
//! same.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use vivace_ingest::IngestError;
use vivace_ingest::otlp::{Columns, columns, count_spans, encode, json_to_protobuf};
use vivace_model::Span;
use vivace_storage::columns::{AttributeOrder, SpanDecoder};
use vivace_testkit::fuzz::Target;

/// A span that the JSON says nothing of is `{}`, and takes some 400 bytes as a message, with room for as many again.
pub(crate) const TARGET: Target = Target { name: "otlp", check, memory: 4 << 20, memory_per_byte: 1024 };

/// Attributes are cut to so many bytes.
const CUT: usize = 16;

fn check(body: &[u8]) {
    if body.trim_ascii_start().first() == Some(&b'{') {
        check_json(body);
    } else {
        check_protobuf(body);
    }
}

fn check_json(body: &[u8]) {
    let binary = match json_to_protobuf(body) {
        Ok(binary) => binary,
        Err(error) => return check_error(&error, "JSON", body),
    };
    check_protobuf(&binary);
    assert!(read(&binary, usize::MAX).is_ok(), "what JSON says is well-formed");
    let request = ExportTraceServiceRequest::decode(&*binary).expect("what JSON says is well-formed");
    let written = serde_json::to_vec(&request).expect("a request has a JSON form");
    match json_to_protobuf(&written) {
        Ok(again) => assert_eq!(again, binary, "{}", written.escape_ascii()),
        Err(error) => panic!("{error}: {}", written.escape_ascii()),
    }
}

fn check_protobuf(body: &[u8]) {
    let by_messages = ExportTraceServiceRequest::decode(body);
    let read_columns = match read(body, usize::MAX) {
        Ok(columns) => columns,
        Err(error) => {
            assert!(by_messages.is_err(), "prost accepts what is refused: {error}");
            return check_error(&error, "protobuf", body);
        }
    };
    assert!(by_messages.is_ok(), "prost refuses what is accepted: {by_messages:?}");
    let spans = spans(&read_columns);
    assert_eq!(count_spans(body), spans.len() as u64 + read_columns.rejections.total());
    let request = ExportTraceServiceRequest { resource_spans: encode(&spans) };
    let again = read(&request.encode_to_vec(), usize::MAX).expect("what was read is well-formed");
    assert_eq!(again.rejections.message(), "");
    assert_eq!(texts(&self::spans(&again)), texts(&spans));
    check_cut(body, spans.len());
}

fn check_cut(body: &[u8], count: usize) {
    let cut = spans(&read(body, CUT).expect("is well-formed"));
    assert_eq!(cut.len(), count);
    for attribute in cut.iter().flat_map(|span| span.attributes.iter().chain(&span.resource.attributes)) {
        assert!(attribute.key.len() <= CUT, "{attribute:?}");
        if let vivace_model::Value::String(text) = &attribute.value {
            assert!(text.len() <= CUT, "{attribute:?}");
        }
    }
}

fn read(body: &[u8], max_attribute_bytes: usize) -> Result<Columns, IngestError> {
    columns(body, &AttributeOrder::default(), max_attribute_bytes)
}

fn spans(columns: &Columns) -> Vec<Span> {
    let mut decoder = SpanDecoder::new(&columns.spans).expect("the layout is that of spans");
    (0..columns.spans.num_rows()).map(|row| decoder.span(row)).collect()
}

/// As text, since a NaN is not equal to itself, and in an order of their own, since spans that a block's order does not
/// tell apart come as they were sent, by resource and scope the second time.
fn texts(spans: &[Span]) -> Vec<String> {
    let mut texts: Vec<String> = spans.iter().map(|span| format!("{span:?}")).collect();
    texts.sort_unstable();
    texts
}

fn check_error(error: &IngestError, expected: &str, body: &[u8]) {
    let IngestError::Malformed { format, reason } = error else { panic!("{error}") };
    assert_eq!(*format, expected);
    let number_after = |word: &str| {
        let digits = reason.rsplit_once(word).map(|(_, rest)| rest);
        let digits = digits.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
        let place = digits.and_then(|digits| digits.parse::<usize>().ok());
        place.unwrap_or_else(|| panic!("no place in: {reason}"))
    };
    if expected == "JSON" {
        let lines = body.split(|byte| *byte == b'\n').count();
        assert!(number_after("line ") <= lines && number_after("column ") <= body.len().max(1), "{reason}");
    } else {
        assert!(reason.starts_with("ExportTraceServiceRequest"), "{reason}");
        assert!(number_after(" at byte ") <= body.len(), "{reason}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vivace_testkit::TraceGenerator;

    use super::*;
    use crate::MEMORY;

    const LENIENT: &str = r#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":null,"spans":[{
        "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":null,"name":"x",
        "kind":"SPAN_KIND_CLIENT","droppedEventsCount":"3","links":null,"status":{"code":"STATUS_CODE_ERROR"},
        "startTimeUnixNano":"1544712660000000000","attributes":[{"key":"d","value":{"doubleValue":"1.5"}},
        {"key":"i","value":{"intValue":"7"}},{"key":"b","value":{"bytesValue":"AAE="}},
        {"key":"e","value":{"arrayValue":{}}}]}]}]}]}"#;

    fn found() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz/otlp");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("is listed").path()).collect();
        paths.sort_unstable();
        paths.into_iter().map(|path| std::fs::read(path).expect("is a file")).collect()
    }

    fn seeds() -> Vec<Vec<u8>> {
        let request = |seed| ExportTraceServiceRequest {
            resource_spans: encode(&TraceGenerator::new(seed).traces(2, 4)),
        };
        let requests: Vec<_> = (1..4).map(request).collect();
        let binary = requests.iter().map(Message::encode_to_vec);
        let json = requests.iter().map(|request| serde_json::to_vec(request).expect("has a JSON form"));
        binary.chain(json).chain([LENIENT.as_bytes().to_vec()]).chain(found()).collect()
    }

    #[test]
    fn mutated_requests_are_read_or_refused() {
        TARGET.check_mutations(&MEMORY, &seeds(), 4_000);
    }
}
