//! The lake's own tables, in schema `system`: what ran, what was loaded, what was rejected. Plain Delta tables like all
//! others, written by appends, read by `wardlake sql`.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray, UInt64Array,
    },
    compute::cast,
    datatypes::DataType,
};
use chrono::{DateTime, Utc};
use datafusion::{execution::SendableRecordBatchStream, physical_plan::memory::MemoryStream};
use wardlake_core::{LedgerEntry, TableName, lineage};
use wardlake_project::audit::Action;
use wardlake_storage::{Commit, Lake, SchemaChange};

use crate::{FileLoad, NodeResult, RunSummary, RunnerError, Workspace, build::audit::AuditRecord};

/// The schema of the lake's own tables; readers always see their newest versions.
pub(crate) const SCHEMA: &str = "system";

/// A table being put together column by column.
#[derive(Default)]
pub(crate) struct Columns(Vec<(&'static str, ArrayRef)>);

impl Columns {
    pub(crate) fn text<'a>(mut self, name: &'static str, values: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        self.0.push((name, Arc::new(values.into_iter().collect::<StringArray>())));
        self
    }

    pub(crate) fn count(
        mut self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<u64>>,
    ) -> Result<Self, RunnerError> {
        let values: UInt64Array = values.into_iter().collect();
        self.0.push((name, cast(&values, &DataType::Int64)?));
        Ok(self)
    }

    pub(crate) fn number(mut self, name: &'static str, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        self.0.push((name, Arc::new(values.into_iter().collect::<Float64Array>())));
        self
    }

    pub(crate) fn flag(mut self, name: &'static str, values: impl IntoIterator<Item = bool>) -> Self {
        self.0.push((name, Arc::new(values.into_iter().map(Some).collect::<BooleanArray>())));
        self
    }

    pub(crate) fn instant(mut self, name: &'static str, values: impl IntoIterator<Item = DateTime<Utc>>) -> Self {
        let values: TimestampMicrosecondArray = values.into_iter().map(|at| Some(at.timestamp_micros())).collect();
        self.0.push((name, Arc::new(values.with_timezone("UTC"))));
        self
    }

    fn bytes<'a>(mut self, name: &'static str, values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        self.0.push((name, Arc::new(BinaryArray::from_iter_values(values))));
        self
    }

    pub(crate) fn batch(self) -> Result<RecordBatch, RunnerError> {
        Ok(RecordBatch::try_from_iter_with_nullable(self.0.into_iter().map(|(name, array)| (name, array, true)))?)
    }
}

/// A record that no row could be made of: a row of `rejected_rows`.
pub(crate) struct RejectedRow<'a> {
    /// The file, journal segment or `topic/partition`.
    pub(crate) file: &'a str,
    pub(crate) position: u64,
    pub(crate) byte_offset: u64,
    /// A stable code, and a sentence for people.
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    /// Its first bytes, and how many there were.
    pub(crate) bytes: &'a [u8],
    pub(crate) length: u64,
    /// Of the file; empty where it came in none.
    pub(crate) sha256: &'a str,
    pub(crate) received_at: DateTime<Utc>,
}

/// Rows of `rejected_rows` of one source table.
pub(crate) fn rejected_rows(source: &str, rows: &[RejectedRow<'_>]) -> Result<RecordBatch, RunnerError> {
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

/// Appends one batch to a system table, once per ledger entry.
pub(crate) async fn append(
    lake: &Lake,
    table: &str,
    batch: RecordBatch,
    ledger: LedgerEntry,
) -> Result<(), RunnerError> {
    if batch.num_rows() == 0 {
        return Ok(());
    }
    let schema = batch.schema();
    let stream = Box::pin(MemoryStream::try_new(vec![batch], schema, None)?);
    append_streams(lake, &TableName::new(SCHEMA, table)?, vec![stream], ledger).await
}

/// Appends rows to any of the lake's own tables, once per ledger entry.
pub(crate) async fn append_streams(
    lake: &Lake,
    table: &TableName,
    rows: Vec<SendableRecordBatchStream>,
    ledger: LedgerEntry,
) -> Result<(), RunnerError> {
    let commit = Commit { ledger: vec![ledger], schema_change: SchemaChange::AppendNewColumns, ..Commit::default() };
    lake.append(table, rows, commit).await?;
    Ok(())
}

/// Replaces all rows of one of the lake's own tables, whatever they were, once per ledger entry.
pub(crate) async fn replace(
    lake: &Lake,
    table: &TableName,
    rows: Vec<SendableRecordBatchStream>,
    ledger: LedgerEntry,
) -> Result<(), RunnerError> {
    lake.overwrite(table, rows, Commit::consuming(vec![ledger])).await?;
    Ok(())
}

/// One row of `system.rule_results` per rule and repair, one of `system.accounting` per model.
pub(crate) async fn record_audits(workspace: &Workspace, audits: &[AuditRecord]) -> Result<(), RunnerError> {
    if audits.is_empty() {
        return Ok(());
    }
    let run_id = workspace.run_id.as_str();
    let now = Utc::now();
    let ledger = |part: &str| LedgerEntry::new(format!("run:{run_id}:{part}"), 1);
    append(&workspace.lake, "rule_results", rule_rows(run_id, audits, now)?, ledger("rules")).await?;
    let count = |of: fn(&AuditRecord) -> u64| audits.iter().map(move |audit| Some(of(audit)));
    let accounting = Columns(Vec::new())
        .text("run_id", audits.iter().map(|_| Some(run_id)))
        .text("model", audits.iter().map(|audit| Some(audit.model.as_str())))
        .text("relation", audits.iter().map(|audit| Some(audit.relation.as_str())))
        .text("input", audits.iter().map(|audit| audit.input.as_deref()))
        .count("rows_in", count(|audit| audit.rows_in))?
        .count("rows_out", count(|audit| audit.rows_out))?
        .count("rows_quarantined", count(|audit| audit.rows_quarantined))?
        .count("rows_duplicate", count(|audit| audit.rows_duplicate))?
        .count("rows_filtered", count(|audit| audit.rows_filtered))?
        .count("rows_open", audits.iter().map(|audit| audit.open))?
        .flag("is_balanced", audits.iter().map(|audit| audit.is_balanced))
        .instant("finished_at", audits.iter().map(|_| now))
        .batch()?;
    append(&workspace.lake, "accounting", accounting, ledger("accounting")).await
}

/// A rule's or repair's result in one run.
struct RuleResult<'a> {
    model: &'a str,
    relation: &'a str,
    rule: &'a str,
    kind: &'a str,
    action: &'static str,
    severity: &'static str,
    reason: &'a str,
    checked: u64,
    broken: u64,
    threshold: Option<String>,
    status: &'static str,
}

fn rule_rows(run_id: &str, audits: &[AuditRecord], now: DateTime<Utc>) -> Result<RecordBatch, RunnerError> {
    let mut results = Vec::new();
    for record in audits {
        for (rule, (checked, broken)) in record.audit.rules.iter().zip(&record.rules) {
            let is_exceeded = rule.threshold.is_some_and(|limit| limit.is_exceeded(*broken, *checked));
            let status = match (checked, broken) {
                (0, _) => "no_data",
                (_, 0) => "pass",
                _ if is_exceeded || (rule.threshold.is_none() && rule.action == Action::Fail) => "fail",
                _ => "warn",
            };
            results.push(RuleResult {
                model: &record.model,
                relation: &record.relation,
                rule: &rule.name,
                kind: &rule.kind,
                action: rule.action.as_str(),
                severity: rule.severity.as_str(),
                reason: &rule.reason,
                checked: *checked,
                broken: *broken,
                threshold: rule.threshold.map(|limit| limit.to_string()),
                status,
            });
        }
        for (repair, cells) in record.audit.repairs.iter().zip(&record.repairs) {
            results.push(RuleResult {
                model: &record.model,
                relation: &record.relation,
                rule: &repair.name,
                kind: &repair.kind,
                action: "repair",
                severity: "low",
                reason: &repair.reason,
                checked: record.rows_in,
                broken: *cells,
                threshold: None,
                status: if record.rows_in == 0 { "no_data" } else { "pass" },
            });
        }
    }
    Columns(Vec::new())
        .text("run_id", results.iter().map(|_| Some(run_id)))
        .text("model", results.iter().map(|result| Some(result.model)))
        .text("relation", results.iter().map(|result| Some(result.relation)))
        .text("rule", results.iter().map(|result| Some(result.rule)))
        .text("kind", results.iter().map(|result| Some(result.kind)))
        .text("action", results.iter().map(|result| Some(result.action)))
        .text("severity", results.iter().map(|result| Some(result.severity)))
        .text("reason", results.iter().map(|result| Some(result.reason)))
        .count("rows_checked", results.iter().map(|result| Some(result.checked)))?
        .count("rows_broken", results.iter().map(|result| Some(result.broken)))?
        .text("threshold", results.iter().map(|result| result.threshold.as_deref()))
        .text("status", results.iter().map(|result| Some(result.status)))
        .instant("finished_at", results.iter().map(|_| now))
        .batch()
}

/// A key figure's value and what the quarantine can still move it to.
#[derive(Clone, Debug)]
pub(crate) struct KpiBound {
    pub(crate) kpi: String,
    pub(crate) row_key: String,
    pub(crate) figure: String,
    /// As published, without withheld rows.
    pub(crate) value: Option<f64>,
    /// With all open rows let in.
    pub(crate) value_with: Option<f64>,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) open_rows: u64,
    /// Microseconds of the epoch: when the stalest source behind it was last loaded.
    pub(crate) fresh_at: Option<i64>,
    pub(crate) computed_at: DateTime<Utc>,
}

/// Rows of `system.kpi_bounds`.
pub(crate) fn bound_rows(run_id: &str, epoch: u64, bounds: &[KpiBound]) -> Result<RecordBatch, RunnerError> {
    let fresh: TimestampMicrosecondArray = bounds.iter().map(|bound| bound.fresh_at).collect();
    let number = |of: fn(&KpiBound) -> Option<f64>| bounds.iter().map(of);
    let mut columns = Columns(Vec::new())
        .text("run_id", bounds.iter().map(|_| Some(run_id)))
        .count("epoch", bounds.iter().map(|_| Some(epoch)))?
        .text("kpi", bounds.iter().map(|bound| Some(bound.kpi.as_str())))
        .text("row_key", bounds.iter().map(|bound| Some(bound.row_key.as_str())))
        .text("figure", bounds.iter().map(|bound| Some(bound.figure.as_str())))
        .number("value", number(|bound| bound.value))
        .number("value_with", number(|bound| bound.value_with))
        .number("low", number(|bound| bound.low))
        .number("high", number(|bound| bound.high))
        .count("open_rows", bounds.iter().map(|bound| Some(bound.open_rows)))?;
    columns.0.push(("fresh_at", Arc::new(fresh.with_timezone("UTC"))));
    columns.instant("computed_at", bounds.iter().map(|bound| bound.computed_at)).batch()
}

/// One row of `system.runs` and one of `system.run_nodes` per node that did something.
pub(crate) async fn record_run(workspace: &Workspace, command: &str, summary: &RunSummary) -> Result<(), RunnerError> {
    let run_id = workspace.run_id.as_str();
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
    append(&workspace.lake, "runs", run, ledger("run")).await?;
    // Nodes whose earlier result stands did nothing; a rerun with nothing new writes one row.
    let worked: Vec<&NodeResult> = summary.results.iter().filter(|result| !result.is_reused).collect();
    append(&workspace.lake, "run_nodes", node_rows(run_id, &worked)?, ledger("nodes")).await
}

fn node_rows(run_id: &str, results: &[&NodeResult]) -> Result<RecordBatch, RunnerError> {
    let statuses: Vec<String> = results
        .iter()
        .map(|result| serde_json::to_value(result.status).ok().and_then(|s| s.as_str().map(str::to_owned)))
        .map(Option::unwrap_or_default)
        .collect();
    Columns::default()
        .text("run_id", results.iter().map(|_| Some(run_id)))
        .text("unique_id", results.iter().map(|result| Some(result.unique_id.as_str())))
        .text("resource_type", results.iter().map(|result| Some(result.resource_type.as_str())))
        .text("relation", results.iter().map(|result| result.relation.as_deref()))
        .text("status", statuses.iter().map(|status| Some(status.as_str())))
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

/// One row of `system.load_log` per loaded file. `sequence` numbers the loads of one path.
pub(crate) fn load_rows(
    run_id: &str,
    loads: &[LoggedFile],
    logged_at: DateTime<Utc>,
) -> Result<RecordBatch, RunnerError> {
    let drift: Vec<String> = loads.iter().map(|l| serde_json::to_string(&l.load.drift).unwrap_or_default()).collect();
    let types: Vec<String> = loads.iter().map(|l| serde_json::to_string(&l.column_types).unwrap_or_default()).collect();
    let columns: Vec<String> = loads.iter().map(|l| serde_json::to_string(&l.columns).unwrap_or_default()).collect();
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
pub(crate) fn repeated_rows(
    run_id: &str,
    label: &str,
    file: &str,
    positions: Vec<i64>,
    received_at: DateTime<Utc>,
) -> Result<RecordBatch, RunnerError> {
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
pub(crate) struct LoggedFile {
    pub(crate) load: FileLoad,
    pub(crate) batch_id: String,
    pub(crate) sequence: u64,
    pub(crate) size: u64,
    pub(crate) modified_us: u64,
    pub(crate) is_late: bool,
    pub(crate) order_key: String,
    pub(crate) column_types: std::collections::BTreeMap<String, String>,
    pub(crate) columns: Vec<String>,
}
