//! What people decide about withheld rows: correct them, dismiss them, open them again.
//!
//! A correction is a second bronze row at the first one's place: the same file, line and time of receipt, the corrected
//! fields, a batch of its own. The first row stays, and stays withheld; the corrected one goes through the same models as if
//! it had come right. Who changed what is in `system.quarantine_actions`, and there before it is done: what is cut off between the two was
//! decided and shows as open, and deciding it again finishes it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array},
    compute::{cast, concat_batches},
    datatypes::{DataType, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType},
};
use chrono::Utc;
use datafusion::{datasource::MemTable, physical_plan::memory::MemoryStream};
use wardlake_access::{SystemReason, Viewer};
use wardlake_build::{catch_up, set_state, source_of};
use wardlake_core::{LedgerEntry, RowHasher, TableName, lineage};
use wardlake_engine::{
    ReadState, Session,
    sql::{identifier, literal},
};
use wardlake_load::{
    Changes, Workspace,
    bronze::{self, FIX_BATCH},
    publish,
};
use wardlake_project::{Node, audit::Audit};
use wardlake_records::{quarantine, system};
use wardlake_storage::{Commit, CommitOutcome, SchemaChange};

use crate::error::TrustError;

/// States of rows whose correction is in bronze and not noted yet. It holds whatever was decided meanwhile.
const NOT_FIXED: [&str; 3] = ["open", "released", "dismissed"];

/// What is to be corrected, and how.
#[derive(Clone, Debug, Default)]
pub struct Correction {
    /// The model that withholds the rows.
    pub model: String,
    /// SQL predicate over the raw row's columns and `quarantine_id`, `row_key`, `rules`; without one, every row that is not
    /// dismissed.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Corrected {
    /// Corrected rows are in bronze.
    Done {
        /// Rows that were corrected.
        rows: u64,
        /// Cells that differ from what was received.
        cells: u64,
        /// The correction's id: its rows carry it as their batch.
        action_id: String,
    },
    /// They were in bronze already, from a correction that was cut off, and count as corrected now.
    Finished {
        /// Withheld rows that are not open any more.
        rows: u64,
    },
    /// Nothing was changed.
    Nothing {
        /// Why, and what to do.
        why: String,
    },
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// So many rows have another state.
    Rows(u64),
    /// No row has.
    Nothing {
        /// Why.
        why: String,
    },
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
    node: &'a Node,
    model: TableName,
    audit: &'a Audit,
    quarantine: TableName,
    bronze: Option<TableName>,
}

impl Place<'_> {
    /// Brings rows into the quarantine that a run withheld and could not write down any more: they can be decided about as well.
    async fn catch_up(&self, workspace: &Workspace) -> Result<(), TrustError> {
        let session = workspace.engine.session(Viewer::System(SystemReason::Build), ReadState::Working).await?;
        Ok(catch_up(workspace, &session, self.node, &self.model).await?)
    }
}

fn place<'a>(workspace: &'a Workspace, model: &str) -> Result<Place<'a>, TrustError> {
    let (node, audit) = audited(workspace, model)?;
    let name = node.relation.table_name().ok_or_else(|| TrustError::NotATable { name: model.to_owned() })?;
    let bronze = source_of(&workspace.project, node).and_then(|source| source.relation.table_name());
    Ok(Place { node, quarantine: quarantine::table_of(&name)?, model: name, audit, bronze })
}

/// The model of that name that declares something about its rows, and what.
fn audited<'a>(workspace: &'a Workspace, model: &str) -> Result<(&'a Node, &'a Audit), TrustError> {
    let all = || workspace.project.nodes().values().filter_map(|node| Some((node, node.audit.as_deref()?)));
    all().find(|(node, _)| node.name == model).ok_or_else(|| {
        let nearest = wardlake_core::did_you_mean(model, all().map(|(node, _)| node.name.as_str()));
        TrustError::NoExpectations {
            model: model.to_owned(),
            nearest: nearest.map(str::to_owned),
            known: all().map(|(node, _)| node.name.clone()).collect(),
        }
    })
}

/// An error if no model of that name declares something about its rows: it withholds none because it cannot.
pub fn require_audited(workspace: &Workspace, model: &str) -> Result<(), TrustError> {
    audited(workspace, model).map(drop)
}

/// An error if no model has a rule of that name, or `model` has not, and no withheld row names it either: rules go from a project, and
/// the rows that broke them stay.
pub async fn require_rule(
    workspace: &Workspace,
    session: &Session,
    model: Option<&str>,
    rule: &str,
) -> Result<(), TrustError> {
    let is_meant = |name: &str| model.is_none_or(|model| model == name);
    let nodes = workspace.project.nodes().values().filter(|node| is_meant(&node.name));
    let rules = nodes.filter_map(|node| node.audit.as_deref()).flat_map(|audit| &audit.rules);
    let known: BTreeSet<&str> = rules.map(|rule| rule.name.as_str()).collect();
    if known.contains(rule) {
        return Ok(());
    }
    let tables: Vec<TableName> =
        audited_models(workspace).into_iter().filter(|(name, _)| is_meant(name)).map(|(_, table)| table).collect();
    for table in tables {
        if session.schema(&table).await?.is_none() {
            continue;
        }
        let sql = format!("select 1 from {} where array_has(rules, {}) limit 1", table.quoted(), literal(rule));
        if session.collect(&sql).await?.iter().any(|batch| batch.num_rows() > 0) {
            return Ok(());
        }
    }
    Err(TrustError::NoRule {
        rule: rule.to_owned(),
        nearest: wardlake_core::did_you_mean(rule, known.iter().copied()).map(str::to_owned),
        known: known.into_iter().map(str::to_owned).collect(),
    })
}

/// Models with declarations about their rows, by name. One that is no table of the lake withholds nothing.
pub fn audited_models(workspace: &Workspace) -> Vec<(String, TableName)> {
    let nodes = workspace.project.nodes().values().filter(|node| node.audit.is_some());
    nodes
        .filter_map(|node| Some((node.name.clone(), quarantine::table_of(&node.relation.table_name()?).ok()?)))
        .collect()
}

/// Corrects withheld rows that `viewer` sees. The corrected rows reach the models with the next build.
pub async fn correct(workspace: &Workspace, viewer: Viewer, correction: &Correction) -> Result<Corrected, TrustError> {
    let place = place(workspace, &correction.model)?;
    let Some(bronze) = &place.bronze else {
        let input = place.audit.input.as_ref().map(ToString::to_string);
        let input = input.unwrap_or_else(|| "other models or several sources".to_owned());
        return Err(TrustError::NotFromSource { model: correction.model.clone(), input });
    };
    place.catch_up(workspace).await?;
    let base = workspace.lake.newest_epoch().await?.map(|epoch| epoch.tables).unwrap_or_default();
    let session = workspace.engine.session(viewer, ReadState::Working).await?;
    if session.schema(&place.quarantine).await?.is_none() {
        return Ok(Corrected::Nothing { why: nothing_withheld(&correction.model) });
    }
    let columns = source_columns(&session, bronze).await?;
    let sql = corrected_sql(&session, correction, &place.quarantine, bronze, &columns)?;
    let batches = session.collect(&sql).await?;
    let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let Some(first) = batches.first().filter(|_| found > 0) else {
        return Ok(Corrected::Nothing { why: why_none(&session, &place, bronze).await? });
    };
    let rows = changed_rows(&concat_batches(&first.schema(), &batches)?, &columns)?;
    if rows.num_rows() == 0 {
        return Ok(Corrected::Nothing { why: SAME_VALUES.to_owned() });
    }
    let ids = text_column(&rows, "quarantine_id")?;
    let ids: Vec<&str> = ids.iter().flatten().collect();
    let earlier = earlier_corrections(&session, bronze).await?;
    let Some(news) = CorrectedRows::new(&rows, &columns, &earlier)? else {
        // A correction that was cut off after its rows were written is finished here.
        return Ok(match set_state(workspace, &session, &place.quarantine, &ids, &NOT_FIXED, "fixed").await? {
            0 => Corrected::Nothing { why: SAME_VALUES.to_owned() },
            rows => Corrected::Finished { rows },
        });
    };
    let action_id = news.id();
    let actions = changed_cells(&news.rows, &columns, correction, &action_id)?;
    let (rows, cells) = (news.rows.num_rows() as u64, actions.num_rows() as u64);
    let ledger = LedgerEntry::new(format!("{FIX_BATCH}{action_id}"), 1);
    // Who changed what is written first: rows without it would have come from nowhere.
    system::append(&workspace.lake, "quarantine_actions", actions, ledger).await?;
    let version = news.append(workspace, bronze, &columns, &action_id).await?;
    set_state(workspace, &session, &place.quarantine, &ids, &NOT_FIXED, "fixed").await?;
    let changes = Changes { tables: [(bronze.clone(), version)].into(), ..Changes::default() };
    publish(workspace, &base, changes, serde_json::json!({"command": "quarantine fix"})).await?;
    Ok(Corrected::Done { rows, cells, action_id })
}

/// Why a correction found no row at all.
async fn why_none(session: &Session, place: &Place<'_>, bronze: &TableName) -> Result<String, TrustError> {
    let sql = format!(
        "select count(*) as withheld, count(raw.at_file) as placed from (select source_file, source_position, batch_id from {} \
         where state in ('open', 'fixed')) as withheld left join (select distinct {} as at_file, {} as at_position, {} as at_batch \
         from {}) as raw on withheld.source_file = raw.at_file and withheld.source_position = raw.at_position \
         and withheld.batch_id = raw.at_batch",
        place.quarantine.quoted(),
        lineage::FILE,
        lineage::POSITION,
        lineage::BATCH_ID,
        bronze.quoted(),
    );
    let counts = session.collect(&sql).await?;
    let count = |index: usize| {
        let column = counts.first().and_then(|batch| batch.column(index).as_primitive_opt::<Int64Type>());
        column.map_or(0, |counts| counts.value(0))
    };
    let (withheld, placed) = (count(0), count(1));
    let model = &place.node.name;
    if withheld == 0 {
        return Ok(nothing_open(model, "open"));
    }
    if placed == withheld {
        return Ok(NO_ROW_MEETS.to_owned());
    }
    let others = if placed == 0 { "" } else { "; none of the others meets the condition" };
    Ok(format!(
        "of {withheld} withheld rows {} have no place in {bronze}, where they would be corrected{others}. Select `{} as \
         _raw_{}`, `{} as _raw_{}` and `{} as _raw_{}` in `{model}`, from {bronze} and on through all it is made of, and run \
         `wardlake build -s {model} --full-refresh`",
        withheld - placed,
        lineage::FILE,
        lineage::FILE,
        lineage::POSITION,
        lineage::POSITION,
        lineage::BATCH_ID,
        lineage::BATCH_ID,
    ))
}

const NO_ROW_MEETS: &str = "no such row meets the condition; `wardlake quarantine list MODEL` shows them";
const SAME_VALUES: &str = "the rows that meet the condition have these values already";

fn nothing_withheld(model: &str) -> String {
    format!("`{model}` withholds nothing")
}

fn nothing_open(model: &str, state: &str) -> String {
    format!("`{model}` has no row that is {state}; `wardlake quarantine list {model} --state all` shows the others")
}

async fn source_columns(session: &Session, bronze: &TableName) -> Result<Vec<String>, TrustError> {
    let schema = session.schema(bronze).await?.ok_or_else(|| TrustError::NotLoaded { table: bronze.clone() })?;
    Ok(bronze::own_columns(&schema))
}

/// The raw rows that nobody dismissed, each column as received and (`fixed_<n>`) as corrected.
fn corrected_sql(
    session: &Session,
    correction: &Correction,
    quarantine: &TableName,
    bronze: &TableName,
    columns: &[String],
) -> Result<String, TrustError> {
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
            None if given.contains(column) => format!("given.{}", identifier(column)),
            None => format!("raw.{}", identifier(column)),
        };
        format!("{expression} as \"fixed_{index}\"")
    });
    let lineage = lineage::ALL.iter().map(|column| format!("raw.{}", identifier(column)));
    let raw = columns.iter().map(|column| format!("raw.{}", identifier(column)));
    let selected: Vec<String> = raw.chain(fixed).chain(lineage).collect();
    let filter = correction.filter.as_ref().map(|filter| format!(" and ({filter})")).unwrap_or_default();
    Ok(format!(
        "select withheld.quarantine_id, withheld.row_key, {} from (select quarantine_id, row_key, rules, kinds, state as \
         quarantine_state, source_file, source_position, batch_id as withheld_batch from {}) as withheld join {} as raw on withheld.source_file = raw.{} \
         and withheld.source_position = raw.{} and withheld.withheld_batch = raw.{}{joined} \
         where withheld.quarantine_state in ('open', 'fixed'){filter}",
        selected.join(", "),
        quarantine.quoted(),
        bronze.quoted(),
        lineage::FILE,
        lineage::POSITION,
        lineage::BATCH_ID,
    ))
}

fn known_column(column: &str, columns: &[String]) -> Result<(), TrustError> {
    if columns.iter().any(|known| known == column) {
        return Ok(());
    }
    let nearest = wardlake_core::did_you_mean(column, columns.iter().map(String::as_str)).map(str::to_owned);
    Err(TrustError::NoColumn { table: "the source".to_owned(), column: column.to_owned(), nearest })
}

fn text_column(batch: &RecordBatch, name: &str) -> Result<StringArray, TrustError> {
    let column = batch.column_by_name(name).ok_or_else(|| TrustError::OwnColumn { column: name.to_owned() })?;
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
) -> Result<RecordBatch, TrustError> {
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
) -> Result<RecordBatch, TrustError> {
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
fn changed_rows(found: &RecordBatch, columns: &[String]) -> Result<RecordBatch, TrustError> {
    let mut is_changed = vec![false; found.num_rows()];
    for (index, column) in columns.iter().enumerate() {
        let (before, after) = (text_column(found, column)?, text_column(found, &format!("fixed_{index}"))?);
        for (row, changed) in is_changed.iter_mut().enumerate() {
            *changed |= differs(&before, &after, row);
        }
    }
    Ok(arrow::compute::filter_record_batch(found, &is_changed.into())?)
}

/// Corrections of one place: how many, and the hash of the newest.
#[derive(Default)]
struct Earlier {
    count: i64,
    newest: (i64, String),
}

/// Every correction so far, by file and line.
async fn earlier_corrections(
    session: &Session,
    bronze: &TableName,
) -> Result<HashMap<(String, String), Earlier>, TrustError> {
    let sql = format!(
        "select {file}, cast({position} as varchar) as {position}, {hash}, arrow_cast({received}, 'Int64') as received_us \
         from {table} where {batch} like '{FIX_BATCH}%'",
        file = lineage::FILE,
        position = lineage::POSITION,
        hash = lineage::ROW_HASH,
        received = lineage::RECEIVED_AT,
        batch = lineage::BATCH_ID,
        table = bronze.quoted(),
    );
    let mut earlier: HashMap<(String, String), Earlier> = HashMap::new();
    for batch in session.collect(&sql).await? {
        let text = |name: &str| text_column(&batch, name);
        let (files, positions, hashes) = (text(lineage::FILE)?, text(lineage::POSITION)?, text(lineage::ROW_HASH)?);
        let received = batch.column(3).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let place = (files.value(row).to_owned(), positions.value(row).to_owned());
            let known = earlier.entry(place).or_default();
            known.count += 1;
            if known.newest.1.is_empty() || received.value(row) >= known.newest.0 {
                known.newest = (received.value(row), hashes.value(row).to_owned());
            }
        }
    }
    Ok(earlier)
}

/// Corrected rows that bronze does not hold yet.
struct CorrectedRows {
    rows: RecordBatch,
    fixed: Vec<StringArray>,
    hashes: Vec<String>,
    /// Corrections of the same place before this one: it is received as many microseconds later, so that it wins over them.
    earlier: Vec<i64>,
}

impl CorrectedRows {
    /// None if the newest correction of every row is the same already.
    fn new(
        rows: &RecordBatch,
        columns: &[String],
        earlier: &HashMap<(String, String), Earlier>,
    ) -> Result<Option<Self>, TrustError> {
        let fixed = |rows: &RecordBatch| -> Result<Vec<StringArray>, TrustError> {
            (0..columns.len()).map(|index| text_column(rows, &format!("fixed_{index}"))).collect()
        };
        let hashes = row_hashes(columns, &fixed(rows)?, rows.num_rows());
        let (files, positions) = (text_column(rows, lineage::FILE)?, text_column(rows, lineage::POSITION)?);
        let known = |row: usize| earlier.get(&(files.value(row).to_owned(), positions.value(row).to_owned()));
        let is_news = |row: usize| known(row).is_none_or(|known| known.newest.1 != hashes[row]);
        let news: Vec<usize> = (0..rows.num_rows()).filter(|row| is_news(*row)).collect();
        if news.is_empty() {
            return Ok(None);
        }
        let mask: Vec<bool> = (0..rows.num_rows()).map(|row| news.contains(&row)).collect();
        let kept = arrow::compute::filter_record_batch(rows, &mask.into())?;
        Ok(Some(Self {
            fixed: fixed(&kept)?,
            rows: kept,
            hashes: news.iter().map(|row| hashes[*row].clone()).collect(),
            earlier: news.iter().map(|row| known(*row).map_or(0, |known| known.count)).collect(),
        }))
    }

    /// The same correction of the same rows has the same id: one that was cut off is finished, not repeated.
    fn id(&self) -> String {
        let mut parts: Vec<String> =
            self.hashes.iter().zip(&self.earlier).map(|(hash, n)| format!("{hash}{n}")).collect();
        parts.sort_unstable();
        let mut hasher = RowHasher::default();
        parts.iter().for_each(|part| hasher.field(Some(part.as_bytes())));
        hasher.finish().to_string()
    }

    /// Appends them to bronze and returns the version.
    async fn append(
        &self,
        workspace: &Workspace,
        bronze: &TableName,
        columns: &[String],
        action_id: &str,
    ) -> Result<u64, TrustError> {
        let count = self.rows.num_rows();
        let schema: SchemaRef = workspace.lake.require(bronze).await?.schema();
        let arrays = schema.fields().iter().map(|field| {
            let name = field.name().as_str();
            let received = || {
                self.rows.column_by_name(name).cloned().ok_or_else(|| TrustError::Shape {
                    table: bronze.clone(),
                    message: format!("the corrected rows lack `{name}`"),
                })
            };
            let array: ArrayRef = match (columns.iter().position(|column| column == name), name) {
                (Some(index), _) => Arc::new(self.fixed[index].clone()),
                (None, lineage::BATCH_ID) => {
                    Arc::new(StringArray::from(vec![format!("{FIX_BATCH}{action_id}"); count]))
                }
                // A correction came by no connection.
                (None, lineage::PEER | lineage::ANSWER) => new_null_array(&DataType::Utf8, count),
                (None, lineage::ROW_HASH) => Arc::new(StringArray::from(self.hashes.clone())),
                (None, lineage::RECEIVED_AT) => {
                    let at = cast(&received()?, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
                    let at = at.as_primitive::<TimestampMicrosecondType>();
                    let later = at.values().iter().zip(&self.earlier).map(|(at, earlier)| at + earlier);
                    Arc::new(TimestampMicrosecondArray::from_iter_values(later).with_timezone("UTC"))
                }
                (None, _) => received()?,
            };
            Ok(cast(&array, field.data_type())?)
        });
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect::<Result<_, TrustError>>()?)?;
        let stream = Box::pin(MemoryStream::try_new(vec![batch], schema, None)?);
        let commit = Commit {
            ledger: vec![LedgerEntry::new(format!("{FIX_BATCH}{action_id}"), 1)],
            schema_change: SchemaChange::Fail,
            ..Commit::default()
        };
        match workspace.lake.append(bronze, vec![stream], commit).await? {
            CommitOutcome::Committed { version, .. } | CommitOutcome::AlreadyApplied { version } => Ok(version),
        }
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

/// Dismisses or opens withheld rows that `viewer` sees.
pub async fn decide(
    workspace: &Workspace,
    viewer: Viewer,
    model: &str,
    filter: Option<&str>,
    decision: Decision,
    actor: &str,
    comment: &str,
) -> Result<Decided, TrustError> {
    let place = place(workspace, model)?;
    place.catch_up(workspace).await?;
    let session = workspace.engine.session(viewer, ReadState::Working).await?;
    if session.schema(&place.quarantine).await?.is_none() {
        return Ok(Decided::Nothing { why: nothing_withheld(model) });
    }
    let (from, to, action) = match decision {
        Decision::Dismiss => ("open", "dismissed", "dismiss"),
        Decision::Reopen => ("dismissed", "open", "reopen"),
    };
    let filter = filter.map(|filter| format!(" and ({filter})")).unwrap_or_default();
    let sql = format!("select quarantine_id from {} where state = '{from}'{filter}", place.quarantine.quoted());
    let mut ids = Vec::new();
    for batch in session.collect(&sql).await? {
        ids.extend(text_column(&batch, "quarantine_id")?.iter().flatten().map(str::to_owned));
    }
    if ids.is_empty() {
        let sql = format!("select 1 as one from {} where state = '{from}' limit 1", place.quarantine.quoted());
        let is_any = session.collect(&sql).await?.iter().any(|batch| batch.num_rows() > 0);
        let why = if is_any { NO_ROW_MEETS.to_owned() } else { nothing_open(model, from) };
        return Ok(Decided::Nothing { why });
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let cells: Vec<Cell<'_>> =
        ids.iter().map(|id| Cell { quarantine_id: id, column: None, before: None, after: None }).collect();
    let action_id = uuid::Uuid::now_v7().to_string();
    let actions = action_rows(&action_id, actor, action, model, comment, &cells)?;
    let ledger = LedgerEntry::new(format!("{action}:{action_id}"), 1);
    system::append(&workspace.lake, "quarantine_actions", actions, ledger).await?;
    // Whoever decided otherwise meanwhile was first.
    Ok(match set_state(workspace, &session, &place.quarantine, &ids, &[from], to).await? {
        0 => Decided::Nothing { why: "somebody else decided about these rows meanwhile".to_owned() },
        rows => Decided::Rows(rows),
    })
}
