use super::*;

#[test]
fn kialis_query_is_traceql() {
    let query = kiali_query(SERVICE);
    vivace_traceql::parse(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
}

#[test]
fn an_address_that_listens_everywhere_is_reached_at_home() {
    for (listen, reach) in
        [("0.0.0.0:3200", "127.0.0.1:3200"), ("[::]:1", "[::1]:1"), ("10.0.0.1:2", "10.0.0.1:2")]
    {
        assert_eq!(reachable(listen.parse().unwrap()), reach.parse().unwrap());
    }
}

/// A server that answers every search and every trace with the same text.
async fn fake(search: &'static str, trace: &'static str) -> Addresses {
    let router = axum::Router::new()
        .route("/api/search", axum::routing::get(move || async move { search }))
        .route("/api/v2/traces/{id}", axum::routing::get(move || async move { trace }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Addresses { http, grpc: http, otlp_grpc: http, otlp_http: http }
}

async fn report(search: &'static str, trace: &'static str, reviewed: u64) -> Result<(), DemoError> {
    let clock = vivace_base::SystemClock::default();
    let terminal = Terminal { width: None, unicode: false, colour: false };
    let addresses = fake(search, trace).await;
    Report { addresses, terminal, clock: &clock, origin: 0 }.print(reviewed).await
}

const HIT: &str = r#"{"traces":[{"traceID":"2f","spanSet":{"spans":[{}],"matched":1}}]}"#;
const TRACE: &str = r#"{"trace":{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"AAAAAAAAAAE="}]}]}]}}"#;

#[tokio::test]
async fn a_query_that_finds_what_there_is_succeeds() {
    report(HIT, TRACE, 1).await.unwrap();
}

#[tokio::test]
async fn a_query_that_finds_less_fails_the_demo() {
    let error = report(HIT, TRACE, 2).await.unwrap_err();
    assert!(matches!(error, DemoError::Incomplete { found: 1, expected: 2 }), "{error}");
    let error = report("{}", TRACE, 0).await.unwrap_err();
    assert!(matches!(error, DemoError::Incomplete { found: 0, .. }), "{error}");
    let error = report(HIT, "{}", 1).await.unwrap_err();
    assert!(matches!(error, DemoError::TraceLost { .. }), "{error}");
    let error = report("no json", TRACE, 1).await.unwrap_err();
    assert!(matches!(error, DemoError::Query(QueryError::NotTheApi { .. })), "{error}");
}
