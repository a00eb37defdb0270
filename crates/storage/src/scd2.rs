//! Snapshots: a table that keeps every version of each row with the time it was valid, by dbt's rules.
//!
//! A source row opens a version when its key is new or its row changed; the version before it is closed at the same instant.
//! *Timestamp*: changed means `valid_from < updated_at`, so a change that keeps its `updated_at` is not seen; such ties are
//! counted. *Check*: changed means that a checked column differs, NULL being a value like others; a column that is new to the
//! table changes every row. Rows whose key left the source stay, are closed, or are closed and followed by a version that says so.

use std::sync::Arc;

use arrow::{
    array::AsArray,
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::{
    common::{JoinType, ScalarValue},
    dataframe::DataFrame,
    error::Result as QueryResult,
    execution::{SendableRecordBatchStream, SessionState},
    functions::{
        core::expr_fn::{coalesce, greatest},
        crypto::expr_fn::md5,
        string::expr_fn::concat,
    },
    functions_aggregate::expr_fn::{count, min},
    logical_expr::{Expr, Operator, binary_expr, cast, ident, lit, when},
};
use tokio::sync::Mutex;
use wardlake_core::TableName;

use crate::{
    Commit, CommitOutcome, Lake, StorageError, TableSnapshot,
    merge::{DEST, IN_DEST, IN_SOURCE, SOURCE, check_unique, key_match, marked, merge_operation},
    rewrite::{FILE_COLUMN, Rewrite, Rewritten, column},
    schema_change::require_columns,
    spool::Spool,
    state::DataFile,
    types::{delta_schema, delta_type},
    write::{FileLayout, NewFiles},
};

/// The instant a source row's version begins, computed once per row.
const SINCE: &str = "__wardlake_since";
const CLOSED: &str = "__wardlake_closed";
const ENDS: &str = "__wardlake_ends";
const GONE: &str = "__wardlake_gone";

/// How a snapshot table is kept.
#[derive(Debug, Clone)]
pub struct Scd2Spec {
    /// Columns that identify a row of the source: unique and never NULL.
    pub key: Vec<String>,
    /// What makes a row a new version.
    pub strategy: Scd2Strategy,
    /// What becomes of rows that left the source.
    pub hard_deletes: HardDeletes,
    /// SQL of the value that stands for "still valid" in place of NULL (dbt's `dbt_valid_to_current`).
    pub valid_to_current: Option<String>,
    /// Names of the columns added to the source's.
    pub columns: Scd2Columns,
    /// The instant of this run.
    pub now: DateTime<Utc>,
}

/// What makes a row a new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scd2Strategy {
    /// A later value in this column.
    Timestamp {
        /// The column.
        updated_at: String,
    },
    /// Another value in one of these columns; `None`: in any.
    Check {
        /// The columns.
        columns: Option<Vec<String>>,
    },
}

/// What becomes of rows that left the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HardDeletes {
    /// They stay valid.
    #[default]
    Ignore,
    /// They are closed at the instant of the run.
    Invalidate,
    /// They are closed and followed by a version that is marked deleted.
    NewRecord,
}

/// Names of the columns a snapshot adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scd2Columns {
    /// Identifies a version (md5 of key and instant, as text).
    pub scd_id: String,
    /// The source's `updated_at`, or the instant of the run.
    pub updated_at: String,
    /// First instant of validity.
    pub valid_from: String,
    /// First instant after validity.
    pub valid_to: String,
    /// 'True' or 'False', as text; only with [`HardDeletes::NewRecord`].
    pub is_deleted: String,
}

impl Default for Scd2Columns {
    fn default() -> Self {
        Self {
            scd_id: "dbt_scd_id".into(),
            updated_at: "dbt_updated_at".into(),
            valid_from: "dbt_valid_from".into(),
            valid_to: "dbt_valid_to".into(),
            is_deleted: "dbt_is_deleted".into(),
        }
    }
}

/// What a snapshot run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scd2Outcome {
    /// The commit.
    pub commit: CommitOutcome,
    /// Versions that were opened, deletion records included.
    pub opened: u64,
    /// Versions that were closed.
    pub closed: u64,
    /// Of those, because their row left the source.
    pub deleted: u64,
    /// Rows that differ from their current version but whose `updated_at` is not later: not recorded, by the strategy's rule.
    pub ties: u64,
    /// Source rows without `updated_at`: recorded when new, never as a change.
    pub without_updated_at: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    opened: u64,
    closed: u64,
    deleted: u64,
    ties: u64,
    without_updated_at: u64,
}

/// NULL is no. `IS TRUE` would say so too, but its plan and its type disagree on whether it can be NULL.
fn holds(condition: Expr) -> Expr {
    coalesce(vec![condition, lit(false)])
}

impl Lake {
    /// Brings a snapshot table up to date with the rows of its source, in one commit. Creates the table if it is absent.
    /// Columns that are new in the source are added; columns it lost stay, NULL in new versions.
    pub async fn scd2_apply(
        &self,
        session: &SessionState,
        table: &TableName,
        source: Vec<SendableRecordBatchStream>,
        spec: Scd2Spec,
        commit: Commit,
    ) -> Result<Scd2Outcome, StorageError> {
        let handle = self.handle(table)?;
        let _writer = handle.writer.lock().await;
        let now = handle.state().await?;
        if let Some(version) = handle.applied_version(now.as_deref(), &commit)? {
            return Ok(outcome(CommitOutcome::AlreadyApplied { version }, Counts::default()));
        }
        let own = now.as_ref().map(|now| now.schema());
        let incoming = match source.first() {
            Some(stream) => delta_schema(&stream.schema())?,
            None => return Err(StorageError::TableNotFound { table: table.clone() }),
        };
        require_columns(table, &incoming, &spec.key, "key")?;
        let incoming = spec.stored_source(table, &incoming, own.as_deref())?;
        let schema = spec.stored_schema(&incoming, own.as_deref())?;
        let spool = Spool::fill(table, session, source, incoming).await?;
        check_unique(table, session, &spool, &spec.key, true).await?;
        let partition_by = match &now {
            Some(now) => now.partition_columns().to_vec(),
            None => commit.partition_by.clone(),
        };
        let mut layout = handle.layout(schema, partition_by, &commit)?;
        layout.replaces = own;
        let work = Scd2 { session: session.clone(), spec, spool, layout, counts: Mutex::default() };
        let committed = match now {
            None => {
                let files = work.first().await?;
                work.counts.lock().await.opened = files.rows();
                handle.create(&work.layout, files, &commit).await?
            }
            Some(_) => self.commit_rewrite(&handle, &commit, &work, NewFiles::default()).await?,
        };
        let counts = *work.counts.lock().await;
        Ok(outcome(committed, counts))
    }
}

fn outcome(commit: CommitOutcome, counts: Counts) -> Scd2Outcome {
    let Counts { opened, closed, deleted, ties, without_updated_at } = counts;
    Scd2Outcome { commit, opened, closed, deleted, ties, without_updated_at }
}

impl Scd2Spec {
    fn meta_columns(&self) -> Vec<&String> {
        let Scd2Columns { scd_id, updated_at, valid_from, valid_to, is_deleted } = &self.columns;
        let mut all = vec![scd_id, updated_at, valid_from, valid_to];
        if self.hard_deletes == HardDeletes::NewRecord {
            all.push(is_deleted);
        }
        all
    }

    /// The source's columns, with the table's types where it has them already.
    fn stored_source(&self, table: &TableName, rows: &Schema, own: Option<&Schema>) -> Result<SchemaRef, StorageError> {
        if let Scd2Strategy::Timestamp { updated_at } = &self.strategy {
            require_columns(table, rows, std::slice::from_ref(updated_at), "updated_at")?;
        }
        if let Scd2Strategy::Check { columns: Some(columns) } = &self.strategy {
            require_columns(table, rows, columns, "checked column")?;
        }
        let meta = self.meta_columns();
        let fields = rows
            .fields()
            .iter()
            .filter(|field| !meta.contains(&field.name()))
            .map(|field| own.and_then(|own| own.fields().find(field.name())).map_or(field, |(_, own)| own).clone());
        Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }

    /// The type of the validity columns.
    fn instant_type(&self, source: &Schema, own: Option<&Schema>) -> DataType {
        let own = own.and_then(|own| own.field_with_name(&self.columns.valid_from).ok());
        let updated_at = match &self.strategy {
            Scd2Strategy::Timestamp { updated_at } => source.field_with_name(updated_at).ok(),
            Scd2Strategy::Check { .. } => None,
        };
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        own.or(updated_at).and_then(|field| delta_type(field.data_type())).unwrap_or(instant)
    }

    fn stored_schema(&self, source: &SchemaRef, own: Option<&Schema>) -> Result<SchemaRef, StorageError> {
        let instant = self.instant_type(source, own);
        let mut fields: Vec<Arc<Field>> = match own {
            Some(own) => own.fields().iter().cloned().collect(),
            None => Vec::new(),
        };
        let has = |fields: &[Arc<Field>], name: &str| fields.iter().any(|field| field.name() == name);
        for field in source.fields() {
            if !has(&fields, field.name()) {
                fields.push(Arc::clone(field));
            }
        }
        for name in self.meta_columns() {
            if !has(&fields, name) {
                let is_text = [&self.columns.scd_id, &self.columns.is_deleted].contains(&name);
                fields.push(Arc::new(Field::new(name, if is_text { DataType::Utf8 } else { instant.clone() }, true)));
            }
        }
        Ok(Arc::new(Schema::new(fields)))
    }
}

/// One run: the spec, the source's rows, and what was found.
struct Scd2 {
    session: SessionState,
    spec: Scd2Spec,
    spool: Spool,
    layout: FileLayout,
    counts: Mutex<Counts>,
}

impl Scd2 {
    fn instant(&self) -> DataType {
        let field = self.layout.schema.field_with_name(&self.spec.columns.valid_from);
        field.map_or(DataType::Utf8, |field| field.data_type().clone())
    }

    fn now(&self) -> Expr {
        let now = ScalarValue::TimestampMicrosecond(Some(self.spec.now.timestamp_micros()), Some("UTC".into()));
        cast(lit(now), self.instant())
    }

    /// The value that says "still valid".
    fn open_end(&self, rows: &DataFrame) -> QueryResult<Expr> {
        match &self.spec.valid_to_current {
            Some(sql) => Ok(cast(rows.parse_sql_expr(sql)?, self.instant())),
            None => Ok(cast(lit(ScalarValue::Null), self.instant())),
        }
    }

    fn is_current(&self, dest: &DataFrame) -> QueryResult<Expr> {
        let valid_to = column(DEST, &self.spec.columns.valid_to);
        let open = valid_to.clone().is_null();
        match &self.spec.valid_to_current {
            Some(_) => Ok(open.or(valid_to.eq(self.open_end(dest)?))),
            None => Ok(open),
        }
    }

    /// The source's rows, each with the instant its version would begin.
    fn source(&self) -> QueryResult<DataFrame> {
        let rows = marked(self.spool.frame(&self.session, SOURCE)?, IN_SOURCE)?;
        let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
        let since = match &self.spec.strategy {
            Scd2Strategy::Timestamp { updated_at } => cast(column(SOURCE, updated_at), self.instant()),
            Scd2Strategy::Check { .. } => self.now(),
        };
        columns.push(since.alias(SINCE));
        rows.select(columns)
    }

    fn id(&self, parts: impl Iterator<Item = Expr>) -> Expr {
        let text = |part: Expr| coalesce(vec![cast(part, DataType::Utf8), lit("")]);
        let mut joined: Vec<Expr> = Vec::new();
        for part in parts {
            if !joined.is_empty() {
                joined.push(lit("|"));
            }
            joined.push(text(part));
        }
        md5(concat(joined))
    }

    /// A source row as a version of the table.
    fn version(&self, rows: &DataFrame, since: Expr) -> QueryResult<Vec<Expr>> {
        let meta = &self.spec.columns;
        let open_end = self.open_end(rows)?;
        let key = self.spec.key.iter().map(|key| column(SOURCE, key));
        let columns = self.layout.schema.fields().iter().map(|field| {
            let name = field.name();
            let value = match name {
                name if *name == meta.scd_id => self.id(key.clone().chain([since.clone()])),
                name if *name == meta.updated_at || *name == meta.valid_from => since.clone(),
                name if *name == meta.valid_to => open_end.clone(),
                name if *name == meta.is_deleted => lit("False"),
                name if self.spool.schema.field_with_name(name).is_ok() => column(SOURCE, name),
                _ => lit(ScalarValue::Null),
            };
            value.alias(name)
        });
        Ok(columns.collect())
    }

    /// The version that says that a row is gone: the last one's values, from now on.
    fn tombstone(&self, rows: &DataFrame, own: &Schema) -> QueryResult<Vec<Expr>> {
        let meta = &self.spec.columns;
        let open_end = self.open_end(rows)?;
        let columns = self.layout.schema.fields().iter().map(|field| {
            let name = field.name();
            let value = match name {
                name if *name == meta.scd_id => self.id([column(DEST, name), self.now()].into_iter()),
                name if *name == meta.updated_at || *name == meta.valid_from => self.now(),
                name if *name == meta.valid_to => open_end.clone(),
                name if *name == meta.is_deleted => lit("True"),
                name if own.field_with_name(name).is_ok() => column(DEST, name),
                _ => lit(ScalarValue::Null),
            };
            value.alias(name)
        });
        Ok(columns.collect())
    }

    /// Whether a current version of the table is one that says "deleted".
    fn is_tombstone(&self, own: &Schema) -> Expr {
        let name = &self.spec.columns.is_deleted;
        match self.spec.hard_deletes {
            HardDeletes::NewRecord if own.field_with_name(name).is_ok() => holds(column(DEST, name).eq(lit("True"))),
            _ => lit(false),
        }
    }

    /// Whether any of the columns differs between the two sides.
    fn differs(&self, own: &Schema, columns: Option<&[String]>) -> Expr {
        let all = self.spool.schema.fields().iter().map(|field| field.name());
        let checked = all.filter(|name| match columns {
            Some(columns) => columns.contains(name),
            None => !self.spec.key.contains(name),
        });
        let difference = |name: &String| match own.field_with_name(name) {
            Ok(_) => binary_expr(column(SOURCE, name), Operator::IsDistinctFrom, column(DEST, name)),
            Err(_) => lit(true),
        };
        checked.map(difference).reduce(Expr::or).unwrap_or_else(|| lit(false))
    }

    /// Whether the source's row is a new version of the table's.
    fn changed(&self, own: &Schema) -> Expr {
        let changed = match &self.spec.strategy {
            Scd2Strategy::Timestamp { .. } => holds(column(DEST, &self.spec.columns.valid_from).lt(ident(SINCE))),
            Scd2Strategy::Check { columns } => self.differs(own, columns.as_deref()),
        };
        changed.or(self.is_tombstone(own))
    }

    /// When a changed row's new version begins. One that comes back after its deletion does so now, unless the source says later.
    fn since(&self, own: &Schema) -> QueryResult<Expr> {
        when(self.is_tombstone(own), greatest(vec![ident(SINCE), self.now()])).otherwise(ident(SINCE))
    }

    /// The files of a table that does not exist yet.
    async fn first(&self) -> Result<NewFiles, StorageError> {
        let query = || StorageError::query(&self.layout.table);
        let rows = self.source().map_err(query())?;
        if let Scd2Strategy::Timestamp { .. } = self.spec.strategy {
            let missing =
                rows.clone().filter(ident(SINCE).is_null()).map_err(query())?.count().await.map_err(query())?;
            self.counts.lock().await.without_updated_at = missing as u64;
        }
        let columns = self.version(&rows, ident(SINCE)).map_err(query())?;
        let rows = rows.select(columns).map_err(query())?;
        self.layout.write(rows.execute_stream_partitioned().await.map_err(query())?).await
    }
}

#[async_trait]
impl Rewrite for Scd2 {
    async fn rewrite(&self, base: &TableSnapshot) -> Result<Rewritten, StorageError> {
        let query = || StorageError::query(base.name());
        let own = base.schema();
        let both = self.joined(base).await?;
        let closing = self.closing(&both, &own).map_err(query())?;
        let schema: SchemaRef = Arc::new(closing.schema().as_arrow().clone());
        let closing = Spool::fill(base.name(), &self.session, base.streams(closing).await?, schema).await?;
        let files = base.files_of(closing.frame(&self.session, CLOSED).map_err(query())?).await?;

        let mut streams = base.streams(self.opened(&both, &own).map_err(query())?).await?;
        if self.spec.hard_deletes == HardDeletes::NewRecord {
            let gone = both.clone().filter(self.is_gone(&own)).map_err(query())?;
            let columns = self.tombstone(&gone, &own).map_err(query())?;
            streams.extend(base.streams(gone.select(columns).map_err(query())?).await?);
        }
        let opened = self.layout.write(streams).await?;
        let opened_rows = opened.rows();
        let mut new = opened;
        if !files.is_empty() {
            match self.rewritten(base, &files, &closing).await {
                Ok(rewritten) => new.adds.extend(rewritten.adds),
                Err(error) => {
                    new.discard(&self.layout.store).await;
                    return Err(error);
                }
            }
        }
        self.count(base, &both, &closing, opened_rows).await?;
        let keys = self.spec.key.iter().map(|key| format!("{DEST}.{key} = {SOURCE}.{key}")).collect::<Vec<_>>();
        Ok(Rewritten {
            removed: files,
            files: new,
            data_change: true,
            layout: self.layout.clone(),
            operation: merge_operation(keys.join(" AND ")),
        })
    }
}

impl Scd2 {
    /// Source rows beside the current version of their key, each side with its marker.
    async fn joined(&self, base: &TableSnapshot) -> Result<DataFrame, StorageError> {
        let query = || StorageError::query(base.name());
        let dest = base.scan(&self.session, DEST, None, true).await?;
        let current = self.is_current(&dest).map_err(query())?;
        let dest = dest.filter(current).and_then(|dest| marked(dest, IN_DEST)).map_err(query())?;
        let source = self.source().map_err(query())?;
        source.join_on(dest, JoinType::Full, key_match(&self.spec.key, false)).map_err(query())
    }

    fn is_gone(&self, own: &Schema) -> Expr {
        match self.spec.hard_deletes {
            HardDeletes::Ignore => lit(false),
            _ => ident(IN_SOURCE).is_null().and(Expr::Not(Box::new(self.is_tombstone(own)))),
        }
    }

    /// The keys whose current version ends, with the instant and the file it is in.
    fn closing(&self, both: &DataFrame, own: &Schema) -> QueryResult<DataFrame> {
        let gone = self.is_gone(own);
        let superseded = ident(IN_SOURCE).is_not_null().and(ident(IN_DEST).is_not_null()).and(self.changed(own));
        let rows = both.clone().filter(superseded.or(gone.clone()))?;
        let mut columns: Vec<Expr> = self.spec.key.iter().map(|key| column(DEST, key).alias(key)).collect();
        columns.push(ident(FILE_COLUMN));
        columns.push(when(gone.clone(), self.now()).otherwise(self.since(own)?)?.alias(ENDS));
        columns.push(gone.alias(GONE));
        rows.select(columns)
    }

    /// The versions the source opens.
    fn opened(&self, both: &DataFrame, own: &Schema) -> QueryResult<DataFrame> {
        let is_new = ident(IN_DEST).is_null().or(self.changed(own));
        let rows = both.clone().filter(ident(IN_SOURCE).is_not_null().and(is_new))?;
        let columns = self.version(&rows, self.since(own)?)?;
        rows.select(columns)
    }

    /// The files that hold a version that ends, with its end.
    async fn rewritten(
        &self,
        base: &TableSnapshot,
        files: &[Arc<DataFile>],
        closing: &Spool,
    ) -> Result<NewFiles, StorageError> {
        let query = || StorageError::query(base.name());
        let keys = self.spec.key.iter().map(|key| column(CLOSED, key)).collect::<Vec<_>>();
        // Should a table hold two current versions of a key, both end and neither is doubled.
        let ends = closing
            .frame(&self.session, CLOSED)
            .and_then(|rows| rows.aggregate(keys, vec![min(ident(ENDS)).alias(ENDS)]))
            .map_err(query())?;
        let dest = base.scan(&self.session, DEST, Some(files), false).await?;
        let current = self.is_current(&dest).map_err(query())?;
        let on = self.spec.key.iter().map(|key| column(DEST, key).eq(column(CLOSED, key))).chain([current]);
        let rows = dest.join_on(ends, JoinType::Left, on).map_err(query())?;
        let own = base.schema();
        let columns = self.layout.schema.fields().iter().map(|field| {
            let name = field.name();
            let value = match own.field_with_name(name) {
                Ok(_) if *name == self.spec.columns.valid_to => coalesce(vec![ident(ENDS), column(DEST, name)]),
                Ok(_) => column(DEST, name),
                Err(_) => lit(ScalarValue::Null),
            };
            value.alias(name)
        });
        let rows = rows.select(columns.collect::<Vec<_>>()).map_err(query())?;
        self.layout.write(base.streams(rows).await?).await
    }

    async fn count(
        &self,
        base: &TableSnapshot,
        both: &DataFrame,
        closing: &Spool,
        opened: u64,
    ) -> Result<(), StorageError> {
        let query = || StorageError::query(base.name());
        let gone = closing.frame(&self.session, CLOSED).and_then(|rows| rows.filter(ident(GONE))).map_err(query())?;
        let deleted = gone.count().await.map_err(query())? as u64;
        let mut counts = Counts { opened, closed: closing.rows() as u64, deleted, ..Counts::default() };
        if let Scd2Strategy::Timestamp { .. } = self.spec.strategy {
            let own = base.schema();
            let matched = ident(IN_SOURCE).is_not_null().and(ident(IN_DEST).is_not_null());
            let tie = matched.and(Expr::Not(Box::new(self.changed(&own)))).and(self.differs(&own, None));
            let without = ident(IN_SOURCE).is_not_null().and(ident(SINCE).is_null());
            let sum = |condition: Expr| -> QueryResult<Expr> { Ok(count(when(condition, lit(1i64)).end()?)) };
            let sums =
                (|| both.clone().aggregate(Vec::new(), vec![sum(tie)?.alias("ties"), sum(without)?.alias("without")]))(
                );
            let batches = sums.map_err(query())?.collect().await.map_err(query())?;
            if let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) {
                let value = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(0).max(0) as u64;
                (counts.ties, counts.without_updated_at) = (value(0), value(1));
            }
        }
        *self.counts.lock().await = counts;
        Ok(())
    }
}
