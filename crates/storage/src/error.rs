//! What storage cannot do, one variant per decision a caller can make. Messages name tables, columns and types, never values.

use deltalake::DeltaTableError;
use object_store::Error as StoreError;
use wardlake_core::{ErrorKind, HasErrorKind, TableName};

use crate::disk::{self, DiskError};

/// An error of the lake.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The lake's URL cannot be used.
    #[error(
        "`{url}` is not a lake: {reason}; give a folder or a URL that starts with file://, s3://, s3a://, abfss://, az://, gs:// or memory://"
    )]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The table does not exist.
    #[error("table {table} does not exist; build or ingest it first")]
    TableNotFound {
        /// The table.
        table: TableName,
    },
    /// The table has no such version, or no longer.
    #[error(
        "table {table} has no version {version} (newest: {newest}); see its history for the versions that are kept"
    )]
    VersionNotFound {
        /// The table.
        table: TableName,
        /// The version that was asked for.
        version: u64,
        /// The newest version there is.
        newest: u64,
    },
    /// A log entry that an incremental read needs was cleaned up.
    #[error(
        "the log of {table} no longer holds version {version}; read the whole table (full refresh) instead of its changes"
    )]
    HistoryGone {
        /// The table.
        table: TableName,
        /// The missing version.
        version: u64,
    },
    /// The columns differ and the caller asked to fail then.
    #[error(
        "the columns of {table} changed (new: [{added}], missing: [{missing}], other type: [{retyped}]); set on_schema_change or refresh the table in full",
        added = added.join(", "), missing = missing.join(", "), retyped = retyped.join(", ")
    )]
    SchemaChanged {
        /// The table.
        table: TableName,
        /// Columns the table lacks.
        added: Vec<String>,
        /// Columns the source lacks.
        missing: Vec<String>,
        /// Columns whose type differs.
        retyped: Vec<String>,
    },
    /// A column's values do not fit the table's type.
    #[error(
        "column {column} holds values of type {from} that do not fit {to}; cast it in the model or refresh the table in full"
    )]
    Cast {
        /// The column.
        column: String,
        /// The source's type.
        from: String,
        /// The table's type.
        to: String,
    },
    /// A table cannot store this type.
    #[error("column {column} has the type {data_type}, which a table cannot store; cast it, for example to text")]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// The table uses a Delta feature Wardlake does not write.
    #[error(
        "table {table} uses {feature}, which Wardlake does not write; drop the feature or write the table with the tool that made it"
    )]
    UnsupportedTable {
        /// The table.
        table: TableName,
        /// The feature.
        feature: String,
    },
    /// A column that was named is not there.
    #[error("{table} has no column {column}, named as {role}; its columns are {columns}", columns = columns.join(", "))]
    ColumnNotFound {
        /// The table, or the source of its rows.
        table: TableName,
        /// The missing column.
        column: String,
        /// What it was named for: key, partition column, ...
        role: &'static str,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// Several source rows share a key.
    #[error(
        "{keys} keys of the rows for {table} occur more than once (key: {columns}); deduplicate them in the model",
        columns = columns.join(", ")
    )]
    DuplicateKeys {
        /// The table.
        table: TableName,
        /// The key's columns.
        columns: Vec<String>,
        /// How many different keys occur more than once.
        keys: u64,
    },
    /// Source rows without a key where each needs one.
    #[error("{rows} rows for {table} have no key (NULL in {columns}); filter them out or choose another key", columns = columns.join(", "))]
    NullKeys {
        /// The table.
        table: TableName,
        /// The key's columns.
        columns: Vec<String>,
        /// How many rows.
        rows: u64,
    },
    /// Rows to be written do not satisfy the predicate of the replacement.
    #[error(
        "{rows} rows for {table} lie outside the part being replaced ({predicate}); widen the predicate or filter the rows"
    )]
    OutsidePredicate {
        /// The table.
        table: TableName,
        /// The predicate.
        predicate: String,
        /// How many rows.
        rows: u64,
    },
    /// Some, but not all of a commit's input is already in the table.
    #[error(
        "{applied} of {entries} inputs of this commit are already in {table}; read the table's ledger again and leave them out"
    )]
    PartlyApplied {
        /// The table.
        table: TableName,
        /// Entries the ledger has.
        applied: usize,
        /// Entries of the commit.
        entries: usize,
    },
    /// What the commit's rows follow on is not where the table's ledger stands.
    #[error(
        "{table} has consumed `{app_id}` from elsewhere since it was last asked; read its ledger again and take what follows"
    )]
    LedgerMoved {
        /// The table.
        table: TableName,
        /// The entry.
        app_id: String,
    },
    /// This process owned the lake for a time, and that is over.
    #[error("{what} is not written: this process no longer owns the lake, and another may; start it again")]
    LeaseOver {
        /// The table or file.
        what: String,
    },
    /// Other writers were first each time.
    #[error("other writers changed {table} during each of {attempts} attempts; run it again when they are done")]
    Conflict {
        /// The table or record.
        table: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The epoch does not exist.
    #[error("there is no epoch {number}; `wardlake epochs list` shows those there are")]
    EpochNotFound {
        /// The number.
        number: u64,
    },
    /// A file of the lake cannot be understood.
    #[error("{path} is damaged: {reason}; restore it from a backup{}", without_backup(path))]
    Damaged {
        /// Path within the lake.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A restore, vacuum or read of a version whose data files are gone.
    #[error("{files} data files of version {version} of {table} were removed; choose a version that vacuum kept")]
    FilesGone {
        /// The table.
        table: TableName,
        /// The version.
        version: u64,
        /// How many files.
        files: usize,
    },
    /// The store did not answer as it should.
    #[error("cannot {action} {path}: {}{}", terse(source), store_advice(source))]
    Store {
        /// read, write, list, delete.
        action: &'static str,
        /// Path within the store.
        path: String,
        /// The store's error.
        #[source]
        source: Box<object_store::Error>,
    },
    /// The disk did not answer as it should.
    #[error("cannot {action} {path}: {source}{}", disk::advice(source))]
    Io {
        /// read, write, sync.
        action: &'static str,
        /// Path on disk.
        path: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The Delta library failed.
    #[error("table {table}: {source}")]
    Delta {
        /// The table.
        table: TableName,
        /// The library's error.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// The rows for a write could not be computed. The source's text may quote values; show it to people who may see the table.
    #[error("computing the rows for {table} failed")]
    Query {
        /// The table.
        table: TableName,
        /// The query engine's error.
        #[source]
        source: Box<datafusion::error::DataFusionError>,
    },
    /// The rows for a write need more memory than there is.
    #[error(
        "the memory limit is too small to compute the rows of {table}: {refused}; raise `memory_limit` of the target in wardlake.yml, \
         or build fewer models at once (`--threads 1`)"
    )]
    Memory {
        /// The table.
        table: TableName,
        /// See [`refused_memory`].
        refused: String,
    },
    /// A background task died.
    #[error("a task of the write to {table} stopped before its end; run it again")]
    Task {
        /// The table.
        table: TableName,
    },
}

impl StorageError {
    pub(crate) fn store(action: &'static str, path: impl ToString) -> impl FnOnce(StoreError) -> Self {
        move |source| {
            let store = |source| Self::Store { action, path: path.to_string(), source: Box::new(source) };
            Self::of_disk(&source).unwrap_or_else(|| store(source))
        }
    }

    pub(crate) fn delta(table: &TableName) -> impl FnOnce(DeltaTableError) -> Self {
        let table = table.clone();
        move |source| Self::of_disk(&source).unwrap_or_else(|| Self::Delta { table, source: Box::new(source) })
    }

    pub(crate) fn query(table: &TableName) -> impl FnOnce(datafusion::error::DataFusionError) -> Self {
        let table = table.clone();
        move |source| {
            if let datafusion::error::DataFusionError::ResourcesExhausted(message) = source.find_root() {
                return Self::Memory { table, refused: refused_memory(message) };
            }
            Self::of_disk(&source).unwrap_or_else(|| Self::Query { table, source: Box::new(source) })
        }
    }

    pub(crate) fn task(table: &TableName) -> impl FnOnce(tokio::task::JoinError) -> Self {
        let table = table.clone();
        move |_| Self::Task { table }
    }

    /// What the disk refused, if that is the cause of `error`: a lake's file, or a query's temporary files without room.
    pub fn of_disk(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(found) = DiskError::within(error) {
            return Some(Self::Io { action: found.action, path: found.path.display().to_string(), source: found.io() });
        }
        // Queries write nothing else by themselves, and do not say where.
        let source = disk::io_within(error).filter(disk::is_full)?;
        let path = format!("temporary files below {}", std::env::temp_dir().display());
        Some(Self::Io { action: "write", path, source })
    }
}

/// What else can be done about a damaged file, as the end of a sentence that names it.
fn without_backup(path: &str) -> &'static str {
    match path.contains("/_delta_log/") {
        true => {
            ", or take the table's folder away: `wardlake ingest` loads a source again, `wardlake build` makes a model anew"
        }
        false => "",
    }
}

/// Which operator asked in vain, and which hold most, out of what the query engine says when memory is short: names and sizes alone.
pub fn refused_memory(message: &str) -> String {
    let holders: Vec<String> = message
        .lines()
        .filter_map(|line| line.trim().split_once(" consumed "))
        .filter_map(|(operator, held)| Some((operator.split('#').next()?, held.split(',').next()?)))
        .map(|(operator, held)| format!("{operator} ({held})"))
        .collect();
    match message.split_once("Additional allocation failed for ").and_then(|(_, rest)| rest.split_once(" with top ")) {
        Some((operator, _)) if holders.is_empty() => format!("there was none for {operator}"),
        Some((operator, _)) => format!("there was none for {operator}, while most was held by {}", holders.join(", ")),
        None => message.lines().next().unwrap_or(message).trim_end().to_owned(),
    }
}

/// A store's answer without its document: object stores put the reason into one.
fn terse(error: &StoreError) -> String {
    let text = error.to_string();
    let Some((before, document)) = text.split_once("<?xml") else { return text };
    let code = document.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = code.map(|(code, _)| format!(" ({code})")).unwrap_or_default();
    format!("{}{code}", before.trim_end_matches([' ', ':']))
}

/// What to do about a store's error, as the end of a sentence that names it.
fn store_advice(error: &StoreError) -> &'static str {
    let text = || error.to_string();
    match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            "; check the lake's credentials and rights (AWS_*, AZURE_*, GOOGLE_* in the environment)"
        }
        StoreError::Generic { .. } if text().contains("NoSuchBucket") => {
            "; create the bucket or correct the lake's URL"
        }
        StoreError::Generic { .. } if text().contains("retries") => {
            "; check that the store can be reached and run it again: what was committed stays"
        }
        _ => "",
    }
}

fn store_kind(error: &StoreError) -> ErrorKind {
    match error {
        StoreError::NotFound { .. } => ErrorKind::NotFound,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => ErrorKind::Denied,
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => ErrorKind::Conflict,
        StoreError::InvalidPath { .. } | StoreError::NotSupported { .. } => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    }
}

impl HasErrorKind for StorageError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Url { .. }
            | Self::SchemaChanged { .. }
            | Self::Cast { .. }
            | Self::UnsupportedType { .. }
            | Self::UnsupportedTable { .. }
            | Self::ColumnNotFound { .. }
            | Self::DuplicateKeys { .. }
            | Self::NullKeys { .. }
            | Self::OutsidePredicate { .. }
            | Self::Query { .. } => ErrorKind::Invalid,
            Self::TableNotFound { .. }
            | Self::VersionNotFound { .. }
            | Self::HistoryGone { .. }
            | Self::FilesGone { .. }
            | Self::EpochNotFound { .. } => ErrorKind::NotFound,
            Self::PartlyApplied { .. } | Self::LedgerMoved { .. } | Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Task { .. } => ErrorKind::Internal,
            Self::Damaged { .. } | Self::Memory { .. } | Self::LeaseOver { .. } => ErrorKind::Unavailable,
            Self::Store { source, .. } => store_kind(source),
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            },
            Self::Delta { source, .. } => match source.as_ref() {
                DeltaTableError::VersionAlreadyExists(_) => ErrorKind::Conflict,
                other => {
                    let of_store = disk::chain(other).find_map(|error| error.downcast_ref());
                    of_store.map_or(ErrorKind::Internal, store_kind)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stores_document_is_cut_to_its_reason() {
        let answer =
            "404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code><Message>…</Message></Error>";
        let error = StoreError::Generic { store: "S3", source: answer.into() };
        let text = StorageError::store("list", "s3://bucket/")(error).to_string();
        assert!(text.starts_with("cannot list s3://bucket/: ") && !text.contains('<'), "{text}");
        assert!(text.ends_with("404 Not Found (NoSuchBucket); create the bucket or correct the lake's URL"), "{text}");
    }
}
