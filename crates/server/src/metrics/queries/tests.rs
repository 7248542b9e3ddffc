use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use vivace_base::ByteSize;
use vivace_model::{TenantId, Tenants};
use vivace_query::QueryError;
use vivace_testkit::ManualClock;

use super::super::tenants::TenantLabels;
use super::{Operation, Queries, Told};

#[test]
fn questions_are_counted_by_how_they_end() {
    let mut registry = Registry::default();
    let queries = Queries::register(&mut registry, Arc::new(TenantLabels::default()));
    let clock = ManualClock::new(0);
    let tenants: Tenants = TenantId::single().into();
    let begin = || queries.begin(Operation::Search, &tenants, &clock);
    begin().end(Ok(Told {
        inspected: 7,
        partial: Some("left out: trace 1 does not fit into memory all at once"),
    }));
    let slow = begin();
    clock.advance(Duration::from_secs(6));
    slow.end(Ok(Told { inspected: 5, partial: Some("deadline of 5s exceeded") }));
    let much = begin();
    clock.advance(Duration::from_secs(6));
    much.end(Ok(Told { inspected: 7 << 30, partial: Some("the moon is full") }));
    for text in ["the answer is larger than 4 bytes", "Response exceeds maximum series limit of 3, a partial"]
    {
        begin().end(Ok(Told { inspected: 0, partial: Some(text) }));
    }
    let scanned = QueryError::TooMuchScanned(ByteSize::from_mib(1)).to_string();
    begin().end(Ok(Told { inspected: 0, partial: Some(&scanned) }));
    begin().end(Err(&QueryError::Busy));
    begin().end(Err(&QueryError::Deadline(Duration::from_secs(5))));
    begin().end(Err(&QueryError::Invalid("no".to_owned())));
    drop(begin());

    let mut page = String::new();
    encode(&mut page, &registry).unwrap();
    let search = "tenant=\"single-tenant\",op=\"search\"";
    for line in [
        format!("tempo_query_frontend_queries_total{{{search},result=\"completed\"}} 9"),
        format!("tempo_query_frontend_queries_total{{{search},result=\"canceled\"}} 1"),
        format!("tempo_query_frontend_queries_within_slo_total{{{search},result=\"completed\"}} 7"),
        format!("tempo_query_frontend_queries_within_slo_total{{{search},result=\"canceled\"}} 1"),
        format!("tempo_query_frontend_bytes_inspected_total{{{search}}} {}", 12 + (7_u64 << 30)),
        "tempo_query_frontend_discarded_requests_total{tenant=\"single-tenant\"} 1".to_owned(),
        "vivace_partial_answers_total{reason=\"deadline\"} 1".to_owned(),
        "vivace_partial_answers_total{reason=\"trace_too_large\"} 1".to_owned(),
        "vivace_partial_answers_total{reason=\"other\"} 1".to_owned(),
        "vivace_partial_answers_total{reason=\"answer_too_large\"} 2".to_owned(),
        "vivace_partial_answers_total{reason=\"too_much_scanned\"} 1".to_owned(),
        "vivace_partial_answers_total{reason=\"damaged\"} 0".to_owned(),
    ] {
        assert!(page.lines().any(|found| found == line), "no `{line}` in\n{page}");
    }
}
