//! What audits of models came to: `system.rule_results` and `system.accounting`.

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use wardlake_core::LedgerEntry;
use wardlake_project::audit::{Action, Audit};
use wardlake_storage::Lake;

use super::table::{Columns, append};
use crate::error::RecordsError;

/// What a finished model's audit came to: rows of `system.rule_results` and `system.accounting`.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// The model.
    pub model: String,
    /// `schema.name` of its table.
    pub relation: String,
    /// The relation its rows come from, if it is declared.
    pub input: Option<String>,
    /// What it declares about its rows.
    pub audit: Audit,
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that were stored.
    pub rows_out: u64,
    /// Rows that were withheld.
    pub rows_quarantined: u64,
    /// Further rows of a key with the same version.
    pub rows_duplicate: u64,
    /// Rows that were left out on purpose.
    pub rows_filtered: u64,
    /// Whether in = out + quarantined + duplicates + filtered.
    pub is_balanced: bool,
    /// Rows checked and broken, rule by rule.
    pub rules: Vec<(u64, u64)>,
    /// Cells repaired, repair by repair.
    pub repairs: Vec<u64>,
    /// Withheld rows nobody has decided about; unknown where they could not be written down.
    pub open: Option<u64>,
}

impl AuditRecord {
    /// One line for people: what was withheld, put right and found.
    pub fn message(&self) -> Option<String> {
        let warned = self.audit.rules.iter().zip(&self.rules);
        let warned = warned.filter(|(rule, (_, broken))| rule.action == Action::Warn && *broken > 0);
        let parts = [
            (self.rows_quarantined, "row quarantined", "rows quarantined"),
            (self.repairs.iter().sum(), "cell repaired", "cells repaired"),
            (self.rows_duplicate, "duplicate", "duplicates"),
            (warned.map(|(_, (_, broken))| broken).sum(), "warning", "warnings"),
        ];
        let counted =
            |(count, one, many): (u64, &str, &str)| format!("{count} {}", if count == 1 { one } else { many });
        let parts: Vec<String> = parts.into_iter().filter(|(count, ..)| *count > 0).map(counted).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// One row of `system.rule_results` per rule and repair, one of `system.accounting` per model.
pub async fn record_audits(lake: &Lake, run_id: &str, audits: &[AuditRecord]) -> Result<(), RecordsError> {
    if audits.is_empty() {
        return Ok(());
    }
    let now = Utc::now();
    let ledger = |part: &str| LedgerEntry::new(format!("run:{run_id}:{part}"), 1);
    append(lake, "rule_results", rule_rows(run_id, audits, now)?, ledger("rules")).await?;
    let count = |of: fn(&AuditRecord) -> u64| audits.iter().map(move |audit| Some(of(audit)));
    let accounting = Columns::default()
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
    append(lake, "accounting", accounting, ledger("accounting")).await
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

fn rule_rows(run_id: &str, audits: &[AuditRecord], now: DateTime<Utc>) -> Result<RecordBatch, RecordsError> {
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
    Columns::default()
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
