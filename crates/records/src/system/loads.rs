//! What was loaded and what was left out: `system.load_log`, `system.rejected_rows`, `system.repeated_rows`.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use chrono::{DateTime, Utc};
use wardlake_core::lineage;

use super::table::{Columns, as_json};
use crate::{error::RecordsError, results::FileLoad};

/// A record that no row could be made of: a row of `rejected_rows`.
pub struct RejectedRow<'a> {
    /// The file, journal segment or `topic/partition`.
    pub file: &'a str,
    /// Line or record number.
    pub position: u64,
    /// Where it begins in the file.
    pub byte_offset: u64,
    /// A stable code, and a sentence for people.
    pub reason: &'a str,
    /// The sentence.
    pub message: &'a str,
    /// Its first bytes, and how many there were.
    pub bytes: &'a [u8],
    /// How many bytes there were.
    pub length: u64,
    /// Of the file; empty where it came in none.
    pub sha256: &'a str,
    /// When it was received.
    pub received_at: DateTime<Utc>,
}

/// Rows of `rejected_rows` of one source table.
pub fn rejected_rows(source: &str, rows: &[RejectedRow<'_>]) -> Result<RecordBatch, RecordsError> {
    Columns::default()
        .text(lineage::SOURCE, rows.iter().map(|_| Some(source)))
        .text(lineage::FILE, rows.iter().map(|row| Some(row.file)))
        .count(lineage::POSITION, rows.iter().map(|row| Some(row.position)))?
        .count("byte_offset", rows.iter().map(|row| Some(row.byte_offset)))?
        .text("reason", rows.iter().map(|row| Some(row.reason)))
        .text("message", rows.iter().map(|row| Some(row.message)))
        .bytes("bytes", rows.iter().map(|row| row.bytes))
        .count("length", rows.iter().map(|row| Some(row.length)))?
        .text("sha256", rows.iter().map(|row| Some(row.sha256)))
        .instant(lineage::RECEIVED_AT, rows.iter().map(|row| row.received_at))
        .batch()
}

/// One row of `system.load_log` per loaded file. `sequence` numbers the loads of one path.
pub fn load_rows(run_id: &str, loads: &[LoggedFile], logged_at: DateTime<Utc>) -> Result<RecordBatch, RecordsError> {
    let drift = as_json("load_log", "drift", loads.iter().map(|l| &l.load.drift))?;
    let types = as_json("load_log", "column_types", loads.iter().map(|l| &l.column_types))?;
    let columns = as_json("load_log", "columns", loads.iter().map(|l| &l.columns))?;
    let count = |of: fn(&LoggedFile) -> u64| loads.iter().map(move |l| Some(of(l)));
    Columns::default()
        .text("run_id", loads.iter().map(|_| Some(run_id)))
        .text("source", loads.iter().map(|l| Some(l.load.source.as_str())))
        .text("file", loads.iter().map(|l| Some(l.load.file.as_str())))
        .text("batch_id", loads.iter().map(|l| Some(l.batch_id.as_str())))
        .count("sequence", count(|l| l.sequence))?
        .text("sha256", loads.iter().map(|l| Some(l.load.sha256.as_str())))
        .count("bytes", count(|l| l.size))?
        .count("modified_us", count(|l| l.modified_us))?
        .count("rows_before", count(|l| l.load.rows_before))?
        .count("rows_read", count(|l| l.load.rows_read))?
        .count("rows_inserted", count(|l| l.load.inserted))?
        .count("rows_updated", count(|l| l.load.updated))?
        .count("rows_deleted", count(|l| l.load.deleted))?
        .count("rows_unchanged", count(|l| l.load.unchanged))?
        .count("rows_repeated", count(|l| l.load.repeated))?
        .count("rows_rejected", count(|l| l.load.rejected))?
        .text("order_key", loads.iter().map(|l| Some(l.order_key.as_str())))
        .flag("is_late", loads.iter().map(|l| l.is_late))
        .text("drift", drift.iter().map(|text| Some(text.as_str())))
        .text("columns", columns.iter().map(|text| Some(text.as_str())))
        .text("column_types", types.iter().map(|text| Some(text.as_str())))
        .count("duration_ms", count(|l| l.load.duration_ms))?
        .instant("loaded_at", loads.iter().map(|_| logged_at))
        .batch()
}

/// Rows of `system.repeated_rows`: lines of a keyed table's file that equal a line before them in the same file.
pub fn repeated_rows(
    run_id: &str,
    label: &str,
    file: &str,
    positions: Vec<i64>,
    received_at: DateTime<Utc>,
) -> Result<RecordBatch, RecordsError> {
    let each = || positions.iter();
    let mut columns = Columns::default()
        .text("run_id", each().map(|_| Some(run_id)))
        .text(lineage::SOURCE, each().map(|_| Some(label)))
        .text(lineage::FILE, each().map(|_| Some(file)))
        .instant(lineage::RECEIVED_AT, each().map(|_| received_at));
    columns.0.push((lineage::POSITION, Arc::new(Int64Array::from(positions))));
    columns.batch()
}

/// A loaded file as the load log keeps it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct LoggedFile {
    /// What came of it.
    pub load: FileLoad,
    /// The load.
    pub batch_id: String,
    /// How often the path was loaded, this load included.
    pub sequence: u64,
    /// Bytes of the file when it was loaded.
    pub size: u64,
    /// When it was last changed then, microseconds since 1970.
    pub modified_us: u64,
    /// Whether it is older than a file that was loaded before it.
    pub is_late: bool,
    /// What the files of its table are ordered by.
    pub order_key: String,
    /// What each column looked like.
    pub column_types: std::collections::BTreeMap<String, String>,
    /// Its columns, in order.
    pub columns: Vec<String>,
}
