//! Tests: a query that returns what is wrong; severity, `warn_if` and `error_if` decide what that means.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Int64Type},
};
use wardlake_project::{Compiled, Node, TestSeverity};
use wardlake_records::{NodeResult, Status};

use crate::{compile::target_name, context::BuildContext, error::BuildError, materialize::commit_of};

/// Runs a test, or takes over its last result if nothing it reads has changed.
pub(crate) async fn run_test(
    context: &Arc<BuildContext>,
    node: &Node,
    compiled: &Compiled,
    print: Option<String>,
    result: &mut NodeResult,
) -> Result<(), BuildError> {
    let keeps_rows = context.options.store_failures || node.keeps_failures();
    result.fingerprint = print;
    if !keeps_rows
        && let Some(last) = context.states.last(&result.unique_id)
        && result.fingerprint.as_ref() == Some(&last.fingerprint)
    {
        result.status = last.status;
        result.failures = last.failures;
        result.is_reused = true;
        result.message = message(node, last.status, last.failures.unwrap_or_default());
        return Ok(());
    }
    let mut rows_sql = compiled.sql.trim().trim_end_matches(';').to_owned();
    if keeps_rows {
        let name = target_name(node)?;
        let streams = context.session.query(&rows_sql).await?.streams().await?;
        let outcome = context.workspace.lake.overwrite(&name, streams, commit_of(context, node)).await?;
        result.version = crate::materialize::Written::from(outcome).version;
        result.relation = Some(name.to_string());
        rows_sql = format!("select * from {}", name.quoted());
    }
    let test = &node.config.test;
    let limit = test.limit.map(|limit| format!(" limit {limit}")).unwrap_or_default();
    let sql = format!(
        "select {calc} as failures, {calc} {warn} as should_warn, {calc} {error} as should_error \
         from (\n{rows_sql}\n{limit}) as dbt_internal_test",
        calc = test.fail_calc,
        warn = test.warn_if,
        error = test.error_if,
    );
    let batches = context.session.collect(&sql).await?;
    let found = batches.iter().find(|batch| batch.num_rows() > 0).ok_or_else(|| {
        let test = node.unique_id.to_string();
        BuildError::NoAggregate { test }
    })?;
    let failures = count(found)?;
    let is_severe = test.severity == TestSeverity::Error;
    result.failures = Some(failures);
    result.status = if is_severe && flag(found, 2) {
        Status::Fail
    } else if flag(found, 1) {
        Status::Warn
    } else {
        Status::Pass
    };
    result.message = message(node, result.status, failures);
    Ok(())
}

fn message(node: &Node, status: Status, failures: u64) -> Option<String> {
    let test = &node.config.test;
    let (verb, condition) = match status {
        Status::Fail => ("fail", &test.error_if),
        Status::Warn => ("warn", &test.warn_if),
        _ => return None,
    };
    let plural = if failures == 1 { "" } else { "s" };
    Some(format!("Got {failures} result{plural}, configured to {verb} if {condition}"))
}

fn count(batch: &RecordBatch) -> Result<u64, BuildError> {
    let column = arrow::compute::cast(batch.column(0), &DataType::Int64)?;
    let column = column.as_primitive::<Int64Type>();
    Ok(if column.is_null(0) { 0 } else { column.value(0).max(0).unsigned_abs() })
}

fn flag(batch: &RecordBatch, column: usize) -> bool {
    batch.column(column).as_boolean_opt().is_some_and(|flags| flags.is_valid(0) && flags.value(0))
}
