use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use vivace_model::schema;
use vivace_storage::Projection;

use super::exec::SpanScanExec;
use crate::eval::{Filter, columnar};
use crate::source::Source;

/// The table's columns, beside one per filter.
pub(crate) mod columns {
    pub(crate) const TRACE_ID: &str = "trace_id";
    pub(crate) const START: &str = "start";
    /// Never before the start.
    pub(crate) const END: &str = "end";
    /// Which piece of the source the row is from.
    pub(crate) const PIECE: &str = "piece";
}

/// The column that says whether a filter holds.
pub(crate) fn match_column(filter: usize) -> String {
    format!("match_{filter}")
}

/// A tenant's spans, head and blocks alike, seen through a query's filters. Filters are evaluated inside the scan, on
/// each block's own columns, so that no other layer needs to know a block's layout.
#[derive(Debug, Clone)]
pub(crate) struct SpanTable {
    pub(crate) source: Arc<Source>,
    pub(crate) filters: Arc<Vec<Filter>>,
    pub(crate) projection: Projection,
    schema: SchemaRef,
}

impl SpanTable {
    pub(crate) fn new(source: Arc<Source>, filters: Arc<Vec<Filter>>) -> Self {
        let mut projection = Projection::default();
        projection.fixed.extend([schema::TRACE_ID, schema::START, schema::DURATION]);
        filters.iter().for_each(|filter| columnar::project(filter, &mut projection));
        let required = |name: &str, data_type| Field::new(name, data_type, false);
        let mut fields = vec![
            required(columns::TRACE_ID, DataType::FixedSizeBinary(16)),
            required(columns::START, DataType::UInt64),
            required(columns::END, DataType::UInt64),
            required(columns::PIECE, DataType::UInt32),
        ];
        fields.extend((0..filters.len()).map(|filter| required(&match_column(filter), DataType::Boolean)));
        Self { source, filters, projection, schema: Arc::new(Schema::new(fields)) }
    }
}

#[async_trait]
impl TableProvider for SpanTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = state.config().target_partitions();
        Ok(Arc::new(SpanScanExec::new(self.clone(), projection.cloned(), partitions)?))
    }
}
