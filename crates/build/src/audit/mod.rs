//! Audited models: rules, repairs, filters and duplicates are decided in the model's own run, in one pass over its rows,
//! before anything is committed. What is withheld goes to `quarantine.<model>`, what is found in rows that stay to
//! `audit.<model>`, the counts to `system.rule_results` and `system.accounting`.
//!
//! **The model's commit decides** what of all this holds; the other tables are written after it and follow it:
//!
//! - A table that is built as a whole is built again when its records failed or the process died before they were written: its state
//!   is kept only by a run that came to its end. The next run withholds the same rows.
//! - A model that takes only what is new never sees a row again that its commit consumed. Its rows are put aside before that commit and
//!   written down from there, by this run or by the next one (`aside.rs`), before anything of the model is published.
//! - Of a run whose gate failed the rows are shown all the same, for that is when people look, but they hold for no table: see
//!   `quarantine.rs`.

mod aside;
pub(crate) mod findings;
mod place;
mod plan;
pub(crate) mod quarantine;
mod received;
mod split;
mod text;
mod withheld;

use std::sync::Arc;

use arrow::{array::AsArray, datatypes::Int64Type};
use chrono::Utc;
use datafusion::execution::SendableRecordBatchStream;
use serde::{Deserialize, Serialize};
use wardlake_core::{LedgerEntry, TableName};
use wardlake_engine::Session;
use wardlake_load::Workspace;
use wardlake_project::{Compiled, Node, Project, audit::Audit};
use wardlake_records::system::AuditRecord;

use self::{
    aside::Attempt,
    split::{Ledger, Totals},
};
use crate::{context::BuildContext, error::BuildError};

pub use self::{aside::catch_up, place::source_of};

/// A run of a model, as far as it matters for what it withholds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ModelRun {
    run_id: String,
    at_us: i64,
    /// Only new rows of its input were read: what is not among them is not gone.
    is_partial: bool,
    /// The version of the quarantine when it began. What came to it later is none of this run's business.
    quarantine: Option<u64>,
}

/// What became of a run's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They are in the model's table, but for those that were withheld.
    Committed,
    /// The gate failed, the table stays as it was.
    Refused,
    /// Another run took the same rows through, and writes down what came of them.
    Superseded,
}

/// A model whose withheld rows and findings are written down.
#[derive(Clone, Copy)]
struct Audited<'a> {
    node: &'a Node,
    name: &'a TableName,
    run: &'a ModelRun,
    /// Its gate failed.
    is_refused: bool,
}

/// The rows of a model on their way to its table, and what will be known of them.
pub(crate) struct AuditedRows {
    ledger: Arc<Ledger>,
    run: Arc<ModelRun>,
    /// The relation whose rows the model's are.
    input: Option<String>,
    /// Where they are put aside, if they would not come again.
    aside: Option<Arc<Attempt>>,
}

/// The streams of a model's rows; with an audit, only of those that are stored.
pub(crate) async fn rows(
    context: &BuildContext,
    node: &Node,
    name: &TableName,
    compiled: &Compiled,
    is_incremental: bool,
) -> Result<(Vec<SendableRecordBatchStream>, Option<AuditedRows>), BuildError> {
    let (session, workspace) = (&context.session, &context.workspace);
    let project = &workspace.project;
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
    let quarantine = match is_incremental {
        true => None,
        false => workspace.lake.newest_version(&quarantine::table_of(name)?).await?,
    };
    let run = Arc::new(ModelRun {
        run_id: workspace.run_id.clone(),
        at_us: Utc::now().timestamp_micros(),
        is_partial: is_incremental,
        quarantine,
    });
    let comes_again = node.config.materialized != "incremental";
    let aside = (!comes_again).then(|| Arc::new(Attempt::new(&workspace.lake, name, &run)));
    let carried = place::carried(session, project, node, compiled).await;
    let sql = carried.as_deref().unwrap_or(&compiled.sql);
    let (streams, ledger) = split_rows(project, session, node, audit, sql, expected, aside.clone()).await?;
    Ok((streams, Some(AuditedRows { ledger, run, input, aside })))
}

/// A model's rows under other declarations than its own, counted by nobody.
pub async fn lenient_rows(
    workspace: &Workspace,
    session: &Session,
    node: &Node,
    audit: &Audit,
    sql: &str,
) -> Result<Vec<SendableRecordBatchStream>, BuildError> {
    let (streams, _) = split_rows(&workspace.project, session, node, audit, sql, None, None).await?;
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
    aside: Option<Arc<Attempt>>,
) -> Result<(Vec<SendableRecordBatchStream>, Arc<Ledger>), BuildError> {
    let query = session.query(sql).await?;
    let wrapped = session.query(&plan::wrap(project, node, audit, sql, &query.schema())?).await?;
    let layout = plan::layout(audit, &wrapped.schema())?;
    let streams = wrapped.streams().await?;
    let ledger = Ledger::new(audit, layout, &wrapped.schema(), expected, streams.len(), aside)?;
    Ok((streams.into_iter().map(|stream| ledger.split(stream)).collect(), ledger))
}

async fn count(context: &BuildContext, relation: &str) -> Result<u64, BuildError> {
    let batches = context.session.collect(&format!("select count(*) from {relation}")).await?;
    let count = batches.first().and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>().map(|c| c.value(0)));
    count.map(i64::unsigned_abs).ok_or_else(|| BuildError::NotCounted { what: format!("the rows of {relation}") })
}

impl AuditedRows {
    /// Why the writer was refused an end, if that is what stopped it.
    pub(crate) fn gate_failure(&self, node: &Node) -> Option<BuildError> {
        let reason = self.ledger.gate_failure()?;
        Some(BuildError::Gate { node: node.unique_id.clone(), reason })
    }

    /// What the model's commit has to note in the table's ledger.
    pub(crate) fn notes(&self) -> Vec<LedgerEntry> {
        self.aside.iter().map(|aside| aside.note()).collect()
    }

    /// Called when the model's commit failed for another reason than the gate.
    pub(crate) async fn abandon(&self, error: &BuildError) {
        if let Some(aside) = &self.aside {
            aside.abandon(error).await;
        }
    }

    /// Writes down what was withheld and found. Called after the commit, and after a failed gate. What the run came to is true whether or not
    /// that could be done.
    pub(crate) async fn record(
        &self,
        context: &BuildContext,
        node: &Node,
        name: &TableName,
        fate: Fate,
    ) -> (AuditRecord, Result<(), BuildError>) {
        let audit = self.ledger.audit();
        let totals = match fate {
            Fate::Superseded => Totals::none(audit),
            _ => self.ledger.totals(),
        };
        let model = Audited { node, name, run: &self.run, is_refused: fate == Fate::Refused };
        let (open, written) = match self.write_down(context, &model, fate).await {
            Ok(open) => (Some(open), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let record = AuditRecord {
            model: node.name.clone(),
            relation: name.to_string(),
            input: self.input.as_ref().map(|input| input.replace('"', "")),
            audit: audit.clone(),
            is_balanced: totals.is_balanced(),
            rows_in: totals.rows_in,
            rows_out: totals.rows_out,
            rows_quarantined: totals.withheld,
            rows_duplicate: totals.duplicates,
            rows_filtered: totals.filtered,
            rules: totals.rules,
            repairs: totals.repairs,
            open,
        };
        (record, written)
    }

    /// How many rows are open in the quarantine afterwards.
    async fn write_down(&self, context: &BuildContext, model: &Audited<'_>, fate: Fate) -> Result<u64, BuildError> {
        let workspace = &context.workspace;
        let (withheld, listed) = match fate {
            Fate::Superseded => Default::default(),
            _ => (self.ledger.quarantined(&self.run)?, self.ledger.listed()?),
        };
        let found = findings::streams(&self.ledger, &listed, workspace.engine.options().threads);
        let (open, ()) = tokio::try_join!(
            quarantine::record(workspace, &context.session, model, withheld),
            findings::record(workspace, model, found),
        )?;
        if let Some(aside) = &self.aside {
            aside.clear().await;
        }
        Ok(open)
    }
}
