//! The newest version of a table by what its commits say: its columns, its files, what it has consumed. That is enough to append to
//! it and to read what was appended, and bringing it up to date costs one small file per commit. A full state costs far more: too
//! much for tables that a server commits to several times a second.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::execution::SendableRecordBatchStream;
use deltalake::{
    DeltaTable,
    kernel::{Action, Add, Remove},
    logstore::get_actions,
    protocol::SaveMode,
    table::state::DeltaTableState,
};
use object_store::path::Path;
use wardlake_core::TableName;

use crate::{
    Commit, CommitOutcome, Lake, StorageError, TableSnapshot,
    commit::{ATTEMPTS, Change, Committed},
    log::Ledger,
    replace::{same_schema, state, write_operation},
    schema_change::reconcile,
    table::TableHandle,
    types::delta_schema,
    write::{FileLayout, NewFiles},
};

/// A version of a table by its files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TableHead {
    pub(crate) handle: Arc<TableHandle>,
    id: String,
    version: u64,
    schema: SchemaRef,
    files: Option<Arc<DataFiles>>,
    /// None: still to be read.
    ledger: Option<Ledger>,
}

/// The data files of a version and their bytes.
type DataFiles = BTreeMap<Path, u64>;

/// What a handle knows of its newest version.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// A state of the table with the same columns and protocol, at this version or an earlier one.
    base: DeltaTable,
    version: u64,
    /// When the commit file of this version was written: tells a table from one created anew under its name.
    committed_at: Option<DateTime<Utc>>,
    schema: SchemaRef,
    /// None if there is more to a row than its file: partition columns, rows that are deleted, columns under other names.
    files: Option<Arc<DataFiles>>,
    ledger: Ledger,
}

impl TableHead {
    /// The table.
    pub fn name(&self) -> &TableName {
        &self.handle.name
    }

    /// The Delta version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// As [`TableSnapshot::table_id`].
    pub fn table_id(&self) -> &str {
        &self.id
    }

    /// As [`TableSnapshot::schema`].
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The data files and their bytes, if they hold the table's rows and nothing else: no partition columns beside them, no rows
    /// that are deleted, no columns under other names.
    pub(crate) fn plain_files(&self) -> Option<&DataFiles> {
        self.files.as_deref()
    }

    /// How far this version has consumed `app_id`.
    pub async fn consumed(&self, app_id: &str) -> Result<Option<i64>, StorageError> {
        match &self.ledger {
            Some(ledger) => Ok(ledger.consumed(app_id)),
            None => Ok(self.handle.ledger(self.version).await?.consumed(app_id)),
        }
    }

    /// The version as a full state.
    pub async fn snapshot(&self) -> Result<TableSnapshot, StorageError> {
        let now = self.handle.refresh().await?;
        let now = now.ok_or_else(|| StorageError::TableNotFound { table: self.name().clone() })?;
        TableSnapshot::new(Arc::clone(&self.handle), now)?.at(self.version).await
    }
}

impl TableSnapshot {
    /// This version by its files.
    pub fn head(&self) -> TableHead {
        let files = self.table.snapshot().ok().and_then(plain_files).map(Arc::new);
        TableHead {
            handle: Arc::clone(&self.handle),
            id: self.table_id(),
            version: self.version(),
            schema: self.schema(),
            files,
            ledger: None,
        }
    }
}

fn plain_files(state: &DeltaTableState) -> Option<DataFiles> {
    let is_mapped = state.metadata().configuration().get("delta.columnMapping.mode").is_some_and(|mode| mode != "none");
    if is_mapped || !state.metadata().partition_columns().is_empty() {
        return None;
    }
    let files = state.log_data().into_iter().map(|view| {
        let path = view.object_store_path();
        let is_plain = view.deletion_vector_descriptor().is_none() && path.as_ref() == view.path();
        is_plain.then(|| (path, view.size().max(0) as u64))
    });
    files.collect()
}

/// The file of an `add`, if it is one of [`TableHead::plain_files`].
pub(crate) fn plain_file(add: &Add) -> Option<(Path, u64)> {
    let path = Path::parse(&add.path).ok()?;
    let is_plain = add.deletion_vector.is_none() && add.partition_values.is_empty() && path.as_ref() == add.path;
    is_plain.then(|| (path, add.size.max(0) as u64))
}

/// The action that takes a plain file out of its table.
fn removed(path: &Path, bytes: u64) -> Remove {
    Remove {
        path: path.to_string(),
        data_change: true,
        deletion_timestamp: Some(Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(HashMap::new()),
        size: i64::try_from(bytes).ok(),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    }
}

impl Lake {
    /// The newest version of a table by its files; `None` if the table does not exist.
    pub async fn head(&self, table: &TableName) -> Result<Option<TableHead>, StorageError> {
        let handle = self.handle(table)?;
        let Some(Head { base, version, schema, files, ledger, .. }) = handle.head().await? else { return Ok(None) };
        let id = state(table, &base)?.metadata().id().to_owned();
        Ok(Some(TableHead { handle, id, version, schema, files, ledger: Some(ledger) }))
    }
}

impl Head {
    async fn of(handle: &TableHandle, base: DeltaTable) -> Result<Self, StorageError> {
        let now = state(&handle.name, &base)?;
        let (version, schema) = (now.version(), now.snapshot().arrow_schema());
        let files = plain_files(now).map(Arc::new);
        let (committed_at, ledger) = (handle.commit_time(version).await?, handle.ledger(version).await?);
        Ok(Self { base, version, committed_at, schema, files, ledger })
    }

    /// The version, and when its commit file was written.
    pub(crate) fn place(&self) -> (u64, Option<DateTime<Utc>>) {
        (self.version, self.committed_at)
    }

    /// Takes in the next commit; whether it left columns and protocol as they are.
    fn follow(&mut self, actions: Vec<Action>) -> bool {
        for action in actions {
            match action {
                Action::Add(add) => match (plain_file(&add), &mut self.files) {
                    (Some((path, bytes)), Some(files)) => drop(Arc::make_mut(files).insert(path, bytes)),
                    _ => self.files = None,
                },
                Action::Remove(remove) => match (Path::parse(&remove.path), &mut self.files) {
                    (Ok(path), Some(files)) => drop(Arc::make_mut(files).remove(&path)),
                    _ => self.files = None,
                },
                Action::Txn(txn) => self.ledger.note(txn.app_id, txn.version),
                Action::CommitInfo(_) => {}
                _ => return false,
            }
        }
        self.version += 1;
        true
    }

    /// Whether rows of this schema can be appended without a change of the table.
    fn takes(&self, handle: &TableHandle, rows: &SchemaRef, commit: &Commit) -> bool {
        let next = reconcile(&handle.name, &self.schema, rows, commit.schema_change);
        self.files.is_some()
            && next.is_ok_and(|next| same_schema(&self.schema, &next))
            && state(&handle.name, &self.base).is_ok_and(|base| handle.require_writable(base).is_ok())
    }
}

impl TableHandle {
    /// The newest version, or `None` if the table does not exist.
    pub(crate) async fn head(&self) -> Result<Option<Head>, StorageError> {
        let mut known = self.known_head.lock().await;
        if let Some(mut head) = known.take()
            && head.committed_at.is_some()
            && self.commit_time(head.version).await? == head.committed_at
            && self.follow(&mut head).await?
        {
            *known = Some(head.clone());
            return Ok(Some(head));
        }
        let Some(table) = self.refresh().await? else { return Ok(None) };
        let head = Head::of(self, table).await?;
        *known = Some(head.clone());
        Ok(Some(head))
    }

    /// Takes in what was committed since; whether columns and protocol stayed as they were.
    async fn follow(&self, head: &mut Head) -> Result<bool, StorageError> {
        let before = head.version;
        loop {
            let next = self.log_store.read_commit_entry(head.version + 1).await;
            let Some(bytes) = next.map_err(StorageError::delta(&self.name))? else { break };
            let actions = get_actions(head.version + 1, &bytes).map_err(StorageError::delta(&self.name))?;
            if !head.follow(actions) {
                return Ok(false);
            }
        }
        if head.version > before {
            head.committed_at = self.commit_time(head.version).await?;
        }
        Ok(true)
    }

    /// Appends, or replaces all rows, without a full state, if the commit is a frequent one and leaves the table's columns as they are;
    /// else gives the streams back.
    pub(crate) async fn write_to_head(
        &self,
        streams: Vec<SendableRecordBatchStream>,
        commit: &Commit,
        mode: SaveMode,
    ) -> Result<Result<CommitOutcome, Vec<SendableRecordBatchStream>>, StorageError> {
        if !commit.is_frequent || commit.reset_ledger || !commit.partition_by.is_empty() {
            return Ok(Err(streams));
        }
        let rows = streams.first().map(|stream| delta_schema(&stream.schema())).transpose()?;
        let (Some(head), Some(rows)) = (self.head().await?, rows) else { return Ok(Err(streams)) };
        // What replaces all rows replaces the columns, too.
        let is_fit = mode == SaveMode::Append || same_schema(&head.schema, &rows);
        if !is_fit || !head.takes(self, &rows, commit) {
            return Ok(Err(streams));
        }
        if !commit.ledger.is_empty() && self.is_applied(&head.ledger, &commit.ledger)? {
            return Ok(Ok(CommitOutcome::AlreadyApplied { version: head.version }));
        }
        let layout = self.layout(Arc::clone(&head.schema), Vec::new(), commit)?;
        let files = layout.write(streams).await?;
        let _writer = self.writer.lock().await;
        let result = self.commit_to_head(&layout, &rows, &files, commit, mode).await;
        self.finish(result, files).await.map(Ok)
    }

    async fn commit_to_head(
        &self,
        layout: &FileLayout,
        rows: &SchemaRef,
        files: &NewFiles,
        commit: &Commit,
        mode: SaveMode,
    ) -> Result<Committed, StorageError> {
        for _ in 0..ATTEMPTS {
            let head = self.head().await?;
            let head = head.filter(|head| head.takes(self, rows, commit) && same_schema(&head.schema, &layout.schema));
            // Somebody changed the table since its rows were written.
            let Some(head) = head else { break };
            self.require_place(commit, Some(head.version))?;
            if self.has_applied(&head.ledger, commit)? {
                return Ok(Committed::AlreadyApplied(head.version));
            }
            let replaced = head.files.iter().filter(|_| mode == SaveMode::Overwrite).flat_map(|files| files.iter());
            let replaced = replaced.map(|(path, bytes)| Action::Remove(removed(path, *bytes)));
            let actions = replaced.chain(files.adds.iter().cloned().map(Action::Add)).collect();
            let change = Change { actions, operation: write_operation(mode, layout, None) };
            if let Some(version) = self.put(Some(&head.base), head.version + 1, change, commit, Vec::new()).await? {
                return Ok(Committed::Version(version));
            }
        }
        Err(StorageError::Conflict { table: self.name.to_string(), attempts: 1 })
    }
}
