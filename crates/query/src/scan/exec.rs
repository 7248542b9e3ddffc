use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use vivace_model::schema;
use vivace_storage::ColumnError;
use vivace_storage::columns::column;

use super::SpanTable;
use crate::eval::columnar;

/// Reads the pieces of a source, spread over partitions, and evaluates the filters batch by batch.
#[derive(Debug)]
pub(super) struct SpanScanExec {
    table: SpanTable,
    projection: Option<Vec<usize>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl SpanScanExec {
    pub(super) fn new(table: SpanTable, projection: Option<Vec<usize>>, partitions: usize) -> Result<Self> {
        let schema = match &projection {
            Some(indices) => Arc::new(table.schema().project(indices)?),
            None => table.schema(),
        };
        let partitions = partitions.min(table.source.pieces().len()).max(1);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self { table, projection, schema, properties: Arc::new(properties) })
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }
}

impl DisplayAs for SpanScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let (pieces, filters) = (self.table.source.pieces().len(), self.table.filters.len());
        write!(f, "SpanScanExec: pieces={pieces}, filters={filters}")
    }
}

impl ExecutionPlan for SpanScanExec {
    fn name(&self) -> &str {
        "SpanScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let pieces = (partition..self.table.source.pieces().len()).step_by(self.partitions());
        let (table, projection) = (self.table.clone(), self.projection.clone());
        let batches = stream::iter(pieces)
            .map(move |piece| {
                let (table, projection) = (table.clone(), projection.clone());
                let spans = table.source.read(piece, &table.projection, None).map_err(external)?;
                Ok::<_, DataFusionError>(spans.map(move |batch| {
                    let batch = batch.map_err(external)?;
                    let rows = rows(&table, piece, &batch).map_err(external)?;
                    Ok(match &projection {
                        Some(indices) => rows.project(indices)?,
                        None => rows,
                    })
                }))
            })
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches)))
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The table's rows for a batch of spans.
fn rows(table: &SpanTable, piece: usize, batch: &RecordBatch) -> Result<RecordBatch, ColumnError> {
    let trace_ids = batch.column_by_name(schema::TRACE_ID);
    let starts: &UInt64Array = column(batch, schema::START)?;
    let durations: &Int64Array = column(batch, schema::DURATION)?;
    let end = |(start, duration): (&u64, &i64)| columnar::end(*start, *duration).max(*start);
    let ends: UInt64Array =
        starts.values().iter().zip(durations.values()).map(end).collect::<Vec<_>>().into();
    let piece = u32::try_from(piece).unwrap_or(u32::MAX);
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::clone(trace_ids.ok_or_else(|| ColumnError::missing(schema::TRACE_ID))?),
        Arc::new(starts.clone()),
        Arc::new(ends),
        Arc::new(UInt32Array::from(vec![piece; batch.num_rows()])),
    ];
    for filter in table.filters.iter() {
        arrays.push(Arc::new(columnar::holds(filter, batch)?));
    }
    RecordBatch::try_new(table.schema(), arrays).map_err(|error| {
        tracing::error!(%error, "a batch of spans does not fit its table");
        ColumnError::missing("spans")
    })
}
