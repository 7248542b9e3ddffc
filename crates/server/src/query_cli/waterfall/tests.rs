use super::super::answer::TraceAnswer;
use super::*;

const PLAIN: Terminal = Terminal { width: Some(100), unicode: true, colour: false };

/// As Tempo writes it: ids in base64, times as text, zero values left out.
const TRACE: &str = r#"{"trace":{"resourceSpans":[
  {"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"gateway"}}]},
   "scopeSpans":[{"scope":{},"spans":[
     {"traceId":"AAECAwQFBgcICQoLDA0ODw==","spanId":"AAAAAAAAAAE=","name":"GET /","kind":"SPAN_KIND_SERVER",
      "startTimeUnixNano":"1800000000000000000","endTimeUnixNano":"1800000000100000000","status":{}}]}]},
  {"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"reviews"}}]},
   "scopeSpans":[{"spans":[
     {"traceId":"AAECAwQFBgcICQoLDA0ODw==","spanId":"AAAAAAAAAAI=","parentSpanId":"AAAAAAAAAAE=",
      "name":"call ratings","kind":"SPAN_KIND_CLIENT",
      "startTimeUnixNano":"1800000000050000000","endTimeUnixNano":"1800000000090000000",
      "attributes":[{"key":"http.status_code","value":{"intValue":"503"}},
                    {"key":"response_flags","value":{"stringValue":"UF,URX"}}],
      "status":{"code":"STATUS_CODE_ERROR","message":"no route"}},
     {"traceId":"AAECAwQFBgcICQoLDA0ODw==","spanId":"AAAAAAAAAAM=","parentSpanId":"AAAAAAAAAAE=","name":"cache",
      "startTimeUnixNano":"1800000000010000000","endTimeUnixNano":"1800000000010200000"},
     {"traceId":"AAECAwQFBgcICQoLDA0ODw==","spanId":"AAAAAAAAAAQ=","parentSpanId":"AAAAAAAAAP8=","name":"lost",
      "kind":"SPAN_KIND_INTERNAL",
      "startTimeUnixNano":"1800000000020000000","endTimeUnixNano":"1800000000060000000"}]}]}
]},"metrics":{}}"#;

fn view(json: &str) -> TraceView {
    TraceView::from(&serde_json::from_str::<TraceAnswer>(json).unwrap())
}

fn draw(terminal: &Terminal, max_spans: usize) -> String {
    let text = waterfall(&view(TRACE), terminal, max_spans);
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn a_trace_as_it_is_drawn() {
    insta::assert_snapshot!(draw(&PLAIN, 500), @r"
    Trace 000102030405060708090a0b0c0d0e0f
    4 spans, 2 services, 1 error
    started 2027-01-15 08:00:00.000 UTC, took 100ms

      Span                          Service  Kind      Duration  0                                 100ms
      GET /                         gateway  server       100ms  ███████████████████████████████████████
      ├ cache                       reviews               200µs     ▏
    ✗ └ call ratings                reviews  client      40.0ms                     █████████████████

    Spans whose parent is missing:
      lost                          reviews  internal    40.0ms         █████████████████

    Errors:
      reviews call ratings: HTTP 503, flags UF,URX, no route
    ");
}

#[test]
fn the_same_in_ascii() {
    let text = draw(&Terminal { unicode: false, ..PLAIN }, 500);
    assert!(text.is_ascii());
    insta::assert_snapshot!(text, @r"
    Trace 000102030405060708090a0b0c0d0e0f
    4 spans, 2 services, 1 error
    started 2027-01-15 08:00:00.000 UTC, took 100ms

      Span                          Service  Kind      Duration  0                                 100ms
      GET /                         gateway  server       100ms  =======================================
      |-cache                       reviews               200us     |
    ! `-call ratings                reviews  client      40.0ms                     =================

    Spans whose parent is missing:
      lost                          reviews  internal    40.0ms         =================

    Errors:
      reviews call ratings: HTTP 503, flags UF,URX, no route
    ");
}

#[test]
fn lines_fit_the_terminal() {
    for width in [60, 80, 100, 200, 400] {
        let terminal = Terminal { width: Some(width), ..PLAIN };
        let text = waterfall(&view(TRACE), &terminal, 500);
        let drawing = text.split("\nErrors:").next().unwrap();
        for line in drawing.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn spans_beyond_the_limit_are_counted() {
    let text = draw(&PLAIN, 2);
    assert!(text.contains("2 more spans are not shown"), "{text}");
    assert!(!text.contains("lost"), "{text}");
}

#[test]
fn both_apis_and_otlp_ids_give_the_same_trace() {
    let v1 = r#"{"batches":[{"resource":{},"scopeSpans":[{"spans":[{"traceId":"000102030405060708090A0B0C0D0E0F",
        "spanId":"0000000000000001","name":"x","kind":2,"startTimeUnixNano":5,"endTimeUnixNano":"7",
        "status":{"code":2}}]}]}]}"#;
    let view = view(v1);
    assert_eq!(view.trace_id, "000102030405060708090a0b0c0d0e0f");
    let span = &view.spans[0];
    assert_eq!((span.id.as_str(), span.kind, span.duration), ("0000000000000001", "server", 2));
    assert_eq!(span.error.as_deref(), Some(""));
}

#[test]
fn times_out_of_order_and_deep_chains_are_drawn() {
    let chain = (0..1000u64).map(|i| SpanView {
        id: format!("{i}"),
        parent: if i == 0 { String::new() } else { format!("{}", i - 1) },
        name: "n\x1b]0;title\x07".repeat(20),
        start: if i % 2 == 0 { u64::MAX - 5 } else { i },
        duration: u64::MAX,
        ..SpanView::default()
    });
    let trace = TraceView { trace_id: "1".to_owned(), spans: chain.collect() };
    let text = waterfall(&trace, &PLAIN, 1000);
    assert!(text.lines().count() >= 1000);
    assert!(!text.contains('\x1b') && !text.contains('\x07'));
}

#[test]
fn an_empty_trace_is_no_reason_to_panic() {
    let text = waterfall(&TraceView::default(), &PLAIN, 500);
    assert!(text.contains("0 spans"), "{text}");
}
