//! The body of an answer that carries a trace: read and written portion by portion while it is sent.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use vivace_model::Span;
use vivace_query::{QueryError, TracePortions};

/// Pieces of a body, of some ten thousand bytes each, that wait for a slow reader.
const PIECES_AHEAD: usize = 8;

/// How a trace is written.
pub(in crate::api) trait TraceForm: Send + Sync + 'static {
    /// Whether the tail has room for a message.
    fn has_message(&self) -> bool;

    /// The next portion, piece by piece.
    fn portion(&self, spans: Vec<Span>, is_first: bool) -> Box<dyn Iterator<Item = Bytes> + Send>;

    /// What comes behind the last portion.
    fn tail(&self, message: Option<&str>) -> Bytes;
}

/// What is said about an answer beside the trace.
#[derive(Debug, Default)]
pub(in crate::api) struct Remarks {
    /// Why the trace may not be complete, as the header says.
    pub(in crate::api) partial: Option<String>,
    /// What was done to it.
    pub(in crate::api) notes: Vec<&'static str>,
}

impl Remarks {
    /// All of them as one text; `late` became known while the trace was read.
    pub(super) fn message(&self, late: Option<&str>) -> Option<String> {
        let partial = late.or(self.partial.as_deref());
        let messages: Vec<&str> = partial.into_iter().chain(self.notes.iter().copied()).collect();
        (!messages.is_empty()).then(|| messages.join("; "))
    }
}

/// A trace on its way to a client.
pub(super) struct Sending<F> {
    pub(super) portions: TracePortions,
    pub(super) form: F,
    pub(super) remarks: Remarks,
    /// A reader that takes nothing for so long is left.
    pub(super) patience: Duration,
}

/// Why a body is broken off.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error("the rest of it cannot be read: {0}")]
    Unreadable(#[from] QueryError),
    #[error("it turned out incomplete, which this form of it cannot say: {0}")]
    Untold(String),
    #[error("its reader took nothing for {0:?}")]
    Stalled(Duration),
    #[error("its reader has gone")]
    Gone,
}

/// What the client's side of the body hears of it.
#[derive(Debug, thiserror::Error)]
#[error("the trace could not be sent to its end")]
struct Incomplete;

enum Piece {
    Bytes(Bytes),
    End,
}

impl<F: TraceForm> Sending<F> {
    /// The answer. A body that cannot be written to its end is broken off, so that it never looks complete.
    pub(super) fn respond(self, content_type: HeaderValue) -> Response {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(self.send(sender));
        ([(CONTENT_TYPE, content_type)], body(receiver)).into_response()
    }

    async fn send(mut self, sender: mpsc::Sender<Piece>) {
        let trace = self.portions.id();
        match self.write(&sender).await {
            Ok(()) | Err(BrokenOff::Gone) => {}
            Err(reason) => tracing::warn!(%trace, %reason, "an answer with a trace is broken off"),
        }
    }

    async fn write(&mut self, sender: &mpsc::Sender<Piece>) -> Result<(), BrokenOff> {
        let mut is_first = true;
        while let Some(spans) = self.portions.next().await? {
            for bytes in self.form.portion(spans, is_first) {
                pass(sender, Piece::Bytes(bytes), self.patience).await?;
            }
            is_first = false;
        }
        let late = self.portions.partial().filter(|late| self.remarks.partial.as_ref() != Some(late));
        if let Some(late) = late.clone()
            && !self.form.has_message()
        {
            return Err(BrokenOff::Untold(late));
        }
        let message = self.remarks.message(late.as_deref());
        pass(sender, Piece::Bytes(self.form.tail(message.as_deref())), self.patience).await?;
        pass(sender, Piece::End, self.patience).await
    }
}

fn body(receiver: mpsc::Receiver<Piece>) -> Body {
    let pieces = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(receiver))),
            Some(Piece::End) => None,
            None => Some((Err(Incomplete), None)),
        }
    });
    // Who compresses it asks again after the end.
    Body::from_stream(pieces.fuse())
}

async fn pass(sender: &mpsc::Sender<Piece>, piece: Piece, patience: Duration) -> Result<(), BrokenOff> {
    match sender.send_timeout(piece, patience).await {
        Ok(()) => Ok(()),
        Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(BrokenOff::Stalled(patience)),
        Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(BrokenOff::Gone),
    }
}

#[cfg(test)]
mod tests;
