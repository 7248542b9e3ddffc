use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use vivace_model::TraceId;
use vivace_query::trace::DiffFormat;
use vivace_traceql::parse_validated;

use super::Mcp;
use super::arguments::Arguments;
use super::docs;
use super::tools::Call;
use crate::api::accept::Format;
use crate::api::diff::{DiffRequest, Side, compare};
use crate::api::error::{ApiError, backend, mark_partial};
use crate::api::json;
use crate::api::traces::{answer, find_within};
use crate::ask::{
    Answer, InstantQuestion, MetricsQuestion, SearchQuestion, TagNamesQuestion, TagValuesQuestion,
};
use crate::config::Limits;

const NANOS: u64 = 1_000_000_000;

impl Mcp {
    /// What HTTP would answer.
    pub(super) async fn call(&self, call: Call, arguments: &Arguments) -> Result<Response, ApiError> {
        match call {
            Call::Search => self.search(arguments).await,
            Call::MetricsInstant => self.metrics_instant(arguments).await,
            Call::MetricsRange => self.metrics_range(arguments).await,
            Call::Trace => self.trace(arguments).await,
            Call::TraceDiff => self.trace_diff(arguments).await,
            Call::AttributeNames => self.attribute_names(arguments).await,
            Call::AttributeValues => self.attribute_values(arguments).await,
            Call::Docs(topic) => docs_page(topic, &arguments.text("name")),
        }
    }

    fn limits(&self) -> Arc<Limits> {
        self.app.limits.of_all(&self.tenants)
    }

    async fn search(&self, arguments: &Arguments) -> Result<Response, ApiError> {
        let now = self.app.clock.now();
        let query = arguments.text("query");
        if parse_validated(&query).is_ok_and(|query| query.metrics.is_some()) {
            return Err(ApiError::bad(
                "this is a metrics query: ask traceql-metrics-instant or traceql-metrics-range",
            ));
        }
        let question = SearchQuestion { query, when: arguments.when(now)?, ..SearchQuestion::default() };
        let request = question.request(&self.limits(), now)?;
        let found = backend(&self.app)?.search(&self.tenants, &request, &mut |_| {}).await?;
        let partial = found.partial.clone();
        Ok(marked(json::search(found), partial))
    }

    async fn metrics_instant(&self, arguments: &Arguments) -> Result<Response, ApiError> {
        let now = self.app.clock.now();
        let (query, when) = (arguments.text("query"), arguments.when(now)?);
        let request = InstantQuestion { query, when, max_series: 0 }.request(&self.limits(), now)?;
        let found = backend(&self.app)?.metrics(&self.tenants, &request, &mut |_| {}).await?;
        let partial = found.partial.clone();
        Ok(marked(json::metrics_instant(found), partial))
    }

    async fn metrics_range(&self, arguments: &Arguments) -> Result<Response, ApiError> {
        let now = self.app.clock.now();
        let (query, when) = (arguments.text("query"), arguments.when(now)?);
        let question = MetricsQuestion { query, when, ..MetricsQuestion::default() };
        let request = question.request(&self.limits(), now)?;
        let found = backend(&self.app)?.metrics(&self.tenants, &request, &mut |_| {}).await?;
        let partial = found.partial.clone();
        Ok(marked(json::metrics_range(found), partial))
    }

    async fn trace(&self, arguments: &Arguments) -> Result<Response, ApiError> {
        let id = arguments.text("trace_id").parse::<TraceId>();
        let id = id.map_err(|error| ApiError::bad(format!("invalid trace_id: {error}")))?;
        let (found, _) = find_within(&self.app, &self.tenants, id).await?;
        if found.trace.is_none() {
            return Err(ApiError::with_status(StatusCode::NOT_FOUND, format!("there is no trace {id}")));
        }
        Ok(answer(&self.app, &self.tenants, found, Vec::new(), Format::Llm))
    }

    async fn trace_diff(&self, arguments: &Arguments) -> Result<Response, ApiError> {
        let side = |id, start, end| -> Result<Side, ApiError> {
            let trace_id = arguments.text(id);
            Ok(Side { trace_id, start: seconds(arguments, start)?, end: seconds(arguments, end)? })
        };
        let request = DiffRequest {
            base: side("base_trace_id", "base_start", "base_end")?,
            compare: side("compare_trace_id", "compare_start", "compare_end")?,
            format: arguments.get("format").unwrap_or(DiffFormat::Composed.name()).to_owned(),
        };
        Ok(compare(&self.app, &self.tenants, &request).await?.into_response())
    }

    async fn attribute_names(&self, arguments: &Arguments) -> Result<Response, ApiError> {
        let question = TagNamesQuestion { scope: arguments.text("scope"), ..TagNamesQuestion::default() };
        let found = match question.request(self.app.clock.now())? {
            Answer::Known(names) => names,
            Answer::Ask(request) => {
                backend(&self.app)?.tag_names(&self.tenants, &request, &mut |_| {}).await?
            }
        };
        Ok(marked(json::tag_names_v2(&found), found.partial))
    }

    async fn attribute_values(&self, arguments: &Arguments) -> Result<Response, ApiError> {
        let (name, query) = (arguments.text("name"), arguments.text("filter-query"));
        let question = TagValuesQuestion { name, query, ..TagValuesQuestion::default() };
        let request = question.request_v2(self.app.clock.now())?;
        let found = backend(&self.app)?.tag_values(&self.tenants, &request, &mut |_| {}).await?;
        Ok(marked(json::tag_values_llm(&found), found.partial))
    }
}

fn docs_page(topic: &str, name: &str) -> Result<Response, ApiError> {
    let page = docs::page(topic, name);
    let missing = || ApiError::bad(format!("no page `{name}`: there are {}", docs::names(topic)));
    Ok(page.ok_or_else(missing)?.text().into_response())
}

/// A time in Unix seconds.
fn seconds(arguments: &Arguments, name: &str) -> Result<Option<i64>, ApiError> {
    let time = arguments.time(name)?;
    Ok(time.and_then(|nanos| i64::try_from(nanos / NANOS).ok()))
}

fn marked(mut response: Response, partial: Option<String>) -> Response {
    mark_partial(&mut response, partial.as_deref());
    response
}
