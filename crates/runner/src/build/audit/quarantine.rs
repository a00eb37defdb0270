//! `quarantine.<model>`: the rows a model withholds, with their raw text and every rule they broke. A row keeps its state and
//! its first appearance from run to run; one that no longer breaks a rule is released.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use chrono::Utc;
use datafusion::{
    catalog::{MemTable, MemoryCatalogProviderList, TableProvider},
    datasource::empty::EmptyTable,
    error::DataFusionError,
    execution::{SendableRecordBatchStream, SessionStateBuilder},
    physical_plan::stream::RecordBatchStreamAdapter,
    prelude::SessionContext,
};
use futures::TryStreamExt;
use wardlake_core::TableName;
use wardlake_engine::Session;
use wardlake_project::audit::RelationCall;
use wardlake_storage::TableSnapshot;

use super::{
    Audited, received,
    withheld::{self, Run, schema},
};
use crate::{RunnerError, Workspace, adapter::table_name, sql::literal, system};

/// The schema of tables of withheld rows.
pub(crate) const SCHEMA: &str = "quarantine";

/// The table of a model's withheld rows.
pub(crate) fn table_of(model: &TableName) -> Result<TableName, RunnerError> {
    Ok(TableName::new(SCHEMA, model.name())?)
}

/// Lays what a run withheld over what was withheld before. Returns how many rows are open now.
pub(super) async fn record(
    workspace: &Workspace,
    session: &Session,
    model: &Audited<'_>,
    withheld: &[RecordBatch],
) -> Result<u64, RunnerError> {
    let name = table_of(model.name)?;
    let snapshot = workspace.lake.snapshot(&name, None).await?;
    if withheld.is_empty() && snapshot.is_none() {
        return Ok(0);
    }
    let known = Known::open(session, name, snapshot).await?;
    let run = Run { id: &workspace.run_id, at_us: Utc::now().timestamp_micros() };
    let mut found = withheld::rows(model.ledger, withheld, run)?;
    known.lay_over(&found)?;
    let (changed, open) = known.count_changes(model.is_partial).await?;
    if changed > 0 {
        if let Some(bronze) = bronze(workspace, model, &known.context).await? {
            let with_raw = known.ids_with_raw().await?;
            received::fill(&known.context, bronze, &mut found, &with_raw).await?;
            known.lay_over(&found)?;
        }
        known.replace(workspace, &known.merged(model.is_partial)).await?;
    }
    Ok(open)
}

/// The newest state of the table a model's rows came from, where that is a source.
async fn bronze(
    workspace: &Workspace,
    model: &Audited<'_>,
    context: &SessionContext,
) -> Result<Option<Arc<dyn TableProvider>>, RunnerError> {
    let Some(input @ RelationCall::Source(_)) = &model.ledger.audit().input else { return Ok(None) };
    let relation = workspace.project.find(&model.node.package, input).map(|(_, relation)| relation);
    let Some(name) = relation.and_then(table_name) else { return Ok(None) };
    let Some(snapshot) = workspace.lake.snapshot(&name, None).await? else { return Ok(None) };
    Ok(Some(snapshot.provider(&context.state()).await?))
}

/// Gives rows another state.
pub(crate) async fn set_state(
    workspace: &Workspace,
    session: &Session,
    name: &TableName,
    ids: &[&str],
    state: &str,
) -> Result<(), RunnerError> {
    let known = Known::open(session, name.clone(), workspace.lake.snapshot(name, None).await?).await?;
    let ids = RecordBatch::try_from_iter([("id", Arc::new(StringArray::from(ids.to_vec())) as ArrayRef)])?;
    known.context.register_batch("chosen", ids)?;
    let state = format!("case when chosen.id is not null then {} else known.state end", literal(state));
    let rows = format!(
        "select {} from known left join (select distinct id from chosen) as chosen on known.quarantine_id = chosen.id",
        columns(|name| if name == "state" { state.clone() } else { format!("known.{name}") })
    );
    known.replace(workspace, &rows).await
}

/// Every column of the table as an expression.
fn columns(of: impl Fn(&str) -> String) -> String {
    let fields = schema();
    let columns = fields.fields().iter().map(|field| format!("{} as {}", of(field.name()), field.name()));
    columns.collect::<Vec<String>>().join(", ")
}

/// Rows of before and of now side by side.
const BOTH: &str = "from found full join known on found.quarantine_id = known.quarantine_id";

/// The state of a row in `BOTH`. `is_partial`: a run over new rows alone says nothing about the others.
fn state(is_partial: bool) -> String {
    let gone =
        if is_partial { "known.state" } else { "case known.state when 'open' then 'released' else known.state end" };
    // A person's word about a row stands while the row does.
    format!(
        "case when found.quarantine_id is null then {gone} \
         when known.state is null or known.state = 'released' then found.state else known.state end"
    )
}

/// A quarantine as it stands (`known`), in a session in which rows can be laid over it.
struct Known {
    context: SessionContext,
    name: TableName,
    exists: bool,
    /// Its columns as a scan yields them.
    schema: SchemaRef,
}

impl Known {
    async fn open(session: &Session, name: TableName, snapshot: Option<TableSnapshot>) -> Result<Self, RunnerError> {
        let mut config = session
            .context()
            .copied_config()
            .with_default_catalog_and_schema("run", SCHEMA)
            .with_create_default_catalog_and_schema(true);
        // Of bronze only those rows are unpacked that are looked for.
        config.options_mut().execution.parquet.pushdown_filters = true;
        let state = SessionStateBuilder::new_from_existing(session.context().state())
            .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()))
            .with_config(config)
            .build();
        let context = SessionContext::new_with_state(state);
        let exists = snapshot.is_some();
        let provider: Arc<dyn TableProvider> = match snapshot {
            Some(snapshot) => snapshot.provider(&context.state()).await?,
            None => Arc::new(EmptyTable::new(schema())),
        };
        let schema = provider.schema();
        context.register_table("known", provider)?;
        Ok(Self { context, name, exists, schema })
    }

    /// Makes rows readable as `found`, in the types of the table.
    fn lay_over(&self, rows: &[RecordBatch]) -> Result<(), RunnerError> {
        let own = schema();
        let typed = |field: &Arc<Field>| match self.schema.field_with_name(field.name()) {
            Ok(known) => Arc::new(field.as_ref().clone().with_data_type(known.data_type().clone())),
            Err(_) => Arc::clone(field),
        };
        let schema = Arc::new(Schema::new(own.fields().iter().map(typed).collect::<Vec<_>>()));
        let rows = rows.iter().map(|batch| conform(batch, &schema)).collect::<Result<Vec<_>, _>>()?;
        // Two halves, so that two threads read them.
        let (first, second) = rows.split_at(rows.len() / 2);
        let partitions = vec![first.to_vec(), second.to_vec()];
        self.context.deregister_table("found")?;
        self.context.register_table("found", Arc::new(MemTable::try_new(schema, partitions)?))?;
        Ok(())
    }

    /// Rows of before and of now as one table.
    fn merged(&self, is_partial: bool) -> String {
        if !self.exists {
            return "select * from found".to_owned();
        }
        let column = |name: &str| match name {
            "state" => state(is_partial),
            "raw" | "first_seen_at" | "first_run_id" => format!("coalesce(known.{name}, found.{name})"),
            _ => format!("case when found.quarantine_id is null then known.{name} else found.{name} end"),
        };
        format!("select {} {BOTH}", columns(column))
    }

    /// How many rows will not be as they were, and how many will be open.
    async fn count_changes(&self, is_partial: bool) -> Result<(u64, u64), RunnerError> {
        if !self.exists {
            return self.two_counts("select count(*) as changed, count(*) as open from found").await;
        }
        let state = state(is_partial);
        let sql = format!(
            "select count(*) filter (where known.quarantine_id is null or ({state} is distinct from known.state) \
             or (found.quarantine_id is not null and (found.rules is distinct from known.rules))) as changed, \
             count(*) filter (where {state} = 'open') as open {BOTH}"
        );
        self.two_counts(&sql).await
    }

    async fn two_counts(&self, sql: &str) -> Result<(u64, u64), RunnerError> {
        let counts = self.context.sql(sql).await?.collect().await?;
        let count = |index: usize| {
            let column = counts.first().and_then(|batch| batch.column(index).as_primitive_opt::<Int64Type>());
            column.map_or(0, |counts| counts.value(0).max(0) as u64)
        };
        Ok((count(0), count(1)))
    }

    /// Rows of before that have their raw text.
    async fn ids_with_raw(&self) -> Result<HashSet<String>, RunnerError> {
        let mut ids = HashSet::new();
        if !self.exists {
            return Ok(ids);
        }
        let sql = "select quarantine_id from known where raw is not null";
        for batch in self.context.sql(sql).await?.collect().await? {
            let texts = cast(batch.column(0), &DataType::Utf8)?;
            ids.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok(ids)
    }

    /// Replaces the table by the rows of a query.
    async fn replace(&self, workspace: &Workspace, sql: &str) -> Result<(), RunnerError> {
        let streams = self.context.sql(sql).await?.execute_stream_partitioned().await?;
        let conformed = streams.into_iter().map(|stream| {
            let own = schema();
            let rows = stream.and_then(move |batch| futures::future::ready(conform(&batch, &own)));
            Box::pin(RecordBatchStreamAdapter::new(schema(), rows)) as SendableRecordBatchStream
        });
        system::replace(&workspace.lake, &self.name, conformed.collect(), &workspace.run_id).await
    }
}

/// The same columns in the types of `schema`.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)?)
}
