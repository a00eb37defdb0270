//! What a run tells the world: one typed stream. The terminal, `--log-format json`, `system.runs`, `run_results.json`
//! and alerts are readers of it; nothing else prints, counts or alerts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

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

/// Something that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "events are few and moved, not stored in bulk")]
pub enum RunEvent {
    /// A command began.
    RunStarted {
        /// The run.
        run_id: String,
        /// The command.
        command: String,
        /// When (UTC).
        at: DateTime<Utc>,
        /// How many of which kind the project holds: the inventory line.
        inventory: BTreeMap<String, usize>,
        /// Nodes selected.
        total: usize,
        /// Nodes at once.
        threads: usize,
    },
    /// A node began.
    NodeStarted {
        /// 1-based place in the run.
        index: usize,
        /// Nodes selected.
        total: usize,
        /// dbt's unique id.
        unique_id: String,
        /// What the terminal calls it.
        label: String,
    },
    /// Rows so far, for progress bars.
    NodeProgress {
        /// dbt's unique id.
        unique_id: String,
        /// Rows so far.
        rows: u64,
        /// Bytes so far.
        bytes: u64,
    },
    /// A node ended.
    NodeFinished {
        /// 1-based place in the run.
        index: usize,
        /// Nodes selected.
        total: usize,
        /// How.
        result: NodeResult,
    },
    /// A file of a source was loaded.
    FileLoaded {
        /// What came of it.
        load: FileLoad,
    },
    /// A message of a template (`log`), a warning of the project, or advice.
    Message {
        /// `info` or `warn`.
        level: String,
        /// The text.
        text: String,
    },
    /// What arrived was taken through the models that live with it.
    WaveFinished {
        /// 1, 2, … since the server started.
        number: u64,
        /// The models that ran, and for how many seconds each.
        models: std::collections::BTreeMap<String, f64>,
        /// Rows they wrote.
        rows: u64,
        /// The epoch that shows them.
        epoch: Option<u64>,
        /// Seconds from the first model to the epoch.
        duration_s: f64,
        /// What failed; the rows wait for the next wave.
        failures: Vec<String>,
    },
    /// Tables were kept in shape beside the waves.
    UpkeepFinished {
        /// What was done.
        #[serde(flatten)]
        report: crate::UpkeepReport,
        /// How long it took.
        duration_s: f64,
    },
    /// A thing is in alarm, or not any more.
    Alert {
        /// What people are told.
        notice: crate::Notice,
    },
    /// A server listens.
    Listening {
        /// `http` or `mllp`.
        protocol: String,
        /// The source it feeds, if it is one source's.
        source: Option<String>,
        /// `address:port`.
        address: String,
    },
    /// A build passed its gates and is visible.
    EpochPublished {
        /// Its number.
        epoch: u64,
    },
    /// A command ended.
    RunFinished {
        /// The run.
        run_id: String,
        /// When (UTC).
        at: DateTime<Utc>,
        /// PASS/WARN/ERROR/SKIP/TOTAL.
        totals: Totals,
        /// Seconds of the clock on the wall.
        duration_s: f64,
        /// Why nothing was published, if nothing was.
        unpublished: Option<String>,
    },
}

/// Where a run tells what happens. Cheap to clone; telling never blocks and never fails the run.
#[derive(Clone)]
pub struct EventSink(mpsc::UnboundedSender<RunEvent>);

impl EventSink {
    /// A sink and the stream its reader takes.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<RunEvent>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Tells.
    pub fn tell(&self, event: RunEvent) {
        // A reader that has gone away does not stop the run.
        let _ = self.0.send(event);
    }

    /// Tells a warning.
    pub fn warn(&self, text: impl Into<String>) {
        self.tell(RunEvent::Message { level: "warn".to_owned(), text: text.into() });
    }
}
