//! `quarantine.<model>`: the rows a model withholds, with their raw text and every rule they broke. A row keeps its state and
//! its first appearance from run to run; one that no longer breaks a rule is released.
//!
//! The table is read, changed and written as a whole, by runs and by people's decisions, in several processes at once. Each write is
//! therefore bound to the version that was read (`Follows`); if another was first, all of it is done again on what that one left.
//!
//! What a run says of rows that it did not withhold depends on what it read and how it ended:
//!
//! - One that read everything releases open rows that it did not withhold, of those that were there when it began.
//! - One that read only what is new of its input says nothing about the others.
//! - One whose gate failed wrote no table, so it takes nothing back: it adds rows that nobody withheld before, open as all others, for people
//!   to see and correct. Its run is noted in the ledger (`refused:<run>`), and the next run that goes through has read the same rows: it
//!   makes them its own or releases them.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use datafusion::{
    catalog::{MemTable, MemoryCatalogProviderList, TableProvider},
    datasource::empty::EmptyTable,
    error::DataFusionError,
    execution::{SendableRecordBatchStream, SessionStateBuilder},
    physical_plan::stream::RecordBatchStreamAdapter,
    prelude::SessionContext,
};
use futures::TryStreamExt;
use wardlake_core::{LedgerEntry, TableName};
use wardlake_engine::{Session, sql::literal};
use wardlake_load::Workspace;
use wardlake_storage::{Commit, Follows, StorageError, TableSnapshot};

use super::{Audited, place::source_of, received, withheld::schema};
use crate::error::BuildError;

pub(crate) use wardlake_records::quarantine::{SCHEMA, table_of};

/// Tries against other writers of the table.
const TRIES: u32 = 20;
/// Begins the ledger's name of a run whose gate failed.
const REFUSED: &str = "refused:";

/// Lays what a run withheld over what was withheld before. Returns how many rows are open now.
pub(super) async fn record(
    workspace: &Workspace,
    session: &Session,
    model: &Audited<'_>,
    mut found: Vec<RecordBatch>,
) -> Result<u64, BuildError> {
    let name = table_of(model.name)?;
    let mut tries = Tries::default();
    loop {
        let snapshot = workspace.lake.snapshot(&name, None).await?;
        if found.is_empty() && snapshot.is_none() {
            return Ok(0);
        }
        let known = Known::open(session, name.clone(), snapshot).await?;
        known.lay_over(&found)?;
        let meeting = known.meeting(workspace, model).await?;
        let (changed, open) = known.count_changes(&meeting).await?;
        if changed == 0 {
            return Ok(open);
        }
        if tries.is_first()
            && let Some(bronze) = bronze(workspace, model, &known.context).await?
        {
            let with_raw = known.ids_with_raw().await?;
            received::fill(&known.context, bronze, &mut found, &with_raw).await?;
            known.lay_over(&found)?;
        }
        let refused = model.is_refused.then(|| LedgerEntry::new(format!("{REFUSED}{}", model.run.run_id), 1));
        match known.replace(workspace, &known.merged(&meeting), refused.into_iter().collect()).await {
            Ok(()) => return Ok(open),
            Err(error) => tries.again(workspace, &known, error).await?,
        }
    }
}

/// Tries to write a table that others write as well.
#[derive(Default)]
struct Tries(u32);

impl Tries {
    fn is_first(&self) -> bool {
        self.0 == 0
    }

    /// Whether a write that failed is to be made anew on the table's newest version; its error, if not.
    async fn again(&mut self, workspace: &Workspace, known: &Known, error: BuildError) -> Result<(), BuildError> {
        self.0 += 1;
        let was_outrun = matches!(error, BuildError::Storage(StorageError::Conflict { .. }))
            && workspace.lake.newest_version(&known.name).await? != known.version();
        match was_outrun {
            false => Err(error),
            true if self.0 < TRIES => Ok(()),
            true => Err(StorageError::Conflict { table: known.name.to_string(), attempts: self.0 }.into()),
        }
    }
}

/// The newest state of the table a model's rows came from, where that is a source's.
async fn bronze(
    workspace: &Workspace,
    model: &Audited<'_>,
    context: &SessionContext,
) -> Result<Option<Arc<dyn TableProvider>>, BuildError> {
    let source = source_of(&workspace.project, model.node);
    let Some(name) = source.and_then(|source| source.relation.table_name()) else { return Ok(None) };
    let Some(snapshot) = workspace.lake.snapshot(&name, None).await? else { return Ok(None) };
    Ok(Some(snapshot.provider(&context.state()).await?))
}

/// Gives rows another state, those that have one of the states `from`. Returns how many.
pub async fn set_state(
    workspace: &Workspace,
    session: &Session,
    name: &TableName,
    ids: &[&str],
    from: &[&str],
    to: &str,
) -> Result<u64, BuildError> {
    let ids = RecordBatch::try_from_iter([("id", Arc::new(StringArray::from(ids.to_vec())) as ArrayRef)])?;
    let from: Vec<String> = from.iter().map(|state| literal(state)).collect();
    let changes = format!("chosen.id is not null and known.state in ({})", from.join(", "));
    let state = format!("case when {changes} then {} else known.state end", literal(to));
    let joined = "known left join (select distinct id from chosen) as chosen on known.quarantine_id = chosen.id";
    let rows = format!(
        "select {} from {joined}",
        columns(|name| if name == "state" { state.clone() } else { format!("known.{name}") })
    );
    let count = format!("select count(*) from {joined} where {changes} and known.state <> {}", literal(to));
    let mut tries = Tries::default();
    loop {
        let known = Known::open(session, name.clone(), workspace.lake.snapshot(name, None).await?).await?;
        known.context.register_batch("chosen", ids.clone())?;
        let [changed] = known.counts(&count).await?;
        if changed == 0 {
            return Ok(0);
        }
        match known.replace(workspace, &rows, Vec::new()).await {
            Ok(()) => return Ok(changed),
            Err(error) => tries.again(workspace, &known, error).await?,
        }
    }
}

/// Every column of the table as an expression.
fn columns(of: impl Fn(&str) -> String) -> String {
    let fields = schema();
    let columns = fields.fields().iter().map(|field| format!("{} as {}", of(field.name()), field.name()));
    columns.collect::<Vec<String>>().join(", ")
}

/// How the rows of a run meet those that are known: conditions on a row of both.
struct Meeting {
    /// Rows of before and of now side by side.
    both: String,
    /// The run's row counts.
    taken: String,
    /// The known row is not withheld any more.
    released: String,
    /// Nobody withheld the known row but runs whose gate failed.
    was_refused: String,
}

impl Meeting {
    fn state(&self) -> String {
        // A person's word about a row stands while the row does.
        let taken = "case when known.state is null or known.state = 'released' then found.state else known.state end";
        let Self { taken: is_taken, released, .. } = self;
        format!("case when {is_taken} then {taken} when {released} then 'released' else known.state end")
    }
}

/// A quarantine as it stands (`known`), in a session in which rows can be laid over it.
struct Known {
    context: SessionContext,
    name: TableName,
    snapshot: Option<TableSnapshot>,
    /// Its columns as a scan yields them.
    schema: SchemaRef,
}

impl Known {
    async fn open(session: &Session, name: TableName, snapshot: Option<TableSnapshot>) -> Result<Self, BuildError> {
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
        let provider: Arc<dyn TableProvider> = match &snapshot {
            Some(snapshot) => snapshot.provider(&context.state()).await?,
            None => Arc::new(EmptyTable::new(schema())),
        };
        let schema = provider.schema();
        context.register_table("known", provider)?;
        Ok(Self { context, name, snapshot, schema })
    }

    fn version(&self) -> Option<u64> {
        self.snapshot.as_ref().map(TableSnapshot::version)
    }

    /// How the rows of a run that are laid over meet the known ones.
    async fn meeting(&self, workspace: &Workspace, model: &Audited<'_>) -> Result<Meeting, BuildError> {
        let mut both = "from found full join known on found.quarantine_id = known.quarantine_id".to_owned();
        let never = || "false".to_owned();
        if model.is_refused {
            let is_news = "known.quarantine_id is null or known.state = 'released'";
            let taken = format!("found.quarantine_id is not null and ({is_news})");
            return Ok(Meeting { both, taken, released: never(), was_refused: never() });
        }
        let was_refused = self.was_refused().await?.unwrap_or_else(never);
        let gone = match (model.run.is_partial, model.run.quarantine) {
            (true, _) => was_refused.clone(),
            (false, None) => never(),
            (false, began) if began == self.version() => "true".to_owned(),
            (false, Some(began)) => match self.register_earlier(workspace, began).await? {
                true => {
                    both.push_str(
                        " left join earlier on known.quarantine_id = earlier.quarantine_id \
                         and known.last_run_id = earlier.last_run_id",
                    );
                    "earlier.quarantine_id is not null".to_owned()
                }
                // What was there when it began cannot be told any more: the next run releases.
                false => never(),
            },
        };
        Ok(Meeting {
            both,
            // What this very run withheld may be laid over twice.
            taken: "found.quarantine_id is not null and (known.last_run_id = found.last_run_id) is not true".to_owned(),
            released: format!("found.quarantine_id is null and known.state = 'open' and {gone}"),
            was_refused,
        })
    }

    /// The condition that nobody withheld a known row but runs whose gate failed; none if there is no such run.
    async fn was_refused(&self) -> Result<Option<String>, BuildError> {
        let Some(snapshot) = &self.snapshot else { return Ok(None) };
        let consumed = snapshot.consumed_all().await?;
        let runs: Vec<String> = consumed.keys().filter_map(|id| id.strip_prefix(REFUSED)).map(literal).collect();
        Ok((!runs.is_empty()).then(|| format!("known.last_run_id in ({})", runs.join(", "))))
    }

    /// Makes an earlier version readable as `earlier`; whether it can be.
    async fn register_earlier(&self, workspace: &Workspace, version: u64) -> Result<bool, BuildError> {
        let earlier = match workspace.lake.snapshot(&self.name, Some(version)).await {
            Ok(Some(earlier)) => earlier,
            Ok(None) | Err(StorageError::VersionNotFound { .. } | StorageError::FilesGone { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.context.register_table("earlier", earlier.provider(&self.context.state()).await?)?;
        Ok(true)
    }

    /// Makes rows readable as `found`, in the types of the table.
    fn lay_over(&self, rows: &[RecordBatch]) -> Result<(), BuildError> {
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
    fn merged(&self, meeting: &Meeting) -> String {
        if self.snapshot.is_none() {
            return "select * from found".to_owned();
        }
        let Meeting { both, taken, .. } = meeting;
        let column = |name: &str| match name {
            "state" => meeting.state(),
            "raw" | "first_seen_at" | "first_run_id" => format!("coalesce(known.{name}, found.{name})"),
            _ => format!("case when {taken} then found.{name} else known.{name} end"),
        };
        format!("select {} {both}", columns(column))
    }

    /// How many rows will not be as they were, and how many will be open.
    async fn count_changes(&self, meeting: &Meeting) -> Result<(u64, u64), BuildError> {
        let Meeting { both, taken, was_refused, .. } = meeting;
        let state = meeting.state();
        let sql = match self.snapshot {
            None => "select count(*) as changed, count(*) as open from found".to_owned(),
            Some(_) => format!(
                "select count(*) filter (where known.quarantine_id is null or ({state} is distinct from known.state) \
                 or ({taken} and ((found.rules is distinct from known.rules) or {was_refused}))) as changed, \
                 count(*) filter (where {state} = 'open') as open {both}"
            ),
        };
        let [changed, open] = self.counts(&sql).await?;
        Ok((changed, open))
    }

    /// The one row of a query that counts.
    async fn counts<const N: usize>(&self, sql: &str) -> Result<[u64; N], BuildError> {
        let counts = self.context.sql(sql).await?.collect().await?;
        let row = counts.iter().find(|batch| batch.num_rows() > 0);
        let count = |column: &ArrayRef| Some(column.as_primitive_opt::<Int64Type>()?.value(0).unsigned_abs());
        let counts: Option<Vec<u64>> = row.and_then(|row| row.columns().iter().map(count).collect());
        let counts: Option<[u64; N]> = counts.and_then(|counts| counts.try_into().ok());
        counts.ok_or_else(|| BuildError::NotCounted { what: format!("the rows of {}", self.name) })
    }

    /// Rows of before that have their raw text.
    async fn ids_with_raw(&self) -> Result<HashSet<String>, BuildError> {
        let mut ids = HashSet::new();
        if self.snapshot.is_none() {
            return Ok(ids);
        }
        let sql = "select quarantine_id from known where raw is not null";
        for batch in self.context.sql(sql).await?.collect().await? {
            let texts = cast(batch.column(0), &DataType::Utf8)?;
            ids.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok(ids)
    }

    /// Replaces the table by the rows of a query, unless another writer was there meanwhile.
    async fn replace(&self, workspace: &Workspace, sql: &str, ledger: Vec<LedgerEntry>) -> Result<(), BuildError> {
        let streams = self.context.sql(sql).await?.execute_stream_partitioned().await?;
        let conformed = streams.into_iter().map(|stream| {
            let own = schema();
            let rows = stream.and_then(move |batch| futures::future::ready(conform(&batch, &own)));
            Box::pin(RecordBatchStreamAdapter::new(schema(), rows)) as SendableRecordBatchStream
        });
        let mut metadata = serde_json::Map::new();
        metadata.insert("wardlake.run".to_owned(), workspace.run_id.clone().into());
        let follows = self.version().map_or(Follows::NoTable, Follows::Version);
        let commit = Commit { metadata, ledger, follows, ..Commit::default() };
        workspace.lake.overwrite(&self.name, conformed.collect(), commit).await?;
        Ok(())
    }
}

/// The same columns in the types of `schema`.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)?)
}
