//! Asks a server's query API over gRPC, with a Python client generated from `crates/server/proto`.

use std::path::Path;

use serde_json::{Value, json};

use crate::sdk;

/// One call.
#[derive(Debug, Clone)]
pub struct Question(Value);

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The name of its status code.
    pub code: String,
    /// The status' text.
    pub details: String,
    /// The messages that came, in protobuf's JSON.
    pub messages: Vec<Value>,
    /// The metadata at the end.
    pub trailers: Value,
    /// Bytes of the largest message.
    pub largest: u64,
}

impl Question {
    /// A call of a method of `tempopb.StreamingQuerier`.
    pub fn querier(address: &str, method: &str, request: Value) -> Self {
        Self(json!({"address": address, "service": "querier", "method": method, "request": request}))
    }

    /// A health check of a service; of the whole server when the name is empty.
    pub fn health(address: &str, service: &str) -> Self {
        Self(json!({"address": address, "service": "health", "request": {"service": service}}))
    }

    /// What the server says about itself.
    pub fn reflection(address: &str) -> Self {
        Self(json!({"address": address, "service": "reflection"}))
    }

    /// The same, for a tenant.
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.0["metadata"] = json!([["x-scope-orgid", tenant]]);
        self
    }

    /// The same, sent compressed.
    pub fn gzip(mut self) -> Self {
        self.0["gzip"] = json!(true);
        self
    }
}

impl Outcome {
    /// The messages, if the call succeeded.
    pub fn ok(&self) -> &[Value] {
        assert_eq!((self.code.as_str(), self.details.as_str()), ("OK", ""), "{self:?}");
        &self.messages
    }

    /// The one message, if the call succeeded with one.
    pub fn one(&self) -> &Value {
        let [message] = self.ok() else { panic!("one message is expected: {self:?}") };
        message
    }

    fn parse(line: &str) -> Self {
        let answer: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Self {
            code: text("code"),
            details: text("details"),
            messages: answer["messages"].as_array().cloned().unwrap_or_default(),
            trailers: answer["trailers"].clone(),
            largest: answer["largest"].as_u64().unwrap_or_default(),
        }
    }
}

/// Asks one after the other. [`None`], with the reason printed, where there is no Python for it.
pub fn ask(questions: &[Question]) -> Option<Vec<Outcome>> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/server/proto");
    let input: String = questions.iter().map(|Question(question)| format!("{question}\n")).collect();
    let protos = protos.to_str().expect("the path is UTF-8");
    let printed = sdk::run_with_input("query_grpc.py", &[protos], &input)?;
    let outcomes: Vec<Outcome> = printed.lines().map(Outcome::parse).collect();
    assert_eq!(outcomes.len(), questions.len(), "one line an answer");
    Some(outcomes)
}
