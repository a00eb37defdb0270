//! `target/`: manifest.json, run_results.json and the compiled SQL, where dbt's users and tools look for them.

use std::{collections::HashMap, path::Path};

use serde_json::{Map, Value as Json};
use wardlake_project::{Manifest, Project, RunResult, RunResults, RunStatus, Timing};
use wardlake_records::{NodeResult, RunSummary, Status};

use crate::{failure::Failure, printing::Unwritten};

/// Writes manifest.json.
pub(crate) fn write_manifest(project: &Project) -> Result<(), Failure> {
    write(&project.target_dir().join("manifest.json"), &Manifest::new(project, &HashMap::new()))
}

/// Writes run_results.json and the SQL that ran.
pub(crate) fn write_results(project: &Project, command: &str, summary: &RunSummary) -> Result<(), Failure> {
    let target = project.target_dir();
    for result in &summary.results {
        let node = project.node(&result.unique_id);
        if let (Some(code), Some(node)) = (&result.compiled_code, node) {
            let path = target.join("run").join(&node.package).join(&node.original_file_path);
            let path = if result.resource_type == "test" { path.join(&node.path) } else { path };
            write_text(&path, code)?;
        }
    }
    let results = summary.results.iter().map(result_of).collect();
    let mut args = Map::new();
    args.insert("which".to_owned(), Json::String(command.to_owned()));
    write(&target.join("run_results.json"), &RunResults::new(project.options(), results, summary.duration_s, args))
}

fn result_of(result: &NodeResult) -> RunResult {
    let status = match result.status {
        Status::Success => RunStatus::Success,
        Status::Pass => RunStatus::Pass,
        Status::Warn => RunStatus::Warn,
        Status::Fail => RunStatus::Fail,
        Status::Error => RunStatus::Error,
        Status::Skipped => RunStatus::Skipped,
    };
    let seconds = (result.finished_at - result.started_at).num_microseconds().unwrap_or_default() as f64 / 1e6;
    let mut response = Map::new();
    response.insert("rows_affected".to_owned(), result.rows.map_or(Json::Null, Json::from));
    response.insert("version".to_owned(), result.version.map_or(Json::Null, Json::from));
    response.insert("is_reused".to_owned(), Json::Bool(result.is_reused));
    RunResult {
        timing: vec![Timing {
            name: "execute".to_owned(),
            started_at: result.started_at,
            completed_at: result.finished_at,
        }],
        execution_time: seconds,
        adapter_response: response,
        message: result.message.clone(),
        failures: result.failures.and_then(|count| i64::try_from(count).ok()),
        compiled: Some(result.compiled_code.is_some()),
        compiled_code: result.compiled_code.clone(),
        relation_name: result.relation.clone(),
        ..RunResult::new(result.unique_id.clone(), status)
    }
}

fn write(path: &Path, artifact: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(artifact).map_err(|error| Unwritten::Output(error.to_string()))?;
    write_text(path, &text)
}

/// Writes a text file and the folders above it.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    }
    std::fs::write(path, text).map_err(Failure::file(path))
}
