//! What came of the parts of a run: of nodes, of files, of upkeep, of alerts. Results are told as events and kept in `system.*`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use wardlake_project::AlertSeverity;

/// How a node ended, in dbt's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A model, seed, snapshot or source was built.
    Success,
    /// A test found nothing.
    Pass,
    /// A test found something its `severity: warn` lets through, or a node reports a warning.
    Warn,
    /// A test found something.
    Fail,
    /// A node could not run.
    Error,
    /// An upstream node failed, or `--fail-fast` stopped the run.
    Skipped,
}

impl Status {
    /// Whether the status makes the run fail.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Fail | Self::Error)
    }

    /// As dbt spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

/// What a finished node reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeResult {
    /// dbt's unique id.
    pub unique_id: String,
    /// `model`, `test`, `seed`, `snapshot`, `source`, `operation`.
    pub resource_type: String,
    /// What the terminal calls it: `table model gold.dim_patient`.
    pub label: String,
    /// `schema.name` of what was written, if anything was.
    pub relation: Option<String>,
    /// How it ended.
    pub status: Status,
    /// One line for people: the error, the counts.
    pub message: Option<String>,
    /// Rows written.
    pub rows: Option<u64>,
    /// Rows a test found.
    pub failures: Option<u64>,
    /// Delta version that was committed.
    pub version: Option<u64>,
    /// Bytes written.
    pub bytes: Option<u64>,
    /// True if nothing it depends on had changed, so the table of an earlier run stands.
    pub is_reused: bool,
    /// When it started (UTC).
    pub started_at: DateTime<Utc>,
    /// When it ended (UTC).
    pub finished_at: DateTime<Utc>,
    /// The SQL that ran.
    pub compiled_code: Option<String>,
    /// Hash of the SQL and of everything it read; equal fingerprints mean equal results.
    pub fingerprint: Option<String>,
}

impl NodeResult {
    /// Of a node that begins now, and of which nothing is known yet but what it is.
    pub fn begun(unique_id: String, resource_type: String, label: String, status: Status) -> Self {
        let now = Utc::now();
        Self {
            unique_id,
            resource_type,
            label,
            relation: None,
            status,
            message: None,
            rows: None,
            failures: None,
            version: None,
            bytes: None,
            is_reused: false,
            started_at: now,
            finished_at: now,
            compiled_code: None,
            fingerprint: None,
        }
    }

    /// How long it took.
    pub fn seconds(&self) -> f64 {
        (self.finished_at - self.started_at).as_seconds_f64()
    }
}

/// What happened to one file of a source table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileLoad {
    /// `<source>.<table>`.
    pub source: String,
    /// Path relative to the source's root.
    pub file: String,
    /// Bytes read.
    pub bytes: u64,
    /// SHA-256 of the bytes, hexadecimal; where landing keeps them.
    pub sha256: String,
    /// Rows of the bronze table before this file.
    pub rows_before: u64,
    /// Records of the file that were well-formed.
    pub rows_read: u64,
    /// Rows added with `_change` = insert.
    pub inserted: u64,
    /// Rows added with `_change` = update.
    pub updated: u64,
    /// Rows added with `_change` = delete.
    pub deleted: u64,
    /// Well-formed records equal to the last state of their key.
    pub unchanged: u64,
    /// Rows that stand earlier in the same file.
    #[serde(default)]
    pub repeated: u64,
    /// Records kept in `system.rejected_rows` with reason and bytes.
    pub rejected: u64,
    /// Differences to the columns known before: `added`, `missing`, `reordered`, `retyped`.
    pub drift: Vec<ColumnDrift>,
    /// Milliseconds from opening the file to its last row.
    pub duration_ms: u64,
}

/// One difference between a file's columns and those known before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDrift {
    /// The column.
    pub column: String,
    /// `added`, `missing`, `reordered` or `retyped`.
    pub change: String,
    /// For retyped: from and to, as `integer → text`.
    pub detail: Option<String>,
}

/// Counts of a finished run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Built or passed.
    pub pass: u64,
    /// Warned.
    pub warn: u64,
    /// Failed or could not run.
    pub error: u64,
    /// Not run.
    pub skip: u64,
}

impl Totals {
    /// Counts one more node.
    pub fn count(&mut self, status: Status) {
        match status {
            Status::Success | Status::Pass => self.pass += 1,
            Status::Warn => self.warn += 1,
            Status::Fail | Status::Error => self.error += 1,
            Status::Skipped => self.skip += 1,
        }
    }

    /// All nodes.
    pub fn total(&self) -> u64 {
        self.pass + self.warn + self.error + self.skip
    }
}

/// What a finished run hands back.
#[derive(Clone, Debug, Default)]
pub struct RunSummary {
    /// Every node's result, in the order they finished.
    pub results: Vec<NodeResult>,
    /// Counts.
    pub totals: Totals,
    /// The epoch that was published, if any.
    pub epoch: Option<u64>,
    /// Seconds of the clock on the wall.
    pub duration_s: f64,
}

impl RunSummary {
    /// Whether every node passed, warnings included.
    pub fn is_success(&self) -> bool {
        self.totals.error == 0
    }
}

/// What one round did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpkeepReport {
    /// Tables whose small files were merged.
    pub merged: Vec<String>,
    /// Tables from which rows went that their view does not show any more.
    pub trimmed: Vec<String>,
    /// Rows that went because they were past their retention, by table.
    #[serde(default)]
    pub expired: BTreeMap<String, u64>,
    /// Epochs that were forgotten.
    pub epochs_forgotten: usize,
    /// Files that were deleted, log entries among them.
    #[serde(default)]
    pub files_deleted: usize,
    /// Their bytes.
    pub bytes_deleted: u64,
}

impl UpkeepReport {
    /// Counts deleted files.
    pub fn count(&mut self, files: usize, bytes: u64) {
        self.files_deleted += files;
        self.bytes_deleted += bytes;
    }
}

/// What people are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The alert.
    pub alert: String,
    /// How much somebody should care.
    pub severity: AlertSeverity,
    /// In alarm, or not any more.
    pub is_raised: bool,
    /// Which thing, column by column.
    pub key: BTreeMap<String, String>,
    /// The value that is shown; that of the raise when it clears.
    pub value: Option<String>,
    /// The text.
    pub message: String,
    /// Since when the condition holds, by the data's clock.
    pub since: DateTime<Utc>,
    /// When it was told.
    pub at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn a_status_is_spelled_the_same_everywhere() {
        use Status::{Error, Fail, Pass, Skipped, Success, Warn};
        for status in [Success, Pass, Warn, Fail, Error, Skipped] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
