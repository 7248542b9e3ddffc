use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tonic::Status;

use super::{RequestLabels, route};
use crate::state::App;

/// A call that is running; it is counted when dropped. Until its status is known its client may yet go away.
struct Call {
    app: App,
    route: String,
    began: Duration,
    outcome: &'static str,
}

pub(super) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = app.clock.monotonic();
    let path = request.extensions().get::<MatchedPath>();
    let route = path.map_or_else(|| "other".to_owned(), |path| label(path.as_str()));
    let mut call = Call { app, route, began, outcome: "cancel" };
    let response = next.run(request).await;
    // A refused call has its status here and no body.
    call.learn(response.headers());
    response.map(|body| Body::new(Watched { body, call }))
}

/// Tempo's queriers are named by their path; what takes spans is named as a gateway names it.
fn label(path: &str) -> String {
    if path.starts_with("/opentelemetry.") { route(path) } else { path.to_owned() }
}

impl Call {
    fn learn(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(Status::GRPC_STATUS) {
            self.outcome = match status.as_bytes() {
                b"0" => "success",
                b"1" => "cancel",
                _ => "error",
            };
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let took = self.app.clock.monotonic().saturating_sub(self.began);
        tracing::debug!(method = self.route, outcome = self.outcome, ?took, "call");
        let labels = RequestLabels {
            method: "gRPC".to_owned(),
            route: std::mem::take(&mut self.route),
            status_code: self.outcome.to_owned(),
            ws: "false",
        };
        self.app.metrics.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// A body whose trailers tell how the call ended.
struct Watched {
    body: Body,
    call: Call,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.learn(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
