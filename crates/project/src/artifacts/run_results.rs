//! run_results.json, v6.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use super::{Metadata, instant};
use crate::{LoadOptions, UniqueId};

/// How a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Built.
    Success,
    /// Could not be built or tested.
    Error,
    /// A test found too much.
    Fail,
    /// A test found something to warn of.
    Warn,
    /// Not started.
    Skipped,
    /// A test found nothing.
    Pass,
    /// There was nothing to do.
    #[serde(rename = "no-op")]
    NoOp,
}

/// One step of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// `compile` or `execute`.
    pub name: String,
    /// When it began.
    #[serde(serialize_with = "write_instant")]
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(serialize_with = "write_instant")]
    pub completed_at: DateTime<Utc>,
}

fn write_instant<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&instant(*at))
}

/// One node's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResult {
    /// How it ended.
    pub status: RunStatus,
    /// Its steps.
    pub timing: Vec<Timing>,
    /// Which worker ran it.
    pub thread_id: String,
    /// Seconds.
    pub execution_time: f64,
    /// What the engine says: `_message`, `rows_affected`, …
    pub adapter_response: Map<String, Json>,
    /// What went wrong, or what was done.
    pub message: Option<String>,
    /// Tests: how many rows failed.
    pub failures: Option<i64>,
    /// The node.
    pub unique_id: UniqueId,
    /// Whether it was compiled; none for seeds.
    pub compiled: Option<bool>,
    /// Its SQL; none for seeds.
    pub compiled_code: Option<String>,
    /// `"schema"."name"` in the lake.
    pub relation_name: Option<String>,
    /// Microbatch models only.
    pub batch_results: Option<Json>,
}

impl RunResult {
    /// A result with everything optional left out.
    pub fn new(unique_id: impl Into<UniqueId>, status: RunStatus) -> Self {
        Self {
            status,
            timing: Vec::new(),
            thread_id: "Thread-1".to_owned(),
            execution_time: 0.0,
            adapter_response: Map::new(),
            message: None,
            failures: None,
            unique_id: unique_id.into(),
            compiled: None,
            compiled_code: None,
            relation_name: None,
            batch_results: None,
        }
    }
}

/// The whole file.
#[derive(Clone, Debug, Serialize)]
pub struct RunResults {
    /// Metadata.
    pub metadata: Metadata,
    /// Results in the order they came.
    pub results: Vec<RunResult>,
    /// Seconds of the whole run.
    pub elapsed_time: f64,
    /// The command's arguments, without secrets.
    pub args: Map<String, Json>,
}

impl RunResults {
    /// The file of one run.
    pub fn new(options: &LoadOptions, results: Vec<RunResult>, elapsed_time: f64, args: Map<String, Json>) -> Self {
        let metadata = Metadata::new("run-results/v6", &options.invocation_id, options.run_started_at);
        Self { metadata, results, elapsed_time, args }
    }
}
