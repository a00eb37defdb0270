//! What grows old in tables that only ever grow: rows past their time, and ledger entries that nobody asks about any more.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Duration, Utc};
use datafusion::{execution::SessionState, logical_expr::lit, scalar::ScalarValue};
use deltalake::{
    kernel::{Action, MetadataExt},
    protocol::DeltaOperation,
};
use serde_json::Value;
use wardlake_core::TableName;

use crate::{
    Commit, Lake, StorageError, TableSnapshot,
    commit::Change,
    rewrite::{Rewritten, column},
    state::{DataFile, TableState},
    write::NewFiles,
};

/// The property by which checkpoints leave out ledger entries of a certain age.
pub const LEDGER_RETENTION: &str = "delta.setTransactionRetentionDuration";

/// The value of [`LEDGER_RETENTION`] for so many hours.
pub fn ledger_retention(hours: u32) -> String {
    format!("interval {hours} hours")
}

/// Which rows of a table go.
#[derive(Clone, Copy, Debug)]
pub struct Expiry<'a> {
    /// The instant by which they grow old. Rows without one stay.
    pub column: &'a str,
    /// They go when it is earlier than this.
    pub before: DateTime<Utc>,
    /// A file that holds others as well is rewritten when some of its rows are past their time for so long: sooner would be to rewrite it
    /// every day for the rows of a day.
    pub overdue: Duration,
}

/// Files of a version by what becomes of them.
#[derive(Default)]
struct Aged {
    /// All of their rows go.
    gone: Vec<Arc<DataFile>>,
    /// Some do.
    mixed: Vec<Arc<DataFile>>,
}

impl Aged {
    fn of(base: &TableSnapshot, expiry: Expiry<'_>) -> Self {
        let mut aged = Self::default();
        for file in base.data_files() {
            let Some((oldest, newest, nulls)) = span(&file, expiry.column) else { continue };
            if newest < expiry.before && nulls == 0 {
                aged.gone.push(file);
            } else if oldest < expiry.before - expiry.overdue {
                aged.mixed.push(file);
            }
        }
        aged
    }
}

/// The oldest and the newest instant of a file, and how many rows have none; `None` if its writer did not say.
fn span(file: &DataFile, column: &str) -> Option<(DateTime<Utc>, DateTime<Utc>, u64)> {
    let stats: Value = serde_json::from_str(file.stats()?).ok()?;
    let instant = |bounds: &str| -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(stats[bounds][column].as_str()?).ok().map(|at| at.to_utc())
    };
    // Bounds are cut to milliseconds.
    let newest = instant("maxValues")? + Duration::milliseconds(1);
    // What is not said may be some.
    let nulls = stats["nullCount"][column].as_u64().unwrap_or(1);
    Some((instant("minValues")?, newest, nulls))
}

fn rows_of(files: &[Arc<DataFile>]) -> u64 {
    files.iter().filter_map(|file| file.rows()).sum()
}

impl Lake {
    /// Deletes the rows of `base` that are past their time, and returns how many. Files of such rows alone go unread; of others the rest is
    /// written anew, if it is worth it. Rows that are appended meanwhile stay, and no reader of changes takes what is left for news. If
    /// others change what is being rewritten, nothing is deleted this time.
    pub async fn expire(
        &self,
        session: &SessionState,
        base: &TableSnapshot,
        expiry: Expiry<'_>,
        dry_run: bool,
    ) -> Result<u64, StorageError> {
        if base.schema().column_with_name(expiry.column).is_none() {
            return Ok(0);
        }
        let Aged { gone, mixed } = Aged::of(base, expiry);
        if gone.is_empty() && mixed.is_empty() {
            return Ok(0);
        }
        let rows = rows_of(&gone) + rows_of(&mixed);
        let layout = base.handle.layout(base.schema(), base.partition_columns(), &Commit::default())?;
        let mut files = NewFiles::default();
        if !mixed.is_empty() {
            let instant = || column("t", expiry.column);
            let before = ScalarValue::TimestampMicrosecond(Some(expiry.before.timestamp_micros()), Some("UTC".into()));
            let stays = instant().gt_eq(lit(before)).or(instant().is_null());
            let query = || StorageError::query(base.name());
            let left = base.scan(session, "t", Some(&mixed), false).await?.filter(stays).map_err(query())?;
            if dry_run {
                let left = left.count().await.map_err(query())?;
                return Ok(rows.saturating_sub(left as u64));
            }
            files = layout.write(base.streams(left).await?).await?;
        }
        if dry_run {
            return Ok(rows);
        }
        let left = files.rows();
        let removed = gone.into_iter().chain(mixed).collect();
        let operation = DeltaOperation::Delete { predicate: Some(format!("{} < '{}'", expiry.column, expiry.before)) };
        let rewritten = Rewritten { removed, files, data_change: false, layout, operation };
        let outcome = self.exchange(base, rewritten, &Commit::default()).await?;
        Ok(outcome.map_or(0, |_| rows.saturating_sub(left)))
    }

    /// Sees to it that checkpoints of a table leave out ledger entries that are older than so many hours; whether it was to be said. Tables
    /// are made with the property; those of earlier versions are not.
    pub async fn expire_ledger(&self, table: &TableName, hours: u32) -> Result<bool, StorageError> {
        let handle = self.handle(table)?;
        let (key, value) = (LEDGER_RETENTION, ledger_retention(hours));
        if self.require(table).await?.properties().get(key) == Some(&value) {
            return Ok(false);
        }
        let _writer = handle.writer.lock().await;
        let change = |now: Option<&TableState>| {
            let now = now.ok_or_else(|| StorageError::TableNotFound { table: table.clone() })?;
            handle.require_writable(now)?;
            let next = now.metadata().clone().add_config_key(key.to_owned(), value.clone());
            let next = next.map_err(|error| StorageError::delta(table)(error.into()))?;
            let properties = HashMap::from([(key.to_owned(), value.clone())]);
            let operation = DeltaOperation::SetTableProperties { properties };
            Ok(Change { actions: vec![Action::Metadata(next)], operation })
        };
        let committed = handle.commit(&Commit::default(), change).await;
        handle.finish(committed, NewFiles::default()).await?;
        Ok(true)
    }
}
