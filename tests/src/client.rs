//! Asks a server's query API over HTTP.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use reqwest::RequestBuilder;
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(60);
const PROTOBUF: &str = "application/protobuf";

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: Vec<u8>,
}

/// `tempopb.TraceByIDResponse`, without its metrics.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TraceByIdResponse {
    /// The trace, empty when there is none.
    #[prost(message, optional, tag = "1")]
    pub trace: Option<TracesData>,
    /// 0 is complete, 1 partial.
    #[prost(int32, tag = "3")]
    pub status: i32,
    /// Why it is partial.
    #[prost(string, tag = "4")]
    pub message: String,
}

/// A client of one server, perhaps for one tenant.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    tenant: Option<String>,
}

impl Reply {
    /// From an HTTP response, its body read whole.
    ///
    /// # Errors
    /// The connection broke off.
    pub async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let status = response.status().as_u16();
        let text =
            |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers =
            response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let body = response.bytes().await?.to_vec();
        Ok(Self { status, headers, body })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    /// A header field, empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Itself, if the status is 200.
    pub fn ok(self) -> Self {
        self.expect(200)
    }

    /// Itself, if it has this status.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "unexpected answer: {}", self.text());
        self
    }
}

impl Client {
    /// Of the server at `address`.
    pub fn new(address: &str) -> Self {
        let http = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
        Self {
            http: http.expect("a plain client can be made"),
            base: format!("http://{address}"),
            tenant: None,
        }
    }

    /// The same, for a tenant.
    pub fn tenant(&self, tenant: &str) -> Self {
        Self { tenant: Some(tenant.to_owned()), ..self.clone() }
    }

    /// GET of a path and query that need no escaping any more.
    pub async fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[], &[]).await
    }

    /// GET with parameters and header fields.
    pub async fn get_with(&self, path: &str, parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        self.send(self.http.get(self.url(path)).query(parameters), headers).await
    }

    /// POST of JSON.
    pub async fn post_json(&self, path: &str, body: &Value) -> Reply {
        self.post_json_with(path, body, &[]).await
    }

    /// POST of JSON with header fields.
    pub async fn post_json_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Reply {
        self.send(self.http.post(self.url(path)).body(body.to_string()), headers).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, mut request: RequestBuilder, headers: &[(&str, &str)]) -> Reply {
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        let response = request.send().await.unwrap_or_else(|e| panic!("no answer from {}: {e}", self.base));
        Reply::read(response).await.unwrap_or_else(|e| panic!("half an answer from {}: {e}", self.base))
    }

    /// GET of JSON, as clients that ask for it do; the status must be 200.
    pub async fn json(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let reply = self.get_with(path, parameters, &[("Accept", "application/json")]).await.ok();
        assert_eq!(reply.header("content-type"), "application/json", "{reply:?}");
        reply.json()
    }

    /// `/api/search` over all time that matters here.
    pub async fn search(&self, query: &str, limit: usize, spans: usize, range: (u64, u64)) -> Value {
        let (limit, spans) = (limit.to_string(), spans.to_string());
        let (start, end) = (range.0.to_string(), range.1.to_string());
        let parameters =
            [("q", query), ("limit", &limit), ("spss", &spans), ("start", &start), ("end", &end)];
        self.json("/api/search", &parameters).await
    }

    /// `/api/metrics/query_range` with a value every `step` seconds.
    pub async fn query_range(&self, query: &str, range: (u64, u64), step: u64) -> Value {
        let (start, end, step) = (range.0.to_string(), range.1.to_string(), format!("{step}s"));
        let parameters =
            [("q", query), ("start", &start), ("end", &end), ("step", &step), ("exemplars", "0")];
        self.json("/api/metrics/query_range", &parameters).await
    }

    /// `/api/traces/{id}` as JSON, with its status.
    pub async fn trace_json(&self, id: &str) -> Reply {
        self.get_with(&format!("/api/traces/{id}"), &[], &[("Accept", "application/json")]).await
    }

    /// `/api/traces/{id}` as protobuf; [`None`] when it is not found.
    pub async fn trace(&self, id: &str) -> Option<TracesData> {
        let reply = self.get_with(&format!("/api/traces/{id}"), &[], &[("Accept", PROTOBUF)]).await;
        if reply.status == 404 {
            return None;
        }
        let reply = reply.ok();
        assert_eq!(reply.header("content-type"), PROTOBUF, "{reply:?}");
        Some(TracesData::decode(reply.body.as_slice()).expect("a trace in protobuf"))
    }

    /// `/api/v2/traces/{id}` as JSON.
    pub async fn trace_v2_json(&self, id: &str) -> Value {
        self.json(&format!("/api/v2/traces/{id}"), &[]).await
    }

    /// `/api/v2/traces/{id}` as protobuf.
    pub async fn trace_v2(&self, id: &str) -> TraceByIdResponse {
        let reply = self.get_with(&format!("/api/v2/traces/{id}"), &[], &[("Accept", PROTOBUF)]).await.ok();
        assert_eq!(reply.header("content-type"), PROTOBUF, "{reply:?}");
        TraceByIdResponse::decode(reply.body.as_slice()).expect("a trace response in protobuf")
    }
}
