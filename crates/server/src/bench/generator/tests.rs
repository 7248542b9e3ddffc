use std::collections::{BTreeMap, HashMap, HashSet};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::*;

const END: UnixNanos = 1_800_000_000_000_000_000;

struct Decoded {
    bytes: usize,
    /// With the service's name and whether a proxy reported it.
    spans: Vec<(String, Span)>,
    keys: HashSet<String>,
    requests: HashSet<String>,
}

fn decode(generator: &Generator) -> Decoded {
    let mut workspace = Workspace::default();
    let mut all = Decoded { bytes: 0, spans: Vec::new(), keys: HashSet::new(), requests: HashSet::new() };
    for number in 0..generator.batches() {
        let batch = generator.batch(number, &mut workspace);
        let request = ExportTraceServiceRequest::decode(batch.bytes.clone()).unwrap();
        // written as prost would write it
        assert_eq!(request.encode_to_vec().len(), batch.bytes.len());
        all.bytes += batch.bytes.len();
        let before = all.spans.len();
        request.resource_spans.into_iter().for_each(|resource| all.add(resource));
        assert_eq!((all.spans.len() - before) as u64, batch.spans);
    }
    all
}

impl Decoded {
    fn add(&mut self, resource: opentelemetry_proto::tonic::trace::v1::ResourceSpans) {
        let attributes = resource.resource.unwrap().attributes;
        let service = text(attributes.iter().find(|a| a.key == "service.name").unwrap());
        self.keys.extend(attributes.into_iter().map(|a| a.key));
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            for attribute in &span.attributes {
                if attribute.key == "guid:x-request-id" {
                    self.requests.insert(text(attribute));
                }
                if !self.keys.contains(&attribute.key) {
                    self.keys.insert(attribute.key.clone());
                }
            }
            self.spans.push((service.clone(), span));
        }
    }

    fn by_trace(&self) -> HashMap<&[u8], Vec<&Span>> {
        let mut traces: HashMap<&[u8], Vec<&Span>> = HashMap::new();
        for (_, span) in &self.spans {
            traces.entry(&span.trace_id).or_default().push(span);
        }
        traces
    }
}

fn text(attribute: &opentelemetry_proto::tonic::common::v1::KeyValue) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
    match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        StringValue(text) => text.clone(),
        other => panic!("{other:?} is not text"),
    }
}

#[test]
fn a_batch_is_the_same_whenever_and_by_whomever_it_is_made() {
    for profile in [Profile::Small, Profile::Wide, Profile::Giant] {
        let first = Generator::new(profile, 7, Some(5_000), END);
        let second = Generator::new(profile, 7, Some(5_000), END);
        let mut used = Workspace::default();
        let forwards: Vec<Bytes> =
            (0..first.batches()).map(|number| first.batch(number, &mut used).bytes).collect();
        for number in (0..second.batches()).rev() {
            let again = second.batch(number, &mut Workspace::default()).bytes;
            assert_eq!(again, forwards[number as usize], "{profile:?} batch {number}");
        }
    }
}

#[test]
fn another_seed_gives_other_traces() {
    let ids = |seed| Generator::new(Profile::Small, seed, Some(1_000), END).known_traces(1)[0].id.clone();
    assert_ne!(ids(1), ids(2));
}

#[test]
fn small_is_what_it_says() {
    let generator = Generator::new(Profile::Small, 1, None, END);
    let all = decode(&generator);
    let spans = all.spans.len() as f64;
    assert!((19_000.0..21_000.0).contains(&spans), "{spans} spans");
    let bytes = all.bytes as f64 / spans;
    assert!((830.0..900.0).contains(&bytes), "{bytes} bytes a span");
    let traces = all.by_trace();
    let mean = spans / traces.len() as f64;
    assert!((12.5..15.5).contains(&mean), "{mean} spans a trace");
    let errors = all.spans.iter().filter(|(_, span)| span.status.as_ref().unwrap().code == 2).count() as f64;
    assert!((0.01..0.03).contains(&(errors / spans)), "{errors} errors");
    assert!((40..=60).contains(&all.keys.len()), "{} attribute keys", all.keys.len());
    assert!(all.requests.len() as f64 > 0.95 * traces.len() as f64, "{} request ids", all.requests.len());
    let services: HashSet<&String> = all.spans.iter().map(|(service, _)| service).collect();
    assert_eq!(services.len(), 40, "{services:?}");
    let exceptions = all.spans.iter().filter(|(_, span)| span.events.iter().any(|e| e.name == "exception"));
    assert!(exceptions.count() > 20);
    assert!(all.spans.iter().filter(|(_, span)| !span.links.is_empty()).count() > 20);
}

#[test]
fn traces_are_whole_trees_spread_over_batches() {
    let generator = Generator::new(Profile::Small, 3, None, END);
    let all = decode(&generator);
    let ids: HashSet<&[u8]> = all.spans.iter().map(|(_, span)| span.span_id.as_slice()).collect();
    assert_eq!(ids.len(), all.spans.len(), "a span id was given twice");
    for (trace, spans) in all.by_trace() {
        assert_eq!(spans.iter().filter(|span| span.parent_span_id.is_empty()).count(), 1, "{trace:?}");
        let parents: HashSet<&[u8]> = spans.iter().map(|span| span.span_id.as_slice()).collect();
        for span in spans {
            assert!(span.parent_span_id.is_empty() || parents.contains(span.parent_span_id.as_slice()));
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
            assert!(span.start_time_unix_nano >= generator.start() - 1_000);
        }
    }
    let mut workspace = Workspace::default();
    let mut batches: BTreeMap<Vec<u8>, HashSet<u64>> = BTreeMap::new();
    for number in 0..generator.batches() {
        let batch = generator.batch(number, &mut workspace);
        let request = ExportTraceServiceRequest::decode(batch.bytes).unwrap();
        for resource in request.resource_spans {
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                batches.entry(span.trace_id).or_default().insert(number);
            }
        }
    }
    let split = batches.values().filter(|numbers| numbers.len() == 2).count();
    assert!(split * 2 > batches.len(), "{split} of {} traces are split", batches.len());
    assert!(batches.values().all(|numbers| numbers.len() <= 2));
}

#[test]
fn few_traces_are_larger_than_sixty_spans() {
    let generator = Generator::new(Profile::Mesh, 1, Some(260_000), END);
    let mut slot = Slot::default();
    let (mut large, mut traces) = (0, 0);
    for number in 0..generator.slots {
        generator.simulate(number, &mut slot);
        let mut sizes = vec![0; slot.traces.len()];
        slot.drafts.iter().for_each(|draft| sizes[draft.trace as usize] += 1);
        traces += sizes.len();
        large += sizes.iter().filter(|size| **size > 60).count();
    }
    assert!((5..20).contains(&large), "{large} of {traces} traces");
}

#[test]
fn wide_has_ten_thousand_keys_more() {
    let all = decode(&Generator::new(Profile::Wide, 1, Some(60_000), END));
    let wide = all.keys.iter().filter(|key| key.contains(".detail")).count();
    assert!((9_800..=wide::KEYS).contains(&wide), "{wide} keys");
}

#[test]
fn giants_are_one_tree_each_and_most_of_the_spans() {
    let generator = Generator::new(Profile::Giant, 1, Some(42_000), END);
    let all = decode(&generator);
    let traces = all.by_trace();
    let sizes: Vec<usize> = generator
        .giants()
        .iter()
        .map(|id| {
            let spans = &traces[hex::decode(id).unwrap().as_slice()];
            assert_eq!(spans.iter().filter(|span| span.parent_span_id.is_empty()).count(), 1);
            let ids: HashSet<&[u8]> = spans.iter().map(|span| span.span_id.as_slice()).collect();
            assert_eq!(ids.len(), spans.len());
            assert!(
                spans
                    .iter()
                    .all(|s| s.parent_span_id.is_empty() || ids.contains(s.parent_span_id.as_slice()))
            );
            spans.len()
        })
        .collect();
    let sum: usize = sizes.iter().sum();
    assert!(sum > all.spans.len() * 8 / 10, "{sizes:?} of {}", all.spans.len());
    assert!(sizes[2] > 8 * sizes[0] && sizes[1] > 2 * sizes[0], "{sizes:?}");
}

#[test]
fn known_traces_are_there() {
    let generator = Generator::new(Profile::Small, 1, None, END);
    let all = decode(&generator);
    let traces = all.by_trace();
    let known = generator.known_traces(20);
    assert_eq!(known.len(), 20);
    for trace in known {
        assert!(traces.contains_key(hex::decode(&trace.id).unwrap().as_slice()));
        assert!(all.requests.contains(&trace.request_id));
    }
}
