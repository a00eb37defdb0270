//! What a score compares with a known truth: the rows and files that the lake has something against, and figures by row.
//!
//! Everything is read from tables that anybody can query: `quarantine.*`, `audit.*`, `system.rejected_rows`,
//! `system.repeated_rows` and the drift in `system.load_log`.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use wardlake_core::{TableName, lineage};
use wardlake_engine::{
    Session,
    sql::{identifier, literal},
};
use wardlake_load::Workspace;
use wardlake_records::{ColumnDrift, RecordsError, findings, quarantine, rows, rows_of};
use wardlake_storage::Lake;

use crate::error::TrustError;

/// A line or a file under the kind of what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Accusation {
    /// Kind of the rule, or of what the loader found.
    pub kind: String,
    /// Source and table, `hospital.encounters`.
    pub source: String,
    /// The file, as loaded.
    pub file: String,
    /// Line or record; 0 for the file as a whole.
    pub position: u64,
}

/// Everything the lake has against rows and files, each place once per kind.
///
/// # Errors
/// When a table cannot be read.
pub async fn accusations(workspace: &Workspace, session: &Session) -> Result<Vec<Accusation>, TrustError> {
    let lake = &workspace.lake;
    let mut found = Vec::new();
    for table in lake.table_names().await? {
        let of_rule = match table.schema() {
            quarantine::SCHEMA => format!(
                "select unnest(kinds) as kind, source, source_file, source_position from {} where state <> 'released'",
                table.quoted()
            ),
            // What a filter leaves out is no accusation, and of copies only those are that stand in one file.
            findings::SCHEMA => {
                found.extend(copies(workspace, session, &table).await?);
                format!("select * from {} where action not in ('filtered', 'duplicate')", table.quoted())
            }
            _ => continue,
        };
        let sql = format!(
            "select kind, source, source_file as file, source_position as position from ({of_rule}) as found \
             where source_file is not null and source_position is not null"
        );
        found.extend(rows::<Accusation>(session, &table, &sql).await?);
    }
    found.extend(of_loads(lake, session).await?);
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Duplicates that a model found in one and the same file. A table without keys holds every line of its files; a copy in
/// another file is a row that was sent again, which nobody did wrong.
async fn copies(workspace: &Workspace, session: &Session, table: &TableName) -> Result<Vec<Accusation>, TrustError> {
    #[derive(Deserialize)]
    struct Of {
        source: String,
    }
    let mut found = Vec::new();
    let sql =
        format!("select distinct source from {} where action = 'duplicate' and source is not null", table.quoted());
    for Of { source: label } in rows::<Of>(session, table, &sql).await? {
        let mut sources = workspace.project.sources().values();
        let source = sources.find(|source| label == format!("{}.{}", source.source_name, source.name));
        let Some(bronze) = source.and_then(|source| source.relation.table_name()) else { continue };
        let (file, position, hash) = (lineage::FILE, lineage::POSITION, lineage::ROW_HASH);
        let sql = format!(
            "select distinct 'repeated_line' as kind, found.source, found.source_file as file, \
             found.source_position as position from {} as found \
             inner join {bronze} as own on own.{file} = found.source_file and own.{position} = found.source_position \
             inner join {bronze} as other on other.{file} = own.{file} and other.{hash} = own.{hash} \
             where found.action = 'duplicate' and found.source = {} and other.{position} <> own.{position}",
            table.quoted(),
            literal(&label),
            bronze = bronze.quoted(),
        );
        found.extend(rows::<Accusation>(session, table, &sql).await?);
    }
    Ok(found)
}

/// What the loader found: lines that are none, lines that stand twice, columns that changed, files out of order.
async fn of_loads(lake: &Lake, session: &Session) -> Result<Vec<Accusation>, TrustError> {
    let place = format!("{} as source, {} as file, {} as position", lineage::SOURCE, lineage::FILE, lineage::POSITION);
    let mut found = Vec::new();
    let table = "system.rejected_rows";
    let cut = "('too_few_fields', 'unclosed_quote', 'text_after_quote', 'invalid_json')";
    let kind = format!("case when reason in {cut} then 'truncated_line' else reason end as kind");
    let rejected = rows_of(lake, session, table, &format!("select distinct {kind}, {place} from {table}")).await?;
    found.extend(rejected.unwrap_or_default());
    let table = "system.repeated_rows";
    let sql = format!("select distinct 'repeated_line' as kind, {place} from {table}");
    found.extend(rows_of(lake, session, table, &sql).await?.unwrap_or_default());

    #[derive(Deserialize)]
    struct Load {
        source: String,
        file: String,
        is_late: bool,
        drift: String,
    }
    let table = "system.load_log";
    let sql = format!("select source, file, is_late, drift from {table} where is_late or drift <> '[]'");
    for Load { source, file, is_late, drift } in rows_of::<Load>(lake, session, table, &sql).await?.unwrap_or_default()
    {
        let Ok(drift) = serde_json::from_str::<Vec<ColumnDrift>>(&drift) else {
            return Err(RecordsError::Columns { table: table.parse()? }.into());
        };
        let late = is_late.then_some("out_of_order_file");
        found.extend(kinds_of(&drift).into_iter().chain(late).map(|kind| Accusation {
            kind: kind.to_owned(),
            source: source.clone(),
            file: file.clone(),
            position: 0,
        }));
    }
    Ok(found)
}

/// A name that went while another came is one renamed column. A column whose values look different is no change of columns:
/// the rules about its values speak of it.
fn kinds_of(drift: &[ColumnDrift]) -> Vec<&'static str> {
    let has = |change: &str| drift.iter().any(|drift| drift.change == change);
    let named = match (has("added"), has("missing")) {
        (true, true) => Some("column_renamed"),
        (true, false) => Some("column_added"),
        (false, true) => Some("column_missing"),
        (false, false) => None,
    };
    named.into_iter().chain(has("reordered").then_some("column_reordered")).collect()
}

/// A row of figures that a table has to hold.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedRow {
    /// Key columns and their texts.
    pub key: BTreeMap<String, String>,
    /// Figures by column.
    pub figures: BTreeMap<String, f64>,
}

/// One figure of a table, over all rows that are known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FigureScore {
    /// The column.
    pub figure: String,
    /// Rows compared.
    pub rows: u64,
    /// Sum over the rows, as it should be.
    pub expected: f64,
    /// Sum over the rows, as it is.
    pub got: f64,
    /// Rows in which the two are not equal.
    pub rows_different: u64,
    /// The first of them.
    pub differences: Vec<FigureDifference>,
}

/// A figure that is not what it should be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FigureDifference {
    /// Key columns and their texts.
    pub key: BTreeMap<String, String>,
    /// As it should be.
    pub expected: f64,
    /// As it is; `None` where there is no such row or it is NULL.
    pub got: Option<f64>,
}

/// So many differing rows are named per figure.
const NAMED: usize = 10;

/// Compares a table with the rows it has to hold, column by column. Rows that nobody expects are not looked at.
///
/// # Errors
/// When there is no such table, or it lacks a column.
pub async fn compare_figures(
    lake: &Lake,
    session: &Session,
    table: &str,
    expected: &[ExpectedRow],
) -> Result<Vec<FigureScore>, TrustError> {
    let Some(first) = expected.first() else { return Ok(Vec::new()) };
    let name: TableName = table.parse()?;
    let typed = |column: &String, kind: &str| format!("cast({0} as {kind}) as {0}", identifier(column));
    let keys = first.key.keys().map(|column| typed(column, "varchar"));
    let figures = first.figures.keys().map(|column| typed(column, "double"));
    let columns: Vec<String> = keys.chain(figures).collect();
    let sql = format!("select {} from {}", columns.join(", "), name.quoted());
    let Some(found) = rows_of::<Map<String, Json>>(lake, session, table, &sql).await? else {
        return Err(TrustError::NoTable { table: name });
    };
    let key_of = |row: &Map<String, Json>| -> Vec<String> {
        first.key.keys().map(|column| row.get(column).and_then(Json::as_str).unwrap_or_default().to_owned()).collect()
    };
    let found: HashMap<Vec<String>, Map<String, Json>> = found.into_iter().map(|row| (key_of(&row), row)).collect();
    let score = |figure: &String| {
        let mut score = FigureScore {
            figure: figure.clone(),
            rows: expected.len() as u64,
            expected: 0.0,
            got: 0.0,
            rows_different: 0,
            differences: Vec::new(),
        };
        for row in expected {
            let wanted = row.figures.get(figure).copied().unwrap_or_default();
            let key: Vec<String> = row.key.values().cloned().collect();
            let got = found.get(&key).and_then(|row| row.get(figure)).and_then(Json::as_f64);
            score.expected += wanted;
            score.got += got.unwrap_or_default();
            if !got.is_some_and(|got| (got - wanted).abs() <= 1e-9) {
                score.rows_different += 1;
                if score.differences.len() < NAMED {
                    score.differences.push(FigureDifference { key: row.key.clone(), expected: wanted, got });
                }
            }
        }
        score
    };
    Ok(first.figures.keys().map(score).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(changes: &[&str]) -> Vec<ColumnDrift> {
        let of = |change: &&str| ColumnDrift { column: "c".to_owned(), change: (*change).to_owned(), detail: None };
        changes.iter().map(of).collect()
    }

    #[test]
    fn a_name_gone_and_another_come_is_a_renaming() {
        assert_eq!(kinds_of(&drift(&["added"])), ["column_added"]);
        assert_eq!(kinds_of(&drift(&["added", "missing", "retyped"])), ["column_renamed"]);
        assert_eq!(kinds_of(&drift(&["missing"])), ["column_missing"]);
        assert_eq!(kinds_of(&drift(&["reordered", "reordered"])), ["column_reordered"]);
        assert_eq!(kinds_of(&drift(&["retyped"])), [""; 0]);
    }
}
