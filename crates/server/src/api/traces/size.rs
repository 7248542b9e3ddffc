use vivace_model::{Span, Tenants, TraceId};
use vivace_query::{QueryError, TracePortions, TraceResponse};

use super::{encoded_len, find};
use crate::api::error::ApiError;
use crate::config::Limits;
use crate::state::App;

/// How large a trace may be.
#[derive(Debug, Clone, Copy)]
struct MaxSize {
    bytes: Option<u64>,
    spans: Option<usize>,
}

/// The limit that a trace exceeds, and how many of its first spans do not.
#[derive(Debug)]
pub(in crate::api) struct TooLarge {
    limit: &'static str,
    max: String,
    fitting: usize,
}

impl TooLarge {
    /// What is said of a part of the trace.
    fn partial(&self) -> String {
        let (max, raise) = (&self.max, Limits::raise(self.limit));
        format!("Trace exceeds maximum size of {max}, a partial trace is returned: for all of it {raise}")
    }

    /// What is said in place of the trace.
    pub(in crate::api) fn refusal(&self) -> String {
        let (max, raise) = (&self.max, Limits::raise(self.limit));
        format!("trace exceeds max size ({max}): {raise}")
    }
}

/// A trace as [`find`] finds it, or the first of its spans when it is larger than its tenants may have it. Its size is
/// known only once it was read: a trace that may not be of any size is read twice.
pub(in crate::api) async fn find_within(
    app: &App,
    tenants: &Tenants,
    id: TraceId,
) -> Result<(TraceResponse, Option<TooLarge>), ApiError> {
    let limits = app.limits.of_all(tenants);
    let max = MaxSize {
        bytes: limits.max_bytes_per_trace.map(|size| size.bytes()),
        spans: limits.max_spans_per_trace,
    };
    let found = find(app, tenants, id).await?;
    let TraceResponse { trace: Some(portions), partial } = found else { return Ok((found, None)) };
    if max.bytes.is_none() && max.spans.is_none() {
        return Ok((TraceResponse { trace: Some(portions), partial }, None));
    }
    let too_large = max.exceeded(portions).await?;
    let mut found = find(app, tenants, id).await?;
    if let Some(too_large) = &too_large {
        found.trace = found.trace.map(|portions| portions.first_spans(too_large.fitting));
        let told = [found.partial.take(), Some(too_large.partial())];
        found.partial = Some(told.into_iter().flatten().collect::<Vec<_>>().join("; "));
    }
    Ok((found, too_large))
}

impl MaxSize {
    async fn exceeded(self, mut portions: TracePortions) -> Result<Option<TooLarge>, QueryError> {
        let (mut spans, mut bytes) = (0, 0);
        while let Some(portion) = portions.next().await? {
            let by_spans = self.spans.map_or(portion.len(), |max| (max - spans).min(portion.len()));
            let by_bytes = self.bytes.map_or(portion.len(), |max| fitting(&portion, max - bytes));
            let fitting = spans + by_bytes.min(by_spans);
            if by_bytes < portion.len() && by_bytes <= by_spans {
                let max = format!("{} bytes", self.bytes.unwrap_or_default());
                return Ok(Some(TooLarge { limit: "max_bytes_per_trace", max, fitting }));
            }
            if by_spans < portion.len() {
                let max = format!("{} spans", self.spans.unwrap_or_default());
                return Ok(Some(TooLarge { limit: "max_spans_per_trace", max, fitting }));
            }
            spans += portion.len();
            bytes += if self.bytes.is_some() { encoded_len(&portion) as u64 } else { 0 };
        }
        Ok(None)
    }
}

/// How many of the first spans take no more than `max` bytes together.
fn fitting(spans: &[Span], max: u64) -> usize {
    let fits = |count: usize| encoded_len(spans.get(..count).unwrap_or(spans)) as u64 <= max;
    if fits(spans.len()) {
        return spans.len();
    }
    let (mut fitting, mut too_many) = (0, spans.len());
    while too_many - fitting > 1 {
        let middle = usize::midpoint(fitting, too_many);
        if fits(middle) { fitting = middle } else { too_many = middle }
    }
    fitting
}

#[cfg(test)]
mod tests;
