//! The seven methods. Requests are checked, and their gaps filled, as those over HTTP.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};
use vivace_base::UnixNanos;
use vivace_model::Tenants;

use super::packets::Packet;
use super::stream::{Answers, NamesV1, Question, answers};
use super::tempopb::streaming_querier_server::StreamingQuerier;
use super::tempopb::{
    QueryInstantRequest, QueryInstantResponse, QueryRangeRequest, QueryRangeResponse, SearchRequest,
    SearchResponse, SearchTagValuesRequest, SearchTagValuesResponse, SearchTagValuesV2Response,
    SearchTagsRequest, SearchTagsResponse, SearchTagsV2Response,
};
use crate::ask::{
    InstantQuestion, InvalidQuestion, MetricsQuestion, SearchQuestion, TagNamesQuestion, TagValuesQuestion,
    When,
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

    /// Whose data it is about, what is asked, and when.
    fn open<T>(&self, request: Request<T>) -> Result<(Tenants, T, UnixNanos), Status> {
        let tenants = tenant::asked(request.metadata().as_ref(), self.app.config.multitenancy);
        Ok((tenants.map_err(Refusal::from)?, request.into_inner(), self.app.clock.now()))
    }

    fn answer<M: Packet>(
        &self,
        tenants: Tenants,
        question: Result<impl Question<Answer = M::Answer>, InvalidQuestion>,
    ) -> Reply<M> {
        let question = question.map_err(Refusal::from)?;
        let backend = Arc::clone(self.app.backend().ok_or_else(Refusal::starting)?);
        Ok(Response::new(answers(question, tenants, backend, Arc::clone(&self.app.clock))))
    }
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
        let (tenants, asked, now) = self.open(request)?;
        let limits = self.app.limits.of_all(&tenants);
        self.answer(tenants, search(asked).request(&limits, now))
    }

    async fn search_tags(&self, request: Request<SearchTagsRequest>) -> Reply<SearchTagsResponse> {
        let (tenants, asked, now) = self.open(request)?;
        let question = tag_names(asked);
        let hides_intrinsics = question.hides_intrinsics();
        self.answer(tenants, question.request(now).map(|names| NamesV1 { names, hides_intrinsics }))
    }

    async fn search_tags_v2(&self, request: Request<SearchTagsRequest>) -> Reply<SearchTagsV2Response> {
        let (tenants, asked, now) = self.open(request)?;
        self.answer(tenants, tag_names(asked).request(now))
    }

    async fn search_tag_values(
        &self,
        request: Request<SearchTagValuesRequest>,
    ) -> Reply<SearchTagValuesResponse> {
        let (tenants, asked, now) = self.open(request)?;
        self.answer(tenants, tag_values(asked).request_v1(now))
    }

    async fn search_tag_values_v2(
        &self,
        request: Request<SearchTagValuesRequest>,
    ) -> Reply<SearchTagValuesV2Response> {
        let (tenants, asked, now) = self.open(request)?;
        self.answer(tenants, tag_values(asked).request_v2(now))
    }

    async fn metrics_query_range(&self, request: Request<QueryRangeRequest>) -> Reply<QueryRangeResponse> {
        let (tenants, asked, now) = self.open(request)?;
        let limits = self.app.limits.of_all(&tenants);
        self.answer(tenants, range(asked).request(&limits, now))
    }

    async fn metrics_query_instant(
        &self,
        request: Request<QueryInstantRequest>,
    ) -> Reply<QueryInstantResponse> {
        let (tenants, asked, now) = self.open(request)?;
        let limits = self.app.limits.of_all(&tenants);
        self.answer(tenants, instant(asked).request(&limits, now))
    }
}

/// Zero is how protobuf says that nothing is said.
fn given<N: Default + PartialEq>(number: N) -> Option<N> {
    (number != N::default()).then_some(number)
}

fn search(asked: SearchRequest) -> SearchQuestion {
    let millis = |millis: u32| given(millis).map(|millis| Duration::from_millis(millis.into()));
    SearchQuestion {
        query: asked.query,
        tags: asked.tags.into_iter().collect(),
        min_duration: millis(asked.min_duration_ms),
        max_duration: millis(asked.max_duration_ms),
        limit: given(asked.limit),
        spans_per_span_set: given(asked.spans_per_span_set),
        when: When::from_seconds(asked.start, asked.end),
    }
}

fn tag_names(asked: SearchTagsRequest) -> TagNamesQuestion {
    TagNamesQuestion {
        scope: asked.scope,
        query: asked.query,
        when: When::from_seconds(asked.start, asked.end),
        limit: asked.max_tags_per_scope,
    }
}

fn tag_values(asked: SearchTagValuesRequest) -> TagValuesQuestion {
    TagValuesQuestion {
        name: asked.tag_name,
        query: asked.query,
        when: When::from_seconds(asked.start, asked.end),
        limit: asked.max_tag_values,
    }
}

fn range(asked: QueryRangeRequest) -> MetricsQuestion {
    MetricsQuestion {
        query: asked.query,
        when: When { start: given(asked.start), end: given(asked.end), since: None },
        step: given(asked.step),
        exemplars: given(asked.exemplars),
        max_series: asked.max_series,
    }
}

fn instant(asked: QueryInstantRequest) -> InstantQuestion {
    InstantQuestion {
        query: asked.query,
        when: When { start: given(asked.start), end: given(asked.end), since: None },
        max_series: 0,
    }
}

#[cfg(test)]
mod tests;
