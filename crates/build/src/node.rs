//! One node: compile, decide whether anything changed, materialize or test, report.

use std::sync::Arc;

use chrono::Utc;
use wardlake_core::TableName;
use wardlake_project::{Compiled, Node, ResourceType, UniqueId};
use wardlake_records::{NodeResult, Status};
use wardlake_storage::StorageError;

use crate::{
    audit,
    compile::{compile_node, relation_text, target_name},
    consume::{self, Upstream},
    context::BuildContext,
    error::BuildError,
    failed,
    fingerprint::fingerprint,
    materialize::{self, ModelJob, Written},
    seed, testing,
};

/// So often a model is begun anew when another run of it was first.
const ATTEMPTS: u32 = 5;
/// Begins the identity of what may have other rows each time.
const VOLATILE: &str = "volatile:";

/// What the terminal calls a node: `table model gold.dim_patient`, `test not_null_x`.
pub(crate) fn label(node: &Node) -> String {
    match node.resource_type {
        ResourceType::Test => format!("test {}", node.name),
        ResourceType::Seed => format!("seed file {}", relation_text(node)),
        ResourceType::Snapshot => format!("snapshot {}", relation_text(node)),
        _ => format!("{} model {}", node.config.materialized, relation_text(node)),
    }
}

/// Runs a node to its end; failures become part of the result.
pub(crate) async fn run_node(context: &Arc<BuildContext>, id: &UniqueId) -> NodeResult {
    let _turn = context.workspace.engine.turn().await;
    let mut result = unrun(context, id, Status::Success);
    let Some(node) = context.node(id) else {
        return skipped(context, id, "the node is not in the project".to_owned());
    };
    result.relation = (node.resource_type != ResourceType::Test).then(|| relation_text(node));
    if let Err(error) = run(context, id, node, &mut result).await {
        result.status = Status::Error;
        let compiled = result.compiled_code.as_deref();
        result.message = Some(failed::message(&context.session, node, compiled, &error).await);
        result.fingerprint = None;
    }
    result.finished_at = Utc::now();
    result
}

async fn run(
    context: &Arc<BuildContext>,
    id: &UniqueId,
    node: &Node,
    result: &mut NodeResult,
) -> Result<(), BuildError> {
    match node.resource_type {
        ResourceType::Seed => {
            let written = seed::load(context, node, result).await?;
            note(context, node, result, written).await
        }
        ResourceType::Test => {
            let compiled = compile(context, id, false).await?;
            result.compiled_code = Some(compiled.sql.clone());
            let print = node_fingerprint(context, id, node, &compiled).await?;
            testing::run_test(context, node, &compiled, print, result).await
        }
        _ => {
            let mut upstream = Upstream::new();
            for _ in 1..ATTEMPTS {
                match run_model(context, id, node, result, &mut upstream).await {
                    // Beside a server a wave was first with some of the rows: what is left is asked for again.
                    Err(BuildError::Storage(error)) if is_overtaken(&error) => {}
                    done => return done,
                }
            }
            run_model(context, id, node, result, &mut upstream).await
        }
    }
}

/// Whether another run of the same model committed between this one's look at its ledger and its commit.
fn is_overtaken(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::PartlyApplied { .. } | StorageError::LedgerMoved { .. } | StorageError::Conflict { .. }
    )
}

async fn run_model(
    context: &Arc<BuildContext>,
    id: &UniqueId,
    node: &Node,
    result: &mut NodeResult,
    upstream: &mut Upstream,
) -> Result<(), BuildError> {
    if node.config.materialized == "ephemeral" {
        // It lives in the SQL of the models that use it.
        return Ok(());
    }
    let name = target_name(node)?;
    // Before anything of the model is found to stand, or is published.
    audit::catch_up(&context.workspace, &context.session, node, &name).await?;
    // Asked first: a table that another run makes meanwhile is none that this one may replace.
    let is_first = node.config.materialized == "incremental" && !context.workspace.lake.exists(&name).await?;
    let is_incremental = materialize::is_incremental(context, node, &name).await?;
    let compiled = compile(context, id, is_incremental).await?;
    result.compiled_code = Some(compiled.sql.clone());
    let print = node_fingerprint(context, id, node, &compiled).await?;
    if let Some(print) = &print
        && reuse(context, node, &name, print, result).await?
    {
        return Ok(());
    }
    run_hooks(context, &compiled.pre_hooks).await?;
    let consumed = consume::open(context, &name, &compiled, is_incremental, upstream).await?;
    consume::look_up(context, &compiled).await?;
    let job = ModelJob { node, name: &name, compiled: &compiled, is_first, is_incremental, consumed };
    let written = materialize::write(context, &job).await?;
    result.fingerprint = print;
    note(context, node, result, written).await?;
    run_hooks(context, &compiled.post_hooks).await
}

/// Takes over what was written into the result and settles the node's identity for its dependants.
async fn note(
    context: &BuildContext,
    node: &Node,
    result: &mut NodeResult,
    written: Written,
) -> Result<(), BuildError> {
    if context.states.are_compared() {
        let identity = match written.version {
            Some(version) => table_identity(context, &target_name(node)?, version).await?,
            // A view is what it reads.
            None => result.fingerprint.clone(),
        };
        context.states.settle(&node.unique_id.to_string(), identity.unwrap_or_else(|| volatile(context)));
    }
    result.rows = written.rows;
    result.version = written.version;
    result.bytes = written.bytes;
    result.message = result.message.take().or(written.message);
    Ok(())
}

/// What stands for the rows of a table at a version; none if it is gone. Of a table that was made anew under its name the versions
/// are counted from 0 again, so its id is part of it. Where commits are gone, versions are given out once more: they stand for nothing.
async fn table_identity(context: &BuildContext, name: &TableName, version: u64) -> Result<Option<String>, BuildError> {
    if context.set_back.contains_key(name) {
        return Ok(None);
    }
    let table = context.workspace.lake.snapshot(name, None).await?;
    Ok(table.map(|table| format!("{name}@{version} of {}", table.table_id())))
}

async fn compile(context: &Arc<BuildContext>, id: &UniqueId, is_incremental: bool) -> Result<Compiled, BuildError> {
    compile_node(&context.workspace, &context.session, id, is_incremental).await
}

/// The node's fingerprint, or none if equal inputs do not mean equal rows.
async fn node_fingerprint(
    context: &Arc<BuildContext>,
    id: &UniqueId,
    node: &Node,
    compiled: &Compiled,
) -> Result<Option<String>, BuildError> {
    let has_hooks = !compiled.pre_hooks.is_empty() || !compiled.post_hooks.is_empty();
    if context.options.full_refresh || has_hooks {
        return Ok(None);
    }
    query_fingerprint(context, id, node, &compiled.sql).await
}

/// What stands for the rows of a node's query; none if they may be others each time.
async fn query_fingerprint(
    context: &Arc<BuildContext>,
    id: &UniqueId,
    node: &Node,
    sql: &str,
) -> Result<Option<String>, BuildError> {
    // An ephemeral model's query is a template; it is looked at as a part of what reads it.
    if node.config.materialized != "ephemeral" && !context.states.is_deterministic(&context.session, sql) {
        return Ok(None);
    }
    let mut inputs = Vec::new();
    for parent in context.workspace.project.graph().parents(id) {
        match Box::pin(input_identity(context, parent)).await? {
            Some(identity) => inputs.push(identity),
            None => return Ok(None),
        }
    }
    inputs.sort_unstable();
    let settings = format!("{:?}", node.config);
    Ok(Some(fingerprint([sql, settings.as_str()].into_iter().chain(inputs.iter().map(String::as_str)))))
}

/// What stands for the rows of an upstream node now.
async fn input_identity(context: &Arc<BuildContext>, id: &UniqueId) -> Result<Option<String>, BuildError> {
    if let Some(identity) = context.states.identity(id.as_str()) {
        return Ok((!identity.starts_with(VOLATILE)).then_some(identity));
    }
    let project = &context.workspace.project;
    if let Some(source) = project.source(id) {
        let Some(name) = source.relation.table_name() else { return Ok(None) };
        return published_identity(context, &name).await;
    }
    let Some(node) = project.node(id) else { return Ok(None) };
    let name = node.relation.table_name();
    // Not part of this run: its published version, or its query and what that reads.
    let query = match (node.config.materialized.as_str(), &name) {
        ("ephemeral", _) => Some(node.raw_code.clone()),
        ("view", Some(name)) => context.session.view_sql(name).await?,
        _ => None,
    };
    if let Some(query) = query {
        let print = query_fingerprint(context, id, node, &query).await?;
        context.states.settle(id.as_str(), print.clone().unwrap_or_else(|| volatile(context)));
        return Ok(print);
    }
    match name {
        Some(name) => published_identity(context, &name).await,
        None => Ok(None),
    }
}

/// What stands for the rows of a table that this run does not write: at its published version, or as it is if none was.
async fn published_identity(context: &BuildContext, name: &TableName) -> Result<Option<String>, BuildError> {
    let version = match context.previous.get(name) {
        Some(version) => Some(*version),
        None => context.workspace.lake.newest_version(name).await?,
    };
    match version {
        Some(version) => table_identity(context, name, version).await,
        None => Ok(None),
    }
}

/// What stands for rows that may be others each time: it never equals itself.
fn volatile(context: &BuildContext) -> String {
    format!("{VOLATILE}{}", context.workspace.run_id)
}

/// Whether the node's last result stands: equal fingerprint, and nobody wrote the table or view since.
async fn reuse(
    context: &Arc<BuildContext>,
    node: &Node,
    name: &TableName,
    print: &str,
    result: &mut NodeResult,
) -> Result<bool, BuildError> {
    let Some(last) = context.states.last(&result.unique_id).filter(|last| last.fingerprint == print) else {
        return Ok(false);
    };
    let stands = match last.version {
        Some(version) => context.workspace.lake.newest_version(name).await? == Some(version),
        // It may be that of a run that died before its end, and after this one's.
        None => context.workspace.lake.view(name).await?.map(|view| view.sql) == result.compiled_code,
    };
    if stands {
        result.is_reused = true;
        result.fingerprint = Some(print.to_owned());
        let written = Written { rows: last.rows, version: last.version, bytes: None, message: None };
        note(context, node, result, written).await?;
    }
    Ok(stands)
}

/// Hooks are queries, one statement each; their rows are discarded.
async fn run_hooks(context: &Arc<BuildContext>, hooks: &[String]) -> Result<(), BuildError> {
    for hook in hooks.iter().filter(|hook| !hook.trim().is_empty()) {
        context.session.collect(hook).await?;
    }
    Ok(())
}

pub(crate) fn skipped(context: &BuildContext, id: &UniqueId, reason: String) -> NodeResult {
    NodeResult { message: Some(reason), ..unrun(context, id, Status::Skipped) }
}

/// The result of a node that did not run.
pub(crate) fn unrun(context: &BuildContext, id: &UniqueId, status: Status) -> NodeResult {
    // An id that the project does not know is all that can be told of it.
    let (resource_type, label) = match context.node(id) {
        Some(node) => (node.resource_type.to_string(), label(node)),
        None => (String::new(), id.to_string()),
    };
    NodeResult::begun(id.to_string(), resource_type, label, status)
}
