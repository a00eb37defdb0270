//! `system.profiles` and `system.anomalies`.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, Utc};
use wardlake_build::Built;
use wardlake_core::LedgerEntry;
use wardlake_engine::sql::literal;
use wardlake_records::{
    rows_of,
    system::{self, Columns},
};

use super::{
    anomaly::{Anomaly, PastProfile},
    measure::{ColumnProfile, TableProfile},
};
use crate::error::TrustError;

/// The version of each table that was profiled last.
pub(crate) async fn versions(built: &Built) -> Result<BTreeMap<String, u64>, TrustError> {
    #[derive(serde::Deserialize)]
    struct Profiled {
        relation: String,
        version: u64,
    }
    let sql =
        "select relation, max(version) as version from system.profiles where column_name is null group by relation";
    let found = rows_of(&built.workspace().lake, built.session(), "system.profiles", sql).await?;
    let found: Vec<Profiled> = found.unwrap_or_default();
    Ok(found.into_iter().map(|row| (row.relation, row.version)).collect())
}

/// The newest `limit` profiles of each of these tables and of each of their columns, oldest first.
pub(crate) async fn past(
    built: &Built,
    profiles: &[TableProfile],
    limit: usize,
) -> Result<Vec<PastProfile>, TrustError> {
    let names: Vec<String> = profiles.iter().map(|profile| literal(&profile.relation.to_string())).collect();
    let sql = format!(
        "select relation, column_name, weekday, row_count, null_count, distinct_count, min_number, max_number, mean_number \
         from (select *, row_number() over (partition by relation, column_name order by profiled_at desc) as age \
               from system.profiles where relation in ({})) as newest \
         where age <= {limit} order by age desc",
        names.join(", ")
    );
    let found = rows_of(&built.workspace().lake, built.session(), "system.profiles", &sql).await?;
    Ok(found.unwrap_or_default())
}

/// Appends the profiles and what was found in them, once per run.
pub(crate) async fn append(
    built: &Built,
    profiles: &[TableProfile],
    found: &[Anomaly],
    day: NaiveDate,
) -> Result<(), TrustError> {
    let run_id = built.workspace().run_id.as_str();
    let (lake, now) = (&built.workspace().lake, Utc::now());
    // The table's own row has no column name.
    let rows: Vec<(&TableProfile, String, Option<&ColumnProfile>)> = profiles
        .iter()
        .flat_map(|table| {
            let relation = table.relation.to_string();
            let columns = table.columns.iter().map(Some);
            std::iter::once(None).chain(columns).map(move |column| (table, relation.clone(), column))
        })
        .collect();
    let number = |of: fn(&ColumnProfile) -> Option<f64>| rows.iter().map(move |(_, _, column)| column.and_then(of));
    let batch = Columns::default()
        .text("run_id", rows.iter().map(|_| Some(run_id)))
        .text("relation", rows.iter().map(|(_, relation, _)| Some(relation.as_str())))
        .count("version", rows.iter().map(|(table, _, _)| Some(table.version)))?
        .text("column_name", rows.iter().map(|(_, _, column)| column.map(|column| column.name.as_str())))
        .text("kind", rows.iter().map(|(_, _, column)| Some(column.map_or("table", |column| column.kind.as_str()))))
        .count("row_count", rows.iter().map(|(table, _, _)| Some(table.row_count)))?
        .count("null_count", rows.iter().map(|(_, _, column)| column.map(|column| column.null_count)))?
        .count("distinct_count", rows.iter().map(|(_, _, column)| column.and_then(|column| column.distinct_count)))?
        .number("min_number", number(|column| column.min))
        .number("max_number", number(|column| column.max))
        .number("mean_number", number(|column| column.mean))
        .instant("profiled_at", rows.iter().map(|_| now))
        .count("weekday", rows.iter().map(|_| Some(u64::from(day.weekday().number_from_monday()))))?
        .text("data_date", std::iter::repeat_n(Some(day.to_string().as_str()), rows.len()))
        .batch()?;
    let ledger = |part: &str| LedgerEntry::new(format!("run:{run_id}:{part}"), 1);
    system::append(lake, "profiles", batch, ledger("profiles")).await?;
    let batch = Columns::default()
        .text("run_id", found.iter().map(|_| Some(run_id)))
        .text("relation", found.iter().map(|anomaly| Some(anomaly.relation.as_str())))
        .text("column_name", found.iter().map(|anomaly| anomaly.column.as_deref()))
        .text("metric", found.iter().map(|anomaly| Some(anomaly.metric.as_str())))
        .number("value", found.iter().map(|anomaly| Some(anomaly.value)))
        .number("expected", found.iter().map(|anomaly| Some(anomaly.band.expected)))
        .number("low", found.iter().map(|anomaly| Some(anomaly.band.low)))
        .number("high", found.iter().map(|anomaly| Some(anomaly.band.high)))
        .number("score", found.iter().map(|anomaly| Some(anomaly.band.score(anomaly.value))))
        .text("message", found.iter().map(|anomaly| Some(anomaly.message.as_str())))
        .instant("found_at", found.iter().map(|_| now))
        .batch()?;
    Ok(system::append(lake, "anomalies", batch, ledger("anomalies")).await?)
}
