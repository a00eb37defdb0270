//! Tables whose rows are in memory, and physical plans over them that can run again with other rows.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session as CatalogSession, TableProvider},
    common::tree_node::{TreeNode, TreeNodeRecursion},
    error::DataFusionError,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableType},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        ReplaceChildrenOptions,
        execution_plan::{Boundedness, EmissionType, SchedulingType},
        memory::MemoryStream,
    },
};
use wardlake_core::TableName;
use wardlake_storage::{HeldRows, TableSnapshot, cast_batch};

/// Rows under a name.
#[derive(Debug, Clone)]
pub(crate) struct MemoryTable {
    name: TableName,
    schema: SchemaRef,
    rows: Vec<RecordBatch>,
    /// They are few by nature: only such tables are held.
    is_held: bool,
}

impl MemoryTable {
    pub(crate) fn new(name: TableName, schema: SchemaRef, rows: Vec<RecordBatch>) -> Self {
        Self { name, schema, rows, is_held: false }
    }

    /// Rows of a table of the lake that are held.
    pub(crate) fn held(name: TableName, of: &TableSnapshot, rows: Vec<RecordBatch>) -> Self {
        Self { name, schema: HeldRows::schema(of), rows, is_held: true }
    }

    /// A table of this kind, if it is one.
    pub(crate) fn of(provider: &dyn TableProvider) -> Option<&Self> {
        provider.downcast_ref::<Self>()
    }
}

#[async_trait]
impl TableProvider for MemoryTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let rows = Arc::new(Mutex::new(self.rows.clone()));
        let projected = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(projected),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Arc::new(MemoryExec {
            name: self.name.clone(),
            schema: Arc::clone(&self.schema),
            projection: projection.cloned(),
            rows,
            is_held: self.is_held,
            properties: Arc::new(properties),
        }))
    }
}

/// Reads the rows of a [`MemoryTable`]. Nothing of the plan around it depends on how many they are: they can be exchanged.
#[derive(Debug, Clone)]
pub(crate) struct MemoryExec {
    name: TableName,
    /// The table's columns, of which it gives those of `projection`.
    schema: SchemaRef,
    projection: Option<Vec<usize>>,
    rows: Arc<Mutex<Vec<RecordBatch>>>,
    is_held: bool,
    properties: Arc<PlanProperties>,
}

impl MemoryExec {
    /// The scans of a plan.
    pub(crate) fn within(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<Self>, DataFusionError> {
        let mut found = Vec::new();
        plan.apply(|node| {
            found.extend(node.downcast_ref::<Self>().cloned());
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    }

    pub(crate) fn table(&self) -> &TableName {
        &self.name
    }

    /// Whether its rows are few, whichever they are.
    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    pub(crate) fn fits(&self, table: &MemoryTable) -> bool {
        table.schema == self.schema
    }

    /// From the next run on it reads these rows.
    pub(crate) fn exchange(&self, table: &MemoryTable) {
        self.put(table.rows.clone());
    }

    /// Lets go of its rows.
    pub(crate) fn clear(&self) {
        self.put(Vec::new());
    }

    fn put(&self, rows: Vec<RecordBatch>) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }
}

impl DisplayAs for MemoryExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryExec: {}", self.name)
    }
}

impl ExecutionPlan for MemoryExec {
    fn name(&self) -> &'static str {
        "MemoryExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream, DataFusionError> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Box::pin(MemoryStream::try_new(rows, self.schema(), self.projection.clone())?))
    }
}

/// Batches with exactly this schema: what comes out of a plan may differ from what it says in what is nullable, and in kinds of text.
pub(crate) fn conform(rows: Vec<RecordBatch>, schema: &SchemaRef) -> Result<Vec<RecordBatch>, DataFusionError> {
    let conform = |batch: RecordBatch| match RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec()) {
        Ok(batch) => Ok(batch),
        Err(_) => cast_batch(&batch, schema).map_err(|error| DataFusionError::External(Box::new(error))),
    };
    rows.into_iter().filter(|batch| batch.num_rows() > 0).map(conform).collect()
}
