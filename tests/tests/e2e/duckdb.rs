//! Blocks that the server wrote, opened with DuckDB and asked what `docs/formats/block.md` shows, word for word.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use vivace_e2e::spans::SECOND;
use vivace_e2e::traffic::all_spans;
use vivace_e2e::{FlatSpan, SentTrace, Server, ServerBuilder, Traffic, flatten, sdk};

use crate::ten_minutes_ago;

const SEED: u64 = 22;
const BUSY: usize = 60;
/// Few enough spans for some of their attributes to have no columns.
const QUIET: usize = 3;
/// What the document calls the data directory, and the trace it asks for.
const DATA_DIR: &str = "vivace-data/";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
/// The type code of bytes, arrays and maps.
const JSON_TYPE: i32 = 5;
const BOOL_TYPE: i32 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn documented_sql_finds_what_was_sent() {
    let (data_dir, busy, quiet, _builder) = two_blocks().await;
    let spans = flatten(&all_spans(&[busy.as_slice(), &quiet].concat()));
    let sql = documented(&data_dir, &busy[7]);
    let statements: Vec<&String> = sql.iter().map(|(_, statement)| statement).collect();
    let input = serde_json::to_string(&statements).expect("text is JSON");
    let Some(printed) = sdk::run_with_input("duckdb_queries.py", &[], &input) else { return };
    let answers: Vec<Value> = serde_json::from_str(&printed).expect("one JSON array");
    let mut found: HashMap<&str, Value> = sql.iter().map(|(name, _)| name.as_str()).zip(answers).collect();
    assert!(found.remove("all spans").is_some());
    for (name, expected) in [
        ("errors per service", errors(&spans)),
        ("slowest operations", slowest(&spans)),
        ("one trace by id", one_trace(&busy[7])),
        ("spans and their parents", parents(&spans)),
        ("events", events(&spans)),
        ("an attribute wherever it stands", retries(&spans)),
        ("spans per minute", minutes(&spans)),
    ] {
        assert_eq!(found.remove(name), Some(expected), "{name}");
    }
    check_lists(
        &found.remove("attributes in lists").expect("documented"),
        &spans,
        &flatten(&all_spans(&quiet)),
    );
    assert!(found.is_empty(), "documented and not checked: {:?}", found.keys());
}

/// Two blocks that a server has left, what is in them, and what keeps their directory.
async fn two_blocks() -> (PathBuf, Vec<SentTrace>, Vec<SentTrace>, ServerBuilder) {
    let mut traffic = Traffic::new(SEED, ten_minutes_ago());
    let (busy, quiet) = (traffic.traces(BUSY), traffic.traces(QUIET));
    let server = Server::start().await;
    server.otlp().send(all_spans(&busy)).await;
    let (status, builder) = server.terminate().await;
    assert!(status.success(), "{status}");
    let server = builder.start().await;
    server.otlp().send(all_spans(&quiet)).await;
    let (status, builder) = server.terminate().await;
    assert!(status.success(), "{status}");
    (builder.data_dir(), busy, quiet, builder)
}

/// Name and text of every statement in the document, about this data and this trace.
fn documented(data_dir: &Path, trace: &SentTrace) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/block.md");
    let document = std::fs::read_to_string(path).expect("the document is there");
    for text in [DATA_DIR, TRACE_ID] {
        assert_eq!(document.matches(text).count(), 1, "{text} is not where it is expected");
    }
    let blocks = document.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest));
    let named = |sql: &str| {
        let (name, sql) = sql.split_once('\n').expect("more than one line");
        let name = name.strip_prefix("-- ").expect("its first line is its name");
        let data_dir = format!("{}/", data_dir.display());
        (name.to_owned(), sql.replace(DATA_DIR, &data_dir).replace(TRACE_ID, &trace.hex()))
    };
    blocks.map(named).collect()
}

fn service(flat: &FlatSpan) -> String {
    let attribute = flat.resource.attributes.iter().find(|a| a.key == "service.name").expect("a service");
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(name)) => name.clone(),
        other => panic!("{other:?}"),
    }
}

fn duration(span: &Span) -> u64 {
    span.end_time_unix_nano - span.start_time_unix_nano
}

fn errors(spans: &[FlatSpan]) -> Value {
    let mut counted: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for flat in spans {
        let (errors, all) = counted.entry(service(flat)).or_default();
        *errors += u64::from(flat.span.status.as_ref().is_some_and(|status| status.code == 2));
        *all += 1;
    }
    assert!(counted.values().any(|(errors, _)| *errors > 0));
    let mut rows: Vec<_> = counted.into_iter().collect();
    rows.sort_by_key(|(_, (errors, _))| std::cmp::Reverse(*errors));
    rows.iter().map(|(service, (errors, all))| json!([service, errors, all])).collect()
}

fn slowest(spans: &[FlatSpan]) -> Value {
    let mut operations: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
    for flat in spans {
        operations.entry((service(flat), flat.span.name.clone())).or_default().push(duration(&flat.span));
    }
    operations.values_mut().for_each(|durations| durations.sort_unstable());
    let mut rows: Vec<_> = operations.into_iter().collect();
    rows.sort_by_key(|(_, durations)| std::cmp::Reverse(durations.last().copied()));
    let row = |((service, name), durations): &((String, String), Vec<u64>)| {
        let p95 = durations[(durations.len() * 95).div_ceil(100) - 1];
        json!([service, name, durations.len(), p95, durations.last()])
    };
    rows.iter().take(10).map(row).collect()
}

fn one_trace(trace: &SentTrace) -> Value {
    let mut spans = flatten(&trace.resource_spans);
    spans.sort_by_key(|flat| (flat.span.start_time_unix_nano, flat.span.span_id.clone()));
    let row = |flat: &FlatSpan| {
        let span = &flat.span;
        let id = hex::encode(&span.span_id);
        json!([id, service(flat), span.name, span.kind, span.start_time_unix_nano, duration(span)])
    };
    spans.iter().map(row).collect()
}

/// By trace and span id, as they come.
fn parents(spans: &[FlatSpan]) -> Value {
    let parent = |span: &Span| (!span.parent_span_id.is_empty()).then(|| hex::encode(&span.parent_span_id));
    spans.iter().map(|flat| json!([hex::encode(&flat.span.span_id), parent(&flat.span)])).collect()
}

fn events(spans: &[FlatSpan]) -> Value {
    let mut rows: Vec<_> = spans
        .iter()
        .flat_map(|flat| flat.span.events.iter().map(|event| (event.time_unix_nano, &flat.span.name, event)))
        .collect();
    assert!(!rows.is_empty());
    rows.sort_by_key(|(time, span, _)| (*time, *span));
    rows.iter().map(|(time, span, event)| json!([span, event.name, time, "2"])).collect()
}

/// `true`, `false` or nothing, as texts do not sort: nothing comes last.
fn retries(spans: &[FlatSpan]) -> Value {
    let mut counted: BTreeMap<(bool, Option<String>), u64> = BTreeMap::new();
    for flat in spans {
        let retry = flat.span.attributes.iter().find(|a| a.key == "retry");
        let retry = retry.and_then(|a| match a.value.as_ref()?.value.as_ref()? {
            Any::BoolValue(truth) => Some(truth.to_string()),
            other => panic!("{other:?}"),
        });
        *counted.entry((retry.is_none(), retry)).or_default() += 1;
    }
    assert_eq!(counted.len(), 3);
    counted.iter().map(|((_, retry), spans)| json!([retry, spans])).collect()
}

fn minutes(spans: &[FlatSpan]) -> Value {
    let mut counted: BTreeMap<u64, u64> = BTreeMap::new();
    for flat in spans {
        *counted.entry(flat.span.start_time_unix_nano / (60 * SECOND)).or_default() += 1;
    }
    let rows = counted.iter().map(|(minute, spans)| json!([civil(*minute), spans]));
    rows.collect()
}

/// A minute since the epoch, as `2023-11-14 22:13:00` (the calendar of Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", 2021).
fn civil(minute: u64) -> String {
    let (days, of_day) = (minute / 1440 + 719_468, minute % 1440);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:00", of_day / 60, of_day % 60)
}

/// What has no column because of its type, and what has none because it is rare.
fn check_lists(found: &Value, all: &[FlatSpan], quiet: &[FlatSpan]) {
    let count = |spans: &[FlatSpan], key: &str| {
        spans.iter().filter(|flat| flat.span.attributes.iter().any(|a| a.key == key)).count()
    };
    let rare = count(quiet, "retry");
    assert!((1..4).contains(&rare), "{rare} spans with `retry` are not what this test is about");
    for (key, value_type, spans) in [
        ("payload", JSON_TYPE, count(all, "payload")),
        ("peers", JSON_TYPE, count(all, "peers")),
        ("retry", BOOL_TYPE, rare),
    ] {
        let rows = found.as_array().expect("rows");
        assert!(rows.contains(&json!([key, value_type, spans])), "{key}: {found}");
    }
}
