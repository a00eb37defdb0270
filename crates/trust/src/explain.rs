//! From a row of any table back to the bytes it came from: the models on the way, what they asked of the row, what they put
//! right, and the line as it was received.

use std::collections::{BTreeSet, VecDeque};

use arrow::{array::RecordBatch, util::display::array_value_to_string};
use wardlake_core::{TableName, lineage};
use wardlake_engine::{
    Session,
    sql::{identifier, literal},
};
use wardlake_load::{Workspace, bronze::FIX_BATCH, delivered, segment_of};
use wardlake_project::{Node, Source, UniqueId, audit::Audit};
use wardlake_records::findings;

use crate::error::TrustError;

/// Where a row came from.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Explanation {
    /// `schema.name` of the table.
    pub table: String,
    /// The row, column by column.
    pub row: Vec<(String, String)>,
    /// The tables from the row's own back to bronze.
    pub path: Vec<Step>,
    /// Where it was received, as far as the row says.
    pub origin: Option<Origin>,
    /// Why that cannot be told, where the row does say a file and a line.
    pub note: Option<String>,
}

/// One table on the way.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Step {
    /// `schema.name`.
    pub relation: String,
    /// `model` or `source`.
    pub kind: String,
    /// Rules the row passed there.
    pub passed: Vec<String>,
    /// What was found in the row there: rule, action, and for repairs the value before and after.
    pub found: Vec<String>,
}

/// The received bytes behind a row.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Origin {
    /// `<source>.<table>`.
    pub source: String,
    /// File, relative to the source's root.
    pub file: String,
    /// Line or record number.
    pub position: i64,
    /// When it was received, and in which load.
    pub received_at: String,
    /// The load; a correction's begins with `fix:`.
    pub batch_id: String,
    /// SHA-256 of the file, under which landing keeps it.
    pub sha256: Option<String>,
    /// The bronze row.
    pub raw: Vec<(String, String)>,
    /// The line as received, where the file is plain text of lines.
    pub line: Option<String>,
}

/// Explains the row of `table` whose `column` (by default its key) has the value `key`.
pub async fn explain(
    workspace: &Workspace,
    session: &Session,
    table: &str,
    key: &str,
    column: Option<&str>,
) -> Result<Explanation, TrustError> {
    let node = find_node(workspace, table)?;
    let name = relation(node)?;
    let schema = session.schema(&name).await?.ok_or_else(|| TrustError::NotPublished { table: name.clone() })?;
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let column = match column {
        Some(column) if !names.contains(&column) => {
            let nearest = wardlake_core::did_you_mean(column, names.iter().copied()).map(str::to_owned);
            return Err(TrustError::NoColumn { table: name.to_string(), column: column.to_owned(), nearest });
        }
        Some(column) => column.to_owned(),
        None => key_column(node, &names),
    };
    let sql = format!(
        "select * from {} where cast({} as varchar) = {} limit 1",
        name.quoted(),
        identifier(&column),
        literal(key)
    );
    let batches = session.collect(&sql).await?;
    let Some(found) = batches.iter().find(|batch| batch.num_rows() > 0) else {
        return Err(TrustError::NoRow { table: name, column });
    };
    let row = cells(found)?;
    let value = |name: &str| row.iter().find(|(column, _)| column == name).map(|(_, value)| value.clone());
    let one_of = |names: [&str; 2]| names.into_iter().find_map(value);
    let position = one_of(["source_position", lineage::POSITION]).and_then(|text| text.parse::<i64>().ok());
    let place = one_of(["source_file", lineage::FILE]).zip(position);
    let mut explanation = Explanation { table: name.to_string(), row: row.clone(), ..Explanation::default() };
    let (models, source) = match &place {
        Some((file, position)) => match way_of_row(workspace, session, node, &row, file, *position).await? {
            Found::One(models, source) => (models, Some(source)),
            Found::Several(sources) => {
                explanation.note = Some(several(&sources));
                (Vec::new(), None)
            }
            Found::None => way_back(workspace, node),
        },
        None => way_back(workspace, node),
    };
    for model in models {
        explanation.path.push(step(session, model, place.as_ref(), source).await?);
    }
    if let (Some(source), Some((file, position))) = (source, place) {
        explanation.path.push(Step {
            relation: bronze_of(source)?.to_string(),
            kind: "source".to_owned(),
            ..Step::default()
        });
        explanation.origin = origin(workspace, session, source, &file, position).await?;
    }
    Ok(explanation)
}

fn find_node<'a>(workspace: &'a Workspace, table: &str) -> Result<&'a Node, TrustError> {
    let nodes = || workspace.project.nodes().values().filter(|node| node.resource_type.is_refable());
    let bare = table.rsplit('.').next().unwrap_or(table);
    nodes().find(|node| node.name == bare || node.relation.identifier == bare).ok_or_else(|| {
        let nearest = wardlake_core::did_you_mean(bare, nodes().map(|node| node.name.as_str())).map(str::to_owned);
        TrustError::NoModel { name: table.to_owned(), nearest }
    })
}

fn relation(node: &Node) -> Result<TableName, TrustError> {
    node.relation.table_name().ok_or_else(|| TrustError::NotATable { name: node.name.clone() })
}

fn bronze_of(source: &Source) -> Result<TableName, TrustError> {
    source.relation.table_name().ok_or_else(|| TrustError::NotATable { name: source.name.clone() })
}

/// The column by which people know a row: declared, unique, or the first.
fn key_column(node: &Node, names: &[&str]) -> String {
    let declared = node.audit.as_ref().and_then(|audit| audit.row_key.first());
    let key = declared.or(node.config.unique_key.first()).filter(|key| names.contains(&key.as_str()));
    key.cloned().unwrap_or_else(|| names.first().copied().unwrap_or_default().to_owned())
}

fn cells(batch: &RecordBatch) -> Result<Vec<(String, String)>, TrustError> {
    let schema = batch.schema();
    let cells = schema.fields().iter().zip(batch.columns());
    cells.map(|(field, column)| Ok((field.name().clone(), array_value_to_string(column, 0)?))).collect()
}

/// The models from a table back to the source its rows come from: along the declared inputs, else along the first parent.
fn way_back<'a>(workspace: &'a Workspace, from: &'a Node) -> (Vec<&'a Node>, Option<&'a Source>) {
    let project = &workspace.project;
    let mut models = vec![from];
    let mut current = from;
    loop {
        let declared = current.audit.as_ref().and_then(|audit| audit.input.as_ref());
        let next: Option<UniqueId> = match declared.and_then(|call| project.find(&current.package, call)) {
            Some((id, _)) => Some(id.clone()),
            None => current.depends_on.nodes.first().cloned(),
        };
        let Some(next) = next else { return (models, None) };
        if let Some(source) = project.source(&next) {
            return (models, Some(source));
        }
        match project.node(&next) {
            Some(node) if models.len() < 100 => {
                models.push(node);
                current = node;
            }
            _ => return (models, None),
        }
    }
}

/// Where a row can have come from.
enum Found<'a> {
    /// The models on its way, and the source.
    One(Vec<&'a Node>, &'a Source),
    /// Each of these holds a row of that file and line, and the row does not say whose it is.
    Several(Vec<&'a Source>),
    /// No source holds such a row.
    None,
}

fn several(sources: &[&Source]) -> String {
    let names: Vec<String> = sources.iter().map(|source| source_name(source)).collect();
    format!(
        "Which line the row came from cannot be told: {} hold a file of that name with that line. Carry `{1}` through the models \
         (`{1} as source_name`), and the row says it.",
        names.join(" and "),
        lineage::SOURCE,
    )
}

fn source_name(source: &Source) -> String {
    format!("{}.{}", source.source_name, source.name)
}

/// The way of a row whose file and line are known. Files of several sources may have one name: it counts which of them hold the line, and
/// which one the row itself names.
async fn way_of_row<'a>(
    workspace: &'a Workspace,
    session: &Session,
    from: &'a Node,
    row: &[(String, String)],
    file: &str,
    position: i64,
) -> Result<Found<'a>, TrustError> {
    let mut holding = Vec::new();
    for (models, source) in ways_back(workspace, from) {
        let bronze = bronze_of(source)?;
        // Tables that others load have no lines.
        let schema = session.schema(&bronze).await?;
        if !schema.is_some_and(|schema| lineage::ALL.iter().all(|column| schema.field_with_name(column).is_ok())) {
            continue;
        }
        let batches = session.collect(&newest_sql(&bronze, file, position)).await?;
        if batches.iter().any(|batch| batch.num_rows() > 0) {
            holding.push((models, source));
        }
    }
    if holding.len() > 1 {
        let says = |source: &Source| row.iter().any(|(_, value)| *value == source_name(source));
        let said: Vec<_> = holding.iter().filter(|way| says(way.1)).cloned().collect();
        if said.len() == 1 {
            holding = said;
        }
    }
    Ok(match holding.len() {
        0 => Found::None,
        1 => holding.pop().map_or(Found::None, |(shortest, source)| match way_back(workspace, from) {
            (models, Some(first)) if first.unique_id == source.unique_id => Found::One(models, source),
            _ => Found::One(shortest, source),
        }),
        _ => Found::Several(holding.into_iter().map(|(_, source)| source).collect()),
    })
}

/// The shortest way to each source that a row of a table can have come from: along the declared inputs, and where none is declared along
/// every parent.
fn ways_back<'a>(workspace: &'a Workspace, from: &'a Node) -> Vec<(Vec<&'a Node>, &'a Source)> {
    let project = &workspace.project;
    let mut found = Vec::new();
    let mut seen: BTreeSet<&UniqueId> = BTreeSet::from([&from.unique_id]);
    let mut waiting = VecDeque::from([vec![from]]);
    while let Some(models) = waiting.pop_front() {
        let Some(current) = models.last().copied() else { continue };
        let declared = current.audit.as_ref().and_then(|audit| audit.input.as_ref());
        let next: Vec<&UniqueId> = match declared.and_then(|call| project.find(&current.package, call)) {
            Some((id, _)) => vec![id],
            None => current.depends_on.nodes.iter().collect(),
        };
        for id in next {
            if !seen.insert(id) {
                continue;
            }
            if let Some(source) = project.source(id) {
                found.push((models.clone(), source));
            } else if let Some(node) = project.node(id) {
                waiting.push_back(models.iter().copied().chain([node]).collect());
            }
        }
    }
    found
}

async fn step(
    session: &Session,
    node: &Node,
    place: Option<&(String, i64)>,
    source: Option<&Source>,
) -> Result<Step, TrustError> {
    let name = relation(node)?;
    let mut step = Step { relation: name.to_string(), kind: "model".to_owned(), ..Step::default() };
    let Some(audit): Option<&Audit> = node.audit.as_deref() else { return Ok(step) };
    let table = TableName::new(findings::SCHEMA, name.name())?;
    let mut broken = Vec::new();
    if let Some((file, position)) = place
        && session.schema(&table).await?.is_some()
    {
        let of_source = source.map(|source| format!(" and coalesce(source = {}, true)", literal(&source_name(source))));
        let sql = format!(
            "select rule, action, column_name, raw_value, value from {} where source_file = {} and source_position = \
             {position}{}",
            table.quoted(),
            literal(file),
            of_source.unwrap_or_default()
        );
        for batch in session.collect(&sql).await? {
            for row in 0..batch.num_rows() {
                let cells = cells(&batch.slice(row, 1))?;
                let text = |index: usize| cells.get(index).map(|(_, value)| value.as_str()).unwrap_or_default();
                broken.push(text(0).to_owned());
                step.found.push(match text(1) {
                    "repair" => format!("{}: {} `{}` became `{}`", text(0), text(2), text(3), text(4)),
                    action => format!("{}: {action}", text(0)),
                });
            }
        }
    }
    let passed = audit.rules.iter().filter(|rule| !broken.contains(&rule.name));
    step.passed = passed.map(|rule| rule.name.clone()).collect();
    Ok(step)
}

/// The row that stands at a place of bronze. A correction stands at the place of the row it corrects: the first is received in
/// the same microsecond as that row, each later one after the one before it.
fn newest_sql(bronze: &TableName, file: &str, position: i64) -> String {
    format!(
        "select * from {} where {} = {} and {} = {position} order by {} desc, {} like '{FIX_BATCH}%' desc limit 1",
        bronze.quoted(),
        lineage::FILE,
        literal(file),
        lineage::POSITION,
        lineage::RECEIVED_AT,
        lineage::BATCH_ID,
    )
}

async fn origin(
    workspace: &Workspace,
    session: &Session,
    source: &Source,
    file: &str,
    position: i64,
) -> Result<Option<Origin>, TrustError> {
    let bronze = bronze_of(source)?;
    let batches = session.collect(&newest_sql(&bronze, file, position)).await?;
    let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(None) };
    let cells = cells(batch)?;
    let value = |name: &str| {
        cells.iter().find(|(column, _)| column == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut origin = Origin {
        source: format!("{}.{}", source.source_name, source.name),
        file: file.to_owned(),
        position,
        received_at: value(lineage::RECEIVED_AT),
        batch_id: value(lineage::BATCH_ID),
        raw: cells.iter().filter(|(name, _)| !lineage::is_lineage(name)).cloned().collect(),
        ..Origin::default()
    };
    if let Some(segment) = segment_of(&origin.source, file) {
        origin.line = delivered(workspace, &origin.source, segment, position).await?;
        return Ok(Some(origin));
    }
    let log = TableName::new("system", "load_log")?;
    if session.schema(&log).await?.is_some() {
        let sql = format!(
            "select sha256 from {} where source = {} and file = {} order by sequence desc limit 1",
            log.quoted(),
            literal(&origin.source),
            literal(file)
        );
        let batches = session.collect(&sql).await?;
        if let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) {
            origin.sha256 = Some(array_value_to_string(batch.column(0), 0)?);
        }
    }
    if let Some(sha256) = &origin.sha256 {
        origin.line = received_line(workspace, sha256, file, position).await?;
    }
    Ok(Some(origin))
}

/// Line `position` of a landed file; none where records are not lines or the file is packed.
async fn received_line(
    workspace: &Workspace,
    sha256: &str,
    file: &str,
    position: i64,
) -> Result<Option<String>, TrustError> {
    let is_lines = [".csv", ".tsv", ".txt", ".psv", ".ndjson", ".jsonl"].iter().any(|end| file.ends_with(end));
    let Some(folder) = sha256.get(..2).filter(|_| is_lines) else { return Ok(None) };
    let path = object_store_path(&format!("_landing/{folder}/{sha256}"));
    let Some(bytes) = workspace.lake.get(&path).await? else { return Ok(None) };
    let wanted = usize::try_from(position).unwrap_or_default().saturating_sub(1);
    let line = bytes.split(|byte| *byte == b'\n').nth(wanted);
    Ok(line.map(|line| String::from_utf8_lossy(line).trim_end_matches('\r').to_owned()))
}

fn object_store_path(text: &str) -> datafusion::object_store::path::Path {
    datafusion::object_store::path::Path::from(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
    use datafusion::datasource::MemTable;
    use wardlake_access::{SystemReason, Viewer};
    use wardlake_engine::{Engine, EngineOptions, ReadState};
    use wardlake_storage::Lake;

    use super::*;

    #[tokio::test]
    async fn of_several_corrections_the_last_one_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
        let engine = Engine::new(lake, EngineOptions::default()).unwrap();
        let session = engine.session(Viewer::System(SystemReason::Test), ReadState::Working).await.unwrap();
        let bronze: TableName = "bronze.stays".parse().unwrap();
        // Batch ids are hashes: their order says nothing about when a row came.
        let rows =
            [("0198", 7, 10, "sent"), ("fix:b", 7, 10, "first"), ("fix:c", 7, 11, "second"), ("fix:a", 7, 12, "third")];
        for known in 1..=rows.len() {
            let rows = &rows[..known];
            let received = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.2));
            let batch = RecordBatch::try_from_iter([
                (lineage::BATCH_ID, Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))) as _),
                (lineage::FILE, Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "o'neill.csv"))) as _),
                (lineage::POSITION, Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))) as _),
                (lineage::RECEIVED_AT, Arc::new(received) as _),
                ("beds", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.3))) as _),
            ])
            .unwrap();
            session.overlay(bronze.clone(), Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap()));
            let found = session.collect(&newest_sql(&bronze, "o'neill.csv", 7)).await.unwrap();
            let newest = cells(&found[0]).unwrap().pop().unwrap();
            assert_eq!(newest, ("beds".to_owned(), rows[known - 1].3.to_owned()));
        }
    }
}
