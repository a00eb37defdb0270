//! What people decide about withheld rows: correct them, dismiss them, open them again.
//!
//! A correction is a second bronze row at the first one's place: the same file, line and time of receipt, the corrected
//! fields, a batch of its own. The first row stays, and stays withheld; the corrected one goes through the same models as if
//! it had come right. Who changed what is in `system.quarantine_actions`.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::{cast, concat_batches},
    datatypes::{DataType, SchemaRef},
};
use chrono::Utc;
use datafusion::{datasource::MemTable, physical_plan::memory::MemoryStream};
use wardlake_core::{LedgerEntry, RowHasher, TableName, lineage};
use wardlake_engine::{ReadState, Session};
use wardlake_project::{
    Node,
    audit::{Audit, RelationCall},
};
use wardlake_storage::{Commit, SchemaChange};

use crate::{
    RunnerError, Workspace,
    adapter::table_name,
    build::audit::quarantine::{set_state, table_of},
    publish::{self, Changes},
    system,
};

/// The beginning of the batch id of a corrected row.
pub(crate) const FIX_BATCH: &str = "fix:";

/// What is to be corrected, and how.
#[derive(Clone, Debug, Default)]
pub struct Correction {
    /// The model that withholds the rows.
    pub model: String,
    /// SQL predicate over the raw row's columns and `quarantine_id`, `row_key`, `rules`; all open rows without one.
    pub filter: Option<String>,
    /// Column and SQL expression over the raw row's columns.
    pub set: Vec<(String, String)>,
    /// Corrected values as text, one row per withheld row: a column `quarantine_id` and columns of the source.
    pub values: Option<RecordBatch>,
    /// Who decides.
    pub actor: String,
    /// Why.
    pub comment: String,
}

/// What a correction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corrected {
    /// Rows that were corrected.
    pub rows: u64,
    /// Cells that differ from what was received.
    pub cells: u64,
    /// The correction's id: its rows carry it as their batch.
    pub action_id: String,
}

/// A decision about rows as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They stay withheld and are not counted as open any more.
    Dismiss,
    /// They are open again.
    Reopen,
}

/// A model that withholds rows, its declarations and its bronze table.
struct Place<'a> {
    audit: &'a Audit,
    quarantine: TableName,
    bronze: Option<TableName>,
}

fn place<'a>(workspace: &'a Workspace, model: &str) -> Result<Place<'a>, RunnerError> {
    let audited = || workspace.project.nodes().values().filter(|node| node.audit.is_some());
    let node: &Node = audited().find(|node| node.name == model).ok_or_else(|| {
        let near = wardlake_core::did_you_mean(model, audited().map(|node| node.name.as_str()));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        RunnerError::Config { message: format!("no model `{model}` declares expectations{near}") }
    })?;
    let Some(audit) = node.audit.as_deref() else {
        return Err(RunnerError::Config { message: format!("`{model}` declares no expectations") });
    };
    let name = table_name(&node.relation)
        .ok_or_else(|| RunnerError::Config { message: format!("`{model}` is no table of the lake") })?;
    let bronze = match &audit.input {
        Some(call @ RelationCall::Source(_)) => {
            workspace.project.find(&node.package, call).and_then(|(_, relation)| table_name(relation))
        }
        _ => None,
    };
    Ok(Place { audit, quarantine: table_of(&name)?, bronze })
}

/// Models with declarations about their rows, by name.
pub fn audited_models(workspace: &Workspace) -> Vec<(String, TableName)> {
    let nodes = workspace.project.nodes().values().filter(|node| node.audit.is_some());
    nodes.filter_map(|node| Some((node.name.clone(), table_of(&table_name(&node.relation)?).ok()?))).collect()
}

/// Corrects withheld rows. The corrected rows reach the models with the next build.
pub async fn correct(workspace: &Workspace, correction: &Correction) -> Result<Corrected, RunnerError> {
    let place = place(workspace, &correction.model)?;
    let Some(bronze) = &place.bronze else {
        let input = place.audit.input.as_ref().map(ToString::to_string).unwrap_or_else(|| "other models".to_owned());
        return Err(RunnerError::Config {
            message: format!(
                "`{}` is made from {input}, not from a source: correct the rows in the model that reads the source",
                correction.model
            ),
        });
    };
    let base = workspace.lake.newest_epoch().await?.map(|epoch| epoch.tables).unwrap_or_default();
    let session = workspace.engine.session(ReadState::Working).await?;
    if session.schema(&place.quarantine).await?.is_none() {
        return Ok(Corrected::default());
    }
    let columns = source_columns(&session, bronze).await?;
    let sql = corrected_sql(&session, correction, &place.quarantine, bronze, &columns)?;
    let batches = session.collect(&sql).await?;
    let Some(first) = batches.first() else { return Ok(Corrected::default()) };
    let found = concat_batches(&first.schema(), &batches)?;
    let rows = changed_rows(&found, &columns)?;
    if rows.num_rows() == 0 {
        return Ok(Corrected::default());
    }
    let action_id = correction_id(&rows, columns.len())?;
    let actions = changed_cells(&rows, &columns, correction, &action_id)?;
    let cells = actions.num_rows() as u64;
    let version = append_rows(workspace, bronze, &rows, &columns, &action_id).await?;
    system::append(
        &workspace.lake,
        "quarantine_actions",
        actions,
        LedgerEntry::new(format!("{FIX_BATCH}{action_id}"), 1),
    )
    .await?;
    let ids = text_column(&rows, "quarantine_id")?;
    let ids: Vec<&str> = ids.iter().flatten().collect();
    set_state(workspace, &session, &place.quarantine, &ids, "fixed").await?;
    let changes = Changes { tables: [(bronze.clone(), version)].into(), ..Changes::default() };
    publish::publish(workspace, &base, changes, serde_json::json!({"command": "quarantine fix"})).await?;
    Ok(Corrected { rows: rows.num_rows() as u64, cells, action_id })
}

/// The same correction of the same rows has the same id, so that one that was cut off is finished, not repeated.
fn correction_id(rows: &RecordBatch, columns: usize) -> Result<String, RunnerError> {
    let names = ["quarantine_id".to_owned()].into_iter().chain((0..columns).map(|index| format!("fixed_{index}")));
    let texts: Vec<StringArray> = names.map(|name| text_column(rows, &name)).collect::<Result<_, _>>()?;
    let mut order: Vec<usize> = (0..rows.num_rows()).collect();
    order.sort_by(|a, b| texts[0].value(*a).cmp(texts[0].value(*b)));
    let mut hasher = RowHasher::default();
    for row in order {
        for text in &texts {
            hasher.field(text.is_valid(row).then(|| text.value(row).as_bytes()));
        }
    }
    Ok(hasher.finish().to_string())
}

async fn source_columns(session: &Session, bronze: &TableName) -> Result<Vec<String>, RunnerError> {
    let schema = session.schema(bronze).await?.ok_or_else(|| RunnerError::Config {
        message: format!("{bronze} is not in the lake; run `wardlake ingest`"),
    })?;
    let names = schema.fields().iter().map(|field| field.name().clone());
    Ok(names.filter(|name| !lineage::ALL.contains(&name.as_str())).collect())
}

/// The raw rows that are open, each column as received and (`fixed_<n>`) as corrected.
fn corrected_sql(
    session: &Session,
    correction: &Correction,
    quarantine: &TableName,
    bronze: &TableName,
    columns: &[String],
) -> Result<String, RunnerError> {
    for (column, _) in &correction.set {
        known_column(column, columns)?;
    }
    let mut joined = String::new();
    let mut given: Vec<String> = Vec::new();
    if let Some(values) = &correction.values {
        given = values.schema().fields().iter().map(|field| field.name().clone()).collect();
        for column in given.iter().filter(|column| *column != "quarantine_id") {
            known_column(column, columns)?;
        }
        let name = TableName::new("quarantine", "corrections_given")?;
        session.overlay(name.clone(), Arc::new(MemTable::try_new(values.schema(), vec![vec![values.clone()]])?));
        joined = format!(" join {} as given on withheld.quarantine_id = given.quarantine_id", name.quoted());
    }
    let fixed = columns.iter().enumerate().map(|(index, column)| {
        let expression = match correction.set.iter().find(|(name, _)| name == column) {
            Some((_, expression)) => format!("cast(({expression}) as varchar)"),
            None if given.contains(column) => format!("given.{}", quoted(column)),
            None => format!("raw.{}", quoted(column)),
        };
        format!("{expression} as \"fixed_{index}\"")
    });
    let lineage = lineage::ALL.iter().map(|column| format!("raw.{}", quoted(column)));
    let raw = columns.iter().map(|column| format!("raw.{}", quoted(column)));
    let selected: Vec<String> = raw.chain(fixed).chain(lineage).collect();
    let filter = correction.filter.as_ref().map(|filter| format!(" and ({filter})")).unwrap_or_default();
    Ok(format!(
        "select withheld.quarantine_id, withheld.row_key, {} from (select quarantine_id, row_key, rules, kinds, state as \
         quarantine_state, source_file, source_position, row_hash from {}) as withheld join {} as raw on withheld.source_file = raw.{} \
         and withheld.source_position = raw.{} and withheld.row_hash = raw.{}{joined} \
         where withheld.quarantine_state = 'open'{filter}",
        selected.join(", "),
        quarantine.quoted(),
        bronze.quoted(),
        lineage::FILE,
        lineage::POSITION,
        lineage::ROW_HASH,
    ))
}

fn known_column(column: &str, columns: &[String]) -> Result<(), RunnerError> {
    if columns.iter().any(|known| known == column) {
        return Ok(());
    }
    let near = wardlake_core::did_you_mean(column, columns.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(RunnerError::Config { message: format!("the source has no column `{column}`{near}") })
}

fn text_column(batch: &RecordBatch, name: &str) -> Result<StringArray, RunnerError> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| RunnerError::Config { message: format!("the lake's own table lacks its column `{name}`") })?;
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn differs(before: &StringArray, after: &StringArray, row: usize) -> bool {
    before.is_valid(row) != after.is_valid(row) || (before.is_valid(row) && before.value(row) != after.value(row))
}

/// `system.quarantine_actions`: one row per cell that was changed.
fn changed_cells(
    found: &RecordBatch,
    columns: &[String],
    correction: &Correction,
    action_id: &str,
) -> Result<RecordBatch, RunnerError> {
    let ids = text_column(found, "quarantine_id")?;
    let mut cells: Vec<(String, String, Option<String>, Option<String>)> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let (before, after) = (text_column(found, column)?, text_column(found, &format!("fixed_{index}"))?);
        let value = |texts: &StringArray, row: usize| texts.is_valid(row).then(|| texts.value(row).to_owned());
        for row in (0..found.num_rows()).filter(|row| differs(&before, &after, *row)) {
            cells.push((ids.value(row).to_owned(), column.clone(), value(&before, row), value(&after, row)));
        }
    }
    let cells: Vec<Cell<'_>> = cells
        .iter()
        .map(|(id, column, before, after)| Cell {
            quarantine_id: id,
            column: Some(column),
            before: before.as_deref(),
            after: after.as_deref(),
        })
        .collect();
    action_rows(action_id, &correction.actor, "fix", &correction.model, &correction.comment, &cells)
}

struct Cell<'a> {
    quarantine_id: &'a str,
    column: Option<&'a str>,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

fn action_rows(
    action_id: &str,
    actor: &str,
    action: &str,
    model: &str,
    comment: &str,
    cells: &[Cell<'_>],
) -> Result<RecordBatch, RunnerError> {
    let same = |value: &str| Arc::new(StringArray::from(vec![value; cells.len()])) as ArrayRef;
    let text = |of: for<'a> fn(&Cell<'a>) -> Option<&'a str>| {
        Arc::new(cells.iter().map(of).collect::<StringArray>()) as ArrayRef
    };
    let at = TimestampMicrosecondArray::from(vec![Utc::now().timestamp_micros(); cells.len()]).with_timezone("UTC");
    let columns = [
        ("action_id", same(action_id)),
        ("at", Arc::new(at) as ArrayRef),
        ("actor", same(actor)),
        ("action", same(action)),
        ("model", same(model)),
        ("quarantine_id", text(|cell| Some(cell.quarantine_id))),
        ("column_name", text(|cell| cell.column)),
        ("old_value", text(|cell| cell.before)),
        ("new_value", text(|cell| cell.after)),
        ("comment", same(comment)),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?)
}

/// The rows in which any cell differs.
fn changed_rows(found: &RecordBatch, columns: &[String]) -> Result<RecordBatch, RunnerError> {
    let mut is_changed = vec![false; found.num_rows()];
    for (index, column) in columns.iter().enumerate() {
        let (before, after) = (text_column(found, column)?, text_column(found, &format!("fixed_{index}"))?);
        for (row, changed) in is_changed.iter_mut().enumerate() {
            *changed |= differs(&before, &after, row);
        }
    }
    Ok(arrow::compute::filter_record_batch(found, &is_changed.into())?)
}

/// Appends the corrected rows to bronze and returns the version.
async fn append_rows(
    workspace: &Workspace,
    bronze: &TableName,
    rows: &RecordBatch,
    columns: &[String],
    action_id: &str,
) -> Result<u64, RunnerError> {
    let fixed: Vec<StringArray> =
        (0..columns.len()).map(|index| text_column(rows, &format!("fixed_{index}"))).collect::<Result<_, _>>()?;
    let hashes = row_hashes(columns, &fixed, rows.num_rows());
    let snapshot = workspace.lake.require(bronze).await?;
    let schema: SchemaRef = snapshot.schema();
    let arrays = schema.fields().iter().map(|field| {
        let name = field.name().as_str();
        let array: ArrayRef = match (columns.iter().position(|column| column == name), name) {
            (Some(index), _) => Arc::new(fixed[index].clone()),
            (None, lineage::BATCH_ID) => {
                Arc::new(StringArray::from(vec![format!("{FIX_BATCH}{action_id}"); rows.num_rows()]))
            }
            (None, lineage::ROW_HASH) => Arc::new(StringArray::from(hashes.clone())),
            (None, _) => Arc::clone(rows.column_by_name(name).ok_or_else(|| RunnerError::Shape {
                table: bronze.clone(),
                message: format!("the corrected rows lack `{name}`"),
            })?),
        };
        Ok(cast(&array, field.data_type())?)
    });
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect::<Result<_, RunnerError>>()?)?;
    let stream = Box::pin(MemoryStream::try_new(vec![batch], schema, None)?);
    let commit = Commit {
        ledger: vec![LedgerEntry::new(format!("{FIX_BATCH}{action_id}"), 1)],
        schema_change: SchemaChange::Fail,
        ..Commit::default()
    };
    match workspace.lake.append(bronze, vec![stream], commit).await? {
        wardlake_storage::CommitOutcome::Committed { version, .. }
        | wardlake_storage::CommitOutcome::AlreadyApplied { version } => Ok(version),
    }
}

/// The hash ingestion would give these rows: name and value of every field that has one, in the order of the names.
fn row_hashes(columns: &[String], values: &[StringArray], rows: usize) -> Vec<String> {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by(|a, b| columns[*a].as_bytes().cmp(columns[*b].as_bytes()));
    let mut hasher = RowHasher::default();
    (0..rows)
        .map(|row| {
            for index in order.iter().filter(|index| values[**index].is_valid(row)) {
                hasher.field(Some(columns[*index].as_bytes()));
                hasher.field(Some(values[*index].value(row).as_bytes()));
            }
            hasher.finish().to_string()
        })
        .collect()
}

/// Dismisses or opens withheld rows and returns how many.
pub async fn decide(
    workspace: &Workspace,
    model: &str,
    filter: Option<&str>,
    decision: Decision,
    actor: &str,
    comment: &str,
) -> Result<u64, RunnerError> {
    let place = place(workspace, model)?;
    let session = workspace.engine.session(ReadState::Working).await?;
    if session.schema(&place.quarantine).await?.is_none() {
        return Ok(0);
    }
    let (from, to, action) = match decision {
        Decision::Dismiss => ("state = 'open'", "dismissed", "dismiss"),
        Decision::Reopen => ("state in ('dismissed', 'fixed')", "open", "reopen"),
    };
    let filter = filter.map(|filter| format!(" and ({filter})")).unwrap_or_default();
    let sql = format!("select quarantine_id from {} where {from}{filter}", place.quarantine.quoted());
    let mut ids = Vec::new();
    for batch in session.collect(&sql).await? {
        ids.extend(text_column(&batch, "quarantine_id")?.iter().flatten().map(str::to_owned));
    }
    if ids.is_empty() {
        return Ok(0);
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let cells: Vec<Cell<'_>> =
        ids.iter().map(|id| Cell { quarantine_id: id, column: None, before: None, after: None }).collect();
    let action_id = uuid::Uuid::now_v7().to_string();
    let actions = action_rows(&action_id, actor, action, model, comment, &cells)?;
    set_state(workspace, &session, &place.quarantine, &ids, to).await?;
    let ledger = LedgerEntry::new(format!("{action}:{action_id}"), 1);
    system::append(&workspace.lake, "quarantine_actions", actions, ledger).await?;
    Ok(ids.len() as u64)
}

fn quoted(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}
