//! What ran: `system.runs` and `system.run_nodes`.

use arrow::array::RecordBatch;
use chrono::Utc;
use wardlake_core::LedgerEntry;
use wardlake_storage::Lake;

use super::table::{Columns, append};
use crate::{
    error::RecordsError,
    results::{NodeResult, RunSummary},
};

/// One row of `system.runs` and one of `system.run_nodes` per node that did something.
pub async fn record_run(lake: &Lake, run_id: &str, command: &str, summary: &RunSummary) -> Result<(), RecordsError> {
    let now = Utc::now();
    let totals = summary.totals;
    let status = if summary.is_success() { "success" } else { "error" };
    let started = now - chrono::Duration::milliseconds((summary.duration_s * 1000.0) as i64);
    let run = Columns::default()
        .text("run_id", [Some(run_id)])
        .text("command", [Some(command)])
        .text("status", [Some(status)])
        .instant("started_at", [started])
        .instant("finished_at", [now])
        .number("duration_s", [Some(summary.duration_s)])
        .count("nodes_pass", [Some(totals.pass)])?
        .count("nodes_warn", [Some(totals.warn)])?
        .count("nodes_error", [Some(totals.error)])?
        .count("nodes_skip", [Some(totals.skip)])?
        .count("epoch", [summary.epoch])?
        .batch()?;
    // One invocation may run several commands, each once.
    let ledger = |part: &str| LedgerEntry::new(format!("run:{run_id}:{command}:{part}"), 1);
    append(lake, "runs", run, ledger("run")).await?;
    // Nodes whose earlier result stands did nothing; a rerun with nothing new writes one row.
    let worked: Vec<&NodeResult> = summary.results.iter().filter(|result| !result.is_reused).collect();
    append(lake, "run_nodes", node_rows(run_id, &worked)?, ledger("nodes")).await
}

fn node_rows(run_id: &str, results: &[&NodeResult]) -> Result<RecordBatch, RecordsError> {
    Columns::default()
        .text("run_id", results.iter().map(|_| Some(run_id)))
        .text("unique_id", results.iter().map(|result| Some(result.unique_id.as_str())))
        .text("resource_type", results.iter().map(|result| Some(result.resource_type.as_str())))
        .text("relation", results.iter().map(|result| result.relation.as_deref()))
        .text("status", results.iter().map(|result| Some(result.status.as_str())))
        .text("message", results.iter().map(|result| result.message.as_deref()))
        .count("row_count", results.iter().map(|result| result.rows))?
        .count("failures", results.iter().map(|result| result.failures))?
        .count("version", results.iter().map(|result| result.version))?
        .count("bytes", results.iter().map(|result| result.bytes))?
        .instant("started_at", results.iter().map(|result| result.started_at))
        .instant("finished_at", results.iter().map(|result| result.finished_at))
        .number("duration_s", results.iter().map(|result| Some(result.seconds())))
        .batch()
}
