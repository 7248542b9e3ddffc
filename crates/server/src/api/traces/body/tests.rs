use http_body_util::BodyExt;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use vivace_model::Trace;
use vivace_testkit::SpanBuilder;

use super::*;
use crate::api::json::{LlmJson, TraceJson};
use crate::api::traces::protobuf::TraceProtobuf;

const SPANS: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(5);

/// A trace of several portions, on its way.
fn sending<F: TraceForm>(form: F, patience: Duration) -> Sending<F> {
    let span = |id| SpanBuilder::new("s").trace(7).id(id).start_ms(id).attribute("n", id as i64).build();
    let trace = Trace::assemble((1..=SPANS).map(span).collect()).unwrap();
    let portions = TracePortions::of(trace, None);
    let remarks = Remarks { partial: Some("early".to_owned()), notes: vec!["note"] };
    Sending { portions, form, remarks, patience }
}

async fn sent<F: TraceForm>(form: F) -> Bytes {
    let response = sending(form, PATIENCE).respond(HeaderValue::from_static("x/y"));
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn every_form_puts_the_portions_together() {
    let numbers = |spans: &[serde_json::Value]| -> Vec<u64> {
        let number = |span: &serde_json::Value| {
            let value = &span["attributes"][0]["value"]["intValue"];
            value.as_str().map(|text| text.parse().unwrap()).or(span["attributes"]["n"].as_u64()).unwrap()
        };
        spans.iter().map(number).collect()
    };
    let all: Vec<u64> = (1..=SPANS).collect();
    let json = |bytes: Bytes| serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
    let batches = |told: &serde_json::Value| -> Vec<serde_json::Value> {
        let batches = told.as_array().unwrap();
        assert!(batches.len() > 1);
        batches.iter().flat_map(|batch| batch["scopeSpans"][0]["spans"].as_array().unwrap().clone()).collect()
    };
    assert_eq!(numbers(&batches(&json(sent(TraceJson::Batches).await)["batches"])), all);
    let told = json(sent(TraceJson::Response).await);
    assert_eq!(numbers(&batches(&told["trace"]["resourceSpans"])), all);
    assert_eq!(told["message"], "early; note");
    let told = json(sent(LlmJson { trace: vivace_model::TraceId([7; 16]) }).await);
    let services = told["trace"]["services"].as_array().unwrap();
    let spans: Vec<_> =
        services.iter().flat_map(|of| of["scopes"][0]["spans"].as_array().unwrap().clone()).collect();
    assert_eq!((numbers(&spans), &told["message"]), (all, &serde_json::json!("early; note")));
    let bare = TracesData::decode(sent(TraceProtobuf::Bare).await).unwrap();
    let count = bare.resource_spans.iter().map(|of| of.scope_spans[0].spans.len()).sum::<usize>();
    assert_eq!(count as u64, SPANS);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_left() {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    // Nobody reads: this returns only since patience is at an end.
    sending(TraceJson::Batches, Duration::from_millis(10)).send(sender).await;
    let pieces: Vec<_> = StreamExt::collect(body(receiver).into_data_stream()).await;
    let (broken, taken) = pieces.split_last().unwrap();
    assert!(taken.len() == PIECES_AHEAD && taken.iter().all(Result::is_ok));
    let broken = broken.as_ref().unwrap_err().to_string();
    assert!(broken.contains("could not be sent to its end"), "{broken}");
}
