//! With `VIVACE_BLESS=1` the fixtures are written instead of compared.

use std::path::Path;

use prost::Message;
use vivace_query::{SearchResponse, SpanSet};

use super::samples::{hit, names, search, series, values};
use crate::api::NO_ROOT;
use crate::grpc::packets::{Packet, Packets, whole};
use crate::grpc::tempopb;

fn check<M: Packet>(name: &str, answer: M::Answer) -> M {
    let message = whole::<M>(answer);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tempopb").join(format!("{name}.binpb"));
    let encoded = message.encode_to_vec();
    if std::env::var_os("VIVACE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &encoded).unwrap();
    }
    assert_eq!(std::fs::read(&path).unwrap(), encoded, "{} differs", path.display());
    message
}

#[test]
fn search_response() {
    let message: tempopb::SearchResponse = check("search", search());
    let [first, second] = &message.traces[..] else { panic!("{message:?}") };
    assert_eq!((first.trace_id.as_str(), second.trace_id.as_str()), ("1", "ab"));
    assert_eq!((first.root_service_name.as_str(), second.root_service_name.as_str()), ("shop", NO_ROOT));
    assert_eq!(first.duration_ms, 1500);
    assert_eq!(first.span_set.as_ref(), first.span_sets.first());
    assert_eq!(first.span_sets[0].spans[0].span_id, "0000000000000009");
    let metrics = message.metrics.unwrap();
    assert_eq!((metrics.completed_jobs, metrics.total_jobs), (6, 7));
}

#[test]
fn a_hit_without_spans_is_left_out() {
    let mut empty = hit(1, 1);
    empty.span_sets = vec![SpanSet { spans: Vec::new(), matched: 3, attributes: Vec::new() }];
    let found = SearchResponse { traces: vec![empty.into(), hit(2, 1).into()], ..SearchResponse::default() };
    let message: tempopb::SearchResponse = whole(found);
    assert_eq!(message.traces.iter().map(|trace| trace.trace_id.as_str()).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn tags_responses() {
    let message: tempopb::SearchTagsResponse = check("tags", names());
    assert_eq!(message.tag_names, ["a", "b", "c"]);
    let message: tempopb::SearchTagsV2Response = check("tags_v2", names());
    assert_eq!(
        message.scopes.iter().map(|scope| scope.name.as_str()).collect::<Vec<_>>(),
        ["resource", "span"]
    );
}

#[test]
fn tag_values_responses() {
    let message: tempopb::SearchTagValuesResponse = check("tag_values", values());
    assert_eq!(message.tag_values, ["1", "x"]);
    let message: tempopb::SearchTagValuesV2Response = check("tag_values_v2", values());
    // By hand: field 1 thrice, each with type and value, then field 2 with 300 in its field 1.
    let by_hand =
        b"\x0a\x0b\x0a\x06string\x12\x011\x0a\x0b\x0a\x06string\x12\x01x\x0a\x08\x0a\x03int\x12\x011\
        \x12\x03\x08\xac\x02";
    assert_eq!(message.encode_to_vec(), by_hand);
}

#[test]
fn metrics_responses() {
    let message: tempopb::QueryRangeResponse = check("query_range", series());
    assert_eq!(message.series[0].samples.len(), 2);
    assert_eq!((message.status, message.message.as_str()), (1, "a block"));
    let message: tempopb::QueryInstantResponse = check("query_instant", series());
    assert_eq!(message.series.iter().map(|series| series.value).collect::<Vec<_>>(), [1.5, -2.0]);
    assert_eq!((message.status, message.message.as_str()), (1, "a block"));
}

#[test]
fn messages_one_after_the_other_read_as_one() {
    let mut found = search();
    found.traces = (0..200).map(|id| hit(id, 1).into()).collect();
    for trace in &mut found.traces {
        std::sync::Arc::make_mut(trace).span_sets[0].spans[0].name = "x".repeat(10_000);
    }
    let pieces: Vec<tempopb::SearchResponse> = Packets::of(found.clone()).collect();
    assert!(pieces.len() > 1);
    let encoded: Vec<u8> = pieces.iter().flat_map(Message::encode_to_vec).collect();
    let read = tempopb::SearchResponse::decode(encoded.as_slice()).unwrap();
    assert!(read == whole(found), "the pieces differ from the whole");
}
