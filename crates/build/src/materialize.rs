//! How a model's rows reach the lake: view, table, incremental, snapshot. Each is one atomic commit; a failure leaves the
//! old table in place.

use std::sync::{Arc, PoisonError};

use datafusion::execution::SendableRecordBatchStream;
use wardlake_core::{LedgerEntry, TableName};
use wardlake_project::{CheckCols, Compiled, HardDeletes, IncrementalStrategy, Node, ResourceType};
use wardlake_records::NodeResult;
use wardlake_storage::{
    Commit, CommitOutcome, DeleteInsertSpec, Follows, HardDeletes as ScdDeletes, MergeSpec, Scd2Columns, Scd2Spec,
    Scd2Strategy, SchemaChange, View,
};

use crate::{
    audit::{self, AuditedRows, Fate},
    compile::is_table,
    consume::Consumed,
    context::BuildContext,
    error::BuildError,
};

/// What a node left in the lake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) rows: Option<u64>,
    pub(crate) version: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) message: Option<String>,
}

impl From<CommitOutcome> for Written {
    fn from(outcome: CommitOutcome) -> Self {
        match outcome {
            CommitOutcome::Committed { version, rows, bytes } => {
                Self { rows: Some(rows), version: Some(version), bytes: Some(bytes), message: None }
            }
            CommitOutcome::AlreadyApplied { version } => Self { version: Some(version), ..Self::default() },
        }
    }
}

/// dbt's `is_incremental()`: the target is a table that exists, the model is incremental, no full refresh is asked.
pub(crate) async fn is_incremental(context: &BuildContext, node: &Node, name: &TableName) -> Result<bool, BuildError> {
    let full_refresh = node.config.full_refresh.unwrap_or(context.options.full_refresh);
    Ok(node.config.materialized == "incremental" && !full_refresh && is_table(&context.workspace.lake, name).await?)
}

/// The strategy of an incremental model. As in dbt, one that goes by a key and has none only adds rows.
fn strategy(node: &Node) -> IncrementalStrategy {
    match node.config.incremental_strategy {
        Some(IncrementalStrategy::InsertOverwrite) => IncrementalStrategy::InsertOverwrite,
        _ if node.config.unique_key.is_empty() => IncrementalStrategy::Append,
        Some(strategy) => strategy,
        None => IncrementalStrategy::Merge,
    }
}

/// Whether an increment only adds rows.
fn appends(node: &Node) -> bool {
    strategy(node) == IncrementalStrategy::Append
}

/// Whether a run brought anything to those who read the model: one that only appends may have had nothing to append.
pub(crate) fn moves(node: &Node, result: &NodeResult) -> bool {
    let had_nothing = node.config.materialized == "incremental" && appends(node) && result.rows == Some(0);
    !(result.is_reused || had_nothing)
}

/// One model or snapshot about to be written.
pub(crate) struct ModelJob<'a> {
    pub(crate) node: &'a Node,
    /// The table it writes.
    pub(crate) name: &'a TableName,
    pub(crate) compiled: &'a Compiled,
    /// Whether there was no table when it began.
    pub(crate) is_first: bool,
    /// Whether it adds to the table that is there.
    pub(crate) is_incremental: bool,
    pub(crate) consumed: Consumed,
}

/// Writes a model or snapshot.
pub(crate) async fn write(context: &Arc<BuildContext>, job: &ModelJob<'_>) -> Result<Written, BuildError> {
    let ModelJob { node, name, compiled, is_incremental, .. } = job;
    if node.resource_type == ResourceType::Snapshot {
        return snapshot(context, node, name, compiled).await;
    }
    match node.config.materialized.as_str() {
        "view" if node.audit.is_some() => Err(BuildError::AuditedView { node: node.unique_id.to_string() }),
        "view" => view(context, name, compiled).await,
        "table" => table(context, job).await,
        "incremental" if *is_incremental => incremental(context, job).await,
        "incremental" => table(context, job).await,
        other => Err(BuildError::NoMaterialization { node: node.unique_id.to_string(), name: other.to_owned() }),
    }
}

async fn view(context: &Arc<BuildContext>, name: &TableName, compiled: &Compiled) -> Result<Written, BuildError> {
    // Planning it, down to how it would run, finds every error a reader of the view would meet before its first row.
    context.session.query(&compiled.sql).await?.check().await?;
    let lake = &context.workspace.lake;
    // A table of that name stays: the newest epoch may show it, and goes on to if this run fails.
    lake.put_view(name, &View { sql: compiled.sql.clone(), columns: None, comment: None }).await?;
    Ok(Written::default())
}

pub(crate) fn commit_of(context: &BuildContext, node: &Node) -> Commit {
    let mut metadata = serde_json::Map::new();
    metadata.insert("wardlake.run".to_owned(), context.workspace.run_id.clone().into());
    metadata.insert("wardlake.node".to_owned(), node.unique_id.to_string().into());
    Commit {
        metadata,
        partition_by: node.config.partition_by.clone(),
        // Upkeep takes care of the tables of waves.
        is_frequent: context.session.is_recurring(),
        ..Commit::default()
    }
}

async fn table(context: &Arc<BuildContext>, job: &ModelJob<'_>) -> Result<Written, BuildError> {
    let ModelJob { node, name, compiled, consumed, is_first, .. } = job;
    let (streams, audited) = audit::rows(context, node, name, compiled, false).await?;
    let lake = &context.workspace.lake;
    let mut commit = Commit { notes: notes(&audited), ..commit_of(context, node) };
    if !consumed.ledger.is_empty() {
        // Rows made anew from versions that were consumed before are news all the same, also where a server has consumed more since.
        commit.ledger = vec![LedgerEntry::new(format!("rebuild:{}", context.workspace.run_id), 1)];
        commit.notes.extend(consumed.ledger.iter().chain(&consumed.tables).cloned());
        commit.reset_ledger = true;
        // Of two runs that make it for the first time the second adds what is new to it: what reads it has seen its rows by then.
        if *is_first {
            commit.follows = Follows::NoTable;
        }
    }
    let outcome = lake.overwrite(name, streams, commit).await.map_err(BuildError::from);
    let written = settle(context, job, audited, outcome).await?;
    lake.drop_view(name).await?;
    Ok(written)
}

/// What a model's commit notes of its audit.
fn notes(audited: &Option<AuditedRows>) -> Vec<LedgerEntry> {
    audited.as_ref().map(AuditedRows::notes).unwrap_or_default()
}

/// Writes down a model's audit, whether its rows were committed or refused by the gate.
async fn settle(
    context: &Arc<BuildContext>,
    job: &ModelJob<'_>,
    audited: Option<AuditedRows>,
    outcome: Result<CommitOutcome, BuildError>,
) -> Result<Written, BuildError> {
    let Some(audited) = audited else { return Ok(outcome?.into()) };
    let outcome = match outcome {
        Ok(outcome) => Ok(outcome),
        Err(error) => match audited.gate_failure(job.node) {
            Some(refused) => Err(refused),
            None => {
                audited.abandon(&error).await;
                return Err(error);
            }
        },
    };
    let consumes = job.is_incremental && !job.consumed.ledger.is_empty();
    let fate = match &outcome {
        Ok(CommitOutcome::AlreadyApplied { .. }) if consumes => Fate::Superseded,
        Ok(_) => Fate::Committed,
        Err(_) => Fate::Refused,
    };
    let (record, written_down) = audited.record(context, job.node, job.name, fate).await;
    let message = record.message();
    context.audits.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    written_down?;
    Ok(Written { message, ..outcome?.into() })
}

async fn incremental(context: &Arc<BuildContext>, job: &ModelJob<'_>) -> Result<Written, BuildError> {
    let (streams, audited) = audit::rows(context, job.node, job.name, job.compiled, true).await?;
    let outcome = write_increment(context, job, streams, notes(&audited)).await;
    settle(context, job, audited, outcome).await
}

async fn write_increment(
    context: &Arc<BuildContext>,
    job: &ModelJob<'_>,
    streams: Vec<SendableRecordBatchStream>,
    notes: Vec<LedgerEntry>,
) -> Result<CommitOutcome, BuildError> {
    let ModelJob { node, name, consumed, .. } = job;
    let config = &node.config;
    let schema_change = match config.on_schema_change.as_str() {
        "fail" => SchemaChange::Fail,
        "append_new_columns" => SchemaChange::AppendNewColumns,
        "sync_all_columns" => SchemaChange::SyncAllColumns,
        _ => SchemaChange::Ignore,
    };
    let (ledger, requires) = (consumed.ledger.clone(), consumed.follows.clone());
    let notes = notes.into_iter().chain(consumed.tables.iter().cloned()).collect();
    let commit = Commit { schema_change, ledger, requires, notes, ..commit_of(context, node) };
    let lake = &context.workspace.lake;
    let session = context.session.context().state();
    let outcome = match strategy(node) {
        IncrementalStrategy::Append => lake.append(name, streams, commit).await?,
        IncrementalStrategy::Merge => lake.merge(&session, name, streams, merge_spec(node), commit).await?,
        IncrementalStrategy::DeleteInsert => {
            let spec = DeleteInsertSpec {
                keys: config.unique_key.clone(),
                null_safe: false,
                predicates: config.incremental_predicates.clone(),
            };
            lake.delete_insert(&session, name, streams, spec, commit).await?
        }
        // The partitions that the new rows have are replaced; without partitions, everything is.
        IncrementalStrategy::InsertOverwrite if config.partition_by.is_empty() => {
            lake.overwrite(name, streams, commit).await?
        }
        IncrementalStrategy::InsertOverwrite => {
            let spec = DeleteInsertSpec { keys: config.partition_by.clone(), null_safe: true, predicates: Vec::new() };
            lake.delete_insert(&session, name, streams, spec, commit).await?
        }
    };
    Ok(outcome)
}

fn merge_spec(node: &Node) -> MergeSpec {
    let config = &node.config;
    MergeSpec {
        update_columns: config.merge_update_columns.clone(),
        exclude_columns: config.merge_exclude_columns.clone().unwrap_or_default(),
        predicates: config.incremental_predicates.clone(),
        ..MergeSpec::on(config.unique_key.clone())
    }
}

async fn snapshot(
    context: &Arc<BuildContext>,
    node: &Node,
    name: &TableName,
    compiled: &Compiled,
) -> Result<Written, BuildError> {
    let config = &node.config.snapshot;
    let strategy = match config.strategy.as_str() {
        "timestamp" => Scd2Strategy::Timestamp { updated_at: config.updated_at.clone().unwrap_or_default() },
        _ => Scd2Strategy::Check {
            columns: match &config.check_cols {
                Some(CheckCols::Columns(columns)) => Some(columns.clone()),
                _ => None,
            },
        },
    };
    let spec = Scd2Spec {
        key: node.config.unique_key.clone(),
        strategy,
        hard_deletes: match config.hard_deletes {
            HardDeletes::Ignore => ScdDeletes::Ignore,
            HardDeletes::Invalidate => ScdDeletes::Invalidate,
            HardDeletes::NewRecord => ScdDeletes::NewRecord,
        },
        valid_to_current: config.dbt_valid_to_current.clone(),
        columns: Scd2Columns {
            scd_id: config.columns.scd_id.clone(),
            valid_from: config.columns.valid_from.clone(),
            valid_to: config.columns.valid_to.clone(),
            updated_at: config.columns.updated_at.clone(),
            is_deleted: config.columns.is_deleted.clone(),
        },
        now: chrono::Utc::now(),
    };
    let streams = context.session.query(&compiled.sql).await?.streams().await?;
    let lake = &context.workspace.lake;
    let state = context.session.context().state();
    let outcome = lake.scd2_apply(&state, name, streams, spec, commit_of(context, node)).await?;
    let rows = |count: u64| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
    let mut remarks = Vec::new();
    if outcome.ties > 0 {
        remarks.push(format!("not recorded for want of a later updated_at: {}", rows(outcome.ties)));
    }
    if outcome.without_updated_at > 0 {
        remarks.push(format!("without updated_at: {}", rows(outcome.without_updated_at)));
    }
    let message = (!remarks.is_empty()).then(|| remarks.join("; "));
    Ok(Written { rows: Some(outcome.opened), message, ..Written::from(outcome.commit) })
}
