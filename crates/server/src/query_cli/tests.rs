use clap::Parser;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    query: QueryArgs,
}

fn parse(args: &[&str]) -> Result<Program, clap::Error> {
    Program::try_parse_from([&["query"], args].concat())
}

#[test]
fn flags_that_contradict_are_usage_errors() {
    for args in [
        &["search", "{ }", "--service", "a"][..],
        &["search", "{ }", "--tag", "a=b"],
        &["search", "--since", "1h", "--start", "now-2h"],
        &["search", "--limit", "0"],
        &["search", "--tag", "=b"],
        &["search", "--header", "no-value"],
        &["search", "--min-duration", "5"],
        &["trace", "xyz"],
        &["trace", "0123456789abcdef0123456789abcdef0"],
        &["tags", "--scope", "nonsense"],
    ] {
        let error = parse(args).expect_err(&format!("{args:?}"));
        assert_eq!(error.exit_code(), 2, "{args:?}");
    }
    parse(&["search", "--service", "a", "--tag", "b=c=d", "--since", "2d", "--min-duration", "1.5s"])
        .unwrap();
    parse(&["tag-values", "resource.service.name", "--query", "{ }", "--tenant", "a"]).unwrap();
}

/// Answers one request with `response` and gives back what was asked.
async fn serve_once(response: String) -> (Url, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prefix/", listener.local_addr().unwrap()).parse().unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(response.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, asked)
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

#[tokio::test]
async fn a_request_carries_tenant_headers_and_escaped_parts() {
    let (url, asked) = serve_once(http("200 OK", "x-vivace-partial: deadline\r\n", "{}")).await;
    let headers = [client::parse_header("x-extra=1=2").unwrap()];
    let client = Client::new(url, Some("team-a"), &headers).unwrap();
    let path = ["api", "v2", "search", "tag", "span.\"a/b c\"", "values"];
    let body = client.get(&path, &[("q", "{ .a = \"b\" && true }".to_owned())]).await.unwrap();
    assert_eq!(body.partial.as_deref(), Some("deadline"));
    let request = asked.await.unwrap();
    let first = request.lines().next().unwrap();
    assert_eq!(
        first,
        "GET /prefix/api/v2/search/tag/span.%22a%2Fb%20c%22/values?q=%7B+.a+%3D+%22b%22+%26%26+true+%7D HTTP/1.1"
    );
    for line in ["x-scope-orgid: team-a", "x-extra: 1=2", "accept: application/json"] {
        assert!(request.lines().any(|l| l.eq_ignore_ascii_case(line)), "{line} in {request}");
    }
}

#[tokio::test]
async fn a_refusal_shows_the_servers_words_and_exits_3() {
    let (url, _asked) = serve_once(http("400 Bad Request", "", "invalid TraceQL query: at 1:3\n")).await;
    let error = Client::new(url, None, &[]).unwrap().get(&["api", "search"], &[]).await.unwrap_err();
    assert!(matches!(&error, QueryError::Refused { status: StatusCode::BAD_REQUEST, text, .. }
        if text == "invalid TraceQL query: at 1:3"));
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn an_answer_that_is_not_the_api_exits_3() {
    let (url, _asked) = serve_once(http("200 OK", "", "<html>")).await;
    let body = Client::new(url, None, &[]).unwrap().get(&["api", "search"], &[]).await.unwrap();
    let error = body.json::<SearchAnswer>().unwrap_err();
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn nobody_there_exits_4_and_tells_no_password() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://user:secret@{address}").parse().unwrap();
    let error = Client::new(url, None, &[]).unwrap().get(&["api", "search"], &[]).await.unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn a_trace_that_v2_does_not_have_is_asked_of_v1() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let server = tokio::spawn(async move {
        let mut paths = Vec::new();
        for response in [http("404 Not Found", "", ""), http("200 OK", "", r#"{"batches":[]}"#)] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(response.as_bytes()).await.unwrap();
            paths.push(String::from_utf8(request).unwrap().split(' ').nth(1).unwrap().to_owned());
        }
        paths
    });
    assert!(Client::new(url, None, &[]).unwrap().trace("2f").await.unwrap().is_some());
    assert_eq!(server.await.unwrap(), ["/api/v2/traces/2f", "/api/traces/2f"]);
}
