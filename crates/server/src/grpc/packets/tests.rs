use std::collections::BTreeMap;

use prost::Message;
use vivace_query::{
    MetricsResponse, Sample, SearchMetrics, SearchResponse, Series, TagNames, TagScope, TagValue,
    TagValueKind, TagValues,
};

use super::{MAX_BYTES, Packet, Packets, Sent, whole};
use crate::grpc::convert::samples::hit;
use crate::grpc::tempopb::{
    PartialStatus, QueryRangeResponse, SearchTagValuesResponse, SearchTagValuesV2Response,
    SearchTagsResponse, SearchTagsV2Response,
};

fn values(lengths: impl IntoIterator<Item = usize>) -> TagValues {
    let value = |(index, length)| {
        // Distinct and in order, as the engine's are.
        TagValue { kind: TagValueKind::String, text: format!("{index:06}{}", "x".repeat(length)) }
    };
    let values = lengths.into_iter().enumerate().map(value).collect();
    TagValues { values, inspected_bytes: 7, partial: None }
}

fn packets<M: Packet>(answer: M::Answer) -> Vec<M> {
    Packets::<M>::of(answer).collect()
}

#[test]
fn an_answer_without_entries_is_one_message_with_metrics() {
    let all = packets::<SearchTagValuesV2Response>(values([]));
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].metrics.as_ref().unwrap().inspected_bytes, 7);
}

#[test]
fn messages_are_filled_up_to_a_mebibyte_in_order() {
    let answer = values([300_000; 10]);
    let all = packets::<SearchTagValuesV2Response>(answer.clone());
    let entries: Vec<usize> = all.iter().map(|packet| packet.tag_values.len()).collect();
    assert_eq!(entries, [3, 3, 3, 1]);
    assert!(all.iter().all(|packet| packet.encoded_len() <= MAX_BYTES));
    assert!(all.iter().all(|packet| packet.metrics.as_ref().unwrap().inspected_bytes == 7));
    let texts: Vec<&String> =
        all.iter().flat_map(|packet| &packet.tag_values).map(|value| &value.value).collect();
    assert_eq!(texts, answer.values.iter().map(|value| &value.text).collect::<Vec<_>>());
}

#[test]
fn small_entries_waste_no_room() {
    let all = packets::<SearchTagValuesResponse>(values(std::iter::repeat_n(4, 300_000)));
    let (last, full) = all.split_last().unwrap();
    assert!(!full.is_empty() && !last.tag_values.is_empty());
    for packet in full {
        assert!((MAX_BYTES - 512..=MAX_BYTES).contains(&packet.encoded_len()), "{}", packet.encoded_len());
    }
}

#[test]
fn an_entry_larger_than_a_message_goes_alone() {
    let all = packets::<SearchTagValuesResponse>(values([10, 2 * MAX_BYTES, 10]));
    assert_eq!(all.iter().map(|packet| packet.tag_values.len()).collect::<Vec<_>>(), [1, 1, 1]);
}

fn series(names: u32) -> MetricsResponse {
    let sample = |step| Sample { timestamp_ms: step, value: 1.0 };
    let one = |name: u32| Series {
        labels: vec![("name".to_owned(), i64::from(name).into())],
        samples: (1..=2_000).map(sample).collect(),
        exemplars: Vec::new(),
    };
    let metrics = SearchMetrics { inspected_spans: 9, ..SearchMetrics::default() };
    MetricsResponse { series: (0..names).map(one).collect(), metrics, partial: Some("too many".into()) }
}

#[test]
fn only_the_last_message_is_marked_partial() {
    let all = packets::<QueryRangeResponse>(series(100));
    let (last, before) = all.split_last().unwrap();
    assert!(!before.is_empty());
    for packet in before {
        assert_eq!((packet.status(), packet.message.as_str()), (PartialStatus::Complete, ""));
    }
    assert_eq!((last.status(), last.message.as_str()), (PartialStatus::Partial, "too many"));
    assert!(all.iter().all(|packet| packet.encoded_len() <= MAX_BYTES));
    assert!(all.iter().all(|packet| packet.metrics.as_ref().unwrap().inspected_spans == 9));
    assert_eq!(all.iter().map(|packet| packet.series.len()).sum::<usize>(), 100);
}

#[test]
fn scopes_are_continued_under_their_name() {
    let names = |length: usize| (0..4).map(|name| format!("{name}{}", "n".repeat(length))).collect();
    let scopes = BTreeMap::from([(TagScope::Resource, names(300_000)), (TagScope::Span, names(9))]);
    let answer = TagNames { scopes, ..TagNames::default() };
    let all = packets::<SearchTagsV2Response>(answer.clone());
    let shape: Vec<Vec<(&str, usize)>> = all
        .iter()
        .map(|packet| packet.scopes.iter().map(|scope| (scope.name.as_str(), scope.tags.len())).collect())
        .collect();
    assert_eq!(shape, [vec![("resource", 3)], vec![("resource", 1), ("span", 4)]]);
    assert!(all.iter().all(|packet| packet.encoded_len() <= MAX_BYTES));
    let one = whole::<SearchTagsV2Response>(answer);
    assert_eq!(one.scopes.iter().map(|scope| scope.tags.len()).collect::<Vec<_>>(), [4, 4]);
}

fn fresh<M: Packet>(answer: M::Answer, sent: &mut Sent) -> M {
    let mut packets = Packets::<M>::fresh(answer, sent);
    let first = packets.next().unwrap();
    assert!(packets.next().is_none());
    first
}

#[test]
fn only_traces_that_are_new_or_changed_are_sent_again() {
    let mut sent = Sent::default();
    let mut ids = |traces| {
        let answer = SearchResponse { traces, ..SearchResponse::default() };
        let packet: crate::grpc::tempopb::SearchResponse = fresh(answer, &mut sent);
        packet.traces.into_iter().map(|trace| trace.trace_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(vec![hit(1, 1).into()]), ["1"]);
    assert_eq!(ids(vec![hit(2, 1).into(), hit(1, 1).into()]), ["2"]);
    assert!(ids(vec![hit(2, 1).into(), hit(1, 1).into()]).is_empty());
    assert_eq!(ids(vec![hit(2, 1).into(), hit(1, 2).into()]), ["1"]);
}

#[test]
fn only_new_texts_are_sent_again() {
    let mut sent = Sent::default();
    let names = |scope, names: &[&str]| TagNames {
        scopes: BTreeMap::from([(scope, names.iter().map(|name| (*name).to_owned()).collect())]),
        ..TagNames::default()
    };
    let first: SearchTagsV2Response = fresh(names(TagScope::Span, &["a"]), &mut sent);
    assert_eq!(first.scopes[0].tags, ["a"]);
    let second: SearchTagsV2Response = fresh(names(TagScope::Span, &["a", "b"]), &mut sent);
    assert_eq!(second.scopes[0].tags, ["b"]);
    let elsewhere: SearchTagsV2Response = fresh(names(TagScope::Event, &["a"]), &mut sent);
    assert_eq!((elsewhere.scopes[0].name.as_str(), elsewhere.scopes[0].tags.len()), ("event", 1));

    let mut sent = Sent::default();
    let first: SearchTagsResponse = fresh(names(TagScope::Span, &["a"]), &mut sent);
    assert_eq!(first.tag_names, ["a"]);
    let elsewhere: SearchTagsResponse = fresh(names(TagScope::Event, &["a", "b"]), &mut sent);
    assert_eq!(elsewhere.tag_names, ["b"]);

    let mut sent = Sent::default();
    let typed =
        |kind| TagValues { values: vec![TagValue { kind, text: "1".into() }], ..TagValues::default() };
    for (kind, entries) in [(TagValueKind::Int, 1), (TagValueKind::String, 1), (TagValueKind::Int, 0)] {
        let packet: SearchTagValuesV2Response = fresh(typed(kind), &mut sent);
        assert_eq!(packet.tag_values.len(), entries);
    }
}

#[test]
fn only_new_or_changed_samples_are_sent_again() {
    let mut sent = Sent::default();
    let mut samples = |values: &[f64]| {
        let sample = |(at, value): (usize, &f64)| Sample { timestamp_ms: at as i64, value: *value };
        let samples = values.iter().enumerate().map(sample).collect();
        let labels = vec![("name".to_owned(), "x".into())];
        let series = vec![Series { labels, samples, exemplars: Vec::new() }];
        let answer = MetricsResponse { series, ..MetricsResponse::default() };
        let packet: QueryRangeResponse = fresh(answer, &mut sent);
        let samples = packet.series.into_iter().flat_map(|series| series.samples);
        samples.map(|sample| (sample.timestamp_ms, sample.value)).collect::<Vec<_>>()
    };
    assert_eq!(samples(&[1.0]), [(0, 1.0)]);
    assert_eq!(samples(&[1.0, 2.0]), [(1, 2.0)]);
    assert_eq!(samples(&[3.0, 2.0]), [(0, 3.0)]);
    assert!(samples(&[3.0, 2.0]).is_empty());
}
