//! Audited models: rules, repairs, filters and duplicates are decided in the model's own run, in one pass over its rows,
//! before anything is committed. What is withheld goes to `quarantine.<model>`, what is found in rows that stay to
//! `audit.<model>`, the counts to `system.rule_results` and `system.accounting`.

pub(crate) mod findings;
mod plan;
pub(crate) mod quarantine;
mod received;
mod split;
mod text;
mod withheld;

use std::sync::Arc;

use arrow::{array::AsArray, datatypes::Int64Type};
use datafusion::execution::SendableRecordBatchStream;
use wardlake_core::TableName;
use wardlake_engine::Session;
use wardlake_project::{Compiled, Node, Project, audit::Audit};

use self::split::{Ledger, Totals};
use super::BuildContext;
use crate::{RunnerError, Workspace};

/// A model whose withheld rows and findings are written down.
#[derive(Clone, Copy)]
struct Audited<'a> {
    node: &'a Node,
    name: &'a TableName,
    ledger: &'a Arc<Ledger>,
    /// Only new rows of its input were read: what is not among them is not gone.
    is_partial: bool,
}

/// The rows of a model on their way to its table, and what will be known of them.
pub(crate) struct AuditedRows {
    ledger: Arc<Ledger>,
    input: Option<String>,
    /// Only new rows of the input were read.
    is_partial: bool,
}

/// What a finished model's audit came to: rows of `system.rule_results` and `system.accounting`.
#[derive(Clone, Debug)]
pub(crate) struct AuditRecord {
    pub(crate) model: String,
    pub(crate) relation: String,
    pub(crate) input: Option<String>,
    pub(crate) audit: Audit,
    pub(crate) rows_in: u64,
    pub(crate) rows_out: u64,
    pub(crate) rows_quarantined: u64,
    pub(crate) rows_duplicate: u64,
    pub(crate) rows_filtered: u64,
    pub(crate) is_balanced: bool,
    /// Rows checked and broken, rule by rule.
    pub(crate) rules: Vec<(u64, u64)>,
    /// Cells repaired, repair by repair.
    pub(crate) repairs: Vec<u64>,
    /// Withheld rows nobody has decided about.
    pub(crate) open: u64,
}

/// The streams of a model's rows; with an audit, only of those that are stored.
pub(crate) async fn rows(
    context: &BuildContext,
    node: &Node,
    compiled: &Compiled,
    is_incremental: bool,
) -> Result<(Vec<SendableRecordBatchStream>, Option<AuditedRows>), RunnerError> {
    let (session, project) = (&context.session, &context.workspace.project);
    let Some(audit) = node.audit.as_deref() else {
        return Ok((session.query(&compiled.sql).await?.streams().await?, None));
    };
    let input = match &audit.input {
        Some(call) => Some(plan::relation_sql(project, node, call)?),
        None => None,
    };
    // An incremental run takes only what is new of its input; which rows those are, its own SQL says.
    let expected = match &input {
        Some(input) if !is_incremental => Some(count(context, input).await?),
        _ => None,
    };
    let (streams, ledger) = split_rows(project, session, node, audit, &compiled.sql, expected).await?;
    Ok((streams, Some(AuditedRows { ledger, input, is_partial: is_incremental })))
}

/// A model's rows under other declarations than its own, counted by nobody.
pub(crate) async fn lenient_rows(
    workspace: &Workspace,
    session: &Session,
    node: &Node,
    audit: &Audit,
    sql: &str,
) -> Result<Vec<SendableRecordBatchStream>, RunnerError> {
    let (streams, _) = split_rows(&workspace.project, session, node, audit, sql, None).await?;
    Ok(streams)
}

/// The streams of the rows of `sql` that `audit` lets through, and the ledger of all of them.
async fn split_rows(
    project: &Project,
    session: &Session,
    node: &Node,
    audit: &Audit,
    sql: &str,
    expected: Option<u64>,
) -> Result<(Vec<SendableRecordBatchStream>, Arc<Ledger>), RunnerError> {
    let query = session.query(sql).await?;
    let wrapped = session.query(&plan::wrap(project, node, audit, sql, &query.schema())?).await?;
    let layout = plan::layout(audit, &wrapped.schema())?;
    let streams = wrapped.streams().await?;
    let ledger = Ledger::new(audit, layout, &wrapped.schema(), expected, streams.len())?;
    Ok((streams.into_iter().map(|stream| ledger.split(stream)).collect(), ledger))
}

async fn count(context: &BuildContext, relation: &str) -> Result<u64, RunnerError> {
    let batches = context.session.collect(&format!("select count(*) from {relation}")).await?;
    let count = batches.first().and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>().map(|c| c.value(0)));
    Ok(count.unwrap_or_default().max(0) as u64)
}

impl AuditedRows {
    /// Why the writer was refused an end, if that is what stopped it.
    pub(crate) fn gate_failure(&self, node: &Node) -> Option<RunnerError> {
        let reason = self.ledger.gate_failure()?;
        Some(RunnerError::Gate { node: node.unique_id.clone(), reason })
    }

    /// Writes down what was withheld and found. Called after the commit, and after a failed gate: that is when people look.
    pub(crate) async fn record(
        &self,
        context: &BuildContext,
        node: &Node,
        model: &TableName,
    ) -> Result<AuditRecord, RunnerError> {
        let (workspace, session) = (&context.workspace, &context.session);
        let (withheld, listed) = (self.ledger.take_withheld()?, self.ledger.take_listed()?);
        let model = Audited { node, name: model, ledger: &self.ledger, is_partial: self.is_partial };
        let (open, ()) = tokio::try_join!(
            quarantine::record(workspace, session, &model, &withheld),
            findings::record(workspace, &model, &listed),
        )?;
        let totals: Totals = self.ledger.totals();
        Ok(AuditRecord {
            model: node.name.clone(),
            relation: model.name.to_string(),
            input: self.input.as_ref().map(|input| input.replace('"', "")),
            audit: self.ledger.audit().clone(),
            is_balanced: totals.is_balanced(),
            rows_in: totals.rows_in,
            rows_out: totals.rows_out,
            rows_quarantined: totals.withheld,
            rows_duplicate: totals.duplicates,
            rows_filtered: totals.filtered,
            rules: totals.rules,
            repairs: totals.repairs,
            open,
        })
    }
}

impl AuditRecord {
    /// One line for people: what was withheld, put right and found.
    pub(crate) fn message(&self) -> Option<String> {
        let warned = self.audit.rules.iter().zip(&self.rules);
        let warned =
            warned.filter(|(rule, (_, broken))| rule.action == wardlake_project::audit::Action::Warn && *broken > 0);
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
