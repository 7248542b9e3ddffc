//! The seven methods. Requests are checked, and their gaps filled, by the rules of the HTTP API.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use vivace_base::ErrorKind;
use vivace_model::{Tenants, TimeRange};
use vivace_query::{MetricsRequest, MetricsWindow, TagNamesRequest, TagValuesRequest};
use vivace_traceql::{parse_attribute, parse_validated};

use super::packets::Packet;
use super::stream::{Answers, Question, answers};
use super::tempopb::streaming_querier_server::StreamingQuerier;
use super::tempopb::{
    QueryInstantRequest, QueryInstantResponse, QueryRangeRequest, QueryRangeResponse, SearchRequest,
    SearchResponse, SearchTagValuesRequest, SearchTagValuesResponse, SearchTagValuesV2Response,
    SearchTagsRequest, SearchTagsResponse, SearchTagsV2Response,
};
use crate::otlp::Refusal;
use crate::state::App;
use crate::tenant;

/// Answers from the backend of `app`.
#[derive(Debug)]
pub(super) struct Querier {
    app: App,
}

type Reply<M> = Result<Response<Answers<M>>, Status>;

impl Querier {
    pub(super) fn new(app: &App) -> Self {
        Self { app: App::clone(app) }
    }

    fn tenants<T>(&self, request: &Request<T>) -> Result<Tenants, Status> {
        let asked = tenant::asked(request.metadata().as_ref(), self.app.config.multitenancy);
        Ok(asked.map_err(Refusal::from)?)
    }

    fn answer<M: Packet>(&self, tenants: Tenants, question: impl Question<Answer = M::Answer>) -> Reply<M> {
        let backend = Arc::clone(self.app.backend().ok_or_else(Refusal::starting)?);
        Ok(Response::new(answers(question, tenants, backend, Arc::clone(&self.app.clock))))
    }
}

fn bad(error: impl ToString) -> Status {
    Refusal::new(ErrorKind::InvalidInput, error.to_string()).into()
}

#[tonic::async_trait]
impl StreamingQuerier for Querier {
    type SearchStream = Answers<SearchResponse>;
    type SearchTagsStream = Answers<SearchTagsResponse>;
    type SearchTagsV2Stream = Answers<SearchTagsV2Response>;
    type SearchTagValuesStream = Answers<SearchTagValuesResponse>;
    type SearchTagValuesV2Stream = Answers<SearchTagValuesV2Response>;
    type MetricsQueryRangeStream = Answers<QueryRangeResponse>;
    type MetricsQueryInstantStream = Answers<QueryInstantResponse>;

    async fn search(&self, request: Request<SearchRequest>) -> Reply<SearchResponse> {
        let tenants = self.tenants(&request)?;
        let asked = request.into_inner();
        let text = if asked.query.is_empty() { "{ }" } else { &asked.query };
        let question = vivace_query::SearchRequest {
            query: parse_validated(text).map_err(bad)?,
            limit: 20,
            spans_per_span_set: 3,
            range: TimeRange::ALL,
            min_duration: None,
            max_duration: None,
        };
        self.answer(tenants, question)
    }

    async fn search_tags(&self, request: Request<SearchTagsRequest>) -> Reply<SearchTagsResponse> {
        let tenants = self.tenants(&request)?;
        self.answer(tenants, TagNamesRequest { scope: None, filter: None, range: TimeRange::ALL, limit: 0 })
    }

    async fn search_tags_v2(&self, request: Request<SearchTagsRequest>) -> Reply<SearchTagsV2Response> {
        let tenants = self.tenants(&request)?;
        self.answer(tenants, TagNamesRequest { scope: None, filter: None, range: TimeRange::ALL, limit: 0 })
    }

    async fn search_tag_values(
        &self,
        request: Request<SearchTagValuesRequest>,
    ) -> Reply<SearchTagValuesResponse> {
        let tenants = self.tenants(&request)?;
        let attribute = parse_attribute(&request.get_ref().tag_name).map_err(bad)?;
        self.answer(tenants, TagValuesRequest { attribute, filter: None, range: TimeRange::ALL, limit: 0 })
    }

    async fn search_tag_values_v2(
        &self,
        request: Request<SearchTagValuesRequest>,
    ) -> Reply<SearchTagValuesV2Response> {
        let tenants = self.tenants(&request)?;
        let attribute = parse_attribute(&request.get_ref().tag_name).map_err(bad)?;
        self.answer(tenants, TagValuesRequest { attribute, filter: None, range: TimeRange::ALL, limit: 0 })
    }

    async fn metrics_query_range(&self, request: Request<QueryRangeRequest>) -> Reply<QueryRangeResponse> {
        let tenants = self.tenants(&request)?;
        let asked = request.into_inner();
        let window = MetricsWindow::aligned(asked.start, asked.end, asked.step);
        let query = parse_validated(&asked.query).map_err(bad)?;
        self.answer(tenants, MetricsRequest { query, window, exemplars: 0, max_series: 0 })
    }

    async fn metrics_query_instant(
        &self,
        request: Request<QueryInstantRequest>,
    ) -> Reply<QueryInstantResponse> {
        let tenants = self.tenants(&request)?;
        let asked = request.into_inner();
        let window = MetricsWindow::Instant { start: asked.start, end: asked.end };
        let query = parse_validated(&asked.query).map_err(bad)?;
        self.answer(tenants, MetricsRequest { query, window, exemplars: 0, max_series: 0 })
    }
}
