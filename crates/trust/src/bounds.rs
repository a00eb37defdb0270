//! How sure a key figure is: its value as published, and its value if every withheld row nobody has decided about were let
//! in. The second one is worked out by the same models on a lake of its own that is thrown away; what lies between the two is
//! what the quarantine can still move. Rows of `system.kpi_bounds`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
};
use chrono::Utc;
use datafusion::execution::SendableRecordBatchStream;
use tokio::task::JoinSet;
use wardlake_access::{SystemReason, Viewer};
use wardlake_build::{compile_node, lenient_rows};
use wardlake_core::{LedgerEntry, TableName};
use wardlake_engine::{ReadState, Session, sql::literal};
use wardlake_load::Workspace;
use wardlake_project::{
    Node, UniqueId,
    audit::{Audit, Kpi, RelationCall},
};
use wardlake_records::{
    quarantine,
    system::{self, KpiBound},
};
use wardlake_storage::{Commit, Lake};

use crate::error::TrustError;

/// Figures of one model by figure and key.
type Figures = BTreeMap<(String, String), Option<f64>>;

/// Works out the bounds of the key figures that a run wrote and appends them to `system.kpi_bounds`.
pub(crate) async fn after_build(
    workspace: &Arc<Workspace>,
    written: &BTreeSet<&str>,
    epoch: u64,
) -> Result<(), TrustError> {
    let project = &workspace.project;
    let kpis: Vec<(&Node, &Kpi)> = project
        .nodes()
        .values()
        .filter(|node| written.contains(node.unique_id.as_str()))
        .filter_map(|node| Some((node, node.kpi.as_ref()?)))
        .collect();
    if kpis.is_empty() {
        return Ok(());
    }
    let state = ReadState::Epoch(Arc::new(workspace.lake.epoch(epoch).await?));
    let published = workspace.engine.session(Viewer::System(SystemReason::Bounds), state.clone()).await?;
    let open = open_rows(workspace, &published).await?;
    let shadow = Shadow::open(workspace, state, &kpis, &open).await?;
    let now = Utc::now();
    let mut bounds = Vec::new();
    for (node, kpi) in kpis {
        let ancestors = project.graph().ancestors([&node.unique_id], None);
        let open_rows: u64 = open.iter().filter(|(id, _)| ancestors.contains(*id)).map(|(_, rows)| rows).sum();
        let without = figures(&published, node, kpi).await?;
        let with = match &shadow {
            Some(shadow) if open_rows > 0 => figures(&shadow.session, node, kpi).await?,
            _ => without.clone(),
        };
        let fresh_at = fresh_at(workspace, &published, &ancestors).await?;
        let places: BTreeSet<&(String, String)> = without.keys().chain(with.keys()).collect();
        for place in places {
            let value = without.get(place).copied().flatten();
            let value_with = with.get(place).copied().flatten();
            let both = [value, value_with].into_iter().flatten();
            bounds.push(KpiBound {
                kpi: node.name.clone(),
                row_key: place.1.clone(),
                figure: place.0.clone(),
                value,
                value_with,
                low: both.clone().reduce(f64::min),
                high: both.reduce(f64::max),
                open_rows,
                fresh_at,
                computed_at: now,
            });
        }
    }
    let batch = system::bound_rows(&workspace.run_id, epoch, &bounds)?;
    let ledger = LedgerEntry::new(format!("run:{}:bounds", workspace.run_id), 1);
    Ok(system::append(&workspace.lake, "kpi_bounds", batch, ledger).await?)
}

/// Open rows of every audited model that has some.
async fn open_rows(workspace: &Workspace, session: &Session) -> Result<HashMap<UniqueId, u64>, TrustError> {
    let mut open = HashMap::new();
    let names = session.names().await?;
    for node in workspace.project.nodes().values().filter(|node| node.audit.is_some()) {
        let Some(model) = node.relation.table_name() else { continue };
        let table = quarantine::table_of(&model)?;
        if !names.contains(&table) {
            continue;
        }
        let sql = format!("select count(*) from {} where state = 'open'", table.quoted());
        let batches = session.collect(&sql).await?;
        let rows = batches.first().map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0));
        if rows > 0 {
            open.insert(node.unique_id.clone(), rows as u64);
        }
    }
    Ok(open)
}

/// The published state with the withheld rows let in.
struct Shadow {
    session: Session,
    /// Holds the tables until the figures are read.
    _folder: tempfile::TempDir,
}

impl Shadow {
    /// Builds every model between the open rows and the figures anew; none if nothing is open.
    async fn open(
        workspace: &Arc<Workspace>,
        state: ReadState,
        kpis: &[(&Node, &Kpi)],
        open: &HashMap<UniqueId, u64>,
    ) -> Result<Option<Self>, TrustError> {
        if open.is_empty() {
            return Ok(None);
        }
        let graph = workspace.project.graph();
        let below = graph.descendants(open.keys(), None);
        let above = graph.ancestors(kpis.iter().map(|(node, _)| &node.unique_id), None);
        let wanted: BTreeSet<&UniqueId> = open.keys().chain(&below).filter(|id| above.contains(*id)).collect();
        let order = graph.sort(wanted.into_iter().cloned());
        let folder =
            tempfile::tempdir().map_err(|error| TrustError::NoTemporaryFolder { reason: error.to_string() })?;
        let lake = Lake::open(&folder.path().to_string_lossy()).await?;
        let session = workspace.engine.session(Viewer::System(SystemReason::Bounds), state).await?;
        // What does not read one another is built side by side.
        let mut depths: HashMap<&str, usize> = HashMap::new();
        let mut levels: Vec<Vec<UniqueId>> = Vec::new();
        for id in &order {
            let above = graph.parents(id).iter().filter_map(|parent| depths.get(parent.as_str()));
            let depth = above.max().map_or(0, |deepest| deepest + 1);
            depths.insert(id, depth);
            levels.resize_with(levels.len().max(depth + 1), Vec::new);
            levels[depth].push(id.clone());
        }
        for level in levels {
            let mut building = JoinSet::new();
            for id in level {
                let (workspace, lake, session) = (Arc::clone(workspace), Arc::clone(&lake), session.clone());
                building.spawn(async move { let_in(&workspace, &lake, &session, &id).await });
            }
            while let Some(built) = building.join_next().await {
                built??;
            }
        }
        Ok(Some(Self { session, _folder: folder }))
    }
}

/// Builds one model of the shadow and lays it over the published one.
async fn let_in(
    workspace: &Arc<Workspace>,
    lake: &Arc<Lake>,
    session: &Session,
    id: &UniqueId,
) -> Result<(), TrustError> {
    let Some(node) = workspace.project.node(id) else { return Ok(()) };
    if !matches!(node.config.materialized.as_str(), "table" | "incremental") {
        return Ok(());
    }
    let Some(name) = node.relation.table_name() else { return Ok(()) };
    let compiled = compile_node(workspace, session, id, false).await?;
    let rows = everything(workspace, session, node, &name, &compiled.sql).await?;
    lake.overwrite(&name, rows, Commit::default()).await?;
    let snapshot = lake.require(&name).await?;
    session.overlay(name, snapshot.provider(&session.context().state()).await?);
    Ok(())
}

/// A model's rows with nothing withheld but what people settled.
async fn everything(
    workspace: &Workspace,
    session: &Session,
    node: &Node,
    name: &TableName,
    sql: &str,
) -> Result<Vec<SendableRecordBatchStream>, TrustError> {
    let Some(declared) = node.audit.as_deref() else { return Ok(session.query(sql).await?.streams().await?) };
    let lenient = Audit { input: None, rules: Vec::new(), repairs: Vec::new(), ..declared.clone() };
    let settled = quarantine::table_of(name)?;
    let reads_source = matches!(declared.input, Some(RelationCall::Source(_)));
    let sql = match reads_source && session.schema(&settled).await?.is_some() {
        true => format!(
            "select settled_apart.* from (\n{}\n) as settled_apart where not exists (select 1 from {} as settled \
             where settled.state in ('fixed', 'dismissed') and settled.source_file = settled_apart._raw__file \
             and settled.source_position = settled_apart._raw__position \
             and settled.batch_id = settled_apart._raw__batch_id)",
            sql.trim().trim_end_matches(';'),
            settled.quoted()
        ),
        false => sql.to_owned(),
    };
    Ok(lenient_rows(workspace, session, node, &lenient, &sql).await?)
}

/// The figures of a model in one state.
async fn figures(session: &Session, node: &Node, kpi: &Kpi) -> Result<Figures, TrustError> {
    let mut found = Figures::new();
    let Some(name) = node.relation.table_name() else { return Ok(found) };
    for batch in session.collect(&format!("select * from {}", name.quoted())).await? {
        let keys = kpi.key.iter().map(|column| text(&batch, column)).collect::<Result<Vec<_>, TrustError>>()?;
        for figure in &kpi.figures {
            let column = batch
                .column_by_name(figure)
                .ok_or_else(|| TrustError::KpiFigure { node: node.unique_id.to_string(), column: figure.clone() })?;
            let values = cast(column, &DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>();
            for row in 0..batch.num_rows() {
                let key: Vec<&str> = keys.iter().map(|column| column[row].as_str()).collect();
                let value = values.is_valid(row).then(|| values.value(row));
                found.insert((figure.clone(), key.join("|")), value);
            }
        }
    }
    Ok(found)
}

fn text(batch: &RecordBatch, column: &str) -> Result<Vec<String>, TrustError> {
    let array = batch.column_by_name(column).ok_or_else(|| TrustError::KpiKey { column: column.to_owned() })?;
    let array = cast(array, &DataType::Utf8)?;
    let array = array.as_string::<i32>();
    // A figure without a key is one of its own.
    Ok(array.iter().map(|value| value.unwrap_or_default().to_owned()).collect())
}

/// When the stalest of the sources behind a figure was last loaded.
async fn fresh_at(
    workspace: &Workspace,
    session: &Session,
    ancestors: &BTreeSet<UniqueId>,
) -> Result<Option<i64>, TrustError> {
    let log = TableName::new("system", "load_log")?;
    let sources: Vec<String> = ancestors
        .iter()
        .filter_map(|id| workspace.project.source(id))
        .map(|source| literal(&format!("{}.{}", source.source_name, source.name)))
        .collect();
    if sources.is_empty() || session.schema(&log).await?.is_none() {
        return Ok(None);
    }
    let sql = format!(
        "select arrow_cast(min(newest), 'Int64') from (select max(loaded_at) as newest from {} where source in ({}) group \
         by source) as loads",
        log.quoted(),
        sources.join(", ")
    );
    let batches = session.collect(&sql).await?;
    let micros = batches.first().and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>().cloned());
    Ok(micros.filter(|micros| !micros.is_empty() && micros.is_valid(0)).map(|micros| micros.value(0)))
}
