//! Merging rows into a table by key, and replacing the part of a table that rows belong to.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    common::{JoinType, ScalarValue},
    dataframe::DataFrame,
    execution::{SendableRecordBatchStream, SessionState},
    functions_aggregate::expr_fn::{count, max, min},
    logical_expr::{Expr, Operator, binary_expr, ident, lit, when},
};
use deltalake::protocol::DeltaOperation;
use wardlake_core::TableName;

use crate::{
    Commit, CommitOutcome, Lake, StorageError, TableSnapshot,
    commit::Change,
    replace::write_operation,
    rewrite::{Rewrite, Rewritten, column},
    schema_change::{SchemaDiff, create_actions, reconcile, require_columns},
    spool::Spool,
    state::TableState,
    table::TableHandle,
    types::delta_schema,
    write::{FileLayout, NewFiles},
};
use deltalake::{kernel::Action, protocol::SaveMode};

/// dbt's names for the two sides of a merge, as SQL folds them.
pub(crate) const SOURCE: &str = "dbt_internal_source";
pub(crate) const DEST: &str = "dbt_internal_dest";
/// True in rows of the source, NULL where an outer join found none.
pub(crate) const IN_SOURCE: &str = "__wardlake_in_source";
/// True in rows of the table, NULL where an outer join found none.
pub(crate) const IN_DEST: &str = "__wardlake_in_dest";
const TIMES: &str = "__wardlake_times";

/// How rows are merged.
#[derive(Debug, Clone)]
pub struct MergeSpec {
    /// Columns that identify a row. A NULL in any of them never matches. Without keys every row is appended.
    pub keys: Vec<String>,
    /// Columns a match updates; `None`: all the rows have.
    pub update_columns: Option<Vec<String>>,
    /// Columns a match does not update.
    pub exclude_columns: Vec<String>,
    /// Whether rows without a match are inserted.
    pub insert: bool,
    /// Whether rows of the table that no row of the source matches are deleted.
    pub delete_missing: bool,
    /// Further conditions of a match, as SQL over `DBT_INTERNAL_DEST` and `DBT_INTERNAL_SOURCE`.
    pub predicates: Vec<String>,
}

impl MergeSpec {
    /// Updates all columns of matches and inserts the rest.
    pub fn on(keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            keys: keys.into_iter().map(Into::into).collect(),
            update_columns: None,
            exclude_columns: Vec::new(),
            insert: true,
            delete_missing: false,
            predicates: Vec::new(),
        }
    }

    fn updates(&self, column: &str) -> bool {
        let named = self.update_columns.as_ref().is_none_or(|columns| columns.iter().any(|name| name == column));
        named && !self.exclude_columns.iter().any(|name| name == column)
    }
}

impl Lake {
    /// Updates rows whose key matches and inserts the others, in one commit. Only files that hold a match are rewritten.
    /// Several source rows with one key are an error. Creates the table if it is absent.
    pub async fn merge(
        &self,
        session: &SessionState,
        table: &TableName,
        source: Vec<SendableRecordBatchStream>,
        spec: MergeSpec,
        commit: Commit,
    ) -> Result<CommitOutcome, StorageError> {
        if spec.keys.is_empty() {
            return self.append(table, source, commit).await;
        }
        let handle = self.handle(table)?;
        let _writer = handle.writer.lock().await;
        let prepared = match self.prepare(&handle, session, table, source, &spec.keys, &commit).await? {
            Prepared::Done(outcome) => return Ok(outcome),
            Prepared::Create(streams) => return handle.create_with(streams, &commit).await,
            Prepared::Rewrite(prepared) => prepared,
        };
        let Sources { spool, layout, rewrite_all } = *prepared;
        check_unique(table, session, &spool, &spec.keys, false).await?;
        let rewrite_all = rewrite_all || spec.delete_missing;
        let bounds = key_bounds(table, session, &spool, &spec.keys).await?;
        let merge = Merge { session: session.clone(), spec, spool, layout, rewrite_all, bounds };
        self.commit_rewrite(&handle, &commit, &merge, NewFiles::default()).await
    }

    /// Deletes rows whose key occurs in the source, then inserts all source rows, in one commit. The source may hold several
    /// rows of one key. With `null_safe` a NULL key equals a NULL key, which makes this an overwrite of partitions or of any
    /// other part of the table that the columns tell apart.
    pub async fn delete_insert(
        &self,
        session: &SessionState,
        table: &TableName,
        source: Vec<SendableRecordBatchStream>,
        spec: DeleteInsertSpec,
        commit: Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let handle = self.handle(table)?;
        let _writer = handle.writer.lock().await;
        let prepared = match self.prepare(&handle, session, table, source, &spec.keys, &commit).await? {
            Prepared::Done(outcome) => return Ok(outcome),
            Prepared::Create(streams) => return handle.create_with(streams, &commit).await,
            Prepared::Rewrite(prepared) => prepared,
        };
        let Sources { spool, layout, rewrite_all } = *prepared;
        let bounds = match spec.null_safe {
            true => Vec::new(),
            false => key_bounds(table, session, &spool, &spec.keys).await?,
        };
        let rewrite = DeleteInsert { session: session.clone(), spec, spool, layout, rewrite_all, bounds };
        self.commit_rewrite(&handle, &commit, &rewrite, NewFiles::default()).await
    }

    /// Replaces the rows for which `predicate` (SQL over the table's columns) is true by the source's rows, which have to
    /// satisfy it too. Without source rows it is a delete.
    pub async fn replace_where(
        &self,
        session: &SessionState,
        table: &TableName,
        source: Vec<SendableRecordBatchStream>,
        predicate: &str,
        commit: Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let handle = self.handle(table)?;
        let _writer = handle.writer.lock().await;
        let prepared = match self.prepare(&handle, session, table, source, &[], &commit).await? {
            Prepared::Done(outcome) => return Ok(outcome),
            Prepared::Create(streams) => return handle.create_with(streams, &commit).await,
            Prepared::Rewrite(prepared) => prepared,
        };
        let Sources { spool, layout, rewrite_all } = *prepared;
        let query = || StorageError::query(table);
        let rows = spool.frame(session, SOURCE).map_err(query())?;
        let inside = rows.parse_sql_expr(predicate).map_err(query())?;
        let outside = rows.filter(inside.is_not_true()).map_err(query())?.count().await.map_err(query())? as u64;
        if outside > 0 {
            return Err(StorageError::OutsidePredicate {
                table: table.clone(),
                predicate: predicate.into(),
                rows: outside,
            });
        }
        let rewrite =
            ReplaceWhere { session: session.clone(), predicate: predicate.to_owned(), spool, layout, rewrite_all };
        self.commit_rewrite(&handle, &commit, &rewrite, NewFiles::default()).await
    }

    /// Reads the source once and works out the table's columns after the write. The caller holds the writer lock.
    async fn prepare(
        &self,
        handle: &Arc<TableHandle>,
        session: &SessionState,
        table: &TableName,
        source: Vec<SendableRecordBatchStream>,
        keys: &[String],
        commit: &Commit,
    ) -> Result<Prepared, StorageError> {
        let now = handle.state().await?;
        if let Some(version) = handle.applied_version(now.as_deref(), commit)? {
            return Ok(Prepared::Done(CommitOutcome::AlreadyApplied { version }));
        }
        let rows = match (source.first(), &now) {
            (Some(stream), _) => delta_schema(&stream.schema())?,
            (None, Some(now)) => now.schema(),
            (None, None) => return Err(StorageError::TableNotFound { table: table.clone() }),
        };
        require_columns(table, &rows, keys, "key")?;
        let Some(now) = now else { return Ok(Prepared::Create(source)) };
        let own = now.schema();
        require_columns(table, &own, keys, "key")?;
        let schema = reconcile(table, &own, &rows, commit.schema_change)?;
        let rewrite_all = SchemaDiff::of(&own, &schema).needs_rewrite();
        let partition_by = now.partition_columns().iter().filter(|name| schema.column_with_name(name).is_some());
        let mut layout = handle.layout(Arc::clone(&schema), partition_by.cloned().collect(), commit)?;
        layout.replaces = Some(own);
        let common = schema.fields().iter().filter(|field| rows.column_with_name(field.name()).is_some());
        let common: SchemaRef = Arc::new(Schema::new(common.cloned().collect::<Vec<_>>()));
        let spool = Spool::fill(table, session, source, common).await?;
        Ok(Prepared::Rewrite(Box::new(Sources { spool, layout, rewrite_all })))
    }
}

impl TableHandle {
    /// The first version of a table, from rows. The caller holds the writer lock.
    async fn create_with(
        &self,
        streams: Vec<SendableRecordBatchStream>,
        commit: &Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let schema = streams.first().map(|stream| delta_schema(&stream.schema())).transpose()?;
        let schema = schema.ok_or_else(|| StorageError::TableNotFound { table: self.name.clone() })?;
        let layout = self.layout(schema, commit.partition_by.clone(), commit)?;
        let files = layout.write(streams).await?;
        self.create(&layout, files, commit).await
    }

    /// The first version of a table, from files. The caller holds the writer lock.
    pub(crate) async fn create(
        &self,
        layout: &FileLayout,
        files: NewFiles,
        commit: &Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let change = |now: Option<&TableState>| {
            if now.is_some() {
                return Err(StorageError::Conflict { table: self.name.to_string(), attempts: 1 });
            }
            let mut actions = create_actions(&self.name, &layout.schema, &layout.partition_by, &commit.properties)?;
            actions.extend(files.adds.iter().cloned().map(Action::Add));
            Ok(Change { actions, operation: write_operation(SaveMode::Append, layout, None) })
        };
        let result = self.commit(commit, change).await;
        self.finish(result, files).await
    }
}

/// How far a write by key got without looking at the table's rows.
enum Prepared {
    Done(CommitOutcome),
    Create(Vec<SendableRecordBatchStream>),
    Rewrite(Box<Sources>),
}

/// The rows to be written, and how.
struct Sources {
    spool: Spool,
    layout: FileLayout,
    /// The table loses a column or changes a type: every file is rewritten.
    rewrite_all: bool,
}

/// Which rows `delete_insert` replaces.
#[derive(Debug, Clone, Default)]
pub struct DeleteInsertSpec {
    /// Columns that tell which rows go.
    pub keys: Vec<String>,
    /// Whether NULL equals NULL.
    pub null_safe: bool,
    /// Further conditions a row of the table has to meet to be deleted, as SQL over `DBT_INTERNAL_DEST`.
    pub predicates: Vec<String>,
}

/// Fails if several rows share a key; with `required` also if a key is NULL.
pub(crate) async fn check_unique(
    table: &TableName,
    session: &SessionState,
    spool: &Spool,
    keys: &[String],
    required: bool,
) -> Result<(), StorageError> {
    let query = || StorageError::query(table);
    let columns: Vec<Expr> = keys.iter().map(|key| column(SOURCE, key)).collect();
    let rows = spool.frame(session, SOURCE).map_err(query())?;
    let null = columns.iter().cloned().map(Expr::is_null).reduce(Expr::or).unwrap_or_else(|| lit(false));
    if required {
        let rows = rows.clone().filter(null.clone()).map_err(query())?.count().await.map_err(query())? as u64;
        if rows > 0 {
            return Err(StorageError::NullKeys { table: table.clone(), columns: keys.to_vec(), rows });
        }
    }
    let twice = rows
        .filter(Expr::Not(Box::new(null)))
        .and_then(|rows| rows.aggregate(columns, vec![count(lit(1i64)).alias(TIMES)]))
        .and_then(|rows| rows.filter(ident(TIMES).gt(lit(1i64))))
        .map_err(query())?;
    match twice.count().await.map_err(query())? as u64 {
        0 => Ok(()),
        found => Err(StorageError::DuplicateKeys { table: table.clone(), columns: keys.to_vec(), keys: found }),
    }
}

/// The least and greatest value of each key: files beyond them hold no match.
pub(crate) async fn key_bounds(
    table: &TableName,
    session: &SessionState,
    spool: &Spool,
    keys: &[String],
) -> Result<Vec<Expr>, StorageError> {
    let query = || StorageError::query(table);
    let keys: Vec<&String> = keys
        .iter()
        .filter(|key| spool.schema.field_with_name(key).is_ok_and(|field| !field.data_type().is_nested()))
        .collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let ends = keys.iter().enumerate().flat_map(|(i, key)| {
        let key = column(SOURCE, key);
        [min(key.clone()).alias(format!("min{i}")), max(key).alias(format!("max{i}"))]
    });
    let rows =
        spool.frame(session, SOURCE).and_then(|rows| rows.aggregate(Vec::new(), ends.collect())).map_err(query())?;
    let mut bounds = Vec::new();
    for batch in rows.collect().await.map_err(query())?.iter().filter(|batch| batch.num_rows() > 0) {
        for (i, key) in keys.iter().enumerate() {
            let end = |column: usize| ScalarValue::try_from_array(batch.column(column), 0).map_err(query());
            let (low, high) = (end(2 * i)?, end(2 * i + 1)?);
            if !low.is_null() {
                bounds.push(column(DEST, key).between(lit(low), lit(high)));
            }
        }
    }
    Ok(bounds)
}

/// `DBT_INTERNAL_DEST` in whatever case it was written, as the relation is called here.
pub(crate) fn fold_sides(sql: &str) -> String {
    let mut folded = sql.to_owned();
    for side in [SOURCE, DEST] {
        let mut from = 0;
        while let Some(at) = folded[from..].to_ascii_lowercase().find(side).map(|at| from + at) {
            folded.replace_range(at..at + side.len(), side);
            from = at + side.len();
        }
    }
    folded
}

pub(crate) fn key_match(keys: &[String], null_safe: bool) -> impl Iterator<Item = Expr> {
    let operator = if null_safe { Operator::IsNotDistinctFrom } else { Operator::Eq };
    keys.iter().map(move |key| binary_expr(column(SOURCE, key), operator, column(DEST, key)))
}

pub(crate) fn marked(rows: DataFrame, marker: &str) -> datafusion::error::Result<DataFrame> {
    let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(lit(true).alias(marker));
    rows.select(columns)
}

/// Filters the table's side so that files without a match are not read.
pub(crate) fn bounded(rows: DataFrame, bounds: &[Expr]) -> datafusion::error::Result<DataFrame> {
    match bounds.iter().cloned().reduce(Expr::and) {
        Some(bounds) => rows.filter(bounds),
        None => Ok(rows),
    }
}

struct Merge {
    session: SessionState,
    spec: MergeSpec,
    spool: Spool,
    layout: FileLayout,
    rewrite_all: bool,
    bounds: Vec<Expr>,
}

impl Merge {
    /// The condition of a match. Predicates are SQL, so they are read against the two sides' columns.
    fn on(&self, dest: &DataFrame) -> datafusion::error::Result<Vec<Expr>> {
        let source = self.spool.frame(&self.session, SOURCE)?;
        let both = source.schema().join(dest.schema())?;
        let mut on: Vec<Expr> = key_match(&self.spec.keys, false).collect();
        for predicate in &self.spec.predicates {
            on.push(self.session.create_logical_expr(&fold_sides(predicate), &both)?);
        }
        Ok(on)
    }

    fn has_updates(&self) -> bool {
        let updated = |name: &String| self.spec.updates(name) && !self.spec.keys.contains(name);
        self.spool.schema.fields().iter().any(|field| updated(field.name()))
    }

    /// The merged columns of a full join of both sides.
    fn columns(&self, own: &Schema) -> datafusion::error::Result<Vec<Expr>> {
        let fields = self.layout.schema.fields().iter();
        let columns = fields.map(|field| {
            let name = field.name();
            let in_source = self.spool.schema.field_with_name(name).is_ok();
            let value = match (in_source, own.field_with_name(name).is_ok()) {
                (true, true) if self.spec.updates(name) => {
                    when(ident(IN_SOURCE).is_not_null(), column(SOURCE, name)).otherwise(column(DEST, name))?
                }
                (true, true) => {
                    when(ident(IN_DEST).is_not_null(), column(DEST, name)).otherwise(column(SOURCE, name))?
                }
                (true, false) => column(SOURCE, name),
                (false, true) => column(DEST, name),
                (false, false) => lit(ScalarValue::Null),
            };
            Ok(value.alias(name))
        });
        columns.collect()
    }
}

#[async_trait]
impl Rewrite for Merge {
    async fn rewrite(&self, base: &TableSnapshot) -> Result<Rewritten, StorageError> {
        let query = || StorageError::query(base.name());
        let source = marked(self.spool.frame(&self.session, SOURCE).map_err(query())?, IN_SOURCE).map_err(query())?;
        let dest = base.scan(&self.session, DEST, None, true).await?;
        let on = self.on(&dest).map_err(query())?;
        let files = match self.rewrite_all {
            true => base.data_files(),
            false => {
                let dest = bounded(dest, &self.bounds).map_err(query())?;
                base.files_of(source.clone().join_on(dest, JoinType::Inner, on.clone()).map_err(query())?).await?
            }
        };
        let dest = base.scan(&self.session, DEST, Some(&files), false).await?;
        let dest = marked(dest, IN_DEST).map_err(query())?;
        // Without updates or deletes the files with matches stay; only rows without a match are written.
        let insert_only = !self.rewrite_all && !self.has_updates();
        let join_type = match (insert_only, self.spec.insert, self.spec.delete_missing) {
            (true, _, _) => JoinType::LeftAnti,
            (false, true, false) => JoinType::Full,
            (false, true, true) => JoinType::Left,
            (false, false, true) => JoinType::Inner,
            (false, false, false) => JoinType::Right,
        };
        let joined = source.join_on(dest, join_type, on).map_err(query())?;
        let merged = match join_type {
            JoinType::LeftAnti => {
                let columns = self.spool.schema.fields().iter().map(|field| column(SOURCE, field.name()));
                joined.select(columns.collect::<Vec<_>>()).and_then(|rows| match self.spec.insert {
                    true => Ok(rows),
                    false => rows.limit(0, Some(0)),
                })
            }
            _ => joined.select(self.columns(&base.schema()).map_err(query())?),
        };
        let streams = base.streams(merged.map_err(query())?).await?;
        let predicate = self.spec.keys.iter().map(|key| format!("{DEST}.{key} = {SOURCE}.{key}")).collect::<Vec<_>>();
        Ok(Rewritten {
            removed: if insert_only { Vec::new() } else { files },
            files: self.layout.write(streams).await?,
            data_change: true,
            layout: self.layout.clone(),
            operation: merge_operation(predicate.join(" AND ")),
        })
    }
}

pub(crate) fn merge_operation(predicate: String) -> DeltaOperation {
    DeltaOperation::Merge {
        predicate: Some(predicate.clone()),
        merge_predicate: Some(predicate),
        matched_predicates: Vec::new(),
        not_matched_predicates: Vec::new(),
        not_matched_by_source_predicates: Vec::new(),
    }
}

struct DeleteInsert {
    session: SessionState,
    spec: DeleteInsertSpec,
    spool: Spool,
    layout: FileLayout,
    rewrite_all: bool,
    bounds: Vec<Expr>,
}

#[async_trait]
impl Rewrite for DeleteInsert {
    async fn rewrite(&self, base: &TableSnapshot) -> Result<Rewritten, StorageError> {
        let query = || StorageError::query(base.name());
        let source = self.spool.frame(&self.session, SOURCE).map_err(query())?;
        let keys = self.spec.keys.iter().map(|key| column(SOURCE, key)).collect::<Vec<_>>();
        let keys = source.clone().select(keys).and_then(DataFrame::distinct).map_err(query())?;
        let dest = base.scan(&self.session, DEST, None, true).await?;
        let mut on: Vec<Expr> = key_match(&self.spec.keys, self.spec.null_safe).collect();
        for predicate in &self.spec.predicates {
            on.push(dest.parse_sql_expr(&fold_sides(predicate)).map_err(query())?);
        }
        let files = match self.rewrite_all {
            true => base.data_files(),
            false => {
                let dest = bounded(dest, &self.bounds).map_err(query())?;
                base.files_of(dest.join_on(keys.clone(), JoinType::LeftSemi, on.clone()).map_err(query())?).await?
            }
        };
        let dest = base.scan(&self.session, DEST, Some(&files), false).await?;
        let kept = dest.join_on(keys, JoinType::LeftAnti, on).map_err(query())?;
        let mut streams = base.streams(kept).await?;
        streams.extend(base.streams(source).await?);
        Ok(Rewritten {
            removed: files,
            files: self.layout.write(streams).await?,
            data_change: true,
            layout: self.layout.clone(),
            operation: write_operation(SaveMode::Overwrite, &self.layout, Some(self.spec.keys.join(", "))),
        })
    }
}

struct ReplaceWhere {
    session: SessionState,
    predicate: String,
    spool: Spool,
    layout: FileLayout,
    rewrite_all: bool,
}

#[async_trait]
impl Rewrite for ReplaceWhere {
    async fn rewrite(&self, base: &TableSnapshot) -> Result<Rewritten, StorageError> {
        let query = || StorageError::query(base.name());
        let dest = base.scan(&self.session, DEST, None, true).await?;
        let inside = dest.parse_sql_expr(&self.predicate).map_err(query())?;
        let files = match self.rewrite_all {
            true => base.data_files(),
            false => base.files_of(dest.filter(inside.clone()).map_err(query())?).await?,
        };
        let dest = base.scan(&self.session, DEST, Some(&files), false).await?;
        let kept = dest.filter(inside.is_not_true()).map_err(query())?;
        let mut streams = base.streams(kept).await?;
        if self.spool.rows() > 0 {
            streams.extend(base.streams(self.spool.frame(&self.session, SOURCE).map_err(query())?).await?);
        }
        Ok(Rewritten {
            removed: files,
            files: self.layout.write(streams).await?,
            data_change: true,
            layout: self.layout.clone(),
            operation: write_operation(SaveMode::Overwrite, &self.layout, Some(self.predicate.clone())),
        })
    }
}
