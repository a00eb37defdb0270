//! What a run tells the world: one typed stream. The terminal, `--log-format json`, `system.runs`, `run_results.json`
//! and alerts are readers of it; nothing else prints, counts or alerts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::results::{FileLoad, NodeResult, Notice, Totals, UpkeepReport};

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
        report: UpkeepReport,
        /// How long it took.
        duration_s: f64,
    },
    /// A thing is in alarm, or not any more.
    Alert {
        /// What people are told.
        notice: Notice,
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
