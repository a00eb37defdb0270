//! Files other tools of the dbt world read: manifest.json (v12) and run_results.json (v6).

mod manifest;
mod run_results;

pub use manifest::Manifest;
pub use run_results::{RunResult, RunResults, RunStatus, Timing};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value as Json};

/// dbt's release whose artifacts these are shaped like.
const DBT_VERSION: &str = "1.10.0";

/// `metadata` of every artifact.
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    /// Which published schema it follows.
    pub dbt_schema_version: String,
    /// The dbt release whose shape it has.
    pub dbt_version: String,
    /// When it was written, UTC.
    pub generated_at: String,
    /// The invocation.
    pub invocation_id: Option<String>,
    /// When the invocation began, UTC.
    pub invocation_started_at: Option<String>,
    /// `DBT_ENV_CUSTOM_ENV_*`; always empty, since the environment may hold secrets.
    pub env: Map<String, Json>,
}

impl Metadata {
    fn new(schema: &str, invocation_id: &str, started_at: DateTime<Utc>) -> Self {
        Self {
            dbt_schema_version: format!("https://schemas.getdbt.com/dbt/{schema}.json"),
            dbt_version: DBT_VERSION.to_owned(),
            generated_at: instant(Utc::now()),
            invocation_id: Some(invocation_id.to_owned()),
            invocation_started_at: Some(instant(started_at)),
            env: Map::new(),
        }
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
