use std::sync::Arc;

use vivace_base::MemoryBudget;
use vivace_model::{TenantId, TimeRange, Trace, TraceId};

use crate::{
    QueryError, SearchRequest, SearchResponse, TagNames, TagNamesRequest, TagValues, TagValuesRequest,
};

/// How queries run.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// At most this many queries run at once; others wait.
    pub max_concurrent: usize,
}

/// Answers questions over the live head and the blocks of a tenant.
#[derive(Debug)]
pub struct QueryEngine {
    _budget: Arc<MemoryBudget>,
}

impl QueryEngine {
    /// The newest traces that match.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn search(
        &self,
        _tenant: &TenantId,
        _request: &SearchRequest,
    ) -> Result<SearchResponse, QueryError> {
        Err(QueryError::Execution("not built".to_owned()))
    }

    /// All spans of a trace; [`None`] when there are none.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn trace(
        &self,
        _tenant: &TenantId,
        _id: TraceId,
        _range: TimeRange,
    ) -> Result<Option<Trace>, QueryError> {
        Err(QueryError::Execution("not built".to_owned()))
    }

    /// The names of attributes.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn tag_names(
        &self,
        _tenant: &TenantId,
        _request: &TagNamesRequest,
    ) -> Result<TagNames, QueryError> {
        Err(QueryError::Execution("not built".to_owned()))
    }

    /// The values of an attribute.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub async fn tag_values(
        &self,
        _tenant: &TenantId,
        _request: &TagValuesRequest,
    ) -> Result<TagValues, QueryError> {
        Err(QueryError::Execution("not built".to_owned()))
    }
}
